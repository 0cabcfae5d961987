/* SPDX-License-Identifier: Apache-2.0
 *
 * survey.h - may a session be put away? Its logs one by one, and what stands against it.
 */
#ifndef LT_RETAIN_SURVEY_H
#define LT_RETAIN_SURVEY_H

#include "accumulate/gather.h"
#include "log/index.h"

enum lt_hindrance {
    LT_HINDRANCE_NONE,
    LT_HINDRANCE_YOUNG,          /* has an event from the limit on */
    LT_HINDRANCE_IN_FLIGHT,      /* a log is open, or a producer holds one */
    LT_HINDRANCE_UNMATERIALIZED, /* a run that was started has no file */
    LT_HINDRANCE_DAMAGED,        /* a log is damaged, or its chain does not hold */
    LT_HINDRANCE_RECORD,         /* it tells what was pruned; only for lt_prune_look */
};
/* In words, after "it "; static storage. */
const char *lt_hindrance_text(enum lt_hindrance hindrance);

struct lt_surveyed_log {
    char *path;
    char identity[160];
    char chain[65]; /* the last chain value, as text; "" without events */
    int64_t rows, bytes;
    bool archived;
};
struct lt_surveyed_run {
    char run_id[64];
    char *file; /* relative to the data_dir; the file may be missing */
};
struct lt_survey {
    char session_id[64];
    enum lt_hindrance hindrance;
    int64_t last_at; /* when its last event was received; LT_TIME_NONE: none */
    bool tells_of_pruning; /* has an event retention.pruned */
    struct lt_surveyed_log *logs;
    size_t log_count;
    struct lt_surveyed_run *runs;
    size_t run_count;
};

/* Looks at a session; ask with its name locked (lt_range_lock "session"). Events from `limit` on make it too young
 * (LT_TIME_NONE: none does). Only what has no hindrance is looked at whole. Hands over the contents
 * of *out, also after an error. `index` is of who looks at one after the other (NULL: the folders are listed). Errors: ENOENT, EIO, ENOMEM. */
int lt_survey_session(const char *data_dir, struct lt_log_index *index, const char *session_id, int64_t limit, struct lt_survey *out, struct litmus_error *error);
void lt_survey_release(struct lt_survey *survey);

/* When the latest event on record was received; LT_TIME_NONE: there is none. Once one is from `enough` on, no further is looked. Errors: EIO, ENOMEM. */
int lt_survey_newest(const char *data_dir, int64_t enough, int64_t *newest, struct litmus_error *error);

#endif
