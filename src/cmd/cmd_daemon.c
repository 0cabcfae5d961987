/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"
#include "cmd/cmd.h"
#include "cmd/screen.h"
#include "model/suggest.h"
#include "serve/daemon.h"

#include <stdio.h>

static int run_daemon(struct lt_cli *cli) {
    struct litmus_error error = {0};
    const char *data_dir = lt_buf_cstr(&cli->data_dir);
    struct lt_daemon_options options = {.data_dir = data_dir, .foreground = cli->foreground, .idle_seconds = cli->idle > 0 && cli->idle < 1000000000 ? (int)cli->idle : 0};
    int code = lt_data_dir_open(data_dir, &error);
    if (code == LITMUS_OK) code = lt_daemon_run(&options, &error);
    return code == LITMUS_OK ? EXIT_OK : lt_cli_fail(cli, &error);
}

static void add_failures_json(const struct lt_daemon_status *s, struct lt_buf *text) {
    lt_buf_add_text(text, ",\"failures\":[");
    for (size_t i = 0; i < s->failure_count; i++) {
        lt_buf_add_text(text, i == 0 ? "{\"session_id\":" : ",{\"session_id\":");
        lt_add_json_str(lt_str_of(s->failures[i].session_id), text);
        lt_buf_add_text(text, ",\"error\":");
        lt_add_json_str(lt_str_of(s->failures[i].text), text);
        lt_buf_add_char(text, '}');
    }
    lt_buf_add_char(text, ']');
}

static void add_failures(const struct lt_daemon_status *s, struct lt_buf *text) {
    for (size_t i = 0; i < s->failure_count; i++) {
        lt_buf_add_text(text, "\nfailed: session ");
        lt_show_str(text, lt_str_of(s->failures[i].session_id));
        lt_buf_add_text(text, ": ");
        lt_show_str(text, lt_str_of(s->failures[i].text));
    }
    if (s->failed > (int64_t)s->failure_count) lt_buf_addf(text, "\nand %lld more", (long long)s->failed - (long long)s->failure_count);
}

static void print_status(const struct lt_cli *cli, const struct lt_daemon_status *s) {
    struct lt_buf text;
    lt_buf_init(&text);
    if (cli->json) {
        lt_buf_addf(&text, "{\"running\":%s,\"pid\":%ld,\"version\":", s->running ? "true" : "false", s->pid);
        lt_add_json_str(lt_str_of(s->version), &text);
        lt_buf_addf(&text, ",\"uptime_s\":%.6f,\"runs_in_flight\":%lld,\"logs_watched\":%lld,\"materialized\":%lld,\"failed\":%lld,\"data_dir\":", (double)s->uptime_us / 1e6,
                    (long long)s->runs_in_flight, (long long)s->logs_watched, (long long)s->materialized, (long long)s->failed);
        lt_add_json_str((struct lt_str){cli->data_dir.p, cli->data_dir.n}, &text);
        add_failures_json(s, &text);
        if (s->lock.code != LITMUS_OK) {
            lt_buf_addf(&text, ",\"lock_pid\":%ld,\"lock\":", s->lock_pid);
            lt_add_json_str(lt_str_of(s->lock.text), &text);
        }
        lt_buf_add_char(&text, '}');
        lt_print_json(&text);
    } else if (s->running && s->version[0] == '\0') {
        printf("running, pid %ld, but it does not answer%s\n", s->pid, s->stopped ? ": a signal or a debugger stopped it, and kill -CONT lets it go on" : "");
    } else if (s->running) {
        lt_buf_addf(&text, "running, pid %ld, version %s, for ", s->pid, s->version);
        lt_show_duration(&text, s->uptime_us);
        lt_buf_addf(&text, "\n%lld runs in flight, %lld logs watched, %lld runs materialized, %lld failed", (long long)s->runs_in_flight, (long long)s->logs_watched,
                    (long long)s->materialized, (long long)s->failed);
        add_failures(s, &text);
        puts(lt_buf_cstr(&text));
    } else if (s->lock.code != LITMUS_OK) {
        lt_buf_add_text(&text, "not running: ");
        lt_show_str(&text, lt_str_of(s->lock.text));
        puts(lt_buf_cstr(&text));
    } else {
        puts("not running");
    }
    lt_buf_release(&text);
}

static int status(struct lt_cli *cli) {
    struct lt_daemon_status s = {.running = false};
    struct litmus_error error = {0};
    int code = lt_daemon_status(lt_buf_cstr(&cli->data_dir), &s, &error);
    if (code != LITMUS_OK && code != LITMUS_ENOENT) return lt_cli_fail(cli, &error);
    print_status(cli, &s);
    return s.running ? EXIT_OK : EXIT_NOT_FOUND;
}

static int stop(struct lt_cli *cli) {
    struct litmus_error error = {0};
    int code = lt_daemon_stop(lt_buf_cstr(&cli->data_dir), 0, &error);
    if (code == LITMUS_OK || code == LITMUS_ENOENT) return EXIT_OK; /* gone either way */
    return lt_cli_fail(cli, &error);
}

int lt_cmd_daemon(struct lt_cli *cli) {
    static const struct {
        const char *name;
        int (*run)(struct lt_cli *cli);
    } verbs[] = {{"run", run_daemon}, {"status", status}, {"stop", stop}};
    const char *verb = cli->argument_count > 0 ? cli->arguments[0] : "run", *nearest = NULL;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verb, verbs[i].name) == 0) {
            int exit = lt_cli_data_dir(cli);
            return exit == EXIT_OK ? verbs[i].run(cli) : exit;
        }
        nearest = lt_nearer(lt_str_of(verb), nearest, verbs[i].name);
    }
    return nearest == NULL ? lt_usage(cli, "\"%s\" is none of run, status, stop", verb) : lt_usage(cli, "no \"%s\"; did you mean %s?", verb, nearest);
}
