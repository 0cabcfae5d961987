/* SPDX-License-Identifier: Apache-2.0
 *
 * Text that any JSON reader gives back as it was.
 */
#include "base/json_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <yyjson.h>

#include <cmocka.h>

static void every_ascii_byte_comes_back(void **state) {
    (void)state;
    char all[128];
    for (int i = 0; i < 128; i++) all[i] = (char)i;
    struct lt_buf out;
    lt_buf_init(&out);
    lt_json_str(&out, (struct lt_str){all, sizeof all});
    for (size_t i = 0; i < out.n; i++) assert_true((unsigned char)out.p[i] >= 0x20 && out.p[i] != 0x7f);
    yyjson_doc *doc = yyjson_read(out.p, out.n, 0);
    assert_non_null(doc);
    assert_int_equal(yyjson_get_len(yyjson_doc_get_root(doc)), sizeof all);
    assert_memory_equal(yyjson_get_str(yyjson_doc_get_root(doc)), all, sizeof all);
    yyjson_doc_free(doc);
    lt_buf_release(&out);
}

static void an_empty_and_a_missing_text_are_empty(void **state) {
    (void)state;
    struct lt_buf out;
    lt_buf_init(&out);
    lt_json_str(&out, LT_STR(""));
    lt_json_str(&out, LT_STR_NULL);
    assert_string_equal(lt_buf_cstr(&out), "\"\"\"\"");
    lt_buf_release(&out);
}

static void a_number_in_json_is_short_and_comes_back_or_is_null(void **state) {
    (void)state;
    static const struct {
        double value;
        const char *text;
    } table[] = {{5, "5.0"}, {0.1, "0.1"}, {-0.0, "-0.0"}, {1e300, "1e300"}, {3.3 + 0.01, "3.3099999999999996"}, {-1.7976931348623157e308, "-1.7976931348623157e308"},
                 {5e-324, "5e-324"}, {(double)NAN, "null"}, {(double)INFINITY, "null"}, {-(double)INFINITY, "null"}};
    struct lt_buf out;
    lt_buf_init(&out);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        lt_buf_clear(&out);
        lt_json_real(&out, table[i].value);
        assert_string_equal(lt_buf_cstr(&out), table[i].text);
    }
    lt_buf_clear(&out);
    lt_json_int(&out, INT64_MIN);
    lt_buf_add_char(&out, ' ');
    lt_json_int(&out, INT64_MAX);
    assert_string_equal(lt_buf_cstr(&out), "-9223372036854775808 9223372036854775807");
    lt_buf_release(&out);
}

static void a_real_is_short_and_comes_back(void **state) {
    (void)state;
    static const struct {
        double value;
        const char *text;
    } table[] = {{5, "5.0"}, {0.1, "0.1"}, {-0.0, "-0.0"}, {1e300, "1e+300"}, {3.3 + 0.01, "3.3099999999999996"}};
    char text[LT_REAL_BYTES];
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_string_equal(lt_real_text(table[i].value, text), table[i].text);
        assert_true(strtod(text, NULL) == table[i].value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_ascii_byte_comes_back),
        cmocka_unit_test(an_empty_and_a_missing_text_are_empty),
        cmocka_unit_test(a_number_in_json_is_short_and_comes_back_or_is_null),
        cmocka_unit_test(a_real_is_short_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
