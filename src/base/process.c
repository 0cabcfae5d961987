/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* ---- locks ---- */
/* Tries for some milliseconds: lt_lock_is_held of another process holds the lock for an instant. */
static int try_lock(int fd) {
    const struct timespec pause = {.tv_nsec = 2 * 1000 * 1000};
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || i == 10) return -1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

int lt_lock_take(const char *path, bool foreign, int *fd, struct litmus_error *error) {
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (file < 0) return lt_fail_os(error, errno, "open lock", path);
    struct stat st;
    int code = LITMUS_OK;
    if (fstat(file, &st) != 0) code = lt_fail_os(error, errno, "look at lock", path);
    else if (!S_ISREG(st.st_mode)) code = lt_fail(error, LITMUS_EINVAL, 0, "the lock %s is not a plain file: remove it", path);
    else if (st.st_uid != geteuid() && !foreign)
        code = lt_fail(error, LITMUS_EPERM, 0, "the lock %s belongs to user %ld, not to us: run as that user, or remove it", path, (long)st.st_uid);
    else if (try_lock(file) != 0) {
        if (errno == EWOULDBLOCK) code = lt_fail(error, LITMUS_EBUSY, EWOULDBLOCK, "another process holds %s", path);
        else code = lt_fail_os(error, errno, "lock", path);
    }
    if (code == LITMUS_OK) *fd = file;
    else close(file);
    return code;
}

/* What stands behind "pid (name) " in the system's line of a process: the name has 15 bytes, any of them may be a bracket. "": none. */
static const char *stat_of(long pid, char text[512]) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    int file = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = file < 0 ? 0 : read(file, text, 511);
    if (file >= 0) close(file);
    text[n > 0 ? n : 0] = '\0';
    const char *end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' ? end + 2 : "";
}

bool lt_process_stopped(long pid) {
    char text[512];
    const char *state = stat_of(pid, text);
    return state[0] == 'T' || state[0] == 't';
}

bool lt_process_sleeps(long pid, long long *ticks) {
    char text[512];
    unsigned long long user, system;
    const char *state = stat_of(pid, text);
    if (state[0] != 'S' || sscanf(state, "S %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2) return false;
    *ticks = (long long)(user + system);
    return true;
}

bool lt_lock_is_held(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) return false;
    /* Shared: two who ask at once do not see each other. */
    bool held = flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(file);
    return held;
}

void lt_process_name(long pid, char out[16]) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    int file = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = file < 0 ? 0 : read(file, out, 15);
    if (file >= 0) close(file);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

void lt_process_tell_holder(long pid, const char *what, bool *stopped, struct litmus_error *error) {
    char name[16];
    lt_process_name(pid, name);
    *stopped = lt_process_stopped(pid);
    const char *more = *stopped ? ", which is stopped (kill -CONT lets it go on)," : "";
    if (pid > 0) lt_fail(error, LITMUS_EBUSY, EWOULDBLOCK, "process %ld (%s)%s %s", pid, name, more, what);
    else lt_fail(error, LITMUS_EBUSY, EWOULDBLOCK, "a process that we may not look at %s", what);
}

bool lt_process_has_open(long pid, const char *path) {
    char folder[64];
    struct stat want, st;
    snprintf(folder, sizeof folder, "/proc/%ld/fd", pid);
    DIR *dir = pid > 0 && stat(path, &want) == 0 ? opendir(folder) : NULL;
    if (dir == NULL) return pid > 0 && (errno == EACCES || errno == EPERM);
    bool found = false;
    for (const struct dirent *entry; !found && (entry = readdir(dir)) != NULL;)
        found = fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && st.st_dev == want.st_dev && st.st_ino == want.st_ino;
    closedir(dir);
    return found;
}

long lt_lock_holder(const char *path) {
    char line[256], kind[8], mode[8];
    struct stat want;
    unsigned long long inode;
    long pid, holder = 0;
    FILE *locks = stat(path, &want) == 0 ? fopen("/proc/locks", "re") : NULL;
    while (locks != NULL && holder == 0 && fgets(line, sizeof line, locks) != NULL) /* a number, "->" for who waits, kind, ... */
        if (sscanf(line, "%*s %7s %*s %7s %ld %*[^:]:%*[^:]:%llu", kind, mode, &pid, &inode) == 4 && strcmp(kind, "->") != 0 && strcmp(mode, "WRITE") == 0 &&
            inode == want.st_ino && lt_process_has_open(pid, path))
            holder = pid;
    if (locks != NULL) fclose(locks);
    return holder;
}

/* One line of a list of the locks of a file: does it lock the byte for writing? */
static bool is_lock_at(const char *line, unsigned long long file, unsigned long long place) {
    char mode[8], last[24];
    unsigned long long inode, first;
    if (sscanf(line, "lock: %*s %*s %*s %7s %*d %*[^:]:%*[^:]:%llu %llu %23s", mode, &inode, &first, last) != 4) return false;
    return strcmp(mode, "WRITE") == 0 && inode == file && first <= place && (strcmp(last, "EOF") == 0 || strtoull(last, NULL, 10) >= place);
}

static bool process_locks_at(const char *pid, unsigned long long file, unsigned long long place) {
    char folder[64], line[256];
    snprintf(folder, sizeof folder, "/proc/%.20s/fdinfo", pid);
    DIR *dir = opendir(folder);
    bool found = false;
    for (const struct dirent *entry; dir != NULL && !found && (entry = readdir(dir)) != NULL;) {
        int info = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
        FILE *lines = info < 0 ? NULL : fdopen(info, "r");
        if (lines == NULL && info >= 0) close(info);
        while (lines != NULL && !found && fgets(line, sizeof line, lines) != NULL) found = is_lock_at(line, file, place);
        if (lines != NULL) fclose(lines);
    }
    if (dir != NULL) closedir(dir);
    return found;
}

long lt_lock_holder_at(int fd, unsigned long long place) {
    char own[64];
    struct stat st;
    long holder = 0;
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    DIR *dir = fstat(fd, &st) == 0 ? opendir("/proc") : NULL;
    for (const struct dirent *entry; dir != NULL && holder == 0 && (entry = readdir(dir)) != NULL;) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid > 0 && lt_process_has_open(pid, own) && process_locks_at(entry->d_name, st.st_ino, place)) holder = pid;
    }
    if (dir != NULL) closedir(dir);
    return holder;
}

/* ---- signals ---- */
int lt_signals_open(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return -1;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int lt_signals_take(int fd) {
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

/* ---- processes ---- */
static bool is_variable(const char *entry, const char *const names[]) {
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(entry, names[i], n) == 0 && entry[n] == '=') return true;
    }
    return false;
}

/* The environment but for some variables. The entries are borrowed. */
static char **environment_without(const char *const names[]) {
    size_t count = 0;
    while (environ[count] != NULL) count++;
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0, n = 0; copy != NULL && i < count; i++) {
        if (!is_variable(environ[i], names)) copy[n++] = environ[i];
    }
    return copy;
}

static int spawn_set_up(posix_spawn_file_actions_t *files, posix_spawnattr_t *attributes) {
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int failed = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
    if (failed == 0) failed = posix_spawn_file_actions_addopen(files, 1, "/dev/null", O_WRONLY, 0);
    if (failed == 0) failed = posix_spawn_file_actions_addopen(files, 2, "/dev/null", O_WRONLY, 0);
    if (failed == 0) failed = posix_spawn_file_actions_addclosefrom_np(files, 3);
    if (failed == 0) failed = posix_spawnattr_setsigdefault(attributes, &all);
    if (failed == 0) failed = posix_spawnattr_setsigmask(attributes, &none);
    if (failed == 0) failed = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    return failed;
}

int lt_spawn_begin(const char *exe, char *const arguments[], const char *const without[], pid_t *first, struct litmus_error *error) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    char **variables = environment_without(without);
    if (variables == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory starting %s", exe);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    int failed = spawn_set_up(&files, &attributes);
    if (failed == 0) failed = posix_spawnp(first, exe, &files, &attributes, arguments, variables);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    free(variables);
    return failed == 0 ? LITMUS_OK : lt_fail_os(error, failed, "start", exe);
}

int lt_spawn_finish(const char *exe, pid_t first, struct litmus_error *error) {
    int status = 0;
    pid_t waited;
    do waited = waitpid(first, &status, 0);
    while (waited < 0 && errno == EINTR);
    /* ECHILD: the host program ignores SIGCHLD, and the kernel has cleaned up. */
    if (waited == first && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        return lt_fail(error, LITMUS_EIO, 0, "%s did not start (%s %d)", exe, WIFEXITED(status) ? "exit code" : "signal",
                       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return LITMUS_OK;
}

int lt_spawn_detached(const char *exe, char *const arguments[], const char *const without[], struct litmus_error *error) {
    pid_t first = -1;
    int code = lt_spawn_begin(exe, arguments, without, &first, error);
    return code == LITMUS_OK ? lt_spawn_finish(exe, first, error) : code;
}

int lt_detach(bool *child, struct litmus_error *error) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) return lt_fail_os(error, errno, "start", "a process of its own");
    *child = pid == 0;
    if (!*child) return LITMUS_OK;
    setsid();
    if (chdir("/") != 0) return lt_fail_os(error, errno, "change to", "/");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd <= 2; fd++) dup2(null, fd);
    if (null > 2) close(null);
    return LITMUS_OK;
}

void lt_end_with_parent(pid_t parent) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(128 + SIGKILL); /* it ended before that was said */
}

void lt_close_inherited(void) {
    close_range(3, ~0u, 0);
}

long lt_files_limit(long files_max) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
    rlim_t wanted = limit.rlim_max < (rlim_t)files_max ? limit.rlim_max : (rlim_t)files_max;
    if (limit.rlim_cur < wanted) {
        rlim_t before = limit.rlim_cur;
        limit.rlim_cur = wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
    }
    return limit.rlim_cur > (rlim_t)files_max ? files_max : (long)limit.rlim_cur;
}

void lt_thread_nice(void) {
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
}

/* The sanitizers bring a malloc of their own; to meddle with the one behind it breaks that. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void lt_memory_tame(int threads) {
    (void)threads;
}
void lt_memory_at_work(void) {}
void lt_memory_give_back(void) {}
void lt_memory_ahead(void) {}
#else
/* The arena of a thread knows no threshold: at each large free it gives back what it has beyond the pad, to fault it in again for the next run.
 * So the pad is what a run takes. */
enum { TRIM_BYTES = 4 * 1024 * 1024, PAD_BYTES = TRIM_BYTES, TRIM_BYTES_AT_REST = 64 * 1024, ROOM_BYTES = 1792 * 1024 };
static atomic_bool at_rest;

void lt_memory_tame(int threads) {
    mallopt(M_ARENA_MAX, threads);
    mallopt(M_MMAP_THRESHOLD, 2 * 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
    mallopt(M_TOP_PAD, PAD_BYTES);
}
/* The arena of a thread grows by a page a call of the system: two large pieces of it, taken and given back, make room at once. (One of
 * that size would have pages of its own.) */
void lt_memory_at_work(void) {
    if (atomic_exchange(&at_rest, false)) {
        mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
        mallopt(M_TOP_PAD, PAD_BYTES);
    }
    void *volatile large = malloc(ROOM_BYTES), *volatile beside = malloc(ROOM_BYTES);
    free(beside);
    free(large);
}
/* malloc_trim leaves the end of a thread's arena alone; that shrinks at the next large free, if the
 * threshold lets it. So each thread with memory of its own has to call this, and the threshold stays
 * low: what a thread holds for itself is freed when it ends. */
void lt_memory_give_back(void) {
    atomic_store(&at_rest, true);
    mallopt(M_TRIM_THRESHOLD, TRIM_BYTES_AT_REST);
    mallopt(M_TOP_PAD, 0);
    void *volatile large = malloc(256 * 1024);
    free(large);
    malloc_trim(0);
}
/* Two pieces as large as malloc takes from its heap, which stay there; nothing is touched yet. */
void lt_memory_ahead(void) {
    enum { AHEAD_BYTES = 31 * 1024 * 1024 };
    mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, 4 * AHEAD_BYTES);
    char *volatile one = malloc(AHEAD_BYTES), *volatile two = malloc(AHEAD_BYTES);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < 2; i++) {
        char *at = i == 0 ? one : two;
        size_t skip = (page - (uintptr_t)at % page) % page;
        if (at != NULL) (void)!madvise(at + skip, (AHEAD_BYTES - skip) / page * page, MADV_HUGEPAGE);
    }
    free(two);
    free(one);
}
#endif

bool lt_program_replaced(void) {
    struct stat st;
    return stat("/proc/self/exe", &st) == 0 && st.st_nlink == 0;
}

/* ---- sockets ---- */
/* sun_path holds 107 bytes; through /proc a folder of any depth is short. */
static bool socket_address(int dir_fd, const char *name, struct sockaddr_un *address) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", dir_fd, name);
    return n > 0 && (size_t)n < sizeof address->sun_path;
}

int lt_socket_listen(int dir_fd, const char *name, struct litmus_error *error) {
    struct sockaddr_un address;
    if (!socket_address(dir_fd, name, &address)) return lt_fail(error, LITMUS_EINVAL, 0, "the socket name %s is too long", name), -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return lt_fail_os(error, errno, "make socket", name), -1;
    unlinkat(dir_fd, name, 0);
    mode_t before = umask(0177);
    int failed = bind(fd, (struct sockaddr *)&address, sizeof address);
    int os_errno = errno;
    umask(before);
    if (failed == 0 && listen(fd, 128) != 0) {
        failed = -1;
        os_errno = errno;
    }
    if (failed == 0) return fd;
    close(fd);
    return lt_fail_os(error, os_errno, "listen on socket", name), -1;
}

bool lt_socket_peer_trusted(int fd) {
    struct ucred peer;
    socklen_t n = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

int lt_socket_connect(const char *folder, const char *name) {
    int dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) return -1;
    struct sockaddr_un address;
    int fd = socket_address(dir_fd, name, &address) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    /* A local connect is done at once or fails; EAGAIN: the other side's queue is full. */
    if (fd >= 0 && (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 || !lt_socket_peer_trusted(fd))) {
        close(fd);
        fd = -1;
    }
    close(dir_fd);
    return fd;
}

int lt_socket_accept(int fd) {
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer < 0 || lt_socket_peer_trusted(peer)) return peer;
    close(peer);
    errno = EPERM;
    return -1;
}
