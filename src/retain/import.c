/* SPDX-License-Identifier: Apache-2.0
 *
 * Taken along: named only, under the session's lock. Applied: copied to staging/, folded there, listed, moved.
 */
#include "retain/import.h"

#include "accumulate/gather.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/grow.h"
#include "base/hex.h"
#include "base/json_text.h"
#include "base/tree.h"
#include "litmus.h"
#include "log/heads.h"
#include "log/index.h"
#include "log/layout.h"
#include "materialize/attachments.h"
#include "materialize/changeset.h"
#include "materialize/materialize.h"
#include "materialize/parquet.h"
#include "materialize/own_log.h"
#include "materialize/range_lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BATCH_BYTES = 256 << 20 };

struct coming {
    struct lt_incoming_session *session; /* borrowed from incoming */
    int64_t logs, runs, files, bytes;
    bool damaged, unsealed;
    bool unfinished; /* a run has no file, or there is more to say of one */
    struct lt_buf described; /* JSON of its logs, and of its runs */
    struct lt_buf runs_described;
};

struct lt_import {
    char *data_dir, *from;
    char *staging; /* folder in which the change is made ready */
    const char *fresh; /* folder in which its files are: staging, or `from` in a dry run */
    bool dry;
    int lock_fd, staging_fd;
    struct lt_incoming incoming;
    struct lt_materializer *materializer;
    struct lt_log_index *index;
    struct coming all[LT_IMPORT_SESSIONS_MAX]; /* taken along */
    size_t all_count;
    struct coming *sessions; /* those of them that come in one change */
    size_t count;
    int64_t bytes;
    struct lt_changeset changes;
    struct lt_buf names;   /* stamps of run files that are locked, a line each */
    unsigned char (*keys)[LT_KEY_PUBLIC_BYTES];
    size_t key_count, key_capacity;
};

static int out_of_memory(struct litmus_error *error) {
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for an import");
}

/* ---- the two folders ---- */

static bool exists(const char *folder, const char *name) {
    struct lt_buf path;
    struct stat st;
    lt_buf_init(&path);
    bool there = stat(lt_path_join(&path, folder, name), &st) == 0;
    lt_buf_release(&path);
    return there;
}

static int check_folders(const char *data_dir, const char *from, struct litmus_error *error) {
    struct stat here, there;
    if (stat(from, &there) != 0) return lt_fail_os(error, errno, "look at", from);
    if (!exists(from, "litmus-format") && !exists(from, "events")) {
        if (exists(from, "data/events")) return lt_fail(error, LITMUS_EINVAL, 0, "%s is no data_dir, but holds one: name %s/data", from, from);
        return lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no data_dir: it has neither litmus-format nor events/", from);
    }
    int code = lt_data_dir_check(from, error);
    if (code == LITMUS_OK) code = lt_data_dir_open(data_dir, error);
    if (code == LITMUS_OK && stat(data_dir, &here) == 0 && here.st_dev == there.st_dev && here.st_ino == there.st_ino)
        code = lt_fail(error, LITMUS_EINVAL, 0, "%s is this data_dir itself: name another one", from);
    if (code == LITMUS_OK && exists(from, LT_CHANGES))
        code = lt_fail(error, LITMUS_EBUSY, 0, "a prune or an import was broken off in %s: litmus runs -d %s finishes it, then import again", from, from);
    return code;
}

int lt_import_new(const char *data_dir, const char *from, struct lt_query *here, bool dry, struct lt_import **out, struct litmus_error *error) {
    *out = NULL;
    int code = check_folders(data_dir, from, error);
    if (code != LITMUS_OK) return code;
    struct lt_import *p = calloc(1, sizeof *p);
    struct lt_buf path;
    if (p == NULL) return out_of_memory(error);
    *p = (struct lt_import){.dry = dry, .lock_fd = -1, .staging_fd = -1, .data_dir = realpath(data_dir, NULL), .from = realpath(from, NULL)};
    lt_buf_init(&path);
    if (p->data_dir == NULL || p->from == NULL) code = lt_fail_os(error, errno, "find", p->from == NULL ? from : data_dir);
    if (code == LITMUS_OK && !dry) code = lt_changeset_begin(p->data_dir, &p->staging_fd, error);
    if (code == LITMUS_OK) code = lt_materializer_new(data_dir, NULL, &p->materializer, error);
    if (code == LITMUS_OK) p->lock_fd = lt_range_lock_open(p->data_dir);
    if (code == LITMUS_OK) p->staging = strdup(lt_path_join(&path, p->data_dir, LT_STAGING));
    p->fresh = dry ? p->from : p->staging;
    if (code == LITMUS_OK) {
        p->index = lt_log_index_new(p->data_dir);
        lt_materializer_use_index(p->materializer, p->index);
    }
    if (code == LITMUS_OK && p->staging == NULL) code = out_of_memory(error);
    if (code == LITMUS_OK) code = lt_incoming_list(p->data_dir, p->from, here, &p->incoming, error);
    lt_buf_release(&path);
    if (code == LITMUS_OK) *out = p;
    else lt_import_free(p);
    return code;
}

static void unlock_names(struct lt_import *p) {
    const char *text = lt_buf_cstr(&p->names);
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) lt_range_unlock(p->lock_fd, "name", (struct lt_str){text, (size_t)(end - text)});
    lt_buf_clear(&p->names);
}

static void unlock_sessions(struct lt_import *p) {
    unlock_names(p);
    for (size_t i = 0; i < p->count; i++) lt_range_unlock(p->lock_fd, "session", lt_str_of(p->sessions[i].session->id));
}

/* What was made ready is not: the change begins anew. */
static void clear(struct lt_import *p) {
    for (size_t i = 0; i < p->count; i++) {
        struct coming *c = &p->sessions[i];
        lt_buf_release(&c->described);
        lt_buf_release(&c->runs_described);
        c->runs = 0;
        c->damaged = c->unsealed = c->unfinished = false;
    }
    lt_changeset_release(&p->changes);
    lt_changeset_init(&p->changes);
}

static void forget(struct lt_import *p) {
    p->sessions = p->all;
    p->count = p->all_count;
    clear(p);
    p->count = p->all_count = 0;
    p->bytes = 0;
}

void lt_import_free(struct lt_import *p) {
    if (p == NULL) return;
    p->sessions = p->all;
    p->count = p->all_count;
    unlock_sessions(p);
    forget(p);
    if (p->staging_fd >= 0) lt_changeset_end(p->data_dir, p->staging_fd);
    if (p->lock_fd >= 0) close(p->lock_fd);
    lt_materializer_free(p->materializer);
    lt_log_index_free(p->index);
    lt_incoming_release(&p->incoming);
    lt_changeset_release(&p->changes);
    lt_buf_release(&p->names);
    free(p->keys);
    free(p->data_dir);
    free(p->from);
    free(p->staging);
    free(p);
}

const struct lt_incoming *lt_import_incoming(const struct lt_import *p) {
    return &p->incoming;
}

size_t lt_import_keys(const struct lt_import *p, const unsigned char (**keys)[LT_KEY_PUBLIC_BYTES]) {
    *keys = (const unsigned char (*)[LT_KEY_PUBLIC_BYTES])p->keys;
    return p->key_count;
}

/* ---- which ---- */

int lt_import_look(struct lt_import *p, size_t session, enum lt_incoming_verdict *verdict, struct litmus_error *why, struct litmus_error *error) {
    if (lt_import_is_full(p)) return lt_fail(error, LITMUS_ESTATE, 0, "%zu sessions are to come already: apply first", p->all_count);
    struct lt_incoming_session *s = &p->incoming.sessions[session];
    lt_range_lock(p->lock_fd, "session", lt_str_of(s->id));
    int code = lt_incoming_look(&p->incoming, s, verdict, why, error);
    if (code != LITMUS_OK || *verdict != LT_INCOMING_NEW) {
        lt_range_unlock(p->lock_fd, "session", lt_str_of(s->id));
        return code;
    }
    struct coming *c = &p->all[p->all_count++];
    *c = (struct coming){.session = s};
    for (size_t i = 0; i < s->file_count; i++) {
        if (!s->files[i].fresh) continue;
        c->logs += s->files[i].is_log;
        c->files++;
        c->bytes += s->files[i].bytes;
    }
    p->bytes += c->bytes;
    return LITMUS_OK;
}

bool lt_import_is_full(const struct lt_import *p) {
    return p->all_count == LT_IMPORT_SESSIONS_MAX || p->bytes >= BATCH_BYTES;
}

/* ---- made ready: files ---- */

static int stage_folder(const struct lt_import *p, const char *path, struct litmus_error *error) {
    struct lt_buf folder;
    lt_buf_init(&folder);
    lt_buf_addf(&folder, "%s/" LT_STAGING "/%.*s", p->data_dir, (int)(strrchr(path, '/') - path), path);
    int code = folder.failed ? out_of_memory(error) : lt_io_mkdirs_below(&lt_io_os, p->data_dir, folder.p, error);
    lt_buf_release(&folder);
    return code;
}

static int stage_copy(const struct lt_import *p, const char *path, struct litmus_error *error) {
    struct lt_buf from, to;
    lt_buf_init(&from);
    lt_buf_init(&to);
    lt_path_join(&from, p->from, path);
    lt_buf_addf(&to, "%s/" LT_STAGING "/%s", p->data_dir, path);
    int code = from.failed || to.failed ? out_of_memory(error) : stage_folder(p, path, error);
    if (code == LITMUS_OK) code = lt_io_copy_file(&lt_io_os, lt_buf_cstr(&from), lt_buf_cstr(&to), error);
    lt_buf_release(&from);
    lt_buf_release(&to);
    return code;
}

static int add_key(struct lt_import *p, const struct lt_seal *seal, struct litmus_error *error) {
    if (!seal->is_signed) return LITMUS_OK;
    for (size_t i = 0; i < p->key_count; i++)
        if (memcmp(p->keys[i], seal->public_key, sizeof p->keys[i]) == 0) return LITMUS_OK;
    void *keys = lt_grow_list(p->keys, p->key_count, &p->key_capacity, sizeof *p->keys);
    if (keys == NULL) return out_of_memory(error);
    p->keys = keys;
    memcpy(p->keys[p->key_count++], seal->public_key, sizeof *p->keys);
    return LITMUS_OK;
}

/* What is said of a log is read from the copy: the other side may still be at work. */
static int describe_log(struct lt_import *p, struct coming *c, const char *path, struct litmus_error *error) {
    struct lt_log_state state;
    char chain[2 * LT_CHAIN_BYTES + 1];
    int code = lt_log_state_read(path, &state, error);
    if (code != LITMUS_OK) return code;
    c->damaged = c->damaged || state.damaged;
    c->unsealed = c->unsealed || state.end != LT_LOG_SEALED;
    lt_hex_text(state.head.chain, sizeof state.head.chain, chain);
    lt_buf_add_text(&c->described, c->described.n == 0 ? "{\"identity\":" : ",{\"identity\":");
    lt_json_str(&c->described, lt_str_of(state.head.identity));
    lt_buf_addf(&c->described, ",\"rows\":%lld,\"chain\":\"%s\"}", (long long)state.head.rows, chain);
    return c->described.failed ? out_of_memory(error) : add_key(p, &state.seal, error);
}

static int stage_session(struct lt_import *p, struct coming *c, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    int code = LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < c->session->file_count; i++) {
        const struct lt_incoming_file *file = &c->session->files[i];
        if (!file->fresh) continue;
        if (!p->dry) code = stage_copy(p, file->path, error);
        if (code == LITMUS_OK && file->is_log) code = describe_log(p, c, lt_path_join(&path, p->fresh, file->path), error);
    }
    lt_buf_release(&path);
    return code;
}

/* ---- made ready: run files ---- */

/* The session's logs as they are after the change, in the order in which they are then. */
static int list_logs(const struct lt_import *p, const struct coming *c, struct lt_log_list *out, struct litmus_error *error) {
    struct lt_log_list here;
    struct lt_buf path;
    lt_buf_init(&path);
    int code = lt_log_index_find(p->index, p->data_dir, c->session->id, NULL, NULL, &here, error);
    *out = (struct lt_log_list){.files = code == LITMUS_OK ? calloc(here.count + c->session->file_count + 1, sizeof *out->files) : NULL};
    if (code == LITMUS_OK && out->files == NULL) code = out_of_memory(error);
    size_t prefix = strlen(p->data_dir) + 1, k = 0;
    for (size_t i = 0; code == LITMUS_OK && i < c->session->file_count; i++) {
        const struct lt_incoming_file *file = &c->session->files[i];
        if (!file->is_log || !file->fresh) continue;
        while (k < here.count && lt_log_path_order(here.files[k].path + prefix, file->path) < 0) {
            out->files[out->count++] = here.files[k];
            here.files[k++].path = NULL;
        }
        char *copy = strdup(lt_path_join(&path, p->fresh, file->path));
        if (copy == NULL) code = out_of_memory(error);
        else out->files[out->count++].path = copy;
    }
    while (code == LITMUS_OK && k < here.count) {
        out->files[out->count++] = here.files[k];
        here.files[k++].path = NULL;
    }
    lt_log_list_release(&here);
    lt_buf_release(&path);
    return code;
}

/* The name under which the run's file lies here. One that another run has here is changed, and that is on record. */
static int settle_name(struct lt_import *p, const struct lt_gathered_run *run, struct lt_own_log *own, struct lt_buf *name, struct litmus_error *error) {
    char second[LT_ISO_BYTES], run_id[64];
    lt_time_stamp(run->run.started.v, second);
    lt_range_lock(p->lock_fd, "name", lt_str_of(second));
    lt_buf_addf(&p->names, "%s\n", second);
    int code = run->renamed == LT_REVISIONS_MAX ? lt_fail(error, LITMUS_EDAMAGED, 0, "run %.*s has no name after that", LT_STR_ARG(run->run.run_id))
                                         : lt_materializer_settle_name(p->materializer, run, p->staging, name, error);
    if (code != LITMUS_OK || lt_str_eq((struct lt_str){name->p, name->n}, run->destination) || p->dry) return code;
    struct lt_buf payload;
    lt_buf_init(&payload);
    lt_buf_add_text(&payload, "{\"materializer\":\"parquet\",\"destination\":");
    lt_json_str(&payload, (struct lt_str){name->p, name->n});
    lt_buf_addf(&payload, ",\"renamed\":%lld}", (long long)run->renamed + 1);
    snprintf(run_id, sizeof run_id, "%.*s", LT_STR_ARG(run->run.run_id));
    struct litmus_event event = {.event_type = "run.materialized", .run_id = run_id, .payload = lt_buf_cstr(&payload), .payload_bytes = payload.n};
    code = payload.failed ? out_of_memory(error) : lt_own_log_emit(own, &event, NULL, error);
    lt_buf_release(&payload);
    return code;
}

static bool holds(const char *path, const struct lt_buf *bytes) {
    struct lt_buf there;
    lt_buf_init(&there);
    bool same = lt_io_read_file(path, LT_RUN_FILE_BYTES_MAX, &there, NULL) == LITMUS_OK && there.n == bytes->n && memcmp(there.p, bytes->p, bytes->n) == 0;
    lt_buf_release(&there);
    return same;
}

/* An attachment that is missing is told of by the log already, or by litmus verify. */
static void pass_over(void *self, const char *what) {
    (void)self;
    (void)what;
}

static int stage_run_file(struct lt_import *p, const struct lt_gathering *session, const struct lt_gathered_run *run, const char *name, struct litmus_error *error) {
    struct lt_buf path, bytes;
    lt_buf_init(&path);
    lt_buf_init(&bytes);
    int code = lt_run_encode(&run->run, &bytes, error);
    bool there = exists(p->data_dir, name);
    if (code == LITMUS_OK && there && !holds(lt_path_join(&path, p->data_dir, name), &bytes))
        code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s/%s is not what its log says: litmus rebuild -d %s writes it again", p->data_dir, name, p->data_dir);
    if (code == LITMUS_OK && !there) code = stage_folder(p, name, error);
    if (code == LITMUS_OK && !there) code = lt_io_write_hidden(&lt_io_os, lt_path_join(&path, p->staging, name), bytes.p, bytes.n, error);
    if (code == LITMUS_OK && !there) code = lt_attachments_copy(&lt_io_os, session, &run->run, lt_buf_cstr(&path), pass_over, NULL, error);
    lt_buf_release(&path);
    lt_buf_release(&bytes);
    return code;
}

static int drop_attached(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    struct lt_import *p = self;
    return S_ISDIR(st->st_mode) ? lt_changeset_remove_folder(&p->changes, path, error) : lt_changeset_remove(&p->changes, path, error);
}

/* The run's file under the name that it had here: the same bytes come under another one, which a log that comes says. Two files of
 * one run would count twice. */
static int drop_other_name(struct lt_import *p, const struct lt_gathering *before, const struct lt_gathered_run *run, const char *name, struct litmus_error *error) {
    struct lt_str old = LT_STR_NULL;
    struct lt_buf path, attached;
    for (size_t i = 0; i < before->run_count; i++)
        if (before->runs[i]->materialized && lt_str_eq(before->runs[i]->run.run_id, run->run.run_id)) old = before->runs[i]->destination;
    if (p->dry || !lt_destination_usable(old) || lt_str_eq(old, lt_str_of(name))) return LITMUS_OK;
    lt_buf_init(&path);
    lt_buf_init(&attached);
    lt_buf_add(&path, old.p, old.n);
    lt_attachments_folder(lt_buf_cstr(&path), &attached);
    int code = path.failed || attached.failed ? out_of_memory(error) : LITMUS_OK;
    if (code == LITMUS_OK && exists(p->data_dir, path.p)) code = lt_changeset_remove(&p->changes, path.p, error);
    if (code == LITMUS_OK) code = lt_tree_walk(p->data_dir, lt_buf_cstr(&attached), drop_attached, p, error);
    if (code == LITMUS_OK && exists(p->data_dir, lt_buf_cstr(&attached))) code = lt_changeset_remove_folder(&p->changes, lt_buf_cstr(&attached), error);
    lt_buf_release(&path);
    lt_buf_release(&attached);
    return code;
}

static int stage_run(struct lt_import *p, struct coming *c, const struct lt_gathering *before, const struct lt_gathering *session, const struct lt_gathered_run *run,
                     struct lt_own_log *own, struct litmus_error *error) {
    struct lt_buf name;
    if (!run->run.has_started) return LITMUS_OK;
    c->runs++;
    if (!run->materialized || lt_gathered_run_outdated(run)) c->unfinished = true;
    if (!run->materialized) return LITMUS_OK; /* it gets its file when it is finished */
    lt_buf_init(&name);
    int code = settle_name(p, run, own, &name, error);
    if (code == LITMUS_OK && !p->dry) code = stage_run_file(p, session, run, lt_buf_cstr(&name), error);
    if (code == LITMUS_OK) code = drop_other_name(p, before, run, lt_buf_cstr(&name), error);
    lt_buf_add_text(&c->runs_described, c->runs_described.n == 0 ? "{\"run_id\":" : ",{\"run_id\":");
    lt_json_str(&c->runs_described, run->run.run_id);
    lt_buf_add_text(&c->runs_described, ",\"file\":");
    lt_json_str(&c->runs_described, (struct lt_str){name.p, name.n});
    lt_buf_add_char(&c->runs_described, '}');
    lt_buf_release(&name);
    return code == LITMUS_OK && c->runs_described.failed ? out_of_memory(error) : code;
}

static int stage_runs(struct lt_import *p, struct coming *c, struct litmus_error *error) {
    struct lt_log_list logs, here = {0};
    struct lt_gathering session = {0}, before = {0};
    struct lt_own_log own;
    lt_own_log_init(&own, p->staging, c->session->id, NULL, -1);
    own.durability = LITMUS_DURABILITY_EACH;
    int code = list_logs(p, c, &logs, error);
    if (code == LITMUS_OK && logs.count > 0) code = lt_gather_session(p->data_dir, c->session->id, &(struct lt_gather_options){.logs = &logs}, &session, error);
    if (code == LITMUS_OK && session.log_count < logs.count) code = lt_fail(error, LITMUS_EIO, 0, "a log of session %s could not be read: nothing of it came", c->session->id);
    if (code == LITMUS_OK) code = lt_log_index_find(p->index, p->data_dir, c->session->id, NULL, NULL, &here, error);
    if (code == LITMUS_OK && here.count > 0) code = lt_gather_session(p->data_dir, c->session->id, &(struct lt_gather_options){.logs = &here}, &before, error);
    for (size_t i = 0; code == LITMUS_OK && i < session.run_count; i++) code = stage_run(p, c, &before, &session, session.runs[i], &own, error);
    int closed = lt_own_log_close(&own, code == LITMUS_OK ? error : NULL);
    lt_gathering_release(&session);
    lt_gathering_release(&before);
    lt_log_list_release(&logs);
    lt_log_list_release(&here);
    return code != LITMUS_OK ? code : closed;
}

/* ---- what is said of it ---- */

/* A folder may have a name that is no UTF-8, which no event can hold. */
static void add_source(const char *from, struct lt_buf *out) {
    struct lt_buf plain;
    lt_buf_init(&plain);
    bool valid = lt_utf8_valid(from, strlen(from));
    for (const char *p = from; *p != '\0'; p++) lt_buf_add_char(&plain, valid || (unsigned char)*p < 0x80 ? *p : '?');
    lt_json_str(out, (struct lt_str){lt_buf_cstr(&plain), plain.n});
    lt_buf_release(&plain);
}

static void describe(const struct lt_import *p, struct coming *c, struct lt_buf *out) {
    lt_buf_addf(out, "{\"imported_session_id\":\"%s\",\"source\":", c->session->id);
    add_source(p->from, out);
    lt_buf_addf(out, ",\"bytes\":%lld,\"logs\":[%s],\"runs\":[%s]}", (long long)c->bytes, lt_buf_cstr(&c->described), lt_buf_cstr(&c->runs_described));
}

/* A session in staging/, which comes with the others. */
static int record(struct lt_import *p, struct litmus_error *error) {
    struct lt_buf payload;
    litmus_session *session = NULL;
    lt_buf_init(&payload);
    struct litmus_session_options options = {.data_dir = p->staging, .no_daemon = true, .durability = LITMUS_DURABILITY_EACH,
                                             .payload_json = "{\"client\":\"litmus import\",\"session_type\":\"retention\"}"};
    int code = litmus_session_open(&options, &session, error);
    for (size_t i = 0; code == LITMUS_OK && i < p->count; i++) {
        lt_buf_clear(&payload);
        describe(p, &p->sessions[i], &payload);
        struct litmus_event event = {.event_type = "retention.imported", .payload = lt_buf_cstr(&payload), .payload_bytes = payload.n};
        code = payload.failed ? out_of_memory(error) : litmus_emit(session, &event, NULL, error);
    }
    int closed = litmus_session_close(session, NULL, code == LITMUS_OK ? error : NULL);
    lt_buf_release(&payload);
    return code != LITMUS_OK ? code : closed;
}

/* Nobody has named the logs that were made in staging/ yet: the next session here does. */
static void pass_heads_on(const struct lt_import *p, const struct lt_heads *heads) {
    for (size_t i = 0; i < heads->count; i++)
        if (heads->items[i].rows > 0) (void)!lt_heads_add(NULL, p->data_dir, &heads->items[i], NULL); /* costs proof only */
}

/* ---- the change ---- */

static int add_staged(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    struct lt_import *p = self;
    const char *to = path + strlen(LT_STAGING "/");
    if (!S_ISREG(st->st_mode)) return LITMUS_OK;
    if (exists(p->data_dir, to)) return lt_fail(error, LITMUS_EBUSY, 0, "%s/%s has come meanwhile: import again", p->data_dir, to);
    return lt_changeset_move(&p->changes, path, to, error);
}

static int make_ready(struct lt_import *p, struct litmus_error *error) {
    static const char *const folders[] = {LT_STAGING "/channels", LT_STAGING "/runs", LT_STAGING "/events"}; /* the logs last */
    int code = LITMUS_OK;
    for (size_t i = 0; code == LITMUS_OK && i < p->count; i++) code = stage_session(p, &p->sessions[i], error);
    for (size_t i = 0; code == LITMUS_OK && i < p->count; i++) code = stage_runs(p, &p->sessions[i], error);
    if (p->dry || code != LITMUS_OK) return code;
    code = record(p, error);
    for (size_t i = 0; code == LITMUS_OK && i < sizeof folders / sizeof folders[0]; i++) code = lt_tree_walk(p->data_dir, folders[i], add_staged, p, error);
    return code;
}

static bool is_sealed(const struct lt_import *p, const char *session_id) {
    struct lt_log_list logs;
    bool sealed = lt_log_index_find(p->index, p->data_dir, session_id, NULL, NULL, &logs, NULL) == LITMUS_OK;
    for (size_t i = 0; sealed && i < logs.count; i++) sealed = lt_log_is_sealed(logs.files[i].path);
    lt_log_list_release(&logs);
    return sealed;
}

/* Runs of dead producers, and those that nobody had written yet. What cannot be finished now is work for whoever looks next. */
static void finish(struct lt_import *p) {
    for (size_t i = 0; i < p->count; i++)
        if (p->sessions[i].unfinished || !is_sealed(p, p->sessions[i].session->id)) (void)!lt_materialize_session(p->materializer, p->sessions[i].session->id, NULL, NULL, NULL);
}

static void tell(const struct lt_import *p, lt_imported_fn *each, void *self) {
    for (size_t i = 0; i < p->count; i++) {
        const struct coming *c = &p->sessions[i];
        const struct lt_imported done = {c->session->id, c->logs, c->runs, c->files, c->bytes, c->damaged, c->unsealed, NULL};
        each(self, &done);
    }
}

/* Who relies on their logs looks again. */
static void raise_numbers(struct lt_import *p) {
    for (size_t i = 0; !p->dry && i < p->count; i++) (void)!lt_range_raise(p->lock_fd, lt_str_of(p->sessions[i].session->id));
}

/* All of these sessions in one change. *made: what there was to do was made ready, and nothing is to be tried again. */
static int apply_these(struct lt_import *p, bool *made, struct litmus_error *error) {
    struct lt_heads heads = {.fd = -1};
    size_t keys = p->key_count;
    if (!p->dry) lt_changeset_clear_staging(p->data_dir); /* of what an earlier call began and did not apply */
    raise_numbers(p);
    int code = make_ready(p, error);
    *made = code == LITMUS_OK;
    if (!*made) p->key_count = keys;
    if (code == LITMUS_OK && !p->dry) {
        (void)!lt_heads_read(p->staging, &heads, NULL);
        code = lt_changeset_apply(NULL, p->data_dir, &p->changes, error);
    }
    if (code == LITMUS_OK) pass_heads_on(p, &heads);
    lt_heads_release(&heads);
    if (!p->dry) lt_changeset_clear_staging(p->data_dir);
    raise_numbers(p);
    return code;
}

/* Is it the machine's, which the next session meets as well? */
static bool is_of_all(const struct litmus_error *why) {
    return why->code == LITMUS_ENOSPC || why->code == LITMUS_ENOMEM;
}

/* A session that cannot be made ready is looked for half by half, and left out: the others come. */
static int apply_some(struct lt_import *p, struct coming *sessions, size_t count, lt_imported_fn *each, void *self, struct litmus_error *error) {
    struct litmus_error why = {0};
    bool made;
    p->sessions = sessions;
    p->count = count;
    int code = apply_these(p, &made, &why);
    if (code != LITMUS_OK && !made && count > 1 && !is_of_all(&why)) {
        clear(p);
        code = apply_some(p, sessions, count / 2, each, self, error);
        return code == LITMUS_OK ? apply_some(p, sessions + count / 2, count - count / 2, each, self, error) : code;
    }
    unlock_sessions(p);
    if (code == LITMUS_OK && !p->dry) finish(p);
    if (code == LITMUS_OK) tell(p, each, self);
    bool left_out = code != LITMUS_OK && !made && !is_of_all(&why);
    if (left_out) each(self, &(struct lt_imported){.session_id = sessions->session->id, .why = &why});
    clear(p);
    return code == LITMUS_OK || left_out ? LITMUS_OK : lt_fail_with(error, &why);
}

int lt_import_apply(struct lt_import *p, lt_imported_fn *each, void *self, struct litmus_error *error) {
    if (p->all_count == 0) return LITMUS_OK;
    int code = apply_some(p, p->all, p->all_count, each, self, error);
    p->sessions = p->all;
    p->count = p->all_count;
    unlock_sessions(p); /* of those that were not tried any more */
    forget(p);
    return code;
}
