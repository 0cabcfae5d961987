/* SPDX-License-Identifier: Apache-2.0
 *
 * golden.h - units that are known beforehand and prove the station, not the product: they are in no figure.
 */
#ifndef LT_QUERY_GOLDEN_H
#define LT_QUERY_GOLDEN_H

#include "base/buf.h"
#include "base/error.h"

/* Appends the macro litmus_is_golden(serial, part, lot, phase, station) of SQL: whether one of golden_units fits: a serial, or a map of
 * which everything must fit; * and ? stand for anything. They are those of the nearest litmus.yaml upwards from the current folder or, if
 * that names none, from data_dir. Errors: ECONFIG, ENOMEM. */
int lt_golden_macro(const char *data_dir, struct lt_buf *out, struct litmus_error *error);

#endif
