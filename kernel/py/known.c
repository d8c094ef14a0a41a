// What px-io may say about the namespace while it cannot ask Python: its names, after each cell.

#include "py/python.h"

static PyObject *namespace;
static px_buf always; // keywords and builtins, each with a newline
// The names as they were at the last look. A dict keeps the order in which its keys came, so only
// those behind the last one are new, unless a key has gone meanwhile: then all are read again.
static px_buf names;
static PyObject *last_key;
static Py_ssize_t behind_last; // where PyDict_Next goes on
static Py_ssize_t n_keys;

// add_name adds a key that is a name to be completed; true if it is one.
static bool add_name(PyObject *key)
{
    Py_ssize_t size;
    const char *text = PyUnicode_Check(key) ? PyUnicode_AsUTF8AndSize(key, &size) : NULL;
    if (text == NULL) {
        PyErr_Clear(); // a lone surrogate: no name
        return false;
    }
    if (size == 0 || text[0] == '_') {
        return false;
    }
    px_buf_append(&names, text, (size_t)size);
    px_buf_append(&names, "\n", 1);
    return true;
}

// read_on adds the names from a position on; true if there were any.
static bool read_on(Py_ssize_t at)
{
    bool any = false;
    PyObject *key;
    PyObject *value;
    while (PyDict_Next(namespace, &at, &key, &value)) {
        any = add_name(key) || any;
        Py_XSETREF(last_key, Py_NewRef(key));
        behind_last = at;
        n_keys++;
    }
    return any;
}

// is_as_before tells if the keys that were read are all there, where they were.
static bool is_as_before(void)
{
    Py_ssize_t at = behind_last - 1;
    PyObject *key;
    PyObject *value;
    return last_key != NULL && PyDict_Next(namespace, &at, &key, &value) && key == last_key &&
           at == behind_last;
}

// read_names brings names up to date; true if they have changed.
static bool read_names(void)
{
    if (is_as_before()) {
        bool any = read_on(behind_last);
        if (n_keys == PyDict_GET_SIZE(namespace)) {
            return any;
        }
    }
    px_buf_clear(&names);
    Py_CLEAR(last_key);
    n_keys = 0;
    (void)read_on(0);
    return true;
}

void px_py_known_update(void)
{
    PX_AUTO_BUF all = {0};
    px_bytes *bytes = NULL;
    if (namespace == NULL || !read_names()) {
        return;
    }
    px_buf_append_slice(&all, px_buf_slice(&names));
    px_buf_append_slice(&all, px_buf_slice(&always));
    if (px_buf_status(&names) == PX_OK && px_buf_status(&all) == PX_OK &&
        px_bytes_copy(px_buf_slice(&all), &bytes) == PX_OK) {
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
    Py_CLEAR(last_key);
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
