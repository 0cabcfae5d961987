/* SPDX-License-Identifier: Apache-2.0
 *
 * _litmus.Session: the producer's handle.
 *
 * Always true:
 *  - `handle` is only read and changed under the GIL; `appending` counts the calls that use it
 *    without the GIL, and close waits for them.
 *  - A forked child shares no call with its parent's threads: it counts anew, and its close seals
 *    the child's own log and nothing else.
 */
#include "emit/durability.h"
#include "emit/session.h"
#include "ext.h"

#include <time.h>

struct session {
    PyObject_HEAD
    litmus_session *handle; /* NULL: closed */
    char *data_dir, *log_path;
    char id[LT_UUID_BYTES];
    long long rows;    /* those at close */
    struct lt_buf buf; /* of the emit under way, lent out by taking it away */
    int appending;
};

static const char session_doc[] =
    "Session(data_dir=None, session_id=None, joined=False, payload=None, daemon=True, durability=None, group_ms=100, daemon_exe=None)\n"
    "--\n\n"
    "A producer's session: opens a log file of its own below data_dir/events.\n\n"
    "data_dir: folder (str or path); None: LITMUS_DATA_DIR, litmus.yaml, LITMUS_HOME, XDG, in that order.\n"
    "session_id: uuid of 36 characters; None: a new one. Set to join a session of another process.\n"
    "joined: another process owns the session: no session.* events, no daemon, close() only seals.\n"
    "payload: dict of fields of session.started.\n"
    "daemon: start the runs daemon if none runs; False: close() writes the runs' files itself.\n"
    "durability: what a power loss may take: 'each' (nothing), 'group' or 'group N ms' (what came since the\n"
    "last sync; there is one every group_ms), 'os' (the last second, which the daemon has not synced yet);\n"
    "None: LITMUS_DURABILITY, litmus.yaml, 'os', in that order.\n"
    "daemon_exe: path of the litmus program; None: found beside the interpreter.\n\n"
    "Attributes: id, data_dir, log_path, rows (events in this process's log), closed.\n"
    "May be used by many threads. A forked child that emits gets a log file of its own.\n"
    "Raises ConfigError, StorageError, FormatVersionError, EventError, InvalidArgument.";

/* ---- open ---- */

struct session_arguments {
    PyObject *data_dir, *daemon_exe, *payload; /* data_dir, daemon_exe: bytes, owned; payload: borrowed */
    const char *session_id, *durability;
    int joined, daemon, group_ms;
};

static int session_durability(const struct session_arguments *args, struct litmus_session_options *options) {
    if (args->durability == NULL || lt_durability_parse(args->durability, &options->durability, &options->group_ms)) return 0;
    struct litmus_error error = {0};
    lt_fail(&error, LITMUS_EINVAL, 0, "durability \"%.40s\" is none of os, each, group N ms", args->durability);
    ext_raise(&error, EXT_ANYTHING, NULL);
    return -1;
}

/* The program that is the daemon: what was given, else what litmus._exe finds. */
static int session_find_exe(struct session_arguments *args) {
    if (args->daemon_exe != NULL || !args->daemon || args->joined) return 0;
    PyObject *module = PyImport_ImportModule("litmus._exe");
    PyObject *path = module == NULL ? NULL : PyObject_CallMethod(module, "find", NULL);
    int ok = path != NULL && ext_optional_path(path, &args->daemon_exe);
    Py_XDECREF(path);
    Py_XDECREF(module);
    return ok ? 0 : -1;
}

static int session_open(struct session *self, struct session_arguments *args) {
    struct litmus_session_options options = {
        .data_dir = ext_path_text(args->data_dir),
        .session_id = args->session_id,
        .joined = args->joined != 0,
        .no_daemon = args->daemon == 0,
        .group_ms = args->group_ms,
    };
    if (session_durability(args, &options) || session_find_exe(args)) return -1;
    options.daemon_exe = ext_path_text(args->daemon_exe);
    struct lt_buf payload;
    lt_buf_init(&payload);
    int failed = 0;
    if (args->payload != Py_None) {
        failed = ext_json(&payload, args->payload);
        options.payload_json = lt_buf_cstr(&payload);
        options.payload_bytes = payload.n;
    }
    struct litmus_error error = {0};
    int code = LITMUS_OK;
    if (!failed) {
        Py_BEGIN_ALLOW_THREADS
        code = litmus_session_open(&options, &self->handle, &error);
        Py_END_ALLOW_THREADS
    }
    lt_buf_release(&payload);
    if (code != LITMUS_OK) ext_raise(&error, EXT_ANYTHING, NULL);
    return failed || code != LITMUS_OK ? -1 : 0;
}

static PyObject *session_new_object(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args, (void)kwargs;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct session *self = (struct session *)alloc(type, 0); /* all zero */
    if (self != NULL) lt_buf_init(&self->buf);
    return (PyObject *)self;
}

static int session_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"data_dir", "session_id", "joined", "payload", "daemon", "durability", "group_ms", "daemon_exe", NULL};
    struct session *self = (struct session *)object;
    struct session_arguments a = {.payload = Py_None, .daemon = 1, .group_ms = 100};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O&zpOpziO&:Session", EXT_NAMES(names), ext_optional_path, &a.data_dir, &a.session_id, &a.joined,
                                     &a.payload, &a.daemon, &a.durability, &a.group_ms, ext_optional_path, &a.daemon_exe))
        return -1;
    int failed = -1;
    if (self->id[0] != '\0') PyErr_SetString(PyExc_RuntimeError, "this Session was opened before");
    else if (a.payload != Py_None && !PyDict_Check(a.payload)) PyErr_SetString(PyExc_TypeError, "payload must be a dict or None");
    else failed = session_open(self, &a);
    Py_XDECREF(a.data_dir);
    Py_XDECREF(a.daemon_exe);
    if (failed) return -1;
    memcpy(self->id, litmus_session_id(self->handle), sizeof self->id);
    self->data_dir = strdup(litmus_session_data_dir(self->handle));
    return 0;
}

/* ---- emit ---- */

/* First thing in every call: a forked child forgets the calls of threads that it does not have. */
static void session_note_fork(struct session *self) {
    if (self->handle == NULL || self->handle->shared->here) return;
    self->handle->shared->here = true;
    self->handle->joined = true; /* the parent owns the session */
    self->appending = 0;
}

static PyObject *session_closed_error(void) {
    struct litmus_error error = {0};
    lt_fail(&error, LITMUS_ESTATE, 0, "the session is closed");
    return ext_raise(&error, EXT_ANYTHING, NULL);
}

/* Without the GIL around it: JSON text in, one write(2) out. */
static PyObject *session_append(struct session *self, struct litmus_event *event) {
    char id[LT_UUID_BYTES];
    struct litmus_error error;
    error.code = LITMUS_OK, error.os_errno = 0, error.text[0] = '\0';
    session_note_fork(self);
    litmus_session *handle = self->handle;
    if (handle == NULL) return session_closed_error();
    int code;
    self->appending++;
    Py_BEGIN_ALLOW_THREADS
    code = litmus_emit(handle, event, id, &error);
    Py_END_ALLOW_THREADS
    self->appending--;
    if (code != LITMUS_OK) return ext_raise(&error, EXT_ANYTHING, NULL);
    return PyUnicode_FromStringAndSize(id, LT_UUID_BYTES - 1);
}

static const char session_emit_doc[] =
    "emit($self, event_type, payload, run_id=None, occurred_at=None, id=None)\n--\n\n"
    "Puts one event on record and returns its id. When this returns, the event is with the kernel:\n"
    "SIGKILL cannot lose it.\n\n"
    "event_type: e.g. 'test.measurement'. payload: dict of the fields of that type (see\n"
    "litmus._litmus.event_types()); None: no fields. Values without a JSON form become text.\n"
    "run_id: uuid of 36 characters, None for session scope. occurred_at: microseconds since\n"
    "1970-01-01T00:00:00Z; None: now. id: uuid; None: a new one.\n"
    "Raises EventError (names the field), StorageError, StateError (closed).";

static PyObject *session_emit(PyObject *object, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"event_type", "payload", "run_id", "occurred_at", "id", NULL};
    struct session *self = (struct session *)object;
    struct litmus_event event = {0};
    PyObject *payload, *occurred_at = Py_None;
    /* A plain tuple is taken apart in half the time. */
    if (kwargs == NULL ? !PyArg_ParseTuple(args, "sO|zOz:emit", &event.event_type, &payload, &event.run_id, &occurred_at, &event.id)
                       : !PyArg_ParseTupleAndKeywords(args, kwargs, "sO|zOz:emit", EXT_NAMES(names), &event.event_type, &payload, &event.run_id,
                                                      &occurred_at, &event.id))
        return NULL;
    if (payload != Py_None && !PyDict_Check(payload)) {
        PyErr_SetString(PyExc_TypeError, "payload must be a dict or None");
        return NULL;
    }
    if (occurred_at != Py_None) {
        event.occurred_at_us = PyLong_AsLongLong(occurred_at);
        if (event.occurred_at_us == -1 && PyErr_Occurred()) return NULL;
    }
    /* The buffer is taken away while in use: another thread, or a __str__ that emits, makes its own. */
    struct lt_buf buf = self->buf;
    lt_buf_init(&self->buf);
    lt_buf_clear(&buf);
    int failed = payload == Py_None ? 0 : ext_json(&buf, payload);
    PyObject *id = NULL;
    if (!failed) {
        event.payload = payload == Py_None ? NULL : buf.p;
        event.payload_bytes = buf.n;
        id = session_append(self, &event);
    }
    enum { KEPT_BYTES_MAX = 1 << 20 };
    if (self->buf.p == NULL && buf.capacity <= KEPT_BYTES_MAX) self->buf = buf;
    else lt_buf_release(&buf);
    return id;
}

static const char session_store_doc[] =
    "store($self, name, content, sync=True, /)\n--\n\n"
    "Stores what is attached beside the log, by its content; the event is the caller's. name: gives the file's ending; content: the path of\n"
    "a file (str or PathLike), or bytes. Returns (uri, sha256, size in bytes).\n"
    "Raises InvalidArgument (no regular file), StorageError, StateError (closed).";

static PyObject *session_store(PyObject *object, PyObject *args) {
    struct session *self = (struct session *)object;
    const char *name;
    PyObject *content;
    int sync = 1;
    if (!PyArg_ParseTuple(args, "sO|p:store", &name, &content, &sync)) return NULL;
    session_note_fork(self);
    litmus_session *handle = self->handle;
    if (handle == NULL) return session_closed_error();
    bool is_bytes = PyBytes_Check(content);
    PyObject *path = NULL;
    if (!is_bytes && !ext_optional_path(content, &path)) return NULL;
    if (!is_bytes && path == NULL) return PyErr_Format(PyExc_TypeError, "attachment %s is the path of a file, or bytes", name);
    char *bytes = PyBytes_AsString(is_bytes ? content : path);
    size_t n = (size_t)PyBytes_Size(is_bytes ? content : path);
    struct lt_blob blob;
    struct litmus_error error = {0};
    int code;
    self->appending++;
    Py_BEGIN_ALLOW_THREADS
    code = is_bytes ? lt_session_attach_bytes(handle, name, bytes, n, sync != 0, &blob, &error) : lt_session_attach_file(handle, bytes, &blob, &error);
    Py_END_ALLOW_THREADS
    self->appending--;
    Py_XDECREF(path);
    if (code != LITMUS_OK) return ext_raise(&error, EXT_ANYTHING, NULL);
    return Py_BuildValue("Nsn", PyUnicode_FromFormat("%s%s", LT_BLOB_SCHEME, blob.name), blob.sha256, (Py_ssize_t)blob.bytes);
}

/* ---- close ---- */

struct session_done {
    struct lt_materialized run;
    bool by_daemon;
};
struct session_results {
    struct session_done *done;
    size_t count;
    bool lost; /* no memory to note one */
};

/* Called without the GIL. */
static void session_on_done(void *self, const struct lt_materialized *run, bool by_daemon) {
    struct session_results *results = self;
    struct session_done *more = realloc(results->done, (results->count + 1) * sizeof *more);
    if (more == NULL) {
        results->lost = true;
        return;
    }
    results->done = more;
    more[results->count++] = (struct session_done){*run, by_daemon};
}

static PyObject *session_counts(const struct lt_counts *counts) {
    const struct {
        const char *word;
        long long n;
    } all[] = {
        {"passed", counts->passed}, {"failed", counts->failed}, {"errored", counts->errored}, {"skipped", counts->skipped},
        {"done", counts->done}, {"terminated", counts->terminated}, {"aborted", counts->aborted},
    };
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < sizeof all / sizeof all[0]; i++)
        if (all[i].n != 0 && ext_set(dict, all[i].word, PyLong_FromLongLong(all[i].n))) Py_CLEAR(dict);
    return dict;
}

static PyObject *session_result(const struct session_done *done) {
    const struct lt_materialized *run = &done->run;
    PyObject *dict = PyDict_New();
    if (dict != NULL
        && (ext_set(dict, "run_id", ext_text(run->run_id)) || ext_set(dict, "path", PyUnicode_DecodeFSDefault(run->path))
            || ext_set(dict, "outcome", run->outcome[0] == '\0' ? Py_BuildValue("") : ext_text(run->outcome))
            || ext_set(dict, "planned", PyLong_FromLongLong(run->planned))
            || ext_set(dict, "deselected", PyLong_FromLongLong(run->deselected)) || ext_set(dict, "steps", PyLong_FromLongLong(run->steps))
            || ext_set(dict, "measurements", PyLong_FromLongLong(run->measurements))
            || ext_set(dict, "never_ran", PyLong_FromLongLong(run->counts.never_ran)) || ext_set(dict, "counts", session_counts(&run->counts))
            || ext_set(dict, "materializer", ext_text(done->by_daemon ? "daemon" : "in-process"))))
        Py_CLEAR(dict);
    return dict;
}

static PyObject *session_result_list(struct session_results *results) {
    PyObject *list = results->lost ? PyErr_NoMemory() : PyList_New(0);
    for (size_t i = 0; list != NULL && i < results->count; i++) {
        PyObject *dict = session_result(&results->done[i]);
        if (dict == NULL || PyList_Append(list, dict)) Py_CLEAR(list);
        Py_XDECREF(dict);
    }
    free(results->done);
    return list;
}

/* Takes the handle away from every later call and waits for those under way. */
static litmus_session *session_take_handle(struct session *self) {
    session_note_fork(self);
    litmus_session *handle = self->handle;
    self->handle = NULL;
    while (handle != NULL && self->appending > 0) {
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        Py_END_ALLOW_THREADS
    }
    if (handle != NULL) {
        self->log_path = strdup(lt_log_writer_path(handle->log));
        self->rows = lt_log_writer_rows(handle->log) + (handle->joined ? 0 : 1); /* and session.ended */
    }
    return handle;
}

/* Hands the results over with the exception: what is on disk is on disk. */
static PyObject *session_close_failed(const struct litmus_error *error, PyObject *list) {
    PyObject *type, *value, *traceback;
    ext_raise(error, EXT_ANYTHING, NULL);
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (value != NULL && list != NULL) (void)!PyObject_SetAttrString(value, "runs", list);
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
    Py_XDECREF(list);
    return NULL;
}

static const char session_close_doc[] =
    "close($self, outcome=None, wait=10.0)\n--\n\n"
    "Ends the session, seals its log and returns when each run that it ended has its Parquet file.\n\n"
    "outcome: outcome word of session.ended. wait: seconds that the daemon gets; after them this\n"
    "process does the work. Returns one dict a run: run_id, path, outcome, planned, deselected,\n"
    "steps, measurements, never_ran, counts (outcome: number of steps, zeros left out), materializer\n"
    "('daemon' or 'in-process'). A joined session and a forked child seal their log and return [],\n"
    "and so does a second call.\n"
    "Raises StorageError and others; the session is closed all the same, and the exception's `runs`\n"
    "has the runs whose files are there.";

static PyObject *session_close(PyObject *object, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"outcome", "wait", NULL};
    struct session *self = (struct session *)object;
    const char *outcome = NULL;
    double wait = 10.0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|zd:close", EXT_NAMES(names), &outcome, &wait)) return NULL;
    struct litmus_error error = {0};
    if (outcome != NULL && (outcome[0] == '\0' || strspn(outcome, "abcdefghijklmnopqrstuvwxyz_") != strlen(outcome) || strlen(outcome) > 20)) {
        lt_fail(&error, LITMUS_EINVAL, 0, "outcome \"%.40s\" is no outcome word", outcome);
        return ext_raise(&error, EXT_ANYTHING, NULL);
    }
    litmus_session *handle = session_take_handle(self);
    if (handle == NULL) return PyList_New(0);
    struct session_results results = {0};
    int timeout_ms = wait > 0 ? wait < 86400 ? (int)(wait * 1000) : 86400000 : 0, code;
    Py_BEGIN_ALLOW_THREADS
    code = lt_session_close(handle, outcome, timeout_ms, session_on_done, &results, &error);
    Py_END_ALLOW_THREADS
    PyObject *list = session_result_list(&results);
    return code == LITMUS_OK ? list : session_close_failed(&error, list);
}

/* A session that nobody closed: sealed, so that it does not look like a crash. In a forked child it
 * is the parent's, and left alone. */
static void session_drop(struct session *self) {
    if (self->handle == NULL || !self->handle->shared->here) return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (PyErr_WarnEx(PyExc_ResourceWarning, "a litmus Session was not closed", 1)) PyErr_Clear();
    litmus_session *handle = session_take_handle(self);
    Py_BEGIN_ALLOW_THREADS
    (void)!litmus_session_close(handle, NULL, NULL);
    Py_END_ALLOW_THREADS
    PyErr_Restore(type, value, traceback);
}

static void session_dealloc(PyObject *object) {
    struct session *self = (struct session *)object;
    PyTypeObject *type = Py_TYPE(object);
    session_drop(self);
    lt_buf_release(&self->buf);
    free(self->data_dir);
    free(self->log_path);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* ---- attributes ---- */

static PyObject *session_get_id(PyObject *object, void *unused) {
    (void)unused;
    return ext_text(((struct session *)object)->id);
}

static PyObject *session_get_data_dir(PyObject *object, void *unused) {
    (void)unused;
    const char *path = ((struct session *)object)->data_dir;
    return PyUnicode_DecodeFSDefault(path == NULL ? "" : path);
}

static PyObject *session_get_log_path(PyObject *object, void *unused) {
    (void)unused;
    struct session *self = (struct session *)object;
    const char *path = self->handle == NULL ? self->log_path : lt_log_writer_path(self->handle->log);
    return PyUnicode_DecodeFSDefault(path == NULL ? "" : path);
}

static PyObject *session_get_rows(PyObject *object, void *unused) {
    (void)unused;
    struct session *self = (struct session *)object;
    return PyLong_FromLongLong(self->handle == NULL ? self->rows : (long long)lt_log_writer_rows(self->handle->log));
}

static PyObject *session_get_closed(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(((struct session *)object)->handle == NULL);
}

static PyGetSetDef session_attributes[] = {
    {"id", session_get_id, NULL, "The session's id, 36 characters.", NULL},
    {"data_dir", session_get_data_dir, NULL, "The data directory in force, an absolute path.", NULL},
    {"log_path", session_get_log_path, NULL, "This process's log file.", NULL},
    {"rows", session_get_rows, NULL, "Events in this process's log file.", NULL},
    {"closed", session_get_closed, NULL, "True once close() was called.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyObject *session_enter(PyObject *object, PyObject *unused) {
    (void)unused;
    Py_INCREF(object);
    return object;
}

static PyObject *session_exit(PyObject *object, PyObject *unused) {
    (void)unused;
    PyObject *runs = PyObject_CallMethod(object, "close", NULL);
    if (runs == NULL) return NULL;
    Py_DECREF(runs);
    Py_RETURN_NONE;
}

static PyMethodDef session_methods[] = {
    {"store", session_store, METH_VARARGS, session_store_doc},
    {"emit", (PyCFunction)(void (*)(void))session_emit, METH_VARARGS | METH_KEYWORDS, session_emit_doc},
    {"close", (PyCFunction)(void (*)(void))session_close, METH_VARARGS | METH_KEYWORDS, session_close_doc},
    {"__enter__", session_enter, METH_NOARGS, "The session itself."},
    {"__exit__", session_exit, METH_VARARGS, "close()."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot session_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)session_doc},
    {Py_tp_new, session_new_object},
    {Py_tp_init, session_init},
    {Py_tp_dealloc, session_dealloc},
    {Py_tp_methods, session_methods},
    {Py_tp_getset, session_attributes},
    {0, NULL},
};

static PyType_Spec session_spec = {
    .name = "litmus._litmus.Session",
    .basicsize = (int)sizeof(struct session),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = session_slots,
};
