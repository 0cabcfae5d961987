/* SPDX-License-Identifier: Apache-2.0
 *
 * interrupt.h - commands that go on until somebody stops them.
 */
#ifndef LT_CMD_INTERRUPT_H
#define LT_CMD_INTERRUPT_H

#include <stdbool.h>
#include <sys/types.h>

/* From now on Ctrl-C, SIGTERM and (unless it is ignored, as below nohup) SIGHUP end no process: they are told, and end the wait for an event. */
void lt_interrupt_catch(void);
/* What is caught, or was already, goes on to this process, too; 0: to none any more. */
void lt_interrupt_pass_to(pid_t child);
bool lt_interrupted(void);
int lt_interrupt_exit(void); /* the exit code of who was stopped so: 128 and the number of the signal */

#endif
