/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "serve/control.h"

#include "base/clock.h"
#include "base/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUT_BYTES_MAX = 64 * 1024 };
#define SILENT_US ((int64_t)30 * 1000 * 1000) /* a peer that says nothing for so long is hung up on */

struct lt_control_client {
    int fd;
    char in[LT_CONTROL_LINE];
    size_t in_count;
    struct lt_buf out;
    bool waiting, asked, over;
    char session[64], run[64];
    int64_t heard_us;
};

static void client_free(struct lt_control_client *client) {
    close(client->fd);
    lt_buf_release(&client->out);
    free(client);
}

/* One line of answer; control characters would make it two. */
static void answer(struct lt_control_client *client, const char *word, const char *text) {
    lt_buf_add_text(&client->out, word);
    if (text[0] != '\0') lt_buf_add_char(&client->out, ' ');
    size_t start = client->out.n;
    lt_buf_add_text(&client->out, text);
    for (size_t i = start; i < client->out.n; i++) {
        if ((unsigned char)client->out.p[i] < 0x20) client->out.p[i] = '?';
    }
    lt_buf_add_char(&client->out, '\n');
}

static void flush(struct lt_control_client *client) {
    struct lt_buf *out = &client->out;
    size_t done = 0;
    while (!client->over && done < out->n) {
        ssize_t put = send(client->fd, out->p + done, out->n - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (put <= 0) client->over = true;
        else done += (size_t)put;
    }
    if (done > 0) memmove(out->p, out->p + done, out->n - done);
    out->n -= done;
    if (out->failed || out->n > OUT_BYTES_MAX) client->over = true;
}

/* A session that failed, or is not known, is looked at once more before the answer is no. */
static void resolve(struct lt_control *control, struct lt_control_client *client) {
    const char *text;
    enum lt_run_state state = lt_follow_state(control->follow, client->session, client->run, &text);
    if ((state == LT_RUN_FAILED || state == LT_RUN_UNKNOWN) && !client->asked) {
        client->asked = lt_follow_ask(control->follow, client->session);
        if (client->asked) return;
    }
    switch (state) {
    case LT_RUN_PENDING: return;
    case LT_RUN_DONE: answer(client, "done", text); break;
    case LT_RUN_FAILED: answer(client, "failed", text); break;
    case LT_RUN_UNKNOWN: answer(client, "failed", "no such run is on record"); break;
    }
    client->waiting = client->asked = false;
    flush(client);
}

static void wait_for(struct lt_control *control, struct lt_control_client *client, const char *line) {
    char extra;
    if (sscanf(line, "wait %63s %63s %c", client->session, client->run, &extra) != 2) {
        answer(client, "error", "usage: wait SESSION_ID RUN_ID");
        return;
    }
    client->waiting = true;
    client->asked = false;
    control->look(control->self, client->session);
    resolve(control, client);
}

static void obey(struct lt_control *control, struct lt_control_client *client, const char *line) {
    if (strcmp(line, "status") == 0) {
        struct lt_buf json;
        lt_buf_init(&json);
        control->status(control->self, &json);
        answer(client, lt_buf_cstr(&json), "");
        lt_buf_release(&json);
    } else if (strcmp(line, "stop") == 0) {
        answer(client, "ok", "");
        control->stop(control->self);
    } else if (strncmp(line, "wait ", 5) == 0) wait_for(control, client, line);
    else answer(client, "error", "what was asked is not known: status, stop, wait SESSION_ID RUN_ID");
}

static void take_lines(struct lt_control *control, struct lt_control_client *client) {
    while (!client->waiting && !client->over) {
        char *end = memchr(client->in, '\n', client->in_count);
        if (end == NULL) break;
        char line[LT_CONTROL_LINE];
        size_t n = (size_t)(end - client->in);
        memcpy(line, client->in, n);
        line[n] = '\0';
        if (n > 0 && line[n - 1] == '\r') line[n - 1] = '\0';
        client->in_count -= n + 1;
        memmove(client->in, end + 1, client->in_count);
        obey(control, client, line);
    }
    if (client->in_count == sizeof client->in && !client->waiting) {
        answer(client, "error", "the line is too long");
        flush(client);
        client->over = true;
    }
    flush(client);
}

static void hear(struct lt_control *control, struct lt_control_client *client) {
    while (!client->over && client->in_count < sizeof client->in) {
        ssize_t got = recv(client->fd, client->in + client->in_count, sizeof client->in - client->in_count, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (got <= 0) client->over = true; /* hung up: nobody waits for an answer */
        else client->in_count += (size_t)got;
        client->heard_us = lt_monotonic_us();
        if (got > 0) take_lines(control, client);
    }
}

static void admit(struct lt_control *control) {
    for (;;) {
        int fd = lt_socket_accept(control->fd);
        if (fd < 0 && (errno == EPERM || errno == ECONNABORTED || errno == EINTR)) continue;
        if (fd < 0) return;
        struct lt_control_client *client = control->count < LT_CONTROL_CLIENTS ? calloc(1, sizeof *client) : NULL;
        if (client == NULL) {
            close(fd);
            continue;
        }
        client->fd = fd;
        client->heard_us = lt_monotonic_us();
        control->clients[control->count++] = client;
        hear(control, client); /* most have sent their line already */
    }
}

size_t lt_control_polls(const struct lt_control *control, struct pollfd *out) {
    size_t n = 0;
    if (control->fd >= 0) out[n++] = (struct pollfd){.fd = control->fd, .events = POLLIN};
    for (size_t i = 0; i < control->count; i++) {
        const struct lt_control_client *client = control->clients[i];
        short events = POLLRDHUP;
        if (client->in_count < sizeof client->in) events |= POLLIN;
        if (client->out.n > 0) events |= POLLOUT;
        out[n++] = (struct pollfd){.fd = client->fd, .events = events};
    }
    return n;
}

void lt_control_handle(struct lt_control *control, const struct pollfd *polls, size_t count) {
    bool knock = false;
    for (size_t i = 0; i < count; i++) {
        if (polls[i].revents == 0) continue;
        if (polls[i].fd == control->fd) {
            knock = true;
            continue;
        }
        for (size_t c = 0; c < control->count; c++) {
            struct lt_control_client *client = control->clients[c];
            if (client->fd != polls[i].fd) continue;
            if (polls[i].revents & (POLLERR | POLLNVAL)) client->over = true;
            hear(control, client);
            if ((polls[i].revents & (POLLHUP | POLLRDHUP)) && client->in_count == sizeof client->in) client->over = true;
            flush(client);
        }
    }
    int64_t now = lt_monotonic_us();
    for (size_t c = 0; c < control->count;) {
        struct lt_control_client *client = control->clients[c];
        if (!client->over && (client->waiting || now - client->heard_us < SILENT_US)) {
            c++;
            continue;
        }
        client_free(client);
        control->clients[c] = control->clients[--control->count];
    }
    if (knock) admit(control);
}

void lt_control_resolve(struct lt_control *control) {
    for (size_t c = 0; c < control->count; c++) {
        struct lt_control_client *client = control->clients[c];
        if (!client->waiting) continue;
        resolve(control, client);
        if (!client->waiting) take_lines(control, client);
    }
}

size_t lt_control_waiting(const struct lt_control *control) {
    size_t n = 0;
    for (size_t c = 0; c < control->count; c++) n += control->clients[c]->waiting;
    return n;
}

void lt_control_release(struct lt_control *control) {
    for (size_t c = 0; c < control->count; c++) {
        flush(control->clients[c]);
        client_free(control->clients[c]);
    }
    control->count = 0;
    if (control->fd >= 0) close(control->fd);
    control->fd = -1;
}
