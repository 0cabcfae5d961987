/* SPDX-License-Identifier: Apache-2.0
 *
 * step_find.h - from what a user types to a step's row of a run.
 */
#ifndef LT_CMD_STEP_FIND_H
#define LT_CMD_STEP_FIND_H

#include "cmd/view.h"

/* `ref`: node id, step path, or how one of them ends (from a `/` or `::` on); "path[2]" is vector 2 of a path.
 * EXIT_OK and *row, or an exit code after saying why, with the candidates. */
int lt_step_find(struct lt_cli *cli, const struct lt_view *view, const char *ref, int64_t *row);

#endif
