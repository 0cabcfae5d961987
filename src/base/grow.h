/* SPDX-License-Identifier: Apache-2.0
 *
 * grow.h - room for one more in a list from malloc. (Lists in an arena: lt_grow of accumulate/values.h.)
 */
#ifndef LT_BASE_GROW_H
#define LT_BASE_GROW_H

#include <stdlib.h>

/* The list, with room behind its `count` items; moved and *capacity doubled when there was none. NULL: out of
 * memory, and the list is as it was. */
static inline void *lt_grow_list(void *items, size_t count, size_t *capacity, size_t item_bytes) {
    if (count < *capacity) return items;
    size_t larger = *capacity == 0 ? 8 : *capacity * 2;
    void *grown = reallocarray(items, larger, item_bytes);
    if (grown != NULL) *capacity = larger;
    return grown;
}

#endif
