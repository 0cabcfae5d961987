/* SPDX-License-Identifier: Apache-2.0
 *
 * programs.h - other programs that a command hands its work to: where they are, and Python.
 */
#ifndef LT_CMD_PROGRAMS_H
#define LT_CMD_PROGRAMS_H

#include "cmd/cmd.h"

/* Whether the path may be started. */
bool lt_is_program(const char *path);
/* The program of this name on PATH into out; false: there is none. */
bool lt_on_path(const char *name, char *out, size_t size);
/* The folder that this program stands in; false: not known. */
bool lt_own_folder(char *out, size_t size);
/* A Python that has the module, the one beside this program first. false: none; out then names no program. */
bool lt_find_python(const char *module, char *out, size_t size);
/* What `python -c` is given to be `python -m module`, without the folder that one stands in on Python's path. */
void lt_python_start(const char *module, struct lt_buf *out);
/* Hands a command over to Python: becomes that
 * with --data-dir unless it was not looked for, every option of the command that was given as --name or --name=value
 * (times in microseconds), -- and the arguments; `verb`, if not NULL, before them. Comes back only with an exit code,
 * after saying why. LITMUS_PYTHON names another Python. */
int lt_hand_over(struct lt_cli *cli, const char *module, const char *verb);

#endif
