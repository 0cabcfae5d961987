/* SPDX-License-Identifier: Apache-2.0
 *
 * The log files of a session, merged by the time of their heads, folded run by run.
 */
#include "accumulate/gather.h"

#include "accumulate/merge.h"
#include "accumulate/values.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* One log file while it is merged: its reader and the event at its head. */
struct source {
    struct lt_log_reader *reader;
    struct lt_row head;
    struct lt_merge_key key; /* the latest of the file */
    bool has_head;
    uint32_t number;
};

/* What run.materialized says of a run: how much of each file its rows were made from. */
struct cut {
    struct lt_str run_id, destination;
    int64_t renamed; /* of the destination */
    int64_t revised; /* of the rows; -1: none are said, but another name of the file */
    int64_t *rows;   /* by log number; NULL: no log_rows, take everything */
};

struct gather {
    const char *data_dir;
    const struct lt_gather_options *options;
    struct lt_gathering *out;
    struct source *sources;
    size_t source_count;
    struct cut *cuts;
    size_t cut_count, cut_capacity;
    struct lt_arena arena; /* of the cuts */
    struct lt_map run_by_id;
};

/* Moves to the next event of a file; damage is counted and passed over. */
static int advance(struct gather *g, struct source *s, struct litmus_error *error) {
    struct lt_log_tail *tail = &g->out->logs[s->number];
    for (;;) {
        enum lt_log_status status = lt_log_next(s->reader, &s->head, error);
        if (status == LT_LOG_DAMAGED) {
            g->out->damaged++;
            continue;
        }
        if (status == LT_LOG_FAILED) return error != NULL && error->code != LITMUS_OK ? error->code : LITMUS_EIO;
        s->has_head = status == LT_LOG_EVENT;
        if (s->has_head) {
            s->key = lt_merge_pass(s->key, &s->head);
            tail->rows++;
        } else tail->end = status;
        return LITMUS_OK;
    }
}

static int open_source(struct gather *g, const char *path, struct litmus_error *error) {
    struct source *s = &g->sources[g->source_count];
    struct lt_log_tail *tail = &g->out->logs[g->source_count];
    s->number = (uint32_t)g->source_count;
    s->key = LT_MERGE_FIRST;
    int code = lt_log_reader_open(path, &s->reader, error);
    if (code != LITMUS_OK) return code;
    if (g->options->check_chain) lt_log_reader_check_chain(s->reader);
    g->source_count++;
    tail->path = strdup(path);
    g->out->log_count = g->source_count;
    if (tail->path == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", path);
    code = advance(g, s, error);
    const char *identity = lt_log_reader_identity(s->reader);
    snprintf(tail->identity, sizeof tail->identity, "%s", identity == NULL ? "" : identity);
    return code;
}

/* Is it the file that is no log, or the system that did not read it? A log that was listed and is gone may lie elsewhere by now; what a
 * newer version wrote we cannot read. */
static bool is_of_file(const char *path, const struct litmus_error *why) {
    struct stat st;
    return !lt_error_is_refusal(why) && why->code != LITMUS_EVERSION && (why->os_errno != ENOENT || lstat(path, &st) == 0);
}

/* A file that is no log is damage of one place: the others still count. What the system refused may come the next time; without it
 * a run that ended would look as if it had not. */
static int open_sources(struct gather *g, const struct lt_log_list *list, struct litmus_error *error) {
    g->sources = calloc(list->count + 1, sizeof *g->sources);
    g->out->logs = calloc(list->count + 1, sizeof *g->out->logs);
    if (g->sources == NULL || g->out->logs == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading the logs");
    for (size_t i = 0; i < list->count; i++) {
        struct litmus_error why = {0};
        int code = open_source(g, list->files[i].path, &why);
        if (code != LITMUS_OK && !is_of_file(list->files[i].path, &why)) return lt_fail_with(error, &why);
        if (code != LITMUS_OK) g->out->damaged++;
    }
    return LITMUS_OK;
}

/* ---- cuts ---- */

static bool is_type(const struct lt_row *row, const char *type) {
    return lt_str_eq(row->event_type, lt_str_of(type));
}

bool lt_may_say_materialized(const struct lt_row *first) {
    return is_type(first, "run.materialized") || is_type(first, "run.ended") || is_type(first, "diagnostic.warning") || is_type(first, "diagnostic.error");
}

/* What the row says of a run's file. */
enum file_word { SAYS_NOTHING, SAYS_MADE, SAYS_REVISED, SAYS_RENAMED };

static enum file_word word_of(const struct lt_row *row) {
    if (!is_type(row, "run.materialized") || row->run_id.n == 0) return SAYS_NOTHING;
    yyjson_doc *doc = yyjson_read(row->json.p, row->json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    enum file_word word = !yyjson_is_obj(root)                ? SAYS_NOTHING
                          : lt_get_int(root, "renamed").v > 0 ? SAYS_RENAMED
                          : lt_get_int(root, "revised").v > 0 ? SAYS_REVISED
                                                              : SAYS_MADE;
    yyjson_doc_free(doc);
    return word;
}

bool lt_says_materialized(const struct lt_row *row) {
    enum file_word word = word_of(row);
    return word == SAYS_MADE || word == SAYS_REVISED;
}

/* Was the log ended by whoever wrote it, or as it was found? What is found somebody may have put there. */
static bool is_own_word(const char *path) {
    for (int i = 0; i < 2; i++) { /* it may be sealed between the look at its end and the one at its lock */
        struct lt_log_reader *reader = NULL;
        struct lt_row row;
        enum lt_log_status status = LT_LOG_FAILED;
        if (lt_log_reader_open(path, &reader, NULL) == LITMUS_OK)
            do status = lt_log_next(reader, &row, NULL);
            while (status == LT_LOG_EVENT || status == LT_LOG_DAMAGED);
        bool sealed = status == LT_LOG_SEALED, own = sealed ? !lt_log_reader_seal(reader).by_recovery : lt_log_life(path, NULL) == LT_LIFE_WRITING;
        lt_log_reader_free(reader);
        if (sealed || own || !lt_log_is_sealed(path)) return own;
    }
    return false;
}

static struct cut *find_cut(const struct gather *g, struct lt_str run_id) {
    for (size_t i = 0; i < g->cut_count; i++)
        if (lt_str_eq(g->cuts[i].run_id, run_id)) return &g->cuts[i];
    return NULL;
}

static struct cut *add_cut(struct gather *g, struct lt_str run_id) {
    void *cuts = g->cuts;
    if (!lt_grow(&g->arena, &cuts, g->cut_count, &g->cut_capacity, sizeof *g->cuts)) return NULL;
    g->cuts = cuts;
    struct cut *cut = &g->cuts[g->cut_count++];
    *cut = (struct cut){.run_id = lt_arena_str(&g->arena, run_id), .renamed = -1, .revised = -1};
    return cut;
}

/* Logs of two days may have one name (litmus gave such names once): they are said in the order in which they are read. */
static yyjson_val *said_of(const struct gather *g, yyjson_val *log_rows, size_t log) {
    const char *identity = g->out->logs[log].identity;
    size_t before = 0, at, all;
    yyjson_val *name, *value;
    for (size_t i = 0; i < log; i++) before += strcmp(g->out->logs[i].identity, identity) == 0;
    yyjson_obj_foreach(log_rows, at, all, name, value) {
        if (!yyjson_equals_str(name, identity)) continue;
        if (before-- == 0) return value;
    }
    return NULL;
}

static int64_t *count_rows(struct gather *g, yyjson_val *log_rows) {
    int64_t *rows = lt_arena_alloc(&g->arena, (g->source_count + 1) * sizeof *rows);
    for (size_t i = 0; rows != NULL && i < g->source_count; i++) {
        struct lt_int n = lt_as_int(said_of(g, log_rows, i));
        rows[i] = n.set ? n.v : 0;
    }
    return rows;
}

/* Of what was said of a run's rows the latest revision counts (of one revision the first word), of its file's names the latest. */
static bool take_cut(struct gather *g, const struct lt_row *row) {
    struct cut *cut = find_cut(g, row->run_id);
    if (cut == NULL) cut = add_cut(g, row->run_id);
    if (cut == NULL) return false;
    yyjson_doc *doc = yyjson_read(row->json.p, row->json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *rows = yyjson_obj_get(root, "log_rows");
    struct lt_int renamed = lt_get_int(root, "renamed");
    struct lt_int revised = lt_get_int(root, "revised");
    renamed.v = !renamed.set || renamed.v < 0 ? 0 : renamed.v < LT_REVISIONS_MAX ? renamed.v : LT_REVISIONS_MAX;
    revised.v = !revised.set || revised.v < 0 ? 0 : revised.v < LT_REVISIONS_MAX ? revised.v : LT_REVISIONS_MAX;
    if (renamed.v > cut->renamed) {
        cut->renamed = renamed.v;
        cut->destination = lt_get_str(&g->arena, root, "destination");
    }
    if (renamed.v == 0 && revised.v > cut->revised) {
        cut->revised = revised.v;
        cut->rows = yyjson_is_obj(rows) ? count_rows(g, rows) : NULL;
    }
    yyjson_doc_free(doc);
    return !g->arena.failed;
}

static int find_cuts(struct gather *g, struct litmus_error *error) {
    for (size_t i = 0; i < g->source_count; i++) {
        if (!g->sources[i].has_head || !lt_may_say_materialized(&g->sources[i].head)) continue;
        struct lt_log_reader *reader = NULL;
        struct lt_row row;
        int code = lt_log_reader_open(g->out->logs[i].path, &reader, error); /* it could be opened a moment ago */
        if (code != LITMUS_OK) return code;
        bool ok = true, asked = false, own = false;
        enum lt_log_status status;
        struct litmus_error why = {0};
        while (ok && ((status = lt_log_next(reader, &row, &why)) == LT_LOG_EVENT || status == LT_LOG_DAMAGED)) {
            enum file_word word = status == LT_LOG_EVENT ? word_of(&row) : SAYS_NOTHING;
            if (word == SAYS_REVISED && !asked) own = is_own_word(g->out->logs[i].path);
            asked = asked || word == SAYS_REVISED;
            if (word != SAYS_NOTHING && (word != SAYS_REVISED || own)) ok = take_cut(g, &row);
        }
        lt_log_reader_free(reader);
        if (why.code != LITMUS_OK && !is_of_file(g->out->logs[i].path, &why)) return lt_fail_with(error, &why);
        if (!ok) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", g->out->logs[i].path);
    }
    return LITMUS_OK;
}

/* ---- merge ---- */

/* The file whose head comes first; files are in the order of their names, so a tie keeps that. */
static struct source *earliest(struct gather *g) {
    struct source *first = NULL;
    for (size_t i = 0; i < g->source_count; i++) {
        struct source *s = &g->sources[i];
        if (s->has_head && (first == NULL || lt_merge_before(s->key, first->key))) first = s;
    }
    return first;
}

static struct lt_gathered_run *run_of(struct gather *g, const struct lt_row *row) {
    uint32_t number = lt_map_get(&g->run_by_id, row->run_id, 0);
    if (number != LT_MAP_NONE) return g->out->runs[number];
    struct lt_gathering *out = g->out;
    if (out->run_count == out->run_capacity) {
        size_t capacity = out->run_capacity == 0 ? 4 : out->run_capacity * 2;
        struct lt_gathered_run **runs = realloc(out->runs, capacity * sizeof(struct lt_gathered_run *));
        if (runs == NULL) return NULL;
        out->runs = runs;
        out->run_capacity = capacity;
    }
    struct lt_gathered_run *run = lt_gathered_run_new(row, out->session_id);
    if (run == NULL) return NULL;
    out->runs[out->run_count] = run;
    const struct cut *cut = find_cut(g, row->run_id);
    run->materialized = cut != NULL && cut->revised >= 0;
    run->only_renamed = cut != NULL && cut->revised < 0;
    if (cut != NULL) run->destination = lt_arena_str(&run->run.arena, cut->destination);
    if (cut != NULL) run->renamed = cut->renamed;
    if (cut != NULL) run->revised = cut->revised < 0 ? 0 : cut->revised;
    if (!lt_map_put(&g->run_by_id, run->run.run_id, 0, (uint32_t)out->run_count++)) return NULL;
    return run;
}

/* Does a producer say it? What others say of a run comes after it as a matter of course. */
static bool is_of_producer(const struct lt_row *row) {
    static const char *const of_others[] = {"run.", "review.", "diagnostic.", "session.", "retention."};
    for (size_t i = 0; i < sizeof of_others / sizeof of_others[0]; i++)
        if (row->event_type.n > strlen(of_others[i]) && memcmp(row->event_type.p, of_others[i], strlen(of_others[i])) == 0) return false;
    return true;
}

static int take_row(struct gather *g, const struct source *s, struct litmus_error *error) {
    const struct lt_row *row = &s->head;
    if (row->run_id.p == NULL || (g->options->run_id != NULL && !lt_str_eq(row->run_id, lt_str_of(g->options->run_id)))) return LITMUS_OK;
    struct lt_gathered_run *run = run_of(g, row);
    if (run == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for run %.*s", LT_STR_ARG(row->run_id));
    const struct cut *cut = find_cut(g, row->run_id);
    if (cut != NULL && cut->rows != NULL && g->out->logs[s->number].rows > cut->rows[s->number]) {
        run->late += is_of_producer(row);
        if (!g->options->with_late) return LITMUS_OK;
    }
    return lt_gathered_run_fold(run, row, g->out->logs[s->number].path, s->number, error);
}

static int merge(struct gather *g, struct litmus_error *error) {
    int code = LITMUS_OK;
    for (struct source *s = earliest(g); code == LITMUS_OK && s != NULL; s = earliest(g)) {
        code = take_row(g, s, error);
        if (code == LITMUS_OK) code = advance(g, s, error);
    }
    return code;
}

/* Is the identity `{session}-{pid}` or `{session}-{pid}-{n}`? */
static bool is_of_process(const char *identity, const char *session, int64_t pid) {
    char name[160];
    int n = snprintf(name, sizeof name, "%s-%lld", session, (long long)pid);
    return n < (int)sizeof name && strncmp(identity, name, (size_t)n) == 0 && (identity[n] == '\0' || identity[n] == '-');
}

/* Who executes the run is the process that run.started names (under pytest-xdist the controller,
 * while a worker wrote the event); where that left no log, whoever wrote the event. */
static enum lt_life producer_life(const struct gather *g, const struct lt_gathered_run *run, struct litmus_error *error) {
    bool has_log = false;
    for (size_t i = 0; run->run.pid.set && i < g->out->log_count; i++) {
        const struct lt_log_tail *log = &g->out->logs[i];
        if (!is_of_process(log->identity, g->out->session_id, run->run.pid.v)) continue;
        has_log = true;
        enum lt_life life = log->end != LT_LOG_SEALED ? lt_log_life(log->path, error) : LT_LIFE_NONE;
        if (life != LT_LIFE_NONE) return life;
    }
    return !has_log && run->owner_log.p != NULL ? lt_log_life(run->owner_log.p, error) : LT_LIFE_NONE;
}

static int settle_all(struct gather *g, struct litmus_error *error) {
    int code = LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < g->out->run_count; i++) {
        struct lt_gathered_run *run = g->out->runs[i];
        struct litmus_error why = {0};
        enum lt_life life = producer_life(g, run, &why);
        if (life == LT_LIFE_UNKNOWN) return lt_fail_with(error, &why);
        run->producer_alive = life == LT_LIFE_WRITING;
        code = lt_run_settle(&run->run, !run->run.has_ended && run->producer_alive, error);
    }
    return code;
}

int lt_gather_session(const char *data_dir, const char *session_id, const struct lt_gather_options *options, struct lt_gathering *out,
                      struct litmus_error *error) {
    static const struct lt_gather_options everything = {0};
    *out = (struct lt_gathering){0};
    snprintf(out->session_id, sizeof out->session_id, "%s", session_id);
    struct gather g = {.data_dir = data_dir, .options = options == NULL ? &everything : options, .out = out};
    struct lt_log_list list = {0};
    lt_arena_init(&g.arena);
    lt_map_init(&g.run_by_id);
    const struct lt_log_list *logs = g.options->logs == NULL ? &list : g.options->logs;
    int code = g.options->logs == NULL ? lt_log_find(data_dir, session_id, &list, error) : LITMUS_OK;
    if (code == LITMUS_OK && logs->count == 0) code = lt_fail(error, LITMUS_ENOENT, 0, "no log of session %s in %s/events", session_id, data_dir);
    if (code == LITMUS_OK) code = open_sources(&g, logs, error);
    if (code == LITMUS_OK) code = find_cuts(&g, error);
    if (code == LITMUS_OK) code = merge(&g, error);
    if (code == LITMUS_OK) code = settle_all(&g, error);
    for (size_t i = 0; i < g.source_count; i++) {
        out->logs[i].chain_ok = lt_log_reader_chain_ok(g.sources[i].reader);
        lt_log_reader_free(g.sources[i].reader);
    }
    free(g.sources);
    lt_map_release(&g.run_by_id);
    lt_arena_release(&g.arena);
    lt_log_list_release(&list);
    return code;
}

struct lt_gathered_run *lt_gathered_run_new(const struct lt_row *first, const char *session_id) {
    struct lt_gathered_run *run = calloc(1, sizeof *run);
    if (run != NULL) lt_run_init(&run->run, first->run_id, lt_str_of(session_id));
    return run;
}

int lt_gathered_run_fold(struct lt_gathered_run *run, const struct lt_row *row, const char *path, uint32_t source, struct litmus_error *error) {
    if (is_type(row, "run.started") && run->owner_log.p == NULL) run->owner_log = lt_arena_str(&run->run.arena, lt_str_of(path));
    return lt_run_fold(&run->run, row, source, error);
}

void lt_gathered_run_free(struct lt_gathered_run *run) {
    if (run == NULL) return;
    lt_run_release(&run->run);
    free(run);
}

bool lt_gathered_run_outdated(const struct lt_gathered_run *run) {
    return run->materialized && run->late > 0 && run->run.end_found;
}

bool lt_destination_plain(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

/* The characters of names that we give. Readers take others for a pattern, a separator or a column's value, and pass over what begins with . or _ */
bool lt_destination_usable(struct lt_str d) {
    if (d.n < sizeof "runs/.parquet" || d.n >= 1024 || memcmp(d.p, "runs/", 5) != 0) return false;
    size_t folders = 1;
    for (size_t i = 5; i < d.n; i++) {
        bool begins = d.p[i - 1] == '/';
        if (begins ? d.p[i] == '.' || d.p[i] == '_' || d.p[i] == '/' : d.p[i] == '/' && lt_str_ends((struct lt_str){d.p, i}, LT_STR("_ref"))) return false;
        if (d.p[i] == '/') folders++;
        else if (!lt_destination_plain(d.p[i])) return false;
    }
    return folders <= 2 && lt_str_ends(d, LT_STR(".parquet"));
}

void lt_gathering_release(struct lt_gathering *gathering) {
    for (size_t i = 0; i < gathering->run_count; i++) lt_gathered_run_free(gathering->runs[i]);
    for (size_t i = 0; i < gathering->log_count; i++) free(gathering->logs[i].path);
    free(gathering->runs);
    free(gathering->logs);
    *gathering = (struct lt_gathering){0};
}
