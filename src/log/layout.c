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

/* How many bytes the texts of `rows` have; what no reader would take must not get in. */
static int measure(const struct lt_row *rows, size_t count, int64_t *text_bytes, struct litmus_error *error) {
    int64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        for (int c = 0; c < LT_COLUMN_COUNT; c++) {
            if (lt_column_kinds[c] != LT_KIND_TEXT) continue;
            struct lt_str text = row_text(&rows[i], c);
            if (!rows[i].is_utf8 && !lt_utf8_valid(text.p, text.n)) return lt_fail(error, LITMUS_EINVAL, 0, "the event's %s is not UTF-8", lt_column_names[c]);
            if (text.n > (size_t)(LT_LOG_BODY_MAX / 2 - total))
                return lt_fail(error, LITMUS_EINVAL, 0, "events of more than %lld bytes cannot be recorded", (long long)(LT_LOG_BODY_MAX / 2));
            total += (int64_t)text.n;
        }
    }
    *text_bytes = total;
    return LITMUS_OK;
}

/* A message under construction: header and body are written side by side. */
struct message {
    const struct lt_row *rows;
    size_t count;
    unsigned char *node, *buffer; /* of the header: where the next numbers go */
    unsigned char *body, *at;     /* of the body: its start, and where the next bytes go */
};

static void put_bytes(struct message *m, const void *bytes, size_t n) {
    if (n > 0) memcpy(m->at, bytes, n);
    m->at += n;
}

/* What was put since `start` is one buffer; zeros up to the next aligned place. */
static void end_buffer(struct message *m, const unsigned char *start) {
    lt_put64(m->buffer, start - m->body);
    lt_put64(m->buffer + 8, m->at - start);
    m->buffer += LT_BUFFER_BYTES;
    lt_put64(m->at, 0);
    m->at = m->body + lt_align8(m->at - m->body);
}

/* The node, and which rows have a value, if not all of them. */
static void put_validity(struct message *m, int column) {
    const unsigned char *start = m->at;
    int64_t nulls = 0;
    for (size_t i = 0; lt_column_kinds[column] == LT_KIND_TEXT && i < m->count; i++) nulls += row_text(&m->rows[i], column).p == NULL;
    lt_put64(m->node, (int64_t)m->count);
    lt_put64(m->node + 8, nulls);
    m->node += LT_NODE_BYTES;
    if (nulls > 0) {
        memset(m->at, 0, (m->count + 7) / 8);
        for (size_t i = 0; i < m->count; i++)
            if (row_text(&m->rows[i], column).p != NULL) m->at[i / 8] |= (unsigned char)(1u << (i % 8));
        m->at += (m->count + 7) / 8;
    }
    end_buffer(m, start);
}

static void put_text(struct message *m, int column) {
    const unsigned char *start = m->at;
    int32_t end = 0;
    lt_put32(m->at, 0);
    m->at += 4;
    for (size_t i = 0; i < m->count; i++, m->at += 4) {
        end += (int32_t)row_text(&m->rows[i], column).n;
        lt_put32(m->at, end);
    }
    end_buffer(m, start);
    start = m->at;
    for (size_t i = 0; i < m->count; i++) {
        struct lt_str text = row_text(&m->rows[i], column);
        put_bytes(m, text.p, text.n);
    }
    end_buffer(m, start);
}

static void put_fixed(struct message *m, int column) {
    const unsigned char *start = m->at;
    for (size_t i = 0; i < m->count; i++) {
        const struct lt_row *row = &m->rows[i];
        if (column == LT_COLUMN_CHAIN) put_bytes(m, row->chain, sizeof row->chain);
        else put_bytes(m, column == LT_COLUMN_OCCURRED_AT ? &row->occurred_at : &row->received_at, 8);
    }
    end_buffer(m, start);
}

/* No message of so many rows and bytes of text is longer. A row has 80 bytes besides its texts, or fewer: times, hash, offsets
 * and bits. A buffer has 16 more, or fewer: its first offset, padding. */
static size_t bytes_max(const struct lt_layout *layout, size_t count, int64_t text_bytes) {
    return (size_t)(layout->header_bytes + text_bytes) + count * 80 + (size_t)LT_LAYOUT_BUFFERS_MAX * 16;
}

int lt_layout_encode(const struct lt_layout *layout, const struct lt_row *rows, size_t count, struct lt_buf *out,
                     int64_t *header_bytes, int64_t *body_bytes, struct litmus_error *error) {
    if (count == 0 || count > (size_t)LT_LOG_ROWS_MAX)
        return lt_fail(error, LITMUS_EINVAL, 0, "1 to %lld events can be recorded at once, not %zu", (long long)LT_LOG_ROWS_MAX, count);
    int64_t text_bytes = 0;
    int code = measure(rows, count, &text_bytes, error);
    if (code != LITMUS_OK) return code;
    size_t most = bytes_max(layout, count, text_bytes);
    if (!lt_buf_reserve(out, most)) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an event of %zu bytes", most);
    unsigned char *header = (unsigned char *)out->p + out->n, *body = header + layout->header_bytes;
    struct message m = {rows, count, header + layout->at_nodes, header + layout->at_buffers, body, body};
    memcpy(header, layout->header, (size_t)layout->header_bytes);
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        put_validity(&m, c);
        if (lt_column_kinds[c] == LT_KIND_TEXT) put_text(&m, c);
        else put_fixed(&m, c);
    }
    *header_bytes = layout->header_bytes;
    *body_bytes = m.at - body;
    lt_put64(header + layout->at_rows, (int64_t)count);
    lt_put64(header + layout->at_body, *body_bytes);
    assert(*header_bytes + *body_bytes <= (int64_t)most);
    out->n += (size_t)(*header_bytes + *body_bytes);
    return LITMUS_OK;
}

/* ---- reading ---- */
/* The numbers of one batch as the writer would have put them. What is found comes first, the rest follows from it. */
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
    row->is_utf8 = false;
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
