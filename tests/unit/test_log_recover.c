/* SPDX-License-Identifier: Apache-2.0 */
#include "log_helper.h"

#include <signal.h>
#include <sys/wait.h>

struct log_of_five {
    char dir[256], path[512];
    struct lt_buf bytes;  /* sealed */
    int64_t offsets[6];   /* of the events, and the end of the last */
};

static void make_five(struct log_of_five *log) {
    struct litmus_error error = {0};
    struct lt_log_reader *reader = NULL;
    make_temp(log->dir);
    write_log(log->dir, 5, true, log->path);
    load_file(log->path, &log->bytes);
    assert_ok(lt_log_reader_open(log->path, &reader, &error), error);
    struct lt_row row;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_EVENT);
        log->offsets[i] = lt_log_reader_row_offset(reader);
        log->offsets[i + 1] = lt_log_reader_offset(reader);
    }
    lt_log_reader_free(reader);
}

static void assert_same_bytes(const char *path, const void *bytes, size_t n) {
    struct lt_buf content;
    load_file(path, &content);
    assert_int_equal(content.n, n);
    if (n > 0) assert_memory_equal(content.p, bytes, n);
    lt_buf_release(&content);
}

/* Cut anywhere: recovery gives a sealed log of the whole events, keeps the rest, and done again
 * changes nothing. All events and a part of the seal gives the very file that the writer makes. */
static void test_cut_at_every_byte(void **state) {
    (void)state;
    struct log_of_five log;
    make_five(&log);
    struct lt_io io = io_without_sync();
    for (int64_t size = 0; size < (int64_t)log.bytes.n; size++) {
        struct litmus_error error = {0};
        struct lt_log_recovery report, again;
        store_file(log.path, log.bytes.p, (size_t)size);
        int whole = 0;
        while (whole < 5 && log.offsets[whole + 1] <= size) whole++;
        int64_t end = size < log.offsets[0] ? 0 : log.offsets[whole];
        /* A part of a seal is none; nor are the four bytes with which an event and a seal start alike. */
        bool evidence = size > end && whole < 5 && (end == 0 || size - end > 4);
        assert_ok(lt_log_recover(&io, log.path, NULL, &report, &error), error);
        assert_int_equal(report.end, size == end ? LT_LOG_OPEN : LT_LOG_TORN);
        assert_int_equal(report.rows, whole);
        assert_int_equal(report.torn_bytes, evidence ? size - end : 0);
        if (evidence) {
            assert_int_equal(report.torn_offset, end);
            assert_same_bytes(report.evidence, log.bytes.p + end, (size_t)(size - end));
            assert_int_equal(unlink(report.evidence), 0);
        } else {
            assert_string_equal(report.evidence, "");
        }
        struct reading reading = read_log(log.path);
        assert_int_equal(reading.end, size < log.offsets[0] ? LT_LOG_OPEN : LT_LOG_SEALED);
        assert_int_equal(reading.rows, whole);
        assert_true(reading.chain_ok);
        if (whole == 5) assert_same_bytes(log.path, log.bytes.p, log.bytes.n);
        struct lt_buf first;
        load_file(log.path, &first);
        assert_ok(lt_log_recover(&io, log.path, NULL, &again, &error), error);
        assert_int_equal(again.end, reading.end);
        assert_int_equal(again.torn_bytes, 0);
        assert_same_bytes(log.path, first.p, first.n);
        lt_buf_release(&first);
    }
    lt_buf_release(&log.bytes);
}

/* Damage in the middle stays; the footer lists what is good. */
static void test_damage_stays(void **state) {
    (void)state;
    struct log_of_five log;
    make_five(&log);
    struct litmus_error error = {0};
    struct lt_log_recovery report;
    memset(log.bytes.p + log.offsets[1] + 50, 0, (size_t)(log.offsets[2] - log.offsets[1]));
    store_file(log.path, log.bytes.p, (size_t)log.offsets[5] + 5); /* and torn inside the EOS */
    assert_ok(lt_log_recover(NULL, log.path, NULL, &report, &error), error);
    assert_int_equal(report.end, LT_LOG_DAMAGED);
    assert_int_equal(report.rows, 3);
    struct lt_buf content;
    load_file(log.path, &content);
    assert_memory_equal(content.p, log.bytes.p, (size_t)log.offsets[5]);
    struct reading reading = read_log(log.path);
    assert_int_equal(reading.end, LT_LOG_SEALED);
    assert_int_equal(reading.rows, 3);
    assert_int_equal(reading.damages, 1);
    assert_ok(lt_log_recover(NULL, log.path, NULL, &report, &error), error);
    assert_int_equal(report.end, LT_LOG_SEALED);
    assert_same_bytes(log.path, content.p, content.n);
    lt_buf_release(&content);
    lt_buf_release(&log.bytes);
}

/* Zeros at the end, as some file systems leave them after power loss. */
static void test_zeros_at_the_end(void **state) {
    (void)state;
    struct log_of_five log;
    make_five(&log);
    struct litmus_error error = {0};
    struct lt_log_recovery report;
    memset(log.bytes.p + log.offsets[4], 0, log.bytes.n - (size_t)log.offsets[4]);
    store_file(log.path, log.bytes.p, log.bytes.n);
    assert_ok(lt_log_recover(NULL, log.path, NULL, &report, &error), error);
    assert_int_equal(report.end, LT_LOG_TORN);
    assert_int_equal(report.rows, 4);
    assert_int_equal(report.torn_bytes, (int64_t)log.bytes.n - log.offsets[4]);
    assert_int_equal(read_log(log.path).end, LT_LOG_SEALED);
    lt_buf_release(&log.bytes);
}

/* Puts `text` into a file that is `bytes` long, mostly a hole. */
static void leave_holes(const char *path, int64_t bytes, int64_t at, const char *text) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    assert_int_equal(pwrite(fd, text, strlen(text), (off_t)at), strlen(text));
    close(fd);
}

/* Gigabytes of zeros at the end take no room as evidence, and no memory; the bytes among them are kept where they were. */
static void test_holes_at_the_end(void **state) {
    (void)state;
    static const struct {
        const char *text, *suffix;
    } cases[] = {{"one", ""}, {"one", ""}, {"two", "-2"}}; /* the second recovery finds its evidence there already */
    const int64_t tail = INT64_C(2) << 30, at = (INT64_C(1) << 30) + 12345;
    struct log_of_five log;
    make_five(&log);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct litmus_error error = {0};
        struct lt_log_recovery report;
        struct stat before, after;
        char expected[600], text[4] = "";
        store_file(log.path, log.bytes.p, (size_t)log.offsets[4] + 20);
        leave_holes(log.path, log.offsets[4] + tail, log.offsets[4] + at, cases[i].text);
        assert_int_equal(stat(log.path, &before), 0);
        assert_ok(lt_log_recover(NULL, log.path, NULL, &report, &error), error);
        assert_int_equal(report.torn_bytes, tail);
        assert_int_equal(report.rows, 4);
        snprintf(expected, sizeof expected, "%s.torn-%lld%s", log.path, (long long)log.offsets[4], cases[i].suffix);
        assert_string_equal(report.evidence, expected);
        assert_int_equal(stat(expected, &after), 0);
        assert_int_equal(after.st_size, tail);
        assert_in_range(after.st_blocks, 0, before.st_blocks + 512); /* none of them where the file system makes holes */
        int fd = open(expected, O_RDONLY | O_CLOEXEC);
        assert_int_equal(pread(fd, text, 3, (off_t)at), 3);
        assert_string_equal(text, cases[i].text);
        close(fd);
        assert_int_equal(read_log(log.path).end, LT_LOG_SEALED);
    }
    lt_buf_release(&log.bytes);
}

static void test_live_producer(void **state) {
    (void)state;
    char dir[256], path[512];
    make_temp(dir);
    struct lt_log_writer *writer = open_log(dir, NULL);
    append_rows(writer, 0, 2);
    snprintf(path, sizeof path, "%s", lt_log_writer_path(writer));
    struct lt_log_recovery report;
    struct litmus_error error = {0};
    assert_int_equal(lt_log_recover(NULL, path, NULL, &report, &error), LITMUS_EBUSY);
    append_rows(writer, 2, 1);
    lt_log_writer_free(writer);
    lt_error_clear(&error);
    assert_ok(lt_log_recover(NULL, path, NULL, &report, &error), error);
    assert_int_equal(report.end, LT_LOG_OPEN);
    assert_int_equal(report.rows, 3);
    assert_true(lt_log_is_sealed(path));
}

/* SIGKILL in the midst of appending: all that was acknowledged is there. */
static void test_killed_producer(void **state) {
    (void)state;
    char dir[256];
    make_temp(dir);
    int fds[2], acknowledged = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        struct lt_log_writer *writer = open_log(dir, NULL);
        for (int n = 0;; n++) {
            append_rows(writer, n, 1);
            if (write(fds[1], &n, sizeof n) != sizeof n) _exit(1);
        }
    }
    close(fds[1]);
    while (acknowledged < 500 && read(fds[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged) continue;
    kill(child, SIGKILL);
    while (read(fds[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged) continue;
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    struct lt_log_list list;
    struct litmus_error error = {0};
    struct lt_log_recovery report;
    assert_ok(lt_log_find(dir, NULL, &list, &error), error);
    assert_int_equal(list.count, 1);
    assert_false(lt_log_is_live(list.files[0].path));
    assert_ok(lt_log_recover(NULL, list.files[0].path, NULL, &report, &error), error);
    assert_in_range(report.rows, acknowledged + 1, acknowledged + 2);
    struct reading reading = read_log(list.files[0].path);
    assert_int_equal(reading.end, LT_LOG_SEALED);
    assert_true(reading.chain_ok);
    lt_log_list_release(&list);
    close(fds[0]);
}

static void test_refuses_foreign(void **state) {
    (void)state;
    char dir[256], path[512];
    make_temp(dir);
    snprintf(path, sizeof path, "%s/foreign.arrow", dir);
    store_file(path, "PAR1PAR1PAR1", 12);
    struct lt_log_recovery report;
    assert_int_equal(lt_log_recover(NULL, path, NULL, &report, NULL), LITMUS_EDAMAGED);
    assert_same_bytes(path, "PAR1PAR1PAR1", 12);
    char link_path[512];
    snprintf(link_path, sizeof link_path, "%s/link.arrow", dir);
    assert_int_equal(symlink(path, link_path), 0);
    assert_int_equal(lt_log_recover(NULL, link_path, NULL, &report, NULL), LITMUS_EPERM);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_damage_stays),
        cmocka_unit_test(test_zeros_at_the_end),
        cmocka_unit_test(test_holes_at_the_end),
        cmocka_unit_test(test_live_producer),
        cmocka_unit_test(test_killed_producer),
        cmocka_unit_test(test_refuses_foreign),
    };
    return cmocka_run_group_tests_name("log_recover", tests, NULL, NULL);
}
