/* SPDX-License-Identifier: Apache-2.0
 *
 * Python values as JSON text. Nothing is refused: what has no JSON form becomes text, so that an
 * odd value never costs the event that carries it.
 *
 *   str              its UTF-8; a lone surrogate as the six characters \udc80
 *   bool, None       true, false, null
 *   int              a number when int64 or uint64 holds it, else text
 *   float            shortest text that reads back as the same; 5.0 stays real; NaN and Inf: null
 *   dict             keys that are no str by str(); list, tuple: an array
 *   bytes, bytearray text, bytes that are no UTF-8 as \xff
 *   numpy scalar     what .item() gives;  dates and times: .isoformat()
 *   the rest         str(); so is what encloses itself or lies deeper than DEPTH_MAX
 */
#include "ext.h"

#include "base/json_text.h"

enum { DEPTH_MAX = 200, JSON_BYTES_MAX = 1 << 30 };

struct json_writer {
    struct lt_buf *out;
    PyObject *enclosing[DEPTH_MAX]; /* containers that are being written, outermost first. Borrowed */
    int depth;
};

static int json_value(struct json_writer *w, PyObject *value);

/* The second character of the escape, 'u' for \u00XX, 0 for bytes that stand for themselves. */
static const char json_escapes[256] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b', 't', 'n', 'u', 'f', 'r', 'u', 'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',
    ['"'] = '"', ['\\'] = '\\', [0x7f] = 'u',
};

/* Does none of eight bytes need an escape? May say no of bytes above 0x7f. */
static bool json_plain_word(uint64_t word) {
    const uint64_t ones = UINT64_C(0x0101010101010101), high = UINT64_C(0x8080808080808080);
    uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\'), del = word ^ (ones * 0x7f);
    return ((word | (word - ones * 0x20) | (quote - ones) | (backslash - ones) | (del - ones)) & high) == 0;
}

/* Text whose whole escaped form has room: a word at a time while nothing is to be escaped, then byte for byte. */
static void json_utf8_short(struct lt_buf *out, const char *p, size_t n) {
    static const char hex[] = "0123456789abcdef";
    char *to = out->p + out->n;
    size_t i = 0;
    *to++ = '"';
    for (uint64_t word; i + sizeof word <= n; i += sizeof word, to += sizeof word) {
        memcpy(&word, p + i, sizeof word);
        if (!json_plain_word(word)) break;
        memcpy(to, &word, sizeof word);
    }
    for (; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        char escape = json_escapes[c];
        if (escape == 0) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '\\';
        *to++ = escape;
        if (escape != 'u') continue;
        memcpy(to, "00", 2);
        to[2] = hex[c >> 4];
        to[3] = hex[c & 15];
        to += 4;
    }
    *to++ = '"';
    out->n = (size_t)(to - out->p);
}

/* Long text: what needs no escape is copied in pieces. */
static void json_utf8_long(struct lt_buf *out, const char *p, size_t n) {
    size_t from = 0;
    lt_buf_add_char(out, '"');
    for (size_t i = 0; i < n; i++) {
        char escape = json_escapes[(unsigned char)p[i]];
        if (escape == 0) continue;
        lt_buf_add(out, p + from, i - from);
        from = i + 1;
        if (escape == 'u') lt_buf_addf(out, "\\u%04x", (unsigned)(unsigned char)p[i]);
        else lt_buf_add(out, (char[]){'\\', escape}, 2);
    }
    lt_buf_add(out, p + from, n - from);
    lt_buf_add_char(out, '"');
}

static void json_utf8(struct lt_buf *out, const char *p, size_t n) {
    enum { SHORT_BYTES_MAX = 512, ESCAPE_BYTES_MAX = 6 };
    if (n <= SHORT_BYTES_MAX && lt_buf_reserve(out, ESCAPE_BYTES_MAX * n + 2)) json_utf8_short(out, p, n);
    else json_utf8_long(out, p, n);
}

static PyObject *ext_utf8(PyObject *text) {
    PyObject *bytes = PyUnicode_AsUTF8String(text);
    if (bytes != NULL || !PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return bytes;
    PyErr_Clear();
    return PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
}

static int json_str(struct json_writer *w, PyObject *text) {
    Py_ssize_t n = 0;
    const char *p = PyUnicode_AsUTF8AndSize(text, &n); /* the object's own, no copy of ASCII */
    if (p != NULL) {
        json_utf8(w->out, p, (size_t)n);
        return 0;
    }
    PyErr_Clear();
    PyObject *bytes = ext_utf8(text);
    if (bytes == NULL) return -1;
    json_utf8(w->out, PyBytes_AsString(bytes), (size_t)PyBytes_Size(bytes));
    Py_DECREF(bytes);
    return 0;
}

/* str(value). A __str__ that raises is one more odd value; Ctrl-C inside it is not. */
static PyObject *json_text_of(PyObject *value) {
    PyObject *text = PyObject_Str(value);
    if (text != NULL || !PyErr_ExceptionMatches(PyExc_Exception)) return text;
    PyErr_Clear();
    PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__name__");
    text = name == NULL ? NULL : PyUnicode_FromFormat("<%S object, unprintable>", name);
    Py_XDECREF(name);
    return text;
}

static int json_by_text(struct json_writer *w, PyObject *value) {
    PyObject *text = json_text_of(value);
    if (text == NULL) return -1;
    int failed = json_str(w, text);
    Py_DECREF(text);
    return failed;
}

static int json_int(struct json_writer *w, PyObject *value) {
    int overflow = 0;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (number == -1 && PyErr_Occurred()) return -1;
    if (overflow == 0) {
        lt_json_int(w->out, number);
        return 0;
    }
    unsigned long long large = overflow > 0 ? PyLong_AsUnsignedLongLong(value) : (unsigned long long)-1;
    if (overflow < 0 || PyErr_Occurred()) {
        PyErr_Clear();
        return json_by_text(w, value);
    }
    lt_buf_addf(w->out, "%llu", large);
    return 0;
}

static int json_float(struct json_writer *w, PyObject *value) {
    lt_json_real(w->out, PyFloat_AsDouble(value));
    return 0;
}

/* false: `value` encloses itself or lies too deep. */
static bool json_enter(struct json_writer *w, PyObject *value) {
    if (w->depth == DEPTH_MAX) return false;
    for (int i = 0; i < w->depth; i++)
        if (w->enclosing[i] == value) return false;
    w->enclosing[w->depth++] = value;
    return true;
}

static int json_key(struct json_writer *w, PyObject *key) {
    int failed = PyUnicode_Check(key) ? json_str(w, key) : json_by_text(w, key);
    lt_buf_add_char(w->out, ':');
    return failed;
}

/* Keys and values are held while Python code may run (a __str__ that changes the dict). */
static int json_dict(struct json_writer *w, PyObject *dict) {
    PyObject *key, *value;
    Py_ssize_t position = 0, left = PyDict_Size(dict);
    bool first = true;
    int failed = 0;
    lt_buf_add_char(w->out, '{');
    while (!failed && left-- > 0 && PyDict_Next(dict, &position, &key, &value)) {
        Py_INCREF(key);
        Py_INCREF(value);
        if (!first) lt_buf_add_char(w->out, ',');
        first = false;
        failed = json_key(w, key) || json_value(w, value) ? -1 : 0;
        Py_DECREF(key);
        Py_DECREF(value);
    }
    lt_buf_add_char(w->out, '}');
    return failed;
}

static int json_list(struct json_writer *w, PyObject *list) {
    bool tuple = PyTuple_Check(list);
    int failed = 0;
    lt_buf_add_char(w->out, '[');
    for (Py_ssize_t i = 0; !failed && i < (tuple ? PyTuple_Size(list) : PyList_Size(list)); i++) {
        PyObject *value = tuple ? PyTuple_GetItem(list, i) : PyList_GetItem(list, i);
        if (value == NULL) return -1;
        Py_INCREF(value);
        if (i > 0) lt_buf_add_char(w->out, ',');
        failed = json_value(w, value);
        Py_DECREF(value);
    }
    lt_buf_add_char(w->out, ']');
    return failed;
}

static int json_container(struct json_writer *w, PyObject *value) {
    if (!json_enter(w, value)) return json_by_text(w, value);
    int failed = PyDict_Check(value) ? json_dict(w, value) : json_list(w, value);
    w->depth--;
    return failed;
}

static int json_bytes(struct json_writer *w, PyObject *value) {
    PyObject *text = PyUnicode_FromEncodedObject(value, "utf-8", "backslashreplace");
    if (text == NULL) return -1;
    int failed = json_str(w, text);
    Py_DECREF(text);
    return failed;
}

/* Asks the type, not the object: mocks have every attribute. */
static bool type_has(PyObject *value, const char *name) {
    return PyObject_HasAttrString((PyObject *)Py_TYPE(value), name);
}

/* The plainer value that `value` offers to stand for it, or NULL without an exception. */
static PyObject *json_plainer(PyObject *value) {
    const char *method = type_has(value, "dtype") && type_has(value, "item") ? "item" : type_has(value, "isoformat") ? "isoformat" : NULL;
    if (method == NULL) return NULL;
    PyObject *plain = PyObject_CallMethod(value, method, NULL);
    if (plain == NULL && PyErr_ExceptionMatches(PyExc_Exception)) PyErr_Clear(); /* an array of many items, say */
    if (plain != NULL && Py_TYPE(plain) == Py_TYPE(value)) Py_CLEAR(plain);
    return plain;
}

static int json_other(struct json_writer *w, PyObject *value) {
    if (PyBytes_Check(value) || PyByteArray_Check(value)) return json_bytes(w, value);
    PyObject *plain = w->depth < DEPTH_MAX ? json_plainer(value) : NULL;
    if (PyErr_Occurred()) return -1;
    if (plain == NULL) return json_by_text(w, value);
    w->enclosing[w->depth++] = value; /* each step counts as depth: it ends */
    int failed = json_value(w, plain);
    w->depth--;
    Py_DECREF(plain);
    return failed;
}

static int json_value(struct json_writer *w, PyObject *value) {
    if (w->out->n > JSON_BYTES_MAX) {
        PyErr_SetString(PyExc_ValueError, "the payload takes more than 1 GiB as JSON: record a reference to a file instead");
        return -1;
    }
    if (PyUnicode_Check(value)) return json_str(w, value);
    if (value == Py_None) lt_buf_add_text(w->out, "null");
    else if (value == Py_True) lt_buf_add_text(w->out, "true");
    else if (value == Py_False) lt_buf_add_text(w->out, "false");
    else if (PyLong_Check(value)) return json_int(w, value);
    else if (PyFloat_Check(value)) return json_float(w, value);
    else if (PyDict_Check(value) || PyList_Check(value) || PyTuple_Check(value)) return json_container(w, value);
    else return json_other(w, value);
    return 0;
}

static int ext_json(struct lt_buf *out, PyObject *value) {
    struct json_writer w = {.out = out};
    int failed = json_value(&w, value);
    if (!failed && out->failed) {
        PyErr_NoMemory();
        return -1;
    }
    return failed;
}
