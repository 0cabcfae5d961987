/* SPDX-License-Identifier: Apache-2.0
 *
 * io.h - the OS calls that touch what is on record, as a table that tests replace to make the
 * n-th of them fail (ENOSPC, EIO, short writes, ...). Everything that writes below a data_dir
 * takes a `const struct lt_io *`; NULL means the real calls. Semantics are POSIX: -1 and errno.
 */
#ifndef LT_BASE_IO_H
#define LT_BASE_IO_H

#include "base/buf.h"
#include "base/error.h"

#include <dirent.h>
#include <sys/types.h>

struct stat;

struct lt_io {
    int (*open)(void *self, const char *path, int flags, unsigned mode);
    ssize_t (*write)(void *self, int fd, const void *bytes, size_t n);
    int (*fdatasync)(void *self, int fd);
    int (*fsync)(void *self, int fd);
    int (*ftruncate)(void *self, int fd, int64_t size);
    int (*rename)(void *self, const char *from, const char *to);
    int (*mkdir)(void *self, const char *path, unsigned mode);
    int (*unlink)(void *self, const char *path);
    int (*flock)(void *self, int fd, int operation);
    int (*close)(void *self, int fd);
    void *self;
};

extern const struct lt_io lt_io_os; /* the real calls; EINTR is retried */

/* Before the first thread of a process that will append to files: Linux makes room for the high descriptors that those get, and while
 * there are threads the first such open waits for all processors (20 ms and more). `fd`: any that is open. */
void lt_io_make_room(int fd);

int64_t lt_mtime_ns(const struct stat *st); /* when the content was changed last, since 1970 */
/* A time stamp is only as fine as its clock's tick: a folder that was touched this recently may change again without a trace in it. */
enum { LT_MTIME_GRAIN_NS = 2000000000 };

/* errno of a write that took less than asked, of a file that was to get `size` bytes: EFBIG where the process may
 * not make it so large, else ENOSPC. Asked without another write, which SIGXFSZ may answer. */
int lt_io_short_errno(int64_t size);
/* Writes all of it; a short write is continued. 0, or -1 with errno; *done (may be NULL) gets the
 * bytes that are in the file by then. */
int lt_io_write_all(const struct lt_io *io, int fd, const void *bytes, size_t n, size_t *done);
/* Creates the folder and those above it. */
int lt_io_mkdirs(const struct lt_io *io, const char *path, struct litmus_error *error);
/* The same for a folder below `top`, which is a part of its path: a symbolic link on the way that leads
 * out of `top` is not followed (EPERM). `top` itself may be one. */
int lt_io_mkdirs_below(const struct lt_io *io, const char *top, const char *path, struct litmus_error *error);
/* Is what `path` leads to the folder `top`, or below it, whatever links and ".." are on the way? Both must be there. */
bool lt_io_is_below(const char *top, const char *path);
/* Is `path` a symbolic link out of `top`, or to nowhere? Then it is not followed. */
bool lt_io_leads_out(const char *top, const char *path);
/* readdir, that tells the end from what keeps it from going on: NULL and in *os_errno 0, or why. */
const struct dirent *lt_io_next_entry(DIR *dir, int *os_errno);
/* Calls `each` for every entry of the folders {data_dir}/{name}/{day}, but for hidden folders and links that lead out of data_dir, and those of which
 * `begin`, called before (NULL: not), says that they are not wanted.
 * The first code that is not OK ends it. No such folder: nothing. A folder that cannot be listed is given to `refused` and passed over; NULL: it ends there. */
typedef int (*lt_io_each)(void *context, const char *folder, const struct dirent *entry, struct litmus_error *error);
typedef int (*lt_io_begin)(void *context, const char *folder, bool *wanted, struct litmus_error *error);
typedef void (*lt_io_refused)(void *context, const char *folder, const struct litmus_error *why);
int lt_io_list_days(const char *data_dir, const char *name, lt_io_begin begin, lt_io_each each, lt_io_refused refused, void *context,
                    struct litmus_error *error);
/* fsync of a folder, so that a name in it survives power loss. */
int lt_io_sync_dir(const struct lt_io *io, const char *path, struct litmus_error *error);
/* The same for `folder` and those above it up to `top`, which is a part of its path, and if `name_too` for the name
 * of `top` itself (where we may look at what is above it). */
int lt_io_sync_dirs(const struct lt_io *io, const char *folder, const char *top, bool name_too, struct litmus_error *error);
/* fdatasync of a file by its name; one that is gone has nothing left to lose. */
int lt_io_sync_file(const struct lt_io *io, const char *path, struct litmus_error *error);
/* Has the system begin to write the file's content out, and does not wait: a later lt_io_sync_file has less to do.
 * A mere hint, where there is such a thing. */
void lt_io_start_sync(const char *path);
/* A file appears whole or not at all: hidden temporary name beside `path` (`.{name}.tmp`), write,
 * fsync, rename, fsync of the folder. */
int lt_io_publish(const struct lt_io *io, const char *path, const void *bytes, size_t n,
                  struct litmus_error *error);
/* The same of what lies in the plain file `from` from `offset` on, whatever its size: steps of zeros become holes. */
int lt_io_publish_end(const struct lt_io *io, const char *path, const char *from, int64_t offset, struct litmus_error *error);
/* Its first half, for who knows the name only later: writes and syncs a file that nobody looks for, opened
 * as below. On failure it is removed. */
int lt_io_write_hidden(const struct lt_io *io, const char *path, const void *bytes, size_t n,
                       struct litmus_error *error);

/* A new file to write to: what lies there, left by a crash or put there by somebody, is removed and not written to. -1 and errno. */
int lt_io_open_new(const struct lt_io *io, const char *path, int flags, unsigned mode);

/* Copies a plain file to a new one, and brings that to the disk: no link is followed on either side, and what lies at `to` is
 * not written to (EBUSY). Steps of zeros become holes. On failure nothing is left at `to`. */
int lt_io_copy_file(const struct lt_io *io, const char *from, const char *to, struct litmus_error *error);

/* Reading never changes what is on record, so it is not in the table. Behind the bytes stands a 0, which is not counted. */
int lt_io_read_file(const char *path, size_t bytes_max, struct lt_buf *out, struct litmus_error *error);

/* The first offset from `at` on that lies in no hole of the file, its end if there is none; `at` where the system does not say.
 * The file's own offset is moved. */
int64_t lt_io_next_data(int fd, int64_t at);
/* As pread, but less than `n` only at the end. -1 and errno. */
ssize_t lt_io_read_at(int fd, void *bytes, size_t n, int64_t at);
/* Do the two files hold the same from there on? 1, 0, or -1 and errno. Holes cost no time. */
int lt_io_same(int left, int64_t left_from, int right, int64_t right_from);
bool lt_io_is_zero(const void *bytes, size_t n);

/* dir + "/" + name into out (appended after clearing); returns the text. */
const char *lt_path_join(struct lt_buf *out, const char *dir, const char *name);

#endif
