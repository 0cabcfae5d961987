/* SPDX-License-Identifier: Apache-2.0
 *
 * lake_sums.h - "_part-X.sha256" beside the lake file part-X: the SHA-256 of it, of its .steps and of its list of runs, in the
 * form that `sha256sum -c` reads. Made from what was written, before anybody else could change it.
 */
#ifndef LT_QUERY_LAKE_SUMS_H
#define LT_QUERY_LAKE_SUMS_H

#include "base/buf.h"
#include "base/error.h"

/* Appends the line of a file that holds these bytes; of `path` the last part counts. ENOMEM. */
int lt_lake_sums_add(struct lt_buf *sums, const char *path, const void *bytes, size_t n, struct litmus_error *error);
/* Holds the files that the sums at `path` name, beside it, against it. `count`: so many it has to name. Each that is not what it
 * says is told; `file` is its name in the folder, "" for the sums themselves. Errors: ENOMEM, and what the system does not
 * let us read: that says nothing about the file. */
typedef void lt_lake_sums_fn(void *self, const char *file, const char *what);
int lt_lake_sums_check(const char *path, size_t count, lt_lake_sums_fn *wrong, void *self, struct litmus_error *error);

#endif
