/* SPDX-License-Identifier: Apache-2.0 */
#include "retain/survey.h"

#include "base/clock.h"
#include "base/hex.h"
#include "log/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char *lt_hindrance_text(enum lt_hindrance hindrance) {
    switch (hindrance) {
    case LT_HINDRANCE_YOUNG: return "is too young";
    case LT_HINDRANCE_IN_FLIGHT: return "is in flight, or was not finished: litmus materialize does that when its producer is gone";
    case LT_HINDRANCE_UNMATERIALIZED: return "has a run without its file: litmus materialize or litmus rebuild writes it";
    case LT_HINDRANCE_DAMAGED: return "has a damaged log: litmus verify names the place";
    case LT_HINDRANCE_RECORD: return "tells what was pruned, and is kept for that";
    case LT_HINDRANCE_NONE: break;
    }
    return "can be put away";
}

static int read_rows(struct lt_survey *out, struct lt_surveyed_log *log, struct lt_log_reader *reader, int64_t limit, struct litmus_error *error) {
    struct lt_row row;
    unsigned char last[32];
    enum lt_log_status status;
    struct litmus_error why = {0};
    while ((status = lt_log_next(reader, &row, &why)) == LT_LOG_EVENT) {
        if (row.received_at > out->last_at) out->last_at = row.received_at;
        if (lt_event_find(row.event_type) == LT_EVENT_RETENTION_PRUNED) out->tells_of_pruning = true;
        memcpy(last, row.chain, sizeof last);
        log->rows++;
    }
    if (lt_error_is_refusal(&why)) return lt_fail_with(error, &why);
    if (log->rows > 0) lt_hex_text(last, sizeof last, log->chain);
    snprintf(log->identity, sizeof log->identity, "%s", lt_log_reader_identity(reader));
    log->archived = lt_log_reader_form(reader) == LT_LOG_FORM_ARCHIVED;
    if (status == LT_LOG_OPEN || status == LT_LOG_TORN) out->hindrance = LT_HINDRANCE_IN_FLIGHT;
    else if (status != LT_LOG_SEALED || !lt_log_reader_chain_ok(reader)) out->hindrance = LT_HINDRANCE_DAMAGED;
    else if (limit != LT_TIME_NONE && out->last_at >= limit) out->hindrance = LT_HINDRANCE_YOUNG;
    return LITMUS_OK;
}

static int survey_log(struct lt_survey *out, const char *path, int64_t limit, struct litmus_error *error) {
    struct lt_surveyed_log *log = &out->logs[out->log_count];
    struct lt_log_reader *reader = NULL;
    struct stat st;
    log->path = strdup(path);
    if (log->path == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", path);
    out->log_count++;
    if (lstat(path, &st) != 0) return lt_fail_os(error, errno, "look at", path);
    log->bytes = st.st_size;
    if (!S_ISREG(st.st_mode)) out->hindrance = LT_HINDRANCE_DAMAGED; /* nothing is done through a link */
    else if (!lt_log_is_sealed(path) || lt_log_is_live(path)) out->hindrance = LT_HINDRANCE_IN_FLIGHT;
    if (out->hindrance != LT_HINDRANCE_NONE) return LITMUS_OK;
    int code = lt_log_reader_open(path, &reader, error);
    if (code != LITMUS_OK) return code;
    lt_log_reader_check_chain(reader);
    code = read_rows(out, log, reader, limit, error);
    lt_log_reader_free(reader);
    return code;
}

static int survey_runs(struct lt_survey *out, const char *data_dir, const struct lt_log_list *logs, struct litmus_error *error) {
    struct lt_gathering session;
    int code = lt_gather_session(data_dir, out->session_id, &(struct lt_gather_options){.logs = logs}, &session, error);
    if (code == LITMUS_OK) out->runs = calloc(session.run_count + 1, sizeof *out->runs);
    if (code == LITMUS_OK && out->runs == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for session %s", out->session_id);
    if (session.damaged > 0) out->hindrance = LT_HINDRANCE_DAMAGED;
    for (size_t i = 0; code == LITMUS_OK && i < session.run_count; i++) {
        const struct lt_gathered_run *run = session.runs[i];
        if (run->run.has_started && !run->materialized) out->hindrance = LT_HINDRANCE_UNMATERIALIZED;
        if (!run->materialized) continue;
        struct lt_surveyed_run *to = &out->runs[out->run_count++];
        struct lt_buf file;
        lt_buf_init(&file);
        lt_buf_addf(&file, "%s/%.*s", data_dir, LT_STR_ARG(run->destination));
        if (access(lt_buf_cstr(&file), F_OK) != 0) out->hindrance = LT_HINDRANCE_UNMATERIALIZED;
        lt_buf_release(&file);
        snprintf(to->run_id, sizeof to->run_id, "%.*s", LT_STR_ARG(run->run.run_id));
        to->file = strndup(run->destination.p == NULL ? "" : run->destination.p, run->destination.n);
        if (to->file == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for session %s", out->session_id);
    }
    lt_gathering_release(&session);
    return code;
}

/* The folder's name is the date on which the log was opened. */
static bool opened_from(const char *path, int64_t limit) {
    const char *name = strrchr(path, '/');
    int64_t day;
    struct lt_str date = {name - 10, 10};
    return limit != LT_TIME_NONE && name - path > 10 && lt_time_parse(date, &day) && day >= limit;
}

int lt_survey_session(const char *data_dir, struct lt_log_index *index, const char *session_id, int64_t limit, struct lt_survey *out, struct litmus_error *error) {
    struct lt_log_list logs;
    *out = (struct lt_survey){.last_at = LT_TIME_NONE};
    snprintf(out->session_id, sizeof out->session_id, "%s", session_id);
    int code = lt_log_index_find(index, data_dir, session_id, NULL, NULL, &logs, error);
    if (code != LITMUS_OK) return code;
    out->logs = calloc(logs.count + 1, sizeof *out->logs);
    if (out->logs == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for session %s", session_id);
    else if (logs.count == 0) code = lt_fail(error, LITMUS_ENOENT, 0, "no log of session %s in %s/events", session_id, data_dir);
    for (size_t i = 0; i < logs.count; i++)
        if (opened_from(logs.files[i].path, limit)) out->hindrance = LT_HINDRANCE_YOUNG;
    for (size_t i = 0; code == LITMUS_OK && out->hindrance == LT_HINDRANCE_NONE && i < logs.count; i++) code = survey_log(out, logs.files[i].path, limit, error);
    if (code == LITMUS_OK && out->hindrance == LT_HINDRANCE_NONE) code = survey_runs(out, data_dir, &logs, error);
    lt_log_list_release(&logs);
    return code;
}

int lt_survey_newest(const char *data_dir, int64_t enough, int64_t *newest, struct litmus_error *error) {
    struct lt_log_list logs;
    *newest = LT_TIME_NONE;
    int code = lt_log_find(data_dir, NULL, &logs, error);
    for (size_t i = logs.count; code == LITMUS_OK && i > 0 && *newest < enough; i--) { /* the latest folder first */
        const char *path = logs.files[i - 1].path;
        struct lt_log_reader *reader = NULL;
        struct lt_row row;
        enum lt_log_status status = LT_LOG_FAILED;
        if (opened_from(path, enough)) *newest = enough;
        else if (lt_log_reader_open(path, &reader, NULL) == LITMUS_OK) status = LT_LOG_EVENT; /* one that cannot be read says nothing */
        while (status == LT_LOG_EVENT || status == LT_LOG_DAMAGED) {
            status = lt_log_next(reader, &row, NULL);
            if (status == LT_LOG_EVENT && row.received_at > *newest) *newest = row.received_at;
        }
        lt_log_reader_free(reader);
    }
    lt_log_list_release(&logs);
    return code;
}

void lt_survey_release(struct lt_survey *survey) {
    for (size_t i = 0; i < survey->log_count; i++) free(survey->logs[i].path);
    for (size_t i = 0; i < survey->run_count; i++) free(survey->runs[i].file);
    free(survey->logs);
    free(survey->runs);
    *survey = (struct lt_survey){0};
}
