/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/relay.h"

#include "base/error.h"
#include "base/io.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { OUT, ERR, STREAMS, READ = 0, WRITE = 1, CHUNK = 64 << 10 };

static void close_end(struct lt_relay *r, int stream, int end) {
    if (r->ends[stream][end] >= 0) close(r->ends[stream][end]);
    r->ends[stream][end] = -1;
}

int lt_relay_open(struct lt_relay *r, bool out, bool err, struct litmus_error *error) {
    const bool wanted[STREAMS] = {out, err};
    for (int i = 0; i < STREAMS; i++) r->ends[i][READ] = r->ends[i][WRITE] = -1;
    for (int i = 0; i < STREAMS; i++) {
        if (!wanted[i] || pipe(r->ends[i]) == 0) continue;
        int why = errno;
        for (int k = 0; k < i; k++) close_end(r, k, READ), close_end(r, k, WRITE);
        return lt_fail_os(error, why, "make", "a pipe");
    }
    return LITMUS_OK;
}

void lt_relay_take(const struct lt_relay *r) {
    static const int places[STREAMS] = {STDOUT_FILENO, STDERR_FILENO};
    for (int i = 0; i < STREAMS; i++)
        if (r->ends[i][WRITE] >= 0) dup2(r->ends[i][WRITE], places[i]);
    for (int i = 0; i < STREAMS; i++)
        for (int end = READ; end <= WRITE; end++)
            if (r->ends[i][end] >= 0) close(r->ends[i][end]);
}

enum { LINE, NO_OBJECT, OBJECT, TEXT, ESCAPED, MINUS, SKIP }; /* of lt_relay.at */

/* JSON has no NaN, and no Infinity. A minus is kept back until it shows what it is of. Gives how many bytes are in `out`, which has room for 4 for each of `in`. */
static size_t make_finite(int *at, const char *in, size_t n, char *out) {
    size_t put = 0;
    for (const char *p = in; p < in + n; p++) {
        if (*at == SKIP && isalpha((unsigned char)*p)) continue;
        if (*at == SKIP) *at = OBJECT;
        bool odd = (*at == OBJECT || *at == MINUS) && (*p == 'N' || *p == 'I');
        if (odd) {
            memcpy(out + put, "null", 4);
            put += 4;
            *at = SKIP;
            continue;
        }
        if (*at == MINUS) {
            out[put++] = '-';
            *at = OBJECT;
        }
        if (*p == '\n') *at = LINE;
        else if (*at == LINE) *at = *p == '{' ? OBJECT : NO_OBJECT;
        else if (*at == OBJECT) *at = *p == '"' ? TEXT : *p == '-' ? MINUS : OBJECT;
        else if (*at == TEXT) *at = *p == '"' ? OBJECT : *p == '\\' ? ESCAPED : TEXT;
        else if (*at == ESCAPED) *at = TEXT;
        if (*at != MINUS) out[put++] = *p;
    }
    return put;
}

/* What has come of one stream. */
static void pass_on(struct lt_relay *r, int stream, pid_t program) {
    char chunk[CHUNK], finite[4 * CHUNK];
    const char *said = chunk;
    ssize_t n = read(r->ends[stream][READ], chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) {
        close_end(r, stream, READ);
        return;
    }
    size_t bytes = (size_t)n;
    if (stream == ERR) r->hear(r->self, chunk, bytes);
    if (stream == OUT && r->json) {
        bytes = make_finite(&r->at, chunk, bytes, finite);
        said = finite;
    }
    if (lt_io_write_all(&lt_io_os, stream == OUT ? STDOUT_FILENO : STDERR_FILENO, said, bytes, NULL) == 0 || stream == ERR) return;
    r->failed = errno;
    close_end(r, stream, READ);
    kill(program, SIGTERM);
}

void lt_relay_run(struct lt_relay *r, pid_t program) {
    for (int i = 0; i < STREAMS; i++) close_end(r, i, WRITE);
    while (r->ends[OUT][READ] >= 0 || r->ends[ERR][READ] >= 0) {
        struct pollfd waits[STREAMS] = {{.fd = r->ends[OUT][READ], .events = POLLIN}, {.fd = r->ends[ERR][READ], .events = POLLIN}};
        int n = poll(waits, STREAMS, -1);
        if (n < 0 && errno != EINTR) break;
        for (int i = 0; n > 0 && i < STREAMS; i++)
            if (waits[i].fd >= 0 && waits[i].revents != 0) pass_on(r, i, program);
    }
    for (int i = 0; i < STREAMS; i++) close_end(r, i, READ);
}
