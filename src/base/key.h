/* SPDX-License-Identifier: Apache-2.0
 *
 * key.h - Ed25519 keys: the station's, which signs, and those of others, which only verify. key.c is the only
 * file that knows the library behind them.
 *
 * Always true: a private key is read only from a plain file that belongs to us (or to root) and that nobody
 * else may read or write; it is never asked for on a terminal. The fingerprint of a key is the SHA-256 of its
 * public half in DER, what `openssl pkey -pubin -in station.pub -outform DER | sha256sum` prints; its id is
 * the first 16 digits of that.
 */
#ifndef LT_BASE_KEY_H
#define LT_BASE_KEY_H

#include "base/io.h"

enum {
    LT_KEY_PUBLIC_BYTES = 32,
    LT_KEY_SIGNATURE_BYTES = 64,
    LT_KEY_FINGERPRINT_BYTES = 65, /* text, terminated */
    LT_KEY_ID_BYTES = 17,          /* text, terminated */
    LT_KEY_FILE_BYTES_MAX = 8192,
};

/* ---- the public half: 32 bytes ---- */
/* All of 64 digits, and their first 16. */
void lt_key_fingerprint(const unsigned char public_key[LT_KEY_PUBLIC_BYTES], char out[LT_KEY_FINGERPRINT_BYTES]);
void lt_key_id(const unsigned char public_key[LT_KEY_PUBLIC_BYTES], char out[LT_KEY_ID_BYTES]);
bool lt_key_verify(const unsigned char public_key[LT_KEY_PUBLIC_BYTES], const void *bytes, size_t n, const unsigned char signature[LT_KEY_SIGNATURE_BYTES]);
/* Appends it as PEM. */
void lt_key_public_pem(const unsigned char public_key[LT_KEY_PUBLIC_BYTES], struct lt_buf *out);
bool lt_key_public_parse(struct lt_str pem, unsigned char public_key[LT_KEY_PUBLIC_BYTES]);
/* EDAMAGED: no such key in the file; ENOENT, EIO, EPERM. */
int lt_key_public_read(const char *path, unsigned char public_key[LT_KEY_PUBLIC_BYTES], struct litmus_error *error);

/* ---- the private key ---- */
struct lt_key;
int lt_key_new(struct lt_key **out, struct litmus_error *error);
/* Hands over *out. ENOENT: there is none; EPERM: others can get at it; EDAMAGED: no Ed25519 key in PEM without a passphrase. */
int lt_key_read(const char *path, struct lt_key **out, struct litmus_error *error);
/* Makes the file, mode 0600. EBUSY: there is one already, which is never replaced. On failure no file is left. */
int lt_key_write(const struct lt_key *key, const char *path, struct litmus_error *error);
void lt_key_free(struct lt_key *key); /* NULL accepted */
const unsigned char *lt_key_public(const struct lt_key *key);
/* Threads may sign with one key at the same time. ENOMEM. */
int lt_key_sign(const struct lt_key *key, const void *bytes, size_t n, unsigned char signature[LT_KEY_SIGNATURE_BYTES], struct litmus_error *error);

/* ---- the key at a path, as it is now ---- */
struct lt_key_place {
    struct lt_buf path; /* empty: nowhere */
    struct lt_key *key;
    int64_t changed_ns; /* of the file that was read */
    uint64_t inode;
};
void lt_key_place_init(struct lt_key_place *place); /* allocates nothing; fill path */
void lt_key_place_release(struct lt_key_place *place);
/* Looks whether the file has come, gone or changed. *out, borrowed until the next call, is NULL when there is none
 * (LITMUS_OK) and when it cannot be used (errors of lt_key_read). */
int lt_key_place_get(struct lt_key_place *place, const struct lt_key **out, struct litmus_error *error);

#endif
