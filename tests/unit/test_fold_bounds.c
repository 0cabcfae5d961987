/* SPDX-License-Identifier: Apache-2.0
 *
 * A log of some hundred bytes may announce any number of vectors, as often as it likes: the fold stays bounded, and
 * says what it left out.
 */
#include "accumulate/run.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { EVENTS = 300 };

static void fold(struct lt_run *run, const char *type, const char *json) {
    struct litmus_error error = {0};
    struct lt_row row = {.id = LT_STR("00000000-0000-4000-8000-000000000001"), .event_type = lt_str_of(type), .run_id = run->run_id, .json = lt_str_of(json), .occurred_at = 1};
    if (lt_run_fold(run, &row, 1, &error) != LITMUS_OK) fail_msg("%s", error.text);
}

static void start(struct lt_run *run) {
    lt_run_init(run, LT_STR("11111111-1111-4111-8111-111111111111"), LT_STR("22222222-2222-4222-8222-222222222222"));
    fold(run, "run.started", "{}");
}

/* Items t.py::s0, s1, ... of so many vectors each. */
static void plan(struct lt_run *run, int items, long long vectors) {
    struct lt_buf text;
    lt_buf_init(&text);
    lt_buf_add_text(&text, "{\"items\":[");
    for (int i = 0; i < items; i++)
        lt_buf_addf(&text, "%s{\"node_id\":\"t.py::s%d\",\"name\":\"s%d\",\"file\":\"t.py\",\"step_path\":\"t.py/s%d\","
                           "\"vector_index\":0,\"vector_count_planned\":%lld}",
                    i == 0 ? "" : ",", i, i, i, vectors);
    lt_buf_add_text(&text, "]}");
    fold(run, "test.steps_discovered", lt_buf_cstr(&text));
    lt_buf_release(&text);
}

static void settle(struct lt_run *run, bool live) {
    struct litmus_error error = {0};
    if (lt_run_settle(run, live, &error) != LITMUS_OK) fail_msg("%s", error.text);
}

static size_t rows_that_stand_for_more(const struct lt_run *run) {
    size_t count = 0;
    for (size_t i = 0; i < run->step_count; i++) count += run->steps[i].message.n > 0 && strncmp(run->steps[i].message.p, "more vectors", 12) == 0;
    return count;
}

static void many_plans_of_many_vectors(void **state) {
    (void)state;
    struct lt_run run;
    start(&run);
    for (int i = 0; i < EVENTS; i++) plan(&run, 3, 1000000000);
    settle(&run, true);
    size_t bytes = run.arena.bytes;
    for (int i = 0; i < 3; i++) settle(&run, true); /* a live view */
    assert_int_equal(run.arena.bytes, bytes);
    fold(&run, "run.ended", "{\"outcome\":\"aborted\"}");
    settle(&run, false);
    assert_in_range(run.step_count, LT_ANNOUNCED_VECTORS_MAX, LT_ANNOUNCED_VECTORS_MAX + 2 * 3);
    assert_int_equal(rows_that_stand_for_more(&run), 3);
    lt_run_release(&run);
}

/* What is kept is as it was: the bound shows only behind it. */
static void as_many_as_a_run_has_rows_for(void **state) {
    (void)state;
    struct lt_run run;
    start(&run);
    plan(&run, 1, LT_ANNOUNCED_VECTORS_MAX);
    settle(&run, false);
    assert_int_equal(run.step_count, LT_ANNOUNCED_VECTORS_MAX);
    assert_int_equal(rows_that_stand_for_more(&run), 0);
    plan(&run, 1, LT_ANNOUNCED_VECTORS_MAX + 1);
    settle(&run, false);
    assert_int_equal(run.step_count, LT_ANNOUNCED_VECTORS_MAX + 1);
    const struct lt_step *last = &run.steps[run.step_count - 1];
    assert_int_equal(last->vector_index.v, LT_ANNOUNCED_VECTORS_MAX);
    assert_int_equal(rows_that_stand_for_more(&run), 1);
    assert_true(last->planned);
    assert_null(last->vector_outcome.p); /* it never ran: such a run does not look like a pass */
    lt_run_release(&run);
}

static void many_words_about_many_vectors(void **state) {
    (void)state;
    struct lt_run run;
    char text[200];
    start(&run);
    plan(&run, 1, 10);
    for (int i = 0; i < EVENTS; i++) {
        snprintf(text, sizeof text, "{\"step_name\":\"s\",\"node_id\":\"n\",\"step_path\":\"t.py/s%d\",\"reason\":\"skip_marker\",\"message\":\"no load\","
                 "\"vector_count\":1000000000}",
                 i == 0 ? 0 : i + 7);
        fold(&run, "test.step_not_run", text);
    }
    assert_in_range(run.not_run_by_key.count, LT_ANNOUNCED_VECTORS_MAX, LT_ANNOUNCED_VECTORS_MAX + EVENTS);
    fold(&run, "run.ended", "{\"outcome\":\"passed\"}");
    settle(&run, false);
    assert_int_equal(run.step_count, 10);
    for (size_t i = 0; i < run.step_count; i++) {
        assert_true(lt_str_eq(run.steps[i].never_ran_reason, LT_STR("skip_marker")));
        assert_string_equal(run.steps[i].message.p, "no load (said of 1000000000 vectors, more than are kept)");
    }
    lt_run_release(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_plans_of_many_vectors), cmocka_unit_test(as_many_as_a_run_has_rows_for),
                                       cmocka_unit_test(many_words_about_many_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
