/* SPDX-License-Identifier: Apache-2.0
 *
 * packed.c - the Arrow library's encoder writes no compressed bodies (nanoarrow 0.8), so the message
 * is built here with the flatbuffer builder that comes with it. Each buffer of the body: its length
 * (int64, -1: stored as it is), then one ZSTD frame.
 */
#include "log/packed.h"

#include <flatcc/flatcc_builder.h>
#include <nanoarrow/ipc/flatcc_generated.h>
#include <stdlib.h>
#include <zstd.h>

#define ARROW(name) org_apache_arrow_flatbuf_##name

enum {
    LEVEL = 19,                         /* written once, kept for years */
    FULL_ROWS = 65536,
    FULL_BYTES = 16 * 1024 * 1024,
    FRAME_PREFIX_BYTES = 8,
};

struct column {
    struct lt_buf validity, offsets, data;
    int64_t nulls;
};
struct lt_packed {
    struct column columns[LT_COLUMN_COUNT];
    int64_t rows;
    size_t bytes;
    ZSTD_CCtx *zstd;
};

static bool start_offsets(struct lt_packed *packed) {
    static const int32_t zero = 0;
    bool ok = true;
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        if (lt_column_kinds[c] != LT_KIND_TEXT) continue;
        lt_buf_add(&packed->columns[c].offsets, &zero, sizeof zero);
        ok = ok && !packed->columns[c].offsets.failed;
    }
    return ok;
}

struct lt_packed *lt_packed_new(void) {
    struct lt_packed *packed = calloc(1, sizeof *packed);
    if (packed == NULL) return NULL;
    packed->zstd = ZSTD_createCCtx();
    if (packed->zstd != NULL && !ZSTD_isError(ZSTD_CCtx_setParameter(packed->zstd, ZSTD_c_compressionLevel, LEVEL)) && start_offsets(packed)) return packed;
    lt_packed_free(packed);
    return NULL;
}

void lt_packed_free(struct lt_packed *packed) {
    if (packed == NULL) return;
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        lt_buf_release(&packed->columns[c].validity);
        lt_buf_release(&packed->columns[c].offsets);
        lt_buf_release(&packed->columns[c].data);
    }
    ZSTD_freeCCtx(packed->zstd);
    free(packed);
}

int64_t lt_packed_rows(const struct lt_packed *packed) {
    return packed->rows;
}
bool lt_packed_is_full(const struct lt_packed *packed) {
    return packed->rows >= FULL_ROWS || packed->bytes >= FULL_BYTES;
}

static bool add_text(struct column *column, int64_t row, struct lt_str text) {
    if (row % 8 == 0) lt_buf_add_char(&column->validity, 0);
    if (column->validity.failed) return false;
    if (text.p == NULL) column->nulls++;
    else column->validity.p[row / 8] = (char)((unsigned char)column->validity.p[row / 8] | 1u << row % 8);
    lt_buf_add_str(&column->data, text.p == NULL ? LT_STR_NULL : text);
    int32_t end = (int32_t)column->data.n; /* a batch is at most LT_LOG_BODY_MAX and what was there before is less than FULL_BYTES */
    lt_buf_add(&column->offsets, &end, sizeof end);
    return !column->data.failed && !column->offsets.failed;
}

static bool add_bytes(struct column *column, const void *bytes, size_t n) {
    lt_buf_add(&column->data, bytes, n);
    return !column->data.failed;
}

bool lt_packed_add(struct lt_packed *packed, const struct lt_row *row) {
    struct column *c = packed->columns;
    int64_t n = packed->rows;
    bool ok = add_text(&c[LT_COLUMN_ID], n, row->id) && add_text(&c[LT_COLUMN_EVENT_TYPE], n, row->event_type) &&
              add_bytes(&c[LT_COLUMN_OCCURRED_AT], &row->occurred_at, sizeof row->occurred_at) &&
              add_bytes(&c[LT_COLUMN_RECEIVED_AT], &row->received_at, sizeof row->received_at) && add_text(&c[LT_COLUMN_SESSION_ID], n, row->session_id) &&
              add_text(&c[LT_COLUMN_RUN_ID], n, row->run_id) && add_text(&c[LT_COLUMN_JSON], n, row->json) &&
              add_bytes(&c[LT_COLUMN_CHAIN], row->chain, sizeof row->chain);
    packed->rows += ok;
    packed->bytes += row->json.n + 128;
    return ok;
}

/* ---- the body ---- */
struct body {
    struct lt_buf *out;
    size_t start;
    ZSTD_CCtx *zstd;
    ARROW(Buffer_t) buffers[LT_LAYOUT_BUFFERS_MAX];
    size_t count;
};

static void pad(struct lt_buf *out) {
    static const char zeros[LT_LOG_ALIGN];
    lt_buf_add(out, zeros, (size_t)lt_align8((int64_t)out->n) - out->n);
}

static bool add_buffer(struct body *body, const struct lt_buf *raw) {
    struct lt_buf *out = body->out;
    ARROW(Buffer_t) *buffer = &body->buffers[body->count++];
    *buffer = (ARROW(Buffer_t)){.offset = (int64_t)(out->n - body->start), .length = 0};
    if (raw->n == 0) return true;
    size_t bound = ZSTD_compressBound(raw->n), at = out->n;
    if (!lt_buf_reserve(out, FRAME_PREFIX_BYTES + bound)) return false;
    size_t frame = ZSTD_compress2(body->zstd, out->p + at + FRAME_PREFIX_BYTES, bound, raw->p, raw->n);
    bool smaller = !ZSTD_isError(frame) && frame < raw->n;
    lt_put64(out->p + at, smaller ? (int64_t)raw->n : -1);
    out->n = at + FRAME_PREFIX_BYTES + (smaller ? frame : 0);
    if (!smaller) lt_buf_add(out, raw->p, raw->n);
    buffer->length = (int64_t)(out->n - at);
    pad(out);
    return !out->failed;
}

static bool add_body(struct lt_packed *packed, struct body *body) {
    static const struct lt_buf none;
    bool ok = true;
    for (int c = 0; ok && c < LT_COLUMN_COUNT; c++) {
        const struct column *column = &packed->columns[c];
        ok = add_buffer(body, column->nulls > 0 ? &column->validity : &none);
        if (ok && lt_column_kinds[c] == LT_KIND_TEXT) ok = add_buffer(body, &column->offsets);
        if (ok) ok = add_buffer(body, &column->data);
    }
    return ok;
}

/* ---- the metadata ---- */
static bool build_message(flatcc_builder_t *b, const struct lt_packed *packed, const struct body *body, int64_t body_bytes) {
    const int version = ARROW(MetadataVersion_V5), codec = ARROW(CompressionType_ZSTD), method = ARROW(BodyCompressionMethod_BUFFER);
    ARROW(FieldNode_t) nodes[LT_COLUMN_COUNT];
    for (int c = 0; c < LT_COLUMN_COUNT; c++) nodes[c] = (ARROW(FieldNode_t)){.length = packed->rows, .null_count = packed->columns[c].nulls};
    return ARROW(Message_start_as_root(b)) == 0 && ARROW(Message_version_add(b, (int16_t)version)) == 0 &&
           ARROW(Message_header_RecordBatch_start(b)) == 0 && ARROW(RecordBatch_length_add(b, packed->rows)) == 0 &&
           ARROW(RecordBatch_nodes_create(b, nodes, LT_COLUMN_COUNT)) == 0 && ARROW(RecordBatch_buffers_create(b, body->buffers, body->count)) == 0 &&
           ARROW(RecordBatch_compression_create(b, (int8_t)codec, (int8_t)method)) == 0 &&
           ARROW(Message_header_RecordBatch_end(b)) == 0 && ARROW(Message_bodyLength_add(b, body_bytes)) == 0 && ARROW(Message_end_as_root(b)) != 0;
}

/* Prefix, flatbuffer, padding. */
static bool add_header(const struct lt_packed *packed, const struct body *body, int64_t body_bytes, struct lt_buf *out) {
    flatcc_builder_t builder;
    if (flatcc_builder_init(&builder) != 0) return false;
    size_t n = 0;
    bool ok = build_message(&builder, packed, body, body_bytes);
    void *bytes = ok ? flatcc_builder_finalize_aligned_buffer(&builder, &n) : NULL;
    if (bytes != NULL) {
        unsigned char prefix[LT_LOG_PREFIX_BYTES] = {0xff, 0xff, 0xff, 0xff};
        lt_put32(prefix + 4, (int32_t)lt_align8((int64_t)n));
        lt_buf_add(out, prefix, sizeof prefix);
        lt_buf_add(out, bytes, n);
        pad(out);
        flatcc_builder_aligned_free(bytes);
    }
    flatcc_builder_clear(&builder);
    return bytes != NULL && !out->failed;
}

static void empty(struct lt_packed *packed) {
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        lt_buf_clear(&packed->columns[c].validity);
        lt_buf_clear(&packed->columns[c].offsets);
        lt_buf_clear(&packed->columns[c].data);
        packed->columns[c].nulls = 0;
    }
    packed->rows = 0;
    packed->bytes = 0;
    (void)start_offsets(packed); /* room that was there before */
}

int lt_packed_encode(struct lt_packed *packed, struct lt_buf *out, int64_t *header_bytes, int64_t *body_bytes, struct litmus_error *error) {
    struct lt_buf bytes;
    lt_buf_init(&bytes);
    struct body body = {.out = &bytes, .zstd = packed->zstd};
    size_t start = out->n;
    bool ok = add_body(packed, &body);
    *body_bytes = (int64_t)bytes.n;
    ok = ok && add_header(packed, &body, *body_bytes, out);
    *header_bytes = (int64_t)(out->n - start);
    lt_buf_add(out, bytes.p, bytes.n);
    ok = ok && !out->failed;
    lt_buf_release(&bytes);
    if (!ok) out->n = start;
    else empty(packed);
    return ok ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for %lld rows of a log", (long long)packed->rows);
}
