/* SPDX-License-Identifier: Apache-2.0
 *
 * checks.h - the table of checks, and what its rows share. A look finds for one row or several; a mend is asked
 * for its row's findings, and what it did shows in that they are not found again.
 */
#ifndef LT_DOCTOR_CHECKS_H
#define LT_DOCTOR_CHECKS_H

#include "base/arena.h"
#include "doctor/doctor.h"
#include "query/query.h"

/* X(ID, "name", what it looks at, remedy, mend or NULL), in the order in which is mended. */
#define LT_DOCTOR_CHECKS(X)                                                                                                                        \
    X(FORMAT, "format", "the format marker of the data_dir", "--mend puts it aside and writes it anew", lt_mend_format)                             \
    X(CONFIG, "config", "the litmus.yaml that counts here and beside the data_dir", "correct the line that it names", NULL)                         \
    X(OWNER, "owner", "owners, and links that lead out of the data_dir", "chown it to the owner of the data_dir; put what a link leads to in its place", NULL) \
    X(MODE, "mode", "files and folders that their owner cannot read, or enter and write", "--mend gives their owner what is missing (chmod u+rwX)", lt_mend_modes) \
    X(SPACE, "space", "free space and free file numbers", "make room: litmus archive makes old logs smaller, litmus prune removes old sessions", NULL) \
    X(LOCKS, "locks", "lock files and the daemon's socket", "--mend puts aside what is no lock file, and takes away a socket that nobody listens at", lt_mend_locks) \
    X(CHANGES, "changes", "a prune or import that was broken off", "--mend finishes it, as any command of litmus does", lt_mend_changes)            \
    X(LEFTOVERS, "leftovers", "temporary files that are older than an hour",                                                                     \
      "--mend removes them, as nothing reads them; what may be a log or channel file of which there is no other, it puts aside", \
      lt_mend_leftovers)                                                                                                                           \
    X(LOG, "log", "logs that are damaged, or no logs", "nothing mends a log: what is whole in it counts, and the rest is evidence", NULL)           \
    X(UNREAD, "unread", "what could not be looked at", "see to the rights, descriptors, memory or process that it names, and look again; nothing is mended by guess", NULL)  \
    X(CHAIN, "chain", "the hash chain of each log", "find out who changed it; a copy of the log (litmus import, litmus evidence) says what it was", NULL) \
    X(SIGNATURE, "signature", "who signed each log", "name the public key of a station of yours with --key, or put it beside your own; litmus keygen makes one", NULL) \
    X(LINKS, "links", "logs that other logs name", "find out who removed or changed it; litmus import brings it back from a copy", NULL)           \
    X(CHANNELS, "channels", "channel files, and what the logs say was sampled", "what is whole in them counts; litmus import brings back one that is gone", NULL) \
    X(UNFINISHED, "unfinished", "logs, channel files and runs of dead producers", "--mend, or litmus materialize, finishes them", lt_mend_unfinished)               \
    X(RUN_FILES, "run files", "each run file against its logs", "--mend makes it anew from the log and keeps the other beside it, unless something was found of the log", \
      lt_mend_run_files)                                                                                                                           \
    X(ATTACHMENTS, "attachments", "each attachment, where it was recorded and beside the run file", "--mend restores the one from the other; where neither is whole, it is lost", \
      lt_mend_attachments)                                                                                                                         \
    X(FOREIGN, "foreign", "run files that no log accounts for, or that cannot be read", "bring their logs with litmus import, or move them elsewhere", NULL) \
    X(COPIES, "copies", "run files of which the run has another", "move the copy out of runs/: read_parquet on the folder counts its rows, litmus does not", NULL) \
    X(KEPT, "kept", "torn ends, and files that a mend put aside", "nothing: they are evidence", NULL)                                               \
    X(CATALOG, "catalog", "the catalog against the run files", "--mend, or litmus reindex, makes it anew", lt_mend_catalog)                          \
    X(LAKE, "lake", "the lake's files and lists", "--mend, or litmus compact, makes it anew from the run files", lt_mend_lake)                       \
    X(DAEMON, "daemon", "the daemon, its version and what it failed at",                                                                            \
      "--mend stops one that is of another version, and the next one is ours; litmus materialize SESSION says why a session failed",                \
      lt_mend_daemon)                                                                                                                              \
    X(KEY, "key", "the station's private key", "litmus keygen makes one; chmod 600 for one that others can read, or litmus keygen --rotate", NULL)  \
    X(CLOCK, "clock", "the wall clock", "set the clock, best by NTP", NULL)

enum lt_doctor_check {
#define LT_DOCTOR_ENUM(id, ...) LT_CHECK_##id,
    LT_DOCTOR_CHECKS(LT_DOCTOR_ENUM)
#undef LT_DOCTOR_ENUM
    LT_CHECKS,
};

/* For lt_doctor_has: of a log of which one of these found something nothing is made. */
#define LT_LOG_DOUBTS                                                                                                                             \
    (UINT64_C(1) << LT_CHECK_LOG | UINT64_C(1) << LT_CHECK_UNREAD | UINT64_C(1) << LT_CHECK_CHAIN | UINT64_C(1) << LT_CHECK_SIGNATURE | UINT64_C(1) << LT_CHECK_LINKS)

struct lt_doctor_item {
    enum lt_doctor_check check;
    enum lt_doctor_level level;
    const char *path, *text; /* in the arena */
};
struct lt_doctor {
    const struct lt_doctor_options *options;
    const char *data_dir;
    struct lt_query *query; /* in memory: looking changes nothing */
    struct lt_arena arena;
    struct lt_doctor_item *items; /* of this look */
    size_t count, capacity;
    bool waited; /* for the lock of the lake */
};

/* Something was found. `path` absolute, or relative to the data_dir; copied. */
void lt_doctor_tell(struct lt_doctor *doctor, enum lt_doctor_check check, enum lt_doctor_level level, const char *path, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* What keeps a look from looking is wrong, too. */
void lt_doctor_tell_error(struct lt_doctor *doctor, enum lt_doctor_check check, const char *path, const struct litmus_error *error);
/* Was anything of one of these checks (bits) found of that file? */
bool lt_doctor_has(const struct lt_doctor *doctor, uint64_t checks, const char *path);
/* Keeps what is at `path` as `{path}.aside-{n}`; it may be replaced then. Nothing there is fine. EBUSY (no free name), and those of
 * lt_io_copy_file. `move`: it is not there afterwards. */
int lt_doctor_set_aside(const char *path, bool move, struct litmus_error *error);

/* May the leftover be a log or channel file of which the store has no other? `path` absolute. */
bool lt_leftover_is_last(const struct lt_doctor *doctor, const char *path);

/* Before a change that a crash left half made is finished: whoever is at it is waited for, with a word. */
void lt_doctor_await_changes(const struct lt_doctor *doctor);

/* Holds somebody the daemon's lock? */
bool lt_doctor_daemon_is_there(const struct lt_doctor *doctor);

/* ---- looks ---- */
void lt_look_at_place(struct lt_doctor *doctor);   /* place.c */
void lt_look_at_files(struct lt_doctor *doctor);   /* files.c */
void lt_look_at_record(struct lt_doctor *doctor);  /* record.c */
void lt_look_at_derived(struct lt_doctor *doctor); /* derived.c */
void lt_look_at_station(struct lt_doctor *doctor); /* place.c */

/* ---- mends: each for the findings of its row, of which there are some ---- */
typedef int lt_mend_fn(struct lt_doctor *doctor, struct litmus_error *error);
lt_mend_fn lt_mend_format, lt_mend_modes, lt_mend_locks, lt_mend_changes, lt_mend_leftovers, lt_mend_unfinished, lt_mend_run_files, lt_mend_attachments, lt_mend_catalog,
    lt_mend_lake, lt_mend_daemon;

#endif
