/* SPDX-License-Identifier: Apache-2.0
 *
 * dynamic.h - the columns that a run brings itself: in_*, out_*, custom_*, and the instruments'
 * lists step_instruments_* (run-schema.md, 3.1 and 3.2), in byte order of their names.
 */
#ifndef LT_MATERIALIZE_DYNAMIC_H
#define LT_MATERIALIZE_DYNAMIC_H

#include "accumulate/run.h"
#include "materialize/build.h"

struct lt_dynamic_column;

struct lt_dynamic {
    const struct lt_run *run;
    struct lt_dynamic_column *columns; /* sorted by name */
    size_t count, capacity;
    struct lt_arena arena; /* names and lists */
    struct lt_map by_key;  /* (kind, key) -> column, while collecting */
};

int lt_dynamic_init(struct lt_dynamic *dynamic, const struct lt_run *run, struct litmus_error *error);
void lt_dynamic_put(struct lt_dynamic *dynamic, struct lt_build *build); /* dynamic.count columns */
void lt_dynamic_release(struct lt_dynamic *dynamic);

#endif
