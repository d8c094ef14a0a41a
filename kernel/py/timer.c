// A timer that ends a wait in poll: for GUI toolkits, whose loops watch descriptors and know
// nothing of asyncio's timers. (Python has os.timerfd_create since 3.13.)

#include "py/python.h"

#include <errno.h>
#include <math.h>
#include <sys/timerfd.h>

static PyObject *timer_fd(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return fd >= 0 ? PyLong_FromLong(fd) : PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *timer_set(PyObject *module, PyObject *args)
{
    (void)module;
    int fd;
    double seconds;
    if (!PyArg_ParseTuple(args, "id:timer_set", &fd, &seconds)) {
        return NULL;
    }
    struct itimerspec at = {0}; // all zero: never
    if (seconds <= 0) {
        at.it_value.tv_nsec = 1;
    } else if (seconds < 1e9) {
        double whole = floor(seconds);
        at.it_value.tv_sec = (time_t)whole;
        at.it_value.tv_nsec = (long)((seconds - whole) * 1e9) + 1;
        at.it_value.tv_nsec = at.it_value.tv_nsec < 1000000000 ? at.it_value.tv_nsec : 999999999;
    }
    if (timerfd_settime(fd, 0, &at, NULL) < 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

PyMethodDef px_py_timer_methods[] = {
    {"timer_fd", timer_fd, METH_NOARGS,
     "A descriptor that timer_set makes readable; the caller's."},
    {"timer_set", timer_set, METH_VARARGS,
     "timer_set(fd, seconds): readable then and not before; infinity: never."},
    {NULL, NULL, 0, NULL},
};
