/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps of a run that run: planned ones, and sub-steps opened inside of them.
 */
#include "emit/run.h"

#include "base/json_text.h"
#include "log/layout.h"
#include "model/outcome.h"

#include <stdio.h>
#include <stdlib.h>

struct lt_open_step *lt_run_step(const litmus_run *run, const char *what, struct litmus_error *error) {
    if (run != NULL && run->open_count > 0) return &run->open[run->open_count - 1];
    lt_fail(error, LITMUS_ESTATE, 0, "%s needs a step that runs: call litmus_step_start first", what);
    return NULL;
}

void lt_step_worsen(struct lt_open_step *step, struct lt_str outcome) {
    step->worst = lt_outcome_worse(step->worst, outcome);
}

void lt_open_step_release(struct lt_open_step *step) {
    if (step->is_sub) {
        free(step->step.path);
        free((char *)(uintptr_t)step->step.name);
    }
    lt_buf_release(&step->members);
    lt_map_release(&step->measured);
    lt_map_release(&step->opened);
    lt_arena_release(&step->names);
}

int lt_name_check(const char *what, const char *name, struct litmus_error *error) {
    if (name == NULL || name[0] == '\0') return lt_fail(error, LITMUS_EINVAL, 0, "%s needs a name", what);
    size_t n = strlen(name);
    if (!lt_utf8_valid(name, n)) return lt_fail(error, LITMUS_EINVAL, 0, "the name of %s is not UTF-8", what);
    if (n <= LT_NAME_BYTES_MAX) return LITMUS_OK;
    return lt_fail(error, LITMUS_EINVAL, 0, "the name of %s has %zu bytes, at most %d are taken: %.40s...", what, n, LT_NAME_BYTES_MAX, name);
}

static int no_memory(struct litmus_error *error) {
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a step");
}

int lt_read_inputs(const char *json, yyjson_doc **doc, struct litmus_error *error) {
    yyjson_read_err why = {0};
    *doc = yyjson_read_opts((char *)(uintptr_t)(json == NULL ? "{}" : json), json == NULL ? 2 : strlen(json), 0, NULL, &why);
    if (*doc == NULL) return lt_fail(error, LITMUS_EINVAL, 0, "inputs_json is no JSON: %s at byte %zu", why.msg == NULL ? "out of memory" : why.msg, why.pos);
    if (yyjson_is_obj(yyjson_doc_get_root(*doc))) return LITMUS_OK;
    yyjson_doc_free(*doc);
    return lt_fail(error, LITMUS_EINVAL, 0, "inputs_json must be an object: the commanded parameters by name");
}

/* What every event inside of the step says of it. */
static void write_members(struct lt_open_step *open, const char *inputs_json) {
    struct lt_buf *out = &open->members;
    lt_buf_add_text(out, "{\"step_name\":");
    lt_json_str(out, lt_str_of(open->step.name));
    lt_buf_addf(out, ",\"step_index\":%lld,\"step_path\":", (long long)open->step.step_index);
    lt_json_str(out, lt_str_of(open->step.path));
    lt_buf_addf(out, ",\"vector_index\":%lld,\"retry\":%lld", (long long)open->step.vector_index, (long long)open->step.started);
    lt_buf_add_text(out, ",\"inputs\":");
    lt_buf_add_text(out, inputs_json == NULL ? "{}" : inputs_json);
}

/* Pushes a step and puts its start on record; releases it when that fails. */
static int start(litmus_run *run, struct lt_open_step *open, const char *inputs_json, struct litmus_error *error) {
    yyjson_doc *inputs = NULL;
    int code = LITMUS_OK;
    if (run->open_count == run->open_capacity) {
        int capacity = run->open_capacity == 0 ? 4 : run->open_capacity * 2;
        struct lt_open_step *larger = realloc(run->open, (size_t)capacity * sizeof *larger);
        if (larger == NULL) code = no_memory(error);
        else run->open = larger, run->open_capacity = capacity;
    }
    if (code == LITMUS_OK) code = lt_read_inputs(inputs_json, &inputs, error);
    if (code == LITMUS_OK) {
        struct lt_draft d = lt_draft_new();
        lt_draft_add_identity(&d, d.root, &open->step);
        yyjson_mut_obj_add_str(d.doc, d.root, "step_name", open->step.name);
        yyjson_mut_obj_add_int(d.doc, d.root, "retry", open->step.started);
        yyjson_mut_obj_add_val(d.doc, d.root, "inputs", yyjson_val_mut_copy(d.doc, yyjson_doc_get_root(inputs)));
        code = lt_draft_emit(&d, run, "test.step_started", error);
        yyjson_doc_free(inputs);
    }
    write_members(open, inputs_json);
    if (code == LITMUS_OK && open->members.failed) code = no_memory(error);
    if (code == LITMUS_OK) run->open[run->open_count++] = *open;
    else lt_open_step_release(open);
    return code;
}

int litmus_step_start(litmus_run *run, int step, const char *inputs_json, struct litmus_error *error) {
    if (run == NULL) return lt_need_handle(run, "litmus_step_start", "litmus_run_start", error);
    if (!run->committed) return lt_fail(error, LITMUS_ESTATE, 0, "the plan is not on record yet: call litmus_plan_commit first");
    if (step < 0 || step >= run->step_count) return lt_fail(error, LITMUS_EINVAL, 0, "there is no planned step number %d (the plan has %d)", step, run->step_count);
    if (run->open_count > 0) return lt_fail(error, LITMUS_ESTATE, 0, "step %s still runs: end it first", run->open[run->open_count - 1].step.path);
    struct lt_open_step open = {.step = run->steps[step], .number = step};
    int code = start(run, &open, inputs_json == NULL ? run->steps[step].inputs_json : inputs_json, error);
    if (code == LITMUS_OK) run->steps[step].started++;
    return code;
}

/* `/` and `%` percent-encoded: one part of a path. */
static void add_part(struct lt_buf *out, const char *name) {
    for (const char *p = name; *p != '\0'; p++) {
        if (*p == '/' || *p == '%') lt_buf_addf(out, "%%%02X", (unsigned)(unsigned char)*p);
        else lt_buf_add_char(out, *p);
    }
}

/* The path of a sub-step, unlike that of any other: a name that is opened again gets a number. */
static char *sub_path(struct lt_open_step *parent, const char *name) {
    struct lt_buf path;
    lt_buf_init(&path);
    lt_buf_addf(&path, "%s/", parent->step.path);
    add_part(&path, name);
    uint32_t before = lt_map_get(&parent->opened, lt_str_of(name), 0), count = before == LT_MAP_NONE ? 1 : before + 1;
    struct lt_str kept = before == LT_MAP_NONE ? lt_arena_str(&parent->names, lt_str_of(name)) : lt_str_of(name);
    bool ok = kept.p != NULL && lt_map_put(&parent->opened, kept, 0, count);
    if (count > 1) lt_buf_addf(&path, "#%u", count);
    char *text = ok && !path.failed ? strdup(lt_buf_cstr(&path)) : NULL;
    lt_buf_release(&path);
    return text;
}

int litmus_substep_start(litmus_run *run, const char *name, const char *inputs_json, struct litmus_error *error) {
    struct lt_open_step *parent = lt_run_step(run, "litmus_substep_start", error);
    if (parent == NULL) return LITMUS_ESTATE;
    int code = lt_name_check("a sub-step", name, error);
    if (code != LITMUS_OK) return code;
    struct lt_open_step open = {.step = parent->step, .is_sub = true};
    open.step.path = sub_path(parent, name);
    open.step.name = strdup(name);
    if (open.step.path != NULL && open.step.name != NULL) return start(run, &open, inputs_json, error);
    lt_open_step_release(&open);
    return no_memory(error);
}

/* A step is no better than what is in it; without a verdict of its own, it is that or done. */
static struct lt_str verdict_of(const struct lt_open_step *open, struct lt_str said) {
    if (said.p != NULL) return lt_outcome_worse(said, open->worst);
    return open->judged || lt_outcome_severity(open->worst) > lt_outcome_severity(LT_STR("passed")) ? open->worst : LT_STR("done");
}

int litmus_step_end(litmus_run *run, const char *outcome, const char *message, struct litmus_error *error) {
    struct lt_open_step *open = lt_run_step(run, "litmus_step_end", error);
    if (open == NULL) return LITMUS_ESTATE;
    struct lt_str word = lt_outcome_word(outcome);
    if (outcome != NULL && word.p == NULL)
        return lt_fail(error, LITMUS_EINVAL, 0, "\"%.40s\" is no outcome (passed, failed, skipped, errored, terminated, aborted, done)", outcome);
    word = verdict_of(open, word);
    struct lt_draft d = lt_draft_new();
    lt_draft_add_identity(&d, d.root, &open->step);
    yyjson_mut_obj_add_str(d.doc, d.root, "step_name", open->step.name);
    yyjson_mut_obj_add_int(d.doc, d.root, "retry", open->step.started);
    yyjson_mut_obj_add_str(d.doc, d.root, "outcome", word.p);
    yyjson_mut_obj_add_str(d.doc, d.root, "vector_outcome", word.p);
    if (message != NULL) yyjson_mut_obj_add_str(d.doc, d.root, "message", message);
    int code = lt_draft_emit(&d, run, "test.step_ended", error);
    if (code != LITMUS_OK) return code;
    bool judged = open->judged;
    int number = open->number;
    lt_open_step_release(open);
    run->open_count--;
    if (run->open_count == 0) {
        run->steps[number].outcome = word;
    } else {
        lt_step_worsen(&run->open[run->open_count - 1], word);
        run->open[run->open_count - 1].judged |= judged;
    }
    return LITMUS_OK;
}

int lt_run_end_steps(litmus_run *run, const char *message, struct litmus_error *error) {
    int code = LITMUS_OK;
    while (code == LITMUS_OK && run->open_count > 0) code = litmus_step_end(run, "terminated", message, error);
    return code;
}
