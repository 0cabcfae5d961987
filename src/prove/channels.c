/* SPDX-License-Identifier: Apache-2.0
 *
 * channels.c - the channel files: each in itself (channel/check.c), and all of them against what the logs say was recorded.
 */
#include "prove/channels.h"

#include "base/grow.h"
#include "base/tree.h"
#include "channel/channel.h"
#include "log/blob.h"
#include "log/reader.h"
#include "prove/proof.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

/* ---- what the logs say ---- */

void lt_claims_init(struct lt_claims *claims) {
    *claims = (struct lt_claims){0};
    lt_arena_init(&claims->arena);
    lt_map_init(&claims->by_name);
    lt_map_init(&claims->by_file);
}

void lt_claims_release(struct lt_claims *claims) {
    lt_map_release(&claims->by_name);
    lt_map_release(&claims->by_file);
    free(claims->sums);
    lt_arena_release(&claims->arena);
    free(claims->items);
    lt_claims_init(claims);
}

/* "session channel" */
static struct lt_str key_of(struct lt_str session_id, struct lt_str channel_id, struct lt_buf *out) {
    lt_buf_clear(out);
    lt_buf_addf(out, "%.*s %.*s", LT_STR_ARG(session_id), LT_STR_ARG(channel_id));
    return lt_str_of(lt_buf_cstr(out));
}

static uint32_t find(const struct lt_claims *claims, struct lt_str session_id, struct lt_str channel_id) {
    struct lt_buf name;
    lt_buf_init(&name);
    uint32_t at = lt_map_get(&claims->by_name, key_of(session_id, channel_id, &name), 0);
    lt_buf_release(&name);
    return at;
}

static struct lt_channel_claim *add(struct lt_claims *claims, const struct lt_row *row, struct lt_str channel_id, const char *path, int64_t offset) {
    struct lt_channel_claim *items = lt_grow_list(claims->items, claims->count, &claims->capacity, sizeof *items);
    struct lt_buf name;
    if (items == NULL) return NULL;
    claims->items = items;
    lt_buf_init(&name);
    struct lt_str key = lt_arena_str(&claims->arena, key_of(row->session_id, channel_id, &name));
    lt_buf_release(&name);
    items[claims->count] = (struct lt_channel_claim){.session_id = lt_arena_str(&claims->arena, row->session_id),
        .channel_id = lt_arena_str(&claims->arena, channel_id), .path = lt_arena_str(&claims->arena, lt_str_of(path)), .offset = offset};
    if (claims->arena.failed || !lt_map_put(&claims->by_name, key, 0, (uint32_t)claims->count)) return NULL;
    return &items[claims->count++];
}

/* "{day}/{session}-{pid}_...": an id that is cut where another one goes on is not that one's. */
static bool is_of_session(struct lt_str file, struct lt_str session_id) {
    const char *slash = memchr(file.p, '/', file.n), *end = file.p + file.n;
    const char *name = slash == NULL ? file.p : slash + 1, *digit = name + session_id.n + 1;
    if (session_id.n == 0 || (size_t)(end - name) <= session_id.n + 1 || memcmp(name, session_id.p, session_id.n) != 0 || digit[-1] != '-') return false;
    const char *p = digit;
    while (p < end && *p >= '0' && *p <= '9') p++;
    return p > digit && p < end && *p == '_';
}

/* What channel.closed says of a file of its session. A file is sealed once: its first word is kept, and another one is told. */
static bool add_sum(struct lt_claims *claims, const struct lt_row *row, yyjson_val *event, const char *path, int64_t offset) {
    const char *file = yyjson_get_str(yyjson_obj_get(event, "file")), *sha256 = yyjson_get_str(yyjson_obj_get(event, "sha256"));
    if (file == NULL || sha256 == NULL) return true;
    bool foreign = !is_of_session(lt_str_of(file), row->session_id);
    uint32_t said = foreign ? LT_MAP_NONE : lt_map_get(&claims->by_file, lt_str_of(file), 0);
    if (said != LT_MAP_NONE) {
        struct lt_channel_sum *before = &claims->sums[said];
        if (before->otherwise == NULL && !lt_str_eq(before->sha256, lt_str_of(sha256))) before->otherwise = lt_arena_str(&claims->arena, lt_str_of(path)).p;
        return !claims->arena.failed;
    }
    struct lt_channel_sum *sums = lt_grow_list(claims->sums, claims->sum_count, &claims->sum_capacity, sizeof *sums);
    if (sums == NULL) return false;
    claims->sums = sums;
    struct lt_channel_sum *sum = &sums[claims->sum_count];
    *sum = (struct lt_channel_sum){.file = lt_arena_str(&claims->arena, lt_str_of(file)), .sha256 = lt_arena_str(&claims->arena, lt_str_of(sha256)),
                                   .path = lt_arena_str(&claims->arena, lt_str_of(path)), .offset = offset, .foreign = foreign};
    if (claims->arena.failed || (!foreign && !lt_map_put(&claims->by_file, sum->file, 0, (uint32_t)claims->sum_count))) return false;
    claims->sum_count++;
    return true;
}

void lt_claims_add_event(struct lt_claims *claims, const struct lt_row *row, const char *path, int64_t offset) {
    bool started = lt_str_eq(row->event_type, LT_STR("channel.started"));
    if (!started && !lt_str_eq(row->event_type, LT_STR("channel.closed"))) return;
    yyjson_doc *doc = yyjson_read(row->json.p, row->json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *id = yyjson_obj_get(root, "channel_id");
    struct lt_str channel_id = {yyjson_get_str(id), yyjson_get_len(id)};
    if (channel_id.p != NULL) {
        uint32_t at = find(claims, row->session_id, channel_id);
        struct lt_channel_claim *claim = at == LT_MAP_NONE ? NULL : &claims->items[at];
        if (started && claim == NULL && yyjson_is_str(yyjson_obj_get(root, "uri"))) claims->failed = add(claims, row, channel_id, path, offset) == NULL || claims->failed;
        int64_t samples = yyjson_get_sint(yyjson_obj_get(root, "samples"));
        if (!started && !add_sum(claims, row, root, path, offset)) claims->failed = true;
        if (!started && claim != NULL && samples > 0 && samples < INT64_MAX - claim->closed) claim->closed += samples;
    }
    yyjson_doc_free(doc);
}

struct lt_channel_claim *lt_claims_find(const struct lt_claims *claims, const char *session_id, const char *channel_id) {
    uint32_t at = find(claims, lt_str_of(session_id), lt_str_of(channel_id));
    return at == LT_MAP_NONE ? NULL : &claims->items[at];
}

/* ---- the files ---- */

struct walk {
    struct lt_proof *proof;
    const char *session_id; /* NULL: all */
    const char *path;       /* absolute, of the file that is looked at */
    bool unread;            /* a file could not be looked at: what is in none of the others may be in that */
};

static void take_wrong(void *self, int64_t offset, const char *text) {
    struct walk *w = self;
    lt_proof_finding(w->proof, LT_FINDING_CHANNEL, w->path, offset, "%s", text);
}

static void check_end(const struct walk *w, const struct lt_channel_checked *file) {
    if (file->sealed || file->live) return;
    if (file->torn_bytes > 0)
        lt_proof_finding(w->proof, LT_FINDING_UNFINISHED, w->path, file->end, "%" PRId64 " bytes at its end are no whole row, and no seal: its writer died, or it was cut; "
                         "litmus materialize cuts that off and keeps it as evidence", file->torn_bytes);
    else lt_proof_finding(w->proof, LT_FINDING_UNFINISHED, w->path, file->end, "is not sealed: its writer died, or it was cut; litmus materialize finishes it");
}

/* The file, to the byte, against what its writer said of it when it was sealed. */
static void check_sum(const struct walk *w, bool sealed) {
    struct lt_claims *claims = &w->proof->claims;
    uint32_t at = lt_map_get(&claims->by_file, lt_str_of(lt_channel_name_of(w->path)), 0);
    char sha256[LT_HASH_TEXT];
    struct litmus_error error = {0};
    if (at == LT_MAP_NONE) return;
    struct lt_channel_sum *sum = &claims->sums[at];
    sum->found = true;
    if (!sealed) lt_proof_finding(w->proof, LT_FINDING_CHANNEL, w->path, -1, "was sealed by its writer, and is not any more: it was cut");
    else if (lt_hash_file(w->path, sha256, &error) != LITMUS_OK) lt_proof_unread(w->proof, LT_FINDING_CHANNEL, w->path, -1, &error, "");
    else if (!lt_str_eq(sum->sha256, lt_str_of(sha256)))
        lt_proof_finding(w->proof, LT_FINDING_CHANNEL, w->path, -1, "is not the file that its writer closed: samples or anything else in it were changed (%s has its SHA-256)",
                         sum->path.p);
}

static void check_file(struct walk *w, const char *name) {
    struct lt_proof *proof = w->proof;
    struct lt_channel_checked file;
    struct litmus_error error = {0};
    proof->channels++;
    if (lt_channel_check(w->path, take_wrong, w, &file, &error) != LITMUS_OK) {
        w->unread = w->unread || lt_error_is_refusal(&error);
        lt_proof_unread(proof, LT_FINDING_CHANNEL, w->path, -1, &error, "");
        return;
    }
    check_end(w, &file);
    check_sum(w, file.sealed);
    if (strncmp(name, file.about.session_id, strlen(file.about.session_id)) != 0)
        lt_proof_finding(proof, LT_FINDING_CHANNEL, w->path, -1, "is named as of another session than it is of, %s: it was moved", file.about.session_id);
    struct lt_channel_claim *claim = lt_claims_find(&proof->claims, file.about.session_id, file.about.channel_id);
    if (claim != NULL) {
        claim->found += file.samples;
        claim->files++;
    } else if (!file.live && proof->unread == 0) { /* nor can one that was not looked at */
        lt_proof_finding(proof, LT_FINDING_CHANNEL, w->path, -1, "is of channel %s of session %s, and no log has such a one", file.about.channel_id, file.about.session_id);
    }
}

/* The last samples of a file that is gone, or of one that has all of them. */
static void check_tail(const struct walk *w) {
    struct lt_buf file;
    lt_buf_init(&file);
    lt_tail_owner(w->path, &file);
    if (access(lt_buf_cstr(&file), F_OK) != 0) lt_proof_finding(w->proof, LT_FINDING_CHANNEL, w->path, -1, "holds the last samples of a channel file that is gone");
    else if (lt_log_is_sealed(lt_buf_cstr(&file)) && !lt_log_is_live(lt_buf_cstr(&file)))
        lt_proof_finding(w->proof, LT_FINDING_UNFINISHED, w->path, -1, "was left when its channel file was sealed; litmus materialize takes it away");
    lt_buf_release(&file);
}

static void pass_folder(void *self, const char *folder, const struct litmus_error *why) {
    struct walk *w = self;
    w->unread = true;
    lt_proof_unread(w->proof, LT_FINDING_CHANNEL, folder, -1, why, "");
}

/* channels/DAY/NAME: what readers list (lt_io_list_days). */
static bool is_where_readers_look(const char *path) {
    const char *day = strchr(path, '/') + 1, *name = strchr(day, '/');
    return day[0] != '.' && name != NULL && strchr(name + 1, '/') == NULL;
}

static void tell_link(const struct walk *w) {
    lt_proof_finding(w->proof, LT_FINDING_CHANNEL, w->path, -1, "is a link: readers may follow it to what nothing here proves; put what it leads to in its place");
}

static int look_at(void *self, const char *path, const struct stat *st, struct litmus_error *error) {
    struct walk *w = self;
    enum lt_channel_kind kind = lt_channel_kind(path, w->session_id);
    bool link = S_ISLNK(st->st_mode); /* whatever its name: a folder's says nothing of what is in it */
    (void)error;
    if (kind == LT_CHANNEL_OTHER && !link) return LITMUS_OK;
    struct lt_buf whole;
    lt_buf_init(&whole);
    w->path = lt_path_join(&whole, w->proof->options.data_dir, path);
    if (link) tell_link(w);
    else if (!is_where_readers_look(path))
        lt_proof_finding(w->proof, LT_FINDING_CHANNEL, w->path, -1, "lies where no reader looks: it was moved there; channel files are at channels/{day}/");
    else if (kind == LT_CHANNEL_TAIL_FILE) check_tail(w);
    else check_file(w, strrchr(w->path, '/') + 1);
    lt_buf_release(&whole);
    return LITMUS_OK;
}

static void check_top(struct walk *w) {
    struct stat st;
    struct lt_buf top;
    lt_buf_init(&top);
    w->path = lt_path_join(&top, w->proof->options.data_dir, "channels");
    if (lstat(w->path, &st) == 0 && S_ISLNK(st.st_mode)) tell_link(w);
    lt_buf_release(&top);
}

/* What logs say of channel files and should not, whatever the files are. */
static void check_words(struct lt_proof *proof) {
    const struct lt_claims *claims = &proof->claims;
    for (size_t i = 0; i < claims->sum_count; i++) {
        const struct lt_channel_sum *sum = &claims->sums[i];
        if (sum->foreign)
            lt_proof_finding(proof, LT_FINDING_LOG, sum->path.p, sum->offset, "says that channel file %s was closed here, which is of another session: nothing is taken from it",
                             sum->file.p);
        else if (sum->otherwise != NULL)
            lt_proof_finding(proof, LT_FINDING_LOG, sum->otherwise, -1, "says that channel file %s has another SHA-256 than %s has: one of them was put there", sum->file.p,
                             sum->path.p);
    }
}

int lt_proof_channels(struct lt_proof *proof, const char *session_id, struct litmus_error *error) {
    struct walk w = {.proof = proof, .session_id = session_id};
    struct lt_claims *claims = &proof->claims;
    check_top(&w);
    check_words(proof);
    int code = lt_tree_walk_readable(proof->options.data_dir, "channels", look_at, pass_folder, &w, error);
    if (code == LITMUS_OK && claims->failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the channels of %s", proof->options.data_dir);
    if (code != LITMUS_OK || w.unread) return code;
    for (size_t i = 0; i < claims->count; i++) {
        const struct lt_channel_claim *claim = &claims->items[i];
        if (claim->files == 0)
            lt_proof_finding(proof, LT_FINDING_CHANNEL, claim->path.p, claim->offset, "channel %s was recorded here, and no file below channels/ has it", claim->channel_id.p);
        else if (claim->found < claim->closed)
            lt_proof_finding(proof, LT_FINDING_CHANNEL, claim->path.p, claim->offset, "channel %s has %" PRId64 " samples below channels/, and %" PRId64 " were recorded",
                             claim->channel_id.p, claim->found, claim->closed);
    }
    for (size_t i = 0; i < claims->sum_count; i++) {
        const struct lt_channel_sum *sum = &claims->sums[i];
        if (!sum->foreign && !sum->found)
            lt_proof_finding(proof, LT_FINDING_CHANNEL, sum->path.p, sum->offset, "channel file %s was closed here, and is not below channels/", sum->file.p);
    }
    return code;
}
