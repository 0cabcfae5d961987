/* SPDX-License-Identifier: Apache-2.0
 *
 * fork.h - what a forked child must not do: hold the lock of its parent's log.
 */
#ifndef LT_LOG_FORK_H
#define LT_LOG_FORK_H

#include <pthread.h>

struct lt_fork_member {
    pthread_mutex_t *mutex;       /* held while a fork is made, so that the child finds no half-done append */
    void (*in_child)(void *self); /* runs in the child, mutex held */
    void *self;
    struct lt_fork_member *next, *previous;
};

/* Both without the member's mutex held. 0, or errno. */
int lt_fork_join(struct lt_fork_member *member);
void lt_fork_leave(struct lt_fork_member *member);

#endif
