// submit.c: requests on their way out, sent by the thread that makes them.
//
// One message goes to the controller whatever the number of targets; it fans out. The task is in
// the table before the message leaves, because the reply may be there before px_link_send returns.
// Large buffers are copied into segments before anything is locked.
//
// A system call for each request, and a controller woken by each, is what a flood of small requests
// costs. So while many are unanswered (nobody is kept waiting by that: the engines have work)
// requests are kept back and leave together: when enough have gathered, when somebody waits, or
// after a fraction of a millisecond.

#include "io/internal.h"

#include "px/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

enum {
    MAX_BUFFERS = PX_LINK_MAX_FRAMES - PX_AT_BUFFERS - 1,
    BUSY = 2,            // from so many open tasks on, requests may leave together
    PUSH_NS = 500 * 1000 // the last ones of a burst leave by themselves
};

void px__push(px_client *client)
{
    atomic_store(&client->keeps, false);
    (void)pthread_mutex_lock(&client->sending);
    if (client->work != NULL) {
        (void)px_link_push(client->work); // a link that ended shows when it is read
    }
    (void)pthread_mutex_unlock(&client->sending);
}

// send_later sends when there is more to send, when somebody waits, or when px-client's timer says
// so; setting that wakes nobody now. sending held.
static px_err send_later(px_client *client, const px_frames *frames)
{
    px_err err = px_link_send_later(client->work, frames);
    if (!atomic_exchange(&client->keeps, true)) {
        const struct itimerspec soon = {.it_value = {.tv_nsec = PUSH_NS}};
        (void)timerfd_settime(client->push, 0, &soon, NULL); // a valid time
    }
    return err;
}

px_err px__compose(px_client *client, const px_route *route, const uint32_t *engines,
                   const px_outgoing *outgoing, px_frames *frames)
{
    PX_TRY(px_route_push(frames, route, engines));
    return px_session_compose(client->composer, outgoing, frames);
}

// task_new makes a task with its slots, and its own copy of the targets behind them.
static px_err task_new(px_client *client, const px_submission *submission, px_task **ret_task,
                       px_error *reterr)
{
    uint32_t n = submission->balanced ? 1 : submission->n_targets;
    size_t size = sizeof(px_task) + n * (sizeof(px_slot) + sizeof(uint32_t));
    px_task *task = calloc(1, size);
    if (task == NULL) {
        (void)px_error_set(reterr, PX_ENOMEM, "no memory for a task with %u targets", n);
        return PX_ENOMEM;
    }
    task->slots = (px_slot *)(void *)(task + 1);
    uint32_t *engines = (uint32_t *)(void *)(task->slots + n);
    if (submission->balanced) {
        task->own_engine = PX_NO_ENGINE;
        engines = &task->own_engine;
    } else {
        memcpy(engines, submission->targets, n * sizeof *engines);
    }
    uint32_t twice = 0;
    px_err err = px_targets_init(&task->targets, engines, n, &twice);
    if (err == PX_OK && submission->label != NULL && submission->label[0] != '\0') {
        task->label = strdup(submission->label);
        err = task->label == NULL ? PX_ENOMEM : PX_OK;
    }
    if (err != PX_OK) {
        free(task);
        (void)(err == PX_EEXIST
                   ? px_error_set(reterr, PX_EINVAL, "engine %u is named twice in the targets",
                                  twice)
                   : px_error_set(reterr, err, "no memory for a task with %u targets", n));
        return err == PX_EEXIST ? PX_EINVAL : err;
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    task->submitted = (double)now.tv_sec + (double)now.tv_nsec / (double)PX_NS_PER_S;
    task->client = px_client_ref(client);
    task->balanced = submission->balanced;
    task->fetched = submission->fetch != NULL;
    task->shows = submission->shows;
    task->prefix = submission->prefix;
    task->api = submission->shows && submission->parent != NULL ? submission->api : NULL;
    task->done_fd = -1;
    task->refs = 1;
    *ret_task = task;
    return PX_OK;
}

static px_err check(const px_submission *submission, px_error *reterr)
{
    if (submission->n_targets == 0 && !submission->balanced) {
        return px_error_set(reterr, PX_EINVAL,
                            "no targets: the view has no engine (is one registered? see "
                            "Client.ids, or `pxcluster status`)");
    }
    if (submission->n_targets > PX_ROUTE_MAX_ENGINES) {
        return px_error_set(reterr, PX_EINVAL, "%u targets are more than %d", submission->n_targets,
                            PX_ROUTE_MAX_ENGINES);
    }
    if (submission->fetch != NULL && strlen(submission->fetch) >= PX_MSG_ID_SIZE) {
        return px_error_set(reterr, PX_EINVAL, "there can be no task with an id as long as %.80s…",
                            submission->fetch);
    }
    if (submission->n_buffers > MAX_BUFFERS) {
        return px_error_set(reterr, PX_EINVAL,
                            "%zu buffers are more than a message can have (%d): pickle small "
                            "arrays in-band",
                            submission->n_buffers, (int)MAX_BUFFERS);
    }
    return PX_OK;
}

// parts is what goes with a request: its buffers, and the loan of its segments or NULL.
typedef struct parts {
    const px_frames *buffers;
    px_loan *loan;
} parts;

// enter puts the task into the table, with the table's own reference. ret_busy tells that many
// others are on their way. sending held.
static px_err enter(px_client *client, px_task *task, bool *ret_busy, px_error *reterr)
{
    px_err err = PX_OK;
    (void)pthread_mutex_lock(&client->lock);
    if (client->closed) {
        err = px_error_set(reterr, PX_ECLOSED, "%.*s", (int)client->reason.size,
                           (char *)client->reason.data);
    } else {
        *ret_busy = client->n_open >= BUSY;
        task->entry.id = ++client->last_task;
        err = px_pending_add(&client->pending, &task->entry);
        if (err == PX_OK) {
            task->indexed = true;
            client->n_open++;
            task->refs++;
        }
    }
    (void)pthread_mutex_unlock(&client->lock);
    return err;
}

// retreat takes a task back that could not be sent. It is untouched if the connection has ended
// meanwhile: then its slots were filled, and the caller learns the same.
static void retreat(px_client *client, px_task *task)
{
    px_task *done = NULL;
    (void)pthread_mutex_lock(&client->lock);
    (void)px_pending_remove(&client->pending, &task->entry);
    task->indexed = false;
    for (uint32_t i = 0; i < task->targets.n; i++) {
        if (task->slots[i].state == PX_SLOT_PENDING) {
            px__fill_lost(task, i, "the request could not be sent", &done);
        }
    }
    (void)pthread_mutex_unlock(&client->lock);
    px__settle(done);
}

// push takes frame, or drops it when it cannot be pushed.
static px_err push(px_frames *frames, px_bytes *frame)
{
    px_err err = px_frames_push(frames, frame);
    if (err != PX_OK) {
        px_bytes_unref(frame);
    }
    return err;
}

// push_route begins a request: its route, and its terms if it has any.
static px_err push_route(const px_route *route, const px_submission *submission, px_frames *frames)
{
    px_bytes *frame = NULL;
    PX_TRY(px_route_encode(route, submission->targets, &frame));
    PX_TRY(push(frames, frame));
    if ((route->flags & PX_ROUTE_TERMS) == 0) {
        return PX_OK;
    }
    PX_TRY(px_terms_encode(submission->terms, submission->tasks, &frame));
    return push(frames, frame);
}

// send composes and sends. sending held.
static px_err send(px_client *client, px_task *task, const px_submission *submission,
                   const parts *with, px_error *reterr)
{
    px_session_next_id(client->composer, task->msg_id);
    bool busy = false;
    px_err entered = enter(client, task, &busy, reterr);
    if (entered != PX_OK) {
        px__lend_cancel(client, with->loan);
        return entered;
    }
    if (with->loan != NULL) {
        px__lend_enter(client, task, with->loan); // before it leaves: the return may be quick
    }
    bool has_terms = submission->balanced && submission->terms != NULL;
    int flags = (task->bulk.n > 0 || with->loan != NULL ? PX_ROUTE_SEGMENTS : 0) |
                (with->loan != NULL ? PX_ROUTE_LENT : 0) | (has_terms ? PX_ROUTE_TERMS : 0) |
                (submission->init ? PX_ROUTE_INIT : 0) | (client->far ? PX_ROUTE_FAR : 0);
    const px_route route = {.kind = submission->fetch != NULL ? PX_ROUTE_FETCH
                                    : submission->balanced    ? PX_ROUTE_TASK
                                                              : PX_ROUTE_REQUEST,
                            .flags = (uint16_t)flags,
                            .client = client->id,
                            .task = task->entry.id,
                            .n = submission->n_targets};
    const px_outgoing outgoing = {.msg_type = submission->msg_type,
                                  .metadata = submission->metadata,
                                  .content = submission->content,
                                  .msg_id = task->msg_id};
    PX_AUTO_FRAMES frames = {0};
    px_err err = push_route(&route, submission, &frames);
    if (err == PX_OK) {
        err = px_session_compose(client->writer, &outgoing, &frames);
    }
    if (err == PX_OK) {
        err = px_frames_share(&frames, with->buffers, 0, px_frames_count(with->buffers));
    }
    if (submission->fetch != NULL) { // to whoever looks, it is the other one
        (void)snprintf(task->msg_id, sizeof(task->msg_id), "%s", submission->fetch);
    }
    if (err == PX_OK) {
        err = busy ? send_later(client, &frames) : px_link_send(client->work, &frames);
    }
    if (err != PX_OK) {
        retreat(client, task);
        (void)px_error_set(reterr, err, "the request could not be sent to cluster '%s': %s",
                           client->file.id, px_err_text(err));
    }
    return err;
}

// may_lend tells if whoever gets a task is the last to have it. After a failure that is tried
// again, who failed may hold on to what it got.
static bool may_lend(const px_submission *submission)
{
    return !submission->balanced || submission->terms == NULL || submission->terms->retries == 0;
}

// share_buffers references the submission's buffers and puts large ones into segments.
static px_err share_buffers(px_task *task, const px_submission *submission, px_frames *buffers,
                            px_loan **ret_loan)
{
    for (size_t i = 0; i < submission->n_buffers; i++) {
        px_bytes *bytes = px_bytes_ref(submission->buffers[i]);
        px_err err = px_frames_push(buffers, bytes);
        if (err != PX_OK) {
            px_bytes_unref(bytes);
            return err;
        }
    }
    if (submission->init || task->client->far || !px_bulk_wanted(buffers, 0)) {
        return PX_OK;
    }
    return may_lend(submission)
               ? px__lend_pack(task->client, task->balanced ? NULL : &task->targets, buffers,
                               &task->bulk, ret_loan)
               : px_bulk_pack(buffers, 0, &task->bulk);
}

px_err px_client_submit(px_client *client, const px_submission *submission, px_task **ret_task,
                        px_error *reterr)
{
    PX_TRY(check(submission, reterr));
    px_task *task = NULL;
    PX_TRY(task_new(client, submission, &task, reterr));
    PX_AUTO_FRAMES buffers = {0};
    px_loan *loan = NULL;
    px_err err = share_buffers(task, submission, &buffers, &loan);
    if (err != PX_OK) {
        px_task_unref(task);
        return px_error_set(reterr, err, "no memory for the buffers of a task");
    }
    if (task->api != NULL) {
        task->parent = submission->parent; // given back below if nothing comes of it
    }
    (void)pthread_mutex_lock(&client->sending);
    err = send(client, task, submission, &(parts){.buffers = &buffers, .loan = loan}, reterr);
    (void)pthread_mutex_unlock(&client->sending);
    if (err != PX_OK) {
        task->parent = NULL;
        px_task_unref(task);
        return err;
    }
    *ret_task = task;
    return PX_OK;
}

px_err px_client_ask(px_client *client, const char *msg_type, px_slice content, px_ask *ask,
                     px_error *reterr)
{
    const px_route route = {.kind = PX_ROUTE_HUB, .client = client->id};
    const px_outgoing outgoing = {.msg_type = msg_type, .content = content, .msg_id = ask->msg_id};
    PX_AUTO_FRAMES frames = {0};
    (void)pthread_mutex_lock(&client->sending);
    px_session_next_id(client->composer, ask->msg_id);
    px_err err = px__compose(client, &route, NULL, &outgoing, &frames);
    (void)pthread_mutex_lock(&client->lock);
    if (client->closed) {
        err = px_error_set(reterr, PX_ECLOSED, "%.*s", (int)client->reason.size,
                           (char *)client->reason.data);
    } else if (err == PX_OK) {
        ask->next = client->asks;
        client->asks = ask;
    }
    bool closed = client->closed;
    (void)pthread_mutex_unlock(&client->lock);
    if (err == PX_OK) {
        err = px_link_send(client->control, &frames);
    }
    (void)pthread_mutex_unlock(&client->sending);
    if (err != PX_OK && !closed) {
        px_client_ask_done(client, ask);
        return px_error_set(reterr, err, "%s could not be sent to the controller of cluster '%s'",
                            msg_type, client->file.id);
    }
    return err;
}

void px_client_ask_done(px_client *client, px_ask *ask)
{
    (void)pthread_mutex_lock(&client->lock);
    px_ask **at = &client->asks;
    while (*at != NULL && *at != ask) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = ask->next;
    }
    (void)pthread_mutex_unlock(&client->lock);
}
