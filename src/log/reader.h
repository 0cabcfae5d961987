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


enum lt_log_form {
    LT_LOG_FORM_OTHER,    /* of another writer, or not known yet */
    LT_LOG_FORM_WRITTEN,  /* as the writer of this version begins it */
    LT_LOG_FORM_ARCHIVED, /* as archive.c writes it */
};
enum lt_log_form lt_log_reader_form(const struct lt_log_reader *reader);

/* SHA-256 as text; ends the digest (an EVP_MD_CTX). false: out of memory. */
enum { LT_HASH_TEXT = 65 };
bool lt_digest_text(void *digest, char out[LT_HASH_TEXT]);

#endif
