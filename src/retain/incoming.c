/* SPDX-License-Identifier: Apache-2.0 */
#include "retain/incoming.h"

#include "base/clock.h"
#include "base/grow.h"
#include "base/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yyjson.h>

enum { SESSION_TEXT = LT_UUID_BYTES - 1 };

static int out_of_memory(struct litmus_error *error) {
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for what is to come");
}

/* ---- what there is ---- */

/* "events/2026-05-16/{session}..." -> "{session}...", which may be a folder (of attachments); NULL: none of ours. */
static const char *name_of(const char *path) {
    const char *day = strchr(path, '/'), *name = day == NULL ? NULL : strchr(day + 1, '/');
    if (name == NULL || strlen(++name) <= SESSION_TEXT) return NULL;
    bool ends = strchr("-_.", name[SESSION_TEXT]) != NULL;
    return ends && lt_uuid_valid((struct lt_str){name, SESSION_TEXT}) ? name : NULL;
}

static bool is_log(const char *path) {
    return strncmp(path, "events/", 7) == 0 && strchr(name_of(path), '/') == NULL && lt_str_ends(lt_str_of(path), LT_STR(LT_LOG_SUFFIX));
}

static bool is_hidden(const char *path) {
    return strrchr(path, '/')[1] == '.'; /* of somebody who was about to make a file */
}

static int add_file(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    struct lt_incoming *in = self;
    if (S_ISDIR(st->st_mode) || is_hidden(path)) return LITMUS_OK;
    bool ours = S_ISREG(st->st_mode) && name_of(path) != NULL;
    if (!ours && in->strays++ > 0) return LITMUS_OK;
    char *copy = strdup(path);
    if (copy == NULL) return out_of_memory(error);
    if (!ours) {
        in->stray = copy;
        return LITMUS_OK;
    }
    struct lt_incoming_file *files = lt_grow_list(in->files, in->file_count, &in->file_capacity, sizeof *files);
    if (files == NULL) {
        free(copy);
        return out_of_memory(error);
    }
    in->files = files;
    in->files[in->file_count++] = (struct lt_incoming_file){.path = copy, .bytes = st->st_size, .is_log = is_log(copy)};
    return LITMUS_OK;
}

static int by_session(const void *a, const void *b) {
    const struct lt_incoming_file *left = a, *right = b;
    int order = memcmp(name_of(left->path), name_of(right->path), SESSION_TEXT);
    return order != 0 ? order : lt_log_path_order(left->path, right->path);
}

static int make_sessions(struct lt_incoming *in, struct litmus_error *error) {
    if (in->file_count > 1) qsort(in->files, in->file_count, sizeof *in->files, by_session);
    in->sessions = calloc(in->file_count + 1, sizeof *in->sessions);
    if (in->sessions == NULL) return out_of_memory(error);
    for (size_t i = 0; i < in->file_count; i++) {
        const char *name = name_of(in->files[i].path);
        struct lt_incoming_session *last = in->session_count == 0 ? NULL : &in->sessions[in->session_count - 1];
        if (last == NULL || memcmp(last->id, name, SESSION_TEXT) != 0) {
            last = &in->sessions[in->session_count++];
            *last = (struct lt_incoming_session){.files = &in->files[i]};
            memcpy(last->id, name, SESSION_TEXT);
        }
        last->file_count++;
    }
    return LITMUS_OK;
}

static int by_text(const void *a, const void *b) {
    return strcmp(a, b);
}

static int list_pruned(struct lt_incoming *in, struct lt_query *here, struct litmus_error *error) {
    struct lt_event_filter filter = {.event_type = "retention.pruned", .since = LT_TIME_NONE};
    struct lt_table events;
    int code = lt_query_events(here, &filter, &events, error);
    if (code != LITMUS_OK) return code;
    int64_t column = lt_table_find(&events, "json"), rows = lt_table_rows(&events);
    in->pruned = calloc((size_t)rows + 1, sizeof *in->pruned);
    for (int64_t i = 0; in->pruned != NULL && i < rows; i++) {
        struct lt_str json = lt_table_str(&events, column, i);
        yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
        const char *id = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "pruned_session_id"));
        if (id != NULL && strlen(id) == SESSION_TEXT) memcpy(in->pruned[in->pruned_count++], id, SESSION_TEXT);
        yyjson_doc_free(doc);
    }
    lt_table_release(&events);
    if (in->pruned == NULL) return out_of_memory(error);
    if (in->pruned_count > 1) qsort(in->pruned, in->pruned_count, sizeof *in->pruned, by_text);
    return LITMUS_OK;
}

int lt_incoming_list(const char *data_dir, const char *from, struct lt_query *here, struct lt_incoming *out, struct litmus_error *error) {
    *out = (struct lt_incoming){.data_dir = data_dir, .from = from};
    int code = lt_tree_walk(from, "channels", add_file, out, error);
    if (code == LITMUS_OK) code = lt_tree_walk(from, "events", add_file, out, error);
    if (code == LITMUS_OK) code = make_sessions(out, error);
    return code == LITMUS_OK ? list_pruned(out, here, error) : code;
}

void lt_incoming_release(struct lt_incoming *in) {
    for (size_t i = 0; i < in->file_count; i++) free(in->files[i].path);
    free(in->files);
    free(in->sessions);
    free(in->pruned);
    free(in->stray);
    *in = (struct lt_incoming){0};
}

/* ---- one session ---- */

int lt_log_state_read(const char *path, struct lt_log_state *out, struct litmus_error *error) {
    struct lt_log_reader *reader = NULL;
    struct lt_row row;
    *out = (struct lt_log_state){0};
    int code = lt_log_reader_open(path, &reader, error);
    if (code != LITMUS_OK) return code;
    lt_log_reader_check_chain(reader);
    while ((out->end = lt_log_next(reader, &row, error)) == LT_LOG_EVENT || out->end == LT_LOG_DAMAGED)
        if (out->end == LT_LOG_DAMAGED) out->damaged = true;
    if (out->end == LT_LOG_FAILED) code = error->code == LITMUS_OK ? LITMUS_EIO : error->code;
    if (!lt_log_reader_chain_ok(reader)) out->damaged = true;
    out->head = lt_log_reader_head(reader);
    out->seal = lt_log_reader_seal(reader);
    lt_log_reader_free(reader);
    return code;
}

static int open_plain(const char *path, struct litmus_error *why) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) lt_fail_os(why, errno, "open", path);
    return fd;
}

static bool same_file(const char *left, const char *right, struct litmus_error *why) {
    int a = open_plain(left, why), b = open_plain(right, why);
    int same = a >= 0 && b >= 0 ? lt_io_same(a, 0, b, 0) : 0;
    if (same < 0) lt_fail_os(why, errno, "read", left);
    if (a >= 0) close(a);
    if (b >= 0) close(b);
    return same > 0;
}

/* A log is the same when it ends the same: one of the two may be archived, or sealed after its producer's death. A
 * channel's file that was still open on one side was finished on the other. */
static bool says_the_same(const struct lt_incoming_file *file, const char *there, const char *here, struct litmus_error *why) {
    struct lt_log_state left, right;
    if (same_file(there, here, why)) return true;
    if (why->code != LITMUS_OK) return false;
    if (!file->is_log) return strncmp(file->path, "channels/", 9) == 0 && !(lt_log_is_sealed(there) && lt_log_is_sealed(here));
    if (lt_log_state_read(there, &left, why) != LITMUS_OK || lt_log_state_read(here, &right, why) != LITMUS_OK) return false;
    return left.head.rows == right.head.rows && strcmp(left.head.identity, right.head.identity) == 0 &&
           memcmp(left.head.chain, right.head.chain, sizeof left.head.chain) == 0;
}

static enum lt_incoming_verdict look_at_file(struct lt_incoming_file *file, const char *there, const char *here, struct litmus_error *why) {
    struct lt_log_state state;
    struct stat st;
    file->fresh = lstat(here, &st) != 0;
    if (lt_log_life(there, NULL) == LT_LIFE_WRITING) {
        lt_fail(why, LITMUS_EBUSY, 0, "a process still writes %s: import again when it has ended", there);
        return LT_INCOMING_LIVE;
    }
    struct litmus_error cannot = {0};
    if (!file->fresh && !says_the_same(file, there, here, &cannot)) {
        if (lt_error_is_refusal(&cannot)) {
            lt_fail_with(why, &cannot);
            return LT_INCOMING_UNREADABLE;
        }
        lt_fail(why, LITMUS_EDAMAGED, 0, "%s and %s say different things: litmus verify --all in both data_dirs, then move the wrong one elsewhere", there, here);
        return LT_INCOMING_DIFFERS;
    }
    if (file->fresh && file->is_log && lt_log_state_read(there, &state, why) != LITMUS_OK) return LT_INCOMING_UNREADABLE;
    if (file->fresh && !file->is_log) {
        int fd = open_plain(there, why);
        if (fd < 0) return LT_INCOMING_UNREADABLE;
        close(fd);
    }
    return file->fresh ? LT_INCOMING_NEW : LT_INCOMING_KNOWN;
}

static bool was_pruned(const struct lt_incoming *in, const struct lt_incoming_session *session) {
    return bsearch(session->id, in->pruned, in->pruned_count, sizeof *in->pruned, by_text) != NULL;
}

int lt_incoming_look(const struct lt_incoming *in, struct lt_incoming_session *session, enum lt_incoming_verdict *verdict, struct litmus_error *why,
                     struct litmus_error *error) {
    struct lt_buf there, here;
    lt_buf_init(&there);
    lt_buf_init(&here);
    *verdict = LT_INCOMING_KNOWN;
    int code = LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < session->file_count; i++) {
        struct lt_incoming_file *file = &session->files[i];
        const char *from = lt_path_join(&there, in->from, file->path), *to = lt_path_join(&here, in->data_dir, file->path);
        enum lt_incoming_verdict one = LT_INCOMING_KNOWN;
        if (there.failed || here.failed) code = out_of_memory(error);
        else one = look_at_file(file, from, to, why);
        if (one > LT_INCOMING_KNOWN || (one == LT_INCOMING_NEW && *verdict == LT_INCOMING_KNOWN)) *verdict = one;
        if (one > LT_INCOMING_KNOWN) break;
    }
    if (*verdict == LT_INCOMING_NEW && was_pruned(in, session)) {
        *verdict = LT_INCOMING_PRUNED;
        lt_fail(why, LITMUS_ESTATE, 0, "session %s was removed here by litmus prune, which is on record: it is not taken in again", session->id);
    }
    lt_buf_release(&there);
    lt_buf_release(&here);
    return code;
}
