/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and bytes that belong to a step: stored beside the logs by their content, told of by test.attachment.
 */
#include "base/json_text.h"
#include "emit/run.h"
#include "log/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* `{session_id}_ref` beside the session's log. */
static int ref_folder(const litmus_session *session, struct lt_buf *out, struct litmus_error *error) {
    const char *log = lt_log_writer_path(session->log), *slash = strrchr(log, '/');
    lt_buf_add(out, log, (size_t)(slash - log));
    lt_buf_addf(out, "/%s_ref", session->session_id);
    return out->failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : LITMUS_OK;
}

int lt_session_attach_bytes(const litmus_session *session, const char *name, const void *bytes, size_t n, bool sync, struct lt_blob *out,
                            struct litmus_error *error) {
    struct lt_buf folder;
    char ext[LT_BLOB_EXT_MAX];
    lt_buf_init(&folder);
    lt_blob_extension(name, ext);
    int code = ref_folder(session, &folder, error);
    if (code == LITMUS_OK) code = lt_blob_put_bytes(&lt_io_os, lt_buf_cstr(&folder), bytes, n, ext, sync, out, error);
    lt_buf_release(&folder);
    return code;
}

static int open_source(const char *path, int *fd, struct litmus_error *error) {
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would have us wait */
    if (*fd < 0) return lt_fail_os(error, errno, "attach", path);
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode)) return LITMUS_OK;
    close(*fd);
    *fd = -1;
    return lt_fail(error, LITMUS_EINVAL, 0, "%s is no file that can be attached: give a regular file, or bytes", path);
}

int lt_session_attach_file(const litmus_session *session, const char *path, struct lt_blob *out, struct litmus_error *error) {
    struct lt_buf folder;
    char ext[LT_BLOB_EXT_MAX];
    int fd = -1;
    lt_buf_init(&folder);
    lt_blob_extension(path, ext);
    int code = open_source(path, &fd, error);
    if (code == LITMUS_OK) code = ref_folder(session, &folder, error);
    if (code == LITMUS_OK) code = lt_blob_put_file(&lt_io_os, lt_buf_cstr(&folder), fd, path, ext, true, out, error);
    if (fd >= 0) close(fd);
    lt_buf_release(&folder);
    return code;
}

static int tell(litmus_run *run, const struct lt_open_step *step, const char *name, const struct lt_blob *blob, struct litmus_attachment *out, struct litmus_error *error) {
    char uri[sizeof LT_BLOB_SCHEME + LT_BLOB_NAME_BYTES];
    snprintf(uri, sizeof uri, LT_BLOB_SCHEME "%s", blob->name);
    struct lt_draft d = lt_draft_inside(step);
    yyjson_mut_obj_add_str(d.doc, d.root, "name", name);
    yyjson_mut_obj_add_str(d.doc, d.root, "uri", uri);
    yyjson_mut_obj_add_str(d.doc, d.root, "sha256", blob->sha256);
    yyjson_mut_obj_add_int(d.doc, d.root, "size_bytes", blob->bytes);
    int code = lt_draft_emit(&d, run, "test.attachment", error);
    if (code != LITMUS_OK || out == NULL) return code;
    snprintf(out->uri, sizeof out->uri, "%s", uri);
    memcpy(out->sha256, blob->sha256, sizeof out->sha256);
    out->bytes = blob->bytes;
    return LITMUS_OK;
}

int litmus_attach_bytes(litmus_run *run, const char *name, const void *bytes, size_t n, struct litmus_attachment *out, struct litmus_error *error) {
    struct lt_blob blob;
    struct lt_open_step *step = lt_run_step(run, "an attachment", error);
    if (step == NULL) return LITMUS_ESTATE;
    int code = lt_name_check("an attachment", name, error);
    if (code == LITMUS_OK && bytes == NULL && n > 0) code = lt_fail(error, LITMUS_EINVAL, 0, "attachment %s has %zu bytes, and was given NULL for them", name, n);
    if (code == LITMUS_OK) code = lt_session_attach_bytes(run->session, name, bytes, n, true, &blob, error);
    return code == LITMUS_OK ? tell(run, step, name, &blob, out, error) : code;
}

int litmus_attach_file(litmus_run *run, const char *name, const char *path, struct litmus_attachment *out, struct litmus_error *error) {
    struct lt_blob blob;
    struct lt_open_step *step = lt_run_step(run, "an attachment", error);
    if (step == NULL) return LITMUS_ESTATE;
    int code = lt_name_check("an attachment", name, error);
    if (code == LITMUS_OK && path == NULL) code = lt_fail(error, LITMUS_EINVAL, 0, "attachment %s needs the path of a file", name);
    if (code == LITMUS_OK) code = lt_session_attach_file(run->session, path, &blob, error);
    return code == LITMUS_OK ? tell(run, step, name, &blob, out, error) : code;
}
