/* SPDX-License-Identifier: Apache-2.0 */
#include "log/ipc.h"

#include "log/flat.h"

#include <errno.h>
#include <limits.h>
#include <nanoarrow/nanoarrow.h>
#include <nanoarrow/nanoarrow_ipc.h>
#include <pthread.h>
#include <stdlib.h>

static_assert(sizeof(struct lt_ipc_block) == sizeof(struct ArrowIpcFileBlock), "blocks are passed on as they are");
static_assert(offsetof(struct lt_ipc_block, header_bytes) == offsetof(struct ArrowIpcFileBlock, metadata_length), "same places");
static_assert(offsetof(struct lt_ipc_block, body_bytes) == offsetof(struct ArrowIpcFileBlock, body_length), "same places");

struct lt_ipc_schema {
    struct ArrowSchema arrow;
};

const char lt_ipc_no_memory[] = "out of memory";

/* What a call of the library came to; NULL: it went well. */
static const char *outcome_of(int code, const char *otherwise) {
    return code == NANOARROW_OK ? NULL : code == ENOMEM ? lt_ipc_no_memory : otherwise;
}

/* ---- the schema ---- */
static int set_column(struct ArrowSchema *schema, int column) {
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(schema, lt_column_names[column]));
    switch (lt_column_kinds[column]) {
    case LT_KIND_TIME:
        return ArrowSchemaSetTypeDateTime(schema, NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_MICRO, "UTC");
    case LT_KIND_HASH: return ArrowSchemaSetTypeFixedSize(schema, NANOARROW_TYPE_FIXED_SIZE_BINARY, LT_CHAIN_BYTES);
    default: return ArrowSchemaSetType(schema, NANOARROW_TYPE_STRING);
    }
}

static int add_metadata(struct ArrowBuffer *metadata, const char *key, const char *value) {
    return ArrowMetadataBuilderAppend(metadata, ArrowCharView(key), ArrowCharView(value));
}

static int set_metadata(struct ArrowSchema *schema, const char *identity, const char *session_id) {
    static_assert(LT_LOG_VERSION == 1, "the text below");
    struct ArrowBuffer metadata;
    NANOARROW_RETURN_NOT_OK(ArrowMetadataBuilderInit(&metadata, NULL));
    int code = add_metadata(&metadata, LT_META_VERSION, "1");
    if (code == NANOARROW_OK) code = add_metadata(&metadata, LT_META_IDENTITY, identity);
    if (code == NANOARROW_OK) code = add_metadata(&metadata, LT_META_SESSION, session_id);
    if (code == NANOARROW_OK) code = ArrowSchemaSetMetadata(schema, (const char *)metadata.data);
    ArrowBufferReset(&metadata);
    return code;
}

static int build_schema(struct ArrowSchema *schema, const char *identity, const char *session_id) {
    ArrowSchemaInit(schema);
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetTypeStruct(schema, LT_COLUMN_COUNT));
    for (int c = 0; c < LT_COLUMN_COUNT; c++) NANOARROW_RETURN_NOT_OK(set_column(schema->children[c], c));
    return set_metadata(schema, identity, session_id);
}

struct lt_ipc_schema *lt_ipc_schema_new(const char *identity, const char *session_id) {
    struct lt_ipc_schema *schema = calloc(1, sizeof *schema);
    if (schema == NULL) return NULL;
    if (build_schema(&schema->arrow, identity, session_id) == NANOARROW_OK) return schema;
    lt_ipc_schema_free(schema);
    return NULL;
}

struct lt_ipc_schema *lt_ipc_schema_take(struct ArrowSchema *arrow) {
    struct lt_ipc_schema *schema = calloc(1, sizeof *schema);
    if (schema != NULL) ArrowSchemaMove(arrow, &schema->arrow);
    else ArrowSchemaRelease(arrow);
    return schema;
}

struct lt_ipc_schema *lt_ipc_schema_copy(const struct lt_ipc_schema *schema) {
    struct lt_ipc_schema *copy = calloc(1, sizeof *copy);
    if (copy == NULL || ArrowSchemaDeepCopy(&schema->arrow, &copy->arrow) == NANOARROW_OK) return copy;
    lt_ipc_schema_free(copy);
    return NULL;
}

void lt_ipc_schema_free(struct lt_ipc_schema *schema) {
    if (schema == NULL) return;
    if (schema->arrow.release != NULL) ArrowSchemaRelease(&schema->arrow);
    free(schema);
}

bool lt_ipc_schema_text(const struct lt_ipc_schema *schema, const char *key, char *out, size_t size) {
    struct ArrowStringView value = {NULL, 0};
    if (schema->arrow.metadata == NULL) return false;
    if (ArrowMetadataGetValue(schema->arrow.metadata, ArrowCharView(key), &value) != NANOARROW_OK) return false;
    if (value.data == NULL || value.size_bytes < 0 || (size_t)value.size_bytes >= size) return false;
    memcpy(out, value.data, (size_t)value.size_bytes);
    out[value.size_bytes] = '\0';
    return true;
}

bool lt_ipc_schema_put(struct lt_ipc_schema *schema, const char *key, const char *value) {
    struct ArrowBuffer metadata;
    if (ArrowMetadataBuilderInit(&metadata, schema->arrow.metadata) != NANOARROW_OK) return false;
    bool ok = add_metadata(&metadata, key, value) == NANOARROW_OK && ArrowSchemaSetMetadata(&schema->arrow, (const char *)metadata.data) == NANOARROW_OK;
    ArrowBufferReset(&metadata);
    return ok;
}

/* ---- encoding ---- */
/* Can it be read again? Where memory was wanting, the encoder may leave a part out and not say so. A footer comes with what is behind it. */
static bool is_sound(const char *bytes, size_t n, bool message) {
    struct ArrowIpcDecoder decoder;
    struct ArrowBufferView view = {.data = {.data = bytes}, .size_bytes = (int64_t)n};
    if (ArrowIpcDecoderInit(&decoder) != NANOARROW_OK) return false;
    bool sound = (message ? ArrowIpcDecoderVerifyHeader(&decoder, view, NULL) : ArrowIpcDecoderVerifyFooter(&decoder, view, NULL)) == NANOARROW_OK;
    ArrowIpcDecoderReset(&decoder);
    return sound;
}

/* Takes what the encoder made into `out`; encapsulated with prefix and padding if it is a message. */
static bool finish(struct ArrowIpcEncoder *encoder, bool message, struct lt_buf *out) {
    struct ArrowBuffer bytes;
    ArrowBufferInit(&bytes);
    bool ok = ArrowIpcEncoderFinalizeBuffer(encoder, message, &bytes) == NANOARROW_OK;
    ok = ok && (!message || is_sound((const char *)bytes.data, (size_t)bytes.size_bytes, true));
    if (ok) lt_buf_add(out, bytes.data, (size_t)bytes.size_bytes);
    ArrowBufferReset(&bytes);
    return ok && !out->failed;
}

bool lt_ipc_schema_encode(const struct lt_ipc_schema *schema, struct lt_buf *out) {
    struct ArrowIpcEncoder encoder;
    if (ArrowIpcEncoderInit(&encoder) != NANOARROW_OK) return false;
    bool ok = ArrowIpcEncoderEncodeSchema(&encoder, &schema->arrow, NULL) == NANOARROW_OK && finish(&encoder, true, out);
    ArrowIpcEncoderReset(&encoder);
    return ok;
}

static bool append_footer(const struct lt_ipc_schema *schema, const struct lt_ipc_block *blocks, size_t count, struct lt_buf *out) {
    struct ArrowIpcEncoder encoder;
    if (ArrowIpcEncoderInit(&encoder) != NANOARROW_OK) return false;
    /* Lent for the call: the encoder only reads them. */
    struct ArrowIpcFooter footer;
    ArrowIpcFooterInit(&footer);
    footer.schema = schema->arrow;
    footer.record_batch_blocks.data = (uint8_t *)(uintptr_t)blocks;
    footer.record_batch_blocks.size_bytes = (int64_t)(count * sizeof *blocks);
    bool ok = ArrowIpcEncoderEncodeFooter(&encoder, &footer, NULL) == NANOARROW_OK && finish(&encoder, false, out);
    ArrowIpcEncoderReset(&encoder);
    return ok;
}

bool lt_ipc_seal(const struct lt_ipc_schema *schema, const struct lt_ipc_block *blocks, size_t count, struct lt_buf *out) {
    static const unsigned char end_of_stream[LT_LOG_PREFIX_BYTES] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
    lt_buf_add(out, end_of_stream, sizeof end_of_stream);
    size_t start = out->n;
    if (!append_footer(schema, blocks, count, out) || out->n - start > INT32_MAX) return false;
    int32_t footer_bytes = (int32_t)(out->n - start);
    lt_buf_add(out, &footer_bytes, sizeof footer_bytes);
    lt_buf_add(out, LT_LOG_MAGIC, LT_LOG_MAGIC_BYTES);
    return !out->failed && is_sound(out->p + start, out->n - start, false);
}

/* The numbers that a layout fills in, as the encoder put them. */
static bool find_numbers(struct lt_layout *layout) {
    const unsigned char *base = layout->header;
    const unsigned char *message = lt_flat_root(base + LT_LOG_PREFIX_BYTES);
    const unsigned char *body = lt_flat_field(message, LT_MESSAGE_BODY_LENGTH);
    const unsigned char *batch = lt_flat_follow(message, LT_MESSAGE_HEADER);
    if (body == NULL || batch == NULL) return false;
    const unsigned char *rows = lt_flat_field(batch, LT_BATCH_LENGTH);
    const unsigned char *nodes = lt_flat_follow(batch, LT_BATCH_NODES);
    const unsigned char *buffers = lt_flat_follow(batch, LT_BATCH_BUFFERS);
    if (rows == NULL || lt_flat_length(nodes) != LT_COLUMN_COUNT || lt_flat_length(buffers) > LT_LAYOUT_BUFFERS_MAX) return false;
    layout->at_body = (size_t)(body - base);
    layout->at_rows = (size_t)(rows - base);
    layout->at_nodes = (size_t)(nodes + 4 - base);
    layout->at_buffers = (size_t)(buffers + 4 - base);
    return true;
}

/* A batch of one row, as an array without content of note: only the metadata is wanted. */
static int one_row(struct ArrowSchema *schema, struct ArrowArray *array) {
    static const unsigned char zeros[LT_CHAIN_BYTES];
    NANOARROW_RETURN_NOT_OK(build_schema(schema, "", ""));
    NANOARROW_RETURN_NOT_OK(ArrowArrayInitFromSchema(array, schema, NULL));
    NANOARROW_RETURN_NOT_OK(ArrowArrayStartAppending(array));
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        struct ArrowBufferView hash = {.data = {.data = zeros}, .size_bytes = sizeof zeros};
        switch (lt_column_kinds[c]) {
        case LT_KIND_TEXT: NANOARROW_RETURN_NOT_OK(ArrowArrayAppendString(array->children[c], ArrowCharView("x"))); break;
        case LT_KIND_TIME: NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(array->children[c], 1)); break;
        case LT_KIND_HASH: NANOARROW_RETURN_NOT_OK(ArrowArrayAppendBytes(array->children[c], hash)); break;
        }
    }
    NANOARROW_RETURN_NOT_OK(ArrowArrayFinishElement(array));
    return ArrowArrayFinishBuildingDefault(array, NULL);
}

static int encode_one_row(struct ArrowSchema *schema, struct ArrowArray *array, struct ArrowArrayView *view, struct lt_buf *out) {
    NANOARROW_RETURN_NOT_OK(ArrowArrayViewInitFromSchema(view, schema, NULL));
    NANOARROW_RETURN_NOT_OK(ArrowArrayViewSetArray(view, array, NULL));
    struct ArrowIpcEncoder encoder;
    NANOARROW_RETURN_NOT_OK(ArrowIpcEncoderInit(&encoder));
    struct ArrowBuffer body;
    ArrowBufferInit(&body);
    int code = ArrowIpcEncoderEncodeSimpleRecordBatch(&encoder, view, &body, NULL);
    if (code == NANOARROW_OK && !finish(&encoder, true, out)) code = ENOMEM;
    ArrowBufferReset(&body);
    ArrowIpcEncoderReset(&encoder);
    return code;
}

bool lt_ipc_batch_header(int (*make_row)(struct ArrowSchema *schema, struct ArrowArray *array), struct lt_buf *out) {
    struct ArrowSchema schema = {.release = NULL};
    struct ArrowArray array = {.release = NULL};
    struct ArrowArrayView view;
    ArrowArrayViewInitFromType(&view, NANOARROW_TYPE_UNINITIALIZED);
    bool ok = make_row(&schema, &array) == NANOARROW_OK && encode_one_row(&schema, &array, &view, out) == NANOARROW_OK;
    ArrowArrayViewReset(&view);
    if (array.release != NULL) ArrowArrayRelease(&array);
    if (schema.release != NULL) ArrowSchemaRelease(&schema);
    return ok;
}

static bool make_layout(struct lt_layout *layout) {
    struct lt_buf header;
    lt_buf_init(&header);
    memset(layout, 0, sizeof *layout);
    bool ok = lt_ipc_batch_header(one_row, &header) && header.n <= sizeof layout->header;
    if (ok) memcpy(layout->header, header.p, header.n);
    layout->header_bytes = (int64_t)header.n;
    lt_buf_release(&header);
    return ok && find_numbers(layout);
}

/* It is the same for every log, and asking the library for it costs as much as reading a small log. */
static struct {
    pthread_once_t once;
    struct lt_layout layout;
    bool ok;
} known_layout = {.once = PTHREAD_ONCE_INIT};

static void know_layout(void) {
    known_layout.ok = make_layout(&known_layout.layout);
}

bool lt_ipc_layout(struct lt_layout *layout) {
    if (pthread_once(&known_layout.once, know_layout) != 0 || !known_layout.ok) return make_layout(layout);
    *layout = known_layout.layout;
    return true;
}

/* ---- decoding ---- */
struct lt_ipc_decoder {
    struct ArrowIpcDecoder arrow;
    struct ArrowError error;
    int64_t child[LT_COLUMN_COUNT]; /* of the file's columns, -1: not there */
};

struct lt_ipc_decoder *lt_ipc_decoder_new(void) {
    struct lt_ipc_decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL) return NULL;
    if (ArrowIpcDecoderInit(&decoder->arrow) == NANOARROW_OK) return decoder;
    free(decoder);
    return NULL;
}

void lt_ipc_decoder_free(struct lt_ipc_decoder *decoder) {
    if (decoder == NULL) return;
    ArrowIpcDecoderReset(&decoder->arrow);
    free(decoder);
}

/* The flatbuffer verifier checks bounds, not presence; nanoarrow takes the presence of these parts
 * for granted. */
static bool pairs_complete(const unsigned char *pairs) {
    for (uint32_t i = 0; i < lt_flat_length(pairs); i++) {
        const unsigned char *pair = lt_flat_at(pairs, i);
        if (lt_flat_follow(pair, LT_PAIR_KEY) == NULL || lt_flat_follow(pair, LT_PAIR_VALUE) == NULL) return false;
    }
    return true;
}

/* Recursion ends: the verifier allows only so many levels. */
static bool fields_complete(const unsigned char *fields) {
    for (uint32_t i = 0; i < lt_flat_length(fields); i++) {
        const unsigned char *field = lt_flat_at(fields, i);
        if (lt_flat_follow(field, LT_FIELD_NAME) == NULL || lt_flat_follow(field, LT_FIELD_TYPE) == NULL) return false;
        if (!pairs_complete(lt_flat_follow(field, LT_FIELD_METADATA))) return false;
        if (!fields_complete(lt_flat_follow(field, LT_FIELD_CHILDREN))) return false;
    }
    return true;
}

static const unsigned char *header_table(const unsigned char *message) {
    return lt_flat_follow(lt_flat_root(message + LT_LOG_PREFIX_BYTES), LT_MESSAGE_HEADER);
}

static struct ArrowBufferView view_of(const unsigned char *bytes, int64_t n) {
    return (struct ArrowBufferView){.data = {.as_uint8 = bytes}, .size_bytes = n};
}

static const char *verify(struct lt_ipc_decoder *decoder, const unsigned char *message, int64_t n, enum ArrowIpcMessageType type) {
    /* The length first: the library adds to what it finds there. It also tells a header whose length was changed: ours and other writers' end right
     * behind the content. */
    if (n < LT_LOG_PREFIX_BYTES || lt_get32(message) != -1 || n - LT_LOG_PREFIX_BYTES != lt_get32(message + 4)) return "the message header is of another length";
    const char *wrong = outcome_of(ArrowIpcDecoderVerifyHeader(&decoder->arrow, view_of(message, n), NULL), "the message header cannot be read");
    if (wrong != NULL) return wrong;
    if (decoder->arrow.message_type != type || header_table(message) == NULL) return "the message is of another type";
    return decoder->arrow.header_size_bytes == n ? NULL : "the message header is of another length";
}

static bool column_fits(const struct ArrowSchema *child, int column) {
    struct ArrowSchemaView view;
    if (ArrowSchemaViewInit(&view, child, NULL) != NANOARROW_OK) return false;
    switch (lt_column_kinds[column]) {
    case LT_KIND_TEXT: return view.type == NANOARROW_TYPE_STRING;
    case LT_KIND_TIME: return view.type == NANOARROW_TYPE_TIMESTAMP && view.time_unit == NANOARROW_TIME_UNIT_MICRO;
    case LT_KIND_HASH: return view.type == NANOARROW_TYPE_FIXED_SIZE_BINARY && view.fixed_size == LT_CHAIN_BYTES;
    }
    return false;
}

bool lt_ipc_schema_is_of_log(const struct lt_ipc_schema *schema) {
    struct ArrowSchemaView view;
    if (schema->arrow.n_children != LT_COLUMN_COUNT) return false;
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        const struct ArrowSchema *child = schema->arrow.children[c];
        if (child->name == NULL || strcmp(child->name, lt_column_names[c]) != 0 || !column_fits(child, c)) return false;
        if (lt_column_kinds[c] != LT_KIND_TIME) continue;
        if (ArrowSchemaViewInit(&view, child, NULL) != NANOARROW_OK || view.timezone == NULL || strcmp(view.timezone, "UTC") != 0) return false;
    }
    return true;
}

static const char *find_columns(struct lt_ipc_decoder *decoder, const struct ArrowSchema *schema) {
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        decoder->child[c] = -1;
        for (int64_t i = 0; i < schema->n_children && decoder->child[c] < 0; i++)
            if (schema->children[i]->name != NULL && strcmp(schema->children[i]->name, lt_column_names[c]) == 0) decoder->child[c] = i;
        if (decoder->child[c] >= 0 && !column_fits(schema->children[decoder->child[c]], c)) return "a column has another type than a log's";
        /* The first logs had no chain. */
        if (decoder->child[c] < 0 && c != LT_COLUMN_CHAIN) return "a column of a log is missing";
    }
    return NULL;
}

static const char *use_schema(struct lt_ipc_decoder *decoder, struct ArrowSchema *schema) {
    const char *wrong = outcome_of(ArrowIpcDecoderDecodeSchema(&decoder->arrow, schema, &decoder->error), decoder->error.message);
    if (wrong == NULL) wrong = find_columns(decoder, schema);
    if (wrong == NULL) wrong = outcome_of(ArrowIpcDecoderSetSchema(&decoder->arrow, schema, &decoder->error), decoder->error.message);
    return wrong;
}

/* Makes the decoder hold a schema message that is sound. */
static const char *read_schema(struct lt_ipc_decoder *decoder, const unsigned char *message, int64_t n) {
    const char *wrong = verify(decoder, message, n, NANOARROW_IPC_MESSAGE_TYPE_SCHEMA);
    if (wrong != NULL) return wrong;
    const unsigned char *table = header_table(message);
    if (!fields_complete(lt_flat_follow(table, LT_SCHEMA_FIELDS)) || !pairs_complete(lt_flat_follow(table, LT_SCHEMA_METADATA)))
        return "the schema is incomplete";
    wrong = outcome_of(ArrowIpcDecoderDecodeHeader(&decoder->arrow, view_of(message, n), &decoder->error), decoder->error.message);
    if (wrong != NULL) return wrong;
    return decoder->arrow.endianness == NANOARROW_IPC_ENDIANNESS_LITTLE ? NULL : "the file is big-endian";
}

const char *lt_ipc_schema_read(const unsigned char *message, int64_t n, struct lt_ipc_schema **out) {
    struct lt_ipc_decoder *decoder = lt_ipc_decoder_new();
    if (decoder == NULL) return lt_ipc_no_memory;
    struct ArrowSchema schema = {.release = NULL};
    bool sound = read_schema(decoder, message, n) == NULL && ArrowIpcDecoderDecodeSchema(&decoder->arrow, &schema, NULL) == NANOARROW_OK;
    lt_ipc_decoder_free(decoder);
    if (!sound) return "its schema cannot be read";
    *out = lt_ipc_schema_take(&schema);
    return *out == NULL ? lt_ipc_no_memory : NULL;
}

const char *lt_ipc_decode_schema(struct lt_ipc_decoder *decoder, const unsigned char *message, int64_t n,
                                 struct lt_ipc_schema **out) {
    const char *wrong = read_schema(decoder, message, n);
    if (wrong != NULL) return wrong;
    struct lt_ipc_schema *schema = calloc(1, sizeof *schema);
    if (schema == NULL) return lt_ipc_no_memory;
    wrong = use_schema(decoder, &schema->arrow);
    if (wrong == NULL) *out = schema;
    else lt_ipc_schema_free(schema);
    return wrong;
}

/* Every buffer lies inside the body, and the body ends behind the last one: a length that was
 * changed to swallow what follows does not pass. */
static bool buffers_inside(const unsigned char *batch, int64_t body_bytes) {
    const unsigned char *buffers = lt_flat_follow(batch, LT_BATCH_BUFFERS);
    int64_t end = 0;
    for (uint32_t i = 0; i < lt_flat_length(buffers); i++) {
        int64_t offset = lt_get64(buffers + 4 + (size_t)i * LT_BUFFER_BYTES);
        int64_t length = lt_get64(buffers + 4 + (size_t)i * LT_BUFFER_BYTES + 8);
        if (offset < 0 || length < 0 || offset > body_bytes || length > body_bytes - offset) return false;
        if (offset % LT_LOG_ALIGN != 0) return false;
        if (offset + length > end) end = offset + length;
    }
    return body_bytes - end < 64; /* the widest padding that writers use */
}

const char *lt_ipc_decode_header(struct lt_ipc_decoder *decoder, const unsigned char *message, int64_t header_bytes,
                                 int64_t *body_bytes) {
    const char *wrong = verify(decoder, message, header_bytes, NANOARROW_IPC_MESSAGE_TYPE_RECORD_BATCH);
    if (wrong != NULL) return wrong;
    int64_t bytes = decoder->arrow.body_size_bytes;
    if (bytes < 0 || bytes > LT_LOG_BODY_MAX || bytes % LT_LOG_ALIGN != 0) return "the body length is out of bounds";
    if (!buffers_inside(header_table(message), bytes)) return "a buffer lies outside the body";
    wrong = outcome_of(ArrowIpcDecoderDecodeHeader(&decoder->arrow, view_of(message, header_bytes), NULL), "the message header does not fit the columns");
    if (wrong != NULL) return wrong;
    *body_bytes = bytes;
    return NULL;
}

/* A compressed buffer says how long it gets: believed only within bounds, as memory is asked for it. */
static bool sizes_bounded(const unsigned char *batch, const unsigned char *body) {
    const unsigned char *buffers = lt_flat_follow(batch, LT_BATCH_BUFFERS);
    int64_t total = 0;
    for (uint32_t i = 0; i < lt_flat_length(buffers); i++) {
        int64_t offset = lt_get64(buffers + 4 + (size_t)i * LT_BUFFER_BYTES);
        int64_t length = lt_get64(buffers + 4 + (size_t)i * LT_BUFFER_BYTES + 8);
        if (length == 0) continue;
        if (length < 8) return false;
        int64_t bytes = lt_get64(body + offset);
        if (bytes == -1) bytes = length - 8; /* stored as it is */
        if (bytes < 0 || bytes > LT_LOG_BODY_MAX - total) return false;
        total += bytes;
    }
    return true;
}

/* Are the buffers of a column as long as `rows` rows need? */
static bool column_bounded(const struct lt_column *column, enum lt_column_kind kind, int64_t validity_bytes,
                           int64_t offset_bytes, int64_t rows) {
    if (column->validity != NULL && validity_bytes < (rows + 7) / 8) return false;
    if (kind == LT_KIND_TEXT) return offset_bytes >= 4 * (rows + 1);
    return column->data_bytes >= (kind == LT_KIND_TIME ? 8 : LT_CHAIN_BYTES) * rows;
}

static bool take_column(const struct ArrowArrayView *view, enum lt_column_kind kind, int64_t rows, struct lt_column *column) {
    static const unsigned char nothing[1];
    const struct ArrowBufferView *buffers = view->buffer_views;
    if (view->length != rows) return false;
    const struct ArrowBufferView *data = &buffers[kind == LT_KIND_TEXT ? 2 : 1];
    column->present = true;
    /* Writers may leave a validity buffer out when they count no nulls, or write one that is all ones. */
    column->validity = view->null_count == 0 || buffers[0].size_bytes == 0 ? NULL : buffers[0].data.as_uint8;
    column->offsets = kind == LT_KIND_TEXT ? buffers[1].data.as_uint8 : NULL;
    column->data = data->data.as_uint8 == NULL ? nothing : data->data.as_uint8;
    column->data_bytes = data->data.as_uint8 == NULL ? 0 : data->size_bytes;
    return column_bounded(column, kind, buffers[0].size_bytes, buffers[1].size_bytes, rows);
}

const char *lt_ipc_decode_body(struct lt_ipc_decoder *decoder, const unsigned char *message, struct lt_batch *batch) {
    const unsigned char *body = message + decoder->arrow.header_size_bytes;
    if (decoder->arrow.codec != NANOARROW_IPC_COMPRESSION_TYPE_NONE && !sizes_bounded(header_table(message), body))
        return "a compressed buffer's length is out of bounds";
    batch->header_bytes = decoder->arrow.header_size_bytes;
    batch->body_bytes = decoder->arrow.body_size_bytes;
    struct ArrowArrayView *view = NULL;
    const char *wrong = outcome_of(ArrowIpcDecoderDecodeArrayView(&decoder->arrow, view_of(body, batch->body_bytes), -1, &view, NULL), "the columns cannot be read");
    if (wrong != NULL) return wrong;
    batch->rows = view->length;
    if (batch->rows < 0 || batch->rows > LT_LOG_ROWS_MAX) return "the number of rows is out of bounds";
    for (int c = 0; c < LT_COLUMN_COUNT; c++) {
        memset(&batch->columns[c], 0, sizeof batch->columns[c]);
        if (decoder->child[c] < 0) continue;
        if (!take_column(view->children[decoder->child[c]], lt_column_kinds[c], batch->rows, &batch->columns[c]))
        return "a column is shorter than the batch";
    }
    return NULL;
}

bool lt_ipc_footer(struct lt_ipc_decoder *decoder, const unsigned char *bytes, int64_t n, const unsigned char **blocks,
                   size_t *count) {
    if (ArrowIpcDecoderVerifyFooter(&decoder->arrow, view_of(bytes, n), NULL) != NANOARROW_OK) return false;
    if (decoder->arrow.header_size_bytes != n - LT_LOG_TRAILER_BYTES) return false;
    const unsigned char *vector = lt_flat_follow(lt_flat_root(bytes), LT_FOOTER_BATCHES);
    *count = lt_flat_length(vector);
    *blocks = vector == NULL ? bytes : vector + 4;
    return true;
}

static struct lt_str text_of(const unsigned char *text) {
    return text == NULL ? LT_STR_NULL : (struct lt_str){(const char *)text + 4, lt_flat_length(text)};
}

struct lt_str lt_ipc_footer_text(const unsigned char *bytes, const char *key) {
    const unsigned char *schema = lt_flat_follow(lt_flat_root(bytes), LT_FOOTER_SCHEMA);
    const unsigned char *pairs = schema == NULL ? NULL : lt_flat_follow(schema, LT_SCHEMA_METADATA);
    for (uint32_t i = 0; i < lt_flat_length(pairs); i++) {
        const unsigned char *pair = lt_flat_at(pairs, i);
        if (lt_str_eq(text_of(lt_flat_follow(pair, LT_PAIR_KEY)), lt_str_of(key))) return text_of(lt_flat_follow(pair, LT_PAIR_VALUE));
    }
    return LT_STR_NULL;
}

struct lt_ipc_block lt_ipc_block_at(const unsigned char *blocks, size_t index) {
    const unsigned char *p = blocks + index * LT_BLOCK_BYTES;
    return (struct lt_ipc_block){.offset = lt_get64(p), .header_bytes = lt_get32(p + 8), .body_bytes = lt_get64(p + 16)};
}
