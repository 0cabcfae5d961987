/* SPDX-License-Identifier: Apache-2.0
 *
 * archive.c - hidden file beside the log, sync, read back, rename, sync of the folder. A crash
 * before the rename leaves the log as it was, and a hidden file that the next one replaces.
 */
#include "log/archive.h"

#include "log/packed.h"
#include "log/reader.h"
#include "log/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct archive {
    const struct lt_io *io;
    const char *path, *hidden;
    int fd;
    int64_t offset;
    struct lt_packed *packed;
    struct lt_buf bytes;
    struct lt_ipc_block *blocks;
    size_t count, capacity;
    EVP_MD_CTX *digest;
    struct litmus_error *error;
};

static int no_memory(struct archive *a) {
    return lt_fail(a->error, LITMUS_ENOMEM, 0, "out of memory archiving %s", a->path);
}

/* What is in a->bytes goes to the file. */
static int put(struct archive *a, bool digested) {
    if (a->bytes.failed || (digested && EVP_DigestUpdate(a->digest, a->bytes.p, a->bytes.n) != 1)) return no_memory(a);
    if (lt_io_write_all(a->io, a->fd, a->bytes.p, a->bytes.n, NULL) != 0) return lt_fail_os(a->error, errno, "write", a->hidden);
    a->offset += (int64_t)a->bytes.n;
    lt_buf_clear(&a->bytes);
    return LITMUS_OK;
}

static int put_batch(struct archive *a) {
    if (a->count == a->capacity) {
        size_t capacity = a->capacity == 0 ? 16 : a->capacity * 2;
        struct lt_ipc_block *blocks = realloc(a->blocks, capacity * sizeof *blocks);
        if (blocks == NULL) return no_memory(a);
        a->blocks = blocks;
        a->capacity = capacity;
    }
    struct lt_ipc_block *block = &a->blocks[a->count];
    int64_t header_bytes;
    *block = (struct lt_ipc_block){.offset = a->offset};
    int code = lt_packed_encode(a->packed, &a->bytes, &header_bytes, &block->body_bytes, a->error);
    if (code != LITMUS_OK) return code;
    block->header_bytes = (int32_t)header_bytes;
    a->count++;
    return put(a, true);
}

/* The log has its end, and all before it holds. */
static int check_whole(struct archive *a, const struct lt_log_reader *reader, enum lt_log_status end) {
    if (end == LT_LOG_FAILED) return a->error != NULL && a->error->code != LITMUS_OK ? a->error->code : LITMUS_EIO;
    if (end == LT_LOG_DAMAGED) return lt_fail(a->error, LITMUS_EDAMAGED, 0, "%s is damaged at byte %lld: left as it is; litmus verify says more", a->path,
                                              (long long)lt_log_reader_damage(reader).offset);
    if (end != LT_LOG_SEALED) return lt_fail(a->error, LITMUS_EBUSY, 0, "%s is not sealed: litmus materialize finishes it if its producer is gone", a->path);
    if (!lt_log_reader_chain_ok(reader)) return lt_fail(a->error, LITMUS_EDAMAGED, 0, "the chain of %s does not hold: left as it is; litmus verify says more", a->path);
    return LITMUS_OK;
}

static int put_start(struct archive *a, struct lt_ipc_schema *schema) {
    static const char magic[LT_LOG_START_BYTES] = LT_LOG_MAGIC;
    lt_buf_add(&a->bytes, magic, sizeof magic);
    if (!lt_ipc_schema_put(schema, LT_META_ARCHIVED, "1") || !lt_ipc_schema_encode(schema, &a->bytes)) return no_memory(a);
    return put(a, true);
}

static int put_seal(struct archive *a, struct lt_ipc_schema *schema, const struct lt_seal *seal) {
    char hex[LT_HASH_TEXT];
    if (!lt_digest_text(a->digest, hex) || !lt_ipc_schema_put(schema, LT_META_ARCHIVE_SHA256, hex) || !lt_seal_put(seal, schema) ||
        !lt_ipc_seal(schema, a->blocks, a->count, &a->bytes))
        return no_memory(a);
    return put(a, false);
}

static int copy_rows(struct archive *a, struct lt_log_reader *reader) {
    struct lt_row row;
    struct lt_ipc_schema *schema = NULL;
    enum lt_log_status status;
    int code = LITMUS_OK;
    while (code == LITMUS_OK && (status = lt_log_next(reader, &row, a->error)) == LT_LOG_EVENT) {
        if (schema == NULL) {
            schema = lt_ipc_schema_new(lt_log_reader_identity(reader), lt_log_reader_session(reader));
            code = schema == NULL ? no_memory(a) : put_start(a, schema);
        }
        if (code == LITMUS_OK && !lt_packed_add(a->packed, &row)) code = no_memory(a);
        if (code == LITMUS_OK && lt_packed_is_full(a->packed)) code = put_batch(a);
    }
    if (code == LITMUS_OK) code = check_whole(a, reader, status);
    if (code == LITMUS_OK && lt_packed_rows(a->packed) > 0) code = put_batch(a);
    struct lt_seal seal = lt_log_reader_seal(reader);
    if (code == LITMUS_OK) code = put_seal(a, schema, &seal);
    lt_ipc_schema_free(schema);
    return code;
}

/* ---- reading back ---- */
static bool same_text(struct lt_str a, struct lt_str b) {
    return (a.p == NULL) == (b.p == NULL) && a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static bool same_row(const struct lt_row *a, const struct lt_row *b) {
    return same_text(a->id, b->id) && same_text(a->event_type, b->event_type) && a->occurred_at == b->occurred_at && a->received_at == b->received_at &&
           same_text(a->session_id, b->session_id) && same_text(a->run_id, b->run_id) && same_text(a->json, b->json) &&
           memcmp(a->chain, b->chain, sizeof a->chain) == 0;
}

static bool same_seal(const struct lt_log_reader *old, const struct lt_log_reader *new) {
    struct lt_seal a = lt_log_reader_seal(old), b = lt_log_reader_seal(new);
    return a.is_signed == b.is_signed && a.by_recovery == b.by_recovery && memcmp(a.public_key, b.public_key, sizeof a.public_key) == 0 &&
           memcmp(a.signature, b.signature, sizeof a.signature) == 0;
}

static bool reads_the_same(struct lt_log_reader *old, struct lt_log_reader *new) {
    struct lt_row a, b;
    enum lt_log_status before, after;
    lt_log_reader_check_chain(old);
    lt_log_reader_check_chain(new);
    do {
        before = lt_log_next(old, &a, NULL);
        after = lt_log_next(new, &b, NULL);
    } while (before == LT_LOG_EVENT && after == LT_LOG_EVENT && same_row(&a, &b));
    return before == LT_LOG_SEALED && after == LT_LOG_SEALED && lt_log_reader_chain_ok(old) && lt_log_reader_chain_ok(new) &&
           same_seal(old, new) && strcmp(lt_log_reader_identity(old), lt_log_reader_identity(new)) == 0 && strcmp(lt_log_reader_session(old), lt_log_reader_session(new)) == 0;
}

static int read_back(struct archive *a) {
    struct lt_log_reader *old = NULL, *new = NULL;
    int code = lt_log_reader_open(a->path, &old, a->error);
    if (code == LITMUS_OK) code = lt_log_reader_open(a->hidden, &new, a->error);
    if (code == LITMUS_OK && !reads_the_same(old, new))
        code = lt_fail(a->error, LITMUS_EIO, 0, "what was written for %s does not read back the same: it is left as it is; check the disk", a->path);
    lt_log_reader_free(old);
    lt_log_reader_free(new);
    return code;
}

/* ---- the file ---- */
static int write_hidden(struct archive *a, struct lt_log_reader *reader, const struct stat *st) {
    a->fd = lt_io_open_new(a->io, a->hidden, 0, (unsigned)st->st_mode & 0777);
    if (a->fd < 0) return lt_fail_os(a->error, errno, "create", a->hidden);
    int code = copy_rows(a, reader);
    /* No event of it is later: who looks for recent events need not open it. */
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    (void)!futimens(a->fd, times);
    if (code == LITMUS_OK && a->io->fsync(a->io->self, a->fd) != 0) code = lt_fail_os(a->error, errno, "sync", a->hidden);
    if (a->io->close(a->io->self, a->fd) != 0 && code == LITMUS_OK) code = lt_fail_os(a->error, errno, "close", a->hidden);
    return code;
}

static int replace(struct archive *a, struct lt_log_reader *reader, const struct stat *st, struct lt_log_archived *report) {
    struct stat new;
    struct lt_buf folder;
    lt_buf_init(&folder);
    lt_buf_add(&folder, a->path, (size_t)(strrchr(a->path, '/') - a->path));
    int code = folder.failed ? no_memory(a) : write_hidden(a, reader, st);
    if (code == LITMUS_OK) code = read_back(a);
    if (code == LITMUS_OK && stat(a->hidden, &new) != 0) code = lt_fail_os(a->error, errno, "look at", a->hidden);
    if (code == LITMUS_OK) report->already = new.st_size >= st->st_size; /* a few events do not get smaller */
    if (code == LITMUS_OK && !report->already) report->bytes_after = new.st_size;
    if (code == LITMUS_OK && !report->already && a->io->rename(a->io->self, a->hidden, a->path) != 0) code = lt_fail_os(a->error, errno, "rename to", a->path);
    if (code != LITMUS_OK || report->already) a->io->unlink(a->io->self, a->hidden);
    else code = lt_io_sync_dir(a->io, lt_buf_cstr(&folder), a->error);
    lt_buf_release(&folder);
    return code;
}

/* Reads to the end, for its word on the whole. */
static int survey(struct archive *a, struct lt_log_reader *reader, struct lt_log_archived *report) {
    struct lt_row row;
    enum lt_log_status status;
    while ((status = lt_log_next(reader, &row, a->error)) == LT_LOG_EVENT) report->rows++;
    int code = check_whole(a, reader, status);
    report->already = lt_log_reader_form(reader) == LT_LOG_FORM_ARCHIVED;
    if (code == LITMUS_OK && lt_log_reader_form(reader) == LT_LOG_FORM_OTHER)
        code = lt_fail(a->error, LITMUS_EVERSION, 0, "%s is not in the form that this version writes: left as it is", a->path);
    return code;
}

static int open_archive(struct archive *a) {
    a->packed = lt_packed_new();
    a->digest = EVP_MD_CTX_new();
    if (a->packed == NULL || a->digest == NULL || EVP_DigestInit_ex(a->digest, EVP_sha256(), NULL) != 1) return no_memory(a);
    return LITMUS_OK;
}

static int rewrite(struct archive *a, const struct stat *st, struct lt_log_archived *report) {
    struct lt_log_reader *reader = NULL;
    struct lt_buf hidden;
    lt_buf_init(&hidden);
    const char *name = strrchr(a->path, '/') + 1;
    lt_buf_addf(&hidden, "%.*s.%s.tmp", (int)(name - a->path), a->path, name);
    a->hidden = lt_buf_cstr(&hidden);
    int code = hidden.failed ? no_memory(a) : open_archive(a);
    if (code == LITMUS_OK) code = lt_log_reader_open(a->path, &reader, a->error);
    if (code == LITMUS_OK) {
        lt_log_reader_check_chain(reader);
        code = replace(a, reader, st, report);
    }
    lt_log_reader_free(reader);
    lt_packed_free(a->packed);
    EVP_MD_CTX_free(a->digest);
    free(a->blocks);
    lt_buf_release(&a->bytes);
    lt_buf_release(&hidden);
    return code;
}

int lt_log_archive(const struct lt_io *io, const char *path, bool dry, struct lt_log_archived *report, struct litmus_error *error) {
    struct litmus_error own = {0};
    struct archive a = {.io = io == NULL ? &lt_io_os : io, .path = path, .error = error == NULL ? &own : error};
    struct stat st;
    struct lt_log_reader *reader = NULL;
    *report = (struct lt_log_archived){0};
    if (strchr(path, '/') == NULL) return lt_fail(error, LITMUS_EINVAL, 0, "%s: the path of a log has a folder", path);
    if (lstat(path, &st) != 0) return lt_fail_os(error, errno, "look at", path);
    if (!S_ISREG(st.st_mode)) return lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no plain file: left as it is", path);
    if (lt_log_is_live(path)) return lt_fail(error, LITMUS_EBUSY, 0, "%s is being written", path);
    report->bytes_before = report->bytes_after = st.st_size;
    int code = lt_log_reader_open(path, &reader, a.error);
    if (code == LITMUS_OK) {
        lt_log_reader_check_chain(reader);
        code = survey(&a, reader, report);
    }
    lt_log_reader_free(reader);
    if (code != LITMUS_OK || report->already || report->rows == 0) return code;
    if (dry) report->bytes_after = 0;
    return dry ? LITMUS_OK : rewrite(&a, &st, report);
}
