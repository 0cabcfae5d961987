/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop: watch the folders, follow the logs, hand sessions to the pool, answer on the socket.
 * One thread owns all of it; the pool's threads see jobs and paths alone.
 *
 * Safety does not hang on this process: everything it does can be done by the next one.
 */
#define _GNU_SOURCE
#include "serve/daemon.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/portable.h"
#include "base/io.h"
#include "base/process.h"
#include "materialize/range_lock.h"
#include "serve/compacting.h"
#include "serve/control.h"
#include "serve/hands.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    IDLE_SECONDS = 60,
    WORKERS = 4, /* two cores, and a run waits for the disk half of its time */
    FILES_MAX = 4096,
    JOBS_MAX = 128,   /* listings wait while more are to be done */
    UNREAD_MAX = 128,
    LIST_BUDGET = 64,
    NEWEST = 2,       /* folders that are held against the disk at each tick */
};
/* A producer that emits in a row wakes us this often, not at each event, and half as often when it goes on:
 * waking us costs it time, and so does our work beside it. */
#define COALESCE_FIRST_US ((int64_t)3 * 1000)
#define COALESCE_LAST_US ((int64_t)6 * 1000)
#define STEP_US ((int64_t)5 * 1000)
#define TICK_US ((int64_t)2 * 1000 * 1000)
#define SYNC_US ((int64_t)1000 * 1000)
#define FIRST_SYNC_US ((int64_t)20 * 1000) /* the folders that the first producer made are on the disk before its run ends */
#define SAVE_US ((int64_t)60 * 1000 * 1000)
#define LOCK_WAIT_US ((int64_t)500 * 1000)
#define COMPACT_US ((int64_t)10 * 1000 * 1000) /* of quiet; or a quarter of the time after which we leave */

struct daemon {
    char *data_dir;    /* real path */
    char *station_dir; /* the same, as it was named */
    char *lock_path;
    int dir_fd, lock_fd, signal_fd;
    struct stat dir_stat;
    bool foreground, stop, gone, no_room;
    int64_t started_us, idle_us;
    struct lt_journal journal;
    struct lt_watch *watch;
    struct lt_folders folders;
    struct lt_follow follow;
    struct lt_pool *pool;
    struct lt_hands hands;
    struct lt_control control;
    struct lt_compacting compacting;
    int64_t compacted; /* runs materialised when the lake was looked at last */
    int64_t watch_at, tick_at, sync_at, save_at, check_at;
    int64_t active_us; /* when a job or an event came last */
};

/* ---- what others call back ---- */
static void on_log(void *self, struct lt_folder *folder, const char *name, bool fresh) {
    struct daemon *d = self;
    lt_follow_log(&d->follow, folder, name, fresh);
}

static void on_hand(void *self, int worker, const char *session_id) {
    struct daemon *d = self;
    lt_hands_take(&d->hands, worker, session_id);
}

static void on_stop(void *self) {
    struct daemon *d = self;
    d->stop = true;
}

static void add_json_text(struct lt_buf *json, const char *text) {
    lt_buf_add_char(json, '"');
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') lt_buf_add_char(json, '\\');
        lt_buf_add_char(json, *p < 0x20 ? '?' : (char)*p);
    }
    lt_buf_add_char(json, '"');
}

static void on_status(void *self, struct lt_buf *json) {
    const struct daemon *d = self;
    struct lt_follow_counts counts;
    lt_follow_count(&d->follow, &counts);
    lt_buf_addf(json, "{\"pid\":%ld,\"version\":\"%s\",\"uptime_us\":%lld,", (long)getpid(), litmus_version(), (long long)(lt_monotonic_us() - d->started_us));
    lt_buf_addf(json, "\"runs_in_flight\":%zu,\"materialized\":%lld,\"logs_watched\":%zu,", counts.runs, (long long)d->follow.materialized, counts.logs);
    lt_buf_addf(json, "\"producers\":%zu,\"jobs\":%zu,\"failed\":%zu,\"failures\":[", counts.live, d->follow.job_count, counts.failed);
    size_t shown = 0;
    for (size_t i = 0; i < LT_FOLLOW_BUCKETS; i++) {
        for (const struct lt_session *session = d->follow.sessions[i]; session != NULL; session = session->next) {
            if (!session->failed || shown == LT_DAEMON_FAILURES) continue;
            lt_buf_add_text(json, shown++ == 0 ? "{\"session_id\":" : ",{\"session_id\":");
            add_json_text(json, session->id);
            lt_buf_add_text(json, ",\"error\":");
            add_json_text(json, session->failure);
            lt_buf_add_char(json, '}');
        }
    }
    lt_buf_add_text(json, "]}");
}

/* ---- taking notice ---- */
/* Returns the folder in which a log was written, NULL: it was something else. */
static struct lt_folder *take_watch_event(struct daemon *d, const struct lt_watch_event *event) {
    if (event->kind == LT_WATCH_LOST) {
        lt_folders_refresh(&d->folders, SIZE_MAX, true);
        lt_follow_tick(&d->follow);
        return NULL;
    }
    if (event->id == d->folders.events_watch) {
        if (event->kind == LT_WATCH_GONE) d->folders.events_watch = -1;
        if (event->kind == LT_WATCH_GONE) d->tick_at = 0;
        else if (event->is_folder) lt_folders_refresh(&d->folders, NEWEST, false);
        return NULL;
    }
    struct lt_folder *folder = lt_folders_by_watch(&d->folders, event->id);
    if (folder == NULL || event->is_folder) return NULL;
    if (event->kind == LT_WATCH_GONE) lt_folders_lost(&d->folders, folder);
    else {
        lt_folders_note(&d->folders, folder, event->name);
        if (event->kind != LT_WATCH_APPEARED) lt_follow_changed(&d->follow, folder, event->name, event->kind == LT_WATCH_CLOSED);
    }
    return event->kind == LT_WATCH_CHANGED ? folder : NULL;
}

/* While a producer emits in a row nobody tells us of it: we look. When it rests we are told again, and look once more for what
 * came in between. */
static bool look_where_hushed(struct daemon *d) {
    bool any = false;
    for (size_t i = 0; i < d->folders.count; i++) {
        struct lt_folder *folder = d->folders.items[i];
        if (!folder->hushed) continue;
        bool written = lt_follow_look(&d->follow, folder);
        if (!written) {
            lt_folders_hush(&d->folders, folder, false);
            written = lt_follow_look(&d->follow, folder);
        }
        any |= written;
    }
    return any;
}

static void drain_watch(struct daemon *d) {
    struct lt_watch_event event;
    struct lt_folder *written = NULL;
    bool any = look_where_hushed(d);
    while (d->watch != NULL && lt_watch_next(d->watch, &event)) {
        struct lt_folder *folder = take_watch_event(d, &event);
        if (folder != NULL) written = folder;
        any = true;
    }
    if (!any) return;
    d->active_us = lt_monotonic_us();
    bool in_a_row = d->active_us - d->watch_at < COALESCE_FIRST_US;
    if (in_a_row && written != NULL) lt_folders_hush(&d->folders, written, true);
    d->watch_at = d->active_us + (in_a_row ? COALESCE_LAST_US : COALESCE_FIRST_US);
}

/* Somebody waits for a run of this session: its logs were written before he asked, so what they say
 * can be known now, also where nothing tells of changes. */
static void on_look(void *self, const char *session_id) {
    struct daemon *d = self;
    drain_watch(d);
    lt_follow_poke(&d->follow, session_id);
    while (lt_follow_step(&d->follow, STEP_US)) continue;
}

/* What the logs said is read; whatever came before that is on the watch by now. */
static void start_jobs(struct daemon *d) {
    if (lt_follow_prepare(&d->follow)) drain_watch(d);
    for (struct lt_job *job; (job = lt_follow_job(&d->follow)) != NULL;) lt_pool_put(d->pool, job);
}

static void finish_jobs(struct daemon *d) {
    for (struct lt_job *job; (job = lt_pool_take(d->pool)) != NULL;) {
        d->active_us = lt_monotonic_us();
        if (job->code == LITMUS_OK) lt_hands_absolve(&d->hands, job->session_id);
        lt_follow_done(&d->follow, job);
    }
    char *trouble = lt_pool_sync_trouble(d->pool);
    if (trouble != NULL) lt_journal_say(&d->journal, "%s", trouble);
    free(trouble);
}

/* ---- timers ---- */
/* Is this still the data_dir, and the lock in it ours? If not, another daemon may be at work. */
static bool still_ours(struct daemon *d) {
    struct stat st, lock, ours;
    if (stat(d->data_dir, &st) != 0 || st.st_dev != d->dir_stat.st_dev || st.st_ino != d->dir_stat.st_ino) return false;
    return lstat(d->lock_path, &lock) == 0 && fstat(d->lock_fd, &ours) == 0 && lock.st_ino == ours.st_ino && lock.st_dev == ours.st_dev;
}

static void sync_logs(struct daemon *d) {
    char **paths;
    size_t count = lt_follow_take_sync(&d->follow, &paths);
    if (count > 0) lt_pool_sync(d->pool, paths, count);
    else free(paths);
}

static void run_timers(struct daemon *d, int64_t now) {
    if (now >= d->tick_at) {
        d->tick_at = now + TICK_US;
        if (!still_ours(d)) {
            d->stop = d->gone = true;
            return;
        }
        lt_folders_refresh(&d->folders, NEWEST, false);
        lt_follow_tick(&d->follow);
        /* It became quiet: what the work took goes back to the system, more of it when the workers and
         * the readers of quiet logs have let go too. */
        int64_t quiet_us = now - d->active_us;
        if (d->follow.job_count == 0 && quiet_us > TICK_US && quiet_us < 8 * TICK_US) lt_memory_give_back();
    }
    if (now >= d->sync_at) {
        d->sync_at = now + SYNC_US;
        sync_logs(d);
    }
    if (now >= d->save_at) {
        d->save_at = now + SAVE_US;
        lt_folders_save(&d->folders);
    }
}

static bool is_busy(struct daemon *d) {
    return d->follow.job_count > 0 || d->follow.unread_count > 0 || lt_folders_listing(&d->folders) || lt_control_waiting(&d->control) > 0;
}

static bool has_work(struct daemon *d) {
    struct lt_follow_counts counts;
    if (is_busy(d)) return true;
    lt_follow_count(&d->follow, &counts);
    return counts.live > 0;
}

/* In a quiet moment, once after the runs that came; work that comes sends it away. */
static void tend_lake(struct daemon *d, int64_t now) {
    int64_t quiet = d->idle_us / 4 < COMPACT_US ? d->idle_us / 4 : COMPACT_US;
    if (lt_compacting_reap(&d->compacting))
        lt_journal_say(&d->journal, "lake: %lld runs into %lld files", (long long)d->compacting.runs, (long long)d->compacting.files);
    if (is_busy(d)) {
        lt_compacting_yield(&d->compacting);
    } else if (d->compacted != d->follow.materialized && now - d->active_us >= quiet) {
        d->compacted = d->follow.materialized;
        lt_compacting_start(&d->compacting);
    }
}

/* An upgrade: the next producer starts the new program. */
static int64_t idle_us(const struct daemon *d) {
    return lt_program_replaced() ? 0 : d->idle_us;
}

static bool list_more(struct daemon *d) {
    if (d->follow.job_count > JOBS_MAX || d->follow.unread_count > UNREAD_MAX) return false;
    bool more = lt_folders_step(&d->folders, LIST_BUDGET);
    if (!lt_folders_listing(&d->folders)) lt_follow_listed(&d->follow);
    return more;
}

/* ---- the loop ---- */
static int poll_timeout(const struct daemon *d, int64_t now) {
    int64_t next = d->tick_at < d->save_at ? d->tick_at : d->save_at;
    if (d->follow.activity_us + SYNC_US >= now && d->sync_at < next) next = d->sync_at;
    if (d->watch_at > now && d->watch_at < next) next = d->watch_at;
    if (d->check_at > 0 && d->check_at < next) next = d->check_at;
    if (d->follow.activity_us + d->idle_us > now && d->follow.activity_us + d->idle_us < next) next = d->follow.activity_us + d->idle_us;
    return next <= now ? 0 : (int)((next - now + 999) / 1000);
}

static void wait_for_news(struct daemon *d, bool more) {
    struct pollfd polls[4 + LT_CONTROL_CLIENTS];
    int64_t now = lt_monotonic_us();
    size_t n = 0;
    polls[n++] = (struct pollfd){.fd = d->signal_fd, .events = POLLIN};
    polls[n++] = (struct pollfd){.fd = lt_pool_fd(d->pool), .events = POLLIN};
    if (d->watch != NULL && now >= d->watch_at) polls[n++] = (struct pollfd){.fd = lt_watch_fd(d->watch), .events = POLLIN};
    size_t first = n;
    n += lt_control_polls(&d->control, polls + n);
    if (poll(polls, n, more ? 0 : poll_timeout(d, now)) < 0 && errno != EINTR) {
        const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000}; /* out of kernel memory: do not spin */
        nanosleep(&pause, NULL);
        return;
    }
    int signal_number = lt_signals_take(d->signal_fd);
    if (signal_number != 0) {
        lt_journal_say(&d->journal, "signal %d: leaving", signal_number);
        d->stop = true;
    }
    lt_control_handle(&d->control, polls + first, n - first);
}

static bool turn(struct daemon *d) {
    int64_t now = lt_monotonic_us();
    if (now >= d->watch_at) drain_watch(d);
    finish_jobs(d);
    run_timers(d, now);
    bool listing = list_more(d);
    (void)lt_follow_step(&d->follow, STEP_US);
    d->check_at = lt_follow_check(&d->follow);
    start_jobs(d);
    lt_control_resolve(&d->control);
    start_jobs(d); /* what those who wait asked for */
    tend_lake(d, now);
    return listing || d->follow.unread_head != NULL;
}

static int listen_on_socket(struct daemon *d, struct litmus_error *error) {
    d->control.fd = lt_socket_listen(d->dir_fd, "daemon.sock", error);
    return d->control.fd >= 0 ? LITMUS_OK : LITMUS_EIO;
}

static void stop_listening(struct daemon *d) {
    lt_control_release(&d->control);
    unlinkat(d->dir_fd, "daemon.sock", 0);
}

/* Nothing to do for long enough: but a producer that came just now found the socket and relies on
 * us. So the socket goes first; one that comes after that starts a daemon of its own, which waits
 * for our lock; one that came before has made its log. */
static bool may_leave(struct daemon *d) {
    int64_t idle = lt_monotonic_us() - d->follow.activity_us;
    if (has_work(d)) {
        d->follow.activity_us = lt_monotonic_us();
        return false;
    }
    if (idle < idle_us(d) || lt_compacting_runs(&d->compacting)) return false;
    lt_folders_save(&d->folders);
    stop_listening(d);
    drain_watch(d);
    lt_folders_refresh(&d->folders, NEWEST, true);
    while (lt_folders_step(&d->folders, LIST_BUDGET)) continue;
    lt_follow_listed(&d->follow);
    while (lt_follow_step(&d->follow, STEP_US)) continue;
    start_jobs(d);
    if (!has_work(d)) return true;
    d->follow.activity_us = lt_monotonic_us();
    (void)!listen_on_socket(d, NULL);
    return false;
}

static void loop(struct daemon *d) {
    while (!d->stop) {
        bool more = turn(d);
        if (d->stop) break;
        if (!more && may_leave(d)) {
            lt_journal_say(&d->journal, "idle: leaving");
            break;
        }
        wait_for_news(d, more);
    }
}

/* ---- setting up ---- */
static int64_t idle_wanted(const struct lt_daemon_options *options) {
    const char *text = getenv("LITMUS_DAEMON_IDLE");
    char *end = NULL;
    double seconds = text == NULL ? 0 : strtod(text, &end);
    if (text != NULL && end != text && *end == '\0' && seconds > 0 && seconds < 1e9) return (int64_t)(seconds * 1e6);
    return (int64_t)(options->idle_seconds > 0 ? options->idle_seconds : IDLE_SECONDS) * 1000 * 1000;
}

/* Takes the lock. One who holds it and does not listen is just coming or going: worth a wait. */
static int take_lock(struct daemon *d, bool foreign, struct litmus_error *error) {
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    int64_t until = lt_monotonic_us() + LOCK_WAIT_US;
    for (;;) {
        struct litmus_error why = {0};
        int code = lt_lock_take(d->lock_path, foreign, &d->lock_fd, &why);
        if (code == LITMUS_OK) return code;
        int peer = code == LITMUS_EBUSY ? lt_socket_connect(d->data_dir, "daemon.sock") : -1;
        if (peer >= 0) close(peer);
        if (code == LITMUS_EBUSY && peer < 0 && lt_monotonic_us() < until) {
            nanosleep(&pause, NULL);
            continue;
        }
        if (code != LITMUS_EBUSY) return lt_fail(error, code, why.os_errno, "%s", why.text);
        struct lt_daemon_status status = {.running = false};
        if (peer < 0 && lt_daemon_status(d->data_dir, &status, NULL) == LITMUS_OK && status.lock.code != LITMUS_OK)
            return lt_fail(error, code, EWOULDBLOCK, "%s", status.lock.text);
        return lt_fail(error, code, 0, "a daemon (pid %ld) is at work on %s already: `litmus daemon stop` ends it", lt_hands_pid(d->lock_path), d->data_dir);
    }
}

/* Everything that can fail with a message to who started us; before the process detaches. */
static int set_up(struct daemon *d, const struct lt_daemon_options *options, struct litmus_error *error) {
    int code = lt_data_dir_open(options->data_dir, error);
    if (code != LITMUS_OK) return code;
    struct lt_buf path;
    lt_buf_init(&path);
    code = lt_data_dir_find(options->data_dir, &path, error);
    d->station_dir = code == LITMUS_OK ? strdup(lt_buf_cstr(&path)) : NULL;
    lt_buf_release(&path);
    if (code == LITMUS_OK && d->station_dir == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
    if (code != LITMUS_OK) return code;
    d->data_dir = realpath(options->data_dir, NULL);
    if (d->data_dir == NULL) return lt_fail_os(error, errno, "find", options->data_dir);
    if (asprintf(&d->lock_path, "%s/daemon.lock", d->data_dir) < 0) {
        d->lock_path = NULL;
        return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
    }
    d->dir_fd = open(d->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->dir_fd < 0 || fstat(d->dir_fd, &d->dir_stat) != 0) return lt_fail_os(error, errno, "open", d->data_dir);
    bool foreign = getenv("LITMUS_DAEMON_FOREIGN") != NULL;
    if (d->dir_stat.st_uid != geteuid() && !foreign)
        return lt_fail(error, LITMUS_EPERM, 0, "%s belongs to user %ld, not to us: run the daemon as that user, or set LITMUS_DAEMON_FOREIGN=1",
                       d->data_dir, (long)d->dir_stat.st_uid);
    code = take_lock(d, foreign, error);
    return code == LITMUS_OK ? listen_on_socket(d, error) : code;
}

static int begin(struct daemon *d, struct litmus_error *error) {
    int64_t now = lt_monotonic_us();
    long files = lt_files_limit(FILES_MAX);
    d->started_us = now;
    d->tick_at = now + TICK_US;
    d->sync_at = now + FIRST_SYNC_US;
    d->save_at = now + SAVE_US;
    d->signal_fd = lt_signals_open();
    if (d->signal_fd < 0) return lt_fail_os(error, errno, "watch for", "signals");
    lt_hands_open(&d->hands, d->lock_fd);
    bool polls = getenv("LITMUS_DAEMON_POLL") != NULL; /* for those who know that theirs does not tell */
    d->watch = polls ? NULL : lt_watch_open();
    if (d->watch == NULL && !polls) lt_journal_say(&d->journal, "the system does not tell of changes (%s): looking every 2 s", strerror(errno));
    lt_follow_init(&d->follow, &d->folders, &d->journal, files > 128 ? (size_t)files - 96 - LT_CONTROL_CLIENTS / 4 : 16);
    d->follow.lock_fd = lt_range_lock_open(d->data_dir);
    d->control.follow = &d->follow;
    d->control.status = on_status;
    d->control.look = on_look;
    d->control.stop = on_stop;
    d->control.self = d;
    int code = lt_folders_open(&d->folders, d->data_dir, d->watch, on_log, d, error);
    if (code == LITMUS_OK) code = lt_pool_new(d->data_dir, d->station_dir, WORKERS, on_hand, d, &d->pool, error);
    if (code != LITMUS_OK) return code;
    for (int i = 0; i < LT_HANDS_SUSPECTS; i++) {
        int times = d->hands.suspects[i].times;
        if (times >= LT_HANDS_TIMES_MAX) lt_follow_distrust(&d->follow, d->hands.suspects[i].session, times, times < LT_HANDS_TIMES_LAST);
    }
    lt_folders_refresh(&d->folders, SIZE_MAX, false);
    return LITMUS_OK;
}

static void end(struct daemon *d) {
    lt_compacting_release(&d->compacting);
    if (!d->gone) stop_listening(d);
    else lt_control_release(&d->control);
    if (d->pool != NULL) {
        if (!d->gone) sync_logs(d);
        lt_pool_free(d->pool);
    }
    if (d->pool != NULL && !d->gone) lt_folders_save(&d->folders);
    if (d->follow.lock_fd >= 0) close(d->follow.lock_fd);
    lt_follow_release(&d->follow);
    lt_folders_close(&d->folders);
    lt_watch_free(d->watch);
    if (d->signal_fd >= 0) close(d->signal_fd);
}

static int work(struct daemon *d, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    lt_memory_tame(WORKERS + 1);
    lt_io_make_room(d->dir_fd);
    lt_journal_open(&d->journal, d->foreground ? NULL : lt_path_join(&path, d->data_dir, "daemon.log"));
    lt_buf_release(&path);
    struct litmus_error why = {0};
    lt_compacting_init(&d->compacting, d->data_dir);
    int code = begin(d, &why);
    if (code == LITMUS_OK) {
        lt_journal_say(&d->journal, "litmus %s at work on %s", litmus_version(), d->data_dir);
        loop(d);
        if (d->gone) lt_journal_say(&d->journal, "%s was removed or replaced: leaving", d->data_dir);
    } else {
        lt_journal_say(&d->journal, "%s", why.text);
        lt_fail(error, code, why.os_errno, "%s", why.text);
    }
    end(d);
    lt_journal_close(&d->journal);
    return code;
}

static void daemon_free(struct daemon *d) {
    if (d->control.fd >= 0) close(d->control.fd);
    if (d->lock_fd >= 0) close(d->lock_fd);
    if (d->dir_fd >= 0) close(d->dir_fd);
    free(d->lock_path);
    free(d->data_dir);
    free(d->station_dir);
    free(d);
}

int lt_daemon_run(const struct lt_daemon_options *options, struct litmus_error *error) {
    struct daemon *d = calloc(1, sizeof *d);
    if (d == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the daemon");
    d->dir_fd = d->lock_fd = d->signal_fd = d->control.fd = d->follow.lock_fd = -1;
    d->foreground = options->foreground;
    d->idle_us = idle_wanted(options);
    d->compacted = -1;
    d->active_us = lt_monotonic_us();
    if (!options->foreground) lt_close_inherited();
    struct litmus_error why = {0};
    int code = set_up(d, options, &why);
    bool here = true;
    if (code == LITMUS_EBUSY && why.os_errno != EWOULDBLOCK && !options->foreground) { /* two were started at once: one is enough */
        daemon_free(d);
        return LITMUS_OK;
    }
    if (code == LITMUS_OK && !options->foreground) code = lt_detach(&here, &why);
    if (code != LITMUS_OK) lt_fail(error, code, why.os_errno, "%s", why.text);
    else if (here) code = work(d, error);
    daemon_free(d);
    return code;
}
