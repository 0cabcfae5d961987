/* SPDX-License-Identifier: Apache-2.0
 *
 * The judge: every comparator against every kind of value, and every limit that cannot judge.
 */
#include "model/limit.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* What becomes of below, low, between, high, above, -Inf, +Inf, NaN for low 1, high 2; p passed, f failed, e errored. */
static const struct {
    const char *comparator, *verdicts;
} ranges[] = {
    {NULL, "fpppfffe"},   {"GELE", "fpppfffe"}, {"GELT", "fppffffe"}, {"GTLE", "ffppfffe"}, {"GTLT", "ffpffffe"},
    {"GE", "fppppfpe"},   {"GT", "ffpppfpe"},   {"LE", "ppppfpfe"},      {"LT", "pppffpfe"},
};
static const double values[] = {0.5, 1, 1.5, 2, 2.5, -INFINITY, INFINITY, NAN};

static char letter(const char *outcome) {
    return outcome[0];
}

static void every_range_by_every_value(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct lt_limit limit = {.low = 1, .high = 2, .nominal = 1.5, .comparator = ranges[i].comparator};
        assert_int_equal(lt_limit_check(&limit, "x", NULL), LITMUS_OK);
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            if (letter(lt_limit_judge(&limit, values[v])) != ranges[i].verdicts[v])
                fail_msg("%s of %g is not %c", ranges[i].comparator == NULL ? "no comparator" : ranges[i].comparator, values[v], ranges[i].verdicts[v]);
        }
        assert_string_equal(lt_limit_judge_text(&limit, LT_STR("1.5")), "failed");
    }
}

static void a_bound_that_is_missing_holds(void **state) {
    (void)state;
    struct lt_limit low = {.low = 1, .high = NAN, .nominal = NAN}, high = {.low = NAN, .high = 2, .nominal = NAN};
    assert_string_equal(lt_limit_judge(&low, INFINITY), "passed");
    assert_string_equal(lt_limit_judge(&low, 0.9), "failed");
    assert_string_equal(lt_limit_judge(&high, -INFINITY), "passed");
    assert_string_equal(lt_limit_judge(&high, 2.1), "failed");
}

static void equal_and_unequal(void **state) {
    (void)state;
    static const struct {
        const char *comparator;
        double value;
        const char *outcome;
    } table[] = {
        {"EQ", 5, "passed"}, {"EQ", 5.1, "failed"}, {"EQ", NAN, "errored"}, {"EQ", INFINITY, "failed"}, {"NE", 5, "failed"},
        {"NE", 5.1, "passed"}, {"NE", -INFINITY, "passed"}, {"NE", NAN, "errored"}, {"EQ", 1.0, "failed"}, {"XX", 5, "failed"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct lt_limit limit = {.low = 4, .high = 6, .nominal = 5, .comparator = table[i].comparator};
        assert_string_equal(lt_limit_judge(&limit, table[i].value), table[i].outcome);
    }
}

static void a_text_is_equal_or_not(void **state) {
    (void)state;
    static const struct {
        const char *comparator, *value, *outcome;
    } table[] = {
        {NULL, "v1.2", "passed"}, {"EQ", "v1.2", "passed"}, {"EQ", "v1.3", "failed"}, {"EQ", "", "failed"},
        {"NE", "v1.2", "failed"}, {"NE", "v1.3", "passed"}, {"EQ", NULL, "errored"},  {"GELE", "v1.2", "failed"}, {"XX", "v1.2", "failed"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct lt_limit limit = {.low = NAN, .high = NAN, .nominal = NAN, .text = LT_STR("v1.2"), .comparator = table[i].comparator};
        assert_string_equal(lt_limit_judge_text(&limit, lt_str_of(table[i].value)), table[i].outcome);
        assert_string_equal(lt_limit_judge(&limit, 1.2), "failed");
    }
}

static void without_a_limit_nothing_is_judged(void **state) {
    (void)state;
    struct lt_limit none = {.low = NAN, .high = NAN, .nominal = NAN};
    assert_int_equal(lt_limit_check(&none, "x", NULL), LITMUS_OK);
    const struct lt_limit *const both[] = {NULL, &none};
    for (int i = 0; i < 2; i++) {
        assert_string_equal(lt_limit_judge(both[i], 1), "done");
        assert_string_equal(lt_limit_judge(both[i], INFINITY), "done");
        assert_string_equal(lt_limit_judge(both[i], NAN), "errored");
        assert_string_equal(lt_limit_judge_text(both[i], LT_STR("")), "done");
        assert_string_equal(lt_limit_judge_text(both[i], LT_STR_NULL), "errored");
    }
}

static void what_cannot_judge_is_refused(void **state) {
    (void)state;
    static const struct {
        double low, high, nominal;
        const char *text, *comparator, *words;
    } table[] = {
        {NAN, NAN, 5, NULL, NULL, "GELE needs low or high"},
        {NAN, NAN, 5, NULL, "GTLT", "GTLT needs low or high"},
        {NAN, 3, NAN, NULL, "GE", "GE needs low"},
        {NAN, 3, 3, NULL, "GT", "GT needs low"},
        {3, NAN, NAN, NULL, "LE", "LE needs high"},
        {3, NAN, NAN, NULL, "LT", "LT needs high"},
        {1, 2, NAN, NULL, "EQ", "EQ needs a nominal"},
        {1, 2, NAN, NULL, "NE", "NE needs a nominal"},
        {2, 1, NAN, NULL, NULL, "low 2 is above high 1"},
        {2, 1, NAN, NULL, "GE", "low 2 is above high 1"},
        {2, 1, NAN, NULL, "LT", "low 2 is above high 1"},
        {2, 1, 1, NULL, "EQ", "low 2 is above high 1"},
        {INFINITY, 1, NAN, NULL, NULL, "above high"},
        {1, 1, NAN, NULL, "GTLE", "no value is within GTLE from 1 to 1"},
        {-INFINITY, INFINITY, NAN, NULL, NULL, "every value is within"},
        {-INFINITY, NAN, NAN, NULL, "GT", "every value is within"},
        {1, 2, NAN, NULL, "gele", "did you mean GELE?"},
        {NAN, NAN, NAN, NULL, "GELE", "a comparator without"},
        {1, 2, NAN, NULL, "GLE", "did you mean GELE?"},
        {1, 2, NAN, NULL, "between", "there is no comparator between (GELE, "},
        {NAN, NAN, NAN, NULL, "XX", "no comparator XX"},
        {1, 2, NAN, NULL, "", "no comparator "},
        {NAN, NAN, NAN, "v1", "GE", "compared by EQ or NE"},
        {1, NAN, NAN, "v1", "EQ", "both a text and numbers"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct lt_limit limit = {table[i].low, table[i].high, table[i].nominal, lt_str_of(table[i].text), table[i].comparator};
        struct litmus_error error = {0};
        assert_int_equal(lt_limit_check(&limit, "rail", &error), LITMUS_EINVAL);
        if (strstr(error.text, table[i].words) == NULL || strstr(error.text, "the limit of rail cannot judge") == NULL)
            fail_msg("row %zu says: %s", i, error.text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_range_by_every_value),      cmocka_unit_test(a_bound_that_is_missing_holds),
        cmocka_unit_test(equal_and_unequal),               cmocka_unit_test(a_text_is_equal_or_not),
        cmocka_unit_test(without_a_limit_nothing_is_judged), cmocka_unit_test(what_cannot_judge_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
