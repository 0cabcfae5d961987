/* SPDX-License-Identifier: Apache-2.0
 *
 * channels.h - what the logs say of channels, to be held against the channel files that are there.
 */
#ifndef LT_PROVE_CHANNELS_H
#define LT_PROVE_CHANNELS_H

#include "base/arena.h"
#include "base/map.h"
#include "log/log.h"

/* A channel of a session, by the logs. */
struct lt_channel_claim {
    struct lt_str session_id, channel_id, path; /* the log that says so first */
    int64_t offset;                             /* of that event */
    int64_t closed, found;                      /* samples: as its writers said when they closed; in its files */
    size_t files;
};
/* A file that its writer sealed, by the logs. */
struct lt_channel_sum {
    struct lt_str file, sha256, path; /* below channels/; the log that says so */
    int64_t offset;                   /* of that event */
    bool found;
    bool foreign;          /* the file is of another session than the event: it says nothing of it */
    const char *otherwise; /* the log that says the same file has another SHA-256; NULL: none does */
};
struct lt_claims {
    struct lt_arena arena;
    struct lt_map by_name;
    struct lt_channel_claim *items;
    size_t count, capacity;
    struct lt_map by_file; /* of the sums */
    struct lt_channel_sum *sums;
    size_t sum_count, sum_capacity;
    bool failed; /* memory is out: nothing is said */
};

void lt_claims_init(struct lt_claims *claims); /* allocates nothing */
void lt_claims_release(struct lt_claims *claims);
/* channel.started (of our store: with a uri) and channel.closed; others are passed over. */
void lt_claims_add_event(struct lt_claims *claims, const struct lt_row *row, const char *path, int64_t offset);
/* NULL: no log names it. */
struct lt_channel_claim *lt_claims_find(const struct lt_claims *claims, const char *session_id, const char *channel_id);

#endif
