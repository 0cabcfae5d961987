/* SPDX-License-Identifier: Apache-2.0
 *
 * From a session's logs to one Parquet file a run. Two materializers may meet at any point (the
 * daemon and a closing producer): one at a time works on a session, and the second finds the work
 * done.
 */
#include "materialize/materialize.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/json_text.h"
#include "base/portable.h"
#include "channel/channel.h"
#include "log/heads.h"
#include "log/index.h"
#include "materialize/attachments.h"
#include "materialize/changeset.h"
#include "materialize/own_log.h"
#include "materialize/parquet.h"
#include "materialize/range_lock.h"
#include "materialize/rows.h"
#include "model/outcome.h"
#include "query/catalog_queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct lt_folder_mark {
    dev_t device;
    ino_t inode;
    int64_t synced_us; /* when its entries were on the disk last; what is older than that needs no more */
};

struct lt_materializer {
    char *data_dir;
    char *station_dir; /* NULL: data_dir */
    const struct lt_io *io;
    int lock_fd; /* -1: no locking possible */
    struct lt_catalog *catalog; /* NULL until used, or not to be had: it is disposable */
    bool catalog_tried;
    struct lt_catalog_queue *queue; /* borrowed; NULL: the catalog is our own */
    struct lt_log_index *index;     /* borrowed; NULL: the folders are listed for each session */
    struct lt_buf bytes; /* of the file being made; kept from run to run */
    struct lt_buf taken_path, taken_run; /* the name that was looked into last, and whose file it is */
    struct lt_folder_mark events, runs; /* what leads to these folders is on the disk */
    struct lt_key_place key;
};

/* The station's key as it is now, where litmus.yaml has it now; NULL: there is none, or it cannot be used (its producers say why on record). While
 * that file cannot be read, somebody is about to change it. */
static const struct lt_key *key_of(struct lt_materializer *m) {
    const struct lt_key *key;
    struct lt_buf path;
    lt_buf_init(&path);
    const char *station = m->station_dir == NULL ? m->data_dir : m->station_dir;
    if (lt_signing_key_find(NULL, station, &path, NULL) == LITMUS_OK && !lt_str_eq((struct lt_str){path.p, path.n}, (struct lt_str){m->key.path.p, m->key.path.n})) {
        lt_key_place_release(&m->key);
        m->key.path = path;
    } else lt_buf_release(&path);
    return lt_key_place_get(&m->key, &key, NULL) == LITMUS_OK ? key : NULL;
}

int lt_materializer_new(const char *data_dir, const struct lt_io *io, struct lt_materializer **out, struct litmus_error *error) {
    int refused = lt_data_dir_check(data_dir, error);
    if (refused != LITMUS_OK) return refused;
    struct lt_materializer *m = calloc(1, sizeof *m);
    if (m != NULL) m->data_dir = strdup(data_dir);
    if (m == NULL || m->data_dir == NULL) {
        free(m);
        return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory");
    }
    m->io = io == NULL ? &lt_io_os : io;
    (void)!lt_changeset_finish(m->io, data_dir, NULL); /* its files count before names are given */
    m->lock_fd = lt_range_lock_open(data_dir);
    lt_key_place_init(&m->key);
    *out = m;
    return LITMUS_OK;
}

void lt_materializer_free(struct lt_materializer *m) {
    if (m == NULL) return;
    if (m->lock_fd >= 0) close(m->lock_fd);
    lt_catalog_free(m->catalog);
    lt_buf_release(&m->bytes);
    lt_buf_release(&m->taken_path);
    lt_buf_release(&m->taken_run);
    lt_key_place_release(&m->key);
    free(m->data_dir);
    free(m->station_dir);
    free(m);
}

int lt_materializer_name(struct lt_materializer *m, const char *data_dir, struct litmus_error *error) {
    char *own = strdup(data_dir);
    if (own == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory");
    free(m->station_dir);
    m->station_dir = own;
    return LITMUS_OK;
}

void lt_materializer_use_index(struct lt_materializer *m, struct lt_log_index *index) {
    m->index = index;
}

void lt_materializer_use_queue(struct lt_materializer *m, struct lt_catalog_queue *queue) {
    m->queue = queue;
}

/* ---- the file's name ---- */

static struct lt_str trimmed(struct lt_str s) {
    while (s.n > 0 && strchr(" \t\r\n\v\f", s.p[0]) != NULL && s.p[0] != '\0') s = (struct lt_str){s.p + 1, s.n - 1};
    while (s.n > 0 && strchr(" \t\r\n\v\f", s.p[s.n - 1]) != NULL && s.p[s.n - 1] != '\0') s.n--;
    return s;
}

enum { SERIAL_NAME_BYTES_MAX = 150, RUN_ID_NAME_BYTES_MAX = 36 }; /* the column keeps the whole serial; a file name has 255 bytes at most */

/* Anything that could mean something in a path becomes `_`. */
static void add_plain(struct lt_buf *out, struct lt_str text, size_t bytes_max) {
    for (size_t i = 0; i < text.n && i < bytes_max; i++) {
        lt_buf_add_char(out, lt_destination_plain(text.p[i]) ? text.p[i] : '_');
    }
}

int lt_run_file_name(int64_t started_us, struct lt_str serial, struct lt_str run_id, struct lt_buf *out) {
    char date[LT_ISO_BYTES], stamp[LT_ISO_BYTES];
    lt_time_date(started_us, date);
    lt_time_stamp(started_us, stamp);
    lt_buf_addf(out, "%s/%s", date, stamp);
    if (run_id.n > 0) lt_buf_add_char(out, '_');
    add_plain(out, run_id, RUN_ID_NAME_BYTES_MAX);
    serial = trimmed(serial);
    if (serial.n > 0) lt_buf_add_char(out, '_');
    add_plain(out, serial, SERIAL_NAME_BYTES_MAX);
    lt_buf_add_text(out, ".parquet");
    return out->failed ? LITMUS_ENOMEM : LITMUS_OK;
}

/* Is there a file of that name, and of another run? Runs of one second and serial ask for the same
 * name again and again: whose it is is remembered. One that cannot be read now may be this run's: it would have two. */
static bool taken_by_other(struct lt_materializer *m, const char *path, struct lt_str run_id, struct litmus_error *refused) {
    static const char *const columns[] = {"run_id"};
    struct lt_table table;
    struct litmus_error why = {0};
    if (access(path, F_OK) != 0) return false;
    if (strcmp(lt_buf_cstr(&m->taken_path), path) != 0) {
        if (lt_parquet_read(path, columns, 1, &table, &why) != LITMUS_OK) { /* not ours to overwrite */
            if (lt_error_is_refusal(&why)) lt_fail_with(refused, &why);
            return true;
        }
        lt_buf_clear(&m->taken_path);
        lt_buf_clear(&m->taken_run);
        lt_buf_add_text(&m->taken_path, path);
        lt_buf_add_str(&m->taken_run, lt_table_str(&table, lt_table_find(&table, "run_id"), 0));
        lt_table_release(&table);
    }
    return !lt_str_eq((struct lt_str){lt_buf_cstr(&m->taken_run), m->taken_run.n}, run_id);
}

/* A name is free when no file has it, or one of this run. `also` (may be NULL) is a folder in which nobody may have it. */
static bool is_free(struct lt_materializer *m, const char *also, struct lt_str run_id, const char *name, struct lt_buf *path, struct litmus_error *refused) {
    if (also != NULL && access(lt_path_join(path, also, name), F_OK) == 0) return false;
    return !taken_by_other(m, lt_path_join(path, m->data_dir, name), run_id, refused);
}

static int choose_free_name(struct lt_materializer *m, const struct lt_gathered_run *run, const char *also, struct lt_buf *name, struct litmus_error *error) {
    struct lt_buf path;
    lt_buf_init(&path);
    int64_t started = run->run.started.set ? run->run.started.v : run->run.last_at;
    struct lt_str id = run->run.run_id;
    struct litmus_error refused = {0};
    const struct lt_str told[] = {LT_STR_NULL, {id.p, id.n < 8 ? id.n : 8}, id}; /* how much of it the name tells, until it is free */
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        lt_buf_clear(name);
        lt_buf_add_text(name, "runs/");
        lt_run_file_name(started, run->run.dut_serial, told[i], name);
        if (is_free(m, also, id, lt_buf_cstr(name), &path, &refused) || refused.code != LITMUS_OK) break;
    }
    bool failed = name->failed || path.failed;
    lt_buf_release(&path);
    if (refused.code != LITMUS_OK) return lt_fail_with(error, &refused);
    return failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a file name") : LITMUS_OK;
}

/* Chooses the name below the data_dir ("runs/..."), under the lock of names. */
static int choose_name(struct lt_materializer *m, const struct lt_gathered_run *run, bool rebuild, struct lt_buf *name, struct litmus_error *error) {
    if (!rebuild || !lt_destination_usable(run->destination)) return choose_free_name(m, run, NULL, name, error);
    lt_buf_add_str(name, run->destination);
    return LITMUS_OK;
}

int lt_materializer_settle_name(struct lt_materializer *m, const struct lt_gathered_run *run, const char *also, struct lt_buf *name, struct litmus_error *error) {
    struct lt_buf path;
    struct litmus_error refused = {0};
    lt_buf_init(&path);
    bool usable = lt_destination_usable(run->destination);
    if (usable) lt_buf_add_str(name, run->destination);
    usable = usable && is_free(m, also, run->run.run_id, lt_buf_cstr(name), &path, &refused);
    lt_buf_release(&path);
    if (refused.code != LITMUS_OK) return lt_fail_with(error, &refused);
    return usable && !name->failed ? LITMUS_OK : choose_free_name(m, run, also, name, error);
}

/* ---- the file's bytes ---- */

/* Of the rows is left what the catalog takes. */
static int encode(const struct lt_run *run, struct lt_table *rows, struct lt_buf *out, struct litmus_error *error) {
    const struct lt_parquet_kept kept = {lt_summary_columns, lt_summary_column_count};
    char environment[64 * 1024];
    struct lt_parquet_meta meta[3] = {{"schema_version", "1.0"}, {"litmus_version", LITMUS_VERSION}};
    size_t count = 2;
    if (run->environment_json.p != NULL && run->environment_json.n < sizeof environment && memchr(run->environment_json.p, '\0', run->environment_json.n) == NULL) {
        memcpy(environment, run->environment_json.p, run->environment_json.n);
        environment[run->environment_json.n] = '\0';
        meta[count++] = (struct lt_parquet_meta){"environment_json", environment};
    }
    return lt_parquet_encode(rows, &kept, meta, count, out, error);
}

int lt_run_encode(const struct lt_run *run, struct lt_buf *out, struct litmus_error *error) {
    struct lt_table rows;
    int code = lt_rows_build(run, &rows, error);
    if (code == LITMUS_OK) code = encode(run, &rows, out, error);
    lt_table_release(&rows);
    return code;
}

void lt_run_count(const struct lt_run *run, struct lt_materialized *done) {
    snprintf(done->run_id, sizeof done->run_id, "%.*s", LT_STR_ARG(run->run_id));
    snprintf(done->outcome, sizeof done->outcome, "%.*s", LT_STR_ARG(run->outcome_stored));
    done->steps = (int64_t)run->step_count;
    done->measurements = (int64_t)run->measurement_count;
    done->planned = 0;
    done->deselected = run->deselected_count.set ? run->deselected_count.v : 0;
    done->counts = (struct lt_counts){0};
    int64_t *const by_severity[] = {&done->counts.never_ran, &done->counts.skipped, &done->counts.done,       &done->counts.passed,
                                    &done->counts.failed,    &done->counts.errored, &done->counts.terminated, &done->counts.aborted};
    for (size_t i = 0; i < run->step_count; i++) {
        const struct lt_step *step = &run->steps[i];
        if (run->has_plan && !step->planned) continue; /* a sub-step */
        done->planned++;
        int severity = step->ran ? lt_outcome_severity(step->vector_outcome) : 0;
        if (severity >= 0) ++*by_severity[severity];
    }
}

/* ---- catalog: helpful, never needed ---- */

static void put_in_own_catalog(struct lt_materializer *m, const struct lt_summary *summary, int64_t size, int64_t mtime_ns) {
    if (!m->catalog_tried && lt_catalog_open(m->data_dir, &m->catalog, NULL) != LITMUS_OK) m->catalog = NULL;
    m->catalog_tried = true;
    if (m->catalog == NULL || lt_catalog_put(m->catalog, summary, size, mtime_ns, NULL) == LITMUS_OK) return;
    lt_catalog_free(m->catalog); /* taken away or damaged: try anew at the next run */
    m->catalog = NULL;
    m->catalog_tried = false;
}

static void put_in_catalog(struct lt_materializer *m, const struct lt_table *rows, const char *path, struct lt_str name) {
    struct stat st;
    struct lt_summary summary;
    if (stat(path, &st) != 0 || lt_summary_of(rows, name, &summary, NULL) != LITMUS_OK) return;
    int64_t mtime_ns = lt_mtime_ns(&st);
    if (m->queue != NULL) lt_catalog_queue_put(m->queue, &summary, st.st_size, mtime_ns);
    else put_in_own_catalog(m, &summary, st.st_size, mtime_ns);
}

/* ---- one run ---- */

/* An identity is what a file says of itself: any text. */
static void add_log_rows(struct lt_buf *payload, bool first, const char *identity, int64_t rows) {
    if (!first) lt_buf_add_char(payload, ',');
    lt_json_str(payload, lt_str_of(identity));
    lt_buf_addf(payload, ":%lld", (long long)rows);
}

static void describe(const struct lt_gathering *session, const struct lt_own_log *own, const struct lt_materialized *done, struct lt_str name, int64_t revised,
                     struct lt_buf *payload) {
    char now[LT_ISO_BYTES];
    lt_time_iso(lt_now_us(), now);
    lt_buf_addf(payload, "{\"materializer\":\"parquet\",\"materialized_at\":\"%s\",\"destination\":", now);
    lt_json_str(payload, name);
    lt_buf_addf(payload, ",\"row_counts\":{\"run\":1,\"step\":%lld,\"measurement\":%lld},\"log_rows\":{", (long long)done->steps, (long long)done->measurements);
    for (size_t i = 0; i < session->log_count; i++) add_log_rows(payload, i == 0, session->logs[i].identity, session->logs[i].rows);
    if (own->writer != NULL) add_log_rows(payload, session->log_count == 0, lt_log_writer_identity(own->writer), lt_log_writer_rows(own->writer));
    lt_buf_add_char(payload, '}');
    if (revised > 0) lt_buf_addf(payload, ",\"revised\":%lld", (long long)revised);
    lt_buf_add_char(payload, '}');
}

static int emit_materialized(const struct lt_gathering *session, struct lt_own_log *own, const struct lt_materialized *done, struct lt_str name, int64_t revised,
                             struct litmus_error *error) {
    struct lt_buf payload;
    lt_buf_init(&payload);
    describe(session, own, done, name, revised, &payload);
    struct litmus_event event = {.event_type = "run.materialized", .run_id = done->run_id, .payload = lt_buf_cstr(&payload), .payload_bytes = payload.n};
    int code = payload.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory") : lt_own_log_emit(own, &event, NULL, error);
    lt_buf_release(&payload);
    return code;
}

/* Gives the written file its name. Names are given one at a time, so that two runs of one second
 * cannot both find a name free. The second's stamp is what they share: only those wait. */
static int give_name(struct lt_materializer *m, const struct lt_gathered_run *run, bool rebuild, const char *hidden, struct lt_buf *name,
                     struct lt_materialized *done, struct litmus_error *error) {
    char second[LT_ISO_BYTES];
    lt_time_stamp(run->run.started.v, second);
    lt_range_lock(m->lock_fd, "name", lt_str_of(second));
    int code = choose_name(m, run, rebuild, name, error);
    if (code == LITMUS_OK && snprintf(done->path, sizeof done->path, "%s/%s", m->data_dir, lt_buf_cstr(name)) >= (int)sizeof done->path)
        code = lt_fail(error, LITMUS_EINVAL, 0, "the path of %s is too long: choose a shorter data_dir", m->data_dir);
    if (code == LITMUS_OK && m->io->rename(m->io->self, hidden, done->path) != 0) code = lt_fail_os(error, errno, "rename to", done->path);
    lt_range_unlock(m->lock_fd, "name", lt_str_of(second));
    if (code != LITMUS_OK) m->io->unlink(m->io->self, hidden);
    return code;
}

/* A folder, and (once for each: `mark` is of the latest) those that lead to it. */
static int sync_folder(struct lt_materializer *m, const char *folder, struct lt_folder_mark *mark, struct litmus_error *error) {
    struct stat st;
    int64_t now = lt_now_us();
    if (stat(folder, &st) != 0) return lt_fail_os(error, errno, "sync folder", folder);
    bool known = st.st_dev == mark->device && st.st_ino == mark->inode;
    bool placed = m->events.inode != 0 || m->runs.inode != 0; /* the name of the data_dir is on the disk */
    int code = known ? lt_io_sync_dir(m->io, folder, error) : lt_io_sync_dirs(m->io, folder, m->data_dir, !placed, error);
    if (code == LITMUS_OK) *mark = (struct lt_folder_mark){st.st_dev, st.st_ino, now};
    return code;
}

/* Was the file made before the folder was synced last? */
static bool name_is_synced(const struct lt_folder_mark *mark, const char *folder, const char *path) {
    enum { TICK_US = 20 * 1000 }; /* the kernel's times are that coarse */
    struct stat st;
    int64_t born_us;
    if (mark->inode == 0 || lt_now_us() < mark->synced_us) return false; /* never, or the clock was set back */
    return stat(folder, &st) == 0 && st.st_dev == mark->device && st.st_ino == mark->inode && lt_file_born(path, &born_us) &&
           born_us + TICK_US < mark->synced_us;
}

/* A log's content and its name. */
static int sync_log(struct lt_materializer *m, const char *path, struct litmus_error *error) {
    struct lt_buf folder;
    lt_buf_init(&folder);
    lt_buf_add(&folder, path, (size_t)(strrchr(path, '/') - path));
    const char *name = lt_buf_cstr(&folder);
    int code = folder.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : lt_io_sync_file(m->io, path, error);
    if (code == LITMUS_OK && !name_is_synced(&m->events, name, path)) code = sync_folder(m, name, &m->events, error);
    lt_buf_release(&folder);
    return code;
}

/* The log is on the disk before the file that is made from it: a power loss must not leave a file
 * that no log vouches for, or that says more than its log. `own` NULL: nothing of the run is in it. */
static int sync_logs(struct lt_materializer *m, const struct lt_gathering *session, const struct lt_own_log *own, struct litmus_error *error) {
    int code = LITMUS_OK;
    if (own != NULL && own->writer != NULL) code = sync_log(m, lt_log_writer_path(own->writer), error);
    for (size_t i = 0; code == LITMUS_OK && i < session->log_count; i++) code = sync_log(m, session->logs[i].path, error);
    return code;
}

/* The folder of the run's file: of its date, or of the destination that it had before. */
static void add_folder(const struct lt_materializer *m, const struct lt_gathered_run *run, bool rebuild, struct lt_buf *out) {
    char date[LT_ISO_BYTES];
    lt_time_date(run->run.started.v, date);
    struct lt_str d = run->destination;
    if (!rebuild || !lt_destination_usable(d)) {
        lt_buf_addf(out, "%s/runs/%s", m->data_dir, date);
        return;
    }
    while (d.p[d.n - 1] != '/') d.n--;
    lt_buf_addf(out, "%s/%.*s", m->data_dir, (int)d.n - 1, d.p);
}

/* Hidden file, fsync, rename, fsync of the folder. No `*.parquet` ever meets half a file. */
static int publish(struct lt_materializer *m, const struct lt_gathered_run *run, bool rebuild, struct lt_buf *name, struct lt_materialized *done,
                   struct litmus_error *error) {
    struct lt_buf folder, hidden;
    lt_buf_init(&folder);
    lt_buf_init(&hidden);
    add_folder(m, run, rebuild, &folder);
    lt_buf_addf(&hidden, "%s/.", lt_buf_cstr(&folder));
    add_plain(&hidden, run->run.run_id, LT_UUID_BYTES);
    lt_buf_add_text(&hidden, ".tmp");
    const char *path = lt_buf_cstr(&hidden);
    int code = folder.failed || hidden.failed ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a path") : lt_io_mkdirs_below(m->io, m->data_dir, folder.p, error);
    if (code == LITMUS_OK) code = lt_io_write_hidden(m->io, path, m->bytes.p, m->bytes.n, error);
    if (code == LITMUS_OK) code = give_name(m, run, rebuild, path, name, done, error);
    if (code == LITMUS_OK) code = sync_folder(m, folder.p, &m->runs, error);
    lt_buf_release(&folder);
    lt_buf_release(&hidden);
    return code;
}

/* The rows, and in m->bytes the file that they make; *rows is to be released whatever comes of it. */
static int make_file(struct lt_materializer *m, const struct lt_run *run, struct lt_table *rows, struct litmus_error *error) {
    lt_table_init(rows);
    lt_buf_clear(&m->bytes);
    int code = lt_rows_build(run, rows, error);
    return code == LITMUS_OK ? encode(run, rows, &m->bytes, error) : code;
}

/* An attachment that is not what was recorded is told of: the run's file comes without it. */
static void tell_lost(void *self, const char *what) {
    struct lt_buf payload;
    lt_buf_init(&payload);
    lt_buf_add_text(&payload, "{\"source\":\"attachment\",\"message\":");
    lt_json_str(&payload, lt_str_of(what));
    lt_buf_add_char(&payload, '}');
    struct litmus_event event = {.event_type = "diagnostic.error", .payload = lt_buf_cstr(&payload), .payload_bytes = payload.n};
    if (!payload.failed) (void)!lt_own_log_emit(self, &event, NULL, NULL); /* litmus verify says it, too */
    lt_buf_release(&payload);
}

/* How a run's file is made: for the first time, again as it is on record, or anew under its name, with what came late. */
enum making { MAKE_FIRST, MAKE_AGAIN, MAKE_REVISED };

static void pass_over(void *self, const char *what) {
    (void)self, (void)what; /* a rebuild adds nothing to a log; litmus verify tells of what is lost */
}

/* What make_file made gets its name, its word on record and its place in the catalog. */
static int hand_out(struct lt_materializer *m, const struct lt_gathering *session, const struct lt_gathered_run *run, struct lt_own_log *own, enum making how,
                    const struct lt_table *rows, struct lt_materialized *done, struct litmus_error *error) {
    struct lt_buf name;
    lt_buf_init(&name);
    lt_run_count(&run->run, done);
    int code = publish(m, run, how != MAKE_FIRST, &name, done, error);
    struct lt_str relative = {name.p, name.n};
    if (code == LITMUS_OK) code = lt_attachments_copy(m->io, session, &run->run, done->path, how == MAKE_AGAIN ? pass_over : tell_lost, own, error);
    if (code == LITMUS_OK && how != MAKE_AGAIN) code = emit_materialized(session, own, done, relative, how == MAKE_REVISED ? run->revised + 1 : 0, error);
    if (code == LITMUS_OK) put_in_catalog(m, rows, done->path, relative);
    lt_buf_release(&name);
    return code;
}

/* What came of bringing a session's logs to the disk. Once is enough, and a disk that failed is not asked again: it might say yes then,
 * without the bytes. */
struct logs_synced {
    bool tried;
    int code;
};

static int sync_logs_once(struct lt_materializer *m, const struct lt_gathering *session, const struct lt_own_log *own, struct logs_synced *synced,
                          struct litmus_error *error) {
    if (!synced->tried) synced->code = sync_logs(m, session, own, error);
    synced->tried = true;
    return synced->code;
}

/* The logs are waited for when the file's bytes are made: the disk writes them meanwhile. A rebuild makes a file that was there before. */
static int materialize(struct lt_materializer *m, const struct lt_gathering *session, const struct lt_gathered_run *run, struct lt_own_log *own, enum making how,
                       struct logs_synced *synced, struct lt_materialized *done, struct litmus_error *error) {
    struct lt_table rows;
    int code = make_file(m, &run->run, &rows, error);
    if (code == LITMUS_OK && how != MAKE_AGAIN) code = sync_logs_once(m, session, own, synced, error);
    if (code == LITMUS_OK) code = hand_out(m, session, run, own, how, &rows, done, error);
    lt_table_release(&rows);
    return code;
}

int lt_materialize_run(struct lt_materializer *m, struct lt_gathering *session, struct lt_gathered_run *run, bool rebuild, struct lt_materialized *done,
                       struct litmus_error *error) {
    struct lt_own_log own;
    struct logs_synced synced = {0};
    *done = (struct lt_materialized){0};
    lt_own_log_init(&own, m->data_dir, session->session_id, m->io, m->lock_fd);
    own.key = key_of(m);
    int code = materialize(m, session, run, &own, rebuild ? MAKE_AGAIN : MAKE_FIRST, &synced, done, error);
    int closed = lt_own_log_close(&own, error);
    return code != LITMUS_OK ? code : closed;
}

/* ---- a whole session ---- */

static void tell_torn(struct lt_own_log *own, const char *path, const struct lt_log_recovery *r) {
    struct lt_buf payload;
    lt_buf_init(&payload);
    const char *name = strrchr(path, '/'), *evidence = strrchr(r->evidence, '/');
    lt_buf_addf(&payload, "{\"source\":\"recovery\",\"message\":\"the producer's log ended inside an event: the torn bytes are kept beside it\",\"details\":{");
    lt_buf_add_text(&payload, "\"log\":");
    lt_json_str(&payload, lt_str_of(name == NULL ? path : name + 1));
    lt_buf_addf(&payload, ",\"offset\":%lld,\"bytes\":%lld,\"evidence\":", (long long)r->torn_offset, (long long)r->torn_bytes);
    lt_json_str(&payload, lt_str_of(evidence == NULL ? r->evidence : evidence + 1));
    lt_buf_add_text(&payload, "}}");
    struct litmus_event event = {.event_type = "diagnostic.warning", .payload = lt_buf_cstr(&payload), .payload_bytes = payload.n};
    if (!payload.failed) (void)!lt_own_log_emit(own, &event, NULL, NULL); /* the evidence itself is safe already */
    lt_buf_release(&payload);
}

/* Seals the logs and channel files whose producers are gone. A log that cannot be sealed (read-only) is still read. */
static void recover_logs(struct lt_materializer *m, const struct lt_log_list *list, struct lt_own_log *own) {
    bool dead = false;
    for (size_t i = 0; i < list->count; i++) {
        struct lt_log_recovery report = {0};
        if (lt_log_is_sealed(list->files[i].path) || lt_log_recover(m->io, list->files[i].path, own->key, &report, NULL) != LITMUS_OK) continue;
        dead = true;
        if (report.head.identity[0] != '\0') (void)!lt_heads_add(m->io, m->data_dir, &report.head, NULL);
        if (report.torn_bytes > 0) tell_torn(own, list->files[i].path, &report);
    }
    if (dead) (void)!lt_channel_recover_all(m->io, m->data_dir, own->session_id, NULL); /* they can be read as they are */
}

/* The producer died before run.ended: say so, with the time of the run's last event and an id that follows from it, so that it is
 * the same whenever and wherever it is said: steps that never ran name it as their cause. */
static int end_as_aborted(struct lt_own_log *own, struct lt_gathered_run *run, struct litmus_error *error) {
    char run_id[64], name[128], id[LT_UUID_BYTES];
    snprintf(run_id, sizeof run_id, "%.*s", LT_STR_ARG(run->run.run_id));
    snprintf(name, sizeof name, "run.ended of %s, said by recovery, at %lld", run_id, (long long)run->run.last_at);
    lt_uuid_named(lt_str_of(name), id);
    struct litmus_event event = {
        .event_type = "run.ended", .id = id, .run_id = run_id, .payload = "{\"outcome\":\"aborted\",\"stop_reason\":\"crash\",\"said_by\":\"recovery\"}",
        .occurred_at_us = run->run.last_at};
    struct lt_row row;
    int code = lt_own_log_emit(own, &event, &row, error);
    if (code == LITMUS_OK) code = lt_run_fold(&run->run, &row, UINT32_MAX, error);
    return code == LITMUS_OK ? lt_run_settle(&run->run, false, error) : code;
}

/* Processes outlive the one that executed their run (under pytest-xdist the workers their controller), for a test or for days. The run has its
 * file as soon as that one is dead, and it is made anew with what they still said. */
static int revise_run(struct lt_materializer *m, const struct lt_gathered_run *run, const struct lt_log_list *logs, struct lt_own_log *own,
                      struct lt_materialized *done, struct litmus_error *error) {
    struct lt_gathering whole;
    struct logs_synced synced = {0};
    char run_id[64];
    snprintf(run_id, sizeof run_id, "%.*s", LT_STR_ARG(run->run.run_id));
    const struct lt_gather_options options = {.run_id = run_id, .logs = logs, .with_late = true};
    int code = lt_gather_session(m->data_dir, own->session_id, &options, &whole, error);
    if (code == LITMUS_OK && whole.run_count == 1) code = materialize(m, &whole, whole.runs[0], own, MAKE_REVISED, &synced, done, error);
    lt_gathering_release(&whole);
    return code;
}

static int finish_run(struct lt_materializer *m, struct lt_gathering *session, struct lt_gathered_run *run, struct lt_own_log *own, struct logs_synced *synced,
                      struct lt_materialized *done, struct litmus_error *error) {
    if (!run->materialized) return materialize(m, session, run, own, MAKE_FIRST, synced, done, error);
    snprintf(done->path, sizeof done->path, "%s/%.*s", m->data_dir, LT_STR_ARG(run->destination));
    if (access(done->path, F_OK) != 0 && errno == ENOENT) return materialize(m, session, run, own, MAKE_AGAIN, synced, done, error); /* somebody removed it */
    done->already = true;
    lt_run_count(&run->run, done);
    return LITMUS_OK;
}

/* Is there anything to do for the run, or to tell of it? */
static bool is_due(const struct lt_gathered_run *run) {
    return run->run.has_started && (run->run.has_ended || !run->producer_alive);
}

/* Says the end of each run whose producer could not, before the logs are brought to the disk. A run that cannot be ended stays open and
 * blocks no other. */
static int end_runs(const struct lt_gathering *session, struct lt_own_log *own, struct litmus_error *error) {
    int code = LITMUS_OK;
    for (size_t i = 0; i < session->run_count; i++) {
        struct lt_gathered_run *run = session->runs[i];
        if (!is_due(run) || run->materialized || run->run.has_ended) continue;
        int one = end_as_aborted(own, run, error);
        if (one != LITMUS_OK) code = one;
    }
    return code;
}

static int finish_runs(struct lt_materializer *m, struct lt_gathering *session, const struct lt_log_list *logs, struct lt_own_log *own,
                       void (*on_done)(void *self, const struct lt_materialized *done), void *self, struct litmus_error *error) {
    struct logs_synced synced = {0};
    int code = end_runs(session, own, error);
    for (size_t i = 0; i < session->run_count; i++) {
        struct lt_gathered_run *run = session->runs[i];
        struct lt_materialized done = {0};
        if (!is_due(run) || !(run->materialized || run->run.has_ended)) continue;
        bool more = lt_gathered_run_outdated(run);
        int one = more ? revise_run(m, run, logs, own, &done, error) : finish_run(m, session, run, own, &synced, &done, error); /* a run that fails blocks no other */
        if (one == LITMUS_OK && on_done != NULL) on_done(self, &done);
        if (one != LITMUS_OK) code = one;
    }
    return code;
}

int lt_materialize_session(struct lt_materializer *m, const char *session_id, void (*on_done)(void *self, const struct lt_materialized *done), void *self,
                           struct litmus_error *error) {
    struct lt_own_log own;
    struct lt_gathering session = {0};
    lt_range_lock(m->lock_fd, "session", lt_str_of(session_id));
    lt_own_log_init(&own, m->data_dir, session_id, m->io, m->lock_fd);
    own.key = key_of(m);
    struct lt_log_list logs = {0};
    int code = lt_log_index_find(m->index, m->data_dir, session_id, NULL, NULL, &logs, error);
    if (code == LITMUS_OK) {
        for (size_t i = 0; i < logs.count; i++) lt_io_start_sync(logs.files[i].path); /* the disk writes while we read */
        recover_logs(m, &logs, &own);
        /* a log that recovery opened for its own diagnostics holds no run yet: the list still stands */
        code = lt_gather_session(m->data_dir, session_id, &(struct lt_gather_options){.logs = &logs}, &session, error);
    }
    if (code == LITMUS_OK) code = finish_runs(m, &session, &logs, &own, on_done, self, error);
    lt_log_list_release(&logs);
    int closed = lt_own_log_close(&own, error);
    lt_gathering_release(&session);
    lt_range_unlock(m->lock_fd, "session", lt_str_of(session_id));
    return code != LITMUS_OK ? code : closed;
}

/* ---- a session whose logs are known ---- */

void lt_known_session_free(struct lt_known_session *known) {
    if (known == NULL) return;
    for (size_t i = 0; i < known->log_count; i++) free(known->logs[i].path);
    for (size_t i = 0; i < known->run_count; i++) {
        free(known->runs[i].run_id);
        free(known->runs[i].stretches);
        lt_gathered_run_free(known->runs[i].folded);
    }
    free(known->logs);
    free(known->runs);
    free(known);
}

static int materialize_known(struct lt_materializer *m, const char *session_id, struct lt_known_session *known, size_t number, struct lt_own_log *own,
                             struct lt_materialized *done, struct litmus_error *error) {
    struct lt_gathering session;
    struct lt_table rows;
    lt_table_init(&rows);
    *done = (struct lt_materialized){0};
    for (size_t i = 0; i < known->log_count; i++) lt_io_start_sync(known->logs[i].path); /* the disk writes while we make the file */
    int code = lt_gather_known(session_id, known->logs, known->log_count, &known->runs[number], &session, error);
    if (code == LITMUS_OK && !(session.runs[0]->run.has_started && session.runs[0]->run.has_ended))
        code = lt_fail(error, LITMUS_EDAMAGED, 0, "the start or the end of run %s cannot be read", known->runs[number].run_id);
    if (code == LITMUS_OK) code = make_file(m, &session.runs[0]->run, &rows, error);
    if (code == LITMUS_OK) code = sync_logs(m, &session, NULL, error);
    if (code == LITMUS_OK) code = hand_out(m, &session, session.runs[0], own, MAKE_FIRST, &rows, done, error);
    lt_table_release(&rows);
    lt_gathering_release(&session);
    return code;
}

int lt_materialize_known(struct lt_materializer *m, const char *session_id, struct lt_known_session *known,
                         void (*on_done)(void *self, const struct lt_materialized *done), void *self, struct litmus_error *error) {
    struct lt_own_log own;
    uint64_t number = 0;
    lt_range_lock(m->lock_fd, "session", lt_str_of(session_id));
    lt_own_log_init(&own, m->data_dir, session_id, m->io, m->lock_fd);
    own.key = key_of(m);
    bool as_known = lt_range_number(m->lock_fd, lt_str_of(session_id), &number) && number == known->number;
    for (size_t i = 0; as_known && i < known->run_count; i++) {
        struct lt_materialized done;
        as_known = materialize_known(m, session_id, known, i, &own, &done, NULL) == LITMUS_OK;
        if (as_known && on_done != NULL) on_done(self, &done);
    }
    if (lt_own_log_close(&own, NULL) != LITMUS_OK) as_known = false; /* recovery can still seal it */
    lt_range_unlock(m->lock_fd, "session", lt_str_of(session_id));
    return as_known ? LITMUS_OK : lt_materialize_session(m, session_id, on_done, self, error);
}
