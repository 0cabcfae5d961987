/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "serve/follow.h"

#include "base/clock.h"
#include "base/uuid.h"
#include "materialize/range_lock.h"
#include "serve/folding.h"
#include "serve/knowledge.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    EVENTS_A_TURN = 512,          /* of one log before the next one has its turn */
    CHECKS_MAX = 8,               /* of a closed log's lock; after that the tick goes on asking */
    UNLOCKED_FOR_US = 100 * 1000, /* a log that nobody saw closed must be unlocked so long */
    YOUNG_US = 2 * 1000 * 1000,   /* an empty file may be one that a producer is just making */
    SYNC_AGE_S = 60,              /* a log found sealed may not have been synced if it is younger */
    SMALL_BYTES = 256 * 1024,     /* a quiet log of this size is closed: to read it over costs less than to hold it */
};
#define QUIET_US ((int64_t)60 * 1000 * 1000) /* so long nothing was written: runs in flight are no longer held folded */
#define RETRY_FIRST_US ((int64_t)5 * 1000 * 1000)
#define RETRY_LAST_US ((int64_t)60 * 1000 * 1000)

static uint64_t hash(const char *text, size_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    h ^= h >> 29;
    return h == 0 ? 1 : h;
}

/* ---- runs that were materialised lately ---- */
static void recent_add(struct lt_follow *f, const char *run_id, const char *done) {
    size_t at = f->recent_at++ % LT_FOLLOW_RECENT;
    free(f->recent[at].done);
    f->recent[at].key = hash(run_id, strlen(run_id));
    f->recent[at].done = done == NULL ? NULL : strdup(done);
    size_t old = (at + LT_FOLLOW_RECENT - LT_FOLLOW_PATHS) % LT_FOLLOW_RECENT;
    free(f->recent[old].done);
    f->recent[old].done = NULL;
}

static int recent_find(const struct lt_follow *f, const char *run_id, size_t n) {
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

static struct lt_session *session_get(struct lt_follow *f, const char *id) {
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
static void session_due(struct lt_follow *f, struct lt_session *session) {
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

static void session_free(struct lt_follow *f, struct lt_session *session) {
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

static struct lt_mark *mark_get(struct lt_session *session, struct lt_str run_id) {
    struct lt_mark **at = mark_slot(session, run_id);
    if (*at != NULL) return *at;
    struct lt_mark *mark = calloc(1, sizeof *mark + run_id.n + 1);
    if (mark == NULL) return NULL;
    memcpy(mark->id, run_id.p, run_id.n);
    *at = mark;
    return mark;
}

static void mark_drop(struct lt_follow *f, struct lt_session *session, struct lt_str run_id) {
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
static void run_done(struct lt_follow *f, struct lt_session *session, struct lt_str run_id) {
    mark_drop(f, session, run_id);
    if (!lt_keys_add(&session->done, hash(run_id.p, run_id.n))) session->forgetful = true;
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

/* A new reader goes on where this one was, if that is between two messages. */
static void reader_close(struct lt_follow *f, struct lt_followed_log *log) {
    if (log->reader == NULL) return;
    lt_log_reader_free(log->reader);
    log->reader = NULL;
    f->reader_count--;
}

/* Keeps the number of open files bounded: the log that was quiet longest is opened again should it
 * speak. */
static void readers_bound(struct lt_follow *f) {
    for (struct lt_followed_log *log = f->oldest; log != NULL && f->reader_count >= f->readers_max; log = log->newer) reader_close(f, log);
}

static void log_unread(struct lt_follow *f, struct lt_followed_log *log) {
    if (log->unread || log->sealed || log->broken) return;
    log->unread = true;
    log->next_unread = NULL;
    log->session->unread++;
    f->unread_count++;
    if (f->unread_tail == NULL) f->unread_head = log;
    else f->unread_tail->next_unread = log;
    f->unread_tail = log;
}

static void sync_later(struct lt_follow *f, const char *path) {
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
static void log_drop(struct lt_follow *f, struct lt_followed_log *log, bool settled) {
    struct lt_session *session = log->session;
    if (log->unsynced) sync_later(f, log->path);
    if (settled) lt_folders_settled(f->folders, log->folder, log->name);
    reader_close(f, log);
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

/* The session that a log's name gives; an id of the usual form ends where the pid begins. Of others
 * the numbers at the end are taken for pid and counter. */
static void session_of_name(const char *name, char out[64]) {
    size_t n = strlen(name) - strlen(".arrow");
    if (n >= LT_UUID_BYTES - 1 && lt_uuid_valid((struct lt_str){name, LT_UUID_BYTES - 1})) n = LT_UUID_BYTES - 1;
    else {
        for (int part = 0; part < 2; part++) {
            size_t end = n;
            while (end > 0 && name[end - 1] >= '0' && name[end - 1] <= '9') end--;
            if (end == n || end < 2 || name[end - 1] != '-') break;
            n = end - 1;
        }
    }
    snprintf(out, 64, "%.*s", (int)n, name);
}

/* The schema says it for sure, where it is there to read already. */
static void session_of_log(const char *path, const char *name, char out[64]) {
    session_of_name(name, out);
    if (lt_uuid_valid(lt_str_of(out))) return;
    struct lt_log_reader *reader = NULL;
    struct lt_row row;
    if (lt_log_reader_open(path, &reader, NULL) != LITMUS_OK) return;
    (void)lt_log_next(reader, &row, NULL);
    const char *session = lt_log_reader_session(reader);
    if (session != NULL && session[0] != '\0' && strlen(session) < 64) snprintf(out, 64, "%s", session);
    lt_log_reader_free(reader);
}

/* Listings come in order of name, so a session's logs come together: it is not judged before all of
 * them are known, or finished work would be done again for want of the log that says so. */
static void hold(struct lt_follow *f, struct lt_session *session) {
    if (f->held == session) return;
    lt_follow_listed(f);
    f->held = session;
    if (session != NULL) session->held = true;
}

void lt_follow_listed(struct lt_follow *f) {
    if (f->held == NULL) return;
    f->held->held = false;
    session_due(f, f->held);
    f->held = NULL;
}

void lt_follow_log(struct lt_follow *f, struct lt_folder *folder, const char *name, bool fresh) {
    char id[64];
    struct stat st;
    struct lt_followed_log *log = calloc(1, sizeof *log);
    if (log == NULL || asprintf(&log->path, "%s/%s", folder->path, name) < 0) {
        free(log);
        lt_journal_say(f->journal, "out of memory: the log %s is not followed", name);
        return;
    }
    session_of_log(log->path, name, id);
    if (lstat(log->path, &st) != 0 || !S_ISREG(st.st_mode) || (log->session = session_get(f, id)) == NULL) {
        free(log->path);
        free(log);
        return;
    }
    log->name = log->path + strlen(folder->path) + 1;
    log->folder = folder;
    log->size = -1;
    log->key = log->message_key = LT_MERGE_FIRST;
    log->found = !fresh;
    if (fresh) log->session->fresh = true;
    log->unsynced = fresh || lt_now_us() / 1000000 - st.st_mtim.tv_sec < SYNC_AGE_S;
    folder->followed++;
    f->log_count++;
    *log_slot(f, folder, name) = log;
    log->next_of_session = log->session->logs;
    log->session->logs = log;
    age_push(f, log);
    if (!fresh) hold(f, log->session);
    log_unread(f, log);
}

void lt_follow_changed(struct lt_follow *f, struct lt_folder *folder, const char *name, bool closed) {
    struct lt_followed_log *log = *log_slot(f, folder, name);
    if (log == NULL || log->sealed) return;
    log->unsynced = true;
    if (log->dead) return; /* that is who recovers it: the job tells when it is done */
    if (closed) {
        log->closed = true;
        log->checks = 0;
    }
    log_unread(f, log);
}

/* ---- reading ---- */
static bool is(struct lt_str text, const char *word) {
    return lt_str_eq(text, lt_str_of(word));
}

/* A stretch that takes in rows of other runs costs their reading; one stretch more, memory. */
enum { SPANS_MAX = 1024 };

static bool span_extend(struct lt_mark *mark, const struct lt_followed_log *log, int64_t message_row) {
    struct lt_span *last = mark->span_count == 0 ? NULL : &mark->spans[mark->span_count - 1];
    if (last == NULL || last->log != log) return false;
    if (last->at.row + last->at.rows < message_row && mark->span_count < SPANS_MAX) return false;
    last->at.rows = log->rows - last->at.row;
    return true;
}

/* The latest row of the log is one of the run. */
static void mark_note(struct lt_mark *mark, struct lt_followed_log *log) {
    int64_t message_row = lt_log_reader_message_row(log->reader);
    if (mark->blurred || span_extend(mark, log, message_row)) return;
    if (mark->span_count == mark->span_capacity) {
        size_t capacity = mark->span_capacity == 0 ? 4 : mark->span_capacity * 2;
        struct lt_span *spans = realloc(mark->spans, capacity * sizeof *spans);
        mark->blurred = spans == NULL;
        if (mark->blurred) return;
        mark->spans = spans;
        mark->span_capacity = capacity;
    }
    mark->spans[mark->span_count++] = (struct lt_span){
        log, {.offset = lt_log_reader_row_offset(log->reader), .row = message_row, .rows = log->rows - message_row, .key = log->message_key}};
}

/* The mark of the row's run; NULL: the run is done, or there is no memory. */
static struct lt_mark *mark_of_row(struct lt_follow *f, struct lt_followed_log *log, const struct lt_row *row) {
    if (log->mark != NULL && lt_str_eq(lt_str_of(log->mark->id), row->run_id)) return log->mark;
    struct lt_mark *mark = *mark_slot(log->session, row->run_id);
    if (mark == NULL) {
        uint64_t key = hash(row->run_id.p, row->run_id.n);
        if (lt_keys_have(&log->session->done, key)) return NULL;
        if (recent_find(f, row->run_id.p, row->run_id.n) >= 0 && lt_keys_add(&log->session->done, key)) return NULL;
        mark = mark_get(log->session, row->run_id);
        if (mark == NULL) lt_journal_say(f->journal, "out of memory: a run of session %s is seen late", log->session->id);
    }
    return log->mark = mark;
}

static void note_event(struct lt_follow *f, struct lt_followed_log *log, const struct lt_row *row) {
    struct lt_session *session = log->session;
    session->changes++;
    if (lt_log_reader_message_row(log->reader) == log->rows - 1) log->message_key = log->key;
    log->key = lt_merge_pass(log->key, row);
    if (row->run_id.p == NULL || row->run_id.n == 0) return;
    if (is(row->event_type, "run.materialized")) {
        char id[64];
        snprintf(id, sizeof id, "%.*s", LT_STR_ARG(row->run_id));
        run_done(f, session, row->run_id);
        if (recent_find(f, row->run_id.p, row->run_id.n) < 0) recent_add(f, id, NULL);
        return;
    }
    struct lt_mark *mark = mark_of_row(f, log, row);
    if (mark == NULL) return;
    lt_folding_note(f, mark, log, row);
    mark_note(mark, log);
    if (is(row->event_type, "run.started")) {
        mark->started = true;
        mark->owner = log;
    } else if (is(row->event_type, "run.ended")) mark->ended = true;
}

static void log_trouble(struct lt_follow *f, struct lt_followed_log *log, const struct litmus_error *error) {
    struct stat st;
    if (lstat(log->path, &st) == 0) lt_journal_say(f->journal, "%s", error->text);
    log->broken = true;
    log->session->ends++;
    reader_close(f, log);
}

static bool log_open(struct lt_follow *f, struct lt_followed_log *log) {
    if (log->reader != NULL) return true;
    struct litmus_error error = {0};
    readers_bound(f);
    if (lt_log_reader_open(log->path, &log->reader, &error) == LITMUS_OK) {
        f->reader_count++;
        if (log->resume_at == 0 || lt_log_reader_seek(log->reader, log->resume_at, log->resume_rows, &error) == LITMUS_OK) return true;
        reader_close(f, log);
    }
    log->reader = NULL;
    if (error.code == LITMUS_ENOMEM || error.os_errno != 0) { /* the machine's trouble may pass: the tick tries again */
        log->size = -1;
        return false;
    }
    log_trouble(f, log, &error);
    return false;
}

/* Reads some events. true: more may be there. */
static bool log_read(struct lt_follow *f, struct lt_followed_log *log) {
    log->size = -1;
    if (!log_open(f, log)) return false;
    log->size = lt_log_reader_file_size(log->reader);
    for (int n = 0; n < EVENTS_A_TURN; n++) {
        struct lt_row row;
        struct litmus_error error = {0};
        switch (lt_log_next(log->reader, &row, &error)) {
        case LT_LOG_EVENT:
            if (lt_log_reader_rows(log->reader) <= log->rows) break; /* read over: noted before */
            log->rows = lt_log_reader_rows(log->reader);
            note_event(f, log, &row);
            break;
        case LT_LOG_SEALED:
            log->sealed = true;
            log->check_at_us = 0;
            log->dead = false; /* its lock was free because it was done */
            log->session->ends++;
            log->session->changes++;
            reader_close(f, log);
            return false;
        case LT_LOG_OPEN:
        case LT_LOG_TORN:
            log->resume_at = lt_log_reader_offset(log->reader);
            log->resume_rows = lt_log_reader_rows(log->reader);
            return false;
        case LT_LOG_DAMAGED: /* who materialises reports it */
            log->damaged = true;
            break;
        case LT_LOG_FAILED:
            log_trouble(f, log, &error);
            return false;
        }
    }
    return true;
}

/* The end was reached: is somebody there to write more? */
static void at_end(struct lt_followed_log *log) {
    if (log->sealed || log->broken || log->dead) return;
    if (log->closed || ((log->found || log->rows == 0) && log->check_at_us == 0)) log->check_at_us = 1; /* at once */
    log->found = false;
}

bool lt_follow_step(struct lt_follow *f, int64_t budget_us) {
    int64_t until = lt_monotonic_us() + budget_us;
    while (f->unread_head != NULL && lt_monotonic_us() < until) {
        struct lt_followed_log *log = f->unread_head;
        f->unread_head = log->next_unread;
        if (f->unread_head == NULL) f->unread_tail = NULL;
        log->unread = false;
        log->session->unread--;
        f->unread_count--;
        int64_t rows = log->rows;
        bool more = log_read(f, log);
        if (log->rows != rows) f->activity_us = lt_monotonic_us();
        age_unlink(f, log);
        age_push(f, log);
        if (more) {
            log_unread(f, log);
            continue;
        }
        at_end(log);
        if (log->dead || (log->closed && log->size < SMALL_BYTES)) reader_close(f, log); /* many may end at once */
        session_due(f, log->session);
    }
    return f->unread_head != NULL;
}

/* ---- is the producer alive? ---- */
static void log_check(struct lt_follow *f, struct lt_followed_log *log, int64_t now) {
    struct stat st;
    log->check_at_us = 0;
    if (lstat(log->path, &st) != 0) { /* deleted under us: there is nothing to write on record */
        log->broken = true;
        log->session->ends++;
        session_due(f, log->session);
        return;
    }
    if (lt_log_is_live(log->path)) {
        log->unlocked_since_us = 0;
        /* The kernel tells of a close before it lets go of the lock: ask again. */
        if (log->closed && ++log->checks < CHECKS_MAX) log->check_at_us = now + ((int64_t)500 << log->checks);
        else log->closed = false; /* it was somebody else's descriptor */
        return;
    }
    bool young = log->rows == 0 && lt_now_us() - ((int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000) < YOUNG_US;
    if (log->unlocked_since_us == 0) log->unlocked_since_us = now;
    if (young || (!log->closed && now - log->unlocked_since_us < UNLOCKED_FOR_US)) {
        log->check_at_us = now + UNLOCKED_FOR_US;
        return;
    }
    log->dead = true;
    log->session->ends++;
    log->session->changes++;
    log_unread(f, log); /* what came between the last look and the end */
    session_due(f, log->session);
}

int64_t lt_follow_check(struct lt_follow *f) {
    int64_t now = lt_monotonic_us(), next = 0;
    for (struct lt_followed_log *log = f->newest; log != NULL; log = log->older) {
        if (log->check_at_us == 0 || log->unread) continue;
        if (log->check_at_us <= now) log_check(f, log, now);
        if (log->check_at_us != 0 && (next == 0 || log->check_at_us < next)) next = log->check_at_us;
    }
    for (size_t i = 0; i < LT_FOLLOW_BUCKETS; i++) {
        for (struct lt_session *session = f->sessions[i]; session != NULL; session = session->next) {
            if (!session->failed || session->has_job || !(session->again_later || session->changes != session->failed_changes)) continue;
            if (session->retry_at_us <= now) session_due(f, session);
            else if (next == 0 || session->retry_at_us < next) next = session->retry_at_us;
        }
    }
    return next;
}

void lt_follow_tick(struct lt_follow *f) {
    if (lt_monotonic_us() - f->activity_us > QUIET_US) lt_folding_rest(f);
    for (struct lt_followed_log *log = f->newest; log != NULL; log = log->older) {
        struct stat st;
        if (log->sealed || log->resolved || log->unread) continue;
        bool there = lstat(log->path, &st) == 0;
        if (!there) {
            log->broken = true;
            log->session->ends++;
            session_due(f, log->session);
        } else if ((int64_t)st.st_size != log->size && !log->broken && !log->dead) {
            log->unsynced = true;
            log_unread(f, log);
        } else if (log->size < SMALL_BYTES) reader_close(f, log);
        if (there && !log->broken && !log->dead && log->check_at_us == 0) log->check_at_us = 1;
    }
}

/* ---- judging sessions ---- */
static bool log_finished(const struct lt_followed_log *log) {
    return log->sealed || log->broken || log->resolved;
}

/* Has the run ended, or may it have to be ended? */
static bool mark_needs(const struct lt_session *session, const struct lt_mark *mark) {
    if (mark->ended) return true;
    if (!mark->started) return false;
    if (mark->owner != NULL && !log_finished(mark->owner) && !mark->owner->dead) return false;
    return mark->ends != session->ends;
}

/* Does the session need to be materialised? */
static bool session_needs(const struct lt_session *session) {
    if (session->asked) return true;
    for (const struct lt_mark *mark = session->marks; mark != NULL; mark = mark->next) {
        if (mark_needs(session, mark)) return true;
    }
    for (const struct lt_followed_log *log = session->logs; log != NULL; log = log->next_of_session) {
        if (log->dead && !log_finished(log)) return true;
    }
    return false;
}

/* Drops the logs of a session that has nothing left to do, and the session with them: all or none, so
 * that a settled log tells that its session was finished. */
static void session_tidy(struct lt_follow *f, struct lt_session *session) {
    if (session->marks != NULL) return;
    for (struct lt_followed_log *log = session->logs; log != NULL; log = log->next_of_session) {
        if (!log_finished(log) || log->unread) return;
    }
    while (session->logs != NULL) log_drop(f, session->logs, !session->logs->broken);
    if (!session->queued && !session->has_job) session_free(f, session);
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
        if (!log_finished(log)) alive = true;
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
        if (session != NULL) run_done(f, session, lt_str_of(run->run_id));
        int at = recent_find(f, run->run_id, strlen(run->run_id));
        if (at < 0) recent_add(f, run->run_id, run->done);
        else if (f->recent[at].done == NULL) f->recent[at].done = strdup(run->done);
        if (!run->already) f->materialized++;
    }
}

void lt_follow_done(struct lt_follow *f, struct lt_job *job) {
    struct lt_session *session = *session_slot(f, job->session_id);
    f->job_count--;
    if (job->known != NULL) lt_folding_done(f, job->folded_bytes);
    f->activity_us = lt_monotonic_us();
    take_runs(f, session, job);
    if (session != NULL) {
        session->has_job = false;
        /* ENOENT: its logs were deleted, or somebody asked for a session that never was. */
        bool gone = job->code == LITMUS_ENOENT && session->logs == NULL;
        if (gone) {
            while (session->marks != NULL) mark_drop(f, session, lt_str_of(session->marks->id));
        } else if (job->code != LITMUS_OK) session_fail(f, session, job->error.text, may_pass(job->code));
        else session_verify(f, session, job->tag);
        session_due(f, session);
    }
    lt_job_free(job);
}

/* ---- who asks ---- */
enum lt_run_state lt_follow_state(struct lt_follow *f, const char *session_id, const char *run_id, const char **text) {
    *text = "";
    int at = recent_find(f, run_id, strlen(run_id));
    struct lt_session *session = *session_slot(f, session_id);
    /* run.materialized is read from the log before the worker that wrote it has told us all. */
    if (at >= 0 && f->recent[at].done == NULL && session != NULL && session->has_job) return LT_RUN_PENDING;
    if (at >= 0) {
        if (f->recent[at].done != NULL) *text = f->recent[at].done;
        return LT_RUN_DONE;
    }
    if (session == NULL) return LT_RUN_UNKNOWN;
    if (session->has_job || session->asked || session->unread > 0) return LT_RUN_PENDING;
    const struct lt_mark *mark = *mark_slot(session, lt_str_of(run_id));
    if (session->failed) {
        *text = session->failure;
        return LT_RUN_FAILED;
    }
    return mark != NULL && (mark->started || mark->ended) ? LT_RUN_PENDING : LT_RUN_UNKNOWN;
}

bool lt_follow_ask(struct lt_follow *f, const char *session_id) {
    struct lt_session *session = session_get(f, session_id);
    if (session == NULL) return false;
    session->asked = true;
    session_due(f, session);
    return true;
}

void lt_follow_poke(struct lt_follow *f, const char *session_id) {
    struct lt_session *session = *session_slot(f, session_id);
    if (session == NULL) return;
    for (struct lt_followed_log *log = session->logs; log != NULL; log = log->next_of_session) log_unread(f, log);
}

void lt_follow_distrust(struct lt_follow *f, const char *session_id, int times, bool again) {
    struct lt_session *session = session_get(f, session_id);
    if (session == NULL) return;
    char text[200];
    snprintf(text, sizeof text, "%d daemons in a row ended while they worked on it: %s", times,
             again ? "it is tried again when other work is done" : "left alone until its logs change");
    session->distrusted = true;
    session_fail(f, session, text, again);
}

/* ---- the rest ---- */
size_t lt_follow_take_sync(struct lt_follow *f, char ***paths) {
    for (struct lt_followed_log *log = f->newest; log != NULL; log = log->older) {
        if (log->unsynced) sync_later(f, log->path);
        log->unsynced = false;
    }
    bool above = false; /* events/ may be as new as the folder in it */
    for (size_t i = 0; i < f->folders->count; i++) {
        struct lt_folder *folder = f->folders->items[i];
        if (!folder->unsynced) continue;
        folder->unsynced = false;
        sync_later(f, folder->path);
        sync_later(f, f->folders->events);
        above = true;
    }
    char *data_dir = above ? strdup(f->folders->events) : NULL;
    if (data_dir != NULL) {
        *strrchr(data_dir, '/') = '\0';
        sync_later(f, data_dir);
        free(data_dir);
    }
    size_t count = f->sync_count;
    *paths = f->sync;
    f->sync = NULL;
    f->sync_count = f->sync_capacity = 0;
    return count;
}

void lt_follow_count(const struct lt_follow *f, struct lt_follow_counts *counts) {
    *counts = (struct lt_follow_counts){.logs = f->log_count};
    for (size_t i = 0; i < LT_FOLLOW_BUCKETS; i++) {
        for (const struct lt_session *session = f->sessions[i]; session != NULL; session = session->next) {
            if (session->failed) counts->failed++;
            for (const struct lt_mark *mark = session->marks; mark != NULL && !session->failed; mark = mark->next) counts->runs += mark->started || mark->ended;
        }
    }
    for (const struct lt_followed_log *log = f->newest; log != NULL; log = log->older) {
        if (!log_finished(log) && !log->dead) counts->live++;
    }
}

void lt_follow_init(struct lt_follow *f, struct lt_folders *folders, struct lt_journal *journal, size_t readers_max) {
    *f = (struct lt_follow){.folders = folders, .journal = journal, .readers_max = readers_max < 8 ? 8 : readers_max, .lock_fd = -1};
    f->activity_us = lt_monotonic_us();
}

void lt_follow_release(struct lt_follow *f) {
    while (f->newest != NULL) log_drop(f, f->newest, false);
    for (size_t i = 0; i < LT_FOLLOW_BUCKETS; i++) {
        while (f->sessions[i] != NULL) session_free(f, f->sessions[i]);
    }
    for (size_t i = 0; i < LT_FOLLOW_RECENT; i++) free(f->recent[i].done);
    for (size_t i = 0; i < f->sync_count; i++) free(f->sync[i]);
    free(f->sync);
    *f = (struct lt_follow){0};
}
