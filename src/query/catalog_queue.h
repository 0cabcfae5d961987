/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_queue.h - catalog rows of many writers, put by one thread: those that come while it writes,
 * or within a moment of each other, go in one transaction.
 *
 * Always true: nobody waits for a row, and a row that is lost (a crash, a full disk) mends itself, as
 * whoever reads the catalog looks at the folders first. The catalog is opened with the first row and
 * closed when none has come for a while.
 */
#ifndef LT_QUERY_CATALOG_QUEUE_H
#define LT_QUERY_CATALOG_QUEUE_H

#include "query/catalog.h"

struct lt_catalog_queue;

/* Starts the thread. data_dir is copied. Hands over *out. Errors: ENOMEM, EIO (no thread). */
int lt_catalog_queue_new(const char *data_dir, struct lt_catalog_queue **out, struct litmus_error *error);
/* Writes what waits, and ends the thread. NULL accepted. */
void lt_catalog_queue_free(struct lt_catalog_queue *queue);
/* Copies. `size`, `mtime_ns`: of the file, as for lt_catalog_put. Threads may call it at the same time. */
void lt_catalog_queue_put(struct lt_catalog_queue *queue, const struct lt_summary *run, int64_t size, int64_t mtime_ns);

#endif
