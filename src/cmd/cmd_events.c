/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/map.h"
#include "cmd/cmd.h"
#include "cmd/interrupt.h"
#include "cmd/screen.h"
#include "model/event.h"
#include "model/suggest.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEFAULT_LIMIT = 100, WAIT_MS = 1000 };

/* ---- the event table ---- */

static const char *scope_name(enum lt_event_scope scope) {
    return scope == LT_SCOPE_RUN ? "in a run" : scope == LT_SCOPE_NO_RUN ? "outside runs" : "in a run or outside";
}

static void print_type(const struct lt_cli *cli, const struct lt_event_type *type) {
    struct lt_buf line;
    lt_buf_init(&line);
    lt_show_color(&line, cli->color, LT_BOLD);
    lt_buf_add_text(&line, type->name);
    lt_show_color(&line, cli->color, LT_PLAIN);
    lt_buf_addf(&line, "  %s (%s)\n", type->meaning, scope_name(type->scope));
    for (size_t i = 0; i < type->field_count; i++) {
        const struct lt_field *f = &type->fields[i];
        const char *need = f->need == LT_FIELD_REQ ? "required" : f->need == LT_FIELD_KEY ? "required, may be null" : f->default_json;
        lt_buf_addf(&line, "    %-22s %-12s %-9s %s\n", f->name, lt_field_type_name(f->type), need == NULL ? "" : need, f->meaning);
    }
    fputs(lt_buf_cstr(&line), stdout);
    lt_buf_release(&line);
}

static void print_type_json(const struct lt_event_type *type) {
    struct lt_buf json;
    lt_buf_init(&json);
    lt_buf_addf(&json, "{\"event_type\":\"%s\",\"scope\":\"%s\",\"meaning\":\"%s\",\"fields\":[", type->name, scope_name(type->scope), type->meaning);
    for (size_t i = 0; i < type->field_count; i++) {
        const struct lt_field *f = &type->fields[i];
        lt_buf_addf(&json, "%s{\"name\":\"%s\",\"type\":\"%s\",\"required\":%s,\"default\":%s,\"meaning\":", i > 0 ? "," : "", f->name,
                    lt_field_type_name(f->type), f->need == LT_FIELD_OPT ? "false" : "true", f->need == LT_FIELD_OPT && f->default_json != NULL ? f->default_json : "null");
        lt_add_json_str(lt_str_of(f->meaning), &json);
        lt_buf_add_char(&json, '}');
    }
    lt_buf_add_text(&json, "]}");
    lt_print_json(&json);
    lt_buf_release(&json);
}

static int print_types(const struct lt_cli *cli) {
    for (size_t i = 0; i < LT_EVENT_COUNT; i++) {
        if (cli->type != NULL && strcmp(cli->type, lt_event_types[i].name) != 0) continue;
        if (cli->json) print_type_json(&lt_event_types[i]);
        else print_type(cli, &lt_event_types[i]);
    }
    return EXIT_OK;
}

/* Other writers may have types of their own, so an unknown one is only worth a word. */
static void check_type(const struct lt_cli *cli) {
    const char *nearest = NULL;
    if (cli->type == NULL || lt_event_find(lt_str_of(cli->type)) != LT_EVENT_UNKNOWN) return;
    for (size_t i = 0; i < LT_EVENT_COUNT; i++) nearest = lt_nearer(lt_str_of(cli->type), nearest, lt_event_types[i].name);
    if (nearest != NULL) lt_say(cli, "%s is none of our types; did you mean %s?", cli->type, nearest);
}

/* ---- one event ---- */

/* The fields that say most, in the order in which they are shown. */
static const char *const telling[] = {"step_path", "step_name", "measurement_name", "name", "key", "value", "units", "outcome", "message", "reason",
                                      "role", "instrument_role", "channel_id", "dut_serial", "station_name", "client", "stop_reason", "destination", "source"};

static void add_value(struct lt_buf *line, yyjson_val *value) {
    if (yyjson_is_str(value)) {
        lt_show_short(line, (struct lt_str){yyjson_get_str(value), yyjson_get_len(value)}, 80);
        return;
    }
    char *text = yyjson_val_write(value, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
    lt_show_short(line, lt_str_of(text == NULL ? "?" : text), 40);
    free(text);
}

/* NULL: it is no JSON; or memory was wanting, and `line` fails. */
static yyjson_doc *read_json(struct lt_str json, struct lt_buf *line) {
    yyjson_read_err why;
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)json.p, json.n, 0, NULL, &why); /* only read: not in place */
    if (doc == NULL && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) line->failed = true;
    return doc;
}

static void add_details(struct lt_buf *line, struct lt_str json) {
    yyjson_doc *doc = read_json(json, line);
    yyjson_val *root = yyjson_doc_get_root(doc), *items = yyjson_obj_get(root, "items"), *path = yyjson_obj_get(root, "step_path");
    bool has_path = yyjson_is_str(path) && yyjson_get_len(path) > 0;
    if (yyjson_is_arr(items)) lt_buf_addf(line, "  %zu items planned", yyjson_arr_size(items));
    for (size_t i = 0; i < sizeof telling / sizeof telling[0]; i++) {
        yyjson_val *value = yyjson_obj_get(root, telling[i]);
        if (value == NULL || yyjson_is_null(value) || (yyjson_is_str(value) && yyjson_get_len(value) == 0)) continue;
        if (has_path && strcmp(telling[i], "step_name") == 0) continue;
        lt_buf_addf(line, "  %s=", telling[i]);
        add_value(line, value);
    }
    if (doc == NULL) lt_buf_add_text(line, "  (its JSON cannot be read)");
    yyjson_doc_free(doc);
}

/* One line whatever the writer's spacing; what is no JSON is given as text. */
static bool print_json_event(const struct lt_row *row) {
    struct lt_buf json;
    lt_buf_init(&json);
    yyjson_doc *doc = read_json(row->json, &json);
    char *text = doc == NULL ? NULL : yyjson_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
    if (text != NULL) {
        lt_buf_add_text(&json, text);
    } else {
        lt_buf_add_text(&json, "{\"id\":");
        lt_add_json_str(row->id, &json);
        lt_buf_add_text(&json, ",\"event_type\":");
        lt_add_json_str(row->event_type, &json);
        lt_buf_add_text(&json, ",\"unreadable\":");
        lt_add_json_str(row->json, &json);
        lt_buf_add_char(&json, '}');
    }
    bool there = lt_print_json(&json);
    free(text);
    yyjson_doc_free(doc);
    lt_buf_release(&json);
    return there;
}

static bool print_event(const struct lt_cli *cli, const struct lt_row *row) {
    if (cli->json) return print_json_event(row);
    struct lt_buf line;
    struct lt_str run = row->run_id;
    lt_buf_init(&line);
    lt_show_color(&line, cli->color, LT_DIM);
    lt_show_time(&line, row->received_at, cli->utc);
    if (run.n > 8) run.n = 8;
    lt_buf_add_char(&line, ' ');
    if (run.p == NULL) lt_buf_add_text(&line, "       -");
    else lt_show_str(&line, run);
    lt_show_color(&line, cli->color, LT_PLAIN);
    lt_buf_add_char(&line, ' ');
    lt_show_short(&line, row->event_type, 40);
    add_details(&line, row->json);
    lt_buf_add_char(&line, '\n');
    lt_print(&line);
    lt_buf_release(&line);
    return !lt_reader_is_gone();
}

/* ---- the listing ---- */

static void print_events(const struct lt_cli *cli, const struct lt_table *t) {
    int64_t id = lt_table_find(t, "id"), type = lt_table_find(t, "event_type"), at = lt_table_find(t, "received_at"), run = lt_table_find(t, "run_id"),
            json = lt_table_find(t, "json");
    bool there = true;
    for (int64_t i = 0; there && i < lt_table_rows(t); i++) {
        struct lt_row row = {.id = lt_table_str(t, id, i), .event_type = lt_table_str(t, type, i), .received_at = LT_TIME_NONE,
                             .run_id = lt_table_str(t, run, i), .json = lt_table_str(t, json, i)};
        lt_table_int(t, at, i, &row.received_at);
        there = print_event(cli, &row);
    }
}

/* What is followed, without what the listing had already. */
struct follower {
    struct lt_cli *cli;
    struct lt_map listed; /* ids */
};

static void tell_lack(struct lt_cli *cli, const struct lt_lack *lack) {
    if (lack->unread > 0) lt_say(cli, "left out: %lld log%s that cannot be read: %s", (long long)lack->unread, lack->unread == 1 ? "" : "s", lack->unread_why.text);
    if (lack->damaged > 0)
        lt_say(cli, "passed over: damage in %lld log%s: %s (litmus verify names all of it)", (long long)lack->damaged, lack->damaged == 1 ? "" : "s", lack->damaged_why.text);
}

static void on_event(void *self, const struct lt_row *row) {
    struct follower *f = self;
    if (lt_map_get(&f->listed, row->id, 0) == LT_MAP_NONE) print_event(f->cli, row);
}

static int follow(struct follower *to, struct lt_event_follow *f) {
    struct litmus_error error = {0};
    int64_t told = 0;
    int code = LITMUS_OK;
    while (code == LITMUS_OK && !lt_interrupted() && !lt_reader_is_gone()) {
        fflush(stdout);
        (void)lt_event_follow_wait(f, WAIT_MS);
        code = lt_event_follow_poll(f, on_event, to, &error);
        const struct lt_lack *lack = lt_event_follow_lack(f);
        if (lack->unread + lack->damaged > told) tell_lack(to->cli, lack);
        told = lack->unread + lack->damaged;
    }
    if (code != LITMUS_OK) return lt_cli_fail(to->cli, &error);
    return lt_interrupted() ? lt_interrupt_exit() : EXIT_OK;
}

static int list_and_follow(struct lt_cli *cli, const struct lt_event_filter *filter) {
    struct lt_table events;
    struct litmus_error error = {0};
    struct lt_event_follow *f = NULL;
    struct follower to = {.cli = cli};
    int code = LITMUS_OK, exit = EXIT_OK;
    lt_map_init(&to.listed);
    lt_table_init(&events);
    /* Listening starts first, so that nothing falls between the listing and it. */
    if (cli->follow) lt_interrupt_catch();
    if (cli->follow) code = lt_event_follow_open(cli->query, filter, false, &f, &error);
    if (code == LITMUS_OK) code = lt_query_events(cli->query, filter, &events, &error);
    if (code == LITMUS_OK) print_events(cli, &events);
    if (code == LITMUS_OK) tell_lack(cli, lt_query_events_lack(cli->query));
    if (code == LITMUS_OK) lt_tell_behind(cli);
    int64_t id = code == LITMUS_OK ? lt_table_find(&events, "id") : -1;
    for (int64_t row = 0; f != NULL && code == LITMUS_OK && row < lt_table_rows(&events); row++)
        if (!lt_map_put(&to.listed, lt_table_str(&events, id, row), 0, 1)) code = lt_fail(&error, LITMUS_ENOMEM, 0, "out of memory following the logs");
    if (code != LITMUS_OK) exit = lt_cli_fail(cli, &error);
    else if (f != NULL) exit = follow(&to, f);
    lt_event_follow_free(f);
    lt_map_release(&to.listed);
    lt_table_release(&events); /* which the map's keys borrow from */
    return exit;
}

int lt_cmd_events(struct lt_cli *cli) {
    if (cli->types) return print_types(cli);
    struct lt_run_ref run = {.live = false};
    check_type(cli);
    int exit = lt_cli_query(cli);
    if (exit == EXIT_OK && cli->run != NULL) exit = lt_cli_find(cli, cli->run, &run);
    if (exit != EXIT_OK) return exit;
    bool narrowed = cli->run != NULL || cli->session != NULL || cli->since != LT_TIME_NONE;
    struct lt_event_filter filter = {.session_id = cli->session, .run_id = cli->run == NULL ? NULL : run.run_id, .event_type = cli->type, .role = cli->role,
                                     .since = cli->since, .limit = cli->limit >= 0 ? cli->limit : narrowed ? 0 : DEFAULT_LIMIT};
    return list_and_follow(cli, &filter);
}
