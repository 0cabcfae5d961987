/* SPDX-License-Identifier: Apache-2.0
 *
 * tail.h - where single samples wait until they are enough for a row: `.{name}.tail` beside the file.
 *
 * Always true: `count` samples are whole; a sample is counted after it was stored. Between the row that
 * takes them and the reset, they are in both: `first_sample` tells.
 */
#ifndef LT_CHANNEL_TAIL_H
#define LT_CHANNEL_TAIL_H

#include "base/buf.h"
#include "base/error.h"
#include "channel/format.h"

#include <assert.h>
#include <stdatomic.h>

#define LT_TAIL_MAGIC "LTTAIL1"

/* The file's bytes. */
struct lt_channel_tail {
    char magic[8];
    _Atomic int64_t first_sample; /* samples in rows before these */
    _Atomic int64_t count;
    char unused[40];
    int64_t times[LT_CHANNEL_TAIL];
    unsigned char values[LT_CHANNEL_TAIL * 8]; /* as the type needs, without gaps */
};
static_assert(sizeof(_Atomic int64_t) == 8, "it is a file format");

/* Samples of a tail that was read. */
struct lt_tail_samples {
    int64_t first_sample, count;
    int64_t *times; /* owned, both */
    void *values;
    bool damaged; /* there were more, or it cannot be told how many */
};

/* Appends the tail's path for a channel file's. */
void lt_tail_path(const char *path, struct lt_buf *out);
/* The other way round. */
void lt_tail_owner(const char *tail_path, struct lt_buf *out);
/* Reads what lies beside `path`; none, or one that is damaged or of nothing, gives count 0. While a writer
 * works on it, what it says at one moment. ENOMEM. */
int lt_tail_read(const char *path, enum litmus_type type, struct lt_tail_samples *out, struct litmus_error *error);
void lt_tail_samples_release(struct lt_tail_samples *samples);

#endif
