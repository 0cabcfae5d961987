/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of the listings, counted from its rows.
 */
#include "base/clock.h"
#include "base/map.h"
#include "query/catalog.h"

/* What the summary takes as it is: place in struct lt_summary, and the column of the file. */
#define TEXTS(X)                                                                                       \
    X(run_id, "run_id") X(session_id, "session_id") X(slot_id, "slot_id") X(dut_serial, "dut_serial")  \
    X(dut_part_number, "dut_part_number") X(dut_lot_number, "dut_lot_number")                          \
    X(product_id, "product_id") X(station_id, "station_id") X(station_name, "station_name")            \
    X(station_type, "station_type") X(station_hostname, "station_hostname")                            \
    X(fixture_id, "fixture_id") X(test_phase, "test_phase") X(operator_id, "operator_id")              \
    X(project_name, "project_name") X(git_commit, "git_commit") X(outcome, "run_outcome")              \
    X(stop_reason, "stop_reason") X(plan_digest, "plan_digest")
#define OTHERS(X)                                                                                      \
    X(record_type) X(run_started_at) X(run_ended_at) X(step_path) X(parent_path) X(step_name)          \
    X(step_started_at) X(step_outcome) X(vector_outcome)

const char *const lt_summary_columns[] = {
#define TEXT_NAME(field, column) column,
#define OTHER_NAME(column) #column,
    TEXTS(TEXT_NAME) OTHERS(OTHER_NAME)
};
const size_t lt_summary_column_count = sizeof lt_summary_columns / sizeof lt_summary_columns[0];

struct columns {
#define OTHER_FIELD(column) int64_t column;
    OTHERS(OTHER_FIELD)
};

static struct columns find_columns(const struct lt_table *rows) {
    return (struct columns){
#define OTHER_FIND(column) .column = lt_table_find(rows, #column),
        OTHERS(OTHER_FIND)
    };
}

static struct lt_str step_key(const struct lt_table *rows, const struct columns *at, int64_t row) {
    struct lt_str path = lt_table_str(rows, at->step_path, row);
    return lt_str_empty(path) ? lt_table_str(rows, at->step_name, row) : path;
}

static void count_step(const struct lt_table *rows, const struct columns *at, int64_t row, struct lt_summary *out) {
    struct lt_str outcome = lt_table_str(rows, at->vector_outcome, row);
    /* Older writers filled the rollup alone. */
    if (outcome.p == NULL) outcome = lt_table_str(rows, at->step_outcome, row);
    const struct {
        struct lt_str word;
        int64_t *count;
    } words[] = {
        {LT_STR("passed"), &out->passed},   {LT_STR("failed"), &out->failed}, {LT_STR("errored"), &out->errored},
        {LT_STR("skipped"), &out->skipped}, {LT_STR("done"), &out->done},     {LT_STR("terminated"), &out->terminated},
        {LT_STR("aborted"), &out->aborted},
    };
    out->planned++;
    if (outcome.p == NULL) {
        if (lt_table_is_null(rows, at->step_started_at, row)) out->never_ran++;
        else out->running++;
        return;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (lt_str_eq(words[i].word, outcome)) {
            ++*words[i].count;
            return;
        }
    out->errored++; /* a word of another writer: certainly no pass */
}

/* The name of the step that started last and has no outcome. */
static void note_running(const struct lt_table *rows, const struct columns *at, int64_t row, int64_t *latest, struct lt_summary *out) {
    int64_t started = LT_TIME_NONE;
    if (!lt_table_is_null(rows, at->vector_outcome, row) || !lt_table_int(rows, at->step_started_at, row, &started) || started < *latest) return;
    *latest = started;
    out->running_step = lt_table_str(rows, at->step_name, row);
}

static int count_rows(const struct lt_table *rows, struct lt_summary *out, struct litmus_error *error) {
    struct columns at = find_columns(rows);
    struct lt_map paths;
    lt_map_init(&paths);
    bool ok = true;
    int64_t n = lt_table_rows(rows), latest = INT64_MIN;
    for (int64_t row = 0; ok && row < n; row++) {
        struct lt_str kind = lt_table_str(rows, at.record_type, row), path = step_key(rows, &at, row);
        out->run_rows += lt_str_eq(kind, LT_STR("run"));
        if (lt_str_eq(kind, LT_STR("measurement"))) out->total_measurements++;
        if (lt_str_eq(kind, LT_STR("step")) && path.p != NULL) ok = lt_map_put(&paths, path, 0, 1);
    }
    for (int64_t row = 0; ok && row < n; row++) {
        if (!lt_str_eq(lt_table_str(rows, at.record_type, row), LT_STR("step"))) continue;
        out->total_steps++;
        note_running(rows, &at, row, &latest, out);
        /* A sub-step stands below another step, which stands for it in the plan. */
        struct lt_str parent = lt_table_str(rows, at.parent_path, row), own = step_key(rows, &at, row);
        bool inside = !lt_str_empty(parent) && !lt_str_eq(parent, own) && lt_map_get(&paths, parent, 0) != LT_MAP_NONE;
        if (!inside) count_step(rows, &at, row, out);
    }
    lt_map_release(&paths);
    return ok ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory counting a run's steps");
}

int lt_summary_of(const struct lt_table *rows, struct lt_str file_path, struct lt_summary *out, struct litmus_error *error) {
    *out = (struct lt_summary){.file_path = file_path, .started_at = LT_TIME_NONE, .ended_at = LT_TIME_NONE};
    struct columns at = find_columns(rows);
    int64_t row = 0, n = lt_table_rows(rows), id = lt_table_find(rows, "run_id");
    while (row < n && !lt_str_eq(lt_table_str(rows, at.record_type, row), LT_STR("run"))) row++;
    if (row == n) row = 0; /* files of other writers may have no run row: each row tells the same */
    if (lt_str_empty(lt_table_str(rows, id, row)))
        return lt_fail(error, LITMUS_EDAMAGED, 0, "%.*s holds no run: no row has a run_id", LT_STR_ARG(file_path));
    for (int64_t other = 0; other < n; other++) { /* views would count both of two runs, listings one */
        struct lt_str own = lt_table_str(rows, id, other);
        if (!lt_str_empty(own) && !lt_str_eq(own, lt_table_str(rows, id, row)))
            return lt_fail(error, LITMUS_EDAMAGED, 0, "%.*s is no run file: it has rows of more than one run (move it away)", LT_STR_ARG(file_path));
    }
#define TAKE_TEXT(field, column) out->field = lt_table_str(rows, lt_table_find(rows, column), row);
    TEXTS(TAKE_TEXT)
    lt_table_int(rows, at.run_started_at, row, &out->started_at);
    lt_table_int(rows, at.run_ended_at, row, &out->ended_at);
    int code = count_rows(rows, out, error);
    if (code != LITMUS_OK || out->run_rows <= 1) return code;
    return lt_fail(error, LITMUS_EDAMAGED, 0, "%.*s is no run file: it has %lld run rows (move it away)", LT_STR_ARG(file_path), (long long)out->run_rows);
}
