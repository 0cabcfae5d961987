/* SPDX-License-Identifier: Apache-2.0
 *
 * Built on what lists runs, so that it knows finished runs and runs in flight alike, whoever records them.
 */
#include "cmd/slots_status.h"

#include "base/clock.h"
#include "base/map.h"
#include "cmd/interrupt.h"
#include "cmd/screen.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { RUNS_MAX = 1000, SLOTS_MAX = 256, COLUMNS = 8, STEP_WIDTH = 40, TICK_MS = 1000 };

struct slot { /* texts are the table's */
    struct lt_str id, serial, run_id, outcome, step;
    int64_t started_at, ended_at, done, planned, failed;
    bool live;
};
struct board {
    struct lt_cli *cli;
    struct lt_table runs;
    struct slot slots[SLOTS_MAX];
    size_t count;
    struct lt_buf now, before; /* as JSON: what changes is told */
    size_t lines;              /* of the last picture on the terminal */
};

static int64_t whole(const struct lt_table *t, const char *column, int64_t row) {
    int64_t value = 0;
    lt_table_int(t, lt_table_find(t, column), row, &value);
    return value;
}

static struct slot slot_of(const struct lt_table *t, int64_t row) {
#define TEXT(column) lt_table_str(t, lt_table_find(t, column), row)
    struct slot s = {.id = TEXT("slot_id"), .serial = TEXT("dut_serial"), .run_id = TEXT("test_run_id"), .outcome = TEXT("outcome"), .step = TEXT("running_step"),
                     .live = whole(t, "live", row) != 0,
                     .planned = whole(t, "planned", row), .failed = whole(t, "failed", row) + whole(t, "errored", row), .started_at = LT_TIME_NONE, .ended_at = LT_TIME_NONE};
#undef TEXT
    s.done = s.planned - whole(t, "never_ran", row) - whole(t, "running", row);
    if (!s.live) s.step = LT_STR_NULL;
    lt_table_int(t, lt_table_find(t, "started_at"), row, &s.started_at);
    lt_table_int(t, lt_table_find(t, "ended_at"), row, &s.ended_at);
    return s;
}

/* Numbers by their value. */
static int compare(const void *a, const void *b) {
    struct lt_str x = ((const struct slot *)a)->id, y = ((const struct slot *)b)->id;
    bool numbers = true;
    for (size_t i = 0; i < x.n; i++) numbers = numbers && x.p[i] >= '0' && x.p[i] <= '9';
    for (size_t i = 0; i < y.n; i++) numbers = numbers && y.p[i] >= '0' && y.p[i] <= '9';
    if (numbers && x.n != y.n) return x.n < y.n ? -1 : 1;
    return lt_str_cmp(x, y);
}

/* The latest run of each slot. */
static int look(struct board *b, struct litmus_error *error) {
    struct lt_run_filter filter = {.limit = RUNS_MAX, .since = b->cli->since, .until = LT_TIME_NONE};
    struct lt_map seen;
    lt_table_release(&b->runs);
    b->count = 0;
    int code = lt_query_runs(b->cli->query, &filter, &b->runs, error);
    lt_map_init(&seen);
    for (int64_t row = 0; code == LITMUS_OK && row < lt_table_rows(&b->runs) && b->count < SLOTS_MAX; row++) { /* newest first */
        struct slot s = slot_of(&b->runs, row);
        if (lt_str_empty(s.id) || lt_map_get(&seen, s.id, 0) != LT_MAP_NONE) continue;
        if (!lt_map_put(&seen, s.id, 0, 1)) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the slots");
        b->slots[b->count++] = s;
    }
    lt_map_release(&seen);
    qsort(b->slots, b->count, sizeof *b->slots, compare);
    return code;
}

static void add_member(struct lt_buf *out, const char *name, struct lt_str text) {
    lt_buf_addf(out, "\"%s\":", name);
    if (text.p == NULL) lt_buf_add_text(out, "null");
    else lt_add_json_str(text, out);
    lt_buf_add_char(out, ',');
}

static void add_json(struct lt_buf *out, const struct slot *s) {
    char time[LT_ISO_BYTES] = "";
    if (s->started_at != LT_TIME_NONE) lt_time_iso(s->started_at, time);
    lt_buf_add_char(out, '{');
    add_member(out, "slot_id", s->id);
    add_member(out, "dut_serial", s->serial);
    add_member(out, "run_id", s->run_id);
    add_member(out, "started_at", lt_str_of(time[0] == '\0' ? NULL : time));
    add_member(out, "step", s->step);
    add_member(out, "outcome", s->outcome);
    lt_buf_addf(out, "\"done\":%lld,\"planned\":%lld,\"failed\":%lld,\"live\":%s}\n", (long long)s->done, (long long)s->planned, (long long)s->failed, s->live ? "true" : "false");
}

static void add_row(struct lt_grid *g, const struct lt_cli *cli, const struct slot *s) {
    int64_t ended = s->live ? lt_now_us() : s->ended_at;
    struct lt_outcome_look look = lt_outcome_look(s->outcome, s->live, true, false);
    lt_grid_cell(g, s->id, LT_BOLD, cli->color);
    lt_grid_cell(g, s->serial, LT_PLAIN, false);
    lt_grid_cell(g, (struct lt_str){s->run_id.p, s->run_id.n < 8 ? s->run_id.n : 8}, LT_PLAIN, false);
    lt_buf_addf(&g->text, "%lld/%lld", (long long)s->done, (long long)s->planned);
    lt_grid_end_cell(g);
    lt_buf_addf(&g->text, "%lld", (long long)s->failed);
    lt_grid_end_cell(g);
    lt_show_duration(&g->text, s->started_at == LT_TIME_NONE || ended == LT_TIME_NONE ? -1 : (ended - s->started_at) / (s->live ? 1000000 : 1) * (s->live ? 1000000 : 1));
    lt_grid_end_cell(g);
    lt_grid_cell(g, lt_str_of(s->outcome.p == NULL && !s->live ? "unfinished" : look.word), look.color, cli->color);
    lt_show_short(&g->text, s->step, STEP_WIDTH);
    lt_grid_end_cell(g);
}

static void print_table(struct board *b) {
    static const char *const heads[COLUMNS] = {"SLOT", "SERIAL", "RUN", "DONE", "FAILED", "TIME", "OUTCOME", "STEP"};
    struct lt_grid g;
    if (b->count == 0) return;
    lt_grid_init(&g, COLUMNS, 1u << 3 | 1u << 4 | 1u << 5);
    for (size_t i = 0; i < COLUMNS; i++) lt_grid_cell(&g, lt_str_of(heads[i]), LT_BOLD, b->cli->color);
    for (size_t i = 0; i < b->count; i++) add_row(&g, b->cli, &b->slots[i]);
    bool in_place = b->cli->follow && b->cli->out_terminal;
    if (b->lines > 0) printf("\033[%zuA\033[J", b->lines); /* over the last picture */
    if (in_place) fputs("\033[?7l", stdout);                /* what is wider than the terminal is cut, a slot stays a line */
    lt_grid_print(&g);
    if (in_place) fputs("\033[?7h", stdout);
    lt_grid_release(&g);
    b->lines = in_place ? b->count + 1 : 0;
}

/* Shows what there is, unless it was shown. */
static int show(struct board *b, struct litmus_error *error) {
    int code = look(b, error);
    if (code != LITMUS_OK) return code;
    lt_buf_clear(&b->now);
    for (size_t i = 0; i < b->count; i++) add_json(&b->now, &b->slots[i]);
    if (b->now.failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the slots");
    bool same = b->now.n == b->before.n && (b->now.n == 0 || memcmp(b->now.p, b->before.p, b->now.n) == 0);
    if (b->cli->json && !same) fwrite(b->now.p, 1, b->now.n, stdout);
    if (!b->cli->json && (!same || b->cli->out_terminal)) print_table(b);
    struct lt_buf last = b->before;
    b->before = b->now;
    b->now = last;
    fflush(stdout);
    return LITMUS_OK;
}

static void pass_over(void *self, const struct lt_row *row) {
    (void)self;
    (void)row;
}

/* A look takes as long as the plans are. Four times that passes before the next: a fifth of a processor at most. */
static void rest(int64_t look_us) {
    int64_t until = lt_monotonic_us() + 4 * look_us, left;
    while (!lt_interrupted() && (left = until - lt_monotonic_us()) > 0) poll(NULL, 0, left > 100000 ? 100 : (int)(left / 1000) + 1);
}

static int follow(struct board *b, struct litmus_error *error) {
    static const struct lt_event_filter all = {.since = LT_TIME_NONE};
    struct lt_event_follow *events = NULL;
    lt_interrupt_catch();
    int code = lt_event_follow_open(b->cli->query, &all, false, &events, error);
    while (code == LITMUS_OK) {
        int64_t began = lt_monotonic_us();
        code = show(b, error);
        if (code != LITMUS_OK || lt_interrupted() || lt_reader_is_gone()) break;
        rest(lt_monotonic_us() - began);
        if (lt_event_follow_wait(events, TICK_MS)) lt_cli_finish_work(b->cli); /* a producer may be dead, and there need be no daemon */
        code = lt_event_follow_poll(events, pass_over, NULL, error);
    }
    lt_event_follow_free(events);
    return code;
}

int lt_slots_status(struct lt_cli *cli) {
    struct litmus_error error = {0};
    int exit = lt_cli_query(cli);
    if (exit != EXIT_OK) return exit;
    struct board *b = calloc(1, sizeof *b);
    if (b == NULL) lt_fail(&error, LITMUS_ENOMEM, 0, "out of memory for the slots");
    if (b == NULL) return lt_cli_fail(cli, &error);
    b->cli = cli;
    lt_table_init(&b->runs);
    lt_cli_finish_work(cli);
    int code = cli->follow ? follow(b, &error) : show(b, &error);
    if (code == LITMUS_OK && b->count == 0 && !cli->follow) lt_say(cli, "no run in %s has a slot", lt_buf_cstr(&cli->data_dir));
    lt_table_release(&b->runs);
    lt_buf_release(&b->now);
    lt_buf_release(&b->before);
    free(b);
    if (code != LITMUS_OK) return lt_cli_fail(cli, &error);
    return cli->follow && lt_interrupted() ? lt_interrupt_exit() : EXIT_OK;
}
