/* SPDX-License-Identifier: Apache-2.0
 *
 * A run as one file that proves itself elsewhere (evidence/evidence.h).
 */
#include "base/config.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/keys.h"
#include "evidence/evidence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The station's key; *out NULL: there is none. */
static int read_key(struct lt_cli *cli, struct lt_key **out, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    int code = lt_signing_key_find(cli->key, lt_buf_cstr(&cli->data_dir), &path, error);
    if (code == LITMUS_OK && path.n > 0 && (cli->key != NULL || access(lt_buf_cstr(&path), F_OK) == 0)) code = lt_key_read(lt_buf_cstr(&path), out, error);
    lt_buf_release(&path);
    return code;
}

static int copy_out(const char *path, struct litmus_error *error) {
    char bytes[64 * 1024];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return lt_fail_os(error, errno, "open", path);
    fflush(stdout);
    while ((n = read(fd, bytes, sizeof bytes)) > 0 && lt_io_write_all(&lt_io_os, STDOUT_FILENO, bytes, (size_t)n, NULL) == 0) continue;
    int code = n == 0 ? LITMUS_OK : lt_fail_os(error, errno, "write to", "standard output");
    close(fd);
    return code;
}

/* Made whole in a folder of its own first: nobody gets half of it. */
static int pack_out(const struct lt_dossier *dossier, const struct lt_key *key, struct litmus_error *error) {
    const char *above = getenv("TMPDIR");
    char folder[4096], path[4200];
    snprintf(folder, sizeof folder, "%.4000s/litmus-evidence-XXXXXX", above == NULL || above[0] == '\0' ? "/tmp" : above);
    if (mkdtemp(folder) == NULL) return lt_fail_os(error, errno, "make the folder", folder);
    snprintf(path, sizeof path, "%s/evidence.zip", folder);
    int code = lt_evidence_pack(dossier, key, path, false, error);
    if (code == LITMUS_OK) code = copy_out(path, error);
    lt_tree_remove(&lt_io_os, folder, "");
    return code;
}

static void tell(struct lt_cli *cli, const struct lt_dossier *d, const struct lt_key *key) {
    char key_id[LT_KEY_ID_BYTES] = "";
    struct lt_buf line;
    if (key != NULL) lt_key_id(lt_key_public(key), key_id);
    for (size_t i = 0; i < d->finding_count; i++) lt_complain(cli, "%s: %s", d->findings[i].path, d->findings[i].text);
    if (cli->json && strcmp(cli->output, "-") != 0) {
        lt_buf_init(&line);
        lt_buf_add_text(&line, "{\"file_path\":");
        lt_add_json_str(lt_str_of(cli->output), &line);
        lt_buf_add_text(&line, ",\"run_id\":");
        lt_add_json_str(d->run->run.run_id, &line);
        lt_buf_addf(&line, ",\"logs\":%zu,\"events\":%lld,\"findings\":%zu,\"key\":", d->log_count, (long long)d->events, d->finding_count);
        lt_add_json_str(key == NULL ? LT_STR_NULL : lt_str_of(key_id), &line);
        lt_buf_add_char(&line, '}');
        lt_print_json(&line);
        lt_buf_release(&line);
    }
    lt_say(cli, "run %.*s, %s: %lld events in %zu logs and its file: %zu finding%s", LT_STR_ARG(d->run->run.run_id), d->sum.outcome, (long long)d->events, d->log_count,
           d->finding_count, d->finding_count == 1 ? "" : "s");
    if (key != NULL) lt_say(cli, "signed by key %s", key_id);
    else lt_say(cli, "not signed: this station has no key (litmus keygen makes one)");
}

static int pack(struct lt_cli *cli, const struct lt_run_ref *run, const struct lt_keyring *keys) {
    struct lt_dossier dossier;
    struct lt_key *key = NULL;
    struct litmus_error error = {0};
    int code = lt_dossier_load(lt_buf_cstr(&cli->data_dir), cli->query, run->session_id, run->run_id, keys, false, &dossier, &error);
    if (code == LITMUS_OK) code = read_key(cli, &key, &error);
    if (code == LITMUS_OK) code = strcmp(cli->output, "-") == 0 ? pack_out(&dossier, key, &error) : lt_evidence_pack(&dossier, key, cli->output, cli->force, &error);
    if (code == LITMUS_OK) tell(cli, &dossier, key);
    int exit = code != LITMUS_OK ? lt_cli_fail(cli, &error) : dossier.finding_count > 0 ? EXIT_FINDINGS : EXIT_OK;
    lt_key_free(key);
    lt_dossier_release(&dossier);
    return exit;
}

int lt_cmd_evidence(struct lt_cli *cli) {
    struct lt_run_ref run;
    struct lt_keyring keys;
    if (cli->output == NULL) return lt_usage(cli, "where to? -o FILE.zip, or -o - for standard output");
    if (strcmp(cli->output, "-") == 0 && isatty(STDOUT_FILENO)) return lt_usage(cli, "a zip file is nothing for a terminal: -o FILE.zip");
    int exit = lt_cli_query_to_change(cli);
    if (exit != EXIT_OK) return exit;
    lt_cli_finish_work(cli);
    exit = lt_cli_find(cli, cli->arguments[0], &run);
    if (exit != EXIT_OK) return exit;
    if (run.session_id[0] == '\0') {
        lt_complain(cli, "run %s names no session: there is no log that could prove it", run.run_id);
        return EXIT_NOT_FOUND;
    }
    exit = lt_cli_keyring(cli, &keys);
    if (exit == EXIT_OK) exit = pack(cli, &run, &keys);
    lt_keyring_release(&keys);
    return exit;
}
