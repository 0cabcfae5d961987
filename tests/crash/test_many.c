/* SPDX-License-Identifier: Apache-2.0
 *
 * Many at once in one data_dir: producers that all write, runs that all go on, forks in the middle of
 * runs, a clock that steps back. Each event is on record once, in its producer's order, in its own
 * run; each run's file has its rows and no other's. Small in a test run, full size in `make soak`.
 */
#define _GNU_SOURCE
#include "../unit/daemon_helper.h"
#include "soak.h"

#include "log/log.h"
#include "materialize/materialize.h"
#include "materialize/parquet.h"

#include <math.h>
#include <stdatomic.h>
#include <sys/syscall.h>

/* The clock of this program: the wall clock, put back by so much. */
static _Atomic int64_t clock_back_s;
int clock_gettime(clockid_t clock, struct timespec *now) {
    int code = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec -= (time_t)atomic_load(&clock_back_s);
    return code;
}

/* ---- events: a number each, from `who` ---- */

static void emit_number(litmus_session *session, int who, int n) {
    char payload[64];
    snprintf(payload, sizeof payload, "{\"who\":%d,\"n\":%d}", who, n);
    struct litmus_event event = {.event_type = "vendor.count", .payload = payload};
    if (litmus_emit(session, &event, NULL, NULL) != LITMUS_OK) _exit(3);
}

static litmus_session *open_session(const struct bench *b, const char *join) {
    struct litmus_session_options options = {.data_dir = b->dir, .session_id = join, .joined = join != NULL, .no_daemon = true};
    struct litmus_error error = {0};
    litmus_session *session;
    if (litmus_session_open(&options, &session, &error) != LITMUS_OK) {
        dprintf(STDERR_FILENO, "%s\n", error.text);
        _exit(2);
    }
    return session;
}

/* Every log reads clean and proved; of each `who` the numbers 0 to `each` - 1, in order, in one file. */
static void check_numbers(const struct bench *b, int whos, int each) {
    int *next = calloc((size_t)whos, sizeof *next), who, n;
    struct lt_log_list list;
    assert_int_equal(lt_log_find(b->dir, NULL, &list, NULL), LITMUS_OK);
    for (size_t i = 0; i < list.count; i++) {
        struct lt_log_reader *reader = NULL;
        struct lt_row row;
        enum lt_log_status status;
        assert_int_equal(lt_log_reader_open(list.files[i].path, &reader, NULL), LITMUS_OK);
        lt_log_reader_check_chain(reader);
        while ((status = lt_log_next(reader, &row, NULL)) == LT_LOG_EVENT) {
            char json[2048];
            snprintf(json, sizeof json, "%.*s", LT_STR_ARG(row.json));
            const char *own = strstr(json, "\"who\":");
            if (own == NULL) continue;
            assert_int_equal(sscanf(own, "\"who\":%d,\"n\":%d", &who, &n), 2);
            assert_in_range(who, 0, whos - 1);
            assert_int_equal(n, next[who]);
            next[who]++;
        }
        assert_int_equal(status, LT_LOG_SEALED);
        assert_true(lt_log_reader_chain_ok(reader));
        lt_log_reader_free(reader);
    }
    lt_log_list_release(&list);
    for (int i = 0; i < whos; i++) assert_int_equal(next[i], each);
    free(next);
}

static void reap_all(const pid_t *pids, int count) {
    for (int i = 0; i < count; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
}

static void many_producers(void **state) {
    struct bench *b = *state;
    enum { PRODUCERS_MAX = 64 };
    pid_t pids[PRODUCERS_MAX];
    int producers = soak_size(8, PRODUCERS_MAX), each = soak_size(150, 2000);
    litmus_session *shared = open_session(b, NULL); /* half of them are workers of one session */
    const char *session_id = litmus_session_id(shared);
    for (int i = 0; i < producers; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] > 0) continue;
        litmus_session *session = open_session(b, i % 2 == 0 ? session_id : NULL);
        for (int n = 0; n < each; n++) emit_number(session, i, n);
        _exit(litmus_session_close(session, NULL, NULL));
    }
    reap_all(pids, producers);
    assert_int_equal(litmus_session_close(shared, NULL, NULL), LITMUS_OK);
    check_numbers(b, producers, each);
    soak_figure("producer processes at once", producers);
    soak_figure("events of each", each);
}

/* The parent records, forks, and both go on: the child's events are in a file of its own. */
static void forks_in_the_middle(void **state) {
    struct bench *b = *state;
    enum { CHILDREN = 6 };
    pid_t pids[CHILDREN];
    int each = soak_size(60, 2000), own = 0;
    litmus_session *session = open_session(b, NULL);
    for (int i = 0; i < CHILDREN; i++) {
        for (int n = 0; n < each / CHILDREN; n++) emit_number(session, 0, own++);
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] > 0) continue;
        for (int n = 0; n < each / CHILDREN * CHILDREN; n++) emit_number(session, 1 + i, n);
        _exit(litmus_session_close(session, NULL, NULL));
    }
    reap_all(pids, CHILDREN);
    assert_int_equal(litmus_session_close(session, NULL, NULL), LITMUS_OK);
    check_numbers(b, 1 + CHILDREN, each / CHILDREN * CHILDREN);
}

/* ---- runs ---- */

/* Run number `n` has n % 7 + 3 steps, named and measured by its number. */
static int steps_of(int n) {
    return n % 7 + 3;
}

static litmus_run *start_run(litmus_session *session, int n) {
    char payload[64];
    litmus_run *run;
    snprintf(payload, sizeof payload, "{\"dut_serial\":\"SN%d\"}", n);
    if (litmus_run_start(session, payload, &run, NULL) != LITMUS_OK) _exit(4);
    for (int i = 0; i < steps_of(n); i++) {
        snprintf(payload, sizeof payload, "run%d/step_%d", n, i);
        if (litmus_plan_add(run, payload, NULL, NULL) != LITMUS_OK) _exit(5);
    }
    if (litmus_plan_commit(run, NULL) != LITMUS_OK) _exit(6);
    return run;
}

static void do_step(litmus_run *run, int n, int step) {
    if (litmus_step_start(run, step, NULL, NULL) != LITMUS_OK || litmus_measure(run, "value", n, NULL, NULL, NULL) != LITMUS_OK ||
        litmus_step_end(run, step % 2 == 0 ? "passed" : "failed", NULL, NULL) != LITMUS_OK)
        _exit(7);
}

/* Each file has one run's rows: its steps in order with their outcomes, its measurements. */
static void check_run_file(const char *path, int *seen, int runs) {
    struct lt_table table;
    struct litmus_error error = {0};
    char text[64];
    int n = -1, steps = 0, measurements = 0;
    if (lt_parquet_read(path, NULL, 0, &table, &error) != LITMUS_OK) fail_msg("%s", error.text);
    int64_t kind = lt_table_find(&table, "record_type"), serial = lt_table_find(&table, "dut_serial"), step_path = lt_table_find(&table, "step_path");
    snprintf(text, sizeof text, "%.*s", LT_STR_ARG(lt_table_str(&table, serial, 0)));
    assert_int_equal(sscanf(text, "SN%d", &n), 1);
    assert_in_range(n, 0, runs - 1);
    seen[n]++;
    for (int64_t row = 1; row < lt_table_rows(&table); row++) {
        bool step = lt_str_eq(lt_table_str(&table, kind, row), LT_STR("step"));
        double value = -1;
        snprintf(text, sizeof text, "run%d/step_%d", n, step ? steps : measurements);
        assert_true(lt_str_eq(lt_table_str(&table, step_path, row), lt_str_of(text)));
        struct lt_str outcome = lt_table_str(&table, lt_table_find(&table, "step_outcome"), row);
        if (step) assert_true(lt_str_eq(outcome, steps % 2 == 0 ? LT_STR("passed") : LT_STR("failed")));
        else assert_true(lt_table_real(&table, lt_table_find(&table, "measurement_value"), row, &value) && value == n);
        steps += step;
        measurements += !step;
    }
    assert_int_equal(steps, steps_of(n));
    assert_int_equal(measurements, steps_of(n));
    lt_table_release(&table);
}

struct files {
    int *seen, runs, count;
};
static void take_file(void *self, const struct lt_materialized *done) {
    struct files *files = self;
    check_run_file(done->path, files->seen, files->runs);
    files->count++;
}

static void check_runs(const struct bench *b, int runs) {
    struct files files = {.seen = calloc((size_t)runs, sizeof(int)), .runs = runs};
    struct lt_materializer *m = NULL;
    struct lt_log_list list;
    struct litmus_error error = {0};
    assert_int_equal(lt_materializer_new(b->dir, NULL, &m, &error), LITMUS_OK);
    assert_int_equal(lt_log_find(b->dir, NULL, &list, &error), LITMUS_OK);
    for (size_t i = 0; i < list.count; i++) {
        bool met = false; /* a session's logs may lie in the folders of several days */
        for (size_t k = 0; k < i; k++) met = met || strcmp(list.files[i].session, list.files[k].session) == 0;
        if (met) continue;
        if (lt_materialize_session(m, list.files[i].session, take_file, &files, &error) != LITMUS_OK) fail_msg("%s", error.text);
    }
    for (int n = 0; n < runs; n++) assert_int_equal(files.seen[n], 1);
    assert_int_equal(runs_on_disk(b), runs);
    lt_log_list_release(&list);
    lt_materializer_free(m);
    free(files.seen);
}

/* Processes of ten runs each that take turns, step by step; a daemon writes while they go on. */
static void many_runs(void **state) {
    struct bench *b = *state;
    enum { RUNS_EACH = 10, PROCESSES_MAX = 20 };
    pid_t pids[PROCESSES_MAX];
    int processes = soak_size(4, PROCESSES_MAX);
    start_daemon(b);
    for (int p = 0; p < processes; p++) {
        pids[p] = fork();
        assert_true(pids[p] >= 0);
        if (pids[p] > 0) continue;
        struct litmus_session_options options = {.data_dir = b->dir, .daemon_exe = "/bin/true"};
        litmus_session *session;
        litmus_run *runs[RUNS_EACH];
        if (litmus_session_open(&options, &session, NULL) != LITMUS_OK) _exit(2);
        for (int r = 0; r < RUNS_EACH; r++) runs[r] = start_run(session, p * RUNS_EACH + r);
        for (int step = 0; step < 9; step++)
            for (int r = 0; r < RUNS_EACH; r++)
                if (step < steps_of(p * RUNS_EACH + r)) do_step(runs[r], p * RUNS_EACH + r, step);
        for (int r = 0; r < RUNS_EACH; r++)
            if (litmus_run_end(runs[r], NULL, NULL, NULL) != LITMUS_OK) _exit(8);
        _exit(litmus_session_close(session, NULL, NULL));
    }
    reap_all(pids, processes);
    check_runs(b, processes * RUNS_EACH);
    assert_int_equal(status_of(b).failed, 0);
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK);
    assert_int_equal(reap_daemon(b), 0);
    soak_figure("runs at once", processes * RUNS_EACH);
}

/* The wall clock goes back by an hour, then a day, in the middle of a run: the order of the file counts. */
static void a_clock_that_steps_back(void **state) {
    struct bench *b = *state;
    int runs = soak_size(4, 100);
    for (int n = 0; n < runs; n++) {
        atomic_store(&clock_back_s, 0);
        litmus_session *session = open_session(b, NULL);
        litmus_run *run = start_run(session, n);
        for (int step = 0; step < steps_of(n); step++) {
            do_step(run, n, step);
            atomic_store(&clock_back_s, step == 0 ? 3600 : (int64_t)soak_draw(90000));
        }
        assert_int_equal(litmus_run_end(run, NULL, NULL, NULL), LITMUS_OK);
        assert_int_equal(litmus_session_close(session, NULL, NULL), LITMUS_OK);
    }
    atomic_store(&clock_back_s, 0);
    check_runs(b, runs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_producers, bench_set_up, bench_tear_down),
        cmocka_unit_test_setup_teardown(forks_in_the_middle, bench_set_up, bench_tear_down),
        cmocka_unit_test_setup_teardown(many_runs, bench_set_up, bench_tear_down),
        cmocka_unit_test_setup_teardown(a_clock_that_steps_back, bench_set_up, bench_tear_down),
    };
    return cmocka_run_group_tests_name("many", tests, NULL, NULL);
}
