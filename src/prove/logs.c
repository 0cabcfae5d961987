/* SPDX-License-Identifier: Apache-2.0
 *
 * logs.c - one log: its events, its chain, how it ends and who signed that.
 */
#include "prove/proof.h"

#include <stdio.h>
#include <sys/stat.h>
#include <yyjson.h>

const char *const lt_signature_words[] = {[LT_SIGNATURE_NONE] = "none", [LT_SIGNATURE_KNOWN] = "known", [LT_SIGNATURE_UNKNOWN] = "unknown", [LT_SIGNATURE_WRONG] = "wrong"};

struct log {
    struct lt_proof *proof;
    struct lt_log_reader *reader;
    struct lt_proved_log result;
    unsigned char first[LT_CHAIN_BYTES];
    char wanted_key[LT_KEY_ID_BYTES]; /* session.started: what the session meant to sign with; "": nothing */
    bool broken;                      /* told that already; what follows proves nothing more */
    bool counts;                      /* something in it has a say in what the session's runs were */
    bool records;                     /* the same, and nothing that who finishes the session says */
    bool strays;                      /* told that an event of it is of another session */
    bool finishes;                    /* it says that a run has its file */
};

/* The key by which a session is to be signed, in its very first event. */
static void take_key(const struct lt_row *row, char out[LT_KEY_ID_BYTES]) {
    yyjson_doc *doc = yyjson_read(row->json.p, row->json.n, 0);
    const char *key = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "signing_key"));
    snprintf(out, LT_KEY_ID_BYTES, "%s", key == NULL ? "" : key);
    yyjson_doc_free(doc);
}

/* It names no log before it, not even that there is none: the list of heads could not be had. */
static bool is_unlinked(const struct lt_row *row) {
    yyjson_doc *doc = yyjson_read(row->json.p, row->json.n, 0);
    bool is = !yyjson_is_arr(yyjson_obj_get(yyjson_doc_get_root(doc), "previous_logs"));
    yyjson_doc_free(doc);
    return is;
}

static bool starts_session(const struct lt_row *row) {
    return lt_str_eq(row->event_type, LT_STR("session.started"));
}

/* "": none of the session's logs names one. */
static const char *session_key(struct lt_proof *proof) {
    if (proof->session_key_sought) return proof->session_key;
    proof->session_key_sought = true;
    proof->session_key[0] = '\0';
    for (size_t i = 0; proof->session_logs != NULL && i < proof->session_logs->count && proof->session_key[0] == '\0'; i++) {
        struct lt_log_reader *reader = NULL;
        struct lt_row row;
        struct litmus_error why = {0};
        if (lt_log_reader_open(proof->session_logs->files[i].path, &reader, &why) != LITMUS_OK) continue; /* told when it is looked at */
        if (lt_log_next(reader, &row, &why) == LT_LOG_EVENT && starts_session(&row)) take_key(&row, proof->session_key);
        lt_log_reader_free(reader);
    }
    return proof->session_key;
}

static bool is_empty(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

/* Who says that a run has its file finishes its session, and gives that up only when the log that says so is sealed. */
static void check_held(struct log *log) {
    const char *path = log->result.path;
    if (log->finishes && lt_proof_wait(log->proof, lt_log_reader_session(log->reader)) && !lt_log_is_sealed(path) && lt_log_life(path, NULL) == LT_LIFE_WRITING)
        lt_proof_finding(log->proof, LT_FINDING_LOG, path, -1,
                         "says that a run has its file, and is kept open by a process that does not finish the session: end that, then litmus materialize");
}

/* How a log ended, where that says anything. */
static void check_end(struct log *log, const struct litmus_error *error) {
    struct lt_proof *proof = log->proof;
    const char *path = log->result.path;
    int64_t at = lt_log_reader_offset(log->reader);
    struct litmus_error why = {0};
    enum lt_life life = log->result.end == LT_LOG_OPEN || log->result.end == LT_LOG_TORN ? lt_log_life(path, &why) : LT_LIFE_NONE;
    if (log->result.end == LT_LOG_FAILED) lt_proof_unread(proof, LT_FINDING_LOG, path, -1, error, "");
    else if (life == LT_LIFE_UNKNOWN) lt_proof_unread(proof, LT_FINDING_UNFINISHED, path, -1, &why, "");
    else if (life == LT_LIFE_WRITING) check_held(log);
    else if (log->result.end == LT_LOG_SEALED) return;
    else if (at == 0 && is_empty(path)) return; /* whoever made it died before it wrote: there is nothing to seal */
    else if (log->result.end == LT_LOG_TORN)
        lt_proof_finding(proof, LT_FINDING_UNFINISHED, path, at, "ends inside an event: its producer died; litmus materialize cuts that off and keeps it as evidence");
    else lt_proof_finding(proof, LT_FINDING_UNFINISHED, path, at, "is not sealed: its producer died; litmus materialize finishes it");
}

static enum lt_signature worth_of(const struct lt_seal *seal, const struct lt_keyring *keys) {
    if (!seal->is_signed) return LT_SIGNATURE_NONE;
    if (!seal->holds) return LT_SIGNATURE_WRONG;
    return lt_keyring_find(keys, seal->public_key) != NULL ? LT_SIGNATURE_KNOWN : LT_SIGNATURE_UNKNOWN;
}

/* Is `key` that of another station than the session's? One may get a new key while a session goes on. "": no key is named. */
static bool is_another_stations(const struct log *log, const char *key) {
    const char *wanted = session_key(log->proof);
    return key[0] != '\0' && wanted[0] != '\0' && strcmp(key, wanted) != 0 && !lt_keyring_same_station(log->proof->options.keys, key, wanted);
}

/* Who knows of runs of a session is a producer of its station. Who finishes it may be of another one, and so may who seals a dead producer's log. */
static bool is_by_another_station(const struct log *log, const struct lt_seal *seal) {
    return log->result.signature == LT_SIGNATURE_KNOWN && !seal->by_recovery && log->records && is_another_stations(log, log->result.key_id);
}

/* What the signature at the end of a sealed log is worth here. */
static void check_seal(struct log *log) {
    struct lt_proof *proof = log->proof;
    struct lt_seal seal = lt_log_reader_seal(log->reader);
    struct lt_proved_log *r = &log->result;
    int64_t at = lt_log_reader_offset(log->reader);
    r->signature = worth_of(&seal, proof->options.keys);
    r->by_recovery = seal.is_signed && seal.by_recovery;
    if (seal.is_signed) lt_key_id(seal.public_key, r->key_id);
    if (r->signature == LT_SIGNATURE_WRONG)
        lt_proof_finding(proof, LT_FINDING_SIGNATURE, r->path, at,
                         "key %s did not sign this end, of %lld events: events were changed, added or cut off after it was signed", r->key_id,
                         (long long)r->head.rows);
    else if (r->signature == LT_SIGNATURE_UNKNOWN && proof->options.keys->count > 0)
        lt_proof_finding(proof, LT_FINDING_SIGNATURE, r->path, at,
                         "is signed by key %s, which is not known here: if it is a station of yours, put its .pub beside your key or name it with --key",
                         r->key_id);
    else if (is_another_stations(log, log->wanted_key))
        lt_proof_finding(proof, LT_FINDING_SIGNATURE, r->path, at,
                         "says that its session is to be signed by key %s, and another log of it says by key %s: one of them was put there",
                         log->wanted_key, session_key(proof));
    else if (is_by_another_station(log, &seal))
        lt_proof_finding(proof, LT_FINDING_SIGNATURE, r->path, at,
                         "is signed by its producer with key %s, but its session was to be signed by key %s: the other key's station may have put it there", r->key_id,
                         session_key(proof));
    else if (r->signature == LT_SIGNATURE_NONE && log->wanted_key[0] != '\0')
        lt_proof_finding(proof, LT_FINDING_SIGNATURE, r->path, at, "is not signed, but its session was to be signed by key %s", log->wanted_key);
    else if (r->signature == LT_SIGNATURE_NONE && log->counts && session_key(proof)[0] != '\0')
        lt_proof_finding(proof, LT_FINDING_SIGNATURE, r->path, at,
                         "is not signed, but its session was to be signed by key %s: who can write the files may have put it there", session_key(proof));
    else if (r->signature == LT_SIGNATURE_NONE && proof->options.want_signed)
        lt_proof_finding(proof, LT_FINDING_SIGNATURE, r->path, at, "is not signed");
    else if (!log->broken && !lt_log_reader_chain_ok(log->reader))
        lt_proof_finding(proof, LT_FINDING_CHAIN, r->path, -1, "the bytes behind the last event are not those that were written");
}

/* Has it a say in what the runs were? What people said of them afterwards has none, nor has the name that an import gave a file: who does that need not
 * have the station's key. Any other event of a run says at least how long it went on. */
static bool has_a_say(const struct lt_row *row) {
    enum lt_event_id id = lt_event_find(row->event_type);
    if (id == LT_EVENT_REVIEW_CONCEDED || id == LT_EVENT_REVIEW_NOTED) return false;
    if (id == LT_EVENT_DIAGNOSTIC_WARNING || id == LT_EVENT_DIAGNOSTIC_ERROR) return row->run_id.p != NULL;
    if (id != LT_EVENT_RUN_MATERIALIZED) return true;
    yyjson_doc *doc = yyjson_read(row->json.p, row->json.n, 0);
    bool renamed = yyjson_get_sint(yyjson_obj_get(yyjson_doc_get_root(doc), "renamed")) > 0;
    yyjson_doc_free(doc);
    return !renamed;
}

/* Is it what materialize says of a run when it finishes the session? */
static bool is_finishers(const struct lt_row *row) {
    enum lt_event_id id = lt_event_find(row->event_type);
    if (id != LT_EVENT_RUN_ENDED) return id == LT_EVENT_RUN_MATERIALIZED || id == LT_EVENT_DIAGNOSTIC_WARNING || id == LT_EVENT_DIAGNOSTIC_ERROR;
    yyjson_doc *doc = yyjson_read(row->json.p, row->json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool is = yyjson_equals_str(yyjson_obj_get(root, "said_by"), "recovery") && yyjson_equals_str(yyjson_obj_get(root, "outcome"), "aborted");
    yyjson_doc_free(doc);
    return is;
}

/* The fold takes a run's session from its first event. */
static bool check_session_of(struct log *log, const struct lt_row *row, int64_t offset) {
    struct lt_str session = lt_str_of(lt_log_reader_session(log->reader));
    if (session.n == 0 || row->session_id.p == NULL || lt_str_eq(row->session_id, session)) return true;
    if (log->strays) return false;
    log->strays = true;
    lt_proof_finding(log->proof, LT_FINDING_LOG, log->result.path, offset, "event %lld, id %.*s, says that it is of session %.*s, and stands in a log of session %.*s",
                     (long long)log->result.head.rows, LT_STR_ARG(row->id), LT_STR_ARG(row->session_id), LT_STR_ARG(session));
    return false;
}

static void look_at_event(struct log *log, const struct lt_row *row, int64_t offset) {
    bool own = check_session_of(log, row, offset);
    if (log->result.head.rows == 1) memcpy(log->first, row->chain, sizeof log->first);
    if (lt_str_eq(row->event_type, LT_STR("clock.stepped"))) log->result.clock_steps++;
    if (starts_session(row) && log->result.head.rows == 1) {
        take_key(row, log->wanted_key);
        log->proof->unlinked += is_unlinked(row);
    }
    bool has = has_a_say(row);
    log->counts = log->counts || has;
    log->records = log->records || (has && !is_finishers(row));
    log->finishes = log->finishes || lt_event_find(row->event_type) == LT_EVENT_RUN_MATERIALIZED;
    if (own) lt_claims_add_event(&log->proof->claims, row, log->result.path, offset);
    lt_links_add_event(&log->proof->links, row, log->result.path, offset);
}

static void check_events(struct log *log, struct litmus_error *error) {
    struct lt_row row;
    while ((log->result.end = lt_log_next(log->reader, &row, error)) == LT_LOG_EVENT || log->result.end == LT_LOG_DAMAGED) {
        if (log->result.end == LT_LOG_DAMAGED) {
            struct lt_log_damage damage = lt_log_reader_damage(log->reader);
            lt_proof_finding(log->proof, LT_FINDING_LOG, log->result.path, damage.offset,
                             "%lld bytes are damaged: %s", (long long)damage.bytes, damage.what == NULL ? "no event" : damage.what);
            log->broken = true;
            continue;
        }
        log->proof->events++;
        log->result.head = lt_log_reader_head(log->reader);
        int64_t offset = lt_log_reader_row_offset(log->reader);
        look_at_event(log, &row, offset);
        if (log->broken || lt_log_reader_chain_ok(log->reader)) continue;
        lt_proof_finding(log->proof, LT_FINDING_CHAIN, log->result.path, offset,
                         "the chain breaks at event %lld, id %.*s, %.*s: it or what came before it was changed, removed or moved",
                         (long long)log->result.head.rows, LT_STR_ARG(row.id), LT_STR_ARG(row.event_type));
        log->broken = true;
    }
    log->result.head = lt_log_reader_head(log->reader);
}

/* The name says to which session a log belongs, and is no part of the chain. A log that is there twice is counted twice. */
static void check_place(struct log *log) {
    struct lt_proof *proof = log->proof;
    const struct lt_head *head = &log->result.head;
    const char *path = log->result.path, *slash = strrchr(path, '/'), *session = lt_log_reader_session(log->reader);
    struct lt_str name = lt_str_of(slash == NULL ? path : slash + 1);
    if (head->identity[0] == '\0') return;
    name.n -= lt_str_ends(name, LT_STR(LT_LOG_SUFFIX)) ? sizeof LT_LOG_SUFFIX - 1 : 0;
    if (!lt_str_eq(name, lt_str_of(head->identity)) || !lt_log_is_of_session(name, session))
        lt_proof_finding(proof, LT_FINDING_LOG, path, -1, "is log %s of session %s by its own word, and is not where its session looks for it: it was renamed or moved",
                         head->identity, session);
    if (head->rows == 0 || log->broken) return;
    struct lt_str chain = lt_arena_str(&proof->arena, (struct lt_str){(const char *)head->chain, sizeof head->chain});
    if (lt_map_get(&proof->chains, chain, 0) != LT_MAP_NONE)
        lt_proof_finding(proof, LT_FINDING_LOG, path, -1, "is a copy of log %s, which is there, too: its events count twice; move one of them elsewhere", head->identity);
    else if (chain.p != NULL) (void)lt_map_put(&proof->chains, chain, 0, 1);
}

void lt_proof_log(struct lt_proof *proof, const char *path) {
    struct log log = {.proof = proof, .result = {.path = path}};
    struct litmus_error error = {0};
    int64_t before = proof->findings;
    struct lt_str own = lt_arena_str(&proof->arena, lt_str_of(path));
    if (own.p != NULL) (void)lt_map_put(&proof->read, own, 0, 1);
    proof->logs++;
    if (lt_log_reader_open(path, &log.reader, &error) != LITMUS_OK) {
        lt_proof_unread(proof, LT_FINDING_LOG, path, -1, &error, "");
        if (error.code != LITMUS_EDAMAGED && error.code != LITMUS_ENOENT) lt_links_add_unread(&proof->links, path);
        return;
    }
    lt_log_reader_check_chain(log.reader);
    check_events(&log, &error);
    check_end(&log, &error);
    check_place(&log);
    if (log.result.end == LT_LOG_SEALED) check_seal(&log);
    if (log.result.signature == LT_SIGNATURE_KNOWN) lt_links_vouch(&proof->links, path, log.result.by_recovery);
    if (log.result.end == LT_LOG_SEALED) proof->signatures[log.result.signature]++;
    else proof->unsealed++;
    proof->by_recovery += log.result.by_recovery;
    proof->clock_steps += log.result.clock_steps;
    if (log.result.head.identity[0] != '\0') lt_links_add_log(&proof->links, &log.result.head, log.first, log.result.end != LT_LOG_SEALED, path);
    log.result.findings = proof->findings - before;
    if (proof->options.log != NULL) proof->options.log(proof->options.self, &log.result);
    lt_log_reader_free(log.reader);
}
