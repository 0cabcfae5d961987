/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to the operator: asked on the terminal or of an answerer, and on record when they are asked and when that ends.
 */
#include "base/clock.h"
#include "base/terminal.h"
#include "emit/run.h"
#include "log/layout.h"

#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

/* What an answer comes to. */
struct given {
    bool yes;
    int choice; /* -1: it is not one of choices */
    double number;
    struct lt_str text; /* in the dialog */
};

struct dialog {
    litmus_session *session;
    const struct litmus_prompt_options *options;
    struct litmus_question question;
    char id[LT_UUID_BYTES];
    regex_t pattern;
    bool compiled; /* there is a pattern */
    struct lt_buf words; /* as they were given */
    char code[LITMUS_ANSWER_BYTES]; /* words without control characters */
    struct litmus_answer answer;
    const char *via;
    struct given given;
};

typedef int parse(struct dialog *d, struct lt_str words, struct litmus_error *error);

/* ---- what can be an answer ---- */

static int no_answer(struct litmus_error *error, struct lt_str words, const char *why) {
    return lt_fail(error, LITMUS_EINVAL, 0, "\"%.*s\" %s", words.n > 100 ? 100 : (int)words.n, words.p, why);
}

static bool is_word(struct lt_str words, const char *a, const char *b) {
    return (words.n == strlen(a) && strncasecmp(words.p, a, words.n) == 0) || (words.n == strlen(b) && strncasecmp(words.p, b, words.n) == 0);
}

static int parse_confirm(struct dialog *d, struct lt_str words, struct litmus_error *error) {
    d->given.yes = is_word(words, "y", "yes");
    return d->given.yes || is_word(words, "n", "no") ? LITMUS_OK : no_answer(error, words, "is neither yes nor no");
}

/* By its text, else by its number from 1. */
static int parse_choice(struct dialog *d, struct lt_str words, struct litmus_error *error) {
    const struct litmus_question *q = &d->question;
    for (size_t i = 0; i < q->choice_count; i++)
        if (lt_str_eq(words, lt_str_of(q->choices[i]))) {
            d->given.choice = (int)i;
            return LITMUS_OK;
        }
    size_t number = 0, digits = 0;
    while (digits < words.n && digits < 9 && words.p[digits] >= '0' && words.p[digits] <= '9') number = number * 10 + (size_t)(words.p[digits++] - '0');
    d->given.choice = (int)number - 1;
    return digits == words.n && number >= 1 && number <= q->choice_count ? LITMUS_OK : no_answer(error, words, "is none of the choices");
}

static int parse_text(struct dialog *d, struct lt_str words, struct litmus_error *error) {
    d->given.text = words;
    return words.n > 0 ? LITMUS_OK : lt_fail(error, LITMUS_EINVAL, 0, "an answer is needed");
}

/* The JSON library reads a number with a point whatever the locale; it takes no sign and no bare point in front. */
static bool read_number(struct lt_str words, double *number) {
    char json[64];
    bool negative = words.n > 0 && words.p[0] == '-', sign = negative || (words.n > 0 && words.p[0] == '+');
    struct lt_str rest = {words.p + sign, words.n - sign};
    while (rest.n > 1 && rest.p[0] == '0' && rest.p[1] >= '0' && rest.p[1] <= '9') rest.p++, rest.n--;
    if (rest.n == 0 || rest.n + 2 > sizeof json || !((rest.p[0] >= '0' && rest.p[0] <= '9') || rest.p[0] == '.')) return false;
    snprintf(json, sizeof json, "%s%.*s", rest.p[0] == '.' ? "0" : "", LT_STR_ARG(rest));
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    bool ok = yyjson_is_num(yyjson_doc_get_root(doc));
    *number = ok ? (negative ? -1 : 1) * yyjson_get_num(yyjson_doc_get_root(doc)) : NAN;
    yyjson_doc_free(doc);
    return ok;
}

static int parse_number(struct dialog *d, struct lt_str words, struct litmus_error *error) {
    const struct litmus_question *q = &d->question;
    double value = 0;
    if (!read_number(words, &value)) return no_answer(error, words, "is no number");
    d->given.number = value;
    if (!(value < q->low) && !(value > q->high)) return LITMUS_OK; /* NAN bounds nothing */
    return lt_fail(error, LITMUS_EINVAL, 0, "%.*s is not from %g to %g", LT_STR_ARG(words), isnan(q->low) ? -INFINITY : q->low, isnan(q->high) ? INFINITY : q->high);
}

/* Scanners send control characters before and behind. */
static int parse_code(struct dialog *d, struct lt_str words, struct litmus_error *error) {
    size_t n = 0;
    for (size_t i = 0; i < words.n; i++)
        if ((unsigned char)words.p[i] >= 0x20 && words.p[i] != 0x7f) d->code[n++] = words.p[i];
    d->code[n] = '\0';
    d->given.text = (struct lt_str){d->code, n};
    bool fits = n > 0 && (!d->compiled || regexec(&d->pattern, d->code, 0, NULL, 0) == 0);
    return fits ? LITMUS_OK : no_answer(error, d->given.text, "is no code that is expected");
}

static const struct {
    const char *type, *hint; /* dialog_type; what is shown behind the message */
    parse *parse;
} kinds[] = {
    [LITMUS_CONFIRM] = {"confirm", " [y/n]", parse_confirm},
    [LITMUS_CHOOSE] = {"choice", "", parse_choice},
    [LITMUS_TEXT] = {"input", "", parse_text},
    [LITMUS_NUMBER] = {"input", "", parse_number},
    [LITMUS_SCAN] = {"input", " (scan)", parse_code},
};

/* The words in d->words as an answer. */
static int take(struct dialog *d, struct litmus_error *error) {
    const char *all = lt_buf_cstr(&d->words);
    struct lt_str words = {all, d->words.n};
    d->given = (struct given){.choice = -1};
    if (d->words.failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an answer");
    if (words.n >= LITMUS_ANSWER_BYTES) return lt_fail(error, LITMUS_EINVAL, 0, "the answer has more than %d bytes", LITMUS_ANSWER_BYTES - 1);
    if (!lt_utf8_valid(words.p, words.n) || memchr(words.p, '\0', words.n) != NULL) return lt_fail(error, LITMUS_EINVAL, 0, "the answer is no text in UTF-8");
    while (words.n > 0 && strchr(" \t\r\n", words.p[0]) != NULL) words.p++, words.n--;
    while (words.n > 0 && strchr(" \t\r\n", words.p[words.n - 1]) != NULL) words.n--;
    return kinds[d->question.kind].parse(d, words, error);
}

/* ---- who answers ---- */

static void show_question(const struct dialog *d, int fd) {
    const struct litmus_question *q = &d->question;
    struct lt_buf text;
    lt_buf_init(&text);
    lt_buf_addf(&text, "\n%s%s%s%s", q->title, q->title[0] == '\0' ? "" : ": ", q->message, kinds[q->kind].hint);
    for (size_t i = 0; i < q->choice_count; i++) lt_buf_addf(&text, "\n  %zu  %s", i + 1, q->choices[i]);
    lt_buf_add_text(&text, q->choice_count > 0 ? "\n> " : " > ");
    lt_terminal_show(fd, (struct lt_str){text.p, text.n});
    lt_buf_release(&text);
}

/* Asks again until the answer can be one. */
static int ask_terminal(struct dialog *d, int64_t until_us, struct litmus_error *error) {
    int fd = -1, code = lt_terminal_open(&fd, NULL);
    if (code != LITMUS_OK)
        return lt_fail(error, code, 0, "nobody can answer \"%.200s\": there is no terminal; name who answers (litmus_prompt_options.answerer)", d->question.message);
    d->via = "terminal";
    for (;;) {
        struct litmus_error why = {0};
        show_question(d, fd);
        code = lt_terminal_line(fd, until_us, LITMUS_ANSWER_BYTES, &d->words, error);
        if (code == LITMUS_OK) code = take(d, &why);
        if (code != LITMUS_EINVAL) break;
        lt_terminal_show(fd, lt_str_of(why.text));
    }
    if (code == LITMUS_ETIMEDOUT) lt_terminal_show(fd, LT_STR("(time is up)\n"));
    close(fd);
    return code;
}

static int ask_answerer(struct dialog *d, int64_t until_us, struct litmus_error *error) {
    struct litmus_answer *answer = &d->answer;
    int code = d->options->answerer(d->options->self, &d->question, answer, error);
    if (code == LITMUS_OK && until_us != 0 && lt_monotonic_us() > until_us) code = LITMUS_ETIMEDOUT;
    if (code == LITMUS_ETIMEDOUT) lt_fail(error, code, 0, "nobody answered \"%.200s\" in time", d->question.message);
    if (code != LITMUS_OK) return lt_fail(error, code, 0, "no answer to \"%.200s\"", d->question.message); /* the answerer's own words come first */
    answer->words[sizeof answer->words - 1] = answer->by[sizeof answer->by - 1] = '\0';
    d->via = answer->is_double ? "double" : "api";
    lt_buf_add_text(&d->words, answer->words);
    return take(d, error);
}

/* ---- on record ---- */

static int emit(struct dialog *d, const char *type, struct lt_draft *draft, struct litmus_error *error) {
    yyjson_mut_obj_add_str(draft->doc, draft->root, "dialog_id", d->id);
    yyjson_mut_obj_add_str(draft->doc, draft->root, "dialog_type", kinds[d->question.kind].type);
    return lt_draft_emit_in(draft, d->session, d->options->run == NULL ? NULL : d->options->run->run_id, type, error);
}

static int emit_opened(struct dialog *d, struct litmus_error *error) {
    const litmus_run *run = d->options->run;
    struct lt_draft draft = lt_draft_new();
    yyjson_mut_obj_add_str(draft.doc, draft.root, "title", d->question.title);
    yyjson_mut_obj_add_str(draft.doc, draft.root, "message", d->question.message);
    if (run != NULL && run->open_count > 0) yyjson_mut_obj_add_str(draft.doc, draft.root, "step_name", run->open[run->open_count - 1].step.name);
    return emit(d, "dialog.opened", &draft, error);
}

/* `code`: what the asking came to. */
static int emit_responded(struct dialog *d, int code, int64_t began_us, struct litmus_error *error) {
    const char *operator_id = d->options->run == NULL ? NULL : d->options->run->operator_id, *by = d->answer.by[0] != '\0' ? d->answer.by : operator_id;
    struct lt_draft draft = lt_draft_new();
    yyjson_mut_obj_add_str(draft.doc, draft.root, "response_type", code == LITMUS_OK ? "answered" : code == LITMUS_ETIMEDOUT ? "timed_out" : "cancelled");
    yyjson_mut_obj_add_real(draft.doc, draft.root, "duration_seconds", (double)(lt_monotonic_us() - began_us) / 1e6);
    if (code == LITMUS_OK) {
        yyjson_mut_obj_add_strn(draft.doc, draft.root, "value", lt_buf_cstr(&d->words), d->words.n);
        if (d->given.choice >= 0) yyjson_mut_obj_add_int(draft.doc, draft.root, "choice", d->given.choice);
        if (by != NULL) yyjson_mut_obj_add_str(draft.doc, draft.root, "answered_by", by);
        yyjson_mut_obj_add_str(draft.doc, draft.root, "answered_via", d->via);
    }
    return emit(d, "dialog.responded", &draft, error);
}

static int ask(struct dialog *d, struct litmus_error *error) {
    int64_t began_us = lt_monotonic_us(), until_us = d->question.timeout_ms == 0 ? 0 : began_us + d->question.timeout_ms * 1000;
    int code = emit_opened(d, error);
    if (code != LITMUS_OK) return code;
    code = d->options->answerer == NULL ? ask_terminal(d, until_us, error) : ask_answerer(d, until_us, error);
    int recorded = emit_responded(d, code, began_us, error);
    return code == LITMUS_OK ? recorded : code;
}

/* ---- questions ---- */

static int check(const struct litmus_question *q, struct litmus_error *error) {
    if (q->message == NULL || q->message[0] == '\0') return lt_fail(error, LITMUS_EINVAL, 0, "a question to the operator needs a message");
    if (q->timeout_ms < 0 || q->timeout_ms > INT64_MAX / 4000)
        return lt_fail(error, LITMUS_EINVAL, 0, "the time-out of \"%.200s\" is %lld ms: give 0 (as long as it takes) or more", q->message, (long long)q->timeout_ms);
    if (q->kind == LITMUS_CHOOSE && (q->choices == NULL || q->choice_count == 0)) return lt_fail(error, LITMUS_EINVAL, 0, "\"%.200s\" has nothing to choose from", q->message);
    for (size_t i = 0; i < q->choice_count; i++)
        if (q->choices[i] == NULL) return lt_fail(error, LITMUS_EINVAL, 0, "choice %zu of \"%.200s\" is NULL", i + 1, q->message);
    if (q->low > q->high) return lt_fail(error, LITMUS_EINVAL, 0, "no number can be the answer to \"%.200s\": low %g is above high %g", q->message, q->low, q->high);
    return LITMUS_OK;
}

/* All of a code must be like the pattern, as a person means it. */
static int compile(struct dialog *d, struct litmus_error *error) {
    struct lt_buf whole;
    char why[200] = "";
    lt_buf_init(&whole);
    lt_buf_addf(&whole, "^(%s)$", d->question.pattern);
    int failed = whole.failed ? REG_ESPACE : regcomp(&d->pattern, lt_buf_cstr(&whole), REG_EXTENDED | REG_NOSUB);
    d->compiled = failed == 0;
    if (failed != 0) regerror(failed, NULL, why, sizeof why);
    lt_buf_release(&whole);
    return failed == 0 ? LITMUS_OK : lt_fail(error, LITMUS_EINVAL, 0, "the pattern \"%.200s\" is no extended regular expression: %s", d->question.pattern, why);
}

/* Asks; the answer is in d->given, and goes to `place`. dialog_release in every case. */
static int prompt(struct dialog *d, litmus_session *session, const struct litmus_prompt_options *options, const void *place, struct litmus_error *error) {
    static const struct litmus_prompt_options defaults = {0};
    d->session = session;
    d->options = options == NULL ? &defaults : options;
    d->question.dialog_id = d->id;
    d->question.title = d->options->title == NULL ? "" : d->options->title;
    d->question.timeout_ms = d->options->timeout_ms;
    lt_uuid_new(d->id);
    int code = lt_need_handle(session, "litmus_prompt_*", "litmus_session_open", error);
    if (code == LITMUS_OK) code = lt_need_place(place, "litmus_prompt_*", error);
    if (code == LITMUS_OK) code = check(&d->question, error);
    if (code == LITMUS_OK && d->question.pattern != NULL) code = compile(d, error);
    return code == LITMUS_OK ? ask(d, error) : code;
}

static void dialog_release(struct dialog *d) {
    if (d->compiled) regfree(&d->pattern);
    lt_buf_release(&d->words);
}

static struct litmus_question question_of(enum litmus_prompt_kind kind, const char *message) {
    return (struct litmus_question){.kind = kind, .message = message, .low = NAN, .high = NAN};
}

int litmus_prompt_confirm(litmus_session *session, const struct litmus_prompt_options *options, const char *message, bool *yes, struct litmus_error *error) {
    struct dialog d = {.question = question_of(LITMUS_CONFIRM, message)};
    int code = prompt(&d, session, options, yes, error);
    if (code == LITMUS_OK) *yes = d.given.yes;
    dialog_release(&d);
    return code;
}

int litmus_prompt_choose(litmus_session *session, const struct litmus_prompt_options *options, const char *message, const char *const *choices, size_t count,
                         int *choice, struct litmus_error *error) {
    struct dialog d = {.question = question_of(LITMUS_CHOOSE, message)};
    d.question.choices = choices;
    d.question.choice_count = count;
    int code = prompt(&d, session, options, choice, error);
    if (code == LITMUS_OK) *choice = d.given.choice;
    dialog_release(&d);
    return code;
}

int litmus_prompt_number(litmus_session *session, const struct litmus_prompt_options *options, const char *message, double low, double high, double *number,
                         struct litmus_error *error) {
    struct dialog d = {.question = question_of(LITMUS_NUMBER, message)};
    d.question.low = low;
    d.question.high = high;
    int code = prompt(&d, session, options, number, error);
    if (code == LITMUS_OK) *number = d.given.number;
    dialog_release(&d);
    return code;
}

static int prompt_words(struct dialog *d, litmus_session *session, const struct litmus_prompt_options *options, char out[LITMUS_ANSWER_BYTES], struct litmus_error *error) {
    int code = prompt(d, session, options, out, error);
    if (code == LITMUS_OK) snprintf(out, LITMUS_ANSWER_BYTES, "%.*s", LT_STR_ARG(d->given.text));
    dialog_release(d);
    return code;
}

int litmus_prompt_text(litmus_session *session, const struct litmus_prompt_options *options, const char *message, char text[LITMUS_ANSWER_BYTES],
                       struct litmus_error *error) {
    struct dialog d = {.question = question_of(LITMUS_TEXT, message)};
    return prompt_words(&d, session, options, text, error);
}

int litmus_prompt_scan(litmus_session *session, const struct litmus_prompt_options *options, const char *message, const char *pattern,
                       char code[LITMUS_ANSWER_BYTES], struct litmus_error *error) {
    struct dialog d = {.question = question_of(LITMUS_SCAN, message)};
    d.question.pattern = pattern;
    return prompt_words(&d, session, options, code, error);
}
