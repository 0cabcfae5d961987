/* SPDX-License-Identifier: Apache-2.0 */
#include "accumulate/known.h"

#include <stdio.h>
#include <stdlib.h>

/* One log while it is merged: the run's rows in it, the next one at the head. */
struct source {
    const struct lt_known_log *log;
    const struct lt_stretch *next, *end; /* stretches not begun */
    struct lt_log_reader *reader;
    int64_t left; /* rows of the stretch at hand */
    struct lt_row head;
    struct lt_merge_key key;
    bool has_head;
};

static int not_as_said(const struct source *s, struct litmus_error *error) {
    return lt_fail(error, LITMUS_EDAMAGED, 0, "%s is not as it was read before", s->log->path);
}

/* Moves to the run's next row. */
static int advance(struct source *s, struct lt_str run_id, struct litmus_error *error) {
    s->has_head = false;
    for (;;) {
        if (s->left == 0) {
            if (s->next == s->end) return LITMUS_OK;
            int code = lt_log_reader_seek(s->reader, s->next->offset, s->next->row, error);
            if (code != LITMUS_OK) return code;
            if (lt_merge_before(s->key, s->next->key)) s->key = s->next->key;
            s->left = s->next->rows;
            s->next++;
            continue;
        }
        enum lt_log_status status = lt_log_next(s->reader, &s->head, error);
        if (status == LT_LOG_FAILED && error != NULL && error->code != LITMUS_OK) return error->code;
        if (status != LT_LOG_EVENT) return not_as_said(s, error);
        s->left--;
        s->key = lt_merge_pass(s->key, &s->head);
        if (!lt_str_eq(s->head.run_id, run_id)) continue;
        s->has_head = true;
        return LITMUS_OK;
    }
}

static int open_source(struct source *s, struct lt_gathering *out, struct lt_str run_id, struct litmus_error *error) {
    int code = lt_log_reader_open(s->log->path, &s->reader, error);
    if (code != LITMUS_OK) return code;
    code = advance(s, run_id, error);
    if (code != LITMUS_OK) return code;
    struct lt_log_tail *tail = &out->logs[out->log_count];
    tail->path = strdup(s->log->path);
    if (tail->path == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", s->log->path);
    const char *identity = lt_log_reader_identity(s->reader);
    snprintf(tail->identity, sizeof tail->identity, "%s", identity == NULL ? "" : identity);
    tail->rows = s->log->rows;
    tail->end = LT_LOG_OPEN;
    out->log_count++;
    return LITMUS_OK;
}

static struct source *earliest(struct source *sources, size_t count) {
    struct source *first = NULL;
    for (size_t i = 0; i < count; i++) {
        if (sources[i].has_head && (first == NULL || lt_merge_before(sources[i].key, first->key))) first = &sources[i];
    }
    return first;
}

static struct lt_gathered_run *run_new(struct lt_gathering *out, const struct lt_row *first) {
    struct lt_gathered_run *run = lt_gathered_run_new(first, out->session_id);
    out->runs = calloc(1, sizeof(struct lt_gathered_run *));
    if (run == NULL || out->runs == NULL) {
        lt_gathered_run_free(run);
        return NULL;
    }
    out->runs[0] = run;
    out->run_count = out->run_capacity = 1;
    return run;
}

static int fold(struct source *sources, size_t count, struct lt_str run_id, struct lt_gathering *out, struct litmus_error *error) {
    struct source *s = earliest(sources, count);
    if (s == NULL) return lt_fail(error, LITMUS_EDAMAGED, 0, "run %.*s has no rows", LT_STR_ARG(run_id));
    struct lt_gathered_run *run = run_new(out, &s->head);
    int code = run == NULL ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for run %.*s", LT_STR_ARG(run_id)) : LITMUS_OK;
    for (; code == LITMUS_OK && s != NULL; s = earliest(sources, count)) {
        code = lt_gathered_run_fold(run, &s->head, s->log->path, (uint32_t)(s - sources), error);
        if (code == LITMUS_OK) code = advance(s, run_id, error);
    }
    return code == LITMUS_OK ? lt_run_settle(&run->run, false, error) : code;
}

/* The run was folded as its rows came: what is left is to say where they lie. */
static int take_folded(const struct lt_known_log *logs, struct lt_known_run *known, struct lt_gathering *out, struct litmus_error *error) {
    out->runs = calloc(1, sizeof(struct lt_gathered_run *));
    out->logs = calloc(1, sizeof *out->logs);
    if (known->count == 0 || out->runs == NULL || out->logs == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for run %s", known->run_id);
    const struct lt_known_log *log = &logs[known->stretches[0].log];
    struct lt_log_tail *tail = out->logs;
    tail->path = strdup(log->path);
    if (tail->path == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for run %s", known->run_id);
    snprintf(tail->identity, sizeof tail->identity, "%.*s", LT_STR_ARG(known->folded->only_log));
    tail->rows = log->rows;
    tail->end = LT_LOG_OPEN;
    out->log_count = 1;
    out->runs[0] = known->folded;
    out->run_count = out->run_capacity = 1;
    known->folded = NULL;
    return lt_run_settle(&out->runs[0]->run, false, error);
}

int lt_gather_known(const char *session_id, const struct lt_known_log *logs, size_t log_count, struct lt_known_run *known,
                    struct lt_gathering *out, struct litmus_error *error) {
    *out = (struct lt_gathering){0};
    snprintf(out->session_id, sizeof out->session_id, "%s", session_id);
    if (known->folded != NULL) return take_folded(logs, known, out, error);
    struct source *sources = calloc(log_count + 1, sizeof *sources);
    out->logs = calloc(log_count + 1, sizeof *out->logs);
    size_t count = 0;
    int code = LITMUS_OK;
    if (sources == NULL || out->logs == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for run %s", known->run_id);
    for (uint32_t log = 0; code == LITMUS_OK && log < log_count; log++) {
        struct source *s = &sources[count];
        *s = (struct source){.log = &logs[log], .key = LT_MERGE_FIRST};
        for (const struct lt_stretch *at = known->stretches, *end = at + known->count; at < end; at++) {
            if (at->log != log) continue;
            if (s->next == NULL) s->next = at;
            s->end = at + 1;
        }
        if (s->next == NULL) continue;
        count++;
        code = open_source(s, out, lt_str_of(known->run_id), error);
    }
    if (code == LITMUS_OK) code = fold(sources, count, lt_str_of(known->run_id), out, error);
    for (size_t i = 0; i < count; i++) lt_log_reader_free(sources[i].reader);
    free(sources);
    return code;
}
