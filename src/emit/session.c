/* SPDX-License-Identifier: Apache-2.0
 *
 * A producer's session: check, complete, append. Closing waits for the runs' files.
 */
#include "emit/session.h"

#include "base/config.h"
#include "base/json_text.h"
#include "base/portable.h"
#include "base/process.h"
#include "emit/durability.h"
#include "model/outcome.h"
#include "serve/daemon.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CLOSE_TIMEOUT_MS = 10000 };

const char *litmus_session_id(const litmus_session *session) {
    return session == NULL ? NULL : session->session_id;
}

const char *litmus_session_data_dir(const litmus_session *session) {
    return session == NULL ? NULL : session->data_dir;
}

/* Whatever came of it: without a daemon nothing is lost, close() does its work. */
static void daemon_started(struct lt_session_shared *shared) {
    if (shared->starting > 0) (void)!lt_spawn_finish("litmus", shared->starting, NULL);
    shared->starting = 0;
}

static void session_free(litmus_session *session) {
    if (session == NULL) return;
    daemon_started(session->shared);
    lt_log_writer_free(session->log);
    lt_composer_release(&session->composer);
    lt_station_release(&session->station);
    lt_fork_wiped_free(session->shared, sizeof *session->shared);
    free(session->data_dir);
    free(session->daemon_exe);
    free(session->ended_runs);
    free(session);
}

static int session_new(const struct litmus_session_options *options, const char *station_dir, litmus_session **out, struct litmus_error *error) {
    litmus_session *session = calloc(1, sizeof *session);
    if (session != NULL) session->shared = lt_fork_wiped_new(sizeof *session->shared);
    if (session == NULL || session->shared == NULL) {
        free(session);
        return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a session");
    }
    *out = session;
    session->shared->here = true;
    lt_composer_init(&session->composer, &session->shared->uuids);
    session->joined = options->joined;
    session->no_daemon = options->no_daemon;
    if (options->session_id == NULL) lt_uuid_new(session->session_id);
    else if (!lt_uuid_valid(lt_str_of(options->session_id)))
        return lt_fail(error, LITMUS_EINVAL, 0, "session_id \"%.50s\" is no uuid of 36 lower-case characters", options->session_id);
    else memcpy(session->session_id, options->session_id, LT_UUID_BYTES);
    if (options->daemon_exe != NULL) session->daemon_exe = strdup(options->daemon_exe);
    struct lt_buf dir;
    lt_buf_init(&dir);
    int code = lt_data_dir_find(options->data_dir, &dir, error);
    if (code == LITMUS_OK) session->data_dir = strdup(lt_buf_cstr(&dir));
    lt_buf_release(&dir);
    if (code == LITMUS_OK && session->data_dir == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a session");
    if (code == LITMUS_OK) code = lt_data_dir_open(session->data_dir, error);
    if (code == LITMUS_OK) lt_station_init(&session->station, station_dir == NULL ? session->data_dir : station_dir);
    return code;
}

/* ---- emit ---- */
static bool remember_ended(litmus_session *session, const char *run_id) {
    if (session->ended_run_count == session->ended_run_capacity) {
        size_t capacity = session->ended_run_capacity == 0 ? 4 : session->ended_run_capacity * 2;
        void *larger = realloc(session->ended_runs, capacity * sizeof *session->ended_runs);
        if (larger == NULL) return false;
        session->ended_runs = larger;
        session->ended_run_capacity = capacity;
    }
    memcpy(session->ended_runs[session->ended_run_count++], run_id, LT_UUID_BYTES);
    return true;
}

/* Under the lock. */
static void watch_clock(litmus_session *session, int64_t received_at) {
    int64_t step = lt_station_clock_step(&session->station, received_at);
    if (step == 0) return;
    char payload[128];
    struct lt_row row;
    snprintf(payload, sizeof payload, "{\"step_us\":%lld,\"boot_clock_us\":%lld}", (long long)step, (long long)session->station.clock_at);
    struct litmus_event event = {.event_type = "clock.stepped", .payload = payload};
    if (lt_compose(&session->composer, session->session_id, &event, &row, NULL) == LITMUS_OK) (void)!lt_log_append(session->log, &row, 1, NULL);
}

/* `head` (may be NULL): where the log stood with this event, before another might follow it. */
static int emit(litmus_session *session, const struct litmus_event *event, bool own, char id_out[37], struct lt_head *head, struct litmus_error *error) {
    struct lt_row row;
    pthread_mutex_lock(&session->shared->lock);
    daemon_started(session->shared);
    int code = (own ? lt_compose_own : lt_compose)(&session->composer, session->session_id, event, &row, error);
    if (code == LITMUS_OK) code = lt_log_append(session->log, &row, 1, error);
    int64_t received_at = row.received_at;
    if (code == LITMUS_OK && id_out != NULL) memcpy(id_out, row.id.p, LT_UUID_BYTES);
    if (code == LITMUS_OK && row.run_id.p != NULL && strcmp(event->event_type, "run.ended") == 0) (void)!remember_ended(session, event->run_id);
    if (head != NULL) *head = lt_log_writer_head(session->log);
    if (code == LITMUS_OK) watch_clock(session, received_at);
    pthread_mutex_unlock(&session->shared->lock);
    return code;
}

int litmus_emit(litmus_session *session, const struct litmus_event *event, char id_out[37], struct litmus_error *error) {
    int code = lt_need_handle(session, "litmus_emit", "litmus_session_open", error);
    if (code == LITMUS_OK && event == NULL) code = lt_fail(error, LITMUS_EINVAL, 0, "litmus_emit needs an event, and was given NULL");
    if (code != LITMUS_OK) return code;
    return emit(session, event, false, id_out, NULL, error);
}

int lt_session_emit_own(litmus_session *session, const struct litmus_event *event, struct litmus_error *error) {
    return emit(session, event, true, NULL, NULL, error);
}

/* ---- open ---- */
/* The fields of session.started that the producer need not say. Text of the environment is escaped
 * by the JSON writer. */
static char *started_payload(const struct litmus_session_options *options, const struct lt_station *station, const struct lt_heads *heads,
                             struct litmus_error *error) {
    size_t n = options->payload_json == NULL ? 0 : options->payload_bytes == 0 ? strlen(options->payload_json) : options->payload_bytes;
    yyjson_doc *given = n == 0 ? NULL : yyjson_read(options->payload_json, n, 0);
    if (n > 0 && !yyjson_is_obj(yyjson_doc_get_root(given))) {
        yyjson_doc_free(given);
        lt_fail(error, LITMUS_EEVENT, 0, "event session.started: the payload is no JSON object");
        return NULL;
    }
    yyjson_mut_doc *doc = given == NULL ? yyjson_mut_doc_new(NULL) : yyjson_doc_mut_copy(given, NULL);
    yyjson_mut_val *root = given == NULL ? yyjson_mut_obj(doc) : yyjson_mut_doc_get_root(doc);
    if (given == NULL) yyjson_mut_doc_set_root(doc, root);
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    if (yyjson_mut_obj_get(root, "pid") == NULL) yyjson_mut_obj_add_int(doc, root, "pid", (int64_t)getpid());
    if (yyjson_mut_obj_get(root, "client") == NULL) yyjson_mut_obj_add_str(doc, root, "client", lt_program_name());
    if (yyjson_mut_obj_get(root, "station_hostname") == NULL) yyjson_mut_obj_add_str(doc, root, "station_hostname", host);
    lt_station_describe(station, heads, doc, root);
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
    yyjson_mut_doc_free(doc);
    yyjson_doc_free(given);
    if (text == NULL) lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for session.started");
    return text;
}

/* Recording goes on, unsigned. */
static void tell_key_error(litmus_session *session) {
    struct lt_buf payload;
    lt_buf_init(&payload);
    lt_buf_add_text(&payload, "{\"source\":\"signing\",\"message\":");
    lt_json_str(&payload, lt_str_of(session->station.key_error.text));
    lt_buf_add_text(&payload, "}");
    struct litmus_event event = {.event_type = "diagnostic.warning", .payload = lt_buf_cstr(&payload), .payload_bytes = payload.n};
    if (!payload.failed) (void)!litmus_emit(session, &event, NULL, NULL);
    lt_buf_release(&payload);
}

static int emit_started(litmus_session *session, const struct litmus_session_options *options, struct litmus_error *error) {
    struct lt_head own = lt_log_writer_head(session->log);
    if (session->joined) { /* the log has no first event of note, but whoever starts next names it */
        (void)!lt_heads_add(NULL, session->data_dir, &own, NULL);
        return LITMUS_OK;
    }
    struct lt_heads heads;
    bool listed = lt_heads_take(NULL, session->data_dir, &heads, NULL) == LITMUS_OK;
    char *payload = started_payload(options, &session->station, listed ? &heads : NULL, error);
    struct litmus_event event = {.event_type = "session.started", .payload = payload};
    int code = payload == NULL ? (error == NULL ? LITMUS_EEVENT : error->code) : emit(session, &event, false, NULL, &own, error);
    if (code == LITMUS_OK && listed) (void)!lt_heads_give(&heads, heads.count < LT_HEADS_NAMED_MAX ? heads.count : LT_HEADS_NAMED_MAX, &own, NULL);
    lt_heads_release(&heads);
    free(payload);
    if (code == LITMUS_OK && session->station.key_error.code != LITMUS_OK) tell_key_error(session);
    return code;
}

static int check_options(const struct litmus_session_options *options, const void *out, struct litmus_error *error) {
    int code = lt_need_place(out, "litmus_session_open", error);
    if (code != LITMUS_OK) return code;
    if ((int)options->durability < LITMUS_DURABILITY_DEFAULT || (int)options->durability > LITMUS_DURABILITY_OS)
        return lt_fail(error, LITMUS_EINVAL, 0, "there is no durability number %d: give one of enum litmus_durability, 0 for the configured one", (int)options->durability);
    if (options->group_ms < 0) return lt_fail(error, LITMUS_EINVAL, 0, "group_ms is %d: give milliseconds above 0, or 0 for 100", options->group_ms);
    return LITMUS_OK;
}

int lt_session_open_for(const struct litmus_session_options *options, const char *station_dir, litmus_session **out, struct litmus_error *error) {
    static const struct litmus_session_options defaults = {0};
    struct litmus_error own = {0};
    if (error == NULL) error = &own;
    if (options == NULL) options = &defaults;
    litmus_session *session = NULL;
    int code = check_options(options, out, error);
    if (code == LITMUS_OK) code = session_new(options, station_dir, &session, error);
    if (code == LITMUS_OK) {
        struct lt_log_options log = {.data_dir = session->data_dir, .session_id = session->session_id, .durability = options->durability, .group_ms = options->group_ms,
                                         .key = session->station.key, .not_first = options->session_id != NULL};
        if (log.durability == LITMUS_DURABILITY_DEFAULT) code = lt_durability_find(&log.durability, &log.group_ms, error);
        if (code == LITMUS_OK) code = lt_log_create(&log, &session->log, error);
    }
    if (code == LITMUS_OK) code = emit_started(session, options, error);
    if (code != LITMUS_OK) {
        session_free(session);
        return code;
    }
    /* It comes up while the caller prepares its first event. */
    if (!session->joined && !session->no_daemon && lt_daemon_spawn_begin(session->daemon_exe, session->data_dir, &session->shared->starting, NULL) != LITMUS_OK)
        session->shared->starting = 0;
    *out = session;
    return LITMUS_OK;
}

int litmus_session_open(const struct litmus_session_options *options, litmus_session **out, struct litmus_error *error) {
    return lt_session_open_for(options, NULL, out, error);
}

/* ---- close ---- */

struct closing {
    litmus_session *session;
    lt_session_on_done *on_done;
    void *self;
    bool by_daemon;
};

static void tell_if_ours(void *self, const struct lt_materialized *done) {
    struct closing *c = self;
    for (size_t i = 0; c->on_done != NULL && i < c->session->ended_run_count; i++)
        if (strcmp(c->session->ended_runs[i], done->run_id) == 0) c->on_done(c->self, done, c->by_daemon);
}

/* The daemon writes the files and tells of them; when it cannot or takes too long, so does this process. */
static int finish_runs(struct closing *c, int timeout_ms, struct litmus_error *error) {
    litmus_session *session = c->session;
    c->by_daemon = !session->no_daemon;
    struct lt_materialized *told = calloc(session->ended_run_count, sizeof *told);
    bool all_told = told != NULL;
    for (size_t i = 0; c->by_daemon && i < session->ended_run_count; i++) {
        c->by_daemon = lt_daemon_wait_run(session->data_dir, session->session_id, session->ended_runs[i], timeout_ms, told == NULL ? NULL : &told[i]);
        if (all_told && told[i].run_id[0] == '\0') all_told = false;
    }
    for (size_t i = 0; c->by_daemon && all_told && i < session->ended_run_count; i++) tell_if_ours(c, &told[i]);
    free(told);
    if (c->by_daemon && (all_told || c->on_done == NULL)) return LITMUS_OK;
    struct lt_materializer *m = NULL;
    int code = lt_materializer_new(session->data_dir, NULL, &m, error);
    if (code == LITMUS_OK) code = lt_materialize_session(m, session->session_id, tell_if_ours, c, error);
    lt_materializer_free(m);
    return code;
}

int lt_session_close(litmus_session *session, const char *outcome, int timeout_ms, lt_session_on_done *on_done, void *self, struct litmus_error *error) {
    if (session == NULL) return LITMUS_OK;
    int code = LITMUS_OK;
    struct lt_str word = lt_outcome_word(outcome);
    if (outcome != NULL && word.p == NULL) code = lt_fail(error, LITMUS_EINVAL, 0, "\"%.40s\" is no outcome: the session ended without one", outcome);
    if (!session->joined) {
        char payload[64];
        snprintf(payload, sizeof payload, word.p == NULL ? "{}" : "{\"outcome\":\"%.20s\"}", word.p);
        int told = litmus_emit(session, &(struct litmus_event){.event_type = "session.ended", .payload = payload}, NULL, error);
        if (code == LITMUS_OK) code = told;
    }
    int sealed = lt_log_seal(session->log, error);
    struct lt_head end = lt_log_writer_head(session->log);
    if (sealed == LITMUS_OK && end.identity[0] != '\0') (void)!lt_heads_add(NULL, session->data_dir, &end, NULL);
    if (code == LITMUS_OK) code = sealed;
    lt_log_writer_free(session->log); /* gives the lock back: to others, the session is over */
    session->log = NULL;
    if (session->ended_run_count > 0 && !session->joined) {
        struct closing closing = {.session = session, .on_done = on_done, .self = self};
        int finished = finish_runs(&closing, timeout_ms, error);
        if (code == LITMUS_OK) code = finished;
    }
    session_free(session);
    return code;
}

int litmus_session_close(litmus_session *session, const char *outcome, struct litmus_error *error) {
    return lt_session_close(session, outcome, CLOSE_TIMEOUT_MS, NULL, NULL, error);
}
