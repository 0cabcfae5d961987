/* SPDX-License-Identifier: Apache-2.0 */
#include "log/blob.h"

#include "base/buf.h"
#include "base/error.h"
#include "log/format.h"
#include "log/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 8, DIGITS = 64, PIECE_BYTES = 256 * 1024, NAMES_TRIED = 1000 };

static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_plain(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_extension(const char *text, size_t n) {
    if (n < 2 || n >= LT_BLOB_EXT_MAX || text[0] != '.') return false;
    for (size_t i = 1; i < n; i++)
        if (!is_plain(text[i])) return false;
    return true;
}

void lt_blob_extension(const char *file_name, char out[LT_BLOB_EXT_MAX]) {
    const char *dot = file_name == NULL ? NULL : strrchr(file_name, '.');
    bool good = dot != NULL && dot != file_name && dot[-1] != '/' && is_extension(dot, strlen(dot));
    snprintf(out, LT_BLOB_EXT_MAX, "%s", good ? dot : ".bin");
}

bool lt_blob_is_name(struct lt_str name) {
    if (name.n <= DIGITS + 1 || name.n >= LT_BLOB_NAME_BYTES || name.p[HEAD] != '_') return false;
    for (size_t i = 0; i <= DIGITS; i++)
        if (i != HEAD && !is_hex(name.p[i])) return false;
    return is_extension(name.p + DIGITS + 1, name.n - DIGITS - 1);
}

/* ---- storing ---- */

struct put {
    const struct lt_io *io;
    const char *folder;
    struct lt_buf hidden, path;
    int fd;
    bool sync;
    EVP_MD_CTX *digest;
    struct lt_blob *out;
};

int lt_blob_folder(const struct lt_io *io, const char *folder, struct litmus_error *error) {
    struct stat st;
    int code = lt_io_mkdirs(io, folder, error);
    if (code == LITMUS_OK && lstat(folder, &st) != 0) return lt_fail_os(error, errno, "look at", folder);
    if (code != LITMUS_OK || S_ISDIR(st.st_mode)) return code;
    return lt_fail(error, LITMUS_EPERM, 0, "%s is a symbolic link, which is not followed: put a folder there", folder);
}

/* A new hidden file. One that a crash left keeps its name; nobody reads it. */
static int open_hidden(struct put *p, struct litmus_error *error) {
    int code = lt_blob_folder(p->io, p->folder, error);
    for (int i = 0; code == LITMUS_OK && i < NAMES_TRIED; i++) {
        lt_buf_clear(&p->hidden);
        lt_buf_addf(&p->hidden, "%s/.%ld-%d.tmp", p->folder, (long)getpid(), i);
        if (p->hidden.failed) break;
        p->fd = p->io->open(p->io->self, lt_buf_cstr(&p->hidden), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (p->fd >= 0) return LITMUS_OK;
        if (errno != EEXIST) return lt_fail_os(error, errno, "create", lt_buf_cstr(&p->hidden));
    }
    return code != LITMUS_OK ? code : lt_fail(error, LITMUS_ENOMEM, 0, "no name for an attachment in %s", p->folder);
}

static int put_begin(struct put *p, struct litmus_error *error) {
    lt_buf_init(&p->hidden);
    lt_buf_init(&p->path);
    p->fd = -1;
    p->out->bytes = 0;
    p->digest = EVP_MD_CTX_new();
    if (p->digest == NULL || EVP_DigestInit_ex(p->digest, EVP_sha256(), NULL) != 1) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an attachment");
    return open_hidden(p, error);
}

static int put_more(struct put *p, const void *bytes, size_t n, struct litmus_error *error) {
    if (EVP_DigestUpdate(p->digest, bytes, n) != 1) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an attachment");
    if (lt_io_write_all(p->io, p->fd, bytes, n, NULL) != 0) return lt_fail_os(error, errno, "write", lt_buf_cstr(&p->hidden));
    p->out->bytes += (int64_t)n;
    return LITMUS_OK;
}

/* The folder, and its own name in the one above. */
static int sync_names(const struct lt_io *io, const char *folder, struct litmus_error *error) {
    const char *slash = strrchr(folder, '/');
    int code = lt_io_sync_dir(io, folder, error);
    if (code != LITMUS_OK || slash == NULL) return code;
    struct lt_buf above;
    lt_buf_init(&above);
    lt_buf_add(&above, folder, (size_t)(slash - folder));
    code = above.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : lt_io_sync_dir(io, lt_buf_cstr(&above), error);
    lt_buf_release(&above);
    return code;
}

/* The content gets its name. The same content that is there already may be on the disk: it is not replaced by one that is not. */
static int give_name(struct put *p, struct litmus_error *error) {
    const char *hidden = lt_buf_cstr(&p->hidden), *path = lt_path_join(&p->path, p->folder, p->out->name);
    if (p->path.failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
    if (!p->sync && lt_blob_check(p->folder, p->out->name, NULL) == LITMUS_OK)
        return p->io->unlink(p->io->self, hidden) == 0 ? LITMUS_OK : lt_fail_os(error, errno, "remove", hidden);
    return p->io->rename(p->io->self, hidden, path) == 0 ? LITMUS_OK : lt_fail_os(error, errno, "rename to", path);
}

/* Gives the content its name, if all went well; frees. */
static int put_end(struct put *p, const char *ext, int code, struct litmus_error *error) {
    struct lt_blob *out = p->out;
    if (code == LITMUS_OK && !lt_digest_text(p->digest, out->sha256)) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an attachment");
    if (code == LITMUS_OK) snprintf(out->name, sizeof out->name, "%.*s_%s%s", HEAD, out->sha256, out->sha256 + HEAD, ext);
    if (p->fd >= 0 && p->io->close(p->io->self, p->fd) != 0 && code == LITMUS_OK) code = lt_fail_os(error, errno, "close", lt_buf_cstr(&p->hidden));
    if (code == LITMUS_OK && p->sync) code = lt_io_sync_file(p->io, lt_buf_cstr(&p->hidden), error);
    if (code == LITMUS_OK) code = give_name(p, error);
    if (code != LITMUS_OK && p->fd >= 0) p->io->unlink(p->io->self, lt_buf_cstr(&p->hidden));
    if (code == LITMUS_OK && p->sync) code = sync_names(p->io, p->folder, error);
    EVP_MD_CTX_free(p->digest);
    lt_buf_release(&p->hidden);
    lt_buf_release(&p->path);
    return code;
}

int lt_blob_put_bytes(const struct lt_io *io, const char *folder, const void *bytes, size_t n, const char *ext, bool sync, struct lt_blob *out, struct litmus_error *error) {
    struct put p = {.io = io, .folder = folder, .sync = sync, .out = out};
    int code = put_begin(&p, error);
    if (code == LITMUS_OK) code = put_more(&p, bytes, n, error);
    return put_end(&p, ext, code, error);
}

/* Hands every piece of a file to `take`. */
static int read_pieces(int fd, const char *path, int (*take)(struct put *p, const void *bytes, size_t n, struct litmus_error *error), struct put *p, struct litmus_error *error) {
    char *piece = malloc(PIECE_BYTES);
    if (piece == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an attachment");
    int code = LITMUS_OK;
    for (bool more = true; more && code == LITMUS_OK;) {
        ssize_t n = read(fd, piece, PIECE_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) code = lt_fail_os(error, errno, "read", path);
        else if (n > 0) code = take(p, piece, (size_t)n, error);
        more = n > 0;
    }
    free(piece);
    return code;
}

int lt_blob_put_file(const struct lt_io *io, const char *folder, int fd, const char *path, const char *ext, bool sync, struct lt_blob *out, struct litmus_error *error) {
    struct put p = {.io = io, .folder = folder, .sync = sync, .out = out};
    int code = put_begin(&p, error);
    if (code == LITMUS_OK) code = read_pieces(fd, path, put_more, &p, error);
    return put_end(&p, ext, code, error);
}

/* ---- reading ---- */

static int digest_more(struct put *p, const void *bytes, size_t n, struct litmus_error *error) {
    return EVP_DigestUpdate(p->digest, bytes, n) == 1 ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an attachment");
}

static int open_blob(const char *folder, const char *name, struct lt_buf *path, int *fd, struct litmus_error *error) {
    lt_path_join(path, folder, name);
    if (path->failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
    struct stat st;
    *fd = open(lt_buf_cstr(path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd < 0) return lt_fail_os(error, errno, "open", lt_buf_cstr(path));
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode)) return LITMUS_OK;
    close(*fd);
    *fd = -1;
    return lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no file", lt_buf_cstr(path));
}

int lt_blob_check(const char *folder, const char *name, struct litmus_error *error) {
    struct lt_buf path;
    struct put p = {.digest = EVP_MD_CTX_new()};
    char hex[LT_HASH_TEXT], want[DIGITS + 1];
    int fd = -1;
    lt_buf_init(&path);
    int code = open_blob(folder, name, &path, &fd, error);
    if (code == LITMUS_OK && (p.digest == NULL || EVP_DigestInit_ex(p.digest, EVP_sha256(), NULL) != 1)) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory");
    if (code == LITMUS_OK) code = read_pieces(fd, lt_buf_cstr(&path), digest_more, &p, error);
    if (code == LITMUS_OK && !lt_digest_text(p.digest, hex)) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory");
    snprintf(want, sizeof want, "%.*s%.*s", HEAD, name, DIGITS - HEAD, name + HEAD + 1);
    if (code == LITMUS_OK && strcmp(hex, want) != 0) code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s does not hold what its name says: it was changed", lt_buf_cstr(&path));
    if (fd >= 0) close(fd);
    EVP_MD_CTX_free(p.digest);
    lt_buf_release(&path);
    return code;
}

int lt_blob_copy(const struct lt_io *io, const char *from, const char *to, const char *name, struct litmus_error *error) {
    struct lt_buf path;
    struct lt_blob made;
    int fd = -1;
    lt_buf_init(&path);
    int code = lt_blob_check(from, name, error);
    if (code == LITMUS_OK) code = open_blob(from, name, &path, &fd, error);
    if (code == LITMUS_OK) code = lt_io_sync_file(io, lt_buf_cstr(&path), error);
    bool there = lt_blob_check(to, name, NULL) == LITMUS_OK; /* of somebody who may have died before he synced its name */
    if (there) snprintf(made.name, sizeof made.name, "%s", name);
    if (code == LITMUS_OK && there) code = sync_names(io, to, error);
    else if (code == LITMUS_OK) code = lt_blob_put_file(io, to, fd, lt_buf_cstr(&path), name + DIGITS + 1, true, &made, error);
    if (code == LITMUS_OK && strcmp(made.name, name) != 0) code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s changed while it was copied", lt_buf_cstr(&path));
    if (code == LITMUS_OK) code = lt_io_sync_dir(io, from, error);
    if (fd >= 0) close(fd);
    lt_buf_release(&path);
    return code;
}

/* ---- any file ---- */
static int hash_open(int fd, EVP_MD_CTX *digest, const char *path, char out[LT_HASH_TEXT], struct litmus_error *error) {
    char bytes[64 * 1024];
    ssize_t n = 0;
    bool ok = EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1;
    while (ok && ((n = read(fd, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0) ok = EVP_DigestUpdate(digest, bytes, (size_t)n) == 1;
    if (n < 0) return lt_fail_os(error, errno, "read", path);
    return ok && lt_digest_text(digest, out) ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the check sum of %s", path);
}

int lt_hash_file(const char *path, char out[LT_HASH_TEXT], struct litmus_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return lt_fail_os(error, errno, "open", path);
    struct stat st;
    int code = LITMUS_OK;
    if (fstat(fd, &st) != 0) code = lt_fail_os(error, errno, "look at", path);
    else if (!S_ISREG(st.st_mode)) code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s is not a plain file", path);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (code == LITMUS_OK && digest == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the check sum of %s", path);
    if (code == LITMUS_OK) code = hash_open(fd, digest, path, out, error);
    EVP_MD_CTX_free(digest);
    close(fd);
    return code;
}
