/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/tree.h"
#include "log/index.h"
#include "log_helper.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>

#define OTHER "22345678-1234-4123-8123-123456789abc"

/* The one that is called, before that of the C library: entry number `refuse_at` from now on is refused; 0: none is. */
static int refuse_at;

struct dirent *readdir(DIR *dir) {
    static struct dirent *(*next)(DIR *);
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "readdir64");
    if (refuse_at == 0 || --refuse_at > 0) return next(dir);
    errno = EIO;
    return NULL;
}

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

/* The time stamp of a folder's content: `seconds` ago. */
static void set_back(const char *dir, const char *name, int seconds) {
    char path[768];
    struct timespec now, times[2];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    clock_gettime(CLOCK_REALTIME, &now);
    times[0] = times[1] = (struct timespec){.tv_sec = now.tv_sec - seconds};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static size_t found(struct lt_log_index *index, const char *dir, const char *session) {
    struct lt_log_list list;
    struct litmus_error error = {0};
    assert_ok(lt_log_index_find(index, dir, session, NULL, NULL, &list, &error), error);
    for (size_t i = 1; i < list.count; i++) assert_true(lt_log_path_order(list.files[i - 1].path, list.files[i].path) < 0);
    for (size_t i = 0; i < list.count; i++) assert_non_null(strstr(list.files[i].path, session));
    size_t count = list.count;
    lt_log_list_release(&list);
    return count;
}

static void test_index(void **state) {
    (void)state;
    char dir[256], from[512], to[512];
    make_temp(dir);
    make_dir(dir, "events");
    make_dir(dir, "events/2026-05-16");
    make_dir(dir, "events/2026-05-17");
    touch(dir, "events/2026-05-16/" SESSION "-7.arrow");
    touch(dir, "events/2026-05-17/" SESSION "-12.arrow");
    touch(dir, "events/2026-05-17/" OTHER "-7.arrow");
    touch(dir, "events/2026-05-16/my-session-7.arrow");
    struct lt_log_index *index = lt_log_index_new(dir);
    assert_non_null(index);
    assert_int_equal(found(index, dir, SESSION), 2);
    assert_int_equal(found(index, dir, OTHER), 1);
    assert_int_equal(found(index, dir, "my-session"), 1); /* whose names do not say where it ends */
    touch(dir, "events/2026-05-17/" SESSION "-13.arrow"); /* perhaps with the same time stamp of the folder */
    assert_int_equal(found(index, dir, SESSION), 3);
    set_back(dir, "events/2026-05-16", 60);
    set_back(dir, "events/2026-05-17", 60);
    assert_int_equal(found(index, dir, SESSION), 3);
    touch(dir, "events/2026-05-16/" SESSION "-8.arrow");
    assert_int_equal(found(index, dir, SESSION), 4);
    set_back(dir, "events/2026-05-16", 60);
    assert_int_equal(found(index, dir, SESSION), 4);
    set_back(dir, "events/2026-05-16", 50);
    assert_int_equal(found(index, dir, SESSION), 4);
    struct stat st;
    snprintf(from, sizeof from, "%s/events/2026-05-16", dir);
    assert_int_equal(stat(from, &st), 0);
    touch(dir, "events/2026-05-16/" SESSION "-9.arrow");
    struct timespec times[2] = {st.st_mtim, st.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, from, times, 0), 0);
    assert_int_equal(found(index, dir, SESSION), 5); /* as who copies folders sets their times back */
    make_dir(dir, "events/2026-05-18");
    touch(dir, "events/2026-05-18/" OTHER "-8.arrow");
    set_back(dir, "events/2026-05-18", 60);
    assert_int_equal(found(index, dir, OTHER), 2);
    snprintf(to, sizeof to, "%s/away", dir);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(found(index, dir, SESSION), 2);
    make_dir(dir, "events/2026-05-16"); /* another folder of that name, with that time stamp */
    assert_int_equal(utimensat(AT_FDCWD, from, times, 0), 0);
    assert_int_equal(found(index, dir, SESSION), 2);
    assert_int_equal(rmdir(from), 0);
    assert_int_equal(rename(to, from), 0);
    assert_int_equal(found(index, dir, SESSION), 5);
    lt_log_index_free(index);
    snprintf(to, sizeof to, "%s/none", dir);
    assert_null(lt_log_index_new(to));
    lt_log_index_free(NULL);
}

static void count_refused(void *self, const char *folder, const struct litmus_error *why) {
    (void)folder;
    assert_int_not_equal(why->code, LITMUS_OK);
    ++*(int *)self;
}

/* What cannot be listed is told each time, and looked at again each time. */
static void test_index_of_what_cannot_be_listed(void **state) {
    (void)state;
    char dir[256], name[512], target[512];
    struct lt_log_list list;
    struct litmus_error error = {0};
    int refused = 0;
    make_temp(dir);
    make_dir(dir, "events");
    make_dir(dir, "events/2026-05-16");
    touch(dir, "events/2026-05-16/" SESSION "-7.arrow");
    set_back(dir, "events/2026-05-16", 60);
    snprintf(name, sizeof name, "%s/events/2026-05-17", dir);
    snprintf(target, sizeof target, "%s/events/2026-05-18", dir);
    assert_int_equal(symlink(name, target), 0);
    assert_int_equal(symlink(target, name), 0); /* each other: ELOOP */
    struct lt_log_index *index = lt_log_index_new(dir);
    for (int i = 0; i < 2; i++) {
        assert_ok(lt_log_index_find(index, dir, SESSION, count_refused, &refused, &list, &error), error);
        assert_int_equal(list.count, 1);
        lt_log_list_release(&list);
    }
    assert_int_equal(refused, 0); /* links that lead nowhere are passed over by all */
    struct rlimit limit, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    set_back(dir, "events/2026-05-16", 40);
    int last = open(dir, O_RDONLY);
    none = (struct rlimit){.rlim_cur = (rlim_t)last + 2, .rlim_max = limit.rlim_max}; /* one for events/, none for the day */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 1; i <= 2; i++) {
        assert_ok(lt_log_index_find(index, dir, SESSION, count_refused, &refused, &list, &error), error);
        assert_int_equal(list.count, 0);
        assert_int_equal(refused, i);
        lt_log_list_release(&list);
    }
    int code = lt_log_index_find(index, dir, SESSION, NULL, NULL, &list, &error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(code != LITMUS_OK && lt_error_is_refusal(&error) && list.count == 0);
    assert_ok(lt_log_index_find(index, dir, SESSION, count_refused, &refused, &list, &error), error);
    assert_int_equal(list.count, 1);
    lt_log_list_release(&list);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_ok(lt_log_index_find(index, dir, SESSION, NULL, NULL, &list, &error), error); /* the day is not listed again: that is what it is for */
    assert_int_equal(list.count, 1);
    lt_log_list_release(&list);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    close(last);
    lt_log_index_free(index);
}

/* Whatever the entry at which a folder cannot be listed further: that is no end. */
static void test_a_listing_that_is_broken_off(void **state) {
    (void)state;
    char dir[256];
    struct lt_log_list list;
    struct litmus_error error = {0};
    make_temp(dir);
    make_dir(dir, "events");
    make_dir(dir, "events/2026-05-16");
    touch(dir, "events/2026-05-16/" SESSION "-7.arrow");
    touch(dir, "events/2026-05-16/" SESSION "-8.arrow");
    touch(dir, "events/2026-05-16/" OTHER "-7.arrow");
    set_back(dir, "events/2026-05-16", 60);
    enum { ENTRIES = 3 + 5 + 2 }; /* of events/, of the day, and the ends of both */
    for (int at = 1; at <= ENTRIES; at++) {
        int refused = 0;
        struct lt_log_index *index = lt_log_index_new(dir);
        refuse_at = at;
        int code = lt_log_find(dir, SESSION, &list, &error);
        assert_true(code == LITMUS_EIO && lt_error_is_refusal(&error) && list.count == 0);
        lt_error_clear(&error);
        refuse_at = at;
        assert_ok(lt_log_index_find(index, dir, SESSION, count_refused, &refused, &list, &error), error);
        assert_int_equal(refused, 1);
        for (size_t i = 0; i < list.count; i++) assert_non_null(strstr(list.files[i].path, SESSION));
        lt_log_list_release(&list);
        assert_int_equal(refuse_at, 0);
        assert_ok(lt_log_index_find(index, dir, SESSION, count_refused, &refused, &list, &error), error);
        assert_int_equal(list.count, 2);
        assert_int_equal(refused, 1);
        lt_log_list_release(&list);
        lt_log_index_free(index);
    }
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
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_index_of_what_cannot_be_listed),
        cmocka_unit_test(test_a_listing_that_is_broken_off),
        cmocka_unit_test(test_missing_folder),
        cmocka_unit_test(test_folders_without_end),
    };
    return cmocka_run_group_tests_name("log_find", tests, NULL, NULL);
}
