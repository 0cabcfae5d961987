/* SPDX-License-Identifier: Apache-2.0 */
#include "log/torn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVIDENCE_MAX = 1000, STEP_BYTES = 64 * 1024 };

/* The end of a file. It may be gigabytes of nothing, so it is never taken into memory as a whole. */
struct tail {
    const char *path;
    int fd;
    int64_t offset, bytes;
};

static int open_tail(const char *path, int64_t offset, struct tail *out, struct litmus_error *error) {
    struct stat st;
    *out = (struct tail){.path = path, .offset = offset, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
    if (out->fd < 0) return lt_fail_os(error, errno, "open", path);
    if (fstat(out->fd, &st) != 0) return lt_fail_os(error, errno, "look at", path);
    out->bytes = st.st_size > offset ? st.st_size - offset : 0;
    return LITMUS_OK;
}

static int looks_the_same(const char *evidence, const struct tail *tail, bool *same, struct litmus_error *error) {
    int fd = open(evidence, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int answer = fd < 0 ? -1 : lt_io_same(fd, 0, tail->fd, tail->offset), os_errno = errno;
    if (fd >= 0) close(fd);
    *same = answer > 0;
    return answer < 0 ? lt_fail_os(error, os_errno, "read", evidence) : LITMUS_OK;
}

/* The name that the torn bytes get, or have already (*there): a recovery that was cut short by a power
 * loss may find others at the same place than it had found before, and both are evidence. */
static int name_evidence(const struct tail *torn, struct lt_buf *name, bool *there, struct litmus_error *error) {
    int code = LITMUS_EBUSY;
    for (int n = 1; code == LITMUS_EBUSY && n <= EVIDENCE_MAX; n++) {
        lt_buf_clear(name);
        lt_buf_addf(name, "%s.torn-%lld", torn->path, (long long)torn->offset);
        if (n > 1) lt_buf_addf(name, "-%d", n);
        struct stat st;
        const char *evidence = lt_buf_cstr(name);
        if (name->failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
        else if (lstat(evidence, &st) != 0) code = errno == ENOENT ? LITMUS_OK : lt_fail_os(error, errno, "look at", evidence);
        else if (st.st_size == torn->bytes && S_ISREG(st.st_mode)) {
            code = looks_the_same(evidence, torn, there, error);
            if (code == LITMUS_OK && !*there) code = LITMUS_EBUSY;
        }
    }
    return code == LITMUS_EBUSY ? lt_fail(error, code, 0, "no free name for the torn end of %s: move its .torn- files away", torn->path) : code;
}

/* Keeps the torn bytes as `{path}.torn-{offset}[-N]`. */
static int keep_evidence(const struct lt_io *io, const struct tail *torn, struct lt_torn *out, struct litmus_error *error) {
    struct lt_buf name, folder;
    bool there = false;
    lt_buf_init(&name);
    lt_buf_init(&folder);
    int code = name_evidence(torn, &name, &there, error);
    if (code == LITMUS_OK && !there) code = lt_io_publish_end(io, name.p, torn->path, torn->offset, error);
    else if (code == LITMUS_OK) { /* whoever wrote it may not have come to this */
        const char *slash = strrchr(torn->path, '/');
        if (slash == NULL) lt_buf_add_char(&folder, '.');
        else lt_buf_add(&folder, torn->path, (size_t)(slash - torn->path));
        code = lt_io_sync_dir(io, lt_buf_cstr(&folder), error);
    }
    if (code == LITMUS_OK) {
        out->bytes = torn->bytes;
        snprintf(out->evidence, sizeof out->evidence, "%s", name.p);
    }
    lt_buf_release(&name);
    lt_buf_release(&folder);
    return code;
}

/* Is the tail a part of the seal that we would write? 1, 0, or -1 and errno. */
static int is_half_sealed(const struct tail *torn, const struct lt_buf *seal) {
    char step[STEP_BYTES];
    if (torn->bytes > (int64_t)seal->n) return 0;
    for (int64_t at = 0; at < torn->bytes;) {
        ssize_t n = lt_io_read_at(torn->fd, step, sizeof step, torn->offset + at);
        if (n < 0) return -1;
        if (n == 0 || n > (int64_t)seal->n - at || memcmp(step, seal->p + at, (size_t)n) != 0) return 0;
        at += n;
    }
    return 1;
}

/* On the disk, too, before anything is written there: or the torn bytes could come back in between. */
static int cut(const struct lt_io *io, int fd, const char *path, int64_t size, struct litmus_error *error) {
    if (io->ftruncate(io->self, fd, size) != 0) return lt_fail_os(error, errno, "cut the torn end off", path);
    return io->fdatasync(io->self, fd) == 0 ? LITMUS_OK : lt_fail_os(error, errno, "sync", path);
}

int lt_torn_cut(const struct lt_io *io, int fd, const char *path, int64_t size, const struct lt_buf *seal, struct lt_torn *out,
                struct litmus_error *error) {
    struct tail torn;
    *out = (struct lt_torn){0};
    int code = open_tail(path, size, &torn, error);
    int half_sealed = code == LITMUS_OK ? is_half_sealed(&torn, seal) : 0;
    if (half_sealed < 0) code = lt_fail_os(error, errno, "read", path);
    if (code == LITMUS_OK && torn.bytes > 0 && !half_sealed) code = keep_evidence(io, &torn, out, error);
    if (code == LITMUS_OK && torn.bytes > 0) code = cut(io, fd, path, size, error);
    if (torn.fd >= 0) close(torn.fd);
    return code;
}

int lt_torn_append(const struct lt_io *io, int fd, const char *path, int64_t size, const struct lt_buf *bytes, const char *what, struct litmus_error *error) {
    ssize_t put = io->write(io->self, fd, bytes->p, bytes->n);
    if (put == (ssize_t)bytes->n) return LITMUS_OK;
    int code = lt_fail_os(error, put < 0 ? errno : lt_io_short_errno(size + (int64_t)bytes->n), what, path);
    io->ftruncate(io->self, fd, size); /* if this fails too, the next recovery finds a torn end again */
    return code;
}
