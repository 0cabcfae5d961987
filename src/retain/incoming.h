/* SPDX-License-Identifier: Apache-2.0
 *
 * incoming.h - another data_dir, session by session, held against ours: what of it is not here yet, and what
 * stands against it. Changes nothing on either side.
 */
#ifndef LT_RETAIN_INCOMING_H
#define LT_RETAIN_INCOMING_H

#include "base/uuid.h"
#include "log/log.h"
#include "query/query.h"

enum lt_incoming_verdict {
    LT_INCOMING_NEW,        /* has files that are not here */
    LT_INCOMING_KNOWN,      /* all of it is here */
    LT_INCOMING_LIVE,       /* a process still writes it */
    LT_INCOMING_PRUNED,     /* it was here, and was removed by policy */
    LT_INCOMING_DIFFERS,    /* a file of the same name is here, and says something else */
    LT_INCOMING_UNREADABLE, /* a log cannot be read at all: a link, of a newer version, none of ours */
};

/* A file below events/ or channels/ whose name begins with the session's id. */
struct lt_incoming_file {
    char *path; /* relative to either data_dir */
    int64_t bytes;
    bool is_log, fresh; /* fresh: not here yet; known once its session was looked at */
};
struct lt_incoming_session {
    char id[LT_UUID_BYTES];
    struct lt_incoming_file *files; /* by lt_log_path_order; borrowed from the lt_incoming */
    size_t file_count;
};
struct lt_incoming {
    const char *data_dir, *from; /* borrowed */
    struct lt_incoming_file *files;
    size_t file_count, file_capacity;
    struct lt_incoming_session *sessions;
    size_t session_count;
    char (*pruned)[LT_UUID_BYTES]; /* sorted: sessions that were removed here by policy */
    size_t pruned_count;
    int64_t strays; /* files below events/ and channels/ that no session accounts for, links among them */
    char *stray;    /* path of the first of them; NULL: none */
};

/* Lists `from`. `here` is open on data_dir. Hands over the contents of *out, also after an error. Errors: EPERM, EIO, EINVAL
 * (folders in folders without end), ENOMEM. */
int lt_incoming_list(const char *data_dir, const char *from, struct lt_query *here, struct lt_incoming *out, struct litmus_error *error);
void lt_incoming_release(struct lt_incoming *incoming);
/* *why (with what, where and what to do) is filled where the verdict is LIVE, PRUNED, DIFFERS or UNREADABLE. Errors: EIO, EPERM, ENOMEM. */
int lt_incoming_look(const struct lt_incoming *incoming, struct lt_incoming_session *session, enum lt_incoming_verdict *verdict, struct litmus_error *why,
                     struct litmus_error *error);

/* A log as it is: where it ends, who vouches for it. */
struct lt_log_state {
    struct lt_head head;
    struct lt_seal seal;
    enum lt_log_status end; /* SEALED, OPEN or TORN */
    bool damaged;           /* bytes that are no event, or a chain that does not hold */
};
/* Errors: EVERSION, EDAMAGED (no log), EPERM, EIO, ENOMEM. */
int lt_log_state_read(const char *path, struct lt_log_state *out, struct litmus_error *error);

#endif
