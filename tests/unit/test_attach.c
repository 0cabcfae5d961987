/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and bytes attached to a step: stored once, copied beside the run file, restored by a rebuild, checked.
 */
#include "runs_helper.h"

#include "log/blob.h"
#include "materialize/attachments.h"

#include <glob.h>

/* SHA-256 of "abc" */
#define ABC "ba7816bf_8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.csv"

struct told {
    int count;
    char last[600];
};

static void tell(void *self, const char *what) {
    struct told *told = self;
    told->count++;
    snprintf(told->last, sizeof told->last, "%s", what);
}

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_not_equal(fputs(text, file), EOF);
    fclose(file);
}

/* The one path that a pattern below the data directory fits. */
static void the_one(struct bench *b, const char *pattern, char *out, size_t size) {
    char whole[700];
    glob_t found;
    snprintf(whole, sizeof whole, "%s/%s", b->dir, pattern);
    assert_int_equal(glob(whole, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    snprintf(out, size, "%s", found.gl_pathv[0]);
    globfree(&found);
}

static int check(struct bench *b, const struct recording *r, struct told *told) {
    struct lt_gathering session;
    char path[700];
    must(b, lt_gather_session(b->dir, r->session_id, &(struct lt_gather_options){0}, &session, &b->error));
    snprintf(path, sizeof path, "%s/%.*s", b->dir, LT_STR_ARG(session.runs[0]->destination));
    lt_attachments_check(&session, &session.runs[0]->run, path, tell, told);
    lt_gathering_release(&session);
    return told->count;
}

static void what_is_attached_is_stored_once_and_proves_itself(void **state) {
    struct bench *b = *state;
    struct recording r;
    struct litmus_attachment one, two;
    char source[600], original[600], copy[600], path[800];
    snprintf(source, sizeof source, "%s.csv", b->dir);
    write_text(source, "abc");
    start_recording(b, &r, "SN1", 1);
    assert_int_equal(litmus_attach_bytes(r.run, "a", "abc", 3, NULL, NULL), LITMUS_ESTATE);
    must(b, litmus_step_start(r.run, 0, NULL, &b->error));
    must(b, litmus_attach_file(r.run, "trace", source, &one, &b->error));
    must(b, litmus_attach_bytes(r.run, "again.csv", "abc", 3, &two, &b->error));
    must(b, litmus_attach_bytes(r.run, "empty", "", 0, NULL, &b->error));
    assert_string_equal(one.uri, LT_BLOB_SCHEME ABC);
    assert_string_equal(one.uri, two.uri);
    assert_int_equal(one.bytes, 3);
    assert_int_equal(litmus_attach_file(r.run, "none", "/nowhere/at/all", NULL, NULL), LITMUS_ENOENT);
    assert_int_equal(litmus_attach_file(r.run, "folder", "/", NULL, NULL), LITMUS_EINVAL);
    assert_int_equal(litmus_attach_file(r.run, "", source, NULL, NULL), LITMUS_EINVAL);
    must(b, litmus_step_end(r.run, NULL, NULL, &b->error));
    finish_recording(&r);
    unlink(source);

    struct told told = {0};
    assert_int_equal(check(b, &r, &told), 0);
    the_one(b, "events/*/*_ref", original, sizeof original);
    the_one(b, "runs/*/*_ref", copy, sizeof copy);
    must(b, lt_blob_check(original, ABC, &b->error));
    must(b, lt_blob_check(copy, ABC, &b->error));

    snprintf(path, sizeof path, "%s/" ABC, copy); /* changed, then lost: told both times, and mended from the original */
    write_text(path, "abd");
    assert_int_equal(check(b, &r, &told), 2); /* once for each reference to it */
    assert_non_null(strstr(told.last, "it was changed"));
    must(b, lt_blob_copy(&lt_io_os, original, copy, ABC, &b->error));
    assert_int_equal(check(b, &r, &(struct told){0}), 0);
    snprintf(path, sizeof path, "%s/" ABC, original);
    unlink(path);
    assert_int_equal(check(b, &r, &told), 4);
}

static void only_names_of_blobs_are_opened(void **state) {
    (void)state;
#define HASH "ba7816bf_8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    static const char *const bad[] = {"", "../../etc/passwd", "ba7816bf", HASH, HASH ".a/b", HASH ".", HASH ".longerthanthat12", HASH "x.csv", "X" HASH ".csv", "../" HASH ".csv"};
    assert_true(lt_blob_is_name(lt_str_of(ABC)));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(lt_blob_is_name(lt_str_of(bad[i])));
    static const struct {
        const char *name, *ext;
    } endings[] = {{"a.csv", ".csv"}, {"a", ".bin"}, {".profile", ".bin"}, {"dir.d/a", ".bin"}, {"a.b c", ".bin"}, {NULL, ".bin"}, {"x/.rc", ".bin"}};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char ext[LT_BLOB_EXT_MAX];
        lt_blob_extension(endings[i].name, ext);
        assert_string_equal(ext, endings[i].ext);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(what_is_attached_is_stored_once_and_proves_itself),
        TEST(only_names_of_blobs_are_opened),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
