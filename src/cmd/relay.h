/* SPDX-License-Identifier: Apache-2.0
 *
 * relay.h - what another program says on its way to where this one says it. A program may not look whether its
 * output was taken; here it is looked at.
 */
#ifndef LT_CMD_RELAY_H
#define LT_CMD_RELAY_H

#include "litmus.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct lt_relay {
    int ends[2][2]; /* of stdout and stderr, what is read and what the program writes to; -1: it has ours */
    bool json; /* stdout says objects of JSON, one a line: a number that is not finite becomes null in them */
    void (*hear)(void *self, const char *bytes, size_t n); /* all of stderr */
    void *self;
    int at; /* where in the JSON it is */
    int failed; /* errno of what stdout did not take; 0: it took all */
};

int lt_relay_open(struct lt_relay *r, bool out, bool err, struct litmus_error *error);
/* In the child, before exec. */
void lt_relay_take(const struct lt_relay *r);
/* In the parent: until the program has closed both. When stdout takes no more, the program is ended. */
void lt_relay_run(struct lt_relay *r, pid_t program);

#endif
