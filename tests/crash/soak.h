/* SPDX-License-Identifier: Apache-2.0
 *
 * soak.h - small in a test run, long in `make soak`: LITMUS_SOAK is the number of minutes a program
 * may take, LITMUS_SOAK_FIGURES a file that gets one `"name": value` a line.
 */
#ifndef SOAK_H
#define SOAK_H

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static inline bool soaking(void) {
    return getenv("LITMUS_SOAK") != NULL;
}
static inline int soak_size(int in_test, int in_soak) {
    return soaking() ? in_soak : in_test;
}
/* When this program's time is up; a test run has no such limit. */
static inline int64_t soak_end(void) {
    static int64_t end_us;
    if (!soaking()) return INT64_MAX;
    if (end_us == 0) end_us = lt_monotonic_us() + (int64_t)(strtod(getenv("LITMUS_SOAK"), NULL) * 60e6);
    return end_us;
}
static inline bool soak_goes_on(void) {
    return lt_monotonic_us() < soak_end();
}
/* When the first of `parts` that are still to come has had its share: what it leaves is the others'. */
static inline int64_t soak_share(int parts) {
    int64_t now = lt_monotonic_us(), end = soak_end();
    return end == INT64_MAX ? end : now + (end - now) / parts;
}
static inline void soak_figure(const char *name, int64_t value) {
    const char *path = getenv("LITMUS_SOAK_FIGURES");
    FILE *file = path == NULL ? stdout : fopen(path, "a");
    if (file == NULL) return;
    fprintf(file, "\"%s\": %" PRId64 "\n", name, value);
    if (file != stdout) fclose(file);
}

/* The same numbers every time in a test run; others each time in a soak. */
static inline uint32_t soak_draw(uint32_t below) {
    static uint64_t state;
    if (state == 0) state = soaking() ? (uint64_t)lt_now_us() : 42;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return below == 0 ? 0 : (uint32_t)(state >> 33) % below;
}

#endif
