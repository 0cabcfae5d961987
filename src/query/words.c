/* SPDX-License-Identifier: Apache-2.0 */
#include "query/words.h"

#include <strings.h>

static bool has(struct lt_str field, struct lt_str word, bool anywhere) {
    for (size_t at = 0; at + word.n <= field.n && (at == 0 || anywhere); at++)
        if (strncasecmp(field.p + at, word.p, word.n) == 0) return true;
    return false;
}

static bool fits(struct lt_str word, const struct lt_str *fields) {
    for (size_t i = 0; i < LT_WORDS_FIELDS; i++)
        if (has(fields[i], word, i >= LT_WORDS_STARTS)) return true;
    return false;
}

bool lt_words_fit(const char *words, const struct lt_str fields[LT_WORDS_FIELDS]) {
    static const char blank[] = " \t\r\n";
    for (const char *p = words + strspn(words, blank); *p != '\0'; p += strspn(p, blank)) {
        struct lt_str word = {p, strcspn(p, blank)};
        if (!fits(word, fields)) return false;
        p += word.n;
    }
    return true;
}
