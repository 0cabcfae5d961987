/* SPDX-License-Identifier: Apache-2.0
 *
 * tree.h - everything below a folder, in the order of names. Links are told and never followed.
 */
#ifndef LT_BASE_TREE_H
#define LT_BASE_TREE_H

#include "base/io.h"

#include <sys/stat.h>

/* Gives what is below `top`/`folder` ("" for top itself): `path` relative to top, borrowed for the call. A folder
 * comes after what is in it. Another code than LITMUS_OK ends the walk and is returned. */
typedef int lt_tree_fn(void *self, const char *path, const struct stat *st, struct litmus_error *error);
/* A folder that is missing, or a link, is empty. Errors: those of `each`; EPERM, EIO, ENOMEM; EINVAL (deeper than 16). */
int lt_tree_walk(const char *top, const char *folder, lt_tree_fn *each, void *self, struct litmus_error *error);
/* The same, but a folder that cannot be listed is given to `refused` (with `self`, by its whole path) and passed over. */
int lt_tree_walk_readable(const char *top, const char *folder, lt_tree_fn *each, lt_io_refused refused, void *self, struct litmus_error *error);
/* Removes the folder and all below it, as far as that is possible. */
void lt_tree_remove(const struct lt_io *io, const char *top, const char *folder);

#endif
