/* SPDX-License-Identifier: Apache-2.0 */
#include "log/torn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_tail(const char *path, int64_t offset, struct lt_buf *out, struct litmus_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return lt_fail_os(error, errno, "open", path);
    int code = LITMUS_OK;
    for (bool more = true; more && code == LITMUS_OK;) {
        ssize_t got = -1;
        if (!lt_buf_reserve(out, 64 * 1024)) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", path);
        else if ((got = pread(fd, out->p + out->n, out->capacity - out->n, (off_t)(offset + (int64_t)out->n))) < 0 && errno != EINTR)
            code = lt_fail_os(error, errno, "read", path);
        if (got > 0) out->n += (size_t)got;
        more = got != 0;
    }
    close(fd);
    return code;
}

enum { EVIDENCE_MAX = 1000 };

/* The name that the torn bytes get, or have already (*there): a recovery that was cut short by a power
 * loss may find others at the same place than it had found before, and both are evidence. */
static int name_evidence(const char *path, const struct lt_buf *torn, int64_t offset, struct lt_buf *name, bool *there, struct litmus_error *error) {
    struct lt_buf bytes;
    lt_buf_init(&bytes);
    int code = LITMUS_EBUSY;
    for (int n = 1; code == LITMUS_EBUSY && n <= EVIDENCE_MAX; n++) {
        lt_buf_clear(name);
        lt_buf_addf(name, "%s.torn-%lld", path, (long long)offset);
        if (n > 1) lt_buf_addf(name, "-%d", n);
        struct litmus_error why = {0};
        struct stat st;
        const char *evidence = lt_buf_cstr(name);
        lt_buf_clear(&bytes);
        if (name->failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
        else if (lstat(evidence, &st) != 0) code = errno == ENOENT ? LITMUS_OK : lt_fail_os(error, errno, "look at", evidence);
        else if ((size_t)st.st_size != torn->n || !S_ISREG(st.st_mode)) continue;
        else if (lt_io_read_file(evidence, torn->n, &bytes, &why) != LITMUS_OK) code = lt_fail_with(error, &why);
        else if (bytes.n == torn->n && memcmp(bytes.p, torn->p, bytes.n) == 0) {
            *there = true;
            code = LITMUS_OK;
        }
    }
    lt_buf_release(&bytes);
    return code == LITMUS_EBUSY ? lt_fail(error, code, 0, "no free name for the torn end of %s: move its .torn- files away", path) : code;
}

/* Keeps the torn bytes as `{path}.torn-{offset}[-N]`. */
static int keep_evidence(const struct lt_io *io, const char *path, const struct lt_buf *torn, int64_t offset, struct lt_torn *out,
                         struct litmus_error *error) {
    struct lt_buf name, folder;
    bool there = false;
    lt_buf_init(&name);
    lt_buf_init(&folder);
    int code = name_evidence(path, torn, offset, &name, &there, error);
    if (code == LITMUS_OK && !there) code = lt_io_publish(io, name.p, torn->p, torn->n, error);
    else if (code == LITMUS_OK) { /* whoever wrote it may not have come to this */
        const char *slash = strrchr(path, '/');
        if (slash == NULL) lt_buf_add_char(&folder, '.');
        else lt_buf_add(&folder, path, (size_t)(slash - path));
        code = lt_io_sync_dir(io, lt_buf_cstr(&folder), error);
    }
    if (code == LITMUS_OK) {
        out->bytes = (int64_t)torn->n;
        snprintf(out->evidence, sizeof out->evidence, "%s", name.p);
    }
    lt_buf_release(&name);
    lt_buf_release(&folder);
    return code;
}

/* On the disk, too, before anything is written there: or the torn bytes could come back in between. */
static int cut(const struct lt_io *io, int fd, const char *path, int64_t size, struct litmus_error *error) {
    if (io->ftruncate(io->self, fd, size) != 0) return lt_fail_os(error, errno, "cut the torn end off", path);
    return io->fdatasync(io->self, fd) == 0 ? LITMUS_OK : lt_fail_os(error, errno, "sync", path);
}

int lt_torn_cut(const struct lt_io *io, int fd, const char *path, int64_t size, const struct lt_buf *seal, struct lt_torn *out,
                struct litmus_error *error) {
    struct lt_buf torn;
    lt_buf_init(&torn);
    *out = (struct lt_torn){0};
    int code = read_tail(path, size, &torn, error);
    bool half_sealed = torn.n <= seal->n && torn.n > 0 && memcmp(torn.p, seal->p, torn.n) == 0;
    if (code == LITMUS_OK && torn.n > 0 && !half_sealed) code = keep_evidence(io, path, &torn, size, out, error);
    if (code == LITMUS_OK && torn.n > 0) code = cut(io, fd, path, size, error);
    lt_buf_release(&torn);
    return code;
}

int lt_torn_append(const struct lt_io *io, int fd, const char *path, int64_t size, const struct lt_buf *bytes, const char *what, struct litmus_error *error) {
    ssize_t put = io->write(io->self, fd, bytes->p, bytes->n);
    if (put == (ssize_t)bytes->n) return LITMUS_OK;
    int code = lt_fail_os(error, put < 0 ? errno : lt_io_short_errno(size + (int64_t)bytes->n), what, path);
    io->ftruncate(io->self, fd, size); /* if this fails too, the next recovery finds a torn end again */
    return code;
}
