/* SPDX-License-Identifier: Apache-2.0
 *
 * The only file that knows the Parquet library (carquet), which takes and gives Arrow arrays.
 */
#include "materialize/parquet.h"

#include "base/io.h"
#include "materialize/stack.h"

#include <carquet/carquet.h>

#include <stdio.h>
#include <stdlib.h>

/* ---- write ---- */

static int fail_carquet(struct litmus_error *error, const carquet_error_t *why, const char *what) {
    return lt_fail(error, LITMUS_EIO, 0, "cannot %s: %s", what, why->message[0] == '\0' ? "the Parquet library gave no reason" : why->message);
}

/* The library consumes what it is given; these stand-ins are consumed in place of the table. */
static void no_release_schema(struct ArrowSchema *schema) {
    schema->release = NULL;
}
static void no_release_array(struct ArrowArray *array) {
    array->release = NULL;
}

static void lend(const struct lt_table *table, struct ArrowSchema *schema, struct ArrowArray *array) {
    *schema = table->schema;
    schema->release = no_release_schema;
    if (array != NULL) {
        *array = table->array;
        array->release = no_release_array;
    }
}

static bool wants_dictionary(const carquet_schema_t *schema, int32_t leaf) {
    carquet_physical_type_t type = carquet_schema_column_type(schema, leaf);
    return type == CARQUET_PHYSICAL_BYTE_ARRAY || type == CARQUET_PHYSICAL_INT64 || type == CARQUET_PHYSICAL_INT32;
}

/* The library's own memory writer goes through a temporary file; a memory stream keeps the disk out
 * of it until the bytes are whole. */
static carquet_writer_t *writer_new(const struct lt_table *table, FILE *stream, carquet_error_t *why) {
    struct ArrowSchema arrow;
    carquet_schema_t *schema = NULL;
    lend(table, &arrow, NULL);
    if (carquet_arrow_import_schema(&arrow, &schema, why) != CARQUET_OK) return NULL;
    carquet_writer_options_t options;
    carquet_writer_options_init(&options);
    options.compression = CARQUET_COMPRESSION_ZSTD;
    options.compression_level = 1;
    options.async_io = false;
    options.created_by = "litmus " LITMUS_VERSION;
    carquet_writer_t *writer = carquet_writer_create_file(stream, schema, &options, why);
    int32_t leaves = writer == NULL ? 0 : carquet_writer_num_columns(writer);
    for (int32_t i = 0; i < leaves; i++) {
        if (!wants_dictionary(schema, i)) continue;
        if (carquet_writer_set_column_encoding(writer, i, CARQUET_ENCODING_RLE_DICTIONARY) != CARQUET_OK) {
            carquet_writer_abort(writer);
            writer = NULL;
            break;
        }
    }
    carquet_schema_free(schema);
    return writer;
}

static int write_all(carquet_writer_t *writer, const struct lt_table *table, const struct lt_parquet_meta *meta, size_t meta_count,
                     struct litmus_error *error) {
    carquet_error_t why = CARQUET_ERROR_INIT;
    for (size_t i = 0; i < meta_count; i++) {
        if (carquet_writer_add_metadata(writer, meta[i].key, meta[i].value) != CARQUET_OK) {
            carquet_writer_abort(writer);
            return fail_carquet(error, &why, "add the file's metadata");
        }
    }
    struct ArrowSchema schema;
    struct ArrowArray array;
    lend(table, &schema, &array);
    if (carquet_writer_write_arrow(writer, &array, &schema, &why) != CARQUET_OK) {
        carquet_writer_abort(writer);
        return fail_carquet(error, &why, "encode the rows as Parquet");
    }
    if (carquet_writer_close(writer) != CARQUET_OK) return fail_carquet(error, &why, "finish the Parquet file");
    return LITMUS_OK;
}

int lt_parquet_encode(const struct lt_table *table, const struct lt_parquet_meta *meta, size_t meta_count, struct lt_buf *out,
                      struct litmus_error *error) {
    carquet_error_t why = CARQUET_ERROR_INIT;
    char *bytes = NULL;
    size_t n = 0;
    FILE *stream = open_memstream(&bytes, &n);
    if (stream == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a Parquet file");
    carquet_writer_t *writer = writer_new(table, stream, &why);
    int code = writer == NULL ? fail_carquet(error, &why, "set up the Parquet writer") : write_all(writer, table, meta, meta_count, error);
    if (fclose(stream) != 0 && code == LITMUS_OK) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a Parquet file");
    if (code == LITMUS_OK) lt_buf_add(out, bytes, n);
    free(bytes);
    if (code == LITMUS_OK && out->failed) code = lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a Parquet file of %zu bytes", n);
    return code;
}

/* ---- read ---- */

enum { FILE_BYTES_MAX_LOG2 = 34 };

static int fail_file(struct litmus_error *error, const char *path, const char *why) {
    return lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no readable Parquet file: %s (move it away, or run `litmus rebuild`)", path,
                   why[0] == '\0' ? "no reason given" : why);
}

static int view_set(struct lt_table *table, const char *path, struct litmus_error *error) {
    struct ArrowError why = {{0}};
    if (ArrowArrayViewInitFromSchema(&table->view, &table->schema, &why) != NANOARROW_OK ||
        ArrowArrayViewSetArray(&table->view, &table->array, &why) != NANOARROW_OK ||
        ArrowArrayViewValidate(&table->view, NANOARROW_VALIDATION_LEVEL_FULL, &why) != NANOARROW_OK)
        return fail_file(error, path, why.message);
    return LITMUS_OK;
}

static int read_group(carquet_reader_t *reader, int32_t group, const char *path, const char *const *columns, size_t column_count,
                      struct lt_table *out, struct litmus_error *error) {
    carquet_error_t why = CARQUET_ERROR_INIT;
    lt_table_init(out);
    if (carquet_reader_read_arrow(reader, group, &out->schema, &out->array, &why) != CARQUET_OK) return fail_file(error, path, why.message);
    int code = view_set(out, path, error);
    return code == LITMUS_OK && columns != NULL ? lt_table_keep(out, columns, column_count, error) : code;
}

/* ---- files of several row groups: their rows one below the other ---- */

static int read_groups(carquet_reader_t *reader, const char *path, const char *const *columns, size_t column_count, struct lt_table *out,
                       struct litmus_error *error) {
    int32_t count = carquet_reader_num_row_groups(reader);
    if (count == 1) return read_group(reader, 0, path, columns, column_count, out, error);
    if (count <= 0) return fail_file(error, path, "it holds no rows");
    struct lt_table *groups = calloc((size_t)count, sizeof *groups);
    if (groups == NULL) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", path);
    int code = LITMUS_OK;
    for (int32_t g = 0; code == LITMUS_OK && g < count; g++) code = read_group(reader, g, path, columns, column_count, &groups[g], error);
    if (code == LITMUS_OK && !lt_table_stackable(&groups[0])) code = fail_file(error, path, "a column's type is foreign to run files");
    if (code == LITMUS_OK) code = lt_table_stack(groups, (size_t)count, out, error);
    for (int32_t g = 0; g < count; g++) lt_table_release(&groups[g]);
    free(groups);
    return code;
}

int lt_parquet_read(const char *path, const char *const *columns, size_t column_count, struct lt_table *out, struct litmus_error *error) {
    lt_table_init(out);
    struct lt_buf file;
    lt_buf_init(&file);
    int code = lt_io_read_file(path, (size_t)1 << FILE_BYTES_MAX_LOG2, &file, error);
    if (code == LITMUS_OK) {
        carquet_error_t why = CARQUET_ERROR_INIT;
        carquet_reader_options_t options;
        carquet_reader_options_init(&options);
        options.num_threads = 1;
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
        options.verify_checksums = false; /* else no changed page is ever looked at */
#endif
        carquet_reader_t *reader = carquet_reader_open_buffer(file.p, file.n, &options, &why);
        if (reader == NULL) code = fail_file(error, path, why.message);
        else code = read_groups(reader, path, columns, column_count, out, error);
        carquet_reader_close(reader);
    }
    lt_buf_release(&file);
    if (code != LITMUS_OK) lt_table_release(out);
    return code;
}
