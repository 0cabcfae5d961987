/* SPDX-License-Identifier: Apache-2.0
 *
 * Events as they come: one reader an open log, kept where it is between calls. What several logs
 * bring in one call is given in the order in which it was received.
 */
#include "query/event_match.h"
#include "query/query_internal.h"

#include "base/clock.h"
#include "base/grow.h"
#include "base/io.h"
#include "base/map.h"
#include "base/watch.h"
#include "log/log.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>

/* Events come in bursts: what comes so soon after the first is read together with it. */
enum { BURST_MS = 10, BLIND_MS = 100 };
/* A log that was settled longer ago than this is not looked at: it does not change. */
#define LOOK_BACK_US ((int64_t)60 * 1000 * 1000)

struct follow_log {
    const char *path; /* relative */
    struct lt_log_reader *reader; /* NULL: not open (yet, or not any more) */
    bool done;        /* sealed, or no log */
    struct lt_lack_told told;
};
struct pending {
    struct lt_row row;
    size_t sequence;
};
struct lt_event_follow {
    struct lt_query *query;
    const struct lt_event_filter *filter;
    struct lt_arena arena;
    struct lt_map by_path;
    struct follow_log *logs;
    size_t count, capacity;
    int64_t since; /* of older logs nothing can come */
    struct lt_watch *watch; /* NULL: the system does not tell of changes */
    bool only_grown;        /* since the last look no log came or went */
    struct lt_arena batch; /* text of the events of one call */
    struct pending *pending;
    size_t pending_count, pending_capacity;
    struct lt_lack lack;
    bool failed;
};

static bool note_log(void *self, const char *path, int64_t mtime_us) {
    struct lt_event_follow *f = self;
    (void)mtime_us;
    if (lt_map_get(&f->by_path, lt_str_of(path), 0) != LT_MAP_NONE) return true;
    struct follow_log *grown = lt_grow_list(f->logs, f->count, &f->capacity, sizeof *grown);
    if (grown == NULL) return !(f->failed = true);
    f->logs = grown;
    struct lt_str own = lt_arena_str(&f->arena, lt_str_of(path));
    f->failed = own.p == NULL || !lt_map_put(&f->by_path, own, 0, (uint32_t)f->count);
    if (!f->failed) f->logs[f->count++] = (struct follow_log){.path = own.p};
    return !f->failed;
}

static bool watch_folder(struct lt_event_follow *f, struct lt_str relative) {
    struct lt_buf path;
    lt_buf_init(&path);
    lt_buf_addf(&path, "%s/%.*s", f->query->data_dir, LT_STR_ARG(relative));
    bool done = lt_watch_add(f->watch, lt_buf_cstr(&path), true) >= 0;
    lt_buf_release(&path);
    return done;
}

/* The folders in which something can happen: where there are logs that may grow, where today's are made, and theirs. */
static void watch_folders(struct lt_event_follow *f) {
    char today[sizeof "events/" + LT_ISO_BYTES] = "events/";
    if (f->watch == NULL) return;
    if (!watch_folder(f, LT_STR("events"))) (void)watch_folder(f, LT_STR(".")); /* where it will appear */
    lt_time_date(lt_now_us(), today + strlen(today));
    (void)watch_folder(f, lt_str_of(today)); /* not there yet: it will show in events/ */
    for (size_t i = 0; i < f->count; i++) {
        const char *end = strrchr(f->logs[i].path, '/');
        if (!f->logs[i].done && end != NULL) (void)watch_folder(f, (struct lt_str){f->logs[i].path, (size_t)(end - f->logs[i].path)});
    }
}

/* New logs since the last look. */
static int look(struct lt_event_follow *f, struct litmus_error *error) {
    watch_folders(f); /* first: what comes during the look is told */
    int code = lt_catalog_refresh(f->query->catalog, error);
    if (code == LITMUS_OK) code = lt_catalog_logs(f->query->catalog, f->filter->session_id, f->since, note_log, f, error);
    return code == LITMUS_OK && f->failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory following the logs") : code;
}

static bool keep_row(struct lt_event_follow *f, const struct lt_row *row) {
    struct pending *grown = lt_grow_list(f->pending, f->pending_count, &f->pending_capacity, sizeof *grown);
    if (grown == NULL) return false;
    f->pending = grown;
    struct pending *p = &f->pending[f->pending_count];
    *p = (struct pending){*row, f->pending_count};
    struct lt_str *texts[] = {&p->row.id, &p->row.event_type, &p->row.session_id, &p->row.run_id, &p->row.json};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) *texts[i] = lt_arena_str(&f->batch, *texts[i]);
    f->pending_count++;
    return !f->batch.failed;
}

static int by_received(const void *a, const void *b) {
    const struct pending *x = a, *y = b;
    if (x->row.received_at != y->row.received_at) return x->row.received_at < y->row.received_at ? -1 : 1;
    return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

static void read_on(struct lt_event_follow *f, struct follow_log *log, bool keep) {
    struct lt_buf path;
    struct lt_row row;
    struct litmus_error error = {0};
    enum lt_log_status status = LT_LOG_FAILED;
    lt_buf_init(&path);
    const char *whole = lt_path_join(&path, f->query->data_dir, log->path);
    if (log->reader == NULL && lt_log_reader_open(whole, &log->reader, &error) != LITMUS_OK) log->reader = NULL;
    while (log->reader != NULL && ((status = lt_log_next(log->reader, &row, &error)) == LT_LOG_EVENT || status == LT_LOG_DAMAGED)) {
        lt_lack_note(&f->lack, &log->told, whole, log->reader, status, &error);
        if (status == LT_LOG_EVENT && keep && lt_event_matches(f->filter, &row) && !keep_row(f, &row)) f->failed = true;
    }
    lt_lack_note(&f->lack, &log->told, whole, log->reader, status, &error);
    lt_buf_release(&path);
    if (status == LT_LOG_SEALED || (status == LT_LOG_FAILED && !lt_error_is_refusal(&error))) { /* else: perhaps the next time */
        lt_log_reader_free(log->reader);
        log->reader = NULL;
        log->done = true;
    }
}

/* Passes over what is on record. */
static void skip_to_end(struct lt_event_follow *f) {
    struct lt_buf path;
    lt_buf_init(&path);
    for (size_t i = 0; i < f->count; i++) {
        f->logs[i].done = lt_log_is_sealed(lt_path_join(&path, f->query->data_dir, f->logs[i].path));
        if (!f->logs[i].done) read_on(f, &f->logs[i], false);
    }
    f->lack = (struct lt_lack){0};
    lt_buf_release(&path);
}

int lt_event_follow_open(struct lt_query *q, const struct lt_event_filter *filter, bool from_start, struct lt_event_follow **out,
                         struct litmus_error *error) {
    *out = NULL;
    struct lt_event_follow *f = calloc(1, sizeof *f);
    if (f == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory following the logs");
    f->query = q;
    f->filter = filter;
    f->since = lt_now_us() - LOOK_BACK_US;
    lt_arena_init(&f->arena);
    lt_arena_init(&f->batch);
    lt_map_init(&f->by_path);
    f->watch = getenv("LITMUS_DAEMON_POLL") == NULL ? lt_watch_open() : NULL; /* for those who know that theirs does not tell */
    int code = look(f, error);
    if (code == LITMUS_OK && !from_start) skip_to_end(f);
    if (code == LITMUS_OK) *out = f;
    else lt_event_follow_free(f);
    return code;
}

const struct lt_lack *lt_event_follow_lack(const struct lt_event_follow *f) {
    return &f->lack;
}

void lt_event_follow_free(struct lt_event_follow *f) {
    if (f == NULL) return;
    for (size_t i = 0; i < f->count; i++) lt_log_reader_free(f->logs[i].reader);
    free(f->logs);
    lt_watch_free(f->watch);
    free(f->pending);
    lt_arena_release(&f->batch);
    lt_map_release(&f->by_path);
    lt_arena_release(&f->arena);
    free(f);
}

int lt_event_follow_poll(struct lt_event_follow *f, void (*each)(void *self, const struct lt_row *row), void *self, struct litmus_error *error) {
    int code = f->only_grown ? LITMUS_OK : look(f, error);
    f->only_grown = false;
    f->pending_count = 0;
    for (size_t i = 0; code == LITMUS_OK && i < f->count; i++)
        if (!f->logs[i].done) read_on(f, &f->logs[i], true);
    if (code == LITMUS_OK && f->failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory following the logs");
    if (f->pending_count > 1) qsort(f->pending, f->pending_count, sizeof *f->pending, by_received);
    for (size_t i = 0; code == LITMUS_OK && i < f->pending_count; i++) each(self, &f->pending[i].row);
    lt_arena_release(&f->batch);
    lt_arena_init(&f->batch);
    return code;
}

/* Takes what the watch has to say. `closed`: a log was. */
static bool was_told(struct lt_event_follow *f, bool *closed) {
    struct lt_watch_event event;
    bool told = false;
    while (lt_watch_next(f->watch, &event)) {
        const char *end = strrchr(event.name, '.');
        bool is_log = end != NULL && strcmp(end, ".arrow") == 0;
        if (!is_log && !event.is_folder && event.kind < LT_WATCH_GONE) continue; /* the catalog, say */
        told = true;
        *closed = *closed || event.kind == LT_WATCH_CLOSED || event.kind == LT_WATCH_LOST;
        if (event.kind != LT_WATCH_CHANGED) f->only_grown = false;
    }
    return told;
}

bool lt_event_follow_wait(struct lt_event_follow *f, int timeout_ms) {
    bool closed = f->watch == NULL;
    f->only_grown = true;
    int64_t end = lt_monotonic_us() + (int64_t)timeout_ms * 1000, now;
    while (f->watch != NULL && (now = lt_monotonic_us()) < end) {
        struct pollfd told = {.fd = lt_watch_fd(f->watch), .events = POLLIN};
        if (poll(&told, 1, (int)((end - now) / 1000) + 1) < 0) break;
        if (!was_told(f, &closed)) continue;
        nanosleep(&(struct timespec){.tv_nsec = BURST_MS * 1000000L}, NULL);
        (void)was_told(f, &closed);
        return closed;
    }
    f->only_grown = false; /* there are folders that nobody tells of: not made yet, or on a network */
    if (f->watch == NULL) (void)poll(NULL, 0, timeout_ms < BLIND_MS ? timeout_ms : BLIND_MS);
    return closed;
}
