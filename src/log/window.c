/* SPDX-License-Identifier: Apache-2.0 */
#include "log/window.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WINDOW_BYTES = 256 * 1024 };

void lt_window_init(struct lt_window *window, int fd) {
    window->fd = fd;
    window->start = 0;
    window->os_errno = 0;
    lt_buf_init(&window->bytes);
}

void lt_window_release(struct lt_window *window) {
    lt_buf_release(&window->bytes);
}

void lt_window_drop(struct lt_window *window) {
    lt_buf_release(&window->bytes); /* hundreds of logs may wait for their next event */
    window->os_errno = 0;
}

int64_t lt_window_file_size(const struct lt_window *window) {
    struct stat st;
    return fstat(window->fd, &st) == 0 ? (int64_t)st.st_size : -1;
}

/* Moves what is needed of the bytes to the front, so that `offset` is the start. */
static void slide(struct lt_window *window, int64_t offset) {
    size_t keep = 0;
    if (offset >= window->start && offset - window->start <= (int64_t)window->bytes.n) {
        size_t gone = (size_t)(offset - window->start);
        keep = window->bytes.n - gone;
        if (gone > 0 && keep > 0) memmove(window->bytes.p, window->bytes.p + gone, keep);
    }
    window->bytes.n = keep;
    window->start = offset;
}

/* Room for `want` bytes, but for no more than the file has. */
static bool make_room(struct lt_window *window, int64_t want) {
    if (want <= (int64_t)window->bytes.capacity && window->bytes.capacity >= WINDOW_BYTES) return true;
    int64_t size = lt_window_file_size(window);
    if (size < 0) {
        window->os_errno = errno;
        return false;
    }
    int64_t left = size > window->start ? size - window->start : 0;
    int64_t room = want > WINDOW_BYTES ? want : WINDOW_BYTES;
    if (room > left) room = left;
    if (room <= (int64_t)window->bytes.n) return true;
    if (lt_buf_reserve(&window->bytes, (size_t)room - window->bytes.n)) return true;
    window->os_errno = ENOMEM;
    return false;
}

static void fill(struct lt_window *window, int64_t want) {
    struct lt_buf *bytes = &window->bytes;
    while ((int64_t)bytes->n < want && bytes->n < bytes->capacity) {
        ssize_t got = pread(window->fd, bytes->p + bytes->n, bytes->capacity - bytes->n, (off_t)(window->start + (int64_t)bytes->n));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) window->os_errno = errno;
        if (got <= 0) return;
        bytes->n += (size_t)got;
    }
}

const unsigned char *lt_window_at(struct lt_window *window, int64_t offset, int64_t want, int64_t *have) {
    int64_t skip = offset - window->start;
    if (skip < 0 || skip + want > (int64_t)window->bytes.n) {
        slide(window, offset);
        skip = 0;
        if (make_room(window, want)) fill(window, want);
    }
    *have = (int64_t)window->bytes.n - skip;
    return window->bytes.p == NULL ? (const unsigned char *)"" : (const unsigned char *)window->bytes.p + skip;
}
