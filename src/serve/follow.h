/* SPDX-License-Identifier: Apache-2.0
 *
 * follow.h - what the daemon knows of the logs: which are being written, which runs they hold, and
 * which sessions need to be materialised. It looks at event_type and run_id alone, and notes
 * where the rows of each run lie. A run whose rows lie in one log is folded as they come (folding.h);
 * the payloads of others are read by who materialises.
 *
 * Always true:
 *  - A session has at most one job, waiting or in hand. What comes meanwhile is looked at after it.
 *  - A session gets a job when a run in it has ended, or when a producer of it is dead: its log is
 *    unsealed, unlocked, and was closed (or seen so twice).
 *  - Processes that outlive the one of their run (xdist's workers): at the end of each the session gets a job, which makes the run's file
 *    anew with what came late.
 *  - A run that has not ended while the log with its run.started has may live on in another process
 *    (under pytest-xdist): who materialises decides, anew at each end of a log of the session.
 *  - A session that failed is tried again only when its logs changed, or, when the disk was at fault,
 *    after a while; it blocks nobody.
 *  - A job knows the rows of its runs when every log of the session is followed, or was settled.
 *    Logs are let go, and settled, when all of the session's are finished and every run is materialised
 *    of which they hold rows. Otherwise who materialises looks.
 *  - Readers open at a time are bounded; a closed one goes on where it was.
 *
 * Calling sequence: 1. lt_follow_init 2. lt_follow_log for each log there is, lt_follow_changed and
 * lt_follow_closed as events come, lt_follow_tick from time to time 3. lt_follow_step until it says
 * that nothing is left to read 4. lt_follow_job until NULL; each job comes back by lt_follow_done.
 */
#ifndef LT_SERVE_FOLLOW_H
#define LT_SERVE_FOLLOW_H

#include "accumulate/merge.h"
#include "log/log.h"
#include "serve/folders.h"
#include "serve/journal.h"
#include "serve/pool.h"

enum { LT_FOLLOW_BUCKETS = 1024, LT_FOLLOW_RECENT = 4096, LT_FOLLOW_PATHS = 512 };

struct lt_span { /* where rows of a run lie */
    struct lt_followed_log *log;
    struct lt_stretch at;
};

struct lt_mark { /* a run of which something was seen, and that is not known to be materialised */
    struct lt_mark *next;
    struct lt_followed_log *owner; /* holds run.started; NULL: settled or not seen */
    uint64_t ends; /* of the session when it was last tried to end the run for its producer */
    bool started, ended; /* neither: rows of it alone */
    struct lt_span *spans;
    size_t span_count, span_capacity;
    bool blurred; /* out of memory: not all of its rows are in the spans */
    struct lt_gathered_run *folded;         /* folded so far (folding.h); NULL: not begun, or let go of */
    const struct lt_followed_log *folded_of; /* the log of all its rows */
    uint64_t job;  /* number of the job that should have done it, 0: none yet */
    char id[];
};

struct lt_session {
    struct lt_session *next; /* in the bucket */
    char id[64];
    struct lt_mark *marks;
    struct lt_keys done; /* hashes of the runs that are materialised */
    struct lt_followed_log *logs;
    size_t unread;       /* logs that have something to read */
    bool held;           /* more logs of it are just being listed */
    bool asked;          /* somebody waits for a run of it that we do not know */
    bool fresh;          /* a log of it came while we watched: it goes before old ones */
    bool distrusted;     /* see lt_follow_distrust */
    bool queued;         /* on the list of those to be looked at */
    bool has_job;
    bool forgetful;      /* out of memory: `done` lacks some */
    struct lt_session *next_due;
    uint64_t changes, job_changes;
    uint64_t ends; /* logs that ended, one way or the other */
    uint64_t producer_ends, looked_ends; /* logs of producers that ended: all, and those before somebody last looked for what came late */
    bool orphaned; /* a run's end was said for its dead producer, or something came of a run that has its file: who materialises judges */
    uint64_t number, number_turn; /* lt_range_number of the session, and when it was read */
    /* the latest failure */
    bool failed, again_later;
    uint64_t failed_changes;
    int64_t retry_at_us, retry_pause_us;
    char failure[600];
};

struct lt_followed_log {
    struct lt_followed_log *next;         /* in the bucket */
    struct lt_followed_log *next_of_session;
    struct lt_followed_log *next_unread;  /* on the list of those to be read */
    struct lt_followed_log *newer, *older; /* all logs, by when they were read last */
    struct lt_folder *folder;
    struct lt_session *session;
    char *path;
    const char *name; /* the last part of path */
    struct lt_log_reader *reader; /* NULL: not opened yet, closed meanwhile, or finished */
    int64_t rows;     /* noted so far */
    int64_t resume_at, resume_rows; /* where a new reader goes on; 0: from the start */
    struct lt_merge_key key, message_key; /* the latest of the rows noted, and of those before the last message */
    struct lt_mark *mark;      /* of the last row; NULL: none */
    uint32_t number;           /* in the list that is being made */
    bool damaged;
    bool refused;     /* the system did not let us read it: it is tried again, and nothing is known of its session without it */
    bool of_materializer; /* by its first event */
    int64_t size;     /* of the file when it was looked at last */
    bool unread, closed, sealed, dead, resolved, broken, unsynced;
    bool found;       /* by a listing: nobody saw whether it was closed */
    bool in_job;      /* was dead when the job began */
    int checks;       /* how often the lock was asked for since the log was closed */
    int64_t check_at_us;     /* when to ask again; 0: not */
    int64_t unlocked_since_us; /* 0: locked, as far as is known */
};

struct lt_follow {
    struct lt_folders *folders;
    struct lt_journal *journal;
    struct lt_session *sessions[LT_FOLLOW_BUCKETS];
    struct lt_followed_log *logs[LT_FOLLOW_BUCKETS];
    struct lt_followed_log *newest, *oldest;
    struct lt_followed_log *unread_head, *unread_tail;
    struct lt_session *due_head, *due_tail;
    struct lt_session *held;
    size_t log_count, session_count, unread_count, reader_count, readers_max, job_count;
    size_t folded_bytes; /* of runs folded in flight, also of those that a job has in hand */
    uint64_t jobs_made;
    /* runs that were materialised lately; the latest with what became of them */
    struct {
        uint64_t key;
        char *done;
    } recent[LT_FOLLOW_RECENT];
    size_t recent_at;
    /* logs to be synced that are no longer followed */
    char **sync;
    size_t sync_count, sync_capacity;
    int64_t materialized, activity_us;
    int lock_fd; /* of materialize.lock; -1: every job finds out by itself what is to be done */
    uint64_t turn;
};

void lt_follow_init(struct lt_follow *follow, struct lt_folders *folders, struct lt_journal *journal, size_t readers_max);
void lt_follow_release(struct lt_follow *follow);

/* A log was found. `fresh`: it was just made (not merely found in a listing). */
void lt_follow_log(struct lt_follow *follow, struct lt_folder *folder, const char *name, bool fresh);
void lt_follow_changed(struct lt_follow *follow, struct lt_folder *folder, const char *name, bool closed);
/* No listing is under way any more. */
void lt_follow_listed(struct lt_follow *follow);
/* Holds every log that is not finished against the disk. */
void lt_follow_tick(struct lt_follow *follow);
/* Asks for locks whose time has come. When the next one is due, 0: none. */
int64_t lt_follow_check(struct lt_follow *follow);
/* Reads for about `budget_us`. false: nothing left to read. */
bool lt_follow_step(struct lt_follow *follow, int64_t budget_us);
/* Call before the watch is asked for the last time before lt_follow_job. false: no need to ask it. */
bool lt_follow_prepare(struct lt_follow *follow);
/* The next session to materialise, NULL: none. Hands over. */
struct lt_job *lt_follow_job(struct lt_follow *follow);
void lt_follow_done(struct lt_follow *follow, struct lt_job *job); /* takes */

enum lt_run_state { LT_RUN_UNKNOWN, LT_RUN_PENDING, LT_RUN_DONE, LT_RUN_FAILED };
/* What is known of a run. *text: what became of it (done_text.h; may be empty) or what failed; borrowed until the next call. */
enum lt_run_state lt_follow_state(struct lt_follow *follow, const char *session_id, const char *run_id, const char **text);
/* Somebody waits for an unknown run of this session: look at it now. false: out of memory. */
bool lt_follow_ask(struct lt_follow *follow, const char *session_id);
/* Everything of a session is read anew at the next step. */
void lt_follow_poke(struct lt_follow *follow, const char *session_id);
/* Looks at the logs in a folder, where no watch tells of writes. Was one of them written, or is one still to be read? */
bool lt_follow_look(struct lt_follow *follow, const struct lt_folder *folder);
/* A session over which daemons ended: listed as failed; tried after a while (`again`), or not until
 * its logs change. */
void lt_follow_distrust(struct lt_follow *follow, const char *session_id, int times, bool again);

/* Paths to be synced since the last call; hands over. */
size_t lt_follow_take_sync(struct lt_follow *follow, char ***paths);

struct lt_follow_counts {
    size_t runs, logs, failed, live;
};
void lt_follow_count(const struct lt_follow *follow, struct lt_follow_counts *counts);

#endif
