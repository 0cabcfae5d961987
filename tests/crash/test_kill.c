/* SPDX-License-Identifier: Apache-2.0
 *
 * SIGKILL at a random moment of a recorded run, again and again, with a daemon and without one. The
 * producer tells of each call after it returned; what it told of is in the log, and in the run's
 * file once each: every planned step, every measurement, every attachment whole. `make soak` does it some hundred times
 * and tells how soon the file was there.
 */
#include "../unit/daemon_helper.h"
#include "soak.h"

#include "log/log.h"
#include "materialize/attachments.h"
#include "materialize/materialize.h"
#include "materialize/parquet.h"

#include <math.h>

enum { STEPS = 12, MEASUREMENTS = 3 };

/* What the producer told of: calls that returned. */
struct told {
    char session[64], run[64];
    int planned, started, measured, attached, ended, finished;
};

static void tell(int out, char what) {
    if (write(out, &what, 1) != 1) _exit(9);
}

static void record(const struct bench *b, int out) {
    struct litmus_session_options options = {.data_dir = b->dir, .daemon_exe = "/bin/true"};
    struct litmus_limit limit = {.low = 0, .high = 1, .nominal = NAN};
    litmus_session *session;
    litmus_run *run;
    if (litmus_session_open(&options, &session, NULL) != LITMUS_OK || litmus_run_start(session, NULL, &run, NULL) != LITMUS_OK) _exit(1);
    dprintf(out, "%s %s\n", litmus_session_id(session), litmus_run_id(run));
    for (int i = 0; i < STEPS; i++) {
        char path[32];
        snprintf(path, sizeof path, "t.py/step_%d", i);
        if (litmus_plan_add(run, path, NULL, NULL) != LITMUS_OK) _exit(2);
    }
    if (litmus_plan_commit(run, NULL) != LITMUS_OK) _exit(3);
    tell(out, 'p');
    for (int i = 0; i < STEPS; i++) {
        if (litmus_step_start(run, i, NULL, NULL) != LITMUS_OK) _exit(4);
        tell(out, 's');
        for (int m = 0; m < MEASUREMENTS; m++) {
            const struct litmus_measurement rail = {.name = "rail", .value = 0.5, .limit = &limit, .repeat = true};
            if (litmus_measure_full(run, &rail, NULL, NULL) != LITMUS_OK) _exit(5);
            tell(out, 'm');
        }
        char content[3000] = {(char)i}; /* another one each time */
        if (litmus_attach_bytes(run, "trace.bin", content, sizeof content, NULL, NULL) != LITMUS_OK) _exit(8);
        tell(out, 'a');
        if (litmus_step_end(run, NULL, NULL, NULL) != LITMUS_OK) _exit(6);
        tell(out, 'e');
    }
    if (litmus_run_end(run, NULL, NULL, NULL) != LITMUS_OK) _exit(7);
    tell(out, 'f');
    pause(); /* only the kill ends it */
}

/* Kills after `calls` calls were told of and a while more; reads what it still told. */
static struct told kill_one(const struct bench *b, int calls, int pause_us, int64_t *killed_us) {
    struct told told = {0};
    char line[200] = "", what;
    size_t n = 0;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        record(b, ends[1]);
    }
    close(ends[1]);
    while (n < sizeof line - 1 && strchr(line, '\n') == NULL && read(ends[0], &line[n], 1) == 1) n++;
    assert_int_equal(sscanf(line, "%63s %63s", told.session, told.run), 2);
    bool killed = false;
    for (int count = 0;; count++) {
        if (count == calls) {
            const struct timespec pause = {.tv_nsec = (long)pause_us * 1000};
            nanosleep(&pause, NULL);
            assert_int_equal(kill(pid, SIGKILL), 0);
            *killed_us = lt_monotonic_us();
            killed = true;
        }
        if (read(ends[0], &what, 1) != 1) break;
        told.planned += what == 'p';
        told.started += what == 's';
        told.measured += what == 'm';
        told.attached += what == 'a';
        told.ended += what == 'e';
        told.finished += what == 'f';
    }
    assert_true(killed);
    close(ends[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return told;
}

/* ---- what is on record ---- */

struct on_record {
    int planned, started, measured, attached, ended, finished;
};

static struct on_record read_logs(const struct bench *b, const struct told *told) {
    struct on_record found = {0};
    struct lt_log_list list;
    assert_int_equal(lt_log_find(b->dir, told->session, &list, NULL), LITMUS_OK);
    for (size_t i = 0; i < list.count; i++) {
        struct lt_log_reader *reader = NULL;
        struct lt_row row;
        enum lt_log_status status;
        assert_int_equal(lt_log_reader_open(list.files[i].path, &reader, NULL), LITMUS_OK);
        lt_log_reader_check_chain(reader);
        while ((status = lt_log_next(reader, &row, NULL)) == LT_LOG_EVENT) {
            found.planned += lt_str_eq(row.event_type, LT_STR("test.steps_discovered"));
            found.started += lt_str_eq(row.event_type, LT_STR("test.step_started"));
            found.measured += lt_str_eq(row.event_type, LT_STR("test.measurement"));
            found.attached += lt_str_eq(row.event_type, LT_STR("test.attachment"));
            found.ended += lt_str_eq(row.event_type, LT_STR("test.step_ended"));
            found.finished += lt_str_eq(row.event_type, LT_STR("run.ended"));
        }
        assert_true(status == LT_LOG_SEALED || status == LT_LOG_OPEN || status == LT_LOG_TORN);
        assert_true(lt_log_reader_chain_ok(reader));
        lt_log_reader_free(reader);
    }
    lt_log_list_release(&list);
    return found;
}

/* How many calls are told of and not on record. At most one call more than told may be there. */
static int count_lost(const struct told *told, const struct on_record *found) {
    int lost = 0, more = 0;
    const int pairs[][2] = {{told->planned, found->planned},
                            {told->started, found->started},
                            {told->measured, found->measured},
                            {told->attached, found->attached},
                            {told->ended, found->ended}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (pairs[i][0] > pairs[i][1]) lost += pairs[i][0] - pairs[i][1];
        else more += pairs[i][1] - pairs[i][0];
    }
    assert_true(more <= 1);
    return lost;
}

static struct lt_str cell(const struct lt_table *table, const char *column, int64_t row) {
    return lt_table_str(table, lt_table_find(table, column), row);
}

/* Rows that are missing or too many, or say another outcome than the log does. */
static int count_wrong(const char *path, const struct on_record *found) {
    struct lt_table table;
    struct litmus_error error = {0};
    int runs = 0, steps = 0, measurements = 0, wrong = 0, seen[STEPS] = {0};
    if (lt_parquet_read(path, NULL, 0, &table, &error) != LITMUS_OK) fail_msg("%s", error.text);
    for (int64_t row = 0; row < lt_table_rows(&table); row++) {
        struct lt_str kind = cell(&table, "record_type", row), outcome = cell(&table, "step_outcome", row);
        runs += lt_str_eq(kind, LT_STR("run"));
        measurements += lt_str_eq(kind, LT_STR("measurement"));
        if (!lt_str_eq(kind, LT_STR("step"))) continue;
        int64_t index = -1;
        assert_true(lt_table_int(&table, lt_table_find(&table, "step_index"), row, &index) && index >= 0 && index < STEPS);
        seen[index]++;
        steps++;
        struct lt_str expected = index < found->ended ? LT_STR("passed") : index < found->started ? LT_STR("aborted") : LT_STR_NULL;
        wrong += !lt_str_eq(outcome, expected);
    }
    for (int i = 0; i < STEPS; i++) wrong += seen[i] != (found->planned > 0 || i < found->started);
    wrong += (runs != 1) + abs(measurements - found->measured);
    lt_table_release(&table);
    return wrong;
}

static void count_one(void *self, const char *what) {
    print_message("%s\n", what);
    ++*(int *)self;
}

/* Attachments that are on record and not whole, where they were recorded and beside the run's file. */
static int count_attachments_lost(const struct bench *b, const struct told *told, const char *path, const struct on_record *found) {
    int lost = 0;
    struct lt_gathering session;
    struct lt_gather_options options = {.run_id = told->run};
    assert_int_equal(lt_gather_session(b->dir, told->session, &options, &session, NULL), LITMUS_OK);
    assert_int_equal(session.run_count, 1);
    lt_attachments_check(&session, &session.runs[0]->run, path, count_one, &lost);
    lost += abs((int)session.runs[0]->run.attachment_count - found->attached);
    lt_gathering_release(&session);
    return lost;
}

/* The path of the run's file, by name; false: there is none. */
struct seek {
    const char *run;
    char path[4096];
};
static void take_path(void *self, const struct lt_materialized *done) {
    struct seek *seek = self;
    if (strcmp(done->run_id, seek->run) == 0) snprintf(seek->path, sizeof seek->path, "%s", done->path);
}
static void finish_session(const struct bench *b, const struct told *told, struct seek *seek) {
    struct lt_materializer *m = NULL;
    struct litmus_error error = {0};
    *seek = (struct seek){.run = told->run};
    assert_int_equal(lt_materializer_new(b->dir, NULL, &m, &error), LITMUS_OK);
    if (lt_materialize_session(m, told->session, take_path, seek, &error) != LITMUS_OK) fail_msg("%s", error.text);
    lt_materializer_free(m);
    assert_true(seek->path[0] != '\0');
}

/* ---- the kills ---- */

struct tally {
    int kills, lost, wrong, late;
    int64_t slowest_us, sum_us;
};

static void judge(const struct bench *b, const struct told *told, struct tally *tally) {
    struct seek seek;
    finish_session(b, told, &seek); /* after a daemon: only tells the path */
    struct on_record found = read_logs(b, told);
    tally->lost += count_lost(told, &found) + count_attachments_lost(b, told, seek.path, &found);
    tally->wrong += count_wrong(seek.path, &found) + (found.finished != 1);
    tally->kills++;
}

static int draw_calls(void) {
    int most = 2 + STEPS * (3 + MEASUREMENTS);
    return (int)soak_draw((uint32_t)most); /* 0: while the session is opened and the run started */
}

static void with_a_daemon(void **state) {
    struct bench *b = *state;
    struct tally tally = {0};
    start_daemon(b);
    for (int i = 0, n = soak_size(12, 250); i < n && soak_goes_on(); i++) {
        int64_t killed_us = 0;
        struct told told = kill_one(b, draw_calls(), (int)soak_draw(400), &killed_us);
        assert_soon(runs_on_disk(b) == i + 1);
        int64_t took_us = lt_monotonic_us() - killed_us;
        tally.sum_us += took_us;
        tally.late += took_us > 1000 * 1000;
        if (took_us > tally.slowest_us) tally.slowest_us = took_us;
        judge(b, &told, &tally);
    }
    assert_int_equal(runs_on_disk(b), tally.kills); /* none twice */
    soak_figure("C kills with a daemon", tally.kills);
    soak_figure("C kills with a daemon: events lost", tally.lost);
    soak_figure("C kills with a daemon: rows missing or double", tally.wrong);
    soak_figure("C kills with a daemon: no file after one second", tally.late);
    soak_figure("C kills with a daemon: slowest file, us", tally.slowest_us);
    soak_figure("C kills with a daemon: mean file, us", tally.kills == 0 ? 0 : tally.sum_us / tally.kills);
    assert_int_equal(tally.lost, 0);
    assert_int_equal(tally.wrong, 0);
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK);
    assert_int_equal(reap_daemon(b), 0);
}

static void without_a_daemon(void **state) {
    struct bench *b = *state;
    struct tally tally = {0};
    for (int i = 0, n = soak_size(20, 250); i < n && soak_goes_on(); i++) {
        int64_t killed_us;
        struct told told = kill_one(b, draw_calls(), (int)soak_draw(400), &killed_us);
        assert_int_equal(runs_on_disk(b), i);
        judge(b, &told, &tally);
    }
    assert_int_equal(runs_on_disk(b), tally.kills);
    soak_figure("C kills without a daemon", tally.kills);
    soak_figure("C kills without a daemon: events lost", tally.lost);
    soak_figure("C kills without a daemon: rows missing or double", tally.wrong);
    assert_int_equal(tally.lost, 0);
    assert_int_equal(tally.wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(with_a_daemon, bench_set_up, bench_tear_down),
        cmocka_unit_test_setup_teardown(without_a_daemon, bench_set_up, bench_tear_down),
    };
    return cmocka_run_group_tests_name("kill", tests, NULL, NULL);
}
