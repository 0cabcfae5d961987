/* SPDX-License-Identifier: Apache-2.0
 *
 * format.h - the numbers of a channel file (FORMAT.md has them in words).
 *
 * A channel file is an Arrow IPC file like a log: one row a batch, one batch a block of samples. All
 * batches have the same metadata but for a few numbers, so that a reader proves it by comparing bytes.
 */
#ifndef LT_CHANNEL_FORMAT_H
#define LT_CHANNEL_FORMAT_H

#include "litmus.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LT_CHANNEL_VERSION "1"
#define LT_CHANNEL_META_VERSION "litmus.channel_version"
#define LT_CHANNEL_META_ID "litmus.channel_id"
#define LT_CHANNEL_META_SESSION "litmus.session_id"
#define LT_CHANNEL_META_RUN "litmus.run_id"
#define LT_CHANNEL_META_UNITS "litmus.units"
#define LT_CHANNEL_META_TYPE "litmus.type"

enum {
    LT_CHANNEL_BIN = 1024,           /* samples that share one minimum and one maximum */
    LT_CHANNEL_BLOCK_MAX = 1 << 20,  /* samples of one row; a longer block becomes several */
    LT_CHANNEL_TAIL = 4096,          /* single samples that are gathered before they become a row */
    LT_CHANNEL_HEADER_MAX = 2048,
    LT_CHANNEL_SCHEMA_MAX = 1 << 16,
    LT_CHANNEL_ID_BYTES = 200,
    LT_CHANNEL_UNITS_BYTES = 100,
};

/* What a channel is: in the schema's metadata, the same in every file of it. */
struct lt_channel_about {
    char channel_id[LT_CHANNEL_ID_BYTES], session_id[64], run_id[40], units[LT_CHANNEL_UNITS_BYTES];
    enum litmus_type type;
};

/* One row: a block of samples. */
struct lt_channel_row {
    int64_t first_sample;      /* how many samples of this file come before it */
    int64_t time, time_last;   /* ns since 1970, of its first and last sample */
    double interval_ns;        /* 0: each sample has a time of its own */
    int64_t count;
};

int lt_type_bytes(enum litmus_type type);        /* 0: no such type */
const char *lt_type_name(enum litmus_type type); /* "float64"; static storage */
bool lt_type_parse(const char *name, enum litmus_type *out);
/* `count` values as doubles. */
void lt_type_doubles(enum litmus_type type, const void *values, int64_t count, double *out);
/* The value that stands for `value`; false if the type cannot hold it. */
bool lt_type_store(enum litmus_type type, double value, void *out);
/* Minimum and maximum of `count` values into element `at` of the lists, and where they are. NaN is passed
 * over; nothing but NaN gives NaN. */
void lt_type_bin(enum litmus_type type, const void *values, int64_t count, int64_t at, void *min, void *max, uint16_t *min_at, uint16_t *max_at);
/* Time of sample `index` of a block with even spacing. */
int64_t lt_channel_time(int64_t start, double interval_ns, int64_t index);

#endif
