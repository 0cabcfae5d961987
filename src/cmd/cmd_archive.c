/* SPDX-License-Identifier: Apache-2.0
 *
 * Old sessions, smaller: each of their logs is written again, compressed (log/archive.h). Ctrl-C
 * ends it between two steps of which each leaves every log whole.
 */
#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/screen.h"
#include "cmd/waiting.h"
#include "log/archive.h"
#include "materialize/range_lock.h"
#include "retain/survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

struct archive {
    struct lt_cli *cli;
    int64_t limit;
    int lock_fd;
    struct lt_log_index *index;
    int64_t sessions, logs, already, left, failed, before, after;
    int exit;
};

static void tell(struct archive *a, const char *path, const struct lt_log_archived *done) {
    struct lt_buf line;
    lt_buf_init(&line);
    if (a->cli->json) {
        lt_buf_add_text(&line, "{\"log\":");
        lt_add_json_str(lt_str_of(path), &line);
        lt_buf_addf(&line, ",\"status\":\"%s\",\"rows\":%" PRId64 ",\"bytes_before\":%" PRId64, a->cli->dry_run ? "would archive" : "archived", done->rows, done->bytes_before);
        if (a->cli->dry_run) lt_buf_add_text(&line, ",\"bytes_after\":null}");
        else lt_buf_addf(&line, ",\"bytes_after\":%" PRId64 "}", done->bytes_after);
        lt_print_json(&line);
    } else {
        lt_show_str(&line, lt_str_of(path));
        if (a->cli->dry_run) lt_buf_addf(&line, "  %" PRId64 " events, %" PRId64 " bytes", done->rows, done->bytes_before);
        else lt_buf_addf(&line, "  %" PRId64 " events, %" PRId64 " -> %" PRId64 " bytes", done->rows, done->bytes_before, done->bytes_after);
        puts(lt_buf_cstr(&line));
    }
    lt_buf_release(&line);
}

static void archive_log(struct archive *a, const char *path) {
    struct lt_log_archived done;
    struct litmus_error error = {0};
    if (lt_log_archive(NULL, path, a->cli->dry_run, &done, &error) != LITMUS_OK) {
        a->failed++;
        a->exit = lt_cli_fail(a->cli, &error);
        return;
    }
    if (done.already || done.rows == 0) {
        a->already++;
        return;
    }
    a->logs++;
    a->before += done.bytes_before;
    a->after += done.bytes_after;
    tell(a, path, &done);
}

static void progress(const struct archive *a) {
    if (!a->cli->err_terminal || a->cli->quiet || a->sessions % 16 != 0) return;
    fprintf(stderr, "\r%" PRId64 " sessions, %" PRId64 " logs\033[K", a->sessions, a->logs);
}

static void archive_session(void *self, const char *session_id) {
    struct archive *a = self;
    struct lt_survey survey = {0};
    struct litmus_error error = {0};
    lt_cli_await(a->cli, "session", session_id);
    lt_range_lock(a->lock_fd, "session", lt_str_of(session_id));
    int code = lt_survey_session(lt_buf_cstr(&a->cli->data_dir), a->index, session_id, a->limit, &survey, &error);
    if (code == LITMUS_ENOENT && lt_log_is_gone(lt_buf_cstr(&a->cli->data_dir), session_id)) {
        a->left++;
    } else if (code != LITMUS_OK) {
        a->failed++;
        a->exit = lt_cli_fail(a->cli, &error);
    } else if (survey.hindrance == LT_HINDRANCE_DAMAGED) {
        a->failed++;
        a->exit = EXIT_DATA;
        lt_complain(a->cli, "session %s is left as it is: it %s", session_id, lt_hindrance_text(survey.hindrance));
    } else if (survey.hindrance != LT_HINDRANCE_NONE) {
        a->left++;
        if (a->cli->verbose > 0 || survey.hindrance != LT_HINDRANCE_YOUNG) lt_say(a->cli, "session %s is left as it is: it %s", session_id, lt_hindrance_text(survey.hindrance));
    } else {
        if (!a->cli->dry_run) (void)!lt_range_raise(a->lock_fd, lt_str_of(session_id)); /* who relies on places in the logs looks again */
        for (size_t i = 0; i < survey.log_count; i++) archive_log(a, survey.logs[i].path);
        if (!a->cli->dry_run) (void)!lt_range_raise(a->lock_fd, lt_str_of(session_id));
    }
    lt_range_unlock(a->lock_fd, "session", lt_str_of(session_id));
    lt_survey_release(&survey);
    a->sessions++;
    progress(a);
}

int lt_cmd_archive(struct lt_cli *cli) {
    struct archive a = {.cli = cli, .exit = EXIT_OK};
    struct litmus_error error = {0};
    int exit = lt_cli_query_to_change(cli);
    if (exit != EXIT_OK) return exit;
    const int64_t month_us = INT64_C(30) * 24 * 3600 * 1000000;
    a.limit = cli->older_than != LT_TIME_NONE ? cli->older_than : lt_now_us() - month_us;
    a.lock_fd = lt_range_lock_open(lt_buf_cstr(&cli->data_dir));
    a.index = lt_log_index_new(lt_buf_cstr(&cli->data_dir));
    int code = lt_query_sessions(cli->query, archive_session, &a, &error);
    if (code != LITMUS_OK) a.exit = lt_cli_fail(cli, &error);
    if (cli->err_terminal && !cli->quiet) fputs("\r\033[K", stderr);
    char after[32] = "";
    if (!cli->dry_run) snprintf(after, sizeof after, " -> %" PRId64, a.after); /* else nobody knows */
    lt_say(cli, "%s%" PRId64 " logs, %" PRId64 "%s bytes; %" PRId64 " as small as they get, %" PRId64 " sessions left as they are, %" PRId64 " failed",
           cli->dry_run ? "would archive " : "", a.logs, a.before, after, a.already, a.left, a.failed);
    lt_log_index_free(a.index);
    if (a.lock_fd >= 0) close(a.lock_fd);
    return a.exit;
}
