/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void lt_buf_init(struct lt_buf *buf) {
    *buf = (struct lt_buf){0};
}

void lt_buf_release(struct lt_buf *buf) {
    free(buf->p);
    *buf = (struct lt_buf){0};
}

void lt_buf_clear(struct lt_buf *buf) {
    buf->n = 0;
    buf->failed = false;
}

bool lt_buf_reserve(struct lt_buf *buf, size_t more) {
    if (buf->failed) return false;
    if (more <= buf->capacity - buf->n) return true;
    if (more > SIZE_MAX / 4 || buf->n > SIZE_MAX / 4) {
        buf->failed = true;
        return false;
    }
    size_t capacity = buf->capacity < 256 ? 256 : buf->capacity;
    while (capacity - buf->n < more) capacity *= 2;
    char *p = realloc(buf->p, capacity);
    if (p == NULL) {
        buf->failed = true;
        return false;
    }
    buf->p = p;
    buf->capacity = capacity;
    return true;
}

void lt_buf_addf(struct lt_buf *buf, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !lt_buf_reserve(buf, (size_t)n + 1)) return;
    va_start(args, format);
    vsnprintf(buf->p + buf->n, (size_t)n + 1, format, args);
    va_end(args);
    buf->n += (size_t)n;
}

const char *lt_buf_cstr(struct lt_buf *buf) {
    if (!lt_buf_reserve(buf, 1)) return "";
    buf->p[buf->n] = '\0';
    return buf->p;
}
