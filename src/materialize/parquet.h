/* SPDX-License-Identifier: Apache-2.0
 *
 * parquet.h - tables to and from Parquet. parquet.c is the only file that knows the library.
 */
#ifndef LT_MATERIALIZE_PARQUET_H
#define LT_MATERIALIZE_PARQUET_H

#include "materialize/table.h"

struct lt_parquet_meta {
    const char *key;
    const char *value;
};

/* The whole file as bytes, appended to *out. The same table and metadata give the same bytes.
 * `table` is only borrowed. */
int lt_parquet_encode(const struct lt_table *table, const struct lt_parquet_meta *meta, size_t meta_count,
                      struct lt_buf *out, struct litmus_error *error);

/* Reads a whole file. `columns`: names to read (others are left out; a name the file lacks is no
 * error), or NULL for all. Hands over *out. Errors: ENOENT, EDAMAGED (names the file), EIO. */
int lt_parquet_read(const char *path, const char *const *columns, size_t column_count, struct lt_table *out,
                    struct litmus_error *error);

#endif
