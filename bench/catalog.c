/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog.c - what it costs to put a run into the catalog: catalog DATA_DIR RUNS, with so many there already or not.
 * Prints microseconds a run: each in a transaction of its own, as the daemon does it.
 */
#include "base/clock.h"
#include "log/log.h" /* tells the build to look behind the public header */
#include "query/catalog.h"

#include <stdio.h>
#include <stdlib.h>

static int put(struct lt_catalog *catalog, int number, struct litmus_error *error) {
    char id[64], path[128], serial[32];
    snprintf(id, sizeof id, "%08x-0000-4000-8000-%012d", (unsigned)number * 2654435761u, number);
    snprintf(path, sizeof path, "runs/bench-%d/%d.parquet", number / 300, number);
    snprintf(serial, sizeof serial, "SN%07d", number);
    struct lt_summary run = {.run_id = lt_str_of(id), .session_id = lt_str_of(id), .dut_serial = lt_str_of(serial), .dut_part_number = LT_STR("P1"),
                             .station_id = LT_STR("bench-1"), .outcome = LT_STR("passed"), .file_path = lt_str_of(path),
                             .started_at = 1767225600000000 + number, .ended_at = 1767225600000000 + number, .total_steps = 100, .passed = 100, .planned = 100};
    return lt_catalog_put(catalog, &run, 20000, number, error);
}

int main(int argc, char **argv) {
    struct lt_catalog *catalog = NULL;
    struct litmus_error error = {0};
    char *end = NULL;
    int runs = argc > 2 ? (int)strtol(argv[2], &end, 10) : 0;
    int code = runs <= 0 || *end != '\0' ? LITMUS_EINVAL : lt_catalog_open(argv[1], &catalog, &error);
    int64_t start = lt_monotonic_us();
    for (int i = 0; code == LITMUS_OK && i < runs; i++) code = put(catalog, i, &error);
    int64_t took = lt_monotonic_us() - start;
    lt_catalog_free(catalog);
    if (code == LITMUS_OK) printf("%.3f\n", (double)took / runs);
    else fprintf(stderr, "catalog: %s\n", error.text);
    return code != LITMUS_OK;
}
