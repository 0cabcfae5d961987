/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/envelope.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <yyjson.h>

/* What is signed: DSSE's pre-authentication encoding. */
static void add_signed_text(struct lt_str payload, struct lt_buf *out) {
    lt_buf_addf(out, "DSSEv1 %zu %s %zu ", strlen(LT_STATEMENT_TYPE), LT_STATEMENT_TYPE, payload.n);
    lt_buf_add_str(out, payload);
}

static void add_base64(const void *bytes, size_t n, struct lt_buf *out) {
    if (n > INT_MAX / 2) out->failed = true;
    if (!out->failed && lt_buf_reserve(out, 4 * (n / 3 + 1) + 1)) out->n += (size_t)EVP_EncodeBlock((unsigned char *)out->p + out->n, bytes, (int)n);
}

/* Forgiving: who reads an envelope writes it again and compares. */
static bool read_base64(yyjson_val *value, struct lt_buf *out) {
    const char *text = yyjson_get_str(value);
    size_t n = yyjson_get_len(value);
    if (text == NULL || n == 0 || n % 4 != 0 || n > INT_MAX / 2 || !lt_buf_reserve(out, n)) return false;
    int got = EVP_DecodeBlock((unsigned char *)out->p, (const unsigned char *)text, (int)n);
    size_t padding = (size_t)(text[n - 1] == '=') + (size_t)(text[n - 2] == '=');
    if (got < 0 || (size_t)got < padding) return false;
    out->n = (size_t)got - padding;
    return true;
}

static void write_text(struct lt_str payload, const char *key_id, const unsigned char *signature, struct lt_buf *out) {
    lt_buf_add_text(out, "{\"payloadType\":\"" LT_STATEMENT_TYPE "\",\"payload\":\"");
    add_base64(payload.p, payload.n, out);
    lt_buf_add_text(out, "\",\"signatures\":[");
    if (signature != NULL) {
        lt_buf_addf(out, "{\"keyid\":\"%s\",\"sig\":\"", key_id);
        add_base64(signature, LT_KEY_SIGNATURE_BYTES, out);
        lt_buf_add_text(out, "\"}");
    }
    lt_buf_add_text(out, "]}\n");
}

int lt_envelope_write(struct lt_str payload, const struct lt_key *key, struct lt_buf *out, struct litmus_error *error) {
    unsigned char signature[LT_KEY_SIGNATURE_BYTES];
    char key_id[LT_KEY_ID_BYTES] = "";
    int code = LITMUS_OK;
    if (key != NULL) {
        struct lt_buf text;
        lt_buf_init(&text);
        add_signed_text(payload, &text);
        code = text.failed ? LITMUS_ENOMEM : lt_key_sign(key, text.p, text.n, signature, error);
        lt_buf_release(&text);
        lt_key_id(lt_key_public(key), key_id);
    }
    if (code == LITMUS_OK) write_text(payload, key_id, key == NULL ? NULL : signature, out);
    return code == LITMUS_OK && !out->failed ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a statement");
}

static bool read_signature(yyjson_val *value, struct lt_envelope *out) {
    struct lt_buf bytes;
    yyjson_val *id = yyjson_obj_get(value, "keyid");
    lt_buf_init(&bytes);
    bool ok = read_base64(yyjson_obj_get(value, "sig"), &bytes) && bytes.n == sizeof out->signature && yyjson_is_str(id) && yyjson_get_len(id) == sizeof out->key_id - 1;
    if (ok) memcpy(out->signature, bytes.p, bytes.n);
    if (ok) memcpy(out->key_id, yyjson_get_str(id), sizeof out->key_id - 1);
    out->is_signed = ok;
    lt_buf_release(&bytes);
    return ok;
}

static bool is_written_so(const struct lt_envelope *e, struct lt_str text) {
    struct lt_buf again;
    lt_buf_init(&again);
    write_text((struct lt_str){e->payload.p, e->payload.n}, e->key_id, e->is_signed ? e->signature : NULL, &again);
    bool same = !again.failed && lt_str_eq((struct lt_str){again.p, again.n}, text);
    lt_buf_release(&again);
    return same;
}

int lt_envelope_read(struct lt_str text, struct lt_envelope *out, struct litmus_error *error) {
    *out = (struct lt_envelope){.is_signed = false};
    yyjson_doc *doc = yyjson_read(text.p, text.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *signatures = yyjson_obj_get(root, "signatures");
    bool ok = read_base64(yyjson_obj_get(root, "payload"), &out->payload) && yyjson_is_arr(signatures) && yyjson_arr_size(signatures) <= 1 &&
              (yyjson_arr_size(signatures) == 0 || read_signature(yyjson_arr_get_first(signatures), out)) && is_written_so(out, text);
    yyjson_doc_free(doc);
    return ok ? LITMUS_OK : lt_fail(error, LITMUS_EDAMAGED, 0, "it is no envelope as litmus evidence writes it (DSSE, with one signature or none): it was changed or replaced");
}

void lt_envelope_release(struct lt_envelope *envelope) {
    lt_buf_release(&envelope->payload);
}

bool lt_envelope_holds(const struct lt_envelope *e, const unsigned char public_key[LT_KEY_PUBLIC_BYTES]) {
    struct lt_buf text;
    lt_buf_init(&text);
    add_signed_text((struct lt_str){e->payload.p, e->payload.n}, &text);
    bool holds = e->is_signed && !text.failed && lt_key_verify(public_key, text.p, text.n, e->signature);
    lt_buf_release(&text);
    return holds;
}
