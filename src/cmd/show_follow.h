/* SPDX-License-Identifier: Apache-2.0
 *
 * show_follow.h - a run in flight, step by step as it goes (litmus show --follow).
 */
#ifndef LT_CMD_SHOW_FOLLOW_H
#define LT_CMD_SHOW_FOLLOW_H

#include "cmd/cmd.h"

/* Tells of each step when it starts and when it ends, from the start of the run until its end; of a run that is not
 * live, what its log has. Gives an exit code; EXIT_OK also when the producer died, which is told. */
int lt_show_follow(struct lt_cli *cli, const struct lt_run_ref *run);

#endif
