/* SPDX-License-Identifier: Apache-2.0 */
#include "base/grow.h"
#include "base/hex.h"
#include "evidence/envelope.h"
#include "evidence/evidence.h"
#include "evidence/report.h"
#include "evidence/statement.h"
#include "log/blob.h"
#include "materialize/attachments.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A member: a file of the data_dir, or bytes. */
struct member {
    struct lt_subject subject; /* its name is in the pack's arena */
    const char *path;          /* NULL: bytes */
    const struct lt_buf *bytes;
};
struct pack {
    const struct lt_dossier *dossier;
    struct lt_arena arena;
    struct member *members;
    size_t count, capacity;
    struct lt_buf report, page, public_key, statement, envelope;
};

static int no_memory(struct litmus_error *error) {
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an evidence file");
}

/* ---- hashes ---- */
static int hash_member(const struct member *m, char out[LT_SHA256_TEXT_BYTES], struct litmus_error *error) {
    unsigned char sum[32];
    if (m->path != NULL) return lt_hash_file(m->path, out, error);
    if (EVP_Digest(m->bytes->p, m->bytes->n, sum, NULL, EVP_sha256(), NULL) != 1) return no_memory(error);
    lt_hex_text(sum, sizeof sum, out);
    return LITMUS_OK;
}

/* ---- what goes in ---- */
static int add_member(struct pack *p, struct lt_str name, const char *path, const struct lt_buf *bytes, struct litmus_error *error) {
    struct member *grown = lt_grow_list(p->members, p->count, &p->capacity, sizeof *grown);
    struct lt_str own = lt_arena_str(&p->arena, name), own_path = lt_arena_str(&p->arena, lt_str_of(path));
    if (grown == NULL) return no_memory(error);
    p->members = grown;
    if (own.p == NULL || (path != NULL && own_path.p == NULL)) return no_memory(error);
    if (!lt_zip_name_ok(own)) return lt_fail(error, LITMUS_EINVAL, 0, "%s cannot stand in an evidence file under that name: rename it to plain letters", own.p);
    struct member *m = &p->members[p->count++];
    *m = (struct member){.subject = {.name = own.p}, .path = own_path.p, .bytes = bytes};
    return hash_member(m, m->subject.sha256, error);
}

static int add_file(struct pack *p, struct lt_str name, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    lt_buf_addf(&path, "%s/%.*s", p->dossier->data_dir, LT_STR_ARG(name));
    int code = path.failed ? no_memory(error) : add_member(p, name, lt_buf_cstr(&path), NULL, error);
    lt_buf_release(&path);
    return code;
}

/* The same content may be attached to several steps. */
static int add_attachment(void *self, const char *path, struct litmus_error *error) {
    struct pack *p = self;
    struct lt_str name = lt_str_of(path + strlen(p->dossier->data_dir) + 1);
    for (size_t i = 0; i < p->count; i++)
        if (lt_str_eq(lt_str_of(p->members[i].subject.name), name)) return LITMUS_OK;
    return add_file(p, name, error);
}

static int add_attachments(struct pack *p, struct litmus_error *error) {
    const struct lt_dossier *d = p->dossier;
    struct lt_buf path;
    lt_buf_init(&path);
    lt_buf_addf(&path, "%s/%.*s", d->data_dir, LT_STR_ARG(d->run->destination));
    int code = path.failed ? no_memory(error) : lt_attachments_each(&d->session, &d->run->run, lt_buf_cstr(&path), add_attachment, p, error);
    lt_buf_release(&path);
    return code;
}

/* Whoever writes it still may write more. */
static int check_finished(const struct lt_dossier *d, struct litmus_error *error) {
    struct lt_str id = d->run->run.run_id;
    if (!d->run->materialized || !lt_destination_usable(d->run->destination))
        return lt_fail(error, LITMUS_EBUSY, 0, "run %.*s has no file yet: wait for its end, or have litmus materialize finish it", LT_STR_ARG(id));
    for (size_t i = 0; i < d->log_count; i++)
        if (d->logs[i].end == LT_LOG_OPEN || d->logs[i].end == LT_LOG_TORN)
            return lt_fail(error, LITMUS_EBUSY, 0, "%s is still being written, and is signed only at its end: wait for the end of the session of run %.*s",
                           d->logs[i].path, LT_STR_ARG(id));
    return LITMUS_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct member *)a)->subject.name, ((const struct member *)b)->subject.name);
}

static int collect(struct pack *p, const struct lt_key *key, struct litmus_error *error) {
    const struct lt_dossier *d = p->dossier;
    char key_id[LT_KEY_ID_BYTES];
    int code = check_finished(d, error);
    for (size_t i = 0; code == LITMUS_OK && i < d->log_count; i++) code = add_file(p, lt_str_of(d->logs[i].path), error);
    if (code == LITMUS_OK) code = add_file(p, d->run->destination, error);
    if (code == LITMUS_OK) code = add_attachments(p, error);
    if (key != NULL) lt_key_public_pem(lt_key_public(key), &p->public_key);
    if (key != NULL) lt_key_id(lt_key_public(key), key_id);
    if (code == LITMUS_OK && p->public_key.failed) code = no_memory(error);
    if (code == LITMUS_OK && key != NULL) code = add_member(p, LT_STR(LT_EVIDENCE_KEY), NULL, &p->public_key, error);
    if (code == LITMUS_OK) code = lt_report_write(d, &p->report, error);
    if (code == LITMUS_OK) code = add_member(p, LT_STR(LT_EVIDENCE_REPORT), NULL, &p->report, error);
    if (code == LITMUS_OK) code = lt_page_write(d, key == NULL ? NULL : key_id, &p->page, error);
    if (code == LITMUS_OK) code = add_member(p, LT_STR(LT_EVIDENCE_PAGE), NULL, &p->page, error);
    if (code == LITMUS_OK) qsort(p->members, p->count, sizeof *p->members, by_name);
    return code;
}

static int state(struct pack *p, const struct lt_key *key, struct litmus_error *error) {
    struct lt_subject *subjects = lt_arena_alloc(&p->arena, p->count * sizeof *subjects);
    if (subjects == NULL) return no_memory(error);
    for (size_t i = 0; i < p->count; i++) subjects[i] = p->members[i].subject;
    int code = lt_statement_write(p->dossier, subjects, p->count, &p->statement, error);
    return code == LITMUS_OK ? lt_envelope_write((struct lt_str){p->statement.p, p->statement.n}, key, &p->envelope, error) : code;
}

/* ---- the file ---- */
static int write_zip(struct pack *p, const char *path, struct litmus_error *error) {
    struct lt_zip *zip = NULL;
    char again[LT_SHA256_TEXT_BYTES];
    int code = lt_zip_new(path, &zip, error);
    if (code != LITMUS_OK) return code;
    code = lt_zip_add_bytes(zip, LT_EVIDENCE_STATEMENT, p->envelope.p, p->envelope.n, error);
    for (size_t i = 0; code == LITMUS_OK && i < p->count; i++) {
        const struct member *m = &p->members[i];
        code = m->path != NULL ? lt_zip_add_file(zip, m->subject.name, m->path, error) : lt_zip_add_bytes(zip, m->subject.name, m->bytes->p, m->bytes->n, error);
    }
    if (code == LITMUS_OK) code = lt_zip_close(zip, error);
    else lt_zip_free(zip);
    for (size_t i = 0; code == LITMUS_OK && i < p->count; i++) { /* litmus archive may have put another in its place */
        code = hash_member(&p->members[i], again, error);
        if (code == LITMUS_OK && strcmp(again, p->members[i].subject.sha256) != 0)
            code = lt_fail(error, LITMUS_EBUSY, 0, "%s changed while it was packed: do it again", p->members[i].subject.name);
    }
    return code;
}

static int there_already(const char *path, struct litmus_error *error) {
    return lt_fail(error, LITMUS_EBUSY, EEXIST, "%s is there already: take another name, or --force to replace it", path);
}

/* `hidden` gets its name; what another puts there meanwhile is not replaced. */
static int give_name(const char *hidden, const char *folder, const char *path, bool force, struct litmus_error *error) {
    int code = lt_io_sync_file(&lt_io_os, hidden, error);
    if (code != LITMUS_OK) return code;
    bool named = force ? rename(hidden, path) == 0 : link(hidden, path) == 0;
    if (!named && !force && errno != EEXIST && access(path, F_OK) != 0) named = rename(hidden, path) == 0; /* no links there */
    if (!named) return errno == EEXIST ? there_already(path, error) : lt_fail_os(error, errno, "rename to", path);
    return lt_io_sync_dir(&lt_io_os, folder, error);
}

static int write_file(struct pack *p, const char *path, bool force, struct litmus_error *error) {
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    struct lt_buf folder, hidden;
    struct stat st;
    if (!force && lstat(path, &st) == 0) return there_already(path, error);
    lt_buf_init(&folder);
    lt_buf_init(&hidden);
    if (slash == NULL) lt_buf_add_text(&folder, ".");
    else lt_buf_add(&folder, path, slash == path ? 1 : (size_t)(slash - path));
    lt_buf_addf(&hidden, "%s/.%s.%ld.tmp", lt_buf_cstr(&folder), name, (long)getpid());
    int code = folder.failed || hidden.failed ? no_memory(error) : write_zip(p, lt_buf_cstr(&hidden), error);
    if (code == LITMUS_OK) code = give_name(lt_buf_cstr(&hidden), lt_buf_cstr(&folder), path, force, error);
    unlink(lt_buf_cstr(&hidden));
    lt_buf_release(&folder);
    lt_buf_release(&hidden);
    return code;
}

int lt_evidence_pack(const struct lt_dossier *dossier, const struct lt_key *key, const char *path, bool force, struct litmus_error *error) {
    struct pack p = {.dossier = dossier};
    struct lt_buf *const texts[] = {&p.report, &p.page, &p.public_key, &p.statement, &p.envelope};
    lt_arena_init(&p.arena);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) lt_buf_init(texts[i]);
    int code = collect(&p, key, error);
    if (code == LITMUS_OK) code = state(&p, key, error);
    if (code == LITMUS_OK) code = write_file(&p, path, force, error);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) lt_buf_release(texts[i]);
    lt_arena_release(&p.arena);
    free(p.members);
    return code;
}
