/* SPDX-License-Identifier: Apache-2.0
 *
 * seal.h - who vouches for a log's end: an Ed25519 signature in the metadata of the footer's schema
 * (FORMAT.md, "Signed"). It is over the last chain value, so an archive keeps it.
 */
#ifndef LT_LOG_SEAL_H
#define LT_LOG_SEAL_H

#include "base/key.h"
#include "log/ipc.h"
#include "log/log.h"

/* `key` NULL: leaves it unsigned. ENOMEM. */
/* Without `holds`. */
int lt_seal_sign(const struct lt_key *key, const struct lt_head *head, bool by_recovery, struct lt_seal *out, struct litmus_error *error);
bool lt_seal_holds(const struct lt_seal *seal, const struct lt_head *head);
/* Adds what is signed to a schema that is to be the footer's. false: out of memory. */
bool lt_seal_put(const struct lt_seal *seal, struct lt_ipc_schema *schema);
/* Of a footer that lt_ipc_footer took. false: there is something, and it is no signature. */
bool lt_seal_read(const unsigned char *footer, struct lt_seal *out);

#endif
