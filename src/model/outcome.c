/* SPDX-License-Identifier: Apache-2.0 */
#include "model/outcome.h"

#include <math.h>

int lt_outcome_severity(struct lt_str outcome) {
    if (outcome.p == NULL) return -1;
#define LT_OUTCOME_MATCH(word, severity, text) \
    if (lt_str_eq(outcome, LT_STR(#word))) return severity;
    LT_OUTCOMES(LT_OUTCOME_MATCH)
#undef LT_OUTCOME_MATCH
    return 0;
}

struct lt_str lt_outcome_worse(struct lt_str a, struct lt_str b) {
    return lt_outcome_severity(b) > lt_outcome_severity(a) ? b : a;
}

enum bound { NONE, OPEN, CLOSED };

/* One row a comparator: how it uses low and high, or the nominal. */
struct comparator {
    const char *name;
    enum bound low, high;
    bool equal, unequal;
};

static const struct comparator comparators[] = {
    {"GELE", CLOSED, CLOSED, false, false}, {"GELT", CLOSED, OPEN, false, false}, {"GTLE", OPEN, CLOSED, false, false},
    {"GTLT", OPEN, OPEN, false, false},     {"GE", CLOSED, NONE, false, false},   {"GT", OPEN, NONE, false, false},
    {"LE", NONE, CLOSED, false, false},     {"LT", NONE, OPEN, false, false},     {"EQ", NONE, NONE, true, false},
    {"NE", NONE, NONE, false, true},
};

static const struct comparator *comparator_find(const char *name) {
    if (name == NULL) return &comparators[0];
    for (size_t i = 0; i < sizeof comparators / sizeof comparators[0]; i++)
        if (strcmp(comparators[i].name, name) == 0) return &comparators[i];
    return NULL;
}

static bool low_holds(enum bound bound, double low, double v) {
    if (bound == NONE || isnan(low)) return true;
    return bound == CLOSED ? low <= v : low < v;
}

static bool high_holds(enum bound bound, double high, double v) {
    if (bound == NONE || isnan(high)) return true;
    return bound == CLOSED ? v <= high : v < high;
}

const char *lt_limit_judge(double value, double low, double high, double nominal, const char *comparator) {
    if (isnan(value)) return "errored";
    if (isnan(low) && isnan(high) && isnan(nominal)) return "done";
    const struct comparator *c = comparator_find(comparator);
    if (c == NULL) return "failed";
    bool holds = low_holds(c->low, low, value) && high_holds(c->high, high, value);
    if (c->equal) holds = value == nominal;
    if (c->unequal) holds = !isnan(nominal) && value != nominal;
    return holds ? "passed" : "failed";
}

const char *lt_limit_defect(double low, double high, double nominal, const char *comparator) {
    const struct comparator *c = comparator_find(comparator);
    if (c == NULL) return "unknown comparator (GELE, GELT, GTLE, GTLT, GE, GT, LE, LT, EQ, NE)";
    if (isnan(low) && isnan(high) && isnan(nominal)) return comparator == NULL ? NULL : "a comparator without low, high or nominal";
    if (!isnan(low) && !isnan(high) && low > high) return "low is above high";
    if ((c->equal || c->unequal) && isnan(nominal)) return "EQ and NE need a nominal";
    bool has_bound = (c->low != NONE && !isnan(low)) || (c->high != NONE && !isnan(high));
    if (!c->equal && !c->unequal && !has_bound) return "it lacks every bound that its comparator uses";
    return NULL;
}
