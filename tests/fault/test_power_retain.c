/* SPDX-License-Identifier: Apache-2.0
 *
 * test_power_retain.c - the power fails between any two calls of what changes a record that is there: prune, import and archive. Of a session all is
 * there then, as it was or as it is to be, or nothing, with the word for it; every other one is as it was. And between those of a
 * compaction: each run counts once then, from the lake or from its file.
 *
 * What these do is recorded at the calls of the C library, by functions of their names: they open sessions and materialize on the way.
 */
#define _GNU_SOURCE
#include "power_trial.h"

#include "log/archive.h"
#include "materialize/materialize.h"
#include "materialize/own_log.h"
#include "materialize/parquet.h"
#include "query/lake.h"
#include "retain/import.h"
#include "retain/prune.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>

#define OLD "aaaaaaaa-0000-4000-8000-00000000000a"
#define RUN_A "aaaaaaaa-1111-4111-8111-111111111111"
#define RUN_B "bbbbbbbb-2222-4222-8222-222222222222"
#define T0 INT64_C(1778941800000000) /* 2026-05-16T14:30:00Z */
#define STEP(more) "{\"step_name\":\"a\",\"step_index\":0,\"step_path\":\"f/a\"" more "}"

/* ---- recording ---- */
static struct lt_io through; /* of the disk model */
static const char *root;     /* NULL: nothing is recorded */
static bool inside;

/* The catalog is disposable, and SQLite's own business. */
static bool is_ours(const char *path) {
    return root != NULL && !inside && strncmp(path, root, strlen(root)) == 0 && strstr(path, "catalog.sqlite") == NULL;
}

#define NEXT(name, ...)                                              \
    static __typeof__(&name) next;                                   \
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, #name);     \
    if (!(__VA_ARGS__)) return next
#define THROUGH(call)                                                \
    inside = true;                                                   \
    __typeof__(call) result = call;                                  \
    int os_errno = errno;                                            \
    inside = false;                                                  \
    errno = os_errno;                                                \
    return result

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    unsigned mode = (flags & O_CREAT) != 0 ? va_arg(more, unsigned) : 0;
    va_end(more);
    NEXT(open64, is_ours(path))(path, flags, mode);
    THROUGH(through.open(through.self, path, flags, mode));
}
ssize_t write(int fd, const void *bytes, size_t n) {
    NEXT(write, root != NULL && !inside)(fd, bytes, n);
    THROUGH(through.write(through.self, fd, bytes, n));
}
int fdatasync(int fd) {
    NEXT(fdatasync, root != NULL && !inside)(fd);
    THROUGH(through.fdatasync(through.self, fd));
}
int fsync(int fd) {
    NEXT(fsync, root != NULL && !inside)(fd);
    THROUGH(through.fsync(through.self, fd));
}
int ftruncate64(int fd, off64_t size) {
    NEXT(ftruncate64, root != NULL && !inside)(fd, size);
    THROUGH(through.ftruncate(through.self, fd, size));
}
int rename(const char *from, const char *to) {
    NEXT(rename, is_ours(to))(from, to);
    THROUGH(through.rename(through.self, from, to));
}
int mkdir(const char *path, mode_t mode) {
    NEXT(mkdir, is_ours(path))(path, mode);
    THROUGH(through.mkdir(through.self, path, mode));
}
int unlink(const char *path) {
    NEXT(unlink, is_ours(path))(path);
    THROUGH(through.unlink(through.self, path));
}
int fcntl64(int fd, int command, ...) {
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    NEXT(fcntl64, root != NULL && !inside && command == F_DUPFD_CLOEXEC)(fd, command, argument);
    int result = next(fd, command, argument);
    if (result >= 0) disk_dup(through.self, fd, result);
    return result;
}
int close(int fd) {
    NEXT(close, root != NULL && !inside)(fd);
    THROUGH(through.close(through.self, fd));
}

static void record(struct trial *t, void (*work)(struct trial *t)) {
    begin(t);
    through = t->io;
    root = t->dir;
    work(t);
    root = NULL;
}

/* ---- two sessions of a run each ---- */
static struct kept {
    char path[200]; /* below the data_dir */
    struct lt_buf bytes;
    bool old;
} files[16];
static int file_count;
static size_t top_bytes;

static void say(struct lt_own_log *log, const char *type, const char *run, int second, const char *payload) {
    struct litmus_error error = {0};
    struct litmus_event event = {.event_type = type, .run_id = run, .payload = payload, .occurred_at_us = T0 + second * INT64_C(1000000)};
    assert_ok(lt_own_log_emit(log, &event, NULL, &error), error);
}

static void make_session(const char *dir, const char *session, const char *run, const char *serial) {
    struct lt_own_log log;
    struct lt_materializer *m = NULL;
    struct litmus_error error = {0};
    struct lt_io io = io_without_sync();
    char started[64];
    snprintf(started, sizeof started, "{\"dut_serial\":\"%s\"}", serial);
    lt_own_log_init(&log, dir, session, &io, -1);
    say(&log, "run.started", run, 0, started);
    for (int i = 0; i < 20; i++) {
        say(&log, "test.step_started", run, 2, STEP(""));
        say(&log, "test.step_ended", run, 3, STEP(",\"vector_outcome\":\"passed\""));
    }
    say(&log, "run.ended", run, 4, "{\"outcome\":\"passed\"}");
    assert_ok(lt_own_log_close(&log, &error), error);
    assert_ok(lt_materializer_new(dir, &io, &m, &error), error);
    assert_ok(lt_materialize_session(m, session, NULL, NULL, &error), error);
    lt_materializer_free(m);
}

static int keep_file(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)ftw;
    const char *name = path + top_bytes + 1;
    if (type != FTW_F || (strncmp(name, "events/", 7) != 0 && strncmp(name, "runs/", 5) != 0)) return 0;
    assert_true(file_count < 16);
    struct kept *kept = &files[file_count++];
    assert_true(strlen(name) < sizeof kept->path);
    memcpy(kept->path, name, strlen(name) + 1);
    kept->old = strstr(name, OLD) != NULL || strstr(name, "_OLD.parquet") != NULL;
    load_file(path, &kept->bytes);
    return 0;
}

static void keep_files(const char *dir) {
    top_bytes = strlen(dir);
    assert_int_equal(nftw(dir, keep_file, 16, FTW_PHYS), 0);
}

static int drop_files(void **state) {
    for (int i = 0; i < file_count; i++) lt_buf_release(&files[i].bytes);
    file_count = 0;
    return tear_down(state);
}

/* How many of the files of the old session (or of the other) are there; each is as it was. */
static int whole_files(struct trial *t, bool old, int *of) {
    int there = 0;
    *of = 0;
    for (int i = 0; i < file_count; i++) {
        char path[600];
        struct lt_buf bytes;
        if (files[i].old != old) continue;
        ++*of;
        snprintf(path, sizeof path, "%s/%.199s", t->tree, files[i].path);
        if (access(path, F_OK) != 0) continue;
        load_file(path, &bytes);
        expect(t, bytes.n == files[i].bytes.n && memcmp(bytes.p, files[i].bytes.p, bytes.n) == 0, "%.199s is not as it was", files[i].path);
        lt_buf_release(&bytes);
        there++;
    }
    return there;
}

/* Events of a type in all logs, which are whole. The seal of a log that tells of the change may be lost, and comes with the next command. */
static int words(struct trial *t, const char *type) {
    struct lt_log_list list = logs_of(t);
    int count = 0;
    for (size_t i = 0; i < list.count; i++) {
        struct lt_log_reader *reader = NULL;
        struct litmus_error error = {0};
        struct lt_row row;
        expect(t, lt_log_reader_open(list.files[i].path, &reader, &error) == LITMUS_OK, "%s", error.text);
        lt_log_reader_check_chain(reader);
        enum lt_log_status status;
        while ((status = lt_log_next(reader, &row, &error)) == LT_LOG_EVENT) count += lt_str_eq(row.event_type, lt_str_of(type));
        bool kept = strstr(list.files[i].path, OLD) != NULL || strstr(list.files[i].path, SESSION) != NULL;
        expect(t, status == LT_LOG_SEALED || (!kept && (status == LT_LOG_OPEN || status == LT_LOG_TORN)), "%s ends with status %d", list.files[i].path, (int)status);
        expect(t, lt_log_reader_chain_ok(reader), "%s", list.files[i].path);
        lt_log_reader_free(reader);
    }
    lt_log_list_release(&list);
    return count;
}

/* Whoever comes next, as every command does. */
static void come_next(struct trial *t) {
    struct lt_io io = io_without_sync();
    struct lt_materializer *m = NULL;
    struct litmus_error error = {0};
    expect(t, lt_materializer_new(t->tree, &io, &m, &error) == LITMUS_OK, "%s", error.text);
    lt_materializer_free(m);
}

/* ---- prune ---- */
static void prune_old(struct trial *t) {
    struct lt_prune *prune = NULL;
    struct litmus_error error = {0};
    enum lt_hindrance hindrance;
    assert_ok(lt_prune_new(t->dir, "0s", LT_TIME_NONE, false, &prune, &error), error);
    assert_ok(lt_prune_look(prune, OLD, &hindrance, &error), error);
    assert_int_equal(hindrance, LT_HINDRANCE_NONE);
    assert_ok(lt_prune_apply(prune, &error), error);
    disk_note(t->disk, 1);
    lt_prune_free(prune);
}

static void it_went_whole(struct trial *t) {
    int of, other;
    come_next(t);
    int there = whole_files(t, true, &of), said = words(t, "retention.pruned");
    expect(t, there == (said == 0 ? of : 0), "%d of %d files are there, %d words", there, of, said);
    expect(t, said <= 1 && said >= t->promised, "%d words", said);
    there = whole_files(t, false, &other);
    expect(t, there == other, "%d of the other's %d files", there, other);
}

static void a_pruned_session_goes_whole(void **state) {
    struct trial *t = *state;
    make_session(t->dir, OLD, RUN_A, "OLD");
    make_session(t->dir, SESSION, RUN_B, "NEW");
    keep_files(t->dir);
    record(t, prune_old);
    try_all(t, 3, it_went_whole);
}

/* ---- import ---- */
static void it_came(void *self, const struct lt_imported *done) {
    (void)self;
    assert_null(done->why);
}

static void import_old(struct trial *t) {
    char from[320];
    struct lt_query *here = NULL;
    struct lt_import *import = NULL;
    struct litmus_error error = {0}, why = {0};
    enum lt_incoming_verdict verdict;
    snprintf(from, sizeof from, "%s/from", t->base);
    assert_ok(lt_query_open(t->dir, &here, &error), error);
    assert_ok(lt_import_new(t->dir, from, here, false, &import, &error), error);
    assert_ok(lt_import_look(import, 0, &verdict, &why, &error), error);
    assert_int_equal(why.code, LITMUS_OK);
    assert_ok(lt_import_apply(import, it_came, NULL, &error), error);
    disk_note(t->disk, 1);
    lt_import_free(import);
    lt_query_free(here);
}

static void it_came_whole(struct trial *t) {
    int of, other;
    come_next(t);
    int there = whole_files(t, true, &of), said = words(t, "retention.imported");
    expect(t, there == (said == 0 ? 0 : of), "%d of %d files are there, %d words", there, of, said);
    expect(t, said <= 1 && said >= t->promised, "%d words", said);
    there = whole_files(t, false, &other);
    expect(t, there == other, "%d of the other's %d files", there, other);
}

static void an_imported_session_comes_whole(void **state) {
    struct trial *t = *state;
    char from[320];
    snprintf(from, sizeof from, "%s/from", t->base);
    assert_int_equal(mkdir(from, 0777), 0);
    make_session(from, OLD, RUN_A, "OLD");
    make_session(t->dir, SESSION, RUN_B, "NEW");
    keep_files(from);
    keep_files(t->dir);
    record(t, import_old);
    try_all(t, 2, it_came_whole);
}

/* ---- archive ---- */
static void archive_old(struct trial *t) {
    struct lt_log_list list;
    struct lt_log_archived report;
    struct litmus_error error = {0};
    assert_ok(lt_log_find(t->dir, OLD, &list, &error), error);
    assert_int_equal(list.count, 2);
    for (size_t i = 0; i < list.count; i++) assert_ok(lt_log_archive(NULL, list.files[i].path, false, &report, &error), error);
    lt_log_list_release(&list);
}

static void it_says_the_same(struct trial *t) {
    int of, said = words(t, "test.step_ended"); /* every log is sealed and proved */
    expect(t, said == 40 && words(t, "run.materialized") == 2, "%d ends of steps", said);
    expect(t, whole_files(t, false, &of) == of, "not all of the other's %d files", of);
}

static void an_archived_log_says_the_same(void **state) {
    struct trial *t = *state;
    make_session(t->dir, OLD, RUN_A, "OLD");
    make_session(t->dir, SESSION, RUN_B, "NEW");
    keep_files(t->dir);
    record(t, archive_old);
    try_all(t, 15, it_says_the_same);
}

/* ---- compact ---- */
static void compact_all(struct trial *t) {
    struct lt_query *q = NULL;
    struct lt_lake_done done;
    struct litmus_error error = {0};
    assert_ok(lt_query_open(t->dir, &q, &error), error);
    assert_ok(lt_lake_compact(q, NULL, NULL, &done, &error), error);
    lt_query_free(q);
    if (t->disk != NULL) disk_note(t->disk, 1);
}

/* Rows of the run in that lake file; none where they do not count. */
static int64_t rows_in(struct trial *t, const struct lt_lake_file *file, const char *run) {
    static const char *const columns[] = {"run_id"};
    struct lt_table table;
    struct litmus_error error = {0};
    char path[700];
    int64_t rows = 0;
    for (size_t i = 0; i < file->stale_count; i++)
        if (lt_str_eq(file->stale[i], lt_str_of(run))) return 0;
    snprintf(path, sizeof path, "%s/lake/%.300s", t->tree, file->name.p);
    expect(t, lt_parquet_read(path, columns, 1, &table, &error) == LITMUS_OK, "%s", error.text);
    for (int64_t row = 0; row < lt_table_rows(&table); row++) rows += lt_str_eq(lt_table_str(&table, 0, row), lt_str_of(run));
    lt_table_release(&table);
    return rows;
}

/* The time stamps of the run files are what the lake knows them by. */
static void keep_stamps(struct trial *t) {
    for (int i = 0; i < file_count; i++) {
        char path[600];
        struct stat st;
        snprintf(path, sizeof path, "%s/%.199s", t->dir, files[i].path);
        assert_int_equal(stat(path, &st), 0);
        snprintf(path, sizeof path, "%s/%.199s", t->tree, files[i].path);
        assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){st.st_mtim, st.st_mtim}, 0), 0);
    }
}

static int laked; /* runs that came from a lake, over all states */

static void each_run_counts_once(struct trial *t) {
    static const char *const runs[] = {RUN_A, RUN_B};
    struct lt_query *q = NULL;
    struct lt_lake lake;
    struct litmus_error error = {0};
    keep_stamps(t);
    expect(t, lt_query_open(t->tree, &q, &error) == LITMUS_OK && lt_lake_load(q, &lake, &error) == LITMUS_OK, "%s", error.text);
    for (size_t r = 0; r < 2; r++) {
        int64_t rows = 0;
        for (size_t i = 0; i < lake.file_count; i++) rows += rows_in(t, &lake.files[i], runs[r]);
        laked += rows > 0;
        for (size_t i = 0; i < lake.fresh_count; i++) rows += lt_str_eq(lake.fresh[i].run_id, lt_str_of(runs[r])) ? 2 : 0;
        expect(t, rows == 2, "%lld rows of run %zu count", (long long)rows, r); /* the run and its step */
    }
    expect(t, t->promised == 0 || lake.fresh_count == 0, "%zu runs are in no lake", lake.fresh_count);
    lt_lake_release(&lake);
    lt_query_free(q);
}

static void after_a_compaction_each_run_counts_once(void **state) {
    struct trial *t = *state;
    make_session(t->dir, OLD, RUN_A, "OLD");
    compact_all(t);
    make_session(t->dir, SESSION, RUN_B, "NEW"); /* its rows come into a file with the others', which goes */
    keep_files(t->dir);
    record(t, compact_all);
    try_all(t, 2, each_run_counts_once);
    assert_true(laked > t->tried / 4); /* in the others the old file is gone, and the new one is in no manifest yet */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pruned_session_goes_whole, set_up, drop_files),
        cmocka_unit_test_setup_teardown(an_imported_session_comes_whole, set_up, drop_files),
        cmocka_unit_test_setup_teardown(an_archived_log_says_the_same, set_up, drop_files),
        cmocka_unit_test_setup_teardown(after_a_compaction_each_run_counts_once, set_up, drop_files),
    };
    return cmocka_run_group_tests_name("power_retain", tests, NULL, NULL);
}
