/* SPDX-License-Identifier: Apache-2.0
 *
 * derived.c - what is made from the record and can be made again: catalog and lake. (What is in them is litmus verify's matter.)
 */
#include "base/io.h"
#include "doctor/checks.h"
#include "query/lake.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void lt_look_at_derived(struct lt_doctor *d) {
    struct stat st;
    struct lt_table runs;
    struct lt_buf path;
    struct lt_run_filter last = {.limit = 1, .finished_only = true};
    lt_buf_init(&path);
    bool missing = lstat(lt_path_join(&path, d->data_dir, "catalog.sqlite"), &st) != 0;
    if (missing && lt_query_runs(d->query, &last, &runs, NULL) == LITMUS_OK) {
        if (lt_table_rows(&runs) > 0) lt_doctor_tell(d, LT_CHECK_CATALOG, LT_DOCTOR_NOTE, "catalog.sqlite", "there is none: the next list of runs makes it");
        lt_table_release(&runs);
    }
    lt_buf_release(&path);
}

/* What is no plain file is in the way of one. */
int lt_mend_catalog(struct lt_doctor *d, struct litmus_error *error) {
    struct stat st;
    struct lt_query *query = NULL;
    struct lt_buf path;
    lt_buf_init(&path);
    const char *file = lt_path_join(&path, d->data_dir, "catalog.sqlite");
    int code = lstat(file, &st) == 0 && !S_ISREG(st.st_mode) ? lt_doctor_set_aside(file, true, error) : LITMUS_OK;
    if (code == LITMUS_OK) code = lt_query_open(d->data_dir, &query, error);
    if (code == LITMUS_OK) code = lt_query_reindex(query, NULL, NULL, error);
    lt_query_free(query);
    lt_buf_release(&path);
    return code;
}

int lt_mend_lake(struct lt_doctor *d, struct litmus_error *error) {
    struct lt_query *query = NULL;
    struct lt_lake_done done;
    int code = lt_query_open(d->data_dir, &query, error);
    if (code == LITMUS_OK) code = lt_lake_forget(query, error);
    if (code == LITMUS_OK) code = lt_lake_compact(query, NULL, NULL, &done, error);
    lt_query_free(query);
    return code;
}
