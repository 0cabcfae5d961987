/* SPDX-License-Identifier: Apache-2.0 */
#include "materialize/build.h"

static const enum ArrowType element_types[] = {
    [LT_COLUMN_STR] = NANOARROW_TYPE_STRING, [LT_COLUMN_TIME] = NANOARROW_TYPE_TIMESTAMP, [LT_COLUMN_INT] = NANOARROW_TYPE_INT64,
    [LT_COLUMN_INT32] = NANOARROW_TYPE_INT32, [LT_COLUMN_REAL] = NANOARROW_TYPE_DOUBLE,   [LT_COLUMN_BOOL] = NANOARROW_TYPE_BOOL,
    [LT_COLUMN_STRS] = NANOARROW_TYPE_STRING, [LT_COLUMN_TIMES] = NANOARROW_TYPE_TIMESTAMP, [LT_COLUMN_BOOLS] = NANOARROW_TYPE_BOOL,
};

/* Runs a nanoarrow call unless an earlier one failed. */
#define TRY(build, call)                                      \
    do {                                                      \
        if ((build)->failed == NANOARROW_OK) (build)->failed = (call); \
    } while (0)

static int set_type(struct ArrowSchema *schema, enum lt_column_type type) {
    if (element_types[type] == NANOARROW_TYPE_TIMESTAMP)
        return ArrowSchemaSetTypeDateTime(schema, NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_MICRO, "UTC");
    return ArrowSchemaSetType(schema, element_types[type]);
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
    if (type < LT_COLUMN_STRS) {
        NANOARROW_RETURN_NOT_OK(set_type(schema, type));
    } else {
        NANOARROW_RETURN_NOT_OK(ArrowSchemaSetType(schema, NANOARROW_TYPE_LIST));
        NANOARROW_RETURN_NOT_OK(set_type(schema->children[0], type));
        NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(schema->children[0], "element"));
    }
    return ArrowSchemaSetName(schema, name);
}

int lt_append_nulls(struct ArrowArray *array, enum lt_column_type type, int64_t count) {
    int64_t at_once = type == LT_COLUMN_BOOL ? 1 : count; /* nanoarrow 0.8.0 miscounts the bytes of several bits, and writes behind them */
    for (int64_t left = count; left > 0; left -= at_once) NANOARROW_RETURN_NOT_OK(ArrowArrayAppendNull(array, at_once));
    return NANOARROW_OK;
}

static void settle_nulls(struct lt_build *build) {
    TRY(build, lt_append_nulls(build->array, build->type, build->nulls));
    build->nulls = 0;
}

void lt_build_given(struct lt_build *build, const char *name, enum lt_column_type type, struct ArrowArray *array) {
    settle_nulls(build);
    if (build->failed != NANOARROW_OK) return;
    build->column++;
    TRY(build, lt_column_schema(build->table->schema.children[build->column], name, type));
    ArrowArrayMove(array, build->table->array.children[build->column]);
}

void lt_build_column(struct lt_build *build, const char *name, enum lt_column_type type) {
    settle_nulls(build);
    if (build->failed != NANOARROW_OK) return;
    build->column++;
    struct ArrowSchema *schema = build->table->schema.children[build->column];
    TRY(build, lt_column_schema(schema, name, type));
    build->array = build->table->array.children[build->column];
    build->type = type;
    TRY(build, ArrowArrayInitFromSchema(build->array, schema, NULL));
    TRY(build, ArrowArrayStartAppending(build->array));
    if (type < LT_COLUMN_STRS) TRY(build, ArrowArrayReserve(build->array, build->rows));
}

void lt_put_null(struct lt_build *build) {
    build->nulls++;
}

void lt_put_str(struct lt_build *build, struct lt_str s) {
    if (s.p == NULL) {
        lt_put_null(build);
    } else {
        settle_nulls(build);
        TRY(build, ArrowArrayAppendString(build->array, (struct ArrowStringView){s.p, (int64_t)s.n}));
    }
}

void lt_put_int(struct lt_build *build, int64_t value) {
    settle_nulls(build);
    TRY(build, ArrowArrayAppendInt(build->array, value));
}

void lt_put_real(struct lt_build *build, double value) {
    settle_nulls(build);
    TRY(build, ArrowArrayAppendDouble(build->array, value));
}

void lt_list_item_str(struct lt_build *build, struct lt_str s) {
    settle_nulls(build);
    if (build->failed != NANOARROW_OK) return;
    struct ArrowArray *child = build->array->children[0];
    if (s.p == NULL) TRY(build, ArrowArrayAppendNull(child, 1));
    else TRY(build, ArrowArrayAppendString(child, (struct ArrowStringView){s.p, (int64_t)s.n}));
}

void lt_list_item_int(struct lt_build *build, bool set, int64_t value) {
    settle_nulls(build);
    if (build->failed != NANOARROW_OK) return;
    struct ArrowArray *child = build->array->children[0];
    if (!set) TRY(build, ArrowArrayAppendNull(child, 1));
    else TRY(build, ArrowArrayAppendInt(child, value));
}

void lt_list_end(struct lt_build *build) {
    settle_nulls(build);
    TRY(build, ArrowArrayFinishElement(build->array));
}

int lt_build_finish(struct lt_build *build, struct litmus_error *error) {
    struct lt_table *table = build->table;
    struct ArrowError why = {{0}};
    settle_nulls(build);
    for (int64_t i = 0; build->failed == NANOARROW_OK && i < table->array.n_children; i++)
        TRY(build, ArrowArrayFinishBuilding(table->array.children[i], NANOARROW_VALIDATION_LEVEL_MINIMAL, &why));
    table->array.length = build->rows;
    table->array.null_count = 0;
    TRY(build, ArrowArrayFinishBuildingDefault(&table->array, &why));
    TRY(build, ArrowArrayViewInitFromSchema(&table->view, &table->schema, &why));
    TRY(build, ArrowArrayViewSetArray(&table->view, &table->array, &why));
    if (build->failed == NANOARROW_OK) return LITMUS_OK;
    int code = lt_fail(error, build->failed == ENOMEM ? LITMUS_ENOMEM : LITMUS_EINVAL, build->failed, "cannot build the rows: %s", why.message);
    lt_table_release(table);
    return code;
}
