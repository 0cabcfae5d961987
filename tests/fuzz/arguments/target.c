/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - any words as a command line, each a line of the input: they are understood or refused
 * with an exit code of the table; those that only look are run, on a data_dir with a few runs.
 */
#define _GNU_SOURCE
#include "../fuzz.h"
#include "base/clock.h"
#include "cmd/cmd.h"

#include <litmus.h>
#include <math.h>

enum { WORDS_MAX = 40 };

static void record_run(const char *data_dir, const char *payload, int planned, int executed) {
    struct litmus_session_options options = {.data_dir = data_dir, .no_daemon = true};
    struct litmus_limit limit = {.low = 1, .high = 2, .nominal = NAN, .units = "V"};
    litmus_session *session;
    litmus_run *run;
    check(litmus_session_open(&options, &session, NULL) == LITMUS_OK);
    check(litmus_run_start(session, payload, &run, NULL) == LITMUS_OK);
    for (int i = 0; i < planned; i++) {
        char path[64];
        snprintf(path, sizeof path, "rails.py/Test%d/step_%d", i / 2, i);
        check(litmus_plan_add(run, path, NULL, NULL) == LITMUS_OK);
    }
    check(litmus_plan_commit(run, NULL) == LITMUS_OK);
    for (int i = 0; i < executed; i++) {
        check(litmus_step_start(run, i, NULL, NULL) == LITMUS_OK);
        check(litmus_measure(run, "rail", 0.7 * i, &limit, NULL, NULL) == LITMUS_OK);
        check(litmus_step_end(run, NULL, i == 1 ? "a\x1b[31m word\nof two lines" : NULL, NULL) == LITMUS_OK);
    }
    check(litmus_run_end(run, NULL, executed < planned ? "interrupted" : NULL, NULL) == LITMUS_OK);
    check(litmus_session_close(session, NULL, NULL) == LITMUS_OK);
}

static char data_dir[300];
static void set_up(void) {
    snprintf(data_dir, sizeof data_dir, "%s/data", fuzz_folder());
    check(setenv("LITMUS_HOME", fuzz_folder(), 1) == 0 && unsetenv("LITMUS_DATA_DIR") == 0 && setenv("TZ", "UTC", 1) == 0 && chdir(fuzz_folder()) == 0);
    record_run(data_dir, "{\"dut_serial\":\"SN-0042\",\"station_id\":\"bench-1\"}", 4, 4);
    record_run(data_dir, "{\"dut_serial\":\"../\\u001b]0;x\",\"operator_id\":\"ann\",\"test_phase\":\"production\"}", 5, 2);
    /* What the commands print is of no interest here; what the sanitizers print goes past stdio. */
    check(freopen("/dev/null", "w", stdout) != NULL);
    FILE *nowhere = fopen("/dev/null", "w");
    check(nowhere != NULL);
    stderr = nowhere;
}

/* Those that change nothing beyond this folder and come to an end. */
static bool may_run(const struct lt_cli *cli) {
    static int (*const looking[])(struct lt_cli *) = {lt_cmd_runs, lt_cmd_show, lt_cmd_events, lt_cmd_gate, lt_cmd_verify, lt_cmd_completion, lt_cmd_help, lt_cmd_version};
    for (size_t i = 0; i < sizeof looking / sizeof looking[0]; i++)
        if (cli->command->run == looking[i]) return !cli->follow;
    return cli->command->run == lt_cmd_rebuild && cli->dry_run;
}

static void check_cli(const struct lt_cli *cli) {
    check(cli->argument_count <= LT_ARGUMENTS_MAX && cli->allow.count <= LT_LIST_MAX && cli->verbose >= 0);
    check(cli->limit >= -1 && cli->idle >= -1);
    check(cli->help || ((int)cli->argument_count >= cli->command->arguments_min && (int)cli->argument_count <= cli->command->arguments_max));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    if (data_dir[0] == '\0') set_up();
    char *text = malloc(n + 1), *words[WORDS_MAX + 1];
    check(text != NULL);
    if (n > 0) memcpy(text, bytes, n);
    text[n] = '\0';
    int count = 0;
    for (char *p = text, *end; p != NULL && p < text + n && count < WORDS_MAX; p = end) {
        words[count++] = p;
        end = strchr(p, '\n');
        if (end != NULL) *end++ = '\0';
    }
    words[count] = NULL;
    const struct lt_command *command = count == 0 ? NULL : lt_command_find(words[0]);
    if (command != NULL) {
        struct lt_cli cli = {.limit = -1, .color = n % 2 == 1, .utf8 = n % 3 == 1};
        int code = lt_cli_parse(&cli, command, count - 1, words + 1);
        check(code == EXIT_OK || code == EXIT_USAGE);
        cli.data_dir_given = data_dir;
        if (code == EXIT_OK) check_cli(&cli);
        if (code == EXIT_OK && cli.help) lt_help_command(command, cli.color);
        else if (code == EXIT_OK && may_run(&cli)) code = command->run(&cli);
        bool judged = command->run == lt_cmd_verify; /* any path may be named there as an evidence file */
        check(code >= EXIT_OK && code <= EXIT_SYSTEM && (code != EXIT_DATA || judged));
        lt_query_free(cli.query);
        lt_buf_release(&cli.data_dir);
    }
    free(text);
    return 0;
}
