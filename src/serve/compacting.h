/* SPDX-License-Identifier: Apache-2.0
 *
 * compacting.h - the lake, brought up to date while the daemon has nothing else to do: in a thread of the lowest
 * priority, which ends after the run at hand when work comes.
 *
 * Nothing waits for it and nothing hangs on it: `litmus compact` does the same, and what was begun here is a lake
 * at any moment (query/lake.h).
 */
#ifndef LT_SERVE_COMPACTING_H
#define LT_SERVE_COMPACTING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lt_compacting {
    const char *data_dir; /* borrowed */
    int64_t runs_least;   /* worth it from so many runs outside the lake on; 0: never */
    pthread_t thread;
    bool started;         /* and not joined yet */
    atomic_bool stop, ended;
    int64_t runs, files;  /* put there by the last one; set before `ended` */
};

/* LITMUS_COMPACT_RUNS: how many runs make it worth while (default 1000; 0: never). */
void lt_compacting_init(struct lt_compacting *compacting, const char *data_dir);
void lt_compacting_start(struct lt_compacting *compacting); /* no thread to be had: nothing */
/* Asks it to end soon; never waits. */
void lt_compacting_yield(struct lt_compacting *compacting);
bool lt_compacting_runs(const struct lt_compacting *compacting);
/* True once after the end of one that put runs into the lake. */
bool lt_compacting_reap(struct lt_compacting *compacting);
void lt_compacting_release(struct lt_compacting *compacting); /* waits for its end */

#endif
