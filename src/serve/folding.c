/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/folding.h"

enum { FOLDED_BYTES_MAX = 48 * 1024 * 1024 };

/* Only from the first row on: what was noted before was not folded. */
static bool may_begin(const struct lt_mark *mark, const struct lt_followed_log *log) {
    return mark->span_count == 0 && !mark->blurred && log->unsynced;
}

static void begin(struct lt_mark *mark, const struct lt_followed_log *log, const struct lt_row *row) {
    mark->folded = lt_gathered_run_new(row, log->session->id);
    if (mark->folded == NULL) return;
    const char *identity = lt_log_reader_identity(log->reader);
    mark->folded->only_log = lt_arena_str(&mark->folded->run.arena, lt_str_of(identity == NULL ? "" : identity));
    mark->folded_of = log;
}

void lt_folding_note(struct lt_follow *f, struct lt_mark *mark, const struct lt_followed_log *log, const struct lt_row *row) {
    size_t before = mark->folded == NULL ? 0 : mark->folded->run.arena.bytes;
    if (mark->folded == NULL && may_begin(mark, log)) begin(mark, log, row);
    if (mark->folded == NULL) return;
    if (mark->folded_of != log) {
        lt_folding_drop(f, mark);
        return;
    }
    int code = lt_gathered_run_fold(mark->folded, row, log->path, 0, NULL);
    const struct lt_arena *arena = &mark->folded->run.arena;
    f->folded_bytes += arena->bytes - before;
    if (code != LITMUS_OK || arena->failed || f->folded_bytes > FOLDED_BYTES_MAX) lt_folding_drop(f, mark);
}

void lt_folding_drop(struct lt_follow *f, struct lt_mark *mark) {
    size_t bytes = 0;
    lt_gathered_run_free(lt_folding_take(mark, &bytes));
    lt_folding_done(f, bytes);
}

struct lt_gathered_run *lt_folding_take(struct lt_mark *mark, size_t *bytes) {
    struct lt_gathered_run *run = mark->folded;
    mark->folded = NULL;
    mark->folded_of = NULL;
    if (run != NULL) *bytes += run->run.arena.bytes;
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
