/* SPDX-License-Identifier: Apache-2.0
 *
 * recover.c - the file of a dead writer: keep the torn end, cut it off, add what waited in the tail, seal.
 * Each step can be the last one before a crash, and starting over ends the same.
 */
#include "base/grow.h"
#include "channel/channel.h"
#include "log/format.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVIDENCE_MAX = 1000 };

static int put(const struct lt_io *io, int fd, const struct lt_channel_file *file, int64_t size, const void *bytes, size_t n, struct litmus_error *error) {
    ssize_t done = io->write(io->self, fd, bytes, n);
    if (done == (ssize_t)n) return LITMUS_OK;
    int code = lt_fail_os(error, done < 0 ? errno : ENOSPC, "write", file->path);
    io->ftruncate(io->self, fd, size);
    return code;
}

static int keep_torn(const struct lt_io *io, const struct lt_channel_file *file, int64_t bytes, struct litmus_error *error) {
    struct lt_buf torn, name;
    lt_buf_init(&torn);
    lt_buf_init(&name);
    int code = LITMUS_OK;
    if (!lt_buf_reserve(&torn, (size_t)bytes) || pread(file->fd, torn.p, (size_t)bytes, (off_t)file->end) != (ssize_t)bytes)
        code = lt_fail(error, LITMUS_EIO, errno, "the torn end of %s cannot be read", file->path);
    struct stat st;
    for (int n = 1; code == LITMUS_OK && n <= EVIDENCE_MAX; n++) {
        lt_buf_clear(&name);
        lt_buf_addf(&name, "%s.torn-%lld", file->path, (long long)file->end);
        if (n > 1) lt_buf_addf(&name, "-%d", n);
        if (lstat(lt_buf_cstr(&name), &st) != 0) break;
    }
    if (code == LITMUS_OK) code = lt_io_publish(io, lt_buf_cstr(&name), torn.p, (size_t)bytes, error);
    lt_buf_release(&torn);
    lt_buf_release(&name);
    return code;
}

/* The last samples as a row. */
static int add_tail(const struct lt_io *io, int fd, struct lt_channel_file *file, struct litmus_error *error) {
    static const unsigned char padding[LT_LOG_ALIGN];
    const struct lt_tail_samples *tail = &file->tail;
    if (tail->count == 0) return LITMUS_OK;
    struct lt_channel_row row = {.first_sample = tail->first_sample, .time = tail->times[0], .time_last = tail->times[tail->count - 1], .count = tail->count};
    struct lt_channel_plan plan;
    struct lt_buf bytes;
    lt_buf_init(&bytes);
    lt_channel_plan(&plan, file->about.type, row.count, false);
    int code = lt_channel_head(&plan, file->about.type, &row, tail->times, tail->values, &bytes, error);
    size_t n = (size_t)row.count * (size_t)lt_type_bytes(file->about.type);
    lt_buf_add(&bytes, tail->values, n);
    lt_buf_add(&bytes, padding, (size_t)lt_align8((int64_t)n) - n);
    struct lt_channel_place *places = lt_grow_list(file->places, file->count, &file->capacity, sizeof *places);
    if (places != NULL) file->places = places;
    if (code == LITMUS_OK && (bytes.failed || places == NULL)) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the last samples of %s", file->path);
    if (code == LITMUS_OK) code = put(io, fd, file, file->end, bytes.p, bytes.n, error);
    if (code == LITMUS_OK) {
        places[file->count++] = (struct lt_channel_place){.row = row, .offset = file->end};
        file->end += (int64_t)bytes.n;
    }
    lt_buf_release(&bytes);
    return code;
}

static int add_seal(const struct lt_io *io, int fd, const struct lt_channel_file *file, struct litmus_error *error) {
    struct lt_buf seal;
    lt_buf_init(&seal);
    struct lt_ipc_block *blocks = calloc(file->count + 1, sizeof *blocks);
    for (size_t i = 0; blocks != NULL && i < file->count; i++) {
        struct lt_channel_plan plan;
        lt_channel_plan(&plan, file->about.type, file->places[i].row.count, file->places[i].row.interval_ns > 0);
        blocks[i] = (struct lt_ipc_block){.offset = file->places[i].offset, .header_bytes = (int32_t)lt_channel_header_bytes(), .body_bytes = plan.body_bytes};
    }
    int code = blocks == NULL || !lt_ipc_seal(file->schema, blocks, file->count, &seal) ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the footer of %s", file->path)
                                                                                      : put(io, fd, file, file->end, seal.p, seal.n, error);
    free(blocks);
    lt_buf_release(&seal);
    if (code == LITMUS_OK && io->fdatasync(io->self, fd) != 0) code = lt_fail_os(error, errno, "sync", file->path);
    return code;
}

static int mend(const struct lt_io *io, int fd, struct lt_channel_file *file, struct litmus_error *error) {
    struct stat st;
    if (fstat(fd, &st) != 0) return lt_fail_os(error, errno, "stat", file->path);
    int64_t torn = st.st_size - file->end;
    int code = torn > 0 ? keep_torn(io, file, torn, error) : LITMUS_OK;
    if (code == LITMUS_OK && torn > 0 && io->ftruncate(io->self, fd, file->end) != 0) code = lt_fail_os(error, errno, "cut the torn end off", file->path);
    if (code == LITMUS_OK && torn > 0 && io->fdatasync(io->self, fd) != 0) code = lt_fail_os(error, errno, "sync", file->path);
    if (code == LITMUS_OK) code = add_tail(io, fd, file, error);
    return code == LITMUS_OK ? add_seal(io, fd, file, error) : code;
}

int lt_channel_recover(const struct lt_io *io, const char *path, struct litmus_error *error) {
    if (io == NULL) io = &lt_io_os;
    int fd = io->open(io->self, path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) return lt_fail_os(error, errno, "open channel file", path);
    int code = LITMUS_OK;
    if (io->flock(io->self, fd, LOCK_EX | LOCK_NB) != 0)
        code = errno == EWOULDBLOCK ? lt_fail(error, LITMUS_EBUSY, errno, "%s is being written", path) : lt_fail_os(error, errno, "lock", path);
    struct lt_channel_file *file = NULL;
    if (code == LITMUS_OK) code = lt_channel_file_open(path, &file, error);
    if (code == LITMUS_OK && !file->sealed) code = mend(io, fd, file, error);
    struct lt_buf tail;
    lt_buf_init(&tail);
    lt_tail_path(path, &tail);
    if (code == LITMUS_OK && !tail.failed) io->unlink(io->self, lt_buf_cstr(&tail)); /* all of it is in the sealed file */
    lt_buf_release(&tail);
    lt_channel_file_free(file);
    io->close(io->self, fd);
    return code;
}
