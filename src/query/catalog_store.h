/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_store.h - what the scan of folders needs of the catalog's tables; no SQLite shows.
 *
 * Folders are named relative to the data_dir ("runs/2026-05-16"); a file by its folder and name.
 * Codes of all functions: EBUSY (another process held the lock too long), EDAMAGED (lt_store_reset
 * helps), ENOSPC, EPERM, EIO (lt_store_to_memory helps), ENOMEM.
 */
#ifndef LT_QUERY_CATALOG_STORE_H
#define LT_QUERY_CATALOG_STORE_H

#include "query/catalog.h"

const char *lt_store_data_dir(const struct lt_catalog *catalog);
struct sqlite3 *lt_store_database(const struct lt_catalog *catalog); /* for catalog_check.c */
void lt_store_note_behind(struct lt_catalog *catalog, bool behind);
void lt_store_note_unlisted(struct lt_catalog *catalog, const struct litmus_error *why); /* NULL: there is none */
/* Follows a catalog file that was removed or replaced under our feet. */
int lt_store_follow(struct lt_catalog *catalog, struct litmus_error *error);
int lt_store_reset(struct lt_catalog *catalog, struct litmus_error *error);     /* removes the file, makes it anew */
int lt_store_to_memory(struct lt_catalog *catalog, struct litmus_error *error); /* goes on without the file */

int lt_store_begin(struct lt_catalog *catalog, struct litmus_error *error);
int lt_store_commit(struct lt_catalog *catalog, struct litmus_error *error);
void lt_store_rollback(struct lt_catalog *catalog);

/* A row of the ledger; what does not apply is 0. */
struct lt_store_entry {
    const char *name; /* borrowed for the call */
    int64_t size, mtime_ns;
};
typedef bool lt_store_entry_fn(void *self, const struct lt_store_entry *entry); /* false: stop */

int lt_store_dirs(struct lt_catalog *catalog, lt_store_entry_fn *each, void *self, struct litmus_error *error);
int lt_store_dir_put(struct lt_catalog *catalog, const char *dir, int64_t mtime_ns, struct litmus_error *error);
int lt_store_dir_drop(struct lt_catalog *catalog, const char *dir, struct litmus_error *error);

int lt_store_files(struct lt_catalog *catalog, const char *dir, lt_store_entry_fn *each, void *self, struct litmus_error *error);
bool lt_store_file_get(struct lt_catalog *catalog, const char *dir, const char *name, struct lt_store_entry *out);
/* `reason` NULL: the file is good. */
int lt_store_file_put(struct lt_catalog *catalog, const char *dir, const struct lt_store_entry *file, const char *reason,
                      struct litmus_error *error);
int lt_store_file_drop(struct lt_catalog *catalog, const char *dir, const char *name, struct litmus_error *error);
int lt_store_run_put(struct lt_catalog *catalog, const struct lt_summary *run, struct litmus_error *error);
int lt_store_run_drop(struct lt_catalog *catalog, const char *path, struct litmus_error *error);

/* Logs of a folder; `size` is 1 for one that could not be read. */
int lt_store_logs(struct lt_catalog *catalog, const char *dir, lt_store_entry_fn *each, void *self, struct litmus_error *error);
/* What is known stays, but for a log that could not be read. */
int lt_store_log_put(struct lt_catalog *catalog, const char *dir, const char *name, const char *session_id, bool unread, struct litmus_error *error);
int lt_store_log_drop(struct lt_catalog *catalog, const char *dir, const char *name, struct litmus_error *error);
int lt_store_sessions_open(struct lt_catalog *catalog, lt_store_entry_fn *each, void *self, struct litmus_error *error);
int lt_store_log_settled(struct lt_catalog *catalog, const char *dir, const char *name, int64_t mtime_us, struct litmus_error *error);

/* ---- what the lake holds (lake.h, catalog_sql.h) ---- */
struct lt_store_lake_file {
    const char *name, *columns; /* borrowed for the call */
    int64_t number, bytes, rows, runs, stale;
};
typedef bool lt_store_lake_fn(void *self, const struct lt_store_lake_file *file); /* false: stop */
typedef bool lt_store_stale_fn(void *self, int64_t file, const char *run_id);

/* All reads until lt_store_commit are of one moment. */
int lt_store_snapshot(struct lt_catalog *catalog, struct litmus_error *error);
int lt_store_lake_files(struct lt_catalog *catalog, lt_store_lake_fn *each, void *self, struct litmus_error *error);
int lt_store_lake_stale(struct lt_catalog *catalog, lt_store_stale_fn *each, void *self, struct litmus_error *error);
/* Runs whose rows that file holds as they are; number 0: those whose rows are in no file. By path. */
int lt_store_lake_members(struct lt_catalog *catalog, int64_t number, lt_run_file_fn *each, void *self, struct litmus_error *error);
/* *number: 0 if a file of that name is there. */
int lt_store_lake_put(struct lt_catalog *catalog, const struct lt_store_lake_file *file, int64_t *number, struct litmus_error *error);
int lt_store_lake_drop(struct lt_catalog *catalog, int64_t number, struct litmus_error *error);
/* The file has rows of that run, made from that run file; if the ledger knows it otherwise, they do not count. */
int lt_store_lake_mark(struct lt_catalog *catalog, int64_t number, const struct lt_run_file *run, struct litmus_error *error);
/* Which manifest all this is of; "" at first. */
int lt_store_lake_state(struct lt_catalog *catalog, struct lt_buf *out, struct litmus_error *error);
int lt_store_lake_state_put(struct lt_catalog *catalog, const char *manifest, struct litmus_error *error);

/* The list behind lt_catalog_open_sessions, which the scan makes. */
void lt_store_open_sessions_clear(struct lt_catalog *catalog);
int lt_store_open_sessions_add(struct lt_catalog *catalog, const struct lt_open_session *session, struct litmus_error *error);

#endif
