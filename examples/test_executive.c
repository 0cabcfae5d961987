/* SPDX-License-Identifier: Apache-2.0
 *
 * A test executive in C: plans ten steps, runs them, and can be told to die in the fourth.
 *   example_test_executive DATA_DIR [--die]
 * Afterwards `litmus show last --data-dir DATA_DIR` accounts for all ten, whatever happened.
 */
#include <litmus.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct litmus_error error;

static int fail(void) {
    fprintf(stderr, "%s\n", error.text);
    return 1;
}

static int run_step(litmus_run *run, int step, bool die) {
    struct litmus_limit limit = {.low = 3.2, .high = 3.4, .nominal = NAN, .units = "V"};
    if (litmus_step_start(run, step, NULL, &error) != LITMUS_OK) return fail();
    if (die && step == 3) raise(SIGKILL); /* the power of the bench, say */
    if (litmus_measure(run, "rail", 3.3 + 0.01 * step, &limit, NULL, &error) != LITMUS_OK) return fail();
    return litmus_step_end(run, NULL, NULL, &error) == LITMUS_OK ? 0 : fail();
}

int main(int argc, char **argv) {
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: %s DATA_DIR [--die]\n", argv[0]);
        return 2;
    }
    bool die = argc > 2 && strcmp(argv[2], "--die") == 0;
    struct litmus_session_options options = {.data_dir = argv[1]};
    litmus_session *session;
    litmus_run *run;
    if (litmus_session_open(&options, &session, &error) != LITMUS_OK) return fail();
    if (litmus_run_start(session, "{\"dut_serial\":\"SN-0042\",\"station_id\":\"bench-1\"}", &run, &error) != LITMUS_OK) return fail();
    printf("run %s\n", litmus_run_id(run));
    fflush(stdout);
    for (int step = 0; step < 10; step++) {
        char path[32];
        snprintf(path, sizeof path, "rails/rail_%d", step);
        if (litmus_plan_add(run, path, NULL, &error) != LITMUS_OK) return fail();
    }
    if (litmus_plan_commit(run, &error) != LITMUS_OK) return fail();
    for (int step = 0; step < 10; step++)
        if (run_step(run, step, die) != 0) return 1;
    if (litmus_run_end(run, NULL, NULL, &error) != LITMUS_OK) return fail();
    return litmus_session_close(session, NULL, &error) == LITMUS_OK ? 0 : fail();
}
