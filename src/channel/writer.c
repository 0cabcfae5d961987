/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/shared.h"
#include "channel/channel.h"
#include "log/fork.h"
#include "log/growing.h"
#include "log/reader.h"

#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { COPY_MAX = 64 * 1024 }; /* a block of so many bytes goes out in the same write as what stands before it */

static const struct lt_growing_kind channel_kind = {.folder = "channels", .file = "channel file", .content = "samples"};

struct lt_channel_writer {
    pthread_mutex_t mutex;
    struct lt_fork_member fork;
    struct lt_channel_about about;
    size_t size_of_one;
    /* of the file; a forked child starts over */
    struct lt_growing file;
    int64_t samples;              /* in rows */
    struct lt_channel_tail *tail; /* NULL: no single sample came yet */
    EVP_MD_CTX *digest;           /* of all that is in the file, as it was written: nobody has to be believed for it */
    uint64_t hashed_bytes;
    bool hashed;                  /* nothing failed with it, and the file is no larger than HASHED_BYTES_MAX */
    char sha256[LT_HASH_TEXT];    /* of the sealed file; "": none */
};

/* A check sum costs more time than the disk. What fits in here has one, whatever an instrument sends besides is to be as quick as the disk. */
static const uint64_t HASHED_BYTES_MAX = 32 * 1024 * 1024;

static void hash(struct lt_channel_writer *writer, const void *bytes, size_t n) {
    if (writer->hashed) writer->hashed = (writer->hashed_bytes += n) <= HASHED_BYTES_MAX && EVP_DigestUpdate(writer->digest, bytes, n) == 1;
}

int64_t lt_channel_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- the file ---- */
/* What a file name may hold of a channel's id; the metadata have all of it. */
static void name_part(const char *id, char out[80]) {
    size_t n = 0;
    for (; id[n] != '\0' && n < 79; n++) {
        char c = id[n];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
        out[n] = plain ? c : '_';
    }
    out[n] = '\0';
}

static struct lt_ipc_schema *schema_of(void *self, const char *name) {
    (void)name;
    return lt_channel_schema(&((struct lt_channel_writer *)self)->about);
}

static int open_file(struct lt_channel_writer *writer, struct litmus_error *error) {
    char part[80], stem[192];
    name_part(writer->about.channel_id, part);
    snprintf(stem, sizeof stem, "%s-%ld_%s", writer->about.session_id, (long)getpid(), part);
    int code = lt_growing_open(&writer->file, stem, schema_of, writer, error);
    if (code != LITMUS_OK) return code;
    writer->hashed_bytes = 0;
    writer->hashed = EVP_DigestInit_ex(writer->digest, EVP_sha256(), NULL) == 1;
    hash(writer, writer->file.out.p, writer->file.out.n); /* magic and schema */
    return LITMUS_OK;
}

static void drop_tail(struct lt_channel_writer *writer) {
    lt_shared_unmap(writer->tail, sizeof *writer->tail);
    writer->tail = NULL;
}

static void in_child(void *self) {
    struct lt_channel_writer *writer = self;
    lt_growing_forget(&writer->file);
    drop_tail(writer);
    writer->samples = 0;
}

static int make_ready(struct lt_channel_writer *writer, struct litmus_error *error) {
    int code = lt_growing_ready(&writer->file, error);
    return code == LITMUS_OK && writer->file.fd < 0 ? open_file(writer, error) : code;
}

/* ---- rows ---- */
/* One row. Small ones are one write; of a large one the samples are written from where they are. */
static int put_row(struct lt_channel_writer *writer, const struct lt_channel_row *row, const int64_t *times, const void *values, struct litmus_error *error) {
    static const unsigned char padding[LT_LOG_ALIGN];
    struct lt_growing *file = &writer->file;
    struct lt_channel_plan plan;
    lt_channel_plan(&plan, writer->about.type, row->count, times == NULL);
    size_t bytes = (size_t)row->count * writer->size_of_one, pad = (size_t)lt_align8((int64_t)bytes) - bytes;
    lt_buf_clear(&file->out);
    int code = lt_channel_head(&plan, writer->about.type, row, times, values, &file->out, error);
    if (code == LITMUS_OK) code = lt_growing_reserve(file, error);
    bool copy = bytes <= COPY_MAX;
    if (copy) {
        lt_buf_add(&file->out, values, bytes);
        lt_buf_add(&file->out, padding, pad);
        if (file->out.failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a block of samples");
    }
    if (code == LITMUS_OK) code = lt_growing_write(file, file->out.p, file->out.n, error);
    if (code == LITMUS_OK && !copy) code = lt_growing_write(file, values, bytes, error);
    if (code == LITMUS_OK && !copy && pad > 0) code = lt_growing_write(file, padding, pad, error);
    if (code != LITMUS_OK) return code;
    hash(writer, file->out.p, file->out.n);
    if (!copy) hash(writer, values, bytes);
    if (!copy) hash(writer, padding, pad);
    lt_growing_add(file, lt_channel_header_bytes(), plan.body_bytes);
    writer->samples += row->count;
    return LITMUS_OK;
}

static int flush(struct lt_channel_writer *writer, struct litmus_error *error) {
    struct lt_channel_tail *tail = writer->tail;
    int64_t count = tail == NULL ? 0 : tail->count;
    if (count == 0) return LITMUS_OK;
    struct lt_channel_row row = {.first_sample = writer->samples, .time = tail->times[0], .time_last = tail->times[count - 1], .count = count};
    int code = put_row(writer, &row, tail->times, tail->values, error);
    if (code != LITMUS_OK) return code;
    /* In this order: whoever looks in between sees an empty tail, and the samples in the file. */
    tail->count = 0;
    tail->first_sample = writer->samples;
    return LITMUS_OK;
}

static int make_tail(struct lt_channel_writer *writer, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    lt_tail_path(writer->file.path, &path);
    void *memory = NULL;
    int code = path.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path")
                           : lt_shared_create(writer->file.io, lt_buf_cstr(&path), sizeof *writer->tail, &memory, error);
    lt_buf_release(&path);
    if (code != LITMUS_OK) return code;
    writer->tail = memory;
    writer->tail->first_sample = writer->samples;
    memcpy(writer->tail->magic, LT_TAIL_MAGIC, sizeof writer->tail->magic);
    return LITMUS_OK;
}

static int put_sample(struct lt_channel_writer *writer, int64_t time_ns, const void *value, struct litmus_error *error) {
    int code = make_ready(writer, error);
    if (code == LITMUS_OK && writer->tail == NULL) code = make_tail(writer, error);
    if (code != LITMUS_OK) return code;
    struct lt_channel_tail *tail = writer->tail;
    int64_t at = tail->count;
    /* A row's times never fall: after a clock that stepped back, a new one begins. */
    if (at == LT_CHANNEL_TAIL || (at > 0 && time_ns < tail->times[at - 1])) {
        code = flush(writer, error);
        if (code != LITMUS_OK) return code;
        at = 0;
    }
    tail->times[at] = time_ns;
    memcpy(tail->values + (size_t)at * writer->size_of_one, value, writer->size_of_one);
    tail->count = at + 1;
    const struct lt_growing *file = &writer->file;
    if (file->durability == LITMUS_DURABILITY_OS) return LITMUS_OK;
    if (file->durability == LITMUS_DURABILITY_EACH || lt_monotonic_us() - file->synced_us >= file->group_us) code = flush(writer, error);
    return code == LITMUS_OK ? lt_growing_sync(&writer->file, error) : code;
}

int lt_channel_put_sample(struct lt_channel_writer *writer, int64_t time_ns, double value, struct litmus_error *error) {
    unsigned char stored[8];
    if (!lt_type_store(writer->about.type, value, stored))
        return lt_fail(error, LITMUS_EINVAL, 0, "channel %s holds %s, which cannot be %.17g", writer->about.channel_id, lt_type_name(writer->about.type), value);
    pthread_mutex_lock(&writer->mutex);
    int code = put_sample(writer, time_ns, stored, error);
    pthread_mutex_unlock(&writer->mutex);
    return code;
}

static int put_blocks(struct lt_channel_writer *writer, int64_t start, double interval_ns, const int64_t *times, const unsigned char *values, int64_t count,
                      struct litmus_error *error) {
    int code = make_ready(writer, error);
    if (code == LITMUS_OK) code = flush(writer, error);
    for (int64_t done = 0; code == LITMUS_OK && done < count;) {
        int64_t n = count - done < LT_CHANNEL_BLOCK_MAX ? count - done : LT_CHANNEL_BLOCK_MAX;
        struct lt_channel_row row = {.first_sample = writer->samples, .count = n};
        if (times == NULL) {
            row.interval_ns = interval_ns;
            row.time = lt_channel_time(start, interval_ns, done);
            row.time_last = lt_channel_time(row.time, interval_ns, n - 1);
        } else {
            row.time = times[done];
            row.time_last = times[done + n - 1];
        }
        code = put_row(writer, &row, times == NULL ? NULL : times + done, values + (size_t)done * writer->size_of_one, error);
        done += n;
    }
    if (code == LITMUS_OK && writer->tail != NULL) writer->tail->first_sample = writer->samples;
    return code == LITMUS_OK ? lt_growing_sync(&writer->file, error) : code;
}

int lt_channel_put_block(struct lt_channel_writer *writer, int64_t start, double interval_ns, const int64_t *times, const void *values, size_t count, struct litmus_error *error) {
    const char *id = writer->about.channel_id;
    if (count == 0) return LITMUS_OK;
    if (count > (size_t)INT64_MAX / 16) return lt_fail(error, LITMUS_EINVAL, 0, "a block of %zu samples for channel %s", count, id);
    if (times == NULL && !(interval_ns > 0 && interval_ns * (double)count < 9e18))
        return lt_fail(error, LITMUS_EINVAL, 0, "a block for channel %s has an interval of %g ns: it must be above 0, and the block end before the year 2262", id, interval_ns);
    for (size_t i = 1; times != NULL && i < count; i++)
        if (times[i] < times[i - 1]) return lt_fail(error, LITMUS_EINVAL, 0, "a block for channel %s: the time of sample %zu is before that of the one before it", id, i);
    pthread_mutex_lock(&writer->mutex);
    int code = put_blocks(writer, start, interval_ns, times, values, (int64_t)count, error);
    pthread_mutex_unlock(&writer->mutex);
    return code;
}

int lt_channel_flush(struct lt_channel_writer *writer, struct litmus_error *error) {
    pthread_mutex_lock(&writer->mutex);
    int code = writer->file.fd >= 0 ? make_ready(writer, error) : LITMUS_OK;
    if (code == LITMUS_OK && writer->file.fd >= 0) code = flush(writer, error);
    pthread_mutex_unlock(&writer->mutex);
    return code;
}

/* ---- life cycle ---- */
static int seal(struct lt_channel_writer *writer, struct litmus_error *error) {
    int code = make_ready(writer, error);
    if (code == LITMUS_OK) code = flush(writer, error);
    if (code == LITMUS_OK) code = lt_growing_seal(&writer->file, NULL, error);
    if (code != LITMUS_OK) return code;
    hash(writer, writer->file.out.p, writer->file.out.n); /* the seal */
    if (!writer->hashed || !lt_digest_text(writer->digest, writer->sha256)) writer->sha256[0] = '\0';
    struct lt_buf path;
    lt_buf_init(&path);
    lt_tail_path(writer->file.path, &path);
    if (writer->tail != NULL && !path.failed) writer->file.io->unlink(writer->file.io->self, lt_buf_cstr(&path));
    lt_buf_release(&path);
    drop_tail(writer);
    return LITMUS_OK;
}

int lt_channel_seal(struct lt_channel_writer *writer, struct litmus_error *error) {
    pthread_mutex_lock(&writer->mutex);
    int code = writer->file.fd >= 0 || writer->file.refusal.code != LITMUS_OK ? seal(writer, error) : LITMUS_OK;
    pthread_mutex_unlock(&writer->mutex);
    return code;
}

static void writer_destroy(struct lt_channel_writer *writer) {
    lt_growing_release(&writer->file);
    drop_tail(writer);
    EVP_MD_CTX_free(writer->digest);
    pthread_mutex_destroy(&writer->mutex);
    free(writer);
}

void lt_channel_writer_free(struct lt_channel_writer *writer) {
    if (writer == NULL) return;
    lt_fork_leave(&writer->fork);
    writer_destroy(writer);
}

static int check_about(const struct lt_channel_about *about, struct litmus_error *error) {
    const char *id = about->channel_id;
    size_t n = strlen(id);
    bool sound = n > 0 && lt_utf8_valid(id, n) && lt_utf8_valid(about->units, strlen(about->units));
    for (size_t i = 0; sound && i < n; i++) sound = (unsigned char)id[i] >= ' ' && id[i] != 0x7f;
    if (!sound) return lt_fail(error, LITMUS_EINVAL, 0, "\"%s\" is no channel id: 1 to %d bytes of UTF-8 without control characters, and units likewise", id,
                               LT_CHANNEL_ID_BYTES - 1);
    if (lt_type_bytes(about->type) == 0) return lt_fail(error, LITMUS_EINVAL, 0, "channel %s: there is no type of samples number %d", id, (int)about->type);
    const char *session = about->session_id;
    if (session[0] == '\0' || session[0] == '.' || strchr(session, '/') != NULL) return lt_fail(error, LITMUS_EINVAL, 0, "channel %s has no session", id);
    return LITMUS_OK;
}

int lt_channel_create(const struct lt_channel_writer_options *options, struct lt_channel_writer **out, struct litmus_error *error) {
    int code = check_about(&options->about, error);
    if (code != LITMUS_OK) return code;
    struct lt_channel_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a channel");
    pthread_mutex_init(&writer->mutex, NULL);
    writer->about = options->about;
    writer->size_of_one = (size_t)lt_type_bytes(options->about.type);
    writer->digest = EVP_MD_CTX_new();
    code = lt_growing_init(&writer->file, &channel_kind, options->io, options->data_dir, options->durability, options->group_ms, error);
    if (code == LITMUS_OK && writer->digest == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a channel");
    if (code == LITMUS_OK) code = open_file(writer, error);
    writer->fork = (struct lt_fork_member){.mutex = &writer->mutex, .in_child = in_child, .self = writer};
    int join_errno = code == LITMUS_OK ? lt_fork_join(&writer->fork) : 0;
    if (join_errno != 0) code = lt_fail_os(error, join_errno, "prepare for fork", writer->file.path);
    if (code == LITMUS_OK) *out = writer;
    else writer_destroy(writer);
    return code;
}

const char *lt_channel_writer_path(const struct lt_channel_writer *writer) {
    return writer->file.path == NULL ? "" : writer->file.path;
}

const char *lt_channel_writer_sha256(const struct lt_channel_writer *writer) {
    return writer->sha256;
}

int64_t lt_channel_writer_samples(struct lt_channel_writer *writer) {
    pthread_mutex_lock(&writer->mutex);
    int64_t samples = writer->samples + (writer->tail == NULL ? 0 : writer->tail->count);
    pthread_mutex_unlock(&writer->mutex);
    return samples;
}
