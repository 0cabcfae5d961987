/* SPDX-License-Identifier: Apache-2.0
 *
 * view.c - samples by a window of time: all of them, or few that look alike. A view reads the extremes of the
 * bins, and samples only where a bin reaches over the border of a span, so that it is exact all the same.
 */
#include "channel/channel.h"

#include <math.h>
#include <string.h>

enum { LTTB_ALL_MAX = 1 << 20, LTTB_RATIO = 4, POINTS_MAX = 1 << 20 };

static int no_memory(struct litmus_error *error) {
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the samples of a channel");
}

void litmus_signal_release(struct litmus_signal *signal) {
    if (signal == NULL) return;
    free(signal->times_ns);
    free(signal->values);
    *signal = (struct litmus_signal){0};
}

/* ---- all samples of a window ---- */
static int64_t first_not_before(const int64_t *times, int64_t count, int64_t time) {
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (times[middle] < time) low = middle + 1;
        else high = middle;
    }
    return low;
}

static bool overlaps(const struct lt_channel_row *row, int64_t from, int64_t to) {
    return row->time_last >= from && row->time < to;
}

static int take_row(const struct lt_channel_file *file, size_t place, int64_t from, int64_t to, size_t size, struct litmus_signal *out, struct litmus_error *error) {
    const struct lt_channel_row *row = &file->places[place].row;
    int64_t *times = out->times_ns + out->count;
    int code = lt_channel_file_times(file, place, 0, row->count, times, error);
    if (code != LITMUS_OK) return code;
    int64_t first = first_not_before(times, row->count, from), end = first_not_before(times, row->count, to);
    if (end <= first) return LITMUS_OK;
    memmove(times, times + first, (size_t)(end - first) * sizeof *times);
    code = lt_channel_file_values(file, place, first, end - first, (char *)out->values + (size_t)out->count * size, error);
    out->count += end - first;
    return code;
}

static void take_tail(const struct lt_tail_samples *tail, int64_t from, int64_t to, size_t size, struct litmus_signal *out) {
    for (int64_t i = 0; i < tail->count; i++) {
        if (tail->times[i] < from || tail->times[i] >= to) continue;
        memcpy((char *)out->values + (size_t)out->count * size, (const char *)tail->values + (size_t)i * size, size);
        out->times_ns[out->count++] = tail->times[i];
    }
}

int lt_channel_set_read(const struct lt_channel_set *set, int64_t from, int64_t to, struct litmus_signal *out, struct litmus_error *error) {
    int64_t room = 1;
    for (size_t f = 0; f < set->count; f++) {
        room += set->files[f]->tail.count;
        for (size_t p = 0; p < set->files[f]->count; p++) room += overlaps(&set->files[f]->places[p].row, from, to) ? set->files[f]->places[p].row.count : 0;
    }
    *out = (struct litmus_signal){.type = set->files[0]->about.type};
    size_t size = (size_t)lt_type_bytes(out->type);
    out->times_ns = reallocarray(NULL, (size_t)room, sizeof *out->times_ns);
    out->values = reallocarray(NULL, (size_t)room, size);
    int code = out->times_ns == NULL || out->values == NULL ? no_memory(error) : LITMUS_OK;
    for (size_t f = 0; code == LITMUS_OK && f < set->count; f++) {
        const struct lt_channel_file *file = set->files[f];
        for (size_t p = 0; code == LITMUS_OK && p < file->count; p++)
            if (overlaps(&file->places[p].row, from, to)) code = take_row(file, p, from, to, size, out, error);
        if (code == LITMUS_OK) take_tail(&file->tail, from, to, size, out);
    }
    if (code != LITMUS_OK) litmus_signal_release(out);
    return code;
}

/* ---- the extremes of equal spans ---- */
struct span {
    bool any;
    double low, high;
    int64_t low_at, high_at;
};
struct spans {
    int64_t from, to; /* `to` is no part of it */
    int64_t count;
    struct span *list;
};

/* Nanoseconds from `origin` on; subtracted as whole numbers, since a time of today as a double is 256 ns coarse. */
static double since(int64_t time, int64_t origin) {
    return time >= origin ? (double)((uint64_t)time - (uint64_t)origin) : -(double)((uint64_t)origin - (uint64_t)time);
}

static int64_t span_of(const struct spans *s, int64_t time) {
    int64_t i = (int64_t)(since(time, s->from) / since(s->to, s->from) * (double)s->count);
    return i < 0 ? 0 : i >= s->count ? s->count - 1 : i;
}

static void feed(struct spans *s, int64_t time, double value) {
    if (time < s->from || time >= s->to || isnan(value)) return;
    struct span *span = &s->list[span_of(s, time)];
    if (!span->any || value < span->low) span->low = value, span->low_at = time;
    if (!span->any || value > span->high) span->high = value, span->high_at = time;
    span->any = true;
}

/* The times of a row, and room to read a bin. */
struct row_view {
    const struct lt_channel_file *file;
    size_t place;
    int64_t *times; /* NULL: evenly spaced */
};

static int64_t time_at(const struct row_view *v, int64_t i) {
    const struct lt_channel_row *row = &v->file->places[v->place].row;
    return v->times != NULL ? v->times[i] : lt_channel_time(row->time, row->interval_ns, i);
}

static int feed_samples(struct spans *s, const struct row_view *v, int64_t from, int64_t count, struct litmus_error *error) {
    unsigned char raw[LT_CHANNEL_BIN * 8];
    double values[LT_CHANNEL_BIN];
    int code = lt_channel_file_values(v->file, v->place, from, count, raw, error);
    if (code != LITMUS_OK) return code;
    lt_type_doubles(v->file->about.type, raw, count, values);
    for (int64_t i = 0; i < count; i++) feed(s, time_at(v, from + i), values[i]);
    return LITMUS_OK;
}

static int feed_bins(struct spans *s, const struct row_view *v, struct lt_channel_bin *bins, struct litmus_error *error) {
    int64_t count = v->file->places[v->place].row.count;
    int code = lt_channel_file_bins(v->file, v->place, bins, error);
    if (code == LITMUS_OK && v->times != NULL) code = lt_channel_file_times(v->file, v->place, 0, count, v->times, error);
    for (int64_t i = 0; code == LITMUS_OK && i < count; i += LT_CHANNEL_BIN) {
        int64_t n = count - i < LT_CHANNEL_BIN ? count - i : LT_CHANNEL_BIN;
        int64_t first = time_at(v, i), last = time_at(v, i + n - 1);
        if (last < s->from || first >= s->to) continue;
        if (first < s->from || last >= s->to || span_of(s, first) != span_of(s, last)) {
            code = feed_samples(s, v, i, n, error);
            continue;
        }
        const struct lt_channel_bin *bin = &bins[i / LT_CHANNEL_BIN];
        feed(s, time_at(v, bin->min_at), bin->min);
        feed(s, time_at(v, bin->max_at), bin->max);
    }
    return code;
}

static int feed_file(struct spans *s, const struct lt_channel_file *file, struct litmus_error *error) {
    int code = LITMUS_OK;
    for (size_t p = 0; code == LITMUS_OK && p < file->count; p++) {
        const struct lt_channel_row *row = &file->places[p].row;
        if (!overlaps(row, s->from, s->to)) continue;
        struct row_view v = {.file = file, .place = p};
        struct lt_channel_bin *bins = reallocarray(NULL, (size_t)(row->count / LT_CHANNEL_BIN + 1), sizeof *bins);
        if (row->interval_ns <= 0) v.times = reallocarray(NULL, (size_t)row->count, sizeof *v.times);
        code = bins == NULL || (row->interval_ns <= 0 && v.times == NULL) ? no_memory(error) : feed_bins(s, &v, bins, error);
        free(v.times);
        free(bins);
    }
    double *values = malloc(((size_t)file->tail.count + 1) * sizeof *values);
    if (values == NULL && code == LITMUS_OK) code = no_memory(error);
    if (code == LITMUS_OK) lt_type_doubles(file->about.type, file->tail.values, file->tail.count, values);
    for (int64_t i = 0; code == LITMUS_OK && i < file->tail.count; i++) feed(s, file->tail.times[i], values[i]);
    free(values);
    return code;
}

static int reals_new(int64_t room, struct litmus_signal *out, struct litmus_error *error) {
    *out = (struct litmus_signal){.type = LITMUS_FLOAT64};
    out->times_ns = reallocarray(NULL, (size_t)room, sizeof *out->times_ns);
    out->values = reallocarray(NULL, (size_t)room, sizeof(double));
    if (out->times_ns != NULL && out->values != NULL) return LITMUS_OK;
    litmus_signal_release(out);
    return no_memory(error);
}

static int view_minmax(const struct lt_channel_set *set, int64_t from, int64_t to, int64_t points, struct litmus_signal *out, struct litmus_error *error) {
    struct spans s = {.from = from, .to = to, .count = points / 2};
    s.list = calloc((size_t)s.count, sizeof *s.list);
    int code = s.list == NULL ? no_memory(error) : LITMUS_OK;
    for (size_t f = 0; code == LITMUS_OK && f < set->count; f++) code = feed_file(&s, set->files[f], error);
    if (code == LITMUS_OK) code = reals_new(points, out, error);
    for (int64_t i = 0; code == LITMUS_OK && i < s.count; i++) {
        const struct span *span = &s.list[i];
        if (!span->any) continue;
        bool low_first = span->low_at <= span->high_at;
        double *values = out->values;
        out->times_ns[out->count] = low_first ? span->low_at : span->high_at;
        values[out->count++] = low_first ? span->low : span->high;
        if (span->low_at == span->high_at) continue;
        out->times_ns[out->count] = low_first ? span->high_at : span->low_at;
        values[out->count++] = low_first ? span->high : span->low;
    }
    free(s.list);
    return code;
}

/* ---- largest triangle three buckets, in place ---- */
static void lttb(struct litmus_signal *s, int64_t points) {
    int64_t n = s->count, kept = 1, a = 0;
    double *v = s->values;
    if (n <= points) return;
    double every = (double)(n - 2) / (double)(points - 2);
    int64_t origin = s->times_ns[0];
    for (int64_t i = 0; i < points - 2; i++) {
        int64_t begin = (int64_t)((double)i * every) + 1, end = (int64_t)((double)(i + 1) * every) + 1, next_end = (int64_t)((double)(i + 2) * every) + 1;
        if (next_end > n) next_end = n;
        double mean_t = 0, mean_v = 0, most = -1;
        for (int64_t k = end; k < next_end; k++) mean_t += since(s->times_ns[k], origin), mean_v += v[k];
        int64_t width = next_end > end ? next_end - end : 1, best = begin;
        mean_t /= (double)width, mean_v /= (double)width;
        double at = since(s->times_ns[a], origin), av = v[a];
        for (int64_t k = begin; k < end; k++) {
            double area = fabs((at - mean_t) * (v[k] - av) - (at - since(s->times_ns[k], origin)) * (mean_v - av));
            if (area > most) most = area, best = k;
        }
        a = best; /* kept <= best: what is overwritten was looked at, but for the point itself, which moves to `kept` */
        int64_t t = s->times_ns[a];
        double value = v[a];
        s->times_ns[kept] = t, v[kept] = value;
        a = kept++;
    }
    s->times_ns[kept] = s->times_ns[n - 1], v[kept] = v[n - 1];
    s->count = kept + 1;
}

static int all_as_reals(const struct lt_channel_set *set, int64_t from, int64_t to, struct litmus_signal *out, struct litmus_error *error) {
    struct litmus_signal all;
    int code = lt_channel_set_read(set, from, to, &all, error);
    if (code != LITMUS_OK) return code;
    code = reals_new(all.count + 1, out, error);
    if (code == LITMUS_OK) {
        double *values = out->values;
        lt_type_doubles(all.type, all.values, all.count, values);
        for (int64_t i = 0; i < all.count; i++) {
            if (isnan(values[i])) continue;
            out->times_ns[out->count] = all.times_ns[i];
            values[out->count++] = values[i];
        }
    }
    litmus_signal_release(&all);
    return code;
}

int lt_channel_set_view(const struct lt_channel_set *set, int64_t from, int64_t to, int points, enum litmus_view view, struct litmus_signal *out, struct litmus_error *error) {
    if (points < 4 || points > POINTS_MAX) return lt_fail(error, LITMUS_EINVAL, 0, "a view of %d points: 4 to %d can be had", points, POINTS_MAX);
    struct lt_channel_span span;
    lt_channel_set_span(set, &span);
    if (from < span.first) from = span.first;
    if (to > span.last) to = span.last < INT64_MAX ? span.last + 1 : span.last;
    if (span.samples == 0 || from >= to) return reals_new(1, out, error);
    if (view == LITMUS_VIEW_MINMAX) return view_minmax(set, from, to, points, out, error);
    int code = span.samples <= LTTB_ALL_MAX ? all_as_reals(set, from, to, out, error) : view_minmax(set, from, to, (int64_t)points * LTTB_RATIO, out, error);
    if (code == LITMUS_OK) lttb(out, points);
    return code;
}
