/* SPDX-License-Identifier: Apache-2.0
 *
 * review.h - a word on a finished session, put on record after it: one event, in a log of its own.
 */
#ifndef LT_RETAIN_REVIEW_H
#define LT_RETAIN_REVIEW_H

#include "base/error.h"

/* Writes and seals a log of the session with this event, and brings it to the disk. `data_dir`, `session_id` and the event are borrowed.
 * Errors: ENOENT (the session has no log any more: it was pruned), EEVENT, EPERM, ENOSPC, EIO, ENOMEM; nothing is on record then. */
int lt_review_put(const char *data_dir, const char *session_id, const struct litmus_event *event, struct litmus_error *error);

#endif
