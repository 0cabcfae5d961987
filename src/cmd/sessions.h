/* SPDX-License-Identifier: Apache-2.0
 *
 * sessions.h - from what a user types to a session.
 */
#ifndef LT_CMD_SESSIONS_H
#define LT_CMD_SESSIONS_H

#include "cmd/cmd.h"

/* A session id, a unique prefix of one, or a run (whose session is meant): EXIT_OK, or an exit code
 * after saying why. */
int lt_session_find(struct lt_cli *cli, const char *ref, char out[64]);

#endif
