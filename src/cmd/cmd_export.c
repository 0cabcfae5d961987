/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs in the formats of others, and results of others as runs: the work is Python's (litmus.exports,
 * litmus.imports), where the libraries for these formats are. What was said is handed on word for word.
 */
#include "base/clock.h"
#include "cmd/programs.h"

#include <inttypes.h>
#include <stdio.h>

enum { WORDS_MAX = 60 };

struct words {
    const char *items[WORDS_MAX + 1];
    char numbers[3][32];
    size_t count, numbers_count;
};

static void add(struct words *w, const char *option, const char *value) {
    if (value == NULL || w->count + 2 > WORDS_MAX) return;
    if (option != NULL) w->items[w->count++] = option;
    w->items[w->count++] = value;
}

static void add_number(struct words *w, const char *option, int64_t value) {
    char *text = w->numbers[w->numbers_count++];
    snprintf(text, sizeof w->numbers[0], "%" PRId64, value);
    add(w, option, text);
}

static void add_flag(struct words *w, const char *option, bool said) {
    if (said) add(w, NULL, option);
}

static void add_arguments(struct words *w, const struct lt_cli *cli) {
    add_flag(w, "--quiet", cli->quiet);
    add(w, NULL, "--");
    for (size_t i = 0; i < cli->argument_count; i++) add(w, NULL, cli->arguments[i]);
}

int lt_cmd_export(struct lt_cli *cli) {
    struct words w = {.count = 0};
    const struct { const char *option, *value; } texts[] = {
        {"--format", cli->format}, {"--output", cli->output}, {"--serial", cli->serial}, {"--part", cli->part}, {"--lot", cli->lot}, {"--git", cli->git},
        {"--station", cli->station}, {"--operator", cli->operator_id}, {"--phase", cli->phase}, {"--outcome", cli->outcome}, {"--project", cli->project},
    };
    if (!cli->list) {
        int exit = lt_cli_query(cli);
        if (exit != EXIT_OK) return exit;
        lt_cli_finish_work(cli);
        lt_tell_damaged(cli);
        add(&w, "--data-dir", lt_buf_cstr(&cli->data_dir));
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) add(&w, texts[i].option, texts[i].value);
    if (cli->since != LT_TIME_NONE) add_number(&w, "--since", cli->since);
    if (cli->until != LT_TIME_NONE) add_number(&w, "--until", cli->until);
    if (cli->limit >= 0) add_number(&w, "--limit", cli->limit);
    add_flag(&w, "--force", cli->force);
    add_flag(&w, "--list", cli->list);
    add_arguments(&w, cli);
    return lt_become_python(cli, "litmus.exports", w.items);
}

int lt_cmd_import(struct lt_cli *cli) {
    struct words w = {.count = 0};
    if (cli->junit + cli->reportlog + cli->openhtf > 1) return lt_usage(cli, "--junit, --reportlog and --openhtf exclude each other");
    int exit = lt_cli_data_dir(cli);
    if (exit != EXIT_OK) return exit;
    add(&w, "--data-dir", lt_buf_cstr(&cli->data_dir));
    add_flag(&w, "--junit", cli->junit);
    add_flag(&w, "--reportlog", cli->reportlog);
    add_flag(&w, "--openhtf", cli->openhtf);
    add_flag(&w, "--json", cli->json);
    add_arguments(&w, cli);
    return lt_become_python(cli, "litmus.imports", w.items);
}
