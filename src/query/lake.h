/* SPDX-License-Identifier: Apache-2.0
 *
 * lake.h - the rows of many runs in few Parquet files, below <data_dir>/lake: disposable, made from runs/.
 *
 * Always true: lake/manifest.json says which run files (path, size, time stamp) each lake file holds. A run
 * counts from the lake only while the catalog's ledger says the same of its file; else its own file counts, and
 * its rows in the lake are passed over. So at any moment, and after a crash at any moment, a run counts once:
 * a lake file that is missing or of another size, and a manifest that cannot be read, only make the lake
 * smaller. A reader holds lake/readers.lock shared while it uses the files; files are replaced under it alone.
 */
#ifndef LT_QUERY_LAKE_H
#define LT_QUERY_LAKE_H

#include "base/arena.h"
#include "query/query.h"

struct lt_lake_member {
    struct lt_str path, run_id; /* path relative to the data_dir */
    int64_t size, mtime_ns;
    uint32_t file;
    bool current; /* the run file is as it was */
};
struct lt_lake_file {
    struct lt_str name, month; /* "month=2026-05/part-....parquet", relative to lake/; "2026-05" */
    int64_t bytes, rows;
    size_t members, stale; /* stale: of these, no longer current */
    bool usable;           /* it is there, and as large as it was */
    bool keep;             /* for lake_compact.c */
};
struct lt_lake {
    struct lt_arena arena;
    struct lt_lake_file *files;
    size_t file_count;
    struct lt_lake_member *members;
    size_t member_count;
    struct lt_lake_member *fresh; /* finished runs that are not in it; file is not set */
    size_t fresh_count, fresh_capacity;
};

/* What the lake has of the finished runs, and what it has not. Refreshes the catalog. Release in every case.
 * Errors: as lt_query_runs. */
int lt_lake_load(struct lt_query *query, struct lt_lake *out, struct litmus_error *error);
void lt_lake_release(struct lt_lake *lake);
/* Holds the files of the lake as they are until the query is freed or this is called again. Never an error. */
void lt_lake_hold(struct lt_query *query);

struct lt_lake_done {
    int64_t runs, rows, files, removed; /* written; removed: old lake files */
    int64_t left;                       /* runs whose file could not be taken along */
    bool readers;                       /* somebody reads: nothing was replaced */
};
/* Brings the lake up to date. `on_run` (may be NULL) is told how many of how many runs are done. Errors: EBUSY (another
 * one is at it), ENOSPC, EPERM, EIO, ENOMEM; the lake is as it was, then. */
int lt_lake_compact(struct lt_query *query, void (*on_run)(void *self, int64_t done, int64_t all), void *self, struct lt_lake_done *done,
                    struct litmus_error *error);

#endif
