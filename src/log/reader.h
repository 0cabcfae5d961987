/* SPDX-License-Identifier: Apache-2.0
 *
 * reader.h - what recovery needs from a reader beyond log.h.
 */
#ifndef LT_LOG_READER_H
#define LT_LOG_READER_H

#include "log/ipc.h"
#include "log/log.h"

/* Before the first lt_log_next: remember where each batch lies. */
void lt_log_reader_keep_blocks(struct lt_log_reader *reader);
const struct lt_ipc_block *lt_log_reader_blocks(const struct lt_log_reader *reader, size_t *count);
/* NULL until the schema was read. Borrowed from the reader. */
const struct lt_ipc_schema *lt_log_reader_schema(const struct lt_log_reader *reader);

#endif
