/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/statement.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/json_text.h"
#include "log/format.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

/* ---- writing ---- */
struct cell {
    const char *name, *column; /* of the object, of the table */
};
#define SAME(column) {#column, #column}
/* Of the run row. */
static const struct cell run_cells[] = {
    SAME(run_id), SAME(session_id), {"started_at", "run_started_at"}, {"ended_at", "run_ended_at"}, {"outcome", "run_outcome"}, SAME(stop_reason),
    SAME(project_name), SAME(dut_serial), SAME(dut_part_number), SAME(dut_revision), SAME(dut_lot_number), SAME(station_id), SAME(station_hostname),
    SAME(operator_id), SAME(operator_name), SAME(test_phase), SAME(git_commit),
};
/* Of the row of a step that never ran. */
static const struct cell never_ran_cells[] = {
    SAME(step_path), SAME(vector_index), {"node_id", "step_node_id"}, {"reason", "never_ran_reason"}, {"cause", "never_ran_cause"},
};
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static void add_cells(const struct lt_dossier *d, int64_t row, const struct cell *cells, size_t count, struct lt_buf *out) {
    for (size_t i = 0; i < count; i++) {
        lt_buf_addf(out, "%c\"%s\":", i == 0 ? '{' : ',', cells[i].name);
        lt_table_json(&d->rows, lt_table_find(&d->rows, cells[i].column), row, out);
    }
    lt_buf_add_char(out, '}');
}

static void add_never_ran(const struct lt_dossier *d, struct lt_buf *out) {
    const char *comma = "";
    lt_buf_add_text(out, ",\"never_ran\":[");
    for (int64_t row = 0; row < lt_table_rows(&d->rows); row++) {
        if (!lt_dossier_never_ran(d, row)) continue;
        lt_buf_add_text(out, comma);
        add_cells(d, row, never_ran_cells, COUNT(never_ran_cells), out);
        comma = ",";
    }
    lt_buf_add_char(out, ']');
}

/* Length and text, so that no two rows look the same: as in the chain of a log. */
static void add_framed(struct lt_str text, struct lt_buf *out) {
    unsigned char length[8];
    lt_put64(length, text.p == NULL ? -1 : (int64_t)text.n);
    lt_buf_add(out, length, sizeof length);
    lt_buf_add_str(out, text);
}

/* The outcome of every row in one number: see FORMAT.md. */
static bool digest_result(const struct lt_dossier *d, char out[LT_SHA256_TEXT_BYTES]) {
    static const char *const columns[] = {"record_type", "step_path", "measurement_name", "run_outcome", "vector_outcome", "measurement_outcome", "never_ran_reason"};
    struct lt_buf text;
    unsigned char sum[32];
    lt_buf_init(&text);
    lt_buf_add_text(&text, "litmus-result-1\n");
    for (int64_t row = 0; row < lt_table_rows(&d->rows); row++) {
        int64_t vector;
        char number[24] = "";
        for (size_t i = 0; i < COUNT(columns); i++) add_framed(lt_dossier_str(d, columns[i], row), &text);
        if (lt_table_int(&d->rows, lt_table_find(&d->rows, "vector_index"), row, &vector)) snprintf(number, sizeof number, "%lld", (long long)vector);
        add_framed(lt_str_of(number), &text);
    }
    bool ok = !text.failed && EVP_Digest(text.p, text.n, sum, NULL, EVP_sha256(), NULL) == 1;
    if (ok) lt_hex_text(sum, sizeof sum, out);
    lt_buf_release(&text);
    return ok;
}

static void add_result(const struct lt_dossier *d, const char *digest, struct lt_buf *out) {
    const struct lt_counts *c = &d->sum.counts;
    lt_buf_add_text(out, ",\"plan\":{\"digest\":");
    lt_table_json(&d->rows, lt_table_find(&d->rows, "plan_digest"), 0, out);
    lt_buf_addf(out, ",\"steps\":%lld},\"result\":{\"digest\":\"%s\",\"outcome\":", (long long)d->sum.planned, digest);
    lt_json_str(out, lt_str_of(d->sum.outcome));
    const struct {
        const char *name;
        int64_t count;
    } counts[] = {{"passed", c->passed}, {"failed", c->failed}, {"errored", c->errored}, {"skipped", c->skipped}, {"done", c->done}, {"terminated", c->terminated},
                  {"aborted", c->aborted}, {"never_ran", c->never_ran}, {"measurements", d->sum.measurements}};
    for (size_t i = 0; i < COUNT(counts); i++) lt_buf_addf(out, ",\"%s\":%lld", counts[i].name, (long long)counts[i].count);
    lt_buf_add_char(out, '}');
}

static void add_logs(const struct lt_dossier *d, struct lt_buf *out) {
    lt_buf_add_text(out, ",\"logs\":[");
    for (size_t i = 0; i < d->log_count; i++) {
        const struct lt_proved_log *log = &d->logs[i];
        char chain[2 * LT_CHAIN_BYTES + 1];
        lt_hex_text(log->head.chain, sizeof log->head.chain, chain);
        lt_buf_addf(out, "%s{\"name\":", i == 0 ? "" : ",");
        lt_json_str(out, lt_str_of(log->path));
        lt_buf_addf(out, ",\"events\":%lld,\"chain\":\"%s\",\"signed_by\":", (long long)log->head.rows, chain);
        if (log->key_id[0] == '\0') lt_buf_add_text(out, "null");
        else lt_buf_addf(out, "\"%s\"", log->key_id);
        lt_buf_addf(out, ",\"clock_steps\":%lld}", (long long)log->clock_steps);
    }
    lt_buf_add_char(out, ']');
}

static void add_reviews(const struct lt_dossier *d, struct lt_buf *out) {
    char at[LT_ISO_BYTES];
    lt_buf_add_text(out, ",\"reviews\":[");
    for (size_t i = 0; i < d->reviews.count; i++) {
        const struct lt_review *r = &d->reviews.items[i];
        lt_time_iso(r->at, at);
        lt_buf_addf(out, "%s{\"what\":\"%s\",\"at\":\"%s\",\"event\":", i == 0 ? "" : ",", r->concession ? "conceded" : "noted", at);
        lt_buf_add_str(out, r->json);
        lt_buf_add_char(out, '}');
    }
    lt_buf_add_char(out, ']');
}

int lt_statement_write(const struct lt_dossier *d, const struct lt_subject *subjects, size_t count, struct lt_buf *out, struct litmus_error *error) {
    char digest[LT_SHA256_TEXT_BYTES];
    if (!digest_result(d, digest)) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a statement");
    lt_buf_add_text(out, "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[");
    for (size_t i = 0; i < count; i++) {
        lt_buf_addf(out, "%s{\"name\":", i == 0 ? "" : ",");
        lt_json_str(out, lt_str_of(subjects[i].name));
        lt_buf_addf(out, ",\"digest\":{\"sha256\":\"%s\"}}", subjects[i].sha256);
    }
    lt_buf_addf(out, "],\"predicateType\":\"" LT_PREDICATE_TYPE "\",\"predicate\":{\"litmus_version\":\"%s\",\"run\":", litmus_version());
    add_cells(d, 0, run_cells, COUNT(run_cells), out);
    add_result(d, digest, out);
    add_never_ran(d, out);
    add_logs(d, out);
    add_reviews(d, out);
    lt_buf_add_text(out, "}}");
    return out->failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a statement") : LITMUS_OK;
}

/* ---- comparing ---- */
enum { VALUE_BYTES_MAX = 160, KEYS_MAX = 1000, DEPTH_MAX = 64 };

struct comparison {
    lt_statement_fn *each;
    void *self;
    size_t told;
};

static void tell(struct comparison *c, const char *name, const char *text) {
    c->each(c->self, name, text);
    c->told++;
}

/* A value in short; freed by the caller. */
static char *short_text(yyjson_val *value) {
    size_t n = 0;
    char *text = value == NULL ? strdup("nothing") : yyjson_val_write(value, 0, &n);
    if (text == NULL || n <= VALUE_BYTES_MAX) return text;
    n = VALUE_BYTES_MAX;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) n--; /* between characters */
    snprintf(text + n, 4, "...");
    return text;
}

static void tell_values(struct comparison *c, const char *where, yyjson_val *theirs, yyjson_val *ours) {
    char text[1024], *says = short_text(theirs), *gives = short_text(ours);
    snprintf(text, sizeof text, "%s: the statement says %s, the files give %s", where, says == NULL ? "something" : says, gives == NULL ? "something else" : gives);
    tell(c, NULL, text);
    free(says);
    free(gives);
}

/* Names what differs, as far inside as there are names for it; of a list, the first item. */
static void compare_value(struct comparison *c, const char *where, yyjson_val *theirs, yyjson_val *ours) {
    char inner[256];
    size_t before = c->told, i, n;
    yyjson_val *key, *value;
    if (yyjson_equals(theirs, ours)) return;
    if (yyjson_is_obj(theirs) && yyjson_is_obj(ours)) {
        yyjson_obj_foreach(ours, i, n, key, value) {
            const char *name = yyjson_get_str(key);
            if (name == NULL) continue;
            snprintf(inner, sizeof inner, "%s.%s", where, name);
            compare_value(c, inner, yyjson_obj_get(theirs, name), value);
        }
        if (c->told > before) return;
    } else if (yyjson_is_arr(theirs) && yyjson_is_arr(ours)) {
        for (i = 0; i < yyjson_arr_size(ours) && yyjson_equals(yyjson_arr_get(theirs, i), yyjson_arr_get(ours, i)); i++) continue;
        snprintf(inner, sizeof inner, "%s[%zu]", where, i);
        tell_values(c, inner, yyjson_arr_get(theirs, i), yyjson_arr_get(ours, i));
        return;
    }
    tell_values(c, where, theirs, ours);
}

static yyjson_val *find_subject(yyjson_val *subjects, const char *name) {
    size_t i, n;
    yyjson_val *subject;
    yyjson_arr_foreach(subjects, i, n, subject) {
        const char *own = yyjson_get_str(yyjson_obj_get(subject, "name"));
        if (own != NULL && strcmp(own, name) == 0) return subject;
    }
    return NULL;
}

/* Each file against the hash that the statement has of it. */
static void compare_subjects(struct comparison *c, yyjson_val *theirs, yyjson_val *ours) {
    size_t i, n;
    yyjson_val *subject;
    if (yyjson_arr_size(theirs) > LT_ZIP_MEMBERS_MAX) {
        tell(c, NULL, "the statement names more files than such a file has");
        return;
    }
    yyjson_arr_foreach(ours, i, n, subject) {
        const char *name = yyjson_get_str(yyjson_obj_get(subject, "name"));
        yyjson_val *said = find_subject(theirs, name);
        if (said == NULL) tell(c, name, "the statement does not name it: it was added");
        else if (!yyjson_equals(yyjson_obj_get(said, "digest"), yyjson_obj_get(subject, "digest"))) tell(c, name, "is not the file that the statement names: another SHA-256");
    }
    yyjson_arr_foreach(theirs, i, n, subject) {
        const char *name = yyjson_get_str(yyjson_obj_get(subject, "name"));
        if (name == NULL) tell(c, NULL, "the statement names a file without a name");
        else if (find_subject(ours, name) == NULL) tell(c, name, "the statement names it, and it is not there");
    }
}

/* Has an object in it a key twice? Of the two another reader may take the other one. What no statement of ours looks like counts as such. */
static bool is_ambiguous(yyjson_val *value, int depth) {
    size_t i, n;
    yyjson_val *key, *item;
    if (depth > DEPTH_MAX || (yyjson_is_obj(value) && yyjson_obj_size(value) > KEYS_MAX)) return true;
    yyjson_arr_foreach(value, i, n, item) if (is_ambiguous(item, depth + 1)) return true;
    yyjson_obj_foreach(value, i, n, key, item)
        if (yyjson_obj_getn(value, yyjson_get_str(key), yyjson_get_len(key)) != item || is_ambiguous(item, depth + 1)) return true;
    return false;
}

static void compare(struct comparison *c, yyjson_val *theirs, yyjson_val *ours) {
    static const char *const types[] = {"_type", "predicateType"};
    yyjson_val *predicate = yyjson_obj_get(theirs, "predicate"), *key, *value;
    const char *version = yyjson_get_str(yyjson_obj_get(predicate, "litmus_version"));
    size_t i, n;
    if (is_ambiguous(theirs, 0)) tell(c, NULL, "an object in the statement has a key twice: two readers may take it otherwise");
    for (i = 0; i < COUNT(types); i++) compare_value(c, types[i], yyjson_obj_get(theirs, types[i]), yyjson_obj_get(ours, types[i]));
    compare_subjects(c, yyjson_obj_get(theirs, "subject"), yyjson_obj_get(ours, "subject"));
    yyjson_obj_foreach(yyjson_obj_get(ours, "predicate"), i, n, key, value) {
        if (strcmp(yyjson_get_str(key), "litmus_version") != 0) compare_value(c, yyjson_get_str(key), yyjson_obj_get(predicate, yyjson_get_str(key)), value);
    }
    /* Another version may say more. */
    if (c->told == 0 && version != NULL && strcmp(version, litmus_version()) == 0)
        tell(c, NULL, "the statement is not written as this version writes it: something was added or moved");
}

int lt_statement_compare(struct lt_str theirs, struct lt_str ours, lt_statement_fn *each, void *self, struct litmus_error *error) {
    struct comparison c = {.each = each, .self = self};
    if (lt_str_eq(theirs, ours)) return LITMUS_OK;
    yyjson_doc *a = yyjson_read(theirs.p, theirs.n, 0), *b = yyjson_read(ours.p, ours.n, 0);
    int code = LITMUS_OK;
    if (b == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a statement");
    else if (!yyjson_is_obj(yyjson_doc_get_root(a))) code = lt_fail(error, LITMUS_EDAMAGED, 0, "the statement is no JSON object");
    else compare(&c, yyjson_doc_get_root(a), yyjson_doc_get_root(b));
    yyjson_doc_free(a);
    yyjson_doc_free(b);
    return code;
}
