/* SPDX-License-Identifier: Apache-2.0
 *
 * compose.h - an event as its log row: envelope and payload become one flat JSON object, every
 * field of the type written, defaults included (events.md, 1).
 */
#ifndef LT_MODEL_COMPOSE_H
#define LT_MODEL_COMPOSE_H

#include "base/clock.h"
#include "base/uuid.h"
#include "model/event.h"

/* Memory that one composing caller reuses from event to event. */
struct lt_composer {
    struct lt_uuid_pool *uuids; /* borrowed; NULL: an own one is made for each id */
    struct lt_buf json;
    char id[LT_UUID_BYTES];
    enum lt_event_id type;      /* of the last event: mostly the next one's, too */
    char run_id[LT_UUID_BYTES]; /* the last one that was found valid: mostly the next event's, too */
    int64_t iso_second; /* which second `iso` tells; 0: none yet */
    char iso[LT_ISO_BYTES];
    char *parse_memory; /* for the payload's document */
    size_t parse_memory_bytes;
};

void lt_composer_init(struct lt_composer *composer, struct lt_uuid_pool *uuids);
void lt_composer_release(struct lt_composer *composer);

/* Checks and completes the event; *row borrows from the composer (until its next use) and from the
 * arguments. received_at is now. Errors: EEVENT, EINVAL, ENOMEM. */
int lt_compose(struct lt_composer *composer, const char *session_id, const struct litmus_event *event, struct lt_row *row,
               struct litmus_error *error);
/* The same for an event of this library's own making, whose payload needs no check: an object with every field of its type,
 * each as the table wants it. It is taken as it is. */
int lt_compose_own(struct lt_composer *composer, const char *session_id, const struct litmus_event *event, struct lt_row *row,
                   struct litmus_error *error);

#endif
