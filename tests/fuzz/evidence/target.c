/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - any bytes as an evidence file: it is checked or refused with a reason, nothing is left of it, and only
 * what the station of the corpus signed counts as signed by its key.
 */
#define _GNU_SOURCE
#include "../fuzz.h"
#include "evidence/evidence.h"

#include <dirent.h>
#include <string.h>

/* Of the key that signed corpus/whole.zip; its private half is gone. */
static const char public_key[] = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA5CAoZ/ow49AUqo4A1uC6CLv9FPUS/kRZFH5rMluf/Mg=\n-----END PUBLIC KEY-----\n";
static const char run_id[] = "11111111-1111-4111-8111-111111111111";

static void count_finding(void *self, const char *path, int64_t offset, const char *text) {
    check(path[0] != '\0' && text[0] != '\0' && offset >= -1);
    ++*(int64_t *)self;
}

static void count_log(void *self, const struct lt_proved_log *log) {
    (void)self;
    check(log->path[0] != '\0' && log->head.rows >= 0);
}

static void check_is_empty(const char *folder) {
    DIR *dir = opendir(folder);
    check(dir != NULL);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) check(entry->d_name[0] == '.');
    closedir(dir);
}

static void know_the_station(struct lt_keyring *keys) {
    char path[64];
    int fd = fuzz_file(public_key, sizeof public_key - 1, path);
    lt_keyring_init(keys);
    check(lt_keyring_add_file(keys, path, NULL) == LITMUS_OK);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static struct lt_keyring keys;
    if (keys.count == 0) {
        know_the_station(&keys);
        check(setenv("TMPDIR", fuzz_folder(), 1) == 0);
    }
    char path[64];
    int64_t told = 0;
    struct litmus_error error = {0};
    struct lt_evidence_check answer = {.keys = &keys, .want_signed = n % 2 == 1, .finding = count_finding, .log = count_log, .self = &told};
    int fd = fuzz_file(bytes, n, path);
    int code = lt_evidence_check(path, &answer, &error);
    close(fd);
    check(code == LITMUS_OK || code == LITMUS_EDAMAGED || code == LITMUS_EVERSION || code == LITMUS_EINVAL || code == LITMUS_EPERM);
    check(code == LITMUS_OK || error.text[0] != '\0');
    check(told == answer.findings);
    if (code == LITMUS_OK && told == 0 && answer.signature == LT_SIGNATURE_KNOWN) check(strcmp(answer.run_id, run_id) == 0 && strcmp(answer.outcome, "terminated") == 0);
    check_is_empty(fuzz_folder());
    return 0;
}
