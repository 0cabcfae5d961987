/* SPDX-License-Identifier: Apache-2.0 */
#include "query/reviews.h"

#include "base/grow.h"
#include "log/log.h"
#include "query/query_internal.h"

#include <stdlib.h>

struct search {
    struct lt_query *query;
    struct lt_str run_id;
    struct lt_reviews *out;
    struct litmus_error refused; /* why a log could not be read now */
    bool failed;
};

static bool is_review(const struct lt_row *row) {
    static const char start[] = "review.";
    return row->event_type.n >= sizeof start - 1 && memcmp(row->event_type.p, start, sizeof start - 1) == 0;
}

static struct lt_str text_of(struct lt_arena *arena, yyjson_val *root, const char *name) {
    yyjson_val *value = yyjson_obj_get(root, name);
    return yyjson_is_str(value) ? lt_arena_str(arena, (struct lt_str){yyjson_get_str(value), yyjson_get_len(value)}) : LT_STR_NULL;
}

static bool add(struct search *s, const struct lt_row *row, enum lt_event_id id, yyjson_val *root) {
    struct lt_reviews *out = s->out;
    struct lt_review *grown = lt_grow_list(out->items, out->count, &out->capacity, sizeof *grown);
    if (grown == NULL) return false;
    out->items = grown;
    struct lt_review *review = &out->items[out->count++];
    size_t n = 0;
    char *line = yyjson_val_write(root, 0, &n); /* whoever wrote it: on one line */
    *review = (struct lt_review){.concession = id == LT_EVENT_REVIEW_CONCEDED, .at = row->occurred_at, .json = lt_arena_str(&out->arena, (struct lt_str){line, n})};
    free(line);
    review->by = text_of(&out->arena, root, "by");
    review->text = text_of(&out->arena, root, review->concession ? "why" : "text");
    review->step_path = text_of(&out->arena, root, "step_path");
    review->vector_index = yyjson_get_sint(yyjson_obj_get(root, "vector_index"));
    return review->json.p != NULL && !out->arena.failed;
}

static bool take_row(struct search *s, const struct lt_row *row) {
    enum lt_event_id id = lt_event_find(row->event_type);
    if ((id != LT_EVENT_REVIEW_CONCEDED && id != LT_EVENT_REVIEW_NOTED) || !lt_str_eq(row->run_id, s->run_id)) return true;
    yyjson_doc *doc = yyjson_read(row->json.p, row->json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    const char *bad_field = NULL;
    bool ok = !yyjson_is_obj(root) || !lt_event_readable(id, root, &bad_field) || add(s, row, id, root);
    yyjson_doc_free(doc);
    return ok;
}

static bool take_log(void *self, const char *relative, int64_t mtime_us) {
    struct search *s = self;
    struct lt_log_reader *reader = NULL;
    struct lt_row row;
    struct lt_buf path;
    struct litmus_error why = {0};
    (void)mtime_us;
    lt_buf_init(&path);
    lt_path_join(&path, s->query->data_dir, relative);
    bool ok = !path.failed, open = ok && lt_log_reader_open(path.p, &reader, &why) == LITMUS_OK;
    enum lt_log_status status;
    while (ok && open && ((status = lt_log_next(reader, &row, &why)) == LT_LOG_EVENT || status == LT_LOG_DAMAGED)) {
        if (status == LT_LOG_DAMAGED) continue;
        if (lt_log_reader_rows(reader) == 1 && !is_review(&row)) break; /* a log of something else */
        ok = take_row(s, &row);
    }
    if (lt_error_is_refusal(&why)) s->refused = why;
    lt_log_reader_free(reader);
    lt_buf_release(&path);
    s->failed = !ok;
    return ok;
}

static int by_time(const void *a, const void *b) {
    const struct lt_review *x = a, *y = b;
    return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : lt_str_cmp(x->json, y->json);
}

int lt_reviews_load(struct lt_query *q, const struct lt_run_ref *run, struct lt_reviews *out, struct litmus_error *error) {
    struct search s = {.query = q, .run_id = lt_str_of(run->run_id), .out = out};
    *out = (struct lt_reviews){.items = NULL};
    lt_arena_init(&out->arena);
    if (run->session_id[0] == '\0') return LITMUS_OK;
    int code = lt_query_refresh(q, error);
    if (code == LITMUS_OK) code = lt_catalog_logs(q->catalog, run->session_id, 0, take_log, &s, error);
    if (code == LITMUS_OK && s.refused.code != LITMUS_OK) code = lt_fail_with(error, &s.refused);
    if (code == LITMUS_OK && s.failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading the notes on run %s", run->run_id);
    if (out->count > 1) qsort(out->items, out->count, sizeof *out->items, by_time);
    return code;
}

void lt_reviews_release(struct lt_reviews *reviews) {
    lt_arena_release(&reviews->arena);
    free(reviews->items);
    *reviews = (struct lt_reviews){.items = NULL};
}

bool lt_review_is_of(const struct lt_review *review, struct lt_str step_path, int64_t vector_index) {
    return review->step_path.p != NULL && lt_str_eq(review->step_path, step_path) && review->vector_index == vector_index;
}

const struct lt_review *lt_reviews_concession(const struct lt_reviews *reviews, struct lt_str step_path, int64_t vector_index) {
    for (size_t i = reviews->count; i > 0; i--)
        if (reviews->items[i - 1].concession && lt_review_is_of(&reviews->items[i - 1], step_path, vector_index)) return &reviews->items[i - 1];
    return NULL;
}
