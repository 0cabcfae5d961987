/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tree.h"
#include "log_helper.h"

#define OTHER "22345678-1234-4123-8123-123456789abc"

static void touch(const char *dir, const char *name) {
    char path[768];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    store_file(path, "", 0);
}

static void make_dir(const char *dir, const char *name) {
    char path[768];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(mkdir(path, 0777), 0);
}

static void test_find(void **state) {
    (void)state;
    char dir[256];
    make_temp(dir);
    make_dir(dir, "events");
    make_dir(dir, "events/2026-05-17");
    make_dir(dir, "events/2026-05-16");
    make_dir(dir, "events/2026-05-16/" SESSION "_ref");
    touch(dir, "events/2026-05-17/" SESSION "-12.arrow");
    touch(dir, "events/2026-05-16/" SESSION "-7.arrow");
    touch(dir, "events/2026-05-16/" SESSION "-7-2.arrow");
    touch(dir, "events/2026-05-16/" SESSION ".arrow"); /* the older form */
    touch(dir, "events/2026-05-16/" OTHER "-7.arrow");
    touch(dir, "events/2026-05-16/my-session-7.arrow");
    touch(dir, "events/2026-05-16/" SESSION "-7.arrow.torn-680");
    touch(dir, "events/2026-05-16/." SESSION "-7.arrow");
    touch(dir, "events/2026-05-16/.arrow");
    touch(dir, "events/stray.arrow");
    struct litmus_error error = {0};
    struct lt_log_list list;
    assert_ok(lt_log_find(dir, NULL, &list, &error), error);
    assert_int_equal(list.count, 6);
    for (size_t i = 0; i < list.count; i++) {
        assert_int_equal(list.files[i].path[0], '/');
        if (i > 0) assert_true(lt_log_path_order(list.files[i - 1].path, list.files[i].path) < 0);
        bool of_session = strstr(list.files[i].path, SESSION) != NULL;
        if (of_session) assert_string_equal(list.files[i].session, SESSION);
        if (strstr(list.files[i].path, "my-session") != NULL) assert_string_equal(list.files[i].session, "");
    }
    lt_log_list_by_session(&list);
    struct lt_log_list part = lt_log_list_part(&list, SESSION), one;
    assert_ok(lt_log_find(dir, SESSION, &one, &error), error);
    assert_int_equal(part.count, one.count); /* the same files in the same order */
    for (size_t i = 0; i < one.count; i++) assert_string_equal(part.files[i].path, one.files[i].path);
    lt_log_list_release(&one);
    assert_int_equal(lt_log_list_part(&list, "my-session").count, 0); /* to be looked for */
    assert_int_equal(lt_log_list_part(&list, "zzz").count, 0);
    lt_log_list_release(&list);
    assert_ok(lt_log_find(dir, SESSION, &list, &error), error);
    assert_int_equal(list.count, 4);
    lt_log_list_release(&list);
    assert_ok(lt_log_find(dir, "my-session", &list, &error), error);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.files[0].session, "my-session");
    lt_log_list_release(&list);
    assert_ok(lt_log_find(dir, "my", &list, &error), error);
    assert_int_equal(list.count, 0);
    lt_log_list_release(&list);
}

static void test_missing_folder(void **state) {
    (void)state;
    char dir[256], none[300];
    make_temp(dir);
    struct litmus_error error = {0};
    struct lt_log_list list;
    assert_ok(lt_log_find(dir, NULL, &list, &error), error);
    assert_int_equal(list.count, 0);
    snprintf(none, sizeof none, "%s/none", dir);
    assert_ok(lt_log_find(none, NULL, &list, &error), error);
    assert_int_equal(list.count, 0);
    lt_log_list_release(&list);
}

static int pass(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    (void)self, (void)path, (void)st, (void)error;
    return LITMUS_OK;
}

static void test_folders_without_end(void **state) {
    (void)state;
    char dir[256], path[768];
    struct litmus_error error = {0};
    make_temp(dir);
    size_t n = (size_t)snprintf(path, sizeof path, "%s", dir);
    for (int i = 0; i < 18; i++) {
        n += (size_t)snprintf(path + n, sizeof path - n, "/x");
        assert_int_equal(mkdir(path, 0777), 0);
    }
    assert_int_equal(lt_tree_walk(dir, "x", pass, NULL, &error), LITMUS_EINVAL);
    assert_non_null(strstr(error.text, "deeper than 16 folders"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_missing_folder),
        cmocka_unit_test(test_folders_without_end),
    };
    return cmocka_run_group_tests_name("log_find", tests, NULL, NULL);
}
