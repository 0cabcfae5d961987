/* SPDX-License-Identifier: Apache-2.0 */
#include "materialize/parquet_memory.h"

#include <carquet/carquet.h>

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

/* More than this no file of ours needs: who asks for it believes a damaged one. */
#define BELIEVABLE (UINT64_C(1) << 32)

static _Thread_local unsigned long refusals; /* the library's allocator is one for the process; what it counts is not */

static void *counted(void *got, size_t size) {
    refusals += got == NULL && size > 0 && size <= BELIEVABLE;
    return got;
}

static void *take(size_t size, void *self) {
    (void)self;
    return counted(malloc(size), size);
}

static void *take_again(void *old, size_t size, void *self) {
    (void)self;
    return counted(realloc(old, size), size);
}

static void give_back(void *old, void *self) {
    (void)self;
    free(old);
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
