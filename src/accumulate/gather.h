/* SPDX-License-Identifier: Apache-2.0
 *
 * gather.h - the runs of one session, folded from its log files.
 *
 * The order: within a file as written; across files a merge by the occurred_at of the heads, ties
 * by file name. A run that has a run.materialized event with `log_rows` takes of each file only
 * the rows that are named there, so that what an orphan writes later changes a run's rows only where the run is materialised anew (`revised`).
 */
#ifndef LT_ACCUMULATE_GATHER_H
#define LT_ACCUMULATE_GATHER_H

#include "accumulate/run.h"
#include "log/log.h"

#define LT_REVISIONS_MAX (INT64_MAX - 1) /* what a log says beyond it counts as that: one more is a number still */

struct lt_gathered_run {
    struct lt_run run;
    bool producer_alive;         /* the process that executes the run holds a log of the session */
    bool materialized;           /* a run.materialized event is in the log */
    bool only_renamed;           /* one that gives its file another name, and none that says of what that was made */
    struct lt_str destination;   /* its destination (in the run's arena), relative to the data_dir */
    int64_t late;                /* events of producers that came after its file was made, and are in no row */
    int64_t revised;             /* how often its file was made anew, with what came late */
    int64_t renamed;             /* how often the file was given another name since it was made */
    struct lt_str owner_log;     /* path of the log that holds run.started (in the run's arena) */
    struct lt_str only_log;      /* identity of the one log that has rows of it; NULL: not said (in the run's arena) */
};
struct lt_log_tail {
    char *path;
    char identity[160];
    int64_t rows;
    enum lt_log_status end;
    bool chain_ok; /* true also where it was not checked */
};
struct lt_gathering {
    char session_id[64];
    struct lt_gathered_run **runs; /* in order of first appearance */
    size_t run_count, run_capacity;
    struct lt_log_tail *logs;
    size_t log_count;
    size_t damaged; /* places passed over */
};

struct lt_gather_options {
    const char *run_id; /* fold this run alone; NULL: every run of the session */
    const struct lt_log_list *logs; /* the session's logs, when they are known already; NULL: looked for */
    bool with_late; /* fold also what came after a run's file was made */
    bool check_chain; /* hold each row against the one before: see chain_ok of the logs */
};

/* Reads every log of the session and folds. Runs are settled: live when they have not ended and
 * their producer lives. Hands over the contents of *out: release with lt_gathering_release, also
 * after an error. Errors: ENOENT (no such session), and what the system refuses: a log that cannot be read now may say that a run
 * ended, or has its file, so without it nothing is concluded. Damage, and what is no log, is counted and no error. */
int lt_gather_session(const char *data_dir, const char *session_id, const struct lt_gather_options *options,
                      struct lt_gathering *out, struct litmus_error *error);
/* run.materialized stands in a log that a materializer opened, and such a log begins with one of a few events: may the log whose first
 * event this is be one of those? The producers' logs need no look for it. */
bool lt_may_say_materialized(const struct lt_row *first);
/* Does the row say that a run has its file, made from these rows (not: another name)? Not where nobody can read it: of the last events a power loss leaves what it likes. */
bool lt_says_materialized(const struct lt_row *row);
/* Is more to be told of the run than its file says? Only where its end was said for a dead producer: an end that the producer said stands. */
bool lt_gathered_run_outdated(const struct lt_gathered_run *run);
/* What a log says is not believed: a destination is a file in runs/ or in a folder there, where the catalog looks, or it is not used. */
bool lt_destination_usable(struct lt_str destination);
bool lt_destination_plain(char c); /* may a part of its name hold it? */
void lt_gathering_release(struct lt_gathering *gathering);

/* A run of which `first` is the first row; nothing is folded yet. NULL: out of memory. */
struct lt_gathered_run *lt_gathered_run_new(const struct lt_row *first, const char *session_id);
void lt_gathered_run_free(struct lt_gathered_run *run); /* NULL accepted */
/* Folds one row, which is in the log at `path`. `source` and errors: as lt_run_fold. */
int lt_gathered_run_fold(struct lt_gathered_run *run, const struct lt_row *row, const char *path, uint32_t source, struct litmus_error *error);

#endif
