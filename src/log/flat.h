/* SPDX-License-Identifier: Apache-2.0
 *
 * flat.h - where a field lies in a flatbuffer. Only for flatbuffers that were verified first (or
 * that this process made): nothing is checked here. Used to patch and to check numbers in Arrow
 * message headers that nanoarrow does not show.
 */
#ifndef LT_LOG_FLAT_H
#define LT_LOG_FLAT_H

#include "log/format.h"

#include <stddef.h>

/* Field numbers in the order of Arrow's Message.fbs, Schema.fbs and File.fbs. */
enum {
    LT_MESSAGE_VERSION = 0, LT_MESSAGE_HEADER_TYPE = 1, LT_MESSAGE_HEADER = 2, LT_MESSAGE_BODY_LENGTH = 3,
    LT_SCHEMA_FIELDS = 1, LT_SCHEMA_METADATA = 2,
    LT_FIELD_NAME = 0, LT_FIELD_TYPE = 3, LT_FIELD_CHILDREN = 5, LT_FIELD_METADATA = 6,
    LT_PAIR_KEY = 0, LT_PAIR_VALUE = 1,
    LT_BATCH_LENGTH = 0, LT_BATCH_NODES = 1, LT_BATCH_BUFFERS = 2, LT_BATCH_COMPRESSION = 3,
    LT_FOOTER_SCHEMA = 1, LT_FOOTER_BATCHES = 3,
    LT_NODE_BYTES = 16,   /* int64 length, int64 null_count */
    LT_BUFFER_BYTES = 16, /* int64 offset, int64 length */
    LT_BLOCK_BYTES = 24,  /* int64 offset, int32 metadata length, 4 bytes padding, int64 body length */
};

static inline const unsigned char *lt_flat_root(const unsigned char *buffer) {
    return buffer + (uint32_t)lt_get32(buffer);
}
/* The inline part of a field; NULL if it is not there (it has its default then). */
static inline const unsigned char *lt_flat_field(const unsigned char *table, int field) {
    const unsigned char *vtable = table - lt_get32(table);
    uint16_t vtable_bytes, at;
    memcpy(&vtable_bytes, vtable, sizeof vtable_bytes);
    size_t entry = 4 + 2 * (size_t)field;
    if (entry + 2 > vtable_bytes) return NULL;
    memcpy(&at, vtable + entry, sizeof at);
    return at == 0 ? NULL : table + at;
}
/* The table, text or vector that a field points to; NULL if it is not there. */
static inline const unsigned char *lt_flat_follow(const unsigned char *table, int field) {
    const unsigned char *p = lt_flat_field(table, field);
    return p == NULL ? NULL : p + (uint32_t)lt_get32(p);
}
static inline uint32_t lt_flat_length(const unsigned char *vector) {
    return vector == NULL ? 0 : (uint32_t)lt_get32(vector);
}
/* Element of a vector of tables. */
static inline const unsigned char *lt_flat_at(const unsigned char *vector, uint32_t index) {
    const unsigned char *p = vector + 4 + 4 * (size_t)index;
    return p + (uint32_t)lt_get32(p);
}

#endif
