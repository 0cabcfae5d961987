/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_check.c - does the catalog's file say what the run files say? They are all read into a catalog in memory,
 * and the two are held against each other, value by value and type by type: readers take a text of digits for a number, SQL does not.
 *
 * A catalog that was brought up to date a moment ago has to say the same. Of another one what the next look into the folders would notice is
 * no finding: a file or a folder that changed since counts only when the ledger takes it for unchanged.
 */
#include "base/io.h"
#include "log/log.h"
#include "query/catalog.h"
#include "query/catalog_sql.h"
#include "query/catalog_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIFFERS(name) " WHEN m." #name " IS NOT d." #name " THEN 'says " #name " ' || quote(d." #name ") || ', the file ' || quote(m." #name ")"
/* The ledger has the very file that was read. */
#define SAME_FILE                                                                                                                                \
    " FROM main.files mf JOIN disk.files df ON df.dir = mf.dir AND df.name = mf.name AND df.size = mf.size AND df.mtime_ns = mf.mtime_ns"         \
    " JOIN main.runs m ON m.path = mf.dir || '/' || mf.name LEFT JOIN disk.runs d ON d.path = m.path WHERE what IS NOT NULL"
/* Folders whose names the catalog has to know: all of which either speaks, or those that it takes for known as of the time that they have now. */
static const char settled[] = "CREATE TEMP TABLE IF NOT EXISTS settled (dir PRIMARY KEY); DELETE FROM settled;";
static const char settled_all[] =
    "INSERT INTO settled SELECT dir FROM main.files UNION SELECT dir FROM main.logs UNION SELECT dir FROM disk.files UNION SELECT dir FROM disk.logs";
static const char settled_known[] =
    "INSERT INTO settled SELECT md.path FROM main.dirs md JOIN disk.dirs dd ON dd.path = md.path AND dd.mtime_ns = abs(md.mtime_ns) AND md.mtime_ns <> 0";
#define SAME_FOLDER(ledger) " JOIN settled ON settled.dir = " ledger ".dir "
#define ONLY_IN(here, there, table, what)                                                                                                        \
    "SELECT f.dir || '/' || f.name, '" what "' FROM " here "." table " f" SAME_FOLDER("f")                                                       \
    "WHERE NOT EXISTS (SELECT 1 FROM " there "." table " o WHERE o.dir = f.dir AND o.name = f.name)"
#define OF_ANOTHER_SESSION(where)                                                                                                                \
    "SELECT m.dir || '/' || m.name, 'has it as a log of session ' || quote(d.session_id) FROM main.logs m"                                       \
    " JOIN disk.logs d ON d.dir = m.dir AND d.name = m.name WHERE " where

/* What the lake has of a run is counted, or passed over as it is of an older file; the catalog's numbers of lake files are its own. What this one has not
 * taken over yet of the lake's list is no finding. */
#define LAKE_FILES(catalog) "SELECT name, bytes, rows, runs, columns FROM " catalog ".lake_files"
#define LAKE_FILES_DIFFER                                                                                                                        \
    "SELECT 'lake/' || name, 'has other lake files than the lake''s own list' FROM (SELECT * FROM (" LAKE_FILES("main") " EXCEPT " LAKE_FILES("disk")           \
    ") UNION SELECT * FROM (" LAKE_FILES("disk") " EXCEPT " LAKE_FILES("main") "))"
#define SAME_LAKE " WHERE (SELECT manifest FROM disk.lake_state) = (SELECT manifest FROM main.lake_state)"
#define LAKE_STATES_DIFFER                                                                                                                       \
    "SELECT 'lake/_manifest.json', 'has taken over another list than this one' FROM (SELECT * FROM disk.lake_state EXCEPT SELECT * FROM main.lake_state" \
    " UNION ALL SELECT * FROM (SELECT manifest FROM disk.lake_state LIMIT 1 OFFSET 1))"
#define LAKE_MARK_DIFFERS                                                                                                                        \
    "SELECT m.path, 'takes its rows from the lake, where they are not' FROM disk.runs d JOIN main.runs m ON m.path = d.path"                       \
    " LEFT JOIN disk.lake_files df ON df.number = d.lake LEFT JOIN main.lake_files mf ON mf.number = m.lake LEFT JOIN main.lake_files known ON known.name = df.name" \
    " JOIN main.files f ON m.path = f.dir || '/' || f.name JOIN disk.files o ON o.dir = f.dir AND o.name = f.name AND o.size = f.size AND o.mtime_ns = f.mtime_ns"   \
    " WHERE d.lake IS NOT NULL AND (df.name IS NULL OR (known.name IS NOT NULL AND df.name IS NOT mf.name))"                                      \
    " AND NOT EXISTS (SELECT 1 FROM main.runs e WHERE e.run_id = m.run_id AND e.path < m.path)"
#define LAKE_ROWS_DIFFER                                                                                                                         \
    "SELECT 'lake/' || df.name, 'takes the rows in it of run ' || p.run_id || ' for counted and for passed over, or for neither' FROM"            \
    " (SELECT lake AS file, run_id FROM main.runs WHERE lake IS NOT NULL UNION SELECT file, run_id FROM main.lake_stale) p"                       \
    " JOIN main.lake_files mf ON mf.number = p.file JOIN disk.lake_files df ON df.name = mf.name"                                                 \
    " WHERE EXISTS (SELECT 1 FROM disk.runs r WHERE r.run_id = p.run_id AND r.lake = df.number)"                                                  \
    " = EXISTS (SELECT 1 FROM disk.lake_stale s WHERE s.run_id = p.run_id AND s.file = df.number)"

/* Of a log that the catalog holds for finished: an older event than the last one is asked for by its time. Where it does not know a log of the
 * session, or holds one for open, the next look takes the whole session's times anew. */
#define ENDED_LATER                                                                                                                              \
    "SELECT m.dir || '/' || m.name, 'has it as ended before its last event' FROM main.logs m JOIN disk.logs d ON d.dir = m.dir AND d.name = m.name" \
    " WHERE d.mtime_us < m.mtime_us AND NOT EXISTS (SELECT 1 FROM main.logs o LEFT JOIN disk.logs k ON k.dir = o.dir AND k.name = o.name"         \
    " WHERE o.session_id = m.session_id AND (k.name IS NULL OR (k.mtime_us IS NULL AND k.session_id = m.session_id)))"

/* Nobody would look at its session again, and no log that is sealed is ever open again. */
#define ENDED_ALREADY                                                                                                                            \
    "SELECT m.dir || '/' || m.name, 'holds it for finished' FROM main.logs m JOIN disk.logs d ON d.dir = m.dir AND d.name = m.name"              \
    " WHERE m.unread = 0 AND m.mtime_us IS NULL AND d.mtime_us IS NOT NULL"

/* A view or a trigger may say otherwise to who reads the catalog than to who checks it, and what one would do is not done without it. */
#define MADE(catalog) "SELECT type, name, tbl_name, sql FROM " catalog ".sqlite_master"
#define OTHERWISE_MADE                                                                                                                           \
    "SELECT 'catalog.sqlite', 'has ' || type || ' ' || name || ' otherwise than litmus makes it' FROM"                                           \
    " (SELECT * FROM (" MADE("disk") " EXCEPT " MADE("main") ") UNION ALL SELECT * FROM (" MADE("main") " EXCEPT " MADE("disk") ")) LIMIT 1"

/* One that could not be read now is no word against the catalog that could. */
#define FILES(catalog) "SELECT dir, name, size, mtime_ns, status FROM " catalog ".files"
#define FILES_DIFFER                                                                                                                             \
    "SELECT n.dir || '/' || n.name, 'has it otherwise than it lies there' FROM (" FILES("main") " WHERE mtime_ns <> 0 EXCEPT " FILES("disk") ") n"

/* What the reader is to find in it, is later than what the catalog has. For tell_later. */
#define ENDED_BEFORE                                                                                                                             \
    "SELECT m.dir || '/' || m.name, d.mtime_us FROM main.logs m JOIN disk.logs d ON d.dir = m.dir AND d.name = m.name"                           \
    " WHERE m.unread = 0 AND m.mtime_us IS NULL AND d.mtime_us IS NOT NULL"

/* Each gives (path, what). `main` is what the files say, `disk` the catalog. */
static const char *const questions[] = {
    OTHERWISE_MADE,
    "SELECT m.path, CASE WHEN d.path IS NULL THEN 'has no row for it'" LT_SUMMARY_TEXTS(DIFFERS) " END AS what" SAME_FILE,
    "SELECT m.path, CASE" LT_SUMMARY_TIMES(DIFFERS) LT_SUMMARY_COUNTS(DIFFERS) " END AS what" SAME_FILE " AND d.path IS NOT NULL",
    "SELECT coalesce(path, 'runs'), 'lists it, and knows no file of it' FROM (SELECT path FROM disk.runs EXCEPT SELECT dir || '/' || name FROM disk.files WHERE status = 'ok')",
    "SELECT f.dir || '/' || f.name, 'has it as it was before it was changed in its place' FROM main.files f" SAME_FOLDER("f")
    "JOIN disk.files o ON o.dir = f.dir AND o.name = f.name AND f.mtime_ns <> 0 AND (o.size <> f.size OR o.mtime_ns <> f.mtime_ns)",
    ONLY_IN("main", "disk", "files", "does not know it"),
    ONLY_IN("main", "disk", "logs", "does not know it"),
    OF_ANOTHER_SESSION("m.unread = 0 AND d.unread = 0 AND m.session_id IS NOT d.session_id"),
    LAKE_FILES_DIFFER SAME_LAKE,
    LAKE_MARK_DIFFERS,
    LAKE_ROWS_DIFFER,
    ENDED_LATER,
};
/* Of a catalog that is up to date. */
static const char *const questions_of_now[] = {
    OF_ANOTHER_SESSION("((m.unread = 0 OR d.unread = 1) AND m.session_id IS NOT d.session_id) OR (m.unread = 0 AND d.unread IS NOT 0)"),
    FILES_DIFFER,
};
static const char *const questions_of_lake_now[] = {LAKE_STATES_DIFFER, LAKE_FILES_DIFFER};
/* For tell_gone. */
static const char *const questions_of_gone[] = {
    ONLY_IN("disk", "main", "files", "has it, and it is none of these files"),
    ONLY_IN("disk", "main", "logs", "has it, and it is none of these logs"),
};

struct check {
    sqlite3 *db;
    const char *data_dir;
    const char *file; /* the catalog's */
    bool partly;      /* `truth` could not list each folder */
    lt_catalog_finding_fn *each;
    void *self;
};

static void tell_file(const struct check *c, const char *what) {
    c->each(c->self, c->file, what);
}

/* true: the rows of the answer are all told. false: the catalog cannot be read so. */
static bool ask(const struct check *c, const char *sql) {
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(c->db, sql, -1, &s, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(s);
        const char *path = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL, *what = path == NULL ? NULL : (const char *)sqlite3_column_text(s, 1);
        if (what != NULL) c->each(c->self, path, what);
    }
    sqlite3_finalize(s);
    return rc == SQLITE_DONE;
}

static bool says(const struct check *c, const char *pragma, const char *want) {
    sqlite3_stmt *s = NULL;
    const char *text = NULL;
    if (sqlite3_prepare_v2(c->db, pragma, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW) text = (const char *)sqlite3_column_text(s, 0);
    bool same = text != NULL && strcmp(text, want) == 0;
    sqlite3_finalize(s);
    return same;
}

/* As it is, without a lock or a file of ours beside it; with a journal beside it only together with that. */
static bool attach(const struct check *c) {
    struct lt_buf text;
    lt_buf_init(&text);
    lt_buf_addf(&text, "%s-wal", c->file);
    const char *how = access(lt_buf_cstr(&text), F_OK) == 0 ? "mode=ro" : "immutable=1";
    lt_buf_clear(&text);
    lt_buf_add_text(&text, "file:");
    for (const char *p = c->file; *p != '\0'; p++) {
        if (strchr("%?#", *p) != NULL) lt_buf_addf(&text, "%%%02x", (unsigned char)*p);
        else lt_buf_add_char(&text, *p);
    }
    lt_buf_addf(&text, "?%s", how);
    sqlite3_stmt *s = NULL;
    bool done = !text.failed && sqlite3_prepare_v2(c->db, "ATTACH ? AS disk", -1, &s, NULL) == SQLITE_OK &&
                sqlite3_bind_text(s, 1, lt_buf_cstr(&text), -1, SQLITE_STATIC) == SQLITE_OK && sqlite3_step(s) == SQLITE_DONE;
    sqlite3_finalize(s);
    lt_buf_release(&text);
    return done;
}

/* Want of memory says nothing about the file, nor does what the system does not let us open. */
static int tell_unreadable(const struct check *c, const char *what, struct litmus_error *error) {
    if (sqlite3_errcode(c->db) == SQLITE_NOMEM) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory comparing %s with the run files", c->file);
    int rc = sqlite3_errcode(c->db), of_system = sqlite3_system_errno(c->db), fd = open(c->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int why = fd < 0 ? errno : rc != SQLITE_IOERR && rc != SQLITE_CANTOPEN ? 0 : of_system != 0 ? of_system : EIO;
    if (fd >= 0) close(fd);
    if (why != 0) return lt_fail_os(error, why, "read", c->file);
    if (rc == SQLITE_BUSY) return lt_fail(error, LITMUS_EBUSY, EWOULDBLOCK, "another process keeps %s locked, so that it was not looked at: end it, then look again", c->file);
    tell_file(c, what);
    return LITMUS_OK;
}

/* What `truth` took for open may have been finished, and looked at by another one, since. */
static void tell_open(void *self, const char *path, const char *what) {
    const struct check *c = self;
    struct lt_buf log;
    lt_buf_init(&log);
    if (!lt_log_is_sealed(lt_path_join(&log, c->data_dir, path))) c->each(c->self, path, what);
    lt_buf_release(&log);
}

/* A folder that the system does not let us list, or not to its end, may have it. */
static void tell_gone(void *self, const char *path, const char *what) {
    const struct check *c = self;
    struct litmus_error why = {0};
    struct stat st;
    struct lt_buf folder;
    lt_buf_init(&folder);
    const char *slash = strrchr(path, '/');
    bool ours = lt_catalog_looks_in((struct lt_str){path, slash == NULL ? 0 : (size_t)(slash - path)});
    char *end = strrchr(lt_path_join(&folder, c->data_dir, path), '/');
    bool there = ours && c->partly && lstat(lt_buf_cstr(&folder), &st) == 0 && !S_ISDIR(st.st_mode);
    if (end != NULL) *end = '\0';
    DIR *dir = ours ? opendir(lt_buf_cstr(&folder)) : NULL;
    if (ours && dir == NULL) lt_fail_os(&why, errno, "list", lt_buf_cstr(&folder));
    if (dir != NULL) closedir(dir);
    if (!there && !lt_error_is_refusal(&why)) c->each(c->self, path, what);
    lt_buf_release(&folder);
}

/* `what` is the time of the last event, by the catalog. */
static void tell_later(void *self, const char *path, const char *what) {
    const struct check *c = self;
    struct lt_log_reader *reader = NULL;
    struct lt_row row;
    struct lt_buf log;
    int64_t said = strtoll(what, NULL, 10);
    bool later = false;
    lt_buf_init(&log);
    if (lt_log_reader_open(lt_path_join(&log, c->data_dir, path), &reader, NULL) == LITMUS_OK)
        for (enum lt_log_status status; !later && ((status = lt_log_next(reader, &row, NULL)) == LT_LOG_EVENT || status == LT_LOG_DAMAGED);)
            later = status == LT_LOG_EVENT && row.received_at > said;
    lt_log_reader_free(reader);
    lt_buf_release(&log);
    if (later) c->each(c->self, path, "has it as ended before its last event");
}

static bool ask_all(const struct check *c, const char *const *questions_asked, size_t count) {
    bool asked = true;
    for (size_t i = 0; asked && i < count; i++) asked = ask(c, questions_asked[i]);
    return asked;
}

#define ASK_ALL(c, list) ask_all(c, list, sizeof list / sizeof list[0])

static bool ask_everything(const struct check *c, enum lt_catalog_age age) {
    struct check copy = *c, other = {.db = c->db, .data_dir = c->data_dir, .file = c->file, .partly = c->partly, .self = &copy};
    bool now = age != LT_CATALOG_OF_BEFORE, asked = sqlite3_exec(c->db, settled, NULL, NULL, NULL) == SQLITE_OK &&
                                                    sqlite3_exec(c->db, now ? settled_all : settled_known, NULL, NULL, NULL) == SQLITE_OK;
    other.each = tell_open;
    asked = asked && ask(&other, ENDED_ALREADY);
    other.each = tell_later;
    asked = asked && ask(&other, ENDED_BEFORE);
    other.each = tell_gone;
    asked = asked && ASK_ALL(&other, questions_of_gone) && ASK_ALL(c, questions);
    if (now) asked = asked && ASK_ALL(c, questions_of_now);
    if (age == LT_CATALOG_AND_LAKE_OF_NOW) asked = asked && ASK_ALL(c, questions_of_lake_now);
    return asked;
}

static int compare(const struct check *c, enum lt_catalog_age age, struct litmus_error *error) {
    if (!attach(c) || !says(c, "PRAGMA disk.integrity_check(1)", "ok")) return tell_unreadable(c, "is damaged, or no database", error);
    if (!says(c, "PRAGMA disk.application_id", LT_CATALOG_APPLICATION_ID)) tell_file(c, "is a database of something else");
    else if (!says(c, "PRAGMA disk.user_version", LT_CATALOG_VERSION)) tell_file(c, "is of another version of litmus");
    else if (!ask_everything(c, age)) return tell_unreadable(c, "lacks tables, or they are damaged", error);
    return LITMUS_OK;
}

int lt_catalog_check(struct lt_catalog *truth, enum lt_catalog_age age, lt_catalog_finding_fn *each, void *self, struct litmus_error *error) {
    struct stat st;
    struct lt_buf file;
    lt_buf_init(&file);
    struct check c = {.db = lt_store_database(truth), .data_dir = lt_store_data_dir(truth), .partly = lt_catalog_unlisted(truth) != NULL, .each = each, .self = self};
    c.file = lt_path_join(&file, c.data_dir, "catalog.sqlite");
    int code = file.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : LITMUS_OK;
    if (code == LITMUS_OK && lstat(c.file, &st) == 0 && !S_ISREG(st.st_mode)) tell_file(&c, "is no file");
    else if (code == LITMUS_OK && lstat(c.file, &st) == 0 && st.st_size > 0) code = compare(&c, age, error);
    (void)!sqlite3_exec(c.db, "DETACH disk", NULL, NULL, NULL);
    lt_buf_release(&file);
    return code;
}
