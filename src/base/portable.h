/* SPDX-License-Identifier: Apache-2.0
 *
 * portable.h - the one place for what C17 and POSIX lack. A port to another system starts here
 * and in the other files of base/.
 */
#ifndef LT_BASE_PORTABLE_H
#define LT_BASE_PORTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills `n` bytes with random; never fails (falls back to the clock and the process id, which only
 * an early boot without entropy can make happen). */
void lt_random(void *bytes, size_t n);
/* Zeroed memory that a forked child finds zeroed again; NULL: out of memory. A zeroed
 * pthread_mutex_t is an unlocked one on the systems that have this. */
void *lt_fork_wiped_new(size_t n);
void lt_fork_wiped_free(void *p, size_t n);
/* When a file was made, not when it was last written; false: the file system does not say. */
bool lt_file_born(const char *path, int64_t *born_us);
/* Memory that is freed stays with the process, to be had again: for a program that reads very many files and then ends. (The
 * allocator gives each file's memory back to the system otherwise, and the next file takes it anew, page by page.) */
void lt_keep_freed_memory(void);
/* What tells one start of the machine from the next; false: the system does not say. */
enum { LT_BOOT_ID_BYTES = 40 };
bool lt_boot_id(char out[LT_BOOT_ID_BYTES]);
/* Base name of the running program, "unknown" if there is none. Static storage. */
const char *lt_program_name(void);

#endif
