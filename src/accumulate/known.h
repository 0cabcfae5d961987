/* SPDX-License-Identifier: Apache-2.0
 *
 * known.h - one run folded by somebody who followed the session's logs and knows where its rows lie:
 * what is read are the run's own rows, however many others the session has.
 *
 * Always true: gives the run that lt_gather_session gives of the same logs cut at `rows`.
 */
#ifndef LT_ACCUMULATE_KNOWN_H
#define LT_ACCUMULATE_KNOWN_H

#include "accumulate/gather.h"
#include "accumulate/merge.h"

/* Whole messages of a log, one behind the other. Rows of other runs may lie between. */
struct lt_stretch {
    uint32_t log;             /* number in the list of logs */
    int64_t offset;           /* of the first message */
    int64_t row, rows;        /* rows of the file before it, and how many to read */
    struct lt_merge_key key;  /* latest one of the file before it */
};
struct lt_known_log {
    char *path;
    int64_t rows; /* of the file, as of now: where a rebuild cuts */
};
struct lt_known_run {
    char *run_id;
    struct lt_stretch *stretches; /* log by log, those of one log in the order of the file */
    size_t count;
    struct lt_gathered_run *folded; /* owned, with its only_log; NULL: the rows are to be read */
};

/* Folds and settles the run, which has ended; takes known->folded if it is there. `logs` in order of path. *out names the logs that
 * hold rows of it. Hands over the contents of *out, also after an error. Errors: EDAMAGED (the logs
 * are not as said), EIO, ENOMEM. */
int lt_gather_known(const char *session_id, const struct lt_known_log *logs, size_t log_count, struct lt_known_run *known,
                    struct lt_gathering *out, struct litmus_error *error);

#endif
