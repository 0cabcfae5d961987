/* SPDX-License-Identifier: Apache-2.0
 *
 * format.h - the numbers of the log format (FORMAT.md has them in words).
 *
 * To change the format: raise LT_LOG_VERSION, keep reading every lower number, add a golden file
 * (tests/golden/v{N}/) and a line in FORMAT.md. Columns are only ever added, behind the last one.
 */
#ifndef LT_LOG_FORMAT_H
#define LT_LOG_FORMAT_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the log is little-endian and is copied to and from memory as it is: a port has to swap here"
#endif

#define LT_LOG_VERSION 1
#define LT_LOG_MAGIC "ARROW1"
#define LT_LOG_SUFFIX ".arrow"
#define LT_META_VERSION "litmus.log_version"
#define LT_META_IDENTITY "litmus.identity"
#define LT_META_SESSION "litmus.session_id"
#define LT_META_ARCHIVED "litmus.archived"             /* "1" in a log that was written again by archive.c */
#define LT_META_ARCHIVE_SHA256 "litmus.archive_sha256" /* of its bytes before the EOS; in the footer alone */
#define LT_META_SEALED_BY "litmus.sealed_by"           /* these three of a signed log, in the footer alone (seal.h) */
#define LT_META_PUBLIC_KEY "litmus.public_key"
#define LT_META_SIGNATURE "litmus.signature"

enum {
    LT_LOG_MAGIC_BYTES = 6,   /* at the end of the file */
    LT_LOG_START_BYTES = 8,   /* at its start, padded: the stream begins at offset 8 */
    LT_LOG_ALIGN = 8,         /* every message and every buffer starts on a multiple of it */
    LT_LOG_PREFIX_BYTES = 8,  /* ff ff ff ff and the length of the header that follows */
    LT_LOG_TRAILER_BYTES = 4 + LT_LOG_MAGIC_BYTES, /* footer length and magic */
    LT_LOG_IDENTITY_MAX = 128,
    LT_LOG_SESSION_MAX = 64,
    LT_CHAIN_BYTES = 32,
};
#define LT_LOG_HEADER_MAX ((int64_t)64 * 1024)         /* metadata of one message, prefix included */
#define LT_LOG_BODY_MAX ((int64_t)1024 * 1024 * 1024)  /* body of one batch, also once decompressed */
#define LT_LOG_ROWS_MAX ((int64_t)1024 * 1024)         /* rows of one batch */

static_assert(LT_LOG_BODY_MAX < INT32_MAX, "text offsets are 32 bit");
static_assert(LT_LOG_BODY_MAX + LT_LOG_HEADER_MAX < 0x7ffff000, "one write(2) takes it");
static_assert(LT_LOG_HEADER_MAX % LT_LOG_ALIGN == 0, "headers end aligned");

/* The columns in file order. X(ID, name, kind) */
#define LT_COLUMNS(X)                \
    X(ID, "id", TEXT)                \
    X(EVENT_TYPE, "event_type", TEXT) \
    X(OCCURRED_AT, "occurred_at", TIME) \
    X(RECEIVED_AT, "received_at", TIME) \
    X(SESSION_ID, "session_id", TEXT) \
    X(RUN_ID, "run_id", TEXT)        \
    X(JSON, "json", TEXT)            \
    X(CHAIN, "chain", HASH)

enum lt_column_kind { LT_KIND_TEXT, LT_KIND_TIME, LT_KIND_HASH };
enum lt_column_id {
#define X(id, name, kind) LT_COLUMN_##id,
    LT_COLUMNS(X)
#undef X
    LT_COLUMN_COUNT,
};

static inline int64_t lt_align8(int64_t n) {
    return (n + 7) & ~(int64_t)7;
}
static inline int64_t lt_get64(const void *p) {
    int64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline int32_t lt_get32(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void lt_put64(void *p, int64_t v) {
    memcpy(p, &v, sizeof v);
}
static inline void lt_put32(void *p, int32_t v) {
    memcpy(p, &v, sizeof v);
}

#endif
