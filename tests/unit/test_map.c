/* SPDX-License-Identifier: Apache-2.0
 *
 * The map, from the inside: names that differ in one place only must not meet in one slot.
 */
#include "base/map.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { KEYS = 20000, KEY_BYTES = 64 };

/* How many slots are looked at to find every key once. */
static size_t looks(const struct lt_map *map) {
    size_t sum = 0;
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].p == NULL) continue;
        size_t home = map->slots[i].hash & (map->capacity - 1);
        sum += ((i - home) & (map->capacity - 1)) + 1;
    }
    return sum;
}

static void names_of_one_pattern_spread(void **state) {
    (void)state;
    static const char *const patterns[] = {"test_%d", "tests/test_a.py/test_%d", "tests/test_power.py::test_%05d", "%05d_of_the_same_test",
                                           "tests/a.py::test[%d]", "x%dyyyyyyyyyyyyyyy"};
    static char keys[KEYS][KEY_BYTES];
    for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; p++) {
        struct lt_map map;
        lt_map_init(&map);
        for (int i = 0; i < KEYS; i++) {
            size_t n = 0;
            for (const char *c = patterns[p]; *c != '\0'; c++) { /* a format from a table, put by hand */
                if (*c != '%') keys[i][n++] = *c;
                else {
                    bool padded = c[1] == '0';
                    n += (size_t)snprintf(keys[i] + n, KEY_BYTES - n, padded ? "%05d" : "%d", i);
                    c = strchr(c, 'd');
                }
            }
            keys[i][n] = '\0';
            assert_true(lt_map_put(&map, lt_str_of(keys[i]), (uint64_t)(i % 3), (uint32_t)i));
        }
        assert_int_equal(map.count, KEYS);
        assert_true(looks(&map) < KEYS * 2); /* at most half full: 1.5 are to be expected */
        for (int i = 0; i < KEYS; i++) assert_int_equal(lt_map_get(&map, lt_str_of(keys[i]), (uint64_t)(i % 3)), i);
        assert_int_equal(lt_map_get(&map, lt_str_of(keys[4]), 2), LT_MAP_NONE);
        lt_map_release(&map);
    }
}

static void vectors_of_one_step_spread(void **state) {
    (void)state;
    struct lt_map map;
    lt_map_init(&map);
    for (uint32_t i = 0; i < KEYS; i++) assert_true(lt_map_put(&map, LT_STR("tests/test_a.py/test_rail"), i, i));
    assert_true(looks(&map) < KEYS * 2);
    lt_map_release(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_of_one_pattern_spread), cmocka_unit_test(vectors_of_one_step_spread)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
