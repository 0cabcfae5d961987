/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "log/fork.h"
#include "log/ipc.h"
#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum {
    NAMES_MAX = 10000,   /* -2, -3, ... before giving up */
    LOCK_TRIES_MAX = 50, /* a reader may hold the lock for an instant to see whether we live */
};

struct lt_log_writer {
    pthread_mutex_t mutex;
    struct lt_fork_member fork;
    /* as opened */
    const struct lt_io *io;
    char *data_dir;
    char session[LT_LOG_SESSION_MAX];
    enum litmus_durability durability;
    int64_t group_us;
    struct lt_layout layout;
    struct lt_chain *chain;
    /* of the file; a forked child starts over */
    int fd; /* -1: none (yet, in a forked child; any more, after seal) */
    bool sealed;
    struct litmus_error refusal; /* code set: every append gets this */
    char *path;
    char identity[LT_LOG_IDENTITY_MAX];
    struct lt_ipc_schema *schema;
    int64_t size; /* up to here everything is whole */
    int64_t rows;
    int64_t synced_us; /* monotonic */
    unsigned char last[LT_CHAIN_BYTES];
    struct lt_ipc_block *blocks; /* for the footer */
    size_t block_count, block_capacity;
    struct lt_buf out;
};

/* ---- creating the file ---- */
static int make_folder(struct lt_log_writer *writer, struct lt_buf *folder, struct litmus_error *error) {
    char date[LT_ISO_BYTES];
    lt_time_date(lt_now_us(), date);
    lt_buf_addf(folder, "%s/events/%s", writer->data_dir, date);
    const char *path = lt_buf_cstr(folder);
    if (folder->failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
    return lt_io_mkdirs_below(writer->io, writer->data_dir, path, error);
}

/* Opens the first free name of the session and this process; *fd and writer->path, ->identity. */
static int open_new(struct lt_log_writer *writer, const char *folder, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    int code = LITMUS_EBUSY;
    for (int n = 1; code == LITMUS_EBUSY && n <= NAMES_MAX; n++) {
        char suffix[16] = "";
        if (n > 1) snprintf(suffix, sizeof suffix, "-%d", n);
        snprintf(writer->identity, sizeof writer->identity, "%s-%ld%s", writer->session, (long)getpid(), suffix);
        lt_buf_clear(&path);
        lt_buf_addf(&path, "%s/%s" LT_LOG_SUFFIX, folder, writer->identity);
        const char *name = lt_buf_cstr(&path);
        if (path.failed) {
            code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
            break;
        }
        writer->fd = writer->io->open(writer->io->self, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (writer->fd >= 0) code = LITMUS_OK;
        else if (errno != EEXIST) code = lt_fail_os(error, errno, "create log", name);
    }
    if (code == LITMUS_EBUSY) code = lt_fail(error, LITMUS_EBUSY, 0, "no free name for a log of session %s in %s", writer->session, folder);
    if (code == LITMUS_OK) {
        free(writer->path);
        writer->path = strdup(lt_buf_cstr(&path));
        if (writer->path == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
    }
    lt_buf_release(&path);
    return code;
}

static int take_lock(struct lt_log_writer *writer, struct litmus_error *error) {
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    for (int i = 0;; i++) {
        if (writer->io->flock(writer->io->self, writer->fd, LOCK_EX | LOCK_NB) == 0) return LITMUS_OK;
        if (errno != EWOULDBLOCK || i == LOCK_TRIES_MAX) return lt_fail_os(error, errno, "lock", writer->path);
        nanosleep(&pause, NULL);
    }
}

static int write_start(struct lt_log_writer *writer, struct litmus_error *error) {
    static const unsigned char magic[LT_LOG_START_BYTES] = LT_LOG_MAGIC;
    writer->schema = lt_ipc_schema_new(writer->identity, writer->session);
    lt_buf_clear(&writer->out);
    lt_buf_add(&writer->out, magic, sizeof magic);
    if (writer->schema == NULL || !lt_ipc_schema_encode(writer->schema, &writer->out)) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a log");
    const struct lt_io *io = writer->io;
    ssize_t put = io->write(io->self, writer->fd, writer->out.p, writer->out.n);
    if (put != (ssize_t)writer->out.n) return lt_fail_os(error, put < 0 ? errno : ENOSPC, "write", writer->path);
    writer->size = put;
    return LITMUS_OK;
}

/* The file's content, and its name in every folder that leads to it. */
static int sync_new(struct lt_log_writer *writer, const char *folder, struct litmus_error *error) {
    if (writer->durability == LITMUS_DURABILITY_OS) return LITMUS_OK;
    if (writer->io->fdatasync(writer->io->self, writer->fd) != 0) return lt_fail_os(error, errno, "sync", writer->path);
    return lt_io_sync_dirs(writer->io, folder, writer->data_dir, error);
}

/* Opens a file of this process; on failure none is left behind. */
static int open_file(struct lt_log_writer *writer, struct litmus_error *error) {
    struct lt_buf folder;
    lt_buf_init(&folder);
    int code = make_folder(writer, &folder, error);
    if (code == LITMUS_OK) code = open_new(writer, folder.p, error);
    if (code == LITMUS_OK) code = take_lock(writer, error);
    if (code == LITMUS_OK) code = write_start(writer, error);
    if (code == LITMUS_OK) code = sync_new(writer, folder.p, error);
    if (code == LITMUS_OK) {
        lt_chain_start(writer->chain, writer->identity, writer->last);
        writer->synced_us = lt_monotonic_us();
    } else {
        lt_ipc_schema_free(writer->schema);
        writer->schema = NULL;
        if (writer->fd >= 0) {
            if (writer->path != NULL) writer->io->unlink(writer->io->self, writer->path);
            writer->io->close(writer->io->self, writer->fd);
            writer->fd = -1;
        }
    }
    lt_buf_release(&folder);
    return code;
}

/* The child forgets the parent's file (its lock must not live here); the first append opens one. */
static void in_child(void *self) {
    struct lt_log_writer *writer = self;
    if (writer->fd >= 0) writer->io->close(writer->io->self, writer->fd);
    writer->fd = -1;
    writer->rows = 0;
    writer->size = 0;
    writer->block_count = 0;
    lt_error_clear(&writer->refusal);
    lt_ipc_schema_free(writer->schema);
    writer->schema = NULL;
}

/* ---- appending ---- */
/* After a failure: no append may follow what cannot be undone. */
static int refuse(struct lt_log_writer *writer, const char *why, int os_errno) {
    return lt_fail(&writer->refusal, LITMUS_EIO, os_errno, "the log %s takes no more events: %s", writer->path, why);
}

/* Cuts the file back to its last whole event. */
static void cut_back(struct lt_log_writer *writer) {
    const struct lt_io *io = writer->io;
    if (io->ftruncate(io->self, writer->fd, writer->size) != 0) refuse(writer, "a failed write could not be cut off again", errno);
}

/* One write(2). On failure the file is as it was, or the writer refuses. */
static int put(struct lt_log_writer *writer, struct litmus_error *error) {
    const struct lt_io *io = writer->io;
    ssize_t n = io->write(io->self, writer->fd, writer->out.p, writer->out.n);
    if (n == (ssize_t)writer->out.n) {
        writer->size += n;
        return LITMUS_OK;
    }
    int os_errno = n < 0 ? errno : ENOSPC; /* a file takes less than asked when it is full */
    int code = lt_fail_os(error, os_errno, "write", writer->path);
    cut_back(writer);
    return code;
}

/* A failed sync cannot be undone or tried again (the kernel has dropped what it could not write, and
 * a reader may have the event already): the event stays, unacknowledged, and nothing follows it. */
static int sync_data(struct lt_log_writer *writer, struct litmus_error *error) {
    if (writer->io->fdatasync(writer->io->self, writer->fd) != 0) {
        int os_errno = errno;
        refuse(writer, "it could not be synced", os_errno);
        return lt_fail_os(error, os_errno, "sync", writer->path);
    }
    return LITMUS_OK;
}

static int sync_by_mode(struct lt_log_writer *writer, struct litmus_error *error) {
    switch (writer->durability) {
    case LITMUS_DURABILITY_EACH: return sync_data(writer, error);
    case LITMUS_DURABILITY_GROUP: {
        int64_t now = lt_monotonic_us();
        if (now - writer->synced_us < writer->group_us) return LITMUS_OK;
        writer->synced_us = now;
        return sync_data(writer, error);
    }
    case LITMUS_DURABILITY_DEFAULT:
    case LITMUS_DURABILITY_OS: break;
    }
    return LITMUS_OK;
}

static bool reserve_block(struct lt_log_writer *writer) {
    if (writer->block_count < writer->block_capacity) return true;
    size_t capacity = writer->block_capacity == 0 ? 64 : writer->block_capacity * 2;
    struct lt_ipc_block *blocks = realloc(writer->blocks, capacity * sizeof *blocks);
    if (blocks == NULL) return false;
    writer->blocks = blocks;
    writer->block_capacity = capacity;
    return true;
}

static int append(struct lt_log_writer *writer, struct lt_row *rows, size_t count, struct litmus_error *error) {
    unsigned char last[LT_CHAIN_BYTES];
    memcpy(last, writer->last, sizeof last);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].received_at == 0) rows[i].received_at = lt_now_us();
        lt_chain_next(writer->chain, last, &rows[i], rows[i].chain);
        memcpy(last, rows[i].chain, sizeof last);
    }
    struct lt_ipc_block block = {.offset = writer->size};
    int64_t header_bytes = 0;
    lt_buf_clear(&writer->out);
    int code = lt_layout_encode(&writer->layout, rows, count, &writer->out, &header_bytes, &block.body_bytes, error);
    if (code != LITMUS_OK) return code;
    block.header_bytes = (int32_t)header_bytes;
    if (!reserve_block(writer)) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an event");
    code = put(writer, error);
    if (code != LITMUS_OK) return code;
    writer->blocks[writer->block_count++] = block;
    writer->rows += (int64_t)count;
    memcpy(writer->last, last, sizeof last);
    return sync_by_mode(writer, error);
}

/* Why nothing can be appended or sealed now; opens the file of a forked child. */
static int make_ready(struct lt_log_writer *writer, struct litmus_error *error) {
    if (writer->sealed) return lt_fail(error, LITMUS_ESTATE, 0, "the log %s is sealed", writer->path);
    if (writer->refusal.code != LITMUS_OK) return lt_fail(error, writer->refusal.code, writer->refusal.os_errno, "%s", writer->refusal.text);
    if (writer->fd < 0) return open_file(writer, error);
    return LITMUS_OK;
}

int lt_log_append(struct lt_log_writer *writer, struct lt_row *rows, size_t count, struct litmus_error *error) {
    if (count == 0) return LITMUS_OK;
    pthread_mutex_lock(&writer->mutex);
    int code = make_ready(writer, error);
    if (code == LITMUS_OK) code = append(writer, rows, count, error);
    pthread_mutex_unlock(&writer->mutex);
    return code;
}

/* ---- life cycle ---- */
static void release(struct lt_log_writer *writer) {
    if (writer->fd >= 0) {
        /* Let go by hand: a copy of the descriptor in a process made by vfork would hold it on. */
        writer->io->flock(writer->io->self, writer->fd, LOCK_UN);
        writer->io->close(writer->io->self, writer->fd);
        writer->fd = -1;
    }
}

int lt_log_seal(struct lt_log_writer *writer, struct litmus_error *error) {
    pthread_mutex_lock(&writer->mutex);
    int code = LITMUS_OK;
    if (writer->fd >= 0 || writer->sealed || writer->refusal.code != LITMUS_OK) { /* else: a child that recorded nothing */
        code = make_ready(writer, error);
        lt_buf_clear(&writer->out);
        if (code == LITMUS_OK && !lt_ipc_seal(writer->schema, writer->blocks, writer->block_count, &writer->out))
            code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the footer of %s", writer->path);
        if (code == LITMUS_OK) code = put(writer, error);
        if (code == LITMUS_OK && writer->durability != LITMUS_DURABILITY_OS) code = sync_data(writer, error);
        if (code == LITMUS_OK) {
            writer->sealed = true;
            release(writer);
        }
    }
    pthread_mutex_unlock(&writer->mutex);
    return code;
}

static void writer_destroy(struct lt_log_writer *writer) {
    release(writer);
    lt_ipc_schema_free(writer->schema);
    lt_chain_free(writer->chain);
    lt_buf_release(&writer->out);
    free(writer->blocks);
    free(writer->path);
    free(writer->data_dir);
    pthread_mutex_destroy(&writer->mutex);
    free(writer);
}

void lt_log_writer_free(struct lt_log_writer *writer) {
    if (writer == NULL) return;
    lt_fork_leave(&writer->fork);
    writer_destroy(writer);
}

static int check_options(const struct lt_log_options *options, struct litmus_error *error) {
    const char *session = options->session_id;
    if (options->data_dir == NULL || options->data_dir[0] == '\0') return lt_fail(error, LITMUS_EINVAL, 0, "a log needs a data_dir");
    if (session == NULL || session[0] == '\0' || session[0] == '.' || strlen(session) >= LT_LOG_SESSION_MAX || strchr(session, '/') != NULL ||
        !lt_utf8_valid(session, strlen(session)))
        return lt_fail(error, LITMUS_EINVAL, 0, "the session id %s is no file name of at most %d bytes",
                       session == NULL ? "(none)" : session, LT_LOG_SESSION_MAX - 1);
    return LITMUS_OK;
}

static struct lt_log_writer *writer_new(const struct lt_log_options *options) {
    struct lt_log_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) return NULL;
    pthread_mutex_init(&writer->mutex, NULL);
    writer->fd = -1;
    writer->io = options->io == NULL ? &lt_io_os : options->io;
    writer->durability = options->durability == LITMUS_DURABILITY_DEFAULT ? LITMUS_DURABILITY_OS : options->durability;
    writer->group_us = (int64_t)(options->group_ms > 0 ? options->group_ms : 100) * 1000;
    snprintf(writer->session, sizeof writer->session, "%s", options->session_id); /* fits: checked */
    lt_buf_init(&writer->out);
    writer->data_dir = strdup(options->data_dir);
    writer->chain = lt_chain_new();
    if (writer->data_dir != NULL && writer->chain != NULL && lt_ipc_layout(&writer->layout)) return writer;
    writer_destroy(writer);
    return NULL;
}

int lt_log_create(const struct lt_log_options *options, struct lt_log_writer **out, struct litmus_error *error) {
    int code = check_options(options, error);
    if (code != LITMUS_OK) return code;
    struct lt_log_writer *writer = writer_new(options);
    if (writer == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a log");
    code = open_file(writer, error);
    writer->fork = (struct lt_fork_member){.mutex = &writer->mutex, .in_child = in_child, .self = writer};
    int join_errno = code == LITMUS_OK ? lt_fork_join(&writer->fork) : 0;
    if (join_errno != 0) code = lt_fail_os(error, join_errno, "prepare for fork", writer->path);
    if (code == LITMUS_OK) *out = writer;
    else writer_destroy(writer);
    return code;
}

const char *lt_log_writer_path(const struct lt_log_writer *writer) {
    return writer->path;
}
const char *lt_log_writer_identity(const struct lt_log_writer *writer) {
    return writer->identity;
}
int64_t lt_log_writer_rows(const struct lt_log_writer *writer) {
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&writer->mutex; /* others may append meanwhile */
    pthread_mutex_lock(mutex);
    int64_t rows = writer->rows;
    pthread_mutex_unlock(mutex);
    return rows;
}
