/* SPDX-License-Identifier: Apache-2.0
 *
 * Old sessions go, by policy: looked at and told first, asked about, then removed, many together.
 */
#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/screen.h"
#include "cmd/waiting.h"
#include "query/lake.h"
#include "retain/prune.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

struct prune {
    struct lt_cli *cli;
    struct lt_prune *batch;
    bool dry, silent; /* silent: what goes was told before */
    int64_t limit, looked;
    int64_t sessions, runs, bytes, left, failed;
    int exit;
};

static void fail(struct prune *p, const struct litmus_error *error) {
    p->failed++;
    p->exit = lt_cli_fail(p->cli, error);
}

static void tell(struct prune *p, const char *session_id, int64_t runs, int64_t bytes) {
    struct lt_buf line;
    if (p->silent) return;
    lt_buf_init(&line);
    const char *what = p->cli->dry_run ? "would remove" : "removed";
    if (p->cli->json) {
        lt_buf_addf(&line, "{\"session_id\":\"%s\",\"status\":\"%s\",\"runs\":%" PRId64 ",\"bytes\":%" PRId64 "}", session_id, what, runs, bytes);
        lt_print_json(&line);
    } else if (p->dry || p->cli->verbose > 0) {
        printf("%s  %" PRId64 " runs, %" PRId64 " bytes of logs\n", session_id, runs, bytes);
    }
    lt_buf_release(&line);
}

static void apply(struct prune *p) {
    struct litmus_error error = {0};
    struct lt_pruned pending = lt_prune_pending(p->batch);
    if (lt_prune_apply(p->batch, &error) != LITMUS_OK) {
        fail(p, &error);
        return;
    }
    p->sessions += pending.sessions;
    p->runs += pending.runs;
    p->bytes += pending.bytes;
}

static void look(void *self, const char *session_id) {
    struct prune *p = self;
    struct litmus_error error = {0};
    enum lt_hindrance hindrance;
    if (p->cli->err_terminal && !p->cli->quiet && ++p->looked % 64 == 0) fprintf(stderr, "\r%" PRId64 " sessions\033[K", p->looked);
    struct lt_pruned before = lt_prune_pending(p->batch);
    if (before.sessions == LT_PRUNE_SESSIONS_MAX) {
        apply(p);
        before = (struct lt_pruned){0};
    }
    lt_cli_await(p->cli, "session", session_id);
    if (lt_prune_look(p->batch, session_id, &hindrance, &error) != LITMUS_OK) {
        fail(p, &error);
        return;
    }
    struct lt_pruned after = lt_prune_pending(p->batch);
    if (hindrance == LT_HINDRANCE_NONE) tell(p, session_id, after.runs - before.runs, after.bytes - before.bytes);
    else p->left++;
    if (hindrance == LT_HINDRANCE_DAMAGED && !p->silent) {
        p->failed++;
        p->exit = EXIT_DATA;
        lt_complain(p->cli, "session %s is left as it is: it %s", session_id, lt_hindrance_text(hindrance));
    } else if (!p->silent && hindrance != LT_HINDRANCE_NONE && (hindrance != LT_HINDRANCE_YOUNG || p->cli->verbose > 0)) {
        lt_say(p->cli, "session %s is left as it is: it %s", session_id, lt_hindrance_text(hindrance));
    }
}

/* Every session once; *p has the sums then. */
static void go(struct prune *p) {
    struct litmus_error error = {0};
    int code = lt_prune_new(lt_buf_cstr(&p->cli->data_dir), p->cli->keep, p->limit, p->dry, &p->batch, &error);
    if (code == LITMUS_OK) code = lt_query_sessions(p->cli->query, look, p, &error);
    if (code == LITMUS_OK) apply(p);
    else fail(p, &error);
    lt_prune_free(p->batch);
    p->batch = NULL;
    if (p->cli->err_terminal && !p->cli->quiet) fputs("\r\033[K", stderr);
}

/* Neither SQL over the lake nor a reader of its files finds what went. */
static void follow_up(struct prune *p) {
    struct lt_buf path;
    struct lt_lake_done done;
    struct litmus_error error = {0};
    struct lt_run_filter last = {.limit = 1};
    struct lt_table runs;
    lt_buf_init(&path);
    lt_buf_addf(&path, "%s/lake", lt_buf_cstr(&p->cli->data_dir));
    bool has_lake = access(lt_buf_cstr(&path), F_OK) == 0;
    lt_buf_release(&path);
    int code = lt_query_runs(p->cli->query, &last, &runs, &error); /* the catalog looks at its folders */
    if (code == LITMUS_OK) lt_table_release(&runs);
    if (code == LITMUS_OK && has_lake) code = lt_lake_compact(p->cli->query, NULL, NULL, &done, &error);
    if (code != LITMUS_OK) lt_say(p->cli, "%s; litmus compact takes what went out of lake/", error.text);
    else if (has_lake && done.readers) lt_say(p->cli, "somebody reads the lake: litmus compact takes what went out of its files (no question counts them until then)");
}

static bool asked(struct prune *p) {
    char answer[16] = "";
    fprintf(stderr, "remove %" PRId64 " sessions with %" PRId64 " runs for ever? [y/N] ", p->sessions, p->runs);
    fflush(stderr);
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

static void sum_up(const struct prune *p) {
    lt_say(p->cli, "%s%" PRId64 " sessions with %" PRId64 " runs, %" PRId64 " bytes of logs; %" PRId64 " left as they are, %" PRId64 " failed",
           p->cli->dry_run ? "would remove " : "removed ", p->sessions, p->runs, p->bytes, p->left, p->failed);
}

/* A clock that was set years ahead makes everything old. A data_dir in which nothing was recorded for so long looks the same: whoever
 * means it says a date, which no clock changes. */
static int refuse_clock(const struct prune *p, int64_t now) {
    const int64_t quiet = INT64_C(30) * 86400 * 1000000;
    struct litmus_error error = {0};
    char at[LT_ISO_BYTES], today[LT_ISO_BYTES], limit[LT_ISO_BYTES];
    int64_t newest, later;
    bool by_clock = lt_time_since(p->cli->keep, now + quiet, &later) && later != p->limit;
    if (!by_clock) return EXIT_OK;
    int code = lt_survey_newest(lt_buf_cstr(&p->cli->data_dir), now - quiet, &newest, &error);
    if (code == LITMUS_OK && (newest == LT_TIME_NONE || newest >= now - quiet)) return EXIT_OK;
    if (code != LITMUS_OK) return lt_cli_fail(p->cli, &error);
    lt_time_date(newest, at);
    lt_time_date(now, today);
    lt_time_date(p->limit, limit);
    lt_fail(&error, LITMUS_ESTATE, 0, "nothing was recorded since %s, and the clock says %s: if it is right, --keep %s does what --keep %s would; nothing was removed", at,
            today, limit, p->cli->keep);
    return lt_cli_fail(p->cli, &error);
}

int lt_cmd_prune(struct lt_cli *cli) {
    struct prune p = {.cli = cli, .exit = EXIT_OK, .dry = true};
    int64_t now = lt_now_us();
    if (cli->keep == NULL) return lt_usage(cli, "which sessions are to stay? --keep 2y keeps those with an event in the last two years");
    if (!lt_time_since(cli->keep, now, &p.limit)) return lt_usage(cli, "--keep takes 2y, 26w, 30d, or a date such as 2026-05-16, not \"%s\"", cli->keep);
    bool can_ask = isatty(STDIN_FILENO) != 0 && cli->err_terminal;
    if (!cli->dry_run && !cli->yes && !can_ask) return lt_usage(cli, "this removes sessions for ever, and nobody can be asked: --yes does it, --dry-run says what would go");
    int exit = lt_cli_query_to_change(cli);
    if (exit == EXIT_OK) exit = refuse_clock(&p, now);
    if (exit != EXIT_OK) return exit;
    if (cli->dry_run || !cli->yes) {
        go(&p);
        if (cli->dry_run || p.sessions == 0 || !asked(&p)) {
            sum_up(&p);
            return p.exit;
        }
        p = (struct prune){.cli = cli, .exit = p.exit, .limit = p.limit, .silent = true};
    }
    p.dry = false;
    go(&p);
    if (p.sessions > 0) follow_up(&p);
    sum_up(&p);
    return p.exit;
}
