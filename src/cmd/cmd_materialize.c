/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"
#include "channel/channel.h"
#include "cmd/cmd.h"
#include "cmd/screen.h"
#include "cmd/sessions.h"
#include "cmd/waiting.h"
#include "log/index.h"
#include "materialize/materialize.h"

#include <stdio.h>

struct work {
    struct lt_cli *cli;
    struct lt_materializer *materializer;
    int64_t made, there, failed;
    int exit;
};

static void tell_json(const struct lt_materialized *done) {
    struct lt_buf json;
    lt_buf_init(&json);
    lt_buf_add_text(&json, "{\"run_id\":");
    lt_add_json_str(lt_str_of(done->run_id), &json);
    lt_buf_add_text(&json, ",\"file_path\":");
    lt_add_json_str(lt_str_of(done->path), &json);
    lt_buf_add_text(&json, ",\"outcome\":");
    lt_add_json_str(lt_str_of(done->outcome), &json);
    lt_buf_addf(&json, ",\"planned\":%lld,\"never_ran\":%lld,\"steps\":%lld,\"measurements\":%lld,\"already\":%s}", (long long)done->planned,
                (long long)done->counts.never_ran, (long long)done->steps, (long long)done->measurements, done->already ? "true" : "false");
    lt_print_json(&json);
    lt_buf_release(&json);
}

static void on_done(void *self, const struct lt_materialized *done) {
    struct work *w = self;
    w->made += !done->already;
    w->there += done->already;
    if (done->already && w->cli->argument_count == 0 && w->cli->verbose == 0) return;
    if (w->cli->json) {
        tell_json(done);
        return;
    }
    struct lt_buf line;
    lt_buf_init(&line);
    lt_buf_addf(&line, "%.8s  %-10s  %lld planned, %lld never ran  ", done->run_id, done->outcome, (long long)done->planned, (long long)done->counts.never_ran);
    lt_show_str(&line, lt_str_of(done->path));
    if (done->already) lt_buf_add_text(&line, " (there already)");
    puts(lt_buf_cstr(&line));
    lt_buf_release(&line);
}

static void await_session(void *self, const char *session_id) {
    struct work *w = self;
    lt_cli_await(w->cli, "session", session_id);
}

static void one_session(void *self, const char *session_id) {
    struct work *w = self;
    struct litmus_error error = {0};
    await_session(w, session_id);
    int code = lt_materialize_session(w->materializer, session_id, on_done, w, &error);
    if (code == LITMUS_OK || (code == LITMUS_ENOENT && lt_log_is_gone(lt_buf_cstr(&w->cli->data_dir), session_id))) return;
    w->failed++;
    w->exit = lt_cli_fail(w->cli, &error);
}

int lt_cmd_materialize(struct lt_cli *cli) {
    struct work w = {.cli = cli, .exit = EXIT_OK};
    struct litmus_error error = {0};
    char session[64];
    int exit = lt_cli_query_to_change(cli);
    if (exit == EXIT_OK && cli->argument_count > 0) exit = lt_session_find(cli, cli->arguments[0], session);
    if (exit != EXIT_OK) return exit;
    lt_memory_ahead();
    if (lt_materializer_new(lt_buf_cstr(&cli->data_dir), NULL, &w.materializer, &error) != LITMUS_OK) return lt_cli_fail(cli, &error);
    int code = LITMUS_OK;
    struct lt_log_index *index = lt_log_index_new(lt_buf_cstr(&cli->data_dir));
    lt_materializer_use_index(w.materializer, index);
    if (cli->argument_count > 0) one_session(&w, session);
    else if (cli->all) code = lt_query_sessions(cli->query, one_session, &w, &error);
    else code = lt_query_unfinished(cli->query, await_session, one_session, &w, &error);
    lt_materializer_free(w.materializer);
    lt_log_index_free(index);
    if (code == LITMUS_OK && cli->argument_count == 0) code = lt_channel_recover_all(NULL, lt_buf_cstr(&cli->data_dir), NULL, &error);
    if (code != LITMUS_OK) return lt_cli_fail(cli, &error);
    if (w.failed == 0) lt_say(cli, "%lld run%s written, %lld there already", (long long)w.made, w.made == 1 ? "" : "s", (long long)w.there);
    return w.exit;
}
