/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/tail.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRIES_MAX = 1000 };

void lt_tail_path(const char *path, struct lt_buf *out) {
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    lt_buf_add(out, path, (size_t)(name - path));
    lt_buf_addf(out, ".%s.tail", name);
}

void lt_tail_owner(const char *tail_path, struct lt_buf *out) {
    const char *slash = strrchr(tail_path, '/'), *name = slash == NULL ? tail_path : slash + 1;
    size_t n = strlen(name), around = strlen(".") + strlen(".tail");
    lt_buf_add(out, tail_path, (size_t)(name - tail_path));
    if (n > around) lt_buf_add(out, name + 1, n - around);
}

struct head {
    char magic[8];
    int64_t first_sample, count;
};
static_assert(offsetof(struct lt_channel_tail, count) == offsetof(struct head, count), "the same bytes");

/* A writer that died before it put anything down left zeros. */
static bool is_new(int fd) {
    static const struct head zeros;
    struct head head;
    ssize_t got = pread(fd, &head, sizeof head, 0);
    return got == 0 || (got == (ssize_t)sizeof head && memcmp(&head, &zeros, sizeof head) == 0);
}

static bool read_head(int fd, struct head *head) {
    return pread(fd, head, sizeof *head, 0) == (ssize_t)sizeof *head && memcmp(head->magic, LT_TAIL_MAGIC, sizeof head->magic) == 0 && head->first_sample >= 0 &&
           head->count >= 0 && head->count <= LT_CHANNEL_TAIL;
}

static bool read_part(int fd, void *out, size_t bytes, size_t at) {
    return pread(fd, out, bytes, (off_t)at) == (ssize_t)bytes;
}

/* Times never fall within a tail; from where they do on, it is damaged. */
static void cut_damage(struct lt_tail_samples *samples) {
    for (int64_t i = 1; i < samples->count; i++)
        if (samples->times[i] < samples->times[i - 1]) {
            samples->count = i;
            samples->damaged = true;
        }
}

int lt_tail_read(const char *path, enum litmus_type type, struct lt_tail_samples *out, struct litmus_error *error) {
    struct lt_buf name;
    lt_buf_init(&name);
    lt_tail_path(path, &name);
    *out = (struct lt_tail_samples){0};
    int fd = name.failed ? -1 : open(lt_buf_cstr(&name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    lt_buf_release(&name);
    if (fd < 0) return LITMUS_OK;
    size_t size = (size_t)lt_type_bytes(type);
    out->times = malloc(sizeof(int64_t) * LT_CHANNEL_TAIL);
    out->values = malloc(size * LT_CHANNEL_TAIL);
    struct head head, after;
    bool same = false, readable = true;
    /* The writer may empty it meanwhile: then what was copied is of two times. */
    for (int i = 0; out->values != NULL && out->times != NULL && readable && !same && i < TRIES_MAX; i++) {
        readable = read_head(fd, &head) && read_part(fd, out->times, (size_t)head.count * 8, offsetof(struct lt_channel_tail, times)) &&
                   read_part(fd, out->values, (size_t)head.count * size, offsetof(struct lt_channel_tail, values)) && read_head(fd, &after);
        same = readable && after.first_sample == head.first_sample && after.count >= head.count;
    }
    out->damaged = !readable && !is_new(fd);
    close(fd);
    if (out->values == NULL || out->times == NULL) {
        lt_tail_samples_release(out);
        return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the last samples of %s", path);
    }
    if (same) {
        out->first_sample = head.first_sample;
        out->count = head.count;
        cut_damage(out);
    }
    return LITMUS_OK;
}

void lt_tail_samples_release(struct lt_tail_samples *samples) {
    free(samples->times);
    free(samples->values);
    *samples = (struct lt_tail_samples){0};
}
