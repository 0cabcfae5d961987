/* SPDX-License-Identifier: Apache-2.0
 *
 * Eight threads on one session, each with events of its own: none is lost, none is there twice, each
 * thread's stand in its order, the chain is whole. With the sanitizers: no race, no leak.
 */
#include "../crash/soak.h"
#include "../unit/log_helper.h"

#include <litmus.h>
#include <pthread.h>

enum { THREADS = 8 };

struct worker {
    pthread_t thread;
    litmus_session *session;
    int number, events, failed;
};

static void *work(void *self) {
    struct worker *w = self;
    for (int i = 0; i < w->events; i++) {
        char payload[80], id[37];
        snprintf(payload, sizeof payload, "{\"thread\":%d,\"n\":%d}", w->number, i);
        struct litmus_event event = {.event_type = "vendor.count", .payload = payload};
        struct litmus_error error = {0};
        w->failed += litmus_emit(w->session, &event, id, &error) != LITMUS_OK || strlen(id) != 36;
    }
    return NULL;
}

static void check_log(const char *path, int events) {
    struct litmus_error error = {0};
    struct lt_log_reader *reader = NULL;
    struct lt_row row;
    int next[THREADS] = {0}, thread, n;
    enum lt_log_status status;
    assert_ok(lt_log_reader_open(path, &reader, &error), error);
    lt_log_reader_check_chain(reader);
    while ((status = lt_log_next(reader, &row, &error)) == LT_LOG_EVENT) {
        char json[1024];
        snprintf(json, sizeof json, "%.*s", LT_STR_ARG(row.json));
        const char *own = strstr(json, "\"thread\":");
        if (own == NULL) continue; /* session.started and session.ended */
        assert_int_equal(sscanf(own, "\"thread\":%d,\"n\":%d", &thread, &n), 2);
        assert_in_range(thread, 0, THREADS - 1);
        assert_int_equal(n, next[thread]);
        next[thread]++;
    }
    assert_int_equal(status, LT_LOG_SEALED);
    assert_true(lt_log_reader_chain_ok(reader));
    for (int i = 0; i < THREADS; i++) assert_int_equal(next[i], events);
    lt_log_reader_free(reader);
}

static void test_eight_threads_on_one_session(void **state) {
    (void)state;
    char dir[256];
    make_temp(dir);
    struct litmus_session_options options = {.data_dir = dir, .no_daemon = true};
    struct litmus_error error = {0};
    litmus_session *session;
    struct worker workers[THREADS];
    int events = soak_size(250, 20000);
    assert_ok(litmus_session_open(&options, &session, &error), error);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.session = session, .number = i, .events = events};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].failed, 0);
    }
    struct lt_log_list list;
    assert_ok(litmus_session_close(session, NULL, &error), error);
    assert_ok(lt_log_find(dir, NULL, &list, &error), error);
    assert_int_equal(list.count, 1);
    check_log(list.files[0].path, events);
    lt_log_list_release(&list);
    soak_figure("events of 8 threads on one session", (int64_t)events * THREADS);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_eight_threads_on_one_session)};
    return cmocka_run_group_tests_name("many_threads", tests, NULL, NULL);
}
