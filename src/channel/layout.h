/* SPDX-License-Identifier: Apache-2.0
 *
 * layout.h - how a row lies in its record batch message, in both directions. With schema.c the only
 * file of the channels that knows the Arrow library.
 *
 * Columns in order: first_sample, time, time_last, interval_ns, bin_min, bin_max, bin_min_at, bin_max_at,
 * times, value. What a view needs comes before the samples, and these are last, so that they can be
 * written from where they are.
 */
#ifndef LT_CHANNEL_LAYOUT_H
#define LT_CHANNEL_LAYOUT_H

#include "base/buf.h"
#include "base/error.h"
#include "channel/format.h"
#include "log/ipc.h"

enum { LT_CHANNEL_BUFFERS = 32 };

/* Where everything of a row is; offsets from the start of the body. */
struct lt_channel_plan {
    int64_t count, bins;
    bool even; /* even spacing: no times of its own */
    int64_t scalars[4]; /* first_sample, time, time_last, interval_ns */
    int64_t bin_min, bin_max, bin_min_at, bin_max_at, times, values;
    int64_t body_bytes;
    int64_t offset[LT_CHANNEL_BUFFERS], length[LT_CHANNEL_BUFFERS];
    size_t buffers;
};

void lt_channel_plan(struct lt_channel_plan *plan, enum litmus_type type, int64_t count, bool even);
/* Bytes of the message before the body, the same for every row; 0: out of memory. */
int64_t lt_channel_header_bytes(void);
/* Those bytes for a plan. */
void lt_channel_header(const struct lt_channel_plan *plan, unsigned char *out);
/* Is this the header that lt_channel_header would have written for some plan? Fills it. */
bool lt_channel_header_match(const unsigned char *header, enum litmus_type type, struct lt_channel_plan *plan);
/* Appends header and body up to the samples; `times` for a row without even spacing. ENOMEM. */
int lt_channel_head(const struct lt_channel_plan *plan, enum litmus_type type, const struct lt_channel_row *row, const int64_t *times, const void *values, struct lt_buf *out,
                    struct litmus_error *error);

/* The schema of a channel; NULL: out of memory. */
struct lt_ipc_schema *lt_channel_schema(const struct lt_channel_about *about);
/* Reads a schema message (prefix included, 8-byte aligned). NULL, or what is wrong (static storage). */
const char *lt_channel_schema_read(const unsigned char *message, int64_t n, struct lt_channel_about *about, struct lt_ipc_schema **out);

#endif
