/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/step_find.h"

#include "cmd/screen.h"
#include "model/suggest.h"

#include <stdio.h>
#include <stdlib.h>

/* How a step may be named, the plainest first: the first way in which a row fits decides. */
enum way { BY_NODE, BY_PATH, BY_NODE_END, BY_PATH_END, BY_PATH_AND_VECTOR, WAYS };
enum { CANDIDATES_MAX = 8 };

struct name {
    struct lt_str whole, path; /* path: without the [N] at its end */
    int64_t vector;            /* -1: the end is no [N] */
};

static struct name parse(const char *ref) {
    struct name name = {.whole = lt_str_of(ref), .path = lt_str_of(ref), .vector = -1};
    const char *bracket = strrchr(ref, '[');
    char *end;
    if (bracket == NULL || bracket[1] < '0' || bracket[1] > '9') return name;
    long long vector = strtoll(bracket + 1, &end, 10);
    if (strcmp(end, "]") != 0) return name;
    name.path.n = (size_t)(bracket - ref);
    name.vector = vector;
    return name;
}

/* Is `end` the last of `text`'s parts, which `/` and `::` divide? */
static bool ends_with(struct lt_str text, struct lt_str end) {
    if (end.n == 0 || text.n < end.n || memcmp(text.p + text.n - end.n, end.p, end.n) != 0) return false;
    char before = text.n == end.n ? '/' : text.p[text.n - end.n - 1];
    return before == '/' || before == ':';
}

static bool fits(const struct lt_view *v, int64_t row, const struct name *name, enum way way) {
    struct lt_str node = lt_view_str(v, v->step_node_id, row), path = lt_view_path(v, row);
    switch (way) {
    case BY_NODE: return node.n > 0 && lt_str_eq(node, name->whole);
    case BY_PATH: return lt_str_eq(path, name->whole);
    case BY_NODE_END: return ends_with(node, name->whole);
    case BY_PATH_END: return ends_with(path, name->whole);
    case BY_PATH_AND_VECTOR: return name->vector >= 0 && lt_view_int(v, v->vector_index, row, 0) == name->vector && ends_with(path, name->path);
    case WAYS: break;
    }
    return false;
}

static size_t count_fits(const struct lt_view *v, const struct name *name, enum way way, int64_t *first) {
    size_t count = 0;
    for (int64_t row = lt_table_rows(&v->rows); row > 0; row--) {
        if (!lt_view_is(v, row - 1, "step") || !fits(v, row - 1, name, way)) continue;
        *first = row - 1;
        count++;
    }
    return count;
}

static void add_name(const struct lt_view *v, int64_t row, struct lt_buf *out) {
    struct lt_str node = lt_view_str(v, v->step_node_id, row);
    lt_buf_add_text(out, "\n  ");
    if (node.n > 0) lt_show_str(out, node);
    else {
        lt_show_str(out, lt_view_path(v, row));
        lt_buf_addf(out, "[%lld]", (long long)lt_view_int(v, v->vector_index, row, 0));
    }
}

static int ambiguous(struct lt_cli *cli, const struct lt_view *v, const struct name *name, enum way way, size_t count) {
    struct lt_buf list;
    size_t shown = 0;
    lt_buf_init(&list);
    for (int64_t row = 0; row < lt_table_rows(&v->rows) && shown < CANDIDATES_MAX; row++)
        if (lt_view_is(v, row, "step") && fits(v, row, name, way)) {
            add_name(v, row, &list);
            shown++;
        }
    lt_complain(cli, "\"%s\" fits %zu steps of run %.8s: name one by its node id, or as path[vector]", name->whole.p, count, v->ref.run_id);
    fprintf(stderr, "%s%s\n", lt_buf_cstr(&list) + 1, count > shown ? "\n  ..." : "");
    lt_buf_release(&list);
    return EXIT_NOT_FOUND;
}

static int unknown(struct lt_cli *cli, const struct lt_view *v, const struct name *name) {
    struct lt_buf nearest, own;
    const char *best = NULL;
    lt_buf_init(&nearest);
    lt_buf_init(&own);
    for (int64_t row = 0; row < lt_table_rows(&v->rows); row++) {
        if (!lt_view_is(v, row, "step")) continue;
        lt_buf_clear(&own);
        lt_buf_add_str(&own, lt_view_str(v, v->step_name, row));
        if (lt_nearer(name->path, best, lt_buf_cstr(&own)) == best) continue;
        lt_buf_clear(&nearest);
        lt_buf_add_str(&nearest, (struct lt_str){own.p, own.n});
        best = lt_buf_cstr(&nearest);
    }
    if (best != NULL) lt_complain(cli, "run %.8s has no step \"%s\"; did you mean %s?", v->ref.run_id, name->whole.p, best);
    else lt_complain(cli, "run %.8s has no step \"%s\"; litmus show %.8s lists them", v->ref.run_id, name->whole.p, v->ref.run_id);
    lt_buf_release(&nearest);
    lt_buf_release(&own);
    return EXIT_NOT_FOUND;
}

int lt_step_find(struct lt_cli *cli, const struct lt_view *view, const char *ref, int64_t *row) {
    struct name name = parse(ref);
    for (enum way way = BY_NODE; way < WAYS; way++) {
        size_t count = count_fits(view, &name, way, row);
        if (count == 1) return EXIT_OK;
        if (count > 1) return ambiguous(cli, view, &name, way, count);
    }
    return unknown(cli, view, &name);
}
