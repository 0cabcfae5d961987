/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "log/fork.h"
#include "log/growing.h"
#include "log/log.h"
#include "log/seal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct lt_growing_kind log_kind = {.folder = "events", .file = "log", .content = "events"};

struct lt_log_writer {
    pthread_mutex_t mutex;
    struct lt_fork_member fork;
    /* as opened */
    char session[LT_LOG_SESSION_MAX];
    struct lt_layout layout;
    struct lt_chain *chain;
    const struct lt_key *key; /* borrowed; NULL: the log is not signed */
    /* of the file; a forked child starts over */
    struct lt_growing file;
    char identity[LT_LOG_IDENTITY_MAX];
    int64_t rows;
    unsigned char last[LT_CHAIN_BYTES];
};

static struct lt_ipc_schema *schema_of(void *self, const char *name) {
    struct lt_log_writer *writer = self;
    snprintf(writer->identity, sizeof writer->identity, "%s", name);
    return lt_ipc_schema_new(writer->identity, writer->session);
}

/* Opens a file of this process. */
static int open_file(struct lt_log_writer *writer, struct litmus_error *error) {
    char stem[LT_LOG_IDENTITY_MAX];
    snprintf(stem, sizeof stem, "%s-%ld", writer->session, (long)getpid());
    int code = lt_growing_open(&writer->file, stem, schema_of, writer, error);
    if (code == LITMUS_OK) lt_chain_start(writer->chain, writer->identity, writer->last);
    return code;
}

/* The child forgets the parent's file; the first append opens one. */
static void in_child(void *self) {
    struct lt_log_writer *writer = self;
    lt_growing_forget(&writer->file);
    writer->file.not_first = true;
    writer->rows = 0;
    writer->identity[0] = '\0';
}

/* ---- appending ---- */
static int append(struct lt_log_writer *writer, struct lt_row *rows, size_t count, struct litmus_error *error) {
    unsigned char last[LT_CHAIN_BYTES];
    struct lt_growing *file = &writer->file;
    memcpy(last, writer->last, sizeof last);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].received_at == 0) rows[i].received_at = lt_now_us();
        lt_chain_next(writer->chain, last, &rows[i], rows[i].chain);
        memcpy(last, rows[i].chain, sizeof last);
    }
    int64_t header_bytes = 0, body_bytes = 0;
    lt_buf_clear(&file->out);
    int code = lt_layout_encode(&writer->layout, rows, count, &file->out, &header_bytes, &body_bytes, error);
    if (code == LITMUS_OK) code = lt_growing_reserve(file, error);
    if (code == LITMUS_OK) code = lt_growing_write(file, file->out.p, file->out.n, error);
    if (code != LITMUS_OK) return code;
    lt_growing_add(file, header_bytes, body_bytes);
    writer->rows += (int64_t)count;
    memcpy(writer->last, last, sizeof last);
    return lt_growing_sync(file, error);
}

/* Why nothing can be appended or sealed now; opens the file of a forked child. */
static int make_ready(struct lt_log_writer *writer, struct litmus_error *error) {
    int code = lt_growing_ready(&writer->file, error);
    return code == LITMUS_OK && writer->file.fd < 0 ? open_file(writer, error) : code;
}

int lt_log_append(struct lt_log_writer *writer, struct lt_row *rows, size_t count, struct litmus_error *error) {
    if (count == 0) return LITMUS_OK;
    pthread_mutex_lock(&writer->mutex);
    int code = make_ready(writer, error);
    if (code == LITMUS_OK) code = append(writer, rows, count, error);
    pthread_mutex_unlock(&writer->mutex);
    return code;
}

/* ---- life cycle ---- */
static struct lt_head head_of(const struct lt_log_writer *writer) {
    struct lt_head head = {.rows = writer->rows};
    memcpy(head.identity, writer->identity, sizeof head.identity);
    memcpy(head.chain, writer->last, sizeof head.chain);
    return head;
}

static int seal(struct lt_log_writer *writer, struct litmus_error *error) {
    struct lt_head head = head_of(writer);
    struct lt_seal signature;
    int code = lt_seal_sign(writer->key, &head, false, &signature, error);
    struct lt_ipc_schema *footer = lt_ipc_schema_copy(writer->file.schema);
    if (code == LITMUS_OK && (footer == NULL || !lt_seal_put(&signature, footer)))
        code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the footer of %s", writer->file.path);
    if (code == LITMUS_OK) code = lt_growing_seal(&writer->file, footer, error);
    lt_ipc_schema_free(footer);
    return code;
}

int lt_log_seal(struct lt_log_writer *writer, struct litmus_error *error) {
    pthread_mutex_lock(&writer->mutex);
    const struct lt_growing *file = &writer->file;
    int code = LITMUS_OK;
    if (file->fd >= 0 || file->sealed || file->refusal.code != LITMUS_OK) { /* else: a child that recorded nothing */
        code = make_ready(writer, error);
        if (code == LITMUS_OK) code = seal(writer, error);
    }
    pthread_mutex_unlock(&writer->mutex);
    return code;
}

static void writer_destroy(struct lt_log_writer *writer) {
    lt_growing_release(&writer->file);
    lt_chain_free(writer->chain);
    pthread_mutex_destroy(&writer->mutex);
    free(writer);
}

void lt_log_writer_free(struct lt_log_writer *writer) {
    if (writer == NULL) return;
    lt_fork_leave(&writer->fork);
    writer_destroy(writer);
}

static int check_options(const struct lt_log_options *options, struct litmus_error *error) {
    const char *session = options->session_id;
    if (options->data_dir == NULL || options->data_dir[0] == '\0') return lt_fail(error, LITMUS_EINVAL, 0, "a log needs a data_dir");
    if (session == NULL || session[0] == '\0' || session[0] == '.' || strlen(session) >= LT_LOG_SESSION_MAX || strchr(session, '/') != NULL ||
        !lt_utf8_valid(session, strlen(session)))
        return lt_fail(error, LITMUS_EINVAL, 0, "the session id %s is no file name of at most %d bytes",
                       session == NULL ? "(none)" : session, LT_LOG_SESSION_MAX - 1);
    return LITMUS_OK;
}

static struct lt_log_writer *writer_new(const struct lt_log_options *options) {
    struct lt_log_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) return NULL;
    pthread_mutex_init(&writer->mutex, NULL);
    snprintf(writer->session, sizeof writer->session, "%s", options->session_id); /* fits: checked */
    int code = lt_growing_init(&writer->file, &log_kind, options->io, options->data_dir, options->durability, options->group_ms, NULL);
    writer->file.number = options->number;
    writer->file.not_first = options->not_first;
    writer->chain = lt_chain_new();
    writer->key = options->key;
    if (code == LITMUS_OK && writer->chain != NULL && lt_ipc_layout(&writer->layout)) return writer;
    writer_destroy(writer);
    return NULL;
}

int lt_log_create(const struct lt_log_options *options, struct lt_log_writer **out, struct litmus_error *error) {
    int code = check_options(options, error);
    if (code != LITMUS_OK) return code;
    struct lt_log_writer *writer = writer_new(options);
    if (writer == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a log");
    code = open_file(writer, error);
    writer->fork = (struct lt_fork_member){.mutex = &writer->mutex, .in_child = in_child, .self = writer};
    int join_errno = code == LITMUS_OK ? lt_fork_join(&writer->fork) : 0;
    if (join_errno != 0) code = lt_fail_os(error, join_errno, "prepare for fork", writer->file.path);
    if (code == LITMUS_OK) *out = writer;
    else writer_destroy(writer);
    return code;
}

const char *lt_log_writer_path(const struct lt_log_writer *writer) {
    return writer->file.path;
}
const char *lt_log_writer_identity(const struct lt_log_writer *writer) {
    return writer->identity;
}
struct lt_head lt_log_writer_head(const struct lt_log_writer *writer) {
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&writer->mutex; /* others may append meanwhile */
    pthread_mutex_lock(mutex);
    struct lt_head head = head_of(writer);
    pthread_mutex_unlock(mutex);
    return head;
}
int64_t lt_log_writer_rows(const struct lt_log_writer *writer) {
    return lt_log_writer_head(writer).rows;
}
