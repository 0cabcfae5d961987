/* SPDX-License-Identifier: Apache-2.0
 *
 * _litmus.Limit: a limit that was checked once and judges many values. What it decides is in src/model/limit.c.
 *
 * Always true: immutable after __init__, so that threads may share one.
 */
#include "ext.h"

#include "model/limit.h"

#include <math.h>

struct limit_object {
    PyObject_HEAD
    struct lt_limit limit; /* its texts are owned */
};

static const char limit_doc[] =
    "Limit(what, low=None, high=None, nominal=None, comparator=None)\n--\n\n"
    "A limit that can judge. what: whose it is, for messages. low, high: numbers; nominal: a number or a str; comparator:\n"
    "GELE (the default), GELT, GTLE, GTLT, GE, GT, LE, LT, EQ, NE; of a str EQ (the default) or NE.\n"
    "Raises InvalidArgument for a limit that cannot judge, TypeError for a bound that is no number.";

static int limit_refuse(const char *what, const char *name, const char *why) {
    struct litmus_error error = {0};
    lt_fail(&error, LITMUS_EINVAL, 0, "the limit of %.100s cannot judge: %s is %s", what, name, why);
    ext_raise(&error, EXT_ANYTHING, NULL);
    return -1;
}

/* Whether a number is infinite itself, not only as a double. */
static bool limit_is_infinite(PyObject *value, double number) {
    PyObject *infinite = PyFloat_FromDouble(number);
    int same = infinite == NULL ? -1 : PyObject_RichCompareBool(value, infinite, Py_EQ);
    Py_XDECREF(infinite);
    PyErr_Clear();
    return same == 1;
}

/* A bound into *out, NAN for None. */
static int limit_bound(const char *what, const char *name, PyObject *value, double *out) {
    static const char too_large[] = "larger than any floating-point number";
    *out = NAN;
    if (value == Py_None) return 0;
    *out = PyUnicode_Check(value) ? -1.0 : PyFloat_AsDouble(value);
    if (PyUnicode_Check(value) || (*out == -1.0 && PyErr_Occurred())) {
        bool overflow = PyErr_Occurred() != NULL && PyErr_ExceptionMatches(PyExc_OverflowError);
        PyErr_Clear();
        if (overflow) return limit_refuse(what, name, too_large);
        PyErr_Format(PyExc_TypeError, "the limit of %s: %s is a number, not %.100R", what, name, value);
        return -1;
    }
    if (isinf(*out) && !limit_is_infinite(value, *out)) return limit_refuse(what, name, too_large);
    return isnan(*out) ? limit_refuse(what, name, "NaN") : 0;
}

/* A copy of a str as it goes on record. */
static int limit_text(PyObject *text, struct lt_str *out) {
    PyObject *bytes = ext_utf8(text);
    if (bytes == NULL) return -1;
    size_t n = (size_t)PyBytes_Size(bytes);
    char *copy = malloc(n + 1);
    if (copy == NULL) PyErr_NoMemory();
    else *out = (struct lt_str){memcpy(copy, PyBytes_AsString(bytes), n + 1), n};
    Py_DECREF(bytes);
    return copy == NULL ? -1 : 0;
}

static void limit_release(struct lt_limit *limit) {
    free((char *)(uintptr_t)limit->text.p);
    free((char *)(uintptr_t)limit->comparator);
    limit->text = LT_STR_NULL;
    limit->comparator = NULL;
}

static int limit_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"what", "low", "high", "nominal", "comparator", NULL};
    struct lt_limit *limit = &((struct limit_object *)object)->limit;
    const char *what, *comparator = NULL;
    PyObject *low = Py_None, *high = Py_None, *nominal = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|OOOz:Limit", EXT_NAMES(names), &what, &low, &high, &nominal, &comparator)) return -1;
    limit_release(limit); /* should somebody call __init__ again */
    limit->nominal = NAN;
    if (limit_bound(what, "low", low, &limit->low) || limit_bound(what, "high", high, &limit->high)) return -1;
    if (PyUnicode_Check(nominal) ? limit_text(nominal, &limit->text) : limit_bound(what, "nominal", nominal, &limit->nominal)) return -1;
    if (comparator != NULL && (limit->comparator = strdup(comparator)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    struct litmus_error error = {0};
    if (lt_limit_check(limit, what, &error) == LITMUS_OK) return 0;
    ext_raise(&error, EXT_ANYTHING, NULL);
    return -1;
}

static void limit_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    limit_release(&((struct limit_object *)object)->limit);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyObject *limit_judge(PyObject *object, PyObject *value) {
    const struct lt_limit *limit = &((struct limit_object *)object)->limit;
    if (PyUnicode_Check(value)) {
        PyObject *bytes = ext_utf8(value);
        if (bytes == NULL) return NULL;
        const char *outcome = lt_limit_judge_text(limit, (struct lt_str){PyBytes_AsString(bytes), (size_t)PyBytes_Size(bytes)});
        Py_DECREF(bytes);
        return ext_text(outcome);
    }
    double number = value == Py_None ? NAN : PyFloat_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred()) return NULL;
    return ext_text(lt_limit_judge(limit, number));
}

static PyObject *limit_get_comparator(PyObject *object, void *unused) {
    (void)unused;
    const struct lt_limit *limit = &((struct limit_object *)object)->limit;
    if (!lt_limit_any(limit)) Py_RETURN_NONE;
    return ext_text(lt_limit_comparator(limit));
}

static PyMethodDef limit_methods[] = {
    {"judge", limit_judge, METH_O,
     "judge($self, value, /)\n--\n\nThe outcome of a number, bool, str or None (could not be measured): 'passed', 'failed', 'done' (nothing to judge by), 'errored'."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef limit_attributes[] = {
    {"comparator", limit_get_comparator, NULL, "The comparator in force; None: nothing to judge by.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot limit_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)limit_doc},
    {Py_tp_init, limit_init},
    {Py_tp_dealloc, limit_dealloc},
    {Py_tp_methods, limit_methods},
    {Py_tp_getset, limit_attributes},
    {0, NULL},
};

static PyType_Spec limit_spec = {
    .name = "litmus._litmus.Limit",
    .basicsize = (int)sizeof(struct limit_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = limit_slots,
};
