/* SPDX-License-Identifier: Apache-2.0
 *
 * hands.h - what stands in daemon.lock: who we are, for people; and which sessions are in hand, for
 * the next daemon. A session that was in hand when several daemons in a row ended without a word is
 * suspected of having ended them: it waits until other work is done, and in the end is left alone.
 *
 * The file is LT_HANDS_RECORDS records of LT_HANDS_BYTES, each one line of text, padded with spaces:
 * "pid N", then for each worker "working SESSION" or "-", then "suspect TIMES SESSION" or "-".
 * What is in it is never trusted further than that: the lock counts.
 */
#ifndef LT_SERVE_HANDS_H
#define LT_SERVE_HANDS_H

#include "base/str.h"

enum { LT_HANDS_WORKERS = 8, LT_HANDS_SUSPECTS = 16, LT_HANDS_BYTES = 96, LT_HANDS_RECORDS = 1 + LT_HANDS_WORKERS + LT_HANDS_SUSPECTS };
/* So many daemons may end over a session before it has to wait, and before it is not tried again. */
enum { LT_HANDS_TIMES_MAX = 3, LT_HANDS_TIMES_LAST = 10 };

struct lt_hands {
    int fd; /* borrowed: the lock file */
    struct {
        char session[64];
        int times;
    } suspects[LT_HANDS_SUSPECTS];
};

/* Reads what the daemon before left, and writes our own. Failing to write is no error. */
void lt_hands_open(struct lt_hands *hands, int fd);
/* A worker takes a session in hand; NULL: lays it down. Any thread. */
void lt_hands_take(struct lt_hands *hands, int worker, const char *session);
/* The session went well after all. */
void lt_hands_absolve(struct lt_hands *hands, const char *session);
long lt_hands_pid(const char *path); /* of the daemon that wrote the file; 0: unknown */

#endif
