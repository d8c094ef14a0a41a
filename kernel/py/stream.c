// sys.stdout and sys.stderr. A write is: find the parent (ContextVar, else the running request),
// one copy into the outbox. No lock of ours is held while Python runs, no wake-up unless px-io
// would not look by itself.
//
// In a forked child there is no px-io: text goes to descriptor 1 or 2, which is the parent's
// capture pipe, line by line, so that the lines of several children do not mingle.

#include "py/python.h"

#include <structmember.h>

#include <errno.h>
#include <unistd.h>

#define LEND_TEXT_FROM ((Py_ssize_t)1 << 20) // bytes: longer text is lent to px-io
#define KEEP_MOST ((size_t)1 << 20)          // bytes that keep() keeps

typedef struct stream_object {
    PyObject_HEAD
    PyObject *dict;
    PyObject *weakrefs;
    PyObject *name;
    PyObject *kept; // a list that gets what is written, or NULL
    px_buf to_keep; // … and has not got yet: it is one text, not one for each write
    bool kept_all;  // … up to here
    px_stream_name stream;
    char closed;
} stream_object;

static px_buf child_lines[2]; // unfinished lines in a forked child

// --- writing in a forked child ------------------------------------------------------------------

static void write_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return; // nobody reads: the kernel is gone
        }
        data += n;
        size -= (size_t)n;
    }
}

static void child_flush(px_stream_name stream)
{
    px_buf *line = &child_lines[stream];
    write_all(stream == PX_STDOUT ? 1 : 2, line->data, line->size);
    px_buf_clear(line);
}

static void child_write(px_stream_name stream, px_slice text)
{
    px_buf_append_slice(&child_lines[stream], text);
    if (memchr(text.data, '\n', text.size) != NULL || child_lines[stream].size > 65536) {
        child_flush(stream);
    }
}

void px_py_child_flush(void)
{
    child_flush(PX_STDOUT);
    child_flush(PX_STDERR);
}

// --- writing ------------------------------------------------------------------------------------

int px_py_wait_for_room(px_room *room)
{
    bool room_now = false;
    while (!room_now) {
        Py_BEGIN_ALLOW_THREADS room_now = px_room_wait(room);
        Py_END_ALLOW_THREADS if (PyErr_CheckSignals() < 0)
        {
            return -1;
        }
    }
    return 0;
}

// keep remembers text for the list of keep(), as far as that may grow.
static void keep(stream_object *self, px_slice text)
{
    if (self->kept == NULL || !self->kept_all) {
        return;
    }
    self->kept_all = self->to_keep.size + text.size < KEEP_MOST;
    if (self->kept_all) {
        px_buf_append_slice(&self->to_keep, text);
    } else {
        px_buf_append_str(&self->to_keep, "\n[what followed was not kept]\n");
    }
}

// give_kept puts what was kept into the list; -1 with an exception.
static int give_kept(stream_object *self)
{
    int status = 0;
    if (self->kept != NULL && self->to_keep.size > 0) {
        PX_AUTO_PY PyObject *text = PyUnicode_DecodeUTF8((const char *)self->to_keep.data,
                                                         (Py_ssize_t)self->to_keep.size, "replace");
        status = text != NULL ? PyList_Append(self->kept, text) : -1;
    }
    px_buf_done(&self->to_keep);
    return status;
}

static int write_text(stream_object *self, PyObject *text, px_slice slice)
{
    px_kernel *kernel = px_kernel_current;
    PX_AUTO_PY PyObject *hold = NULL;
    px_parent *parent = NULL;
    if (slice.size == 0) {
        return 0;
    }
    if (px_py_is_child()) {
        child_write(self->stream, slice);
        return 0;
    }
    if (kernel == NULL || kernel->io == NULL) {
        write_all(self->stream == PX_STDOUT ? 1 : 2, slice.data, slice.size);
        return 0;
    }
    if (px_py_parent_of(NULL, &hold, &parent) < 0) {
        return -1;
    }
    if (px_room_is_full(&kernel->outbox.room) && px_py_wait_for_room(&kernel->outbox.room) < 0) {
        return -1;
    }
    px_capture_before_text(&kernel->capture);
    if ((Py_ssize_t)slice.size < LEND_TEXT_FROM || !PyUnicode_IS_ASCII(text)) {
        px_outbox_write(&kernel->outbox, parent, self->stream, slice);
        return 0;
    }
    px_bytes *whole = px_py_text_bytes(text, slice);
    if (whole == NULL) {
        return -1;
    }
    px_outbox_write_whole(&kernel->outbox, parent, self->stream, whole);
    return 0;
}

static PyObject *stream_write(PyObject *object, PyObject *text)
{
    stream_object *self = (stream_object *)object;
    if (!PyUnicode_Check(text)) {
        return PyErr_Format(PyExc_TypeError, "write() argument must be str, not %.100s",
                            Py_TYPE(text)->tp_name);
    }
    Py_ssize_t size = 0;
    const char *utf8 = NULL;
    PX_AUTO_PY PyObject *encoded = NULL;
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        utf8 = (const char *)PyUnicode_1BYTE_DATA(text);
        size = PyUnicode_GET_LENGTH(text);
    } else {
        // Not cached in the string, as PyUnicode_AsUTF8 would: the text may be long and live on.
        encoded = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
        if (encoded == NULL) {
            return NULL;
        }
        utf8 = PyBytes_AS_STRING(encoded);
        size = PyBytes_GET_SIZE(encoded);
    }
    if (write_text(self, text, px_slice_of(utf8, (size_t)size)) < 0) {
        return NULL;
    }
    keep(self, px_slice_of(utf8, (size_t)size));
    return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
}

static PyObject *stream_writelines(PyObject *self, PyObject *lines)
{
    PX_AUTO_PY PyObject *iterator = PyObject_GetIter(lines);
    PyObject *line = NULL;
    if (iterator == NULL) {
        return NULL;
    }
    while ((line = PyIter_Next(iterator)) != NULL) {
        // Through the attribute: IPython replaces write on the instance.
        PyObject *written = PyObject_CallMethod(self, "write", "O", line);
        Py_DECREF(line);
        if (written == NULL) {
            return NULL;
        }
        Py_DECREF(written);
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *stream_flush(PyObject *object, PyObject *unused)
{
    (void)unused;
    if (px_py_is_child()) {
        child_flush(((stream_object *)object)->stream);
    }
    Py_RETURN_NONE; // order needs no flush, and text at the end leaves by itself
}

static PyObject *stream_keep(PyObject *object, PyObject *list)
{
    stream_object *self = (stream_object *)object;
    if (list != Py_None && !PyList_Check(list)) {
        return PyErr_Format(PyExc_TypeError, "keep() takes a list or None, not %.100s",
                            Py_TYPE(list)->tp_name);
    }
    if (give_kept(self) < 0) {
        return NULL;
    }
    PyObject *before = self->kept != NULL ? self->kept : Py_NewRef(Py_None);
    self->kept = list != Py_None ? Py_NewRef(list) : NULL;
    self->kept_all = true;
    return before;
}

static PyObject *stream_false(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_FALSE;
}

static PyObject *stream_true(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_TRUE;
}

static PyObject *stream_fileno(PyObject *object, PyObject *unused)
{
    (void)unused;
    stream_object *self = (stream_object *)object;
    int which = self->stream == PX_STDOUT ? 0 : 1;
    px_kernel *kernel = px_kernel_current;
    int fd = kernel != NULL ? px_capture_original(&kernel->capture, which) : which + 1;
    return PyLong_FromLong(fd);
}

static PyObject *stream_close(PyObject *object, PyObject *unused)
{
    ((stream_object *)object)->closed = 1;
    return stream_flush(object, unused);
}

static PyObject *stream_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *stream_exit(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_NONE;
}

static int stream_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", NULL};
    stream_object *self = (stream_object *)object;
    PyObject *name = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "U:Stream", names, &name)) {
        return -1;
    }
    self->stream = PyUnicode_CompareWithASCIIString(name, "stderr") == 0 ? PX_STDERR : PX_STDOUT;
    Py_XSETREF(self->name, Py_NewRef(name));
    return 0;
}

static int stream_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((stream_object *)object)->dict);
    Py_VISIT(((stream_object *)object)->kept);
    return 0;
}

static int stream_clear(PyObject *object)
{
    Py_CLEAR(((stream_object *)object)->dict);
    Py_CLEAR(((stream_object *)object)->kept);
    return 0;
}

static void stream_dealloc(PyObject *object)
{
    stream_object *self = (stream_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    Py_CLEAR(self->dict);
    Py_CLEAR(self->kept);
    px_buf_done(&self->to_keep);
    Py_CLEAR(self->name);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef stream_methods[] = {
    {"write", stream_write, METH_O, "Write text to the cell's output."},
    {"writelines", stream_writelines, METH_O, "Write each of lines."},
    {"flush", stream_flush, METH_NOARGS, "Nothing to wait for: text leaves by itself, in order."},
    {"keep", stream_keep, METH_O,
     "From here on a list gets what is written too, the first MiB, when keep is called again "
     "(None: "
     "no more); the one before."},
    {"isatty", stream_false, METH_NOARGS, "False."},
    {"readable", stream_false, METH_NOARGS, "False."},
    {"seekable", stream_false, METH_NOARGS, "False."},
    {"writable", stream_true, METH_NOARGS, "True."},
    {"fileno", stream_fileno, METH_NOARGS, "The descriptor from before output was captured."},
    {"close", stream_close, METH_NOARGS, "Mark it closed."},
    {"__enter__", stream_enter, METH_NOARGS, NULL},
    {"__exit__", stream_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyObject *stream_constant(PyObject *self, void *text)
{
    (void)self;
    return text != NULL ? PyUnicode_FromString(text) : Py_NewRef(Py_None);
}

static PyGetSetDef stream_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {"encoding", stream_constant, NULL, "UTF-8.", "UTF-8"},
    {"errors", stream_constant, NULL, "What cannot be encoded is shown escaped.",
     "backslashreplace"},
    {"newlines", stream_constant, NULL, "None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef stream_members[] = {
    {"name", T_OBJECT, offsetof(stream_object, name), 0, "\"stdout\" or \"stderr\"."},
    {"closed", T_BOOL, offsetof(stream_object, closed), READONLY, "Whether close() was called."},
    {"__dictoffset__", T_PYSSIZET, offsetof(stream_object, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(stream_object, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_doc, "sys.stdout or sys.stderr."},
    {Py_tp_init, stream_init},
    {Py_tp_methods, stream_methods},
    {Py_tp_getset, stream_getset},
    {Py_tp_members, stream_members},
    {Py_tp_traverse, stream_traverse},
    {Py_tp_clear, stream_clear},
    {Py_tp_dealloc, stream_dealloc},
    {0, NULL},
};

static PyType_Spec stream_spec = {
    .name = "pxkernel._kernel.Stream",
    .basicsize = sizeof(stream_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = stream_slots,
};

int px_py_stream_init(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &stream_spec, NULL);
    px_py.stream_type = (PyTypeObject *)type;
    return type != NULL ? PyModule_AddType(module, px_py.stream_type) : -1;
}
