/* SPDX-License-Identifier: Apache-2.0
 *
 * measure.c - what a judged measurement costs over a raw write(2) of the bytes that it put into the log: both on
 * the same file system, in turns.
 *
 * Usage: measure FOLDER ROUNDS MEASUREMENTS. Prints one line a round: `measure_us raw_us bytes`.
 */
#include <litmus.h>

#include "bench.h"

#include <glob.h>
#include <sys/stat.h>

enum { BLOCK_BYTES = 1 << 16 };

static struct litmus_error error;

static void must(int code, const char *what) {
    if (code != LITMUS_OK) bench_die(what, error.text);
}

static int64_t log_bytes(const char *folder) {
    char pattern[4200];
    glob_t found;
    struct stat st;
    snprintf(pattern, sizeof pattern, "%s/events/*/*.arrow", folder);
    if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc != 1 || stat(found.gl_pathv[0], &st) != 0) bench_die(pattern, "is not one log");
    globfree(&found);
    return st.st_size;
}

static double measure_mean_us(litmus_run *run, int count) {
    static int number;
    struct litmus_limit limit = {.low = 4.75, .high = 5.25, .nominal = 5.0, .units = "V"};
    char name[40];
    double start = bench_now_us();
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "output_voltage_%d", number++);
        must(litmus_measure(run, name, 4.8 + i % 40 / 100.0, &limit, NULL, &error), "measure");
    }
    return (bench_now_us() - start) / count;
}

static double raw_mean_us(int fd, const char *block, size_t bytes, int count) {
    double start = bench_now_us();
    for (int i = 0; i < count; i++)
        if (write(fd, block, bytes) != (ssize_t)bytes) bench_die("raw write", "failed");
    return (bench_now_us() - start) / count;
}

int main(int argc, char **argv) {
    static char block[BLOCK_BYTES];
    if (argc != 4) bench_die("usage", "measure FOLDER ROUNDS MEASUREMENTS");
    int rounds = bench_number(argv[2]), count = bench_number(argv[3]);
    litmus_session *session;
    litmus_run *run;
    must(litmus_session_open(&(struct litmus_session_options){.data_dir = argv[1], .joined = true, .no_daemon = true}, &session, &error), "open");
    must(litmus_run_start(session, "{\"dut_serial\":\"SN1\"}", &run, &error), "run");
    must(litmus_plan_add(run, "tests/test_power.py/TestRails/test_rail", NULL, &error), "plan");
    must(litmus_plan_commit(run, &error), "plan");
    must(litmus_step_start(run, 0, "{\"load_ma\":250}", &error), "step");
    char path[4200];
    snprintf(path, sizeof path, "%s/raw", argv[1]);
    int raw = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
    if (raw < 0) bench_die("open", path);
    for (int round = -1; round < rounds; round++) { /* the first one warms up */
        int64_t before = log_bytes(argv[1]);
        double ours = measure_mean_us(run, count);
        size_t bytes = (size_t)(log_bytes(argv[1]) - before) / (size_t)count;
        if (bytes == 0 || bytes > sizeof block) bench_die(argv[1], "the log grows as no log of measurements does");
        double theirs = raw_mean_us(raw, block, bytes, count);
        if (round >= 0) printf("%.3f %.3f %zu\n", ours, theirs, bytes);
    }
    close(raw);
    unlink(path);
    must(litmus_step_end(run, NULL, NULL, &error), "step");
    must(litmus_run_end(run, NULL, NULL, &error), "end");
    must(litmus_session_close(session, NULL, &error), "close");
    return 0;
}
