/* SPDX-License-Identifier: Apache-2.0
 *
 * A line a head: `=`, a check of what follows, chain as 64 hex digits, rows, identity. What is no such line is passed over: a write cut short, or one
 * that the power cut, of which the disk kept blocks of what was there before. Lines without a check are of an earlier version.
 */
/* The direct functions, as in chain.c: SHA256() has OpenSSL load its providers, 2 MB and 1 ms of each process that opens a log. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "log/heads.h"

#include "base/grow.h"
#include "base/hex.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LIST_BYTES_MAX = 64 * 1024 * 1024, LOCK_TRIES_MAX = 200, CHAIN_TEXT = 2 * LT_CHAIN_BYTES, CHECK_BYTES = 4, CHECK_TEXT = 2 * CHECK_BYTES };

static void check_of(struct lt_str words, char out[CHECK_TEXT + 1]) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, words.p, words.n);
    SHA256_Final(digest, &context);
    lt_hex_text(digest, CHECK_BYTES, out);
}

static void add_line(struct lt_buf *out, const struct lt_head *head) {
    char chain[CHAIN_TEXT + 1], check[CHECK_TEXT + 1], words[CHAIN_TEXT + 24 + sizeof head->identity];
    lt_hex_text(head->chain, sizeof head->chain, chain);
    snprintf(words, sizeof words, "%s %lld %s", chain, (long long)head->rows, head->identity);
    check_of(lt_str_of(words), check);
    lt_buf_addf(out, "=%s %s\n", check, words);
}

/* Takes the check off the line, if it has one. */
static bool take_check(struct lt_str *line) {
    char check[CHECK_TEXT + 1];
    if (line->n == 0 || line->p[0] != '=') return true;
    if (line->n < CHECK_TEXT + 2 || line->p[CHECK_TEXT + 1] != ' ') return false;
    struct lt_str words = {line->p + CHECK_TEXT + 2, line->n - CHECK_TEXT - 2};
    check_of(words, check);
    bool holds = memcmp(check, line->p + 1, CHECK_TEXT) == 0;
    *line = words;
    return holds;
}

static bool parse_line(struct lt_str line, struct lt_head *out) {
    char *end;
    if (!take_check(&line)) return false;
    if (line.n < CHAIN_TEXT + 4 || line.p[CHAIN_TEXT] != ' ' || !lt_hex_parse((struct lt_str){line.p, CHAIN_TEXT}, out->chain, sizeof out->chain)) return false;
    const char *digits = line.p + CHAIN_TEXT + 1;
    out->rows = strtoll(digits, &end, 10);
    size_t used = (size_t)(end - line.p) + 1;
    if (digits[0] < '0' || digits[0] > '9' || *end != ' ' || used >= line.n || line.n - used >= sizeof out->identity) return false;
    for (const char *p = line.p + used; p < line.p + line.n; p++)
        if ((unsigned char)*p <= ' ') return false; /* an identity is the name of a file of ours */
    memcpy(out->identity, line.p + used, line.n - used);
    out->identity[line.n - used] = '\0';
    return true;
}

static int add_head(struct lt_heads *heads, const struct lt_head *head, struct litmus_error *error) {
    struct lt_head *items = lt_grow_list(heads->items, heads->count, &heads->capacity, sizeof *items);
    if (items == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the heads of logs");
    heads->items = items;
    heads->items[heads->count++] = *head;
    return LITMUS_OK;
}

static int parse(struct lt_str text, struct lt_heads *heads, struct litmus_error *error) {
    int code = LITMUS_OK;
    for (size_t at = 0; code == LITMUS_OK && at < text.n;) {
        const char *line = text.p + at, *end = memchr(line, '\n', text.n - at);
        struct lt_head head;
        if (end == NULL) break;
        if (parse_line((struct lt_str){line, (size_t)(end - line)}, &head)) code = add_head(heads, &head, error);
        at += (size_t)(end - line) + 1;
    }
    return code;
}

static int open_locked(const struct lt_io *io, const char *path, int *out, struct litmus_error *error) {
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    int fd = io->open(io->self, path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (fd < 0) return lt_fail_os(error, errno, "open", path);
    for (int i = 0; io->flock(io->self, fd, LOCK_EX | LOCK_NB) != 0; i++) {
        int os_errno = errno;
        if (os_errno == EWOULDBLOCK && i < LOCK_TRIES_MAX) {
            nanosleep(&pause, NULL);
            continue;
        }
        io->close(io->self, fd);
        return os_errno == EWOULDBLOCK ? lt_fail(error, LITMUS_EBUSY, os_errno, "%s is held by another process", path) : lt_fail_os(error, os_errno, "lock", path);
    }
    *out = fd;
    return LITMUS_OK;
}

static int in_list(const char *data_dir, struct lt_buf *path, struct litmus_error *error) {
    lt_buf_init(path);
    lt_path_join(path, data_dir, "heads");
    return path->failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : LITMUS_OK;
}

/* Takes away a line whose write was cut short: it would swallow the next one. No head was promised by it. */
static int cut_torn_line(const struct lt_io *io, int fd, const char *path, struct litmus_error *error) {
    char tail[sizeof ((struct lt_head *)0)->identity + CHAIN_TEXT + CHECK_TEXT + 32];
    struct stat st;
    if (fstat(fd, &st) != 0) return lt_fail_os(error, errno, "look at", path);
    size_t n = st.st_size < (off_t)sizeof tail ? (size_t)st.st_size : sizeof tail, kept = n;
    if (pread(fd, tail, n, st.st_size - (off_t)n) != (ssize_t)n) return lt_fail_os(error, errno, "read", path);
    while (kept > 0 && tail[kept - 1] != '\n') kept--;
    if (kept == n) return LITMUS_OK;
    return io->ftruncate(io->self, fd, st.st_size - (off_t)(n - kept)) == 0 ? LITMUS_OK : lt_fail_os(error, errno, "cut", path);
}

int lt_heads_add(const struct lt_io *io, const char *data_dir, const struct lt_head *head, struct litmus_error *error) {
    struct lt_buf path, line;
    int fd = -1;
    lt_buf_init(&line);
    if (io == NULL) io = &lt_io_os;
    int code = in_list(data_dir, &path, error);
    if (code == LITMUS_OK) code = open_locked(io, path.p, &fd, error);
    if (code == LITMUS_OK) code = cut_torn_line(io, fd, path.p, error);
    add_line(&line, head);
    if (code == LITMUS_OK && line.failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the heads of logs");
    if (code == LITMUS_OK && io->write(io->self, fd, line.p, line.n) != (ssize_t)line.n) code = lt_fail_os(error, errno == 0 ? ENOSPC : errno, "write", path.p);
    if (fd >= 0) io->close(io->self, fd);
    lt_buf_release(&path);
    lt_buf_release(&line);
    return code;
}

int lt_heads_take(const struct lt_io *io, const char *data_dir, struct lt_heads *out, struct litmus_error *error) {
    struct lt_buf path, text;
    lt_buf_init(&text);
    *out = (struct lt_heads){.io = io == NULL ? &lt_io_os : io, .fd = -1};
    int code = in_list(data_dir, &path, error);
    if (code == LITMUS_OK) code = open_locked(out->io, path.p, &out->fd, error);
    if (code == LITMUS_OK) code = lt_io_read_file(path.p, LIST_BYTES_MAX, &text, error);
    if (code == LITMUS_OK) code = parse((struct lt_str){text.p, text.n}, out, error);
    lt_buf_release(&path);
    lt_buf_release(&text);
    return code;
}

/* The list is short after this, and one write: a crash between the two calls loses what nobody has named only
 * when there was more than one event could name. */
int lt_heads_give(struct lt_heads *heads, size_t named, const struct lt_head *own, struct litmus_error *error) {
    struct lt_buf text;
    lt_buf_init(&text);
    add_line(&text, own);
    for (size_t i = named; i < heads->count; i++) add_line(&text, &heads->items[i]);
    int code = text.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the heads of logs") : LITMUS_OK;
    if (code == LITMUS_OK && heads->io->ftruncate(heads->io->self, heads->fd, 0) != 0) code = lt_fail_os(error, errno, "cut", "heads");
    if (code == LITMUS_OK && lt_io_write_all(heads->io, heads->fd, text.p, text.n, NULL) != 0) code = lt_fail_os(error, errno, "write", "heads");
    lt_buf_release(&text);
    return code;
}

void lt_heads_release(struct lt_heads *heads) {
    if (heads->fd >= 0) heads->io->close(heads->io->self, heads->fd);
    free(heads->items);
    *heads = (struct lt_heads){.fd = -1};
}

int lt_heads_read(const char *data_dir, struct lt_heads *out, struct litmus_error *error) {
    struct lt_buf path, text;
    struct litmus_error why = {0};
    lt_buf_init(&text);
    *out = (struct lt_heads){.io = &lt_io_os, .fd = -1};
    int code = in_list(data_dir, &path, error);
    if (code == LITMUS_OK) code = lt_io_read_file(path.p, LIST_BYTES_MAX, &text, &why);
    if (code == LITMUS_ENOENT) code = LITMUS_OK;
    else if (code != LITMUS_OK) code = lt_fail(error, code, why.os_errno, "%s", why.text);
    else code = parse((struct lt_str){text.p, text.n}, out, error);
    lt_buf_release(&path);
    lt_buf_release(&text);
    return code;
}
