/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to the operator by the C API: answered by a double, on a terminal of our own, by nobody.
 */
#define _GNU_SOURCE
#include "base/clock.h"
#include "query/query.h"
#include "runs_helper.h"

#include <pty.h>
#include <time.h>

static const char *const colours[] = {"red", "green"};

/* What a double answers: words, or a code. */
struct reply {
    const char *words;
    int code;
    bool late;
    int64_t asked; /* how often */
};

static int reply(void *self, const struct litmus_question *question, struct litmus_answer *answer, struct litmus_error *error) {
    struct reply *r = self;
    (void)error;
    assert_int_equal(strlen(question->dialog_id), 36);
    r->asked++;
    snprintf(answer->words, sizeof answer->words, "%s", r->words == NULL ? "" : r->words);
    snprintf(answer->by, sizeof answer->by, "robot");
    answer->is_double = true;
    if (r->late) nanosleep(&(struct timespec){.tv_nsec = (question->timeout_ms + 1) * 1000000}, NULL);
    return r->code;
}

/* A question of each kind, as one call. */
static int ask(struct recording *r, struct litmus_prompt_options *options, enum litmus_prompt_kind kind, char out[LITMUS_ANSWER_BYTES]) {
    struct litmus_error *error = &r->bench->error;
    bool yes = false;
    int choice = -1;
    double number = 0;
    int code = kind == LITMUS_CONFIRM  ? litmus_prompt_confirm(r->session, options, "LED green?", &yes, error)
               : kind == LITMUS_CHOOSE ? litmus_prompt_choose(r->session, options, "Colour?", colours, 2, &choice, error)
               : kind == LITMUS_TEXT   ? litmus_prompt_text(r->session, options, "Note?", out, error)
               : kind == LITMUS_NUMBER ? litmus_prompt_number(r->session, options, "Volts?", 0, 5, &number, error)
                                       : litmus_prompt_scan(r->session, options, "Label", "SN-[0-9]+|X", out, error);
    if (kind == LITMUS_CONFIRM) snprintf(out, LITMUS_ANSWER_BYTES, "%s", yes ? "true" : "false");
    if (kind == LITMUS_CHOOSE) snprintf(out, LITMUS_ANSWER_BYTES, "%d", choice);
    if (kind == LITMUS_NUMBER) snprintf(out, LITMUS_ANSWER_BYTES, "%g", number);
    return code;
}

static void begin(struct bench *b, struct recording *r) {
    struct litmus_session_options options = {.data_dir = b->dir, .no_daemon = true};
    *r = (struct recording){.bench = b};
    must(b, litmus_session_open(&options, &r->session, &b->error));
    must(b, litmus_run_start(r->session, "{\"operator_id\":\"ann\"}", &r->run, &b->error));
    must(b, litmus_plan_add(r->run, "suite/led", NULL, &b->error));
    must(b, litmus_plan_commit(r->run, &b->error));
    must(b, litmus_step_start(r->run, 0, NULL, &b->error));
}


/* Whether the newest event of the type has this in its JSON. */
static void assert_event(struct bench *b, const char *type, const char *words) {
    struct lt_query *q = NULL;
    struct lt_table t;
    lt_table_init(&t);
    must(b, lt_query_open(b->dir, &q, &b->error));
    must(b, lt_query_events(q, &(struct lt_event_filter){.since = LT_TIME_NONE, .event_type = type}, &t, &b->error));
    int64_t rows = lt_table_rows(&t);
    assert_true(rows > 0);
    struct lt_str json = lt_table_str(&t, lt_table_find(&t, "json"), rows - 1);
    if (memmem(json.p, json.n, words, strlen(words)) == NULL) fail_msg("%s: %.*s has no %s", type, LT_STR_ARG(json), words);
    lt_table_release(&t);
    lt_query_free(q);
}

static void a_double_answers_every_kind_and_all_is_on_record(void **state) {
    struct bench *b = *state;
    struct recording r;
    static const struct {
        enum litmus_prompt_kind kind;
        const char *words, *out, *on_record;
    } table[] = {
        {LITMUS_CONFIRM, "Yes", "true", "\"dialog_type\":\"confirm\""}, {LITMUS_CONFIRM, "n", "false", "\"value\":\"n\""},
        {LITMUS_CHOOSE, "2", "1", "\"choice\":1"},                      {LITMUS_CHOOSE, "red", "0", "\"choice\":0"},
        {LITMUS_TEXT, " a note ", "a note", "\"value\":\" a note \""},  {LITMUS_NUMBER, "+.5", "0.5", "\"value\":\"+.5\""},
        {LITMUS_NUMBER, "5e0", "5", "\"choice\":null"},                 {LITMUS_SCAN, "\x02SN-1\r", "SN-1", "\"dialog_type\":\"input\""},
    };
    begin(b, &r);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char out[LITMUS_ANSWER_BYTES];
        struct reply words = {.words = table[i].words};
        struct litmus_prompt_options options = {.run = r.run, .title = "Bench", .answerer = reply, .self = &words};
        must(b, ask(&r, &options, table[i].kind, out));
        assert_string_equal(out, table[i].out);
        assert_event(b, "dialog.responded", table[i].on_record);
    }
    assert_event(b, "dialog.opened", "\"title\":\"Bench\",\"message\":\"Label\",\"step_name\":\"led\"");
    assert_event(b, "dialog.responded", "\"response_type\":\"answered\"");
    assert_event(b, "dialog.responded", "\"answered_by\":\"robot\",\"answered_via\":\"double\"");
    assert_event(b, "dialog.responded", r.run_id);
    finish_recording(&r);
}

static void what_is_no_answer_is_refused_and_on_record(void **state) {
    struct bench *b = *state;
    struct recording r;
    static const struct {
        enum litmus_prompt_kind kind;
        struct reply reply;
        int code;
        const char *words, *response;
    } table[] = {
        {LITMUS_CONFIRM, {.words = "maybe"}, LITMUS_EINVAL, "\"maybe\" is neither yes nor no", "cancelled"},
        {LITMUS_CHOOSE, {.words = "3"}, LITMUS_EINVAL, "none of the choices", "cancelled"},
        {LITMUS_CHOOSE, {.words = "99999999999999999999"}, LITMUS_EINVAL, "none of the choices", "cancelled"},
        {LITMUS_CHOOSE, {.words = ""}, LITMUS_EINVAL, "none of the choices", "cancelled"},
        {LITMUS_TEXT, {.words = " \t"}, LITMUS_EINVAL, "an answer is needed", "cancelled"},
        {LITMUS_TEXT, {.words = "\xff"}, LITMUS_EINVAL, "no text in UTF-8", "cancelled"},
        {LITMUS_NUMBER, {.words = "five"}, LITMUS_EINVAL, "is no number", "cancelled"},
        {LITMUS_NUMBER, {.words = "nan"}, LITMUS_EINVAL, "is no number", "cancelled"},
        {LITMUS_NUMBER, {.words = "1,5"}, LITMUS_EINVAL, "is no number", "cancelled"},
        {LITMUS_NUMBER, {.words = "-0.1"}, LITMUS_EINVAL, "-0.1 is not from 0 to 5", "cancelled"},
        {LITMUS_SCAN, {.words = "SN-"}, LITMUS_EINVAL, "no code that is expected", "cancelled"},
        {LITMUS_SCAN, {.words = "XX"}, LITMUS_EINVAL, "no code that is expected", "cancelled"},
        {LITMUS_CONFIRM, {.words = "y", .code = LITMUS_ECANCELED}, LITMUS_ECANCELED, "no answer to \"LED green?\"", "cancelled"},
        {LITMUS_CONFIRM, {.words = "y", .code = LITMUS_ETIMEDOUT}, LITMUS_ETIMEDOUT, "nobody answered \"LED green?\" in time", "timed_out"},
        {LITMUS_CONFIRM, {.words = "y", .late = true}, LITMUS_ETIMEDOUT, "in time", "timed_out"},
    };
    begin(b, &r);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char out[LITMUS_ANSWER_BYTES], response[64];
        struct reply words = table[i].reply;
        struct litmus_prompt_options options = {.run = r.run, .timeout_ms = words.late ? 1 : 60000, .answerer = reply, .self = &words};
        int code = ask(&r, &options, table[i].kind, out);
        if (code != table[i].code || strstr(b->error.text, table[i].words) == NULL) fail_msg("%zu: %s: %s", i, litmus_code_name(code), b->error.text);
        assert_int_equal(words.asked, 1);
        snprintf(response, sizeof response, "\"response_type\":\"%s\"", table[i].response);
        assert_event(b, "dialog.responded", response);
        assert_event(b, "dialog.responded", "\"value\":null");
        b->error = (struct litmus_error){0};
    }
    finish_recording(&r);
}

static void a_question_that_cannot_be_asked_is_not_asked(void **state) {
    struct bench *b = *state;
    struct recording r;
    struct reply words = {.words = "1"};
    struct litmus_prompt_options options = {.answerer = reply, .self = &words}, late = {.answerer = reply, .self = &words, .timeout_ms = -1};
    char out[LITMUS_ANSWER_BYTES];
    int choice;
    double number;
    begin(b, &r);
    assert_int_equal(litmus_prompt_choose(r.session, &options, "Which?", NULL, 0, &choice, NULL), LITMUS_EINVAL);
    assert_int_equal(litmus_prompt_number(r.session, &options, "Volts?", 2, 1, &number, NULL), LITMUS_EINVAL);
    assert_int_equal(litmus_prompt_text(r.session, &options, NULL, out, NULL), LITMUS_EINVAL);
    assert_int_equal(litmus_prompt_text(r.session, &late, "Note?", out, NULL), LITMUS_EINVAL);
    assert_int_equal(litmus_prompt_text(r.session, &options, "\xff", out, NULL), LITMUS_EINVAL);
    assert_int_equal(litmus_prompt_scan(r.session, &options, "Label", "SN-(", out, &b->error), LITMUS_EINVAL);
    assert_non_null(strstr(b->error.text, "no extended regular expression"));
    assert_int_equal(words.asked, 0);
    must(b, litmus_prompt_number(r.session, &options, "Any?", NAN, NAN, &number, NULL)); /* of the session: there may be no run yet */
    assert_event(b, "dialog.opened", "\"step_name\":null");
    finish_recording(&r);
}

/* ---- on a terminal ---- */

/* A child whose terminal is the other end of *master asks; what it came to is its exit code. */
static pid_t ask_on_terminal(struct bench *b, enum litmus_prompt_kind kind, int64_t timeout_ms, const char *expected, int *master) {
    pid_t child = forkpty(master, NULL, NULL, NULL);
    if (child != 0) return child;
    struct recording r;
    char out[LITMUS_ANSWER_BYTES] = "";
    begin(b, &r);
    struct litmus_prompt_options options = {.run = r.run, .timeout_ms = timeout_ms};
    int code = ask(&r, &options, kind, out);
    bool same = expected == NULL || strcmp(out, expected) == 0;
    finish_recording(&r);
    _exit(same ? code : 99);
}

/* Types each line once another question is seen, an empty one as end of input; what was seen is in `seen`. */
static int operate(pid_t child, int master, const char *const *lines, char *seen, size_t size) {
    size_t n = 0, asked = 0, typed = 0;
    for (ssize_t got; n + 1 < size && (got = read(master, seen + n, size - n - 1)) > 0;) {
        n += (size_t)got;
        seen[n] = '\0';
        asked = 0;
        for (const char *at = seen; (at = strstr(at, "> ")) != NULL; at++) asked++;
        for (; lines[typed] != NULL && typed < asked; typed++) {
            const char *keys = lines[typed][0] == '\0' ? "\004" : lines[typed];
            assert_int_equal(write(master, keys, strlen(keys)), strlen(keys));
        }
    }
    int status = 0;
    close(master);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void the_terminal_is_asked_until_the_answer_can_be_one(void **state) {
    struct bench *b = *state;
    char seen[8192];
    int master;
    pid_t child = ask_on_terminal(b, LITMUS_CHOOSE, 60000, "1", &master);
    assert_int_equal(operate(child, master, (const char *const[]){"blue\n", "\n", "green\n", NULL}, seen, sizeof seen), LITMUS_OK);
    assert_non_null(strstr(seen, "Colour?\r\n  1  red\r\n  2  green\r\n> "));
    assert_non_null(strstr(seen, "\"blue\" is none of the choices"));
    assert_event(b, "dialog.responded", "\"value\":\"green\",\"choice\":1,\"answered_by\":\"ann\",\"answered_via\":\"terminal\"");
}

static void end_of_input_is_no_answer(void **state) {
    struct bench *b = *state;
    char seen[8192];
    int master;
    pid_t child = ask_on_terminal(b, LITMUS_CONFIRM, 0, NULL, &master);
    assert_int_equal(operate(child, master, (const char *const[]){"", NULL}, seen, sizeof seen), LITMUS_ECANCELED);
    assert_event(b, "dialog.responded", "\"response_type\":\"cancelled\"");
}

static void nobody_at_the_terminal_is_a_time_out(void **state) {
    struct bench *b = *state;
    char seen[8192];
    int master;
    pid_t child = ask_on_terminal(b, LITMUS_SCAN, 1, NULL, &master);
    assert_int_equal(operate(child, master, (const char *const[]){NULL}, seen, sizeof seen), LITMUS_ETIMEDOUT);
    assert_non_null(strstr(seen, "Label (scan) > (time is up)"));
    assert_event(b, "dialog.responded", "\"response_type\":\"timed_out\"");
}

static void without_a_terminal_and_an_answerer_nobody_can_answer(void **state) {
    struct bench *b = *state;
    pid_t child = fork();
    if (child == 0) {
        struct recording r;
        char out[LITMUS_ANSWER_BYTES];
        setsid(); /* no terminal any more */
        begin(b, &r);
        int code = ask(&r, NULL, LITMUS_TEXT, out);
        finish_recording(&r);
        _exit(code == LITMUS_ENOENT && strstr(b->error.text, "there is no terminal; name who answers") != NULL ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_event(b, "dialog.responded", "\"response_type\":\"cancelled\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_double_answers_every_kind_and_all_is_on_record),
        TEST(what_is_no_answer_is_refused_and_on_record),
        TEST(a_question_that_cannot_be_asked_is_not_asked),
        TEST(the_terminal_is_asked_until_the_answer_can_be_one),
        TEST(end_of_input_is_no_answer),
        TEST(nobody_at_the_terminal_is_a_time_out),
        TEST(without_a_terminal_and_an_answerer_nobody_can_answer),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
