/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz.h - what the fuzz targets share: a check that cannot be compiled out, a file in memory, a
 * folder of the process's own that goes when it ends.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define check(holds)                                                            \
    do {                                                                        \
        if (!(holds)) {                                                         \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds); \
            abort();                                                            \
        }                                                                       \
    } while (0)

/* A file of these bytes, in memory. Returns its descriptor; `path` names it while that is open. */
static inline int fuzz_file(const void *bytes, size_t n, char path[64]) {
    int fd = memfd_create("input", MFD_CLOEXEC);
    check(fd >= 0);
    if (n > 0) check(write(fd, bytes, n) == (ssize_t)n);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

static char fuzz_folder_name[256];
static inline void fuzz_folder_remove(void) {
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", fuzz_folder_name);
    check(system(command) == 0);
}
/* The same folder every time, below TMPDIR. */
static inline const char *fuzz_folder(void) {
    if (fuzz_folder_name[0] != '\0') return fuzz_folder_name;
    const char *base = getenv("TMPDIR");
    snprintf(fuzz_folder_name, sizeof fuzz_folder_name, "%s/litmus-fuzz-XXXXXX", base == NULL ? "/tmp" : base);
    check(mkdtemp(fuzz_folder_name) != NULL);
    atexit(fuzz_folder_remove);
    return fuzz_folder_name;
}

#endif
