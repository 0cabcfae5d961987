/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes every run file anew from the logs. Each appears whole in place of the old one, so that
 * readers never see less than there was; files that no log accounts for stay as they are. Whoever else changes
 * a session (the daemon with what came late, litmus prune) waits meanwhile, or has changed it before.
 */
#include "accumulate/gather.h"
#include "base/io.h"
#include "base/process.h"
#include "cmd/cmd.h"
#include "cmd/screen.h"
#include "cmd/waiting.h"
#include "materialize/materialize.h"
#include "materialize/parquet.h"
#include "materialize/range_lock.h"

#include <stdio.h>
#include <unistd.h>

struct rebuild {
    struct lt_cli *cli;
    struct lt_materializer *materializer;
    int64_t sessions, same, changed, made, failed;
    struct lt_buf before, after, path;
    struct lt_log_list logs; /* all there were at the start, by session */
    int lock_fd;             /* of materialize.lock; -1: nobody can write here */
    bool numbered;
    uint64_t numbers[LT_RANGE_NUMBERS]; /* as they were before the logs were listed */
    int exit;
};

static void progress(struct rebuild *r) {
    if (!r->cli->err_terminal || r->cli->quiet || r->sessions % 16 != 0) return;
    fprintf(stderr, "\r%lld sessions, %lld files\033[K", (long long)r->sessions, (long long)(r->same + r->changed + r->made));
}

static void tell(struct rebuild *r, const struct lt_run *run, const char *path, const char *what) {
    struct lt_buf line;
    lt_buf_init(&line);
    if (r->cli->json) {
        lt_buf_add_text(&line, "{\"run_id\":");
        lt_add_json_str(run->run_id, &line);
        lt_buf_add_text(&line, ",\"file_path\":");
        lt_add_json_str(lt_str_of(path), &line);
        lt_buf_addf(&line, ",\"status\":\"%s\"}", what);
        lt_print_json(&line);
    } else {
        struct lt_str id = run->run_id;
        if (id.n > 8) id.n = 8;
        lt_show_str(&line, id);
        lt_buf_addf(&line, "  %-9s  ", what);
        lt_show_str(&line, lt_str_of(path));
        puts(lt_buf_cstr(&line));
    }
    lt_buf_release(&line);
}

static void fail(struct rebuild *r, const struct litmus_error *error) {
    r->failed++;
    r->exit = lt_cli_fail(r->cli, error);
}

static bool is_finished(const struct lt_gathered_run *run) {
    return run->run.has_started && (run->run.has_ended || !run->producer_alive);
}

/* The bytes of the file there is now; none when there is none. */
static bool read_before(struct rebuild *r, struct lt_str relative) {
    lt_buf_clear(&r->path);
    lt_buf_clear(&r->before);
    lt_buf_addf(&r->path, "%s/%.*s", lt_buf_cstr(&r->cli->data_dir), LT_STR_ARG(relative));
    return relative.p != NULL && lt_io_read_file(lt_buf_cstr(&r->path), LT_RUN_FILE_BYTES_MAX, &r->before, NULL) == LITMUS_OK;
}

static void count(struct rebuild *r, const struct lt_gathered_run *run, const char *path, bool there, bool equal) {
    int64_t *n = !there ? &r->made : equal ? &r->same : &r->changed;
    ++*n;
    if (!there || !equal || r->cli->verbose > 0) tell(r, &run->run, path, !there ? "made" : equal ? "same" : "changed");
}

static void rebuild_run(struct rebuild *r, struct lt_gathering *session, struct lt_gathered_run *run) {
    struct lt_materialized done;
    struct litmus_error error = {0};
    bool there = read_before(r, run->destination);
    lt_buf_clear(&r->after);
    int code = LITMUS_OK;
    if (r->cli->dry_run) {
        code = lt_run_encode(&run->run, &r->after, &error);
    } else {
        code = lt_materialize_run(r->materializer, session, run, true, &done, &error);
        if (code == LITMUS_OK) code = lt_io_read_file(done.path, LT_RUN_FILE_BYTES_MAX, &r->after, &error);
    }
    if (code != LITMUS_OK) {
        fail(r, &error);
        return;
    }
    bool equal = there && r->before.n == r->after.n && memcmp(r->before.p, r->after.p, r->after.n) == 0;
    count(r, run, r->cli->dry_run ? lt_buf_cstr(&r->path) : done.path, there, equal);
}

static void on_finished(void *self, const struct lt_materialized *done) {
    struct rebuild *r = self;
    if (done->already) return;
    struct lt_run run = {.run_id = lt_str_of(done->run_id)};
    r->made++;
    tell(r, &run, done->path, "made");
}

/* Under the session's lock: its logs are those that say what its files are. *unfinished: a run is to be finished. */
static int rebuild_files(struct rebuild *r, const char *session_id, bool *unfinished, struct litmus_error *error) {
    struct lt_gathering session;
    struct lt_log_list logs = lt_log_list_part(&r->logs, session_id);
    bool as_listed = r->lock_fd < 0 || (r->numbered && lt_range_unchanged(r->lock_fd, r->numbers, lt_str_of(session_id)));
    struct lt_gather_options options = {.logs = as_listed && logs.count > 0 ? &logs : NULL};
    int code = lt_gather_session(lt_buf_cstr(&r->cli->data_dir), session_id, &options, &session, error);
    for (size_t i = 0; code == LITMUS_OK && i < session.run_count; i++) {
        if (session.runs[i]->materialized) rebuild_run(r, &session, session.runs[i]);
        if (lt_gathered_run_outdated(session.runs[i])) *unfinished = true;
        else if (!session.runs[i]->materialized) *unfinished = *unfinished || is_finished(session.runs[i]);
    }
    if (code == LITMUS_OK && session.damaged > 0) lt_say(r->cli, "session %s: %zu damaged places passed over; litmus verify names them", session_id, session.damaged);
    lt_gathering_release(&session);
    return code;
}

static void rebuild_session(void *self, const char *session_id) {
    struct rebuild *r = self;
    struct litmus_error error = {0};
    bool unfinished = false;
    lt_cli_await(r->cli, "session", session_id);
    lt_range_lock(r->lock_fd, "session", lt_str_of(session_id));
    int code = rebuild_files(r, session_id, &unfinished, &error);
    lt_range_unlock(r->lock_fd, "session", lt_str_of(session_id));
    if (code == LITMUS_OK && unfinished && !r->cli->dry_run) code = lt_materialize_session(r->materializer, session_id, on_finished, r, &error);
    if (code == LITMUS_ENOENT && lt_log_is_gone(lt_buf_cstr(&r->cli->data_dir), session_id)) return;
    if (code != LITMUS_OK) fail(r, &error);
    r->sessions++;
    progress(r);
}

int lt_cmd_rebuild(struct lt_cli *cli) {
    struct rebuild r = {.cli = cli, .exit = EXIT_OK, .lock_fd = -1};
    struct litmus_error error = {0};
    int exit = lt_cli_query_to_change(cli);
    if (exit != EXIT_OK) return exit;
    lt_memory_ahead();
    int code = lt_materializer_new(lt_buf_cstr(&cli->data_dir), NULL, &r.materializer, &error);
    if (code == LITMUS_OK) r.lock_fd = lt_range_lock_open(lt_buf_cstr(&cli->data_dir));
    r.numbered = lt_range_numbers(r.lock_fd, r.numbers);
    if (code == LITMUS_OK) code = lt_log_find(lt_buf_cstr(&cli->data_dir), NULL, &r.logs, &error);
    lt_log_list_by_session(&r.logs);
    if (code == LITMUS_OK) code = lt_query_sessions(cli->query, rebuild_session, &r, &error);
    if (code != LITMUS_OK) r.exit = lt_cli_fail(cli, &error);
    if (cli->err_terminal && !cli->quiet) fputs("\r\033[K", stderr);
    lt_say(cli, "%s%lld sessions: %lld files as they were, %lld changed, %lld made, %lld failed", cli->dry_run ? "would do " : "", (long long)r.sessions,
           (long long)r.same, (long long)r.changed, (long long)r.made, (long long)r.failed);
    lt_materializer_free(r.materializer);
    if (r.lock_fd >= 0) close(r.lock_fd);
    lt_log_list_release(&r.logs);
    lt_buf_release(&r.before);
    lt_buf_release(&r.after);
    lt_buf_release(&r.path);
    return r.exit;
}
