// submit.c: Connection.submit: Python's arguments made into a px_submission.

#include "module.h"

#include <stdlib.h>
#include <string.h>

// From this many bytes of content and buffers on, submit lets go of the GIL while it copies and
// sends.
enum { LET_GO = 1 << 18 };

// arguments of submit, borrowed but for buffers.
typedef struct arguments {
    const char *msg_type;
    PyObject *targets;
    PyObject *content;
    PyObject *metadata;
    PyObject *buffers;
    const char *output;
    const char *label;
    int prefix;
    int init;
    int balanced;
    unsigned int retries;
    double timeout;
    PyObject *after;
    PyObject *follow;
    int after_rule;
    int follow_rule;
    const char *fetch;
} arguments;

static int check(const arguments *given)
{
    if (strcmp(given->output, "keep") != 0 && strcmp(given->output, "stream") != 0) {
        (void)PyErr_Format(PyExc_ValueError, "output is 'keep' or 'stream', not '%s'",
                           given->output);
        return -1;
    }
    if (!(given->timeout >= 0 && given->timeout < 4e6)) {
        PyErr_SetString(PyExc_ValueError, "timeout must be a number of seconds, 0 for none");
        return -1;
    }
    const int rules = PX_TERMS_ANY | PX_TERMS_SUCCESS | PX_TERMS_FAILURE;
    if ((given->after_rule & ~rules) != 0 || (given->follow_rule & ~rules) != 0) {
        PyErr_SetString(PyExc_ValueError, "a rule is a sum of 1 (any), 2 (success), 4 (failure)");
        return -1;
    }
    if (given->fetch != NULL && !given->balanced) {
        PyErr_SetString(PyExc_ValueError, "what is fetched is a balanced task");
        return -1;
    }
    bool depends = given->after != NULL || given->follow != NULL;
    if (!given->balanced && (depends || given->retries != 0 || given->timeout > 0)) {
        PyErr_SetString(PyExc_ValueError,
                        "retries, timeout, after and follow are for balanced tasks");
        return -1;
    }
    return 0;
}

static int parse(PyObject *args, PyObject *kwargs, arguments *ret)
{
    static char *names[] = {"msg_type",    "targets", "content", "metadata", "buffers",
                            "output",      "label",   "prefix",  "init",     "balanced",
                            "retries",     "timeout", "after",   "follow",   "after_rule",
                            "follow_rule", "fetch",   NULL};
    *ret = (arguments){.output = "keep", .label = "", .prefix = 1};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "sO|S$SOsspppIdOOiiz:submit", names, &ret->msg_type, &ret->targets,
            &ret->content, &ret->metadata, &ret->buffers, &ret->output, &ret->label, &ret->prefix,
            &ret->init, &ret->balanced, &ret->retries, &ret->timeout, &ret->after, &ret->follow,
            &ret->after_rule, &ret->follow_rule, &ret->fetch)) {
        return -1;
    }
    return check(ret);
}

px_slice px_json_or_empty(PyObject *bytes)
{
    if (bytes == NULL) {
        return PX_SLICE_LITERAL("{}");
    }
    return px_slice_of(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

// take_targets gives a list of engine ids to free, or NULL with an exception.
static uint32_t *take_targets(PyObject *sequence, uint32_t *ret_n)
{
    PyObject *fast = PySequence_Fast(sequence, "targets must be a sequence of engine ids");
    if (fast == NULL) {
        return NULL;
    }
    Py_ssize_t n = PySequence_Fast_GET_SIZE(fast);
    uint32_t *ids = malloc(((size_t)n + 1) * sizeof *ids);
    if (ids == NULL) {
        Py_DECREF(fast);
        (void)PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        unsigned long id = PyLong_AsUnsignedLong(PySequence_Fast_GET_ITEM(fast, i));
        if (id > UINT32_MAX) {
            if (!PyErr_Occurred()) {
                (void)PyErr_Format(PyExc_ValueError, "%lu is no engine's id", id);
            }
            free(ids);
            Py_DECREF(fast);
            return NULL;
        }
        ids[i] = (uint32_t)id;
    }
    Py_DECREF(fast);
    *ret_n = (uint32_t)n;
    return ids;
}

// px_byteses is a list of references.
typedef struct byteses {
    px_bytes **items;
    size_t n;
    size_t size; // of all together
} byteses;

static void byteses_done(byteses *list)
{
    for (size_t i = 0; i < list->n; i++) {
        px_bytes_unref(list->items[i]);
    }
    free(list->items);
    px_buffers_release();
}

static int take_buffers(PyObject *sequence, byteses *ret)
{
    *ret = (byteses){0};
    if (sequence == NULL) {
        return 0;
    }
    PyObject *fast = PySequence_Fast(sequence, "buffers must be a sequence");
    if (fast == NULL) {
        return -1;
    }
    Py_ssize_t n = PySequence_Fast_GET_SIZE(fast);
    int result = 0;
    ret->items = calloc((size_t)n + 1, sizeof *ret->items);
    if (ret->items == NULL) {
        (void)PyErr_NoMemory();
        result = -1;
    }
    for (Py_ssize_t i = 0; result == 0 && i < n; i++) {
        px_bytes *bytes = px_buffer_take(PySequence_Fast_GET_ITEM(fast, i));
        if (bytes == NULL) {
            result = -1;
            break;
        }
        ret->items[ret->n++] = bytes;
        ret->size += px_bytes_slice(bytes).size;
    }
    Py_DECREF(fast);
    return result;
}

// kernel_api is the kernel's capsule when there is a kernel in this process, else NULL. It is never
// imported for us.
static const px_kernel_api *kernel_api(px_module *module)
{
    if (module->api != NULL) {
        return module->api;
    }
    PyObject *modules = PyImport_GetModuleDict(); // borrowed
    if (PyDict_GetItemString(modules, "pxkernel._kernel") == NULL) {
        return NULL;
    }
    const px_kernel_api *api = PyCapsule_Import(PX_KERNEL_API_NAME, 0);
    if (api == NULL) {
        PyErr_Clear(); // a kernel without it: outputs are queued
        return NULL;
    }
    module->api = api->version == PX_KERNEL_API_VERSION ? api : NULL;
    return module->api;
}

static PyObject *send(PyObject *object, px_client *client, px_submission *submission, size_t size)
{
    px_module *module = px_module_of(Py_TYPE(object));
    if (submission->shows) {
        submission->api = kernel_api(module);
        submission->parent = submission->api != NULL ? submission->api->parent_current() : NULL;
    }
    px_task *task = NULL;
    px_error error = {0};
    PyThreadState *let_go = size >= LET_GO ? PyEval_SaveThread() : NULL;
    px_err err = px_client_submit(client, submission, &task, &error);
    if (let_go != NULL) {
        PyEval_RestoreThread(let_go);
    }
    if (err != PX_OK) {
        if (submission->parent != NULL) {
            submission->api->parent_unref(submission->parent);
        }
        return px_raise(module, err, &error);
    }
    return px_task_wrap(module, task, object);
}

// tasks is a list of task numbers, after and follow behind each other.
typedef struct tasks {
    uint64_t *numbers;
    uint32_t n;
} tasks;

// take_tasks appends the numbers of a sequence, which may be NULL; ret_n says how many.
static int take_tasks(PyObject *sequence, tasks *list, uint32_t *ret_n)
{
    if (sequence == NULL) {
        return 0;
    }
    PyObject *fast = PySequence_Fast(sequence, "after and follow must be sequences of task ids");
    if (fast == NULL) {
        return -1;
    }
    Py_ssize_t n = PySequence_Fast_GET_SIZE(fast);
    if (n > PX_TERMS_MAX_TASKS) {
        Py_DECREF(fast);
        (void)PyErr_Format(PyExc_ValueError, "a task can depend on %d others, not on %zd",
                           PX_TERMS_MAX_TASKS, n);
        return -1;
    }
    uint64_t *numbers = realloc(list->numbers, (list->n + (size_t)n + 1) * sizeof *numbers);
    if (numbers == NULL) {
        Py_DECREF(fast);
        (void)PyErr_NoMemory();
        return -1;
    }
    list->numbers = numbers;
    int result = 0;
    for (Py_ssize_t i = 0; result == 0 && i < n; i++) {
        unsigned long long number = PyLong_AsUnsignedLongLong(PySequence_Fast_GET_ITEM(fast, i));
        result = number == (unsigned long long)-1 && PyErr_Occurred() ? -1 : 0;
        list->numbers[list->n++] = number;
    }
    Py_DECREF(fast);
    *ret_n = (uint32_t)n;
    return result;
}

// take_terms makes the terms of a balanced task that asks for some.
static int take_terms(const arguments *given, px_terms *terms, tasks *list)
{
    *terms = (px_terms){.retries = given->retries,
                        .timeout_ms = (uint32_t)(given->timeout * 1000 + 0.5),
                        .after_rule = (uint8_t)given->after_rule,
                        .follow_rule = (uint8_t)given->follow_rule};
    return take_tasks(given->after, list, &terms->n_after) == 0 &&
                   take_tasks(given->follow, list, &terms->n_follow) == 0
               ? 0
               : -1;
}

static bool has_terms(const px_terms *terms)
{
    return terms->retries != 0 || terms->timeout_ms != 0 || terms->n_after != 0 ||
           terms->n_follow != 0;
}

PyObject *px_connection_submit(PyObject *object, PyObject *args, PyObject *kwargs)
{
    arguments given;
    px_client *client = px_client_of(object);
    if (client == NULL || parse(args, kwargs, &given) != 0) {
        return NULL;
    }
    uint32_t n_targets = 0;
    uint32_t *targets = take_targets(given.targets, &n_targets);
    if (targets == NULL) {
        return NULL;
    }
    byteses buffers = {0};
    tasks others = {0};
    px_terms terms;
    PyObject *task = NULL;
    if (take_terms(&given, &terms, &others) == 0 && take_buffers(given.buffers, &buffers) == 0) {
        px_submission submission = {.msg_type = given.msg_type,
                                    .targets = targets,
                                    .n_targets = n_targets,
                                    .content = px_json_or_empty(given.content),
                                    .metadata = px_json_or_empty(given.metadata),
                                    .buffers = buffers.items,
                                    .n_buffers = buffers.n,
                                    .label = given.label,
                                    .shows = strcmp(given.output, "stream") == 0,
                                    .prefix = given.prefix != 0,
                                    .init = given.init != 0 && given.balanced == 0,
                                    .balanced = given.balanced != 0,
                                    .fetch = given.fetch,
                                    .terms = has_terms(&terms) ? &terms : NULL,
                                    .tasks = others.numbers};
        task = send(object, client, &submission, buffers.size + submission.content.size);
    }
    byteses_done(&buffers);
    free(others.numbers);
    free(targets);
    return task;
}
