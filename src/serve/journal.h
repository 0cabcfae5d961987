/* SPDX-License-Identifier: Apache-2.0
 *
 * journal.h - what the daemon has to say to people: daemon.log, or standard error in the foreground.
 *
 * Always true: one line a message, without control characters; the file never grows past
 * LT_JOURNAL_BYTES_MAX (one older file, daemon.log.1, is kept); failing to write is no error.
 * Any thread may write.
 */
#ifndef LT_SERVE_JOURNAL_H
#define LT_SERVE_JOURNAL_H

#include "base/buf.h"

#include <pthread.h>

enum { LT_JOURNAL_BYTES_MAX = 512 * 1024 };

struct lt_journal {
    pthread_mutex_t mutex;
    int fd;
    char *path; /* NULL: standard error */
};

void lt_journal_open(struct lt_journal *journal, const char *path); /* copies path; NULL: standard error */
void lt_journal_close(struct lt_journal *journal);
void lt_journal_say(struct lt_journal *journal, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
