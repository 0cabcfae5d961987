/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - an evidence file is unpacked to a folder that is a small data_dir. There everything that the station could
 * prove is proved again, a statement is made anew, and held against the one that came.
 */
#include "base/grow.h"
#include "base/tree.h"
#include "evidence/envelope.h"
#include "evidence/evidence.h"
#include "evidence/statement.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

enum { STATEMENT_BYTES_MAX = 256 << 20 };

struct check {
    struct lt_evidence_check *answer;
    const char *path;
    struct lt_buf folder;
    struct lt_arena arena;
    struct lt_subject *members; /* but for the statement itself; sorted by name in the end */
    size_t count, capacity;
    bool has_statement, has_key;
    struct lt_buf statement; /* made anew */
    struct lt_envelope envelope;
    struct lt_dossier dossier;
};

static int no_memory(const struct check *c, struct litmus_error *error) {
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for %s", c->path);
}

/* `member` NULL: the file as a whole. */
static void __attribute__((format(printf, 4, 5))) find(struct check *c, const char *member, int64_t offset, const char *format, ...) {
    char text[1024];
    struct lt_buf path;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    lt_buf_init(&path);
    lt_buf_add_text(&path, c->path);
    if (member != NULL) lt_buf_addf(&path, "/%s", member);
    c->answer->findings++;
    c->answer->finding(c->answer->self, lt_buf_cstr(&path), offset, text);
    lt_buf_release(&path);
}

/* ---- members ---- */
/* Nothing that a data_dir would obey. */
static bool is_ours(const char *name) {
    static const char *const files[] = {LT_EVIDENCE_STATEMENT, LT_EVIDENCE_KEY, LT_EVIDENCE_REPORT, LT_EVIDENCE_PAGE}, *const folders[] = {"events/", "runs/"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (strcmp(name, files[i]) == 0) return true;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (strncmp(name, folders[i], strlen(folders[i])) == 0) return true;
    return false;
}

static int take_member(void *self, const struct lt_zip_member *member, struct litmus_error *error) {
    struct check *c = self;
    if (!is_ours(member->name)) return lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no evidence file: there is no place in one for %.200s", c->path, member->name);
    if (!member->crc_ok) find(c, member->name, -1, "its bytes have another check sum than the zip file says");
    c->has_key |= strcmp(member->name, LT_EVIDENCE_KEY) == 0;
    if (strcmp(member->name, LT_EVIDENCE_STATEMENT) == 0) {
        c->has_statement = true;
        return LITMUS_OK;
    }
    struct lt_subject *grown = lt_grow_list(c->members, c->count, &c->capacity, sizeof *grown);
    struct lt_str own = lt_arena_str(&c->arena, lt_str_of(member->name));
    if (grown != NULL) c->members = grown;
    if (grown == NULL || own.p == NULL) return no_memory(c, error);
    c->members[c->count].name = own.p;
    memcpy(c->members[c->count++].sha256, member->sha256, sizeof member->sha256);
    return LITMUS_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct lt_subject *)a)->name, ((const struct lt_subject *)b)->name);
}

static int unpack(struct check *c, struct litmus_error *error) {
    int code = lt_zip_unpack(c->path, lt_buf_cstr(&c->folder), take_member, c, error);
    if (code != LITMUS_OK) return code;
    if (c->count > 1) qsort(c->members, c->count, sizeof *c->members, by_name);
    return c->has_statement ? LITMUS_OK : lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no evidence file: it has no " LT_EVIDENCE_STATEMENT, c->path);
}

/* ---- the statement ---- */
static int read_envelope(struct check *c, struct litmus_error *error) {
    struct litmus_error why = {0};
    struct lt_buf path, text;
    lt_buf_init(&path);
    lt_buf_init(&text);
    lt_path_join(&path, lt_buf_cstr(&c->folder), LT_EVIDENCE_STATEMENT);
    int code = path.failed ? no_memory(c, error) : lt_io_read_file(path.p, STATEMENT_BYTES_MAX, &text, error);
    if (code == LITMUS_OK && lt_envelope_read((struct lt_str){text.p, text.n}, &c->envelope, &why) != LITMUS_OK)
        code = lt_fail(error, why.code, 0, "%s/" LT_EVIDENCE_STATEMENT ": %s", c->path, why.text);
    lt_buf_release(&path);
    lt_buf_release(&text);
    return code;
}

static void check_trust(struct check *c, const unsigned char public_key[LT_KEY_PUBLIC_BYTES]) {
    struct lt_evidence_check *a = c->answer;
    lt_key_id(public_key, a->key_id);
    a->signature = !lt_envelope_holds(&c->envelope, public_key) || strcmp(c->envelope.key_id, a->key_id) != 0 ? LT_SIGNATURE_WRONG
                       : lt_keyring_find(a->keys, public_key) != NULL ? LT_SIGNATURE_KNOWN : LT_SIGNATURE_UNKNOWN;
    if (a->signature == LT_SIGNATURE_WRONG) find(c, LT_EVIDENCE_STATEMENT, -1, "key %s did not sign this statement: it was changed after it was signed", a->key_id);
    else if (a->signature == LT_SIGNATURE_UNKNOWN && a->keys->count > 0)
        find(c, LT_EVIDENCE_STATEMENT, -1, "is signed by key %s, which is not known here: if you trust it, name its .pub with --key", a->key_id);
}

static void check_signature(struct check *c) {
    unsigned char public_key[LT_KEY_PUBLIC_BYTES];
    struct lt_buf path;
    struct litmus_error why = {0};
    lt_buf_init(&path);
    lt_path_join(&path, lt_buf_cstr(&c->folder), LT_EVIDENCE_KEY);
    c->answer->signature = LT_SIGNATURE_NONE;
    if (!c->envelope.is_signed && c->has_key) find(c, LT_EVIDENCE_STATEMENT, -1, "is not signed, but the key that was to sign it is there");
    else if (!c->envelope.is_signed && c->answer->want_signed) find(c, LT_EVIDENCE_STATEMENT, -1, "is not signed");
    else if (c->envelope.is_signed && lt_key_public_read(lt_buf_cstr(&path), public_key, &why) == LITMUS_OK) check_trust(c, public_key);
    else if (c->envelope.is_signed) {
        c->answer->signature = LT_SIGNATURE_WRONG;
        find(c, LT_EVIDENCE_KEY, -1, "there is no public key to hold the signature against");
    }
    lt_buf_release(&path);
}

/* Which run it is about. */
static bool read_ids(const struct check *c, char run_id[64], char session_id[64]) {
    yyjson_doc *doc = yyjson_read(c->envelope.payload.p, c->envelope.payload.n, 0);
    yyjson_val *run = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "predicate"), "run");
    const char *id = yyjson_get_str(yyjson_obj_get(run, "run_id")), *session = yyjson_get_str(yyjson_obj_get(run, "session_id"));
    bool ok = id != NULL && session != NULL && id[0] != '\0' && session[0] != '\0' && strlen(id) < 64 && strlen(session) < 64;
    if (ok) {
        snprintf(run_id, 64, "%s", id);
        snprintf(session_id, 64, "%s", session);
    }
    yyjson_doc_free(doc);
    return ok;
}

static void tell_difference(void *self, const char *name, const char *text) {
    find(self, name == NULL ? LT_EVIDENCE_STATEMENT : name, -1, "%s", text);
}

static int compare(struct check *c, struct litmus_error *error) {
    int code = lt_statement_write(&c->dossier, c->members, c->count, &c->statement, error);
    struct litmus_error why = {0};
    if (code != LITMUS_OK) return code;
    code = lt_statement_compare((struct lt_str){c->envelope.payload.p, c->envelope.payload.n}, (struct lt_str){c->statement.p, c->statement.n}, tell_difference, c, &why);
    if (code == LITMUS_EDAMAGED) find(c, LT_EVIDENCE_STATEMENT, -1, "%s", why.text);
    return code == LITMUS_ENOMEM ? no_memory(c, error) : LITMUS_OK;
}

/* ---- the files ---- */
static void tell_logs(struct check *c) {
    struct lt_evidence_check *a = c->answer;
    struct lt_buf path;
    lt_buf_init(&path);
    a->logs = (int64_t)c->dossier.log_count;
    a->events = c->dossier.events;
    for (size_t i = 0; a->log != NULL && i < c->dossier.log_count; i++) {
        struct lt_proved_log log = c->dossier.logs[i];
        log.path = lt_path_join(&path, c->path, log.path);
        a->log(a->self, &log);
    }
    lt_buf_release(&path);
}

/* A session has few logs, and they come by name, not by path. */
static bool is_log_of(const struct lt_dossier *d, const char *name) {
    for (size_t i = 0; i < d->log_count; i++)
        if (strcmp(name, d->logs[i].path) == 0) return true;
    return false;
}

/* What is neither the run's file nor a log of its session was held against nothing. An attachment has its hash for a name. */
static void check_members(struct check *c) {
    const struct lt_dossier *d = &c->dossier;
    for (size_t i = 0; i < c->count; i++) {
        const char *name = c->members[i].name;
        if (strchr(name, '/') == NULL || strstr(name, "_ref/") != NULL || lt_str_eq(lt_str_of(name), d->run->destination)) continue;
        if (!is_log_of(d, name))
            find(c, name, -1, "is neither the run's file nor a log of its session: nothing proves it");
    }
}

static int check_files(struct check *c, struct litmus_error *error) {
    struct lt_query *query = NULL;
    char session_id[64];
    struct lt_evidence_check *a = c->answer;
    struct litmus_error why = {0};
    const char *folder = lt_buf_cstr(&c->folder);
    if (!read_ids(c, a->run_id, session_id)) {
        find(c, LT_EVIDENCE_STATEMENT, -1, "does not say which run it is about");
        return LITMUS_OK;
    }
    int code = lt_query_open(folder, &query, error);
    if (code != LITMUS_OK) return code;
    code = lt_dossier_load(folder, query, session_id, a->run_id, a->keys, a->want_signed, &c->dossier, &why);
    for (size_t i = 0; i < c->dossier.finding_count; i++) find(c, c->dossier.findings[i].path, c->dossier.findings[i].offset, "%s", c->dossier.findings[i].text);
    tell_logs(c);
    lt_query_free(query);
    if (code == LITMUS_ENOENT || code == LITMUS_EDAMAGED) find(c, LT_EVIDENCE_STATEMENT, -1, "%s", why.text);
    else if (code != LITMUS_OK) return lt_fail(error, code, why.os_errno, "%s", why.text);
    if (code != LITMUS_OK) return LITMUS_OK;
    snprintf(a->outcome, sizeof a->outcome, "%s", c->dossier.sum.outcome);
    if (!c->dossier.run->materialized) find(c, NULL, -1, "its logs do not say that the run has a file");
    check_members(c);
    return compare(c, error);
}

/* ---- */
static int make_folder(struct check *c, struct litmus_error *error) {
    const char *above = getenv("TMPDIR");
    lt_buf_addf(&c->folder, "%s/litmus-verify-XXXXXX", above == NULL || above[0] == '\0' ? "/tmp" : above);
    lt_buf_cstr(&c->folder);
    if (c->folder.failed) return no_memory(c, error);
    if (mkdtemp(c->folder.p) != NULL) return LITMUS_OK;
    int code = lt_fail_os(error, errno, "make the folder", c->folder.p);
    lt_buf_clear(&c->folder);
    return code;
}

int lt_evidence_check(const char *path, struct lt_evidence_check *answer, struct litmus_error *error) {
    struct check c = {.answer = answer, .path = path};
    lt_buf_init(&c.folder);
    lt_buf_init(&c.statement);
    lt_arena_init(&c.arena);
    int code = make_folder(&c, error);
    if (code == LITMUS_OK) code = unpack(&c, error);
    if (code == LITMUS_OK) code = read_envelope(&c, error);
    if (code == LITMUS_OK) check_signature(&c);
    if (code == LITMUS_OK) code = check_files(&c, error);
    if (c.folder.n > 0) lt_tree_remove(&lt_io_os, lt_buf_cstr(&c.folder), "");
    lt_dossier_release(&c.dossier);
    lt_envelope_release(&c.envelope);
    lt_buf_release(&c.folder);
    lt_buf_release(&c.statement);
    lt_arena_release(&c.arena);
    free(c.members);
    return code;
}
