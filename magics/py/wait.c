// wait.c: waits of Python threads: without the GIL, and ended by a signal.
//
// Signals are handled by Python's main thread, whichever thread the system gives them to. One that
// comes after the last look at it and before the sleep, or to another thread, interrupts no system
// call of the main thread. So while that waits, Python's C handler writes into a pipe that is part
// of the sleep.

#include "module.h"

#include <fcntl.h>
#include <math.h>
#include <unistd.h>

// answer_question answers a question of an engine, if nobody else has taken it. -1 with
// KeyboardInterrupt.
static int answer_question(px_client *client, const px_want *asking)
{
    px_question *question = px_client_question(client, asking);
    return question != NULL ? px_ask_python(client, question) : 0;
}

// set_wakeup has Python's C handler write into fd (-1: nowhere); gives what it was before, or -1.
// An exception that is set stays.
static int set_wakeup(int fd)
{
    static PyObject *set; // under the GIL
    PyObject *type = NULL;
    PyObject *error = NULL;
    PyObject *trace = NULL;
    PyErr_Fetch(&type, &error, &trace);
    if (set == NULL) {
        PyObject *module = PyImport_ImportModule("_signal");
        set = module != NULL ? PyObject_GetAttrString(module, "set_wakeup_fd") : NULL;
        Py_XDECREF(module);
    }
    PyObject *before = set != NULL ? PyObject_CallFunction(set, "i", fd) : NULL;
    long value = before != NULL ? PyLong_AsLong(before) : -1;
    Py_XDECREF(before);
    PyErr_Restore(type, error, trace); // none of ours: only a thread that is not Python's main one
    return (int)value;
}

// begin_signals has Python's signals show on the descriptor that it gives; -1 outside the main
// thread, which gets none. *ret_before is for end_signals.
static int begin_signals(int *ret_before)
{
    static int fds[2] = {-1, -1}; // under the GIL
    static pid_t owner;           // a child of a fork must not read its parent's
    if (gettid() != getpid()) {
        return -1;
    }
    if (owner != getpid()) {
        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
            return -1; // system calls are interrupted, nearly always
        }
        owner = getpid();
    }
    *ret_before = set_wakeup(fds[1]);
    return fds[0];
}

// end_signals gives the place back to the descriptor before, with the signals that it missed.
// Without one, a signal that nobody has seen yet may stay: the next wait looks once more than it
// has to.
static void end_signals(int wake_fd, int before, bool seen)
{
    char numbers[64];
    ssize_t n;
    if (wake_fd < 0) {
        return;
    }
    (void)set_wakeup(before);
    if (!seen && before < 0) {
        return;
    }
    while ((n = read(wake_fd, numbers, sizeof numbers)) > 0) {
        if (before >= 0) {
            (void)!write(before, numbers, (size_t)n);
        }
    }
}

// sleep_once waits without the GIL until want, or a signal.
static px_err sleep_once(px_client *client, const px_want *want, px_ns deadline)
{
    int before = -1;
    int wake_fd = begin_signals(&before);
    px_err err = PX_EINTR;
    if (PyErr_CheckSignals() == 0) {
        Py_BEGIN_ALLOW_THREADS;
        err = px_client_wait(client, want, deadline, wake_fd);
        Py_END_ALLOW_THREADS;
    }
    end_signals(wake_fd, before, err == PX_EINTR);
    return err;
}

int px_wait_until(px_client *client, const px_want *want, px_ns deadline)
{
    px_want plain = *want;
    plain.asks = PX_ASKS_NONE;
    if (px_client_has(client, &plain)) {
        return 1;
    }
    px_want asking = *want;
    asking.asks = px_asks_here(want);
    for (;;) {
        px_err err = sleep_once(client, &asking, deadline);
        if (PyErr_Occurred() != NULL) {
            return -1;
        }
        px_buffers_release();
        switch (err) {
        case PX_OK:
            if (px_client_has(client, &plain) || px_client_closed(client, NULL)) {
                return 1;
            }
            if (answer_question(client, &asking) < 0) {
                return -1;
            }
            break;
        case PX_ETIMEOUT:
            return 0;
        case PX_EINTR:
            break;
        default:
            (void)PyErr_Format(PyExc_OSError, "cannot wait: %s", px_err_text(err));
            return -1;
        }
    }
}

int px_wait_python(px_client *client, const px_want *want, PyObject *timeout)
{
    if (timeout == NULL || timeout == Py_None) {
        return px_wait_until(client, want, 0);
    }
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (isnan(seconds)) {
        PyErr_SetString(PyExc_ValueError, "timeout is not a number");
        return -1;
    }
    if (seconds <= 0) {
        return px_client_has(client, want) ? 1 : 0;
    }
    if (seconds > 1e9) {
        return px_wait_until(client, want, 0);
    }
    return px_wait_until(client, want, px_now() + (px_ns)(seconds * (double)PX_NS_PER_S));
}
