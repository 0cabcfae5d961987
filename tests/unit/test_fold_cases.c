/* SPDX-License-Identifier: Apache-2.0
 *
 * Each folder of tests/cases is one case: events.jsonl goes in, the rows of rows.jsonl must come
 * out, in order: of each expected row the columns that it names, and no row more or less. A file
 * `live` in the folder settles the run as one in flight. A new case needs no code.
 */
#include "accumulate/run.h"
#include "base/clock.h"
#include "base/io.h"
#include "materialize/rows.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int failures;

static struct lt_str text_of(yyjson_val *object, const char *name) {
    yyjson_val *value = yyjson_obj_get(object, name);
    return yyjson_is_str(value) ? (struct lt_str){yyjson_get_str(value), yyjson_get_len(value)} : LT_STR_NULL;
}

static void fold_line(struct lt_run *run, const char *folder, struct lt_str line) {
    yyjson_doc *doc = yyjson_read(line.p, line.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct lt_row row = {.id = text_of(root, "id"), .event_type = text_of(root, "event_type"), .json = line};
    row.run_id = text_of(root, "run_id");
    row.session_id = text_of(root, "session_id");
    if (doc == NULL || !lt_time_parse(text_of(root, "occurred_at"), &row.occurred_at)) {
        printf("%s: an event line is no JSON or has no occurred_at\n", folder);
        failures++;
    }
    if (run->run_id.p == NULL) lt_run_init(run, row.run_id, row.session_id);
    yyjson_val *source = yyjson_obj_get(root, "x_source"); /* log file number, for workers */
    if (lt_run_fold(run, &row, (uint32_t)yyjson_get_int(source), NULL) != LITMUS_OK) failures++;
    yyjson_doc_free(doc);
}

static bool cell_equals(const struct lt_table *table, int64_t row, yyjson_val *key, yyjson_val *expected, struct lt_buf *got) {
    lt_buf_clear(got);
    lt_table_json(table, lt_table_find(table, yyjson_get_str(key)), row, got);
    yyjson_doc *doc = yyjson_read(got->p, got->n, 0);
    yyjson_val *value = yyjson_doc_get_root(doc);
    bool equal = yyjson_equals(value, expected) || (yyjson_is_num(value) && yyjson_is_num(expected) && yyjson_get_num(value) == yyjson_get_num(expected));
    yyjson_doc_free(doc);
    return equal;
}

static void check_row(const char *folder, const struct lt_table *table, int64_t row, struct lt_str line) {
    yyjson_doc *doc = yyjson_read(line.p, line.n, 0);
    struct lt_buf got;
    lt_buf_init(&got);
    size_t i, max;
    yyjson_val *key, *value;
    if (doc == NULL) {
        printf("%s: expected row %lld is no JSON\n", folder, (long long)row);
        failures++;
    }
    yyjson_obj_foreach(yyjson_doc_get_root(doc), i, max, key, value) {
        if (cell_equals(table, row, key, value, &got)) continue;
        char *wanted = yyjson_val_write(value, 0, NULL);
        printf("%s: row %lld, column %s: %s, expected %s\n", folder, (long long)row, yyjson_get_str(key), lt_buf_cstr(&got), wanted);
        free(wanted);
        failures++;
    }
    lt_buf_release(&got);
    yyjson_doc_free(doc);
}

/* Takes the next line that is not empty. */
static bool next_line(struct lt_str *rest, struct lt_str *line) {
    while (rest->n > 0) {
        const char *end = memchr(rest->p, '\n', rest->n);
        size_t n = end == NULL ? rest->n : (size_t)(end - rest->p);
        *line = (struct lt_str){rest->p, n};
        n += end != NULL;
        *rest = (struct lt_str){rest->p + n, rest->n - n};
        if (line->n > 0) return true;
    }
    return false;
}

static void run_case(const char *folder) {
    struct lt_buf path, events, rows;
    struct lt_run run = {0};
    struct lt_table table;
    lt_buf_init(&path);
    lt_buf_init(&events);
    lt_buf_init(&rows);
    struct litmus_error error = {0};
    bool readable = lt_io_read_file(lt_path_join(&path, folder, "events.jsonl"), 1 << 24, &events, &error) == LITMUS_OK &&
                    lt_io_read_file(lt_path_join(&path, folder, "rows.jsonl"), 1 << 24, &rows, &error) == LITMUS_OK;
    struct lt_str rest = {events.p, events.n}, line;
    while (readable && next_line(&rest, &line)) fold_line(&run, folder, line);
    bool live = access(lt_path_join(&path, folder, "live"), F_OK) == 0;
    lt_table_init(&table);
    if (!readable || lt_run_settle(&run, live, &error) != LITMUS_OK || lt_rows_build(&run, &table, &error) != LITMUS_OK) {
        printf("%s: %s\n", folder, error.text);
        failures++;
    }
    int64_t row = 0;
    for (rest = (struct lt_str){rows.p, rows.n}; next_line(&rest, &line); row++) check_row(folder, &table, row, line);
    if (row != lt_table_rows(&table)) {
        printf("%s: %lld rows, expected %lld\n", folder, (long long)lt_table_rows(&table), (long long)row);
        failures++;
    }
    lt_table_release(&table);
    lt_run_release(&run);
    lt_buf_release(&path);
    lt_buf_release(&events);
    lt_buf_release(&rows);
}

int main(void) {
    const char *source = getenv("LITMUS_SOURCE_ROOT");
    struct lt_buf root_path, folder;
    lt_buf_init(&root_path);
    lt_buf_init(&folder);
    const char *root = lt_path_join(&root_path, source == NULL ? "." : source, "tests/cases");
    DIR *dir = opendir(root);
    int cases = 0;
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        run_case(lt_path_join(&folder, root, entry->d_name));
        cases++;
    }
    if (dir != NULL) closedir(dir);
    lt_buf_release(&folder);
    lt_buf_release(&root_path);
    printf("%d cases, %d failures\n", cases, failures);
    return cases == 0 || failures > 0;
}
