// callbacks.c: thread px-done, which calls what add_done_callback and listen were given.
//
// Slots are filled by threads that must never wait for the GIL (px-client) or that are about
// to return to their caller (a waiting thread). So callbacks have a thread of their own; it starts
// with the first callback and ends with the interpreter. There is one for the process, as there is
// one GIL.

#include "module.h"

#include "px/mailbox.h"
#include "px/own.h"
#include "px/thread.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

enum { LETTER_DONE, LETTER_ASKS, LETTER_STOP };

typedef struct px_asks_letter {
    px_letter letter;
    px_task *task;
} px_asks_letter;

static px_mailbox box = {.fd = -1};
static pthread_t thread;
static bool running; // under the GIL
static px_letter stop_letter = {.kind = LETTER_STOP};

void px_callbacks_hook(px_task *task)
{
    task->letter.kind = LETTER_DONE;
    px_mailbox_post(&box, &task->letter);
}

void px_listeners_hook(px_task *task)
{
    px_asks_letter *asks = calloc(1, sizeof *asks);
    if (asks == NULL) {
        task->refs--; // whoever waits for the task answers
        return;
    }
    asks->letter.kind = LETTER_ASKS;
    asks->task = task;
    px_mailbox_post(&box, &asks->letter);
}

static void call_listener(px_asks_letter *asks)
{
    px_task_object *self = asks->task->owner; // lives until the letter that the task is done
    PyObject *result = self->listener != NULL
                           ? PyObject_CallOneArg(self->listener, (PyObject *)self)
                           : Py_NewRef(Py_None);
    if (result == NULL) {
        PyErr_WriteUnraisable(self->listener);
    }
    Py_XDECREF(result);
    px_task_unref(asks->task);
    free(asks);
}

static void call_all(px_task *task)
{
    px_task_object *self = task->owner;
    PyObject *callbacks = self->callbacks;
    self->callbacks = NULL;
    Py_ssize_t n = callbacks != NULL ? PyList_GET_SIZE(callbacks) : 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *callback = PyList_GET_ITEM(callbacks, i);
        PyObject *result = PyObject_CallOneArg(callback, (PyObject *)self);
        if (result == NULL) {
            PyErr_WriteUnraisable(callback);
        }
        Py_XDECREF(result);
    }
    Py_XDECREF(callbacks);
    Py_CLEAR(self->listener);
    Py_DECREF(self); // the reference that px_task_notify was armed with
    px_task_unref(task);
}

// serve_box calls for every letter there is; false after the one that stops.
static bool serve_box(void)
{
    px_letter *letter = px_mailbox_take(&box);
    bool goes_on = true;
    PyGILState_STATE state = PyGILState_Ensure();
    while (letter != NULL) {
        px_letter *next = letter->next;
        if (letter->kind == LETTER_STOP) {
            goes_on = false;
        } else if (letter->kind == LETTER_ASKS) {
            call_listener(PX_CONTAINER(letter, px_asks_letter, letter));
        } else {
            call_all(PX_CONTAINER(letter, px_task, letter));
        }
        letter = next;
    }
    px_buffers_release();
    PyGILState_Release(state);
    return goes_on;
}

static void *run(void *unused)
{
    struct pollfd fd = {.fd = px_mailbox_fd(&box), .events = POLLIN};
    do {
        (void)poll(&fd, 1, -1);
    } while (serve_box());
    return unused;
}

// forget is for the child of a fork: the thread is not there.
static void forget(void)
{
    if (running) {
        running = false;
        (void)px_mailbox_init(&box);
    }
}

int px_callbacks_arm(void)
{
    if (running) {
        return 0;
    }
    static bool guarded; // under the GIL
    if (!guarded) {
        guarded = pthread_atfork(NULL, NULL, forget) == 0;
    }
    px_err err = box.fd >= 0 ? PX_OK : px_mailbox_init(&box);
    if (err == PX_OK) {
        err = px_thread_start(&thread, "px-done", run, NULL);
    }
    if (err != PX_OK) {
        (void)PyErr_Format(PyExc_RuntimeError, "the thread for callbacks could not be started: %s",
                           px_err_text(err));
        return -1;
    }
    running = true;
    return 0;
}

void px_callbacks_stop(void)
{
    if (!running) {
        return;
    }
    running = false;
    px_mailbox_post(&box, &stop_letter);
    Py_BEGIN_ALLOW_THREADS;
    (void)pthread_join(thread, NULL);
    Py_END_ALLOW_THREADS;
}
