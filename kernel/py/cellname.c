// The hash in the file names of cells: MurmurHash2, 32 bits, as front ends compute it. In Python it
// takes a cell of some kilobytes longer than to compile it.

#include "py/python.h"

#include <stdint.h>

static uint32_t murmur2(const uint8_t *bytes, size_t size, uint32_t seed)
{
    const uint32_t multiplier = UINT32_C(0x5bd1e995);
    uint32_t hash = seed ^ (uint32_t)size;
    for (; size >= 4; size -= 4, bytes += 4) {
        uint32_t word = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                        (uint32_t)bytes[3] << 24;
        word *= multiplier;
        word = (word ^ word >> 24) * multiplier;
        hash = hash * multiplier ^ word;
    }
    if (size > 0) {
        uint32_t rest = 0;
        for (size_t i = 0; i < size; i++) {
            rest |= (uint32_t)bytes[i] << (8 * i);
        }
        hash = (hash ^ rest) * multiplier;
    }
    hash = (hash ^ hash >> 13) * multiplier;
    return hash ^ hash >> 15;
}

static PyObject *hash_text(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *text = NULL;
    unsigned int seed = 0;
    if (!PyArg_ParseTuple(args, "UI:murmur2", &text, &seed)) {
        return NULL;
    }
    PX_AUTO_PY PyObject *encoded = PyUnicode_AsEncodedString(text, "utf-8", "surrogatepass");
    if (encoded == NULL) {
        return NULL;
    }
    uint32_t hash = murmur2((const uint8_t *)PyBytes_AS_STRING(encoded),
                            (size_t)PyBytes_GET_SIZE(encoded), seed);
    return PyLong_FromUnsignedLong(hash);
}

PyMethodDef px_py_cellname_methods[] = {
    {"murmur2", hash_text, METH_VARARGS, "murmur2(text, seed): the hash of a cell's code."},
    {NULL, NULL, 0, NULL},
};
