/* SPDX-License-Identifier: Apache-2.0
 *
 * folding.h - runs folded while they are in flight, so that at their end nothing is left to read.
 *
 * Always true:
 *  - A run is folded here only while all of its rows lie in one log: that is the order of the file,
 *    and needs no merge. The first row in another log ends it; so does a lack of memory, or that nothing
 *    was written anywhere for a while. The run is then read from its log when it has ended.
 *  - It is the fold of lt_gather_known, event by event: the same run comes of it.
 *  - What all of them take is bounded.
 */
#ifndef LT_SERVE_FOLDING_H
#define LT_SERVE_FOLDING_H

#include "serve/follow.h"

/* The latest row of the log is one of the run. Call before the row is noted in the mark. */
void lt_folding_note(struct lt_follow *follow, struct lt_mark *mark, const struct lt_followed_log *log, const struct lt_row *row);
/* Lets go of it; the run is not folded here again. */
void lt_folding_drop(struct lt_follow *follow, struct lt_mark *mark);
/* Hands over what was folded, NULL: nothing. Adds its memory to *bytes: the follower counts it until lt_folding_done. */
struct lt_gathered_run *lt_folding_take(struct lt_mark *mark, size_t *bytes);
void lt_folding_done(struct lt_follow *follow, size_t bytes);
/* Nothing was written for long: gives back the memory of all. */
void lt_folding_rest(struct lt_follow *follow);

#endif
