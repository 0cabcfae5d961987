/* SPDX-License-Identifier: Apache-2.0
 *
 * durability.h - how much a power loss may take: the words `each`, `group N ms` and `os`.
 */
#ifndef LT_EMIT_DURABILITY_H
#define LT_EMIT_DURABILITY_H

#include "base/error.h"

/* "os", "each", "group", "group 50", "group 50 ms"; *group_ms is left alone where none is named.
 * false: it is none of them. */
bool lt_durability_parse(const char *text, enum litmus_durability *mode, int *group_ms);
/* What LITMUS_DURABILITY says, else `durability` of the nearest litmus.yaml, else os.
 * Errors: ECONFIG (names where it was said), ENOMEM. */
int lt_durability_find(enum litmus_durability *mode, int *group_ms, struct litmus_error *error);

#endif
