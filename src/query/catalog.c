/* SPDX-License-Identifier: Apache-2.0 */
#include "query/catalog.h"

#include "base/clock.h"
#include "base/grow.h"
#include "base/io.h"
#include "base/portable.h"
#include "query/catalog_sql.h"
#include "query/catalog_store.h"
#include "query/query.h"
#include "query/words.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum statement {
#define STATEMENT_ENUM(name, sql) SQL_##name,
    LT_CATALOG_STATEMENTS(STATEMENT_ENUM)
#undef STATEMENT_ENUM
    SQL_COUNT,
};
static const char *const statement_sql[SQL_COUNT] = {
#define STATEMENT_TEXT(name, sql) sql,
    LT_CATALOG_STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

enum { BUSY_MS = 1000 }; /* whoever holds the lock longer is stuck; the answer comes without */

struct lt_catalog {
    char *data_dir, *path;
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    bool in_memory, behind;
    struct litmus_error unlisted; /* why the latest scan could not list a folder */
    dev_t device;
    ino_t inode; /* of the file that `db` has open */
    struct lt_open_session *open;
    size_t open_count, open_capacity;
};

/* ---- codes ---- */

static int code_of(int rc) {
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return LITMUS_OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return LITMUS_EBUSY;
    case SQLITE_NOMEM: return LITMUS_ENOMEM;
    case SQLITE_FULL: return LITMUS_ENOSPC;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH: return LITMUS_EPERM;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL: return LITMUS_EIO;
    default: return LITMUS_EDAMAGED; /* CORRUPT, NOTADB; ERROR and the like: its tables are not ours */
    }
}

static int fail_sql(const struct lt_catalog *c, int rc, struct litmus_error *error) {
    const char *text = c->db != NULL ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);
    return lt_fail(error, code_of(rc), 0, "the catalog %s: %s (it may be deleted at any time)", c->path, text);
}

/* ---- statements ---- */

static int prepared(struct lt_catalog *c, enum statement id, sqlite3_stmt **out, struct litmus_error *error) {
    if (c->statements[id] == NULL) {
        int rc = sqlite3_prepare_v3(c->db, statement_sql[id], -1, SQLITE_PREPARE_PERSISTENT, &c->statements[id], NULL);
        if (rc != SQLITE_OK) return fail_sql(c, rc, error);
    }
    *out = c->statements[id];
    return LITMUS_OK;
}

static int bind_str(sqlite3_stmt *s, int at, struct lt_str text) {
    if (text.p == NULL) return sqlite3_bind_null(s, at);
    return sqlite3_bind_text64(s, at, text.p, text.n, SQLITE_STATIC, SQLITE_UTF8);
}

typedef bool row_fn(void *self, sqlite3_stmt *row);

static int step_all(struct lt_catalog *c, sqlite3_stmt *s, row_fn *each, void *self, struct litmus_error *error) {
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        if (each != NULL && !each(self, s)) break;
    int code = rc == SQLITE_ROW || rc == SQLITE_DONE ? LITMUS_OK : fail_sql(c, rc, error);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return code;
}

/* `binds` has a letter a parameter: t text (const char *), s text (struct lt_str), i int64_t. */
static int run(struct lt_catalog *c, enum statement id, row_fn *each, void *self, struct litmus_error *error,
               const char *binds, ...) {
    sqlite3_stmt *s = NULL;
    int code = prepared(c, id, &s, error);
    if (code != LITMUS_OK) return code;
    int rc = SQLITE_OK;
    va_list args;
    va_start(args, binds);
    for (int i = 0; rc == SQLITE_OK && binds[i] != '\0'; i++) {
        if (binds[i] == 't') rc = bind_str(s, i + 1, lt_str_of(va_arg(args, const char *)));
        else if (binds[i] == 's') rc = bind_str(s, i + 1, va_arg(args, struct lt_str));
        else rc = sqlite3_bind_int64(s, i + 1, va_arg(args, int64_t));
    }
    va_end(args);
    return rc == SQLITE_OK ? step_all(c, s, each, self, error) : fail_sql(c, rc, error);
}

/* Text of a result column; "" for NULL, so that a damaged catalog's NULLs harm nobody. */
static const char *column_text(sqlite3_stmt *row, int at) {
    const char *text = (const char *)sqlite3_column_text(row, at);
    return text == NULL ? "" : text;
}

/* ---- open ---- */

static void close_db(struct lt_catalog *c) {
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(c->statements[i]);
        c->statements[i] = NULL;
    }
    sqlite3_close(c->db);
    c->db = NULL;
}

static bool take_int(void *self, sqlite3_stmt *row) {
    *(int64_t *)self = sqlite3_column_int64(row, 0);
    return false;
}

static int ask_int(struct lt_catalog *c, const char *sql, int64_t *out, struct litmus_error *error) {
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(c->db, sql, -1, &s, NULL);
    int code = rc == SQLITE_OK ? step_all(c, s, take_int, out, error) : fail_sql(c, rc, error);
    sqlite3_finalize(s);
    return code;
}

static int exec(struct lt_catalog *c, const char *sql, struct litmus_error *error) {
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? LITMUS_OK : fail_sql(c, rc, error);
}

enum kind { KIND_CURRENT, KIND_NEW, KIND_OTHER_VERSION, KIND_FOREIGN };

static int kind_of(struct lt_catalog *c, enum kind *out, struct litmus_error *error) {
    int64_t application = 0, version = 0, tables = 0;
    int code = ask_int(c, "PRAGMA application_id", &application, error);
    if (code == LITMUS_OK) code = ask_int(c, "PRAGMA user_version", &version, error);
    if (code == LITMUS_OK) code = ask_int(c, "SELECT count(*) FROM sqlite_schema", &tables, error);
    if (code != LITMUS_OK) return code;
    bool ours = application == atoll(LT_CATALOG_APPLICATION_ID);
    if (ours) *out = version == atoll(LT_CATALOG_VERSION) ? KIND_CURRENT : KIND_OTHER_VERSION;
    else *out = tables == 0 ? KIND_NEW : KIND_FOREIGN;
    return LITMUS_OK;
}

/* Makes the tables. Another process may be doing the same: whoever gets the lock second sees so. */
static int make_tables(struct lt_catalog *c, struct litmus_error *error) {
    int code = exec(c, "BEGIN IMMEDIATE", error);
    if (code != LITMUS_OK) return code;
    enum kind kind = KIND_NEW;
    code = kind_of(c, &kind, error);
    if (code == LITMUS_OK && kind == KIND_OTHER_VERSION) code = exec(c, lt_sql_drop, error);
    if (code == LITMUS_OK && kind != KIND_CURRENT) code = exec(c, lt_sql_schema, error);
    if (code == LITMUS_OK) code = exec(c, "COMMIT", error);
    else sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

/* SQLite would wait at a pipe for ever, and write through a link. */
static int check_files(const struct lt_catalog *c, struct litmus_error *error) {
    struct lt_buf path;
    struct stat st;
    int code = LITMUS_OK;
    lt_buf_init(&path);
    for (size_t i = 0; code == LITMUS_OK && i < sizeof suffixes / sizeof suffixes[0]; i++) {
        lt_buf_clear(&path);
        lt_buf_addf(&path, "%s%s", c->path, suffixes[i]);
        if (lstat(lt_buf_cstr(&path), &st) == 0 && !S_ISREG(st.st_mode))
            code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s is %s, and no plain file: move it elsewhere", lt_buf_cstr(&path),
                           S_ISLNK(st.st_mode) ? "a symbolic link" : "a folder or a device");
    }
    lt_buf_release(&path);
    return code;
}

/* The machine was started anew since it was written: perhaps the power failed. `written_ns`: when the file was written last; run files of the
 * hour before are read again, as their rows may be old ones. EDAMAGED: it does not hold together. */
static int mend_after_restart(struct lt_catalog *c, const char *boot, int64_t written_ns, struct litmus_error *error) {
    const int64_t hour_ns = INT64_C(3600) * 1000000000;
    int64_t sound = 0;
    int code = run(c, SQL_CHECK, take_int, &sound, error, "");
    if (code == LITMUS_OK && sound == 0) code = lt_fail(error, LITMUS_EDAMAGED, 0, "the catalog %s is damaged", c->path);
    if (code == LITMUS_OK) code = run(c, SQL_FILES_FORGET, NULL, NULL, error, "i", written_ns - hour_ns);
    if (code == LITMUS_OK) code = exec(c, lt_sql_restart, error);
    return code == LITMUS_OK ? run(c, SQL_BOOT_PUT, NULL, NULL, error, "t", boot) : code;
}

static bool take_any(void *self, sqlite3_stmt *row) {
    (void)row;
    return !(*(bool *)self = true);
}

static int look_at_boot(struct lt_catalog *c, int64_t written_ns, struct litmus_error *error) {
    char boot[LT_BOOT_ID_BYTES];
    bool same = false;
    if (!lt_boot_id(boot)) return LITMUS_OK;
    int code = run(c, SQL_BOOT, take_any, &same, error, "t", boot);
    if (code != LITMUS_OK || same) return code;
    code = run(c, SQL_BEGIN, NULL, NULL, error, "");
    if (code == LITMUS_OK) code = run(c, SQL_BOOT, take_any, &same, error, "t", boot); /* another process may have done it meanwhile */
    if (code == LITMUS_OK && !same) code = mend_after_restart(c, boot, written_ns, error);
    if (code == LITMUS_OK) code = run(c, SQL_COMMIT, NULL, NULL, error, "");
    if (code != LITMUS_OK) sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

static int64_t written_ns(const struct lt_catalog *c) {
    struct stat st;
    return stat(c->path, &st) == 0 ? lt_mtime_ns(&st) : 0;
}

static int open_file(struct lt_catalog *c, struct litmus_error *error) {
    int unsound = check_files(c, error);
    int64_t written = written_ns(c); /* before SQLite brings in what its journal has */
    if (unsound != LITMUS_OK) return unsound;
    int rc = sqlite3_open_v2(c->path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) return fail_sql(c, rc, error);
    sqlite3_busy_timeout(c->db, BUSY_MS);
    int code = exec(c, lt_sql_open, error);
    enum kind kind = KIND_FOREIGN;
    if (code == LITMUS_OK) code = kind_of(c, &kind, error);
    if (code == LITMUS_OK && kind == KIND_FOREIGN)
        code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s is a database of something else", c->path);
    if (code == LITMUS_OK && kind != KIND_CURRENT) code = make_tables(c, error);
    if (code == LITMUS_OK) code = look_at_boot(c, written, error);
    struct stat st;
    if (code == LITMUS_OK && stat(c->path, &st) == 0) {
        c->device = st.st_dev;
        c->inode = st.st_ino;
    }
    return code;
}

static void remove_file(const struct lt_catalog *c) {
    struct lt_buf path;
    lt_buf_init(&path);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        lt_buf_clear(&path);
        lt_buf_addf(&path, "%s%s", c->path, suffixes[i]);
        if (!path.failed) unlink(lt_buf_cstr(&path));
    }
    lt_buf_release(&path);
}

/* What a file that cannot be written holds, as far as it can be read: saves reading every run. */
static void copy_from_file(struct lt_catalog *c) {
    struct lt_buf uri;
    lt_buf_init(&uri);
    lt_buf_add_text(&uri, "file:");
    for (const char *p = c->path; *p != '\0'; p++) {
        if (strchr("%?#", *p) != NULL) lt_buf_addf(&uri, "%%%02x", (unsigned char)*p);
        else lt_buf_add_char(&uri, *p);
    }
    lt_buf_add_text(&uri, "?immutable=1");
    sqlite3 *from = NULL;
    sqlite3_backup *backup = NULL;
    if (!uri.failed && sqlite3_open_v2(lt_buf_cstr(&uri), &from, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK)
        backup = sqlite3_backup_init(c->db, "main", from, "main");
    if (backup != NULL) {
        sqlite3_backup_step(backup, -1);
        sqlite3_backup_finish(backup);
    }
    sqlite3_close(from);
    lt_buf_release(&uri);
}

static int open_memory(struct lt_catalog *c, bool copy, struct litmus_error *error) {
    int rc = sqlite3_open_v2(":memory:", &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL);
    if (rc != SQLITE_OK) return fail_sql(c, rc, error);
    sqlite3_busy_timeout(c->db, BUSY_MS); /* for the catalog's file, which is held against it */
    c->in_memory = true;
    if (copy) copy_from_file(c);
    enum kind kind = KIND_FOREIGN;
    struct litmus_error ignored = {0};
    int code = kind_of(c, &kind, &ignored);
    if (code == LITMUS_OK && kind == KIND_CURRENT && (!copy || look_at_boot(c, written_ns(c), &ignored) == LITMUS_OK)) return LITMUS_OK;
    if (code == LITMUS_OK && kind != KIND_FOREIGN && kind != KIND_CURRENT) return make_tables(c, error);
    close_db(c);
    return copy ? open_memory(c, false, error) : lt_fail(error, code, 0, "%s", ignored.text);
}

/* The file, else the file made anew, else memory. Fails on lack of memory only. */
static int open_any(struct lt_catalog *c, struct litmus_error *error) {
    struct litmus_error why = {0};
    c->in_memory = false;
    int code = open_file(c, &why);
    for (int tries = 0; code == LITMUS_EDAMAGED && tries < 2; tries++) {
        close_db(c);
        remove_file(c);
        lt_error_clear(&why);
        code = open_file(c, &why);
    }
    if (code == LITMUS_OK) return LITMUS_OK;
    close_db(c);
    if (code == LITMUS_ENOMEM) return lt_fail(error, code, 0, "%s", why.text);
    return open_memory(c, code != LITMUS_EDAMAGED, error);
}

static int open_catalog(const char *data_dir, int (*open)(struct lt_catalog *c, struct litmus_error *error), struct lt_catalog **out, struct litmus_error *error) {
    *out = NULL;
    size_t n = strlen(data_dir);
    struct lt_catalog *c = calloc(1, sizeof *c);
    if (c != NULL) {
        c->data_dir = strdup(data_dir);
        c->path = malloc(n + sizeof "/catalog.sqlite");
    }
    if (c == NULL || c->data_dir == NULL || c->path == NULL) {
        lt_catalog_free(c);
        return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the catalog");
    }
    snprintf(c->path, n + sizeof "/catalog.sqlite", "%s/catalog.sqlite", data_dir);
    int code = open(c, error);
    if (code == LITMUS_OK) *out = c;
    else lt_catalog_free(c);
    return code;
}

int lt_catalog_open(const char *data_dir, struct lt_catalog **out, struct litmus_error *error) {
    return open_catalog(data_dir, open_any, out, error);
}

static int open_empty(struct lt_catalog *c, struct litmus_error *error) {
    return open_memory(c, false, error);
}

int lt_catalog_open_memory(const char *data_dir, struct lt_catalog **out, struct litmus_error *error) {
    return open_catalog(data_dir, open_empty, out, error);
}

void lt_catalog_free(struct lt_catalog *c) {
    if (c == NULL) return;
    close_db(c);
    free(c->open);
    free(c->data_dir);
    free(c->path);
    free(c);
}

/* ---- the store: tables, for the scan ---- */

const char *lt_store_data_dir(const struct lt_catalog *c) {
    return c->data_dir;
}

void lt_store_note_behind(struct lt_catalog *c, bool behind) {
    c->behind = behind;
}

void lt_store_note_unlisted(struct lt_catalog *c, const struct litmus_error *why) {
    if (why == NULL) lt_error_clear(&c->unlisted);
    else lt_fail_with(&c->unlisted, why); /* the first one stays */
}

const char *lt_catalog_unlisted(const struct lt_catalog *c) {
    return c->unlisted.code == LITMUS_OK ? NULL : c->unlisted.text;
}

bool lt_catalog_is_kept(const struct lt_catalog *c) {
    return !c->in_memory;
}

bool lt_catalog_is_behind(const struct lt_catalog *c) {
    return c->behind;
}

struct sqlite3 *lt_store_database(const struct lt_catalog *c) {
    return c->db;
}

int lt_store_reset(struct lt_catalog *c, struct litmus_error *error) {
    close_db(c);
    if (!c->in_memory) remove_file(c);
    return open_any(c, error);
}

int lt_store_to_memory(struct lt_catalog *c, struct litmus_error *error) {
    close_db(c);
    return open_memory(c, true, error);
}

/* Another version of litmus may have made the tables anew in the file that we have open: a row of ours could fit them by chance. */
static int has_our_tables(struct lt_catalog *c, bool *ours, struct litmus_error *error) {
    int64_t version = 0;
    int code = run(c, SQL_VERSION, take_int, &version, error, "");
    *ours = version == atoll(LT_CATALOG_VERSION);
    return code;
}

int lt_store_follow(struct lt_catalog *c, struct litmus_error *error) {
    struct stat st;
    bool ours;
    if (c->db == NULL) return open_any(c, error);
    if (c->in_memory) return LITMUS_OK;
    bool same = stat(c->path, &st) == 0 && st.st_dev == c->device && st.st_ino == c->inode;
    if (same && (has_our_tables(c, &ours, NULL) != LITMUS_OK || ours)) return LITMUS_OK; /* where they cannot be asked, the work will tell */
    close_db(c);
    return open_any(c, error);
}

int lt_store_begin(struct lt_catalog *c, struct litmus_error *error) {
    bool ours = false;
    int code = run(c, SQL_BEGIN, NULL, NULL, error, "");
    if (code == LITMUS_OK) code = has_our_tables(c, &ours, error);
    if (code != LITMUS_OK || ours) return code;
    lt_store_rollback(c);
    return lt_fail(error, LITMUS_EDAMAGED, 0, "%s was made anew by another version of litmus", c->path);
}
int lt_store_commit(struct lt_catalog *c, struct litmus_error *error) {
    return run(c, SQL_COMMIT, NULL, NULL, error, "");
}
void lt_store_rollback(struct lt_catalog *c) {
    if (c->db != NULL && !sqlite3_get_autocommit(c->db)) run(c, SQL_ROLLBACK, NULL, NULL, NULL, "");
}

struct give_entry {
    lt_store_entry_fn *each;
    void *self;
};
/* Rows of (name[, size, mtime_ns]) and of (path, mtime_ns): what there is of it. */
static bool give_entry(void *self, sqlite3_stmt *row) {
    struct give_entry *give = self;
    int columns = sqlite3_column_count(row);
    struct lt_store_entry entry = {.name = column_text(row, 0),
                                   .size = columns == 3 ? sqlite3_column_int64(row, 1) : 0,
                                   .mtime_ns = columns >= 2 ? sqlite3_column_int64(row, columns - 1) : 0};
    return give->each(give->self, &entry);
}
#define GIVE(each, self) give_entry, &(struct give_entry){each, self}

int lt_store_dirs(struct lt_catalog *c, lt_store_entry_fn *each, void *self, struct litmus_error *error) {
    return run(c, SQL_DIRS, GIVE(each, self), error, "");
}
int lt_store_dir_put(struct lt_catalog *c, const char *dir, int64_t mtime_ns, struct litmus_error *error) {
    return run(c, SQL_DIR_PUT, NULL, NULL, error, "ti", dir, mtime_ns);
}
int lt_store_dir_drop(struct lt_catalog *c, const char *dir, struct litmus_error *error) {
    return run(c, SQL_DIR_DROP, NULL, NULL, error, "t", dir);
}

int lt_store_files(struct lt_catalog *c, const char *dir, lt_store_entry_fn *each, void *self, struct litmus_error *error) {
    return run(c, SQL_FILES, GIVE(each, self), error, "t", dir);
}

struct found_file {
    struct lt_store_entry *out;
    bool found;
};
static bool take_file(void *self, sqlite3_stmt *row) {
    struct found_file *f = self;
    f->out->size = sqlite3_column_int64(row, 0);
    f->out->mtime_ns = sqlite3_column_int64(row, 1);
    f->found = true;
    return false;
}
bool lt_store_file_get(struct lt_catalog *c, const char *dir, const char *name, struct lt_store_entry *out) {
    struct found_file f = {.out = out};
    *out = (struct lt_store_entry){.name = name};
    return run(c, SQL_FILE_GET, take_file, &f, NULL, "tt", dir, name) == LITMUS_OK && f.found;
}

int lt_store_file_put(struct lt_catalog *c, const char *dir, const struct lt_store_entry *file, const char *reason,
                      struct litmus_error *error) {
    return run(c, SQL_FILE_PUT, NULL, NULL, error, "ttiitt", dir, file->name, file->size, file->mtime_ns,
               reason == NULL ? "ok" : "quarantined", reason);
}

int lt_store_run_drop(struct lt_catalog *c, const char *path, struct litmus_error *error) {
    return run(c, SQL_RUN_DROP, NULL, NULL, error, "t", path);
}

int lt_store_file_drop(struct lt_catalog *c, const char *dir, const char *name, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    const char *text = lt_path_join(&path, dir, name);
    int code = path.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : lt_store_run_drop(c, text, error);
    if (code == LITMUS_OK) code = run(c, SQL_FILE_DROP, NULL, NULL, error, "tt", dir, name);
    lt_buf_release(&path);
    return code;
}

static int bind_time(sqlite3_stmt *s, int at, int64_t us) {
    return us == LT_TIME_NONE ? sqlite3_bind_null(s, at) : sqlite3_bind_int64(s, at, us);
}

int lt_store_run_put(struct lt_catalog *c, const struct lt_summary *r, struct litmus_error *error) {
    sqlite3_stmt *s = NULL;
    int code = prepared(c, SQL_RUN_PUT, &s, error);
    if (code != LITMUS_OK) return code;
    int at = 1, rc = bind_str(s, at++, r->file_path);
#define BIND_TEXT(name) if (rc == SQLITE_OK) rc = bind_str(s, at++, r->name);
#define BIND_TIME(name) if (rc == SQLITE_OK) rc = bind_time(s, at++, r->name);
#define BIND_COUNT(name) if (rc == SQLITE_OK) rc = sqlite3_bind_int64(s, at++, r->name);
    LT_SUMMARY_TEXTS(BIND_TEXT)
    LT_SUMMARY_TIMES(BIND_TIME)
    LT_SUMMARY_COUNTS(BIND_COUNT)
    return rc == SQLITE_OK ? step_all(c, s, NULL, NULL, error) : fail_sql(c, rc, error);
}

static bool take_text(void *self, sqlite3_stmt *row) {
    lt_buf_add_text(self, column_text(row, 0));
    return false;
}

bool lt_catalog_has_run(struct lt_catalog *c, struct lt_str run_id) {
    struct lt_buf path;
    lt_buf_init(&path);
    bool has = run(c, SQL_RUN_PATH, take_text, &path, NULL, "s", run_id) == LITMUS_OK && path.n > 0;
    lt_buf_release(&path);
    return has;
}

int lt_store_logs(struct lt_catalog *c, const char *dir, lt_store_entry_fn *each, void *self, struct litmus_error *error) {
    return run(c, SQL_LOGS_OF_DIR, GIVE(each, self), error, "t", dir);
}
int lt_store_log_put(struct lt_catalog *c, const char *dir, const char *name, const char *session_id, bool unread, struct litmus_error *error) {
    return run(c, SQL_LOG_PUT, NULL, NULL, error, "ttti", dir, name, session_id, (int64_t)unread);
}
int lt_store_log_drop(struct lt_catalog *c, const char *dir, const char *name, struct litmus_error *error) {
    return run(c, SQL_LOG_DROP, NULL, NULL, error, "tt", dir, name);
}
int lt_store_sessions_open(struct lt_catalog *c, lt_store_entry_fn *each, void *self, struct litmus_error *error) {
    return run(c, SQL_SESSIONS_OPEN, GIVE(each, self), error, "");
}
int lt_store_log_settled(struct lt_catalog *c, const char *dir, const char *name, int64_t mtime_us, struct litmus_error *error) {
    return run(c, SQL_LOG_SETTLED, NULL, NULL, error, "tti", dir, name, mtime_us);
}

void lt_store_open_sessions_clear(struct lt_catalog *c) {
    c->open_count = 0;
}

int lt_store_open_sessions_add(struct lt_catalog *c, const struct lt_open_session *session, struct litmus_error *error) {
    struct lt_open_session *grown = lt_grow_list(c->open, c->open_count, &c->open_capacity, sizeof *grown);
    if (grown == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the list of sessions");
    c->open = grown;
    c->open[c->open_count++] = *session;
    return LITMUS_OK;
}

const struct lt_open_session *lt_catalog_open_sessions(const struct lt_catalog *c, size_t *count) {
    *count = c->open_count;
    return c->open;
}

/* ---- put and ask ---- */

/* The run and its place in the ledger. Within a transaction. */
static int put_row(struct lt_catalog *c, const struct lt_catalog_put *row, struct litmus_error *error) {
    struct lt_str path = row->run.file_path;
    size_t cut = path.p == NULL ? 0 : path.n;
    while (cut > 0 && path.p[cut - 1] != '/') cut--;
    if (cut == 0) return lt_fail(error, LITMUS_EINVAL, 0, "a run without a file has no place in the catalog");
    char *dir = strndup(path.p, cut - 1);
    char *name = strndup(path.p + cut, path.n - cut);
    struct lt_store_entry file = {.name = name, .size = row->size, .mtime_ns = row->mtime_ns};
    int code = dir == NULL || name == NULL ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the catalog") : lt_store_run_put(c, &row->run, error);
    if (code == LITMUS_OK) code = lt_store_file_put(c, dir, &file, NULL, error);
    free(dir);
    free(name);
    return code;
}

static int put_once(struct lt_catalog *c, const struct lt_catalog_put *rows, size_t count, struct litmus_error *error) {
    int code = lt_store_follow(c, error);
    if (code == LITMUS_OK) code = lt_store_begin(c, error);
    if (code != LITMUS_OK) return code;
    for (size_t i = 0; code == LITMUS_OK && i < count; i++) code = put_row(c, &rows[i], error);
    if (code == LITMUS_OK) code = lt_store_commit(c, error);
    if (code != LITMUS_OK) lt_store_rollback(c);
    return code;
}

int lt_catalog_put_all(struct lt_catalog *c, const struct lt_catalog_put *rows, size_t count, struct litmus_error *error) {
    struct litmus_error why = {0};
    int code = put_once(c, rows, count, &why);
    if (code == LITMUS_EDAMAGED && lt_store_reset(c, NULL) == LITMUS_OK) {
        lt_error_clear(&why);
        code = put_once(c, rows, count, &why);
    }
    return code == LITMUS_OK ? code : lt_fail(error, code, why.os_errno, "%s", why.text);
}

int lt_catalog_put(struct lt_catalog *c, const struct lt_summary *summary, int64_t size, int64_t mtime_ns, struct litmus_error *error) {
    return lt_catalog_put_all(c, &(struct lt_catalog_put){*summary, size, mtime_ns}, 1, error);
}

/* What is in a catalog that somebody changed leads nowhere else than a look into the folders would. */
static bool is_ours(const char *path, const char *root, struct lt_str suffix) {
    const char *slash = strrchr(path, '/');
    return slash != NULL && strncmp(path, root, strlen(root)) == 0 && lt_catalog_looks_in((struct lt_str){path, (size_t)(slash - path)}) && lt_str_ends(lt_str_of(path), suffix);
}

static bool is_run_file(const char *path) {
    return is_ours(path, "runs/", LT_STR(".parquet"));
}

struct give_summary {
    lt_summary_fn *each;
    void *self;
};

static struct lt_str column_str(sqlite3_stmt *row, int at) {
    const char *text = (const char *)sqlite3_column_text(row, at);
    return text == NULL ? LT_STR_NULL : (struct lt_str){text, (size_t)sqlite3_column_bytes(row, at)};
}

static int64_t column_time(sqlite3_stmt *row, int at) {
    return sqlite3_column_type(row, at) == SQLITE_NULL ? LT_TIME_NONE : sqlite3_column_int64(row, at);
}

static bool give_summary(void *self, sqlite3_stmt *row) {
    struct give_summary *give = self;
    if (!is_run_file(column_text(row, 0))) return true;
    struct lt_summary r = {0};
    int at = 0;
    r.file_path = column_str(row, at++);
#define TAKE_TEXT(name) r.name = column_str(row, at++);
#define TAKE_TIME(name) r.name = column_time(row, at++);
#define TAKE_COUNT(name) r.name = sqlite3_column_int64(row, at++);
    LT_SUMMARY_TEXTS(TAKE_TEXT)
    LT_SUMMARY_TIMES(TAKE_TIME)
    LT_SUMMARY_COUNTS(TAKE_COUNT)
    return give->each(give->self, &r);
}

/* The clauses of a filter: what the SQL says and what is bound. */
struct clauses {
    struct lt_buf sql;
    struct {
        const char *text; /* NULL: a number */
        int64_t number;
    } binds[16];
    int bind_count;
};

static void add_clause(struct clauses *q, const char *sql, const char *text, int64_t number) {
    lt_buf_add_text(&q->sql, sql);
    q->binds[q->bind_count].text = text;
    q->binds[q->bind_count].number = number;
    q->bind_count++;
}

static void add_filter(struct clauses *q, const struct lt_run_filter *f) {
    const struct {
        const char *sql, *text;
    } texts[] = {
        {" AND trim(dut_serial) = trim(?)", f->serial},       {" AND dut_part_number = ?", f->part}, {" AND dut_lot_number = ?", f->lot},
        {" AND instr(git_commit, ?) = 1", f->git}, {" AND station_id = ?", f->station},
        {" AND operator_id = ?", f->operator_id}, {" AND test_phase = ?", f->phase},     {" AND outcome = ?", f->outcome},
        {" AND project_name = ?", f->project},    {" AND run_id = ?", f->run_id},
        {" AND plan_digest = ?", f->plan},
    };
    if (f->text != NULL) add_clause(q, " AND " LT_SQL_HAS_WORDS, f->text, 0);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].text != NULL) add_clause(q, texts[i].sql, texts[i].text, 0);
    if (f->since != LT_TIME_NONE && f->since != 0) add_clause(q, " AND started_at >= ?", NULL, f->since);
    if (f->until != LT_TIME_NONE && f->until != 0) add_clause(q, " AND started_at < ?", NULL, f->until);
    lt_buf_add_text(&q->sql, " ORDER BY started_at DESC, run_id");
    if (f->limit > 0) add_clause(q, " LIMIT ?", NULL, f->limit);
    if (f->offset > 0) add_clause(q, f->limit > 0 ? " OFFSET ?" : " LIMIT -1 OFFSET ?", NULL, f->offset);
}

/* litmus_has_words(words, fields...), a function of SQL. */
static void has_words(sqlite3_context *context, int count, sqlite3_value **values) {
    struct lt_str fields[LT_WORDS_FIELDS];
    for (int i = 1; i < count; i++) {
        const char *text = (const char *)sqlite3_value_text(values[i]);
        fields[i - 1] = (struct lt_str){text, text == NULL ? 0 : (size_t)sqlite3_value_bytes(values[i])};
    }
    sqlite3_result_int(context, lt_words_fit((const char *)sqlite3_value_text(values[0]), fields));
}

int lt_catalog_runs(struct lt_catalog *c, const struct lt_run_filter *filter, lt_summary_fn *each, void *self, struct litmus_error *error) {
    struct clauses q = {.bind_count = 0};
    lt_buf_init(&q.sql);
    lt_buf_add_text(&q.sql, "SELECT " LT_SQL_RUN_COLUMNS " FROM runs WHERE " LT_SQL_FIRST_FILE);
    add_filter(&q, filter);
    sqlite3_stmt *s = NULL;
    const char *sql = lt_buf_cstr(&q.sql);
    int rc = q.sql.failed ? SQLITE_NOMEM : SQLITE_OK;
    if (rc == SQLITE_OK && filter->text != NULL)
        rc = sqlite3_create_function(c->db, "litmus_has_words", 1 + LT_WORDS_FIELDS, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, has_words, NULL, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(c->db, sql, -1, &s, NULL);
    for (int i = 0; rc == SQLITE_OK && i < q.bind_count; i++) {
        if (q.binds[i].text != NULL) rc = bind_str(s, i + 1, lt_str_of(q.binds[i].text));
        else rc = sqlite3_bind_int64(s, i + 1, q.binds[i].number);
    }
    struct give_summary give = {each, self};
    int code = rc == SQLITE_OK ? step_all(c, s, give_summary, &give, error) : fail_sql(c, rc, error);
    sqlite3_finalize(s);
    lt_buf_release(&q.sql);
    return code;
}

struct give_run_file {
    lt_run_file_fn *each;
    void *self;
};
static bool give_run_file(void *self, sqlite3_stmt *row) {
    struct give_run_file *give = self;
    if (!is_run_file(column_text(row, 0))) return true;
    struct lt_run_file file = {column_text(row, 0), column_text(row, 3), sqlite3_column_int64(row, 1), sqlite3_column_int64(row, 2)};
    return give->each(give->self, &file);
}

/* ---- the lake ---- */

int lt_store_snapshot(struct lt_catalog *c, struct litmus_error *error) {
    return run(c, SQL_SNAPSHOT, NULL, NULL, error, "");
}

struct give_lake_file {
    lt_store_lake_fn *each;
    void *self;
};
static bool give_lake_file(void *self, sqlite3_stmt *row) {
    struct give_lake_file *give = self;
    struct lt_store_lake_file file = {.number = sqlite3_column_int64(row, 0), .name = column_text(row, 1), .bytes = sqlite3_column_int64(row, 2),
                                      .rows = sqlite3_column_int64(row, 3), .runs = sqlite3_column_int64(row, 4), .columns = column_text(row, 5),
                                      .stale = sqlite3_column_int64(row, 6)};
    return give->each(give->self, &file);
}
int lt_store_lake_files(struct lt_catalog *c, lt_store_lake_fn *each, void *self, struct litmus_error *error) {
    return run(c, SQL_LAKE_FILES, give_lake_file, &(struct give_lake_file){each, self}, error, "");
}

struct give_stale {
    lt_store_stale_fn *each;
    void *self;
};
static bool give_stale(void *self, sqlite3_stmt *row) {
    struct give_stale *give = self;
    return give->each(give->self, sqlite3_column_int64(row, 0), column_text(row, 1));
}
int lt_store_lake_stale(struct lt_catalog *c, lt_store_stale_fn *each, void *self, struct litmus_error *error) {
    return run(c, SQL_LAKE_STALE, give_stale, &(struct give_stale){each, self}, error, "");
}

int lt_store_lake_members(struct lt_catalog *c, int64_t number, lt_run_file_fn *each, void *self, struct litmus_error *error) {
    struct give_run_file give = {each, self};
    return run(c, SQL_LAKE_MEMBERS, give_run_file, &give, error, number == 0 ? "" : "i", number);
}

int lt_store_lake_put(struct lt_catalog *c, const struct lt_store_lake_file *f, int64_t *number, struct litmus_error *error) {
    int code = run(c, SQL_LAKE_FILE_PUT, NULL, NULL, error, "tiiit", f->name, f->bytes, f->rows, f->runs, f->columns);
    *number = sqlite3_changes(c->db) == 0 ? 0 : sqlite3_last_insert_rowid(c->db);
    return code;
}

int lt_store_lake_drop(struct lt_catalog *c, int64_t number, struct litmus_error *error) {
    int code = run(c, SQL_LAKE_UNMARK, NULL, NULL, error, "i", number);
    if (code == LITMUS_OK) code = run(c, SQL_LAKE_FORGET, NULL, NULL, error, "i", number);
    return code == LITMUS_OK ? run(c, SQL_LAKE_FILE_DROP, NULL, NULL, error, "i", number) : code;
}

int lt_store_lake_mark(struct lt_catalog *c, int64_t number, const struct lt_run_file *file, struct litmus_error *error) {
    int code = run(c, SQL_LAKE_MARK, NULL, NULL, error, "ittii", number, file->path, file->run_id, file->size, file->mtime_ns);
    if (code != LITMUS_OK || sqlite3_changes(c->db) > 0) return code;
    return run(c, SQL_LAKE_NOTE, NULL, NULL, error, "it", number, file->run_id);
}

int lt_store_lake_state(struct lt_catalog *c, struct lt_buf *out, struct litmus_error *error) {
    return run(c, SQL_LAKE_STATE, take_text, out, error, "");
}

int lt_store_lake_state_put(struct lt_catalog *c, const char *manifest, struct litmus_error *error) {
    int code = run(c, SQL_LAKE_STATE_CLEAR, NULL, NULL, error, "");
    return code == LITMUS_OK ? run(c, SQL_LAKE_STATE_PUT, NULL, NULL, error, "t", manifest) : code;
}

int lt_catalog_ids(struct lt_catalog *c, const char *prefix, bool near, int limit, lt_summary_fn *each, void *self,
                   struct litmus_error *error) {
    struct give_summary give = {each, self};
    return run(c, near ? SQL_RUN_NEAR : SQL_RUN_IDS, give_summary, &give, error, "ti", prefix, (int64_t)limit);
}

bool lt_catalog_is_current(struct lt_catalog *c, const char *run_id) {
    struct lt_buf path;
    lt_buf_init(&path);
    bool current = false;
    if (run(c, SQL_RUN_PATH, take_text, &path, NULL, "t", run_id) == LITMUS_OK && path.n > 0) {
        char *name = strrchr(lt_buf_cstr(&path), '/');
        struct lt_buf whole;
        lt_buf_init(&whole);
        struct stat st;
        struct lt_store_entry entry;
        lt_path_join(&whole, c->data_dir, path.p);
        if (name != NULL && !whole.failed && stat(lt_buf_cstr(&whole), &st) == 0) {
            *name = '\0';
            current = lt_store_file_get(c, path.p, name + 1, &entry) && entry.size == (int64_t)st.st_size &&
                      entry.mtime_ns == lt_mtime_ns(&st);
        }
        lt_buf_release(&whole);
    }
    lt_buf_release(&path);
    return current;
}

struct give_damaged {
    lt_damaged_fn *each;
    void *self;
};
static bool give_damaged(void *self, sqlite3_stmt *row) {
    struct give_damaged *give = self;
    return give->each(give->self, column_text(row, 0), column_text(row, 1));
}
int lt_catalog_damaged(struct lt_catalog *c, lt_damaged_fn *each, void *self, struct litmus_error *error) {
    return run(c, SQL_FILES_DAMAGED, give_damaged, &(struct give_damaged){each, self}, error, "");
}

struct give_copy {
    lt_copy_fn *each;
    void *self;
};
static bool give_copy(void *self, sqlite3_stmt *row) {
    struct give_copy *give = self;
    return give->each(give->self, column_text(row, 0), column_text(row, 1), column_text(row, 2));
}
int lt_catalog_copies(struct lt_catalog *c, lt_copy_fn *each, void *self, struct litmus_error *error) {
    return run(c, SQL_RUN_COPIES, give_copy, &(struct give_copy){each, self}, error, "");
}

struct give_id {
    void (*each)(void *self, const char *run_id);
    void *self;
};
static bool give_id(void *self, sqlite3_stmt *row) {
    const struct give_id *give = self;
    give->each(give->self, column_text(row, 0));
    return true;
}
int lt_catalog_without_row(struct lt_catalog *c, void (*each)(void *self, const char *run_id), void *self, struct litmus_error *error) {
    return run(c, SQL_RUN_WITHOUT_ROW, give_id, &(struct give_id){each, self}, error, "");
}

struct give_path {
    lt_log_path_fn *each;
    void *self;
    bool stopped;
};
static bool give_path(void *self, sqlite3_stmt *row) {
    struct give_path *give = self;
    if (!is_ours(column_text(row, 0), "events/", LT_STR(".arrow"))) return true;
    give->stopped = !give->each(give->self, column_text(row, 0), column_time(row, 1));
    return !give->stopped;
}
int lt_catalog_logs(struct lt_catalog *c, const char *session_id, int64_t since, lt_log_path_fn *each, void *self, struct litmus_error *error) {
    struct give_path give = {each, self, false};
    if (session_id != NULL) return run(c, SQL_LOGS_OF_SESSION, give_path, &give, error, "t", session_id);
    int code = run(c, SQL_LOGS_OPEN, give_path, &give, error, "");
    return code == LITMUS_OK && !give.stopped ? run(c, SQL_LOGS, give_path, &give, error, "i", since) : code;
}

struct give_name {
    lt_name_fn *each;
    void *self;
};
static bool give_name(void *self, sqlite3_stmt *row) {
    struct give_name *give = self;
    return give->each(give->self, column_text(row, 0));
}
int lt_catalog_sessions(struct lt_catalog *c, lt_name_fn *each, void *self, struct litmus_error *error) {
    return run(c, SQL_SESSIONS, give_name, &(struct give_name){each, self}, error, "");
}
