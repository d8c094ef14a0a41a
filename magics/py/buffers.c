// buffers.c: bytes in and out of Python without copies where that is safe.
//
// Out: a buffer of a request is copied unless nobody can change it (a bytes object), because a
// caller may write to its array as soon as submit has returned; a large one is copied anyway, into
// a segment, before that. What is taken by reference may be let go by any thread, also by one
// without the GIL: the object then waits on a list until somebody who has the GIL comes by.
//
// In: a reply's buffers belong to nobody else, so they are handed out writable, whatever their
// size.

#include "module.h"

#include "px/segment.h"

#include <pthread.h>
#include <stdlib.h>

enum { COPY_LIMIT = 16384 };

typedef struct held {
    struct held *next;
    Py_buffer view;
} held;

static pthread_mutex_t later_lock = PTHREAD_MUTEX_INITIALIZER;
static held *later; // guarded by later_lock

// let_go is a px_release: any thread, with or without the GIL.
static void let_go(void *data, void *hint)
{
    (void)data;
    held *item = hint;
    (void)pthread_mutex_lock(&later_lock);
    item->next = later;
    later = item;
    (void)pthread_mutex_unlock(&later_lock);
}

void px_buffers_release(void)
{
    (void)pthread_mutex_lock(&later_lock);
    held *item = later;
    later = NULL;
    (void)pthread_mutex_unlock(&later_lock);
    while (item != NULL) {
        held *next = item->next;
        PyBuffer_Release(&item->view);
        free(item);
        item = next;
    }
}

static px_bytes *copy_view(Py_buffer *view)
{
    px_bytes *bytes = NULL;
    px_err err = px_bytes_copy(px_slice_of(view->buf, (size_t)view->len), &bytes);
    PyBuffer_Release(view);
    if (err != PX_OK) {
        (void)PyErr_NoMemory();
        return NULL;
    }
    return bytes;
}

px_bytes *px_buffer_take(PyObject *object)
{
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_ANY_CONTIGUOUS) != 0) {
        return NULL;
    }
    size_t size = (size_t)view.len;
    bool large = size >= PX_SEGMENT_THRESHOLD;
    if (!large && (size < COPY_LIMIT || !PyBytes_CheckExact(object))) {
        return copy_view(&view);
    }
    held *item = malloc(sizeof *item);
    if (item == NULL) {
        PyBuffer_Release(&view);
        (void)PyErr_NoMemory();
        return NULL;
    }
    item->view = view;
    px_bytes *bytes = NULL;
    if (px_bytes_adopt(view.buf, size, let_go, item, &bytes) != PX_OK) {
        PyBuffer_Release(&item->view);
        free(item);
        (void)PyErr_NoMemory();
        return NULL;
    }
    return bytes;
}

typedef struct bytes_object {
    PyObject ob_base;
    px_bytes *bytes;
} bytes_object;

PyObject *px_buffer_view(px_module *module, px_bytes *bytes)
{
    bytes_object *self = PyObject_New(bytes_object, module->bytes_type);
    if (self == NULL) {
        return NULL;
    }
    self->bytes = px_bytes_ref(bytes);
    PyObject *view = PyMemoryView_FromObject((PyObject *)self);
    Py_DECREF(self);
    return view;
}

static void bytes_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    px_bytes_unref(((bytes_object *)(void *)object)->bytes);
    PyObject_Free(object);
    Py_DECREF(type);
}

static int bytes_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
    px_slice slice = px_bytes_slice(((bytes_object *)(void *)object)->bytes);
    // Only this reply holds them: writing is the receiver's affair.
    void *data = (void *)(uintptr_t)slice.data;
    return PyBuffer_FillInfo(view, object, data, (Py_ssize_t)slice.size, 0, flags);
}

static PyType_Slot bytes_slots[] = {
    {Py_tp_dealloc, bytes_dealloc},
    {Py_bf_getbuffer, bytes_getbuffer},
    {Py_tp_doc, "Memory of a received buffer."},
    {0, NULL},
};

PyType_Spec px_bytes_spec = {
    .name = "pxparallel._client.Bytes",
    .basicsize = sizeof(bytes_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = bytes_slots,
};
