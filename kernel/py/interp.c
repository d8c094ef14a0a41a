// Python in our executable. executable is the environment's interpreter, so sys.executable,
// sys.prefix and site-packages are what they are for `python`, and a child started from
// sys.executable (multiprocessing's spawn, %pip, debugpy's adapter) lands in the same place.

#include <Python.h>

#include "py/interp.h"

#include "py/python.h"

static px_err failed(PyStatus status, PyConfig *config, px_error *reterr)
{
    px_err err =
        px_error_set(reterr, PX_EIO, "Python did not start: %s%s%s",
                     status.func != NULL ? status.func : "", status.func != NULL ? ": " : "",
                     status.err_msg != NULL ? status.err_msg : "no reason given");
    PyConfig_Clear(config);
    return err;
}

px_err px_interp_init(const px_launch *launch, int argc, char **argv, px_error *reterr)
{
    if (Py_IsInitialized()) {
        return PX_OK; // python -m pxkernel
    }
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    config.install_signal_handlers = 1;
    PyStatus status = PyConfig_SetBytesString(&config, &config.executable, launch->python);
    if (!PyStatus_Exception(status)) {
        status = PyConfig_SetBytesArgv(&config, argc, argv);
    }
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    if (PyStatus_Exception(status)) {
        return failed(status, &config, reterr);
    }
    PyConfig_Clear(&config);
    return PX_OK;
}

int px_interp_run(void)
{
    px_py_forked_init(px_kernel_current);
    px_py_shells_init(px_kernel_current);
    PyObject *boot = PyImport_ImportModule("pxkernel.boot");
    bool ready = boot != NULL && px_module_fill() == 0 && px_py_signals_init() == 0;
    PyObject *result = ready ? PyObject_CallMethod(boot, "run", NULL) : NULL;
    int status = 1;
    if (result != NULL) {
        long value = PyLong_Check(result) ? PyLong_AsLong(result) : 0;
        status = (int)value;
    }
    if (PyErr_Occurred()) {
        PyErr_Print();
        status = 1;
    }
    Py_XDECREF(result);
    Py_XDECREF(boot);
    return status;
}

void px_interp_version(char *ret_version, size_t size)
{
    const char *version = Py_GetVersion();
    (void)snprintf(ret_version, size, "%.*s", (int)strcspn(version, " "), version);
}

bool px_interp_running(void)
{
    return Py_IsInitialized() != 0;
}

// call runs module.function(); what it raises is shown as at any exit.
static void call(const char *module, const char *function)
{
    PX_AUTO_PY PyObject *found = PyImport_ImportModule(module);
    PX_AUTO_PY PyObject *result = found != NULL ? PyObject_CallMethod(found, function, NULL) : NULL;
    if (result == NULL) {
        PyErr_WriteUnraisable(found);
    }
}

// ends_quickly: this process is a child of one that had loaded the modules.
static bool ends_quickly;

void px_interp_end_quickly(void)
{
    ends_quickly = true;
}

// let_go does what Python's end does, in its order, with one collection instead of four: with a few
// scientific packages loaded each takes 0.2 s, and a front end waits for a restart. Threads and
// atexit first; then the user's names go, so that their objects are finalised, those in cycles too;
// what is left are modules, which no collection has to look through again.
static void let_go(void)
{
    call("threading", "_shutdown");
    call("atexit", "_run_exitfuncs");
    if (ends_quickly) {
        // First: of a file in a cycle, a collection may close the lower half before the upper one
        // has given it its text.
        call("pxkernel.preload", "flush");
        call("pxkernel.preload", "forget");
    }
    PyObject *names = PyModule_GetDict(PyImport_AddModule("__main__")); // borrowed
    if (names != NULL) {
        PyDict_Clear(names);
    }
    (void)PyGC_Collect();
    call(ends_quickly ? "pxkernel.preload" : "gc", ends_quickly ? "flush" : "freeze");
}

int px_interp_finish(int status)
{
    let_go();
    if (ends_quickly) {
        return status;
    }
    if (Py_FinalizeEx() < 0 && status == 0) {
        return 120; // as Python itself: standard streams could not be flushed
    }
    return status;
}
