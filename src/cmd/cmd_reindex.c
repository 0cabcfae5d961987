/* SPDX-License-Identifier: Apache-2.0
 *
 * The catalog, made anew.
 */
#include "base/portable.h"
#include "cmd/cmd.h"

#include <inttypes.h>
#include <stdio.h>

struct reindex {
    bool progress;
    int64_t files, quarantined;
};

enum { TELL_EACH = 256, BAR = 40 };

static void on_file(void *self, int64_t done, int64_t all) {
    struct reindex *r = self;
    r->files = done;
    if (!r->progress || (done % TELL_EACH != 0 && done != all)) return;
    int filled = all > 0 ? (int)(done * BAR / (all > done ? all : done)) : BAR;
    fprintf(stderr, "\r[%.*s%*s] %" PRId64 " of %" PRId64 " files", filled, "========================================", BAR - filled, "", done, all);
}

static bool count_damaged(void *self, const char *path, const char *reason) {
    struct reindex *r = self;
    (void)path;
    (void)reason;
    r->quarantined++;
    return true;
}

int lt_cmd_reindex(struct lt_cli *cli) {
    struct reindex r = {0};
    struct litmus_error error = {0};
    int exit = lt_cli_query_to_change(cli);
    if (exit != EXIT_OK) return exit;
    lt_keep_freed_memory();
    r.progress = cli->err_terminal && !cli->quiet;
    int code = lt_query_reindex(cli->query, on_file, &r, &error);
    if (r.progress) fputs("\r\033[K", stderr);
    if (code == LITMUS_OK) code = lt_query_damaged(cli->query, count_damaged, &r, &error);
    if (code != LITMUS_OK) return lt_cli_fail(cli, &error);
    if (cli->json) printf("{\"files\":%" PRId64 ",\"quarantined\":%" PRId64 "}\n", r.files, r.quarantined);
    else printf("%" PRId64 " run files read, %" PRId64 " of them cannot be used\n", r.files, r.quarantined);
    lt_tell_damaged(cli);
    return lt_query_unlisted(cli->query) == NULL ? EXIT_OK : EXIT_SYSTEM;
}
