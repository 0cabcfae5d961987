/* SPDX-License-Identifier: Apache-2.0
 *
 * process.h - processes and what they share: locks, signals, a local socket, a detached child.
 *
 * Always true: every descriptor is close-on-exec; a lock file and a socket are never followed
 * through a symbolic link.
 */
#ifndef LT_BASE_PROCESS_H
#define LT_BASE_PROCESS_H

#include "base/error.h"

#include <sys/types.h>

/* ---- lock files: the lock counts, not what is written in the file ---- */
/* Opens (creates) the file and takes its lock. *fd holds it until closed; a forked child shares it.
 * EBUSY: another process has it. EPERM: the file belongs to another user and `foreign` is false. */
int lt_lock_take(const char *path, bool foreign, int *fd, struct litmus_error *error);
bool lt_lock_is_held(const char *path);
/* The process that took the lock for itself and has the file open; 0: none that can be seen from here. */
long lt_lock_holder(const char *path);
/* The process that holds a byte of the file that `fd` is open on (a lock of fcntl, its own or of the open file); 0: none that can be seen from here. */
long lt_lock_holder_at(int fd, unsigned long long place);

/* ---- signals ---- */
/* From here on SIGTERM, SIGINT and SIGHUP make the returned descriptor readable instead of ending
 * the process, and SIGPIPE is ignored. -1 and errno. Call before any thread starts. */
int lt_signals_open(void);
/* The signal that came, 0 if none. */
int lt_signals_take(int fd);

/* ---- processes ---- */
/* Starts a program without anything of ours: its own session, / as folder, /dev/null as standard
 * files, no other descriptor, no blocked or ignored signal, not the variables in `without` (NULL
 * ended). Waits for it: the program forks and its first process ends at once (lt_detach). */
int lt_spawn_detached(const char *exe, char *const arguments[], const char *const without[], struct litmus_error *error);
/* Its two halves, for who has something to do meanwhile: *first is the process to be waited for. The second is owed. */
int lt_spawn_begin(const char *exe, char *const arguments[], const char *const without[], pid_t *first, struct litmus_error *error);
int lt_spawn_finish(const char *exe, pid_t first, struct litmus_error *error);
/* Leaves terminal, session and starter behind. *child: true in the process that goes on, false in
 * the one that called, which should end. */
int lt_detach(bool *child, struct litmus_error *error);
/* In a forked child: the system ends it when `parent`, which forked it, ends in any way. */
void lt_end_with_parent(pid_t parent);
/* Closes every descriptor but the standard ones. */
void lt_close_inherited(void);
/* As many open files as the hard limit allows, at most `files_max`. Returns the limit in force. */
long lt_files_limit(long files_max);
/* For a process that stays: memory is taken in large steps and from few arenas, as many as `threads`
 * need. Before any thread starts. */
void lt_memory_tame(int threads);
/* Gives back what is free, of the calling thread's above all. Costs some milliseconds: for when it is
 * quiet. */
void lt_memory_give_back(void);
/* There is work again: memory is kept from one piece of it to the next. */
void lt_memory_at_work(void);
/* For a command that takes much memory once: the first 60 MB come in large pages, if the system has them. To fault small ones in costs
 * a quarter of what a large run takes. */
void lt_memory_ahead(void);
/* Is it kept from running (SIGSTOP, a terminal's stop, a debugger)? false, too, when that cannot be known. */
bool lt_process_stopped(long pid);
/* Does it sleep, and how much processor time (in ticks) did it have so far? Who slept at both ends of a while, and had none between, did nothing
 * in it. false: it does not sleep, or that cannot be known. */
bool lt_process_sleeps(long pid, long long *ticks);
/* Has it the file open? true, too, when it is there and we may not know. */
bool lt_process_has_open(long pid, const char *path);
void lt_process_name(long pid, char out[16]); /* of its program, as the system knows it; "": there is none */
/* EBUSY: "process 17 (name) {what}", where `what` is such as "holds FILE". *stopped: it is a process that was stopped, which is said, too. `pid` <= 0: none that we may look at. */
void lt_process_tell_holder(long pid, const char *what, bool *stopped, struct litmus_error *error);
/* The calling thread gets what processor time nobody else wants. */
void lt_thread_nice(void);
/* Was the running program deleted or replaced since it started (an upgrade)? */
bool lt_program_replaced(void);

/* ---- a socket in a folder, however long the folder's path ---- */
/* Listens on `name` in the folder `dir_fd`, readable and writable for this user only. A socket file
 * that lies there is removed: call this under a lock. -1 and *error. */
int lt_socket_listen(int dir_fd, const char *name, struct litmus_error *error);
/* Connects; -1 when nobody listens, or one of another user does. The descriptor does not block. */
int lt_socket_connect(const char *folder, const char *name);
int lt_socket_accept(int fd); /* -1: nobody, or of another user (errno EPERM) */
/* Is the process at the other end of this user (or of root)? */
bool lt_socket_peer_trusted(int fd);

#endif
