/* SPDX-License-Identifier: Apache-2.0
 *
 * The arena: a list that grows keeps what is in it, moves nothing else and leaves nothing behind.
 */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { STEPS = 20 };

/* A list that doubles, with texts allocated between, as a fold has them. */
static void a_list_that_grows_keeps_what_is_in_it(void **state) {
    (void)state;
    struct lt_arena arena;
    struct lt_str texts[STEPS];
    size_t count = 4;
    lt_arena_init(&arena);
    uint32_t *list = lt_arena_grow(&arena, NULL, 0, count * sizeof *list);
    for (uint32_t i = 0; i < count; i++) list[i] = i;
    for (int step = 0; step < STEPS; step++) {
        texts[step] = lt_arena_str(&arena, LT_STR("stays where it is"));
        uint32_t *grown = lt_arena_grow(&arena, list, count * sizeof *list, 2 * count * sizeof *list);
        assert_non_null(grown);
        for (uint32_t i = 0; i < count; i += count / 4) assert_int_equal(grown[i], i);
        for (uint32_t i = (uint32_t)count; i < 2 * count; i++) grown[i] = i;
        list = grown;
        count *= 2;
    }
    for (int step = 0; step < STEPS; step++) assert_true(lt_str_eq(texts[step], LT_STR("stays where it is")));
    assert_true(arena.bytes < count * sizeof *list * 11 / 10); /* the lists before it are gone */
    assert_false(arena.failed);
    lt_arena_release(&arena);
}

static void what_is_too_large_is_refused(void **state) {
    (void)state;
    struct lt_arena arena;
    lt_arena_init(&arena);
    char *block = lt_arena_grow(&arena, NULL, 0, 100000);
    assert_non_null(block);
    assert_null(lt_arena_grow(&arena, block, 100000, SIZE_MAX / 2 + 100));
    assert_true(arena.failed);
    lt_arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_that_grows_keeps_what_is_in_it),
        cmocka_unit_test(what_is_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
