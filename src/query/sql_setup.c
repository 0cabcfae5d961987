/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of files go into the text as list literals: a glob would meet files that the catalog left
 * out, and a run that lies in two places would count twice.
 */
#include "query/sql_setup.h"

#include "base/arena.h"
#include "base/io.h"
#include "base/clock.h"
#include "log/layout.h"
#include "materialize/build.h"
#include "materialize/parquet.h"
#include "query/golden.h"
#include "query/lake.h"
#include "query/query_internal.h"
#include "views_sql.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- text ---- */

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

static void quote(struct lt_buf *out, struct lt_str text, char mark) {
    lt_buf_add_char(out, mark);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == mark) lt_buf_add_char(out, mark);
        lt_buf_add_char(out, text.p[i]);
    }
    lt_buf_add_char(out, mark);
}

void lt_sql_quote(struct lt_buf *out, struct lt_str text) {
    quote(out, text, '\'');
}

/* DuckDB has no way to write some paths: where one has a character of patterns, even as itself, a backslash separates folders. */
static int check_path(const char *dir, struct lt_str name, const char *remedy, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    lt_buf_addf(&path, "%s%s%.*s", dir, name.n > 0 ? "/" : "", LT_STR_ARG(name));
    bool known = strchr(lt_buf_cstr(&path), '\\') == NULL || strpbrk(path.p, "*?[") == NULL;
    int code = known ? LITMUS_OK
                     : lt_fail(error, LITMUS_EINVAL, 0, "the path %s has a backslash beside *, ? or [, and DuckDB opens no file of such a path: %s", path.p, remedy);
    lt_buf_release(&path);
    return code;
}

static int check_paths(const struct lt_query *q, const struct lt_sql_options *options, const struct lt_lake *lake, struct litmus_error *error) {
    int code = check_path(q->data_dir, LT_STR(""), "give the folder another name", error);
    if (code == LITMUS_OK) code = check_path(options->scratch, LT_STR(""), "set TMPDIR to a folder of another name", error);
    for (size_t i = 0; code == LITMUS_OK && i < lake->fresh_count; i++) code = check_path(q->data_dir, lake->fresh[i].path, "give the file another name", error);
    return code;
}

/* A path in which nothing is a pattern. */
static void add_path(struct lt_buf *out, const char *dir, struct lt_str name) {
    struct lt_buf path;
    lt_buf_init(&path);
    const struct lt_str parts[] = {lt_str_of(dir), LT_STR("/"), name};
    for (size_t part = 0; part < 3; part++)
        for (size_t i = 0; i < parts[part].n; i++) {
            char c = parts[part].p[i];
            if (c == '*' || c == '?' || c == '[') lt_buf_addf(&path, "[%c]", c);
            else lt_buf_add_char(&path, c);
        }
    lt_sql_quote(out, (struct lt_str){lt_buf_cstr(&path), path.n});
    out->failed = out->failed || path.failed;
    lt_buf_release(&path);
}

/* "512MB", "2GB", "1.5GiB" */
static bool is_size(const char *text) {
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "KIB", "MIB", "GIB", "TIB"};
    char *end;
    char unit[8] = "";
    double value = strtod(text, &end);
    if (end == text || !isdigit((unsigned char)text[0]) || !(value > 0)) return false;
    while (*end == ' ') end++;
    for (size_t i = 0; end[i] != '\0'; i++) {
        if (i == sizeof unit - 1) return false;
        unit[i] = (char)toupper((unsigned char)end[i]);
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(units[i], unit) == 0) return true;
    return false;
}

static int add_settings(const struct lt_sql_options *options, struct lt_buf *out, struct litmus_error *error) {
    const char *limit = options->memory_limit != NULL ? options->memory_limit : getenv("LITMUS_SQL_MEMORY");
    lt_buf_add_text(out, "SET TimeZone = 'UTC';\nSET enable_progress_bar = false;\nSET parquet_metadata_cache = true;\n"
                         "SET autoinstall_known_extensions = false;\n"); /* a question fetches nothing from a network */
    if (limit != NULL && limit[0] != '\0') {
        if (!is_size(limit)) return lt_fail(error, LITMUS_EINVAL, 0, "\"%s\" is no memory limit: give 512MB or 2GB", limit);
        lt_buf_addf(out, "SET memory_limit = '%s';\n", limit);
    }
    if (options->spill != NULL) {
        lt_buf_add_text(out, "SET temp_directory = ");
        lt_sql_quote(out, lt_str_of(options->spill));
        lt_buf_add_text(out, ";\n");
    }
    return LITMUS_OK;
}

/* ---- the columns, so that each is there however old the files are, or without any file ---- */

#define SQL_STR "VARCHAR"
#define SQL_TIME "TIMESTAMPTZ"
#define SQL_INT "BIGINT"
#define SQL_INT32 "INTEGER"
#define SQL_REAL "DOUBLE"
#define SQL_BOOL "BOOLEAN"
#define SQL_STRS "VARCHAR[]"
#define SQL_TIMES "TIMESTAMPTZ[]"
#define COLUMN(name, type, run, step, measurement, meaning) "NULL::" SQL_##type " AS " #name ", "
static const char no_rows[] = "SELECT "
#include "model/columns.def"
                              "NULL::BOOLEAN[] AS step_instruments_mocked, false AS live WHERE false";
#undef COLUMN

static const char no_events[] = "CREATE OR REPLACE TEMP TABLE litmus_events AS SELECT NULL::VARCHAR AS id, NULL::VARCHAR AS event_type, "
                                "NULL::TIMESTAMPTZ AS occurred_at, NULL::TIMESTAMPTZ AS received_at, NULL::VARCHAR AS session_id, "
                                "NULL::VARCHAR AS run_id, NULL::VARCHAR AS json WHERE false;\n";

/* ---- inputs and outputs that are lists in one run and single values in another: DuckDB cannot join them ---- */

/* Names of columns that hold lists. */
struct lists {
    struct lt_arena *arena;
    struct lt_str *names;
    size_t count, capacity;
};

/* Those of each run and file, and all of them. */
struct kinds {
    struct lt_arena arena;
    struct lists all, *live, *fresh, *lake;
};

static bool has_list(const struct lists *lists, struct lt_str name) {
    for (size_t i = 0; i < lists->count; i++)
        if (lists->names[i].n == name.n && strncasecmp(lists->names[i].p, name.p, name.n) == 0) return true; /* as SQL tells names apart */
    return false;
}

static void add_list(struct lists *lists, struct lt_str name) {
    if (has_list(lists, name)) return;
    if (lists->count == lists->capacity) {
        size_t larger = lists->capacity * 2 + 8;
        struct lt_str *grown = lt_arena_grow(lists->arena, lists->names, lists->capacity * sizeof *grown, larger * sizeof *grown);
        if (grown == NULL) return;
        lists->names = grown;
        lists->capacity = larger;
    }
    lists->names[lists->count++] = lt_arena_str(lists->arena, name);
}

/* The other lists are lists in every run. */
static void on_list(void *self, struct lt_str name) {
    const struct lt_str may_differ[] = {LT_STR("in_"), LT_STR("out_"), LT_STR("custom_")};
    for (size_t i = 0; i < sizeof may_differ / sizeof may_differ[0]; i++)
        if (name.n > may_differ[i].n && memcmp(name.p, may_differ[i].p, may_differ[i].n) == 0) add_list(self, name);
}

static void lists_of_lake(struct lt_str columns, struct lists *out) {
    struct lt_buf name;
    int type;
    lt_buf_init(&name);
    while (lt_lake_next_column(&columns, &name, &type))
        if (type >= LT_COLUMN_STRS) on_list(out, (struct lt_str){name.p, name.n});
    lt_buf_release(&name);
}

static void lists_of_rows(const struct lt_table *rows, struct lists *out) {
    for (int64_t c = 0; c < lt_table_columns(rows); c++)
        if (rows->schema.children[c]->n_children > 0) on_list(out, lt_str_of(lt_table_name(rows, c)));
}

static struct lists *add_all(struct kinds *k, size_t count) {
    struct lists *lists = lt_arena_alloc(&k->arena, (count + 1) * sizeof *lists);
    for (size_t i = 0; lists != NULL && i < count; i++) lists[i].arena = &k->arena;
    return lists;
}

/* A file that cannot be read is told of by DuckDB. Errors: ENOMEM. */
static int load_kinds(const struct lt_query *q, const struct lt_overlay *overlay, const struct lt_lake *lake, struct kinds *k, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    lt_arena_init(&k->arena);
    k->all = (struct lists){.arena = &k->arena};
    struct part {
        struct lists **lists;
        size_t count;
    } parts[] = {{&k->live, overlay->count}, {&k->fresh, lake->fresh_count}, {&k->lake, lake->file_count}};
    for (size_t i = 0; i < 3; i++) *parts[i].lists = add_all(k, parts[i].count);
    if (!k->arena.failed) {
        for (size_t i = 0; i < overlay->count; i++) lists_of_rows(&overlay->runs[i].rows, &k->live[i]);
        for (size_t i = 0; i < lake->fresh_count; i++)
            (void)lt_parquet_lists(lt_path_join(&path, q->data_dir, lake->fresh[i].path.p), on_list, &k->fresh[i], NULL);
        for (size_t i = 0; i < lake->file_count; i++) lists_of_lake(lake->files[i].columns, &k->lake[i]);
        for (size_t part = 0; part < 3; part++)
            for (size_t i = 0; i < parts[part].count; i++)
                for (size_t n = 0; n < (*parts[part].lists)[i].count; n++) add_list(&k->all, (*parts[part].lists)[i].names[n]);
    }
    bool failed = k->arena.failed || path.failed;
    lt_buf_release(&path);
    return failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the names of the run files") : LITMUS_OK;
}

/* The next rows of a union, up to the "[" before the names of their files. What is no list in them, and one elsewhere, becomes a list of one.
 * `replaced`, `live`: NULL, none. Gives what has to end it, behind the options of the files. */
static const char *add_read(const struct lists *all, const struct lists *own, const char *replaced, const char *live, struct lt_buf *out) {
    size_t changed = 0;
    lt_buf_addf(out, "\nUNION ALL BY NAME SELECT *%s%s", replaced == NULL ? "" : " REPLACE (", replaced == NULL ? "" : replaced);
    for (size_t i = 0; i < all->count; i++) {
        if (has_list(own, all->names[i])) continue;
        lt_buf_add_text(out, changed++ == 0 && replaced == NULL ? " REPLACE (CASE WHEN " : ", CASE WHEN ");
        quote(out, all->names[i], '"');
        lt_buf_add_text(out, " IS NOT NULL THEN [");
        quote(out, all->names[i], '"');
        lt_buf_add_text(out, "::VARCHAR] END AS ");
        quote(out, all->names[i], '"');
    }
    if (changed > 0 || replaced != NULL) lt_buf_add_char(out, ')');
    if (live != NULL) lt_buf_addf(out, ", %s AS live", live);
    lt_buf_add_text(out, changed > 0 ? " FROM (SELECT " : " FROM ");
    for (size_t i = 0, n = 0; i < all->count; i++) { /* they are to have the column */
        if (has_list(own, all->names[i])) continue;
        lt_buf_add_text(out, n++ == 0 ? "NULL::VARCHAR AS " : ", NULL::VARCHAR AS ");
        quote(out, all->names[i], '"');
    }
    lt_buf_add_text(out, changed > 0 ? " WHERE false UNION ALL BY NAME SELECT * FROM read_parquet([" : "read_parquet([");
    return changed > 0 ? "))" : ")";
}

/* ---- rows without a file ---- */

static int put_scratch(struct lt_table *rows, const char *scratch, const char *name, struct litmus_error *error) {
    struct lt_buf bytes, path;
    lt_buf_init(&bytes);
    lt_buf_init(&path);
    int code = lt_parquet_encode(rows, NULL, NULL, 0, &bytes, error);
    if (code == LITMUS_OK) code = lt_io_write_hidden(&lt_io_os, lt_path_join(&path, scratch, name), bytes.p, bytes.n, error);
    lt_buf_release(&bytes);
    lt_buf_release(&path);
    return code;
}

/* A run that nobody has ended has no outcome and no end yet. */
static int add_live(const struct lt_overlay *overlay, const struct kinds *kinds, const struct lt_sql_options *options, struct lt_buf *out,
                    struct litmus_error *error) {
    static const char unended[] = "NULL::VARCHAR AS run_outcome, NULL::TIMESTAMPTZ AS run_ended_at";
    char name[64];
    int code = LITMUS_OK;
    lt_buf_addf(out, "CREATE OR REPLACE TEMP TABLE litmus_live AS %s", no_rows);
    for (size_t i = 0; code == LITMUS_OK && i < overlay->count; i++) {
        struct lt_overlay_run *run = &overlay->runs[i];
        snprintf(name, sizeof name, "%zu.parquet", i);
        code = put_scratch(&run->rows, options->scratch, name, error);
        const char *ends = add_read(&kinds->all, &kinds->live[i], run->summary.outcome.p == NULL ? unended : NULL, run->summary.live ? "true" : "false", out);
        add_path(out, options->scratch, lt_str_of(name));
        lt_buf_addf(out, "]%s", ends);
    }
    lt_buf_add_text(out, ";\n");
    return code;
}

static int add_events(struct lt_query *q, const struct lt_sql_options *options, struct lt_buf *out, struct litmus_error *error) {
    struct lt_event_filter filter = {.since = options->since};
    struct lt_table events;
    if (!options->events) {
        lt_buf_add_text(out, no_events);
        return LITMUS_OK;
    }
    int code = lt_query_events(q, &filter, &events, error);
    if (code == LITMUS_OK && lt_table_rows(&events) == 0) {
        lt_buf_add_text(out, no_events);
    } else if (code == LITMUS_OK) {
        code = put_scratch(&events, options->scratch, "events.parquet", error);
        lt_buf_add_text(out, "CREATE OR REPLACE TEMP TABLE litmus_events AS SELECT * FROM read_parquet(");
        add_path(out, options->scratch, LT_STR("events.parquet"));
        lt_buf_add_text(out, ");\n");
    }
    if (code == LITMUS_OK) lt_table_release(&events);
    return code;
}

/* ---- rows with a file ---- */

static const char end_files[] = "], union_by_name = true, hive_partitioning = false";
static const char end_alike[] = "], hive_partitioning = false"; /* none but the first is opened before it is read */

static void add_stale(const struct lt_lake_file *file, const char *where, struct lt_buf *out) {
    for (size_t i = 0; i < file->stale_count; i++) {
        if (i == 0) lt_buf_addf(out, " WHERE %srun_id NOT IN (", where);
        else lt_buf_add_char(out, ',');
        lt_sql_quote(out, file->stale[i]);
    }
    if (file->stale_count > 0) lt_buf_add_char(out, ')');
}

/* The files with the rows, or those beside them with the plans. */
struct lake_list {
    const char *folder, *where;
    bool plans;
    const struct kinds *kinds;
};

static void add_lake_path(const struct lake_list *list, const struct lt_lake_file *file, struct lt_buf *out) {
    struct lt_buf beside;
    lt_buf_init(&beside);
    add_path(out, list->folder, list->plans ? lt_str_of(lt_lake_plans_name(file->name.p, &beside)) : file->name);
    lt_buf_release(&beside);
}

/* Files with the same columns are one list; one with rows that do not count is by itself. */
static void add_lake(const struct lt_lake *lake, const struct lake_list *list, struct lt_buf *out) {
    const struct lists none = {0};
    for (size_t i = 0; i < lake->file_count; i++) {
        const struct lt_lake_file *f = &lake->files[i];
        bool is_listed = false;
        for (size_t k = 0; k < i && f->stale_count == 0; k++)
            is_listed = is_listed || (lake->files[k].stale_count == 0 && lt_str_eq(lake->files[k].columns, f->columns));
        if (is_listed) continue;
        const char *ends = add_read(list->plans ? &none : &list->kinds->all, &list->kinds->lake[i], NULL, list->plans ? NULL : "false", out);
        add_lake_path(list, f, out);
        for (size_t k = i + 1; k < lake->file_count && f->stale_count == 0; k++) {
            if (lake->files[k].stale_count > 0 || !lt_str_eq(lake->files[k].columns, f->columns)) continue;
            lt_buf_add_text(out, ",\n");
            add_lake_path(list, &lake->files[k], out);
        }
        lt_buf_addf(out, "%s%s", end_alike, ends);
        add_stale(f, list->where, out);
    }
}

static bool same_lists(const struct lists *a, const struct lists *b) {
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) same = has_list(b, a->names[i]);
    return same;
}

/* Runs with the same lists are read together. */
static void add_fresh(const struct lt_query *q, const struct lt_lake *lake, struct kinds *kinds, struct lt_buf *out) {
    bool *done = lt_arena_alloc(&kinds->arena, lake->fresh_count + 1);
    for (size_t i = 0; done != NULL && i < lake->fresh_count; i++) {
        if (done[i]) continue;
        const char *ends = add_read(&kinds->all, &kinds->fresh[i], NULL, "false", out), *next = "";
        for (size_t k = i; k < lake->fresh_count; k++) {
            if (done[k] || !same_lists(&kinds->fresh[i], &kinds->fresh[k])) continue;
            lt_buf_add_text(out, next);
            add_path(out, q->data_dir, lake->fresh[k].path);
            done[k] = true;
            next = ",\n";
        }
        lt_buf_addf(out, "%s%s", end_files, ends);
    }
    out->failed = out->failed || done == NULL;
}

/* litmus_outside: the rows that no lake file has. litmus_rows: all. litmus_lake_steps: the lake's short account of the steps. */
static void add_files(const struct lt_query *q, const struct lt_lake *lake, struct kinds *kinds, struct lt_buf *out) {
    struct lt_buf folder;
    lt_buf_init(&folder);
    const char *path = lt_path_join(&folder, q->data_dir, "lake");
    lt_buf_addf(out, "CREATE OR REPLACE TEMP VIEW litmus_outside AS %s", no_rows);
    add_fresh(q, lake, kinds, out);
    lt_buf_addf(out, "\nUNION ALL BY NAME SELECT * FROM litmus_live;\nCREATE OR REPLACE TEMP VIEW litmus_rows AS %s", no_rows);
    add_lake(lake, &(struct lake_list){.folder = path, .where = "", .kinds = kinds}, out);
    lt_buf_addf(out, "\nUNION ALL BY NAME SELECT * FROM litmus_outside;\nCREATE OR REPLACE TEMP VIEW litmus_lake_steps AS "
                    "SELECT NULL::VARCHAR AS lake_kind, NULL::VARCHAR AS lake_plan, * EXCLUDE (live) FROM (%s)", no_rows);
    add_lake(lake, &(struct lake_list){.folder = path, .where = "lake_kind = 'plan' OR ", .plans = true, .kinds = kinds}, out);
    lt_buf_add_text(out, ";\n");
    lt_buf_release(&folder);
}

static void add_id(void *self, const char *run_id) {
    struct lt_buf *ids = self;
    if (ids->n > 0) lt_buf_add_char(ids, ',');
    lt_sql_quote(ids, lt_str_of(run_id));
}

/* litmus_run_rows: one row a run. Files of other writers may have none; each of their rows tells of the run. */
static int add_run_rows(const struct lt_query *q, struct lt_buf *out, struct litmus_error *error) {
    static const char view[] = "CREATE OR REPLACE TEMP VIEW litmus_run_rows AS SELECT * FROM litmus_rows WHERE record_type = 'run'";
    struct lt_buf ids;
    lt_buf_init(&ids);
    int code = lt_catalog_without_row(q->catalog, add_id, &ids, error);
    lt_buf_add_text(out, view);
    if (ids.n > 0) lt_buf_addf(out, " UNION ALL SELECT DISTINCT ON (run_id) * REPLACE ('run' AS record_type) FROM litmus_rows WHERE run_id IN (%s)", lt_buf_cstr(&ids));
    lt_buf_add_text(out, ";\n");
    out->failed = out->failed || ids.failed;
    lt_buf_release(&ids);
    return code;
}

/* ---- each run once ---- */

enum { LOOKS_MAX = 100 };

/* Has one of the runs without a file got one since? The last look leaves it out of them. */
static bool has_come(struct lt_query *q, struct lt_overlay *overlay, bool last) {
    size_t kept = 0;
    for (size_t i = 0; i < overlay->count; i++) {
        struct lt_overlay_run run = overlay->runs[i];
        bool come = lt_catalog_has_run(q->catalog, run.summary.run_id);
        if (come && !last) return true;
        if (come) lt_table_release(&run.rows);
        else overlay->runs[kept++] = run;
    }
    overlay->count = kept;
    return false;
}

/* First the runs without a file, then the files. A run that gets its file in between is in both, or, when another process has told
 * the catalog of it just after it was asked, in the first alone: then all is looked at again. Release both in every case. */
static int load_runs(struct lt_query *q, struct lt_overlay *overlay, struct lt_lake *lake, struct litmus_error *error) {
    *lake = (struct lt_lake){.files = NULL};
    lt_arena_init(&lake->arena);
    *overlay = (struct lt_overlay){0};
    lt_lake_hold(q);
    for (int look = 1;; look++) {
        int code = lt_query_refresh(q, error);
        if (code == LITMUS_OK) code = lt_overlay_load(q, overlay, error);
        if (code == LITMUS_OK) code = lt_lake_load(q, lake, error);
        if (code != LITMUS_OK || !has_come(q, overlay, look == LOOKS_MAX)) return code;
        lt_overlay_release(overlay);
        lt_lake_release(lake);
    }
}

/* ---- the views ---- */

bool lt_sql_names(struct lt_str text, const char *word) {
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= text.n; i++) {
        bool starts = i == 0 || !is_word(text.p[i - 1]), ends = i + n == text.n || !is_word(text.p[i + n]);
        if (starts && ends && strncasecmp(text.p + i, word, n) == 0) return true;
    }
    return false;
}

static const char *const create_view[] = {"CREATE OR REPLACE TEMP VIEW ", "CREATE OR REPLACE TEMP MACRO "};
enum { VIEWS_MAX = 64, VIEW_LINES = sizeof views_sql / sizeof views_sql[0] };

struct view {
    char name[64];
    size_t from, to; /* lines of views_sql */
    bool wanted;
};

/* Where the name stands in a line that begins a view; NULL: the line begins none. */
static const char *name_in(const char *line) {
    for (size_t i = 0; i < sizeof create_view / sizeof create_view[0]; i++)
        if (strncmp(line, create_view[i], strlen(create_view[i])) == 0) return line + strlen(create_view[i]);
    return NULL;
}

static size_t list_views(struct view views[VIEWS_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < VIEW_LINES && count < VIEWS_MAX; i++) {
        const char *name = name_in(views_sql[i]);
        if (name == NULL) continue;
        struct view *v = &views[count++];
        *v = (struct view){.from = i};
        (void)sscanf(name, "%63[a-z_]", v->name);
        while (i + 1 < VIEW_LINES && strchr(views_sql[i], ';') == NULL) i++;
        v->to = i + 1;
    }
    return count;
}

/* Does the line read the view, or call the macro? Columns bear the names of views, too: live, runs. In '...' stands what a macro is told to read. */
static bool reads_view(const char *line, const char *name) {
    size_t n = strlen(name);
    for (const char *at = strstr(line, name); at != NULL; at = strstr(at + 1, name)) {
        size_t gap = 0, before = (size_t)(at - line);
        if (is_word(at[n]) || (before > 0 && is_word(at[-1]))) continue;
        while (gap < before && at[-1 - (ptrdiff_t)gap] == ' ') gap++;
        const char *end = at - gap;
        if (at[n] == '(' || (before > 0 && at[-1] == '\'')) return true;
        if (gap > 0 && before >= gap + 4 && (strncmp(end - 4, "FROM", 4) == 0 || strncmp(end - 4, "JOIN", 4) == 0)) return true;
    }
    return false;
}

static void want_under(struct view *views, size_t number) {
    for (size_t line = views[number].from; line < views[number].to; line++)
        for (size_t i = 0; i < number; i++) views[i].wanted = views[i].wanted || reads_view(views_sql[line], views[i].name);
}

/* Does it read what is none of the views, no file and nothing that they stand on? With a view named wrongly, DuckDB says which was meant. */
static bool reads_others(struct lt_str text) {
    static const char *const known[] = {"'", "(", "read_", "litmus_"};
    for (size_t i = 0; i + 4 < text.n; i++) {
        bool reads = strncasecmp(text.p + i, "from", 4) == 0 || strncasecmp(text.p + i, "join", 4) == 0, is_known = false;
        if (!reads || is_word(text.p[i + 4]) || (i > 0 && is_word(text.p[i - 1]))) continue;
        size_t at = i + 4;
        while (at < text.n && isspace((unsigned char)text.p[at])) at++;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            is_known = is_known || (at + strlen(known[k]) <= text.n && strncasecmp(text.p + at, known[k], strlen(known[k])) == 0);
        if (!is_known) return true;
    }
    return false;
}

/* Each view costs the time to look at the columns of all files, however few rows there are. */
static void add_views(const char *text, struct lt_buf *out) {
    static const char *const of_catalog[] = {"show", "tables", "describe", "summarize", "pragma", "information_schema", "duckdb_views", "duckdb_columns",
                                             "duckdb_functions", "sqlite_master"};
    struct view views[VIEWS_MAX];
    size_t count = list_views(views);
    bool all = text == NULL, any = false;
    struct lt_str words = lt_str_of(text == NULL ? "" : text);
    for (size_t i = 0; !all && i < sizeof of_catalog / sizeof of_catalog[0]; i++) all = lt_sql_names(words, of_catalog[i]);
    for (size_t i = 0; !all && i < count; i++) any |= views[i].wanted = lt_sql_names(words, views[i].name);
    bool by_shell = words.n > 0 && words.p[0] == '.', no_view = !all && !any && !by_shell && reads_others(words);
    all = all || (!any && by_shell);
    for (size_t i = count; i-- > 0;)
        if (views[i].wanted) want_under(views, i);
    for (size_t i = 0; i < count; i++)
        for (size_t line = views[i].from; (all || views[i].wanted) && line < views[i].to; line++) lt_buf_add_text(out, views_sql[line]);
    for (size_t i = 0; no_view && i < count; i++) /* the names alone */
        if (strncmp(views_sql[views[i].from], create_view[0], strlen(create_view[0])) == 0) lt_buf_addf(out, "%s%s AS SELECT 1;\n", create_view[0], views[i].name);
}

int lt_sql_setup(struct lt_query *q, const struct lt_sql_options *options, struct lt_buf *out, struct litmus_error *error) {
    struct lt_overlay overlay;
    struct lt_lake lake;
    struct kinds kinds = {.arena = {0}};
    if (!lt_utf8_valid(q->data_dir, strlen(q->data_dir)))
        return lt_fail(error, LITMUS_EINVAL, 0, "the path of %s is no UTF-8, and DuckDB opens no file there: give the folder another name", q->data_dir);
    int code = load_runs(q, &overlay, &lake, error);
    if (code == LITMUS_OK) code = check_paths(q, options, &lake, error);
    if (code == LITMUS_OK) code = load_kinds(q, &overlay, &lake, &kinds, error);
    if (code == LITMUS_OK) code = add_settings(options, out, error);
    if (code == LITMUS_OK) code = add_live(&overlay, &kinds, options, out, error);
    if (code == LITMUS_OK) code = add_events(q, options, out, error);
    if (code == LITMUS_OK) code = lt_golden_macro(q->data_dir, out, error);
    if (code == LITMUS_OK) add_files(q, &lake, &kinds, out);
    if (code == LITMUS_OK) code = add_run_rows(q, out, error);
    if (code == LITMUS_OK) add_views(options->views, out);
    if (code == LITMUS_OK && out->failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the names of the run files");
    lt_arena_release(&kinds.arena);
    lt_overlay_release(&overlay);
    lt_lake_release(&lake);
    return code;
}
