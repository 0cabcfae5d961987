/* SPDX-License-Identifier: Apache-2.0 */
#include "log_helper.h"

#include "log/ipc.h"

#include <errno.h>
#include <nanoarrow/nanoarrow.h>
#include <nanoarrow/nanoarrow_ipc.h>
#include <pthread.h>
#include <sys/wait.h>

static void test_round_trip(void **state) {
    (void)state;
    char dir[256], path[512];
    make_temp(dir);
    write_log(dir, 50, true, path);
    struct litmus_error error = {0};
    struct lt_log_reader *reader = NULL;
    assert_ok(lt_log_reader_open(path, &reader, &error), error);
    assert_string_equal(lt_log_reader_session(reader), "");
    lt_log_reader_check_chain(reader);
    struct lt_row row;
    for (int n = 0; n < 50; n++) {
        int64_t offset = lt_log_reader_offset(reader);
        assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_EVENT);
        assert_row(&row, n);
        if (n > 0) assert_int_equal(lt_log_reader_row_offset(reader), offset);
        assert_int_equal(lt_log_reader_row_offset(reader) % 8, 0);
    }
    assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_SEALED);
    assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_SEALED);
    assert_true(lt_log_reader_chain_ok(reader));
    assert_int_equal(lt_log_reader_rows(reader), 50);
    assert_string_equal(lt_log_reader_session(reader), SESSION);
    assert_non_null(strstr(path, lt_log_reader_identity(reader)));
    lt_log_reader_free(reader);
    assert_true(lt_log_is_sealed(path));
    assert_false(lt_log_is_live(path));
}

static void test_names_and_lock(void **state) {
    (void)state;
    char dir[256], name[128];
    make_temp(dir);
    struct lt_log_writer *first = open_log(dir, NULL), *second = open_log(dir, NULL);
    snprintf(name, sizeof name, SESSION "-%ld", (long)getpid());
    assert_string_equal(lt_log_writer_identity(first), name);
    snprintf(name, sizeof name, SESSION "-%ld-2", (long)getpid());
    assert_string_equal(lt_log_writer_identity(second), name);
    assert_true(lt_log_is_live(lt_log_writer_path(first)));
    assert_false(lt_log_is_sealed(lt_log_writer_path(first)));
    struct stat st;
    assert_int_equal(stat(lt_log_writer_path(first), &st), 0);
    assert_int_equal(st.st_size % 8, 0);
    lt_log_writer_free(first);
    lt_log_writer_free(second);
    lt_log_writer_free(NULL);
}

static void test_refuses(void **state) {
    (void)state;
    char dir[256], json[64];
    make_temp(dir);
    struct litmus_error error = {0};
    struct lt_log_writer *writer = NULL;
    const char *bad[] = {NULL, "", ".hidden", "a/b", "\xff", "0123456789012345678901234567890123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct lt_log_options options = {.data_dir = dir, .session_id = bad[i]};
        assert_int_equal(lt_log_create(&options, &writer, NULL), LITMUS_EINVAL);
    }
    writer = open_log(dir, NULL);
    struct lt_row row = make_row(1, json);
    row.event_type = LT_STR("no \xc3(");
    assert_int_equal(lt_log_append(writer, &row, 1, &error), LITMUS_EINVAL);
    assert_non_null(strstr(error.text, "event_type"));
    append_rows(writer, 0, 1); /* a refused row does no harm */
    assert_ok(lt_log_append(writer, NULL, 0, &error), error);
    lt_error_clear(&error);
    assert_ok(lt_log_seal(writer, &error), error);
    row = make_row(1, json);
    assert_int_equal(lt_log_append(writer, &row, 1, &error), LITMUS_ESTATE);
    assert_int_equal(lt_log_writer_rows(writer), 1);
    struct reading reading = read_log(lt_log_writer_path(writer));
    assert_int_equal(reading.end, LT_LOG_SEALED);
    assert_int_equal(reading.rows, 1);
    assert_true(reading.chain_ok);
    lt_log_writer_free(writer);
}

static void test_empty_log_seals(void **state) {
    (void)state;
    char dir[256], path[512];
    make_temp(dir);
    write_log(dir, 0, true, path);
    struct reading reading = read_log(path);
    assert_int_equal(reading.end, LT_LOG_SEALED);
    assert_int_equal(reading.rows, 0);
    assert_true(reading.chain_ok);
}

/* ---- calls counted ---- */
struct counts {
    int writes, syncs;
};
static ssize_t count_write(void *self, int fd, const void *bytes, size_t n) {
    ((struct counts *)self)->writes++;
    return lt_io_os.write(NULL, fd, bytes, n);
}
static int count_sync(void *self, int fd) {
    ((struct counts *)self)->syncs++;
    return lt_io_os.fdatasync(NULL, fd);
}

static void test_one_write_an_event(void **state) {
    (void)state;
    char dir[256];
    make_temp(dir);
    struct litmus_error error = {0};
    struct counts counts = {0};
    struct lt_io io = lt_io_os;
    io.self = &counts;
    io.write = count_write;
    io.fdatasync = count_sync;
    struct lt_log_writer *writer = open_log(dir, &io);
    assert_int_equal(counts.writes, 1);
    append_rows(writer, 0, 10);
    assert_int_equal(counts.writes, 11);
    assert_ok(lt_log_seal(writer, &error), error);
    assert_int_equal(counts.writes, 12);
    assert_int_equal(counts.syncs, 0);
    lt_log_writer_free(writer);
}

static void test_durability(void **state) {
    (void)state;
    struct litmus_error error = {0};
    struct counts counts = {0};
    struct lt_io io = lt_io_os;
    char dir[256];
    make_temp(dir);
    io.self = &counts;
    io.fdatasync = count_sync;
    io.write = count_write;
    struct lt_log_options options = {.data_dir = dir, .session_id = SESSION, .durability = LITMUS_DURABILITY_EACH, .io = &io};
    struct lt_log_writer *writer = NULL;
    assert_ok(lt_log_create(&options, &writer, &error), error);
    append_rows(writer, 0, 5);
    assert_int_equal(counts.syncs, 1 + 5);
    lt_log_writer_free(writer);
    counts = (struct counts){0};
    options.durability = LITMUS_DURABILITY_GROUP;
    options.group_ms = 60 * 1000;
    assert_ok(lt_log_create(&options, &writer, &error), error);
    append_rows(writer, 0, 5);
    assert_int_equal(counts.syncs, 1);
    assert_ok(lt_log_seal(writer, &error), error);
    assert_int_equal(counts.syncs, 2);
    lt_log_writer_free(writer);
    options.group_ms = 1;
    assert_ok(lt_log_create(&options, &writer, &error), error);
    usleep(2000);
    counts = (struct counts){0};
    append_rows(writer, 0, 1);
    assert_int_equal(counts.syncs, 1);
    lt_log_writer_free(writer);
}

/* ---- the patched metadata is the metadata that nanoarrow would have written ---- */
static void add_nanoarrow(struct ArrowArray *array, const struct lt_row *row) {
    const struct lt_str texts[LT_COLUMN_COUNT] = {[LT_COLUMN_ID] = row->id, [LT_COLUMN_EVENT_TYPE] = row->event_type,
        [LT_COLUMN_SESSION_ID] = row->session_id, [LT_COLUMN_RUN_ID] = row->run_id, [LT_COLUMN_JSON] = row->json};
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        struct ArrowArray *child = array->children[c];
        struct ArrowStringView text = {texts[c].p, (int64_t)texts[c].n};
        struct ArrowBufferView hash = {.data = {.data = row->chain}, .size_bytes = 32};
        if (c == LT_COLUMN_OCCURRED_AT) assert_int_equal(ArrowArrayAppendInt(child, row->occurred_at), 0);
        else if (c == LT_COLUMN_RECEIVED_AT) assert_int_equal(ArrowArrayAppendInt(child, row->received_at), 0);
        else if (c == LT_COLUMN_CHAIN) assert_int_equal(ArrowArrayAppendBytes(child, hash), 0);
        else if (text.data == NULL) assert_int_equal(ArrowArrayAppendNull(child, 1), 0);
        else assert_int_equal(ArrowArrayAppendString(child, text), 0);
    }
    assert_int_equal(ArrowArrayFinishElement(array), 0);
}

static void encode_nanoarrow(const struct lt_row *rows, size_t count, struct ArrowBuffer *header, struct ArrowBuffer *body) {
    struct lt_buf message;
    lt_buf_init(&message);
    struct lt_ipc_schema *ours = lt_ipc_schema_new("i", "s");
    assert_true(lt_ipc_schema_encode(ours, &message));
    struct ArrowIpcDecoder decoder;
    struct ArrowSchema schema;
    struct ArrowBufferView view = {.data = {.data = message.p}, .size_bytes = (int64_t)message.n};
    assert_int_equal(ArrowIpcDecoderInit(&decoder), 0);
    assert_int_equal(ArrowIpcDecoderDecodeHeader(&decoder, view, NULL), 0);
    assert_int_equal(ArrowIpcDecoderDecodeSchema(&decoder, &schema, NULL), 0);
    struct ArrowArray array;
    assert_int_equal(ArrowArrayInitFromSchema(&array, &schema, NULL), 0);
    assert_int_equal(ArrowArrayStartAppending(&array), 0);
    for (size_t i = 0; i < count; i++) add_nanoarrow(&array, &rows[i]);
    assert_int_equal(ArrowArrayFinishBuildingDefault(&array, NULL), 0);
    struct ArrowArrayView array_view;
    struct ArrowIpcEncoder encoder;
    assert_int_equal(ArrowArrayViewInitFromSchema(&array_view, &schema, NULL), 0);
    assert_int_equal(ArrowArrayViewSetArray(&array_view, &array, NULL), 0);
    assert_int_equal(ArrowIpcEncoderInit(&encoder), 0);
    assert_int_equal(ArrowIpcEncoderEncodeSimpleRecordBatch(&encoder, &array_view, body, NULL), 0);
    assert_int_equal(ArrowIpcEncoderFinalizeBuffer(&encoder, 1, header), 0);
    ArrowIpcEncoderReset(&encoder);
    ArrowArrayViewReset(&array_view);
    ArrowArrayRelease(&array);
    ArrowSchemaRelease(&schema);
    ArrowIpcDecoderReset(&decoder);
    lt_ipc_schema_free(ours);
    lt_buf_release(&message);
}

static void test_same_bytes_as_nanoarrow(void **state) {
    (void)state;
    static struct lt_row rows[200];
    static char json[200][64];
    struct lt_layout layout;
    assert_true(lt_ipc_layout(&layout));
    const size_t counts[] = {1, 2, 7, 8, 9, 63, 64, 65, 200};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        for (size_t i = 0; i < counts[k]; i++) {
            rows[i] = make_row((int)(i + k), json[i]);
            rows[i].received_at = 5;
            if ((i + k) % 5 == 0) rows[i].json = LT_STR("");
        }
        struct ArrowBuffer header, body;
        ArrowBufferInit(&header);
        ArrowBufferInit(&body);
        encode_nanoarrow(rows, counts[k], &header, &body);
        struct lt_buf out;
        struct litmus_error error = {0};
        int64_t header_bytes, body_bytes;
        lt_buf_init(&out);
        assert_ok(lt_layout_encode(&layout, rows, counts[k], &out, &header_bytes, &body_bytes, &error), error);
        assert_int_equal(header_bytes, header.size_bytes);
        assert_int_equal(body_bytes, body.size_bytes);
        assert_memory_equal(out.p, header.data, (size_t)header_bytes);
        assert_int_equal(out.n, (size_t)(header_bytes + body_bytes));
        /* The unused bits of its validity bitmaps are what was in memory; all else is the same. */
        if (counts[k] % 8 == 0) assert_memory_equal(out.p + header_bytes, body.data, (size_t)body_bytes);
        ArrowBufferReset(&header);
        ArrowBufferReset(&body);
        lt_buf_release(&out);
    }
}

static void test_several_rows(void **state) {
    (void)state;
    char dir[256], json[100][64];
    make_temp(dir);
    struct litmus_error error = {0};
    struct lt_log_writer *writer = open_log(dir, NULL);
    struct lt_row rows[100];
    for (int n = 0; n < 100; n++) rows[n] = make_row(n, json[n]);
    assert_ok(lt_log_append(writer, rows, 10, &error), error);
    assert_ok(lt_log_append(writer, rows + 10, 1, &error), error);
    assert_ok(lt_log_append(writer, rows + 11, 89, &error), error);
    assert_int_equal(lt_log_writer_rows(writer), 100);
    struct lt_log_reader *reader = NULL;
    assert_ok(lt_log_reader_open(lt_log_writer_path(writer), &reader, &error), error);
    lt_log_reader_check_chain(reader);
    struct lt_row row;
    for (int n = 0; n < 100; n++) {
        assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_EVENT);
        assert_row(&row, n);
    }
    assert_int_equal(lt_log_next(reader, &row, &error), LT_LOG_OPEN);
    assert_true(lt_log_reader_chain_ok(reader));
    lt_log_reader_free(reader);
    lt_log_writer_free(writer);
}

/* ---- threads and forks ---- */
static void *append_1000(void *argument) {
    append_rows(argument, 0, 1000);
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    char dir[256];
    make_temp(dir);
    struct litmus_error error = {0};
    struct lt_log_writer *writer = open_log(dir, NULL);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) assert_int_equal(pthread_create(&threads[i], NULL, append_1000, writer), 0);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    assert_int_equal(lt_log_writer_rows(writer), 8000);
    assert_ok(lt_log_seal(writer, &error), error);
    struct reading reading = read_log(lt_log_writer_path(writer));
    assert_int_equal(reading.end, LT_LOG_SEALED);
    assert_int_equal(reading.rows, 8000);
    assert_true(reading.chain_ok);
    lt_log_writer_free(writer);
}

/* What a child does with an inherited writer; its exit status says whether it went well. */
static int child_main(struct lt_log_writer *writer, const char *parent_path, int wait_fd) {
    char json[64], byte;
    struct lt_row row = make_row(7, json);
    struct litmus_error error = {0};
    if (lt_log_append(writer, &row, 1, &error) != LITMUS_OK) return 1;
    if (strcmp(lt_log_writer_path(writer), parent_path) == 0) return 2;
    if (lt_log_writer_rows(writer) != 1) return 3;
    if (read(wait_fd, &byte, 1) < 0) return 4; /* until the parent is done */
    if (lt_log_seal(writer, &error) != LITMUS_OK) return 5;
    lt_log_writer_free(writer);
    return 0;
}

static void test_fork(void **state) {
    (void)state;
    char dir[256], path[512];
    make_temp(dir);
    int pipe_fds[2], status;
    assert_int_equal(pipe(pipe_fds), 0);
    struct litmus_error error = {0};
    struct lt_log_writer *writer = open_log(dir, NULL);
    append_rows(writer, 0, 3);
    snprintf(path, sizeof path, "%s", lt_log_writer_path(writer));
    pid_t child = fork();
    if (child == 0) {
        close(pipe_fds[1]);
        _exit(child_main(writer, path, pipe_fds[0]));
    }
    pid_t silent = fork(); /* one that records nothing makes no file and can seal and free */
    if (silent == 0) {
        int code = lt_log_seal(writer, NULL);
        lt_log_writer_free(writer);
        _exit(code);
    }
    assert_int_equal(waitpid(silent, &status, 0), silent);
    assert_int_equal(status, 0);
    append_rows(writer, 3, 2);
    assert_true(lt_log_is_live(path));
    lt_log_writer_free(writer); /* as if the parent had died: the child lives on */
    assert_false(lt_log_is_live(path));
    close(pipe_fds[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct lt_log_list list;
    assert_ok(lt_log_find(dir, SESSION, &list, &error), error);
    assert_int_equal(list.count, 2);
    for (size_t i = 0; i < 2; i++) {
        struct reading reading = read_log(list.files[i].path);
        bool parents = strcmp(strrchr(list.files[i].path, '/'), strrchr(path, '/')) == 0;
        assert_int_equal(reading.end, parents ? LT_LOG_OPEN : LT_LOG_SEALED);
        assert_int_equal(reading.rows, parents ? 5 : 1);
        assert_true(reading.chain_ok);
    }
    lt_log_list_release(&list);
    close(pipe_fds[0]);
}

struct forker {
    struct lt_log_writer *writer;
    bool stop;
};
static void *append_until(void *argument) {
    struct forker *forker = argument;
    for (int n = 0; !__atomic_load_n(&forker->stop, __ATOMIC_ACQUIRE); n++) append_rows(forker->writer, n, 1);
    return NULL;
}

/* A fork while other threads append: the child finds the writer in one piece. */
static void test_fork_among_threads(void **state) {
    (void)state;
    char dir[256];
    make_temp(dir);
    struct forker forker = {.writer = open_log(dir, NULL)};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, append_until, &forker), 0);
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        if (child == 0) {
            char json[64];
            struct lt_row row = make_row(1, json);
            int code = lt_log_append(forker.writer, &row, 1, NULL);
            if (code == LITMUS_OK) code = lt_log_append(forker.writer, &row, 1, NULL);
            _exit(code);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    __atomic_store_n(&forker.stop, true, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    struct reading reading = read_log(lt_log_writer_path(forker.writer));
    assert_int_equal(reading.rows, lt_log_writer_rows(forker.writer));
    assert_true(reading.chain_ok);
    lt_log_writer_free(forker.writer);
}

/* The rule of FORMAT.md, with its worked example. */
static void test_chain_example(void **state) {
    (void)state;
    static const char *const expected[] = {
        "9f58bbf19e983245f04396d08d32a7a9b36e7666831846376f9936f2c90bc01e",
        "1c5f5ff58376a583986c7f594add560097d603864f977d1485e6f3b20c4d528d",
    };
    struct lt_chain *chain = lt_chain_new();
    assert_non_null(chain);
    unsigned char hash[2][32];
    char hex[65];
    struct lt_row row = {.id = LT_STR("e1"), .event_type = LT_STR("session.started"), .occurred_at = 1, .received_at = 2,
        .session_id = LT_STR("s"), .json = LT_STR("{}")};
    lt_chain_start(chain, "s-1", hash[0]);
    lt_chain_next(chain, hash[0], &row, hash[1]);
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", hash[k][i]);
        assert_string_equal(hex, expected[k]);
    }
    lt_chain_free(chain);
}

/* For tests/test_log_interop.py and make_corpus.py: `write FOLDER COUNT [seal]` prints the path of a
 * new log, `read FILE` how its reading ended. */
static int serve_python(int argc, char **argv) {
    char path[512];
    if (argc >= 4 && strcmp(argv[1], "write") == 0) {
        write_log(argv[2], (int)strtol(argv[3], NULL, 10), argc > 4, path);
        puts(path);
        return 0;
    }
    struct reading reading = read_log(argv[2]);
    printf("%d %d %d %d\n", (int)reading.end, reading.rows, reading.damages, reading.chain_ok);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 2) return serve_python(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_names_and_lock),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_empty_log_seals),
        cmocka_unit_test(test_one_write_an_event),
        cmocka_unit_test(test_durability),
        cmocka_unit_test(test_same_bytes_as_nanoarrow),
        cmocka_unit_test(test_several_rows),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_fork_among_threads),
        cmocka_unit_test(test_chain_example),
    };
    return cmocka_run_group_tests_name("log_writer", tests, NULL, NULL);
}
