/* SPDX-License-Identifier: Apache-2.0
 *
 * What others recorded: a file of another tool (cmd_export.c hands it on), or another data_dir, session by session.
 */
#include "cmd/cmd.h"
#include "cmd/keys.h"
#include "cmd/screen.h"
#include "cmd/waiting.h"
#include "retain/import.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct import {
    struct lt_cli *cli;
    struct lt_import *batch;
    int64_t sessions, runs, logs, files, bytes, known, left, failed;
    int exit;
};

/* The worst counts: what the system refused before what a file has. */
static void end_with(struct import *m, int exit) {
    if (exit > m->exit) m->exit = exit;
}

static void fail(struct import *m, const struct litmus_error *error) {
    m->failed++;
    end_with(m, lt_cli_fail(m->cli, error));
}

static void tell_status(const struct import *m, const char *session_id, const char *status, const struct litmus_error *why) {
    struct lt_buf line;
    if (!m->cli->json) return;
    lt_buf_init(&line);
    lt_buf_addf(&line, "{\"session_id\":\"%s\",\"status\":\"%s\",\"why\":", session_id, status);
    lt_add_json_str(lt_str_of(why->text), &line);
    lt_buf_add_char(&line, '}');
    lt_print_json(&line);
    lt_buf_release(&line);
}

/* Of a session that had to be left out. */
static void refuse(struct import *m, const char *session_id, const struct litmus_error *why) {
    m->failed++;
    end_with(m, lt_error_is_refusal(why) ? EXIT_SYSTEM : EXIT_DATA);
    lt_complain(m->cli, "session %s is left out: %s", session_id, why->text);
}

static void tell(void *self, const struct lt_imported *done) {
    struct import *m = self;
    const char *what = m->cli->dry_run ? "would come" : "came";
    struct lt_buf line;
    if (done->why != NULL) {
        tell_status(m, done->session_id, "failed", done->why);
        refuse(m, done->session_id, done->why);
        return;
    }
    lt_buf_init(&line);
    m->sessions++;
    m->runs += done->runs;
    m->logs += done->logs;
    m->files += done->files;
    m->bytes += done->bytes;
    if (m->cli->json) {
        lt_buf_addf(&line, "{\"session_id\":\"%s\",\"status\":\"%s\",\"runs\":%" PRId64 ",\"logs\":%" PRId64 ",\"files\":%" PRId64 ",\"bytes\":%" PRId64 ",\"damaged\":%s}",
                    done->session_id, what, done->runs, done->logs, done->files, done->bytes, done->damaged ? "true" : "false");
        lt_print_json(&line);
    } else if (m->cli->dry_run || m->cli->verbose > 0) {
        printf("%s  %" PRId64 " runs, %" PRId64 " files, %" PRId64 " bytes\n", done->session_id, done->runs, done->files, done->bytes);
    }
    lt_buf_release(&line);
    if (done->unsealed)
        lt_say(m->cli, "session %s was not finished there: it %s", done->session_id, m->cli->dry_run ? "would be here" : "is here, by this station's key if it has one");
    if (!done->damaged) return;
    end_with(m, EXIT_DATA);
    lt_complain(m->cli, "session %s is damaged, and %s as it is: litmus verify names the place", done->session_id, what);
}

static void tell_left(struct import *m, const char *session_id, enum lt_incoming_verdict verdict, const struct litmus_error *why) {
    static const char *const words[] = {[LT_INCOMING_LIVE] = "live", [LT_INCOMING_PRUNED] = "pruned", [LT_INCOMING_DIFFERS] = "differs", [LT_INCOMING_UNREADABLE] = "unreadable"};
    tell_status(m, session_id, words[verdict], why);
    if (verdict == LT_INCOMING_DIFFERS || verdict == LT_INCOMING_UNREADABLE) {
        refuse(m, session_id, why);
        return;
    }
    m->left++;
    lt_say(m->cli, "session %s is left out: %s", session_id, why->text);
}

static bool apply(struct import *m) {
    struct litmus_error error = {0};
    int code = lt_import_apply(m->batch, tell, m, &error);
    if (code != LITMUS_OK) fail(m, &error);
    return code == LITMUS_OK;
}

static void look(struct import *m, size_t i) {
    const struct lt_incoming *incoming = lt_import_incoming(m->batch);
    struct litmus_error error = {0}, why = {0};
    enum lt_incoming_verdict verdict;
    lt_cli_await(m->cli, "session", incoming->sessions[i].id);
    int code = lt_import_look(m->batch, i, &verdict, &why, &error);
    if (code != LITMUS_OK) fail(m, &error);
    else if (verdict == LT_INCOMING_KNOWN) m->known++;
    else if (verdict != LT_INCOMING_NEW) tell_left(m, incoming->sessions[i].id, verdict, &why);
    if (m->cli->err_terminal && !m->cli->quiet && i % 16 == 0) fprintf(stderr, "\r%zu of %zu sessions\033[K", i, incoming->session_count);
}

/* A key that came with what it vouches for proves nothing by itself. */
static void tell_keys(struct import *m) {
    const unsigned char(*keys)[LT_KEY_PUBLIC_BYTES];
    struct lt_keyring ring;
    size_t count = lt_import_keys(m->batch, &keys);
    if (count > 0 && lt_cli_keyring(m->cli, &ring) == EXIT_OK) {
        for (size_t i = 0; i < count; i++) {
            char id[LT_KEY_ID_BYTES];
            lt_key_id(keys[i], id);
            if (lt_keyring_find(&ring, keys[i]) == NULL)
                lt_say(m->cli, "logs that came are signed by key %s, which is not known here: put that station's station.pub beside the key of this one", id);
        }
        lt_keyring_release(&ring);
    }
}

static void sum_up(const struct import *m, const char *from) {
    const struct lt_incoming *incoming = lt_import_incoming(m->batch);
    const char *more = incoming->strays > 1 ? ", ..." : "", *what = m->cli->dry_run ? "would import" : "imported";
    if (incoming->strays > 0) lt_say(m->cli, "%" PRId64 " files belong to no session and are left out: %s/%s%s", incoming->strays, from, incoming->stray, more);
    if (m->sessions == 0 && m->failed == 0 && m->left == 0)
        lt_say(m->cli, "nothing new in %s: %" PRId64 " sessions are here already", from, m->known);
    else
        lt_say(m->cli, "%s %" PRId64 " sessions with %" PRId64 " runs, %" PRId64 " logs, %" PRId64 " bytes; %" PRId64 " were here, %" PRId64 " left out, %" PRId64 " failed",
               what, m->sessions, m->runs, m->logs, m->bytes, m->known, m->left, m->failed);
}

static void import_folder(struct import *m, const char *from) {
    struct litmus_error error = {0};
    int code = lt_import_new(lt_buf_cstr(&m->cli->data_dir), from, m->cli->query, m->cli->dry_run, &m->batch, &error);
    if (code != LITMUS_OK) {
        fail(m, &error);
        return;
    }
    bool going = true;
    for (size_t i = 0; going && i < lt_import_incoming(m->batch)->session_count; i++) {
        if (lt_import_is_full(m->batch)) going = apply(m);
        if (going) look(m, i);
    }
    if (going) apply(m);
    if (m->cli->err_terminal && !m->cli->quiet) fputs("\r\033[K", stderr);
    tell_keys(m);
    sum_up(m, from);
    lt_import_free(m->batch);
}

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int lt_cmd_import(struct lt_cli *cli) {
    size_t folders = 0;
    for (size_t i = 0; i < cli->argument_count; i++) {
        struct litmus_error error = {0};
        if (access(cli->arguments[i], F_OK) == 0) folders += is_folder(cli->arguments[i]);
        else if (lt_fail_os(&error, errno, "find", cli->arguments[i]) != LITMUS_OK) return lt_cli_fail(cli, &error);
    }
    if (folders == 0) return lt_cmd_import_files(cli);
    if (folders < cli->argument_count || cli->junit || cli->reportlog || cli->openhtf)
        return lt_usage(cli, "a data_dir cannot be imported together with files of other tools: one after the other");
    int exit = lt_cli_query_to_change(cli);
    if (exit != EXIT_OK) return exit;
    for (size_t i = 0; i < cli->argument_count; i++) {
        struct import m = {.cli = cli, .exit = EXIT_OK};
        import_folder(&m, cli->arguments[i]);
        if (m.exit > exit) exit = m.exit;
    }
    return exit;
}
