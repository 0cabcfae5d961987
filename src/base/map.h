/* SPDX-License-Identifier: Apache-2.0
 *
 * map.h - text key to number. Keys are borrowed: they must outlive the map (an arena's do).
 */
#ifndef LT_BASE_MAP_H
#define LT_BASE_MAP_H

#include "base/str.h"

struct lt_map {
    struct lt_map_slot *slots;
    size_t count, capacity;
};

#define LT_MAP_NONE UINT32_MAX

void lt_map_init(struct lt_map *map); /* allocates nothing */
void lt_map_release(struct lt_map *map);
/* LT_MAP_NONE if the pair (key, number) is not there. `sub` tells apart entries of one text, such
 * as the vectors of a step; 0 when unused. */
uint32_t lt_map_get(const struct lt_map *map, struct lt_str key, uint64_t sub);
/* Adds or replaces. false: out of memory, map unchanged. */
bool lt_map_put(struct lt_map *map, struct lt_str key, uint64_t sub, uint32_t value);

#endif
