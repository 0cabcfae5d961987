/* SPDX-License-Identifier: Apache-2.0
 *
 * What is derived once the events are folded: never-ran rows (run-schema.md, 4), plan facts on the
 * rows that ran, rollups, owners that came late, the order of the rows.
 */
#include "accumulate/run.h"

#include "accumulate/values.h"
#include "model/outcome.h"

#include <stdlib.h>
#include <strings.h>

/* Why the steps that nobody passed over by name did not run. */
struct stop {
    struct lt_str reason, cause;
};

static const struct {
    const char *stop_reason, *never_ran_reason;
} stop_words[] = {
    {"maxfail", "maxfail"},         {"interrupted", "interrupted"},           {"collection error", "collection_error"},
    {"crash", "crash"},             {"instrument error", "instrument_error"},
};

static struct stop stop_of(const struct lt_run *run) {
    struct stop stop = {LT_STR("unknown"), run->ended_event_id};
    for (size_t i = 0; i < sizeof stop_words / sizeof stop_words[0]; i++)
        if (lt_str_eq(run->stop_reason, lt_str_of(stop_words[i].stop_reason))) stop.reason = lt_str_of(stop_words[i].never_ran_reason);
    if (run->stop_reason.p == NULL && lt_outcome_severity(run->outcome) == 6) stop.reason = LT_STR("interrupted");
    if (run->stop_reason.p == NULL && (run->outcome.p == NULL || lt_outcome_severity(run->outcome) == 7)) stop.reason = LT_STR("crash");
    if (lt_str_eq(stop.reason, LT_STR("maxfail")) && run->last_bad_end_id.p != NULL) stop.cause = run->last_bad_end_id;
    return stop;
}

/* A row for a pair of the plan that did not run. */
static bool add_never_ran(struct lt_run *run, const struct lt_plan_item *item, int64_t vector, bool live, const struct stop *stop) {
    void *steps = run->steps;
    if (!lt_grow(&run->arena, &steps, run->step_count, &run->step_capacity, sizeof *run->steps)) return false;
    run->steps = steps;
    struct lt_step *step = &run->steps[run->step_count++];
    *step = (struct lt_step){.name = lt_item_name(item), .path = item->step_path, .parent_path = item->parent_path, .module = item->module};
    step->node_id = item->node_id;
    step->file = item->file;
    step->class_name = item->class_name;
    step->function = lt_without_parameters(item->function.p != NULL ? item->function : item->name);
    step->markers = item->markers;
    step->index = item->step_index;
    step->vector_index = (struct lt_int){vector, true};
    step->vector_count = (struct lt_int){item->vector_count.set ? item->vector_count.v : 1, true};
    step->planned = true;
    if (item->vector_index.v == vector) step->inputs = item->inputs;
    uint32_t passed_over = lt_map_get(&run->not_run_by_key, step->path, (uint64_t)vector);
    if (passed_over != LT_MAP_NONE) {
        step->never_ran_reason = run->not_runs[passed_over].reason;
        step->message = run->not_runs[passed_over].message;
        step->never_ran_cause = run->not_runs[passed_over].event_id;
    } else if (!live) {
        step->never_ran_reason = stop->reason;
        step->never_ran_cause = stop->cause;
    }
    return true;
}

/* Does the pair have a row that ran? Items with a path and a vector go by that key, others by
 * their node id, as the plan gave them; the key still counts when no step said the node id, since
 * it never has two rows. Marks the row as planned. */
static bool pair_ran(struct lt_run *run, const struct lt_plan_item *item, int64_t vector) {
    uint32_t number = LT_MAP_NONE;
    if (item->by_node && item->vector_index.v == vector) number = lt_map_get(&run->step_ran_by_node, item->node_id, 0);
    if (number == LT_MAP_NONE) number = lt_map_get(&run->step_by_key, item->step_path, (uint64_t)vector);
    if (number == LT_MAP_NONE) return false;
    run->steps[number].planned = true;
    return true;
}

static bool consider(struct lt_run *run, struct lt_map *seen, const struct lt_plan_item *item, int64_t vector, bool live, const struct stop *stop) {
    if (lt_map_get(seen, item->step_path, (uint64_t)vector) != LT_MAP_NONE) return true;
    if (!lt_map_put(seen, item->step_path, (uint64_t)vector, 1)) return false;
    uint32_t exact = lt_map_get(&run->plan_by_key, item->step_path, (uint64_t)vector);
    const struct lt_plan_item *said = exact == LT_MAP_NONE ? item : &run->plan[exact];
    if (pair_ran(run, said, vector)) return true;
    return add_never_ran(run, said, vector, live, stop);
}

/* The vectors that the item counts and no item names, as far as there are rows for them; `left`: so many there are. */
static bool consider_counted(struct lt_run *run, struct lt_map *seen, const struct lt_plan_item *item, int64_t *left, bool live, const struct stop *stop) {
    int64_t count = item->vector_count.v, kept = count < *left ? count : *left, v = 0;
    bool ok = true;
    for (; ok && v < kept; v++) ok = consider(run, seen, item, v, live, stop);
    *left -= kept;
    size_t rows = run->step_count;
    for (; ok && v < count && run->step_count == rows; v++) ok = consider(run, seen, item, v, live, stop);
    if (ok && run->step_count > rows) run->steps[rows].message = LT_STR("more vectors were announced than a run has rows for: this row stands for the rest of them");
    return ok;
}

static bool add_all_never_ran(struct lt_run *run, bool live) {
    struct stop stop = stop_of(run);
    struct lt_map seen;
    lt_map_init(&seen);
    bool ok = true;
    for (size_t i = 0; ok && i < run->plan_count; i++) {
        const struct lt_plan_item *item = &run->plan[i];
        ok = consider(run, &seen, item, item->vector_index.v, live, &stop);
    }
    int64_t left = LT_ANNOUNCED_VECTORS_MAX;
    for (size_t i = 0; ok && i < run->plan_count; i++) {
        const struct lt_plan_item *item = &run->plan[i];
        if (!item->vector_count.set || item->vector_count.v <= 1 || lt_map_get(&seen, item->step_path, UINT64_MAX) != LT_MAP_NONE) continue;
        ok = lt_map_put(&seen, item->step_path, UINT64_MAX, 1) && consider_counted(run, &seen, item, &left, live, &stop);
    }
    lt_map_release(&seen);
    return ok;
}

/* Facts that only the plan knows, on rows that ran. */
static void add_plan_facts(struct lt_run *run) {
    for (size_t i = 0; i < run->ran_count; i++) {
        struct lt_step *step = &run->steps[i];
        uint32_t number = lt_map_get(&run->plan_by_key, step->path, (uint64_t)step->vector_index.v);
        if (number == LT_MAP_NONE) number = lt_map_get(&run->plan_by_node, step->node_id, 0);
        const struct lt_plan_item *item = number == LT_MAP_NONE ? NULL : &run->plan[number];
        step->vector_count = (struct lt_int){item != NULL && item->vector_count.set ? item->vector_count.v : 1, true};
        step->markers = item == NULL ? LT_STR_NULL : item->markers;
        step->file_of_plan = step->file_of_plan || step->file.p == NULL;
        if (step->file_of_plan) step->file = item == NULL ? LT_STR_NULL : item->file;
    }
}

/* Started and not ended: aborted once the run is final, open while it lives. */
static void close_open_attempts(struct lt_run *run, bool live) {
    for (size_t i = 0; i < run->ran_count; i++) {
        struct lt_step *step = &run->steps[i];
        for (size_t a = 0; a < step->attempt_count; a++)
            if (!step->attempts[a].ended.set) step->attempts[a].outcome = live ? LT_STR_NULL : LT_STR("aborted");
        const struct lt_attempt *last = &step->attempts[step->attempt_count - 1];
        step->vector_outcome = last->outcome;
    }
}

/* step_outcome: the worst vector of the step_path. While a vector runs, its row shows none yet. */
static bool roll_up_steps(struct lt_run *run, bool live) {
    struct lt_map worst; /* path -> number of the step row with the worst outcome */
    lt_map_init(&worst);
    bool ok = true;
    for (size_t i = 0; ok && i < run->ran_count; i++) {
        uint32_t number = lt_map_get(&worst, run->steps[i].path, 0);
        if (number == LT_MAP_NONE || lt_outcome_severity(run->steps[i].vector_outcome) > lt_outcome_severity(run->steps[number].vector_outcome))
            ok = lt_map_put(&worst, run->steps[i].path, 0, (uint32_t)i);
    }
    for (size_t i = 0; ok && i < run->ran_count; i++) {
        struct lt_str outcome = run->steps[lt_map_get(&worst, run->steps[i].path, 0)].vector_outcome;
        bool running = live && !run->steps[i].ended.set;
        run->steps[i].step_outcome = running ? LT_STR_NULL : outcome;
    }
    lt_map_release(&worst);
    return ok;
}

/* Measurements whose step started only after them. */
static bool find_late_owners(struct lt_run *run) {
    struct lt_map first;
    lt_map_init(&first);
    bool ok = true;
    for (size_t i = run->ran_count; ok && i > 0; i--)
        if (run->steps[i - 1].started_once) ok = lt_map_put(&first, run->steps[i - 1].path, 0, (uint32_t)(i - 1));
    for (size_t i = 0; ok && i < run->measurement_count; i++) {
        struct lt_measurement *m = &run->measurements[i];
        m->late = m->late || m->owner == LT_MAP_NONE;
        if (m->late) m->owner = lt_map_get(&first, m->step_path, 0);
    }
    lt_map_release(&first);
    return ok;
}

/* A key for "measurements of owner o with vector v". */
static uint64_t vector_key(uint32_t owner, int64_t vector) {
    return ((uint64_t)owner << 32) ^ (uint64_t)vector;
}

/* vector_outcome of measurement rows: the owner's, unless an in-body loop counted vectors of its
 * own: then the worst of the measurements of that vector's highest retry. */
static bool judge_vectors(struct lt_run *run) {
    struct lt_map loops, worst;
    lt_map_init(&loops);
    lt_map_init(&worst);
    bool ok = true;
    for (size_t i = 0; ok && i < run->measurement_count; i++) {
        struct lt_measurement *m = &run->measurements[i];
        if (m->owner != LT_MAP_NONE && run->steps[m->owner].vector_index.v != m->vector_index.v) ok = lt_map_put(&loops, LT_STR(""), m->owner, 1);
    }
    for (size_t i = 0; ok && loops.count > 0 && i < run->measurement_count; i++) {
        const struct lt_measurement *m = &run->measurements[i];
        uint32_t number = lt_map_get(&worst, LT_STR(""), vector_key(m->owner, m->vector_index.v));
        const struct lt_measurement *w = number == LT_MAP_NONE ? NULL : &run->measurements[number];
        bool better = w == NULL || m->retry.v > w->retry.v ||
                      (m->retry.v == w->retry.v && lt_outcome_severity(m->outcome) > lt_outcome_severity(w->outcome));
        if (better) ok = lt_map_put(&worst, LT_STR(""), vector_key(m->owner, m->vector_index.v), (uint32_t)i);
    }
    for (size_t i = 0; ok && i < run->measurement_count; i++) {
        struct lt_measurement *m = &run->measurements[i];
        bool loop = m->owner != LT_MAP_NONE && lt_map_get(&loops, LT_STR(""), m->owner) != LT_MAP_NONE;
        if (loop) m->vector_outcome = run->measurements[lt_map_get(&worst, LT_STR(""), vector_key(m->owner, m->vector_index.v))].outcome;
        else m->vector_outcome = m->owner == LT_MAP_NONE ? LT_STR_NULL : run->steps[m->owner].vector_outcome;
    }
    lt_map_release(&loops);
    lt_map_release(&worst);
    return ok;
}

struct sort_key {
    const struct lt_step *step;
    uint32_t number;
};

static int compare_rows(const void *a, const void *b) {
    const struct sort_key *x = a, *y = b;
    if (x->step->index.v != y->step->index.v) return x->step->index.v < y->step->index.v ? -1 : 1;
    int path = lt_str_cmp(x->step->path, y->step->path);
    if (path != 0) return path;
    if (x->step->vector_index.v != y->step->vector_index.v) return x->step->vector_index.v < y->step->vector_index.v ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static bool order_rows(struct lt_run *run) {
    struct sort_key *keys = malloc((run->step_count + 1) * sizeof *keys);
    if (run->step_count + 1 > run->order_capacity) { /* kept from one settle to the next: a live view settles often */
        run->order_capacity = run->step_count + 1 + run->step_count / 2;
        run->order = lt_arena_alloc(&run->arena, run->order_capacity * sizeof *run->order);
    }
    bool ok = keys != NULL && run->order != NULL;
    for (size_t i = 0; ok && i < run->step_count; i++) keys[i] = (struct sort_key){&run->steps[i], (uint32_t)i};
    if (ok) qsort(keys, run->step_count, sizeof *keys, compare_rows);
    for (size_t i = 0; ok && i < run->step_count; i++) run->order[i] = keys[i].number;
    free(keys);
    return ok;
}

/* In whatever case, with blanks around: nobody gets the stamp by a spelling. */
static bool is_production(struct lt_str phase) {
    static const char word[] = "production";
    while (phase.n > 0 && phase.p[0] == ' ') phase = (struct lt_str){phase.p + 1, phase.n - 1};
    while (phase.n > 0 && phase.p[phase.n - 1] == ' ') phase.n--;
    return phase.n == sizeof word - 1 && strncasecmp(phase.p, word, phase.n) == 0;
}

/* A run with a mock, or of code that is in no commit, is no production: whoever asked, and whenever the mock came. */
static void judge_phase(struct lt_run *run) {
    bool unfit = run->git_dirty.set && run->git_dirty.v;
    for (size_t i = 0; i < run->instrument_count; i++) unfit = unfit || run->instruments[i].mocked;
    if (!unfit || !is_production(run->test_phase)) return;
    run->test_phase_asked = run->test_phase;
    run->test_phase = LT_STR("development");
}

int lt_run_settle(struct lt_run *run, bool live, struct litmus_error *error) {
    run->step_count = run->ran_count;
    run->outcome_stored = run->outcome;
    if (live) run->outcome_stored = LT_STR_NULL;
    else if (run->outcome.p == NULL) run->outcome_stored = LT_STR("aborted");
    if (run->end_found && run->last_at > run->ended.v) run->ended.v = run->last_at; /* what came after it */
    for (size_t i = 0; i < run->ran_count; i++) run->steps[i].planned = false;
    judge_phase(run);
    bool ok = add_all_never_ran(run, live);
    if (ok) {
        add_plan_facts(run);
        close_open_attempts(run, live);
    }
    ok = ok && roll_up_steps(run, live) && find_late_owners(run) && judge_vectors(run) && order_rows(run);
    if (ok && !run->arena.failed) return LITMUS_OK;
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory settling run %.*s", LT_STR_ARG(run->run_id));
}
