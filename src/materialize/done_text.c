/* SPDX-License-Identifier: Apache-2.0 */
#include "materialize/done_text.h"

#include "base/json_text.h"

#include <stddef.h>
#include <yyjson.h>

#define COUNT(word) {#word, offsetof(struct lt_materialized, counts.word), false}
static const struct {
    const char *name;
    size_t at; /* of an int64_t in struct lt_materialized */
    bool later; /* a daemon of an older version does not say it: 0 */
} numbers[] = {
    {"planned", offsetof(struct lt_materialized, planned), false},
    {"deselected", offsetof(struct lt_materialized, deselected), true},
    {"steps", offsetof(struct lt_materialized, steps), false},
    {"measurements", offsetof(struct lt_materialized, measurements), false},
    COUNT(passed), COUNT(failed), COUNT(errored), COUNT(skipped), COUNT(done), COUNT(terminated), COUNT(aborted), COUNT(never_ran),
};
enum { NUMBERS = sizeof numbers / sizeof numbers[0] };

static const struct {
    const char *name;
    size_t at, bytes; /* of a text in struct lt_materialized */
} texts[] = {
    {"run_id", offsetof(struct lt_materialized, run_id), sizeof((struct lt_materialized *)0)->run_id},
    {"path", offsetof(struct lt_materialized, path), sizeof((struct lt_materialized *)0)->path},
    {"outcome", offsetof(struct lt_materialized, outcome), sizeof((struct lt_materialized *)0)->outcome},
};
enum { TEXTS = sizeof texts / sizeof texts[0] };

void lt_done_write(const struct lt_materialized *done, struct lt_buf *out) {
    for (size_t i = 0; i < TEXTS; i++) {
        lt_buf_addf(out, "%c\"%s\":", i == 0 ? '{' : ',', texts[i].name);
        lt_json_str(out, lt_str_of((const char *)done + texts[i].at));
    }
    for (size_t i = 0; i < NUMBERS; i++) {
        int64_t number;
        memcpy(&number, (const char *)done + numbers[i].at, sizeof number);
        lt_buf_addf(out, ",\"%s\":%lld", numbers[i].name, (long long)number);
    }
    lt_buf_add_char(out, '}');
}

bool lt_done_read(struct lt_str text, struct lt_materialized *done) {
    *done = (struct lt_materialized){0};
    yyjson_doc *doc = yyjson_read(text.p, text.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool good = yyjson_is_obj(root);
    for (size_t i = 0; good && i < TEXTS; i++) {
        yyjson_val *value = yyjson_obj_get(root, texts[i].name);
        good = yyjson_is_str(value) && yyjson_get_len(value) < texts[i].bytes;
        if (good) memcpy((char *)done + texts[i].at, yyjson_get_str(value), yyjson_get_len(value) + 1);
    }
    for (size_t i = 0; good && i < NUMBERS; i++) {
        yyjson_val *value = yyjson_obj_get(root, numbers[i].name);
        int64_t number = yyjson_get_sint(value);
        good = yyjson_is_int(value) || (value == NULL && numbers[i].later);
        if (good) memcpy((char *)done + numbers[i].at, &number, sizeof number);
    }
    yyjson_doc_free(doc);
    return good;
}
