/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "materialize/range_lock.h"
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int open_in(const char *data_dir, int flags) {
    struct lt_buf path;
    lt_buf_init(&path);
    int fd = open(lt_path_join(&path, data_dir, LT_RANGE_LOCK), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0666);
    int why = errno;
    lt_buf_release(&path);
    errno = why;
    return fd;
}

int lt_range_lock_open(const char *data_dir) {
    return open_in(data_dir, O_CREAT);
}

int lt_range_lock_find(const char *data_dir) {
    return open_in(data_dir, 0);
}

static off_t place_of(const char *space, struct lt_str name) {
    uint64_t h = 1469598103934665603u;
    for (const char *p = space; *p != '\0'; p++) h = (h ^ (unsigned char)*p) * 1099511628211u;
    for (size_t i = 0; i < name.n; i++) h = (h ^ (unsigned char)name.p[i]) * 1099511628211u;
    return (off_t)(h >> 2);
}

static void set_lock(int fd, int type, off_t place) {
    if (fd < 0) return;
    struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = place, .l_len = 1};
    while (fcntl(fd, F_OFD_SETLKW, &lock) != 0 && errno == EINTR) {}
}

void lt_range_lock(int fd, const char *space, struct lt_str name) {
    set_lock(fd, F_WRLCK, place_of(space, name));
}

bool lt_range_lock_is_held(int fd, const char *space, struct lt_str name) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = place_of(space, name), .l_len = 1};
    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

void lt_range_lock_tell(int fd, const char *space, struct lt_str name, bool *stopped, struct litmus_error *error) {
    long pid = lt_lock_holder_at(fd, (unsigned long long)place_of(space, name));
    struct lt_buf what;
    lt_buf_init(&what);
    lt_buf_addf(&what, "has the lock of %s%s%.*s", space, name.n > 0 ? " " : "", LT_STR_ARG(name));
    lt_process_tell_holder(pid, lt_buf_cstr(&what), stopped, error);
    lt_buf_release(&what);
}

int lt_range_lock_within(int fd, const char *space, struct lt_str name, int milliseconds, struct litmus_error *error) {
    enum { STEP_MS = 10, LOOK_MS = 1000 };
    const struct timespec step = {.tv_nsec = STEP_MS * 1000 * 1000};
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = place_of(space, name), .l_len = 1};
    for (int waited = 0; fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) != 0; waited += STEP_MS) {
        if (errno != EAGAIN && errno != EACCES && errno != EINTR) break;
        bool stopped = false, over = waited >= milliseconds;
        struct litmus_error why = {0};
        if (over || (waited > 0 && waited % LOOK_MS == 0)) lt_range_lock_tell(fd, space, name, &stopped, &why);
        if (over || stopped) return lt_fail_with(error, &why);
        nanosleep(&step, NULL);
    }
    return LITMUS_OK;
}

void lt_range_unlock(int fd, const char *space, struct lt_str name) {
    set_lock(fd, F_UNLCK, place_of(space, name));
}

static size_t number_of(struct lt_str name) {
    return (size_t)((uint64_t)place_of("number", name) % LT_RANGE_NUMBERS);
}

static off_t number_place(struct lt_str name) {
    return (off_t)(number_of(name) * sizeof(uint64_t));
}

bool lt_range_number(int fd, struct lt_str name, uint64_t *number) {
    struct stat st;
    *number = 0; /* until it is first raised */
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink > 0 && pread(fd, number, sizeof *number, number_place(name)) >= 0;
}

bool lt_range_raise(int fd, struct lt_str name) {
    uint64_t number;
    if (!lt_range_number(fd, name, &number)) return false;
    number++;
    return pwrite(fd, &number, sizeof number, number_place(name)) == (ssize_t)sizeof number;
}

bool lt_range_numbers(int fd, uint64_t numbers[LT_RANGE_NUMBERS]) {
    struct stat st;
    const size_t bytes = LT_RANGE_NUMBERS * sizeof numbers[0];
    memset(numbers, 0, bytes); /* until they are first raised */
    ssize_t got = fd < 0 ? -1 : 1;
    for (size_t done = 0; got > 0 && done < bytes; done += (size_t)got)
        if ((got = pread(fd, (char *)numbers + done, bytes - done, (off_t)done)) <= 0) break;
    return got >= 0 && fstat(fd, &st) == 0 && st.st_nlink > 0;
}

bool lt_range_unchanged(int fd, const uint64_t numbers[LT_RANGE_NUMBERS], struct lt_str name) {
    uint64_t number;
    return lt_range_number(fd, name, &number) && number == numbers[number_of(name)];
}
