/* SPDX-License-Identifier: Apache-2.0
 *
 * prune.h - whole sessions go, with all that is theirs: logs and what lies beside them, run files,
 * attachments, channels. One event a session (retention.pruned, in a log of a session of its own) stays, so that
 * it can be told from a theft.
 *
 * Always true: the events and the removal are one change (materialize/changeset.h): after a crash there is all of
 * the sessions or nothing, and nothing only together with the events.
 */
#ifndef LT_RETAIN_PRUNE_H
#define LT_RETAIN_PRUNE_H

#include "base/arena.h"
#include "retain/survey.h"

struct lt_prune; /* handle: some sessions that go together; holds their locks */

enum { LT_PRUNE_SESSIONS_MAX = 1000 }; /* that go together; more is LITMUS_ESTATE */

struct lt_pruned {
    int64_t sessions, runs, files, bytes;
};

/* `policy` goes on record as it is; borrowed. Sessions with an event from `limit` on stay. Errors: EBUSY, EPERM, ENOMEM. */
int lt_prune_new(const char *data_dir, const char *policy, int64_t limit, bool dry, struct lt_prune **out, struct litmus_error *error);
void lt_prune_free(struct lt_prune *prune); /* what was not applied stays; NULL accepted */
/* Takes the session along unless something stands against it: *hindrance. Errors as lt_survey_session. */
int lt_prune_look(struct lt_prune *prune, const char *session_id, enum lt_hindrance *hindrance, struct litmus_error *error);
/* What is taken along and not applied yet. */
struct lt_pruned lt_prune_pending(const struct lt_prune *prune);
/* Removes what was taken along and says so on record; then more may be taken. Errors: EINVAL (a file's name), ENOSPC,
 * EPERM, EIO, ENOMEM: nothing went, or (see lt_changeset_apply) the next one finishes it. */
int lt_prune_apply(struct lt_prune *prune, struct litmus_error *error);

#endif
