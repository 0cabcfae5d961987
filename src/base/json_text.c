/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_text.h"

#include <math.h>
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

void lt_json_real(struct lt_buf *out, double value) {
    uint64_t memory[32]; /* more than the library asks for */
    yyjson_alc pool;
    yyjson_val number = {0};
    size_t n = 0;
    const char *text = NULL;
    if (isfinite(value) && yyjson_alc_pool_init(&pool, memory, sizeof memory) && yyjson_set_real(&number, value))
        text = yyjson_val_write_opts(&number, 0, &pool, &n, NULL);
    if (text == NULL) lt_buf_add_text(out, "null");
    else lt_buf_add(out, text, n);
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
