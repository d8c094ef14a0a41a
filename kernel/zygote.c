// zygote.c: `pxengine --zygote`: a warm Python from which the engines of a host are forked.
//
// Starting an engine from nothing costs 0.2 s of imports and 20 MiB; forking one costs a
// millisecond and shares those pages. So Python, IPython and what users import anyway are loaded
// once, here, the shell is built and the heap frozen (the collector would write into shared pages),
// and each order is a fork. What may not exist at that moment is a second thread: a child has only
// the one that forked, and a lock that another held stays locked for ever. Nothing that is imported
// here starts one; if something does, the log says so.
//
// nursery.c does the forking and watching; this file gives it Python.

#include <Python.h>

#include "py/interp.h"

#include "px/id.h"
#include "px/log.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// What engines use from their first request on. Modules that are not installed are left out.
static const char *const usual[] = {"asyncio",
                                    "IPython.core.interactiveshell",
                                    "numpy",
                                    "cloudpickle",
                                    "pxkernel.apply",
                                    "pxparallel._remote",
                                    "pxparallel.serialize"};

// call imports a module and calls its function with argument (NULL: none; stolen). An exception is
// printed; true when there was none.
static bool call(const char *module, const char *function, PyObject *argument)
{
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *result = NULL;
    if (imported != NULL && argument != NULL) {
        result = PyObject_CallMethod(imported, function, "O", argument);
    } else if (imported != NULL && !PyErr_Occurred()) {
        result = PyObject_CallMethod(imported, function, NULL);
    }
    bool good = result != NULL;
    if (!good) {
        PyErr_Print();
    }
    Py_XDECREF(result);
    Py_XDECREF(imported);
    Py_XDECREF(argument);
    return good;
}

// installed tells if a module can be imported, without importing it (its package is imported).
static bool installed(PyObject *util, const char *name)
{
    PyObject *spec = PyObject_CallMethod(util, "find_spec", "s", name);
    bool found = spec != NULL && spec != Py_None;
    PyErr_Clear(); // a package that fails to import is as good as none
    Py_XDECREF(spec);
    return found;
}

static int append(PyObject *list, const char *name, size_t length)
{
    PyObject *text = PyUnicode_FromStringAndSize(name, (Py_ssize_t)length);
    int status = text != NULL ? PyList_Append(list, text) : -1;
    Py_XDECREF(text);
    return status;
}

// module_list is what to preload: the usual modules and the user's. NULL with an exception.
static PyObject *module_list(const char *more)
{
    PyObject *list = PyList_New(0);
    PyObject *util = PyImport_ImportModule("importlib.util");
    int status = list != NULL && util != NULL ? 0 : -1;
    for (size_t i = 0; status == 0 && i < sizeof(usual) / sizeof(usual[0]); i++) {
        if (installed(util, usual[i])) {
            status = append(list, usual[i], strlen(usual[i]));
        }
    }
    while (status == 0 && more != NULL && *more != '\0') {
        size_t length = strcspn(more, ", ");
        if (length > 0) {
            status = append(list, more, length);
        }
        more += length;
        more += strspn(more, ", ");
    }
    Py_XDECREF(util);
    if (status != 0) {
        Py_CLEAR(list);
    }
    return list;
}

static void check_threads(void)
{
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *entry;
    while (tasks != NULL && (entry = readdir(tasks)) != NULL) { // NOLINT(concurrency-mt-unsafe)
        n += entry->d_name[0] != '.';
    }
    if (tasks != NULL) {
        (void)closedir(tasks);
    }
    if (n > 1) {
        px_log_warning("zygote: a preloaded module has started threads; engines do not have them",
                       "threads=%d", n);
    }
}

// --- around a fork -------------------------------------------------------------------------------

static void before_fork(void *context)
{
    (void)context;
    PyOS_BeforeFork();
}

static void after_fork_parent(void *context)
{
    (void)context;
    PyOS_AfterFork_Parent();
}

static void after_fork_child(void *context)
{
    (void)context;
    PyOS_AfterFork_Child();
}

// set_env goes through os.environ, which Python code reads, and from there to the C library.
static void set_env(void *context, const char *name, const char *value)
{
    (void)context;
    PyObject *os = PyImport_ImportModule("os");
    PyObject *mapping = os != NULL ? PyObject_GetAttrString(os, "environ") : NULL;
    PyObject *result = NULL;
    if (mapping != NULL && value != NULL) {
        result = PyObject_CallMethod(mapping, "__setitem__", "ss", name, value);
    } else if (mapping != NULL) {
        result = PyObject_CallMethod(mapping, "pop", "sO", name, Py_None);
    }
    if (result == NULL) {
        PyErr_Print();
    }
    Py_XDECREF(result);
    Py_XDECREF(mapping);
    Py_XDECREF(os);
}

static int run_engine(void *context, const px_engine_args *args)
{
    (void)context;
    (void)call("pxkernel.preload", "reseed", PyLong_FromUnsignedLong(args->engine));
    px_interp_end_quickly();
    px_kernel_exit(px_engine_run(args));
}

// --- the zygote ----------------------------------------------------------------------------------

static const char *option(const px_launch *launch, const char *name)
{
    for (int i = 1; i + 1 < launch->argc; i++) {
        if (strcmp(launch->argv[i], name) == 0) {
            return launch->argv[i + 1];
        }
    }
    return NULL;
}

static bool prepare(const px_launch *launch)
{
    px_error error = {0};
    px_err err = px_interp_init(launch, 1, launch->argv, &error);
    if (err != PX_OK) {
        (void)fprintf(stderr, "pxengine: %s\n", error.text);
        return false;
    }
    // First of all: looking for a module imports the packages that it lies in.
    bool lean = call("pxkernel.lean", "install", NULL);
    PyObject *modules = lean ? module_list(option(launch, "--preload")) : NULL;
    if (modules == NULL) {
        PyErr_Print();
        return false;
    }
    bool good = call("pxkernel.preload", "load", modules) && call("pxkernel.boot", "prepare", NULL);
    check_threads();
    return good;
}

// share_cores gives each of the engines that are to live on this host its part of the cores, as the
// controller does on its own.
static void share_cores(const char *engines)
{
    static const char *const names[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                        "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
                                        "VECLIB_MAXIMUM_THREADS"};
    char text[24];
    cpu_set_t set;
    long long n = 0;
    if (engines == NULL || px_parse_number(engines, 1, INT32_MAX, &n) != PX_OK ||
        sched_getaffinity(0, sizeof(set), &set) != 0) {
        return;
    }
    long long threads = CPU_COUNT(&set) / n;
    (void)snprintf(text, sizeof(text), "%lld", threads > 0 ? threads : 1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)setenv(names[i], text, 0); // what the user has set stays
    }
}

int px_zygote_main(const px_launch *launch)
{
    px_nursery *nursery = NULL;
    px_nursery_hooks hooks = {.before_fork = before_fork,
                              .after_fork_parent = after_fork_parent,
                              .after_fork_child = after_fork_child,
                              .set_env = set_env,
                              .run = run_engine};
    const char *folder = option(launch, "--folder");
    const char *lease = option(launch, "--remote");
    long long lease_s = 0;
    if (folder == NULL && (lease == NULL || px_parse_number(lease, 1, 86400, &lease_s) != PX_OK)) {
        (void)fputs(
            "pxengine: --zygote is for pxcontroller; it needs --folder DIR, or --remote and "
            "how many seconds its silence may last\n",
            stderr);
        return 2;
    }
    share_cores(option(launch, "--engines"));
    px_err err = px_nursery_open(folder, launch->argc, launch->argv, &nursery);
    if (err != PX_OK) {
        (void)fprintf(stderr, "pxengine: the zygote cannot start: %s\n", px_err_text(err));
        return 1;
    }
    if (lease_s > 0) {
        px_nursery_set_lease(nursery, (int)lease_s * 1000);
    }
    if (!prepare(launch)) {
        return 1;
    }
    err = px_nursery_serve(nursery, &hooks);
    px_nursery_close(nursery);
    // Python is not finalised: nothing of a user's ran here, and the engines are gone.
    (void)fflush(NULL);
    _exit(err == PX_OK ? 0 : 1);
}
