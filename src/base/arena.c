/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

struct lt_arena_chunk {
    struct lt_arena_chunk *next, *previous;
    size_t used, capacity;
    alignas(max_align_t) char bytes[];
};

enum { CHUNK_BYTES_MIN = 4096 - 64, CHUNK_BYTES_MAX = 256 * 1024, GROWING_BYTES_MIN = 1024 };

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

static struct lt_arena_chunk *chunk_make(struct lt_arena *arena, size_t capacity) {
    struct lt_arena_chunk *chunk = malloc(sizeof *chunk + capacity);
    if (chunk == NULL) {
        arena->failed = true;
        return NULL;
    }
    chunk->used = 0;
    chunk->capacity = capacity;
    arena->bytes += sizeof *chunk + capacity;
    return chunk;
}

/* A chunk of one block alone comes behind the head, so that the head's free room is not lost. */
static struct lt_arena_chunk *chunk_alone(struct lt_arena *arena, size_t n) {
    struct lt_arena_chunk *chunk = chunk_make(arena, n), *head = arena->head;
    if (chunk == NULL) return NULL;
    chunk->previous = head;
    chunk->next = head == NULL ? NULL : head->next;
    if (head == NULL) arena->head = chunk;
    else head->next = chunk;
    if (chunk->next != NULL) chunk->next->previous = chunk;
    return chunk;
}

static struct lt_arena_chunk *chunk_new(struct lt_arena *arena, size_t n) {
    size_t capacity = arena->bytes / 4; /* chunks grow with the arena: small runs stay small */
    if (capacity < CHUNK_BYTES_MIN) capacity = CHUNK_BYTES_MIN;
    if (capacity > CHUNK_BYTES_MAX) capacity = CHUNK_BYTES_MAX;
    if (n > capacity / 2) return chunk_alone(arena, n);
    struct lt_arena_chunk *chunk = chunk_make(arena, capacity);
    if (chunk == NULL) return NULL;
    chunk->previous = NULL;
    chunk->next = arena->head;
    if (arena->head != NULL) arena->head->previous = chunk;
    arena->head = chunk;
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
    if (chunk == NULL) return NULL;
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

/* Large blocks move by remapping their pages, and nothing is left behind. */
static void *grow_alone(struct lt_arena *arena, void *old, size_t n) {
    struct lt_arena_chunk *chunk = (struct lt_arena_chunk *)((char *)old - offsetof(struct lt_arena_chunk, bytes));
    size_t before = chunk->capacity;
    chunk = realloc(chunk, sizeof *chunk + n);
    if (chunk == NULL) {
        arena->failed = true;
        return NULL;
    }
    arena->bytes += n - before;
    chunk->used = chunk->capacity = n;
    if (chunk->previous == NULL) arena->head = chunk;
    else chunk->previous->next = chunk;
    if (chunk->next != NULL) chunk->next->previous = chunk;
    return chunk->bytes;
}

static void *alloc_alone(struct lt_arena *arena, size_t n) {
    struct lt_arena_chunk *chunk = chunk_alone(arena, n);
    if (chunk == NULL) return NULL;
    chunk->used = chunk->capacity;
    return chunk->bytes;
}

void *lt_arena_grow(struct lt_arena *arena, void *old, size_t old_bytes, size_t new_bytes) {
    bool alone = new_bytes >= GROWING_BYTES_MIN && new_bytes <= SIZE_MAX / 2; /* it may well grow again */
    if (alone && old_bytes >= GROWING_BYTES_MIN) return grow_alone(arena, old, rounded(new_bytes));
    void *p = alone ? alloc_alone(arena, rounded(new_bytes)) : lt_arena_alloc(arena, new_bytes);
    if (p != NULL && old_bytes > 0) memcpy(p, old, old_bytes);
    return p;
}
