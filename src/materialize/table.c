/* SPDX-License-Identifier: Apache-2.0 */
#include "materialize/table.h"

#include "base/clock.h"
#include "base/json_text.h"

#include <math.h>

void lt_table_init(struct lt_table *table) {
    memset(table, 0, sizeof *table);
}

void lt_table_release(struct lt_table *table) {
    ArrowArrayViewReset(&table->view);
    if (table->array.release != NULL) ArrowArrayRelease(&table->array);
    if (table->schema.release != NULL) ArrowSchemaRelease(&table->schema);
    lt_table_init(table);
}

int64_t lt_table_rows(const struct lt_table *table) {
    return table->array.length;
}

int64_t lt_table_columns(const struct lt_table *table) {
    return table->array.n_children;
}

const char *lt_table_name(const struct lt_table *table, int64_t column) {
    const char *name = table->schema.children[column]->name;
    return name == NULL ? "" : name;
}

int64_t lt_table_find(const struct lt_table *table, const char *name) {
    for (int64_t i = 0; i < table->array.n_children; i++)
        if (strcmp(lt_table_name(table, i), name) == 0) return i;
    return -1;
}

static bool wanted(const char *name, const char *const *columns, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(name == NULL ? "" : name, columns[i]) == 0) return true;
    return false;
}

/* The kept columns move to a table of their own; what is left goes with the old one. A child may not
 * just be cut off its parent: only the parent's owner knows how to free it. */
static int move_columns(struct lt_table *from, struct lt_table *to, const char *const *columns, size_t count) {
    int64_t kept = 0, at = 0;
    for (int64_t i = 0; i < from->schema.n_children; i++) kept += wanted(from->schema.children[i]->name, columns, count);
    ArrowSchemaInit(&to->schema);
    int rc = ArrowSchemaSetTypeStruct(&to->schema, kept);
    if (rc == NANOARROW_OK) rc = ArrowArrayInitFromType(&to->array, NANOARROW_TYPE_STRUCT);
    if (rc == NANOARROW_OK) rc = ArrowArrayAllocateChildren(&to->array, kept);
    for (int64_t i = 0; rc == NANOARROW_OK && i < from->schema.n_children; i++) {
        if (!wanted(from->schema.children[i]->name, columns, count)) continue;
        if (to->schema.children[at]->release != NULL) ArrowSchemaRelease(to->schema.children[at]);
        ArrowSchemaMove(from->schema.children[i], to->schema.children[at]);
        ArrowArrayMove(from->array.children[i], to->array.children[at]);
        ArrowSchemaInit(from->schema.children[i]); /* so that it has a name to compare and a release to call */
        at++;
    }
    to->array.length = from->array.length;
    to->array.null_count = 0;
    return rc;
}

int lt_table_keep(struct lt_table *table, const char *const *columns, size_t column_count, struct litmus_error *error) {
    struct lt_table kept;
    lt_table_init(&kept);
    int rc = move_columns(table, &kept, columns, column_count);
    lt_table_release(table);
    *table = kept;
    if (rc == NANOARROW_OK) rc = ArrowArrayFinishBuilding(&table->array, NANOARROW_VALIDATION_LEVEL_NONE, NULL);
    if (rc == NANOARROW_OK) rc = ArrowArrayViewInitFromSchema(&table->view, &table->schema, NULL);
    if (rc == NANOARROW_OK) rc = ArrowArrayViewSetArray(&table->view, &table->array, NULL);
    if (rc == NANOARROW_OK) return LITMUS_OK;
    lt_table_release(table);
    return lt_fail(error, LITMUS_ENOMEM, rc, "out of memory choosing columns");
}

void lt_table_spend(struct lt_table *table, int64_t column, const char *const *columns, size_t column_count) {
    struct ArrowArray *array = table->array.children[column];
    if (wanted(lt_table_name(table, column), columns, column_count)) return;
    if (array->release != NULL) ArrowArrayRelease(array);
    ArrowArrayViewReset(table->view.children[column]); /* no storage: no reader takes it for cells */
}

static const struct ArrowArrayView *cell_column(const struct lt_table *table, int64_t column, int64_t row) {
    if (column < 0 || column >= table->array.n_children || row < 0 || row >= table->array.length) return NULL;
    return table->view.children[column];
}

bool lt_table_is_null(const struct lt_table *table, int64_t column, int64_t row) {
    const struct ArrowArrayView *view = cell_column(table, column, row);
    return view == NULL || ArrowArrayViewIsNull(view, row);
}

static bool is_text(const struct ArrowArrayView *view) {
    return view->storage_type == NANOARROW_TYPE_STRING || view->storage_type == NANOARROW_TYPE_LARGE_STRING;
}

struct lt_str lt_table_str(const struct lt_table *table, int64_t column, int64_t row) {
    const struct ArrowArrayView *view = cell_column(table, column, row);
    if (view == NULL || !is_text(view) || ArrowArrayViewIsNull(view, row)) return LT_STR_NULL;
    struct ArrowStringView s = ArrowArrayViewGetStringUnsafe(view, row);
    return (struct lt_str){s.size_bytes == 0 ? "" : s.data, (size_t)s.size_bytes};
}

static bool is_whole(enum ArrowType type) {
    return (type >= NANOARROW_TYPE_BOOL && type <= NANOARROW_TYPE_INT64) && type != NANOARROW_TYPE_UINT64;
}

bool lt_table_int(const struct lt_table *table, int64_t column, int64_t row, int64_t *value) {
    const struct ArrowArrayView *view = cell_column(table, column, row);
    if (view == NULL || !is_whole(view->storage_type) || ArrowArrayViewIsNull(view, row)) return false;
    *value = ArrowArrayViewGetIntUnsafe(view, row);
    return true;
}

bool lt_table_real(const struct lt_table *table, int64_t column, int64_t row, double *value) {
    const struct ArrowArrayView *view = cell_column(table, column, row);
    if (view == NULL || ArrowArrayViewIsNull(view, row)) return false;
    enum ArrowType type = view->storage_type;
    if (type != NANOARROW_TYPE_FLOAT && type != NANOARROW_TYPE_DOUBLE && !is_whole(type)) return false;
    *value = ArrowArrayViewGetDoubleUnsafe(view, row);
    return true;
}

static void add_json_real(struct lt_buf *out, double value) {
    char text[LT_REAL_BYTES];
    lt_buf_add_text(out, isfinite(value) ? lt_real_text(value, text) : "null");
}

static void add_json_value(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row, struct lt_buf *out);

static void add_json_list(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row, struct lt_buf *out) {
    int64_t from = ArrowArrayViewListChildOffset(view, row), to = ArrowArrayViewListChildOffset(view, row + 1);
    lt_buf_add_char(out, '[');
    for (int64_t i = from; i < to; i++) {
        if (i > from) lt_buf_add_char(out, ',');
        add_json_value(schema->children[0], view->children[0], i, out);
    }
    lt_buf_add_char(out, ']');
}

static void add_json_value(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row, struct lt_buf *out) {
    char text[LT_ISO_BYTES];
    if (ArrowArrayViewIsNull(view, row)) {
        lt_buf_add_text(out, "null");
    } else if (is_text(view)) {
        struct ArrowStringView s = ArrowArrayViewGetStringUnsafe(view, row);
        lt_json_str(out, (struct lt_str){s.data, (size_t)s.size_bytes});
    } else if (view->storage_type == NANOARROW_TYPE_BOOL) {
        lt_buf_add_text(out, ArrowArrayViewGetIntUnsafe(view, row) ? "true" : "false");
    } else if (schema->format != NULL && strncmp(schema->format, "tsu", 3) == 0) {
        lt_time_iso(ArrowArrayViewGetIntUnsafe(view, row), text);
        lt_buf_addf(out, "\"%s\"", text);
    } else if (view->storage_type == NANOARROW_TYPE_FLOAT || view->storage_type == NANOARROW_TYPE_DOUBLE) {
        add_json_real(out, ArrowArrayViewGetDoubleUnsafe(view, row));
    } else if (view->storage_type == NANOARROW_TYPE_UINT64) {
        lt_buf_addf(out, "%llu", (unsigned long long)ArrowArrayViewGetUIntUnsafe(view, row));
    } else if (is_whole(view->storage_type)) {
        lt_buf_addf(out, "%lld", (long long)ArrowArrayViewGetIntUnsafe(view, row));
    } else if (view->storage_type == NANOARROW_TYPE_LIST) {
        add_json_list(schema, view, row, out);
    } else {
        lt_buf_add_text(out, "null"); /* a foreign file's exotic type */
    }
}

void lt_table_json(const struct lt_table *table, int64_t column, int64_t row, struct lt_buf *out) {
    const struct ArrowArrayView *view = cell_column(table, column, row);
    if (view == NULL) lt_buf_add_text(out, "null");
    else add_json_value(table->schema.children[column], view, row, out);
}
