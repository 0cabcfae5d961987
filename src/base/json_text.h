/* SPDX-License-Identifier: Apache-2.0
 *
 * json_text.h - the two things that JSON text made by hand gets wrong: strings and real numbers.
 * Whole documents are the JSON library's.
 */
#ifndef LT_BASE_JSON_TEXT_H
#define LT_BASE_JSON_TEXT_H

#include "base/buf.h"

enum { LT_REAL_BYTES = 40 };

/* Appends `"text"` with everything escaped that must be, and DEL. */
void lt_json_str(struct lt_buf *out, struct lt_str text);
/* Appends an integer. */
void lt_json_int(struct lt_buf *out, int64_t value);
/* Appends the shortest number that reads back as the same, always recognisable as a real ("5.0"); `null` for what JSON
 * has no number for. */
void lt_json_real(struct lt_buf *out, double value);
/* The shortest text that reads back as the same number; always recognisable as a real ("5.0").
 * Returns out. Not for JSON when the value is not finite ("nan", "inf"). */
const char *lt_real_text(double value, char out[LT_REAL_BYTES]);

#endif
