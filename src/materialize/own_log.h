/* SPDX-License-Identifier: Apache-2.0
 *
 * own_log.h - the log that a materializer keeps of a session: the end that a dead producer could
 * not write, what recovery found, and that a run's file is durable. Made when the first event comes.
 */
#ifndef LT_MATERIALIZE_OWN_LOG_H
#define LT_MATERIALIZE_OWN_LOG_H

#include "log/log.h"
#include "model/compose.h"

struct lt_own_log {
    const char *data_dir, *session_id; /* borrowed */
    const struct lt_io *io;
    int lock_fd; /* of materialize.lock: others are told there that the session got a log; -1: none */
    enum litmus_durability durability; /* DEFAULT: the caller syncs what has to be */
    const struct lt_key *key; /* borrowed; NULL (as after init): it is not signed */
    struct lt_log_writer *writer; /* NULL until the first event */
    struct lt_composer composer;
};

void lt_own_log_init(struct lt_own_log *log, const char *data_dir, const char *session_id, const struct lt_io *io, int lock_fd);
/* Emits one event; *row (may be NULL) gets it, borrowed until the next event. */
int lt_own_log_emit(struct lt_own_log *log, const struct litmus_event *event, struct lt_row *row, struct litmus_error *error);
/* Seals what was written, and frees. */
int lt_own_log_close(struct lt_own_log *log, struct litmus_error *error);

#endif
