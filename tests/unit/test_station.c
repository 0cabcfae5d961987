/* SPDX-License-Identifier: Apache-2.0
 *
 * What ties a session to its station: the list of logs that ended before it, and the clock.
 */
#include "emit/station.h"

#include "base/clock.h"
#include "litmus.h"
#include "log_helper.h"

#include <sys/file.h>

static struct lt_head make_head(const char *identity, int64_t rows, int seed) {
    struct lt_head head = {.rows = rows};
    snprintf(head.identity, sizeof head.identity, "%s", identity);
    memset(head.chain, seed, sizeof head.chain);
    return head;
}

static void assert_heads(const char *dir, const char *expected) {
    struct litmus_error error = {0};
    struct lt_heads heads;
    char text[512] = "";
    assert_ok(lt_heads_read(dir, &heads, &error), error);
    for (size_t i = 0; i < heads.count; i++) snprintf(text + strlen(text), sizeof text - strlen(text), "%s/%lld ", heads.items[i].identity, (long long)heads.items[i].rows);
    assert_string_equal(text, expected);
    lt_heads_release(&heads);
}

static void test_heads_wait_until_they_are_named(void **state) {
    (void)state;
    char dir[256];
    struct litmus_error error = {0};
    struct lt_head a = make_head("a-1", 7, 1), b = make_head("b-2", 3, 2), own = make_head("c-3", 1, 3);
    struct lt_heads heads;
    make_temp(dir);
    assert_heads(dir, "");
    assert_ok(lt_heads_add(NULL, dir, &a, &error), error);
    assert_ok(lt_heads_add(NULL, dir, &b, &error), error);
    assert_heads(dir, "a-1/7 b-2/3 ");
    assert_ok(lt_heads_take(NULL, dir, &heads, &error), error);
    assert_memory_equal(heads.items[1].chain, b.chain, sizeof b.chain);
    lt_heads_release(&heads); /* died before it named them */
    assert_heads(dir, "a-1/7 b-2/3 ");
    assert_ok(lt_heads_take(NULL, dir, &heads, &error), error);
    assert_ok(lt_heads_give(&heads, 1, &own, &error), error);
    lt_heads_release(&heads);
    assert_heads(dir, "c-3/1 b-2/3 ");
}

static void test_a_line_cut_short_costs_no_other(void **state) {
    (void)state;
    char dir[256], path[300];
    struct litmus_error error = {0};
    struct lt_head a = make_head("a-1", 7, 1), b = make_head("b-2", 3, 2);
    struct lt_buf bytes;
    make_temp(dir);
    snprintf(path, sizeof path, "%s/heads", dir);
    assert_ok(lt_heads_add(NULL, dir, &a, &error), error);
    load_file(path, &bytes);
    for (size_t n = 0; n <= bytes.n; n++) {
        struct lt_buf spoiled;
        lt_buf_init(&spoiled);
        lt_buf_add(&spoiled, bytes.p, bytes.n);
        lt_buf_add(&spoiled, bytes.p, n);
        store_file(path, spoiled.p, spoiled.n);
        assert_ok(lt_heads_add(NULL, dir, &b, &error), error);
        struct lt_heads heads;
        assert_ok(lt_heads_read(dir, &heads, &error), error);
        assert_int_equal(heads.count, n < bytes.n ? 2 : 3);
        assert_string_equal(heads.items[0].identity, "a-1");
        assert_string_equal(heads.items[heads.count - 1].identity, "b-2");
        lt_heads_release(&heads);
        lt_buf_release(&spoiled);
    }
    lt_buf_release(&bytes);
}

static void record(const char *dir) {
    struct litmus_session_options options = {.data_dir = dir, .no_daemon = true};
    struct litmus_error error = {0};
    litmus_session *session = NULL;
    assert_ok(litmus_session_open(&options, &session, &error), error);
    assert_ok(litmus_session_close(session, "passed", &error), error);
}

/* How many logs the first event of the newest log names; -1: not known. */
static int named(const char *dir) {
    struct litmus_error error = {0};
    struct lt_log_list logs;
    int64_t newest = 0;
    int count = -2;
    assert_ok(lt_log_find(dir, NULL, &logs, &error), error);
    for (size_t i = 0; i < logs.count; i++) {
        struct lt_log_reader *reader = NULL;
        struct lt_row row;
        assert_ok(lt_log_reader_open(logs.files[i].path, &reader, &error), error);
        assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_EVENT);
        yyjson_doc *doc = yyjson_read(row.json.p, row.json.n, 0);
        yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(doc), "previous_logs");
        if (row.received_at >= newest) count = yyjson_is_arr(list) ? (int)yyjson_arr_size(list) : -1;
        if (row.received_at >= newest) newest = row.received_at;
        yyjson_doc_free(doc);
        lt_log_reader_free(reader);
    }
    lt_log_list_release(&logs);
    return count;
}

static void test_a_session_names_those_before_it(void **state) {
    (void)state;
    char dir[256];
    make_temp(dir);
    record(dir);
    assert_int_equal(named(dir), 0);
    record(dir);
    assert_int_equal(named(dir), 2); /* its beginning and its end */
    record(dir);
    assert_int_equal(named(dir), 2);
}

static void test_a_list_that_is_held_or_lost_stops_nobody(void **state) {
    (void)state;
    char dir[256], path[300];
    make_temp(dir);
    record(dir);
    snprintf(path, sizeof path, "%s/heads", dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    record(dir);
    assert_int_equal(named(dir), -1);
    close(fd);
    assert_int_equal(unlink(path), 0);
    record(dir);
    assert_int_equal(named(dir), 0);
}

/* A wall clock that nobody sets but the test. */
static int64_t wall_ahead;
static int64_t wall(void) {
    return lt_boot_us() + wall_ahead;
}

static void watch_that_clock(struct lt_station *station) {
    wall_ahead = 0;
    station->wall = wall;
    station->clock_offset = 0;
}

static void test_an_event_that_took_long_sets_no_clock(void **state) {
    (void)state;
    static const int64_t delays[] = {0, 400000, 0, 5000000, 90000, 0, 190000, 0}; /* until it is on the disk */
    char dir[256];
    struct lt_station station;
    make_temp(dir);
    lt_station_init(&station, dir);
    watch_that_clock(&station);
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) assert_int_equal(lt_station_clock_step(&station, wall() - delays[i]), 0);
    lt_station_release(&station);
}

static void test_a_clock_that_was_set_is_told(void **state) {
    (void)state;
    const int64_t second = 1000000;
    static const struct {
        int64_t by;
        bool told;
    } rows[] = {{0, false}, {-3600, true}, {0, false}, {3600, true}, {2, true}, {-1, true}};
    char dir[256];
    struct lt_station station;
    int64_t sum = 0;
    make_temp(dir);
    lt_station_init(&station, dir);
    watch_that_clock(&station);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wall_ahead = sum += rows[i].by * second;
        int64_t step = lt_station_clock_step(&station, wall());
        if (!rows[i].told) assert_int_equal(step, 0);
        else assert_in_range(step - rows[i].by * second + second / 2, 0, second); /* whatever the machine did in between */
    }
    lt_station_release(&station);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_wait_until_they_are_named),
        cmocka_unit_test(test_a_line_cut_short_costs_no_other),
        cmocka_unit_test(test_a_session_names_those_before_it),
        cmocka_unit_test(test_a_list_that_is_held_or_lost_stops_nobody),
        cmocka_unit_test(test_a_clock_that_was_set_is_told),
        cmocka_unit_test(test_an_event_that_took_long_sets_no_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
