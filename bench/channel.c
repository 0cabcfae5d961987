/* SPDX-License-Identifier: Apache-2.0
 *
 * channel.c - what samples cost: one by one, by the block beside a plain sequential write of as many bytes (both
 * on the disk at the end), and seen from afar. Usage: channel folder samples
 * Prints: us a sample; MB/s of blocks; MB/s of the plain file; s a view (min-max, LTTB) of 1,000 points; s to open.
 */
#include "bench.h"

#include <glob.h>
#include <litmus.h>

enum { BLOCK = 1 << 20, SINGLE = 1000000, ROUNDS = 5, ROUND_BLOCKS = 20 };

static void must(int code, const struct litmus_error *error) {
    if (code == LITMUS_OK) return;
    fprintf(stderr, "channel: %s\n", error->text);
    exit(1);
}

static double plain(const char *folder, const double *values, long blocks) {
    char path[600];
    snprintf(path, sizeof path, "%s/plain", folder);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
    double start = bench_now_us();
    for (long b = 0; fd >= 0 && b < blocks; b++)
        if (write(fd, values, BLOCK * sizeof *values) != (ssize_t)(BLOCK * sizeof *values)) exit(1);
    if (fd < 0 || fdatasync(fd) != 0) exit(1);
    double us = bench_now_us() - start;
    close(fd);
    unlink(path);
    return (double)blocks * BLOCK * sizeof *values / us;
}

static double blocks_of(litmus_session *session, const char *id, const double *values, long blocks) {
    struct litmus_error error = {0};
    litmus_channel *channel;
    double start = bench_now_us();
    must(litmus_channel_open(session, id, NULL, &channel, &error), &error);
    for (long b = 0; b < blocks; b++) must(litmus_channel_block(channel, 1 + b * BLOCK * INT64_C(1000), 1000, values, BLOCK, &error), &error);
    must(litmus_channel_close(channel, NULL, &error), &error);
    return (double)blocks * BLOCK * sizeof *values / (bench_now_us() - start);
}

static void remove_round(const char *folder) {
    char pattern[700];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/channels/*/*_round*.arrow", folder);
    if (glob(pattern, 0, NULL, &found) != 0) return;
    for (size_t i = 0; i < found.gl_pathc; i++) unlink(found.gl_pathv[i]);
    globfree(&found);
}

static double view_of(const char *folder, enum litmus_view view) {
    struct litmus_error error = {0};
    struct litmus_signal s;
    double start = bench_now_us();
    must(litmus_channel_view(folder, "wave", INT64_MIN, INT64_MAX, 1000, view, &s, &error), &error);
    double us = bench_now_us() - start;
    if (s.count < 990) exit(1);
    litmus_signal_release(&s);
    return us / 1e6;
}

int main(int argc, char **argv) {
    struct litmus_error error = {0};
    const char *folder = argc > 1 ? argv[1] : "/tmp/bench-channel";
    long blocks = (argc > 2 ? strtol(argv[2], NULL, 10) : 10000000) / BLOCK + 1;
    litmus_session *session;
    litmus_channel *channel;
    double *values = malloc(BLOCK * sizeof *values);
    if (values == NULL) return 1;
    for (long i = 0; i < BLOCK; i++) values[i] = (double)((i * 2654435761u) % 100003);
    setenv("LITMUS_DURABILITY", "group 60000 ms", 1); /* on the disk when it closes, as the plain file */
    must(litmus_session_open(&(struct litmus_session_options){.data_dir = folder, .no_daemon = true}, &session, &error), &error);
    double raw[ROUNDS], ours[ROUNDS];
    /* In turns, and the first round for nothing: memory that the system gives out for the first time is slow. */
    for (int i = -1; i < ROUNDS; i++) {
        double a = plain(folder, values, ROUND_BLOCKS), b = blocks_of(session, "round", values, ROUND_BLOCKS);
        remove_round(folder);
        if (i >= 0) raw[i] = a, ours[i] = b;
    }
    int middle = 0; /* the round with the middle ratio */
    for (int i = 0; i < ROUNDS; i++) {
        int less = 0;
        for (int k = 0; k < ROUNDS; k++) less += ours[k] / raw[k] < ours[i] / raw[i];
        if (less == ROUNDS / 2) middle = i;
    }
    (void)blocks_of(session, "wave", values, blocks);
    setenv("LITMUS_DURABILITY", "os", 1);
    must(litmus_channel_open(session, "single", NULL, &channel, &error), &error);
    double start = bench_now_us();
    for (int i = 0; i < SINGLE; i++) must(litmus_channel_sample(channel, 0, i, &error), &error);
    double one = (bench_now_us() - start) / SINGLE;
    must(litmus_channel_close(channel, NULL, &error), &error);
    must(litmus_session_close(session, NULL, &error), &error);
    printf("%.4f %.1f %.1f %.4f %.4f\n", one, ours[middle], raw[middle], view_of(folder, LITMUS_VIEW_MINMAX), view_of(folder, LITMUS_VIEW_LTTB));
    free(values);
    return 0;
}
