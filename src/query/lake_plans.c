/* SPDX-License-Identifier: Apache-2.0 */
#include "query/lake_plans.h"

#include <openssl/sha.h>
#include <stdio.h>

enum { GROUP_ROWS = 50 * 1024, GROUP_BYTES = 16 << 20, NAME_BYTES = 96, PLAN_COLUMNS = 6 };

static const char *const kinds[LT_PLANS_KINDS] = {[LT_PLANS_RUN] = "run", [LT_PLANS_PLAN] = "plan", [LT_PLANS_OTHER] = "other"};

/* What makes a plan, row by row; then what says how a row went, then what says which run it is. */
static const char *const columns[] = {
    "step_path", "step_name", "vector_index", "parent_path", "step_index", "step_node_id",
    "step_started_at", "step_outcome", "vector_outcome", "never_ran_reason", "attempt_outcomes",
    "run_id", "run_started_at", "dut_serial", "dut_part_number", "dut_lot_number", "station_id", "operator_id", "test_phase", "project_name",
    "git_commit", "step_instruments_mocked",
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

void lt_lake_plans_init(struct lt_lake_plans *p) {
    *p = (struct lt_lake_plans){.writer = NULL};
    for (int kind = 0; kind < LT_PLANS_KINDS; kind++) lt_stack_init(&p->stacks[kind]);
    lt_map_init(&p->known);
    lt_arena_init(&p->arena);
    lt_buf_init(&p->scratch);
    lt_buf_init(&p->last);
}

void lt_lake_plans_release(struct lt_lake_plans *p) {
    lt_parquet_writer_free(p->writer);
    for (int kind = 0; kind < LT_PLANS_KINDS; kind++) lt_stack_release(&p->stacks[kind]);
    lt_map_release(&p->known);
    lt_arena_release(&p->arena);
    lt_buf_release(&p->scratch);
    lt_buf_release(&p->last);
    lt_lake_plans_init(p);
}

/* ---- one run ---- */

static struct lt_plans_places find_places(const struct lt_table *rows) {
    struct lt_plans_places at = {.record_type = lt_table_find(rows, "record_type"), .started = lt_table_find(rows, "step_started_at"),
                                 .step = lt_table_find(rows, "step_outcome"), .vector = lt_table_find(rows, "vector_outcome"),
                                 .reason = lt_table_find(rows, "never_ran_reason"), .attempts = lt_table_find(rows, "attempt_outcomes")};
    for (int c = 0; c < PLAN_COLUMNS; c++) at.plan[c] = lt_table_find(rows, columns[c]);
    return at;
}

static bool is_passed(const struct lt_table *rows, int64_t column, int64_t row) {
    struct lt_str text = lt_table_str(rows, column, row);
    return text.p != NULL && lt_str_eq(text, LT_STR("passed"));
}

static bool has_one_pass(const struct lt_table *rows, int64_t column, int64_t row) {
    const struct ArrowArrayView *list = column < 0 ? NULL : rows->view.children[column];
    if (list == NULL || list->storage_type != NANOARROW_TYPE_LIST || list->children[0]->storage_type != NANOARROW_TYPE_STRING) return false;
    int64_t first = ArrowArrayViewListChildOffset(list, row + list->offset), end = ArrowArrayViewListChildOffset(list, row + list->offset + 1);
    if (ArrowArrayViewIsNull(list, row) || end - first != 1 || ArrowArrayViewIsNull(list->children[0], first)) return false;
    struct ArrowStringView text = ArrowArrayViewGetStringUnsafe(list->children[0], first);
    return lt_str_eq((struct lt_str){text.data, (size_t)text.size_bytes}, LT_STR("passed"));
}

static bool is_step(const struct lt_table *rows, const struct lt_lake_plans *p, int64_t row) {
    return lt_str_eq(lt_table_str(rows, p->at.record_type, row), LT_STR("step"));
}

static bool is_plain_pass(const struct lt_table *rows, const struct lt_plans_places *at, int64_t row) {
    return is_passed(rows, at->step, row) && is_passed(rows, at->vector, row) && at->started >= 0 && !lt_table_is_null(rows, at->started, row) &&
           lt_table_is_null(rows, at->reason, row) && has_one_pass(rows, at->attempts, row);
}

/* A cell after its length, or its number after a mark; so that no two plans give the same bytes. */
static void add_cell(struct lt_buf *out, const struct lt_table *rows, int64_t column, int64_t row) {
    struct lt_str text = lt_table_str(rows, column, row);
    int64_t head = text.p == NULL ? -1 : (int64_t)text.n, value = 0;
    if (text.p == NULL && lt_table_int(rows, column, row, &value)) head = -2;
    lt_buf_add(out, &head, sizeof head);
    if (head == -2) lt_buf_add(out, &value, sizeof value);
    lt_buf_add_str(out, text);
}

static bool has_changed(const bool *changed, int64_t column) {
    return column >= 0 && changed[column];
}

/* Nothing that makes a plan has changed since the run before, which is in this file, too. */
static bool has_last_plan(const struct lt_lake_plans *p, const bool *changed) {
    bool same = changed != NULL && p->last.n > 0 && !has_changed(changed, p->at.record_type);
    for (int c = 0; same && c < PLAN_COLUMNS; c++) same = !has_changed(changed, p->at.plan[c]);
    return same;
}

/* The number of the plan of these rows; *is_new: no run before had it. */
static int find_plan(struct lt_lake_plans *p, const struct lt_table *rows, uint32_t *number, bool *is_new, struct litmus_error *error) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    lt_buf_clear(&p->scratch);
    for (int64_t row = 0; row < lt_table_rows(rows); row++)
        for (int c = is_step(rows, p, row) ? 0 : PLAN_COLUMNS; c < PLAN_COLUMNS; c++) add_cell(&p->scratch, rows, p->at.plan[c], row);
    if (p->scratch.failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the plan of a run");
    if (p->last.n > 0 && p->last.n == p->scratch.n && memcmp(p->last.p, p->scratch.p, p->last.n) == 0) {
        *number = p->last_number;
        return LITMUS_OK;
    }
    SHA256((const unsigned char *)p->scratch.p, p->scratch.n, digest);
    struct lt_buf free_again = p->last;
    p->last = p->scratch;
    p->scratch = free_again;
    struct lt_str key = {(const char *)digest, sizeof digest};
    *number = lt_map_get(&p->known, key, 0);
    *is_new = *number == LT_MAP_NONE;
    if (*is_new) *number = p->count++;
    p->last_number = *number;
    if (!*is_new) return LITMUS_OK;
    key = lt_arena_str(&p->arena, key);
    return key.p != NULL && lt_map_put(&p->known, key, 0, *number) ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the plans of a lake file");
}

static void add_rows(struct lt_lake_plans *p, enum lt_plans_kind kind, const char *plan, const struct lt_table *rows, int64_t from, int64_t to) {
    const struct lt_stack_word words[] = {{"lake_kind", lt_str_of(kinds[kind])}, {"lake_plan", lt_str_of(plan)}};
    lt_stack_add_with(&p->stacks[kind], rows, from, to, words, 2);
}

/* Rows that follow each other and are alike are copied at once. */
static void add_steps(struct lt_lake_plans *p, const char *plan, const struct lt_table *rows, bool is_new) {
    int64_t n = lt_table_rows(rows), run_row = 0;
    for (int64_t from = 0, to; from < n; from = to) {
        bool steps = is_step(rows, p, from), is_plain = steps && is_plain_pass(rows, &p->at, from);
        for (to = from + 1; to < n; to++) {
            bool step = is_step(rows, p, to);
            if (step != steps || (step && is_plain_pass(rows, &p->at, to) != is_plain)) break;
        }
        if (!steps) continue;
        run_row = from;
        if (is_new) add_rows(p, LT_PLANS_PLAN, plan, rows, from, to);
        if (!is_plain) add_rows(p, LT_PLANS_OTHER, plan, rows, from, to);
    }
    add_rows(p, LT_PLANS_RUN, plan, rows, run_row, run_row + 1);
}

/* ---- the file ---- */

static void join(struct lt_lake_plans *p, const struct lt_table *rows) {
    for (int kind = 0; kind < LT_PLANS_KINDS; kind++) {
        lt_stack_join_text(&p->stacks[kind], "lake_kind");
        lt_stack_join_text(&p->stacks[kind], "lake_plan");
        lt_stack_join_named(&p->stacks[kind], rows, columns, COLUMNS);
    }
    p->at = find_places(rows);
    p->joined = true;
}

int lt_lake_plans_add(struct lt_lake_plans *p, const char *file, const struct lt_table *rows, const bool *changed, struct litmus_error *error) {
    char plan[NAME_BYTES];
    uint32_t number = 0;
    bool is_new = false;
    if (changed == NULL || !p->joined) join(p, rows);
    bool same = has_last_plan(p, changed);
    int code = same ? LITMUS_OK : find_plan(p, rows, &number, &is_new, error);
    if (same) number = p->last_number;
    if (code != LITMUS_OK) return code;
    snprintf(plan, sizeof plan, "%.80s %u", file, number);
    add_steps(p, plan, rows, is_new);
    for (int kind = 0; code == LITMUS_OK && kind < LT_PLANS_KINDS; kind++)
        if (p->stacks[kind].rows >= GROUP_ROWS || p->stacks[kind].bytes >= GROUP_BYTES) code = lt_stack_write(&p->stacks[kind], &p->writer, error);
    return code;
}

int lt_lake_plans_end(struct lt_lake_plans *p, struct lt_buf *out, struct litmus_error *error) {
    int code = LITMUS_OK;
    for (int kind = 0; code == LITMUS_OK && kind < LT_PLANS_KINDS; kind++) code = lt_stack_write(&p->stacks[kind], &p->writer, error);
    if (code == LITMUS_OK) code = lt_parquet_writer_end(p->writer, out, error);
    lt_lake_plans_release(p);
    return code;
}
