/* SPDX-License-Identifier: Apache-2.0 */
#include "query/golden.h"

#include "base/config.h"
#include "query/sql_setup.h"

#include <string.h>
#include <yyjson.h>

static int bad(const char *path, struct litmus_error *error) {
    return lt_fail(error, LITMUS_ECONFIG, 0,
                   "%s: golden_units must be a list of serials in quotes, such as [\"GOLD-1\", \"REF*\"], "
                   "or of maps with serial, part, lot, phase, station, such as {phase: \"audit\"}: correct or remove it",
                   path);
}

/* GLOB takes [...] for a set of characters; in a serial they are themselves. */
static void add_pattern(struct lt_buf *out, const char *text) {
    struct lt_buf pattern;
    lt_buf_init(&pattern);
    for (; *text != '\0'; text++) {
        if (*text == '[') lt_buf_add_text(&pattern, "[[]");
        else if (*text == '\\') lt_buf_add_text(&pattern, "[\\]");
        else lt_buf_add_char(&pattern, *text);
    }
    lt_sql_quote(out, (struct lt_str){lt_buf_cstr(&pattern), pattern.n});
    out->failed = out->failed || pattern.failed;
    lt_buf_release(&pattern);
}

/* Whether a parameter of the macro fits; false: there is no such parameter, or the pattern is none. */
static bool add_test(const char *name, yyjson_val *pattern, struct lt_buf *out) {
    static const char *const names[] = {"serial", "part", "lot", "phase", "station"};
    bool known = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) known = known || strcmp(names[i], name) == 0;
    if (!known || !yyjson_is_str(pattern) || yyjson_get_len(pattern) == 0) return false;
    lt_buf_addf(out, " AND trim(%s) GLOB ", name);
    add_pattern(out, yyjson_get_str(pattern));
    return true;
}

/* A text is a serial; of a map, everything that it says must fit. */
static int add_tests(yyjson_val *units, const char *path, struct lt_buf *out, struct litmus_error *error) {
    size_t i, n, k, m;
    yyjson_val *unit, *name, *pattern;
    if (!yyjson_is_arr(units)) return bad(path, error);
    yyjson_arr_foreach(units, i, n, unit) {
        bool ok = yyjson_is_str(unit) || yyjson_obj_size(unit) > 0;
        lt_buf_add_text(out, " OR coalesce(true");
        if (yyjson_is_str(unit)) ok = add_test("serial", unit, out);
        yyjson_obj_foreach(unit, k, m, name, pattern) ok = ok && add_test(yyjson_get_str(name), pattern, out);
        lt_buf_add_text(out, ", false)");
        if (!ok) return bad(path, error);
    }
    return LITMUS_OK;
}

/* *found: the nearest litmus.yaml names some. */
static int from_file(const char *folder, struct lt_buf *out, bool *found, struct litmus_error *error) {
    struct lt_buf json, path;
    lt_buf_init(&json);
    lt_buf_init(&path);
    int code = lt_config_json(folder, &json, &path, error);
    yyjson_doc *doc = code == LITMUS_OK ? yyjson_read(json.p, json.n, 0) : NULL;
    yyjson_val *units = yyjson_obj_get(yyjson_doc_get_root(doc), "golden_units");
    *found = units != NULL && !yyjson_is_null(units);
    if (*found) code = add_tests(units, lt_buf_cstr(&path), out, error);
    yyjson_doc_free(doc);
    lt_buf_release(&json);
    lt_buf_release(&path);
    return code;
}

int lt_golden_macro(const char *data_dir, struct lt_buf *out, struct litmus_error *error) {
    bool found = false;
    lt_buf_add_text(out, "CREATE OR REPLACE TEMP MACRO litmus_is_golden(serial, part, lot, phase, station) AS (false");
    int code = from_file(NULL, out, &found, error);
    if (code == LITMUS_OK && !found) code = from_file(data_dir, out, &found, error);
    lt_buf_add_text(out, ");\n");
    if (code == LITMUS_OK && out->failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for golden_units");
    return code;
}
