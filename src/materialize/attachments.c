/* SPDX-License-Identifier: Apache-2.0 */
#include "materialize/attachments.h"

#include "log/blob.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void lt_attachments_folder(const char *run_file, struct lt_buf *out) {
    const struct lt_str name = lt_str_of(run_file), ending = LT_STR(".parquet");
    lt_buf_clear(out);
    lt_buf_add(out, name.p, lt_str_ends(name, ending) ? name.n - ending.n : name.n);
    lt_buf_add_text(out, "_ref");
}

/* The name of the blob that a URI refers to; false: it refers to none of ours. */
static bool blob_name(struct lt_str uri, char out[LT_BLOB_NAME_BYTES]) {
    size_t scheme = strlen(LT_BLOB_SCHEME);
    if (uri.n <= scheme || memcmp(uri.p, LT_BLOB_SCHEME, scheme) != 0) return false;
    struct lt_str name = {uri.p + scheme, uri.n - scheme};
    if (!lt_blob_is_name(name)) return false;
    snprintf(out, LT_BLOB_NAME_BYTES, "%.*s", LT_STR_ARG(name));
    return true;
}

/* `{session_id}_ref` beside log number i. */
static void ref_folder(const struct lt_gathering *session, size_t i, struct lt_buf *out) {
    const char *log = session->logs[i].path, *slash = strrchr(log, '/');
    lt_buf_clear(out);
    lt_buf_add(out, log, slash == NULL ? 0 : (size_t)(slash - log));
    lt_buf_addf(out, "/%s_ref", session->session_id);
}

/* The original, whole, beside one of the session's logs: their folders are of different dates, rarely. */
static int find_original(const struct lt_gathering *session, const char *name, struct lt_buf *folder, struct litmus_error *error) {
    int code = LITMUS_ENOENT;
    struct litmus_error why = {0};
    for (size_t i = 0; i < session->log_count; i++) {
        struct litmus_error one = {0};
        ref_folder(session, i, folder);
        int found = folder->failed ? lt_fail(&one, LITMUS_ENOMEM, 0, "out of memory for a path") : lt_blob_check(lt_buf_cstr(folder), name, &one);
        if (found == LITMUS_OK) return found;
        if (code == LITMUS_ENOENT) code = found, why = one; /* a changed one says more than one that is not there */
    }
    return lt_fail(error, code, why.os_errno, "%s", why.text[0] == '\0' ? "there is no log" : why.text);
}

int lt_attachments_copy(const struct lt_io *io, const struct lt_gathering *session, const struct lt_run *run, const char *run_file,
                        void (*on_lost)(void *self, const char *what), void *self, struct litmus_error *error) {
    struct lt_buf from, to;
    lt_buf_init(&from);
    lt_buf_init(&to);
    lt_attachments_folder(run_file, &to);
    int code = to.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < run->attachment_count; i++) {
        char name[LT_BLOB_NAME_BYTES];
        struct litmus_error why = {0};
        if (!blob_name(run->attachments[i], name)) continue;
        bool found = find_original(session, name, &from, &why) == LITMUS_OK;
        if (!found && lt_blob_check(lt_buf_cstr(&to), name, NULL) == LITMUS_OK) continue;
        if (!found) on_lost(self, why.text);
        else code = lt_blob_copy(io, lt_buf_cstr(&from), lt_buf_cstr(&to), name, error);
    }
    lt_buf_release(&from);
    lt_buf_release(&to);
    return code;
}

void lt_attachments_check(const struct lt_gathering *session, const struct lt_run *run, const char *run_file, void (*on_lost)(void *self, const char *what),
                          void *self) {
    struct lt_buf from, to;
    lt_buf_init(&from);
    lt_buf_init(&to);
    lt_attachments_folder(run_file, &to);
    for (size_t i = 0; i < run->attachment_count && !to.failed; i++) {
        char name[LT_BLOB_NAME_BYTES];
        struct litmus_error original = {0}, copy = {0};
        if (!blob_name(run->attachments[i], name)) continue;
        if (find_original(session, name, &from, &original) != LITMUS_OK) on_lost(self, original.text);
        if (lt_blob_check(lt_buf_cstr(&to), name, &copy) != LITMUS_OK) on_lost(self, copy.text);
    }
    lt_buf_release(&from);
    lt_buf_release(&to);
}

/* Where the original lies, changed, or else where it is looked for first. */
static void original_folder(const struct lt_gathering *session, const char *name, struct lt_buf *out) {
    struct lt_buf path;
    lt_buf_init(&path);
    for (size_t i = session->log_count; i-- > 0;) {
        ref_folder(session, i, out);
        if (access(lt_path_join(&path, lt_buf_cstr(out), name), F_OK) == 0) break;
    }
    lt_buf_release(&path);
}

static int mend(const struct lt_io *io, const char *from, const char *to, const char *name, int (*aside)(const char *path, bool move, struct litmus_error *error),
                struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    int code = lt_blob_folder(io, to, error);
    if (code == LITMUS_OK) code = aside(lt_path_join(&path, to, name), true, error);
    if (code == LITMUS_OK) code = lt_blob_copy(io, from, to, name, error);
    lt_buf_release(&path);
    return code;
}

int lt_attachments_mend(const struct lt_io *io, const struct lt_gathering *session, const struct lt_run *run, const char *run_file,
                        int (*aside)(const char *path, bool move, struct litmus_error *error), struct litmus_error *error) {
    struct lt_buf from, to;
    lt_buf_init(&from);
    lt_buf_init(&to);
    lt_attachments_folder(run_file, &to);
    int code = to.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < run->attachment_count; i++) {
        char name[LT_BLOB_NAME_BYTES];
        if (!blob_name(run->attachments[i], name)) continue;
        bool original = find_original(session, name, &from, NULL) == LITMUS_OK, copy = lt_blob_check(lt_buf_cstr(&to), name, NULL) == LITMUS_OK;
        if (original == copy) continue; /* both are whole, or neither */
        if (copy) original_folder(session, name, &from);
        code = original ? mend(io, lt_buf_cstr(&from), lt_buf_cstr(&to), name, aside, error) : mend(io, lt_buf_cstr(&to), lt_buf_cstr(&from), name, aside, error);
    }
    lt_buf_release(&from);
    lt_buf_release(&to);
    return code;
}

int lt_attachments_each(const struct lt_gathering *session, const struct lt_run *run, const char *run_file,
                        int (*each)(void *self, const char *path, struct litmus_error *error), void *self, struct litmus_error *error) {
    struct lt_buf from, to, path;
    lt_buf_init(&from);
    lt_buf_init(&to);
    lt_buf_init(&path);
    lt_attachments_folder(run_file, &to);
    int code = to.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < run->attachment_count; i++) {
        char name[LT_BLOB_NAME_BYTES];
        if (!blob_name(run->attachments[i], name)) continue;
        if (find_original(session, name, &from, NULL) == LITMUS_OK) code = each(self, lt_path_join(&path, lt_buf_cstr(&from), name), error);
        if (code == LITMUS_OK && lt_blob_check(lt_buf_cstr(&to), name, NULL) == LITMUS_OK) code = each(self, lt_path_join(&path, lt_buf_cstr(&to), name), error);
    }
    lt_buf_release(&from);
    lt_buf_release(&to);
    lt_buf_release(&path);
    return code;
}
