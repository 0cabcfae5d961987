/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

static void add_escaped(struct lt_buf *out, unsigned char byte) {
    if (byte == '"' || byte == '\\') {
        lt_buf_add_char(out, '\\');
        lt_buf_add_char(out, (char)byte);
    } else if (byte == '\n') lt_buf_add_text(out, "\\n");
    else if (byte == '\t') lt_buf_add_text(out, "\\t");
    else lt_buf_addf(out, "\\u%04x", byte);
}

void lt_json_str(struct lt_buf *out, struct lt_str text) {
    lt_buf_add_char(out, '"');
    size_t plain = 0; /* from here on nothing needs an escape so far */
    for (size_t i = 0; i < text.n; i++) {
        unsigned char byte = (unsigned char)text.p[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f) continue;
        lt_buf_add(out, text.p + plain, i - plain);
        add_escaped(out, byte);
        plain = i + 1;
    }
    if (text.n > plain) lt_buf_add(out, text.p + plain, text.n - plain);
    lt_buf_add_char(out, '"');
}

/* As the library writes it; null for what it does not write. */
static void add_number(struct lt_buf *out, const yyjson_val *number) {
    uint64_t memory[32]; /* more than the library asks for */
    yyjson_alc pool;
    size_t n = 0;
    const char *text = yyjson_alc_pool_init(&pool, memory, sizeof memory) ? yyjson_val_write_opts(number, 0, &pool, &n, NULL) : NULL;
    if (text == NULL) lt_buf_add_text(out, "null");
    else lt_buf_add(out, text, n);
}

void lt_json_int(struct lt_buf *out, int64_t value) {
    yyjson_val number = {0};
    yyjson_set_sint(&number, value);
    add_number(out, &number);
}

void lt_json_real(struct lt_buf *out, double value) {
    yyjson_val number = {0};
    yyjson_set_real(&number, value);
    add_number(out, &number);
}

const char *lt_real_text(double value, char out[LT_REAL_BYTES]) {
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(out, LT_REAL_BYTES, "%.*g", digits, value);
        if (strtod(out, NULL) == value) break;
    }
    if (strpbrk(out, ".en") == NULL) snprintf(out + n, LT_REAL_BYTES - (size_t)n, ".0");
    return out;
}
