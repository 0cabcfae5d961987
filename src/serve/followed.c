/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/followed.h"

#include "base/clock.h"
#include "serve/folding.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash(const char *text, size_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    h ^= h >> 29;
    return h == 0 ? 1 : h;
}

/* ---- runs that were materialised lately ---- */
void lt_recent_add(struct lt_follow *f, const char *run_id, const char *done) {
    size_t at = f->recent_at++ % LT_FOLLOW_RECENT;
    free(f->recent[at].done);
    f->recent[at].key = hash(run_id, strlen(run_id));
    f->recent[at].done = done == NULL ? NULL : strdup(done);
    size_t old = (at + LT_FOLLOW_RECENT - LT_FOLLOW_PATHS) % LT_FOLLOW_RECENT;
    free(f->recent[old].done);
    f->recent[old].done = NULL;
}

int lt_recent_find(const struct lt_follow *f, const char *run_id, size_t n) {
    uint64_t key = hash(run_id, n);
    for (size_t i = 0; i < LT_FOLLOW_RECENT && i < f->recent_at; i++) {
        if (f->recent[i].key == key) return (int)i;
    }
    return -1;
}

/* ---- sessions ---- */
static struct lt_session **session_slot(struct lt_follow *f, const char *id) {
    struct lt_session **at = &f->sessions[hash(id, strlen(id)) % LT_FOLLOW_BUCKETS];
    while (*at != NULL && strcmp((*at)->id, id) != 0) at = &(*at)->next;
    return at;
}

struct lt_session *lt_followed_session(struct lt_follow *f, const char *id) {
    return *session_slot(f, id);
}

struct lt_session *lt_followed_session_get(struct lt_follow *f, const char *id) {
    struct lt_session **at = session_slot(f, id);
    if (*at != NULL || strlen(id) >= sizeof(*at)->id) return *at;
    struct lt_session *session = calloc(1, sizeof *session);
    if (session == NULL) return NULL;
    memcpy(session->id, id, strlen(id) + 1);
    *at = session;
    f->session_count++;
    return session;
}

/* Puts it on the list of those to be looked at. */
void lt_session_due(struct lt_follow *f, struct lt_session *session) {
    if (session->queued) return;
    session->queued = true;
    session->next_due = NULL;
    if (f->due_tail == NULL) f->due_head = session;
    else f->due_tail->next_due = session;
    f->due_tail = session;
}

static void mark_free(struct lt_follow *f, struct lt_mark *mark) {
    lt_folding_drop(f, mark);
    free(mark->spans);
    free(mark);
}

void lt_session_free(struct lt_follow *f, struct lt_session *session) {
    struct lt_session **at = session_slot(f, session->id);
    *at = session->next;
    if (f->held == session) f->held = NULL;
    for (struct lt_mark *mark = session->marks, *next; mark != NULL; mark = next) {
        next = mark->next;
        mark_free(f, mark);
    }
    lt_keys_release(&session->done);
    free(session);
    f->session_count--;
}

static struct lt_mark **mark_slot(struct lt_session *session, struct lt_str run_id) {
    struct lt_mark **at = &session->marks;
    while (*at != NULL && !lt_str_eq(lt_str_of((*at)->id), run_id)) at = &(*at)->next;
    return at;
}

struct lt_mark *lt_mark_find(struct lt_session *session, struct lt_str run_id) {
    return *mark_slot(session, run_id);
}

struct lt_mark *lt_mark_get(struct lt_session *session, struct lt_str run_id) {
    struct lt_mark **at = mark_slot(session, run_id);
    if (*at != NULL) return *at;
    struct lt_mark *mark = calloc(1, sizeof *mark + run_id.n + 1);
    if (mark == NULL) return NULL;
    memcpy(mark->id, run_id.p, run_id.n);
    *at = mark;
    return mark;
}

void lt_mark_drop(struct lt_follow *f, struct lt_session *session, struct lt_str run_id) {
    struct lt_mark **at = mark_slot(session, run_id), *mark = *at;
    if (mark == NULL) return;
    *at = mark->next;
    for (struct lt_followed_log *log = session->logs; log != NULL; log = log->next_of_session) {
        if (log->mark == mark) log->mark = NULL;
    }
    mark_free(f, mark);
}

/* Nothing is left to do for the run, and what still comes of it changes nothing. Without memory to
 * keep that in mind, whoever materialises has to look at the logs. */
void lt_run_done(struct lt_follow *f, struct lt_session *session, struct lt_str run_id) {
    lt_mark_drop(f, session, run_id);
    if (!lt_keys_add(&session->done, hash(run_id.p, run_id.n))) session->forgetful = true;
}

bool lt_run_is_done(struct lt_follow *f, struct lt_session *session, struct lt_str run_id) {
    uint64_t key = hash(run_id.p, run_id.n);
    return lt_keys_have(&session->done, key) || (lt_recent_find(f, run_id.p, run_id.n) >= 0 && lt_keys_add(&session->done, key));
}

/* ---- logs ---- */
static struct lt_followed_log **log_slot(struct lt_follow *f, const struct lt_folder *folder, const char *name) {
    struct lt_followed_log **at = &f->logs[hash(name, strlen(name)) % LT_FOLLOW_BUCKETS];
    while (*at != NULL && ((*at)->folder != folder || strcmp((*at)->name, name) != 0)) at = &(*at)->next;
    return at;
}

static void age_unlink(struct lt_follow *f, struct lt_followed_log *log) {
    if (log->newer == NULL) f->newest = log->older;
    else log->newer->older = log->older;
    if (log->older == NULL) f->oldest = log->newer;
    else log->older->newer = log->newer;
}

static void age_push(struct lt_follow *f, struct lt_followed_log *log) {
    log->newer = NULL;
    log->older = f->newest;
    if (f->newest != NULL) f->newest->newer = log;
    f->newest = log;
    if (f->oldest == NULL) f->oldest = log;
}

void lt_followed_touch(struct lt_follow *f, struct lt_followed_log *log) {
    age_unlink(f, log);
    age_push(f, log);
}

struct lt_followed_log *lt_followed_find(struct lt_follow *f, const struct lt_folder *folder, const char *name) {
    return *log_slot(f, folder, name);
}

void lt_followed_add(struct lt_follow *f, struct lt_followed_log *log) {
    log->folder->followed++;
    f->log_count++;
    *log_slot(f, log->folder, log->name) = log;
    log->next_of_session = log->session->logs;
    log->session->logs = log;
    age_push(f, log);
}

/* A new reader goes on where this one was, if that is between two messages. */
void lt_followed_close(struct lt_follow *f, struct lt_followed_log *log) {
    if (log->reader == NULL) return;
    lt_log_reader_free(log->reader);
    log->reader = NULL;
    f->reader_count--;
}

/* Keeps the number of open files bounded: the log that was quiet longest is opened again should it
 * speak. */
void lt_followed_bound(struct lt_follow *f) {
    for (struct lt_followed_log *log = f->oldest; log != NULL && f->reader_count >= f->readers_max; log = log->newer) lt_followed_close(f, log);
}

void lt_followed_unread(struct lt_follow *f, struct lt_followed_log *log) {
    if (log->unread || log->sealed || log->broken) return;
    log->unread = true;
    log->next_unread = NULL;
    log->session->unread++;
    f->unread_count++;
    if (f->unread_tail == NULL) f->unread_head = log;
    else f->unread_tail->next_unread = log;
    f->unread_tail = log;
}

void lt_sync_later(struct lt_follow *f, const char *path) {
    if (f->sync_count == f->sync_capacity) {
        size_t capacity = f->sync_capacity == 0 ? 16 : f->sync_capacity * 2;
        char **paths = realloc(f->sync, capacity * sizeof *paths);
        if (paths == NULL) return;
        f->sync = paths;
        f->sync_capacity = capacity;
    }
    char *copy = strdup(path);
    if (copy != NULL) f->sync[f->sync_count++] = copy;
}

/* Nothing is left to do for this log. `settled`: nor will there be at the next start. */
void lt_followed_drop(struct lt_follow *f, struct lt_followed_log *log, bool settled) {
    struct lt_session *session = log->session;
    if (log->unsynced) lt_sync_later(f, log->path);
    if (settled) lt_folders_settled(f->folders, log->folder, log->name);
    lt_followed_close(f, log);
    for (struct lt_mark *mark = session->marks; mark != NULL; mark = mark->next) {
        if (mark->owner == log) mark->owner = NULL;
        if (mark->folded_of == log) lt_folding_drop(f, mark);
    }
    struct lt_followed_log **at = &session->logs;
    while (*at != log) at = &(*at)->next_of_session;
    *at = log->next_of_session;
    at = log_slot(f, log->folder, log->name);
    *at = log->next;
    age_unlink(f, log);
    log->folder->followed--;
    f->log_count--;
    free(log->path);
    free(log);
}

bool lt_followed_finished(const struct lt_followed_log *log) {
    return log->sealed || log->broken || log->resolved;
}

