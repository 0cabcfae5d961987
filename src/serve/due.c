/* SPDX-License-Identifier: Apache-2.0
 *
 * due.c - which sessions are to be materialised now, and what came of it. The other half of follow.h: follow.c reads.
 */
#include "base/clock.h"
#include "materialize/range_lock.h"
#include "serve/folding.h"
#include "serve/followed.h"
#include "serve/knowledge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_US ((int64_t)5 * 1000 * 1000)
#define RETRY_LAST_US ((int64_t)60 * 1000 * 1000)

/* ---- judging sessions ---- */
/* Has the run ended, or may it have to be ended? */
static bool mark_needs(const struct lt_session *session, const struct lt_mark *mark) {
    if (mark->ended) return true;
    if (!mark->started) return false;
    if (mark->owner != NULL && !lt_followed_finished(mark->owner) && !mark->owner->dead) return false;
    return mark->ends != session->ends;
}

/* Does the session need to be materialised? Rows alone are of a run whose other logs we need not follow any more. */
static bool session_needs(const struct lt_session *session) {
    bool more = session->looked_ends != session->producer_ends;
    if (session->asked || (more && session->orphaned)) return true;
    for (const struct lt_mark *mark = session->marks; mark != NULL; mark = mark->next) {
        if (mark_needs(session, mark) || (more && !mark->started && !mark->ended)) return true;
    }
    for (const struct lt_followed_log *log = session->logs; log != NULL; log = log->next_of_session) {
        if (log->dead && !lt_followed_finished(log)) return true;
    }
    return false;
}

/* Drops the logs of a session that has nothing left to do, and the session with them: all or none, so
 * that a settled log tells that its session was finished. */
static void session_tidy(struct lt_follow *f, struct lt_session *session) {
    if (session->marks != NULL) return;
    for (struct lt_followed_log *log = session->logs; log != NULL; log = log->next_of_session) {
        if (!lt_followed_finished(log) || log->unread) return;
    }
    while (session->logs != NULL) lt_followed_drop(f, session->logs, !session->logs->broken);
    if (!session->queued && !session->has_job) lt_session_free(f, session);
}

/* Not now: it failed, and nothing has changed since or it is too soon. */
static bool session_rests(struct lt_session *session) {
    if (!session->failed || session->asked) return false;
    if (session->distrusted) session->failed_changes = session->changes; /* this is how we found it */
    session->distrusted = false;
    if (lt_monotonic_us() < session->retry_at_us) return true;
    return session->changes == session->failed_changes && !session->again_later;
}

static struct lt_job *job_begin(struct lt_follow *f, struct lt_session *session) {
    struct lt_job *job = lt_job_new(session->id);
    if (job == NULL) {
        lt_journal_say(f->journal, "out of memory: session %s is materialised later", session->id);
        session->failed = session->again_later = true;
        session->retry_at_us = lt_monotonic_us() + RETRY_FIRST_US;
        return NULL;
    }
    job->tag = ++f->jobs_made;
    job->urgent = session->fresh || session->asked;
    if (session->number_turn == f->turn && !session->asked && lt_folders_knows(f->folders, session->id)) {
        job->known = lt_knowledge_of(session, &job->folded_bytes);
        if (job->known == NULL) lt_folding_done(f, job->folded_bytes);
    }
    session->has_job = true;
    session->asked = false;
    session->job_changes = session->changes;
    session->looked_ends = session->producer_ends;
    for (struct lt_mark *mark = session->marks; mark != NULL; mark = mark->next) {
        if (!mark_needs(session, mark)) continue;
        mark->job = job->tag;
        mark->ends = session->ends;
    }
    for (struct lt_followed_log *log = session->logs; log != NULL; log = log->next_of_session) log->in_job = log->dead;
    f->job_count++;
    return job;
}

bool lt_follow_prepare(struct lt_follow *f) {
    bool any = false;
    f->turn++;
    for (struct lt_session *session = f->due_head; session != NULL && f->lock_fd >= 0; session = session->next_due) {
        if (session->has_job || !lt_knowledge_fits(session) || !lt_range_number(f->lock_fd, lt_str_of(session->id), &session->number)) continue;
        session->number_turn = f->turn;
        any = true;
    }
    return any;
}

struct lt_job *lt_follow_job(struct lt_follow *f) {
    while (f->due_head != NULL) {
        struct lt_session *session = f->due_head;
        f->due_head = session->next_due;
        if (f->due_head == NULL) f->due_tail = NULL;
        session->queued = false;
        if (session->has_job || session->held || session->unread > 0) continue; /* comes again by itself */
        if (!session_needs(session)) {
            session_tidy(f, session);
            continue;
        }
        struct lt_job *job = session_rests(session) ? NULL : job_begin(f, session);
        if (job != NULL) return job;
    }
    return NULL;
}

/* ---- what came of a job ---- */
/* The machine's fault rather than the run's: it may pass without any log changing. */
static bool may_pass(int code) {
    return code == LITMUS_ENOSPC || code == LITMUS_EIO || code == LITMUS_EPERM || code == LITMUS_ENOMEM || code == LITMUS_EBUSY;
}

static void session_fail(struct lt_follow *f, struct lt_session *session, const char *text, bool again_later) {
    bool same = session->failed && strncmp(session->failure, text, sizeof session->failure - 1) == 0;
    session->retry_pause_us = !session->failed ? RETRY_FIRST_US : session->retry_pause_us * 2;
    if (session->retry_pause_us > RETRY_LAST_US) session->retry_pause_us = RETRY_LAST_US;
    session->failed = true;
    session->again_later = again_later;
    session->failed_changes = session->job_changes;
    session->looked_ends = UINT64_MAX;
    session->retry_at_us = lt_monotonic_us() + session->retry_pause_us;
    snprintf(session->failure, sizeof session->failure, "%s", text);
    if (!same) lt_journal_say(f->journal, "session %s could not be materialised: %s", session->id, text);
}

/* The job said it went well: is what it should have done done? */
static void session_verify(struct lt_follow *f, struct lt_session *session, uint64_t tag) {
    const struct lt_mark *left = NULL;
    bool alive = false;
    for (struct lt_followed_log *log = session->logs; log != NULL; log = log->next_of_session) {
        if (log->in_job && !log->sealed) log->resolved = true; /* it was sealed, or cannot be */
        if (!lt_followed_finished(log)) alive = true;
    }
    for (struct lt_mark *mark = session->marks; mark != NULL; mark = mark->next) {
        if (mark->job == tag && (mark->ended || !alive)) left = mark;
    }
    if (left == NULL) {
        session->failed = false;
        return;
    }
    char text[200];
    snprintf(text, sizeof text, "run %.60s has no file, and nothing said why", left->id);
    session_fail(f, session, text, false);
}

static void take_runs(struct lt_follow *f, struct lt_session *session, const struct lt_job *job) {
    for (size_t i = 0; i < job->run_count; i++) {
        const struct lt_job_run *run = &job->runs[i];
        if (session != NULL) lt_run_done(f, session, lt_str_of(run->run_id));
        int at = lt_recent_find(f, run->run_id, strlen(run->run_id));
        if (at < 0) lt_recent_add(f, run->run_id, run->done);
        else if (f->recent[at].done == NULL || !run->already) {
            free(f->recent[at].done);
            f->recent[at].done = strdup(run->done);
        }
        if (!run->already) f->materialized++;
    }
}

void lt_follow_done(struct lt_follow *f, struct lt_job *job) {
    struct lt_session *session = lt_followed_session(f, job->session_id);
    f->job_count--;
    if (job->known != NULL) lt_folding_done(f, job->folded_bytes);
    f->activity_us = lt_monotonic_us();
    take_runs(f, session, job);
    if (session != NULL) {
        session->has_job = false;
        /* ENOENT: its logs were deleted, or somebody asked for a session that never was. */
        bool gone = job->code == LITMUS_ENOENT && session->logs == NULL;
        if (gone) {
            while (session->marks != NULL) lt_mark_drop(f, session, lt_str_of(session->marks->id));
        } else if (job->code != LITMUS_OK) session_fail(f, session, job->error.text, may_pass(job->code));
        else session_verify(f, session, job->tag);
        lt_session_due(f, session);
    }
    lt_job_free(job);
}

/* ---- who asks ---- */
enum lt_run_state lt_follow_state(struct lt_follow *f, const char *session_id, const char *run_id, const char **text) {
    *text = "";
    int at = lt_recent_find(f, run_id, strlen(run_id));
    struct lt_session *session = lt_followed_session(f, session_id);
    /* run.materialized is read from the log before the worker that wrote it has told us all. */
    if (at >= 0 && f->recent[at].done == NULL && session != NULL && session->has_job) return LT_RUN_PENDING;
    if (at >= 0) {
        if (f->recent[at].done != NULL) *text = f->recent[at].done;
        return LT_RUN_DONE;
    }
    if (session == NULL) return LT_RUN_UNKNOWN;
    if (session->has_job || session->asked || session->unread > 0) return LT_RUN_PENDING;
    const struct lt_mark *mark = lt_mark_find(session, lt_str_of(run_id));
    if (session->failed) {
        *text = session->failure;
        return LT_RUN_FAILED;
    }
    return mark != NULL && (mark->started || mark->ended) ? LT_RUN_PENDING : LT_RUN_UNKNOWN;
}

bool lt_follow_ask(struct lt_follow *f, const char *session_id) {
    struct lt_session *session = lt_followed_session_get(f, session_id);
    if (session == NULL) return false;
    session->asked = true;
    lt_session_due(f, session);
    return true;
}

void lt_follow_poke(struct lt_follow *f, const char *session_id) {
    struct lt_session *session = lt_followed_session(f, session_id);
    if (session == NULL) return;
    for (struct lt_followed_log *log = session->logs; log != NULL; log = log->next_of_session) lt_followed_unread(f, log);
}

void lt_follow_distrust(struct lt_follow *f, const char *session_id, int times, bool again) {
    struct lt_session *session = lt_followed_session_get(f, session_id);
    if (session == NULL) return;
    char text[200];
    snprintf(text, sizeof text, "%d daemons in a row ended while they worked on it: %s", times,
             again ? "it is tried again when other work is done" : "left alone until its logs change");
    session->distrusted = true;
    session_fail(f, session, text, again);
}

