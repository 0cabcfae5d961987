/* SPDX-License-Identifier: Apache-2.0
 *
 * station.h - what ties a session to its station and its past: the key that will sign its logs, the logs that ended
 * before it, and a second clock beside the one on the wall.
 */
#ifndef LT_EMIT_STATION_H
#define LT_EMIT_STATION_H

#include "base/key.h"
#include "log/heads.h"

#include <yyjson.h>

struct lt_station {
    struct lt_key_place place;
    const struct lt_key *key;      /* NULL: nothing is signed */
    struct litmus_error key_error; /* why a key that is there cannot be used */
    int64_t (*wall)(void); /* the wall clock; tests give another */
    int64_t clock_at, clock_offset; /* of the last event: boot clock, and wall clock less boot clock */
};

/* Never fails: a key that cannot be used is told of on record, and the record goes on unsigned. */
void lt_station_init(struct lt_station *station, const char *data_dir);
void lt_station_release(struct lt_station *station);
/* Adds signing_key, previous_logs (as many heads as one event names; `heads` NULL: it is not known) and both clocks to session.started, but
 * what is there already. */
void lt_station_describe(const struct lt_station *station, const struct lt_heads *heads, yyjson_mut_doc *doc, yyjson_mut_val *root);
/* By how much the wall clock was set since the last event, when that was received at `received_at`; 0: it was not. */
int64_t lt_station_clock_step(struct lt_station *station, int64_t received_at);

#endif
