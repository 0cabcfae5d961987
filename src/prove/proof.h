/* SPDX-License-Identifier: Apache-2.0
 *
 * proof.h - is what is on record what was recorded? Each log's chain and signature, each run file against what
 * its log folds to, byte for byte; and over everything: whether each log that another one names is there as it was
 * then (FORMAT.md, "Linked"), and whether the catalog says what the files say, and the lake is as it was made.
 */
#ifndef LT_PROVE_PROOF_H
#define LT_PROVE_PROOF_H

#include "base/arena.h"
#include "base/map.h"
#include "log/index.h"
#include "prove/channels.h"
#include "prove/keyring.h"
#include "prove/links.h"
#include "query/query.h"

enum lt_signature {
    LT_SIGNATURE_NONE,    /* nobody signed it, or it is not sealed */
    LT_SIGNATURE_KNOWN,   /* it holds, by a key of the keyring */
    LT_SIGNATURE_UNKNOWN, /* it holds, by a key that nobody knows here */
    LT_SIGNATURE_WRONG,   /* the key it names did not sign this end */
};
extern const char *const lt_signature_words[]; /* "none", "known", "unknown", "wrong" */

/* What a finding is about: who mends needs to know. */
enum lt_finding_kind {
    LT_FINDING_LOG,        /* a log is damaged, no log, or cannot be read */
    LT_FINDING_CHAIN,      /* events were changed, added, moved or removed */
    LT_FINDING_SIGNATURE,  /* who vouches for a log is not who should */
    LT_FINDING_CHANNEL,    /* a channel file is damaged, or samples that a log knows of are not there */
    LT_FINDING_LINK,       /* a log that another one names is not there as it was */
    LT_FINDING_UNFINISHED, /* a dead producer's log or channel file is not sealed, or its run has no file yet */
    LT_FINDING_RUN_FILE,   /* a run file is missing, or is not what its log folds to */
    LT_FINDING_ATTACHMENT, /* an attachment is missing or changed */
    LT_FINDING_FOREIGN,    /* a run file that no log accounts for */
    LT_FINDING_COPY,       /* another file of a run that has one */
    LT_FINDING_CATALOG,    /* the catalog says something else than the files */
    LT_FINDING_LAKE,       /* a lake file or list is not what its check sums say, or of no use */
};

/* A log that was looked at. */
struct lt_proved_log {
    const char *path;
    struct lt_head head;
    enum lt_log_status end;
    enum lt_signature signature;
    char key_id[LT_KEY_ID_BYTES]; /* "": unsigned */
    bool by_recovery;             /* sealed after its producer's death */
    int64_t clock_steps;          /* times that the wall clock was set while it was written */
    int64_t findings;             /* of this log */
};

struct lt_proof_options {
    const char *data_dir;
    const struct lt_keyring *keys; /* with none in it, an unknown key is told of, but is no finding */
    bool want_signed;              /* a log that nobody signed is a finding */
    /* `offset` below 0: the file as a whole. Texts are borrowed for the call. */
    void (*finding)(void *self, enum lt_finding_kind kind, const char *path, int64_t offset, const char *text);
    void (*log)(void *self, const struct lt_proved_log *log); /* NULL: not told */
    /* What could not be looked at, as the system refused it: each once. NULL: the first is in the error alone. */
    void (*unread)(void *self, const char *path, const char *text);
    void *self;
};

struct lt_proof {
    struct lt_proof_options options;
    int64_t logs, events, files, channels, findings;
    int64_t signatures[4];           /* of the logs, by enum lt_signature */
    int64_t by_recovery;             /* of the signed ones, those that another signed after their producer's death */
    int64_t unsealed, clock_steps;
    int64_t unlinked;   /* sessions that could not say which logs came before them */
    int64_t late;       /* events of producers that are in no row, as they came after the file of their run was made */
    char late_run[40];  /* the first run that has such */
    const char *run_id; /* NULL: every run. Borrowed */
    struct lt_links links;
    struct lt_claims claims; /* of the logs and run files that were looked at */
    bool with_links;
    struct lt_buf file, expected, path;
    struct lt_arena arena;
    struct litmus_error refused; /* what the system refused first, so that something could not be looked at */
    int64_t unread;              /* how many such there were */
    bool logs_unlisted;          /* a folder of logs was among it: no session is known to be whole */
    bool ended;                  /* all else was looked at */
    bool waited_enough;          /* for one who finishes a session, and does not come to an end */
    struct lt_map told, read; /* paths that something was found of; logs and run files that were looked at */
    struct lt_map refusals;   /* texts of what was refused */
    struct lt_map chains;     /* last chain values of the logs that were looked at */
    struct lt_map sessions;   /* that were looked at */
    struct lt_log_index *index; /* of who proves one session after the other; NULL: the folders are listed */
    const struct lt_log_list *session_logs; /* of the session that is looked at; NULL: none is */
    bool session_key_sought;                /* session_key is known */
    char session_key[LT_KEY_ID_BYTES];      /* that its first event names; "": none */
};

/* Borrows what `options` points to. */
void lt_proof_init(struct lt_proof *proof, const struct lt_proof_options *options);
void lt_proof_release(struct lt_proof *proof);
/* Each returns an error only for what keeps it from looking; what it finds goes to the callback.
 * The logs of a session and its runs' files, or that of one run (NULL: each). */
int lt_proof_session(struct lt_proof *proof, const char *session_id, const char *run_id, struct litmus_error *error);
/* Finds that no log of the session names `path` as the file of the run. `path` lies in the data_dir. */
void lt_proof_accounted(struct lt_proof *proof, const char *path, const char *session_id, const char *run_id);
/* Everything of the data_dir that `query` is open on, links and catalog and lake included. */
int lt_proof_all(struct lt_proof *proof, struct lt_query *query, struct litmus_error *error);

/* ---- between the files of this folder ---- */
void lt_proof_finding(struct lt_proof *proof, enum lt_finding_kind kind, const char *path, int64_t offset, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Why something could not be looked at: a finding, unless the system refused it. That is the machine's, not the record's: it is told as that, the
 * rest is looked at, and what was asked for ends with it. */
void lt_proof_unread(struct lt_proof *proof, enum lt_finding_kind kind, const char *path, int64_t offset, const struct litmus_error *why, const char *more);
void lt_proof_log(struct lt_proof *proof, const char *path);
/* Whoever finishes the session has come to an end with it. false: somebody does not, which is told as unread. */
bool lt_proof_wait(struct lt_proof *proof, const char *session_id);
/* Do the logs say, as they are now, that the run has its file, at `path` (NULL: anywhere)? Who is about to say it is waited for;
 * who does not come to an end with it is told as unread, and believed. */
bool lt_proof_named(struct lt_proof *proof, const char *path, const char *session_id, const char *run_id);
/* The channel files of a session (NULL: all), against the logs that were looked at. */
int lt_proof_channels(struct lt_proof *proof, const char *session_id, struct litmus_error *error);
int lt_proof_files(struct lt_proof *proof, const char *session_id, struct litmus_error *error);

#endif
