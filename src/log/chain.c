/* SPDX-License-Identifier: Apache-2.0
 *
 * chain.c - each row carries a hash of itself and of everything before it (FORMAT.md, "Chain").
 */
/* The direct functions: through the general ones (EVP) the calls cost a fifth of the hashing of one
 * event. They are there in every OpenSSL 3; only new code for other digests is steered away. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "log/format.h"
#include "log/log.h"

#include <openssl/sha.h>
#include <stdlib.h>

enum { GATHER_BYTES = 1024 };

struct lt_chain {
    SHA256_CTX context;
    /* Small parts are collected here: a call per part costs more than the hashing of it. */
    unsigned char gather[GATHER_BYTES];
    size_t gathered;
};

struct lt_chain *lt_chain_new(void) {
    return calloc(1, sizeof(struct lt_chain));
}

void lt_chain_free(struct lt_chain *chain) {
    free(chain);
}

static void begin(struct lt_chain *chain) {
    chain->gathered = 0;
    SHA256_Init(&chain->context);
}

static void flush(struct lt_chain *chain) {
    SHA256_Update(&chain->context, chain->gather, chain->gathered);
    chain->gathered = 0;
}

static void add(struct lt_chain *chain, const void *bytes, size_t n) {
    if (n > GATHER_BYTES - chain->gathered) flush(chain);
    if (n > GATHER_BYTES / 2) {
        flush(chain);
        SHA256_Update(&chain->context, bytes, n);
    } else if (n > 0) {
        memcpy(chain->gather + chain->gathered, bytes, n);
        chain->gathered += n;
    }
}

static void add64(struct lt_chain *chain, int64_t v) {
    if (GATHER_BYTES - chain->gathered < 8) flush(chain);
    lt_put64(chain->gather + chain->gathered, v);
    chain->gathered += 8;
}

static void add_text(struct lt_chain *chain, struct lt_str text) {
    add64(chain, text.p == NULL ? -1 : (int64_t)text.n);
    if (text.p != NULL) add(chain, text.p, text.n);
}

static void end(struct lt_chain *chain, unsigned char out[32]) {
    flush(chain);
    SHA256_Final(out, &chain->context);
}

void lt_chain_start(struct lt_chain *chain, const char *identity, unsigned char out[32]) {
    static const char salt[] = "litmus-log-1\n";
    begin(chain);
    add(chain, salt, sizeof salt - 1);
    add(chain, identity, strlen(identity));
    end(chain, out);
}

void lt_chain_next(struct lt_chain *chain, const unsigned char previous[32], const struct lt_row *row, unsigned char out[32]) {
    begin(chain);
    add(chain, previous, LT_CHAIN_BYTES);
    add_text(chain, row->id);
    add_text(chain, row->event_type);
    add64(chain, row->occurred_at);
    add64(chain, row->received_at);
    add_text(chain, row->session_id);
    add_text(chain, row->run_id);
    add_text(chain, row->json);
    end(chain, out);
}
