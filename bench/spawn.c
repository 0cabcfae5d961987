/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn.c - how long a whole process takes, from fork to its end, with its output thrown away.
 * Usage: spawn TIMES PROGRAM [ARGUMENT...]. Prints the milliseconds of each, one a line.
 */
#include "bench.h"

#include <sys/wait.h>

static double once_ms(char **command) {
    double start = bench_now_us();
    pid_t child = fork();
    if (child < 0) bench_die("fork", strerror(errno));
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        execv(command[0], command);
        _exit(127);
    }
    int status;
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) bench_die(command[0], "did not end well");
    return (bench_now_us() - start) / 1e3;
}

int main(int argc, char **argv) {
    if (argc < 3) bench_die("usage", "spawn TIMES PROGRAM [ARGUMENT...]");
    for (int i = 0; i < bench_number(argv[1]); i++) printf("%.3f\n", once_ms(argv + 2));
    return 0;
}
