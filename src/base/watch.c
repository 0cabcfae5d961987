/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

struct lt_watch {
    int fd;
    size_t have, at; /* bytes in `bytes`, and how many of them were given out */
    alignas(struct inotify_event) char bytes[16 * 1024];
};

struct lt_watch *lt_watch_open(void) {
    struct lt_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) return NULL;
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd >= 0) return watch;
    free(watch);
    return NULL;
}

void lt_watch_free(struct lt_watch *watch) {
    if (watch == NULL) return;
    close(watch->fd);
    free(watch);
}

int lt_watch_fd(const struct lt_watch *watch) {
    return watch->fd;
}

int lt_watch_add(struct lt_watch *watch, const char *folder, bool writes) {
    uint32_t mask = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK;
    return inotify_add_watch(watch->fd, folder, writes ? mask | IN_MODIFY : mask);
}

void lt_watch_remove(struct lt_watch *watch, int id) {
    inotify_rm_watch(watch->fd, id);
}

/* false: an event of no interest. */
static bool translate(const struct inotify_event *raw, struct lt_watch_event *event) {
    *event = (struct lt_watch_event){.id = raw->wd, .name = raw->len > 0 ? raw->name : "", .is_folder = (raw->mask & IN_ISDIR) != 0};
    if (raw->mask & IN_Q_OVERFLOW) event->kind = LT_WATCH_LOST;
    else if (raw->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) event->kind = LT_WATCH_GONE;
    else if (raw->mask & (IN_CREATE | IN_MOVED_TO)) event->kind = LT_WATCH_APPEARED;
    else if (raw->mask & IN_CLOSE_WRITE) event->kind = LT_WATCH_CLOSED;
    else if (raw->mask & IN_MODIFY) event->kind = LT_WATCH_CHANGED;
    else return false; /* IN_IGNORED */
    return true;
}

bool lt_watch_next(struct lt_watch *watch, struct lt_watch_event *event) {
    for (;;) {
        if (watch->at >= watch->have) {
            ssize_t got = read(watch->fd, watch->bytes, sizeof watch->bytes);
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) return false;
            watch->have = (size_t)got;
            watch->at = 0;
        }
        const struct inotify_event *raw = (const struct inotify_event *)(const void *)(watch->bytes + watch->at);
        watch->at += sizeof *raw + raw->len;
        if (translate(raw, event)) return true;
    }
}
