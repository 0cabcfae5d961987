/* SPDX-License-Identifier: Apache-2.0
 *
 * A watch of a folder, with and without word of writes.
 */
#include "base/watch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* What the watch tells of the folder now, a letter a kind: APPEARED, CHANGED, closed (S), GONE, LOST. */
static const char *told(struct lt_watch *watch, int id) {
    static char letters[64];
    size_t n = 0;
    for (struct lt_watch_event event; n + 1 < sizeof letters && lt_watch_next(watch, &event);) {
        assert_int_equal(event.id, id);
        letters[n++] = "ACSGL"[event.kind];
    }
    letters[n] = '\0';
    return letters;
}

static void writes_are_told_when_asked_for(void **state) {
    (void)state;
    char dir[256], path[300];
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/watch-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.arrow", dir);
    struct lt_watch *watch = lt_watch_open();
    assert_non_null(watch);
    int id = lt_watch_add(watch, dir, true);
    assert_true(id >= 0);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_string_equal(told(watch, id), "AC");
    assert_int_equal(lt_watch_add(watch, dir, false), id);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_string_equal(told(watch, id), "");
    assert_int_equal(lt_watch_add(watch, dir, true), id);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_string_equal(told(watch, id), "C");
    assert_int_equal(lt_watch_add(watch, dir, false), id);
    close(fd);
    assert_string_equal(told(watch, id), "S");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_string_equal(told(watch, id), "G");
    lt_watch_free(watch);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(writes_are_told_when_asked_for)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
