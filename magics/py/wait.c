// wait.c: waits of Python threads: without the GIL, and ended by a signal.
//
// A signal that comes after the last look at it and before the sleep would be slept over. So
// signals are blocked while we look, and ppoll opens them in the same step in which it goes to
// sleep.

#include "module.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>

// answer_question answers a question of an engine, if nobody else has taken it. -1 with
// KeyboardInterrupt.
static int answer_question(px_client *client, const px_want *asking)
{
    px_question *question = px_client_question(client, asking);
    return question != NULL ? px_ask_python(client, question) : 0;
}

int px_wait_until(px_client *client, const px_want *want, px_ns deadline)
{
    px_want plain = *want;
    plain.asks = PX_ASKS_NONE;
    if (px_client_has(client, &plain)) {
        return 1;
    }
    sigset_t all;
    sigset_t before;
    px_want asking = *want;
    asking.asks = px_asks_here(want);
    (void)sigfillset(&all);
    for (;;) {
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        if (PyErr_CheckSignals() != 0) {
            (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
            return -1;
        }
        px_err err;
        Py_BEGIN_ALLOW_THREADS;
        err = px_client_wait(client, &asking, deadline, &before);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        Py_END_ALLOW_THREADS;
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
