/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables as Parquet, from the inside: our way through the library gives the bytes of its own way,
 * and what was written is what is read.
 */
#include "materialize/parquet.c"

#include "materialize/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROWS = 211, TYPES = LT_COLUMN_BOOLS + 1 };
enum filling { ALL_NULL, ALL_THERE, SOME, LAST, FILLINGS };

static bool is_there(enum filling filling, int row) {
    return filling == ALL_THERE || (filling == SOME && row * 7 % 5 < 3) || (filling == LAST && row == ROWS - 1);
}

static void put_list(struct lt_build *build, enum lt_column_type type, int row) {
    for (int i = 0; i < row % 4; i++) { /* empty ones and NULL elements as well */
        bool there = (row + i) % 3 != 0;
        if (type == LT_COLUMN_STRS) lt_list_item_str(build, there ? lt_str_of(row % 2 == 0 ? "" : "element") : LT_STR_NULL);
        else lt_list_item_int(build, there, type == LT_COLUMN_BOOLS ? row % 2 : 1000 * row + i);
    }
    lt_list_end(build);
}

static void put_cell(struct lt_build *build, enum lt_column_type type, int row) {
    char text[40];
    snprintf(text, sizeof text, "text %d", row / 3 % 50); /* the same one below the other, too */
    switch (type) {
    case LT_COLUMN_STR: lt_put_str(build, row % 10 == 0 ? LT_STR("") : lt_str_of(text)); break;
    case LT_COLUMN_REAL: lt_put_real(build, row / 3.0); break;
    case LT_COLUMN_BOOL: lt_put_int(build, row % 3 == 0); break;
    case LT_COLUMN_TIME: case LT_COLUMN_INT: case LT_COLUMN_INT32: lt_put_int(build, row * (row % 2 == 0 ? 7 : -7)); break;
    default: put_list(build, type, row);
    }
}

static void build_table(struct lt_table *table, int rows) {
    struct lt_build build;
    char name[40];
    lt_build_start(&build, table, TYPES * FILLINGS, rows);
    for (int type = 0; type < TYPES; type++) {
        for (int filling = 0; filling < FILLINGS; filling++) {
            snprintf(name, sizeof name, "column_%d_%d", type, filling);
            lt_build_column(&build, name, (enum lt_column_type)type);
            for (int row = 0; row < rows; row++) {
                if (is_there((enum filling)filling, row)) put_cell(&build, (enum lt_column_type)type, row);
                else lt_put_null(&build);
            }
        }
    }
    assert_int_equal(lt_build_finish(&build, NULL), LITMUS_OK);
}

static void keep_array(struct ArrowArray *array) {
    array->release = NULL;
}

/* As the library imports a table itself. */
static void encode_by_library(struct lt_table *table, struct lt_buf *out) {
    struct lt_parquet_writer *writer;
    struct ArrowSchema schema = table->schema;
    struct ArrowArray array = table->array;
    schema.release = no_release;
    array.release = keep_array;
    assert_int_equal(new_writer(table, false, &writer, NULL), LITMUS_OK);
    assert_int_equal(carquet_writer_write_arrow(writer->writer, &array, &schema, NULL), CARQUET_OK);
    assert_int_equal(lt_parquet_writer_end(writer, out, NULL), LITMUS_OK);
    lt_parquet_writer_free(writer);
}

static void every_type_has_the_bytes_of_the_library(void **state) {
    (void)state;
    static const int sizes[] = {1, 8, ROWS};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct lt_table table;
        struct lt_buf ours, theirs;
        lt_buf_init(&ours);
        lt_buf_init(&theirs);
        build_table(&table, sizes[i]);
        assert_int_equal(lt_parquet_encode(&table, NULL, NULL, 0, &ours, NULL), LITMUS_OK);
        encode_by_library(&table, &theirs);
        assert_int_equal(ours.n, theirs.n);
        assert_memory_equal(ours.p, theirs.p, ours.n);
        lt_table_release(&table);
        lt_buf_release(&ours);
        lt_buf_release(&theirs);
    }
}

static bool is_same_column(const struct lt_table *a, const struct lt_table *b, int64_t column) {
    struct lt_buf cells, others;
    lt_buf_init(&cells);
    lt_buf_init(&others);
    for (int64_t row = 0; row < lt_table_rows(a); row++) lt_table_json(a, column, row, &cells);
    for (int64_t row = 0; row < lt_table_rows(b); row++) lt_table_json(b, column, row, &others);
    bool same = lt_table_rows(a) == lt_table_rows(b) && strcmp(lt_buf_cstr(&cells), lt_buf_cstr(&others)) == 0;
    lt_buf_release(&cells);
    lt_buf_release(&others);
    return same;
}

static void assert_same_cells(const struct lt_table *a, const struct lt_table *b) {
    assert_int_equal(lt_table_columns(a), lt_table_columns(b));
    for (int64_t column = 0; column < lt_table_columns(a); column++) {
        assert_string_equal(lt_table_name(a, column), lt_table_name(b, column));
        assert_true(is_same_column(a, b, column));
    }
}

static void what_is_written_is_read(void **state) {
    (void)state;
    char path[] = "parquet-XXXXXX";
    struct lt_table table, again;
    struct lt_buf bytes;
    lt_buf_init(&bytes);
    build_table(&table, ROWS);
    assert_int_equal(lt_parquet_encode(&table, NULL, NULL, 0, &bytes, NULL), LITMUS_OK);
    int fd = mkstemp(path);
    assert_int_equal(write(fd, bytes.p, bytes.n), bytes.n);
    close(fd);
    assert_int_equal(lt_parquet_read(path, NULL, 0, &again, NULL), LITMUS_OK);
    unlink(path);
    assert_same_cells(&table, &again);
    lt_table_release(&table);
    lt_table_release(&again);
    lt_buf_release(&bytes);
}

static void write_bytes(const char *path, const struct lt_buf *bytes) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes->p, 1, bytes->n, file), bytes->n);
    assert_int_equal(fclose(file), 0);
}

static void row_groups_are_read_as_they_were_written(void **state) {
    (void)state;
    char path[] = "groups-XXXXXX";
    struct lt_parquet_writer *writer;
    struct lt_table one, two, read;
    struct lt_buf bytes;
    lt_buf_init(&bytes);
    build_table(&one, 100);
    build_table(&two, ROWS);
    assert_int_equal(lt_parquet_writer_new(&one, &writer, NULL), LITMUS_OK);
    assert_int_equal(lt_parquet_writer_add(writer, &one, NULL, NULL), LITMUS_OK);
    assert_int_equal(lt_parquet_writer_add(writer, &two, NULL, NULL), LITMUS_OK);
    assert_int_equal(lt_parquet_writer_end(writer, &bytes, NULL), LITMUS_OK);
    lt_parquet_writer_free(writer);
    close(mkstemp(path));
    write_bytes(path, &bytes);
    assert_int_equal(lt_parquet_read(path, NULL, 0, &read, NULL), LITMUS_OK);
    unlink(path);
    struct lt_stack stack;
    struct lt_table all;
    lt_stack_init(&stack);
    lt_stack_join(&stack, &one);
    lt_stack_add(&stack, &one, 0, lt_table_rows(&one));
    lt_stack_join(&stack, &two);
    lt_stack_add(&stack, &two, 0, lt_table_rows(&two));
    assert_int_equal(lt_stack_take(&stack, &all, NULL), LITMUS_OK);
    assert_same_cells(&all, &read);
    lt_stack_release(&stack);
    lt_table_release(&all);
    lt_table_release(&one);
    lt_table_release(&two);
    lt_table_release(&read);
    lt_buf_release(&bytes);
}

/* `constant` columns of each type: the same in all files; others by `salt`; the last NULL in files of even salt. */
static void build_alike(struct lt_table *table, int rows, int salt, int constant) {
    struct lt_build build;
    char name[40];
    lt_build_start(&build, table, TYPES * (constant + 1) + 1, rows);
    for (int column = 0; column < TYPES * (constant + 1) + 1; column++) {
        bool last = column == TYPES * (constant + 1);
        enum lt_column_type type = last ? LT_COLUMN_STR : (enum lt_column_type)(column % TYPES);
        snprintf(name, sizeof name, "column_%d", column);
        lt_build_column(&build, name, type);
        for (int row = 0; row < rows; row++) {
            if (last && salt % 2 == 0) lt_put_null(&build);
            else put_cell(&build, type, column < TYPES ? row + 3 * salt : row);
        }
    }
    assert_int_equal(lt_build_finish(&build, NULL), LITMUS_OK);
}

static void files_in_series_are_read_as_each_by_itself(void **state) {
    (void)state;
    static const struct {
        int rows, salt, constant; /* rows 0: a damaged file */
        bool same_columns;
    } files[] = {{40, 1, 1, false}, {40, 1, 1, true}, {40, 2, 1, true}, {40, 3, 1, true}, {41, 3, 1, true}, {39, 4, 1, true}, {0}, {41, 3, 1, false},
                 {41, 4, 1, true}, {41, 4, 2, false}, {41, 6, 1, false}, {41, 7, 1, true}};
    char path[] = "series-XXXXXX";
    struct lt_parquet_series *series = lt_parquet_series_new();
    struct lt_table before;
    lt_table_init(&before);
    close(mkstemp(path));
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct lt_table table, alone;
        const struct lt_table *rows;
        const bool *changed;
        struct lt_buf bytes;
        lt_buf_init(&bytes);
        build_alike(&table, files[i].rows == 0 ? 40 : files[i].rows, files[i].salt, files[i].constant);
        assert_int_equal(lt_parquet_encode(&table, NULL, NULL, 0, &bytes, NULL), LITMUS_OK);
        for (size_t k = 4; files[i].rows == 0 && k < bytes.n / 2; k++) bytes.p[k] = (char)~bytes.p[k];
        write_bytes(path, &bytes);
        int code = lt_parquet_read(path, NULL, 0, &alone, NULL);
        assert_int_equal(code, files[i].rows == 0 ? LITMUS_EDAMAGED : LITMUS_OK);
        assert_int_equal(lt_parquet_series_read(series, path, &rows, &changed, NULL), code);
        assert_int_equal(changed != NULL, files[i].same_columns);
        if (code == LITMUS_OK) assert_same_cells(&alone, rows);
        for (int64_t c = 0; changed != NULL && c < lt_table_columns(rows); c++) assert_int_equal(changed[c], !is_same_column(&before, rows, c));
        lt_table_release(&before);
        before = alone;
        lt_table_release(&table);
        lt_buf_release(&bytes);
    }
    lt_table_release(&before);
    unlink(path);
    lt_parquet_series_free(series);
}

/* The library reads no page above 256 MiB, and Arrow no head of a page above 16 MiB. */
static void texts_of_any_size_are_read(void **state) {
    (void)state;
    enum { TEXTS = 33, BYTES = 8 << 20 };
    static char text[BYTES];
    char path[] = "texts-XXXXXX";
    struct lt_table written, read;
    struct lt_build build;
    struct lt_buf bytes;
    lt_buf_init(&bytes);
    lt_build_start(&build, &written, 2, TEXTS);
    for (int list = 0; list < 2; list++) {
        lt_build_column(&build, list ? "texts" : "text", list ? LT_COLUMN_STRS : LT_COLUMN_STR);
        for (int row = 0; row < TEXTS; row++) {
            memset(text, 'a' + row % 26, sizeof text);
            if (!list) lt_put_str(&build, (struct lt_str){text, sizeof text});
            for (int i = 0; list && i < row % 3; i++) lt_list_item_str(&build, (struct lt_str){text, sizeof text / 2});
            if (list) lt_list_end(&build);
        }
    }
    assert_int_equal(lt_build_finish(&build, NULL), LITMUS_OK);
    assert_int_equal(lt_parquet_encode(&written, NULL, NULL, 0, &bytes, NULL), LITMUS_OK);
    close(mkstemp(path));
    write_bytes(path, &bytes);
    assert_true(bytes.n < BYTES); /* no text is in it as it is */
    assert_int_equal(lt_parquet_read(path, NULL, 0, &read, NULL), LITMUS_OK);
    unlink(path);
    assert_int_equal(lt_table_rows(&read), TEXTS);
    for (int list = 0; list < 2; list++) {
        const struct ArrowArrayView *a = list ? written.view.children[1]->children[0] : written.view.children[0];
        const struct ArrowArrayView *b = list ? read.view.children[1]->children[0] : read.view.children[0];
        assert_int_equal(a->buffer_views[2].size_bytes, b->buffer_views[2].size_bytes);
        assert_int_equal(memcmp(a->buffer_views[2].data.data, b->buffer_views[2].data.data, (size_t)a->buffer_views[2].size_bytes), 0);
        assert_int_equal(memcmp(written.view.children[list]->buffer_views[1].data.data, read.view.children[list]->buffer_views[1].data.data, (TEXTS + 1) * sizeof(int32_t)), 0);
    }
    lt_table_release(&read);
    lt_table_release(&written);
    lt_buf_release(&bytes);
}

static void columns_that_are_spent_have_the_same_bytes(void **state) {
    (void)state;
    const char *const names[] = {"column_0_1", "column_8_2"};
    const struct lt_parquet_kept kept = {names, 2};
    struct lt_table table, spent;
    struct lt_buf one, other;
    lt_buf_init(&one);
    lt_buf_init(&other);
    build_table(&table, ROWS);
    build_table(&spent, ROWS);
    assert_int_equal(lt_parquet_encode(&table, NULL, NULL, 0, &one, NULL), LITMUS_OK);
    assert_int_equal(lt_parquet_encode(&spent, &kept, NULL, 0, &other, NULL), LITMUS_OK);
    assert_int_equal(one.n, other.n);
    assert_memory_equal(one.p, other.p, one.n);
    for (int64_t column = 0; column < lt_table_columns(&spent); column++) {
        bool is_kept = strcmp(lt_table_name(&spent, column), names[0]) == 0 || strcmp(lt_table_name(&spent, column), names[1]) == 0;
        assert_int_equal(spent.array.children[column]->release != NULL, is_kept);
    }
    for (int64_t row = 0; row < ROWS; row++)
        assert_true(lt_str_eq(lt_table_str(&spent, lt_table_find(&spent, names[0]), row), lt_table_str(&table, lt_table_find(&table, names[0]), row)));
    lt_table_release(&table);
    lt_table_release(&spent);
    lt_buf_release(&one);
    lt_buf_release(&other);
}

/* The first cell is of row `like`, and there in all columns but NULL ones; the others are as it, put one by one or all at once. */
static void build_same(struct lt_table *table, int like, bool again) {
    struct lt_build build;
    char name[40];
    lt_build_start(&build, table, 2 * TYPES, ROWS);
    for (int column = 0; column < 2 * TYPES; column++) {
        snprintf(name, sizeof name, "column_%d", column);
        lt_build_column(&build, name, (enum lt_column_type)(column / 2));
        for (int row = 0; row < (again ? 1 : ROWS); row++) {
            if (column % 2 == 0) put_cell(&build, (enum lt_column_type)(column / 2), like);
            else lt_put_null(&build);
        }
        for (int most = 100; again && build.row < ROWS; most = ROWS) lt_put_again(&build, build.row + most > ROWS ? ROWS - build.row : most);
    }
    assert_int_equal(lt_build_finish(&build, NULL), LITMUS_OK);
}

static void cells_again_are_as_if_each_was_put(void **state) {
    (void)state;
    static const int rows[] = {0, 20, 36}; /* whose lists are empty */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct lt_table each, again;
        struct lt_buf one, other;
        lt_buf_init(&one);
        lt_buf_init(&other);
        build_same(&each, rows[i], false);
        build_same(&again, rows[i], true);
        assert_int_equal(lt_parquet_encode(&each, NULL, NULL, 0, &one, NULL), LITMUS_OK);
        assert_int_equal(lt_parquet_encode(&again, NULL, NULL, 0, &other, NULL), LITMUS_OK);
        assert_int_equal(one.n, other.n);
        assert_memory_equal(one.p, other.p, one.n);
        lt_table_release(&each);
        lt_table_release(&again);
        lt_buf_release(&one);
        lt_buf_release(&other);
    }
}

static void a_list_with_elements_is_not_put_again(void **state) {
    (void)state;
    struct lt_table table;
    struct lt_build build;
    lt_build_start(&build, &table, 1, 2);
    lt_build_column(&build, "list", LT_COLUMN_STRS);
    put_list(&build, LT_COLUMN_STRS, 3);
    lt_put_again(&build, 1);
    assert_int_equal(lt_build_finish(&build, NULL), LITMUS_EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_the_bytes_of_the_library),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(row_groups_are_read_as_they_were_written),
        cmocka_unit_test(files_in_series_are_read_as_each_by_itself),
        cmocka_unit_test(texts_of_any_size_are_read),
        cmocka_unit_test(columns_that_are_spent_have_the_same_bytes),
        cmocka_unit_test(cells_again_are_as_if_each_was_put),
        cmocka_unit_test(a_list_with_elements_is_not_put_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
