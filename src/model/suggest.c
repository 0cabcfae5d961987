/* SPDX-License-Identifier: Apache-2.0 */
#include "model/suggest.h"

enum { WORD_BYTES_MAX = 64 };

static size_t min3(size_t a, size_t b, size_t c) {
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Edit distance in which two letters that changed places are one slip, row by row. */
static size_t distance(struct lt_str a, struct lt_str b) {
    size_t rows[3][WORD_BYTES_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.n; j++) above[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            row[j] = min3(row[j - 1] + 1, above[j] + 1, above[j - 1] + (a.p[i - 1] != b.p[j - 1]));
            bool swapped = i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1];
            if (swapped && before[j - 2] + 1 < row[j]) row[j] = before[j - 2] + 1;
        }
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.n];
}

const char *lt_nearer(struct lt_str word, const char *best, const char *candidate) {
    struct lt_str c = lt_str_of(candidate);
    if (word.p == NULL || word.n > WORD_BYTES_MAX || c.n > WORD_BYTES_MAX) return best;
    size_t d = distance(word, c);
    if (d * 3 > (word.n > c.n ? word.n : c.n)) return best;
    if (best == NULL) return candidate;
    return d < distance(word, lt_str_of(best)) ? candidate : best;
}
