/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/compacting.h"

#include "base/process.h"
#include "query/lake.h"

#include <stdlib.h>

enum { RUNS_LEAST = 1000 };

void lt_compacting_init(struct lt_compacting *c, const char *data_dir) {
    const char *text = getenv("LITMUS_COMPACT_RUNS");
    char *end = NULL;
    long long given = text == NULL ? -1 : strtoll(text, &end, 10);
    *c = (struct lt_compacting){.data_dir = data_dir, .runs_least = text != NULL && end != text && *end == '\0' && given >= 0 ? given : RUNS_LEAST};
}

static bool go_on(void *self, int64_t done, int64_t all) {
    const struct lt_compacting *c = self;
    (void)done;
    (void)all;
    return !atomic_load(&c->stop);
}

/* An error is the next one's, or that of `litmus compact`, which says it to somebody. */
static void *work(void *self) {
    struct lt_compacting *c = self;
    struct lt_query *query = NULL;
    struct lt_lake lake = {.files = NULL};
    struct lt_lake_done done = {0};
    lt_thread_nice();
    int code = lt_query_open(c->data_dir, &query, NULL);
    if (code == LITMUS_OK) code = lt_lake_load(query, &lake, NULL);
    bool worth = code == LITMUS_OK && (int64_t)lake.fresh_count >= c->runs_least;
    if (code == LITMUS_OK) lt_lake_release(&lake);
    if (worth && !atomic_load(&c->stop)) code = lt_lake_compact(query, go_on, c, &done, NULL);
    lt_query_free(query);
    c->runs = code == LITMUS_OK ? done.runs : 0;
    c->files = done.files;
    lt_memory_give_back();
    atomic_store(&c->ended, true);
    return NULL;
}

void lt_compacting_start(struct lt_compacting *c) {
    if (c->started || c->runs_least == 0) return;
    atomic_store(&c->stop, false);
    atomic_store(&c->ended, false);
    c->started = pthread_create(&c->thread, NULL, work, c) == 0;
}

void lt_compacting_yield(struct lt_compacting *c) {
    atomic_store(&c->stop, true);
}

bool lt_compacting_runs(const struct lt_compacting *c) {
    return c->started;
}

bool lt_compacting_reap(struct lt_compacting *c) {
    if (!c->started || !atomic_load(&c->ended)) return false;
    pthread_join(c->thread, NULL);
    c->started = false;
    return c->runs > 0;
}

void lt_compacting_release(struct lt_compacting *c) {
    lt_compacting_yield(c);
    if (c->started) pthread_join(c->thread, NULL);
    c->started = false;
}
