/* SPDX-License-Identifier: Apache-2.0
 *
 * test_log_io.c - the n-th call fails, for every n until all goes through: whatever append
 * acknowledged is readable, nothing whole follows something torn, and recovery ends the same.
 */
#include "../unit/log_helper.h"

#include <errno.h>
#include <sys/file.h>

enum kind { FAIL_ENOSPC, FAIL_EIO, FAIL_SHORT, FAIL_SHORT_AND_STUCK, KINDS };

/* Counts every call; the n-th fails. */
struct faults {
    int calls, fail_at;
    enum kind kind;
    bool stuck;       /* ftruncate fails from now on, too */
    bool sync_failed; /* the failing call was a sync */
    bool hit;
};

static bool hits(void *self) {
    struct faults *faults = self;
    if (++faults->calls != faults->fail_at) return false;
    faults->hit = true;
    errno = faults->kind == FAIL_EIO ? EIO : ENOSPC;
    return true;
}

static int fault_open(void *self, const char *path, int flags, unsigned mode) {
    return hits(self) ? -1 : lt_io_os.open(NULL, path, flags, mode);
}
static ssize_t fault_write(void *self, int fd, const void *bytes, size_t n) {
    struct faults *faults = self;
    if (!hits(self)) return lt_io_os.write(NULL, fd, bytes, n);
    if (faults->kind < FAIL_SHORT) return -1;
    faults->stuck = faults->kind == FAIL_SHORT_AND_STUCK;
    return lt_io_os.write(NULL, fd, bytes, n / 2);
}
static int fault_fdatasync(void *self, int fd) {
    if (!hits(self)) return skip_sync(NULL, fd);
    ((struct faults *)self)->sync_failed = true;
    return -1;
}
static int fault_fsync(void *self, int fd) {
    return hits(self) ? -1 : skip_sync(NULL, fd);
}
static int fault_ftruncate(void *self, int fd, int64_t size) {
    if (((struct faults *)self)->stuck) {
        errno = EIO;
        return -1;
    }
    return hits(self) ? -1 : lt_io_os.ftruncate(NULL, fd, size);
}
static int fault_rename(void *self, const char *from, const char *to) {
    return hits(self) ? -1 : lt_io_os.rename(NULL, from, to);
}
static int fault_mkdir(void *self, const char *path, unsigned mode) {
    return hits(self) ? -1 : lt_io_os.mkdir(NULL, path, mode);
}
static int fault_unlink(void *self, const char *path) {
    (void)self;
    return lt_io_os.unlink(NULL, path); /* cleaning up is not what is tested */
}
static int fault_flock(void *self, int fd, int operation) {
    if ((operation & LOCK_UN) != 0) return lt_io_os.flock(NULL, fd, operation);
    return hits(self) ? -1 : lt_io_os.flock(NULL, fd, operation);
}
static int fault_close(void *self, int fd) {
    (void)self;
    return lt_io_os.close(NULL, fd);
}

static struct lt_io fault_io(struct faults *faults) {
    return (struct lt_io){fault_open,   fault_write, fault_fdatasync, fault_fsync, fault_ftruncate, fault_rename,
                          fault_mkdir,  fault_unlink, fault_flock,    fault_close, faults};
}

/* The only log below the folder; false if there is none. */
static bool only_log(const char *dir, char path[512]) {
    struct lt_log_list list;
    struct litmus_error error = {0};
    assert_ok(lt_log_find(dir, NULL, &list, &error), error);
    assert_true(list.count <= 1);
    bool found = list.count == 1;
    if (found) snprintf(path, 512, "%s", list.files[0].path);
    lt_log_list_release(&list);
    return found;
}

/* Appends 6 events, going on after a failure. The order of those acknowledged goes to `acked`. */
static int write_under_faults(const char *dir, struct faults *faults, enum litmus_durability durability, int acked[6]) {
    struct lt_io io = fault_io(faults);
    struct litmus_error error = {0};
    struct lt_log_options options = {.data_dir = dir, .session_id = SESSION, .durability = durability, .io = &io};
    struct lt_log_writer *writer = NULL;
    int count = 0;
    if (lt_log_create(&options, &writer, &error) != LITMUS_OK) {
        assert_int_not_equal(error.code, LITMUS_OK);
        assert_true(strlen(error.text) > 10);
        return 0;
    }
    for (int n = 0; n < 6; n++) {
        char json[64];
        struct lt_row row = make_row(n, json);
        lt_error_clear(&error);
        if (lt_log_append(writer, &row, 1, &error) == LITMUS_OK) acked[count++] = n;
        else assert_true(strlen(error.text) > 10);
    }
    (void)lt_log_seal(writer, NULL);
    lt_log_writer_free(writer);
    return count;
}

static void check_acknowledged(const char *path, const int acked[6], int count, const struct faults *faults) {
    struct lt_log_reader *reader = NULL;
    struct litmus_error error = {0};
    struct lt_row row;
    assert_ok(lt_log_reader_open(path, &reader, &error), error);
    lt_log_reader_check_chain(reader);
    for (int i = 0; i < count; i++) {
        assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_EVENT);
        assert_row(&row, acked[i]);
    }
    enum lt_log_status status = lt_log_next(reader, &row, &error);
    if (faults->sync_failed && status == LT_LOG_EVENT) status = lt_log_next(reader, &row, &error); /* written, not acknowledged */
    assert_true(status == LT_LOG_SEALED || status == LT_LOG_OPEN || (status == LT_LOG_TORN && faults->stuck));
    assert_true(lt_log_reader_chain_ok(reader));
    lt_log_reader_free(reader);
}

static void writer_survives(enum kind kind, enum litmus_durability durability) {
    for (int fail_at = 1;; fail_at++) {
        char dir[256], path[512];
        int acked[6];
        make_temp(dir);
        struct faults faults = {.fail_at = fail_at, .kind = kind};
        int count = write_under_faults(dir, &faults, durability, acked);
        if (only_log(dir, path)) {
            struct lt_log_recovery report;
            struct litmus_error error = {0};
            check_acknowledged(path, acked, count, &faults);
            assert_ok(lt_log_recover(NULL, path, NULL, &report, &error), error);
            assert_int_equal(report.rows, count + (faults.sync_failed && report.rows > count ? 1 : 0));
            check_acknowledged(path, acked, count, &faults);
            assert_true(lt_log_is_sealed(path));
        } else {
            assert_int_equal(count, 0);
        }
        if (!faults.hit) {
            assert_int_equal(count, 6);
            break;
        }
    }
}

static void test_writer(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (int durability = 0; durability < 3; durability++) writer_survives((enum kind)kind, (enum litmus_durability)durability);
}

/* A full disk, then space again: the events in between are lost and said to be, those after are not. */
static void test_space_comes_back(void **state) {
    (void)state;
    char dir[256], json[64];
    make_temp(dir);
    struct faults faults = {.fail_at = -1, .kind = FAIL_SHORT};
    struct lt_io io = fault_io(&faults);
    struct litmus_error error = {0};
    struct lt_log_writer *writer = open_log(dir, &io);
    append_rows(writer, 0, 2);
    struct lt_row row = make_row(9, json);
    faults.fail_at = faults.calls + 1;
    assert_int_equal(lt_log_append(writer, &row, 1, &error), LITMUS_ENOSPC);
    append_rows(writer, 2, 2);
    struct reading reading = read_log(lt_log_writer_path(writer));
    assert_int_equal(reading.rows, 4);
    assert_int_equal(reading.end, LT_LOG_OPEN);
    assert_true(reading.chain_ok);
    /* and one that cannot be cut off ends it */
    faults.kind = FAIL_SHORT_AND_STUCK;
    faults.fail_at = faults.calls + 1;
    lt_error_clear(&error);
    assert_int_equal(lt_log_append(writer, &row, 1, &error), LITMUS_ENOSPC);
    lt_error_clear(&error);
    assert_int_equal(lt_log_append(writer, &row, 1, &error), LITMUS_EIO);
    assert_non_null(strstr(error.text, "takes no more events"));
    assert_int_equal(lt_log_seal(writer, NULL), LITMUS_EIO);
    lt_log_writer_free(writer);
}

/* Recovery that fails at the n-th call and is started again ends as if nothing had happened. */
static void recovery_survives(enum kind kind, const char *log, size_t whole, const struct lt_buf *torn, const struct lt_buf *expected) {
    for (int fail_at = 1;; fail_at++) {
        struct faults faults = {.fail_at = fail_at, .kind = kind};
        struct lt_io io = fault_io(&faults);
        struct lt_log_recovery report;
        struct litmus_error error = {0};
        char evidence[600];
        struct lt_buf bytes;
        snprintf(evidence, sizeof evidence, "%s.torn-%zu", log, whole);
        unlink(evidence);
        store_file(log, torn->p, torn->n);
        int code = lt_log_recover(&io, log, NULL, &report, &error);
        if (code != LITMUS_OK) assert_int_equal(code, error.code);
        faults.stuck = false;
        lt_error_clear(&error);
        assert_ok(lt_log_recover(NULL, log, NULL, &report, &error), error);
        load_file(log, &bytes);
        assert_int_equal(bytes.n, expected->n);
        assert_memory_equal(bytes.p, expected->p, bytes.n);
        lt_buf_release(&bytes);
        load_file(evidence, &bytes);
        assert_int_equal(bytes.n, torn->n - whole);
        assert_memory_equal(bytes.p, torn->p + whole, bytes.n);
        lt_buf_release(&bytes);
        if (!faults.hit) break;
    }
}

static void test_recovery(void **state) {
    (void)state;
    char dir[256], path[512];
    make_temp(dir);
    write_log(dir, 4, false, path);
    struct lt_buf torn, expected;
    struct litmus_error error = {0};
    struct lt_log_recovery report;
    load_file(path, &torn);
    torn.n -= 100;
    store_file(path, torn.p, torn.n);
    assert_ok(lt_log_recover(NULL, path, NULL, &report, &error), error);
    load_file(path, &expected);
    for (int kind = 0; kind < KINDS; kind++) recovery_survives((enum kind)kind, path, (size_t)report.torn_offset, &torn, &expected);
    lt_buf_release(&torn);
    lt_buf_release(&expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer),
        cmocka_unit_test(test_space_comes_back),
        cmocka_unit_test(test_recovery),
    };
    return cmocka_run_group_tests_name("log_io", tests, NULL, NULL);
}
