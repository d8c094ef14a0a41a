// Images travel as base64. Python's encoder writes one character at a time; two at a time, from a
// table of all pairs, are several times as quick, which a large image is long enough to show.

#include "py/python.h"

#include <stdint.h>
#include <string.h>

#define LONG ((Py_ssize_t)64 * 1024) // bytes from which on other threads may run meanwhile

static char pairs[4096][2]; // filled when the module is imported

static void fill_pairs(void)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        pairs[i][0] = alphabet[i >> 6];
        pairs[i][1] = alphabet[i & 63];
    }
}

static void write_triple(char *out, const uint8_t *in)
{
    memcpy(out, pairs[(unsigned)in[0] << 4 | in[1] >> 4], 2);
    memcpy(out + 2, pairs[(in[1] & 15U) << 8 | in[2]], 2);
}

static void write_base64(char *out, const uint8_t *in, size_t size)
{
    for (; size >= 3; size -= 3, in += 3, out += 4) {
        write_triple(out, in);
    }
    if (size > 0) {
        const uint8_t last[3] = {in[0], size > 1 ? in[1] : 0, 0};
        write_triple(out, last);
        memset(out + 1 + size, '=', 3 - size);
    }
}

static PyObject *base64(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    static char *names[] = {"", "newline", NULL};
    Py_buffer data;
    int newline = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*|$p:b2a_base64", names, &data, &newline)) {
        return NULL;
    }
    PyObject *result = NULL;
    if (data.len > PY_SSIZE_T_MAX / 2) {
        (void)PyErr_NoMemory();
    } else {
        Py_ssize_t size = (data.len + 2) / 3 * 4;
        result = PyBytes_FromStringAndSize(NULL, size + newline);
        if (result != NULL) {
            char *out = PyBytes_AS_STRING(result);
            PyThreadState *state = data.len >= LONG ? PyEval_SaveThread() : NULL;
            write_base64(out, data.buf, (size_t)data.len);
            if (state != NULL) {
                PyEval_RestoreThread(state);
            }
            if (newline) {
                out[size] = '\n';
            }
        }
    }
    PyBuffer_Release(&data);
    return result;
}

void px_py_base64_init(void)
{
    fill_pairs();
}

PyMethodDef px_py_base64_methods[] = {
    {"b2a_base64", (PyCFunction)(void (*)(void))base64, METH_VARARGS | METH_KEYWORDS,
     "As binascii.b2a_base64."},
    {NULL, NULL, 0, NULL},
};
