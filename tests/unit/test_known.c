/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of which the daemon knows where their rows are: the same bytes as from all of the logs, work
 * that does not grow with the session, and no run done twice when somebody else was at work.
 */
#include "daemon_helper.h"

#include "materialize/materialize.h"
#include "materialize/own_log.h"
#include "materialize/range_lock.h"
#include "serve/folding.h"
#include "serve/follow.h"
#include "serve/knowledge.h"

#define SESSION "22222222-2222-4222-8222-222222222222"
#define T0 INT64_C(1778941800000000) /* 2026-05-16T14:30:00Z */

enum { LOGS = 3, RUNS = 5 };

static size_t folded_bytes; /* of the runs that the last knowledge took over */

/* ---- the same bytes, however the rows lie ---- */

struct stage {
    struct bench *b;
    struct lt_own_log logs[LOGS];
    struct lt_journal journal;
    struct lt_folders folders;
    struct lt_follow follow;
    uint32_t seed;
    int64_t clock;
};

static uint32_t dice(struct stage *s, uint32_t sides) {
    s->seed = s->seed * 1664525u + 1013904223u;
    return (s->seed >> 8) % sides;
}

static void run_name(int run, char out[64]) {
    snprintf(out, 64, "aaaa%04d-1111-4111-8111-111111111111", run);
}

/* One event into one of the logs. Clocks stand, jump ahead and step back. */
static void say(struct stage *s, uint32_t log, const char *type, int run, const char *payload) {
    char run_id[64];
    run_name(run, run_id);
    s->clock += (int64_t)dice(s, 4) * 1000 - (dice(s, 8) == 0 ? 20000 : 0);
    struct litmus_event event = {.event_type = type, .run_id = run < 0 ? NULL : run_id, .payload = payload, .occurred_at_us = T0 + s->clock};
    assert_int_equal(lt_own_log_emit(&s->logs[log], &event, NULL, &s->b->error), LITMUS_OK);
}

static void on_log(void *self, struct lt_folder *folder, const char *name, bool fresh) {
    struct stage *s = self;
    lt_follow_log(&s->follow, folder, name, fresh);
}

static void stage_open(struct stage *s, struct bench *b, uint32_t seed) {
    *s = (struct stage){.b = b, .seed = seed};
    for (int i = 0; i < LOGS; i++) lt_own_log_init(&s->logs[i], b->dir, SESSION, NULL, -1);
    for (uint32_t i = 0; i < LOGS; i++) say(s, i, "diagnostic.warning", -1, "{\"source\":\"test\",\"message\":\"x\"}");
    lt_journal_open(&s->journal, NULL);
    lt_follow_init(&s->follow, &s->folders, &s->journal, 2); /* fewer readers than logs: they are closed and go on */
    s->follow.readers_max = 2;
    assert_int_equal(lt_folders_open(&s->folders, b->dir, NULL, on_log, s, &b->error), LITMUS_OK);
    lt_folders_refresh(&s->folders, SIZE_MAX, false);
    while (lt_folders_step(&s->folders, 64)) continue;
}

static void stage_close(struct stage *s) {
    for (int i = 0; i < LOGS; i++) assert_int_equal(lt_own_log_close(&s->logs[i], &s->b->error), LITMUS_OK);
    lt_follow_release(&s->follow);
    lt_folders_close(&s->folders);
    lt_journal_close(&s->journal);
}

/* The daemon reads what came: somebody asks for the session, or it looks for what was written. */
static void look(struct stage *s) {
    bool asked = dice(s, 2) == 0;
    if (asked) lt_follow_poke(&s->follow, SESSION);
    for (size_t i = 0; i < s->folders.count && !asked; i++) (void)lt_follow_look(&s->follow, s->folders.items[i]);
    while (lt_follow_step(&s->follow, 1000)) continue;
    for (size_t i = 0; i < s->folders.count && !asked; i++) assert_false(lt_follow_look(&s->follow, s->folders.items[i]));
}

static struct lt_session *session_of(struct stage *s) {
    for (size_t i = 0; i < LT_FOLLOW_BUCKETS; i++) {
        if (s->follow.sessions[i] != NULL) return s->follow.sessions[i];
    }
    fail_msg("the session is not followed");
    return NULL;
}

static bool in_one_log(int run) {
    return run == 1 || run == 3;
}

/* A life of five runs, the rows of three mixed over the logs, those of two in one log each; rows come behind an end, too. */
static void live(struct stage *s) {
    static const char step[] = "{\"step_name\":\"a\",\"step_index\":0,\"step_path\":\"f/a%u\"%s}";
    bool started[RUNS] = {false}, ended[RUNS] = {false};
    for (int i = 0; i < 600; i++) {
        int run = (int)dice(s, RUNS);
        uint32_t log = in_one_log(run) ? (uint32_t)run % LOGS : dice(s, LOGS);
        char payload[200];
        bool starts = dice(s, 2) == 0;
        snprintf(payload, sizeof payload, step, dice(s, 9), starts ? "" : ",\"vector_outcome\":\"passed\"");
        if (!started[run] && dice(s, 3) == 0) say(s, log, "run.started", run, "{\"dut_serial\":\"SN\"}"), started[run] = true;
        else if (started[run] && !ended[run] && i > 300 && dice(s, 20) == 0) say(s, log, "run.ended", run, "{\"outcome\":\"passed\"}"), ended[run] = true;
        else say(s, log, starts ? "test.step_started" : "test.step_ended", run, payload);
        if (dice(s, 7) == 0) look(s);
    }
    for (int run = 0; run < RUNS; run++) {
        if (!ended[run]) say(s, in_one_log(run) ? (uint32_t)run % LOGS : 0, "run.ended", run, "{\"outcome\":\"failed\"}");
    }
    look(s);
}

static void bytes_of(const struct lt_gathering *g, const char *run_id, struct lt_buf *out) {
    lt_buf_clear(out);
    for (size_t i = 0; i < g->run_count; i++) {
        if (lt_str_eq(g->runs[i]->run.run_id, lt_str_of(run_id))) assert_int_equal(lt_run_encode(&g->runs[i]->run, out, NULL), LITMUS_OK);
    }
    assert_true(out->n > 0);
}

/* What is said of the logs is what is said of them by who looked at all. */
static void tails_of(const struct lt_gathering *part, const struct lt_gathering *whole) {
    for (size_t i = 0; i < part->log_count; i++) {
        size_t at = 0;
        while (at < whole->log_count && strcmp(whole->logs[at].path, part->logs[i].path) != 0) at++;
        assert_true(at < whole->log_count);
        assert_string_equal(part->logs[i].identity, whole->logs[at].identity);
        assert_true(part->logs[i].identity[0] != '\0');
        assert_int_equal(part->logs[i].rows, whole->logs[at].rows);
    }
}

static void the_same_bytes_as_from_all_of_the_logs(void **state) {
    struct bench *b = *state;
    struct lt_buf one, all;
    lt_buf_init(&one);
    lt_buf_init(&all);
    char base[PATH_MAX];
    snprintf(base, sizeof base, "%s", b->dir);
    for (uint32_t seed = 1; seed <= 8; seed++) {
        snprintf(b->dir, sizeof b->dir, "%.4000s/%u", base, seed);
        assert_int_equal(lt_io_mkdirs(&lt_io_os, b->dir, NULL), LITMUS_OK);
        struct stage s;
        stage_open(&s, b, seed);
        live(&s);
        struct lt_known_session *known = lt_knowledge_of(session_of(&s), &folded_bytes);
        struct lt_gathering whole, part;
        assert_non_null(known);
        assert_int_equal(known->run_count, RUNS);
        assert_int_equal(lt_gather_session(b->dir, SESSION, NULL, &whole, &b->error), LITMUS_OK);
        for (size_t i = 0; i < known->run_count; i++) {
            bytes_of(&whole, known->runs[i].run_id, &all);
            bool folded = known->runs[i].folded != NULL;
            assert_int_equal(folded, in_one_log(known->runs[i].run_id[7] - '0'));
            for (int from_log = !folded; from_log < 2; from_log++) { /* what was folded in flight is used up by the first */
                assert_int_equal(lt_gather_known(SESSION, known->logs, known->log_count, &known->runs[i], &part, &b->error), LITMUS_OK);
                assert_null(known->runs[i].folded);
                bytes_of(&part, known->runs[i].run_id, &one);
                assert_int_equal(one.n, all.n);
                assert_memory_equal(one.p, all.p, one.n);
                assert_int_equal(part.log_count, folded ? 1 : part.log_count);
                tails_of(&part, &whole);
                lt_gathering_release(&part);
            }
        }
        lt_gathering_release(&whole);
        lt_known_session_free(known);
        assert_true(folded_bytes > 0 && s.follow.folded_bytes >= folded_bytes);
        lt_folding_done(&s.follow, folded_bytes);
        lt_folding_rest(&s.follow);
        assert_int_equal(s.follow.folded_bytes, 0);
        folded_bytes = 0;
        stage_close(&s);
    }
    lt_buf_release(&one);
    lt_buf_release(&all);
}

/* ---- who was at work meanwhile ---- */

static int done_count, already_count;
static void on_done(void *self, const struct lt_materialized *done) {
    (void)self;
    done_count++;
    already_count += done->already;
}

/* The knowledge of before is good as long as nobody made a log in the session. */
static void what_another_did_is_not_done_again(void **state) {
    struct bench *b = *state;
    struct stage s;
    stage_open(&s, b, 99);
    live(&s);
    for (int i = 0; i < LOGS; i++) assert_int_equal(lt_own_log_close(&s.logs[i], &b->error), LITMUS_OK);
    look(&s);
    int fd = lt_range_lock_open(b->dir);
    struct lt_session *session = session_of(&s);
    assert_true(lt_range_number(fd, lt_str_of(SESSION), &session->number));
    struct lt_known_session *known = lt_knowledge_of(session, &folded_bytes);
    assert_non_null(known);
    struct lt_materializer *m = NULL;
    assert_int_equal(lt_materializer_new(b->dir, NULL, &m, &b->error), LITMUS_OK);
    done_count = already_count = 0;
    assert_int_equal(lt_materialize_known(m, SESSION, known, on_done, NULL, &b->error), LITMUS_OK);
    assert_int_equal(done_count, RUNS);
    assert_int_equal(already_count, 0);
    done_count = 0; /* it made a log: what was known before is no longer all */
    assert_int_equal(lt_materialize_known(m, SESSION, known, on_done, NULL, &b->error), LITMUS_OK);
    assert_int_equal(done_count, RUNS);
    assert_int_equal(already_count, RUNS);
    assert_int_equal(runs_on_disk(b), RUNS);
    lt_materializer_free(m);
    lt_known_session_free(known);
    close(fd);
    stage_close(&s);
}

/* Logs that are not as they were read: everything is looked at again, and nothing is lost. */
static void what_is_not_as_known_is_looked_for(void **state) {
    struct bench *b = *state;
    struct stage s;
    stage_open(&s, b, 7);
    live(&s);
    for (int i = 0; i < LOGS; i++) assert_int_equal(lt_own_log_close(&s.logs[i], &b->error), LITMUS_OK);
    look(&s);
    struct lt_known_session *known = lt_knowledge_of(session_of(&s), &folded_bytes);
    assert_non_null(known);
    known->runs[0].stretches[0].offset += 8;
    known->runs[1].stretches[0].rows = 1 << 20;
    known->runs[2].stretches[0].offset = 0;
    struct lt_materializer *m = NULL;
    assert_int_equal(lt_materializer_new(b->dir, NULL, &m, &b->error), LITMUS_OK);
    done_count = already_count = 0;
    assert_int_equal(lt_materialize_known(m, SESSION, known, on_done, NULL, &b->error), LITMUS_OK);
    assert_int_equal(done_count - already_count, RUNS);
    assert_int_equal(runs_on_disk(b), RUNS);
    lt_materializer_free(m);
    lt_known_session_free(known);
    stage_close(&s);
}

/* ---- work ---- */

/* Bytes that the daemon asked the system to read and to write. */
static int64_t bytes_moved(const struct bench *b) {
    char path[64], line[100];
    snprintf(path, sizeof path, "/proc/%ld/io", (long)b->daemon);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    long long sum = 0, n;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "rchar: %lld", &n) == 1 || sscanf(line, "wchar: %lld", &n) == 1) sum += n;
    }
    fclose(file);
    return sum;
}

static int64_t one_more_run(const struct bench *b, litmus_session *session) {
    struct litmus_error error = {0};
    int64_t before = bytes_moved(b);
    litmus_run *run = NULL;
    assert_int_equal(litmus_run_start(session, "{\"dut_serial\":\"SN1\"}", &run, &error), LITMUS_OK);
    char run_id[64];
    snprintf(run_id, sizeof run_id, "%s", litmus_run_id(run));
    assert_int_equal(litmus_plan_add(run, "t.py/step", NULL, &error), LITMUS_OK);
    assert_int_equal(litmus_plan_commit(run, &error), LITMUS_OK);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(litmus_step_start(run, 0, NULL, &error), LITMUS_OK);
        assert_int_equal(litmus_step_end(run, "passed", NULL, &error), LITMUS_OK);
    }
    assert_int_equal(litmus_run_end(run, NULL, NULL, &error), LITMUS_OK);
    assert_true(lt_daemon_wait_run(b->dir, litmus_session_id(session), run_id, PATIENCE_MS, NULL));
    return bytes_moved(b) - before;
}

static int by_size(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t work_of_runs(const struct bench *b, litmus_session *session) {
    int64_t bytes[15];
    for (int i = 0; i < 15; i++) bytes[i] = one_more_run(b, session);
    qsort(bytes, 15, sizeof *bytes, by_size);
    return bytes[7];
}

static void work_for_a_run_does_not_grow_with_its_session(void **state) {
    struct bench *b = *state;
    start_daemon(b);
    struct litmus_session_options options = {.data_dir = b->dir, .no_daemon = true};
    litmus_session *session = NULL;
    assert_int_equal(litmus_session_open(&options, &session, &b->error), LITMUS_OK);
    for (int i = 0; i < 5; i++) one_more_run(b, session);
    int64_t first = work_of_runs(b, session);
    for (int i = 0; i < 80; i++) one_more_run(b, session);
    int64_t last = work_of_runs(b, session);
    if (last > first * 2) fail_msg("a run of 115 took %lld bytes of reading and writing, one of 20 took %lld", (long long)last, (long long)first);
    assert_int_equal(litmus_session_close(session, NULL, &b->error), LITMUS_OK);
    assert_int_equal(runs_on_disk(b), 115);
    assert_int_equal(status_of(b).failed, 0);
}

static int count_events(const struct bench *b, const char *type) {
    struct lt_log_list list;
    struct lt_row row;
    int count = 0;
    assert_int_equal(lt_log_find(b->dir, NULL, &list, NULL), LITMUS_OK);
    for (size_t i = 0; i < list.count; i++) {
        struct lt_log_reader *reader = NULL;
        assert_int_equal(lt_log_reader_open(list.files[i].path, &reader, NULL), LITMUS_OK);
        while (lt_log_next(reader, &row, NULL) == LT_LOG_EVENT) count += lt_str_eq(row.event_type, lt_str_of(type));
        lt_log_reader_free(reader);
    }
    lt_log_list_release(&list);
    return count;
}

/* A producer lives through several daemons: one that is killed, one that leaves in order and notes which
 * logs are settled. What was done of its session stays done once. */
static void the_next_daemon_does_no_run_again(void **state) {
    struct bench *b = *state;
    struct litmus_session_options options = {.data_dir = b->dir, .no_daemon = true};
    litmus_session *session = NULL;
    assert_int_equal(litmus_session_open(&options, &session, &b->error), LITMUS_OK);
    for (int daemons = 1; daemons <= 4; daemons++) {
        start_daemon(b);
        for (int i = 0; i < 6; i++) one_more_run(b, session);
        if (daemons % 2 == 0) kill_daemon(b);
        else {
            assert_int_equal(lt_daemon_stop(b->dir, 0, &b->error), LITMUS_OK);
            assert_int_equal(reap_daemon(b), 0);
        }
    }
    start_daemon(b);
    assert_int_equal(litmus_session_close(session, NULL, &b->error), LITMUS_OK);
    assert_soon(status_of(b).logs_watched == 0);
    assert_int_equal(runs_on_disk(b), 24);
    assert_int_equal(count_events(b, "run.ended"), 24);
    assert_int_equal(count_events(b, "run.materialized"), 24);
    assert_int_equal(status_of(b).failed, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_same_bytes_as_from_all_of_the_logs),
        TEST(what_another_did_is_not_done_again),
        TEST(what_is_not_as_known_is_looked_for),
        TEST(the_next_daemon_does_no_run_again),
        TEST(work_for_a_run_does_not_grow_with_its_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
