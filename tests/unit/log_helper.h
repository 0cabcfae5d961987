/* SPDX-License-Identifier: Apache-2.0
 *
 * log_helper.h - folders, rows and whole files for the tests of the log.
 */
#ifndef LOG_HELPER_H
#define LOG_HELPER_H

#include "log/format.h"
#include "log/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SESSION "12345678-1234-4123-8123-123456789abc"
#define assert_ok(call, error)                                          \
    do {                                                                \
        if ((call) != LITMUS_OK) fail_msg("%s: %s", #call, (error).text); \
    } while (0)

/* A new folder below TMPDIR; the build clears that. */
static inline void make_temp(char out[256]) {
    const char *base = getenv("TMPDIR");
    snprintf(out, 256, "%s/log-XXXXXX", base == NULL ? "/tmp" : base);
    assert_non_null(mkdtemp(out));
}

/* Row number n; even ones without a run. Text lives in `json`. */
static inline struct lt_row make_row(int n, char json[64]) {
    int bytes = snprintf(json, 64, "{\"n\":%d,\"unit\":\"\xc2\xb5V\"%.*s}", n, n % 7, "       ");
    return (struct lt_row){
        .id = LT_STR("87654321-1234-4123-8123-123456789abc"),
        .event_type = LT_STR("test.record"),
        .occurred_at = 1700000000000000 + n,
        .session_id = LT_STR(SESSION),
        .run_id = n % 2 == 0 ? LT_STR_NULL : LT_STR("aaaaaaaa-1234-4123-8123-123456789abc"),
        .json = {json, (size_t)bytes},
    };
}

static inline struct lt_log_writer *open_log(const char *data_dir, const struct lt_io *io) {
    struct litmus_error error = {0};
    struct lt_log_options options = {.data_dir = data_dir, .session_id = SESSION, .io = io};
    struct lt_log_writer *writer = NULL;
    assert_ok(lt_log_create(&options, &writer, &error), error);
    return writer;
}

static inline void append_rows(struct lt_log_writer *writer, int from, int count) {
    struct litmus_error error = {0};
    for (int n = from; n < from + count; n++) {
        char json[64];
        struct lt_row row = make_row(n, json);
        assert_ok(lt_log_append(writer, &row, 1, &error), error);
    }
}

/* A log of `count` rows; its path in `path`. */
static inline void write_log(const char *data_dir, int count, bool seal, char path[512]) {
    struct litmus_error error = {0};
    struct lt_log_writer *writer = open_log(data_dir, NULL);
    append_rows(writer, 0, count);
    snprintf(path, 512, "%s", lt_log_writer_path(writer));
    if (seal) assert_ok(lt_log_seal(writer, &error), error);
    lt_log_writer_free(writer);
}

static inline void assert_row(const struct lt_row *row, int n) {
    char json[64];
    struct lt_row expected = make_row(n, json);
    assert_true(lt_str_eq(row->id, expected.id));
    assert_true(lt_str_eq(row->event_type, expected.event_type));
    assert_true(lt_str_eq(row->session_id, expected.session_id));
    assert_true(lt_str_eq(row->run_id, expected.run_id));
    assert_true(lt_str_eq(row->json, expected.json));
    assert_int_equal(row->occurred_at, expected.occurred_at);
    assert_true(row->received_at > 1700000000000000);
}

static inline void load_file(const char *path, struct lt_buf *out) {
    struct litmus_error error = {0};
    lt_buf_init(out);
    assert_ok(lt_io_read_file(path, 1 << 30, out, &error), error);
}

/* Written over, not truncated first: file systems answer that with a flush to the disk. */
static inline void store_file(const char *path, const void *bytes, size_t n) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(lt_io_write_all(&lt_io_os, fd, bytes, n, NULL), 0);
    assert_int_equal(ftruncate(fd, (off_t)n), 0);
    close(fd);
}

/* The real calls but those that wait for the disk, for tests of many small files. */
static inline int skip_sync(void *self, int fd) {
    (void)self;
    (void)fd;
    return 0;
}
static inline struct lt_io io_without_sync(void) {
    struct lt_io io = lt_io_os;
    io.fsync = io.fdatasync = skip_sync;
    return io;
}

/* What a reading to the end found. */
struct reading {
    enum lt_log_status end;
    int rows, damages;
    struct lt_log_damage damage; /* the first */
    bool chain_ok;
    int code; /* of the error, for LT_LOG_FAILED */
};

static inline struct reading read_log(const char *path) {
    struct litmus_error error = {0};
    struct reading reading = {0};
    struct lt_log_reader *reader = NULL;
    assert_ok(lt_log_reader_open(path, &reader, &error), error);
    lt_log_reader_check_chain(reader);
    struct lt_row row;
    do {
        reading.end = lt_log_next(reader, &row, &error);
        if (reading.end == LT_LOG_EVENT) reading.rows++;
        if (reading.end == LT_LOG_DAMAGED && reading.damages++ == 0) reading.damage = lt_log_reader_damage(reader);
        assert_true(reading.damages < 1000);
    } while (reading.end == LT_LOG_EVENT || reading.end == LT_LOG_DAMAGED);
    reading.chain_ok = lt_log_reader_chain_ok(reader);
    reading.code = error.code;
    lt_log_reader_free(reader);
    return reading;
}

#endif
