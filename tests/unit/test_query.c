/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions over finished files and runs in flight.
 */
#include "materialize/own_log.h"
#include "query/query.h"
#include "query/sql_setup.h"
#include "base/clock.h"
#include "materialize/materialize.h"
#include "runs_helper.h"

#include <yyjson.h>

static struct lt_query *open_query(struct bench *b) {
    struct lt_query *q;
    must(b, lt_query_open(b->dir, &q, &b->error));
    return q;
}

static struct lt_table runs(struct bench *b, struct lt_query *q, const struct lt_run_filter *filter) {
    struct lt_table t;
    must(b, lt_query_runs(q, filter, &t, &b->error));
    return t;
}

static void assert_text(const struct lt_table *t, const char *column, int64_t row, const char *expected) {
    struct lt_str s = lt_table_str(t, lt_table_find(t, column), row);
    if (expected == NULL && s.p == NULL) return;
    if (expected == NULL || !lt_str_eq(s, lt_str_of(expected)))
        fail_msg("row %lld, %s: \"%.*s\", not \"%s\"", (long long)row, column, LT_STR_ARG(s), expected == NULL ? "NULL" : expected);
}

static void assert_whole(const struct lt_table *t, const char *column, int64_t row, int64_t expected) {
    int64_t value = INT64_MIN;
    lt_table_int(t, lt_table_find(t, column), row, &value);
    if (value != expected) fail_msg("row %lld, %s: %lld, not %lld", (long long)row, column, (long long)value, (long long)expected);
}

static void assert_no_value(const struct lt_table *t, const char *column, int64_t row) {
    assert_true(lt_table_find(t, column) >= 0);
    assert_true(lt_table_is_null(t, lt_table_find(t, column), row));
}

/* ---- runs ---- */

static void test_runs_by_filter_limit_and_offset(void **state) {
    struct bench *b = *state;
    struct recording a = record_run(b, "A"), c = record_run(b, "C"), a2 = record_run(b, "A");
    struct lt_query *q = open_query(b);
    struct lt_table t = runs(b, q, &(struct lt_run_filter){.serial = "A"});
    assert_int_equal(lt_table_rows(&t), 2);
    assert_text(&t, "test_run_id", 0, a2.run_id);
    assert_text(&t, "test_run_id", 1, a.run_id);
    lt_table_release(&t);
    t = runs(b, q, &(struct lt_run_filter){.limit = 1, .offset = 1});
    assert_int_equal(lt_table_rows(&t), 1);
    assert_text(&t, "test_run_id", 0, c.run_id);
    assert_text(&t, "outcome", 0, "passed");
    assert_text(&t, "station_id", 0, "bench-1");
    lt_table_release(&t);
    t = runs(b, q, &(struct lt_run_filter){.offset = 10});
    assert_int_equal(lt_table_rows(&t), 0);
    lt_table_release(&t);
    t = runs(b, q, &(struct lt_run_filter){.outcome = "failed"});
    assert_int_equal(lt_table_rows(&t), 0);
    lt_table_release(&t);
    t = runs(b, q, &(struct lt_run_filter){.until = lt_now_us() - INT64_C(3600000000)});
    assert_int_equal(lt_table_rows(&t), 0);
    lt_table_release(&t);
    t = runs(b, q, &(struct lt_run_filter){.since = lt_now_us() - INT64_C(3600000000), .until = lt_now_us(), .project = "p", .station = "bench-1"});
    assert_int_equal(lt_table_rows(&t), 3);
    lt_table_release(&t);
    lt_query_free(q);
}

/* The unit of the figures is the serial without the blanks around it, so the listings know no other. */
static void test_blanks_around_a_serial_do_not_count(void **state) {
    struct bench *b = *state;
    struct recording live;
    record_run(b, " A1 ");
    record_run(b, "A1");
    record_run(b, "A 1");
    start_recording(b, &live, "A1  ", 1);
    struct lt_query *q = open_query(b);
    struct lt_table t = runs(b, q, &(struct lt_run_filter){.serial = "A1"});
    assert_int_equal(lt_table_rows(&t), 3);
    assert_text(&t, "dut_serial", 2, " A1 "); /* as it was recorded */
    lt_table_release(&t);
    t = runs(b, q, &(struct lt_run_filter){.serial = "  A 1 "});
    assert_int_equal(lt_table_rows(&t), 1);
    lt_table_release(&t);
    lt_query_free(q);
    finish_recording(&live);
}

/* The same words for a finished run (SQL of the catalog) and for one in flight. */
static void test_runs_by_words(void **state) {
    struct bench *b = *state;
    struct recording done = record_run(b, "PSU-XYÄΣŽ×Ж"), live;
    start_recording(b, &live, "psu-XZÿάя", 1);
    struct lt_query *q = open_query(b);
    char start[9], inside[9];
    snprintf(start, sizeof start, "%.8s", done.run_id);
    snprintf(inside, sizeof inside, "%.8s", done.run_id + 4);
    const struct {
        const char *words;
        int64_t runs;
    } cases[] = {
        {"", 2}, {" \t", 2}, {"psu", 2}, {"PSU BENCH-1", 2}, {"  xy\tench ", 1}, {"su-xz P", 1}, {"xy xz", 0}, {"PSU-XYbench-1", 0}, {"psu-%", 0}, {"ps_", 0},
        {"pass", 0}, {start, 1}, {inside, 0}, {"xyäςž×ж", 1}, {"ÄσŽ", 1}, {"xzŸΆЯ", 1}, {"ä÷", 0}, {"å", 0}, {"\xC3", 2}, {"\xFF", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lt_table t = runs(b, q, &(struct lt_run_filter){.text = cases[i].words});
        if (lt_table_rows(&t) != cases[i].runs) fail_msg("\"%s\" finds %lld runs, not %lld", cases[i].words, (long long)lt_table_rows(&t), (long long)cases[i].runs);
        lt_table_release(&t);
    }
    struct lt_table t = runs(b, q, &(struct lt_run_filter){.text = "psu", .limit = 1, .offset = 1});
    assert_text(&t, "test_run_id", 0, done.run_id);
    lt_table_release(&t);
    lt_query_free(q);
    finish_recording(&live);
}

static void test_a_run_in_flight_is_listed_and_ends(void **state) {
    struct bench *b = *state;
    struct recording done = record_run(b, "A"), r;
    start_recording(b, &r, "B", 3);
    do_step(&r, 0, NULL);
    must(b, litmus_step_start(r.run, 1, NULL, &b->error));
    struct lt_query *q = open_query(b);
    struct lt_table t = runs(b, q, &(struct lt_run_filter){.limit = 10});
    assert_int_equal(lt_table_rows(&t), 2);
    assert_text(&t, "test_run_id", 0, r.run_id);
    assert_text(&t, "test_run_id", 1, done.run_id);
    assert_whole(&t, "live", 0, 1);
    assert_whole(&t, "live", 1, 0);
    assert_whole(&t, "passed", 0, 1);
    assert_whole(&t, "running", 0, 1);
    assert_whole(&t, "never_ran", 0, 1);
    assert_whole(&t, "planned", 0, 3);
    assert_no_value(&t, "outcome", 0);
    assert_no_value(&t, "ended_at", 0);
    assert_no_value(&t, "file_path", 0);
    lt_table_release(&t);
    t = runs(b, q, &(struct lt_run_filter){.finished_only = true});
    assert_int_equal(lt_table_rows(&t), 1);
    lt_table_release(&t);
    must(b, litmus_step_end(r.run, NULL, NULL, &b->error));
    finish_recording(&r);
    t = runs(b, q, &(struct lt_run_filter){.limit = 10});
    assert_int_equal(lt_table_rows(&t), 2);
    assert_whole(&t, "live", 0, 0);
    assert_text(&t, "test_run_id", 0, r.run_id);
    assert_false(lt_table_is_null(&t, lt_table_find(&t, "file_path"), 0));
    lt_table_release(&t);
    lt_query_free(q);
}

static void note_session(void *self, const char *session_id) {
    snprintf(self, 64, "%s", session_id);
}

static void test_a_dead_producers_run_is_unfinished_until_materialized(void **state) {
    struct bench *b = *state;
    struct recording r = record_crash(b, "A");
    struct lt_query *q = open_query(b);
    struct lt_table t = runs(b, q, &(struct lt_run_filter){.limit = 10});
    assert_int_equal(lt_table_rows(&t), 1);
    assert_whole(&t, "live", 0, 0);
    assert_no_value(&t, "outcome", 0);
    assert_no_value(&t, "file_path", 0);
    lt_table_release(&t);
    char session[64] = "";
    must(b, lt_query_unfinished(q, NULL, note_session, session, &b->error));
    assert_string_equal(session, r.session_id);

    struct lt_materializer *m;
    must(b, lt_materializer_new(b->dir, NULL, &m, &b->error));
    must(b, lt_materialize_session(m, session, NULL, NULL, &b->error));
    lt_materializer_free(m);
    t = runs(b, q, &(struct lt_run_filter){.limit = 10});
    assert_int_equal(lt_table_rows(&t), 1);
    assert_text(&t, "outcome", 0, "aborted");
    assert_whole(&t, "never_ran", 0, 2);
    lt_table_release(&t);
    session[0] = '\0';
    must(b, lt_query_unfinished(q, NULL, note_session, session, &b->error));
    assert_string_equal(session, "");
    lt_query_free(q);
}

/* ---- find ---- */

static void expect_find(struct bench *b, struct lt_query *q, const char *ref, int code, const char *run_id) {
    struct lt_run_ref found;
    lt_error_clear(&b->error);
    int got = lt_query_find(q, ref, &found, &b->error);
    if (got != code) fail_msg("\"%s\": %s (%s), not %s", ref, litmus_code_name(got), b->error.text, litmus_code_name(code));
    if (run_id != NULL) assert_string_equal(found.run_id, run_id);
    if (code != LITMUS_OK) assert_true(b->error.text[0] != '\0');
    lt_error_clear(&b->error);
}

static void test_what_was_just_looked_at_is_taken_as_it_is_once(void **state) {
    struct bench *b = *state;
    struct lt_query *q = open_query(b);
    must(b, lt_query_unfinished(q, NULL, note_session, (char[64]){""}, &b->error));
    lt_query_take_as_is(q);
    (void)record_crash(b, "A");
    for (int64_t seen = 0; seen < 2; seen++) { /* the second list looks for itself */
        struct lt_table t = runs(b, q, &(struct lt_run_filter){.limit = 10});
        assert_int_equal(lt_table_rows(&t), seen);
        lt_table_release(&t);
    }
    lt_query_free(q);
}

static void by_list(struct bench *b, struct lt_query *q, const struct recording *r) {
    (void)r;
    struct lt_table t = runs(b, q, &(struct lt_run_filter){.limit = 10});
    assert_int_equal(lt_table_rows(&t), 1);
    lt_table_release(&t);
}

static void by_id(struct bench *b, struct lt_query *q, const struct recording *r) {
    struct lt_run_ref found;
    must(b, lt_query_find(q, r->run_id, &found, &b->error));
    assert_string_equal(found.run_id, r->run_id);
    assert_true(found.path[0] != '\0');
}

static void by_sql(struct bench *b, struct lt_query *q, const struct recording *r) {
    (void)r;
    struct lt_buf text;
    lt_buf_init(&text);
    must(b, lt_sql_setup(q, &(struct lt_sql_options){.scratch = b->dir, .views = "FROM runs"}, &text, &b->error));
    assert_non_null(strstr(lt_buf_cstr(&text), "/runs/2"));
    lt_buf_release(&text);
}

static void meanwhile(struct bench *b, void (*ask)(struct bench *b, struct lt_query *q, const struct recording *r)) {
    struct recording r;
    char catalog[300];
    snprintf(catalog, sizeof catalog, "%s/catalog.sqlite", b->dir);
    assert_int_equal(mkdir(catalog, 0777), 0); /* then each has one of its own, in memory */
    struct lt_query *q = open_query(b);
    start_recording(b, &r, "A", 1);
    do_step(&r, 0, "passed");
    /* A daemon's log of the session is there already, as after a crash: it ends the run, and some time later says that it has its file. */
    struct lt_own_log own;
    lt_own_log_init(&own, b->dir, r.session_id, NULL, -1);
    struct litmus_event begins = {.event_type = "diagnostic.warning", .run_id = r.run_id, .payload = "{\"source\":\"litmus\",\"message\":\"m\"}"};
    struct litmus_event says = {.event_type = "run.materialized", .run_id = r.run_id, .payload = "{\"materializer\":\"parquet\",\"destination\":\"runs/x.parquet\"}"};
    must(b, lt_own_log_emit(&own, &begins, NULL, &b->error));
    must(b, lt_query_unfinished(q, NULL, note_session, (char[64]){""}, &b->error));
    finish_recording(&r);
    must(b, lt_own_log_emit(&own, &says, NULL, &b->error));
    must(b, lt_own_log_close(&own, &b->error));
    lt_query_take_as_is(q); /* as if that had come between the look at runs/ and the look at the logs */
    ask(b, q, &r);
    lt_query_free(q);
}

static void test_a_run_that_gets_its_file_meanwhile_is_listed(void **state) {
    meanwhile(*state, by_list);
}

static void test_a_run_that_gets_its_file_meanwhile_is_found(void **state) {
    meanwhile(*state, by_id);
}

static void test_a_run_that_gets_its_file_meanwhile_is_in_sql(void **state) {
    meanwhile(*state, by_sql);
}

static void test_find(void **state) {
    struct bench *b = *state;
    struct lt_query *q = open_query(b);
    expect_find(b, q, "last", LITMUS_ENOENT, NULL);
    struct recording first = record_run(b, "A"), second = record_run(b, "B"), live;
    start_recording(b, &live, "C", 1);
    char prefix[9], upper[37];
    snprintf(prefix, sizeof prefix, "%.8s", first.run_id);
    for (int i = 0; i < 37; i++) upper[i] = (char)(first.run_id[i] >= 'a' ? first.run_id[i] - 32 : first.run_id[i]);
    expect_find(b, q, first.run_id, LITMUS_OK, first.run_id);
    expect_find(b, q, upper, LITMUS_OK, first.run_id);
    expect_find(b, q, prefix, LITMUS_OK, first.run_id);
    expect_find(b, q, "last", LITMUS_OK, live.run_id);
    expect_find(b, q, "@1", LITMUS_OK, live.run_id);
    expect_find(b, q, "@2", LITMUS_OK, second.run_id);
    expect_find(b, q, "@3", LITMUS_OK, first.run_id);
    expect_find(b, q, "@4", LITMUS_ENOENT, NULL);
    expect_find(b, q, "@0", LITMUS_ENOENT, NULL);
    expect_find(b, q, live.run_id, LITMUS_OK, live.run_id);
    expect_find(b, q, "", LITMUS_EINVAL, NULL);
    expect_find(b, q, "../etc", LITMUS_ENOENT, NULL);
    expect_find(b, q, "00000000-0000-0000-0000-000000000000", LITMUS_ENOENT, NULL);
    expect_find(b, q, "00000000-0000-0000-0000-0000000000001", LITMUS_ENOENT, NULL);
    struct lt_run_ref found;
    must(b, lt_query_find(q, live.run_id, &found, &b->error));
    assert_true(found.live);
    assert_string_equal(found.path, "");
    assert_string_equal(found.session_id, live.session_id);
    must(b, lt_query_find(q, first.run_id, &found, &b->error));
    assert_false(found.live);
    assert_int_equal(access(found.path, R_OK), 0);
    finish_recording(&live);
    lt_query_free(q);
}

static void test_an_ambiguous_prefix_names_the_candidates(void **state) {
    struct bench *b = *state;
    struct lt_query *q = open_query(b);
    char prefix[2] = "";
    struct recording r[17];
    for (int i = 0; i < 17; i++) r[i] = record_run(b, "A"); /* 16 hex digits: two begin alike */
    for (int i = 0; i < 17; i++)
        for (int k = 0; k < i; k++)
            if (r[i].run_id[0] == r[k].run_id[0]) prefix[0] = r[i].run_id[0];
    struct lt_run_ref found;
    assert_int_equal(lt_query_find(q, prefix, &found, &b->error), LITMUS_EAMBIGUOUS);
    int named = 0;
    for (int i = 0; i < 17; i++) named += r[i].run_id[0] == prefix[0] && strstr(b->error.text, r[i].run_id) != NULL;
    assert_true(named >= 2);
    lt_query_free(q);
}

/* ---- steps and measurements ---- */

static struct lt_run_ref find(struct bench *b, struct lt_query *q, const char *ref) {
    struct lt_run_ref found;
    must(b, lt_query_find(q, ref, &found, &b->error));
    return found;
}

static void check_steps(struct bench *b, struct lt_query *q, const struct lt_run_ref *ref, bool live) {
    struct lt_table t;
    must(b, lt_query_steps(q, ref, &t, &b->error));
    assert_int_equal(lt_table_rows(&t), 3);
    assert_text(&t, "step_path", 0, "suite/s0");
    assert_text(&t, "step_outcome", 0, "passed");
    assert_text(&t, "outcome", 0, "passed");
    assert_whole(&t, "measurement_count", 0, 2);
    assert_whole(&t, "has_measurements", 0, 1);
    assert_whole(&t, "retry_count", 0, 0);
    assert_whole(&t, "vector_count", 0, 1);
    struct lt_str started = lt_table_str(&t, lt_table_find(&t, "started_at"), 0);
    assert_true(started.n >= 19 && started.p[10] == ' ');
    double duration = -1;
    assert_true(lt_table_real(&t, lt_table_find(&t, "duration_s"), 0, &duration) && duration >= 0);
    assert_no_value(&t, "step_outcome", 2);
    assert_no_value(&t, "started_at", 2);
    assert_no_value(&t, "duration_s", 2);
    assert_whole(&t, "has_measurements", 2, 0);
    assert_whole(&t, "live", 2, live);
    if (live) assert_no_value(&t, "never_ran_reason", 2);
    if (live) assert_no_value(&t, "file_path", 0);
    lt_table_release(&t);
}

static void check_measurements(struct bench *b, struct lt_query *q, const struct lt_run_ref *ref) {
    struct lt_table t;
    must(b, lt_query_measurements(q, ref, &t, &b->error));
    assert_int_equal(lt_table_rows(&t), 4);
    assert_text(&t, "measurement_name", 0, "m0");
    assert_text(&t, "measurement_name", 1, "m1");
    assert_whole(&t, "step_index", 2, 1);
    double value = -1;
    assert_true(lt_table_real(&t, lt_table_find(&t, "measurement_value"), 3, &value));
    assert_true(fabs(value - 1.5) < 1e-9);
    assert_text(&t, "record_type", 0, "measurement");
    assert_true(lt_table_find(&t, "step_instruments_name") >= 0);
    assert_text(&t, "file_path", 0, ref->path[0] == '\0' ? NULL : ref->path);
    lt_table_release(&t);
}

static void test_steps_and_measurements_live_and_final(void **state) {
    struct bench *b = *state;
    struct recording r;
    start_recording(b, &r, "A", 3);
    do_step(&r, 0, NULL);
    do_step(&r, 1, NULL);
    struct lt_query *q = open_query(b);
    struct lt_run_ref ref = find(b, q, "last");
    assert_true(ref.live);
    check_steps(b, q, &ref, true);
    check_measurements(b, q, &ref);
    finish_recording(&r);
    ref = find(b, q, r.run_id);
    assert_false(ref.live);
    check_steps(b, q, &ref, false);
    check_measurements(b, q, &ref);
    lt_query_free(q);
}

static void test_chosen_columns(void **state) {
    struct bench *b = *state;
    static const char *const columns[] = {"step_path", "record_type", "no_such_column", "attempt_outcomes"};
    struct recording r;
    start_recording(b, &r, "A", 2);
    do_step(&r, 0, NULL);
    struct lt_query *q = open_query(b);
    for (int final = 0; final < 2; final++) {
        struct lt_run_ref ref = find(b, q, r.run_id);
        struct lt_table t;
        must(b, lt_query_rows(q, &ref, columns, 4, &t, &b->error));
        assert_int_equal(lt_table_columns(&t), 3);
        assert_int_equal(lt_table_rows(&t), 5);
        assert_text(&t, "record_type", 0, "run");
        assert_text(&t, "step_path", 1, "suite/s0");
        assert_int_equal(lt_table_find(&t, "run_id"), -1);
        lt_table_release(&t);
        if (final == 0) finish_recording(&r);
    }
    lt_query_free(q);
}

/* ---- events ---- */

static int64_t count_events(struct bench *b, struct lt_query *q, const struct lt_event_filter *filter) {
    struct lt_table t;
    must(b, lt_query_events(q, filter, &t, &b->error));
    int64_t n = lt_table_rows(&t), at = lt_table_find(&t, "received_at"), before = 0, now = 0;
    for (int64_t row = 0; row < n; row++, before = now) {
        assert_true(lt_table_int(&t, at, row, &now));
        assert_true(now >= before);
    }
    lt_table_release(&t);
    return n;
}

static void test_events_by_filter(void **state) {
    struct bench *b = *state;
    struct recording r = record_run(b, "A"), other = record_run(b, "B");
    struct lt_query *q = open_query(b);
#define COUNT(...) count_events(b, q, &(struct lt_event_filter){.since = LT_TIME_NONE, __VA_ARGS__})
    int64_t all = COUNT(.limit = 0), of_session = COUNT(.session_id = r.session_id);
    assert_int_equal(all, of_session + COUNT(.session_id = other.session_id));
    assert_int_equal(COUNT(.run_id = r.run_id, .event_type = "test.measurement"), 4);
    assert_int_equal(COUNT(.event_type = "run.started"), 2);
    assert_int_equal(COUNT(.limit = 3), 3);
    assert_int_equal(COUNT(.limit = 100000), all);
    assert_int_equal(COUNT(.session_id = "no-such-session"), 0);
    assert_int_equal(COUNT(.role = "dmm"), 0);
    assert_int_equal(count_events(b, q, &(struct lt_event_filter){.since = lt_now_us() + 60000000}), 0);
    assert_int_equal(count_events(b, q, &(struct lt_event_filter){.since = 1}), all);
    /* The most recent ones: the other session's. */
    struct lt_table t;
    must(b, lt_query_events(q, &(struct lt_event_filter){.since = LT_TIME_NONE, .limit = 2, .event_type = "test.step_ended"}, &t, &b->error));
    assert_int_equal(lt_table_rows(&t), 2);
    assert_text(&t, "run_id", 0, other.run_id);
    assert_text(&t, "run_id", 1, other.run_id);
    lt_table_release(&t);
    lt_query_free(q);
}

static void test_events_by_role(void **state) {
    struct bench *b = *state;
    struct recording r;
    start_recording(b, &r, "A", 1);
    static const struct {
        const char *type, *payload;
    } events[] = {
        {"fixture.instrument_connected", "{\"role\":\"dmm\",\"instrument_id\":\"i\",\"resource\":\"x\"}"},
        {"instrument.read", "{\"instrument_role\":\"dmm\",\"channel_id\":\"dmm.v\",\"method\":\"m\"}"},
        {"channel.started", "{\"channel_id\":\"dmm.v\"}"},
        {"channel.started", "{\"channel_id\":\"dmm2.v\"}"},
    };
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        struct litmus_event event = {.event_type = events[i].type, .run_id = r.run_id, .payload = events[i].payload};
        must(b, litmus_emit(r.session, &event, NULL, &b->error));
    }
    struct lt_query *q = open_query(b);
    assert_int_equal(COUNT(.role = "dmm"), 3);
    finish_recording(&r);
    assert_int_equal(COUNT(.role = "dmm"), 3);
    lt_query_free(q);
}

static void test_a_copied_log_doubles_nothing(void **state) {
    struct bench *b = *state;
    char command[1200];
    struct recording r = record_run(b, "A");
    struct lt_query *q = open_query(b);
    int64_t all = COUNT(.limit = 0);
    snprintf(command, sizeof command, "cd '%s'/events && mkdir 1999-01-01 && cp */%s-*.arrow 1999-01-01/", b->dir, r.session_id);
    assert_int_equal(system(command), 0);
    assert_int_equal(COUNT(.limit = 0), all);
    assert_int_equal(COUNT(.limit = 5), 5);
    lt_query_free(q);
}

static void count_row(void *self, const struct lt_row *row) {
    assert_true(row->id.n == 36);
    ++*(int *)self;
}

static void test_follow_gives_each_event_once(void **state) {
    struct bench *b = *state;
    struct recording before = record_run(b, "A"), r;
    struct lt_query *q = open_query(b);
    struct lt_event_filter measurements = {.since = LT_TIME_NONE, .event_type = "test.measurement"};
    struct lt_event_follow *f;
    int count = 0;
    (void)before;
    start_recording(b, &r, "B", 2);
    do_step(&r, 0, NULL);
    must(b, lt_event_follow_open(q, &measurements, false, &f, &b->error));
    must(b, lt_event_follow_poll(f, count_row, &count, &b->error));
    assert_int_equal(count, 0); /* what was there before */
    do_step(&r, 1, NULL);
    must(b, lt_event_follow_poll(f, count_row, &count, &b->error));
    assert_int_equal(count, 2);
    finish_recording(&r);
    record_run(b, "C"); /* a log that was not there */
    must(b, lt_event_follow_poll(f, count_row, &count, &b->error));
    assert_int_equal(count, 6);
    must(b, lt_event_follow_poll(f, count_row, &count, &b->error));
    assert_int_equal(count, 6);
    lt_event_follow_free(f);
    lt_query_free(q);
}

/* ---- through litmus.h ---- */

static void assert_cell(const litmus_table *t, int64_t row, const char *column, const char *expected) {
    char text[64];
    assert_int_equal(litmus_table_text(t, row, litmus_table_find(t, column), text, sizeof text), strlen(expected));
    assert_string_equal(text, expected);
}

static void test_read_back_from_c(void **state) {
    struct bench *b = *state;
    struct recording r = record_run(b, "A");
    record_run(b, "B");
    litmus_table *t;
    char text[8];
    must(b, litmus_read(b->dir, LITMUS_LIST_RUNS, NULL, 0, &t, &b->error));
    assert_int_equal(litmus_table_rows(t), 2);
    assert_cell(t, 1, "test_run_id", r.run_id);
    assert_cell(t, 1, "passed", "2");
    assert_cell(t, 1, "live", "false");
    int started = litmus_table_find(t, "started_at");
    assert_int_equal(litmus_table_text(t, 0, started, text, sizeof text), 27); /* the full length of what was cut */
    assert_int_equal(strlen(text), 7);
    assert_int_equal(litmus_table_text(t, 0, litmus_table_find(t, "slot_id"), text, sizeof text), -1);
    assert_int_equal(litmus_table_text(t, 0, -1, text, sizeof text), -1);
    assert_string_equal(litmus_table_column_name(t, 0), "test_run_id");
    assert_null(litmus_table_column_name(t, litmus_table_columns(t)));
    litmus_table_free(t);
    must(b, litmus_read(b->dir, LITMUS_LIST_STEPS, r.run_id, 0, &t, &b->error));
    assert_int_equal(litmus_table_rows(t), 2);
    assert_cell(t, 1, "step_path", "suite/s1");
    litmus_table_free(t);
    must(b, litmus_read(b->dir, LITMUS_LIST_MEASUREMENTS, "@2", 0, &t, &b->error));
    assert_int_equal(litmus_table_rows(t), 4);
    assert_cell(t, 3, "measurement_value", "1.5");
    litmus_table_free(t);
    assert_int_equal(litmus_read(b->dir, LITMUS_LIST_STEPS, "@3", 0, &t, &b->error), LITMUS_ENOENT);
    assert_null(t);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_runs_by_filter_limit_and_offset),
        TEST(test_runs_by_words),
        TEST(test_blanks_around_a_serial_do_not_count),
        TEST(test_a_run_in_flight_is_listed_and_ends),
        TEST(test_a_dead_producers_run_is_unfinished_until_materialized),
        TEST(test_what_was_just_looked_at_is_taken_as_it_is_once),
        TEST(test_a_run_that_gets_its_file_meanwhile_is_listed),
        TEST(test_a_run_that_gets_its_file_meanwhile_is_found),
        TEST(test_a_run_that_gets_its_file_meanwhile_is_in_sql),
        TEST(test_find),
        TEST(test_an_ambiguous_prefix_names_the_candidates),
        TEST(test_steps_and_measurements_live_and_final),
        TEST(test_chosen_columns),
        TEST(test_events_by_filter),
        TEST(test_events_by_role),
        TEST(test_a_copied_log_doubles_nothing),
        TEST(test_follow_gives_each_event_once),
        TEST(test_read_back_from_c),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
