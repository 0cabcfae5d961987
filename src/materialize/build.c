/* SPDX-License-Identifier: Apache-2.0
 *
 * How many cells a column has is known from the start, so its buffers are made at once and full of
 * zeros, which are NULL cells; nanoarrow's way of appending, which knows nothing, took a tenth of the
 * time that a run's file takes. The elements of lists, whose number nobody knows, are appended.
 */
#include "materialize/build.h"

#include <errno.h>
#include <stdlib.h>

static const struct element_type {
    enum ArrowType storage;
    const char *format;
    int64_t bytes; /* of one; 0: a bit */
} element_types[] = {
#define STR {NANOARROW_TYPE_STRING, "u", sizeof(int32_t)}
#define TIME {NANOARROW_TYPE_INT64, "tsu:UTC", sizeof(int64_t)}
#define BOOL {NANOARROW_TYPE_BOOL, "b", 0}
    [LT_COLUMN_STR] = STR, [LT_COLUMN_TIME] = TIME, [LT_COLUMN_BOOL] = BOOL, [LT_COLUMN_STRS] = STR, [LT_COLUMN_TIMES] = TIME, [LT_COLUMN_BOOLS] = BOOL,
    [LT_COLUMN_INT] = {NANOARROW_TYPE_INT64, "l", sizeof(int64_t)},
    [LT_COLUMN_INT32] = {NANOARROW_TYPE_INT32, "i", sizeof(int32_t)},
    [LT_COLUMN_REAL] = {NANOARROW_TYPE_DOUBLE, "g", sizeof(double)},
#undef STR
#undef TIME
#undef BOOL
};

enum { VALID = 0, CELLS = 1, TEXT = 2 }; /* the buffers; CELLS of texts and lists are where they begin */

/* Runs a nanoarrow call unless an earlier one failed. */
#define TRY(build, call)                                      \
    do {                                                      \
        if ((build)->failed == NANOARROW_OK) (build)->failed = (call); \
    } while (0)

static bool is_list(enum lt_column_type type) {
    return type >= LT_COLUMN_STRS;
}

void lt_build_start(struct lt_build *build, struct lt_table *table, int64_t columns, int64_t rows) {
    *build = (struct lt_build){.table = table, .rows = rows, .column = -1};
    lt_table_init(table);
    ArrowSchemaInit(&table->schema);
    TRY(build, ArrowSchemaSetTypeStruct(&table->schema, columns));
    TRY(build, ArrowArrayInitFromType(&table->array, NANOARROW_TYPE_STRUCT));
    TRY(build, ArrowArrayAllocateChildren(&table->array, columns));
}

int lt_column_schema(struct ArrowSchema *schema, const char *name, enum lt_column_type type) {
    const char *format = element_types[type].format;
    if (!is_list(type)) {
        NANOARROW_RETURN_NOT_OK(ArrowSchemaSetFormat(schema, format));
    } else {
        NANOARROW_RETURN_NOT_OK(ArrowSchemaSetType(schema, NANOARROW_TYPE_LIST));
        NANOARROW_RETURN_NOT_OK(ArrowSchemaSetFormat(schema->children[0], format));
        NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(schema->children[0], "element"));
    }
    return ArrowSchemaSetName(schema, name);
}

int lt_column_start(struct ArrowArray *array, enum lt_column_type type) {
    enum ArrowType element = element_types[type].storage;
    NANOARROW_RETURN_NOT_OK(ArrowArrayInitFromType(array, is_list(type) ? NANOARROW_TYPE_LIST : element));
    if (is_list(type)) {
        NANOARROW_RETURN_NOT_OK(ArrowArrayAllocateChildren(array, 1));
        NANOARROW_RETURN_NOT_OK(ArrowArrayInitFromType(array->children[0], element));
    }
    return ArrowArrayStartAppending(array);
}

/* Cells that are not there look like 0, or like a text or list that is empty. nanoarrow 0.8.0 appends where these begin one by one, and
 * miscounts the bytes of several bits. */
int lt_column_append_nulls(struct ArrowArray *array, enum lt_column_type type, int64_t count) {
    struct ArrowBitmap *valid = ArrowArrayValidityBitmap(array);
    struct ArrowBuffer *cells = ArrowArrayBuffer(array, CELLS);
    int64_t width = element_types[type].bytes, bits = array->length + count;
    if (count == 0) return NANOARROW_OK;
    NANOARROW_RETURN_NOT_OK(ArrowBitmapReserve(valid, valid->buffer.data == NULL ? bits : count));
    if (valid->size_bits == 0) ArrowBitmapAppendUnsafe(valid, 1, array->length);
    ArrowBitmapAppendUnsafe(valid, 0, count);
    if (is_list(type) || type == LT_COLUMN_STR) {
        NANOARROW_RETURN_NOT_OK(ArrowBufferReserve(cells, count * (int64_t)sizeof(int32_t)));
        int32_t *at = (int32_t *)cells->data + array->length;
        for (int64_t i = 1; i <= count; i++) at[i] = *at;
        cells->size_bytes += count * (int64_t)sizeof(int32_t);
    } else {
        int64_t more = width > 0 ? count * width : (bits + 7) / 8 - cells->size_bytes;
        NANOARROW_RETURN_NOT_OK(ArrowBufferAppendFill(cells, 0, more));
    }
    array->null_count += count;
    array->length += count;
    return NANOARROW_OK;
}

/* ---- a column ---- */

/* Freed by nanoarrow, whose own memory is malloc's, too. Large ones are not touched where nobody writes. */
static void *new_buffer(struct lt_build *build, int64_t number, int64_t bytes) {
    struct ArrowBuffer *buffer = ArrowArrayBuffer(build->array, number);
    if (build->failed == NANOARROW_OK) buffer->data = calloc(1, (size_t)bytes + 1);
    if (build->failed == NANOARROW_OK && buffer->data == NULL) build->failed = ENOMEM;
    if (build->failed == NANOARROW_OK) buffer->size_bytes = buffer->capacity_bytes = bytes;
    return buffer->data;
}

static int make_array(struct lt_build *build, enum lt_column_type type) {
    enum ArrowType element = element_types[type].storage;
    if (!is_list(type)) return ArrowArrayInitFromType(build->array, element);
    NANOARROW_RETURN_NOT_OK(ArrowArrayInitFromType(build->array, NANOARROW_TYPE_LIST));
    NANOARROW_RETURN_NOT_OK(ArrowArrayAllocateChildren(build->array, 1));
    NANOARROW_RETURN_NOT_OK(ArrowArrayInitFromType(build->array->children[0], element));
    return ArrowArrayStartAppending(build->array->children[0]);
}

/* The column at hand has got all of its cells. */
static void end_column(struct lt_build *build) {
    struct ArrowArray *array = build->array;
    if (array == NULL) return;
    if (build->row != build->rows) TRY(build, EINVAL);
    struct ArrowBitmap *valid = ArrowArrayValidityBitmap(array);
    valid->size_bits = build->rows;
    if (build->nulls == 0) ArrowBitmapReset(valid);
    array->length = build->rows;
    array->null_count = build->nulls;
    build->array = NULL;
}

void lt_build_given(struct lt_build *build, const char *name, enum lt_column_type type, struct ArrowArray *array) {
    end_column(build);
    if (build->failed != NANOARROW_OK) return;
    build->column++;
    TRY(build, lt_column_schema(build->table->schema.children[build->column], name, type));
    ArrowArrayMove(array, build->table->array.children[build->column]);
}

void lt_build_column(struct lt_build *build, const char *name, enum lt_column_type type) {
    end_column(build);
    if (build->failed != NANOARROW_OK) return;
    build->column++;
    TRY(build, lt_column_schema(build->table->schema.children[build->column], name, type));
    build->array = build->table->array.children[build->column];
    build->type = type;
    build->row = build->nulls = 0;
    TRY(build, make_array(build, type));
    if (build->failed != NANOARROW_OK) build->array = NULL;
    if (build->array == NULL) return;
    bool starts = is_list(type) || type == LT_COLUMN_STR;
    int64_t bits = (build->rows + 7) / 8, bytes = element_types[type].bytes;
    build->valid = new_buffer(build, VALID, bits);
    build->cells = new_buffer(build, CELLS, starts ? (build->rows + 1) * (int64_t)sizeof(int32_t) : bytes == 0 ? bits : build->rows * bytes);
}

/* Is there room for `count` cells more? */
static bool may_put(struct lt_build *build, int64_t count) {
    if (build->failed == NANOARROW_OK && (build->array == NULL || count > build->rows - build->row)) build->failed = EINVAL;
    return build->failed == NANOARROW_OK;
}

/* The cell at hand, which is there. */
static int64_t next_cell(struct lt_build *build) {
    ArrowBitSet(build->valid, build->row);
    return build->row++;
}

void lt_put_nulls(struct lt_build *build, int64_t count) {
    if (!may_put(build, count)) return;
    bool starts = is_list(build->type) || build->type == LT_COLUMN_STR;
    int32_t *at = (int32_t *)build->cells + build->row;
    if (starts && *at != 0)
        for (int64_t i = 1; i <= count; i++) at[i] = *at;
    build->row += count;
    build->nulls += count;
}

void lt_put_null(struct lt_build *build) {
    lt_put_nulls(build, 1);
}

/* Room for so many bytes of text more. */
static struct ArrowBuffer *text_room(struct lt_build *build, size_t n) {
    struct ArrowBuffer *text = ArrowArrayBuffer(build->array, TEXT);
    if (n > (size_t)(INT32_MAX - text->size_bytes)) TRY(build, EOVERFLOW);
    else if ((int64_t)n > text->capacity_bytes - text->size_bytes) TRY(build, ArrowBufferReserve(text, (int64_t)n));
    return text;
}

static void add_text(struct lt_build *build, struct ArrowBuffer *text, struct lt_str s) {
    if (s.n > 0) memcpy(text->data + text->size_bytes, s.p, s.n);
    text->size_bytes += (int64_t)s.n;
    ((int32_t *)build->cells)[next_cell(build) + 1] = (int32_t)text->size_bytes;
}

void lt_put_str(struct lt_build *build, struct lt_str s) {
    if (s.p == NULL) {
        lt_put_null(build);
        return;
    }
    if (!may_put(build, 1)) return;
    struct ArrowBuffer *text = text_room(build, s.n);
    if (build->failed == NANOARROW_OK) add_text(build, text, s);
}

void lt_put_int(struct lt_build *build, int64_t value) {
    if (!may_put(build, 1)) return;
    int64_t i = next_cell(build);
    if (build->type == LT_COLUMN_BOOL) ArrowBitSetTo(build->cells, i, value != 0);
    else if (build->type == LT_COLUMN_INT32) ((int32_t *)build->cells)[i] = (int32_t)value;
    else ((int64_t *)build->cells)[i] = value;
}

void lt_put_real(struct lt_build *build, double value) {
    if (may_put(build, 1)) ((double *)build->cells)[next_cell(build)] = value;
}

void lt_list_item_str(struct lt_build *build, struct lt_str s) {
    if (!may_put(build, 1)) return;
    struct ArrowArray *child = build->array->children[0];
    if (s.p == NULL) TRY(build, ArrowArrayAppendNull(child, 1));
    else TRY(build, ArrowArrayAppendString(child, (struct ArrowStringView){s.p, (int64_t)s.n}));
}

void lt_list_item_int(struct lt_build *build, bool set, int64_t value) {
    if (!may_put(build, 1)) return;
    struct ArrowArray *child = build->array->children[0];
    if (!set) TRY(build, ArrowArrayAppendNull(child, 1));
    else TRY(build, ArrowArrayAppendInt(child, value));
}

void lt_list_end(struct lt_build *build) {
    if (!may_put(build, 1)) return;
    int64_t end = build->array->children[0]->length;
    if (end > INT32_MAX) TRY(build, EOVERFLOW);
    ((int32_t *)build->cells)[next_cell(build) + 1] = (int32_t)end;
}

/* `count` cells more that are there. Returns the first of them. */
static int64_t next_cells(struct lt_build *build, int64_t count) {
    int64_t first = build->row;
    ArrowBitsSetTo(build->valid, first, count, 1);
    build->row += count;
    return first;
}

/* The text of the cell before goes there `count` times more. */
static void text_again(struct lt_build *build, int64_t count) {
    int32_t *end = (int32_t *)build->cells + build->row;
    size_t n = (size_t)(end[0] - end[-1]), total = (size_t)count * n;
    if (n > 0 && (size_t)count > (size_t)INT32_MAX / n) TRY(build, EOVERFLOW);
    if (build->failed != NANOARROW_OK) return;
    struct ArrowBuffer *text = text_room(build, total);
    if (build->failed != NANOARROW_OK) return;
    for (size_t have = n, more; total > 0; have += more, total -= more) { /* twice as much each time */
        more = have < total ? have : total;
        memcpy(text->data + text->size_bytes, text->data + end[-1], more);
        text->size_bytes += (int64_t)more;
    }
    for (int64_t i = 1; i <= count; i++) end[i] = end[0] + (int32_t)i * (int32_t)n;
    next_cells(build, count);
}

static void number_again(struct lt_build *build, int64_t count) {
    int64_t first = next_cells(build, count);
    if (build->type == LT_COLUMN_BOOL) ArrowBitsSetTo(build->cells, first, count, ArrowBitGet(build->cells, first - 1));
    else if (element_types[build->type].bytes == sizeof(int32_t)) for (int32_t *at = (int32_t *)build->cells + first, *end = at + count; at < end; at++) *at = at[-1];
    else for (int64_t *at = (int64_t *)build->cells + first, *end = at + count; at < end; at++) *at = at[-1];
}

void lt_put_again(struct lt_build *build, int64_t count) {
    if (!may_put(build, count) || count == 0) return;
    int64_t last = build->row - 1;
    if (last >= 0 && !ArrowBitGet(build->valid, last)) lt_put_nulls(build, count);
    else if (last < 0 || (is_list(build->type) && build->array->children[0]->length > 0)) TRY(build, EINVAL);
    else if (build->type == LT_COLUMN_STR) text_again(build, count);
    else if (is_list(build->type)) next_cells(build, count); /* empty, as all before: they begin at 0 */
    else number_again(build, count);
}

int lt_build_finish(struct lt_build *build, struct litmus_error *error) {
    struct lt_table *table = build->table;
    struct ArrowError why = {{0}};
    end_column(build);
    table->array.length = build->rows;
    table->array.null_count = 0;
    TRY(build, ArrowArrayFinishBuildingDefault(&table->array, &why));
    TRY(build, ArrowArrayViewInitFromSchema(&table->view, &table->schema, &why));
    TRY(build, ArrowArrayViewSetArray(&table->view, &table->array, &why));
    if (build->failed == NANOARROW_OK) return LITMUS_OK;
    int code = build->failed == ENOMEM ? lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for %lld rows", (long long)build->rows)
                                       : lt_fail(error, LITMUS_EINVAL, build->failed, "cannot build the rows: %s", why.message);
    lt_table_release(table);
    return code;
}
