/* SPDX-License-Identifier: Apache-2.0 */
#include "model/limit.h"

#include "model/suggest.h"

#include <ctype.h>
#include <math.h>

enum bound { UNUSED, OPEN, CLOSED };

static const struct comparator {
    const char *name;
    enum bound low, high;
} comparators[] = {
#define ROW(name, low, high) {#name, low, high},
    LT_COMPARATORS(ROW)
#undef ROW
};
enum { COMPARATORS = sizeof comparators / sizeof comparators[0] };

static const struct comparator *comparator_find(const char *name) {
    for (size_t i = 0; i < COMPARATORS; i++)
        if (strcmp(comparators[i].name, name) == 0) return &comparators[i];
    return NULL;
}

static bool is_range(const struct comparator *c) {
    return c->low != UNUSED || c->high != UNUSED;
}

bool lt_limit_any(const struct lt_limit *limit) {
    return !isnan(limit->low) || !isnan(limit->high) || !isnan(limit->nominal) || limit->text.p != NULL;
}

const char *lt_limit_comparator(const struct lt_limit *limit) {
    if (limit->comparator != NULL) return limit->comparator;
    return limit->text.p != NULL ? "EQ" : "GELE";
}

static int refuse(const char *what, const char *why, struct litmus_error *error) {
    return lt_fail(error, LITMUS_EINVAL, 0, "the limit of %.100s cannot judge: %s", what, why);
}

static int refuse_comparator(const char *what, const char *name, struct litmus_error *error) {
    const char *nearest = NULL;
    char upper[21] = "";
    for (size_t i = 0; i + 1 < sizeof upper && name[i] != '\0'; i++) upper[i] = (char)toupper((unsigned char)name[i]);
    for (size_t i = 0; i < COMPARATORS; i++) nearest = lt_nearer(lt_str_of(upper), nearest, comparators[i].name);
    if (nearest != NULL)
        return lt_fail(error, LITMUS_EINVAL, 0, "the limit of %.100s cannot judge: there is no comparator %.20s, did you mean %s?", what, name, nearest);
    return lt_fail(error, LITMUS_EINVAL, 0, "the limit of %.100s cannot judge: there is no comparator %.20s (GELE, GELT, GTLE, GTLT, GE, GT, LE, LT, EQ, NE)", what, name);
}

static int check_text(const struct lt_limit *limit, const struct comparator *c, const char *what, struct litmus_error *error) {
    if (is_range(c)) return refuse(what, "a text is compared by EQ or NE", error);
    if (!isnan(limit->low) || !isnan(limit->high) || !isnan(limit->nominal)) return refuse(what, "it has both a text and numbers", error);
    return LITMUS_OK;
}

/* A range that no number passes, or none fails. */
static int check_range(const struct lt_limit *limit, const struct comparator *c, const char *what, struct litmus_error *error) {
    bool low = c->low != UNUSED && !isnan(limit->low), high = c->high != UNUSED && !isnan(limit->high);
    if (low && high && limit->low == limit->high && (c->low == OPEN || c->high == OPEN))
        return lt_fail(error, LITMUS_EINVAL, 0, "the limit of %.100s cannot judge: no value is within %s from %.10g to %.10g", what, c->name, limit->low, limit->high);
    bool bounded = (low && limit->low > -INFINITY) || (high && limit->high < INFINITY);
    return bounded ? LITMUS_OK : refuse(what, "every value is within bounds that are infinite (leave out a bound that there is not)", error);
}

int lt_limit_check(const struct lt_limit *limit, const char *what, struct litmus_error *error) {
    const struct comparator *c = comparator_find(lt_limit_comparator(limit));
    if (c == NULL) return refuse_comparator(what, limit->comparator, error);
    if (!lt_limit_any(limit)) return limit->comparator == NULL ? LITMUS_OK : refuse(what, "a comparator without low, high or nominal", error);
    if (limit->text.p != NULL) return check_text(limit, c, what, error);
    if (limit->low > limit->high)
        return lt_fail(error, LITMUS_EINVAL, 0, "the limit of %.100s cannot judge: low %.10g is above high %.10g", what, limit->low, limit->high);
    bool has_bound = is_range(c) ? (c->low != UNUSED && !isnan(limit->low)) || (c->high != UNUSED && !isnan(limit->high)) : !isnan(limit->nominal);
    if (has_bound) return is_range(c) ? check_range(limit, c, what, error) : LITMUS_OK;
    return lt_fail(error, LITMUS_EINVAL, 0, "the limit of %.100s cannot judge: %s needs %s", what, c->name,
                   !is_range(c) ? "a nominal" : c->low == UNUSED ? "high" : c->high == UNUSED ? "low" : "low or high (to compare with nominal, say EQ)");
}

static bool low_holds(enum bound bound, double low, double v) {
    if (bound == UNUSED || isnan(low)) return true;
    return bound == CLOSED ? low <= v : low < v;
}

static bool high_holds(enum bound bound, double high, double v) {
    if (bound == UNUSED || isnan(high)) return true;
    return bound == CLOSED ? v <= high : v < high;
}

static const char *verdict(bool holds) {
    return holds ? "passed" : "failed";
}

const char *lt_limit_judge(const struct lt_limit *limit, double value) {
    if (isnan(value)) return "errored";
    if (limit == NULL || !lt_limit_any(limit)) return "done";
    const struct comparator *c = comparator_find(lt_limit_comparator(limit));
    if (c == NULL || limit->text.p != NULL) return "failed";
    if (is_range(c)) return verdict(low_holds(c->low, limit->low, value) && high_holds(c->high, limit->high, value));
    return verdict(!isnan(limit->nominal) && (value == limit->nominal) == (c->name[0] == 'E'));
}

const char *lt_limit_judge_text(const struct lt_limit *limit, struct lt_str value) {
    if (value.p == NULL) return "errored";
    if (limit == NULL || !lt_limit_any(limit)) return "done";
    const struct comparator *c = comparator_find(lt_limit_comparator(limit));
    if (c == NULL || is_range(c) || limit->text.p == NULL) return "failed";
    return verdict(lt_str_eq(value, limit->text) == (c->name[0] == 'E'));
}
