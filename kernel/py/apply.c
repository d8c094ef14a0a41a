// apply.c: apply_request without Python code of ours around the user's function.
//
// A task that does little is mostly overhead, so the usual one never enters our Python: the pickle
// is loaded, its function called and a plain result pickled from here. What is rarer (a result that
// is more than plain data, a coroutine, an error, buffers beside the pickle) is handed to
// pxkernel/apply.py, which could serve all of it and says what the request means.

#include "py/python.h"

static PyObject *loads;       // pickle.loads
static PyObject *dumps;       // pickle.dumps
static PyObject *protocol;    // for dumps
static PyObject *none_pickle; // the usual result
static PyObject *on_value;    // (request, value): answers with what is not plain
static PyObject *on_await;    // (request, coroutine): gives the task that will answer
static PyObject *on_error;    // (request, exception): answers

static int init(void)
{
    PX_AUTO_PY PyObject *pickle = PyImport_ImportModule("pickle");
    if (pickle == NULL) {
        return -1;
    }
    Py_XSETREF(loads, PyObject_GetAttrString(pickle, "loads"));
    Py_XSETREF(dumps, PyObject_GetAttrString(pickle, "dumps"));
    Py_XSETREF(protocol, PyLong_FromLong(5));
    if (loads == NULL || dumps == NULL || protocol == NULL) {
        return -1;
    }
    Py_XSETREF(none_pickle, PyObject_CallFunctionObjArgs(dumps, Py_None, protocol, NULL));
    return none_pickle != NULL ? 0 : -1;
}

static bool is_atom(const PyObject *value)
{
    PyTypeObject *const types[] = {&PyBool_Type,    &PyLong_Type,    &PyFloat_Type,
                                   &PyUnicode_Type, &PyComplex_Type, &PyBytes_Type};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (Py_IS_TYPE(value, types[i])) {
            return true;
        }
    }
    return value == Py_None;
}

static bool spend(size_t *left)
{
    *left -= *left > 0;
    return *left > 0;
}

// is_plain tells whether plain pickling does for a value: whether it holds nothing of the user's
// own making. A map's results are a list. *left bounds the search, in wide values and in ones that
// hold themselves; what is larger pays for the thorough way with a small part of its time.
static bool is_plain(PyObject *value, size_t *left)
{
    if (is_atom(value)) {
        return true;
    }
    if (PyDict_CheckExact(value)) {
        PyObject *key = NULL;
        PyObject *item = NULL;
        for (Py_ssize_t at = 0; PyDict_Next(value, &at, &key, &item);) {
            if (!spend(left) || !is_atom(key) || !is_plain(item, left)) {
                return false;
            }
        }
        return true;
    }
    if (!PyList_CheckExact(value) && !PyTuple_CheckExact(value)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); i++) {
        if (!spend(left) || !is_plain(PySequence_Fast_GET_ITEM(value, i), left)) {
            return false;
        }
    }
    return true;
}

static void answer(px_request_object *object, PyObject *pickled)
{
    px_frames frames = {0};
    px_bytes *content = NULL;
    px_bytes *buffer = px_py_bytes(pickled); // bytes always have a buffer
    px_must(buffer != NULL ? px_frames_push(&frames, buffer) : PX_ENOMEM);
    px_must(px_bytes_copy(PX_SLICE_LITERAL("{\"status\": \"ok\"}"), &content));
    px_py_reply(object, content, NULL, &frames);
}

// call gives the value of the pickled (function, args, kwargs) of a request.
static PyObject *call(const px_request_object *object)
{
    const px_message *message = object->request->message;
    px_slice slice = px_frames_get(&message->frames, message->first_buffer);
    PX_AUTO_PY PyObject *view =
        PyMemoryView_FromMemory((char *)(uintptr_t)slice.data, (Py_ssize_t)slice.size, PyBUF_READ);
    PX_AUTO_PY PyObject *parts = view != NULL ? PyObject_CallOneArg(loads, view) : NULL;
    PyObject *function = NULL;
    PyObject *args = NULL;
    PyObject *kwargs = NULL;
    if (parts == NULL) {
        return NULL;
    }
    if (!PyTuple_Check(parts) ||
        !PyArg_ParseTuple(parts, "OO!O!", &function, &PyTuple_Type, &args, &PyDict_Type, &kwargs)) {
        PyErr_SetString(PyExc_ValueError, "an apply_request pickles (function, args, kwargs)");
        return NULL;
    }
    return PyObject_Call(function, args, kwargs);
}

// settle answers with a value; NULL with an exception, or the task that will answer, or None.
static PyObject *settle(px_request_object *object, PyObject *value)
{
    if (PyCoro_CheckExact(value)) {
        return PyObject_CallFunctionObjArgs(on_await, (PyObject *)object, value, NULL);
    }
    size_t left = 256;
    if (!is_plain(value, &left)) {
        return PyObject_CallFunctionObjArgs(on_value, (PyObject *)object, value, NULL);
    }
    PX_AUTO_PY PyObject *pickled = value == Py_None
                                       ? Py_NewRef(none_pickle)
                                       : PyObject_CallFunctionObjArgs(dumps, value, protocol, NULL);
    if (pickled == NULL) {
        return NULL;
    }
    answer(object, pickled);
    Py_RETURN_NONE;
}

static PyObject *fail(px_request_object *object)
{
    PyObject *type = NULL;
    PyObject *error = NULL;
    PyObject *traceback = NULL;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL) {
        (void)PyException_SetTraceback(error, traceback);
    }
    PyObject *result = PyObject_CallFunctionObjArgs(on_error, (PyObject *)object, error, NULL);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return result;
}

bool px_py_applies(const px_request_object *object)
{
    const px_message *message = object->request->message;
    return on_value != NULL && message->type == PX_MSG_APPLY_REQUEST && message->n_buffers == 1;
}

PyObject *px_py_apply(px_request_object *object)
{
    PX_AUTO_PY PyObject *token = PyContextVar_Set(px_py.parent_var, (PyObject *)object->parent);
    if (token == NULL) {
        return NULL;
    }
    PX_AUTO_PY PyObject *value = call(object);
    PyObject *result = value != NULL ? settle(object, value) : NULL;
    return result != NULL || px_py_is_child() ? result : fail(object);
}

static PyObject *set_apply(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *value = NULL;
    PyObject *wait = NULL;
    PyObject *error = NULL;
    if (!PyArg_ParseTuple(args, "OOO:set_apply", &value, &wait, &error) || init() != 0) {
        return NULL;
    }
    Py_XSETREF(on_await, Py_NewRef(wait));
    Py_XSETREF(on_error, Py_NewRef(error));
    Py_XSETREF(on_value, Py_NewRef(value));
    Py_RETURN_NONE;
}

PyMethodDef px_py_apply_methods[] = {
    {"set_apply", set_apply, METH_VARARGS,
     "What answers an apply_request that C does not answer alone."},
    {NULL, NULL, 0, NULL},
};
