/* SPDX-License-Identifier: Apache-2.0
 *
 * query.h - questions about runs, steps, measurements and events, over finished files and runs in
 * flight alike. One handle a data_dir; not for two threads at once.
 */
#ifndef LT_QUERY_QUERY_H
#define LT_QUERY_QUERY_H

#include "base/error.h"
#include "materialize/table.h"
#include "model/event.h"

struct lt_query;

int lt_query_open(const char *data_dir, struct lt_query **out, struct litmus_error *error);
/* One that changes nothing, not even the catalog: it answers from a catalog in memory, made of every run file. For who looks for what
 * is wrong. Errors as lt_query_open. */
int lt_query_open_memory(const char *data_dir, struct lt_query **out, struct litmus_error *error);
void lt_query_free(struct lt_query *query);

struct lt_run_filter {
    int64_t limit;  /* <= 0: all */
    int64_t offset;
    int64_t since, until;  /* on started_at, since <= it < until; LT_TIME_NONE or 0: open */
    const char *serial, *part, *lot, *station, *operator_id, *phase, *outcome, *project; /* NULL: any. A serial without blanks around it */
    const char *git; /* a commit, or how it starts */
    const char *plan; /* a plan_digest */
    const char *text; /* words, each of which the run has (words.h) */
    bool finished_only;
    const char *run_id; /* this run alone (36 characters) */
};
/* Run summaries with the columns of run-schema.md 8.2 (test_run_id ... file_path) and the counts
 * passed, failed, errored, skipped, done, terminated, aborted, never_ran, running, planned, live (bool), stop_reason, running_step
 * (of a run in flight: the name of the step that started last and is under way).
 * Newest first (started_at descending, NULL last, ties by run_id); live runs included. */
int lt_query_runs(struct lt_query *query, const struct lt_run_filter *filter, struct lt_table *out, struct litmus_error *error);

struct lt_run_ref {
    char run_id[64];
    char path[4096]; /* absolute path of its file, "" for a live run */
    char session_id[64];
    bool live;
};
/* Finds one run: full id, unique prefix (hex and dashes, any case), "last", "@N" (1 = newest).
 * Errors: EINVAL (empty), ENOENT (text gives near matches), EAMBIGUOUS (text names the candidates). */
int lt_query_find(struct lt_query *query, const char *ref, struct lt_run_ref *out, struct litmus_error *error);

/* The rows of one run exactly as its file has them (all columns), from the file or, for a run in
 * flight, from the same fold. `columns` as in lt_parquet_read. */
int lt_query_rows(struct lt_query *query, const struct lt_run_ref *run, const char *const *columns, size_t column_count,
                  struct lt_table *out, struct litmus_error *error);
/* Step dicts of run-schema.md 8.2 (run_id, step_index, step_name, ..., step_outcome, outcome, started_at,
 * ended_at, duration_s, has_measurements, measurement_count, vector_count, retry_count, markers,
 * file_path, then step_message, step_failed_phase, never_ran_reason, never_ran_cause, vector_outcome, live). */
int lt_query_steps(struct lt_query *query, const struct lt_run_ref *run, struct lt_table *out, struct litmus_error *error);
/* Measurement rows: every column of the file, plus file_path; ordered by step_index,
 * measurement_name, vector_index, vector_retry. */
int lt_query_measurements(struct lt_query *query, const struct lt_run_ref *run, struct lt_table *out, struct litmus_error *error);

struct lt_event_filter {
    const char *session_id, *run_id, *event_type, *role; /* NULL: any */
    int64_t since;  /* on received_at, inclusive; LT_TIME_NONE: open */
    int64_t limit;  /* the N most recent; <= 0: all */
};
/* Events as rows: id, event_type, occurred_at, received_at, session_id, run_id, json; received_at
 * ascending (ties: order of the log); each once, as it was first received. An id that is there with another content is another event. */
int lt_query_events(struct lt_query *query, const struct lt_event_filter *filter, struct lt_table *out, struct litmus_error *error);
/* Logs whose events are not all given, with the first one's reason: they cannot be read (from some place on), or have damaged places
 * that were passed over. */
struct lt_lack {
    int64_t unread, damaged;
    struct litmus_error unread_why, damaged_why;
};
/* Of the latest lt_query_events. */
const struct lt_lack *lt_query_events_lack(const struct lt_query *query);

/* Events as they come, from logs that others are writing. */
struct lt_event_follow;
/* `filter` is borrowed until lt_event_follow_free; its since and limit are not used. What is on record now
 * is passed over, or with `from_start` given by the first poll. */
int lt_event_follow_open(struct lt_query *query, const struct lt_event_filter *filter, bool from_start, struct lt_event_follow **out,
                         struct litmus_error *error);
void lt_event_follow_free(struct lt_event_follow *follow);
/* Gives what came since the last call; never waits. The row is borrowed for the call. */
int lt_event_follow_poll(struct lt_event_follow *follow, void (*each)(void *self, const struct lt_row *row), void *self, struct litmus_error *error);
/* What it could not give, of logs that came or changed since it was opened. Each log counts once. */
const struct lt_lack *lt_event_follow_lack(const struct lt_event_follow *follow);
/* Waits until a log was written, made or closed, a signal came, or `timeout_ms` passed; where the system does not
 * tell of changes, a tenth of a second. true: a log was closed, so a producer may be gone (its lock may be there for
 * an instant more). */
bool lt_event_follow_wait(struct lt_event_follow *follow, int timeout_ms);

/* Sessions of which a producer is gone and that are not finished: lt_materialize_session is for them.
 * Refreshes first. Of a session that looks alive and that somebody is at work on there is no telling: `wait` (NULL: nobody is waited for) is to
 * return when he is done, or is waited for no longer; then such sessions are looked at again. They come after the others. */
int lt_query_unfinished(struct lt_query *query, void (*wait)(void *self, const char *session_id), void (*each)(void *self, const char *session_id), void *self,
                        struct litmus_error *error);
/* The next list or search takes the catalog as it is, once: for who called lt_query_unfinished this instant and
 * found nothing to do. */
void lt_query_take_as_is(struct lt_query *query);
/* Every session with a log, oldest log first. Refreshes first. */
int lt_query_sessions(struct lt_query *query, void (*each)(void *self, const char *session_id), void *self, struct litmus_error *error);
/* Did another process keep the catalog locked at the last refresh? What came since the one before may be missing, then. */
bool lt_query_is_behind(const struct lt_query *query);
/* Why a folder could not be looked at, so that what is in it may be missing; NULL: each could. */
const char *lt_query_unlisted(const struct lt_query *query);
/* Who held the lock of a change that a crash left half made, for so long that it was not waited for; NULL: nobody. */
const struct litmus_error *lt_query_held_up(const struct lt_query *query);
/* Who kept the lock of the lake for so long that lt_sql_setup was made without the lake; NULL: nobody. */
const struct litmus_error *lt_query_lake_held_up(const struct lt_query *query);
/* Who has waited a second for a lock of the lake tells who has it; where that gives false, it is waited for no longer. */
void lt_query_on_wait(struct lt_query *query, bool (*waiting)(void *self, const char *who), void *self);
/* Why the latest listing lacks runs in flight; NULL: it does not. */
const char *lt_query_lacks(const struct lt_query *query);
/* Makes the catalog anew from the files; `on_file` (may be NULL) is told how many of how many run files were read. */
int lt_query_reindex(struct lt_query *query, void (*on_file)(void *self, int64_t done, int64_t all), void *self, struct litmus_error *error);
/* Files that are left out of every listing because they cannot be read. */
int lt_query_damaged(struct lt_query *query, bool (*each)(void *self, const char *path, const char *reason), void *self,
                     struct litmus_error *error);
/* Gives each file (relative to the data_dir) of a run that has several, with the first of its others: listings count the run once. */
int lt_query_copies(struct lt_query *query, bool (*each)(void *self, const char *path, const char *other, const char *run_id), void *self, struct litmus_error *error);
/* Gives each file of which the catalog's file says something else than it does itself (lt_catalog_check). */
int lt_query_check_catalog(struct lt_query *query, void (*each)(void *self, const char *path, const char *what), void *self, struct litmus_error *error);

#endif
