/* SPDX-License-Identifier: Apache-2.0
 *
 * concede and note: a named person's word on a run or a step, as an event behind the others. What is on
 * record stays as it is, the run's file too.
 */
#include "base/json_text.h"
#include "cmd/cmd.h"
#include "cmd/screen.h"
#include "cmd/step_find.h"
#include "cmd/waiting.h"
#include "retain/review.h"

#include <stdio.h>

static void add_text(struct lt_buf *out, const char *name, struct lt_str text) {
    lt_buf_addf(out, "%s\"%s\":", out->n == 0 ? "{" : ",", name);
    lt_add_json_str(text, out);
}

static void add_step(struct lt_buf *out, const struct lt_view *v, int64_t row) {
    add_text(out, "step_path", lt_view_path(v, row));
    lt_buf_addf(out, ",\"vector_index\":%lld", (long long)lt_view_int(v, v->vector_index, row, 0));
    add_text(out, "node_id", lt_view_str(v, v->step_node_id, row));
}

/* Says what was recorded; `row` below 0: the run as a whole. */
static void tell(struct lt_cli *cli, const struct lt_view *v, int64_t row, const char *type, const struct lt_buf *payload) {
    struct lt_buf line;
    lt_buf_init(&line);
    if (cli->json) {
        lt_buf_addf(&line, "{\"event_type\":\"%s\",\"run_id\":\"%s\",%s", type, v->ref.run_id, payload->p + 1);
        lt_print_json(&line);
    } else {
        lt_buf_addf(&line, "%.8s  %s", v->ref.run_id, strcmp(type, "review.conceded") == 0 ? "conceded" : "noted");
        if (row >= 0) {
            lt_buf_add_text(&line, "  ");
            lt_show_str(&line, lt_view_path(v, row));
            lt_view_add_vector(v, row, &line);
        }
        puts(lt_buf_cstr(&line));
    }
    lt_buf_release(&line);
}

static int put(struct lt_cli *cli, const struct lt_view *v, int64_t row, const char *type, struct lt_buf *payload) {
    struct litmus_error error = {0};
    lt_buf_add_char(payload, '}');
    struct litmus_event event = {.event_type = type, .run_id = v->ref.run_id, .payload = lt_buf_cstr(payload), .payload_bytes = payload->n};
    int code = payload->failed ? lt_fail(&error, LITMUS_ENOMEM, 0, "out of memory") : LITMUS_OK;
    if (code == LITMUS_OK && v->ref.session_id[0] == '\0') code = lt_fail(&error, LITMUS_ENOENT, 0, "run %s names no session: there is no log to add to", v->ref.run_id);
    if (code == LITMUS_OK) lt_cli_await(cli, "session", v->ref.session_id);
    if (code == LITMUS_OK) code = lt_review_put(lt_buf_cstr(&cli->data_dir), v->ref.session_id, &event, &error);
    if (code != LITMUS_OK) return lt_cli_fail(cli, &error);
    tell(cli, v, row, type, payload);
    return EXIT_OK;
}

static bool is_blank(const char *text) {
    return text == NULL || text[strspn(text, " \t\r\n")] == '\0';
}

/* Only what is finished and did not pass can be conceded. */
static int check_concession(struct lt_cli *cli, const struct lt_view *v, int64_t row) {
    struct lt_str outcome = lt_view_outcome(v, row);
    if (v->ref.live || v->ref.path[0] == '\0')
        return lt_usage(cli, "run %.8s is not finished: what becomes of the step is not known yet", v->ref.run_id);
    if (lt_str_eq(outcome, LT_STR("passed")) || lt_str_eq(outcome, LT_STR("done")))
        return lt_usage(cli, "step %.*s is %.*s: there is nothing to concede; litmus note adds a remark", LT_STR_ARG(lt_view_path(v, row)), LT_STR_ARG(outcome));
    return EXIT_OK;
}

static int concede(struct lt_cli *cli, const struct lt_view *v) {
    struct lt_buf payload;
    int64_t row = -1;
    int exit = lt_step_find(cli, v, cli->arguments[1], &row);
    if (exit == EXIT_OK) exit = check_concession(cli, v, row);
    if (exit != EXIT_OK) return exit;
    lt_buf_init(&payload);
    add_step(&payload, v, row);
    add_text(&payload, "outcome", lt_view_outcome(v, row));
    add_text(&payload, "by", lt_str_of(cli->by));
    add_text(&payload, "why", lt_str_of(cli->why));
    exit = put(cli, v, row, "review.conceded", &payload);
    lt_buf_release(&payload);
    return exit;
}

static int note(struct lt_cli *cli, const struct lt_view *v) {
    struct lt_buf payload;
    int64_t row = -1;
    int exit = cli->argument_count == 3 ? lt_step_find(cli, v, cli->arguments[1], &row) : EXIT_OK;
    if (exit != EXIT_OK) return exit;
    lt_buf_init(&payload);
    if (row >= 0) add_step(&payload, v, row);
    add_text(&payload, "by", lt_str_of(cli->by));
    add_text(&payload, "text", lt_str_of(cli->arguments[cli->argument_count - 1]));
    exit = put(cli, v, row, "review.noted", &payload);
    lt_buf_release(&payload);
    return exit;
}

static int review(struct lt_cli *cli, int (*say)(struct lt_cli *cli, const struct lt_view *v)) {
    struct lt_view view;
    int exit = lt_cli_query_to_change(cli);
    if (exit != EXIT_OK) return exit;
    exit = lt_view_load(cli, cli->arguments[0], &view);
    if (exit == EXIT_OK) exit = say(cli, &view);
    lt_view_release(&view);
    return exit;
}

int lt_cmd_concede(struct lt_cli *cli) {
    if (is_blank(cli->by)) return lt_usage(cli, "who accepts it? --by NAME");
    if (is_blank(cli->why)) return lt_usage(cli, "why is it accepted? --why TEXT");
    return review(cli, concede);
}

int lt_cmd_note(struct lt_cli *cli) {
    if (is_blank(cli->by)) return lt_usage(cli, "who says so? --by NAME");
    if (is_blank(cli->arguments[cli->argument_count - 1])) return lt_usage(cli, "an empty note");
    return review(cli, note);
}
