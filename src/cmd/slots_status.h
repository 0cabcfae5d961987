/* SPDX-License-Identifier: Apache-2.0
 *
 * slots_status.h - the latest run of every slot, side by side (litmus slots status).
 */
#ifndef LT_CMD_SLOTS_STATUS_H
#define LT_CMD_SLOTS_STATUS_H

#include "cmd/cmd.h"

/* A line a slot; with --follow again whenever something changed, until Ctrl-C: on a terminal in its place. Gives an exit code. */
int lt_slots_status(struct lt_cli *cli);

#endif
