/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's threads under load, for the thread sanitizer: many sessions at once, askers, kills.
 */
#include "../unit/daemon_helper.h"

enum { PRODUCERS = 24 };

static void many_sessions_at_once(void **state) {
    struct bench *b = *state;
    start_daemon(b);
    struct producer p[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++) p[i] = start_producer(b, i % 4 == 3 ? DIES : i % 4 == 2 ? EXITS_AFTER_RUN : WHOLE, 5);
    for (int i = 0; i < PRODUCERS; i++) finish_producer(&p[i]);
    for (int i = 0; i < PRODUCERS; i++) assert_true(lt_daemon_wait_run(b->dir, p[i].session, p[i].run, PATIENCE_MS, NULL));
    assert_int_equal(runs_on_disk(b), PRODUCERS);
    assert_soon(status_of(b).materialized == PRODUCERS);
    nap_ms(6000); /* workers drop their handles, memory is given back, folders are looked at */
    struct producer last = start_producer(b, WHOLE, 3);
    assert_int_equal(finish_producer(&last), 0);
    assert_int_equal(status_of(b).failed, 0);
    assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK);
    assert_int_equal(reap_daemon(b), 0); /* a race that was found is another code */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(many_sessions_at_once, bench_set_up, bench_tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
