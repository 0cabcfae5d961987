/* SPDX-License-Identifier: Apache-2.0
 *
 * build.h - makes a table column by column, each column top to bottom.
 *
 * Calling sequence: lt_build_start, then for each column lt_build_column and one lt_put_* a row,
 * then lt_build_finish. The first failure is kept; the calls after it do nothing.
 */
#ifndef LT_MATERIALIZE_BUILD_H
#define LT_MATERIALIZE_BUILD_H

#include "materialize/table.h"

enum lt_column_type {
    LT_COLUMN_STR, LT_COLUMN_TIME, LT_COLUMN_INT, LT_COLUMN_INT32, LT_COLUMN_REAL, LT_COLUMN_BOOL,
    LT_COLUMN_STRS, LT_COLUMN_TIMES, LT_COLUMN_BOOLS,
};

struct lt_build {
    struct lt_table *table;
    int64_t rows;
    int64_t column;   /* the one being filled, -1 at first */
    enum lt_column_type type;
    struct ArrowArray *array; /* of the column; NULL: none is being filled */
    uint8_t *valid;           /* its bits of cells that are no NULL */
    void *cells;              /* its values, or where its texts and lists begin */
    int64_t row, nulls;       /* the cell that comes next; how many were NULL so far */
    int failed;               /* a NANOARROW code, or one of errno */
};

/* `columns` is how many lt_build_column calls will follow, `rows` how many cells each gets. */
void lt_build_start(struct lt_build *build, struct lt_table *table, int64_t columns, int64_t rows);
void lt_build_column(struct lt_build *build, const char *name, enum lt_column_type type);
/* A column whose cells are there: takes the array over. */
void lt_build_given(struct lt_build *build, const char *name, enum lt_column_type type, struct ArrowArray *array);
/* Fills an initialised schema; gives a NANOARROW code. */
int lt_column_schema(struct ArrowSchema *schema, const char *name, enum lt_column_type type);
/* An array without cells, to append to; gives a NANOARROW code. */
int lt_column_start(struct ArrowArray *array, enum lt_column_type type);
/* Appends to an array of that type, which was started; gives a NANOARROW code. */
int lt_column_append_nulls(struct ArrowArray *array, enum lt_column_type type, int64_t count);
void lt_put_null(struct lt_build *build);
void lt_put_nulls(struct lt_build *build, int64_t count);
void lt_put_str(struct lt_build *build, struct lt_str s); /* p == NULL: null */
void lt_put_int(struct lt_build *build, int64_t value);   /* INT, INT32 (which it must fit), TIME, BOOL */
void lt_put_real(struct lt_build *build, double value);
/* The cell before, `count` times more; of a list only while no cell has elements. */
void lt_put_again(struct lt_build *build, int64_t count);
/* Lists: lt_list_item_* for each element, then lt_list_end. */
void lt_list_item_str(struct lt_build *build, struct lt_str s);
void lt_list_item_int(struct lt_build *build, bool set, int64_t value);
void lt_list_end(struct lt_build *build);
int lt_build_finish(struct lt_build *build, struct litmus_error *error);

#endif
