/* SPDX-License-Identifier: Apache-2.0
 *
 * report.h - a dossier for machines (what verify found, as JSON) and for people (one page of HTML that needs nothing
 * else). The same dossier gives the same bytes.
 */
#ifndef LT_EVIDENCE_REPORT_H
#define LT_EVIDENCE_REPORT_H

#include "evidence/dossier.h"

/* Each appends. ENOMEM. */
int lt_report_write(const struct lt_dossier *dossier, struct lt_buf *out, struct litmus_error *error);
/* `key_id`: of who signs the statement; NULL: nobody. */
int lt_page_write(const struct lt_dossier *dossier, const char *key_id, struct lt_buf *out, struct litmus_error *error);

#endif
