/* SPDX-License-Identifier: Apache-2.0
 *
 * view.h - one run as show and gate look at it: its rows, and which of them are what.
 */
#ifndef LT_CMD_VIEW_H
#define LT_CMD_VIEW_H

#include "base/map.h"
#include "cmd/cmd.h"
#include "query/catalog.h"
#include "query/reviews.h"

/* Columns by number, -1: not there. */
#define LT_VIEW_COLUMNS(X)                                                                                      \
    X(record_type) X(run_id) X(session_id) X(run_outcome) X(run_started_at) X(run_ended_at) X(step_name)        \
    X(step_index) X(step_path) X(parent_path) X(vector_index) X(vector_retry) X(step_node_id) X(step_file)      \
    X(step_class) X(step_started_at) X(step_ended_at) X(step_outcome) X(vector_outcome) X(step_vector_count)    \
    X(step_message) X(step_failed_phase) X(never_ran_reason) X(never_ran_cause) X(attempt_outcomes)             \
    X(operator_id) X(operator_name) X(dut_serial) X(dut_part_number) X(dut_revision) X(dut_lot_number)          \
    X(product_id) X(station_id) X(station_name) X(station_location) X(station_hostname) X(fixture_id)           \
    X(slot_id) X(test_phase) X(project_name) X(git_commit) X(git_branch) X(stop_reason) X(deselected_count)     \
    X(plan_digest) X(measurement_name) X(measurement_value) X(measurement_units) X(measurement_outcome)         \
    X(limit_low) X(limit_high) X(limit_nominal) X(limit_comparator) X(measurement_text) X(limit_text)

struct lt_view {
    struct lt_run_ref ref;
    struct lt_table rows;
    struct lt_summary summary; /* borrows from rows */
    int64_t run_row;
    struct lt_map step_paths; /* of the step rows: each path, and with 1 + its number each vector */
    struct lt_reviews reviews; /* what people said of it afterwards */
#define LT_VIEW_FIELD(name) int64_t name;
    LT_VIEW_COLUMNS(LT_VIEW_FIELD)
#undef LT_VIEW_FIELD
};

/* Finds and reads a run. EXIT_OK, or an exit code after saying why. Release in every case. */
int lt_view_load(struct lt_cli *cli, const char *ref, struct lt_view *view);
void lt_view_release(struct lt_view *view);

bool lt_view_is(const struct lt_view *view, int64_t row, const char *record_type);
struct lt_str lt_view_str(const struct lt_view *view, int64_t column, int64_t row);
int64_t lt_view_int(const struct lt_view *view, int64_t column, int64_t row, int64_t otherwise);
/* Path of the step, or its name where it has none. */
struct lt_str lt_view_path(const struct lt_view *view, int64_t row);
/* The vector of whose step a measurement is told: its own, or that of a step without vectors, of which it is one point of several. */
int64_t lt_view_vector(const struct lt_view *view, int64_t row);
/* How many steps this one lies in: 0 for a planned step. */
int lt_view_depth(const struct lt_view *view, int64_t row);
/* The row's own verdict (of the vector), NULL text if there is none. */
struct lt_str lt_view_outcome(const struct lt_view *view, int64_t row);
bool lt_view_started(const struct lt_view *view, int64_t row);
/* What tells the vector from the others: "[5.0-lo]" as pytest says it, else "[2]", else nothing. */
void lt_view_add_vector(const struct lt_view *view, int64_t row, struct lt_buf *out);

/* Why a step never ran, in words. `cause`: the step that is to blame, NULL text when not known. */
void lt_view_add_reason(const struct lt_view *view, int64_t row, struct lt_str cause, struct lt_buf *out);
/* never_ran_reason words, NULL ended. */
extern const char *const lt_never_ran_reasons[];

#endif
