/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - any bytes as litmus.yaml: an object within the limits comes of it, or an error that
 * names the file; the data_dir that it names is an absolute path.
 */
#define _GNU_SOURCE
#include "../fuzz.h"
#include "base/config.h"
#include "base/yaml.h"
#include "log/layout.h"

#include <fcntl.h>
#include <yyjson.h>

static int depth_of(yyjson_val *value) {
    int deepest = 0;
    size_t i, max;
    yyjson_val *key, *item;
    if (yyjson_is_arr(value)) yyjson_arr_foreach(value, i, max, item) {
        int depth = depth_of(item);
        if (depth > deepest) deepest = depth;
    }
    if (yyjson_is_obj(value)) yyjson_obj_foreach(value, i, max, key, item) {
        int depth = depth_of(item);
        if (depth > deepest) deepest = depth;
    }
    return deepest + 1;
}

static void check_json(const struct lt_buf *json) {
    check(json->n <= LT_YAML_JSON_BYTES_MAX + 64);
    check(lt_utf8_valid(json->p, json->n));
    yyjson_doc *doc = yyjson_read(json->p, json->n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    check(yyjson_is_obj(root));
    check(depth_of(root) <= LT_YAML_DEPTH_MAX + 2);
    yyjson_doc_free(doc);
}

static void check_error(const struct litmus_error *error, const char *name) {
    check(error->code == LITMUS_ECONFIG);
    check(strstr(error->text, name) != NULL);
    check(lt_utf8_valid(error->text, strlen(error->text)));
}

static int convert(const uint8_t *bytes, size_t n, struct lt_buf *json) {
    struct lt_yaml_watch watch = {.key = "data_dir"};
    struct litmus_error error = {0};
    lt_buf_init(json);
    int code = lt_yaml_to_json((struct lt_str){(const char *)bytes, n}, "litmus.yaml", json, &watch, &error);
    if (code == LITMUS_OK) check_json(json);
    else check_error(&error, "litmus.yaml");
    if (code == LITMUS_OK && watch.line > 0) check(watch.line <= n + 1);
    lt_buf_release(&watch.text);
    return code;
}

static void find_data_dir(const uint8_t *bytes, size_t n, int expected) {
    static bool inside;
    if (!inside) {
        check(chdir(fuzz_folder()) == 0 && setenv("LITMUS_HOME", fuzz_folder(), 1) == 0 && unsetenv("LITMUS_DATA_DIR") == 0);
        inside = true;
    }
    int fd = open("litmus.yaml", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    check(fd >= 0);
    if (n > 0) check(write(fd, bytes, n) == (ssize_t)n);
    close(fd);
    struct lt_buf dir, json;
    struct litmus_error error = {0};
    lt_buf_init(&dir);
    lt_buf_init(&json);
    int code = lt_data_dir_find(NULL, &dir, &error);
    if (code == LITMUS_OK) check(expected == LITMUS_OK && dir.n > 0 && dir.p[0] == '/' && memchr(dir.p, '\0', dir.n) == NULL);
    else check_error(&error, "litmus.yaml");
    check(lt_config_json(NULL, &json, NULL, NULL) == expected);
    lt_buf_release(&dir);
    lt_buf_release(&json);
}

/* Keys that documents have are found within them, others near them. */
static void locate(const uint8_t *bytes, size_t n) {
    static const char *const keys[] = {"data_dir", "a", "0", "1", ""};
    struct lt_yaml_place place;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct lt_str path[] = {lt_str_of(keys[i]), LT_STR("0"), LT_STR("a")};
        struct litmus_error error = {0};
        int code = lt_yaml_locate((struct lt_str){(const char *)bytes, n}, "litmus.yaml", path, 3, &place, &error);
        if (code != LITMUS_OK) check_error(&error, "litmus.yaml");
        check(place.line >= 1 && place.line <= n + 1 && place.column >= 1 && place.column <= n + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    struct lt_buf json, again;
    int code = convert(bytes, n, &json);
    check(convert(bytes, n, &again) == code);
    if (code == LITMUS_OK) check(json.n == again.n && memcmp(json.p, again.p, json.n) == 0);
    find_data_dir(bytes, n, code);
    locate(bytes, n);
    lt_buf_release(&json);
    lt_buf_release(&again);
    return 0;
}
