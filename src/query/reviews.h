/* SPDX-License-Identifier: Apache-2.0
 *
 * reviews.h - what people said of a run afterwards: concessions and notes (review.* events). They lie in
 * logs of their own, so that the run's rows and its file never depend on them.
 */
#ifndef LT_QUERY_REVIEWS_H
#define LT_QUERY_REVIEWS_H

#include "base/arena.h"
#include "query/query.h"

struct lt_review {
    bool concession;          /* false: a note */
    int64_t at;               /* when it was said */
    struct lt_str by, text;   /* text: why it is accepted, or the note */
    struct lt_str step_path;  /* NULL: of the run as a whole */
    int64_t vector_index;
    struct lt_str json;       /* the whole event */
};
struct lt_reviews {
    struct lt_arena arena;
    struct lt_review *items; /* in the order in which they were said */
    size_t count, capacity;
};

/* Those of one run. Reads the first event of each of the session's logs, and no more of a log that begins
 * otherwise. Release in every case. Errors: ENOMEM, EIO; a log that cannot be read is passed over. */
int lt_reviews_load(struct lt_query *query, const struct lt_run_ref *run, struct lt_reviews *out, struct litmus_error *error);
void lt_reviews_release(struct lt_reviews *reviews);
/* The latest concession of a step's row; NULL: none. */
const struct lt_review *lt_reviews_concession(const struct lt_reviews *reviews, struct lt_str step_path, int64_t vector_index);
bool lt_review_is_of(const struct lt_review *review, struct lt_str step_path, int64_t vector_index);

#endif
