/* SPDX-License-Identifier: Apache-2.0 */
#include "retain/prune.h"

#include "base/clock.h"
#include "base/json_text.h"
#include "base/tree.h"
#include "base/uuid.h"
#include "emit/session.h"
#include "litmus.h"
#include "materialize/attachments.h"
#include "materialize/changeset.h"
#include "materialize/range_lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SESSION_TEXT = LT_UUID_BYTES - 1 };

struct taken {
    struct lt_survey survey;
    int64_t bytes;
};

struct lt_prune {
    const char *policy; /* borrowed */
    char *data_dir;
    int64_t limit;
    bool dry;
    int lock_fd, staging_fd;
    struct lt_log_index *index;
    struct taken sessions[LT_PRUNE_SESSIONS_MAX];
    size_t count;
    int64_t runs, bytes;
    struct lt_map by_id; /* of sessions; keys are in surveys */
    /* while it is applied */
    struct lt_changeset changes;
    struct lt_buf day; /* folder of a day from which something goes */
    int64_t files;
};

int lt_prune_new(const char *data_dir, const char *policy, int64_t limit, bool dry, struct lt_prune **out, struct litmus_error *error) {
    struct lt_prune *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory");
    *p = (struct lt_prune){.policy = policy, .limit = limit, .dry = dry, .lock_fd = -1, .staging_fd = -1, .data_dir = strdup(data_dir)};
    lt_map_init(&p->by_id);
    lt_changeset_init(&p->changes);
    lt_buf_init(&p->day);
    int code = p->data_dir == NULL ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory") : LITMUS_OK;
    if (code == LITMUS_OK && !dry) code = lt_changeset_begin(data_dir, &p->staging_fd, error);
    if (code == LITMUS_OK) p->lock_fd = lt_range_lock_open(data_dir);
    p->index = lt_log_index_new(data_dir);
    if (code == LITMUS_OK) *out = p;
    else lt_prune_free(p);
    return code;
}

static void forget(struct lt_prune *p) {
    for (size_t i = 0; i < p->count; i++) {
        lt_range_unlock(p->lock_fd, "session", lt_str_of(p->sessions[i].survey.session_id));
        lt_survey_release(&p->sessions[i].survey);
    }
    p->count = 0;
    p->runs = p->bytes = p->files = 0;
    lt_map_release(&p->by_id);
    lt_map_init(&p->by_id);
    lt_changeset_release(&p->changes);
    lt_changeset_init(&p->changes);
}

void lt_prune_free(struct lt_prune *p) {
    if (p == NULL) return;
    forget(p);
    if (p->staging_fd >= 0) lt_changeset_end(p->data_dir, p->staging_fd);
    if (p->lock_fd >= 0) close(p->lock_fd);
    lt_log_index_free(p->index);
    lt_map_release(&p->by_id);
    lt_changeset_release(&p->changes);
    lt_buf_release(&p->day);
    free(p->data_dir);
    free(p);
}

/* ---- which ---- */

static int take(struct lt_prune *p, struct lt_survey *survey, struct litmus_error *error) {
    struct taken *taken = &p->sessions[p->count];
    *taken = (struct taken){.survey = *survey};
    if (!lt_map_put(&p->by_id, lt_str_of(taken->survey.session_id), 0, (uint32_t)p->count))
        return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for session %s", survey->session_id);
    for (size_t i = 0; i < survey->log_count; i++) taken->bytes += survey->logs[i].bytes;
    p->bytes += taken->bytes;
    p->runs += (int64_t)survey->run_count;
    p->count++;
    *survey = (struct lt_survey){0}; /* handed over */
    return LITMUS_OK;
}

/* A destination from a log need not be one of ours. */
static bool files_are_usable(const struct lt_survey *survey) {
    struct lt_changeset scratch;
    bool usable = true;
    lt_changeset_init(&scratch);
    for (size_t i = 0; usable && i < survey->run_count; i++)
        usable = strncmp(survey->runs[i].file, "runs/", 5) == 0 && lt_changeset_remove(&scratch, survey->runs[i].file, NULL) == LITMUS_OK;
    lt_changeset_release(&scratch);
    return usable;
}

int lt_prune_look(struct lt_prune *p, const char *session_id, enum lt_hindrance *hindrance, struct litmus_error *error) {
    struct lt_survey survey = {0};
    struct lt_str id = lt_str_of(session_id);
    *hindrance = LT_HINDRANCE_NONE;
    if (p->count == LT_PRUNE_SESSIONS_MAX) return lt_fail(error, LITMUS_ESTATE, 0, "%d sessions are to go already: apply first", (int)LT_PRUNE_SESSIONS_MAX);
    lt_range_lock(p->lock_fd, "session", id);
    int code = lt_survey_session(p->data_dir, p->index, session_id, p->limit, &survey, error);
    *hindrance = survey.hindrance;
    if (*hindrance == LT_HINDRANCE_NONE && (survey.tells_of_pruning || !lt_uuid_valid(id))) *hindrance = LT_HINDRANCE_RECORD;
    else if (*hindrance == LT_HINDRANCE_NONE && !files_are_usable(&survey)) *hindrance = LT_HINDRANCE_DAMAGED;
    if (code == LITMUS_OK && *hindrance == LT_HINDRANCE_NONE) code = take(p, &survey, error);
    else lt_range_unlock(p->lock_fd, "session", id);
    lt_survey_release(&survey);
    return code;
}

struct lt_pruned lt_prune_pending(const struct lt_prune *p) {
    return (struct lt_pruned){.sessions = (int64_t)p->count, .runs = p->runs, .files = p->files, .bytes = p->bytes};
}

/* ---- what stays of it ---- */

static void describe(const struct lt_prune *p, const struct taken *taken, struct lt_buf *out) {
    const struct lt_survey *s = &taken->survey;
    char at[LT_ISO_BYTES];
    lt_buf_addf(out, "{\"pruned_session_id\":\"%s\",\"policy\":", s->session_id);
    lt_json_str(out, lt_str_of(p->policy));
    if (s->last_at != LT_TIME_NONE) {
        lt_time_iso(s->last_at, at);
        lt_buf_addf(out, ",\"last_event_at\":\"%s\"", at);
    }
    lt_buf_addf(out, ",\"bytes\":%lld,\"logs\":[", (long long)taken->bytes);
    for (size_t i = 0; i < s->log_count; i++) {
        lt_buf_add_text(out, i == 0 ? "{\"identity\":" : ",{\"identity\":");
        lt_json_str(out, lt_str_of(s->logs[i].identity));
        lt_buf_addf(out, ",\"rows\":%lld,\"chain\":\"%s\"}", (long long)s->logs[i].rows, s->logs[i].chain);
    }
    lt_buf_add_text(out, "],\"runs\":[");
    for (size_t i = 0; i < s->run_count; i++) {
        lt_buf_add_text(out, i == 0 ? "{\"run_id\":" : ",{\"run_id\":");
        lt_json_str(out, lt_str_of(s->runs[i].run_id));
        lt_buf_add_text(out, ",\"file\":");
        lt_json_str(out, lt_str_of(s->runs[i].file));
        lt_buf_add_char(out, '}');
    }
    lt_buf_add_text(out, "]}");
}

/* A session in staging/, which comes as the others go. */
static int record(const struct lt_prune *p, struct litmus_error *error) {
    struct lt_buf staging, payload;
    litmus_session *session = NULL;
    lt_buf_init(&staging);
    lt_buf_init(&payload);
    struct litmus_session_options options = {.data_dir = lt_path_join(&staging, p->data_dir, LT_STAGING), .no_daemon = true, .durability = LITMUS_DURABILITY_EACH,
                                             .payload_json = "{\"client\":\"litmus prune\",\"session_type\":\"retention\"}"};
    int code = lt_session_open_for(&options, p->data_dir, &session, error);
    for (size_t i = 0; code == LITMUS_OK && i < p->count; i++) {
        lt_buf_clear(&payload);
        describe(p, &p->sessions[i], &payload);
        struct litmus_event event = {.event_type = "retention.pruned", .payload = lt_buf_cstr(&payload), .payload_bytes = payload.n};
        code = payload.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory") : litmus_emit(session, &event, NULL, error);
    }
    int closed = litmus_session_close(session, NULL, code == LITMUS_OK ? error : NULL);
    lt_buf_release(&staging);
    lt_buf_release(&payload);
    return code != LITMUS_OK ? code : closed;
}

static int add_staged(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    struct lt_prune *p = self;
    return S_ISREG(st->st_mode) ? lt_changeset_move(&p->changes, path, path + strlen(LT_STAGING "/"), error) : LITMUS_OK;
}

/* ---- what goes ---- */

/* "events/2026-05-16/{session}..." -> the session's number, LT_MAP_NONE: none of ours. */
static uint32_t session_of(const struct lt_prune *p, const char *path) {
    const char *day = strchr(path, '/'), *name = day == NULL ? NULL : strchr(day + 1, '/');
    if (name != NULL && name[1] == '.') name++; /* half a file, of an archive or a recovery that was killed, holds its events */
    if (name == NULL || strlen(++name) < SESSION_TEXT || (name[SESSION_TEXT] != '\0' && strchr("-_.", name[SESSION_TEXT]) == NULL)) return LT_MAP_NONE;
    return lt_map_get(&p->by_id, (struct lt_str){name, SESSION_TEXT}, 0);
}

static bool is_recent(const char *day) {
    char today[LT_ISO_BYTES], yesterday[LT_ISO_BYTES];
    int64_t now = lt_now_us();
    lt_time_date(now, today);
    lt_time_date(now - INT64_C(86400) * 1000000, yesterday);
    const char *name = strrchr(day, '/') + 1;
    return strcmp(name, today) >= 0 || strcmp(name, yesterday) == 0;
}

/* The folder of a day goes with the last of its files, but never one in which somebody may just begin a log. */
static int drop(struct lt_prune *p, const char *path, const struct stat *st, struct litmus_error *error) {
    if (S_ISDIR(st->st_mode)) return lt_changeset_remove_folder(&p->changes, path, error);
    lt_buf_clear(&p->day);
    lt_buf_add(&p->day, path, (size_t)(strchr(strchr(path, '/') + 1, '/') - path));
    p->files++;
    return lt_changeset_remove(&p->changes, path, error);
}

static int add_of_session(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    struct lt_prune *p = self;
    if (session_of(p, path) != LT_MAP_NONE) return drop(p, path, st, error);
    bool emptied = S_ISDIR(st->st_mode) && p->day.n > 0 && strcmp(path, lt_buf_cstr(&p->day)) == 0 && !is_recent(path);
    return emptied ? lt_changeset_remove_folder(&p->changes, path, error) : LITMUS_OK;
}

static int add_attachment(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    return drop(self, path, st, error);
}

/* Half a file of the run, of somebody who was killed while it was made. */
static int add_half_made(struct lt_prune *p, const char *folder, const char *run_id, struct litmus_error *error) {
    struct lt_buf name, path;
    lt_buf_init(&name);
    lt_buf_init(&path);
    lt_buf_addf(&name, "%s/.%s.tmp", folder, run_id);
    bool there = lt_uuid_valid(lt_str_of(run_id)) && access(lt_path_join(&path, p->data_dir, lt_buf_cstr(&name)), F_OK) == 0;
    int code = there ? lt_changeset_remove(&p->changes, lt_buf_cstr(&name), error) : LITMUS_OK;
    lt_buf_release(&name);
    lt_buf_release(&path);
    return code;
}

/* The run's file, and the folder of its attachments beside it. */
static int add_run(struct lt_prune *p, const struct lt_surveyed_run *run, struct litmus_error *error) {
    struct lt_buf folder, attached;
    lt_buf_init(&folder);
    lt_buf_init(&attached);
    const char *slash = strrchr(run->file, '/');
    lt_buf_add(&folder, run->file, slash == NULL ? 0 : (size_t)(slash - run->file));
    lt_attachments_folder(run->file, &attached);
    int code = lt_changeset_remove(&p->changes, run->file, error);
    p->files++;
    if (code == LITMUS_OK) code = add_half_made(p, lt_buf_cstr(&folder), run->run_id, error);
    if (code == LITMUS_OK) code = lt_tree_walk(p->data_dir, lt_buf_cstr(&attached), add_attachment, p, error);
    if (code == LITMUS_OK) code = lt_changeset_remove_folder(&p->changes, lt_buf_cstr(&attached), error);
    if (code == LITMUS_OK && slash != NULL && !is_recent(lt_buf_cstr(&folder))) code = lt_changeset_remove_folder(&p->changes, lt_buf_cstr(&folder), error);
    lt_buf_release(&folder);
    lt_buf_release(&attached);
    return code;
}

static int list_changes(struct lt_prune *p, struct litmus_error *error) {
    int code = lt_tree_walk(p->data_dir, LT_STAGING "/events", add_staged, p, error);
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; code == LITMUS_OK && k < p->sessions[i].survey.run_count; k++) code = add_run(p, &p->sessions[i].survey.runs[k], error);
    if (code == LITMUS_OK) code = lt_tree_walk(p->data_dir, "channels", add_of_session, p, error);
    return code == LITMUS_OK ? lt_tree_walk(p->data_dir, "events", add_of_session, p, error) : code;
}

/* Who relies on places in the logs looks again. */
static void raise_numbers(struct lt_prune *p) {
    for (size_t i = 0; i < p->count; i++) (void)!lt_range_raise(p->lock_fd, lt_str_of(p->sessions[i].survey.session_id));
}

int lt_prune_apply(struct lt_prune *p, struct litmus_error *error) {
    int code = LITMUS_OK;
    if (p->count == 0 || p->dry) {
        forget(p);
        return code;
    }
    raise_numbers(p);
    lt_changeset_clear_staging(p->data_dir); /* of what an earlier call began and did not apply */
    code = record(p, error);
    if (code == LITMUS_OK) code = list_changes(p, error);
    if (code == LITMUS_OK) code = lt_changeset_apply(NULL, p->data_dir, &p->changes, error);
    raise_numbers(p);
    lt_changeset_clear_staging(p->data_dir);
    forget(p);
    return code;
}
