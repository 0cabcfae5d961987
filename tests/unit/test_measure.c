/* SPDX-License-Identifier: Apache-2.0
 *
 * Measurements, observations and sub-steps by the C API, read back from the run's file.
 */
#include "runs_helper.h"

#include <signal.h>
#include <sys/resource.h>

#include "emit/session.h"
#include "model/event.h"

static const struct litmus_limit volts = {.low = 1, .high = 2, .nominal = 1.5, .units = "V", .characteristic_id = "rail", .spec_ref = "3.1"};

/* The cell of the row whose `key` column holds `value`, "NULL" for none. */
static const char *cell(const litmus_table *table, const char *key, const char *value, const char *column) {
    static char text[512];
    char found[512];
    for (int64_t row = 0; row < litmus_table_rows(table); row++) {
        if (litmus_table_text(table, row, litmus_table_find(table, key), found, sizeof found) < 0 || strcmp(found, value) != 0) continue;
        if (litmus_table_text(table, row, litmus_table_find(table, column), text, sizeof text) < 0) return "NULL";
        return text;
    }
    fail_msg("no row has %s %s", key, value);
    return NULL;
}

static litmus_table *read_back(struct bench *b, enum litmus_list what) {
    litmus_table *table = NULL;
    must(b, litmus_read(b->dir, what, "last", 0, &table, &b->error));
    return table;
}

static const char *measured(struct recording *r, struct litmus_measurement m) {
    const char *outcome = NULL;
    must(r->bench, litmus_measure_full(r->run, &m, &outcome, &r->bench->error));
    return outcome;
}

static void everything_that_is_known_of_a_measurement_is_on_record(void **state) {
    struct bench *b = *state;
    struct recording r;
    struct litmus_limit text = {.low = NAN, .high = NAN, .nominal = NAN, .text = "v1"};
    start_recording(b, &r, "SN1", 1);
    must(b, litmus_step_start(r.run, 0, "{\"load\": 0.5}", &b->error));
    assert_string_equal(measured(&r, (struct litmus_measurement){.name = "rail", .value = 1.5, .limit = &volts, .dut_pin = "J1.4", .fixture_connection = "TP1",
                                                                 .instrument_name = "dmm", .instrument_resource = "GPIB::1", .instrument_channel = "2"}),
                        "passed");
    assert_string_equal(measured(&r, (struct litmus_measurement){.name = "fw \"x\"", .text = "v2", .limit = &text}), "failed");
    assert_string_equal(measured(&r, (struct litmus_measurement){.name = "hot", .value = INFINITY, .limit = &volts}), "failed");
    assert_string_equal(measured(&r, (struct litmus_measurement){.name = "lost", .value = NAN}), "errored");
    const char *outcome = NULL;
    must(b, litmus_measure_text(r.run, "id", "abc", NULL, &outcome, &b->error));
    assert_string_equal(outcome, "done");
    must(b, litmus_observe(r.run, "temperature", "21.5", &b->error));
    must(b, litmus_step_end(r.run, NULL, NULL, &b->error));
    finish_recording(&r);
    litmus_table *t = read_back(b, LITMUS_LIST_MEASUREMENTS), *steps = read_back(b, LITMUS_LIST_STEPS);
    static const struct {
        const char *name, *column, *text;
    } cells[] = {
        {"rail", "measurement_value", "1.5"}, {"rail", "measurement_units", "V"},  {"rail", "limit_low", "1.0"},          {"rail", "limit_comparator", "GELE"},
        {"rail", "characteristic_id", "rail"}, {"rail", "spec_ref", "3.1"},        {"rail", "dut_pin", "J1.4"},           {"rail", "fixture_connection", "TP1"},
        {"rail", "instrument_name", "dmm"},   {"rail", "instrument_channel", "2"}, {"rail", "instrument_resource", "GPIB::1"}, {"rail", "in_load", "0.5"},
        {"rail", "measurement_text", "NULL"}, {"fw \"x\"", "measurement_text", "v2"}, {"fw \"x\"", "limit_text", "v1"},   {"fw \"x\"", "limit_comparator", "EQ"},
        {"fw \"x\"", "measurement_value", "NULL"}, {"hot", "measurement_value", "NULL"}, {"hot", "measurement_outcome", "failed"}, {"lost", "measurement_outcome", "errored"},
        {"lost", "limit_comparator", "NULL"}, {"id", "measurement_text", "abc"},   {"id", "limit_text", "NULL"},
    };
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        const char *got = cell(t, "measurement_name", cells[i].name, cells[i].column);
        if (strcmp(got, cells[i].text) != 0) fail_msg("%s, %s: %s, not %s", cells[i].name, cells[i].column, got, cells[i].text);
    }
    assert_true(litmus_table_text(t, 0, litmus_table_find(t, "measurement_timestamp"), (char[64]){0}, 64) > 0);
    assert_string_equal(cell(steps, "step_name", "s0", "step_outcome"), "errored");
    litmus_table_free(t);
    litmus_table_free(steps);
}

static void sub_steps_nest_and_worsen_what_they_are_in(void **state) {
    struct bench *b = *state;
    struct recording r;
    start_recording(b, &r, "SN1", 1);
    must(b, litmus_step_start(r.run, 0, NULL, &b->error));
    must(b, litmus_substep_start(r.run, "ramp", NULL, &b->error));
    must(b, litmus_substep_start(r.run, "up/down 5%", "{\"v\": 1}", &b->error));
    must(b, litmus_measure(r.run, "rail", 3, &volts, NULL, &b->error));
    must(b, litmus_step_end(r.run, "passed", NULL, &b->error));
    must(b, litmus_step_end(r.run, NULL, NULL, &b->error));
    must(b, litmus_substep_start(r.run, "ramp", NULL, &b->error));
    must(b, litmus_measure(r.run, "rail", 1.5, &volts, NULL, &b->error)); /* another step: its own names */
    must(b, litmus_step_end(r.run, NULL, NULL, &b->error));
    must(b, litmus_substep_start(r.run, "left open", NULL, &b->error));
    finish_recording(&r);
    litmus_table *steps = read_back(b, LITMUS_LIST_STEPS);
    assert_int_equal(litmus_table_rows(steps), 5);
    static const struct {
        const char *path, *outcome, *name, *parent;
    } rows[] = {
        {"suite/s0", "terminated", "s0", "suite"},
        {"suite/s0/ramp", "failed", "ramp", "suite/s0"},
        {"suite/s0/ramp/up%2Fdown 5%25", "failed", "up/down 5%", "suite/s0/ramp"},
        {"suite/s0/ramp#2", "passed", "ramp", "suite/s0"},
        {"suite/s0/left open", "terminated", "left open", "suite/s0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_string_equal(cell(steps, "step_path", rows[i].path, "step_outcome"), rows[i].outcome);
        assert_string_equal(cell(steps, "step_path", rows[i].path, "step_name"), rows[i].name);
        assert_string_equal(cell(steps, "step_path", rows[i].path, "parent_path"), rows[i].parent);
        assert_string_equal(cell(steps, "step_path", rows[i].path, "step_index"), "0");
    }
    litmus_table_free(steps);
}

/* The envelope, then every field of the type once, and each as the table wants it. */
static void assert_complete(const struct lt_row *row, const struct lt_event_type *type) {
    const char *bad = NULL;
    yyjson_doc *doc = yyjson_read(row->json.p, row->json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *key, *value;
    size_t i, max, envelope = 6;
    assert_non_null(doc);
    if (!lt_event_readable(LT_EVENT_MEASUREMENT, root, &bad)) fail_msg("%s is not what the table wants: %.*s", bad, LT_STR_ARG(row->json));
    assert_int_equal(yyjson_obj_size(root), envelope + type->field_count);
    yyjson_obj_foreach(root, i, max, key, value) assert_ptr_equal(yyjson_obj_get(root, yyjson_get_str(key)), value);
    for (i = 0; i < type->field_count; i++)
        if (yyjson_obj_get(root, type->fields[i].name) == NULL) fail_msg("%s is missing: %.*s", type->fields[i].name, LT_STR_ARG(row->json));
    yyjson_doc_free(doc);
}

static void a_measurement_is_complete_though_nobody_checks_it(void **state) {
    struct bench *b = *state;
    struct recording r;
    struct lt_log_reader *reader;
    struct lt_row row;
    const struct lt_event_type *type = &lt_event_types[LT_EVENT_MEASUREMENT];
    const struct litmus_limit word = {.low = NAN, .high = NAN, .nominal = NAN, .text = "v\"1\n"};
    start_recording(b, &r, "SN1", 1);
    must(b, litmus_step_start(r.run, 0, NULL, &b->error));
    must(b, litmus_measure(r.run, "bare", 1e-7, NULL, NULL, &b->error));
    must(b, litmus_measure(r.run, "\"\x01\xc3\xa9", INFINITY, &volts, NULL, &b->error));
    must(b, litmus_measure_text(r.run, "text", "v\\\x7f", &word, NULL, &b->error));
    must(b, litmus_substep_start(r.run, "sub", " {\"load\": [1, {}]} ", &b->error));
    must(b, litmus_measure_full(r.run, &(struct litmus_measurement){.name = "all", .value = -0.0, .units = "V", .limit = &volts, .characteristic_id = "c", .spec_ref = "s",
        .dut_pin = "J1", .fixture_connection = "TP1", .instrument_name = "dmm", .instrument_resource = "GPIB::1", .instrument_channel = "2"}, NULL, &b->error));
    must(b, lt_log_reader_open(lt_log_writer_path(r.session->log), &reader, &b->error));
    int found = 0;
    while (lt_log_next(reader, &row, &b->error) == LT_LOG_EVENT) {
        if (!lt_str_eq(row.event_type, lt_str_of(type->name))) continue;
        assert_complete(&row, type);
        found++;
    }
    assert_int_equal(found, 4);
    lt_log_reader_free(reader);
    must(b, litmus_step_end(r.run, NULL, NULL, &b->error));
    must(b, litmus_step_end(r.run, NULL, NULL, &b->error));
    finish_recording(&r);
}

static void refused(struct bench *b, int code, int expected, const char *words) {
    if (code != expected || strstr(b->error.text, words) == NULL) fail_msg("%s: \"%s\", not %s: %s", litmus_code_name(code), b->error.text, litmus_code_name(expected), words);
    b->error = (struct litmus_error){0};
}

static void bad_input_is_refused_and_leaves_nothing(void **state) {
    struct bench *b = *state;
    struct recording r;
    static char long_text[70000];
    memset(long_text, 'x', sizeof long_text - 1);
    const struct litmus_limit upside_down = {.low = 2, .high = 1, .nominal = NAN}, text = {.low = NAN, .high = NAN, .nominal = NAN, .text = "v1"};
    start_recording(b, &r, "SN1", 1);
    refused(b, litmus_measure(r.run, "x", 1, NULL, NULL, &b->error), LITMUS_ESTATE, "litmus_step_start first");
    refused(b, litmus_step_start(r.run, 0, "[1]", &b->error), LITMUS_EINVAL, "must be an object");
    refused(b, litmus_step_start(r.run, 0, "{\"a\"", &b->error), LITMUS_EINVAL, "inputs_json is no JSON");
    must(b, litmus_step_start(r.run, 0, NULL, &b->error));
    must(b, litmus_measure(r.run, "first", 1, NULL, NULL, &b->error));
    refused(b, litmus_measure(r.run, "first", 2, NULL, NULL, &b->error), LITMUS_EINVAL, "first was measured in suite/s0 before");
    refused(b, litmus_measure(r.run, NULL, 1, NULL, NULL, &b->error), LITMUS_EINVAL, "a measurement needs a name");
    refused(b, litmus_measure(r.run, long_text, 1, NULL, NULL, &b->error), LITMUS_EINVAL, "at most 255");
    refused(b, litmus_measure(r.run, "\xff", 1, NULL, NULL, &b->error), LITMUS_EINVAL, "the name of a measurement is not UTF-8");
    refused(b, litmus_measure(r.run, "x", 1, &upside_down, NULL, &b->error), LITMUS_EINVAL, "the limit of x cannot judge: low 2 is above high 1");
    refused(b, litmus_measure(r.run, "x", 1, &text, NULL, &b->error), LITMUS_EINVAL, "x is a number, and its limit a text");
    refused(b, litmus_measure_text(r.run, "x", "v1", &volts, NULL, &b->error), LITMUS_EINVAL, "x is a text, and its limit one of numbers");
    refused(b, litmus_measure_text(r.run, "x", long_text, NULL, NULL, &b->error), LITMUS_EINVAL, "attach it instead");
    refused(b, litmus_measure_text(r.run, "x", "\xff", NULL, NULL, &b->error), LITMUS_EINVAL, "the text of measurement x is not UTF-8");
    const struct litmus_measurement millivolts = {.name = "x", .value = 1500, .units = "mV", .limit = &volts};
    refused(b, litmus_measure_full(r.run, &millivolts, NULL, &b->error), LITMUS_EINVAL, "in mV and its limit in V");
    refused(b, litmus_measure_full(r.run, &(struct litmus_measurement){.name = "x", .spec_ref = "\xc3"}, NULL, &b->error), LITMUS_EINVAL, "spec_ref is not UTF-8");
    const struct litmus_measurement pin = {.name = "x", .value = 1, .dut_pin = long_text}, units = {.name = "x", .value = 1, .units = long_text};
    refused(b, litmus_measure_full(r.run, &pin, NULL, &b->error), LITMUS_EINVAL, "dut_pin has 69999 bytes, at most 255");
    refused(b, litmus_measure_full(r.run, &units, NULL, &b->error), LITMUS_EINVAL, "units has 69999 bytes, at most 255");
    refused(b, litmus_observe(r.run, "x", long_text, &b->error), LITMUS_EINVAL, "attach it instead");
    refused(b, litmus_verify(r.run, "x", 1, NULL, &b->error), LITMUS_EINVAL, "has no limit");
    refused(b, litmus_observe(r.run, "x", "abc", &b->error), LITMUS_EINVAL, "a text needs its quotes");
    refused(b, litmus_substep_start(r.run, "", NULL, &b->error), LITMUS_EINVAL, "a sub-step needs a name");
    must(b, litmus_step_end(r.run, NULL, NULL, &b->error));
    finish_recording(&r);
    litmus_table *t = read_back(b, LITMUS_LIST_MEASUREMENTS);
    assert_int_equal(litmus_table_rows(t), 1);
    litmus_table_free(t);
}

static void what_could_not_be_recorded_has_not_taken_the_name(void **state) {
    struct bench *b = *state;
    struct recording r;
    struct rlimit before, none = {0};
    start_recording(b, &r, "SN1", 1);
    must(b, litmus_step_start(r.run, 0, NULL, &b->error));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    int code = litmus_measure(r.run, "x", 1, NULL, NULL, &b->error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    refused(b, code, LITMUS_ENOSPC, "");
    must(b, litmus_measure(r.run, "x", 1, NULL, NULL, &b->error));
    refused(b, litmus_measure(r.run, "x", 1, NULL, NULL, &b->error), LITMUS_EINVAL, "x was measured in suite/s0 before");
    must(b, litmus_step_end(r.run, NULL, NULL, &b->error));
    finish_recording(&r);
}

static void verify_says_what_was_violated_once_it_is_on_record(void **state) {
    struct bench *b = *state;
    struct recording r;
    start_recording(b, &r, "SN1", 1);
    must(b, litmus_step_start(r.run, 0, NULL, &b->error));
    must(b, litmus_verify(r.run, "good", 1.5, &volts, &b->error));
    refused(b, litmus_verify(r.run, "bad", 2.5, &volts, &b->error), LITMUS_ELIMIT, "bad = 2.5 V is above 2.0 by 0.5 (low 1.0, high 2.0, nominal 1.5, GELE)");
    refused(b, litmus_verify(r.run, "none", NAN, &volts, &b->error), LITMUS_ELIMIT, "none has no value (low 1.0");
    const struct litmus_limit open = {1, 2, NAN, .comparator = "GTLT"}, equal = {NAN, NAN, 5, .comparator = "EQ"};
    refused(b, litmus_verify(r.run, "edge", 1, &open, &b->error), LITMUS_ELIMIT, "edge = 1.0 is on its limit, which is not in it (low 1.0");
    refused(b, litmus_verify(r.run, "low", 0.5, &open, &b->error), LITMUS_ELIMIT, "low = 0.5 is below 1.0 by 0.5 (low 1.0");
    refused(b, litmus_verify(r.run, "off", 4, &equal, &b->error), LITMUS_ELIMIT, "off = 4.0 is off by -1 (low -, high -, nominal 5.0, EQ)");
    refused(b, litmus_measure_full(r.run, NULL, NULL, &b->error), LITMUS_EINVAL, "needs a measurement");
    refused(b, litmus_measure_text(r.run, "t", NULL, NULL, NULL, &b->error), LITMUS_EINVAL, "the text of measurement t is NULL");
    const struct litmus_measurement again = {.name = "good", .value = 1.6, .limit = &volts, .repeat = true};
    must(b, litmus_measure_full(r.run, &again, NULL, &b->error));
    const struct litmus_measurement elsewhere = {.name = "good", .value = 1.6, .limit = &volts, .fixture_connection = "TP2"};
    must(b, litmus_measure_full(r.run, &elsewhere, NULL, &b->error));
    must(b, litmus_step_end(r.run, NULL, NULL, &b->error));
    finish_recording(&r);
    litmus_table *t = read_back(b, LITMUS_LIST_MEASUREMENTS);
    assert_int_equal(litmus_table_rows(t), 8);
    assert_string_equal(cell(t, "measurement_name", "bad", "measurement_outcome"), "failed");
    litmus_table_free(t);
}

static void vectors_are_planned_with_their_inputs_and_every_attempt_is_kept(void **state) {
    struct bench *b = *state;
    struct recording r;
    int vector[3];
    struct litmus_session_options options = {.data_dir = b->dir, .no_daemon = true};
    r = (struct recording){.bench = b};
    must(b, litmus_session_open(&options, &r.session, &b->error));
    must(b, litmus_run_start(r.session, NULL, &r.run, &b->error));
    refused(b, litmus_plan_add_vector(r.run, "suite/sweep", "[1]", NULL, &b->error), LITMUS_EINVAL, "must be an object");
    refused(b, litmus_plan_add(r.run, "suite/\xff", NULL, &b->error), LITMUS_EINVAL, "is not UTF-8"); /* not the whole plan, when it is committed */
    for (int i = 0; i < 3; i++) must(b, litmus_plan_add_vector(r.run, "suite/sweep", i == 0 ? "{\"v\": 3}" : i == 1 ? "{\"v\": 4}" : "{\"v\": 5}", &vector[i], &b->error));
    must(b, litmus_plan_commit(r.run, &b->error));
    for (int attempt = 0; attempt < 2; attempt++) {
        must(b, litmus_step_start(r.run, vector[0], NULL, &b->error));
        must(b, litmus_measure(r.run, attempt == 0 ? "first" : "second", attempt == 0 ? 3 : 1.5, &volts, NULL, &b->error));
        must(b, litmus_substep_start(r.run, "ramp", NULL, &b->error));
        must(b, litmus_step_end(r.run, NULL, NULL, &b->error));
        must(b, litmus_step_end(r.run, NULL, NULL, &b->error));
    }
    must(b, litmus_step_start(r.run, vector[1], "{\"v\": 4.5}", &b->error));
    must(b, litmus_step_end(r.run, "passed", NULL, &b->error));
    finish_recording(&r);
    litmus_table *t = read_back(b, LITMUS_LIST_MEASUREMENTS), *steps = read_back(b, LITMUS_LIST_STEPS), *runs = read_back(b, LITMUS_LIST_RUNS);
    assert_string_equal(cell(t, "measurement_name", "first", "vector_retry"), "0");
    assert_string_equal(cell(t, "measurement_name", "second", "vector_retry"), "1");
    assert_string_equal(cell(t, "measurement_name", "second", "in_v"), "3.0");
    assert_int_equal(litmus_table_rows(steps), 4); /* three vectors and a sub-step */
    assert_string_equal(cell(steps, "vector_index", "2", "step_outcome"), "NULL");
    assert_string_equal(cell(steps, "step_path", "suite/sweep", "vector_outcome"), "passed");
    assert_string_equal(cell(runs, "outcome", "passed", "total_steps"), "4"); /* the failed attempt is not the step's verdict */
    litmus_table_free(t);
    litmus_table_free(steps);
    litmus_table_free(runs);
}

static void what_returns_no_code_takes_null(void **state) {
    (void)state;
    litmus_signal_release(NULL);
    litmus_table_free(NULL);
    assert_null(litmus_run_id(NULL));
    assert_null(litmus_session_id(NULL));
    assert_null(litmus_session_data_dir(NULL));
    assert_null(litmus_channel_uri(NULL));
    assert_int_equal(litmus_table_rows(NULL), 0);
    assert_int_equal(litmus_table_find(NULL, "outcome"), -1);
    assert_int_equal(litmus_table_text(NULL, 0, 0, NULL, 0), -1);
}

/* Each call with nothing for what it needs: refused with a sentence, and nothing is touched. */
static void what_is_left_out_is_refused(void **state) {
    struct bench *b = *state;
    struct recording r;
    litmus_channel *channel = NULL;
    litmus_run *run = NULL;
    struct litmus_event event = {.event_type = "test.record"};
    struct litmus_session_options mode = {.data_dir = b->dir, .durability = 77}, group = {.data_dir = b->dir, .group_ms = -1};
    litmus_session *none = NULL;
    double samples[1] = {1};
    bool yes;
    start_recording(b, &r, "SN1", 1);
    must(b, litmus_step_start(r.run, 0, NULL, &b->error));
    must(b, litmus_channel_open(r.session, "dmm.v", NULL, &channel, &b->error));
#define REFUSED(code, call)                                                             \
    do {                                                                                \
        struct litmus_error error = {0};                                                \
        assert_int_equal(call, code);                                                   \
        assert_true(error.text[0] != '\0');                                             \
    } while (0)
    REFUSED(LITMUS_EINVAL, litmus_session_open(NULL, NULL, &error));
    REFUSED(LITMUS_EINVAL, litmus_session_open(&mode, &none, &error));
    REFUSED(LITMUS_EINVAL, litmus_session_open(&group, &none, &error));
    REFUSED(LITMUS_ESTATE, litmus_emit(NULL, &event, NULL, &error));
    REFUSED(LITMUS_EINVAL, litmus_emit(r.session, NULL, NULL, &error));
    REFUSED(LITMUS_ESTATE, litmus_run_start(NULL, NULL, &run, &error));
    REFUSED(LITMUS_EINVAL, litmus_run_start(r.session, NULL, NULL, &error));
    REFUSED(LITMUS_ESTATE, litmus_plan_add(NULL, "a", NULL, &error));
    REFUSED(LITMUS_ESTATE, litmus_plan_commit(NULL, &error));
    REFUSED(LITMUS_ESTATE, litmus_step_start(NULL, 0, NULL, &error));
    REFUSED(LITMUS_ESTATE, litmus_substep_start(NULL, "a", NULL, &error));
    REFUSED(LITMUS_ESTATE, litmus_step_end(NULL, NULL, NULL, &error));
    REFUSED(LITMUS_ESTATE, litmus_measure(NULL, "a", 1, NULL, NULL, &error));
    REFUSED(LITMUS_EINVAL, litmus_measure_full(r.run, NULL, NULL, &error));
    REFUSED(LITMUS_ESTATE, litmus_verify(NULL, "a", 1, &volts, &error));
    REFUSED(LITMUS_ESTATE, litmus_observe(NULL, "a", "1", &error));
    REFUSED(LITMUS_ESTATE, litmus_attach_bytes(NULL, "a", "b", 1, NULL, &error));
    REFUSED(LITMUS_EINVAL, litmus_attach_bytes(r.run, "a", NULL, 1, NULL, &error));
    REFUSED(LITMUS_EINVAL, litmus_attach_file(r.run, "a", NULL, NULL, &error));
    REFUSED(LITMUS_ESTATE, litmus_run_end(NULL, NULL, NULL, &error));
    REFUSED(LITMUS_ESTATE, litmus_prompt_confirm(NULL, NULL, "Ready?", &yes, &error));
    REFUSED(LITMUS_EINVAL, litmus_prompt_confirm(r.session, NULL, "Ready?", NULL, &error));
    REFUSED(LITMUS_ESTATE, litmus_channel_open(NULL, "a", NULL, &channel, &error));
    REFUSED(LITMUS_EINVAL, litmus_channel_open(r.session, NULL, NULL, &channel, &error));
    REFUSED(LITMUS_EINVAL, litmus_channel_open(r.session, "a", NULL, NULL, &error));
    REFUSED(LITMUS_ESTATE, litmus_channel_sample(NULL, 0, 1, &error));
    REFUSED(LITMUS_ESTATE, litmus_channel_block(NULL, 0, 1, samples, 1, &error));
    REFUSED(LITMUS_EINVAL, litmus_channel_block(channel, 0, 1, NULL, 1, &error));
    REFUSED(LITMUS_EINVAL, litmus_channel_samples(channel, NULL, samples, 1, &error));
    REFUSED(LITMUS_EINVAL, litmus_channel_read(b->dir, NULL, 0, 1, &(struct litmus_signal){0}, &error));
    REFUSED(LITMUS_EINVAL, litmus_channel_read(b->dir, "dmm.v", 0, 1, NULL, &error));
    REFUSED(LITMUS_EINVAL, litmus_read(b->dir, LITMUS_LIST_RUNS, NULL, 0, NULL, &error));
    /* What ends is over all the same. */
    REFUSED(LITMUS_EINVAL, litmus_channel_close(channel, "\xff", &error));
    REFUSED(LITMUS_EINVAL, litmus_run_end(r.run, "fine", "\xff", &error));
    REFUSED(LITMUS_EINVAL, litmus_session_close(r.session, "fine", &error));
#undef REFUSED
    litmus_table *runs = NULL;
    must(b, litmus_read(b->dir, LITMUS_LIST_RUNS, NULL, 0, &runs, &b->error));
    assert_string_equal(cell(runs, "outcome", "terminated", "stop_reason"), "NULL"); /* a step was open */
    assert_int_equal(litmus_table_text(runs, 99, 99, NULL, 0), -1);
    litmus_table_free(runs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(everything_that_is_known_of_a_measurement_is_on_record),
        TEST(sub_steps_nest_and_worsen_what_they_are_in),
        TEST(a_measurement_is_complete_though_nobody_checks_it),
        TEST(bad_input_is_refused_and_leaves_nothing),
        TEST(what_could_not_be_recorded_has_not_taken_the_name),
        TEST(vectors_are_planned_with_their_inputs_and_every_attempt_is_kept),
        TEST(what_is_left_out_is_refused),
        TEST(what_returns_no_code_takes_null),
        TEST(verify_says_what_was_violated_once_it_is_on_record),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
