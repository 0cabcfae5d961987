/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/knowledge.h"

#include "serve/folding.h"

#include <stdlib.h>
#include <string.h>

bool lt_knowledge_fits(const struct lt_session *session) {
    bool any = false;
    if (session->failed || session->forgetful) return false;
    for (const struct lt_followed_log *log = session->logs; log != NULL; log = log->next_of_session) {
        if (log->broken || log->dead || log->damaged || log->refused) return false;
    }
    for (const struct lt_mark *mark = session->marks; mark != NULL; mark = mark->next) {
        if (mark->ended && (!mark->started || mark->blurred)) return false;
        any = any || mark->ended;
    }
    return any;
}

static int by_path(const void *a, const void *b) {
    return lt_log_path_order((*(struct lt_followed_log *const *)a)->path, (*(struct lt_followed_log *const *)b)->path);
}

/* The logs that hold rows of the runs, in order of path; each learns its number. */
static bool take_logs(const struct lt_session *session, struct lt_known_session *known) {
    size_t count = 0, at = 0;
    for (struct lt_followed_log *log = session->logs; log != NULL; log = log->next_of_session) log->number = 0;
    for (const struct lt_mark *mark = session->marks; mark != NULL; mark = mark->next) {
        for (size_t i = 0; mark->ended && i < mark->span_count; i++) count += mark->spans[i].log->number++ == 0;
    }
    struct lt_followed_log **logs = calloc(count + 1, sizeof(struct lt_followed_log *));
    known->logs = calloc(count + 1, sizeof *known->logs);
    bool ok = logs != NULL && known->logs != NULL;
    for (struct lt_followed_log *log = session->logs; ok && log != NULL; log = log->next_of_session) {
        if (log->number > 0) logs[at++] = log;
    }
    if (ok) qsort(logs, count, sizeof *logs, by_path);
    for (size_t i = 0; ok && i < count; i++) {
        logs[i]->number = (uint32_t)i;
        known->logs[i] = (struct lt_known_log){strdup(logs[i]->path), logs[i]->rows};
        known->log_count++;
        ok = known->logs[i].path != NULL;
    }
    free(logs);
    return ok;
}

static int by_place(const void *a, const void *b) {
    const struct lt_stretch *x = a, *y = b;
    if (x->log != y->log) return x->log < y->log ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static bool take_run(struct lt_mark *mark, struct lt_known_run *run, size_t *folded_bytes) {
    run->folded = lt_folding_take(mark, folded_bytes);
    run->run_id = strdup(mark->id);
    run->stretches = calloc(mark->span_count + 1, sizeof *run->stretches);
    if (run->run_id == NULL || run->stretches == NULL) return false;
    for (size_t i = 0; i < mark->span_count; i++) {
        run->stretches[i] = mark->spans[i].at;
        run->stretches[i].log = mark->spans[i].log->number;
    }
    run->count = mark->span_count;
    qsort(run->stretches, run->count, sizeof *run->stretches, by_place);
    return true;
}

struct lt_known_session *lt_knowledge_of(struct lt_session *session, size_t *folded_bytes) {
    struct lt_known_session *known = calloc(1, sizeof *known);
    if (known == NULL) return NULL;
    known->number = session->number;
    size_t count = 0;
    for (const struct lt_mark *mark = session->marks; mark != NULL; mark = mark->next) count += mark->ended;
    known->runs = calloc(count + 1, sizeof *known->runs);
    bool ok = known->runs != NULL && lt_knowledge_fits(session) && take_logs(session, known);
    for (struct lt_mark *mark = session->marks; ok && mark != NULL; mark = mark->next) {
        if (mark->ended) ok = take_run(mark, &known->runs[known->run_count++], folded_bytes);
    }
    if (ok) return known;
    lt_known_session_free(known);
    return NULL;
}
