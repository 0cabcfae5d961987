/* SPDX-License-Identifier: Apache-2.0
 *
 * _litmus.Query and _litmus.Follow: reading back, and being told of events as they come.
 *
 * Always true:
 *  - A core handle is used by one thread at a time: `guard.lock` is held around every use, and is
 *    waited for without the GIL. No Python code runs while it is held.
 *  - A forked child leaves the inherited core handle alone (it holds an SQLite connection) and opens
 *    its own.
 */
#include "base/config.h"
#include "base/clock.h"
#include "ext.h"
#include "materialize/parquet.h"
#include "query/query.h"
#include "query/sql_setup.h"

#include <unistd.h>

struct query {
    PyObject_HEAD
    struct lt_query *core; /* NULL: closed */
    PyThread_type_lock lock;
    pid_t pid;
    PyObject *table_type;
    char *data_dir;
    bool behind; /* at the last question; under `lock` */
};

/* ---- arguments ---- */

/* The text of a uuid.UUID; NULL, with the error set, for anything else. */
static PyObject *uuid_text(PyObject *value) {
    PyObject *module = PyImport_ImportModule("uuid"), *type = module == NULL ? NULL : PyObject_GetAttrString(module, "UUID");
    int is_one = type == NULL ? -1 : PyObject_IsInstance(value, type);
    Py_XDECREF(type);
    Py_XDECREF(module);
    if (is_one == 0) PyErr_SetString(PyExc_TypeError, "a run id must be a str or a uuid.UUID");
    return is_one == 1 ? PyObject_Str(value) : NULL;
}

/* A run id argument as UTF-8 bytes without NUL; anything may be asked for. For "O&". */
static int query_ref(PyObject *value, void *out) {
    PyObject **bytes = out;
    if (value == NULL) {
        Py_CLEAR(*bytes);
        return 1;
    }
    PyObject *ours = PyUnicode_Check(value) ? NULL : uuid_text(value);
    if (ours == NULL && PyErr_Occurred()) return 0;
    *bytes = PyUnicode_AsEncodedString(ours == NULL ? value : ours, "utf-8", "backslashreplace");
    Py_XDECREF(ours);
    if (*bytes == NULL) return 0;
    char *text = PyBytes_AsString(*bytes); /* new and ours alone */
    for (Py_ssize_t i = 0, n = PyBytes_Size(*bytes); i < n; i++)
        if (text[i] == '\0') text[i] = '?';
    return Py_CLEANUP_SUPPORTED;
}

/* Microseconds since 1970, or None: LT_TIME_NONE. For "O&". */
static int query_time(PyObject *value, void *out) {
    int64_t *us = out;
    *us = value == Py_None ? LT_TIME_NONE : PyLong_AsLongLong(value);
    return !PyErr_Occurred();
}

/* ---- the handle ---- */

/* Finds the data_dir and opens it for reading: one that is not there yet is empty, one that is a file
 * or of a newer format is refused. *dir gets its path. Called without the GIL. */
static int query_open_core(const char *path, struct lt_buf *dir, struct lt_query **out, struct litmus_error *error) {
    int code = lt_data_dir_find(path, dir, error);
    if (code == LITMUS_OK && access(lt_buf_cstr(dir), F_OK) == 0) code = lt_data_dir_open(lt_buf_cstr(dir), error);
    return code == LITMUS_OK ? lt_query_open(lt_buf_cstr(dir), out, error) : code;
}

/* -1: a warning was made an exception. */
static int query_tell(const struct query *self, const char *function, const struct litmus_error *who) {
    if (who == NULL) return 0;
    PyObject *module = PyImport_ImportModule("litmus.errors"), *dir = PyUnicode_DecodeFSDefault(self->data_dir);
    PyObject *told = module == NULL || dir == NULL ? NULL : PyObject_CallMethod(module, function, "Os", dir, who->text);
    int code = told == NULL ? -1 : 0;
    Py_XDECREF(told);
    Py_XDECREF(dir);
    Py_XDECREF(module);
    return code;
}

static PyObject *query_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args, (void)kwargs;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return alloc(type, 0);
}

static int query_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"data_dir", NULL};
    struct query *self = (struct query *)object;
    PyObject *path = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O&:Query", EXT_NAMES(names), ext_optional_path, &path)) return -1;
    if (self->lock != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this Query was opened before");
        Py_XDECREF(path);
        return -1;
    }
    struct litmus_error error = {0};
    struct lt_buf dir;
    lt_buf_init(&dir);
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = query_open_core(ext_path_text(path), &dir, &self->core, &error);
    Py_END_ALLOW_THREADS
    self->data_dir = strdup(lt_buf_cstr(&dir));
    lt_buf_release(&dir);
    Py_XDECREF(path);
    if (code != LITMUS_OK) {
        ext_raise(&error, EXT_ANYTHING, NULL);
        return -1;
    }
    self->pid = getpid();
    self->lock = PyThread_allocate_lock();
    PyObject *module = self->lock == NULL ? PyErr_NoMemory() : PyImport_ImportModule("litmus._litmus");
    self->table_type = module == NULL ? NULL : PyObject_GetAttrString(module, "Table");
    Py_XDECREF(module);
    return self->table_type == NULL ? -1 : query_tell(self, "warn_behind", lt_query_held_up(self->core));
}

/* In a forked child: the parent's handle and lock stay the parent's. */
static int query_after_fork(struct query *self) {
    struct litmus_error error = {0};
    self->pid = getpid();
    self->core = NULL;
    self->lock = PyThread_allocate_lock();
    if (self->lock == NULL) PyErr_NoMemory();
    else if (lt_query_open(self->data_dir, &self->core, &error) != LITMUS_OK) ext_raise(&error, EXT_ANYTHING, NULL);
    return self->core == NULL ? -1 : 0;
}

/* The core handle, ours until query_leave; NULL with an exception. */
static struct lt_query *query_enter(struct query *self) {
    if (self->core != NULL && self->pid != getpid() && query_after_fork(self)) return NULL;
    if (self->lock != NULL && !PyThread_acquire_lock(self->lock, NOWAIT_LOCK)) {
        Py_BEGIN_ALLOW_THREADS
        PyThread_acquire_lock(self->lock, WAIT_LOCK);
        Py_END_ALLOW_THREADS
    }
    if (self->core != NULL) return self->core;
    if (self->lock != NULL) PyThread_release_lock(self->lock);
    struct litmus_error error = {0};
    lt_fail(&error, LITMUS_ESTATE, 0, "the store is closed");
    ext_raise(&error, EXT_ANYTHING, NULL);
    return NULL;
}

static void query_leave(struct query *self) {
    self->behind = self->core != NULL && lt_query_is_behind(self->core);
    PyThread_release_lock(self->lock);
}

/* The answer to a question, or the exception; NULL with an exception where a warning is to be one. Takes `answer`. */
static PyObject *query_tell_behind(const struct query *self, PyObject *answer) {
    if (!self->behind) return answer;
    PyObject *type = NULL, *value = NULL, *trace = NULL;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *module = PyImport_ImportModule("litmus.errors"), *dir = PyUnicode_DecodeFSDefault(self->data_dir);
    PyObject *told = module == NULL || dir == NULL ? NULL : PyObject_CallMethod(module, "warn_behind", "O", dir);
    if (told == NULL) Py_CLEAR(answer);
    if (told != NULL) PyErr_Restore(type, value, trace);
    else Py_XDECREF(type), Py_XDECREF(value), Py_XDECREF(trace);
    Py_XDECREF(told);
    Py_XDECREF(dir);
    Py_XDECREF(module);
    return answer;
}

static PyObject *query_close(PyObject *object, PyObject *unused) {
    (void)unused;
    struct query *self = (struct query *)object;
    if (self->core == NULL || self->pid != getpid()) {
        self->core = NULL;
        Py_RETURN_NONE;
    }
    struct lt_query *core = query_enter(self);
    if (core == NULL) { /* another thread was quicker */
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    self->core = NULL;
    query_leave(self);
    Py_BEGIN_ALLOW_THREADS
    lt_query_free(core);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static void query_dealloc(PyObject *object) {
    struct query *self = (struct query *)object;
    PyTypeObject *type = Py_TYPE(object);
    bool ours = self->pid == getpid();
    if (self->core != NULL && ours) lt_query_free(self->core);
    if (self->lock != NULL && ours) PyThread_free_lock(self->lock);
    Py_XDECREF(self->table_type);
    free(self->data_dir);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* ---- questions about runs ---- */

/* The table of a call that went well, else the exception. `run` may be NULL. */
static PyObject *query_result(struct query *self, int code, struct lt_table *table, const struct lt_run_ref *run, const struct litmus_error *error) {
    if (code != LITMUS_OK) {
        lt_table_release(table);
        ext_raise(error, run != NULL && run->run_id[0] == '\0' ? EXT_A_RUN : EXT_ANYTHING, run == NULL || run->path[0] == '\0' ? NULL : run->path);
        return query_tell_behind(self, NULL);
    }
    PyObject *object = query_tell_behind(self, table_new(self->table_type, table));
    if (object == NULL || run == NULL) return object;
    struct table *result = (struct table *)object;
    result->run_id = ext_text(run->run_id);
    result->file_path = run->path[0] == '\0' ? table_or_none(NULL) : PyUnicode_DecodeFSDefault(run->path);
    result->live = PyBool_FromLong(run->live);
    if (result->run_id == NULL || result->file_path == NULL) Py_CLEAR(object);
    return object;
}

static const char query_runs_doc[] =
    "runs($self, limit=0, offset=0, since=None, until=None, serial=None, part=None, station=None,\n"
    "     operator=None, phase=None, outcome=None, project=None, finished_only=False, run_id=None, lot=None, git=None, text=None)\n--\n\n"
    "Run summaries as a Table, newest first, runs in flight included.\n\n"
    "limit: at most so many, 0 for all. since, until: microseconds since 1970, on started_at. git: how\n"
    "the commit starts. text: words that a run has, each, in any case (litmus runs --text). The\n"
    "other arguments: exact values, None for any. Raises StorageError and others.";

static PyObject *query_runs(PyObject *object, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"limit", "offset", "since", "until", "serial", "part", "station", "operator",
                                        "phase", "outcome", "project", "finished_only", "run_id", "lot", "git", "text", NULL};
    struct query *self = (struct query *)object;
    struct lt_run_filter f = {.since = LT_TIME_NONE, .until = LT_TIME_NONE};
    long long limit = 0, offset = 0;
    int finished_only = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|LLO&O&zzzzzzzpzzzz:runs", EXT_NAMES(names), &limit, &offset, query_time, &f.since, query_time, &f.until,
                                     &f.serial, &f.part, &f.station, &f.operator_id, &f.phase, &f.outcome, &f.project, &finished_only, &f.run_id,
                                     &f.lot, &f.git, &f.text))
        return NULL;
    f.limit = limit;
    f.offset = offset;
    f.finished_only = finished_only != 0;
    struct lt_query *core = query_enter(self);
    if (core == NULL) return NULL;
    struct litmus_error error = {0};
    struct lt_table table;
    lt_table_init(&table);
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = lt_query_runs(core, &f, &table, &error);
    Py_END_ALLOW_THREADS
    query_leave(self);
    return query_result(self, code, &table, NULL, &error);
}

static const char query_find_doc[] =
    "find($self, run)\n--\n\n"
    "Finds one run by its id, a prefix of it that fits no other, 'last' or '@N' (1: the newest): a dict\n"
    "with run_id, path (None in flight), session_id, live.\n"
    "Raises InvalidArgument (empty), RunNotFound (with near matches), AmbiguousRunId (names them).";

static PyObject *query_find(PyObject *object, PyObject *args) {
    struct query *self = (struct query *)object;
    PyObject *ref = NULL;
    if (!PyArg_ParseTuple(args, "O&:find", query_ref, &ref)) return NULL;
    struct lt_query *core = query_enter(self);
    struct litmus_error error = {0};
    struct lt_run_ref run = {.run_id = ""};
    int code = LITMUS_OK;
    if (core != NULL) {
        Py_BEGIN_ALLOW_THREADS
        code = lt_query_find(core, ext_path_text(ref), &run, &error);
        Py_END_ALLOW_THREADS
        query_leave(self);
    }
    Py_DECREF(ref);
    if (core == NULL) return NULL;
    if (code != LITMUS_OK) {
        ext_raise(&error, EXT_A_RUN, NULL);
        return query_tell_behind(self, NULL);
    }
    PyObject *dict = query_tell_behind(self, PyDict_New());
    if (dict != NULL
        && (ext_set(dict, "run_id", ext_text(run.run_id))
            || ext_set(dict, "path", run.path[0] == '\0' ? table_or_none(NULL) : PyUnicode_DecodeFSDefault(run.path))
            || ext_set(dict, "session_id", ext_text(run.session_id)) || ext_set(dict, "live", PyBool_FromLong(run.live))))
        Py_CLEAR(dict);
    return dict;
}

typedef int query_of_run(struct lt_query *query, const struct lt_run_ref *run, struct lt_table *out, struct litmus_error *error);

static int query_all_rows(struct lt_query *query, const struct lt_run_ref *run, struct lt_table *out, struct litmus_error *error) {
    return lt_query_rows(query, run, NULL, 0, out, error);
}

/* Finds the run, then asks `question` about it. */
static PyObject *query_about_run(PyObject *object, PyObject *args, query_of_run *question) {
    struct query *self = (struct query *)object;
    PyObject *ref = NULL;
    if (!PyArg_ParseTuple(args, "O&", query_ref, &ref)) return NULL;
    struct lt_query *core = query_enter(self);
    struct litmus_error error = {0};
    struct lt_run_ref run = {.run_id = ""};
    struct lt_table table;
    lt_table_init(&table);
    int code = LITMUS_OK;
    if (core != NULL) {
        Py_BEGIN_ALLOW_THREADS
        code = lt_query_find(core, ext_path_text(ref), &run, &error);
        if (code != LITMUS_OK) run.run_id[0] = '\0';
        else code = question(core, &run, &table, &error);
        Py_END_ALLOW_THREADS
        query_leave(self);
    }
    Py_DECREF(ref);
    return core == NULL ? NULL : query_result(self, code, &table, &run, &error);
}

static PyObject *query_steps(PyObject *object, PyObject *args) {
    return query_about_run(object, args, lt_query_steps);
}

static PyObject *query_measurements(PyObject *object, PyObject *args) {
    return query_about_run(object, args, lt_query_measurements);
}

static PyObject *query_rows(PyObject *object, PyObject *args) {
    return query_about_run(object, args, query_all_rows);
}

static bool query_add_damaged(void *self, const char *path, const char *reason) {
    struct lt_buf *pairs = self; /* path NUL reason NUL ... */
    lt_buf_add(pairs, path, strlen(path) + 1);
    lt_buf_add(pairs, reason, strlen(reason) + 1);
    return !pairs->failed;
}

static PyObject *query_damaged(PyObject *object, PyObject *unused) {
    (void)unused;
    struct query *self = (struct query *)object;
    struct lt_query *core = query_enter(self);
    if (core == NULL) return NULL;
    struct litmus_error error = {0};
    struct lt_buf pairs;
    lt_buf_init(&pairs);
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = lt_query_damaged(core, query_add_damaged, &pairs, &error);
    Py_END_ALLOW_THREADS
    query_leave(self);
    PyObject *list = code != LITMUS_OK ? ext_raise(&error, EXT_ANYTHING, NULL) : pairs.failed ? PyErr_NoMemory() : PyList_New(0);
    for (const char *p = pairs.p; list != NULL && p < pairs.p + pairs.n;) {
        const char *reason = p + strlen(p) + 1;
        PyObject *path = PyUnicode_DecodeFSDefault(p), *why = ext_text(reason);
        PyObject *pair = path == NULL || why == NULL ? NULL : PyTuple_Pack(2, path, why);
        if (pair == NULL || PyList_Append(list, pair)) Py_CLEAR(list);
        Py_XDECREF(pair);
        Py_XDECREF(why);
        Py_XDECREF(path);
        p = reason + strlen(reason) + 1;
    }
    lt_buf_release(&pairs);
    return list;
}

static const char query_events_doc[] =
    "events($self, session_id=None, run_id=None, event_type=None, role=None, since=None, limit=0)\n--\n\n"
    "Events as a Table (id, event_type, occurred_at, received_at, session_id, run_id, json), received_at\n"
    "ascending, each id once. since: microseconds since 1970, inclusive, on received_at. limit: the N\n"
    "most recent, 0 for all.";

static PyObject *query_events(PyObject *object, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"session_id", "run_id", "event_type", "role", "since", "limit", NULL};
    struct query *self = (struct query *)object;
    struct lt_event_filter f = {.since = LT_TIME_NONE};
    long long limit = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|zzzzO&L:events", EXT_NAMES(names), &f.session_id, &f.run_id, &f.event_type, &f.role,
                                     query_time, &f.since, &limit))
        return NULL;
    f.limit = limit;
    struct lt_query *core = query_enter(self);
    if (core == NULL) return NULL;
    struct litmus_error error = {0};
    struct lt_table table;
    lt_table_init(&table);
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = lt_query_events(core, &f, &table, &error);
    Py_END_ALLOW_THREADS
    query_leave(self);
    return query_result(self, code, &table, NULL, &error);
}

static PyObject *query_get_data_dir(PyObject *object, void *unused) {
    (void)unused;
    const char *path = ((struct query *)object)->data_dir;
    return PyUnicode_DecodeFSDefault(path == NULL ? "" : path);
}

static PyObject *query_get_is_behind(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(((struct query *)object)->behind);
}

static PyGetSetDef query_attributes[] = {
    {"data_dir", query_get_data_dir, NULL, "The data directory in force, an absolute path.", NULL},
    {"is_behind", query_get_is_behind, NULL, "Did another process keep the catalog locked at the last question? Then what came of late may be missing.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const char query_sql_setup_doc[] =
    "sql_setup($self, scratch, events=False, since=None, memory_limit=None, views=None)\n--\n\n"
    "The SQL that makes a DuckDB session see everything on record. Rows that have no file are written to\n"
    "the folder `scratch`, which may go once the text was run. views: text that names those to make; None: all.";

static PyObject *query_sql_setup(PyObject *object, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"scratch", "events", "since", "memory_limit", "views", NULL};
    struct query *self = (struct query *)object;
    struct lt_sql_options options = {.since = LT_TIME_NONE};
    int events = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|pO&zz:sql_setup", EXT_NAMES(names), &options.scratch, &events, query_time, &options.since,
                                     &options.memory_limit, &options.views))
        return NULL;
    options.events = events != 0;
    struct lt_query *core = query_enter(self);
    if (core == NULL) return NULL;
    struct litmus_error error = {0}, who = {0};
    struct lt_buf text;
    lt_buf_init(&text);
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = lt_sql_setup(core, &options, &text, &error);
    if (code == LITMUS_OK && lt_query_lake_held_up(core) != NULL) who = *lt_query_lake_held_up(core);
    Py_END_ALLOW_THREADS
    query_leave(self);
    PyObject *result = code == LITMUS_OK ? PyUnicode_DecodeFSDefaultAndSize(lt_buf_cstr(&text), (Py_ssize_t)text.n) : ext_raise(&error, EXT_ANYTHING, NULL);
    if (result != NULL && who.code != LITMUS_OK && query_tell(self, "warn_lake", &who) != 0) Py_CLEAR(result);
    lt_buf_release(&text);
    return query_tell_behind(self, result);
}

static PyMethodDef query_methods[] = {
    {"sql_setup", (PyCFunction)(void (*)(void))query_sql_setup, METH_VARARGS | METH_KEYWORDS, query_sql_setup_doc},
    {"runs", (PyCFunction)(void (*)(void))query_runs, METH_VARARGS | METH_KEYWORDS, query_runs_doc},
    {"find", query_find, METH_VARARGS, query_find_doc},
    {"steps", query_steps, METH_VARARGS, "steps($self, run)\n--\n\nThe step rows of a run as a Table. Raises as find, DataUnavailable."},
    {"measurements", query_measurements, METH_VARARGS,
     "measurements($self, run)\n--\n\nThe measurement rows of a run as a Table. Raises as find, DataUnavailable."},
    {"rows", query_rows, METH_VARARGS, "rows($self, run)\n--\n\nEvery row and column of a run's file as a Table. Raises as find, DataUnavailable."},
    {"damaged", query_damaged, METH_NOARGS, "damaged($self)\n--\n\nFiles that are left out of every listing: a list of (path, reason)."},
    {"events", (PyCFunction)(void (*)(void))query_events, METH_VARARGS | METH_KEYWORDS, query_events_doc},
    {"close", query_close, METH_NOARGS, "close($self)\n--\n\nGives everything back; later calls raise StateError. A second close does nothing."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot query_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)"Query(data_dir=None)\n--\n\nQuestions about the runs and events of a data directory. May be used by many threads."},
    {Py_tp_new, query_new},
    {Py_tp_init, query_init},
    {Py_tp_dealloc, query_dealloc},
    {Py_tp_methods, query_methods},
    {Py_tp_getset, query_attributes},
    {0, NULL},
};

static PyType_Spec query_spec = {
    .name = "litmus._litmus.Query",
    .basicsize = (int)sizeof(struct query),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = query_slots,
};

/* ---- events as they come ---- */

struct follow {
    PyObject_HEAD
    struct lt_query *core;
    struct lt_event_follow *follow; /* NULL: closed */
    struct lt_event_filter filter;  /* its texts are `texts` */
    char *texts[4];
    PyThread_type_lock lock;
};

static int follow_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"data_dir", "session_id", "run_id", "event_type", "role", NULL};
    struct follow *self = (struct follow *)object;
    PyObject *path = NULL;
    const char *given[4] = {NULL, NULL, NULL, NULL};
    if (self->lock != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this Follow was opened before");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O&zzzz:Follow", EXT_NAMES(names), ext_optional_path, &path, &given[0], &given[1],
                                     &given[2], &given[3]))
        return -1;
    for (int i = 0; i < 4; i++) self->texts[i] = given[i] == NULL ? NULL : strdup(given[i]);
    self->filter = (struct lt_event_filter){
        .session_id = self->texts[0], .run_id = self->texts[1], .event_type = self->texts[2], .role = self->texts[3], .since = LT_TIME_NONE};
    self->lock = PyThread_allocate_lock();
    struct litmus_error error = {0};
    struct lt_buf dir;
    lt_buf_init(&dir);
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = query_open_core(ext_path_text(path), &dir, &self->core, &error);
    if (code == LITMUS_OK) code = lt_event_follow_open(self->core, &self->filter, false, &self->follow, &error);
    Py_END_ALLOW_THREADS
    lt_buf_release(&dir);
    Py_XDECREF(path);
    if (code != LITMUS_OK) ext_raise(&error, EXT_ANYTHING, NULL);
    else if (self->lock == NULL) PyErr_NoMemory();
    return code != LITMUS_OK || self->lock == NULL ? -1 : 0;
}

static void follow_free_core(struct follow *self) {
    lt_event_follow_free(self->follow);
    lt_query_free(self->core);
    self->follow = NULL;
    self->core = NULL;
}

static void follow_dealloc(PyObject *object) {
    struct follow *self = (struct follow *)object;
    PyTypeObject *type = Py_TYPE(object);
    follow_free_core(self);
    for (int i = 0; i < 4; i++) free(self->texts[i]);
    if (self->lock != NULL) PyThread_free_lock(self->lock);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* Keeps a row's JSON behind its length. Called without the GIL. */
static void follow_keep(void *self, const struct lt_row *row) {
    struct lt_buf *texts = self;
    lt_buf_add(texts, &row->json.n, sizeof row->json.n);
    lt_buf_add(texts, row->json.p, row->json.n);
}

static PyObject *follow_texts(const struct lt_buf *texts) {
    PyObject *list = PyList_New(0);
    for (size_t at = 0, n; list != NULL && at < texts->n; at += n) {
        memcpy(&n, texts->p + at, sizeof n);
        at += sizeof n;
        PyObject *text = PyUnicode_DecodeUTF8(texts->p + at, (Py_ssize_t)n, "replace");
        if (text == NULL || PyList_Append(list, text)) Py_CLEAR(list);
        Py_XDECREF(text);
    }
    return list;
}

static PyObject *follow_poll(PyObject *object, PyObject *unused) {
    (void)unused;
    struct follow *self = (struct follow *)object;
    struct litmus_error error = {0};
    struct lt_buf texts;
    lt_buf_init(&texts);
    int code = LITMUS_OK;
    Py_BEGIN_ALLOW_THREADS
    PyThread_acquire_lock(self->lock, WAIT_LOCK);
    if (self->follow != NULL) code = lt_event_follow_poll(self->follow, follow_keep, &texts, &error);
    PyThread_release_lock(self->lock);
    Py_END_ALLOW_THREADS
    PyObject *list = code != LITMUS_OK ? ext_raise(&error, EXT_ANYTHING, NULL) : texts.failed ? PyErr_NoMemory() : follow_texts(&texts);
    lt_buf_release(&texts);
    return list;
}

static PyObject *follow_close(PyObject *object, PyObject *unused) {
    (void)unused;
    struct follow *self = (struct follow *)object;
    Py_BEGIN_ALLOW_THREADS
    PyThread_acquire_lock(self->lock, WAIT_LOCK);
    follow_free_core(self);
    PyThread_release_lock(self->lock);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef follow_methods[] = {
    {"poll", follow_poll, METH_NOARGS, "poll($self)\n--\n\nJSON texts of the events that came since the last call; never waits. [] once closed."},
    {"close", follow_close, METH_NOARGS, "close($self)\n--\n\nGives everything back. A second close does nothing."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot follow_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)"Follow(data_dir=None, session_id=None, run_id=None, event_type=None, role=None)\n--\n\n"
                                   "Events that come from now on, from logs that others write. None: any."},
    {Py_tp_new, query_new},
    {Py_tp_init, follow_init},
    {Py_tp_dealloc, follow_dealloc},
    {Py_tp_methods, follow_methods},
    {0, NULL},
};

static PyType_Spec follow_spec = {
    .name = "litmus._litmus.Follow",
    .basicsize = (int)sizeof(struct follow),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = follow_slots,
};

/* ---- a file alone ---- */

static const char read_parquet_doc[] =
    "read_parquet($module, path)\n--\n\n"
    "A Parquet file as a Table, rows in file order. Raises StorageError (not there, not readable),\n"
    "DataUnavailable (damaged or of a foreign kind).";

static PyObject *module_read_parquet(PyObject *module, PyObject *args) {
    PyObject *path = NULL, *result = NULL;
    if (!PyArg_ParseTuple(args, "O&:read_parquet", PyUnicode_FSConverter, &path)) return NULL;
    struct litmus_error error = {0};
    struct lt_table table;
    lt_table_init(&table);
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = lt_parquet_read(ext_path_text(path), NULL, 0, &table, &error);
    Py_END_ALLOW_THREADS
    if (code != LITMUS_OK) {
        ext_raise(&error, EXT_ANYTHING, ext_path_text(path));
    } else {
        PyObject *type = PyObject_GetAttrString(module, "Table");
        result = type == NULL ? NULL : table_new(type, &table);
        if (result != NULL) ((struct table *)result)->file_path = PyUnicode_DecodeFSDefault(ext_path_text(path));
        Py_XDECREF(type);
    }
    lt_table_release(&table);
    Py_DECREF(path);
    return result;
}
