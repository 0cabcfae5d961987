/* SPDX-License-Identifier: Apache-2.0
 *
 * statement.h - the in-toto Statement v1 of an evidence file: which files (subjects, by SHA-256), and as predicate
 * what the run was, its plan, its result, the steps that never ran with their reasons, its logs, and what people said
 * of it. FORMAT.md has the fields.
 */
#ifndef LT_EVIDENCE_STATEMENT_H
#define LT_EVIDENCE_STATEMENT_H

#include "evidence/dossier.h"
#include "evidence/zip.h"

#define LT_PREDICATE_TYPE "urn:litmus:evidence:1"

struct lt_subject {
    const char *name;
    char sha256[LT_SHA256_TEXT_BYTES];
};
/* Appends it; the same dossier and subjects, which come sorted by name, give the same bytes. ENOMEM. */
int lt_statement_write(const struct lt_dossier *dossier, const struct lt_subject *subjects, size_t count, struct lt_buf *out, struct litmus_error *error);

/* Holds a statement against one that was made from the files, and tells what differs, in words: of the file `name`, or
 * (NULL) of the statement. What another version adds is passed over. EDAMAGED: it is none; ENOMEM. */
typedef void lt_statement_fn(void *self, const char *name, const char *text);
int lt_statement_compare(struct lt_str theirs, struct lt_str ours, lt_statement_fn *each, void *self, struct litmus_error *error);

#endif
