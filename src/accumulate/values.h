/* SPDX-License-Identifier: Apache-2.0
 *
 * values.h - JSON members as named values of a run (in_*, out_*, custom_*), and typed reads of
 * event fields. Text is copied into the arena.
 */
#ifndef LT_ACCUMULATE_VALUES_H
#define LT_ACCUMULATE_VALUES_H

#include "accumulate/run.h"

/* A value as one of a type; one of another type, null or NULL reads as NULL / not set. */
struct lt_str lt_as_str(yyjson_val *value); /* borrowed from the document */
struct lt_int lt_as_int(yyjson_val *value);
struct lt_real lt_as_real(yyjson_val *value);
struct lt_int lt_as_time(yyjson_val *value);

/* Members of an object, in the same way. */
struct lt_str lt_get_str(struct lt_arena *arena, yyjson_val *object, const char *name);
struct lt_int lt_get_int(yyjson_val *object, const char *name);

/* Members of an object, each key once (the last wins), keys starting with `_` dropped. A key that
 * is there already is replaced when `replace`, else kept. */
bool lt_values_merge(struct lt_arena *arena, struct lt_values *values, yyjson_val *object, bool replace);
bool lt_values_set(struct lt_arena *arena, struct lt_values *values, struct lt_str key, yyjson_val *value, bool replace);

/* "test_v[3.3]" -> "test_v"; anything without a trailing [...] stays. */
struct lt_str lt_without_parameters(struct lt_str name);
/* The name of a planned step: function, else name, else the path's last part, else the node id. */
struct lt_str lt_item_name(const struct lt_plan_item *item);

/* Makes room for one more element of a list in the arena. */
bool lt_grow(struct lt_arena *arena, void **items, size_t count, size_t *capacity, size_t item_bytes);

#endif
