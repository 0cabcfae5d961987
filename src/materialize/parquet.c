/* SPDX-License-Identifier: Apache-2.0
 *
 * This file, leaf.c, parquet_cells.c and parquet_memory.c know the Parquet library (carquet).
 */
#include "materialize/parquet.h"

#include "base/io.h"
#include "materialize/leaf.h"
#include "materialize/parquet_cells.h"
#include "materialize/parquet_memory.h"
#include "materialize/stack.h"

#include <carquet/carquet.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- write ---- */

enum { TEXT_BYTES_MAX = 1 << 20 };

/* The cells, or the elements of the lists, when they are texts. */
static const struct ArrowArrayView *texts_of(const struct lt_table *table, int64_t column) {
    const struct ArrowArrayView *view = table->view.children[column], *cells = view->storage_type == NANOARROW_TYPE_LIST ? view->children[0] : view;
    return cells->storage_type == NANOARROW_TYPE_STRING ? cells : NULL;
}

/* The library has the least and the greatest text of a page, whole, in the page's head, and Arrow reads no head above 16 MiB. */
static bool has_long_text(const struct lt_table *table) {
    for (int64_t column = 0; column < lt_table_columns(table); column++) {
        const struct ArrowArrayView *texts = texts_of(table, column);
        if (texts == NULL || texts->buffer_views[2].size_bytes <= TEXT_BYTES_MAX) continue;
        const int32_t *offsets = texts->buffer_views[1].data.as_int32 + texts->offset;
        for (int64_t i = 0; i < texts->length; i++)
            if (offsets[i + 1] - offsets[i] > TEXT_BYTES_MAX) return true;
    }
    return false;
}

/* The library reads no page above 256 MiB, and makes larger ones where it gives up a dictionary. */
static bool has_many_texts(const struct lt_table *table, int64_t column) {
    const struct ArrowArrayView *texts = texts_of(table, column);
    return texts != NULL && texts->buffer_views[2].size_bytes > LT_LEAF_BYTES;
}

/* The library consumes what it is given; this stand-in is consumed in place of the table's schema. */
static void no_release(struct ArrowSchema *schema) {
    schema->release = NULL;
}

/* When something happened in a run. In many rows no two times are the same: a dictionary is begun in vain. */
static bool is_moment(const struct ArrowSchema *column) {
    const struct ArrowSchema *value = column->n_children == 1 ? column->children[0] : column;
    return strncmp(value->format, "tsu:", 4) == 0 && strncmp(column->name, "run_", 4) != 0;
}

/* Numbers are not split by bytes, which the library would do: Spark 3 cannot read that. */
static carquet_encoding_t encoding_of(const carquet_schema_t *schema, int32_t leaf) {
    switch (carquet_schema_column_type(schema, leaf)) {
    case CARQUET_PHYSICAL_BYTE_ARRAY:
    case CARQUET_PHYSICAL_INT64:
    case CARQUET_PHYSICAL_INT32: return CARQUET_ENCODING_RLE_DICTIONARY;
    default: return CARQUET_ENCODING_PLAIN;
    }
}

/* The library's own memory writer goes through a temporary file; a memory stream keeps the disk out
 * of it until the bytes are whole. */
static carquet_writer_t *writer_new(const struct lt_table *table, bool is_long, FILE *stream, carquet_error_t *why) {
    struct ArrowSchema arrow = table->schema;
    carquet_schema_t *schema = NULL;
    arrow.release = no_release;
    if (carquet_arrow_import_schema(&arrow, &schema, why) != CARQUET_OK) return NULL;
    carquet_writer_options_t options;
    carquet_writer_options_init(&options);
    options.compression = CARQUET_COMPRESSION_ZSTD;
    options.compression_level = 1;
    options.async_io = false;
    options.write_statistics = !has_long_text(table);
    options.created_by = "litmus " LITMUS_VERSION;
    carquet_writer_t *writer = carquet_writer_create_file(stream, schema, &options, why);
    int32_t leaves = writer == NULL ? 0 : carquet_writer_num_columns(writer);
    for (int32_t i = 0; i < leaves; i++) {
        bool is_plain = (is_long && is_moment(table->schema.children[i])) || has_many_texts(table, i);
        if (carquet_writer_set_column_encoding(writer, i, is_plain ? CARQUET_ENCODING_PLAIN : encoding_of(schema, i)) != CARQUET_OK) {
            carquet_writer_abort(writer);
            writer = NULL;
            break;
        }
    }
    carquet_schema_free(schema);
    return writer;
}

struct lt_parquet_writer {
    carquet_writer_t *writer; /* NULL: ended or failed */
    FILE *stream;
    char *bytes; /* of the stream */
    size_t n;
    int32_t groups;
    unsigned long refusals; /* of memory, when it began */
};

static int fail_memory(struct litmus_error *error) {
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a Parquet file");
}

static int fail_carquet(struct litmus_error *error, const struct lt_parquet_writer *w, const carquet_error_t *why, const char *what) {
    if (lt_parquet_refusals() != w->refusals) return fail_memory(error);
    return lt_fail(error, LITMUS_EIO, 0, "cannot %s: %s", what, why->message[0] == '\0' ? "the Parquet library gave no reason" : why->message);
}

/* `is_long`: of the rows of many runs. */
static int new_writer(const struct lt_table *like, bool is_long, struct lt_parquet_writer **out, struct litmus_error *error) {
    carquet_error_t why = CARQUET_ERROR_INIT;
    struct lt_parquet_writer *w = calloc(1, sizeof *w);
    *out = w;
    if (w == NULL) return fail_memory(error);
    w->refusals = lt_parquet_refusals();
    w->stream = open_memstream(&w->bytes, &w->n);
    if (w->stream != NULL) w->writer = writer_new(like, is_long, w->stream, &why);
    if (w->writer != NULL) return LITMUS_OK;
    int code = w->stream == NULL ? fail_memory(error) : fail_carquet(error, w, &why, "set up the Parquet writer");
    lt_parquet_writer_free(w);
    *out = NULL;
    return code;
}

int lt_parquet_writer_new(const struct lt_table *like, struct lt_parquet_writer **out, struct litmus_error *error) {
    return new_writer(like, true, out, error);
}

void lt_parquet_writer_free(struct lt_parquet_writer *w) {
    if (w == NULL) return;
    if (w->writer != NULL) carquet_writer_abort(w->writer);
    if (w->stream != NULL) fclose(w->stream);
    free(w->bytes);
    free(w);
}

int lt_parquet_writer_add(struct lt_parquet_writer *w, struct lt_table *rows, const struct lt_parquet_kept *kept, struct litmus_error *error) {
    carquet_error_t why = CARQUET_ERROR_INIT;
    carquet_status_t status = CARQUET_OK;
    struct lt_leaf leaf;
    if (w->groups++ > 0 && carquet_writer_new_row_group(w->writer) != CARQUET_OK) return fail_carquet(error, w, &why, "end a row group");
    lt_leaf_init(&leaf);
    for (int64_t i = 0; status == CARQUET_OK && i < lt_table_columns(rows); i++) {
        status = lt_leaf_write(&leaf, w->writer, (int32_t)i, rows->view.children[i]);
        if (kept != NULL) lt_table_spend(rows, i, kept->columns, kept->count); /* the library has made a copy */
    }
    lt_leaf_release(&leaf);
    if (status == CARQUET_ERROR_OUT_OF_MEMORY) return fail_memory(error);
    return status == CARQUET_OK ? LITMUS_OK : fail_carquet(error, w, &why, "encode the rows as Parquet");
}

int lt_parquet_writer_end(struct lt_parquet_writer *w, struct lt_buf *out, struct litmus_error *error) {
    carquet_error_t why = CARQUET_ERROR_INIT;
    carquet_status_t status = carquet_writer_close(w->writer);
    w->writer = NULL;
    if (status != CARQUET_OK) return fail_carquet(error, w, &why, "finish the Parquet file");
    bool whole = !ferror(w->stream) && lt_parquet_refusals() == w->refusals; /* it may have closed what is not */
    int closed = fclose(w->stream);
    w->stream = NULL;
    if (!whole || (closed == 0 && w->bytes == NULL)) return fail_memory(error); /* a memory stream that cannot be cut to its size is gone */
    if (closed == 0 && out->p == NULL) { /* taken over: a lake file is large */
        *out = (struct lt_buf){.p = w->bytes, .n = w->n, .capacity = w->n};
        w->bytes = NULL;
    } else if (closed == 0) {
        lt_buf_add(out, w->bytes, w->n);
    }
    if (closed != 0 || out->failed) return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory for a Parquet file of %zu bytes", w->n);
    return LITMUS_OK;
}

int lt_parquet_encode(struct lt_table *table, const struct lt_parquet_kept *kept, const struct lt_parquet_meta *meta, size_t meta_count, struct lt_buf *out,
                      struct litmus_error *error) {
    carquet_error_t why = CARQUET_ERROR_INIT;
    struct lt_parquet_writer *writer;
    int code = new_writer(table, false, &writer, error);
    for (size_t i = 0; code == LITMUS_OK && i < meta_count; i++)
        if (carquet_writer_add_metadata(writer->writer, meta[i].key, meta[i].value) != CARQUET_OK) code = fail_carquet(error, writer, &why, "add the file's metadata");
    if (code == LITMUS_OK) code = lt_parquet_writer_add(writer, table, kept, error);
    if (code == LITMUS_OK) code = lt_parquet_writer_end(writer, out, error);
    lt_parquet_writer_free(writer);
    return code;
}

/* ---- read ---- */

static int fail_file(struct litmus_error *error, const char *path, const char *why) {
    return lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no readable Parquet file: %s (move it away, or run `litmus rebuild`)", path,
                   why[0] == '\0' ? "no reason given" : why);
}

static int fail_reading_memory(struct litmus_error *error, const char *path) {
    return lt_fail(error, LITMUS_ENOMEM, 0, "out of memory reading %s", path);
}

static int view_set(struct lt_table *table, const char *path, struct litmus_error *error) {
    struct ArrowError why = {{0}};
    int code = ArrowArrayViewInitFromSchema(&table->view, &table->schema, &why);
    if (code == NANOARROW_OK) code = ArrowArrayViewSetArray(&table->view, &table->array, &why);
    if (code == NANOARROW_OK) code = ArrowArrayViewValidate(&table->view, NANOARROW_VALIDATION_LEVEL_FULL, &why);
    if (code == ENOMEM) return fail_reading_memory(error, path);
    return code == NANOARROW_OK ? LITMUS_OK : fail_file(error, path, why.message);
}

struct parquet_file {
    struct lt_buf bytes;
    carquet_reader_t *reader;
    char *path;
};

static void file_close(struct parquet_file *f) {
    if (f == NULL) return;
    if (f->reader != NULL) carquet_reader_close(f->reader);
    lt_buf_release(&f->bytes);
    free(f->path);
    free(f);
}

static int file_open(const char *path, struct parquet_file **out, struct litmus_error *error) {
    struct parquet_file *f = calloc(1, sizeof *f);
    carquet_error_t why = CARQUET_ERROR_INIT;
    carquet_reader_options_t options;
    struct litmus_error unread = {0};
    *out = NULL;
    if (f == NULL || (f->path = strdup(path)) == NULL) {
        free(f);
        return fail_reading_memory(error, path);
    }
    unsigned long refusals = lt_parquet_refusals();
    lt_buf_init(&f->bytes);
    int code = lt_io_read_file(path, LT_RUN_FILE_BYTES_MAX, &f->bytes, &unread);
    if (code == LITMUS_EINVAL) code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s (move it away, or run `litmus rebuild`)", unread.text);
    else if (code != LITMUS_OK) code = lt_fail_with(error, &unread);
    else {
        carquet_reader_options_init(&options);
        options.num_threads = 1;
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
        options.verify_checksums = false; /* else no changed page is ever looked at */
#endif
        f->reader = carquet_reader_open_buffer(f->bytes.p, f->bytes.n, &options, &why);
        if (lt_parquet_refusals() != refusals) code = fail_reading_memory(error, path);
        else if (f->reader == NULL) code = fail_file(error, path, why.message);
        else if (carquet_reader_num_row_groups(f->reader) <= 0) code = fail_file(error, path, "it holds no rows");
    }
    if (code == LITMUS_OK) *out = f;
    else file_close(f);
    return code;
}

static int read_group(struct parquet_file *f, int32_t group, const char *const *columns, size_t column_count, struct lt_table *out,
                      struct litmus_error *error) {
    carquet_error_t why = CARQUET_ERROR_INIT;
    lt_table_init(out);
    if (lt_cells_known(carquet_reader_schema(f->reader))) return lt_cells_read(f->reader, group, columns, column_count, f->path, out, error);
    unsigned long refusals = lt_parquet_refusals();
    int code = carquet_reader_read_arrow(f->reader, group, &out->schema, &out->array, &why) == CARQUET_OK ? LITMUS_OK : fail_file(error, f->path, why.message);
    if (lt_parquet_refusals() != refusals) code = fail_reading_memory(error, f->path);
    if (code == LITMUS_OK) code = view_set(out, f->path, error);
    if (code == LITMUS_OK && columns != NULL) code = lt_table_keep(out, columns, column_count, error);
    if (code != LITMUS_OK) lt_table_release(out);
    return code;
}

/* ---- files of several row groups: their rows one below the other ---- */

static int read_groups(struct parquet_file *f, const char *const *columns, size_t column_count, struct lt_table *out, struct litmus_error *error) {
    struct lt_stack stack;
    lt_stack_init(&stack);
    int code = LITMUS_OK;
    for (int32_t g = 0; code == LITMUS_OK && g < carquet_reader_num_row_groups(f->reader); g++) {
        struct lt_table rows;
        code = read_group(f, g, columns, column_count, &rows, error);
        if (code == LITMUS_OK && !lt_table_stackable(&rows)) code = fail_file(error, f->path, "a column's type is foreign to run files");
        if (code == LITMUS_OK) {
            lt_stack_join(&stack, &rows);
            lt_stack_add(&stack, &rows, 0, lt_table_rows(&rows));
        }
        lt_table_release(&rows);
    }
    if (code == LITMUS_OK) code = lt_stack_take(&stack, out, error);
    lt_stack_release(&stack);
    return code;
}

static int read_rows(struct parquet_file *f, const char *const *columns, size_t column_count, struct lt_table *out, struct litmus_error *error) {
    int code = carquet_reader_num_row_groups(f->reader) == 1 ? read_group(f, 0, columns, column_count, out, error)
                                                             : read_groups(f, columns, column_count, out, error);
    if (code != LITMUS_OK) lt_table_release(out);
    return code;
}

/* `is_run`: what is of another type than in run files is refused. */
static int read_file(const char *path, bool is_run, const char *const *columns, size_t column_count, struct lt_table *out, struct litmus_error *error) {
    struct parquet_file *file;
    lt_table_init(out);
    int code = file_open(path, &file, error);
    if (code != LITMUS_OK) return code;
    const char *foreign = is_run ? lt_cells_foreign(carquet_reader_schema(file->reader)) : NULL;
    if (foreign == NULL) code = read_rows(file, columns, column_count, out, error);
    else code = lt_fail(error, LITMUS_EDAMAGED, 0, "%s is no run file: its column %s is of another type than in run files (move it away)", path, foreign);
    file_close(file);
    return code;
}

int lt_parquet_read(const char *path, const char *const *columns, size_t column_count, struct lt_table *out, struct litmus_error *error) {
    return read_file(path, false, columns, column_count, out, error);
}

int lt_parquet_read_run(const char *path, const char *const *columns, size_t column_count, struct lt_table *out, struct litmus_error *error) {
    return read_file(path, true, columns, column_count, out, error);
}

int lt_parquet_lists(const char *path, void (*each)(void *self, struct lt_str name), void *self, struct litmus_error *error) {
    struct parquet_file *file;
    int code = file_open(path, &file, error);
    if (code != LITMUS_OK) return code;
    const carquet_schema_t *schema = carquet_reader_schema(file->reader);
    for (int32_t i = 0; i < carquet_schema_num_columns(schema); i++) {
        const char *name[1] = {NULL};
        if (carquet_schema_max_rep_level(schema, i) > 0 && carquet_schema_column_path(schema, i, name, 1) > 0 && name[0] != NULL) each(self, lt_str_of(name[0]));
    }
    file_close(file);
    return LITMUS_OK;
}

/* ---- files that are alike ---- */

struct lt_parquet_series {
    struct lt_cells_before before;
};

struct lt_parquet_series *lt_parquet_series_new(void) {
    struct lt_parquet_series *series = malloc(sizeof *series);
    if (series != NULL) lt_cells_before_init(&series->before);
    return series;
}

void lt_parquet_series_free(struct lt_parquet_series *series) {
    if (series != NULL) lt_cells_before_release(&series->before);
    free(series);
}

int lt_parquet_series_read(struct lt_parquet_series *series, const char *path, const struct lt_table **out, const bool **changed, struct litmus_error *error) {
    struct parquet_file *file;
    *out = &series->before.rows;
    *changed = NULL;
    int code = file_open(path, &file, error);
    if (code != LITMUS_OK) return code;
    bool one_group = carquet_reader_num_row_groups(file->reader) == 1;
    if (one_group) code = lt_cells_next(&series->before, file->reader, &file->bytes, path, error);
    file_close(file);
    if (one_group && code != LITMUS_EINVAL) {
        if (series->before.same_columns) *changed = series->before.changed;
        return code;
    }
    lt_cells_before_release(&series->before);
    return lt_parquet_read(path, NULL, 0, &series->before.rows, error);
}
