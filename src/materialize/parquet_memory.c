/* SPDX-License-Identifier: Apache-2.0 */
#include "materialize/parquet_memory.h"

#include <carquet/carquet.h>

#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* More than this no file of ours needs: who asks for it believes a damaged one. */
#define BELIEVABLE (UINT64_C(1) << 32)

static _Thread_local unsigned long refusals; /* the library's allocator is one for the process; what it counts is not */

/* ---- blocks ---- */
struct block {
    size_t bytes;
    bool of_room;
    alignas(max_align_t) char at[]; /* the library's; while the block is free in a room, where the next free one is */
};

/* A room has blocks of 32 bytes to 8 kB, in powers of two, eight of a size side by side in a piece; what is larger is malloc's. */
enum { LOG2_MIN = 5, LOG2_MAX = 13, BLOCKS = 8 };

struct piece {
    struct piece *next;
    alignas(max_align_t) char bytes[];
};

static _Thread_local struct {
    bool is_open;
    struct piece *pieces;
    struct block *free[LOG2_MAX + 1];
} room;

void lt_parquet_room_open(void) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which watch the blocks that are theirs */
    room.is_open = true;
#endif
}

void lt_parquet_room_close(void) {
    for (struct piece *piece = room.pieces, *next; piece != NULL; piece = next) {
        next = piece->next;
        free(piece);
    }
    memset(&room, 0, sizeof room);
}

/* The power of two that holds so many bytes. */
static int log2_of(size_t bytes) {
    int log2 = LOG2_MIN;
    while ((size_t)1 << log2 < bytes) log2++;
    return log2;
}

static void put_free(struct block *block, int log2) {
    memcpy(block->at, &room.free[log2], sizeof block);
    room.free[log2] = block;
}

static void add_piece(int log2) {
    size_t bytes = (size_t)1 << log2, step = sizeof(struct block) + bytes;
    struct piece *piece = malloc(sizeof *piece + BLOCKS * step);
    if (piece == NULL) return;
    piece->next = room.pieces;
    room.pieces = piece;
    for (int i = BLOCKS - 1; i >= 0; i--) {
        struct block *block = (struct block *)(piece->bytes + (size_t)i * step);
        *block = (struct block){.bytes = bytes, .of_room = true};
        put_free(block, log2);
    }
}

static struct block *block_of_room(size_t bytes) {
    int log2 = log2_of(bytes);
    if (room.free[log2] == NULL) add_piece(log2);
    struct block *block = room.free[log2];
    if (block != NULL) memcpy(&room.free[log2], block->at, sizeof block);
    return block;
}

/* `old` NULL: a new one. */
static struct block *block_of_malloc(struct block *old, size_t bytes) {
    struct block *block = bytes > SIZE_MAX / 2 ? NULL : realloc(old, sizeof *block + bytes);
    if (block != NULL) *block = (struct block){.bytes = bytes};
    return block;
}

static void *at_of(struct block *block, size_t bytes) {
    if (block != NULL) return block->at;
    refusals += bytes <= BELIEVABLE;
    return NULL;
}

/* ---- what the library calls ---- */
static struct block *block_at(void *at) {
    return (struct block *)((char *)at - offsetof(struct block, at));
}

static void *take(size_t bytes, void *self) {
    (void)self;
    bool small = bytes <= (size_t)1 << LOG2_MAX;
    return at_of(room.is_open && small ? block_of_room(bytes) : block_of_malloc(NULL, bytes), bytes);
}

static void give_back(void *old, void *self) {
    (void)self;
    if (old == NULL) return;
    struct block *block = block_at(old);
    if (!block->of_room) {
        free(block);
        return;
    }
    put_free(block, log2_of(block->bytes));
}

static void *take_again(void *old, size_t bytes, void *self) {
    if (old == NULL) return take(bytes, self);
    struct block *block = block_at(old);
    if (!block->of_room) return at_of(block_of_malloc(block, bytes), bytes);
    if (bytes <= block->bytes) return old;
    void *larger = take(bytes, self);
    if (larger == NULL) return NULL;
    memcpy(larger, old, block->bytes);
    give_back(old, self);
    return larger;
}

static void watch(void) {
    static const carquet_allocator_t counting = {.malloc = take, .realloc = take_again, .free = give_back};
    carquet_set_allocator(&counting);
}

unsigned long lt_parquet_refusals(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch);
    return refusals;
}
