/* SPDX-License-Identifier: Apache-2.0
 *
 * recover.c - the file of a dead writer: its torn end goes (torn.h), what waited in the tail comes as a row, then
 * the seal. Each step can be the last one before a crash, and starting over ends the same.
 */
#include "base/grow.h"
#include "base/tree.h"
#include "channel/channel.h"
#include "log/format.h"
#include "log/log.h"
#include "log/torn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

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
    if (code == LITMUS_OK) code = lt_torn_append(io, fd, file->path, file->end, &bytes, "write the last samples of", error);
    if (code == LITMUS_OK) {
        places[file->count++] = (struct lt_channel_place){.row = row, .offset = file->end};
        file->end += (int64_t)bytes.n;
    }
    lt_buf_release(&bytes);
    return code;
}

static int mend(const struct lt_io *io, int fd, struct lt_channel_file *file, struct litmus_error *error) {
    struct lt_buf seal;
    struct lt_torn torn;
    lt_buf_init(&seal);
    int code = lt_channel_file_seal(file, &seal, error);
    if (code == LITMUS_OK) code = lt_torn_cut(io, fd, file->path, file->end, &seal, &torn, error);
    if (code == LITMUS_OK) code = add_tail(io, fd, file, error);
    lt_buf_clear(&seal);
    if (code == LITMUS_OK) code = lt_channel_file_seal(file, &seal, error);
    if (code == LITMUS_OK) code = lt_torn_append(io, fd, file->path, file->end, &seal, "seal", error);
    if (code == LITMUS_OK && io->fdatasync(io->self, fd) != 0) code = lt_fail_os(error, errno, "sync", file->path);
    lt_buf_release(&seal);
    return code;
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

struct recovery {
    const struct lt_io *io;
    const char *data_dir, *session_id;
    struct litmus_error first;
};

/* A file that is not sealed, or a tail that is left beside one. */
static int recover_one(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    struct recovery *r = self;
    enum lt_channel_kind kind = lt_channel_kind(path, r->session_id);
    (void)error;
    if (!S_ISREG(st->st_mode) || kind == LT_CHANNEL_OTHER) return LITMUS_OK;
    struct lt_buf whole, file;
    struct litmus_error own = {0};
    lt_buf_init(&whole);
    lt_buf_init(&file);
    lt_path_join(&whole, r->data_dir, path);
    if (kind == LT_CHANNEL_TAIL_FILE) lt_tail_owner(lt_buf_cstr(&whole), &file);
    else lt_buf_add_text(&file, lt_buf_cstr(&whole));
    bool wanted = !whole.failed && !file.failed && (kind == LT_CHANNEL_TAIL_FILE || !lt_log_is_sealed(lt_buf_cstr(&file)));
    int code = wanted ? lt_channel_recover(r->io, lt_buf_cstr(&file), &own) : LITMUS_OK;
    if (code != LITMUS_OK && code != LITMUS_EBUSY && code != LITMUS_EDAMAGED && code != LITMUS_ENOENT && r->first.code == LITMUS_OK) r->first = own;
    lt_buf_release(&whole);
    lt_buf_release(&file);
    return LITMUS_OK;
}

int lt_channel_recover_all(const struct lt_io *io, const char *data_dir, const char *session_id, struct litmus_error *error) {
    struct recovery r = {.io = io, .data_dir = data_dir, .session_id = session_id};
    int code = lt_tree_walk(data_dir, "channels", recover_one, &r, error);
    if (code != LITMUS_OK || r.first.code == LITMUS_OK) return code;
    if (error != NULL) *error = r.first;
    return r.first.code;
}
