/* SPDX-License-Identifier: Apache-2.0
 *
 * pool.h - the daemon's threads: workers that materialise sessions, and one that syncs files.
 *
 * Always true:
 *  - A job belongs to its putter, then to the pool, then to who takes it back: never to two.
 *  - Urgent jobs go before others; jobs of one kind go in order.
 *  - Each worker has a materializer of its own, made at its first job and dropped when nothing has
 *    come for a while; then all workers but the first end, too, with what libraries keep for a
 *    thread. So an idle daemon is small, and a job always finds a worker.
 */
#ifndef LT_SERVE_POOL_H
#define LT_SERVE_POOL_H

#include "base/error.h"
#include "materialize/materialize.h"

struct lt_job_run {
    char run_id[64];
    char *done; /* what became of it (done_text.h) */
    bool already;
};
struct lt_job {
    struct lt_job *next;
    char session_id[64];
    uint64_t tag; /* the putter's */
    bool urgent;
    size_t folded_bytes; /* of the known runs, as the follower counted them */
    struct lt_known_session *known; /* owned; NULL: whatever is to be done is to be found out */
    /* filled by the worker */
    int worker;
    struct lt_job_run *runs;
    size_t run_count, run_capacity;
    int64_t took_us;
    int code;
    struct litmus_error error;
};
struct lt_job *lt_job_new(const char *session_id); /* NULL: out of memory */
void lt_job_free(struct lt_job *job);

struct lt_pool;
/* Starts the threads. `on_hand` (may be NULL) is called by a worker before (session) and after
 * (NULL) each job. data_dir is copied, and so is
 * station_dir, the same folder as it was named: the station's key is looked for above it. */
int lt_pool_new(const char *data_dir, const char *station_dir, int workers, void (*on_hand)(void *self, int worker, const char *session_id), void *self,
                struct lt_pool **out, struct litmus_error *error);
/* Finishes the jobs that are in hand, drops the others, syncs what was to be synced. */
void lt_pool_free(struct lt_pool *pool);
int lt_pool_fd(const struct lt_pool *pool); /* readable when lt_pool_take has something */
void lt_pool_put(struct lt_pool *pool, struct lt_job *job);
struct lt_job *lt_pool_take(struct lt_pool *pool); /* a finished job, NULL if none */

/* Files (or folders) to be synced by the sync thread; takes both the array and the texts. */
void lt_pool_sync(struct lt_pool *pool, char **paths, size_t count);
/* Takes a text about a failed sync, NULL if none; free it. */
char *lt_pool_sync_trouble(struct lt_pool *pool);

#endif
