/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "cmd/waiting.h"
#include "materialize/range_lock.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

struct wait {
    struct lt_cli *cli;
    const char *space, *name;
    int fd;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool over;
};

/* Beside the one that waits in the kernel, which is woken the moment the lock is free. */
static void *say_after_a_second(void *self) {
    struct wait *w = self;
    struct timespec until;
    struct litmus_error who = {0};
    bool stopped;
    int waited = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    pthread_mutex_lock(&w->mutex);
    while (!w->over && waited != ETIMEDOUT) waited = pthread_cond_timedwait(&w->changed, &w->mutex, &until);
    if (!w->over) lt_range_lock_tell(w->fd, w->space, lt_str_of(w->name), &stopped, &who);
    if (!w->over) lt_say(w->cli, "waiting: %s", who.text);
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

void lt_cli_await(struct lt_cli *cli, const char *space, const char *name) {
    int fd = lt_range_lock_find(lt_buf_cstr(&cli->data_dir));
    struct wait w = {.cli = cli, .space = space, .name = name, .fd = fd, .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t thread;
    if (w.fd >= 0 && lt_range_lock_within(w.fd, space, lt_str_of(name), 0, NULL) != LITMUS_OK && pthread_create(&thread, NULL, say_after_a_second, &w) == 0) {
        lt_range_lock(w.fd, space, lt_str_of(name));
        pthread_mutex_lock(&w.mutex);
        w.over = true;
        pthread_cond_signal(&w.changed);
        pthread_mutex_unlock(&w.mutex);
        pthread_join(thread, NULL);
    }
    if (w.fd >= 0) close(w.fd); /* gives it back */
}

bool lt_cli_is_free(struct lt_cli *cli, const char *space, const char *name) {
    struct litmus_error who = {0};
    int fd = lt_range_lock_find(lt_buf_cstr(&cli->data_dir)), code = lt_range_lock_within(fd, space, lt_str_of(name), cli->waited_enough ? 0 : LT_RANGE_PATIENCE_MS, &who);
    if (code != LITMUS_OK && (!cli->waited_enough || cli->verbose > 0)) lt_say(cli, "not waited for, and shown as it is: %s", who.text);
    if (code != LITMUS_OK) cli->waited_enough = true;
    if (fd >= 0) close(fd);
    return code == LITMUS_OK;
}
