/* SPDX-License-Identifier: Apache-2.0
 *
 * stack.h - tables one below the other. A column that one of them lacks is NULL there.
 */
#ifndef LT_MATERIALIZE_STACK_H
#define LT_MATERIALIZE_STACK_H

#include "base/map.h"
#include "materialize/table.h"

/* Are all columns of the types that run files have? */
bool lt_table_stackable(const struct lt_table *table);
/* Adds the columns of a stackable table to those of tables that are to be stacked with it (names are borrowed).
 * false: one is there with another type (nothing was added), or memory is out. */
bool lt_table_join(struct lt_map *columns, const struct lt_table *table);
/* The tables must be stackable and joined to one map. Columns in the order in which they first occur. Hands over *out. */
int lt_table_stack(const struct lt_table *tables, size_t count, struct lt_table *out, struct litmus_error *error);

#endif
