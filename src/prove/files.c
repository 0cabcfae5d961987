/* SPDX-License-Identifier: Apache-2.0
 *
 * files.c - each run file against what its log folds to; what differs is named by row and column.
 */
#include "accumulate/gather.h"
#include "materialize/attachments.h"
#include "materialize/materialize.h"
#include "materialize/parquet.h"
#include "materialize/rows.h"
#include "prove/proof.h"

#include <stdio.h>

enum { NAME_BYTES_MAX = 200 };

static void add_cell(struct lt_buf *out, const struct lt_table *t, int64_t column, int64_t row) {
    size_t start = out->n;
    lt_table_json(t, column, row, out);
    enum { CELL_BYTES_MAX = 120 };
    if (out->n - start > CELL_BYTES_MAX) {
        out->n = start + CELL_BYTES_MAX;
        lt_buf_add_text(out, "...");
    }
}

/* The first cell that differs, in words. false: all rows agree. */
static bool name_difference(struct lt_proof *v, const char *path, int64_t offset, const struct lt_table *file, const struct lt_table *log) {
    struct lt_buf a, b;
    bool found = false;
    lt_buf_init(&a);
    lt_buf_init(&b);
    if (lt_table_rows(file) != lt_table_rows(log)) {
        lt_proof_finding(v, LT_FINDING_RUN_FILE, path, offset, "has %lld rows, the log gives %lld", (long long)lt_table_rows(file), (long long)lt_table_rows(log));
        found = true;
    }
    for (int64_t row = 0; !found && row < lt_table_rows(log); row++) {
        for (int64_t c = 0; !found && c < lt_table_columns(log); c++) {
            lt_buf_clear(&a);
            lt_buf_clear(&b);
            add_cell(&a, file, lt_table_find(file, lt_table_name(log, c)), row);
            add_cell(&b, log, c, row);
            if (strcmp(lt_buf_cstr(&a), lt_buf_cstr(&b)) == 0) continue;
            struct lt_str step = lt_table_str(log, lt_table_find(log, "step_path"), row), kind = lt_table_str(log, lt_table_find(log, "record_type"), row);
            lt_proof_finding(v, LT_FINDING_RUN_FILE, path, offset,
                             "row %lld (%.*s%s%.*s), column %s: the file has %s, the log gives %s", (long long)row, LT_STR_ARG(kind), step.n > 0 ? " " : "",
                    LT_STR_ARG(step), lt_table_name(log, c), lt_buf_cstr(&a), lt_buf_cstr(&b));
            found = true;
        }
    }
    lt_buf_release(&a);
    lt_buf_release(&b);
    return found;
}

static int64_t first_difference(const struct lt_buf *a, const struct lt_buf *b) {
    size_t i = 0;
    while (i < a->n && i < b->n && a->p[i] == b->p[i]) i++;
    return (int64_t)i;
}

static int explain(struct lt_proof *v, const char *path, const struct lt_run *run, struct litmus_error *error) {
    struct lt_table file, log;
    struct litmus_error why = {0};
    int64_t offset = first_difference(&v->file, &v->expected);
    lt_table_init(&file);
    lt_table_init(&log);
    int code = LITMUS_OK;
    if (lt_parquet_read(path, NULL, 0, &file, &why) != LITMUS_OK) {
        lt_proof_unread(v, LT_FINDING_RUN_FILE, path, offset, &why, "; litmus rebuild makes it anew");
    } else {
        code = lt_rows_build(run, &log, error);
        if (code == LITMUS_OK && !name_difference(v, path, offset, &file, &log))
            lt_proof_finding(v, LT_FINDING_RUN_FILE, path, offset,
                             "its rows are right, but its bytes are not those that this version (%s) writes; litmus rebuild makes it anew", litmus_version());
    }
    lt_table_release(&file);
    lt_table_release(&log);
    return code;
}

struct attached {
    struct lt_proof *v;
    const char *path; /* of the run file */
};

static void tell_attachment(void *self, const char *what) {
    const struct attached *a = self;
    lt_proof_finding(a->v, LT_FINDING_ATTACHMENT, a->path, -1, "attachment: %s", what);
}

static int check_file(struct lt_proof *v, const struct lt_gathering *session, const struct lt_gathered_run *run, struct litmus_error *error) {
    struct litmus_error why = {0};
    if (!lt_destination_usable(run->destination)) {
        struct lt_str said = run->destination.p == NULL ? LT_STR("nowhere") : run->destination;
        if (said.n > NAME_BYTES_MAX) said.n = NAME_BYTES_MAX;
        lt_proof_finding(v, LT_FINDING_LOG, run->owner_log.p == NULL ? "" : run->owner_log.p, -1, "run %.*s: its file is said to be %.*s, which is no path below runs/",
                         LT_STR_ARG(run->run.run_id), LT_STR_ARG(said));
        return LITMUS_OK;
    }
    v->files++;
    if (run->late > 0 && v->late == 0) snprintf(v->late_run, sizeof v->late_run, "%.*s", LT_STR_ARG(run->run.run_id));
    v->late += run->late;
    lt_buf_clear(&v->path);
    lt_buf_addf(&v->path, "%s/%.*s", v->options.data_dir, LT_STR_ARG(run->destination));
    const char *path = lt_buf_cstr(&v->path);
    struct lt_str own = lt_arena_str(&v->arena, lt_str_of(path));
    if (own.p == NULL || !lt_map_put(&v->read, own, 0, 1)) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the run files");
    if (!v->logs_unlisted) lt_attachments_check(session, &run->run, path, tell_attachment, &(struct attached){v, path});
    lt_buf_clear(&v->file);
    lt_buf_clear(&v->expected);
    if (lt_io_read_file(path, LT_RUN_FILE_BYTES_MAX, &v->file, &why) != LITMUS_OK) {
        if (!v->logs_unlisted || lt_error_is_refusal(&why)) lt_proof_unread(v, LT_FINDING_RUN_FILE, path, -1, &why, "; litmus rebuild makes it anew");
        return LITMUS_OK;
    }
    int code = lt_run_encode(&run->run, &v->expected, error);
    bool equal = code == LITMUS_OK && v->file.n == v->expected.n && memcmp(v->file.p, v->expected.p, v->file.n) == 0;
    return code == LITMUS_OK && !equal && !v->logs_unlisted ? explain(v, path, &run->run, error) : code;
}

/* A run without its file is the logs' matter (check_end) or still going on, or ended a moment ago: its producer, or a daemon, is about to write it.
 * Where a log may lie in a folder that was not listed, only what agrees says something. */
int lt_proof_files(struct lt_proof *v, const char *session_id, struct litmus_error *error) {
    struct lt_gathering session = {0};
    struct lt_log_list now = {0};
    bool nobody_does = false; /* nor is waited for again */
    int code = v->logs_unlisted ? LITMUS_OK : lt_log_index_find(v->index, v->options.data_dir, session_id, NULL, NULL, &now, error);
    struct lt_gather_options options = {.run_id = v->run_id, .logs = v->logs_unlisted ? v->session_logs : &now};
    if (code == LITMUS_OK) code = lt_gather_session(v->options.data_dir, session_id, &options, &session, error);
    for (size_t i = 0; code == LITMUS_OK && i < session.run_count; i++) {
        const struct lt_gathered_run *run = session.runs[i];
        if (run->only_renamed && run->run.has_started && !v->logs_unlisted)
            lt_proof_finding(v, LT_FINDING_LOG, session_id, -1, "a log gives the file of run %.*s another name, and none says that it was made",
                             LT_STR_ARG(run->run.run_id));
        if ((run->materialized || run->only_renamed) && !run->run.has_started && !v->logs_unlisted)
            lt_proof_finding(v, LT_FINDING_LOG, session_id, -1, "a log says that run %.*s has a file, and none that it began", LT_STR_ARG(run->run.run_id));
        if (run->materialized) code = check_file(v, &session, run, error);
        else if (!v->logs_unlisted && run->run.has_started && !run->producer_alive && (nobody_does || !lt_proof_named(v, NULL, session_id, run->run.run_id.p))) {
            nobody_does = true;
            lt_proof_finding(v, LT_FINDING_UNFINISHED, run->owner_log.p == NULL ? "" : run->owner_log.p, -1,
                             "run %.*s has no file; litmus materialize writes it", LT_STR_ARG(run->run.run_id));
        }
    }
    if (code == LITMUS_OK && v->run_id != NULL && session.run_count == 0 && !v->logs_unlisted)
        lt_proof_finding(v, LT_FINDING_CATALOG, session_id, -1, "no log of this session speaks of run %s, which the catalog has in it; litmus reindex makes that anew", v->run_id);
    lt_gathering_release(&session);
    lt_log_list_release(&now);
    return code;
}
