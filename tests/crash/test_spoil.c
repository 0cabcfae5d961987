/* SPDX-License-Identifier: Apache-2.0
 *
 * A log of 200 events, spoiled: every changed bit is found, a cut anywhere keeps every whole event,
 * 4 kB of zeros anywhere lose no event but those they touch. `make soak` takes every bit and byte;
 * a test run every bit of the first and last events and of the seal, and some of the rest.
 */
#define _GNU_SOURCE
#include "../unit/log_helper.h"
#include "soak.h"

#include <sys/mman.h>

enum { EVENTS = 200, PLACE_BYTES = 512, ZEROS = 4096 };
enum { ZEROS_SEALED = 6, ZEROS_OPEN = 5, CUTS = 4, BITS_OPEN = 3, BITS_SEALED = 2, BITS_SIGNED = 1 }; /* in this order; so many shares of a soak's time are left then */

struct spoiled {
    struct lt_buf bytes;         /* the whole log, as written */
    int64_t offsets[EVENTS + 1]; /* of the events, and the end of the last */
    int fd;                      /* a copy in memory, to be spoiled */
    char path[64];
};

static void write_signed_log(const char *dir, char path[512]) {
    struct litmus_error error = {0};
    struct lt_key *key = NULL;
    struct lt_log_writer *writer = NULL;
    assert_ok(lt_key_new(&key, &error), error);
    struct lt_log_options options = {.data_dir = dir, .session_id = SESSION, .key = key};
    assert_ok(lt_log_create(&options, &writer, &error), error);
    append_rows(writer, 0, EVENTS);
    snprintf(path, 512, "%s", lt_log_writer_path(writer));
    assert_ok(lt_log_seal(writer, &error), error);
    lt_log_writer_free(writer);
    lt_key_free(key);
}

static struct spoiled make_log(bool seal, bool sign) {
    struct spoiled log;
    char dir[256], path[512];
    struct litmus_error error = {0};
    struct lt_log_reader *reader = NULL;
    struct lt_row row;
    make_temp(dir);
    if (sign) write_signed_log(dir, path);
    else write_log(dir, EVENTS, seal, path);
    load_file(path, &log.bytes);
    assert_ok(lt_log_reader_open(path, &reader, &error), error);
    for (int i = 0; i < EVENTS; i++) {
        assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_EVENT);
        log.offsets[i] = lt_log_reader_row_offset(reader);
        log.offsets[i + 1] = lt_log_reader_offset(reader);
    }
    lt_log_reader_free(reader);
    log.fd = memfd_create("spoiled", MFD_CLOEXEC);
    assert_true(log.fd >= 0);
    assert_int_equal(write(log.fd, log.bytes.p, log.bytes.n), log.bytes.n);
    snprintf(log.path, sizeof log.path, "/proc/self/fd/%d", log.fd);
    return log;
}

static void drop_log(struct spoiled *log) {
    close(log->fd);
    lt_buf_release(&log->bytes);
}

/* Does a reading to the end, or to the first thing that is wrong, find nothing wrong? */
static bool looks_clean(const char *path, bool sealed) {
    struct litmus_error error = {0};
    struct lt_log_reader *reader = NULL;
    struct lt_row row;
    enum lt_log_status status;
    assert_ok(lt_log_reader_open(path, &reader, &error), error);
    lt_log_reader_check_chain(reader);
    while ((status = lt_log_next(reader, &row, &error)) == LT_LOG_EVENT && lt_log_reader_chain_ok(reader)) continue;
    bool clean = status == (sealed ? LT_LOG_SEALED : LT_LOG_OPEN) && lt_log_reader_chain_ok(reader) && lt_log_reader_rows(reader) == EVENTS;
    lt_log_reader_free(reader);
    return clean;
}

static bool is_looked_at(const struct spoiled *log, int64_t at) {
    if (soaking()) return true;
    return at < log->offsets[0] + 200 || (at >= log->offsets[EVENTS] && at < log->offsets[EVENTS] + 200) || at >= (int64_t)log->bytes.n - 100 || at % 397 == 0;
}

static void flip_every_bit(bool sealed, bool is_signed) {
    static const char *const figures[3][3] = {
        {"bits flipped in an open log of 200 events", "bits of that open log", "flipped bits not found, open"},
        {"bits flipped in a sealed log of 200 events", "bits of that sealed log", "flipped bits not found, sealed"},
        {"bits flipped in a signed log of 200 events", "bits of that signed log", "flipped bits not found, signed"},
    };
    const char *const *figure = figures[sealed + is_signed];
    struct spoiled log = make_log(sealed, is_signed);
    int64_t flips = 0, missed = 0, end = soak_share(is_signed ? BITS_SIGNED : sealed ? BITS_SEALED : BITS_OPEN);
    for (int64_t at = 0; at < (int64_t)log.bytes.n && lt_monotonic_us() < end; at++) {
        for (int bit = 0; is_looked_at(&log, at) && bit < 8; bit++, flips++) {
            char flipped = (char)(log.bytes.p[at] ^ (1 << bit));
            assert_int_equal(pwrite(log.fd, &flipped, 1, at), 1);
            if (looks_clean(log.path, sealed)) {
                print_message("bit %d of byte %" PRId64 " is not found\n", bit, at);
                missed++;
            }
        }
        assert_int_equal(pwrite(log.fd, &log.bytes.p[at], 1, at), 1);
    }
    assert_true(looks_clean(log.path, sealed));
    soak_figure(figure[0], flips);
    soak_figure(figure[1], (int64_t)log.bytes.n * 8);
    soak_figure(figure[2], missed);
    assert_int_equal(missed, 0);
    drop_log(&log);
}
static void test_every_changed_bit_is_found(void **state) {
    (void)state;
    flip_every_bit(false, false);
    flip_every_bit(true, false);
    flip_every_bit(true, true);
}

static void test_a_cut_keeps_every_whole_event(void **state) {
    (void)state;
    struct spoiled log = make_log(true, false);
    int64_t cuts = 0, lost = 0, end = soak_share(CUTS);
    for (int64_t size = (int64_t)log.bytes.n - 1; size >= 0 && lt_monotonic_us() < end; size--) {
        if (!is_looked_at(&log, size)) continue;
        int whole = 0;
        while (whole < EVENTS && log.offsets[whole + 1] <= size) whole++;
        assert_int_equal(ftruncate(log.fd, size), 0);
        struct reading reading = read_log(log.path);
        cuts++;
        lost += whole - reading.rows;
        assert_int_equal(reading.damages, 0);
        assert_true(reading.rows == 0 || reading.chain_ok);
        assert_true(reading.end == LT_LOG_TORN || reading.end == LT_LOG_OPEN);
    }
    soak_figure("cuts of a log of 200 events", cuts);
    soak_figure("bytes of that log", (int64_t)log.bytes.n);
    soak_figure("whole events lost by cuts", lost);
    assert_int_equal(lost, 0);
    drop_log(&log);
}

/* Which events survive is known; damage in front of the first and behind the last one, too. */
static void zero_every_place(bool sealed) {
    struct spoiled log = make_log(sealed, false);
    static const char zeros[ZEROS];
    int64_t places = 0, lost = 0, quiet = 0, end = soak_share(sealed ? ZEROS_SEALED : ZEROS_OPEN);
    for (int64_t at = 0; at < (int64_t)log.bytes.n && lt_monotonic_us() < end; at += PLACE_BYTES, places++) {
        size_t n = log.bytes.n - (size_t)at < ZEROS ? log.bytes.n - (size_t)at : ZEROS;
        int whole = 0;
        for (int i = 0; i < EVENTS; i++) whole += log.offsets[i + 1] <= at || log.offsets[i] >= at + (int64_t)n;
        assert_int_equal(pwrite(log.fd, zeros, n, at), n);
        struct reading reading = read_log(log.path);
        bool headless = at < log.offsets[0]; /* not known as a log any more, and said so */
        if (headless) assert_true(reading.end == LT_LOG_FAILED || reading.end == LT_LOG_TORN);
        else if (reading.rows < whole) lost += whole - reading.rows; /* more: the zeros fell on an event's padding */
        assert_true(reading.rows <= whole + 2);
        quiet += reading.damages == 0 && reading.chain_ok && reading.end == (sealed ? LT_LOG_SEALED : LT_LOG_OPEN);
        assert_int_equal(pwrite(log.fd, log.bytes.p + at, n, at), n);
    }
    soak_figure(sealed ? "places of a sealed log zeroed" : "places of an open log zeroed", places);
    soak_figure(sealed ? "whole events lost by zeros, sealed" : "whole events lost by zeros, open", lost);
    soak_figure(sealed ? "zeros not noticed, sealed" : "zeros not noticed, open", quiet);
    assert_int_equal(lost, 0);
    assert_int_equal(quiet, 0);
    drop_log(&log);
}
static void test_zeros_lose_no_other_event(void **state) {
    (void)state;
    zero_every_place(true);
    zero_every_place(false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeros_lose_no_other_event),
        cmocka_unit_test(test_a_cut_keeps_every_whole_event),
        cmocka_unit_test(test_every_changed_bit_is_found),
    };
    return cmocka_run_group_tests_name("spoil", tests, NULL, NULL);
}
