/* SPDX-License-Identifier: Apache-2.0
 *
 * _litmus.Channel, and reading channels. Samples go from the caller's memory to the kernel: by the buffer
 * protocol, or by the Arrow C data interface. litmus/_channels.py is what users see of it.
 */
#include "base/config.h"
#include "channel/channel.h"
#include "ext.h"

/* The buffer protocol joined the stable ABI in 3.11, unchanged since 3.3 and exported by every version. */
#if Py_LIMITED_API + 0 < 0x030b0000
typedef struct {
    void *buf;
    PyObject *obj;
    Py_ssize_t len, itemsize;
    int readonly, ndim;
    char *format;
    Py_ssize_t *shape, *strides, *suboffsets;
    void *internal;
} Py_buffer;
PyAPI_FUNC(int) PyObject_GetBuffer(PyObject *object, Py_buffer *view, int flags);
PyAPI_FUNC(void) PyBuffer_Release(Py_buffer *view);
#define PyBUF_FORMAT 0x0004
#define PyBUF_C_CONTIGUOUS (0x0020 | 0x0010 | 0x0008)
#endif

struct channel {
    PyObject_HEAD
    litmus_channel *handle; /* NULL: closed */
    PyObject *session;
    char uri[400];
    enum litmus_type type;
    int busy;
    pid_t pid;
};

static const char channel_doc[] =
    "Channel(session, channel_id, type='float64', units=None, run_id=None, instrument_role=None, method=None, resource=None)\n--\n\n"
    "A channel of an open Session that is being recorded. Use litmus.open_channel or the channel fixture.\n"
    "May be used by many threads. Raises InvalidArgument, StorageError, StateError.";

static PyObject *channel_new_object(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args, (void)kwargs;
    return ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
}

static int channel_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"session", "channel_id", "type", "units", "run_id", "instrument_role", "method", "resource", NULL};
    struct channel *self = (struct channel *)object;
    struct litmus_channel_options o = {0};
    PyObject *session;
    const char *id, *type = "float64";
    struct litmus_error error = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Os|zzzzzz:Channel", EXT_NAMES(names), &session, &id, &type, &o.units, &o.run_id,
                                     &o.instrument_role, &o.method, &o.resource))
        return -1;
    if ((void *)PyType_GetSlot(Py_TYPE(session), Py_tp_init) != (void *)session_init || self->session != NULL) {
        PyErr_SetString(PyExc_TypeError, "a Channel is made once, with a litmus._litmus.Session");
        return -1;
    }
    struct session *s = (struct session *)session;
    session_note_fork(s);
    int code = LITMUS_OK;
    if (s->handle == NULL) code = lt_fail(&error, LITMUS_ESTATE, 0, "the session is closed");
    else if (!lt_type_parse(type == NULL ? "float64" : type, &o.type)) 
        code = lt_fail(&error, LITMUS_EINVAL, 0, "\"%.40s\" is no type of samples: float64, float32, int8 to uint64", type);
    if (code == LITMUS_OK) {
        s->appending++;
        Py_BEGIN_ALLOW_THREADS
        code = litmus_channel_open(s->handle, id, &o, &self->handle, &error);
        Py_END_ALLOW_THREADS
        s->appending--;
    }
    if (code != LITMUS_OK) {
        ext_raise(&error, EXT_ANYTHING, NULL);
        return -1;
    }
    Py_INCREF(session);
    self->session = session;
    self->type = o.type;
    self->pid = getpid();
    snprintf(self->uri, sizeof self->uri, "%s", litmus_channel_uri(self->handle));
    return 0;
}

static litmus_channel *channel_begin(struct channel *self) {
    struct litmus_error error = {0};
    if (self->pid != getpid()) self->pid = getpid(), self->busy = 0; /* the threads of the parent are not here */
    if (self->handle != NULL) {
        self->busy++;
        return self->handle;
    }
    lt_fail(&error, LITMUS_ESTATE, 0, "the channel is closed");
    ext_raise(&error, EXT_ANYTHING, NULL);
    return NULL;
}

static PyObject *channel_end(struct channel *self, int code, const struct litmus_error *error) {
    self->busy--;
    if (code != LITMUS_OK) return ext_raise(error, EXT_ANYTHING, NULL);
    Py_RETURN_NONE;
}

static PyObject *channel_sample(PyObject *object, PyObject *args) {
    struct channel *self = (struct channel *)object;
    struct litmus_error error;
    error.code = LITMUS_OK, error.text[0] = '\0';
    double value;
    long long time_ns = 0;
    if (!PyArg_ParseTuple(args, "d|L:sample", &value, &time_ns)) return NULL;
    litmus_channel *handle = channel_begin(self);
    if (handle == NULL) return NULL;
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = litmus_channel_sample(handle, time_ns, value, &error);
    Py_END_ALLOW_THREADS
    return channel_end(self, code, &error);
}

/* ---- blocks ---- */

/* A format character of the struct module, or of Arrow, for a size. -1: none of ours. */
static int channel_type_of(char c, Py_ssize_t size) {
    bool real = c == 'd' || c == 'f', whole = strchr("bhilq", c) != NULL, natural = strchr("BHILQ", c) != NULL;
    if (c == '\0' || !(real || whole || natural)) return -1;
    switch (size) {
    case 8: return real ? LITMUS_FLOAT64 : whole ? LITMUS_INT64 : LITMUS_UINT64;
    case 4: return real ? LITMUS_FLOAT32 : whole ? LITMUS_INT32 : LITMUS_UINT32;
    case 2: return real ? -1 : whole ? LITMUS_INT16 : LITMUS_UINT16;
    case 1: return real ? -1 : whole ? LITMUS_INT8 : LITMUS_UINT8;
    default: return -1;
    }
}

static int channel_type_of_format(const char *format, Py_ssize_t size) {
    if (format == NULL) return size == 1 ? LITMUS_UINT8 : -1;
    if (*format == '<' || *format == '=' || *format == '@') format++;
    return format[0] != '\0' && format[1] == '\0' ? channel_type_of(format[0], size) : -1;
}

static int channel_type_of_arrow(const char *format) {
    static const struct {
        char c;
        enum litmus_type type;
    } types[] = {
        {'g', LITMUS_FLOAT64}, {'f', LITMUS_FLOAT32}, {'c', LITMUS_INT8}, {'s', LITMUS_INT16}, {'i', LITMUS_INT32}, {'l', LITMUS_INT64},
        {'C', LITMUS_UINT8}, {'S', LITMUS_UINT16}, {'I', LITMUS_UINT32}, {'L', LITMUS_UINT64},
    };
    for (size_t i = 0; format[0] != '\0' && format[1] == '\0' && i < sizeof types / sizeof types[0]; i++)
        if (types[i].c == format[0]) return (int)types[i].type;
    return -1;
}

static int channel_check(const struct channel *self, int type, const char *what, struct litmus_error *error) {
    if (type == (int)self->type) return LITMUS_OK;
    return lt_fail(error, LITMUS_EINVAL, 0, "%s: the channel holds %s, the block %s: convert it first", what, lt_type_name(self->type),
                   type < 0 ? "something else" : lt_type_name((enum litmus_type)type));
}

static const char channel_block_doc[] =
    "block($self, data, start_ns, interval_ns, times=None)\n--\n\n"
    "Appends the samples of `data` (contiguous, one dimension, of the channel's type): an object with the buffer\n"
    "protocol. times: int64 nanoseconds, one a sample, instead of start_ns (0: now) and interval_ns.";

static PyObject *channel_block(PyObject *object, PyObject *args) {
    struct channel *self = (struct channel *)object;
    struct litmus_error error = {0};
    PyObject *data, *times = Py_None;
    long long start;
    double interval;
    Py_buffer view, time_view = {0};
    if (!PyArg_ParseTuple(args, "OLd|O:block", &data, &start, &interval, &times)) return NULL;
    if (PyObject_GetBuffer(data, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) return NULL;
    if (times != Py_None && PyObject_GetBuffer(times, &time_view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) {
        PyBuffer_Release(&view);
        return NULL;
    }
    size_t count = view.itemsize > 0 ? (size_t)(view.len / view.itemsize) : 0;
    int code = channel_check(self, channel_type_of_format(view.format, view.itemsize), self->uri, &error);
    if (code == LITMUS_OK && view.ndim != 1) code = lt_fail(&error, LITMUS_EINVAL, 0, "%s: a block has one dimension, not %d", self->uri, view.ndim);
    if (code == LITMUS_OK && times != Py_None && (channel_type_of_format(time_view.format, time_view.itemsize) != LITMUS_INT64 || (size_t)time_view.len / 8 != count))
        code = lt_fail(&error, LITMUS_EINVAL, 0, "%s: the times of a block are int64 nanoseconds, one a sample", self->uri);
    litmus_channel *handle = code == LITMUS_OK ? channel_begin(self) : NULL;
    if (handle != NULL) {
        Py_BEGIN_ALLOW_THREADS
        code = times == Py_None ? litmus_channel_block(handle, start, interval, view.buf, count, &error)
                                : litmus_channel_samples(handle, time_view.buf, view.buf, count, &error);
        Py_END_ALLOW_THREADS
        self->busy--;
    }
    if (times != Py_None) PyBuffer_Release(&time_view);
    PyBuffer_Release(&view);
    if (code != LITMUS_OK) return ext_raise(&error, EXT_ANYTHING, NULL);
    if (handle == NULL) return NULL;
    Py_RETURN_NONE;
}

static const char channel_arrow_doc[] =
    "arrow($self, schema, array, start_ns, interval_ns)\n--\n\n"
    "The same for the two capsules that __arrow_c_array__() gives; returns the number of samples.";

static PyObject *channel_arrow(PyObject *object, PyObject *args) {
    struct channel *self = (struct channel *)object;
    struct litmus_error error = {0};
    PyObject *schema_capsule, *array_capsule;
    long long start;
    double interval;
    if (!PyArg_ParseTuple(args, "OOLd:arrow", &schema_capsule, &array_capsule, &start, &interval)) return NULL;
    const struct ArrowSchema *schema = PyCapsule_GetPointer(schema_capsule, "arrow_schema");
    const struct ArrowArray *array = schema == NULL ? NULL : PyCapsule_GetPointer(array_capsule, "arrow_array");
    if (array == NULL) return NULL;
    int type = schema->format == NULL || schema->dictionary != NULL ? -1 : channel_type_of_arrow(schema->format);
    int code = channel_check(self, type, self->uri, &error);
    if (code == LITMUS_OK && (array->n_buffers != 2 || array->length < 0 || array->offset < 0 || (array->null_count != 0 && array->buffers[0] != NULL)))
        code = lt_fail(&error, LITMUS_EINVAL, 0, "%s: a block of samples has no nulls: use NaN, or leave them out", self->uri);
    litmus_channel *handle = code == LITMUS_OK ? channel_begin(self) : NULL;
    if (handle != NULL) {
        const char *values = (const char *)array->buffers[1] + array->offset * lt_type_bytes(self->type);
        Py_BEGIN_ALLOW_THREADS
        code = litmus_channel_block(handle, start, interval, values, (size_t)array->length, &error);
        Py_END_ALLOW_THREADS
        self->busy--;
    }
    if (code != LITMUS_OK) return ext_raise(&error, EXT_ANYTHING, NULL);
    return handle == NULL ? NULL : PyLong_FromLongLong(array->length);
}

/* ---- close ---- */

/* Seals what is still open, once appends of other threads are over. */
static int channel_seal(struct channel *self, const char *reason, struct litmus_error *error) {
    litmus_channel *handle = self->handle;
    if (handle == NULL) return LITMUS_OK;
    if (self->pid != getpid()) self->pid = getpid(), self->busy = 0;
    self->handle = NULL;
    while (self->busy > 0) {
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        Py_END_ALLOW_THREADS
    }
    struct session *s = (struct session *)self->session;
    session_note_fork(s);
    if (s->handle == NULL) lt_channel_detach(handle); /* it cannot be told any more; the samples are sealed all the same */
    int code;
    s->appending++;
    Py_BEGIN_ALLOW_THREADS
    code = litmus_channel_close(handle, reason, error);
    Py_END_ALLOW_THREADS
    s->appending--;
    return code;
}

static PyObject *channel_close(PyObject *object, PyObject *args) {
    struct litmus_error error = {0};
    const char *reason = NULL;
    if (!PyArg_ParseTuple(args, "|z:close", &reason)) return NULL;
    if (channel_seal((struct channel *)object, reason, &error) != LITMUS_OK) return ext_raise(&error, EXT_ANYTHING, NULL);
    Py_RETURN_NONE;
}

/* Nobody holds it any more: a call of one of its methods would, and end it a second time. */
static void channel_dealloc(PyObject *object) {
    struct channel *self = (struct channel *)object;
    PyTypeObject *type = Py_TYPE(object);
    struct litmus_error error = {0};
    if (self->pid == getpid()) (void)channel_seal(self, NULL, &error);
    Py_XDECREF(self->session);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyObject *channel_get_uri(PyObject *object, void *unused) {
    (void)unused;
    return ext_text(((struct channel *)object)->uri);
}

static PyGetSetDef channel_attributes[] = {
    {"uri", channel_get_uri, NULL, "channel://{channel_id}?session={session_id}", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyMethodDef channel_methods[] = {
    {"sample", channel_sample, METH_VARARGS, "sample($self, value, time_ns=0)\n--\n\nAppends one sample; time_ns 0: now."},
    {"block", channel_block, METH_VARARGS, channel_block_doc},
    {"arrow", channel_arrow, METH_VARARGS, channel_arrow_doc},
    {"close", channel_close, METH_VARARGS, "close($self, reason=None)\n--\n\nSeals the file; a second call does nothing."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot channel_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)channel_doc}, {Py_tp_new, channel_new_object},         {Py_tp_init, channel_init},       {Py_tp_dealloc, channel_dealloc},
    {Py_tp_methods, channel_methods},            {Py_tp_getset, channel_attributes}, {0, NULL},
};
static PyType_Spec channel_spec = {
    .name = "litmus._litmus.Channel",
    .basicsize = (int)sizeof(struct channel),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = channel_slots,
};

/* ---- reading ---- */

static const char read_channel_doc[] =
    "read_channel($module, uri, data_dir=None, from_ns=-2**63, to_ns=2**63-1, points=0, view='minmax')\n--\n\n"
    "(type, times, values) of the samples in [from_ns, to_ns), the last two as bytes of int64 and of the type.\n"
    "points: at most so many, as a 'minmax' or 'lttb' view of float64; 0: all.";

static PyObject *module_read_channel(PyObject *module, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"uri", "data_dir", "from_ns", "to_ns", "points", "view", NULL};
    (void)module;
    PyObject *data_dir = NULL, *result = NULL;
    const char *uri, *view = "minmax";
    long long from = INT64_MIN, to = INT64_MAX;
    int points = 0, code;
    struct litmus_error error = {0};
    struct litmus_signal s = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|O&LLis:read_channel", EXT_NAMES(names), &uri, ext_optional_path, &data_dir, &from, &to, &points, &view)) return NULL;
    enum litmus_view kind = strcmp(view, "lttb") == 0 ? LITMUS_VIEW_LTTB : LITMUS_VIEW_MINMAX;
    Py_BEGIN_ALLOW_THREADS
    if (strcmp(view, "minmax") != 0 && kind == LITMUS_VIEW_MINMAX) code = lt_fail(&error, LITMUS_EINVAL, 0, "there is no view \"%.20s\": minmax or lttb", view);
    else if (points == 0) code = litmus_channel_read(ext_path_text(data_dir), uri, from, to, &s, &error);
    else code = litmus_channel_view(ext_path_text(data_dir), uri, from, to, points, kind, &s, &error);
    Py_END_ALLOW_THREADS
    if (code == LITMUS_OK)
        result = Py_BuildValue("(sy#y#)", lt_type_name(s.type), (char *)s.times_ns, (Py_ssize_t)(s.count * 8),
                               (char *)s.values, (Py_ssize_t)(s.count * lt_type_bytes(s.type)));
    else ext_raise(&error, EXT_ANYTHING, NULL);
    litmus_signal_release(&s);
    Py_XDECREF(data_dir);
    return result;
}
