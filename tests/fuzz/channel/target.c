/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - any bytes as the file of a channel: what is read lies inside it, times never fall within a row, a
 * view shows no more than asked for; recovery keeps every row, and done again changes nothing.
 */
#define _GNU_SOURCE
#include "../fuzz.h"
#include "channel/channel.h"

#include <fcntl.h>

static int no_sync(void *self, int fd) {
    (void)self;
    (void)fd;
    return 0;
}

static void read_it(struct lt_channel_file *file) {
    struct lt_channel_set set = {.files = &file, .count = 1};
    struct lt_channel_span span;
    struct litmus_signal s = {0};
    struct litmus_error error = {0};
    lt_channel_set_span(&set, &span);
    check(span.samples >= 0 && span.samples <= (int64_t)file->count * LT_CHANNEL_BLOCK_MAX);
    check(lt_channel_set_read(&set, INT64_MIN, INT64_MAX, &s, &error) == LITMUS_OK);
    check(s.count <= span.samples);
    litmus_signal_release(&s);
    for (int view = 0; view < 2; view++) {
        int code = lt_channel_set_view(&set, INT64_MIN, INT64_MAX, 10, view == 0 ? LITMUS_VIEW_MINMAX : LITMUS_VIEW_LTTB, &s, &error);
        check(code == LITMUS_OK && s.count <= 10);
        litmus_signal_release(&s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static char path[300];
    if (path[0] == '\0') snprintf(path, sizeof path, "%s/channel.arrow", fuzz_folder());
    struct lt_io io = lt_io_os;
    io.fsync = io.fdatasync = no_sync;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    check(fd >= 0 && (n == 0 || write(fd, bytes, n) == (ssize_t)n));
    close(fd);
    struct litmus_error error = {0};
    struct lt_channel_file *file = NULL;
    int code = lt_channel_file_open(path, &file, &error);
    check(code == error.code);
    if (code != LITMUS_OK) return 0;
    size_t rows = file->count;
    int64_t end = file->end;
    bool sealed = file->sealed;
    read_it(file);
    lt_channel_file_free(file);
    for (int again = 0; again < 2; again++) {
        check(lt_channel_recover(&io, path, &error) == LITMUS_OK);
        check(lt_channel_file_open(path, &file, &error) == LITMUS_OK);
        check(file->sealed && file->count == rows && file->end == end);
        lt_channel_file_free(file);
    }
    char evidence[400];
    snprintf(evidence, sizeof evidence, "%s.torn-%lld", path, (long long)end);
    check(!(sealed && access(evidence, F_OK) == 0));
    unlink(evidence);
    return 0;
}
