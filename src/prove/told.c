/* SPDX-License-Identifier: Apache-2.0 */
#include "prove/told.h"

#include "base/hex.h"
#include "base/json_text.h"

void lt_told_finding(const char *path, int64_t offset, const char *text, struct lt_buf *out) {
    lt_buf_add_text(out, "{\"file_path\":");
    lt_json_str(out, lt_str_of(path));
    if (offset >= 0) lt_buf_addf(out, ",\"offset\":%lld", (long long)offset);
    else lt_buf_add_text(out, ",\"offset\":null");
    lt_buf_add_text(out, ",\"finding\":");
    lt_json_str(out, lt_str_of(text));
    lt_buf_add_char(out, '}');
}

void lt_told_unread(const char *path, const char *text, struct lt_buf *out) {
    lt_buf_add_text(out, "{\"file_path\":");
    lt_json_str(out, lt_str_of(path));
    lt_buf_add_text(out, ",\"finding\":null,\"unread\":");
    lt_json_str(out, lt_str_of(text));
    lt_buf_add_char(out, '}');
}

void lt_told_log(const struct lt_proved_log *log, struct lt_buf *out) {
    char chain[2 * LT_CHAIN_BYTES + 1];
    bool is_signed = log->key_id[0] != '\0';
    lt_hex_text(log->head.chain, sizeof log->head.chain, chain);
    lt_buf_add_text(out, "{\"file_path\":");
    lt_json_str(out, lt_str_of(log->path));
    lt_buf_addf(out, ",\"finding\":null,\"findings\":%lld,\"events\":%lld,\"chain\":\"%s\"", (long long)log->findings, (long long)log->head.rows, chain);
    lt_buf_addf(out, ",\"sealed\":%s,\"signature\":\"%s\"", log->end == LT_LOG_SEALED ? "true" : "false", lt_signature_words[log->signature]);
    if (is_signed) lt_buf_addf(out, ",\"key\":\"%s\",\"sealed_by\":\"%s\"", log->key_id, log->by_recovery ? "recovery" : "producer");
    else lt_buf_add_text(out, ",\"key\":null,\"sealed_by\":null");
    lt_buf_addf(out, ",\"clock_steps\":%lld}", (long long)log->clock_steps);
}
