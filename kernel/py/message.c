// Bytes between the halves: Parent and Request as Python sees them, buffers in and out.
//
// Nothing is parsed before somebody looks. A received buffer is lent to Python as a memoryview over
// the frame; a Python buffer that is large is lent to px-io, which gives it back through the
// release list, because px-io may not touch a reference count: the list is emptied by whoever next
// publishes or pumps, and px-main is woken for it.

#include "py/python.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#define LEND_FROM ((size_t)256 * 1024) // bytes: smaller ones are copied

// --- JSON ---------------------------------------------------------------------------------------

// scan parses text that begins and ends with its value. NULL without an exception: it does not.
static PyObject *scan(PyObject *text)
{
    PX_AUTO_PY PyObject *start = PyLong_FromLong(0);
    PX_AUTO_PY PyObject *pair =
        start != NULL ? PyObject_CallFunctionObjArgs(px_py.scan, text, start, NULL) : NULL;
    PyObject *value = NULL;
    Py_ssize_t end = 0;
    if (pair == NULL || !PyArg_ParseTuple(pair, "On", &value, &end) ||
        end != PyUnicode_GET_LENGTH(text)) {
        PyErr_Clear();
        return NULL;
    }
    return Py_NewRef(value);
}

PyObject *px_py_json(px_slice text)
{
    if (px_slice_equal(text, PX_SLICE_LITERAL("{}"))) {
        return PyDict_New();
    }
    PX_AUTO_PY PyObject *string =
        PyUnicode_DecodeUTF8((const char *)text.data, (Py_ssize_t)text.size, "replace");
    if (string == NULL) {
        return NULL;
    }
    // decode() searches for blanks before and behind, by regular expressions.
    PyObject *value = px_py.scan != NULL ? scan(string) : NULL;
    return value != NULL ? value : PyObject_CallOneArg(px_py.decode, string);
}

// cached gives *slot, parsing text into it first when it is empty.
static PyObject *cached(PyObject **slot, px_slice text)
{
    if (*slot == NULL) {
        *slot = px_py_json(text);
    }
    return Py_XNewRef(*slot);
}

// --- buffers from Python ------------------------------------------------------------------------

typedef struct lent {
    struct lent *next;
    Py_buffer view;
} lent;

static _Atomic(lent *) released;

static void release_lent(void *data, void *hint)
{
    (void)data;
    lent *done = hint;
    done->next = atomic_load(&released);
    while (!atomic_compare_exchange_weak(&released, &done->next, done)) {
    }
    px_kernel *kernel = px_kernel_current;
    if (done->next == NULL && kernel != NULL) {
        px_letter *letter = px_need_zeroed(sizeof(*letter));
        letter->kind = PX_NOTICE_RELEASE;
        px_mailbox_post(&kernel->inbox, letter);
    }
}

void px_py_release_some(void)
{
    if (atomic_load_explicit(&released, memory_order_relaxed) == NULL) {
        return;
    }
    lent *done = atomic_exchange(&released, NULL);
    while (done != NULL) {
        lent *next = done->next;
        PyBuffer_Release(&done->view);
        PyMem_RawFree(done);
        done = next;
    }
}

static px_bytes *lend(Py_buffer *view)
{
    lent *loan = PyMem_RawCalloc(1, sizeof(*loan));
    px_bytes *bytes = NULL;
    if (loan == NULL) {
        PyBuffer_Release(view);
        (void)PyErr_NoMemory();
        return NULL;
    }
    loan->view = *view;
    px_must(px_bytes_adopt(view->buf, (size_t)view->len, release_lent, loan, &bytes));
    return bytes;
}

px_bytes *px_py_bytes(PyObject *object)
{
    Py_buffer view;
    px_bytes *bytes = NULL;
    px_py_release_some();
    if (PyObject_GetBuffer(object, &view, PyBUF_C_CONTIGUOUS) != 0) {
        return NULL;
    }
    if ((size_t)view.len >= LEND_FROM) {
        return lend(&view);
    }
    px_must(px_bytes_copy(px_slice_of(view.buf, (size_t)view.len), &bytes));
    PyBuffer_Release(&view);
    return bytes;
}

px_bytes *px_py_text_bytes(PyObject *text, px_slice slice)
{
    // A view of a string by hand: releasing it drops the reference.
    Py_buffer view = {.obj = Py_NewRef(text),
                      .buf = (void *)(uintptr_t)slice.data,
                      .len = (Py_ssize_t)slice.size};
    px_py_release_some();
    return lend(&view);
}

px_bytes *px_py_json_bytes(PyObject *object)
{
    if (PyBytes_Check(object) || PyByteArray_Check(object) || PyMemoryView_Check(object)) {
        return px_py_bytes(object);
    }
    px_bytes *quick = px_py_encode(object);
    if (quick != NULL) {
        return quick;
    }
    PX_AUTO_PY PyObject *text = PyObject_CallOneArg(px_py.encode, object);
    if (text != NULL && PyBytes_Check(text)) {
        return px_py_bytes(text);
    }
    PX_AUTO_PY PyObject *encoded =
        text != NULL ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace") : NULL;
    return encoded != NULL ? px_py_bytes(encoded) : NULL;
}

int px_py_frames(PyObject *sequence, px_frames *frames)
{
    if (sequence == NULL || sequence == Py_None) {
        return 0;
    }
    PX_AUTO_PY PyObject *fast = PySequence_Fast(sequence, "buffers must be a sequence");
    if (fast == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast); i++) {
        px_bytes *bytes = px_py_bytes(PySequence_Fast_GET_ITEM(fast, i));
        if (bytes == NULL) {
            return -1;
        }
        px_must(px_frames_push(frames, bytes));
    }
    return 0;
}

// --- buffers for Python -------------------------------------------------------------------------

typedef struct buffer_object {
    PyObject_HEAD
    px_bytes *bytes;
} buffer_object;

static int buffer_get(PyObject *self, Py_buffer *view, int flags)
{
    px_slice slice = px_bytes_slice(((buffer_object *)self)->bytes);
    // Each frame has its own memory (a segment is mapped privately), so writing to it changes
    // nothing else.
    void *memory = (void *)(uintptr_t)slice.data;
    return PyBuffer_FillInfo(view, self, memory, (Py_ssize_t)slice.size, 0, flags);
}

static void buffer_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    px_bytes_unref(((buffer_object *)self)->bytes);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot buffer_slots[] = {
    {Py_bf_getbuffer, buffer_get},
    {Py_tp_dealloc, buffer_dealloc},
    {0, NULL},
};

static PyType_Spec buffer_spec = {
    .name = "pxkernel._kernel.Buffer",
    .basicsize = sizeof(buffer_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = buffer_slots,
};

static PyObject *view_of(px_bytes *bytes)
{
    PX_AUTO_PY PyObject *object = px_py.buffer_type->tp_alloc(px_py.buffer_type, 0);
    if (object == NULL) {
        return NULL;
    }
    ((buffer_object *)object)->bytes = px_bytes_ref(bytes);
    return PyMemoryView_FromObject(object);
}

// --- Parent -------------------------------------------------------------------------------------

PyObject *px_py_parent_new(px_parent *parent)
{
    px_parent_object *self = (px_parent_object *)px_py.parent_type->tp_alloc(px_py.parent_type, 0);
    if (self != NULL) {
        self->parent = px_parent_ref(parent);
    }
    return (PyObject *)self;
}

static void parent_dealloc(PyObject *object)
{
    px_parent_object *self = (px_parent_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    px_parent_unref(self->parent);
    Py_XDECREF(self->header);
    Py_XDECREF(self->metadata);
    Py_XDECREF(self->content);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *parent_header(PyObject *self, void *closure)
{
    (void)closure;
    px_parent_object *object = (px_parent_object *)self;
    return cached(&object->header, px_bytes_slice(object->parent->header));
}

static PyObject *parent_metadata(PyObject *self, void *closure)
{
    (void)closure;
    px_parent_object *object = (px_parent_object *)self;
    return cached(&object->metadata, px_bytes_slice(object->parent->metadata));
}

static PyObject *parent_content(PyObject *self, void *closure)
{
    (void)closure;
    px_parent_object *object = (px_parent_object *)self;
    return cached(&object->content, px_bytes_slice(object->parent->content));
}

static PyObject *bytes_of(px_slice slice)
{
    return PyBytes_FromStringAndSize((const char *)slice.data, (Py_ssize_t)slice.size);
}

static PyObject *parent_header_json(PyObject *self, void *closure)
{
    (void)closure;
    return bytes_of(px_bytes_slice(((px_parent_object *)self)->parent->header));
}

static PyObject *idents_of(const px_parent *parent)
{
    size_t n = px_frames_count(&parent->idents);
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list != NULL && i < n; i++) {
        PyObject *ident = bytes_of(px_frames_get(&parent->idents, i));
        if (ident == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, ident);
    }
    return list;
}

static PyObject *parent_idents(PyObject *self, void *closure)
{
    (void)closure;
    return idents_of(((px_parent_object *)self)->parent);
}

static PyObject *parent_channel(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(px_channel_name(((px_parent_object *)self)->parent->channel));
}

static PyObject *parent_door(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((px_parent_object *)self)->parent->door);
}

static PyGetSetDef parent_getset[] = {
    {"header", parent_header, NULL, "The request's header, parsed once.", NULL},
    {"header_json", parent_header_json, NULL, "The header as it came.", NULL},
    {"metadata", parent_metadata, NULL, "The request's metadata, parsed once.", NULL},
    {"content", parent_content, NULL, "The request's content, parsed once.", NULL},
    {"idents", parent_idents, NULL, "Identities: where its replies go.", NULL},
    {"channel", parent_channel, NULL, "\"shell\" or \"control\".", NULL},
    {"door", parent_door, NULL, "Whether a front end of an engine sent it.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot parent_slots[] = {
    {Py_tp_doc, "The request that outputs belong to."},
    {Py_tp_getset, parent_getset},
    {Py_tp_dealloc, parent_dealloc},
    {0, NULL},
};

static PyType_Spec parent_spec = {
    .name = "pxkernel._kernel.Parent",
    .basicsize = sizeof(px_parent_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = parent_slots,
};

PyObject *px_py_current(void)
{
    PyObject *value = NULL;
    if (PyContextVar_Get(px_py.parent_var, NULL, &value) < 0) {
        return NULL;
    }
    if (value != NULL && value != Py_None) {
        return value;
    }
    Py_XDECREF(value);
    const px_shell *shell = px_py_shell();
    PyObject *current = shell->subshell != NULL ? shell->parent : px_py.current;
    return Py_NewRef(current != NULL ? current : Py_None);
}

int px_py_parent_of(PyObject *object, PyObject **ret_hold, px_parent **ret_parent)
{
    PyObject *found = object != NULL ? Py_NewRef(object) : px_py_current();
    if (found == NULL) {
        return -1;
    }
    if (found == Py_None) {
        *ret_parent = NULL;
    } else if (Py_IS_TYPE(found, px_py.parent_type)) {
        *ret_parent = ((px_parent_object *)found)->parent;
    } else {
        (void)PyErr_Format(PyExc_TypeError, "a Parent or None was expected, not %.100s",
                           Py_TYPE(found)->tp_name);
        Py_DECREF(found);
        return -1;
    }
    *ret_hold = found;
    return 0;
}

// --- Request ------------------------------------------------------------------------------------

px_request_object *px_py_request_new(px_request *request)
{
    px_request_object *self =
        (px_request_object *)px_py.request_type->tp_alloc(px_py.request_type, 0);
    PyObject *parent = self != NULL ? px_py_parent_new(request->parent) : NULL;
    if (parent == NULL) {
        Py_XDECREF(self);
        px_request_free(request);
        return NULL;
    }
    self->request = request;
    self->parent = (px_parent_object *)parent;
    return self;
}

static void request_dealloc(PyObject *object)
{
    px_request_object *self = (px_request_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    px_request_free(self->request);
    px_out_free(self->reply);
    Py_XDECREF((PyObject *)self->parent);
    Py_XDECREF(self->parent_header);
    Py_XDECREF(self->buffers);
    type->tp_free(object);
    Py_DECREF(type);
}

static px_request_object *request_of(PyObject *self)
{
    return (px_request_object *)self;
}

static PyObject *request_type(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(request_of(self)->request->message->msg_type);
}

static PyObject *request_id(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(request_of(self)->request->message->msg_id);
}

static PyObject *request_channel(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(px_channel_name(request_of(self)->request->channel));
}

static PyObject *request_parent(PyObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef((PyObject *)request_of(self)->parent);
}

static PyObject *request_header(PyObject *self, void *closure)
{
    return parent_header((PyObject *)request_of(self)->parent, closure);
}

static PyObject *request_metadata(PyObject *self, void *closure)
{
    return parent_metadata((PyObject *)request_of(self)->parent, closure);
}

static PyObject *request_content(PyObject *self, void *closure)
{
    return parent_content((PyObject *)request_of(self)->parent, closure);
}

static PyObject *request_parent_header(PyObject *self, void *closure)
{
    (void)closure;
    px_request_object *object = request_of(self);
    return cached(&object->parent_header, object->request->message->parent);
}

static PyObject *request_content_json(PyObject *self, void *closure)
{
    (void)closure;
    return bytes_of(request_of(self)->request->message->content);
}

static PyObject *request_idents(PyObject *self, void *closure)
{
    (void)closure;
    return idents_of(request_of(self)->request->parent);
}

static PyObject *request_buffers(PyObject *self, void *closure)
{
    (void)closure;
    px_request_object *object = request_of(self);
    const px_message *message = object->request->message;
    if (object->buffers == NULL) {
        PX_AUTO_PY PyObject *list = PyList_New((Py_ssize_t)message->n_buffers);
        for (size_t i = 0; list != NULL && i < message->n_buffers; i++) {
            PyObject *view = view_of(px_frames_at(&message->frames, message->first_buffer + i));
            if (view == NULL) {
                return NULL;
            }
            PyList_SET_ITEM(list, (Py_ssize_t)i, view);
        }
        object->buffers = Py_XNewRef(list);
    }
    return Py_XNewRef(object->buffers);
}

// own_metadata writes what every reply to an execution says of itself, then what was given.
static px_bytes *own_metadata(const px_request *request, px_slice status, px_slice given)
{
    PX_AUTO_BUF text = {0};
    px_bytes *bytes = NULL;
    px_buf_append_str(&text, "{\"started\":\"");
    px_buf_append_str(&text, request->started);
    px_buf_append_str(&text, "\",\"dependencies_met\":true,\"engine\":\"");
    px_buf_append_str(&text, px_kernel_current->config.ident);
    px_buf_append_str(&text, "\",\"status\":");
    px_buf_append_slice(&text, status.size > 0 ? status : PX_SLICE_LITERAL("\"ok\""));
    const uint8_t *open = given.size > 0 ? memchr(given.data, '{', given.size) : NULL;
    size_t rest = open != NULL ? given.size - (size_t)(open + 1 - given.data) : 0;
    if (rest > 0 && px_slice_equal(given, PX_SLICE_LITERAL("{}")) == false) {
        px_buf_append_str(&text, ",");
        px_buf_append(&text, open + 1, rest);
    } else {
        px_buf_append_str(&text, "}");
    }
    px_must(px_buf_status(&text));
    px_must(px_bytes_copy(px_buf_slice(&text), &bytes));
    return bytes;
}

static bool wants_metadata(px_msg_type type)
{
    return type == PX_MSG_EXECUTE_REQUEST || type == PX_MSG_APPLY_REQUEST;
}

// set_metadata takes given (may be NULL).
static void set_metadata(px_request_object *self, px_out *out, px_bytes *given)
{
    px_slice status = px_member(px_bytes_slice(out->content), "status");
    self->reply_failed = px_slice_equal(status, PX_SLICE_LITERAL("\"error\""));
    if (!wants_metadata(self->request->message->type)) {
        out->metadata = given;
        return;
    }
    px_slice text = given != NULL ? px_bytes_slice(given) : (px_slice){0};
    out->metadata = own_metadata(self->request, status, text);
    px_bytes_unref(given);
}

void px_py_reply(px_request_object *self, px_bytes *content, px_bytes *metadata, px_frames *frames)
{
    px_out *out = px_out_new(PX_OUT_REPLY, self->request->parent);
    out->channel = self->request->channel;
    out->content = content;
    px_frames_move(&out->frames, frames);
    set_metadata(self, out, metadata);
    px_reply_type(self->request->message->msg_type, out->msg_type, sizeof(out->msg_type));
    px_out_free(self->reply);
    self->reply = out;
}

static PyObject *request_reply(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"content", "metadata", "buffers", "msg_type", NULL};
    px_request_object *self = request_of(object);
    PyObject *content = NULL;
    PyObject *metadata = Py_None;
    PyObject *buffers = NULL;
    const char *msg_type = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OOz:reply", names, &content, &metadata,
                                     &buffers, &msg_type)) {
        return NULL;
    }
    px_frames frames = {0};
    px_bytes *json = px_py_json_bytes(content);
    if (json == NULL || px_py_frames(buffers, &frames) < 0) {
        px_bytes_unref(json);
        px_frames_done(&frames);
        return NULL;
    }
    px_bytes *given = metadata != Py_None ? px_py_json_bytes(metadata) : NULL;
    if (given == NULL && PyErr_Occurred()) {
        px_bytes_unref(json);
        px_frames_done(&frames);
        return NULL;
    }
    px_py_reply(self, json, given, &frames);
    if (msg_type != NULL) {
        px_out *out = self->reply;
        (void)snprintf(out->msg_type, sizeof(out->msg_type), "%s", msg_type);
    }
    Py_RETURN_NONE;
}

static PyGetSetDef request_getset[] = {
    {"msg_type", request_type, NULL, "Type of the message.", NULL},
    {"msg_id", request_id, NULL, "Its id.", NULL},
    {"channel", request_channel, NULL, "\"shell\" or \"control\".", NULL},
    {"parent", request_parent, NULL, "What outputs caused by it carry as their parent.", NULL},
    {"header", request_header, NULL, "Parsed once.", NULL},
    {"parent_header", request_parent_header, NULL, "Parsed once.", NULL},
    {"metadata", request_metadata, NULL, "Parsed once.", NULL},
    {"content", request_content, NULL, "Parsed once.", NULL},
    {"content_json", request_content_json, NULL, "The content as it came.", NULL},
    {"buffers", request_buffers, NULL, "Raw buffers, not copied.", NULL},
    {"idents", request_idents, NULL, "Identities of the sender.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef request_methods[] = {
    {"reply", (PyCFunction)(void (*)(void))request_reply, METH_VARARGS | METH_KEYWORDS,
     "Give the reply; it leaves when the handler is done, after all outputs."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot request_slots[] = {
    {Py_tp_doc, "One message from a front end, or from the controller."},
    {Py_tp_getset, request_getset},
    {Py_tp_methods, request_methods},
    {Py_tp_dealloc, request_dealloc},
    {0, NULL},
};

static PyType_Spec request_spec = {
    .name = "pxkernel._kernel.Request",
    .basicsize = sizeof(px_request_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = request_slots,
};

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type != NULL && PyModule_AddType(module, (PyTypeObject *)type) < 0) {
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}

int px_py_message_init(PyObject *module)
{
    px_py.buffer_type = add_type(module, &buffer_spec);
    px_py.parent_type = add_type(module, &parent_spec);
    px_py.request_type = add_type(module, &request_spec);
    PX_AUTO_PY PyObject *json = PyImport_ImportModule("json");
    if (json == NULL || px_py.buffer_type == NULL || px_py.parent_type == NULL ||
        px_py.request_type == NULL) {
        return -1;
    }
    PX_AUTO_PY PyObject *decoder = PyObject_GetAttrString(json, "_default_decoder");
    if (decoder != NULL) {
        px_py.decode = PyObject_GetAttrString(decoder, "decode");
        px_py.scan = PyObject_GetAttrString(decoder, "scan_once");
    }
    if (px_py.decode == NULL || px_py.scan == NULL) {
        PyErr_Clear();
        Py_XSETREF(px_py.decode, PyObject_GetAttrString(json, "loads"));
    }
    px_py.encode = PyObject_GetAttrString(json, "dumps");
    px_py.parent_var = PyContextVar_New("px_parent", NULL);
    return px_py.decode != NULL && px_py.encode != NULL && px_py.parent_var != NULL ? 0 : -1;
}
