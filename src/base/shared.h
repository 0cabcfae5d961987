/* SPDX-License-Identifier: Apache-2.0
 *
 * shared.h - memory that outlives the process: a file mapped so that what is stored in it is with the
 * kernel at once, without a call.
 */
#ifndef LT_BASE_SHARED_H
#define LT_BASE_SHARED_H

#include "base/io.h"

/* Creates `path` (which must not be there) with `bytes` bytes of zeros, room on the disk taken, and maps it.
 * Hands over *out, to be given to lt_shared_unmap. On failure no file is left. */
int lt_shared_create(const struct lt_io *io, const char *path, size_t bytes, void **out, struct litmus_error *error);
void lt_shared_unmap(void *memory, size_t bytes); /* NULL accepted; the file stays */

#endif
