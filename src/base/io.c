/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORTH_A_START_BYTES = 256 * 1024 }; /* less is written in no time */

/* Repeats a call that a signal interrupted. */
#define RETRY(result, call)                          \
    do {                                             \
        (result) = (call);                           \
    } while ((result) < 0 && errno == EINTR)

/* What is appended to stays open as long as the process, which is not ours: a program under test may
 * close all descriptors up to some number, and would then get ours again for a file or a device of its
 * own, with our events in it. Up here nobody closes by the way, and no number is given out again. */
enum { HIGH_FD = 600 }; /* python/litmus/_plugin.py makes room for it */

static int move_up(int fd) {
    int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
    if (high < 0) return fd; /* the limit is lower than that */
    close(fd);
    return high;
}

void lt_io_make_room(int fd) {
    int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
    if (high >= 0) close(high);
}

static int os_open(void *self, const char *path, int flags, unsigned mode) {
    (void)self;
    int fd;
    RETRY(fd, open(path, flags | O_CLOEXEC, (mode_t)mode));
    return fd >= 0 && (flags & O_APPEND) != 0 ? move_up(fd) : fd;
}
static ssize_t os_write(void *self, int fd, const void *bytes, size_t n) {
    (void)self;
    ssize_t done;
    RETRY(done, write(fd, bytes, n));
    return done;
}
static int os_fdatasync(void *self, int fd) {
    (void)self;
    int result;
    RETRY(result, fdatasync(fd));
    return result;
}
static int os_fsync(void *self, int fd) {
    (void)self;
    int result;
    RETRY(result, fsync(fd));
    return result;
}
static int os_ftruncate(void *self, int fd, int64_t size) {
    (void)self;
    int result;
    RETRY(result, ftruncate(fd, (off_t)size));
    return result;
}
static int os_rename(void *self, const char *from, const char *to) {
    (void)self;
    int result;
    RETRY(result, rename(from, to));
    return result;
}
static int os_mkdir(void *self, const char *path, unsigned mode) {
    (void)self;
    int result;
    RETRY(result, mkdir(path, (mode_t)mode)); /* over a network it may */
    return result;
}
static int os_unlink(void *self, const char *path) {
    (void)self;
    int result;
    RETRY(result, unlink(path));
    return result;
}
static int os_flock(void *self, int fd, int operation) {
    (void)self;
    int result;
    RETRY(result, flock(fd, operation));
    return result;
}
static int os_close(void *self, int fd) {
    (void)self;
    return close(fd); /* never retried: on Linux the descriptor is gone even after EINTR */
}

const struct lt_io lt_io_os = {os_open,  os_write,  os_fdatasync, os_fsync, os_ftruncate, os_rename,
                               os_mkdir, os_unlink, os_flock,     os_close, NULL};

int64_t lt_mtime_ns(const struct stat *st) {
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

int lt_io_short_errno(int64_t size) {
    struct rlimit limit;
    bool limited = getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return limited && (uint64_t)size > limit.rlim_cur ? EFBIG : ENOSPC;
}

int lt_io_write_all(const struct lt_io *io, int fd, const void *bytes, size_t n, size_t *done) {
    const char *p = bytes;
    size_t left = n;
    while (left > 0) {
        ssize_t put = io->write(io->self, fd, p, left);
        if (put < 0) break;
        if (put == 0) {
            errno = ENOSPC;
            break;
        }
        p += put;
        left -= (size_t)put;
    }
    if (done != NULL) *done = n - left;
    return left == 0 ? 0 : -1;
}

int lt_io_mkdirs(const struct lt_io *io, const char *path, struct litmus_error *error) {
    struct stat st;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return LITMUS_OK;
        return lt_fail_os(error, ENOTDIR, "make folder", path);
    }
    if (errno != ENOENT) return lt_fail_os(error, errno, "make folder", path);
    struct lt_buf part;
    lt_buf_init(&part);
    int code = LITMUS_OK;
    for (const char *p = path; code == LITMUS_OK && *p != '\0';) {
        while (*p == '/') p++;
        while (*p != '\0' && *p != '/') p++;
        lt_buf_clear(&part);
        lt_buf_add(&part, path, (size_t)(p - path));
        const char *name = lt_buf_cstr(&part);
        if (part.failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
        else if (io->mkdir(io->self, name, 0777) != 0 && errno != EEXIST) {
            int os_errno = errno; /* a parent may be there yet forbid mkdir (EROFS, EACCES) */
            if (stat(name, &st) != 0 || !S_ISDIR(st.st_mode)) code = lt_fail_os(error, os_errno, "make folder", name);
        }
    }
    lt_buf_release(&part);
    return code;
}

/* Does the link at `path` stay below `top`? */
bool lt_io_is_below(const char *top, const char *path) {
    char *to = realpath(path, NULL), *real = realpath(top, NULL);
    size_t n = real == NULL ? 0 : strlen(real);
    bool below = to != NULL && real != NULL && strncmp(to, real, n) == 0 && (to[n] == '/' || to[n] == '\0' || n == 1);
    free(to);
    free(real);
    return below;
}

bool lt_io_leads_out(const char *top, const char *path) {
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && !lt_io_is_below(top, path);
}

/* NULL: it is not there, or it cannot be listed, which *code and *error say unless `refused` takes it. */
static DIR *open_folder(const char *folder, bool is_day, lt_io_refused refused, void *context, int *code, struct litmus_error *error) {
    struct litmus_error why = {0};
    DIR *dir = opendir(folder);
    if (dir != NULL || errno == ENOENT || (is_day && errno == ENOTDIR)) return dir;
    (void)lt_fail_os(&why, errno, "list", folder);
    if (refused != NULL) refused(context, folder, &why);
    else *code = lt_fail_with(error, &why);
    return NULL;
}

const struct dirent *lt_io_next_entry(DIR *dir, int *os_errno) {
    errno = 0;
    const struct dirent *entry = readdir(dir);
    *os_errno = entry != NULL || errno == ENOENT ? 0 : errno; /* a folder that was removed meanwhile is at its end */
    return entry;
}

/* NULL: there are no more, or it cannot be listed further, as above. */
static const struct dirent *next_of(DIR *dir, const char *folder, lt_io_refused refused, void *context, int *code, struct litmus_error *error) {
    struct litmus_error why = {0};
    int os_errno;
    const struct dirent *entry = lt_io_next_entry(dir, &os_errno);
    if (os_errno == 0) return entry;
    (void)lt_fail_os(&why, os_errno, "list", folder);
    if (refused != NULL) refused(context, folder, &why);
    else *code = lt_fail_with(error, &why);
    return NULL;
}

static int list_day(const char *folder, lt_io_each each, lt_io_refused refused, void *context, struct litmus_error *error) {
    int code = LITMUS_OK;
    DIR *dir = open_folder(folder, true, refused, context, &code, error);
    if (dir == NULL) return code;
    for (const struct dirent *entry; code == LITMUS_OK && (entry = next_of(dir, folder, refused, context, &code, error)) != NULL;)
        code = each(context, folder, entry, error);
    closedir(dir);
    return code;
}

int lt_io_list_days(const char *data_dir, const char *name, lt_io_begin begin, lt_io_each each, lt_io_refused refused, void *context,
                    struct litmus_error *error) {
    struct lt_buf top, day;
    lt_buf_init(&top);
    lt_buf_init(&day);
    lt_path_join(&top, data_dir, name);
    int code = top.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : LITMUS_OK;
    bool within = code == LITMUS_OK && !lt_io_leads_out(data_dir, top.p);
    DIR *dir = within ? open_folder(top.p, false, refused, context, &code, error) : NULL;
    for (const struct dirent *entry; dir != NULL && code == LITMUS_OK && (entry = next_of(dir, top.p, refused, context, &code, error)) != NULL;) {
        if (entry->d_name[0] == '.' || entry->d_type == DT_REG) continue;
        lt_path_join(&day, top.p, entry->d_name);
        if (entry->d_type != DT_DIR && !day.failed && lt_io_leads_out(data_dir, day.p)) continue;
        bool listed = true;
        if (day.failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
        else if (begin != NULL) code = begin(context, day.p, &listed, error);
        if (code == LITMUS_OK && listed) code = list_day(day.p, each, refused, context, error);
    }
    if (dir != NULL) closedir(dir);
    lt_buf_release(&day);
    lt_buf_release(&top);
    return code;
}

static int mkdir_below(const struct lt_io *io, const char *top, const char *path, struct litmus_error *error) {
    struct stat st;
    bool there = lstat(path, &st) == 0;
    if (!there && errno != ENOENT) return lt_fail_os(error, errno, "make folder", path);
    if (!there && io->mkdir(io->self, path, 0777) != 0 && errno != EEXIST) return lt_fail_os(error, errno, "make folder", path);
    if (!there && lstat(path, &st) != 0) return lt_fail_os(error, errno, "make folder", path);
    if (S_ISDIR(st.st_mode)) return LITMUS_OK;
    if (!S_ISLNK(st.st_mode)) return lt_fail_os(error, ENOTDIR, "make folder", path);
    if (lt_io_is_below(top, path)) return LITMUS_OK;
    return lt_fail(error, LITMUS_EPERM, 0, "%s is a symbolic link out of %s, which is not followed: put a folder there (the data_dir itself may be a link)", path, top);
}

int lt_io_mkdirs_below(const struct lt_io *io, const char *top, const char *path, struct litmus_error *error) {
    int code = lt_io_mkdirs(io, top, error);
    struct lt_buf part;
    lt_buf_init(&part);
    for (const char *p = path + strlen(top); code == LITMUS_OK && *p != '\0';) {
        while (*p == '/') p++;
        while (*p != '\0' && *p != '/') p++;
        lt_buf_clear(&part);
        lt_buf_add(&part, path, (size_t)(p - path));
        const char *name = lt_buf_cstr(&part);
        code = part.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : mkdir_below(io, top, name, error);
    }
    lt_buf_release(&part);
    return code;
}

int lt_io_sync_dir(const struct lt_io *io, const char *path, struct litmus_error *error) {
    int fd = io->open(io->self, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return lt_fail_os(error, errno, "open folder", path);
    int code = LITMUS_OK;
    /* Some file systems cannot sync a folder and say EINVAL: there is nothing to wait for then. */
    if (io->fsync(io->self, fd) != 0 && errno != EINVAL) code = lt_fail_os(error, errno, "sync folder", path);
    io->close(io->self, fd);
    return code;
}

int lt_io_sync_dirs(const struct lt_io *io, const char *folder, const char *top, bool name_too, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    lt_buf_add_text(&path, folder);
    size_t top_bytes = strlen(top);
    int code = LITMUS_OK;
    for (bool above = false; code == LITMUS_OK && !above;) {
        above = path.n < top_bytes;
        if (above && !name_too) break;
        const char *name = path.n == 0 ? "/" : lt_buf_cstr(&path);
        if (path.failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
        else if (!above) code = lt_io_sync_dir(io, name, error);
        else (void)!lt_io_sync_dir(io, name, NULL); /* not ours, and maybe not ours to open */
        if (path.n == 0) break;
        while (path.n > 0 && path.p[path.n - 1] != '/') path.n--;
        while (path.n > 0 && path.p[path.n - 1] == '/') path.n--;
    }
    lt_buf_release(&path);
    return code;
}

int lt_io_sync_file(const struct lt_io *io, const char *path, struct litmus_error *error) {
    int fd = io->open(io->self, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) return errno == ENOENT || errno == ENOTDIR ? LITMUS_OK : lt_fail_os(error, errno, "open", path);
    int code = LITMUS_OK;
    if (io->fdatasync(io->self, fd) != 0 && errno != EINVAL && errno != EROFS) code = lt_fail_os(error, errno, "sync", path);
    io->close(io->self, fd);
    return code;
}

void lt_io_start_sync(const char *path) {
#ifdef SYNC_FILE_RANGE_WRITE
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0) return;
    if (fstat(fd, &st) == 0 && st.st_size >= WORTH_A_START_BYTES) (void)!sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    close(fd);
#else
    (void)path;
#endif
}

int lt_io_open_new(const struct lt_io *io, const char *path, int flags, unsigned mode) {
    flags |= O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    int fd = io->open(io->self, path, flags, mode);
    if (fd < 0 && errno == EEXIST && io->unlink(io->self, path) == 0) fd = io->open(io->self, path, flags, mode);
    return fd;
}

/* `code`, or what came between the bytes and the disk; what is not whole goes. */
static int close_new(const struct lt_io *io, int fd, const char *path, int code, struct litmus_error *error) {
    if (code == LITMUS_OK && io->fsync(io->self, fd) != 0) code = lt_fail_os(error, errno, "sync", path);
    if (io->close(io->self, fd) != 0 && code == LITMUS_OK) code = lt_fail_os(error, errno, "close", path);
    if (code != LITMUS_OK) io->unlink(io->self, path);
    return code;
}

int lt_io_write_hidden(const struct lt_io *io, const char *path, const void *bytes, size_t n, struct litmus_error *error) {
    int fd = lt_io_open_new(io, path, 0, 0666);
    if (fd < 0) return lt_fail_os(error, errno, "create", path);
    return close_new(io, fd, path, lt_io_write_all(io, fd, bytes, n, NULL) == 0 ? LITMUS_OK : lt_fail_os(error, errno, "write", path), error);
}

int64_t lt_io_next_data(int fd, int64_t at) {
    struct stat st;
    off_t next = lseek(fd, (off_t)at, SEEK_DATA);
    if (next < 0 && errno == ENXIO && fstat(fd, &st) == 0) next = st.st_size; /* only a hole follows */
    return next > at ? (int64_t)next : at;
}

bool lt_io_is_zero(const void *bytes, size_t n) {
    const char *p = bytes;
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

enum { STEP_BYTES = 64 * 1024 };

ssize_t lt_io_read_at(int fd, void *bytes, size_t n, int64_t at) {
    size_t done = 0;
    while (done < n) {
        ssize_t got;
        RETRY(got, pread(fd, (char *)bytes + done, n - done, (off_t)(at + (int64_t)done)));
        if (got < 0) return -1;
        if (got == 0) break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

int lt_io_same(int left, int64_t left_from, int right, int64_t right_from) {
    char a[STEP_BYTES], b[STEP_BYTES];
    for (int64_t at = 0;;) {
        ssize_t n = lt_io_read_at(left, a, sizeof a, left_from + at), m = n < 0 ? -1 : lt_io_read_at(right, b, sizeof b, right_from + at);
        if (n < 0 || m < 0) return -1;
        if (n != m || memcmp(a, b, (size_t)n) != 0) return 0;
        if (n == 0) return 1;
        at += n;
        int64_t here = lt_io_next_data(left, left_from + at) - left_from, there = lt_io_next_data(right, right_from + at) - right_from;
        at = here < there ? here : there;
    }
}

/* What lies in `from` from `offset` on. A step of zeros becomes a hole: a log with a tail of gigabytes of them, as a power loss may leave
 * it, takes no more room as a copy than it has itself. `to` appends. */
static int copy_bytes(const struct lt_io *io, int from, const char *from_path, int64_t offset, int to, const char *to_path, struct litmus_error *error) {
    char step[STEP_BYTES];
    bool hole = false;
    for (int64_t at = offset;;) {
        ssize_t got;
        RETRY(got, pread(from, step, sizeof step, (off_t)at));
        if (got < 0) return lt_fail_os(error, errno, "read", from_path);
        if (got == (ssize_t)sizeof step && lt_io_is_zero(step, sizeof step)) {
            at = lt_io_next_data(from, at + got);
            hole = true;
            continue;
        }
        if (hole && io->ftruncate(io->self, to, at - offset) != 0) return lt_fail_os(error, errno, "write", to_path);
        hole = false;
        if (got == 0) return LITMUS_OK;
        if (lt_io_write_all(io, to, step, (size_t)got, NULL) != 0) return lt_fail_os(error, errno, "write", to_path);
        at += got;
    }
}

static int open_plain(const char *path, struct litmus_error *error) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) lt_fail_os(error, errno, "open", path);
    else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        fd = -1;
        lt_fail(error, LITMUS_EINVAL, 0, "%s is not a plain file", path);
    }
    return fd;
}

int lt_io_copy_file(const struct lt_io *io, const char *from, const char *to, struct litmus_error *error) {
    struct litmus_error why = {0};
    int in = open_plain(from, &why);
    if (in < 0) return lt_fail_with(error, &why);
    int out = io->open(io->self, to, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    int code = out < 0 ? lt_fail_os(error, errno, "create", to) : close_new(io, out, to, copy_bytes(io, in, from, 0, out, to, error), error);
    close(in);
    return code;
}

static int write_hidden_copy(const struct lt_io *io, const char *from, int64_t offset, const char *to, struct litmus_error *error) {
    struct litmus_error why = {0};
    int in = open_plain(from, &why);
    if (in < 0) return lt_fail_with(error, &why);
    int out = lt_io_open_new(io, to, O_APPEND, 0666);
    int code = out < 0 ? lt_fail_os(error, errno, "create", to) : close_new(io, out, to, copy_bytes(io, in, from, offset, out, to, error), error);
    close(in);
    return code;
}

/* `n` bytes, or with `from` what lies in that file from offset `n` on. */
static int publish(const struct lt_io *io, const char *path, const void *bytes, const char *from, int64_t n, struct litmus_error *error) {
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    struct lt_buf dir, tmp;
    lt_buf_init(&dir);
    lt_buf_init(&tmp);
    if (slash == NULL) lt_buf_add_text(&dir, ".");
    else lt_buf_add(&dir, path, (size_t)(slash == path ? 1 : slash - path));
    lt_buf_addf(&tmp, "%s/.%s.tmp", lt_buf_cstr(&dir), name);
    const char *tmp_path = lt_buf_cstr(&tmp);
    int code;
    if (dir.failed || tmp.failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
    else code = from != NULL ? write_hidden_copy(io, from, n, tmp_path, error) : lt_io_write_hidden(io, tmp_path, bytes, (size_t)n, error);
    if (code == LITMUS_OK && io->rename(io->self, tmp_path, path) != 0) code = lt_fail_os(error, errno, "rename to", path);
    if (code == LITMUS_OK) code = lt_io_sync_dir(io, lt_buf_cstr(&dir), error);
    else io->unlink(io->self, tmp_path);
    lt_buf_release(&dir);
    lt_buf_release(&tmp);
    return code;
}

int lt_io_publish(const struct lt_io *io, const char *path, const void *bytes, size_t n, struct litmus_error *error) {
    return publish(io, path, bytes, NULL, (int64_t)n, error);
}

int lt_io_publish_end(const struct lt_io *io, const char *path, const char *from, int64_t offset, struct litmus_error *error) {
    return publish(io, path, NULL, from, offset, error);
}

static int fail_too_large(const char *path, size_t bytes_max, struct litmus_error *error) {
    return lt_fail(error, LITMUS_EINVAL, 0, "%s is larger than the %zu bytes that are read of such a file", path, bytes_max);
}

int lt_io_read_file(const char *path, size_t bytes_max, struct lt_buf *out, struct litmus_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return lt_fail_os(error, errno, "open", path);
    struct stat st;
    int code = LITMUS_OK;
    if (fstat(fd, &st) != 0) code = lt_fail_os(error, errno, "stat", path);
    else if (!S_ISREG(st.st_mode)) code = lt_fail(error, LITMUS_EINVAL, 0, "%s is not a plain file", path);
    else if ((uint64_t)st.st_size > bytes_max) code = fail_too_large(path, bytes_max, error); /* before any of it is read */
    size_t room = code == LITMUS_OK && st.st_size > 0 ? (size_t)st.st_size + 1 : 64 * 1024; /* 1: to see its end */
    for (bool more = true; code == LITMUS_OK && more; room = 1) {
        if (out->n > bytes_max) code = fail_too_large(path, bytes_max, error);
        else if (!lt_buf_reserve(out, room)) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", path);
        else {
            ssize_t got;
            RETRY(got, read(fd, out->p + out->n, out->capacity - out->n));
            if (got < 0) code = lt_fail_os(error, errno, "read", path);
            else if (got == 0) more = false;
            else out->n += (size_t)got;
        }
    }
    if (code == LITMUS_OK) out->p[out->n] = '\0'; /* a number at its end ends there */
    close(fd);
    return code;
}

const char *lt_path_join(struct lt_buf *out, const char *dir, const char *name) {
    lt_buf_clear(out);
    lt_buf_addf(out, "%s/%s", dir, name);
    return lt_buf_cstr(out);
}
