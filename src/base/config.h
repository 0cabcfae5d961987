/* SPDX-License-Identifier: Apache-2.0
 *
 * config.h - litmus.yaml, the data directory and the signing key's place (run-schema.md, 7).
 */
#ifndef LT_BASE_CONFIG_H
#define LT_BASE_CONFIG_H

#include "base/buf.h"
#include "base/error.h"

/* Absolute path of the data_dir: argument, LITMUS_DATA_DIR, data_dir of the nearest litmus.yaml
 * upwards from the current folder, LITMUS_HOME/data, XDG_DATA_HOME/litmus/data,
 * ~/.local/share/litmus/data. Not created. Appended to *out after clearing it.
 * Errors: ECONFIG (names file, line and remedy). */
int lt_data_dir_find(const char *argument, struct lt_buf *out, struct litmus_error *error);
/* Absolute path of the station's private key, whether it is there or not: argument, LITMUS_SIGNING_KEY, signing_key of
 * the nearest litmus.yaml upwards from the current folder or else from above data_dir, as it is named and then as it is (may be NULL; no litmus.yaml inside
 * it, or in another data_dir, counts),
 * LITMUS_HOME/station.key, XDG_CONFIG_HOME/litmus/station.key, ~/.config/litmus/station.key. Left empty when no variable is set. Errors: ECONFIG. */
int lt_signing_key_find(const char *argument, const char *data_dir, struct lt_buf *out, struct litmus_error *error);
/* Creates it when missing and checks its format: a data_dir of a newer version is refused. */
int lt_data_dir_open(const char *data_dir, struct litmus_error *error);
/* The same refusals (EVERSION, EINVAL: a file) for who only reads, or works on what is there: makes and marks nothing. */
int lt_data_dir_check(const char *data_dir, struct litmus_error *error);

/* The nearest litmus.yaml upwards from `folder` (NULL: current), as one JSON object; "{}" when
 * there is none. `path_out` (may be NULL) gets its path. */
int lt_config_json(const char *folder, struct lt_buf *json, struct lt_buf *path_out, struct litmus_error *error);

#endif
