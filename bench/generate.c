/* SPDX-License-Identifier: Apache-2.0
 *
 * generate.c - files of finished runs without a recorder, for the figures of the lake and of SQL: generate DATA_DIR RUNS STEPS.
 *
 * Each run has the columns of src/model/columns.def, an id and times of its own; the same number gives the same run. One in twenty
 * stopped early: its last steps never ran, and its unit is tested again. One step in twenty takes a measurement, one in five hundred
 * passes in its second attempt only, and with each 5,000 runs comes a commit that renames a step.
 */
#include "bench.h"

#include "base/clock.h"
#include "base/io.h"
#include "log/log.h" /* tells the build to look behind the public header */
#include "materialize/build.h"
#include "materialize/parquet.h"

#include <sys/stat.h>
#include <sys/wait.h>

#define RUNS_OF_COMMIT 5000
#define STEPS_OF_MEASUREMENT 20
#define STEP_US INT64_C(40000)
#define START_US INT64_C(1767247200000000) /* 2026-01-01 06:00 UTC */

enum column {
#define COLUMN(name, type, ...) C_##name,
#include "model/columns.def"
#undef COLUMN
    COLUMNS
};
static const struct {
    const char *name;
    enum lt_column_type type;
} columns[] = {
#define COLUMN(name, type, ...) {#name, LT_COLUMN_##type},
#include "model/columns.def"
#undef COLUMN
};

struct run {
    int number, steps, ran;
    bool stopped;
    int64_t began;
    char texts[COLUMNS][72]; /* of columns that say the same on each row; empty: another column */
};

/* Of the named thing of a run: the same number whoever asks. */
static uint64_t chance(int number, int what) {
    uint64_t x = (uint64_t)number * 0x9e3779b97f4a7c15u + (uint64_t)what * 0xd1b54a32d192ed03u + 1;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static bool stops(int number) {
    return chance(number, -1) % 20 == 0;
}

static void id_of(int number, int what, char out[72]) {
    uint64_t high = chance(number, what), low = chance(number, what - 1);
    snprintf(out, 72, "%08x-%04x-4%03x-8%03x-%012llx", (unsigned)(high >> 32), (unsigned)(high >> 16) & 0xffff, (unsigned)high & 0xfff,
             (unsigned)(low >> 48) & 0xfff, (unsigned long long)low & 0xffffffffffff);
}

static void run_init(struct run *r, int number, int steps) {
    *r = (struct run){.number = number, .steps = steps, .ran = steps, .stopped = stops(number), .began = START_US + (int64_t)number * 300 * 1000000};
    if (r->stopped && steps > 1) r->ran = 1 + (int)(chance(number, -2) % (uint64_t)(steps - 1));
    int unit = number > 0 && stops(number - 1) ? number - 1 : number;
    id_of(number, -3, r->texts[C_run_id]);
    id_of(number, -5, r->texts[C_session_id]);
#define TEXT(column, ...) snprintf(r->texts[C_##column], sizeof r->texts[0], __VA_ARGS__)
    TEXT(dut_serial, "SN%07d", unit);
    TEXT(dut_part_number, "P%d", unit % 7);
    TEXT(dut_lot_number, "L%d", unit / 200);
    TEXT(station_id, "bench-%d", number % 12);
    TEXT(station_hostname, "bench");
    TEXT(test_phase, "production");
    TEXT(operator_id, "op%d", number % 5);
    TEXT(project_name, "line");
    TEXT(git_commit, "%040x", number / RUNS_OF_COMMIT + 0xa000);
    TEXT(run_outcome, "%s", r->stopped ? "failed" : "passed");
    TEXT(litmus_version, "0.1.0");
    TEXT(python_version, "3.11.7");
}

static void put_text(struct lt_build *b, const char *text) {
    lt_put_str(b, text == NULL ? LT_STR_NULL : lt_str_of(text));
}

static int64_t took(const struct run *r, int step) {
    return 2000 + (int64_t)(chance(r->number, step) % 36000);
}

static bool is_last(const struct run *r, int step) {
    return r->stopped && step == r->ran - 1;
}

static int attempts(const struct run *r, int step) {
    return 1 + (!is_last(r, step) && chance(r->number, step + (1 << 20)) % 500 == 0);
}

/* A row of a step that ran. */
static void put_done(struct lt_build *b, const struct run *r, int column, int step, bool measured) {
    int64_t from = r->began + step * STEP_US, to = from + took(r, step);
    int tries = attempts(r, step);
    switch (column) {
    case C_step_started_at: case C_vector_started_at: lt_put_int(b, from); return;
    case C_step_ended_at: case C_vector_ended_at: lt_put_int(b, to); return;
    case C_step_outcome: case C_vector_outcome: put_text(b, is_last(r, step) ? "failed" : "passed"); return;
    case C_vector_retry: lt_put_int(b, measured ? 0 : tries - 1); return;
    case C_attempt_outcomes:
    case C_attempt_started_at:
    case C_attempt_ended_at:
        if (measured) { lt_put_null(b); return; }
        for (int i = 0; i < tries; i++) {
            if (column != C_attempt_outcomes) lt_list_item_int(b, true, column == C_attempt_started_at ? from : to);
            else lt_list_item_str(b, lt_str_of(is_last(r, step) || i + 1 < tries ? "failed" : "passed"));
        }
        lt_list_end(b);
        return;
    default: lt_put_null(b);
    }
}

static void put_measured(struct lt_build *b, const struct run *r, int column, int step) {
    double noise = 0; /* the sum of twelve even ones is nearly normal */
    for (int i = 0; i < 12; i++) noise += (double)(chance(r->number, (step + 1) * 4096 + i) >> 11) / 9007199254740992.0;
    double value = 5.0 + 0.06 * (noise - 6.0);
    switch (column) {
    case C_measurement_name: put_text(b, "rail"); return;
    case C_measurement_units: put_text(b, "V"); return;
    case C_measurement_value: lt_put_real(b, value); return;
    case C_limit_low: lt_put_real(b, 4.75); return;
    case C_limit_high: lt_put_real(b, 5.25); return;
    case C_measurement_outcome: put_text(b, value >= 4.75 && value <= 5.25 ? "passed" : "failed"); return;
    case C_measurement_timestamp: lt_put_int(b, r->began + step * STEP_US + took(r, step) / 2); return;
    default: put_done(b, r, column, step, true);
    }
}

/* What a step and its measurements have in common: its place in the plan. False: no such column. */
static bool put_planned(struct lt_build *b, const struct run *r, int column, int step) {
    char name[64], text[160];
    switch (column) {
    case C_step_index: lt_put_int(b, step); return true;
    case C_vector_index: lt_put_int(b, 0); return true;
    case C_step_vector_count: lt_put_int(b, 1); return true;
    case C_step_name: case C_step_path: case C_step_node_id: case C_parent_path: case C_step_file: break;
    default: return false;
    }
    if (step == r->steps - 1) snprintf(name, sizeof name, "test_last_%d", r->number / RUNS_OF_COMMIT);
    else snprintf(name, sizeof name, "test_%03d", step);
    bool whole = column == C_step_path || column == C_step_node_id;
    snprintf(text, sizeof text, "tests/test_%d.py%s%s", step / 10, !whole ? "" : column == C_step_path ? "/" : "::", whole ? name : "");
    put_text(b, column == C_step_name ? name : text);
    return true;
}

static void put_run(struct lt_build *b, const struct run *r, int column) {
    char digest[72];
    snprintf(digest, sizeof digest, "%064x", r->number / RUNS_OF_COMMIT + 0xd000);
    put_text(b, column == C_record_type ? "run" : column == C_plan_digest ? digest : column == C_stop_reason && r->stopped ? "maxfail" : NULL);
}

static void put_cell(struct lt_build *b, const struct run *r, int column, int row) {
    bool measured = row > r->steps;
    int step = measured ? (row - r->steps - 1) * STEPS_OF_MEASUREMENT : row - 1;
    if (r->texts[column][0] != '\0') put_text(b, r->texts[column]);
    else if (column == C_run_started_at) lt_put_int(b, r->began);
    else if (column == C_run_ended_at) lt_put_int(b, r->began + r->ran * STEP_US);
    else if (row == 0) put_run(b, r, column);
    else if (column == C_record_type) put_text(b, measured ? "measurement" : "step");
    else if (put_planned(b, r, column, step)) return;
    else if (measured) put_measured(b, r, column, step);
    else if (step < r->ran) put_done(b, r, column, step, false);
    else if (column == C_attempt_outcomes || column == C_attempt_started_at || column == C_attempt_ended_at) lt_list_end(b);
    else put_text(b, column == C_never_ran_reason ? "maxfail" : NULL);
}

/* Is a column NULL in all runs? Asked of the columns, since most are. */
static bool is_used(int column) {
    static const enum column used[] = {
        C_record_type, C_run_started_at, C_run_ended_at, C_step_name, C_step_index, C_step_path, C_parent_path, C_step_started_at, C_step_ended_at,
        C_step_node_id, C_step_file, C_step_vector_count, C_vector_index, C_vector_retry, C_vector_started_at, C_vector_ended_at, C_measurement_name,
        C_measurement_timestamp, C_measurement_value, C_measurement_units, C_measurement_outcome, C_limit_low, C_limit_high, C_step_outcome,
        C_vector_outcome, C_never_ran_reason, C_attempt_outcomes, C_attempt_started_at, C_attempt_ended_at, C_stop_reason, C_plan_digest};
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++)
        if ((int)used[i] == column) return true;
    return false;
}

static int write_run(const char *data_dir, int number, int steps, struct litmus_error *error) {
    struct run r;
    struct lt_build b;
    struct lt_table table;
    struct lt_buf bytes;
    char day[16], path[4096];
    run_init(&r, number, steps);
    int rows = 1 + steps + (r.ran + STEPS_OF_MEASUREMENT - 1) / STEPS_OF_MEASUREMENT;
    lt_build_start(&b, &table, COLUMNS, rows);
    for (int c = 0; c < COLUMNS; c++) {
        lt_build_column(&b, columns[c].name, columns[c].type);
        bool used = r.texts[c][0] != '\0' || is_used(c);
        for (int row = 0; row < rows; row++) used ? put_cell(&b, &r, c, row) : lt_put_null(&b);
    }
    lt_buf_init(&bytes);
    int code = lt_build_finish(&b, error);
    if (code == LITMUS_OK) code = lt_parquet_encode(&table, NULL, NULL, 0, &bytes, error);
    if (code == LITMUS_OK) lt_table_release(&table);
    time_t began = (time_t)(r.began / 1000000);
    struct tm utc;
    strftime(day, sizeof day, "%Y-%m-%d", gmtime_r(&began, &utc));
    snprintf(path, sizeof path, "%s/runs/%s", data_dir, day);
    if (code == LITMUS_OK) code = lt_io_mkdirs(&lt_io_os, path, error);
    size_t n = strlen(path);
    n += strftime(path + n, sizeof path - n, "/%Y%m%dT%H%M%SZ_", &utc);
    snprintf(path + n, sizeof path - n, "%s.parquet", r.texts[C_dut_serial]);
    FILE *file = code == LITMUS_OK ? fopen(path, "wb") : NULL;
    bool wrote = file != NULL && fwrite(bytes.p, 1, bytes.n, file) == bytes.n;
    if (file != NULL && fclose(file) != 0) wrote = false;
    if (code == LITMUS_OK && !wrote) code = lt_fail_os(error, errno, "write", path);
    lt_buf_release(&bytes);
    return code;
}

int main(int argc, char **argv) {
    if (argc != 4) bench_die("generate", "DATA_DIR RUNS STEPS");
    int runs = bench_number(argv[2]), steps = bench_number(argv[3]), hands = (int)sysconf(_SC_NPROCESSORS_ONLN), failed = 0, status;
    for (int hand = 0; hand < hands; hand++) {
        if (fork() != 0) continue;
        struct litmus_error error = {0};
        for (int number = hand; number < runs; number += hands)
            if (write_run(argv[1], number, steps, &error) != LITMUS_OK) bench_die("generate", error.text);
        return 0;
    }
    while (wait(&status) > 0) failed |= status;
    return failed != 0;
}
