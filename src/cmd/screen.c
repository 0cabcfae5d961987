/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/screen.h"

#include "base/clock.h"

#include <stdio.h>
#include <time.h>

/* ---- characters ---- */

/* The character at the front of `s` and its length; -1 and 1 when it is no UTF-8. */
static int32_t decode(struct lt_str s, size_t *bytes) {
    static const struct {
        unsigned char mask, lead, more;
        int32_t least;
    } forms[] = {{0x80, 0x00, 0, 0}, {0xe0, 0xc0, 1, 0x80}, {0xf0, 0xe0, 2, 0x800}, {0xf8, 0xf0, 3, 0x10000}};
    unsigned char c = (unsigned char)s.p[0];
    *bytes = 1;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if ((c & forms[i].mask) != forms[i].lead) continue;
        int32_t code = c & (unsigned char)~forms[i].mask;
        if (s.n <= forms[i].more) return -1;
        for (size_t k = 1; k <= forms[i].more; k++) {
            if (((unsigned char)s.p[k] & 0xc0) != 0x80) return -1;
            code = code << 6 | ((unsigned char)s.p[k] & 0x3f);
        }
        if (code < forms[i].least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return -1;
        *bytes = forms[i].more + 1u;
        return code;
    }
    return -1;
}

struct range {
    int32_t first, last;
};

static bool in_ranges(int32_t c, const struct range *ranges, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].first && c <= ranges[i].last) return true;
    return false;
}
#define IN(c, ranges) in_ranges(c, ranges, sizeof(ranges) / sizeof((ranges)[0]))

/* Neither seen nor harmless: they move the cursor, or turn the direction of writing. */
static bool is_control(int32_t c) {
    static const struct range ranges[] = {{0x00, 0x1f}, {0x7f, 0x9f}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}};
    return IN(c, ranges);
}

static size_t columns_of(int32_t c) {
    static const struct range none[] = {{0x300, 0x36f}, {0x483, 0x489}, {0x591, 0x5bd}, {0x610, 0x61a}, {0x64b, 0x65f}, {0x93c, 0x93c}, {0x941, 0x948},
                                        {0xe31, 0xe31}, {0xe34, 0xe3a}, {0xe47, 0xe4e}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x20d0, 0x20ff},
                                        {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef}};
    static const struct range two[] = {{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0x4dbf}, {0x4e00, 0xa4cf}, {0xa960, 0xa97f}, {0xac00, 0xd7a3},
                                       {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff},
                                       {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
    if (c < 0x300) return 1;
    return IN(c, none) ? 0 : IN(c, two) ? 2 : 1;
}

/* Appends one character, escaped if need be. Returns its columns. */
static size_t show_one(struct lt_buf *out, struct lt_str s, size_t *bytes) {
    int32_t c = decode(s, bytes);
    size_t before = out->n;
    if (c >= 0 && !is_control(c)) {
        lt_buf_add(out, s.p, *bytes);
        return columns_of(c);
    }
    if (c == '\n') lt_buf_add_text(out, "\\n");
    else if (c == '\t') lt_buf_add_text(out, "\\t");
    else if (c < 0x80) lt_buf_addf(out, "\\x%02x", (unsigned char)s.p[0]);
    else lt_buf_addf(out, "\\u%04x", (unsigned)c);
    return out->n - before;
}

void lt_show_str(struct lt_buf *out, struct lt_str text) {
    for (size_t i = 0, bytes; i < text.n; i += bytes) show_one(out, (struct lt_str){text.p + i, text.n - i}, &bytes);
}

void lt_show_short(struct lt_buf *out, struct lt_str text, size_t width) {
    size_t used = 0, fits = out->n; /* where to cut so that "..." has room */
    for (size_t i = 0, bytes; i < text.n; i += bytes) {
        used += show_one(out, (struct lt_str){text.p + i, text.n - i}, &bytes);
        if (used + 3 <= width) fits = out->n;
        if (used > width) {
            out->n = fits;
            lt_buf_add_text(out, "...");
            return;
        }
    }
}

size_t lt_show_width(struct lt_str shown) {
    size_t width = 0;
    for (size_t i = 0, bytes; i < shown.n; i += bytes) {
        int32_t c = decode((struct lt_str){shown.p + i, shown.n - i}, &bytes);
        if (c == 0x1b) { /* a colour of ours: up to the m */
            while (i + bytes < shown.n && shown.p[i + bytes - 1] != 'm') bytes++;
            continue;
        }
        width += c < 0 ? 1 : columns_of(c);
    }
    return width;
}

void lt_show_color(struct lt_buf *out, bool on, enum lt_color color) {
    static const char *const codes[] = {"0", "1", "2", "31", "32", "33", "34", "35"};
    if (on) lt_buf_addf(out, "\033[%sm", codes[color]);
}

/* ---- values ---- */

void lt_show_time(struct lt_buf *out, int64_t us, bool utc) {
    char text[40];
    struct tm tm;
    time_t s = (time_t)(us / 1000000 - (us % 1000000 < 0));
    if (us == LT_TIME_NONE || (utc ? gmtime_r(&s, &tm) : localtime_r(&s, &tm)) == NULL || strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        lt_buf_add_char(out, '-');
    else lt_buf_addf(out, "%s%s", text, utc ? "Z" : "");
}

void lt_show_duration(struct lt_buf *out, int64_t us) {
    int64_t s = us / 1000000;
    if (us < 0) lt_buf_add_char(out, '-');
    else if (us < 1000) lt_buf_addf(out, "%.2f ms", (double)us / 1000);
    else if (us < 1000000) lt_buf_addf(out, "%lld ms", (long long)(us / 1000));
    else if (s < 60) lt_buf_addf(out, "%.2f s", (double)us / 1e6);
    else if (s < 3600) lt_buf_addf(out, "%lld min %02lld s", (long long)(s / 60), (long long)(s % 60));
    else lt_buf_addf(out, "%lld h %02lld min", (long long)(s / 3600), (long long)(s / 60 % 60));
}

void lt_show_number(struct lt_buf *out, double value) {
    lt_buf_addf(out, "%.10g", value); /* --json has every digit */
}

struct lt_outcome_look lt_outcome_look(struct lt_str outcome, bool live, bool started, bool utf8) {
    static const struct {
        const char *word, *symbol, *ascii;
        enum lt_color color;
    } looks[] = {
        {"passed", "✓", "+", LT_GREEN},     {"failed", "✗", "x", LT_RED},        {"errored", "!", "!", LT_RED},     {"skipped", "-", "-", LT_YELLOW},
        {"done", "·", ".", LT_PLAIN},       {"terminated", "■", "#", LT_MAGENTA}, {"aborted", "†", "%", LT_MAGENTA},
    };
    for (size_t i = 0; outcome.p != NULL && i < sizeof looks / sizeof looks[0]; i++)
        if (lt_str_eq(outcome, lt_str_of(looks[i].word)))
            return (struct lt_outcome_look){utf8 ? looks[i].symbol : looks[i].ascii, looks[i].word, looks[i].color};
    if (outcome.p != NULL) return (struct lt_outcome_look){"?", "unknown", LT_RED};
    if (started) return (struct lt_outcome_look){utf8 ? "▸" : ">", live ? "running" : "cut off", LT_BLUE};
    return (struct lt_outcome_look){utf8 ? "○" : "o", live ? "not yet" : "Never Ran", live ? LT_DIM : LT_YELLOW};
}

/* ---- grid ---- */

void lt_grid_init(struct lt_grid *grid, size_t columns, uint32_t right) {
    *grid = (struct lt_grid){.columns = columns, .right = right};
    lt_buf_init(&grid->text);
}

void lt_grid_release(struct lt_grid *grid) {
    lt_buf_release(&grid->text);
}

void lt_grid_end_cell(struct lt_grid *grid) {
    lt_buf_add_char(&grid->text, '\0');
    grid->cells++;
}

void lt_grid_cell(struct lt_grid *grid, struct lt_str text, enum lt_color color, bool on) {
    enum { CELL_COLUMNS_MAX = 48 };
    on = on && color != LT_PLAIN && text.n > 0;
    lt_show_color(&grid->text, on, color);
    if (text.n == 0) lt_buf_add_char(&grid->text, '-');
    lt_show_short(&grid->text, text, CELL_COLUMNS_MAX);
    lt_show_color(&grid->text, on, LT_PLAIN);
    lt_grid_end_cell(grid);
}

void lt_grid_print(const struct lt_grid *grid) {
    enum { COLUMNS_MAX = 32 };
    size_t widths[COLUMNS_MAX] = {0};
    if (grid->text.failed || grid->columns > COLUMNS_MAX) return;
    const char *cell = grid->text.p;
    for (size_t i = 0; i < grid->cells; i++, cell += strlen(cell) + 1) {
        size_t width = lt_show_width(lt_str_of(cell));
        if (width > widths[i % grid->columns]) widths[i % grid->columns] = width;
    }
    cell = grid->text.p;
    for (size_t i = 0; i < grid->cells; i++, cell += strlen(cell) + 1) {
        size_t column = i % grid->columns;
        int pad = (int)(widths[column] - lt_show_width(lt_str_of(cell)));
        bool last = column + 1 == grid->columns, right = (grid->right >> column & 1) != 0;
        if (right) printf("%*s%s", pad, "", cell);
        else if (last) fputs(cell, stdout);
        else printf("%s%*s", cell, pad, "");
        fputs(last ? "\n" : "  ", stdout);
    }
}
