/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/portable.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

void lt_random(void *bytes, size_t n) {
    unsigned char *p = bytes;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        p += got;
        n -= (size_t)got;
    }
    if (n == 0) return;
    uint64_t seed = (uint64_t)lt_monotonic_us() * 0x9E3779B97F4A7C15u ^ (uint64_t)getpid();
    for (; n > 0; n--, p++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        *p = (unsigned char)(seed >> 56);
    }
}

void lt_keep_freed_memory(void) {
#ifdef __GLIBC__
    enum { KEPT_BYTES = 128 << 20, LARGE_BYTES = 32 << 20 };
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
#endif
}

void *lt_fork_wiped_new(size_t n) {
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    (void)!madvise(p, n, MADV_WIPEONFORK);
    return p;
}

void lt_fork_wiped_free(void *p, size_t n) {
    if (p != NULL) munmap(p, n);
}

bool lt_file_born(const char *path, int64_t *born_us) {
    struct statx st;
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &st) != 0 || (st.stx_mask & STATX_BTIME) == 0) return false;
    *born_us = st.stx_btime.tv_sec * INT64_C(1000000) + st.stx_btime.tv_nsec / 1000;
    return true;
}

bool lt_boot_id(char out[LT_BOOT_ID_BYTES]) {
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, LT_BOOT_ID_BYTES - 1);
    if (fd >= 0) close(fd);
    while (n > 0 && out[n - 1] == '\n') n--;
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

const char *lt_program_name(void) {
    const char *name = program_invocation_short_name;
    return name == NULL || name[0] == '\0' ? "unknown" : name;
}
