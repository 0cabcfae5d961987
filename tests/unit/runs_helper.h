/* SPDX-License-Identifier: Apache-2.0
 *
 * runs_helper.h - a data_dir of one's own, and runs recorded into it by the C API.
 */
#ifndef LT_TESTS_RUNS_HELPER_H
#define LT_TESTS_RUNS_HELPER_H

#include "litmus.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct bench {
    char dir[256];
    struct litmus_error error;
};

static int set_up(void **state) {
    struct bench *b = calloc(1, sizeof *b);
    const char *tmp = getenv("TMPDIR");
    snprintf(b->dir, sizeof b->dir, "%s/litmus-query-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    *state = b;
    return mkdtemp(b->dir) == NULL;
}

static int tear_down(void **state) {
    struct bench *b = *state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", b->dir);
    int gone = system(command);
    free(b);
    return gone;
}

static void must(struct bench *b, int code) {
    if (code != LITMUS_OK) fail_msg("%s: %s", litmus_code_name(code), b->error.text);
}

struct recording {
    struct bench *bench;
    litmus_session *session;
    litmus_run *run;
    char run_id[37], session_id[37];
};

/* A session, a run of `planned` steps s0, s1, ... below one file. */
static void start_recording(struct bench *b, struct recording *r, const char *serial, int planned) {
    char json[128], path[32];
    struct litmus_session_options options = {.data_dir = b->dir, .no_daemon = true};
    *r = (struct recording){.bench = b};
    must(b, litmus_session_open(&options, &r->session, &b->error));
    snprintf(json, sizeof json, "{\"dut_serial\":\"%s\",\"station_id\":\"bench-1\",\"project_name\":\"p\"}", serial);
    must(b, litmus_run_start(r->session, json, &r->run, &b->error));
    snprintf(r->run_id, sizeof r->run_id, "%s", litmus_run_id(r->run));
    snprintf(r->session_id, sizeof r->session_id, "%s", litmus_session_id(r->session));
    for (int i = 0; i < planned; i++) {
        snprintf(path, sizeof path, "suite/s%d", i);
        must(b, litmus_plan_add(r->run, path, NULL, &b->error));
    }
    must(b, litmus_plan_commit(r->run, &b->error));
}

/* Step number `step` with measurements m1, m0 (in that order). */
static void do_step(struct recording *r, int step, const char *outcome) {
    struct bench *b = r->bench;
    struct litmus_limit limit = {.low = 0, .high = 10, .nominal = NAN, .units = "V"};
    must(b, litmus_step_start(r->run, step, NULL, &b->error));
    must(b, litmus_measure(r->run, "m1", step + 0.5, &limit, NULL, &b->error));
    must(b, litmus_measure(r->run, "m0", step, &limit, NULL, &b->error));
    must(b, litmus_step_end(r->run, outcome, NULL, &b->error));
}

static void finish_recording(struct recording *r) {
    must(r->bench, litmus_run_end(r->run, NULL, NULL, &r->bench->error));
    must(r->bench, litmus_session_close(r->session, NULL, &r->bench->error));
}

/* A whole run of two steps, both passed. */
static inline struct recording record_run(struct bench *b, const char *serial) {
    struct recording r;
    start_recording(b, &r, serial, 2);
    do_step(&r, 0, NULL);
    do_step(&r, 1, NULL);
    finish_recording(&r);
    return r;
}

/* A producer that starts a run of three steps, does one, and is gone without a word. Fills the ids. */
static inline struct recording record_crash(struct bench *b, const char *serial) {
    struct recording r = {.bench = b};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        start_recording(b, &r, serial, 3);
        do_step(&r, 0, NULL);
        ssize_t put = write(ends[1], &r, sizeof r);
        _exit(put != (ssize_t)sizeof r);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &r, sizeof r), sizeof r);
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    r.session = NULL;
    r.run = NULL;
    return r;
}

#endif
