/* SPDX-License-Identifier: Apache-2.0
 *
 * parquet_cells.h - from Parquet's pages to Arrow's buffers, for the columns that run files have (leaf.h is the way back). The library
 * does that for any nesting, but walks through every cell of a list, and reads each column of a file whoever asks for three.
 */
#ifndef LT_MATERIALIZE_PARQUET_CELLS_H
#define LT_MATERIALIZE_PARQUET_CELLS_H

#include "materialize/table.h"

#include <carquet/carquet.h>

/* Is each column of a type that run files have (build.h)? Then lt_cells_read can read the file. */
bool lt_cells_known(const carquet_schema_t *schema);

/* A column that is of another kind than columns.def says, as one that holds texts where run files have times: its name; NULL: none is.
 * Numbers are one kind, however wide; so are times, in any unit; a column of nothing but NULL is of any kind. */
const char *lt_cells_foreign(const carquet_schema_t *schema);

/* A row group. `columns`: names of those to read, in any order (one that the file lacks is no error), or NULL for all; they come in the
 * order of the file. A column whose statistics say that it is all NULL is not looked at. Hands over *out.
 * Errors: EDAMAGED (path names the file), ENOMEM. */
int lt_cells_read(carquet_reader_t *reader, int32_t group, const char *const *columns, size_t column_count, const char *path, struct lt_table *out,
                  struct litmus_error *error);

/* The file before: most columns of the next one are the same to the byte when its run had the same plan, and are not read again. */
struct lt_cells_before {
    struct lt_table rows; /* without columns: there is none */
    struct lt_buf bytes;  /* the whole file */
    struct lt_cells_chunk *chunks; /* of each column, in `bytes` */
    bool *changed;                 /* of each column: does it say something else than in the file before? */
    bool same_columns;             /* the last file and the one before it had the same ones, in the same places */
};
void lt_cells_before_init(struct lt_cells_before *before);
void lt_cells_before_release(struct lt_cells_before *before);
/* The only row group of the file that `bytes` is, taken over with it: before->rows are then its rows. After an error there are none.
 * Errors: as lt_cells_read; EINVAL: a column is of a type foreign to run files. */
int lt_cells_next(struct lt_cells_before *before, carquet_reader_t *reader, struct lt_buf *bytes, const char *path, struct litmus_error *error);

#endif
