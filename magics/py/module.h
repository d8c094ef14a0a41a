// module.h: what the files of pxparallel._client share. All of it needs the GIL except where noted.
#ifndef PX_MAGICS_MODULE_H
#define PX_MAGICS_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "io/client.h"

// px_module is the module's state.
typedef struct px_module {
    PyTypeObject *connection_type;
    PyTypeObject *task_type;
    PyTypeObject *bytes_type;
    PyObject *closed_error;   // ConnectionClosed
    PyObject *scan_once;      // json's scanner: (text, 0) -> (value, end)
    const px_kernel_api *api; // the kernel's, once it was seen
} px_module;

extern struct PyModuleDef px_module_def;
px_module *px_module_of(PyTypeObject *type);

typedef struct px_connection_object {
    PyObject ob_base;
    px_client *client; // NULL until __init__ succeeds
} px_connection_object;

typedef struct px_task_object {
    PyObject ob_base;
    px_task *task;
    PyObject *connection; // keeps the connection open
    PyObject *callbacks;  // list, or NULL
    PyObject *listener;   // called when an engine asks something, or NULL
} px_task_object;

extern PyType_Spec px_connection_spec;
extern PyType_Spec px_task_spec;
extern PyType_Spec px_bytes_spec;

// px_client_of is the client of a Connection; NULL with an exception if its __init__ did not
// succeed.
px_client *px_client_of(PyObject *object);
// px_connection_submit is the method Connection.submit.
PyObject *px_connection_submit(PyObject *object, PyObject *const *args, Py_ssize_t n,
                               PyObject *keywords);
// px_json_or_empty is the text of a bytes object; `{}` for NULL.
px_slice px_json_or_empty(PyObject *bytes);

// px_raise sets the exception that fits err; error's text if it has one. Returns NULL.
PyObject *px_raise(px_module *module, px_err err, const px_error *error);
// px_json_value parses JSON text.
PyObject *px_json_value(px_module *module, px_slice text);

// px_task_wrap makes the Python object of a task; takes task, also when it fails.
PyObject *px_task_wrap(px_module *module, px_task *task, PyObject *connection);

// px_wait_python waits for want: 1 fulfilled, 0 timed out, -1 exception. timeout: a number or None.
// With want->asks, questions of engines are answered meanwhile.
int px_wait_python(px_client *client, const px_want *want, PyObject *timeout);
int px_wait_until(px_client *client, const px_want *want, px_ns deadline);

// px_asks_here: which questions this thread answers during a wait that allows PX_ASKS_ALL.
px_asks px_asks_here(const px_want *want);
// px_ask_python asks a person and sends the answer. Takes question. -1: KeyboardInterrupt, and the
// question waits for the next who asks.
int px_ask_python(px_client *client, px_question *question);

// px_buffer_view is a writable memoryview of bytes.
PyObject *px_buffer_view(px_module *module, px_bytes *bytes);
// px_buffer_take makes bytes of an object with the buffer protocol: a copy when it is small or
// could change, else by reference. NULL with an exception.
px_bytes *px_buffer_take(PyObject *object);
// px_buffers_release lets go of what other threads have finished with.
void px_buffers_release(void);

// px_callbacks_arm starts the thread that calls callbacks, if it does not run. -1 with an
// exception.
int px_callbacks_arm(void);
// px_callbacks_stop runs what waits and ends the thread.
void px_callbacks_stop(void);
// px_callbacks_hook is px_client_hooks.task_done, px_listeners_hook task_asks. No GIL.
void px_callbacks_hook(px_task *task);
void px_listeners_hook(px_task *task);

PyObject *px_cluster_root_python(PyObject *module, PyObject *unused);
PyObject *px_cluster_names_python(PyObject *module, PyObject *unused);
PyObject *px_cluster_file_python(PyObject *module, PyObject *name);

#endif
