/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

struct lt_arena_chunk {
    struct lt_arena_chunk *next;
    size_t used, capacity;
    alignas(max_align_t) char bytes[];
};

enum { CHUNK_BYTES_MIN = 4096 - 64, CHUNK_BYTES_MAX = 256 * 1024 };

void lt_arena_init(struct lt_arena *arena) {
    *arena = (struct lt_arena){0};
}

void lt_arena_release(struct lt_arena *arena) {
    while (arena->head != NULL) {
        struct lt_arena_chunk *next = arena->head->next;
        free(arena->head);
        arena->head = next;
    }
    *arena = (struct lt_arena){0};
}

/* A block larger than a chunk gets a chunk of its own behind the head, so that the head's free
 * room is not lost. */
static struct lt_arena_chunk *chunk_new(struct lt_arena *arena, size_t n) {
    size_t capacity = arena->bytes / 4; /* chunks grow with the arena: small runs stay small */
    if (capacity < CHUNK_BYTES_MIN) capacity = CHUNK_BYTES_MIN;
    if (capacity > CHUNK_BYTES_MAX) capacity = CHUNK_BYTES_MAX;
    bool own = n > capacity / 2;
    if (own) capacity = n;
    struct lt_arena_chunk *chunk = malloc(sizeof *chunk + capacity);
    if (chunk == NULL) return NULL;
    chunk->used = 0;
    chunk->capacity = capacity;
    arena->bytes += sizeof *chunk + capacity;
    if (own && arena->head != NULL) {
        chunk->next = arena->head->next;
        arena->head->next = chunk;
    } else {
        chunk->next = arena->head;
        arena->head = chunk;
    }
    return chunk;
}

void *lt_arena_alloc(struct lt_arena *arena, size_t n) {
    if (n > SIZE_MAX / 2) {
        arena->failed = true;
        return NULL;
    }
    n = (n + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    struct lt_arena_chunk *chunk = arena->head;
    if (chunk == NULL || chunk->capacity - chunk->used < n) chunk = chunk_new(arena, n);
    if (chunk == NULL) {
        arena->failed = true;
        return NULL;
    }
    void *p = chunk->bytes + chunk->used;
    chunk->used += n;
    return memset(p, 0, n);
}

struct lt_str lt_arena_str(struct lt_arena *arena, struct lt_str s) {
    if (s.p == NULL) return LT_STR_NULL;
    if (s.n == 0) return LT_STR("");
    char *p = lt_arena_alloc(arena, s.n + 1);
    if (p == NULL) return LT_STR_NULL;
    memcpy(p, s.p, s.n);
    return (struct lt_str){p, s.n};
}

void *lt_arena_grow(struct lt_arena *arena, void *old, size_t old_bytes, size_t new_bytes) {
    void *p = lt_arena_alloc(arena, new_bytes);
    if (p != NULL && old_bytes > 0) memcpy(p, old, old_bytes);
    return p;
}
