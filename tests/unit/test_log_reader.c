/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem */
#include "log_helper.h"

#include "log/layout.h"

#include <limits.h>

/* Offset of each event of a log, and one more: the end of the last. */
static int offsets_of(const char *path, int64_t *out, int max) {
    struct litmus_error error = {0};
    struct lt_log_reader *reader = NULL;
    assert_ok(lt_log_reader_open(path, &reader, &error), error);
    struct lt_row row;
    int n = 0;
    while (lt_log_next(reader, &row, &error) == LT_LOG_EVENT && n < max - 1) {
        out[n++] = lt_log_reader_row_offset(reader);
        out[n] = lt_log_reader_offset(reader);
    }
    lt_log_reader_free(reader);
    return n;
}

static void test_cut_at_every_byte(void **state) {
    (void)state;
    char dir[256], path[512], cut[512];
    make_temp(dir);
    write_log(dir, 5, true, path);
    int64_t offsets[8];
    assert_int_equal(offsets_of(path, offsets, 8), 5);
    struct lt_buf bytes;
    load_file(path, &bytes);
    snprintf(cut, sizeof cut, "%s/cut.arrow", dir);
    for (int64_t size = 0; size < (int64_t)bytes.n; size++) {
        store_file(cut, bytes.p, (size_t)size);
        int whole = 0;
        while (whole < 5 && offsets[whole + 1] <= size) whole++;
        bool boundary = size == 0 || (size >= offsets[0] && size == offsets[whole]);
        struct reading reading = read_log(cut);
        assert_int_equal(reading.rows, whole);
        assert_int_equal(reading.end, boundary ? LT_LOG_OPEN : LT_LOG_TORN);
        assert_int_equal(reading.damages, 0);
        assert_true(reading.chain_ok);
        assert_false(lt_log_is_sealed(cut));
    }
    assert_int_equal(read_log(path).end, LT_LOG_SEALED);
    lt_buf_release(&bytes);
}

static void test_follow(void **state) {
    (void)state;
    char dir[256], path[512], part[512];
    make_temp(dir);
    write_log(dir, 20, true, path);
    struct lt_buf bytes;
    load_file(path, &bytes);
    snprintf(part, sizeof part, "%s/part.arrow", dir);
    store_file(part, "", 0);
    struct litmus_error error = {0};
    struct lt_log_reader *reader = NULL;
    assert_ok(lt_log_reader_open(part, &reader, &error), error);
    lt_log_reader_check_chain(reader);
    int fd = open(part, O_WRONLY | O_APPEND | O_CLOEXEC), rows = 0;
    struct lt_row row;
    assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_OPEN);
    enum lt_log_status status = LT_LOG_OPEN;
    for (size_t done = 0; done < bytes.n;) {
        size_t n = bytes.n - done < 61 ? bytes.n - done : 61;
        assert_int_equal(write(fd, bytes.p + done, n), (ssize_t)n);
        done += n;
        while ((status = lt_log_next(reader, &row, &error)) == LT_LOG_EVENT) assert_row(&row, rows++);
        if (done < bytes.n) assert_true(status == LT_LOG_OPEN || status == LT_LOG_TORN);
    }
    assert_int_equal(status, LT_LOG_SEALED);
    assert_int_equal(rows, 20);
    assert_true(lt_log_reader_chain_ok(reader));
    close(fd);
    lt_log_reader_free(reader);
    lt_buf_release(&bytes);
}

/* The writer cut a torn event off and wrote another one in its place. */
static void test_follow_over_a_cut(void **state) {
    (void)state;
    char dir[256], path[512], part[512];
    make_temp(dir);
    write_log(dir, 3, false, path);
    int64_t offsets[8];
    offsets_of(path, offsets, 8);
    struct lt_buf bytes;
    load_file(path, &bytes);
    snprintf(part, sizeof part, "%s/part.arrow", dir);
    store_file(part, bytes.p, (size_t)offsets[2]);
    int fd = open(part, O_WRONLY | O_APPEND | O_CLOEXEC);
    char garbage[300];
    memset(garbage, 0xff, sizeof garbage);
    struct litmus_error error = {0};
    struct lt_log_reader *reader = NULL;
    struct lt_row row;
    assert_ok(lt_log_reader_open(part, &reader, &error), error);
    lt_log_reader_check_chain(reader);
    assert_int_equal(write(fd, garbage, sizeof garbage), (ssize_t)sizeof garbage);
    for (int n = 0; n < 2; n++) assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_EVENT);
    assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_TORN);
    assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_TORN);
    assert_int_equal(ftruncate(fd, offsets[2]), 0);
    assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_OPEN);
    assert_int_equal(write(fd, bytes.p + offsets[2], (size_t)(offsets[3] - offsets[2])), offsets[3] - offsets[2]);
    assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_EVENT);
    assert_row(&row, 2);
    assert_true(lt_log_reader_chain_ok(reader));
    assert_int_equal(ftruncate(fd, offsets[1]), 0);
    assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_FAILED);
    assert_int_equal(error.code, LITMUS_EDAMAGED);
    close(fd);
    lt_log_reader_free(reader);
    lt_buf_release(&bytes);
}

static void test_zeros_in_the_middle(void **state) {
    (void)state;
    char dir[256], path[512];
    make_temp(dir);
    for (int sealed = 0; sealed < 2; sealed++) {
        write_log(dir, 40, sealed == 1, path);
        int64_t offsets[64];
        assert_int_equal(offsets_of(path, offsets, 64), 40);
        struct lt_buf bytes;
        load_file(path, &bytes);
        int64_t from = offsets[10] + 100, to = from + 4096;
        memset(bytes.p + from, 0, (size_t)(to - from));
        store_file(path, bytes.p, bytes.n);
        int lost = 0;
        for (int i = 0; i < 40; i++) lost += offsets[i] < to && offsets[i + 1] > from;
        struct reading reading = read_log(path);
        assert_int_equal(reading.rows, 40 - lost);
        assert_int_equal(reading.damages, sealed == 0 ? 1 : 2); /* the footer lists what is no more */
        assert_int_equal(reading.damage.offset, offsets[10]);
        assert_int_equal(reading.damage.bytes, offsets[10 + lost] - offsets[10]);
        assert_non_null(reading.damage.what);
        assert_int_equal(reading.end, sealed == 0 ? LT_LOG_OPEN : LT_LOG_SEALED);
        assert_false(reading.chain_ok);
        /* the last event of a sealed log */
        memset(bytes.p + offsets[39] + 8, 0, 64);
        store_file(path, bytes.p, bytes.n);
        reading = read_log(path);
        assert_int_equal(reading.rows, 39 - lost);
        assert_int_equal(reading.end, sealed == 0 ? LT_LOG_TORN : LT_LOG_SEALED);
        lt_buf_release(&bytes);
    }
}

/* No bit can change without being noticed. */
static void flip_every_bit(bool seal) {
    char dir[256], path[512], flipped[512];
    make_temp(dir);
    write_log(dir, 3, seal, path);
    struct lt_buf bytes;
    load_file(path, &bytes);
    snprintf(flipped, sizeof flipped, "%s/flipped.arrow", dir);
    for (size_t bit = 0; bit < bytes.n * 8; bit++) {
        bytes.p[bit / 8] ^= (char)(1u << (bit % 8));
        store_file(flipped, bytes.p, bytes.n);
        struct reading reading = read_log(flipped);
        bool clean = reading.end == (seal ? LT_LOG_SEALED : LT_LOG_OPEN) && reading.damages == 0 && reading.chain_ok;
        if (clean) fail_msg("bit %zu of byte %zu", bit % 8, bit / 8);
        assert_true(reading.rows <= 3);
        bytes.p[bit / 8] ^= (char)(1u << (bit % 8));
    }
    lt_buf_release(&bytes);
}
static void test_flip_every_bit(void **state) {
    (void)state;
    flip_every_bit(true);
    flip_every_bit(false);
}

/* An event taken out, two events swapped: every byte of the file is well-formed, the chain is not. */
static void test_chain_finds_edits(void **state) {
    (void)state;
    char dir[256], path[512];
    make_temp(dir);
    write_log(dir, 14, false, path);
    int64_t offsets[20];
    assert_int_equal(offsets_of(path, offsets, 20), 14);
    struct lt_buf bytes;
    load_file(path, &bytes);
    assert_true(read_log(path).chain_ok);
    memmove(bytes.p + offsets[4], bytes.p + offsets[5], bytes.n - (size_t)offsets[5]);
    store_file(path, bytes.p, bytes.n - (size_t)(offsets[5] - offsets[4]));
    struct reading reading = read_log(path);
    assert_int_equal(reading.rows, 13);
    assert_int_equal(reading.end, LT_LOG_OPEN);
    assert_false(reading.chain_ok);
    lt_buf_release(&bytes);
}

/* ---- files of others ---- */
static void assert_failed(const char *path, int code) {
    struct reading reading = read_log(path);
    assert_int_equal(reading.end, LT_LOG_FAILED);
    assert_int_equal(reading.code, code);
    assert_int_equal(reading.rows, 0);
}

static void test_foreign_files(void **state) {
    (void)state;
    char dir[256], path[512];
    make_temp(dir);
    struct litmus_error error = {0};
    struct lt_log_reader *reader = NULL;
    assert_int_equal(lt_log_reader_open(dir, &reader, &error), LITMUS_EDAMAGED);
    snprintf(path, sizeof path, "%s/none.arrow", dir);
    assert_int_equal(lt_log_reader_open(path, &reader, NULL), LITMUS_ENOENT);
    store_file(path, "PAR1 and so on, long enough to be read", 38);
    assert_failed(path, LITMUS_EDAMAGED);
    store_file(path, "ARROW1\0\0no schema at all", 24);
    assert_failed(path, LITMUS_EDAMAGED);
    store_file(path, "ARROW1\0\0\xff\xff\xff\xff\xf8\xff\xff\x7f", 16); /* 2 GB of schema */
    assert_failed(path, LITMUS_EDAMAGED);
    store_file(path, "ARR", 3);
    assert_int_equal(read_log(path).end, LT_LOG_TORN);
}

static void test_newer_version(void **state) {
    (void)state;
    char dir[256], path[512];
    make_temp(dir);
    write_log(dir, 1, false, path);
    struct lt_buf bytes;
    load_file(path, &bytes);
    char *key = memmem(bytes.p, bytes.n, LT_META_VERSION, sizeof LT_META_VERSION - 1);
    assert_non_null(key);
    for (char *p = key - 64; p < key + 64; p++) /* its value: the one-character text "1" */
        if (lt_get32(p) == 1 && p[4] == '1' && p[5] == '\0') p[4] = '9';
    store_file(path, bytes.p, bytes.n);
    assert_failed(path, LITMUS_EVERSION);
    lt_buf_release(&bytes);
}

/* Files of other writers lie in the corpus of the fuzz target (make_corpus.py there makes them). */
static bool corpus_path(const char *name, char path[PATH_MAX]) {
    const char *root = getenv("LITMUS_SOURCE_ROOT");
    snprintf(path, PATH_MAX, "%s/tests/fuzz/log_reader/corpus/%s", root == NULL ? "." : root, name);
    return access(path, R_OK) == 0;
}

static void test_files_of_other_writers(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int rows;
        bool chain_ok;
    } cases[] = {
        {"pyarrow_plain.arrow", 6, true},        /* re-batched by 4 rows, no nanoarrow involved */
        {"pyarrow_zstd.arrow", 6, true},         /* an archive: re-batched and compressed, still provable */
        {"pyarrow_extra_columns.arrow", 6, false}, /* columns behind ours, one of them nested: read past, and covered by no chain */
        {"pyarrow_no_chain.arrow", 6, false},    /* the first logs had none */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[PATH_MAX];
        if (!corpus_path(cases[i].name, path)) fail_msg("%s is missing (LITMUS_SOURCE_ROOT?)", path);
        struct reading reading = read_log(path);
        assert_int_equal(reading.end, LT_LOG_SEALED);
        assert_int_equal(reading.damages, 0);
        assert_int_equal(reading.rows, cases[i].rows);
        assert_int_equal(reading.chain_ok, cases[i].chain_ok);
    }
}

static void test_utf8(void **state) {
    (void)state;
    static const char *const good[] = {"", "a", "0123456789abcdef0123456789", "\xc3\xa9",
        "0123456789abcde\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
    static const char *const bad[] = {"\x80", "\xc0\x80", "\xc3", "\xe0\x9f\x80", "\xed\xa0\x80",
        "\xf0\x8f\x80\x80", "\xf4\x90\x80\x80", "\xff", "0123456789abcdef\xe2\x82", "0123456789abcde\xe2("};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(lt_utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(lt_utf8_valid(bad[i], strlen(bad[i])));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_follow),
        cmocka_unit_test(test_follow_over_a_cut),
        cmocka_unit_test(test_zeros_in_the_middle),
        cmocka_unit_test(test_flip_every_bit),
        cmocka_unit_test(test_chain_finds_edits),
        cmocka_unit_test(test_foreign_files),
        cmocka_unit_test(test_newer_version),
        cmocka_unit_test(test_files_of_other_writers),
        cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests_name("log_reader", tests, NULL, NULL);
}
