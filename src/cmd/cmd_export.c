/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs in the formats of others, and results of others as runs: the work is Python's (litmus.exports,
 * litmus.imports), where the libraries for these formats are. What was said is handed on word for word.
 */
#include "cmd/programs.h"

int lt_cmd_export(struct lt_cli *cli) {
    if (!cli->list) {
        int exit = lt_cli_query(cli);
        if (exit != EXIT_OK) return exit;
        lt_cli_finish_work(cli);
        lt_tell_damaged(cli);
    }
    return lt_hand_over(cli, "litmus.exports", NULL);
}

int lt_cmd_import_files(struct lt_cli *cli) {
    if (cli->dry_run) return lt_usage(cli, "--dry-run is for another data_dir; a file is imported or, if that is on record already, not");
    if (cli->junit + cli->reportlog + cli->openhtf > 1) return lt_usage(cli, "--junit, --reportlog and --openhtf exclude each other");
    int exit = lt_cli_data_dir(cli);
    return exit == EXIT_OK ? lt_hand_over(cli, "litmus.imports", NULL) : exit;
}
