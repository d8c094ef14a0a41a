// Python's part in the watch for interrupts that do not act (io/stuck.h): a pending call that the
// main thread makes when it next looks for signals, and faulthandler's answer to a signal of ours.

#include "py/python.h"

#include <signal.h>

// A real-time signal that nobody is known to use: debuggers and profilers take the lowest.
#define PX_STUCK_SIGNAL (SIGRTMAX - 5)

static int answer(void *question)
{
    atomic_store(&px_kernel_current->stuck.alive, (uint64_t)(uintptr_t)question);
    return 0;
}

static bool ask(uint64_t question)
{
    return Py_AddPendingCall(answer, (void *)(uintptr_t)question) == 0;
}

static PyObject *watch_stuck(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    px_kernel *kernel = px_py_kernel();
    if (kernel == NULL) {
        return NULL;
    }
    PX_AUTO_PY PyObject *faulthandler = PyImport_ImportModule("faulthandler");
    PX_AUTO_PY PyObject *registered =
        faulthandler != NULL ? PyObject_CallMethod(faulthandler, "register", "iiO", PX_STUCK_SIGNAL,
                                                   kernel->stuck.write_fd, Py_False)
                             : NULL;
    if (registered == NULL) {
        return NULL;
    }
    atomic_store(&kernel->stuck.signal, PX_STUCK_SIGNAL);
    atomic_store(&kernel->stuck.ask, ask);
    Py_RETURN_NONE;
}

PyMethodDef px_py_stuck_methods[] = {
    {"watch_stuck", watch_stuck, METH_NOARGS,
     "Have the user told when an interrupt does not act; once, when Python is ready."},
    {NULL, NULL, 0, NULL},
};
