/* SPDX-License-Identifier: Apache-2.0 */
#include "query/pace.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/grow.h"
#include "base/map.h"
#include "materialize/parquet.h"
#include "query/query_internal.h"

#include <stdlib.h>

struct lt_pace {
    struct lt_arena arena; /* the paths */
    struct lt_map numbers; /* of (path, vector) */
    int64_t *step_us;      /* sums over the runs */
    size_t step_count, step_capacity;
    int64_t steps_us, runs_us; /* sums of all steps, and of the runs from start to end */
    int runs;
};

static const char *const columns[] = {"record_type", "step_path", "parent_path", "vector_index", "step_started_at", "step_ended_at"};
struct source {
    struct lt_table rows;
    int64_t record_type, step_path, parent_path, vector_index, started, ended;
    struct lt_map paths;
};

static bool is_step(const struct source *s, int64_t row) {
    return lt_str_eq(lt_table_str(&s->rows, s->record_type, row), LT_STR("step"));
}

static bool add_step(struct lt_pace *pace, const struct source *s, int64_t row) {
    int64_t from, to, vector = 0;
    struct lt_str path = lt_table_str(&s->rows, s->step_path, row), parent = lt_table_str(&s->rows, s->parent_path, row);
    bool inside = !lt_str_empty(parent) && lt_map_get(&s->paths, parent, 0) != LT_MAP_NONE; /* its time is its parent's too */
    if (inside || !lt_table_int(&s->rows, s->started, row, &from) || !lt_table_int(&s->rows, s->ended, row, &to) || to < from) return true;
    lt_table_int(&s->rows, s->vector_index, row, &vector);
    uint32_t number = lt_map_get(&pace->numbers, path, (uint64_t)vector);
    if (number == LT_MAP_NONE) {
        int64_t *grown = lt_grow_list(pace->step_us, pace->step_count, &pace->step_capacity, sizeof *grown);
        struct lt_str own = lt_arena_str(&pace->arena, path);
        if (grown != NULL) pace->step_us = grown;
        if (grown == NULL || own.p == NULL || !lt_map_put(&pace->numbers, own, (uint64_t)vector, (uint32_t)pace->step_count)) return false;
        number = (uint32_t)pace->step_count++;
        pace->step_us[number] = 0;
    }
    pace->step_us[number] += to - from;
    pace->steps_us += to - from;
    return true;
}

static int add_rows(struct lt_pace *pace, struct source *s, struct litmus_error *error) {
    int64_t *const places[] = {&s->record_type, &s->step_path, &s->parent_path, &s->vector_index, &s->started, &s->ended};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) *places[i] = lt_table_find(&s->rows, columns[i]);
    bool ok = true;
    for (int64_t row = 0; ok && row < lt_table_rows(&s->rows); row++)
        if (is_step(s, row)) ok = lt_map_put(&s->paths, lt_table_str(&s->rows, s->step_path, row), 0, 1);
    for (int64_t row = 0; ok && row < lt_table_rows(&s->rows); row++)
        if (is_step(s, row)) ok = add_step(pace, s, row);
    return ok ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading how long earlier runs took");
}

static int add_run(struct lt_pace *pace, struct lt_query *q, const struct lt_summary *run, struct litmus_error *error) {
    struct source s = {.record_type = -1};
    struct lt_buf path;
    lt_buf_init(&path);
    lt_map_init(&s.paths);
    lt_buf_addf(&path, "%s/%.*s", q->data_dir, LT_STR_ARG(run->file_path));
    int code = lt_parquet_read(lt_buf_cstr(&path), columns, sizeof columns / sizeof columns[0], &s.rows, error);
    if (code == LITMUS_OK) code = add_rows(pace, &s, error);
    if (code == LITMUS_OK) pace->runs_us += run->ended_at - run->started_at;
    if (code == LITMUS_OK) pace->runs++;
    lt_table_release(&s.rows);
    lt_map_release(&s.paths);
    lt_buf_release(&path);
    return code;
}

static bool is_whole(const struct lt_summary *run) {
    return run->never_ran == 0 && run->started_at != LT_TIME_NONE && run->ended_at != LT_TIME_NONE && run->ended_at >= run->started_at;
}

int lt_pace_load(struct lt_query *q, const char *plan_digest, struct lt_pace **out, struct litmus_error *error) {
    struct lt_run_filter filter = {.plan = plan_digest, .limit = 4 * LT_PACE_RUNS, .finished_only = true};
    struct lt_summaries list;
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading how long earlier runs took");
    lt_arena_init(&(*out)->arena);
    lt_map_init(&(*out)->numbers);
    int code = lt_summaries_load(q, &filter, &list, error);
    for (size_t i = 0; code == LITMUS_OK && i < list.count && (*out)->runs < LT_PACE_RUNS; i++)
        if (is_whole(&list.items[i])) code = add_run(*out, q, &list.items[i], error);
    lt_summaries_release(&list);
    if (code == LITMUS_OK) return code;
    lt_pace_free(*out);
    *out = NULL;
    return code;
}

void lt_pace_free(struct lt_pace *pace) {
    if (pace == NULL) return;
    lt_map_release(&pace->numbers);
    lt_arena_release(&pace->arena);
    free(pace->step_us);
    free(pace);
}

int lt_pace_runs(const struct lt_pace *pace) {
    return pace->runs;
}

int64_t lt_pace_whole_us(const struct lt_pace *pace) {
    return pace->runs == 0 ? 0 : pace->runs_us / pace->runs;
}

int64_t lt_pace_step_us(const struct lt_pace *pace, struct lt_str step_path, int64_t vector_index) {
    uint32_t number = lt_map_get(&pace->numbers, step_path, (uint64_t)vector_index);
    if (number == LT_MAP_NONE || pace->steps_us == 0) return 0;
    return (int64_t)((double)pace->step_us[number] / (double)pace->steps_us * (double)lt_pace_whole_us(pace));
}
