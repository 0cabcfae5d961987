/* SPDX-License-Identifier: Apache-2.0
 *
 * suggest.h - "did you mean": the nearest name of a list.
 */
#ifndef LT_MODEL_SUGGEST_H
#define LT_MODEL_SUGGEST_H

#include "base/str.h"

/* The one of `best` (may be NULL) and `candidate` that is nearer to `word`; NULL while none is near
 * enough to be worth showing (more than a third of the letters differ). */
const char *lt_nearer(struct lt_str word, const char *best, const char *candidate);

#endif
