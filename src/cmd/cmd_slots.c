/* SPDX-License-Identifier: Apache-2.0
 *
 * Several units at once: what they do (slots_status.c), and running them. The work of that is Python's (litmus.slots), which the tests that meet at sync points have anyway.
 */
#include "base/clock.h"
#include "cmd/programs.h"
#include "cmd/slots_status.h"

static int run(struct lt_cli *cli) {
    if (cli->json || cli->follow || cli->since != LT_TIME_NONE) return lt_usage(cli, "--follow, --json and --since are of litmus slots status");
    if (cli->serials == NULL) return lt_usage(cli, "--serials is missing: one serial for each slot, with commas between");
    if (cli->argument_count < 2) return lt_usage(cli, "the command that tests a unit is missing: litmus slots run --serials A,B -- pytest");
    int exit = lt_cli_data_dir(cli);
    return exit == EXIT_OK ? lt_hand_over(cli, "litmus.slots", NULL) : exit;
}

static int status(struct lt_cli *cli) {
    if (cli->serials != NULL || cli->slots != NULL || cli->logs != NULL) return lt_usage(cli, "--serials, --slots and --logs are of litmus slots run");
    if (cli->argument_count > 1) return lt_usage(cli, "slots status takes no argument, not \"%s\"", cli->arguments[1]);
    return lt_slots_status(cli);
}

int lt_cmd_slots(struct lt_cli *cli) {
    if (strcmp(cli->arguments[0], "run") == 0) return run(cli);
    if (strcmp(cli->arguments[0], "status") == 0) return status(cli);
    return lt_usage(cli, "slots knows \"run\" and \"status\", not \"%s\"", cli->arguments[0]);
}
