/* SPDX-License-Identifier: Apache-2.0
 *
 * types.c - what depends on the type of the samples, once for each by macro.
 */
#include "channel/format.h"

#include <math.h>
#include <string.h>

int lt_type_bytes(enum litmus_type type) {
    switch (type) {
#define X(id, name, c_type) case LITMUS_##id: return (int)sizeof(c_type);
        LITMUS_TYPES(X)
#undef X
    }
    return 0;
}

const char *lt_type_name(enum litmus_type type) {
    switch (type) {
#define X(id, name, c_type) case LITMUS_##id: return name;
        LITMUS_TYPES(X)
#undef X
    }
    return "unknown";
}

bool lt_type_parse(const char *text, enum litmus_type *out) {
#define X(id, name, c_type)         \
    if (strcmp(text, name) == 0) {  \
        *out = LITMUS_##id;         \
        return true;                \
    }
    LITMUS_TYPES(X)
#undef X
    return false;
}

/* From here on, memory of any alignment: a block may begin anywhere in a buffer of another. */
#define X(id, name, c_type)                                                           \
    static void doubles_##id(const unsigned char *values, int64_t count, double *out) { \
        for (int64_t i = 0; i < count; i++) {                                         \
            c_type v;                                                                 \
            memcpy(&v, values + (size_t)i * sizeof v, sizeof v);                      \
            out[i] = (double)v;                                                       \
        }                                                                             \
    }
LITMUS_TYPES(X)
#undef X

void lt_type_doubles(enum litmus_type type, const void *values, int64_t count, double *out) {
    switch (type) {
#define X(id, name, c_type) case LITMUS_##id: doubles_##id(values, count, out); break;
        LITMUS_TYPES(X)
#undef X
    }
}

/* Whole numbers only take what they hold exactly; 2^63 and 2^64 are out of range as doubles. */
bool lt_type_store(enum litmus_type type, double value, void *out) {
    switch (type) {
    case LITMUS_FLOAT64: memcpy(out, &value, sizeof value); return true;
    case LITMUS_FLOAT32: {
        float narrow = (float)value;
        memcpy(out, &narrow, sizeof narrow);
        return !isinf(narrow) || isinf(value);
    }
    case LITMUS_UINT64: {
        uint64_t wide = value >= 0 && value < 18446744073709551616.0 ? (uint64_t)value : 0;
        memcpy(out, &wide, sizeof wide);
        return value >= 0 && value < 18446744073709551616.0 && (double)wide == value;
    }
    default: break;
    }
    if (!(value >= -9223372036854775808.0 && value < 9223372036854775808.0) || value != floor(value)) return false;
    int64_t whole = (int64_t)value;
    switch (type) {
#define STORE(id, c_type, low, high)                   \
    case LITMUS_##id: {                                \
        c_type v = (c_type)whole;                      \
        memcpy(out, &v, sizeof v);                     \
        return whole >= (low) && whole <= (high);      \
    }
        STORE(INT8, int8_t, INT8_MIN, INT8_MAX)
        STORE(INT16, int16_t, INT16_MIN, INT16_MAX)
        STORE(INT32, int32_t, INT32_MIN, INT32_MAX)
        STORE(INT64, int64_t, INT64_MIN, INT64_MAX)
        STORE(UINT8, uint8_t, 0, UINT8_MAX)
        STORE(UINT16, uint16_t, 0, UINT16_MAX)
        STORE(UINT32, uint32_t, 0, UINT32_MAX)
#undef STORE
    default: return false;
    }
}

/* Eight lanes, so that one comparison need not wait for the one before it. A comparison with NaN is false,
 * so NaN never gets in; a bin of nothing else keeps its first value, which is NaN. */
#define X(id, name, c_type)                                                                                              \
    static void bin_##id(const unsigned char *bytes, int64_t count, c_type *min, c_type *max, uint16_t *min_at, uint16_t *max_at) { \
        c_type v[LT_CHANNEL_BIN], low[8], high[8];                                                                       \
        memcpy(v, bytes, (size_t)count * sizeof *v);                                                                     \
        int64_t start = 0, i;                                                                                            \
        while (start < count - 1 && v[start] != v[start]) start++;                                                       \
        for (int k = 0; k < 8; k++) low[k] = high[k] = v[start];                                                         \
        for (i = start; i + 8 <= count; i += 8)                                                                          \
            for (int k = 0; k < 8; k++) {                                                                                \
                low[k] = v[i + k] < low[k] ? v[i + k] : low[k];                                                          \
                high[k] = v[i + k] > high[k] ? v[i + k] : high[k];                                                       \
            }                                                                                                            \
        for (; i < count; i++) {                                                                                         \
            low[0] = v[i] < low[0] ? v[i] : low[0];                                                                      \
            high[0] = v[i] > high[0] ? v[i] : high[0];                                                                   \
        }                                                                                                                \
        for (int k = 1; k < 8; k++) {                                                                                    \
            low[0] = low[k] < low[0] ? low[k] : low[0];                                                                  \
            high[0] = high[k] > high[0] ? high[k] : high[0];                                                             \
        }                                                                                                                \
        *min = low[0];                                                                                                   \
        *max = high[0];                                                                                                  \
        *min_at = *max_at = (uint16_t)start;                                                                             \
        for (i = start; i < count && v[i] != low[0]; i++) continue;                                                      \
        if (i < count) *min_at = (uint16_t)i;                                                                            \
        for (i = start; i < count && v[i] != high[0]; i++) continue;                                                     \
        if (i < count) *max_at = (uint16_t)i;                                                                            \
    }
LITMUS_TYPES(X)
#undef X

void lt_type_bin(enum litmus_type type, const void *values, int64_t count, int64_t at, void *min, void *max, uint16_t *min_at, uint16_t *max_at) {
    switch (type) {
#define X(id, name, c_type)                                                             \
    case LITMUS_##id: {                                                                 \
        c_type low, high;                                                               \
        bin_##id(values, count, &low, &high, min_at, max_at);                           \
        memcpy((unsigned char *)min + (size_t)at * sizeof low, &low, sizeof low);       \
        memcpy((unsigned char *)max + (size_t)at * sizeof high, &high, sizeof high);    \
        break;                                                                          \
    }
        LITMUS_TYPES(X)
#undef X
    }
}

int64_t lt_channel_time(int64_t start, double interval_ns, int64_t index) {
    double offset = interval_ns * (double)index;
    if (!(offset >= 0 && offset < 9e18)) return start;
    int64_t ns = llround(offset);
    return start > INT64_MAX - ns ? INT64_MAX : start + ns;
}
