/* SPDX-License-Identifier: Apache-2.0
 *
 * leftovers.c - what was broken off half made, or looks so: it goes, unless it may be a log or channel file of which the store has no other.
 */
#include "base/io.h"
#include "base/process.h"
#include "channel/channel.h"
#include "doctor/checks.h"
#include "log/format.h"
#include "log/log.h"
#include "materialize/changeset.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What it would be called in the store: `.{name}.tmp` was to become `name`. */
static struct lt_str name_of(const char *path) {
    struct lt_str name = lt_str_of(strrchr(path, '/') + 1), hidden = LT_STR(".tmp");
    if (name.n > hidden.n && name.p[0] == '.' && lt_str_ends(name, hidden)) name = (struct lt_str){name.p + 1, name.n - 1 - hidden.n};
    return name;
}

/* By its name, or by how it begins. What cannot be read may be one. */
static bool may_be_record(const char *path, struct lt_str name) {
    char magic[LT_LOG_MAGIC_BYTES];
    if (lt_str_ends(name, LT_STR(LT_LOG_SUFFIX))) return true;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t got = fd < 0 ? -1 : lt_io_read_at(fd, magic, sizeof magic, 0);
    if (fd >= 0) close(fd);
    return got < 0 || (got == (ssize_t)sizeof magic && memcmp(magic, LT_LOG_MAGIC, sizeof magic) == 0);
}

static bool holds_the_same(const char *path, const char *other) {
    int left = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), right = open(other, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool same = left >= 0 && right >= 0 && lt_io_same(left, 0, right, 0) == 1;
    if (left >= 0) close(left);
    if (right >= 0) close(right);
    return same;
}

/* Which log it says it is; "": it has no whole head, or is none. *refused: it cannot be looked at. */
static void read_identity(const char *path, char identity[LT_LOG_IDENTITY_MAX], bool *refused) {
    struct lt_log_reader *reader = NULL;
    struct litmus_error why = {0};
    struct lt_row row;
    int code = lt_log_reader_open(path, &reader, &why);
    if (code == LITMUS_OK) (void)lt_log_next(reader, &row, &why);
    snprintf(identity, LT_LOG_IDENTITY_MAX, "%s", code == LITMUS_OK ? lt_log_reader_identity(reader) : "");
    *refused = why.code != LITMUS_OK && why.code != LITMUS_EDAMAGED;
    lt_log_reader_free(reader);
}

/* Is it of the file in the store that is called so? What has no whole head says nothing else. */
static bool is_of(const char *path, struct lt_str name, const char *kept) {
    char identity[LT_LOG_IDENTITY_MAX];
    struct lt_channel_file *channel = NULL;
    struct lt_str stem = {name.p, name.n - strlen(LT_LOG_SUFFIX)};
    bool refused;
    read_identity(path, identity, &refused);
    if (refused || identity[0] != '\0') return !refused && lt_str_eq(lt_str_of(identity), stem);
    int code = lt_channel_file_open(path, &channel, NULL);
    lt_channel_file_free(channel);
    return code == LITMUS_OK ? holds_the_same(path, kept) : code == LITMUS_EDAMAGED;
}

struct seeking {
    const struct lt_doctor *doctor;
    const char *path;
    struct lt_str name;
    bool found;
};

/* A plain file of that name, which no link leads to (nor back to `path`), of which nothing was found. */
static int look_at(void *self, const char *folder, const struct dirent *entry, struct litmus_error *error) {
    const uint64_t doubts = LT_LOG_DOUBTS | UINT64_C(1) << LT_CHECK_CHANNELS;
    struct seeking *s = self;
    struct stat st;
    struct lt_buf kept;
    (void)error;
    if (s->found || !lt_str_eq(lt_str_of(entry->d_name), s->name)) return LITMUS_OK;
    lt_buf_init(&kept);
    const char *path = lt_path_join(&kept, folder, entry->d_name);
    char *real = realpath(path, NULL);
    bool plain = real != NULL && strcmp(real, path) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
    s->found = plain && !lt_doctor_has(s->doctor, doubts, path) && is_of(s->path, s->name, path);
    free(real);
    lt_buf_release(&kept);
    return LITMUS_OK;
}

bool lt_leftover_is_last(const struct lt_doctor *d, const char *path) {
    struct seeking s = {.doctor = d, .path = path, .name = name_of(path)};
    if (!may_be_record(path, s.name)) return false;
    bool named = lt_str_ends(s.name, LT_STR(LT_LOG_SUFFIX)), listed = named && lt_io_list_days(d->data_dir, "events", NULL, look_at, NULL, &s, NULL) == LITMUS_OK;
    if (listed && !s.found) (void)!lt_io_list_days(d->data_dir, "channels", NULL, look_at, NULL, &s, NULL);
    return !s.found;
}

/* All of it, under the lock of those who use it. */
static int set_staging_aside(const struct lt_doctor *d, const char *staging, struct litmus_error *error) {
    struct lt_buf path;
    int fd = -1;
    lt_buf_init(&path);
    int code = lt_lock_take(lt_path_join(&path, d->data_dir, "staging.lock"), false, &fd, error);
    bool awaited = access(lt_path_join(&path, d->data_dir, LT_CHANGES), F_OK) == 0; /* a list moves what lies there */
    if (code == LITMUS_OK && !awaited) code = lt_doctor_set_aside(staging, true, error);
    if (fd >= 0) close(fd);
    lt_buf_release(&path);
    return code;
}

static int clear_staging(const struct lt_doctor *d, const char *staging, bool keep, struct litmus_error *error) {
    int fd = -1, code = keep ? set_staging_aside(d, staging, error) : LITMUS_OK;
    if (code == LITMUS_OK) code = lt_changeset_begin(d->data_dir, &fd, error); /* under its lock, it is emptied */
    lt_changeset_end(d->data_dir, fd);
    return code;
}

static int mend_file(const struct lt_doctor *d, const char *path, struct litmus_error *error) {
    if (lt_leftover_is_last(d, path)) return lt_doctor_set_aside(path, true, error);
    return unlink(path) == 0 || errno == ENOENT ? LITMUS_OK : lt_fail_os(error, errno, "remove", path);
}

int lt_mend_leftovers(struct lt_doctor *d, struct litmus_error *error) {
    struct lt_buf staging;
    bool any = false, keep = false;
    int code = LITMUS_OK;
    lt_buf_init(&staging);
    const char *folder = lt_path_join(&staging, d->data_dir, LT_STAGING "/");
    for (size_t i = 0; code == LITMUS_OK && i < d->count; i++) {
        const char *path = d->items[i].path;
        bool staged = strncmp(path, folder, strlen(folder)) == 0;
        if (d->items[i].check != LT_CHECK_LEFTOVERS) continue;
        any = any || staged;
        if (staged) keep = keep || lt_leftover_is_last(d, path);
        else code = mend_file(d, path, error);
    }
    lt_path_join(&staging, d->data_dir, LT_STAGING);
    if (code == LITMUS_OK && any) code = clear_staging(d, lt_buf_cstr(&staging), keep, error);
    lt_buf_release(&staging);
    return code;
}
