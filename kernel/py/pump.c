// The pump: requests from the inbox to Python's dispatch, one at a time, in order.
//
// It runs as the reader callback of the inbox's descriptor, on the main thread's asyncio loop, and
// returns to the loop after each execute request, so that background tasks go on between cells;
// cheap requests (comms) are served many to a call. The life of a request is in _kernel.pyi. Around
// dispatch stand: interrupts armed before `busy` is said and fenced off after `idle`; captured
// output read before the reply; the reply held back until the handler is done, so that it stands
// behind all outputs.
//
// A cell that awaits keeps its place: nothing but comm messages (widgets) and control requests is
// served meanwhile, and these get no status of their own.
//
// An execute request that fails with stop_on_error has the ones behind it aborted: those that were
// sent before the client could see the failure. To know them, a marker goes in front of the reply:
// px-io reads its socket dry at that point, posts what it finds and then says so
// (PX_NOTICE_ABORT_END).

#include "py/python.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define COMM_BUDGET 64 // cheap requests served before the loop gets its turn
#define TIME_BUDGET (2 * PX_NS_PER_MS)

static void push(px_queue *q, px_letter *letter)
{
    letter->next = NULL;
    if (q->last != NULL) {
        q->last->next = letter;
    } else {
        q->first = letter;
    }
    q->last = letter;
}

static px_request *pop(px_queue *q)
{
    px_letter *letter = q->first;
    if (letter == NULL) {
        return NULL;
    }
    q->first = letter->next;
    if (q->first == NULL) {
        q->last = NULL;
    }
    return PX_CONTAINER(letter, px_request, letter);
}

void px_py_nudge(px_shell *shell)
{
    if (shell->nudged || shell->inbox == NULL) {
        return;
    }
    shell->nudged = true;
    px_letter *letter = px_need_zeroed(sizeof(*letter));
    letter->kind = PX_NOTICE_NUDGE;
    px_mailbox_post(shell->inbox, letter);
}

static void send_outs(px_kernel *kernel, px_out *const *outs, size_t n)
{
    px_io_post(kernel->io, px_py_link(outs, n));
}

static bool is_known_request(const px_request *request)
{
    const char *type = request->message->msg_type;
    size_t length = strlen(type);
    return request->message->type != PX_MSG_UNKNOWN && length > 8 &&
           strcmp(type + length - 8, "_request") == 0;
}

// abort_request answers one that is not served any more.
static void abort_request(px_kernel *kernel, px_shell *shell, px_request *request)
{
    if (!px_waiting_begin(shell->waiting, request)) {
        px_request_free(request);
        return;
    }
    bool statuses = px_io_wants_statuses(kernel->io, request->parent);
    px_stamp_now(request->started);
    px_out *const outs[] = {
        statuses ? px_py_status(request->parent, true) : NULL,
        is_known_request(request)
            ? px_py_reply_of(request, PX_SLICE_LITERAL("{\"status\":\"aborted\"}"), "aborted")
            : NULL,
        statuses ? px_py_status(request->parent, false) : NULL,
    };
    send_outs(kernel, outs, 3);
    px_request_free(request);
}

static bool must_abort(const px_request_object *object)
{
    const px_message *message = object->request->message;
    return object->reply_failed && message->type == PX_MSG_EXECUTE_REQUEST &&
           object->request->channel == PX_SHELL &&
           !px_member_is(message->content, "stop_on_error", "false") &&
           !px_member_is(message->content, "silent", "true");
}

// --- the end of a request -----------------------------------------------------------------------

// error_out shows the error of a cell whose handler raised: what its reply says.
static px_out *error_out(const px_request *request, const px_out *reply)
{
    if (request->message->type != PX_MSG_EXECUTE_REQUEST) {
        return NULL;
    }
    px_out *out = px_out_new(PX_OUT_PUBLISH, request->parent);
    (void)snprintf(out->msg_type, sizeof(out->msg_type), "error");
    out->content = px_bytes_ref(reply->content);
    return out;
}

// finish sends the reply and idle of a request. Takes object. error is what its handler raised, or
// NULL.
static void finish(px_kernel *kernel, px_shell *shell, px_request_object *object, PyObject *error,
                   bool with_status)
{
    px_request *request = object->request;
    px_out *shown = NULL;
    if (object->reply == NULL && is_known_request(request)) {
        object->reply = px_py_error_reply(request, error);
        object->reply_failed = true;
        shown = error_out(request, object->reply);
    }
    (void)fflush(stdout); // what C libraries printed
    px_capture_drain(&kernel->capture, true);
    shell->aborting = shell->aborting || must_abort(object);
    px_out *const outs[] = {
        shown,
        must_abort(object) ? px_out_new(PX_OUT_ABORT, request->parent) : NULL,
        object->reply,
        with_status ? px_py_status(request->parent, false) : NULL,
    };
    object->reply = NULL;
    send_outs(kernel, outs, 4);
    Py_DECREF((PyObject *)object);
}

static void disarm(px_shell *shell)
{
    if (shell->armed) {
        px_py_signals_fence();
        shell->armed = false;
    }
}

static bool is_comm(const px_request *request)
{
    px_msg_type type = request->message->type;
    return type == PX_MSG_COMM_OPEN || type == PX_MSG_COMM_MSG || type == PX_MSG_COMM_CLOSE;
}

// is_small tells if a request is one of those that come by the thousand: an engine's calls, and
// messages of comms.
static bool is_small(const px_kernel *kernel, const px_request *request)
{
    return is_comm(request) ||
           (kernel->config.engine && request->message->type == PX_MSG_APPLY_REQUEST);
}

// small_follows tells if the next request is small, as request was.
static bool small_follows(const px_kernel *kernel, const px_shell *shell, const px_request *request)
{
    const px_letter *next = shell->requests.first;
    return next != NULL && shell->control.first == NULL && shell->async == NULL &&
           is_small(kernel, request) && is_small(kernel, PX_CONTAINER(next, px_request, letter));
}

// enter says that a request runs; true when it was interrupted before it began.
static bool enter(px_kernel *kernel, px_shell *shell, const px_request *request)
{
    bool cell = request->message->type == PX_MSG_EXECUTE_REQUEST;
    shell->busy = true;
    atomic_store(shell->blocked, true);
    if (shell->subshell != NULL) {
        px_py_subshell_enter(kernel, shell, cell);
        return false;
    }
    if (!shell->armed) {
        px_py_signals_arm(cell);
        shell->armed = true;
    }
    return px_interrupt_begin(&kernel->interrupt, request->parent, request->posted);
}

// leave ends what enter began: no interrupt for this request from here on. The fence is several
// system calls; between two small requests it is left out when no signal was sent for the first
// (one from outside has no addressee: it interrupts whatever runs).
static void leave(px_kernel *kernel, px_shell *shell, bool follows)
{
    if (shell->subshell != NULL) {
        px_py_subshell_leave(kernel, shell);
    } else {
        bool sent = px_interrupt_end(&kernel->interrupt);
        if (sent || !follows) {
            disarm(shell);
        }
    }
    shell->busy = false;
    atomic_store(shell->blocked, false);
}

// show says what front ends are to know of the main shell; they are not told of subshells.
static void show(px_kernel *kernel, const px_shell *shell, px_parent *parent)
{
    if (shell->subshell == NULL) {
        px_interrupt_show(&kernel->interrupt, parent);
    }
}

// after_fork ends a forked child that came out of its cell: it is no kernel.
static void after_fork(void)
{
    if (px_py_is_child()) {
        px_py_child_flush();
        (void)fflush(NULL);
        _exit(0);
    }
}

static void ask_exit(px_kernel *kernel)
{
    if (px_py.exit == NULL) {
        return;
    }
    PyObject *restart = PyBool_FromLong(atomic_load(&kernel->restart));
    PyObject *result = PyObject_CallOneArg(px_py.exit, restart);
    Py_DECREF(restart);
    if (result == NULL) {
        px_py_log_exception("the loop could not be stopped");
    }
    Py_XDECREF(result);
}

// is_abortable tells if a request is not served when a cell before it failed. On an engine the
// cells of front ends have no say over the requests of the cluster's clients.
static bool is_abortable(const px_kernel *kernel, const px_request *request)
{
    return request->message->type == PX_MSG_EXECUTE_REQUEST &&
           (request->parent->door || !kernel->config.engine);
}

// abort_queued aborts the execute requests that were here already when one failed; everything when
// the shell has ended.
static void abort_queued(px_kernel *kernel, px_shell *shell)
{
    px_queue kept = {0};
    px_request *request;
    while ((request = pop(&shell->requests)) != NULL) {
        if (shell->ended || is_abortable(kernel, request)) {
            abort_request(kernel, shell, request);
        } else {
            push(&kept, &request->letter);
        }
    }
    shell->requests = kept;
}

static void end_request(px_kernel *kernel, px_shell *shell, px_request_object *object,
                        PyObject *error)
{
    bool cell = object->request->message->type == PX_MSG_EXECUTE_REQUEST;
    show(kernel, shell, NULL);
    bool follows = small_follows(kernel, shell, object->request);
    finish(kernel, shell, object, error, px_io_wants_statuses(kernel->io, object->request->parent));
    leave(kernel, shell, follows);
    if (cell && !kernel->config.engine) {
        px_py_known_update();
    }
    px_py_shell_ended(kernel, shell);
    if (shell->aborting) {
        abort_queued(kernel, shell);
    }
    if (shell->subshell == NULL && atomic_load(&kernel->exiting)) {
        ask_exit(kernel);
    }
}

// task_done is the callback of an async request's task.
static PyObject *task_done(PyObject *self, PyObject *task)
{
    (void)self;
    px_kernel *kernel = px_kernel_current;
    px_shell *shell = px_py_shell();
    px_request_object *object = shell->async;
    if (object == NULL || px_py_is_child()) {
        after_fork();
        Py_RETURN_NONE;
    }
    shell->async = NULL;
    shell->cancelling = false;
    Py_CLEAR(shell->task);
    PX_AUTO_PY PyObject *error = PyObject_CallMethod(task, "exception", NULL);
    if (error == NULL) { // cancelled
        PyObject *type = NULL;
        PyObject *traceback = NULL;
        PyErr_Fetch(&type, &error, &traceback);
        PyErr_NormalizeException(&type, &error, &traceback);
        Py_XDECREF(type);
        Py_XDECREF(traceback);
    }
    end_request(kernel, shell, object, error == Py_None ? NULL : error);
    px_py_nudge(shell);
    Py_RETURN_NONE;
}

static PyMethodDef task_done_def = {"request_done", task_done, METH_O, NULL};

// --- serving ------------------------------------------------------------------------------------

// await_task leaves the request to its task. False: it is no task, or not for us.
static bool await_task(px_shell *shell, px_request_object *object, PyObject *task)
{
    PX_AUTO_PY PyObject *done = PyCFunction_New(&task_done_def, NULL);
    PyObject *added =
        done != NULL ? PyObject_CallMethod(task, "add_done_callback", "O", done) : NULL;
    if (added == NULL) {
        px_py_log_exception("dispatch gave neither None nor a task");
        return false;
    }
    Py_DECREF(added);
    shell->async = object;
    shell->task = Py_NewRef(task);
    atomic_store(shell->blocked, false);
    if (shell->subshell == NULL) {
        px_py_signals_async();
    }
    return true;
}

static PyObject *call_dispatch(px_request_object *object)
{
    if (px_py_applies(object)) {
        return px_py_apply(object);
    }
    if (px_py.dispatch == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "set_dispatch was not called");
        return NULL;
    }
    return PyObject_CallOneArg(px_py.dispatch, (PyObject *)object);
}

// serve runs one request that nothing else runs beside.
static void serve(px_kernel *kernel, px_shell *shell, px_request *request)
{
    px_request_object *object = px_py_request_new(request);
    if (object == NULL) {
        px_py_log_exception("a request was lost");
        return;
    }
    bool interrupted = enter(kernel, shell, request);
    if (!px_waiting_begin(shell->waiting, request)) {
        leave(kernel, shell, false); // taken back, and answered
        Py_DECREF((PyObject *)object);
        return;
    }
    px_py_shell_began(kernel, shell, object);
    px_stamp_now(request->started);
    if (px_io_wants_statuses(kernel->io, request->parent)) {
        px_out *const outs[] = {px_py_status(request->parent, true)};
        if (request->message->type == PX_MSG_EXECUTE_REQUEST) {
            px_io_post_soon(kernel->io, px_py_link(outs, 1)); // execute_input is next
        } else {
            send_outs(kernel, outs, 1);
        }
        show(kernel, shell, request->parent);
    }
    if (interrupted) {
        PyErr_SetInterrupt();
    }
    PX_AUTO_PY PyObject *result = call_dispatch(object);
    after_fork();
    PX_AUTO_PY PyObject *error =
        result == NULL ? px_py_take_error(request->message->msg_type) : NULL;
    if (result != NULL && result != Py_None && await_task(shell, object, result)) {
        return;
    }
    end_request(kernel, shell, object, error);
}

// serve_beside runs a comm message or a control request while an async cell waits.
static void serve_beside(px_kernel *kernel, px_shell *shell, px_request *request)
{
    px_request_object *object = px_py_request_new(request);
    if (object == NULL) {
        px_py_log_exception("a request was lost");
        return;
    }
    if (!px_waiting_begin(shell->waiting, request)) {
        Py_DECREF((PyObject *)object);
        return;
    }
    px_request_object *before = shell->async;
    px_stamp_now(request->started);
    px_py_shell_began(kernel, shell, object);
    PX_AUTO_PY PyObject *result = call_dispatch(object);
    after_fork();
    PX_AUTO_PY PyObject *error =
        result == NULL ? px_py_take_error(request->message->msg_type) : NULL;
    finish(kernel, shell, object, error,
           request->channel == PX_CONTROL && px_io_wants_statuses(kernel->io, request->parent));
    if (before != NULL) {
        px_py_shell_began(kernel, shell, before);
    }
}

// take_comm removes the first comm message from the shell's queue.
static px_request *take_comm(px_shell *shell)
{
    px_letter **link = &shell->requests.first;
    px_letter *before = NULL;
    while (*link != NULL && !is_comm(PX_CONTAINER(*link, px_request, letter))) {
        before = *link;
        link = &(*link)->next;
    }
    px_letter *letter = *link;
    if (letter == NULL) {
        return NULL;
    }
    *link = letter->next;
    if (shell->requests.last == letter) {
        shell->requests.last = before;
    }
    return PX_CONTAINER(letter, px_request, letter);
}

static void read_notice(px_kernel *kernel, px_shell *shell, px_notice notice)
{
    switch (notice) {
    case PX_NOTICE_ABORT_END:
        shell->aborting = false;
        break;
    case PX_NOTICE_EXIT:
        shell->ended = shell->subshell != NULL;
        if (shell->subshell == NULL && (!shell->busy || shell->async != NULL)) {
            ask_exit(kernel);
        }
        break;
    case PX_NOTICE_NUDGE:
        shell->nudged = false;
        break;
    case PX_NOTICE_CANCEL:
        shell->cancelling = false;
        if (shell->cancel != NULL) {
            Py_XDECREF(PyObject_CallNoArgs(shell->cancel));
            PyErr_Clear(); // the task is done
        }
        break;
    default:
        break;
    }
}

// read_inbox sorts what came: requests into their queues, notices at once.
static void read_inbox(px_kernel *kernel, px_shell *shell)
{
    px_letter *letter = px_mailbox_take(shell->inbox);
    while (letter != NULL) {
        px_letter *next = letter->next;
        if (letter->kind == PX_NOTICE_REQUEST) {
            px_request *request = PX_CONTAINER(letter, px_request, letter);
            if (shell->aborting && request->channel == PX_SHELL && is_abortable(kernel, request)) {
                abort_request(kernel, shell, request);
            } else {
                push(request->channel == PX_CONTROL ? &shell->control : &shell->requests, letter);
            }
        } else {
            read_notice(kernel, shell, (px_notice)letter->kind);
            free(letter);
        }
        letter = next;
    }
}

static px_request *next_request(px_shell *shell)
{
    px_request *request = pop(&shell->control);
    if (request == NULL) {
        request = shell->async != NULL ? take_comm(shell) : pop(&shell->requests);
    }
    return request;
}

// serve_next serves a request in its way; true when the loop is to have its turn after it.
static bool serve_next(px_kernel *kernel, px_shell *shell, px_request *request)
{
    bool cell = request->message->type == PX_MSG_EXECUTE_REQUEST;
    if (cell) {
        px_py_subshells_settle(kernel);
    }
    if (shell->async != NULL) {
        serve_beside(kernel, shell, request);
    } else {
        serve(kernel, shell, request);
    }
    if (cell && (shell->requests.first != NULL || shell->control.first != NULL)) {
        px_py_nudge(shell);
    }
    return cell;
}

static PyObject *pump(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    px_kernel *kernel = px_kernel_current;
    px_shell *shell = px_py_shell();
    if (kernel == NULL || px_py_is_child() || shell->inbox == NULL ||
        shell->busy != (shell->async != NULL)) {
        Py_RETURN_NONE; // no kernel, a forked child, or called from inside a request
    }
    px_py_release_some();
    read_inbox(kernel, shell);
    if (shell->aborting || shell->ended) {
        abort_queued(kernel, shell); // behind an async cell that failed
    }
    px_ns start = px_now();
    for (int served = 0; px_py.started && !atomic_load(&kernel->exiting); served++) {
        if (served == COMM_BUDGET || (served > 0 && px_now() - start > TIME_BUDGET)) {
            px_py_nudge(shell);
            break;
        }
        px_request *request = next_request(shell);
        if (request == NULL || serve_next(kernel, shell, request)) {
            break;
        }
    }
    if (shell->async == NULL) {
        disarm(shell); // the loop's own code comes next
    }
    Py_RETURN_NONE;
}

// --- the module's functions ---------------------------------------------------------------------

static PyObject *keep(PyObject **slot, PyObject *value)
{
    Py_XSETREF(*slot, value == Py_None ? NULL : Py_NewRef(value));
    Py_RETURN_NONE;
}

static PyObject *set_dispatch(PyObject *module, PyObject *dispatch)
{
    (void)module;
    return keep(&px_py.dispatch, dispatch);
}

static PyObject *set_exit(PyObject *module, PyObject *callback)
{
    (void)module;
    return keep(&px_py.exit, callback);
}

static PyObject *interrupt_async(PyObject *module, PyObject *callback)
{
    (void)module;
    return keep(&px_py_shell()->cancel, callback);
}

static PyObject *is_busy(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(px_py_shell()->busy);
}

static PyObject *show_busy(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    px_kernel *kernel = px_py_kernel();
    if (kernel == NULL) {
        return NULL;
    }
    if (!px_py_is_child()) {
        px_io_wake(kernel->io);
    }
    Py_RETURN_NONE;
}

static PyObject *exit_requested(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    px_kernel *kernel = px_py_kernel();
    return kernel != NULL ? PyBool_FromLong(atomic_load(&kernel->exiting)) : NULL;
}

static PyObject *request_exit(PyObject *module, PyObject *args)
{
    (void)module;
    int restart = 0;
    px_kernel *kernel = px_py_kernel();
    if (kernel == NULL || !PyArg_ParseTuple(args, "|p:request_exit", &restart)) {
        return NULL;
    }
    atomic_store(&kernel->restart, restart != 0);
    if (!px_py_is_child() && !atomic_exchange(&kernel->exiting, true) && !px_py.main.busy) {
        ask_exit(kernel);
    }
    Py_RETURN_NONE;
}

static PyObject *abort_queued_now(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    px_kernel *kernel = px_py_kernel();
    if (kernel == NULL) {
        return NULL;
    }
    if (!px_py_is_child()) {
        px_py_shell()->aborting = true;
        px_io_post(kernel->io, px_out_new(PX_OUT_ABORT, NULL));
    }
    Py_RETURN_NONE;
}

// freeze_boot takes what the start made (100,000 objects that live to the end) out of the
// collector's way: every full collection of the user's objects, and the three at the end of Python,
// are quicker by it.
static void freeze_boot(void)
{
    PX_AUTO_PY PyObject *gc = PyImport_ImportModule("gc");
    PX_AUTO_PY PyObject *frozen = gc != NULL ? PyObject_CallMethod(gc, "freeze", NULL) : NULL;
    if (frozen == NULL) {
        PyErr_Clear();
    }
}

static PyObject *started(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    px_kernel *kernel = px_py_kernel();
    if (kernel == NULL) {
        return NULL;
    }
    px_error error = {0};
    if (px_capture_start(&kernel->capture, &error) != PX_OK) {
        px_log_warning("output of C code and children is not captured", "cause=\"%s\"", error.text);
    }
    px_log_setup(kernel->config.log_level, px_capture_original(&kernel->capture, 1));
    freeze_boot();
    if (px_py_forked_hooks() < 0) {
        px_py_log_exception("an interrupt during a fork may be lost");
    }
    px_py.started = true;
    atomic_store(&px_kernel_current->ready, true);
    px_py_subshells_settle(kernel);
    px_py_nudge(&px_py.main);
    Py_RETURN_NONE;
}

PyMethodDef px_py_pump_methods[] = {
    {"pump", pump, METH_NOARGS, "Serve what waits; the reader callback of request_fd."},
    {"set_dispatch", set_dispatch, METH_O, "The function that serves a Request."},
    {"set_exit", set_exit, METH_O, "The function that stops the loop."},
    {"interrupt_async", interrupt_async, METH_O, "What SIGINT calls while an async cell waits."},
    {"is_busy", is_busy, METH_NOARGS, "Whether a request runs."},
    {"show_busy", show_busy, METH_NOARGS,
     "The busy status of an execute request leaves now, not with what is published next."},
    {"exit_requested", exit_requested, METH_NOARGS, "Whether a shutdown was requested."},
    {"request_exit", request_exit, METH_VARARGS, "End, as if a shutdown_request had come."},
    {"abort_queued", abort_queued_now, METH_NOARGS,
     "Abort the execute requests that have come so far."},
    {"started", started, METH_NOARGS, "Boot is complete: serve requests from here on."},
    {NULL, NULL, 0, NULL},
};
