/* SPDX-License-Identifier: Apache-2.0
 *
 * recover.c - a dead producer's log: keep the torn tail beside it, cut it off, seal.
 *
 * Each step can be the last one before a crash, and starting over ends the same: the evidence
 * appears whole or not at all and always holds the same bytes; cutting is one call; a seal that was
 * written in part is recognised as what we would write, and is no evidence.
 */
#include "log/reader.h"


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads to the end; report gets how it ended. */
static int survey(struct lt_log_reader *reader, struct lt_log_recovery *report, struct litmus_error *error) {
    struct lt_row row;
    bool damaged = false;
    enum lt_log_status status;
    do {
        status = lt_log_next(reader, &row, error);
        if (status == LT_LOG_DAMAGED) damaged = true;
    } while (status == LT_LOG_EVENT || status == LT_LOG_DAMAGED);
    if (status == LT_LOG_FAILED) return error != NULL && error->code != LITMUS_OK ? error->code : LITMUS_EDAMAGED;
    report->end = damaged && status != LT_LOG_SEALED ? LT_LOG_DAMAGED : status;
    report->rows = lt_log_reader_rows(reader);
    return LITMUS_OK;
}

static int read_tail(const char *path, int64_t offset, struct lt_buf *out, struct litmus_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return lt_fail_os(error, errno, "open log", path);
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
        else if (lt_io_read_file(evidence, torn->n, &bytes, &why) != LITMUS_OK) code = lt_fail(error, why.code, why.os_errno, "%s", why.text);
        else if (bytes.n == torn->n && memcmp(bytes.p, torn->p, bytes.n) == 0) {
            *there = true;
            code = LITMUS_OK;
        }
    }
    lt_buf_release(&bytes);
    return code == LITMUS_EBUSY ? lt_fail(error, code, 0, "no free name for the torn end of %s: move its .torn- files away", path) : code;
}

/* Keeps the torn bytes as `{path}.torn-{offset}[-N]`. */
static int keep_evidence(const struct lt_io *io, const char *path, const struct lt_buf *torn, struct lt_log_recovery *report,
                         struct litmus_error *error) {
    struct lt_buf name, folder;
    bool there = false;
    lt_buf_init(&name);
    lt_buf_init(&folder);
    int code = name_evidence(path, torn, report->torn_offset, &name, &there, error);
    if (code == LITMUS_OK && !there) code = lt_io_publish(io, name.p, torn->p, torn->n, error);
    else if (code == LITMUS_OK) { /* whoever wrote it may not have come to this */
        const char *slash = strrchr(path, '/');
        if (slash == NULL) lt_buf_add_char(&folder, '.');
        else lt_buf_add(&folder, path, (size_t)(slash - path));
        code = lt_io_sync_dir(io, lt_buf_cstr(&folder), error);
    }
    if (code == LITMUS_OK) {
        report->torn_bytes = (int64_t)torn->n;
        snprintf(report->evidence, sizeof report->evidence, "%s", name.p);
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

static int append_seal(const struct lt_io *io, int fd, const char *path, int64_t size, const struct lt_buf *seal, struct litmus_error *error) {
    ssize_t put = io->write(io->self, fd, seal->p, seal->n);
    if (put != (ssize_t)seal->n) {
        int code = lt_fail_os(error, put < 0 ? errno : ENOSPC, "seal", path);
        io->ftruncate(io->self, fd, size); /* if this fails too, the next recovery recognises the rest */
        return code;
    }
    if (io->fdatasync(io->self, fd) != 0) return lt_fail_os(error, errno, "sync", path);
    return LITMUS_OK;
}

/* Everything behind the last whole event goes, the seal comes. */
static int mend(const struct lt_io *io, int fd, const char *path, const struct lt_log_reader *reader, struct lt_log_recovery *report,
                struct litmus_error *error) {
    int64_t size = lt_log_reader_offset(reader);
    const struct lt_ipc_schema *schema = lt_log_reader_schema(reader);
    size_t count;
    const struct lt_ipc_block *blocks = lt_log_reader_blocks(reader, &count);
    struct lt_buf torn, seal;
    lt_buf_init(&torn);
    lt_buf_init(&seal);
    int code = read_tail(path, size, &torn, error);
    if (code == LITMUS_OK && schema != NULL && !lt_ipc_seal(schema, blocks, count, &seal))
        code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the footer of %s", path);
    bool half_sealed = torn.n <= seal.n && torn.n > 0 && memcmp(torn.p, seal.p, torn.n) == 0;
    report->torn_offset = size;
    if (code == LITMUS_OK && torn.n > 0 && !half_sealed) code = keep_evidence(io, path, &torn, report, error);
    if (code == LITMUS_OK && torn.n > 0) code = cut(io, fd, path, size, error);
    if (code == LITMUS_OK && schema != NULL) code = append_seal(io, fd, path, size, &seal, error);
    lt_buf_release(&torn);
    lt_buf_release(&seal);
    return code;
}

static int recover_locked(const struct lt_io *io, int fd, const char *path, struct lt_log_recovery *report, struct litmus_error *error) {
    struct lt_log_reader *reader = NULL;
    int code = lt_log_reader_open(path, &reader, error);
    if (code != LITMUS_OK) return code;
    lt_log_reader_keep_blocks(reader);
    code = survey(reader, report, error);
    if (code == LITMUS_OK && report->end != LT_LOG_SEALED) code = mend(io, fd, path, reader, report, error);
    lt_log_reader_free(reader);
    return code;
}

int lt_log_recover(const struct lt_io *io, const char *path, struct lt_log_recovery *report, struct litmus_error *error) {
    struct litmus_error own = {0};
    if (error == NULL) error = &own;
    if (io == NULL) io = &lt_io_os;
    memset(report, 0, sizeof *report);
    int fd = io->open(io->self, path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) return lt_fail_os(error, errno, "open log", path);
    int code = LITMUS_OK;
    if (io->flock(io->self, fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) code = lt_fail(error, LITMUS_EBUSY, errno, "%s is being written", path);
        else code = lt_fail_os(error, errno, "lock", path);
    }
    if (code == LITMUS_OK) code = recover_locked(io, fd, path, report, error);
    io->close(io->self, fd);
    return code;
}

bool lt_log_is_live(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    /* Shared, so that two who ask at the same time do not take each other for the producer. */
    bool live = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return live;
}

bool lt_log_is_sealed(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    struct stat st;
    char magic[LT_LOG_MAGIC_BYTES];
    bool sealed = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > LT_LOG_START_BYTES + LT_LOG_TRAILER_BYTES &&
                  pread(fd, magic, sizeof magic, st.st_size - LT_LOG_MAGIC_BYTES) == LT_LOG_MAGIC_BYTES &&
                  memcmp(magic, LT_LOG_MAGIC, sizeof magic) == 0;
    close(fd);
    return sealed;
}
