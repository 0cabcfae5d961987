/* SPDX-License-Identifier: Apache-2.0
 *
 * find.c - which channel files there are, and which of them a URI names.
 */
#include "base/grow.h"
#include "base/io.h"
#include "base/uuid.h"
#include "channel/channel.h"
#include "log/format.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int add(struct lt_channel_set *set, size_t *capacity, const char *path, size_t *bad, struct litmus_error *error) {
    struct lt_channel_file **files = lt_grow_list(set->files, set->count, capacity, sizeof *files);
    if (files == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory listing channels");
    set->files = files;
    int code = lt_channel_file_open(path, &files[set->count], NULL);
    if (code == LITMUS_OK) lt_channel_file_rest(files[set->count++]); /* there may be more of them than a process may open */
    else if (bad != NULL) ++*bad;
    return code == LITMUS_ENOMEM ? lt_fail(error, code, 0, "out of memory for %s", path) : LITMUS_OK;
}

const char *lt_channel_name_of(const char *path) {
    const char *name = strrchr(path, '/');
    if (name == NULL) return path;
    while (name > path && name[-1] != '/') name--;
    return name;
}

enum lt_channel_kind lt_channel_kind(const char *path, const char *session_id) {
    const struct lt_str tail = LT_STR(".tail");
    const char *slash = strrchr(path, '/');
    struct lt_str name = lt_str_of(slash == NULL ? path : slash + 1);
    bool hidden = name.p[0] == '.';
    if (hidden) {
        name = (struct lt_str){name.p + 1, name.n - 1};
        if (!lt_str_ends(name, tail)) return LT_CHANNEL_OTHER;
        name.n -= tail.n;
    }
    bool ours = lt_str_ends(name, LT_STR(LT_LOG_SUFFIX)) && (session_id == NULL || strncmp(name.p, session_id, strlen(session_id)) == 0);
    return !ours ? LT_CHANNEL_OTHER : hidden ? LT_CHANNEL_TAIL_FILE : LT_CHANNEL_FILE;
}

struct finding {
    const char *session; /* or NULL */
    struct lt_channel_set *set;
    size_t capacity, *bad;
    struct lt_buf path;
};

static int take(void *context, const char *folder, const struct dirent *entry, struct litmus_error *error) {
    struct finding *f = context;
    if (lt_channel_kind(entry->d_name, f->session) != LT_CHANNEL_FILE) return LITMUS_OK;
    lt_path_join(&f->path, folder, entry->d_name);
    return f->path.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : add(f->set, &f->capacity, f->path.p, f->bad, error);
}

static int by_place(const void *a, const void *b) {
    const struct lt_channel_file *one = *(struct lt_channel_file *const *)a, *two = *(struct lt_channel_file *const *)b;
    int order = strcmp(one->about.session_id, two->about.session_id);
    if (order == 0) order = strcmp(one->about.channel_id, two->about.channel_id);
    return order != 0 ? order : strcmp(one->path, two->path);
}

int lt_channel_find(const char *data_dir, const char *session_id, struct lt_channel_set *out, size_t *bad, struct litmus_error *error) {
    struct finding finding = {.session = session_id, .set = out, .bad = bad};
    lt_buf_init(&finding.path);
    *out = (struct lt_channel_set){0};
    if (bad != NULL) *bad = 0;
    int code = lt_io_list_days(data_dir, "channels", NULL, take, NULL, &finding, error);
    if (code == LITMUS_OK && out->count > 1) qsort(out->files, out->count, sizeof *out->files, by_place);
    if (code != LITMUS_OK) lt_channel_set_release(out);
    lt_buf_release(&finding.path);
    return code;
}

void lt_channel_set_release(struct lt_channel_set *set) {
    for (size_t i = 0; i < set->count; i++) lt_channel_file_free(set->files[i]);
    free(set->files);
    *set = (struct lt_channel_set){0};
}

/* ---- the URI ---- */
#define SCHEME "channel://"

void lt_channel_uri(const char *channel_id, const char *session_id, char out[400]) {
    size_t n = (size_t)snprintf(out, 400, SCHEME);
    for (const char *p = channel_id; *p != '\0' && n < 300; p++) {
        bool escape = strchr("?#% ", *p) != NULL;
        n += (size_t)snprintf(out + n, 400 - n, escape ? "%%%02X" : "%c", (unsigned)(unsigned char)*p);
    }
    snprintf(out + n, 400 - n, "?session=%s", session_id);
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* false: too long, or no URI of ours though it begins like one. Without the scheme it is a bare id. */
static bool uri_parse(const char *uri, char id[LT_CHANNEL_ID_BYTES], char session[64]) {
    session[0] = '\0';
    size_t n = 0;
    if (strncmp(uri, SCHEME, strlen(SCHEME)) != 0) return strlen(uri) > 0 && snprintf(id, LT_CHANNEL_ID_BYTES, "%s", uri) < LT_CHANNEL_ID_BYTES;
    const char *p = uri + strlen(SCHEME);
    for (; *p != '\0' && *p != '?'; p++, n++) {
        if (n == LT_CHANNEL_ID_BYTES - 1) return false;
        bool escaped = p[0] == '%' && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0;
        id[n] = escaped ? (char)(hex_digit(p[1]) * 16 + hex_digit(p[2])) : *p;
        if (escaped) p += 2;
    }
    id[n] = '\0';
    if (*p == '\0') return n > 0;
    if (strncmp(p, "?session=", 9) != 0 || strlen(p + 9) >= 64) return false;
    snprintf(session, 64, "%s", p + 9);
    return n > 0 && lt_uuid_valid(lt_str_of(session));
}

static int64_t first_time(const struct lt_channel_file *file) {
    return file->count > 0 ? file->places[0].row.time : file->tail.count > 0 ? file->tail.times[0] : INT64_MAX;
}

static int64_t last_time(const struct lt_channel_file *file) {
    if (file->tail.count > 0) return file->tail.times[file->tail.count - 1];
    return file->count > 0 ? file->places[file->count - 1].row.time_last : INT64_MIN;
}

static int by_first_sample(const void *a, const void *b) {
    const struct lt_channel_file *one = *(struct lt_channel_file *const *)a, *two = *(struct lt_channel_file *const *)b;
    int64_t x = first_time(one), y = first_time(two);
    return x < y ? -1 : x > y ? 1 : strcmp(one->path, two->path);
}

/* Without a session: that of the file whose last sample is the latest. */
static void choose_session(const struct lt_channel_set *all, const char *id, char session[64]) {
    int64_t latest = INT64_MIN;
    for (size_t i = 0; i < all->count; i++) {
        const struct lt_channel_file *file = all->files[i];
        if (strcmp(file->about.channel_id, id) != 0 || (session[0] != '\0' && last_time(file) < latest)) continue;
        latest = last_time(file);
        memcpy(session, file->about.session_id, sizeof file->about.session_id);
    }
}

int lt_channel_set_open(const char *data_dir, const char *uri, struct lt_channel_set *out, struct litmus_error *error) {
    char id[LT_CHANNEL_ID_BYTES], session[64];
    *out = (struct lt_channel_set){0};
    if (!uri_parse(uri, id, session)) return lt_fail(error, LITMUS_EINVAL, 0, "\"%.200s\" is no channel: give its id, or channel://{id}?session={session id}", uri);
    size_t bad = 0;
    int code = lt_channel_find(data_dir, session[0] == '\0' ? NULL : session, out, &bad, error);
    if (code != LITMUS_OK) return code;
    if (session[0] == '\0') choose_session(out, id, session);
    size_t kept = 0;
    for (size_t i = 0; i < out->count; i++) {
        struct lt_channel_file *file = out->files[i];
        if (strcmp(file->about.channel_id, id) == 0 && strcmp(file->about.session_id, session) == 0) out->files[kept++] = file;
        else lt_channel_file_free(file);
    }
    out->count = kept;
    if (kept == 0) {
        lt_channel_set_release(out);
        return lt_fail(error, LITMUS_ENOENT, 0, "there is no channel %s below %s/channels%s; `litmus channel ls` lists them", uri, data_dir,
                       bad > 0 ? " (some files there cannot be read)" : "");
    }
    qsort(out->files, kept, sizeof *out->files, by_first_sample);
    for (size_t i = 1; i < kept; i++)
        if (out->files[i]->about.type != out->files[0]->about.type) {
            code = lt_fail(error, LITMUS_EINVAL, 0, "channel %s has files of %s and of %s: read them one by one", uri, lt_type_name(out->files[0]->about.type),
                           lt_type_name(out->files[i]->about.type));
            break;
        }
    for (size_t i = 0; code == LITMUS_OK && i < kept; i++) code = lt_channel_file_wake(out->files[i], error);
    if (code == LITMUS_OK) lt_channel_uri(id, session, out->uri);
    else lt_channel_set_release(out);
    return code;
}

void lt_channel_set_span(const struct lt_channel_set *set, struct lt_channel_span *out) {
    *out = (struct lt_channel_span){.first = INT64_MAX, .last = INT64_MIN, .sealed = true};
    for (size_t i = 0; i < set->count; i++) {
        const struct lt_channel_file *file = set->files[i];
        for (size_t p = 0; p < file->count; p++) {
            out->samples += file->places[p].row.count;
            if (file->places[p].row.time < out->first) out->first = file->places[p].row.time;
            if (file->places[p].row.time_last > out->last) out->last = file->places[p].row.time_last;
        }
        out->samples += file->tail.count;
        if (first_time(file) < out->first) out->first = first_time(file);
        if (last_time(file) > out->last) out->last = last_time(file);
        out->live = out->live || file->live;
        out->sealed = out->sealed && file->sealed;
        out->damaged_bytes += file->damaged_bytes;
    }
}
