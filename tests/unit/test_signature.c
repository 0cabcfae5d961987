/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys, and what a key says of a log's end: made by the writer, by recovery, kept by an archive; and no longer
 * right when anything before it is another.
 */
#define _GNU_SOURCE
#include "base/config.h"
#include "base/hex.h"
#include "base/key.h"
#include "log/archive.h"
#include "log_helper.h"
#include "prove/keyring.h"

#include <sys/stat.h>

enum { EVENTS = 20 };

static struct lt_key *new_key(void) {
    struct litmus_error error = {0};
    struct lt_key *key = NULL;
    assert_ok(lt_key_new(&key, &error), error);
    return key;
}

static void write_signed(const char *dir, const struct lt_key *key, bool seal, char path[512]) {
    struct litmus_error error = {0};
    struct lt_log_options options = {.data_dir = dir, .session_id = SESSION, .key = key};
    struct lt_log_writer *writer = NULL;
    assert_ok(lt_log_create(&options, &writer, &error), error);
    append_rows(writer, 0, EVENTS);
    snprintf(path, 512, "%s", lt_log_writer_path(writer));
    if (seal) assert_ok(lt_log_seal(writer, &error), error);
    lt_log_writer_free(writer);
}

/* Reads to the end with the chain checked. */
static struct lt_seal seal_of(const char *path, bool *chain_ok, struct lt_head *head) {
    struct litmus_error error = {0};
    struct lt_log_reader *reader = NULL;
    struct lt_row row;
    assert_ok(lt_log_reader_open(path, &reader, &error), error);
    lt_log_reader_check_chain(reader);
    for (enum lt_log_status status = LT_LOG_EVENT; status == LT_LOG_EVENT || status == LT_LOG_DAMAGED;) status = lt_log_next(reader, &row, &error);
    struct lt_seal seal = lt_log_reader_seal(reader);
    *chain_ok = lt_log_reader_chain_ok(reader);
    if (head != NULL) *head = lt_log_reader_head(reader);
    lt_log_reader_free(reader);
    return seal;
}

static void assert_signed_by(const char *path, const struct lt_key *key, bool by_recovery) {
    bool chain_ok;
    struct lt_seal seal = seal_of(path, &chain_ok, NULL);
    assert_true(chain_ok);
    assert_true(seal.is_signed && seal.holds);
    assert_int_equal(seal.by_recovery, by_recovery);
    assert_memory_equal(seal.public_key, lt_key_public(key), sizeof seal.public_key);
}

/* RFC 8032, 7.1, test 2: the signature is Ed25519 as everyone has it. */
static void test_ed25519_of_the_standard(void **state) {
    (void)state;
    unsigned char public_key[LT_KEY_PUBLIC_BYTES], signature[LT_KEY_SIGNATURE_BYTES];
    assert_true(lt_hex_parse(LT_STR("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"), public_key, sizeof public_key));
    assert_true(lt_hex_parse(LT_STR("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
                             signature, sizeof signature));
    assert_true(lt_key_verify(public_key, "\x72", 1, signature));
    assert_false(lt_key_verify(public_key, "\x73", 1, signature));
}

static void test_a_sealed_log_is_signed(void **state) {
    (void)state;
    char dir[256], path[512];
    make_temp(dir);
    struct lt_key *key = new_key();
    write_signed(dir, key, true, path);
    assert_signed_by(path, key, false);
    lt_key_free(key);
}

static void test_recovery_signs_what_it_found(void **state) {
    (void)state;
    char dir[256], path[512];
    struct litmus_error error = {0};
    struct lt_log_recovery report;
    make_temp(dir);
    struct lt_key *key = new_key();
    write_signed(dir, NULL, false, path);
    assert_ok(lt_log_recover(NULL, path, key, &report, &error), error);
    assert_signed_by(path, key, true);
    assert_int_equal(report.head.rows, EVENTS);
    lt_key_free(key);
}

static void test_an_archive_keeps_the_signature(void **state) {
    (void)state;
    char dir[256], path[512];
    struct litmus_error error = {0};
    struct lt_log_archived done;
    make_temp(dir);
    struct lt_key *key = new_key();
    write_signed(dir, key, true, path);
    assert_ok(lt_log_archive(NULL, path, false, &done, &error), error);
    assert_true(done.bytes_after < done.bytes_before);
    assert_signed_by(path, key, false);
    lt_key_free(key);
}

/* Who cuts events off and seals again, without the key: the end is another, and so nothing is signed. */
static void test_a_signature_does_not_move(void **state) {
    (void)state;
    char dir[256], other[256], path[512], shorter[512];
    bool chain_ok;
    struct lt_head head;
    make_temp(dir);
    make_temp(other);
    struct lt_key *key = new_key();
    write_signed(dir, key, true, path);
    struct lt_seal seal = seal_of(path, &chain_ok, &head);
    write_log(other, EVENTS - 1, true, shorter);
    struct lt_seal none = seal_of(shorter, &chain_ok, NULL);
    assert_true(chain_ok);
    assert_false(none.is_signed);
    struct lt_buf bytes;
    load_file(path, &bytes);
    char hex[2 * LT_KEY_SIGNATURE_BYTES + 1];
    lt_hex_text(seal.signature, sizeof seal.signature, hex);
    char *digit = memmem(bytes.p, bytes.n, hex, sizeof hex - 1);
    assert_non_null(digit);
    *digit = *digit == '0' ? '1' : '0';
    store_file(path, bytes.p, bytes.n);
    struct lt_seal spoiled = seal_of(path, &chain_ok, NULL);
    assert_false(chain_ok);
    assert_false(spoiled.is_signed && spoiled.holds);
    assert_true(seal.holds);
    lt_buf_release(&bytes);
    lt_key_free(key);
}

static void test_a_private_key_is_private(void **state) {
    (void)state;
    char dir[256], path[300];
    struct litmus_error error = {0};
    struct lt_key *key = new_key(), *again = NULL;
    struct stat st;
    make_temp(dir);
    snprintf(path, sizeof path, "%s/station.key", dir);
    umask(0);
    assert_ok(lt_key_write(key, path, &error), error);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_ok(lt_key_read(path, &again, &error), error);
    assert_memory_equal(lt_key_public(again), lt_key_public(key), LT_KEY_PUBLIC_BYTES);
    lt_key_free(again);
    assert_int_equal(lt_key_write(key, path, &error), LITMUS_EBUSY);
    lt_error_clear(&error);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(lt_key_read(path, &again, &error), LITMUS_EPERM);
    assert_non_null(strstr(error.text, "chmod 600"));
    lt_error_clear(&error);
    static const char no_key[] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    store_file(path, no_key, sizeof no_key - 1);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(lt_key_read(path, &again, &error), LITMUS_EDAMAGED);
    assert_null(again);
    lt_error_clear(&error);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(lt_key_read(path, &again, &error), LITMUS_ENOENT);
    lt_key_free(key);
}

static void test_where_the_key_is(void **state) {
    (void)state;
    static const struct {
        const char *variable, *home, *xdg, *yaml, *expected;
    } rows[] = {
        {NULL, NULL, NULL, NULL, "/h/.config/litmus/station.key"}, {NULL, NULL, "/x", NULL, "/x/litmus/station.key"},
        {NULL, "/l", "/x", NULL, "/l/station.key"},                {NULL, "/l", "/x", "signing_key: /y/k\n", "/y/k"},
        {NULL, NULL, NULL, "signing_key: ~/k\n", "/h/k"},          {"/v/k", "/l", "/x", "signing_key: /y/k\n", "/v/k"},
    };
    char dir[256], path[300];
    make_temp(dir);
    assert_int_equal(chdir(dir), 0);
    snprintf(path, sizeof path, "%s/litmus.yaml", dir);
    setenv("HOME", "/h", 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct litmus_error error = {0};
        struct lt_buf out;
        const char *const names[] = {"LITMUS_SIGNING_KEY", "LITMUS_HOME", "XDG_CONFIG_HOME"}, *const values[] = {rows[i].variable, rows[i].home, rows[i].xdg};
        for (int k = 0; k < 3; k++) {
            if (values[k] == NULL) unsetenv(names[k]);
            else setenv(names[k], values[k], 1);
        }
        const char *yaml = rows[i].yaml == NULL ? "record: optional\n" : rows[i].yaml;
        store_file(path, yaml, strlen(yaml));
        lt_buf_init(&out);
        assert_ok(lt_signing_key_find(NULL, NULL, &out, &error), error);
        assert_string_equal(lt_buf_cstr(&out), rows[i].expected);
        lt_buf_release(&out);
    }
}

/* Who checks need not be who signs: what is to be done is not to choose another data_dir. */
static void test_keys_in_a_folder_of_another_user(void **state) {
    (void)state;
    char dir[256], path[300];
    struct litmus_error error = {0};
    struct lt_keyring keys;
    make_temp(dir);
    snprintf(path, sizeof path, "%s/station.key", dir);
    assert_int_equal(chmod(dir, 0), 0);
    bool root = geteuid() == 0;
    if (root) assert_int_equal(seteuid(65534), 0);
    lt_keyring_init(&keys);
    int code = lt_keyring_add_beside(&keys, path, NULL, &error);
    if (root) assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(dir, 0700), 0);
    assert_int_equal(code, LITMUS_EPERM);
    assert_non_null(strstr(error.text, "--key"));
    assert_null(strstr(error.text, "data_dir"));
    lt_keyring_release(&keys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ed25519_of_the_standard), cmocka_unit_test(test_a_sealed_log_is_signed), cmocka_unit_test(test_recovery_signs_what_it_found),
        cmocka_unit_test(test_an_archive_keeps_the_signature), cmocka_unit_test(test_a_signature_does_not_move), cmocka_unit_test(test_a_private_key_is_private),
        cmocka_unit_test(test_where_the_key_is), cmocka_unit_test(test_keys_in_a_folder_of_another_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
