/* SPDX-License-Identifier: Apache-2.0
 *
 * What the commands share: talk, errors, the query, JSON lines.
 */
#define _GNU_SOURCE /* memmem */
#include "base/json_text.h"
#include "base/config.h"
#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/screen.h"
#include "cmd/waiting.h"
#include "materialize/changeset.h"
#include "materialize/materialize.h"
#include "model/suggest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yyjson.h>

/* ---- talk ---- */

/* Nothing that a terminal would obey. */
static bool is_plain(char c) {
    return c >= ' ' && c < 0x7f;
}

static void talk(const struct lt_cli *cli, enum lt_color color, const char *format, va_list args) {
    char text[2048];
    struct lt_buf line;
    vsnprintf(text, sizeof text, format, args);
    lt_buf_init(&line);
    lt_show_color(&line, cli->err_color, color);
    lt_buf_add_text(&line, "litmus");
    if (cli->command != NULL) lt_buf_addf(&line, " %s", cli->command->name);
    lt_buf_add_char(&line, ':');
    lt_show_color(&line, cli->err_color, LT_PLAIN);
    lt_buf_add_char(&line, ' ');
    lt_show_str(&line, lt_str_of(text));
    lt_buf_add_char(&line, '\n');
    fflush(stdout);
    if (!line.failed) fwrite(line.p, 1, line.n, stderr);
    else {
        for (char *p = text; *p != '\0'; p++)
            if (!is_plain(*p)) *p = '?';
        fprintf(stderr, "litmus: %s\n", text);
    }
    lt_buf_release(&line);
}

void lt_say(const struct lt_cli *cli, const char *format, ...) {
    if (cli->quiet) return;
    va_list args;
    va_start(args, format);
    talk(cli, LT_DIM, format, args);
    va_end(args);
}

void lt_complain(const struct lt_cli *cli, const char *format, ...) {
    va_list args;
    va_start(args, format);
    talk(cli, LT_RED, format, args);
    va_end(args);
}

int lt_usage(const struct lt_cli *cli, const char *format, ...) {
    va_list args;
    va_start(args, format);
    talk(cli, LT_RED, format, args);
    va_end(args);
    fprintf(stderr, "see: litmus %s%s-h\n", cli->command == NULL ? "" : cli->command->name, cli->command == NULL ? "" : " ");
    return EXIT_USAGE;
}

/* A folder where a file should be, or a file where a folder, cannot be used, as an argument cannot. In the data_dir it is the data that is so. */
static bool is_of_data(const struct lt_cli *cli, const struct litmus_error *error) {
    const struct lt_buf *dir = &cli->data_dir;
    const char *at = error->code == LITMUS_EINVAL && dir->n > 0 ? memmem(error->text, strlen(error->text), dir->p, dir->n) : NULL;
    return at != NULL && at[dir->n] == '/';
}

int lt_cli_fail(const struct lt_cli *cli, const struct litmus_error *error) {
    static const unsigned char exits[] = {
        [LITMUS_EINVAL] = EXIT_USAGE,    [LITMUS_EEVENT] = EXIT_USAGE,       [LITMUS_EIO] = EXIT_SYSTEM,     [LITMUS_ENOSPC] = EXIT_SYSTEM,
        [LITMUS_EPERM] = EXIT_SYSTEM,    [LITMUS_ENOENT] = EXIT_NOT_FOUND,   [LITMUS_EDAMAGED] = EXIT_DATA,  [LITMUS_EVERSION] = EXIT_DATA,
        [LITMUS_EBUSY] = EXIT_SYSTEM,    [LITMUS_EAMBIGUOUS] = EXIT_NOT_FOUND, [LITMUS_ENOMEM] = EXIT_SYSTEM, [LITMUS_ECONFIG] = EXIT_USAGE,
        [LITMUS_ESTATE] = EXIT_SYSTEM,
    };
    lt_complain(cli, "%s", error->text[0] == '\0' ? litmus_code_name(error->code) : error->text);
    bool known = error->code > 0 && (size_t)error->code < sizeof exits && exits[error->code] != 0;
    if (is_of_data(cli, error)) return EXIT_DATA;
    return known ? exits[error->code] : EXIT_SYSTEM;
}

/* ---- data ---- */

/* A litmus.yaml that names the folder by a key that is none says nothing, and another folder is read: said aloud. */
static void warn_of_slip(struct lt_cli *cli) {
    struct lt_buf json, path;
    lt_buf_init(&json);
    lt_buf_init(&path);
    yyjson_doc *doc = lt_config_json(NULL, &json, &path, NULL) == LITMUS_OK ? yyjson_read(json.p, json.n, 0) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc), *key, *value;
    size_t i, n;
    bool named = yyjson_obj_get(root, "data_dir") != NULL;
    yyjson_obj_foreach(root, i, n, key, value)
        if (!named && lt_nearer(lt_str_of(yyjson_get_str(key)), NULL, "data_dir") != NULL)
            lt_complain(cli, "%s: no key `%s`; did you mean data_dir? %s is read", lt_buf_cstr(&path), yyjson_get_str(key), lt_buf_cstr(&cli->data_dir));
    yyjson_doc_free(doc);
    lt_buf_release(&json);
    lt_buf_release(&path);
}

int lt_cli_data_dir(struct lt_cli *cli) {
    struct litmus_error error = {0};
    if (cli->data_dir.n > 0) return EXIT_OK;
    if (cli->data_dir_given != NULL && cli->data_dir_given[0] == '\0') return lt_usage(cli, "--data-dir is empty: name a folder, or leave it out");
    int code = lt_data_dir_find(cli->data_dir_given, &cli->data_dir, &error);
    if (code == LITMUS_OK && cli->data_dir_given == NULL && getenv("LITMUS_DATA_DIR") == NULL) warn_of_slip(cli);
    if (code == LITMUS_OK) lt_buf_cstr(&cli->data_dir);
    return code == LITMUS_OK ? EXIT_OK : lt_cli_fail(cli, &error);
}

static bool say_waiting(void *self, const char *who) {
    lt_say(self, "waiting: %s", who);
    return true;
}

int lt_cli_query(struct lt_cli *cli) {
    struct litmus_error error = {0};
    int exit = lt_cli_data_dir(cli);
    if (exit != EXIT_OK || cli->query != NULL) return exit;
    if (lt_query_open(lt_buf_cstr(&cli->data_dir), &cli->query, &error) != LITMUS_OK) return lt_cli_fail(cli, &error);
    lt_query_on_wait(cli->query, say_waiting, cli);
    const struct litmus_error *who = lt_query_held_up(cli->query);
    cli->waited_enough = who != NULL;
    if (who != NULL) lt_say(cli, "not waited for, and shown as it is: %s; a prune or import was broken off, and is not finished", who->text);
    return EXIT_OK;
}

int lt_cli_query_to_change(struct lt_cli *cli) {
    struct lt_buf path;
    int exit = lt_cli_data_dir(cli);
    if (exit != EXIT_OK) return exit;
    lt_buf_init(&path);
    if (access(lt_path_join(&path, lt_buf_cstr(&cli->data_dir), LT_CHANGES), F_OK) == 0) lt_cli_await(cli, "changes", ""); /* it will be worked off */
    lt_buf_release(&path);
    return lt_cli_query(cli);
}

struct finish_work {
    struct lt_cli *cli;
    struct lt_materializer *materializer;
    bool any;
};

static void await_session(void *self, const char *session_id) {
    struct finish_work *work = self;
    (void)!lt_cli_is_free(work->cli, "session", session_id);
}

static void finish_session(void *self, const char *session_id) {
    struct finish_work *work = self;
    struct litmus_error error = {0};
    struct lt_cli *cli = work->cli;
    int code = LITMUS_OK;
    work->any = true;
    if (!lt_cli_is_free(cli, "session", session_id)) return;
    if (work->materializer == NULL) code = lt_materializer_new(lt_buf_cstr(&cli->data_dir), NULL, &work->materializer, &error);
    if (code == LITMUS_OK) code = lt_materialize_session(work->materializer, session_id, NULL, NULL, &error);
    if (code != LITMUS_OK && cli->verbose > 0) lt_say(cli, "session %s is not finished: %s", session_id, error.text);
}

void lt_cli_finish_work(struct lt_cli *cli) {
    struct finish_work work = {.cli = cli};
    if (lt_query_held_up(cli->query) != NULL) return; /* nor is a file made before that is done */
    int code = lt_query_unfinished(cli->query, await_session, finish_session, &work, NULL);
    if (code == LITMUS_OK && !work.any) lt_query_take_as_is(cli->query);
    lt_materializer_free(work.materializer);
}

enum { DAMAGED_MAX = 10 };

struct damaged {
    struct lt_cli *cli;
    long long count;
};

static bool tell_damaged(void *self, const char *path, const char *reason) {
    struct damaged *d = self;
    (void)path; /* the reason names it */
    if (++d->count <= DAMAGED_MAX || d->cli->verbose > 0) lt_say(d->cli, "left out: %s", reason);
    return true;
}

void lt_tell_behind(struct lt_cli *cli) {
    if (lt_query_is_behind(cli->query))
        lt_say(cli, "what came of late may be missing: another process keeps %s/catalog.sqlite locked (end it, then ask again)", lt_buf_cstr(&cli->data_dir));
    const char *unlisted = lt_query_unlisted(cli->query);
    if (unlisted != NULL) lt_say(cli, "left out: what is in a folder: %s", unlisted);
}

void lt_tell_damaged(struct lt_cli *cli) {
    struct damaged damaged = {.cli = cli};
    lt_tell_behind(cli);
    const char *lacks = lt_query_lacks(cli->query);
    if (lacks != NULL) lt_say(cli, "left out: runs that have no file yet: %s", lacks);
    (void)lt_query_damaged(cli->query, tell_damaged, &damaged, NULL);
    if (damaged.count > DAMAGED_MAX && cli->verbose == 0) lt_say(cli, "left out: %lld more like these (litmus doctor -v names all)", damaged.count - DAMAGED_MAX);
}

int lt_cli_find(struct lt_cli *cli, const char *ref, struct lt_run_ref *out) {
    struct litmus_error error = {0};
    int code = lt_query_find(cli->query, ref, out, &error);
    if (code == LITMUS_OK) lt_tell_behind(cli);
    if (code == LITMUS_OK) return EXIT_OK;
    int exit = lt_cli_fail(cli, &error);
    if (code == LITMUS_ENOENT) lt_tell_damaged(cli); /* it may be one of these */
    return exit;
}

/* ---- JSON ---- */

bool lt_reader_is_gone(void) {
    return ferror(stdout) != 0;
}

/* DEL and the C1 controls may stand in JSON as they are; a terminal would obey them. They occur in
 * strings only, so that an escape is always in place. */
static void add_safe(struct lt_buf *out, const char *p, size_t n) {
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        bool c1 = c == 0xc2 && i + 1 < n && (unsigned char)p[i + 1] < 0xa0 && (unsigned char)p[i + 1] >= 0x80;
        if (c != 0x7f && !c1) continue;
        lt_buf_add(out, p + from, i - from);
        lt_buf_addf(out, "\\u%04x", c1 ? (unsigned char)p[i + 1] : c);
        i += c1;
        from = i + 1;
    }
    lt_buf_add(out, p + from, n - from);
}

void lt_print(const struct lt_buf *text) {
    if (!text->failed) fwrite(text->p, 1, text->n, stdout);
    else {
        fflush(stdout);
        fputs("litmus: out of memory: what is printed is not all\n", stderr);
        exit(EXIT_SYSTEM);
    }
}

bool lt_print_json(struct lt_buf *json) {
    struct lt_buf safe;
    lt_buf_init(&safe);
    if (json->failed) safe.failed = true;
    else add_safe(&safe, json->p, json->n);
    lt_buf_add_char(&safe, '\n');
    lt_print(&safe);
    lt_buf_release(&safe);
    return !lt_reader_is_gone();
}

void lt_add_json_str(struct lt_str text, struct lt_buf *out) {
    if (text.p == NULL) {
        lt_buf_add_text(out, "null");
        return;
    }
    lt_json_str(out, text);
}

void lt_add_json_row(const struct lt_table *table, int64_t row, struct lt_buf *out) {
    lt_buf_add_char(out, '{');
    for (int64_t i = 0; i < lt_table_columns(table); i++) {
        if (i > 0) lt_buf_add_char(out, ',');
        lt_add_json_str(lt_str_of(lt_table_name(table, i)), out);
        lt_buf_add_char(out, ':');
        lt_table_json(table, i, row, out);
    }
    lt_buf_add_char(out, '}');
}

bool lt_print_json_row(const struct lt_table *table, int64_t row) {
    struct lt_buf line;
    lt_buf_init(&line);
    lt_add_json_row(table, row, &line);
    bool there = lt_print_json(&line);
    lt_buf_release(&line);
    return there;
}
