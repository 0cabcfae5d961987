/* SPDX-License-Identifier: Apache-2.0
 *
 * Brings the catalog up to date with what lies in runs/ and events/: one stat a folder; only folders
 * whose time stamp changed are listed, and only files that are new or different are read.
 */
#include "accumulate/gather.h"
#include "base/clock.h"
#include "base/grow.h"
#include "base/io.h"
#include "base/map.h"
#include "base/process.h"
#include "base/arena.h"
#include "log/log.h"
#include "materialize/parquet.h"
#include "materialize/range_lock.h"
#include "query/catalog_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BATCH_WRITES = 256, /* a transaction is never held for long */
    BATCH_US = 100000,
    YOUNG_US = 60000000, /* a log gets its schema within this time or never */
};

struct kind {
    const char *root, *suffix;
    bool logs;
};
static const struct kind kinds[] = {{"runs", ".parquet", false}, {"events", ".arrow", true}};

struct dir {
    const char *path;
    int64_t mtime_ns;
    bool seen;
};

struct scan {
    struct lt_catalog *catalog;
    struct lt_arena arena; /* lives through the scan: names of folders and files */
    struct dir *dirs;      /* as the catalog knows them */
    size_t dir_count, dir_capacity;
    struct lt_map dir_by_path;
    struct lt_buf path; /* of the file at hand */
    int folder_fd;      /* of the folder at hand */
    int lock_fd;        /* of materialize.lock; -1: not asked for yet, or not there */
    bool writing;       /* in a transaction */
    bool leaving;       /* the folder at hand is looked at no more: what is there goes from the ledger as if it were gone */
    bool locked_out;    /* another process kept the lock: answer from what is known */
    bool unlisted;      /* a run has its file, as a log says, which was not there yet when its folder was listed */
    int writes;
    int64_t began_us;
    const struct lt_catalog_progress *progress; /* NULL: nobody asks */
    int64_t taken, all;                         /* run files read, of those there are; with progress */
};

static int no_memory(struct litmus_error *error) {
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading the folders");
}

/* Absolute path of something below the data_dir; lives until the next call. */
static const char *absolute(struct scan *s, const char *dir, const char *name) {
    lt_buf_clear(&s->path);
    lt_buf_addf(&s->path, "%s/%s%s%s", lt_store_data_dir(s->catalog), dir, name == NULL ? "" : "/", name == NULL ? "" : name);
    return lt_buf_cstr(&s->path);
}

/* ---- transactions ---- */

static int commit(struct scan *s, struct litmus_error *error) {
    if (!s->writing) return LITMUS_OK;
    s->writing = false;
    int code = lt_store_commit(s->catalog, error);
    if (code != LITMUS_OK) lt_store_rollback(s->catalog);
    return code;
}

/* Call before each write. *go is false when there is nothing to be done about a lock. */
static int want_write(struct scan *s, bool *go, struct litmus_error *error) {
    int code = LITMUS_OK;
    *go = false;
    if (s->locked_out) return code;
    if (s->writing && (++s->writes >= BATCH_WRITES || lt_monotonic_us() - s->began_us > BATCH_US)) code = commit(s, error);
    if (code == LITMUS_OK && !s->writing) {
        struct litmus_error why = {0};
        code = lt_store_begin(s->catalog, &why);
        if (code == LITMUS_EBUSY) {
            s->locked_out = true;
            return LITMUS_OK;
        }
        if (code != LITMUS_OK) return lt_fail(error, code, why.os_errno, "%s", why.text);
        s->writing = true;
        s->writes = 0;
        s->began_us = lt_monotonic_us();
    }
    *go = code == LITMUS_OK;
    return code;
}

/* ---- names of a folder, and of the ledger ---- */

struct name {
    const char *text;
    int64_t size, mtime_ns; /* of the ledger */
};
struct names {
    struct lt_arena *arena;
    struct name *items;
    size_t count, capacity;
    bool failed;
};

static bool add_name(void *self, const struct lt_store_entry *entry) {
    struct names *n = self;
    struct name *grown = lt_grow_list(n->items, n->count, &n->capacity, sizeof *grown);
    n->failed = grown == NULL;
    if (n->failed) return false;
    n->items = grown;
    struct lt_str text = lt_arena_str(n->arena, lt_str_of(entry->name));
    n->failed = text.p == NULL;
    if (n->failed) return false;
    n->items[n->count++] = (struct name){text.p, entry->size, entry->mtime_ns};
    return true;
}

static int by_text(const void *a, const void *b) {
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

/* The ledger's come sorted. */
static void sort_names(struct names *n) {
    for (size_t i = 1; i < n->count; i++)
        if (by_text(&n->items[i - 1], &n->items[i]) > 0) {
            qsort(n->items, n->count, sizeof *n->items, by_text);
            return;
        }
}

static bool wanted_name(const char *name, const char *suffix) {
    return name[0] != '.' && lt_str_ends(lt_str_of(name), lt_str_of(suffix));
}

/* *os_errno: why it could not be listed to its end. */
static int list_folder(DIR *folder, const char *suffix, struct names *out, int *os_errno, struct litmus_error *error) {
    for (const struct dirent *e; !out->failed && (e = lt_io_next_entry(folder, os_errno)) != NULL;)
        if (e->d_type != DT_DIR && wanted_name(e->d_name, suffix)) add_name(out, &(struct lt_store_entry){.name = e->d_name});
    sort_names(out);
    return out->failed ? no_memory(error) : LITMUS_OK;
}

/* ---- one file ---- */

/* Will reading the file again, unchanged, fail again? */
static bool is_for_good(int code) {
    return code == LITMUS_EDAMAGED || code == LITMUS_EINVAL || code == LITMUS_EVERSION;
}

/* Reads a run file and puts it in the catalog, or in quarantine. *retry: its folder must be looked
 * at again. */
static int take_run_file(struct scan *s, const char *dir, struct lt_store_entry file, bool *retry, struct litmus_error *error) {
    struct lt_table rows;
    struct lt_summary summary;
    struct litmus_error why = {0};
    struct lt_buf relative;
    lt_table_init(&rows);
    lt_buf_init(&relative);
    lt_path_join(&relative, dir, file.name);
    if (s->progress != NULL) s->progress->on_file(s->progress->self, ++s->taken, s->all);
    int code = lt_parquet_read_run(absolute(s, dir, file.name), lt_summary_columns, lt_summary_column_count, &rows, &why);
    if (code == LITMUS_OK) code = lt_summary_of(&rows, (struct lt_str){relative.p, relative.n}, &summary, &why);
    bool read = code == LITMUS_OK, go = false;
    if (code == LITMUS_ENOMEM || relative.failed || s->path.failed) {
        code = no_memory(error);
    } else if (code == LITMUS_ENOENT) { /* gone again */
        *retry = true;
        code = LITMUS_OK;
    } else {
        *retry = *retry || (!read && !is_for_good(code));
        if (!read && !is_for_good(code)) file.mtime_ns = 0;
        code = want_write(s, &go, error);
        if (go && read) code = lt_store_run_put(s->catalog, &summary, error);
        else if (go) code = lt_store_run_drop(s->catalog, relative.p, error);
        if (go && code == LITMUS_OK) code = lt_store_file_put(s->catalog, dir, &file, read ? NULL : why.text, error);
    }
    lt_table_release(&rows);
    lt_buf_release(&relative);
    return code;
}

/* The session of a log, from its schema. */
static bool session_of_log(struct scan *s, const char *dir, const char *name, char out[64], struct litmus_error *why) {
    struct lt_log_reader *reader = NULL;
    out[0] = '\0';
    if (lt_log_reader_open(absolute(s, dir, name), &reader, why) != LITMUS_OK) return false;
    const char *session = lt_log_reader_session(reader);
    struct lt_row row;
    if (session == NULL || session[0] == '\0') (void)lt_log_next(reader, &row, why); /* the schema is read with the first row */
    session = lt_log_reader_session(reader);
    bool known = session != NULL && session[0] != '\0' && strlen(session) < 64;
    if (known) memcpy(out, session, strlen(session) + 1);
    lt_log_reader_free(reader);
    return known;
}

/* One that cannot be read is told of, and counts for the session of its name. */
static int take_log(struct scan *s, const char *dir, const char *name, const struct name *known, bool *retry, struct litmus_error *error) {
    char session[64];
    struct stat st;
    struct litmus_error why = {0};
    bool read = session_of_log(s, dir, name, session, &why), go;
    if (!read) { /* without its schema yet, or none of ours for good */
        bool there = stat(absolute(s, dir, name), &st) == 0;
        *retry = *retry || lt_error_is_refusal(&why) || (there && lt_now_us() - lt_mtime_ns(&st) / 1000 < YOUNG_US);
        if (why.code == LITMUS_OK || known != NULL) return LITMUS_OK;
        lt_log_session_of_name(name, session);
    }
    int code = want_write(s, &go, error);
    return go ? lt_store_log_put(s->catalog, dir, name, session, !read, error) : code;
}

static int take_file(struct scan *s, const struct kind *kind, const char *dir, const char *name, const struct name *known, bool *retry,
                     struct litmus_error *error) {
    struct stat st;
    if (kind->logs) return known != NULL && known->size == 0 ? LITMUS_OK : take_log(s, dir, name, known, retry, error);
    if (fstatat(s->folder_fd, name, &st, 0) != 0 || !S_ISREG(st.st_mode)) return LITMUS_OK;
    struct lt_store_entry file = {.name = name, .size = st.st_size, .mtime_ns = lt_mtime_ns(&st)};
    if (known != NULL && known->size == file.size && known->mtime_ns == file.mtime_ns) return LITMUS_OK;
    return take_run_file(s, dir, file, retry, error);
}

/* What the system does not let us look at may be there. */
static bool is_gone(const char *path) {
    struct stat st;
    struct litmus_error why = {0};
    if (stat(path, &st) == 0) return false;
    lt_fail_os(&why, errno, "look at", path);
    return !lt_error_is_refusal(&why);
}

static int drop_file(struct scan *s, const struct kind *kind, const char *dir, const char *name, struct litmus_error *error) {
    /* Another process may have put it there after this one made its list. */
    if (!s->leaving && !is_gone(absolute(s, dir, name))) return LITMUS_OK;
    bool go;
    int code = want_write(s, &go, error);
    if (!go) return code;
    return kind->logs ? lt_store_log_drop(s->catalog, dir, name, error) : lt_store_file_drop(s->catalog, dir, name, error);
}

/* ---- one folder ---- */

static int load_ledger(struct scan *s, const struct kind *kind, const char *dir, struct names *out, struct litmus_error *error) {
    int code = kind->logs ? lt_store_logs(s->catalog, dir, add_name, out, error) : lt_store_files(s->catalog, dir, add_name, out, error);
    sort_names(out);
    return code == LITMUS_OK && out->failed ? no_memory(error) : code;
}

/* Two sorted lists side by side: what is on disk, what the ledger knows. */
static int compare(struct scan *s, const struct kind *kind, const char *dir, const struct names *disk, const struct names *ledger, bool *retry,
                   struct litmus_error *error) {
    int code = LITMUS_OK;
    for (size_t d = 0, l = 0; code == LITMUS_OK && (d < disk->count || l < ledger->count);) {
        int order = d == disk->count ? 1 : l == ledger->count ? -1 : strcmp(disk->items[d].text, ledger->items[l].text);
        if (order > 0) code = drop_file(s, kind, dir, ledger->items[l].text, error);
        else code = take_file(s, kind, dir, disk->items[d].text, order == 0 ? &ledger->items[l] : NULL, retry, error);
        d += order <= 0;
        l += order >= 0;
    }
    return code;
}

/* A time below 0 is that of a folder that may change again under the same one: it is listed again, as are those of 0. */
static int note_dir(struct scan *s, const char *dir, const struct dir *known, int64_t mtime_ns, bool retry, struct litmus_error *error) {
    int64_t now_ns = lt_now_us() * 1000;
    if (retry || s->locked_out || mtime_ns <= 0) mtime_ns = 0;
    else if (now_ns - mtime_ns < LT_MTIME_GRAIN_NS) mtime_ns = -mtime_ns;
    if (known != NULL && known->mtime_ns == mtime_ns) return LITMUS_OK;
    bool go;
    int code = want_write(s, &go, error);
    return go ? lt_store_dir_put(s->catalog, dir, mtime_ns, error) : code;
}

/* The system did not let us look at a folder: gone, it is no loss. */
static int note_unlisted(struct scan *s, const char *dir, int os_errno) {
    struct litmus_error why = {0};
    lt_fail_os(&why, os_errno, "list", absolute(s, dir, NULL));
    if (lt_error_is_refusal(&why)) lt_store_note_unlisted(s->catalog, &why);
    return LITMUS_OK;
}

static int scan_folder(struct scan *s, const struct kind *kind, const char *dir, struct litmus_error *error) {
    struct stat st;
    uint32_t number = lt_map_get(&s->dir_by_path, lt_str_of(dir), 0);
    struct dir *known = number == LT_MAP_NONE ? NULL : &s->dirs[number];
    if (stat(absolute(s, dir, NULL), &st) != 0) return note_unlisted(s, dir, errno);
    if (!S_ISDIR(st.st_mode)) return LITMUS_OK;
    if (known != NULL) known->seen = true;
    if (known != NULL && known->mtime_ns > 0 && known->mtime_ns == lt_mtime_ns(&st)) return LITMUS_OK;
    DIR *folder = opendir(absolute(s, dir, NULL));
    if (folder == NULL) return note_unlisted(s, dir, errno);
    struct names disk = {.arena = &s->arena}, ledger = {.arena = &s->arena};
    int os_errno = 0;
    s->folder_fd = dirfd(folder);
    int code = list_folder(folder, kind->suffix, &disk, &os_errno, error);
    bool retry = os_errno != 0;
    if (code == LITMUS_OK && retry) code = note_unlisted(s, dir, os_errno);
    if (code == LITMUS_OK) code = load_ledger(s, kind, dir, &ledger, error);
    if (code == LITMUS_OK) code = compare(s, kind, dir, &disk, &ledger, &retry, error);
    if (code == LITMUS_OK) code = note_dir(s, dir, known, lt_mtime_ns(&st), retry, error);
    closedir(folder);
    free(disk.items);
    free(ledger.items);
    return code;
}

/* A day's folder. Below runs/ those of `_ref` hold attachments; logs are looked for where lt_io_list_days finds them. */
static bool is_wanted_name(const struct kind *kind, const char *name, size_t n) {
    return name[0] != '.' && (kind->logs || !lt_str_ends((struct lt_str){name, n}, LT_STR("_ref")));
}

static bool wanted_folder(const struct kind *kind, const struct dirent *e) {
    if (!is_wanted_name(kind, e->d_name, strlen(e->d_name))) return false;
    return e->d_type == DT_DIR || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN;
}

static bool leads_out(struct scan *s, const char *dir) {
    return lt_io_leads_out(lt_store_data_dir(s->catalog), absolute(s, dir, NULL));
}

/* No log lies in events/ itself. */
bool lt_catalog_looks_in(struct lt_str folder) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t n = strlen(kinds[i].root);
        if (folder.n < n || memcmp(folder.p, kinds[i].root, n) != 0) continue;
        if (folder.n == n) return !kinds[i].logs;
        if (folder.p[n] != '/' || folder.n == n + 1 || memchr(folder.p + n + 1, '/', folder.n - n - 1) != NULL) continue;
        return is_wanted_name(&kinds[i], folder.p + n + 1, folder.n - n - 1);
    }
    return false;
}

static bool is_looked_at(struct scan *s, const struct kind *kind, const char *dir) {
    return lt_catalog_looks_in(lt_str_of(dir)) && !leads_out(s, kind->root) && !leads_out(s, dir);
}

static int scan_root(struct scan *s, const struct kind *kind, struct litmus_error *error) {
    if (leads_out(s, kind->root)) return LITMUS_OK;
    DIR *root = opendir(absolute(s, kind->root, NULL));
    if (root == NULL) return note_unlisted(s, kind->root, errno);
    struct lt_buf dir;
    int os_errno = 0;
    lt_buf_init(&dir);
    int code = kind->logs ? LITMUS_OK : scan_folder(s, kind, kind->root, error);
    for (const struct dirent *e; code == LITMUS_OK && (e = lt_io_next_entry(root, &os_errno)) != NULL;) {
        if (!wanted_folder(kind, e)) continue;
        const char *path = lt_path_join(&dir, kind->root, e->d_name);
        if (!dir.failed && e->d_type != DT_DIR && leads_out(s, path)) continue;
        code = dir.failed ? no_memory(error) : scan_folder(s, kind, path, error);
    }
    lt_buf_release(&dir);
    closedir(root);
    if (code == LITMUS_OK && os_errno != 0) code = note_unlisted(s, kind->root, os_errno);
    return code;
}

/* Folders that the catalog knows and that are no longer there, or have become links out of the data_dir. */
static int drop_gone_folders(struct scan *s, struct litmus_error *error) {
    int code = LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < s->dir_count; i++) {
        const char *dir = s->dirs[i].path;
        const struct kind *kind = strncmp(dir, "events", 6) == 0 ? &kinds[1] : &kinds[0];
        if (s->dirs[i].seen) continue;
        s->leaving = !is_looked_at(s, kind, dir);
        if (!s->leaving && !is_gone(absolute(s, dir, NULL))) continue;
        struct names none = {.arena = &s->arena}, ledger = {.arena = &s->arena};
        bool retry = false, go = false;
        code = load_ledger(s, kind, dir, &ledger, error);
        if (code == LITMUS_OK) code = compare(s, kind, dir, &none, &ledger, &retry, error);
        if (code == LITMUS_OK) code = want_write(s, &go, error);
        if (go) code = lt_store_dir_drop(s->catalog, dir, error);
        free(ledger.items);
    }
    s->leaving = false;
    return code;
}

/* ---- sessions ---- */

/* Has a session a run that was started and has no file? */
struct session_look {
    struct scan *scan;
    struct lt_arena arena;
    struct lt_map materialized; /* run ids */
    bool any_open, live, dead, failed;
    bool refused;  /* one of its logs could not be read now: nothing is concluded without it */
    bool orphaned; /* a run's end was said for its dead producer */
    bool unsaid;   /* a run was started, and no log says that it is materialised */
    bool has_runs; /* nor is its file there: no more has to be known */
    int64_t latest; /* received_at of the rows that were read */
    int logs;
    bool has_producer;     /* one of its logs is held by a process that finishes nothing */
    bool of_materializers; /* whose logs are read now, those of materializers or the others */
};

static void note_started(struct session_look *look, struct lt_str run_id) {
    if (lt_map_get(&look->materialized, run_id, 0) != LT_MAP_NONE) return;
    look->unsaid = true;
    look->has_runs = !lt_catalog_has_run(look->scan->catalog, run_id);
}

static void note_row(struct session_look *look, const struct lt_row *row) {
    if (row->run_id.p == NULL) return;
    if (lt_str_eq(row->event_type, LT_STR("run.started"))) {
        note_started(look, row->run_id);
    } else if (look->of_materializers && lt_str_eq(row->event_type, LT_STR("run.ended"))) {
        look->orphaned = true;
    } else if (lt_says_materialized(row)) {
        struct lt_str own = lt_arena_str(&look->arena, row->run_id);
        look->failed = own.p == NULL || !lt_map_put(&look->materialized, own, 0, 1);
        if (!lt_catalog_has_run(look->scan->catalog, row->run_id)) look->scan->unlisted = true;
    }
}

static bool look_at_log(void *self, const char *path, int64_t mtime_us) {
    struct session_look *look = self;
    (void)mtime_us;
    const char *whole = absolute(look->scan, path, NULL);
    look->logs++;
    if (lt_log_is_sealed(whole)) return true;
    look->any_open = true;
    bool live = lt_log_life(whole, NULL) == LT_LIFE_WRITING;
    look->live = look->live || live;
    look->dead = look->dead || !live;
    return !(look->live && look->dead);
}

static bool next_event(struct session_look *look, struct lt_log_reader *reader, struct lt_row *row) {
    enum lt_log_status status;
    struct litmus_error why = {0};
    do status = lt_log_next(reader, row, &why);
    while (status == LT_LOG_DAMAGED);
    look->refused = look->refused || lt_error_is_refusal(&why);
    if (status == LT_LOG_EVENT && row->received_at > look->latest) look->latest = row->received_at;
    return status == LT_LOG_EVENT;
}

static bool read_log(void *self, const char *path, int64_t mtime_us) {
    struct session_look *look = self;
    (void)mtime_us;
    struct lt_log_reader *reader = NULL;
    struct litmus_error why = {0};
    if (lt_log_reader_open(absolute(look->scan, path, NULL), &reader, &why) != LITMUS_OK) {
        look->refused = look->refused || lt_error_is_refusal(&why);
        return true; /* no run in there, as far as is known */
    }
    struct lt_row row;
    bool more = next_event(look, reader, &row);
    if (more && (look->logs == 1 || lt_may_say_materialized(&row) == look->of_materializers))
        for (; more && !look->failed && !look->has_runs; more = next_event(look, reader, &row)) note_row(look, &row);
    lt_log_reader_free(reader);
    return !look->failed && !look->has_runs;
}

/* What the materializers say comes first: then the first run without a file ends the search. No other log vouches for one alone. */
static int find_open_run(struct session_look *look, const char *session_id, struct litmus_error *error) {
    look->of_materializers = true;
    int code = look->logs == 1 ? LITMUS_OK : lt_catalog_logs(look->scan->catalog, session_id, 0, read_log, look, error);
    look->of_materializers = false;
    return code == LITMUS_OK && !look->failed ? lt_catalog_logs(look->scan->catalog, session_id, 0, read_log, look, error) : code;
}

static bool note_name(void *self, const char *path, int64_t mtime_us) {
    return add_name(self, &(struct lt_store_entry){.name = path, .mtime_ns = mtime_us});
}

/* Nothing will be added to these logs, and no event of theirs is later than `latest`; where they have none their time stamps serve. */
static int settle_logs(struct scan *s, const char *session_id, int64_t latest, struct litmus_error *error) {
    struct names logs = {.arena = &s->arena};
    int code = lt_catalog_logs(s->catalog, session_id, 0, note_name, &logs, error);
    for (size_t i = 0; code == LITMUS_OK && i < logs.count; i++) {
        struct stat st;
        bool go;
        const char *path = logs.items[i].text, *slash = strrchr(path, '/');
        if (slash == NULL || stat(absolute(s, path, NULL), &st) != 0) continue;
        struct lt_str dir = lt_arena_str(&s->arena, (struct lt_str){path, (size_t)(slash - path)});
        if (dir.p == NULL) code = no_memory(error);
        else code = want_write(s, &go, error);
        int64_t ended = latest == LT_TIME_NONE ? lt_mtime_ns(&st) / 1000 : latest;
        if (code == LITMUS_OK && go) code = lt_store_log_settled(s->catalog, dir.p, slash + 1, ended, error);
    }
    free(logs.items);
    return code == LITMUS_OK && logs.failed ? no_memory(error) : code;
}

/* Did other processes of a dead producer say more than its runs' files hold? */
static bool has_late(const struct scan *s, const char *session_id) {
    struct lt_gathering session;
    bool late = lt_gather_session(lt_store_data_dir(s->catalog), session_id, NULL, &session, NULL) != LITMUS_OK; /* perhaps */
    if (!late)
        for (size_t i = 0; i < session.run_count; i++) late = late || lt_gathered_run_outdated(session.runs[i]);
    lt_gathering_release(&session);
    return late;
}

/* A producer holds its log, and who finishes a session its logs one after the other, with materialize.lock open. */
static bool find_producer(void *self, const char *path, int64_t mtime_us) {
    struct session_look *look = self;
    char lock[64];
    (void)mtime_us;
    const char *whole = absolute(look->scan, path, NULL);
    snprintf(lock, sizeof lock, "/proc/self/fd/%d", look->scan->lock_fd);
    long holder = lt_log_is_sealed(whole) ? 0 : lt_lock_holder(whole);
    look->has_producer = holder > 0 && !lt_process_has_open(holder, lock);
    return !look->has_producer;
}

/* Who recovers a dead producer's log holds it as that one did, and is about to be done. A producer's log is held whoever has the session's
 * lock; if nobody has it, and the log is held still, it is no recovery's. */
static int look_at_logs(struct session_look *look, const char *session_id, bool *held, struct litmus_error *error) {
    struct scan *s = look->scan;
    int code = lt_catalog_logs(s->catalog, session_id, 0, look_at_log, look, error);
    *held = false;
    if (code != LITMUS_OK || !look->live || look->dead) return code;
    if (s->lock_fd < 0) s->lock_fd = lt_range_lock_find(lt_store_data_dir(s->catalog));
    *held = lt_range_lock_is_held(s->lock_fd, "session", lt_str_of(session_id));
    if (*held) {
        code = lt_catalog_logs(s->catalog, session_id, 0, find_producer, look, error);
        *held = !look->has_producer; /* perhaps: another user's processes, or another machine's, are not seen */
        return code;
    }
    look->any_open = look->live = false;
    look->logs = 0;
    return lt_catalog_logs(s->catalog, session_id, 0, look_at_log, look, error);
}

static int look_at_session(struct scan *s, const char *session_id, struct litmus_error *error) {
    struct session_look look = {.scan = s, .latest = LT_TIME_NONE};
    bool held;
    lt_arena_init(&look.arena);
    lt_map_init(&look.materialized);
    int code = look_at_logs(&look, session_id, &held, error);
    /* While its producer lives a session stays open whatever is in it. */
    if (code == LITMUS_OK && !look.live) code = find_open_run(&look, session_id, error);
    if (code == LITMUS_OK && look.failed) code = no_memory(error);
    if (code == LITMUS_OK) {
        struct lt_open_session open = {.live = look.live, .dead = look.dead, .held = held, .has_runs = look.live || look.has_runs || look.refused};
        /* a materializer may have died between the file and its word for it */
        if (look.any_open || look.refused || open.has_runs || look.unsaid || (look.orphaned && has_late(s, session_id))) {
            size_t n = strlen(session_id);
            if (n < sizeof open.session_id) memcpy(open.session_id, session_id, n + 1);
            code = lt_store_open_sessions_add(s->catalog, &open, error);
        } else {
            code = settle_logs(s, session_id, look.latest, error);
        }
    }
    lt_map_release(&look.materialized);
    lt_arena_release(&look.arena);
    return code;
}

static int look_at_sessions(struct scan *s, struct litmus_error *error) {
    struct names sessions = {.arena = &s->arena};
    lt_store_open_sessions_clear(s->catalog);
    int code = lt_store_sessions_open(s->catalog, add_name, &sessions, error);
    if (code == LITMUS_OK && sessions.failed) code = no_memory(error);
    for (size_t i = 0; code == LITMUS_OK && i < sessions.count; i++) code = look_at_session(s, sessions.items[i].text, error);
    free(sessions.items);
    return code;
}

/* ---- all of it ---- */

static bool add_dir(void *self, const struct lt_store_entry *entry) {
    struct scan *s = self;
    struct dir *grown = lt_grow_list(s->dirs, s->dir_count, &s->dir_capacity, sizeof *grown);
    if (grown == NULL) return !(s->arena.failed = true);
    s->dirs = grown;
    struct lt_str path = lt_arena_str(&s->arena, lt_str_of(entry->name));
    if (path.p == NULL) return false;
    s->dirs[s->dir_count] = (struct dir){path.p, entry->mtime_ns, false};
    if (!lt_map_put(&s->dir_by_path, path, 0, (uint32_t)s->dir_count)) return !(s->arena.failed = true);
    s->dir_count++;
    return true;
}

static void scan_init(struct scan *s, struct lt_catalog *catalog) {
    *s = (struct scan){.catalog = catalog, .lock_fd = -1};
    lt_arena_init(&s->arena);
    lt_map_init(&s->dir_by_path);
    lt_buf_init(&s->path);
}

static void scan_release(struct scan *s) {
    if (s->writing) lt_store_rollback(s->catalog);
    if (s->lock_fd >= 0) close(s->lock_fd);
    free(s->dirs);
    lt_map_release(&s->dir_by_path);
    lt_arena_release(&s->arena);
    lt_buf_release(&s->path);
}

/* Once more, whatever the time stamps of the folders say: the session of such a run may be settled by now, and nobody else would tell of it. */
static int list_again(struct scan *s, struct litmus_error *error) {
    for (size_t i = 0; i < s->dir_count; i++) s->dirs[i].mtime_ns = 0;
    return scan_root(s, &kinds[0], error);
}

static int scan_all(struct scan *s, struct litmus_error *error) {
    int code = lt_store_dirs(s->catalog, add_dir, s, error);
    if (code == LITMUS_OK && s->arena.failed) code = no_memory(error);
    for (size_t i = 0; code == LITMUS_OK && i < sizeof kinds / sizeof kinds[0]; i++) code = scan_root(s, &kinds[i], error);
    if (code == LITMUS_OK) code = drop_gone_folders(s, error);
    if (code == LITMUS_OK) code = look_at_sessions(s, error);
    if (code == LITMUS_OK && s->unlisted) code = list_again(s, error);
    return code == LITMUS_OK ? commit(s, error) : code;
}

typedef int work_fn(struct scan *s, void *self, struct litmus_error *error);

/* Does the work; a catalog that is damaged is made anew, one that cannot be written goes on in
 * memory, and the work is done again. */
static int with_catalog(struct lt_catalog *catalog, work_fn *work, void *self, struct litmus_error *error) {
    struct litmus_error why = {0};
    int code = lt_store_follow(catalog, &why);
    for (int tries = 0; tries < 3; tries++) {
        struct scan s;
        scan_init(&s, catalog);
        if (code == LITMUS_OK) code = work(&s, self, &why);
        if (s.locked_out || code == LITMUS_EBUSY) lt_store_note_behind(catalog, true);
        scan_release(&s);
        if (code == LITMUS_OK || code == LITMUS_EBUSY) return LITMUS_OK; /* busy: what is known must do */
        if (code == LITMUS_ENOMEM || tries == 2) break;
        bool damaged = code == LITMUS_EDAMAGED && tries == 0;
        lt_error_clear(&why);
        code = damaged ? lt_store_reset(catalog, &why) : lt_store_to_memory(catalog, &why);
    }
    return lt_fail(error, code, why.os_errno, "%s", why.text);
}

static int refresh(struct scan *s, void *self, struct litmus_error *error) {
    (void)self;
    return scan_all(s, error);
}

int lt_catalog_refresh(struct lt_catalog *catalog, struct litmus_error *error) {
    lt_store_note_behind(catalog, false);
    lt_store_note_unlisted(catalog, NULL);
    return with_catalog(catalog, refresh, NULL, error);
}

/* ---- from nothing ---- */

static int64_t count_files(struct scan *s, const char *dir) {
    int64_t count = 0;
    DIR *folder = opendir(absolute(s, dir, NULL));
    for (const struct dirent *e; folder != NULL && (e = readdir(folder)) != NULL;) count += wanted_name(e->d_name, kinds[0].suffix);
    if (folder != NULL) closedir(folder);
    return count;
}

static int64_t count_all(struct scan *s) {
    struct lt_buf dir;
    lt_buf_init(&dir);
    int64_t count = count_files(s, kinds[0].root);
    DIR *root = opendir(absolute(s, kinds[0].root, NULL));
    for (const struct dirent *e; root != NULL && (e = readdir(root)) != NULL;)
        if (wanted_folder(&kinds[0], e)) count += count_files(s, lt_path_join(&dir, kinds[0].root, e->d_name));
    if (root != NULL) closedir(root);
    lt_buf_release(&dir);
    return count;
}

static int refresh_telling(struct scan *s, void *self, struct litmus_error *error) {
    s->progress = self;
    s->all = self == NULL ? 0 : count_all(s);
    return scan_all(s, error);
}

int lt_catalog_rebuild(struct lt_catalog *catalog, struct lt_catalog_progress *progress, struct litmus_error *error) {
    int code = lt_store_reset(catalog, error);
    return code == LITMUS_OK ? with_catalog(catalog, refresh_telling, progress, error) : code;
}

struct recheck {
    const char *const *paths;
    size_t count;
    bool changed;
};

static int recheck_one(struct scan *s, const char *path, bool *changed, struct litmus_error *error) {
    const char *slash = strrchr(path, '/');
    struct lt_str dir = lt_arena_str(&s->arena, (struct lt_str){path, slash == NULL ? 0 : (size_t)(slash - path)});
    struct lt_store_entry known;
    struct stat st;
    bool retry = false;
    if (dir.p == NULL) return no_memory(error);
    if (slash == NULL || !lt_store_file_get(s->catalog, dir.p, slash + 1, &known)) return LITMUS_OK;
    if (stat(absolute(s, path, NULL), &st) != 0) {
        *changed = is_gone(absolute(s, path, NULL));
        return *changed ? drop_file(s, &kinds[0], dir.p, slash + 1, error) : LITMUS_OK;
    }
    if (known.size == (int64_t)st.st_size && known.mtime_ns == lt_mtime_ns(&st)) return LITMUS_OK;
    *changed = true;
    return take_run_file(s, dir.p, (struct lt_store_entry){slash + 1, st.st_size, lt_mtime_ns(&st)}, &retry, error);
}

static int recheck_all(struct scan *s, void *self, struct litmus_error *error) {
    struct recheck *r = self;
    int code = LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < r->count; i++) code = recheck_one(s, r->paths[i], &r->changed, error);
    return code == LITMUS_OK ? commit(s, error) : code;
}

int lt_catalog_recheck(struct lt_catalog *catalog, const char *const *paths, size_t count, bool *changed, struct litmus_error *error) {
    struct recheck r = {paths, count, false};
    int code = with_catalog(catalog, recheck_all, &r, error);
    *changed = r.changed;
    return code;
}
