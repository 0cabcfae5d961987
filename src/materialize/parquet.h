/* SPDX-License-Identifier: Apache-2.0
 *
 * parquet.h - tables to and from Parquet. Only parquet.c, leaf.c and parquet_cells.c know the library.
 */
#ifndef LT_MATERIALIZE_PARQUET_H
#define LT_MATERIALIZE_PARQUET_H

#include "materialize/table.h"

struct lt_parquet_meta {
    const char *key;
    const char *value;
};

/* What is left of a table that is written: the columns of these names; each other is freed when it is written, which takes less memory. */
struct lt_parquet_kept {
    const char *const *columns;
    size_t count;
};

/* The whole file as bytes, appended to *out. The same table and metadata give the same bytes. `kept` NULL: the table stays
 * as it is. It is to be released in either case. */
int lt_parquet_encode(struct lt_table *table, const struct lt_parquet_kept *kept, const struct lt_parquet_meta *meta, size_t meta_count, struct lt_buf *out,
                      struct litmus_error *error);

/* The same in pieces: each table becomes a row group. All have the columns of `like` in its order. */
struct lt_parquet_writer;
int lt_parquet_writer_new(const struct lt_table *like, struct lt_parquet_writer **out, struct litmus_error *error);
/* After an error only lt_parquet_writer_free may follow. */
int lt_parquet_writer_add(struct lt_parquet_writer *writer, struct lt_table *rows, const struct lt_parquet_kept *kept, struct litmus_error *error);
/* Ends the file and appends its bytes. */
int lt_parquet_writer_end(struct lt_parquet_writer *writer, struct lt_buf *out, struct litmus_error *error);
void lt_parquet_writer_free(struct lt_parquet_writer *writer); /* NULL accepted */

/* Of a run file, or another that is read whole: no larger one is looked into, whatever its size is said to be. */
enum { LT_RUN_FILE_BYTES_MAX = 1 << 30 };

/* Reads a whole file. `columns`: names to read (others are left out; a name the file lacks is no
 * error), or NULL for all. Hands over *out. Errors: ENOENT, EDAMAGED (names the file; also: too large), EIO. */
int lt_parquet_read(const char *path, const char *const *columns, size_t column_count, struct lt_table *out,
                    struct litmus_error *error);

/* The same of a file that may be anybody's: each column of a run file is to hold what it holds in run files, or EDAMAGED. */
int lt_parquet_read_run(const char *path, const char *const *columns, size_t column_count, struct lt_table *out,
                        struct litmus_error *error);

/* Tells of each column that holds lists. Errors: as lt_parquet_read. */
int lt_parquet_lists(const char *path, void (*each)(void *self, struct lt_str name), void *self, struct litmus_error *error);

/* Reads whole files one after the other, which is quicker when they are much alike, as those of the runs of one plan are. */
struct lt_parquet_series;
struct lt_parquet_series *lt_parquet_series_new(void); /* NULL: no memory */
void lt_parquet_series_free(struct lt_parquet_series *series); /* NULL accepted */
/* *out and *changed are the series': until the next call, or lt_parquet_series_free. *changed: by column, does it say something else than in the file
 * before? NULL: the columns are not of the same names and types, in the same places, as there. Errors: as lt_parquet_read. */
int lt_parquet_series_read(struct lt_parquet_series *series, const char *path, const struct lt_table **out, const bool **changed, struct litmus_error *error);

#endif
