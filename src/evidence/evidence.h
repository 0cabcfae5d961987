/* SPDX-License-Identifier: Apache-2.0
 *
 * evidence.h - a run as one file that proves itself elsewhere (FORMAT.md): logs, run file, report, page, and a signed
 * statement of all of them.
 */
#ifndef LT_EVIDENCE_EVIDENCE_H
#define LT_EVIDENCE_EVIDENCE_H

#include "evidence/dossier.h"

#define LT_EVIDENCE_STATEMENT "statement.intoto.jsonl"
#define LT_EVIDENCE_KEY "station.pub"
#define LT_EVIDENCE_REPORT "report.json"
#define LT_EVIDENCE_PAGE "page.html"

/* Writes the file whole or not at all: hidden beside `path`, synced, renamed. `key` NULL: unsigned. The dossier says
 * afterwards what was found. Errors: EBUSY (the run or its session is not finished; `path` is there and `force` is not
 * said; a file changed meanwhile), ENOSPC, EPERM, EIO, ENOMEM. */
int lt_evidence_pack(const struct lt_dossier *dossier, const struct lt_key *key, const char *path, bool force, struct litmus_error *error);

struct lt_evidence_check {
    const struct lt_keyring *keys; /* whose signatures are trusted; with none, an unknown key is told of, but is no finding */
    bool want_signed;              /* what nobody signed is a finding */
    void (*finding)(void *self, const char *path, int64_t offset, const char *text); /* path: of the file, "/", the member */
    void (*log)(void *self, const struct lt_proved_log *log);                        /* NULL: not told */
    void *self;
    /* the answer */
    int64_t findings, events, logs;
    enum lt_signature signature;   /* of the statement */
    char key_id[LT_KEY_ID_BYTES];  /* "": unsigned */
    char run_id[64], outcome[16];  /* "": it does not come to that */
};
/* Looks at such a file; nothing but it is needed, and nothing of it is believed. It is unpacked below TMPDIR
 * meanwhile. Errors: ENOENT, EPERM, EIO, ENOSPC, ENOMEM; EDAMAGED (it is no such file). */
int lt_evidence_check(const char *path, struct lt_evidence_check *check, struct litmus_error *error);

#endif
