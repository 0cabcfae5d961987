/* SPDX-License-Identifier: Apache-2.0
 *
 * torn.h - the end of a dead writer's file: what is no whole message is kept beside it and cut off, and the
 * seal written. The caller holds the file's lock and has opened it to append.
 *
 * Each step can be the last one before a crash, and starting over ends the same: the evidence appears whole
 * or not at all and always holds the same bytes; cutting is one call; a seal that was written in part is
 * recognised as what we would write, and is no evidence.
 */
#ifndef LT_LOG_TORN_H
#define LT_LOG_TORN_H

#include "base/io.h"

struct lt_torn {
    int64_t bytes;      /* kept; 0: none */
    char evidence[512]; /* where; "" if none */
};

/* Cuts the file at `path` to `size`, after what lies behind it was kept as `{path}.torn-{size}[-N]`. `seal` is what would be
 * written there to seal the file, empty if that is not known. EIO, ENOSPC, ENOMEM, EBUSY (no free name). */
int lt_torn_cut(const struct lt_io *io, int fd, const char *path, int64_t size, const struct lt_buf *seal, struct lt_torn *out,
                struct litmus_error *error);
/* Appends to a file of `size` bytes, whole or not at all. `what` is for the error: "seal". */
int lt_torn_append(const struct lt_io *io, int fd, const char *path, int64_t size, const struct lt_buf *bytes, const char *what, struct litmus_error *error);

#endif
