/* SPDX-License-Identifier: Apache-2.0 */
#include "log/reader.h"

#include "base/hex.h"
#include "log/seal.h"
#include "log/window.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct lt_log_reader {
    char *path;
    struct lt_window window;
    struct lt_layout layout;
    struct lt_ipc_decoder *decoder;
    /* from the schema */
    struct lt_ipc_schema *schema;
    char identity[LT_LOG_IDENTITY_MAX], session[LT_LOG_SESSION_MAX];
    bool archived; /* it is the one of archive.c: the footer has the hash of all before it */
    bool ours; /* the schema message is the one that this version writes: batches fit the layout */
    /* where we are */
    int64_t offset; /* first byte not consumed */
    int64_t schema_end;
    bool sealed;
    bool sought; /* what came before was not read: the footer cannot be judged */
    struct lt_batch batch;
    int64_t batch_next; /* row of the batch to give next */
    int64_t row_offset;
    int64_t rows;
    struct lt_log_damage damage;
    int64_t scanned_offset, scanned_size; /* nothing whole was found from there in a file of that size */
    /* what the footer has to list */
    uint64_t blocks_hash;
    size_t block_count;
    bool keep_blocks;
    struct lt_ipc_block *blocks;
    size_t block_capacity;
    /* chain */
    struct lt_chain *chain; /* NULL: not asked for */
    bool chain_ok;
    unsigned char last[LT_CHAIN_BYTES];
    struct lt_seal seal; /* as the footer says */
};

/* What is at some offset. */
enum verdict { IS_BATCH, IS_END, IS_SHORT, IS_BAD };

/* ---- open ---- */
static int open_path(const char *path, int *out, struct litmus_error *error) {
    int fd;
    do fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe of that name must not hang us */
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return lt_fail_os(error, errno, "open log", path);
    struct stat st;
    int code = LITMUS_OK;
    if (fstat(fd, &st) != 0) code = lt_fail_os(error, errno, "stat", path);
    else if (!S_ISREG(st.st_mode)) code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no log: not a plain file", path);
    if (code != LITMUS_OK) close(fd);
    else *out = fd;
    return code;
}

int lt_log_reader_open(const char *path, struct lt_log_reader **out, struct litmus_error *error) {
    int fd = -1;
    int code = open_path(path, &fd, error);
    if (code != LITMUS_OK) return code;
    struct lt_log_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        close(fd);
        return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", path);
    }
    lt_window_init(&reader->window, fd);
    reader->chain_ok = true;
    reader->scanned_offset = -1;
    reader->row_offset = -1;
    reader->path = strdup(path);
    reader->decoder = lt_ipc_decoder_new();
    if (reader->path == NULL || reader->decoder == NULL || !lt_ipc_layout(&reader->layout)) {
        lt_log_reader_free(reader);
        return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", path);
    }
    *out = reader;
    return LITMUS_OK;
}

void lt_log_reader_free(struct lt_log_reader *reader) {
    if (reader == NULL) return;
    close(reader->window.fd);
    lt_window_release(&reader->window);
    lt_ipc_decoder_free(reader->decoder);
    lt_ipc_schema_free(reader->schema);
    lt_chain_free(reader->chain);
    free(reader->blocks);
    free(reader->path);
    free(reader);
}

static enum lt_log_status fail_read(struct lt_log_reader *reader, struct litmus_error *error) {
    if (reader->window.os_errno == ENOMEM) lt_fail(error, LITMUS_ENOMEM, ENOMEM, "out of memory reading %s", reader->path);
    else lt_fail_os(error, reader->window.os_errno, "read", reader->path);
    return LT_LOG_FAILED;
}

/* What cannot be told for want of memory is no damage: whoever reads on is told of the memory. */
static void starve(struct lt_log_reader *reader) {
    reader->window.os_errno = ENOMEM;
}

static enum lt_log_status fail_foreign(struct lt_log_reader *reader, const char *what, struct litmus_error *error) {
    lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no log that can be read: %s", reader->path, what);
    return LT_LOG_FAILED;
}

/* ---- the start: magic and schema ---- */
static bool is_ours(struct lt_log_reader *reader, bool archived, const unsigned char *message, int64_t n, bool *same_length) {
    struct lt_ipc_schema *schema = lt_ipc_schema_new(reader->identity, reader->session);
    struct lt_buf expected;
    lt_buf_init(&expected);
    bool ok = schema != NULL && (!archived || lt_ipc_schema_put(schema, LT_META_ARCHIVED, "1")) && lt_ipc_schema_encode(schema, &expected);
    if (!ok) starve(reader);
    ok = ok && (int64_t)expected.n == n;
    if (ok) *same_length = true;
    ok = ok && memcmp(expected.p, message, (size_t)n) == 0;
    lt_buf_release(&expected);
    lt_ipc_schema_free(schema);
    return ok;
}

static enum lt_log_status check_version(struct lt_log_reader *reader, struct litmus_error *error) {
    char version[16];
    if (!lt_ipc_schema_text(reader->schema, LT_META_VERSION, version, sizeof version)) return LT_LOG_EVENT; /* the first logs had none */
    char *end;
    long number = strtol(version, &end, 10);
    if (end == version || *end != '\0' || number < 1) return fail_foreign(reader, "its " LT_META_VERSION " is no number", error);
    if (number <= LT_LOG_VERSION) return LT_LOG_EVENT;
    lt_fail(error, LITMUS_EVERSION, 0, "%s has log version %ld, this litmus reads up to %d: use a newer litmus", reader->path, number, LT_LOG_VERSION);
    return LT_LOG_FAILED;
}

/* Identity and session; the one starts with the other, and the chain vouches for the one. */
static bool take_metadata(struct lt_log_reader *reader) {
    bool identity = lt_ipc_schema_text(reader->schema, LT_META_IDENTITY, reader->identity, sizeof reader->identity);
    bool session = lt_ipc_schema_text(reader->schema, LT_META_SESSION, reader->session, sizeof reader->session);
    size_t n = strlen(reader->session);
    return identity && session && n > 0 && strncmp(reader->identity, reader->session, n) == 0 && reader->identity[n] == '-';
}

static enum lt_log_status take_schema(struct lt_log_reader *reader, const unsigned char *message, int64_t n, struct litmus_error *error) {
    lt_ipc_schema_free(reader->schema);
    reader->schema = NULL;
    const char *wrong = lt_ipc_decode_schema(reader->decoder, message, n, &reader->schema);
    if (wrong == lt_ipc_no_memory) starve(reader);
    if (reader->window.os_errno != 0) return fail_read(reader, error);
    if (wrong != NULL) return fail_foreign(reader, wrong, error);
    enum lt_log_status status = check_version(reader, error);
    if (status != LT_LOG_EVENT) return status;
    bool same_length = false, metadata = take_metadata(reader);
    reader->ours = metadata && is_ours(reader, false, message, n, &same_length);
    reader->archived = !reader->ours && metadata && is_ours(reader, true, message, n, &same_length);
    if (reader->window.os_errno != 0) return fail_read(reader, error);
    /* A bit of ours was changed: ours has all of its metadata, and this length. The chain is over these columns: of one more nobody knows from whom it is. */
    if (!reader->ours && !reader->archived && (same_length || !metadata || !lt_ipc_schema_is_of_log(reader->schema))) reader->chain_ok = false;
    if (reader->chain != NULL) lt_chain_start(reader->chain, reader->identity, reader->last);
    return LT_LOG_EVENT;
}

/* LT_LOG_EVENT: the schema is there and events may follow. */
static enum lt_log_status start(struct lt_log_reader *reader, struct litmus_error *error) {
    static const unsigned char magic[LT_LOG_START_BYTES] = LT_LOG_MAGIC;
    const int64_t prefix_end = LT_LOG_START_BYTES + LT_LOG_PREFIX_BYTES;
    int64_t have;
    const unsigned char *bytes = lt_window_at(&reader->window, 0, prefix_end, &have);
    if (reader->window.os_errno != 0) return fail_read(reader, error);
    if (have == 0) return LT_LOG_OPEN;
    size_t compare = have < LT_LOG_START_BYTES ? (size_t)have : LT_LOG_START_BYTES;
    if (memcmp(bytes, magic, compare) != 0) return fail_foreign(reader, "it does not start as an Arrow file", error);
    if (have < prefix_end) return LT_LOG_TORN;
    int64_t length = lt_get32(bytes + LT_LOG_START_BYTES + 4);
    if (lt_get32(bytes + LT_LOG_START_BYTES) != -1 || length <= 0 || length % LT_LOG_ALIGN != 0 || length > LT_LOG_HEADER_MAX)
        return fail_foreign(reader, "no schema follows the magic", error);
    bytes = lt_window_at(&reader->window, 0, prefix_end + length, &have);
    if (reader->window.os_errno != 0) return fail_read(reader, error);
    if (have < prefix_end + length) return LT_LOG_TORN;
    enum lt_log_status status = take_schema(reader, bytes + LT_LOG_START_BYTES, LT_LOG_PREFIX_BYTES + length, error);
    if (status == LT_LOG_EVENT) reader->offset = reader->schema_end = prefix_end + length;
    return status;
}

/* ---- one message ---- */
/* A batch as this version writes it: nothing but comparing. */
static enum verdict try_ours(struct lt_log_reader *reader, int64_t offset, struct lt_batch *batch) {
    int64_t have, want = reader->layout.header_bytes;
    for (;;) {
        const unsigned char *bytes = lt_window_at(&reader->window, offset, want, &have);
        if (have < want) return IS_SHORT;
        switch (lt_layout_match(&reader->layout, bytes, have, batch)) {
        case LT_MATCH_OK: return IS_BATCH;
        case LT_MATCH_OTHER: return IS_BAD;
        case LT_MATCH_SHORT: want = batch->header_bytes + batch->body_bytes;
        }
    }
}

/* Any other batch, by the Arrow library. */
static enum verdict try_other(struct lt_log_reader *reader, int64_t offset, int64_t header_bytes, struct lt_batch *batch, const char **what) {
    int64_t have, body_bytes = 0;
    const unsigned char *bytes = lt_window_at(&reader->window, offset, header_bytes, &have);
    if (have < header_bytes) return IS_SHORT;
    *what = lt_ipc_decode_header(reader->decoder, bytes, header_bytes, &body_bytes);
    if (*what == lt_ipc_no_memory) starve(reader);
    if (*what != NULL) return IS_BAD;
    bytes = lt_window_at(&reader->window, offset, header_bytes + body_bytes, &have);
    *what = "the file ends inside a message";
    if (have < header_bytes + body_bytes) return IS_SHORT;
    /* Again, as the decoder points into the bytes, which may have moved. */
    *what = lt_ipc_decode_header(reader->decoder, bytes, header_bytes, &body_bytes);
    if (*what == NULL) *what = lt_ipc_decode_body(reader->decoder, bytes, batch);
    if (*what == lt_ipc_no_memory) starve(reader);
    return *what == NULL ? IS_BATCH : IS_BAD;
}

/* What is at `offset`? Scanning for the next event takes only what is beyond doubt. */
static enum verdict try_message(struct lt_log_reader *reader, int64_t offset, bool scanning, struct lt_batch *batch, const char **what) {
    int64_t have;
    const unsigned char *bytes = lt_window_at(&reader->window, offset, LT_LOG_PREFIX_BYTES, &have);
    *what = "the file ends inside a message";
    if (have < LT_LOG_PREFIX_BYTES) return IS_SHORT;
    int64_t length = lt_get32(bytes + 4);
    bool marked = lt_get32(bytes) == -1;
    if (marked && length == 0) return IS_END;
    if (!marked || length < 0 || length % LT_LOG_ALIGN != 0 || length > LT_LOG_HEADER_MAX - LT_LOG_PREFIX_BYTES) {
        *what = "no message starts here";
        return IS_BAD;
    }
    enum verdict verdict = IS_BAD;
    int64_t header_bytes = LT_LOG_PREFIX_BYTES + length;
    if (reader->ours && header_bytes == reader->layout.header_bytes) verdict = try_ours(reader, offset, batch);
    if (verdict == IS_BAD && !(scanning && reader->ours)) {
        verdict = try_other(reader, offset, header_bytes, batch, what);
        if (verdict == IS_BATCH && reader->ours) reader->chain_ok = false; /* not the writer's bytes */
    }
    if (verdict == IS_BATCH) {
        *what = lt_batch_check(batch);
        if (*what != NULL) verdict = IS_BAD;
    }
    return verdict;
}

/* ---- the end: EOS, footer, magic ---- */
/* Where the EOS of a sealed log is, by its end; -1 if it is none. */
static int64_t find_seal(struct lt_log_reader *reader, int64_t size) {
    int64_t have, at = (size - LT_LOG_TRAILER_BYTES) & ~(int64_t)7;
    if (at < LT_LOG_START_BYTES) return -1;
    const unsigned char *bytes = lt_window_at(&reader->window, at, size - at, &have);
    const unsigned char *trailer = bytes + (size - LT_LOG_TRAILER_BYTES - at);
    if (have != size - at || memcmp(trailer + 4, LT_LOG_MAGIC, LT_LOG_MAGIC_BYTES) != 0) return -1;
    int64_t footer_bytes = lt_get32(trailer);
    int64_t eos = size - LT_LOG_TRAILER_BYTES - footer_bytes - LT_LOG_PREFIX_BYTES;
    if (footer_bytes <= 0 || eos < LT_LOG_START_BYTES || eos % LT_LOG_ALIGN != 0) return -1;
    bytes = lt_window_at(&reader->window, eos, LT_LOG_PREFIX_BYTES, &have);
    if (have < LT_LOG_PREFIX_BYTES || lt_get32(bytes) != -1 || lt_get32(bytes + 4) != 0) return -1;
    return eos;
}

static uint64_t mix(uint64_t hash, int64_t number) {
    hash = (hash ^ (uint64_t)number) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

static uint64_t mix_block(uint64_t hash, const struct lt_ipc_block *block) {
    return mix(mix(mix(hash, block->offset), block->header_bytes), block->body_bytes);
}

/* What an archive's footer has to say of the bytes before it. */
static bool hash_archive(struct lt_log_reader *reader, int64_t end, char hex[LT_HASH_TEXT]) {
    enum { PIECE = 256 * 1024 };
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool ok = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1;
    for (int64_t at = 0; ok && at < end;) {
        int64_t have, want = end - at < PIECE ? end - at : PIECE;
        const unsigned char *bytes = lt_window_at(&reader->window, at, want, &have);
        ok = have >= want && EVP_DigestUpdate(digest, bytes, (size_t)want) == 1;
        at += want;
    }
    ok = ok && lt_digest_text(digest, hex);
    EVP_MD_CTX_free(digest);
    return ok;
}

/* The schema of the footer with which this version, or archive.c, ends what is before it. NULL: out of memory. */
static struct lt_ipc_schema *expected_footer(struct lt_log_reader *reader) {
    char hex[LT_HASH_TEXT];
    struct lt_ipc_schema *schema = lt_ipc_schema_new(reader->identity, reader->session);
    bool ok = schema != NULL;
    if (ok && reader->archived)
        ok = hash_archive(reader, reader->offset, hex) && lt_ipc_schema_put(schema, LT_META_ARCHIVED, "1") && lt_ipc_schema_put(schema, LT_META_ARCHIVE_SHA256, hex);
    if (ok && lt_seal_put(&reader->seal, schema)) return schema;
    lt_ipc_schema_free(schema);
    return NULL;
}

/* Are the last `n` bytes of the file, from the EOS on, exactly the expected ones? */
static bool seal_is_exact(struct lt_log_reader *reader, int64_t n) {
    struct lt_buf expected;
    lt_buf_init(&expected);
    struct lt_ipc_schema *schema = expected_footer(reader);
    int64_t have;
    size_t count;
    const unsigned char *listed, *bytes = lt_window_at(&reader->window, reader->offset, n, &have);
    bool same = schema != NULL && have >= n && lt_ipc_footer(reader->decoder, bytes + LT_LOG_PREFIX_BYTES, n - LT_LOG_PREFIX_BYTES, &listed, &count);
    struct lt_ipc_block *blocks = same ? calloc(count + 1, sizeof *blocks) : NULL;
    for (size_t i = 0; blocks != NULL && i < count; i++) blocks[i] = lt_ipc_block_at(listed, i);
    bool made = blocks != NULL && lt_ipc_seal(schema, blocks, count, &expected);
    if (schema == NULL || (same && !made)) starve(reader);
    same = made && (int64_t)expected.n == n && memcmp(expected.p, bytes, (size_t)n) == 0;
    free(blocks);
    lt_buf_release(&expected);
    lt_ipc_schema_free(schema);
    return same;
}

/* Whoever asked for the chain: are the bytes of the end right, and its signature? */
static void prove_end(struct lt_log_reader *reader, int64_t n) {
    struct lt_head head = lt_log_reader_head(reader);
    if ((reader->ours || reader->archived) && !seal_is_exact(reader, n)) reader->chain_ok = false;
    reader->seal.holds = lt_seal_holds(&reader->seal, &head);
    if (reader->seal.is_signed && !reader->seal.holds) reader->chain_ok = false;
}

/* NULL if the footer lists exactly the batches that were read. */
static const char *check_footer(struct lt_log_reader *reader, int64_t size) {
    int64_t have, n = size - reader->offset;
    const unsigned char *listed, *bytes = lt_window_at(&reader->window, reader->offset, n, &have);
    size_t count;
    if (have < n || !lt_ipc_footer(reader->decoder, bytes + LT_LOG_PREFIX_BYTES, n - LT_LOG_PREFIX_BYTES, &listed, &count)) return "the footer cannot be read";
    uint64_t hash = 0;
    for (size_t i = 0; i < count; i++) {
        struct lt_ipc_block block = lt_ipc_block_at(listed, i);
        hash = mix_block(hash, &block);
    }
    if (reader->sought) return NULL;
    if (count != reader->block_count || hash != reader->blocks_hash) return "the footer lists other events than there are";
    if (!lt_seal_read(bytes + LT_LOG_PREFIX_BYTES, &reader->seal)) {
        reader->seal = (struct lt_seal){0};
        reader->chain_ok = false;
    }
    if (reader->chain != NULL) prove_end(reader, n);
    return NULL;
}

static enum lt_log_status pass_over(struct lt_log_reader *reader, int64_t to, const char *what) {
    reader->damage = (struct lt_log_damage){.offset = reader->offset, .bytes = to - reader->offset, .what = what};
    reader->offset = to;
    reader->chain_ok = false;
    return LT_LOG_DAMAGED;
}

/* ---- behind damage ---- */
/* Offset of the next whole event behind the current one, -1 if there is none. */
static int64_t scan(struct lt_log_reader *reader) {
    struct lt_batch batch;
    for (int64_t at = reader->offset + LT_LOG_ALIGN;; at += LT_LOG_ALIGN) {
        int64_t have;
        const unsigned char *bytes = lt_window_at(&reader->window, at, LT_LOG_PREFIX_BYTES, &have);
        if (have < LT_LOG_PREFIX_BYTES) return -1;
        int64_t i = 0;
        while (i + LT_LOG_PREFIX_BYTES <= have && lt_get32(bytes + i) != -1) i += LT_LOG_ALIGN;
        if (i + LT_LOG_PREFIX_BYTES > have) {
            at = lt_io_next_data(reader->window.fd, at + i) / LT_LOG_ALIGN * LT_LOG_ALIGN - LT_LOG_ALIGN; /* none in these, nor in a hole */
            continue;
        }
        at += i;
        const char *what;
        if (try_message(reader, at, true, &batch, &what) == IS_BATCH) return at;
    }
}

/* Nothing whole is at the offset: either more follows (damage) or it is the torn end. */
static enum lt_log_status resync(struct lt_log_reader *reader, const char *what, struct litmus_error *error) {
    int64_t size = lt_window_file_size(&reader->window);
    if (size == reader->scanned_size && reader->offset == reader->scanned_offset) return LT_LOG_TORN;
    int64_t next = scan(reader);
    if (next < 0) {
        int64_t eos = find_seal(reader, size);
        if (eos > reader->offset) next = eos;
    }
    if (reader->window.os_errno != 0) return fail_read(reader, error);
    if (next >= 0) return pass_over(reader, next, what);
    reader->scanned_offset = reader->offset;
    reader->scanned_size = size;
    return LT_LOG_TORN;
}

static enum lt_log_status finish(struct lt_log_reader *reader, struct litmus_error *error) {
    int64_t size = lt_window_file_size(&reader->window);
    if (find_seal(reader, size) != reader->offset) return resync(reader, "an end of stream without a footer", error);
    const char *wrong = check_footer(reader, size);
    if (reader->window.os_errno != 0) return fail_read(reader, error);
    reader->sealed = true;
    if (wrong != NULL) return pass_over(reader, size, wrong);
    reader->offset = size;
    return LT_LOG_SEALED;
}

/* ---- next ---- */
static bool remember_block(struct lt_log_reader *reader, const struct lt_ipc_block *block) {
    reader->blocks_hash = mix_block(reader->blocks_hash, block);
    reader->block_count++;
    if (!reader->keep_blocks) return true;
    if (reader->block_count > reader->block_capacity) {
        size_t capacity = reader->block_capacity == 0 ? 64 : reader->block_capacity * 2;
        struct lt_ipc_block *blocks = realloc(reader->blocks, capacity * sizeof *blocks);
        if (blocks == NULL) return false;
        reader->blocks = blocks;
        reader->block_capacity = capacity;
    }
    reader->blocks[reader->block_count - 1] = *block;
    return true;
}

/* LT_LOG_EVENT: the batch holds the next message. */
static enum lt_log_status load(struct lt_log_reader *reader, struct litmus_error *error) {
    int64_t have;
    const char *what;
    lt_window_at(&reader->window, reader->offset, 1, &have);
    if (reader->window.os_errno != 0) return fail_read(reader, error);
    if (have == 0) {
        int64_t size = lt_window_file_size(&reader->window);
        if (size >= reader->offset) return LT_LOG_OPEN;
        return fail_foreign(reader, "it has become shorter than what was read of it", error);
    }
    enum verdict verdict = try_message(reader, reader->offset, false, &reader->batch, &what);
    if (reader->window.os_errno != 0) return fail_read(reader, error);
    if (verdict == IS_END) return finish(reader, error);
    if (verdict != IS_BATCH) return resync(reader, what, error);
    struct lt_ipc_block block = {.offset = reader->offset, .header_bytes = (int32_t)reader->batch.header_bytes, .body_bytes = reader->batch.body_bytes};
    if (!remember_block(reader, &block)) {
        lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", reader->path);
        return LT_LOG_FAILED;
    }
    reader->batch_next = 0;
    reader->row_offset = reader->offset;
    reader->offset += reader->batch.header_bytes + reader->batch.body_bytes;
    return LT_LOG_EVENT;
}

static void follow_chain(struct lt_log_reader *reader, const struct lt_row *row) {
    unsigned char expected[LT_CHAIN_BYTES];
    lt_chain_next(reader->chain, reader->last, row, expected);
    if (memcmp(expected, row->chain, sizeof expected) != 0) reader->chain_ok = false;
    memcpy(reader->last, row->chain, sizeof reader->last);
}

enum lt_log_status lt_log_next(struct lt_log_reader *reader, struct lt_row *row, struct litmus_error *error) {
    while (reader->batch_next >= reader->batch.rows) {
        enum lt_log_status status = LT_LOG_EVENT;
        if (reader->sealed) return LT_LOG_SEALED;
        reader->batch.rows = reader->batch_next = 0;
        if (reader->offset == 0) status = start(reader, error);
        if (status == LT_LOG_EVENT) status = load(reader, error);
        if (status != LT_LOG_EVENT) {
            reader->batch.rows = reader->batch_next = 0; /* a message that did not pass may have been in it */
            lt_window_drop(&reader->window); /* the next call looks at the file anew */
            return status;
        }
    }
    lt_batch_row(&reader->batch, reader->batch_next++, row);
    reader->rows++;
    if (reader->chain != NULL) follow_chain(reader, row);
    return LT_LOG_EVENT;
}

int lt_log_reader_seek(struct lt_log_reader *reader, int64_t offset, int64_t rows, struct litmus_error *error) {
    struct litmus_error why = {0};
    if (reader->offset == 0 && start(reader, &why) != LT_LOG_EVENT) {
        if (why.code != LITMUS_OK) return lt_fail_with(error, &why);
        return lt_fail(error, LITMUS_EDAMAGED, 0, "%s ends inside its schema", reader->path);
    }
    if (offset % LT_LOG_ALIGN != 0 || offset < reader->schema_end)
        return lt_fail(error, LITMUS_EDAMAGED, 0, "no event of %s can be at %lld", reader->path, (long long)offset);
    reader->sought = reader->sought || offset != reader->offset;
    reader->sealed = false;
    reader->offset = offset;
    reader->rows = rows;
    reader->batch.rows = reader->batch_next = 0;
    return LITMUS_OK;
}

/* ---- what is known ---- */
struct lt_log_damage lt_log_reader_damage(const struct lt_log_reader *reader) {
    return reader->damage;
}
int64_t lt_log_reader_file_size(const struct lt_log_reader *reader) {
    return lt_window_file_size(&reader->window);
}
int64_t lt_log_reader_offset(const struct lt_log_reader *reader) {
    return reader->offset;
}
int64_t lt_log_reader_row_offset(const struct lt_log_reader *reader) {
    return reader->row_offset;
}
int64_t lt_log_reader_rows(const struct lt_log_reader *reader) {
    return reader->rows;
}
int64_t lt_log_reader_message_row(const struct lt_log_reader *reader) {
    return reader->rows - reader->batch_next;
}
const char *lt_log_reader_identity(const struct lt_log_reader *reader) {
    return reader->identity;
}
const char *lt_log_reader_session(const struct lt_log_reader *reader) {
    return reader->session;
}
void lt_log_reader_check_chain(struct lt_log_reader *reader) {
    if (reader->chain == NULL) reader->chain = lt_chain_new();
    if (reader->chain != NULL) return;
    reader->chain_ok = false; /* unproven */
    starve(reader);
}
bool lt_log_reader_chain_ok(const struct lt_log_reader *reader) {
    return reader->chain_ok;
}
struct lt_head lt_log_reader_head(const struct lt_log_reader *reader) {
    struct lt_head head = {.rows = reader->rows};
    memcpy(head.identity, reader->identity, sizeof head.identity);
    memcpy(head.chain, reader->last, sizeof head.chain);
    return head;
}
struct lt_seal lt_log_reader_seal(const struct lt_log_reader *reader) {
    return reader->seal;
}
void lt_log_reader_keep_blocks(struct lt_log_reader *reader) {
    reader->keep_blocks = true;
}
const struct lt_ipc_block *lt_log_reader_blocks(const struct lt_log_reader *reader, size_t *count) {
    *count = reader->block_count;
    return reader->blocks;
}
const struct lt_ipc_schema *lt_log_reader_schema(const struct lt_log_reader *reader) {
    return reader->schema;
}
enum lt_log_form lt_log_reader_form(const struct lt_log_reader *reader) {
    return reader->ours ? LT_LOG_FORM_WRITTEN : reader->archived ? LT_LOG_FORM_ARCHIVED : LT_LOG_FORM_OTHER;
}
bool lt_digest_text(void *digest, char out[LT_HASH_TEXT]) {
    unsigned char hash[LT_CHAIN_BYTES];
    unsigned n = sizeof hash;
    if (EVP_DigestFinal_ex(digest, hash, &n) != 1) return false;
    lt_hex_text(hash, sizeof hash, out);
    return true;
}
