/* SPDX-License-Identifier: Apache-2.0
 *
 * channel.h - the third store: one Arrow IPC file a channel, session and process (FORMAT.md).
 *
 * Always true, as for the log:
 *  - An append that returned LITMUS_OK: the kernel has every sample.
 *  - A failed append leaves the file as it was, or the writer refuses everything after it.
 *  - The writer holds flock(LOCK_EX) until it closes; a forked child never does and gets a file of its own.
 *  - What a reader gives was compared with what the writer writes, byte for byte, but for the samples.
 */
#ifndef LT_CHANNEL_CHANNEL_H
#define LT_CHANNEL_CHANNEL_H

#include "base/io.h"
#include "channel/format.h"
#include "channel/layout.h"
#include "channel/tail.h"

/* ---- writer ---- */
struct lt_channel_writer_options {
    const char *data_dir;
    struct lt_channel_about about;
    enum litmus_durability durability; /* DEFAULT is OS */
    int group_ms;
    const struct lt_io *io; /* NULL: the real calls */
};
struct lt_channel_writer;

/* Creates `<data_dir>/channels/{UTC date}/{session_id}-{pid}_{channel}[-N].arrow`. Hands over *out. */
int lt_channel_create(const struct lt_channel_writer_options *options, struct lt_channel_writer **out, struct litmus_error *error);
int lt_channel_put_sample(struct lt_channel_writer *writer, int64_t time_ns, double value, struct litmus_error *error);
/* `times` NULL: evenly spaced from `start` on; else one a sample, never falling. */
int lt_channel_put_block(struct lt_channel_writer *writer, int64_t start, double interval_ns, const int64_t *times, const void *values, size_t count, struct litmus_error *error);
/* Writes what waits in the tail as a row. */
int lt_channel_flush(struct lt_channel_writer *writer, struct litmus_error *error);
/* Flushes, seals, releases the lock; nothing in a forked child that recorded nothing. */
int lt_channel_seal(struct lt_channel_writer *writer, struct litmus_error *error);
void lt_channel_writer_free(struct lt_channel_writer *writer); /* closes without sealing; NULL accepted */
const char *lt_channel_writer_path(const struct lt_channel_writer *writer);
int64_t lt_channel_writer_samples(struct lt_channel_writer *writer);
const char *lt_channel_writer_sha256(const struct lt_channel_writer *writer); /* of the file that it sealed; "": it sealed none */
/* "{UTC date}/{name}.arrow": where the file at `path` is below channels/. */
const char *lt_channel_name_of(const char *path);
int64_t lt_channel_now_ns(void);

/* ---- one file, read ---- */
struct lt_channel_place { /* a row and where it is */
    struct lt_channel_row row;
    int64_t offset; /* of its message */
};
struct lt_channel_file {
    struct lt_channel_about about;
    char *path;
    int fd;
    struct lt_channel_place *places;
    size_t count, capacity;
    int64_t samples;              /* in rows */
    struct lt_tail_samples tail;  /* those that no row has yet */
    struct lt_ipc_schema *schema;
    int64_t start;                /* of the first row */
    int64_t end;                  /* the first byte that is no whole row */
    int64_t damaged_bytes;        /* passed over in the middle */
    bool sealed, live;
};
/* Hands over *out. EDAMAGED: no channel file (also: cut before its first row could come). */
int lt_channel_file_open(const char *path, struct lt_channel_file **out, struct litmus_error *error);
void lt_channel_file_free(struct lt_channel_file *file);
/* Closes its descriptor, and opens it again before its samples are read. EIO, EPERM. */
void lt_channel_file_rest(struct lt_channel_file *file);
int lt_channel_file_wake(struct lt_channel_file *file, struct litmus_error *error);
/* Appends what seals a file of these rows. ENOMEM. */
int lt_channel_file_seal(const struct lt_channel_file *file, struct lt_buf *out, struct litmus_error *error);
/* Samples [from, from + count) of a row into `out`, in the file's type. EIO, EDAMAGED (the file was cut meanwhile). */
int lt_channel_file_values(const struct lt_channel_file *file, size_t place, int64_t from, int64_t count, void *out, struct litmus_error *error);
int lt_channel_file_times(const struct lt_channel_file *file, size_t place, int64_t from, int64_t count, int64_t *out, struct litmus_error *error);
/* The extremes of a row: for each of its bins. `out` of 2 doubles and 2 int64_t (index in the row) a bin. */
struct lt_channel_bin {
    double min, max;
    int64_t min_at, max_at;
};
int lt_channel_file_bins(const struct lt_channel_file *file, size_t place, struct lt_channel_bin *out, struct litmus_error *error);

/* Appends all of a row's message before its samples. EIO, EDAMAGED, ENOMEM. */
int lt_channel_file_head(const struct lt_channel_file *file, size_t place, struct lt_buf *out, struct litmus_error *error);
int64_t lt_channel_file_row_end(const struct lt_channel_file *file, size_t place); /* the first byte behind its message */

/* What is wrong with one file: every row is read, and held against what would be written for its samples. `offset` -1: the
 * file as a whole. A changed sample shows here only where it changes a row's extremes; the log has the file's hash (FORMAT.md). */
typedef void lt_channel_wrong_fn(void *self, int64_t offset, const char *text);
struct lt_channel_checked {
    struct lt_channel_about about;
    int64_t samples;    /* those that are there */
    int64_t end;        /* the first byte that is no whole row */
    int64_t torn_bytes; /* behind it, of a writer that is gone */
    bool sealed, live;
};
/* Errors: those of lt_channel_file_open. */
int lt_channel_check(const char *path, lt_channel_wrong_fn *wrong, void *self, struct lt_channel_checked *out, struct litmus_error *error);

/* Finishes the file of a dead writer: keeps a torn end as `{file}.torn-{offset}`, cuts it off, writes the tail as a
 * row, seals. EBUSY: the writer lives. Doing it again changes nothing. */
int lt_channel_recover(const struct lt_io *io, const char *path, struct litmus_error *error);
/* Those of all dead writers of a session (NULL: of all). What is no channel file, and what somebody writes, stays as it is. The
 * first error of another kind is returned, after all were tried. */
int lt_channel_recover_all(const struct lt_io *io, const char *data_dir, const char *session_id, struct litmus_error *error);

/* ---- all files ---- */
/* What a file below channels/ is, by the last part of its path; one of another session than `session_id` (NULL: any) is other. */
enum lt_channel_kind { LT_CHANNEL_OTHER, LT_CHANNEL_FILE, LT_CHANNEL_TAIL_FILE };
enum lt_channel_kind lt_channel_kind(const char *path, const char *session_id);

struct lt_channel_set {
    struct lt_channel_file **files; /* of one channel and session, in order of their first sample */
    size_t count;
    char uri[400];
};
/* All channel files below channels/, sorted by path, at rest; those that cannot be read are left out (*bad counts them). */
int lt_channel_find(const char *data_dir, const char *session_id, struct lt_channel_set *out, size_t *bad, struct litmus_error *error);
/* The files that `uri` (or a bare channel id: of the session that has its latest sample) names. ENOENT. */
int lt_channel_set_open(const char *data_dir, const char *uri, struct lt_channel_set *out, struct litmus_error *error);
void lt_channel_set_release(struct lt_channel_set *set);
/* Writes `channel://{id}?session={session}`, id percent-encoded where it must be. */
void lt_channel_uri(const char *channel_id, const char *session_id, char out[400]);

int lt_channel_set_read(const struct lt_channel_set *set, int64_t from, int64_t to, struct litmus_signal *out, struct litmus_error *error);
int lt_channel_set_view(const struct lt_channel_set *set, int64_t from, int64_t to, int points, enum litmus_view view, struct litmus_signal *out, struct litmus_error *error);
struct lt_channel_span {
    int64_t samples, first, last; /* ns */
    bool live, sealed;
    int64_t damaged_bytes;
};
void lt_channel_set_span(const struct lt_channel_set *set, struct lt_channel_span *out);

#endif
