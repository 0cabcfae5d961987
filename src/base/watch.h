/* SPDX-License-Identifier: Apache-2.0
 *
 * watch.h - being told what changes in folders. Linux: inotify. A port brings its own; where there
 * is none, lt_watch_open fails and callers look at the folders from time to time.
 *
 * Always true: folders are watched, never single files; a folder that is a symbolic link is
 * refused; an event may come late, twice or (on network file systems) never.
 */
#ifndef LT_BASE_WATCH_H
#define LT_BASE_WATCH_H

#include <stdbool.h>

enum lt_watch_kind {
    LT_WATCH_APPEARED, /* a name is new in the folder */
    LT_WATCH_CHANGED,  /* a file was written */
    LT_WATCH_CLOSED,   /* a file that was open for writing was closed; its lock may still be held for an instant */
    LT_WATCH_GONE,     /* the folder itself was deleted or moved; its id is no longer valid */
    LT_WATCH_LOST,     /* events were dropped: look at everything again; id is -1 */
};
struct lt_watch_event {
    enum lt_watch_kind kind;
    int id;           /* as lt_watch_add gave it */
    const char *name; /* in the folder, "" for the folder itself; lives until the next call */
    bool is_folder;
};
struct lt_watch;

struct lt_watch *lt_watch_open(void); /* hands over; NULL and errno when there is none */
void lt_watch_free(struct lt_watch *watch);
int lt_watch_fd(const struct lt_watch *watch); /* readable when events are there */
/* Id of the watched folder, the same when it is added twice; -1 and errno. `writes`: LT_WATCH_CHANGED is told, too; adding the
 * folder again changes that. Telling costs who writes a third of his write(2). */
int lt_watch_add(struct lt_watch *watch, const char *folder, bool writes);
void lt_watch_remove(struct lt_watch *watch, int id);
/* The next event that is there; false when there is none now. Never waits. */
bool lt_watch_next(struct lt_watch *watch, struct lt_watch_event *event);

#endif
