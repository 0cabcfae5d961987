/* SPDX-License-Identifier: Apache-2.0
 *
 * Measurements and observations of the step that runs. A measurement's JSON is written here by hand: it is
 * what a test executive does most.
 */
#include "emit/run.h"

#include "base/clock.h"
#include "base/json_text.h"
#include "log/layout.h"
#include "model/limit.h"
#include "model/outcome.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* `,"name":` and the value; null for no text, and for a number that JSON does not have. */
#define ADD_TEXT(out, name, text) add_text((out), LT_STR(",\"" name "\":"), (text))
#define ADD_NUMBER(out, name, number) add_number((out), LT_STR(",\"" name "\":"), (number))

static void add_text(struct lt_buf *out, struct lt_str member, struct lt_str text) {
    lt_buf_add_str(out, member);
    if (text.p == NULL) lt_buf_add_text(out, "null");
    else lt_json_str(out, text);
}

static void add_number(struct lt_buf *out, struct lt_str member, double number) {
    lt_buf_add_str(out, member);
    lt_json_real(out, number);
}

static struct lt_limit limit_of(const struct litmus_limit *limit) {
    if (limit == NULL) return (struct lt_limit){.low = NAN, .high = NAN, .nominal = NAN};
    return (struct lt_limit){limit->low, limit->high, limit->nominal, lt_str_of(limit->text), limit->comparator};
}

static struct lt_str first_of(const char *a, const char *b) {
    return lt_str_of(a != NULL ? a : b);
}

/* Every field of test.measurement, so that nobody has to complete or check it (lt_compose_own): tests/unit/test_measure.c
 * holds it against the table. */
static void write_measurement(struct lt_buf *out, const struct lt_open_step *step, const struct litmus_measurement *m, const struct lt_limit *limit,
                              const char *outcome) {
    static const struct litmus_limit none = {.units = NULL};
    const struct litmus_limit *declared = m->limit == NULL ? &none : m->limit;
    char now[LT_ISO_BYTES];
    size_t now_bytes = lt_time_iso(lt_now_us(), now);
    lt_buf_clear(out);
    lt_buf_add(out, step->members.p, step->members.n);
    ADD_TEXT(out, "measurement_name", lt_str_of(m->name));
    ADD_TEXT(out, "measurement_timestamp", ((struct lt_str){now, now_bytes}));
    ADD_NUMBER(out, "value", m->text == NULL ? m->value : NAN);
    ADD_TEXT(out, "units", first_of(m->units, declared->units));
    ADD_TEXT(out, "outcome", lt_str_of(outcome));
    ADD_NUMBER(out, "limit_low", limit->low);
    ADD_NUMBER(out, "limit_high", limit->high);
    ADD_NUMBER(out, "limit_nominal", limit->nominal);
    ADD_TEXT(out, "limit_comparator", lt_str_of(lt_limit_any(limit) ? lt_limit_comparator(limit) : NULL));
    ADD_TEXT(out, "characteristic_id", first_of(m->characteristic_id, declared->characteristic_id));
    ADD_TEXT(out, "spec_ref", first_of(m->spec_ref, declared->spec_ref));
    ADD_TEXT(out, "dut_pin", lt_str_of(m->dut_pin));
    ADD_TEXT(out, "fixture_connection", lt_str_of(m->fixture_connection));
    ADD_TEXT(out, "instrument_name", lt_str_of(m->instrument_name));
    ADD_TEXT(out, "instrument_resource", lt_str_of(m->instrument_resource));
    ADD_TEXT(out, "instrument_channel", lt_str_of(m->instrument_channel));
    lt_buf_add_str(out, LT_STR(",\"outputs\":{},\"custom\":{}"));
    ADD_TEXT(out, "text", lt_str_of(m->text));
    ADD_TEXT(out, "limit_text", limit->text);
    lt_buf_add_char(out, '}');
}

static int emit_measurement(litmus_run *run, struct litmus_error *error) {
    if (run->json.failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an event");
    struct litmus_event event = {.event_type = "test.measurement", .run_id = run->run_id, .payload = run->json.p, .payload_bytes = run->json.n};
    return lt_session_emit_own(run->session, &event, error);
}

/* Units, pins and places in a specification are words, not documents. */
static int check_labels(const struct litmus_measurement *m, struct litmus_error *error) {
    static const struct litmus_limit none = {.units = NULL};
    const struct litmus_limit *limit = m->limit == NULL ? &none : m->limit;
    const struct {
        const char *key, *text;
        size_t max;
    } labels[] = {
        {"units", m->units, LT_NAME_BYTES_MAX},
        {"units of the limit", limit->units, LT_NAME_BYTES_MAX},
        {"text of the limit", limit->text, LT_TEXT_BYTES_MAX},
        {"characteristic_id", first_of(m->characteristic_id, limit->characteristic_id).p, LT_NAME_BYTES_MAX},
        {"spec_ref", first_of(m->spec_ref, limit->spec_ref).p, LT_NAME_BYTES_MAX},
        {"dut_pin", m->dut_pin, LT_NAME_BYTES_MAX},
        {"fixture_connection", m->fixture_connection, LT_NAME_BYTES_MAX},
        {"instrument_name", m->instrument_name, LT_NAME_BYTES_MAX},
        {"instrument_resource", m->instrument_resource, LT_NAME_BYTES_MAX},
        {"instrument_channel", m->instrument_channel, LT_NAME_BYTES_MAX},
    };
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        if (labels[i].text == NULL) continue;
        size_t n = strlen(labels[i].text);
        if (n > labels[i].max)
            return lt_fail(error, LITMUS_EINVAL, 0, "measurement %s: %s has %zu bytes, at most %zu are taken", m->name, labels[i].key, n, labels[i].max);
        if (!lt_utf8_valid(labels[i].text, n)) return lt_fail(error, LITMUS_EINVAL, 0, "measurement %s: %s is not UTF-8", m->name, labels[i].key);
    }
    return LITMUS_OK;
}

/* What can be known before anything is recorded. */
static int check(const struct litmus_measurement *m, const struct lt_limit *limit, struct litmus_error *error) {
    int code = lt_name_check("a measurement", m->name, error);
    if (code == LITMUS_OK) code = lt_limit_check(limit, m->name, error);
    if (code == LITMUS_OK) code = check_labels(m, error);
    if (code != LITMUS_OK) return code;
    if (m->text != NULL && strlen(m->text) > LT_TEXT_BYTES_MAX)
        return lt_fail(error, LITMUS_EINVAL, 0, "the text of measurement %s has %zu bytes, at most %d are taken: attach it instead (litmus_attach_bytes)", m->name,
                       strlen(m->text), LT_TEXT_BYTES_MAX);
    if (m->text != NULL && !lt_utf8_valid(m->text, strlen(m->text))) return lt_fail(error, LITMUS_EINVAL, 0, "the text of measurement %s is not UTF-8", m->name);
    if (m->text != NULL && lt_limit_any(limit) && limit->text.p == NULL)
        return lt_fail(error, LITMUS_EINVAL, 0, "measurement %s is a text, and its limit one of numbers", m->name);
    if (m->text == NULL && limit->text.p != NULL && !isnan(m->value)) return lt_fail(error, LITMUS_EINVAL, 0, "measurement %s is a number, and its limit a text", m->name);
    if (m->units != NULL && m->limit != NULL && m->limit->units != NULL && strcmp(m->units, m->limit->units) != 0)
        return lt_fail(error, LITMUS_EINVAL, 0, "measurement %s is in %.40s and its limit in %.40s: convert one of them", m->name, m->units, m->limit->units);
    return LITMUS_OK;
}

/* What step->measured says of a name. */
enum { NOTED, ON_RECORD };

/* Notes the name (of each connection by itself), and refuses one that is on record. Uses run->json for a while. */
static int note_name(litmus_run *run, struct lt_open_step *step, const struct litmus_measurement *m, struct lt_str *kept, struct litmus_error *error) {
    lt_buf_clear(&run->json);
    lt_buf_add_text(&run->json, m->name);
    if (m->fixture_connection != NULL) lt_buf_addf(&run->json, "\n%s", m->fixture_connection);
    struct lt_str key = {run->json.p, run->json.n};
    uint32_t known = lt_map_get(&step->measured, key, 0);
    if (known == ON_RECORD && !m->repeat)
        return lt_fail(error, LITMUS_EINVAL, 0, "%s was measured in %s before: give it another name, or say that it repeats (litmus_measurement.repeat)", m->name,
                       step->step.path);
    *kept = known == ON_RECORD ? LT_STR_NULL : lt_arena_str(&step->names, key);
    bool ok = !run->json.failed && (known == ON_RECORD || (kept->p != NULL && lt_map_put(&step->measured, *kept, 0, NOTED)));
    return ok ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a measurement");
}

int litmus_measure_full(litmus_run *run, const struct litmus_measurement *m, const char **outcome_out, struct litmus_error *error) {
    struct lt_open_step *step = lt_run_step(run, "a measurement", error);
    if (step == NULL) return LITMUS_ESTATE;
    if (m == NULL) return lt_fail(error, LITMUS_EINVAL, 0, "litmus_measure_full needs a measurement");
    struct lt_limit limit = limit_of(m->limit);
    struct lt_str name = LT_STR_NULL;
    int code = check(m, &limit, error);
    if (code == LITMUS_OK) code = note_name(run, step, m, &name, error);
    if (code != LITMUS_OK) return code;
    const char *outcome = m->text == NULL ? lt_limit_judge(&limit, m->value) : lt_limit_judge_text(&limit, lt_str_of(m->text));
    write_measurement(&run->json, step, m, &limit, outcome);
    code = emit_measurement(run, error);
    if (code != LITMUS_OK) return code; /* the name is free: what was measured is not on record */
    if (name.p != NULL) (void)!lt_map_put(&step->measured, name, 0, ON_RECORD); /* without memory, the name is not held against another */
    step->judged |= lt_limit_any(&limit);
    lt_step_worsen(step, lt_outcome_word(outcome));
    if (outcome_out != NULL) *outcome_out = outcome;
    return LITMUS_OK;
}

int litmus_measure(litmus_run *run, const char *name, double value, const struct litmus_limit *limit, const char **outcome_out, struct litmus_error *error) {
    struct litmus_measurement m = {.name = name, .value = value, .limit = limit};
    return litmus_measure_full(run, &m, outcome_out, error);
}

int litmus_measure_text(litmus_run *run, const char *name, const char *text, const struct litmus_limit *limit, const char **outcome_out,
                        struct litmus_error *error) {
    if (text == NULL) return lt_fail(error, LITMUS_EINVAL, 0, "the text of measurement %.100s is NULL", name == NULL ? "" : name);
    struct litmus_measurement m = {.name = name, .value = NAN, .text = text, .limit = limit};
    return litmus_measure_full(run, &m, outcome_out, error);
}

/* The value and what is wrong with it, by how much: ` = 2.5 V is above 2.0 V by 0.5`. */
static void say_miss(char out[200], const struct litmus_limit *limit, const char *comparator, double value) {
    const char *space = limit->units == NULL ? "" : " ", *units = limit->units == NULL ? "" : limit->units;
    bool above = value > limit->high, below = value < limit->low;
    char bound[LT_REAL_BYTES], text[LT_REAL_BYTES], is[80];
    if (isnan(value)) {
        snprintf(out, 200, " has no value");
        return;
    }
    if (strcmp(comparator, "NE") == 0) snprintf(is, sizeof is, "is what it must not be");
    else if (strcmp(comparator, "EQ") == 0) snprintf(is, sizeof is, "is off by %.3g", value - limit->nominal);
    else if (!above && !below) snprintf(is, sizeof is, "is on its limit, which is not in it");
    else {
        lt_real_text(above ? limit->high : limit->low, bound);
        snprintf(is, sizeof is, "is %s %s by %.3g", above ? "above" : "below", bound, above ? value - limit->high : limit->low - value);
    }
    lt_real_text(value, text);
    snprintf(out, 200, " = %s%s%.40s %s", text, space, units, is);
}

int litmus_verify(litmus_run *run, const char *name, double value, const struct litmus_limit *limit, struct litmus_error *error) {
    struct lt_limit judged = limit_of(limit);
    const char *outcome = NULL;
    if (!lt_limit_any(&judged))
        return lt_fail(error, LITMUS_EINVAL, 0, "litmus_verify of %.100s has no limit: use litmus_measure to record without one", name == NULL ? "" : name);
    int code = litmus_measure(run, name, value, limit, &outcome, error);
    if (code != LITMUS_OK || strcmp(outcome, "passed") == 0) return code;
    char low[LT_REAL_BYTES] = "-", high[LT_REAL_BYTES] = "-", nominal[LT_REAL_BYTES] = "-", miss[200];
    if (!isnan(limit->low)) lt_real_text(limit->low, low);
    if (!isnan(limit->high)) lt_real_text(limit->high, high);
    if (!isnan(limit->nominal)) lt_real_text(limit->nominal, nominal);
    say_miss(miss, limit, lt_limit_comparator(&judged), value);
    return lt_fail(error, LITMUS_ELIMIT, 0, "%s%s (low %s, high %s, nominal %s, %s)", name, miss, low, high, nominal, lt_limit_comparator(&judged));
}

int litmus_observe(litmus_run *run, const char *name, const char *value_json, struct litmus_error *error) {
    struct lt_open_step *step = lt_run_step(run, "an observation", error);
    if (step == NULL) return LITMUS_ESTATE;
    int code = lt_name_check("an observation", name, error);
    if (code != LITMUS_OK) return code;
    yyjson_read_err why = {0};
    const char *json = value_json == NULL ? "null" : value_json;
    if (strlen(json) > LT_TEXT_BYTES_MAX)
        return lt_fail(error, LITMUS_EINVAL, 0, "the value of observation %s has %zu bytes, at most %d are taken: attach it instead (litmus_attach_bytes)", name,
                       strlen(json), LT_TEXT_BYTES_MAX);
    yyjson_doc *value = yyjson_read_opts((char *)(uintptr_t)json, strlen(json), 0, NULL, &why);
    if (value == NULL)
        return lt_fail(error, LITMUS_EINVAL, 0, "the value of observation %s is no JSON: %s (a text needs its quotes)", name, why.msg == NULL ? "out of memory" : why.msg);
    struct lt_draft d = lt_draft_inside(step);
    yyjson_mut_obj_add_str(d.doc, d.root, "name", name);
    yyjson_mut_obj_add_val(d.doc, d.root, "value", yyjson_val_mut_copy(d.doc, yyjson_doc_get_root(value)));
    yyjson_doc_free(value);
    return lt_draft_emit(&d, run, "test.observation", error);
}
