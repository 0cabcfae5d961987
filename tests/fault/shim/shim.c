/* SPDX-License-Identifier: Apache-2.0
 *
 * shim.c - a library for LD_PRELOAD that makes the n-th system call of a program fail, fall short, or
 * be its last. It counts the calls that may change what is on record or are needed to see it: those
 * on paths below LITMUS_SHIM_UNDER, and on files opened there; maps, locks and watches count always.
 *
 *   LITMUS_SHIM_UNDER  a data_dir
 *   LITMUS_SHIM_AT     which call, from 1; 0: none
 *   LITMUS_SHIM_HOW    an errno as a number; "short": half of a write; "before", "after": SIGKILL there
 *   LITMUS_SHIM_TIMES  how many calls from there on fail; default 1
 *   LITMUS_SHIM_ONLY   the end of a path: only the opens of such files and folders count
 *   LITMUS_SHIM_CLOCK  the wall clock: "+N" is N seconds ahead; a number is a seed, and it is set to and fro by hours and weeks
 *   LITMUS_SHIM_NOTE   a file that gets one line when it strikes: which call it was
 */
#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS /* both names of each call are ours */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FDS = 4096 };
enum how { SHIM_OFF, SHIM_ERRNO, SHIM_SHORT, SHIM_BEFORE, SHIM_AFTER };

static struct {
    bool ready;
    char under[PATH_MAX], note[PATH_MAX], only[NAME_MAX];
    long at, times;
    enum how how;
    int error;
    atomic_long calls;
    atomic_bool ours[FDS];
    bool set; /* the clock, from time to time */
    atomic_ulong chance;
    atomic_long ahead;
} shim;

#define REAL(name) __extension__((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *under = getenv("LITMUS_SHIM_UNDER"), *at = getenv("LITMUS_SHIM_AT"), *how = getenv("LITMUS_SHIM_HOW"), *times = getenv("LITMUS_SHIM_TIMES"),
               *note = getenv("LITMUS_SHIM_NOTE");
    const char *clock = getenv("LITMUS_SHIM_CLOCK");
    shim.set = clock != NULL && clock[0] != '+';
    if (shim.set) shim.chance = strtoul(clock, NULL, 10);
    else if (clock != NULL) shim.ahead = strtol(clock, NULL, 10);
    if (under == NULL || at == NULL || how == NULL) return;
    snprintf(shim.under, sizeof shim.under, "%s", under);
    const char *only = getenv("LITMUS_SHIM_ONLY");
    snprintf(shim.only, sizeof shim.only, "%s", only == NULL ? "" : only);
    snprintf(shim.note, sizeof shim.note, "%s", note == NULL ? "" : note);
    shim.at = strtol(at, NULL, 10);
    shim.times = times == NULL ? 1 : strtol(times, NULL, 10);
    if (strcmp(how, "short") == 0) shim.how = SHIM_SHORT;
    else if (strcmp(how, "before") == 0) shim.how = SHIM_BEFORE;
    else if (strcmp(how, "after") == 0) shim.how = SHIM_AFTER;
    else shim.how = SHIM_ERRNO;
    shim.error = (int)strtol(how, NULL, 10);
    shim.ready = true;
}

static bool below(const char *path) {
    size_t n = strlen(shim.under);
    return shim.ready && path != NULL && strncmp(path, shim.under, n) == 0 && (path[n] == '/' || path[n] == '\0');
}
static bool ours(int fd) {
    return shim.ready && fd >= 0 && fd < FDS && shim.ours[fd];
}
static bool is_wanted(const char *path) {
    size_t n = strlen(shim.only), all = strlen(path);
    return n == 0 || (all >= n && strcmp(path + all - n, shim.only) == 0);
}
static void set_ours(int fd, bool is) {
    if (fd >= 0 && fd < FDS) shim.ours[fd] = is;
}

static void note(const char *name) {
    char line[64];
    int n = snprintf(line, sizeof line, "%s\n", name);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, shim.note, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return;
    (void)!syscall(SYS_write, fd, line, (size_t)n);
    syscall(SYS_close, fd);
}

/* Counts a call; what is to become of it. */
static enum how strikes(const char *name) {
    if (shim.only[0] != '\0' && strcmp(name, "open") != 0) return SHIM_OFF;
    long call = ++shim.calls;
    if (call < shim.at || call >= shim.at + shim.times || shim.at == 0) return SHIM_OFF;
    note(name);
    if (shim.how == SHIM_BEFORE) raise(SIGKILL);
    errno = shim.error;
    return shim.how;
}
static void after(enum how how) {
    if (how == SHIM_AFTER) raise(SIGKILL);
}

/* A call that fails or goes through; `mine` says whether it counts. */
#define PLAIN(type, mine, name, call)                              \
    do {                                                           \
        enum how how_ = (mine) ? strikes(#name) : SHIM_OFF;        \
        if (how_ == SHIM_ERRNO) return (type)-1;                   \
        type result_ = (call);                                     \
        after(how_);                                               \
        return result_;                                            \
    } while (0)

static int open_as(int (*call)(int, const char *, int, ...), int dir, const char *path, int flags, mode_t mode) {
    bool mine = below(path) && is_wanted(path);
    enum how how = mine ? strikes("open") : SHIM_OFF;
    if (how == SHIM_ERRNO) return -1;
    int fd = call(dir, path, flags, mode);
    set_ours(fd, mine);
    after(how);
    return fd;
}

#define MODE(last)                          \
    mode_t mode = 0;                        \
    if ((flags & (O_CREAT | O_TMPFILE)) != 0) { \
        va_list args;                       \
        va_start(args, last);               \
        mode = (mode_t)va_arg(args, int);   \
        va_end(args);                       \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return open_as(REAL(openat), AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(flags)
    return open_as(REAL(openat64), AT_FDCWD, path, flags, mode);
}
int openat(int dir, const char *path, int flags, ...) {
    MODE(flags)
    return open_as(REAL(openat), dir, path, flags, mode);
}
int openat64(int dir, const char *path, int flags, ...) {
    MODE(flags)
    return open_as(REAL(openat64), dir, path, flags, mode);
}
/* The C library opens the folder by itself. Without ONLY a folder is no call that counts. */
static bool folder_fails(const char *path) {
    return shim.only[0] != '\0' && below(path) && is_wanted(path) && strikes("open") == SHIM_ERRNO;
}
DIR *opendir(const char *path) {
    return folder_fails(path) ? NULL : REAL(opendir)(path);
}
int scandir(const char *path, struct dirent ***list, int (*wanted)(const struct dirent *), int (*order)(const struct dirent **, const struct dirent **)) {
    return folder_fails(path) ? -1 : REAL(scandir)(path, list, wanted, order);
}
int scandir64(const char *path, struct dirent64 ***list, int (*wanted)(const struct dirent64 *), int (*order)(const struct dirent64 **, const struct dirent64 **)) {
    return folder_fails(path) ? -1 : REAL(scandir64)(path, list, wanted, order);
}
int fcntl(int fd, int command, ...) {
    va_list args;
    va_start(args, command);
    long argument = va_arg(args, long);
    va_end(args);
    bool mine = ours(fd) && command == F_DUPFD_CLOEXEC;
    enum how how = mine ? strikes("fcntl") : SHIM_OFF;
    if (how == SHIM_ERRNO) return -1;
    int result = (int)syscall(SYS_fcntl, fd, command, argument);
    if (mine) set_ours(result, true);
    after(how);
    return result;
}
int fcntl64(int fd, int command, ...) {
    va_list args;
    va_start(args, command);
    long argument = va_arg(args, long);
    va_end(args);
    return fcntl(fd, command, argument);
}
int close(int fd) {
    set_ours(fd, false);
    return REAL(close)(fd);
}

static size_t some(enum how how, size_t n) {
    return how == SHIM_SHORT && n > 1 ? n / 2 : n;
}
ssize_t write(int fd, const void *bytes, size_t n) {
    enum how how = ours(fd) ? strikes("write") : SHIM_OFF;
    if (how == SHIM_ERRNO) return -1;
    ssize_t put = REAL(write)(fd, bytes, some(how, n));
    after(how);
    return put;
}
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
    enum how how = ours(fd) ? strikes("pwrite") : SHIM_OFF;
    if (how == SHIM_ERRNO) return -1;
    ssize_t put = REAL(pwrite)(fd, bytes, some(how, n), at);
    after(how);
    return put;
}
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
    enum how how = ours(fd) ? strikes("pwrite") : SHIM_OFF;
    if (how == SHIM_ERRNO) return -1;
    ssize_t put = REAL(pwrite64)(fd, bytes, some(how, n), at);
    after(how);
    return put;
}
int fsync(int fd) {
    PLAIN(int, ours(fd), fsync, REAL(fsync)(fd));
}
int fdatasync(int fd) {
    PLAIN(int, ours(fd), fdatasync, REAL(fdatasync)(fd));
}
int ftruncate(int fd, off_t size) {
    PLAIN(int, ours(fd), ftruncate, REAL(ftruncate)(fd, size));
}
int ftruncate64(int fd, off64_t size) {
    PLAIN(int, ours(fd), ftruncate, REAL(ftruncate64)(fd, size));
}
int rename(const char *from, const char *to) {
    PLAIN(int, below(to), rename, REAL(rename)(from, to));
}
int mkdir(const char *path, mode_t mode) {
    PLAIN(int, below(path), mkdir, REAL(mkdir)(path, mode));
}
int unlink(const char *path) {
    PLAIN(int, below(path), unlink, REAL(unlink)(path));
}
int flock(int fd, int operation) {
    PLAIN(int, ours(fd) && (operation & LOCK_UN) == 0, flock, REAL(flock)(fd, operation));
}
int inotify_init1(int flags) {
    PLAIN(int, shim.ready, inotify_init1, REAL(inotify_init1)(flags));
}
int inotify_add_watch(int fd, const char *path, uint32_t mask) {
    PLAIN(int, below(path), inotify_add_watch, REAL(inotify_add_watch)(fd, path, mask));
}
void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
    if (!ours(fd)) return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
    enum how how = strikes("mmap");
    if (how == SHIM_ERRNO) return MAP_FAILED;
    void *p = (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
    after(how);
    return p;
}
/* At one look in eight it is set. */
int clock_gettime(clockid_t id, struct timespec *out) {
    static const long set_to[] = {0, 3600, -3600, 40 * 86400L, -40 * 86400L};
    int result = (int)syscall(SYS_clock_gettime, id, out);
    if (result != 0 || id != CLOCK_REALTIME) return result;
    unsigned long drawn = shim.chance * 6364136223846793005UL + 1442695040888963407UL;
    if (shim.set) shim.chance = drawn;
    if (shim.set && (drawn >> 33) % 8 == 0) shim.ahead = set_to[(drawn >> 40) % 5];
    out->tv_sec += shim.ahead;
    return 0;
}
void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset) {
    return mmap(at, n, protection, flags, fd, offset);
}
