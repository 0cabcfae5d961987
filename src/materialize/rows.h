/* SPDX-License-Identifier: Apache-2.0
 *
 * rows.h - a settled run as the rows of the run schema (columns.def): pure, no files.
 */
#ifndef LT_MATERIALIZE_ROWS_H
#define LT_MATERIALIZE_ROWS_H

#include "accumulate/run.h"
#include "materialize/table.h"

/* One run row, the step rows, the measurement rows, with all columns. Hands over *out. */
int lt_rows_build(const struct lt_run *run, struct lt_table *out, struct litmus_error *error);

#endif
