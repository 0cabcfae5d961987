/* SPDX-License-Identifier: Apache-2.0 */
#include "materialize/stack.h"

#include "materialize/build.h"

#include <stdlib.h>

static bool column_type_of(const struct ArrowSchema *schema, enum lt_column_type *type) {
    const char *f = schema->format, *element = schema->n_children == 1 ? schema->children[0]->format : "";
    if (strcmp(f, "u") == 0) *type = LT_COLUMN_STR;
    else if (strncmp(f, "tsu:", 4) == 0) *type = LT_COLUMN_TIME;
    else if (strcmp(f, "l") == 0) *type = LT_COLUMN_INT;
    else if (strcmp(f, "i") == 0) *type = LT_COLUMN_INT32;
    else if (strcmp(f, "g") == 0) *type = LT_COLUMN_REAL;
    else if (strcmp(f, "b") == 0) *type = LT_COLUMN_BOOL;
    else if (strcmp(f, "+l") == 0 && strcmp(element, "u") == 0) *type = LT_COLUMN_STRS;
    else if (strcmp(f, "+l") == 0 && strncmp(element, "tsu:", 4) == 0) *type = LT_COLUMN_TIMES;
    else if (strcmp(f, "+l") == 0 && strcmp(element, "b") == 0) *type = LT_COLUMN_BOOLS;
    else return false;
    return true;
}

bool lt_table_stackable(const struct lt_table *table) {
    enum lt_column_type type;
    for (int64_t c = 0; c < lt_table_columns(table); c++)
        if (!column_type_of(table->schema.children[c], &type)) return false;
    return true;
}

/* Files of one version have the same columns in the same places, but for the dynamic ones. */
static int64_t find_near(const struct lt_table *table, const char *name, int64_t place) {
    if (place < lt_table_columns(table) && strcmp(lt_table_name(table, place), name) == 0) return place;
    return lt_table_find(table, name);
}

bool lt_table_join(struct lt_map *columns, const struct lt_table *table) {
    enum lt_column_type type = LT_COLUMN_STR;
    for (int64_t c = 0; c < lt_table_columns(table); c++) {
        uint32_t known = lt_map_get(columns, lt_str_of(lt_table_name(table, c)), 0);
        if (known != LT_MAP_NONE && (!column_type_of(table->schema.children[c], &type) || known != (uint32_t)type)) return false;
    }
    bool ok = true;
    for (int64_t c = 0; ok && c < lt_table_columns(table); c++) {
        struct lt_str name = lt_str_of(lt_table_name(table, c));
        if (lt_map_get(columns, name, 0) != LT_MAP_NONE) continue;
        ok = column_type_of(table->schema.children[c], &type) && lt_map_put(columns, name, 0, (uint32_t)type);
    }
    return ok;
}

static void copy_list(struct lt_build *build, enum lt_column_type type, const struct ArrowArrayView *view, int64_t row) {
    const struct ArrowArrayView *items = view->children[0];
    for (int64_t i = ArrowArrayViewListChildOffset(view, row); i < ArrowArrayViewListChildOffset(view, row + 1); i++) {
        bool set = !ArrowArrayViewIsNull(items, i);
        if (type != LT_COLUMN_STRS) {
            lt_list_item_int(build, set, set ? ArrowArrayViewGetIntUnsafe(items, i) : 0);
        } else {
            struct ArrowStringView s = ArrowArrayViewGetStringUnsafe(items, i);
            lt_list_item_str(build, set ? (struct lt_str){s.size_bytes > 0 ? s.data : "", (size_t)s.size_bytes} : LT_STR_NULL);
        }
    }
    lt_list_end(build);
}

static void copy_cell(struct lt_build *build, enum lt_column_type type, const struct lt_table *from, int64_t column, int64_t row) {
    int64_t whole = 0;
    double real = 0;
    if (lt_table_is_null(from, column, row)) lt_put_null(build);
    else if (type >= LT_COLUMN_STRS) copy_list(build, type, from->view.children[column], row);
    else if (type == LT_COLUMN_STR) lt_put_str(build, lt_table_str(from, column, row));
    else if (type == LT_COLUMN_REAL && lt_table_real(from, column, row, &real)) lt_put_real(build, real);
    else if (lt_table_int(from, column, row, &whole)) lt_put_int(build, whole);
    else lt_put_null(build);
}

/* Most columns of most files are NULL all the way down. */
static bool is_void(const struct lt_table *table, int64_t column) {
    return column < 0 || table->array.children[column]->null_count == lt_table_rows(table);
}

static void copy_column(struct lt_build *build, enum lt_column_type type, const struct lt_table *from, int64_t column) {
    int64_t rows = lt_table_rows(from);
    if (is_void(from, column)) lt_put_nulls(build, rows);
    else
        for (int64_t row = 0; row < rows; row++) copy_cell(build, type, from, column, row);
}

/* Where each column first occurs. */
struct origin {
    const struct lt_table *table;
    int64_t column;
};

static struct origin *find_columns(const struct lt_table *tables, size_t count, int64_t *columns) {
    struct lt_map names;
    int64_t most = 0, n = 0;
    for (size_t t = 0; t < count; t++) most += lt_table_columns(&tables[t]);
    struct origin *found = calloc((size_t)most + 1, sizeof *found);
    bool ok = found != NULL;
    lt_map_init(&names);
    for (size_t t = 0; ok && t < count; t++)
        for (int64_t c = 0; ok && c < lt_table_columns(&tables[t]); c++) {
            struct lt_str name = lt_str_of(lt_table_name(&tables[t], c));
            if (lt_map_get(&names, name, 0) != LT_MAP_NONE) continue;
            ok = lt_map_put(&names, name, 0, 1);
            found[n++] = (struct origin){&tables[t], c};
        }
    lt_map_release(&names);
    *columns = n;
    if (ok) return found;
    free(found);
    return NULL;
}

int lt_table_stack(const struct lt_table *tables, size_t count, struct lt_table *out, struct litmus_error *error) {
    int64_t rows = 0, columns = 0;
    struct origin *origins = find_columns(tables, count, &columns);
    if (origins == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for the rows of %zu tables", count);
    for (size_t t = 0; t < count; t++) rows += lt_table_rows(&tables[t]);
    struct lt_build build;
    lt_build_start(&build, out, columns, rows);
    for (int64_t c = 0; c < columns; c++) {
        enum lt_column_type type = LT_COLUMN_STR;
        const char *name = lt_table_name(origins[c].table, origins[c].column);
        (void)column_type_of(origins[c].table->schema.children[origins[c].column], &type);
        lt_build_column(&build, name, type);
        for (size_t t = 0; t < count; t++) copy_column(&build, type, &tables[t], find_near(&tables[t], name, c));
    }
    free(origins);
    return lt_build_finish(&build, error);
}
