/* SPDX-License-Identifier: Apache-2.0
 *
 * The step and measurement lists of one run (run-schema.md, 8.2 and 8.3).
 */
#include "query/query_internal.h"

#include "base/clock.h"
#include "base/map.h"
#include "materialize/build.h"

#include <stdlib.h>

/* Columns that the step list is made of. */
#define STEP_SOURCE(X)                                                                                        \
    X(record_type) X(run_id) X(step_index) X(step_name) X(step_path) X(parent_path) X(vector_index)           \
    X(step_node_id) X(step_outcome) X(vector_outcome) X(step_started_at) X(step_ended_at)                     \
    X(step_vector_count) X(step_markers) X(vector_retry) X(step_message) X(step_failed_phase)                 \
    X(never_ran_reason) X(never_ran_cause)

struct source {
#define FIELD(name) int64_t name;
    STEP_SOURCE(FIELD)
#undef FIELD
};

static const char *const source_columns[] = {
#define NAME(name) #name,
    STEP_SOURCE(NAME)
#undef NAME
};

/* What the measurement rows of one key add up to. */
struct tally {
    int64_t count, retry_max;
};

struct step_list {
    const struct lt_table *rows;
    struct source at;
    int64_t *order; /* row numbers of the steps, sorted */
    int64_t count;
    struct lt_map by_key;
    struct tally *tallies;
    uint32_t tally_count;
};

static struct lt_str cell(const struct lt_table *rows, int64_t column, int64_t row) {
    return lt_table_str(rows, column, row);
}

static int64_t whole(const struct lt_table *rows, int64_t column, int64_t row, int64_t otherwise) {
    int64_t value = otherwise;
    lt_table_int(rows, column, row, &value);
    return value;
}

static struct lt_str key_of(const struct step_list *l, int64_t row) {
    struct lt_str path = cell(l->rows, l->at.step_path, row);
    return lt_str_empty(path) ? cell(l->rows, l->at.step_name, row) : path;
}

static int compare_whole(const struct lt_table *rows, int64_t column, int64_t a, int64_t b) {
    int64_t x = whole(rows, column, a, INT64_MAX), y = whole(rows, column, b, INT64_MAX); /* NULL last */
    return (x > y) - (x < y);
}

/* qsort has no place for the table; one list is sorted at a time, a thread. */
static _Thread_local const struct step_list *sorting;

static int step_order(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    int order = compare_whole(sorting->rows, sorting->at.step_index, x, y);
    if (order == 0) order = lt_str_cmp(key_of(sorting, x), key_of(sorting, y));
    if (order == 0) order = compare_whole(sorting->rows, sorting->at.vector_index, x, y);
    return order != 0 ? order : (x > y) - (x < y);
}

static bool tally_measurement(struct step_list *l, int64_t row) {
    struct lt_str key = key_of(l, row);
    uint64_t sub = (uint64_t)whole(l->rows, l->at.vector_index, row, 0);
    uint32_t number = lt_map_get(&l->by_key, key, sub);
    if (number == LT_MAP_NONE) {
        number = l->tally_count++;
        if (!lt_map_put(&l->by_key, key, sub, number)) return false;
    }
    struct tally *t = &l->tallies[number];
    int64_t retry = whole(l->rows, l->at.vector_retry, row, 0);
    t->count++;
    if (retry > t->retry_max) t->retry_max = retry;
    return true;
}

static int collect(struct step_list *l, struct litmus_error *error) {
    int64_t n = lt_table_rows(l->rows);
    l->order = calloc((size_t)n + 1, sizeof *l->order);
    l->tallies = calloc((size_t)n + 1, sizeof *l->tallies);
    bool ok = l->order != NULL && l->tallies != NULL;
    for (int64_t row = 0; ok && row < n; row++) {
        struct lt_str kind = cell(l->rows, l->at.record_type, row);
        if (lt_str_eq(kind, LT_STR("step"))) l->order[l->count++] = row;
        else if (lt_str_eq(kind, LT_STR("measurement"))) ok = tally_measurement(l, row);
    }
    if (!ok) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing the steps");
    sorting = l;
    if (l->count > 1) qsort(l->order, (size_t)l->count, sizeof *l->order, step_order);
    return LITMUS_OK;
}

static struct tally tally_of(const struct step_list *l, int64_t row) {
    uint32_t number = lt_map_get(&l->by_key, key_of(l, row), (uint64_t)whole(l->rows, l->at.vector_index, row, 0));
    return number == LT_MAP_NONE ? (struct tally){0, 0} : l->tallies[number];
}

/* ---- columns of the list ---- */

static void put_text(struct lt_build *b, const struct step_list *l, const char *name, int64_t column) {
    lt_build_column(b, name, LT_COLUMN_STR);
    for (int64_t i = 0; i < l->count; i++) lt_put_str(b, cell(l->rows, column, l->order[i]));
}

static void put_whole(struct lt_build *b, const struct step_list *l, const char *name, int64_t column) {
    int64_t value;
    lt_build_column(b, name, LT_COLUMN_INT);
    for (int64_t i = 0; i < l->count; i++) {
        if (lt_table_int(l->rows, column, l->order[i], &value)) lt_put_int(b, value);
        else lt_put_null(b);
    }
}

/* The seed's text of a time: no zone, UTC. */
static void put_time_text(struct lt_build *b, const struct step_list *l, const char *name, int64_t column) {
    char text[LT_ISO_BYTES];
    int64_t us;
    lt_build_column(b, name, LT_COLUMN_STR);
    for (int64_t i = 0; i < l->count; i++) {
        if (!lt_table_int(l->rows, column, l->order[i], &us)) lt_put_null(b);
        else lt_put_str(b, (struct lt_str){text, lt_time_sql(us, text)});
    }
}

static void put_duration(struct lt_build *b, const struct step_list *l) {
    int64_t from, to, us;
    lt_build_column(b, "duration_s", LT_COLUMN_REAL);
    for (int64_t i = 0; i < l->count; i++) {
        bool both = lt_table_int(l->rows, l->at.step_started_at, l->order[i], &from) && lt_table_int(l->rows, l->at.step_ended_at, l->order[i], &to);
        if (both && !__builtin_sub_overflow(to, from, &us)) lt_put_real(b, (double)us / 1e6);
        else lt_put_null(b);
    }
}

static void put_tallies(struct lt_build *b, const struct step_list *l) {
    lt_build_column(b, "has_measurements", LT_COLUMN_BOOL);
    for (int64_t i = 0; i < l->count; i++) lt_put_int(b, tally_of(l, l->order[i]).count > 0);
    lt_build_column(b, "measurement_count", LT_COLUMN_INT);
    for (int64_t i = 0; i < l->count; i++) lt_put_int(b, tally_of(l, l->order[i]).count);
    put_whole(b, l, "vector_count", l->at.step_vector_count);
    lt_build_column(b, "retry_count", LT_COLUMN_INT);
    for (int64_t i = 0; i < l->count; i++) lt_put_int(b, tally_of(l, l->order[i]).retry_max);
}

static void put_constants(struct lt_build *b, const struct step_list *l, const struct lt_run_ref *run) {
    lt_build_column(b, "file_path", LT_COLUMN_STR);
    for (int64_t i = 0; i < l->count; i++) lt_put_str(b, run->path[0] == '\0' ? LT_STR_NULL : lt_str_of(run->path));
}

static int build_steps(const struct step_list *l, const struct lt_run_ref *run, struct lt_table *out, struct litmus_error *error) {
    enum { COLUMNS = 24 };
    struct lt_build b;
    lt_build_start(&b, out, COLUMNS, l->count);
    put_text(&b, l, "run_id", l->at.run_id);
    put_whole(&b, l, "step_index", l->at.step_index);
    put_text(&b, l, "step_name", l->at.step_name);
    put_text(&b, l, "step_path", l->at.step_path);
    put_text(&b, l, "parent_path", l->at.parent_path);
    put_whole(&b, l, "vector_index", l->at.vector_index);
    put_text(&b, l, "step_node_id", l->at.step_node_id);
    put_text(&b, l, "step_outcome", l->at.step_outcome);
    put_text(&b, l, "outcome", l->at.step_outcome);
    put_time_text(&b, l, "started_at", l->at.step_started_at);
    put_time_text(&b, l, "ended_at", l->at.step_ended_at);
    put_duration(&b, l);
    put_tallies(&b, l);
    put_text(&b, l, "markers", l->at.step_markers);
    put_constants(&b, l, run);
    put_text(&b, l, "step_message", l->at.step_message);
    put_text(&b, l, "step_failed_phase", l->at.step_failed_phase);
    put_text(&b, l, "never_ran_reason", l->at.never_ran_reason);
    put_text(&b, l, "never_ran_cause", l->at.never_ran_cause);
    put_text(&b, l, "vector_outcome", l->at.vector_outcome);
    lt_build_column(&b, "live", LT_COLUMN_BOOL);
    for (int64_t i = 0; i < l->count; i++) lt_put_int(&b, run->live);
    return lt_build_finish(&b, error);
}

int lt_query_steps(struct lt_query *q, const struct lt_run_ref *run, struct lt_table *out, struct litmus_error *error) {
    struct lt_table rows;
    lt_table_init(out);
    int code = lt_query_rows(q, run, source_columns, sizeof source_columns / sizeof source_columns[0], &rows, error);
    if (code != LITMUS_OK) return code;
    struct step_list l = {.rows = &rows};
#define FIND(name) l.at.name = lt_table_find(&rows, #name);
    STEP_SOURCE(FIND)
#undef FIND
    lt_map_init(&l.by_key);
    code = collect(&l, error);
    if (code == LITMUS_OK) code = build_steps(&l, run, out, error);
    lt_map_release(&l.by_key);
    free(l.order);
    free(l.tallies);
    lt_table_release(&rows);
    return code;
}

/* ---- measurements ---- */

struct measurement_columns {
    const struct lt_table *rows;
    int64_t step_index, name, vector_index, retry;
};
static _Thread_local const struct measurement_columns *sorting_measurements;

static int measurement_order(const void *a, const void *b) {
    const struct measurement_columns *m = sorting_measurements;
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    int order = compare_whole(m->rows, m->step_index, x, y);
    if (order == 0) order = lt_str_cmp(cell(m->rows, m->name, x), cell(m->rows, m->name, y));
    if (order == 0) order = compare_whole(m->rows, m->vector_index, x, y);
    if (order == 0) order = compare_whole(m->rows, m->retry, x, y);
    return order != 0 ? order : (x > y) - (x < y);
}

int lt_query_measurements(struct lt_query *q, const struct lt_run_ref *run, struct lt_table *out, struct litmus_error *error) {
    struct lt_table rows;
    lt_table_init(out);
    int code = lt_query_rows(q, run, NULL, 0, &rows, error);
    if (code != LITMUS_OK) return code;
    int64_t n = lt_table_rows(&rows), count = 0, kind = lt_table_find(&rows, "record_type");
    int64_t *order = calloc((size_t)n + 1, sizeof *order);
    if (order == NULL) {
        lt_table_release(&rows);
        return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing the measurements");
    }
    for (int64_t row = 0; row < n; row++)
        if (lt_str_eq(cell(&rows, kind, row), LT_STR("measurement"))) order[count++] = row;
    struct measurement_columns m = {&rows, lt_table_find(&rows, "step_index"), lt_table_find(&rows, "measurement_name"),
                                    lt_table_find(&rows, "vector_index"), lt_table_find(&rows, "vector_retry")};
    sorting_measurements = &m;
    if (count > 1) qsort(order, (size_t)count, sizeof *order, measurement_order);
    code = lt_table_take(&rows, order, count, run->path[0] == '\0' ? LT_STR_NULL : lt_str_of(run->path), out, error);
    free(order);
    lt_table_release(&rows);
    return code;
}
