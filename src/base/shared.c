/* SPDX-License-Identifier: Apache-2.0 */
#include "base/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

int lt_shared_create(const struct lt_io *io, const char *path, size_t bytes, void **out, struct litmus_error *error) {
    int fd = io->open(io->self, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) return lt_fail_os(error, errno, "create", path);
    int code = LITMUS_OK;
    /* The room is taken now: a full disk must be an error here and not a SIGBUS later. */
    int os_errno = posix_fallocate(fd, 0, (off_t)bytes);
    void *memory = os_errno != 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (os_errno != 0) code = lt_fail_os(error, os_errno, "make room in", path);
    else if (memory == MAP_FAILED) code = lt_fail_os(error, errno, "map", path);
    io->close(io->self, fd);
    if (code == LITMUS_OK) *out = memory;
    else io->unlink(io->self, path);
    return code;
}

void lt_shared_unmap(void *memory, size_t bytes) {
    if (memory != NULL) munmap(memory, bytes);
}
