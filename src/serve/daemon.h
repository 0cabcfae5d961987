/* SPDX-License-Identifier: Apache-2.0
 *
 * daemon.h - the runs daemon, and how others talk to it (daemon.sock in the data_dir).
 */
#ifndef LT_SERVE_DAEMON_H
#define LT_SERVE_DAEMON_H

#include "base/error.h"

#include <sys/types.h>

struct lt_daemon_options {
    const char *data_dir;
    bool foreground;
    int idle_seconds; /* leave after so long without work; 0: default (60) */
};
/* Runs until idle, told to stop, or the data_dir is gone. EBUSY: one is there already (in the foreground; else that is as good), or, with EWOULDBLOCK,
 * a process that is none holds the lock. */
int lt_daemon_run(const struct lt_daemon_options *options, struct litmus_error *error);

/* ---- client side (client.c) ---- */
/* Starts `exe daemon --data-dir D` detached: no descriptor, pipe or terminal of ours goes along.
 * Returns at once; LITMUS_OK also when one is running. */
int lt_daemon_spawn(const char *exe, const char *data_dir, struct litmus_error *error);
/* Its first half: *first is owed an lt_spawn_finish, after which a daemon that can start listens; 0: one is running. */
int lt_daemon_spawn_begin(const char *exe, const char *data_dir, pid_t *first, struct litmus_error *error);
enum { LT_DAEMON_FAILURES = 20 }; /* so many are told of */
struct lt_daemon_failure {
    char session_id[64];
    char text[600];
};
struct lt_daemon_status {
    bool running, stopped; /* stopped: by a signal or a debugger, so that it cannot answer */
    long pid;
    int64_t uptime_us, runs_in_flight, materialized, logs_watched, failed;
    char version[32];
    struct lt_daemon_failure failures[LT_DAEMON_FAILURES]; /* sessions that could not be materialised, and why */
    size_t failure_count;
    long lock_pid;            /* of a process that is no daemon and holds the lock, so that none can start; 0: none that is known */
    struct litmus_error lock; /* EBUSY: such a process holds it, and what to do */
};
int lt_daemon_status(const char *data_dir, struct lt_daemon_status *out, struct litmus_error *error);
/* Waits until it is gone. EBUSY: a process that is no daemon holds its lock; it was stopped; it did not answer for `patience_ms` (0: 5000), and did
 * nothing else either; or it is at work for more than a minute. */
int lt_daemon_stop(const char *data_dir, int patience_ms, struct litmus_error *error);
/* Waits until the daemon has materialised the run or cannot: true: done. false: no daemon, it
 * failed, or the time is up; the caller does the work itself. *told is what the daemon told of the
 * run, its run_id "" when it told nothing; NULL: not wanted. */
struct lt_materialized;
bool lt_daemon_wait_run(const char *data_dir, const char *session_id, const char *run_id, int timeout_ms, struct lt_materialized *told);

#endif
