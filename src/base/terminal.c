/* SPDX-License-Identifier: Apache-2.0 */
#include "base/terminal.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

int lt_terminal_open(int *fd, struct litmus_error *error) {
    *fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    return *fd >= 0 ? LITMUS_OK : lt_fail(error, LITMUS_ENOENT, errno, "there is no terminal");
}

void lt_terminal_show(int fd, struct lt_str text) {
    struct lt_buf safe;
    lt_buf_init(&safe);
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool c1 = c == 0xc2 && i + 1 < text.n && (unsigned char)text.p[i + 1] < 0xa0; /* the second row of control characters, in UTF-8 */
        lt_buf_add_char(&safe, (c < 0x20 && c != '\n') || c == 0x7f || c1 ? '?' : (char)c);
        i += c1;
    }
    (void)!lt_io_write_all(&lt_io_os, fd, safe.p, safe.n, NULL); /* who does not see the question does not answer it */
    lt_buf_release(&safe);
}

/* Until there is something to read. */
static int wait_for(int fd, int64_t until_us, struct litmus_error *error) {
    for (;;) {
        int64_t left = until_us == 0 ? 0 : until_us - lt_monotonic_us();
        int64_t ms = left <= 0 ? 0 : (left + 999) / 1000;
        struct pollfd one = {.fd = fd, .events = POLLIN};
        int n = poll(&one, 1, until_us == 0 ? -1 : ms > INT_MAX ? INT_MAX : (int)ms);
        if (n > 0) return LITMUS_OK;
        if (n == 0 && left <= 0) return lt_fail(error, LITMUS_ETIMEDOUT, 0, "nobody answered in time");
        if (n < 0 && errno != EINTR) return lt_fail_os(error, errno, "wait for", "the terminal");
    }
}

int lt_terminal_line(int fd, int64_t until_us, size_t bytes_max, struct lt_buf *line, struct litmus_error *error) {
    char bytes[512];
    lt_buf_clear(line);
    for (;;) {
        int code = wait_for(fd, until_us, error);
        if (code != LITMUS_OK) return code;
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) return lt_fail(error, LITMUS_ECANCELED, 0, "end of input on the terminal"); /* also of one that was hung up */
        bool ended = bytes[n - 1] == '\n' || bytes[n - 1] == '\r';
        size_t room = bytes_max - line->n, more = (size_t)n - ended;
        lt_buf_add(line, bytes, more < room ? more : room);
        if (line->failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an answer");
        if (ended) return LITMUS_OK;
    }
}
