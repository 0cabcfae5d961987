/* SPDX-License-Identifier: Apache-2.0
 *
 * dossier.h - all that an evidence file says of a run, read from the files of a data_dir: of the station's own when
 * it is packed, of an unpacked one when it is checked. Statement, report and page are made from it alone, and so are
 * the same wherever they are made.
 */
#ifndef LT_EVIDENCE_DOSSIER_H
#define LT_EVIDENCE_DOSSIER_H

#include "accumulate/gather.h"
#include "materialize/materialize.h"
#include "prove/proof.h"
#include "query/reviews.h"

struct lt_dossier_finding {
    const char *path; /* relative to the data_dir */
    int64_t offset;
    const char *text;
};
struct lt_dossier {
    struct lt_arena arena;
    const char *data_dir; /* borrowed */
    struct lt_gathering session;
    const struct lt_gathered_run *run; /* of session */
    struct lt_table rows;              /* what the logs fold to */
    struct lt_materialized sum;        /* outcome and counts alone */
    struct lt_reviews reviews;
    struct lt_proved_log *logs; /* that hold anything, by path, which is relative to the data_dir */
    size_t log_count, log_capacity;
    struct lt_dossier_finding *findings;
    size_t finding_count, finding_capacity;
    int64_t events;
    bool failed; /* memory is out */
};

/* Reads and proves the logs of a run's session and the run's file. `query` is open on data_dir. Release in every case.
 * What is wrong with the files is a finding; errors are ENOENT (the logs have no such run), EIO, EPERM, ENOMEM. */
int lt_dossier_load(const char *data_dir, struct lt_query *query, const char *session_id, const char *run_id, const struct lt_keyring *keys, bool want_signed,
                    struct lt_dossier *out, struct litmus_error *error);
void lt_dossier_release(struct lt_dossier *dossier);

/* A cell of `rows` by the column's name. */
struct lt_str lt_dossier_str(const struct lt_dossier *dossier, const char *column, int64_t row);
bool lt_dossier_is(const struct lt_dossier *dossier, int64_t row, const char *record_type);
/* A step row of a step that was planned and did not start. */
bool lt_dossier_never_ran(const struct lt_dossier *dossier, int64_t row);

#endif
