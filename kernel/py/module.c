// The module pxkernel._kernel: what Python sees of this half (pxkernel/_kernel.pyi). Loaded by the
// launcher, and then imported by path, it is one copy: the kernel that px_kernel_main started is
// the one that Python finds here.
//
// What is known of the kernel (ports, ids) becomes attributes when there is a kernel: at import,
// or, in an engine forked from a zygote that imported the module first, when the engine begins
// (px_module_fill).

#include "options.h"
#include "py/interp.h"
#include "py/python.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

px_python px_py;

px_kernel *px_py_kernel(void)
{
    px_kernel *kernel = px_kernel_current;
    if (kernel == NULL || kernel->io == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "no kernel runs in this process");
        return NULL;
    }
    return kernel;
}

void px_py_log_exception(const char *event)
{
    PyObject *type = NULL;
    PyObject *error = NULL;
    PyObject *traceback = NULL;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    px_log_error("Python raised an exception", "in=%s", event);
    PX_AUTO_PY PyObject *module = PyImport_ImportModule("traceback");
    PX_AUTO_PY PyObject *lines =
        module == NULL
            ? NULL
            : PyObject_CallMethod(module, "format_exception", "OOO", type != NULL ? type : Py_None,
                                  error != NULL ? error : Py_None,
                                  traceback != NULL ? traceback : Py_None);
    PX_AUTO_PY PyObject *empty = PyUnicode_FromString("");
    PX_AUTO_PY PyObject *text =
        lines != NULL && empty != NULL ? PyUnicode_Join(empty, lines) : NULL;
    const char *utf8 = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    if (utf8 != NULL) {
        int fd = px_kernel_current != NULL ? px_capture_original(&px_kernel_current->capture, 1)
                                           : STDERR_FILENO;
        (void)!write(fd, utf8, strlen(utf8)); // a log line: lost when nobody reads
    }
    PyErr_Clear();
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
}

// --- functions ----------------------------------------------------------------------------------

static PyObject *set_language_info(PyObject *module, PyObject *content)
{
    (void)module;
    px_kernel *kernel = px_py_kernel();
    px_bytes *bytes = NULL;
    if (kernel == NULL) {
        return NULL;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(content, &view, PyBUF_SIMPLE) != 0) {
        return NULL;
    }
    px_must(px_bytes_copy(px_slice_of(view.buf, (size_t)view.len), &bytes));
    PyBuffer_Release(&view);
    px_io_set_kernel_info(kernel->io, bytes);
    Py_RETURN_NONE;
}

static PyObject *usage(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PX_AUTO_BUF text = {0};
    px_usage(&text);
    px_must(px_buf_status(&text));
    return px_py_json(px_buf_slice(&text));
}

// main_function is `python -m pxkernel`: the whole kernel inside a Python that runs already.
static PyObject *main_function(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *list = NULL;
    if (!PyArg_ParseTuple(args, "O!:main", &PyList_Type, &list)) {
        return NULL;
    }
    Py_ssize_t n = PyList_GET_SIZE(list);
    char **argv = px_need_zeroed((size_t)(n + 1) * sizeof(char *));
    for (Py_ssize_t i = 0; i < n; i++) {
        PX_AUTO_PY PyObject *path = NULL;
        if (!PyUnicode_FSConverter(PyList_GET_ITEM(list, i), &path)) {
            return NULL;
        }
        argv[i] = strdup(PyBytes_AS_STRING(path)); // for the life of the process, as main's own
        if (argv[i] == NULL) {
            px_out_of_memory();
        }
    }
    int status = px_kernel_run_hosted((int)n, argv);
    px_kernel_exit(status);
}

static PyObject *connection_dict(const px_connection *c)
{
    return Py_BuildValue("{ss ss si si si si si ss ss}", "transport", c->transport, "ip", c->ip,
                         "shell_port", c->shell_port, "iopub_port", c->iopub_port, "stdin_port",
                         c->stdin_port, "control_port", c->control_port, "hb_port", c->hb_port,
                         "key", c->key, "signature_scheme", c->signature_scheme);
}

static int add_connection(const px_config *config)
{
    return px_py_add(px_py.module, "connection_file",
                     PyUnicode_DecodeFSDefault(config->connection_file)) < 0 ||
                   px_py_add(px_py.module, "connection_info",
                             connection_dict(&config->connection)) < 0
               ? -1
               : 0;
}

// open_doors gives the path of the connection file. px-io needs no GIL for what it does meanwhile.
static PyObject *open_doors(PyObject *module, PyObject *address)
{
    (void)module;
    px_kernel *kernel = px_py_kernel();
    const char *ip = kernel == NULL || address == Py_None ? NULL : PyUnicode_AsUTF8(address);
    px_error error = {0};
    if (kernel == NULL || PyErr_Occurred()) {
        return NULL;
    }
    if (px_doors_config(kernel) == NULL) {
        px_config *wish = px_need_zeroed(sizeof(*wish));
        px_err err = px_options_doors(&kernel->config, ip, wish, &error);
        if (err != PX_OK) {
            free(wish);
        } else {
            err = px_doors_open(kernel, wish, &error);
        }
        if (err != PX_OK) {
            PyErr_SetString(PyExc_OSError, error.text);
            return NULL;
        }
    }
    const px_config *config = px_doors_config(kernel);
    return add_connection(config) < 0 ? NULL : PyUnicode_DecodeFSDefault(config->connection_file);
}

static PyMethodDef own_methods[] = {
    {"main", main_function, METH_VARARGS,
     "Run a kernel here, with these arguments. Does not return."},
    {"open_doors", open_doors, METH_O, "Bind the sockets of a kernel, on an engine."},
    {"set_language_info", set_language_info, METH_O, "Replace the content of kernel_info_reply."},
    {"usage", usage, METH_NOARGS, "Memory and CPU of the kernel and its host."},
    {NULL, NULL, 0, NULL},
};

// --- attributes ---------------------------------------------------------------------------------

static PyObject *argument_list(const px_config *config)
{
    PyObject *list = PyList_New(0);
    for (int i = 0; list != NULL && i < config->n_arguments; i++) {
        PX_AUTO_PY PyObject *text = PyUnicode_DecodeFSDefault(config->arguments[i]);
        if (text == NULL || PyList_Append(list, text) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *death_note(const px_kernel *kernel)
{
    const char *note = kernel->note != NULL ? kernel->note : "";
    return PyUnicode_DecodeUTF8(note, (Py_ssize_t)strlen(note), "replace");
}

// fault_fd is where faulthandler shall write: a page that the keeper can read, or the terminal.
static int fault_fd(const px_kernel *kernel)
{
    return kernel->witness.words != NULL ? kernel->witness.words_fd
                                         : px_capture_original(&kernel->capture, 1);
}

int px_module_fill(void)
{
    const px_kernel *kernel = px_kernel_current;
    PyObject *module = px_py.module;
    if (kernel == NULL || module == NULL) {
        return 0;
    }
    const px_config *config = &kernel->config;
    if (PyModule_AddStringConstant(module, "MODE", config->engine ? "engine" : "kernel") < 0 ||
        add_connection(config) < 0 ||
        PyModule_AddStringConstant(module, "session_id", config->session_id) < 0 ||
        PyModule_AddStringConstant(module, "ident", config->ident) < 0 ||
        px_py_add(module, "engine_id", PyLong_FromLongLong(config->engine_id)) < 0 ||
        px_py_add(module, "arguments", argument_list(config)) < 0 ||
        px_py_add(module, "last_death", death_note(kernel)) < 0 ||
        PyModule_AddIntConstant(module, "fault_fd", fault_fd(kernel)) < 0) {
        return -1;
    }
    return PyModule_AddIntConstant(module, "request_fd", px_mailbox_fd(&kernel->inbox));
}

static int module_exec(PyObject *module)
{
    PyMethodDef *const tables[] = {
        px_py_publish_methods,  px_py_output_methods,   px_py_pump_methods,   px_py_stdin_methods,
        px_py_side_methods,     px_py_signals_methods,  px_py_apply_methods,  px_py_shell_methods,
        px_py_encode_methods,   px_py_stuck_methods,    px_py_known_methods,  px_py_timer_methods,
        px_py_printers_methods, px_py_cellname_methods, px_py_base64_methods,
    };
    px_py.module = module;
    px_py_base64_init();
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (PyModule_AddFunctions(module, tables[i]) < 0) {
            return -1;
        }
    }
    if (PyModule_AddStringConstant(module, "__version__", PX_VERSION) < 0 ||
        px_py_message_init(module) < 0 || px_py_stream_init(module) < 0 ||
        px_py_api_init(module) < 0) {
        return -1;
    }
    return px_module_fill();
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)(uintptr_t)module_exec},
    {0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,    .m_name = "pxkernel._kernel", .m_doc = "The C half of the kernel.",
    .m_methods = own_methods, .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__kernel(void);

PyMODINIT_FUNC PyInit__kernel(void)
{
    return PyModuleDef_Init(&module_def);
}
