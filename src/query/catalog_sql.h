/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_sql.h - every SQL text of the catalog. Version 8.
 *
 * Changing it: raise LT_CATALOG_VERSION; a catalog of another version is dropped and made anew
 * from runs/ and events/, so no old text is ever needed.
 */
#ifndef LT_QUERY_CATALOG_SQL_H
#define LT_QUERY_CATALOG_SQL_H

#include "query/words.h"

#define LT_CATALOG_VERSION "8"
#define LT_CATALOG_APPLICATION_ID "1281977683" /* "LitS" */

/* Columns of `runs` after `path`: those of struct lt_summary, by the same names. */
#define LT_SUMMARY_TEXTS(X)                                                                            \
    X(run_id) X(session_id) X(slot_id) X(dut_serial) X(dut_part_number) X(dut_lot_number)              \
    X(product_id) X(station_id) X(station_name) X(station_type) X(station_hostname) X(fixture_id)      \
    X(test_phase) X(operator_id) X(project_name) X(git_commit) X(outcome) X(stop_reason) X(plan_digest)
#define LT_SUMMARY_TIMES(X) X(started_at) X(ended_at)
#define LT_SUMMARY_COUNTS(X)                                                                           \
    X(total_steps) X(total_measurements) X(passed) X(failed) X(errored) X(skipped) X(done)             \
    X(terminated) X(aborted) X(never_ran) X(running) X(planned) X(run_rows)

#define LT_SQL_TEXT_COLUMN(name) ", " #name " TEXT"
#define LT_SQL_INT_COLUMN(name) ", " #name " INTEGER"
#define LT_SQL_NAME(name) ", " #name
#define LT_SQL_MARK(name) ", ?"

static const char lt_sql_open[] =
    "PRAGMA synchronous = OFF;" /* disposable: what a power loss takes is read again; first, as the change of the journal syncs, too */
    "PRAGMA journal_mode = WAL;"
    "PRAGMA trusted_schema = OFF;"
    "PRAGMA temp_store = MEMORY;";

/* `path` is relative to the data_dir: dir || '/' || name of `files`. */
static const char lt_sql_schema[] =
    "CREATE TABLE runs (path TEXT PRIMARY KEY"
    LT_SUMMARY_TEXTS(LT_SQL_TEXT_COLUMN) LT_SUMMARY_TIMES(LT_SQL_INT_COLUMN) LT_SUMMARY_COUNTS(LT_SQL_INT_COLUMN) ", lake INTEGER);"
    "CREATE INDEX runs_by_start ON runs (started_at DESC, run_id);"
    "CREATE INDEX runs_by_id ON runs (run_id, path);"
    "CREATE INDEX runs_by_serial ON runs (trim(dut_serial), started_at DESC, run_id);"
    "CREATE INDEX runs_by_outcome ON runs (outcome, started_at DESC, run_id);"
    "CREATE INDEX runs_by_station ON runs (station_id, started_at DESC, run_id);"
    "CREATE INDEX runs_without_row ON runs (run_id, path) WHERE run_rows = 0;"
    "CREATE INDEX runs_by_project ON runs (project_name, started_at DESC, run_id);"
    /* The lake (lake.h): its files, as of the manifest named in `lake_state`; runs.lake is the file that holds the run's rows
     * as they are, NULL: none does. Whatever takes that mark from a run leaves a word in lake_stale: the file's rows of it do
     * not count. Of two files of one run only the first by path is ever marked. */
    "CREATE INDEX runs_by_lake ON runs (lake, path);"
    "CREATE TABLE lake_files (number INTEGER PRIMARY KEY, name TEXT UNIQUE, bytes INTEGER, rows INTEGER, runs INTEGER, columns TEXT);"
    "CREATE TABLE lake_stale (file INTEGER, run_id TEXT, PRIMARY KEY (file, run_id)) WITHOUT ROWID;"
    "CREATE TABLE lake_state (manifest TEXT);"
    "CREATE TRIGGER runs_come BEFORE INSERT ON runs BEGIN"
    " DELETE FROM runs WHERE path = NEW.path AND lake IS NOT NULL;"
    " UPDATE runs SET lake = NULL WHERE run_id = NEW.run_id AND path > NEW.path AND lake IS NOT NULL; END;"
    "CREATE TRIGGER runs_go AFTER DELETE ON runs WHEN OLD.lake IS NOT NULL BEGIN"
    " INSERT OR IGNORE INTO lake_stale VALUES (OLD.lake, OLD.run_id); END;"
    "CREATE TRIGGER runs_unmarked AFTER UPDATE OF lake ON runs WHEN OLD.lake IS NOT NULL BEGIN"
    " INSERT OR IGNORE INTO lake_stale VALUES (OLD.lake, OLD.run_id); END;"
    /* The ledger of files, read or found damaged. */
    "CREATE TABLE files (dir TEXT, name TEXT, size INTEGER, mtime_ns INTEGER, status TEXT, reason TEXT,"
    " PRIMARY KEY (dir, name)) WITHOUT ROWID;"
    "CREATE INDEX files_damaged ON files (dir, name) WHERE status <> 'ok';"
    /* Folders below runs/ and events/ whose names are all in the ledger as of mtime_ns. */
    "CREATE TABLE dirs (path TEXT PRIMARY KEY, mtime_ns INTEGER) WITHOUT ROWID;"
    /* mtime_us is set once the log is settled: its session has no open log and each of its runs has
     * its file. No event in it is later than that. unread: it could not be read, and its name gives the session; '' if that gives none. */
    "CREATE TABLE logs (dir TEXT, name TEXT, session_id TEXT, mtime_us INTEGER, unread INTEGER, PRIMARY KEY (dir, name)) WITHOUT ROWID;"
    "CREATE INDEX logs_by_session ON logs (session_id);"
    "CREATE INDEX logs_unsettled ON logs (session_id) WHERE mtime_us IS NULL;"
    "CREATE INDEX logs_by_mtime ON logs (mtime_us);"
    /* The start of the machine under which it was written (lt_sql_restart). */
    "CREATE TABLE boot (id TEXT);"
    "PRAGMA application_id = " LT_CATALOG_APPLICATION_ID ";"
    "PRAGMA user_version = " LT_CATALOG_VERSION ";";

static const char lt_sql_drop[] =
    "DROP TABLE IF EXISTS runs; DROP TABLE IF EXISTS files; DROP TABLE IF EXISTS dirs; DROP TABLE IF EXISTS logs;"
    "DROP TABLE IF EXISTS lake_files; DROP TABLE IF EXISTS lake_stale; DROP TABLE IF EXISTS lake_state; DROP TABLE IF EXISTS boot;";

#define LT_SQL_HAS_WORDS "litmus_has_words(?" LT_WORDS_START(LT_SQL_NAME) LT_WORDS_ANYWHERE(LT_SQL_NAME) ")"
#define LT_SQL_RUN_COLUMNS \
    "path" LT_SUMMARY_TEXTS(LT_SQL_NAME) LT_SUMMARY_TIMES(LT_SQL_NAME) LT_SUMMARY_COUNTS(LT_SQL_NAME)
/* Of two files of one run the first by path counts. */
#define LT_SQL_FIRST_FILE "NOT EXISTS (SELECT 1 FROM runs o WHERE o.run_id = runs.run_id AND o.path < runs.path)"

/* "runs/2026-05-16/x.parquet": "runs/2026-05-16/", and what is behind it; "runs/x.parquet": "runs/". There are no others. */
#define LT_SQL_FOLDER(path) "substr(" path ", 1, 5 + instr(substr(" path ", 6), '/'))"
#define LT_SQL_FILE_OF_RUN "files.dir = rtrim(" LT_SQL_FOLDER("runs.path") ", '/') AND files.name = substr(runs.path, length(" LT_SQL_FOLDER("runs.path") ") + 1)"

/* Nothing is synced, so a power loss leaves of each page the one or the other state. What holds together by itself (integrity_check) may still
 * have a row without the one that belongs to it, or an old one: each folder is looked at again, and each file is known only with its run. */
static const char lt_sql_restart[] =
    "DELETE FROM files WHERE status = 'ok' AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.path = files.dir || '/' || files.name);"
    "DELETE FROM runs WHERE NOT EXISTS (SELECT 1 FROM files WHERE " LT_SQL_FILE_OF_RUN " AND status = 'ok');"
    "UPDATE runs SET lake = NULL WHERE lake IS NOT NULL; DELETE FROM lake_files; DELETE FROM lake_stale; DELETE FROM lake_state;"
    "UPDATE dirs SET mtime_ns = 0; DELETE FROM boot;";

/* Prepared once a catalog when first needed. */
#define LT_CATALOG_STATEMENTS(X)                                                                                      \
    X(BOOT, "SELECT id FROM boot WHERE id = ?")                                                                       \
    X(BOOT_PUT, "INSERT INTO boot VALUES (?)")                                                                        \
    X(CHECK, "SELECT 1 FROM pragma_integrity_check(1) WHERE integrity_check = 'ok'")                                   \
    X(FILES_FORGET, "DELETE FROM files WHERE mtime_ns > ?")                                                           \
    X(VERSION, "PRAGMA user_version")                                                                                 \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                       \
    X(COMMIT, "COMMIT")                                                                                               \
    X(ROLLBACK, "ROLLBACK")                                                                                           \
    X(DIRS, "SELECT path, mtime_ns FROM dirs")                                                                        \
    X(DIR_PUT, "INSERT OR REPLACE INTO dirs VALUES (?, ?)")                                                           \
    X(DIR_DROP, "DELETE FROM dirs WHERE path = ?")                                                                    \
    X(FILES, "SELECT name, size, mtime_ns FROM files WHERE dir = ?")                                                  \
    X(FILE_GET, "SELECT size, mtime_ns FROM files WHERE dir = ? AND name = ?")                                        \
    X(FILE_PUT, "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)")                                             \
    X(FILE_DROP, "DELETE FROM files WHERE dir = ? AND name = ?")                                                      \
    X(FILES_DAMAGED, "SELECT dir || '/' || name, reason FROM files WHERE status <> 'ok' ORDER BY dir, name")          \
    X(LAKE_MEMBERS, "SELECT runs.path, files.size, files.mtime_ns, runs.run_id FROM runs CROSS JOIN files ON " LT_SQL_FILE_OF_RUN               \
        " WHERE runs.lake IS ?1 AND " LT_SQL_FIRST_FILE " ORDER BY runs.path")                                        \
    X(LAKE_FILES, "SELECT number, name, bytes, rows, runs, columns, (SELECT count(*) FROM lake_stale WHERE file = number) FROM lake_files ORDER BY name") \
    X(LAKE_STALE, "SELECT file, run_id FROM lake_stale ORDER BY file, run_id")                                        \
    X(LAKE_FILE_PUT, "INSERT OR IGNORE INTO lake_files (name, bytes, rows, runs, columns) VALUES (?, ?, ?, ?, ?)")              \
    X(LAKE_FILE_DROP, "DELETE FROM lake_files WHERE number = ?")                                                      \
    X(LAKE_UNMARK, "UPDATE runs SET lake = NULL WHERE lake = ?")                                                      \
    X(LAKE_FORGET, "DELETE FROM lake_stale WHERE file = ?")                                                           \
    X(LAKE_MARK, "UPDATE runs SET lake = ?1 WHERE path = ?2 AND run_id = ?3 AND " LT_SQL_FIRST_FILE                   \
        " AND EXISTS (SELECT 1 FROM files WHERE " LT_SQL_FILE_OF_RUN " AND size = ?4 AND mtime_ns = ?5)")             \
    X(LAKE_NOTE, "INSERT OR IGNORE INTO lake_stale VALUES (?1, ?2)")                                                  \
    X(LAKE_STATE, "SELECT manifest FROM lake_state")                                                                  \
    X(LAKE_STATE_CLEAR, "DELETE FROM lake_state")                                                                     \
    X(LAKE_STATE_PUT, "INSERT INTO lake_state VALUES (?)")                                                            \
    X(SNAPSHOT, "BEGIN")                                                                                              \
    X(RUN_PUT, "INSERT OR REPLACE INTO runs VALUES (?" LT_SUMMARY_TEXTS(LT_SQL_MARK) LT_SUMMARY_TIMES(LT_SQL_MARK)    \
        LT_SUMMARY_COUNTS(LT_SQL_MARK) ", NULL)")                                                                           \
    X(RUN_COPIES, "SELECT path, (SELECT o.path FROM runs o WHERE o.run_id = runs.run_id AND o.path <> runs.path ORDER BY o.path LIMIT 1), run_id FROM runs"          \
        " WHERE run_id IN (SELECT run_id FROM runs GROUP BY run_id HAVING count(*) > 1) ORDER BY run_id, path")             \
    X(RUN_WITHOUT_ROW, "SELECT run_id FROM runs WHERE run_rows = 0 AND " LT_SQL_FIRST_FILE " ORDER BY run_id")                \
    X(RUN_DROP, "DELETE FROM runs WHERE path = ?")                                                                    \
    X(RUN_PATH, "SELECT path FROM runs WHERE run_id = ? ORDER BY path LIMIT 1")                                       \
    X(RUN_IDS, "SELECT " LT_SQL_RUN_COLUMNS " FROM runs WHERE run_id >= ?1 AND run_id < ?1 || '~'"                     \
        " AND " LT_SQL_FIRST_FILE " ORDER BY run_id LIMIT ?2")                                                        \
    X(RUN_NEAR, "SELECT " LT_SQL_RUN_COLUMNS " FROM runs WHERE run_id IN ("                                           \
        "SELECT * FROM (SELECT DISTINCT run_id FROM runs WHERE run_id >= ?1 ORDER BY run_id LIMIT ?2) UNION "         \
        "SELECT * FROM (SELECT DISTINCT run_id FROM runs WHERE run_id < ?1 ORDER BY run_id DESC LIMIT ?2))"           \
        " AND " LT_SQL_FIRST_FILE " ORDER BY run_id")                                                                 \
    X(LOGS_OF_DIR, "SELECT name, unread, 0 FROM logs WHERE dir = ?")                                                  \
    X(LOG_PUT, "INSERT INTO logs VALUES (?1, ?2, ?3, NULL, ?4) ON CONFLICT (dir, name) DO UPDATE"                      \
        " SET session_id = excluded.session_id, unread = excluded.unread, mtime_us = NULL WHERE unread")              \
    X(LOG_DROP, "DELETE FROM logs WHERE dir = ? AND name = ?")                                                        \
    X(LOGS_OPEN, "SELECT dir || '/' || name, mtime_us FROM logs WHERE mtime_us IS NULL")                              \
    X(LOGS, "SELECT dir || '/' || name, mtime_us FROM logs WHERE mtime_us >= ? ORDER BY mtime_us DESC")               \
    X(LOGS_OF_SESSION, "SELECT dir || '/' || name, mtime_us FROM logs WHERE session_id = ? ORDER BY name, dir")                 \
    X(SESSIONS, "SELECT session_id FROM logs WHERE session_id <> '' GROUP BY session_id ORDER BY min(dir || '/' || name)")                    \
    X(SESSIONS_OPEN, "SELECT DISTINCT session_id FROM logs WHERE mtime_us IS NULL AND session_id <> ''")                                        \
    X(LOG_SETTLED, "UPDATE logs SET mtime_us = ?3 WHERE dir = ?1 AND name = ?2")

#endif
