/* SPDX-License-Identifier: Apache-2.0
 *
 * terminal.h - the person at the terminal of this process, whatever stdin and stdout are.
 */
#ifndef LT_BASE_TERMINAL_H
#define LT_BASE_TERMINAL_H

#include "base/buf.h"
#include "base/error.h"

/* ENOENT: the process has none. The descriptor is the caller's. */
int lt_terminal_open(int *fd, struct litmus_error *error);
/* Shows text of unknown origin: control characters other than line ends become `?`. */
void lt_terminal_show(int fd, struct lt_str text);
/* Waits for one line, which replaces what is in `line`, without its end. `until_us` is of lt_monotonic_us; 0: as long as it
 * takes. A line of more than `bytes_max` is cut there. Errors: ETIMEDOUT, ECANCELED (end of input), EIO, ENOMEM. */
int lt_terminal_line(int fd, int64_t until_us, size_t bytes_max, struct lt_buf *line, struct litmus_error *error);

#endif
