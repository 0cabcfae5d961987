/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - any bytes from a peer of the daemon's socket, in parts: each line is answered by one
 * line of a known kind, no more, and a peer that stays silent or leaves is no trouble. The first byte
 * says how large the parts are, and whether the peer listens.
 */
#define _GNU_SOURCE
#include "../fuzz.h"
#include "base/process.h"
#include "materialize/done_text.h"
#include "serve/control.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

static int stops;
static void give_status(void *self, struct lt_buf *json) {
    (void)self;
    lt_buf_add_text(json, "{\"pid\":1,\"path\":\"a\"}");
}
static void look(void *self, const char *session_id) {
    (void)self;
    check(strlen(session_id) < 64);
}
static void stop(void *self) {
    (void)self;
    stops++;
}
static void on_log(void *self, struct lt_folder *folder, const char *name, bool fresh) {
    (void)self;
    (void)folder;
    (void)name;
    (void)fresh;
}

static struct lt_folders folders;
static struct lt_journal journal;
static struct lt_follow follow;
static int listening = -1;

static void set_up(void) {
    check(setenv("LITMUS_HOME", fuzz_folder(), 1) == 0);
    int folder_fd = open(fuzz_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(folder_fd >= 0);
    listening = lt_socket_listen(folder_fd, "daemon.sock", NULL);
    check(listening >= 0);
    close(folder_fd);
    lt_journal_open(&journal, "/dev/null");
    check(lt_folders_open(&folders, fuzz_folder(), NULL, on_log, NULL, NULL) == LITMUS_OK);
    lt_follow_init(&follow, &folders, &journal, 8);
}

static void turn(struct lt_control *control) {
    struct pollfd polls[1 + LT_CONTROL_CLIENTS];
    size_t n = lt_control_polls(control, polls);
    check(n <= 1 + LT_CONTROL_CLIENTS && control->count <= LT_CONTROL_CLIENTS);
    int ready;
    while ((ready = poll(polls, (nfds_t)n, 0)) < 0 && errno == EINTR) continue; /* the fuzzer's own alarm */
    check(ready >= 0);
    lt_control_handle(control, polls, n);
    while (lt_follow_step(&follow, 1000)) continue;
    for (struct lt_job *job; (job = lt_follow_job(&follow)) != NULL;) { /* there is no such session */
        job->code = lt_fail(&job->error, LITMUS_ENOENT, 0, "no log of session %s", job->session_id);
        lt_follow_done(&follow, job);
    }
    lt_control_resolve(control);
}

/* Takes what was answered so far; true: the daemon hung up. */
static bool hear(int fd, struct lt_buf *answers) {
    char part[4096];
    for (;;) {
        ssize_t got = recv(fd, part, sizeof part, MSG_DONTWAIT);
        if (got == 0) return true;
        if (got < 0) return errno != EAGAIN;
        lt_buf_add(answers, part, (size_t)got);
    }
}

static void check_answers(const struct lt_buf *answers, size_t lines) {
    static const char *const words[] = {"{\"pid\":1,", "ok\n", "done", "failed ", "error "};
    size_t count = 0;
    if (answers->n == 0) return;
    for (const char *p = answers->p, *end = answers->p + answers->n; p < end; count++) {
        const char *stop_at = memchr(p, '\n', (size_t)(end - p));
        if (stop_at == NULL) break; /* hung up in the midst of an answer */
        bool known = false;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
            size_t n = strlen(words[i]);
            known = known || ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0);
        }
        if (!known) fprintf(stderr, "%.*s\n", (int)(stop_at - p), p);
        check(known);
        p = stop_at + 1;
    }
    check(count <= lines + 1); /* one more: the line is too long */
}

/* The other side: any bytes as what a daemon says of a run. What is understood is said again the same. */
static void check_done_text(const uint8_t *bytes, size_t n) {
    struct lt_materialized done, again;
    struct lt_buf text, text_again;
    if (!lt_done_read((struct lt_str){(const char *)bytes, n}, &done)) return;
    lt_buf_init(&text);
    lt_buf_init(&text_again);
    lt_done_write(&done, &text);
    check(memchr(text.p, '\n', text.n) == NULL);
    check(lt_done_read((struct lt_str){text.p, text.n}, &again));
    lt_done_write(&again, &text_again);
    check(text.n == text_again.n && memcmp(text.p, text_again.p, text.n) == 0);
    lt_buf_release(&text);
    lt_buf_release(&text_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    if (listening < 0) set_up();
    if (n < 1) return 0;
    check_done_text(bytes, n);
    struct lt_control control = {.follow = &follow, .status = give_status, .look = look, .stop = stop};
    struct lt_buf answers;
    size_t part = 1 + bytes[0] % 64 * 8, lines = 0;
    bool listens = bytes[0] < 128, over = false;
    lt_buf_init(&answers);
    control.fd = dup(listening);
    check(control.fd >= 0);
    int peer = lt_socket_connect(fuzz_folder(), "daemon.sock");
    check(peer >= 0);
    for (size_t i = 1; i < n; i++) lines += bytes[i] == '\n';
    for (size_t at = 1; at < n && !over; at += part) {
        size_t count = n - at < part ? n - at : part;
        if (send(peer, bytes + at, count, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) break;
        turn(&control);
        if (listens) over = hear(peer, &answers);
    }
    if (!listens) shutdown(peer, SHUT_WR);
    for (int i = 0; i < 4; i++) turn(&control);
    hear(peer, &answers);
    check_answers(&answers, lines);
    close(peer);
    turn(&control);
    lt_control_release(&control);
    lt_buf_release(&answers);
    return 0;
}
