/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/layout.h"

#include "channel/schema.h"
#include "log/flat.h"

#include <assert.h>
#include <math.h>

static int64_t add_buffer(struct lt_channel_plan *plan, int64_t bytes) {
    int64_t at = plan->body_bytes;
    plan->offset[plan->buffers] = at;
    plan->length[plan->buffers++] = bytes;
    plan->body_bytes = lt_align8(at + bytes);
    return at;
}

static int64_t add_list(struct lt_channel_plan *plan, bool null, int64_t bytes) {
    add_buffer(plan, null ? 1 : 0); /* which rows are there */
    add_buffer(plan, 8);            /* where its items start and end */
    add_buffer(plan, 0);            /* no item is null */
    return add_buffer(plan, bytes);
}

void lt_channel_plan(struct lt_channel_plan *plan, enum litmus_type type, int64_t count, bool even) {
    int64_t size = lt_type_bytes(type);
    *plan = (struct lt_channel_plan){.count = count, .bins = (count + LT_CHANNEL_BIN - 1) / LT_CHANNEL_BIN, .even = even};
    for (int i = 0; i < 4; i++) {
        add_buffer(plan, i == 3 && !even ? 1 : 0);
        plan->scalars[i] = add_buffer(plan, 8);
    }
    plan->bin_min = add_list(plan, false, plan->bins * size);
    plan->bin_max = add_list(plan, false, plan->bins * size);
    plan->bin_min_at = add_list(plan, false, plan->bins * 2);
    plan->bin_max_at = add_list(plan, false, plan->bins * 2);
    plan->times = add_list(plan, even, even ? 0 : count * 8);
    plan->values = add_list(plan, false, count * size);
    assert(plan->buffers == LT_CHANNEL_BUFFERS);
}

int64_t lt_channel_header_bytes(void) {
    return lt_channel_template()->size;
}

/* Nodes: four columns of one row, six lists of one row, each with its items. */
static void put_nodes(const struct lt_channel_plan *plan, unsigned char *at) {
    const int64_t items[6] = {plan->bins, plan->bins, plan->bins, plan->bins, plan->even ? 0 : plan->count, plan->count};
    for (int i = 0; i < 4; i++, at += LT_NODE_BYTES) {
        lt_put64(at, 1);
        lt_put64(at + 8, i == 3 && !plan->even ? 1 : 0);
    }
    for (int i = 0; i < 6; i++, at += (size_t)2 * LT_NODE_BYTES) {
        lt_put64(at, 1);
        lt_put64(at + 8, i == 4 && plan->even ? 1 : 0);
        lt_put64(at + LT_NODE_BYTES, items[i]);
        lt_put64(at + LT_NODE_BYTES + 8, 0);
    }
}

void lt_channel_header(const struct lt_channel_plan *plan, unsigned char *out) {
    const struct lt_channel_template *t = lt_channel_template();
    assert(t->buffers == LT_CHANNEL_BUFFERS && t->nodes == 16);
    memcpy(out, t->bytes, (size_t)t->size);
    put_nodes(plan, out + t->at_nodes);
    for (size_t b = 0; b < plan->buffers; b++) {
        lt_put64(out + t->at_buffers + b * LT_BUFFER_BYTES, plan->offset[b]);
        lt_put64(out + t->at_buffers + b * LT_BUFFER_BYTES + 8, plan->length[b]);
    }
    lt_put64(out + t->at_body, plan->body_bytes);
}

bool lt_channel_header_match(const unsigned char *header, enum litmus_type type, struct lt_channel_plan *plan) {
    const struct lt_channel_template *t = lt_channel_template();
    unsigned char own[LT_CHANNEL_HEADER_MAX];
    int64_t count = lt_get64(header + t->at_nodes + (size_t)15 * LT_NODE_BYTES);
    int64_t nulls = lt_get64(header + t->at_nodes + (size_t)3 * LT_NODE_BYTES + 8);
    if (count < 1 || count > LT_CHANNEL_BLOCK_MAX || (nulls != 0 && nulls != 1)) return false;
    lt_channel_plan(plan, type, count, nulls == 0);
    lt_channel_header(plan, own);
    return memcmp(own, header, (size_t)t->size) == 0;
}

/* The offsets of a list of one row: from 0 to `items`. */
static void put_list(unsigned char *body, const struct lt_channel_plan *plan, size_t buffer, int64_t items) {
    lt_put32(body + plan->offset[buffer], 0);
    lt_put32(body + plan->offset[buffer] + 4, (int32_t)items);
}

static void put_bins(const struct lt_channel_plan *plan, enum litmus_type type, const unsigned char *values, unsigned char *body) {
    size_t size = (size_t)lt_type_bytes(type);
    for (int64_t b = 0; b < plan->bins; b++) {
        int64_t from = b * LT_CHANNEL_BIN, n = plan->count - from < LT_CHANNEL_BIN ? plan->count - from : LT_CHANNEL_BIN;
        uint16_t min_at, max_at;
        lt_type_bin(type, values + (size_t)from * size, n, b, body + plan->bin_min, body + plan->bin_max, &min_at, &max_at);
        memcpy(body + plan->bin_min_at + b * 2, &min_at, sizeof min_at);
        memcpy(body + plan->bin_max_at + b * 2, &max_at, sizeof max_at);
    }
}

int lt_channel_head(const struct lt_channel_plan *plan, enum litmus_type type, const struct lt_channel_row *row, const int64_t *times, const void *values, struct lt_buf *out,
                    struct litmus_error *error) {
    int64_t header = lt_channel_header_bytes();
    size_t bytes = (size_t)(header + plan->values);
    if (header == 0 || !lt_buf_reserve(out, bytes)) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a block of %lld samples", (long long)plan->count);
    unsigned char *start = (unsigned char *)out->p + out->n, *body = start + header;
    memset(start, 0, bytes);
    lt_channel_header(plan, start);
    lt_put64(body + plan->scalars[0], row->first_sample);
    lt_put64(body + plan->scalars[1], row->time);
    lt_put64(body + plan->scalars[2], row->time_last);
    if (plan->even) memcpy(body + plan->scalars[3], &row->interval_ns, sizeof row->interval_ns);
    for (size_t list = 0; list < 4; list++) put_list(body, plan, 8 + list * 4 + 1, plan->bins);
    put_list(body, plan, 8 + 4 * 4 + 1, plan->even ? 0 : plan->count);
    put_list(body, plan, 8 + 5 * 4 + 1, plan->count);
    put_bins(plan, type, values, body);
    if (!plan->even) memcpy(body + plan->times, times, (size_t)plan->count * 8);
    out->n += bytes;
    return LITMUS_OK;
}
