// submit.c: Connection.submit: Python's arguments made into a px_submission.

#include "module.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

// From this many bytes of content and buffers on, submit lets go of the GIL while it copies and
// sends.
enum { LET_GO = 1 << 18 };

// The arguments of submit, in their order: three by position or name, the others by name.
enum {
    MSG_TYPE,
    TARGETS,
    CONTENT,
    METADATA,
    BUFFERS,
    OUTPUT,
    LABEL,
    PREFIX,
    INIT,
    BALANCED,
    RETRIES,
    TIMEOUT,
    AFTER,
    FOLLOW,
    AFTER_RULE,
    FOLLOW_RULE,
    FETCH,
    N_ARGUMENTS
};

static const char *const names[N_ARGUMENTS] = {
    "msg_type", "targets", "content",    "metadata",    "buffers", "output",
    "label",    "prefix",  "init",       "balanced",    "retries", "timeout",
    "after",    "follow",  "after_rule", "follow_rule", "fetch"};

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

// number_of is where the argument of that name stands; N_ARGUMENTS: there is none. Python's own
// parser makes a string of each name anew for each call, which took a fifth of a submission. The
// names that a caller's code holds are interned, as ours are, so the first loop finds them.
static size_t number_of(PyObject *name)
{
    static PyObject *interned[N_ARGUMENTS]; // for good
    for (size_t i = 0; i < N_ARGUMENTS; i++) {
        if (interned[i] == NULL) {
            interned[i] = PyUnicode_InternFromString(names[i]);
        }
        if (interned[i] == name) {
            return i;
        }
    }
    for (size_t i = 0; i < N_ARGUMENTS; i++) {
        if (PyUnicode_CompareWithASCIIString(name, names[i]) == 0) {
            return i;
        }
    }
    return N_ARGUMENTS;
}

// sort puts the arguments of a call in their places.
static int sort(PyObject *const *args, Py_ssize_t n, PyObject *keywords,
                PyObject *values[N_ARGUMENTS])
{
    if (n > METADATA) {
        PyErr_SetString(PyExc_TypeError, "submit() takes 3 positional arguments, then keywords");
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        values[i] = args[i];
    }
    Py_ssize_t n_keywords = keywords != NULL ? PyTuple_GET_SIZE(keywords) : 0;
    for (Py_ssize_t i = 0; i < n_keywords; i++) {
        PyObject *name = PyTuple_GET_ITEM(keywords, i);
        size_t number = number_of(name);
        if (number == N_ARGUMENTS || values[number] != NULL) {
            (void)PyErr_Format(PyExc_TypeError, "submit() got an argument %R that it %s", name,
                               number == N_ARGUMENTS ? "does not know" : "has already");
            return -1;
        }
        values[number] = args[n + i];
    }
    if (values[MSG_TYPE] == NULL || values[TARGETS] == NULL) {
        PyErr_SetString(PyExc_TypeError, "submit() needs msg_type and targets");
        return -1;
    }
    return 0;
}

// The takers leave *ret as it is where the argument was not given.
static int take_text(PyObject *value, const char **ret)
{
    if (value == NULL) {
        return 0;
    }
    *ret = PyUnicode_AsUTF8(value);
    return *ret != NULL ? 0 : -1;
}

static int take_bytes(PyObject *value, PyObject **ret)
{
    if (value != NULL && !PyBytes_Check(value)) {
        (void)PyErr_Format(PyExc_TypeError, "content and metadata are bytes, not %.100s",
                           Py_TYPE(value)->tp_name);
        return -1;
    }
    *ret = value;
    return 0;
}

static int take_truth(PyObject *value, int *ret)
{
    *ret = value == NULL ? *ret : PyObject_IsTrue(value);
    return *ret < 0 ? -1 : 0;
}

static int take_int(PyObject *value, int *ret)
{
    long number = value == NULL ? *ret : PyLong_AsLong(value);
    if (number == -1 && PyErr_Occurred()) {
        return -1;
    }
    *ret = number < INT_MIN || number > INT_MAX ? -1 : (int)number;
    return 0;
}

static int take_count(PyObject *value, unsigned int *ret)
{
    unsigned long number = value == NULL ? 0 : PyLong_AsUnsignedLong(value);
    if (number == (unsigned long)-1 && PyErr_Occurred()) {
        return -1;
    }
    *ret = number > UINT_MAX ? UINT_MAX : (unsigned int)number;
    return 0;
}

static int take_double(PyObject *value, double *ret)
{
    *ret = value == NULL ? *ret : PyFloat_AsDouble(value);
    return *ret == -1 && PyErr_Occurred() ? -1 : 0;
}

static int parse(PyObject *const *args, Py_ssize_t n, PyObject *keywords, arguments *ret)
{
    PyObject *v[N_ARGUMENTS] = {NULL};
    if (sort(args, n, keywords, v) != 0) {
        return -1;
    }
    *ret = (arguments){.targets = v[TARGETS],
                       .buffers = v[BUFFERS],
                       .after = v[AFTER],
                       .follow = v[FOLLOW],
                       .output = "keep",
                       .label = "",
                       .prefix = 1};
    if (take_text(v[MSG_TYPE], &ret->msg_type) != 0 || take_text(v[OUTPUT], &ret->output) != 0 ||
        take_text(v[LABEL], &ret->label) != 0 ||
        take_text(v[FETCH] == Py_None ? NULL : v[FETCH], &ret->fetch) != 0 ||
        take_bytes(v[CONTENT], &ret->content) != 0 ||
        take_bytes(v[METADATA], &ret->metadata) != 0 || take_truth(v[PREFIX], &ret->prefix) != 0 ||
        take_truth(v[INIT], &ret->init) != 0 || take_truth(v[BALANCED], &ret->balanced) != 0 ||
        take_count(v[RETRIES], &ret->retries) != 0 || take_double(v[TIMEOUT], &ret->timeout) != 0 ||
        take_int(v[AFTER_RULE], &ret->after_rule) != 0 ||
        take_int(v[FOLLOW_RULE], &ret->follow_rule) != 0) {
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

PyObject *px_connection_submit(PyObject *object, PyObject *const *args, Py_ssize_t n,
                               PyObject *keywords)
{
    arguments given;
    px_client *client = px_client_of(object);
    if (client == NULL || parse(args, n, keywords, &given) != 0) {
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
