/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - any bytes as the file of a channel and what lies beside it for its last samples, for litmus verify: it says the same
 * twice and changes nothing; a file that nothing is found of keeps its samples when it is recovered, and nothing is found of it then.
 * Input: the length of the first in four bytes (little endian), the file, the rest is the tail (none: there is no such file), with zeros behind
 * it up to its size unless the highest bit of the length is set.
 */
#define _GNU_SOURCE
#include "../fuzz.h"
#include "channel/channel.h"
#include "channel/tail.h"

#include <fcntl.h>
#include <sys/stat.h>

static int no_sync(void *self, int fd) {
    (void)self;
    (void)fd;
    return 0;
}

struct said {
    int count;
    uint64_t sum;
    int64_t size;
};

static void on_wrong(void *self, int64_t offset, const char *text) {
    struct said *said = self;
    size_t n = strlen(text);
    check(n > 0 && n < 300 && offset >= -1 && offset <= said->size);
    for (size_t i = 0; i < n; i++) {
        check(text[i] >= ' ' && text[i] <= '~');
        said->sum = said->sum * 31 + (unsigned char)text[i];
    }
    said->sum += (uint64_t)offset;
    said->count++;
}

static int check_it(const char *path, int64_t size, struct said *said, struct lt_channel_checked *out) {
    struct litmus_error error = {0};
    *said = (struct said){.size = size};
    int code = lt_channel_check(path, on_wrong, said, out, &error);
    check(code == error.code && (code == LITMUS_OK || error.text[0] != '\0'));
    check(code != LITMUS_OK || (out->samples >= 0 && out->torn_bytes >= 0 && out->torn_bytes <= size && out->end <= size));
    return code;
}

static void put(const char *path, const uint8_t *bytes, size_t n) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    check(fd >= 0 && (n == 0 || write(fd, bytes, n) == (ssize_t)n));
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static char path[300], evidence[400];
    static struct lt_buf tail;
    if (path[0] == '\0') {
        snprintf(path, sizeof path, "%s/channel.arrow", fuzz_folder());
        lt_tail_path(path, &tail);
    }
    if (n < 4) return 0;
    size_t size = (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)(bytes[3] & 127) << 24;
    if (size > n - 4) size = n - 4;
    put(path, bytes + 4, size);
    unlink(lt_buf_cstr(&tail));
    if (n - 4 > size) put(lt_buf_cstr(&tail), bytes + 4 + size, n - 4 - size);
    if (n - 4 > size && bytes[3] < 128) check(truncate(lt_buf_cstr(&tail), sizeof(struct lt_channel_tail)) == 0);
    struct said said, again;
    struct lt_channel_checked found, after;
    int code = check_it(path, (int64_t)size, &said, &found);
    check(check_it(path, (int64_t)size, &again, &after) == code && said.count == again.count && said.sum == again.sum);
    check(code != LITMUS_OK || (found.samples == after.samples && found.end == after.end && found.sealed == after.sealed));
    if (code != LITMUS_OK || said.count > 0) return 0;
    struct lt_io io = lt_io_os;
    struct stat st;
    io.fsync = io.fdatasync = no_sync;
    check(lt_channel_recover(&io, path, NULL) == LITMUS_OK && stat(path, &st) == 0);
    check(check_it(path, st.st_size, &said, &after) == LITMUS_OK);
    check(said.count == 0 && after.sealed && after.samples == found.samples && access(lt_buf_cstr(&tail), F_OK) != 0);
    snprintf(evidence, sizeof evidence, "%s.torn-%lld", path, (long long)found.end);
    check((access(evidence, F_OK) == 0) == (found.torn_bytes > 0));
    unlink(evidence);
    return 0;
}
