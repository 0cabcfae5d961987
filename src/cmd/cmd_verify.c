/* SPDX-License-Identifier: Apache-2.0
 *
 * Is what is on record what was recorded, and who vouches for it? (prove/proof.h)
 */
#include "base/hex.h"
#include "cmd/cmd.h"
#include "cmd/keys.h"
#include "cmd/screen.h"
#include "cmd/sessions.h"
#include "prove/proof.h"

#include <stdio.h>

static void print_finding(void *self, const char *path, int64_t offset, const char *text) {
    const struct lt_cli *cli = self;
    struct lt_buf line;
    lt_buf_init(&line);
    if (cli->json) {
        lt_buf_add_text(&line, "{\"file_path\":");
        lt_add_json_str(lt_str_of(path), &line);
        if (offset >= 0) lt_buf_addf(&line, ",\"offset\":%lld", (long long)offset);
        else lt_buf_add_text(&line, ",\"offset\":null");
        lt_buf_add_text(&line, ",\"finding\":");
        lt_add_json_str(lt_str_of(text), &line);
        lt_buf_add_char(&line, '}');
        lt_print_json(&line);
    } else {
        lt_show_color(&line, cli->color, LT_RED);
        lt_show_str(&line, lt_str_of(path));
        lt_show_color(&line, cli->color, LT_PLAIN);
        if (offset >= 0) lt_buf_addf(&line, " at byte %lld", (long long)offset);
        lt_buf_add_text(&line, ": ");
        lt_show_str(&line, lt_str_of(text));
        puts(lt_buf_cstr(&line));
    }
    lt_buf_release(&line);
}

static void add_log_json(const struct lt_proved_log *log, const char *chain, struct lt_buf *line) {
    bool is_signed = log->key_id[0] != '\0';
    lt_buf_add_text(line, "{\"file_path\":");
    lt_add_json_str(lt_str_of(log->path), line);
    lt_buf_addf(line, ",\"finding\":null,\"findings\":%lld,\"events\":%lld,\"chain\":\"%s\"", (long long)log->findings, (long long)log->head.rows, chain);
    lt_buf_addf(line, ",\"sealed\":%s,\"signature\":\"%s\"", log->end == LT_LOG_SEALED ? "true" : "false", lt_signature_words[log->signature]);
    if (is_signed) lt_buf_addf(line, ",\"key\":\"%s\",\"sealed_by\":\"%s\"", log->key_id, log->by_recovery ? "recovery" : "producer");
    else lt_buf_add_text(line, ",\"key\":null,\"sealed_by\":null");
    lt_buf_addf(line, ",\"clock_steps\":%lld}", (long long)log->clock_steps);
}

static void add_log_text(const struct lt_proved_log *log, const char *chain, struct lt_buf *line) {
    lt_show_str(line, lt_str_of(log->path));
    lt_buf_addf(line, "  %lld events, chain %.16s, ", (long long)log->head.rows, chain);
    if (log->end != LT_LOG_SEALED) lt_buf_add_text(line, "not sealed");
    else if (log->key_id[0] == '\0') lt_buf_add_text(line, "unsigned");
    else lt_buf_addf(line, "signed by %s (%s)%s", log->key_id, lt_signature_words[log->signature], log->by_recovery ? ", after its producer died" : "");
    if (log->clock_steps > 0) lt_buf_addf(line, ", the clock was set %lld times", (long long)log->clock_steps);
}

/* With --verbose, each log: what it holds and who vouches for it. */
static void print_log(void *self, const struct lt_proved_log *log) {
    const struct lt_cli *cli = self;
    struct lt_buf line;
    char chain[2 * LT_CHAIN_BYTES + 1];
    if (cli->verbose == 0) return;
    lt_buf_init(&line);
    lt_hex_text(log->head.chain, sizeof log->head.chain, chain);
    if (cli->json) {
        add_log_json(log, chain, &line);
        lt_print_json(&line);
    } else {
        add_log_text(log, chain, &line);
        puts(lt_buf_cstr(&line));
    }
    lt_buf_release(&line);
}

static void print_sum(const struct lt_cli *cli, const struct lt_proof *proof) {
    const int64_t *signatures = proof->signatures;
    lt_say(cli, "%lld events in %lld logs and %lld run files: %lld finding%s", (long long)proof->events, (long long)proof->logs, (long long)proof->files,
           (long long)proof->findings, proof->findings == 1 ? "" : "s");
    lt_say(cli, "signed by a known key: %lld logs; by an unknown key: %lld; unsigned: %lld; not sealed yet: %lld", (long long)signatures[LT_SIGNATURE_KNOWN],
           (long long)signatures[LT_SIGNATURE_UNKNOWN], (long long)signatures[LT_SIGNATURE_NONE], (long long)proof->unsealed);
    if (signatures[LT_SIGNATURE_UNKNOWN] > 0 && proof->options.keys->count == 0)
        lt_say(cli, "no key is known here: whoever can write the files could have signed them anew; name the station's with --key");
    if (proof->clock_steps > 0) lt_say(cli, "the wall clock was set %lld times while logs were written: litmus events --type clock.stepped", (long long)proof->clock_steps);
}

/* A run, or else a session. */
static int verify_one(struct lt_cli *cli, struct lt_proof *proof) {
    struct lt_run_ref run = {0};
    struct litmus_error error = {0};
    struct lt_log_list logs = {0};
    char session[64];
    const char *ref = cli->argument_count > 0 ? cli->arguments[0] : "last";
    if (lt_query_find(cli->query, ref, &run, NULL) != LITMUS_OK) {
        run = (struct lt_run_ref){0};
        int exit = cli->argument_count == 0 ? lt_cli_find(cli, ref, &run) : lt_session_find(cli, ref, session);
        if (exit != EXIT_OK) return exit;
        snprintf(run.session_id, sizeof run.session_id, "%s", session);
    }
    if (run.session_id[0] != '\0') (void)!lt_log_find(lt_buf_cstr(&cli->data_dir), run.session_id, &logs, NULL);
    size_t count = logs.count;
    lt_log_list_release(&logs);
    if (count == 0) lt_proof_finding(proof, run.path, -1, "there is no log of its session to hold it against");
    else if (lt_proof_session(proof, run.session_id, run.run_id[0] == '\0' ? NULL : run.run_id, &error) != LITMUS_OK)
        lt_proof_finding(proof, run.session_id, -1, "%s", error.text);
    return EXIT_OK;
}

int lt_cmd_verify(struct lt_cli *cli) {
    struct lt_proof proof;
    struct lt_keyring keys;
    struct litmus_error error = {0};
    if (cli->all && cli->argument_count > 0) return lt_usage(cli, "either a run or --all");
    int exit = lt_cli_query(cli);
    if (exit != EXIT_OK) return exit;
    exit = lt_cli_keyring(cli, &keys);
    struct lt_proof_options options = {.data_dir = lt_buf_cstr(&cli->data_dir), .keys = &keys, .want_signed = cli->want_signed,
                                       .finding = print_finding, .log = print_log, .self = cli};
    lt_proof_init(&proof, &options);
    if (exit == EXIT_OK && cli->all) exit = lt_proof_all(&proof, cli->query, &error) == LITMUS_OK ? EXIT_OK : lt_cli_fail(cli, &error);
    else if (exit == EXIT_OK) exit = verify_one(cli, &proof);
    if (exit == EXIT_OK) {
        print_sum(cli, &proof);
        exit = proof.findings > 0 ? EXIT_FINDINGS : EXIT_OK;
    }
    lt_proof_release(&proof);
    lt_keyring_release(&keys);
    return exit;
}
