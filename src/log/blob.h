/* SPDX-License-Identifier: Apache-2.0
 *
 * blob.h - attached files: whole, beside the logs in `{session_id}_ref`, and beside the run file in `{stem}_ref`.
 *
 * Always true: a blob is named by its content, `{8 hex}_{56 hex}{ext}`, the SHA-256 in two parts; so the
 * same content is stored once, and a name alone says what has to be in it. It never changes.
 */
#ifndef LT_LOG_BLOB_H
#define LT_LOG_BLOB_H

#include "base/io.h"
#include "base/str.h"

#define LT_BLOB_SCHEME "file://_ref/" /* a reference to a blob: this and its name */

enum { LT_BLOB_EXT_MAX = 16, LT_BLOB_NAME_BYTES = 65 + LT_BLOB_EXT_MAX + 1 };

struct lt_blob {
    char name[LT_BLOB_NAME_BYTES];
    char sha256[65];
    int64_t bytes;
};

/* The extension of a file name, dot included, if it is short and plain; else ".bin". Writes it to out. */
void lt_blob_extension(const char *file_name, char out[LT_BLOB_EXT_MAX]);
/* Is this the name of a blob? What a log says is anybody's text: nothing else is ever opened. */
bool lt_blob_is_name(struct lt_str name);

/* Makes the folder, which is no link: what is stored in a data_dir stays there. */
int lt_blob_folder(const struct lt_io *io, const char *folder, struct litmus_error *error);
/* Stores bytes, or the rest of a file that is open for reading (a piece at a time), in `folder`, which is made. `sync`: content
 * and names are on the disk then; else with the kernel, as an event is (lt_blob_copy brings both there). Fills *out. Errors:
 * EIO, ENOSPC, EPERM, ENOMEM; nothing is left behind then. */
int lt_blob_put_bytes(const struct lt_io *io, const char *folder, const void *bytes, size_t n, const char *ext, bool sync, struct lt_blob *out,
                      struct litmus_error *error);
int lt_blob_put_file(const struct lt_io *io, const char *folder, int fd, const char *path, const char *ext, bool sync, struct lt_blob *out,
                     struct litmus_error *error);

/* Is what the file holds what its name says? ENOENT, EDAMAGED, EIO. */
int lt_blob_check(const char *folder, const char *name, struct litmus_error *error);
/* The blob of one folder in another, which is made; both are on the disk then. One that is there and whole stays.
 * Errors: those of lt_blob_check for the source, and of lt_blob_put_file. */
int lt_blob_copy(const struct lt_io *io, const char *from, const char *to, const char *name, struct litmus_error *error);

/* SHA-256 of any plain file, as text. EIO, EPERM, ENOENT, ENOMEM. */
int lt_hash_file(const char *path, char out[65], struct litmus_error *error);

#endif
