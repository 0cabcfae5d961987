/* SPDX-License-Identifier: Apache-2.0
 *
 * heads.h - `<data_dir>/heads`: where the logs ended that no session has named yet. The next session to start
 * names them in its first event and takes them off the list, so that the logs of a data_dir hang together
 * (FORMAT.md, "Linked"). Several sessions may end between two starts: all are named.
 *
 * Always true: a head leaves the list only after the event that names it was appended. What a crash or a full disk
 * does to the list costs proof, never a record: a head may be named twice, or by nobody.
 */
#ifndef LT_LOG_HEADS_H
#define LT_LOG_HEADS_H

#include "log/log.h"

enum { LT_HEADS_NAMED_MAX = 4096 }; /* by one event; the rest waits for the next session */

struct lt_heads {
    const struct lt_io *io; /* borrowed */
    int fd;                 /* of the list, locked; -1: it was only read */
    struct lt_head *items;
    size_t count, capacity;
};

/* A log ended there, or (rows 0 or 1) begins. `io` NULL: the real calls. Errors: EBUSY, ENOSPC, EIO, EPERM. */
int lt_heads_add(const struct lt_io *io, const char *data_dir, const struct lt_head *head, struct litmus_error *error);
/* Reads the list and locks it until the release. Hands over the contents of *out, also after an error. */
int lt_heads_take(const struct lt_io *io, const char *data_dir, struct lt_heads *out, struct litmus_error *error);
/* The first `named` heads are on record now, in the log that has come to `own`. */
int lt_heads_give(struct lt_heads *heads, size_t named, const struct lt_head *own, struct litmus_error *error);
void lt_heads_release(struct lt_heads *heads);
/* The list as it is; none is empty. Hands over the contents of *out, also after an error. */
int lt_heads_read(const char *data_dir, struct lt_heads *out, struct litmus_error *error);

#endif
