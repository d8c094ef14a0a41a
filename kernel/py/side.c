// The thread px-side: Python beside the main thread, for the debugger and for questions while a
// cell runs (io/side.c says which).
//
// A C thread that takes the GIL for each request, rather than one made by Python: it can start
// while the main thread sleeps in a cell, and costs nothing until it is needed.

#include "py/python.h"

#include <poll.h>
#include <string.h>

static PyObject *serve; // set_side

static px_request *next_request(px_kernel *kernel)
{
    struct pollfd item = {.fd = px_mailbox_fd(&kernel->side), .events = POLLIN};
    px_letter *letter;
    while ((letter = px_mailbox_take_one(&kernel->side)) == NULL) {
        (void)poll(&item, 1, -1); // whatever it says: look again
    }
    if (letter->kind == PX_NOTICE_REQUEST) {
        return PX_CONTAINER(letter, px_request, letter);
    }
    px_side_letter *lent = PX_CONTAINER(letter, px_side_letter, letter);
    px_request *request = lent->request;
    free(lent);
    return request;
}

// finish posts reply, idle and, for a cell that still runs, its busy again: in one step, so that
// the cell's own idle cannot come between the question and the post.
static void finish(px_kernel *kernel, px_request_object *object)
{
    px_parent *parent = object->request->parent;
    bool statuses = px_io_wants_statuses(kernel->io, parent);
    px_out *reply = object->reply;
    object->reply = NULL;
    px_parent *running = px_interrupt_shown(&kernel->interrupt);
    px_out *const outs[] = {
        reply,
        statuses ? px_py_status(parent, false) : NULL,
        statuses && running != NULL ? px_py_status(running, true) : NULL,
    };
    px_io_post(kernel->io, px_py_link(outs, 3));
    px_interrupt_unlock(&kernel->interrupt);
    px_parent_unref(running);
}

// serve_one runs a request. Takes it. GIL held.
static void serve_one(px_kernel *kernel, px_request *request)
{
    if (!px_request_claim(request)) {
        px_request_free(request); // px-io could not wait for the GIL
        return;
    }
    px_request_object *object = px_py_request_new(request);
    if (object == NULL || serve == NULL) {
        Py_XDECREF((PyObject *)object);
        PyErr_Clear();
        return;
    }
    px_stamp_now(request->started);
    if (px_io_wants_statuses(kernel->io, request->parent)) {
        px_io_post(kernel->io, px_py_status(request->parent, true));
    }
    PX_AUTO_PY PyObject *result = PyObject_CallOneArg(serve, (PyObject *)object);
    PX_AUTO_PY PyObject *error =
        result == NULL ? px_py_take_error(request->message->msg_type) : NULL;
    if (object->reply == NULL) {
        object->reply = px_py_error_reply(request, error);
    }
    finish(kernel, object);
    Py_DECREF((PyObject *)object);
}

static void *side_body(void *arg)
{
    px_kernel *kernel = arg;
    for (;;) {
        px_request *request = next_request(kernel);
        PyGILState_STATE state = PyGILState_Ensure();
        serve_one(kernel, request);
        PyGILState_Release(state);
    }
    return NULL;
}

static PyObject *set_side(PyObject *module, PyObject *function)
{
    (void)module;
    px_kernel *kernel = px_py_kernel();
    if (kernel == NULL) {
        return NULL;
    }
    Py_XSETREF(serve, function == Py_None ? NULL : Py_NewRef(function));
    atomic_store(&kernel->side_body, serve != NULL ? side_body : NULL);
    Py_RETURN_NONE;
}

PyMethodDef px_py_side_methods[] = {
    {"set_side", set_side, METH_O, "The function that serves requests beside the main thread."},
    {NULL, NULL, 0, NULL},
};
