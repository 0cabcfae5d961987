/* SPDX-License-Identifier: Apache-2.0
 *
 * uuid.h - random (version 4) and named (version 8) ids as 36 lower-case characters.
 */
#ifndef LT_BASE_UUID_H
#define LT_BASE_UUID_H

#include "base/str.h"

enum { LT_UUID_BYTES = 37 };

/* Where a stream of ids stands: a generator that the system's random bytes start, so that ids do not
 * cost a system call each. All zero: not started. Not for use by two threads at once; in a forked
 * child it must be zeroed, or ids would repeat. */
struct lt_uuid_pool {
    uint64_t state[4];
};

void lt_uuid_next(struct lt_uuid_pool *pool, char out[LT_UUID_BYTES]);
/* One id without a pool. */
void lt_uuid_new(char out[LT_UUID_BYTES]);
/* The same id for the same name, anywhere. */
void lt_uuid_named(struct lt_str name, char out[LT_UUID_BYTES]);
bool lt_uuid_valid(struct lt_str s); /* 36 characters, hex and dashes in place, lower case */

#endif
