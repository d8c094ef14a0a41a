// input() and getpass(): a question to the front end that sent the request, and a wait that a
// signal can end.
//
// The wait is ppoll() on the mailbox where px-io puts the answer (io/questions.h), without the GIL;
// a condition variable would not return on Ctrl-C. A signal ends a wait of the main thread only;
// others get a letter that says so.

#include "py/python.h"

#include <poll.h>
#include <signal.h>
#include <string.h>

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

// wait_readable waits until fd is readable (0) or the handler of a signal raises (-1). Asking for
// signals and waiting are one step: SIGINT is blocked but while ppoll waits, so that none can come
// between the two and be slept over.
static int wait_readable(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    sigset_t held;
    sigset_t before;
    int n = 0;
    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &held, &before); // cannot fail with these arguments
    while (n <= 0 && PyErr_CheckSignals() == 0) {
        PyThreadState *thread = PyEval_SaveThread();
        n = ppoll(&item, 1, NULL, &before);
        PyEval_RestoreThread(thread);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n > 0 ? 0 : -1;
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
