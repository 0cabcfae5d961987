/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/screen.h"

#include <stdio.h>

enum { DEFAULT_LIMIT = 50, COLUMNS = 8 };

/* Columns of the runs table that are shown. */
struct columns {
    int64_t id, started, ended, outcome, serial, planned, never_ran, project, live, file;
};

static struct columns find_columns(const struct lt_table *t) {
    return (struct columns){lt_table_find(t, "test_run_id"), lt_table_find(t, "started_at"),  lt_table_find(t, "ended_at"),
                            lt_table_find(t, "outcome"),     lt_table_find(t, "dut_serial"),  lt_table_find(t, "planned"),
                            lt_table_find(t, "never_ran"),   lt_table_find(t, "project_name"), lt_table_find(t, "live"),
                            lt_table_find(t, "file_path")};
}

static int64_t whole(const struct lt_table *t, int64_t column, int64_t row) {
    int64_t value = 0;
    lt_table_int(t, column, row, &value);
    return value;
}

static void add_outcome(struct lt_grid *g, const struct lt_cli *cli, struct lt_str outcome, bool live) {
    if (outcome.p == NULL) {
        lt_grid_cell(g, live ? LT_STR("running") : LT_STR("unfinished"), live ? LT_BLUE : LT_YELLOW, cli->color);
        return;
    }
    lt_grid_cell(g, outcome, lt_outcome_look(outcome, false, false, false).color, cli->color);
}

static void add_row(struct lt_grid *g, const struct lt_cli *cli, const struct lt_table *t, const struct columns *at, int64_t row) {
    char text[64];
    int64_t started = LT_TIME_NONE, ended = LT_TIME_NONE, planned = whole(t, at->planned, row), never = whole(t, at->never_ran, row);
    bool live = whole(t, at->live, row) != 0;
    struct lt_str id = lt_table_str(t, at->id, row);
    lt_table_int(t, at->started, row, &started);
    lt_table_int(t, at->ended, row, &ended);
    if (live) ended = lt_now_us();
    if (id.n > 8) id.n = 8;
    lt_grid_cell(g, id, LT_PLAIN, false);
    lt_show_time(&g->text, started, cli->utc);
    lt_grid_end_cell(g);
    add_outcome(g, cli, lt_table_str(t, at->outcome, row), live);
    lt_grid_cell(g, lt_table_str(t, at->serial, row), LT_PLAIN, false);
    snprintf(text, sizeof text, "%lld/%lld", (long long)(planned - never), (long long)planned);
    lt_grid_cell(g, lt_str_of(text), LT_PLAIN, false);
    snprintf(text, sizeof text, "%lld", (long long)never);
    lt_grid_cell(g, lt_str_of(text), live ? LT_DIM : never > 0 ? LT_YELLOW : LT_PLAIN, cli->color);
    lt_show_duration(&g->text, started == LT_TIME_NONE || ended == LT_TIME_NONE ? -1 : ended - started);
    lt_grid_end_cell(g);
    lt_grid_cell(g, lt_table_str(t, at->project, row), LT_PLAIN, false);
}

static void print_table(const struct lt_cli *cli, const struct lt_table *t, int64_t rows) {
    static const char *const heads[COLUMNS] = {"RUN", "STARTED", "OUTCOME", "SERIAL", "RAN", "NEVER RAN", "TIME", "PROJECT"};
    struct columns at = find_columns(t);
    struct lt_grid g;
    lt_grid_init(&g, COLUMNS, 1u << 4 | 1u << 5 | 1u << 6);
    for (size_t i = 0; i < COLUMNS; i++) lt_grid_cell(&g, lt_str_of(heads[i]), LT_BOLD, cli->color);
    for (int64_t row = 0; row < rows; row++) add_row(&g, cli, t, &at, row);
    lt_grid_print(&g);
    lt_grid_release(&g);
}

static int usable_outcome(const struct lt_cli *cli) {
    if (cli->outcome == NULL || strcmp(cli->outcome, "running") == 0) return EXIT_OK;
    if (strcmp(lt_outcome_look(lt_str_of(cli->outcome), false, false, false).word, cli->outcome) == 0) return EXIT_OK;
    return lt_usage(cli, "no outcome \"%s\": passed, failed, errored, skipped, done, terminated, aborted or running", cli->outcome);
}

/* What is left out before the page; limit 0 has but one. */
static int find_page(const struct lt_cli *cli, int64_t limit, int64_t *offset) {
    int64_t page = cli->page < 0 ? 1 : cli->page;
    *offset = 0;
    if (page == 0) return lt_usage(cli, "pages count from 1");
    if (page == 1) return EXIT_OK;
    if (limit == 0) return lt_usage(cli, "--page needs pages: a --limit above 0");
    if (page - 1 > INT64_MAX / 2 / limit) return lt_usage(cli, "there is no page %lld", (long long)page);
    *offset = (page - 1) * limit;
    return EXIT_OK;
}

/* `next_page` is 0 where nothing follows. */
static void print_json(const struct lt_table *t, int64_t rows, int64_t next_page) {
    struct lt_buf line;
    bool reads = true;
    for (int64_t row = 0; reads && row < rows; row++) {
        lt_buf_init(&line);
        lt_add_json_row(t, row, &line);
        if (next_page > 0 && row == rows - 1 && line.n > 0) {
            line.n--;
            lt_buf_addf(&line, ",\"next_page\":%lld}", (long long)next_page);
        }
        reads = lt_print_json(&line);
        lt_buf_release(&line);
    }
}

int lt_cmd_runs(struct lt_cli *cli) {
    int64_t limit = cli->limit < 0 ? DEFAULT_LIMIT : cli->limit, offset = 0;
    int exit = usable_outcome(cli);
    if (exit == EXIT_OK) exit = find_page(cli, limit, &offset);
    if (exit == EXIT_OK) exit = lt_cli_query(cli);
    if (exit != EXIT_OK) return exit;
    lt_cli_finish_work(cli);
    /* One more than is shown, to know that there are more. */
    struct lt_run_filter filter = {.limit = limit > 0 && limit < INT64_MAX ? limit + 1 : 0, .offset = offset, .since = cli->since, .until = cli->until, .serial = cli->serial,
                                   .part = cli->part, .lot = cli->lot, .git = cli->git, .station = cli->station, .operator_id = cli->operator_id, .phase = cli->phase,
                                   .outcome = cli->outcome, .project = cli->project, .text = cli->text};
    struct lt_table runs;
    struct litmus_error error = {0};
    if (lt_query_runs(cli->query, &filter, &runs, &error) != LITMUS_OK) return lt_cli_fail(cli, &error);
    int64_t rows = lt_table_rows(&runs), shown = limit > 0 && rows > limit ? limit : rows;
    int64_t next = rows > shown ? offset / limit + 2 : 0;
    if (cli->json) print_json(&runs, shown, next);
    else if (shown > 0) print_table(cli, &runs, shown);
    if (shown == 0) lt_say(cli, offset > 0 ? "no more runs in %s fit: page %lld is beyond the last" : "no run in %s fits", lt_buf_cstr(&cli->data_dir), (long long)cli->page);
    if (next > 0) lt_say(cli, "there are more than these %lld: --page %lld goes on, --limit 0 shows all", (long long)shown, (long long)next);
    lt_tell_damaged(cli);
    lt_table_release(&runs);
    return EXIT_OK;
}
