/* SPDX-License-Identifier: Apache-2.0
 *
 * outcome.h - the outcome words and their severity (run-schema.md, 6). NULL is "never judged":
 * there is no word for it anywhere in storage.
 */
#ifndef LT_MODEL_OUTCOME_H
#define LT_MODEL_OUTCOME_H

#include "base/str.h"

#define LT_OUTCOMES(X)                                                          \
    X(skipped, 1, "skipped on purpose")                                         \
    X(done, 2, "ran cleanly, nothing judged")                                   \
    X(passed, 3, "judged and satisfied")                                        \
    X(failed, 4, "judged and violated")                                         \
    X(errored, 5, "unexpected exception, or a value is missing")                \
    X(terminated, 6, "stopped by the operator, clean-up ran")                   \
    X(aborted, 7, "died without clean-up; the rig's state is unknown")

/* 1 to 7; -1 for NULL; 0 for a word that is none (it wins over NULL alone). */
int lt_outcome_severity(struct lt_str outcome);
/* The more severe; a tie keeps `a`; NULL loses against everything. */
struct lt_str lt_outcome_worse(struct lt_str a, struct lt_str b);
/* The word as static text, p NULL for none of the table's. */
struct lt_str lt_outcome_word(const char *outcome);

#endif
