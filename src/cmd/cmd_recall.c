/* SPDX-License-Identifier: Apache-2.0
 *
 * Recall: an instrument turns out to be bad; which units did it touch, and with which values?
 */
#include "base/arena.h"
#include "base/grow.h"
#include "base/map.h"
#include "cmd/cmd.h"
#include "cmd/screen.h"
#include "model/suggest.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <yyjson.h>

enum { ROLE, NAMES = 4 };
static const char *const names[NAMES] = {"role", "instrument_id", "serial", "resource"}; /* what may stand for an instrument */

struct touched { /* an instrument in a run; texts in the arena */
    struct lt_str run_id, names[NAMES];
    size_t next; /* another one of the same run, 0: none */
    bool again;  /* not the first of its run */
};
struct recall {
    struct lt_arena arena;
    struct lt_map seen; /* "run_id role" */
    struct lt_map runs; /* run_id -> the latest of it in the list */
    struct touched *list;
    size_t count, capacity, run_count;
    int64_t measurements;
    const char *nearest; /* of the names there are to the one that is wanted; NULL: none is near */
};

static struct lt_str text_of(yyjson_val *event, const char *field) {
    const char *text = yyjson_get_str(yyjson_obj_get(event, field));
    return text == NULL ? LT_STR_NULL : lt_str_of(text);
}

/* By asset id, serial number, address or role. */
static bool is_wanted(yyjson_val *event, struct lt_str wanted) {
    for (int n = 0; n < NAMES; n++)
        if (lt_str_eq(text_of(event, names[n]), wanted)) return true;
    return false;
}

/* A list of nothing may be a slip in the name: which one was meant? In another case counts as near. */
static void note_nearest(struct recall *r, yyjson_val *event, struct lt_str wanted) {
    for (int n = 0; n < NAMES; n++) {
        struct lt_str name = text_of(event, names[n]);
        bool same = name.n == wanted.n && name.n > 0 && strncasecmp(name.p, wanted.p, name.n) == 0;
        if (name.n > 0 && (same || lt_nearer(wanted, r->nearest, name.p) == name.p)) r->nearest = lt_arena_str(&r->arena, name).p;
        if (same) return;
    }
}

/* Whether that role of that run is in the list already; if not, it is from now on taken to be. */
static int is_new(struct recall *r, struct lt_str run_id, struct lt_str role, bool *new, struct litmus_error *error) {
    struct lt_buf key;
    lt_buf_init(&key);
    lt_buf_addf(&key, "%.*s %.*s", LT_STR_ARG(run_id), LT_STR_ARG(role));
    bool failed = key.failed;
    *new = !failed && lt_map_get(&r->seen, (struct lt_str){key.p, key.n}, 0) == LT_MAP_NONE;
    if (*new) failed = !lt_map_put(&r->seen, lt_arena_str(&r->arena, (struct lt_str){key.p, key.n}), 0, 0) || r->arena.failed;
    lt_buf_release(&key);
    return failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing runs") : LITMUS_OK;
}

static int note(struct recall *r, struct lt_str run_id, yyjson_val *event, struct litmus_error *error) {
    bool new = false;
    int code = is_new(r, run_id, text_of(event, names[ROLE]), &new, error);
    if (code != LITMUS_OK || !new) return code;
    struct touched *list = lt_grow_list(r->list, r->count, &r->capacity, sizeof *list);
    if (list == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing runs");
    r->list = list;
    struct touched *own = &list[r->count];
    *own = (struct touched){.run_id = lt_arena_str(&r->arena, run_id)};
    for (int n = 0; n < NAMES; n++) own->names[n] = lt_arena_str(&r->arena, text_of(event, names[n]));
    uint32_t before = lt_map_get(&r->runs, own->run_id, 0);
    own->again = before != LT_MAP_NONE;
    if (own->again) list[before].next = r->count;
    if (r->arena.failed || !lt_map_put(&r->runs, own->run_id, 0, (uint32_t)r->count)) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing runs");
    r->run_count += !own->again;
    r->count++;
    return LITMUS_OK;
}

static int find_runs(struct lt_cli *cli, const char *wanted, struct recall *r, struct litmus_error *error) {
    struct lt_event_filter filter = {.event_type = "fixture.instrument_connected", .since = cli->since};
    struct lt_table events;
    lt_table_init(&events);
    int code = lt_query_events(cli->query, &filter, &events, error);
    int64_t json = code == LITMUS_OK ? lt_table_find(&events, "json") : -1, run = code == LITMUS_OK ? lt_table_find(&events, "run_id") : -1;
    for (int64_t i = 0; code == LITMUS_OK && i < lt_table_rows(&events); i++) {
        struct lt_str text = lt_table_str(&events, json, i), run_id = lt_table_str(&events, run, i);
        yyjson_doc *doc = text.p == NULL ? NULL : yyjson_read(text.p, text.n, 0);
        yyjson_val *event = yyjson_doc_get_root(doc);
        if (run_id.p != NULL && is_wanted(event, lt_str_of(wanted))) code = note(r, run_id, event, error);
        else note_nearest(r, event, lt_str_of(wanted));
        yyjson_doc_free(doc);
    }
    lt_table_release(&events);
    return code;
}

static const char *const columns[] = {"dut_serial", "run_id", "run_started_at", "step_path", "measurement_name",
                                      "measurement_value", "measurement_text", "measurement_units", "measurement_outcome", "instrument_name"};
enum { COLUMNS = sizeof columns / sizeof columns[0], RUN_ID = 1, VALUE = 5, TEXT = 6, INSTRUMENT_NAME = COLUMNS - 1 };

/* `places`: where the columns are in the table. */
static void add_json(const struct lt_table *t, const int64_t *places, int64_t row, const struct touched *touched, bool certain, struct lt_buf *line) {
    lt_buf_add_text(line, "{\"role\":");
    lt_add_json_str(touched->names[ROLE].p == NULL ? LT_STR("") : touched->names[ROLE], line);
    lt_buf_addf(line, ",\"certain\":%s", certain ? "true" : "false");
    for (int c = 0; c < COLUMNS; c++) {
        lt_buf_addf(line, ",\"%s\":", columns[c]);
        lt_table_json(t, places[c], row, line);
    }
    lt_buf_add_char(line, '}');
}

/* A text stands where a number would. */
static void add_line(const struct lt_table *t, const int64_t *places, int64_t row, bool certain, struct lt_buf *line) {
    struct lt_buf cell;
    lt_buf_init(&cell);
    for (int c = 0; c < COLUMNS; c++) {
        if (c == TEXT) continue;
        int64_t place = places[c == VALUE && !lt_table_is_null(t, places[TEXT], row) ? TEXT : c];
        struct lt_str text = lt_table_is_null(t, place, row) ? LT_STR("-") : lt_table_str(t, place, row);
        lt_buf_clear(&cell);
        if (text.p == NULL) lt_table_json(t, place, row, &cell), text = (struct lt_str){cell.p, cell.n};
        if (text.n >= 2 && text.p == cell.p && text.p[0] == '"') text.p++, text.n -= 2; /* a time */
        if (c == RUN_ID && text.n > 8) text.n = 8;
        lt_show_short(line, text, 60);
        lt_buf_add_text(line, c + 1 < COLUMNS ? "  " : certain ? "\n" : " (not said which instrument)\n");
    }
    lt_buf_release(&cell);
}

static void print_row(const struct lt_cli *cli, const struct lt_table *t, const int64_t *places, int64_t row, const struct touched *touched, bool certain) {
    struct lt_buf line;
    lt_buf_init(&line);
    if (cli->json) {
        add_json(t, places, row, touched, certain, &line);
        lt_print_json(&line);
    } else {
        add_line(t, places, row, certain, &line);
        fwrite(line.p, 1, line.n, stdout);
    }
    lt_buf_release(&line);
}

/* Which instrument of a run's a measurement names, by any name that it has; NULL: another one. */
static const struct touched *named(const struct recall *r, const struct touched *first, struct lt_str instrument) {
    for (const struct touched *each = first; each != NULL; each = each->next == 0 ? NULL : &r->list[each->next])
        for (int n = 0; n < NAMES; n++)
            if (lt_str_eq(each->names[n], instrument)) return each;
    return NULL;
}

/* A measurement that names another instrument was not touched; one that names none may have been. */
static int print_run(struct lt_cli *cli, const struct touched *first, struct recall *r) {
    struct lt_run_ref run;
    struct lt_table rows;
    struct litmus_error error = {0};
    lt_table_init(&rows);
    int code = lt_query_find(cli->query, first->run_id.p, &run, &error);
    if (code == LITMUS_OK) code = lt_query_measurements(cli->query, &run, &rows, &error);
    int64_t places[COLUMNS];
    for (int c = 0; code == LITMUS_OK && c < COLUMNS; c++) places[c] = lt_table_find(&rows, columns[c]);
    for (int64_t i = 0; code == LITMUS_OK && i < lt_table_rows(&rows); i++) {
        struct lt_str instrument = lt_table_str(&rows, places[INSTRUMENT_NAME], i);
        bool certain = instrument.p != NULL && instrument.n > 0;
        const struct touched *touched = certain ? named(r, first, instrument) : first;
        if (touched == NULL) continue;
        print_row(cli, &rows, places, i, touched, certain);
        r->measurements++;
    }
    lt_table_release(&rows);
    return code == LITMUS_OK ? EXIT_OK : lt_cli_fail(cli, &error);
}

int lt_cmd_recall(struct lt_cli *cli) {
    struct recall r = {0};
    struct litmus_error error = {0};
    const char *wanted = cli->arguments[0];
    if (wanted[0] == '\0') return lt_usage(cli, "the name of an instrument is empty: its asset id, serial number, address or role");
    int exit = lt_cli_query(cli), worst = EXIT_OK;
    if (exit != EXIT_OK) return exit;
    lt_cli_finish_work(cli);
    if (find_runs(cli, wanted, &r, &error) != LITMUS_OK) worst = lt_cli_fail(cli, &error);
    for (size_t i = 0; i < r.count && !lt_reader_is_gone(); i++) {
        if (r.list[i].again) continue;
        exit = print_run(cli, &r.list[i], &r);
        if (exit != EXIT_OK) worst = exit;
    }
    if (worst == EXIT_OK) lt_say(cli, "%s was connected in %zu runs, with %" PRId64 " measurements", wanted, r.run_count, r.measurements);
    if (worst == EXIT_OK && r.run_count == 0 && r.nearest != NULL) lt_say(cli, "did you mean %s?", r.nearest);
    free(r.list);
    lt_map_release(&r.seen);
    lt_map_release(&r.runs);
    lt_arena_release(&r.arena);
    return worst;
}
