// What Python code sends: iopub messages, ready-made frames, parents for them. Each call posts one
// entry to the outbox; what C code and children wrote before it is read first, so that it stands
// before it.

#include "py/python.h"

#include <poll.h>
#include <string.h>

#define LOOK_AGAIN_MS 20

// wait_turn waits while too much is on its way, or the cell shows and clears too quickly; -1 with
// the exception of a signal.
static int wait_turn(px_kernel *kernel, const char *msg_type)
{
    px_outbox *box = &kernel->outbox;
    if (px_room_is_full(&box->room) && px_py_wait_for_room(&box->room) < 0) {
        return -1;
    }
    px_ns when = atomic_load_explicit(&box->not_before, memory_order_relaxed);
    if (when == 0 ||
        (strstr(msg_type, "display_data") == NULL && strcmp(msg_type, "clear_output") != 0)) {
        return 0;
    }
    for (px_ns now = px_now(); now < when; now = px_now()) {
        px_ns left = (when - now) / PX_NS_PER_MS + 1;
        int ms = left < LOOK_AGAIN_MS ? (int)left : LOOK_AGAIN_MS;
        Py_BEGIN_ALLOW_THREADS(void) poll(NULL, 0, ms);
        Py_END_ALLOW_THREADS if (PyErr_CheckSignals() < 0)
        {
            return -1;
        }
    }
    return 0;
}

// post hands an entry over. Takes out.
static PyObject *post(px_kernel *kernel, px_out *out)
{
    px_capture_drain(&kernel->capture, false);
    px_io_post(kernel->io, out);
    Py_RETURN_NONE;
}

// fill_publish puts the arguments into out; -1 with an exception.
static int fill_publish(px_out *out, PyObject *content, PyObject *metadata, PyObject *buffers,
                        PyObject *topic)
{
    out->content = px_py_json_bytes(content);
    if (out->content == NULL || px_py_frames(buffers, &out->frames) < 0) {
        return -1;
    }
    if (metadata != NULL && metadata != Py_None) {
        out->metadata = px_py_json_bytes(metadata);
        if (out->metadata == NULL) {
            return -1;
        }
    }
    if (topic != NULL && topic != Py_None) {
        out->topic = px_py_bytes(topic);
        if (out->topic == NULL) {
            return -1;
        }
    }
    return 0;
}

static PyObject *publish(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    static char *names[] = {"msg_type", "content", "metadata", "parent", "buffers", "topic", NULL};
    const char *msg_type = NULL;
    PyObject *content = NULL;
    PyObject *metadata = NULL;
    PyObject *parent_arg = NULL;
    PyObject *buffers = NULL;
    PyObject *topic = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO|O$OOO:publish", names, &msg_type, &content,
                                     &metadata, &parent_arg, &buffers, &topic)) {
        return NULL;
    }
    px_kernel *kernel = px_py_kernel();
    if (kernel == NULL) {
        return NULL;
    }
    if (px_py_is_child()) {
        Py_RETURN_NONE; // a forked child has no way to the front end but its descriptors 1 and 2
    }
    if (wait_turn(kernel, msg_type) < 0) {
        return NULL;
    }
    PX_AUTO_PY PyObject *hold = NULL;
    px_parent *parent = NULL;
    if (px_py_parent_of(parent_arg == Py_None ? NULL : parent_arg, &hold, &parent) < 0) {
        return NULL;
    }
    px_out *out = px_out_new(PX_OUT_PUBLISH, parent);
    (void)snprintf(out->msg_type, sizeof(out->msg_type), "%s", msg_type);
    if (fill_publish(out, content, metadata, buffers, topic) < 0) {
        px_out_free(out);
        return NULL;
    }
    return post(kernel, out);
}

static PyObject *send_frames(px_channel channel, PyObject *frames)
{
    px_kernel *kernel = px_py_kernel();
    if (kernel == NULL) {
        return NULL;
    }
    if (px_py_is_child()) {
        Py_RETURN_NONE;
    }
    px_out *out = px_out_new(PX_OUT_RAW, NULL);
    out->channel = channel;
    if (px_py_frames(frames, &out->frames) < 0) {
        px_out_free(out);
        return NULL;
    }
    return post(kernel, out);
}

static PyObject *publish_raw(PyObject *module, PyObject *frames)
{
    (void)module;
    return send_frames(PX_IOPUB, frames);
}

static PyObject *send_raw(PyObject *module, PyObject *args)
{
    (void)module;
    const char *name = NULL;
    PyObject *frames = NULL;
    if (!PyArg_ParseTuple(args, "sO:send_raw", &name, &frames)) {
        return NULL;
    }
    for (px_channel channel = PX_SHELL; channel <= PX_STDIN; channel++) {
        if (strcmp(name, px_channel_name(channel)) == 0) {
            return send_frames(channel, frames);
        }
    }
    return PyErr_Format(PyExc_ValueError, "channel must be shell, control or stdin, not '%s'",
                        name);
}

static PyObject *flush_streams(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    px_kernel *kernel = px_py_kernel();
    if (kernel == NULL) {
        return NULL;
    }
    if (px_py_is_child()) {
        px_py_child_flush();
    } else {
        px_capture_drain(&kernel->capture, false);
    }
    Py_RETURN_NONE;
}

// --- parents ------------------------------------------------------------------------------------

static PyObject *current_parent(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return px_py_current();
}

static PyObject *set_parent(PyObject *module, PyObject *parent)
{
    (void)module;
    if (parent != Py_None && !Py_IS_TYPE(parent, px_py.parent_type)) {
        return PyErr_Format(PyExc_TypeError, "a Parent or None was expected, not %.100s",
                            Py_TYPE(parent)->tp_name);
    }
    return PyContextVar_Set(px_py.parent_var, parent);
}

static PyObject *reset_parent(PyObject *module, PyObject *token)
{
    (void)module;
    if (PyContextVar_Reset(px_py.parent_var, token) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

// dump_member dumps message[key]; {} when it is absent.
static px_bytes *dump_member(PyObject *message, const char *key)
{
    px_bytes *bytes = NULL;
    PX_AUTO_PY PyObject *value = PyMapping_GetItemString(message, key);
    if (value == NULL) {
        PyErr_Clear();
        px_must(px_bytes_copy(PX_SLICE_LITERAL("{}"), &bytes));
        return bytes;
    }
    return px_py_json_bytes(value);
}

static PyObject *make_parent(PyObject *module, PyObject *message)
{
    (void)module;
    px_bytes *parts[3] = {NULL, NULL, NULL};
    static const char *const keys[] = {"header", "metadata", "content"};
    PyObject *result = NULL;
    for (size_t i = 0; i < 3; i++) {
        parts[i] = dump_member(message, keys[i]);
    }
    if (parts[0] != NULL && parts[1] != NULL && parts[2] != NULL) {
        px_parent *parent = px_parent_made(px_bytes_slice(parts[0]), px_bytes_slice(parts[1]),
                                           px_bytes_slice(parts[2]));
        result = px_py_parent_new(parent);
        px_parent_unref(parent);
    }
    for (size_t i = 0; i < 3; i++) {
        px_bytes_unref(parts[i]);
    }
    return result;
}

PyMethodDef px_py_publish_methods[] = {
    {"publish", (PyCFunction)(void (*)(void))publish, METH_VARARGS | METH_KEYWORDS,
     "Publish on iopub, after what was written to the streams so far."},
    {"publish_raw", publish_raw, METH_O, "Send ready-made frames on iopub."},
    {"send_raw", send_raw, METH_VARARGS, "Send ready-made frames on shell, control or stdin."},
    {"flush_streams", flush_streams, METH_NOARGS, "Post what C code and children wrote so far."},
    {"current_parent", current_parent, METH_NOARGS,
     "The request that outputs made here belong to."},
    {"set_parent", set_parent, METH_O, "Set it for this thread or task; a token for reset_parent."},
    {"reset_parent", reset_parent, METH_O, "Undo a set_parent."},
    {"make_parent", make_parent, METH_O, "A Parent from a message dict."},
    {NULL, NULL, 0, NULL},
};
