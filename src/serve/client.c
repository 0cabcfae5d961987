/* SPDX-License-Identifier: Apache-2.0
 *
 * How others talk to the daemon. Nothing here waits without a bound, and nothing depends on an
 * answer: who gets none does the work itself.
 */
#define _GNU_SOURCE
#include "serve/daemon.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/process.h"
#include "materialize/done_text.h"
#include "serve/hands.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <yyjson.h>

enum { ANSWER_BYTES_MAX = 64 * 1024, ASK_MS = 5000, STOP_MS = 60 * 1000 };

static const char default_exe[] = "litmus";

static int connect_to(const char *data_dir) {
    return lt_socket_connect(data_dir, "daemon.sock");
}

/* Waits for the descriptor; false when the time is up. */
static bool ready(int fd, short events, int64_t until_us) {
    for (;;) {
        int64_t left = until_us - lt_monotonic_us();
        struct pollfd poll_fd = {.fd = fd, .events = events};
        int n = poll(&poll_fd, 1, left <= 0 ? 0 : (int)((left + 999) / 1000));
        if (n > 0) return true;
        if (n == 0 || errno != EINTR) return false;
    }
}

static bool say(int fd, const char *line, int64_t until_us) {
    for (size_t left = strlen(line); left > 0;) {
        ssize_t put = send(fd, line, left, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && (errno != EAGAIN || !ready(fd, POLLOUT, until_us))) return false;
        if (put > 0) {
            line += put;
            left -= (size_t)put;
        }
    }
    return true;
}

/* One line of answer, without its end. */
static bool hear(int fd, struct lt_buf *line, int64_t until_us) {
    while (line->n < ANSWER_BYTES_MAX) {
        if (!lt_buf_reserve(line, 4096)) return false;
        ssize_t got = recv(fd, line->p + line->n, 4096, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno != EAGAIN || !ready(fd, POLLIN, until_us))) return false;
        if (got == 0) return false;
        if (got < 0) continue;
        line->n += (size_t)got;
        char *end = memchr(line->p, '\n', line->n);
        if (end == NULL) continue;
        line->n = (size_t)(end - line->p);
        return true;
    }
    return false;
}

static void lock_path(const char *data_dir, struct lt_buf *path) {
    lt_buf_addf(path, "%s/daemon.lock", data_dir);
}

static bool is_stopped(const char *data_dir) {
    struct lt_buf path;
    lt_buf_init(&path);
    lock_path(data_dir, &path);
    bool stopped = !path.failed && lt_process_stopped(lt_hands_pid(lt_buf_cstr(&path)));
    lt_buf_release(&path);
    return stopped;
}

/* Asks one question; false: nobody answers in time. One that was stopped is not waited for. */
static bool ask(const char *data_dir, const char *question, struct lt_buf *line, int timeout_ms) {
    int64_t until = lt_monotonic_us() + (int64_t)timeout_ms * 1000;
    int fd = connect_to(data_dir);
    if (fd < 0) return false;
    bool answered = !is_stopped(data_dir) && say(fd, question, until) && hear(fd, line, until);
    close(fd);
    return answered;
}

int lt_daemon_spawn_begin(const char *exe, const char *data_dir, pid_t *first, struct litmus_error *error) {
    *first = 0;
    int fd = connect_to(data_dir);
    if (fd >= 0) {
        close(fd);
        return LITMUS_OK;
    }
    static const char *const without[] = {"LITMUS_RECORDING", NULL};
    struct lt_buf folder; /* the daemon's folder is /; a link stays one: what is above it says which key is the station's */
    lt_buf_init(&folder);
    int code = lt_data_dir_find(data_dir, &folder, error);
    if (exe == NULL) exe = default_exe;
    char *arguments[] = {(char *)exe, (char *)"daemon", (char *)"--data-dir", (char *)lt_buf_cstr(&folder), NULL};
    if (code == LITMUS_OK) code = lt_spawn_begin(exe, arguments, without, first, error);
    lt_buf_release(&folder);
    return code;
}

int lt_daemon_spawn(const char *exe, const char *data_dir, struct litmus_error *error) {
    pid_t first;
    int code = lt_daemon_spawn_begin(exe, data_dir, &first, error);
    return code == LITMUS_OK && first > 0 ? lt_spawn_finish(exe == NULL ? default_exe : exe, first, error) : code;
}

static int64_t number(yyjson_val *root, const char *key) {
    return yyjson_get_sint(yyjson_obj_get(root, key));
}

static void copy_text(yyjson_val *object, const char *key, char *out, size_t size) {
    const char *text = yyjson_get_str(yyjson_obj_get(object, key));
    snprintf(out, size, "%s", text == NULL ? "" : text);
}

static void read_failures(yyjson_val *list, struct lt_daemon_status *out) {
    yyjson_val *one;
    yyjson_arr_iter iter = yyjson_arr_iter_with(list);
    while (out->failure_count < LT_DAEMON_FAILURES && (one = yyjson_arr_iter_next(&iter)) != NULL) {
        struct lt_daemon_failure *failure = &out->failures[out->failure_count++];
        copy_text(one, "session_id", failure->session_id, sizeof failure->session_id);
        copy_text(one, "error", failure->text, sizeof failure->text);
    }
}

/* Nobody answers, and the lock is held. true: by a process that is no daemon. A daemon listens from when it has the lock until shortly before it lets
 * go of it, and what stands in the file is its number. */
static bool is_of_other(const char *data_dir, const char *lock, long *pid, struct litmus_error *error) {
    char name[16];
    int fd = connect_to(data_dir);
    if (fd >= 0) close(fd);
    *pid = 0;
    if (fd >= 0 || lt_process_has_open(lt_hands_pid(lock), lock)) return false;
    *pid = lt_lock_holder(lock);
    lt_process_name(*pid, name);
    if (strcmp(name, "litmus") == 0 || !lt_lock_is_held(lock)) return false; /* just coming, or gone meanwhile */
    if (*pid > 0)
        (void)lt_fail(error, LITMUS_EBUSY, 0, "process %ld (%s) is no litmus daemon and holds %s, so that none can start: end that process, or let it close the file", *pid,
                      name, lock);
    else
        (void)lt_fail(error, LITMUS_EBUSY, 0, "a process that cannot be seen from here holds %s, and is no daemon that listens: end it (lslocks, as root and outside of any "
                      "container, has its number)", lock);
    return true;
}

int lt_daemon_status(const char *data_dir, struct lt_daemon_status *out, struct litmus_error *error) {
    struct lt_buf line, path;
    lt_buf_init(&line);
    lt_buf_init(&path);
    lock_path(data_dir, &path);
    *out = (struct lt_daemon_status){0};
    int code = path.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : LITMUS_OK;
    yyjson_doc *doc = NULL;
    if (code == LITMUS_OK && ask(data_dir, "status\n", &line, ASK_MS)) {
        doc = yyjson_read(line.p, line.n, 0);
        yyjson_val *root = yyjson_doc_get_root(doc);
        out->running = true;
        out->pid = (long)number(root, "pid");
        out->uptime_us = number(root, "uptime_us");
        out->runs_in_flight = number(root, "runs_in_flight");
        out->materialized = number(root, "materialized");
        out->logs_watched = number(root, "logs_watched");
        out->failed = number(root, "failed");
        copy_text(root, "version", out->version, sizeof out->version);
        read_failures(yyjson_obj_get(root, "failures"), out);
    } else if (code == LITMUS_OK && lt_lock_is_held(lt_buf_cstr(&path))) { /* just coming, or hung */
        long holder;
        out->running = !is_of_other(data_dir, lt_buf_cstr(&path), &holder, &out->lock);
        if (out->running) out->pid = holder > 0 ? holder : lt_hands_pid(lt_buf_cstr(&path));
        else out->lock_pid = holder;
        out->stopped = lt_process_stopped(out->pid);
    }
    yyjson_doc_free(doc);
    lt_buf_release(&path);
    lt_buf_release(&line);
    return code;
}

/* Asks it to leave; *hung: it did not answer in time, and had no processor time meanwhile. One that is only slow has some, or wants it. */
static bool ask_to_stop(const char *data_dir, long pid, int patience_ms, bool *hung) {
    struct lt_buf line;
    long long before, after;
    lt_buf_init(&line);
    bool slept = lt_process_sleeps(pid, &before);
    int64_t until = lt_monotonic_us() + (int64_t)patience_ms * 1000;
    bool answered = ask(data_dir, "stop\n", &line, patience_ms);
    *hung = !answered && lt_monotonic_us() >= until && slept && lt_process_sleeps(pid, &after) && after == before;
    lt_buf_release(&line);
    return answered;
}

int lt_daemon_stop(const char *data_dir, int patience_ms, struct litmus_error *error) {
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    struct lt_buf path;
    lt_buf_init(&path);
    lock_path(data_dir, &path);
    int64_t until = lt_monotonic_us() + (int64_t)STOP_MS * 1000;
    int code = path.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : LITMUS_OK;
    long asked = 0; /* another may have come when the one that was asked had left: it is asked, too */
    bool hung = false;
    while (code == LITMUS_OK && lt_lock_is_held(lt_buf_cstr(&path))) {
        long pid = lt_hands_pid(lt_buf_cstr(&path));
        if (asked == 0 || pid != asked) asked = ask_to_stop(data_dir, pid, patience_ms > 0 ? patience_ms : ASK_MS, &hung) ? pid : 0;
        long other;
        if (asked == 0 && is_of_other(data_dir, lt_buf_cstr(&path), &other, error)) code = LITMUS_EBUSY;
        else if (lt_process_stopped(pid))
            code = lt_fail(error, LITMUS_EBUSY, 0, "the daemon of %s does not leave: a signal or a debugger stopped it, and kill -CONT %ld lets it go on", data_dir, pid);
        else if (hung)
            code = lt_fail(error, LITMUS_EBUSY, 0, "the daemon of %s hangs: it neither answers nor works; kill -9 %ld ends it, and nothing on record is lost by that", data_dir,
                           pid);
        else if (lt_monotonic_us() >= until)
            code = lt_fail(error, LITMUS_EBUSY, 0, "the daemon of %s (pid %ld) was asked to leave a minute ago, and is still there: wait for it, or end that process", data_dir,
                           pid);
        nanosleep(&pause, NULL);
    }
    lt_buf_release(&path);
    return code;
}

bool lt_daemon_wait_run(const char *data_dir, const char *session_id, const char *run_id, int timeout_ms, struct lt_materialized *told) {
    struct lt_buf line, question;
    lt_buf_init(&line);
    lt_buf_init(&question);
    lt_buf_addf(&question, "wait %s %s\n", session_id, run_id);
    bool done = !question.failed && ask(data_dir, lt_buf_cstr(&question), &line, timeout_ms) && line.n >= 4 && memcmp(line.p, "done", 4) == 0;
    bool good = done && told != NULL && line.n > 5 && lt_done_read((struct lt_str){line.p + 5, line.n - 5}, told) && strcmp(told->run_id, run_id) == 0;
    if (told != NULL && !good) *told = (struct lt_materialized){0};
    lt_buf_release(&question);
    lt_buf_release(&line);
    return done;
}
