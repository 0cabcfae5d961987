/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring.h - the public keys that are known here: the station's own, each *.pub beside it (those of other
 * stations, and the station's former ones), and those that were named. A signature by any other key proves
 * only that its owner made it.
 */
#ifndef LT_PROVE_KEYRING_H
#define LT_PROVE_KEYRING_H

#include "base/key.h"

struct lt_known_key {
    unsigned char public_key[LT_KEY_PUBLIC_BYTES];
    char id[LT_KEY_ID_BYTES];
    char *path; /* of the file that made it known */
};
struct lt_keyring {
    struct lt_known_key *keys;
    size_t count, capacity;
};

void lt_keyring_init(struct lt_keyring *ring); /* allocates nothing */
void lt_keyring_release(struct lt_keyring *ring);
/* A public key in PEM. Errors: EDAMAGED (no such key in it), ENOENT, EIO, EPERM, ENOMEM. */
int lt_keyring_add_file(struct lt_keyring *ring, const char *path, struct litmus_error *error);
/* Each *.pub of the folder in which the private key is, or would be. A missing folder is none, and so is one in the data_dir (NULL: there is none):
 * who writes the record must not vouch for it. A file that holds no key is passed over. Errors: EIO, EPERM, ENOMEM. */
int lt_keyring_add_beside(struct lt_keyring *ring, const char *private_key_path, const char *data_dir, struct litmus_error *error);
/* NULL: not known. Borrowed until the next addition. */
const struct lt_known_key *lt_keyring_find(const struct lt_keyring *ring, const unsigned char public_key[LT_KEY_PUBLIC_BYTES]);
/* Is the one of two known keys (by their ids) the other's successor, or are both of one? `litmus keygen --rotate` puts {path}.pub aside as {path}.{id}.pub. */
bool lt_keyring_same_station(const struct lt_keyring *ring, const char *left, const char *right);

#endif
