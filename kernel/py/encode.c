// Python values to JSON, for what most messages are made of: dicts with string keys, lists, tuples,
// strings, numbers, True, False, None; of exactly these types. One pass, straight into the bytes
// that px-io sends. Whatever else there is (NaN, numpy's scalars, times, bytes, subclasses, lone
// surrogates, very deep values) is Python's to decide: the whole value goes to pxkernel.jsonpack.
//
// No Python code runs in here and the GIL is not let go, so no container changes meanwhile, and one
// buffer serves all threads.

#include "py/python.h"

#include <math.h>
#include <stdlib.h>

#define DEEPEST 100 // containers in containers
// Longer texts are handed over as they were written; shorter ones are copied, and the buffer stays.
#define COPY_BELOW ((size_t)64 * 1024)

static px_buf scratch;

static bool write_value(px_jsonw *w, PyObject *value, int depth);

static bool write_text(px_jsonw *w, PyObject *text)
{
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        px_jsonw_slice(w,
                       px_slice_of(PyUnicode_1BYTE_DATA(text), (size_t)PyUnicode_GET_LENGTH(text)));
        return true;
    }
    PX_AUTO_PY PyObject *encoded = PyUnicode_AsUTF8String(text); // not cached in the string
    if (encoded == NULL) {
        PyErr_Clear();
        return false;
    }
    px_jsonw_slice(w, px_slice_of(PyBytes_AS_STRING(encoded), (size_t)PyBytes_GET_SIZE(encoded)));
    return true;
}

static bool write_int(px_jsonw *w, PyObject *number)
{
    int overflow = 0;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow != 0) {
        return false;
    }
    px_jsonw_int(w, value);
    return true;
}

static bool write_float(px_jsonw *w, PyObject *number)
{
    double value = PyFloat_AS_DOUBLE(number);
    char *text =
        isfinite(value) ? PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL) : NULL;
    if (text == NULL) {
        PyErr_Clear();
        return false;
    }
    px_jsonw_raw(w, px_slice_str(text));
    PyMem_Free(text);
    return true;
}

static bool write_dict(px_jsonw *w, PyObject *dict, int depth)
{
    Py_ssize_t at = 0;
    PyObject *key;
    PyObject *value;
    px_jsonw_object(w);
    while (PyDict_Next(dict, &at, &key, &value)) {
        if (!PyUnicode_CheckExact(key) || !write_text(w, key)) {
            return false;
        }
        px_buf_append(w->out, ":", 1);
        w->need_comma = false;
        if (!write_value(w, value, depth + 1)) {
            return false;
        }
    }
    px_jsonw_end_object(w);
    return true;
}

static bool write_sequence(px_jsonw *w, PyObject *sequence, int depth)
{
    px_jsonw_array(w);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence); i++) {
        if (!write_value(w, PySequence_Fast_GET_ITEM(sequence, i), depth + 1)) {
            return false;
        }
    }
    px_jsonw_end_array(w);
    return true;
}

static bool write_value(px_jsonw *w, PyObject *value, int depth)
{
    if (depth > DEEPEST) {
        return false;
    }
    if (PyUnicode_CheckExact(value)) {
        return write_text(w, value);
    }
    if (PyDict_CheckExact(value)) {
        return write_dict(w, value, depth);
    }
    if (PyLong_CheckExact(value)) {
        return write_int(w, value);
    }
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value)) {
        return write_sequence(w, value, depth);
    }
    if (PyFloat_CheckExact(value)) {
        return write_float(w, value);
    }
    if (PyBool_Check(value)) {
        px_jsonw_bool(w, value == Py_True);
        return true;
    }
    if (value == Py_None) {
        px_jsonw_null(w);
        return true;
    }
    return false;
}

// encode writes value into scratch. False: it is not for this encoder, or memory is out.
static bool encode(PyObject *value)
{
    scratch.size = 0;
    px_jsonw w = px_jsonw_to(&scratch);
    bool done = write_value(&w, value, 0) && px_buf_status(&scratch) == PX_OK;
    if (!done) {
        px_buf_done(&scratch);
    }
    return done;
}

static void free_text(void *data, void *hint)
{
    (void)hint;
    free(data);
}

px_bytes *px_py_encode(PyObject *value)
{
    px_bytes *bytes = NULL;
    if (!encode(value)) {
        return NULL;
    }
    if (scratch.size < COPY_BELOW) {
        px_must(px_bytes_copy(px_buf_slice(&scratch), &bytes));
        return bytes;
    }
    size_t size = 0;
    uint8_t *text = px_buf_detach(&scratch, &size);
    px_must(px_bytes_adopt(text, size, free_text, NULL, &bytes));
    return bytes;
}

static PyObject *encode_to_bytes(PyObject *module, PyObject *value)
{
    (void)module;
    if (!encode(value)) {
        Py_RETURN_NONE;
    }
    PyObject *bytes =
        PyBytes_FromStringAndSize((const char *)scratch.data, (Py_ssize_t)scratch.size);
    if (scratch.size >= COPY_BELOW) {
        px_buf_done(&scratch);
    }
    return bytes;
}

static PyObject *set_encode(PyObject *module, PyObject *function)
{
    (void)module;
    Py_XSETREF(px_py.encode, Py_NewRef(function));
    Py_RETURN_NONE;
}

PyMethodDef px_py_encode_methods[] = {
    {"encode", encode_to_bytes, METH_O,
     "A value as compact JSON, UTF-8 bytes; None when the quick encoder is not for it."},
    {"set_encode", set_encode, METH_O, "The function that makes JSON of all other values."},
    {NULL, NULL, 0, NULL},
};
