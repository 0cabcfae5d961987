/* SPDX-License-Identifier: Apache-2.0
 *
 * One run: who and what, the plan as a tree with what came of it, the sum.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "cmd/attached.h"
#include "cmd/screen.h"
#include "cmd/show_follow.h"
#include "cmd/view.h"
#include "materialize/attachments.h"

#include <stdio.h>
#include <stdlib.h>

#include <yyjson.h>

struct show {
    struct lt_cli *cli;
    struct lt_view view;
    struct lt_buf line;
    /* event id -> what the step is called, for "after ..." */
    struct lt_arena arena;
    struct lt_map causes;
    struct lt_str *cause_names;
    size_t cause_count;
    int64_t *measurements; /* row numbers, by step and the order of the file */
    int64_t measurement_count;
    struct lt_attached_list attached;
    struct lt_str file, group; /* headings in force */
};

static void flush_line(struct show *s) {
    lt_buf_add_char(&s->line, '\n');
    lt_print(&s->line);
    lt_buf_clear(&s->line);
}

static void color(struct show *s, enum lt_color c) {
    lt_show_color(&s->line, s->cli->color, c);
}

static void pad_to(struct show *s, size_t width) {
    size_t used = lt_show_width((struct lt_str){s->line.p, s->line.n});
    do lt_buf_add_char(&s->line, ' ');
    while (++used < width);
}

/* ---- header ---- */

static void field(struct show *s, const char *label, const int64_t *columns, size_t count) {
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        struct lt_str text = lt_view_str(&s->view, columns[i], s->view.run_row);
        if (lt_str_empty(text)) continue;
        if (!any) lt_buf_addf(&s->line, "%-9s", label);
        if (any) lt_buf_add_text(&s->line, ", ");
        lt_show_short(&s->line, text, 80);
        any = true;
    }
    if (any) flush_line(s);
}
#define FIELD(s, label, ...) field(s, label, (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void header_outcome(struct show *s) {
    struct lt_str outcome = s->view.ref.live ? LT_STR_NULL : s->view.summary.outcome;
    bool unfinished = !s->view.ref.live && s->view.ref.path[0] == '\0';
    struct lt_outcome_look look = lt_outcome_look(outcome, s->view.ref.live, s->view.ref.live, s->cli->utf8);
    lt_buf_add_text(&s->line, "outcome  ");
    color(s, look.color);
    lt_buf_addf(&s->line, "%s", unfinished ? "unfinished" : look.word);
    color(s, LT_PLAIN);
    if (s->view.summary.stop_reason.n > 0) {
        lt_buf_add_text(&s->line, ", stopped: ");
        lt_show_short(&s->line, s->view.summary.stop_reason, 120);
    }
    flush_line(s);
}

enum { ERRORS_SHOWN = 5 };

/* What kept a run from its end, or from its plan, stands in its log. Only a run that was stopped is asked for it. */
static void header_errors(struct show *s) {
    struct lt_table events;
    struct lt_event_filter filter = {.session_id = s->view.ref.session_id, .run_id = s->view.ref.run_id, .event_type = "diagnostic.error", .since = LT_TIME_NONE};
    if (s->view.summary.stop_reason.n == 0 || filter.session_id[0] == '\0' || lt_query_events(s->cli->query, &filter, &events, NULL) != LITMUS_OK) return;
    int64_t n = lt_table_rows(&events), json = lt_table_find(&events, "json");
    for (int64_t row = 0; row < n && row < ERRORS_SHOWN; row++) {
        struct lt_str payload = lt_table_str(&events, json, row);
        yyjson_doc *doc = yyjson_read(payload.p, payload.n, 0);
        yyjson_val *message = yyjson_obj_get(yyjson_doc_get_root(doc), "message");
        if (yyjson_is_str(message)) {
            lt_buf_addf(&s->line, "%-9s", "error");
            lt_show_short(&s->line, (struct lt_str){yyjson_get_str(message), yyjson_get_len(message)}, 400);
            flush_line(s);
        }
        yyjson_doc_free(doc);
    }
    if (n > ERRORS_SHOWN) {
        lt_buf_addf(&s->line, "%-9s%lld more: litmus events -r %.8s -t diagnostic.error", "", (long long)(n - ERRORS_SHOWN), s->view.ref.run_id);
        flush_line(s);
    }
    lt_table_release(&events);
}

static void header(struct show *s) {
    const struct lt_view *v = &s->view;
    int64_t from = v->summary.started_at, to = v->ref.live ? lt_now_us() : v->summary.ended_at;
    lt_buf_addf(&s->line, "%-9s", "run");
    color(s, LT_BOLD);
    lt_show_str(&s->line, lt_str_of(v->ref.run_id));
    color(s, LT_PLAIN);
    flush_line(s);
    FIELD(s, "DUT", v->dut_serial, v->dut_part_number, v->dut_revision, v->dut_lot_number);
    FIELD(s, "product", v->product_id);
    FIELD(s, "station", v->station_name, v->station_id, v->station_location, v->station_hostname, v->fixture_id, v->slot_id);
    FIELD(s, "operator", v->operator_name, v->operator_id);
    FIELD(s, "phase", v->test_phase);
    FIELD(s, "project", v->project_name, v->git_branch, v->git_commit);
    lt_buf_addf(&s->line, "%-9s", "started");
    lt_show_time(&s->line, from, s->cli->utc);
    lt_buf_add_text(&s->line, v->ref.live ? ", running for " : ", took ");
    lt_show_duration(&s->line, from == LT_TIME_NONE || to == LT_TIME_NONE ? -1 : to - from);
    flush_line(s);
    header_outcome(s);
    header_errors(s);
    lt_buf_addf(&s->line, "%-9s", "file");
    lt_show_str(&s->line, v->ref.path[0] != '\0' ? lt_str_of(v->ref.path) : v->ref.live ? LT_STR("none yet: the run is going on") : LT_STR("none: not finished"));
    flush_line(s);
}

/* ---- causes ---- */

enum { CAUSES_MAX = 1000 }; /* what stopped a run stands near its end */

static bool needs_causes(const struct lt_view *v) {
    for (int64_t row = 0; row < lt_table_rows(&v->rows); row++)
        if (lt_str_eq(lt_view_str(v, v->never_ran_reason, row), LT_STR("maxfail"))) return true;
    return false;
}

/* The step of a step_ended event: its path from the last file name on. */
static struct lt_str name_of_step(struct show *s, struct lt_str json) {
    yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *node = yyjson_obj_get(root, "node_id"), *path = yyjson_obj_get(root, "step_path");
    if (!yyjson_is_str(path)) path = yyjson_obj_get(root, "step_name");
    yyjson_val *name = yyjson_is_str(node) && yyjson_get_len(node) > 0 ? node : path;
    struct lt_str text = yyjson_is_str(name) ? (struct lt_str){yyjson_get_str(name), yyjson_get_len(name)} : LT_STR_NULL;
    text = lt_arena_str(&s->arena, text);
    yyjson_doc_free(doc);
    return text;
}

/* The run file names causes by event id; what those were stands in the log. Without it (archived,
 * say) the tree just says less. */
static void load_causes(struct show *s) {
    struct lt_table events;
    struct lt_event_filter filter = {.session_id = s->view.ref.session_id, .run_id = s->view.ref.run_id, .event_type = "test.step_ended", .since = LT_TIME_NONE,
                                     .limit = CAUSES_MAX};
    if (filter.session_id[0] == '\0' || !needs_causes(&s->view) || lt_query_events(s->cli->query, &filter, &events, NULL) != LITMUS_OK) return;
    int64_t n = lt_table_rows(&events), id = lt_table_find(&events, "id"), json = lt_table_find(&events, "json");
    s->cause_names = lt_arena_alloc(&s->arena, ((size_t)n + 1) * sizeof *s->cause_names);
    struct lt_map wanted;
    lt_map_init(&wanted);
    for (int64_t row = 0; row < lt_table_rows(&s->view.rows); row++) {
        struct lt_str cause = lt_view_str(&s->view, s->view.never_ran_cause, row);
        if (cause.p != NULL && lt_map_get(&wanted, cause, 0) == LT_MAP_NONE && !lt_map_put(&wanted, cause, 0, 1)) break;
    }
    for (int64_t row = 0; s->cause_names != NULL && row < n; row++) {
        struct lt_str key = lt_table_str(&events, id, row);
        if (lt_map_get(&wanted, key, 0) == LT_MAP_NONE) continue;
        struct lt_str name = name_of_step(s, lt_table_str(&events, json, row));
        key = lt_arena_str(&s->arena, key);
        if (name.p == NULL || key.p == NULL || !lt_map_put(&s->causes, key, 0, (uint32_t)s->cause_count)) break;
        s->cause_names[s->cause_count++] = name;
    }
    lt_map_release(&wanted);
    lt_table_release(&events);
}

/* Without the file's name where both are in the same file. */
static struct lt_str cause_of(const struct show *s, int64_t row) {
    uint32_t number = lt_map_get(&s->causes, lt_view_str(&s->view, s->view.never_ran_cause, row), 0);
    if (number == LT_MAP_NONE) return LT_STR_NULL;
    struct lt_str name = s->cause_names[number], file = lt_view_str(&s->view, s->view.step_file, row);
    bool inside = file.n > 0 && name.n > file.n + 2 && memcmp(name.p, file.p, file.n) == 0 && memcmp(name.p + file.n, "::", 2) == 0;
    return inside ? (struct lt_str){name.p + file.n + 2, name.n - file.n - 2} : name;
}

/* ---- measurements ---- */

static void add_limits(struct show *s, int64_t row) {
    const struct lt_view *v = &s->view;
    const struct {
        const char *label;
        int64_t column;
    } limits[] = {{"low", v->limit_low}, {"high", v->limit_high}, {"nominal", v->limit_nominal}};
    bool any = false;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        double value;
        if (!lt_table_real(&v->rows, limits[i].column, row, &value)) continue;
        lt_buf_addf(&s->line, "%s%s ", any ? ", " : "  (", limits[i].label);
        lt_show_number(&s->line, value);
        any = true;
    }
    struct lt_str comparator = lt_view_str(v, v->limit_comparator, row), text = lt_view_str(v, v->limit_text, row);
    if (text.p != NULL) {
        lt_buf_add_text(&s->line, "  (");
        lt_show_short(&s->line, text, 40);
        any = true;
    }
    if (any && comparator.n > 0) {
        lt_buf_add_text(&s->line, ", ");
        lt_show_short(&s->line, comparator, 8);
    }
    if (any) lt_buf_add_char(&s->line, ')');
}

/* What it was measured at, where its step does not say that already. */
static void add_inputs(struct show *s, int64_t row, int64_t step) {
    const struct lt_table *t = &s->view.rows;
    struct lt_buf here, there;
    bool any = false;
    lt_buf_init(&here);
    lt_buf_init(&there);
    for (int64_t c = 0; c < lt_table_columns(t); c++) {
        double value;
        if (strncmp(lt_table_name(t, c), "in_", 3) != 0 || lt_table_is_null(t, c, row)) continue;
        lt_buf_clear(&here);
        lt_buf_clear(&there);
        lt_table_json(t, c, row, &here);
        lt_table_json(t, c, step, &there);
        if (strcmp(lt_buf_cstr(&here), lt_buf_cstr(&there)) == 0) continue;
        lt_buf_add_text(&s->line, any ? ", " : "  at ");
        any = true;
        lt_show_short(&s->line, lt_str_of(lt_table_name(t, c) + 3), 40);
        lt_buf_add_text(&s->line, " = ");
        if (lt_table_str(t, c, row).p != NULL) lt_show_short(&s->line, lt_table_str(t, c, row), 40);
        else if (lt_table_real(t, c, row, &value)) lt_show_number(&s->line, value);
        else lt_show_short(&s->line, (struct lt_str){here.p, here.n}, 40);
    }
    lt_buf_release(&here);
    lt_buf_release(&there);
}

static void print_measurement(struct show *s, int64_t row, int64_t step, int indent) {
    const struct lt_view *v = &s->view;
    double value;
    struct lt_str outcome = lt_view_str(v, v->measurement_outcome, row);
    struct lt_outcome_look look = lt_outcome_look(outcome.p == NULL ? LT_STR("done") : outcome, false, true, s->cli->utf8);
    lt_buf_addf(&s->line, "%*s", indent, "");
    color(s, look.color);
    lt_buf_add_text(&s->line, look.symbol);
    color(s, LT_PLAIN);
    lt_buf_add_char(&s->line, ' ');
    lt_show_short(&s->line, lt_view_str(v, v->measurement_name, row), 60);
    lt_buf_add_text(&s->line, " = ");
    if (lt_table_real(&v->rows, v->measurement_value, row, &value)) lt_show_number(&s->line, value);
    else if (lt_view_str(v, v->measurement_text, row).p != NULL) lt_show_short(&s->line, lt_view_str(v, v->measurement_text, row), 80);
    else lt_buf_add_text(&s->line, "no value");
    lt_buf_add_char(&s->line, ' ');
    lt_show_short(&s->line, lt_view_str(v, v->measurement_units, row), 16);
    add_limits(s, row);
    add_inputs(s, row, step);
    flush_line(s);
}

static int compare_steps(const struct lt_view *v, int64_t a, int64_t b) {
    int order = lt_str_cmp(lt_view_path(v, a), lt_view_path(v, b));
    int64_t i = lt_view_vector(v, a), k = lt_view_vector(v, b);
    return order != 0 ? order : (i > k) - (i < k);
}

static _Thread_local const struct lt_view *sorting;
static int by_step(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    int order = compare_steps(sorting, x, y);
    return order != 0 ? order : (x > y) - (x < y);
}

static void load_measurements(struct show *s) {
    int64_t n = lt_table_rows(&s->view.rows);
    s->measurements = calloc((size_t)n + 1, sizeof *s->measurements);
    for (int64_t row = 0; s->measurements != NULL && row < n; row++)
        if (lt_view_is(&s->view, row, "measurement")) s->measurements[s->measurement_count++] = row;
    sorting = &s->view;
    if (s->measurement_count > 1) qsort(s->measurements, (size_t)s->measurement_count, sizeof *s->measurements, by_step);
}

/* Those of one step: first number and how many. */
static int64_t measurements_of(const struct show *s, int64_t step, int64_t *first) {
    int64_t low = 0, high = s->measurement_count;
    while (low < high) { /* the first that is not before (path, vector) */
        int64_t middle = low + (high - low) / 2;
        if (compare_steps(&s->view, s->measurements[middle], step) < 0) low = middle + 1;
        else high = middle;
    }
    *first = low;
    while (high < s->measurement_count && compare_steps(&s->view, s->measurements[high], step) == 0) high++;
    return high - low;
}

/* ---- attachments ---- */

/* Name, and the file beside the run's. */
static void print_attachment(struct show *s, const struct lt_attached *one, int indent) {
    const char *run_file = s->view.ref.path;
    struct lt_buf folder;
    lt_buf_init(&folder);
    lt_attachments_folder(run_file, &folder);
    lt_buf_addf(&s->line, "%*sattached ", indent, "");
    lt_show_short(&s->line, one->name, 60);
    lt_buf_add_text(&s->line, "  ");
    if (run_file[0] != '\0') lt_show_str(&s->line, (struct lt_str){folder.p, folder.n});
    if (run_file[0] != '\0') lt_buf_add_char(&s->line, '/');
    lt_show_str(&s->line, one->file);
    flush_line(s);
    lt_buf_release(&folder);
}

static void print_attachments(struct show *s, int64_t row, int indent) {
    const struct lt_view *v = &s->view;
    for (size_t i = 0; i < s->attached.count; i++) {
        const struct lt_attached *one = &s->attached.items[i];
        if (one->vector_index == lt_view_int(v, v->vector_index, row, 0) && lt_str_eq(one->step_path, lt_view_path(v, row))) print_attachment(s, one, indent);
    }
}

/* ---- what people said of it afterwards ---- */

static void print_review(struct show *s, const struct lt_review *review, int indent) {
    lt_buf_addf(&s->line, "%*s", indent, "");
    color(s, LT_BLUE);
    lt_buf_add_text(&s->line, review->concession ? "conceded" : "note");
    color(s, LT_PLAIN);
    lt_buf_add_text(&s->line, " by ");
    lt_show_short(&s->line, review->by, 40);
    lt_buf_add_text(&s->line, ", ");
    lt_show_time(&s->line, review->at, s->cli->utc);
    lt_buf_add_text(&s->line, ": ");
    lt_show_short(&s->line, review->text, 300);
    flush_line(s);
}

static void print_reviews_of_step(struct show *s, int64_t row, int indent) {
    const struct lt_reviews *all = &s->view.reviews;
    for (size_t i = 0; i < all->count; i++)
        if (lt_review_is_of(&all->items[i], lt_view_path(&s->view, row), lt_view_int(&s->view, s->view.vector_index, row, 0))) print_review(s, &all->items[i], indent);
}

static void print_reviews_of_run(struct show *s) {
    for (size_t i = 0; i < s->view.reviews.count; i++)
        if (s->view.reviews.items[i].step_path.p == NULL) print_review(s, &s->view.reviews.items[i], 0);
}

static int64_t count_conceded(const struct show *s) {
    const struct lt_view *v = &s->view;
    int64_t count = 0;
    for (int64_t row = 0; v->reviews.count > 0 && row < lt_table_rows(&v->rows); row++)
        count += lt_view_is(v, row, "step") && lt_reviews_concession(&v->reviews, lt_view_path(v, row), lt_view_int(v, v->vector_index, row, 0)) != NULL;
    return count;
}

/* ---- the tree ---- */

static bool differs(struct lt_str a, struct lt_str b) {
    return !lt_str_eq(a.p == NULL ? LT_STR("") : a, b.p == NULL ? LT_STR("") : b);
}

static void headings(struct show *s, int64_t row) {
    struct lt_str file = lt_view_str(&s->view, s->view.step_file, row), group = lt_view_str(&s->view, s->view.step_class, row);
    bool new_file = differs(file, s->file);
    if (new_file && file.n > 0) {
        color(s, LT_BOLD);
        lt_show_str(&s->line, file);
        color(s, LT_PLAIN);
        flush_line(s);
    }
    if ((new_file || differs(group, s->group)) && group.n > 0) {
        lt_buf_add_text(&s->line, "  ");
        lt_show_str(&s->line, group);
        flush_line(s);
    }
    s->file = file;
    s->group = group;
}

/* What stands behind the name: how long it took, or why it did not run. */
static void add_remark(struct show *s, int64_t row, struct lt_str outcome) {
    const struct lt_view *v = &s->view;
    int64_t from = lt_view_int(v, v->step_started_at, row, 0), to = lt_view_int(v, v->step_ended_at, row, 0), first;
    if (outcome.p == NULL && !lt_view_started(v, row)) {
        if (v->ref.live && lt_table_is_null(&v->rows, v->never_ran_reason, row)) return;
        pad_to(s, 50);
        color(s, LT_DIM);
        lt_view_add_reason(v, row, cause_of(s, row), &s->line);
        color(s, LT_PLAIN);
        return;
    }
    pad_to(s, 50);
    lt_show_duration(&s->line, from != 0 && to != 0 ? to - from : -1);
    int64_t count = measurements_of(s, row, &first), retries = lt_view_int(v, v->vector_retry, row, 0);
    if (count > 0 && !s->cli->measurements) lt_buf_addf(&s->line, "  %lld measurement%s", (long long)count, count == 1 ? "" : "s");
    if (retries > 0) lt_buf_addf(&s->line, "  attempt %lld", (long long)retries + 1);
}

static void add_message(struct show *s, int64_t row, int indent) {
    struct lt_str message = lt_view_str(&s->view, s->view.step_message, row), phase = lt_view_str(&s->view, s->view.step_failed_phase, row);
    if (message.n == 0) return;
    for (size_t i = 0; i < message.n; i++)
        if (message.p[i] == '\n') message.n = i;
    lt_buf_addf(&s->line, "%*s", indent, "");
    if (phase.n > 0 && !lt_str_eq(phase, LT_STR("call"))) {
        lt_show_short(&s->line, phase, 10);
        lt_buf_add_text(&s->line, ": ");
    }
    lt_show_short(&s->line, message, 160);
    flush_line(s);
}

static void print_step(struct show *s, int64_t row) {
    const struct lt_view *v = &s->view;
    struct lt_str outcome = lt_view_outcome(v, row);
    struct lt_outcome_look look = lt_outcome_look(outcome, v->ref.live, lt_view_started(v, row), s->cli->utf8);
    int indent = 2 + 2 * lt_view_depth(v, row) + (s->group.n > 0 ? 2 : 0);
    lt_buf_addf(&s->line, "%*s", indent, "");
    color(s, look.color);
    lt_buf_addf(&s->line, "%s %-10s", look.symbol, look.word);
    color(s, LT_PLAIN);
    lt_buf_add_char(&s->line, ' ');
    lt_show_short(&s->line, lt_view_str(v, v->step_name, row), 100);
    lt_view_add_vector(v, row, &s->line);
    add_remark(s, row, outcome);
    flush_line(s);
    if (outcome.p != NULL) add_message(s, row, indent + 13);
    print_attachments(s, row, indent + 13);
    print_reviews_of_step(s, row, indent + 13);
    int64_t first, count = measurements_of(s, row, &first);
    for (int64_t i = 0; s->cli->measurements && i < count; i++) print_measurement(s, s->measurements[first + i], row, indent + 13);
}

/* ---- the sum ---- */

static void add_count(struct show *s, int64_t count, const char *word, enum lt_color c, bool *any) {
    if (count == 0) return;
    lt_buf_add_text(&s->line, *any ? " + " : " = ");
    *any = true;
    color(s, c);
    lt_buf_addf(&s->line, "%lld %s", (long long)count, word);
    color(s, LT_PLAIN);
}

static void totals(struct show *s) {
    const struct lt_summary *r = &s->view.summary;
    const struct {
        int64_t count;
        const char *word;
        enum lt_color color;
    } parts[] = {
        {r->passed, "passed", LT_GREEN},       {r->failed, "failed", LT_RED},   {r->errored, "errored", LT_RED},
        {r->skipped, "skipped", LT_YELLOW},    {r->done, "done", LT_PLAIN},     {r->terminated, "terminated", LT_MAGENTA},
        {r->aborted, "aborted", LT_MAGENTA},   {r->running, "running", LT_BLUE}, {r->never_ran, s->view.ref.live ? "not yet" : "never ran", LT_YELLOW},
    };
    bool any = false;
    lt_buf_addf(&s->line, "%lld planned", (long long)r->planned);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) add_count(s, parts[i].count, parts[i].word, parts[i].color, &any);
    int64_t deselected = lt_view_int(&s->view, s->view.deselected_count, s->view.run_row, 0);
    if (r->total_measurements > 0) lt_buf_addf(&s->line, "; %lld measurement%s", (long long)r->total_measurements, r->total_measurements == 1 ? "" : "s");
    if (deselected > 0) lt_buf_addf(&s->line, "; %lld deselected", (long long)deselected);
    int64_t conceded = count_conceded(s);
    if (conceded > 0) lt_buf_addf(&s->line, "; %lld conceded", (long long)conceded);
    flush_line(s);
}

static void print_all(struct show *s) {
    load_causes(s);
    load_measurements(s);
    lt_attached_load(s->cli->query, &s->view.ref, &s->attached);
    header(s);
    print_reviews_of_run(s);
    flush_line(s);
    int64_t n = lt_table_rows(&s->view.rows), steps = 0;
    for (int64_t row = 0; row < n && !lt_reader_is_gone(); row++) {
        if (!lt_view_is(&s->view, row, "step")) continue;
        headings(s, row);
        print_step(s, row);
        steps++;
    }
    if (steps > 0) flush_line(s);
    totals(s);
    lt_attached_release(&s->attached);
    free(s->measurements);
}

/* ---- JSON ---- */

static void add_rows(const struct lt_table *t, const char *name, struct lt_buf *out) {
    lt_buf_addf(out, ",\"%s\":[", name);
    for (int64_t row = 0; row < lt_table_rows(t); row++) {
        if (row > 0) lt_buf_add_char(out, ',');
        lt_add_json_row(t, row, out);
    }
    lt_buf_add_char(out, ']');
}

static void add_reviews(const struct lt_reviews *reviews, struct lt_buf *out) {
    lt_buf_add_text(out, ",\"reviews\":[");
    for (size_t i = 0; i < reviews->count; i++) {
        if (i > 0) lt_buf_add_char(out, ',');
        lt_buf_add_str(out, reviews->items[i].json);
    }
    lt_buf_add_char(out, ']');
}

static int show_json(struct lt_cli *cli, const struct lt_run_ref *ref) {
    struct lt_table run, steps, measurements;
    struct lt_reviews reviews = {.items = NULL};
    struct litmus_error error = {0};
    struct lt_buf json;
    struct lt_run_filter filter = {.run_id = ref->run_id, .limit = 1};
    lt_buf_init(&json);
    lt_table_init(&steps);
    lt_table_init(&measurements);
    int code = lt_query_runs(cli->query, &filter, &run, &error);
    if (code == LITMUS_OK && lt_table_rows(&run) == 0) code = lt_fail(&error, LITMUS_ENOENT, 0, "run %s is no longer there", ref->run_id);
    if (code == LITMUS_OK) code = lt_query_steps(cli->query, ref, &steps, &error);
    if (code == LITMUS_OK) code = lt_query_measurements(cli->query, ref, &measurements, &error);
    if (code == LITMUS_OK) code = lt_reviews_load(cli->query, ref, &reviews, &error);
    if (code == LITMUS_OK) {
        lt_buf_add_text(&json, "{\"run\":");
        lt_add_json_row(&run, 0, &json);
        add_rows(&steps, "steps", &json);
        add_rows(&measurements, "measurements", &json);
        add_reviews(&reviews, &json);
        lt_buf_add_char(&json, '}');
        lt_print_json(&json);
    }
    lt_table_release(&run);
    lt_table_release(&steps);
    lt_table_release(&measurements);
    lt_reviews_release(&reviews);
    lt_buf_release(&json);
    return code == LITMUS_OK ? EXIT_OK : lt_cli_fail(cli, &error);
}

static int find_run(struct lt_cli *cli, const char *ref, struct lt_run_ref *found) {
    int exit = lt_cli_query(cli);
    if (exit != EXIT_OK) return exit;
    lt_cli_finish_work(cli);
    return lt_cli_find(cli, ref, found);
}

/* The whole run, or of one that was followed to its end the sum alone. */
static int show_text(struct lt_cli *cli, const char *ref, bool sum_only) {
    struct show s = {.cli = cli};
    lt_buf_init(&s.line);
    lt_arena_init(&s.arena);
    lt_map_init(&s.causes);
    int exit = lt_view_load(cli, ref, &s.view);
    if (exit == EXIT_OK && !sum_only) print_all(&s);
    if (exit == EXIT_OK && sum_only) {
        flush_line(&s);
        header_outcome(&s);
        totals(&s);
    }
    lt_view_release(&s.view);
    lt_map_release(&s.causes);
    lt_arena_release(&s.arena);
    lt_buf_release(&s.line);
    return exit;
}

int lt_cmd_show(struct lt_cli *cli) {
    const char *ref = cli->argument_count > 0 ? cli->arguments[0] : "last";
    if (!cli->json && !cli->follow) return show_text(cli, ref, false);
    struct lt_run_ref found;
    int exit = find_run(cli, ref, &found);
    if (exit != EXIT_OK) return exit;
    if (!cli->follow) return show_json(cli, &found);
    if (cli->json) return lt_show_follow(cli, &found);
    if (found.live) exit = lt_show_follow(cli, &found);
    return exit == EXIT_OK && !lt_reader_is_gone() ? show_text(cli, found.run_id, found.live) : exit;
}
