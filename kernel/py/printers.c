// Who has registered a function that formats a value. IPython has eleven formatters, each with
// three tables of such functions, all of them empty in most kernels; to look into them one after
// the other takes Python longer than to format a number.

#include "py/python.h"

// in_types tells if table (of a formatter, a dict or absent) has one of the bases of a type.
static int in_types(PyObject *table, PyObject *bases)
{
    if (table == NULL || !PyDict_Check(table) || PyDict_GET_SIZE(table) == 0) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(bases); i++) {
        int found = PyDict_Contains(table, PyTuple_GET_ITEM(bases, i));
        if (found != 0) {
            return found;
        }
    }
    return 0;
}

static int in_singles(PyObject *table, PyObject *value)
{
    if (table == NULL || !PyDict_Check(table) || PyDict_GET_SIZE(table) == 0) {
        return 0;
    }
    PX_AUTO_PY PyObject *id = PyLong_FromVoidPtr(value);
    return id != NULL ? PyDict_Contains(table, id) : -1;
}

// in_names is in_types for a table of (module, name).
static int in_names(PyObject *table, PyObject *bases)
{
    if (table == NULL || !PyDict_Check(table) || PyDict_GET_SIZE(table) == 0) {
        return 0;
    }
    int found = 0;
    for (Py_ssize_t i = 0; found == 0 && i < PyTuple_GET_SIZE(bases); i++) {
        PyObject *base = PyTuple_GET_ITEM(bases, i);
        PX_AUTO_PY PyObject *module = PyObject_GetAttrString(base, "__module__");
        PX_AUTO_PY PyObject *name = PyObject_GetAttrString(base, "__name__");
        PX_AUTO_PY PyObject *key =
            module != NULL && name != NULL ? PyTuple_Pack(2, module, name) : NULL;
        found = key != NULL ? PyDict_Contains(table, key) : -1;
    }
    return found;
}

static PyObject *member(PyObject *traits, const char *name)
{
    return PyDict_GetItemString(traits, name); // borrowed
}

static PyObject *has_printer(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *tables = NULL;
    PyObject *value = NULL;
    if (!PyArg_ParseTuple(args, "O!O:has_printer", &PyTuple_Type, &tables, &value)) {
        return NULL;
    }
    PyObject *bases = Py_TYPE(value)->tp_mro;
    int found = 0;
    for (Py_ssize_t i = 0; found == 0 && i < PyTuple_GET_SIZE(tables); i++) {
        PyObject *traits = PyTuple_GET_ITEM(tables, i);
        if (!PyDict_Check(traits)) {
            return PyErr_Format(PyExc_TypeError, "has_printer() takes a tuple of dicts");
        }
        found = in_types(member(traits, "type_printers"), bases);
        found = found != 0 ? found : in_singles(member(traits, "singleton_printers"), value);
        found = found != 0 ? found : in_names(member(traits, "deferred_printers"), bases);
    }
    return found >= 0 ? PyBool_FromLong(found) : NULL;
}

PyMethodDef px_py_printers_methods[] = {
    {"has_printer", has_printer, METH_VARARGS,
     "has_printer(traits, value): whether one of the formatters, of which traits are given, has a "
     "function for value."},
    {NULL, NULL, 0, NULL},
};
