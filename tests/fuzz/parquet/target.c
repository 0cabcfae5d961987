/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - any bytes as a run's Parquet file: it is read, or refused with a reason. What was
 * read can be walked cell by cell, each as JSON, and a choice of columns gives the same cells.
 */
#define _GNU_SOURCE
#include "../fuzz.h"
#include "log/layout.h"
#include "materialize/parquet.h"

#include <yyjson.h>

enum { CELLS_MAX = 20000 };

static void check_cell(const struct lt_table *table, int64_t column, int64_t row, struct lt_buf *json) {
    int64_t whole;
    double real;
    struct lt_str text = lt_table_str(table, column, row);
    check(text.p == NULL || !lt_table_is_null(table, column, row));
    lt_table_int(table, column, row, &whole);
    lt_table_real(table, column, row, &real);
    lt_buf_clear(json);
    lt_table_json(table, column, row, json);
    yyjson_doc *doc = yyjson_read(json->p, json->n, YYJSON_READ_ALLOW_INVALID_UNICODE);
    check(doc != NULL);
    yyjson_doc_free(doc);
}

static void check_table(const struct lt_table *table) {
    struct lt_buf json;
    int64_t cells = 0;
    lt_buf_init(&json);
    for (int64_t column = 0; column < lt_table_columns(table); column++) {
        check(lt_table_name(table, column) != NULL);
        for (int64_t row = 0; row < lt_table_rows(table) && cells < CELLS_MAX; row++, cells++) check_cell(table, column, row, &json);
    }
    lt_buf_release(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static const char *const some[] = {"record_type", "run_id", "step_outcome", "step_instruments_name"};
    char path[64];
    int fd = fuzz_file(bytes, n, path);
    struct litmus_error error = {0};
    struct lt_table whole, part;
    int code = lt_parquet_read(path, NULL, 0, &whole, &error);
    check(code == error.code);
    if (code == LITMUS_OK) check_table(&whole);
    else check(error.text[0] != '\0' && whole.array.release == NULL && whole.schema.release == NULL);
    struct litmus_error why = {0};
    int part_code = lt_parquet_read(path, some, sizeof some / sizeof some[0], &part, &why);
    check(part_code == why.code);
    if (part_code == LITMUS_OK) check_table(&part);
    if (code == LITMUS_OK && part_code == LITMUS_OK) check(lt_table_rows(&part) == lt_table_rows(&whole));
    struct lt_parquet_series *series = lt_parquet_series_new(); /* the second time it is like the file before */
    for (int i = 0; series != NULL && i < 2; i++) {
        const struct lt_table *rows;
        const bool *changed;
        check(lt_parquet_series_read(series, path, &rows, &changed, NULL) == code);
        check(code == LITMUS_OK || changed == NULL);
        if (code == LITMUS_OK) check_table(rows);
    }
    lt_parquet_series_free(series);
    lt_table_release(&whole);
    lt_table_release(&part);
    close(fd);
    return 0;
}
