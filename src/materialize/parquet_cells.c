/* SPDX-License-Identifier: Apache-2.0
 *
 * Parquet says of each slot of a column how much of its path is there (the definition level), and of lists which slots begin one
 * (repetition level 0). A column here has one optional value (levels 0 and 1), or an optional list of optional elements: 0 no list,
 * 1 an empty one, 2 an element that is NULL, 3 a value. Values stand densely, without those that are NULL.
 */
#include "materialize/parquet_cells.h"

#include "materialize/build.h"
#include "materialize/parquet_memory.h"

#include <errno.h>
#include <stdlib.h>

enum { SLOTS_MAX = 1 << 26, LIST_DEPTH = 3 };

struct scratch {
    int16_t *def, *rep;
    void *values; /* as wide as the widest kind: a byte array */
    int64_t slots;
};

static bool scratch_fits(struct scratch *s, int64_t slots) {
    if (slots <= s->slots) return true;
    free(s->def);
    free(s->rep);
    free(s->values);
    size_t n = (size_t)slots;
    *s = (struct scratch){malloc(n * sizeof *s->def), malloc(n * sizeof *s->rep), malloc(n * sizeof(carquet_byte_array_t)), slots};
    if (s->def != NULL && s->rep != NULL && s->values != NULL) return true;
    s->slots = 0;
    return false;
}

static void scratch_release(struct scratch *s) {
    free(s->def);
    free(s->rep);
    free(s->values);
}

/* ---- the columns of a file ---- */

struct field {
    const char *name;
    enum lt_column_type type;
    carquet_physical_type_t physical;
    int32_t leaf;
    int16_t depth; /* definition level of a value; LIST_DEPTH for lists */
};

static bool type_of(const carquet_schema_node_t *node, enum lt_column_type *type) {
    const carquet_logical_type_t *logical = carquet_schema_node_logical_type(node);
    carquet_logical_type_id_t id = logical == NULL ? CARQUET_LOGICAL_UNKNOWN : logical->id;
    bool plain = id == CARQUET_LOGICAL_UNKNOWN, whole = id == CARQUET_LOGICAL_INTEGER && logical->params.integer.is_signed;
    switch (carquet_schema_node_physical_type(node)) {
    case CARQUET_PHYSICAL_BYTE_ARRAY: *type = LT_COLUMN_STR; return id == CARQUET_LOGICAL_STRING;
    case CARQUET_PHYSICAL_INT32: *type = LT_COLUMN_INT32; return plain || (whole && logical->params.integer.bit_width == 32);
    case CARQUET_PHYSICAL_DOUBLE: *type = LT_COLUMN_REAL; return plain;
    case CARQUET_PHYSICAL_BOOLEAN: *type = LT_COLUMN_BOOL; return plain;
    case CARQUET_PHYSICAL_INT64:
        *type = id == CARQUET_LOGICAL_TIMESTAMP ? LT_COLUMN_TIME : LT_COLUMN_INT;
        return plain || whole || (id == CARQUET_LOGICAL_TIMESTAMP && logical->params.timestamp.unit == CARQUET_TIME_UNIT_MICROS && logical->params.timestamp.is_adjusted_to_utc);
    default: return false;
    }
}

/* name (a list, optional) / list (repeated) / element (optional, the leaf), the three of them one after the other. */
static bool is_list(const carquet_schema_t *schema, int32_t element, const char *name) {
    if (element < LIST_DEPTH) return false;
    const carquet_schema_node_t *inner = carquet_schema_get_element(schema, element - 1), *outer = carquet_schema_get_element(schema, element - 2);
    const carquet_logical_type_t *logical = carquet_schema_node_logical_type(outer);
    return carquet_schema_node_repetition(inner) == CARQUET_REPETITION_REPEATED && carquet_schema_node_repetition(outer) == CARQUET_REPETITION_OPTIONAL &&
           logical != NULL && logical->id == CARQUET_LOGICAL_LIST && carquet_schema_node_name(outer) == name;
}

static bool field_of(const carquet_schema_t *schema, int32_t element, int32_t leaf, struct field *out) {
    const carquet_schema_node_t *node = carquet_schema_get_element(schema, element);
    const char *path[LIST_DEPTH + 1];
    int32_t steps = carquet_schema_column_path(schema, leaf, path, LIST_DEPTH + 1);
    if (steps < 1 || path[0] == NULL) return false;
    *out = (struct field){.name = path[0], .physical = carquet_schema_node_physical_type(node), .leaf = leaf, .depth = carquet_schema_max_def_level(schema, leaf)};
    if (!type_of(node, &out->type)) return false;
    if (steps == 1) return carquet_schema_max_rep_level(schema, leaf) == 0;
    if (steps != LIST_DEPTH || out->depth != LIST_DEPTH || carquet_schema_max_rep_level(schema, leaf) != 1 || !is_list(schema, element, out->name)) return false;
    switch (out->type) {
    case LT_COLUMN_STR: out->type = LT_COLUMN_STRS; return true;
    case LT_COLUMN_TIME: out->type = LT_COLUMN_TIMES; return true;
    case LT_COLUMN_BOOL: out->type = LT_COLUMN_BOOLS; return true;
    default: return false;
    }
}

static bool is_wanted(const char *name, const char *const *columns, size_t column_count) {
    bool wanted = columns == NULL;
    for (size_t i = 0; !wanted && i < column_count; i++) wanted = strcmp(columns[i], name) == 0;
    return wanted;
}

/* The wanted ones, in order; -1: a column is of another kind. `out` has room for all of them, or is NULL. */
static int32_t fields_of(const carquet_schema_t *schema, const char *const *columns, size_t column_count, struct field *out) {
    int32_t leaf = 0, count = 0, elements = carquet_schema_num_elements(schema);
    for (int32_t i = 1; i < elements; i++) {
        const carquet_schema_node_t *node = carquet_schema_get_element(schema, i);
        struct field field;
        if (node == NULL) return -1;
        if (!carquet_schema_node_is_leaf(node)) continue;
        if (!field_of(schema, i, leaf++, &field)) return -1;
        if (!is_wanted(field.name, columns, column_count)) continue;
        if (out != NULL) out[count] = field;
        count++;
    }
    return count;
}

bool lt_cells_known(const carquet_schema_t *schema) {
    return fields_of(schema, NULL, 0, NULL) >= 0;
}

/* ---- columns of others ---- */

enum class { TEXT, TIME, NUMBER, BOOL, NOTHING, OTHER };

static enum class class_of(const carquet_schema_node_t *node) {
    const carquet_logical_type_t *logical = carquet_schema_node_logical_type(node);
    carquet_logical_type_id_t id = logical == NULL ? CARQUET_LOGICAL_UNKNOWN : logical->id;
    if (id == CARQUET_LOGICAL_NULL) return NOTHING;
    switch (carquet_schema_node_physical_type(node)) {
    case CARQUET_PHYSICAL_BYTE_ARRAY: return id == CARQUET_LOGICAL_STRING || id == CARQUET_LOGICAL_ENUM || id == CARQUET_LOGICAL_JSON ? TEXT : OTHER;
    case CARQUET_PHYSICAL_BOOLEAN: return BOOL;
    case CARQUET_PHYSICAL_INT96: return TIME;
    case CARQUET_PHYSICAL_INT32:
    case CARQUET_PHYSICAL_INT64:
    case CARQUET_PHYSICAL_FLOAT:
    case CARQUET_PHYSICAL_DOUBLE:
        if (id == CARQUET_LOGICAL_TIMESTAMP) return TIME;
        return id == CARQUET_LOGICAL_UNKNOWN || id == CARQUET_LOGICAL_INTEGER ? NUMBER : OTHER;
    default: return OTHER;
    }
}

static const struct declared {
    const char *name;
    enum class is;
    bool list;
} declared[] = {
#define CLASS_STR TEXT, false
#define CLASS_TIME TIME, false
#define CLASS_INT NUMBER, false
#define CLASS_INT32 NUMBER, false
#define CLASS_REAL NUMBER, false
#define CLASS_BOOL BOOL, false
#define CLASS_STRS TEXT, true
#define CLASS_TIMES TIME, true
#define COLUMN(name, type, run, step, measurement, meaning) {#name, CLASS_##type},
#include "model/columns.def"
#undef COLUMN
};
enum { DECLARED = sizeof declared / sizeof declared[0] };

/* Most files have them in the order of the table: `next` is the one behind the last. */
static const struct declared *find_declared(const char *name, size_t *next) {
    for (size_t i = 0; i < DECLARED; i++) {
        const struct declared *d = &declared[(*next + i) % DECLARED];
        if (strcmp(d->name, name) != 0) continue;
        *next = (size_t)(d - declared) + 1;
        return d;
    }
    return NULL;
}

const char *lt_cells_foreign(const carquet_schema_t *schema) {
    size_t next = 0;
    int32_t leaf = 0, elements = carquet_schema_num_elements(schema);
    for (int32_t i = 1; i < elements; i++) {
        const carquet_schema_node_t *node = carquet_schema_get_element(schema, i);
        const char *path[1];
        if (node == NULL || !carquet_schema_node_is_leaf(node)) continue;
        int32_t at = leaf++;
        const struct declared *d = carquet_schema_column_path(schema, at, path, 1) < 1 || path[0] == NULL ? NULL : find_declared(path[0], &next);
        if (d == NULL) continue;
        enum class is = class_of(node);
        bool list = carquet_schema_max_rep_level(schema, at) == 1;
        if (carquet_schema_max_rep_level(schema, at) > 1 || (is != NOTHING && (is != d->is || list != d->list))) return d->name;
    }
    return NULL;
}

/* ---- cells ---- */

/* A bit a level, eight at once: is it at least so deep? */
static int add_level_bits(struct ArrowBitmap *bits, const int16_t *def, int16_t depth, int64_t count) {
    NANOARROW_RETURN_NOT_OK(ArrowBitmapAppend(bits, 0, count));
    for (int64_t i = 0; i < count; i += 8) {
        int64_t n = count - i < 8 ? count - i : 8;
        unsigned eight = 0;
        for (int64_t k = 0; k < n; k++) eight |= (unsigned)(def[i + k] >= depth) << k;
        bits->buffer.data[i / 8] = (uint8_t)eight;
    }
    return NANOARROW_OK;
}

static int add_validity(struct ArrowArray *array, const int16_t *def, int16_t depth, int64_t slots, int64_t present) {
    array->null_count = slots - present;
    array->length = slots;
    return present == slots ? NANOARROW_OK : add_level_bits(ArrowArrayValidityBitmap(array), def, depth, slots);
}

static int add_texts(struct ArrowArray *array, const int16_t *def, int16_t depth, int64_t slots, const carquet_byte_array_t *value) {
    struct ArrowBuffer *offsets = ArrowArrayBuffer(array, 1), *data = ArrowArrayBuffer(array, 2);
    int64_t bytes = 0;
    for (int64_t i = 0, k = 0; i < slots; i++) bytes += def[i] == depth ? value[k++].length : 0;
    if (bytes > INT32_MAX) return EOVERFLOW;
    NANOARROW_RETURN_NOT_OK(ArrowBufferReserve(offsets, slots * (int64_t)sizeof(int32_t)));
    NANOARROW_RETURN_NOT_OK(ArrowBufferReserve(data, bytes));
    int32_t *ends = (int32_t *)(offsets->data + offsets->size_bytes), end = 0;
    for (int64_t i = 0; i < slots; i++) {
        if (def[i] == depth) {
            if (value->length > 0) memcpy(data->data + end, value->data, (size_t)value->length);
            end += value++->length;
        }
        ends[i] = end;
    }
    data->size_bytes = end;
    offsets->size_bytes += slots * (int64_t)sizeof(int32_t);
    return NANOARROW_OK;
}

static int add_bits(struct ArrowArray *array, const int16_t *def, int16_t depth, int64_t slots, const uint8_t *value) {
    struct ArrowBuffer *data = ArrowArrayBuffer(array, 1);
    NANOARROW_RETURN_NOT_OK(ArrowBufferAppendFill(data, 0, (slots + 7) / 8));
    for (int64_t i = 0; i < slots; i++)
        if (def[i] == depth) ArrowBitSetTo(data->data, i, *value++ != 0);
    return NANOARROW_OK;
}

static int add_numbers(struct ArrowArray *array, const int16_t *def, int16_t depth, int64_t slots, int64_t present, const uint8_t *value, int64_t width) {
    struct ArrowBuffer *data = ArrowArrayBuffer(array, 1);
    if (present == slots) return ArrowBufferAppend(data, value, slots * width);
    NANOARROW_RETURN_NOT_OK(ArrowBufferAppendFill(data, 0, slots * width));
    for (int64_t i = 0; i < slots; i++)
        if (def[i] == depth) {
            memcpy(data->data + i * width, value, (size_t)width);
            value += width;
        }
    return NANOARROW_OK;
}

/* A value a slot: of a plain column, or of the elements of all lists. */
static int add_values(struct ArrowArray *array, const struct field *f, const int16_t *def, int64_t slots, const void *values) {
    int64_t present = 0;
    for (int64_t i = 0; i < slots; i++) present += def[i] == f->depth;
    NANOARROW_RETURN_NOT_OK(add_validity(array, def, f->depth, slots, present));
    switch (f->physical) {
    case CARQUET_PHYSICAL_BYTE_ARRAY: return add_texts(array, def, f->depth, slots, values);
    case CARQUET_PHYSICAL_BOOLEAN: return add_bits(array, def, f->depth, slots, values);
    default: return add_numbers(array, def, f->depth, slots, present, values, f->physical == CARQUET_PHYSICAL_INT32 ? 4 : 8);
    }
}

/* Leaves of `def` the levels of the elements alone, and in `rep` those of the lists. */
static int add_lists(struct ArrowArray *array, const struct field *f, struct scratch *s, int64_t slots, int64_t rows) {
    struct ArrowBuffer *offsets = ArrowArrayBuffer(array, 1);
    int64_t lists = 0, nulls = 0, elements = 0;
    NANOARROW_RETURN_NOT_OK(ArrowBufferReserve(offsets, rows * (int64_t)sizeof(int32_t)));
    for (int64_t i = 0; i < slots; i++) {
        if (s->rep[i] == 0) {
            if (lists == rows) return EINVAL;
            if (lists > 0) ArrowBufferAppendUnsafe(offsets, &(int32_t){(int32_t)elements}, sizeof(int32_t));
            nulls += s->def[i] == 0;
            s->rep[lists++] = s->def[i];
        } else if (lists == 0) {
            return EINVAL;
        }
        if (s->def[i] >= LIST_DEPTH - 1) s->def[elements++] = s->def[i];
    }
    if (lists != rows) return EINVAL;
    if (lists > 0) ArrowBufferAppendUnsafe(offsets, &(int32_t){(int32_t)elements}, sizeof(int32_t));
    NANOARROW_RETURN_NOT_OK(add_level_bits(ArrowArrayValidityBitmap(array), s->rep, 1, lists));
    array->length = lists;
    array->null_count = nulls;
    return add_values(array->children[0], f, s->def, elements, s->values);
}

static bool says_null(const carquet_reader_t *reader, int32_t group, const struct field *f, int64_t rows) {
    carquet_column_statistics_t said;
    return f->type < LT_COLUMN_STRS && f->depth > 0 && carquet_reader_column_statistics(reader, group, f->leaf, &said) == CARQUET_OK && said.has_null_count &&
           said.null_count == rows && said.num_values == rows;
}

/* Gives a NANOARROW code; EINVAL: the file contradicts itself, or *why says more. */
static int read_column(carquet_reader_t *reader, int32_t group, const struct field *f, int64_t rows, struct scratch *s, struct ArrowArray *array,
                       carquet_error_t *why) {
    carquet_column_chunk_metadata_t chunk;
    unsigned long refusals = lt_parquet_refusals();
    if (says_null(reader, group, f, rows)) return lt_column_append_nulls(array, f->type, rows);
    if (carquet_reader_column_chunk_metadata(reader, group, f->leaf, &chunk) != CARQUET_OK || chunk.type != f->physical) return EINVAL;
    carquet_column_reader_t *column = carquet_reader_get_column(reader, group, f->leaf, why);
    if (column == NULL) return lt_parquet_refusals() != refusals ? ENOMEM : EINVAL;
    int64_t slots = carquet_column_remaining(column);
    int code = slots < rows || slots > SLOTS_MAX || (slots > rows && f->type < LT_COLUMN_STRS) ? EINVAL : NANOARROW_OK;
    if (code == NANOARROW_OK && !scratch_fits(s, slots + 1)) code = ENOMEM;
    if (code == NANOARROW_OK && carquet_column_read_batch_ex(column, s->values, slots, s->def, s->rep, why) != slots) code = EINVAL;
    if (code == NANOARROW_OK) code = f->type < LT_COLUMN_STRS ? add_values(array, f, s->def, slots, s->values) : add_lists(array, f, s, slots, rows);
    carquet_column_reader_free(column); /* the texts were in its pages */
    return lt_parquet_refusals() != refusals ? ENOMEM : code;
}

static int fail_reading(struct litmus_error *error, int code, const char *path, const carquet_error_t *why) {
    if (code == ENOMEM) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", path);
    return lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no readable Parquet file: %s (move it away, or run `litmus rebuild`)", path,
                   why->message[0] == '\0' ? "its pages say something else than its footer" : why->message);
}

static int64_t rows_of(const carquet_reader_t *reader, int32_t group) {
    carquet_row_group_metadata_t about;
    bool known = carquet_reader_row_group_metadata(reader, group, &about) == CARQUET_OK && about.num_rows >= 0 && about.num_rows <= SLOTS_MAX;
    return known ? about.num_rows : -1;
}

static int read_columns(carquet_reader_t *reader, int32_t group, const struct field *fields, int32_t count, const char *path, struct lt_table *out,
                        struct litmus_error *error) {
    carquet_error_t why = CARQUET_ERROR_INIT;
    struct lt_build build;
    struct scratch scratch = {.def = NULL};
    int64_t rows = rows_of(reader, group);
    int code = rows >= 0 ? NANOARROW_OK : EINVAL;
    lt_build_start(&build, out, count, rows);
    for (int32_t i = 0; code == NANOARROW_OK && i < count; i++) {
        struct ArrowArray array = {.release = NULL};
        code = lt_column_start(&array, fields[i].type);
        if (code == NANOARROW_OK) code = read_column(reader, group, &fields[i], rows, &scratch, &array, &why);
        if (code == NANOARROW_OK) lt_build_given(&build, fields[i].name, fields[i].type, &array);
        if (array.release != NULL) ArrowArrayRelease(&array);
    }
    scratch_release(&scratch);
    if (code == NANOARROW_OK) return lt_build_finish(&build, error);
    lt_table_release(out);
    return fail_reading(error, code, path, &why);
}

int lt_cells_read(carquet_reader_t *reader, int32_t group, const char *const *columns, size_t column_count, const char *path, struct lt_table *out,
                  struct litmus_error *error) {
    const carquet_schema_t *schema = carquet_reader_schema(reader);
    struct field *fields = calloc((size_t)carquet_schema_num_columns(schema) + 1, sizeof *fields);
    lt_table_init(out);
    if (fields == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", path);
    int32_t count = fields_of(schema, columns, column_count, fields);
    int code = count < 0 ? lt_fail(error, LITMUS_EINVAL, 0, "%s has a column of a type foreign to run files", path)
                         : read_columns(reader, group, fields, count, path, out, error);
    free(fields);
    return code;
}

/* ---- a file like the one before ---- */

struct lt_cells_chunk {
    enum lt_column_type type;
    carquet_compression_t codec;
    bool is_null; /* by its statistics: nobody looks at its bytes */
    int64_t from, bytes, data, values; /* data: where its first data page is, from `from` on */
};

void lt_cells_before_init(struct lt_cells_before *before) {
    *before = (struct lt_cells_before){.chunks = NULL};
    lt_table_init(&before->rows);
    lt_buf_init(&before->bytes);
}

void lt_cells_before_release(struct lt_cells_before *before) {
    lt_table_release(&before->rows);
    lt_buf_release(&before->bytes);
    free(before->chunks);
    free(before->changed);
    before->chunks = NULL;
    before->changed = NULL;
    before->same_columns = false;
}

/* bytes -1: what the file says of the column cannot be; read_column says why. */
static struct lt_cells_chunk find_chunk(const carquet_reader_t *reader, const struct field *f, int64_t rows, size_t file_bytes) {
    carquet_column_chunk_metadata_t said;
    struct lt_cells_chunk chunk = {.type = f->type, .is_null = says_null(reader, 0, f, rows), .bytes = -1};
    if (carquet_reader_column_chunk_metadata(reader, 0, f->leaf, &said) != CARQUET_OK || said.type != f->physical) return chunk;
    bool has_words = said.has_dictionary_page && said.dictionary_page_offset > 0 && said.dictionary_page_offset < said.data_page_offset;
    int64_t from = has_words ? said.dictionary_page_offset : said.data_page_offset, bytes = said.total_compressed_size;
    bool is_inside = from >= 0 && bytes >= 0 && (uint64_t)from <= file_bytes && (uint64_t)bytes <= file_bytes - (uint64_t)from;
    if (is_inside) chunk = (struct lt_cells_chunk){f->type, said.codec, chunk.is_null, from, bytes, said.data_page_offset - from, said.num_values};
    return chunk;
}

static bool is_same(const struct lt_cells_chunk *a, const struct lt_buf *a_bytes, const struct lt_cells_chunk *b, const struct lt_buf *b_bytes) {
    if (a->is_null || b->is_null) return a->is_null && b->is_null;
    return a->bytes >= 0 && a->codec == b->codec && a->bytes == b->bytes && a->data == b->data && a->values == b->values &&
           memcmp(a_bytes->p + a->from, b_bytes->p + b->from, (size_t)a->bytes) == 0;
}

/* Only then its cells may stand in the table of the one before. */
static bool has_same_columns(const struct lt_cells_before *before, const struct field *fields, int32_t count) {
    if (before->chunks == NULL || lt_table_columns(&before->rows) != count) return false;
    for (int32_t i = 0; i < count; i++)
        if (before->chunks[i].type != fields[i].type || strcmp(lt_table_name(&before->rows, i), fields[i].name) != 0) return false;
    return true;
}

static int replace_column(struct lt_table *table, int32_t column, struct ArrowArray *array) {
    NANOARROW_RETURN_NOT_OK(ArrowArrayFinishBuildingDefault(array, NULL));
    ArrowArrayRelease(table->array.children[column]);
    ArrowArrayMove(array, table->array.children[column]);
    return ArrowArrayViewSetArray(table->view.children[column], table->array.children[column], NULL);
}

static int read_changed(struct lt_table *table, carquet_reader_t *reader, const struct field *fields, const bool *changed, int32_t count, const char *path,
                        struct litmus_error *error) {
    carquet_error_t why = CARQUET_ERROR_INIT;
    struct scratch scratch = {.def = NULL};
    int64_t rows = rows_of(reader, 0);
    int code = rows >= 0 ? NANOARROW_OK : EINVAL;
    table->array.length = table->view.length = rows;
    for (int32_t i = 0; code == NANOARROW_OK && i < count; i++) {
        struct ArrowArray array = {.release = NULL};
        if (!changed[i]) continue;
        code = lt_column_start(&array, fields[i].type);
        if (code == NANOARROW_OK) code = read_column(reader, 0, &fields[i], rows, &scratch, &array, &why);
        if (code == NANOARROW_OK) code = replace_column(table, i, &array);
        if (array.release != NULL) ArrowArrayRelease(&array);
    }
    scratch_release(&scratch);
    return code == NANOARROW_OK ? LITMUS_OK : fail_reading(error, code, path, &why);
}

/* `chunks`: room for what is learnt of this file. */
static int read_next(struct lt_cells_before *before, carquet_reader_t *reader, const struct lt_buf *bytes, const struct field *fields, int32_t count,
                     bool *changed, struct lt_cells_chunk *chunks, const char *path, struct litmus_error *error) {
    int64_t rows = rows_of(reader, 0);
    bool same_rows = lt_table_rows(&before->rows) == rows;
    before->same_columns = has_same_columns(before, fields, count);
    for (int32_t i = 0; i < count; i++) {
        chunks[i] = find_chunk(reader, &fields[i], rows, bytes->n);
        changed[i] = before->same_columns && !(same_rows && is_same(&before->chunks[i], &before->bytes, &chunks[i], bytes));
    }
    if (before->same_columns) return read_changed(&before->rows, reader, fields, changed, count, path, error);
    lt_table_release(&before->rows);
    return read_columns(reader, 0, fields, count, path, &before->rows, error);
}

int lt_cells_next(struct lt_cells_before *before, carquet_reader_t *reader, struct lt_buf *bytes, const char *path, struct litmus_error *error) {
    const carquet_schema_t *schema = carquet_reader_schema(reader);
    size_t room = (size_t)carquet_schema_num_columns(schema) + 1;
    struct field *fields = calloc(room, sizeof *fields);
    struct lt_cells_chunk *chunks = calloc(room, sizeof *chunks);
    bool *changed = calloc(room, sizeof *changed);
    int32_t count = fields == NULL ? 0 : fields_of(schema, NULL, 0, fields);
    int code = LITMUS_OK;
    if (fields == NULL || chunks == NULL || changed == NULL) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", path);
    else if (count < 0) code = lt_fail(error, LITMUS_EINVAL, 0, "%s has a column of a type foreign to run files", path);
    else code = read_next(before, reader, bytes, fields, count, changed, chunks, path, error);
    free(fields);
    if (code != LITMUS_OK) {
        free(chunks);
        free(changed);
        lt_cells_before_release(before);
        return code;
    }
    free(before->chunks);
    free(before->changed);
    before->chunks = chunks;
    before->changed = changed;
    lt_buf_release(&before->bytes);
    before->bytes = *bytes;
    lt_buf_init(bytes);
    return LITMUS_OK;
}
