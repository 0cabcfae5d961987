/* SPDX-License-Identifier: Apache-2.0
 *
 * index.h - the logs of one session after the other, without listing every folder for each: a folder is listed again only
 * when its time stamp, or the folder itself, is another one, or so young that it may change again unseen.
 */
#ifndef LT_LOG_INDEX_H
#define LT_LOG_INDEX_H

#include "log/log.h"

struct dirent;
struct lt_log_index;

struct lt_log_index *lt_log_index_new(const char *data_dir); /* NULL: out of memory, or there is no such folder */
void lt_log_index_free(struct lt_log_index *index);          /* NULL: nothing */
/* As lt_log_find_readable, which it is if `index` is NULL. */
int lt_log_index_find(struct lt_log_index *index, const char *data_dir, const char *session_id, lt_log_refused *refused, void *self, struct lt_log_list *out,
                      struct litmus_error *error);

/* ---- for who lists ---- */
void lt_log_list_sort(struct lt_log_list *list); /* by path */
/* Adds an entry of a folder if it is a log, and one of the session (NULL: any). */
int lt_log_list_take(struct lt_log_list *list, size_t *capacity, const char *folder, const struct dirent *entry, const char *session, struct litmus_error *error);

#endif
