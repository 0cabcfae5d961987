/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs without a file: in flight, or left by a producer that died. They come from the same fold and
 * the same rows as the files.
 */
#include "accumulate/gather.h"
#include "base/clock.h"
#include "base/grow.h"
#include "materialize/rows.h"
#include "log/log.h"
#include "query/query_internal.h"

#include <stdio.h>
#include <stdlib.h>

static int no_memory(struct litmus_error *error) {
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the runs in flight");
}

static struct lt_overlay_run *add_run(struct lt_overlay *o) {
    struct lt_overlay_run *grown = lt_grow_list(o->runs, o->count, &o->capacity, sizeof *grown);
    if (grown == NULL) return NULL;
    o->runs = grown;
    struct lt_overlay_run *run = &o->runs[o->count++];
    *run = (struct lt_overlay_run){.summary = {.live = false}};
    return run;
}

/* ---- the logs of a session ---- */

struct paths {
    const char *data_dir;
    struct lt_log_list list;
    size_t capacity;
    bool failed;
};

static bool add_path(void *self, const char *path, int64_t mtime_us) {
    struct paths *p = self;
    (void)mtime_us;
    p->failed = true; /* until it is done */
    struct lt_log_file *grown = lt_grow_list(p->list.files, p->list.count, &p->capacity, sizeof *grown);
    if (grown == NULL) return false;
    p->list.files = grown;
    size_t bytes = strlen(p->data_dir) + strlen(path) + 2;
    struct lt_log_file *file = &p->list.files[p->list.count];
    *file = (struct lt_log_file){.path = malloc(bytes)};
    if (file->path == NULL) return false;
    snprintf(file->path, bytes, "%s/%s", p->data_dir, path);
    p->list.count++;
    p->failed = false;
    return true;
}

int lt_query_gather(struct lt_query *q, const char *session_id, const char *run_id, struct lt_gathering *out, struct litmus_error *error) {
    struct paths paths = {.data_dir = q->data_dir};
    bool known = lt_catalog_logs(q->catalog, session_id, 0, add_path, &paths, NULL) == LITMUS_OK && !paths.failed && paths.list.count > 0;
    struct lt_gather_options options = {.run_id = run_id, .logs = known ? &paths.list : NULL};
    int code = lt_gather_session(q->data_dir, session_id, &options, out, error);
    lt_log_list_release(&paths.list);
    return code;
}

/* ---- runs without a file ---- */

static int add_session(struct lt_query *q, const char *session_id, struct lt_overlay *out, struct litmus_error *error) {
    struct lt_gathering session;
    struct litmus_error why = {0};
    int code = lt_query_gather(q, session_id, NULL, &session, &why);
    for (size_t i = 0; code == LITMUS_OK && i < session.run_count; i++) {
        const struct lt_gathered_run *run = session.runs[i];
        if (!run->run.has_started || lt_catalog_has_run(q->catalog, run->run.run_id)) continue;
        if (run->materialized) {
            out->outdated = true;
            continue;
        }
        struct lt_overlay_run *added = add_run(out);
        code = added == NULL ? no_memory(error) : lt_rows_build(&run->run, &added->rows, &why);
        if (code == LITMUS_OK) code = lt_summary_of(&added->rows, LT_STR_NULL, &added->summary, &why);
        if (code != LITMUS_OK) break;
        added->summary.live = !run->run.has_ended && run->producer_alive;
        /* Nobody has written down how it ended: there is no outcome yet. */
        if (!run->run.has_ended) {
            added->summary.outcome = LT_STR_NULL;
            added->summary.ended_at = LT_TIME_NONE;
        }
    }
    lt_gathering_release(&session);
    /* One session that cannot be read hides no other, and is told of. */
    if (lt_error_is_refusal(&why) && q->overlay_why.code == LITMUS_OK) q->overlay_why = why;
    return code == LITMUS_ENOMEM ? lt_fail(error, code, 0, "%s", why.text) : LITMUS_OK;
}

int lt_overlay_load(struct lt_query *q, struct lt_overlay *out, struct litmus_error *error) {
    *out = (struct lt_overlay){0};
    lt_error_clear(&q->overlay_why);
    size_t count = 0;
    const struct lt_open_session *sessions = lt_catalog_open_sessions(q->catalog, &count);
    int code = LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < count; i++)
        if (sessions[i].has_runs) code = add_session(q, sessions[i].session_id, out, error);
    return code;
}

void lt_overlay_release(struct lt_overlay *overlay) {
    for (size_t i = 0; i < overlay->count; i++) lt_table_release(&overlay->runs[i].rows);
    free(overlay->runs);
    *overlay = (struct lt_overlay){0};
}
