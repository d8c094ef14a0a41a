// How much a cell shows, and files for what is longer: the settings of px-io's floods, and the same
// for values (a repr of 200 MB), which Python shortens before they become a message.

#include "py/python.h"

static PyObject *set_output_limit(PyObject *module, PyObject *number)
{
    (void)module;
    px_kernel *kernel = px_py_kernel();
    long long most = PyLong_AsLongLong(number);
    if (kernel == NULL || (most == -1 && PyErr_Occurred())) {
        return NULL;
    }
    px_io_set_output_limit(kernel->io, most);
    Py_RETURN_NONE;
}

static PyObject *output_limits(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    px_kernel *kernel = px_py_kernel();
    size_t most = 0;
    size_t burst = 0;
    size_t tail = 0;
    if (kernel == NULL) {
        return NULL;
    }
    px_io_output_limits(kernel->io, &most, &burst, &tail);
    return Py_BuildValue("nnn", (Py_ssize_t)most, (Py_ssize_t)burst, (Py_ssize_t)tail);
}

// utf8_of gives the UTF-8 of a string: its own memory if it is ASCII, else that of *ret_hold, which
// the caller drops. Not cached in the string, which may be long and live on.
static int utf8_of(PyObject *text, PyObject **ret_hold, px_slice *ret_slice)
{
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        *ret_slice = px_slice_of(PyUnicode_1BYTE_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
        return 0;
    }
    PyObject *encoded = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    if (encoded == NULL) {
        return -1;
    }
    *ret_hold = encoded;
    *ret_slice = px_slice_of(PyBytes_AS_STRING(encoded), (size_t)PyBytes_GET_SIZE(encoded));
    return 0;
}

static PyObject *spill(PyObject *module, PyObject *args)
{
    (void)module;
    px_kernel *kernel = px_py_kernel();
    PyObject *text = NULL;
    unsigned long long missing = 0;
    if (kernel == NULL || !PyArg_ParseTuple(args, "UK:spill", &text, &missing)) {
        return NULL;
    }
    PX_AUTO_PY PyObject *encoded = NULL;
    px_slice slice = {0};
    if (utf8_of(text, &encoded, &slice) < 0) {
        return NULL;
    }
    PX_AUTO_BUF sentence = {0};
    PX_AUTO_BUF note = {0};
    Py_BEGIN_ALLOW_THREADS px_io_spill(kernel->io, slice, missing, &sentence, &note);
    Py_END_ALLOW_THREADS return Py_BuildValue("s#y#", (const char *)sentence.data,
                                              (Py_ssize_t)sentence.size, (const char *)note.data,
                                              (Py_ssize_t)note.size);
}

PyMethodDef px_py_output_methods[] = {
    {"set_output_limit", set_output_limit, METH_O,
     "Bytes of text that a cell shows; 0: all of it, -1: as usual."},
    {"output_limits", output_limits, METH_NOARGS,
     "(most, burst, tail) in bytes; most 0: no limit."},
    {"spill", spill, METH_VARARGS,
     "Write text to a file: a sentence that says so, and the content of a display_data message."},
    {NULL, NULL, 0, NULL},
};
