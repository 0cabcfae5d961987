/* SPDX-License-Identifier: Apache-2.0
 *
 * hex.h - bytes as lower-case hex digits, and back.
 */
#ifndef LT_BASE_HEX_H
#define LT_BASE_HEX_H

#include "base/str.h"

/* `out` has room for 2 n + 1 characters; terminated. */
static inline void lt_hex_text(const unsigned char *bytes, size_t n, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

/* Strict: exactly 2 n digits, lower case, so that bytes have one text. false: they are not. */
static inline bool lt_hex_parse(struct lt_str text, unsigned char *bytes, size_t n) {
    if (text.n != 2 * n) return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return false;
        bytes[i / 2] = (unsigned char)(i % 2 == 0 ? digit << 4 : bytes[i / 2] | digit);
    }
    return true;
}

#endif
