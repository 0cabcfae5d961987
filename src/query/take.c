/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables from tables: some rows, some columns. Types that we do not write are taken along as far as
 * nanoarrow can append them; of an exotic one the cells read NULL.
 */
#include "query/query_internal.h"

static int take_cell(struct ArrowArray *out, const struct ArrowArrayView *in, int64_t row);

static int take_children(struct ArrowArray *out, const struct ArrowArrayView *in, int64_t row) {
    if (in->storage_type == NANOARROW_TYPE_STRUCT) {
        for (int64_t i = 0; i < in->n_children; i++) NANOARROW_RETURN_NOT_OK(take_cell(out->children[i], in->children[i], row + in->offset));
        return ArrowArrayFinishElement(out);
    }
    int64_t from = ArrowArrayViewListChildOffset(in, row), to = ArrowArrayViewListChildOffset(in, row + 1);
    for (int64_t i = from; i < to; i++) NANOARROW_RETURN_NOT_OK(take_cell(out->children[0], in->children[0], i));
    return ArrowArrayFinishElement(out);
}

static int take_cell(struct ArrowArray *out, const struct ArrowArrayView *in, int64_t row) {
    if (ArrowArrayViewIsNull(in, row)) return ArrowArrayAppendNull(out, 1);
    switch (in->storage_type) {
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_LARGE_STRING:
    case NANOARROW_TYPE_BINARY:
    case NANOARROW_TYPE_LARGE_BINARY:
    case NANOARROW_TYPE_FIXED_SIZE_BINARY: return ArrowArrayAppendBytes(out, ArrowArrayViewGetBytesUnsafe(in, row));
    case NANOARROW_TYPE_BOOL:
    case NANOARROW_TYPE_INT8:
    case NANOARROW_TYPE_INT16:
    case NANOARROW_TYPE_INT32:
    case NANOARROW_TYPE_INT64:
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_UINT16:
    case NANOARROW_TYPE_UINT32: return ArrowArrayAppendInt(out, ArrowArrayViewGetIntUnsafe(in, row));
    case NANOARROW_TYPE_UINT64: return ArrowArrayAppendUInt(out, ArrowArrayViewGetUIntUnsafe(in, row));
    case NANOARROW_TYPE_HALF_FLOAT:
    case NANOARROW_TYPE_FLOAT:
    case NANOARROW_TYPE_DOUBLE: return ArrowArrayAppendDouble(out, ArrowArrayViewGetDoubleUnsafe(in, row));
    case NANOARROW_TYPE_LIST:
    case NANOARROW_TYPE_LARGE_LIST:
    case NANOARROW_TYPE_STRUCT: return take_children(out, in, row);
    default: return ArrowArrayAppendNull(out, 1);
    }
}

static int take_column(const struct lt_table *from, int64_t column, const int64_t *rows, int64_t count, struct ArrowSchema *schema,
                       struct ArrowArray *array) {
    NANOARROW_RETURN_NOT_OK(ArrowSchemaDeepCopy(from->schema.children[column], schema));
    NANOARROW_RETURN_NOT_OK(ArrowArrayInitFromSchema(array, schema, NULL));
    NANOARROW_RETURN_NOT_OK(ArrowArrayStartAppending(array));
    for (int64_t i = 0; i < count; i++) NANOARROW_RETURN_NOT_OK(take_cell(array, from->view.children[column], rows[i]));
    return ArrowArrayFinishBuildingDefault(array, NULL);
}

static int text_column(struct lt_str text, int64_t count, const char *name, struct ArrowSchema *schema, struct ArrowArray *array) {
    ArrowSchemaInit(schema);
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetType(schema, NANOARROW_TYPE_STRING));
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(schema, name));
    NANOARROW_RETURN_NOT_OK(ArrowArrayInitFromSchema(array, schema, NULL));
    NANOARROW_RETURN_NOT_OK(ArrowArrayStartAppending(array));
    if (text.p == NULL) NANOARROW_RETURN_NOT_OK(ArrowArrayAppendNull(array, count));
    for (int64_t i = 0; text.p != NULL && i < count; i++)
        NANOARROW_RETURN_NOT_OK(ArrowArrayAppendString(array, (struct ArrowStringView){text.p, (int64_t)text.n}));
    return ArrowArrayFinishBuildingDefault(array, NULL);
}

static int begin(struct lt_table *out, int64_t columns) {
    lt_table_init(out);
    ArrowSchemaInit(&out->schema);
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetFormat(&out->schema, "+s"));
    NANOARROW_RETURN_NOT_OK(ArrowSchemaAllocateChildren(&out->schema, columns));
    NANOARROW_RETURN_NOT_OK(ArrowArrayInitFromType(&out->array, NANOARROW_TYPE_STRUCT));
    return ArrowArrayAllocateChildren(&out->array, columns);
}

static int finish(struct lt_table *out, int64_t rows) {
    out->array.length = rows;
    out->array.null_count = 0;
    NANOARROW_RETURN_NOT_OK(ArrowArrayFinishBuilding(&out->array, NANOARROW_VALIDATION_LEVEL_NONE, NULL));
    NANOARROW_RETURN_NOT_OK(ArrowArrayViewInitFromSchema(&out->view, &out->schema, NULL));
    return ArrowArrayViewSetArray(&out->view, &out->array, NULL);
}

static int fail(int rc, struct lt_table *out, struct litmus_error *error) {
    lt_table_release(out);
    return lt_fail(error, rc == ENOMEM ? LITMUS_ENOMEM : LITMUS_EDAMAGED, rc, "cannot make a table of these rows");
}

static int take_all(const struct lt_table *from, const int64_t *rows, int64_t count, struct lt_str file_path, struct lt_table *out) {
    int64_t columns = lt_table_columns(from);
    NANOARROW_RETURN_NOT_OK(begin(out, columns + 1));
    for (int64_t i = 0; i < columns; i++)
        NANOARROW_RETURN_NOT_OK(take_column(from, i, rows, count, out->schema.children[i], out->array.children[i]));
    NANOARROW_RETURN_NOT_OK(text_column(file_path, count, "file_path", out->schema.children[columns], out->array.children[columns]));
    return finish(out, count);
}

int lt_table_take(const struct lt_table *from, const int64_t *rows, int64_t count, struct lt_str file_path, struct lt_table *out,
                  struct litmus_error *error) {
    int rc = take_all(from, rows, count, file_path, out);
    return rc == NANOARROW_OK ? LITMUS_OK : fail(rc, out, error);
}
