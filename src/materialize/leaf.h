/* SPDX-License-Identifier: Apache-2.0
 *
 * leaf.h - one column as Parquet has it: the values that are there, one behind the other, and for
 * each cell (of a list: each element) levels that say what is there.
 *
 * The Parquet library takes whole Arrow tables too, cell by cell and with all columns in memory at
 * once: half of the time that a file takes. Its bytes are the same.
 */
#ifndef LT_MATERIALIZE_LEAF_H
#define LT_MATERIALIZE_LEAF_H

#include <nanoarrow/nanoarrow.h>
/* whose Arrow structs both use */
#include <carquet/carquet.h>

/* Of a column with more texts than this no page has more of them, but a single row, provided that it has no dictionary. */
enum { LT_LEAF_BYTES = 128 << 20 };

/* Room for one column, used again for the next one. */
struct lt_leaf {
    int16_t *def, *rep;
    void *room;         /* for values that do not lie side by side in the array */
    int64_t capacity;   /* of each of the three, in cells */
    const void *values; /* room, or the array's own */
    int64_t levels, count;
};

void lt_leaf_init(struct lt_leaf *leaf); /* allocates nothing */
void lt_leaf_release(struct lt_leaf *leaf);

/* Writes a whole column, which is of a type of enum lt_column_type and nullable, as is its element. */
carquet_status_t lt_leaf_write(struct lt_leaf *leaf, carquet_writer_t *writer, int32_t column, const struct ArrowArrayView *view);

#endif
