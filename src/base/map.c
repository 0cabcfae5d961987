/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <stdlib.h>

struct lt_map_slot {
    const char *p; /* NULL: free */
    size_t n;
    uint64_t sub;
    uint32_t value;
    uint32_t hash;
};

/* Eight bytes at a time. Not for hostile keys by itself; a run's size bounds the harm, and the table is
 * kept at most half full. */
static uint32_t hash_of(struct lt_str key, uint64_t sub) {
    uint64_t h = 1469598103934665603u ^ (sub * 0x9E3779B97F4A7C15u) ^ key.n, word;
    size_t i = 0;
    for (; i + sizeof word <= key.n; i += sizeof word) {
        memcpy(&word, key.p + i, sizeof word);
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
        h ^= h >> 32;
    }
    for (word = 0; i < key.n; i++) word = word << 8 | (unsigned char)key.p[i];
    h = (h ^ word) * 0x9E3779B97F4A7C15u;
    h = (h ^ (h >> 29)) * 0xBF58476D1CE4E5B9u; /* what only the high bits know, down to the low ones */
    return (uint32_t)(h >> 32);
}

void lt_map_init(struct lt_map *map) {
    *map = (struct lt_map){0};
}

void lt_map_release(struct lt_map *map) {
    free(map->slots);
    *map = (struct lt_map){0};
}

static struct lt_map_slot *find(const struct lt_map *map, struct lt_str key, uint64_t sub, uint32_t hash) {
    size_t i = hash & (map->capacity - 1);
    for (;; i = (i + 1) & (map->capacity - 1)) {
        struct lt_map_slot *slot = &map->slots[i];
        if (slot->p == NULL) return slot;
        if (slot->hash == hash && slot->sub == sub && slot->n == key.n &&
            memcmp(slot->p, key.p, key.n) == 0)
            return slot;
    }
}

uint32_t lt_map_get(const struct lt_map *map, struct lt_str key, uint64_t sub) {
    if (map->capacity == 0 || key.p == NULL) return LT_MAP_NONE;
    struct lt_map_slot *slot = find(map, key, sub, hash_of(key, sub));
    return slot->p == NULL ? LT_MAP_NONE : slot->value;
}

static bool grow(struct lt_map *map) {
    size_t capacity = map->capacity == 0 ? 16 : map->capacity * 2;
    struct lt_map bigger = {calloc(capacity, sizeof *bigger.slots), map->count, capacity};
    if (bigger.slots == NULL) return false;
    for (size_t i = 0; i < map->capacity; i++) {
        struct lt_map_slot *old = &map->slots[i];
        if (old->p == NULL) continue;
        *find(&bigger, (struct lt_str){old->p, old->n}, old->sub, old->hash) = *old;
    }
    free(map->slots);
    *map = bigger;
    return true;
}

bool lt_map_put(struct lt_map *map, struct lt_str key, uint64_t sub, uint32_t value) {
    if (key.p == NULL) return false;
    if (map->count * 2 >= map->capacity && !grow(map)) return false;
    uint32_t hash = hash_of(key, sub);
    struct lt_map_slot *slot = find(map, key, sub, hash);
    if (slot->p == NULL) map->count++;
    *slot = (struct lt_map_slot){key.p, key.n, sub, value, hash};
    return true;
}
