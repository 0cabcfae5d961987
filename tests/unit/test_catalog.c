/* SPDX-License-Identifier: Apache-2.0
 *
 * The catalog follows what lies in runs/, and nothing that is wrong with its own file is an error.
 */
#include "query/catalog.h"
#include "base/clock.h"
#include "query/query.h"
#include "runs_helper.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <utime.h>

struct listing {
    int count;
    char ids[16][37], paths[16][512];
};

static bool add(void *self, const struct lt_summary *run) {
    struct listing *l = self;
    assert_true(l->count < 16);
    snprintf(l->ids[l->count], 37, "%.*s", LT_STR_ARG(run->run_id));
    snprintf(l->paths[l->count], 512, "%.*s", LT_STR_ARG(run->file_path));
    l->count++;
    return true;
}

static struct listing list(struct bench *b, struct lt_catalog *c) {
    struct listing l = {0};
    struct lt_run_filter filter = {.limit = 0};
    must(b, lt_catalog_refresh(c, &b->error));
    must(b, lt_catalog_runs(c, &filter, add, &l, &b->error));
    return l;
}

/* By a handle of its own, as another process would. */
static struct listing list_anew(struct bench *b) {
    struct lt_catalog *c;
    must(b, lt_catalog_open(b->dir, &c, &b->error));
    struct listing l = list(b, c);
    lt_catalog_free(c);
    return l;
}

static void path_of(const struct bench *b, const char *relative, char out[1024]) {
    snprintf(out, 1024, "%s/%s", b->dir, relative);
}

static void test_missing_data_dir_is_empty(void **state) {
    struct bench *b = *state;
    rmdir(b->dir);
    assert_int_equal(list_anew(b).count, 0);
    mkdir(b->dir, 0777);
}

static void test_runs_are_found_newest_first(void **state) {
    struct bench *b = *state;
    struct recording first = record_run(b, "A"), second = record_run(b, "B");
    struct listing l = list_anew(b);
    assert_int_equal(l.count, 2);
    assert_string_equal(l.ids[0], second.run_id);
    assert_string_equal(l.ids[1], first.run_id);
}

static void test_counts_of_a_run(void **state) {
    struct bench *b = *state;
    struct recording r;
    start_recording(b, &r, "A", 4);
    do_step(&r, 0, NULL);
    do_step(&r, 1, "failed");
    must(b, litmus_step_start(r.run, 2, NULL, &b->error));
    must(b, litmus_step_end(r.run, "skipped", NULL, &b->error));
    finish_recording(&r);
    struct lt_query *q;
    struct lt_table t;
    struct lt_run_filter filter = {.run_id = r.run_id};
    must(b, lt_query_open(b->dir, &q, &b->error));
    must(b, lt_query_runs(q, &filter, &t, &b->error));
    static const struct {
        const char *column;
        int64_t value;
    } expected[] = {{"passed", 1}, {"failed", 1}, {"skipped", 1}, {"never_ran", 1}, {"planned", 4}, {"running", 0}, {"total_steps", 4}, {"total_measurements", 4}};
    assert_int_equal(lt_table_rows(&t), 1);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        int64_t value = -1;
        assert_true(lt_table_int(&t, lt_table_find(&t, expected[i].column), 0, &value));
        if (value != expected[i].value) fail_msg("%s is %lld", expected[i].column, (long long)value);
    }
    lt_table_release(&t);
    lt_query_free(q);
}

static void test_a_kept_handle_sees_what_comes_and_goes(void **state) {
    struct bench *b = *state;
    struct lt_catalog *c;
    char path[1024], hidden[1100];
    must(b, lt_catalog_open(b->dir, &c, &b->error));
    assert_int_equal(list(b, c).count, 0);
    record_run(b, "A");
    record_run(b, "B");
    struct listing two = list(b, c);
    assert_int_equal(two.count, 2);
    path_of(b, two.paths[0], path);
    snprintf(hidden, sizeof hidden, "%s.gone", path);
    assert_int_equal(rename(path, hidden), 0);
    struct listing one = list(b, c);
    assert_int_equal(one.count, 1);
    assert_string_equal(one.ids[0], two.ids[1]);
    assert_int_equal(rename(hidden, path), 0);
    assert_int_equal(list(b, c).count, 2);
    lt_catalog_free(c);
}

static void test_a_folder_removed(void **state) {
    struct bench *b = *state;
    char command[600];
    record_run(b, "A");
    assert_int_equal(list_anew(b).count, 1);
    snprintf(command, sizeof command, "rm -r '%s'/runs", b->dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(list_anew(b).count, 0);
}

static void test_two_files_of_one_run_are_one(void **state) {
    struct bench *b = *state;
    char from[1024], to[1100], command[2400];
    record_run(b, "A");
    struct listing l = list_anew(b);
    path_of(b, l.paths[0], from);
    snprintf(to, sizeof to, "%.*s_copy.parquet", (int)strlen(from) - 8, from);
    snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
    assert_int_equal(list_anew(b).count, 1);
    unlink(from); /* the copy takes its place */
    assert_int_equal(list_anew(b).count, 1);
}

static bool count_damaged(void *self, const char *path, const char *reason) {
    assert_true(strlen(path) > 0 && strlen(reason) > 0);
    ++*(int *)self;
    return true;
}

static void spoil(const char *path) {
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "PAR1 no more", 12), 12);
    close(fd);
}

static void test_a_file_spoilt_in_place_is_left_out_and_comes_back(void **state) {
    struct bench *b = *state;
    char path[1024], kept[1100], command[2400];
    record_run(b, "A");
    struct recording good = record_run(b, "B");
    struct lt_query *q;
    struct lt_table t;
    struct lt_run_filter filter = {.limit = 10};
    struct listing l = list_anew(b);
    path_of(b, l.paths[1], path);
    snprintf(kept, sizeof kept, "%s.kept", path);
    snprintf(command, sizeof command, "cp -p '%s' '%s'", path, kept);
    assert_int_equal(system(command), 0);
    struct utimbuf old = {1000000000, 1000000000}; /* so that the folders are not listed again for being fresh */
    char folder[1024];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    utime(folder, &old);
    list_anew(b);
    spoil(path);
    must(b, lt_query_open(b->dir, &q, &b->error));
    must(b, lt_query_runs(q, &filter, &t, &b->error));
    assert_int_equal(lt_table_rows(&t), 1);
    struct lt_str id = lt_table_str(&t, lt_table_find(&t, "test_run_id"), 0);
    assert_memory_equal(id.p, good.run_id, 36);
    lt_table_release(&t);
    int damaged = 0;
    must(b, lt_query_damaged(q, count_damaged, &damaged, &b->error));
    assert_int_equal(damaged, 1);
    assert_int_equal(rename(kept, path), 0);
    must(b, lt_query_runs(q, &filter, &t, &b->error));
    assert_int_equal(lt_table_rows(&t), 2);
    lt_table_release(&t);
    lt_query_free(q);
}

/* ---- whatever is at catalog.sqlite ---- */

static void remove_catalog(const struct bench *b) {
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'/catalog.sqlite*", b->dir);
    assert_int_equal(system(command), 0);
}

static void sql(const struct bench *b, const char *text) {
    char path[1024];
    sqlite3 *db;
    path_of(b, "catalog.sqlite", path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_any_catalog_file_will_do(void **state) {
    struct bench *b = *state;
    char path[1024];
    record_run(b, "A");
    record_run(b, "B");
    path_of(b, "catalog.sqlite", path);

    remove_catalog(b);
    assert_int_equal(list_anew(b).count, 2);

    remove_catalog(b);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 20000; i++) fputc(i * 7 % 251, f);
    fclose(f);
    assert_int_equal(list_anew(b).count, 2);

    remove_catalog(b);
    fclose(fopen(path, "w"));
    assert_int_equal(list_anew(b).count, 2);

    remove_catalog(b);
    sql(b, "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
    assert_int_equal(list_anew(b).count, 2);

    sql(b, "PRAGMA user_version = 4711");
    assert_int_equal(list_anew(b).count, 2);

    sql(b, "DROP TABLE files; CREATE TABLE files (other)");
    assert_int_equal(list_anew(b).count, 2);

    remove_catalog(b);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(list_anew(b).count, 2);
}

/* Another version of litmus makes its own tables in the file while we have it open: ours must not write into them, by chance it could. */
static void test_another_version_at_work(void **state) {
    struct bench *b = *state;
    struct lt_query *q;
    struct lt_table t;
    struct lt_run_filter filter = {.limit = 10};
    record_run(b, "A");
    must(b, lt_query_open(b->dir, &q, &b->error));
    must(b, lt_query_runs(q, &filter, &t, &b->error));
    lt_table_release(&t);
    for (int turn = 0; turn < 2; turn++) {
        sql(b, "UPDATE runs SET dut_serial = outcome; PRAGMA user_version = 4711"); /* the same columns, of another meaning */
        if (turn == 1) record_run(b, "B");
        must(b, lt_query_runs(q, &filter, &t, &b->error));
        assert_int_equal(lt_table_rows(&t), turn + 1);
        for (int64_t row = 0; row < lt_table_rows(&t); row++) assert_int_equal(lt_table_str(&t, lt_table_find(&t, "dut_serial"), row).n, 1);
        lt_table_release(&t);
    }
    lt_query_free(q);
}

static void test_spoilt_pages(void **state) {
    struct bench *b = *state;
    char path[1024], command[600];
    record_run(b, "A");
    list_anew(b);
    sql(b, "PRAGMA wal_checkpoint(TRUNCATE)");
    path_of(b, "catalog.sqlite", path);
    FILE *f = fopen(path, "r+");
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    for (long at = 4096; at < size; at++) {
        fseek(f, at, SEEK_SET);
        fputc((int)(at * 31 & 0xff), f);
    }
    fclose(f);
    snprintf(command, sizeof command, "rm -f '%s'/catalog.sqlite-*", b->dir);
    assert_int_equal(system(command), 0);
    struct lt_query *q;
    struct lt_table t;
    struct lt_run_filter filter = {.limit = 10};
    must(b, lt_query_open(b->dir, &q, &b->error));
    must(b, lt_query_runs(q, &filter, &t, &b->error));
    assert_int_equal(lt_table_rows(&t), 1);
    lt_table_release(&t);
    lt_query_free(q);
}

/* The catalog as it lies there, as a machine left it that was started before. */
static void keep_of_another_boot(struct bench *b, const char *name) {
    char command[1200];
    list_anew(b);
    sql(b, "UPDATE boot SET id = 'before'; PRAGMA wal_checkpoint(TRUNCATE)");
    snprintf(command, sizeof command, "cp '%s/catalog.sqlite' '%s/%s'", b->dir, b->dir, name);
    assert_int_equal(system(command), 0);
}

/* Nothing of it is synced: after a power loss each page is as it was at one moment or another. */
static void test_pages_of_different_moments(void **state) {
    enum { PAGE = 4096, PAGES = 64, TIMES = 60 };
    static unsigned char old[PAGES * PAGE], new[PAGES * PAGE];
    struct bench *b = *state;
    char path[1024];
    struct lt_query *q;
    struct lt_table t;
    struct lt_run_filter filter = {.limit = 100};
    for (int i = 0; i < 12; i++) record_run(b, "A");
    keep_of_another_boot(b, "old");
    for (int i = 0; i < 3; i++) record_run(b, "B");
    keep_of_another_boot(b, "new");
    path_of(b, "old", path);
    FILE *f = fopen(path, "r");
    size_t before = fread(old, PAGE, PAGES, f);
    fclose(f);
    path_of(b, "new", path);
    f = fopen(path, "r");
    size_t pages = fread(new, PAGE, PAGES, f);
    fclose(f);
    assert_in_range(pages, before, PAGES - 1);
    path_of(b, "catalog.sqlite", path);
    uint64_t chance = 7;
    for (int i = 0; i < TIMES; i++) {
        remove_catalog(b);
        f = fopen(path, "w");
        for (size_t page = 0; page < pages; page++) {
            chance = chance * 6364136223846793005u + 1442695040888963407u;
            fwrite((chance >> 40) % 4 == 0 && page < before ? old + page * PAGE : new + page * PAGE, PAGE, 1, f);
        }
        fclose(f);
        must(b, lt_query_open(b->dir, &q, &b->error));
        must(b, lt_query_runs(q, &filter, &t, &b->error));
        int64_t of_b = 0, serial = lt_table_find(&t, "dut_serial");
        for (int64_t row = 0; row < lt_table_rows(&t); row++) of_b += lt_str_eq(lt_table_str(&t, serial, row), LT_STR("B"));
        assert_int_equal(lt_table_rows(&t), 15);
        assert_int_equal(of_b, 3);
        lt_table_release(&t);
        lt_query_free(q);
    }
}

static void test_a_catalog_removed_under_an_open_handle(void **state) {
    struct bench *b = *state;
    struct lt_catalog *c;
    record_run(b, "A");
    must(b, lt_catalog_open(b->dir, &c, &b->error));
    assert_int_equal(list(b, c).count, 1);
    remove_catalog(b);
    record_run(b, "B");
    assert_int_equal(list(b, c).count, 2);
    lt_catalog_free(c);
}

/* Another process that holds the write lock too long costs what is new, never the answer. */
static void test_a_locked_catalog_answers(void **state) {
    struct bench *b = *state;
    char path[1024];
    sqlite3 *db;
    record_run(b, "A");
    assert_int_equal(list_anew(b).count, 1);
    path_of(b, "catalog.sqlite", path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE; INSERT INTO dirs VALUES ('x', 1)", NULL, NULL, NULL), SQLITE_OK);
    record_run(b, "B");
    assert_true(list_anew(b).count >= 1);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(db);
    assert_int_equal(list_anew(b).count, 2);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_missing_data_dir_is_empty),
        TEST(test_runs_are_found_newest_first),
        TEST(test_counts_of_a_run),
        TEST(test_a_kept_handle_sees_what_comes_and_goes),
        TEST(test_a_folder_removed),
        TEST(test_two_files_of_one_run_are_one),
        TEST(test_a_file_spoilt_in_place_is_left_out_and_comes_back),
        TEST(test_any_catalog_file_will_do),
        TEST(test_another_version_at_work),
        TEST(test_spoilt_pages),
        TEST(test_pages_of_different_moments),
        TEST(test_a_catalog_removed_under_an_open_handle),
        TEST(test_a_locked_catalog_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
