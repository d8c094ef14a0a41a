// python.h: what the files of the Python half share. All of it needs the GIL, except where noted.
// One kernel a process, so the state is one struct; it is made when the module is imported.
#ifndef PX_KERNEL_PYTHON_H
#define PX_KERNEL_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "kernel.h"

#include "px/json.h"

// PX_AUTO_PY PyObject *x = …; drops the reference at the end of the scope.
static inline void px_py_drop(void *reference)
{
    Py_XDECREF(*(PyObject **)reference);
}
#define PX_AUTO_PY [[gnu::cleanup(px_py_drop)]]

// px_py_add adds value to module and drops the reference, which may be NULL with an exception.
static inline int px_py_add(PyObject *module, const char *name, PyObject *value)
{
    int status = PyModule_AddObjectRef(module, name, value);
    Py_XDECREF(value);
    return status;
}

typedef struct px_parent_object {
    PyObject_HEAD
    px_parent *parent;
    PyObject *header, *metadata, *content; // made on first use
} px_parent_object;

typedef struct px_request_object {
    PyObject_HEAD
    px_request *request;
    px_parent_object *parent;
    PyObject *parent_header;
    PyObject *buffers;
    px_out *reply;     // as given so far; NULL: none
    bool reply_failed; // its status is "error"
} px_request_object;

typedef struct px_queue {
    px_letter *first, *last;
} px_queue;

// px_shell is a shell as its own thread sees it, the main one or a subshell: what waits there and
// what runs (pump.c, shell.c). Guarded by the GIL.
typedef struct px_shell {
    struct px_shell *next; // of the subshells that have a thread
    px_subshell *subshell; // a reference; NULL: the main shell
    px_mailbox *inbox;     // these three belong to the kernel, or to subshell
    px_waiting *waiting;
    atomic_bool *blocked;
    px_queue requests, control;
    px_request_object *async; // its handler is a task that has not ended
    PyObject *task;           // that task
    PyObject *cancel;         // interrupt_async
    PyObject *parent;         // px_parent_object of the request that runs or ran last
    bool busy;
    bool aborting; // execute requests are answered `aborted`
    bool nudged;
    bool armed; // SIGINT interrupts; stays so from one small request to the next. The main shell's
    // of subshells only
    PyObject *loop;       // asyncio's
    unsigned long thread; // as Python numbers it
    uint64_t begun;       // when the last request began, in the order of all
    bool open;            // user code runs: an interrupt may raise
    bool interrupted;     // one waits for that
    bool raised;          // an interrupt was raised in its thread, which may not have met it yet
    bool cancelling;      // its async cell is to be cancelled by the loop, which has not come to it
    bool ended;           // it was deleted, or the kernel ends
} px_shell;

typedef struct px_python {
    PyObject *module;
    PyTypeObject *parent_type, *request_type, *stream_type, *buffer_type;
    PyObject *decode;     // json.loads for str
    PyObject *scan;       // what that calls; NULL: it has no such part
    PyObject *encode;     // what makes JSON of values that px_py_encode refuses: text or bytes
    PyObject *parent_var; // ContextVar of a px_parent_object
    PyObject *dispatch;   // set_dispatch
    PyObject *exit;       // set_exit
    PyObject *settle;     // set_subshells
    PyObject *current;    // px_parent_object of the request that output of nobody else belongs to
    px_shell main;        // the main thread's
    px_shell *subshells;  // those that have a thread
    bool started;
} px_python;

extern px_python px_py;

// px_py_kernel is the kernel of this process, or NULL with RuntimeError.
px_kernel *px_py_kernel(void);
// px_py_is_child tells if this process was forked off the kernel. No GIL needed.
bool px_py_is_child(void);

// message.c
int px_py_message_init(PyObject *module);
PyObject *px_py_parent_new(px_parent *parent); // references parent
// px_py_parent_of gives the px_parent of a Parent, of None (NULL), or the current one when object
// is NULL. Borrowed: lives as long as *ret_hold, which the caller drops. -1 with TypeError for
// anything else.
int px_py_parent_of(PyObject *object, PyObject **ret_hold, px_parent **ret_parent);
// px_py_current gives a new reference to the Parent that output belongs to here, or None.
PyObject *px_py_current(void);
px_request_object *px_py_request_new(px_request *request); // takes request
// px_py_reply gives a request its reply, instead of one given before. Takes content and metadata
// (NULL: none), and what is in frames.
void px_py_reply(px_request_object *self, px_bytes *content, px_bytes *metadata, px_frames *frames);
PyObject *px_py_json(px_slice text); // parsed
// px_py_bytes makes px_bytes of an object with a buffer: small ones copied, large ones referenced.
px_bytes *px_py_bytes(PyObject *object);
// px_py_text_bytes lends the bytes of an ASCII string.
px_bytes *px_py_text_bytes(PyObject *text, px_slice slice);
// px_py_json_bytes makes px_bytes of bytes (as they are) or of anything else (as JSON); NULL with
// an exception.
px_bytes *px_py_json_bytes(PyObject *object);
// px_py_frames appends the buffers of a sequence.
int px_py_frames(PyObject *sequence, px_frames *frames);
// px_py_release_some drops the Python buffers that have been sent.
void px_py_release_some(void);

// encode.c
// px_py_encode makes px_bytes of a value's JSON. NULL, without an exception: the value is not for
// the quick encoder.
px_bytes *px_py_encode(PyObject *value);

// stream.c
int px_py_stream_init(PyObject *module);
// px_py_wait_for_room waits until what was printed and shown before has left; -1 with the exception
// of a signal.
int px_py_wait_for_room(px_room *room);
// px_py_child_flush writes out what streams hold in a forked child.
void px_py_child_flush(void);

// publish.c, stdin.c, pump.c, …: functions of the module
extern PyMethodDef px_py_publish_methods[], px_py_output_methods[], px_py_pump_methods[],
    px_py_stdin_methods[], px_py_side_methods[], px_py_signals_methods[], px_py_apply_methods[],
    px_py_stuck_methods[], px_py_known_methods[], px_py_timer_methods[], px_py_shell_methods[],
    px_py_encode_methods[], px_py_printers_methods[], px_py_cellname_methods[],
    px_py_base64_methods[];

// base64.c: px_py_base64_init makes its table, once, before anything is encoded.
void px_py_base64_init(void);

// apply.c
// px_py_applies tells if px_py_apply serves a request: an apply_request in one pickle.
bool px_py_applies(const px_request_object *object);
// px_py_apply serves it as Python's dispatch would: None, the task that will answer, or NULL.
PyObject *px_py_apply(px_request_object *object);

// pump.c
// px_py_nudge has the loop of a shell call the pump again.
void px_py_nudge(px_shell *shell);

// shell.c
// px_py_shells_init is for the main thread, before Python code runs.
void px_py_shells_init(px_kernel *kernel);
// px_py_shell gives the shell that this thread serves; threads of the user's own count to the main
// one.
px_shell *px_py_shell(void);
// px_py_shell_began and px_py_shell_ended tell that a request of a shell, or none, runs from here
// on: they choose what output without an owner belongs to.
void px_py_shell_began(px_kernel *kernel, px_shell *shell, px_request_object *object);
void px_py_shell_ended(px_kernel *kernel, px_shell *shell);
// px_py_subshell_enter and px_py_subshell_leave stand around a request of a subshell: an interrupt
// in between raises in it, for a cell only inside a window, and never in the next one.
void px_py_subshell_enter(px_kernel *kernel, px_shell *shell, bool cell);
void px_py_subshell_leave(px_kernel *kernel, px_shell *shell);
// px_py_subshell_window opens or closes the window; -1 with KeyboardInterrupt when one came before.
int px_py_subshell_window(px_shell *shell, bool open);
// px_py_shell_absorb takes away the exception of an interrupt that was set in this thread and has
// not arrived: for who raises it himself.
void px_py_shell_absorb(void);
// px_py_subshells_interrupt interrupts what runs in subshells. Main thread.
void px_py_subshells_interrupt(px_kernel *kernel);
// px_py_subshells_settle has threads of subshells begin, and waits for those that end, if there are
// any: so that the next cell finds what was asked for before it.
void px_py_subshells_settle(px_kernel *kernel);

// answers.c
// px_py_status makes the message that a request is busy, or idle; px_py_link chains entries (NULLs
// left out).
px_out *px_py_status(px_parent *parent, bool busy);
px_out *px_py_link(px_out *const *outs, size_t n);
// px_py_reply_of makes a reply of C's own; status is what its metadata says.
px_out *px_py_reply_of(const px_request *request, px_slice content, const char *status);
// px_py_error_reply makes the reply to a request whose handler raised error, or (NULL) gave none.
px_out *px_py_error_reply(const px_request *request, PyObject *error);
// px_py_take_error gives the exception that is set, logged; NULL when none is.
PyObject *px_py_take_error(const char *event);

// known.c: px_py_known_update tells px-io the names of the namespace; a cell has ended.
void px_py_known_update(void);

// signals.c
int px_py_signals_init(void);
// px_py_signals_arm: a request begins; SIGINT is KeyboardInterrupt, for a cell only inside a
// window.
void px_py_signals_arm(bool cell);
void px_py_signals_async(void); // it awaits: SIGINT cancels
// px_py_signals_fence: it has ended; SIGINT is nothing again, and what was on its way is swallowed.
void px_py_signals_fence(void);
// px_py_signals_hold keeps SIGINT until px_py_signals_release, which delivers it when deliver is
// set. Around a fork; in another thread than the main one nothing happens.
void px_py_signals_hold(void);
void px_py_signals_release(bool deliver);

// forked.c
void px_py_forked_init(px_kernel *kernel);
// px_py_forked_hooks holds SIGINT while Python forks. Once, after everybody else has registered
// hooks; -1 with an exception.
int px_py_forked_hooks(void);

// api.c
int px_py_api_init(PyObject *module);

// px_py_log_exception writes the exception that is set, with its traceback, to the terminal the
// kernel was started from, and clears it.
void px_py_log_exception(const char *event);

#endif
