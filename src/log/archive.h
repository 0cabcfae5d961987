/* SPDX-License-Identifier: Apache-2.0
 *
 * archive.h - a sealed log written again, about ten times smaller: the same rows, chain values and
 * identity in large compressed batches (FORMAT.md, "Archived").
 *
 * Always true: under the log's name lies the old file or the new one, whole; the new one only after
 * it was read back from the disk and every field of every row was the same.
 */
#ifndef LT_LOG_ARCHIVE_H
#define LT_LOG_ARCHIVE_H

#include "log/log.h"

struct lt_log_archived {
    bool already; /* it was archived before, or would not get smaller: it is as it was */
    int64_t rows, bytes_before, bytes_after;
};
/* Errors: EBUSY (a producer writes it, or it is not sealed), EDAMAGED (damaged, or the chain does not
 * hold: it is left as it is), EVERSION (written by another version in another form), ENOSPC, EIO, ENOMEM.
 * `dry`: everything but the writing; bytes_after is not known then (0). */
int lt_log_archive(const struct lt_io *io, const char *path, bool dry, struct lt_log_archived *report, struct litmus_error *error);

#endif
