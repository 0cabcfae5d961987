/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/dossier.h"

#include "base/grow.h"
#include "materialize/rows.h"

#include <stdlib.h>

static const char *relative(struct lt_dossier *d, const char *path) {
    size_t n = strlen(d->data_dir);
    if (strncmp(path, d->data_dir, n) == 0 && path[n] == '/') path += n + 1;
    struct lt_str own = lt_arena_str(&d->arena, lt_str_of(path));
    return own.p == NULL ? "" : own.p;
}

static void take_finding(void *self, enum lt_finding_kind kind, const char *path, int64_t offset, const char *text) {
    (void)kind;
    struct lt_dossier *d = self;
    struct lt_dossier_finding *grown = lt_grow_list(d->findings, d->finding_count, &d->finding_capacity, sizeof *grown);
    d->failed |= grown == NULL;
    if (grown == NULL) return;
    d->findings = grown;
    struct lt_str own = lt_arena_str(&d->arena, lt_str_of(text));
    d->findings[d->finding_count++] = (struct lt_dossier_finding){relative(d, path), offset, own.p == NULL ? "" : own.p};
}

static void take_log(void *self, const struct lt_proved_log *log) {
    struct lt_dossier *d = self;
    if (log->head.identity[0] == '\0' && log->findings == 0) return; /* whoever made it died before it wrote */
    struct lt_proved_log *grown = lt_grow_list(d->logs, d->log_count, &d->log_capacity, sizeof *grown);
    d->failed |= grown == NULL;
    if (grown == NULL) return;
    d->logs = grown;
    d->logs[d->log_count] = *log;
    d->logs[d->log_count++].path = relative(d, log->path);
}

static int prove(struct lt_dossier *d, const char *session_id, const char *run_id, const struct lt_keyring *keys, bool want_signed, struct litmus_error *error) {
    struct lt_proof proof;
    struct lt_proof_options options = {.data_dir = d->data_dir, .keys = keys, .want_signed = want_signed, .finding = take_finding, .log = take_log, .self = d};
    lt_proof_init(&proof, &options);
    int code = lt_proof_session(&proof, session_id, run_id, error);
    d->events = proof.events;
    lt_proof_release(&proof);
    return code;
}

static int fold(struct lt_dossier *d, const char *session_id, const char *run_id, struct litmus_error *error) {
    struct lt_gather_options options = {.run_id = run_id};
    int code = lt_gather_session(d->data_dir, session_id, &options, &d->session, error);
    if (code != LITMUS_OK) return code;
    if (d->session.run_count == 0) return lt_fail(error, LITMUS_ENOENT, 0, "the logs of session %s hold no run %s", session_id, run_id);
    d->run = d->session.runs[0];
    lt_run_count(&d->run->run, &d->sum);
    return lt_rows_build(&d->run->run, &d->rows, error);
}

int lt_dossier_load(const char *data_dir, struct lt_query *query, const char *session_id, const char *run_id, const struct lt_keyring *keys, bool want_signed,
                    struct lt_dossier *d, struct litmus_error *error) {
    struct lt_run_ref ref = {0};
    *d = (struct lt_dossier){.data_dir = data_dir};
    lt_arena_init(&d->arena);
    lt_table_init(&d->rows);
    int code = lt_str_of(session_id).n < sizeof ref.session_id && lt_str_of(run_id).n < sizeof ref.run_id ? LITMUS_OK
                   : lt_fail(error, LITMUS_ENOENT, 0, "no run or session has so long an id: %.80s", run_id);
    if (code != LITMUS_OK) return code;
    memcpy(ref.session_id, session_id, strlen(session_id));
    memcpy(ref.run_id, run_id, strlen(run_id));
    code = fold(d, session_id, run_id, error);
    if (code == LITMUS_OK) code = prove(d, session_id, run_id, keys, want_signed, error);
    if (code == LITMUS_OK) code = lt_reviews_load(query, &ref, &d->reviews, error);
    if (code == LITMUS_OK && (d->failed || d->arena.failed)) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the evidence of run %s", run_id);
    return code;
}

void lt_dossier_release(struct lt_dossier *d) {
    lt_gathering_release(&d->session);
    lt_table_release(&d->rows);
    lt_reviews_release(&d->reviews);
    lt_arena_release(&d->arena);
    free(d->logs);
    free(d->findings);
}

struct lt_str lt_dossier_str(const struct lt_dossier *d, const char *column, int64_t row) {
    return lt_table_str(&d->rows, lt_table_find(&d->rows, column), row);
}

bool lt_dossier_is(const struct lt_dossier *d, int64_t row, const char *record_type) {
    return lt_str_eq(lt_dossier_str(d, "record_type", row), lt_str_of(record_type));
}

bool lt_dossier_never_ran(const struct lt_dossier *d, int64_t row) {
    return lt_dossier_is(d, row, "step") && lt_table_is_null(&d->rows, lt_table_find(&d->rows, "vector_outcome"), row) &&
           lt_table_is_null(&d->rows, lt_table_find(&d->rows, "step_started_at"), row);
}
