/* SPDX-License-Identifier: Apache-2.0
 *
 * The messages of a log, one by one: as they are, cut at every byte, with each of their numbers a lie, with any bit of them another. What is handed over
 * to be read is a block of its own size, so that whoever reads behind its end is found out.
 */
#include "log_helper.h"

#include "log/flat.h"
#include "log/ipc.h"
#include "log/packed.h"

#include <errno.h>
#include <limits.h>
#include <nanoarrow/nanoarrow.h>

#define IDENTITY SESSION "-7"
enum { ROWS = 3 };

/* A message, and how it is read. */
struct message {
    struct lt_buf bytes;
    int64_t header_bytes, body_bytes;
    struct lt_ipc_decoder *decoder; /* knows the columns */
};

static struct lt_buf schema_message(void) {
    struct lt_buf out;
    lt_buf_init(&out);
    struct lt_ipc_schema *schema = lt_ipc_schema_new(IDENTITY, SESSION);
    assert_non_null(schema);
    assert_true(lt_ipc_schema_encode(schema, &out));
    lt_ipc_schema_free(schema);
    return out;
}

static unsigned char *block_of(const void *bytes, size_t n) {
    unsigned char *block = malloc(n == 0 ? 1 : n);
    assert_non_null(block);
    if (n > 0) memcpy(block, bytes, n);
    return block;
}

static struct lt_ipc_decoder *new_decoder(void) {
    struct lt_buf message = schema_message();
    struct lt_ipc_decoder *decoder = lt_ipc_decoder_new();
    struct lt_ipc_schema *schema = NULL;
    assert_non_null(decoder);
    assert_null(lt_ipc_decode_schema(decoder, (unsigned char *)message.p, (int64_t)message.n, &schema));
    lt_ipc_schema_free(schema);
    lt_buf_release(&message);
    return decoder;
}

static struct message rows_message(bool packed) {
    struct message m = {.decoder = new_decoder()};
    struct lt_row rows[ROWS];
    char json[ROWS][64];
    struct litmus_error error = {0};
    lt_buf_init(&m.bytes);
    for (int i = 0; i < ROWS; i++) {
        rows[i] = make_row(i, json[i]);
        rows[i].received_at = 1700000000000001;
        memset(rows[i].chain, i, sizeof rows[i].chain);
    }
    if (packed) {
        struct lt_packed *batch = lt_packed_new();
        assert_non_null(batch);
        for (int i = 0; i < ROWS; i++) assert_true(lt_packed_add(batch, &rows[i]));
        assert_ok(lt_packed_encode(batch, &m.bytes, &m.header_bytes, &m.body_bytes, &error), error);
        lt_packed_free(batch);
    } else {
        struct lt_layout layout;
        assert_true(lt_ipc_layout(&layout));
        assert_ok(lt_layout_encode(&layout, rows, ROWS, &m.bytes, &m.header_bytes, &m.body_bytes, &error), error);
    }
    assert_int_equal(m.header_bytes + m.body_bytes, m.bytes.n);
    assert_int_equal(m.header_bytes % LT_LOG_ALIGN, 0);
    assert_int_equal(m.body_bytes % LT_LOG_ALIGN, 0);
    return m;
}

static void release(struct message *m) {
    lt_ipc_decoder_free(m->decoder);
    lt_buf_release(&m->bytes);
}

/* NULL: it is read, as a reader of logs does it. */
static const char *read_message(const struct message *m, const unsigned char *bytes, struct lt_batch *batch) {
    int64_t body_bytes = -1;
    const char *wrong = lt_ipc_decode_header(m->decoder, bytes, m->header_bytes, &body_bytes);
    if (wrong != NULL) return wrong;
    assert_true(body_bytes >= 0 && body_bytes <= LT_LOG_BODY_MAX && body_bytes % LT_LOG_ALIGN == 0);
    if (body_bytes > m->body_bytes) return "the file ends inside a message";
    wrong = lt_ipc_decode_body(m->decoder, bytes, batch);
    if (wrong != NULL) return wrong;
    assert_true(batch->rows >= 0 && batch->rows <= LT_LOG_ROWS_MAX && batch->body_bytes == body_bytes && batch->header_bytes == m->header_bytes);
    return lt_batch_check(batch);
}

/* ---- what is well ---- */
static void test_schema_round_trip(void **state) {
    (void)state;
    static const struct { const char *key, *value; } pairs[] = {{LT_META_VERSION, "1"}, {LT_META_IDENTITY, IDENTITY}, {LT_META_SESSION, SESSION}, {"more", "of it"}};
    char text[64];
    struct lt_buf first, again;
    lt_buf_init(&first);
    lt_buf_init(&again);
    struct lt_ipc_schema *schema = lt_ipc_schema_new(IDENTITY, SESSION), *read = NULL;
    assert_false(lt_ipc_schema_text(schema, "more", text, sizeof text));
    assert_true(lt_ipc_schema_put(schema, "more", "of it"));
    struct lt_ipc_schema *copy = lt_ipc_schema_copy(schema);
    assert_non_null(copy);
    assert_true(lt_ipc_schema_encode(schema, &first));
    lt_ipc_schema_free(schema); /* the copy is one of its own */
    assert_true(lt_ipc_schema_encode(copy, &again));
    assert_true(first.n == again.n && first.n % LT_LOG_ALIGN == 0 && memcmp(first.p, again.p, first.n) == 0);
    assert_null(lt_ipc_schema_read((unsigned char *)first.p, (int64_t)first.n, &read));
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        size_t n = strlen(pairs[i].value);
        assert_true(lt_ipc_schema_text(read, pairs[i].key, text, n + 1));
        assert_string_equal(text, pairs[i].value);
        assert_false(lt_ipc_schema_text(read, pairs[i].key, text, n)); /* no room for its end */
    }
    lt_buf_clear(&again);
    assert_true(lt_ipc_schema_encode(read, &again));
    assert_true(first.n == again.n && memcmp(first.p, again.p, first.n) == 0);
    lt_ipc_schema_free(copy);
    lt_ipc_schema_free(read);
    lt_ipc_schema_free(NULL);
    lt_buf_release(&first);
    lt_buf_release(&again);
}

static void test_rows_round_trip(void **state) {
    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        struct message m = rows_message(packed);
        struct lt_batch batch;
        assert_null(read_message(&m, (unsigned char *)m.bytes.p, &batch));
        assert_int_equal(batch.rows, ROWS);
        for (int i = 0; i < ROWS; i++) {
            struct lt_row row;
            lt_batch_row(&batch, i, &row);
            assert_row(&row, i);
            assert_int_equal(row.chain[0], i);
        }
        release(&m);
    }
}

static int fails(struct ArrowSchema *schema, struct ArrowArray *array) {
    assert_int_equal(ArrowSchemaInitFromType(schema, NANOARROW_TYPE_INT32), NANOARROW_OK);
    assert_int_equal(ArrowArrayInitFromSchema(array, schema, NULL), NANOARROW_OK);
    return ENOMEM;
}

static void test_layout(void **state) {
    (void)state;
    struct lt_layout one, two;
    struct lt_buf out;
    lt_buf_init(&out);
    assert_true(lt_ipc_layout(&one) && lt_ipc_layout(&two));
    assert_true(one.header_bytes % LT_LOG_ALIGN == 0 && memcmp(one.header, two.header, (size_t)one.header_bytes) == 0);
    assert_false(lt_ipc_batch_header(fails, &out)); /* what it made is released: the sanitizer knows */
    assert_int_equal(out.n, 0);
    lt_buf_release(&out);
}

/* ---- cut ---- */
static void test_cut_schema(void **state) {
    (void)state;
    struct lt_buf message = schema_message();
    struct lt_ipc_decoder *decoder = lt_ipc_decoder_new();
    for (size_t n = 0; n < message.n; n++) {
        unsigned char *cut = block_of(message.p, n);
        struct lt_ipc_schema *schema = NULL;
        assert_non_null(lt_ipc_schema_read(cut, (int64_t)n, &schema));
        assert_non_null(lt_ipc_decode_schema(decoder, cut, (int64_t)n, &schema));
        assert_null(schema);
        free(cut);
    }
    lt_ipc_decoder_free(decoder);
    lt_ipc_decoder_free(NULL);
    lt_buf_release(&message);
}

static void test_cut_rows(void **state) {
    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        struct message m = rows_message(packed);
        for (int64_t n = 0; n < m.header_bytes; n++) {
            unsigned char *cut = block_of(m.bytes.p, (size_t)n);
            int64_t body_bytes = -1;
            assert_non_null(lt_ipc_decode_header(m.decoder, cut, n, &body_bytes));
            assert_int_equal(body_bytes, -1);
            free(cut);
        }
        /* The header alone says how much is to follow. */
        unsigned char *header = block_of(m.bytes.p, (size_t)m.header_bytes);
        int64_t body_bytes = -1;
        assert_null(lt_ipc_decode_header(m.decoder, header, m.header_bytes, &body_bytes));
        assert_int_equal(body_bytes, m.body_bytes);
        free(header);
        release(&m);
    }
}

/* ---- lies ---- */
/* NULL: a number like this in its place is believed. */
static const char *lie(const struct message *m, size_t at, int bytes, int64_t value) {
    unsigned char *forged = block_of(m->bytes.p, m->bytes.n);
    struct lt_batch batch;
    if (bytes == 8) lt_put64(forged + at, value);
    else lt_put32(forged + at, (int32_t)value);
    const char *wrong = read_message(m, forged, &batch);
    free(forged);
    return wrong;
}

static void test_lying_lengths(void **state) {
    (void)state;
    struct message m = rows_message(false);
    struct lt_layout layout;
    assert_true(lt_ipc_layout(&layout));
    const int64_t length = m.header_bytes - LT_LOG_PREFIX_BYTES, gib = INT64_C(1) << 30;
    const size_t text = layout.at_buffers + 16, json = layout.at_buffers + (size_t)18 * 16; /* the offsets of `id`, the bytes of `json` */
    const struct {
        const char *of;
        size_t at;
        int bytes;
        int64_t values[8]; /* up to a 0 that is not the first */
    } lies[] = {
        {"marker", 0, 4, {0, 1, -2}},
        {"header length", 4, 4, {-8, 8, length - 8, length + 8, length - 1, INT32_MAX, INT32_MIN}},
        {"no header", 4, 4, {0}},
        {"body length", layout.at_body, 8, {-1, -8, INT64_MIN, INT64_C(1) << 31, INT64_MAX, INT64_MAX - 7, gib + 8, 4}},
        {"body length, near", layout.at_body, 8, {m.body_bytes - 8, m.body_bytes + 1, m.body_bytes + 8, m.body_bytes + 64, 8}},
        {"no body", layout.at_body, 8, {0}},
        {"rows", layout.at_rows, 8, {-1, 1, ROWS + 1, LT_LOG_ROWS_MAX + 1, INT64_C(1) << 31, INT64_MAX, INT64_MIN}},
        {"rows of a column", layout.at_nodes, 8, {-1, 1, ROWS + 1, INT64_C(1) << 31, INT64_MAX, INT64_MIN}},
        {"offset of a buffer", text, 8, {-8, 4, m.body_bytes, m.body_bytes + 8, INT64_C(1) << 31, INT64_MAX, INT64_MIN}},
        {"length of a buffer", text + 8, 8, {-1, 1, 4 * ROWS, m.body_bytes + 8, INT64_C(1) << 31, INT64_MAX, INT64_MIN}},
        {"no buffer", text + 8, 8, {0}},
        {"length of a text", json + 8, 8, {-1, 1, INT64_C(1) << 31, INT64_MAX, INT64_MIN}},
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        for (size_t k = 0; k < 8 && (k == 0 || lies[i].values[k] != 0); k++)
            if (lie(&m, lies[i].at, lies[i].bytes, lies[i].values[k]) == NULL) fail_msg("%s %lld is believed", lies[i].of, (long long)lies[i].values[k]);
    release(&m);
}

/* A compressed buffer says how long it is going to be: memory is asked for that. */
static void test_lying_sizes(void **state) {
    (void)state;
    static const int64_t sizes[] = {-2, INT64_MIN, LT_LOG_BODY_MAX + 1, INT64_C(1) << 31, INT64_MAX, 1};
    struct message m = rows_message(true);
    const unsigned char *batch = lt_flat_follow(lt_flat_root((unsigned char *)m.bytes.p + LT_LOG_PREFIX_BYTES), LT_MESSAGE_HEADER);
    const unsigned char *buffers = lt_flat_follow(batch, LT_BATCH_BUFFERS);
    int tried = 0;
    for (uint32_t i = 0; i < lt_flat_length(buffers); i++) {
        size_t at = (size_t)(buffers + 4 - (unsigned char *)m.bytes.p) + (size_t)i * LT_BUFFER_BYTES;
        int64_t offset = lt_get64(m.bytes.p + at), length = lt_get64(m.bytes.p + at + 8);
        if (length == 0) continue;
        assert_non_null(lie(&m, at + 8, 8, 7)); /* no room for a size */
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++, tried++)
            if (lie(&m, (size_t)(m.header_bytes + offset), 8, sizes[k]) == NULL) fail_msg("size %lld of buffer %u is believed", (long long)sizes[k], (unsigned)i);
    }
    assert_true(tried >= 6 * LT_COLUMN_COUNT);
    release(&m);
}

static void test_any_bit(void **state) {
    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        struct message m = rows_message(packed);
        unsigned char *forged = block_of(m.bytes.p, m.bytes.n);
        for (int64_t bit = 0; bit < 8 * m.header_bytes; bit++) {
            struct lt_batch batch;
            forged[bit / 8] ^= (unsigned char)(1 << bit % 8);
            if (read_message(&m, forged, &batch) == NULL)
                for (int64_t i = 0; i < batch.rows; i++) {
                    struct lt_row row;
                    lt_batch_row(&batch, i, &row);
                    assert_true(row.json.p == NULL || lt_utf8_valid(row.json.p, row.json.n));
                }
            forged[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
        free(forged);
        release(&m);
    }
    struct lt_buf message = schema_message();
    unsigned char *forged = block_of(message.p, message.n);
    struct lt_ipc_decoder *decoder = lt_ipc_decoder_new();
    for (size_t bit = 0; bit < 8 * message.n; bit++) {
        struct lt_ipc_schema *schema = NULL;
        forged[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_true((lt_ipc_decode_schema(decoder, forged, (int64_t)message.n, &schema) == NULL) == (schema != NULL));
        lt_ipc_schema_free(schema);
        forged[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    lt_ipc_decoder_free(decoder);
    free(forged);
    lt_buf_release(&message);
}

/* ---- other columns ---- */
/* A schema of a log's columns but for the one named, which has another type, or (NANOARROW_TYPE_NA) is not there. */
static struct lt_buf other_schema(const char *column, enum ArrowType type) {
    struct ArrowSchema arrow;
    struct lt_buf out;
    lt_buf_init(&out);
    ArrowSchemaInit(&arrow);
    assert_int_equal(ArrowSchemaSetTypeStruct(&arrow, LT_COLUMN_COUNT), NANOARROW_OK);
    for (int i = 0; i < LT_COLUMN_COUNT; i++) {
        bool other = strcmp(lt_column_names[i], column) == 0;
        struct ArrowSchema *child = arrow.children[i];
        assert_int_equal(ArrowSchemaSetName(child, other && type == NANOARROW_TYPE_NA ? "more" : lt_column_names[i]), NANOARROW_OK);
        enum lt_column_kind kind = lt_column_kinds[i];
        int code = other && type != NANOARROW_TYPE_NA ? ArrowSchemaSetType(child, type)
                   : kind == LT_KIND_TIME             ? ArrowSchemaSetTypeDateTime(child, NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_MICRO, "UTC")
                   : kind == LT_KIND_HASH             ? ArrowSchemaSetTypeFixedSize(child, NANOARROW_TYPE_FIXED_SIZE_BINARY, LT_CHAIN_BYTES)
                                                      : ArrowSchemaSetType(child, NANOARROW_TYPE_STRING);
        assert_int_equal(code, NANOARROW_OK);
    }
    struct lt_ipc_schema *schema = lt_ipc_schema_take(&arrow);
    assert_null(arrow.release); /* taken */
    assert_true(lt_ipc_schema_encode(schema, &out));
    lt_ipc_schema_free(schema);
    return out;
}

static void test_other_columns(void **state) {
    (void)state;
    static const struct {
        const char *column, *wrong;
        enum ArrowType type;
    } cases[] = {
        {"", NULL, NANOARROW_TYPE_NA},
        {"chain", NULL, NANOARROW_TYPE_NA}, /* the first logs had none */
        {"json", "a column of a log is missing", NANOARROW_TYPE_NA},
        {"occurred_at", "a column of a log is missing", NANOARROW_TYPE_NA},
        {"json", "a column has another type than a log's", NANOARROW_TYPE_BINARY},
        {"occurred_at", "a column has another type than a log's", NANOARROW_TYPE_INT64},
        {"chain", "a column has another type than a log's", NANOARROW_TYPE_BINARY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lt_buf message = other_schema(cases[i].column, cases[i].type);
        struct lt_ipc_decoder *decoder = lt_ipc_decoder_new();
        struct lt_ipc_schema *log = NULL, *any = NULL;
        const char *wrong = lt_ipc_decode_schema(decoder, (unsigned char *)message.p, (int64_t)message.n, &log);
        if (cases[i].wrong == NULL) assert_null(wrong);
        else assert_string_equal(wrong, cases[i].wrong);
        assert_true((log != NULL) == (wrong == NULL));
        assert_null(lt_ipc_schema_read((unsigned char *)message.p, (int64_t)message.n, &any)); /* whatever its columns */
        char text[8];
        assert_false(lt_ipc_schema_text(any, LT_META_VERSION, text, sizeof text)); /* it has no metadata at all */
        lt_ipc_schema_free(log);
        lt_ipc_schema_free(any);
        lt_ipc_decoder_free(decoder);
        lt_buf_release(&message);
    }
}

/* ---- the footer ---- */
static const struct lt_ipc_block two_blocks[] = {{.offset = 1000, .header_bytes = 568, .body_bytes = 64}, {.offset = INT64_MAX - 7, .header_bytes = INT32_MAX, .body_bytes = -8}};

/* From the footer on, behind the EOS; as long as *n says. */
static unsigned char *sealed(size_t count, size_t *n) {
    struct lt_buf out;
    lt_buf_init(&out);
    struct lt_ipc_schema *schema = lt_ipc_schema_new(IDENTITY, SESSION);
    assert_true(lt_ipc_seal(schema, two_blocks, count, &out));
    lt_ipc_schema_free(schema);
    assert_int_equal(lt_get64(out.p), 0xffffffff);
    *n = out.n - LT_LOG_PREFIX_BYTES;
    unsigned char *block = block_of(out.p + LT_LOG_PREFIX_BYTES, *n);
    lt_buf_release(&out);
    return block;
}

static void test_footer(void **state) {
    (void)state;
    for (size_t count = 0; count < 3; count++) {
        size_t n, found;
        unsigned char *bytes = sealed(count, &n);
        const unsigned char *blocks;
        struct lt_ipc_decoder *decoder = lt_ipc_decoder_new();
        assert_memory_equal(bytes + n - LT_LOG_MAGIC_BYTES, LT_LOG_MAGIC, LT_LOG_MAGIC_BYTES);
        assert_true(lt_ipc_footer(decoder, bytes, (int64_t)n, &blocks, &found));
        assert_int_equal(found, count);
        for (size_t i = 0; i < count; i++) {
            struct lt_ipc_block block = lt_ipc_block_at(blocks, i); /* given as it is, and believed by nobody */
            assert_memory_equal(&block, &two_blocks[i], sizeof block);
        }
        assert_true(lt_str_eq(lt_ipc_footer_text(bytes, LT_META_IDENTITY), LT_STR(IDENTITY)));
        assert_null(lt_ipc_footer_text(bytes, LT_META_SIGNATURE).p);
        lt_ipc_decoder_free(decoder);
        free(bytes);
    }
}

static void test_footer_is_not_believed(void **state) {
    (void)state;
    size_t n, count;
    unsigned char *bytes = sealed(2, &n);
    const unsigned char *blocks;
    struct lt_ipc_decoder *decoder = lt_ipc_decoder_new();
    for (size_t cut = 0; cut < n; cut++) { /* its start, and its end, are another */
        unsigned char *part = block_of(bytes, cut);
        assert_false(lt_ipc_footer(decoder, part, (int64_t)cut, &blocks, &count));
        free(part);
        if (cut % LT_LOG_ALIGN != 0 || cut == 0) continue;
        part = block_of(bytes + cut, n - cut);
        assert_false(lt_ipc_footer(decoder, part, (int64_t)(n - cut), &blocks, &count));
        free(part);
    }
    const int32_t length = (int32_t)n - LT_LOG_TRAILER_BYTES, lies[] = {-1, 0, 8, length - 8, length + 8, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        lt_put32(bytes + length, lies[i]);
        assert_false(lt_ipc_footer(decoder, bytes, (int64_t)n, &blocks, &count));
    }
    lt_put32(bytes + length, length);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        if (lt_ipc_footer(decoder, bytes, (int64_t)n, &blocks, &count)) {
            for (size_t i = 0; i < count; i++) (void)lt_ipc_block_at(blocks, i);
            struct lt_str text = lt_ipc_footer_text(bytes, LT_META_IDENTITY);
            assert_true(text.p == NULL || ((const unsigned char *)text.p > bytes && (const unsigned char *)text.p + text.n < bytes + n));
        }
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    lt_ipc_decoder_free(decoder);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema_round_trip), cmocka_unit_test(test_rows_round_trip), cmocka_unit_test(test_layout),
        cmocka_unit_test(test_cut_schema),        cmocka_unit_test(test_cut_rows),        cmocka_unit_test(test_lying_lengths),
        cmocka_unit_test(test_lying_sizes),       cmocka_unit_test(test_any_bit),         cmocka_unit_test(test_other_columns),
        cmocka_unit_test(test_footer),            cmocka_unit_test(test_footer_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
