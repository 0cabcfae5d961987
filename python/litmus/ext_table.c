/* SPDX-License-Identifier: Apache-2.0
 *
 * _litmus.Table: rows and named columns of the core, for Python and for whoever speaks Arrow.
 *
 * Always true:
 *  - The data never change and are never copied for Arrow: what is exported holds a count on the
 *    same buffers (`table_data.refs`), which any thread may give back, with or without the GIL.
 *  - A Table can be exported any number of times.
 */
#include "base/clock.h"
#include "ext.h"
#include "materialize/table.h"

#include <stdatomic.h>

struct table_data {
    atomic_long refs;
    struct lt_table table;
};

struct table {
    PyObject_HEAD
    struct table_data *data;
    PyObject *run_id, *file_path, *live; /* str or None, str or None, bool or None: of one run's table */
};

static void table_data_unref(struct table_data *data) {
    if (data == NULL || atomic_fetch_sub(&data->refs, 1) != 1) return;
    lt_table_release(&data->table);
    free(data);
}

/* ---- export to Arrow ---- */

/* What an exported array and each of its children hold. A consumer may move a child out and release
 * the parent first, so that each counts for itself. */
struct table_share {
    struct table_data *data;
    struct ArrowArray *children[];
};

static int table_share_array(struct table_data *data, const struct ArrowArray *array, struct ArrowArray *out);

static void table_share_release(struct ArrowArray *array) {
    struct table_share *share = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++) {
        if (share->children[i]->release != NULL) share->children[i]->release(share->children[i]);
        free(share->children[i]);
    }
    if (array->dictionary != NULL) {
        if (array->dictionary->release != NULL) array->dictionary->release(array->dictionary);
        free(array->dictionary);
    }
    table_data_unref(share->data);
    free(share);
    array->release = NULL;
}

/* A new child that shares `array`, or NULL. */
static struct ArrowArray *table_share_child(struct table_data *data, const struct ArrowArray *array) {
    struct ArrowArray *child = malloc(sizeof *child);
    if (child == NULL || table_share_array(data, array, child) == 0) return child;
    free(child);
    return NULL;
}

static int table_share_array(struct table_data *data, const struct ArrowArray *array, struct ArrowArray *out) {
    struct table_share *share = calloc(1, sizeof *share + (size_t)array->n_children * sizeof share->children[0]);
    if (share == NULL) return -1;
    atomic_fetch_add(&data->refs, 1);
    share->data = data;
    *out = *array; /* lengths and borrowed buffers */
    out->n_children = 0;
    out->children = share->children;
    out->dictionary = NULL;
    out->private_data = share;
    out->release = table_share_release;
    bool ok = array->dictionary == NULL || (out->dictionary = table_share_child(data, array->dictionary)) != NULL;
    for (int64_t i = 0; ok && i < array->n_children; i++) {
        share->children[i] = table_share_child(data, array->children[i]);
        ok = share->children[i] != NULL;
        if (ok) out->n_children++;
    }
    if (ok) return 0;
    table_share_release(out);
    return -1;
}

static void table_stream_capsule_free(PyObject *capsule) {
    struct ArrowArrayStream *stream = PyCapsule_GetPointer(capsule, "arrow_array_stream");
    if (stream == NULL) return;
    if (stream->release != NULL) stream->release(stream);
    free(stream);
}

static void table_schema_capsule_free(PyObject *capsule) {
    struct ArrowSchema *schema = PyCapsule_GetPointer(capsule, "arrow_schema");
    if (schema == NULL) return;
    if (schema->release != NULL) schema->release(schema);
    free(schema);
}

/* A stream of one batch that shares the table's buffers. 0, or -1: no memory. */
static int table_stream(struct table_data *data, struct ArrowArrayStream *out) {
    struct ArrowSchema schema = {0};
    struct ArrowArray array = {0};
    if (ArrowSchemaDeepCopy(&data->table.schema, &schema) != NANOARROW_OK) return -1;
    if (table_share_array(data, &data->table.array, &array) || ArrowBasicArrayStreamInit(out, &schema, 1) != NANOARROW_OK) {
        if (array.release != NULL) array.release(&array);
        if (schema.release != NULL) schema.release(&schema);
        return -1;
    }
    ArrowBasicArrayStreamSetArray(out, 0, &array);
    return 0;
}

static const char table_stream_doc[] =
    "__arrow_c_stream__($self, requested_schema=None)\n--\n\n"
    "The rows as an Arrow C stream (PyCapsule) over the same memory: nothing is copied. pyarrow.table(t),\n"
    "polars.DataFrame(t) and DuckDB call this. `requested_schema` is not looked at.";

static PyObject *table_arrow_stream(PyObject *object, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"requested_schema", NULL};
    PyObject *requested = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", EXT_NAMES(names), &requested)) return NULL;
    struct ArrowArrayStream *stream = calloc(1, sizeof *stream);
    if (stream == NULL || table_stream(((struct table *)object)->data, stream)) {
        free(stream);
        return PyErr_NoMemory();
    }
    PyObject *capsule = PyCapsule_New(stream, "arrow_array_stream", table_stream_capsule_free);
    if (capsule == NULL) {
        stream->release(stream);
        free(stream);
    }
    return capsule;
}

static PyObject *table_arrow_schema(PyObject *object, PyObject *unused) {
    (void)unused;
    struct ArrowSchema *schema = calloc(1, sizeof *schema);
    if (schema == NULL || ArrowSchemaDeepCopy(&((struct table *)object)->data->table.schema, schema) != NANOARROW_OK) {
        free(schema);
        return PyErr_NoMemory();
    }
    PyObject *capsule = PyCapsule_New(schema, "arrow_schema", table_schema_capsule_free);
    if (capsule == NULL) {
        schema->release(schema);
        free(schema);
    }
    return capsule;
}

/* ---- cells as Python values ---- */

struct table_cells {
    PyObject *epoch, *timedelta; /* datetime(1970, 1, 1, tzinfo=utc) and the class */
    bool text_times;             /* times as "2026-05-16 14:30:25.123456" */
};

static int table_cells_open(struct table_cells *cells, bool text_times) {
    *cells = (struct table_cells){.text_times = text_times};
    PyObject *module = PyImport_ImportModule("datetime");
    PyObject *timezone = module == NULL ? NULL : PyObject_GetAttrString(module, "timezone");
    PyObject *utc = timezone == NULL ? NULL : PyObject_GetAttrString(timezone, "utc");
    if (utc != NULL) {
        cells->timedelta = PyObject_GetAttrString(module, "timedelta");
        cells->epoch = PyObject_CallMethod(module, "datetime", "iiiiiiiO", 1970, 1, 1, 0, 0, 0, 0, utc);
    }
    Py_XDECREF(utc);
    Py_XDECREF(timezone);
    Py_XDECREF(module);
    return cells->timedelta == NULL || cells->epoch == NULL ? -1 : 0;
}

static void table_cells_close(struct table_cells *cells) {
    Py_CLEAR(cells->epoch);
    Py_CLEAR(cells->timedelta);
}

/* Microseconds of a timestamp in the unit of `format` ("tsu:UTC"), rounded down. */
static int64_t table_time_us(const char *format, int64_t value) {
    switch (format[2]) {
    case 's': return value > INT64_MAX / 1000000 || value < INT64_MIN / 1000000 ? INT64_MAX : value * 1000000;
    case 'm': return value > INT64_MAX / 1000 || value < INT64_MIN / 1000 ? INT64_MAX : value * 1000;
    case 'n': return value / 1000 - (value % 1000 < 0);
    default: return value;
    }
}

static PyObject *table_time(const struct table_cells *cells, int64_t us) {
    char text[LT_ISO_BYTES];
    if (cells->text_times) return PyUnicode_FromStringAndSize(text, (Py_ssize_t)lt_time_sql(us, text));
    enum { DAY_S = 86400, US = 1000000 };
    int64_t seconds = us / US - (us % US < 0), days = seconds / DAY_S - (seconds % DAY_S < 0);
    PyObject *since = PyObject_CallFunction(cells->timedelta, "iii", (int)days, (int)(seconds - days * DAY_S), (int)(us - seconds * US));
    PyObject *time = since == NULL ? NULL : PyNumber_Add(cells->epoch, since);
    Py_XDECREF(since);
    if (time != NULL || !PyErr_ExceptionMatches(PyExc_OverflowError)) return time;
    PyErr_Clear(); /* a year that Python has not: as text */
    return PyUnicode_FromStringAndSize(text, (Py_ssize_t)lt_time_iso(us, text));
}

static PyObject *table_cell(const struct table_cells *cells, const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row);

static PyObject *table_list(const struct table_cells *cells, const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row) {
    int64_t from = ArrowArrayViewListChildOffset(view, row), to = ArrowArrayViewListChildOffset(view, row + 1);
    PyObject *list = PyList_New((Py_ssize_t)(to - from));
    for (int64_t i = from; list != NULL && i < to; i++) {
        PyObject *value = table_cell(cells, schema->children[0], view->children[0], i);
        if (value == NULL || PyList_SetItem(list, (Py_ssize_t)(i - from), value)) Py_CLEAR(list);
    }
    return list;
}

static PyObject *table_whole(const struct table_cells *cells, const struct ArrowSchema *schema, int64_t value) {
    bool is_time = schema->format != NULL && strncmp(schema->format, "ts", 2) == 0 && schema->format[2] != '\0';
    return is_time ? table_time(cells, table_time_us(schema->format, value)) : PyLong_FromLongLong(value);
}

static PyObject *table_cell(const struct table_cells *cells, const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row) {
    if (ArrowArrayViewIsNull(view, row)) Py_RETURN_NONE;
    switch (view->storage_type) {
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_LARGE_STRING: {
        struct ArrowStringView s = ArrowArrayViewGetStringUnsafe(view, row);
        return PyUnicode_DecodeUTF8(s.size_bytes == 0 ? "" : s.data, (Py_ssize_t)s.size_bytes, "replace");
    }
    case NANOARROW_TYPE_BINARY:
    case NANOARROW_TYPE_LARGE_BINARY:
    case NANOARROW_TYPE_FIXED_SIZE_BINARY: {
        struct ArrowBufferView b = ArrowArrayViewGetBytesUnsafe(view, row);
        return PyBytes_FromStringAndSize(b.data.as_char, (Py_ssize_t)b.size_bytes);
    }
    case NANOARROW_TYPE_BOOL: return PyBool_FromLong(ArrowArrayViewGetIntUnsafe(view, row) != 0);
    case NANOARROW_TYPE_INT8:
    case NANOARROW_TYPE_INT16:
    case NANOARROW_TYPE_INT32:
    case NANOARROW_TYPE_INT64:
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_UINT16:
    case NANOARROW_TYPE_UINT32: return table_whole(cells, schema, ArrowArrayViewGetIntUnsafe(view, row));
    case NANOARROW_TYPE_UINT64: return PyLong_FromUnsignedLongLong(ArrowArrayViewGetUIntUnsafe(view, row));
    case NANOARROW_TYPE_HALF_FLOAT:
    case NANOARROW_TYPE_FLOAT:
    case NANOARROW_TYPE_DOUBLE: return PyFloat_FromDouble(ArrowArrayViewGetDoubleUnsafe(view, row));
    case NANOARROW_TYPE_LIST:
    case NANOARROW_TYPE_LARGE_LIST: return table_list(cells, schema, view, row);
    default: Py_RETURN_NONE; /* a foreign file's exotic type: Arrow has it */
    }
}

/* ---- rows ---- */

/* One condition of `equal`: the column's cell must be `value`. */
static int table_row_fits(const struct lt_table *table, const struct table_cells *cells, PyObject *equal, int64_t row) {
    PyObject *name, *wanted;
    Py_ssize_t position = 0;
    while (PyDict_Next(equal, &position, &name, &wanted)) {
        PyObject *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8String(name) : NULL;
        int64_t column = text == NULL ? -1 : lt_table_find(table, PyBytes_AsString(text));
        Py_XDECREF(text);
        if (PyErr_Occurred()) return -1;
        if (column < 0) return 0;
        PyObject *value = table_cell(cells, table->schema.children[column], table->view.children[column], row);
        int same = value == NULL ? -1 : PyObject_RichCompareBool(value, wanted, Py_EQ);
        Py_XDECREF(value);
        if (same != 1) return same;
    }
    return 1;
}

/* A new list of the interned column names. */
static PyObject *table_names(const struct lt_table *table) {
    PyObject *names = PyList_New((Py_ssize_t)lt_table_columns(table));
    for (int64_t i = 0; names != NULL && i < lt_table_columns(table); i++) {
        PyObject *name = ext_text(lt_table_name(table, i));
        if (name != NULL) PyUnicode_InternInPlace(&name);
        if (name == NULL || PyList_SetItem(names, (Py_ssize_t)i, name)) Py_CLEAR(names);
    }
    return names;
}

static PyObject *table_row_dict(const struct lt_table *table, const struct table_cells *cells, PyObject *names, int64_t row) {
    PyObject *dict = PyDict_New();
    for (int64_t i = 0; dict != NULL && i < lt_table_columns(table); i++) {
        PyObject *value = table_cell(cells, table->schema.children[i], table->view.children[i], row);
        if (value == NULL || PyDict_SetItem(dict, PyList_GetItem(names, (Py_ssize_t)i), value)) Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    return dict;
}

static const char table_to_dicts_doc[] =
    "to_dicts($self, text_times=False, equal=None)\n--\n\n"
    "The rows as a list of dicts, column name -> value.\n\n"
    "text_times: times as text 'YYYY-MM-DD HH:MM:SS[.ffffff]' (UTC) instead of datetimes with UTC.\n"
    "equal: dict column -> value; only rows that have these values (none, if there is no such column).";

static PyObject *table_to_dicts(PyObject *object, PyObject *args, PyObject *kwargs) {
    static const char *const keywords[] = {"text_times", "equal", NULL};
    const struct lt_table *table = &((struct table *)object)->data->table;
    int text_times = 0;
    PyObject *equal = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|pO:to_dicts", EXT_NAMES(keywords), &text_times, &equal)) return NULL;
    if (equal != Py_None && !PyDict_Check(equal)) {
        PyErr_SetString(PyExc_TypeError, "equal must be a dict or None");
        return NULL;
    }
    struct table_cells cells;
    int failed = table_cells_open(&cells, text_times != 0);
    PyObject *names = failed ? NULL : table_names(table), *list = names == NULL ? NULL : PyList_New(0);
    for (int64_t row = 0; list != NULL && row < lt_table_rows(table); row++) {
        int fits = equal == Py_None ? 1 : table_row_fits(table, &cells, equal, row);
        PyObject *dict = fits == 1 ? table_row_dict(table, &cells, names, row) : NULL;
        if (fits < 0 || (fits == 1 && (dict == NULL || PyList_Append(list, dict)))) Py_CLEAR(list);
        Py_XDECREF(dict);
    }
    Py_XDECREF(names);
    table_cells_close(&cells);
    return list;
}

static const char table_column_doc[] =
    "column($self, name)\n--\n\n"
    "The values of one column as a list. Raises KeyError when there is no such column.";

static PyObject *table_column(PyObject *object, PyObject *args) {
    const struct lt_table *table = &((struct table *)object)->data->table;
    const char *name;
    if (!PyArg_ParseTuple(args, "s:column", &name)) return NULL;
    int64_t column = lt_table_find(table, name);
    if (column < 0) return PyErr_Format(PyExc_KeyError, "%s", name);
    struct table_cells cells;
    PyObject *list = table_cells_open(&cells, false) ? NULL : PyList_New((Py_ssize_t)lt_table_rows(table));
    for (int64_t row = 0; list != NULL && row < lt_table_rows(table); row++) {
        PyObject *value = table_cell(&cells, table->schema.children[column], table->view.children[column], row);
        if (value == NULL || PyList_SetItem(list, (Py_ssize_t)row, value)) Py_CLEAR(list);
    }
    table_cells_close(&cells);
    return list;
}

static const char table_find_text_doc[] =
    "find_text($self, prefix)\n--\n\n"
    "Where text starts with `prefix`: a list of (row number, column name, text), by row.";

static PyObject *table_find_text(PyObject *object, PyObject *args) {
    const struct lt_table *table = &((struct table *)object)->data->table;
    struct lt_str prefix;
    Py_ssize_t n;
    if (!PyArg_ParseTuple(args, "s#:find_text", &prefix.p, &n)) return NULL;
    prefix.n = (size_t)n;
    PyObject *list = PyList_New(0);
    for (int64_t row = 0; list != NULL && row < lt_table_rows(table); row++) {
        for (int64_t i = 0; list != NULL && i < lt_table_columns(table); i++) {
            struct lt_str text = lt_table_str(table, i, row);
            if (text.p == NULL || text.n < prefix.n || memcmp(text.p, prefix.p, prefix.n) != 0) continue;
            PyObject *value = PyUnicode_DecodeUTF8(text.p, (Py_ssize_t)text.n, "replace");
            PyObject *found = value == NULL ? NULL : Py_BuildValue("LsO", (long long)row, lt_table_name(table, i), value);
            if (found == NULL || PyList_Append(list, found)) Py_CLEAR(list);
            Py_XDECREF(found);
            Py_XDECREF(value);
        }
    }
    return list;
}

/* ---- the object ---- */

static Py_ssize_t table_length(PyObject *object) {
    return (Py_ssize_t)lt_table_rows(&((struct table *)object)->data->table);
}

static PyObject *table_get_num_rows(PyObject *object, void *unused) {
    (void)unused;
    return PyLong_FromSsize_t(table_length(object));
}

static PyObject *table_get_column_names(PyObject *object, void *unused) {
    (void)unused;
    return table_names(&((struct table *)object)->data->table);
}

static PyObject *table_or_none(PyObject *value) {
    if (value == NULL) Py_RETURN_NONE;
    Py_INCREF(value);
    return value;
}

static PyObject *table_get_run_id(PyObject *object, void *unused) {
    (void)unused;
    return table_or_none(((struct table *)object)->run_id);
}

static PyObject *table_get_file_path(PyObject *object, void *unused) {
    (void)unused;
    return table_or_none(((struct table *)object)->file_path);
}

static PyObject *table_get_live(PyObject *object, void *unused) {
    (void)unused;
    return table_or_none(((struct table *)object)->live);
}

static PyObject *table_repr(PyObject *object) {
    const struct lt_table *table = &((struct table *)object)->data->table;
    return PyUnicode_FromFormat("<litmus Table: %lld rows, %lld columns>", (long long)lt_table_rows(table), (long long)lt_table_columns(table));
}

static void table_dealloc(PyObject *object) {
    struct table *self = (struct table *)object;
    PyTypeObject *type = Py_TYPE(object);
    table_data_unref(self->data);
    Py_XDECREF(self->run_id);
    Py_XDECREF(self->file_path);
    Py_XDECREF(self->live);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* A new Table of `type`, the Table class; takes what is in `table`, in every case. */
static PyObject *table_new(PyObject *type, struct lt_table *table) {
    struct table_data *data = calloc(1, sizeof *data);
    allocfunc alloc = (allocfunc)PyType_GetSlot((PyTypeObject *)type, Py_tp_alloc);
    struct table *self = data == NULL ? NULL : (struct table *)alloc((PyTypeObject *)type, 0);
    if (self == NULL || table->schema.release == NULL) {
        if (self != NULL) PyErr_SetString(PyExc_SystemError, "the core gave no table");
        else if (data == NULL) PyErr_NoMemory();
        Py_XDECREF((PyObject *)self);
        free(data);
        lt_table_release(table);
        return NULL;
    }
    atomic_init(&data->refs, 1);
    data->table = *table; /* the view points into the buffers, not into the struct */
    data->table.view.array = &data->table.array;
    lt_table_init(table);
    self->data = data;
    return (PyObject *)self;
}

static PyObject *table_refuse_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)type, (void)args, (void)kwargs;
    PyErr_SetString(PyExc_TypeError, "a Table comes from a query");
    return NULL;
}

static PyGetSetDef table_attributes[] = {
    {"num_rows", table_get_num_rows, NULL, "Number of rows.", NULL},
    {"column_names", table_get_column_names, NULL, "Names of the columns, in order.", NULL},
    {"run_id", table_get_run_id, NULL, "Id of the run that the rows belong to; None when they belong to several.", NULL},
    {"file_path", table_get_file_path, NULL, "The run's file; None for a run in flight.", NULL},
    {"live", table_get_live, NULL, "True when the run is in flight; None when the rows belong to several.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef table_methods[] = {
    {"to_dicts", (PyCFunction)(void (*)(void))table_to_dicts, METH_VARARGS | METH_KEYWORDS, table_to_dicts_doc},
    {"column", table_column, METH_VARARGS, table_column_doc},
    {"find_text", table_find_text, METH_VARARGS, table_find_text_doc},
    {"__arrow_c_stream__", (PyCFunction)(void (*)(void))table_arrow_stream, METH_VARARGS | METH_KEYWORDS, table_stream_doc},
    {"__arrow_c_schema__", table_arrow_schema, METH_NOARGS, "The columns as an Arrow C schema (PyCapsule)."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot table_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)"Rows and named columns, read only. Comes from RunStore and ParquetBackend; speaks Arrow."},
    {Py_tp_new, table_refuse_new},
    {Py_tp_dealloc, table_dealloc},
    {Py_tp_repr, table_repr},
    {Py_sq_length, table_length},
    {Py_tp_methods, table_methods},
    {Py_tp_getset, table_attributes},
    {0, NULL},
};

static PyType_Spec table_spec = {
    .name = "litmus._litmus.Table",
    .basicsize = (int)sizeof(struct table),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = table_slots,
};
