/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog.h - which runs exist and where: SQLite at <data_dir>/catalog.sqlite, disposable.
 * catalog.c is the only file that knows SQLite.
 *
 * Always true: whatever is in the catalog can be rebuilt from runs/; a missing, foreign, damaged or
 * unwritable catalog file never fails a query (it is made anew, or in memory).
 */
#ifndef LT_QUERY_CATALOG_H
#define LT_QUERY_CATALOG_H

#include "base/buf.h"
#include "base/error.h"
#include "materialize/table.h"

struct lt_catalog;

/* One run as the listings show it. Text fields are borrowed from whoever made the summary. */
struct lt_summary {
    struct lt_str run_id, session_id, slot_id, dut_serial, dut_part_number, dut_lot_number, product_id, station_id, station_name;
    struct lt_str station_type, station_hostname, fixture_id, test_phase, operator_id, project_name, git_commit, outcome;
    struct lt_str stop_reason, plan_digest;
    struct lt_str file_path; /* relative to the data_dir; NULL for a live run */
    int64_t started_at, ended_at;          /* LT_TIME_NONE: none */
    int64_t total_steps, total_measurements;
    int64_t passed, failed, errored, skipped, done, terminated, aborted, never_ran; /* step rows */
    bool live;
};

/* The summary of a run's rows (a file's or a live run's). Borrows from the table. */
int lt_summary_of(const struct lt_table *rows, struct lt_str file_path, struct lt_summary *out, struct litmus_error *error);

int lt_catalog_open(const char *data_dir, struct lt_catalog **out, struct litmus_error *error);
void lt_catalog_free(struct lt_catalog *catalog);
/* Adds or replaces a run (by run_id). `size`, `mtime_ns` of the file as the ledger keeps them. */
int lt_catalog_put(struct lt_catalog *catalog, const struct lt_summary *run, int64_t size, int64_t mtime_ns, struct litmus_error *error);
/* Looks for files that were added, changed or removed by hand (only in folders whose time stamp
 * changed) and reads those. Damaged files are remembered as quarantined and left out. */
int lt_catalog_refresh(struct lt_catalog *catalog, struct litmus_error *error);

#endif
