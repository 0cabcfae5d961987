/* SPDX-License-Identifier: Apache-2.0
 *
 * A settled run as rows. Which value stands where is said by columns.def; this file walks it.
 */
#include "materialize/rows.h"

#include "materialize/build.h"
#include "materialize/dynamic.h"

#include <assert.h>
#include <stddef.h>

enum source { FROM_NOTHING, FROM_KIND, FROM_RUN, FROM_STEP, FROM_MEAS, FROM_OWNER, FROM_ATTEMPTS };
enum otherwise { OR_NULL, OR_EMPTY, OR_ONE };

struct place {
    enum source source;
    size_t offset;
    enum otherwise otherwise;
};

struct column {
    const char *name;
    enum lt_column_type type;
    struct place run, step, measurement;
};

#define NO {FROM_NOTHING, 0, OR_NULL}
#define KIND {FROM_KIND, 0, OR_NULL}
#define ATTEMPTS {FROM_ATTEMPTS, 0, OR_NULL}
#define RUN(f) {FROM_RUN, offsetof(struct lt_run, f), OR_NULL}
#define STEP(f) {FROM_STEP, offsetof(struct lt_step, f), OR_NULL}
#define MEAS(f) {FROM_MEAS, offsetof(struct lt_measurement, f), OR_NULL}
#define OWNER(f) {FROM_OWNER, offsetof(struct lt_step, f), OR_NULL}
#define OWNER_OR(f, value) {FROM_OWNER, offsetof(struct lt_step, f), OR_##value}
#define COLUMN(name, type, run, step, measurement, meaning) {#name, LT_COLUMN_##type, run, step, measurement},
static const struct column columns[] = {
#include "model/columns.def"
};
#undef COLUMN
enum { COLUMN_COUNT = sizeof columns / sizeof columns[0] };
static_assert(offsetof(struct lt_int, v) == 0 && offsetof(struct lt_real, v) == 0, "the number comes first");

static bool is_null(enum lt_column_type type, const void *value) {
    if (type == LT_COLUMN_STR) return ((const struct lt_str *)value)->p == NULL;
    if (type == LT_COLUMN_REAL) return !((const struct lt_real *)value)->set;
    const struct lt_int *whole = value;
    bool fits = type != LT_COLUMN_INT32 || (whole->v >= INT32_MIN && whole->v <= INT32_MAX);
    return !whole->set || !fits;
}

static void put_value(struct lt_build *build, enum lt_column_type type, const char *base, const struct place *place) {
    const void *value = base + place->offset;
    if (is_null(type, value)) lt_put_null(build);
    else if (type == LT_COLUMN_STR) lt_put_str(build, *(const struct lt_str *)value);
    else if (type == LT_COLUMN_REAL) lt_put_real(build, ((const struct lt_real *)value)->v);
    else lt_put_int(build, ((const struct lt_int *)value)->v);
}

static void put_otherwise(struct lt_build *build, enum otherwise otherwise) {
    if (otherwise == OR_EMPTY) lt_put_str(build, LT_STR(""));
    else if (otherwise == OR_ONE) lt_put_int(build, 1);
    else lt_put_null(build);
}

static void put_attempts(struct lt_build *build, const struct column *column, const struct lt_step *step) {
    bool starts = strcmp(column->name, "attempt_started_at") == 0;
    for (size_t i = 0; i < step->attempt_count; i++) {
        const struct lt_attempt *a = &step->attempts[i];
        if (column->type == LT_COLUMN_STRS) lt_list_item_str(build, a->outcome);
        else lt_list_item_int(build, starts ? a->started.set : a->ended.set, starts ? a->started.v : a->ended.v);
    }
    lt_list_end(build);
}

/* The objects that a row is made from; those that it has not are NULL. */
struct row {
    struct lt_str kind;
    const struct lt_run *run;
    const struct lt_step *step;
    const struct lt_measurement *measurement;
    const struct lt_step *owner;
};

static void put_cell(struct lt_build *build, const struct column *column, const struct place *place, const struct row *row) {
    switch (place->source) {
    case FROM_NOTHING: lt_put_null(build); break;
    case FROM_KIND: lt_put_str(build, row->kind); break;
    case FROM_RUN: put_value(build, column->type, (const char *)row->run, place); break;
    case FROM_STEP: put_value(build, column->type, (const char *)row->step, place); break;
    case FROM_MEAS: put_value(build, column->type, (const char *)row->measurement, place); break;
    case FROM_ATTEMPTS: put_attempts(build, column, row->step); break;
    case FROM_OWNER:
        if (row->owner == NULL) put_otherwise(build, place->otherwise);
        else put_value(build, column->type, (const char *)row->owner, place);
        break;
    }
}

/* A cell that is the same in every row of a kind, which most are, is made once. */
static bool put_same(struct lt_build *build, const struct column *column, const struct place *place, const struct row *row, size_t count) {
    bool same = place->source == FROM_NOTHING || place->source == FROM_RUN || place->source == FROM_KIND;
    if (!same || count == 0) return same;
    put_cell(build, column, place, row);
    lt_put_again(build, (int64_t)count - 1);
    return true;
}

static void put_steps(struct lt_build *build, const struct lt_run *run, const struct column *column) {
    struct row row = {.kind = LT_STR("step"), .run = run};
    if (put_same(build, column, &column->step, &row, run->step_count)) return;
    for (size_t i = 0; i < run->step_count; i++) {
        row.step = &run->steps[run->order[i]];
        put_cell(build, column, &column->step, &row);
    }
}

/* Is the cell of the one measurement that of the other? Texts that are said again are kept once. */
static bool is_again(const struct column *column, const struct lt_measurement *a, const struct lt_measurement *b) {
    const struct place *place = &column->measurement;
    const void *x = (const char *)a + place->offset, *y = (const char *)b + place->offset;
    if (place->source == FROM_OWNER) return a->owner == b->owner;
    if (place->source != FROM_MEAS) return false;
    if (column->type == LT_COLUMN_STR) return ((const struct lt_str *)x)->p == ((const struct lt_str *)y)->p && ((const struct lt_str *)x)->n == ((const struct lt_str *)y)->n;
    if (is_null(column->type, x) || is_null(column->type, y)) return is_null(column->type, x) && is_null(column->type, y);
    return memcmp(x, y, sizeof(int64_t)) == 0; /* lt_int and lt_real begin with their number */
}

static void put_measurements(struct lt_build *build, const struct lt_run *run, const struct column *column) {
    struct row row = {.kind = LT_STR("measurement"), .run = run};
    if (put_same(build, column, &column->measurement, &row, run->measurement_count)) return;
    for (size_t i = 0, next; i < run->measurement_count; i = next) {
        row.measurement = &run->measurements[i];
        row.owner = row.measurement->owner == LT_MAP_NONE ? NULL : &run->steps[row.measurement->owner];
        put_cell(build, column, &column->measurement, &row);
        for (next = i + 1; next < run->measurement_count && is_again(column, row.measurement, &run->measurements[next]);) next++;
        lt_put_again(build, (int64_t)(next - i - 1));
    }
}

static void put_column(struct lt_build *build, const struct lt_run *run, const struct column *column) {
    lt_build_column(build, column->name, column->type);
    put_cell(build, column, &column->run, &(struct row){.kind = LT_STR("run"), .run = run});
    put_steps(build, run, column);
    put_measurements(build, run, column);
}

int lt_rows_build(const struct lt_run *run, struct lt_table *out, struct litmus_error *error) {
    struct lt_dynamic dynamic;
    int code = lt_dynamic_init(&dynamic, run, error);
    if (code != LITMUS_OK) return code;
    struct lt_build build;
    lt_build_start(&build, out, COLUMN_COUNT + (int64_t)dynamic.count, (int64_t)(1 + run->step_count + run->measurement_count));
    for (size_t i = 0; i < COLUMN_COUNT; i++) put_column(&build, run, &columns[i]);
    lt_dynamic_put(&dynamic, &build);
    lt_dynamic_release(&dynamic);
    return lt_build_finish(&build, error);
}
