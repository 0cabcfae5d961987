/* SPDX-License-Identifier: Apache-2.0
 *
 * buf.h - a growing run of bytes.
 *
 * Always true: `failed` is set once memory ran out and then every further call does nothing, so
 * that a chain of appends needs one check at its end. The bytes before stay valid.
 */
#ifndef LT_BASE_BUF_H
#define LT_BASE_BUF_H

#include "base/str.h"

struct lt_buf {
    char *p;
    size_t n;
    size_t capacity;
    bool failed;
};

void lt_buf_init(struct lt_buf *buf);    /* allocates nothing */
void lt_buf_release(struct lt_buf *buf); /* gives the memory back; the buf may be used again */
void lt_buf_clear(struct lt_buf *buf);   /* length 0, memory kept, failed reset */
bool lt_buf_reserve(struct lt_buf *buf, size_t more); /* room for `more` bytes after n */
/* Inline, so that the many short texts of known length in an event become a few moves each. */
static inline void lt_buf_add(struct lt_buf *buf, const void *bytes, size_t n) {
    if (n == 0 || ((buf->failed || n > buf->capacity - buf->n) && !lt_buf_reserve(buf, n))) return;
    memcpy(buf->p + buf->n, bytes, n);
    buf->n += n;
}
static inline void lt_buf_add_str(struct lt_buf *buf, struct lt_str s) {
    lt_buf_add(buf, s.p, s.n);
}
static inline void lt_buf_add_text(struct lt_buf *buf, const char *text) {
    lt_buf_add(buf, text, strlen(text));
}
static inline void lt_buf_add_char(struct lt_buf *buf, char c) {
    lt_buf_add(buf, &c, 1);
}
void lt_buf_addf(struct lt_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The text so far, terminated; "" when nothing was added or memory ran out. Borrowed. */
const char *lt_buf_cstr(struct lt_buf *buf);

#endif
