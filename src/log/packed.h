/* SPDX-License-Identifier: Apache-2.0
 *
 * packed.h - many rows as one compressed record batch: the batches of an archived log.
 *
 * Calling sequence: 1. lt_packed_new, 2. lt_packed_add until lt_packed_is_full, 3. lt_packed_encode
 * (which empties it), and again from 2.
 */
#ifndef LT_LOG_PACKED_H
#define LT_LOG_PACKED_H

#include "log/layout.h"

struct lt_packed;
struct lt_packed *lt_packed_new(void); /* NULL: out of memory */
void lt_packed_free(struct lt_packed *packed);
/* Copies the row. false: out of memory. */
bool lt_packed_add(struct lt_packed *packed, const struct lt_row *row);
int64_t lt_packed_rows(const struct lt_packed *packed);
bool lt_packed_is_full(const struct lt_packed *packed);
/* Appends the message and takes the rows out. *header_bytes and *body_bytes get its two parts. ENOMEM. */
int lt_packed_encode(struct lt_packed *packed, struct lt_buf *out, int64_t *header_bytes, int64_t *body_bytes, struct litmus_error *error);

#endif
