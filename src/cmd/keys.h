/* SPDX-License-Identifier: Apache-2.0
 *
 * keys.h - which keys a command goes by.
 */
#ifndef LT_CMD_KEYS_H
#define LT_CMD_KEYS_H

#include "cmd/cmd.h"
#include "prove/keyring.h"

/* Those of --key, or else those beside the station's own. Hands over the contents of *out, also after an error:
 * EXIT_OK, or an exit code after saying why. */
int lt_cli_keyring(struct lt_cli *cli, struct lt_keyring *out);

#endif
