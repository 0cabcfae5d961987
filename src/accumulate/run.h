/* SPDX-License-Identifier: Apache-2.0
 *
 * run.h - the run model, and the fold that makes it from events.
 *
 * Always true:
 *  - The fold is a function of the events and their order: no clock, no file, no machine is asked.
 *  - All text lies in the run's arena; one lt_run_release drops everything.
 *  - A step row is found by (step_path, vector_index); there is never a second one of that key.
 *
 * Calling sequence:
 *  1. lt_run_init
 *  2. lt_run_fold for each event of the run, in the order of the merged log
 *  3. lt_run_settle: owners, never-ran rows, rollups, row order. Folding may go on after it (a live
 *     view settles often); settle again before reading.
 */
#ifndef LT_ACCUMULATE_RUN_H
#define LT_ACCUMULATE_RUN_H

#include "base/arena.h"
#include "base/map.h"
#include "model/event.h"

struct lt_int {
    int64_t v;
    bool set;
};
struct lt_real {
    double v;
    bool set;
};

/* A value with a name of its own: in_*, out_*, custom_* columns. */
enum lt_value_kind { LT_VALUE_NULL, LT_VALUE_BOOL, LT_VALUE_INT, LT_VALUE_REAL, LT_VALUE_STR, LT_VALUE_STRS, LT_VALUE_JSON };
struct lt_value {
    struct lt_str key;
    enum lt_value_kind kind;
    int64_t i;           /* BOOL, INT */
    double d;            /* REAL */
    struct lt_str s;     /* STR; the JSON text of JSON and STRS */
    struct lt_str *strs; /* STRS */
    size_t strs_count;
};
struct lt_values {
    struct lt_value *items;
    size_t count, capacity;
};

/* A run has rows for so many vectors that its plan counts and does not name, and keeps what test.step_not_run says of so many: some bytes
 * can announce any number, as often as they like. One row stands for the rest, and says so. */
enum { LT_ANNOUNCED_VECTORS_MAX = 100000 };

struct lt_plan_item {
    struct lt_str node_id, name, file, module, class_name, function, markers, step_path, parent_path;
    struct lt_int step_index, vector_index, vector_count;
    struct lt_values inputs; /* commanded parameters, where the plan knows them */
    bool by_node; /* a seed item, without path or vector: it counts as run by its node_id */
};

struct lt_attempt {
    struct lt_int started, ended;
    struct lt_str outcome;
    uint32_t source; /* log file of the start */
};

struct lt_step {
    struct lt_str name, path, parent_path, node_id, module, file, class_name, function, markers;
    struct lt_str step_outcome, vector_outcome, message, failed_phase, never_ran_reason, never_ran_cause;
    struct lt_int index, vector_index, vector_count, retry, started, ended;
    struct lt_values inputs, outputs;
    struct lt_attempt *attempts;
    size_t attempt_count, attempt_capacity;
    bool started_once; /* fed by a step_started: may own measurements */
    bool planned;      /* stands in the plan (false: a sub-step, or no plan) */
    bool ran;          /* false: a never-ran row made by settle */
    bool file_of_plan; /* no event said the file: settle looks it up each time */
};

struct lt_measurement {
    struct lt_str step_name, step_path, name, text, limit_text, units, outcome, limit_comparator, characteristic_id, spec_ref, dut_pin;
    struct lt_str fixture_connection, instrument_name, instrument_resource, instrument_channel;
    struct lt_str vector_outcome; /* by settle */
    struct lt_int step_index, vector_index, retry, timestamp;
    struct lt_real value, limit_low, limit_high, limit_nominal;
    struct lt_values inputs, outputs, custom;
    uint32_t owner; /* number of the step that owns it, LT_MAP_NONE: none */
    bool late;      /* its owner started after it: settle looks for it each time */
};

struct lt_instrument {
    struct lt_str field[13]; /* in the order of the step_instruments_* columns, mocked apart */
    bool mocked;
};

struct lt_not_run {
    struct lt_str reason, message, event_id;
};

struct lt_run {
    struct lt_arena arena;
    /* context: run.started and run.ended */
    bool has_started, has_ended;
    bool end_found; /* whoever found the producer dead said the end: other processes may have more to say */
    bool serial_given; /* with run.started: what is scanned changes nothing */
    struct lt_str run_id, session_id, slot_id, station_id, station_name, station_type, station_location, station_hostname;
    struct lt_str dut_serial, dut_part_number, dut_revision, dut_lot_number, product_id, product_name, product_revision;
    struct lt_str operator_id, operator_name, fixture_id, test_phase, project_name, git_commit, git_branch, git_remote;
    struct lt_str profile, test_phase_asked; /* settle puts the asked one here, when the run cannot have it */
    struct lt_str environment_json, python_version, litmus_version, env_fingerprint;
    struct lt_str outcome, stop_reason, ended_event_id, plan_digest;
    struct lt_str outcome_stored; /* by settle: outcome, aborted when an ended run has none, NULL while live */
    struct lt_int started, ended, deselected_count, pid, git_dirty;
    struct lt_values custom;
    int64_t last_at; /* occurred_at of the latest event in the order of the log */
    /* the plan */
    bool has_plan;
    struct lt_plan_item *plan;
    size_t plan_count;
    struct lt_map plan_by_key, plan_by_node;
    /* what ran, and after settle what never ran */
    struct lt_step *steps;
    size_t step_count, step_capacity, ran_count; /* ran_count <= step_count: those before never-ran rows */
    struct lt_map step_by_key, step_ran_by_node, step_by_path;
    uint32_t *open; /* steps that have an attempt without end, in order of start */
    size_t open_count, open_capacity;
    uint32_t *order; /* by settle: step numbers in row order */
    size_t order_capacity;
    struct lt_str last_bad_end_id; /* event id of the latest step_ended that failed or errored */
    struct lt_not_run *not_runs;
    size_t not_run_count, not_run_capacity;
    int64_t not_run_announced; /* vectors that were counted in them, and not named */
    struct lt_map not_run_by_key;
    struct lt_measurement *measurements;
    size_t measurement_count, measurement_capacity;
    struct lt_instrument *instruments;
    size_t instrument_count, instrument_capacity;
    struct lt_str *attachments; /* their URIs, in the order of the events */
    size_t attachment_count, attachment_capacity;
    size_t skipped_events; /* unreadable: unparsable JSON, a required field missing */
};

void lt_run_init(struct lt_run *run, struct lt_str run_id, struct lt_str session_id);
void lt_run_release(struct lt_run *run);
/* Folds one event of this run. `source` tells the log files of a session apart (any number per
 * file). An event that cannot be read is counted and passed over, never fatal.
 * Error: ENOMEM only. */
int lt_run_fold(struct lt_run *run, const struct lt_row *row, uint32_t source, struct litmus_error *error);
/* Makes the derived parts. `live`: the run may still go on, so that open steps have no outcome and
 * rows that did not run yet give no reason. */
int lt_run_settle(struct lt_run *run, bool live, struct litmus_error *error);

#endif
