/* SPDX-License-Identifier: Apache-2.0
 *
 * _litmus: the extension behind the litmus package. One translation unit, since the build takes
 * one: the parts are the ext_*.c that it includes.
 */
#include "ext.h"

#include "base/config.h"
#include "base/io.h"
#include "base/yaml.h"
#include "model/event.h"
#include "serve/daemon.h"

#include "ext_json.c"
#include "ext_session.c"
#include "ext_table.c"
#include "ext_query.c"
#include "ext_channel.c"
#include "ext_limit.c"

/* ---- functions of the module ---- */

/* JSON text as the value that Python's own json makes of it. */
static PyObject *module_from_json(struct lt_buf *json) {
    PyObject *module = PyImport_ImportModule("json");
    PyObject *value = module == NULL ? NULL : PyObject_CallMethod(module, "loads", "s#", lt_buf_cstr(json), (Py_ssize_t)json->n);
    Py_XDECREF(module);
    return value;
}

static const char config_doc[] =
    "config($module, folder=None)\n--\n\n"
    "The nearest litmus.yaml upwards from `folder` (None: the current one), as a dict; {} without one.\n"
    "Raises ConfigError (names file, line and remedy).";

static PyObject *module_config(PyObject *module, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"folder", NULL};
    (void)module;
    PyObject *folder = NULL, *value = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O&:config", EXT_NAMES(names), ext_optional_path, &folder)) return NULL;
    struct litmus_error error = {0};
    struct lt_buf json;
    lt_buf_init(&json);
    int code = lt_config_json(ext_path_text(folder), &json, NULL, &error);
    if (code == LITMUS_OK) value = module_from_json(&json);
    else ext_raise(&error, EXT_ANYTHING, NULL);
    lt_buf_release(&json);
    Py_XDECREF(folder);
    return value;
}

static const char yaml_file_doc[] =
    "yaml_file($module, path)\n--\n\n"
    "The mapping that a YAML file holds, as a dict; {} when it is empty. Raises ConfigError (names file and line), StorageError.";

static PyObject *module_yaml_file(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *path = NULL, *value = NULL;
    if (!PyArg_ParseTuple(args, "O&:yaml_file", ext_optional_path, &path)) return NULL;
    struct litmus_error error = {0};
    struct lt_buf text, json;
    lt_buf_init(&text);
    lt_buf_init(&json);
    int code = lt_io_read_file(ext_path_text(path), LT_YAML_BYTES_MAX, &text, &error);
    if (code == LITMUS_OK) code = lt_yaml_to_json((struct lt_str){lt_buf_cstr(&text), text.n}, ext_path_text(path), &json, NULL, &error);
    if (code == LITMUS_OK) value = module_from_json(&json);
    else ext_raise(&error, EXT_ANYTHING, NULL);
    lt_buf_release(&text);
    lt_buf_release(&json);
    Py_XDECREF(path);
    return value;
}

static const char yaml_locate_doc[] =
    "yaml_locate($module, path, keys)\n--\n\n"
    "(line, column), from 1, of what `keys` (a tuple of bytes: keys of mappings, numbers of elements) lead to in a YAML file; of the\n"
    "last of them that is there. Raises ConfigError, StorageError.";

enum { LOCATE_KEYS_MAX = LT_YAML_DEPTH_MAX };

static PyObject *module_yaml_locate(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *path = NULL, *keys = NULL, *value = NULL;
    if (!PyArg_ParseTuple(args, "O&O!:yaml_locate", ext_optional_path, &path, &PyTuple_Type, &keys)) return NULL;
    struct litmus_error error = {0};
    struct lt_yaml_place place;
    struct lt_str parts[LOCATE_KEYS_MAX];
    struct lt_buf text;
    lt_buf_init(&text);
    Py_ssize_t count = PyTuple_Size(keys) < LOCATE_KEYS_MAX ? PyTuple_Size(keys) : LOCATE_KEYS_MAX, known = 0;
    for (; known < count; known++) {
        char *key;
        Py_ssize_t n;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(keys, known), &key, &n)) break;
        parts[known] = (struct lt_str){key, (size_t)n};
    }
    if (known == count) {
        int code = lt_io_read_file(ext_path_text(path), LT_YAML_BYTES_MAX, &text, &error);
        if (code == LITMUS_OK) code = lt_yaml_locate((struct lt_str){lt_buf_cstr(&text), text.n}, ext_path_text(path), parts, (size_t)count, &place, &error);
        if (code == LITMUS_OK) value = Py_BuildValue("nn", (Py_ssize_t)place.line, (Py_ssize_t)place.column);
        else ext_raise(&error, EXT_ANYTHING, NULL);
    }
    lt_buf_release(&text);
    Py_XDECREF(path);
    return value;
}

static const char data_dir_doc[] =
    "data_dir($module, arg=None)\n--\n\n"
    "Absolute path of the data directory: `arg`, LITMUS_DATA_DIR, data_dir of the nearest litmus.yaml,\n"
    "LITMUS_HOME/data, XDG_DATA_HOME/litmus/data, ~/.local/share/litmus/data. Not created.\n"
    "Raises ConfigError.";

static PyObject *module_data_dir(PyObject *module, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"arg", NULL};
    (void)module;
    PyObject *arg = NULL, *value = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O&:data_dir", EXT_NAMES(names), ext_optional_path, &arg)) return NULL;
    struct litmus_error error = {0};
    struct lt_buf path;
    lt_buf_init(&path);
    if (lt_data_dir_find(ext_path_text(arg), &path, &error) == LITMUS_OK) value = PyUnicode_DecodeFSDefault(lt_buf_cstr(&path));
    else ext_raise(&error, EXT_ANYTHING, NULL);
    lt_buf_release(&path);
    Py_XDECREF(arg);
    return value;
}

static const char start_daemon_doc[] =
    "start_daemon($module, data_dir=None, exe=None)\n--\n\n"
    "Starts the runs daemon of a data directory unless one runs; returns at once. exe: path of the\n"
    "litmus program; None: found on PATH. Raises StorageError and others when it cannot be started.";

static PyObject *module_start_daemon(PyObject *module, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"data_dir", "exe", NULL};
    (void)module;
    PyObject *data_dir = NULL, *exe = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O&O&:start_daemon", EXT_NAMES(names), ext_optional_path, &data_dir, ext_optional_path, &exe)) return NULL;
    struct litmus_error error = {0};
    struct lt_buf dir;
    lt_buf_init(&dir);
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = lt_data_dir_find(ext_path_text(data_dir), &dir, &error);
    if (code == LITMUS_OK) code = lt_daemon_spawn(ext_path_text(exe), lt_buf_cstr(&dir), &error);
    Py_END_ALLOW_THREADS
    lt_buf_release(&dir);
    Py_XDECREF(data_dir);
    Py_XDECREF(exe);
    if (code != LITMUS_OK) return ext_raise(&error, EXT_ANYTHING, NULL);
    Py_RETURN_NONE;
}

/* ---- the event table ---- */

static PyObject *field_dict(const struct lt_field *field) {
    static const char *const needs[] = {[LT_FIELD_REQ] = "required", [LT_FIELD_OPT] = "optional", [LT_FIELD_KEY] = "key"};
    PyObject *dict = PyDict_New();
    struct lt_buf json = {0};
    if (field->default_json != NULL) lt_buf_add_text(&json, field->default_json);
    if (dict != NULL
        && (ext_set(dict, "name", ext_text(field->name)) || ext_set(dict, "type", ext_text(lt_field_type_name(field->type)))
            || ext_set(dict, "need", ext_text(needs[field->need]))
            || ext_set(dict, "default", json.n == 0 ? Py_BuildValue("") : module_from_json(&json)) || ext_set(dict, "meaning", ext_text(field->meaning))))
        Py_CLEAR(dict);
    lt_buf_release(&json);
    return dict;
}

static PyObject *event_dict(const struct lt_event_type *type) {
    static const char *const scopes[] = {[LT_SCOPE_NO_RUN] = "session", [LT_SCOPE_RUN] = "run", [LT_SCOPE_ANY] = "any"};
    PyObject *fields = PyList_New(0), *dict = PyDict_New();
    for (size_t i = 0; fields != NULL && i < type->field_count; i++) {
        PyObject *field = field_dict(&type->fields[i]);
        if (field == NULL || PyList_Append(fields, field)) Py_CLEAR(fields);
        Py_XDECREF(field);
    }
    if (fields == NULL || dict == NULL
        || ext_set(dict, "scope", ext_text(scopes[type->scope])) || ext_set(dict, "meaning", ext_text(type->meaning))
        || PyDict_SetItemString(dict, "fields", fields))
        Py_CLEAR(dict);
    Py_XDECREF(fields);
    return dict;
}

static const char event_types_doc[] =
    "event_types($module)\n--\n\n"
    "The event table as a new dict: event type -> {scope: 'session' | 'run' | 'any', meaning, fields:\n"
    "[{name, type, need: 'required' | 'optional' | 'key' (present, may be None), default, meaning}]}.";

static PyObject *module_event_types(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    PyObject *types = PyDict_New();
    for (int i = 0; types != NULL && i < LT_EVENT_COUNT; i++)
        if (ext_set(types, lt_event_types[i].name, event_dict(&lt_event_types[i]))) Py_CLEAR(types);
    return types;
}

/* ---- the module ---- */

static PyMethodDef module_functions[] = {
    {"config", (PyCFunction)(void (*)(void))module_config, METH_VARARGS | METH_KEYWORDS, config_doc},
    {"data_dir", (PyCFunction)(void (*)(void))module_data_dir, METH_VARARGS | METH_KEYWORDS, data_dir_doc},
    {"yaml_file", module_yaml_file, METH_VARARGS, yaml_file_doc},
    {"yaml_locate", module_yaml_locate, METH_VARARGS, yaml_locate_doc},
    {"read_parquet", module_read_parquet, METH_VARARGS, read_parquet_doc},
    {"start_daemon", (PyCFunction)(void (*)(void))module_start_daemon, METH_VARARGS | METH_KEYWORDS, start_daemon_doc},
    {"read_channel", (PyCFunction)(void (*)(void))module_read_channel, METH_VARARGS | METH_KEYWORDS, read_channel_doc},
    {"event_types", module_event_types, METH_NOARGS, event_types_doc},
    {NULL, NULL, 0, NULL},
};

static int module_add(PyObject *module, const char *name, PyObject *value) {
    int failed = value == NULL ? -1 : PyObject_SetAttrString(module, name, value);
    Py_XDECREF(value);
    return failed;
}

static PyObject *code_numbers(void) {
    PyObject *codes = PyDict_New();
#define ADD_CODE(name, number, text) \
    if (codes != NULL && ext_set(codes, #name, PyLong_FromLong(number))) Py_CLEAR(codes);
    LITMUS_CODES(ADD_CODE)
#undef ADD_CODE
    return codes;
}

static int module_exec(PyObject *module) {
    return module_add(module, "version", ext_text(litmus_version())) || module_add(module, "codes", code_numbers())
                || module_add(module, "Session", PyType_FromSpec(&session_spec))
                || module_add(module, "Channel", PyType_FromSpec(&channel_spec))
                || module_add(module, "Table", PyType_FromSpec(&table_spec)) || module_add(module, "Query", PyType_FromSpec(&query_spec))
                || module_add(module, "Limit", PyType_FromSpec(&limit_spec))
                || module_add(module, "Follow", PyType_FromSpec(&follow_spec))
        ? -1
        : 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "litmus._litmus",
    .m_doc = "The core of litmus: record and read back. Use the litmus package; this is what it is made of.",
    .m_methods = module_functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__litmus(void) {
    return PyModuleDef_Init(&module_definition);
}
