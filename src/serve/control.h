/* SPDX-License-Identifier: Apache-2.0
 *
 * control.h - the daemon's socket, daemon.sock in the data_dir. Lines of text, each answered by one
 * line; a connection may ask several times.
 *
 *   status                    {"pid": ..., ...} one JSON object
 *   stop                      ok (the daemon finishes what is in hand and leaves)
 *   wait SESSION_ID RUN_ID    done {"run_id": ...}, once the run has its file (the object
 *                             may be missing; done_text.h), or failed TEXT
 *   anything else             error TEXT
 *
 * Always true: a peer is of our own user (or root) and is not trusted further: lines, answers and
 * connections are bounded, nothing blocks.
 */
#ifndef LT_SERVE_CONTROL_H
#define LT_SERVE_CONTROL_H

#include "serve/follow.h"

#include <poll.h>

enum { LT_CONTROL_CLIENTS = 256, LT_CONTROL_LINE = 256 };

struct lt_control_client;
struct lt_control {
    int fd; /* listening; -1: none */
    struct lt_follow *follow;
    struct lt_control_client *clients[LT_CONTROL_CLIENTS];
    size_t count;
    void (*status)(void *self, struct lt_buf *json);
    void (*look)(void *self, const char *session_id); /* read all there is to know of it now */
    void (*stop)(void *self);
    void *self;
};

void lt_control_release(struct lt_control *control); /* hangs up on everyone */
/* Adds what is to be polled (at most 1 + LT_CONTROL_CLIENTS); returns how many. */
size_t lt_control_polls(const struct lt_control *control, struct pollfd *out);
void lt_control_handle(struct lt_control *control, const struct pollfd *polls, size_t count);
/* Answers those whose run is done or failed by now. */
void lt_control_resolve(struct lt_control *control);
size_t lt_control_waiting(const struct lt_control *control);

#endif
