/* SPDX-License-Identifier: Apache-2.0
 *
 * recover.c - a dead producer's log: its torn end goes (torn.h), the seal comes.
 */
#include "log/reader.h"
#include "log/seal.h"
#include "log/torn.h"

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

static int make_seal(const struct lt_log_reader *reader, const struct lt_key *key, const char *path, struct lt_buf *out, struct litmus_error *error) {
    struct lt_head head = lt_log_reader_head(reader);
    struct lt_seal signature;
    size_t count;
    const struct lt_ipc_block *blocks = lt_log_reader_blocks(reader, &count);
    struct lt_ipc_schema *footer = lt_ipc_schema_copy(lt_log_reader_schema(reader));
    int code = lt_seal_sign(key, &head, true, &signature, error);
    if (code == LITMUS_OK && (footer == NULL || !lt_seal_put(&signature, footer) || !lt_ipc_seal(footer, blocks, count, out)))
        code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the footer of %s", path);
    lt_ipc_schema_free(footer);
    return code;
}

/* Everything behind the last whole event goes, the seal comes. A log without a whole schema gets empty. */
static int mend(const struct lt_io *io, int fd, const char *path, const struct lt_log_reader *reader, const struct lt_key *key, struct lt_log_recovery *report,
                struct litmus_error *error) {
    int64_t size = lt_log_reader_offset(reader);
    const struct lt_ipc_schema *schema = lt_log_reader_schema(reader);
    struct lt_buf seal;
    struct lt_torn torn = {0};
    lt_buf_init(&seal);
    int code = schema == NULL ? LITMUS_OK : make_seal(reader, lt_log_reader_chain_ok(reader) ? key : NULL, path, &seal, error);
    if (code == LITMUS_OK) code = lt_torn_cut(io, fd, path, size, &seal, &torn, error);
    report->torn_offset = size;
    report->torn_bytes = torn.bytes;
    snprintf(report->evidence, sizeof report->evidence, "%s", torn.evidence);
    if (code == LITMUS_OK && schema != NULL) code = lt_torn_append(io, fd, path, size, &seal, "seal", error);
    if (code == LITMUS_OK && schema != NULL && io->fdatasync(io->self, fd) != 0) code = lt_fail_os(error, errno, "sync", path);
    lt_buf_release(&seal);
    return code;
}

static int recover_locked(const struct lt_io *io, int fd, const char *path, const struct lt_key *key, struct lt_log_recovery *report, struct litmus_error *error) {
    struct lt_log_reader *reader = NULL;
    int code = lt_log_reader_open(path, &reader, error);
    if (code != LITMUS_OK) return code;
    lt_log_reader_keep_blocks(reader);
    lt_log_reader_check_chain(reader);
    code = survey(reader, report, error);
    if (code == LITMUS_OK && report->end != LT_LOG_SEALED) code = mend(io, fd, path, reader, key, report, error);
    if (code == LITMUS_OK) report->head = lt_log_reader_head(reader);
    lt_log_reader_free(reader);
    return code;
}

int lt_log_recover(const struct lt_io *io, const char *path, const struct lt_key *key, struct lt_log_recovery *report, struct litmus_error *error) {
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
    if (code == LITMUS_OK) code = recover_locked(io, fd, path, key, report, error);
    io->close(io->self, fd);
    return code;
}

static enum lt_life cannot_ask(int os_errno, const char *path, struct litmus_error *error) {
    struct litmus_error why = {0};
    lt_fail_os(&why, os_errno, "see whether somebody writes", path);
    if (!lt_error_is_refusal(&why)) return LT_LIFE_NONE;
    lt_fail_with(error, &why);
    return LT_LIFE_UNKNOWN;
}

enum lt_life lt_log_life(const char *path, struct litmus_error *error) {
    int fd, rc;
    do fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return cannot_ask(errno, path, error);
    /* Shared, so that two who ask at the same time do not take each other for the producer. */
    do rc = flock(fd, LOCK_SH | LOCK_NB);
    while (rc != 0 && errno == EINTR);
    int os_errno = errno;
    close(fd);
    if (rc == 0) return LT_LIFE_NONE;
    return os_errno == EWOULDBLOCK ? LT_LIFE_WRITING : cannot_ask(os_errno, path, error);
}

bool lt_log_is_live(const char *path) {
    return lt_log_life(path, NULL) != LT_LIFE_NONE;
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
