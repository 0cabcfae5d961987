/* SPDX-License-Identifier: Apache-2.0
 *
 * Is what is on record what was recorded, and who vouches for it? (prove/proof.h)
 */
#include "base/config.h"
#include "base/hex.h"
#include "base/process.h"
#include "cmd/cmd.h"
#include "cmd/keys.h"
#include "cmd/screen.h"
#include "cmd/sessions.h"
#include "evidence/evidence.h"
#include "materialize/changeset.h"
#include "prove/told.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void print_finding(void *self, const char *path, int64_t offset, const char *text) {
    const struct lt_cli *cli = self;
    struct lt_buf line;
    lt_buf_init(&line);
    if (cli->json) {
        lt_told_finding(path, offset, text, &line);
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

static void tell_finding(void *self, enum lt_finding_kind kind, const char *path, int64_t offset, const char *text) {
    (void)kind;
    print_finding(self, path, offset, text);
}

/* What the system does not let us look at is no finding: it is named, and the rest is looked at. */
static void tell_unread(void *self, const char *path, const char *text) {
    const struct lt_cli *cli = self;
    struct lt_buf line;
    lt_buf_init(&line);
    lt_told_unread(path, text, &line);
    if (cli->json) lt_print_json(&line);
    else lt_complain(cli, "%s", text);
    lt_buf_release(&line);
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
    if (cli->json) {
        lt_told_log(log, &line);
        lt_print_json(&line);
    } else {
        lt_hex_text(log->head.chain, sizeof log->head.chain, chain);
        add_log_text(log, chain, &line);
        puts(lt_buf_cstr(&line));
    }
    lt_buf_release(&line);
}

/* The last line of the JSON. */
static void print_json_sum(const struct lt_proof *proof) {
    struct lt_buf line;
    const int64_t *signatures = proof->signatures;
    lt_buf_init(&line);
    lt_buf_addf(&line, "{\"file_path\":null,\"finding\":null,\"findings\":%lld,\"events\":%lld,\"logs\":%lld,\"run_files\":%lld,\"channel_files\":%lld", (long long)proof->findings,
                (long long)proof->events, (long long)proof->logs, (long long)proof->files, (long long)proof->channels);
    for (size_t i = 0; i < 4; i++) lt_buf_addf(&line, ",\"signature_%s\":%lld", lt_signature_words[i], (long long)signatures[i]);
    lt_buf_addf(&line, ",\"signed_by_recovery\":%lld", (long long)proof->by_recovery);
    lt_buf_addf(&line, ",\"unsealed\":%lld,\"clock_steps\":%lld,\"unlinked\":%lld,\"late\":%lld,\"keys\":%zu,\"unread\":%lld}", (long long)proof->unsealed,
                (long long)proof->clock_steps, (long long)proof->unlinked, (long long)proof->late, proof->options.keys->count, (long long)proof->unread);
    lt_print_json(&line);
    lt_buf_release(&line);
}

static void print_sum(const struct lt_cli *cli, const struct lt_proof *proof) {
    const int64_t *signatures = proof->signatures;
    char channels[48] = "";
    if (proof->channels > 0) snprintf(channels, sizeof channels, ", and %lld channel files", (long long)proof->channels);
    lt_say(cli, "%lld events in %lld logs and %lld run files%s: %lld finding%s", (long long)proof->events, (long long)proof->logs, (long long)proof->files,
           channels, (long long)proof->findings, proof->findings == 1 ? "" : "s");
    lt_say(cli, "signed by a known key: %lld logs; by an unknown key: %lld; unsigned: %lld; not sealed yet: %lld", (long long)signatures[LT_SIGNATURE_KNOWN],
           (long long)signatures[LT_SIGNATURE_UNKNOWN], (long long)signatures[LT_SIGNATURE_NONE], (long long)proof->unsealed);
    if (proof->by_recovery > 0)
        lt_say(cli, "signed after their producer's death, as they were found: %lld of these logs; nobody vouches for what was done to them before",
               (long long)proof->by_recovery);
    if (signatures[LT_SIGNATURE_UNKNOWN] > 0 && proof->options.keys->count == 0)
        lt_say(cli, "no key is known here (none in the data_dir counts): whoever can write the files could have signed them anew; name the station's with --key");
    if (proof->clock_steps > 0) lt_say(cli, "the wall clock was set %lld times while logs were written: litmus events --type clock.stepped", (long long)proof->clock_steps);
    if (proof->unlinked > 0 && cli->verbose > 0)
        lt_say(cli, "%lld session%s could not say which logs came before: the list of them was held by another process, or could not be written", (long long)proof->unlinked,
               proof->unlinked == 1 ? "" : "s");
    if (proof->late > 0)
        lt_say(cli, "%lld event%s came after the file of their run was made, from a process that went on; in no row: litmus events --run %.8s", (long long)proof->late,
               proof->late == 1 ? "" : "s", proof->late_run);
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
    if (run.session_id[0] != '\0' && lt_log_find(lt_buf_cstr(&cli->data_dir), run.session_id, &logs, &error) != LITMUS_OK) return lt_cli_fail(cli, &error);
    size_t count = logs.count;
    lt_log_list_release(&logs);
    if (count == 0) lt_proof_finding(proof, LT_FINDING_FOREIGN, run.path, -1, "there is no log of its session to hold it against");
    else if (lt_proof_session(proof, run.session_id, run.run_id[0] == '\0' ? NULL : run.run_id, &error) != LITMUS_OK && lt_error_is_refusal(&error))
        return lt_cli_fail(cli, &error);
    else if (error.code != LITMUS_OK) lt_proof_finding(proof, LT_FINDING_LOG, run.session_id, -1, "%s", error.text);
    else if (run.path[0] != '\0' && access(run.path, F_OK) == 0) lt_proof_accounted(proof, run.path, run.session_id, run.run_id);
    return EXIT_OK;
}

/* ---- evidence files ---- */
/* No run has such a name. */
static bool is_file(const char *argument) {
    size_t n = strlen(argument);
    return strchr(argument, '/') != NULL || (n > 4 && strcmp(argument + n - 4, ".zip") == 0);
}

static void print_file_json(const char *path, const struct lt_evidence_check *check) {
    struct lt_buf line;
    lt_buf_init(&line);
    lt_buf_add_text(&line, "{\"file_path\":");
    lt_add_json_str(lt_str_of(path), &line);
    lt_buf_addf(&line, ",\"finding\":null,\"findings\":%lld,\"events\":%lld,\"logs\":%lld,\"run_id\":", (long long)check->findings,
                (long long)check->events, (long long)check->logs);
    lt_add_json_str(lt_str_of(check->run_id), &line);
    lt_buf_add_text(&line, ",\"outcome\":");
    lt_add_json_str(check->outcome[0] == '\0' ? LT_STR_NULL : lt_str_of(check->outcome), &line);
    lt_buf_addf(&line, ",\"signature\":\"%s\",\"key\":", lt_signature_words[check->signature]);
    lt_add_json_str(check->key_id[0] == '\0' ? LT_STR_NULL : lt_str_of(check->key_id), &line);
    lt_buf_addf(&line, ",\"keys\":%zu}", check->keys->count);
    lt_print_json(&line);
    lt_buf_release(&line);
}

static void tell_file(const struct lt_cli *cli, const struct lt_evidence_check *check) {
    static const char *const trust[] = {
        [LT_SIGNATURE_NONE] = "not signed: its parts fit together, but whoever can write a file could have made it%s",
        [LT_SIGNATURE_KNOWN] = "signed by key %s, which is known here",
        [LT_SIGNATURE_UNKNOWN] = "signed by key %s, which you have not said that you trust: name its .pub with --key, from the station and not from this file",
        [LT_SIGNATURE_WRONG] = "key %s did not sign it",
    };
    lt_say(cli, "run %s, %s: %lld events in %lld logs and its file: %lld finding%s", check->run_id, check->outcome[0] == '\0' ? "outcome not known" : check->outcome,
           (long long)check->events, (long long)check->logs, (long long)check->findings, check->findings == 1 ? "" : "s");
    char text[256];
    snprintf(text, sizeof text, trust[check->signature], check->key_id);
    lt_say(cli, "%s", text);
}

static int verify_file(struct lt_cli *cli, const char *path) {
    struct lt_keyring keys;
    struct litmus_error error = {0};
    const char *variable = getenv("LITMUS_DATA_DIR");
    bool named = cli->data_dir_given != NULL || (variable != NULL && variable[0] != '\0');
    if (named) (void)!lt_data_dir_find(cli->data_dir_given, &cli->data_dir, NULL); /* no key in it counts */
    int exit = lt_cli_keyring(cli, &keys);
    struct lt_evidence_check check = {.keys = &keys, .want_signed = cli->want_signed, .finding = print_finding, .log = print_log, .self = cli};
    if (exit == EXIT_OK && lt_evidence_check(path, &check, &error) != LITMUS_OK) exit = lt_cli_fail(cli, &error);
    if (exit == EXIT_OK) {
        if (cli->json) print_file_json(path, &check);
        tell_file(cli, &check);
        exit = check.findings > 0 ? EXIT_FINDINGS : EXIT_OK;
    }
    lt_keyring_release(&keys);
    return exit;
}

/* Of a change that is half made there is no telling what is missing. */
static void tell_held_up(struct lt_proof *proof, const struct lt_query *query) {
    struct lt_buf path;
    const struct litmus_error *who = lt_query_held_up(query);
    if (who == NULL) return;
    lt_buf_init(&path);
    lt_proof_unread(proof, LT_FINDING_LOG, lt_path_join(&path, proof->options.data_dir, LT_CHANGES), -1, who, "");
    proof->waited_enough = true;
    lt_buf_release(&path);
}

int lt_cmd_verify(struct lt_cli *cli) {
    struct lt_proof proof;
    struct lt_keyring keys;
    struct litmus_error error = {0};
    if (cli->all && cli->argument_count > 0) return lt_usage(cli, "either a run or --all");
    if (cli->argument_count > 0 && is_file(cli->arguments[0])) return verify_file(cli, cli->arguments[0]);
    int exit = lt_cli_query(cli);
    if (exit != EXIT_OK) return exit;
    if (cli->all && access(lt_buf_cstr(&cli->data_dir), F_OK) != 0) { /* a slip in its name is no proof */
        lt_fail_os(&error, errno, "find the data_dir", lt_buf_cstr(&cli->data_dir));
        return lt_cli_fail(cli, &error);
    }
    if (cli->all) lt_memory_ahead();
    exit = lt_cli_keyring(cli, &keys);
    struct lt_proof_options options = {.data_dir = lt_buf_cstr(&cli->data_dir), .keys = &keys, .want_signed = cli->want_signed,
                                       .finding = tell_finding, .log = print_log, .unread = tell_unread, .self = cli};
    lt_proof_init(&proof, &options);
    tell_held_up(&proof, cli->query);
    if (exit == EXIT_OK && cli->all) exit = lt_proof_all(&proof, cli->query, &error) == LITMUS_OK ? EXIT_OK : lt_cli_fail(cli, &error);
    else if (exit == EXIT_OK) exit = verify_one(cli, &proof);
    if (exit == EXIT_OK || proof.ended) {
        if (cli->json) print_json_sum(&proof);
        print_sum(cli, &proof);
        if (exit == EXIT_OK && proof.findings > 0) exit = EXIT_FINDINGS;
    }
    lt_proof_release(&proof);
    lt_keyring_release(&keys);
    return exit;
}
