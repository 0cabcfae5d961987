/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - any bytes as a log: the reader ends, stays within memory, and each event it gives is
 * valid UTF-8. The last byte of the input says how the file grows under the reader.
 */
#define _GNU_SOURCE
#include "../fuzz.h"
#include "log/layout.h"
#include "log/log.h"

static void check_text(struct lt_str text) {
    check(text.p != NULL || text.n == 0);
    check(text.n == 0 || lt_utf8_valid(text.p, text.n));
}

static void check_row(const struct lt_row *row) {
    check_text(row->id);
    check_text(row->event_type);
    check_text(row->session_id);
    check_text(row->run_id);
    check_text(row->json);
}

static enum lt_log_status read_on(struct lt_log_reader *reader) {
    struct lt_row row;
    int64_t passed = 0, end = 0;
    for (;;) {
        struct litmus_error error = {0};
        enum lt_log_status status = lt_log_next(reader, &row, &error);
        check((status == LT_LOG_FAILED) == (error.code != LITMUS_OK));
        if (status == LT_LOG_EVENT) {
            check_row(&row);
            check(lt_log_reader_offset(reader) > lt_log_reader_row_offset(reader));
        } else if (status == LT_LOG_DAMAGED) {
            struct lt_log_damage damage = lt_log_reader_damage(reader);
            check(damage.bytes > 0 && damage.offset >= end && damage.what != NULL);
            end = damage.offset + damage.bytes;
            passed += damage.bytes;
        } else {
            check(passed <= lt_log_reader_offset(reader));
            return status;
        }
    }
}

static enum lt_log_status read_whole(const char *path, int64_t *rows) {
    struct lt_log_reader *reader = NULL;
    check(lt_log_reader_open(path, &reader, NULL) == LITMUS_OK);
    lt_log_reader_check_chain(reader);
    enum lt_log_status status = read_on(reader);
    *rows = lt_log_reader_rows(reader);
    lt_log_reader_free(reader);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    char path[64];
    size_t first = n == 0 ? 0 : n * (bytes[n - 1] % 4) / 4;
    int fd = fuzz_file(bytes, first, path);
    struct lt_log_reader *reader = NULL;
    check(lt_log_reader_open(path, &reader, NULL) == LITMUS_OK);
    lt_log_reader_check_chain(reader);
    /* A second reading of a file that comes in two parts gives what the first gave, or more. */
    if (first > 0) read_on(reader);
    int64_t early = lt_log_reader_rows(reader);
    if (n > first) check(write(fd, bytes + first, n - first) == (ssize_t)(n - first));
    enum lt_log_status status = read_on(reader);
    check(lt_log_reader_rows(reader) >= early);
    if (status == LT_LOG_SEALED) check(lt_log_is_sealed(path));
    /* Who reads the same bytes twice finds the same. */
    int64_t rows, again;
    enum lt_log_status whole = read_whole(path, &rows);
    check(read_whole(path, &again) == whole && again == rows);
    lt_log_reader_free(reader);
    close(fd);
    return 0;
}
