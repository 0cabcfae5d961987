/* SPDX-License-Identifier: Apache-2.0 */
#include "materialize/own_log.h"

#include "base/clock.h"
#include "log/heads.h"
#include "materialize/range_lock.h"

void lt_own_log_init(struct lt_own_log *log, const char *data_dir, const char *session_id, const struct lt_io *io, int lock_fd) {
    *log = (struct lt_own_log){.data_dir = data_dir, .session_id = session_id, .io = io, .lock_fd = lock_fd};
    lt_composer_init(&log->composer, NULL);
}

int lt_own_log_emit(struct lt_own_log *log, const struct litmus_event *event, struct lt_row *row, struct litmus_error *error) {
    struct lt_row own;
    if (row == NULL) row = &own;
    if (log->writer == NULL) {
        (void)!lt_range_raise(log->lock_fd, lt_str_of(log->session_id)); /* where that fails, nobody relies on it */
        struct lt_log_options options = {.data_dir = log->data_dir, .session_id = log->session_id, .durability = log->durability, .io = log->io, .key = log->key,
                                         .number = lt_now_us()}; /* not the name that another station takes for the same session */
        int code = lt_log_create(&options, &log->writer, error);
        (void)!lt_range_raise(log->lock_fd, lt_str_of(log->session_id));
        if (code != LITMUS_OK) return code;
    }
    int code = lt_compose(&log->composer, log->session_id, event, row, error);
    return code == LITMUS_OK ? lt_log_append(log->writer, row, 1, error) : code;
}

int lt_own_log_close(struct lt_own_log *log, struct litmus_error *error) {
    int code = log->writer == NULL ? LITMUS_OK : lt_log_seal(log->writer, error);
    struct lt_head end = {0};
    if (log->writer != NULL) end = lt_log_writer_head(log->writer);
    if (code == LITMUS_OK && end.identity[0] != '\0') (void)!lt_heads_add(log->io, log->data_dir, &end, NULL);
    lt_log_writer_free(log->writer);
    lt_composer_release(&log->composer);
    log->writer = NULL;
    return code;
}
