/* SPDX-License-Identifier: Apache-2.0
 *
 * lake.h - the rows of many runs in few Parquet files, below <data_dir>/lake: disposable, made from runs/.
 *
 * A lake file "month=2026-05/part-X.parquet" never changes; beside it "_part-X.json" says which run files (path, size,
 * time stamp) its rows were made from, "_part-X.steps" what became of the steps in few rows (lake_plans.h), "_part-X.sha256" what all that was to the byte, and
 * lake/_manifest.json which lake files count. Names that begin with _ are passed over by engines that read the folder.
 * What a manifest says is taken over into the catalog once, and from then on the catalog keeps account: a run counts from
 * the lake only while its ledger has the very run file; else the file itself counts, and its rows in the lake are passed
 * over by run id. So at any moment, and after a crash at any moment, a run counts once: a lake file that is missing or of
 * another size, and a manifest that cannot be read, only make the lake smaller. A reader holds lake/_readers.lock shared
 * while it uses the files; files are replaced under it alone.
 */
#ifndef LT_QUERY_LAKE_H
#define LT_QUERY_LAKE_H

#include "base/arena.h"
#include "query/query.h"

struct lt_lake_run {
    struct lt_str path, run_id; /* path relative to the data_dir */
    int64_t size, mtime_ns;
};
struct lt_lake_file {
    struct lt_str name, month; /* "month=2026-05/part-....parquet", relative to lake/; "2026-05" */
    struct lt_str columns;     /* "name type,name type", in a name \\c for a comma and \\\\ for itself; the same text: the same columns */
    int64_t number, bytes, rows, runs; /* bytes: of the file, and of the one with its plans */
    struct lt_str *stale; /* run ids of rows that do not count */
    size_t stale_count;
    bool keep; /* for lt_lake_drop */
};
enum { LT_LAKE_VERSION = 3 }; /* of the layout; a manifest of another one counts for nothing */

struct lt_lake {
    struct lt_arena arena; /* of all text, and of the stale lists */
    struct lt_lake_file *files; /* that are there */
    size_t file_count, file_capacity;
    struct lt_lake_run *fresh; /* finished runs that are in none of them */
    size_t fresh_count, fresh_capacity;
};

/* What the lake has of the finished runs, and what it has not. Refreshes the catalog. Release in every case.
 * Errors: as lt_query_runs. */
int lt_lake_load(struct lt_query *query, struct lt_lake *out, struct litmus_error *error);
void lt_lake_release(struct lt_lake *lake);
/* Files without `keep` leave the list; their runs join the fresh ones. */
int lt_lake_drop(struct lt_query *query, struct lt_lake *lake, struct litmus_error *error);
/* "month=2026-05/part-X.parquet" -> "month=2026-05/_part-X.json", in out. */
const char *lt_lake_members_name(const char *name, struct lt_buf *out);
/* "month=2026-05/part-X.parquet" -> "month=2026-05/_part-X.sha256", in out. */
const char *lt_lake_sums_name(const char *name, struct lt_buf *out);
/* "month=2026-05/part-X.parquet" -> "month=2026-05/_part-X.steps", in out. */
const char *lt_lake_plans_name(const char *name, struct lt_buf *out);
/* Appends a column to the text of `columns`; `type` is of enum lt_column_type. */
void lt_lake_add_column(struct lt_buf *columns, const char *name, int type);
/* Takes the first column off *columns, with its name in *name (cleared first); false: there is none. */
bool lt_lake_next_column(struct lt_str *columns, struct lt_buf *name, int *type);
/* Holds the files of the lake as they are until the query is freed or this is called again. Never an error: where another process keeps the lock
 * (lt_query_lake_held_up), every run is read from its own file, which nobody replaces. */
void lt_lake_hold(struct lt_query *query);
/* Takes over into the catalog what the manifest says, if that is not yet done. Never an error: what the catalog
 * does not know of is read from the run files. */
void lt_lake_sync(struct lt_query *query);
/* Is the catalog's account of the manifest that lies there? */
bool lt_lake_is_synced(struct lt_query *query);

struct lt_lake_done {
    int64_t runs, rows, files, removed; /* written; removed: old lake files */
    int64_t left;                       /* runs whose file could not be taken along */
    bool readers;                       /* somebody reads: nothing was replaced */
};
/* Brings the lake up to date. `on_run` (may be NULL) is told how many of how many runs are done; false ends it early, with what
 * is done so far. Errors: EBUSY (another one is at it), ENOSPC, EPERM, EIO, ENOMEM; the lake is as it was, then. */
int lt_lake_compact(struct lt_query *query, bool (*on_run)(void *self, int64_t done, int64_t all), void *self, struct lt_lake_done *done,
                    struct litmus_error *error);

/* What is wrong with the lake as it lies there: changes nothing. Each finding is about the file at `path`, absolute; `stray`: it is none of the
 * lake's, and stays when that is made anew. Every lake file is read whole and held against its check sums (lake_sums.h). Errors: ENOMEM, and the
 * first that the system does not let us read: the rest is looked at. */
typedef void lt_lake_finding_fn(void *self, const char *path, const char *what, bool stray);
int lt_lake_check(struct lt_query *query, lt_lake_finding_fn *each, void *self, struct litmus_error *error);
/* The manifest goes: the next lt_lake_compact makes everything anew from the run files. EBUSY (a compaction is at it), EPERM, EIO. */
int lt_lake_forget(struct lt_query *query, struct litmus_error *error);

#endif
