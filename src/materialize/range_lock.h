/* SPDX-License-Identifier: Apache-2.0
 *
 * range_lock.h - locks by name between processes and threads, in one file: a name is one byte's
 * place in it, so that there is no file a name to clean up. Held by the open file description: a
 * process that dies gives it back.
 */
#ifndef LT_MATERIALIZE_RANGE_LOCK_H
#define LT_MATERIALIZE_RANGE_LOCK_H

#include "base/io.h"

#define LT_RANGE_LOCK "materialize.lock" /* the lock file of a data_dir */
/* Opens (creates) it; -1 and errno where that is not possible (a read-only data_dir). */
int lt_range_lock_open(const char *data_dir);
/* The same, if it is there: nothing is made. */
int lt_range_lock_find(const char *data_dir);
/* Waits for the name's byte. Two names may share one (a hash): then they only wait for each other. */
void lt_range_lock(int fd, const char *space, struct lt_str name);
/* Waits no longer than that, and no more than a second for a process that is stopped. EBUSY: another holds it still; the text says who.
 * A file that cannot be locked is not waited for, as above. */
enum { LT_RANGE_PATIENCE_MS = 10000 }; /* for a reader: a session is finished sooner by far */
int lt_range_lock_within(int fd, const char *space, struct lt_str name, int milliseconds, struct litmus_error *error);
/* Does another hold it at this moment? It is not taken for the question. */
bool lt_range_lock_is_held(int fd, const char *space, struct lt_str name);
/* Who holds it, as that text. *stopped: it is a process that was stopped. */
void lt_range_lock_tell(int fd, const char *space, struct lt_str name, bool *stopped, struct litmus_error *error);
void lt_range_unlock(int fd, const char *space, struct lt_str name);

/* Numbers by name, in the same file: who finds one unchanged knows that nobody raised it meanwhile.
 * Names may share one: then it only changes more often. Hold the name's lock to raise it, and to
 * rely on what was read. It is raised before a change, as who makes it may die in it, and after it, as somebody may
 * have looked in between. false: there is no telling (no file, it was removed, it cannot be written). */
bool lt_range_number(int fd, struct lt_str name, uint64_t *number);
bool lt_range_raise(int fd, struct lt_str name);
/* All of them as they are now, for who lists the logs of every session at once and comes to each later: is that of the name, whose lock is
 * held, still what it was? Both: false, where there is no telling. */
enum { LT_RANGE_NUMBERS = 8192 };
bool lt_range_numbers(int fd, uint64_t numbers[LT_RANGE_NUMBERS]);
bool lt_range_unchanged(int fd, const uint64_t numbers[LT_RANGE_NUMBERS], struct lt_str name);

#endif
