/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.h - memory that lives and dies together: one arena a run, dropped whole.
 *
 * Always true: what lt_arena_alloc returned stays where it is until it is given to lt_arena_grow or
 * to lt_arena_release. NULL means out of memory (and `failed` stays set, so that a caller may check once at the end).
 */
#ifndef LT_BASE_ARENA_H
#define LT_BASE_ARENA_H

#include "base/str.h"

struct lt_arena {
    struct lt_arena_chunk *head;
    size_t bytes; /* asked from malloc so far */
    bool failed;
};

void lt_arena_init(struct lt_arena *arena); /* allocates nothing */
void lt_arena_release(struct lt_arena *arena);
void *lt_arena_alloc(struct lt_arena *arena, size_t n); /* zeroed, aligned for any type */
/* Copies text into the arena, terminated. NULL stays NULL. */
struct lt_str lt_arena_str(struct lt_arena *arena, struct lt_str s);
/* A larger array that begins with `old`, which came from here (or is NULL, of 0 bytes) and is gone with the call: for growing lists.
 * What is new in it is not zeroed. */
void *lt_arena_grow(struct lt_arena *arena, void *old, size_t old_bytes, size_t new_bytes);

#endif
