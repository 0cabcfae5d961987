/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of tests/golden/v{N}, one sealed log and one of a producer that died, as the first
 * release of that format wrote them. They are never written again, and every later version reads
 * them, event for event, proves them, and folds them to the committed rows: of each row the columns
 * that are named there. (`unit_golden write FOLDER` made them from their events, once.)
 */
#include "log_helper.h"

#include "accumulate/run.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "materialize/materialize.h"
#include "materialize/parquet.h"
#include "materialize/rows.h"

#include <limits.h>
#include <yyjson.h>

static const char *const names[] = {"sealed", "unsealed"};

static const char *golden(const char *folder, const char *name, const char *suffix, char path[PATH_MAX]) {
    const char *root = getenv("LITMUS_SOURCE_ROOT");
    if (folder == NULL) snprintf(path, PATH_MAX, "%s/tests/golden/v1/%s.%s", root == NULL ? "." : root, name, suffix);
    else snprintf(path, PATH_MAX, "%s/%s.%s", folder, name, suffix);
    return path;
}

static void load(const char *folder, const char *name, const char *suffix, struct lt_buf *out) {
    char path[PATH_MAX];
    load_file(golden(folder, name, suffix, path), out);
}

static bool next_line(struct lt_str *rest, struct lt_str *line) {
    const char *end = rest->n == 0 ? NULL : memchr(rest->p, '\n', rest->n);
    if (end == NULL) return false;
    *line = (struct lt_str){rest->p, (size_t)(end - rest->p)};
    *rest = (struct lt_str){end + 1, rest->n - line->n - 1};
    return true;
}

static struct lt_str text_of(yyjson_val *object, const char *name) {
    yyjson_val *value = yyjson_obj_get(object, name);
    return yyjson_is_str(value) ? (struct lt_str){yyjson_get_str(value), yyjson_get_len(value)} : LT_STR_NULL;
}

/* The event of a line as its row; the row borrows from the document, which the caller frees. */
static yyjson_doc *row_of(struct lt_str line, struct lt_row *row) {
    yyjson_doc *doc = yyjson_read(line.p, line.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_non_null(root);
    *row = (struct lt_row){.id = text_of(root, "id"), .event_type = text_of(root, "event_type"), .session_id = text_of(root, "session_id"),
                           .run_id = text_of(root, "run_id"), .json = line};
    assert_true(lt_time_parse(text_of(root, "occurred_at"), &row->occurred_at));
    assert_true(lt_time_parse(text_of(root, "received_at"), &row->received_at));
    return doc;
}

static void fold_log(const char *path, struct lt_run *run) {
    struct litmus_error error = {0};
    struct lt_log_reader *reader = NULL;
    struct lt_row row;
    bool begun = false;
    assert_ok(lt_log_reader_open(path, &reader, &error), error);
    while (lt_log_next(reader, &row, &error) == LT_LOG_EVENT) {
        if (row.run_id.p == NULL) continue;
        if (!begun) lt_run_init(run, row.run_id, row.session_id);
        begun = true;
        assert_ok(lt_run_fold(run, &row, 0, &error), error);
    }
    assert_true(begun);
    assert_ok(lt_run_settle(run, false, &error), error);
    lt_log_reader_free(reader);
}

/* ---- reading ---- */

static void test_every_event_is_read_and_proved(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_MAX];
        struct lt_buf events;
        struct litmus_error error = {0};
        struct lt_log_reader *reader = NULL;
        struct lt_str line;
        load(NULL, names[i], "events.jsonl", &events);
        assert_ok(lt_log_reader_open(golden(NULL, names[i], "arrow", path), &reader, &error), error);
        lt_log_reader_check_chain(reader);
        for (struct lt_str rest = {events.p, events.n}; next_line(&rest, &line);) {
            struct lt_row got, expected;
            assert_int_equal(lt_log_next(reader, &got, &error), LT_LOG_EVENT);
            yyjson_doc *doc = row_of(line, &expected);
            assert_true(lt_str_eq(got.id, expected.id) && lt_str_eq(got.event_type, expected.event_type));
            assert_true(lt_str_eq(got.session_id, expected.session_id) && lt_str_eq(got.run_id, expected.run_id));
            assert_true(lt_str_eq(got.json, expected.json));
            assert_true(got.occurred_at == expected.occurred_at && got.received_at == expected.received_at);
            yyjson_doc_free(doc);
        }
        struct lt_row row;
        assert_int_equal(lt_log_next(reader, &row, &error), i == 0 ? LT_LOG_SEALED : LT_LOG_OPEN);
        assert_true(lt_log_reader_chain_ok(reader));
        assert_int_equal(lt_log_is_sealed(path), i == 0);
        lt_log_reader_free(reader);
        lt_buf_release(&events);
    }
}

static void assert_cell(const char *name, const struct lt_table *table, int64_t row, const char *column, yyjson_val *expected) {
    struct lt_buf got;
    lt_buf_init(&got);
    lt_table_json(table, lt_table_find(table, column), row, &got);
    yyjson_doc *doc = yyjson_read(got.p, got.n, 0);
    if (!yyjson_equals(yyjson_doc_get_root(doc), expected)) {
        char *wanted = yyjson_val_write(expected, 0, NULL);
        fail_msg("%s, row %lld, %s: %s, committed is %s", name, (long long)row, column, lt_buf_cstr(&got), wanted);
    }
    yyjson_doc_free(doc);
    lt_buf_release(&got);
}

static void assert_rows(const char *name, const struct lt_table *table) {
    struct lt_buf rows;
    struct lt_str line;
    int64_t row = 0;
    load(NULL, name, "rows.jsonl", &rows);
    for (struct lt_str rest = {rows.p, rows.n}; next_line(&rest, &line); row++) {
        yyjson_doc *doc = yyjson_read(line.p, line.n, 0);
        size_t i, max;
        yyjson_val *key, *value;
        assert_non_null(doc);
        yyjson_obj_foreach(yyjson_doc_get_root(doc), i, max, key, value) assert_cell(name, table, row, yyjson_get_str(key), value);
        yyjson_doc_free(doc);
    }
    assert_int_equal(row, lt_table_rows(table));
    lt_buf_release(&rows);
}

static void test_they_fold_to_the_committed_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_MAX];
        struct litmus_error error = {0};
        struct lt_run run;
        struct lt_table table;
        fold_log(golden(NULL, names[i], "arrow", path), &run);
        assert_int_equal(run.skipped_events, 0);
        assert_ok(lt_rows_build(&run, &table, &error), error);
        assert_rows(names[i], &table);
        lt_table_release(&table);
        lt_run_release(&run);
    }
}

static void test_the_run_files_are_read(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_MAX];
        struct litmus_error error = {0};
        struct lt_table table;
        assert_ok(lt_parquet_read(golden(NULL, names[i], "parquet", path), NULL, 0, &table, &error), error);
        assert_rows(names[i], &table);
        lt_table_release(&table);
    }
}

/* Sealing what the dead producer left makes it whole, and the rows stay. */
static void test_the_unsealed_one_can_be_recovered(void **state) {
    (void)state;
    char dir[256], path[PATH_MAX];
    struct lt_buf bytes;
    struct litmus_error error = {0};
    struct lt_log_recovery report;
    make_temp(dir);
    load(NULL, "unsealed", "arrow", &bytes);
    store_file(golden(dir, "unsealed", "arrow", path), bytes.p, bytes.n);
    assert_ok(lt_log_recover(NULL, path, NULL, &report, &error), error);
    assert_int_equal(report.end, LT_LOG_OPEN);
    assert_int_equal(report.torn_bytes, 0);
    struct reading reading = read_log(path);
    assert_int_equal(reading.end, LT_LOG_SEALED);
    assert_int_equal(reading.rows, report.rows);
    assert_true(reading.chain_ok);
    lt_buf_release(&bytes);
}

/* ---- writing, once ---- */

static void write_log_of(const char *folder, const char *name, const char *data_dir, bool seal) {
    struct lt_buf events, log;
    struct litmus_error error = {0};
    struct lt_log_writer *writer = NULL;
    struct lt_str line;
    char session[64] = "", path[PATH_MAX];
    load(folder, name, "events.jsonl", &events);
    for (struct lt_str rest = {events.p, events.n}; next_line(&rest, &line);) {
        struct lt_row row;
        yyjson_doc *doc = row_of(line, &row);
        if (writer == NULL) {
            snprintf(session, sizeof session, "%.*s", LT_STR_ARG(row.session_id));
            struct lt_log_options options = {.data_dir = data_dir, .session_id = session};
            assert_ok(lt_log_create(&options, &writer, &error), error);
        }
        assert_ok(lt_log_append(writer, &row, 1, &error), error);
        yyjson_doc_free(doc);
    }
    if (seal) assert_ok(lt_log_seal(writer, &error), error);
    load_file(lt_log_writer_path(writer), &log);
    store_file(golden(folder, name, "arrow", path), log.p, log.n);
    lt_log_writer_free(writer);
    lt_buf_release(&events);
    lt_buf_release(&log);
}

static void write_rows_of(const char *folder, const char *name) {
    char path[PATH_MAX];
    struct litmus_error error = {0};
    struct lt_run run;
    struct lt_table table;
    struct lt_buf text, file;
    lt_buf_init(&text);
    lt_buf_init(&file);
    fold_log(golden(folder, name, "arrow", path), &run);
    assert_ok(lt_rows_build(&run, &table, &error), error);
    for (int64_t row = 0; row < lt_table_rows(&table); row++) {
        const char *before = "{";
        for (int64_t column = 0; column < lt_table_columns(&table); column++) {
            if (lt_table_is_null(&table, column, row) || strcmp(lt_table_name(&table, column), "litmus_version") == 0) continue;
            lt_buf_add_text(&text, before);
            lt_json_str(&text, lt_str_of(lt_table_name(&table, column)));
            lt_buf_add_text(&text, ": ");
            lt_table_json(&table, column, row, &text);
            before = ", ";
        }
        lt_buf_add_text(&text, "}\n");
    }
    assert_ok(lt_run_encode(&run, &file, &error), error);
    store_file(golden(folder, name, "rows.jsonl", path), text.p, text.n);
    store_file(golden(folder, name, "parquet", path), file.p, file.n);
    lt_buf_release(&text);
    lt_buf_release(&file);
    lt_table_release(&table);
    lt_run_release(&run);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "write") == 0) {
        char dir[256];
        make_temp(dir);
        for (size_t i = 0; i < 2; i++) {
            write_log_of(argv[2], names[i], dir, i == 0);
            write_rows_of(argv[2], names[i]);
        }
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_event_is_read_and_proved),
        cmocka_unit_test(test_they_fold_to_the_committed_rows),
        cmocka_unit_test(test_the_run_files_are_read),
        cmocka_unit_test(test_the_unsealed_one_can_be_recovered),
    };
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
