/* SPDX-License-Identifier: Apache-2.0
 *
 * daemon_helper.h - a daemon and producers, each in a process of its own, for the tests of serve/.
 */
#ifndef DAEMON_HELPER_H
#define DAEMON_HELPER_H

#include "base/clock.h"
#include "base/io.h"
#include "base/process.h"
#include "serve/daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct bench {
    char dir[PATH_MAX];
    pid_t daemon;
    struct litmus_error error;
};

static inline int bench_set_up(void **state) {
    struct bench *b = calloc(1, sizeof *b);
    char template[256];
    const char *tmp = getenv("TMPDIR");
    snprintf(template, sizeof template, "%s/daemon-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    unsetenv("LITMUS_DATA_DIR");
    setenv("LITMUS_DAEMON_IDLE", "600", 1); /* it dies with us; no pause of a busy machine is to end it */
    unsetenv("LITMUS_DAEMON_POLL");
    *state = b;
    return mkdtemp(template) == NULL || realpath(template, b->dir) == NULL;
}

static inline int bench_tear_down(void **state) {
    struct bench *b = *state;
    if (b->daemon > 0) {
        kill(b->daemon, SIGKILL);
        waitpid(b->daemon, NULL, 0);
    }
    free(b);
    return 0;
}

static inline void nap_ms(int ms) {
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000 * 1000};
    nanosleep(&pause, NULL);
}

/* How long what has to come is waited for. It only ends a test that hangs: a busy machine takes its time. */
enum { PATIENCE_MS = 100 * 1000 };

/* Waits until the condition holds. */
#define assert_soon(condition)                                                            \
    do {                                                                                  \
        int64_t until_ = lt_monotonic_us() + (int64_t)PATIENCE_MS * 1000;                 \
        bool holds_ = false;                                                              \
        while (!(holds_ = (condition)) && lt_monotonic_us() < until_) nap_ms(2);          \
        if (!holds_) fail_msg("still not after %d s: %s", PATIENCE_MS / 1000, #condition); \
    } while (0)

static inline bool exists(const struct bench *b, const char *name) {
    char path[PATH_MAX + 64];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", b->dir, name);
    return lstat(path, &st) == 0;
}

static inline struct lt_daemon_status status_of(struct bench *b) {
    struct lt_daemon_status status;
    assert_int_equal(lt_daemon_status(b->dir, &status, &b->error), LITMUS_OK);
    return status;
}

/* A daemon in the foreground, in a child; its words go to daemon.err. */
static inline void start_daemon(struct bench *b) {
    b->daemon = fork();
    assert_true(b->daemon >= 0);
    if (b->daemon == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
        char path[PATH_MAX + 64];
        snprintf(path, sizeof path, "%s/daemon.err", b->dir);
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
        if (fd >= 0) dup2(fd, STDERR_FILENO);
        struct lt_daemon_options options = {.data_dir = b->dir, .foreground = true};
        struct litmus_error error = {0};
        int code = lt_daemon_run(&options, &error);
        if (code != LITMUS_OK) dprintf(STDERR_FILENO, "%s\n", error.text);
        exit(code);
    }
    assert_soon(status_of(b).uptime_us > 0); /* it answers */
}

static inline void kill_daemon(struct bench *b) {
    kill(b->daemon, SIGKILL);
    assert_int_equal(waitpid(b->daemon, NULL, 0), b->daemon);
    b->daemon = 0;
}

/* Waits for the daemon to leave by itself; its exit code. */
static inline int reap_daemon(struct bench *b) {
    int status = -1;
    pid_t got = 0;
    for (int64_t until = lt_monotonic_us() + (int64_t)PATIENCE_MS * 1000; got == 0 && lt_monotonic_us() < until; nap_ms(2)) got = waitpid(b->daemon, &status, WNOHANG);
    assert_int_equal(got, b->daemon);
    b->daemon = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* What a producer does; the stop is where it goes another way. */
enum producer_stop { WHOLE, DIES, HOLDS, LEAVES_OPEN, EXITS_AFTER_RUN };
struct producer {
    pid_t pid;
    int pipe;
    char session[64], run[64];
};

static inline void produce(const struct bench *b, enum producer_stop stop, int steps, int out) {
    struct litmus_error error = {0};
    struct litmus_session_options options = {.data_dir = b->dir, .daemon_exe = "/bin/true"};
    litmus_session *session = NULL;
    litmus_run *run = NULL;
    int code = litmus_session_open(&options, &session, &error);
    if (code == LITMUS_OK) code = litmus_run_start(session, "{\"dut_serial\":\"SN1\"}", &run, &error);
    if (code == LITMUS_OK) {
        dprintf(out, "%s %s\n", litmus_session_id(session), litmus_run_id(run));
        for (int i = 0; code == LITMUS_OK && i < steps; i++) {
            char path[32];
            snprintf(path, sizeof path, "t.py/step_%d", i);
            code = litmus_plan_add(run, path, NULL, &error);
        }
        if (code == LITMUS_OK) code = litmus_plan_commit(run, &error);
    }
    for (int i = 0; code == LITMUS_OK && i < steps; i++) {
        code = litmus_step_start(run, i, NULL, &error);
        if (i == steps / 2 && stop == DIES) kill(getpid(), SIGKILL);
        if (i == steps / 2 && stop == HOLDS) pause();
        if (code == LITMUS_OK) code = litmus_step_end(run, "passed", NULL, &error);
    }
    if (code == LITMUS_OK && stop != LEAVES_OPEN) code = litmus_run_end(run, NULL, NULL, &error);
    if (code == LITMUS_OK && stop == EXITS_AFTER_RUN) _exit(0);
    if (code == LITMUS_OK) code = litmus_session_close(session, NULL, &error);
    if (code != LITMUS_OK) dprintf(STDERR_FILENO, "producer: %s\n", error.text);
    _exit(code);
}

static inline struct producer start_producer(const struct bench *b, enum producer_stop stop, int steps) {
    struct producer p = {0};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    p.pid = fork();
    assert_true(p.pid >= 0);
    if (p.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        produce(b, stop, steps, ends[1]);
    }
    close(ends[1]);
    char line[200] = "";
    size_t n = 0;
    ssize_t got;
    while (n < sizeof line - 1 && strchr(line, '\n') == NULL && (got = read(ends[0], line + n, sizeof line - 1 - n)) > 0) line[n += (size_t)got] = '\0';
    close(ends[0]);
    assert_int_equal(sscanf(line, "%63s %63s", p.session, p.run), 2);
    return p;
}

static inline int finish_producer(const struct producer *p) {
    int status = -1;
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Files below runs/ whose name ends so; temporary ones count apart. */
static inline int count_files(const struct bench *b, const char *below, const char *suffix, bool hidden) {
    char path[PATH_MAX + 400];
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", b->dir, below);
    DIR *dir = opendir(path);
    if (dir == NULL) return 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        size_t length = strlen(entry->d_name), end = strlen(suffix);
        if (entry->d_type == DT_DIR) {
            char sub[400];
            snprintf(sub, sizeof sub, "%.100s/%s", below, entry->d_name);
            n += count_files(b, sub, suffix, hidden);
        } else if (length >= end && strcmp(entry->d_name + length - end, suffix) == 0 && (entry->d_name[0] == '.') == hidden) n++;
    }
    closedir(dir);
    return n;
}

static inline int runs_on_disk(const struct bench *b) {
    return count_files(b, "runs", ".parquet", false);
}

#endif
