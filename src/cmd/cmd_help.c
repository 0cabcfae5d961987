/* SPDX-License-Identifier: Apache-2.0
 *
 * Help and man pages, both from the tables of commands and options.
 */
#include "cmd/cmd.h"
#include "cmd/screen.h"
#include "model/suggest.h"

#include <ctype.h>
#include <stdio.h>

static void heading(const char *text, bool color) {
    printf(color ? "\033[1m%s\033[0m\n" : "%s\n", text);
}

static void print_option(const struct lt_option *o) {
    char left[64];
    char letter[5] = "    ";
    if (o->letter != 0) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->value == NULL ? "" : " ", o->value == NULL ? "" : o->value);
    printf("  %-26s %s\n", left, o->help);
}

static void print_indented(const char *lines) {
    while (lines != NULL && *lines != '\0') {
        size_t n = strcspn(lines, "\n");
        printf("  %.*s\n", (int)n, lines);
        lines += n + (lines[n] == '\n');
    }
}

void lt_help_command(const struct lt_command *c, bool color) {
    printf("litmus %s%s%s [options]\n\n%s\n", c->name, c->arguments[0] == '\0' ? "" : " ", c->arguments, c->text);
    putchar('\n');
    heading("Options", color);
    for (size_t i = 0; i < LT_OPTION_IDS; i++)
        if (lt_command_has(c, i)) print_option(&lt_options[i]);
    if (c->examples != NULL) {
        putchar('\n');
        heading("Examples", color);
        print_indented(c->examples);
    }
}

static void print_exits(void) {
#define EXIT_LINE(name, number, text) printf("  %d  %s\n", number, text);
    LT_EXITS(EXIT_LINE)
#undef EXIT_LINE
}

void lt_help_all(bool color) {
    puts("litmus COMMAND [options]\n\nWhat was planned, what ran, what never did: a flight recorder for tests.\n");
    heading("Commands", color);
    for (size_t i = 0; i < lt_command_count; i++) printf("  %-12s %s\n", lt_commands[i].name, lt_commands[i].summary);
    puts("\nRUN is a run id or the first characters of one, \"last\", or @2 for the one before it.\n\"litmus COMMAND -h\" says more.\n");
    heading("Exit codes", color);
    print_exits();
}

/* ---- man pages ---- */

/* roff takes \, a leading . or ', and - for its own. */
static void roff(const char *text) {
    bool line_start = true;
    for (; *text != '\0'; text++) {
        if (line_start && (*text == '.' || *text == '\'')) fputs("\\&", stdout);
        if (*text == '\\') fputs("\\e", stdout);
        else if (*text == '-') fputs("\\-", stdout);
        else putchar(*text);
        line_start = *text == '\n';
    }
}

static void man_start(const char *name, const char *summary) {
    printf(".\\\" Made by litmus help --man; change the tables in src/cmd instead.\n.TH ");
    for (const char *p = name; *p != '\0'; p++) putchar(toupper((unsigned char)*p));
    printf(" 1 \"\" \"litmus %s\" \"Litmus\"\n.SH NAME\n", litmus_version());
    roff(name);
    printf(" \\- %s\n", summary);
}

static void man_option(const struct lt_option *o) {
    puts(".TP");
    if (o->letter != 0) printf("\\fB\\-%c\\fR, ", o->letter);
    fputs("\\fB", stdout);
    roff("--");
    roff(o->name);
    fputs("\\fR", stdout);
    if (o->value != NULL) printf(" \\fI%s\\fR", o->value);
    putchar('\n');
    roff(o->help);
    putchar('\n');
}

static void man_examples(const char *examples) {
    puts(".SH EXAMPLES\n.nf");
    roff(examples);
    puts("\n.fi");
}

static void man_exits(void) {
    puts(".SH EXIT STATUS");
#define EXIT_ROFF(name, number, text) printf(".TP\n%d\n", number); roff(text); putchar('\n');
    LT_EXITS(EXIT_ROFF)
#undef EXIT_ROFF
}

static void man_command(const struct lt_command *c) {
    char name[64];
    snprintf(name, sizeof name, "litmus-%s", c->name);
    man_start(name, c->summary);
    printf(".SH SYNOPSIS\n\\fBlitmus %s\\fR", c->name);
    if (c->arguments[0] != '\0') printf(" \\fI%s\\fR", c->arguments);
    puts(" [options]\n.SH DESCRIPTION");
    roff(c->text);
    puts("\n.SH OPTIONS");
    for (size_t i = 0; i < LT_OPTION_IDS; i++)
        if (lt_command_has(c, i)) man_option(&lt_options[i]);
    man_exits();
    if (c->examples != NULL) man_examples(c->examples);
    puts(".SH SEE ALSO\n.BR litmus (1)");
}

static void man_all(void) {
    man_start("litmus", "a flight recorder for tests");
    puts(".SH SYNOPSIS\n\\fBlitmus\\fR \\fICOMMAND\\fR [options]\n.SH DESCRIPTION");
    roff("Litmus records what a test run planned, what ran, and what never did and why. Recording needs no command: pytest with the\n"
         "package installed records, and so does a program that uses litmus.h. These commands read what is on record.\n");
    puts(".SH COMMANDS");
    for (size_t i = 0; i < lt_command_count; i++) {
        printf(".TP\n.BR litmus\\-%s (1)\n", lt_commands[i].name);
        roff(lt_commands[i].summary);
        putchar('\n');
    }
    puts(".SH RUN\nA run is named by its id, by the first characters of it when they fit no other, by \\fBlast\\fR, or by \\fB@2\\fR for the one before the last.");
    man_exits();
    puts(".SH ENVIRONMENT\n.TP\n\\fBLITMUS_DATA_DIR\\fR\nthe data directory\n.TP\n\\fBLITMUS_HOME\\fR\nits folder data is the data directory, if nothing nearer says where it is\n"
         ".TP\n\\fBNO_COLOR\\fR\nno colours when set and not empty\n.TP\n\\fBTZ\\fR\nthe time zone of times on screen");
    puts(".SH FILES\n.TP\n\\fBlitmus.yaml\\fR\nnearest one upwards from the current folder: data_dir and station settings\n"
         ".TP\n\\fIdata_dir\\fR/events\nthe logs: the truth\n.TP\n\\fIdata_dir\\fR/runs\none Parquet file a run, made from the logs\n"
         ".TP\n\\fIdata_dir\\fR/catalog.sqlite\nwhich runs there are; may be deleted at any time");
}

int lt_cmd_help(struct lt_cli *cli) {
    if (cli->argument_count == 0) {
        if (cli->man) man_all();
        else lt_help_all(cli->color);
        return EXIT_OK;
    }
    const struct lt_command *command = lt_command_find(cli->arguments[0]);
    const char *nearest = NULL;
    for (size_t i = 0; command == NULL && i < lt_command_count; i++) nearest = lt_nearer(lt_str_of(cli->arguments[0]), nearest, lt_commands[i].name);
    if (command == NULL && nearest != NULL) return lt_usage(cli, "no command \"%s\"; did you mean %s?", cli->arguments[0], nearest);
    if (command == NULL) return lt_usage(cli, "no command \"%s\"", cli->arguments[0]);
    if (cli->man) man_command(command);
    else lt_help_command(command, cli->color);
    return EXIT_OK;
}

int lt_cmd_version(struct lt_cli *cli) {
    if (cli->json) printf("{\"version\":\"%s\"}\n", litmus_version());
    else printf("litmus %s\n", litmus_version());
    return EXIT_OK;
}
