// What px-io may say about the namespace while it cannot ask Python: its names, after each cell.

#include "py/python.h"

static PyObject *namespace;
static px_buf always; // keywords and builtins, each with a newline

void px_py_known_update(void)
{
    PX_AUTO_BUF names = {0};
    Py_ssize_t at = 0;
    PyObject *key;
    PyObject *value;
    if (namespace == NULL) {
        return;
    }
    while (PyDict_Next(namespace, &at, &key, &value)) {
        Py_ssize_t size;
        const char *text = PyUnicode_Check(key) ? PyUnicode_AsUTF8AndSize(key, &size) : NULL;
        if (text == NULL) {
            PyErr_Clear(); // a lone surrogate: no name
        } else if (size > 0 && text[0] != '_') {
            px_buf_append(&names, text, (size_t)size);
            px_buf_append(&names, "\n", 1);
        }
    }
    px_buf_append_slice(&names, px_buf_slice(&always));
    px_bytes *bytes = NULL;
    if (px_buf_status(&names) == PX_OK && px_bytes_copy(px_buf_slice(&names), &bytes) == PX_OK) {
        px_known_set(&px_kernel_current->known, bytes);
    } // out of memory: the names of before will do
}

static PyObject *set_namespace(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *dict;
    const char *text;
    Py_ssize_t size;
    if (px_py_kernel() == NULL ||
        !PyArg_ParseTuple(args, "O!s#:set_namespace", &PyDict_Type, &dict, &text, &size)) {
        return NULL;
    }
    Py_XSETREF(namespace, Py_NewRef(dict));
    always.size = 0;
    px_buf_append(&always, text, (size_t)size);
    px_must(px_buf_status(&always));
    px_py_known_update();
    Py_RETURN_NONE;
}

PyMethodDef px_py_known_methods[] = {
    {"set_namespace", set_namespace, METH_VARARGS,
     "set_namespace(dict, names): whose names complete when Python cannot be asked, and names, "
     "each "
     "with a newline, that always do."},
    {NULL, NULL, 0, NULL},
};
