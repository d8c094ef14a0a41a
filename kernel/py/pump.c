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

typedef struct queue {
    px_letter *first, *last;
} queue;

static queue shell_queue, control_queue;
static px_request_object *async_request; // its handler is a task that has not ended
static bool busy;
static bool aborting;
static bool nudged;
static bool armed; // SIGINT interrupts; stays so from one small call to the next (leave)

bool px_py_busy(void)
{
    return busy;
}

static void push(queue *q, px_letter *letter)
{
    letter->next = NULL;
    if (q->last != NULL) {
        q->last->next = letter;
    } else {
        q->first = letter;
    }
    q->last = letter;
}

static px_request *pop(queue *q)
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

void px_py_nudge(void)
{
    px_kernel *kernel = px_kernel_current;
    if (nudged || kernel == NULL) {
        return;
    }
    nudged = true;
    px_letter *letter = px_need_zeroed(sizeof(*letter));
    letter->kind = PX_NOTICE_NUDGE;
    px_mailbox_post(&kernel->inbox, letter);
}

// --- replies ------------------------------------------------------------------------------------

px_out *px_py_status(px_parent *parent, const char *state)
{
    px_out *out = px_out_new(PX_OUT_PUBLISH, parent);
    (void)snprintf(out->msg_type, sizeof(out->msg_type), "status");
    PX_AUTO_BUF text = {0};
    px_buf_printf(&text, "{\"execution_state\":\"%s\"}", state);
    px_must(px_buf_status(&text));
    px_must(px_bytes_copy(px_buf_slice(&text), &out->content));
    return out;
}

// reply_out makes a reply of C's own.
static px_out *reply_out(const px_request *request, px_slice content, const char *status)
{
    px_out *out = px_out_new(PX_OUT_REPLY, request->parent);
    out->channel = request->channel;
    px_reply_type(request->message->msg_type, out->msg_type, sizeof(out->msg_type));
    px_must(px_bytes_copy(content, &out->content));
    PX_AUTO_BUF text = {0};
    px_buf_printf(
        &text, "{\"started\":\"%s\",\"dependencies_met\":true,\"engine\":\"%s\",\"status\":\"%s\"}",
        request->started, px_kernel_current->config.ident, status);
    px_must(px_buf_status(&text));
    px_must(px_bytes_copy(px_buf_slice(&text), &out->metadata));
    return out;
}

// px_py_link chains entries, leaving out NULLs.
px_out *px_py_link(px_out *const *outs, size_t n)
{
    px_out *first = NULL;
    for (size_t i = n; i-- > 0;) {
        if (outs[i] != NULL) {
            outs[i]->next = first;
            first = outs[i];
        }
    }
    return first;
}

static void send_outs(px_kernel *kernel, px_out *const *outs, size_t n)
{
    px_io_post(kernel->io, px_py_link(outs, n));
}

static void abort_request(px_kernel *kernel, px_request *request)
{
    if (!px_waiting_begin(&kernel->waiting, request)) {
        px_request_free(request);
        return;
    }
    bool statuses = px_io_wants_statuses(kernel->io);
    px_stamp_now(request->started);
    px_out *const outs[] = {
        statuses ? px_py_status(request->parent, "busy") : NULL,
        reply_out(request, PX_SLICE_LITERAL("{\"status\":\"aborted\"}"), "aborted"),
        statuses ? px_py_status(request->parent, "idle") : NULL,
    };
    send_outs(kernel, outs, 3);
    px_request_free(request);
}

// It says what became of a request whose handler raised, or gave no reply.
px_out *px_py_error_reply(const px_request *request, PyObject *error)
{
    PX_AUTO_BUF content = {0};
    PX_AUTO_PY PyObject *text = error != NULL ? PyObject_Str(error) : NULL;
    if (error != NULL && text == NULL) {
        PyErr_Clear();
    }
    const char *evalue = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    if (evalue == NULL) {
        PyErr_Clear();
        evalue = error == NULL ? "the request was not answered" : "";
    }
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "error");
    px_jsonw_key_string(&w, "ename", error != NULL ? Py_TYPE(error)->tp_name : "NoReply");
    px_jsonw_key_string(&w, "evalue", evalue);
    px_jsonw_key(&w, "traceback");
    px_jsonw_array(&w);
    px_jsonw_end_array(&w);
    px_jsonw_end_object(&w);
    px_must(px_buf_status(&content));
    return reply_out(request, px_buf_slice(&content), "error");
}

static bool is_known_request(const px_request *request)
{
    const char *type = request->message->msg_type;
    size_t length = strlen(type);
    return request->message->type != PX_MSG_UNKNOWN && length > 8 &&
           strcmp(type + length - 8, "_request") == 0;
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
static void finish(px_kernel *kernel, px_request_object *object, PyObject *error, bool with_status)
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
    aborting = aborting || must_abort(object);
    px_out *const outs[] = {
        shown,
        must_abort(object) ? px_out_new(PX_OUT_ABORT, NULL) : NULL,
        object->reply,
        with_status ? px_py_status(request->parent, "idle") : NULL,
    };
    object->reply = NULL;
    send_outs(kernel, outs, 4);
    Py_DECREF((PyObject *)object);
}

static void disarm(void)
{
    if (armed) {
        px_py_signals_fence();
        armed = false;
    }
}

// next_is_call tells if the next request is an engine's call, as request was.
static bool next_is_call(const px_kernel *kernel, const px_request *request)
{
    const px_letter *next = shell_queue.first;
    return kernel->config.engine && request->message->type == PX_MSG_APPLY_REQUEST &&
           next != NULL && control_queue.first == NULL && async_request == NULL &&
           PX_CONTAINER(next, px_request, letter)->message->type == PX_MSG_APPLY_REQUEST;
}

// leave ends what arm began: no interrupt for this request from here on. The fence is several
// system calls; between two calls of an engine it is left out when no signal was sent for the first
// (one from outside has no addressee: it interrupts whatever runs).
static void leave(px_kernel *kernel, bool call_follows)
{
    bool sent = px_interrupt_end(&kernel->interrupt);
    if (sent || !call_follows) {
        disarm();
    }
    busy = false;
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

// abort_queued aborts the execute requests that were here already when one failed.
static void abort_queued(px_kernel *kernel)
{
    queue kept = {0};
    px_request *request;
    while ((request = pop(&shell_queue)) != NULL) {
        if (request->message->type == PX_MSG_EXECUTE_REQUEST) {
            abort_request(kernel, request);
        } else {
            push(&kept, &request->letter);
        }
    }
    shell_queue = kept;
}

static void end_request(px_kernel *kernel, px_request_object *object, PyObject *error)
{
    px_interrupt_show(&kernel->interrupt, NULL);
    bool call_follows = next_is_call(kernel, object->request);
    finish(kernel, object, error, px_io_wants_statuses(kernel->io));
    leave(kernel, call_follows);
    if (aborting) {
        abort_queued(kernel);
    }
    if (atomic_load(&kernel->exiting)) {
        ask_exit(kernel);
    }
}

// task_done is the callback of an async request's task.
static PyObject *task_done(PyObject *self, PyObject *task)
{
    (void)self;
    px_kernel *kernel = px_kernel_current;
    px_request_object *object = async_request;
    if (object == NULL || px_py_is_child()) {
        after_fork();
        Py_RETURN_NONE;
    }
    async_request = NULL;
    Py_CLEAR(px_py.task);
    PX_AUTO_PY PyObject *error = PyObject_CallMethod(task, "exception", NULL);
    if (error == NULL) { // cancelled
        PyObject *type = NULL;
        PyObject *traceback = NULL;
        PyErr_Fetch(&type, &error, &traceback);
        PyErr_NormalizeException(&type, &error, &traceback);
        Py_XDECREF(type);
        Py_XDECREF(traceback);
    }
    end_request(kernel, object, error == Py_None ? NULL : error);
    px_py_nudge();
    Py_RETURN_NONE;
}

static PyMethodDef task_done_def = {"request_done", task_done, METH_O, NULL};

// --- serving ------------------------------------------------------------------------------------

// set_current makes the request the one that output belongs to.
static void set_current(px_kernel *kernel, const px_request_object *object)
{
    Py_XSETREF(px_py.current, Py_NewRef((PyObject *)object->parent));
    px_outbox_set_current(&kernel->outbox, object->parent->parent);
}

// await_task leaves the request to its task. False: it is no task, or not for us.
static bool await_task(px_request_object *object, PyObject *task)
{
    PX_AUTO_PY PyObject *done = PyCFunction_New(&task_done_def, NULL);
    PyObject *added =
        done != NULL ? PyObject_CallMethod(task, "add_done_callback", "O", done) : NULL;
    if (added == NULL) {
        px_py_log_exception("dispatch gave neither None nor a task");
        return false;
    }
    Py_DECREF(added);
    async_request = object;
    px_py.task = Py_NewRef(task);
    px_py_signals_async();
    return true;
}

PyObject *px_py_take_error(const char *event)
{
    PyObject *type = NULL;
    PyObject *error = NULL;
    PyObject *traceback = NULL;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (error == NULL) {
        Py_XDECREF(type);
        Py_XDECREF(traceback);
        return NULL;
    }
    if (traceback != NULL) {
        (void)PyException_SetTraceback(error, traceback);
    }
    Py_INCREF(error);
    PyErr_Restore(type, error, traceback);
    px_py_log_exception(event);
    return error;
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
static void serve(px_kernel *kernel, px_request *request)
{
    px_request_object *object = px_py_request_new(request);
    if (object == NULL) {
        px_py_log_exception("a request was lost");
        return;
    }
    busy = true;
    if (!armed) {
        px_py_signals_arm(request->message->type == PX_MSG_EXECUTE_REQUEST);
        armed = true;
    }
    bool interrupted = px_interrupt_begin(&kernel->interrupt, request->parent, request->posted);
    if (!px_waiting_begin(&kernel->waiting, request)) {
        leave(kernel, false); // taken back, and answered
        Py_DECREF((PyObject *)object);
        return;
    }
    set_current(kernel, object);
    px_stamp_now(request->started);
    if (px_io_wants_statuses(kernel->io)) {
        px_out *const outs[] = {px_py_status(request->parent, "busy")};
        send_outs(kernel, outs, 1);
        px_interrupt_show(&kernel->interrupt, request->parent);
    }
    if (interrupted) {
        PyErr_SetInterrupt();
    }
    PX_AUTO_PY PyObject *result = call_dispatch(object);
    after_fork();
    PX_AUTO_PY PyObject *error =
        result == NULL ? px_py_take_error(request->message->msg_type) : NULL;
    if (result != NULL && result != Py_None && await_task(object, result)) {
        return;
    }
    end_request(kernel, object, error);
}

// serve_beside runs a comm message or a control request while an async cell waits.
static void serve_beside(px_kernel *kernel, px_request *request)
{
    px_request_object *object = px_py_request_new(request);
    if (object == NULL) {
        px_py_log_exception("a request was lost");
        return;
    }
    if (!px_waiting_begin(&kernel->waiting, request)) {
        Py_DECREF((PyObject *)object);
        return;
    }
    PX_AUTO_PY PyObject *before = Py_XNewRef(px_py.current);
    px_stamp_now(request->started);
    set_current(kernel, object);
    PX_AUTO_PY PyObject *result = call_dispatch(object);
    after_fork();
    PX_AUTO_PY PyObject *error =
        result == NULL ? px_py_take_error(request->message->msg_type) : NULL;
    finish(kernel, object, error,
           request->channel == PX_CONTROL && px_io_wants_statuses(kernel->io));
    if (before != NULL) {
        Py_XSETREF(px_py.current, Py_NewRef(before));
        px_outbox_set_current(&kernel->outbox, ((px_parent_object *)before)->parent);
    }
}

static bool is_comm(const px_request *request)
{
    px_msg_type type = request->message->type;
    return type == PX_MSG_COMM_OPEN || type == PX_MSG_COMM_MSG || type == PX_MSG_COMM_CLOSE;
}

// take_comm removes the first comm message from the shell's queue.
static px_request *take_comm(void)
{
    px_letter **link = &shell_queue.first;
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
    if (shell_queue.last == letter) {
        shell_queue.last = before;
    }
    return PX_CONTAINER(letter, px_request, letter);
}

// read_inbox sorts what came: requests into their queues, notices at once.
static void read_inbox(px_kernel *kernel)
{
    px_letter *letter = px_mailbox_take(&kernel->inbox);
    while (letter != NULL) {
        px_letter *next = letter->next;
        if (letter->kind == PX_NOTICE_REQUEST) {
            px_request *request = PX_CONTAINER(letter, px_request, letter);
            if (aborting && request->channel == PX_SHELL &&
                request->message->type == PX_MSG_EXECUTE_REQUEST) {
                abort_request(kernel, request);
            } else {
                push(request->channel == PX_CONTROL ? &control_queue : &shell_queue, letter);
            }
        } else {
            switch ((px_notice)letter->kind) {
            case PX_NOTICE_ABORT_END:
                aborting = false;
                break;
            case PX_NOTICE_EXIT:
                if (!busy || async_request != NULL) {
                    ask_exit(kernel);
                }
                break;
            case PX_NOTICE_NUDGE:
                nudged = false;
                break;
            default:
                break;
            }
            free(letter);
        }
        letter = next;
    }
}

static px_request *next_request(void)
{
    px_request *request = pop(&control_queue);
    if (request == NULL) {
        request = async_request != NULL ? take_comm() : pop(&shell_queue);
    }
    return request;
}

static PyObject *pump(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    px_kernel *kernel = px_kernel_current;
    if (kernel == NULL || px_py_is_child() || busy != (async_request != NULL)) {
        Py_RETURN_NONE; // no kernel, a forked child, or called from inside a request
    }
    px_py_release_some();
    read_inbox(kernel);
    if (aborting) {
        abort_queued(kernel); // behind an async cell that failed
    }
    px_ns start = px_now();
    for (int served = 0; px_py.started && !atomic_load(&kernel->exiting); served++) {
        if (served == COMM_BUDGET || (served > 0 && px_now() - start > TIME_BUDGET)) {
            px_py_nudge();
            break;
        }
        px_request *request = next_request();
        if (request == NULL) {
            break;
        }
        bool cell = request->message->type == PX_MSG_EXECUTE_REQUEST;
        if (async_request != NULL) {
            serve_beside(kernel, request);
        } else {
            serve(kernel, request);
        }
        if (cell) {
            if (shell_queue.first != NULL || control_queue.first != NULL) {
                px_py_nudge();
            }
            break;
        }
    }
    if (async_request == NULL) {
        disarm(); // the loop's own code comes next
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
    return keep(&px_py.cancel, callback);
}

static PyObject *is_busy(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(busy);
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
    if (!px_py_is_child() && !atomic_exchange(&kernel->exiting, true) && !busy) {
        ask_exit(kernel);
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
    px_py_nudge();
    Py_RETURN_NONE;
}

PyMethodDef px_py_pump_methods[] = {
    {"pump", pump, METH_NOARGS, "Serve what waits; the reader callback of request_fd."},
    {"set_dispatch", set_dispatch, METH_O, "The function that serves a Request."},
    {"set_exit", set_exit, METH_O, "The function that stops the loop."},
    {"interrupt_async", interrupt_async, METH_O, "What SIGINT calls while an async cell waits."},
    {"is_busy", is_busy, METH_NOARGS, "Whether a request runs."},
    {"exit_requested", exit_requested, METH_NOARGS, "Whether a shutdown was requested."},
    {"request_exit", request_exit, METH_VARARGS, "End, as if a shutdown_request had come."},
    {"started", started, METH_NOARGS, "Boot is complete: serve requests from here on."},
    {NULL, NULL, 0, NULL},
};
