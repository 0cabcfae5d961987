/* SPDX-License-Identifier: Apache-2.0 */
#include "prove/proof.h"

#include "accumulate/gather.h"
#include "base/tree.h"
#include "log/blob.h"
#include "materialize/parquet.h"
#include "materialize/range_lock.h"
#include "query/lake.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void lt_proof_init(struct lt_proof *proof, const struct lt_proof_options *options) {
    *proof = (struct lt_proof){.options = *options};
    lt_links_init(&proof->links);
    lt_claims_init(&proof->claims);
    lt_buf_init(&proof->file);
    lt_buf_init(&proof->expected);
    lt_buf_init(&proof->path);
    lt_arena_init(&proof->arena);
    lt_map_init(&proof->told);
    lt_map_init(&proof->read);
    lt_map_init(&proof->refusals);
    lt_map_init(&proof->chains);
    lt_map_init(&proof->sessions);
}

void lt_proof_release(struct lt_proof *proof) {
    lt_log_index_free(proof->index);
    lt_links_release(&proof->links);
    lt_claims_release(&proof->claims);
    lt_buf_release(&proof->file);
    lt_buf_release(&proof->expected);
    lt_buf_release(&proof->path);
    lt_map_release(&proof->told);
    lt_map_release(&proof->read);
    lt_map_release(&proof->refusals);
    lt_map_release(&proof->chains);
    lt_map_release(&proof->sessions);
    lt_arena_release(&proof->arena);
}

static void remember(struct lt_proof *proof, struct lt_map *map, const char *key) {
    struct lt_str own = lt_arena_str(&proof->arena, lt_str_of(key));
    if (own.p != NULL) (void)lt_map_put(map, own, 0, 1);
}

void lt_proof_finding(struct lt_proof *proof, enum lt_finding_kind kind, const char *path, int64_t offset, const char *format, ...) {
    char what[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    proof->findings++;
    remember(proof, &proof->told, path);
    size_t n = strlen(path);
    const char *text = n > 0 && strncmp(what, path, n) == 0 && what[n] == ' ' ? what + n + 1 : what; /* named already */
    proof->options.finding(proof->options.self, kind, path, offset, text);
}

/* A log is opened for its events and for its runs: its word is the same. */
static void tell_refused(struct lt_proof *proof, const char *path, const struct litmus_error *why) {
    if (lt_map_get(&proof->refusals, lt_str_of(why->text), 0) != LT_MAP_NONE) return;
    remember(proof, &proof->refusals, why->text);
    remember(proof, &proof->told, path); /* nor can the catalog read it */
    if (proof->unread++ == 0) proof->refused = *why;
    if (proof->options.unread != NULL) proof->options.unread(proof->options.self, path, why->text);
}

void lt_proof_unread(struct lt_proof *proof, enum lt_finding_kind kind, const char *path, int64_t offset, const struct litmus_error *why, const char *more) {
    if (lt_error_is_refusal(why)) tell_refused(proof, path, why);
    else lt_proof_finding(proof, kind, path, offset, "%s%s", why->text, more);
}

/* Logs may lie in a folder that cannot be listed: what the others lack is no finding. */
static void pass_folder(void *self, const char *folder, const struct litmus_error *why) {
    struct lt_proof *proof = self;
    proof->logs_unlisted = true;
    lt_proof_unread(proof, LT_FINDING_LOG, folder, -1, why, "");
}

/* `code`, unless something was not looked at. */
static int end_of(struct lt_proof *proof, int code, struct litmus_error *error) {
    const struct litmus_error *first = &proof->refused;
    proof->ended = code == LITMUS_OK;
    if (code != LITMUS_OK || first->code == LITMUS_OK) return code;
    if (proof->options.unread != NULL) /* named already */
        return lt_fail(error, first->code, first->os_errno, "not everything could be looked at: the system refused %lld file%s or folder%s", (long long)proof->unread,
                       proof->unread == 1 ? "" : "s", proof->unread == 1 ? "" : "s");
    return lt_fail(error, first->code, first->os_errno, "not everything could be looked at: %s", first->text);
}

static int prove_session(struct lt_proof *proof, const char *session_id, const char *run_id, struct litmus_error *error) {
    struct lt_log_list list;
    proof->run_id = run_id;
    remember(proof, &proof->sessions, session_id);
    int code = lt_log_index_find(proof->index, proof->options.data_dir, session_id, pass_folder, proof, &list, error);
    bool all_unlisted = list.count == 0 && proof->logs_unlisted;
    proof->session_logs = &list;
    proof->session_key_sought = false;
    for (size_t i = 0; code == LITMUS_OK && i < list.count; i++) lt_proof_log(proof, list.files[i].path);
    if (code == LITMUS_OK && !all_unlisted) code = lt_proof_files(proof, session_id, error);
    proof->session_logs = NULL;
    proof->session_key_sought = false; /* a log that is looked at on its own is not of this session */
    lt_log_list_release(&list);
    if (code == LITMUS_OK && !proof->with_links) code = lt_proof_channels(proof, session_id, error);
    proof->run_id = NULL;
    return code;
}

/* The logs that are named and were not met: the names of their files, each ended by a NUL. */
static void list_unmet(const struct lt_links *links, struct lt_buf *names) {
    struct lt_map met;
    lt_map_init(&met);
    lt_buf_clear(names);
    for (size_t i = 0; i < links->log_count; i++) (void)lt_map_put(&met, lt_str_of(links->logs[i].last.identity), 0, 1);
    for (size_t i = 0; i < links->count; i++) {
        if (lt_map_get(&met, lt_str_of(links->links[i].head.identity), 0) != LT_MAP_NONE) continue;
        lt_buf_addf(names, "%s" LT_LOG_SUFFIX, links->links[i].head.identity);
        lt_buf_add_char(names, '\0');
    }
    lt_map_release(&met);
    if (names->failed) lt_buf_clear(names); /* the last one may have no end: lt_links_check tells of what is left */
}

/* They may lie where we cannot look. */
static void excuse_unlisted(struct lt_proof *proof) {
    struct lt_buf names;
    lt_buf_init(&names);
    list_unmet(&proof->links, &names);
    for (size_t at = 0; at < names.n; at += strlen(names.p + at) + 1) lt_links_add_unread(&proof->links, names.p + at);
    lt_buf_release(&names);
}

/* Or they came, or got their first event, after they were looked for, and before who names them was. true: one is met now. */
static bool look_for(struct lt_proof *proof, const struct lt_buf *names) {
    struct lt_log_list list;
    struct lt_map unmet;
    size_t before = proof->links.log_count;
    lt_map_init(&unmet);
    for (size_t at = 0; at < names->n; at += strlen(names->p + at) + 1) (void)lt_map_put(&unmet, lt_str_of(names->p + at), 0, 1);
    int code = lt_log_find_readable(proof->options.data_dir, NULL, pass_folder, proof, &list, NULL);
    for (size_t i = 0; code == LITMUS_OK && i < list.count; i++) {
        const char *path = list.files[i].path;
        if (lt_map_get(&unmet, lt_str_of(strrchr(path, '/') + 1), 0) == LT_MAP_NONE || lt_map_get(&proof->told, lt_str_of(path), 0) != LT_MAP_NONE) continue;
        bool counted = lt_map_get(&proof->read, lt_str_of(path), 0) != LT_MAP_NONE; /* when nothing was in it */
        proof->logs -= counted;
        proof->unsealed -= counted;
        lt_proof_log(proof, path);
    }
    lt_log_list_release(&list);
    lt_map_release(&unmet);
    return proof->links.log_count > before;
}

static void look_for_unmet(struct lt_proof *proof) {
    enum { LOOKS = 3 };
    struct lt_buf names;
    lt_buf_init(&names);
    bool again = proof->links.of_all;
    for (int i = 0; again && i < LOOKS; i++) {
        list_unmet(&proof->links, &names);
        again = names.n > 0 && look_for(proof, &names);
    }
    lt_buf_release(&names);
}

static void tell_link(void *self, const char *path, const char *text) {
    lt_proof_finding(self, LT_FINDING_LINK, path, -1, "%s", text);
}

static int check_links(struct lt_proof *proof, struct litmus_error *error) {
    look_for_unmet(proof);
    if (proof->logs_unlisted) excuse_unlisted(proof);
    return lt_links_check(&proof->links, tell_link, proof, error);
}

int lt_proof_session(struct lt_proof *proof, const char *session_id, const char *run_id, struct litmus_error *error) {
    struct litmus_error why = {0};
    int code = prove_session(proof, session_id, run_id, &why);
    if (code == LITMUS_OK) code = check_links(proof, &why);
    bool refused = code != LITMUS_OK && lt_error_is_refusal(&why);
    if (refused) tell_refused(proof, session_id, &why);
    else if (code != LITMUS_OK) lt_fail_with(error, &why);
    return end_of(proof, refused ? LITMUS_OK : code, error);
}

/* ---- everything ---- */
static void check_session(void *self, const char *session_id) {
    struct litmus_error error = {0};
    if (prove_session(self, session_id, NULL, &error) != LITMUS_OK) lt_proof_unread(self, LT_FINDING_LOG, session_id, -1, &error, "");
}

static bool is_named(struct lt_proof *proof, const char *path, const char *session_id, const char *run_id) {
    struct lt_gathering session;
    struct lt_gather_options options = {.run_id = run_id};
    struct litmus_error why = {0};
    int code = lt_gather_session(proof->options.data_dir, session_id, &options, &session, &why);
    bool named = code != LITMUS_OK && code != LITMUS_ENOENT; /* told below, or no wonder */
    if (named) lt_proof_unread(proof, LT_FINDING_LOG, session_id, -1, &why, "");
    for (size_t i = 0; !named && i < session.run_count; i++)
        named = session.runs[i]->materialized &&
                (path == NULL || lt_str_eq(session.runs[i]->destination, lt_str_of(path + strlen(proof->options.data_dir) + 1)));
    lt_gathering_release(&session);
    return named;
}

bool lt_proof_wait(struct lt_proof *proof, const char *session_id) {
    struct litmus_error why = {0};
    int fd = lt_range_lock_find(proof->options.data_dir);
    int code = lt_range_lock_within(fd, "session", lt_str_of(session_id), proof->waited_enough ? 0 : LT_RANGE_PATIENCE_MS, &why);
    if (fd >= 0) close(fd);
    if (code == LITMUS_OK) return true;
    proof->waited_enough = true;
    tell_refused(proof, session_id, &why);
    return false;
}

/* Whoever finishes the session gives a run's file its name before a log says so. */
bool lt_proof_named(struct lt_proof *proof, const char *path, const char *session_id, const char *run_id) {
    if (is_named(proof, path, session_id, run_id)) return true;
    return !lt_proof_wait(proof, session_id) || is_named(proof, path, session_id, run_id);
}

/* What is finished meanwhile is no find: the logs are asked again. */
void lt_proof_accounted(struct lt_proof *proof, const char *path, const char *session_id, const char *run_id) {
    if (lt_map_get(&proof->read, lt_str_of(path), 0) != LT_MAP_NONE || lt_map_get(&proof->told, lt_str_of(path), 0) != LT_MAP_NONE) return;
    if (!lt_proof_named(proof, path, session_id, run_id))
        lt_proof_finding(proof, LT_FINDING_FOREIGN, path, -1, "no log of its session says that run %.36s has this file: it was put there, or made from something else", run_id);
}

static void check_orphan(struct lt_proof *proof, const struct lt_table *runs, int64_t row) {
    struct lt_log_list list = {0};
    char session[64], run_id[64];
    struct lt_str id = lt_table_str(runs, lt_table_find(runs, "session_id"), row), path = lt_table_str(runs, lt_table_find(runs, "file_path"), row);
    snprintf(session, sizeof session, "%.*s", LT_STR_ARG(id));
    snprintf(run_id, sizeof run_id, "%.*s", LT_STR_ARG(lt_table_str(runs, lt_table_find(runs, "test_run_id"), row)));
    struct litmus_error why = {0};
    if (lt_map_get(&proof->sessions, id, 0) != LT_MAP_NONE && lt_map_get(&proof->read, path, 0) != LT_MAP_NONE) return; /* its log names it */
    bool known = session[0] != '\0' && (lt_log_find(proof->options.data_dir, session, &list, &why) != LITMUS_OK || list.count > 0);
    if (why.code != LITMUS_OK) lt_proof_unread(proof, LT_FINDING_LOG, session, -1, &why, "");
    lt_log_list_release(&list);
    struct lt_str own = path.p == NULL ? LT_STR_NULL : lt_arena_str(&proof->arena, path);
    if (own.p == NULL || access(own.p, F_OK) != 0) return;
    if (!known) lt_proof_finding(proof, LT_FINDING_FOREIGN, own.p, -1, "there is no log of its session to hold it against");
    else if (why.code == LITMUS_OK) lt_proof_accounted(proof, own.p, session, run_id);
}

static bool tell_damaged(void *self, const char *path, const char *reason) {
    struct lt_proof *proof = self;
    const char *whole = lt_path_join(&proof->path, proof->options.data_dir, path);
    if (lt_map_get(&proof->told, lt_str_of(whole), 0) == LT_MAP_NONE) lt_proof_finding(proof, LT_FINDING_FOREIGN, whole, -1, "%s", reason);
    return true;
}

/* Listings count such a run once; who reads the folder with a glob counts each file. The file that its log names stays, unless each is named by one: no
 * run is of two sessions. */
static bool tell_copy(void *self, const char *path, const char *other, const char *run_id) {
    struct lt_proof *proof = self;
    bool other_named = lt_map_get(&proof->read, lt_str_of(lt_path_join(&proof->path, proof->options.data_dir, other)), 0) != LT_MAP_NONE;
    const char *whole = lt_path_join(&proof->path, proof->options.data_dir, path);
    if (lt_map_get(&proof->read, lt_str_of(whole), 0) == LT_MAP_NONE)
        lt_proof_finding(proof, LT_FINDING_COPY, whole, -1, "holds run %.8s, as %s does: a glob over runs/ counts it twice; move one of them elsewhere", run_id, other);
    else if (other_named)
        lt_proof_finding(proof, LT_FINDING_LOG, whole, -1, "holds run %.8s, as %s does, and logs of two sessions say so: one of them was put there", run_id, other);
    return true;
}

/* The logs as the folders have them: the list of sessions came from the catalog, which may have been changed. What stands among them and belongs to no
 * session is told, too: it may have been a log. */
static int check_strangers(struct lt_proof *proof, struct litmus_error *error) {
    struct lt_log_list list;
    int code = lt_log_find_readable(proof->options.data_dir, NULL, pass_folder, proof, &list, error);
    if (code != LITMUS_OK) return code;
    for (size_t i = 0; i < list.count; i++) {
        const char *path = list.files[i].path;
        struct stat st;
        const char *session = list.files[i].session;
        bool named = session[0] != '\0';
        if (lt_map_get(&proof->read, lt_str_of(path), 0) != LT_MAP_NONE || lstat(path, &st) != 0 || (!named && lt_log_life(path, NULL) == LT_LIFE_WRITING)) continue;
        int64_t before = proof->findings;
        if (named && lt_map_get(&proof->sessions, lt_str_of(session), 0) == LT_MAP_NONE) check_session(proof, session);
        else lt_proof_log(proof, path); /* made since its session was looked at */
        if (proof->findings == before && !named) lt_proof_finding(proof, LT_FINDING_LOG, path, -1, "is no log: it has no session; move it elsewhere");
    }
    lt_log_list_release(&list);
    return LITMUS_OK;
}

static void pass_runs(void *self, const char *folder, const struct litmus_error *why) {
    lt_proof_unread(self, LT_FINDING_FOREIGN, folder, -1, why, "");
}

/* What is said of a file already is not said again by its row. */
static void tell_catalog(void *self, const char *path, const char *what) {
    struct lt_proof *proof = self;
    const char *whole = path[0] == '/' ? path : lt_path_join(&proof->path, proof->options.data_dir, path);
    if (whole == path) lt_proof_finding(proof, LT_FINDING_CATALOG, path, -1, "%s; litmus reindex makes it anew", what);
    else if (lt_map_get(&proof->told, lt_str_of(whole), 0) == LT_MAP_NONE)
        lt_proof_finding(proof, LT_FINDING_CATALOG, whole, -1, "the catalog %s; litmus reindex makes it anew", what);
}

static void tell_lake(void *self, const char *path, const char *what, bool stray) {
    if (stray) lt_proof_finding(self, LT_FINDING_FOREIGN, path, -1, "%s", what);
    else lt_proof_finding(self, LT_FINDING_LAKE, path, -1, "%s; litmus doctor --mend makes the lake anew", what);
}

/* What the system refuses of it keeps nothing else from being looked at. */
static int unless_refused(struct lt_proof *proof, int code, const char *name, const struct litmus_error *why, struct litmus_error *error) {
    if (code == LITMUS_OK) return code;
    if (!lt_error_is_refusal(why)) return lt_fail_with(error, why);
    tell_refused(proof, lt_path_join(&proof->path, proof->options.data_dir, name), why);
    return LITMUS_OK;
}

/* The run file may have come since its session was looked at: the logs are asked again. */
static bool is_named_now(struct lt_proof *proof, const char *run_file) {
    static const char *const columns[] = {"session_id", "run_id"};
    struct lt_table rows;
    char ids[2][64];
    lt_table_init(&rows);
    bool there = lt_parquet_read_run(run_file, columns, 2, &rows, NULL) == LITMUS_OK && lt_table_rows(&rows) > 0;
    for (size_t i = 0; i < 2; i++) {
        int64_t column = there ? lt_table_find(&rows, columns[i]) : -1;
        struct lt_str id = column < 0 ? LT_STR_NULL : lt_table_str(&rows, column, 0);
        there = there && id.p != NULL && id.n < sizeof ids[i];
        snprintf(ids[i], sizeof ids[i], "%.*s", there ? (int)id.n : 0, there ? id.p : "");
    }
    lt_table_release(&rows);
    return there && lt_proof_named(proof, run_file, ids[0], ids[1]);
}

/* Beside a run file as which a log names it, in that one's `_ref` folder, and named as what is attached is. */
static bool is_attachment(struct lt_proof *proof, const char *whole) {
    const struct lt_str end = LT_STR("_ref");
    const char *name = strrchr(whole, '/');
    struct lt_str folder = {whole, (size_t)(name - whole)};
    if (!lt_blob_is_name(lt_str_of(name + 1)) || !lt_str_ends(folder, end)) return false;
    struct lt_buf run_file;
    lt_buf_init(&run_file);
    lt_buf_addf(&run_file, "%.*s.parquet", (int)(folder.n - end.n), whole);
    bool named = lt_map_get(&proof->read, lt_str_of(lt_buf_cstr(&run_file)), 0) != LT_MAP_NONE || is_named_now(proof, lt_buf_cstr(&run_file));
    lt_buf_release(&run_file);
    return named;
}

/* Readers follow it or not, each as it likes: what it leads to is counted twice, or is none of this data_dir. */
static void tell_if_link(struct lt_proof *proof, const char *path, const struct stat *link) {
    struct stat st;
    const char *whole = lt_path_join(&proof->path, proof->options.data_dir, path);
    if (!S_ISLNK(link->st_mode) || (!lt_str_ends(lt_str_of(path), LT_STR(".parquet")) && (stat(whole, &st) != 0 || !S_ISDIR(st.st_mode)))) return;
    lt_proof_finding(proof, LT_FINDING_FOREIGN, whole, -1, "is a link: some readers follow it, others do not; put the file or folder itself there, or move it elsewhere");
}

static void look_at_root(struct lt_proof *proof, const char *name) {
    struct stat st;
    if (lstat(lt_path_join(&proof->path, proof->options.data_dir, name), &st) == 0) tell_if_link(proof, name, &st);
}

/* Where the catalog looks for no run file, and a glob over runs/ finds one all the same. */
static int look_at_place(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    static const char *const columns[] = {"run_id"};
    struct lt_proof *proof = self;
    struct lt_table rows;
    struct litmus_error why = {0};
    (void)error;
    tell_if_link(proof, path, st);
    if (!S_ISREG(st->st_mode) || !lt_str_ends(lt_str_of(path), LT_STR(".parquet")) || lt_destination_usable(lt_str_of(path))) return LITMUS_OK;
    const char *whole = lt_path_join(&proof->path, proof->options.data_dir, path);
    lt_table_init(&rows);
    int code = lt_parquet_read_run(whole, columns, 1, &rows, &why);
    if (code != LITMUS_OK && lt_error_is_refusal(&why)) lt_proof_unread(proof, LT_FINDING_FOREIGN, whole, -1, &why, "");
    else if (code == LITMUS_OK && (lt_table_find(&rows, "run_id") >= 0 || !is_attachment(proof, whole)))
        lt_proof_finding(proof, LT_FINDING_FOREIGN, whole, -1, "holds a run, and lies where no log has its file: a glob over runs/ counts it; move it elsewhere");
    else if (code != LITMUS_OK && !is_attachment(proof, whole))
        lt_proof_finding(proof, LT_FINDING_FOREIGN, whole, -1, "lies where no log has its file, and cannot be read here: a glob over runs/ may count it; move it elsewhere");
    lt_table_release(&rows);
    return LITMUS_OK;
}

static void add_heads(struct lt_proof *proof) {
    struct litmus_error why = {0};
    const char *heads = lt_path_join(&proof->path, proof->options.data_dir, "heads");
    if (lt_links_add_heads(&proof->links, proof->options.data_dir, &why) != LITMUS_OK)
        lt_proof_unread(proof, LT_FINDING_LINK, heads, -1, &why, "; it is the list of the latest logs: move it elsewhere, and the next one makes it anew");
}

int lt_proof_all(struct lt_proof *proof, struct lt_query *query, struct litmus_error *error) {
    struct lt_table runs;
    struct lt_run_filter every = {.finished_only = true};
    proof->with_links = proof->links.of_all = true;
    if (proof->index == NULL) proof->index = lt_log_index_new(proof->options.data_dir);
    add_heads(proof); /* first: what comes later is in the logs */
    int code = lt_query_sessions(query, check_session, proof, error);
    if (code == LITMUS_OK) code = check_strangers(proof, error);
    if (code == LITMUS_OK) code = lt_proof_channels(proof, NULL, error);
    look_at_root(proof, "runs");
    look_at_root(proof, "lake");
    if (code == LITMUS_OK) code = lt_tree_walk_readable(proof->options.data_dir, "runs", look_at_place, pass_runs, proof, error);
    if (code == LITMUS_OK) code = check_links(proof, error);
    if (code == LITMUS_OK) code = lt_query_runs(query, &every, &runs, error);
    if (code != LITMUS_OK) return code;
    code = lt_query_copies(query, tell_copy, proof, error);
    for (int64_t row = 0; code == LITMUS_OK && row < lt_table_rows(&runs); row++) check_orphan(proof, &runs, row);
    lt_table_release(&runs);
    if (code == LITMUS_OK) code = lt_query_damaged(query, tell_damaged, proof, error);
    struct litmus_error why = {0};
    if (code == LITMUS_OK) code = unless_refused(proof, lt_query_check_catalog(query, tell_catalog, proof, &why), "catalog.sqlite", &why, error);
    lt_error_clear(&why);
    if (code == LITMUS_OK) code = unless_refused(proof, lt_lake_check(query, tell_lake, proof, &why), "lake", &why, error);
    return end_of(proof, code, error);
}
