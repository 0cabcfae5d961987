/* SPDX-License-Identifier: Apache-2.0
 *
 * The C way to record a run: plan, steps, measurements. Each call makes one event, written with the
 * JSON library, so that any text is safe in it.
 */
#include "emit/session.h"
#include "base/map.h"
#include "model/limit.h"
#include "model/outcome.h"

#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

struct planned_step {
    char *path;
    const char *name; /* the last part, within path */
    int64_t step_index, vector_index, vector_count;
};

struct litmus_run {
    litmus_session *session;
    char run_id[LT_UUID_BYTES];
    struct planned_step *steps;
    int step_count, step_capacity;
    bool committed;
    int current; /* step that runs, -1: none */
    bool judged; /* a measurement of the current step met a limit */
    struct lt_str worst_measured, worst_step;
};

/* One event under construction. */
struct draft {
    yyjson_mut_doc *doc;
    yyjson_mut_val *root;
};

static struct draft draft_new(void) {
    struct draft d = {yyjson_mut_doc_new(NULL), NULL};
    d.root = yyjson_mut_obj(d.doc);
    yyjson_mut_doc_set_root(d.doc, d.root);
    return d;
}

static int draft_emit(struct draft *d, litmus_run *run, const char *type, struct litmus_error *error) {
    size_t n = 0;
    char *text = yyjson_mut_write(d->doc, YYJSON_WRITE_INF_AND_NAN_AS_NULL, &n);
    int code = text == NULL ? lt_fail(error, LITMUS_EINVAL, 0, "event %s: a text is not valid UTF-8, or memory is out", type) : LITMUS_OK;
    struct litmus_event event = {.event_type = type, .run_id = run->run_id, .payload = text, .payload_bytes = n};
    if (code == LITMUS_OK) code = litmus_emit(run->session, &event, NULL, error);
    free(text);
    yyjson_mut_doc_free(d->doc);
    return code;
}

static void add_json(struct draft *d, const char *name, const char *json) {
    yyjson_doc *value = json == NULL ? NULL : yyjson_read(json, strlen(json), 0);
    if (value != NULL) yyjson_mut_obj_add_val(d->doc, d->root, name, yyjson_val_mut_copy(d->doc, yyjson_doc_get_root(value)));
    yyjson_doc_free(value);
}

const char *litmus_run_id(const litmus_run *run) {
    return run->run_id;
}

static void run_free(litmus_run *run) {
    for (int i = 0; i < run->step_count; i++) free(run->steps[i].path);
    free(run->steps);
    free(run);
}

int litmus_run_start(litmus_session *session, const char *payload_json, litmus_run **out, struct litmus_error *error) {
    litmus_run *run = calloc(1, sizeof *run);
    if (run == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a run");
    run->session = session;
    run->current = -1;
    lt_uuid_new(run->run_id);
    struct litmus_event event = {.event_type = "run.started", .run_id = run->run_id, .payload = payload_json};
    int code = litmus_emit(session, &event, NULL, error);
    if (code == LITMUS_OK) *out = run;
    else run_free(run);
    return code;
}

/* ---- the plan ---- */

int litmus_plan_add(litmus_run *run, const char *step_path, int *step_out, struct litmus_error *error) {
    if (run->committed) return lt_fail(error, LITMUS_EINVAL, 0, "step %s comes too late: the plan is committed", step_path);
    if (step_path == NULL || step_path[0] == '\0') return lt_fail(error, LITMUS_EINVAL, 0, "a planned step needs a step_path");
    if (run->step_count == run->step_capacity) {
        int capacity = run->step_capacity == 0 ? 16 : run->step_capacity * 2;
        struct planned_step *steps = realloc(run->steps, (size_t)capacity * sizeof *steps);
        if (steps == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the plan");
        run->steps = steps;
        run->step_capacity = capacity;
    }
    struct planned_step step = {.path = strdup(step_path)};
    if (step.path == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the plan");
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
        struct planned_step *step = &run->steps[i];
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
    for (int i = 0; ok && i < 32; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free(ctx);
    return ok;
}

static void add_identity(struct draft *d, yyjson_mut_val *object, const struct planned_step *step) {
    size_t parent_n = step->name == step->path ? 0 : (size_t)(step->name - step->path) - 1;
    yyjson_mut_obj_add_str(d->doc, object, "step_path", step->path);
    yyjson_mut_obj_add_strn(d->doc, object, "parent_path", step->path, parent_n);
    yyjson_mut_obj_add_int(d->doc, object, "step_index", step->step_index);
    yyjson_mut_obj_add_int(d->doc, object, "vector_index", step->vector_index);
    yyjson_mut_obj_add_str(d->doc, object, "node_id", step->path);
    yyjson_mut_obj_add_str(d->doc, object, "function", step->name);
}

static yyjson_mut_val *plan_item(struct draft *d, const struct planned_step *step) {
    yyjson_mut_val *item = yyjson_mut_obj(d->doc);
    const char *slash = strchr(step->path, '/');
    add_identity(d, item, step);
    yyjson_mut_obj_add_str(d->doc, item, "name", step->name);
    if (slash == NULL) yyjson_mut_obj_add_null(d->doc, item, "file");
    else yyjson_mut_obj_add_strn(d->doc, item, "file", step->path, (size_t)(slash - step->path));
    static const char *const unknown[] = {"module", "class_name", "markers", "skip_reason"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) yyjson_mut_obj_add_null(d->doc, item, unknown[i]);
    yyjson_mut_obj_add_int(d->doc, item, "vector_count_planned", step->vector_count);
    return item;
}

int litmus_plan_commit(litmus_run *run, struct litmus_error *error) {
    char digest[65];
    if (run->committed) return lt_fail(error, LITMUS_ESTATE, 0, "the plan is committed already");
    if (!assign_indexes(run) || !plan_digest(run, digest)) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the plan");
    struct draft d = draft_new();
    yyjson_mut_val *items = yyjson_mut_arr(d.doc);
    for (int i = 0; i < run->step_count; i++) yyjson_mut_arr_append(items, plan_item(&d, &run->steps[i]));
    yyjson_mut_obj_add_val(d.doc, d.root, "items", items);
    yyjson_mut_obj_add_str(d.doc, d.root, "plan_digest", digest);
    int code = draft_emit(&d, run, "test.steps_discovered", error);
    if (code == LITMUS_OK) run->committed = true;
    return code;
}

/* ---- steps ---- */

static int current_step(const litmus_run *run, const char *what, struct litmus_error *error) {
    if (run->current >= 0) return LITMUS_OK;
    return lt_fail(error, LITMUS_ESTATE, 0, "%s needs a step that runs: call litmus_step_start first", what);
}

int litmus_step_start(litmus_run *run, int step, const char *inputs_json, struct litmus_error *error) {
    if (!run->committed) return lt_fail(error, LITMUS_ESTATE, 0, "the plan is not on record yet: call litmus_plan_commit first");
    if (step < 0 || step >= run->step_count) return lt_fail(error, LITMUS_EINVAL, 0, "there is no planned step number %d (the plan has %d)", step, run->step_count);
    if (run->current >= 0) return lt_fail(error, LITMUS_ESTATE, 0, "step %s still runs: end it first", run->steps[run->current].path);
    struct draft d = draft_new();
    add_identity(&d, d.root, &run->steps[step]);
    yyjson_mut_obj_add_str(d.doc, d.root, "step_name", run->steps[step].name);
    add_json(&d, "inputs", inputs_json);
    int code = draft_emit(&d, run, "test.step_started", error);
    if (code != LITMUS_OK) return code;
    run->current = step;
    run->judged = false;
    run->worst_measured = LT_STR_NULL;
    return LITMUS_OK;
}

static void add_limit(struct draft *d, const struct litmus_limit *limit) {
    if (limit == NULL) return;
    bool any = !isnan(limit->low) || !isnan(limit->high) || !isnan(limit->nominal);
    if (isfinite(limit->low)) yyjson_mut_obj_add_real(d->doc, d->root, "limit_low", limit->low);
    if (isfinite(limit->high)) yyjson_mut_obj_add_real(d->doc, d->root, "limit_high", limit->high);
    if (isfinite(limit->nominal)) yyjson_mut_obj_add_real(d->doc, d->root, "limit_nominal", limit->nominal);
    if (any) yyjson_mut_obj_add_str(d->doc, d->root, "limit_comparator", limit->comparator == NULL ? "GELE" : limit->comparator);
    if (limit->units != NULL) yyjson_mut_obj_add_str(d->doc, d->root, "units", limit->units);
}

int litmus_measure(litmus_run *run, const char *name, double value, const struct litmus_limit *limit, const char **outcome_out, struct litmus_error *error) {
    int code = current_step(run, "a measurement", error);
    if (code != LITMUS_OK) return code;
    if (name == NULL || name[0] == '\0') return lt_fail(error, LITMUS_EINVAL, 0, "a measurement needs a name");
    struct lt_limit judged_by = limit == NULL ? (struct lt_limit){.low = NAN, .high = NAN, .nominal = NAN}
                                              : (struct lt_limit){.low = limit->low, .high = limit->high, .nominal = limit->nominal, .comparator = limit->comparator};
    code = lt_limit_check(&judged_by, name, error);
    if (code != LITMUS_OK) return code;
    const char *outcome = lt_limit_judge(&judged_by, value);
    const struct planned_step *step = &run->steps[run->current];
    struct draft d = draft_new();
    yyjson_mut_obj_add_str(d.doc, d.root, "step_name", step->name);
    yyjson_mut_obj_add_int(d.doc, d.root, "step_index", step->step_index);
    yyjson_mut_obj_add_str(d.doc, d.root, "step_path", step->path);
    yyjson_mut_obj_add_int(d.doc, d.root, "vector_index", step->vector_index);
    yyjson_mut_obj_add_str(d.doc, d.root, "measurement_name", name);
    yyjson_mut_obj_add_real(d.doc, d.root, "value", value);
    yyjson_mut_obj_add_str(d.doc, d.root, "outcome", outcome);
    add_limit(&d, limit);
    code = draft_emit(&d, run, "test.measurement", error);
    if (code != LITMUS_OK) return code;
    run->judged |= strcmp(outcome, "done") != 0;
    run->worst_measured = lt_outcome_worse(run->worst_measured, lt_str_of(outcome));
    if (outcome_out != NULL) *outcome_out = outcome;
    return LITMUS_OK;
}

/* The word as static text, or NULL text for none of the table's. */
static struct lt_str outcome_word(const char *outcome) {
#define MATCH(word, severity, text) \
    if (outcome != NULL && strcmp(outcome, #word) == 0) return LT_STR(#word);
    LT_OUTCOMES(MATCH)
#undef MATCH
    return LT_STR_NULL;
}

int litmus_step_end(litmus_run *run, const char *outcome, const char *message, struct litmus_error *error) {
    int code = current_step(run, "litmus_step_end", error);
    if (code != LITMUS_OK) return code;
    struct lt_str word = outcome_word(outcome);
    if (outcome != NULL && word.p == NULL)
        return lt_fail(error, LITMUS_EINVAL, 0, "\"%.40s\" is no outcome (passed, failed, skipped, errored, terminated, aborted, done)", outcome);
    if (word.p == NULL) word = run->judged ? run->worst_measured : LT_STR("done");
    else word = lt_outcome_worse(word, run->worst_measured.p == NULL ? word : run->worst_measured);
    struct draft d = draft_new();
    add_identity(&d, d.root, &run->steps[run->current]);
    yyjson_mut_obj_add_str(d.doc, d.root, "step_name", run->steps[run->current].name);
    yyjson_mut_obj_add_str(d.doc, d.root, "outcome", word.p);
    yyjson_mut_obj_add_str(d.doc, d.root, "vector_outcome", word.p);
    if (message != NULL) yyjson_mut_obj_add_str(d.doc, d.root, "message", message);
    code = draft_emit(&d, run, "test.step_ended", error);
    if (code != LITMUS_OK) return code;
    run->current = -1;
    run->worst_step = lt_outcome_worse(run->worst_step, word);
    return LITMUS_OK;
}

int litmus_run_end(litmus_run *run, const char *outcome, const char *stop_reason, struct litmus_error *error) {
    struct lt_str word = outcome_word(outcome);
    int code = LITMUS_OK;
    if (outcome != NULL && word.p == NULL) code = lt_fail(error, LITMUS_EINVAL, 0, "\"%.40s\" is no outcome", outcome);
    if (code == LITMUS_OK && run->current >= 0) code = litmus_step_end(run, "terminated", "the run ended while the step was open", error);
    if (word.p == NULL) word = run->worst_step;
    if (code == LITMUS_OK) {
        struct draft d = draft_new();
        if (word.p != NULL) yyjson_mut_obj_add_str(d.doc, d.root, "outcome", word.p);
        if (stop_reason != NULL) yyjson_mut_obj_add_str(d.doc, d.root, "stop_reason", stop_reason);
        code = draft_emit(&d, run, "run.ended", error);
    }
    run_free(run);
    return code;
}
