/* SPDX-License-Identifier: Apache-2.0
 *
 * reader.c - one channel file: where its rows are, and what is in them. The samples stay on the disk
 * until they are asked for.
 */
#include "base/grow.h"
#include "channel/channel.h"
#include "log/format.h"
#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SCALARS_BYTES = 4 * 8 + 8, SCAN_BYTES = 64 * 1024 };

/* false: the file is shorter, or cannot be read. */
static bool read_at(int fd, void *out, int64_t n, int64_t at) {
    char *p = out;
    while (n > 0) {
        ssize_t got = pread(fd, p, (size_t)n, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        p += got, at += got, n -= got;
    }
    return true;
}

static int read_start(struct lt_channel_file *file, int64_t size, struct litmus_error *error) {
    unsigned char start[LT_LOG_START_BYTES + LT_LOG_PREFIX_BYTES];
    if (size < (int64_t)sizeof start || !read_at(file->fd, start, sizeof start, 0) || memcmp(start, LT_LOG_MAGIC "\0", LT_LOG_START_BYTES) != 0)
        return lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no channel file: it does not start like one", file->path);
    int64_t n = (int64_t)lt_get32(start + LT_LOG_START_BYTES + 4) + LT_LOG_PREFIX_BYTES;
    /* Without the mark, the library would take the first number for the length. */
    if (lt_get32(start + LT_LOG_START_BYTES) != -1 || n <= LT_LOG_PREFIX_BYTES || n > LT_CHANNEL_SCHEMA_MAX || n % LT_LOG_ALIGN != 0 || LT_LOG_START_BYTES + n > size)
        return lt_fail(error, LITMUS_EDAMAGED, 0, "%s is cut off before its first sample, or damaged there", file->path);
    unsigned char *message = malloc((size_t)n);
    if (message == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for %s", file->path);
    const char *wrong = "it cannot be read";
    if (read_at(file->fd, message, n, LT_LOG_START_BYTES)) wrong = lt_channel_schema_read(message, n, &file->about, &file->schema);
    free(message);
    file->start = file->end = LT_LOG_START_BYTES + n;
    return wrong == NULL ? LITMUS_OK : lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no channel file that can be read: %s", file->path, wrong);
}

static bool row_sound(const struct lt_channel_row *row, bool even) {
    if (row->first_sample < 0 || row->first_sample > INT64_MAX / 2 || row->time_last < row->time) return false;
    if (!even) return true;
    return row->interval_ns > 0 && isfinite(row->interval_ns) && row->time_last == lt_channel_time(row->time, row->interval_ns, row->count - 1);
}

/* Is there a whole row at `at`? *bytes gets the length of its message. */
static bool read_row(const struct lt_channel_file *file, int64_t at, int64_t size, struct lt_channel_row *row, int64_t *bytes) {
    unsigned char head[LT_CHANNEL_HEADER_MAX + SCALARS_BYTES];
    int64_t header = lt_channel_header_bytes();
    struct lt_channel_plan plan;
    if (header == 0 || size - at < header + SCALARS_BYTES || !read_at(file->fd, head, header + SCALARS_BYTES, at)) return false;
    if (!lt_channel_header_match(head, file->about.type, &plan) || plan.body_bytes > size - at - header) return false;
    const unsigned char *body = head + header;
    *row = (struct lt_channel_row){.first_sample = lt_get64(body + plan.scalars[0]), .time = lt_get64(body + plan.scalars[1]),
        .time_last = lt_get64(body + plan.scalars[2]), .count = plan.count};
    if (plan.even) memcpy(&row->interval_ns, body + plan.scalars[3], sizeof row->interval_ns);
    *bytes = header + plan.body_bytes;
    return row_sound(row, plan.even);
}

/* The next place from `at` on where a whole row is; -1: none. */
static int64_t find_row(const struct lt_channel_file *file, int64_t at, int64_t size) {
    unsigned char window[SCAN_BYTES];
    struct lt_channel_row row;
    int64_t header = lt_channel_header_bytes(), bytes;
    for (; at + header < size; at += SCAN_BYTES) {
        int64_t n = size - at < SCAN_BYTES ? size - at : SCAN_BYTES;
        if (!read_at(file->fd, window, n, at)) return -1;
        for (int64_t i = 0; i + LT_LOG_PREFIX_BYTES <= n; i += LT_LOG_ALIGN)
            if (lt_get32(window + i) == -1 && lt_get32(window + i + 4) == header - LT_LOG_PREFIX_BYTES && read_row(file, at + i, size, &row, &bytes)) return at + i;
    }
    return -1;
}

static void plan_of(const struct lt_channel_file *file, size_t place, struct lt_channel_plan *plan) {
    const struct lt_channel_row *row = &file->places[place].row;
    lt_channel_plan(plan, file->about.type, row->count, row->interval_ns > 0);
}

int lt_channel_file_seal(const struct lt_channel_file *file, struct lt_buf *out, struct litmus_error *error) {
    struct lt_ipc_block *blocks = calloc(file->count + 1, sizeof *blocks);
    for (size_t i = 0; blocks != NULL && i < file->count; i++) {
        struct lt_channel_plan plan;
        plan_of(file, i, &plan);
        blocks[i] = (struct lt_ipc_block){.offset = file->places[i].offset, .header_bytes = (int32_t)lt_channel_header_bytes(), .body_bytes = plan.body_bytes};
    }
    bool ok = blocks != NULL && lt_ipc_seal(file->schema, blocks, file->count, out);
    free(blocks);
    return ok ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the footer of %s", file->path);
}

static bool is_seal(const struct lt_channel_file *file, int64_t at, int64_t size) {
    struct lt_buf seal, found;
    lt_buf_init(&seal);
    lt_buf_init(&found);
    bool same = lt_channel_file_seal(file, &seal, NULL) == LITMUS_OK && (int64_t)seal.n == size - at && lt_buf_reserve(&found, seal.n) &&
                read_at(file->fd, found.p, (int64_t)seal.n, at) && memcmp(found.p, seal.p, seal.n) == 0;
    lt_buf_release(&seal);
    lt_buf_release(&found);
    return same;
}

/* Where the seal begins that a file of `size` bytes seems to end with; -1: nowhere. */
static int64_t seal_start(const struct lt_channel_file *file, int64_t size) {
    unsigned char trailer[LT_LOG_TRAILER_BYTES];
    int64_t at = size - LT_LOG_TRAILER_BYTES;
    if (at < file->end || !read_at(file->fd, trailer, sizeof trailer, at) || memcmp(trailer + 4, LT_LOG_MAGIC, LT_LOG_MAGIC_BYTES) != 0) return -1;
    at -= (int64_t)lt_get32(trailer) + LT_LOG_PREFIX_BYTES;
    return at >= file->end && at < size ? at : -1;
}

/* Rows lie before `rows_end`. */
static int read_rows(struct lt_channel_file *file, int64_t rows_end, int64_t size, struct litmus_error *error) {
    for (int64_t at = file->end; at < size;) {
        struct lt_channel_row row;
        int64_t bytes = 0;
        if (!read_row(file, at, rows_end, &row, &bytes)) {
            if ((file->sealed = is_seal(file, at, size))) break;
            int64_t next = find_row(file, at + LT_LOG_ALIGN, rows_end);
            if (next < 0) break;
            file->damaged_bytes += next - at;
            at = next;
            continue;
        }
        struct lt_channel_place *places = lt_grow_list(file->places, file->count, &file->capacity, sizeof *places);
        if (places == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for %s", file->path);
        file->places = places;
        places[file->count++] = (struct lt_channel_place){.row = row, .offset = at};
        file->samples = row.first_sample + row.count;
        at += bytes;
        file->end = at;
    }
    return LITMUS_OK;
}

/* No row reaches into the seal: a damaged one that claims so much must not swallow what was sealed behind it. The end of an
 * unsealed file may look like a seal, too; then it is none for the rows before it. */
static int read_all_rows(struct lt_channel_file *file, int64_t size, struct litmus_error *error) {
    int64_t rows_end = seal_start(file, size);
    int code = rows_end < 0 ? LITMUS_OK : read_rows(file, rows_end, size, error);
    if (code != LITMUS_OK || file->sealed) return code;
    file->end = file->start;
    file->count = 0;
    file->samples = file->damaged_bytes = 0;
    return read_rows(file, size, size, error);
}

/* Those that came into a row between the reading of the tail and that of the rows go. */
static void trim_tail(struct lt_channel_file *file) {
    struct lt_tail_samples *tail = &file->tail;
    int64_t in_rows = file->samples - tail->first_sample;
    if (tail->count == 0 || in_rows <= 0) return;
    if (in_rows >= tail->count) {
        tail->count = 0;
        return;
    }
    size_t size = (size_t)lt_type_bytes(file->about.type);
    tail->count -= in_rows;
    tail->first_sample = file->samples;
    memmove(tail->times, tail->times + in_rows, (size_t)tail->count * sizeof *tail->times);
    memmove(tail->values, (char *)tail->values + (size_t)in_rows * size, (size_t)tail->count * size);
}

int lt_channel_file_open(const char *path, struct lt_channel_file **out, struct litmus_error *error) {
    struct lt_channel_file *file = calloc(1, sizeof *file);
    struct stat st;
    if (file == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for %s", path);
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    file->path = strdup(path);
    int code = LITMUS_OK;
    if (file->fd < 0) code = lt_fail_os(error, errno, "open", path);
    else if (file->path == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for %s", path);
    else if (fstat(file->fd, &st) != 0) code = lt_fail_os(error, errno, "stat", path);
    else if (!S_ISREG(st.st_mode)) code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s is not a plain file", path);
    if (code == LITMUS_OK) code = read_start(file, st.st_size, error);
    /* The tail first: what leaves it after that is in the file when its size is taken. */
    if (code == LITMUS_OK) code = lt_tail_read(path, file->about.type, &file->tail, error);
    if (code == LITMUS_OK && fstat(file->fd, &st) != 0) code = lt_fail_os(error, errno, "stat", path);
    if (code == LITMUS_OK) code = read_all_rows(file, st.st_size, error);
    if (code == LITMUS_OK) {
        trim_tail(file);
        file->live = !file->sealed && lt_log_is_live(path);
        *out = file;
    } else {
        lt_channel_file_free(file);
    }
    return code;
}

void lt_channel_file_rest(struct lt_channel_file *file) {
    if (file->fd >= 0) close(file->fd);
    file->fd = -1;
}

int lt_channel_file_wake(struct lt_channel_file *file, struct litmus_error *error) {
    if (file->fd < 0) file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return file->fd < 0 ? lt_fail_os(error, errno, "open", file->path) : LITMUS_OK;
}

void lt_channel_file_free(struct lt_channel_file *file) {
    if (file == NULL) return;
    if (file->fd >= 0) close(file->fd);
    lt_tail_samples_release(&file->tail);
    lt_ipc_schema_free(file->schema);
    free(file->places);
    free(file->path);
    free(file);
}

/* ---- what is in a row ---- */

static int read_body(const struct lt_channel_file *file, size_t place, void *out, int64_t n, int64_t at, struct litmus_error *error) {
    if (read_at(file->fd, out, n, file->places[place].offset + lt_channel_header_bytes() + at)) return LITMUS_OK;
    return lt_fail(error, LITMUS_EDAMAGED, 0, "%s was cut off while it was read, or cannot be read", file->path);
}

int lt_channel_file_head(const struct lt_channel_file *file, size_t place, struct lt_buf *out, struct litmus_error *error) {
    struct lt_channel_plan plan;
    int64_t header = lt_channel_header_bytes();
    plan_of(file, place, &plan);
    size_t bytes = (size_t)(header + plan.values);
    if (header == 0 || !lt_buf_reserve(out, bytes)) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a row of %s", file->path);
    int code = read_body(file, place, out->p + out->n, (int64_t)bytes, -header, error);
    if (code == LITMUS_OK) out->n += bytes;
    return code;
}

int64_t lt_channel_file_row_end(const struct lt_channel_file *file, size_t place) {
    struct lt_channel_plan plan;
    plan_of(file, place, &plan);
    return file->places[place].offset + lt_channel_header_bytes() + plan.body_bytes;
}

int lt_channel_file_values(const struct lt_channel_file *file, size_t place, int64_t from, int64_t count, void *out, struct litmus_error *error) {
    struct lt_channel_plan plan;
    int64_t size = lt_type_bytes(file->about.type);
    plan_of(file, place, &plan);
    return read_body(file, place, out, count * size, plan.values + from * size, error);
}

int lt_channel_file_times(const struct lt_channel_file *file, size_t place, int64_t from, int64_t count, int64_t *out, struct litmus_error *error) {
    const struct lt_channel_row *row = &file->places[place].row;
    struct lt_channel_plan plan;
    plan_of(file, place, &plan);
    if (!plan.even) return read_body(file, place, out, count * 8, plan.times + from * 8, error);
    for (int64_t i = 0; i < count; i++) out[i] = lt_channel_time(row->time, row->interval_ns, from + i);
    return LITMUS_OK;
}

int lt_channel_file_bins(const struct lt_channel_file *file, size_t place, struct lt_channel_bin *out, struct litmus_error *error) {
    struct lt_channel_plan plan;
    plan_of(file, place, &plan);
    int64_t n = plan.bin_max_at + plan.bins * 2 - plan.bin_min;
    unsigned char *bytes = malloc((size_t)n);
    double *reals = malloc((size_t)plan.bins * 2 * sizeof *reals);
    int code = bytes == NULL || reals == NULL ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a view of %s", file->path)
                                               : read_body(file, place, bytes, n, plan.bin_min, error);
    if (code == LITMUS_OK) {
        lt_type_doubles(file->about.type, bytes, plan.bins, reals);
        lt_type_doubles(file->about.type, bytes + (plan.bin_max - plan.bin_min), plan.bins, reals + plan.bins);
    }
    for (int64_t b = 0; code == LITMUS_OK && b < plan.bins; b++) {
        uint16_t min_at, max_at;
        memcpy(&min_at, bytes + (plan.bin_min_at - plan.bin_min) + b * 2, sizeof min_at);
        memcpy(&max_at, bytes + (plan.bin_max_at - plan.bin_min) + b * 2, sizeof max_at);
        int64_t first = b * LT_CHANNEL_BIN, last = plan.count - 1;
        out[b] = (struct lt_channel_bin){reals[b], reals[plan.bins + b], first + min_at, first + max_at};
        if (out[b].min_at > last) out[b].min_at = last; /* only in a damaged file */
        if (out[b].max_at > last) out[b].max_at = last;
    }
    free(reals);
    free(bytes);
    return code;
}
