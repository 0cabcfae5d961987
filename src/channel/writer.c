/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/grow.h"
#include "base/shared.h"
#include "channel/channel.h"
#include "log/fork.h"
#include "log/format.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum {
    NAMES_MAX = 10000,
    COPY_MAX = 64 * 1024, /* a block of so many bytes goes out in the same write as what stands before it */
};

struct lt_channel_writer {
    pthread_mutex_t mutex;
    struct lt_fork_member fork;
    const struct lt_io *io;
    char *data_dir;
    struct lt_channel_about about;
    size_t size_of_one;
    enum litmus_durability durability;
    int64_t group_us;
    /* of the file; a forked child starts over */
    int fd;
    bool sealed;
    struct litmus_error refusal;
    char *path;
    struct lt_ipc_schema *schema;
    int64_t size, samples, synced_us; /* samples: in rows */
    struct lt_ipc_block *blocks;
    size_t block_count, block_capacity;
    struct lt_channel_tail *tail; /* NULL: no single sample came yet */
    struct lt_buf out;
};

int64_t lt_channel_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- the file ---- */
/* What a file name may hold of a channel's id; the metadata have all of it. */
static void name_part(const char *id, char out[80]) {
    size_t n = 0;
    for (; id[n] != '\0' && n < 79; n++) {
        char c = id[n];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
        out[n] = plain ? c : '_';
    }
    out[n] = '\0';
}

static int open_new(struct lt_channel_writer *writer, const char *folder, struct litmus_error *error) {
    char part[80];
    struct lt_buf path;
    lt_buf_init(&path);
    name_part(writer->about.channel_id, part);
    int code = LITMUS_EBUSY;
    for (int n = 1; code == LITMUS_EBUSY && n <= NAMES_MAX; n++) {
        char suffix[16] = "";
        if (n > 1) snprintf(suffix, sizeof suffix, "-%d", n);
        lt_buf_clear(&path);
        lt_buf_addf(&path, "%s/%s-%ld_%s%s" LT_LOG_SUFFIX, folder, writer->about.session_id, (long)getpid(), part, suffix);
        const char *name = lt_buf_cstr(&path);
        if (path.failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
        else if ((writer->fd = writer->io->open(writer->io->self, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666)) >= 0) code = LITMUS_OK;
        else if (errno != EEXIST) code = lt_fail_os(error, errno, "create channel file", name);
    }
    if (code == LITMUS_EBUSY) code = lt_fail(error, code, 0, "no free name for channel %s in %s", writer->about.channel_id, folder);
    free(writer->path);
    writer->path = code == LITMUS_OK ? path.p : NULL;
    if (code != LITMUS_OK) lt_buf_release(&path);
    return code;
}

static int write_start(struct lt_channel_writer *writer, struct litmus_error *error) {
    static const unsigned char magic[LT_LOG_START_BYTES] = LT_LOG_MAGIC;
    const struct lt_io *io = writer->io;
    writer->schema = lt_channel_schema(&writer->about);
    lt_buf_clear(&writer->out);
    lt_buf_add(&writer->out, magic, sizeof magic);
    if (writer->schema == NULL || !lt_ipc_schema_encode(writer->schema, &writer->out)) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a channel");
    ssize_t put = io->write(io->self, writer->fd, writer->out.p, writer->out.n);
    if (put != (ssize_t)writer->out.n) return lt_fail_os(error, put < 0 ? errno : ENOSPC, "write", writer->path);
    writer->size = put;
    return LITMUS_OK;
}

static int sync_new(struct lt_channel_writer *writer, const char *folder, struct litmus_error *error) {
    if (writer->durability == LITMUS_DURABILITY_OS) return LITMUS_OK;
    if (writer->io->fdatasync(writer->io->self, writer->fd) != 0) return lt_fail_os(error, errno, "sync", writer->path);
    return lt_io_sync_dirs(writer->io, folder, writer->data_dir, error);
}

static void drop_file(struct lt_channel_writer *writer) {
    if (writer->fd >= 0) {
        writer->io->flock(writer->io->self, writer->fd, LOCK_UN);
        writer->io->close(writer->io->self, writer->fd);
    }
    writer->fd = -1;
    lt_shared_unmap(writer->tail, sizeof *writer->tail);
    writer->tail = NULL;
}

static int open_file(struct lt_channel_writer *writer, struct litmus_error *error) {
    char date[LT_ISO_BYTES];
    struct lt_buf folder;
    lt_buf_init(&folder);
    lt_time_date(lt_now_us(), date);
    lt_buf_addf(&folder, "%s/channels/%s", writer->data_dir, date);
    const char *name = lt_buf_cstr(&folder);
    int code = folder.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : lt_io_mkdirs_below(writer->io, writer->data_dir, name, error);
    if (code == LITMUS_OK) code = open_new(writer, name, error);
    if (code == LITMUS_OK && writer->io->flock(writer->io->self, writer->fd, LOCK_EX | LOCK_NB) != 0) code = lt_fail_os(error, errno, "lock", writer->path);
    if (code == LITMUS_OK) code = write_start(writer, error);
    if (code == LITMUS_OK) code = sync_new(writer, name, error);
    if (code == LITMUS_OK) {
        writer->synced_us = lt_monotonic_us();
    } else {
        if (writer->fd >= 0) writer->io->unlink(writer->io->self, writer->path);
        drop_file(writer);
        lt_ipc_schema_free(writer->schema);
        writer->schema = NULL;
    }
    lt_buf_release(&folder);
    return code;
}

static void in_child(void *self) {
    struct lt_channel_writer *writer = self;
    if (writer->fd >= 0) writer->io->close(writer->io->self, writer->fd); /* no unlock: that would be the parent's */
    writer->fd = -1;
    drop_file(writer);
    writer->size = writer->samples = 0;
    writer->block_count = 0;
    lt_error_clear(&writer->refusal);
    lt_ipc_schema_free(writer->schema);
    writer->schema = NULL;
}

static int make_ready(struct lt_channel_writer *writer, struct litmus_error *error) {
    if (writer->sealed) return lt_fail(error, LITMUS_ESTATE, 0, "the channel %s is closed", writer->about.channel_id);
    if (writer->refusal.code != LITMUS_OK) return lt_fail(error, writer->refusal.code, writer->refusal.os_errno, "%s", writer->refusal.text);
    return writer->fd < 0 ? open_file(writer, error) : LITMUS_OK;
}

/* ---- rows ---- */
static int refuse(struct lt_channel_writer *writer, const char *why, int os_errno) {
    return lt_fail(&writer->refusal, LITMUS_EIO, os_errno, "the channel file %s takes no more samples: %s", writer->path, why);
}

static int put(struct lt_channel_writer *writer, const void *bytes, size_t n, struct litmus_error *error) {
    const struct lt_io *io = writer->io;
    ssize_t done = io->write(io->self, writer->fd, bytes, n);
    if (done == (ssize_t)n) return LITMUS_OK;
    int code = lt_fail_os(error, done < 0 ? errno : ENOSPC, "write", writer->path);
    if (io->ftruncate(io->self, writer->fd, writer->size) != 0) refuse(writer, "a failed write could not be cut off again", errno);
    return code;
}

static int sync_data(struct lt_channel_writer *writer, struct litmus_error *error) {
    if (writer->io->fdatasync(writer->io->self, writer->fd) == 0) return LITMUS_OK;
    int os_errno = errno;
    refuse(writer, "it could not be synced", os_errno);
    return lt_fail_os(error, os_errno, "sync", writer->path);
}

static int sync_by_mode(struct lt_channel_writer *writer, struct litmus_error *error) {
    if (writer->durability == LITMUS_DURABILITY_EACH) return sync_data(writer, error);
    if (writer->durability != LITMUS_DURABILITY_GROUP) return LITMUS_OK;
    int64_t now = lt_monotonic_us();
    if (now - writer->synced_us < writer->group_us) return LITMUS_OK;
    writer->synced_us = now;
    return sync_data(writer, error);
}

/* One row. Small ones are one write; of a large one the samples are written from where they are. */
static int put_row(struct lt_channel_writer *writer, const struct lt_channel_row *row, const int64_t *times, const void *values, struct litmus_error *error) {
    static const unsigned char padding[LT_LOG_ALIGN];
    struct lt_channel_plan plan;
    lt_channel_plan(&plan, writer->about.type, row->count, times == NULL);
    size_t bytes = (size_t)row->count * writer->size_of_one, pad = (size_t)lt_align8((int64_t)bytes) - bytes;
    lt_buf_clear(&writer->out);
    int code = lt_channel_head(&plan, writer->about.type, row, times, values, &writer->out, error);
    struct lt_ipc_block *blocks = lt_grow_list(writer->blocks, writer->block_count, &writer->block_capacity, sizeof *blocks);
    if (blocks == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a block of samples");
    writer->blocks = blocks;
    bool copy = bytes <= COPY_MAX;
    if (copy) {
        lt_buf_add(&writer->out, values, bytes);
        lt_buf_add(&writer->out, padding, pad);
        if (writer->out.failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a block of samples");
    }
    if (code == LITMUS_OK) code = put(writer, writer->out.p, writer->out.n, error);
    if (code == LITMUS_OK && !copy) code = put(writer, values, bytes, error);
    if (code == LITMUS_OK && !copy && pad > 0) code = put(writer, padding, pad, error);
    if (code != LITMUS_OK) return code;
    struct lt_ipc_block block = {.offset = writer->size, .header_bytes = (int32_t)lt_channel_header_bytes(), .body_bytes = plan.body_bytes};
    writer->blocks[writer->block_count++] = block;
    writer->size += block.header_bytes + block.body_bytes;
    writer->samples += row->count;
    return LITMUS_OK;
}

static int flush(struct lt_channel_writer *writer, struct litmus_error *error) {
    struct lt_channel_tail *tail = writer->tail;
    int64_t count = tail == NULL ? 0 : tail->count;
    if (count == 0) return LITMUS_OK;
    struct lt_channel_row row = {.first_sample = writer->samples, .time = tail->times[0], .time_last = tail->times[count - 1], .count = count};
    int code = put_row(writer, &row, tail->times, tail->values, error);
    if (code != LITMUS_OK) return code;
    /* In this order: whoever looks in between sees an empty tail, and the samples in the file. */
    tail->count = 0;
    tail->first_sample = writer->samples;
    return LITMUS_OK;
}

static int make_tail(struct lt_channel_writer *writer, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    lt_tail_path(writer->path, &path);
    void *memory = NULL;
    int code = path.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path")
                           : lt_shared_create(writer->io, lt_buf_cstr(&path), sizeof *writer->tail, &memory, error);
    lt_buf_release(&path);
    if (code != LITMUS_OK) return code;
    writer->tail = memory;
    writer->tail->first_sample = writer->samples;
    memcpy(writer->tail->magic, LT_TAIL_MAGIC, sizeof writer->tail->magic);
    return LITMUS_OK;
}

static int put_sample(struct lt_channel_writer *writer, int64_t time_ns, const void *value, struct litmus_error *error) {
    int code = make_ready(writer, error);
    if (code == LITMUS_OK && writer->tail == NULL) code = make_tail(writer, error);
    if (code != LITMUS_OK) return code;
    struct lt_channel_tail *tail = writer->tail;
    int64_t at = tail->count;
    /* A row's times never fall: after a clock that stepped back, a new one begins. */
    if (at == LT_CHANNEL_TAIL || (at > 0 && time_ns < tail->times[at - 1])) {
        code = flush(writer, error);
        if (code != LITMUS_OK) return code;
        at = 0;
    }
    tail->times[at] = time_ns;
    memcpy(tail->values + (size_t)at * writer->size_of_one, value, writer->size_of_one);
    tail->count = at + 1;
    if (writer->durability == LITMUS_DURABILITY_OS) return LITMUS_OK;
    if (writer->durability == LITMUS_DURABILITY_EACH) code = flush(writer, error);
    else if (lt_monotonic_us() - writer->synced_us >= writer->group_us) code = flush(writer, error);
    return code == LITMUS_OK ? sync_by_mode(writer, error) : code;
}

int lt_channel_put_sample(struct lt_channel_writer *writer, int64_t time_ns, double value, struct litmus_error *error) {
    unsigned char stored[8];
    if (!lt_type_store(writer->about.type, value, stored))
        return lt_fail(error, LITMUS_EINVAL, 0, "channel %s holds %s, which cannot be %.17g", writer->about.channel_id, lt_type_name(writer->about.type), value);
    pthread_mutex_lock(&writer->mutex);
    int code = put_sample(writer, time_ns, stored, error);
    pthread_mutex_unlock(&writer->mutex);
    return code;
}

static int put_blocks(struct lt_channel_writer *writer, int64_t start, double interval_ns, const int64_t *times, const unsigned char *values, int64_t count,
                      struct litmus_error *error) {
    int code = make_ready(writer, error);
    if (code == LITMUS_OK) code = flush(writer, error);
    for (int64_t done = 0; code == LITMUS_OK && done < count;) {
        int64_t n = count - done < LT_CHANNEL_BLOCK_MAX ? count - done : LT_CHANNEL_BLOCK_MAX;
        struct lt_channel_row row = {.first_sample = writer->samples, .count = n};
        if (times == NULL) {
            row.interval_ns = interval_ns;
            row.time = lt_channel_time(start, interval_ns, done);
            row.time_last = lt_channel_time(row.time, interval_ns, n - 1);
        } else {
            row.time = times[done];
            row.time_last = times[done + n - 1];
        }
        code = put_row(writer, &row, times == NULL ? NULL : times + done, values + (size_t)done * writer->size_of_one, error);
        done += n;
    }
    if (code == LITMUS_OK && writer->tail != NULL) writer->tail->first_sample = writer->samples;
    return code == LITMUS_OK ? sync_by_mode(writer, error) : code;
}

int lt_channel_put_block(struct lt_channel_writer *writer, int64_t start, double interval_ns, const int64_t *times, const void *values, size_t count, struct litmus_error *error) {
    const char *id = writer->about.channel_id;
    if (count == 0) return LITMUS_OK;
    if (count > (size_t)INT64_MAX / 16) return lt_fail(error, LITMUS_EINVAL, 0, "a block of %zu samples for channel %s", count, id);
    if (times == NULL && !(interval_ns > 0 && interval_ns * (double)count < 9e18))
        return lt_fail(error, LITMUS_EINVAL, 0, "a block for channel %s has an interval of %g ns: it must be above 0, and the block end before the year 2262", id, interval_ns);
    for (size_t i = 1; times != NULL && i < count; i++)
        if (times[i] < times[i - 1]) return lt_fail(error, LITMUS_EINVAL, 0, "a block for channel %s: the time of sample %zu is before that of the one before it", id, i);
    pthread_mutex_lock(&writer->mutex);
    int code = put_blocks(writer, start, interval_ns, times, values, (int64_t)count, error);
    pthread_mutex_unlock(&writer->mutex);
    return code;
}

int lt_channel_flush(struct lt_channel_writer *writer, struct litmus_error *error) {
    pthread_mutex_lock(&writer->mutex);
    int code = writer->fd >= 0 ? make_ready(writer, error) : LITMUS_OK;
    if (code == LITMUS_OK && writer->fd >= 0) code = flush(writer, error);
    pthread_mutex_unlock(&writer->mutex);
    return code;
}

/* ---- life cycle ---- */
static int seal(struct lt_channel_writer *writer, struct litmus_error *error) {
    int code = make_ready(writer, error);
    if (code == LITMUS_OK) code = flush(writer, error);
    lt_buf_clear(&writer->out);
    if (code == LITMUS_OK && !lt_ipc_seal(writer->schema, writer->blocks, writer->block_count, &writer->out))
        code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the footer of %s", writer->path);
    if (code == LITMUS_OK) code = put(writer, writer->out.p, writer->out.n, error);
    if (code == LITMUS_OK && writer->durability != LITMUS_DURABILITY_OS) code = sync_data(writer, error);
    if (code != LITMUS_OK) return code;
    struct lt_buf path;
    lt_buf_init(&path);
    lt_tail_path(writer->path, &path);
    if (writer->tail != NULL && !path.failed) writer->io->unlink(writer->io->self, lt_buf_cstr(&path));
    lt_buf_release(&path);
    writer->sealed = true;
    drop_file(writer);
    return LITMUS_OK;
}

int lt_channel_seal(struct lt_channel_writer *writer, struct litmus_error *error) {
    pthread_mutex_lock(&writer->mutex);
    int code = writer->fd >= 0 || writer->refusal.code != LITMUS_OK ? seal(writer, error) : LITMUS_OK;
    pthread_mutex_unlock(&writer->mutex);
    return code;
}

static void writer_destroy(struct lt_channel_writer *writer) {
    drop_file(writer);
    lt_ipc_schema_free(writer->schema);
    lt_buf_release(&writer->out);
    free(writer->blocks);
    free(writer->path);
    free(writer->data_dir);
    pthread_mutex_destroy(&writer->mutex);
    free(writer);
}

void lt_channel_writer_free(struct lt_channel_writer *writer) {
    if (writer == NULL) return;
    lt_fork_leave(&writer->fork);
    writer_destroy(writer);
}

static int check_about(const struct lt_channel_about *about, struct litmus_error *error) {
    const char *id = about->channel_id;
    size_t n = strlen(id);
    bool sound = n > 0 && lt_utf8_valid(id, n) && lt_utf8_valid(about->units, strlen(about->units));
    for (size_t i = 0; sound && i < n; i++) sound = (unsigned char)id[i] >= ' ' && id[i] != 0x7f;
    if (!sound) return lt_fail(error, LITMUS_EINVAL, 0, "\"%s\" is no channel id: 1 to %d bytes of UTF-8 without control characters, and units likewise", id,
                               LT_CHANNEL_ID_BYTES - 1);
    if (lt_type_bytes(about->type) == 0) return lt_fail(error, LITMUS_EINVAL, 0, "channel %s: there is no type of samples number %d", id, (int)about->type);
    const char *session = about->session_id;
    if (session[0] == '\0' || session[0] == '.' || strchr(session, '/') != NULL) return lt_fail(error, LITMUS_EINVAL, 0, "channel %s has no session", id);
    return LITMUS_OK;
}

int lt_channel_create(const struct lt_channel_writer_options *options, struct lt_channel_writer **out, struct litmus_error *error) {
    int code = check_about(&options->about, error);
    if (code != LITMUS_OK) return code;
    struct lt_channel_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a channel");
    pthread_mutex_init(&writer->mutex, NULL);
    writer->fd = -1;
    writer->io = options->io == NULL ? &lt_io_os : options->io;
    writer->about = options->about;
    writer->size_of_one = (size_t)lt_type_bytes(options->about.type);
    writer->durability = options->durability == LITMUS_DURABILITY_DEFAULT ? LITMUS_DURABILITY_OS : options->durability;
    writer->group_us = (int64_t)(options->group_ms > 0 ? options->group_ms : 100) * 1000;
    writer->data_dir = strdup(options->data_dir);
    if (writer->data_dir == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a channel");
    if (code == LITMUS_OK) code = open_file(writer, error);
    writer->fork = (struct lt_fork_member){.mutex = &writer->mutex, .in_child = in_child, .self = writer};
    int join_errno = code == LITMUS_OK ? lt_fork_join(&writer->fork) : 0;
    if (join_errno != 0) code = lt_fail_os(error, join_errno, "prepare for fork", writer->path);
    if (code == LITMUS_OK) *out = writer;
    else writer_destroy(writer);
    return code;
}

const char *lt_channel_writer_path(const struct lt_channel_writer *writer) {
    return writer->path == NULL ? "" : writer->path;
}

int64_t lt_channel_writer_samples(struct lt_channel_writer *writer) {
    pthread_mutex_lock(&writer->mutex);
    int64_t samples = writer->samples + (writer->tail == NULL ? 0 : writer->tail->count);
    pthread_mutex_unlock(&writer->mutex);
    return samples;
}
