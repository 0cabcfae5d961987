/* SPDX-License-Identifier: Apache-2.0
 *
 * What is wrong with a data_dir, and its mending (doctor/doctor.h).
 */
#include "base/config.h"
#include "cmd/cmd.h"
#include "cmd/keys.h"
#include "cmd/screen.h"
#include "cmd/waiting.h"
#include "doctor/doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void add_json_field(struct lt_buf *line, const char *name, const char *text) {
    lt_buf_addf(line, ",\"%s\":", name);
    lt_add_json_str(lt_str_of(text), line);
}

static void print_json(const struct lt_doctor_finding *f) {
    struct lt_buf line;
    lt_buf_init(&line);
    const char *level = f->level == LT_DOCTOR_NOTE ? "note" : "wrong";
    lt_buf_addf(&line, "{\"level\":\"%s\",\"mended\":%s,\"mendable\":%s", level, f->mended ? "true" : "false", f->mendable ? "true" : "false");
    add_json_field(&line, "check", f->check);
    add_json_field(&line, "file_path", f->path);
    add_json_field(&line, "finding", f->text);
    add_json_field(&line, "remedy", f->remedy);
    lt_buf_add_char(&line, '}');
    lt_print_json(&line);
    lt_buf_release(&line);
}

static void print_text(const struct lt_cli *cli, const struct lt_doctor_finding *f) {
    struct lt_buf line;
    lt_buf_init(&line);
    bool note = f->level == LT_DOCTOR_NOTE;
    lt_show_color(&line, cli->color, f->mended ? LT_GREEN : note ? LT_DIM : LT_RED);
    lt_buf_addf(&line, "%-6s  ", f->mended ? "mended" : note ? "note" : "wrong");
    lt_show_color(&line, cli->color, LT_PLAIN);
    lt_buf_addf(&line, "%s: ", f->check);
    lt_show_str(&line, lt_str_of(f->path));
    lt_buf_add_text(&line, ": ");
    lt_show_str(&line, lt_str_of(f->text));
    if (!f->mended) lt_buf_addf(&line, "\n        %s", f->remedy);
    puts(lt_buf_cstr(&line));
    lt_buf_release(&line);
}

enum { CHECKS_MAX = 64, ALIKE_MAX = 10 };

/* A check that finds 100,000 files says so; -v and --json name them all. */
struct told {
    struct lt_cli *cli;
    struct {
        const char *check; /* of the table: static */
        int64_t count;
    } checks[CHECKS_MAX];
    size_t check_count;
};

static int64_t count_of(struct told *t, const char *check) {
    size_t i = 0;
    while (i < t->check_count && strcmp(t->checks[i].check, check) != 0) i++;
    if (i == CHECKS_MAX) return 1;
    if (i == t->check_count) t->checks[t->check_count++].check = check;
    return ++t->checks[i].count;
}

static void tell(void *self, const struct lt_doctor_finding *f) {
    struct told *t = self;
    const struct lt_cli *cli = t->cli;
    if (cli->err_terminal && !cli->quiet) fputs("\r\033[K", stderr);
    if (cli->json) print_json(f);
    else if (cli->verbose > 0 || ((f->level == LT_DOCTOR_WRONG || f->mended) && count_of(t, f->check) <= ALIKE_MAX)) print_text(cli, f);
}

static void tell_rest(const struct told *t) {
    for (size_t i = 0; i < t->check_count; i++)
        if (t->checks[i].count > ALIKE_MAX)
            printf("...     %s: %" PRId64 " more like these (-v names them)\n", t->checks[i].check, t->checks[i].count - ALIKE_MAX);
}

static void show_progress(void *self, const char *what) {
    (void)self;
    fprintf(stderr, "\r%s ...\033[K", what);
}

static void sum_up(const struct lt_cli *cli, const struct lt_doctor_sum *sum) {
    if (cli->err_terminal && !cli->quiet) fputs("\r\033[K", stderr);
    if (cli->json)
        printf("{\"level\":null,\"wrong\":%" PRId64 ",\"notes\":%" PRId64 ",\"mended\":%" PRId64 "}\n", sum->wrong, sum->notes, sum->mended);
    lt_say(cli, "%" PRId64 " wrong, %" PRId64 " mended, %" PRId64 " note%s%s", sum->wrong, sum->mended, sum->notes, sum->notes == 1 ? "" : "s",
           sum->notes > 0 && cli->verbose == 0 && !cli->json ? " (-v shows them)" : "");
}

/* Where the station's own cannot be found, that is a finding, too. */
static int find_keys(struct lt_cli *cli, struct lt_keyring *keys) {
    struct lt_buf path;
    if (cli->known_keys.count > 0) return lt_cli_keyring(cli, keys);
    lt_keyring_init(keys);
    lt_buf_init(&path);
    const char *data_dir = lt_buf_cstr(&cli->data_dir);
    if (lt_signing_key_find(NULL, data_dir, &path, NULL) == LITMUS_OK && path.n > 0) (void)!lt_keyring_add_beside(keys, lt_buf_cstr(&path), data_dir, NULL);
    lt_buf_release(&path);
    return EXIT_OK;
}

/* The table of checks. */
static int list_checks(const struct lt_cli *cli) {
    struct lt_buf line;
    lt_buf_init(&line);
    for (size_t i = 0; lt_doctor_row(i).name != NULL; i++) {
        struct lt_doctor_row row = lt_doctor_row(i);
        lt_buf_clear(&line);
        if (cli->json) {
            lt_buf_addf(&line, "{\"mendable\":%s", row.mendable ? "true" : "false");
            add_json_field(&line, "check", row.name);
            add_json_field(&line, "looks_at", row.looks_at);
            add_json_field(&line, "remedy", row.remedy);
            lt_buf_add_char(&line, '}');
            lt_print_json(&line);
        } else {
            lt_buf_addf(&line, "%-12s  %s\n              %s", row.name, row.looks_at, row.remedy);
            puts(lt_buf_cstr(&line));
        }
    }
    lt_buf_release(&line);
    return EXIT_OK;
}

static void await(void *self, const char *space, const char *name) {
    struct told *told = self;
    lt_cli_await(told->cli, space, name);
}

static void say_waiting(void *self, const char *who) {
    const struct told *told = self;
    lt_say(told->cli, "waiting: %s", who);
}

int lt_cmd_doctor(struct lt_cli *cli) {
    struct lt_keyring keys;
    struct lt_doctor_sum sum;
    struct litmus_error error = {0};
    if (cli->list) return list_checks(cli);
    if (cli->argument_count > 0 && cli->data_dir_given != NULL) return lt_usage(cli, "either DIR or --data-dir");
    if (cli->argument_count > 0) cli->data_dir_given = cli->arguments[0];
    int exit = lt_cli_data_dir(cli);
    if (exit == EXIT_OK) exit = find_keys(cli, &keys);
    if (exit != EXIT_OK) return exit;
    struct told told = {.cli = cli};
    struct lt_doctor_options options = {.data_dir = lt_buf_cstr(&cli->data_dir), .keys = &keys, .mend = cli->mend, .finding = tell,
                                        .progress = cli->err_terminal && !cli->quiet ? show_progress : NULL, .waiting = say_waiting, .await = await, .self = &told};
    int code = lt_doctor(&options, &sum, &error);
    lt_keyring_release(&keys);
    tell_rest(&told);
    if (code != LITMUS_OK) return lt_cli_fail(cli, &error);
    sum_up(cli, &sum);
    return sum.wrong > 0 ? EXIT_FINDINGS : EXIT_OK;
}
