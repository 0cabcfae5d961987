/* SPDX-License-Identifier: Apache-2.0 */
#include "log/layout.h"

#include "base/clock.h"
#include "log/flat.h"

const enum lt_column_kind lt_column_kinds[LT_COLUMN_COUNT] = {
#define X(id, name, kind) LT_KIND_##kind,
    LT_COLUMNS(X)
#undef X
};
const char *const lt_column_names[LT_COLUMN_COUNT] = {
#define X(id, name, kind) name,
    LT_COLUMNS(X)
#undef X
};

/* The numbers of one batch. What is measured comes first, the rest follows from it. */
struct plan {
    int64_t rows;
    int64_t nulls[LT_COLUMN_COUNT];
    int64_t text_bytes[LT_COLUMN_COUNT];
    size_t buffers;
    int64_t offset[LT_LAYOUT_BUFFERS_MAX], length[LT_LAYOUT_BUFFERS_MAX];
    int64_t body_bytes;
};

static void plan_buffer(struct plan *plan, int64_t bytes) {
    plan->offset[plan->buffers] = plan->body_bytes;
    plan->length[plan->buffers] = bytes;
    plan->buffers++;
    plan->body_bytes = lt_align8(plan->body_bytes + bytes);
}

static void plan_lay(struct plan *plan) {
    plan->buffers = 0;
    plan->body_bytes = 0;
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        plan_buffer(plan, plan->nulls[c] == 0 ? 0 : (plan->rows + 7) / 8);
        switch (lt_column_kinds[c]) {
        case LT_KIND_TEXT:
            plan_buffer(plan, 4 * (plan->rows + 1));
            plan_buffer(plan, plan->text_bytes[c]);
            break;
        case LT_KIND_TIME: plan_buffer(plan, 8 * plan->rows); break;
        case LT_KIND_HASH: plan_buffer(plan, LT_CHAIN_BYTES * plan->rows); break;
        }
    }
}

static void plan_header(const struct plan *plan, const struct lt_layout *layout, unsigned char *out) {
    memcpy(out, layout->header, (size_t)layout->header_bytes);
    lt_put64(out + layout->at_rows, plan->rows);
    for (size_t c = 0; c < LT_COLUMN_COUNT; c++) {
        lt_put64(out + layout->at_nodes + c * LT_NODE_BYTES, plan->rows);
        lt_put64(out + layout->at_nodes + c * LT_NODE_BYTES + 8, plan->nulls[c]);
    }
    for (size_t b = 0; b < plan->buffers; b++) {
        lt_put64(out + layout->at_buffers + b * LT_BUFFER_BYTES, plan->offset[b]);
        lt_put64(out + layout->at_buffers + b * LT_BUFFER_BYTES + 8, plan->length[b]);
    }
    lt_put64(out + layout->at_body, plan->body_bytes);
}

/* ---- writing ---- */
static struct lt_str row_text(const struct lt_row *row, int column) {
    switch (column) {
    case LT_COLUMN_ID: return row->id;
    case LT_COLUMN_EVENT_TYPE: return row->event_type;
    case LT_COLUMN_SESSION_ID: return row->session_id;
    case LT_COLUMN_RUN_ID: return row->run_id;
    default: return row->json;
    }
}

static int measure(const struct lt_row *rows, size_t count, struct plan *plan, struct litmus_error *error) {
    memset(plan, 0, sizeof *plan);
    plan->rows = (int64_t)count;
    int64_t total = 0;
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        if (lt_column_kinds[c] != LT_KIND_TEXT) continue;
        for (size_t i = 0; i < count; i++) {
            struct lt_str text = row_text(&rows[i], c);
            if (text.p == NULL) plan->nulls[c]++;
            if (text.p == NULL || text.n == 0) continue;
            /* A reader takes such text for damage, so it must not get in. */
            bool known = c == LT_COLUMN_JSON && rows[i].json_is_utf8;
            if (!known && !lt_utf8_valid(text.p, text.n)) return lt_fail(error, LITMUS_EINVAL, 0, "the event's %s is not UTF-8", lt_column_names[c]);
            if (text.n > (size_t)(LT_LOG_BODY_MAX / 2 - total))
                return lt_fail(error, LITMUS_EINVAL, 0, "events of more than %lld bytes cannot be recorded", (long long)(LT_LOG_BODY_MAX / 2));
            plan->text_bytes[c] += (int64_t)text.n;
            total += (int64_t)text.n;
        }
    }
    plan_lay(plan);
    return LITMUS_OK;
}

static unsigned char *put_bytes(unsigned char *at, const void *bytes, int64_t n) {
    if (n > 0) memcpy(at, bytes, (size_t)n);
    return at + n;
}

/* Zeros up to the next aligned place; `start` is aligned. */
static unsigned char *put_padding(unsigned char *at, const unsigned char *start) {
    int64_t n = at - start;
    int64_t padding = lt_align8(n) - n;
    memset(at, 0, (size_t)padding);
    return at + padding;
}

static unsigned char *put_validity(unsigned char *at, const struct lt_row *rows, const struct plan *plan, int column) {
    if (plan->nulls[column] == 0) return at;
    int64_t bytes = lt_align8((plan->rows + 7) / 8);
    memset(at, 0, (size_t)bytes);
    for (int64_t i = 0; i < plan->rows; i++)
        if (row_text(&rows[i], column).p != NULL) at[i / 8] |= (unsigned char)(1u << (i % 8));
    return at + bytes;
}

static unsigned char *put_text(unsigned char *at, const struct lt_row *rows, const struct plan *plan, int column) {
    const unsigned char *start = at;
    int32_t end = 0;
    lt_put32(at, 0);
    at += 4;
    for (int64_t i = 0; i < plan->rows; i++, at += 4) {
        end += (int32_t)row_text(&rows[i], column).n;
        lt_put32(at, end);
    }
    at = put_padding(at, start);
    start = at;
    for (int64_t i = 0; i < plan->rows; i++) {
        struct lt_str text = row_text(&rows[i], column);
        at = put_bytes(at, text.p, (int64_t)text.n);
    }
    return put_padding(at, start);
}

static unsigned char *put_fixed(unsigned char *at, const struct lt_row *rows, const struct plan *plan, int column) {
    for (int64_t i = 0; i < plan->rows; i++) {
        const struct lt_row *row = &rows[i];
        if (column == LT_COLUMN_CHAIN) at = put_bytes(at, row->chain, LT_CHAIN_BYTES);
        else at = put_bytes(at, column == LT_COLUMN_OCCURRED_AT ? &row->occurred_at : &row->received_at, 8);
    }
    return at; /* 8 and 32 need no padding */
}

int lt_layout_encode(const struct lt_layout *layout, const struct lt_row *rows, size_t count, struct lt_buf *out,
                     int64_t *header_bytes, int64_t *body_bytes, struct litmus_error *error) {
    if (count == 0 || count > (size_t)LT_LOG_ROWS_MAX)
        return lt_fail(error, LITMUS_EINVAL, 0, "1 to %lld events can be recorded at once, not %zu", (long long)LT_LOG_ROWS_MAX, count);
    struct plan plan;
    int code = measure(rows, count, &plan, error);
    if (code != LITMUS_OK) return code;
    size_t bytes = (size_t)(layout->header_bytes + plan.body_bytes);
    if (!lt_buf_reserve(out, bytes)) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an event of %zu bytes", bytes);
    unsigned char *start = (unsigned char *)out->p + out->n;
    plan_header(&plan, layout, start);
    unsigned char *at = start + layout->header_bytes;
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        at = put_validity(at, rows, &plan, c);
        at = lt_column_kinds[c] == LT_KIND_TEXT ? put_text(at, rows, &plan, c) : put_fixed(at, rows, &plan, c);
    }
    assert(at == start + bytes);
    out->n += bytes;
    *header_bytes = layout->header_bytes;
    *body_bytes = plan.body_bytes;
    return LITMUS_OK;
}

/* ---- reading ---- */
/* The numbers that everything else follows from, out of the metadata. */
static bool plan_read(struct plan *plan, const struct lt_layout *layout, const unsigned char *header) {
    memset(plan, 0, sizeof *plan);
    plan->rows = lt_get64(header + layout->at_rows);
    if (plan->rows < 1 || plan->rows > LT_LOG_ROWS_MAX) return false;
    size_t buffer = 0;
    int64_t total = 0;
    for (size_t c = 0; c < LT_COLUMN_COUNT; c++) {
        plan->nulls[c] = lt_get64(header + layout->at_nodes + c * LT_NODE_BYTES + 8);
        if (plan->nulls[c] < 0 || plan->nulls[c] > plan->rows) return false;
        if (lt_column_kinds[c] == LT_KIND_TEXT) {
            int64_t bytes = lt_get64(header + layout->at_buffers + (buffer + 2) * LT_BUFFER_BYTES + 8);
            if (bytes < 0 || bytes > LT_LOG_BODY_MAX - total) return false;
            plan->text_bytes[c] = bytes;
            total += bytes;
            buffer += 3;
        } else {
            if (plan->nulls[c] != 0) return false; /* times and hashes are always there */
            buffer += 2;
        }
    }
    plan_lay(plan);
    return plan->body_bytes <= LT_LOG_BODY_MAX;
}

static bool padding_is_zero(const struct plan *plan, const unsigned char *body) {
    for (size_t b = 0; b < plan->buffers; b++) {
        int64_t end = plan->offset[b] + plan->length[b];
        for (int64_t i = end; i < lt_align8(end); i++)
            if (body[i] != 0) return false;
    }
    return true;
}

/* As many nulls as the metadata says, nothing in the unused bits, no bytes under a null. */
static bool validity_fits(const struct plan *plan, int column, const struct lt_column *view) {
    if (plan->nulls[column] == 0) return true;
    int64_t nulls = 0;
    for (int64_t i = 0; i < 8 * ((plan->rows + 7) / 8); i++) {
        bool set = (view->validity[i / 8] >> (i % 8)) & 1;
        if (i >= plan->rows) {
            if (set) return false;
        } else if (!set) {
            nulls++;
            if (lt_get32(view->offsets + 4 * i) != lt_get32(view->offsets + 4 * (i + 1))) return false;
        }
    }
    return nulls == plan->nulls[column];
}

static bool columns_from(const struct plan *plan, const unsigned char *body, struct lt_batch *batch) {
    size_t b = 0;
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        struct lt_column *view = &batch->columns[c];
        view->present = true;
        view->validity = plan->nulls[c] == 0 ? NULL : body + plan->offset[b];
        b++;
        view->offsets = NULL;
        if (lt_column_kinds[c] == LT_KIND_TEXT) {
            view->offsets = body + plan->offset[b++];
            if (lt_get32(view->offsets) != 0 || lt_get32(view->offsets + 4 * plan->rows) != plan->text_bytes[c]) return false;
        }
        view->data = body + plan->offset[b];
        view->data_bytes = plan->length[b++];
        if (!validity_fits(plan, c, view)) return false;
    }
    return true;
}

enum lt_match lt_layout_match(const struct lt_layout *layout, const unsigned char *bytes, int64_t n,
                              struct lt_batch *batch) {
    batch->header_bytes = layout->header_bytes;
    batch->body_bytes = 0;
    if (n < layout->header_bytes) return LT_MATCH_SHORT;
    struct plan plan;
    if (!plan_read(&plan, layout, bytes)) return LT_MATCH_OTHER;
    unsigned char expected[LT_LAYOUT_HEADER_MAX];
    plan_header(&plan, layout, expected);
    if (memcmp(expected, bytes, (size_t)layout->header_bytes) != 0) return LT_MATCH_OTHER;
    batch->rows = plan.rows;
    batch->body_bytes = plan.body_bytes;
    if (n < layout->header_bytes + plan.body_bytes) return LT_MATCH_SHORT;
    const unsigned char *body = bytes + layout->header_bytes;
    if (!padding_is_zero(&plan, body) || !columns_from(&plan, body, batch)) return LT_MATCH_OTHER;
    return LT_MATCH_OK;
}

/* One pass over all bytes of the column; then no row may start inside a character. */
static const char *check_text(const struct lt_column *view, int64_t rows) {
    int64_t before = lt_get32(view->offsets);
    int64_t first = before;
    if (before < 0) return "a text offset is out of bounds";
    for (int64_t i = 1; i <= rows; i++) {
        int64_t offset = lt_get32(view->offsets + 4 * i);
        if (offset < before || offset > view->data_bytes) return "a text offset is out of bounds";
        before = offset;
    }
    if (!lt_utf8_valid(view->data + first, (size_t)(before - first))) return "text is not UTF-8";
    for (int64_t i = 1; i < rows; i++) {
        int64_t offset = lt_get32(view->offsets + 4 * i);
        if (offset < before && (view->data[offset] & 0xc0) == 0x80) return "text is not UTF-8";
    }
    return NULL;
}

const char *lt_batch_check(const struct lt_batch *batch) {
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        const struct lt_column *view = &batch->columns[c];
        if (!view->present || lt_column_kinds[c] != LT_KIND_TEXT) continue;
        const char *wrong = check_text(view, batch->rows);
        if (wrong != NULL) return wrong;
    }
    return NULL;
}

static bool is_null(const struct lt_column *view, int64_t index) {
    return !view->present || (view->validity != NULL && ((view->validity[index / 8] >> (index % 8)) & 1) == 0);
}

static struct lt_str text_at(const struct lt_batch *batch, int column, int64_t index) {
    const struct lt_column *view = &batch->columns[column];
    if (is_null(view, index)) return LT_STR_NULL;
    int32_t start = lt_get32(view->offsets + 4 * index), end = lt_get32(view->offsets + 4 * (index + 1));
    /* A column without a single byte may come without a buffer; empty text is still no NULL. */
    const char *data = view->data == NULL ? "" : (const char *)view->data;
    return (struct lt_str){data + start, (size_t)(end - start)};
}

static int64_t time_at(const struct lt_batch *batch, int column, int64_t index) {
    const struct lt_column *view = &batch->columns[column];
    return is_null(view, index) ? LT_TIME_NONE : lt_get64(view->data + 8 * index);
}

void lt_batch_row(const struct lt_batch *batch, int64_t index, struct lt_row *row) {
    row->id = text_at(batch, LT_COLUMN_ID, index);
    row->event_type = text_at(batch, LT_COLUMN_EVENT_TYPE, index);
    row->occurred_at = time_at(batch, LT_COLUMN_OCCURRED_AT, index);
    row->received_at = time_at(batch, LT_COLUMN_RECEIVED_AT, index);
    row->session_id = text_at(batch, LT_COLUMN_SESSION_ID, index);
    row->run_id = text_at(batch, LT_COLUMN_RUN_ID, index);
    row->json = text_at(batch, LT_COLUMN_JSON, index);
    row->json_is_utf8 = false;
    const struct lt_column *chain = &batch->columns[LT_COLUMN_CHAIN];
    if (is_null(chain, index)) memset(row->chain, 0, sizeof row->chain);
    else memcpy(row->chain, chain->data + LT_CHAIN_BYTES * index, sizeof row->chain);
}

/* ---- UTF-8 ---- */
/* Length of the character at p (at most `left` bytes), 0 if it is none. */
static size_t utf8_step(const unsigned char *p, size_t left) {
    unsigned char lead = p[0];
    size_t n = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
    if (n == 0 || n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (lead == 0xe0 && p[1] < 0xa0) return 0; /* overlong */
    if (lead == 0xed && p[1] > 0x9f) return 0; /* surrogates */
    if (lead == 0xf0 && p[1] < 0x90) return 0; /* overlong */
    if (lead == 0xf4 && p[1] > 0x8f) return 0; /* above U+10FFFF */
    return n;
}

/* Nearly all text is. */
static bool is_ascii(const unsigned char *p, size_t n) {
    uint64_t all = 0, word;
    size_t i = 0;
    for (; i + sizeof word <= n; i += sizeof word) {
        memcpy(&word, p + i, sizeof word);
        all |= word;
    }
    for (; i < n; i++) all |= p[i];
    return (all & UINT64_C(0x8080808080808080)) == 0;
}

bool lt_utf8_valid(const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n;) {
        size_t block = n - i < 256 ? n - i : 256;
        if (is_ascii(p + i, block)) {
            i += block;
            continue;
        }
        for (size_t end = i + block; i < end;) {
            size_t step = utf8_step(p + i, n - i);
            if (step == 0) return false;
            i += step;
        }
    }
    return true;
}
