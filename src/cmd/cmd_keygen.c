/* SPDX-License-Identifier: Apache-2.0
 *
 * The key with which the station signs its logs: make it, show its public half, put it aside for a new one.
 */
#include "base/config.h"
#include "base/key.h"
#include "cmd/cmd.h"
#include "cmd/screen.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the private key is, or is to be. */
static int find_place(struct lt_cli *cli, struct lt_buf *path, struct litmus_error *error) {
    int code = lt_data_dir_find(cli->data_dir_given, &cli->data_dir, NULL); /* its litmus.yaml may say where; there need be none */
    code = lt_signing_key_find(cli->key, code == LITMUS_OK ? lt_buf_cstr(&cli->data_dir) : NULL, path, error);
    if (code == LITMUS_OK && path->n == 0)
        code = lt_fail(error, LITMUS_ECONFIG, 0, "no place for a key: neither LITMUS_SIGNING_KEY, LITMUS_HOME nor HOME is set; name one with --key");
    lt_buf_cstr(path);
    return code;
}

static int publish(const struct lt_key *key, const char *path, struct litmus_error *error) {
    struct lt_buf name, pem;
    lt_buf_init(&name);
    lt_buf_init(&pem);
    lt_buf_addf(&name, "%s.pub", path);
    lt_key_public_pem(lt_key_public(key), &pem);
    int code = name.failed || pem.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a key") : lt_io_publish(&lt_io_os, lt_buf_cstr(&name), pem.p, pem.n, error);
    lt_buf_release(&name);
    lt_buf_release(&pem);
    return code;
}

/* Its folder, for nobody else where it has to be made. */
static int make_folder(const char *path, struct litmus_error *error) {
    struct lt_buf folder;
    lt_buf_init(&folder);
    lt_buf_add(&folder, path, (size_t)(strrchr(path, '/') - path));
    mode_t mask = umask(077);
    int code = folder.n == 0 ? LITMUS_OK : lt_io_mkdirs(&lt_io_os, lt_buf_cstr(&folder), error);
    umask(mask);
    lt_buf_release(&folder);
    return code;
}

/* {path} and {path}.pub become {path}.{id} and {path}.{id}.pub, the public half first: it is never gone. */
static int put_aside(const char *path, struct litmus_error *error) {
    struct lt_key *key = NULL;
    struct lt_buf aside;
    char id[LT_KEY_ID_BYTES];
    lt_buf_init(&aside);
    int code = lt_key_read(path, &key, error);
    if (code == LITMUS_OK) {
        lt_key_id(lt_key_public(key), id);
        lt_buf_addf(&aside, "%s.%s", path, id);
        code = publish(key, lt_buf_cstr(&aside), error);
    }
    if (code == LITMUS_OK && (access(aside.p, F_OK) == 0 || rename(path, aside.p) != 0))
        code = lt_fail(error, LITMUS_EBUSY, errno, "%s cannot become %s: move one of them elsewhere", path, aside.p);
    lt_key_free(key);
    lt_buf_release(&aside);
    return code;
}

/* A public key without its private one still proves what it signed. */
static int spare_public(const char *path, struct litmus_error *error) {
    struct lt_buf name;
    lt_buf_init(&name);
    lt_buf_addf(&name, "%s.pub", path);
    int code = name.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : LITMUS_OK;
    if (code == LITMUS_OK && access(path, F_OK) != 0 && access(lt_buf_cstr(&name), F_OK) == 0)
        code = lt_fail(error, LITMUS_EBUSY, EEXIST, "%s is there without its private key: give it another name that ends in .pub, so that it stays known", name.p);
    lt_buf_release(&name);
    return code;
}

static void tell(struct lt_cli *cli, const struct lt_key *key, const char *path) {
    char fingerprint[LT_KEY_FINGERPRINT_BYTES], id[LT_KEY_ID_BYTES];
    struct lt_buf line;
    lt_buf_init(&line);
    lt_key_fingerprint(lt_key_public(key), fingerprint);
    lt_key_id(lt_key_public(key), id);
    if (cli->json) {
        lt_buf_addf(&line, "{\"key\":\"%s\",\"fingerprint\":\"%s\",\"private_key\":", id, fingerprint);
        lt_add_json_str(lt_str_of(path), &line);
        lt_buf_add_text(&line, "}");
        lt_print_json(&line);
    } else {
        lt_buf_addf(&line, "%s  ", fingerprint);
        lt_show_str(&line, lt_str_of(path));
        puts(lt_buf_cstr(&line));
    }
    lt_buf_release(&line);
}

static int print_public(const struct lt_key *key) {
    struct lt_buf pem;
    lt_buf_init(&pem);
    lt_key_public_pem(lt_key_public(key), &pem);
    fwrite(pem.p, 1, pem.n, stdout);
    lt_buf_release(&pem);
    return EXIT_OK;
}

static int show(struct lt_cli *cli, const char *path, struct litmus_error *error) {
    struct lt_key *key = NULL;
    int code = lt_key_read(path, &key, error);
    if (code == LITMUS_OK && cli->json) tell(cli, key, path);
    else if (code == LITMUS_OK) print_public(key);
    lt_key_free(key);
    return code;
}

static int make(struct lt_cli *cli, const char *path, struct litmus_error *error) {
    struct lt_key *key = NULL;
    int code = make_folder(path, error);
    if (code == LITMUS_OK) code = spare_public(path, error);
    if (code == LITMUS_OK && cli->rotate) code = put_aside(path, error);
    if (code == LITMUS_OK) code = lt_key_new(&key, error);
    if (code == LITMUS_OK) code = lt_key_write(key, path, error);
    if (code == LITMUS_OK) code = publish(key, path, error);
    if (code == LITMUS_OK) tell(cli, key, path);
    lt_key_free(key);
    return code;
}

int lt_cmd_keygen(struct lt_cli *cli) {
    struct lt_buf path;
    struct litmus_error error = {0};
    if (cli->public_key && cli->rotate) return lt_usage(cli, "either --public or --rotate");
    lt_buf_init(&path);
    int code = find_place(cli, &path, &error);
    if (code == LITMUS_OK) code = cli->public_key ? show(cli, path.p, &error) : make(cli, path.p, &error);
    lt_buf_release(&path);
    return code == LITMUS_OK ? EXIT_OK : lt_cli_fail(cli, &error);
}
