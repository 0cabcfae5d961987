/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything comes from the run's events, read from the first on: nothing falls between what was there and what comes.
 * Lines, or JSON a line; on a terminal the last line says how far the run is and how long it will still take.
 */
#include "cmd/show_follow.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/grow.h"
#include "base/map.h"
#include "cmd/interrupt.h"
#include "cmd/screen.h"
#include "query/pace.h"

#include <stdio.h>
#include <stdlib.h>

#include <yyjson.h>

enum { TICK_MS = 1000, RECHECK_MS = 20, RECHECKS = 3 };

struct step {
    int64_t started_at;
    bool planned, ended;
};
struct following {
    struct lt_cli *cli;
    const struct lt_run_ref *run;
    struct lt_buf line;
    struct lt_arena arena;
    struct lt_map numbers; /* of (path, vector) */
    struct step *steps;
    size_t step_count, step_capacity;
    int64_t planned, done, failed;
    struct lt_pace *pace; /* NULL: no plan yet */
    int64_t started_at;
    int64_t done_us;         /* of the pace, by the steps that ended */
    struct lt_str now_name;  /* the step that started last; NULL: it ended */
    int64_t now_at, now_us;  /* since when it runs, and what it took earlier */
    bool ended, died;        /* died: others ended it for its producer */
    bool failed_memory;
};

/* ---- one event ---- */

struct told {
    const struct lt_row *row;
    yyjson_val *root;
    struct lt_str path, node, outcome, message;
    int64_t vector, retry;
};

static struct lt_str text_of(yyjson_val *object, const char *name) {
    yyjson_val *v = yyjson_obj_get(object, name);
    return yyjson_is_str(v) ? (struct lt_str){yyjson_get_str(v), yyjson_get_len(v)} : LT_STR_NULL;
}

static int64_t whole_of(yyjson_val *object, const char *name) {
    return yyjson_get_sint(yyjson_obj_get(object, name));
}

static struct told told_of(const struct lt_row *row, yyjson_val *root) {
    struct told t = {.row = row, .root = root, .path = text_of(root, "step_path"), .node = text_of(root, "node_id"), .message = text_of(root, "message"),
                     .outcome = text_of(root, "vector_outcome"), .vector = whole_of(root, "vector_index"), .retry = whole_of(root, "retry")};
    if (lt_str_empty(t.path)) t.path = text_of(root, "step_name");
    if (t.outcome.p == NULL) t.outcome = text_of(root, "outcome");
    return t;
}

/* The step of an event. NULL: out of memory. */
static struct step *step_of(struct following *f, struct lt_str path, int64_t vector) {
    uint32_t number = lt_map_get(&f->numbers, path, (uint64_t)vector);
    if (number != LT_MAP_NONE) return &f->steps[number];
    struct step *grown = lt_grow_list(f->steps, f->step_count, &f->step_capacity, sizeof *grown);
    struct lt_str own = lt_arena_str(&f->arena, path);
    if (grown != NULL) f->steps = grown;
    if (grown == NULL || f->arena.failed || !lt_map_put(&f->numbers, own, (uint64_t)vector, (uint32_t)f->step_count)) {
        f->failed_memory = true;
        return NULL;
    }
    f->steps[f->step_count] = (struct step){.started_at = LT_TIME_NONE};
    return &f->steps[f->step_count++];
}

/* ---- how long still ---- */

/* Microseconds; -1: no earlier run tells. */
static int64_t left_us(const struct following *f) {
    if (f->pace == NULL || lt_pace_runs(f->pace) == 0) return -1;
    int64_t spent = f->now_name.p == NULL ? 0 : lt_now_us() - f->now_at;
    if (spent > f->now_us) spent = f->now_us;
    int64_t left = lt_pace_whole_us(f->pace) - f->done_us - (spent > 0 ? spent : 0);
    return left > 0 ? left : 0;
}

static void add_left(struct following *f) {
    int64_t left = left_us(f);
    if (left >= 0) lt_buf_addf(&f->line, ",\"left_s\":%.3f", (double)left / 1e6);
    else lt_buf_add_text(&f->line, ",\"left_s\":null");
}

/* ---- what is written ---- */

static void write_out(struct following *f) {
    lt_buf_add_char(&f->line, '\n');
    if (f->line.failed) f->failed_memory = true;
    else fwrite(f->line.p, 1, f->line.n, stdout);
    lt_buf_clear(&f->line);
}

static void add_member(struct lt_buf *out, const char *name, struct lt_str text) {
    lt_buf_addf(out, ",\"%s\":", name);
    if (text.p == NULL) lt_buf_add_text(out, "null");
    else lt_add_json_str(text, out);
}

static void start_json(struct following *f, const char *type, int64_t at) {
    char time[LT_ISO_BYTES];
    lt_time_iso(at, time);
    lt_buf_addf(&f->line, "{\"type\":\"%s\",\"run_id\":\"%s\",\"at\":\"%s\"", type, f->run->run_id, time);
}

static void end_json(struct following *f) {
    lt_buf_addf(&f->line, ",\"done\":%lld,\"planned\":%lld", (long long)f->done, (long long)f->planned);
    add_left(f);
    lt_buf_add_char(&f->line, '}');
    write_out(f);
}

static void step_json(struct following *f, const struct told *t, const char *type, int64_t took) {
    start_json(f, type, t->row->occurred_at);
    add_member(&f->line, "step_path", t->path);
    add_member(&f->line, "node_id", t->node);
    lt_buf_addf(&f->line, ",\"vector_index\":%lld,\"retry\":%lld", (long long)t->vector, (long long)t->retry);
    if (strcmp(type, "step_ended") == 0) {
        add_member(&f->line, "outcome", t->outcome);
        add_member(&f->line, "message", t->message);
        if (took >= 0) lt_buf_addf(&f->line, ",\"duration_s\":%.6f", (double)took / 1e6);
        else lt_buf_add_text(&f->line, ",\"duration_s\":null");
    }
    if (strcmp(type, "step_not_run") == 0) add_member(&f->line, "reason", text_of(t->root, "reason"));
    end_json(f);
}

/* Takes the line that says how far the run is off the terminal. */
static void wipe(const struct following *f) {
    if (f->cli->out_terminal && !f->cli->json) fputs("\r\033[K", stdout);
}

static void progress(struct following *f) {
    if (!f->cli->out_terminal || f->cli->json || f->ended) return;
    int64_t left = left_us(f);
    lt_buf_addf(&f->line, "  %lld of %lld", (long long)f->done, (long long)f->planned);
    if (f->failed > 0) lt_buf_addf(&f->line, ", %lld failed", (long long)f->failed);
    if (f->started_at != LT_TIME_NONE) {
        lt_buf_add_text(&f->line, ", ");
        lt_show_duration(&f->line, (lt_now_us() - f->started_at) / 1000000 * 1000000);
    }
    if (left >= 0) {
        lt_buf_add_text(&f->line, ", about ");
        lt_show_duration(&f->line, (left + 999999) / 1000000 * 1000000);
        lt_buf_add_text(&f->line, " left");
    }
    if (f->now_name.p != NULL) {
        lt_buf_add_text(&f->line, ": ");
        lt_show_short(&f->line, f->now_name, 40);
    }
    wipe(f);
    if (!f->line.failed) fwrite(f->line.p, 1, f->line.n, stdout);
    lt_buf_clear(&f->line);
}

static void step_line(struct following *f, const struct told *t, struct lt_outcome_look look, int64_t took, struct lt_str remark) {
    lt_show_color(&f->line, f->cli->color, look.color);
    lt_buf_addf(&f->line, "%s %-10s", look.symbol, look.word);
    lt_show_color(&f->line, f->cli->color, LT_PLAIN);
    lt_buf_add_char(&f->line, ' ');
    lt_show_short(&f->line, lt_str_empty(t->node) ? t->path : t->node, 200);
    if (lt_str_empty(t->node) && t->vector > 0) lt_buf_addf(&f->line, "[%lld]", (long long)t->vector);
    if (took >= 0) {
        lt_buf_add_text(&f->line, "  ");
        lt_show_duration(&f->line, took);
    }
    if (t->retry > 0) lt_buf_addf(&f->line, "  attempt %lld", (long long)t->retry + 1);
    if (remark.n > 0) lt_buf_add_text(&f->line, "  ");
    lt_show_short(&f->line, remark, 160);
    wipe(f);
    write_out(f);
}

/* ---- what happened ---- */

static void load_pace(struct following *f, struct lt_str digest) {
    char text[128];
    if (f->pace != NULL || digest.n == 0 || digest.n >= sizeof text) return;
    memcpy(text, digest.p, digest.n);
    text[digest.n] = '\0';
    (void)!lt_pace_load(f->cli->query, text, &f->pace, NULL); /* without it there is no guess */
}

static void on_plan(struct following *f, const struct told *t) {
    yyjson_val *item;
    yyjson_arr_iter items = yyjson_arr_iter_with(yyjson_obj_get(t->root, "items"));
    while ((item = yyjson_arr_iter_next(&items)) != NULL) {
        struct step *step = step_of(f, text_of(item, "step_path"), whole_of(item, "vector_index"));
        if (step == NULL || step->planned) continue;
        step->planned = true;
        f->planned++;
    }
    load_pace(f, text_of(t->root, "plan_digest"));
    if (f->cli->json) {
        start_json(f, "plan", t->row->occurred_at);
        lt_buf_addf(&f->line, ",\"earlier_runs\":%d", f->pace == NULL ? 0 : lt_pace_runs(f->pace));
        end_json(f);
        return;
    }
    lt_buf_addf(&f->line, "%lld planned", (long long)f->planned);
    if (left_us(f) >= 0) {
        lt_buf_add_text(&f->line, ", took ");
        lt_show_duration(&f->line, lt_pace_whole_us(f->pace));
        lt_buf_addf(&f->line, " before (mean of %d runs)", lt_pace_runs(f->pace));
    }
    wipe(f);
    write_out(f);
}

static void on_start(struct following *f, const struct told *t) {
    struct step *step = step_of(f, t->path, t->vector);
    if (step == NULL) return;
    bool outer = step->planned || lt_map_get(&f->numbers, text_of(t->root, "parent_path"), 0) == LT_MAP_NONE;
    if (outer && !step->planned && step->started_at == LT_TIME_NONE) { /* a producer without a plan */
        step->planned = true;
        f->planned++;
    }
    step->started_at = t->row->occurred_at;
    f->now_name = lt_arena_str(&f->arena, lt_str_empty(t->node) ? t->path : t->node);
    f->now_at = t->row->occurred_at;
    f->now_us = f->pace == NULL || step->ended ? 0 : lt_pace_step_us(f->pace, t->path, t->vector);
    if (f->cli->json) step_json(f, t, "step_started", -1);
    else if (!f->cli->out_terminal) step_line(f, t, lt_outcome_look(LT_STR_NULL, true, true, f->cli->utf8), -1, LT_STR_NULL);
}

static bool is_bad(struct lt_str outcome) {
    return lt_str_eq(outcome, LT_STR("failed")) || lt_str_eq(outcome, LT_STR("errored"));
}

/* The step counts as done once, whatever comes after it. */
static void settle(struct following *f, struct step *step, const struct told *t) {
    if (step->planned && !step->ended) {
        f->done++;
        f->failed += is_bad(t->outcome);
        if (f->pace != NULL) f->done_us += lt_pace_step_us(f->pace, t->path, t->vector);
    }
    step->ended = true;
    if (lt_str_eq(f->now_name, lt_str_empty(t->node) ? t->path : t->node)) f->now_name = LT_STR_NULL;
}

static void on_end(struct following *f, const struct told *t) {
    struct step *step = step_of(f, t->path, t->vector);
    if (step == NULL) return;
    int64_t took = step->started_at == LT_TIME_NONE ? -1 : t->row->occurred_at - step->started_at;
    settle(f, step, t);
    if (f->cli->json) step_json(f, t, "step_ended", took);
    else step_line(f, t, lt_outcome_look(t->outcome, false, true, f->cli->utf8), took, t->message);
}

static void on_not_run(struct following *f, const struct told *t) {
    struct step *step = step_of(f, t->path, t->vector);
    if (step == NULL) return;
    settle(f, step, t);
    if (f->cli->json) step_json(f, t, "step_not_run", -1);
    else step_line(f, t, lt_outcome_look(LT_STR_NULL, false, false, f->cli->utf8), -1, lt_str_empty(t->message) ? text_of(t->root, "reason") : t->message);
}

static void on_run_end(struct following *f, const struct told *t) {
    f->ended = true;
    f->died = lt_str_eq(t->outcome, LT_STR("aborted")) && lt_str_eq(text_of(t->root, "stop_reason"), LT_STR("crash"));
}

static void on_event(void *self, const struct lt_row *row) {
    struct following *f = self;
    static const struct {
        const char *type;
        void (*take)(struct following *f, const struct told *t);
    } known[] = {
        {"test.steps_discovered", on_plan}, {"test.step_started", on_start},   {"test.step_ended", on_end},
        {"test.step_not_run", on_not_run},  {"run.ended", on_run_end},
    };
    f->ended = f->ended || lt_str_eq(row->event_type, LT_STR("run.materialized"));
    if (lt_str_eq(row->event_type, LT_STR("run.started"))) f->started_at = row->occurred_at;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!lt_str_eq(row->event_type, lt_str_of(known[i].type))) continue;
        yyjson_doc *doc = yyjson_read(row->json.p, row->json.n, 0);
        struct told t = told_of(row, yyjson_doc_get_root(doc));
        if (doc != NULL) known[i].take(f, &t);
        yyjson_doc_free(doc);
    }
}

/* ---- until its end ---- */

static int watch_run(struct following *f, struct lt_event_follow *events, struct litmus_error *error) {
    int rechecks = 0, code = LITMUS_OK;
    while (code == LITMUS_OK) {
        code = lt_event_follow_poll(events, on_event, f, error);
        if (code == LITMUS_OK && f->failed_memory) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory following run %s", f->run->run_id);
        if (f->ended || !f->run->live || lt_interrupted() || lt_reader_is_gone()) break;
        progress(f);
        fflush(stdout);
        if (lt_event_follow_wait(events, rechecks > 0 ? RECHECK_MS : TICK_MS)) rechecks = RECHECKS;
        /* The producer may be dead, and there need be no daemon that ends its run. */
        if (rechecks > 0 && rechecks-- > 0) lt_cli_finish_work(f->cli);
    }
    wipe(f);
    return code;
}

static int tell_end(struct following *f) {
    struct lt_table runs;
    struct litmus_error error = {0};
    struct lt_run_filter filter = {.run_id = f->run->run_id, .limit = 1};
    int code = lt_query_runs(f->cli->query, &filter, &runs, &error);
    if (code == LITMUS_OK && lt_table_rows(&runs) == 0) code = lt_fail(&error, LITMUS_ENOENT, 0, "run %s is no longer there", f->run->run_id);
    if (code == LITMUS_OK && f->died && f->run->live) lt_say(f->cli, "its producer is gone: the run was ended as aborted");
    if (code == LITMUS_OK && f->cli->json) {
        lt_buf_addf(&f->line, "{\"type\":\"run_ended\",\"run_id\":\"%s\",\"producer_died\":%s,\"run\":", f->run->run_id, f->died ? "true" : "false");
        lt_add_json_row(&runs, 0, &f->line);
        lt_buf_add_char(&f->line, '}');
        write_out(f);
    }
    lt_table_release(&runs);
    return code == LITMUS_OK ? EXIT_OK : lt_cli_fail(f->cli, &error);
}

int lt_show_follow(struct lt_cli *cli, const struct lt_run_ref *run) {
    struct following f = {.cli = cli, .run = run, .started_at = LT_TIME_NONE};
    struct lt_event_filter filter = {.session_id = run->session_id, .run_id = run->run_id};
    struct lt_event_follow *events = NULL;
    struct litmus_error error = {0};
    lt_buf_init(&f.line);
    lt_arena_init(&f.arena);
    lt_map_init(&f.numbers);
    lt_interrupt_catch();
    int code = lt_event_follow_open(cli->query, &filter, true, &events, &error);
    if (code == LITMUS_OK) code = watch_run(&f, events, &error);
    int exit = code != LITMUS_OK ? lt_cli_fail(cli, &error) : lt_interrupted() ? lt_interrupt_exit() : EXIT_OK;
    if (exit == EXIT_OK && !lt_reader_is_gone()) exit = tell_end(&f);
    lt_event_follow_free(events);
    lt_pace_free(f.pace);
    free(f.steps);
    lt_map_release(&f.numbers);
    lt_arena_release(&f.arena);
    lt_buf_release(&f.line);
    return exit;
}
