/* SPDX-License-Identifier: Apache-2.0
 *
 * The fold: one function an event type, found through a table. What is derived from all of it
 * (owners, never-ran rows, rollups, order) is made in settle.c.
 */
#include "accumulate/run.h"

#include "accumulate/values.h"
#include "model/outcome.h"

#include <inttypes.h>
#include <stdalign.h>
#include <stdio.h>

void lt_run_init(struct lt_run *run, struct lt_str run_id, struct lt_str session_id) {
    *run = (struct lt_run){0};
    lt_arena_init(&run->arena);
    run->run_id = lt_arena_str(&run->arena, run_id);
    run->session_id = lt_arena_str(&run->arena, session_id);
}

void lt_run_release(struct lt_run *run) {
    struct lt_map *maps[] = {&run->plan_by_key, &run->plan_by_node, &run->step_by_key,
                             &run->step_ran_by_node, &run->step_by_path, &run->not_run_by_key};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) lt_map_release(maps[i]);
    lt_arena_release(&run->arena);
    *run = (struct lt_run){0};
}

/* What one event brings along. */
struct fold {
    struct lt_run *run;
    const struct lt_row *row;
    struct lt_event_values fields;
    uint32_t source;
};

static yyjson_val *field(struct fold *f, const char *name) {
    return lt_event_value(&f->fields, lt_str_of(name));
}

static struct lt_str peek(struct fold *f, const char *name) { /* borrowed from the event */
    return lt_as_str(field(f, name));
}

static struct lt_str text(struct fold *f, const char *name) {
    return lt_arena_str(&f->run->arena, peek(f, name));
}

/* What is said, as `known` if that is the same: most texts of a run are there already. */
static struct lt_str keep(struct fold *f, struct lt_str known, struct lt_str said) {
    return said.p != NULL && lt_str_eq(said, known) ? known : lt_arena_str(&f->run->arena, said);
}

static int64_t int_or(struct fold *f, const char *name, int64_t otherwise) {
    struct lt_int value = lt_as_int(field(f, name));
    return value.set ? value.v : otherwise;
}

/* run.started fields that are taken as they are: field name and place. */
#define CONTEXT(X)                                                                                        \
    X(slot_id) X(station_id) X(station_name) X(station_type) X(station_location) X(station_hostname)      \
    X(dut_serial) X(dut_part_number) X(dut_revision) X(dut_lot_number) X(product_id) X(product_name)      \
    X(product_revision) X(operator_id) X(operator_name) X(fixture_id) X(test_phase) X(project_name)       \
    X(git_commit) X(git_branch) X(git_remote) X(environment_json) X(profile) X(test_phase_asked)

static void take_environment(struct lt_run *run) {
    if (run->environment_json.p == NULL) return;
    yyjson_doc *doc = yyjson_read(run->environment_json.p, run->environment_json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    run->python_version = lt_get_str(&run->arena, root, "python_version");
    run->litmus_version = lt_get_str(&run->arena, root, "litmus_version");
    run->env_fingerprint = lt_get_str(&run->arena, root, "lockfile_hash");
    if (run->env_fingerprint.p == NULL) run->env_fingerprint = lt_get_str(&run->arena, root, "packages_hash");
    yyjson_doc_free(doc);
}

static bool on_run_started(struct fold *f) {
    struct lt_run *run = f->run;
    if (run->has_started) return true;
    run->has_started = true;
    struct lt_str scanned = run->dut_serial; /* before the start */
#define TAKE(field) run->field = text(f, #field);
    CONTEXT(TAKE)
#undef TAKE
    run->serial_given = run->dut_serial.n > 0;
    if (!run->serial_given) run->dut_serial = scanned.p == NULL ? LT_STR("") : scanned;
    run->started = (struct lt_int){f->row->occurred_at, true};
    run->pid = lt_as_int(field(f, "pid"));
    yyjson_val *dirty = field(f, "git_dirty");
    run->git_dirty = (struct lt_int){yyjson_get_bool(dirty), yyjson_is_bool(dirty)};
    take_environment(run);
    return lt_values_merge(&run->arena, &run->custom, field(f, "custom_metadata"), true);
}

static bool on_run_metadata(struct fold *f) {
    return lt_values_merge(&f->run->arena, &f->run->custom, field(f, "custom_metadata"), true);
}

/* A run that was started without a serial has the one that was scanned last. */
static bool on_dut_scanned(struct fold *f) {
    struct lt_run *run = f->run;
    struct lt_str serial = text(f, "dut_serial");
    if (!run->serial_given && serial.n > 0) run->dut_serial = serial;
    return true;
}

static bool on_run_ended(struct fold *f) {
    struct lt_run *run = f->run;
    if (run->has_ended) return true;
    run->has_ended = true;
    run->ended = (struct lt_int){f->row->occurred_at, true};
    run->outcome = text(f, "outcome");
    run->stop_reason = text(f, "stop_reason");
    run->end_found = lt_str_eq(text(f, "said_by"), LT_STR("recovery"));
    run->ended_event_id = lt_arena_str(&run->arena, f->row->id);
    return true;
}

static struct lt_str join_path(struct lt_arena *arena, const struct lt_str *parts, size_t count) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++) n += parts[i].n + 1;
    char *text = lt_arena_alloc(arena, n + 1), *p = text;
    if (text == NULL) return LT_STR_NULL;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].n == 0) continue;
        if (p != text) *p++ = '/';
        memcpy(p, parts[i].p, parts[i].n);
        p += parts[i].n;
    }
    return (struct lt_str){text, (size_t)(p - text)};
}

static struct lt_str parent_of(struct lt_str path) {
    for (size_t i = path.n; i > 0; i--)
        if (path.p[i - 1] == '/') return (struct lt_str){path.p, i - 1};
    return LT_STR("");
}

static bool take_item(struct lt_arena *arena, struct lt_plan_item *item, yyjson_val *value) {
    item->node_id = lt_get_str(arena, value, "node_id");
    item->name = lt_get_str(arena, value, "name");
    item->file = lt_get_str(arena, value, "file");
    item->module = lt_get_str(arena, value, "module");
    item->class_name = lt_get_str(arena, value, "class_name");
    item->function = lt_get_str(arena, value, "function");
    item->markers = lt_get_str(arena, value, "markers");
    item->step_path = lt_get_str(arena, value, "step_path");
    item->parent_path = lt_get_str(arena, value, "parent_path");
    item->step_index = lt_get_int(value, "step_index");
    item->vector_index = lt_get_int(value, "vector_index");
    item->vector_count = lt_get_int(value, "vector_count_planned");
    item->by_node = (lt_str_empty(item->step_path) || !item->vector_index.set) && !lt_str_empty(item->node_id);
    if (!lt_values_merge(arena, &item->inputs, yyjson_obj_get(value, "inputs"), true)) return false;
    return !arena->failed;
}

/* Seed items have neither path nor indexes: they are counted here, over the whole plan. */
static bool complete_items(struct lt_run *run) {
    struct lt_map seen, indexes;
    lt_map_init(&seen);
    lt_map_init(&indexes);
    bool ok = true;
    uint32_t next_index = 0;
    for (size_t i = 0; ok && i < run->plan_count; i++) {
        struct lt_plan_item *item = &run->plan[i];
        if (lt_str_empty(item->step_path)) {
            struct lt_str parts[] = {item->file, item->class_name, lt_item_name(item)};
            item->step_path = join_path(&run->arena, parts, 3);
            if (lt_str_empty(item->step_path)) item->step_path = LT_STR("?");
        }
        if (item->parent_path.p == NULL) item->parent_path = parent_of(item->step_path);
        uint32_t count = lt_map_get(&seen, item->step_path, 0);
        count = count == LT_MAP_NONE ? 0 : count;
        if (!item->vector_index.set) item->vector_index = (struct lt_int){count, true};
        ok = lt_map_put(&seen, item->step_path, 0, count + 1);
        uint32_t index = lt_map_get(&indexes, item->step_path, 0);
        if (index == LT_MAP_NONE) {
            index = next_index++;
            ok = ok && lt_map_put(&indexes, item->step_path, 0, index);
        }
        if (!item->step_index.set) item->step_index = (struct lt_int){index, true};
    }
    lt_map_release(&seen);
    lt_map_release(&indexes);
    return ok;
}

static bool index_items(struct lt_run *run) {
    lt_map_release(&run->plan_by_key);
    lt_map_release(&run->plan_by_node);
    for (size_t i = run->plan_count; i > 0; i--) { /* backwards: the first of a key wins */
        struct lt_plan_item *item = &run->plan[i - 1];
        if (!lt_map_put(&run->plan_by_key, item->step_path, (uint64_t)item->vector_index.v, (uint32_t)(i - 1))) return false;
        if (!lt_str_empty(item->node_id) && !lt_map_put(&run->plan_by_node, item->node_id, 0, (uint32_t)(i - 1))) return false;
    }
    return true;
}

static bool on_steps_discovered(struct fold *f) {
    struct lt_run *run = f->run;
    yyjson_val *items = field(f, "items");
    run->has_plan = true;
    run->plan_count = yyjson_arr_size(items);
    run->plan = lt_arena_alloc(&run->arena, run->plan_count * sizeof *run->plan);
    run->deselected_count = lt_as_int(field(f, "deselected_count"));
    run->plan_digest = text(f, "plan_digest");
    if (run->plan == NULL) return false;
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(items, i, max, item) {
        if (!take_item(&run->arena, &run->plan[i], item)) return false;
    }
    return complete_items(run) && index_items(run);
}

/* The key's path: an empty step_path is replaced by step_name. */
static struct lt_str key_path(struct fold *f) {
    struct lt_str path = peek(f, "step_path");
    return lt_str_empty(path) ? peek(f, "step_name") : path;
}

/* Finds the step row of the key, or makes one. */
static struct lt_step *step_of(struct fold *f, uint32_t *number) {
    struct lt_run *run = f->run;
    struct lt_str path = key_path(f);
    int64_t vector = int_or(f, "vector_index", 0);
    *number = lt_map_get(&run->step_by_key, path, (uint64_t)vector);
    if (*number != LT_MAP_NONE) return &run->steps[*number];
    void *steps = run->steps;
    if (!lt_grow(&run->arena, &steps, run->step_count, &run->step_capacity, sizeof *run->steps)) return NULL;
    run->steps = steps;
    *number = (uint32_t)run->step_count;
    struct lt_step *step = &run->steps[run->step_count];
    *step = (struct lt_step){0};
    uint32_t planned = lt_map_get(&run->plan_by_key, path, (uint64_t)vector);
    step->path = planned == LT_MAP_NONE ? lt_arena_str(&run->arena, path) : run->plan[planned].step_path;
    step->vector_index = (struct lt_int){vector, true};
    step->ran = true;
    if (step->path.p == NULL || !lt_map_put(&run->step_by_key, step->path, (uint64_t)vector, *number)) return NULL;
    run->ran_count = ++run->step_count;
    return step;
}

static void take_if(struct fold *f, struct lt_str *place, struct lt_str known, const char *name, bool replace) {
    struct lt_str value = peek(f, name);
    if (value.p != NULL && (replace || place->p == NULL) && !lt_str_eq(*place, value)) *place = keep(f, known, value);
}

/* Identity of a step: the start says it, the end only fills what no start said. */
static bool take_identity(struct fold *f, struct lt_step *step, bool from_start) {
    static const struct lt_plan_item unplanned = {0};
    struct lt_run *run = f->run;
    uint32_t number = lt_map_get(&run->plan_by_key, step->path, (uint64_t)step->vector_index.v);
    const struct lt_plan_item *item = number == LT_MAP_NONE ? &unplanned : &run->plan[number];
    bool replace = from_start || !step->started_once;
    take_if(f, &step->name, item->name, "step_name", replace);
    take_if(f, &step->parent_path, item->parent_path, "parent_path", replace);
    take_if(f, &step->node_id, item->node_id, "node_id", replace);
    take_if(f, &step->module, item->module, "module", replace);
    if (step->file_of_plan) step->file = LT_STR_NULL;
    step->file_of_plan = false;
    take_if(f, &step->file, item->file, "file", replace);
    take_if(f, &step->class_name, item->class_name, "class_name", replace);
    take_if(f, &step->function, item->function, "function", replace);
    if (lt_str_empty(step->parent_path)) step->parent_path = parent_of(step->path);
    if (replace || !step->index.set) step->index = lt_as_int(field(f, "step_index"));
    if (step->node_id.n > 0 && lt_map_get(&run->step_ran_by_node, step->node_id, 0) == LT_MAP_NONE)
        if (!lt_map_put(&run->step_ran_by_node, step->node_id, 0, (uint32_t)(step - run->steps))) return false;
    return !run->arena.failed;
}

static struct lt_attempt *attempt_add(struct lt_run *run, struct lt_step *step) {
    void *attempts = step->attempts;
    size_t capacity = step->attempt_capacity == 0 ? 1 : step->attempt_capacity * 2;
    if (step->attempt_count == step->attempt_capacity) { /* nearly every step has just one */
        attempts = lt_arena_grow(&run->arena, attempts, step->attempt_count * sizeof *step->attempts, capacity * sizeof *step->attempts);
        if (attempts == NULL) return NULL;
        step->attempts = attempts;
        step->attempt_capacity = capacity;
    }
    struct lt_attempt *attempt = &step->attempts[step->attempt_count++];
    *attempt = (struct lt_attempt){0};
    return attempt;
}

static bool open_push(struct lt_run *run, uint32_t step) {
    void *open = run->open;
    if (!lt_grow(&run->arena, &open, run->open_count, &run->open_capacity, sizeof *run->open)) return false;
    run->open = open;
    run->open[run->open_count++] = step;
    return true;
}

static bool on_step_started(struct fold *f) {
    struct lt_run *run = f->run;
    uint32_t number;
    struct lt_step *step = step_of(f, &number);
    if (step == NULL || !take_identity(f, step, true)) return false;
    struct lt_attempt *attempt = attempt_add(run, step);
    if (attempt == NULL) return false;
    attempt->started = (struct lt_int){f->row->occurred_at, true};
    attempt->source = f->source;
    step->started_once = true;
    step->started = attempt->started;
    step->ended = (struct lt_int){0, false};
    step->vector_outcome = LT_STR_NULL;
    step->message = step->failed_phase = LT_STR_NULL;
    int64_t retry = int_or(f, "retry", (int64_t)step->attempt_count - 1);
    step->retry = (struct lt_int){retry == 0 ? (int64_t)step->attempt_count - 1 : retry, true};
    step->inputs = step->outputs = (struct lt_values){0}; /* the last execution's count */
    if (!lt_values_merge(&run->arena, &step->inputs, field(f, "inputs"), true)) return false;
    if (!lt_map_put(&run->step_by_path, step->path, 0, number)) return false;
    return open_push(run, number);
}

/* The latest attempt without an end, of the same log file if there is one. */
static struct lt_attempt *open_attempt(struct lt_step *step, uint32_t source) {
    struct lt_attempt *found = NULL;
    for (size_t i = step->attempt_count; i > 0; i--) {
        struct lt_attempt *a = &step->attempts[i - 1];
        if (a->ended.set) continue;
        if (a->source == source) return a;
        if (found == NULL) found = a;
    }
    return found;
}

static void open_remove(struct lt_run *run, uint32_t step) {
    for (size_t i = run->open_count; i > 0; i--) {
        if (run->open[i - 1] != step) continue;
        memmove(&run->open[i - 1], &run->open[i], (run->open_count - i) * sizeof *run->open);
        run->open_count--;
        return;
    }
}

static bool on_step_ended(struct fold *f) {
    struct lt_run *run = f->run;
    uint32_t number;
    struct lt_step *step = step_of(f, &number);
    if (step == NULL || !take_identity(f, step, false)) return false;
    struct lt_attempt *attempt = open_attempt(step, f->source);
    if (attempt == NULL) attempt = attempt_add(run, step); /* an end without a start */
    else open_remove(run, number);
    if (attempt == NULL) return false;
    struct lt_str outcome = text(f, "vector_outcome");
    if (outcome.p == NULL) outcome = text(f, "outcome");
    attempt->ended = (struct lt_int){f->row->occurred_at, true};
    attempt->outcome = outcome;
    step->ended = attempt->ended;
    step->vector_outcome = outcome;
    step->message = text(f, "message");
    step->failed_phase = text(f, "failed_phase");
    int64_t retry = int_or(f, "retry", 0);
    if (!step->retry.set || retry > step->retry.v) step->retry = (struct lt_int){retry, true};
    if (lt_outcome_severity(outcome) == 4 || lt_outcome_severity(outcome) == 5) run->last_bad_end_id = lt_arena_str(&run->arena, f->row->id);
    if (!step->started_once && !lt_values_merge(&run->arena, &step->inputs, field(f, "inputs"), true)) return false;
    return lt_values_merge(&run->arena, &step->outputs, field(f, "outputs"), true);
}

static struct lt_str said_of_more(struct lt_arena *arena, struct lt_str message, int64_t count) {
    char more[64];
    int n = snprintf(more, sizeof more, "%s(said of %" PRId64 " vectors, more than are kept)", message.n > 0 ? " " : "", count);
    char *joined = lt_arena_alloc(arena, message.n + (size_t)n + 1);
    if (joined == NULL) return LT_STR_NULL;
    if (message.n > 0) memcpy(joined, message.p, message.n);
    memcpy(joined + message.n, more, (size_t)n);
    return (struct lt_str){joined, message.n + (size_t)n};
}

/* It may speak of several vectors: those from vector_index on. */
static bool on_step_not_run(struct fold *f) {
    struct lt_run *run = f->run;
    void *list = run->not_runs;
    if (!lt_grow(&run->arena, &list, run->not_run_count, &run->not_run_capacity, sizeof *run->not_runs)) return false;
    run->not_runs = list;
    struct lt_not_run *said = &run->not_runs[run->not_run_count];
    *said = (struct lt_not_run){text(f, "reason"), text(f, "message"), lt_arena_str(&run->arena, f->row->id)};
    struct lt_str path = lt_arena_str(&run->arena, key_path(f));
    int64_t first = int_or(f, "vector_index", 0), count = int_or(f, "vector_count", 1), room = LT_ANNOUNCED_VECTORS_MAX - run->not_run_announced;
    if (count - 1 > room) {
        said->message = said_of_more(&run->arena, said->message, count);
        count = room + 1;
    }
    if (count > 1) run->not_run_announced += count - 1;
    bool ok = path.p != NULL;
    for (int64_t v = 0; ok && v < count; v++) ok = lt_map_put(&run->not_run_by_key, path, (uint64_t)first + (uint64_t)v, (uint32_t)run->not_run_count);
    run->not_run_count++;
    return ok;
}

/* The owner as far as it is known now (run-schema.md, "Owner of a measurement"): the latest start
 * still open, of the same log file first, so that two workers in one step are not mixed up; the
 * start of the same vector; the latest start before. Settle finds the first one after. */
static uint32_t owner_of(const struct lt_run *run, struct lt_str path, int64_t vector, uint32_t source) {
    uint32_t other = LT_MAP_NONE;
    for (size_t i = run->open_count; i > 0; i--) {
        const struct lt_step *step = &run->steps[run->open[i - 1]];
        if (!lt_str_eq(step->path, path)) continue;
        if (step->attempts[step->attempt_count - 1].source == source) return run->open[i - 1];
        if (other == LT_MAP_NONE || step->vector_index.v == vector) other = run->open[i - 1];
    }
    if (other != LT_MAP_NONE) return other;
    uint32_t same = lt_map_get(&run->step_by_key, path, (uint64_t)vector);
    if (same != LT_MAP_NONE && run->steps[same].started_once) return same;
    return lt_map_get(&run->step_by_path, path, 0);
}

static int64_t retry_of(struct fold *f) {
    struct lt_int retry = lt_as_int(field(f, "retry"));
    if (retry.set) return retry.v;
    int64_t attempt = int_or(f, "attempt", 1); /* 1-based, in old logs */
    return attempt > 1 ? attempt - 1 : 0;
}

static bool on_measurement(struct fold *f) {
    struct lt_run *run = f->run;
    struct lt_arena *arena = &run->arena;
    void *list = run->measurements;
    if (!lt_grow(arena, &list, run->measurement_count, &run->measurement_capacity, sizeof *run->measurements)) return false;
    run->measurements = list;
    static const struct lt_measurement first = {0};
    static const struct lt_step nobody = {0};
    struct lt_measurement *m = &run->measurements[run->measurement_count];
    const struct lt_measurement *before = run->measurement_count == 0 ? &first : m - 1;
    struct lt_str name = peek(f, "step_name"); /* in the order of the event table, which is the quickest */
    struct lt_int index = lt_as_int(field(f, "step_index"));
    struct lt_str path = key_path(f);
    int64_t vector = int_or(f, "vector_index", 0), retry = retry_of(f);
    uint32_t owner = owner_of(run, path, vector, f->source);
    const struct lt_step *step = owner == LT_MAP_NONE ? &nobody : &run->steps[owner];
    *m = (struct lt_measurement){.owner = owner, .vector_index = {vector, true}, .step_index = index, .retry = {retry, true}};
    m->step_path = keep(f, step->path, path);
    m->step_name = keep(f, step->name, name);
    m->name = text(f, "measurement_name");
    m->timestamp = lt_as_time(field(f, "measurement_timestamp"));
#define REAL(name) m->name = lt_as_real(field(f, #name));
#define TEXT(name) m->name = keep(f, before->name, peek(f, #name));
    REAL(value) TEXT(units) TEXT(outcome) REAL(limit_low) REAL(limit_high) REAL(limit_nominal) TEXT(limit_comparator)
    TEXT(characteristic_id) TEXT(spec_ref) TEXT(dut_pin) TEXT(fixture_connection)
    TEXT(instrument_name) TEXT(instrument_resource) TEXT(instrument_channel)
    yyjson_val *inputs = field(f, "inputs"), *outputs = field(f, "outputs"), *custom = field(f, "custom");
    TEXT(text) TEXT(limit_text)
#undef REAL
#undef TEXT
    if (!lt_values_merge(arena, &m->inputs, inputs, true) || !lt_values_merge(arena, &m->outputs, outputs, true) ||
        !lt_values_merge(arena, &m->custom, custom, true) || !lt_values_merge(arena, &run->custom, custom, true))
        return false;
    run->measurement_count++;
    return !arena->failed;
}

/* `value` becomes outputs[name] of the vector, unless the step_ended says it too. */
static bool set_output(struct fold *f, yyjson_val *value) {
    struct lt_run *run = f->run;
    struct lt_str path = key_path(f), name = peek(f, "name");
    uint32_t number = owner_of(run, path, int_or(f, "vector_index", 0), f->source);
    if (number == LT_MAP_NONE) return true;
    struct lt_step *step = &run->steps[number];
    bool still_open = open_attempt(step, f->source) != NULL;
    return lt_values_set(&run->arena, &step->outputs, name, value, still_open);
}

static bool on_observation(struct fold *f) {
    return set_output(f, field(f, "value"));
}

static bool on_attachment(struct fold *f) {
    struct lt_run *run = f->run;
    void *list = run->attachments;
    if (!lt_grow(&run->arena, &list, run->attachment_count, &run->attachment_capacity, sizeof *run->attachments)) return false;
    run->attachments = list;
    run->attachments[run->attachment_count++] = text(f, "uri");
    return set_output(f, field(f, "uri"));
}

static const char *const instrument_fields[13] = {"role",  "instrument_id", "driver",   "resource", "protocol", "manufacturer",    "model",
                                                  "serial", "firmware",      "cal_due", "cal_last", "cal_certificate", "cal_lab"};

static bool on_instrument_connected(struct fold *f) {
    struct lt_run *run = f->run;
    void *list = run->instruments;
    if (!lt_grow(&run->arena, &list, run->instrument_count, &run->instrument_capacity, sizeof *run->instruments)) return false;
    run->instruments = list;
    struct lt_instrument *instrument = &run->instruments[run->instrument_count++];
    for (int i = 0; i < 13; i++) instrument->field[i] = text(f, instrument_fields[i]);
    instrument->mocked = yyjson_get_bool(field(f, "mocked"));
    return !run->arena.failed;
}

/* (event) -> what the fold does; an event type without a row projects nothing. */
static bool (*const handlers[LT_EVENT_COUNT])(struct fold *) = {
    [LT_EVENT_RUN_STARTED] = on_run_started,
    [LT_EVENT_RUN_METADATA] = on_run_metadata,
    [LT_EVENT_RUN_ENDED] = on_run_ended,
    [LT_EVENT_STEPS_DISCOVERED] = on_steps_discovered,
    [LT_EVENT_STEP_STARTED] = on_step_started,
    [LT_EVENT_STEP_ENDED] = on_step_ended,
    [LT_EVENT_STEP_NOT_RUN] = on_step_not_run,
    [LT_EVENT_MEASUREMENT] = on_measurement,
    [LT_EVENT_OBSERVATION] = on_observation,
    [LT_EVENT_ATTACHMENT] = on_attachment,
    [LT_EVENT_INSTRUMENT_CONNECTED] = on_instrument_connected,
    [LT_EVENT_DUT_SCANNED] = on_dut_scanned,
};

/* Said of the run from outside, at any time: nothing of the run's rows follows from it. */
static bool is_afterword(enum lt_event_id id) {
    return id == LT_EVENT_RUN_MATERIALIZED || id == LT_EVENT_REVIEW_CONCEDED || id == LT_EVENT_REVIEW_NOTED;
}

enum { DOC_ROOM = 32 * 1024 }; /* enough for an event of 2 kB, as nearly all are */

/* NULL: no JSON, or out of memory. Freed by yyjson_doc_free, which leaves the room alone. */
static yyjson_doc *read_json(struct lt_str json, void *room) {
    yyjson_alc in_room;
    yyjson_alc_pool_init(&in_room, room, DOC_ROOM);
    yyjson_doc *doc = yyjson_read_opts((char *)json.p, json.n, 0, &in_room, NULL); /* written to with YYJSON_READ_INSITU only */
    return doc != NULL ? doc : yyjson_read(json.p, json.n, 0);
}

int lt_run_fold(struct lt_run *run, const struct lt_row *row, uint32_t source, struct litmus_error *error) {
    enum lt_event_id id = lt_event_find(row->event_type);
    if (!is_afterword(id) && row->occurred_at > run->last_at) run->last_at = row->occurred_at;
    if (id == LT_EVENT_UNKNOWN || handlers[id] == NULL) return LITMUS_OK;
    run->step_count = run->ran_count; /* drop what an earlier settle derived */
    alignas(max_align_t) char room[DOC_ROOM];
    yyjson_doc *doc = read_json(row->json, room);
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct fold f = {.run = run, .row = row, .source = source};
    const char *bad_field = NULL;
    bool ok = true;
    if (!yyjson_is_obj(root) || !lt_event_read(id, root, &f.fields, &bad_field)) run->skipped_events++;
    else ok = handlers[id](&f);
    yyjson_doc_free(doc);
    if (ok && !run->arena.failed) return LITMUS_OK;
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory folding run %.*s", LT_STR_ARG(run->run_id));
}
