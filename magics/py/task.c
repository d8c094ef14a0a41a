// task.c: the type Task. It holds no Python object but its connection and its callbacks and is not
// tracked by the collector, so that a hundred thousand open tasks cost the collector nothing.

#include "module.h"

#include <string.h>

PyObject *px_task_wrap(px_module *module, px_task *task, PyObject *connection)
{
    px_task_object *self = PyObject_New(px_task_object, module->task_type);
    if (self == NULL) {
        px_task_unref(task);
        return NULL;
    }
    self->task = task;
    self->connection = Py_NewRef(connection);
    self->callbacks = NULL;
    self->listener = NULL;
    return (PyObject *)self;
}

static void task_dealloc(PyObject *object)
{
    px_task_object *self = (px_task_object *)(void *)object;
    PyTypeObject *type = Py_TYPE(object);
    px_task_unref(self->task);
    Py_XDECREF(self->callbacks);
    Py_XDECREF(self->listener);
    Py_DECREF(self->connection);
    PyObject_Free(object);
    Py_DECREF(type);
}

static px_task *task_of(PyObject *object)
{
    return ((px_task_object *)(void *)object)->task;
}

// slot_of checks an index; PX_NO_SLOT with IndexError.
static uint32_t slot_of(PyObject *object, PyObject *index)
{
    const px_task *task = task_of(object);
    long slot = PyLong_AsLong(index);
    if (slot == -1 && PyErr_Occurred()) {
        return PX_NO_SLOT;
    }
    if (slot < 0 || (unsigned long)slot >= task->targets.n) {
        (void)PyErr_Format(PyExc_IndexError, "slot %ld of a task with %u targets", slot,
                           task->targets.n);
        return PX_NO_SLOT;
    }
    return (uint32_t)slot;
}

static uint32_t n_done(px_task *task)
{
    px_task_lock(task);
    uint32_t n = task->n_done;
    px_task_unlock(task);
    return n;
}

static PyObject *task_done(PyObject *object, PyObject *unused)
{
    (void)unused;
    px_task *task = task_of(object);
    return PyBool_FromLong(n_done(task) == task->targets.n);
}

static PyObject *task_n_done(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(n_done(task_of(object)));
}

static PyObject *task_slot_done(PyObject *object, PyObject *index)
{
    uint32_t slot = slot_of(object, index);
    if (slot == PX_NO_SLOT) {
        return NULL;
    }
    return PyBool_FromLong(px_task_status(task_of(object), slot) != PX_SLOT_PENDING);
}

// own_engine gives the engine of a balanced task; PX_NO_ENGINE while it has none.
static uint32_t own_engine(px_task *task)
{
    px_task_lock(task);
    uint32_t engine = task->own_engine;
    px_task_unlock(task);
    return engine;
}

static PyObject *task_engine(PyObject *object, PyObject *index)
{
    uint32_t slot = slot_of(object, index);
    if (slot == PX_NO_SLOT) {
        return NULL;
    }
    px_task *task = task_of(object);
    uint32_t engine = task->balanced ? own_engine(task) : task->targets.engines[slot];
    return engine != PX_NO_ENGINE ? PyLong_FromUnsignedLong(engine) : Py_NewRef(Py_None);
}

static PyObject *wait_result(px_task *task, const px_want *want, PyObject *timeout)
{
    int waited = px_wait_python(task->client, want, timeout);
    return waited < 0 ? NULL : PyBool_FromLong(waited);
}

static PyObject *task_wait(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", "index", "answer", NULL};
    PyObject *timeout = Py_None;
    int index = PX_WANT_ALL;
    int answer = 1;
    px_task *task = task_of(object);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|Oip:wait", names, &timeout, &index, &answer)) {
        return NULL;
    }
    if (index < PX_WANT_ALL || index >= (int)task->targets.n) {
        return PyErr_Format(PyExc_IndexError, "slot %d of a task with %u targets", index,
                            task->targets.n);
    }
    const px_want want = {
        .task = task, .slot = index, .asks = answer != 0 ? PX_ASKS_ALL : PX_ASKS_NONE};
    return wait_result(task, &want, timeout);
}

static PyObject *task_wait_any(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"seen", "timeout", NULL};
    PyObject *timeout = Py_None;
    unsigned int seen = 0;
    px_task *task = task_of(object);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "I|O:wait_any", names, &seen, &timeout)) {
        return NULL;
    }
    const px_want want = {.task = task, .slot = PX_WANT_ANY, .seen = seen, .asks = PX_ASKS_ALL};
    return wait_result(task, &want, timeout);
}

static PyObject *task_wait_whole(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", "lost", NULL};
    PyObject *timeout = Py_None;
    PyObject *lost = Py_None;
    px_task *task = task_of(object);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:wait_whole", names, &timeout, &lost)) {
        return NULL;
    }
    px_want want = {.task = task, .slot = PX_WANT_WHOLE, .asks = PX_ASKS_ALL};
    if (lost != Py_None) {
        want.losses = true;
        want.seen = PyLong_AsUnsignedLongLong(lost);
        if (want.seen == (uint64_t)-1 && PyErr_Occurred()) {
            return NULL;
        }
    }
    return wait_result(task, &want, timeout);
}

static PyObject *task_lost(PyObject *object, PyObject *unused)
{
    (void)unused;
    px_task *task = task_of(object);
    px_task_lock(task);
    bool lost = task->lost;
    px_task_unlock(task);
    return PyBool_FromLong(lost);
}

static px_module *module_of(PyObject *object)
{
    return px_module_of(Py_TYPE(object));
}

// buffer_list makes memoryviews of frames [first, …).
static PyObject *buffer_list(px_module *module, const px_frames *frames, size_t first)
{
    size_t n = px_frames_count(frames) > first ? px_frames_count(frames) - first : 0;
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list != NULL && i < n; i++) {
        PyObject *view = px_buffer_view(module, px_frames_at(frames, first + i));
        if (view == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, view);
        }
    }
    return list;
}

// set_item takes value, which may be NULL with an exception.
static int set_item(PyObject *dict, const char *key, PyObject *value)
{
    int result = value != NULL ? PyDict_SetItemString(dict, key, value) : -1;
    Py_XDECREF(value);
    return result;
}

// reply_json parses one part of a reply; an empty object for what we made ourselves.
static PyObject *reply_json(px_module *module, const px_slot *slot, size_t at)
{
    if (px_frames_count(&slot->reply) > at) {
        return px_json_value(module, px_frames_get(&slot->reply, at));
    }
    return PyDict_New();
}

static PyObject *reply_of(px_module *module, const px_task *task, const px_slot *slot)
{
    PyObject *reply = PyDict_New();
    if (reply == NULL) {
        return NULL;
    }
    // A filled slot's reply stays as it is as long as the task lives: no lock.
    bool ours = px_frames_count(&slot->reply) == 0;
    PyObject *content = ours ? px_json_value(module, px_buf_slice(&slot->substitute))
                             : reply_json(module, slot, PX_AT_CONTENT);
    if (set_item(reply, "content", content) != 0 ||
        set_item(reply, "metadata", reply_json(module, slot, PX_AT_METADATA)) != 0 ||
        set_item(reply, "header", reply_json(module, slot, PX_AT_HEADER)) != 0 ||
        set_item(reply, "buffers", buffer_list(module, &slot->reply, PX_AT_BUFFERS)) != 0 ||
        set_item(reply, "received", PyFloat_FromDouble(slot->received)) != 0) {
        Py_CLEAR(reply);
    }
    if (reply != NULL && task->fetched &&
        set_item(reply, "parent", reply_json(module, slot, PX_AT_PARENT)) != 0) {
        Py_CLEAR(reply);
    }
    return reply;
}

static PyObject *task_reply(PyObject *object, PyObject *index)
{
    px_task *task = task_of(object);
    uint32_t slot = slot_of(object, index);
    if (slot == PX_NO_SLOT) {
        return NULL;
    }
    if (px_task_status(task, slot) == PX_SLOT_PENDING) {
        Py_RETURN_NONE;
    }
    return reply_of(module_of(object), task, &task->slots[slot]);
}

static PyObject *task_buffers(PyObject *object, PyObject *index)
{
    px_task *task = task_of(object);
    uint32_t slot = slot_of(object, index);
    if (slot == PX_NO_SLOT) {
        return NULL;
    }
    if (px_task_status(task, slot) == PX_SLOT_PENDING) {
        Py_RETURN_NONE;
    }
    return buffer_list(module_of(object), &task->slots[slot].reply, PX_AT_BUFFERS);
}

// task_small_body is task_buffers for most answers: one engine's, with one buffer that is quicker
// copied than shown.
static PyObject *task_small_body(PyObject *object, PyObject *unused)
{
    enum { SMALL = 4096 };
    (void)unused;
    px_task *task = task_of(object);
    if (task->targets.n != 1 || px_task_status(task, 0) != PX_SLOT_OK) {
        Py_RETURN_NONE;
    }
    const px_frames *reply = &task->slots[0].reply;
    if (px_frames_count(reply) != PX_AT_BUFFERS + 1) {
        Py_RETURN_NONE;
    }
    px_slice body = px_frames_get(reply, PX_AT_BUFFERS);
    if (body.size > SMALL) {
        Py_RETURN_NONE;
    }
    return PyBytes_FromStringAndSize((const char *)body.data, (Py_ssize_t)body.size);
}

static PyObject *task_status(PyObject *object, PyObject *index)
{
    static const char *const names[] = {[PX_SLOT_PENDING] = "pending",
                                        [PX_SLOT_FILLED] = "ok", // not seen here
                                        [PX_SLOT_OK] = "ok",
                                        [PX_SLOT_ERROR] = "error",
                                        [PX_SLOT_ABORTED] = "aborted"};
    uint32_t slot = slot_of(object, index);
    if (slot == PX_NO_SLOT) {
        return NULL;
    }
    return PyUnicode_FromString(names[px_task_status(task_of(object), slot)]);
}

static PyObject *text_of(px_slice text)
{
    return PyUnicode_DecodeUTF8((const char *)text.data, (Py_ssize_t)text.size, "replace");
}

static PyObject *stream_content(bool is_stderr, PyObject *text)
{
    if (text == NULL) {
        return NULL;
    }
    return Py_BuildValue("{s:s,s:N}", "name", is_stderr ? "stderr" : "stdout", "text", text);
}

// message_of makes the dict of an output that is not growing; text is given for streams.
static PyObject *message_of(px_module *module, const px_message *message, PyObject *content)
{
    PyObject *dict = PyDict_New();
    if (dict == NULL) {
        Py_XDECREF(content);
        return NULL;
    }
    if (set_item(dict, "content", content) != 0 ||
        set_item(dict, "msg_type", PyUnicode_FromString(message->msg_type)) != 0 ||
        set_item(dict, "metadata", px_json_value(module, message->metadata)) != 0 ||
        set_item(dict, "header", px_json_value(module, message->header)) != 0 ||
        set_item(dict, "buffers", buffer_list(module, &message->frames, message->first_buffer)) !=
            0) {
        Py_CLEAR(dict);
    }
    return dict;
}

static PyObject *output_of(px_task *task, px_module *module, const px_output *output)
{
    PyObject *content = NULL;
    if (output->is_stream) {
        px_task_lock(task); // the text may be growing
        PX_AUTO_BUF text = {0};
        px_buf_append_slice(&text, px_buf_slice(&output->text));
        px_task_unlock(task);
        content = stream_content(output->is_stderr, text_of(px_buf_slice(&text)));
    } else {
        content = px_json_value(module, output->message->content);
    }
    return content != NULL ? message_of(module, output->message, content) : NULL;
}

// next_output steps through a list that may be growing; outputs themselves stay where they are.
static px_output *next_output(px_task *task, uint32_t slot, const px_output *after)
{
    px_task_lock(task);
    px_output *next = after != NULL ? after->next : task->slots[slot].outputs.first;
    px_task_unlock(task);
    return next;
}

static PyObject *task_outputs(PyObject *object, PyObject *index)
{
    px_task *task = task_of(object);
    uint32_t slot = slot_of(object, index);
    PyObject *list = slot != PX_NO_SLOT ? PyList_New(0) : NULL;
    if (list == NULL) {
        return NULL;
    }
    px_module *module = module_of(object);
    px_output *output = NULL;
    while ((output = next_output(task, slot, output)) != NULL) {
        PyObject *dict = output_of(task, module, output);
        int result = dict != NULL ? PyList_Append(list, dict) : -1;
        Py_XDECREF(dict);
        if (result != 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

// stream_text joins all text that a slot wrote to one stream.
static PyObject *stream_text(PyObject *object, PyObject *index, bool is_stderr)
{
    px_task *task = task_of(object);
    uint32_t slot = slot_of(object, index);
    if (slot == PX_NO_SLOT) {
        return NULL;
    }
    PX_AUTO_BUF text = {0};
    px_task_lock(task);
    for (const px_output *at = task->slots[slot].outputs.first; at != NULL; at = at->next) {
        if (at->is_stream && at->is_stderr == is_stderr) {
            px_buf_append_slice(&text, px_buf_slice(&at->text));
        }
    }
    px_task_unlock(task);
    return px_buf_status(&text) == PX_OK ? text_of(px_buf_slice(&text)) : PyErr_NoMemory();
}

static PyObject *task_stdout(PyObject *object, PyObject *index)
{
    return stream_text(object, index, false);
}

static PyObject *task_stderr(PyObject *object, PyObject *index)
{
    return stream_text(object, index, true);
}

// live_of makes what take_output gives for one output.
static PyObject *live_of(px_task *task, px_module *module, const px_live *live)
{
    PyObject *message = NULL;
    if (live->output != NULL) {
        message = output_of(task, module, live->output);
    } else {
        PyObject *content = stream_content(live->is_stderr, text_of(px_buf_slice(&live->text)));
        message = content != NULL
                      ? Py_BuildValue("{s:s,s:N,s:{},s:[],s:{}}", "msg_type", "stream", "content",
                                      content, "metadata", "buffers", "header")
                      : NULL;
    }
    if (message == NULL) {
        return NULL;
    }
    return Py_BuildValue("(IN)", task->targets.engines[live->slot], message);
}

static PyObject *task_take_output(PyObject *object, PyObject *unused)
{
    (void)unused;
    px_task *task = task_of(object);
    PyObject *list = PyList_New(0);
    px_live *live = NULL;
    while (list != NULL && (live = px_task_take(task)) != NULL) {
        PyObject *pair = live_of(task, module_of(object), live);
        px_live_free(live);
        if (pair == NULL || PyList_Append(list, pair) != 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(pair);
    }
    return list;
}

static PyObject *task_shown(PyObject *object, PyObject *unused)
{
    (void)unused;
    px_task *task = task_of(object);
    px_task_lock(task);
    bool shown = task->shown;
    px_task_unlock(task);
    return PyBool_FromLong(shown);
}

// arm has px-done told of self's end, and keeps self until then: 1, or 0 when it is done already.
// -1 with an exception.
static int arm(px_task_object *self)
{
    if (self->callbacks != NULL) {
        return 1;
    }
    if (px_callbacks_arm() != 0 || (self->callbacks = PyList_New(0)) == NULL) {
        return -1;
    }
    Py_INCREF(self); // for who calls it; it needs the GIL, which we have
    if (!px_task_notify(self->task, self)) {
        Py_CLEAR(self->callbacks);
        Py_DECREF(self);
        return 0;
    }
    return 1;
}

static PyObject *task_add_done_callback(PyObject *object, PyObject *callback)
{
    px_task_object *self = (px_task_object *)(void *)object;
    if (!PyCallable_Check(callback)) {
        PyErr_SetString(PyExc_TypeError, "a callback must be callable");
        return NULL;
    }
    int armed = arm(self);
    if (armed < 0 || (armed > 0 && PyList_Append(self->callbacks, callback) != 0)) {
        return NULL;
    }
    return armed > 0 ? Py_NewRef(Py_None) : PyObject_CallOneArg(callback, object);
}

static PyObject *task_listen(PyObject *object, PyObject *listener)
{
    px_task_object *self = (px_task_object *)(void *)object;
    if (!PyCallable_Check(listener)) {
        PyErr_SetString(PyExc_TypeError, "a listener must be callable");
        return NULL;
    }
    int armed = arm(self);
    if (armed < 0) {
        return NULL;
    }
    if (armed > 0) {
        Py_XSETREF(self->listener, Py_NewRef(listener));
        px_task_listen(self->task);
    }
    Py_RETURN_NONE;
}

static PyObject *task_answer(PyObject *object, PyObject *unused)
{
    (void)unused;
    px_task *task = task_of(object);
    const px_want want = {.task = task, .slot = PX_WANT_ALL, .asks = PX_ASKS_OWN};
    px_question *question = NULL;
    while ((question = px_client_question(task->client, &want)) != NULL) {
        if (px_ask_python(task->client, question) < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

static PyObject *task_fileno(PyObject *object, PyObject *unused)
{
    (void)unused;
    int fd = -1;
    if (px_task_done_fd(task_of(object), &fd) != PX_OK) {
        PyErr_SetString(PyExc_OSError, "no descriptor could be made: too many open files?");
        return NULL;
    }
    return PyLong_FromLong(fd);
}

static PyObject *task_abandon(PyObject *object, PyObject *unused)
{
    (void)unused;
    px_task_abandon(task_of(object));
    Py_RETURN_NONE;
}

static PyObject *get_id(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(task_of(object)->entry.id);
}

static PyObject *get_fetched(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong(task_of(object)->fetched);
}

static PyObject *get_msg_id(PyObject *object, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(task_of(object)->msg_id);
}

static PyObject *get_targets(PyObject *object, void *unused)
{
    (void)unused;
    px_task *task = task_of(object);
    uint32_t n = task->targets.n;
    if (task->balanced) {
        uint32_t engine = own_engine(task);
        return engine != PX_NO_ENGINE ? Py_BuildValue("(I)", engine) : PyTuple_New(0);
    }
    PyObject *targets = PyTuple_New((Py_ssize_t)n);
    for (uint32_t i = 0; targets != NULL && i < n; i++) {
        PyObject *id = PyLong_FromUnsignedLong(task->targets.engines[i]);
        if (id == NULL) {
            Py_CLEAR(targets);
        } else {
            PyTuple_SET_ITEM(targets, (Py_ssize_t)i, id);
        }
    }
    return targets;
}

static PyObject *get_n(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(task_of(object)->targets.n);
}

static PyObject *get_label(PyObject *object, void *unused)
{
    (void)unused;
    const char *label = task_of(object)->label;
    return PyUnicode_FromString(label != NULL ? label : "");
}

static PyObject *get_submitted(PyObject *object, void *unused)
{
    (void)unused;
    return PyFloat_FromDouble(task_of(object)->submitted);
}

static PyObject *task_described(PyObject *object, PyObject *unused)
{
    (void)unused;
    PyObject *const parts[] = {get_msg_id(object, NULL), get_targets(object, NULL),
                               get_id(object, NULL)};
    PyObject *described = PyTuple_New(3);
    bool whole = described != NULL;
    for (Py_ssize_t i = 0; i < 3; i++) {
        whole = whole && parts[i] != NULL;
        if (described != NULL) {
            PyTuple_SET_ITEM(described, i, parts[i]);
        } else {
            Py_XDECREF(parts[i]);
        }
    }
    if (!whole) {
        Py_XDECREF(described);
        return NULL;
    }
    return described;
}

static PyMethodDef task_methods[] = {
    {"described", task_described, METH_NOARGS, "(msg_id, targets, id): what is noted of it."},
    {"done", task_done, METH_NOARGS, "True when all slots are filled."},
    {"n_done", task_n_done, METH_NOARGS, "How many slots are filled."},
    {"slot_done", task_slot_done, METH_O, "True when this slot is filled."},
    {"engine", task_engine, METH_O, "The engine of a slot; None while a balanced task has none."},
    {"wait", (PyCFunction)(void (*)(void))task_wait, METH_VARARGS | METH_KEYWORDS,
     "Wait for all slots, or for one; False on time-out."},
    {"wait_any", (PyCFunction)(void (*)(void))task_wait_any, METH_VARARGS | METH_KEYWORDS,
     "Wait until n_done() > seen or output is queued; False on time-out."},
    {"wait_whole", (PyCFunction)(void (*)(void))task_wait_whole, METH_VARARGS | METH_KEYWORDS,
     "Wait for all slots, or until one of them was lost; False on time-out."},
    {"lost", task_lost, METH_NOARGS, "True when an engine died with its part of the task."},
    {"reply", task_reply, METH_O, "The reply of a slot; None while pending."},
    {"small_body", task_small_body, METH_NOARGS,
     "The only buffer of the only answer, copied; None where it is not ok, or is another."},
    {"buffers", task_buffers, METH_O, "The buffers of a reply, no JSON read; None while pending."},
    {"status", task_status, METH_O, "\"pending\", \"ok\", \"error\" or \"aborted\"."},
    {"outputs", task_outputs, METH_O, "Outputs of a slot so far, in order."},
    {"stdout", task_stdout, METH_O, "What a slot wrote to stdout."},
    {"stderr", task_stderr, METH_O, "What a slot wrote to stderr."},
    {"take_output", task_take_output, METH_NOARGS, "Outputs not yet taken, in order."},
    {"shown", task_shown, METH_NOARGS, "True when outputs went to the notebook."},
    {"add_done_callback", task_add_done_callback, METH_O, "Call when all slots are filled."},
    {"listen", task_listen, METH_O, "Call when an engine asks something."},
    {"answer", task_answer, METH_NOARGS, "Answer what engines have asked so far."},
    {"fileno", task_fileno, METH_NOARGS, "A descriptor that is readable when done."},
    {"abandon", task_abandon, METH_NOARGS, "Forget the task."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef task_getset[] = {
    {"id", get_id, NULL, "Its number in this connection.", NULL},
    {"fetched", get_fetched, NULL, "True for the result of another's request.", NULL},
    {"msg_id", get_msg_id, NULL, "Message id of the request.", NULL},
    {"targets", get_targets, NULL, "Engine ids, in the order of the slots.", NULL},
    {"n", get_n, NULL, "Number of slots.", NULL},
    {"label", get_label, NULL, "What it runs, in words.", NULL},
    {"submitted", get_submitted, NULL, "Unix time when it was sent.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot task_slots[] = {
    {Py_tp_doc, "One submitted request: a slot for each target."},
    {Py_tp_dealloc, task_dealloc},
    {Py_tp_methods, task_methods},
    {Py_tp_getset, task_getset},
    {0, NULL},
};

PyType_Spec px_task_spec = {
    .name = "pxparallel._client.Task",
    .basicsize = sizeof(px_task_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = task_slots,
};
