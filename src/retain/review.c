/* SPDX-License-Identifier: Apache-2.0 */
#include "retain/review.h"

#include "base/config.h"
#include "materialize/own_log.h"
#include "materialize/range_lock.h"

#include <unistd.h>

static int put(const char *data_dir, const char *session_id, int lock_fd, const struct lt_key *key, const struct litmus_event *event, struct litmus_error *error) {
    struct lt_log_list logs = {0};
    struct lt_own_log own;
    int code = lt_log_find(data_dir, session_id, &logs, error);
    if (code == LITMUS_OK && logs.count == 0) code = lt_fail(error, LITMUS_ENOENT, 0, "session %s has no log in %s: nothing can be added to it", session_id, data_dir);
    lt_log_list_release(&logs);
    if (code != LITMUS_OK) return code;
    lt_own_log_init(&own, data_dir, session_id, NULL, lock_fd);
    own.durability = LITMUS_DURABILITY_EACH;
    own.key = key;
    code = lt_own_log_emit(&own, event, NULL, error);
    int closed = lt_own_log_close(&own, code == LITMUS_OK ? error : NULL);
    return code != LITMUS_OK ? code : closed;
}

int lt_review_put(const char *data_dir, const char *session_id, const struct litmus_event *event, struct litmus_error *error) {
    int lock_fd = lt_range_lock_open(data_dir);
    lt_range_lock(lock_fd, "session", lt_str_of(session_id));
    struct lt_key_place place;
    const struct lt_key *key = NULL;
    lt_key_place_init(&place);
    int code = lt_signing_key_find(NULL, data_dir, &place.path, error);
    if (code == LITMUS_OK) code = lt_key_place_get(&place, &key, error);
    if (code == LITMUS_OK) code = put(data_dir, session_id, lock_fd, key, event, error);
    lt_key_place_release(&place);
    lt_range_unlock(lock_fd, "session", lt_str_of(session_id));
    if (lock_fd >= 0) close(lock_fd);
    return code;
}
