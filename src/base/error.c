/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *litmus_code_name(int code) {
    switch (code) {
#define LITMUS_CODE_NAME(name, number, text) \
    case number: return #name;
        LITMUS_CODES(LITMUS_CODE_NAME)
#undef LITMUS_CODE_NAME
    default: return "unknown";
    }
}

const char *litmus_version(void) {
    return LITMUS_VERSION;
}

int lt_fail(struct litmus_error *error, int code, int os_errno, const char *format, ...) {
    if (error != NULL && error->code == LITMUS_OK) {
        error->code = code;
        error->os_errno = os_errno;
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
    }
    return code;
}

struct errno_row {
    int os_errno;
    int code;
    const char *remedy;
};

static const struct errno_row errno_rows[] = {
    {ENOSPC, LITMUS_ENOSPC, "free some space or choose another data_dir"},
    {EDQUOT, LITMUS_ENOSPC, "the quota is reached: free some space or choose another data_dir"},
    {EACCES, LITMUS_EPERM, "give this user the right, or choose another data_dir"},
    {EPERM, LITMUS_EPERM, "give this user the right, or choose another data_dir"},
    {EROFS, LITMUS_EPERM, "the file system is read-only: choose another data_dir"},
    {ENOENT, LITMUS_ENOENT, "check the path"},
    {ENOTDIR, LITMUS_EINVAL, "a part of the path is a file, not a folder"},
    {EISDIR, LITMUS_EINVAL, "the path is a folder, not a file"},
    {EMFILE, LITMUS_EIO, "too many open files: raise the limit (ulimit -n)"},
    {ENFILE, LITMUS_EIO, "too many open files on this machine"},
    {ENAMETOOLONG, LITMUS_EINVAL, "the path is too long: choose a shorter data_dir"},
    {ENOMEM, LITMUS_ENOMEM, "out of memory"},
    {ELOOP, LITMUS_EPERM, "a symbolic link stands where a plain file is expected: remove it"},
    {EIO, LITMUS_EIO, "the disk reported an error: check it"},
};

int lt_fail_os(struct litmus_error *error, int os_errno, const char *what, const char *path) {
    int code = LITMUS_EIO;
    const char *remedy = NULL;
    for (size_t i = 0; i < sizeof errno_rows / sizeof errno_rows[0]; i++) {
        if (errno_rows[i].os_errno == os_errno) {
            code = errno_rows[i].code;
            remedy = errno_rows[i].remedy;
        }
    }
    if (remedy == NULL) return lt_fail(error, code, os_errno, "cannot %s %s: %s", what, path, strerror(os_errno));
    return lt_fail(error, code, os_errno, "cannot %s %s: %s (%s)", what, path, strerror(os_errno), remedy);
}

void lt_error_clear(struct litmus_error *error) {
    if (error == NULL) return;
    error->code = LITMUS_OK;
    error->os_errno = 0;
    error->text[0] = '\0';
}
