/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose files they are: the umask decides and nothing widens it, no link leads out of a data_dir,
 * nothing that lies where a temporary file goes is written to.
 */
#define _GNU_SOURCE
#include "base/io.h"
#include "base/clock.h"
#include "log/log.h"

#include "runs_helper.h"

#include <fcntl.h>
#include <ftw.h>

static mode_t mask;
static int wide, files;
static char wide_path[512];

static int look(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)type;
    if (ftw->level == 0) return 0; /* the data_dir is ours, not the recorder's */
    mode_t all = S_ISDIR(st->st_mode) ? 0777 : 0666;
    files++;
    if ((st->st_mode & 07777 & ~(all & ~mask)) != 0 && wide++ == 0) snprintf(wide_path, sizeof wide_path, "%s has mode %o", path, st->st_mode & 07777);
    return 0;
}

static void files_follow_the_umask(void **state) {
    struct bench *b = *state;
    static const mode_t masks[] = {077, 027, 022, 0};
    mode_t before = umask(0);
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        umask(masks[i]);
        record_run(b, "SN1");
        umask(before);
        mask = masks[i];
        wide = files = 0;
        nftw(b->dir, look, 16, FTW_PHYS);
        if (wide > 0) fail_msg("under umask %o: %s", mask, wide_path);
        assert_true(files > 5);
        char command[700];
        snprintf(command, sizeof command, "rm -rf '%s' && mkdir '%s'", b->dir, b->dir);
        assert_int_equal(system(command), 0);
    }
}

/* `name` in the data_dir leads to a folder outside, which must stay empty. */
static void assert_not_followed(struct bench *b, const char *name, bool at_open) {
    char outside[300], link[700], command[3000];
    snprintf(outside, sizeof outside, "%s-outside", b->dir);
    snprintf(command, sizeof command, "rm -rf '%s' '%s' && mkdir '%s' '%s' && mkdir -p '%s/%s' && rmdir '%s/%s'", b->dir, outside, b->dir, outside, b->dir, name,
             b->dir, name);
    assert_int_equal(system(command), 0);
    snprintf(link, sizeof link, "%s/%s", b->dir, name);
    assert_int_equal(symlink(outside, link), 0);
    struct litmus_session_options options = {.data_dir = b->dir, .no_daemon = true};
    litmus_session *session = NULL;
    litmus_run *run = NULL;
    lt_error_clear(&b->error);
    int code = litmus_session_open(&options, &session, &b->error);
    if (!at_open) {
        must(b, code);
        must(b, litmus_run_start(session, NULL, &run, &b->error));
        must(b, litmus_run_end(run, "passed", NULL, &b->error));
        code = litmus_session_close(session, NULL, &b->error);
    }
    assert_int_equal(code, LITMUS_EPERM);
    assert_non_null(strstr(b->error.text, "symbolic link"));
    assert_int_equal(rmdir(outside), 0); /* it is empty */
}

static void links_out_of_a_data_dir_are_not_followed(void **state) {
    struct bench *b = *state;
    char today[LT_ISO_BYTES], name[64];
    lt_time_date(lt_now_us(), today);
    assert_not_followed(b, "events", true);
    assert_not_followed(b, "runs", false);
    snprintf(name, sizeof name, "events/%s", today);
    assert_not_followed(b, name, true);
    snprintf(name, sizeof name, "runs/%s", today);
    assert_not_followed(b, name, false);
}

/* The log of a dead producer behind such a link: it is not finished there, and counts for nothing here. */
static void no_log_is_finished_behind_a_link(void **state) {
    struct bench *b = *state;
    char today[LT_ISO_BYTES], outside[300], link[700], command[2000];
    lt_time_date(lt_now_us(), today);
    snprintf(outside, sizeof outside, "%s-outside", b->dir);
    snprintf(link, sizeof link, "%s/events/%s", b->dir, today);
    pid_t child = fork();
    if (child == 0) {
        struct litmus_session_options options = {.data_dir = b->dir, .no_daemon = true};
        litmus_session *session = NULL;
        _exit(litmus_session_open(&options, &session, NULL));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    snprintf(command, sizeof command, "rm -rf '%s' && mv '%s/events/'* '%s' && ln -s '%s' '%s'", outside, b->dir, outside, outside, link);
    assert_int_equal(system(command), 0);
    struct lt_log_list logs;
    must(b, lt_log_find(b->dir, NULL, &logs, &b->error));
    assert_int_equal(logs.count, 0);
    snprintf(command, sizeof command, "rm -rf '%s'", outside);
    assert_int_equal(system(command), 0);
}

static void a_pipe_for_a_catalog_keeps_nobody_waiting(void **state) {
    struct bench *b = *state;
    static const char *const suffixes[] = {"", "-journal"};
    for (size_t i = 0; i < 2; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/catalog.sqlite%s", b->dir, suffixes[i]);
        unlink(path);
        assert_int_equal(mkfifo(path, 0666), 0);
        record_run(b, "SN1");
    }
}

static void the_catalog_is_no_link_either(void **state) {
    struct bench *b = *state;
    char outside[300], link[300];
    snprintf(outside, sizeof outside, "%s-catalog", b->dir);
    snprintf(link, sizeof link, "%s/catalog.sqlite", b->dir);
    assert_int_equal(symlink(outside, link), 0);
    record_run(b, "SN1");
    assert_int_equal(access(outside, F_OK), -1);
}

static void links_within_and_to_it_are_fine(void **state) {
    struct bench *b = *state;
    char path[300], link[300];
    snprintf(path, sizeof path, "%s/elsewhere", b->dir);
    snprintf(link, sizeof link, "%s/runs", b->dir);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(symlink("elsewhere", link), 0);
    snprintf(link, sizeof link, "%s-link", b->dir);
    assert_int_equal(symlink(b->dir, link), 0);
    struct bench through = {0};
    assert_true(strlen(link) < sizeof through.dir);
    memcpy(through.dir, link, strlen(link));
    record_run(&through, "SN1");
    assert_int_equal(rmdir(path), -1); /* the run's file is in it */
    assert_int_equal(unlink(link), 0);
}

static void a_temporary_file_is_a_new_one(void **state) {
    struct bench *b = *state;
    char victim[300], hidden[300], path[300], text[16] = "";
    snprintf(victim, sizeof victim, "%s/victim", b->dir);
    snprintf(hidden, sizeof hidden, "%s/.file.tmp", b->dir);
    snprintf(path, sizeof path, "%s/file", b->dir);
    for (int i = 0; i < 2; i++) {
        int fd = open(victim, O_RDWR | O_CREAT | O_TRUNC, 0666);
        assert_int_equal(write(fd, "victim", 6), 6);
        assert_int_equal(i == 0 ? link(victim, hidden) : symlink(victim, hidden), 0);
        must(b, lt_io_publish(&lt_io_os, path, "ours", 4, &b->error));
        assert_int_equal(pread(fd, text, sizeof text, 0), 6);
        assert_string_equal(text, "victim");
        close(fd);
        struct stat st;
        assert_int_equal(lstat(path, &st), 0);
        assert_true(S_ISREG(st.st_mode) && st.st_size == 4 && st.st_nlink == 1);
        assert_int_equal(access(hidden, F_OK), -1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_follow_the_umask, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_out_of_a_data_dir_are_not_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_log_is_finished_behind_a_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pipe_for_a_catalog_keeps_nobody_waiting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_catalog_is_no_link_either, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_within_and_to_it_are_fine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_temporary_file_is_a_new_one, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("permissions", tests, NULL, NULL);
}
