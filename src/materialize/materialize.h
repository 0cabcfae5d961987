/* SPDX-License-Identifier: Apache-2.0
 *
 * materialize.h - a finished run becomes one Parquet file: fold -> rows -> temporary file in the
 * target folder -> fsync -> rename -> fsync folder -> run.materialized -> catalog.
 *
 * The daemon, the closing producer, `litmus materialize` and `litmus rebuild` call these same
 * functions; doing it twice, or elsewhere from a copy of the log, gives the same bytes.
 */
#ifndef LT_MATERIALIZE_MATERIALIZE_H
#define LT_MATERIALIZE_MATERIALIZE_H

#include "accumulate/known.h"
#include "materialize/table.h"

struct lt_counts { /* step rows by outcome word; the last is never ran */
    int64_t passed, failed, errored, skipped, done, terminated, aborted, never_ran;
};

struct lt_materialized {
    char run_id[64];
    char path[4096];        /* absolute path of the Parquet file */
    bool already;           /* it was there before: nothing was written */
    char outcome[16];
    int64_t planned;        /* plan items */
    int64_t deselected;     /* tests that were found and are not in the plan */
    int64_t steps, measurements;
    struct lt_counts counts; /* over planned step rows */
};

/* The bytes of a settled run's file, appended to *out: what the log folds to. */
int lt_run_encode(const struct lt_run *run, struct lt_buf *out, struct litmus_error *error);
/* Counts of a settled run; path, already and materializer fields are left alone. */
void lt_run_count(const struct lt_run *run, struct lt_materialized *done);

struct lt_materializer; /* handle: one data_dir; keeps the catalog open */

/* How the data_dir was named, where that is another path: the station's key is looked for above that (config.h). Copied. ENOMEM. */
int lt_materializer_name(struct lt_materializer *materializer, const char *data_dir, struct litmus_error *error);
int lt_materializer_new(const char *data_dir, const struct lt_io *io, struct lt_materializer **out, struct litmus_error *error);
void lt_materializer_free(struct lt_materializer *m);
/* For who finishes one session after the other: lt_materialize_session finds its logs by `index` (borrowed; log/index.h). */
struct lt_log_index;
void lt_materializer_use_index(struct lt_materializer *m, struct lt_log_index *index);
/* Catalog rows go through `queue` (borrowed) instead of a connection of the materializer's own. */
struct lt_catalog_queue;
void lt_materializer_use_queue(struct lt_materializer *m, struct lt_catalog_queue *queue);

/* A run that was folded already: writes its file, run.materialized and the catalog row.
 * `rebuild`: the run.materialized event exists; only the file is (re)written under its name. */
int lt_materialize_run(struct lt_materializer *m, struct lt_gathering *session, struct lt_gathered_run *run,
                       bool rebuild, struct lt_materialized *done, struct litmus_error *error);

/* Everything that is left to do for a session: recovers the logs of dead producers (seal, torn
 * tail kept), ends their open runs as aborted, writes the file of each ended run that has none.
 * `on_done` (may be NULL) is told of each run that has a file after the call. Runs whose producer
 * lives are left alone. */
int lt_materialize_session(struct lt_materializer *m, const char *session_id,
                           void (*on_done)(void *self, const struct lt_materialized *done), void *self,
                           struct litmus_error *error);

/* What somebody who followed every log of a session knows of runs that have ended. */
struct lt_known_session {
    uint64_t number; /* lt_range_number of the session in materialize.lock, from before its logs were last looked for */
    struct lt_known_log *logs; /* in order of path */
    size_t log_count;
    struct lt_known_run *runs; /* ended, and not materialised */
    size_t run_count;
};
void lt_known_session_free(struct lt_known_session *known); /* with all that it points to; NULL accepted */
/* Does for the known runs what lt_materialize_session does for all, and reads nothing but their rows;
 * where somebody else was at work, or anything is not as known, it is lt_materialize_session.
 * What was folded of the runs is used up. */
int lt_materialize_known(struct lt_materializer *m, const char *session_id, struct lt_known_session *known,
                         void (*on_done)(void *self, const struct lt_materialized *done), void *self, struct litmus_error *error);

/* The name ("runs/...") under which the file of a run from elsewhere can lie here: its destination, unless a file of another
 * run has that name here or in the folder `also`; then the next free one. Hold the lock of names ("name", the second's
 * stamp). Appended to *name. Errors: ENOMEM. */
int lt_materializer_settle_name(struct lt_materializer *m, const struct lt_gathered_run *run, const char *also, struct lt_buf *name, struct litmus_error *error);
/* File name of a run below runs/: "2026-05-16/20260516T143025Z_SN1.parquet". `run_id`: as much of the id
 * as is needed to tell it from others ("..Z_1b2c3d4e_SN1.parquet"), or NULL. */
int lt_run_file_name(int64_t started_us, struct lt_str serial, struct lt_str run_id, struct lt_buf *out);

#endif
