// inside.c: the side towards the cluster: an ordinary client's two links.
//
// Replies and outputs of an engine come on one link, outputs first. ipyparallel has them on two
// sockets and a client waits for `idle` to know that it has all outputs; so `idle` is published
// here, behind the last output, when the reply passes.

#include "front.h"

#include "px/bulk.h"
#include "px/enter.h"
#include "px/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AT_BUFFERS 7 // route, delimiter, signature, four parts

px_worker *px__worker(const px_front *front, uint32_t id)
{
    px_worker *worker;
    HASH_FIND(by_id, front->workers_by_id, &id, sizeof(id), worker);
    return worker;
}

px_worker *px__worker_by_uuid(const px_front *front, const char *uuid)
{
    px_worker *worker;
    HASH_FIND(by_uuid, front->workers_by_uuid, uuid, strlen(uuid), worker);
    return worker;
}

// --- engines -------------------------------------------------------------------------------------

static void add_by_uuid(px_front *front, px_worker *worker)
{
    HASH_ADD_KEYPTR(by_uuid, front->workers_by_uuid, worker->uuid, strlen(worker->uuid), worker);
}

// new_worker is one that is not alive yet; NULL without memory.
static px_worker *new_worker(px_front *front, uint32_t id, const char *uuid)
{
    px_worker *worker = calloc(1, sizeof(*worker));
    if (worker != NULL) {
        worker->id = id;
        (void)snprintf(worker->uuid, sizeof(worker->uuid), "%s", uuid);
        HASH_ADD(by_id, front->workers_by_id, id, sizeof(worker->id), worker);
        add_by_uuid(front, worker);
    }
    return worker;
}

// take_engine learns of an engine; ready: it can be worked with.
static void take_engine(px_front *front, const px_json *engine, bool ready)
{
    int64_t number = px_json_int(engine, "id", -1);
    const char *uuid = px_json_string(engine, "uuid", "");
    if (number < 0 || number > UINT32_MAX || *uuid == '\0' || strlen(uuid) >= 64) {
        return;
    }
    px_worker *worker = px__worker(front, (uint32_t)number);
    if (worker == NULL && ready) {
        worker = new_worker(front, (uint32_t)number, uuid);
    }
    if (worker == NULL || worker->alive == ready) {
        return;
    }
    worker->alive = ready;
    px__hub_notify(front, ready ? "registration_notification" : "unregistration_notification",
                   worker);
}

static bool is_ready(const px_json *engine)
{
    const char *state = px_json_string(engine, "state", "");
    return strcmp(state, "spawned") != 0 && strcmp(state, "dead") != 0 &&
           strcmp(state, "leaving") != 0;
}

static void take_news(px_front *front, const px_message *message)
{
    PX_AUTO(px_json) content = NULL;
    if (message->type != PX_MSG_ENGINE_NOTIFY ||
        px_json_parse(message->content, &content, NULL) != PX_OK) {
        return;
    }
    const char *event = px_json_string(content, "event", "");
    if (strcmp(event, "registered") == 0) {
        take_engine(front, px_json_get(content, "engine"), true);
    } else if (strcmp(event, "dead") == 0 || strcmp(event, "left") == 0) {
        take_engine(front, px_json_get(content, "engine"), false);
    }
}

// --- outputs -------------------------------------------------------------------------------------

static void keep_output(px_job *job, const px_message *message)
{
    px_buf *const kept = message->type == PX_MSG_EXECUTE_RESULT ? &job->execute_result
                         : message->type == PX_MSG_ERROR        ? &job->error
                                                                : NULL;
    if (kept != NULL) {
        px_buf_clear(kept);
        px_buf_append_slice(kept, message->content);
    } else if (message->type == PX_MSG_STREAM) {
        PX_AUTO(px_json) content = NULL;
        if (px_json_parse(message->content, &content, NULL) == PX_OK) {
            bool err = strcmp(px_json_string(content, "name", ""), "stderr") == 0;
            px_buf_append_slice(err ? &job->stderr_text : &job->stdout_text,
                                px_json_text(content, "text"));
        }
    }
}

static const char *topic_of(const px_worker *worker, const char *msg_type, char topic[128])
{
    (void)snprintf(topic, 128, "engine.%u.%.64s", worker != NULL ? worker->id : 0, msg_type);
    return topic;
}

// publish hands an engine's output on as it came, under a topic and signed: on the link it was not.
static px_err publish(px_front *front, const px_job *job, const px_message *message)
{
    char topic[128];
    char signature[PX_SIGNATURE_SIZE * 2];
    const px_slice parts[] = {message->header, message->parent, message->metadata,
                              message->content};
    const size_t first = message->delimiter + 2;
    PX_AUTO_FRAMES frames = {0};
    (void)topic_of(job->worker, message->msg_type, topic);
    PX_TRY(px_sign(front->signer, parts, 4, signature));
    PX_TRY(px_frames_push_copy(&frames, px_slice_str(topic)));
    PX_TRY(px_frames_push_copy(&frames, PX_SLICE_LITERAL(PX_DELIMITER)));
    PX_TRY(px_frames_push_copy(&frames, px_slice_str(signature)));
    PX_TRY(px_frames_share(&frames, &message->frames, first,
                           px_frames_count(&message->frames) - first));
    return px_socket_send(front->doors[PX_DOOR_IOPUB], &frames);
}

static void publish_made(px_front *front, const px_job *job, const char *msg_type, px_slice content)
{
    char topic[128];
    PX_AUTO_BUF metadata = {0};
    px_jsonw w = px_jsonw_to(&metadata);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "engine", job->worker != NULL ? job->worker->uuid : NULL);
    px_jsonw_end_object(&w);
    const px_outgoing outgoing = {.msg_type = msg_type,
                                  .parent = job->request->header,
                                  .metadata = px_buf_slice(&metadata),
                                  .content = content};
    (void)px__send(front, PX_DOOR_IOPUB, NULL, topic_of(job->worker, msg_type, topic), &outgoing);
}

// publish_input tells what was run, as a kernel would have before: its number is known only now.
static void publish_input(px_front *front, px_job *job)
{
    PX_AUTO(px_json) asked = NULL;
    PX_AUTO(px_json) answered = NULL;
    if (job->request->type != PX_MSG_EXECUTE_REQUEST || job->reply == NULL ||
        px_json_parse(job->request->content, &asked, NULL) != PX_OK ||
        px_json_parse(job->reply->content, &answered, NULL) != PX_OK ||
        px_json_bool(asked, "silent", false)) {
        return;
    }
    px_jsonw w = px_jsonw_to(&job->execute_input);
    px_jsonw_object(&w);
    px_jsonw_key(&w, "code");
    px_jsonw_slice(&w, px_json_text(asked, "code"));
    px_jsonw_key_int(&w, "execution_count", px_json_int(answered, "execution_count", 0));
    px_jsonw_end_object(&w);
    publish_made(front, job, "execute_input", px_buf_slice(&job->execute_input));
}

// --- the work link -------------------------------------------------------------------------------

static void release_segments(px_front *front, const px_route *from)
{
    const px_route route = {.kind = PX_ROUTE_RELEASE, .task = from->task, .n = 1};
    uint32_t engine = px_route_engine(from, 0);
    PX_AUTO_FRAMES frames = {0};
    if (px_route_push(&frames, &route, &engine) != PX_OK) {
        return;
    }
    (void)px_link_send(front->work, &frames); // its end is read from it
}

// read_message maps segments and verifies; NULL when it is to be dropped.
static px_message *read_message(px_front *front, const px_route *route, px_frames *frames)
{
    px_message *message = NULL;
    px_error error = {0};
    px_err err = PX_OK;
    if ((route->flags & PX_ROUTE_SEGMENTS) != 0) {
        err = px_bulk_unpack(frames, AT_BUFFERS, &error);
        release_segments(front, route);
    }
    if (err == PX_OK) {
        err = px_session_verify(front->reader, frames, false, &message, &error);
    }
    if (err != PX_OK) {
        px_log_warning("message of the cluster dropped", "cause=\"%s\"", error.text);
        return NULL;
    }
    return message;
}

static void finish(px_front *front, px_job *job, bool failed)
{
    job->failed = failed;
    px_stamp_now(job->received);
    px__door_answer(front, job);
}

static void take_reply(px_front *front, const px_route *route, px_job *job, px_message *message)
{
    job->worker = px__worker(front, px_route_engine(route, 0));
    job->reply = message;
    publish_input(front, job);
    // idle behind all outputs and before the answer: who has the answer has all the rest.
    publish_made(front, job, "status", PX_SLICE_LITERAL("{\"execution_state\":\"idle\"}"));
    finish(front, job, (route->flags & PX_ROUTE_FAILED) != 0);
}

// take_lost: the engine died with the job, or the scheduler gave it up. Its words become the
// answer's content; an abort has ipyparallel's own form.
static void take_lost(px_front *front, px_job *job, px_message *message)
{
    PX_AUTO(px_json) content = NULL;
    bool aborted = px_json_parse(message->content, &content, NULL) == PX_OK &&
                   strcmp(px_json_string(content, "ename", ""), "TaskAborted") == 0;
    px_buf_append_slice(&job->content,
                        aborted ? PX_SLICE_LITERAL("{\"status\":\"aborted\"}") : message->content);
    px_message_free(message);
    job->lost = !aborted;
    finish(front, job, true);
}

static void take_work(px_front *front, px_frames *frames)
{
    px_route route;
    if (px_route_decode(px_frames_get(frames, 0), &route) != PX_OK) {
        return;
    }
    px_job *job = px__job_by_task(front, route.task);
    if (job == NULL || job->done) {
        return;
    }
    px_bytes *head = px_bytes_ref(px_frames_at(frames, 0)); // route borrows from it
    px_message *message = read_message(front, &route, frames);
    if (message == NULL) {
        // dropped, and said
    } else if (route.kind == PX_ROUTE_REPLY && route.n == 1) {
        take_reply(front, &route, job, message);
    } else if (route.kind == PX_ROUTE_LOST) {
        take_lost(front, job, message);
    } else {
        if (route.kind == PX_ROUTE_OUTPUT && route.n == 1) {
            job->worker = px__worker(front, px_route_engine(&route, 0));
            keep_output(job, message);
            (void)publish(front, job, message); // nobody there is no error
        }
        px_message_free(message);
    }
    px_bytes_unref(head);
}

px_err px__inside_send(px_front *front, const px_route *route, const uint32_t *engines,
                       px_bytes *terms, const px_frames *frames, size_t first)
{
    PX_AUTO_FRAMES out = {0};
    PX_TRY(px_route_push(&out, route, engines));
    if (terms != NULL) {
        px_err err = px_frames_push(&out, px_bytes_ref(terms));
        if (err != PX_OK) {
            px_bytes_unref(terms);
            return err;
        }
    }
    PX_TRY(px_frames_share(&out, frames, first, px_frames_count(frames) - first));
    return px_link_send(front->work, &out);
}

px_err px__inside_ask(px_front *front, const char *msg_type, px_slice content)
{
    const px_route route = {.kind = PX_ROUTE_HUB};
    const px_outgoing outgoing = {.msg_type = msg_type, .content = content};
    PX_AUTO_FRAMES frames = {0};
    PX_TRY(px_route_push(&frames, &route, NULL));
    PX_TRY(px_session_compose(front->session, &outgoing, &frames));
    return px_link_send(front->control, &frames);
}

// --- the links in the loop -----------------------------------------------------------------------

static void take_control(px_front *front, px_frames *frames)
{
    PX_AUTO(px_message) message = NULL;
    px_error error = {0};
    if (px_session_verify(front->verifier, frames, false, &message, &error) == PX_OK) {
        take_news(front, message);
    } else {
        px_log_warning("message of the controller dropped", "cause=\"%s\"", error.text);
    }
}

static void read_link(px_front *front, px_link *link)
{
    for (;;) {
        PX_AUTO_FRAMES frames = {0};
        px_err err = px_link_recv(link, &frames);
        if (err == PX_EAGAIN) {
            return;
        }
        if (err != PX_OK) {
            front->lost = true;
            px_loop_stop(front->loop);
            return;
        }
        if (link == front->work) {
            take_work(front, &frames);
        } else {
            take_control(front, &frames);
        }
    }
}

static void serve(px_front *front, px_link *link, px_source *source, int events)
{
    if ((events & PX_WRITABLE) != 0) {
        (void)px_link_flush(link); // its end is read from it
    }
    if (!front->lost) {
        read_link(front, link);
    }
    px_source_set_events(source, front->lost                 ? 0
                                 : px_link_wants_write(link) ? PX_READABLE | PX_WRITABLE
                                                             : PX_READABLE);
}

static void control_ready(void *context, int events)
{
    px_front *front = context;
    serve(front, front->control, front->control_source, events);
}

static void work_ready(void *context, int events)
{
    px_front *front = context;
    serve(front, front->work, front->work_source, events);
}

// wants_write is called by a send, in this thread, that could not finish.
static void wants_write(void *context)
{
    px_front *front = context;
    if (front->work_source != NULL && front->control_source != NULL && !front->lost) {
        px_source_set_events(front->work_source, PX_READABLE | PX_WRITABLE);
        px_source_set_events(front->control_source, PX_READABLE | PX_WRITABLE);
    }
}

static px_err enter(px_front *front, px_error *reterr)
{
    const px_ns timeout = 10 * PX_NS_PER_S;
    const px_entry entry = {.file = &front->file,
                            .session = front->session,
                            .deadline = px_now() + timeout,
                            .timeout = timeout};
    PX_AUTO(px_json) answer = NULL;
    PX_AUTO(px_json) second_answer = NULL;
    PX_AUTO_BUF first = {0};
    PX_AUTO_BUF second = {0};
    px_buf_printf(&first, "{\"role\":\"client\",\"pid\":%ld}", (long)getpid());
    PX_TRY(px_enter(&entry, PX_TUNNEL_CONTROL, px_buf_slice(&first), &front->control, &answer,
                    reterr));
    px_jsonw w = px_jsonw_to(&second);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "role", "client");
    px_jsonw_key_string(&w, "peer", px_json_string(answer, "peer", ""));
    px_jsonw_end_object(&w);
    PX_TRY(px_enter(&entry, PX_TUNNEL_WORK, px_buf_slice(&second), &front->work, &second_answer,
                    reterr));
    const px_json *engines = px_json_get(answer, "engines");
    for (size_t i = 0; i < px_json_length(engines); i++) {
        const px_json *engine = px_json_item(engines, i);
        take_engine(front, engine, is_ready(engine));
    }
    return PX_OK;
}

px_err px__inside_open(px_front *front, px_error *reterr)
{
    PX_TRY(enter(front, reterr));
    px_link_set_wake(front->work, wants_write, front);
    px_link_set_wake(front->control, wants_write, front);
    PX_TRY(px_loop_add_fd(front->loop, "control", px_link_fd(front->control),
                          PX_READABLE | PX_WRITABLE, control_ready, front, &front->control_source));
    // Writable at once: what came right behind the registration is read without waiting.
    return px_loop_add_fd(front->loop, "work", px_link_fd(front->work), PX_READABLE | PX_WRITABLE,
                          work_ready, front, &front->work_source);
}

void px__inside_close(px_front *front)
{
    px_worker *worker, *next;
    px_source_remove(front->control_source);
    px_source_remove(front->work_source);
    px_link_close(front->control);
    px_link_close(front->work);
    HASH_CLEAR(by_uuid, front->workers_by_uuid);
    HASH_ITER (by_id, front->workers_by_id, worker, next) {
        HASH_DELETE(by_id, front->workers_by_id, worker);
        free(worker);
    }
}
