/* SPDX-License-Identifier: Apache-2.0
 *
 * emit.c - what litmus_emit costs over a raw write(2) of the same bytes: the log of a session and a
 * plain file, on the same file system, written in turns.
 *
 * Usage: emit FOLDER ROUNDS EVENTS PAYLOAD_BYTES. Prints one line a round: `emit_us raw_us bytes`, means over
 * EVENTS of each; `bytes` is what the log grew by per event, and so what each raw write wrote.
 */
#include <litmus.h>

#include "bench.h"

#include <ftw.h>
#include <sys/stat.h>

enum { PAYLOAD_MAX = 100000 };

/* A measurement as a test executive makes it, its "custom" filled up to `bytes`. */
static size_t make_payload(char *out, size_t bytes, int number) {
    int n = snprintf(out, PAYLOAD_MAX,
        "{\"step_name\":\"test_rail\",\"step_index\":%d,\"step_path\":\"tests/test_power.py/TestRails/test_rail\","
        "\"vector_index\":%d,\"measurement_name\":\"output_voltage\",\"value\":%d.%03d,\"units\":\"V\",\"outcome\":\"passed\","
        "\"limit_low\":4.75,\"limit_high\":5.25,\"limit_nominal\":5.0,\"limit_comparator\":\"GELE\",\"dut_pin\":\"J1.4\","
        "\"instrument_name\":\"dmm\",\"instrument_resource\":\"TCPIP0::10.0.0.7::INSTR\",\"instrument_channel\":\"1\","
        "\"inputs\":{\"load_ma\":%d},\"custom\":{\"note\":\"",
        number % 100, number % 7, number % 9, number % 1000, number % 500);
    size_t have = (size_t)n, tail = sizeof "\"}}" - 1;
    if (have + tail > bytes) bench_die("payload", "the payload is too small to hold a measurement");
    memset(out + have, 'x', bytes - have - tail);
    memcpy(out + bytes - tail, "\"}}", tail + 1);
    return bytes;
}

static double emit_mean_us(litmus_session *session, const char *run_id, char **payloads, size_t payload_bytes, int payload_count, int events) {
    struct litmus_error error = {0};
    double start = bench_now_us();
    for (int i = 0; i < events; i++) {
        const char *payload = payloads[i % payload_count];
        struct litmus_event event = {.event_type = "test.measurement", .run_id = run_id, .payload = payload, .payload_bytes = payload_bytes};
        if (litmus_emit(session, &event, NULL, &error) != LITMUS_OK) bench_die("emit", error.text);
    }
    return (bench_now_us() - start) / events;
}

static double raw_mean_us(int fd, const char *block, size_t bytes, int events) {
    double start = bench_now_us();
    for (int i = 0; i < events; i++)
        if (write(fd, block, bytes) != (ssize_t)bytes) bench_die("raw write", "failed");
    return (bench_now_us() - start) / events;
}

static char log_path[4200];

static int keep_log(const char *path, const struct stat *st, int kind, struct FTW *where) {
    (void)st, (void)where;
    size_t n = strlen(path);
    if (kind != FTW_F || n < 6 || strcmp(path + n - 6, ".arrow") != 0) return 0;
    snprintf(log_path, sizeof log_path, "%s", path);
    return 1;
}

static int64_t file_bytes(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) bench_die("stat", path);
    return st.st_size;
}

static char *payloads[64];
enum { PAYLOADS = sizeof payloads / sizeof payloads[0] };

static char *memory(size_t bytes) {
    char *block = malloc(bytes);
    if (block == NULL) bench_die("memory", "out of it");
    return memset(block, 'x', bytes);
}

static void in_turns(litmus_session *session, litmus_run *run, int raw, int rounds, int events, size_t payload_bytes) {
    char *block = memory(PAYLOAD_MAX * 2);
    for (int round = -1; round < rounds; round++) { /* the first one warms up */
        int64_t before = file_bytes(log_path);
        double emit_us = emit_mean_us(session, litmus_run_id(run), payloads, payload_bytes, PAYLOADS, events);
        size_t bytes = (size_t)(file_bytes(log_path) - before) / (size_t)events;
        if (bytes == 0) bench_die(log_path, "this log does not grow: the folder had one before");
        double raw_us = raw_mean_us(raw, block, bytes, events);
        if (round >= 0) printf("%.3f %.3f %zu\n", emit_us, raw_us, bytes);
    }
    free(block);
}

int main(int argc, char **argv) {
    if (argc != 5) bench_die("usage", "emit FOLDER ROUNDS EVENTS PAYLOAD_BYTES");
    size_t payload_bytes = (size_t)bench_number(argv[4]);
    if (payload_bytes >= PAYLOAD_MAX) bench_die("usage", "the payload is too large");
    for (int i = 0; i < PAYLOADS; i++) make_payload(payloads[i] = memory(PAYLOAD_MAX), payload_bytes, i * 37);

    struct litmus_error error = {0};
    litmus_session *session;
    litmus_run *run;
    struct litmus_session_options options = {.data_dir = argv[1], .joined = true, .no_daemon = true};
    if (litmus_session_open(&options, &session, &error) != LITMUS_OK) bench_die("open", error.text);
    if (litmus_run_start(session, "{\"dut_serial\":\"SN1\"}", &run, &error) != LITMUS_OK) bench_die("run", error.text);
    if (nftw(argv[1], keep_log, 8, FTW_PHYS) != 1) bench_die(argv[1], "there is no log in it");
    char path[4200];
    snprintf(path, sizeof path, "%s/raw", argv[1]);
    int raw = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
    if (raw < 0) bench_die("open", path);
    in_turns(session, run, raw, bench_number(argv[2]), bench_number(argv[3]), payload_bytes);
    close(raw);
    unlink(path);
    if (litmus_run_end(run, NULL, NULL, &error) != LITMUS_OK) bench_die("end", error.text);
    if (litmus_session_close(session, NULL, &error) != LITMUS_OK) bench_die("close", error.text);
    return 0;
}
