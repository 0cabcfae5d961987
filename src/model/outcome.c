/* SPDX-License-Identifier: Apache-2.0 */
#include "model/outcome.h"

#include <string.h>

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

struct lt_str lt_outcome_word(const char *outcome) {
#define LT_OUTCOME_MATCH(word, severity, text) \
    if (outcome != NULL && strcmp(outcome, #word) == 0) return LT_STR(#word);
    LT_OUTCOMES(LT_OUTCOME_MATCH)
#undef LT_OUTCOME_MATCH
    return LT_STR_NULL;
}
