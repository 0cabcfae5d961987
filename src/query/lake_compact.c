/* SPDX-License-Identifier: Apache-2.0
 *
 * New lake files are written under hidden names of another ending, which no glob meets, then renamed, and the old ones removed, then the
 * manifest follows. Whatever of that a crash leaves undone, the reader's rule (lake.h) holds; the next call tidies up.
 */
#include "query/lake.h"

#include "base/clock.h"
#include "base/grow.h"
#include "base/io.h"
#include "base/json_text.h"
#include "base/process.h"
#include "materialize/parquet.h"
#include "materialize/stack.h"
#include "query/lake_plans.h"
#include "query/lake_sums.h"
#include "query/query_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A row group is what is in memory at once, and what an engine hands to one of its threads. It holds rows of one kind: who asks for runs,
 * or for measurements, passes over all others by their statistics. A file of less than FILE_ROWS_FEW
 * is filled up when its month gets more; a larger one when what comes is half of what it has: so a row is copied a few times only. */
enum kind { RUNS, STEPS, MEASUREMENTS, KINDS };
enum { GROUP_ROWS = 50 * 1024, GROUP_BYTES = 32 << 20, FILE_GROUPS = 20, FILE_ROWS_FEW = 64 * 1024, MONTH_BYTES = 8, NAME_BYTES = 80, PART_BYTES = 40 };

struct written {
    char name[NAME_BYTES];
    struct lt_str columns; /* in the lake's arena */
    int64_t bytes, rows;
    size_t from, count; /* of compact.taken */
};

struct compact {
    struct lt_query *q;
    struct lt_lake lake; /* its files stay; its fresh runs go into new ones */
    struct lt_lake_done *done;
    bool (*on_run)(void *self, int64_t done, int64_t all);
    void *self;
    int64_t number;
    bool may_replace;
    /* The file that is being made, of the last `pending` of taken: */
    struct lt_stack stacks[KINDS]; /* rows of its next groups; all have the same columns */
    struct lt_parquet_writer *writer; /* NULL: no group is in it yet */
    struct lt_lake_plans plans;
    struct lt_buf sums; /* of what is written of it */
    int32_t groups;
    int64_t rows;
    size_t pending;
    char month[MONTH_BYTES];
    struct lt_parquet_series *series; /* of the run files */
    bool joined;                      /* the stacks have the columns of the run file read last */
    struct lt_lake_run **taken; /* runs that are in new files, and pending ones */
    size_t taken_count;
    struct written *files;
    size_t file_count, file_capacity;
};

static const char *lake_path(const struct compact *c, const char *name, struct lt_buf *out) {
    lt_buf_clear(out);
    lt_buf_addf(out, "%s/lake%s%s", c->q->data_dir, name[0] == '\0' ? "" : "/", name);
    return lt_buf_cstr(out);
}

static int no_memory(struct litmus_error *error) {
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory compacting the runs");
}

/* "runs/2026-05-16/x.parquet" -> "2026-05"; "other" for a folder of another name. */
static void month_of(struct lt_str path, char out[MONTH_BYTES]) {
    snprintf(out, MONTH_BYTES, "other");
    const char *p = path.p + 5;
    if (path.n < 16 || memcmp(path.p, "runs/", 5) != 0 || p[10] != '/') return;
    for (size_t i = 0; i < 10; i++)
        if (i == 4 || i == 7 ? p[i] != '-' : !isdigit((unsigned char)p[i])) return;
    snprintf(out, MONTH_BYTES, "%.7s", p);
}

/* ---- what is to do ---- */

static int64_t fresh_of_month(const struct lt_lake *lake, struct lt_str month) {
    char own[MONTH_BYTES];
    int64_t count = 0;
    for (size_t i = 0; i < lake->fresh_count; i++) {
        month_of(lake->fresh[i].path, own);
        count += lt_str_eq(lt_str_of(own), month);
    }
    return count;
}

/* The runs of files that are not kept are read again from their own files, which are the record. */
static int choose_files(struct compact *c, struct litmus_error *error) {
    for (size_t i = 0; i < c->lake.file_count; i++) {
        struct lt_lake_file *f = &c->lake.files[i];
        int64_t fresh = c->may_replace ? fresh_of_month(&c->lake, f->month) : 0;
        bool merged = fresh > 0 && (f->rows < FILE_ROWS_FEW || (f->rows < (int64_t)GROUP_ROWS * FILE_GROUPS / 2 && f->runs <= 2 * fresh));
        f->keep = !c->may_replace || (f->stale_count == 0 && !merged);
    }
    return lt_lake_drop(c->q, &c->lake, error);
}

/* ---- lake files ---- */

static struct written *add_written(struct compact *c) {
    struct written *grown = lt_grow_list(c->files, c->file_count, &c->file_capacity, sizeof *grown);
    if (grown == NULL) return NULL;
    c->files = grown;
    return &c->files[c->file_count++];
}

static void forget_pending(struct compact *c) {
    lt_parquet_writer_free(c->writer);
    lt_lake_plans_release(&c->plans);
    lt_buf_clear(&c->sums);
    c->writer = NULL;
    c->pending = 0;
    c->groups = 0;
    c->rows = 0;
}

/* "month=2026-05/part-x.parquet" -> "month=2026-05/.part-x.parquet.tmp": some globs take hidden names */
static const char *hidden_path(const struct compact *c, const char *name, struct lt_buf *out) {
    const char *file = strchr(name, '/') + 1;
    lt_buf_clear(out);
    lt_buf_addf(out, "%s/lake/%.*s.%s.tmp", c->q->data_dir, (int)(file - name), name, file);
    return lt_buf_cstr(out);
}

static int write_group(struct compact *c, enum kind kind, struct litmus_error *error) {
    int64_t rows = c->stacks[kind].rows;
    if (rows > 0) c->groups++;
    c->rows += rows;
    return lt_stack_write(&c->stacks[kind], &c->writer, error);
}

/* The columns of the file, as lake.h has them. */
static struct lt_str columns_text(struct compact *c) {
    struct lt_buf text;
    lt_buf_init(&text);
    const struct lt_stack *stack = &c->stacks[RUNS];
    for (size_t i = 0; i < stack->count; i++) lt_lake_add_column(&text, stack->columns[i].name, (int)stack->columns[i].type);
    struct lt_str own = lt_arena_str(&c->lake.arena, lt_str_of(lt_buf_cstr(&text)));
    lt_buf_release(&text);
    return own;
}

static int write_file(struct compact *c, const char *name, size_t *n, struct litmus_error *error) {
    struct lt_buf bytes, path;
    lt_buf_init(&bytes);
    lt_buf_init(&path);
    int code = lt_parquet_writer_end(c->writer, &bytes, error);
    *n = bytes.n;
    if (code == LITMUS_OK) code = lt_lake_sums_add(&c->sums, name, bytes.p, bytes.n, error);
    if (code == LITMUS_OK) code = lt_io_write_hidden(&lt_io_os, hidden_path(c, name, &path), bytes.p, bytes.n, error);
    lt_buf_release(&bytes);
    lt_buf_release(&path);
    return code;
}

/* Under its own name at once: nobody looks for it before the manifest names the file that it is beside. */
static int write_plans(struct compact *c, const char *name, size_t *n, struct litmus_error *error) {
    struct lt_buf bytes, beside, path;
    lt_buf_init(&bytes);
    lt_buf_init(&beside);
    lt_buf_init(&path);
    int code = lt_lake_plans_end(&c->plans, &bytes, error);
    *n += bytes.n;
    const char *own = lt_lake_plans_name(name, &beside);
    if (code == LITMUS_OK) code = lt_lake_sums_add(&c->sums, own, bytes.p, bytes.n, error);
    if (code == LITMUS_OK) code = lt_io_publish(&lt_io_os, lake_path(c, own, &path), bytes.p, bytes.n, error);
    lt_buf_release(&bytes);
    lt_buf_release(&beside);
    lt_buf_release(&path);
    return code;
}

static void add_member(struct lt_buf *out, const struct lt_lake_run *run, bool first) {
    lt_buf_add_text(out, first ? "[" : ",\n[");
    lt_json_str(out, run->path);
    lt_buf_addf(out, ",%lld,%lld,", (long long)run->size, (long long)run->mtime_ns);
    lt_json_str(out, run->run_id);
    lt_buf_add_char(out, ']');
}

/* Which run files its rows were made from, and the check sums of all. */
static int write_members(struct compact *c, const struct written *w, struct litmus_error *error) {
    struct lt_buf text, path, name;
    lt_buf_init(&text);
    lt_buf_init(&path);
    lt_buf_init(&name);
    lt_buf_add_char(&text, '[');
    for (size_t i = 0; i < w->count; i++) add_member(&text, c->taken[w->from + i], i == 0);
    lt_buf_add_text(&text, "]\n");
    lake_path(c, lt_lake_members_name(w->name, &name), &path);
    int code = text.failed ? no_memory(error) : lt_lake_sums_add(&c->sums, lt_buf_cstr(&path), text.p, text.n, error);
    if (code == LITMUS_OK) code = lt_io_publish(&lt_io_os, lt_buf_cstr(&path), text.p, text.n, error);
    if (code == LITMUS_OK) code = lt_io_publish(&lt_io_os, lake_path(c, lt_lake_sums_name(w->name, &name), &path), c->sums.p, c->sums.n, error);
    lt_buf_release(&text);
    lt_buf_release(&path);
    lt_buf_release(&name);
    return code;
}

/* The name of the file that is being made, without folder and ending: no other has it. */
static const char *part_of(const struct compact *c, char out[PART_BYTES]) {
    snprintf(out, PART_BYTES, "%016llx-%04llx", (unsigned long long)c->number, (unsigned long long)c->file_count);
    return out;
}

/* Ends the file that is being made. */
static int write_pending(struct compact *c, struct litmus_error *error) {
    if (c->pending == 0) return LITMUS_OK;
    struct lt_buf path;
    struct written w = {.from = c->taken_count - c->pending, .count = c->pending, .columns = columns_text(c)};
    char folder[32];
    size_t n = 0;
    lt_buf_init(&path);
    snprintf(folder, sizeof folder, "month=%s", c->month);
    snprintf(w.name, sizeof w.name, "%s/part-%s.parquet", folder, part_of(c, (char[PART_BYTES]){""}));
    int code = lt_io_mkdirs_below(&lt_io_os, c->q->data_dir, lake_path(c, folder, &path), error);
    for (enum kind kind = RUNS; code == LITMUS_OK && kind < KINDS; kind++) code = write_group(c, kind, error);
    if (code == LITMUS_OK) code = write_file(c, w.name, &n, error);
    if (code == LITMUS_OK) code = write_plans(c, w.name, &n, error);
    if (code == LITMUS_OK) code = write_members(c, &w, error);
    w.bytes = (int64_t)n;
    w.rows = c->rows;
    struct written *own = code == LITMUS_OK ? add_written(c) : NULL;
    if (own != NULL) *own = w;
    else if (code == LITMUS_OK) code = no_memory(error);
    c->done->rows += own == NULL ? 0 : w.rows;
    forget_pending(c);
    lt_buf_release(&path);
    return code;
}

/* The file as the ledger has it: one that changes meanwhile is the next compaction's. */
static bool read_run(const struct compact *c, const struct lt_lake_run *run, const struct lt_table **out, const bool **changed) {
    struct lt_buf path;
    struct stat st;
    lt_buf_init(&path);
    lt_buf_addf(&path, "%s/%.*s", c->q->data_dir, LT_STR_ARG(run->path));
    bool ok = lt_parquet_series_read(c->series, lt_buf_cstr(&path), out, changed, NULL) == LITMUS_OK;
    bool same = ok && lstat(lt_buf_cstr(&path), &st) == 0 && st.st_size == run->size && lt_mtime_ns(&st) == run->mtime_ns &&
                (*changed != NULL || lt_table_stackable(*out));
    lt_buf_release(&path);
    return same;
}

static void clear_stacks(struct compact *c) {
    for (enum kind kind = RUNS; kind < KINDS; kind++) lt_stack_release(&c->stacks[kind]);
}

/* Makes room for the rows: ends the file before a run that has no place in it. `known`: their columns are those of the run before. */
static int fit_run(struct compact *c, const struct lt_lake_run *run, const struct lt_table *rows, bool known, struct litmus_error *error) {
    char month[MONTH_BYTES];
    bool grows = false;
    int code = LITMUS_OK;
    bool fits = known || lt_stack_fits(&c->stacks[RUNS], rows, &grows);
    month_of(run->path, month);
    bool full = c->groups >= FILE_GROUPS || strcmp(month, c->month) != 0;
    if (full || !fits || (grows && (c->writer != NULL || c->plans.writer != NULL))) code = write_pending(c, error);
    if (!fits) clear_stacks(c); /* a column of another type starts another file */
    memcpy(c->month, month, sizeof month);
    for (enum kind kind = RUNS; !known && kind < KINDS; kind++) lt_stack_join(&c->stacks[kind], rows);
    return code;
}

static enum kind kind_of(const struct lt_table *rows, int64_t column, int64_t row) {
    struct lt_str kind = lt_table_str(rows, column, row);
    return lt_str_eq(kind, LT_STR("run")) ? RUNS : lt_str_eq(kind, LT_STR("measurement")) ? MEASUREMENTS : STEPS;
}

/* Rows of one kind mostly stand together. */
static void add_rows(struct compact *c, const struct lt_table *rows) {
    int64_t column = lt_table_find(rows, "record_type"), n = lt_table_rows(rows);
    for (int64_t from = 0, to; from < n; from = to) {
        enum kind kind = kind_of(rows, column, from);
        for (to = from + 1; to < n && kind_of(rows, column, to) == kind;) to++;
        lt_stack_add(&c->stacks[kind], rows, from, to);
    }
}

static int take_run(struct compact *c, struct lt_lake_run *run, struct litmus_error *error) {
    const struct lt_table *rows;
    const bool *changed;
    if (!read_run(c, run, &rows, &changed)) {
        c->joined = false;
        bool known; /* in place, which the ledger learns only now: the next compaction takes it */
        const char *path = run->path.p;
        (void)lt_catalog_recheck(c->q->catalog, &path, 1, &known, NULL);
        c->done->left++;
        return LITMUS_OK;
    }
    if (!c->joined) changed = NULL;
    c->joined = true;
    int code = fit_run(c, run, rows, changed != NULL, error);
    if (code == LITMUS_OK) {
        add_rows(c, rows);
        code = lt_lake_plans_add(&c->plans, part_of(c, (char[PART_BYTES]){""}), rows, changed, error);
        c->taken[c->taken_count++] = run;
        c->pending++;
        for (enum kind kind = RUNS; code == LITMUS_OK && kind < KINDS; kind++)
            if (c->stacks[kind].rows >= GROUP_ROWS || c->stacks[kind].bytes >= GROUP_BYTES) code = write_group(c, kind, error);
    }
    return code;
}

/* ---- the manifest ---- */

static void add_file(struct lt_buf *out, const char *name, struct lt_str columns, const int64_t numbers[3], bool first) {
    lt_buf_addf(out, "%s{\"name\":\"%s\",\"bytes\":%lld,\"rows\":%lld,\"runs\":%lld,\"columns\":", first ? "" : ",\n", name, (long long)numbers[0],
                (long long)numbers[1], (long long)numbers[2]);
    lt_json_str(out, columns);
    lt_buf_add_char(out, '}');
}

static int write_manifest(const struct compact *c, struct litmus_error *error) {
    struct lt_buf text, path;
    lt_buf_init(&text);
    lt_buf_init(&path);
    lt_buf_addf(&text, "{\"litmus_lake\":%d,\"files\":[\n", LT_LAKE_VERSION);
    for (size_t i = 0; i < c->lake.file_count; i++) {
        const struct lt_lake_file *f = &c->lake.files[i];
        add_file(&text, f->name.p, f->columns, (int64_t[3]){f->bytes, f->rows, f->runs}, i == 0);
    }
    for (size_t i = 0; i < c->file_count; i++) {
        const struct written *w = &c->files[i];
        add_file(&text, w->name, w->columns, (int64_t[3]){w->bytes, w->rows, (int64_t)w->count}, c->lake.file_count + i == 0);
    }
    lt_buf_add_text(&text, "]}\n");
    int code = text.failed || c->lake.arena.failed ? no_memory(error)
                                                   : lt_io_publish(&lt_io_os, lake_path(c, "_manifest.json", &path), text.p, text.n, error);
    lt_buf_release(&text);
    lt_buf_release(&path);
    return code;
}

/* ---- the change ---- */

/* Is it a file of the lake, or what lies beside one? */
static bool is_named(const struct compact *c, const char *name) {
    struct lt_buf beside;
    bool found = false;
    lt_buf_init(&beside);
    for (size_t i = 0; !found && i < c->lake.file_count + c->file_count; i++) {
        const char *own = i < c->lake.file_count ? c->lake.files[i].name.p : c->files[i - c->lake.file_count].name;
        found = strcmp(own, name) == 0 || strcmp(lt_lake_members_name(own, &beside), name) == 0 || strcmp(lt_lake_plans_name(own, &beside), name) == 0 ||
                strcmp(lt_lake_sums_name(own, &beside), name) == 0;
    }
    lt_buf_release(&beside);
    return found;
}

static bool starts(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* Removes what is no part of the lake; `hidden` alone, or also what glob readers see. */
static void tidy_month(struct compact *c, const char *month, bool hidden) {
    struct lt_buf path;
    char name[512];
    lt_buf_init(&path);
    struct stat st;
    DIR *dir = lstat(lake_path(c, month, &path), &st) == 0 && S_ISDIR(st.st_mode) ? opendir(lt_buf_cstr(&path)) : NULL; /* through no link */
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        const char *file = entry->d_name;
        if (hidden ? !starts(file, ".part-") : !starts(file, "part-") && !starts(file, "_part-")) continue;
        snprintf(name, sizeof name, "%s/%s", month, file);
        if (!hidden && is_named(c, name)) continue;
        if (unlink(lake_path(c, name, &path)) == 0) c->done->removed += starts(file, "part-");
    }
    if (dir != NULL) closedir(dir);
    lt_buf_release(&path);
}

static void tidy(struct compact *c, bool hidden) {
    struct lt_buf path;
    lt_buf_init(&path);
    DIR *dir = opendir(lake_path(c, "", &path));
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
        if (strncmp(entry->d_name, "month=", 6) == 0) tidy_month(c, entry->d_name, hidden);
    if (dir != NULL) closedir(dir);
    lt_buf_release(&path);
}

static int rename_written(struct compact *c, struct litmus_error *error) {
    struct lt_buf from, to;
    int code = LITMUS_OK;
    lt_buf_init(&from);
    lt_buf_init(&to);
    for (size_t i = 0; code == LITMUS_OK && i < c->file_count; i++) {
        hidden_path(c, c->files[i].name, &from);
        lake_path(c, c->files[i].name, &to);
        if (rename(lt_buf_cstr(&from), lt_buf_cstr(&to)) != 0) code = lt_fail_os(error, errno, "rename to", lt_buf_cstr(&to));
        char *slash = strrchr(to.p, '/');
        if (slash != NULL) *slash = '\0';
        bool last = i + 1 == c->file_count || strncmp(c->files[i].name, c->files[i + 1].name, (size_t)(strchr(c->files[i].name, '/') - c->files[i].name)) != 0;
        if (code == LITMUS_OK && last) code = lt_io_sync_dir(&lt_io_os, to.p, error);
    }
    lt_buf_release(&from);
    lt_buf_release(&to);
    return code;
}

static int change(struct compact *c, int readers, struct litmus_error *error) {
    if (c->may_replace && flock(readers, LOCK_EX | LOCK_NB) != 0)
        return lt_fail(error, LITMUS_EBUSY, errno, "somebody began to read the lake of %s meanwhile: compact again later", c->q->data_dir);
    int code = rename_written(c, error);
    if (code == LITMUS_OK && c->may_replace) tidy(c, false);
    if (code == LITMUS_OK) code = write_manifest(c, error);
    (void)flock(readers, LOCK_UN);
    if (code == LITMUS_OK) lt_lake_sync(c->q);
    return code;
}

/* What was left beside the lake, by one that was killed or had readers, goes though nothing new has come. */
static void tidy_idle(struct compact *c, int readers) {
    if (!c->may_replace || !lt_lake_is_synced(c->q) || flock(readers, LOCK_EX | LOCK_NB) != 0) return;
    tidy(c, false);
    (void)flock(readers, LOCK_UN);
}

static int take_runs(struct compact *c, struct litmus_error *error) {
    size_t count = c->lake.fresh_count;
    c->taken = calloc(count + 1, sizeof *c->taken);
    c->series = lt_parquet_series_new();
    int code = c->taken == NULL || c->series == NULL ? no_memory(error) : LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < count; i++) {
        if (c->on_run != NULL && !c->on_run(c->self, (int64_t)i, (int64_t)count)) break;
        code = take_run(c, &c->lake.fresh[i], error);
    }
    return code == LITMUS_OK ? write_pending(c, error) : code;
}

static int compact(struct compact *c, int readers, struct litmus_error *error) {
    int code = lt_lake_load(c->q, &c->lake, error);
    if (code != LITMUS_OK) return code;
    size_t files = c->lake.file_count;
    c->may_replace = flock(readers, LOCK_EX | LOCK_NB) == 0;
    (void)flock(readers, LOCK_UN);
    c->done->readers = !c->may_replace;
    tidy(c, true);
    code = choose_files(c, error);
    bool idle = c->lake.fresh_count == 0 && c->lake.file_count == files;
    if (code == LITMUS_OK) code = take_runs(c, error);
    if (code == LITMUS_OK && idle) tidy_idle(c, readers);
    else if (code == LITMUS_OK) code = change(c, readers, error);
    if (code != LITMUS_OK) tidy(c, true);
    c->done->runs = (int64_t)c->taken_count;
    c->done->files = (int64_t)c->file_count;
    forget_pending(c);
    return code;
}

int lt_lake_compact(struct lt_query *q, bool (*on_run)(void *self, int64_t done, int64_t all), void *self, struct lt_lake_done *done,
                    struct litmus_error *error) {
    struct compact c = {.q = q, .done = done, .on_run = on_run, .self = self, .number = lt_now_us()};
    struct lt_buf path;
    int lock = -1, readers = -1;
    *done = (struct lt_lake_done){0};
    for (enum kind kind = RUNS; kind < KINDS; kind++) lt_stack_init(&c.stacks[kind]);
    lt_lake_plans_init(&c.plans);
    lt_buf_init(&c.sums);
    lt_buf_init(&path);
    int code = lt_io_mkdirs_below(&lt_io_os, q->data_dir, lake_path(&c, "", &path), error);
    if (code == LITMUS_OK) code = lt_lock_take(lake_path(&c, "_compact.lock", &path), false, &lock, error);
    if (code == LITMUS_OK) readers = open(lake_path(&c, "_readers.lock", &path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (code == LITMUS_OK && readers < 0) code = lt_fail_os(error, errno, "open lock", lt_buf_cstr(&path));
    if (code == LITMUS_OK) code = compact(&c, readers, error);
    if (readers >= 0) close(readers);
    if (lock >= 0) close(lock);
    lt_lake_release(&c.lake);
    lt_lake_plans_release(&c.plans);
    lt_buf_release(&c.sums);
    clear_stacks(&c);
    lt_parquet_series_free(c.series);
    free(c.taken);
    free(c.files);
    lt_buf_release(&path);
    return code;
}
