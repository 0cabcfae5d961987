/* SPDX-License-Identifier: Apache-2.0
 *
 * Channel files: what goes in comes out, cut anywhere, killed, seen while it grows, seen from afar.
 */
#include "log_helper.h"

#include "channel/channel.h"
#include "channel/schema.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define T0 INT64_C(1700000000000000000)

static struct lt_channel_writer *open_channel(const char *dir, enum litmus_type type) {
    struct litmus_error error = {0};
    struct lt_io io = io_without_sync();
    static struct lt_io kept;
    kept = io;
    struct lt_channel_writer_options o = {.data_dir = dir, .about = {.channel_id = "dmm.voltage?x", .session_id = SESSION, .units = "V", .type = type}, .io = &kept};
    struct lt_channel_writer *w = NULL;
    assert_ok(lt_channel_create(&o, &w, &error), error);
    return w;
}

static void read_all(const char *dir, int64_t from, int64_t to, struct litmus_signal *out) {
    struct litmus_error error = {0};
    assert_ok(litmus_channel_read(dir, "channel://dmm.voltage%3Fx?session=" SESSION, from, to, out, &error), error);
}

/* A block of five doubles, then three single samples, then a block with times of its own. */
static void write_mix(struct lt_channel_writer *w) {
    struct litmus_error error = {0};
    const double block[5] = {1, 2, 3, 4, 5};
    const int64_t times[3] = {T0 + 100, T0 + 100, T0 + 130};
    assert_ok(lt_channel_put_block(w, T0, 10, NULL, block, 5, &error), error);
    for (int i = 0; i < 3; i++) assert_ok(lt_channel_put_sample(w, T0 + 60 + i * 10, 6 + i, &error), error);
    assert_ok(lt_channel_put_block(w, 0, 0, times, block, 3, &error), error);
}

static const int64_t mix_times[11] = {0, 10, 20, 30, 40, 60, 70, 80, 100, 100, 130};
static const double mix_values[11] = {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3};

static void assert_mix(const struct litmus_signal *s, int64_t first, int64_t count) {
    assert_int_equal(s->count, count);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(s->times_ns[i] - T0, mix_times[first + i]);
        assert_true(((double *)s->values)[i] == mix_values[first + i]);
    }
}

static void test_round_trip_and_window(void **state) {
    (void)state;
    char dir[256];
    struct litmus_error error = {0};
    struct litmus_signal s;
    make_temp(dir);
    struct lt_channel_writer *w = open_channel(dir, LITMUS_FLOAT64);
    write_mix(w);
    for (int sealed = 0; sealed < 2; sealed++) {
        read_all(dir, INT64_MIN, INT64_MAX, &s);
        assert_mix(&s, 0, 11);
        litmus_signal_release(&s);
        read_all(dir, T0 + 20, T0 + 100, &s);
        assert_mix(&s, 2, 6);
        litmus_signal_release(&s);
        if (sealed == 0) assert_ok(lt_channel_seal(w, &error), error);
    }
    assert_int_equal(litmus_channel_read(dir, "dmm.voltage", INT64_MIN, INT64_MAX, &s, &error), LITMUS_ENOENT);
    lt_channel_writer_free(w);
}

/* A sealed file of the mix: its path and bytes. The caller releases them. */
static void sealed_mix(char dir[256], char path[600], struct lt_buf *bytes) {
    struct litmus_error error = {0};
    make_temp(dir);
    struct lt_channel_writer *w = open_channel(dir, LITMUS_FLOAT64);
    write_mix(w);
    assert_ok(lt_channel_seal(w, &error), error);
    snprintf(path, 600, "%s", lt_channel_writer_path(w));
    lt_channel_writer_free(w);
    load_file(path, bytes);
}

/* Cut anywhere: the whole rows count; recovery keeps the rest, seals, and done again changes nothing. */
static void test_cut_at_every_byte(void **state) {
    (void)state;
    char dir[256], path[600];
    struct litmus_error error = {0};
    struct lt_buf bytes;
    struct lt_io io = io_without_sync();
    sealed_mix(dir, path, &bytes);
    struct lt_channel_file *file;
    assert_ok(lt_channel_file_open(path, &file, &error), error);
    assert_true(file->sealed);
    int64_t ends[4] = {file->places[0].offset, file->places[1].offset, file->places[2].offset, file->end};
    const int64_t samples[4] = {0, 5, 8, 11};
    lt_channel_file_free(file);
    for (int64_t size = ends[0]; size < (int64_t)bytes.n; size++) {
        store_file(path, bytes.p, (size_t)size);
        int whole = 0;
        while (whole < 3 && ends[whole + 1] <= size) whole++;
        assert_ok(lt_channel_file_open(path, &file, &error), error);
        assert_int_equal(file->count, whole);
        assert_int_equal(file->end, ends[whole]);
        assert_false(file->sealed);
        lt_channel_file_free(file);
        for (int again = 0; again < 2; again++) {
            assert_ok(lt_channel_recover(&io, path, &error), error);
            assert_ok(lt_channel_file_open(path, &file, &error), error);
            assert_true(file->sealed);
            assert_int_equal(file->samples, samples[whole]);
            lt_channel_file_free(file);
        }
        /* What may be the start of the seal is no evidence; all else is kept, once. */
        char evidence[700];
        snprintf(evidence, sizeof evidence, "%s.torn-%lld", path, (long long)ends[whole]);
        assert_int_equal(access(evidence, F_OK) == 0, whole < 3 && size - ends[whole] > 4);
        unlink(evidence);
        snprintf(evidence, sizeof evidence, "%s.torn-%lld-2", path, (long long)ends[whole]);
        assert_int_not_equal(access(evidence, F_OK), 0);
    }
    store_file(path, bytes.p, (size_t)ends[0] - 1);
    assert_int_equal(lt_channel_file_open(path, &file, &error), LITMUS_EDAMAGED);
    lt_buf_release(&bytes);
}

/* A changed bit in what is not samples is found; the rows around it count. */
static void test_flipped_bits(void **state) {
    (void)state;
    char dir[256], path[600];
    struct litmus_error error = {0};
    struct lt_buf bytes;
    sealed_mix(dir, path, &bytes);
    struct lt_channel_file *file;
    assert_ok(lt_channel_file_open(path, &file, &error), error);
    int64_t second = file->places[1].offset;
    lt_channel_file_free(file);
    for (int64_t i = 0; i < lt_channel_header_bytes(); i++) {
        bytes.p[second + i] ^= 0x10;
        store_file(path, bytes.p, bytes.n);
        bytes.p[second + i] ^= 0x10;
        assert_ok(lt_channel_file_open(path, &file, &error), error);
        assert_int_equal(file->count, 2);
        assert_true(file->damaged_bytes > 0);
        lt_channel_file_free(file);
    }
    for (int64_t i = 0; i < second; i++) { /* the start: refused, or the same channel all the same; never a crash */
        bytes.p[i] ^= 0x10;
        store_file(path, bytes.p, bytes.n);
        bytes.p[i] ^= 0x10;
        struct litmus_error why = {0};
        if (lt_channel_file_open(path, &file, &why) == LITMUS_OK) lt_channel_file_free(file);
    }
    lt_buf_release(&bytes);
}

/* SIGKILL: what was appended is there, sample by sample. */
static void test_killed_writer(void **state) {
    (void)state;
    char dir[256];
    make_temp(dir);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct litmus_error error = {0};
        struct lt_channel_writer *w = open_channel(dir, LITMUS_INT16);
        for (int i = 0; i < 5000; i++)
            if (lt_channel_put_sample(w, T0 + i, i, &error) != LITMUS_OK) _exit(1);
        raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    struct litmus_error error = {0};
    struct litmus_signal s;
    for (int recovered = 0; recovered < 2; recovered++) {
        read_all(dir, INT64_MIN, INT64_MAX, &s);
        assert_int_equal(s.count, 5000);
        for (int i = 0; i < 5000; i++) {
            assert_int_equal(((int16_t *)s.values)[i], i);
            assert_int_equal(s.times_ns[i], T0 + i);
        }
        litmus_signal_release(&s);
        struct lt_channel_set set;
        assert_ok(lt_channel_set_open(dir, "dmm.voltage?x", &set, &error), error);
        assert_int_equal(set.files[0]->sealed, recovered);
        char path[600];
        snprintf(path, sizeof path, "%s", set.files[0]->path);
        lt_channel_set_release(&set);
        assert_ok(lt_channel_recover(NULL, path, &error), error);
    }
}

/* A forked child that records gets a file of its own; both are one channel. */
static void test_forked_child(void **state) {
    (void)state;
    char dir[256];
    struct litmus_error error = {0};
    make_temp(dir);
    struct lt_channel_writer *w = open_channel(dir, LITMUS_FLOAT64);
    assert_ok(lt_channel_put_sample(w, T0, 1, &error), error);
    pid_t child = fork();
    if (child == 0) _exit(lt_channel_put_sample(w, T0 + 1, 2, &error) == LITMUS_OK && lt_channel_seal(w, &error) == LITMUS_OK ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_ok(lt_channel_put_sample(w, T0 + 2, 3, &error), error);
    assert_ok(lt_channel_seal(w, &error), error);
    lt_channel_writer_free(w);
    struct litmus_signal s;
    read_all(dir, INT64_MIN, INT64_MAX, &s);
    assert_int_equal(s.count, 3);
    litmus_signal_release(&s);
}

static uint32_t next_random(uint32_t *x) {
    return *x = *x * 1664525u + 1013904223u;
}

/* Against the plain way: every span's extremes, over rows, bins, their borders and the tail. */
static void test_minmax_is_exact(void **state) {
    (void)state;
    enum { N = 300000, POINTS = 100 };
    char dir[256];
    struct litmus_error error = {0};
    make_temp(dir);
    double *v = malloc(N * sizeof *v);
    uint32_t x = 7;
    for (int i = 0; i < N; i++) v[i] = i % 1000 == 17 ? (double)NAN : (double)(next_random(&x) >> 8);
    struct lt_channel_writer *w = open_channel(dir, LITMUS_FLOAT64);
    assert_ok(lt_channel_put_block(w, T0, 1000, NULL, v, 200000, &error), error);
    for (int i = 200000; i < 210000; i++) assert_ok(lt_channel_put_sample(w, T0 + i * INT64_C(1000), v[i], &error), error);
    assert_ok(lt_channel_put_block(w, T0 + 210000 * INT64_C(1000), 1000, NULL, v + 210000, N - 210000 - 5, &error), error);
    for (int i = N - 5; i < N; i++) assert_ok(lt_channel_put_sample(w, T0 + i * INT64_C(1000), v[i], &error), error);
    int64_t from = T0 + 1234567, to = T0 + 298765432;
    struct litmus_signal s;
    assert_ok(litmus_channel_view(dir, "dmm.voltage?x", from, to, POINTS, LITMUS_VIEW_MINMAX, &s, &error), error);
    assert_int_equal(s.count, POINTS);
    for (int b = 0; b < POINTS / 2; b++) {
        double low = INFINITY, high = -INFINITY;
        for (int i = 0; i < N; i++) {
            int64_t t = T0 + i * INT64_C(1000);
            if (t < from || t >= to || (int)((double)(t - from) / (double)(to - from) * (POINTS / 2)) != b) continue;
            if (v[i] < low) low = v[i];
            if (v[i] > high) high = v[i];
        }
        double one = ((double *)s.values)[2 * b], two = ((double *)s.values)[2 * b + 1];
        assert_true(fmin(one, two) == low && fmax(one, two) == high);
        assert_true(s.times_ns[2 * b] < s.times_ns[2 * b + 1]);
    }
    litmus_signal_release(&s);
    assert_ok(litmus_channel_view(dir, "dmm.voltage?x", INT64_MIN, INT64_MAX, POINTS, LITMUS_VIEW_LTTB, &s, &error), error);
    assert_int_equal(s.count, POINTS);
    assert_int_equal(s.times_ns[0], T0);
    assert_int_equal(s.times_ns[POINTS - 1], T0 + (N - 1) * INT64_C(1000));
    litmus_signal_release(&s);
    assert_ok(lt_channel_seal(w, &error), error);
    lt_channel_writer_free(w);
    free(v);
}

/* Times of today as doubles are 256 ns apart: spans of single nanoseconds must be told apart all the same. */
static void test_view_of_nanoseconds(void **state) {
    (void)state;
    char dir[256];
    struct litmus_error error = {0};
    struct litmus_signal s;
    const double v[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    make_temp(dir);
    struct lt_channel_writer *w = open_channel(dir, LITMUS_FLOAT64);
    assert_ok(lt_channel_put_block(w, T0, 1, NULL, v, 8, &error), error);
    assert_ok(litmus_channel_view(dir, "dmm.voltage?x", INT64_MIN, INT64_MAX, 8, LITMUS_VIEW_MINMAX, &s, &error), error);
    assert_int_equal(s.count, 8);
    for (int i = 0; i < 8; i++) assert_true(((double *)s.values)[i] == v[i] && s.times_ns[i] == T0 + i);
    litmus_signal_release(&s);
    lt_channel_writer_free(w);
}

static void test_bad_input(void **state) {
    (void)state;
    char dir[256];
    struct litmus_error error = {0};
    const int64_t falling[2] = {T0, T0 - 1};
    const int8_t two[2] = {1, 2};
    make_temp(dir);
    struct lt_channel_writer *w = open_channel(dir, LITMUS_INT8);
    assert_int_equal(lt_channel_put_sample(w, T0, 128, &error), LITMUS_EINVAL);
    assert_non_null(strstr(error.text, "int8"));
    assert_int_equal(lt_channel_put_sample(w, T0, 1.5, NULL), LITMUS_EINVAL);
    assert_int_equal(lt_channel_put_sample(w, T0, NAN, NULL), LITMUS_EINVAL);
    assert_int_equal(lt_channel_put_block(w, T0, 0, NULL, two, 2, NULL), LITMUS_EINVAL);
    assert_int_equal(lt_channel_put_block(w, T0, NAN, NULL, two, 2, NULL), LITMUS_EINVAL);
    assert_int_equal(lt_channel_put_block(w, 0, 0, falling, two, 2, NULL), LITMUS_EINVAL);
    assert_int_equal(lt_channel_writer_samples(w), 0);
    struct lt_channel_writer_options o = {.data_dir = dir, .about = {.channel_id = "a\nb", .session_id = SESSION}};
    struct lt_channel_writer *none = NULL;
    assert_int_equal(lt_channel_create(&o, &none, NULL), LITMUS_EINVAL);
    lt_channel_writer_free(w);
}

/* More files than a process may open: all are listed, and one is read. */
static void test_many_files(void **state) {
    enum { FILES = 40 };
    (void)state;
    char dir[256];
    struct litmus_error error = {0};
    struct rlimit before, few;
    make_temp(dir);
    for (int i = 0; i < FILES; i++) {
        struct lt_channel_writer *w = open_channel(dir, LITMUS_INT32);
        assert_ok(lt_channel_put_sample(w, T0 + i, i, &error), error);
        assert_ok(lt_channel_seal(w, &error), error);
        lt_channel_writer_free(w);
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = FILES - 8;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct lt_channel_set all;
    size_t bad;
    int code = lt_channel_find(dir, NULL, &all, &bad, &error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_ok(code, error);
    assert_int_equal(all.count, FILES);
    assert_int_equal(bad, 0);
    lt_channel_set_release(&all);
    struct litmus_signal s;
    read_all(dir, INT64_MIN, INT64_MAX, &s);
    assert_int_equal(s.count, FILES);
    litmus_signal_release(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_and_window), cmocka_unit_test(test_cut_at_every_byte), cmocka_unit_test(test_flipped_bits), cmocka_unit_test(test_killed_writer),
        cmocka_unit_test(test_forked_child),          cmocka_unit_test(test_minmax_is_exact),   cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_view_of_nanoseconds), cmocka_unit_test(test_many_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
