/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#define US INT64_C(1000000)
#define DAY_S INT64_C(86400)

static int64_t read_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * US + t.tv_nsec / 1000;
}

int64_t lt_now_us(void) {
    return read_clock(CLOCK_REALTIME);
}

int64_t lt_monotonic_us(void) {
    return read_clock(CLOCK_MONOTONIC);
}

int64_t lt_boot_us(void) {
    return read_clock(CLOCK_BOOTTIME);
}

struct civil {
    int64_t year;
    int month, day, hour, minute, second, us;
};

/* Days since the epoch to and from the Gregorian calendar; years start in March, so that the leap
 * day comes last. */
static int64_t days_from_civil(int64_t y, int m, int d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static struct civil civil_of(int64_t us) {
    int64_t second = us / US - (us % US < 0), rest = us % US;
    int64_t day = second / DAY_S - (second % DAY_S < 0);
    int64_t z = day + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t sod = second - day * DAY_S;
    struct civil c = {.year = yoe + era * 400 + (mp >= 10),
                      .month = (int)(mp < 10 ? mp + 3 : mp - 9),
                      .day = (int)(doy - (153 * mp + 2) / 5 + 1),
                      .hour = (int)(sod / 3600),
                      .minute = (int)(sod / 60 % 60),
                      .second = (int)(sod % 60),
                      .us = (int)(rest < 0 ? rest + US : rest)}; /* second * US may lie below INT64_MIN */
    return c;
}

static char *put(char *p, int64_t value, int digits) {
    for (int i = digits - 1; i >= 0; i--, value /= 10) p[i] = (char)('0' + value % 10);
    return p + digits;
}

/* Years outside 0000..9999 have no place in the texts; they are shown clamped. */
static struct civil clamped(int64_t us) {
    struct civil c = civil_of(us);
    if (c.year < 0) return (struct civil){0, 1, 1, 0, 0, 0, 0};
    if (c.year > 9999) return (struct civil){9999, 12, 31, 23, 59, 59, 999999};
    return c;
}

static char *put_date(char *p, const struct civil *c, bool dashes) {
    p = put(p, c->year, 4);
    if (dashes) *p++ = '-';
    p = put(p, c->month, 2);
    if (dashes) *p++ = '-';
    return put(p, c->day, 2);
}

static char *put_time(char *p, const struct civil *c, bool colons) {
    p = put(p, c->hour, 2);
    if (colons) *p++ = ':';
    p = put(p, c->minute, 2);
    if (colons) *p++ = ':';
    return put(p, c->second, 2);
}

static size_t finish(char *out, char *p) {
    *p = '\0';
    return (size_t)(p - out);
}

size_t lt_time_iso(int64_t us, char out[LT_ISO_BYTES]) {
    struct civil c = clamped(us);
    char *p = put_date(out, &c, true);
    *p++ = 'T';
    p = put_time(p, &c, true);
    *p++ = '.';
    p = put(p, c.us, 6);
    *p++ = 'Z';
    return finish(out, p);
}

size_t lt_time_sql(int64_t us, char out[LT_ISO_BYTES]) {
    struct civil c = clamped(us);
    char *p = put_date(out, &c, true);
    *p++ = ' ';
    p = put_time(p, &c, true);
    if (c.us != 0) {
        *p++ = '.';
        p = put(p, c.us, 6);
    }
    return finish(out, p);
}

size_t lt_time_date(int64_t us, char out[LT_ISO_BYTES]) {
    struct civil c = clamped(us);
    return finish(out, put_date(out, &c, true));
}

size_t lt_time_stamp(int64_t us, char out[LT_ISO_BYTES]) {
    struct civil c = clamped(us);
    char *p = put_date(out, &c, false);
    *p++ = 'T';
    p = put_time(p, &c, false);
    *p++ = 'Z';
    return finish(out, p);
}

/* Takes `digits` digits off the front of *s. */
static bool take(struct lt_str *s, int digits, int low, int high, int *value) {
    if (s->n < (size_t)digits) return false;
    int v = 0;
    for (int i = 0; i < digits; i++) {
        if (s->p[i] < '0' || s->p[i] > '9') return false;
        v = v * 10 + (s->p[i] - '0');
    }
    *s = (struct lt_str){s->p + digits, s->n - (size_t)digits};
    *value = v;
    return v >= low && v <= high;
}

static bool take_char(struct lt_str *s, const char *any_of) {
    if (s->n == 0) return false;
    while (*any_of != '\0' && *any_of != s->p[0]) any_of++; /* one to three of them: a call takes longer */
    if (*any_of == '\0') return false;
    *s = (struct lt_str){s->p + 1, s->n - 1};
    return true;
}

static bool take_fraction(struct lt_str *s, int *us) {
    int value = 0, digits = 0;
    while (s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9') {
        if (digits < 6) value = value * 10 + (s->p[0] - '0');
        digits++;
        *s = (struct lt_str){s->p + 1, s->n - 1};
    }
    if (digits == 0 || digits > 9) return false;
    for (; digits < 6; digits++) value *= 10;
    *us = value;
    return true;
}

static bool take_zone(struct lt_str *s, int64_t *offset_s) {
    *offset_s = 0;
    if (s->n == 0 || take_char(s, "Zz")) return true;
    bool west = s->p[0] == '-';
    int hour = 0, minute = 0;
    if (!take_char(s, "+-") || !take(s, 2, 0, 23, &hour)) return false;
    take_char(s, ":");
    if (s->n > 0 && !take(s, 2, 0, 59, &minute)) return false;
    *offset_s = (west ? -1 : 1) * (hour * 3600 + minute * 60);
    return true;
}

bool lt_time_parse(struct lt_str s, int64_t *us) {
    int year = 0;
    struct civil c = {0};
    if (s.p == NULL || !take(&s, 4, 0, 9999, &year) || !take_char(&s, "-") || !take(&s, 2, 1, 12, &c.month) ||
        !take_char(&s, "-") || !take(&s, 2, 1, 31, &c.day))
        return false;
    int64_t offset_s = 0;
    if (s.n > 0) {
        if (!take_char(&s, "Tt ") || !take(&s, 2, 0, 23, &c.hour) || !take_char(&s, ":") ||
            !take(&s, 2, 0, 59, &c.minute))
            return false;
        if (take_char(&s, ":") && !take(&s, 2, 0, 60, &c.second)) return false;
        if (take_char(&s, ".,") && !take_fraction(&s, &c.us)) return false;
        if (!take_zone(&s, &offset_s) || s.n > 0) return false;
    }
    int64_t day = days_from_civil(year, c.month, c.day);
    if (c.day > 28 && days_from_civil(year + c.month / 12, c.month % 12 + 1, 1) <= day) return false; /* there is no such day in this month */
    *us = ((day * DAY_S + c.hour * 3600 + c.minute * 60 + c.second) - offset_s) * US + c.us;
    return true;
}

bool lt_time_since(const char *text, int64_t now, int64_t *us) {
    int64_t count = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && count < INT64_C(1000000000); p++) count = count * 10 + (*p - '0');
    static const struct { char unit; int64_t seconds; } units[] = {
        {'s', 1}, {'m', 60}, {'h', 3600}, {'d', DAY_S}, {'w', 7 * DAY_S}, {'y', 365 * DAY_S}};
    for (size_t i = 0; p != text && p[0] != '\0' && p[1] == '\0' && i < sizeof units / sizeof units[0]; i++) {
        int64_t back;
        if (units[i].unit == p[0]) return !__builtin_mul_overflow(count, units[i].seconds * US, &back) && !__builtin_sub_overflow(now, back, us);
    }
    return lt_time_parse(lt_str_of(text), us);
}
