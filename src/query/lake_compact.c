/* SPDX-License-Identifier: Apache-2.0
 *
 * New lake files are written under hidden names, which no glob meets, then renamed, and the old ones removed, then the
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

/* Rows of one lake file: what is in memory while it is made. A file of less than half is filled up when its month gets more. */
enum { FILE_ROWS = 64 * 1024, MONTH_BYTES = 8 };

struct written {
    char name[80];
    int64_t bytes, rows;
    size_t from, count; /* of compact.taken */
};

struct compact {
    struct lt_query *q;
    struct lt_lake lake;
    struct lt_lake_done *done;
    void (*on_run)(void *self, int64_t done, int64_t all);
    void *self;
    int64_t seen, number;
    bool may_replace;
    struct lt_table *tables; /* the rows of the lake file that is being made, of the last `pending` of taken */
    size_t pending;
    int64_t pending_rows;
    struct lt_map columns; /* of the pending tables, by name: type */
    char month[MONTH_BYTES];
    struct lt_lake_member **taken; /* runs that are in new files, and pending ones */
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

static bool month_has_fresh(const struct lt_lake *lake, struct lt_str month) {
    char own[MONTH_BYTES];
    for (size_t i = 0; i < lake->fresh_count; i++) {
        month_of(lake->fresh[i].path, own);
        if (lt_str_eq(lt_str_of(own), month)) return true;
    }
    return false;
}

static void choose_files(struct compact *c) {
    for (size_t i = 0; i < c->lake.file_count; i++) {
        struct lt_lake_file *f = &c->lake.files[i];
        bool small = f->rows < FILE_ROWS / 2;
        f->keep = f->usable && (!c->may_replace || (f->stale == 0 && !(small && month_has_fresh(&c->lake, f->month))));
    }
}

static int by_path(const void *a, const void *b) {
    const struct lt_lake_member *const *x = a, *const *y = b;
    return lt_str_cmp((*x)->path, (*y)->path);
}

/* Every run that goes into a new file, by path: month after month. */
static struct lt_lake_member **choose_runs(struct compact *c, size_t *count) {
    struct lt_lake *lake = &c->lake;
    struct lt_lake_member **runs = calloc(lake->fresh_count + lake->member_count + 1, sizeof *runs);
    size_t n = 0;
    for (size_t i = 0; runs != NULL && i < lake->fresh_count; i++) runs[n++] = &lake->fresh[i];
    for (size_t i = 0; runs != NULL && i < lake->member_count; i++)
        if (lake->members[i].current && !lake->files[lake->members[i].file].keep) runs[n++] = &lake->members[i];
    if (runs != NULL) qsort(runs, n, sizeof(struct lt_lake_member *), by_path);
    *count = n;
    return runs;
}

/* ---- lake files ---- */

static struct written *add_written(struct compact *c) {
    struct written *grown = lt_grow_list(c->files, c->file_count, &c->file_capacity, sizeof *grown);
    if (grown == NULL) return NULL;
    c->files = grown;
    return &c->files[c->file_count++];
}

static void forget_pending(struct compact *c) {
    for (size_t i = 0; i < c->pending; i++) lt_table_release(&c->tables[i]);
    c->pending = 0;
    c->pending_rows = 0;
    lt_map_release(&c->columns);
    lt_map_init(&c->columns);
}

/* "month=2026-05/part-x.parquet" -> "month=2026-05/.part-x.parquet" */
static const char *hidden_path(const struct compact *c, const char *name, struct lt_buf *out) {
    const char *file = strchr(name, '/') + 1;
    lt_buf_clear(out);
    lt_buf_addf(out, "%s/lake/%.*s.%s", c->q->data_dir, (int)(file - name), name, file);
    return lt_buf_cstr(out);
}

static int write_pending(struct compact *c, struct litmus_error *error) {
    if (c->pending == 0) return LITMUS_OK;
    struct lt_table rows;
    struct lt_buf bytes, path;
    char name[80], folder[32];
    lt_buf_init(&bytes);
    lt_buf_init(&path);
    snprintf(folder, sizeof folder, "month=%s", c->month);
    snprintf(name, sizeof name, "%s/part-%016llx-%04llx.parquet", folder, (unsigned long long)c->number, (unsigned long long)c->file_count);
    int code = lt_io_mkdirs_below(&lt_io_os, c->q->data_dir, lake_path(c, folder, &path), error);
    if (code == LITMUS_OK) code = lt_table_stack(c->tables, c->pending, &rows, error);
    if (code == LITMUS_OK) {
        code = lt_parquet_encode(&rows, NULL, 0, &bytes, error);
        lt_table_release(&rows);
    }
    if (code == LITMUS_OK) code = lt_io_write_hidden(&lt_io_os, hidden_path(c, name, &path), bytes.p, bytes.n, error);
    struct written *w = code == LITMUS_OK ? add_written(c) : NULL;
    if (w != NULL) {
        *w = (struct written){.bytes = (int64_t)bytes.n, .rows = c->pending_rows, .from = c->taken_count - c->pending, .count = c->pending};
        memcpy(w->name, name, sizeof name);
        c->done->rows += w->rows;
    } else if (code == LITMUS_OK) {
        code = no_memory(error);
    }
    forget_pending(c);
    lt_buf_release(&bytes);
    lt_buf_release(&path);
    return code;
}

/* The file as the ledger has it: one that changes meanwhile is the next compaction's. */
static bool read_run(const struct compact *c, const struct lt_lake_member *run, struct lt_table *out) {
    struct lt_buf path;
    struct stat st;
    lt_buf_init(&path);
    lt_buf_addf(&path, "%s/%.*s", c->q->data_dir, LT_STR_ARG(run->path));
    bool ok = lt_parquet_read(lt_buf_cstr(&path), NULL, 0, out, NULL) == LITMUS_OK;
    bool same = ok && lstat(lt_buf_cstr(&path), &st) == 0 && st.st_size == run->size && lt_mtime_ns(&st) == run->mtime_ns &&
                lt_table_stackable(out);
    if (ok && !same) lt_table_release(out);
    lt_buf_release(&path);
    return same;
}

static int take_run(struct compact *c, struct lt_lake_member *run, struct litmus_error *error) {
    char month[MONTH_BYTES];
    struct lt_table rows;
    int code = LITMUS_OK;
    if (c->on_run != NULL) c->on_run(c->self, ++c->seen, (int64_t)(c->lake.fresh_count + c->lake.member_count));
    if (!read_run(c, run, &rows)) {
        bool changed; /* in place, which the ledger learns only now: the next compaction takes it */
        const char *path = run->path.p;
        (void)lt_catalog_recheck(c->q->catalog, &path, 1, &changed, NULL);
        c->done->left++;
        return LITMUS_OK;
    }
    month_of(run->path, month);
    bool full = c->pending_rows + lt_table_rows(&rows) > FILE_ROWS || c->pending == FILE_ROWS;
    if (full || strcmp(month, c->month) != 0) code = write_pending(c, error);
    if (code == LITMUS_OK && !lt_table_join(&c->columns, &rows)) { /* a column of another type starts another file */
        code = write_pending(c, error);
        if (code == LITMUS_OK && !lt_table_join(&c->columns, &rows)) code = no_memory(error);
    }
    memcpy(c->month, month, sizeof month);
    if (code != LITMUS_OK) {
        lt_table_release(&rows);
        return code;
    }
    c->tables[c->pending++] = rows;
    c->pending_rows += lt_table_rows(&rows);
    c->taken[c->taken_count++] = run;
    return LITMUS_OK;
}

/* ---- the manifest ---- */

static void add_member(struct lt_buf *out, const struct lt_lake_member *m, bool first) {
    lt_buf_add_text(out, first ? "\n[" : ",\n[");
    lt_json_str(out, m->path);
    lt_buf_addf(out, ",%lld,%lld,", (long long)m->size, (long long)m->mtime_ns);
    lt_json_str(out, m->run_id);
    lt_buf_add_char(out, ']');
}

static void add_file(struct lt_buf *out, const char *name, int64_t bytes, int64_t rows, bool first) {
    lt_buf_addf(out, "%s{\"name\":\"%s\",\"bytes\":%lld,\"rows\":%lld,\"members\":[", first ? "" : ",\n", name, (long long)bytes, (long long)rows);
}

static int write_manifest(const struct compact *c, struct litmus_error *error) {
    struct lt_buf text, path;
    bool first = true;
    lt_buf_init(&text);
    lt_buf_init(&path);
    lt_buf_add_text(&text, "{\"litmus_lake\":1,\"files\":[\n");
    size_t at = 0; /* members stand file by file */
    for (size_t i = 0; i < c->lake.file_count; at += c->lake.files[i++].members) {
        const struct lt_lake_file *f = &c->lake.files[i];
        if (!f->keep) continue;
        add_file(&text, f->name.p, f->bytes, f->rows, first);
        for (size_t m = 0; m < f->members; m++) add_member(&text, &c->lake.members[at + m], m == 0);
        lt_buf_add_text(&text, "]}");
        first = false;
    }
    for (size_t i = 0; i < c->file_count; i++) {
        const struct written *w = &c->files[i];
        add_file(&text, w->name, w->bytes, w->rows, first);
        for (size_t m = 0; m < w->count; m++) add_member(&text, c->taken[w->from + m], m == 0);
        lt_buf_add_text(&text, "]}");
        first = false;
    }
    lt_buf_add_text(&text, "]}\n");
    int code = text.failed ? no_memory(error) : lt_io_publish(&lt_io_os, lake_path(c, "manifest.json", &path), text.p, text.n, error);
    lt_buf_release(&text);
    lt_buf_release(&path);
    return code;
}

/* ---- the change ---- */

static bool is_named(const struct compact *c, const char *name) {
    for (size_t i = 0; i < c->lake.file_count; i++)
        if (c->lake.files[i].keep && strcmp(c->lake.files[i].name.p, name) == 0) return true;
    for (size_t i = 0; i < c->file_count; i++)
        if (strcmp(c->files[i].name, name) == 0) return true;
    return false;
}

/* Removes what is no part of the lake; `hidden` alone, or also what glob readers see. */
static void tidy_month(struct compact *c, const char *month, bool hidden) {
    struct lt_buf path;
    char name[512];
    lt_buf_init(&path);
    DIR *dir = opendir(lake_path(c, month, &path));
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        const char *file = entry->d_name;
        if (strncmp(file, hidden ? ".part-" : "part-", hidden ? 6 : 5) != 0) continue;
        snprintf(name, sizeof name, "%s/%s", month, file);
        if (!hidden && is_named(c, name)) continue;
        if (unlink(lake_path(c, name, &path)) == 0) c->done->removed += !hidden;
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
    return code;
}

static bool lacks_nothing(const struct compact *c, size_t runs) {
    bool all = runs == 0;
    for (size_t i = 0; i < c->lake.file_count; i++) all = all && c->lake.files[i].keep;
    return all;
}

static int compact(struct compact *c, int readers, struct litmus_error *error) {
    size_t count = 0;
    int code = lt_lake_load(c->q, &c->lake, error);
    if (code != LITMUS_OK) return code;
    c->may_replace = flock(readers, LOCK_EX | LOCK_NB) == 0;
    (void)flock(readers, LOCK_UN);
    c->done->readers = !c->may_replace;
    tidy(c, true);
    choose_files(c);
    struct lt_lake_member **runs = choose_runs(c, &count);
    c->taken = calloc(count + 1, sizeof *c->taken);
    c->tables = calloc(FILE_ROWS + 1, sizeof *c->tables);
    if (runs == NULL || c->taken == NULL || c->tables == NULL) code = no_memory(error);
    bool idle = lacks_nothing(c, count);
    for (size_t i = 0; code == LITMUS_OK && i < count; i++) code = take_run(c, runs[i], error);
    if (code == LITMUS_OK) code = write_pending(c, error);
    if (code == LITMUS_OK && !idle) code = change(c, readers, error);
    if (code != LITMUS_OK) tidy(c, true);
    c->done->runs = (int64_t)c->taken_count;
    c->done->files = (int64_t)c->file_count;
    forget_pending(c);
    free(runs);
    return code;
}

int lt_lake_compact(struct lt_query *q, void (*on_run)(void *self, int64_t done, int64_t all), void *self, struct lt_lake_done *done,
                    struct litmus_error *error) {
    struct compact c = {.q = q, .done = done, .on_run = on_run, .self = self, .number = lt_now_us()};
    struct lt_buf path;
    int lock = -1, readers = -1;
    *done = (struct lt_lake_done){0};
    lt_buf_init(&path);
    int code = lt_io_mkdirs_below(&lt_io_os, q->data_dir, lake_path(&c, "", &path), error);
    if (code == LITMUS_OK) code = lt_lock_take(lake_path(&c, "compact.lock", &path), false, &lock, error);
    if (code == LITMUS_OK) readers = open(lake_path(&c, "readers.lock", &path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (code == LITMUS_OK && readers < 0) code = lt_fail_os(error, errno, "open lock", lt_buf_cstr(&path));
    if (code == LITMUS_OK) code = compact(&c, readers, error);
    if (readers >= 0) close(readers);
    if (lock >= 0) close(lock);
    lt_lake_release(&c.lake);
    free(c.tables);
    free(c.taken);
    free(c.files);
    lt_buf_release(&path);
    return code;
}
