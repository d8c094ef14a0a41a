// SIGINT, Python half: nothing while no request runs, KeyboardInterrupt while one does, a cancel
// while an async one waits; and the fence at the end, which keeps an interrupt out of the next
// request.
//
// While idle SIGINT has a handler that does nothing, rather than being ignored: a switch from a
// tripped handler to SIG_IGN makes Python complain, and children would inherit it. The fence: after
// `busy` is cleared under the lock (nobody sends any more) the handler is changed back, which is a
// system call, so a signal that was on its way has been delivered; Python checks what is pending
// inside signal.signal, and a KeyboardInterrupt out of that is the late one: dropped.

#include "py/python.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

static PyObject *set_handler; // _signal.signal
static PyObject *default_int; // signal.default_int_handler
static PyObject *idle_int;
static PyObject *async_int;
static PyObject *held_int;
static PyObject *sigint; // the number
static PyObject *current_task;

static PyObject *on_idle(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    if (px_kernel_current != NULL) {
        px_py_subshells_interrupt(px_kernel_current); // when the main shell runs nothing
    }
    Py_RETURN_NONE;
}

// cell_computes tells if the task of the async cell is what the main thread is busy with.
static bool cell_computes(void)
{
    PX_AUTO_PY PyObject *task = PyObject_CallNoArgs(current_task);
    if (task == NULL) {
        PyErr_Clear();
        return false;
    }
    return task != Py_None && task == px_py.main.task;
}

static PyObject *on_async(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    if (cell_computes() || px_py.main.cancel == NULL) {
        PyErr_SetNone(PyExc_KeyboardInterrupt);
        return NULL;
    }
    PyObject *result = PyObject_CallNoArgs(px_py.main.cancel);
    px_py_nudge(&px_py.main); // the loop sleeps on: select is restarted after a signal
    return result;
}

static PyObject *handler_before; // while SIGINT is held
static bool held;
static px_ns held_since;
static bool windows; // Python says when user code runs (interrupt_window)

static PyObject *on_held(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    px_ns now = px_now();
    bool again = held && now - held_since > PX_NS_PER_S;
    if (!held) {
        held_since = now;
    }
    held = true;
    if (again || atomic_load(&px_kernel_current->exiting)) {
        PyErr_SetNone(PyExc_KeyboardInterrupt); // whatever holds it takes too long
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef handlers[] = {
    {"ignore_interrupt", on_idle, METH_VARARGS, "SIGINT while no request runs."},
    {"cancel_cell", on_async, METH_VARARGS, "SIGINT while an async cell runs."},
    {"hold_interrupt", on_held, METH_VARARGS, "SIGINT while Python forks."},
};

// change sets the handler of SIGINT. What Python finds pending on the way is dropped: tried again,
// a few times.
static void change(PyObject *handler)
{
    for (int attempt = 0; attempt < 5; attempt++) {
        PyObject *before = PyObject_CallFunctionObjArgs(set_handler, sigint, handler, NULL);
        if (before != NULL) {
            Py_DECREF(before);
            return;
        }
        PyErr_Clear();
    }
}

// drop_in_flight takes away a SIGINT that was sent to the process and that no thread has received
// yet: the system may have chosen a thread that is slow to run, and the signal would arrive later.
static void drop_in_flight(void)
{
    const struct timespec now = {0};
    sigset_t only;
    sigset_t before;
    (void)sigemptyset(&only);
    (void)sigaddset(&only, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &only, &before); // cannot fail with these arguments
    while (sigtimedwait(&only, NULL, &now) == SIGINT) {
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void px_py_signals_hold(void)
{
    if (handler_before != NULL || set_handler == NULL ||
        !pthread_equal(pthread_self(), px_kernel_current->interrupt.main)) {
        return;
    }
    held = false;
    for (int attempt = 0; attempt < 5 && handler_before == NULL; attempt++) {
        handler_before = PyObject_CallFunctionObjArgs(set_handler, sigint, held_int, NULL);
        if (handler_before == NULL) { // it came just before: as if it came now
            PyErr_Clear();
            held = true;
        }
    }
}

void px_py_signals_release(bool deliver)
{
    if (handler_before == NULL ||
        !pthread_equal(pthread_self(), px_kernel_current->interrupt.main)) {
        return;
    }
    change(handler_before); // what is pending goes to on_held first
    Py_CLEAR(handler_before);
    if (held && deliver) {
        PyErr_SetInterrupt();
    }
    held = false;
}

void px_py_signals_arm(bool cell)
{
    drop_in_flight();
    change(default_int);
    if (cell && windows) {
        px_py_signals_hold();
    }
}

// forget_hold ends a hold without going back; true when SIGINT came meanwhile.
static bool forget_hold(void)
{
    bool came = held;
    Py_CLEAR(handler_before);
    held = false;
    return came;
}

static PyObject *interrupt_window(PyObject *module, PyObject *open)
{
    (void)module;
    int wanted = PyObject_IsTrue(open);
    px_shell *shell = px_py_shell();
    if (wanted < 0) {
        return NULL;
    }
    if (shell->subshell != NULL) {
        return px_py_subshell_window(shell, wanted != 0) == 0 ? Py_NewRef(Py_None) : NULL;
    }
    windows = true;
    if (wanted) {
        px_py_signals_release(true);
    } else {
        px_py_signals_hold();
    }
    Py_RETURN_NONE;
}

PyMethodDef px_py_signals_methods[] = {
    {"interrupt_window", interrupt_window, METH_O,
     "True: user code begins, SIGINT raises. False: it has ended, SIGINT is kept (and dropped at "
     "the "
     "end of the request)."},
    {NULL, NULL, 0, NULL},
};

void px_py_signals_async(void)
{
    if (current_task == NULL) {
        PX_AUTO_PY PyObject *asyncio = PyImport_ImportModule("asyncio"); // loaded: a task exists
        current_task = asyncio != NULL ? PyObject_GetAttrString(asyncio, "current_task") : NULL;
    }
    if (current_task == NULL) {
        PyErr_Clear();
        return; // then an interrupt is a KeyboardInterrupt in the loop, which is entered again
    }
    bool came = forget_hold();
    change(async_int);
    if (came) {
        PyErr_SetInterrupt();
    }
}

void px_py_signals_fence(void)
{
    drop_in_flight();
    change(idle_int);
    (void)forget_hold();
    if (PyErr_CheckSignals() < 0) {
        PyErr_Clear();
    }
}

int px_py_signals_init(void)
{
    PX_AUTO_PY PyObject *module = PyImport_ImportModule("_signal");
    if (module == NULL) {
        return -1;
    }
    set_handler = PyObject_GetAttrString(module, "signal");
    default_int = PyObject_GetAttrString(module, "default_int_handler");
    sigint = PyLong_FromLong(SIGINT);
    idle_int = PyCFunction_New(&handlers[0], NULL);
    async_int = PyCFunction_New(&handlers[1], NULL);
    held_int = PyCFunction_New(&handlers[2], NULL);
    if (set_handler == NULL || default_int == NULL || sigint == NULL || idle_int == NULL ||
        async_int == NULL || held_int == NULL) {
        return -1;
    }
    change(idle_int);
    return 0;
}
