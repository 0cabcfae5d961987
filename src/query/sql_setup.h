/* SPDX-License-Identifier: Apache-2.0
 *
 * sql_setup.h - everything on record as SQL: the text that makes a DuckDB session see it.
 *
 * The text names the finished files and brings the rows of runs without a file along (as Parquet in a
 * folder of the caller's). The views over both are views.sql, the same for the command and for Python.
 */
#ifndef LT_QUERY_SQL_SETUP_H
#define LT_QUERY_SQL_SETUP_H

#include "query/query.h"

struct lt_sql_options {
    const char *scratch;      /* an empty folder for rows that have no file; may be removed once the text was run */
    const char *spill;        /* where DuckDB puts what does not fit into memory; need not exist. NULL: the caller says it */
    bool events;              /* with the events; else `events` is a view without rows */
    int64_t since;            /* events received from then on; LT_TIME_NONE: all */
    const char *views;        /* text: only the views that it names, and those under them, are made, which is quicker. NULL, and text that asks for the catalog
                               * or names none and reads else than files: all */
    const char *memory_limit; /* "2GB"; NULL: LITMUS_SQL_MEMORY, or DuckDB's own: 80 % of the machine's */
};

/* Appends the SQL to *out. Refreshes the catalog first. Errors: as lt_query_runs; EIO, ENOSPC (scratch);
 * EINVAL (memory_limit is no size). */
int lt_sql_setup(struct lt_query *query, const struct lt_sql_options *options, struct lt_buf *out, struct litmus_error *error);

/* Does the word stand in the text, in any case? A word in a comment counts, too. */
bool lt_sql_names(struct lt_str text, const char *word);
/* Appends the text as a string literal. */
void lt_sql_quote(struct lt_buf *out, struct lt_str text);

#endif
