/* SPDX-License-Identifier: Apache-2.0 */
#include "base/key.h"

#include "base/hex.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the public half ---- */
void lt_key_fingerprint(const unsigned char public_key[LT_KEY_PUBLIC_BYTES], char out[LT_KEY_FINGERPRINT_BYTES]) {
    /* SubjectPublicKeyInfo of Ed25519 (RFC 8410): always this, and then the key. */
    unsigned char der[12 + LT_KEY_PUBLIC_BYTES] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}, digest[32];
    memcpy(der + 12, public_key, LT_KEY_PUBLIC_BYTES);
    SHA256(der, sizeof der, digest);
    lt_hex_text(digest, sizeof digest, out);
}

void lt_key_id(const unsigned char public_key[LT_KEY_PUBLIC_BYTES], char out[LT_KEY_ID_BYTES]) {
    char fingerprint[LT_KEY_FINGERPRINT_BYTES];
    lt_key_fingerprint(public_key, fingerprint);
    memcpy(out, fingerprint, LT_KEY_ID_BYTES - 1);
    out[LT_KEY_ID_BYTES - 1] = '\0';
}

bool lt_key_verify(const unsigned char public_key[LT_KEY_PUBLIC_BYTES], const void *bytes, size_t n, const unsigned char signature[LT_KEY_SIGNATURE_BYTES]) {
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, LT_KEY_PUBLIC_BYTES);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = key != NULL && context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestVerify(context, signature, LT_KEY_SIGNATURE_BYTES, bytes, n) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return ok;
}

/* All that was written to a memory BIO. */
static void take_text(BIO *bio, struct lt_buf *out) {
    char *text = NULL;
    long n = BIO_get_mem_data(bio, &text);
    if (n > 0) lt_buf_add(out, text, (size_t)n);
    else out->failed = true;
}

void lt_key_public_pem(const unsigned char public_key[LT_KEY_PUBLIC_BYTES], struct lt_buf *out) {
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, LT_KEY_PUBLIC_BYTES);
    BIO *bio = BIO_new(BIO_s_mem());
    if (key != NULL && bio != NULL && PEM_write_bio_PUBKEY(bio, key) == 1) take_text(bio, out);
    else out->failed = true;
    BIO_free(bio);
    EVP_PKEY_free(key);
}

/* Else the library asks on the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *self) {
    (void)buffer, (void)size, (void)writing, (void)self;
    return -1;
}

bool lt_key_public_parse(struct lt_str pem, unsigned char public_key[LT_KEY_PUBLIC_BYTES]) {
    if (pem.n > LT_KEY_FILE_BYTES_MAX) return false;
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    size_t n = LT_KEY_PUBLIC_BYTES;
    bool ok = key != NULL && EVP_PKEY_id(key) == EVP_PKEY_ED25519 && EVP_PKEY_get_raw_public_key(key, public_key, &n) == 1 && n == LT_KEY_PUBLIC_BYTES;
    EVP_PKEY_free(key);
    BIO_free(bio);
    return ok;
}

int lt_key_public_read(const char *path, unsigned char public_key[LT_KEY_PUBLIC_BYTES], struct litmus_error *error) {
    struct lt_buf pem;
    lt_buf_init(&pem);
    int code = lt_io_read_file(path, LT_KEY_FILE_BYTES_MAX, &pem, error);
    if (code == LITMUS_OK && !lt_key_public_parse((struct lt_str){pem.p, pem.n}, public_key))
        code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s holds no public Ed25519 key in PEM: litmus keygen --public prints the station's", path);
    lt_buf_release(&pem);
    return code;
}

/* ---- the private key ---- */
struct lt_key {
    EVP_PKEY *pkey;
    unsigned char public_key[LT_KEY_PUBLIC_BYTES];
};

/* Takes `pkey`. NULL: it is none of ours, or memory is out. */
static struct lt_key *key_of(EVP_PKEY *pkey) {
    struct lt_key *key = calloc(1, sizeof *key);
    size_t n = LT_KEY_PUBLIC_BYTES;
    if (key != NULL && pkey != NULL && EVP_PKEY_id(pkey) == EVP_PKEY_ED25519 && EVP_PKEY_get_raw_public_key(pkey, key->public_key, &n) == 1) {
        key->pkey = pkey;
        return key;
    }
    EVP_PKEY_free(pkey);
    free(key);
    return NULL;
}

void lt_key_free(struct lt_key *key) {
    if (key == NULL) return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

const unsigned char *lt_key_public(const struct lt_key *key) {
    return key->public_key;
}

int lt_key_new(struct lt_key **out, struct litmus_error *error) {
    *out = key_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    return *out != NULL ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "no key could be made: out of memory, or without random numbers");
}

/* Of a descriptor, so that what was looked at is what is read. */
static int check_private(int fd, const char *path, struct litmus_error *error) {
    struct stat st;
    if (fstat(fd, &st) != 0) return lt_fail_os(error, errno, "look at", path);
    if (!S_ISREG(st.st_mode)) return lt_fail(error, LITMUS_EDAMAGED, 0, "the signing key %s is no plain file", path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return lt_fail(error, LITMUS_EPERM, 0, "the signing key %s belongs to another user: chown it, or name another key (signing_key in litmus.yaml)", path);
    if ((st.st_mode & 077) != 0)
        return lt_fail(error, LITMUS_EPERM, 0, "the signing key %s can be used by others (mode %04o): chmod 600 it, and if others may have read it, litmus keygen --rotate",
                       path, (unsigned)(st.st_mode & 07777));
    return LITMUS_OK;
}

static int parse_private(struct lt_str pem, const char *path, struct lt_key **out, struct litmus_error *error) {
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *pkey = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    *out = pkey == NULL ? NULL : key_of(pkey);
    if (*out != NULL) return LITMUS_OK;
    return lt_fail(error, LITMUS_EDAMAGED, 0, "%s holds no private Ed25519 key in PEM without a passphrase: litmus keygen makes one elsewhere", path);
}

int lt_key_read(const char *path, struct lt_key **out, struct litmus_error *error) {
    char bytes[LT_KEY_FILE_BYTES_MAX];
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return lt_fail_os(error, errno, "open the signing key", path);
    int code = check_private(fd, path, error);
    ssize_t n = code == LITMUS_OK ? pread(fd, bytes, sizeof bytes, 0) : 0;
    if (n < 0) code = lt_fail_os(error, errno, "read the signing key", path);
    close(fd);
    if (code == LITMUS_OK) code = parse_private((struct lt_str){bytes, (size_t)n}, path, out, error);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return code;
}

static int write_private(int fd, const struct lt_key *key, const char *path, struct litmus_error *error) {
    BIO *bio = BIO_new(BIO_s_secmem());
    char *text = NULL;
    long n = bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1 ? BIO_get_mem_data(bio, &text) : 0;
    int code = n > 0 ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a key");
    if (code == LITMUS_OK && (lt_io_write_all(&lt_io_os, fd, text, (size_t)n, NULL) != 0 || fsync(fd) != 0)) code = lt_fail_os(error, errno, "write", path);
    BIO_free(bio);
    return code;
}

int lt_key_write(const struct lt_key *key, const char *path, struct litmus_error *error) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) return lt_fail(error, LITMUS_EBUSY, EEXIST, "there is a key already: %s is never replaced; litmus keygen --rotate puts it aside", path);
    if (fd < 0) return lt_fail_os(error, errno, "create", path);
    int code = write_private(fd, key, path, error);
    close(fd);
    if (code != LITMUS_OK) unlink(path);
    return code;
}

int lt_key_sign(const struct lt_key *key, const void *bytes, size_t n, unsigned char signature[LT_KEY_SIGNATURE_BYTES], struct litmus_error *error) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t length = LT_KEY_SIGNATURE_BYTES;
    bool ok = context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
              EVP_DigestSign(context, signature, &length, bytes, n) == 1 && length == LT_KEY_SIGNATURE_BYTES;
    EVP_MD_CTX_free(context);
    return ok ? LITMUS_OK : lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a signature");
}

/* ---- the key at a path ---- */
void lt_key_place_init(struct lt_key_place *place) {
    *place = (struct lt_key_place){0};
}

void lt_key_place_release(struct lt_key_place *place) {
    lt_key_free(place->key);
    lt_buf_release(&place->path);
    lt_key_place_init(place);
}

int lt_key_place_get(struct lt_key_place *place, const struct lt_key **out, struct litmus_error *error) {
    struct stat st;
    *out = NULL;
    if (place->path.n == 0) return LITMUS_OK;
    const char *path = lt_buf_cstr(&place->path);
    bool there = stat(path, &st) == 0;
    if (there && place->key != NULL && st.st_ino == place->inode && lt_mtime_ns(&st) == place->changed_ns && (st.st_mode & 077) == 0) {
        *out = place->key;
        return LITMUS_OK;
    }
    lt_key_free(place->key);
    place->key = NULL;
    if (!there && (errno == ENOENT || errno == ENOTDIR)) return LITMUS_OK;
    int code = lt_key_read(path, &place->key, error);
    if (code != LITMUS_OK) return code;
    place->inode = st.st_ino;
    place->changed_ns = lt_mtime_ns(&st);
    *out = place->key;
    return LITMUS_OK;
}
