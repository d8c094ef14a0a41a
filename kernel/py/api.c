// The capsule: publishing to the notebook from other C code in this process (px/kernel_api.h), on
// any thread and without the GIL.

#include "py/python.h"

#include <string.h>

static px_parent *parent_current(void)
{
    PX_AUTO_PY PyObject *hold = NULL;
    px_parent *parent = NULL;
    if (px_py_parent_of(NULL, &hold, &parent) < 0) {
        PyErr_Clear();
        return NULL;
    }
    return px_parent_ref(parent);
}

static void stream(px_parent *parent, const char *name, px_slice text)
{
    px_kernel *kernel = px_kernel_current;
    if (kernel == NULL || kernel->io == NULL || px_py_is_child()) {
        return;
    }
    px_stream_name which = strcmp(name, "stderr") == 0 ? PX_STDERR : PX_STDOUT;
    px_outbox_write(&kernel->outbox, parent, which, text);
}

static px_bytes *copy_of(px_slice slice)
{
    px_bytes *bytes = NULL;
    if (slice.size > 0) {
        px_must(px_bytes_copy(slice, &bytes));
    }
    return bytes;
}

static void publish(px_parent *parent, const char *msg_type, px_slice content, px_slice metadata,
                    px_bytes *const *buffers, size_t n_buffers)
{
    px_kernel *kernel = px_kernel_current;
    if (kernel == NULL || kernel->io == NULL || px_py_is_child()) {
        return;
    }
    px_out *out = px_out_new(PX_OUT_PUBLISH, parent);
    (void)snprintf(out->msg_type, sizeof(out->msg_type), "%s", msg_type);
    out->content = copy_of(content);
    out->metadata = copy_of(metadata);
    for (size_t i = 0; i < n_buffers; i++) {
        px_must(px_frames_push(&out->frames, px_bytes_ref(buffers[i])));
    }
    px_io_post(kernel->io, out);
}

static const px_kernel_api api = {
    .version = PX_KERNEL_API_VERSION,
    .parent_current = parent_current,
    .parent_unref = px_parent_unref,
    .stream = stream,
    .publish = publish,
};

int px_py_api_init(PyObject *module)
{
    void *pointer = (void *)(uintptr_t)&api;
    return px_py_add(module, "api", PyCapsule_New(pointer, PX_KERNEL_API_NAME, NULL));
}
