/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - any lines of JSON as the events of one run: fold, settle, rows, Parquet, and back.
 * A planned step has its row, no key has two, every measurement is there; folding again, with live
 * views settled in between, gives the same bytes; the file that was written reads back cell by cell.
 */
#define _GNU_SOURCE
#include "../fuzz.h"
#include "accumulate/run.h"
#include "base/clock.h"
#include "materialize/materialize.h"
#include "materialize/parquet.h"
#include "materialize/rows.h"

enum { EVENTS_MAX = 400, STEPS_MAX = 2000 /* a run with more is folded and checked, and no more: each input is to take a moment */ };

static struct lt_str text_of(yyjson_val *object, const char *name) {
    yyjson_val *value = yyjson_obj_get(object, name);
    return yyjson_is_str(value) ? (struct lt_str){yyjson_get_str(value), yyjson_get_len(value)} : LT_STR_NULL;
}

/* A line that is no JSON is an event without envelope: damage, as the fold may meet it. */
static void fold_line(struct lt_run *run, struct lt_str line, int number) {
    yyjson_doc *doc = yyjson_read(line.p, line.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct lt_row row = {
        .id = text_of(root, "id"),
        .event_type = text_of(root, "event_type"),
        .occurred_at = INT64_C(1700000000000000) + number,
        .session_id = LT_STR("12345678-1234-4123-8123-123456789abc"),
        .run_id = run->run_id,
        .json = line,
    };
    if (row.event_type.p == NULL) row.event_type = LT_STR("test.record");
    lt_time_parse(text_of(root, "occurred_at"), &row.occurred_at);
    check(lt_run_fold(run, &row, (uint32_t)yyjson_get_int(yyjson_obj_get(root, "x_source")), NULL) == LITMUS_OK);
    yyjson_doc_free(doc);
}

/* `live_each`: how often a live view looks at the run while it is folded; 0: never. */
static void fold(struct lt_run *run, const uint8_t *bytes, size_t n, int live_each) {
    struct lt_str rest = {(const char *)bytes, n};
    lt_run_init(run, LT_STR("aaaaaaaa-1234-4123-8123-123456789abc"), LT_STR("12345678-1234-4123-8123-123456789abc"));
    for (int number = 0; rest.n > 0 && number < EVENTS_MAX; number++) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t line_bytes = end == NULL ? rest.n : (size_t)(end - rest.p);
        if (line_bytes > 0) fold_line(run, (struct lt_str){rest.p, line_bytes}, number);
        if (live_each > 0 && number % live_each == 0) check(lt_run_settle(run, true, NULL) == LITMUS_OK);
        line_bytes += end != NULL;
        rest = (struct lt_str){rest.p + line_bytes, rest.n - line_bytes};
    }
    check(lt_run_settle(run, false, NULL) == LITMUS_OK);
}

static int compare_keys(const void *left, const void *right) {
    const struct lt_step *a = *(const struct lt_step *const *)left, *b = *(const struct lt_step *const *)right;
    int order = lt_str_cmp(a->path, b->path);
    if (order == 0) order = (int)a->vector_index.set - (int)b->vector_index.set;
    return order != 0 ? order : (a->vector_index.v > b->vector_index.v) - (a->vector_index.v < b->vector_index.v);
}

static int compare_ids(const void *left, const void *right) {
    return lt_str_cmp((*(const struct lt_step *const *)left)->node_id, (*(const struct lt_step *const *)right)->node_id);
}

/* Is there a step with this text where `of` has it? `steps` are sorted by it. */
static bool has(const struct lt_step *const *steps, size_t count, struct lt_str text, struct lt_str (*of)(const struct lt_step *step)) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = lt_str_cmp(of(steps[middle]), text);
        if (order == 0) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

static struct lt_str path_of(const struct lt_step *step) {
    return step->path;
}

static struct lt_str id_of(const struct lt_step *step) {
    return step->node_id;
}

static void check_run(const struct lt_run *run) {
    size_t n = run->step_count;
    const struct lt_step **by_key = malloc((n + 1) * sizeof *by_key), **by_id = malloc((n + 1) * sizeof *by_id);
    check(by_key != NULL && by_id != NULL);
    for (size_t i = 0; i < n; i++) by_key[i] = by_id[i] = &run->steps[i];
    qsort(by_key, n, sizeof *by_key, compare_keys);
    qsort(by_id, n, sizeof *by_id, compare_ids);
    for (size_t i = 1; i < n; i++) check(compare_keys(&by_key[i - 1], &by_key[i]) != 0);
    for (size_t i = 0; i < run->plan_count; i++) check(has(by_key, n, run->plan[i].step_path, path_of) || has(by_id, n, run->plan[i].node_id, id_of));
    free(by_id);
    free(by_key);
    for (size_t i = 0; i < run->step_count; i++) check(run->order[i] < run->step_count);
    for (size_t i = 0; i < run->measurement_count; i++) check(run->measurements[i].owner == LT_MAP_NONE || run->measurements[i].owner < run->step_count);
}

static void check_rows(const struct lt_run *run, const struct lt_table *table) {
    size_t runs = 0, steps = 0, measurements = 0;
    int64_t column = lt_table_find(table, "record_type");
    for (int64_t row = 0; row < lt_table_rows(table); row++) {
        struct lt_str kind = lt_table_str(table, column, row);
        runs += lt_str_eq(kind, LT_STR("run"));
        steps += lt_str_eq(kind, LT_STR("step"));
        measurements += lt_str_eq(kind, LT_STR("measurement"));
    }
    check(runs == 1 && steps == run->step_count && measurements == run->measurement_count);
    check((size_t)lt_table_rows(table) == runs + steps + measurements);
}

static void check_same_cells(const struct lt_table *a, const struct lt_table *b) {
    struct lt_buf left, right;
    lt_buf_init(&left);
    lt_buf_init(&right);
    check(lt_table_rows(a) == lt_table_rows(b) && lt_table_columns(a) == lt_table_columns(b));
    for (int64_t column = 0; column < lt_table_columns(a); column++) {
        check(strcmp(lt_table_name(a, column), lt_table_name(b, column)) == 0);
        for (int64_t row = 0; row < lt_table_rows(a); row++) {
            lt_buf_clear(&left);
            lt_buf_clear(&right);
            lt_table_json(a, column, row, &left);
            lt_table_json(b, column, row, &right);
            bool same = left.n == right.n && memcmp(left.p, right.p, left.n) == 0;
            if (!same) fprintf(stderr, "row %lld, %s: %s, then %s\n", (long long)row, lt_table_name(a, column), lt_buf_cstr(&left), lt_buf_cstr(&right));
            check(same);
        }
    }
    lt_buf_release(&left);
    lt_buf_release(&right);
}

static void check_file(const struct lt_buf *file, const struct lt_table *rows) {
    char path[64];
    int fd = fuzz_file(file->p, file->n, path);
    struct lt_table back;
    struct litmus_error error = {0};
    int code = lt_parquet_read(path, NULL, 0, &back, &error);
    if (code != LITMUS_OK) fprintf(stderr, "%s\n", error.text);
    check(code == LITMUS_OK);
    check_same_cells(rows, &back);
    lt_table_release(&back);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    struct lt_run run, again;
    struct lt_table rows, rows_again;
    struct lt_buf file, file_again;
    lt_buf_init(&file);
    lt_buf_init(&file_again);
    fold(&run, bytes, n, 0);
    check_run(&run);
    if (run.step_count > STEPS_MAX) {
        lt_run_release(&run);
        return 0;
    }
    check(lt_rows_build(&run, &rows, NULL) == LITMUS_OK);
    check_rows(&run, &rows);
    fold(&again, bytes, n, 1 + (int)(n % 5));
    check(lt_rows_build(&again, &rows_again, NULL) == LITMUS_OK);
    check_same_cells(&rows, &rows_again);
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum = sum * 31 + bytes[i];
    if (sum % 4 == 0) { /* Parquet takes most of the time */
        check(lt_run_encode(&run, &file, NULL) == LITMUS_OK);
        check(lt_run_encode(&again, &file_again, NULL) == LITMUS_OK);
        check(file.n == file_again.n && memcmp(file.p, file_again.p, file.n) == 0);
        check_file(&file, &rows);
    }
    struct lt_materialized counts = {0};
    lt_run_count(&run, &counts);
    const struct lt_counts *c = &counts.counts;
    check(counts.steps == (int64_t)run.step_count && counts.measurements == (int64_t)run.measurement_count && counts.planned <= counts.steps);
    check(c->passed + c->failed + c->errored + c->skipped + c->done + c->terminated + c->aborted + c->never_ran <= counts.planned);
    lt_run_release(&run);
    lt_run_release(&again);
    lt_table_release(&rows);
    lt_table_release(&rows_again);
    lt_buf_release(&file);
    lt_buf_release(&file_again);
    return 0;
}

/* ---- a mutator that keeps JSON whole, most of the time ---- */

extern size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t max, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_n, const uint8_t *b, size_t b_n, uint8_t *out, size_t max, unsigned seed);

static uint32_t draw(unsigned *seed, uint32_t below) {
    *seed = *seed * 1664525u + 1013904223u;
    return below == 0 ? 0 : (*seed >> 8) % below;
}

/* Line number `index` of the text, its end included. */
static struct lt_str line_at(const uint8_t *bytes, size_t n, size_t index) {
    const uint8_t *p = bytes, *end = bytes + n;
    for (;; index--) {
        const uint8_t *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop == NULL ? end : stop + 1;
        if (index == 0 || stop == end) return (struct lt_str){(const char *)p, (size_t)(stop - p)};
        p = stop;
    }
}

static size_t count_lines(const uint8_t *bytes, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += bytes[i] == '\n';
    return count + 1;
}

/* A JSON value somewhere in the line: its place, or n == 0. */
static struct lt_str value_in(struct lt_str line, unsigned *seed) {
    size_t starts[64], count = 0;
    for (size_t i = 0; i + 1 < line.n && count < 64; i++)
        if (line.p[i] == ':' && line.p[i + 1] != '/') starts[count++] = i + 1;
    if (count == 0) return (struct lt_str){line.p, 0};
    size_t from = starts[draw(seed, (uint32_t)count)], to = from;
    int depth = 0;
    bool text = false;
    for (; to < line.n && line.p[to] != '\n'; to++) {
        char c = line.p[to];
        if (text) {
            if (c == '\\') to++;
            else if (c == '"') text = false;
        } else if (c == '"') text = true;
        else if (c == '[' || c == '{') depth++;
        else if ((c == ']' || c == '}') && depth-- == 0) break;
        else if (c == ',' && depth == 0) break;
    }
    if (to > line.n) to = line.n;
    return (struct lt_str){line.p + from, to - from};
}

/* Replaces `old` (a part of bytes) by `with`. 0: does not fit. */
static size_t put(uint8_t *bytes, size_t n, size_t max, struct lt_str old, struct lt_str with) {
    if (n - old.n + with.n > max) return 0;
    uint8_t *at = bytes + ((const uint8_t *)old.p - bytes);
    memmove(at + with.n, at + old.n, n - old.n - (size_t)(at - bytes));
    if (with.n > 0) memcpy(at, with.p, with.n);
    return n - old.n + with.n;
}

static const char *const values[] = {
    "null", "0", "1", "-1", "2", "9223372036854775807", "-9223372036854775808", "18446744073709551615", "1e308", "-0.0", "0.1", "true", "false", "\"\"", "\"passed\"",
    "\"failed\"", "\"errored\"", "\"skipped\"", "\"aborted\"", "\"terminated\"", "\"done\"", "\"a/b\"", "\"a\"", "\"2026-05-16T14:30:00Z\"", "\"0001-01-01T00:00:00Z\"",
    "\"9999-12-31T23:59:59.999999Z\"", "[]", "{}", "[1,\"a\",null]", "[\"a\",\"b\"]", "{\"a\":1}", "{\"v\":1.5,\"w\":[1,2]}", "\"\\u0000\"", "\"\\u00e9/..\\u2028\"", "[[[[]]]]",
    "\"test.step_started\"", "\"test.step_ended\"", "\"test.measurement\"", "\"run.started\"", "\"run.ended\"", "\"test.steps_discovered\"",
    "\"test.step_not_run\"", "\"test.vector_started\"",
};

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t max, unsigned seed) {
    uint32_t what = draw(&seed, 8);
    size_t lines = count_lines(bytes, n), done = 0;
    uint8_t *copy = malloc(n + 1); /* what is put may come from the text itself */
    check(copy != NULL);
    memcpy(copy, bytes, n);
    struct lt_str line = line_at(bytes, n, draw(&seed, (uint32_t)lines)), other = line_at(copy, n, draw(&seed, (uint32_t)lines));
    if (what < 2) done = put(bytes, n, max, value_in(line, &seed), lt_str_of(values[draw(&seed, sizeof values / sizeof values[0])]));
    else if (what < 4) done = put(bytes, n, max, value_in(line, &seed), value_in(other, &seed));
    else if (what == 4) done = put(bytes, n, max, (struct lt_str){line.p, 0}, other);
    else if (what == 5) done = put(bytes, n, max, line, LT_STR(""));
    else if (what == 6) done = put(bytes, n, max, line, other);
    free(copy);
    return done > 0 ? done : LLVMFuzzerMutate(bytes, n, max);
}

/* Lines of one, then lines of the other. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_n, const uint8_t *b, size_t b_n, uint8_t *out, size_t max, unsigned seed) {
    size_t n = 0, lines[2] = {count_lines(a, a_n), count_lines(b, b_n)}, total = lines[0] + lines[1];
    for (size_t i = 0; i < total; i++) {
        bool second = draw(&seed, 2) == 1;
        struct lt_str line = second ? line_at(b, b_n, i % lines[1]) : line_at(a, a_n, i % lines[0]);
        if (n + line.n + 1 > max) break;
        memcpy(out + n, line.p, line.n);
        n += line.n;
        if (line.n > 0 && line.p[line.n - 1] != '\n') out[n++] = '\n';
    }
    return n;
}
