/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/checks.h"

#include "base/config.h"
#include "base/grow.h"
#include "base/io.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct row {
    const char *name, *looks_at, *remedy;
    lt_mend_fn *mend;
} rows[LT_CHECKS] = {
#define ROW(id, name, looks_at, remedy, mend) {name, looks_at, remedy, mend},
    LT_DOCTOR_CHECKS(ROW)
#undef ROW
};

struct lt_doctor_row lt_doctor_row(size_t number) {
    if (number >= LT_CHECKS) return (struct lt_doctor_row){NULL, NULL, NULL, false};
    return (struct lt_doctor_row){rows[number].name, rows[number].looks_at, rows[number].remedy, rows[number].mend != NULL};
}

/* ---- what the checks share ---- */

void lt_doctor_tell(struct lt_doctor *d, enum lt_doctor_check check, enum lt_doctor_level level, const char *path, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct lt_doctor_item *grown = lt_grow_list(d->items, d->count, &d->capacity, sizeof *grown);
    if (grown == NULL) {
        d->arena.failed = true;
        return;
    }
    d->items = grown;
    struct lt_buf whole;
    lt_buf_init(&whole);
    if (path[0] != '/') path = path[0] == '\0' ? d->data_dir : lt_path_join(&whole, d->data_dir, path);
    struct lt_str own = lt_arena_str(&d->arena, lt_str_of(path)), words = lt_arena_str(&d->arena, lt_str_of(text));
    if (own.p != NULL && words.p != NULL) d->items[d->count++] = (struct lt_doctor_item){check, level, own.p, words.p};
    lt_buf_release(&whole);
}

void lt_doctor_tell_error(struct lt_doctor *d, enum lt_doctor_check check, const char *path, const struct litmus_error *error) {
    lt_doctor_tell(d, check, LT_DOCTOR_WRONG, path, "%s", error->text);
}

bool lt_doctor_has(const struct lt_doctor *d, uint64_t checks, const char *path) {
    for (size_t i = 0; i < d->count; i++)
        if ((checks >> d->items[i].check & 1) != 0 && strcmp(d->items[i].path, path) == 0) return true;
    return false;
}

int lt_doctor_set_aside(const char *path, bool move, struct litmus_error *error) {
    enum { NAMES_MAX = 1000 };
    struct stat st;
    struct lt_buf to;
    if (lstat(path, &st) != 0) return errno == ENOENT ? LITMUS_OK : lt_fail_os(error, errno, "look at", path);
    lt_buf_init(&to);
    int code = LITMUS_EBUSY;
    for (int i = 1; code == LITMUS_EBUSY && i <= NAMES_MAX; i++) {
        lt_buf_clear(&to);
        lt_buf_addf(&to, "%s.aside-%d", path, i);
        if (to.failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path");
        else if (lstat(lt_buf_cstr(&to), &st) == 0) continue;
        else if (!move) code = lt_io_copy_file(&lt_io_os, path, lt_buf_cstr(&to), error);
        else code = rename(path, lt_buf_cstr(&to)) == 0 ? LITMUS_OK : lt_fail_os(error, errno, "put aside", path);
    }
    if (code == LITMUS_EBUSY) lt_fail(error, code, 0, "%s cannot be put aside: too many of it are there already", path);
    lt_buf_release(&to);
    return code;
}

/* ---- looking and mending ---- */

static void say(const struct lt_doctor *d, const char *what) {
    if (d->options->progress != NULL) d->options->progress(d->options->self, what);
}

/* The second look does not wait again. */
static bool waits(void *self, const char *who) {
    struct lt_doctor *d = self;
    if (d->waited) return false;
    d->waited = true;
    if (d->options->waiting != NULL) d->options->waiting(d->options->self, who);
    return true;
}

static int look(struct lt_doctor *d, struct litmus_error *error) {
    static const struct {
        const char *what;
        void (*look)(struct lt_doctor *doctor);
    } looks[] = {{"the folder", lt_look_at_place}, {"the files", lt_look_at_files}, {"logs, run files and attachments", lt_look_at_record},
                 {"catalog and lake", lt_look_at_derived}, {"daemon, key and clock", lt_look_at_station}};
    int code = lt_query_open_memory(d->data_dir, &d->query, error);
    if (code == LITMUS_OK) lt_query_on_wait(d->query, waits, d);
    for (size_t i = 0; code == LITMUS_OK && i < sizeof looks / sizeof looks[0]; i++) {
        say(d, looks[i].what);
        looks[i].look(d);
    }
    lt_query_free(d->query);
    d->query = NULL;
    return code == LITMUS_OK && d->arena.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for what was found") : code;
}

static bool mend(struct lt_doctor *d) {
    bool any = false;
    for (size_t check = 0; check < LT_CHECKS; check++) {
        struct litmus_error error = {0};
        bool found = false;
        for (size_t i = 0; !found && i < d->count; i++) found = d->items[i].check == check;
        if (!found || rows[check].mend == NULL) continue;
        say(d, rows[check].name);
        any = true;
        if (rows[check].mend(d, &error) != LITMUS_OK) lt_doctor_tell_error(d, (enum lt_doctor_check)check, d->data_dir, &error);
    }
    return any;
}

static bool is_same(const struct lt_doctor_item *a, const struct lt_doctor_item *b) {
    return a->check == b->check && strcmp(a->path, b->path) == 0;
}

static bool is_among(const struct lt_doctor_item *item, const struct lt_doctor_item *items, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (is_same(item, &items[i])) return true;
    return false;
}

static void tell(const struct lt_doctor *d, const struct lt_doctor_item *item, bool mended, struct lt_doctor_sum *sum) {
    const struct row *row = &rows[item->check];
    int64_t *number = mended ? &sum->mended : item->level == LT_DOCTOR_WRONG ? &sum->wrong : &sum->notes;
    ++*number;
    struct lt_doctor_finding finding = {row->name, item->path, item->text, row->remedy, item->level, row->mend != NULL, mended};
    d->options->finding(d->options->self, &finding);
}

/* What was found and is not found again was mended; behind the first `found`, it is why a mend failed. */
static int look_again(struct lt_doctor *d, size_t found, struct lt_doctor_sum *sum, struct litmus_error *error) {
    struct lt_doctor_item *before = d->items;
    size_t count = d->count;
    d->items = NULL;
    d->count = d->capacity = 0;
    int code = look(d, error);
    for (size_t i = 0; code == LITMUS_OK && i < count; i++) {
        bool again = is_among(&before[i], d->items, d->count);
        if (!again || i >= found) tell(d, &before[i], i < found, sum);
    }
    free(before);
    return code;
}

int lt_doctor(const struct lt_doctor_options *options, struct lt_doctor_sum *sum, struct litmus_error *error) {
    struct lt_doctor d = {.options = options};
    struct stat st;
    *sum = (struct lt_doctor_sum){0};
    if (stat(options->data_dir, &st) != 0) return lt_fail_os(error, errno, "find the data_dir", options->data_dir);
    if (!S_ISDIR(st.st_mode)) return lt_fail(error, LITMUS_EINVAL, ENOTDIR, "%s is no folder", options->data_dir);
    char *real = realpath(options->data_dir, NULL);
    if (real == NULL) return lt_fail_os(error, errno, "find the data_dir", options->data_dir);
    d.data_dir = real;
    lt_arena_init(&d.arena);
    int code = look(&d, error);
    size_t found = d.count;
    if (code == LITMUS_OK && options->mend && mend(&d)) code = look_again(&d, found, sum, error);
    for (size_t i = 0; code == LITMUS_OK && i < d.count; i++) tell(&d, &d.items[i], false, sum);
    lt_arena_release(&d.arena);
    free(d.items);
    free(real);
    return code;
}
