// What a forked child of the kernel may do (os.fork, multiprocessing): compute, and write to
// descriptors 1 and 2. libzmq would accept its sends without an error and lose them, and px-io does
// not exist there, so every way to them asks px_py_is_child first.

#include "py/python.h"

#include <pthread.h>

static void in_child(void)
{
    if (px_kernel_current != NULL) {
        atomic_store(&px_kernel_current->is_child, true);
    }
}

bool px_py_is_child(void)
{
    px_kernel *kernel = px_kernel_current;
    return kernel != NULL && atomic_load_explicit(&kernel->is_child, memory_order_relaxed);
}

// --- SIGINT while Python forks -------------------------------------------------------------------
//
// Python runs hooks around a fork (logging's lock, IPython's history), and ignores exceptions
// there: a KeyboardInterrupt that comes just then would be lost. So SIGINT is held from before the
// first hook to after the last, and then delivered in user code. Blocking it in this thread would
// not do: the system gives it to another thread, and Python raises here all the same.

static PyObject *before_fork(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    px_py_signals_hold();
    Py_RETURN_NONE;
}

static PyObject *after_in_parent(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    px_py_signals_release(true);
    Py_RETURN_NONE;
}

static PyObject *after_in_child(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    px_py_signals_release(false);
    Py_RETURN_NONE;
}

static PyMethodDef fork_hooks[] = {
    {"hold_interrupts", before_fork, METH_NOARGS, NULL},
    {"release_interrupts", after_in_parent, METH_NOARGS, NULL},
    {"forget_interrupts", after_in_child, METH_NOARGS, NULL},
};

int px_py_forked_hooks(void)
{
    PX_AUTO_PY PyObject *os = PyImport_ImportModule("os");
    PX_AUTO_PY PyObject *add = os != NULL ? PyObject_GetAttrString(os, "register_at_fork") : NULL;
    PX_AUTO_PY PyObject *hold = PyCFunction_New(&fork_hooks[0], NULL);
    PX_AUTO_PY PyObject *release = PyCFunction_New(&fork_hooks[1], NULL);
    PX_AUTO_PY PyObject *forget = PyCFunction_New(&fork_hooks[2], NULL);
    if (add == NULL || hold == NULL || release == NULL || forget == NULL) {
        return -1;
    }
    PX_AUTO_PY PyObject *none = PyTuple_New(0);
    PX_AUTO_PY PyObject *options = Py_BuildValue("{sO sO sO}", "before", hold, "after_in_parent",
                                                 release, "after_in_child", forget);
    PX_AUTO_PY PyObject *done =
        none != NULL && options != NULL ? PyObject_Call(add, none, options) : NULL;
    return done != NULL ? 0 : -1;
}

void px_py_forked_init(px_kernel *kernel)
{
    (void)kernel;
    px_must(pthread_atfork(NULL, NULL, in_child) == 0 ? PX_OK : PX_ENOMEM);
}
