/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/journal.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_file(const char *path) {
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
}

void lt_journal_open(struct lt_journal *journal, const char *path) {
    pthread_mutex_init(&journal->mutex, NULL);
    journal->path = path == NULL ? NULL : strdup(path);
    journal->fd = path == NULL ? STDERR_FILENO : open_file(path);
}

void lt_journal_close(struct lt_journal *journal) {
    if (journal->path != NULL && journal->fd >= 0) close(journal->fd);
    free(journal->path);
    journal->path = NULL;
    journal->fd = -1;
    pthread_mutex_destroy(&journal->mutex);
}

/* The full file becomes daemon.log.1. */
static void rotate(struct lt_journal *journal) {
    struct stat st;
    if (journal->path == NULL || fstat(journal->fd, &st) != 0 || st.st_size < LT_JOURNAL_BYTES_MAX) return;
    struct lt_buf older;
    lt_buf_init(&older);
    lt_buf_addf(&older, "%s.1", journal->path);
    if (rename(journal->path, lt_buf_cstr(&older)) == 0) {
        int fd = open_file(journal->path);
        if (fd >= 0) {
            close(journal->fd);
            journal->fd = fd;
        }
    }
    lt_buf_release(&older);
}

void lt_journal_say(struct lt_journal *journal, const char *format, ...) {
    char line[1200];
    char when[LT_ISO_BYTES];
    lt_time_iso(lt_now_us(), when);
    int n = snprintf(line, sizeof line, "%s %ld ", when, (long)getpid());
    size_t start = (size_t)n;
    va_list args;
    va_start(args, format);
    int more = vsnprintf(line + start, sizeof line - start - 1, format, args);
    va_end(args);
    if (more < 0) return;
    size_t end = start + (size_t)more < sizeof line - 2 ? start + (size_t)more : sizeof line - 2;
    for (size_t i = start; i < end; i++) { /* names and error texts come from files of others */
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) line[i] = '?';
    }
    line[end++] = '\n';
    pthread_mutex_lock(&journal->mutex);
    if (journal->fd >= 0) {
        rotate(journal);
        ssize_t put = write(journal->fd, line, end);
        (void)put; /* nobody is left to tell */
    }
    pthread_mutex_unlock(&journal->mutex);
}
