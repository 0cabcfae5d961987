/* SPDX-License-Identifier: Apache-2.0
 *
 * The wall clock is set while a session writes, at any of its looks at it: the record says so, and the proof holds.
 */
#define _GNU_SOURCE
#include "litmus.h"
#include "log_helper.h"
#include "prove/proof.h"

#include <sys/syscall.h>
#include <time.h>

/* Before look number `set_at` at the wall clock, it is set by so many seconds. */
static int looks, set_at;
static time_t set_by;

/* In the place of the C library's. */
int clock_gettime(clockid_t id, struct timespec *out) {
    long code = syscall(SYS_clock_gettime, id, out);
    if (code == 0 && id == CLOCK_REALTIME && ++looks >= set_at && set_at > 0) out->tv_sec += set_by;
    return (int)code;
}

static void record(const char *dir, const char *run_id) {
    static const char *const types[] = {"run.started", "test.steps_discovered", "run.ended"};
    static const char *const payloads[] = {"{\"dut_serial\":\"SN1\"}",
                                           "{\"items\":[{\"node_id\":\"a\",\"step_path\":\"f/a\",\"vector_index\":0,\"step_index\":0}]}", "{\"outcome\":\"passed\"}"};
    struct litmus_session_options options = {.data_dir = dir, .no_daemon = true};
    struct litmus_error error = {0};
    litmus_session *session = NULL;
    assert_ok(litmus_session_open(&options, &session, &error), error);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct litmus_event event = {.event_type = types[i], .run_id = run_id, .payload = payloads[i]};
        assert_ok(litmus_emit(session, &event, NULL, &error), error);
    }
    assert_ok(litmus_session_close(session, "passed", &error), error);
}

static void fail_with(void *self, enum lt_finding_kind kind, const char *path, int64_t offset, const char *text) {
    (void)self;
    fail_msg("set by %lld s at look %d: finding %d at %lld of %s: %s", (long long)set_by, set_at, (int)kind, (long long)offset, path, text);
}

/* Holds what is there against itself, and returns how often its logs say that the clock was set. */
static int64_t prove(const char *dir) {
    struct litmus_error error = {0};
    struct lt_keyring keys;
    struct lt_proof proof;
    struct lt_query *query = NULL;
    lt_keyring_init(&keys);
    struct lt_proof_options options = {.data_dir = dir, .keys = &keys, .finding = fail_with};
    lt_proof_init(&proof, &options);
    assert_ok(lt_query_open_memory(dir, &query, &error), error);
    assert_ok(lt_proof_all(&proof, query, &error), error);
    assert_int_equal(proof.files, 3);
    int64_t told = proof.clock_steps;
    lt_query_free(query);
    lt_proof_release(&proof);
    lt_keyring_release(&keys);
    return told;
}

/* Of three sessions it is set in the second. */
static void test_a_clock_set_at_any_look_is_told_and_spoils_no_proof(void **state) {
    (void)state;
    static const time_t steps[] = {3600, -3600, 40 * 86400, -40 * 86400};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        bool over = false;
        int64_t told = 0;
        for (int at = 1; !over; at++) {
            char dir[256];
            make_temp(dir);
            set_at = 0;
            record(dir, "aaaaaaaa-1111-4111-8111-111111111111");
            set_at = at, set_by = steps[i], looks = 0;
            record(dir, "aaaaaaaa-2222-4222-8222-222222222222");
            over = looks < at;
            record(dir, "aaaaaaaa-3333-4333-8333-333333333333"); /* its logs are named by what comes after it */
            told += prove(dir);
        }
        assert_in_range(told, 4, 100); /* in each event of the session, from its first on */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_clock_set_at_any_look_is_told_and_spoils_no_proof)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
