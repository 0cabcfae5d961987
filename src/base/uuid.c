/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include "base/portable.h"

#include <openssl/sha.h>

enum { RANDOM = 4, NAMED = 8 }; /* versions (RFC 9562) */

static void uuid_text(unsigned char b[16], int version, char out[LT_UUID_BYTES]) {
    static const char hex[] = "0123456789abcdef";
    b[6] = (unsigned char)((b[6] & 0x0f) | version << 4);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    char *p = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *p++ = '-';
        *p++ = hex[b[i] >> 4];
        *p++ = hex[b[i] & 15];
    }
    *p = '\0';
}

static uint64_t rotated(uint64_t x, int by) {
    return (x << by) | (x >> (64 - by));
}

/* xoshiro256++ (Blackman and Vigna, 2019): ids have to differ, not to be secret. */
static uint64_t next_random(uint64_t s[4]) {
    uint64_t result = rotated(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotated(s[3], 45);
    return result;
}

void lt_uuid_next(struct lt_uuid_pool *pool, char out[LT_UUID_BYTES]) {
    if ((pool->state[0] | pool->state[1] | pool->state[2] | pool->state[3]) == 0) lt_random(pool->state, sizeof pool->state);
    uint64_t words[2] = {next_random(pool->state), next_random(pool->state)};
    uuid_text((unsigned char *)words, RANDOM, out);
}

void lt_uuid_new(char out[LT_UUID_BYTES]) {
    unsigned char bytes[16];
    lt_random(bytes, sizeof bytes);
    uuid_text(bytes, RANDOM, out);
}

void lt_uuid_named(struct lt_str name, char out[LT_UUID_BYTES]) {
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)name.p, name.n, hash);
    uuid_text(hash, NAMED, out);
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
