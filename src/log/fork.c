/* SPDX-License-Identifier: Apache-2.0
 *
 * fork.c - the one hidden global of the library, and why: flock belongs to the open file
 * description, which a forked child shares. If the child kept the descriptor, the log of a dead
 * parent would look alive for as long as the child lives (a server that a test started, a worker),
 * and nobody would finish its run. Only a pthread_atfork handler sees every fork, and it gets no
 * argument, so the open writers have to be found from a static list.
 *
 * exec is no issue (O_CLOEXEC); vfork, posix_spawn and _Fork run no handlers, and are followed by
 * exec in all uses that are allowed.
 */
#include "log/fork.h"

#include <stddef.h>

static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct lt_fork_member *members;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int install_errno;

/* Lock order: the list, then the members. An append takes only its own. */
static void before_fork(void) {
    pthread_mutex_lock(&list_mutex);
    for (struct lt_fork_member *m = members; m != NULL; m = m->next) pthread_mutex_lock(m->mutex);
}

static void in_parent(void) {
    for (struct lt_fork_member *m = members; m != NULL; m = m->next) pthread_mutex_unlock(m->mutex);
    pthread_mutex_unlock(&list_mutex);
}

/* The forking thread locked all of them and is the one that lives on here, so it may unlock. */
static void in_child(void) {
    for (struct lt_fork_member *m = members; m != NULL; m = m->next) {
        m->in_child(m->self);
        pthread_mutex_unlock(m->mutex);
    }
    pthread_mutex_unlock(&list_mutex);
}

static void install(void) {
    install_errno = pthread_atfork(before_fork, in_parent, in_child);
}

int lt_fork_join(struct lt_fork_member *member) {
    pthread_once(&once, install);
    if (install_errno != 0) return install_errno;
    pthread_mutex_lock(&list_mutex);
    member->previous = NULL;
    member->next = members;
    if (members != NULL) members->previous = member;
    members = member;
    pthread_mutex_unlock(&list_mutex);
    return 0;
}

void lt_fork_leave(struct lt_fork_member *member) {
    pthread_mutex_lock(&list_mutex);
    if (member->previous != NULL) member->previous->next = member->next;
    else members = member->next;
    if (member->next != NULL) member->next->previous = member->previous;
    pthread_mutex_unlock(&list_mutex);
}
