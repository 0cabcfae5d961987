/* SPDX-License-Identifier: Apache-2.0
 *
 * attached.h - what was attached to the steps of a run, as its log has it.
 */
#ifndef LT_CMD_ATTACHED_H
#define LT_CMD_ATTACHED_H

#include "base/arena.h"
#include "query/query.h"

struct lt_attached {
    struct lt_str step_path, name, file; /* file: its name in the folder of the run's attachments */
    int64_t vector_index, bytes;         /* bytes -1: not known */
};

struct lt_attached_list {
    struct lt_arena arena; /* of the texts and items */
    struct lt_attached *items;
    size_t count;
};

/* Those of a run, in the order of its events; none where a finished run has no folder for them, or no log any more. Release in every case. */
void lt_attached_load(struct lt_query *query, const struct lt_run_ref *run, struct lt_attached_list *out);
void lt_attached_release(struct lt_attached_list *list);

#endif
