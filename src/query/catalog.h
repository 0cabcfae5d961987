/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog.h - which runs exist and where: SQLite at <data_dir>/catalog.sqlite, disposable.
 * catalog.c is the only file that knows SQLite.
 *
 * Always true: whatever is in the catalog can be rebuilt from runs/; a missing, foreign, damaged or
 * unwritable catalog file never fails a query (it is made anew, or in memory).
 */
#ifndef LT_QUERY_CATALOG_H
#define LT_QUERY_CATALOG_H

#include "base/buf.h"
#include "base/error.h"
#include "materialize/table.h"

struct lt_catalog;

/* One run as the listings show it. Text fields are borrowed from whoever made the summary. */
struct lt_summary {
    struct lt_str run_id, session_id, slot_id, dut_serial, dut_part_number, dut_lot_number, product_id, station_id, station_name;
    struct lt_str station_type, station_hostname, fixture_id, test_phase, operator_id, project_name, git_commit, outcome;
    struct lt_str stop_reason, plan_digest;
    struct lt_str running_step; /* of a run in flight: the step, or sub-step, that started last and is under way; the catalog has none */
    struct lt_str file_path; /* relative to the data_dir; NULL for a live run */
    int64_t started_at, ended_at;          /* LT_TIME_NONE: none */
    int64_t total_steps, total_measurements;
    /* Planned step rows (those that are not sub-steps) by outcome; the last two have no outcome:
     * never_ran did not start (in a live run: not yet), running is under way. */
    int64_t passed, failed, errored, skipped, done, terminated, aborted, never_ran, running;
    int64_t planned; /* the sum of them */
    int64_t run_rows; /* 1; 0 in a file of another writer that has none: each row tells of the run */
    bool live;
};

/* The columns that lt_summary_of looks at; a table may have others, and lack some of these. */
extern const char *const lt_summary_columns[];
extern const size_t lt_summary_column_count;
/* The summary of a run's rows (a file's or a live run's). Borrows from the table.
 * Errors: EDAMAGED (no row with a run_id, rows of several runs, or several run rows), ENOMEM. */
int lt_summary_of(const struct lt_table *rows, struct lt_str file_path, struct lt_summary *out, struct litmus_error *error);

int lt_catalog_open(const char *data_dir, struct lt_catalog **out, struct litmus_error *error);
/* One that is in memory alone and knows nothing yet: what it answers comes from the files, and nothing is written. ENOMEM. */
int lt_catalog_open_memory(const char *data_dir, struct lt_catalog **out, struct litmus_error *error);
void lt_catalog_free(struct lt_catalog *catalog);
/* Adds or replaces a run (by its file_path, which must be set). `size`, `mtime_ns` of the file as the ledger keeps them. */
int lt_catalog_put(struct lt_catalog *catalog, const struct lt_summary *run, int64_t size, int64_t mtime_ns, struct litmus_error *error);
/* The same for many runs, in one transaction: all or none. */
struct lt_catalog_put {
    struct lt_summary run;
    int64_t size, mtime_ns;
};
int lt_catalog_put_all(struct lt_catalog *catalog, const struct lt_catalog_put *rows, size_t count, struct litmus_error *error);
/* Looks for files that were added, changed or removed by hand (only in folders whose time stamp
 * changed) and reads those. Damaged files are remembered as quarantined and left out. */
int lt_catalog_refresh(struct lt_catalog *catalog, struct litmus_error *error);
/* Removes the catalog's file and makes it anew. Told after each run file: how many of how many were read (NULL: nobody asks). */
struct lt_catalog_progress {
    void (*on_file)(void *self, int64_t done, int64_t all);
    void *self;
};
int lt_catalog_rebuild(struct lt_catalog *catalog, struct lt_catalog_progress *progress, struct litmus_error *error);
/* How far the catalog's file is to agree: as of when it was last looked after, or as of now, and with the lake's list as of now (lt_lake_is_synced). */
enum lt_catalog_age { LT_CATALOG_OF_BEFORE, LT_CATALOG_OF_NOW, LT_CATALOG_AND_LAKE_OF_NOW };
typedef void lt_catalog_finding_fn(void *self, const char *path, const char *what);
/* Holds the catalog's file against `truth`, one in memory that is up to date (with the lake, too: lt_lake_sync), and changes neither: gives each file
 * (relative to the data_dir) of which it says something else, or its own path when it cannot be read. None is fine. Errors: ENOMEM, and what
 * the system says that does not let us read it. catalog_check.c. */
int lt_catalog_check(struct lt_catalog *truth, enum lt_catalog_age age, lt_catalog_finding_fn *each, void *self, struct litmus_error *error);
/* Does the catalog look for files in a folder of this name (relative to the data_dir), if it is there? runs/, or a folder in runs/ or events/. */
bool lt_catalog_looks_in(struct lt_str folder);

/* ---- for query.c ---- */
struct lt_run_filter;

/* Gives the finished runs that fit, newest first; false stops it. Borrowed for the call. A run of
 * which two files are there is given once. */
typedef bool lt_summary_fn(void *self, const struct lt_summary *run);
int lt_catalog_runs(struct lt_catalog *catalog, const struct lt_run_filter *filter, lt_summary_fn *each, void *self,
                    struct litmus_error *error);
/* The file of a finished run as the ledger has it; false stops it. */
struct lt_run_file {
    const char *path; /* relative to the data_dir; borrowed for the call, like run_id */
    const char *run_id;
    int64_t size, mtime_ns;
};
typedef bool lt_run_file_fn(void *self, const struct lt_run_file *file);
/* Finished runs whose id starts with `prefix` (lower case), in order of their ids, at most `limit`;
 * or, with `near`, the runs whose ids come just before and after it. */
int lt_catalog_ids(struct lt_catalog *catalog, const char *prefix, bool near, int limit, lt_summary_fn *each, void *self,
                   struct litmus_error *error);
/* Has this run a file that still is as the ledger says? One stat, no folder is read. */
bool lt_catalog_is_current(struct lt_catalog *catalog, const char *run_id);
/* Has it one as of now? Another process may have told the catalog of it since the refresh. */
bool lt_catalog_has_run(struct lt_catalog *catalog, struct lt_str run_id);
/* Reads these files (relative paths) again where size or time stamp differ from the ledger: a file
 * changed in place leaves no trace in its folder. *changed tells that one was. */
int lt_catalog_recheck(struct lt_catalog *catalog, const char *const *paths, size_t count, bool *changed,
                       struct litmus_error *error);
/* The finished runs whose file has no run row. */
int lt_catalog_without_row(struct lt_catalog *catalog, void (*each)(void *self, const char *run_id), void *self, struct litmus_error *error);
/* Each file of a run that has several, with the first of its others; false stops it. */
typedef bool lt_copy_fn(void *self, const char *path, const char *other, const char *run_id);
int lt_catalog_copies(struct lt_catalog *catalog, lt_copy_fn *each, void *self, struct litmus_error *error);
/* Did another process keep the catalog locked at the last refresh, so that what came since is not in it? */
bool lt_catalog_is_behind(const struct lt_catalog *catalog);
/* Why the system did not let the last refresh look at a folder, of which nothing may be in it; NULL: it let it. */
const char *lt_catalog_unlisted(const struct lt_catalog *catalog);
/* Is what it knows in its file, for the next one to find? Not where that cannot be written. */
bool lt_catalog_is_kept(const struct lt_catalog *catalog);
/* Files left out of every listing, with the reason. */
typedef bool lt_damaged_fn(void *self, const char *path, const char *reason);
int lt_catalog_damaged(struct lt_catalog *catalog, lt_damaged_fn *each, void *self, struct litmus_error *error);

/* Sessions that had unfinished business at the last refresh: a log without its footer, or a run
 * that was started and has no file or no run.materialized. */
struct lt_open_session {
    char session_id[64];
    bool live;     /* a producer holds one of its logs */
    bool dead;     /* nobody holds one that is not sealed */
    bool held;     /* live, and somebody has its lock: perhaps it is no producer that holds its log, but who finishes it */
    bool has_runs; /* a run of it was started and has neither a file nor run.materialized; or may be: it lives */
};
const struct lt_open_session *lt_catalog_open_sessions(const struct lt_catalog *catalog, size_t *count);
/* Logs known at the last refresh, relative to the data_dir. `mtime_us`: no event of it is later;
 * LT_TIME_NONE: it may still grow. false stops. Of one session: by path. Of all (session_id NULL):
 * those that may grow, then the latest first; those with no event from `since` on are left out. */
typedef bool lt_log_path_fn(void *self, const char *path, int64_t mtime_us);
int lt_catalog_logs(struct lt_catalog *catalog, const char *session_id, int64_t since, lt_log_path_fn *each, void *self,
                    struct litmus_error *error);
typedef bool lt_name_fn(void *self, const char *name);
/* Each session that has a log, by the path of its first one. */
int lt_catalog_sessions(struct lt_catalog *catalog, lt_name_fn *each, void *self, struct litmus_error *error);

#endif
