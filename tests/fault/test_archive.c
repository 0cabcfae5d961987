/* SPDX-License-Identifier: Apache-2.0
 *
 * test_archive.c - an archived log holds the same rows and is proven; whatever call fails, under the
 * log's name is the old file or the new one, whole; and every changed bit is found.
 */
#include "../unit/log_helper.h"
#include "log/archive.h"

#include <errno.h>

struct faults {
    int calls, fail_at;
    bool hit;
};

static bool hits(void *self) {
    struct faults *faults = self;
    if (++faults->calls != faults->fail_at) return false;
    faults->hit = true;
    errno = ENOSPC;
    return true;
}
static int fault_open(void *self, const char *path, int flags, unsigned mode) {
    return hits(self) ? -1 : lt_io_os.open(NULL, path, flags, mode);
}
static ssize_t fault_write(void *self, int fd, const void *bytes, size_t n) {
    return hits(self) ? -1 : lt_io_os.write(NULL, fd, bytes, n);
}
static int fault_fsync(void *self, int fd) {
    return hits(self) ? -1 : skip_sync(NULL, fd);
}
static int fault_rename(void *self, const char *from, const char *to) {
    return hits(self) ? -1 : lt_io_os.rename(NULL, from, to);
}
static int fault_close(void *self, int fd) {
    int result = lt_io_os.close(NULL, fd);
    return hits(self) ? -1 : result;
}
static struct lt_io fault_io(struct faults *faults) {
    struct lt_io io = lt_io_os;
    io.open = fault_open;
    io.write = fault_write;
    io.fsync = io.fdatasync = fault_fsync;
    io.rename = fault_rename;
    io.close = fault_close;
    io.self = faults;
    return io;
}

enum { ROWS = 40 };

/* Rows, chain and form are as they have to be. */
static void assert_whole(const char *path) {
    struct reading reading = read_log(path);
    assert_int_equal(reading.end, LT_LOG_SEALED);
    assert_int_equal(reading.rows, ROWS);
    assert_int_equal(reading.damages, 0);
    assert_true(reading.chain_ok);
    struct lt_log_reader *reader = NULL;
    struct litmus_error error = {0};
    struct lt_row row;
    assert_ok(lt_log_reader_open(path, &reader, &error), error);
    for (int n = 0; n < ROWS; n++) {
        assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_EVENT);
        assert_row(&row, n);
    }
    lt_log_reader_free(reader);
}

static void test_same_rows_smaller(void **state) {
    (void)state;
    char dir[256], path[512];
    struct lt_log_archived done;
    struct litmus_error error = {0};
    make_temp(dir);
    write_log(dir, ROWS, true, path);
    assert_ok(lt_log_archive(NULL, path, true, &done, &error), error);
    assert_false(done.already);
    assert_ok(lt_log_archive(NULL, path, false, &done, &error), error);
    assert_false(done.already);
    assert_int_equal(done.rows, ROWS);
    assert_true(done.bytes_after * 3 < done.bytes_before);
    assert_whole(path);
    assert_ok(lt_log_archive(NULL, path, false, &done, &error), error);
    assert_true(done.already);
    assert_whole(path);
}

static void test_each_call_fails(void **state) {
    (void)state;
    for (int fail_at = 1;; fail_at++) {
        char dir[256], path[512];
        struct lt_log_archived done;
        struct litmus_error error = {0};
        struct faults faults = {.fail_at = fail_at};
        struct lt_io io = fault_io(&faults);
        make_temp(dir);
        write_log(dir, ROWS, true, path);
        int code = lt_log_archive(&io, path, false, &done, &error);
        assert_whole(path);
        if (!faults.hit) {
            assert_int_equal(code, LITMUS_OK);
            assert_true(fail_at > 8);
            return;
        }
        assert_ok(lt_log_archive(NULL, path, false, &done, &error), error); /* the next one goes on */
        assert_whole(path);
    }
}

static void test_open_and_damaged_stay(void **state) {
    (void)state;
    char dir[256], path[512];
    struct lt_log_archived done;
    struct lt_buf before, after;
    make_temp(dir);
    write_log(dir, ROWS, false, path);
    assert_int_equal(lt_log_archive(NULL, path, false, &done, NULL), LITMUS_EBUSY);
    make_temp(dir);
    write_log(dir, ROWS, true, path);
    load_file(path, &before);
    before.p[before.n / 2] = (char)(before.p[before.n / 2] ^ 1);
    store_file(path, before.p, before.n);
    assert_int_equal(lt_log_archive(NULL, path, false, &done, NULL), LITMUS_EDAMAGED);
    load_file(path, &after);
    assert_int_equal(before.n, after.n);
    assert_memory_equal(before.p, after.p, before.n);
    lt_buf_release(&before);
    lt_buf_release(&after);
}

static void test_every_changed_bit_is_found(void **state) {
    (void)state;
    char dir[256], path[512];
    struct lt_log_archived done;
    struct litmus_error error = {0};
    struct lt_buf bytes;
    make_temp(dir);
    write_log(dir, ROWS, true, path);
    assert_ok(lt_log_archive(NULL, path, false, &done, &error), error);
    load_file(path, &bytes);
    for (size_t i = 0; i < bytes.n; i++) {
        char was = bytes.p[i];
        bytes.p[i] = (char)(was ^ 1 << i % 8); /* one bit of each byte, each bit in turn */
        store_file(path, bytes.p, bytes.n);
        struct reading reading = read_log(path);
        if (reading.end == LT_LOG_SEALED && reading.damages == 0 && reading.chain_ok) fail_msg("a changed bit of byte %zu was not found", i);
        bytes.p[i] = was;
    }
    lt_buf_release(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_rows_smaller),
        cmocka_unit_test(test_each_call_fails),
        cmocka_unit_test(test_open_and_damaged_stay),
        cmocka_unit_test(test_every_changed_bit_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
