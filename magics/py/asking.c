// asking.c: a question of an engine, put to the person at this end.
//
// Whoever waits for a task answers its questions; the main thread, where a person can be asked
// anywhere, those of all tasks of the connection. How a person is asked is Python's affair
// (pxparallel/asking.py). After an answer the same engine is given a moment for its next question
// before another one has its turn: who debugs stays with one engine.

#include "module.h"

#include <unistd.h>

#define NEXT_QUESTION_NS (200 * PX_NS_PER_MS)

px_asks px_asks_here(const px_want *want)
{
    bool all = want->task == NULL || gettid() == getpid();
    return want->asks == PX_ASKS_ALL && !all ? PX_ASKS_OWN : want->asks;
}

// ask_person gives what was typed, or NULL with an exception.
static PyObject *ask_person(const px_question *question)
{
    PyObject *module = PyImport_ImportModule("pxparallel.asking");
    if (module == NULL) {
        return NULL;
    }
    PyObject *answer = PyObject_CallMethod(
        module, "ask", "Is#Os#", question->engine,
        question->prompt.size > 0 ? (const char *)question->prompt.data : "",
        (Py_ssize_t)question->prompt.size, question->password ? Py_True : Py_False,
        question->said.size > 0 ? (const char *)question->said.data : "",
        (Py_ssize_t)question->said.size);
    Py_DECREF(module);
    if (answer != NULL && !PyUnicode_Check(answer)) {
        (void)PyErr_Format(PyExc_TypeError, "an answer is a string, not %.100s",
                           Py_TYPE(answer)->tp_name);
        Py_CLEAR(answer);
    }
    return answer;
}

// refuse tells the engine what was wrong with asking, and clears it.
static void refuse(px_client *client, px_question *question)
{
    PyObject *type = NULL;
    PyObject *value = NULL;
    PyObject *trace = NULL;
    px_task *task = question->task;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *text = value != NULL ? PyObject_Str(value) : NULL;
    const char *why = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    (void)px_client_refuse(client, question, why != NULL ? why : "");
    px_task_unref(task);
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
}

// stay gives the engine that was answered a moment for its next question.
static void stay(px_client *client, px_task *task, uint32_t slot)
{
    const px_want next = {.task = task, .slot = (int32_t)slot, .asks = PX_ASKS_SLOT};
    Py_BEGIN_ALLOW_THREADS;
    (void)px_client_wait(client, &next, px_now() + NEXT_QUESTION_NS, -1);
    Py_END_ALLOW_THREADS;
}

int px_ask_python(px_client *client, px_question *question)
{
    PyObject *answer = ask_person(question);
    if (answer == NULL && PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        px_client_unasked(client, question);
        return -1;
    }
    Py_ssize_t size = 0;
    const char *text = answer != NULL ? PyUnicode_AsUTF8AndSize(answer, &size) : NULL;
    if (text == NULL) {
        Py_XDECREF(answer);
        refuse(client, question);
        return 0;
    }
    px_task *task = px_task_ref(question->task);
    uint32_t slot = question->slot;
    (void)px_client_answer(client, question, px_slice_of(text, (size_t)size)); // its end shows
    Py_DECREF(answer);
    stay(client, task, slot);
    px_task_unref(task);
    return 0;
}
