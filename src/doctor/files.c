/* SPDX-License-Identifier: Apache-2.0
 *
 * files.c - every file of the data_dir, by its name and what the system says of it; none but a leftover is opened.
 */
#include "base/clock.h"
#include "base/process.h"
#include "base/tree.h"
#include "doctor/checks.h"
#include "materialize/changeset.h"
#include "materialize/range_lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LEFTOVER_AGE_S = 3600, CLOCK_SLACK_S = 60 };

struct walk {
    struct lt_doctor *doctor;
    uid_t owner; /* of the data_dir */
    int64_t now_s;
    bool staging_in_use;
};

static bool is_below(const char *path, const char *folder) {
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && path[n] == '/';
}

static void look_at_link(struct walk *w, const char *path) {
    struct lt_buf whole;
    lt_buf_init(&whole);
    char *to = realpath(lt_path_join(&whole, w->doctor->data_dir, path), NULL);
    if (to == NULL) lt_doctor_tell(w->doctor, LT_CHECK_OWNER, LT_DOCTOR_WRONG, path, "is a link that leads nowhere");
    else if (!is_below(to, w->doctor->data_dir)) lt_doctor_tell(w->doctor, LT_CHECK_OWNER, LT_DOCTOR_WRONG, path, "is a link that leads out, to %s: it is not followed", to);
    free(to);
    lt_buf_release(&whole);
}

static void look_at_mode(struct walk *w, const char *path, const struct stat *st) {
    unsigned mode = st->st_mode & 0777, want = S_ISDIR(st->st_mode) ? 0700 : 0400;
    if (st->st_uid != w->owner)
        lt_doctor_tell(w->doctor, LT_CHECK_OWNER, LT_DOCTOR_WRONG, path, "belongs to user %ld, and the data_dir to %ld", (long)st->st_uid, (long)w->owner);
    else if ((mode & want) != want)
        lt_doctor_tell(w->doctor, LT_CHECK_MODE, LT_DOCTOR_WRONG, path, "has mode %04o: its owner cannot %s it", mode, S_ISDIR(st->st_mode) ? "enter, read and write" : "read");
}

static bool is_lock(const char *path) {
    static const char *const locks[] = {"daemon.lock", LT_RANGE_LOCK, "staging.lock", "lake/_compact.lock", "lake/_readers.lock"};
    for (size_t i = 0; i < sizeof locks / sizeof locks[0]; i++)
        if (strcmp(path, locks[i]) == 0) return true;
    return false;
}

bool lt_doctor_daemon_is_there(const struct lt_doctor *d) {
    struct lt_buf path;
    lt_buf_init(&path);
    bool there = lt_lock_is_held(lt_path_join(&path, d->data_dir, "daemon.lock"));
    lt_buf_release(&path);
    return there;
}

static void look_at_lock(struct walk *w, const char *path, const struct stat *st) {
    if (is_lock(path) && !S_ISREG(st->st_mode)) lt_doctor_tell(w->doctor, LT_CHECK_LOCKS, LT_DOCTOR_WRONG, path, "is no plain file: nobody can lock it");
    else if (is_lock(path) && (st->st_mode & 0600) != 0600)
        lt_doctor_tell(w->doctor, LT_CHECK_LOCKS, LT_DOCTOR_WRONG, path, "has mode %04o: nobody can lock it", st->st_mode & 0777u);
    else if (strcmp(path, "daemon.sock") == 0 && !lt_doctor_daemon_is_there(w->doctor))
        lt_doctor_tell(w->doctor, LT_CHECK_LOCKS, LT_DOCTOR_WRONG, path, "is the socket of a daemon that is gone");
}

/* One that is at work takes its files from there, however long ago they were written. */
static bool is_of_compaction(const struct walk *w, const char *path) {
    struct lt_buf lock;
    lt_buf_init(&lock);
    bool is = is_below(path, "lake") && lt_lock_is_held(lt_path_join(&lock, w->doctor->data_dir, "lake/_compact.lock"));
    lt_buf_release(&lock);
    return is;
}

/* Where it may be on record, who reads of it is to know that it stays. */
static void tell_leftover(struct walk *w, const char *path, const char *what) {
    struct lt_buf whole;
    lt_buf_init(&whole);
    bool last = lt_leftover_is_last(w->doctor, lt_path_join(&whole, w->doctor->data_dir, path));
    const char *more = last ? "; it may be a log or channel file, and lies nowhere else here: a mend puts it aside" : "";
    lt_doctor_tell(w->doctor, LT_CHECK_LEFTOVERS, LT_DOCTOR_WRONG, path, "%s%s", what, more);
    lt_buf_release(&whole);
}

static void look_at_name(struct walk *w, const char *path, const struct stat *st) {
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    struct lt_doctor *d = w->doctor;
    char what[100];
    bool staged = is_below(path, LT_STAGING);
    snprintf(what, sizeof what, "was being written %lld hours ago, and nobody finished it", (long long)(w->now_s - st->st_mtime) / 3600);
    if (staged && !w->staging_in_use) tell_leftover(w, path, "was left by a prune or import that was broken off before it changed anything");
    else if (strstr(path, ".aside-") != NULL) lt_doctor_tell(d, LT_CHECK_KEPT, LT_DOCTOR_NOTE, path, "was put aside by litmus doctor --mend");
    else if (!staged && name[0] == '.' && lt_str_ends(lt_str_of(name), LT_STR(".tmp")) && w->now_s - st->st_mtime > LEFTOVER_AGE_S && !is_of_compaction(w, path))
        tell_leftover(w, path, what);
    else if (strstr(name, ".torn-") != NULL) lt_doctor_tell(d, LT_CHECK_KEPT, LT_DOCTOR_NOTE, path, "%lld torn bytes of a dead producer's log", (long long)st->st_size);
    else if (strcmp(path, LT_CHANGES) == 0) lt_doctor_tell(d, LT_CHECK_CHANGES, LT_DOCTOR_WRONG, path, "a prune or import was broken off, and goes on at the next command");
    if (lt_str_ends(lt_str_of(name), LT_STR(".arrow")) && st->st_mtime > w->now_s + CLOCK_SLACK_S)
        lt_doctor_tell(d, LT_CHECK_CLOCK, LT_DOCTOR_WRONG, path, "was written %lld s from now: the clock was ahead then, or is behind now", (long long)(st->st_mtime - w->now_s));
}

static int look_at_file(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    struct walk *w = self;
    (void)error;
    if (S_ISLNK(st->st_mode) && !is_lock(path)) {
        look_at_link(w, path);
        return LITMUS_OK;
    }
    look_at_mode(w, path, st);
    look_at_lock(w, path, st);
    if (S_ISREG(st->st_mode)) look_at_name(w, path, st);
    return LITMUS_OK;
}

void lt_look_at_files(struct lt_doctor *d) {
    struct walk w = {.doctor = d, .now_s = lt_now_us() / 1000000};
    struct litmus_error error = {0};
    struct stat st;
    struct lt_buf path;
    lt_buf_init(&path);
    if (stat(d->data_dir, &st) == 0) w.owner = st.st_uid;
    w.staging_in_use = access(lt_path_join(&path, d->data_dir, LT_CHANGES), F_OK) == 0 || lt_lock_is_held(lt_path_join(&path, d->data_dir, "staging.lock"));
    if (lt_tree_walk(d->data_dir, "", look_at_file, &w, &error) != LITMUS_OK) lt_doctor_tell_error(d, LT_CHECK_MODE, "", &error);
    lt_buf_release(&path);
}

/* ---- mends ---- */

/* A folder that cannot be entered hides more of them. */
int lt_mend_modes(struct lt_doctor *d, struct litmus_error *error) {
    int code = LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < d->count; i++) {
        const struct lt_doctor_item *item = &d->items[i];
        struct stat st;
        if (item->check != LT_CHECK_MODE || lstat(item->path, &st) != 0 || S_ISLNK(st.st_mode)) continue;
        mode_t more = S_ISDIR(st.st_mode) ? 0700 : 0400;
        if (chmod(item->path, (st.st_mode & 07777) | more) != 0) code = lt_fail_os(error, errno, "change the mode of", item->path);
    }
    return code;
}

int lt_mend_locks(struct lt_doctor *d, struct litmus_error *error) {
    int code = LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < d->count; i++) {
        const char *path = d->items[i].path;
        struct stat st;
        if (d->items[i].check != LT_CHECK_LOCKS || lstat(path, &st) != 0) continue;
        if (S_ISSOCK(st.st_mode) && lt_str_ends(lt_str_of(path), LT_STR("/daemon.sock"))) (void)(lt_doctor_daemon_is_there(d) ? 0 : unlink(path));
        else if (S_ISREG(st.st_mode) && chmod(path, (st.st_mode & 07777) | 0600) != 0) code = lt_fail_os(error, errno, "change the mode of", path);
        else if (!S_ISREG(st.st_mode)) code = lt_doctor_set_aside(path, true, error);
    }
    return code;
}

void lt_doctor_await_changes(const struct lt_doctor *d) {
    struct lt_buf path;
    lt_buf_init(&path);
    bool there = access(lt_path_join(&path, d->data_dir, LT_CHANGES), F_OK) == 0;
    if (there && d->options->await != NULL) d->options->await(d->options->self, "changes", "");
    lt_buf_release(&path);
}

int lt_mend_changes(struct lt_doctor *d, struct litmus_error *error) {
    lt_doctor_await_changes(d);
    return lt_changeset_finish(NULL, d->data_dir, error);
}
