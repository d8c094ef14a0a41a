// The shells as Python sees them: which one a thread serves, whose output is whose while several
// run, interrupts for subshells, and how their threads begin and end (pxkernel/subshells.py).
//
// A signal reaches the main thread only, so an interrupt of a subshell is an exception that is set
// in its thread from outside, under the GIL: what runs Python code finds it at the next
// instruction, a call that waits in C only when it comes back. An async cell that awaits is
// cancelled instead, by its loop; should the cell's turn be before that, and last, a thread that
// looks again raises in it. Interrupts go to the main shell as long as that runs something: a cell
// that is stopped does not take the callbacks of widgets with it.
//
// Output without an owner (a thread of the user's own, C code, child processes) belongs to the
// request that runs in the main shell; when none does, to the one that began last in a subshell.

#include "py/python.h"

#include "px/thread.h"

#include <poll.h>
#include <string.h>

#define LOOK_AGAIN_MS 20

static _Thread_local px_shell *here; // NULL: not a subshell's thread
static uint64_t n_begun;
static PyObject *current_task; // asyncio.current_task

px_shell *px_py_shell(void)
{
    return here != NULL ? here : &px_py.main;
}

void px_py_shells_init(px_kernel *kernel)
{
    px_py.main.inbox = &kernel->inbox;
    px_py.main.waiting = &kernel->waiting;
    px_py.main.blocked = &kernel->blocked;
}

// --- whose output -------------------------------------------------------------------------------

static void choose(px_kernel *kernel, const px_shell *shell)
{
    if (shell != NULL && shell->parent != NULL && shell->parent != px_py.current) {
        Py_XSETREF(px_py.current, Py_NewRef(shell->parent));
        px_outbox_set_current(&kernel->outbox, ((px_parent_object *)shell->parent)->parent);
    }
}

// last_begun gives the subshell whose request began last of those that run; NULL: none does.
static px_shell *last_begun(void)
{
    px_shell *last = NULL;
    for (px_shell *shell = px_py.subshells; shell != NULL; shell = shell->next) {
        if (shell->busy && (last == NULL || shell->begun > last->begun)) {
            last = shell;
        }
    }
    return last;
}

void px_py_shell_began(px_kernel *kernel, px_shell *shell, px_request_object *object)
{
    Py_XSETREF(shell->parent, Py_NewRef((PyObject *)object->parent));
    shell->begun = ++n_begun;
    if (shell->subshell == NULL || !px_py.main.busy) {
        choose(kernel, shell);
    }
}

void px_py_shell_ended(px_kernel *kernel, px_shell *shell)
{
    if (px_py.subshells != NULL && shell->subshell == NULL) {
        choose(kernel, last_begun());
    }
}

// --- interrupts ---------------------------------------------------------------------------------

static bool asks_there(const void *context, const px_question *question)
{
    const px_shell *shell = context;
    return (unsigned long)question->asker == shell->thread;
}

static void raise_in(px_shell *shell, PyObject *error)
{
    shell->raised = true;
    (void)PyThreadState_SetAsyncExc(shell->thread, error); // 0: the thread is gone
    px_questions_interrupt(&px_kernel_current->questions, asks_there, shell);
}

// absorb takes away what was raised in this thread and has not arrived. It has to arrive: Python
// keeps asking every thread to look, at each turn of a loop, until the exception was met, and a
// thread that is traced then looks for ever. Our own thread, no longer open to an interrupt.
static void absorb(px_shell *shell)
{
    static PyObject *nothing; // a function in Python: entering it is where exceptions arrive
    if (!shell->raised) {
        return;
    }
    shell->raised = false;
    if (nothing == NULL) {
        PX_AUTO_PY PyObject *names = PyDict_New();
        nothing = names != NULL ? PyRun_String("lambda: None", Py_eval_input, names, names) : NULL;
    }
    PX_AUTO_PY PyObject *done = nothing != NULL ? PyObject_CallNoArgs(nothing) : NULL;
    if (done == NULL) {
        PyErr_Clear();
    }
}

void px_py_shell_absorb(void)
{
    if (here != NULL) {
        absorb(here);
    }
}

void px_py_subshell_enter(px_kernel *kernel, px_shell *shell, bool cell)
{
    shell->interrupted = false;
    shell->open = !cell;
    (void)atomic_fetch_add(&kernel->interrupt.others, 1);
}

void px_py_subshell_leave(px_kernel *kernel, px_shell *shell)
{
    (void)atomic_fetch_sub(&kernel->interrupt.others, 1);
    shell->open = false;
    shell->interrupted = false;
    absorb(shell);
}

int px_py_subshell_window(px_shell *shell, bool open)
{
    shell->open = open;
    if (!open) {
        absorb(shell);
    } else if (shell->interrupted) {
        shell->interrupted = false;
        PyErr_SetNone(PyExc_KeyboardInterrupt);
        return -1;
    }
    return 0;
}

// computes tells if the task of an async cell is what its loop is busy with.
static bool computes(const px_shell *shell)
{
    if (current_task == NULL) {
        PX_AUTO_PY PyObject *asyncio = PyImport_ImportModule("asyncio"); // loaded: it has a loop
        current_task = asyncio != NULL ? PyObject_GetAttrString(asyncio, "current_task") : NULL;
    }
    PX_AUTO_PY PyObject *task = current_task != NULL && shell->loop != NULL
                                    ? PyObject_CallOneArg(current_task, shell->loop)
                                    : NULL;
    if (task == NULL) {
        PyErr_Clear();
        return false;
    }
    return task == shell->task;
}

static void cancel(px_shell *shell)
{
    px_letter *letter = px_need_zeroed(sizeof(*letter));
    letter->kind = PX_NOTICE_CANCEL;
    px_mailbox_post(shell->inbox, letter);
}

// raise_in_late raises in the async cells that compute although they are to be cancelled; true
// while there are others.
static bool raise_in_late(void)
{
    bool others = false;
    for (px_shell *shell = px_py.subshells; shell != NULL; shell = shell->next) {
        if (shell->cancelling && computes(shell)) {
            shell->cancelling = false;
            raise_in(shell, PyExc_KeyboardInterrupt);
        }
        others |= shell->cancelling;
    }
    return others;
}

static void *look_again_body(void *arg)
{
    atomic_bool *looks = arg;
    bool others = true;
    while (others) {
        (void)poll(NULL, 0, LOOK_AGAIN_MS); // nothing tells of a cell that computes
        PyGILState_STATE state = PyGILState_Ensure();
        others = raise_in_late();
        if (!others) {
            atomic_store(looks, false); // under the GIL: who interrupts next starts another
        }
        PyGILState_Release(state);
    }
    return NULL;
}

static void look_again(px_shell *shell)
{
    static atomic_bool looks;
    pthread_t thread;
    shell->cancelling = true;
    if (!atomic_exchange(&looks, true)) {
        if (px_thread_start(&thread, "px-insist", look_again_body, &looks) == PX_OK) {
            (void)pthread_detach(thread);
        } else {
            atomic_store(&looks, false);
        }
    }
}

static void interrupt(px_shell *shell)
{
    if (!shell->busy) {
        return;
    }
    if (shell->async != NULL && !computes(shell)) {
        look_again(shell);
        cancel(shell);
    } else if (shell->open || shell->async != NULL) {
        raise_in(shell, PyExc_KeyboardInterrupt);
    } else {
        shell->interrupted = true;
    }
}

void px_py_subshells_interrupt(px_kernel *kernel)
{
    if (px_py.main.busy || px_py_is_child() || atomic_load(&kernel->interrupt.others) == 0) {
        return;
    }
    for (px_shell *shell = px_py.subshells; shell != NULL; shell = shell->next) {
        interrupt(shell);
    }
}

// --- threads begin and end ----------------------------------------------------------------------

static const char handle_name[] = "pxkernel subshell";

static void drop_handle(PyObject *handle)
{
    px_subshell_unref(PyCapsule_GetPointer(handle, handle_name));
}

void px_py_subshells_settle(px_kernel *kernel)
{
    if (px_py.settle == NULL || atomic_load(&kernel->subshells.unsettled) == 0 ||
        px_py_is_child()) {
        return;
    }
    PX_AUTO_PY PyObject *result = PyObject_CallNoArgs(px_py.settle);
    if (result == NULL) {
        px_py_log_exception("threads of subshells could not be made");
    }
}

// start_body is a thread that px-io makes for each new subshell.
static void *start_body(void *arg)
{
    PyGILState_STATE state = PyGILState_Ensure();
    px_py_subshells_settle(arg);
    PyGILState_Release(state);
    return NULL;
}

static PyObject *set_subshells(PyObject *module, PyObject *function)
{
    (void)module;
    px_kernel *kernel = px_py_kernel();
    if (kernel == NULL) {
        return NULL;
    }
    Py_XSETREF(px_py.settle, function == Py_None ? NULL : Py_NewRef(function));
    atomic_store(&kernel->subshells.start, px_py.settle != NULL ? start_body : NULL);
    Py_RETURN_NONE;
}

static PyObject *take_subshell(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    px_kernel *kernel = px_py_kernel();
    px_subshell *taken = kernel != NULL ? px_subshells_take(&kernel->subshells) : NULL;
    if (taken == NULL) {
        return kernel != NULL ? Py_NewRef(Py_None) : NULL;
    }
    PX_AUTO_PY PyObject *handle = PyCapsule_New(taken, handle_name, drop_handle);
    if (handle == NULL) {
        px_subshell_unref(taken);
        return NULL;
    }
    return Py_BuildValue("(sO)", taken->id, handle);
}

static PyObject *enter_subshell(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *handle = NULL;
    PyObject *loop = NULL;
    if (!PyArg_ParseTuple(args, "OO:enter_subshell", &handle, &loop)) {
        return NULL;
    }
    px_subshell *subshell = PyCapsule_GetPointer(handle, handle_name);
    if (subshell == NULL) {
        return NULL;
    }
    if (here != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this thread serves a subshell already");
        return NULL;
    }
    px_shell *shell = px_need_zeroed(sizeof(*shell));
    (void)atomic_fetch_add(&subshell->refs, 1);
    shell->subshell = subshell;
    shell->inbox = &subshell->inbox;
    shell->waiting = &subshell->waiting;
    shell->blocked = &subshell->blocked;
    shell->loop = Py_NewRef(loop);
    shell->thread = PyThread_get_thread_ident();
    shell->next = px_py.subshells;
    px_py.subshells = shell;
    here = shell;
    (void)atomic_fetch_sub(&px_kernel_current->subshells.unsettled, 1);
    return PyLong_FromLong(px_mailbox_fd(shell->inbox));
}

static PyObject *leave_subshell(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    px_kernel *kernel = px_kernel_current;
    px_shell *shell = here;
    if (shell == NULL || kernel == NULL) {
        Py_RETURN_NONE;
    }
    px_shell **link = &px_py.subshells;
    while (*link != shell) {
        link = &(*link)->next;
    }
    *link = shell->next;
    here = NULL;
    absorb(shell);
    if (shell->ended) {
        (void)atomic_fetch_sub(&kernel->subshells.unsettled, 1);
    }
    Py_XDECREF(shell->loop);
    Py_XDECREF(shell->task);
    Py_XDECREF(shell->cancel);
    Py_XDECREF(shell->parent);
    px_subshell_unref(shell->subshell);
    free(shell);
    Py_RETURN_NONE;
}

static PyObject *leave_subshells(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    px_kernel *kernel = px_py_kernel();
    if (kernel == NULL) {
        return NULL;
    }
    px_subshells_leave(&kernel->subshells);
    px_py_subshells_interrupt(kernel);
    Py_RETURN_NONE;
}

static PyObject *subshell_list(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PX_AUTO_BUF text = {0};
    px_kernel *kernel = px_py_kernel();
    if (kernel == NULL) {
        return NULL;
    }
    px_subshells_write(&kernel->subshells, &text);
    px_must(px_buf_status(&text));
    return px_py_json(px_buf_slice(&text));
}

static PyObject *subshell_id(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return here != NULL ? PyUnicode_FromString(here->subshell->id) : Py_NewRef(Py_None);
}

static PyObject *subshell_ended(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(here != NULL && here->ended && here->async == NULL);
}

static PyObject *subshell_busy(PyObject *module, PyObject *id)
{
    (void)module;
    for (const px_shell *shell = px_py.subshells; shell != NULL; shell = shell->next) {
        if (PyUnicode_Check(id) && PyUnicode_CompareWithASCIIString(id, shell->subshell->id) == 0) {
            return PyBool_FromLong(shell->busy);
        }
    }
    Py_RETURN_FALSE;
}

static PyObject *interrupt_async_again(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (here != NULL && here->async != NULL) {
        cancel(here);
    }
    Py_RETURN_NONE;
}

static PyObject *main_busy(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(px_py.main.busy);
}

PyMethodDef px_py_shell_methods[] = {
    {"set_subshells", set_subshells, METH_O,
     "The function that makes the threads of new subshells and waits for those that end."},
    {"take_subshell", take_subshell, METH_NOARGS,
     "Id and handle of a subshell whose thread is to be made; None: there is none."},
    {"enter_subshell", enter_subshell, METH_VARARGS,
     "This thread serves the subshell of a handle from here on, with this loop; the descriptor to "
     "watch."},
    {"leave_subshell", leave_subshell, METH_NOARGS, "It no longer does."},
    {"leave_subshells", leave_subshells, METH_NOARGS, "The kernel ends: all shall leave."},
    {"subshell_list", subshell_list, METH_NOARGS, "The ids of all subshells."},
    {"subshell_id", subshell_id, METH_NOARGS, "Id of this thread's; None: it serves none."},
    {"subshell_ended", subshell_ended, METH_NOARGS,
     "Whether this thread's was deleted, and nothing runs in it any more."},
    {"subshell_busy", subshell_busy, METH_O, "Whether a request runs in the one of this id."},
    {"cancel_subshell", interrupt_async_again, METH_NOARGS,
     "An interrupt came to this thread's loop instead of the async cell that it was meant for."},
    {"main_busy", main_busy, METH_NOARGS, "Whether a request runs in the main shell."},
    {NULL, NULL, 0, NULL},
};
