/* SPDX-License-Identifier: Apache-2.0
 *
 * Several units at once: the work is Python's (litmus.slots), which the tests that meet at sync points have anyway.
 */
#include "cmd/programs.h"

int lt_cmd_slots(struct lt_cli *cli) {
    if (strcmp(cli->arguments[0], "run") != 0) return lt_usage(cli, "slots knows \"run\", not \"%s\"", cli->arguments[0]);
    if (cli->serials == NULL) return lt_usage(cli, "--serials is missing: one serial for each slot, with commas between");
    if (cli->argument_count < 2) return lt_usage(cli, "the command that tests a unit is missing: litmus slots run --serials A,B -- pytest");
    int exit = lt_cli_data_dir(cli);
    return exit == EXIT_OK ? lt_hand_over(cli, "litmus.slots", NULL) : exit;
}
