/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.c - a library for LD_PRELOAD that refuses a program its n-th request for memory, as a limit on its
 * size does (ulimit -v). It counts those for LARGE bytes and more: not all that others wrote looks at the
 * answer to a smaller one (nanoarrow 0.8.0 and OpenSSL 3 do not at some of less than 64 bytes), and a limit seldom meets one first.
 *
 *   LITMUS_SHIM_AT    which request, from 1
 *   LITMUS_SHIM_NOTE  a file that is made when it strikes
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LARGE = 128 };

/* The C library's own, under the names that it keeps for this. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static long at;
static const char *note;
static atomic_long requests;

__attribute__((constructor)) static void begin(void) {
    const char *number = getenv("LITMUS_SHIM_AT");
    note = getenv("LITMUS_SHIM_NOTE");
    at = number == NULL || note == NULL ? 0 : strtol(number, NULL, 10);
}

static bool refused(size_t size) {
    if (at == 0 || size < LARGE || ++requests != at) return false;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, note, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    (void)!syscall(SYS_write, fd, "memory\n", 7);
    syscall(SYS_close, fd);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size) {
    return refused(size) ? NULL : __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    return refused(count * size) ? NULL : __libc_calloc(count, size);
}
void *realloc(void *old, size_t size) {
    return refused(size) ? NULL : __libc_realloc(old, size);
}
