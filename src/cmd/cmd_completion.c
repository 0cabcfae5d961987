/* SPDX-License-Identifier: Apache-2.0
 *
 * Completion scripts, from the tables of commands and options. Run ids are asked of litmus itself
 * at the moment of completion.
 */
#include "cmd/cmd.h"
#include "model/suggest.h"

#include <stdio.h>

#define RUN_WORDS "litmus runs --json --limit 30 --quiet 2>/dev/null | sed -n 's/^{\"test_run_id\":\"\\([^\"]*\\)\".*/\\1/p'"

static bool wants_runs(const struct lt_command *c) {
    return c->words != NULL && strcmp(c->words, "run") == 0;
}

static void print_words(const struct lt_command *c) {
    for (size_t i = 0; i < LT_OPTION_IDS; i++) {
        if (!lt_command_has(c, i)) continue;
        if (lt_options[i].letter != 0) printf(" -%c", lt_options[i].letter);
        printf(" --%s", lt_options[i].name);
    }
}

static void bash(void) {
    puts("# bash completion for litmus; made by: litmus completion bash\n"
         "_litmus_runs() {\n    echo last; " RUN_WORDS "\n}\n"
         "_litmus() {\n    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=\n    COMPREPLY=()\n"
         "    if [ \"$COMP_CWORD\" -eq 1 ]; then");
    fputs("        words=\"", stdout);
    for (size_t i = 0; i < lt_command_count; i++) printf("%s%s", i == 0 ? "" : " ", lt_commands[i].name);
    puts("\"\n        COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n        return\n    fi\n    case $previous in\n"
         "    --data-dir|-d) COMPREPLY=($(compgen -d -- \"$current\")); return ;;\n"
         "    --run|-r) COMPREPLY=($(compgen -W \"$(_litmus_runs)\" -- \"$current\")); return ;;\n"
         "    --outcome) COMPREPLY=($(compgen -W 'passed failed errored skipped done terminated aborted' -- \"$current\")); return ;;\n"
         "    --allow|-a) COMPREPLY=($(compgen -W 'skipped conceded skip_marker sweep_stopped maxfail interrupted crash"
         " instrument_error collection_error unknown' -- \"$current\")); return ;;\n"
         "    esac\n    case $command in");
    for (size_t i = 0; i < lt_command_count; i++) {
        const struct lt_command *c = &lt_commands[i];
        printf("    %s)\n        case $current in\n        -*) words='", c->name);
        print_words(c);
        printf("' ;;\n        *) words=%s%s%s ;;\n        esac ;;\n",
               wants_runs(c) ? "\"$(_litmus_runs)\"" : "'", wants_runs(c) || c->words == NULL ? "" : c->words, wants_runs(c) ? "" : "'");
    }
    puts("    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}\ncomplete -F _litmus litmus");
}

/* zsh and fish quote by doubling or escaping; our texts hold neither quote nor bracket but these. */
static void print_escaped(const char *text, const char *escape) {
    for (; *text != '\0'; text++) {
        if (strchr(escape, *text) != NULL) putchar('\\');
        if (*text == '\'') fputs("'\\'", stdout);
        putchar(*text);
    }
}

static void zsh_option(const struct lt_option *o) {
    bool repeats = o->kind == LT_OPTION_LIST || o->kind == LT_OPTION_COUNT;
    if (o->letter != 0) printf("        '%s'{-%c,--%s%s}'", repeats ? "*" : "", o->letter, o->name, o->value == NULL ? "" : "=");
    else printf("        '%s--%s%s", repeats ? "*" : "", o->name, o->value == NULL ? "" : "=");
    putchar('[');
    print_escaped(o->help, "[]:");
    putchar(']');
    if (o->value != NULL) printf(":%s:%s", o->value, strcmp(o->name, "data-dir") == 0 ? "_directories" : strcmp(o->name, "run") == 0 ? "_litmus_runs" : " ");
    puts("' \\");
}

static void zsh(void) {
    puts("#compdef litmus\n# zsh completion for litmus; made by: litmus completion zsh\n"
         "_litmus_runs() {\n    local -a runs\n    runs=(last ${(f)\"$(" RUN_WORDS ")\"})\n    compadd -a runs\n}\n"
         "_litmus() {\n    if (( CURRENT == 2 )); then\n        local -a commands\n        commands=(");
    for (size_t i = 0; i < lt_command_count; i++) {
        printf("            '%s:", lt_commands[i].name);
        print_escaped(lt_commands[i].summary, ":");
        puts("'");
    }
    puts("        )\n        _describe command commands\n        return\n    fi\n    case $words[2] in");
    for (size_t i = 0; i < lt_command_count; i++) {
        const struct lt_command *c = &lt_commands[i];
        printf("    %s)\n        shift words; (( CURRENT-- ))\n        _arguments -s \\\n", c->name);
        for (size_t k = 0; k < LT_OPTION_IDS; k++)
            if (lt_command_has(c, k)) zsh_option(&lt_options[k]);
        if (wants_runs(c)) puts("        '*:run:_litmus_runs' ;;");
        else if (c->words != NULL) printf("        '*::(%s)' ;;\n", c->words);
        else puts("        '*: :' ;;");
    }
    puts("    esac\n}\n_litmus \"$@\"");
}

static void fish_option(const struct lt_command *c, const struct lt_option *o) {
    printf("complete -c litmus -n '__fish_seen_subcommand_from %s' -l %s", c->name, o->name);
    if (o->letter != 0) printf(" -s %c", o->letter);
    if (o->value != NULL) printf(" %s", strcmp(o->name, "data-dir") == 0 ? "-r -F" : "-x");
    fputs(" -d '", stdout);
    print_escaped(o->help, "\\");
    puts("'");
}

static void fish(void) {
    puts("# fish completion for litmus; made by: litmus completion fish\n"
         "function __litmus_runs\n    echo last\n    " RUN_WORDS "\nend\ncomplete -c litmus -f");
    for (size_t i = 0; i < lt_command_count; i++) {
        const struct lt_command *c = &lt_commands[i];
        printf("complete -c litmus -n __fish_use_subcommand -a %s -d '", c->name);
        print_escaped(c->summary, "\\");
        puts("'");
        if (wants_runs(c)) printf("complete -c litmus -n '__fish_seen_subcommand_from %s' -a '(__litmus_runs)'\n", c->name);
        else if (c->words != NULL) printf("complete -c litmus -n '__fish_seen_subcommand_from %s' -a '%s'\n", c->name, c->words);
        for (size_t k = 0; k < LT_OPTION_IDS; k++)
            if (lt_command_has(c, k)) fish_option(c, &lt_options[k]);
    }
}

int lt_cmd_completion(struct lt_cli *cli) {
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    const char *nearest = NULL;
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(cli->arguments[0], shells[i].name) == 0) {
            shells[i].print();
            return EXIT_OK;
        }
        nearest = lt_nearer(lt_str_of(cli->arguments[0]), nearest, shells[i].name);
    }
    return nearest == NULL ? lt_usage(cli, "no shell \"%s\": bash, zsh or fish", cli->arguments[0])
                           : lt_usage(cli, "no shell \"%s\"; did you mean %s?", cli->arguments[0], nearest);
}
