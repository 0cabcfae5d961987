/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_looks.c - the catalog's file and the files, looked at until both are of one moment: what came or went between the two
 * is told by one look alone, and what the catalog has wrongly by each.
 */
#include "base/grow.h"
#include "query/lake.h"
#include "query/query_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct finding {
    struct lt_str path, what;
    size_t place; /* in the order in which they were told */
};
struct findings {
    struct lt_arena arena;
    struct finding *items;
    size_t count, capacity;
    bool failed;
};

static void add_finding(void *self, const char *path, const char *what) {
    struct findings *f = self;
    struct finding *grown = lt_grow_list(f->items, f->count, &f->capacity, sizeof *grown);
    f->failed = f->failed || grown == NULL;
    if (grown == NULL) return;
    f->items = grown;
    f->items[f->count] = (struct finding){lt_arena_str(&f->arena, lt_str_of(path)), lt_arena_str(&f->arena, lt_str_of(what)), f->count};
    f->count++;
}

static void release_findings(struct findings *f) {
    lt_arena_release(&f->arena);
    free(f->items);
}

static int by_path_and_what(const void *a, const void *b) {
    const struct finding *x = a, *y = b;
    int order = lt_str_cmp(x->path, y->path);
    return order != 0 ? order : lt_str_cmp(x->what, y->what);
}

static int by_place(const void *a, const void *b) {
    size_t x = ((const struct finding *)a)->place, y = ((const struct finding *)b)->place;
    return (x > y) - (x < y);
}

/* Of what is said now, what was said before, too. */
static void keep_lasting(struct findings *now, const struct findings *before) {
    size_t kept = 0;
    for (size_t i = 0; i < now->count; i++)
        if (bsearch(&now->items[i], before->items, before->count, sizeof *before->items, by_path_and_what) != NULL) now->items[kept++] = now->items[i];
    now->count = kept;
}

/* The catalog's file first, then the files that it speaks of. */
static int look_once(struct lt_query *q, struct lt_query *truth, struct findings *out, struct litmus_error *error) {
    enum lt_catalog_age age = LT_CATALOG_OF_BEFORE;
    lt_arena_init(&out->arena);
    if (q != truth && lt_catalog_refresh(q->catalog, NULL) == LITMUS_OK && lt_catalog_is_kept(q->catalog) && !lt_catalog_is_behind(q->catalog)) age = LT_CATALOG_OF_NOW;
    if (q != truth) lt_lake_sync(q);
    int code = lt_catalog_refresh(truth->catalog, error);
    if (code != LITMUS_OK) return code;
    lt_lake_sync(truth);
    if (age == LT_CATALOG_OF_NOW && lt_lake_is_synced(q) && lt_lake_is_synced(truth)) age = LT_CATALOG_AND_LAKE_OF_NOW;
    code = lt_catalog_check(truth->catalog, age, add_finding, out, error);
    if (code == LITMUS_OK && (out->failed || out->arena.failed)) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory comparing the catalog with the files");
    if (out->count > 1) qsort(out->items, out->count, sizeof *out->items, by_path_and_what);
    return code;
}

/* The findings of all looks. A look at a catalog that was locked just then is none; *held is why. */
static int look_until_sure(struct lt_query *q, struct lt_query *truth, struct findings *lasting, struct litmus_error *held, struct litmus_error *error) {
    enum { LOOKS = 3, PAUSE_MS = 100 };
    int looks = 0, code = LITMUS_OK;
    bool behind = false;
    for (int i = 0; code == LITMUS_OK && i < LOOKS && (looks == 0 || lasting->count > 0 || behind); i++) {
        struct findings now = {.items = NULL};
        struct litmus_error why = {0};
        const struct timespec pause = {.tv_nsec = i * i * PAUSE_MS * 1000 * 1000};
        if (i > 0) nanosleep(&pause, NULL); /* whoever makes it anew meanwhile is to be over it */
        code = look_once(q, truth, &now, &why);
        behind = q != truth && lt_catalog_is_behind(q->catalog);
        if (code == LITMUS_EBUSY) {
            *held = why;
            code = LITMUS_OK;
            release_findings(&now);
            continue;
        }
        if (code != LITMUS_OK) lt_fail_with(error, &why);
        if (looks++ > 0) keep_lasting(&now, lasting);
        release_findings(lasting);
        *lasting = now;
    }
    if (looks > 1 || (looks == 1 && lasting->count == 0)) lt_error_clear(held);
    else lasting->count = 0; /* seen once, it may have been on the way */
    if (behind) /* so are all listings, and what the catalog holds is as old as whoever holds it likes */
        (void)lt_fail(held, LITMUS_EBUSY, EWOULDBLOCK, "another process keeps %s/catalog.sqlite locked, so that it cannot be brought up to date: end it, then ask again",
                      q->data_dir);
    return code;
}

int lt_query_check_catalog(struct lt_query *q, void (*each)(void *self, const char *path, const char *what), void *self, struct litmus_error *error) {
    struct lt_query *truth = NULL;
    struct findings lasting = {.items = NULL};
    struct litmus_error held = {0};
    int code = q->in_memory ? LITMUS_OK : lt_query_open_memory(q->data_dir, &truth, error);
    if (code == LITMUS_OK) code = look_until_sure(q, q->in_memory ? q : truth, &lasting, &held, error);
    if (lasting.count > 1) qsort(lasting.items, lasting.count, sizeof *lasting.items, by_place);
    for (size_t i = 0; code == LITMUS_OK && i < lasting.count; i++) each(self, lasting.items[i].path.p, lasting.items[i].what.p);
    release_findings(&lasting);
    lt_query_free(truth);
    return code == LITMUS_OK && held.code != LITMUS_OK ? lt_fail_with(error, &held) : code;
}
