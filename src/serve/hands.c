/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/hands.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void put(int fd, int record, const char *text) {
    char line[LT_HANDS_BYTES];
    size_t n = strlen(text);
    memset(line, ' ', sizeof line);
    memcpy(line, text, n < sizeof line - 1 ? n : sizeof line - 1);
    line[sizeof line - 1] = '\n';
    ssize_t done = pwrite(fd, line, sizeof line, (off_t)record * LT_HANDS_BYTES);
    (void)done;
}

/* The record's text without the padding; "" if there is none. */
static void get(int fd, int record, char out[LT_HANDS_BYTES]) {
    ssize_t n = pread(fd, out, LT_HANDS_BYTES, (off_t)record * LT_HANDS_BYTES);
    if (n < 1) n = 1;
    out[--n] = '\0';
    while (n > 0 && out[n - 1] == ' ') out[--n] = '\0';
}

static void suspect(struct lt_hands *hands, const char *session, int times) {
    int free_place = -1;
    for (int i = 0; i < LT_HANDS_SUSPECTS; i++) {
        if (strcmp(hands->suspects[i].session, session) == 0) {
            hands->suspects[i].times += times;
            return;
        }
        if (hands->suspects[i].session[0] == '\0' && free_place < 0) free_place = i;
    }
    if (free_place < 0 || strlen(session) >= sizeof hands->suspects[0].session) return;
    snprintf(hands->suspects[free_place].session, sizeof hands->suspects[free_place].session, "%s", session);
    hands->suspects[free_place].times = times;
}

static void write_suspects(const struct lt_hands *hands) {
    for (int i = 0; i < LT_HANDS_SUSPECTS; i++) {
        char text[LT_HANDS_BYTES] = "-";
        if (hands->suspects[i].session[0] != '\0') snprintf(text, sizeof text, "suspect %d %s", hands->suspects[i].times, hands->suspects[i].session);
        put(hands->fd, 1 + LT_HANDS_WORKERS + i, text);
    }
}

void lt_hands_open(struct lt_hands *hands, int fd) {
    memset(hands, 0, sizeof *hands);
    hands->fd = fd;
    char text[LT_HANDS_BYTES], session[LT_HANDS_BYTES];
    int times;
    for (int i = 0; i < LT_HANDS_SUSPECTS; i++) {
        get(fd, 1 + LT_HANDS_WORKERS + i, text);
        if (sscanf(text, "suspect %d %95s", &times, session) == 2 && times > 0 && times < 1000) suspect(hands, session, times);
    }
    for (int i = 0; i < LT_HANDS_WORKERS; i++) {
        get(fd, 1 + i, text);
        if (sscanf(text, "working %95s", session) == 1) suspect(hands, session, 1);
    }
    snprintf(text, sizeof text, "pid %ld", (long)getpid());
    put(fd, 0, text);
    for (int i = 0; i < LT_HANDS_WORKERS; i++) put(fd, 1 + i, "-");
    write_suspects(hands);
}

void lt_hands_take(struct lt_hands *hands, int worker, const char *session) {
    char text[LT_HANDS_BYTES] = "-";
    if (worker < 0 || worker >= LT_HANDS_WORKERS) return;
    if (session != NULL) snprintf(text, sizeof text, "working %s", session);
    put(hands->fd, 1 + worker, text);
}

void lt_hands_absolve(struct lt_hands *hands, const char *session) {
    for (int i = 0; i < LT_HANDS_SUSPECTS; i++) {
        if (strcmp(hands->suspects[i].session, session) != 0 || session[0] == '\0') continue;
        hands->suspects[i].session[0] = '\0';
        write_suspects(hands);
    }
}

long lt_hands_pid(const char *path) {
    char text[LT_HANDS_BYTES];
    long pid = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return 0;
    get(fd, 0, text);
    close(fd);
    return sscanf(text, "pid %ld", &pid) == 1 && pid > 0 ? pid : 0;
}
