// hub.c: what clients ask of ipyparallel's hub, and what it tells them unasked.

#include "front.h"

#include <utlist.h>

#include <stdio.h>
#include <stdlib.h>

// asking is one request to the hub: its reply's content is written into w, inside an object that
// begins with status ok. ename set: an error instead.
typedef struct asking {
    px_front *front;
    const px_json *content;
    px_jsonw *w;
    const char *ename;
    char evalue[256];
    px_bytes **buffers;
    size_t n_buffers;
} asking;

static void fail(asking *a, const char *ename, const char *text, const char *what)
{
    a->ename = ename;
    (void)snprintf(a->evalue, sizeof(a->evalue), "%s%.128s", text, what);
}

static void write_id_key(px_jsonw *w, uint32_t id)
{
    char key[16];
    (void)snprintf(key, sizeof(key), "%u", id);
    px_jsonw_key(w, key);
}

static void connection_request(asking *a)
{
    px_worker *worker, *next;
    px_jsonw_key(a->w, "engines");
    px_jsonw_object(a->w);
    HASH_ITER (by_id, a->front->workers_by_id, worker, next) {
        if (worker->alive) {
            write_id_key(a->w, worker->id);
            px_jsonw_string(a->w, worker->uuid);
        }
    }
    px_jsonw_end_object(a->w);
}

// --- queues --------------------------------------------------------------------------------------

typedef enum state { QUEUED, COMPLETED, TASKS } state;

static bool counts(const px_job *job, const px_worker *worker, state which)
{
    if (!job->recorded || job->worker != worker) {
        return false;
    }
    return which == COMPLETED ? job->done
                              : !job->done && (job->door == PX_DOOR_TASK) == (which == TASKS);
}

static void write_jobs(asking *a, const px_worker *worker, state which, bool verbose)
{
    int64_t n = 0;
    if (verbose) {
        px_jsonw_array(a->w);
    }
    for (const px_job *job = a->front->jobs; job != NULL; job = job->next) {
        if (counts(job, worker, which)) {
            n++;
            if (verbose) {
                px_jsonw_string(a->w, job->request->msg_id);
            }
        }
    }
    if (verbose) {
        px_jsonw_end_array(a->w);
    } else {
        px_jsonw_int(a->w, n);
    }
}

static void write_queues(asking *a, const px_worker *worker, bool verbose)
{
    write_id_key(a->w, worker->id);
    px_jsonw_object(a->w);
    px_jsonw_key(a->w, "queue");
    write_jobs(a, worker, QUEUED, verbose);
    px_jsonw_key(a->w, "completed");
    write_jobs(a, worker, COMPLETED, verbose);
    px_jsonw_key(a->w, "tasks");
    write_jobs(a, worker, TASKS, verbose);
    px_jsonw_end_object(a->w);
}

static const px_worker *target(const px_front *front, const px_json *json)
{
    int64_t id = px_json_as_int(json, -1);
    const px_worker *worker = px_json_is_string(json)
                                  ? px__worker_by_uuid(front, px_json_as_string(json, ""))
                              : id >= 0 && id <= UINT32_MAX ? px__worker(front, (uint32_t)id)
                                                            : NULL;
    return worker;
}

static void queue_request(asking *a)
{
    const px_json *targets = px_json_get(a->content, "targets");
    bool verbose = px_json_bool(a->content, "verbose", false);
    px_worker *worker, *next;
    if (px_json_is_array(targets)) {
        for (size_t i = 0; i < px_json_length(targets); i++) {
            const px_worker *one = target(a->front, px_json_item(targets, i));
            if (one == NULL) {
                fail(a, "IndexError", "No Such Engine", "");
                return;
            }
            write_queues(a, one, verbose);
        }
    } else if (targets != NULL && !px_json_is_null(targets)) {
        const px_worker *one = target(a->front, targets);
        if (one == NULL) {
            fail(a, "IndexError", "No Such Engine", "");
            return;
        }
        write_queues(a, one, verbose);
    } else {
        HASH_ITER (by_id, a->front->workers_by_id, worker, next) {
            write_queues(a, worker, verbose);
        }
    }
    px_jsonw_key(a->w, "unassigned");
    write_jobs(a, NULL, TASKS, verbose);
}

// --- results -------------------------------------------------------------------------------------

static void write_or_null(px_jsonw *w, const char *key, const px_buf *json)
{
    px_jsonw_key(w, key);
    if (json->size == 0) {
        px_jsonw_null(w);
    } else {
        px_jsonw_raw(w, px_buf_slice(json));
    }
}

static void write_record(asking *a, const px_job *job)
{
    px_jsonw *w = a->w;
    px_jsonw_key(w, job->request->msg_id);
    px_jsonw_object(w);
    px_jsonw_key(w, "header");
    px_jsonw_raw(w, job->request->header);
    px_jsonw_key(w, "metadata");
    px_jsonw_raw(w, job->request->metadata);
    px_jsonw_key(w, "result_metadata");
    px_jsonw_raw(w, px_buf_slice(&job->metadata));
    px_jsonw_key(w, "result_header");
    px_jsonw_raw(w, px_buf_slice(&job->header));
    px_jsonw_key(w, "result_content");
    px_jsonw_raw(w, job->reply != NULL ? job->reply->content : px_buf_slice(&job->content));
    px_jsonw_key_string(w, "received", job->received);
    px_jsonw_key(w, "io");
    px_jsonw_object(w);
    write_or_null(w, "execute_input", &job->execute_input);
    write_or_null(w, "execute_result", &job->execute_result);
    write_or_null(w, "error", &job->error);
    px_jsonw_key(w, "stdout");
    px_jsonw_slice(w, px_buf_slice(&job->stdout_text));
    px_jsonw_key(w, "stderr");
    px_jsonw_slice(w, px_buf_slice(&job->stderr_text));
    px_jsonw_end_object(w);
    px_jsonw_end_object(w);
}

static void add_buffers(asking *a, const px_job *job)
{
    size_t n = job->reply != NULL && !job->failed ? job->reply->n_buffers : 0;
    px_bytes **all = realloc(a->buffers, (a->n_buffers + n + 1) * sizeof(px_bytes *));
    if (all == NULL) {
        fail(a, "MemoryError", "out of memory", "");
        return;
    }
    a->buffers = all;
    for (size_t i = 0; i < n; i++) {
        all[a->n_buffers++] = px_frames_at(&job->reply->frames, job->reply->first_buffer + i);
    }
}

static int by_msg_id(const void *one, const void *two)
{
    const px_job *const *a = one;
    const px_job *const *b = two;
    return strcmp((*a)->request->msg_id, (*b)->request->msg_id);
}

// find_jobs: the jobs that msg_ids name, sorted, each once; NULL after fail().
static px_job **find_jobs(asking *a, size_t *ret_n)
{
    const px_json *ids = px_json_get(a->content, "msg_ids");
    size_t n = px_json_length(ids);
    size_t kept = 0;
    px_job **jobs = calloc(n + 1, sizeof(px_job *));
    for (size_t i = 0; jobs != NULL && i < n; i++) {
        const char *id = px_json_as_string(px_json_item(ids, i), "");
        jobs[i] = px__job_by_id(a->front, id);
        if (jobs[i] == NULL) {
            fail(a, "KeyError", "No such message: ", id);
            free(jobs);
            return NULL;
        }
    }
    if (jobs == NULL) {
        fail(a, "MemoryError", "out of memory", "");
        return NULL;
    }
    qsort(jobs, n, sizeof(px_job *), by_msg_id);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || jobs[kept - 1] != jobs[i]) {
            jobs[kept++] = jobs[i];
        }
    }
    *ret_n = kept;
    return jobs;
}

static void write_ids(asking *a, const char *key, px_job *const *jobs, size_t n, bool done)
{
    px_jsonw_key(a->w, key);
    px_jsonw_array(a->w);
    for (size_t i = 0; i < n; i++) {
        if (jobs[i]->done == done) {
            px_jsonw_string(a->w, jobs[i]->request->msg_id);
        }
    }
    px_jsonw_end_array(a->w);
}

static void result_request(asking *a)
{
    size_t n = 0;
    PX_AUTO_FREE px_job **jobs = find_jobs(a, &n);
    if (jobs == NULL) {
        return;
    }
    write_ids(a, "pending", jobs, n, false);
    write_ids(a, "completed", jobs, n, true);
    for (size_t i = 0; !px_json_bool(a->content, "status_only", false) && i < n; i++) {
        if (jobs[i]->done) {
            write_record(a, jobs[i]);
            add_buffers(a, jobs[i]);
        }
    }
}

static void history_request(asking *a)
{
    px_jsonw_key(a->w, "history");
    px_jsonw_array(a->w);
    for (const px_job *job = a->front->jobs; job != NULL; job = job->next) {
        if (job->recorded) {
            px_jsonw_string(a->w, job->request->msg_id);
        }
    }
    px_jsonw_end_array(a->w);
}

static bool named(const px_json *list, const px_job *job, const px_front *front)
{
    for (size_t i = 0; i < px_json_length(list); i++) {
        const px_json *item = px_json_item(list, i);
        if (strcmp(px_json_as_string(item, ""), job->request->msg_id) == 0 ||
            (job->worker != NULL && target(front, item) == job->worker)) {
            return true;
        }
    }
    return false;
}

static void purge_request(asking *a)
{
    const px_json *ids = px_json_get(a->content, "msg_ids");
    const px_json *engines = px_json_get(a->content, "engine_ids");
    bool all = strcmp(px_json_as_string(ids, ""), "all") == 0;
    px_job *job, *next;
    DL_FOREACH (a->front->jobs, job) {
        if (!job->done && job->recorded && named(ids, job, a->front)) {
            fail(a, "IndexError", "msg pending: ", job->request->msg_id);
            return;
        }
    }
    DL_FOREACH_SAFE (a->front->jobs, job, next) {
        if (job->done && job->recorded &&
            (all || named(ids, job, a->front) || named(engines, job, a->front))) {
            px__job_forget(a->front, job);
        }
    }
}

static void resubmit_request(asking *a)
{
    size_t n = 0;
    PX_AUTO_FREE px_job **jobs = find_jobs(a, &n);
    if (jobs == NULL) {
        return;
    }
    px_jsonw_key(a->w, "resubmitted");
    px_jsonw_object(a->w);
    for (size_t i = 0; i < n; i++) {
        const char *id = px__door_resubmit(a->front, jobs[i]);
        if (id == NULL) {
            fail(a, "MemoryError", "out of memory", "");
            return;
        }
        px_jsonw_key_string(a->w, jobs[i]->request->msg_id, id);
    }
    px_jsonw_end_object(a->w);
}

static void db_request(asking *a)
{
    px_err err = px__db_query(a->front, a->content, a->w, &a->buffers, &a->n_buffers);
    if (err != PX_OK) {
        fail(a, err == PX_EINVAL ? "KeyError" : "MemoryError", "the query cannot be answered", "");
    }
}

static void shutdown_request(asking *a)
{
    const px_outgoing outgoing = {.msg_type = "shutdown_notification",
                                  .content = PX_SLICE_LITERAL("{\"status\":\"ok\"}")};
    (void)px__send(a->front, PX_DOOR_NOTIFICATION, NULL, NULL, &outgoing);
    (void)px__inside_ask(a->front, "shutdown_request",
                         PX_SLICE_LITERAL("{\"engines\":\"all\",\"hub\":true}"));
}

// --- dispatch ------------------------------------------------------------------------------------

static const struct {
    const char *request, *reply;
    void (*answer)(asking *a);
} answers[] = {
    {"connection_request", "connection_reply", connection_request},
    {"queue_request", "queue_reply", queue_request},
    {"result_request", "result_reply", result_request},
    {"history_request", "history_reply", history_request},
    {"purge_request", "purge_reply", purge_request},
    {"resubmit_request", "resubmit_reply", resubmit_request},
    {"db_request", "db_reply", db_request},
    {"shutdown_request", "shutdown_reply", shutdown_request},
};

static void write_error(px_buf *out, const asking *a)
{
    px_jsonw w = px_jsonw_to(out);
    px_buf_clear(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "error");
    px_jsonw_key_string(&w, "ename", a->ename);
    px_jsonw_key_string(&w, "evalue", a->evalue);
    px_jsonw_key(&w, "traceback");
    px_jsonw_array(&w);
    px_jsonw_end_array(&w);
    px_jsonw_key(&w, "engine_info");
    px_jsonw_object(&w);
    px_jsonw_end_object(&w);
    px_jsonw_end_object(&w);
}

void px__hub_message(px_front *front, const px_message *message)
{
    PX_AUTO(px_json) content = NULL;
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    asking a = {.front = front, .w = &w};
    const char *reply = "hub_error";
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "ok");
    if (px_json_parse(message->content, &content, NULL) != PX_OK) {
        fail(&a, "ValueError", "the content is not JSON", "");
    }
    a.content = content;
    a.ename = content != NULL ? NULL : a.ename;
    bool known = false;
    for (size_t i = 0; content != NULL && i < sizeof(answers) / sizeof(answers[0]); i++) {
        if (strcmp(message->msg_type, answers[i].request) == 0) {
            known = true;
            reply = answers[i].reply;
            answers[i].answer(&a);
        }
    }
    if (content != NULL && !known) {
        fail(&a, "NotImplementedError", "a pxkernel cluster does not serve ", message->msg_type);
    }
    px_jsonw_end_object(&w);
    if (a.ename != NULL) {
        write_error(&out, &a);
        a.n_buffers = 0;
    }
    const px_outgoing outgoing = {.msg_type = reply,
                                  .parent = message->header,
                                  .content = px_buf_slice(&out),
                                  .buffers = a.buffers,
                                  .n_buffers = a.n_buffers};
    (void)px__send(front, PX_DOOR_HUB, message, NULL, &outgoing); // a client that left is no error
    free(a.buffers);
}

void px__hub_notify(px_front *front, const char *msg_type, const px_worker *worker)
{
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    px_jsonw_object(&w);
    px_jsonw_key_int(&w, "id", worker->id);
    px_jsonw_key_string(&w, "uuid", worker->uuid);
    px_jsonw_end_object(&w);
    const px_outgoing outgoing = {.msg_type = msg_type, .content = px_buf_slice(&out)};
    (void)px__send(front, PX_DOOR_NOTIFICATION, NULL, NULL, &outgoing); // nobody there is no error
}
