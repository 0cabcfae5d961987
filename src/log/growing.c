/* SPDX-License-Identifier: Apache-2.0 */
#include "log/growing.h"

#include "base/clock.h"
#include "base/grow.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum {
    NAMES_MAX = 10000,   /* -2, -3, ... before giving up */
    LOCK_TRIES_MAX = 50, /* a reader may hold the lock for an instant to see whether we live */
};

int lt_growing_init(struct lt_growing *file, const struct lt_growing_kind *kind, const struct lt_io *io, const char *data_dir,
                    enum litmus_durability durability, int group_ms, struct litmus_error *error) {
    *file = (struct lt_growing){.kind = kind, .io = io == NULL ? &lt_io_os : io, .fd = -1};
    file->durability = durability == LITMUS_DURABILITY_DEFAULT ? LITMUS_DURABILITY_OS : durability;
    file->group_us = (int64_t)(group_ms > 0 ? group_ms : 100) * 1000;
    lt_buf_init(&file->out);
    file->data_dir = strdup(data_dir);
    return file->data_dir != NULL ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a %s", kind->file);
}

static void close_file(struct lt_growing *file) {
    if (file->fd < 0) return;
    /* Let go by hand: a copy of the descriptor in a process made by vfork would hold it on. */
    file->io->flock(file->io->self, file->fd, LOCK_UN);
    file->io->close(file->io->self, file->fd);
    file->fd = -1;
}

static void drop_schema(struct lt_growing *file) {
    lt_ipc_schema_free(file->schema);
    file->schema = NULL;
}

void lt_growing_release(struct lt_growing *file) {
    close_file(file);
    drop_schema(file);
    lt_buf_release(&file->out);
    free(file->blocks);
    free(file->path);
    free(file->data_dir);
}

void lt_growing_forget(struct lt_growing *file) {
    if (file->fd >= 0) file->io->close(file->io->self, file->fd); /* no unlock: that would be the parent's */
    file->fd = -1;
    file->size = 0;
    file->block_count = 0;
    lt_error_clear(&file->refusal);
    drop_schema(file);
}

/* ---- making the file ---- */
static int make_folder(struct lt_growing *file, struct lt_buf *folder, struct litmus_error *error) {
    char date[LT_ISO_BYTES];
    lt_time_date(lt_now_us(), date);
    lt_buf_addf(folder, "%s/%s/%s", file->data_dir, file->kind->folder, date);
    const char *path = lt_buf_cstr(folder);
    if (folder->failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
    return lt_io_mkdirs_below(file->io, file->data_dir, path, error);
}

/* In the folder of another day: a process that comes back to a session may have its old number. */
static bool is_taken_elsewhere(const struct lt_growing *file, const char *name) {
    struct lt_buf path;
    lt_buf_init(&path);
    DIR *dir = opendir(lt_path_join(&path, file->data_dir, file->kind->folder));
    bool taken = false;
    char oldest[LT_ISO_BYTES]; /* no session goes on for so long with a process of that number */
    lt_time_date(lt_now_us() - INT64_C(40) * 24 * 3600 * 1000000, oldest);
    for (const struct dirent *e; dir != NULL && !taken && (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.' || strcmp(e->d_name, oldest) < 0) continue;
        lt_buf_clear(&path);
        lt_buf_addf(&path, "%s/%s/%s/%s" LT_LOG_SUFFIX, file->data_dir, file->kind->folder, e->d_name, name);
        taken = access(lt_buf_cstr(&path), F_OK) == 0;
    }
    if (dir != NULL) closedir(dir);
    lt_buf_release(&path);
    return taken;
}

/* Opens the first free name; *name gets it without .arrow. */
static int open_new(struct lt_growing *file, const char *folder, const char *stem, struct lt_buf *name, struct litmus_error *error) {
    const struct lt_io *io = file->io;
    struct lt_buf path;
    lt_buf_init(&path);
    int code = LITMUS_EBUSY;
    int64_t first = file->number > 1 ? file->number : 1;
    for (int64_t n = first; code == LITMUS_EBUSY && n < first + NAMES_MAX; n++) {
        lt_buf_clear(name);
        lt_buf_add_text(name, stem);
        if (n > 1) lt_buf_addf(name, "-%lld", (long long)n);
        lt_buf_clear(&path);
        lt_buf_addf(&path, "%s/%s" LT_LOG_SUFFIX, folder, lt_buf_cstr(name));
        if (file->not_first && (access(lt_buf_cstr(&path), F_OK) == 0 || is_taken_elsewhere(file, lt_buf_cstr(name)))) continue;
        const char *text = lt_buf_cstr(&path);
        if (path.failed || name->failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
        else if ((file->fd = io->open(io->self, text, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666)) >= 0) code = LITMUS_OK;
        else if (errno != EEXIST) {
            int os_errno = errno;
            lt_buf_clear(name);
            lt_buf_addf(name, "create %s", file->kind->file);
            code = lt_fail_os(error, os_errno, lt_buf_cstr(name), text);
        }
    }
    if (code == LITMUS_EBUSY) code = lt_fail(error, code, 0, "no free name for the %s %s in %s", file->kind->file, stem, folder);
    if (code == LITMUS_OK) {
        free(file->path);
        file->path = strdup(lt_buf_cstr(&path));
        if (file->path == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
    }
    lt_buf_release(&path);
    return code;
}

static int take_lock(struct lt_growing *file, struct litmus_error *error) {
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    for (int i = 0;; i++) {
        if (file->io->flock(file->io->self, file->fd, LOCK_EX | LOCK_NB) == 0) return LITMUS_OK;
        if (errno != EWOULDBLOCK || i == LOCK_TRIES_MAX) return lt_fail_os(error, errno, "lock", file->path);
        nanosleep(&pause, NULL);
    }
}

static int write_start(struct lt_growing *file, struct litmus_error *error) {
    static const unsigned char magic[LT_LOG_START_BYTES] = LT_LOG_MAGIC;
    lt_buf_clear(&file->out);
    lt_buf_add(&file->out, magic, sizeof magic);
    if (file->schema == NULL || !lt_ipc_schema_encode(file->schema, &file->out))
        return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a %s", file->kind->file);
    const struct lt_io *io = file->io;
    ssize_t put = io->write(io->self, file->fd, file->out.p, file->out.n);
    if (put != (ssize_t)file->out.n) return lt_fail_os(error, put < 0 ? errno : lt_io_short_errno((int64_t)file->out.n), "write", file->path);
    file->size = put;
    return LITMUS_OK;
}

/* The file's content, and its name in every folder that leads to it. */
static int sync_new(struct lt_growing *file, const char *folder, struct litmus_error *error) {
    if (file->durability == LITMUS_DURABILITY_OS) return LITMUS_OK;
    if (file->io->fdatasync(file->io->self, file->fd) != 0) return lt_fail_os(error, errno, "sync", file->path);
    return lt_io_sync_dirs(file->io, folder, file->data_dir, true, error);
}

int lt_growing_open(struct lt_growing *file, const char *stem, struct lt_ipc_schema *(*schema)(void *self, const char *name), void *self,
                    struct litmus_error *error) {
    struct lt_buf folder, name;
    lt_buf_init(&folder);
    lt_buf_init(&name);
    int code = make_folder(file, &folder, error);
    if (code == LITMUS_OK) code = open_new(file, folder.p, stem, &name, error);
    if (code == LITMUS_OK) code = take_lock(file, error);
    if (code == LITMUS_OK) file->schema = schema(self, lt_buf_cstr(&name));
    if (code == LITMUS_OK) code = write_start(file, error);
    if (code == LITMUS_OK) code = sync_new(file, folder.p, error);
    if (code == LITMUS_OK) {
        file->synced_us = lt_monotonic_us();
    } else {
        if (file->fd >= 0 && file->path != NULL) file->io->unlink(file->io->self, file->path);
        close_file(file);
        drop_schema(file);
    }
    lt_buf_release(&folder);
    lt_buf_release(&name);
    return code;
}

/* ---- growing ---- */
/* After a failure: nothing may follow what cannot be undone. */
static int refuse(struct lt_growing *file, const char *why, int os_errno) {
    return lt_fail(&file->refusal, LITMUS_EIO, os_errno, "the %s %s takes no more %s: %s", file->kind->file, file->path, file->kind->content, why);
}

int lt_growing_ready(const struct lt_growing *file, struct litmus_error *error) {
    if (file->sealed) return lt_fail(error, LITMUS_ESTATE, 0, "the %s %s is sealed", file->kind->file, file->path);
    if (file->refusal.code != LITMUS_OK) return lt_fail_with(error, &file->refusal);
    return LITMUS_OK;
}

int lt_growing_reserve(struct lt_growing *file, struct litmus_error *error) {
    struct lt_ipc_block *blocks = lt_grow_list(file->blocks, file->block_count, &file->block_capacity, sizeof *blocks);
    if (blocks == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for more %s", file->kind->content);
    file->blocks = blocks;
    return LITMUS_OK;
}

int lt_growing_write(struct lt_growing *file, const void *bytes, size_t n, struct litmus_error *error) {
    const struct lt_io *io = file->io;
    ssize_t done = io->write(io->self, file->fd, bytes, n);
    if (done == (ssize_t)n) return LITMUS_OK;
    int code = lt_fail_os(error, done < 0 ? errno : lt_io_short_errno(file->size + (int64_t)n), "write", file->path);
    if (io->ftruncate(io->self, file->fd, file->size) != 0) refuse(file, "a failed write could not be cut off again", errno);
    return code;
}

void lt_growing_add(struct lt_growing *file, int64_t header_bytes, int64_t body_bytes) {
    file->blocks[file->block_count++] = (struct lt_ipc_block){.offset = file->size, .header_bytes = (int32_t)header_bytes, .body_bytes = body_bytes};
    file->size += header_bytes + body_bytes;
}

static int sync_data(struct lt_growing *file, struct litmus_error *error) {
    if (file->io->fdatasync(file->io->self, file->fd) == 0) return LITMUS_OK;
    int os_errno = errno;
    refuse(file, "it could not be synced", os_errno);
    return lt_fail_os(error, os_errno, "sync", file->path);
}

int lt_growing_sync(struct lt_growing *file, struct litmus_error *error) {
    switch (file->durability) {
    case LITMUS_DURABILITY_EACH: return sync_data(file, error);
    case LITMUS_DURABILITY_GROUP: {
        int64_t now = lt_monotonic_us();
        if (now - file->synced_us < file->group_us) return LITMUS_OK;
        file->synced_us = now;
        return sync_data(file, error);
    }
    case LITMUS_DURABILITY_DEFAULT:
    case LITMUS_DURABILITY_OS: break;
    }
    return LITMUS_OK;
}

int lt_growing_seal(struct lt_growing *file, const struct lt_ipc_schema *footer, struct litmus_error *error) {
    lt_buf_clear(&file->out);
    if (!lt_ipc_seal(footer == NULL ? file->schema : footer, file->blocks, file->block_count, &file->out))
        return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the footer of %s", file->path);
    int code = lt_growing_write(file, file->out.p, file->out.n, error);
    if (code == LITMUS_OK) file->size += (int64_t)file->out.n;
    if (code == LITMUS_OK && file->durability != LITMUS_DURABILITY_OS) code = sync_data(file, error);
    if (code != LITMUS_OK) return code;
    file->sealed = true;
    close_file(file);
    return LITMUS_OK;
}
