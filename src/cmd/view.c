/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/view.h"

#include "base/clock.h"
#include "cmd/screen.h"

#include <stdio.h>

static const char *const view_columns[] = {
#define NAME(name) #name,
    LT_VIEW_COLUMNS(NAME)
#undef NAME
};

static const struct {
    const char *reason, *words;
} reasons[] = {
    {"skip_marker", "skip marker"},
    {"sweep_stopped", "sweep stopped"},
    {"maxfail", "stopped by --maxfail/-x"},
    {"interrupted", "the run was interrupted"},
    {"crash", "the process died"},
    {"instrument_error", "an instrument failed"},
    {"collection_error", "collection failed"},
    {"unknown", "not known why"},
};
const char *const lt_never_ran_reasons[] = {"skip_marker", "sweep_stopped", "maxfail", "interrupted", "crash", "instrument_error", "collection_error", "unknown", NULL};

static uint64_t key_of_vector(const struct lt_view *v, int64_t row) {
    return 1 + (uint64_t)lt_view_int(v, v->vector_index, row, 0);
}

static int index_rows(struct lt_view *v, struct litmus_error *error) {
#define FIND(name) v->name = lt_table_find(&v->rows, #name);
    LT_VIEW_COLUMNS(FIND)
#undef FIND
    int code = lt_summary_of(&v->rows, lt_str_of(v->ref.path), &v->summary, error);
    int64_t n = lt_table_rows(&v->rows);
    for (int64_t row = 0; code == LITMUS_OK && row < n; row++) {
        if (lt_view_is(v, row, "run")) v->run_row = row;
        if (lt_view_is(v, row, "step") && !(lt_map_put(&v->step_paths, lt_view_path(v, row), 0, 1) && lt_map_put(&v->step_paths, lt_view_path(v, row), key_of_vector(v, row), 1)))
            code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading run %s", v->ref.run_id);
    }
    return code;
}

int lt_view_load(struct lt_cli *cli, const char *ref, struct lt_view *v) {
    struct litmus_error error = {0};
    *v = (struct lt_view){.run_row = 0};
    lt_table_init(&v->rows);
    lt_map_init(&v->step_paths);
    int exit = lt_cli_query(cli);
    if (exit != EXIT_OK) return exit;
    lt_cli_finish_work(cli);
    exit = lt_cli_find(cli, ref, &v->ref);
    if (exit != EXIT_OK) return exit;
    const char *const *columns = cli->measurements ? NULL : view_columns; /* with what they were measured at: every column */
    int code = lt_query_rows(cli->query, &v->ref, columns, sizeof view_columns / sizeof view_columns[0], &v->rows, &error);
    if (code == LITMUS_OK) code = index_rows(v, &error);
    if (code == LITMUS_OK) code = lt_reviews_load(cli->query, &v->ref, &v->reviews, &error);
    return code == LITMUS_OK ? EXIT_OK : lt_cli_fail(cli, &error);
}

void lt_view_release(struct lt_view *v) {
    lt_reviews_release(&v->reviews);
    lt_map_release(&v->step_paths);
    lt_table_release(&v->rows);
}

struct lt_str lt_view_str(const struct lt_view *v, int64_t column, int64_t row) {
    return lt_table_str(&v->rows, column, row);
}

int64_t lt_view_int(const struct lt_view *v, int64_t column, int64_t row, int64_t otherwise) {
    int64_t value = otherwise;
    lt_table_int(&v->rows, column, row, &value);
    return value;
}

bool lt_view_is(const struct lt_view *v, int64_t row, const char *record_type) {
    return lt_str_eq(lt_view_str(v, v->record_type, row), lt_str_of(record_type));
}

struct lt_str lt_view_path(const struct lt_view *v, int64_t row) {
    struct lt_str path = lt_view_str(v, v->step_path, row);
    return lt_str_empty(path) ? lt_view_str(v, v->step_name, row) : path;
}

int64_t lt_view_vector(const struct lt_view *v, int64_t row) {
    struct lt_str path = lt_view_path(v, row);
    bool own = lt_map_get(&v->step_paths, path, key_of_vector(v, row)) != LT_MAP_NONE;
    return own || lt_map_get(&v->step_paths, path, 1) == LT_MAP_NONE ? lt_view_int(v, v->vector_index, row, 0) : 0;
}

int lt_view_depth(const struct lt_view *v, int64_t row) {
    struct lt_str path = lt_view_path(v, row);
    int depth = 0;
    for (size_t i = path.n; i > 0; i--) {
        struct lt_str above = {path.p, i - 1};
        if (path.p[i - 1] == '/' && lt_map_get(&v->step_paths, above, 0) != LT_MAP_NONE) depth++;
    }
    return depth;
}

struct lt_str lt_view_outcome(const struct lt_view *v, int64_t row) {
    struct lt_str own = lt_view_str(v, v->vector_outcome, row);
    return own.p != NULL ? own : lt_view_str(v, v->step_outcome, row);
}

bool lt_view_started(const struct lt_view *v, int64_t row) {
    return !lt_table_is_null(&v->rows, v->step_started_at, row);
}

void lt_view_add_vector(const struct lt_view *v, int64_t row, struct lt_buf *out) {
    struct lt_str node = lt_view_str(v, v->step_node_id, row), name = lt_view_str(v, v->step_name, row);
    for (size_t i = 0; name.n > 0 && node.n >= 2 && i + 2 + name.n < node.n; i++) {
        const char *p = node.p + i;
        if (p[0] != ':' || p[1] != ':' || memcmp(p + 2, name.p, name.n) != 0 || p[2 + name.n] != '[') continue;
        lt_show_str(out, (struct lt_str){p + 2 + name.n, node.n - i - 2 - name.n});
        return;
    }
    int64_t index = lt_view_int(v, v->vector_index, row, 0);
    if (index > 0 || lt_view_int(v, v->step_vector_count, row, 1) > 1) lt_buf_addf(out, "[%lld]", (long long)index);
}

void lt_view_add_reason(const struct lt_view *v, int64_t row, struct lt_str cause, struct lt_buf *out) {
    struct lt_str reason = lt_view_str(v, v->never_ran_reason, row), message = lt_view_str(v, v->step_message, row);
    const char *words = NULL;
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (lt_str_eq(reason, lt_str_of(reasons[i].reason))) words = reasons[i].words;
    bool told = message.n > 0 && cause.p == NULL && lt_str_eq(reason, LT_STR("unknown")); /* the message knows */
    if (words != NULL && !told) lt_buf_add_text(out, words);
    else if (words == NULL) lt_show_str(out, reason);
    if (cause.p != NULL) {
        lt_buf_add_text(out, " after ");
        lt_show_str(out, cause);
    }
    if (message.n > 0) {
        if (reason.p != NULL && !told) lt_buf_add_text(out, ": ");
        lt_show_short(out, message, 200);
    }
}
