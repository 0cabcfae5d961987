/* SPDX-License-Identifier: Apache-2.0
 *
 * folders.h - the date folders below events/: which logs lie there, and which of them need no look.
 *
 * Always true:
 *  - Each log is announced once (on_log), newest folder first, in order of name within a listing.
 *  - A log that was settled (sealed, every run of it materialised) stays unread ever after, also by
 *    the next daemon: `daemon.clean` remembers it by name, size and time of change, and a whole
 *    folder by its time of change. The file may be deleted at any time; then all is looked at again.
 *  - Only real folders and plain files count; symbolic links are passed over.
 */
#ifndef LT_SERVE_FOLDERS_H
#define LT_SERVE_FOLDERS_H

#include "base/buf.h"
#include "base/error.h"
#include "base/watch.h"

#include <sys/stat.h>

struct lt_keys { /* a set of hashes, none of them 0 */
    uint64_t *slots;
    size_t count, capacity;
};
bool lt_keys_have(const struct lt_keys *keys, uint64_t key);
bool lt_keys_add(struct lt_keys *keys, uint64_t key); /* false: out of memory */
void lt_keys_release(struct lt_keys *keys);

struct lt_folder {
    char name[32];
    char *path; /* absolute */
    int watch;  /* -1: none */
    bool hushed; /* the watch does not tell of writes */
    struct lt_keys seen;    /* names that were announced or are clean */
    struct lt_keys clean;   /* logs with nothing left to do, by name, size, time of change */
    int64_t listed_mtime;   /* ns, of the folder when it was listed last; -1: never */
    int64_t listed_at;      /* ns, wall clock */
    int64_t clean_mtime;    /* all of the folder is clean if this is its time of change; -1: unknown */
    size_t followed;        /* logs that were announced and are not yet settled */
    bool wanted;            /* is to be listed */
    bool unsynced;          /* has new names */
    bool gone;              /* was deleted or moved away */
};

struct lt_folders {
    char *events; /* path of the folder of folders */
    char *cache;  /* path of daemon.clean */
    int events_watch;
    struct lt_watch *watch; /* borrowed; NULL: none */
    struct lt_folder **items; /* newest first */
    size_t count, capacity;
    void (*on_log)(void *self, struct lt_folder *folder, const char *name, bool fresh);
    void *self;
    /* the listing under way */
    struct lt_folder *listing;
    char **names;
    size_t name_count, name_capacity, name_at;
    bool changed; /* the cache file is behind */
    bool lost;    /* names may have come of which nobody told: until everything was listed again */
};

/* Watches events/ (created when missing) and reads the cache. `on_log` hears of each log that needs a look. */
int lt_folders_open(struct lt_folders *folders, const char *data_dir, struct lt_watch *watch,
                    void (*on_log)(void *self, struct lt_folder *folder, const char *name, bool fresh), void *self,
                    struct litmus_error *error);
void lt_folders_close(struct lt_folders *folders);

/* Looks for new date folders, and whether one of the `newest` folders changed since it was listed
 * (`force`: even if not). What is to be listed is listed by lt_folders_step. */
void lt_folders_refresh(struct lt_folders *folders, size_t newest, bool force);
/* Announces up to `budget` logs. false: nothing left to list. */
bool lt_folders_step(struct lt_folders *folders, size_t budget);
/* Is the listing between two logs of one session, as far as names tell? */
bool lt_folders_listing(const struct lt_folders *folders);

/* Was every log of this session that there is announced, but for those that came since the watch was
 * last asked and those that were settled before? */
bool lt_folders_knows(const struct lt_folders *folders, const char *session_id);

struct lt_folder *lt_folders_by_watch(struct lt_folders *folders, int watch); /* NULL: none */
/* A watch said that `name` is there: announces it unless it is known. */
void lt_folders_note(struct lt_folders *folders, struct lt_folder *folder, const char *name);
/* Has the watch tell of writes in the folder, or not: then somebody has to look at its logs. */
void lt_folders_hush(struct lt_folders *folders, struct lt_folder *folder, bool hushed);
void lt_folders_lost(struct lt_folders *folders, struct lt_folder *folder); /* the folder is gone or was moved */
/* The log is settled: it needs no look any more. */
void lt_folders_settled(struct lt_folders *folders, struct lt_folder *folder, const char *name);
/* Writes daemon.clean if it is behind. Failing is no error: it is only a cache. */
void lt_folders_save(struct lt_folders *folders);

#endif
