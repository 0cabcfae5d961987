/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's socket against peers of every kind, and how a daemon is started.
 */
#include "daemon_helper.h"

#include <poll.h>
#include <sys/socket.h>

static int dial(const struct bench *b) {
    int fd = lt_socket_connect(b->dir, "daemon.sock");
    assert_true(fd >= 0);
    return fd;
}

static void say(int fd, const char *text, size_t n) {
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), n);
}

/* What comes up to `lines` ends of line, or until the other side hangs up. */
static const char *hear(int fd, int lines) {
    static char text[64 * 1024];
    size_t n = 0;
    text[0] = '\0';
    for (int seen = 0; seen < lines && n < sizeof text - 1;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, PATIENCE_MS) <= 0) break;
        ssize_t got = recv(fd, text + n, sizeof text - 1 - n, MSG_DONTWAIT);
        if (got <= 0) break;
        for (ssize_t i = 0; i < got; i++) seen += text[n + (size_t)i] == '\n';
        text[n += (size_t)got] = '\0';
    }
    return text;
}

static void it_answers_line_by_line(void **state) {
    struct bench *b = *state;
    start_daemon(b);
    int fd = dial(b);
    say(fd, "status\nstatus\r\nwhat?\n", 21);
    const char *text = hear(fd, 3);
    assert_memory_equal(text, "{\"pid\":", 7);
    assert_non_null(strstr(text, "}\n{\"pid\":"));
    assert_non_null(strstr(text, "}\nerror "));
    for (const char *p = "status\n"; *p != '\0'; p++) { /* a byte at a time */
        say(fd, p, 1);
        nap_ms(1);
    }
    assert_memory_equal(hear(fd, 1), "{\"pid\":", 7);
    say(fd, "wait a\n", 7);
    assert_memory_equal(hear(fd, 1), "error ", 6);
    say(fd, "wait a b c\n", 11);
    assert_memory_equal(hear(fd, 1), "error ", 6);
    say(fd, "wait nosuch nosuch\nstatus\n", 26); /* the second has to wait for the first */
    text = hear(fd, 2);
    assert_memory_equal(text, "failed ", 7);
    assert_non_null(strstr(text, "\n{\"pid\":"));
    close(fd);
}

static void who_waits_is_answered_when_the_run_is_there(void **state) {
    struct bench *b = *state;
    start_daemon(b);
    struct producer p = start_producer(b, HOLDS, 4);
    char line[200];
    int n = snprintf(line, sizeof line, "wait %s %s\n", p.session, p.run);
    int fd[5];
    for (int i = 0; i < 5; i++) {
        fd[i] = dial(b);
        say(fd[i], line, (size_t)n);
    }
    close(fd[4]); /* lost patience */
    nap_ms(50);
    kill(p.pid, SIGKILL);
    finish_producer(&p);
    for (int i = 0; i < 4; i++) {
        const char *text = hear(fd[i], 1);
        assert_memory_equal(text, "done", 4);
        close(fd[i]);
    }
    assert_int_equal(runs_on_disk(b), 1);
    assert_true(status_of(b).running);
}

static void hostile_peers_do_no_harm(void **state) {
    struct bench *b = *state;
    start_daemon(b);
    char junk[4096];
    memset(junk, 'x', sizeof junk);
    int fd = dial(b);
    (void)!send(fd, junk, sizeof junk, MSG_NOSIGNAL | MSG_DONTWAIT);
    assert_memory_equal(hear(fd, 1), "error the line is too long", 26);
    assert_string_equal(hear(fd, 1), ""); /* hung up */
    close(fd);
    fd = dial(b);
    memset(junk, 0, sizeof junk);
    (void)!send(fd, junk, sizeof junk, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
    fd = dial(b); /* asks without end and never listens */
    for (int i = 0; i < 20000; i++) {
        if (send(fd, "status\n", 7, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN) break;
    }
    int crowd[300];
    for (int i = 0; i < 300; i++) crowd[i] = lt_socket_connect(b->dir, "daemon.sock"); /* more than it takes; some wait in the queue */
    struct producer p = start_producer(b, WHOLE, 2);
    finish_producer(&p); /* with or without the daemon's answer */
    assert_int_equal(runs_on_disk(b), 1);
    for (int i = 0; i < 300; i++) {
        if (crowd[i] >= 0) close(crowd[i]);
    }
    close(fd);
    assert_soon(status_of(b).uptime_us > 0);
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK);
    assert_int_equal(reap_daemon(b), 0);
}

static void the_socket_is_for_its_user_alone(void **state) {
    struct bench *b = *state;
    start_daemon(b);
    char path[PATH_MAX + 64];
    struct stat st;
    snprintf(path, sizeof path, "%s/daemon.sock", b->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    if (geteuid() != 0) skip();
    assert_int_equal(chmod(path, 0666), 0);
    pid_t other = fork();
    if (other == 0) {
        (void)!setgid(65534);
        (void)!setuid(65534);
        int fd = lt_socket_connect(b->dir, "daemon.sock");
        _exit(fd < 0 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(status, 0);
    assert_true(status_of(b).running);
}

static void a_deep_data_dir_has_a_socket_too(void **state) {
    struct bench *b = *state;
    for (int i = 0; i < 6; i++) {
        size_t n = strlen(b->dir);
        snprintf(b->dir + n, sizeof b->dir - n, "/a_folder_with_a_name_of_forty_characters");
    }
    assert_int_equal(lt_io_mkdirs(&lt_io_os, b->dir, &b->error), LITMUS_OK);
    start_daemon(b);
    struct producer p = start_producer(b, WHOLE, 2);
    assert_int_equal(finish_producer(&p), 0);
    assert_int_equal(runs_on_disk(b), 1);
    assert_soon(status_of(b).materialized == 1); /* the answer may come before the job is booked */
}

/* ---- starting ---- */
static void a_detached_child_has_nothing_of_ours(void **state) {
    struct bench *b = *state;
    char out[PATH_MAX + 64], script[] = "(ls -l /proc/self/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status; echo \"recording=$LITMUS_RECORDING\") >\"$OUT\" 2>&1";
    snprintf(out, sizeof out, "%s/out", b->dir);
    int ends[2];
    assert_int_equal(pipe(ends), 0); /* not close-on-exec */
    sigset_t set, before;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, &before);
    struct sigaction ignore = {.sa_handler = SIG_IGN}, was;
    sigaction(SIGINT, &ignore, &was);
    setenv("LITMUS_RECORDING", "1", 1);
    setenv("OUT", out, 1); /* other variables go along */
    char shell[] = "/bin/sh", dash_c[] = "-c";
    char *arguments[] = {shell, dash_c, script, NULL};
    static const char *const without[] = {"LITMUS_RECORDING", NULL};
    int code = lt_spawn_detached("/bin/sh", arguments, without, &b->error);
    sigaction(SIGINT, &was, NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    unsetenv("LITMUS_RECORDING");
    assert_int_equal(code, LITMUS_OK);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child, and no zombie, is left */
    assert_int_equal(errno, ECHILD);
    struct lt_buf text = {0};
    assert_int_equal(lt_io_read_file(out, 10000, &text, &b->error), LITMUS_OK);
    const char *says = lt_buf_cstr(&text);
    assert_null(strstr(says, "pipe:["));
    assert_non_null(strstr(says, "0 -> /dev/null"));
    assert_non_null(strstr(says, "SigBlk:\t0000000000000000"));
    const char *ignored = strstr(says, "SigIgn:\t");
    assert_non_null(ignored);
    assert_int_equal(strtoull(ignored + 8, NULL, 16) & 0x7fffffff, 0); /* the C library keeps 32 and 33 for itself */
    assert_non_null(strstr(says, "recording=\n"));
    lt_buf_release(&text);
    close(ends[0]);
    close(ends[1]);
}

static void what_cannot_start_says_so(void **state) {
    struct bench *b = *state;
    assert_int_equal(lt_daemon_spawn("/no/such/program", b->dir, &b->error), LITMUS_ENOENT);
    assert_non_null(strstr(b->error.text, "/no/such/program"));
    lt_error_clear(&b->error);
    assert_int_equal(lt_daemon_spawn("/bin/false", b->dir, &b->error), LITMUS_EIO);
    assert_non_null(strstr(b->error.text, "/bin/false"));
    lt_error_clear(&b->error);
    start_daemon(b);
    assert_int_equal(lt_daemon_spawn("/bin/false", b->dir, &b->error), LITMUS_OK); /* one runs: none is started */
}

/* The daemon comes up while the caller goes on: from its first event on nothing of that is left. */
static void the_first_event_waits_for_the_daemon(void **state) {
    struct bench *b = *state;
    struct litmus_session_options options = {.data_dir = b->dir, .daemon_exe = "/bin/true"};
    litmus_session *session = NULL;
    for (int emits = 0; emits < 2; emits++) { /* nor when there is no event */
        assert_int_equal(litmus_session_open(&options, &session, &b->error), LITMUS_OK);
        siginfo_t child;
        assert_int_equal(waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT), 0); /* still ours */
        if (emits > 0) {
            assert_int_equal(litmus_emit(session, &(struct litmus_event){.event_type = "own.note"}, NULL, &b->error), LITMUS_OK);
            assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        }
        assert_int_equal(litmus_session_close(session, NULL, &b->error), LITMUS_OK);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
    }
}

static void locks_are_what_counts(void **state) {
    struct bench *b = *state;
    char path[PATH_MAX + 64];
    int first = -1, second = -1;
    snprintf(path, sizeof path, "%s/lock", b->dir);
    assert_false(lt_lock_is_held(path));
    assert_int_equal(lt_lock_take(path, false, &first, &b->error), LITMUS_OK);
    assert_true(lt_lock_is_held(path));
    assert_int_equal(lt_lock_take(path, false, &second, &b->error), LITMUS_EBUSY);
    close(first);
    assert_false(lt_lock_is_held(path));
    lt_error_clear(&b->error);
    assert_int_equal(lt_lock_take(path, false, &second, &b->error), LITMUS_OK); /* the file lay there: it is no lock */
    close(second);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0666), 0);
    assert_int_equal(lt_lock_take(path, false, &second, &b->error), LITMUS_EINVAL); /* and does not hang */
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)
        TEST(it_answers_line_by_line),
        TEST(who_waits_is_answered_when_the_run_is_there),
        TEST(hostile_peers_do_no_harm),
        TEST(the_socket_is_for_its_user_alone),
        TEST(a_deep_data_dir_has_a_socket_too),
        TEST(a_detached_child_has_nothing_of_ours),
        TEST(what_cannot_start_says_so),
        TEST(the_first_event_waits_for_the_daemon),
        TEST(locks_are_what_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
