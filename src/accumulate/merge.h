/* SPDX-License-Identifier: Apache-2.0
 *
 * merge.h - the order in which the logs of one session are merged: by the time of their heads, an end
 * of a run last among equals, then by file name.
 *
 * A file is never reordered: a head that is earlier than what came before it in its file is given at
 * once. So a row's place follows from the latest key up to it in its own file, and whoever knows that
 * key can begin to merge in the middle of a file and gets the same order.
 */
#ifndef LT_ACCUMULATE_MERGE_H
#define LT_ACCUMULATE_MERGE_H

#include "model/event.h"

struct lt_merge_key {
    int64_t time;
    bool ended;
};
#define LT_MERGE_FIRST ((struct lt_merge_key){INT64_MIN, false})

static inline bool lt_merge_before(struct lt_merge_key a, struct lt_merge_key b) {
    return a.time != b.time ? a.time < b.time : !a.ended && b.ended;
}

/* The latest key of a file, `key` so far, once `row` has come. */
static inline struct lt_merge_key lt_merge_pass(struct lt_merge_key key, const struct lt_row *row) {
    struct lt_merge_key own = {row->occurred_at, lt_str_eq(row->event_type, LT_STR("run.ended"))};
    return lt_merge_before(key, own) ? own : key;
}

#endif
