/* SPDX-License-Identifier: Apache-2.0 */
#include "emit/durability.h"

#include "log_helper.h"

static void test_words(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int mode, group_ms; /* mode -1: refused */
    } rows[] = {
        {"os", LITMUS_DURABILITY_OS, 7},           {"each", LITMUS_DURABILITY_EACH, 7}, {"group", LITMUS_DURABILITY_GROUP, 7},
        {"group 50", LITMUS_DURABILITY_GROUP, 50}, {"group 50 ms", LITMUS_DURABILITY_GROUP, 50},
        {"", -1, 7},                               {"never", -1, 7},                    {"each 5", -1, 7},
        {"os ms", -1, 7},                          {"group 0", -1, 7},                  {"group -1 ms", -1, 7},
        {"group 50 s", -1, 7},                     {"group 50 ms x", -1, 7},            {"group ms", -1, 7},
        {"grouped", -1, 7},                        {"group 99999999999", -1, 7},        {"eachother", -1, 7},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum litmus_durability mode = LITMUS_DURABILITY_DEFAULT;
        int group_ms = 7;
        bool ok = lt_durability_parse(rows[i].text, &mode, &group_ms);
        if (ok != (rows[i].mode >= 0)) fail_msg("\"%s\" was %s", rows[i].text, ok ? "taken" : "refused");
        if (ok) assert_int_equal(mode, rows[i].mode);
        assert_int_equal(group_ms, rows[i].group_ms);
    }
}

static enum litmus_durability found(int *group_ms) {
    enum litmus_durability mode;
    struct litmus_error error = {0};
    assert_ok(lt_durability_find(&mode, group_ms, &error), error);
    return mode;
}

static void test_where_it_is_said(void **state) {
    (void)state;
    char dir[256], path[300];
    enum litmus_durability mode;
    struct litmus_error error = {0};
    int group_ms = 0;
    make_temp(dir);
    assert_int_equal(chdir(dir), 0);
    snprintf(path, sizeof path, "%s/litmus.yaml", dir);
    unsetenv("LITMUS_DURABILITY");
    store_file(path, "record: optional\n", 17);
    assert_int_equal(found(&group_ms), LITMUS_DURABILITY_OS);
    store_file(path, "durability: group 20 ms\n", 24);
    assert_int_equal(found(&group_ms), LITMUS_DURABILITY_GROUP);
    assert_int_equal(group_ms, 20);
    setenv("LITMUS_DURABILITY", "each", 1);
    assert_int_equal(found(&group_ms), LITMUS_DURABILITY_EACH);
    setenv("LITMUS_DURABILITY", "always", 1);
    assert_int_equal(lt_durability_find(&mode, &group_ms, &error), LITMUS_ECONFIG);
    assert_non_null(strstr(error.text, "always"));
    unsetenv("LITMUS_DURABILITY");
    store_file(path, "durability: 5\n", 14);
    lt_error_clear(&error);
    assert_int_equal(lt_durability_find(&mode, &group_ms, &error), LITMUS_ECONFIG);
    assert_non_null(strstr(error.text, "litmus.yaml"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_where_it_is_said),
    };
    return cmocka_run_group_tests_name("durability", tests, NULL, NULL);
}
