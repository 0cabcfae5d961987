/* SPDX-License-Identifier: Apache-2.0
 *
 * stack.h - tables one below the other: rows of many, copied column by column. A column that one of them lacks is
 * NULL there.
 *
 * Calling sequence: lt_stack_init, then lt_stack_join and lt_stack_add for each table, then lt_stack_take, which
 * leaves the columns for the next rows. The first failure is kept; lt_stack_take tells it.
 */
#ifndef LT_MATERIALIZE_STACK_H
#define LT_MATERIALIZE_STACK_H

#include "base/map.h"
#include "materialize/build.h"
#include "materialize/parquet.h"

struct lt_stack_column {
    char *name; /* owned */
    enum lt_column_type type;
    int64_t at;    /* where the table that joined last has it; -1: nowhere */
    int64_t nulls; /* the last rows, which are not in the array yet: many columns are NULL from top to bottom */
    int64_t cells, text; /* bytes that the rows before took, which were handed over */
    struct ArrowArray array;
};
struct lt_stack {
    struct lt_stack_column *columns; /* in the order in which they first occurred */
    size_t count, capacity;
    struct lt_map by_name;
    int64_t rows, bytes; /* bytes: of its texts, about */
    int failed;          /* a NANOARROW code */
};

/* Are all columns of the types that run files have? */
bool lt_table_stackable(const struct lt_table *table);
/* Is no column of it there with another type? *grows: it has columns that are not there yet. */
bool lt_stack_fits(const struct lt_stack *stack, const struct lt_table *table, bool *grows);

void lt_stack_init(struct lt_stack *stack);
void lt_stack_release(struct lt_stack *stack);
/* Adds the columns of a stackable table that fits. */
void lt_stack_join(struct lt_stack *stack, const struct lt_table *table);
/* Adds those of its columns that are named, or one column of text. */
void lt_stack_join_named(struct lt_stack *stack, const struct lt_table *table, const char *const *names, size_t count);
void lt_stack_join_text(struct lt_stack *stack, const char *name);
/* Adds rows from <= row < to of the table that joined last, or of one with the same columns. */
void lt_stack_add(struct lt_stack *stack, const struct lt_table *table, int64_t from, int64_t to);
/* The same; columns of these names, which are of text, get the word in each of the rows, whatever the table says. */
struct lt_stack_word {
    const char *column;
    struct lt_str word;
};
void lt_stack_add_with(struct lt_stack *stack, const struct lt_table *table, int64_t from, int64_t to, const struct lt_stack_word *words, size_t count);
/* Hands over the rows as a table. Errors: ENOMEM, EINVAL (more text in a column than Arrow can say). */
int lt_stack_take(struct lt_stack *stack, struct lt_table *out, struct litmus_error *error);
/* Hands the rows, if there are any, over to a file, as its next row group; *writer NULL: they are its first, and it is made. Errors: as
 * above, EIO. */
int lt_stack_write(struct lt_stack *stack, struct lt_parquet_writer **writer, struct litmus_error *error);

#endif
