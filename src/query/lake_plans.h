/* SPDX-License-Identifier: Apache-2.0
 *
 * lake_plans.h - the steps of many runs, told shortly: what was planned, and what went otherwise.
 *
 * Most runs have the plan of the one before, and most steps pass at the first attempt. So beside a lake file lies
 * "_part-X.steps" (Parquet; made with it, of the same runs), which says all that questions about the outcomes of steps need
 * in a fortieth of the rows. Its column lake_kind says what a row is:
 *   "run"    this run has the plan `lake_plan` (the columns of the run; those of the step say nothing);
 *   "plan"   a step of that plan (the columns of the step; those of the run say nothing);
 *   "other"  a step row that is not a plain pass, as it stands in the run file; its run has the plan `lake_plan`.
 * A step of a run's plan without such a row passed plainly: step and vector passed, started, in one attempt. Two runs have
 * one plan when the plan columns of their step rows are the same, row by row: by SHA-256 over them.
 */
#ifndef LT_QUERY_LAKE_PLANS_H
#define LT_QUERY_LAKE_PLANS_H

#include "base/arena.h"
#include "materialize/parquet.h"
#include "materialize/stack.h"

/* Where the table that joined last has the columns that are looked at row by row. */
struct lt_plans_places {
    int64_t record_type, started, step, vector, reason, attempts, plan[6]; /* plan: what makes one */
};

enum lt_plans_kind { LT_PLANS_RUN, LT_PLANS_PLAN, LT_PLANS_OTHER, LT_PLANS_KINDS };

struct lt_lake_plans {
    struct lt_stack stacks[LT_PLANS_KINDS]; /* rows of the next groups; all have the same columns */
    struct lt_parquet_writer *writer;       /* NULL: no group is in the file yet */
    struct lt_map known;                    /* digest of a plan -> its number, in this file */
    struct lt_arena arena;                  /* of the digests */
    struct lt_buf scratch;                  /* the plan of one run */
    struct lt_buf last;                     /* that of the run before, which mostly is the same */
    uint32_t last_number, count;
    struct lt_plans_places at;
    bool joined; /* the stacks have the columns of the run before */
};

void lt_lake_plans_init(struct lt_lake_plans *plans);
void lt_lake_plans_release(struct lt_lake_plans *plans); /* may be used again */
/* Takes a run along. `changed`: by column, does it say something else than in the run before? NULL: that had other columns. `file` is the name of the lake file,
 * the same for all of its runs. A table whose columns are of other types than those before it belongs into another file (lt_stack_fits). Errors: ENOMEM, EINVAL, EIO. */
int lt_lake_plans_add(struct lt_lake_plans *plans, const char *file, const struct lt_table *rows, const bool *changed, struct litmus_error *error);
/* Ends the file: appends its bytes. What was taken along is forgotten. Errors: as above. */
int lt_lake_plans_end(struct lt_lake_plans *plans, struct lt_buf *out, struct litmus_error *error);

#endif
