/* SPDX-License-Identifier: Apache-2.0
 *
 * str.h - a borrowed piece of text: pointer and length, not terminated. p == NULL is NULL (no
 * value), which differs from the empty text.
 */
#ifndef LT_BASE_STR_H
#define LT_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct lt_str {
    const char *p;
    size_t n;
};

#define LT_STR(literal) ((struct lt_str){(literal), sizeof(literal) - 1})
#define LT_STR_NULL ((struct lt_str){NULL, 0})
/* For printf("%.*s", LT_STR_ARG(s)). */
#define LT_STR_ARG(s) (int)(s).n, ((s).p ? (s).p : "")

static inline struct lt_str lt_str_of(const char *text) {
    return (struct lt_str){text, text == NULL ? 0 : strlen(text)};
}
static inline bool lt_str_eq(struct lt_str a, struct lt_str b) {
    if ((a.p == NULL) != (b.p == NULL) || a.n != b.n) return false;
    return a.n == 0 || memcmp(a.p, b.p, a.n) == 0;
}
/* Byte order; NULL before everything. */
static inline int lt_str_cmp(struct lt_str a, struct lt_str b) {
    if (a.p == NULL || b.p == NULL) return (a.p != NULL) - (b.p != NULL);
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n == 0 ? 0 : memcmp(a.p, b.p, n);
    if (order != 0) return order;
    return (a.n > b.n) - (a.n < b.n);
}
/* Does it end with `end`, and is there something before that? */
static inline bool lt_str_ends(struct lt_str s, struct lt_str end) {
    return s.n > end.n && memcmp(s.p + s.n - end.n, end.p, end.n) == 0;
}
static inline bool lt_str_empty(struct lt_str s) {
    return s.n == 0;
}

#endif
