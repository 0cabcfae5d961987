/* SPDX-License-Identifier: Apache-2.0
 *
 * The lake, brought up to date.
 */
#include "base/process.h"
#include "cmd/cmd.h"
#include "query/lake.h"

#include <inttypes.h>
#include <stdio.h>

static bool show_progress(void *self, int64_t done, int64_t all) {
    (void)self;
    if (done % 500 == 0) fprintf(stderr, "\r%" PRId64 " of %" PRId64 " runs", done, all);
    return true;
}

int lt_cmd_compact(struct lt_cli *cli) {
    struct lt_lake_done done;
    struct litmus_error error = {0};
    int exit = lt_cli_query_to_change(cli);
    if (exit != EXIT_OK) return exit;
    lt_memory_ahead();
    lt_cli_finish_work(cli);
    bool progress = cli->err_terminal && !cli->quiet;
    int code = lt_lake_compact(cli->query, progress ? show_progress : NULL, NULL, &done, &error);
    if (progress) fputs("\r\033[K", stderr);
    if (code != LITMUS_OK) return lt_cli_fail(cli, &error);
    if (cli->json)
        printf("{\"runs\":%" PRId64 ",\"rows\":%" PRId64 ",\"files\":%" PRId64 ",\"removed\":%" PRId64 ",\"left\":%" PRId64 "}\n", done.runs, done.rows,
               done.files, done.removed, done.left);
    else
        printf("%" PRId64 " runs, %" PRId64 " rows into %" PRId64 " files; %" PRId64 " old files removed\n", done.runs, done.rows, done.files, done.removed);
    if (done.left > 0) lt_say(cli, "%" PRId64 " runs stay in their own files alone: they changed meanwhile, or hold columns of foreign types", done.left);
    if (done.readers) lt_say(cli, "somebody reads the lake: runs were added, old lake files not replaced");
    return EXIT_OK;
}
