/* SPDX-License-Identifier: Apache-2.0
 *
 * Does every planned step have a passing verdict? A run that did not end well, or that planned
 * nothing, is no proof of anything either.
 */
#include "cmd/screen.h"
#include "cmd/view.h"
#include "model/suggest.h"

#include <stdio.h>

struct gate {
    struct lt_cli *cli;
    struct lt_view view;
    struct lt_buf json;
    int64_t findings, accepted, conceded;
};

static bool is_allowed(const struct lt_cli *cli, struct lt_str reason) {
    for (size_t i = 0; i < cli->allow.count; i++)
        if (lt_str_eq(reason, lt_str_of(cli->allow.items[i]))) return true;
    return false;
}

/* Only what can be accepted at all may be asked for. */
static int check_reasons(const struct lt_cli *cli) {
    for (size_t i = 0; i < cli->allow.count; i++) {
        const char *given = cli->allow.items[i], *nearest = lt_nearer(lt_str_of(given), NULL, "skipped");
        bool known = strcmp(given, "skipped") == 0 || strcmp(given, "conceded") == 0;
        nearest = lt_nearer(lt_str_of(given), nearest, "conceded");
        for (size_t k = 0; !known && lt_never_ran_reasons[k] != NULL; k++) {
            known = strcmp(given, lt_never_ran_reasons[k]) == 0;
            nearest = lt_nearer(lt_str_of(given), nearest, lt_never_ran_reasons[k]);
        }
        if (known) continue;
        if (nearest != NULL) return lt_usage(cli, "no reason \"%s\"; did you mean %s?", given, nearest);
        return lt_usage(cli, "no reason \"%s\": skipped, conceded, skip_marker, sweep_stopped, maxfail, interrupted, crash, instrument_error, collection_error or unknown", given);
    }
    return EXIT_OK;
}

/* A named person's word counts where it is asked for, whatever the step was. */
static bool is_conceded(struct gate *g, int64_t row) {
    if (!is_allowed(g->cli, LT_STR("conceded"))) return false;
    bool conceded = lt_reviews_concession(&g->view.reviews, lt_view_path(&g->view, row), lt_view_int(&g->view, g->view.vector_index, row, 0)) != NULL;
    g->conceded += conceded;
    return conceded;
}

static bool step_passes(struct gate *g, int64_t row) {
    struct lt_str outcome = lt_view_outcome(&g->view, row), reason = lt_view_str(&g->view, g->view.never_ran_reason, row);
    if (lt_str_eq(outcome, LT_STR("passed")) || lt_str_eq(outcome, LT_STR("done"))) return true;
    bool accepted = lt_str_eq(outcome, LT_STR("skipped")) ? is_allowed(g->cli, outcome)
                                                          : outcome.p == NULL && !lt_view_started(&g->view, row) && reason.p != NULL && is_allowed(g->cli, reason);
    accepted = accepted || is_conceded(g, row);
    g->accepted += accepted;
    return accepted;
}

static void add_member(struct gate *g, const char *name, struct lt_str value) {
    lt_buf_addf(&g->json, ",\"%s\":", name);
    lt_add_json_str(value, &g->json);
}

static void tell_step(struct gate *g, int64_t row) {
    const struct lt_view *v = &g->view;
    struct lt_str outcome = lt_view_outcome(v, row), path = lt_view_path(v, row);
    if (g->cli->json) {
        lt_buf_addf(&g->json, "%s{\"what\":\"step\"", g->findings > 0 ? "," : "");
        add_member(g, "step_path", path);
        lt_buf_addf(&g->json, ",\"vector_index\":%lld", (long long)lt_view_int(v, v->vector_index, row, 0));
        add_member(g, "step_node_id", lt_view_str(v, v->step_node_id, row));
        add_member(g, "outcome", outcome);
        add_member(g, "never_ran_reason", lt_view_str(v, v->never_ran_reason, row));
        add_member(g, "step_message", lt_view_str(v, v->step_message, row));
        lt_buf_add_char(&g->json, '}');
        return;
    }
    struct lt_outcome_look look = lt_outcome_look(outcome, v->ref.live, lt_view_started(v, row), g->cli->utf8);
    struct lt_buf line;
    lt_buf_init(&line);
    lt_show_color(&line, g->cli->color, look.color);
    lt_buf_addf(&line, "%s %-10s", look.symbol, look.word);
    lt_show_color(&line, g->cli->color, LT_PLAIN);
    lt_buf_add_char(&line, ' ');
    lt_show_str(&line, path);
    lt_view_add_vector(v, row, &line);
    struct lt_str message = lt_view_str(v, v->step_message, row), reason = lt_view_str(v, v->never_ran_reason, row);
    if (message.n > 0 || reason.n > 0) lt_buf_add_text(&line, "  ");
    lt_view_add_reason(v, row, LT_STR_NULL, &line);
    puts(lt_buf_cstr(&line));
    lt_buf_release(&line);
}

static void tell_run(struct gate *g, const char *what) {
    if (g->cli->json) {
        lt_buf_addf(&g->json, "%s{\"what\":\"run\",\"message\":", g->findings > 0 ? "," : "");
        lt_add_json_str(lt_str_of(what), &g->json);
        lt_buf_add_char(&g->json, '}');
    } else {
        printf("%s run: %s\n", g->cli->utf8 ? "✗" : "x", what);
    }
    g->findings++;
}

/* The run's own word counts where no step shows it (a clean-up that failed after the last step,
 * say), unless what ended it so was accepted. */
static void judge_run(struct gate *g) {
    static const struct {
        const char *outcome, *accepted_by[2], *words;
    } bad[] = {
        {"aborted", {"crash", NULL}, "aborted: it died without clean-up"},
        {"terminated", {"interrupted", NULL}, "terminated: it was stopped before its end"},
        {"errored", {"instrument_error", "collection_error"}, "errored outside its steps"},
    };
    const struct lt_summary *r = &g->view.summary;
    if (g->view.ref.live) tell_run(g, "it is still going on");
    else if (g->view.ref.path[0] == '\0') tell_run(g, "it is not finished");
    if (r->planned == 0) tell_run(g, "nothing was planned");
    for (size_t i = 0; g->findings == 0 && i < sizeof bad / sizeof bad[0]; i++) {
        if (!lt_str_eq(r->outcome, lt_str_of(bad[i].outcome))) continue;
        bool accepted = false;
        for (size_t k = 0; k < 2; k++) accepted = accepted || (bad[i].accepted_by[k] != NULL && is_allowed(g->cli, lt_str_of(bad[i].accepted_by[k])));
        if (!accepted) tell_run(g, bad[i].words);
    }
}

static void judge(struct gate *g) {
    int64_t n = lt_table_rows(&g->view.rows);
    for (int64_t row = 0; row < n; row++) {
        if (!lt_view_is(&g->view, row, "step") || lt_view_depth(&g->view, row) > 0 || step_passes(g, row)) continue;
        tell_step(g, row);
        g->findings++;
    }
    judge_run(g);
}

static void sum_up(struct gate *g) {
    const struct lt_summary *r = &g->view.summary;
    if (g->cli->json) {
        struct lt_buf head;
        lt_buf_init(&head);
        lt_buf_addf(&head, "{\"run_id\":\"%s\",\"passed\":%s,\"planned\":%lld,\"accepted\":%lld,\"conceded\":%lld,\"findings\":[%s]}", g->view.ref.run_id,
                    g->findings == 0 ? "true" : "false", (long long)r->planned, (long long)g->accepted, (long long)g->conceded, lt_buf_cstr(&g->json));
        lt_print_json(&head);
        lt_buf_release(&head);
        return;
    }
    if (g->findings > 0) lt_say(g->cli, "run %.8s does not pass: %lld finding%s among %lld planned steps", g->view.ref.run_id, (long long)g->findings,
                                g->findings == 1 ? "" : "s", (long long)r->planned);
    else lt_say(g->cli, "run %.8s passes: %lld planned steps, %lld accepted by --allow", g->view.ref.run_id, (long long)r->planned, (long long)g->accepted);
}

int lt_cmd_gate(struct lt_cli *cli) {
    struct gate g = {.cli = cli};
    int exit = check_reasons(cli);
    if (exit != EXIT_OK) return exit;
    lt_buf_init(&g.json);
    exit = lt_cli_query_to_change(cli); /* what passes or not is not told of a change that is half made */
    if (exit == EXIT_OK) exit = lt_view_load(cli, cli->arguments[0], &g.view);
    if (exit == EXIT_OK) {
        judge(&g);
        sum_up(&g);
        exit = g.findings > 0 ? EXIT_FINDINGS : EXIT_OK;
    }
    lt_view_release(&g.view);
    lt_buf_release(&g.json);
    return exit;
}
