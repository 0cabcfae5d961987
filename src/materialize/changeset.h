/* SPDX-License-Identifier: Apache-2.0
 *
 * changeset.h - many files of a data_dir come and go as one change: the list of it is published first
 * (`<data_dir>/changes`), then worked off, then removed. What a crash left is worked off by whoever opens
 * the data_dir next, before it looks at anything. So a reader of ours sees all of it or nothing.
 *
 * Always true:
 *  - Each line can be worked off any number of times.
 *  - Nothing is overwritten: what is in the way of a file that comes stays, and the new one stays in staging/.
 *  - A list is not believed: it can only move from staging/ and remove below events/, runs/ and channels/,
 *    and follows no link.
 */
#ifndef LT_MATERIALIZE_CHANGESET_H
#define LT_MATERIALIZE_CHANGESET_H

#include "base/io.h"

#define LT_STAGING "staging" /* folder below the data_dir in which changes are made ready */
#define LT_CHANGES "changes" /* the list */

struct lt_changeset {
    struct lt_buf text; /* of the list */
    size_t count;
};
void lt_changeset_init(struct lt_changeset *set);
void lt_changeset_release(struct lt_changeset *set);
/* Paths are relative to the data_dir. EINVAL: a path that no list may hold. */
int lt_changeset_move(struct lt_changeset *set, const char *from, const char *to, struct litmus_error *error);
int lt_changeset_remove(struct lt_changeset *set, const char *path, struct litmus_error *error);
/* The folder, once it is empty. */
int lt_changeset_remove_folder(struct lt_changeset *set, const char *path, struct litmus_error *error);

/* Publishes the list, after which the change happens whatever comes, and works it off. What is to be moved has to be
 * on the disk. Errors: EBUSY, EPERM, ENOSPC, EIO, ENOMEM; nothing changed when the list was not published, else the next one
 * finishes it. */
int lt_changeset_apply(const struct lt_io *io, const char *data_dir, const struct lt_changeset *set, struct litmus_error *error);
/* Works off what a crash left. Nothing to do: LITMUS_OK, at the cost of one look. Errors: EDAMAGED (no list of
 * ours; it is left alone), EVERSION, EPERM, EIO, ENOMEM. */
int lt_changeset_finish(const struct lt_io *io, const char *data_dir, struct litmus_error *error);
/* The same for who only reads: waits no longer for another that is at it, or says so (lt_range_lock_within). EBUSY: nothing was done. */
int lt_changeset_finish_within(const struct lt_io *io, const char *data_dir, int milliseconds, struct litmus_error *error);
/* Works off the lines of a list. For lt_changeset_finish and tests. */
int lt_changeset_work_off(const struct lt_io *io, const char *data_dir, struct lt_str list, struct litmus_error *error);

/* Who makes a change ready: one at a time a data_dir; staging/ is emptied. *fd holds it until closed. EBUSY: somebody is at it. */
int lt_changeset_begin(const char *data_dir, int *fd, struct litmus_error *error);
void lt_changeset_end(const char *data_dir, int fd);
/* Empties staging/, unless a list waits to be worked off: what it moves lies there. */
void lt_changeset_clear_staging(const char *data_dir);

#endif
