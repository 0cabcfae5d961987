/* SPDX-License-Identifier: Apache-2.0
 *
 * run.h - a run that is being recorded, as the files that record its parts see it: run.c (start, plan,
 * end), step.c (steps and sub-steps), measure.c (measurements and observations), attach.c, prompt.c.
 *
 * Always true: the open steps are a stack; the first is a planned step, those above it are its sub-steps.
 */
#ifndef LT_EMIT_RUN_H
#define LT_EMIT_RUN_H

#include "base/arena.h"
#include "base/map.h"
#include "emit/session.h"

struct lt_planned_step {
    char *path;
    char *inputs_json; /* of a planned vector; NULL: not known */
    int64_t started;   /* how often */
    struct lt_str outcome; /* of the last attempt; static text */
    const char *name; /* of a planned step the last part, within path; of a sub-step its own, owned */
    int64_t step_index, vector_index, vector_count;
};

struct lt_open_step {
    struct lt_planned_step step; /* path and name are the plan's, or owned by a sub-step */
    int number;                  /* in the plan, of the planned step */
    bool is_sub, judged;         /* judged: a measurement met a limit */
    struct lt_str worst;         /* outcome of its measurements and sub-steps; static text */
    struct lt_buf members;       /* what every event inside says of it: `{"step_name":...,"inputs":{}` */
    struct lt_arena names;       /* of what was measured and opened in it */
    struct lt_map measured, opened;
};

struct litmus_run {
    litmus_session *session;
    char run_id[LT_UUID_BYTES];
    char *operator_id; /* NULL: not known */
    struct lt_planned_step *steps;
    int step_count, step_capacity;
    bool committed;
    struct lt_open_step *open;
    int open_count, open_capacity;
    struct lt_buf json; /* of the event at hand; kept from one to the next */
};

/* One event under construction. */
struct lt_draft {
    yyjson_mut_doc *doc;
    yyjson_mut_val *root;
};
struct lt_draft lt_draft_new(void);
/* One that begins with the step that it belongs to; the step's texts are borrowed until it is emitted. */
struct lt_draft lt_draft_inside(const struct lt_open_step *step);
/* Emits it and frees it. */
int lt_draft_emit(struct lt_draft *draft, litmus_run *run, const char *type, struct litmus_error *error);
/* The same for who is not of one run; `run_id` NULL: the session's. */
int lt_draft_emit_in(struct lt_draft *draft, litmus_session *session, const char *run_id, const char *type, struct litmus_error *error);
/* Who a step is: its path, place in the plan and name. */
void lt_draft_add_identity(struct lt_draft *draft, yyjson_mut_val *object, const struct lt_planned_step *step);

/* The object that `json` is, NULL given as {}. The caller frees *doc. */
int lt_read_inputs(const char *json, yyjson_doc **doc, struct litmus_error *error);
/* The innermost open step, or NULL and ESTATE: `what` needs one. */
struct lt_open_step *lt_run_step(const litmus_run *run, const char *what, struct litmus_error *error);
/* Takes an outcome into that of a step. `outcome` is static text. */
void lt_step_worsen(struct lt_open_step *step, struct lt_str outcome);
/* Ends what is open, innermost first, as terminated. */
int lt_run_end_steps(litmus_run *run, const char *message, struct litmus_error *error);
void lt_open_step_release(struct lt_open_step *step);
/* A name that a person gives: not empty, at most LT_NAME_BYTES_MAX. EINVAL otherwise. */
enum { LT_NAME_BYTES_MAX = 255, LT_TEXT_BYTES_MAX = 64 * 1024 };
int lt_name_check(const char *what, const char *name, struct litmus_error *error);

#endif
