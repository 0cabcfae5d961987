/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include "base/portable.h"

void lt_uuid_next(struct lt_uuid_pool *pool, char out[LT_UUID_BYTES]) {
    static const char hex[] = "0123456789abcdef";
    if (pool->left < 16) {
        lt_random(pool->bytes, sizeof pool->bytes);
        pool->left = sizeof pool->bytes;
    }
    pool->left -= 16;
    unsigned char *b = pool->bytes + pool->left;
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    char *p = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *p++ = '-';
        *p++ = hex[b[i] >> 4];
        *p++ = hex[b[i] & 15];
    }
    *p = '\0';
}

void lt_uuid_new(char out[LT_UUID_BYTES]) {
    struct lt_uuid_pool pool;
    pool.left = 0;
    lt_uuid_next(&pool, out);
}

bool lt_uuid_valid(struct lt_str s) {
    if (s.p == NULL || s.n != 36) return false;
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');
        if (dash ? s.p[i] != '-' : !hex) return false;
    }
    return true;
}
