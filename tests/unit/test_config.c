/* SPDX-License-Identifier: Apache-2.0
 *
 * litmus.yaml and the data_dir: what is found where, and what a broken one says.
 */
#include "base/config.h"
#include "base/io.h"
#include "base/yaml.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct bench {
    char dir[PATH_MAX]; /* real path */
    char before[PATH_MAX];
    struct litmus_error error;
    struct lt_buf out, path;
};

static const char *const variables[] = {"LITMUS_DATA_DIR", "LITMUS_HOME", "XDG_DATA_HOME", "HOME"};

static int set_up(void **state) {
    struct bench *b = calloc(1, sizeof *b);
    char template[256];
    const char *tmp = getenv("TMPDIR");
    snprintf(template, sizeof template, "%s/config-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    if (mkdtemp(template) == NULL || realpath(template, b->dir) == NULL || getcwd(b->before, sizeof b->before) == NULL) return 1;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) unsetenv(variables[i]);
    *state = b;
    return chdir(b->dir);
}

static int tear_down(void **state) {
    struct bench *b = *state;
    int moved = chdir(b->before);
    lt_buf_release(&b->out);
    lt_buf_release(&b->path);
    free(b);
    return moved;
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    fclose(file);
}

static const char *below(struct bench *b, const char *rest) {
    lt_buf_clear(&b->path);
    lt_buf_addf(&b->path, "%s%s", b->dir, rest);
    return lt_buf_cstr(&b->path);
}

/* ---- YAML to JSON ---- */
static void documents_become_json(void **state) {
    struct bench *b = *state;
    static const char *const cases[][2] = {
        {"", "{}"},
        {"# only a comment\n", "{}"},
        {"---\n...\n", "{}"},
        {"a: 1", "{\"a\":1}"},
        {"a: [1, -2, 0o17, 0x1F, 007, +5]", "{\"a\":[1,-2,15,31,7,5]}"},
        {"a: [1.5, .5, 5., -.5e3, 1E-2, 00.10]", "{\"a\":[1.5,0.5,5.0,-0.5e3,1E-2,0.10]}"},
        {"a: [true, True, FALSE, null, Null, ~]", "{\"a\":[true,true,false,null,null,null]}"},
        {"a: [yes, no, on, tRue, nULL, 1_000, 0b1, 1e, e1, '-', .]",
         "{\"a\":[\"yes\",\"no\",\"on\",\"tRue\",\"nULL\",\"1_000\",\"0b1\",\"1e\",\"e1\",\"-\",\".\"]}"},
        {"a: [1e999, 0xFFFFFFFFFFFFFFFFF, 0o8, 0x]", "{\"a\":[\"1e999\",\"0xFFFFFFFFFFFFFFFFF\",\"0o8\",\"0x\"]}"},
        {"a: ['1', \"true\", '', !!str 5, ! 6]", "{\"a\":[\"1\",\"true\",\"\",\"5\",\"6\"]}"},
        {"a: !!int '5'", "{\"a\":5}"},
        {"a:", "{\"a\":null}"},
        {"1: x\nnull: y\n\"\": z", "{\"1\":\"x\",\"null\":\"y\",\"\":\"z\"}"},
        {"a: \"q\\\"b\\\\t\\tn\\n0\\0e\\x1b\"", "{\"a\":\"q\\\"b\\\\t\\tn\\n0\\u0000e\\u001b\"}"},
        {"a: \xc2\xb5V", "{\"a\":\"\xc2\xb5V\"}"},
        {"a: |\n  two\n  lines\n", "{\"a\":\"two\\nlines\\n\"}"},
        {"a: &x {b: [1, 2]}\nc: *x\nd: [*x, *x]", "{\"a\":{\"b\":[1,2]},\"c\":{\"b\":[1,2]},\"d\":[{\"b\":[1,2]},{\"b\":[1,2]}]}"},
        {"a: &x 1\nb: &x 2\nc: *x", "{\"a\":1,\"b\":2,\"c\":2}"},
        {"a: {}\nb: []\nc: {d: {}}", "{\"a\":{},\"b\":[],\"c\":{\"d\":{}}}"},
        {"a: {x: 1}\nb: {x: 1}", "{\"a\":{\"x\":1},\"b\":{\"x\":1}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lt_buf_clear(&b->out);
        int code = lt_yaml_to_json(lt_str_of(cases[i][0]), "litmus.yaml", &b->out, NULL, &b->error);
        if (code != LITMUS_OK) fail_msg("%s: %s", cases[i][0], b->error.text);
        assert_string_equal(lt_buf_cstr(&b->out), cases[i][1]);
    }
}

static void broken_documents_name_file_and_line(void **state) {
    struct bench *b = *state;
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        {"a: 1\nb: [1", "litmus.yaml, line 3"},
        {"a: 1\nb: ]", "litmus.yaml, line 2"},
        {"a: 1\n\tb: 2", "litmus.yaml, line 2"},
        {"a: [1, -.INF]", "line 1: a number is finite"},
        {"a: '.inf'\nb:\n  <<: {c: 1}", "line 3: merge keys"},
        {"a: 1\nb: 2\na: 3", "line 3: this key stands twice"},
        {"- 1", "line 1: the document must be a mapping"},
        {"text", "line 1: the document must be a mapping"},
        {"a: *x", "line 1: this alias"},
        {"a: 1\nb: &x [*x]", "line 2: this alias lies inside"},
        {"a: !env HOME", "line 1: this tag"},
        {"a: !!binary aGk=", "line 1: this tag"},
        {"a: 1\n---\nb: 2", "line 2: a second document"},
        {"? [1, 2]\n: x", "line 1: a key must be a plain text"},
        {"a: 1\nb: \xff\xfe", "save the file as UTF-8"},
        {"a: \"\\ud800\"", "litmus.yaml, line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct litmus_error error = {0};
        lt_buf_clear(&b->out);
        assert_int_equal(lt_yaml_to_json(lt_str_of(cases[i].yaml), "litmus.yaml", &b->out, NULL, &error), LITMUS_ECONFIG);
        if (strstr(error.text, cases[i].says) == NULL) fail_msg("%s: \"%s\" says not \"%s\"", cases[i].yaml, error.text, cases[i].says);
    }
}

static void documents_are_bounded(void **state) {
    struct bench *b = *state;
    struct lt_buf yaml;
    lt_buf_init(&yaml);
    lt_buf_add_text(&yaml, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"); /* a billion laughs */
    for (int i = 1; i < 12; i++) {
        lt_buf_addf(&yaml, "a%d: &a%d [", i, i);
        for (int k = 0; k < 9; k++) lt_buf_addf(&yaml, "%s*a%d", k == 0 ? "" : ",", i - 1);
        lt_buf_add_text(&yaml, "]\n");
    }
    assert_int_equal(lt_yaml_to_json((struct lt_str){yaml.p, yaml.n}, "f", &b->out, NULL, &b->error), LITMUS_ECONFIG);
    assert_non_null(strstr(b->error.text, "too large"));
    assert_true(b->out.n <= (size_t)LT_YAML_JSON_BYTES_MAX + 64);
    lt_error_clear(&b->error);
    lt_buf_clear(&yaml);
    lt_buf_add_text(&yaml, "a: ");
    for (int i = 0; i < 20000; i++) lt_buf_add_char(&yaml, '[');
    assert_int_equal(lt_yaml_to_json((struct lt_str){yaml.p, yaml.n}, "f", &b->out, NULL, &b->error), LITMUS_ECONFIG);
    lt_error_clear(&b->error);
    lt_buf_clear(&yaml);
    for (int i = 0; i < 6000; i++) lt_buf_addf(&yaml, "k%d: 1\n", i);
    assert_int_equal(lt_yaml_to_json((struct lt_str){yaml.p, yaml.n}, "f", &b->out, NULL, &b->error), LITMUS_ECONFIG);
    lt_buf_release(&yaml);
}

/* Every prefix and every changed byte of a document ends in JSON or an error, never in a crash. */
static void any_bytes_are_survived(void **state) {
    struct bench *b = *state;
    static const char yaml[] = "data_dir: ./data\na: &x [1, 'q', \"\\u00e9\", ~]\nb: {c: *x, d: |\n  text\n}\n? k\n: !!str 5\n";
    char bytes[sizeof yaml];
    for (size_t n = 0; n < sizeof yaml; n++) {
        lt_buf_clear(&b->out);
        (void)lt_yaml_to_json((struct lt_str){yaml, n}, "f", &b->out, NULL, NULL);
    }
    for (size_t i = 0; i < (sizeof yaml - 1) * 32; i++) {
        static const char swaps[] = "\0\xff\x80{}[]:,&*!|>'\"%@`#-?\n\t 0";
        memcpy(bytes, yaml, sizeof yaml);
        bytes[i / 32] = swaps[i % 32 % (sizeof swaps - 1)];
        lt_buf_clear(&b->out);
        (void)lt_yaml_to_json((struct lt_str){bytes, sizeof yaml - 1}, "f", &b->out, NULL, NULL);
    }
}

/* ---- litmus.yaml ---- */
static void the_nearest_file_upwards_counts(void **state) {
    struct bench *b = *state;
    assert_int_equal(lt_io_mkdirs(&lt_io_os, below(b, "/x/y/z"), &b->error), LITMUS_OK);
    write_file(below(b, "/litmus.yaml"), "where: top\n");
    write_file(below(b, "/x/y/litmus.yaml"), "where: middle\n");
    struct lt_buf path;
    lt_buf_init(&path);
    assert_int_equal(lt_config_json(below(b, "/x/y/z"), &b->out, &path, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), "{\"where\":\"middle\"}");
    assert_string_equal(lt_buf_cstr(&path), below(b, "/x/y/litmus.yaml"));
    assert_int_equal(lt_config_json("x", &b->out, NULL, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), "{\"where\":\"top\"}");
    assert_int_equal(lt_config_json(NULL, &b->out, NULL, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), "{\"where\":\"top\"}");
    lt_buf_release(&path);
}

static void an_unreadable_file_is_never_skipped(void **state) {
    struct bench *b = *state;
    assert_int_equal(mkdir(below(b, "/litmus.yaml"), 0777), 0);
    assert_int_equal(lt_config_json(NULL, &b->out, NULL, &b->error), LITMUS_ECONFIG);
    assert_non_null(strstr(b->error.text, "litmus.yaml"));
    assert_int_equal(rmdir(below(b, "/litmus.yaml")), 0);
    assert_int_equal(symlink("nowhere", below(b, "/litmus.yaml")), 0);
    lt_error_clear(&b->error);
    assert_int_equal(lt_data_dir_find(NULL, &b->out, &b->error), LITMUS_ECONFIG);
    assert_non_null(strstr(b->error.text, "litmus.yaml"));
}

/* ---- data_dir ---- */
static void the_first_place_that_names_it_wins(void **state) {
    struct bench *b = *state;
    setenv("HOME", below(b, "/home"), 1);
    assert_int_equal(lt_data_dir_find(NULL, &b->out, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), below(b, "/home/.local/share/litmus/data"));
    setenv("XDG_DATA_HOME", "relative/is/invalid", 1);
    assert_int_equal(lt_data_dir_find(NULL, &b->out, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), below(b, "/home/.local/share/litmus/data"));
    setenv("XDG_DATA_HOME", below(b, "/xdg"), 1);
    assert_int_equal(lt_data_dir_find(NULL, &b->out, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), below(b, "/xdg/litmus/data"));
    setenv("LITMUS_HOME", "lh", 1);
    assert_int_equal(lt_data_dir_find(NULL, &b->out, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), below(b, "/lh/data"));
    write_file("litmus.yaml", "other: 1\n"); /* a file that does not name it changes nothing */
    assert_int_equal(lt_data_dir_find(NULL, &b->out, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), below(b, "/lh/data"));
    write_file("litmus.yaml", "data_dir: ./from//yaml/\n");
    assert_int_equal(mkdir("sub", 0777), 0);
    assert_int_equal(chdir("sub"), 0);
    assert_int_equal(lt_data_dir_find(NULL, &b->out, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), below(b, "/from/yaml")); /* against the file's folder */
    setenv("LITMUS_DATA_DIR", "env", 1);
    assert_int_equal(lt_data_dir_find(NULL, &b->out, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), below(b, "/sub/env"));
    assert_int_equal(lt_data_dir_find("../arg", &b->out, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), below(b, "/sub/../arg"));
    assert_int_equal(lt_data_dir_find("/a/./b//", &b->out, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), "/a/b");
    setenv("LITMUS_DATA_DIR", "", 1); /* empty is not set */
    assert_int_equal(lt_data_dir_find("", &b->out, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), below(b, "/from/yaml"));
}

static void data_dir_in_the_file_takes_many_forms(void **state) {
    struct bench *b = *state;
    setenv("HOME", below(b, "/home"), 1);
    static const char *const cases[][2] = {
        {"data_dir: d", "/d"}, {"data_dir: '5'", "/5"}, {"data_dir: ~/d", "/home/d"}, {"data_dir: '~'", "/home"},
        {"root: &r d2\ndata_dir: *r", "/d2"}, {"data_dir: \"d \\u00e9\"", "/d \xc3\xa9"}, {"data_dir: .", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file("litmus.yaml", cases[i][0]);
        assert_int_equal(lt_data_dir_find(NULL, &b->out, &b->error), LITMUS_OK);
        assert_string_equal(lt_buf_cstr(&b->out), below(b, cases[i][1]));
    }
    static const char *const wrong[] = {"# x\ndata_dir: 5", "\ndata_dir: [d]", "a: 1\ndata_dir: {d: 1}", "\ndata_dir:",
                                        "a: 1\ndata_dir: true", "\ndata_dir: ''", "\ndata_dir: ~nobody/d", "\ndata_dir: \"a\\0b\""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct litmus_error error = {0};
        write_file("litmus.yaml", wrong[i]);
        assert_int_equal(lt_data_dir_find(NULL, &b->out, &error), LITMUS_ECONFIG);
        assert_non_null(strstr(error.text, below(b, "/litmus.yaml, line 2: data_dir must be")));
    }
}

static void no_place_at_all_is_an_error(void **state) {
    struct bench *b = *state;
    assert_int_equal(lt_data_dir_find(NULL, &b->out, &b->error), LITMUS_ECONFIG);
    assert_non_null(strstr(b->error.text, "set LITMUS_DATA_DIR"));
}

static void opening_makes_and_marks_it(void **state) {
    struct bench *b = *state;
    assert_int_equal(lt_data_dir_open(below(b, "/a/b/c"), &b->error), LITMUS_OK);
    assert_int_equal(lt_io_read_file("a/b/c/litmus-format", 100, &b->out, &b->error), LITMUS_OK);
    assert_string_equal(lt_buf_cstr(&b->out), "1\n");
    assert_int_equal(lt_data_dir_open(below(b, "/a/b/c"), &b->error), LITMUS_OK);
    static const struct {
        const char *marker;
        int code;
    } cases[] = {{"", LITMUS_OK}, {"1", LITMUS_OK}, {"2\n", LITMUS_EVERSION}, {"99999", LITMUS_EVERSION}, {"x\n", LITMUS_EDAMAGED}, {"0\n", LITMUS_EDAMAGED}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct litmus_error error = {0};
        write_file("a/b/c/litmus-format", cases[i].marker);
        assert_int_equal(lt_data_dir_open(below(b, "/a/b/c"), &error), cases[i].code);
        if (cases[i].code != LITMUS_OK) assert_non_null(strstr(error.text, "litmus-format"));
        lt_error_clear(&error); /* who reads is told of a newer one, and gets along with the rest */
        assert_int_equal(lt_data_dir_check(below(b, "/a/b/c"), &error), cases[i].code == LITMUS_EVERSION ? LITMUS_EVERSION : LITMUS_OK);
        assert_int_equal(error.text[0] != '\0', cases[i].code == LITMUS_EVERSION);
    }
    assert_int_equal(lt_data_dir_check(below(b, "/none"), &b->error), LITMUS_OK);
    assert_int_equal(access("none", F_OK), -1);
}

static void a_file_is_no_data_dir(void **state) {
    struct bench *b = *state;
    write_file("file", "");
    assert_int_equal(lt_data_dir_open(below(b, "/file"), &b->error), LITMUS_EINVAL);
    assert_non_null(strstr(b->error.text, "is a file, not a folder"));
    lt_error_clear(&b->error);
    assert_int_not_equal(lt_data_dir_open(below(b, "/file/below"), &b->error), LITMUS_OK);
    assert_non_null(strstr(b->error.text, "/file"));
}

/* ---- where a key stands ---- */
static void places_are_found(void **state) {
    struct bench *b = *state;
    static const char text[] = "a: 1\nb:\n  - {x: 1}\n  - {x: 2, y: &n {z: 3}}\nc: *n\n";
    static const struct {
        const char *path[4];
        size_t line, column;
    } cases[] = {
        {{NULL}, 1, 1},           {{"a"}, 1, 1},          {{"b"}, 2, 1},           {{"b", "0"}, 3, 5},       {{"b", "1", "y"}, 4, 12},
        {{"c", "z"}, 4, 19},      {{"b", "7"}, 2, 1},     {{"b", "x"}, 2, 1},      {{"no", "b"}, 1, 1},      {{"a", "deeper"}, 1, 1},
        {{"b", ""}, 2, 1},        {{"b", "99999999999"}, 2, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lt_str path[4];
        size_t parts = 0;
        while (parts < 4 && cases[i].path[parts] != NULL) {
            path[parts] = lt_str_of(cases[i].path[parts]);
            parts++;
        }
        struct lt_yaml_place place;
        assert_int_equal(lt_yaml_locate(lt_str_of(text), "it.yaml", path, parts, &place, &b->error), LITMUS_OK);
        assert_int_equal(place.line, cases[i].line);
        assert_int_equal(place.column, cases[i].column);
    }
}

static void a_place_in_no_yaml_is_an_error(void **state) {
    struct bench *b = *state;
    struct lt_str path = LT_STR("a");
    struct lt_yaml_place place;
    assert_int_equal(lt_yaml_locate(LT_STR("a: ["), "it.yaml", &path, 1, &place, &b->error), LITMUS_ECONFIG);
    assert_non_null(strstr(b->error.text, "it.yaml, line "));
    struct litmus_error none = {0};
    assert_int_equal(lt_yaml_locate(LT_STR(""), "it.yaml", &path, 1, &place, &none), LITMUS_OK);
    assert_int_equal(place.line, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(documents_become_json),
        TEST(broken_documents_name_file_and_line),
        TEST(documents_are_bounded),
        TEST(any_bytes_are_survived),
        TEST(the_nearest_file_upwards_counts),
        TEST(an_unreadable_file_is_never_skipped),
        TEST(the_first_place_that_names_it_wins),
        TEST(data_dir_in_the_file_takes_many_forms),
        TEST(no_place_at_all_is_an_error),
        TEST(opening_makes_and_marks_it),
        TEST(places_are_found),
        TEST(a_place_in_no_yaml_is_an_error),
        TEST(a_file_is_no_data_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
