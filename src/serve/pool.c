/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/pool.h"

#include "base/clock.h"
#include "base/process.h"
#include "materialize/done_text.h"
#include "query/catalog_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKERS_MAX = 8,
    STACK_BYTES = 1024 * 1024,
    KEEP_SECONDS = 5,    /* a materializer without work is kept so long */
};

struct queue {
    struct lt_job *head, *tail;
};
struct worker {
    struct lt_pool *pool;
    int number;
    pthread_t thread;
    bool started, ended; /* started: to be joined; ended: no longer at work */
    struct lt_materializer *materializer;
};
struct sync_batch {
    struct sync_batch *next;
    char **paths;
    size_t count;
};

struct lt_pool {
    pthread_mutex_t mutex;
    pthread_cond_t work, sync_work;
    char *data_dir, *station_dir;
    int fd; /* eventfd: a job is done, or a sync failed */
    bool stop;
    struct queue urgent, later, done;
    struct worker workers[WORKERS_MAX];
    int worker_count, busy, waiting; /* waiting: workers that a signal wakes */
    size_t queued;
    struct lt_catalog_queue *catalog; /* NULL: each worker has its own */
    void (*on_hand)(void *self, int worker, const char *session_id);
    void *self;
    pthread_t syncer;
    bool syncer_runs;
    struct sync_batch *batches;
    char *trouble;
};

/* ---- jobs ---- */
struct lt_job *lt_job_new(const char *session_id) {
    struct lt_job *job = calloc(1, sizeof *job);
    if (job != NULL) snprintf(job->session_id, sizeof job->session_id, "%s", session_id);
    return job;
}

void lt_job_free(struct lt_job *job) {
    if (job == NULL) return;
    for (size_t i = 0; i < job->run_count; i++) free(job->runs[i].done);
    free(job->runs);
    lt_known_session_free(job->known);
    free(job);
}

static void queue_put(struct queue *queue, struct lt_job *job) {
    job->next = NULL;
    if (queue->tail == NULL) queue->head = job;
    else queue->tail->next = job;
    queue->tail = job;
}

static struct lt_job *queue_take(struct queue *queue) {
    struct lt_job *job = queue->head;
    if (job == NULL) return NULL;
    queue->head = job->next;
    if (queue->head == NULL) queue->tail = NULL;
    job->next = NULL;
    return job;
}

static void queue_drop(struct queue *queue) {
    for (struct lt_job *job; (job = queue_take(queue)) != NULL;) lt_job_free(job);
}

/* ---- workers ---- */
static void ring(struct lt_pool *pool) {
    uint64_t one = 1;
    ssize_t put = write(pool->fd, &one, sizeof one);
    (void)put; /* full: it is readable, which is all that is wanted */
}

/* A run that cannot be noted is not lost: its file is there, only the answer comes later. */
static void note_done(void *self, const struct lt_materialized *done) {
    struct lt_job *job = self;
    if (job->run_count == job->run_capacity) {
        size_t capacity = job->run_capacity == 0 ? 1 : job->run_capacity * 2;
        struct lt_job_run *runs = realloc(job->runs, capacity * sizeof *runs);
        if (runs == NULL) return;
        job->runs = runs;
        job->run_capacity = capacity;
    }
    struct lt_job_run *run = &job->runs[job->run_count];
    snprintf(run->run_id, sizeof run->run_id, "%s", done->run_id);
    run->already = done->already;
    struct lt_buf text;
    lt_buf_init(&text);
    lt_done_write(done, &text);
    run->done = strdup(lt_buf_cstr(&text));
    lt_buf_release(&text);
    if (run->done != NULL) job->run_count++;
}

static void job_done(struct lt_pool *pool, struct lt_job *job) {
    pthread_mutex_lock(&pool->mutex);
    queue_put(&pool->done, job);
    pool->busy--;
    pthread_mutex_unlock(&pool->mutex);
    ring(pool);
}

static void work(struct worker *worker, struct lt_job *job) {
    struct lt_pool *pool = worker->pool;
    int64_t start = lt_monotonic_us();
    lt_memory_at_work();
    if (pool->on_hand != NULL) pool->on_hand(pool->self, worker->number, job->session_id);
    job->worker = worker->number;
    job->code = LITMUS_OK;
    if (worker->materializer == NULL) {
        job->code = lt_materializer_new(pool->data_dir, NULL, &worker->materializer, &job->error);
        if (job->code == LITMUS_OK) job->code = lt_materializer_name(worker->materializer, pool->station_dir, &job->error);
    }
    if (job->code == LITMUS_OK) lt_materializer_use_queue(worker->materializer, pool->catalog);
    if (job->code == LITMUS_OK && job->known != NULL)
        job->code = lt_materialize_known(worker->materializer, job->session_id, job->known, note_done, job, &job->error);
    else if (job->code == LITMUS_OK) job->code = lt_materialize_session(worker->materializer, job->session_id, note_done, job, &job->error);
    if (job->code != LITMUS_OK) { /* whatever it keeps open may be why: the next job starts afresh */
        lt_materializer_free(worker->materializer);
        worker->materializer = NULL;
    }
    if (pool->on_hand != NULL) pool->on_hand(pool->self, worker->number, NULL);
    job->took_us = lt_monotonic_us() - start;
    job_done(pool, job);
}

/* The next job; NULL when the pool stops or nothing came for `KEEP_SECONDS` (only if `bounded`).
 * Called with the mutex held. */
static struct lt_job *wait_for_job(struct lt_pool *pool, bool bounded) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += KEEP_SECONDS;
    while (!pool->stop) {
        struct lt_job *job = queue_take(&pool->urgent);
        if (job == NULL) job = queue_take(&pool->later);
        if (job != NULL) {
            pool->queued--;
            return job;
        }
        int rc = 0;
        pool->waiting++;
        if (!bounded) pthread_cond_wait(&pool->work, &pool->mutex);
        else rc = pthread_cond_timedwait(&pool->work, &pool->mutex, &until);
        pool->waiting--;
        if (rc == ETIMEDOUT && pool->queued == 0) return NULL;
    }
    return NULL;
}

/* Lets go of what work takes. The first worker stays. */
static void rest(struct worker *worker) {
    lt_materializer_free(worker->materializer);
    worker->materializer = NULL;
    lt_memory_give_back();
}

/* The first run is waited for like any other: what making a file takes from the disk, and sets up, is there before. */
static void warm_up(void) {
    struct lt_run run;
    struct lt_buf bytes;
    lt_buf_init(&bytes);
    lt_run_init(&run, lt_str_of("-"), lt_str_of("-"));
    if (lt_run_settle(&run, false, NULL) == LITMUS_OK) (void)!lt_run_encode(&run, &bytes, NULL);
    lt_run_release(&run);
    lt_buf_release(&bytes);
    lt_memory_give_back();
}

static void *worker_main(void *self) {
    struct worker *worker = self;
    struct lt_pool *pool = worker->pool;
    bool stays = worker->number == 0;
    if (stays) warm_up();
    pthread_mutex_lock(&pool->mutex);
    while (!pool->stop) {
        struct lt_job *job = wait_for_job(pool, !stays || worker->materializer != NULL);
        if (job != NULL) pool->busy++;
        else if (!stays) break;
        pthread_mutex_unlock(&pool->mutex);
        if (job != NULL) work(worker, job);
        else rest(worker);
        pthread_mutex_lock(&pool->mutex);
    }
    worker->ended = true; /* takes no more jobs */
    pthread_mutex_unlock(&pool->mutex);
    rest(worker);
    return NULL;
}

/* ---- the sync thread ---- */
static void sync_trouble(struct lt_pool *pool, const char *path, int os_errno) {
    char text[600];
    char why[128];
    if (strerror_r(os_errno, why, sizeof why) != 0) snprintf(why, sizeof why, "error %d", os_errno);
    snprintf(text, sizeof text, "cannot sync %s: %s (what was recorded in the last second may not survive a power loss)", path, why);
    pthread_mutex_lock(&pool->mutex);
    if (pool->trouble == NULL) pool->trouble = strdup(text);
    pthread_mutex_unlock(&pool->mutex);
    ring(pool);
}

/* Opening it anew is enough: Linux syncs the file, not the descriptor. A file that is gone has
 * nothing left to lose. */
static void sync_path(struct lt_pool *pool, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        if (errno != ENOENT && errno != ENOTDIR) sync_trouble(pool, path, errno);
        return;
    }
    if (fdatasync(fd) != 0 && errno != EINVAL && errno != EROFS) sync_trouble(pool, path, errno);
    close(fd);
}

static void *syncer_main(void *self) {
    struct lt_pool *pool = self;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        struct sync_batch *batch = pool->batches;
        if (batch != NULL) {
            pool->batches = batch->next;
            pthread_mutex_unlock(&pool->mutex);
            for (size_t i = 0; i < batch->count; i++) {
                sync_path(pool, batch->paths[i]);
                free(batch->paths[i]);
            }
            free(batch->paths);
            free(batch);
            pthread_mutex_lock(&pool->mutex);
        } else if (pool->stop) break;
        else pthread_cond_wait(&pool->sync_work, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

void lt_pool_sync(struct lt_pool *pool, char **paths, size_t count) {
    struct sync_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) { /* slow beats lost */
        for (size_t i = 0; i < count; i++) {
            sync_path(pool, paths[i]);
            free(paths[i]);
        }
        free(paths);
        return;
    }
    batch->paths = paths;
    batch->count = count;
    pthread_mutex_lock(&pool->mutex);
    batch->next = pool->batches;
    pool->batches = batch;
    pthread_cond_signal(&pool->sync_work);
    pthread_mutex_unlock(&pool->mutex);
}

char *lt_pool_sync_trouble(struct lt_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    char *text = pool->trouble;
    pool->trouble = NULL;
    pthread_mutex_unlock(&pool->mutex);
    return text;
}

/* ---- life cycle ---- */
static int thread_start(pthread_t *thread, void *(*main)(void *), void *self) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int failed = pthread_create(thread, &attributes, main, self);
    pthread_attr_destroy(&attributes);
    return failed;
}

/* Starts a worker that is not at work. With the mutex held, or before there are threads. */
static int worker_start(struct lt_pool *pool, int number) {
    struct worker *worker = &pool->workers[number];
    if (worker->started) pthread_join(worker->thread, NULL); /* it needs nothing any more to end */
    *worker = (struct worker){.pool = pool, .number = number};
    int failed = thread_start(&worker->thread, worker_main, worker);
    worker->started = failed == 0;
    return failed;
}

static int start_threads(struct lt_pool *pool, int workers, struct litmus_error *error) {
    int failed = worker_start(pool, 0);
    pool->worker_count = failed == 0 ? workers : 0;
    if (failed == 0) {
        failed = thread_start(&pool->syncer, syncer_main, pool);
        pool->syncer_runs = failed == 0;
    }
    return failed == 0 ? LITMUS_OK : lt_fail_os(error, failed, "start", "a thread");
}

int lt_pool_new(const char *data_dir, const char *station_dir, int workers, void (*on_hand)(void *self, int worker, const char *session_id), void *self,
                struct lt_pool **out, struct litmus_error *error) {
    struct lt_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the daemon's threads");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, &monotonic);
    pthread_cond_init(&pool->sync_work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pool->on_hand = on_hand;
    pool->self = self;
    pool->data_dir = strdup(data_dir);
    pool->station_dir = strdup(station_dir);
    pool->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int code = LITMUS_OK;
    if (pool->data_dir == NULL || pool->station_dir == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the daemon's threads");
    else if (pool->fd < 0) code = lt_fail_os(error, errno, "make", "an eventfd");
    else code = lt_catalog_queue_new(data_dir, &pool->catalog, error);
    if (code == LITMUS_OK) code = start_threads(pool, workers > WORKERS_MAX ? WORKERS_MAX : workers, error);
    if (code == LITMUS_OK) *out = pool;
    else lt_pool_free(pool);
    return code;
}

void lt_pool_free(struct lt_pool *pool) {
    if (pool == NULL) return;
    pthread_mutex_lock(&pool->mutex);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work);
    pthread_cond_broadcast(&pool->sync_work);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->worker_count; i++) {
        if (pool->workers[i].started) pthread_join(pool->workers[i].thread, NULL);
    }
    if (pool->syncer_runs) pthread_join(pool->syncer, NULL);
    lt_catalog_queue_free(pool->catalog);
    queue_drop(&pool->urgent);
    queue_drop(&pool->later);
    queue_drop(&pool->done);
    if (pool->fd >= 0) close(pool->fd);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->sync_work);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->trouble);
    free(pool->data_dir);
    free(pool->station_dir);
    free(pool);
}

int lt_pool_fd(const struct lt_pool *pool) {
    return pool->fd;
}

void lt_pool_put(struct lt_pool *pool, struct lt_job *job) {
    pthread_mutex_lock(&pool->mutex);
    queue_put(job->urgent ? &pool->urgent : &pool->later, job);
    pool->queued++;
    /* One more worker if all have something to do; if it does not start, those that are there do it. */
    bool enough = pool->queued <= (size_t)pool->waiting;
    for (int i = 1; i < pool->worker_count && !enough; i++) {
        if (!pool->workers[i].started || pool->workers[i].ended) enough = worker_start(pool, i) == 0;
    }
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
}

struct lt_job *lt_pool_take(struct lt_pool *pool) {
    uint64_t rings;
    ssize_t got = read(pool->fd, &rings, sizeof rings);
    (void)got; /* empty: nothing was rung since the last look */
    pthread_mutex_lock(&pool->mutex);
    struct lt_job *job = queue_take(&pool->done);
    if (pool->done.head != NULL) ring(pool);
    pthread_mutex_unlock(&pool->mutex);
    return job;
}
