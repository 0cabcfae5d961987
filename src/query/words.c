/* SPDX-License-Identifier: Apache-2.0 */
#include "query/words.h"

#include <ctype.h>
#include <stdint.h>

/* Letters that UTF-8 has two bytes for: the small one of each. `step` 2: capital and small take turns. */
static const struct letters {
    uint16_t from, to, step;
    int16_t add;
} capitals[] = {
    {0xC0, 0xD6, 1, 32}, {0xD8, 0xDE, 1, 32},                                                                     /* Latin */
    {0x100, 0x12E, 2, 1}, {0x132, 0x136, 2, 1}, {0x139, 0x147, 2, 1}, {0x14A, 0x176, 2, 1}, {0x179, 0x17D, 2, 1},
    {0x178, 0x178, 1, 0xFF - 0x178},
    {0x386, 0x386, 1, 38}, {0x388, 0x38A, 1, 37}, {0x38C, 0x38C, 1, 64}, {0x38E, 0x38F, 1, 63}, {0x391, 0x3A1, 1, 32}, /* Greek */
    {0x3A3, 0x3AB, 1, 32}, {0x3C2, 0x3C2, 1, 1},                                                                  /* and its sigma at the end */
    {0x400, 0x40F, 1, 80}, {0x410, 0x42F, 1, 32},                                                                 /* Cyrillic */
};

static unsigned small_letter(unsigned char lead, unsigned char next) {
    unsigned letter = (lead & 0x1FU) << 6 | (next & 0x3FU);
    for (size_t i = 0; i < sizeof capitals / sizeof capitals[0]; i++)
        if (letter >= capitals[i].from && letter <= capitals[i].to && (letter - capitals[i].from) % capitals[i].step == 0)
            return letter + (unsigned)capitals[i].add;
    return letter;
}

static bool of_two(const unsigned char *p, size_t left) {
    return left > 1 && (p[0] & 0xE0) == 0xC0 && (p[1] & 0xC0) == 0x80;
}

/* n bytes each. */
static bool same(const char *one, const char *other, size_t n) {
    const unsigned char *a = (const unsigned char *)one, *b = (const unsigned char *)other;
    for (size_t i = 0; i < n; i++) {
        if (a[i] < 0x80 ? tolower(a[i]) == tolower(b[i]) : a[i] == b[i] && !of_two(a + i, n - i)) continue;
        if (!of_two(a + i, n - i) || !of_two(b + i, n - i) || small_letter(a[i], a[i + 1]) != small_letter(b[i], b[i + 1])) return false;
        i++;
    }
    return true;
}

static bool has(struct lt_str field, struct lt_str word, bool anywhere) {
    for (size_t at = 0; at + word.n <= field.n && (at == 0 || anywhere); at++)
        if (same(field.p + at, word.p, word.n)) return true;
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
