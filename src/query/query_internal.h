/* SPDX-License-Identifier: Apache-2.0
 *
 * query_internal.h - what the parts of the query module share.
 */
#ifndef LT_QUERY_QUERY_INTERNAL_H
#define LT_QUERY_QUERY_INTERNAL_H

#include "base/arena.h"
#include "log/log.h"
#include "query/catalog.h"
#include "query/query.h"

struct lt_query {
    char *data_dir;
    struct lt_catalog *catalog;
    int lake_fd; /* shared lock on the lake while its files are in use; -1: none */
    bool as_is;  /* lt_query_take_as_is */
    bool in_memory;
    struct litmus_error held_up; /* what kept it from finishing a change */
    struct litmus_error lake_held_up; /* what keeps it from the lake; text: "": nothing */
    bool (*waiting)(void *self, const char *who); /* lt_query_on_wait */
    void *waiting_self;
    struct lt_lack lack; /* of the latest lt_query_events */
    struct litmus_error overlay_why; /* why the latest overlay lacks runs of a session */
};

/* ---- overlay.c: runs that have no file ---- */
struct lt_overlay_run {
    struct lt_table rows;
    struct lt_summary summary; /* borrows from rows */
};
struct lt_overlay {
    struct lt_overlay_run *runs;
    size_t count, capacity;
    bool outdated; /* a run got its file since the last refresh, and is in neither: refresh again */
};
/* The runs of the open sessions as of the last refresh. Release in every case. */
int lt_overlay_load(struct lt_query *query, struct lt_overlay *out, struct litmus_error *error);
void lt_overlay_release(struct lt_overlay *overlay);
/* lt_gather_session of the logs that the catalog knew at the last refresh: no folder is listed. */
struct lt_gathering;
int lt_query_gather(struct lt_query *query, const char *session_id, const char *run_id, struct lt_gathering *out, struct litmus_error *error);

/* ---- events.c ---- */
/* What was told of one log: it counts once. */
struct lt_lack_told {
    bool unread, damaged;
};
/* Takes note of what lt_log_next answered. */
void lt_lack_note(struct lt_lack *lack, struct lt_lack_told *told, const char *path, const struct lt_log_reader *reader, enum lt_log_status status,
                  const struct litmus_error *error);

/* ---- query.c ---- */
/* Runs that fit the filter, finished and in flight, newest first; text lives in the arena. */
struct lt_summaries {
    struct lt_arena arena;
    struct lt_summary *items;
    size_t count, capacity;
};
/* lt_catalog_refresh, unless lt_query_take_as_is was called just before. */
int lt_query_refresh(struct lt_query *query, struct litmus_error *error);
int lt_summaries_load(struct lt_query *query, const struct lt_run_filter *filter, struct lt_summaries *out, struct litmus_error *error);
void lt_summaries_release(struct lt_summaries *list);

/* ---- take.c: tables from tables ---- */
/* The rows of `from` by number, with a column file_path behind them. Hands over *out. */
int lt_table_take(const struct lt_table *from, const int64_t *rows, int64_t count, struct lt_str file_path, struct lt_table *out,
                  struct litmus_error *error);

#endif
