/* SPDX-License-Identifier: Apache-2.0 */
#include "query/lake.h"

#include "base/grow.h"
#include "base/io.h"
#include "base/map.h"
#include "base/process.h"
#include "base/tree.h"
#include "materialize/range_lock.h"
#include "materialize/parquet.h"
#include "query/catalog_store.h"
#include "query/lake_sums.h"
#include "query/query_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <yyjson.h>

enum { MANIFEST_BYTES_MAX = 1 << 30 };

void lt_lake_release(struct lt_lake *lake) {
    lt_arena_release(&lake->arena);
    free(lake->files);
    free(lake->fresh);
    *lake = (struct lt_lake){.files = NULL};
}

static void tell_holder(const char *path, bool *stopped, struct litmus_error *who) {
    struct lt_buf what;
    lt_buf_init(&what);
    lt_buf_addf(&what, "holds %s", path);
    lt_process_tell_holder(lt_lock_holder(path), lt_buf_cstr(&what), stopped, who);
    lt_buf_release(&what);
}

/* Waits as long as for a session (range_lock.h), and says for whom after a second. *fd -1: nobody ever made the lock. EBUSY: another process keeps it. */
static int share_lock(struct lt_query *q, const char *path, int *fd, struct litmus_error *who) {
    enum { STEP_MS = 10, SAID_MS = 1000 };
    const struct timespec step = {.tv_nsec = STEP_MS * 1000 * 1000};
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    for (int waited = 0; *fd >= 0 && flock(*fd, LOCK_SH | LOCK_NB) != 0; waited += STEP_MS) {
        if (errno != EWOULDBLOCK && errno != EINTR) return lt_fail_os(who, errno, "lock", path);
        bool stopped = false, over = waited >= LT_RANGE_PATIENCE_MS;
        if (over || waited == SAID_MS) tell_holder(path, &stopped, who);
        if (waited == SAID_MS && !stopped && q->waiting != NULL) over = !q->waiting(q->waiting_self, who->text);
        if (over || stopped) {
            close(*fd);
            *fd = -1;
            return LITMUS_EBUSY;
        }
        nanosleep(&step, NULL);
    }
    lt_error_clear(who);
    return LITMUS_OK;
}

/* A compaction holds it for a rename or two. Where there is no lock to be had at all, files may be replaced under a reader, who then says so. */
void lt_lake_hold(struct lt_query *q) {
    struct lt_buf path;
    lt_buf_init(&path);
    if (q->lake_fd >= 0) close(q->lake_fd);
    lt_error_clear(&q->lake_held_up);
    (void)share_lock(q, lt_path_join(&path, q->data_dir, "lake/_readers.lock"), &q->lake_fd, &q->lake_held_up);
    lt_buf_release(&path);
}

const struct litmus_error *lt_query_lake_held_up(const struct lt_query *q) {
    return q->lake_held_up.code == LITMUS_EBUSY ? &q->lake_held_up : NULL;
}

void lt_query_on_wait(struct lt_query *q, bool (*waiting)(void *self, const char *who), void *self) {
    q->waiting = waiting;
    q->waiting_self = self;
}

/* ---- the manifest ---- */

/* Which manifest it is: another one has another inode or time. */
static const char *manifest_identity(const struct lt_query *q, struct lt_buf *out) {
    struct lt_buf path;
    struct stat st;
    lt_buf_init(&path);
    lt_buf_clear(out);
    if (lstat(lt_path_join(&path, q->data_dir, "lake/_manifest.json"), &st) != 0 || !S_ISREG(st.st_mode)) lt_buf_add_text(out, "none");
    else lt_buf_addf(out, "%llu %lld %lld", (unsigned long long)st.st_ino, (long long)st.st_size, (long long)lt_mtime_ns(&st));
    lt_buf_release(&path);
    return lt_buf_cstr(out);
}

/* NULL: it is not there, or no JSON, or cannot be read, which `why` (or NULL) says. */
static yyjson_doc *read_json(const struct lt_query *q, const char *name, struct litmus_error *why) {
    struct lt_buf path, text;
    lt_buf_init(&path);
    lt_buf_init(&text);
    lt_buf_addf(&path, "%s/lake/%s", q->data_dir, name);
    yyjson_doc *doc = NULL;
    if (lt_io_read_file(lt_buf_cstr(&path), MANIFEST_BYTES_MAX, &text, why) == LITMUS_OK) doc = yyjson_read(text.p, text.n, 0);
    lt_buf_release(&path);
    lt_buf_release(&text);
    return doc;
}

/* A name from a manifest is opened below lake/ and nowhere else. */
static bool is_own_name(const char *name) {
    if (name == NULL || strncmp(name, "month=", 6) != 0 || strstr(name, "..") != NULL || strchr(name, '\\') != NULL) return false;
    const char *slash = strchr(name, '/');
    return slash != NULL && strchr(slash + 1, '/') == NULL && strncmp(slash + 1, "part-", 5) == 0;
}

void lt_lake_add_column(struct lt_buf *columns, const char *name, int type) {
    if (columns->n > 0) lt_buf_add_char(columns, ',');
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == ',' || *c == '\\') lt_buf_add_char(columns, '\\');
        lt_buf_add_char(columns, *c == ',' ? 'c' : *c);
    }
    lt_buf_addf(columns, " %d", type);
}

bool lt_lake_next_column(struct lt_str *columns, struct lt_buf *name, int *type) {
    size_t i = 0;
    lt_buf_clear(name);
    for (; i < columns->n && columns->p[i] != ','; i++) {
        bool escaped = columns->p[i] == '\\' && i + 1 < columns->n;
        if (escaped) i++;
        lt_buf_add_char(name, escaped && columns->p[i] == 'c' ? ',' : columns->p[i]);
    }
    *columns = i < columns->n ? (struct lt_str){columns->p + i + 1, columns->n - i - 1} : LT_STR_NULL;
    if (name->failed || name->n < 2) return false;
    *type = name->p[name->n - 1] - '0';
    name->n -= 2;
    return true;
}

/* "month=2026-05/part-X.parquet" -> "month=2026-05/_part-X" + ending */
static const char *name_beside(const char *name, const char *ending, struct lt_buf *out) {
    const char *file = strchr(name, '/') + 1, *dot = strrchr(file, '.');
    int stem = dot == NULL ? (int)strlen(file) : (int)(dot - file);
    lt_buf_clear(out);
    lt_buf_addf(out, "%.*s_%.*s%s", (int)(file - name), name, stem, file, ending);
    return lt_buf_cstr(out);
}

const char *lt_lake_members_name(const char *name, struct lt_buf *out) {
    return name_beside(name, ".json", out);
}

const char *lt_lake_plans_name(const char *name, struct lt_buf *out) {
    return name_beside(name, ".steps", out);
}

const char *lt_lake_sums_name(const char *name, struct lt_buf *out) {
    return name_beside(name, ".sha256", out);
}

/* ---- from the manifest into the catalog ---- */

struct known_file {
    char name[80];
    int64_t number, bytes;
    bool named; /* by the manifest */
};
struct sync {
    struct lt_query *q;
    struct known_file *known;
    size_t count, capacity;
    bool failed;
};

static bool note_known(void *self, const struct lt_store_lake_file *file) {
    struct sync *s = self;
    struct known_file *grown = lt_grow_list(s->known, s->count, &s->capacity, sizeof *grown);
    s->failed = s->failed || grown == NULL;
    if (grown == NULL) return false;
    s->known = grown;
    s->known[s->count] = (struct known_file){.number = file->number, .bytes = file->bytes};
    snprintf(s->known[s->count++].name, sizeof s->known->name, "%s", file->name);
    return true;
}

static bool is_known(struct sync *s, const char *name, int64_t bytes) {
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->known[i].name, name) == 0 && s->known[i].bytes == bytes) return s->known[i].named = true;
    return false;
}

/* [path, size, mtime_ns, run_id] */
static int mark_member(struct sync *s, int64_t number, yyjson_val *member, struct litmus_error *error) {
    struct lt_run_file run = {.path = yyjson_get_str(yyjson_arr_get(member, 0)), .size = yyjson_get_sint(yyjson_arr_get(member, 1)),
                              .mtime_ns = yyjson_get_sint(yyjson_arr_get(member, 2)), .run_id = yyjson_get_str(yyjson_arr_get(member, 3))};
    if (run.path == NULL || run.run_id == NULL) return lt_fail(error, LITMUS_EDAMAGED, 0, "a list of runs in the lake is damaged");
    return lt_store_lake_mark(s->q->catalog, number, &run, error);
}

/* A file whose list of runs is damaged is none of ours; one that the system does not let us read now may be. */
static int take_file(struct sync *s, yyjson_val *value, struct litmus_error *error) {
    struct lt_store_lake_file file = {.name = yyjson_get_str(yyjson_obj_get(value, "name")), .columns = yyjson_get_str(yyjson_obj_get(value, "columns")),
                                      .bytes = yyjson_get_sint(yyjson_obj_get(value, "bytes")), .rows = yyjson_get_sint(yyjson_obj_get(value, "rows")),
                                      .runs = yyjson_get_sint(yyjson_obj_get(value, "runs"))};
    if (!is_own_name(file.name) || file.columns == NULL || is_known(s, file.name, file.bytes)) return LITMUS_OK;
    struct lt_buf name;
    lt_buf_init(&name);
    struct litmus_error why = {0};
    yyjson_doc *doc = read_json(s->q, lt_lake_members_name(file.name, &name), &why);
    lt_buf_release(&name);
    if (lt_error_is_refusal(&why)) return lt_fail_with(error, &why);
    yyjson_val *members = yyjson_doc_get_root(doc), *member;
    size_t at, all;
    int64_t number = 0;
    int code = LITMUS_OK;
    if (yyjson_is_arr(members) && (int64_t)yyjson_arr_size(members) == file.runs) {
        code = lt_store_begin(s->q->catalog, error);
        if (code == LITMUS_OK) code = lt_store_lake_put(s->q->catalog, &file, &number, error); /* 0: somebody else was quicker */
        yyjson_arr_foreach(members, at, all, member) code = code == LITMUS_OK && number != 0 ? mark_member(s, number, member, error) : code;
        if (code == LITMUS_OK) code = lt_store_commit(s->q->catalog, error);
        if (code != LITMUS_OK) lt_store_rollback(s->q->catalog);
    }
    yyjson_doc_free(doc);
    return code;
}

static int finish_sync(struct sync *s, const char *identity, struct litmus_error *error) {
    int code = lt_store_begin(s->q->catalog, error);
    for (size_t i = 0; code == LITMUS_OK && i < s->count; i++)
        if (!s->known[i].named) code = lt_store_lake_drop(s->q->catalog, s->known[i].number, error);
    if (code == LITMUS_OK) code = lt_store_lake_state_put(s->q->catalog, identity, error);
    if (code == LITMUS_OK) code = lt_store_commit(s->q->catalog, error);
    if (code != LITMUS_OK) lt_store_rollback(s->q->catalog);
    return code;
}

static int sync_all(struct sync *s, const char *identity, struct litmus_error *error) {
    int code = lt_store_lake_files(s->q->catalog, note_known, s, error);
    if (code == LITMUS_OK && s->failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the lake's files");
    struct litmus_error why = {0};
    yyjson_doc *doc = read_json(s->q, "_manifest.json", &why);
    if (code == LITMUS_OK && lt_error_is_refusal(&why)) code = lt_fail_with(error, &why);
    yyjson_val *root = yyjson_doc_get_root(doc), *files = yyjson_obj_get(root, "files"), *file;
    size_t at, all;
    struct litmus_error later = {0};
    if (code == LITMUS_OK && yyjson_get_int(yyjson_obj_get(root, "litmus_lake")) == LT_LAKE_VERSION)
        yyjson_arr_foreach(files, at, all, file) {
            lt_error_clear(&why);
            int taken = code == LITMUS_OK ? take_file(s, file, &why) : LITMUS_OK;
            if (taken == LITMUS_OK) continue;
            if (!lt_error_is_refusal(&why)) code = lt_fail_with(error, &why);
            else later = why; /* the others count, and the list is not done with */
        }
    if (code == LITMUS_OK && later.code != LITMUS_OK) code = lt_fail_with(error, &later);
    if (code == LITMUS_OK) code = finish_sync(s, identity, error);
    yyjson_doc_free(doc);
    return code;
}

bool lt_lake_is_synced(struct lt_query *q) {
    struct lt_buf state, identity;
    lt_buf_init(&state);
    lt_buf_init(&identity);
    bool same = lt_store_lake_state(q->catalog, &state, NULL) == LITMUS_OK && strcmp(lt_buf_cstr(&state), manifest_identity(q, &identity)) == 0;
    lt_buf_release(&state);
    lt_buf_release(&identity);
    return same;
}

void lt_lake_sync(struct lt_query *q) {
    if (lt_lake_is_synced(q)) return;
    struct sync s = {.q = q};
    struct litmus_error why = {0};
    struct lt_buf identity; /* before the manifest is read: one that comes meanwhile is taken over by the next call */
    lt_buf_init(&identity);
    if (sync_all(&s, manifest_identity(q, &identity), &why) == LITMUS_EDAMAGED) lt_error_clear(&why); /* who reads on finds the same, and says so */
    free(s.known);
    lt_buf_release(&identity);
}

/* ---- what there is ---- */

static bool add_file(void *self, const struct lt_store_lake_file *known) {
    struct lt_lake *lake = self;
    struct lt_lake_file *grown = lt_grow_list(lake->files, lake->file_count, &lake->file_capacity, sizeof *grown);
    if (grown == NULL) return !(lake->arena.failed = true);
    lake->files = grown;
    struct lt_lake_file *f = &lake->files[lake->file_count++];
    *f = (struct lt_lake_file){.name = lt_arena_str(&lake->arena, lt_str_of(known->name)), .columns = lt_arena_str(&lake->arena, lt_str_of(known->columns)),
                               .number = known->number, .bytes = known->bytes, .rows = known->rows, .runs = known->runs,
                               .stale = lt_arena_alloc(&lake->arena, ((size_t)known->stale + 1) * sizeof *f->stale)};
    if (lake->arena.failed) return false;
    const char *slash = strchr(f->name.p, '/');
    if (slash != NULL) f->month = (struct lt_str){f->name.p + 6, (size_t)(slash - f->name.p) - 6};
    return slash != NULL;
}

static bool add_stale(void *self, int64_t file, const char *run_id) {
    struct lt_lake *lake = self;
    for (size_t i = 0; i < lake->file_count; i++)
        if (lake->files[i].number == file) lake->files[i].stale[lake->files[i].stale_count++] = lt_arena_str(&lake->arena, lt_str_of(run_id));
    return !lake->arena.failed;
}

static bool add_fresh(void *self, const struct lt_run_file *file) {
    struct lt_lake *lake = self;
    struct lt_lake_run *grown = lt_grow_list(lake->fresh, lake->fresh_count, &lake->fresh_capacity, sizeof *grown);
    if (grown == NULL) return !(lake->arena.failed = true);
    lake->fresh = grown;
    lake->fresh[lake->fresh_count++] = (struct lt_lake_run){.path = lt_arena_str(&lake->arena, lt_str_of(file->path)), .size = file->size,
                                                            .mtime_ns = file->mtime_ns, .run_id = lt_arena_str(&lake->arena, lt_str_of(file->run_id))};
    return !lake->arena.failed;
}

/* Of a plain file below lake/; -1: it is none. */
static int64_t size_of(const struct lt_query *q, const char *name) {
    struct lt_buf path;
    struct stat st;
    lt_buf_init(&path);
    lt_buf_addf(&path, "%s/lake/%s", q->data_dir, name);
    bool there = lstat(lt_buf_cstr(&path), &st) == 0 && S_ISREG(st.st_mode);
    lt_buf_release(&path);
    return there ? st.st_size : -1;
}

static bool is_there(const struct lt_query *q, const struct lt_lake_file *f) {
    struct lt_buf plans;
    if (!is_own_name(f->name.p)) return false;
    lt_buf_init(&plans);
    int64_t rows = size_of(q, f->name.p), steps = size_of(q, lt_lake_plans_name(f->name.p, &plans));
    lt_buf_release(&plans);
    return rows >= 0 && steps >= 0 && rows + steps == f->bytes;
}

static int by_path(const void *a, const void *b) {
    const struct lt_lake_run *x = a, *y = b;
    return lt_str_cmp(x->path, y->path);
}

/* A run that was told of twice, at two moments, is there once. */
static void sort_fresh(struct lt_lake *lake) {
    struct lt_map seen;
    size_t kept = 0;
    lt_map_init(&seen);
    qsort(lake->fresh, lake->fresh_count, sizeof *lake->fresh, by_path);
    for (size_t i = 0; i < lake->fresh_count; i++) {
        if (lt_map_get(&seen, lake->fresh[i].run_id, 0) != LT_MAP_NONE) continue;
        if (!lt_map_put(&seen, lake->fresh[i].run_id, 0, 0)) lake->arena.failed = true;
        lake->fresh[kept++] = lake->fresh[i];
    }
    lake->fresh_count = kept;
    lt_map_release(&seen);
}

int lt_lake_drop(struct lt_query *q, struct lt_lake *lake, struct litmus_error *error) {
    size_t kept = 0, fresh = lake->fresh_count;
    int code = LITMUS_OK;
    for (size_t i = 0; i < lake->file_count; i++) {
        if (lake->files[i].keep) lake->files[kept++] = lake->files[i];
        else if (code == LITMUS_OK) code = lt_store_lake_members(q->catalog, lake->files[i].number, add_fresh, lake, error);
    }
    lake->file_count = kept;
    if (lake->fresh_count > fresh) sort_fresh(lake);
    return code == LITMUS_OK && lake->arena.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the names of the run files") : code;
}

/* The catalog's account is right even where the manifest has gone on since: it only knows of less. */
static int load(struct lt_query *q, struct lt_lake *lake, struct litmus_error *error) {
    lake->file_count = lake->fresh_count = 0;
    int code = lt_store_snapshot(q->catalog, error);
    if (code == LITMUS_OK) code = lt_store_lake_files(q->catalog, add_file, lake, error);
    if (code == LITMUS_OK) code = lt_store_lake_stale(q->catalog, add_stale, lake, error);
    if (code == LITMUS_OK) code = lt_store_lake_members(q->catalog, 0, add_fresh, lake, error);
    for (size_t i = 0; i < lake->file_count; i++) lake->files[i].keep = lt_query_lake_held_up(q) == NULL && is_there(q, &lake->files[i]);
    if (code == LITMUS_OK) code = lt_lake_drop(q, lake, error);
    if (code == LITMUS_OK) code = lt_store_commit(q->catalog, error);
    else lt_store_rollback(q->catalog);
    return code == LITMUS_OK && lake->arena.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the names of the run files") : code;
}

int lt_lake_load(struct lt_query *q, struct lt_lake *out, struct litmus_error *error) {
    struct litmus_error why = {0};
    *out = (struct lt_lake){.files = NULL};
    lt_arena_init(&out->arena);
    int code = lt_query_refresh(q, &why);
    if (code == LITMUS_OK) lt_lake_sync(q);
    if (code == LITMUS_OK) code = load(q, out, &why);
    if (code == LITMUS_EDAMAGED) { /* a catalog found damaged half-way is made anew, once */
        lt_error_clear(&why);
        code = lt_store_reset(q->catalog, &why);
        if (code == LITMUS_OK) code = lt_catalog_refresh(q->catalog, &why);
        if (code == LITMUS_OK) lt_lake_sync(q);
        if (code == LITMUS_OK) code = load(q, out, &why);
    }
    return code == LITMUS_OK ? code : lt_fail(error, code, why.os_errno, "%s", why.text);
}

/* ---- as it lies there ---- */

struct lake_check {
    struct lt_query *q;
    lt_lake_finding_fn *each;
    void *self;
    struct lt_buf path;
    struct lt_arena arena;
    struct lt_map named; /* by the manifest */
    const char *file;    /* that is looked at */
    struct litmus_error refused; /* the first that cannot be read now */
};

static void __attribute__((format(printf, 3, 4))) tell(struct lake_check *c, const char *name, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    lt_buf_clear(&c->path);
    lt_buf_addf(&c->path, "%s/lake/%s", c->q->data_dir, name);
    c->each(c->self, lt_buf_cstr(&c->path), text, false);
}

/* Then it says nothing about the file. */
static bool is_refused(struct lake_check *c, const struct litmus_error *why) {
    bool refused = lt_error_is_refusal(why);
    if (refused && c->refused.code == LITMUS_OK) c->refused = *why;
    return refused;
}

/* Run files that it has rows of, and that are not there any more. */
static int64_t count_gone(struct lake_check *c, yyjson_val *members) {
    yyjson_val *member;
    size_t at, all;
    int64_t gone = 0;
    yyjson_arr_foreach(members, at, all, member) {
        const char *path = yyjson_get_str(yyjson_arr_get(member, 0));
        gone += path == NULL || access(lt_path_join(&c->path, c->q->data_dir, path), F_OK) != 0;
    }
    return gone;
}

static void check_members(struct lake_check *c, const char *name, int64_t runs) {
    struct lt_buf list;
    lt_buf_init(&list);
    lt_lake_members_name(name, &list);
    struct litmus_error why = {0};
    yyjson_doc *doc = read_json(c->q, lt_buf_cstr(&list), &why);
    yyjson_val *members = yyjson_doc_get_root(doc);
    if (is_refused(c, &why)) lt_buf_clear(&list);
    else if (!yyjson_is_arr(members) || (int64_t)yyjson_arr_size(members) != runs) {
        tell(c, lt_buf_cstr(&list), "does not say of which %" PRId64 " runs the rows beside it are", runs);
    } else {
        int64_t gone = count_gone(c, members);
        if (gone > 0) tell(c, name, "has rows of %" PRId64 " runs that are gone", gone);
    }
    yyjson_doc_free(doc);
    lt_buf_release(&list);
}

static void tell_sum(void *self, const char *file, const char *what) {
    struct lake_check *c = self;
    struct lt_buf name;
    lt_buf_init(&name);
    lt_buf_addf(&name, "%.*s%s", (int)(strchr(c->file, '/') + 1 - c->file), c->file, file);
    tell(c, file[0] == '\0' ? lt_lake_sums_name(c->file, &name) : lt_buf_cstr(&name), "%s", what);
    lt_buf_release(&name);
}

/* The file, its .steps and its list of runs, to the byte. */
static void check_sums(struct lake_check *c, const char *name) {
    struct lt_buf path, beside;
    lt_buf_init(&path);
    lt_buf_init(&beside);
    c->file = name;
    lt_buf_addf(&path, "%s/lake/%s", c->q->data_dir, lt_lake_sums_name(name, &beside));
    struct litmus_error why = {0};
    if (path.failed) c->path.failed = true;
    else if (lt_lake_sums_check(lt_buf_cstr(&path), 3, tell_sum, c, &why) != LITMUS_OK) (void)!is_refused(c, &why);
    lt_buf_release(&path);
    lt_buf_release(&beside);
}

static void check_file(struct lake_check *c, yyjson_val *value) {
    const char *name = yyjson_get_str(yyjson_obj_get(value, "name")), *columns = yyjson_get_str(yyjson_obj_get(value, "columns"));
    struct lt_lake_file file = {.name = lt_arena_str(&c->arena, lt_str_of(name)), .bytes = yyjson_get_sint(yyjson_obj_get(value, "bytes"))};
    if (!is_own_name(name) || columns == NULL || file.name.p == NULL) {
        tell(c, "_manifest.json", "names what is no file of the lake");
        return;
    }
    (void)lt_map_put(&c->named, file.name, 0, 1);
    if (!is_there(c->q, &file)) tell(c, name, "is missing, or has not the %" PRId64 " bytes that it had with the .steps file beside it", file.bytes);
    else {
        check_members(c, name, yyjson_get_sint(yyjson_obj_get(value, "runs")));
        check_sums(c, name);
    }
}

/* Other engines read the folder, and know of no manifest. What a compaction removes is told so, and the rest as a stray. */
static int look_for_others(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    struct lake_check *c = self;
    const char *name = path + strlen("lake/"), *file = strrchr(name, '/');
    bool part = is_own_name(name), parquet = lt_str_ends(lt_str_of(name), LT_STR(".parquet"));
    (void)error;
    file = file == NULL ? name : file + 1;
    if (S_ISLNK(st->st_mode)) {
        struct stat to;
        parquet = parquet || (stat(lt_path_join(&c->path, c->q->data_dir, path), &to) == 0 && S_ISDIR(to.st_mode));
    }
    if (S_ISDIR(st->st_mode) || !(part || parquet) || lt_map_get(&c->named, lt_str_of(name), 0) != LT_MAP_NONE) return LITMUS_OK;
    bool left = strncmp(name, "month=", 6) == 0 && strncmp(file, ".part-", 6) == 0 && strchr(name, '/') + 1 == file; /* by a compaction that was killed */
    if (part || left) tell(c, name, "is not in the manifest: whoever reads the folder counts its rows");
    else
        c->each(c->self, lt_path_join(&c->path, c->q->data_dir, path), "is none of the lake's, and whoever reads the folder counts its rows: move it elsewhere", true);
    return LITMUS_OK;
}

static void pass_folder(void *self, const char *folder, const struct litmus_error *why) {
    (void)folder;
    (void)!is_refused(self, why);
}

static void check_lake(struct lake_check *c, DIR *lake) {
    struct litmus_error why = {0};
    yyjson_doc *doc = read_json(c->q, "_manifest.json", &why);
    yyjson_val *root = yyjson_doc_get_root(doc), *files = yyjson_obj_get(root, "files"), *file;
    struct stat st;
    size_t at, all;
    bool there = fstatat(dirfd(lake), "_manifest.json", &st, AT_SYMLINK_NOFOLLOW) == 0;
    bool refused = is_refused(c, &why);
    if (there && !refused && (yyjson_get_int(yyjson_obj_get(root, "litmus_lake")) != LT_LAKE_VERSION || !yyjson_is_arr(files)))
        tell(c, "_manifest.json", "cannot be read, or is of another version");
    else yyjson_arr_foreach(files, at, all, file) check_file(c, file);
    yyjson_doc_free(doc);
    lt_error_clear(&why);
    if (!refused && lt_tree_walk_readable(c->q->data_dir, "lake", look_for_others, pass_folder, c, &why) != LITMUS_OK) (void)!is_refused(c, &why);
}

/* Nobody makes the lake anew until *lock is closed (-1: nobody ever did, or it cannot be locked). false: somebody does, and it takes too long for us. */
static bool keep_still(struct lake_check *c, int *lock) {
    struct litmus_error who = {0};
    int code = share_lock(c->q, lt_path_join(&c->path, c->q->data_dir, "lake/_compact.lock"), lock, &who);
    struct litmus_error why = {0};
    if (code == LITMUS_EBUSY) (void)lt_fail(&why, code, EWOULDBLOCK, "the lake was not looked at: %s; look again later", who.text);
    return code != LITMUS_EBUSY || !is_refused(c, &why);
}

int lt_lake_check(struct lt_query *q, lt_lake_finding_fn *each, void *self, struct litmus_error *error) {
    struct lake_check c = {.q = q, .each = each, .self = self};
    lt_buf_init(&c.path);
    lt_arena_init(&c.arena);
    lt_map_init(&c.named);
    DIR *lake = opendir(lt_path_join(&c.path, q->data_dir, "lake"));
    int lock = -1;
    struct litmus_error why = {0};
    if (lake == NULL && lt_fail_os(&why, errno, "list", lt_buf_cstr(&c.path)) != LITMUS_OK) (void)!is_refused(&c, &why);
    if (lake != NULL && keep_still(&c, &lock)) {
        check_lake(&c, lake);
        if (lock >= 0) close(lock);
    }
    if (lake != NULL) closedir(lake);
    bool failed = c.path.failed || c.arena.failed;
    lt_map_release(&c.named);
    lt_arena_release(&c.arena);
    lt_buf_release(&c.path);
    if (failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory looking at the lake");
    return c.refused.code == LITMUS_OK ? LITMUS_OK : lt_fail_with(error, &c.refused);
}

int lt_lake_forget(struct lt_query *q, struct litmus_error *error) {
    struct lt_buf path;
    int lock = -1;
    lt_buf_init(&path);
    int code = lt_lock_take(lt_path_join(&path, q->data_dir, "lake/_compact.lock"), false, &lock, error);
    const char *manifest = lt_path_join(&path, q->data_dir, "lake/_manifest.json");
    if (code == LITMUS_OK && unlink(manifest) != 0 && errno != ENOENT) code = lt_fail_os(error, errno, "remove", manifest);
    if (lock >= 0) close(lock);
    lt_buf_release(&path);
    return code;
}
