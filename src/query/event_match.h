/* SPDX-License-Identifier: Apache-2.0
 *
 * event_match.h - does an event fit a filter (run-schema.md, 9)? `since` and `limit` are the caller's.
 */
#ifndef LT_QUERY_EVENT_MATCH_H
#define LT_QUERY_EVENT_MATCH_H

#include "model/event.h"
#include "query/query.h"

bool lt_event_matches(const struct lt_event_filter *filter, const struct lt_row *row);

#endif
