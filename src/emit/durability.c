/* SPDX-License-Identifier: Apache-2.0 */
#include "emit/durability.h"

#include "base/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

enum { GROUP_MS_MAX = 3600 * 1000 };

bool lt_durability_parse(const char *text, enum litmus_durability *mode, int *group_ms) {
    char word[8] = "", unit[8] = "", rest[2] = "";
    long ms = 0;
    int n = sscanf(text, "%7s %9ld %7s %1s", word, &ms, unit, rest);
    if (n == 1 && strcmp(word, "os") == 0) *mode = LITMUS_DURABILITY_OS;
    else if (n == 1 && strcmp(word, "each") == 0) *mode = LITMUS_DURABILITY_EACH;
    else if (strcmp(word, "group") != 0) return false;
    else if (n > 3 || (n == 3 && strcmp(unit, "ms") != 0) || (n > 1 && (ms < 1 || ms > GROUP_MS_MAX))) return false;
    else {
        *mode = LITMUS_DURABILITY_GROUP;
        if (n > 1) *group_ms = (int)ms;
    }
    return n > 1 || strcmp(text, word) == 0;
}

static int take(const char *where, const char *text, enum litmus_durability *mode, int *group_ms, struct litmus_error *error) {
    if (text != NULL && lt_durability_parse(text, mode, group_ms)) return LITMUS_OK;
    return lt_fail(error, LITMUS_ECONFIG, 0, "%s: durability \"%.40s\" is none of os, each, group N ms", where, text == NULL ? "(no text)" : text);
}

int lt_durability_find(enum litmus_durability *mode, int *group_ms, struct litmus_error *error) {
    const char *variable = getenv("LITMUS_DURABILITY");
    *mode = LITMUS_DURABILITY_OS;
    if (variable != NULL && variable[0] != '\0') return take("LITMUS_DURABILITY", variable, mode, group_ms, error);
    struct lt_buf json, path;
    lt_buf_init(&json);
    lt_buf_init(&path);
    int code = lt_config_json(NULL, &json, &path, error);
    yyjson_doc *doc = code == LITMUS_OK ? yyjson_read(json.p, json.n, 0) : NULL;
    yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(doc), "durability");
    if (value != NULL && !yyjson_is_null(value)) code = take(lt_buf_cstr(&path), yyjson_get_str(value), mode, group_ms, error);
    yyjson_doc_free(doc);
    lt_buf_release(&json);
    lt_buf_release(&path);
    return code;
}
