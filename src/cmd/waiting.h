/* SPDX-License-Identifier: Apache-2.0
 *
 * waiting.h - locks that another process holds: nobody waits for one without a word.
 */
#ifndef LT_CMD_WAITING_H
#define LT_CMD_WAITING_H

#include "cmd/cmd.h"

/* For who is about to take the lock of a session (or "changes", ""): waits until it is free, and after a second says who has it. */
void lt_cli_await(struct lt_cli *cli, const char *space, const char *name);
/* For who only reads, and can do without: false if it is not free in time (lt_range_lock_within). That is said once, and from then on none is waited for. */
bool lt_cli_is_free(struct lt_cli *cli, const char *space, const char *name);

#endif
