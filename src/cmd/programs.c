/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/programs.h"

#include "base/clock.h"
#include "base/portable.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = LT_OPTION_IDS + LT_LIST_MAX + LT_ARGUMENTS_MAX + 16 };

bool lt_is_program(const char *path) {
    return access(path, X_OK) == 0;
}

bool lt_on_path(const char *name, char *out, size_t size) {
    const char *path = getenv("PATH");
    while (path != NULL && *path != '\0') {
        size_t n = strcspn(path, ":");
        snprintf(out, size, "%.*s/%s", (int)n, path, name);
        if (n > 0 && lt_is_program(out)) return true;
        path += n + (path[n] == ':');
    }
    return false;
}

bool lt_own_folder(char *out, size_t size) {
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    if (n <= 0) return false;
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (slash != NULL) *slash = '\0';
    return slash != NULL;
}

/* ---- Python ---- */

/* A file of the folder that one stands in must not take the place of a module. */
#define ELSEWHERE "import sys; sys.path = [p for p in sys.path if p]; "

/* PYTHONPATH=:/x, as PYTHONPATH=$PYTHONPATH:/x often gives it, puts that folder in before the first line is run. */
static void close_python_path(void) {
    const char *given = getenv("PYTHONPATH");
    struct lt_buf path;
    lt_buf_init(&path);
    while (given != NULL && *given != '\0') {
        size_t n = strcspn(given, ":");
        if (n > 0) lt_buf_addf(&path, "%s%.*s", path.n > 0 ? ":" : "", (int)n, given);
        given += n + (given[n] == ':');
    }
    if (path.n == 0 || setenv("PYTHONPATH", lt_buf_cstr(&path), 1) != 0) unsetenv("PYTHONPATH");
    lt_buf_release(&path);
}

void lt_python_start(const char *module, struct lt_buf *out) {
    close_python_path();
    lt_buf_addf(out, ELSEWHERE "from %s.__main__ import main; sys.exit(main(sys.argv[1:]))", module);
}

static bool has_module(const char *python, const char *module) {
    char text[256];
    close_python_path();
    snprintf(text, sizeof text, ELSEWHERE "import importlib.util; sys.exit(importlib.util.find_spec('%s') is None)", module);
    const char *const arguments[] = {python, "-c", text, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd < 3 && null >= 0; fd++) dup2(null, fd);
        execv(python, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool lt_find_python(const char *module, char *out, size_t size) {
    char bin[PATH_MAX - 16];
    if (lt_own_folder(bin, sizeof bin)) {
        snprintf(out, size, "%s/python3", bin);
        if (lt_is_program(out) && has_module(out, module)) return true;
    }
    return lt_on_path("python3", out, size) && has_module(out, module);
}

static int find_litmus(const struct lt_cli *cli, char *out, size_t size) {
    const char *given = getenv("LITMUS_PYTHON");
    if (given != NULL && given[0] != '\0') {
        snprintf(out, size, "%s", given);
        return lt_is_program(out) ? EXIT_OK : lt_usage(cli, "LITMUS_PYTHON names %s, which is no program", given);
    }
    if (lt_find_python("litmus", out, size)) return EXIT_OK;
    lt_complain(cli, "no Python with the litmus package was found: pip install litmus-recorder, or set LITMUS_PYTHON to the Python that has it");
    return EXIT_NOT_FOUND;
}

/* ---- what was said, as words that each end with a NUL ---- */

static void add_word(struct lt_buf *words, const char *name, const char *value) {
    lt_buf_addf(words, value == NULL ? "--%s" : "--%s=", name);
    if (value != NULL) lt_buf_add_text(words, value);
    lt_buf_add_char(words, '\0');
}

static void add_number(struct lt_buf *words, const char *name, int64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    add_word(words, name, text);
}

/* The screen's colours and the data directory, which have words of their own, are not among them. */
static void add_option(const struct lt_cli *cli, const struct lt_option *o, struct lt_buf *words) {
    const char *field = (const char *)cli + o->offset;
    switch (o->kind) {
    case LT_OPTION_FLAG:
        if (*(const bool *)field) add_word(words, o->name, NULL);
        break;
    case LT_OPTION_TEXT:
        if (*(const char *const *)field != NULL) add_word(words, o->name, *(const char *const *)field);
        break;
    case LT_OPTION_NUMBER:
        if (*(const int64_t *)field >= 0) add_number(words, o->name, *(const int64_t *)field);
        break;
    case LT_OPTION_TIME:
        if (*(const int64_t *)field != LT_TIME_NONE) add_number(words, o->name, *(const int64_t *)field);
        break;
    case LT_OPTION_LIST:
        for (size_t i = 0; i < ((const struct lt_texts *)field)->count; i++) add_word(words, o->name, ((const struct lt_texts *)field)->items[i]);
        break;
    case LT_OPTION_COUNT: break;
    }
}

static void add_said(struct lt_cli *cli, const char *verb, struct lt_buf *words) {
    if (cli->data_dir.n > 0) add_word(words, "data-dir", lt_buf_cstr(&cli->data_dir));
    if (cli->color) add_word(words, "color", NULL);
    if (cli->quiet) add_word(words, "quiet", NULL);
    for (size_t i = 0; i < LT_OPTION_COMMON; i++)
        if ((cli->command->options >> i & 1) != 0) add_option(cli, &lt_options[i], words);
    lt_buf_add(words, "--", sizeof "--");
    if (verb != NULL) lt_buf_add(words, verb, strlen(verb) + 1);
    for (size_t i = 0; i < cli->argument_count; i++) lt_buf_add(words, cli->arguments[i], strlen(cli->arguments[i]) + 1);
}

int lt_hand_over(struct lt_cli *cli, const char *module, const char *verb) {
    char python[PATH_MAX];
    const char *all[ARGUMENTS_MAX];
    struct lt_buf words, start;
    size_t n = 0;
    int exit = find_litmus(cli, python, sizeof python);
    if (exit != EXIT_OK) return exit;
    lt_buf_init(&words);
    lt_buf_init(&start);
    lt_python_start(module, &start);
    all[n++] = python;
    all[n++] = "-c";
    all[n++] = lt_buf_cstr(&start);
    add_said(cli, verb, &words);
    for (const char *word = words.p; word != NULL && word < words.p + words.n && n < ARGUMENTS_MAX - 1; word += strlen(word) + 1) all[n++] = word;
    all[n] = NULL;
    struct litmus_error error = {0};
    fflush(stdout);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    bool failed = words.failed || start.failed;
    if (!failed) execv(python, (char *const *)(uintptr_t)all);
    if (failed) lt_fail(&error, LITMUS_ENOMEM, 0, "out of memory for the command line");
    else lt_fail_os(&error, errno, "start", python);
    lt_buf_release(&words);
    lt_buf_release(&start);
    return lt_cli_fail(cli, &error);
}
