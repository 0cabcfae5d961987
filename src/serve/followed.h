/* SPDX-License-Identifier: Apache-2.0
 *
 * followed.h - the tables and lists of the follower: sessions, the runs seen in them (marks), their logs, and the runs
 * that were materialised lately. For the files that make it up: follow.c reads the logs, due.c decides what is to be
 * done. Everything here belongs to the lt_follow it is in; pointers are good until it is dropped.
 */
#ifndef LT_SERVE_FOLLOWED_H
#define LT_SERVE_FOLLOWED_H

#include "serve/follow.h"

/* Runs materialised lately, the oldest is overwritten. `done`: what became of it (copied), NULL: not told yet. */
void lt_recent_add(struct lt_follow *follow, const char *run_id, const char *done);
/* Its index in follow->recent, -1: none. */
int lt_recent_find(const struct lt_follow *follow, const char *run_id, size_t n);

struct lt_session *lt_followed_session(struct lt_follow *follow, const char *id); /* NULL: none */
struct lt_session *lt_followed_session_get(struct lt_follow *follow, const char *id);  /* made when there is none; NULL: out of memory, or the id is too long */
void lt_session_due(struct lt_follow *follow, struct lt_session *session);    /* puts it on the list of those to be looked at */
void lt_session_free(struct lt_follow *follow, struct lt_session *session);

struct lt_mark *lt_mark_find(struct lt_session *session, struct lt_str run_id);
struct lt_mark *lt_mark_get(struct lt_session *session, struct lt_str run_id); /* made when there is none; NULL: out of memory */
void lt_mark_drop(struct lt_follow *follow, struct lt_session *session, struct lt_str run_id);
/* Nothing is left to do for the run, and what still comes of it changes nothing. */
void lt_run_done(struct lt_follow *follow, struct lt_session *session, struct lt_str run_id);
bool lt_run_is_done(struct lt_follow *follow, struct lt_session *session, struct lt_str run_id);

struct lt_followed_log *lt_followed_find(struct lt_follow *follow, const struct lt_folder *folder, const char *name);
void lt_followed_add(struct lt_follow *follow, struct lt_followed_log *log); /* folder, name and session are set; takes */
/* Nothing is left to do for this log. `settled`: nor will there be at the next start. */
void lt_followed_drop(struct lt_follow *follow, struct lt_followed_log *log, bool settled);
void lt_followed_touch(struct lt_follow *follow, struct lt_followed_log *log);  /* it was read just now */
void lt_followed_unread(struct lt_follow *follow, struct lt_followed_log *log); /* puts it on the list of those to be read */
void lt_followed_close(struct lt_follow *follow, struct lt_followed_log *log);  /* a new reader goes on where this one was */
void lt_followed_bound(struct lt_follow *follow);                               /* makes room for one more open reader */
bool lt_followed_finished(const struct lt_followed_log *log);

/* The file or folder is to be synced. */
void lt_sync_later(struct lt_follow *follow, const char *path);

#endif
