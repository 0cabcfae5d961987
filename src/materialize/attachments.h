/* SPDX-License-Identifier: Apache-2.0
 *
 * attachments.h - what was attached to a run: beside its logs as it was recorded, and beside its file as a copy
 * (log/blob.h).
 */
#ifndef LT_MATERIALIZE_ATTACHMENTS_H
#define LT_MATERIALIZE_ATTACHMENTS_H

#include "accumulate/gather.h"
#include "base/io.h"

/* `{stem}_ref` of a run file, into out. */
void lt_attachments_folder(const char *run_file, struct lt_buf *out);

/* Copies every attachment beside the run file. One whose original is missing or changed is told to `on_lost` and
 * left out: the run has its file all the same. Errors: of writing. */
int lt_attachments_copy(const struct lt_io *io, const struct lt_gathering *session, const struct lt_run *run, const char *run_file,
                        void (*on_lost)(void *self, const char *what), void *self, struct litmus_error *error);
/* Holds every attachment, the original and the copy, against its name. */
void lt_attachments_check(const struct lt_gathering *session, const struct lt_run *run, const char *run_file, void (*on_lost)(void *self, const char *what),
                          void *self);
/* Makes each that is missing or changed anew from its other copy, if that is whole. `aside` keeps what lies in its place first. Errors: of
 * writing, and those of `aside`. */
int lt_attachments_mend(const struct lt_io *io, const struct lt_gathering *session, const struct lt_run *run, const char *run_file,
                        int (*aside)(const char *path, bool move, struct litmus_error *error), struct litmus_error *error);
/* Gives the path of every attachment that is whole, the original and the copy; borrowed for the call. Another code than
 * LITMUS_OK ends it and is returned. */
int lt_attachments_each(const struct lt_gathering *session, const struct lt_run *run, const char *run_file,
                        int (*each)(void *self, const char *path, struct litmus_error *error), void *self, struct litmus_error *error);

#endif
