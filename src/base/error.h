/* SPDX-License-Identifier: Apache-2.0
 *
 * error.h - how every function of the library fails.
 *
 * Always true: a failing function returns a code other than LITMUS_OK and has filled the caller's
 * litmus_error, unless that is NULL or holds an earlier failure already (the first one is kept).
 */
#ifndef LT_BASE_ERROR_H
#define LT_BASE_ERROR_H

#include "litmus.h"

#include <stdbool.h>

/* Fills `error` (what failed, where, what to do) and returns `code`, so that callers can write
 * `return lt_fail(error, LITMUS_EINVAL, 0, "...")`. */
int lt_fail(struct litmus_error *error, int code, int os_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* As lt_fail for a failed OS call: chooses the code from errno and appends its text and a remedy:
 * "what: path: No space left on device (free space, ...)". */
int lt_fail_os(struct litmus_error *error, int os_errno, const char *what, const char *path);

/* Hands on what failed before: `why`, whose code is returned. */
int lt_fail_with(struct litmus_error *error, const struct litmus_error *why);

/* What a caller left out. ESTATE unless `handle` is there, which `maker` makes; EINVAL unless `place` is, where what
 * `function` hands over goes. */
int lt_need_handle(const void *handle, const char *function, const char *maker, struct litmus_error *error);
int lt_need_place(const void *place, const char *function, struct litmus_error *error);

/* Did the system refuse to read (memory, descriptors, rights, the disk), so that nothing is known of what is there? It may be read the
 * next time, and is never called damaged. Where the file itself is no such file, or gone, it is not. */
bool lt_error_is_refusal(const struct litmus_error *error);

/* Forgets an earlier failure. NULL accepted. */
void lt_error_clear(struct litmus_error *error);

#endif
