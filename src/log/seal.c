/* SPDX-License-Identifier: Apache-2.0 */
#include "log/seal.h"

#include "base/hex.h"

#include <stdio.h>

static const char by_producer_word[] = "producer", by_recovery_word[] = "recovery";

/* What is signed. */
static size_t make_statement(const struct lt_head *head, bool by_recovery, char *out, size_t size) {
    char chain[2 * LT_CHAIN_BYTES + 1];
    lt_hex_text(head->chain, sizeof head->chain, chain);
    int n = snprintf(out, size, "litmus-seal-1\n%s\n%lld\n%s\n%s\n", by_recovery ? by_recovery_word : by_producer_word, (long long)head->rows, chain, head->identity);
    return (size_t)n;
}

enum { STATEMENT_BYTES = 512 };
static_assert(STATEMENT_BYTES > LT_LOG_IDENTITY_MAX + 2 * LT_CHAIN_BYTES + 64, "it always fits");

int lt_seal_sign(const struct lt_key *key, const struct lt_head *head, bool by_recovery, struct lt_seal *out, struct litmus_error *error) {
    char statement[STATEMENT_BYTES];
    *out = (struct lt_seal){.is_signed = key != NULL, .by_recovery = by_recovery};
    if (key == NULL) return LITMUS_OK;
    memcpy(out->public_key, lt_key_public(key), sizeof out->public_key);
    return lt_key_sign(key, statement, make_statement(head, by_recovery, statement, sizeof statement), out->signature, error);
}

bool lt_seal_holds(const struct lt_seal *seal, const struct lt_head *head) {
    char statement[STATEMENT_BYTES];
    return seal->is_signed && lt_key_verify(seal->public_key, statement, make_statement(head, seal->by_recovery, statement, sizeof statement), seal->signature);
}

bool lt_seal_put(const struct lt_seal *seal, struct lt_ipc_schema *schema) {
    char public_key[2 * LT_KEY_PUBLIC_BYTES + 1], signature[2 * LT_KEY_SIGNATURE_BYTES + 1];
    if (!seal->is_signed) return true;
    lt_hex_text(seal->public_key, sizeof seal->public_key, public_key);
    lt_hex_text(seal->signature, sizeof seal->signature, signature);
    return lt_ipc_schema_put(schema, LT_META_SEALED_BY, seal->by_recovery ? by_recovery_word : by_producer_word) &&
           lt_ipc_schema_put(schema, LT_META_PUBLIC_KEY, public_key) && lt_ipc_schema_put(schema, LT_META_SIGNATURE, signature);
}

bool lt_seal_read(const unsigned char *footer, struct lt_seal *out) {
    struct lt_str by = lt_ipc_footer_text(footer, LT_META_SEALED_BY), public_key = lt_ipc_footer_text(footer, LT_META_PUBLIC_KEY),
                  signature = lt_ipc_footer_text(footer, LT_META_SIGNATURE);
    *out = (struct lt_seal){.is_signed = true, .by_recovery = lt_str_eq(by, LT_STR(by_recovery_word))};
    if (by.p == NULL && public_key.p == NULL && signature.p == NULL) out->is_signed = false;
    return !out->is_signed || ((out->by_recovery || lt_str_eq(by, LT_STR(by_producer_word))) && lt_hex_parse(public_key, out->public_key, sizeof out->public_key) &&
                               lt_hex_parse(signature, out->signature, sizeof out->signature));
}
