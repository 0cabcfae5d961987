/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"
#include "log/format.h"
#include "log/index.h"
#include "log/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { UUID_TEXT = LT_UUID_BYTES - 1 };

bool lt_log_is_of_session(struct lt_str name, const char *session) {
    size_t n = strlen(session);
    if (name.n < n || memcmp(name.p, session, n) != 0) return false;
    size_t i = n;
    for (int part = 0; part < 2 && i < name.n; part++) {
        if (name.p[i] != '-') return false;
        size_t start = ++i;
        while (i < name.n && name.p[i] >= '0' && name.p[i] <= '9') i++;
        if (i == start) return false;
    }
    return i == name.n;
}

/* The session that a name gives; only an id of the usual form ends where the pid begins. */
static void session_of(struct lt_str identity, char out[64]) {
    struct lt_str id = {identity.p, UUID_TEXT};
    out[0] = '\0';
    if (identity.n < UUID_TEXT || (identity.n > UUID_TEXT && identity.p[UUID_TEXT] != '-') || !lt_uuid_valid(id)) return;
    memcpy(out, id.p, id.n);
    out[id.n] = '\0';
    if (!lt_log_is_of_session(identity, out)) out[0] = '\0';
}

void lt_log_session_of_name(const char *name, char out[64]) {
    session_of((struct lt_str){name, strlen(name) - (sizeof LT_LOG_SUFFIX - 1)}, out);
}

static int add(struct lt_log_list *list, size_t *capacity, const char *folder, const char *name, const char *session, struct litmus_error *error) {
    if (list->count == *capacity) {
        size_t larger = *capacity == 0 ? 64 : *capacity * 2;
        struct lt_log_file *files = realloc(list->files, larger * sizeof *files);
        if (files == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing %s", folder);
        list->files = files;
        *capacity = larger;
    }
    struct lt_log_file *file = &list->files[list->count];
    size_t bytes = strlen(folder) + strlen(name) + 2;
    file->path = malloc(bytes);
    if (file->path == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing %s", folder);
    snprintf(file->path, bytes, "%s/%s", folder, name);
    lt_log_session_of_name(name, file->session);
    size_t n = session == NULL ? 0 : strlen(session);
    if (file->session[0] == '\0' && n < sizeof file->session) memcpy(file->session, session == NULL ? "" : session, n + 1);
    list->count++;
    return LITMUS_OK;
}

static bool wanted(const struct dirent *entry, const char *session) {
    struct lt_str name = lt_str_of(entry->d_name), suffix = LT_STR(LT_LOG_SUFFIX);
    if (name.p[0] == '.' || !lt_str_ends(name, suffix)) return false;
    if (entry->d_type != DT_REG && entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN) return false;
    return session == NULL || lt_log_is_of_session((struct lt_str){name.p, name.n - suffix.n}, session);
}

struct finding {
    const char *session; /* or NULL */
    struct lt_log_list *list;
    size_t capacity;
    lt_log_refused *refused; /* or NULL */
    void *self;
};

int lt_log_list_take(struct lt_log_list *list, size_t *capacity, const char *folder, const struct dirent *entry, const char *session, struct litmus_error *error) {
    return wanted(entry, session) ? add(list, capacity, folder, entry->d_name, session, error) : LITMUS_OK;
}

static int take(void *context, const char *folder, const struct dirent *entry, struct litmus_error *error) {
    struct finding *f = context;
    return lt_log_list_take(f->list, &f->capacity, folder, entry, f->session, error);
}

static void pass_over(void *context, const char *folder, const struct litmus_error *why) {
    const struct finding *f = context;
    f->refused(f->self, folder, why);
}

int lt_log_path_order(const char *a, const char *b) {
    const char *x = strrchr(a, '/'), *y = strrchr(b, '/');
    int order = strcmp(x == NULL ? a : x + 1, y == NULL ? b : y + 1);
    return order != 0 ? order : strcmp(a, b);
}

static int by_path(const void *a, const void *b) {
    return lt_log_path_order(((const struct lt_log_file *)a)->path, ((const struct lt_log_file *)b)->path);
}

void lt_log_list_sort(struct lt_log_list *list) {
    if (list->count > 1) qsort(list->files, list->count, sizeof *list->files, by_path);
}

int lt_log_find(const char *data_dir, const char *session_id, struct lt_log_list *out, struct litmus_error *error) {
    return lt_log_find_readable(data_dir, session_id, NULL, NULL, out, error);
}

int lt_log_find_readable(const char *data_dir, const char *session_id, lt_log_refused *refused, void *self, struct lt_log_list *out, struct litmus_error *error) {
    *out = (struct lt_log_list){0};
    char *absolute = realpath(data_dir, NULL);
    if (absolute == NULL) return errno == ENOENT ? LITMUS_OK : lt_fail_os(error, errno, "find", data_dir);
    struct finding finding = {.session = session_id, .list = out, .refused = refused, .self = self};
    int code = lt_io_list_days(absolute, "events", NULL, take, refused == NULL ? NULL : pass_over, &finding, error);
    if (code != LITMUS_OK) lt_log_list_release(out);
    else lt_log_list_sort(out);
    free(absolute);
    return code;
}

void lt_log_list_release(struct lt_log_list *list) {
    for (size_t i = 0; i < list->count; i++) free(list->files[i].path);
    free(list->files);
    *list = (struct lt_log_list){0};
}

bool lt_log_is_gone(const char *data_dir, const char *session_id) {
    struct lt_log_list list;
    bool gone = lt_log_find(data_dir, session_id, &list, NULL) == LITMUS_OK && list.count == 0;
    lt_log_list_release(&list);
    return gone;
}

static int by_session(const void *a, const void *b) {
    int order = strcmp(((const struct lt_log_file *)a)->session, ((const struct lt_log_file *)b)->session);
    return order != 0 ? order : by_path(a, b);
}

void lt_log_list_by_session(struct lt_log_list *list) {
    if (list->count > 1) qsort(list->files, list->count, sizeof *list->files, by_session);
}

struct lt_log_list lt_log_list_part(const struct lt_log_list *list, const char *session_id) {
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(list->files[middle].session, session_id) < 0) low = middle + 1;
        else high = middle;
    }
    while (high < list->count && strcmp(list->files[high].session, session_id) == 0) high++;
    return (struct lt_log_list){list->files + low, high - low};
}
