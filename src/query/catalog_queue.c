/* SPDX-License-Identifier: Apache-2.0 */
#include "query/catalog_queue.h"

#include "base/arena.h"
#include "base/process.h"
#include "query/catalog_sql.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    STACK_BYTES = 1024 * 1024,
    ROWS_MAX = 256,     /* that wait; then the thread does not */
    LINGER_MS = 100,    /* for more rows to come */
    KEEP_MS = 5 * 1000, /* a catalog without rows to put is kept open so long */
};

struct batch {
    struct lt_arena arena; /* of the texts */
    struct lt_catalog_put *rows;
    size_t count, capacity;
};

struct lt_catalog_queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    char *data_dir;
    struct batch waiting;
    bool stop;
};

static void batch_release(struct batch *batch) {
    lt_arena_release(&batch->arena);
    free(batch->rows);
    *batch = (struct batch){.count = 0};
}

static struct lt_summary copy_summary(struct lt_arena *arena, const struct lt_summary *from) {
    struct lt_summary to = *from;
#define COPY(field) to.field = lt_arena_str(arena, from->field);
    LT_SUMMARY_TEXTS(COPY)
#undef COPY
    to.file_path = lt_arena_str(arena, from->file_path);
    return to;
}

static bool batch_add(struct batch *batch, const struct lt_summary *run, int64_t size, int64_t mtime_ns) {
    if (batch->count == batch->capacity) {
        size_t capacity = batch->capacity == 0 ? 16 : batch->capacity * 2;
        struct lt_catalog_put *rows = realloc(batch->rows, capacity * sizeof *rows);
        if (rows == NULL) return false;
        batch->rows = rows;
        batch->capacity = capacity;
    }
    batch->rows[batch->count] = (struct lt_catalog_put){.run = copy_summary(&batch->arena, run), .size = size, .mtime_ns = mtime_ns};
    if (!batch->arena.failed) batch->count++;
    return !batch->arena.failed;
}

/* ---- the thread ---- */
static void deadline(struct timespec *until, int ms) {
    clock_gettime(CLOCK_MONOTONIC, until);
    until->tv_sec += ms / 1000;
    until->tv_nsec += (long)(ms % 1000) * 1000000;
    if (until->tv_nsec >= 1000000000) {
        until->tv_sec++;
        until->tv_nsec -= 1000000000;
    }
}

/* Waits for rows, then a moment for more. false: none came while the catalog is to be kept (only
 * if `open`), or it is over. Called with the mutex held. */
static bool wait_for_rows(struct lt_catalog_queue *q, bool open) {
    struct timespec until;
    deadline(&until, KEEP_MS);
    while (q->waiting.count == 0 && !q->stop) {
        if (!open) pthread_cond_wait(&q->changed, &q->mutex);
        else if (pthread_cond_timedwait(&q->changed, &q->mutex, &until) == ETIMEDOUT) return false;
    }
    deadline(&until, LINGER_MS);
    while (q->waiting.count < ROWS_MAX && !q->stop) {
        if (pthread_cond_timedwait(&q->changed, &q->mutex, &until) == ETIMEDOUT) break;
    }
    return q->waiting.count > 0;
}

/* A catalog that was taken away or damaged is opened anew with the next rows. */
static void put_all(const struct lt_catalog_queue *q, struct lt_catalog **catalog, const struct batch *batch) {
    if (*catalog == NULL && lt_catalog_open(q->data_dir, catalog, NULL) != LITMUS_OK) *catalog = NULL;
    if (*catalog == NULL || lt_catalog_put_all(*catalog, batch->rows, batch->count, NULL) == LITMUS_OK) return;
    lt_catalog_free(*catalog);
    *catalog = NULL;
}

static void *queue_main(void *self) {
    struct lt_catalog_queue *q = self;
    struct lt_catalog *catalog = NULL;
    pthread_mutex_lock(&q->mutex);
    for (;;) {
        bool any = wait_for_rows(q, catalog != NULL);
        if (!any && q->stop) break;
        struct batch batch = q->waiting;
        q->waiting = (struct batch){.count = 0};
        pthread_mutex_unlock(&q->mutex);
        if (any) put_all(q, &catalog, &batch);
        batch_release(&batch);
        if (!any) {
            lt_catalog_free(catalog);
            catalog = NULL;
            lt_memory_give_back();
        }
        pthread_mutex_lock(&q->mutex);
    }
    pthread_mutex_unlock(&q->mutex);
    lt_catalog_free(catalog);
    return NULL;
}

/* ---- for others ---- */
void lt_catalog_queue_put(struct lt_catalog_queue *q, const struct lt_summary *run, int64_t size, int64_t mtime_ns) {
    pthread_mutex_lock(&q->mutex);
    bool first = q->waiting.count == 0;
    bool added = batch_add(&q->waiting, run, size, mtime_ns);
    if (added && (first || q->waiting.count == ROWS_MAX)) pthread_cond_signal(&q->changed);
    pthread_mutex_unlock(&q->mutex);
}

/* ---- life cycle ---- */
static void queue_release(struct lt_catalog_queue *q) {
    batch_release(&q->waiting);
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->mutex);
    free(q->data_dir);
    free(q);
}

int lt_catalog_queue_new(const char *data_dir, struct lt_catalog_queue **out, struct litmus_error *error) {
    struct lt_catalog_queue *q = calloc(1, sizeof *q);
    if (q == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the catalog's queue");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&q->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&q->mutex, NULL);
    q->data_dir = strdup(data_dir);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int failed = q->data_dir == NULL ? ENOMEM : pthread_create(&q->thread, &attributes, queue_main, q);
    pthread_attr_destroy(&attributes);
    if (failed == 0) {
        *out = q;
        return LITMUS_OK;
    }
    queue_release(q);
    return lt_fail_os(error, failed, "start", "a thread");
}

void lt_catalog_queue_free(struct lt_catalog_queue *q) {
    if (q == NULL) return;
    pthread_mutex_lock(&q->mutex);
    q->stop = true;
    pthread_cond_signal(&q->changed);
    pthread_mutex_unlock(&q->mutex);
    pthread_join(q->thread, NULL);
    queue_release(q);
}
