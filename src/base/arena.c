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

static size_t rounded(size_t n) {
    return (n + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
}

void *lt_arena_alloc(struct lt_arena *arena, size_t n) {
    if (n > SIZE_MAX / 2) {
        arena->failed = true;
        return NULL;
    }
    n = rounded(n);
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

/* The chunk that holds this block and nothing else; NULL: it shares one. */
static struct lt_arena_chunk **chunk_of(struct lt_arena *arena, const void *block, size_t n) {
    for (struct lt_arena_chunk **link = &arena->head; *link != NULL; link = &(*link)->next)
        if ((*link)->bytes == block) return (*link)->used == rounded(n) ? link : NULL;
    return NULL;
}

/* Large blocks move by remapping their pages, and nothing is left behind. */
static void *chunk_grow(struct lt_arena *arena, struct lt_arena_chunk **link, size_t n) {
    struct lt_arena_chunk *chunk = *link;
    if (n > chunk->capacity) {
        chunk = n > SIZE_MAX / 2 ? NULL : realloc(chunk, sizeof *chunk + n);
        if (chunk == NULL) {
            arena->failed = true;
            return NULL;
        }
        arena->bytes += n - chunk->capacity;
        chunk->capacity = n;
        *link = chunk;
    }
    chunk->used = n;
    return chunk->bytes;
}

void *lt_arena_grow(struct lt_arena *arena, void *old, size_t old_bytes, size_t new_bytes) {
    struct lt_arena_chunk **link = old_bytes == 0 ? NULL : chunk_of(arena, old, old_bytes);
    if (link != NULL) return chunk_grow(arena, link, rounded(new_bytes));
    void *p = lt_arena_alloc(arena, new_bytes);
    if (p != NULL && old_bytes > 0) memcpy(p, old, old_bytes);
    return p;
}
