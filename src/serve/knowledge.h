/* SPDX-License-Identifier: Apache-2.0
 *
 * knowledge.h - what the follower knows of a session, for who materialises it.
 */
#ifndef LT_SERVE_KNOWLEDGE_H
#define LT_SERVE_KNOWLEDGE_H

#include "materialize/materialize.h"
#include "serve/follow.h"

/* Is all that the session needs files for runs that ended? Not when a producer died, a log is damaged
 * or the session failed before: then who materialises looks at everything himself. */
bool lt_knowledge_fits(const struct lt_session *session);
/* The runs that ended, and where their rows are, or what they were folded to in flight: that is taken from their marks,
 * and its memory added to *folded_bytes, in any case. Hands over; NULL: out of memory, or it does not fit. */
struct lt_known_session *lt_knowledge_of(struct lt_session *session, size_t *folded_bytes);

#endif
