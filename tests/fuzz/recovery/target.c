/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - any bytes as the log of a dead producer: recovery ends, loses no byte, and what it
 * leaves reads clean to a seal. Done again it changes nothing.
 */
#define _GNU_SOURCE
#include "../fuzz.h"
#include "log/log.h"

#include <fcntl.h>

static int no_sync(void *self, int fd) {
    (void)self;
    (void)fd;
    return 0;
}

static void store(const char *path, const void *bytes, size_t n) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    check(fd >= 0);
    if (n > 0) check(write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

static void load(const char *path, struct lt_buf *out) {
    lt_buf_init(out);
    check(lt_io_read_file(path, 1 << 28, out, NULL) == LITMUS_OK);
}

/* What was there before is there after: in front, and behind it in the evidence. */
static void check_kept(const char *path, const uint8_t *bytes, size_t n, const struct lt_log_recovery *report) {
    struct lt_buf after, torn;
    size_t kept = (size_t)report->torn_offset;
    load(path, &after);
    check(kept <= n && after.n >= kept && (kept == 0 || memcmp(after.p, bytes, kept) == 0));
    if (report->torn_bytes > 0) {
        load(report->evidence, &torn);
        check(torn.n == n - kept && memcmp(torn.p, bytes + kept, torn.n) == 0);
        lt_buf_release(&torn);
        check(unlink(report->evidence) == 0);
    } else {
        /* Nothing behind it, or the start of the very seal that recovery wrote. */
        check(n - kept <= after.n - kept && (n == kept || memcmp(after.p + kept, bytes + kept, n - kept) == 0));
    }
    lt_buf_release(&after);
}

static void check_clean(const char *path, const struct lt_log_recovery *report) {
    struct lt_log_reader *reader = NULL;
    struct litmus_error error = {0};
    struct lt_row row;
    enum lt_log_status status;
    check(lt_log_reader_open(path, &reader, &error) == LITMUS_OK);
    bool damaged = false;
    while ((status = lt_log_next(reader, &row, &error)) == LT_LOG_EVENT || status == LT_LOG_DAMAGED) damaged = damaged || status == LT_LOG_DAMAGED;
    check(lt_log_reader_rows(reader) == report->rows);
    check(status == LT_LOG_SEALED || (status == LT_LOG_OPEN && report->rows == 0)); /* without a schema it ends empty */
    check(!damaged || report->end == LT_LOG_DAMAGED || report->end == LT_LOG_SEALED);
    lt_log_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static char path[300];
    if (path[0] == '\0') snprintf(path, sizeof path, "%s/log.arrow", fuzz_folder());
    struct lt_io io = lt_io_os;
    io.fsync = io.fdatasync = no_sync;
    struct litmus_error error = {0};
    struct lt_log_recovery report, again;
    store(path, bytes, n);
    int code = lt_log_recover(&io, path, NULL, &report, &error);
    check(code == error.code);
    struct lt_buf first, second;
    load(path, &first);
    if (code != LITMUS_OK) {
        check(first.n == n && (n == 0 || memcmp(first.p, bytes, n) == 0)); /* a file that is none of ours is left alone */
        lt_buf_release(&first);
        return 0;
    }
    if (report.end == LT_LOG_SEALED) check(first.n == n && memcmp(first.p, bytes, n) == 0);
    else check_kept(path, bytes, n, &report);
    check_clean(path, &report);
    check(lt_log_recover(&io, path, NULL, &again, &error) == LITMUS_OK);
    check(again.rows == report.rows && again.torn_bytes == 0);
    load(path, &second);
    check(second.n == first.n && (first.n == 0 || memcmp(first.p, second.p, first.n) == 0));
    lt_buf_release(&first);
    lt_buf_release(&second);
    return 0;
}
