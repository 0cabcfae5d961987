/* SPDX-License-Identifier: Apache-2.0
 *
 * The C way to record a run: its start, its plan and its end. Each call makes one event, written with the
 * JSON library, so that any text is safe in it.
 */
#include "emit/run.h"

#include "base/hex.h"
#include "log/layout.h"
#include "model/outcome.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEP_PATH_BYTES_MAX = 4096 };

struct lt_draft lt_draft_new(void) {
    struct lt_draft d = {yyjson_mut_doc_new(NULL), NULL};
    d.root = yyjson_mut_obj(d.doc);
    yyjson_mut_doc_set_root(d.doc, d.root);
    return d;
}

int lt_draft_emit_in(struct lt_draft *d, litmus_session *session, const char *run_id, const char *type, struct litmus_error *error) {
    size_t n = 0;
    char *text = yyjson_mut_write(d->doc, YYJSON_WRITE_INF_AND_NAN_AS_NULL, &n);
    int code = text == NULL ? lt_fail(error, LITMUS_EINVAL, 0, "event %s: a text is not valid UTF-8, or memory is out", type) : LITMUS_OK;
    struct litmus_event event = {.event_type = type, .run_id = run_id, .payload = text, .payload_bytes = n};
    if (code == LITMUS_OK) code = litmus_emit(session, &event, NULL, error);
    free(text);
    yyjson_mut_doc_free(d->doc);
    return code;
}

int lt_draft_emit(struct lt_draft *d, litmus_run *run, const char *type, struct litmus_error *error) {
    return lt_draft_emit_in(d, run->session, run->run_id, type, error);
}

const char *litmus_run_id(const litmus_run *run) {
    return run == NULL ? NULL : run->run_id;
}

static void planned_step_release(struct lt_planned_step *step) {
    free(step->path);
    free(step->inputs_json);
}

static void run_free(litmus_run *run) {
    for (int i = 0; i < run->step_count; i++) planned_step_release(&run->steps[i]);
    for (int i = 0; i < run->open_count; i++) lt_open_step_release(&run->open[i]);
    free(run->operator_id);
    free(run->steps);
    free(run->open);
    lt_buf_release(&run->json);
    free(run);
}

/* Who answers the questions of the run, when nobody says otherwise. */
static char *operator_of(const char *payload_json) {
    yyjson_doc *doc = payload_json == NULL ? NULL : yyjson_read(payload_json, strlen(payload_json), 0);
    const char *id = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "operator_id"));
    char *own = id == NULL ? NULL : strdup(id);
    yyjson_doc_free(doc);
    return own;
}

int litmus_run_start(litmus_session *session, const char *payload_json, litmus_run **out, struct litmus_error *error) {
    int code = lt_need_handle(session, "litmus_run_start", "litmus_session_open", error);
    if (code == LITMUS_OK) code = lt_need_place(out, "litmus_run_start", error);
    if (code != LITMUS_OK) return code;
    litmus_run *run = calloc(1, sizeof *run);
    if (run == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a run");
    run->session = session;
    lt_uuid_new(run->run_id);
    run->operator_id = operator_of(payload_json);
    struct litmus_event event = {.event_type = "run.started", .run_id = run->run_id, .payload = payload_json};
    code = litmus_emit(session, &event, NULL, error);
    if (code == LITMUS_OK) *out = run;
    else run_free(run);
    return code;
}

/* ---- the plan ---- */

int litmus_plan_add(litmus_run *run, const char *step_path, int *step_out, struct litmus_error *error) {
    return litmus_plan_add_vector(run, step_path, NULL, step_out, error);
}

int litmus_plan_add_vector(litmus_run *run, const char *step_path, const char *inputs_json, int *step_out, struct litmus_error *error) {
    if (run == NULL) return lt_need_handle(run, "litmus_plan_add", "litmus_run_start", error);
    if (step_path == NULL || step_path[0] == '\0') return lt_fail(error, LITMUS_EINVAL, 0, "a planned step needs a step_path");
    if (run->committed) return lt_fail(error, LITMUS_EINVAL, 0, "step %.200s comes too late: the plan is committed", step_path);
    size_t n = strlen(step_path);
    if (n > STEP_PATH_BYTES_MAX) return lt_fail(error, LITMUS_EINVAL, 0, "a step_path has %zu bytes, at most %d are taken: %.40s...", n, STEP_PATH_BYTES_MAX, step_path);
    if (!lt_utf8_valid(step_path, n)) return lt_fail(error, LITMUS_EINVAL, 0, "the step_path of planned step %d is not UTF-8", run->step_count);
    yyjson_doc *inputs = NULL;
    int code = lt_read_inputs(inputs_json, &inputs, error);
    if (code != LITMUS_OK) return code;
    yyjson_doc_free(inputs);
    if (run->step_count == run->step_capacity) {
        int capacity = run->step_capacity == 0 ? 16 : run->step_capacity * 2;
        struct lt_planned_step *steps = realloc(run->steps, (size_t)capacity * sizeof *steps);
        if (steps == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the plan");
        run->steps = steps;
        run->step_capacity = capacity;
    }
    struct lt_planned_step step = {.path = strdup(step_path), .inputs_json = inputs_json == NULL ? NULL : strdup(inputs_json)};
    if (step.path == NULL || (inputs_json != NULL && step.inputs_json == NULL)) {
        planned_step_release(&step);
        return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the plan");
    }
    const char *slash = strrchr(step.path, '/');
    step.name = slash == NULL || slash[1] == '\0' ? step.path : slash + 1;
    if (step_out != NULL) *step_out = run->step_count;
    run->steps[run->step_count++] = step;
    return LITMUS_OK;
}

/* step_index in order of first appearance; vectors of one path are counted (events.md, "Index
 * assignment"). */
static bool assign_indexes(litmus_run *run) {
    struct lt_map first, count;
    lt_map_init(&first);
    lt_map_init(&count);
    bool ok = true;
    uint32_t next = 0;
    for (int i = 0; ok && i < run->step_count; i++) {
        struct lt_planned_step *step = &run->steps[i];
        struct lt_str path = lt_str_of(step->path);
        uint32_t index = lt_map_get(&first, path, 0), seen = lt_map_get(&count, path, 0);
        if (index == LT_MAP_NONE) ok = lt_map_put(&first, path, 0, index = next++);
        seen = seen == LT_MAP_NONE ? 0 : seen;
        step->step_index = index;
        step->vector_index = seen;
        ok = ok && lt_map_put(&count, path, 0, seen + 1);
    }
    for (int i = 0; ok && i < run->step_count; i++) run->steps[i].vector_count = lt_map_get(&count, lt_str_of(run->steps[i].path), 0);
    lt_map_release(&first);
    lt_map_release(&count);
    return ok;
}

/* SHA-256 over `step_path NUL vector_index LF` of each item in order, as 64 hex digits. */
static bool plan_digest(const litmus_run *run, char out[65]) {
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char digest[32];
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
    for (int i = 0; ok && i < run->step_count; i++) {
        char number[32];
        int n = snprintf(number, sizeof number, "%lld\n", (long long)run->steps[i].vector_index);
        ok = EVP_DigestUpdate(ctx, run->steps[i].path, strlen(run->steps[i].path) + 1) == 1 && EVP_DigestUpdate(ctx, number, (size_t)n) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
    if (ok) lt_hex_text(digest, sizeof digest, out);
    EVP_MD_CTX_free(ctx);
    return ok;
}

struct lt_draft lt_draft_inside(const struct lt_open_step *step) {
    struct lt_draft d = lt_draft_new();
    yyjson_mut_obj_add_str(d.doc, d.root, "step_name", step->step.name);
    yyjson_mut_obj_add_int(d.doc, d.root, "step_index", step->step.step_index);
    yyjson_mut_obj_add_str(d.doc, d.root, "step_path", step->step.path);
    yyjson_mut_obj_add_int(d.doc, d.root, "vector_index", step->step.vector_index);
    return d;
}

void lt_draft_add_identity(struct lt_draft *d, yyjson_mut_val *object, const struct lt_planned_step *step) {
    const char *slash = strrchr(step->path, '/');
    size_t parent_n = slash == NULL || step->name == step->path ? 0 : (size_t)(slash - step->path);
    yyjson_mut_obj_add_str(d->doc, object, "step_path", step->path);
    yyjson_mut_obj_add_strn(d->doc, object, "parent_path", step->path, parent_n);
    yyjson_mut_obj_add_int(d->doc, object, "step_index", step->step_index);
    yyjson_mut_obj_add_int(d->doc, object, "vector_index", step->vector_index);
    yyjson_mut_obj_add_str(d->doc, object, "node_id", step->path);
    yyjson_mut_obj_add_str(d->doc, object, "function", step->name);
}

static void add_inputs(struct lt_draft *d, yyjson_mut_val *item, const char *inputs_json) {
    yyjson_doc *inputs = NULL;
    if (inputs_json == NULL || lt_read_inputs(inputs_json, &inputs, NULL) != LITMUS_OK) return; /* it was read when it was planned */
    yyjson_mut_obj_add_val(d->doc, item, "inputs", yyjson_val_mut_copy(d->doc, yyjson_doc_get_root(inputs)));
    yyjson_doc_free(inputs);
}

static yyjson_mut_val *plan_item(struct lt_draft *d, const struct lt_planned_step *step) {
    yyjson_mut_val *item = yyjson_mut_obj(d->doc);
    const char *slash = strchr(step->path, '/');
    lt_draft_add_identity(d, item, step);
    yyjson_mut_obj_add_str(d->doc, item, "name", step->name);
    if (slash == NULL) yyjson_mut_obj_add_null(d->doc, item, "file");
    else yyjson_mut_obj_add_strn(d->doc, item, "file", step->path, (size_t)(slash - step->path));
    static const char *const unknown[] = {"module", "class_name", "markers", "skip_reason"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) yyjson_mut_obj_add_null(d->doc, item, unknown[i]);
    yyjson_mut_obj_add_int(d->doc, item, "vector_count_planned", step->vector_count);
    add_inputs(d, item, step->inputs_json);
    return item;
}

int litmus_plan_commit(litmus_run *run, struct litmus_error *error) {
    char digest[65];
    if (run == NULL) return lt_need_handle(run, "litmus_plan_commit", "litmus_run_start", error);
    if (run->committed) return lt_fail(error, LITMUS_ESTATE, 0, "the plan is committed already");
    if (!assign_indexes(run) || !plan_digest(run, digest)) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the plan");
    struct lt_draft d = lt_draft_new();
    yyjson_mut_val *items = yyjson_mut_arr(d.doc);
    for (int i = 0; i < run->step_count; i++) yyjson_mut_arr_append(items, plan_item(&d, &run->steps[i]));
    yyjson_mut_obj_add_val(d.doc, d.root, "items", items);
    yyjson_mut_obj_add_str(d.doc, d.root, "plan_digest", digest);
    int code = lt_draft_emit(&d, run, "test.steps_discovered", error);
    if (code == LITMUS_OK) run->committed = true;
    return code;
}

int litmus_run_end(litmus_run *run, const char *outcome, const char *stop_reason, struct litmus_error *error) {
    struct lt_str word = lt_outcome_word(outcome);
    int code = lt_need_handle(run, "litmus_run_end", "litmus_run_start", error);
    if (code != LITMUS_OK) return code;
    if (outcome != NULL && word.p == NULL) code = lt_fail(error, LITMUS_EINVAL, 0, "\"%.40s\" is no outcome: the run ended with the worst of its steps", outcome);
    if (stop_reason != NULL && !lt_utf8_valid(stop_reason, strlen(stop_reason))) {
        code = lt_fail(error, LITMUS_EINVAL, 0, "the stop_reason is not UTF-8: the run ended without it");
        stop_reason = NULL;
    }
    int ended = lt_run_end_steps(run, "the run ended while the step was open", error);
    bool derived = word.p == NULL;
    for (int i = 0; i < run->step_count && derived; i++) word = lt_outcome_worse(word, run->steps[i].outcome);
    if (ended == LITMUS_OK) {
        struct lt_draft d = lt_draft_new();
        if (word.p != NULL) yyjson_mut_obj_add_str(d.doc, d.root, "outcome", word.p);
        if (stop_reason != NULL) yyjson_mut_obj_add_str(d.doc, d.root, "stop_reason", stop_reason);
        ended = lt_draft_emit(&d, run, "run.ended", error);
    }
    run_free(run);
    return code != LITMUS_OK ? code : ended;
}
