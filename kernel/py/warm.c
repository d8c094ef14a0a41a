// The keeper's Python half: loads what every kernel needs, once, in one thread; and what a fork
// does to be a kernel of its own (pxkernel/warm.py). Which files were read is remembered: when one
// of them, or a folder of packages, has changed, a fork would not be what a start is.

#include "warm/warm.h"

#include "py/interp.h"
#include "py/python.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct watched {
    char *path;
    struct stat status; // zeros: it was not there
} watched;

static watched *files;
static size_t n_files;
static px_launch launched;

static void before_fork(void)
{
    PyOS_BeforeFork();
}

static void after_fork_parent(void)
{
    PyOS_AfterFork_Parent();
}

static void after_fork_child(void)
{
    PyOS_AfterFork_Child();
}

static struct stat look_at(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        status = (struct stat){0};
    }
    return status;
}

static bool fresh(void)
{
    for (size_t i = 0; i < n_files; i++) {
        const struct stat now = look_at(files[i].path);
        const struct stat *then = &files[i].status;
        if (now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != then->st_mtim.tv_nsec || now.st_ino != then->st_ino ||
            now.st_dev != then->st_dev || now.st_size != then->st_size) {
            return false;
        }
    }
    return true;
}

// remember notes the files of a sequence of paths. False: out of memory, or no such sequence.
static bool remember(PyObject *paths)
{
    Py_ssize_t n = paths != NULL && PyList_Check(paths) ? PyList_GET_SIZE(paths) : -1;
    files = n > 0 ? calloc((size_t)n, sizeof(*files)) : NULL;
    for (Py_ssize_t i = 0; files != NULL && i < n; i++) {
        PX_AUTO_PY PyObject *path = NULL;
        if (!PyUnicode_FSConverter(PyList_GET_ITEM(paths, i), &path)) {
            return false;
        }
        files[n_files].path = strdup(PyBytes_AS_STRING(path));
        if (files[n_files].path == NULL) {
            return false;
        }
        files[n_files].status = look_at(files[n_files].path);
        n_files++;
    }
    return n_files > 0;
}

// --- in a fork -----------------------------------------------------------------------------------

static PyObject *texts(char **list, int n)
{
    PyObject *result = PyList_New(0);
    for (int i = 0; result != NULL && i < n; i++) {
        PX_AUTO_PY PyObject *text = PyUnicode_DecodeFSDefault(list[i]);
        if (text == NULL || PyList_Append(result, text) < 0) {
            Py_CLEAR(result);
        }
    }
    return result;
}

// environment is the process's environment now: what os.environ would be made of.
static PyObject *environment(void)
{
    PyObject *result = PyDict_New();
    for (char **v = environ; result != NULL && v != NULL && *v != NULL; v++) {
        const char *equals = strchr(*v, '=');
        if (equals == NULL) {
            continue;
        }
        PX_AUTO_PY PyObject *name = PyBytes_FromStringAndSize(*v, equals - *v);
        PX_AUTO_PY PyObject *value = PyBytes_FromString(equals + 1);
        if (name == NULL || value == NULL || PyDict_SetDefault(result, name, value) == NULL) {
            Py_CLEAR(result);
        }
    }
    return result;
}

bool px_warm_renew(const px_warm_child *child, int n_rest, char **rest)
{
    PX_AUTO_PY PyObject *module = PyImport_ImportModule("pxkernel.warm");
    PX_AUTO_PY PyObject *variables = environment();
    PX_AUTO_PY PyObject *arguments = texts(child->argv, child->argc);
    PX_AUTO_PY PyObject *left = texts(rest, n_rest);
    PX_AUTO_PY PyObject *result =
        module != NULL && variables != NULL && arguments != NULL && left != NULL
            ? PyObject_CallMethod(module, "renew", "OOO", variables, arguments, left)
            : NULL;
    bool good = result == Py_True;
    if (PyErr_Occurred() != NULL) {
        px_py_log_exception("a warm start"); // a cold start is right all the same
    }
    return good;
}

static int run(const px_warm_child *child, bool (*start)(const px_warm_child *))
{
    launched.argc = child->argc;
    launched.argv = child->argv;
    return px_kernel_run_forked(&launched, child, start);
}

bool px_warm_load(const px_launch *launch, px_warm_hooks *ret_hooks)
{
    px_error error = {0};
    char *none[] = {(char *)(uintptr_t) "pxkernel", NULL};
    launched = *launch;
    launched.hooks = NULL;
    if (px_interp_init(launch, 1, none, &error) != PX_OK) {
        return false;
    }
    PX_AUTO_PY PyObject *module = PyImport_ImportModule("pxkernel.warm");
    PX_AUTO_PY PyObject *paths = module != NULL ? PyObject_CallMethod(module, "load", NULL) : NULL;
    bool good = paths != NULL && remember(paths);
    PyErr_Clear(); // then kernels are started cold
    *ret_hooks = (px_warm_hooks){.before_fork = before_fork,
                                 .after_fork_parent = after_fork_parent,
                                 .after_fork_child = after_fork_child,
                                 .fresh = fresh,
                                 .run = run};
    return good;
}
