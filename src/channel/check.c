/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - all of one channel file, held against what the writer would have written for its samples: where
 * rows are missing, or say something else than the samples behind them, and how it ends.
 */
#include "channel/channel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct check {
    const struct lt_channel_file *file;
    lt_channel_wrong_fn *wrong;
    void *self;
};

__attribute__((format(printf, 3, 4))) static void tell(const struct check *c, int64_t offset, const char *format, ...) {
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->wrong(c->self, offset, text);
}

/* The row as the writer would write it, up to the samples, against what is there. */
static int check_row(const struct check *c, size_t place, struct litmus_error *error) {
    const struct lt_channel_file *file = c->file;
    const struct lt_channel_row *row = &file->places[place].row;
    struct lt_channel_plan plan;
    struct lt_buf made, found;
    lt_channel_plan(&plan, file->about.type, row->count, row->interval_ns > 0);
    lt_buf_init(&made);
    lt_buf_init(&found);
    void *values = malloc((size_t)(row->count * lt_type_bytes(file->about.type)));
    int64_t *times = malloc((size_t)row->count * sizeof *times);
    int code = values == NULL || times == NULL ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a block of %s", file->path) : LITMUS_OK;
    if (code == LITMUS_OK) code = lt_channel_file_values(file, place, 0, row->count, values, error);
    if (code == LITMUS_OK) code = lt_channel_file_times(file, place, 0, row->count, times, error);
    if (code == LITMUS_OK) code = lt_channel_head(&plan, file->about.type, row, times, values, &made, error);
    if (code == LITMUS_OK) code = lt_channel_file_head(file, place, &found, error);
    if (code == LITMUS_OK && (found.n != made.n || memcmp(found.p, made.p, made.n) != 0))
        tell(c, file->places[place].offset, "the row of %" PRId64 " samples from %" PRId64 " on does not agree with its samples: it or they were changed", row->count,
             row->first_sample);
    bool rises = true;
    for (int64_t i = 1; code == LITMUS_OK && i < row->count; i++) rises = rises && times[i] >= times[i - 1];
    if (code == LITMUS_OK && (!rises || times[0] != row->time || times[row->count - 1] != row->time_last))
        tell(c, file->places[place].offset, "the times of the row of %" PRId64 " samples from %" PRId64 " on are not those that it says", row->count, row->first_sample);
    free(values);
    free(times);
    lt_buf_release(&made);
    lt_buf_release(&found);
    return code;
}

/* Row follows on row, sample on sample. */
static int check_rows(const struct check *c, struct litmus_error *error) {
    const struct lt_channel_file *file = c->file;
    int64_t at = file->start, samples = 0;
    int code = LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < file->count; i++) {
        const struct lt_channel_place *place = &file->places[i];
        int64_t missing = place->row.first_sample - samples;
        if (place->offset != at) tell(c, at, "%" PRId64 " bytes are damaged: %" PRId64 " samples that were there are lost", place->offset - at, missing);
        else if (missing != 0) tell(c, at, "sample %" PRId64 " follows on sample %" PRId64 ": rows were removed, added or moved", place->row.first_sample, samples - 1);
        code = check_row(c, i, error);
        samples = place->row.first_sample + place->row.count;
        at = i + 1 < file->count ? lt_channel_file_row_end(file, i) : 0;
    }
    return code;
}

static void check_tail(const struct check *c) {
    const struct lt_channel_file *file = c->file;
    int64_t missing = file->tail.first_sample - file->samples;
    if (file->tail.damaged && !file->live) tell(c, -1, "what lies beside it for its last samples (.arrow.tail) is damaged: some of them are lost");
    else if (file->tail.count > 0 && missing > 0) tell(c, -1, "%" PRId64 " samples before its last ones are lost", missing);
    else if (file->tail.count > 0 && file->sealed) tell(c, -1, "is sealed, and %" PRId64 " samples beside it (.arrow.tail) are not in it", file->tail.count);
}

int lt_channel_check(const char *path, lt_channel_wrong_fn *wrong, void *self, struct lt_channel_checked *out, struct litmus_error *error) {
    struct lt_channel_file *file = NULL;
    struct stat st;
    *out = (struct lt_channel_checked){0};
    int code = lt_channel_file_open(path, &file, error);
    if (code == LITMUS_OK && fstat(file->fd, &st) != 0) code = lt_fail_os(error, errno, "stat", path);
    if (code == LITMUS_OK) {
        struct check c = {file, wrong, self};
        code = check_rows(&c, error);
        if (code == LITMUS_OK) check_tail(&c);
        *out = (struct lt_channel_checked){.about = file->about, .end = file->end, .sealed = file->sealed, .live = file->live};
        for (size_t i = 0; i < file->count; i++) out->samples += file->places[i].row.count;
        out->samples += file->tail.count;
        if (!file->sealed && !file->live && st.st_size > file->end) out->torn_bytes = st.st_size - file->end;
    }
    lt_channel_file_free(file);
    return code;
}
