/* SPDX-License-Identifier: Apache-2.0
 *
 * yield, pareto, coverage and the other figures: the work is Python's (litmus.analysis), over DuckDB.
 */
#include "cmd/programs.h"

int lt_cmd_analysis(struct lt_cli *cli) {
    if (cli->json + cli->csv > 1) return lt_usage(cli, "--csv and --json exclude each other");
    if (cli->utc && cli->zone != NULL) return lt_usage(cli, "--utc and --tz exclude each other");
    int exit = lt_cli_query(cli);
    if (exit != EXIT_OK) return exit;
    lt_cli_finish_work(cli);
    lt_tell_damaged(cli);
    return lt_hand_over(cli, "litmus.analysis", cli->command->name);
}
