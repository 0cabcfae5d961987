/* SPDX-License-Identifier: Apache-2.0
 *
 * ext.h - what the parts of the extension share. The extension converts, calls and converts back;
 * whatever decides anything is in src/.
 *
 * Always true:
 *  - Only the stable ABI of CPython 3.9: one binary serves every later version.
 *  - The GIL is released around every call that may touch the disk or wait; no Python code runs
 *    while one of our locks is held.
 *  - A failure of the core becomes an exception through litmus.errors.from_code and nowhere else.
 */
#ifndef LT_PYTHON_EXT_H
#define LT_PYTHON_EXT_H

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x03090000
#endif
#include <Python.h>

/* Stable since 3.10. CPython 3.9 has it just so, and shows it to those alone who ask for the whole API. */
#if Py_LIMITED_API < 0x030a0000
PyAPI_FUNC(const char *) PyUnicode_AsUTF8AndSize(PyObject *text, Py_ssize_t *bytes);
#endif

#include "base/buf.h"
#include "base/error.h"

#pragma GCC diagnostic ignored "-Wpedantic" /* CPython's tables hold functions as void * */
/* Keyword names for the argument parser, which takes them without const before 3.13. */
#define EXT_NAMES(names) ((char **)(uintptr_t)(names))

/* What a failed call was about, for errors whose class depends on it. */
enum ext_subject {
    EXT_ANYTHING, /* the code alone decides */
    EXT_A_RUN,    /* ENOENT: RunNotFound */
};

/* Raises the exception of `error`; returns NULL. `file_path` (may be NULL) is the file it is about. */
static PyObject *ext_raise(const struct litmus_error *error, enum ext_subject subject, const char *file_path) {
    PyObject *module = PyImport_ImportModule("litmus.errors");
    PyObject *text = PyUnicode_DecodeUTF8(error->text, (Py_ssize_t)strlen(error->text), "replace");
    PyObject *path = file_path == NULL ? NULL : PyUnicode_DecodeFSDefault(file_path);
    PyObject *exception = NULL;
    if (module != NULL && text != NULL && (file_path == NULL || path != NULL))
        exception = PyObject_CallMethod(module, "from_code", "iiOsO", error->code, error->os_errno, text,
                                        subject == EXT_A_RUN ? "run" : "", path == NULL ? Py_None : path);
    if (exception != NULL) PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_XDECREF(exception);
    Py_XDECREF(path);
    Py_XDECREF(text);
    Py_XDECREF(module);
    return NULL;
}

/* For "O&": None gives NULL, str, bytes and path-like objects a new bytes object. */
static int ext_optional_path(PyObject *value, void *out) {
    PyObject **path = out;
    if (value == NULL) { /* the parser gives up: cleaning */
        Py_CLEAR(*path);
        return 1;
    }
    *path = NULL;
    if (value == Py_None) return Py_CLEANUP_SUPPORTED;
    return PyUnicode_FSConverter(value, path);
}

/* The text of a path that ext_optional_path gave; NULL for None. Borrowed. */
static const char *ext_path_text(PyObject *path) {
    return path == NULL ? NULL : PyBytes_AsString(path);
}

static PyObject *ext_text(const char *text) {
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

/* Adds `value` (taken, may be NULL after a failure) to `dict` under `name`. */
static int ext_set(PyObject *dict, const char *name, PyObject *value) {
    int failed = value == NULL ? -1 : PyDict_SetItemString(dict, name, value);
    Py_XDECREF(value);
    return failed;
}

/* ext_json.c: a str as it goes on record: new bytes, a lone surrogate as the six characters \udc80. */
static PyObject *ext_utf8(PyObject *text);
/* ext_json.c: appends `value` as JSON text. 0, or -1 with an exception. */
static int ext_json(struct lt_buf *out, PyObject *value);

#endif
