/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading back through litmus.h.
 */
#include "base/config.h"
#include "query/query.h"

#include <limits.h>
#include <stdlib.h>

struct litmus_table {
    struct lt_table rows;
};

static int read_run(struct lt_query *q, enum litmus_list what, const char *run_ref, struct lt_table *out, struct litmus_error *error) {
    struct lt_run_ref run;
    int code = lt_query_find(q, run_ref, &run, error);
    if (code != LITMUS_OK) return code;
    return what == LITMUS_LIST_STEPS ? lt_query_steps(q, &run, out, error) : lt_query_measurements(q, &run, out, error);
}

static int read_rows(const char *data_dir, enum litmus_list what, const char *run_ref, int64_t limit, struct lt_table *out, struct litmus_error *error) {
    struct lt_query *q = NULL;
    struct lt_run_filter filter = {.limit = limit};
    int code = lt_query_open(data_dir, &q, error);
    if (code != LITMUS_OK) return code;
    switch (what) {
    case LITMUS_LIST_RUNS: code = lt_query_runs(q, &filter, out, error); break;
    case LITMUS_LIST_STEPS:
    case LITMUS_LIST_MEASUREMENTS: code = read_run(q, what, run_ref, out, error); break;
    default: code = lt_fail(error, LITMUS_EINVAL, 0, "no list of number %d", (int)what);
    }
    lt_query_free(q);
    return code;
}

int litmus_read(const char *data_dir, enum litmus_list what, const char *run_ref, int64_t limit, litmus_table **out, struct litmus_error *error) {
    struct lt_buf folder;
    lt_buf_init(&folder);
    if (out == NULL) return lt_need_place(out, "litmus_read", error);
    *out = NULL;
    struct litmus_table *table = calloc(1, sizeof *table);
    if (table == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a table");
    int code = lt_data_dir_find(data_dir, &folder, error);
    if (code == LITMUS_OK) code = read_rows(lt_buf_cstr(&folder), what, run_ref, limit, &table->rows, error);
    lt_buf_release(&folder);
    if (code == LITMUS_OK) *out = table;
    else litmus_table_free(table);
    return code;
}

void litmus_table_free(litmus_table *table) {
    if (table == NULL) return;
    lt_table_release(&table->rows);
    free(table);
}

int64_t litmus_table_rows(const litmus_table *table) {
    return table == NULL ? 0 : lt_table_rows(&table->rows);
}

int litmus_table_columns(const litmus_table *table) {
    int64_t n = table == NULL ? 0 : lt_table_columns(&table->rows);
    return n > INT_MAX ? INT_MAX : (int)n;
}

const char *litmus_table_column_name(const litmus_table *table, int column) {
    return column < 0 || column >= litmus_table_columns(table) ? NULL : lt_table_name(&table->rows, column);
}

int litmus_table_find(const litmus_table *table, const char *column_name) {
    int64_t column = table == NULL || column_name == NULL ? -1 : lt_table_find(&table->rows, column_name);
    return column > INT_MAX ? -1 : (int)column;
}

/* Text as it is; everything else as in JSON, a time without its quotes. */
static void add_cell(const struct lt_table *rows, int64_t column, int64_t row, struct lt_buf *out) {
    struct lt_str text = lt_table_str(rows, column, row);
    if (text.p != NULL) {
        lt_buf_add_str(out, text);
        return;
    }
    lt_table_json(rows, column, row, out);
    if (out->n < 2 || out->p[0] != '"') return;
    memmove(out->p, out->p + 1, out->n - 2);
    out->n -= 2;
}

int64_t litmus_table_text(const litmus_table *table, int64_t row, int column, char *buf, size_t size) {
    struct lt_buf cell;
    if (buf == NULL) size = 0;
    if (size > 0) buf[0] = '\0';
    if (row < 0 || row >= litmus_table_rows(table) || column < 0 || column >= litmus_table_columns(table)) return -1;
    if (lt_table_is_null(&table->rows, column, row)) return -1;
    lt_buf_init(&cell);
    add_cell(&table->rows, column, row, &cell);
    int64_t length = cell.failed ? -1 : (int64_t)cell.n;
    if (length >= 0 && size > 0) {
        size_t n = cell.n < size ? cell.n : size - 1;
        if (n > 0) memcpy(buf, cell.p, n);
        buf[n] = '\0';
    }
    lt_buf_release(&cell);
    return length;
}
