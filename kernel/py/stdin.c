// input() and getpass(): a question to the front end that sent the request, and a wait that a
// signal can end.
//
// The wait is poll() on the mailbox where px-io puts the answer (io/questions.h), without the GIL;
// a condition variable would not return on Ctrl-C. A signal ends a wait of the main thread only;
// others get a letter that says so.

#include "py/python.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static void ask(px_kernel *kernel, px_parent *parent, const px_question *question, px_slice prompt,
                bool password)
{
    px_out *out = px_out_new(PX_OUT_REPLY, parent);
    out->channel = PX_STDIN;
    out->msg_id = px_need_zeroed(sizeof(question->msg_id));
    memcpy(out->msg_id, question->msg_id, sizeof(question->msg_id));
    (void)snprintf(out->msg_type, sizeof(out->msg_type), "input_request");
    PX_AUTO_BUF text = {0};
    px_jsonw w = px_jsonw_to(&text);
    px_jsonw_object(&w);
    px_jsonw_key(&w, "prompt");
    px_jsonw_slice(&w, prompt);
    px_jsonw_key_bool(&w, "password", password);
    px_jsonw_end_object(&w);
    px_must(px_buf_status(&text));
    px_must(px_bytes_copy(px_buf_slice(&text), &out->content));
    px_capture_drain(&kernel->capture, true);
    px_io_post(kernel->io, out);
}

// signal_pipe gives the ends of the pipe into which Python's C handler writes while the main thread
// waits here; NULL if it cannot be made.
static const int *signal_pipe(void)
{
    static int fds[2] = {-1, -1}; // under the GIL
    return fds[0] >= 0 || pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0 ? fds : NULL;
}

// set_wakeup has that handler write into fd (-1: nowhere); gives what it was before. An exception
// that is set stays. Main thread.
static int set_wakeup(int fd)
{
    PyObject *type = NULL;
    PyObject *error = NULL;
    PyObject *trace = NULL;
    PyErr_Fetch(&type, &error, &trace);
    PX_AUTO_PY PyObject *module = PyImport_ImportModule("_signal");
    PX_AUTO_PY PyObject *before =
        module != NULL ? PyObject_CallMethod(module, "set_wakeup_fd", "i", fd) : NULL;
    long value = before != NULL ? PyLong_AsLong(before) : -1;
    PyErr_Restore(type, error, trace);
    return (int)value;
}

// pass_on empties the pipe into the descriptor that has its place at other times, if there is one.
static void pass_on(int wake_fd, int before)
{
    char numbers[64];
    ssize_t n;
    while ((n = read(wake_fd, numbers, sizeof numbers)) > 0) {
        if (before >= 0) {
            (void)!write(before, numbers, (size_t)n);
        }
    }
}

// wait_readable waits until fd is readable (0) or the handler of a signal raises (-1). A signal
// that comes between the look at it and the wait, or that the system gives to another thread,
// interrupts no poll(): the pipe tells of both.
static int wait_readable(int fd)
{
    bool main = pthread_equal(pthread_self(), px_kernel_current->interrupt.main);
    const int *pipe = main ? signal_pipe() : NULL;
    struct pollfd items[] = {{.fd = fd, .events = POLLIN},
                             {.fd = pipe != NULL ? pipe[0] : -1, .events = POLLIN}};
    int before = pipe != NULL ? set_wakeup(pipe[1]) : -1;
    while (PyErr_CheckSignals() == 0 && items[0].revents == 0) {
        PyThreadState *thread = PyEval_SaveThread();
        (void)poll(items, 2, -1);
        PyEval_RestoreThread(thread);
        if (items[1].revents != 0) {
            pass_on(items[1].fd, before);
        }
    }
    if (pipe != NULL) {
        (void)set_wakeup(before);
    }
    return PyErr_Occurred() != NULL ? -1 : 0;
}

// value_of gives what was answered, or NULL with EOFError.
static PyObject *value_of(const px_request *answer)
{
    px_slice value = px_member(answer->message->content, "value");
    if (value.size == 0) {
        return PyUnicode_FromString("");
    }
    PX_AUTO_PY PyObject *text = px_py_json(value);
    if (text == NULL || !PyUnicode_Check(text)) {
        PyErr_Clear();
        return PyUnicode_FromString("");
    }
    if (PyUnicode_CompareWithASCIIString(text, "\x04") == 0) {
        px_slice why = px_member(answer->message->content, "why"); // a cluster's client says it
        PX_AUTO_PY PyObject *words = why.size != 0 ? px_py_json(why) : NULL;
        PyErr_Clear();
        PyErr_SetObject(PyExc_EOFError, words);
        return NULL;
    }
    return Py_NewRef(text);
}

// wait_value waits for the answer and gives its value, or NULL with an exception.
static PyObject *wait_value(px_question *question)
{
    if (wait_readable(px_mailbox_fd(&question->answer)) < 0) {
        if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
            PyErr_SetString(PyExc_KeyboardInterrupt, "Interrupted by user");
        }
        return NULL;
    }
    px_request *answer = px_question_take(question);
    if (answer == NULL) {
        px_py_shell_absorb();
        PyErr_SetString(PyExc_KeyboardInterrupt, "Interrupted by user");
        return NULL;
    }
    PyObject *value = value_of(answer);
    px_request_free(answer);
    return value;
}

static PyObject *input_request(PyObject *module, PyObject *args)
{
    (void)module;
    const char *prompt = NULL;
    Py_ssize_t size = 0;
    int password = 0;
    PyObject *given = NULL;
    px_kernel *kernel = px_py_kernel();
    if (kernel == NULL ||
        !PyArg_ParseTuple(args, "s#p|O:input_request", &prompt, &size, &password, &given)) {
        return NULL;
    }
    if (px_py_is_child()) {
        PyErr_SetString(PyExc_RuntimeError, "a forked child cannot ask the front end for input");
        return NULL;
    }
    PX_AUTO_PY PyObject *hold = NULL;
    px_parent *parent = NULL;
    if (px_py_parent_of(given == Py_None ? NULL : given, &hold, &parent) < 0) {
        return NULL;
    }
    if (parent == NULL || px_frames_count(&parent->idents) == 0) {
        PyErr_SetString(PyExc_RuntimeError,
                        "no front end asked for this: there is nobody to answer");
        return NULL;
    }
    px_question question = {.parent = parent};
    px_io_next_id(kernel->io, question.msg_id);
    if (px_question_open(&kernel->questions, &question) != PX_OK) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    ask(kernel, parent, &question, px_slice_of(prompt, (size_t)size), password != 0);
    PyObject *value = wait_value(&question);
    px_question_close(&kernel->questions, &question);
    return value;
}

PyMethodDef px_py_stdin_methods[] = {
    {"input_request", input_request, METH_VARARGS,
     "Ask the front end and wait: (prompt, password, parent=None)."},
    {NULL, NULL, 0, NULL},
};
