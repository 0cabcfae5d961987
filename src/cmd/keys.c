/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/keys.h"

#include "base/config.h"

int lt_cli_keyring(struct lt_cli *cli, struct lt_keyring *out) {
    struct litmus_error error = {0};
    struct lt_buf path;
    int code = LITMUS_OK;
    lt_keyring_init(out);
    lt_buf_init(&path);
    for (size_t i = 0; code == LITMUS_OK && i < cli->known_keys.count; i++) code = lt_keyring_add_file(out, cli->known_keys.items[i], &error);
    const char *data_dir = cli->data_dir.n == 0 ? NULL : lt_buf_cstr(&cli->data_dir);
    if (cli->known_keys.count == 0) code = lt_signing_key_find(NULL, data_dir, &path, &error);
    if (code == LITMUS_OK && path.n > 0) code = lt_keyring_add_beside(out, lt_buf_cstr(&path), data_dir, &error);
    lt_buf_release(&path);
    return code == LITMUS_OK ? EXIT_OK : lt_cli_fail(cli, &error);
}
