// connection.c: the type Connection.

#include "module.h"

#include "px/json.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const px_client_hooks hooks = {.task_done = px_callbacks_hook,
                                      .task_asks = px_listeners_hook};

static bool ask_signals(void *context)
{
    (void)context;
    PyGILState_STATE state = PyGILState_Ensure();
    bool raised = PyErr_CheckSignals() != 0;
    PyGILState_Release(state);
    return raised;
}

// open_client needs no arguments checked any more. The GIL is released while it connects.
static int open_client(px_connection_object *self, px_module *module, const char *name,
                       double timeout)
{
    char python[16];
    (void)PyOS_snprintf(python, sizeof python, "%.15s", PY_VERSION);
    const px_client_options options = {.name = name,
                                       .python = python,
                                       .timeout = (px_ns)(timeout * (double)PX_NS_PER_S),
                                       .hooks = &hooks,
                                       .interrupted = ask_signals};
    px_error error = {0};
    px_err err;
    Py_BEGIN_ALLOW_THREADS;
    err = px_client_open(&options, &self->client, &error);
    Py_END_ALLOW_THREADS;
    if (err == PX_OK) {
        return 0;
    }
    if (!PyErr_Occurred()) { // else a signal's handler raised
        (void)px_raise(module, err, &error);
    }
    return -1;
}

static int connection_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", "timeout", NULL};
    px_connection_object *self = (px_connection_object *)(void *)object;
    const char *name = NULL;
    double timeout = 10.0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|$d:Connection", names, &name, &timeout)) {
        return -1;
    }
    if (self->client != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a Connection is initialised once");
        return -1;
    }
    if (strchr(name, '/') == NULL && !px_cluster_name_valid(name)) {
        (void)PyErr_Format(PyExc_ValueError,
                           "'%s' is no cluster's name: 1 to 64 letters, digits, '.', '_' or '-'",
                           name);
        return -1;
    }
    if (!(timeout > 0 && timeout < 1e6)) {
        PyErr_SetString(PyExc_ValueError, "timeout must be a positive number of seconds");
        return -1;
    }
    return open_client(self, px_module_of(Py_TYPE(object)), name, timeout);
}

static void connection_dealloc(PyObject *object)
{
    px_connection_object *self = (px_connection_object *)(void *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->client != NULL) {
        px_client_close(self->client, "the connection was closed: its Client was deleted");
        px_client_unref(self->client);
    }
    px_buffers_release();
    type->tp_free(object);
    Py_DECREF(type);
}

// px_client_of is NULL with an exception for an object whose __init__ did not succeed.
px_client *px_client_of(PyObject *object)
{
    px_client *client = ((px_connection_object *)(void *)object)->client;
    if (client == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this Connection was never opened");
    }
    return client;
}

static PyObject *connection_engine_ids(PyObject *object, PyObject *unused)
{
    (void)unused;
    px_client *client = px_client_of(object);
    if (client == NULL) {
        return NULL;
    }
    PX_AUTO_BUF ids = {0};
    px_client_engine_ids(client, &ids);
    size_t n = ids.size / sizeof(uint32_t);
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list != NULL && i < n; i++) {
        uint32_t id;
        memcpy(&id, ids.data + i * sizeof id, sizeof id);
        PyObject *number = PyLong_FromUnsignedLong(id);
        if (number == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, number);
        }
    }
    return list;
}

static PyObject *connection_engines(PyObject *object, PyObject *unused)
{
    (void)unused;
    px_client *client = px_client_of(object);
    if (client == NULL) {
        return NULL;
    }
    PX_AUTO_BUF json = {0};
    px_client_engines(client, &json);
    return px_json_value(px_module_of(Py_TYPE(object)), px_buf_slice(&json));
}

static PyObject *connection_changed(PyObject *object, PyObject *unused)
{
    (void)unused;
    px_client *client = px_client_of(object);
    return client != NULL ? PyLong_FromUnsignedLongLong(px_client_changed(client)) : NULL;
}

static PyObject *connection_wait_changed(PyObject *object, PyObject *args)
{
    unsigned long long seen = 0;
    PyObject *timeout = NULL;
    px_client *client = px_client_of(object);
    if (client == NULL || !PyArg_ParseTuple(args, "KO:wait_changed", &seen, &timeout)) {
        return NULL;
    }
    const px_want want = {.seen = seen};
    if (px_wait_python(client, &want, timeout) < 0) {
        return NULL;
    }
    return PyBool_FromLong(px_client_changed(client) > seen);
}

static PyObject *connection_filled(PyObject *object, PyObject *unused)
{
    (void)unused;
    px_client *client = px_client_of(object);
    return client != NULL ? PyLong_FromUnsignedLongLong(px_client_filled(client)) : NULL;
}

static PyObject *connection_lost(PyObject *object, PyObject *unused)
{
    (void)unused;
    px_client *client = px_client_of(object);
    return client != NULL ? PyLong_FromUnsignedLongLong(px_client_lost(client)) : NULL;
}

static PyObject *connection_wait_filled(PyObject *object, PyObject *args)
{
    unsigned long long seen = 0;
    PyObject *timeout = NULL;
    px_client *client = px_client_of(object);
    if (client == NULL || !PyArg_ParseTuple(args, "KO:wait_filled", &seen, &timeout)) {
        return NULL;
    }
    const px_want want = {.seen = seen, .asks = PX_ASKS_ALL, .filled = true};
    int waited = px_wait_python(client, &want, timeout);
    return waited < 0 ? NULL : PyBool_FromLong(waited);
}

// answer makes the result of control(), or its exception.
static PyObject *answer(px_module *module, px_client *client, const char *msg_type,
                        const px_ask *ask, double timeout)
{
    if (!ask->answered) {
        PX_AUTO_BUF reason = {0};
        if (px_client_closed(client, &reason)) {
            (void)PyErr_Format(module->closed_error, "%.*s", (int)reason.size, reason.data);
        } else {
            char seconds[32];
            (void)PyOS_snprintf(seconds, sizeof seconds, "%.3g", timeout);
            (void)PyErr_Format(PyExc_TimeoutError,
                               "the controller of cluster '%s' did not answer %s within %s s",
                               px_client_file(client)->id, msg_type, seconds);
        }
        return NULL;
    }
    PX_AUTO(px_json) json = NULL;
    if (px_json_parse(px_buf_slice(&ask->content), &json, NULL) == PX_OK &&
        strcmp(px_json_string(json, "status", "ok"), "error") == 0) {
        (void)PyErr_Format(
            PyExc_RuntimeError, "%s",
            px_json_string(json, "evalue", "the controller refused, without a reason"));
        return NULL;
    }
    return px_json_value(module, px_buf_slice(&ask->content));
}

static PyObject *connection_control(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"msg_type", "content", "timeout", NULL};
    const char *msg_type = NULL;
    PyObject *content = NULL;
    double timeout = 10.0;
    px_client *client = px_client_of(object);
    if (client == NULL || !PyArg_ParseTupleAndKeywords(args, kwargs, "s|Sd:control", names,
                                                       &msg_type, &content, &timeout)) {
        return NULL;
    }
    px_module *module = px_module_of(Py_TYPE(object));
    px_ask ask = {0};
    px_error error = {0};
    px_err err = px_client_ask(client, msg_type, px_json_or_empty(content), &ask, &error);
    if (err != PX_OK) {
        return px_raise(module, err, &error);
    }
    const px_want want = {.ask = &ask};
    PyObject *seconds = PyFloat_FromDouble(timeout);
    int waited = seconds != NULL ? px_wait_python(client, &want, seconds) : -1;
    Py_XDECREF(seconds);
    px_client_ask_done(client, &ask);
    PyObject *result = waited < 0 ? NULL : answer(module, client, msg_type, &ask, timeout);
    px_buf_done(&ask.content);
    return result;
}

static PyObject *connection_close(PyObject *object, PyObject *unused)
{
    (void)unused;
    px_client *client = ((px_connection_object *)(void *)object)->client;
    if (client != NULL) {
        Py_BEGIN_ALLOW_THREADS;
        px_client_close(client, "the connection was closed by its own client");
        Py_END_ALLOW_THREADS;
        px_buffers_release();
    }
    Py_RETURN_NONE;
}

static PyObject *get_client_id(PyObject *object, void *unused)
{
    (void)unused;
    px_client *client = px_client_of(object);
    return client != NULL ? PyLong_FromUnsignedLong(px_client_id(client)) : NULL;
}

static PyObject *get_cluster(PyObject *object, void *unused)
{
    (void)unused;
    px_client *client = px_client_of(object);
    if (client == NULL) {
        return NULL;
    }
    PX_AUTO_BUF json = {0};
    px_client_cluster(client, &json);
    return px_json_value(px_module_of(Py_TYPE(object)), px_buf_slice(&json));
}

static PyObject *get_session(PyObject *object, void *unused)
{
    (void)unused;
    px_client *client = px_client_of(object);
    return client != NULL ? PyUnicode_FromString(px_client_session(client)) : NULL;
}

static PyObject *get_closed(PyObject *object, void *unused)
{
    (void)unused;
    px_client *client = ((px_connection_object *)(void *)object)->client;
    return PyBool_FromLong(client == NULL || px_client_closed(client, NULL));
}

static PyObject *get_close_reason(PyObject *object, void *unused)
{
    (void)unused;
    px_client *client = px_client_of(object);
    if (client == NULL) {
        return NULL;
    }
    PX_AUTO_BUF reason = {0};
    (void)px_client_closed(client, &reason);
    return PyUnicode_DecodeUTF8((char *)reason.data, (Py_ssize_t)reason.size, "replace");
}

static PyMethodDef connection_methods[] = {
    {"engine_ids", connection_engine_ids, METH_NOARGS, "Registered, living engines, sorted."},
    {"engines", connection_engines, METH_NOARGS, "Last known Engine objects, dead ones too."},
    {"changed", connection_changed, METH_NOARGS, "A counter of notifications."},
    {"wait_changed", connection_wait_changed, METH_VARARGS,
     "Wait until changed() > seen; False on time-out."},
    {"lost", connection_lost, METH_NOARGS, "How many answers were lost with their engines."},
    {"filled", connection_filled, METH_NOARGS, "How many slots have been filled."},
    {"wait_filled", connection_wait_filled, METH_VARARGS,
     "Wait until filled() > seen; False on time-out."},
    {"submit", (PyCFunction)(void (*)(void))px_connection_submit, METH_FASTCALL | METH_KEYWORDS,
     "Send one request to all targets."},
    {"control", (PyCFunction)(void (*)(void))connection_control, METH_VARARGS | METH_KEYWORDS,
     "Ask the controller; the reply's content."},
    {"close", connection_close, METH_NOARGS, "End the connection; what is open fails."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef connection_getset[] = {
    {"client_id", get_client_id, NULL, "Our number in the cluster.", NULL},
    {"cluster", get_cluster, NULL, "The Cluster object, as last told.", NULL},
    {"session", get_session, NULL, "Session id of our messages.", NULL},
    {"closed", get_closed, NULL, "True once the connection has ended.", NULL},
    {"close_reason", get_close_reason, NULL, "Why it ended; \"\" while it lives.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot connection_slots[] = {
    {Py_tp_doc, "Connection(name, *, timeout=10.0): a registered client of one cluster."},
    {Py_tp_init, connection_init},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_dealloc, connection_dealloc},
    {Py_tp_methods, connection_methods},
    {Py_tp_getset, connection_getset},
    {0, NULL},
};

PyType_Spec px_connection_spec = {
    .name = "pxparallel._client.Connection",
    .basicsize = sizeof(px_connection_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = connection_slots,
};
