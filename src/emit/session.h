/* SPDX-License-Identifier: Apache-2.0
 *
 * session.h - the producer's handle, as the rest of the library sees it.
 */
#ifndef LT_EMIT_SESSION_H
#define LT_EMIT_SESSION_H

#include "emit/station.h"
#include "log/blob.h"
#include "log/log.h"
#include "materialize/materialize.h"
#include "model/compose.h"

#include <pthread.h>
#include <sys/types.h>

/* What must not be inherited by a forked child as it stands: a lock that a thread of the parent
 * holds, random ids that the parent will give out too, a process that is the parent's to wait for. The
 * kernel wipes it in the child. */
struct lt_session_shared {
    bool here; /* false in a forked child, until it has noticed that it is one */
    pthread_mutex_t lock;
    pid_t starting; /* the daemon's first process, while it comes up; 0: none. The first event waits for it */
    struct lt_uuid_pool uuids;
};

struct litmus_session {
    struct lt_session_shared *shared;
    struct lt_composer composer; /* under shared->lock */
    struct lt_log_writer *log;
    struct lt_station station; /* its clock under shared->lock */
    char *data_dir, *daemon_exe;
    char session_id[LT_UUID_BYTES];
    bool joined, no_daemon;
    char (*ended_runs)[LT_UUID_BYTES]; /* runs whose run.ended went through this handle */
    size_t ended_run_count, ended_run_capacity;
};

/* litmus_emit of an event that needs no check (lt_compose_own). */
int lt_session_emit_own(litmus_session *session, const struct litmus_event *event, struct litmus_error *error);

/* Stores what is attached beside the session's log; the event is the caller's. `name` gives the extension; `sync` as of lt_blob_put_bytes. */
int lt_session_attach_bytes(const litmus_session *session, const char *name, const void *bytes, size_t n, bool sync, struct lt_blob *out,
                            struct litmus_error *error);
int lt_session_attach_file(const litmus_session *session, const char *path, struct lt_blob *out, struct litmus_error *error);

/* As litmus_session_open; the key is that of the station whose data_dir is `station_dir`, where the session's own is a part of it. */
int lt_session_open_for(const struct litmus_session_options *options, const char *station_dir, litmus_session **out, struct litmus_error *error);

typedef void lt_session_on_done(void *self, const struct lt_materialized *done, bool by_daemon);

/* As litmus_session_close; tells of each run that this handle ended and that has its file now.
 * `timeout_ms`: how long the daemon may take before this process does the work. */
int lt_session_close(litmus_session *session, const char *outcome, int timeout_ms, lt_session_on_done *on_done, void *self, struct litmus_error *error);

/* The session is gone before its channel: closing it will seal the file and tell nobody. */
void lt_channel_detach(litmus_channel *channel);

#endif
