/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h - what the C programs of the bench share: a clock and an end with words.
 */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline double bench_now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

_Noreturn static inline void bench_die(const char *what, const char *words) {
    fprintf(stderr, "%s: %s\n", what, words);
    exit(1);
}

/* A number of the command line. */
static inline int bench_number(const char *text) {
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < 0 || n > 1000000000) bench_die("no number of things", text);
    return (int)n;
}

#endif
