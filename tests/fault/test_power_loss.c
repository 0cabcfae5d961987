/* SPDX-License-Identifier: Apache-2.0
 *
 * test_power_loss.c - the power fails between any two calls of a recorder, a recovery, a materializer,
 * and the disk keeps of what was not synced what it likes (disk_model.h). Every tree that may be
 * found then opens, keeps what was promised, shows no half file, and is finished by who comes next.
 *
 * LITMUS_SOAK=N tries N times as many random states.
 */
#define _GNU_SOURCE
#include "power_trial.h"

#include "accumulate/gather.h"
#include "base/clock.h"
#include "log/heads.h"
#include "materialize/attachments.h"
#include "materialize/materialize.h"
#include "materialize/own_log.h"
#include "materialize/parquet.h"

#include <dirent.h>
#include <errno.h>

/* Rows that can be read of all logs. */
static int readable_rows(struct trial *t) {
    struct lt_log_list list = logs_of(t);
    int rows = 0;
    for (size_t i = 0; i < list.count; i++) {
        struct reading reading = read_log(list.files[i].path);
        rows += reading.rows;
        if (reading.end == LT_LOG_FAILED) expect(t, reading.code == LITMUS_EDAMAGED, "code %d", reading.code);
    }
    lt_log_list_release(&list);
    return rows;
}

static void recover_all(struct trial *t, const struct lt_io *io) {
    struct lt_log_list list = logs_of(t);
    for (size_t i = 0; i < list.count; i++) {
        struct lt_log_recovery report;
        struct litmus_error error = {0};
        if (lt_log_is_sealed(list.files[i].path)) continue;
        int code = lt_log_recover(io, list.files[i].path, NULL, &report, &error);
        expect(t, code == LITMUS_OK || code == LITMUS_EDAMAGED, "%s", error.text);
    }
    lt_log_list_release(&list);
}

/* ---- a recorder ---- */
static void rows_are_there(struct trial *t) {
    struct lt_io io = io_without_sync();
    for (int turn = 0; turn < 2; turn++) {
        struct lt_log_list list = logs_of(t);
        expect(t, list.count == 1 || t->promised == 0, "%zu logs", list.count);
        int n = 0;
        if (list.count == 1) {
            struct lt_log_reader *reader = NULL;
            struct litmus_error error = {0};
            struct lt_row row;
            expect(t, lt_log_reader_open(list.files[0].path, &reader, &error) == LITMUS_OK, "%s", error.text);
            lt_log_reader_check_chain(reader);
            while (n < t->promised && lt_log_next(reader, &row, &error) == LT_LOG_EVENT) assert_row(&row, n++);
            expect(t, lt_log_reader_chain_ok(reader), "of %d rows", n);
            lt_log_reader_free(reader);
        }
        lt_log_list_release(&list);
        expect(t, n == t->promised, "%d of %d rows are there%s", n, t->promised, turn == 0 ? "" : " after recovery");
        recover_all(t, &io);
    }
}

/* What is on the disk for sure is noted. */
static void record(struct trial *t, enum litmus_durability durability, int rows) {
    struct litmus_error error = {0};
    struct lt_log_options options = {.data_dir = t->dir, .session_id = SESSION, .durability = durability, .group_ms = 1, .io = &t->io};
    struct lt_log_writer *writer = NULL;
    begin(t);
    assert_ok(lt_log_create(&options, &writer, &error), error);
    for (int n = 0; n < rows; n++) {
        char json[64];
        struct lt_row row = make_row(n, json);
        if (n % 3 == 2) usleep(1500); /* a group is over */
        size_t before = disk_length(t->disk);
        assert_ok(lt_log_append(writer, &row, 1, &error), error);
        bool synced = disk_length(t->disk) > before + 1;
        assert_true(durability != LITMUS_DURABILITY_EACH || synced);
        assert_true(durability != LITMUS_DURABILITY_OS || !synced);
        if (synced) disk_note(t->disk, n + 1);
    }
    assert_ok(lt_log_seal(writer, &error), error);
    if (durability != LITMUS_DURABILITY_OS) disk_note(t->disk, rows);
    lt_log_writer_free(writer);
}

static void each_event_is_there(void **state) {
    record(*state, LITMUS_DURABILITY_EACH, 4);
    try_all(*state, 30, rows_are_there);
}

static void what_a_group_synced_is_there(void **state) {
    record(*state, LITMUS_DURABILITY_GROUP, 8);
    try_all(*state, 60, rows_are_there);
}

static void what_was_never_synced_opens(void **state) {
    record(*state, LITMUS_DURABILITY_OS, 6);
    try_all(*state, 60, rows_are_there);
}

/* ---- recovery ---- */
static bool holds(const char *folder, const struct lt_buf *bytes) {
    bool found = false;
    DIR *dir = opendir(folder);
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char path[900];
        struct lt_buf file;
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        load_file(path, &file);
        found |= file.n >= bytes->n && memcmp(file.p + file.n - bytes->n, bytes->p, bytes->n) == 0;
        lt_buf_release(&file);
    }
    if (dir != NULL) closedir(dir);
    return found;
}

static void evidence_is_there(struct trial *t) {
    struct lt_io io = io_without_sync();
    t->promised = 4;
    for (int turn = 0; turn < 2; turn++) {
        struct lt_log_list list = logs_of(t);
        expect(t, list.count == 1, "%zu logs", list.count);
        char folder[600];
        snprintf(folder, sizeof folder, "%s", list.files[0].path);
        *strrchr(folder, '/') = '\0';
        expect(t, holds(folder, &t->torn), "the torn bytes are gone, turn %d", turn);
        lt_log_list_release(&list);
        rows_are_there(t);
        recover_all(t, &io);
    }
    expect(t, readable_rows(t) == 4, "%d rows", readable_rows(t));
}

static void a_recovery_loses_no_evidence(void **state) {
    struct trial *t = *state;
    char path[512];
    struct lt_buf bytes;
    struct lt_log_recovery report;
    struct litmus_error error = {0};
    write_log(t->dir, 5, false, path);
    load_file(path, &bytes);
    assert_ok(lt_log_recover(NULL, path, NULL, &report, &error), error);
    store_file(path, bytes.p, bytes.n - 100); /* inside the fifth */
    struct reading reading = read_log(path);
    assert_int_equal(reading.rows, 4);
    struct lt_log_reader *reader = NULL;
    struct lt_row row;
    assert_ok(lt_log_reader_open(path, &reader, &error), error);
    while (lt_log_next(reader, &row, &error) == LT_LOG_EVENT) {}
    size_t whole = (size_t)lt_log_reader_offset(reader);
    lt_log_reader_free(reader);
    lt_buf_add(&t->torn, bytes.p + whole, bytes.n - 100 - whole);
    lt_buf_release(&bytes);
    begin(t);
    assert_ok(lt_log_recover(&t->io, path, NULL, &report, &error), error);
    try_all(t, 200, evidence_is_there);
}

/* ---- materializing ---- */
#define RUN_A "aaaaaaaa-1111-4111-8111-111111111111"
#define RUN_B "bbbbbbbb-2222-4222-8222-222222222222"
#define T0 INT64_C(1778941800000000) /* 2026-05-16T14:30:00Z */
#define STEP(name, more) "{\"step_name\":\"" name "\",\"step_index\":0,\"step_path\":\"f/" name "\"" more "}"

static void say(struct lt_own_log *log, const char *type, const char *run, int second, const char *payload) {
    struct litmus_error error = {0};
    struct litmus_event event = {.event_type = type, .run_id = run, .payload = payload, .occurred_at_us = T0 + second * INT64_C(1000000)};
    assert_ok(lt_own_log_emit(log, &event, NULL, &error), error);
}

static void say_run(struct lt_own_log *log, const char *run, bool ends) {
    say(log, "run.started", run, 0, "{\"dut_serial\":\"SN1\"}");
    say(log, "test.steps_discovered", run, 1,
        "{\"items\":[{\"node_id\":\"a\",\"step_path\":\"f/a\",\"vector_index\":0,\"step_index\":0},"
        "{\"node_id\":\"b\",\"step_path\":\"f/b\",\"vector_index\":0,\"step_index\":1}]}");
    say(log, "test.step_started", run, 2, STEP("a", ""));
    if (!ends) return;
    say(log, "test.step_ended", run, 3, STEP("a", ",\"vector_outcome\":\"passed\""));
    say(log, "run.ended", run, 4, "{\"outcome\":\"passed\"}");
}

static void open_producer(struct trial *t, struct lt_own_log *log, enum litmus_durability durability) {
    struct litmus_error error = {0};
    lt_own_log_init(log, t->dir, SESSION, &t->io, -1);
    struct lt_log_options options = {.data_dir = t->dir, .session_id = SESSION, .durability = durability, .io = &t->io};
    assert_ok(lt_log_create(&options, &log->writer, &error), error);
}

static void materialize_in(struct trial *t, const char *dir, const struct lt_io *io, bool must) {
    struct lt_materializer *m = NULL;
    struct litmus_error error = {0};
    assert_ok(lt_materializer_new(dir, io, &m, &error), error);
    int code = lt_materialize_session(m, SESSION, NULL, NULL, &error);
    expect(t, code == LITMUS_OK || (!must && code == LITMUS_ENOENT), "%s", error.text);
    lt_materializer_free(m);
}

/* Visible files below runs/; each is whole, and is what the log folds to. */
static int check_files(struct trial *t, const char *folder, const struct lt_gathering *g) {
    int files = 0;
    DIR *dir = opendir(folder);
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char path[900];
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (strstr(entry->d_name, ".parquet") == NULL) {
            files += check_files(t, path, g);
            continue;
        }
        files++;
        struct lt_table table;
        struct litmus_error error = {0};
        expect(t, lt_parquet_read(path, NULL, 0, &table, &error) == LITMUS_OK, "%s", error.text);
        struct lt_str run_id = lt_table_str(&table, lt_table_find(&table, "run_id"), 0);
        const struct lt_gathered_run *run = NULL;
        for (size_t i = 0; g != NULL && i < g->run_count; i++)
            if (lt_str_eq(g->runs[i]->run.run_id, run_id)) run = g->runs[i];
        expect(t, g == NULL || run != NULL, "%s has no log", entry->d_name);
        struct lt_buf expected, bytes;
        lt_buf_init(&expected);
        if (run != NULL) {
            assert_ok(lt_run_encode(&run->run, &expected, &error), error);
            load_file(path, &bytes);
            expect(t, bytes.n == expected.n && memcmp(bytes.p, expected.p, bytes.n) == 0, "%s is not what the log folds to", entry->d_name);
            lt_buf_release(&bytes);
        }
        lt_table_release(&table);
        lt_buf_release(&expected);
    }
    if (dir != NULL) closedir(dir);
    return files;
}

/* Runs that the session's logs tell of; each has a file, and there is no other. */
static int check_runs(struct trial *t) {
    char runs[400];
    struct lt_gathering g = {0};
    struct litmus_error error = {0};
    int started = 0, code = lt_gather_session(t->tree, SESSION, NULL, &g, &error);
    expect(t, code == LITMUS_OK || code == LITMUS_ENOENT, "%s", error.text);
    for (size_t i = 0; i < g.run_count; i++) {
        const struct lt_gathered_run *run = g.runs[i];
        if (!run->run.has_started) continue;
        started++;
        expect(t, run->materialized, "run %d is not", started);
        char path[800];
        snprintf(path, sizeof path, "%s/%.*s", t->tree, LT_STR_ARG(run->destination));
        expect(t, access(path, F_OK) == 0, "%s is gone", path);
    }
    snprintf(runs, sizeof runs, "%s/runs", t->tree);
    int files = check_files(t, runs, &g);
    expect(t, files == started, "%d files of %d runs", files, started);
    lt_gathering_release(&g);
    return files;
}

static void runs_are_finished(struct trial *t) {
    char path[400];
    struct lt_io io = io_without_sync();
    snprintf(path, sizeof path, "%s/catalog.sqlite", t->tree);
    rmdir(path);
    assert_int_equal(mkdir(path, 0777), 0); /* it is not what is looked at, and slow */
    snprintf(path, sizeof path, "%s/runs", t->tree);
    int before = check_files(t, path, NULL); /* nobody has seen half a file */
    int rows = readable_rows(t);
    expect(t, rows >= t->promised, "%d of %d rows are there", rows, t->promised);
    materialize_in(t, t->tree, &io, t->promised > 0);
    int files = check_runs(t);
    expect(t, files >= before, "%d files became %d", before, files);
    expect(t, t->promised < 5 || files >= 1, "%d files", files);
    materialize_in(t, t->tree, &io, t->promised > 0);
    expect(t, check_runs(t) == files, "not %d files any more", files);
    rows = readable_rows(t);
    expect(t, rows >= t->promised, "%d of %d rows are there after it", rows, t->promised);
}

static void no_catalog(const struct trial *t) {
    char path[400];
    snprintf(path, sizeof path, "%s/catalog.sqlite", t->dir);
    assert_int_equal(mkdir(path, 0777), 0);
}

/* The producer synced nothing: what has a file is on record all the same. */
static void a_file_never_outlives_its_log(void **state) {
    struct trial *t = *state;
    struct lt_own_log log;
    struct litmus_error error = {0};
    no_catalog(t);
    begin(t);
    open_producer(t, &log, LITMUS_DURABILITY_OS);
    say_run(&log, RUN_A, true);
    assert_ok(lt_own_log_close(&log, &error), error);
    materialize_in(t, t->dir, &t->io, true);
    try_all(t, 12, runs_are_finished);
}

static void a_dead_producers_runs_are_finished(void **state) {
    struct trial *t = *state;
    struct lt_own_log log, worker;
    no_catalog(t);
    begin(t);
    open_producer(t, &log, LITMUS_DURABILITY_EACH);
    open_producer(t, &worker, LITMUS_DURABILITY_OS);
    say_run(&log, RUN_A, true);
    disk_note(t->disk, 5);
    say_run(&log, RUN_B, false); /* of the same second and serial */
    disk_note(t->disk, 8);
    say(&worker, "test.step_started", RUN_B, 3, STEP("b", ""));
    lt_log_writer_free(log.writer); /* dead: unsealed */
    lt_log_writer_free(worker.writer);
    lt_composer_release(&log.composer);
    lt_composer_release(&worker.composer);
    materialize_in(t, t->dir, &t->io, true);
    try_all(t, 12, runs_are_finished);
}

/* A file for the first run while the producer lives, then a second run that it does not end. */
static void a_live_producers_runs_are_finished_one_by_one(void **state) {
    struct trial *t = *state;
    struct lt_own_log log;
    no_catalog(t);
    begin(t);
    open_producer(t, &log, LITMUS_DURABILITY_OS);
    say_run(&log, RUN_A, true);
    materialize_in(t, t->dir, &t->io, true);
    say_run(&log, RUN_B, false);
    lt_log_writer_free(log.writer);
    lt_composer_release(&log.composer);
    materialize_in(t, t->dir, &t->io, true);
    try_all(t, 12, runs_are_finished);
}

/* A worker goes on after its controller died, and says more when the run has its file. */
static void a_dead_run_is_made_anew(void **state) {
    struct trial *t = *state;
    struct lt_own_log log, worker;
    struct litmus_error error = {0};
    no_catalog(t);
    begin(t);
    open_producer(t, &log, LITMUS_DURABILITY_OS);
    open_producer(t, &worker, LITMUS_DURABILITY_OS);
    say_run(&log, RUN_A, false);
    say(&worker, "test.step_started", RUN_A, 3, STEP("b", ""));
    lt_log_writer_free(log.writer);
    lt_composer_release(&log.composer);
    materialize_in(t, t->dir, &t->io, true);
    say(&worker, "test.step_ended", RUN_A, 5, STEP("b", ",\"vector_outcome\":\"passed\""));
    assert_ok(lt_own_log_close(&worker, &error), error);
    materialize_in(t, t->dir, &t->io, true);
    try_all(t, 3, runs_are_finished);
}

/* ---- attachments ---- */
static void ref_folder(const char *log, char out[600]) {
    snprintf(out, 600, "%s", log);
    snprintf(strrchr(out, '/'), 100, "/" SESSION "_ref");
}

static struct lt_blob attach(struct trial *t, struct lt_own_log *log, const char *name, const char *text, bool sync) {
    char folder[600], payload[400];
    struct lt_blob blob;
    struct litmus_error error = {0};
    ref_folder(lt_log_writer_path(log->writer), folder);
    assert_ok(lt_blob_put_bytes(&t->io, folder, text, strlen(text), ".txt", sync, &blob, &error), error);
    snprintf(payload, sizeof payload, "{\"step_name\":\"a\",\"step_path\":\"f/a\",\"name\":\"%s\",\"uri\":\"" LT_BLOB_SCHEME "%s\",\"sha256\":\"%s\"}", name,
             blob.name, blob.sha256);
    say(log, "test.attachment", RUN_A, 3, payload);
    return blob;
}

static void fail_for_attachment(void *self, const char *what) {
    const struct trial *t = self;
    expect(t, false, "%s", what);
}

/* Those that were synced before their event are there when that is; all are when the run's file is on record. */
static bool check_attachments(struct trial *t) {
    char path[800], folder[600];
    struct lt_gathering g = {0};
    struct litmus_error error = {0};
    int code = lt_gather_session(t->tree, SESSION, NULL, &g, &error);
    expect(t, code == LITMUS_OK || code == LITMUS_ENOENT, "%s", error.text);
    bool materialized = g.run_count > 0 && g.runs[0]->materialized;
    const struct lt_run *run = g.run_count > 0 ? &g.runs[0]->run : NULL;
    for (size_t i = 0; run != NULL && i < run->attachment_count; i++) {
        for (size_t k = 0; k < 2; k++) {
            const char *name = t->synced[k].name, *uri = run->attachments[i].p;
            if (strcmp(uri + strlen(LT_BLOB_SCHEME), name) != 0) continue;
            ref_folder(g.logs[0].path, folder);
            expect(t, lt_blob_check(folder, name, &error) == LITMUS_OK, "%s", error.text);
        }
    }
    if (materialized && t->found_count == 0) { /* as the disk had it */
        snprintf(path, sizeof path, "%s/%.*s", t->tree, LT_STR_ARG(g.runs[0]->destination));
        lt_attachments_check(&g, run, path, fail_for_attachment, t);
    }
    lt_gathering_release(&g);
    return materialized;
}

static void attachments_are_there(struct trial *t) {
    char path[400];
    struct lt_io io = io_without_sync();
    snprintf(path, sizeof path, "%s/catalog.sqlite", t->tree);
    rmdir(path);
    assert_int_equal(mkdir(path, 0777), 0);
    t->found_count = 0;
    bool on_record = check_attachments(t);
    materialize_in(t, t->tree, &io, t->promised > 0);
    t->found_count = !on_record; /* what was never synced may be lost, and is told of then */
    check_attachments(t);
    expect(t, t->promised == 0 || on_record || check_runs(t) == 1, "no run");
}

/* The third has the content of the first, and is not synced: the first stays what it is. The second is synced with the run's file. */
static void an_attachment_on_record_is_there(void **state) {
    struct trial *t = *state;
    struct lt_own_log log;
    struct litmus_error error = {0};
    no_catalog(t);
    begin(t);
    open_producer(t, &log, LITMUS_DURABILITY_OS);
    say(&log, "run.started", RUN_A, 0, "{}");
    say(&log, "test.step_started", RUN_A, 2, STEP("a", ""));
    t->synced[0] = attach(t, &log, "trace", "1,2,3", true);
    (void)attach(t, &log, "words", "it failed", false);
    t->synced[1] = attach(t, &log, "screen", "PNG", true);
    (void)attach(t, &log, "again", "1,2,3", false);
    say(&log, "run.ended", RUN_A, 4, "{\"outcome\":\"passed\"}");
    assert_ok(lt_own_log_close(&log, &error), error);
    materialize_in(t, t->dir, &t->io, true);
    disk_note(t->disk, 1);
    try_all(t, 12, attachments_are_there);
}

/* ---- heads ---- */
static struct lt_head head_of(int n) {
    struct lt_head head = {.rows = 7 + n * 1001};
    snprintf(head.identity, sizeof head.identity, SESSION "-%d", 4000 + n * n);
    for (size_t i = 0; i < sizeof head.chain; i++) head.chain[i] = (unsigned char)(n * 31 + (int)i * 7);
    return head;
}

/* The list may lose what the disk lost, and names nothing that never was: a head made of two would accuse a log that is there. */
static void heads_were_given(struct trial *t) {
    struct lt_heads heads;
    struct litmus_error error = {0};
    struct lt_head own = head_of(40);
    for (int turn = 0; turn < 2; turn++) {
        expect(t, lt_heads_read(t->tree, &heads, &error) == LITMUS_OK, "%s", error.text);
        for (size_t i = 0; i < heads.count; i++) {
            const struct lt_head *head = &heads.items[i];
            struct lt_head given = head_of((int)((head->rows - 7) / 1001));
            expect(t, given.rows == head->rows && strcmp(given.identity, head->identity) == 0 && memcmp(given.chain, head->chain, sizeof given.chain) == 0,
                   "head %zu, %s, never was", i, head->identity);
        }
        lt_heads_release(&heads);
        expect(t, lt_heads_add(NULL, t->tree, &own, &error) == LITMUS_OK, "%s", error.text);
    }
}

/* Logs end, more than fit into a block of the disk; sessions begin that name some and leave some. */
static void no_head_is_made_up(void **state) {
    struct trial *t = *state;
    struct litmus_error error = {0};
    begin(t);
    for (int n = 0; n < 16; n++) {
        struct lt_head head = head_of(n);
        assert_ok(lt_heads_add(&t->io, t->dir, &head, &error), error);
        if (n % 5 != 4) continue;
        struct lt_heads heads;
        head = head_of(20 + n);
        assert_ok(lt_heads_take(&t->io, t->dir, &heads, &error), error);
        assert_ok(lt_heads_give(&heads, n == 9 ? 3 : 1, &head, &error), error);
        lt_heads_release(&heads);
    }
    try_all(t, 25, heads_were_given);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_event_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_group_synced_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_never_synced_opens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_recovery_loses_no_evidence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_never_outlives_its_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dead_producers_runs_are_finished, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_live_producers_runs_are_finished_one_by_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dead_run_is_made_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_attachment_on_record_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_head_is_made_up, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("power_loss", tests, NULL, NULL);
}
