/* SPDX-License-Identifier: Apache-2.0
 *
 * record.c - what litmus verify finds, sorted by what can be done about it; and that done.
 */
#include "base/io.h"
#include "channel/channel.h"
#include "doctor/checks.h"
#include "materialize/attachments.h"
#include "materialize/materialize.h"
#include "materialize/range_lock.h"
#include "prove/proof.h"

#include <stdio.h>
#include <unistd.h>

/* ---- looking ---- */

static void take_finding(void *self, enum lt_finding_kind kind, const char *path, int64_t offset, const char *text) {
    static const enum lt_doctor_check checks[] = {
        [LT_FINDING_LOG] = LT_CHECK_LOG, [LT_FINDING_CHAIN] = LT_CHECK_CHAIN, [LT_FINDING_SIGNATURE] = LT_CHECK_SIGNATURE,
        [LT_FINDING_CHANNEL] = LT_CHECK_CHANNELS, [LT_FINDING_LINK] = LT_CHECK_LINKS, [LT_FINDING_UNFINISHED] = LT_CHECK_UNFINISHED,
        [LT_FINDING_RUN_FILE] = LT_CHECK_RUN_FILES, [LT_FINDING_ATTACHMENT] = LT_CHECK_ATTACHMENTS, [LT_FINDING_FOREIGN] = LT_CHECK_FOREIGN,
        [LT_FINDING_COPY] = LT_CHECK_COPIES, [LT_FINDING_CATALOG] = LT_CHECK_CATALOG, [LT_FINDING_LAKE] = LT_CHECK_LAKE,
    };
    struct lt_doctor *d = self;
    bool in_hand = kind == LT_FINDING_UNFINISHED && lt_doctor_daemon_is_there(d); /* what it fails at, it says itself */
    char place[48] = "";
    if (offset >= 0) snprintf(place, sizeof place, " (at byte %lld)", (long long)offset);
    lt_doctor_tell(d, checks[kind], in_hand ? LT_DOCTOR_NOTE : LT_DOCTOR_WRONG, path, "%s%s%s", text, place, in_hand ? "; the daemon has it in hand" : "");
}

static void take_unread(void *self, const char *path, const char *text) {
    lt_doctor_tell(self, LT_CHECK_UNREAD, LT_DOCTOR_WRONG, path, "%s", text);
}

static void take_log(void *self, const struct lt_proved_log *log) {
    if (log->clock_steps > 0)
        lt_doctor_tell(self, LT_CHECK_CLOCK, LT_DOCTOR_NOTE, log->path, "the wall clock was set %lld times while it was written", (long long)log->clock_steps);
}

void lt_look_at_record(struct lt_doctor *d) {
    struct lt_proof proof;
    struct litmus_error error = {0};
    struct lt_proof_options options = {.data_dir = d->data_dir, .keys = d->options->keys, .finding = take_finding, .log = take_log,
                                       .unread = take_unread, .self = d};
    lt_proof_init(&proof, &options);
    if (lt_proof_all(&proof, d->query, &error) != LITMUS_OK && !(proof.ended && proof.unread > 0)) lt_doctor_tell_error(d, LT_CHECK_LOG, "", &error);
    int64_t unsigned_logs = proof.signatures[LT_SIGNATURE_NONE];
    if (unsigned_logs > 0) lt_doctor_tell(d, LT_CHECK_SIGNATURE, LT_DOCTOR_NOTE, "events", "nobody signed %lld of the %lld logs", (long long)unsigned_logs, (long long)proof.logs);
    lt_proof_release(&proof);
}

/* ---- mending ---- */

struct mending {
    struct lt_doctor *doctor;
    struct lt_query *query;
    struct lt_materializer *materializer;
    int lock_fd; /* of materialize.lock */
    struct litmus_error *error;
    int code;
};

static void await(void *self, const char *session_id) {
    const struct mending *m = self;
    const struct lt_doctor_options *options = m->doctor->options;
    if (options->await != NULL) options->await(options->self, "session", session_id);
}

static void finish_session(void *self, const char *session_id) {
    struct mending *m = self;
    struct litmus_error why = {0};
    await(m, session_id);
    int code = lt_materialize_session(m->materializer, session_id, NULL, NULL, &why); /* one that fails blocks no other */
    if (code != LITMUS_OK && !lt_log_is_gone(m->doctor->data_dir, session_id)) m->code = lt_fail_with(m->error, &why);
}

/* With a materializer, and a query that knows what was mended before. */
static int with_materializer(struct lt_doctor *d, int (*work)(struct mending *m), struct litmus_error *error) {
    struct mending m = {.doctor = d, .error = error, .lock_fd = lt_range_lock_open(d->data_dir)};
    lt_doctor_await_changes(d);
    int code = lt_materializer_new(d->options->data_dir, NULL, &m.materializer, error);
    if (code == LITMUS_OK) code = lt_query_open_memory(d->data_dir, &m.query, error);
    if (code == LITMUS_OK) code = work(&m);
    lt_query_free(m.query);
    lt_materializer_free(m.materializer);
    if (m.lock_fd >= 0) close(m.lock_fd);
    return code != LITMUS_OK ? code : m.code;
}

static int finish_all(struct mending *m) {
    return lt_query_unfinished(m->query, await, finish_session, m, m->error);
}

int lt_mend_unfinished(struct lt_doctor *d, struct litmus_error *error) {
    int code = with_materializer(d, finish_all, error);
    return code == LITMUS_OK ? lt_channel_recover_all(NULL, d->data_dir, NULL, error) : code;
}

/* A file made from a log that was tampered with would take away the last that says so. */
static bool is_beyond_doubt(const struct lt_doctor *d, const struct lt_gathering *session) {
    bool sound = session->damaged == 0;
    for (size_t i = 0; sound && i < session->log_count; i++) {
        const struct lt_log_tail *log = &session->logs[i];
        sound = log->end == LT_LOG_SEALED && log->chain_ok;
        for (size_t n = 0; sound && n < d->count; n++)
            sound = d->items[n].level != LT_DOCTOR_WRONG || (LT_LOG_DOUBTS >> d->items[n].check & 1) == 0 || strcmp(d->items[n].path, log->path) != 0;
    }
    return sound;
}

/* Nothing is mended behind a link that leads out of the data_dir. */
static bool is_inside(const char *data_dir, const char *file) {
    struct lt_buf folder;
    lt_buf_init(&folder);
    lt_buf_add(&folder, file, (size_t)(strrchr(file, '/') - file));
    bool inside = !folder.failed && lt_io_mkdirs_below(&lt_io_os, data_dir, folder.p, NULL) == LITMUS_OK;
    lt_buf_release(&folder);
    return inside;
}

/* A run file, the attachments beside it, or both. */
static int mend_run(struct mending *m, struct lt_gathering *session, struct lt_gathered_run *run, enum lt_doctor_check what) {
    struct lt_materialized done;
    struct lt_buf path;
    lt_buf_init(&path);
    lt_buf_addf(&path, "%s/%.*s", m->doctor->data_dir, LT_STR_ARG(run->destination));
    const char *file = lt_buf_cstr(&path);
    int code = LITMUS_OK;
    if (lt_doctor_has(m->doctor, UINT64_C(1) << what, file) && is_inside(m->doctor->data_dir, file)) {
        if (what == LT_CHECK_ATTACHMENTS) code = lt_attachments_mend(&lt_io_os, session, &run->run, file, lt_doctor_set_aside, m->error);
        else code = lt_doctor_set_aside(file, false, m->error);
        if (code == LITMUS_OK && what == LT_CHECK_RUN_FILES) code = lt_materialize_run(m->materializer, session, run, true, &done, m->error);
    }
    lt_buf_release(&path);
    return code;
}

static void mend_session(struct mending *m, const char *session_id, enum lt_doctor_check what) {
    struct lt_gathering session;
    if (m->code != LITMUS_OK) return;
    await(m, session_id);
    lt_range_lock(m->lock_fd, "session", lt_str_of(session_id)); /* what its logs say now is what its files are to be */
    m->code = lt_gather_session(m->doctor->data_dir, session_id, &(struct lt_gather_options){.check_chain = true}, &session, m->error);
    bool sound = m->code == LITMUS_OK && (what == LT_CHECK_ATTACHMENTS || is_beyond_doubt(m->doctor, &session)); /* an attachment's name says what is in it */
    for (size_t i = 0; sound && m->code == LITMUS_OK && i < session.run_count; i++) {
        struct lt_gathered_run *run = session.runs[i];
        if (run->materialized && lt_destination_usable(run->destination)) m->code = mend_run(m, &session, run, what);
    }
    lt_gathering_release(&session);
    if (m->code == LITMUS_ENOENT && lt_log_is_gone(m->doctor->data_dir, session_id)) {
        m->code = LITMUS_OK;
        lt_error_clear(m->error);
    }
    lt_range_unlock(m->lock_fd, "session", lt_str_of(session_id));
}

static void mend_files_of(void *self, const char *session_id) {
    mend_session(self, session_id, LT_CHECK_RUN_FILES);
}

static void mend_attachments_of(void *self, const char *session_id) {
    mend_session(self, session_id, LT_CHECK_ATTACHMENTS);
}

static int mend_files(struct mending *m) {
    return lt_query_sessions(m->query, mend_files_of, m, m->error);
}

static int mend_attachments(struct mending *m) {
    return lt_query_sessions(m->query, mend_attachments_of, m, m->error);
}

int lt_mend_run_files(struct lt_doctor *d, struct litmus_error *error) {
    return with_materializer(d, mend_files, error);
}

int lt_mend_attachments(struct lt_doctor *d, struct litmus_error *error) {
    return with_materializer(d, mend_attachments, error);
}
