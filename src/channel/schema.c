/* SPDX-License-Identifier: Apache-2.0
 *
 * schema.c - the schema of a channel file, and the metadata that every batch of it has.
 */
#include "channel/schema.h"

#include "channel/layout.h"
#include "log/flat.h"

#include <nanoarrow/nanoarrow.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_INT64, KIND_TIME, KIND_REAL, KIND_VALUES, KIND_SMALLS, KIND_TIMES };
static const struct {
    const char *name;
    enum kind kind;
} columns[] = {
    {"first_sample", KIND_INT64}, {"time", KIND_TIME},       {"time_last", KIND_TIME},    {"interval_ns", KIND_REAL}, {"bin_min", KIND_VALUES},
    {"bin_max", KIND_VALUES},     {"bin_min_at", KIND_SMALLS}, {"bin_max_at", KIND_SMALLS}, {"times", KIND_TIMES},      {"value", KIND_VALUES},
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

static enum ArrowType arrow_type(enum litmus_type type) {
    static const enum ArrowType types[] = {
        [LITMUS_FLOAT64] = NANOARROW_TYPE_DOUBLE, [LITMUS_FLOAT32] = NANOARROW_TYPE_FLOAT,   [LITMUS_INT8] = NANOARROW_TYPE_INT8,
        [LITMUS_INT16] = NANOARROW_TYPE_INT16,    [LITMUS_INT32] = NANOARROW_TYPE_INT32,     [LITMUS_INT64] = NANOARROW_TYPE_INT64,
        [LITMUS_UINT8] = NANOARROW_TYPE_UINT8,    [LITMUS_UINT16] = NANOARROW_TYPE_UINT16,   [LITMUS_UINT32] = NANOARROW_TYPE_UINT32,
        [LITMUS_UINT64] = NANOARROW_TYPE_UINT64,
    };
    return types[type];
}

static int set_time(struct ArrowSchema *schema) {
    return ArrowSchemaSetTypeDateTime(schema, NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_NANO, "UTC");
}

static int set_column(struct ArrowSchema *schema, int column, enum litmus_type type) {
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(schema, columns[column].name));
    switch (columns[column].kind) {
    case KIND_INT64: return ArrowSchemaSetType(schema, NANOARROW_TYPE_INT64);
    case KIND_REAL: return ArrowSchemaSetType(schema, NANOARROW_TYPE_DOUBLE);
    case KIND_TIME: return set_time(schema);
    default: break;
    }
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetType(schema, NANOARROW_TYPE_LIST));
    if (columns[column].kind == KIND_TIMES) NANOARROW_RETURN_NOT_OK(set_time(schema->children[0]));
    else NANOARROW_RETURN_NOT_OK(ArrowSchemaSetType(schema->children[0], columns[column].kind == KIND_SMALLS ? NANOARROW_TYPE_UINT16 : arrow_type(type)));
    return ArrowSchemaSetName(schema->children[0], "item");
}

static int add_pair(struct ArrowBuffer *metadata, const char *key, const char *value) {
    return ArrowMetadataBuilderAppend(metadata, ArrowCharView(key), ArrowCharView(value));
}

static int set_metadata(struct ArrowSchema *schema, const struct lt_channel_about *about) {
    struct ArrowBuffer metadata;
    NANOARROW_RETURN_NOT_OK(ArrowMetadataBuilderInit(&metadata, NULL));
    int code = add_pair(&metadata, LT_CHANNEL_META_VERSION, LT_CHANNEL_VERSION);
    if (code == NANOARROW_OK) code = add_pair(&metadata, LT_CHANNEL_META_ID, about->channel_id);
    if (code == NANOARROW_OK) code = add_pair(&metadata, LT_CHANNEL_META_SESSION, about->session_id);
    if (code == NANOARROW_OK) code = add_pair(&metadata, LT_CHANNEL_META_RUN, about->run_id);
    if (code == NANOARROW_OK) code = add_pair(&metadata, LT_CHANNEL_META_UNITS, about->units);
    if (code == NANOARROW_OK) code = add_pair(&metadata, LT_CHANNEL_META_TYPE, lt_type_name(about->type));
    if (code == NANOARROW_OK) code = ArrowSchemaSetMetadata(schema, (const char *)metadata.data);
    ArrowBufferReset(&metadata);
    return code;
}

static int build_schema(struct ArrowSchema *schema, const struct lt_channel_about *about) {
    ArrowSchemaInit(schema);
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetTypeStruct(schema, COLUMNS));
    for (int c = 0; c < COLUMNS; c++) NANOARROW_RETURN_NOT_OK(set_column(schema->children[c], c, about->type));
    return set_metadata(schema, about);
}

struct lt_ipc_schema *lt_channel_schema(const struct lt_channel_about *about) {
    struct ArrowSchema schema = {.release = NULL};
    if (build_schema(&schema, about) != NANOARROW_OK) {
        if (schema.release != NULL) ArrowSchemaRelease(&schema);
        return NULL;
    }
    return lt_ipc_schema_take(&schema);
}

/* What the metadata says gives the whole schema; a message that differs from it in a byte is none of ours. */
const char *lt_channel_schema_read(const unsigned char *message, int64_t n, struct lt_channel_about *about, struct lt_ipc_schema **out) {
    struct lt_ipc_schema *given = NULL;
    const char *wrong = lt_ipc_schema_read(message, n, &given);
    if (wrong != NULL) return wrong;
    char version[16], type[16];
    memset(about, 0, sizeof *about);
    if (!lt_ipc_schema_text(given, LT_CHANNEL_META_VERSION, version, sizeof version)) wrong = "it is no channel file";
    else if (strcmp(version, LT_CHANNEL_VERSION) != 0) wrong = "it was written by a newer version";
    else if (!lt_ipc_schema_text(given, LT_CHANNEL_META_ID, about->channel_id, sizeof about->channel_id) ||
             !lt_ipc_schema_text(given, LT_CHANNEL_META_SESSION, about->session_id, sizeof about->session_id) ||
             !lt_ipc_schema_text(given, LT_CHANNEL_META_RUN, about->run_id, sizeof about->run_id) ||
             !lt_ipc_schema_text(given, LT_CHANNEL_META_UNITS, about->units, sizeof about->units) ||
             !lt_ipc_schema_text(given, LT_CHANNEL_META_TYPE, type, sizeof type) || !lt_type_parse(type, &about->type))
        wrong = "its metadata are incomplete";
    lt_ipc_schema_free(given);
    if (wrong != NULL) return wrong;
    struct lt_ipc_schema *own = lt_channel_schema(about);
    struct lt_buf bytes;
    lt_buf_init(&bytes);
    if (own == NULL || !lt_ipc_schema_encode(own, &bytes)) wrong = "memory is out";
    else if ((int64_t)bytes.n != n || memcmp(bytes.p, message, bytes.n) != 0) wrong = "its columns are not those of a channel";
    lt_buf_release(&bytes);
    if (wrong == NULL) *out = own;
    else lt_ipc_schema_free(own);
    return wrong;
}

/* ---- the metadata of a batch ---- */

static int one_row(struct ArrowSchema *schema, struct ArrowArray *array) {
    NANOARROW_RETURN_NOT_OK(build_schema(schema, &(struct lt_channel_about){.type = LITMUS_FLOAT64}));
    NANOARROW_RETURN_NOT_OK(ArrowArrayInitFromSchema(array, schema, NULL));
    NANOARROW_RETURN_NOT_OK(ArrowArrayStartAppending(array));
    for (int c = 0; c < COLUMNS; c++) {
        struct ArrowArray *child = array->children[c];
        switch (columns[c].kind) {
        case KIND_INT64:
        case KIND_TIME: NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(child, 1)); break;
        case KIND_REAL: NANOARROW_RETURN_NOT_OK(ArrowArrayAppendDouble(child, 1)); break;
        default:
            NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(child->children[0], 1));
            NANOARROW_RETURN_NOT_OK(ArrowArrayFinishElement(child));
        }
    }
    NANOARROW_RETURN_NOT_OK(ArrowArrayFinishElement(array));
    return ArrowArrayFinishBuildingDefault(array, NULL);
}

static bool find_numbers(struct lt_channel_template *t) {
    const unsigned char *message = lt_flat_root(t->bytes + LT_LOG_PREFIX_BYTES);
    const unsigned char *body = lt_flat_field(message, LT_MESSAGE_BODY_LENGTH);
    const unsigned char *batch = lt_flat_follow(message, LT_MESSAGE_HEADER);
    if (body == NULL || batch == NULL) return false;
    const unsigned char *nodes = lt_flat_follow(batch, LT_BATCH_NODES), *buffers = lt_flat_follow(batch, LT_BATCH_BUFFERS);
    t->nodes = lt_flat_length(nodes);
    t->buffers = lt_flat_length(buffers);
    if (t->nodes == 0 || t->buffers == 0) return false;
    t->at_body = (size_t)(body - t->bytes);
    t->at_nodes = (size_t)(nodes + 4 - t->bytes);
    t->at_buffers = (size_t)(buffers + 4 - t->bytes);
    return true;
}

static struct {
    pthread_once_t once;
    struct lt_channel_template t;
} known = {.once = PTHREAD_ONCE_INIT};

static void make_template(void) {
    struct lt_buf bytes;
    lt_buf_init(&bytes);
    bool ok = lt_ipc_batch_header(one_row, &bytes) && bytes.n <= LT_CHANNEL_HEADER_MAX;
    if (ok) memcpy(known.t.bytes, bytes.p, bytes.n);
    if (ok && find_numbers(&known.t)) known.t.size = (int64_t)bytes.n;
    lt_buf_release(&bytes);
}

const struct lt_channel_template *lt_channel_template(void) {
    pthread_once(&known.once, make_template);
    return &known.t;
}
