/* SPDX-License-Identifier: Apache-2.0
 *
 * What tests/test_doctor.py cannot plant: a full disk.
 */
#include "doctor/doctor.h"

#include "runs_helper.h"

static void count_space(void *self, const struct lt_doctor_finding *finding) {
    if (strcmp(finding->check, "space") != 0) return;
    assert_int_equal(finding->level, LT_DOCTOR_WRONG);
    assert_false(finding->mendable);
    ++*(int *)self;
}

static void free_space_is_looked_at(void **state) {
    struct bench *b = *state;
    int found = 0;
    struct lt_doctor_sum sum;
    struct lt_keyring keys;
    lt_keyring_init(&keys);
    struct lt_doctor_options options = {.data_dir = b->dir, .keys = &keys, .free_bytes = 1, .finding = count_space, .self = &found};
    assert_int_equal(lt_doctor(&options, &sum, NULL), LITMUS_OK);
    assert_int_equal(found, 0);
    options.free_bytes = INT64_MAX;
    assert_int_equal(lt_doctor(&options, &sum, NULL), LITMUS_OK);
    assert_int_equal(found, 1);
    assert_int_equal(rmdir(b->dir), 0); /* looking made nothing */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(free_space_is_looked_at, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
