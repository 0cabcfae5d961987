/* SPDX-License-Identifier: Apache-2.0 */
#include "materialize/stack.h"

#include "base/grow.h"

#include <stdlib.h>

/* Runs a nanoarrow call unless an earlier one failed. */
#define TRY(stack, call)                                             \
    do {                                                             \
        if ((stack)->failed == NANOARROW_OK) (stack)->failed = (call); \
    } while (0)

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

bool lt_stack_fits(const struct lt_stack *stack, const struct lt_table *table, bool *grows) {
    *grows = false;
    for (int64_t c = 0; c < lt_table_columns(table); c++) {
        enum lt_column_type type = LT_COLUMN_STR;
        uint32_t known = lt_map_get(&stack->by_name, lt_str_of(lt_table_name(table, c)), 0);
        if (known == LT_MAP_NONE) *grows = true;
        else if (!column_type_of(table->schema.children[c], &type) || stack->columns[known].type != type) return false;
    }
    return true;
}

/* ---- life ---- */

void lt_stack_init(struct lt_stack *stack) {
    *stack = (struct lt_stack){.columns = NULL};
    lt_map_init(&stack->by_name);
}

void lt_stack_release(struct lt_stack *stack) {
    for (size_t i = 0; i < stack->count; i++) {
        free(stack->columns[i].name);
        if (stack->columns[i].array.release != NULL) ArrowArrayRelease(&stack->columns[i].array);
    }
    free(stack->columns);
    lt_map_release(&stack->by_name);
    lt_stack_init(stack);
}

static void start_array(struct lt_stack *stack, struct lt_stack_column *column) {
    TRY(stack, lt_column_start(&column->array, column->type));
}

static void add_column(struct lt_stack *stack, const char *name, enum lt_column_type type) {
    struct lt_stack_column *grown = lt_grow_list(stack->columns, stack->count, &stack->capacity, sizeof *grown);
    if (grown != NULL) stack->columns = grown;
    struct lt_stack_column column = {.name = grown == NULL ? NULL : strdup(name), .type = type, .at = -1, .nulls = stack->rows};
    if (column.name == NULL || !lt_map_put(&stack->by_name, lt_str_of(column.name), 0, (uint32_t)stack->count)) {
        free(column.name);
        stack->failed = ENOMEM;
        return;
    }
    stack->columns[stack->count] = column;
    start_array(stack, &stack->columns[stack->count++]);
}

static void join_column(struct lt_stack *stack, const struct lt_table *table, int64_t c) {
    enum lt_column_type type = LT_COLUMN_STR;
    const char *name = lt_table_name(table, c);
    uint32_t known = lt_map_get(&stack->by_name, lt_str_of(name), 0);
    if (stack->failed != NANOARROW_OK || (known == LT_MAP_NONE && !column_type_of(table->schema.children[c], &type))) return;
    if (known == LT_MAP_NONE) {
        known = (uint32_t)stack->count;
        add_column(stack, name, type);
    }
    if (known < stack->count) stack->columns[known].at = c;
}

static void forget_table(struct lt_stack *stack) {
    for (size_t i = 0; i < stack->count; i++) stack->columns[i].at = -1;
}

void lt_stack_join(struct lt_stack *stack, const struct lt_table *table) {
    forget_table(stack);
    for (int64_t c = 0; c < lt_table_columns(table); c++) join_column(stack, table, c);
}

void lt_stack_join_named(struct lt_stack *stack, const struct lt_table *table, const char *const *names, size_t count) {
    forget_table(stack);
    for (size_t i = 0; i < count; i++) {
        int64_t at = lt_table_find(table, names[i]);
        if (at >= 0) join_column(stack, table, at);
    }
}

void lt_stack_join_text(struct lt_stack *stack, const char *name) {
    if (stack->failed == NANOARROW_OK && lt_map_get(&stack->by_name, lt_str_of(name), 0) == LT_MAP_NONE) add_column(stack, name, LT_COLUMN_STR);
}

/* ---- rows ---- */

static void append_bits(struct ArrowBitmap *own, const uint8_t *bits, int64_t start, int64_t count) {
    int8_t some[256];
    for (int64_t i = 0, n; i < count; i += n) {
        n = count - i < (int64_t)sizeof some ? count - i : (int64_t)sizeof some;
        ArrowBitsUnpackInt8(bits, start + i, n, some);
        ArrowBitmapAppendInt8Unsafe(own, some, n);
    }
}

static int add_validity(struct ArrowArray *array, const struct ArrowArrayView *view, int64_t from, int64_t count) {
    const uint8_t *bits = view->buffer_views[0].data.as_uint8;
    struct ArrowBitmap *own = ArrowArrayValidityBitmap(array);
    int64_t start = view->offset + from, nulls = bits == NULL ? 0 : count - ArrowBitCountSet(bits, start, count);
    if (nulls > 0 && own->buffer.data == NULL) {
        NANOARROW_RETURN_NOT_OK(ArrowBitmapReserve(own, array->length + count));
        ArrowBitmapAppendUnsafe(own, 1, array->length);
    }
    if (own->buffer.data == NULL) return NANOARROW_OK;
    NANOARROW_RETURN_NOT_OK(ArrowBitmapReserve(own, count));
    if (nulls == 0 || nulls == count) ArrowBitmapAppendUnsafe(own, nulls == 0, count);
    else append_bits(own, bits, start, count);
    array->null_count += nulls;
    return NANOARROW_OK;
}

static int add_bits(struct ArrowArray *array, const struct ArrowArrayView *view, int64_t from, int64_t count) {
    for (int64_t i = from; i < from + count; i++) {
        if (ArrowArrayViewIsNull(view, i)) NANOARROW_RETURN_NOT_OK(ArrowArrayAppendNull(array, 1));
        else NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(array, ArrowArrayViewGetIntUnsafe(view, i)));
    }
    return NANOARROW_OK;
}

/* Offsets of texts or lists, moved to where the copies will stand. `items`: how many are there already. */
static int add_offsets(struct ArrowArray *array, const struct ArrowArrayView *view, int64_t from, int64_t count, int64_t items) {
    const int32_t *offsets = view->buffer_views[1].data.as_int32 + view->offset + from;
    struct ArrowBuffer *own = ArrowArrayBuffer(array, 1);
    if (items + offsets[count] - offsets[0] > INT32_MAX) return EOVERFLOW;
    NANOARROW_RETURN_NOT_OK(ArrowBufferReserve(own, count * (int64_t)sizeof(int32_t)));
    int32_t *to = (int32_t *)(own->data + own->size_bytes), moved = (int32_t)items - offsets[0];
    for (int64_t i = 0; i < count; i++) to[i] = offsets[i + 1] + moved;
    own->size_bytes += count * (int64_t)sizeof(int32_t);
    return NANOARROW_OK;
}

static int add_cells(struct ArrowArray *array, const struct ArrowArrayView *view, int64_t from, int64_t count) {
    if (count == 0) return NANOARROW_OK;
    if (view->storage_type == NANOARROW_TYPE_BOOL) return add_bits(array, view, from, count);
    NANOARROW_RETURN_NOT_OK(add_validity(array, view, from, count));
    int64_t start = view->offset + from;
    const int32_t *offsets = view->buffer_views[1].data.as_int32 + start;
    if (view->storage_type == NANOARROW_TYPE_LIST) {
        NANOARROW_RETURN_NOT_OK(add_offsets(array, view, from, count, array->children[0]->length));
        NANOARROW_RETURN_NOT_OK(add_cells(array->children[0], view->children[0], offsets[0], offsets[count] - offsets[0]));
    } else if (view->storage_type == NANOARROW_TYPE_STRING) {
        struct ArrowBuffer *data = ArrowArrayBuffer(array, 2);
        NANOARROW_RETURN_NOT_OK(add_offsets(array, view, from, count, data->size_bytes));
        if (offsets[count] > offsets[0])
            NANOARROW_RETURN_NOT_OK(ArrowBufferAppend(data, view->buffer_views[2].data.as_uint8 + offsets[0], offsets[count] - offsets[0]));
    } else {
        int64_t width = view->layout.element_size_bits[1] / 8;
        NANOARROW_RETURN_NOT_OK(ArrowBufferAppend(ArrowArrayBuffer(array, 1), view->buffer_views[1].data.as_uint8 + start * width, count * width));
    }
    array->length += count;
    return NANOARROW_OK;
}

static bool has_text(const struct lt_stack_column *column) {
    return column->type == LT_COLUMN_STR;
}

/* The next rows are mostly as many as those before: a buffer that doubles as it grows is copied again and again. */
static void make_room(struct lt_stack *stack, struct lt_stack_column *column) {
    TRY(stack, ArrowBufferReserve(ArrowArrayBuffer(&column->array, 1), column->cells));
    if (has_text(column)) TRY(stack, ArrowBufferReserve(ArrowArrayBuffer(&column->array, 2), column->text));
}

static void note_room(struct lt_stack_column *column) {
    column->cells = ArrowArrayBuffer(&column->array, 1)->size_bytes;
    if (has_text(column)) column->text = ArrowArrayBuffer(&column->array, 2)->size_bytes;
}

static void settle_nulls(struct lt_stack *stack, struct lt_stack_column *column) {
    if (column->array.length == 0) make_room(stack, column);
    TRY(stack, lt_column_append_nulls(&column->array, column->type, column->nulls));
    column->nulls = 0;
}

static void add_word(struct lt_stack *stack, struct lt_stack_column *column, struct lt_str word, int64_t count) {
    settle_nulls(stack, column);
    for (int64_t i = 0; i < count; i++) TRY(stack, ArrowArrayAppendString(&column->array, (struct ArrowStringView){word.p, (int64_t)word.n}));
}

static void add_of_column(struct lt_stack *stack, struct lt_stack_column *column, const struct lt_table *table, int64_t from, int64_t to) {
    /* Most columns of most files are NULL all the way down. */
    if (column->at < 0 || table->array.children[column->at]->null_count == lt_table_rows(table)) {
        column->nulls += to - from;
        return;
    }
    settle_nulls(stack, column);
    TRY(stack, add_cells(&column->array, table->view.children[column->at], from, to - from));
}

void lt_stack_add_with(struct lt_stack *stack, const struct lt_table *table, int64_t from, int64_t to, const struct lt_stack_word *words, size_t count) {
    for (size_t i = 0; i < stack->count && stack->failed == NANOARROW_OK; i++) {
        struct lt_stack_column *column = &stack->columns[i];
        int64_t before = has_text(column) ? ArrowArrayBuffer(&column->array, 2)->size_bytes : 0;
        size_t w = 0;
        while (w < count && strcmp(words[w].column, column->name) != 0) w++;
        if (w < count) add_word(stack, column, words[w].word, to - from);
        else add_of_column(stack, column, table, from, to);
        if (has_text(column)) stack->bytes += ArrowArrayBuffer(&column->array, 2)->size_bytes - before;
    }
    stack->rows += to - from;
}

void lt_stack_add(struct lt_stack *stack, const struct lt_table *table, int64_t from, int64_t to) {
    lt_stack_add_with(stack, table, from, to, NULL, 0);
}

int lt_stack_take(struct lt_stack *stack, struct lt_table *out, struct litmus_error *error) {
    struct lt_build build;
    if (stack->failed != NANOARROW_OK) {
        lt_table_init(out);
        return lt_fail(error, stack->failed == ENOMEM ? LITMUS_ENOMEM : LITMUS_EINVAL, stack->failed, "%lld rows cannot be put one below the other: %s",
                       (long long)stack->rows, stack->failed == ENOMEM ? "out of memory" : "a column holds too much text");
    }
    lt_build_start(&build, out, (int64_t)stack->count, stack->rows);
    for (size_t i = 0; i < stack->count; i++) {
        struct lt_stack_column *column = &stack->columns[i];
        settle_nulls(stack, column);
        note_room(column);
        lt_build_given(&build, column->name, column->type, &column->array);
        if (column->array.release == NULL) start_array(stack, column);
    }
    stack->rows = stack->bytes = 0;
    return lt_build_finish(&build, error);
}

int lt_stack_write(struct lt_stack *stack, struct lt_parquet_writer **writer, struct litmus_error *error) {
    struct lt_table rows;
    if (stack->rows == 0) return LITMUS_OK;
    int code = lt_stack_take(stack, &rows, error);
    if (code == LITMUS_OK && *writer == NULL) code = lt_parquet_writer_new(&rows, writer, error);
    if (code == LITMUS_OK) code = lt_parquet_writer_add(*writer, &rows, NULL, error);
    lt_table_release(&rows);
    return code;
}
