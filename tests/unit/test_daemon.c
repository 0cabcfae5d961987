/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon from outside: what becomes of runs, however producers and daemons end.
 */
#include "daemon_helper.h"

#include "accumulate/gather.h"
#include "log/log.h"
#include "materialize/materialize.h"
#include "serve/hands.h"

#include <poll.h>
#include <sys/socket.h>

/* An empty file is the log of one that died while it made it. */
static bool sealed_all(const struct bench *b) {
    struct lt_log_list list;
    if (lt_log_find(b->dir, NULL, &list, NULL) != LITMUS_OK) return false;
    bool all = true;
    for (size_t i = 0; i < list.count; i++) {
        struct stat st;
        all = all && (lt_log_is_sealed(list.files[i].path) || (stat(list.files[i].path, &st) == 0 && st.st_size == 0));
    }
    lt_log_list_release(&list);
    return all;
}

static void a_finished_run_has_its_file_when_the_producer_returns(void **state) {
    struct bench *b = *state;
    start_daemon(b);
    for (int i = 1; i <= 3; i++) {
        struct producer p = start_producer(b, WHOLE, 4);
        assert_int_equal(finish_producer(&p), 0);
        assert_int_equal(runs_on_disk(b), i);
        struct lt_materialized told;
        assert_true(lt_daemon_wait_run(b->dir, p.session, p.run, PATIENCE_MS, &told)); /* known, though long done */
        assert_string_equal(told.run_id, p.run);
        assert_string_equal(told.outcome, "passed");
        assert_int_equal(told.planned, 4);
        assert_int_equal(told.counts.passed + told.counts.never_ran, 4);
        assert_int_equal(access(told.path, R_OK), 0);
    }
    assert_soon(status_of(b).materialized == 3);
    struct lt_daemon_status status = status_of(b);
    assert_true(status.running);
    assert_int_equal(status.pid, b->daemon);
    assert_int_equal(status.runs_in_flight, 0);
    assert_int_equal(status.failed, 0);
    assert_string_equal(status.version, litmus_version());
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK);
    assert_int_equal(reap_daemon(b), 0);
    assert_false(exists(b, "daemon.sock"));
    assert_false(status_of(b).running);
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK); /* none there: no error */
    assert_true(sealed_all(b));
}

static void nobody_waits_for_a_stopped_daemon(void **state) {
    struct bench *b = *state;
    int status;
    start_daemon(b);
    assert_int_equal(kill(b->daemon, SIGSTOP), 0);
    assert_int_equal(waitpid(b->daemon, &status, WUNTRACED), b->daemon);
    assert_true(WIFSTOPPED(status));
    assert_false(lt_daemon_wait_run(b->dir, "s", "r", 3600 * 1000, NULL)); /* else this program is at it for an hour */
    struct lt_daemon_status told = status_of(b);
    assert_true(told.running && told.stopped);
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_EBUSY);
    assert_non_null(strstr(b->error.text, "kill -CONT"));
    lt_error_clear(&b->error);
    assert_int_equal(kill(b->daemon, SIGCONT), 0);
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK);
    assert_int_equal(reap_daemon(b), 0);
}

static bool name_holder(int lock, pid_t pid) {
    char text[32];
    int n = snprintf(text, sizeof text, "pid %-10ld\n", (long)pid);
    return pwrite(lock, text, (size_t)n, 0) == n;
}

/* In a daemon's place: a child that holds the lock and listens. What it does then is `act`'s. */
static pid_t stand_in(const struct bench *b, void (*act)(int lock, int socket)) {
    int told[2];
    char x;
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char path[PATH_MAX + 64];
        int lock, socket = -1, folder = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        snprintf(path, sizeof path, "%s/daemon.lock", b->dir);
        bool ok = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && folder >= 0 && lt_lock_take(path, false, &lock, NULL) == LITMUS_OK && name_holder(lock, getpid()) &&
                  (socket = lt_socket_listen(folder, "daemon.sock", NULL)) >= 0 && write(told[1], "x", 1) == 1;
        if (ok) act(lock, socket);
        _exit(ok ? 0 : 1);
    }
    close(told[1]); /* a child that failed is an end of file, not a wait */
    assert_int_equal(read(told[0], &x, 1), 1);
    close(told[0]);
    return child;
}

static void hang(int lock, int socket) {
    (void)lock, (void)socket;
    for (;;) pause();
}

static void a_daemon_that_hangs_is_not_waited_for_a_minute(void **state) {
    struct bench *b = *state;
    int status;
    pid_t hung = stand_in(b, hang);
    assert_int_equal(lt_daemon_stop(b->dir, 20, &b->error), LITMUS_EBUSY);
    assert_non_null(strstr(b->error.text, "hangs")); /* else it was a minute */
    assert_non_null(strstr(b->error.text, "kill -9"));
    lt_error_clear(&b->error);
    assert_int_equal(kill(hung, SIGKILL), 0);
    assert_int_equal(waitpid(hung, &status, 0), hung);
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK);
}

static bool hear_stop(int socket) {
    char word[16];
    struct pollfd ready = {.fd = socket, .events = POLLIN};
    while (poll(&ready, 1, -1) < 0) {}
    int peer = accept(socket, NULL, NULL);
    bool ok = peer >= 0 && read(peer, word, sizeof word) == 5 && memcmp(word, "stop\n", 5) == 0 && write(peer, "ok\n", 3) == 3;
    if (peer >= 0) close(peer);
    return ok;
}

/* Whom the first "stop" sends away is followed at once by another, who leaves when it is told so itself. */
static void change_hands(int lock, int socket) {
    bool ok = hear_stop(socket) && name_holder(lock, getppid()) && hear_stop(socket);
    _exit(ok ? 0 : 1);
}

static void who_takes_the_place_of_a_daemon_that_leaves_is_asked_too(void **state) {
    struct bench *b = *state;
    int status;
    pid_t hands = stand_in(b, change_hands);
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK); /* else it was a minute, and EBUSY */
    assert_int_equal(waitpid(hands, &status, 0), hands);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A second is the promise, and what an idle machine keeps: `make soak` counts those that took longer. Here the fastest has to keep it,
 * in the time of a run that ends as it should and a second. */
static void a_dead_producers_run_is_on_record_within_a_second(void **state) {
    struct bench *b = *state;
    start_daemon(b);
    int64_t begun = lt_monotonic_us(), whole = 0, fastest = INT64_MAX;
    struct producer first = start_producer(b, WHOLE, 10);
    finish_producer(&first);
    whole = lt_monotonic_us() - begun;
    for (int i = 0; i < 10; i++) {
        struct producer p = start_producer(b, i % 3 == 0 ? EXITS_AFTER_RUN : DIES, 10);
        finish_producer(&p);
        int64_t died = lt_monotonic_us();
        assert_true(lt_daemon_wait_run(b->dir, p.session, p.run, PATIENCE_MS, NULL));
        assert_int_equal(runs_on_disk(b), i + 2);
        int64_t took = lt_monotonic_us() - died;
        if (took < fastest) fastest = took;
    }
    assert_true(fastest < whole + 1000 * 1000);
    assert_soon(sealed_all(b));
    assert_int_equal(status_of(b).failed, 0);
}

static void a_session_closed_with_its_run_open_ends_it_as_aborted(void **state) {
    struct bench *b = *state;
    start_daemon(b);
    struct producer p = start_producer(b, LEAVES_OPEN, 3);
    assert_int_equal(finish_producer(&p), 0);
    assert_true(lt_daemon_wait_run(b->dir, p.session, p.run, PATIENCE_MS, NULL));
    assert_int_equal(runs_on_disk(b), 1);
}

static void a_silent_producer_lives_and_keeps_the_daemon(void **state) {
    struct bench *b = *state;
    setenv("LITMUS_DAEMON_IDLE", "0.2", 1);
    struct producer p = start_producer(b, HOLDS, 4); /* first: alone, the daemon could be gone before it */
    start_daemon(b);
    nap_ms(2500); /* past the idle time and a look at every log */
    struct lt_daemon_status status = status_of(b);
    assert_true(status.running);
    assert_int_equal(status.runs_in_flight, 1);
    assert_int_equal(runs_on_disk(b), 0);
    assert_false(lt_daemon_wait_run(b->dir, p.session, p.run, 200, NULL)); /* bounded */
    kill(p.pid, SIGKILL);
    finish_producer(&p);
    assert_soon(runs_on_disk(b) == 1);
    assert_int_equal(reap_daemon(b), 0); /* idle */
    assert_false(exists(b, "daemon.sock"));
}

static void what_happened_without_a_daemon_is_done_by_the_next(void **state) {
    struct bench *b = *state;
    struct producer dead = start_producer(b, DIES, 6), left = start_producer(b, EXITS_AFTER_RUN, 2);
    finish_producer(&dead);
    finish_producer(&left);
    assert_int_equal(runs_on_disk(b), 0);
    assert_false(lt_daemon_wait_run(b->dir, dead.session, dead.run, PATIENCE_MS, NULL)); /* nobody listens: at once */
    start_daemon(b);
    assert_true(lt_daemon_wait_run(b->dir, dead.session, dead.run, PATIENCE_MS, NULL));
    assert_true(lt_daemon_wait_run(b->dir, left.session, left.run, PATIENCE_MS, NULL));
    assert_int_equal(runs_on_disk(b), 2);
}

static void a_killed_daemon_loses_nothing_and_doubles_nothing(void **state) {
    struct bench *b = *state;
    srand(1);
    struct producer p[30];
    for (int i = 0; i < 30; i++) {
        if (b->daemon == 0) start_daemon(b);
        p[i] = start_producer(b, i % 4 == 0 ? DIES : EXITS_AFTER_RUN, 5);
        nap_ms(rand() % 12);
        if (i % 2 == 0) kill_daemon(b);
        finish_producer(&p[i]);
    }
    if (b->daemon == 0) start_daemon(b);
    for (int i = 0; i < 30; i++) assert_true(lt_daemon_wait_run(b->dir, p[i].session, p[i].run, PATIENCE_MS, NULL));
    assert_int_equal(runs_on_disk(b), 30);
    assert_soon(sealed_all(b));
    assert_soon(status_of(b).failed == 0); /* one that was in hand too often by chance has to wait a little */
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK);
    assert_int_equal(reap_daemon(b), 0);
}

/* The next start does not read what is settled; a cache that lies or is broken costs time alone. */
static void the_cache_of_settled_logs_is_disposable(void **state) {
    struct bench *b = *state;
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/daemon.clean", b->dir);
    static const char *const contents[] = {NULL, "", "litmus-clean 1\nf x", "\xff\xfe garbage",
                                           "litmus-clean 1\nd 2026-05-16 99999999999999999999999\nf ../.. 1\nf a zz\n\n \n"};
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        start_daemon(b);
        struct producer p = start_producer(b, WHOLE, 2);
        assert_int_equal(finish_producer(&p), 0);
        assert_int_equal(runs_on_disk(b), (int)i + 1);
        assert_soon(status_of(b).logs_watched == 0);
        assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK);
        assert_int_equal(reap_daemon(b), 0);
        assert_true(exists(b, "daemon.clean"));
        if (contents[i] == NULL) continue;
        int fd = open(path, O_WRONLY | O_TRUNC);
        assert_true(fd >= 0 && write(fd, contents[i], strlen(contents[i])) == (ssize_t)strlen(contents[i]));
        close(fd);
    }
    start_daemon(b);
    nap_ms(300);
    assert_int_equal(status_of(b).failed, 0);
    assert_int_equal(status_of(b).materialized, 0);
}

static void without_word_from_the_system_it_looks_itself(void **state) {
    struct bench *b = *state;
    setenv("LITMUS_DAEMON_POLL", "1", 1);
    start_daemon(b);
    struct producer p = start_producer(b, DIES, 4);
    finish_producer(&p);
    assert_soon(runs_on_disk(b) == 1);
    p = start_producer(b, WHOLE, 4); /* who waits is not kept waiting for the next look */
    assert_int_equal(finish_producer(&p), 0);
    assert_int_equal(runs_on_disk(b), 2);
    assert_int_equal(status_of(b).failed, 0);
}

static void one_daemon_a_data_dir(void **state) {
    struct bench *b = *state;
    start_daemon(b);
    struct lt_daemon_options options = {.data_dir = b->dir, .foreground = true};
    assert_int_equal(lt_daemon_run(&options, &b->error), LITMUS_EBUSY);
    assert_non_null(strstr(b->error.text, "litmus daemon stop"));
    assert_true(status_of(b).running);
    kill_daemon(b); /* leaves its socket and its lock file */
    assert_true(exists(b, "daemon.sock"));
    start_daemon(b);
    assert_true(status_of(b).pid == b->daemon);
}

static void it_leaves_when_the_data_dir_does(void **state) {
    struct bench *b = *state;
    char moved[PATH_MAX + 64];
    start_daemon(b);
    snprintf(moved, sizeof moved, "%s-moved", b->dir);
    assert_int_equal(rename(b->dir, moved), 0);
    assert_int_equal(mkdir(b->dir, 0777), 0); /* another one takes its place: none of ours */
    assert_int_equal(reap_daemon(b), 0);
    assert_int_equal(count_files(b, ".", "", false), 0);
}

static void sigterm_ends_it_in_order(void **state) {
    struct bench *b = *state;
    start_daemon(b);
    struct producer p = start_producer(b, HOLDS, 4);
    assert_soon(status_of(b).runs_in_flight == 1);
    kill(b->daemon, SIGTERM);
    assert_int_equal(reap_daemon(b), 0); /* though a producer lives */
    assert_false(exists(b, "daemon.sock"));
    assert_int_equal(runs_on_disk(b), 0);
    start_daemon(b);
    assert_soon(status_of(b).runs_in_flight == 1); /* the next one goes on */
    kill(p.pid, SIGKILL);
    finish_producer(&p);
    assert_soon(runs_on_disk(b) == 1);
}

static void it_refuses_what_is_not_there_or_not_its_own(void **state) {
    struct bench *b = *state;
    struct lt_daemon_options options = {.data_dir = b->dir, .foreground = true};
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/daemon.lock", b->dir);
    assert_int_equal(symlink("/tmp/elsewhere", path), 0);
    assert_int_equal(lt_daemon_run(&options, &b->error), LITMUS_EPERM); /* a link is not followed */
    assert_non_null(strstr(b->error.text, "daemon.lock"));
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/litmus-format", b->dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(fd >= 0 && write(fd, "7\n", 2) == 2);
    close(fd);
    lt_error_clear(&b->error);
    assert_int_equal(lt_daemon_run(&options, &b->error), LITMUS_EVERSION);
    assert_int_equal(unlink(path), 0);
    if (geteuid() == 0 && chown(b->dir, 12345, (gid_t)-1) == 0) {
        lt_error_clear(&b->error);
        assert_int_equal(lt_daemon_run(&options, &b->error), LITMUS_EPERM);
        assert_non_null(strstr(b->error.text, "LITMUS_DAEMON_FOREIGN"));
    }
}

/* ---- sessions that cannot be materialised ---- */
/* A run of 2001, whose date folder cannot be made. */
static void emit_run_of_2001(struct bench *b, const char *run_id) {
    static const char *const types[] = {"run.started", "run.ended"};
    struct litmus_session_options options = {.data_dir = b->dir, .no_daemon = true};
    litmus_session *session = NULL;
    assert_int_equal(litmus_session_open(&options, &session, &b->error), LITMUS_OK);
    for (int i = 0; i < 2; i++) {
        struct litmus_event event = {.event_type = types[i], .run_id = run_id, .occurred_at_us = 1000000000000000 + i};
        assert_int_equal(litmus_emit(session, &event, NULL, &b->error), LITMUS_OK);
    }
    assert_int_not_equal(litmus_session_close(session, NULL, NULL), LITMUS_OK); /* it fares no better */
}

static void a_poisoned_run_blocks_no_other_and_is_listed(void **state) {
    struct bench *b = *state;
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/runs", b->dir);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(path, sizeof path, "%s/runs/2001-09-09", b->dir);
    close(open(path, O_WRONLY | O_CREAT, 0666));
    emit_run_of_2001(b, "aaaaaaaa-1111-4111-8111-111111111111");
    start_daemon(b);
    assert_soon(status_of(b).failed == 1);
    struct producer p = start_producer(b, WHOLE, 2);
    assert_int_equal(finish_producer(&p), 0);
    assert_int_equal(runs_on_disk(b), 1);
    struct lt_daemon_status status = status_of(b);
    assert_int_equal(status.failed, 1);
    assert_int_equal(status.failure_count, 1);
    assert_non_null(strstr(status.failures[0].text, "2001-09-09")); /* what is in the way */
    assert_int_equal(strlen(status.failures[0].session_id), 36);
    setenv("LITMUS_DAEMON_IDLE", "0.3", 1);
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK);
    reap_daemon(b);
    start_daemon(b);
    assert_soon(status_of(b).failed == 1 || b->daemon == 0);
    assert_int_equal(reap_daemon(b), 0); /* nor does it keep a daemon alive */
    assert_int_equal(unlink(path), 0);   /* mended: the next start tries again */
    start_daemon(b);
    assert_soon(runs_on_disk(b) == 2);
}

static void a_session_that_ended_daemons_is_left_alone(void **state) {
    struct bench *b = *state;
    char path[PATH_MAX + 64], line[LT_HANDS_BYTES + 1];
    struct producer p = start_producer(b, EXITS_AFTER_RUN, 2);
    finish_producer(&p);
    snprintf(path, sizeof path, "%s/daemon.lock", b->dir);
    int fd = open(path, O_RDWR | O_CREAT, 0666);
    assert_true(fd >= 0);
    struct lt_hands hands;
    for (int i = 0; i < LT_HANDS_TIMES_MAX; i++) { /* three daemons, each ended with it in hand */
        lt_hands_open(&hands, fd);
        assert_int_equal(i == 0 ? 0 : hands.suspects[0].times, i);
        lt_hands_take(&hands, 1, p.session);
    }
    assert_int_equal(pread(fd, line, LT_HANDS_BYTES, 2 * LT_HANDS_BYTES), LT_HANDS_BYTES);
    assert_memory_equal(line, "working ", 8);
    close(fd);
    assert_int_equal(lt_hands_pid(path), getpid());
    start_daemon(b);
    assert_soon(status_of(b).failed == 1);
    struct producer other = start_producer(b, WHOLE, 2);
    assert_int_equal(finish_producer(&other), 0);
    nap_ms(300);
    assert_int_equal(runs_on_disk(b), 1);
    assert_true(lt_daemon_wait_run(b->dir, p.session, p.run, PATIENCE_MS, NULL)); /* who asks for it gets it tried */
    assert_int_equal(runs_on_disk(b), 2);
    assert_soon(status_of(b).failed == 0);
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK);
    reap_daemon(b);
    fd = open(path, O_RDWR);
    lt_hands_open(&hands, fd);
    assert_string_equal(hands.suspects[0].session, ""); /* absolved */
    close(fd);
}

/* pytest-xdist: a worker writes run.started and is gone before the controller ends the run. */
static void a_run_outlives_the_process_that_started_it(void **state) {
    struct bench *b = *state;
    const char *run_id = "aaaaaaaa-2222-4222-8222-222222222222";
    start_daemon(b);
    struct litmus_session_options options = {.data_dir = b->dir, .no_daemon = true};
    litmus_session *controller = NULL;
    assert_int_equal(litmus_session_open(&options, &controller, &b->error), LITMUS_OK);
    char payload[64];
    snprintf(payload, sizeof payload, "{\"pid\":%ld}", (long)getpid());
    for (int i = 0; i < 2; i++) {
        pid_t worker = fork();
        if (worker == 0) {
            struct litmus_session_options joined = {.data_dir = b->dir, .session_id = litmus_session_id(controller), .joined = true};
            litmus_session *session = NULL;
            struct litmus_event event = {.event_type = i == 0 ? "run.started" : "diagnostic.warning", .run_id = run_id, .payload = i == 0 ? payload : NULL};
            int code = litmus_session_open(&joined, &session, NULL);
            if (code == LITMUS_OK) code = litmus_emit(session, &event, NULL, NULL);
            if (code == LITMUS_OK && i == 0) code = litmus_session_close(session, NULL, NULL);
            if (i == 1) kill(getpid(), SIGKILL);
            _exit(code);
        }
        assert_int_equal(waitpid(worker, NULL, 0), worker);
        assert_soon(status_of(b).runs_in_flight == 1);
        nap_ms(300);
        assert_int_equal(runs_on_disk(b), 0);
        assert_int_equal(status_of(b).failed, 0);
    }
    struct litmus_event event = {.event_type = "run.ended", .run_id = run_id, .payload = "{\"outcome\":\"passed\"}"};
    assert_int_equal(litmus_emit(controller, &event, NULL, &b->error), LITMUS_OK);
    assert_true(lt_daemon_wait_run(b->dir, litmus_session_id(controller), run_id, PATIENCE_MS, NULL));
    assert_int_equal(runs_on_disk(b), 1);
    assert_int_equal(litmus_session_close(controller, NULL, &b->error), LITMUS_OK);
    assert_soon(status_of(b).logs_watched == 0);
    assert_int_equal(status_of(b).failed, 0);
}

/* What is left to tell of the session's one run, -1: nothing is told of it. */
static int64_t late_events(const struct bench *b, const char *session_id) {
    struct lt_gathering session;
    int64_t late = -1;
    if (lt_gather_session(b->dir, session_id, NULL, &session, NULL) == LITMUS_OK && session.run_count == 1 && session.runs[0]->materialized)
        late = session.runs[0]->late;
    lt_gathering_release(&session);
    return late;
}

/* A process that emits, says the id of its session, and waits to be killed. */
static pid_t start_controller(const struct bench *b, const char *run_id, char session_id[64]) {
    int told[2];
    assert_int_equal(pipe(told), 0);
    pid_t controller = fork();
    if (controller == 0) {
        struct litmus_session_options options = {.data_dir = b->dir, .no_daemon = true};
        litmus_session *session = NULL;
        char payload[64], id[64];
        snprintf(payload, sizeof payload, "{\"pid\":%ld}", (long)getpid());
        struct litmus_event event = {.event_type = "run.started", .run_id = run_id, .payload = payload};
        if (litmus_session_open(&options, &session, NULL) != LITMUS_OK || litmus_emit(session, &event, NULL, NULL) != LITMUS_OK) _exit(1);
        snprintf(id, sizeof id, "%s", litmus_session_id(session));
        if (write(told[1], id, sizeof id) != sizeof id) _exit(1);
        for (;;) pause();
    }
    assert_int_equal(read(told[0], session_id, 64), 64);
    close(told[0]);
    close(told[1]);
    return controller;
}

static void join_and_say(const struct bench *b, const char *session_id, const char *run_id, const char *type, litmus_session **worker) {
    struct litmus_session_options joined = {.data_dir = b->dir, .session_id = session_id, .joined = true};
    struct litmus_event event = {.event_type = type, .run_id = run_id, .payload = "{\"step_name\":\"a\",\"step_path\":\"a\",\"step_index\":0}"};
    if (*worker == NULL) assert_int_equal(litmus_session_open(&joined, worker, NULL), LITMUS_OK);
    assert_int_equal(litmus_emit(*worker, &event, NULL, NULL), LITMUS_OK);
}

/* The controller of pytest-xdist is killed while a worker is in a test, which ends when the run has its file. Then another process comes, when
 * nothing of the session is followed any more. */
static void what_is_told_after_a_death_comes_in(void **state) {
    struct bench *b = *state;
    const char *run_id = "aaaaaaaa-3333-4333-8333-333333333333";
    char session_id[64];
    litmus_session *worker = NULL;
    start_daemon(b);
    pid_t controller = start_controller(b, run_id, session_id);
    join_and_say(b, session_id, run_id, "test.step_started", &worker);
    assert_soon(status_of(b).logs_watched == 2);
    kill(controller, SIGKILL);
    assert_int_equal(waitpid(controller, NULL, 0), controller);
    assert_soon(runs_on_disk(b) == 1 && late_events(b, session_id) == 0);
    for (int i = 0; i < 2; i++) {
        join_and_say(b, session_id, run_id, i == 0 ? "test.step_ended" : "test.step_started", &worker);
        if (i == 0) assert_int_equal(late_events(b, session_id), 1);
        assert_int_equal(litmus_session_close(worker, NULL, &b->error), LITMUS_OK);
        worker = NULL;
        assert_soon(late_events(b, session_id) == 0);
        assert_soon(status_of(b).logs_watched == 0);
    }
    assert_int_equal(runs_on_disk(b), 1);
    assert_int_equal(status_of(b).failed, 0);
}

static void foreign_things_in_events_do_no_harm(void **state) {
    struct bench *b = *state;
    char path[PATH_MAX + 128];
    static const char *const folders[] = {"events", "events/2026-05-16", "events/no date at all", "events/2026-05-16/a.arrow"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", b->dir, folders[i]);
        assert_int_equal(mkdir(path, 0777), 0);
    }
    static const char *const links[] = {"events/2026-05-17", "events/2026-05-16/link.arrow"};
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", b->dir, links[i]);
        assert_int_equal(symlink("/etc", path), 0);
    }
    static const char *const files[] = {"events/2026-05-16/zeros.arrow", "events/2026-05-16/12345678-1234-4123-8123-123456789abc-7.arrow",
                                        "events/2026-05-16/.arrow", "events/2026-05-16/-1.arrow", "events/2026-05-16/x\n.arrow"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", b->dir, files[i]);
        int fd = open(path, O_WRONLY | O_CREAT, 0666);
        assert_true(fd >= 0);
        char junk[4096] = {0};
        if (i == 1) memset(junk, 'A', sizeof junk);
        assert_int_equal(write(fd, junk, sizeof junk), sizeof junk);
        close(fd);
    }
    snprintf(path, sizeof path, "%s/events/2026-05-16/pipe.arrow", b->dir);
    assert_int_equal(mkfifo(path, 0666), 0);
    start_daemon(b);
    nap_ms(2500);
    struct producer p = start_producer(b, WHOLE, 2);
    assert_int_equal(finish_producer(&p), 0);
    assert_int_equal(runs_on_disk(b), 1);
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK);
    assert_int_equal(reap_daemon(b), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)
        TEST(a_finished_run_has_its_file_when_the_producer_returns),
        TEST(nobody_waits_for_a_stopped_daemon),
        TEST(a_daemon_that_hangs_is_not_waited_for_a_minute),
        TEST(who_takes_the_place_of_a_daemon_that_leaves_is_asked_too),
        TEST(a_dead_producers_run_is_on_record_within_a_second),
        TEST(a_session_closed_with_its_run_open_ends_it_as_aborted),
        TEST(a_silent_producer_lives_and_keeps_the_daemon),
        TEST(what_happened_without_a_daemon_is_done_by_the_next),
        TEST(a_killed_daemon_loses_nothing_and_doubles_nothing),
        TEST(the_cache_of_settled_logs_is_disposable),
        TEST(without_word_from_the_system_it_looks_itself),
        TEST(one_daemon_a_data_dir),
        TEST(it_leaves_when_the_data_dir_does),
        TEST(sigterm_ends_it_in_order),
        TEST(it_refuses_what_is_not_there_or_not_its_own),
        TEST(a_poisoned_run_blocks_no_other_and_is_listed),
        TEST(a_session_that_ended_daemons_is_left_alone),
        TEST(a_run_outlives_the_process_that_started_it),
        TEST(what_is_told_after_a_death_comes_in),
        TEST(foreign_things_in_events_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
