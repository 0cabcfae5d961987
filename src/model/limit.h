/* SPDX-License-Identifier: Apache-2.0
 *
 * limit.h - what a value is judged against, and the one judge (run-schema.md, 5). The C API and the
 * Python package both ask it.
 *
 * Always true: comparisons are IEEE double, without tolerance; texts are equal byte for byte. A limit
 * that passed lt_limit_check can both pass and fail.
 */
#ifndef LT_MODEL_LIMIT_H
#define LT_MODEL_LIMIT_H

#include "base/error.h"
#include "base/str.h"

/* One row a comparator: name, and how it uses low and high. EQ and NE use the nominal. */
#define LT_COMPARATORS(X)      \
    X(GELE, CLOSED, CLOSED)    \
    X(GELT, CLOSED, OPEN)      \
    X(GTLE, OPEN, CLOSED)      \
    X(GTLT, OPEN, OPEN)        \
    X(GE, CLOSED, UNUSED)      \
    X(GT, OPEN, UNUSED)        \
    X(LE, UNUSED, CLOSED)      \
    X(LT, UNUSED, OPEN)        \
    X(EQ, UNUSED, UNUSED)      \
    X(NE, UNUSED, UNUSED)

struct lt_limit {
    double low, high, nominal; /* NAN: not given */
    struct lt_str text;        /* the nominal of a text; p NULL: the limit is one of numbers */
    const char *comparator;    /* NULL: GELE, for a text EQ */
};

/* Is anything given to judge by? */
bool lt_limit_any(const struct lt_limit *limit);
/* The comparator that is in force: the limit's own, else the default. Static or the limit's. */
const char *lt_limit_comparator(const struct lt_limit *limit);
/* Refuses a limit that cannot judge: an unknown comparator, no bound that it uses, low above high, numbers
 * beside a text. `what` names whose it is, for the message. Error: EINVAL. */
int lt_limit_check(const struct lt_limit *limit, const char *what, struct litmus_error *error);

/* "passed", "failed", "done" (no limit: NULL, or nothing given), "errored" (value NAN). Static text. */
const char *lt_limit_judge(const struct lt_limit *limit, double value);
/* The same for a text; p NULL: errored. A limit of numbers never passes a text. */
const char *lt_limit_judge_text(const struct lt_limit *limit, struct lt_str value);

#endif
