/* SPDX-License-Identifier: Apache-2.0
 *
 * litmus.h - record a test run from C, and read runs back.
 *
 * What is always true:
 *  - An emit that returned LITMUS_OK is with the kernel: SIGKILL of this process cannot lose it.
 *  - Every function that can fail returns an int code (enum litmus_code) and takes an optional
 *    `struct litmus_error *` last: untouched on success, the first failure kept, NULL accepted.
 *  - Strings passed in are borrowed for the call only (the library copies); NULL means "not given".
 *  - A handle that is NULL is ESTATE (it is not made yet), a place for the result that is NULL is EINVAL; close and free
 *    take NULL, and what returns a text or a number returns NULL, 0 or -1 for it. A handle that was ended must not be used.
 *  - Text is UTF-8; times are microseconds since 1970-01-01T00:00:00Z.
 *  - A session and its channels may be used by many threads at once; a run by one at a time, since its steps are a stack:
 *    threads have a run each, or a lock of their own. A forked child that records through an
 *    inherited session gets a log file of its own, of the same session.
 *
 * Calling sequence:
 *  1. litmus_session_open
 *  2. litmus_run_start                (one or more runs in a session)
 *  3. litmus_plan_add for each step, then litmus_plan_commit: the whole plan is on record
 *  4. litmus_step_start, litmus_measure..., litmus_step_end for each step
 *  5. litmus_run_end
 *  6. litmus_session_close            (seals the log; the runs daemon writes the Parquet file)
 */
#ifndef LITMUS_H
#define LITMUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LITMUS_API __attribute__((visibility("default")))
#define LITMUS_MUST_USE __attribute__((warn_unused_result))

/* Every error code once: X(name, number, what it means). The number is also the CLI's view of it. */
#define LITMUS_CODES(X)                                                                    \
    X(OK, 0, "success")                                                                    \
    X(EINVAL, 1, "an argument is not usable")                                              \
    X(EEVENT, 2, "an event breaks its declaration")                                        \
    X(EIO, 3, "the operating system refused or failed")                                    \
    X(ENOSPC, 4, "no space, quota reached")                                                \
    X(EPERM, 5, "no permission, or a read-only file system")                               \
    X(ENOENT, 6, "not there")                                                              \
    X(EDAMAGED, 7, "a file is damaged or of a foreign kind")                               \
    X(EVERSION, 8, "written by a newer format version")                                    \
    X(EBUSY, 9, "held by another process")                                                 \
    X(EAMBIGUOUS, 10, "an id prefix fits several runs")                                    \
    X(ENOMEM, 11, "out of memory")                                                         \
    X(ECONFIG, 12, "litmus.yaml cannot be used")                                           \
    X(ESTATE, 13, "called out of order (for example a step of a run that has ended)")      \
    X(ELIMIT, 14, "a verified value is outside its limit")                                 \
    X(ETIMEDOUT, 15, "nobody answered in time")                                            \
    X(ECANCELED, 16, "the operator gave no answer")

enum litmus_code {
#define LITMUS_CODE_ENUM(name, number, text) LITMUS_##name = number,
    LITMUS_CODES(LITMUS_CODE_ENUM)
#undef LITMUS_CODE_ENUM
};

/* What failed, where, and what to do. `text` is one line of UTF-8, ready to show. */
struct litmus_error {
    int code;       /* enum litmus_code; LITMUS_OK while nothing failed */
    int os_errno;   /* errno of the failing call, 0 if none */
    char text[600]; /* names the file and the remedy */
};

/* Name of a code, e.g. "ENOSPC"; "unknown" for a number that is none. Static storage. */
LITMUS_API const char *litmus_code_name(int code);
/* Version of this library, e.g. "0.1.0". Static storage. */
LITMUS_API const char *litmus_version(void);

/* ---- Record ------------------------------------------------------------------------------- */

typedef struct litmus_session litmus_session; /* handle: one connect-to-disconnect window */
typedef struct litmus_run litmus_run;         /* handle: one run of a session */

/* What a power loss may take. Nothing else takes what emit acknowledged (docs/durability.md). */
enum litmus_durability {
    LITMUS_DURABILITY_DEFAULT = 0, /* what LITMUS_DURABILITY or litmus.yaml says, else OS */
    LITMUS_DURABILITY_GROUP = 1,   /* an emit `group_ms` after the last sync syncs all before it, and so does close */
    LITMUS_DURABILITY_EACH = 2,    /* nothing: emit returns when the event is on the disk */
    LITMUS_DURABILITY_OS = 3,      /* what the daemon has not synced yet: the last second */
};

struct litmus_session_options {
    const char *data_dir;     /* NULL: LITMUS_DATA_DIR, litmus.yaml, LITMUS_HOME, XDG (in that order) */
    const char *session_id;   /* NULL: a new random uuid. Set to join a session (a worker) */
    bool joined;              /* true: another process owns the session: no session.* events, no daemon */
    const char *payload_json; /* fields of session.started as one JSON object, or NULL */
    size_t payload_bytes;     /* length of payload_json; 0: strlen */
    bool no_daemon;           /* true: do not start the runs daemon; close() materialises instead */
    const char *daemon_exe;   /* path of the `litmus` binary; NULL: found on PATH */
    enum litmus_durability durability;
    int group_ms; /* for LITMUS_DURABILITY_GROUP; 0: 100 */
};

/* Opens a session: creates the log file, emits session.started (unless joined), starts the runs
 * daemon if none runs. Hands over *out; close with litmus_session_close. Options may be NULL.
 * Errors: ECONFIG, EPERM, ENOSPC, EIO, EVERSION, EINVAL. */
LITMUS_API LITMUS_MUST_USE int litmus_session_open(const struct litmus_session_options *options,
                                                   litmus_session **out,
                                                   struct litmus_error *error);

/* The session's id, 36 characters; lives as long as the handle. */
LITMUS_API const char *litmus_session_id(const litmus_session *session);
/* The data directory in force (absolute path); lives as long as the handle. */
LITMUS_API const char *litmus_session_data_dir(const litmus_session *session);

struct litmus_event {
    const char *event_type;  /* e.g. "test.record"; required */
    const char *run_id;      /* 36 characters, or NULL for session scope */
    const char *payload;     /* payload fields as one JSON object; NULL: {} */
    size_t payload_bytes;    /* 0: strlen(payload) */
    int64_t occurred_at_us;  /* 0: now */
    const char *id;          /* NULL: a new random uuid */
};

/* Checks the event against the event table, completes it (defaults, envelope) and appends it with
 * one write(2). When this returns LITMUS_OK the event is on record. `id_out`, if not NULL, gets
 * the event's id (37 bytes). Errors: EEVENT (names the field), EINVAL, ENOSPC, EPERM, EIO. */
LITMUS_API LITMUS_MUST_USE int litmus_emit(litmus_session *session, const struct litmus_event *event,
                                           char id_out[37], struct litmus_error *error);

/* Emits session.ended (unless joined), seals the log, waits (bounded, 10 s) until the daemon has
 * written the Parquet file of each run this handle ended, and else writes it in this process.
 * Frees the handle in every case. `outcome` may be NULL; a word that is none is EINVAL, and the session closes without it. */
LITMUS_API int litmus_session_close(litmus_session *session, const char *outcome,
                                    struct litmus_error *error);

/* Starts a run. `payload_json`: fields of run.started as one JSON object, or NULL. Hands over
 * *out, which ends with litmus_run_end; it must not outlive the session. */
LITMUS_API LITMUS_MUST_USE int litmus_run_start(litmus_session *session, const char *payload_json,
                                                litmus_run **out, struct litmus_error *error);
LITMUS_API const char *litmus_run_id(const litmus_run *run);

/* Adds one planned step. `step_path` is `{file}/{group}/{name}` or just a name, unique in the run.
 * Adding the same step_path again plans a further vector of that step. *step_out (may be NULL)
 * gets the handle number to start the step with. EINVAL after litmus_plan_commit, and for a path that is not UTF-8
 * or has more than 4096 bytes. */
LITMUS_API LITMUS_MUST_USE int litmus_plan_add(litmus_run *run, const char *step_path, int *step_out,
                                               struct litmus_error *error);
/* The same with the vector's inputs (an object of commanded parameters) in the plan: its row has them also when it never runs,
 * and litmus_step_start takes them when it is given none. EINVAL for what is no JSON object. */
LITMUS_API LITMUS_MUST_USE int litmus_plan_add_vector(litmus_run *run, const char *step_path, const char *inputs_json,
                                                      int *step_out, struct litmus_error *error);
/* Emits test.steps_discovered: from here on every planned step is on record. */
LITMUS_API LITMUS_MUST_USE int litmus_plan_commit(litmus_run *run, struct litmus_error *error);

/* Starts planned step number `step`. `inputs_json`: object of commanded parameters; NULL: those of the plan, or none. A step
 * that is started again is another attempt: its row has all of them, and comes to what the last one comes to. */
LITMUS_API LITMUS_MUST_USE int litmus_step_start(litmus_run *run, int step, const char *inputs_json,
                                                 struct litmus_error *error);

/* Starts a sub-step of the step that is running; steps nest. It ends with litmus_step_end, which ends the innermost.
 * Its path is that of the enclosing step, `/` and `name` (`/` and `%` percent-encoded); a name that is opened again
 * in the same step gets `#2`, and so on. What it comes to worsens the step that it is in. */
LITMUS_API LITMUS_MUST_USE int litmus_substep_start(litmus_run *run, const char *name, const char *inputs_json,
                                                    struct litmus_error *error);

struct litmus_limit {
    double low, high, nominal; /* NAN: not given */
    const char *comparator;    /* GELE (NULL), GELT, GTLE, GTLT, GE, GT, LE, LT, EQ, NE */
    const char *units;         /* NULL: none */
    const char *text;          /* what a text is compared with, by EQ (NULL) or NE; NULL: the limit is one of numbers */
    const char *characteristic_id, *spec_ref; /* the specification that it is from; NULL: none */
};
/* Records one measurement in the step that is running and judges it. `limit` may be NULL (outcome
 * done). NAN value: errored. *outcome_out (may be NULL) gets "passed", "failed", "done", "errored"
 * (static storage). Errors: EINVAL for a limit that cannot judge and for a name that this step measured
 * before, ESTATE outside a step; nothing is recorded then. */
LITMUS_API LITMUS_MUST_USE int litmus_measure(litmus_run *run, const char *name, double value,
                                              const struct litmus_limit *limit,
                                              const char **outcome_out, struct litmus_error *error);
/* The same for a text of at most 64 KiB; NULL is EINVAL (a text that could not be read: litmus_measure of NAN). */
LITMUS_API LITMUS_MUST_USE int litmus_measure_text(litmus_run *run, const char *name, const char *text,
                                                   const struct litmus_limit *limit,
                                                   const char **outcome_out, struct litmus_error *error);
/* As litmus_measure, but a limit is required (EINVAL), and a value that does not pass gives ELIMIT once it is
 * on record. */
LITMUS_API LITMUS_MUST_USE int litmus_verify(litmus_run *run, const char *name, double value,
                                             const struct litmus_limit *limit, struct litmus_error *error);

/* A measurement with all that may be known of it. Zero everything first; NULL: not given. */
struct litmus_measurement {
    const char *name;                 /* at most 255 bytes */
    double value;                     /* NAN: could not be measured */
    const char *text;                 /* instead of value: it is a text */
    const char *units;                /* NULL: those of the limit. Others than those are refused */
    const struct litmus_limit *limit; /* NULL: not judged */
    const char *characteristic_id, *spec_ref; /* NULL: those of the limit */
    const char *dut_pin, *fixture_connection, *instrument_name, *instrument_resource, *instrument_channel;
    bool repeat; /* this step may have measured the name (on this connection) before */
};
LITMUS_API LITMUS_MUST_USE int litmus_measure_full(litmus_run *run, const struct litmus_measurement *measurement,
                                                   const char **outcome_out, struct litmus_error *error);

/* Records an output of the step that is running, not judged: column `out_{name}`. `value_json`: any JSON value
 * (a text in its quotes); NULL: null. The same name again replaces it. */
LITMUS_API LITMUS_MUST_USE int litmus_observe(litmus_run *run, const char *name, const char *value_json,
                                              struct litmus_error *error);
/* Attaches a file, or bytes, to the step that is running. The content is stored once by its SHA-256, a file a piece
 * at a time, and copied beside the run file; column `out_{name}` refers to it. `name` is at most 255 bytes; of bytes
 * its ending is the stored file's (`trace.csv`), else `.bin`. `out` may be NULL. The same name again replaces what the
 * column says. Errors: EINVAL (no regular file), ESTATE outside a step, ENOENT, EPERM, ENOSPC, EIO. */
struct litmus_attachment {
    char uri[128];   /* file://_ref/... */
    char sha256[65]; /* of the content */
    int64_t bytes;
};
LITMUS_API LITMUS_MUST_USE int litmus_attach_bytes(litmus_run *run, const char *name, const void *bytes, size_t n,
                                                   struct litmus_attachment *out, struct litmus_error *error);
LITMUS_API LITMUS_MUST_USE int litmus_attach_file(litmus_run *run, const char *name, const char *path,
                                                  struct litmus_attachment *out, struct litmus_error *error);
/* Ends the step that is running. `outcome` NULL: failed/errored if a measurement was, passed if one
 * was judged, else done. `message` may be NULL. */
LITMUS_API LITMUS_MUST_USE int litmus_step_end(litmus_run *run, const char *outcome,
                                               const char *message, struct litmus_error *error);
/* Ends the run and frees the handle. `outcome` NULL: the worst outcome of its steps. `stop_reason`
 * NULL when the plan was worked through. An outcome that is none, or a reason that is not UTF-8, is EINVAL: the run
 * ends without it. */
LITMUS_API LITMUS_MUST_USE int litmus_run_end(litmus_run *run, const char *outcome,
                                              const char *stop_reason, struct litmus_error *error);

/* ---- Questions to the operator --------------------------------------------------------------
 * Each is on record as dialog.opened, and its end as dialog.responded: answered, cancelled or timed_out, the words,
 * after how long, by whom and how (terminal, api, double). It is asked on the terminal of the process (/dev/tty, not
 * stdin) and again until the answer can be one, unless the options name who answers instead. When LITMUS_OK comes back,
 * the answer is on record. No lock is held while a question waits.
 * Errors of all: EINVAL (a question that cannot be asked, an answer of `answerer` that cannot be one), ETIMEDOUT, ECANCELED
 * (end of input: Ctrl-D), ENOENT (no terminal and no answerer), and those of litmus_emit. */

enum litmus_prompt_kind { LITMUS_CONFIRM, LITMUS_CHOOSE, LITMUS_TEXT, LITMUS_NUMBER, LITMUS_SCAN };

/* A question as who answers in the operator's place gets it. Lives as long as the call. */
struct litmus_question {
    const char *dialog_id; /* as on record */
    enum litmus_prompt_kind kind;
    const char *title, *message;
    const char *const *choices; /* of LITMUS_CHOOSE */
    size_t choice_count;
    double low, high;    /* of LITMUS_NUMBER; NAN: open */
    const char *pattern; /* of LITMUS_SCAN; NULL: any */
    int64_t timeout_ms;  /* 0: as long as it takes */
};
enum { LITMUS_ANSWER_BYTES = 4096 };
struct litmus_answer { /* zeroed before the call */
    char words[LITMUS_ANSWER_BYTES]; /* as a person would type it: "yes", "2", "3.3", "SN-0042"; UTF-8, terminated */
    char by[256];                    /* who; empty: the operator of the run */
    bool is_double;                  /* a test double, no person: `answered_via` is double instead of api */
};
/* Answers a question in the thread that asks it: a window of the executive, a test double. Returns LITMUS_OK, ETIMEDOUT or
 * ECANCELED, or another code with *error filled. An answer after `timeout_ms` is none (ETIMEDOUT). */
typedef int litmus_answerer(void *self, const struct litmus_question *question, struct litmus_answer *answer,
                            struct litmus_error *error);

/* Zero everything first; one may serve for all questions. */
struct litmus_prompt_options {
    litmus_run *run;           /* whose step asks; NULL: the session (before a run starts) */
    const char *title;         /* NULL: none */
    int64_t timeout_ms;        /* 0: as long as it takes */
    litmus_answerer *answerer; /* NULL: the terminal */
    void *self;                /* the answerer's */
};
/* Yes or no ("y", "yes", "n", "no"). Options may be NULL, here and below. */
LITMUS_API LITMUS_MUST_USE int litmus_prompt_confirm(litmus_session *session, const struct litmus_prompt_options *options,
                                                     const char *message, bool *yes, struct litmus_error *error);
/* One of `count` choices, by its text or its number from 1. *choice: its place from 0. */
LITMUS_API LITMUS_MUST_USE int litmus_prompt_choose(litmus_session *session, const struct litmus_prompt_options *options,
                                                    const char *message, const char *const *choices, size_t count,
                                                    int *choice, struct litmus_error *error);
/* A line of text, without blanks around it; an empty one is asked for again. */
LITMUS_API LITMUS_MUST_USE int litmus_prompt_text(litmus_session *session, const struct litmus_prompt_options *options,
                                                  const char *message, char text[LITMUS_ANSWER_BYTES],
                                                  struct litmus_error *error);
/* A number from `low` to `high` (NAN: open), with a point in every locale. */
LITMUS_API LITMUS_MUST_USE int litmus_prompt_number(litmus_session *session, const struct litmus_prompt_options *options,
                                                    const char *message, double low, double high, double *number,
                                                    struct litmus_error *error);
/* What a scanner types: one line without control characters, all of it like `pattern` (POSIX extended regular
 * expression; NULL: any). */
LITMUS_API LITMUS_MUST_USE int litmus_prompt_scan(litmus_session *session, const struct litmus_prompt_options *options,
                                                  const char *message, const char *pattern, char code[LITMUS_ANSWER_BYTES],
                                                  struct litmus_error *error);

/* ---- Channels: sampled signals and waveforms ------------------------------------------------
 * A channel is a series of samples with times (ns since 1970, UTC), in an Arrow file of its own below
 * channels/{date}/. What an append returned LITMUS_OK for is with the kernel, as with emit. Measurements
 * and observations refer to a channel by its URI; the samples never pass through JSON. */

/* Types of samples: X(id, name, C type). */
#define LITMUS_TYPES(X)              \
    X(FLOAT64, "float64", double)    \
    X(FLOAT32, "float32", float)     \
    X(INT8, "int8", int8_t)          \
    X(INT16, "int16", int16_t)       \
    X(INT32, "int32", int32_t)       \
    X(INT64, "int64", int64_t)       \
    X(UINT8, "uint8", uint8_t)       \
    X(UINT16, "uint16", uint16_t)    \
    X(UINT32, "uint32", uint32_t)    \
    X(UINT64, "uint64", uint64_t)
enum litmus_type {
#define LITMUS_TYPE_ENUM(id, name, c_type) LITMUS_##id,
    LITMUS_TYPES(LITMUS_TYPE_ENUM)
#undef LITMUS_TYPE_ENUM
};

typedef struct litmus_channel litmus_channel; /* handle: one channel that is being recorded */

struct litmus_channel_options {
    enum litmus_type type;       /* of the samples; FLOAT64 is 0 */
    const char *units;           /* NULL: none */
    const char *run_id;          /* the run it belongs to; NULL: the session */
    const char *instrument_role; /* NULL: none; this and the next two go on record with channel.started */
    const char *method, *resource;
};

/* Opens a channel: creates its file and emits channel.started. `channel_id` is `{role}.{signal}` or any
 * name of at most 199 bytes without control characters. Options may be NULL. Hands over *out, which ends
 * with litmus_channel_close and must not outlive the session. May be used by many threads at once.
 * Errors: EINVAL, EPERM, ENOSPC, EIO, ENOMEM. */
LITMUS_API LITMUS_MUST_USE int litmus_channel_open(litmus_session *session, const char *channel_id,
                                                   const struct litmus_channel_options *options,
                                                   litmus_channel **out, struct litmus_error *error);
/* `channel://{channel_id}?session={session_id}`; lives as long as the handle. */
LITMUS_API const char *litmus_channel_uri(const litmus_channel *channel);
/* Appends one sample. `time_ns` 0: now. A value that the channel's type cannot hold is EINVAL. */
LITMUS_API LITMUS_MUST_USE int litmus_channel_sample(litmus_channel *channel, int64_t time_ns, double value,
                                                     struct litmus_error *error);
/* Appends `count` samples of the channel's type from `values`, evenly spaced by `interval_ns` (> 0), the
 * first at `start_ns` (0: now). They are written from where they are. */
LITMUS_API LITMUS_MUST_USE int litmus_channel_block(litmus_channel *channel, int64_t start_ns, double interval_ns,
                                                    const void *values, size_t count, struct litmus_error *error);
/* The same for samples that have a time each, none before the one before it. */
LITMUS_API LITMUS_MUST_USE int litmus_channel_samples(litmus_channel *channel, const int64_t *times_ns,
                                                      const void *values, size_t count, struct litmus_error *error);
/* Seals the file, emits channel.closed and frees the handle in every case. `reason` NULL: "closed"; one that is not
 * UTF-8 is EINVAL, and the channel closes without it. */
LITMUS_API int litmus_channel_close(litmus_channel *channel, const char *reason, struct litmus_error *error);

/* Samples that were read: `values` are of `type` (doubles in a view). */
struct litmus_signal {
    int64_t count;
    int64_t *times_ns;
    void *values;
    enum litmus_type type;
};
enum litmus_view {
    LITMUS_VIEW_MINMAX = 0, /* the lowest and highest sample of each of points / 2 equal spans of time */
    LITMUS_VIEW_LTTB = 1,   /* largest triangle three buckets; over 1 Mi samples among the extremes of 4 x points spans */
};
/* The samples from `from_ns` on and before `to_ns` (INT64_MIN, INT64_MAX: all) of the channel that `uri` or a
 * bare channel id names (a bare id: its latest session). `data_dir` NULL: found as for a session. Release
 * *out with litmus_signal_release. Errors: ENOENT, EDAMAGED, EINVAL, EIO, ENOMEM. */
LITMUS_API LITMUS_MUST_USE int litmus_channel_read(const char *data_dir, const char *uri, int64_t from_ns,
                                                   int64_t to_ns, struct litmus_signal *out,
                                                   struct litmus_error *error);
/* The same, reduced to at most `points` samples that look alike. NaN is left out. */
LITMUS_API LITMUS_MUST_USE int litmus_channel_view(const char *data_dir, const char *uri, int64_t from_ns,
                                                   int64_t to_ns, int points, enum litmus_view view,
                                                   struct litmus_signal *out, struct litmus_error *error);
LITMUS_API void litmus_signal_release(struct litmus_signal *signal);

/* ---- Read back ---------------------------------------------------------------------------- */

typedef struct litmus_table litmus_table; /* rows and named columns, read only */

enum litmus_list {
    LITMUS_LIST_RUNS = 0,
    LITMUS_LIST_STEPS = 1,
    LITMUS_LIST_MEASUREMENTS = 2,
};

/* Reads runs (run_ref ignored, may be NULL; newest first, at most `limit`, 0 = all) or the steps or
 * measurements of one run (`run_ref`: a run id or a unique prefix of one, "last", or "@2").
 * `data_dir` NULL: found as for a session. Hands over *out; free with litmus_table_free.
 * Errors: ENOENT, EAMBIGUOUS (text names the candidates), EDAMAGED, ECONFIG, EIO. */
LITMUS_API LITMUS_MUST_USE int litmus_read(const char *data_dir, enum litmus_list what,
                                           const char *run_ref, int64_t limit, litmus_table **out,
                                           struct litmus_error *error);
LITMUS_API int64_t litmus_table_rows(const litmus_table *table);
LITMUS_API int litmus_table_columns(const litmus_table *table);
LITMUS_API const char *litmus_table_column_name(const litmus_table *table, int column);
/* Cell as text (numbers in their shortest form, times as ISO 8601), written to `buf` (always
 * terminated, cut at `size`). Returns the full length, or -1 for NULL. */
LITMUS_API int64_t litmus_table_text(const litmus_table *table, int64_t row, int column, char *buf,
                                     size_t size);
/* Column number by name, -1 if there is none. */
LITMUS_API int litmus_table_find(const litmus_table *table, const char *column_name);
LITMUS_API void litmus_table_free(litmus_table *table);

#ifdef __cplusplus
}
#endif
#endif
