/* SPDX-License-Identifier: Apache-2.0
 *
 * log.h - the append-only log: one Arrow IPC file a process and session (FORMAT.md).
 *
 * Always true:
 *  - lt_log_append that returned LITMUS_OK: the kernel has every byte of the rows.
 *  - A failed append leaves the file as it was before (cut back), or the writer refuses everything
 *    after it, so that nothing whole ever follows something torn. After a failed sync the event
 *    stays in the file, unacknowledged, and the writer refuses everything after it.
 *  - The writer holds flock(LOCK_EX) on its file until seal or close; a forked child never does.
 *  - A reader tells five things apart: an event, the end of a sealed log, the end of an open log
 *    on a boundary, a torn tail, damage in the middle.
 */
#ifndef LT_LOG_LOG_H
#define LT_LOG_LOG_H

#include "base/io.h"
#include "base/key.h"
#include "log/format.h"
#include "model/event.h"

/* Where a log ends, or ended. */
struct lt_head {
    char identity[LT_LOG_IDENTITY_MAX];
    int64_t rows;
    unsigned char chain[LT_CHAIN_BYTES]; /* of the last row; chain(0) when there is none */
};

/* ---- writer ---- */
struct lt_log_options {
    const char *data_dir;
    const char *session_id;
    enum litmus_durability durability; /* DEFAULT is OS here */
    int group_ms; /* GROUP: the first append this long after the last sync syncs, and so does seal; 0: 100 */
    const struct lt_io *io; /* NULL: the real calls. Borrowed for the writer's life */
    const struct lt_key *key; /* signs the end when it is sealed; NULL: unsigned. Borrowed for the writer's life */
    int64_t number; /* the first N of its name that is tried; 0: the name without one */
    bool not_first; /* the session may have logs already */
};
struct lt_log_writer;

/* Creates `<data_dir>/events/{UTC date}/{session_id}-{pid}[-N].arrow`, locks it, writes magic and
 * schema. Hands over *out. */
int lt_log_create(const struct lt_log_options *options, struct lt_log_writer **out, struct litmus_error *error);
/* Appends rows as one record batch with one write(2); fills row.received_at (now) when it is 0 and row.chain.
 * Threads may call it at the same time. In a forked child it first opens a file of the child's own. */
int lt_log_append(struct lt_log_writer *writer, struct lt_row *rows, size_t count, struct litmus_error *error);
/* Appends EOS, footer and magic, and releases the lock. The writer can only be freed after it. Does
 * nothing in a forked child that appended nothing. After a failure the file is as it was: recovery
 * can still seal it. */
int lt_log_seal(struct lt_log_writer *writer, struct litmus_error *error);
void lt_log_writer_free(struct lt_log_writer *writer); /* closes without sealing; NULL accepted */
const char *lt_log_writer_path(const struct lt_log_writer *writer);
const char *lt_log_writer_identity(const struct lt_log_writer *writer); /* file name without .arrow */
int64_t lt_log_writer_rows(const struct lt_log_writer *writer);
struct lt_head lt_log_writer_head(const struct lt_log_writer *writer);

/* ---- reader ---- */
enum lt_log_status {
    LT_LOG_EVENT,   /* *row is filled; its strings live until the next call on this reader */
    LT_LOG_SEALED,  /* the end: EOS and footer are there and agree */
    LT_LOG_OPEN,    /* no more whole events now, and the file ends on a boundary; call again to follow */
    LT_LOG_TORN,    /* the file ends inside a message (a write under way or cut off); call again to follow */
    LT_LOG_DAMAGED, /* bytes that are no event: see lt_log_reader_damage; call again to go on behind them */
    LT_LOG_FAILED,  /* the OS call failed or the file is none of ours: *error is filled */
};
struct lt_log_damage {
    int64_t offset, bytes; /* where, and how much was passed over */
    const char *what;      /* in words; static storage */
};
struct lt_log_reader;

int lt_log_reader_open(const char *path, struct lt_log_reader **out, struct litmus_error *error);
enum lt_log_status lt_log_next(struct lt_log_reader *reader, struct lt_row *row, struct litmus_error *error);
void lt_log_reader_free(struct lt_log_reader *reader);
struct lt_log_damage lt_log_reader_damage(const struct lt_log_reader *reader);
int64_t lt_log_reader_offset(const struct lt_log_reader *reader);     /* first byte not yet consumed */
int64_t lt_log_reader_file_size(const struct lt_log_reader *reader);  /* of now; -1: unknown */
int64_t lt_log_reader_row_offset(const struct lt_log_reader *reader); /* file offset of the last event's message */
int64_t lt_log_reader_rows(const struct lt_log_reader *reader);       /* events given so far */
int64_t lt_log_reader_message_row(const struct lt_log_reader *reader); /* those before the last event's message */
/* Goes on at `offset`, where a message began (lt_log_reader_row_offset) or is to begin for an earlier
 * reader of the same file, which had given `rows` events before it. After it the footer is not held
 * against the events, and the chain must not be asked for. Errors: EDAMAGED (no log, or shorter), EIO, ENOMEM. */
int lt_log_reader_seek(struct lt_log_reader *reader, int64_t offset, int64_t rows, struct litmus_error *error);
const char *lt_log_reader_identity(const struct lt_log_reader *reader); /* from the schema's metadata */
const char *lt_log_reader_session(const struct lt_log_reader *reader);
/* false from the first row on whose chain does not follow from the one before, from the first damage
 * on, and from the first message on whose bytes are not those that the writer writes (a changed bit
 * that changes no value). Computed only when asked for before the first lt_log_next. */
void lt_log_reader_check_chain(struct lt_log_reader *reader);
bool lt_log_reader_chain_ok(const struct lt_log_reader *reader);
/* The last chain value as the log has it. Only when the chain was asked for. */
struct lt_head lt_log_reader_head(const struct lt_log_reader *reader);

/* Who vouches for the end, as the footer of a sealed log says; known once the reader has said SEALED. */
struct lt_seal {
    bool is_signed;
    bool by_recovery; /* it was found so after its producer had died; else: the process that wrote the log says it */
    bool holds;       /* the signature is right, by that key. Only when the chain was asked for; where it is not, the chain does not hold either */
    unsigned char public_key[LT_KEY_PUBLIC_BYTES];
    unsigned char signature[LT_KEY_SIGNATURE_BYTES];
};
struct lt_seal lt_log_reader_seal(const struct lt_log_reader *reader);

/* ---- a dead producer's log ---- */
struct lt_log_recovery {
    enum lt_log_status end;  /* how the log ended: SEALED (nothing to do), OPEN, TORN or DAMAGED */
    int64_t rows;
    int64_t torn_offset, torn_bytes; /* 0 bytes: none */
    char evidence[512];              /* path of the kept torn bytes, "" if none */
    struct lt_head head;             /* where it ends now; without identity: nothing whole was there */
};
/* Takes the lock (EBUSY: the producer lives), keeps a torn tail as `{file}.torn-{offset}`, cuts it
 * off and seals. Doing it again changes nothing. Damage in the middle stays. A file without a whole
 * schema gets empty. `key` signs what was found if its chain holds; NULL: unsigned. */
int lt_log_recover(const struct lt_io *io, const char *path, const struct lt_key *key, struct lt_log_recovery *report, struct litmus_error *error);
/* Is a producer writing it? Not when the lock can be had (at once given back), or nothing is there. Where the system does not let
 * us ask, nobody may be called dead for it: LT_LIFE_UNKNOWN fills `error` (NULL accepted). */
enum lt_life { LT_LIFE_NONE, LT_LIFE_WRITING, LT_LIFE_UNKNOWN };
enum lt_life lt_log_life(const char *path, struct litmus_error *error);
bool lt_log_is_live(const char *path); /* or not known to be dead */
/* Quick look at the tail: ends with a footer's magic. */
bool lt_log_is_sealed(const char *path);

/* ---- which logs there are ---- */
struct lt_log_file {
    char *path;       /* absolute */
    char session[64]; /* "" when the name gives none */
};
struct lt_log_list {
    struct lt_log_file *files; /* sorted by lt_log_path_order */
    size_t count;
};
/* As strcmp: by name, and of one name by folder. Logs of one moment are merged so: a log's name is signed, the folder of its day is not. */
int lt_log_path_order(const char *a, const char *b);
/* All logs below events/, or those of one session (NULL: all). A missing folder is an empty list. */
int lt_log_find(const char *data_dir, const char *session_id, struct lt_log_list *out, struct litmus_error *error);
/* Those in the folders that can be listed: the others are given to `refused`. */
typedef void lt_log_refused(void *self, const char *folder, const struct litmus_error *why);
int lt_log_find_readable(const char *data_dir, const char *session_id, lt_log_refused *refused, void *self, struct lt_log_list *out, struct litmus_error *error);
void lt_log_list_release(struct lt_log_list *list);
/* The session was there when it was listed, and has no log any more: litmus prune was faster. */
bool lt_log_is_gone(const char *data_dir, const char *session_id);
/* Is `name`, without ".arrow", what a log of this session is called: "{session}", "{session}-{pid}" or "{session}-{pid}-{n}"? */
bool lt_log_is_of_session(struct lt_str name, const char *session);
/* The session that the name of a log gives ("{session}-{pid}.arrow"), for an id of the usual form; "" if none. */
void lt_log_session_of_name(const char *name, char out[64]);
/* For who asks for one session after the other: sorts by session, then path; and the logs of one of
 * them, borrowed from `list`. None when the session's names do not give it (they then have session ""). */
void lt_log_list_by_session(struct lt_log_list *list);
struct lt_log_list lt_log_list_part(const struct lt_log_list *list, const char *session_id);

/* ---- chain (chain.c) ---- */
/* chain = SHA-256(previous chain, then for each of id, event_type, occurred_at, received_at, session_id,
 * run_id, json: 8 bytes little-endian length and the bytes; a time is 8 bytes little-endian;
 * NULL is the length 2^64-1 alone). The first row follows SHA-256("litmus-log-1\n" identity). */
struct lt_chain;
struct lt_chain *lt_chain_new(void); /* NULL: out of memory */
void lt_chain_free(struct lt_chain *chain);
void lt_chain_start(struct lt_chain *chain, const char *identity, unsigned char out[32]);
void lt_chain_next(struct lt_chain *chain, const unsigned char previous[32], const struct lt_row *row, unsigned char out[32]);

#endif
