/* SPDX-License-Identifier: Apache-2.0 */
#include "prove/keyring.h"

#include "base/grow.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

void lt_keyring_init(struct lt_keyring *ring) {
    *ring = (struct lt_keyring){0};
}

void lt_keyring_release(struct lt_keyring *ring) {
    for (size_t i = 0; i < ring->count; i++) free(ring->keys[i].path);
    free(ring->keys);
    lt_keyring_init(ring);
}

const struct lt_known_key *lt_keyring_find(const struct lt_keyring *ring, const unsigned char public_key[LT_KEY_PUBLIC_BYTES]) {
    for (size_t i = 0; i < ring->count; i++)
        if (memcmp(ring->keys[i].public_key, public_key, LT_KEY_PUBLIC_BYTES) == 0) return &ring->keys[i];
    return NULL;
}

/* "{path}.pub", or "{path}.{id}.pub": {path}. */
static struct lt_str place_of(const struct lt_known_key *key) {
    struct lt_str place = lt_str_of(key->path);
    struct lt_str end = LT_STR(".pub"), id = lt_str_of(key->id);
    if (lt_str_ends(place, end)) place.n -= end.n;
    if (place.n > id.n && lt_str_ends(place, id) && place.p[place.n - id.n - 1] == '.') place.n -= id.n + 1;
    return place;
}

static const struct lt_known_key *find_id(const struct lt_keyring *ring, const char *id) {
    for (size_t i = 0; i < ring->count; i++)
        if (strcmp(ring->keys[i].id, id) == 0) return &ring->keys[i];
    return NULL;
}

bool lt_keyring_same_station(const struct lt_keyring *ring, const char *left, const char *right) {
    const struct lt_known_key *one = find_id(ring, left), *other = find_id(ring, right);
    return one != NULL && other != NULL && lt_str_eq(place_of(one), place_of(other));
}

int lt_keyring_add_file(struct lt_keyring *ring, const char *path, struct litmus_error *error) {
    struct lt_known_key key;
    int code = lt_key_public_read(path, key.public_key, error);
    if (code != LITMUS_OK || lt_keyring_find(ring, key.public_key) != NULL) return code;
    struct lt_known_key *keys = lt_grow_list(ring->keys, ring->count, &ring->capacity, sizeof *keys);
    if (keys != NULL) ring->keys = keys;
    key.path = keys == NULL ? NULL : strdup(path);
    if (key.path == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the known keys");
    lt_key_id(key.public_key, key.id);
    ring->keys[ring->count++] = key;
    return LITMUS_OK;
}

static bool is_public(const char *name) {
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".pub") == 0;
}

/* Is a part of the path in the data_dir? What is there may have been made a link to elsewhere. */
static bool is_by_way_of(const char *data_dir, struct lt_buf *folder) {
    bool is = data_dir != NULL && lt_io_is_below(data_dir, lt_buf_cstr(folder));
    for (size_t i = folder->n; data_dir != NULL && !is && i > 1; i--) {
        if (folder->p[i - 1] != '/') continue;
        folder->p[i - 1] = '\0';
        is = lt_io_is_below(data_dir, folder->p);
        folder->p[i - 1] = '/';
    }
    return is;
}

static int cannot_look(const char *folder, struct litmus_error *error) {
    if (errno != EACCES && errno != EPERM) return lt_fail_os(error, errno, "open", folder);
    return lt_fail(error, LITMUS_EPERM, errno, "cannot look for public keys in %s: %s (name the station's with --key FILE.pub)", folder, strerror(errno));
}

int lt_keyring_add_beside(struct lt_keyring *ring, const char *private_key_path, const char *data_dir, struct litmus_error *error) {
    const char *slash = strrchr(private_key_path, '/');
    if (slash == NULL) return LITMUS_OK;
    struct lt_buf folder, path;
    lt_buf_init(&folder);
    lt_buf_init(&path);
    lt_buf_add(&folder, private_key_path, (size_t)(slash - private_key_path) + 1);
    bool of_record = is_by_way_of(data_dir, &folder);
    DIR *dir = of_record ? NULL : opendir(lt_buf_cstr(&folder));
    int code = dir == NULL && !of_record && errno != ENOENT && errno != ENOTDIR ? cannot_look(lt_buf_cstr(&folder), error) : LITMUS_OK;
    for (struct dirent *entry; code == LITMUS_OK && dir != NULL && (entry = readdir(dir)) != NULL;) {
        struct litmus_error why = {0};
        if (is_public(entry->d_name) && lt_keyring_add_file(ring, lt_path_join(&path, lt_buf_cstr(&folder), entry->d_name), &why) == LITMUS_ENOMEM)
            code = lt_fail(error, LITMUS_ENOMEM, 0, "%s", why.text);
    }
    if (dir != NULL) closedir(dir);
    lt_buf_release(&folder);
    lt_buf_release(&path);
    return code;
}
