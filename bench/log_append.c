/* SPDX-License-Identifier: Apache-2.0
 *
 * log_append.c - what an append costs over a raw write(2) of the same bytes, in the same run on the
 * same folder, how fast a log is read, and what of the append is the chain; what a seal's signature costs.
 * Usage: log_append [folder] [events]
 */
#include "bench.h"

#include "log/log.h"

#include <sys/stat.h>

static void die(const char *what, const struct litmus_error *error) {
    fprintf(stderr, "log_append: %s: %s\n", what, error == NULL ? "failed" : error->text);
    exit(1);
}

/* us per event; *path gets the log (to be freed). */
static double bench_append(const char *folder, int events, size_t json_bytes, char **path) {
    struct litmus_error error = {0};
    struct lt_log_options options = {.data_dir = folder, .session_id = "12345678-1234-4123-8123-123456789abc"};
    struct lt_log_writer *writer;
    char *json = malloc(json_bytes);
    if (json == NULL) die("memory", NULL);
    memset(json, 'x', json_bytes);
    if (lt_log_create(&options, &writer, &error) != LITMUS_OK) die("create", &error);
    double start = bench_now_us();
    for (int i = 0; i < events; i++) {
        struct lt_row row = {.id = LT_STR("87654321-1234-4123-8123-123456789abc"), .event_type = LT_STR("test.measurement"),
            .occurred_at = 1700000000000000 + i, .session_id = lt_str_of(options.session_id),
            .run_id = LT_STR("aaaaaaaa-1234-4123-8123-123456789abc"), .json = {json, json_bytes - (size_t)(i % 8)}};
        if (lt_log_append(writer, &row, 1, &error) != LITMUS_OK) die("append", &error);
    }
    double us = (bench_now_us() - start) / events;
    *path = strdup(lt_log_writer_path(writer));
    if (lt_log_seal(writer, &error) != LITMUS_OK) die("seal", &error);
    lt_log_writer_free(writer);
    free(json);
    return us;
}

static double bench_raw(const char *folder, int events, size_t bytes) {
    char path[512];
    snprintf(path, sizeof path, "%s/raw", folder);
    char *block = calloc(1, bytes);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0 || block == NULL) die("raw", NULL);
    double start = bench_now_us();
    for (int i = 0; i < events; i++)
        if (write(fd, block, bytes) != (ssize_t)bytes) die("raw write", NULL);
    double us = (bench_now_us() - start) / events;
    close(fd);
    unlink(path);
    free(block);
    return us;
}

static double bench_read(const char *path, bool chain) {
    struct litmus_error error = {0};
    struct lt_log_reader *reader;
    if (lt_log_reader_open(path, &reader, &error) != LITMUS_OK) die("open", &error);
    if (chain) lt_log_reader_check_chain(reader);
    struct lt_row row;
    double start = bench_now_us();
    enum lt_log_status status;
    while ((status = lt_log_next(reader, &row, &error)) == LT_LOG_EVENT) continue;
    double us = (bench_now_us() - start) / (double)lt_log_reader_rows(reader);
    if (status != LT_LOG_SEALED || !lt_log_reader_chain_ok(reader)) die("read", &error);
    lt_log_reader_free(reader);
    return us;
}

/* us per event for the chain of the rows of bench_append alone. */
static double bench_chain(int events, size_t json_bytes) {
    struct lt_chain *chain = lt_chain_new();
    char *json = malloc(json_bytes);
    unsigned char last[LT_CHAIN_BYTES], next[LT_CHAIN_BYTES];
    if (chain == NULL || json == NULL) die("memory", NULL);
    memset(json, 'x', json_bytes);
    lt_chain_start(chain, "12345678-1234-4123-8123-123456789abc-1", last);
    double start = bench_now_us();
    for (int i = 0; i < events; i++) {
        struct lt_row row = {.id = LT_STR("87654321-1234-4123-8123-123456789abc"), .event_type = LT_STR("test.measurement"),
            .occurred_at = 1700000000000000 + i, .received_at = 1700000000000000 + i, .session_id = LT_STR("12345678-1234-4123-8123-123456789abc"),
            .run_id = LT_STR("aaaaaaaa-1234-4123-8123-123456789abc"), .json = {json, json_bytes - (size_t)(i % 8)}};
        lt_chain_next(chain, last, &row, next);
        memcpy(last, next, sizeof last);
    }
    double us = (bench_now_us() - start) / events;
    lt_chain_free(chain);
    free(json);
    return us;
}

/* us for one signature: once a log. */
static double bench_sign(void) {
    enum { SIGNATURES = 200 };
    struct litmus_error error = {0};
    struct lt_key *key = NULL;
    unsigned char signature[LT_KEY_SIGNATURE_BYTES];
    if (lt_key_new(&key, &error) != LITMUS_OK) die("key", &error);
    double start = bench_now_us();
    for (int i = 0; i < SIGNATURES; i++)
        if (lt_key_sign(key, "litmus-seal-1\n", 14, signature, &error) != LITMUS_OK) die("sign", &error);
    double us = (bench_now_us() - start) / SIGNATURES;
    lt_key_free(key);
    return us;
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : "/tmp/log_append";
    int events = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 100000;
    const size_t sizes[] = {350, 700, 1400, 4000};
    mkdir(folder, 0777);
    printf("%8s %8s %10s %10s %6s %12s %12s %10s %10s\n", "json", "bytes", "raw us", "append us", "x", "read ev/s", "+chain ev/s", "chain us", "sign us");
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        double append = 1e9, raw = 1e9, read = 1e9, chain = 1e9, hash = 1e9, sign = 1e9;
        size_t bytes = 0;
        for (int round = 0; round < 5; round++) { /* the best of each: the rest is the neighbours' */
            char *path;
            struct stat st;
            double us = bench_append(folder, events, sizes[s], &path);
            if (us < append) append = us;
            if (stat(path, &st) != 0) die("stat", NULL);
            bytes = (size_t)st.st_size / (size_t)events;
            if ((us = bench_raw(folder, events, bytes)) < raw) raw = us;
            if ((us = bench_read(path, false)) < read) read = us;
            if ((us = bench_read(path, true)) < chain) chain = us;
            if ((us = bench_chain(events, sizes[s])) < hash) hash = us;
            if ((us = bench_sign()) < sign) sign = us;
            unlink(path);
            free(path);
        }
        printf("%8zu %8zu %10.2f %10.2f %6.2f %12.0f %12.0f %10.2f %10.2f\n", sizes[s], bytes, raw, append, append / raw, 1e6 / read, 1e6 / chain, hash, sign);
    }
    return 0;
}
