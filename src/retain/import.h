/* SPDX-License-Identifier: Apache-2.0
 *
 * import.h - sessions of another data_dir come into this one, with all that is theirs: logs and what lies beside
 * them, channels, attachments. Run files are made by the fold, as everywhere. The other data_dir is only read.
 *
 * Always true: what comes together is one change (materialize/changeset.h): after a crash there is all of a
 * session or nothing, and an event retention.imported for each, which names where its logs ended; from then on none
 * of them can vanish unseen. Nothing that is here is overwritten.
 */
#ifndef LT_RETAIN_IMPORT_H
#define LT_RETAIN_IMPORT_H

#include "retain/incoming.h"

struct lt_import; /* handle */

enum { LT_IMPORT_SESSIONS_MAX = 256 }; /* that come together; more is LITMUS_ESTATE */

struct lt_imported { /* a session that is here now, or was left out */
    const char *session_id;
    int64_t logs, runs, files, bytes; /* of what came; runs: of those that have or get a file */
    bool damaged;                     /* a log is: it came as it is */
    bool unsealed;                    /* a producer died before it could seal one: it is sealed here */
    const struct litmus_error *why;   /* it could not be made ready, and nothing of it came; NULL: it is here */
};
typedef void lt_imported_fn(void *self, const struct lt_imported *done);

/* `here` is open on data_dir; all texts and it are borrowed. `dry`: everything but the change. Errors: EINVAL (the two
 * are one), ENOENT and EDAMAGED (`from` is no data_dir), EVERSION (either is of a newer format), EBUSY (another import or
 * prune is at work), EPERM, EIO, ENOMEM. */
int lt_import_new(const char *data_dir, const char *from, struct lt_query *here, bool dry, struct lt_import **out, struct litmus_error *error);
void lt_import_free(struct lt_import *import); /* what was not applied is left out; NULL accepted */
/* What there is to come. Borrowed. */
const struct lt_incoming *lt_import_incoming(const struct lt_import *import);
/* Looks at the n-th session of it and takes it along if that is possible and there is something new. As lt_incoming_look. */
int lt_import_look(struct lt_import *import, size_t session, enum lt_incoming_verdict *verdict, struct litmus_error *why, struct litmus_error *error);
/* Are so many taken along that they should be applied first? */
bool lt_import_is_full(const struct lt_import *import);
/* What was taken along comes, and `each` is told of it, and of what had to be left out; then unfinished runs are finished. Errors: ENOSPC, ENOMEM,
 * EPERM, EIO: what `each` was not told of did not come, or (see lt_changeset_apply) the next one finishes it. */
int lt_import_apply(struct lt_import *import, lt_imported_fn *each, void *self, struct litmus_error *error);
/* The public keys that vouch for logs that came, each once; borrowed. */
size_t lt_import_keys(const struct lt_import *import, const unsigned char (**keys)[LT_KEY_PUBLIC_BYTES]);

#endif
