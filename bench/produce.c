/* SPDX-License-Identifier: Apache-2.0
 *
 * produce.c - a producer of runs, for the figures of the daemon. One session and one run at a time,
 * STEPS planned and executed, MEASURES measurements in each.
 *
 *   produce record  DIR EXE RUNS STEPS MEASURES   sealed logs of finished runs; nobody writes their files
 *   produce latency DIR EXE RUNS STEPS MEASURES   a line a run: microseconds from the call that emits
 *                                                 run.ended to its file being there, and those of the call
 *   produce live    DIR EXE RUNS STEPS MEASURES   whole sessions, one after the other, up to their files
 *   produce hold    DIR EXE RUNS STEPS MEASURES   all runs at once, with every step done: says `held`, goes on
 *                                                 when a line comes, ends them all, says `ended`
 *   produce together DIR EXE RUNS STEPS MEASURES  latency of RUNS runs, one after the other, in one session
 *   produce serve   DIR EXE 0 STEPS MEASURES      one run as in latency for each line that comes
 */
#include <litmus.h>

#include "bench.h"

#include <math.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

struct task {
    const char *mode, *dir, *exe;
    int runs, steps, measures;
};

static struct litmus_error error;

static void must(int code, const char *what) {
    if (code != LITMUS_OK) bench_die(what, error.text);
}

static void emit(litmus_session *session, const char *type) {
    must(litmus_emit(session, &(struct litmus_event){.event_type = type}, NULL, &error), type);
}

static litmus_session *session_open(const struct task *task, bool alone) {
    litmus_session *session;
    /* A joined session is closed without its files being written or waited for. */
    struct litmus_session_options options = {.data_dir = task->dir, .daemon_exe = task->exe, .joined = alone, .no_daemon = alone};
    must(litmus_session_open(&options, &session, &error), "open");
    if (alone) emit(session, "session.started");
    return session;
}

static void session_close(litmus_session *session, bool alone) {
    if (alone) emit(session, "session.ended");
    must(litmus_session_close(session, NULL, &error), "close");
}

/* A run up to its last step. */
static litmus_run *run_steps(const struct task *task, litmus_session *session) {
    static int serial;
    char text[200];
    litmus_run *run;
    snprintf(text, sizeof text, "{\"dut_serial\":\"SN%d-%d\",\"dut_part_number\":\"PSU-5V\",\"station_id\":\"bench\",\"operator_id\":\"jo\"}",
             (int)getpid(), serial++);
    must(litmus_run_start(session, text, &run, &error), "run.started");
    for (int i = 0; i < task->steps; i++) {
        snprintf(text, sizeof text, "tests/test_power_%d.py/TestRails/test_step_%d", i / 20, i);
        must(litmus_plan_add(run, text, NULL, &error), "plan");
    }
    must(litmus_plan_commit(run, &error), "test.steps_discovered");
    struct litmus_limit limit = {.low = 4.75, .high = 5.25, .nominal = NAN, .units = "V"};
    for (int i = 0; i < task->steps; i++) {
        must(litmus_step_start(run, i, NULL, &error), "test.step_started");
        for (int m = 0; m < task->measures; m++) {
            snprintf(text, sizeof text, "voltage_%d", m);
            must(litmus_measure(run, text, 4.8 + (i * 7 + m) % 40 / 100.0, &limit, NULL, &error), "test.measurement");
        }
        must(litmus_step_end(run, task->measures == 0 ? "passed" : NULL, NULL, &error), "test.step_ended");
    }
    return run;
}

static void record(const struct task *task) {
    for (int i = 0; i < task->runs; i++) {
        litmus_session *session = session_open(task, true);
        must(litmus_run_end(run_steps(task, session), NULL, NULL, &error), "run.ended");
        session_close(session, true);
    }
}

static void live(const struct task *task) {
    for (int i = 0; i < task->runs; i++) {
        litmus_session *session = session_open(task, false);
        must(litmus_run_end(run_steps(task, session), NULL, NULL, &error), "run.ended");
        session_close(session, false);
    }
}

/* Watches the folder of today's runs, which it makes if need be. */
static int watch_today(const struct task *task) {
    char path[4200];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    snprintf(path, sizeof path, "%s/runs", task->dir);
    mkdir(path, 0777);
    int n = snprintf(path, sizeof path, "%s/runs/", task->dir);
    strftime(path + n, sizeof path - (size_t)n, "%Y-%m-%d", &utc);
    mkdir(path, 0777);
    int fd = inotify_init1(IN_CLOEXEC);
    if (fd < 0 || inotify_add_watch(fd, path, IN_CREATE | IN_MOVED_TO) < 0) bench_die("inotify", strerror(errno));
    return fd;
}

/* Waits until a visible name that ends in .parquet comes up. */
static void wait_for_file(int fd) {
    _Alignas(struct inotify_event) char events[4096];
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, 10000) <= 0) bench_die("latency", "no Parquet file within 10 s");
        ssize_t n = read(fd, events, sizeof events);
        for (char *p = events; n > 0 && p < events + n;) {
            struct inotify_event *event = (struct inotify_event *)p;
            size_t length = event->len == 0 ? 0 : strlen(event->name);
            if (length > 8 && event->name[0] != '.' && strcmp(event->name + length - 8, ".parquet") == 0) return;
            p += sizeof *event + event->len;
        }
    }
}

static void one_latency(const struct task *task, litmus_session *session, int watch) {
    litmus_run *run = run_steps(task, session);
    usleep(20000); /* the daemon has seen all but the end */
    double start = bench_now_us();
    must(litmus_run_end(run, NULL, NULL, &error), "run.ended");
    double emitted = bench_now_us();
    wait_for_file(watch);
    printf("%.1f %.1f\n", bench_now_us() - start, emitted - start);
    fflush(stdout);
}

static void one_session(const struct task *task, int watch) {
    litmus_session *session = session_open(task, false);
    one_latency(task, session, watch);
    session_close(session, false);
}

static void latency(const struct task *task) {
    int watch = watch_today(task);
    for (int i = 0; i < task->runs; i++) one_session(task, watch);
}

static void together(const struct task *task) {
    int watch = watch_today(task);
    litmus_session *session = session_open(task, false);
    for (int i = 0; i < task->runs; i++) one_latency(task, session, watch);
    session_close(session, false);
}

static void serve(const struct task *task) {
    char line[100];
    int watch = watch_today(task);
    while (fgets(line, sizeof line, stdin) != NULL) one_session(task, watch);
}

static void hold(const struct task *task) {
    char line[100];
    litmus_session **sessions = calloc((size_t)task->runs, sizeof *sessions);
    litmus_run **runs = calloc((size_t)task->runs, sizeof *runs);
    if (sessions == NULL || runs == NULL) bench_die("memory", "out of it");
    for (int i = 0; i < task->runs; i++) {
        sessions[i] = session_open(task, false);
        runs[i] = run_steps(task, sessions[i]);
    }
    puts("held");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) return;
    for (int i = 0; i < task->runs; i++) must(litmus_run_end(runs[i], NULL, NULL, &error), "run.ended");
    for (int i = 0; i < task->runs; i++) session_close(sessions[i], false);
    puts("ended");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) return;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*go)(const struct task *task);
    } modes[] = {{"record", record}, {"latency", latency}, {"live", live}, {"hold", hold}, {"serve", serve}, {"together", together}};
    if (argc != 7) bench_die("usage", "produce record|latency|live|hold|serve|together DIR EXE RUNS STEPS MEASURES");
    struct task task = {argv[1], argv[2], argv[3], bench_number(argv[4]), bench_number(argv[5]), bench_number(argv[6])};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(modes[i].name, task.mode) != 0) continue;
        modes[i].go(&task);
        return 0;
    }
    bench_die("no such mode", task.mode);
}
