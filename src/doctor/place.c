/* SPDX-License-Identifier: Apache-2.0
 *
 * place.c - where the data_dir lies and who works on it: format, configuration, owner, space; daemon, key, clock.
 */
#include "base/config.h"
#include "base/key.h"
#include "doctor/checks.h"
#include "serve/daemon.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- the folder ---- */

static void look_at_format(struct lt_doctor *d) {
    struct litmus_error error = {0};
    struct lt_buf path;
    lt_buf_init(&path);
    const char *marker = lt_path_join(&path, d->data_dir, "litmus-format"); /* without one it is of the first version */
    if (access(marker, F_OK) == 0 && lt_data_dir_open(d->data_dir, &error) != LITMUS_OK) lt_doctor_tell_error(d, LT_CHECK_FORMAT, marker, &error);
    lt_buf_release(&path);
}

int lt_mend_format(struct lt_doctor *d, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    int code = lt_doctor_set_aside(lt_path_join(&path, d->data_dir, "litmus-format"), true, error);
    if (code == LITMUS_OK) code = lt_data_dir_open(d->data_dir, error);
    lt_buf_release(&path);
    return code;
}

/* The one upwards from the current folder, and the one upwards from the data_dir, which the daemon reads. */
static void look_at_config(struct lt_doctor *d) {
    const char *const folders[] = {NULL, d->data_dir};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        struct litmus_error error = {0};
        struct lt_buf json, path;
        lt_buf_init(&json);
        lt_buf_init(&path);
        bool broken = lt_config_json(folders[i], &json, &path, &error) != LITMUS_OK;
        if (broken && !lt_doctor_has(d, UINT64_C(1) << LT_CHECK_CONFIG, lt_buf_cstr(&path))) lt_doctor_tell_error(d, LT_CHECK_CONFIG, lt_buf_cstr(&path), &error);
        lt_buf_release(&json);
        lt_buf_release(&path);
    }
}

static void look_at_owner(struct lt_doctor *d) {
    struct stat st;
    if (stat(d->data_dir, &st) != 0) return;
    if (st.st_uid != geteuid())
        lt_doctor_tell(d, LT_CHECK_OWNER, geteuid() == 0 ? LT_DOCTOR_NOTE : LT_DOCTOR_WRONG, "", "belongs to user %ld, and you are %ld: what you record here is not his",
                       (long)st.st_uid, (long)geteuid());
    else if (access(d->data_dir, W_OK) != 0)
        lt_doctor_tell(d, LT_CHECK_OWNER, LT_DOCTOR_WRONG, "", "cannot be written: nothing can be recorded here");
}

static void look_at_space(struct lt_doctor *d) {
    enum { FREE_FILES = 1000 };
    struct statvfs fs;
    if (statvfs(d->data_dir, &fs) != 0) return;
    int64_t wanted = d->options->free_bytes > 0 ? d->options->free_bytes : LT_DOCTOR_FREE_BYTES;
    double there = (double)fs.f_bavail * (double)fs.f_frsize;
    if (there < (double)wanted) lt_doctor_tell(d, LT_CHECK_SPACE, LT_DOCTOR_WRONG, "", "%.0f MB are free", there / 1e6);
    else if (fs.f_files > 0 && fs.f_favail < FREE_FILES) lt_doctor_tell(d, LT_CHECK_SPACE, LT_DOCTOR_WRONG, "", "%llu files can still be made", (unsigned long long)fs.f_favail);
}

void lt_look_at_place(struct lt_doctor *d) {
    look_at_format(d);
    look_at_config(d);
    look_at_owner(d);
    look_at_space(d);
}

/* ---- the station ---- */

static void look_at_daemon(struct lt_doctor *d) {
    struct lt_daemon_status s;
    struct litmus_error error = {0};
    if (lt_daemon_status(d->data_dir, &s, &error) != LITMUS_OK) lt_doctor_tell_error(d, LT_CHECK_DAEMON, "", &error);
    else if (s.lock.code != LITMUS_OK) lt_doctor_tell(d, LT_CHECK_DAEMON, LT_DOCTOR_WRONG, "daemon.lock", "%s", s.lock.text);
    else if (!s.running) lt_doctor_tell(d, LT_CHECK_DAEMON, LT_DOCTOR_NOTE, "", "no daemon is running: it comes with the next test run, and leaves when there is nothing to do");
    else if (s.version[0] == '\0') lt_doctor_tell(d, LT_CHECK_DAEMON, LT_DOCTOR_WRONG, "", "the daemon (pid %ld) does not answer%s", s.pid,
                                                    s.stopped ? ": a signal or a debugger stopped it, and kill -CONT lets it go on" : "");
    else if (strcmp(s.version, litmus_version()) != 0)
        lt_doctor_tell(d, LT_CHECK_DAEMON, LT_DOCTOR_WRONG, "", "the daemon (pid %ld) is of version %s, and this is %s", s.pid, s.version, litmus_version());
    for (size_t i = 0; i < s.failure_count; i++)
        lt_doctor_tell(d, LT_CHECK_DAEMON, LT_DOCTOR_WRONG, "", "the daemon failed at session %s: %s", s.failures[i].session_id, s.failures[i].text);
}

int lt_mend_daemon(struct lt_doctor *d, struct litmus_error *error) {
    struct lt_daemon_status s;
    if (lt_daemon_status(d->data_dir, &s, NULL) != LITMUS_OK || !s.running || s.version[0] == '\0' || strcmp(s.version, litmus_version()) == 0) return LITMUS_OK;
    int code = lt_daemon_stop(d->data_dir, 0, error); /* what it had in hand is taken up by the next one */
    return code == LITMUS_ENOENT ? LITMUS_OK : code;
}

static void look_at_key(struct lt_doctor *d) {
    struct litmus_error error = {0};
    struct lt_buf path;
    struct lt_key *key = NULL;
    lt_buf_init(&path);
    int code = lt_signing_key_find(NULL, d->options->data_dir, &path, NULL); /* a litmus.yaml that is broken was told of */
    const char *place = lt_buf_cstr(&path);
    if (code == LITMUS_OK && path.n > 0) code = lt_key_read(place, &key, &error);
    if (code == LITMUS_ENOENT) lt_doctor_tell(d, LT_CHECK_KEY, LT_DOCTOR_NOTE, place, "there is none: logs are not signed");
    else if (error.text[0] != '\0') lt_doctor_tell_error(d, LT_CHECK_KEY, place, &error);
    lt_key_free(key);
    lt_buf_release(&path);
}

void lt_look_at_station(struct lt_doctor *d) {
    look_at_daemon(d);
    look_at_key(d);
}
