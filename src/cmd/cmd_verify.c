/* SPDX-License-Identifier: Apache-2.0
 *
 * Is what is on record what was recorded? Each log's chain, and each run file against what its log
 * folds to, byte for byte; what differs is named by file, place and event.
 */
#include "accumulate/gather.h"
#include "base/arena.h"
#include "base/io.h"
#include "base/map.h"
#include "cmd/cmd.h"
#include "cmd/screen.h"
#include "materialize/materialize.h"
#include "materialize/parquet.h"
#include "materialize/rows.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

struct verify {
    struct lt_cli *cli;
    const char *run_id; /* NULL: every run */
    int64_t logs, events, files, findings;
    struct lt_buf text; /* of the finding at hand */
    struct lt_buf file, expected, path;
    struct lt_arena arena;
    struct lt_map told; /* paths that something was found of */
    struct lt_map read; /* paths of the logs that were looked at, as --all goes */
};

enum { FILE_BYTES_MAX = 1 << 30 };

/* ---- findings ---- */

static void finding(struct verify *v, const char *path, int64_t offset, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* `offset` below 0: the file as a whole. */
static void finding(struct verify *v, const char *path, int64_t offset, const char *format, ...) {
    char what[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    v->findings++;
    struct lt_str own = lt_arena_str(&v->arena, lt_str_of(path));
    if (own.p != NULL) (void)lt_map_put(&v->told, own, 0, 1);
    size_t n = strlen(path);
    const char *text = n > 0 && strncmp(what, path, n) == 0 && what[n] == ' ' ? what + n + 1 : what; /* named already */
    lt_buf_clear(&v->text);
    if (v->cli->json) {
        lt_buf_add_text(&v->text, "{\"file_path\":");
        lt_add_json_str(lt_str_of(path), &v->text);
        if (offset >= 0) lt_buf_addf(&v->text, ",\"offset\":%lld", (long long)offset);
        else lt_buf_add_text(&v->text, ",\"offset\":null");
        lt_buf_add_text(&v->text, ",\"finding\":");
        lt_add_json_str(lt_str_of(text), &v->text);
        lt_buf_add_char(&v->text, '}');
        lt_print_json(&v->text);
        return;
    }
    lt_show_color(&v->text, v->cli->color, LT_RED);
    lt_show_str(&v->text, lt_str_of(path));
    lt_show_color(&v->text, v->cli->color, LT_PLAIN);
    if (offset >= 0) lt_buf_addf(&v->text, " at byte %lld", (long long)offset);
    lt_buf_add_text(&v->text, ": ");
    lt_show_str(&v->text, lt_str_of(text));
    puts(lt_buf_cstr(&v->text));
}

/* ---- logs ---- */

static bool is_empty(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

/* How a log ended, where that says anything. */
static void check_end(struct verify *v, const char *path, const struct lt_log_reader *reader, enum lt_log_status end, const struct litmus_error *error) {
    int64_t at = lt_log_reader_offset(reader);
    if (end == LT_LOG_FAILED) finding(v, path, -1, "%s", error->text);
    else if (end == LT_LOG_SEALED || lt_log_is_live(path)) return;
    else if (at == 0 && is_empty(path)) return; /* whoever made it died before it wrote: there is nothing to seal */
    else if (end == LT_LOG_TORN) finding(v, path, at, "ends inside an event: its producer died; litmus materialize cuts that off and keeps it as evidence");
    else finding(v, path, at, "is not sealed: its producer died; litmus materialize finishes it");
}

static void check_events(struct verify *v, const char *path, struct lt_log_reader *reader) {
    struct lt_row row;
    struct litmus_error error = {0};
    bool chain_ok = true, damaged = false;
    enum lt_log_status status;
    while ((status = lt_log_next(reader, &row, &error)) == LT_LOG_EVENT || status == LT_LOG_DAMAGED) {
        if (status == LT_LOG_DAMAGED) {
            struct lt_log_damage damage = lt_log_reader_damage(reader);
            finding(v, path, damage.offset, "%lld bytes are damaged: %s", (long long)damage.bytes, damage.what == NULL ? "no event" : damage.what);
            damaged = true;
            continue;
        }
        v->events++;
        if (chain_ok && !damaged && !lt_log_reader_chain_ok(reader))
            finding(v, path, lt_log_reader_row_offset(reader), "the chain breaks at event %lld, id %.*s, %.*s: it or what came before it was changed, removed or moved",
                    (long long)lt_log_reader_rows(reader), LT_STR_ARG(row.id), LT_STR_ARG(row.event_type));
        chain_ok = chain_ok && lt_log_reader_chain_ok(reader);
    }
    check_end(v, path, reader, status, &error);
    if (chain_ok && !damaged && !lt_log_reader_chain_ok(reader)) finding(v, path, -1, "the bytes behind the last event are not those that were written");
}

static void check_log(struct verify *v, const char *path) {
    struct lt_log_reader *reader = NULL;
    struct litmus_error error = {0};
    struct lt_str own = v->cli->all ? lt_arena_str(&v->arena, lt_str_of(path)) : LT_STR_NULL;
    if (own.p != NULL) (void)lt_map_put(&v->read, own, 0, 1);
    v->logs++;
    if (lt_log_reader_open(path, &reader, &error) != LITMUS_OK) {
        finding(v, path, -1, "%s", error.text);
        return;
    }
    lt_log_reader_check_chain(reader);
    check_events(v, path, reader);
    lt_log_reader_free(reader);
}

static int check_logs(struct verify *v, const char *session_id, struct litmus_error *error) {
    struct lt_log_list list;
    int code = lt_log_find(lt_buf_cstr(&v->cli->data_dir), session_id, &list, error);
    for (size_t i = 0; code == LITMUS_OK && i < list.count; i++) check_log(v, list.files[i].path);
    if (code == LITMUS_OK) lt_log_list_release(&list);
    return code;
}

/* ---- files ---- */

static void add_cell(struct lt_buf *out, const struct lt_table *t, int64_t column, int64_t row) {
    size_t start = out->n;
    lt_table_json(t, column, row, out);
    enum { CELL_BYTES_MAX = 120 };
    if (out->n - start > CELL_BYTES_MAX) {
        out->n = start + CELL_BYTES_MAX;
        lt_buf_add_text(out, "...");
    }
}

/* The first cell that differs, in words. false: all rows agree. */
static bool name_difference(struct verify *v, const char *path, int64_t offset, const struct lt_table *file, const struct lt_table *log) {
    struct lt_buf a, b;
    bool found = false;
    lt_buf_init(&a);
    lt_buf_init(&b);
    if (lt_table_rows(file) != lt_table_rows(log)) {
        finding(v, path, offset, "has %lld rows, the log gives %lld", (long long)lt_table_rows(file), (long long)lt_table_rows(log));
        found = true;
    }
    for (int64_t row = 0; !found && row < lt_table_rows(log); row++) {
        for (int64_t c = 0; !found && c < lt_table_columns(log); c++) {
            lt_buf_clear(&a);
            lt_buf_clear(&b);
            add_cell(&a, file, lt_table_find(file, lt_table_name(log, c)), row);
            add_cell(&b, log, c, row);
            if (strcmp(lt_buf_cstr(&a), lt_buf_cstr(&b)) == 0) continue;
            struct lt_str step = lt_table_str(log, lt_table_find(log, "step_path"), row), kind = lt_table_str(log, lt_table_find(log, "record_type"), row);
            finding(v, path, offset, "row %lld (%.*s%s%.*s), column %s: the file has %s, the log gives %s", (long long)row, LT_STR_ARG(kind), step.n > 0 ? " " : "",
                    LT_STR_ARG(step), lt_table_name(log, c), lt_buf_cstr(&a), lt_buf_cstr(&b));
            found = true;
        }
    }
    lt_buf_release(&a);
    lt_buf_release(&b);
    return found;
}

static int64_t first_difference(const struct lt_buf *a, const struct lt_buf *b) {
    size_t i = 0;
    while (i < a->n && i < b->n && a->p[i] == b->p[i]) i++;
    return (int64_t)i;
}

static int explain(struct verify *v, const char *path, const struct lt_run *run, struct litmus_error *error) {
    struct lt_table file, log;
    struct litmus_error why = {0};
    int64_t offset = first_difference(&v->file, &v->expected);
    lt_table_init(&file);
    lt_table_init(&log);
    int code = LITMUS_OK;
    if (lt_parquet_read(path, NULL, 0, &file, &why) != LITMUS_OK) {
        finding(v, path, offset, "%s; litmus rebuild makes it anew", why.text);
    } else {
        code = lt_rows_build(run, &log, error);
        if (code == LITMUS_OK && !name_difference(v, path, offset, &file, &log))
            finding(v, path, offset, "its rows are right, but its bytes are not those that this version (%s) writes; litmus rebuild makes it anew", litmus_version());
    }
    lt_table_release(&file);
    lt_table_release(&log);
    return code;
}

static int check_file(struct verify *v, const struct lt_gathered_run *run, struct litmus_error *error) {
    struct litmus_error why = {0};
    v->files++;
    lt_buf_clear(&v->path);
    lt_buf_addf(&v->path, "%s/%.*s", lt_buf_cstr(&v->cli->data_dir), LT_STR_ARG(run->destination));
    const char *path = lt_buf_cstr(&v->path);
    lt_buf_clear(&v->file);
    lt_buf_clear(&v->expected);
    if (lt_io_read_file(path, FILE_BYTES_MAX, &v->file, &why) != LITMUS_OK) {
        finding(v, path, -1, "%s; litmus rebuild makes it anew", why.text);
        return LITMUS_OK;
    }
    int code = lt_run_encode(&run->run, &v->expected, error);
    bool equal = code == LITMUS_OK && v->file.n == v->expected.n && memcmp(v->file.p, v->expected.p, v->file.n) == 0;
    return code == LITMUS_OK && !equal ? explain(v, path, &run->run, error) : code;
}

/* A run without its file is the logs' matter (check_end) or still going on. */
static int check_files(struct verify *v, const char *session_id, struct litmus_error *error) {
    struct lt_gathering session;
    struct lt_gather_options options = {.run_id = v->run_id};
    int code = lt_gather_session(lt_buf_cstr(&v->cli->data_dir), session_id, &options, &session, error);
    for (size_t i = 0; code == LITMUS_OK && i < session.run_count; i++) {
        const struct lt_gathered_run *run = session.runs[i];
        if (run->materialized) code = check_file(v, run, error);
        else if (run->run.has_started && (run->run.has_ended || !run->producer_alive))
            finding(v, run->owner_log.p == NULL ? "" : run->owner_log.p, -1, "run %.*s has no file; litmus materialize writes it", LT_STR_ARG(run->run.run_id));
    }
    lt_gathering_release(&session);
    return code;
}

static void check_session(void *self, const char *session_id) {
    struct verify *v = self;
    struct litmus_error error = {0};
    int code = check_logs(v, session_id, &error);
    if (code == LITMUS_OK) code = check_files(v, session_id, &error);
    if (code != LITMUS_OK) finding(v, session_id, -1, "%s", error.text);
}

/* ---- everything ---- */

static bool check_orphan(struct verify *v, const struct lt_table *runs, int64_t row) {
    struct lt_log_list list = {0};
    char session[64];
    struct lt_str id = lt_table_str(runs, lt_table_find(runs, "session_id"), row), path = lt_table_str(runs, lt_table_find(runs, "file_path"), row);
    snprintf(session, sizeof session, "%.*s", LT_STR_ARG(id));
    bool known = session[0] != '\0' && lt_log_find(lt_buf_cstr(&v->cli->data_dir), session, &list, NULL) == LITMUS_OK && list.count > 0;
    lt_log_list_release(&list);
    if (!known && path.p != NULL) {
        struct lt_buf text;
        lt_buf_init(&text);
        lt_buf_add_str(&text, path);
        finding(v, lt_buf_cstr(&text), -1, "there is no log of its session to hold it against");
        lt_buf_release(&text);
    }
    return known;
}

static bool tell_damaged(void *self, const char *path, const char *reason) {
    struct verify *v = self;
    const char *whole = lt_path_join(&v->path, lt_buf_cstr(&v->cli->data_dir), path);
    if (lt_map_get(&v->told, lt_str_of(whole), 0) == LT_MAP_NONE) finding(v, whole, -1, "%s", reason);
    return true;
}

/* What stands among the logs and belongs to no session is told, too: it may have been a log. */
static int check_strangers(struct verify *v, struct litmus_error *error) {
    struct lt_log_list list;
    int code = lt_log_find(lt_buf_cstr(&v->cli->data_dir), NULL, &list, error);
    if (code != LITMUS_OK) return code;
    for (size_t i = 0; i < list.count; i++) {
        const char *path = list.files[i].path;
        struct stat st;
        if (lt_map_get(&v->read, lt_str_of(path), 0) != LT_MAP_NONE || lstat(path, &st) != 0 || lt_log_is_live(path)) continue;
        int64_t before = v->findings;
        check_log(v, path);
        bool named = list.files[i].session[0] != '\0'; /* made since the sessions were listed, or by whoever died before he wrote */
        if (v->findings == before && !named) finding(v, path, -1, "is no log: it has no session; move it elsewhere");
    }
    lt_log_list_release(&list);
    return LITMUS_OK;
}

static int verify_all(struct verify *v, struct litmus_error *error) {
    struct lt_table runs;
    struct lt_run_filter every = {.finished_only = true};
    int code = lt_query_sessions(v->cli->query, check_session, v, error);
    if (code == LITMUS_OK) code = check_strangers(v, error);
    if (code == LITMUS_OK) code = lt_query_runs(v->cli->query, &every, &runs, error);
    if (code != LITMUS_OK) return code;
    for (int64_t row = 0; row < lt_table_rows(&runs); row++) check_orphan(v, &runs, row);
    lt_table_release(&runs);
    return lt_query_damaged(v->cli->query, tell_damaged, v, error);
}

static int verify_one(struct verify *v, struct lt_run_ref *ref) {
    struct lt_log_list list = {0};
    int64_t count = 0;
    if (ref->session_id[0] != '\0' && lt_log_find(lt_buf_cstr(&v->cli->data_dir), ref->session_id, &list, NULL) == LITMUS_OK) count = (int64_t)list.count;
    lt_log_list_release(&list);
    v->run_id = ref->run_id;
    if (count == 0) finding(v, ref->path, -1, "there is no log of its session to hold it against");
    else check_session(v, ref->session_id);
    return EXIT_OK;
}

int lt_cmd_verify(struct lt_cli *cli) {
    struct verify v = {.cli = cli};
    struct litmus_error error = {0};
    struct lt_run_ref ref;
    lt_arena_init(&v.arena);
    lt_map_init(&v.told);
    lt_map_init(&v.read);
    int exit = lt_cli_query(cli);
    if (exit == EXIT_OK && cli->all && cli->argument_count > 0) exit = lt_usage(cli, "either a run or --all");
    if (exit == EXIT_OK && !cli->all) exit = lt_cli_find(cli, cli->argument_count > 0 ? cli->arguments[0] : "last", &ref);
    if (exit != EXIT_OK) return exit;
    if (cli->all) exit = verify_all(&v, &error) == LITMUS_OK ? EXIT_OK : lt_cli_fail(cli, &error);
    else exit = verify_one(&v, &ref);
    if (exit == EXIT_OK) {
        lt_say(cli, "%lld events in %lld logs and %lld run files: %lld finding%s", (long long)v.events, (long long)v.logs, (long long)v.files, (long long)v.findings,
               v.findings == 1 ? "" : "s");
        exit = v.findings > 0 ? EXIT_FINDINGS : EXIT_OK;
    }
    lt_buf_release(&v.text);
    lt_buf_release(&v.file);
    lt_buf_release(&v.expected);
    lt_buf_release(&v.path);
    lt_map_release(&v.told);
    lt_map_release(&v.read);
    lt_arena_release(&v.arena);
    return exit;
}
