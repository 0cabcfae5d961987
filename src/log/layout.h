/* SPDX-License-Identifier: Apache-2.0
 *
 * layout.h - how rows lie in a record batch message, in both directions.
 *
 * The metadata of every batch of our schema has the same bytes but for a few numbers: rows, nodes,
 * buffers, body length. nanoarrow encodes it once (lt_ipc_layout); after that a batch is a copy
 * with those numbers put in place. A reader makes the same copy from the numbers it finds and
 * compares: if equal, every bit of the metadata is accounted for, and no flatbuffer has to be
 * verified. Batches of other writers, or compressed ones, go by ipc.c.
 *
 * Calling sequence, writing: 1. lt_layout_encode. Reading: 1. lt_layout_match,
 * 2. lt_batch_check, 3. lt_batch_row for each row.
 */
#ifndef LT_LOG_LAYOUT_H
#define LT_LOG_LAYOUT_H

#include "base/buf.h"
#include "log/format.h"
#include "model/event.h"

enum {
    LT_LAYOUT_BUFFERS_MAX = LT_COLUMN_COUNT * 3,
    LT_LAYOUT_HEADER_MAX = 1024,
};

struct lt_layout {
    unsigned char header[LT_LAYOUT_HEADER_MAX]; /* of a batch of one row, prefix included */
    int64_t header_bytes;
    size_t at_rows, at_nodes, at_buffers, at_body; /* where the numbers are */
};

/* One column of a batch that was read. Borrows from the message (or from the decoder). */
struct lt_column {
    bool present;
    const unsigned char *validity; /* NULL: no nulls */
    const unsigned char *offsets;  /* text only: rows + 1 int32 */
    const unsigned char *data;
    int64_t data_bytes;
};
struct lt_batch {
    int64_t rows;
    int64_t header_bytes, body_bytes; /* of the message */
    struct lt_column columns[LT_COLUMN_COUNT];
};

extern const enum lt_column_kind lt_column_kinds[LT_COLUMN_COUNT];
extern const char *const lt_column_names[LT_COLUMN_COUNT];

/* Appends the message of a batch of `count` rows. *header_bytes and *body_bytes get its two parts.
 * EINVAL: text that is not UTF-8, too many rows or bytes; ENOMEM. On failure `out` is as before. */
int lt_layout_encode(const struct lt_layout *layout, const struct lt_row *rows, size_t count, struct lt_buf *out,
                     int64_t *header_bytes, int64_t *body_bytes, struct litmus_error *error);

enum lt_match {
    LT_MATCH_OK,
    LT_MATCH_SHORT, /* so far ours, but `batch->header_bytes + body_bytes` bytes are needed */
    LT_MATCH_OTHER, /* not written by this layout */
};
/* Is the message at `bytes` one that lt_layout_encode would have written? Fills *batch. */
enum lt_match lt_layout_match(const struct lt_layout *layout, const unsigned char *bytes, int64_t n,
                              struct lt_batch *batch);

/* Offsets rise and stay inside, text is UTF-8. NULL if so, else what is wrong (static storage). */
const char *lt_batch_check(const struct lt_batch *batch);
/* Row `index`; a missing column or null is p == NULL, LT_TIME_NONE or 32 zero bytes. */
void lt_batch_row(const struct lt_batch *batch, int64_t index, struct lt_row *row);

bool lt_utf8_valid(const void *bytes, size_t n);

#endif
