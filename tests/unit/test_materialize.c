/* SPDX-License-Identifier: Apache-2.0
 *
 * From logs to files: what a session's logs give, however its producers ended, and that it is the
 * same the second time.
 */
#include "materialize/materialize.h"
#include "base/clock.h"
#include "materialize/own_log.h"
#include "materialize/parquet.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SESSION "22222222-2222-4222-8222-222222222222"
#define RUN_A "aaaaaaaa-1111-4111-8111-111111111111"
#define RUN_B "aaaaaaaa-2222-4222-8222-222222222222"
#define RUN_LIKE_B "aaaaaaaa-3333-4333-8333-333333333333" /* the same first eight characters */
#define T0 INT64_C(1778941800000000) /* 2026-05-16T14:30:00Z */

struct bench {
    char dir[256];
    struct litmus_error error;
    struct lt_materialized done[8];
    int done_count;
};

static int set_up(void **state) {
    struct bench *b = calloc(1, sizeof *b);
    const char *tmp = getenv("TMPDIR");
    snprintf(b->dir, sizeof b->dir, "%s/litmus-mat-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    *state = b;
    return mkdtemp(b->dir) == NULL;
}

static int tear_down(void **state) {
    free(*state);
    return 0;
}

static void on_done(void *self, const struct lt_materialized *done) {
    struct bench *b = self;
    assert_true(b->done_count < 8);
    b->done[b->done_count++] = *done;
}

/* One event into a log; `second` after T0. */
static void say(struct lt_own_log *log, const char *type, const char *run, int second, const char *payload) {
    struct litmus_error error = {0};
    struct litmus_event event = {.event_type = type, .run_id = run, .payload = payload, .occurred_at_us = T0 + second * INT64_C(1000000)};
    if (lt_own_log_emit(log, &event, NULL, &error) != LITMUS_OK) fail_msg("%s", error.text);
}

static void start_run(struct lt_own_log *log, const char *run, const char *serial) {
    char payload[64];
    snprintf(payload, sizeof payload, "{\"dut_serial\":\"%s\"}", serial);
    say(log, "run.started", run, 0, payload);
    say(log, "test.steps_discovered", run, 1,
        "{\"items\":[{\"node_id\":\"a\",\"step_path\":\"f/a\",\"vector_index\":0,\"step_index\":0},"
        "{\"node_id\":\"b\",\"step_path\":\"f/b\",\"vector_index\":0,\"step_index\":1},"
        "{\"node_id\":\"c\",\"step_path\":\"f/c\",\"vector_index\":0,\"step_index\":2}]}");
}

#define STEP(name, more) "{\"step_name\":\"" name "\",\"step_index\":0,\"step_path\":\"f/" name "\"" more "}"

static void run_step_a(struct lt_own_log *log, const char *run) {
    say(log, "test.step_started", run, 2, STEP("a", ""));
    say(log, "test.step_ended", run, 3, STEP("a", ",\"vector_outcome\":\"passed\""));
}

static void materialize(struct bench *b, const char *session) {
    struct lt_materializer *m = NULL;
    b->done_count = 0;
    assert_int_equal(lt_materializer_new(b->dir, NULL, &m, &b->error), LITMUS_OK);
    int code = lt_materialize_session(m, session, on_done, b, &b->error);
    if (code != LITMUS_OK) fail_msg("%s", b->error.text);
    lt_materializer_free(m);
}

static void outcomes_of(const char *path, char *out, size_t size) {
    struct lt_table t;
    struct litmus_error error = {0};
    if (lt_parquet_read(path, NULL, 0, &t, &error) != LITMUS_OK) fail_msg("%s", error.text);
    int64_t kind = lt_table_find(&t, "record_type"), outcome = lt_table_find(&t, "step_outcome");
    size_t n = 0;
    out[0] = '\0';
    for (int64_t i = 0; i < lt_table_rows(&t); i++) {
        if (!lt_str_eq(lt_table_str(&t, kind, i), LT_STR("step"))) continue;
        struct lt_str s = lt_table_str(&t, outcome, i);
        n += (size_t)snprintf(out + n, size - n, "%.*s,", s.p == NULL ? 4 : (int)s.n, s.p == NULL ? "NULL" : s.p);
    }
    lt_table_release(&t);
}

static void read_bytes(const char *path, struct lt_buf *out) {
    lt_buf_clear(out);
    assert_int_equal(lt_io_read_file(path, 1 << 26, out, NULL), LITMUS_OK);
}

static void a_finished_run_has_its_file_once(void **state) {
    struct bench *b = *state;
    struct lt_own_log log;
    lt_own_log_init(&log, b->dir, SESSION, NULL, -1);
    start_run(&log, RUN_A, "SN1");
    run_step_a(&log, RUN_A);
    say(&log, "run.ended", RUN_A, 4, "{\"outcome\":\"passed\",\"stop_reason\":\"maxfail\"}");
    assert_int_equal(lt_own_log_close(&log, &b->error), LITMUS_OK);
    materialize(b, SESSION);
    assert_int_equal(b->done_count, 1);
    assert_false(b->done[0].already);
    assert_non_null(strstr(b->done[0].path, "/runs/2026-05-16/20260516T143000Z_SN1.parquet"));
    assert_int_equal(b->done[0].planned, 3);
    assert_int_equal(b->done[0].counts.never_ran, 2);
    char outcomes[128];
    outcomes_of(b->done[0].path, outcomes, sizeof outcomes);
    assert_string_equal(outcomes, "passed,NULL,NULL,");
    struct lt_buf first, second;
    lt_buf_init(&first);
    lt_buf_init(&second);
    read_bytes(b->done[0].path, &first);
    materialize(b, SESSION);
    assert_true(b->done[0].already);
    /* and a rebuild gives the same bytes under the same name */
    assert_int_equal(unlink(b->done[0].path), 0);
    struct lt_gathering g;
    struct lt_materializer *m = NULL;
    struct lt_materialized done;
    assert_int_equal(lt_gather_session(b->dir, SESSION, NULL, &g, &b->error), LITMUS_OK);
    assert_int_equal(g.run_count, 1);
    assert_int_equal(lt_materializer_new(b->dir, NULL, &m, &b->error), LITMUS_OK);
    assert_int_equal(lt_materialize_run(m, &g, g.runs[0], true, &done, &b->error), LITMUS_OK);
    assert_string_equal(done.path, b->done[0].path);
    read_bytes(done.path, &second);
    assert_int_equal(first.n, second.n);
    assert_memory_equal(first.p, second.p, first.n);
    lt_materializer_free(m);
    lt_gathering_release(&g);
    lt_buf_release(&first);
    lt_buf_release(&second);
}

static void a_dead_producers_run_is_ended_and_complete(void **state) {
    struct bench *b = *state;
    pid_t child = fork();
    if (child == 0) {
        struct lt_own_log log;
        lt_own_log_init(&log, b->dir, SESSION, NULL, -1);
        start_run(&log, RUN_A, "");
        run_step_a(&log, RUN_A);
        say(&log, "test.step_started", RUN_A, 5, STEP("b", ""));
        _exit(9);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    materialize(b, SESSION);
    assert_int_equal(b->done_count, 1);
    assert_string_equal(b->done[0].outcome, "aborted");
    assert_non_null(strstr(b->done[0].path, "/20260516T143000Z.parquet"));
    char outcomes[128];
    outcomes_of(b->done[0].path, outcomes, sizeof outcomes);
    assert_string_equal(outcomes, "passed,aborted,NULL,");
    struct lt_table t;
    assert_int_equal(lt_parquet_read(b->done[0].path, NULL, 0, &t, &b->error), LITMUS_OK);
    int64_t ended = 0, started = 0;
    assert_true(lt_table_int(&t, lt_table_find(&t, "run_ended_at"), 0, &ended));
    assert_true(lt_table_int(&t, lt_table_find(&t, "run_started_at"), 0, &started));
    assert_int_equal(ended - started, 5000000); /* the time of its last event, not of the finding */
    assert_true(lt_str_eq(lt_table_str(&t, lt_table_find(&t, "stop_reason"), 0), LT_STR("crash")));
    lt_table_release(&t);
    materialize(b, SESSION); /* a second look finds nothing to do */
    assert_int_equal(b->done_count, 1);
    assert_true(b->done[0].already);
}

/* Two stations finish copies of one session, with the same pid as containers have: the file is the same, and an import lays their logs side by side. */
static void two_stations_finish_the_same_session(void **state) {
    struct bench *b = *state, other = *b;
    struct lt_log_list here, there;
    struct lt_buf one, two;
    char command[600];
    snprintf(other.dir, sizeof other.dir, "%.240s-other", b->dir);
    pid_t child = fork();
    if (child == 0) {
        struct lt_own_log log;
        lt_own_log_init(&log, b->dir, SESSION, NULL, -1);
        start_run(&log, RUN_A, "");
        run_step_a(&log, RUN_A);
        _exit(9);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    snprintf(command, sizeof command, "cp -r '%s' '%s'", b->dir, other.dir);
    assert_int_equal(system(command), 0);
    materialize(b, SESSION);
    materialize(&other, SESSION);
    lt_buf_init(&one);
    lt_buf_init(&two);
    read_bytes(b->done[0].path, &one);
    read_bytes(other.done[0].path, &two);
    assert_int_equal(one.n, two.n);
    assert_memory_equal(one.p, two.p, one.n);
    lt_buf_release(&one);
    lt_buf_release(&two);
    assert_int_equal(lt_log_find(b->dir, SESSION, &here, &b->error), LITMUS_OK);
    assert_int_equal(lt_log_find(other.dir, SESSION, &there, &b->error), LITMUS_OK);
    assert_int_equal(here.count, 2);
    assert_int_equal(there.count, 2);
    int same = 0;
    for (int i = 0; i < 4; i++) same += strcmp(strrchr(here.files[i / 2].path, '/'), strrchr(there.files[i % 2].path, '/')) == 0;
    assert_int_equal(same, 1); /* the producer's */
    lt_log_list_release(&here);
    lt_log_list_release(&there);
}

static void a_live_producers_run_is_left_alone(void **state) {
    struct bench *b = *state;
    struct lt_own_log log;
    lt_own_log_init(&log, b->dir, SESSION, NULL, -1);
    start_run(&log, RUN_A, "");
    /* flock belongs to the open file: another process sees it held */
    materialize(b, SESSION);
    assert_int_equal(b->done_count, 0);
    struct lt_gathering g;
    assert_int_equal(lt_gather_session(b->dir, SESSION, NULL, &g, &b->error), LITMUS_OK);
    assert_true(g.runs[0]->producer_alive);
    assert_null(g.runs[0]->run.outcome_stored.p);
    lt_gathering_release(&g);
    assert_int_equal(lt_own_log_close(&log, &b->error), LITMUS_OK);
}

/* pytest-xdist: a worker wrote run.started, the controller executes the run. */
static void the_controller_keeps_the_run_alive(void **state) {
    struct bench *b = *state;
    struct lt_own_log controller;
    lt_own_log_init(&controller, b->dir, SESSION, NULL, -1);
    say(&controller, "diagnostic.warning", NULL, 0, "{}");
    pid_t child = fork();
    if (child == 0) {
        char payload[64];
        struct lt_own_log worker;
        lt_own_log_init(&worker, b->dir, SESSION, NULL, -1);
        snprintf(payload, sizeof payload, "{\"pid\":%ld}", (long)getppid());
        say(&worker, "run.started", RUN_A, 0, payload);
        run_step_a(&worker, RUN_A);
        _exit(9);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    materialize(b, SESSION);
    assert_int_equal(b->done_count, 0); /* the worker's death ends nothing */
    lt_log_writer_free(controller.writer);
    controller.writer = NULL;
    assert_int_equal(lt_own_log_close(&controller, &b->error), LITMUS_OK);
    materialize(b, SESSION);
    assert_int_equal(b->done_count, 1);
    assert_string_equal(b->done[0].outcome, "aborted");
}

static void what_an_orphan_writes_later_changes_nothing(void **state) {
    struct bench *b = *state;
    struct lt_own_log owner, worker;
    lt_own_log_init(&owner, b->dir, SESSION, NULL, -1);
    lt_own_log_init(&worker, b->dir, SESSION, NULL, -1);
    start_run(&owner, RUN_A, "SN");
    run_step_a(&worker, RUN_A);
    say(&owner, "run.ended", RUN_A, 6, "{\"outcome\":\"passed\"}");
    assert_int_equal(lt_own_log_close(&owner, &b->error), LITMUS_OK);
    materialize(b, SESSION);
    char before[128], after[128];
    outcomes_of(b->done[0].path, before, sizeof before);
    assert_string_equal(before, "passed,NULL,NULL,");
    say(&worker, "test.step_started", RUN_A, 7, STEP("b", ""));
    say(&worker, "test.step_ended", RUN_A, 8, STEP("b", ",\"vector_outcome\":\"failed\""));
    assert_int_equal(lt_own_log_close(&worker, &b->error), LITMUS_OK);
    struct lt_gathering g;
    struct lt_materializer *m = NULL;
    struct lt_materialized done;
    assert_int_equal(lt_gather_session(b->dir, SESSION, NULL, &g, &b->error), LITMUS_OK);
    assert_int_equal(lt_materializer_new(b->dir, NULL, &m, &b->error), LITMUS_OK);
    assert_int_equal(lt_materialize_run(m, &g, g.runs[0], true, &done, &b->error), LITMUS_OK);
    outcomes_of(done.path, after, sizeof after);
    assert_string_equal(before, after);
    assert_int_equal(g.runs[0]->late, 2); /* and it is told */
    lt_materializer_free(m);
    lt_gathering_release(&g);
}

/* The controller of pytest-xdist is killed alone: the run has its file, and its workers end the tests that they are in. */
static void what_others_say_of_a_dead_run_comes_in(void **state) {
    static const char *const outcomes[] = {"aborted,aborted,NULL,", "passed,aborted,NULL,", "passed,failed,NULL,"};
    struct bench *b = *state;
    struct lt_own_log owner, worker[2];
    lt_own_log_init(&owner, b->dir, SESSION, NULL, -1);
    start_run(&owner, RUN_A, "SN");
    for (int i = 0; i < 2; i++) {
        lt_own_log_init(&worker[i], b->dir, SESSION, NULL, -1);
        say(&worker[i], "test.step_started", RUN_A, 2, i == 0 ? STEP("a", "") : STEP("b", ""));
    }
    assert_int_equal(lt_own_log_close(&owner, &b->error), LITMUS_OK);
    struct lt_gathering g;
    struct lt_buf file, again;
    lt_buf_init(&file);
    lt_buf_init(&again);
    for (int i = 0; i < 3; i++) {
        char got[128], path[4096];
        materialize(b, SESSION);
        assert_false(b->done[0].already);
        if (i > 0) assert_string_equal(b->done[0].path, path);
        memcpy(path, b->done[0].path, sizeof path);
        outcomes_of(path, got, sizeof got);
        assert_string_equal(got, outcomes[i]);
        materialize(b, SESSION); /* nothing came meanwhile */
        assert_true(b->done[0].already);
        struct lt_materializer *m = NULL;
        struct lt_materialized done;
        read_bytes(path, &file);
        assert_int_equal(lt_gather_session(b->dir, SESSION, NULL, &g, &b->error), LITMUS_OK);
        assert_int_equal(g.runs[0]->late, 0);
        assert_int_equal(g.runs[0]->revised, i);
        assert_int_equal(lt_materializer_new(b->dir, NULL, &m, &b->error), LITMUS_OK);
        assert_int_equal(lt_materialize_run(m, &g, g.runs[0], true, &done, &b->error), LITMUS_OK);
        read_bytes(path, &again);
        assert_int_equal(file.n, again.n);
        assert_memory_equal(file.p, again.p, file.n);
        lt_materializer_free(m);
        lt_gathering_release(&g);
        if (i == 0) say(&worker[0], "test.step_ended", RUN_A, 3, STEP("a", ",\"vector_outcome\":\"passed\""));
        if (i == 1) say(&worker[1], "test.step_ended", RUN_A, 4, STEP("b", ",\"vector_outcome\":\"failed\""));
        if (i < 2) assert_int_equal(lt_own_log_close(&worker[i], &b->error), LITMUS_OK);
    }
    lt_buf_release(&file);
    lt_buf_release(&again);
}

static void runs_of_one_second_have_a_file_each(void **state) {
    struct bench *b = *state;
    struct lt_own_log log;
    lt_own_log_init(&log, b->dir, SESSION, NULL, -1);
    start_run(&log, RUN_A, " S/N\\n1 ");
    start_run(&log, RUN_B, " S/N\\n1 ");
    start_run(&log, RUN_LIKE_B, " S/N\\n1 ");
    say(&log, "run.ended", RUN_A, 2, "{}");
    say(&log, "run.ended", RUN_B, 2, "{}");
    say(&log, "run.ended", RUN_LIKE_B, 2, "{}");
    assert_int_equal(lt_own_log_close(&log, &b->error), LITMUS_OK);
    materialize(b, SESSION);
    assert_int_equal(b->done_count, 3);
    assert_non_null(strstr(b->done[0].path, "/20260516T143000Z_S_N_1.parquet"));
    assert_non_null(strstr(b->done[1].path, "/20260516T143000Z_aaaaaaaa_S_N_1.parquet"));
    assert_non_null(strstr(b->done[2].path, "/20260516T143000Z_" RUN_LIKE_B "_S_N_1.parquet"));
}

/* The disk says no once, and would say yes when asked again: *self is how often it was asked. */
static int sync_fails_once(void *self, int fd) {
    int *asked = self;
    errno = EIO;
    return ++*asked == 1 ? -1 : fdatasync(fd);
}

static void no_run_of_a_log_that_is_not_on_the_disk_has_a_file(void **state) {
    struct bench *b = *state;
    struct lt_own_log log;
    struct lt_materializer *m = NULL;
    int asked = 0;
    struct lt_io io = lt_io_os;
    io.fdatasync = sync_fails_once;
    io.self = &asked;
    lt_own_log_init(&log, b->dir, SESSION, NULL, -1);
    start_run(&log, RUN_A, "1");
    start_run(&log, RUN_B, "2");
    say(&log, "run.ended", RUN_A, 2, "{}");
    say(&log, "run.ended", RUN_B, 2, "{}");
    assert_int_equal(lt_own_log_close(&log, &b->error), LITMUS_OK);
    assert_int_equal(lt_materializer_new(b->dir, &io, &m, &b->error), LITMUS_OK);
    assert_int_equal(lt_materialize_session(m, SESSION, on_done, b, &b->error), LITMUS_EIO);
    lt_materializer_free(m);
    assert_int_equal(asked, 1);
    assert_int_equal(b->done_count, 0);
    materialize(b, SESSION);
    assert_int_equal(b->done_count, 2);
}

static void a_hostile_serial_stays_a_name(void **state) {
    (void)state;
    struct lt_buf name;
    lt_buf_init(&name);
    lt_run_file_name(T0, LT_STR("../../etc/passwd"), LT_STR_NULL, &name);
    assert_string_equal(lt_buf_cstr(&name), "2026-05-16/20260516T143000Z_.._.._etc_passwd.parquet");
    char longest[5000];
    memset(longest, 'x', sizeof longest);
    lt_buf_clear(&name);
    lt_run_file_name(T0, (struct lt_str){longest, sizeof longest}, LT_STR("12345678"), &name);
    assert_true(name.n < 255);
    lt_buf_clear(&name);
    lt_run_file_name(T0, LT_STR(" \t\n "), LT_STR_NULL, &name);
    assert_string_equal(lt_buf_cstr(&name), "2026-05-16/20260516T143000Z.parquet");
    lt_buf_release(&name);
}

/* Each would be another file to some reader, or none. */
static void a_hostile_destination_is_not_used(void **state) {
    static const char *const fine[] = {"runs/x.parquet", "runs/2026-11-28/20261128T054051Z_1c94ffab.parquet", "runs/2026-05-16/20260516T143000Z_.._a-B.parquet",
                                       "runs/d/x_ref.parquet"};
    static const char *const hostile[] = {"runs/x\\y.parquet", "runs/x*.parquet", "runs/[x].parquet", "runs/x?.parquet", "runs/d/_x.parquet", "runs/_d/x.parquet",
                                          "runs/_x.parquet", "runs/d/.x.parquet", "runs/.d/x.parquet", "runs/d/x\n.parquet", "runs/d/\x1b[2J.parquet", "runs/a b.parquet",
                                          "runs/d/\xc3\xa4.parquet", "runs/a=b/x.parquet", "runs/x_ref/x.parquet", "runs/a/b/x.parquet",
                                          "runs//x.parquet", "runs/d//x.parquet", "runs/../x.parquet",
                                          "runs/.parquet", "runs/d/.parquet", "runs/d/x.parquet/", "runs/x.arrow", "lake/x.parquet", "runs", ""};
    (void)state;
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        if (!lt_destination_usable(lt_str_of(fine[i]))) fail_msg("%s", fine[i]);
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++)
        if (lt_destination_usable(lt_str_of(hostile[i]))) fail_msg("%s", hostile[i]);
    assert_false(lt_destination_usable((struct lt_str){"runs/x\0x.parquet", 16}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_finished_run_has_its_file_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dead_producers_run_is_ended_and_complete, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_stations_finish_the_same_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_live_producers_run_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_controller_keeps_the_run_alive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_an_orphan_writes_later_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_others_say_of_a_dead_run_comes_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(runs_of_one_second_have_a_file_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_run_of_a_log_that_is_not_on_the_disk_has_a_file, set_up, tear_down),
        cmocka_unit_test(a_hostile_serial_stays_a_name),
        cmocka_unit_test(a_hostile_destination_is_not_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
