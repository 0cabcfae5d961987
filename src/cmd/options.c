/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads options and arguments, in any order, by the tables of cmd.h.
 */
#include "base/clock.h"
#include "cmd/cmd.h"
#include "model/suggest.h"

#include <stdio.h>
#include <stdlib.h>

const struct lt_option lt_options[LT_OPTION_IDS] = {
#define OPTION_ROW(id, letter, name, kind, field, value, help) {letter, name, LT_OPTION_##kind, offsetof(struct lt_cli, field), value, help},
    LT_OPTIONS(OPTION_ROW)
#undef OPTION_ROW
};

static const struct lt_option *by_name(const struct lt_cli *cli, struct lt_str name) {
    for (size_t i = 0; i < LT_OPTION_IDS; i++)
        if (lt_command_has(cli->command, i) && lt_str_eq(lt_str_of(lt_options[i].name), name)) return &lt_options[i];
    return NULL;
}

static const struct lt_option *by_letter(const struct lt_cli *cli, char letter) {
    for (size_t i = 0; i < LT_OPTION_IDS; i++)
        if (lt_command_has(cli->command, i) && lt_options[i].letter == letter) return &lt_options[i];
    return NULL;
}

static int unknown(const struct lt_cli *cli, struct lt_str name) {
    const char *nearest = NULL;
    for (size_t i = 0; i < LT_OPTION_IDS; i++)
        if (lt_command_has(cli->command, i)) nearest = lt_nearer(name, nearest, lt_options[i].name);
    if (nearest != NULL) return lt_usage(cli, "no option --%.*s; did you mean --%s?", LT_STR_ARG(name), nearest);
    return lt_usage(cli, "no option --%.*s", LT_STR_ARG(name));
}

static int take_number(const struct lt_cli *cli, const struct lt_option *o, const char *value, int64_t *out) {
    char *end;
    long long n = strtoll(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0') return lt_usage(cli, "--%s takes a number, not \"%s\"", o->name, value);
    *out = n;
    return EXIT_OK;
}

static int take_value(struct lt_cli *cli, const struct lt_option *o, const char *value) {
    char *field = (char *)cli + o->offset;
    switch (o->kind) {
    case LT_OPTION_FLAG: *(bool *)field = true; break;
    case LT_OPTION_COUNT: ++*(int *)field; break;
    case LT_OPTION_TEXT: *(const char **)field = value; break;
    case LT_OPTION_NUMBER: return take_number(cli, o, value, (int64_t *)field);
    case LT_OPTION_TIME:
        if (!lt_time_since(value, lt_now_us(), (int64_t *)field))
            return lt_usage(cli, "--%s takes 7d, 4h, 30m, a date or a time such as 2026-05-16T14:30Z, not \"%s\"", o->name, value);
        break;
    case LT_OPTION_LIST: {
        struct lt_texts *list = (struct lt_texts *)field;
        if (list->count == LT_LIST_MAX) return lt_usage(cli, "--%s can be given %d times at most", o->name, LT_LIST_MAX);
        list->items[list->count++] = value;
        break;
    }
    }
    return EXIT_OK;
}

static bool takes_value(const struct lt_option *o) {
    return o->kind != LT_OPTION_FLAG && o->kind != LT_OPTION_COUNT;
}

/* The words of the command line that are still to be read. */
struct words {
    char **next;
    int count;
};

static const char *take_word(struct words *w) {
    if (w->count == 0) return NULL;
    w->count--;
    return *w->next++;
}

/* --name, --name=value, --name value */
static int take_long(struct lt_cli *cli, const char *word, struct words *rest) {
    const char *equals = strchr(word, '=');
    struct lt_str name = {word, equals == NULL ? strlen(word) : (size_t)(equals - word)};
    const struct lt_option *o = by_name(cli, name);
    if (o == NULL) return unknown(cli, name);
    if (!takes_value(o)) return equals == NULL ? take_value(cli, o, NULL) : lt_usage(cli, "--%s takes no value", o->name);
    const char *value = equals != NULL ? equals + 1 : take_word(rest);
    return value == NULL ? lt_usage(cli, "--%s needs a value: %s", o->name, o->value) : take_value(cli, o, value);
}

/* -q, -qv, -n5, -n 5 */
static int take_short(struct lt_cli *cli, const char *letters, struct words *rest) {
    for (; *letters != '\0'; letters++) {
        const struct lt_option *o = by_letter(cli, *letters);
        if (o == NULL) return lt_usage(cli, "no option -%c", *letters >= ' ' && *letters < 0x7f ? *letters : '?');
        const char *value = NULL;
        bool last = takes_value(o);
        if (last) value = letters[1] != '\0' ? letters + 1 : take_word(rest);
        if (last && value == NULL) return lt_usage(cli, "-%c needs a value: %s", o->letter, o->value);
        int code = take_value(cli, o, value);
        if (code != EXIT_OK || last) return code;
    }
    return EXIT_OK;
}

static int take_argument(struct lt_cli *cli, const char *word) {
    if (cli->argument_count == (size_t)cli->command->arguments_max || cli->argument_count == LT_ARGUMENTS_MAX)
        return lt_usage(cli, "\"%s\" is one argument too many", word);
    cli->arguments[cli->argument_count++] = word;
    return EXIT_OK;
}

int lt_cli_parse(struct lt_cli *cli, const struct lt_command *command, int argc, char **argv) {
    struct words rest = {argv, argc};
    bool options_end = false;
    int code = EXIT_OK;
    cli->command = command;
    cli->limit = cli->page = cli->idle = -1;
    cli->since = cli->until = cli->older_than = LT_TIME_NONE;
    for (const char *word; code == EXIT_OK && (word = take_word(&rest)) != NULL;) {
        if (options_end || word[0] != '-' || word[1] == '\0') code = take_argument(cli, word);
        else if (strcmp(word, "--") == 0) options_end = true;
        else if (word[1] == '-') code = take_long(cli, word + 2, &rest);
        else code = take_short(cli, word + 1, &rest);
    }
    if (code == EXIT_OK && !cli->help && cli->argument_count < (size_t)command->arguments_min)
        code = lt_usage(cli, "%s is missing", command->arguments);
    return code;
}
