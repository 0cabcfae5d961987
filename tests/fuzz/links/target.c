/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - any bytes as the list of heads, as the first event of a session and as a public key: heads that are
 * read are read again the same when they are written; no more broken links are told than there are.
 */
#define _GNU_SOURCE
#include "../fuzz.h"
#include "log/heads.h"
#include "prove/links.h"

#include <fcntl.h>

static void store(const char *name, const void *bytes, size_t n) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    check(fd >= 0);
    if (n > 0) check(write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

static void check_heads(const uint8_t *bytes, size_t n) {
    struct lt_heads heads, again;
    store("heads", bytes, n);
    check(lt_heads_read(fuzz_folder(), &heads, NULL) == LITMUS_OK);
    check(heads.count <= n / 67);
    store("heads", "", 0);
    for (size_t i = 0; i < heads.count; i++) check(lt_heads_add(NULL, fuzz_folder(), &heads.items[i], NULL) == LITMUS_OK);
    check(lt_heads_read(fuzz_folder(), &again, NULL) == LITMUS_OK && again.count == heads.count);
    for (size_t i = 0; i < heads.count; i++)
        check(strcmp(heads.items[i].identity, again.items[i].identity) == 0 && heads.items[i].rows == again.items[i].rows &&
              memcmp(heads.items[i].chain, again.items[i].chain, LT_CHAIN_BYTES) == 0);
    lt_heads_release(&heads);
    lt_heads_release(&again);
}

static void count(void *self, const char *path, const char *text) {
    check(path[0] != '\0' && text[0] != '\0');
    ++*(size_t *)self;
}

static void check_links(const uint8_t *bytes, size_t n) {
    static const char *const types[] = {"session.started", "retention.pruned", "run.materialized"};
    struct lt_links links;
    struct lt_head head = {.identity = "s-1", .rows = 2};
    size_t told = 0;
    lt_links_init(&links);
    links.of_all = true;
    store("heads", bytes, n);
    check(lt_links_add_heads(&links, fuzz_folder(), NULL) == LITMUS_OK);
    lt_links_add_log(&links, &head, head.chain, false, "s-1.arrow");
    for (size_t i = 0; i < 3; i++) {
        struct lt_row row = {.event_type = lt_str_of(types[i]), .json = {(const char *)bytes, n}};
        lt_links_add_event(&links, &row, "t-1.arrow", 8);
    }
    check(lt_links_check(&links, count, &told, NULL) == LITMUS_OK && told <= links.count);
    lt_links_release(&links);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    unsigned char public_key[LT_KEY_PUBLIC_BYTES];
    check_heads(bytes, n);
    check_links(bytes, n);
    (void)!lt_key_public_parse((struct lt_str){(const char *)bytes, n}, public_key);
    return 0;
}
