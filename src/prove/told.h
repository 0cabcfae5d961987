/* SPDX-License-Identifier: Apache-2.0
 *
 * told.h - what was found and what was looked at, as JSON objects: for `litmus verify --json` and the report of an
 * evidence file.
 */
#ifndef LT_PROVE_TOLD_H
#define LT_PROVE_TOLD_H

#include "prove/proof.h"

/* Each appends an object, without a newline. */
void lt_told_finding(const char *path, int64_t offset, const char *text, struct lt_buf *out);
void lt_told_unread(const char *path, const char *text, struct lt_buf *out);
void lt_told_log(const struct lt_proved_log *log, struct lt_buf *out);

#endif
