/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "serve/follow.h"

#include "accumulate/gather.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "serve/folding.h"
#include "serve/followed.h"

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
    lt_session_due(f, f->held);
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
    if (lstat(log->path, &st) != 0 || !S_ISREG(st.st_mode) || (log->session = lt_followed_session_get(f, id)) == NULL) {
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
    lt_followed_add(f, log);
    if (!fresh) hold(f, log->session);
    lt_followed_unread(f, log);
}

void lt_follow_changed(struct lt_follow *f, struct lt_folder *folder, const char *name, bool closed) {
    struct lt_followed_log *log = lt_followed_find(f, folder, name);
    if (log == NULL || log->sealed) return;
    log->unsynced = true;
    if (log->dead) return; /* that is who recovers it: the job tells when it is done */
    if (closed) {
        log->closed = true;
        log->checks = 0;
    }
    lt_followed_unread(f, log);
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
    struct lt_mark *mark = lt_mark_find(log->session, row->run_id);
    if (mark == NULL) {
        if (lt_run_is_done(f, log->session, row->run_id)) return NULL;
        mark = lt_mark_get(log->session, row->run_id);
        if (mark == NULL) lt_journal_say(f->journal, "out of memory: a run of session %s is seen late", log->session->id);
    }
    return log->mark = mark;
}

static void note_event(struct lt_follow *f, struct lt_followed_log *log, const struct lt_row *row) {
    struct lt_session *session = log->session;
    session->changes++;
    if (lt_log_reader_message_row(log->reader) == log->rows - 1) log->message_key = log->key;
    log->key = lt_merge_pass(log->key, row);
    if (log->rows == 1) log->of_materializer = lt_may_say_materialized(row);
    if (log->of_materializer && is(row->event_type, "run.ended")) session->orphaned = true;
    if (row->run_id.p == NULL || row->run_id.n == 0) return;
    if (is(row->event_type, "run.materialized")) {
        if (!lt_says_materialized(row)) return;
        char id[64];
        snprintf(id, sizeof id, "%.*s", LT_STR_ARG(row->run_id));
        lt_run_done(f, session, row->run_id);
        if (lt_recent_find(f, row->run_id.p, row->run_id.n) < 0) lt_recent_add(f, id, NULL);
        return;
    }
    struct lt_mark *mark = mark_of_row(f, log, row);
    if (mark == NULL) {
        session->orphaned = session->orphaned || session->fresh;
        return;
    }
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
    lt_followed_close(f, log);
}

/* The machine's trouble may pass: the tick tries again. Told once. */
static void log_refused(struct lt_follow *f, struct lt_followed_log *log, const struct litmus_error *error) {
    if (!log->refused) lt_journal_say(f->journal, "%s; it is tried again", error->text);
    log->refused = true;
    log->size = -1;
    lt_followed_close(f, log);
}

static bool log_open(struct lt_follow *f, struct lt_followed_log *log) {
    if (log->reader != NULL) return true;
    struct litmus_error error = {0};
    lt_followed_bound(f);
    if (lt_log_reader_open(log->path, &log->reader, &error) == LITMUS_OK) {
        f->reader_count++;
        if (log->resume_at == 0 || lt_log_reader_seek(log->reader, log->resume_at, log->resume_rows, &error) == LITMUS_OK) return true;
        lt_followed_close(f, log);
    }
    log->reader = NULL;
    if (error.code == LITMUS_ENOMEM || error.os_errno != 0) log_refused(f, log, &error);
    else log_trouble(f, log, &error);
    return false;
}

/* Reads some events. true: more may be there. */
static bool log_read(struct lt_follow *f, struct lt_followed_log *log) {
    log->size = -1;
    if (!log_open(f, log)) return false;
    log->size = lt_log_reader_file_size(log->reader);
    log->refused = false;
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
            log->session->producer_ends += !log->of_materializer;
            log->session->changes++;
            lt_followed_close(f, log);
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
            if (lt_error_is_refusal(&error)) log_refused(f, log, &error);
            else log_trouble(f, log, &error);
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
        lt_followed_touch(f, log);
        if (more) {
            lt_followed_unread(f, log);
            continue;
        }
        at_end(log);
        if (log->dead || (log->closed && log->size < SMALL_BYTES)) lt_followed_close(f, log); /* many may end at once */
        lt_session_due(f, log->session);
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
        lt_session_due(f, log->session);
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
    log->session->producer_ends += !log->of_materializer;
    log->session->changes++;
    lt_followed_unread(f, log); /* what came between the last look and the end */
    lt_session_due(f, log->session);
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
            if (session->retry_at_us <= now) lt_session_due(f, session);
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
            lt_session_due(f, log->session);
        } else if ((int64_t)st.st_size != log->size && !log->broken && !log->dead) {
            log->unsynced = true;
            lt_followed_unread(f, log);
        } else if (log->size < SMALL_BYTES) lt_followed_close(f, log);
        if (there && !log->broken && !log->dead && log->check_at_us == 0) log->check_at_us = 1;
    }
}

bool lt_follow_look(struct lt_follow *f, const struct lt_folder *folder) {
    bool any = false;
    for (struct lt_followed_log *log = f->newest; log != NULL; log = log->older) {
        struct stat st;
        if (log->folder != folder || log->sealed || log->resolved || log->broken || log->dead) continue;
        if (!log->unread && (lstat(log->path, &st) != 0 || (int64_t)st.st_size == log->size)) continue;
        any = true;
        log->unsynced = true;
        if (!log->unread) lt_followed_unread(f, log);
    }
    return any;
}

/* ---- the rest ---- */
size_t lt_follow_take_sync(struct lt_follow *f, char ***paths) {
    for (struct lt_followed_log *log = f->newest; log != NULL; log = log->older) {
        if (log->unsynced) lt_sync_later(f, log->path);
        log->unsynced = false;
    }
    bool above = false; /* events/ may be as new as the folder in it */
    for (size_t i = 0; i < f->folders->count; i++) {
        struct lt_folder *folder = f->folders->items[i];
        if (!folder->unsynced) continue;
        folder->unsynced = false;
        lt_sync_later(f, folder->path);
        lt_sync_later(f, f->folders->events);
        above = true;
    }
    char *data_dir = above ? strdup(f->folders->events) : NULL;
    if (data_dir != NULL) {
        *strrchr(data_dir, '/') = '\0';
        lt_sync_later(f, data_dir);
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
        if (!lt_followed_finished(log) && !log->dead && !log->refused) counts->live++;
    }
}

void lt_follow_init(struct lt_follow *f, struct lt_folders *folders, struct lt_journal *journal, size_t readers_max) {
    *f = (struct lt_follow){.folders = folders, .journal = journal, .readers_max = readers_max < 8 ? 8 : readers_max, .lock_fd = -1};
    f->activity_us = lt_monotonic_us();
}

void lt_follow_release(struct lt_follow *f) {
    while (f->newest != NULL) lt_followed_drop(f, f->newest, false);
    for (size_t i = 0; i < LT_FOLLOW_BUCKETS; i++) {
        while (f->sessions[i] != NULL) lt_session_free(f, f->sessions[i]);
    }
    for (size_t i = 0; i < LT_FOLLOW_RECENT; i++) free(f->recent[i].done);
    for (size_t i = 0; i < f->sync_count; i++) free(f->sync[i]);
    free(f->sync);
    *f = (struct lt_follow){0};
}
