/* SPDX-License-Identifier: Apache-2.0
 *
 * done_text.h - what became of a run, as one line of JSON: how the daemon tells it to the producer
 * that waits, so that nobody has to read the run again for a summary line.
 */
#ifndef LT_MATERIALIZE_DONE_TEXT_H
#define LT_MATERIALIZE_DONE_TEXT_H

#include "materialize/materialize.h"

void lt_done_write(const struct lt_materialized *done, struct lt_buf *out); /* appends; no control characters */
/* false: the text is not what lt_done_write makes (an older daemon says the bare path, or nothing). */
bool lt_done_read(struct lt_str text, struct lt_materialized *done);

#endif
