/* SPDX-License-Identifier: Apache-2.0
 *
 * pace.h - how long the steps of a plan took in earlier runs of it, and so how long a run still has to go.
 */
#ifndef LT_QUERY_PACE_H
#define LT_QUERY_PACE_H

#include "query/query.h"

enum { LT_PACE_RUNS = 5 };

struct lt_pace;
/* The means of the latest LT_PACE_RUNS finished runs of the plan that ran all of it. Hands over *out. A plan that was
 * never worked through before is no error: lt_pace_runs is 0. Errors: EIO, ENOMEM. */
int lt_pace_load(struct lt_query *query, const char *plan_digest, struct lt_pace **out, struct litmus_error *error);
void lt_pace_free(struct lt_pace *pace); /* NULL accepted */

int lt_pace_runs(const struct lt_pace *pace);         /* how many it was made from */
int64_t lt_pace_whole_us(const struct lt_pace *pace); /* a whole run, from start to end */
/* What a step takes of a whole run, the pauses between steps shared out and several at a time taken into account.
 * 0: no step of the plan. */
int64_t lt_pace_step_us(const struct lt_pace *pace, struct lt_str step_path, int64_t vector_index);

#endif
