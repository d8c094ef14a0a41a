// read.c: what comes over the work link: replies, outputs, and news of engines that are gone.
//
// A reply is checked against its signature and kept as bytes; nobody parses it until somebody asks.
// Its slot is filled after the outputs before it have been stored and shown: both came over this
// one link, so when the reply is here the outputs are here.
//
// A slot never stays open because something is wrong with a message: a reply that is forged, torn
// or cannot be mapped fills it with an error that says so.

#include "io/internal.h"

#include "px/borrowing.h"
#include "px/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// far_why says what a connection over the network ended of, if anything is known.
static bool far_why(px_client *client, px_buf *ret_reason)
{
    char why[512] = "";
    px_link_why(client->work, why, sizeof why);
    if (why[0] == '\0') {
        px_link_why(client->control, why, sizeof why);
    }
    px_buf_append_str(ret_reason, why);
    return why[0] != '\0';
}

void px__link_ended(px_client *client, px_err err, px_buf *ret_reason)
{
    const char *name = client->file.id;
    (void)pthread_mutex_lock(&client->lock);
    bool stopping = client->stopping;
    (void)pthread_mutex_unlock(&client->lock);
    if (stopping) {
        px_buf_printf(ret_reason, "cluster '%s' was stopped; start one and make a new Client",
                      name);
    } else if (far_why(client, ret_reason)) {
        px_buf_append_str(ret_reason, "; make a new Client once it can be reached");
    } else if (err == PX_ECLOSED) {
        px_buf_printf(ret_reason,
                      "the controller of cluster '%s' is gone (process %d ended or closed the "
                      "connection); start the cluster again and make a new Client",
                      name, (int)client->file.pid);
    } else {
        px_buf_printf(ret_reason,
                      "the connection to cluster '%s' was ended: %s from its controller; make a "
                      "new Client",
                      name, px_err_text(err));
    }
}

// release tells an engine that the segments of its reply are mapped, or (flags PX_ROUTE_LENT) not
// any more.
static void release(px_client *client, uint32_t engine, uint64_t task, uint16_t flags)
{
    const px_route route = {
        .kind = PX_ROUTE_RELEASE, .flags = flags, .client = client->id, .task = task, .n = 1};
    PX_AUTO_FRAMES frames = {0};
    if (px_route_push(&frames, &route, &engine) != PX_OK) {
        return; // the engine keeps the segment until this client leaves
    }
    (void)pthread_mutex_lock(&client->sending);
    if (client->work != NULL) {
        (void)px_link_send(client->work, &frames); // a link that ended shows when it is read
    }
    (void)pthread_mutex_unlock(&client->sending);
}

// debt is a reply whose segments its engine wants to fill again.
typedef struct debt {
    px_client *client; // a reference
    uint32_t engine;
    uint64_t task;
} debt;

// give_back is a px_returned: any thread, with or without the GIL. After a fork the child may still
// read the segments.
static void give_back(void *context, bool forked)
{
    debt *owed = context;
    if (!forked) {
        release(owed->client, owed->engine, owed->task, PX_ROUTE_LENT);
    }
    px_client_unref(owed->client);
    free(owed);
}

// give_back_unseen is for a reply that nobody here maps.
static void give_back_unseen(px_client *client, const px_route *route)
{
    if (route->kind == PX_ROUTE_REPLY && (route->flags & PX_ROUTE_LENT) != 0) {
        release(client, px_route_engine(route, 0), route->task, PX_ROUTE_LENT);
    }
}

// borrow minds that a reply's buffers are given back. Without memory they are not, and the engine
// forgets them some day.
static void borrow(px_client *client, const px_route *route, px_frames *frames)
{
    px_borrowing *borrowing = NULL;
    debt *owed = malloc(sizeof *owed);
    if (owed == NULL || px_borrowing_new(give_back, owed, &borrowing) != PX_OK) {
        free(owed);
        return;
    }
    *owed = (debt){
        .client = px_client_ref(client), .engine = px_route_engine(route, 0), .task = route->task};
    if (px_borrowing_cover(borrowing, frames, PX_AT_BUFFERS) != PX_OK) {
        px_borrowing_spoil(borrowing);
    }
    px_borrowing_unref(borrowing);
}

// check looks at the delimiter and the number of frames: nobody needs a reply's header yet.
static px_err check(const px_frames *frames)
{
    if (px_frames_count(frames) < PX_AT_BUFFERS ||
        !px_slice_equal(px_frames_get(frames, PX_AT_DELIMITER), PX_SLICE_LITERAL(PX_DELIMITER))) {
        return PX_EFORMAT;
    }
    return PX_OK;
}

// open_reply checks a reply and maps its segments; sentence says what is wrong otherwise.
static px_err open_reply(px_client *client, const px_route *route, px_frames *frames,
                         px_error *sentence)
{
    uint32_t engine = px_route_engine(route, 0);
    px_err err = check(frames);
    if (err != PX_OK) {
        give_back_unseen(client, route);
        return px_error_set(sentence, err, "the reply of engine %u was refused: %s", engine,
                            px_err_text(err));
    }
    if ((route->flags & PX_ROUTE_SEGMENTS) != 0) {
        px_error cause = {0};
        err = px_bulk_unpack(frames, PX_AT_BUFFERS, &cause);
        if (err != PX_OK) {
            give_back_unseen(client, route);
            return px_error_set(sentence, err,
                                "the result of engine %u could not be read from shared memory: %s",
                                engine, cause.text);
        }
        if ((route->flags & PX_ROUTE_LENT) != 0) {
            borrow(client, route, frames);
        }
    }
    return PX_OK;
}

// end_hold shows what was kept back when this is the last slot, before anybody learns that it is.
static void end_hold(px_task *task, uint32_t slot)
{
    if (!task->held) {
        return;
    }
    px_task_lock(task);
    bool last = task->slots[slot].state == PX_SLOT_PENDING && task->n_done + 1 == task->targets.n;
    px_task_unlock(task);
    if (last) {
        px__hold_end(task);
    }
}

static void serve_reply(px_client *client, const px_route *route, px_task *task, uint32_t slot,
                        px_frames *frames, const px_waiter *self)
{
    px_error sentence = {0};
    px_err err = open_reply(client, route, frames, &sentence);
    px_task *done = NULL;
    end_hold(task, slot);
    (void)pthread_mutex_lock(&client->lock);
    px_slot *at = &task->slots[slot];
    if (at->state == PX_SLOT_PENDING) {
        if (err == PX_OK) {
            px_frames_move(&at->reply, frames);
            px__fill(task, slot, PX_SLOT_FILLED, &done);
        } else {
            px__fill_lost(task, slot, sentence.text, &done);
        }
        px__wake(client, task, self);
    }
    (void)pthread_mutex_unlock(&client->lock);
    px__settle(done);
}

static void serve_lost(px_client *client, px_task *task, uint32_t slot, const px_frames *frames,
                       const px_waiter *self)
{
    uint32_t engine = task->targets.engines[slot];
    PX_AUTO_BUF evalue = {0};
    PX_AUTO(px_json) json = NULL;
    if (check(frames) == PX_OK &&
        px_json_parse(px_frames_get(frames, PX_AT_CONTENT), &json, NULL) == PX_OK) {
        px_buf_append_str(&evalue, px_json_string(json, "evalue", ""));
    }
    if (evalue.size == 0) {
        if (engine == PX_NO_ENGINE) {
            px_buf_append_str(&evalue, "the task was lost before an engine had it");
        } else {
            px_buf_printf(&evalue, "engine %u died", engine);
        }
    }
    px_buf_append(&evalue, "", 1);
    px_task *done = NULL;
    end_hold(task, slot);
    (void)pthread_mutex_lock(&client->lock);
    if (task->slots[slot].state == PX_SLOT_PENDING) {
        px__fill_told(task, slot, px_buf_status(&evalue) == PX_OK ? (char *)evalue.data : "", json,
                      &done);
        px__wake(client, task, self);
    }
    (void)pthread_mutex_unlock(&client->lock);
    px__settle(done);
}

// keep stores an output and queues it for who shows it himself. Takes message.
static void keep(px_task *task, uint32_t slot, px_message *message, bool is_stderr,
                 const px_slice *text, const px_waiter *self)
{
    px_client *client = task->client;
    bool queues = task->shows && task->api == NULL;
    px_output *output = NULL;
    (void)pthread_mutex_lock(&client->lock);
    px_outputs *outputs = &task->slots[slot].outputs;
    if (text != NULL && queues) {
        px__task_queue_live(task, slot, NULL, is_stderr, *text);
    }
    px_err err = text != NULL ? px_outputs_add_text(outputs, message, is_stderr, *text)
                              : px_outputs_add(outputs, message, &output);
    if (err == PX_OK && output != NULL && queues) {
        px__task_queue_live(task, slot, output, false, (px_slice){0});
    }
    task->shown = task->shown || (task->shows && task->api != NULL);
    if (queues) {
        px__wake(client, task, self);
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (err != PX_OK) {
        px_message_free(message);
    }
}

static void serve_output(px_client *client, px_task *task, uint32_t slot, px_frames *frames,
                         const px_waiter *self)
{
    uint32_t engine = task->targets.engines[slot];
    px_message *message = NULL;
    px_error cause = {0};
    if (px_session_verify(client->reader, frames, false, &message, &cause) != PX_OK) {
        if (px_log_once(&client->bad_messages)) {
            px_log_warning("output dropped", "engine=%u cause=\"%s\"", engine, cause.text);
        }
        return;
    }
    bool shows = task->shows && task->api != NULL;
    PX_AUTO(px_json) json = NULL;
    if (message->type == PX_MSG_STREAM && px_json_parse(message->content, &json, NULL) == PX_OK) {
        bool is_stderr = strcmp(px_json_string(json, "name", "stdout"), "stderr") == 0;
        px_slice text = px_json_text(json, "text");
        if (shows && !px__hold(task)) {
            px__show_text(task, engine, is_stderr, text);
        }
        keep(task, slot, message, is_stderr, &text, self);
        return;
    }
    if (shows && !px__hold(task)) {
        px__show(task, engine, message);
    }
    keep(task, slot, message, false, NULL, self);
}

// serve_question takes an input_request; task NULL: nobody knows it. What was kept back is shown
// first: it may say what is asked for.
static void serve_question(px_client *client, const px_route *route, px_task *task, uint32_t slot,
                           px_frames *frames)
{
    px_message *message = NULL;
    if (px_session_verify(client->reader, frames, false, &message, NULL) != PX_OK) {
        return;
    }
    if (message->type != PX_MSG_INPUT_REQUEST) {
        px_message_free(message);
        return;
    }
    if (task != NULL && task->held) {
        px__hold_end(task);
    }
    px__question_came(client, task, slot, route, message);
}

// slot_of finds the slot of an engine. A balanced task has one, whose engine is the one that we
// hear from.
static uint32_t slot_of(px_task *task, uint32_t engine)
{
    if (!task->balanced) {
        return px_targets_slot(&task->targets, engine);
    }
    if (engine != PX_NO_ENGINE) {
        px_task_lock(task);
        task->own_engine = engine;
        px_task_unlock(task);
    }
    return 0;
}

// is_gone tells that an engine maps nothing any more: it is dead, or never was.
static bool is_gone(px_client *client, uint32_t engine)
{
    (void)pthread_mutex_lock(&client->lock);
    const px_engine *known = px_engines_find(&client->engines, engine);
    bool gone = known == NULL || !known->ready;
    (void)pthread_mutex_unlock(&client->lock);
    return gone;
}

// serve is one message. Frees or takes frames.
static void serve(px_client *client, px_frames *frames, const px_waiter *self)
{
    px_route route;
    if (px_route_decode(px_frames_get(frames, PX_AT_ROUTE), &route) != PX_OK ||
        (route.n != 1 && (route.kind != PX_ROUTE_LOST || route.n != 0))) {
        if (px_log_once(&client->bad_messages)) {
            px_log_warning("message dropped", "cause=\"bad route frame\"");
        }
        return;
    }
    uint32_t engine = route.n == 1 ? px_route_engine(&route, 0) : PX_NO_ENGINE;
    if (route.kind == PX_ROUTE_RELEASE ||
        (route.kind == PX_ROUTE_LOST && is_gone(client, engine))) {
        px__lend_over(client, route.task, engine);
    }
    px_task *task = px__task_find(client, route.task);
    uint32_t slot = task != NULL ? slot_of(task, engine) : PX_NO_SLOT;
    bool segments = route.kind == PX_ROUTE_REPLY && (route.flags & PX_ROUTE_SEGMENTS) != 0;
    if (route.kind == PX_ROUTE_STDIN && route.n == 1) {
        serve_question(client, &route, slot != PX_NO_SLOT ? task : NULL, slot, frames);
    } else if (slot != PX_NO_SLOT) {
        switch (route.kind) {
        case PX_ROUTE_REPLY:
            serve_reply(client, &route, task, slot, frames, self);
            break;
        case PX_ROUTE_LOST:
            serve_lost(client, task, slot, frames, self);
            break;
        case PX_ROUTE_OUTPUT:
            serve_output(client, task, slot, frames, self);
            break;
        default:
            break;
        }
    } else {
        give_back_unseen(client, &route);
    }
    if (segments) {
        release(client, engine, route.task, 0);
    }
    if (task != NULL) {
        px_task_unref(task);
    }
}

static px_err read_some(px_client *client, const px_waiter *self, size_t budget)
{
    for (size_t i = 0; i < budget; i++) {
        PX_AUTO_FRAMES frames = {0};
        px_err err = px_link_recv(client->work, &frames);
        if (err == PX_EAGAIN) {
            return err;
        }
        if (err != PX_OK) {
            PX_AUTO_BUF reason = {0};
            px__link_ended(client, err, &reason);
            px_buf_append(&reason, "", 1);
            px__client_end(client, px_buf_status(&reason) == PX_OK ? (char *)reason.data : "lost");
            return err;
        }
        serve(client, &frames, self);
    }
    return PX_OK;
}

px_err px__read_work(px_client *client, const px_waiter *self, size_t budget)
{
    px_err err = read_some(client, self, budget);
    if (client->held != NULL) {
        px__hold_expire(client, px_now());
    }
    return err;
}
