/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/folding.h"

#include <stdlib.h>

enum { FOLDED_BYTES_MAX = 48 * 1024 * 1024 };

static struct lt_folding *begin(const struct lt_followed_log *log, const struct lt_row *row) {
    struct lt_folding *folding = calloc(1, sizeof *folding);
    struct lt_gathered_run *run = folding == NULL ? NULL : calloc(1, sizeof *run);
    if (run == NULL) {
        free(folding);
        return NULL;
    }
    lt_run_init(&run->run, row->run_id, row->session_id);
    folding->run = run;
    folding->log = log;
    return folding;
}

void lt_folding_note(struct lt_follow *f, struct lt_mark *mark, const struct lt_followed_log *log, const struct lt_row *row) {
    if (mark->unfolded) return;
    if (mark->folding == NULL && mark->span_count == 0 && log->unsynced) mark->folding = begin(log, row);
    struct lt_folding *folding = mark->folding;
    if (folding == NULL || folding->log != log) {
        lt_folding_drop(f, mark);
        return;
    }
    struct lt_run *run = &folding->run->run;
    if (folding->run->owner_log.p == NULL && lt_str_eq(row->event_type, LT_STR("run.started")))
        folding->run->owner_log = lt_arena_str(&run->arena, lt_str_of(log->path));
    int code = lt_run_fold(run, row, 0, NULL);
    f->folded_bytes += run->arena.bytes - folding->bytes;
    folding->bytes = run->arena.bytes;
    if (code != LITMUS_OK || run->arena.failed || f->folded_bytes > FOLDED_BYTES_MAX) lt_folding_drop(f, mark);
}

void lt_folding_drop(struct lt_follow *f, struct lt_mark *mark) {
    size_t bytes = 0;
    struct lt_gathered_run *run = lt_folding_take(mark, &bytes);
    lt_folding_done(f, bytes);
    lt_gathered_run_free(run);
}

struct lt_gathered_run *lt_folding_take(struct lt_mark *mark, size_t *bytes) {
    struct lt_folding *folding = mark->folding;
    mark->unfolded = true;
    mark->folding = NULL;
    if (folding == NULL) return NULL;
    struct lt_gathered_run *run = folding->run;
    *bytes += folding->bytes;
    free(folding);
    return run;
}

void lt_folding_done(struct lt_follow *f, size_t bytes) {
    f->folded_bytes -= bytes;
}

void lt_folding_rest(struct lt_follow *f) {
    for (size_t i = 0; i < LT_FOLLOW_BUCKETS && f->folded_bytes > 0; i++) {
        for (struct lt_session *session = f->sessions[i]; session != NULL; session = session->next) {
            for (struct lt_mark *mark = session->marks; mark != NULL; mark = mark->next) lt_folding_drop(f, mark);
        }
    }
}
