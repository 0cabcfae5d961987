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

/* Bytes of the UTF-8 character at `p` (terminated text), 0: it is none. */
static size_t character_bytes(const unsigned char *p) {
    if (p[0] < 0x80) return 1;
    size_t n = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    bool beyond = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f);
    return beyond ? 0 : n;
}

/* Names of files and fields are in the text as somebody chose them, and a long text is cut anywhere:
 * what is no UTF-8, or would make a second line of it, becomes a question mark. */
static void make_line(char *text) {
    for (unsigned char *p = (unsigned char *)text; *p != '\0';) {
        size_t n = character_bytes(p);
        if (n == 0 || *p < 0x20 || *p == 0x7f) {
            *p = '?';
            n = 1;
        }
        p += n;
    }
}

int lt_fail(struct litmus_error *error, int code, int os_errno, const char *format, ...) {
    if (error != NULL && error->code == LITMUS_OK) {
        error->code = code;
        error->os_errno = os_errno;
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
        make_line(error->text);
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
    {EFBIG, LITMUS_ENOSPC, "the limit on the size of a file is reached: raise it (ulimit -f)"},
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

int lt_fail_with(struct litmus_error *error, const struct litmus_error *why) {
    return lt_fail(error, why->code, why->os_errno, "%s", why->text);
}

bool lt_error_is_refusal(const struct litmus_error *error) {
    static const int of_files[] = {0, ENOENT, ENOTDIR, EISDIR, ELOOP, ENXIO, ENAMETOOLONG};
    if (error->code == LITMUS_OK || error->code == LITMUS_ENOMEM) return error->code != LITMUS_OK;
    for (size_t i = 0; i < sizeof of_files / sizeof of_files[0]; i++)
        if (error->os_errno == of_files[i]) return false;
    return true;
}

int lt_need_handle(const void *handle, const char *function, const char *maker, struct litmus_error *error) {
    return handle != NULL ? LITMUS_OK : lt_fail(error, LITMUS_ESTATE, 0, "%s was given NULL for what %s hands over: call that first", function, maker);
}

int lt_need_place(const void *place, const char *function, struct litmus_error *error) {
    return place != NULL ? LITMUS_OK : lt_fail(error, LITMUS_EINVAL, 0, "%s was given NULL for the place of its result", function);
}

void lt_error_clear(struct litmus_error *error) {
    if (error == NULL) return;
    error->code = LITMUS_OK;
    error->os_errno = 0;
    error->text[0] = '\0';
}
