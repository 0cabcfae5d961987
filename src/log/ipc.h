/* SPDX-License-Identifier: Apache-2.0
 *
 * ipc.h - the Arrow library behind the log. ipc.c is the only file that knows which one it is.
 *
 * Always true: what comes from a file is verified as a flatbuffer and held against the bytes that
 * are there before any of it is used.
 */
#ifndef LT_LOG_IPC_H
#define LT_LOG_IPC_H

#include "log/layout.h"

/* Where a record batch lies; as in the footer. */
struct lt_ipc_block {
    int64_t offset;
    int32_t header_bytes;
    int32_t unused;
    int64_t body_bytes;
};

/* What the functions that say what is wrong with a message say when memory was wanting: compare the pointer. */
extern const char lt_ipc_no_memory[];

/* A log's schema: columns and metadata. */
struct lt_ipc_schema;
/* Of a log that this version writes. NULL: out of memory. */
struct lt_ipc_schema *lt_ipc_schema_new(const char *identity, const char *session_id);
struct lt_ipc_schema *lt_ipc_schema_copy(const struct lt_ipc_schema *schema); /* NULL: out of memory */
void lt_ipc_schema_free(struct lt_ipc_schema *schema);
struct ArrowSchema;
/* Of another kind of file; takes what is in `arrow` in every case. NULL: out of memory. */
struct lt_ipc_schema *lt_ipc_schema_take(struct ArrowSchema *arrow);
/* Reads a schema message of `n` bytes (all of it, 8-byte aligned), whatever its columns. Hands over *out.
 * NULL, or what is wrong (static storage). */
const char *lt_ipc_schema_read(const unsigned char *message, int64_t n, struct lt_ipc_schema **out);
/* Adds a metadata value. false: out of memory. */
bool lt_ipc_schema_put(struct lt_ipc_schema *schema, const char *key, const char *value);
/* Appends the schema message. false: out of memory. */
bool lt_ipc_schema_encode(const struct lt_ipc_schema *schema, struct lt_buf *out);
/* A metadata value into `out` (terminated); false if it is not there or does not fit. */
bool lt_ipc_schema_text(const struct lt_ipc_schema *schema, const char *key, char *out, size_t size);

/* Are its columns those of a log, in their order, and no more? */
bool lt_ipc_schema_is_of_log(const struct lt_ipc_schema *schema);

struct ArrowArray;
/* Appends the metadata of a batch message, with its prefix. `make_row` makes a schema and a batch of one row of it, without
 * content of note; 0, or an errno of the library. What it made is released in every case. */
bool lt_ipc_batch_header(int (*make_row)(struct ArrowSchema *schema, struct ArrowArray *array), struct lt_buf *out);

/* The layout of batches of the schema that this version writes. false: out of memory. */
bool lt_ipc_layout(struct lt_layout *layout);

/* Appends what seals a log: EOS, footer, footer length, magic. */
bool lt_ipc_seal(const struct lt_ipc_schema *schema, const struct lt_ipc_block *blocks, size_t count, struct lt_buf *out);

/* ---- reading ---- */
struct lt_ipc_decoder;
struct lt_ipc_decoder *lt_ipc_decoder_new(void); /* NULL: out of memory */
void lt_ipc_decoder_free(struct lt_ipc_decoder *decoder);

/* Reads the schema message of `n` bytes (all of it, 8-byte aligned) and sets the decoder to its
 * columns. Hands over *out. NULL, or what is wrong (lives as long as the decoder). */
const char *lt_ipc_decode_schema(struct lt_ipc_decoder *decoder, const unsigned char *message, int64_t n,
                                 struct lt_ipc_schema **out);
/* Reads the metadata of the record batch message at `message`, of which `header_bytes` are there.
 * *body_bytes gets the length of the body. NULL, or what is wrong (static storage). */
const char *lt_ipc_decode_header(struct lt_ipc_decoder *decoder, const unsigned char *message, int64_t header_bytes,
                                 int64_t *body_bytes);
/* Follows lt_ipc_decode_header: the whole message is at `message` now. Fills the columns, which live
 * until the next call on the decoder or until the message goes. NULL, or what is wrong (static storage). */
const char *lt_ipc_decode_body(struct lt_ipc_decoder *decoder, const unsigned char *message, struct lt_batch *batch);

/* Verifies the footer at the end of `bytes` (which start with the footer, 8-byte aligned, and end
 * with the magic); *blocks gets the first of its *count blocks, to be read with lt_ipc_block_at. */
bool lt_ipc_footer(struct lt_ipc_decoder *decoder, const unsigned char *bytes, int64_t n, const unsigned char **blocks,
                   size_t *count);
/* A metadata value of the schema in a verified footer; borrowed, p == NULL: not there. */
struct lt_str lt_ipc_footer_text(const unsigned char *bytes, const char *key);
struct lt_ipc_block lt_ipc_block_at(const unsigned char *blocks, size_t index);

#endif
