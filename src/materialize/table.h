/* SPDX-License-Identifier: Apache-2.0
 *
 * table.h - rows and named columns in Arrow's memory layout: what the fold gives, what a Parquet
 * file holds, what Python gets without copying, what the command line prints.
 *
 * Always true: `schema` and `array` are a struct type and a struct array of equal children; both
 * are released or both are not. Column types: utf8 (u), int64 (l), int32 (i), float64 (g), bool (b),
 * timestamp us UTC (tsu:UTC), and lists of utf8, timestamp, bool; others from foreign files are
 * passed through untouched.
 */
#ifndef LT_MATERIALIZE_TABLE_H
#define LT_MATERIALIZE_TABLE_H

#include "base/buf.h"
#include "base/error.h"

#include <nanoarrow/nanoarrow.h>

struct lt_table {
    struct ArrowSchema schema;
    struct ArrowArray array;
    struct ArrowArrayView view; /* over array; valid while array is */
};

void lt_table_init(struct lt_table *table);    /* empty; allocates nothing */
void lt_table_release(struct lt_table *table); /* everything; may be used again */

int64_t lt_table_rows(const struct lt_table *table);
int64_t lt_table_columns(const struct lt_table *table);
const char *lt_table_name(const struct lt_table *table, int64_t column);
int64_t lt_table_find(const struct lt_table *table, const char *name); /* -1: no such column */

/* Drops every column that is not named. On failure the table is released. */
int lt_table_keep(struct lt_table *table, const char *const *columns, size_t column_count, struct litmus_error *error);

/* Frees the cells of a column that is not among those named: nothing but its name is there from now on. */
void lt_table_spend(struct lt_table *table, int64_t column, const char *const *columns, size_t column_count);

/* Cells. A column number of -1 reads as NULL everywhere. */
bool lt_table_is_null(const struct lt_table *table, int64_t column, int64_t row);
struct lt_str lt_table_str(const struct lt_table *table, int64_t column, int64_t row);            /* borrowed; NULL if null or no utf8 */
bool lt_table_int(const struct lt_table *table, int64_t column, int64_t row, int64_t *value);     /* int, timestamp, bool */
bool lt_table_real(const struct lt_table *table, int64_t column, int64_t row, double *value);     /* real or int */
/* Appends the cell as JSON: numbers, "text", times as "2026-05-16T14:30:25.123456Z", lists, null. */
void lt_table_json(const struct lt_table *table, int64_t column, int64_t row, struct lt_buf *out);

#endif
