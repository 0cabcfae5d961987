/* SPDX-License-Identifier: Apache-2.0
 *
 * growing.h - an Arrow IPC file that only grows: made under a name of its own, locked, written by whole
 * messages, sealed in the end. What logs and channels have in common; what a message holds is theirs.
 *
 * Always true:
 *  - A failed write leaves the file as it was (cut back), or the file refuses everything after it.
 *  - After a failed sync it refuses everything: the sync cannot be undone or tried again (the kernel has
 *    dropped what it could not write, and a reader may have the message already).
 *  - The lock is held until the seal or the close; a forked child calls lt_growing_forget and never has it.
 *
 * No locking of its own: who owns it has a mutex.
 */
#ifndef LT_LOG_GROWING_H
#define LT_LOG_GROWING_H

#include "base/io.h"
#include "log/ipc.h"

/* The words of its errors, and where it lies. */
struct lt_growing_kind {
    const char *folder;  /* below the data_dir: "events" */
    const char *file;    /* "log" */
    const char *content; /* "events" */
};

struct lt_growing {
    const struct lt_growing_kind *kind; /* borrowed */
    const struct lt_io *io;             /* borrowed */
    char *data_dir;
    enum litmus_durability durability;
    int64_t group_us;
    int64_t number; /* the first N of its name that is tried; 0: the name without one */
    bool not_first; /* another file of its name may lie in the folder of another day */
    /* of the file; a forked child starts over */
    int fd; /* -1: none (yet, in a forked child; any more, after the seal) */
    bool sealed;
    struct litmus_error refusal; /* code set: everything gets this */
    char *path;
    struct lt_ipc_schema *schema;
    int64_t size;      /* up to here everything is whole */
    int64_t synced_us; /* monotonic */
    struct lt_ipc_block *blocks; /* for the footer */
    size_t block_count, block_capacity;
    struct lt_buf out; /* for a message, or any other use between two calls */
};

/* `io` NULL: the real calls. `group_ms` 0: 100. ENOMEM. */
int lt_growing_init(struct lt_growing *file, const struct lt_growing_kind *kind, const struct lt_io *io, const char *data_dir,
                    enum litmus_durability durability, int group_ms, struct litmus_error *error);
void lt_growing_release(struct lt_growing *file); /* closes without sealing */

/* Makes `{data_dir}/{folder}/{UTC date}/{stem}[-N].arrow`, locks it, and writes magic and schema. `schema` is given the
 * name without .arrow; NULL of it: out of memory. On failure no file is left. */
int lt_growing_open(struct lt_growing *file, const char *stem, struct lt_ipc_schema *(*schema)(void *self, const char *name), void *self,
                    struct litmus_error *error);
/* Why nothing can be written now. LITMUS_OK with fd -1: a forked child's file is still to be opened. */
int lt_growing_ready(const struct lt_growing *file, struct litmus_error *error);
/* Room for one more block, so that lt_growing_add cannot fail. ENOMEM. */
int lt_growing_reserve(struct lt_growing *file, struct litmus_error *error);
/* One write(2) of a message, or of a part of it. On failure the file is cut back to its last whole message. */
int lt_growing_write(struct lt_growing *file, const void *bytes, size_t n, struct litmus_error *error);
/* The message that was written is whole, and a record batch; its offset is filled in. After lt_growing_reserve. */
void lt_growing_add(struct lt_growing *file, int64_t header_bytes, int64_t body_bytes);
/* Syncs as the durability wants it after a message. */
int lt_growing_sync(struct lt_growing *file, struct litmus_error *error);
/* Writes what seals it and lets go of the lock. After a failure the file is as it was. `footer`: the schema for the
 * footer, NULL: the file's own. */
int lt_growing_seal(struct lt_growing *file, const struct lt_ipc_schema *footer, struct litmus_error *error);
/* In a forked child: closes the parent's file, whose lock must not live here. */
void lt_growing_forget(struct lt_growing *file);

#endif
