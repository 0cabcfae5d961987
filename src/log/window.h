/* SPDX-License-Identifier: Apache-2.0
 *
 * window.h - a piece of a file in memory. Reads with pread, never maps: logs grow and may be cut
 * while they are read, and a mapping would answer that with SIGBUS.
 *
 * Always true: the bytes returned are aligned as in the file (mod 8), and at most as much memory
 * is asked for as the file has bytes.
 */
#ifndef LT_LOG_WINDOW_H
#define LT_LOG_WINDOW_H

#include "base/buf.h"

struct lt_window {
    int fd;
    struct lt_buf bytes; /* file content from `start` on */
    int64_t start;       /* a multiple of 8 */
    int os_errno;        /* of a failed read, ENOMEM included; stays set until lt_window_drop */
};

void lt_window_init(struct lt_window *window, int fd);
void lt_window_release(struct lt_window *window);
/* The file's bytes from `offset` (a multiple of 8) on; *have is at least `want` unless the file
 * ends first or a read failed (os_errno). Lives until the next call. */
const unsigned char *lt_window_at(struct lt_window *window, int64_t offset, int64_t want, int64_t *have);
/* Forgets what was read: the file may have changed. */
void lt_window_drop(struct lt_window *window);
int64_t lt_window_file_size(const struct lt_window *window); /* -1 and errno if unknown */

#endif
