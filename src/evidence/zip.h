/* SPDX-License-Identifier: Apache-2.0
 *
 * zip.h - members to and from a zip file. zip.c is the only file that knows the library.
 *
 * Always true: what is written depends on names and bytes alone: members are stored as they are, in the order in
 * which they were added, dated 1980-01-01. What is read is taken only in that form: nothing compressed, so that
 * nothing unfolds; no name twice, none that leads elsewhere; all members together no larger than the file.
 */
#ifndef LT_EVIDENCE_ZIP_H
#define LT_EVIDENCE_ZIP_H

#include "base/error.h"
#include "base/str.h"

enum { LT_ZIP_MEMBERS_MAX = 10000, LT_ZIP_NAME_MAX = 1024, LT_SHA256_TEXT_BYTES = 65 };

struct lt_zip;
/* Hands over *out. The file at `path` is made when it is closed; what is there is replaced. ENOMEM, EIO, EPERM. */
int lt_zip_new(const char *path, struct lt_zip **out, struct litmus_error *error);
/* The bytes are borrowed until the zip is closed or freed. ENOMEM. */
int lt_zip_add_bytes(struct lt_zip *zip, const char *name, const void *bytes, size_t n, struct litmus_error *error);
/* The file is read when the zip is closed. ENOMEM. */
int lt_zip_add_file(struct lt_zip *zip, const char *name, const char *path, struct litmus_error *error);
/* Writes it and frees the zip, also after an error; then there is no file. ENOSPC, EIO, EPERM, ENOMEM. */
int lt_zip_close(struct lt_zip *zip, struct litmus_error *error);
void lt_zip_free(struct lt_zip *zip); /* writes nothing; NULL accepted */

/* A member that was unpacked. */
struct lt_zip_member {
    const char *name;
    char sha256[LT_SHA256_TEXT_BYTES]; /* of the bytes that were read */
    bool crc_ok;                       /* they have the check sum that the zip gives them */
};
/* Is this a name that a member may have: relative, plain, one way to write it? */
bool lt_zip_name_ok(struct lt_str name);
/* Writes every member below `folder`, which is there and empty, and tells of it. Nothing is written elsewhere.
 * Errors: those of `each`; ENOENT, EPERM, EIO, ENOSPC, ENOMEM; EDAMAGED (names the member and what is wrong). */
typedef int lt_zip_member_fn(void *self, const struct lt_zip_member *member, struct litmus_error *error);
int lt_zip_unpack(const char *path, const char *folder, lt_zip_member_fn *each, void *self, struct litmus_error *error);

#endif
