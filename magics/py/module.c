// module.c: the module pxparallel._client: errors, types, start and end.

#include "module.h"

#include "px/json.h"

px_module *px_module_of(PyTypeObject *type)
{
    return PyModule_GetState(PyType_GetModuleByDef(type, &px_module_def));
}

static PyObject *exception_of(px_module *module, px_err err)
{
    switch (err) {
    case PX_ENOMEM:
        return PyExc_MemoryError;
    case PX_EINVAL:
    case PX_ETOOBIG:
        return PyExc_ValueError;
    case PX_ETIMEOUT:
        return PyExc_TimeoutError;
    case PX_EINTR:
        return PyExc_KeyboardInterrupt;
    case PX_ECLOSED:
        return module->closed_error;
    case PX_EREFUSED:
        return PyExc_ConnectionRefusedError;
    case PX_ENOENT:
        return PyExc_FileNotFoundError;
    case PX_EPERM:
    case PX_ESIGNATURE:
        return PyExc_PermissionError;
    default:
        return PyExc_OSError;
    }
}

PyObject *px_raise(px_module *module, px_err err, const px_error *error)
{
    const char *text = error != NULL && error->text[0] != '\0' ? error->text : px_err_text(err);
    PyErr_SetString(exception_of(module, err), text);
    return NULL;
}

PyObject *px_json_value(px_module *module, px_slice text)
{
    PyObject *string =
        PyUnicode_DecodeUTF8((const char *)text.data, (Py_ssize_t)text.size, "replace");
    if (string == NULL) {
        return NULL;
    }
    PyObject *pair = PyObject_CallFunction(module->scan_once, "Oi", string, 0);
    Py_DECREF(string);
    if (pair == NULL) {
        if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
            PyErr_SetString(PyExc_ValueError, "a message's content is not JSON");
        }
        return NULL;
    }
    PyObject *value = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
    Py_DECREF(pair);
    return value;
}

static PyObject *shut_down(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS;
    px_client_close_all("this process is ending");
    Py_END_ALLOW_THREADS;
    px_callbacks_stop();
    px_buffers_release();
    Py_RETURN_NONE;
}

static PyMethodDef shut_down_method = {"_shut_down", shut_down, METH_NOARGS,
                                       "Close all connections: at exit."};

static int import_scanner(px_module *state)
{
    PyObject *json = PyImport_ImportModule("json");
    PyObject *decoder = json != NULL ? PyObject_CallMethod(json, "JSONDecoder", NULL) : NULL;
    Py_XDECREF(json);
    if (decoder == NULL) {
        return -1;
    }
    state->scan_once = PyObject_GetAttrString(decoder, "scan_once");
    Py_DECREF(decoder);
    return state->scan_once != NULL ? 0 : -1;
}

static int close_at_exit(PyObject *module)
{
    PyObject *atexit = PyImport_ImportModule("atexit");
    PyObject *function = PyCFunction_New(&shut_down_method, module);
    PyObject *done = NULL;
    if (atexit != NULL && function != NULL) {
        done = PyObject_CallMethod(atexit, "register", "O", function);
    }
    Py_XDECREF(atexit);
    Py_XDECREF(function);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type != NULL && PyModule_AddType(module, (PyTypeObject *)(void *)type) != 0) {
        Py_CLEAR(type);
    }
    return (PyTypeObject *)(void *)type;
}

static int module_exec(PyObject *module)
{
    px_module *state = PyModule_GetState(module);
    state->closed_error = PyErr_NewExceptionWithDoc(
        "pxparallel._client.ConnectionClosed",
        "The connection was closed by us, or the controller is gone; the text says which and what "
        "to do.",
        PyExc_RuntimeError, NULL);
    if (state->closed_error == NULL ||
        PyModule_AddObjectRef(module, "ConnectionClosed", state->closed_error) != 0 ||
        PyModule_AddStringConstant(module, "__version__", PX_VERSION) != 0) {
        return -1;
    }
    state->connection_type = add_type(module, &px_connection_spec);
    state->task_type = add_type(module, &px_task_spec);
    state->bytes_type = add_type(module, &px_bytes_spec);
    if (state->connection_type == NULL || state->task_type == NULL || state->bytes_type == NULL) {
        return -1;
    }
    return import_scanner(state) != 0 ? -1 : close_at_exit(module);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    px_module *state = PyModule_GetState(module);
    Py_VISIT(state->connection_type);
    Py_VISIT(state->task_type);
    Py_VISIT(state->bytes_type);
    Py_VISIT(state->closed_error);
    Py_VISIT(state->scan_once);
    return 0;
}

static int module_clear(PyObject *module)
{
    px_module *state = PyModule_GetState(module);
    Py_CLEAR(state->connection_type);
    Py_CLEAR(state->task_type);
    Py_CLEAR(state->bytes_type);
    Py_CLEAR(state->closed_error);
    Py_CLEAR(state->scan_once);
    return 0;
}

static PyMethodDef module_methods[] = {
    {"cluster_root", px_cluster_root_python, METH_NOARGS, "The folder that holds run folders."},
    {"cluster_names", px_cluster_names_python, METH_NOARGS, "Names of living clusters, sorted."},
    {"cluster_file", px_cluster_file_python, METH_O, "cluster.json without the key, or None."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

struct PyModuleDef px_module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pxparallel._client",
    .m_doc = "The C core of the client: connections to clusters, tasks, outputs.",
    .m_size = sizeof(px_module),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__client(void);

PyMODINIT_FUNC PyInit__client(void)
{
    return PyModuleDef_Init(&px_module_def);
}
