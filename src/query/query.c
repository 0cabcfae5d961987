/* SPDX-License-Identifier: Apache-2.0 */
#include "query/query_internal.h"

#include "accumulate/gather.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/grow.h"
#include "base/io.h"
#include "materialize/build.h"
#include "materialize/changeset.h"
#include "materialize/parquet.h"
#include "materialize/range_lock.h"
#include "materialize/rows.h"
#include "query/catalog_store.h"
#include "query/lake.h"
#include "query/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int open_query(const char *data_dir, bool in_memory, struct lt_query **out, struct litmus_error *error) {
    *out = NULL;
    int refused = lt_data_dir_check(data_dir, error);
    if (refused != LITMUS_OK) return refused;
    struct litmus_error held_up = {0};
    if (!in_memory) (void)!lt_changeset_finish_within(NULL, data_dir, LT_RANGE_PATIENCE_MS, &held_up);
    struct lt_query *q = calloc(1, sizeof *q);
    if (q != NULL) *q = (struct lt_query){.data_dir = strdup(data_dir), .lake_fd = -1, .in_memory = in_memory, .held_up = held_up};
    int code = q == NULL || q->data_dir == NULL ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory")
               : in_memory                      ? lt_catalog_open_memory(data_dir, &q->catalog, error)
                                                : lt_catalog_open(data_dir, &q->catalog, error);
    if (code == LITMUS_OK) *out = q;
    else lt_query_free(q);
    return code;
}

int lt_query_open(const char *data_dir, struct lt_query **out, struct litmus_error *error) {
    return open_query(data_dir, false, out, error);
}

int lt_query_open_memory(const char *data_dir, struct lt_query **out, struct litmus_error *error) {
    return open_query(data_dir, true, out, error);
}

void lt_query_free(struct lt_query *q) {
    if (q == NULL) return;
    lt_catalog_free(q->catalog);
    if (q->lake_fd >= 0) close(q->lake_fd);
    free(q->data_dir);
    free(q);
}

/* ---- summaries ---- */

#define SUMMARY_TEXTS(X)                                                                                    \
    X(run_id) X(session_id) X(slot_id) X(dut_serial) X(dut_part_number) X(dut_lot_number) X(product_id)     \
    X(station_id) X(station_name) X(station_type) X(station_hostname) X(fixture_id) X(test_phase)           \
    X(operator_id) X(project_name) X(git_commit) X(outcome) X(stop_reason) X(plan_digest) X(file_path) X(running_step)

static bool add_summary(void *self, const struct lt_summary *run) {
    struct lt_summaries *list = self;
    struct lt_summary *grown = lt_grow_list(list->items, list->count, &list->capacity, sizeof *grown);
    if (grown == NULL) return !(list->arena.failed = true);
    list->items = grown;
    struct lt_summary *own = &list->items[list->count++];
    *own = *run;
#define KEEP(field) own->field = lt_arena_str(&list->arena, run->field);
    SUMMARY_TEXTS(KEEP)
#undef KEEP
    return !list->arena.failed;
}

static void summaries_clear(struct lt_summaries *list) {
    lt_arena_release(&list->arena);
    lt_arena_init(&list->arena);
    list->count = 0;
}

void lt_summaries_release(struct lt_summaries *list) {
    lt_arena_release(&list->arena);
    free(list->items);
    *list = (struct lt_summaries){.items = NULL};
}

/* Newest first; without a time last; ties by id. */
static int newest_first(const void *a, const void *b) {
    const struct lt_summary *x = a, *y = b;
    if (x->started_at != y->started_at) return x->started_at > y->started_at ? -1 : 1; /* none is the least */
    return lt_str_cmp(x->run_id, y->run_id);
}

static bool is_text(const char *wanted, struct lt_str value) {
    return wanted == NULL || lt_str_eq(lt_str_of(wanted), value);
}

static struct lt_str trimmed(struct lt_str s) {
    while (s.n > 0 && s.p[0] == ' ') s = (struct lt_str){s.p + 1, s.n - 1};
    while (s.n > 0 && s.p[s.n - 1] == ' ') s.n--;
    return s;
}

/* A unit is its serial without the blanks around it. */
static bool is_serial(const char *wanted, struct lt_str value) {
    return wanted == NULL || (value.p != NULL && lt_str_eq(trimmed(lt_str_of(wanted)), trimmed(value)));
}

static bool starts(const char *wanted, struct lt_str value) {
    size_t n = wanted == NULL ? 0 : strlen(wanted);
    return wanted == NULL || (value.n >= n && memcmp(value.p == NULL ? "" : value.p, wanted, n) == 0);
}

static bool is_open(int64_t bound) {
    return bound == LT_TIME_NONE || bound == 0;
}

/* A run in flight has no outcome, and is "running" to who asks. */
static bool is_outcome(const char *wanted, struct lt_str value) {
    return is_text(wanted, value) || (value.p == NULL && strcmp(wanted, "running") == 0);
}

static bool has_words(const char *words, const struct lt_summary *r) {
#define FIELD(name) r->name,
    return words == NULL || lt_words_fit(words, (const struct lt_str[]){LT_WORDS_START(FIELD) LT_WORDS_ANYWHERE(FIELD)});
#undef FIELD
}

static bool fits(const struct lt_run_filter *f, const struct lt_summary *r) {
    return is_serial(f->serial, r->dut_serial) && is_text(f->part, r->dut_part_number) && is_text(f->lot, r->dut_lot_number) &&
           starts(f->git, r->git_commit) && is_text(f->station, r->station_id) && is_text(f->operator_id, r->operator_id) &&
           is_text(f->phase, r->test_phase) && is_outcome(f->outcome, r->outcome) && is_text(f->project, r->project_name) &&
           is_text(f->plan, r->plan_digest) && is_text(f->run_id, r->run_id) && has_words(f->text, r) &&
           (is_open(f->since) || r->started_at >= f->since) &&
           (is_open(f->until) || (r->started_at != LT_TIME_NONE && r->started_at < f->until));
}

enum { RECHECK_MAX = 1000 };

/* Files changed in place leave no trace in their folder, so the few that are shown are looked at. */
static int recheck(struct lt_query *q, const struct lt_summaries *list, bool *changed, struct litmus_error *error) {
    *changed = false;
    if (list->count == 0 || list->count > RECHECK_MAX) return LITMUS_OK;
    const char **paths = calloc(list->count, sizeof(const char *));
    if (paths == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing the runs");
    for (size_t i = 0; i < list->count; i++) paths[i] = list->items[i].file_path.p; /* arena text is terminated */
    int code = lt_catalog_recheck(q->catalog, paths, list->count, changed, error);
    free(paths);
    return code;
}

static int load_finished(struct lt_query *q, const struct lt_run_filter *f, struct lt_summaries *out, struct litmus_error *error) {
    int code = lt_catalog_runs(q->catalog, f, add_summary, out, error);
    return code == LITMUS_OK && out->arena.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing the runs") : code;
}

/* A catalog found damaged half-way is made anew, once. */
static int load_checked(struct lt_query *q, const struct lt_run_filter *f, struct lt_summaries *out, struct litmus_error *error) {
    struct litmus_error why = {0};
    bool again = false;
    int code = load_finished(q, f, out, &why);
    if (code == LITMUS_OK) code = recheck(q, out, &again, &why);
    if (code == LITMUS_EDAMAGED) {
        lt_error_clear(&why);
        code = lt_store_reset(q->catalog, &why);
        if (code == LITMUS_OK) code = lt_catalog_refresh(q->catalog, &why);
        again = code == LITMUS_OK;
    }
    if (code == LITMUS_OK && again) {
        summaries_clear(out);
        code = load_finished(q, f, out, &why);
    }
    return code == LITMUS_OK ? code : lt_fail(error, code, why.os_errno, "%s", why.text);
}

static bool is_listed(const struct lt_summaries *list, size_t count, struct lt_str run_id) {
    for (size_t i = 0; i < count; i++)
        if (lt_str_eq(list->items[i].run_id, run_id)) return true;
    return false;
}

/* What got its file meanwhile is there already. */
static int add_overlay(const struct lt_overlay *overlay, const struct lt_run_filter *f, struct lt_summaries *out, struct litmus_error *error) {
    size_t finished = out->count;
    int code = LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < overlay->count; i++) {
        const struct lt_summary *run = &overlay->runs[i].summary;
        if (fits(f, run) && !is_listed(out, finished, run->run_id) && !add_summary(out, run))
            code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing the runs");
    }
    if (out->count > finished && out->count > 1) qsort(out->items, out->count, sizeof *out->items, newest_first);
    return code;
}

void lt_query_take_as_is(struct lt_query *q) {
    q->as_is = true;
}

int lt_query_refresh(struct lt_query *q, struct litmus_error *error) {
    bool as_is = q->as_is;
    q->as_is = false;
    return as_is ? LITMUS_OK : lt_catalog_refresh(q->catalog, error);
}

int lt_summaries_load(struct lt_query *q, const struct lt_run_filter *filter, struct lt_summaries *out, struct litmus_error *error) {
    *out = (struct lt_summaries){.items = NULL};
    lt_arena_init(&out->arena);
    struct lt_run_filter first = *filter;
    int64_t offset = filter->offset > 0 ? filter->offset : 0;
    first.offset = 0;
    if (filter->limit > 0) first.limit = filter->limit > INT64_MAX - offset ? 0 : filter->limit + offset;
    struct lt_overlay overlay = {0};
    int code = lt_query_refresh(q, error);
    /* First the runs without a file: one that gets its file in between is listed twice, which can be told, and never left out. */
    if (code == LITMUS_OK && !filter->finished_only) code = lt_overlay_load(q, &overlay, error);
    if (code == LITMUS_OK && overlay.outdated) code = lt_catalog_refresh(q->catalog, error);
    if (code == LITMUS_OK) code = load_checked(q, &first, out, error);
    if (code == LITMUS_OK) code = add_overlay(&overlay, &first, out, error);
    lt_overlay_release(&overlay);
    if (code != LITMUS_OK) return code;
    size_t skip = (uint64_t)offset < out->count ? (size_t)offset : out->count;
    if (skip > 0) memmove(out->items, out->items + skip, (out->count - skip) * sizeof *out->items);
    out->count -= skip;
    if (filter->limit > 0 && (uint64_t)filter->limit < out->count) out->count = (size_t)filter->limit;
    return LITMUS_OK;
}

/* ---- runs as a table ---- */

#define RUN_COLUMNS(TEXT, TIME, COUNT, PATH, FLAG)                                                                       \
    TEXT("test_run_id", run_id) TEXT("session_id", session_id) TEXT("slot_id", slot_id) TIME("started_at", started_at)   \
    TIME("ended_at", ended_at) TEXT("dut_serial", dut_serial) TEXT("dut_part_number", dut_part_number)                   \
    TEXT("product_id", product_id) TEXT("station_id", station_id) TEXT("station_name", station_name)                     \
    TEXT("station_type", station_type) TEXT("station_hostname", station_hostname) TEXT("fixture_id", fixture_id)         \
    TEXT("test_phase", test_phase) TEXT("operator", operator_id) TEXT("outcome", outcome)                                \
    COUNT("total_measurements", total_measurements) COUNT("total_steps", total_steps)                                    \
    TEXT("project_name", project_name) PATH("file_path", file_path) COUNT("passed", passed) COUNT("failed", failed)      \
    COUNT("errored", errored) COUNT("skipped", skipped) COUNT("done", done) COUNT("terminated", terminated)              \
    COUNT("aborted", aborted) COUNT("never_ran", never_ran) COUNT("running", running) COUNT("planned", planned)          \
    FLAG("live", live) TEXT("stop_reason", stop_reason) TEXT("running_step", running_step)
#define ONE(name, field) +1

static void put_path(struct lt_build *b, const char *data_dir, struct lt_str relative, struct lt_buf *scratch) {
    lt_buf_clear(scratch);
    lt_buf_addf(scratch, "%s/%.*s", data_dir, LT_STR_ARG(relative));
    lt_put_str(b, relative.p == NULL ? LT_STR_NULL : (struct lt_str){lt_buf_cstr(scratch), scratch->n});
}

static void put_time(struct lt_build *b, int64_t us) {
    if (us == LT_TIME_NONE) lt_put_null(b);
    else lt_put_int(b, us);
}

static int runs_table(const struct lt_query *q, const struct lt_summaries *list, struct lt_table *out, struct litmus_error *error) {
    struct lt_build b;
    struct lt_buf path;
    lt_buf_init(&path);
    lt_build_start(&b, out, 0 RUN_COLUMNS(ONE, ONE, ONE, ONE, ONE), (int64_t)list->count);
#define EACH for (size_t i = 0; i < list->count; i++)
#define TEXT(name, field) lt_build_column(&b, name, LT_COLUMN_STR); EACH lt_put_str(&b, list->items[i].field);
#define TIME(name, field) lt_build_column(&b, name, LT_COLUMN_TIME); EACH put_time(&b, list->items[i].field);
#define COUNT(name, field) lt_build_column(&b, name, LT_COLUMN_INT); EACH lt_put_int(&b, list->items[i].field);
#define PATH(name, field) lt_build_column(&b, name, LT_COLUMN_STR); EACH put_path(&b, q->data_dir, list->items[i].field, &path);
#define FLAG(name, field) lt_build_column(&b, name, LT_COLUMN_BOOL); EACH lt_put_int(&b, list->items[i].field);
    RUN_COLUMNS(TEXT, TIME, COUNT, PATH, FLAG)
    lt_buf_release(&path);
    return lt_build_finish(&b, error);
}

int lt_query_runs(struct lt_query *q, const struct lt_run_filter *filter, struct lt_table *out, struct litmus_error *error) {
    struct lt_summaries list;
    lt_table_init(out);
    int code = lt_summaries_load(q, filter, &list, error);
    if (code == LITMUS_OK) code = runs_table(q, &list, out, error);
    lt_summaries_release(&list);
    return code;
}

/* ---- rows of one run ---- */

static int live_rows(struct lt_query *q, const struct lt_run_ref *ref, struct lt_table *out, struct litmus_error *error) {
    struct lt_gathering session;
    int code = lt_query_gather(q, ref->session_id, ref->run_id, &session, error);
    if (code == LITMUS_OK && session.run_count == 0) code = lt_fail(error, LITMUS_ENOENT, 0, "run %s is no longer there", ref->run_id);
    if (code == LITMUS_OK) code = lt_rows_build(&session.runs[0]->run, out, error);
    lt_gathering_release(&session);
    return code;
}

int lt_query_rows(struct lt_query *q, const struct lt_run_ref *run, const char *const *columns, size_t column_count, struct lt_table *out,
                  struct litmus_error *error) {
    lt_table_init(out);
    if (run->path[0] != '\0') return lt_parquet_read(run->path, columns, column_count, out, error);
    int code = live_rows(q, run, out, error);
    if (code == LITMUS_OK && columns != NULL) code = lt_table_keep(out, columns, column_count, error);
    return code;
}

/* ---- what is left to do, what is broken ---- */

/* Names are collected first: the caller may well change the catalog meanwhile. */
struct names {
    struct lt_buf text; /* each ended by a NUL */
};

static bool add_name(void *self, const char *name) {
    struct names *n = self;
    lt_buf_add(&n->text, name, strlen(name) + 1);
    return !n->text.failed;
}

static bool is_in(const struct names *n, const char *name) {
    for (size_t at = 0; at < n->text.n; at += strlen(n->text.p + at) + 1)
        if (strcmp(n->text.p + at, name) == 0) return true;
    return false;
}

/* First what is plain, so that it waits for nobody. Whoever had the lock of one that was waited for may have died in it, and another have it now. */
int lt_query_unfinished(struct lt_query *q, void (*wait)(void *self, const char *session_id), void (*each)(void *self, const char *session_id), void *self,
                        struct litmus_error *error) {
    struct names held;
    size_t count = 0;
    lt_buf_init(&held.text);
    int code = lt_query_refresh(q, error);
    const struct lt_open_session *sessions = lt_catalog_open_sessions(q->catalog, &count);
    for (size_t i = 0; code == LITMUS_OK && i < count; i++) {
        if (sessions[i].session_id[0] == '\0') continue;
        if (!sessions[i].live || sessions[i].dead) each(self, sessions[i].session_id);
        else if (sessions[i].held && wait != NULL && !add_name(&held, sessions[i].session_id)) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing the sessions");
    }
    for (size_t at = 0; code == LITMUS_OK && at < held.text.n; at += strlen(held.text.p + at) + 1) wait(self, held.text.p + at);
    if (code == LITMUS_OK && held.text.n > 0) {
        code = lt_query_refresh(q, error);
        sessions = lt_catalog_open_sessions(q->catalog, &count);
        for (size_t i = 0; code == LITMUS_OK && i < count; i++)
            if ((!sessions[i].live || sessions[i].dead || sessions[i].held) && is_in(&held, sessions[i].session_id)) each(self, sessions[i].session_id);
    }
    lt_buf_release(&held.text);
    return code;
}

int lt_query_sessions(struct lt_query *q, void (*each)(void *self, const char *session_id), void *self, struct litmus_error *error) {
    struct names names;
    lt_buf_init(&names.text);
    int code = lt_query_refresh(q, error);
    if (code == LITMUS_OK) code = lt_catalog_sessions(q->catalog, add_name, &names, error);
    if (code == LITMUS_OK && names.text.failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing the sessions");
    for (size_t at = 0; code == LITMUS_OK && at < names.text.n; at += strlen(names.text.p + at) + 1) each(self, names.text.p + at);
    lt_buf_release(&names.text);
    return code;
}

const struct litmus_error *lt_query_held_up(const struct lt_query *q) {
    return q->held_up.code == LITMUS_EBUSY ? &q->held_up : NULL; /* of what else it may be, litmus doctor tells */
}

const char *lt_query_lacks(const struct lt_query *q) {
    return q->overlay_why.code == LITMUS_OK ? NULL : q->overlay_why.text;
}

const char *lt_query_unlisted(const struct lt_query *q) {
    return lt_catalog_unlisted(q->catalog);
}

bool lt_query_is_behind(const struct lt_query *q) {
    return lt_catalog_is_behind(q->catalog);
}

int lt_query_damaged(struct lt_query *q, bool (*each)(void *self, const char *path, const char *reason), void *self, struct litmus_error *error) {
    return lt_catalog_damaged(q->catalog, each, self, error);
}

int lt_query_copies(struct lt_query *q, bool (*each)(void *self, const char *path, const char *other, const char *run_id), void *self, struct litmus_error *error) {
    return lt_catalog_copies(q->catalog, each, self, error);
}

int lt_query_reindex(struct lt_query *query, void (*on_file)(void *self, int64_t done, int64_t all), void *self, struct litmus_error *error) {
    int code = lt_catalog_rebuild(query->catalog, on_file == NULL ? NULL : &(struct lt_catalog_progress){on_file, self}, error);
    if (code == LITMUS_OK && !query->in_memory && !lt_catalog_is_kept(query->catalog))
        return lt_fail(error, LITMUS_EPERM, 0, "the catalog of %s cannot be written, and was not made anew: give us the right to write there, or room, or wait for another reindex",
                       query->data_dir);
    if (code == LITMUS_OK) lt_lake_sync(query);
    return code;
}
