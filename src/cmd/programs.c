/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/programs.h"

#include "base/portable.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 64 };

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

static bool has_module(const char *python, const char *module) {
    char text[256];
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

int lt_become_python(struct lt_cli *cli, const char *module, const char *const *arguments) {
    char python[PATH_MAX], text[256];
    const char *given = getenv("LITMUS_PYTHON"), *all[ARGUMENTS_MAX + 4];
    size_t n = 0;
    if (given != NULL && given[0] != '\0') {
        snprintf(python, sizeof python, "%s", given);
        if (!lt_is_program(python)) return lt_usage(cli, "LITMUS_PYTHON names %s, which is no program", given);
    } else if (!lt_find_python("litmus", python, sizeof python)) {
        lt_complain(cli, "no Python with the litmus package was found: pip install litmus-recorder, or set LITMUS_PYTHON to the Python that has it");
        return EXIT_NOT_FOUND;
    }
    snprintf(text, sizeof text, ELSEWHERE "from %s.__main__ import main; sys.exit(main(sys.argv[1:]))", module);
    all[n++] = python;
    all[n++] = "-c";
    all[n++] = text;
    for (size_t i = 0; arguments[i] != NULL && i < ARGUMENTS_MAX; i++) all[n++] = arguments[i];
    all[n] = NULL;
    fflush(stdout);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    execv(python, (char *const *)(uintptr_t)all);
    struct litmus_error error = {0};
    lt_fail_os(&error, errno, "start", python);
    return lt_cli_fail(cli, &error);
}
