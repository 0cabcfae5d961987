/* SPDX-License-Identifier: Apache-2.0
 *
 * envelope.h - a statement and its signature in one line of JSON: DSSE 1.0, which in-toto's tools read. There is one
 * way to write an envelope, so that no byte of it can be changed unseen.
 */
#ifndef LT_EVIDENCE_ENVELOPE_H
#define LT_EVIDENCE_ENVELOPE_H

#include "base/key.h"

#define LT_STATEMENT_TYPE "application/vnd.in-toto+json"

struct lt_envelope {
    struct lt_buf payload;        /* the statement */
    bool is_signed;
    char key_id[LT_KEY_ID_BYTES]; /* that it names */
    unsigned char signature[LT_KEY_SIGNATURE_BYTES];
};

/* Appends the envelope of a statement, signed by `key` (NULL: by nobody). ENOMEM. */
int lt_envelope_write(struct lt_str payload, const struct lt_key *key, struct lt_buf *out, struct litmus_error *error);
/* Release in every case. EDAMAGED: it is none that lt_envelope_write makes; ENOMEM. */
int lt_envelope_read(struct lt_str text, struct lt_envelope *out, struct litmus_error *error);
void lt_envelope_release(struct lt_envelope *envelope);
/* Did the owner of this key sign it? */
bool lt_envelope_holds(const struct lt_envelope *envelope, const unsigned char public_key[LT_KEY_PUBLIC_BYTES]);

#endif
