// hub.c: control connections: who comes in, under which name, and what is said to all of them.
//
// A connection's first message is a register_request with a good signature, or it is closed.
// Clients get a number; engines must bring the token that the zygote gave them. Both get a secret
// that opens the work socket; the relay knows it before they do. After that a visitor may ask
// (requests.c).
//
// A connection that ends is closed at once and freed when the loop's round is over: whoever still
// holds the pointer in this round finds it closed.

#include "nests.h"

#include "px/log.h"

#include <utlist.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DOOR_NS (5 * PX_NS_PER_S)

px_err px__hub_send(px_visitor *visitor, const char *msg_type, px_slice parent, px_slice content)
{
    px_route hub = {.kind = PX_ROUTE_HUB};
    px_outgoing message = {.msg_type = msg_type, .parent = parent, .content = content};
    PX_AUTO_FRAMES frames = {0};
    if (visitor->closed) {
        return PX_ECLOSED;
    }
    PX_TRY(px_route_push(&frames, &hub, NULL));
    PX_TRY(px_session_compose(visitor->controller->session, &message, &frames));
    PX_TRY(px_link_send(visitor->link, &frames));
    if (px_link_wants_write(visitor->link)) {
        px_source_set_events(visitor->source, PX_READABLE | PX_WRITABLE);
    }
    return PX_OK;
}

void px__hub_tell(px_controller *controller, const char *msg_type, px_slice content)
{
    px_visitor *visitor, *next;
    DL_FOREACH_SAFE (controller->visitors, visitor, next) {
        if (visitor->role != PX_VISITOR_CLIENT) {
            break; // clients stand in front: engines come by the thousand
        }
        (void)px__hub_send(visitor, msg_type, (px_slice){0}, content);
    }
}

// client_left settles what a client leaves behind.
static void client_left(px_visitor *visitor)
{
    px_controller *controller = visitor->controller;
    (void)px_relay_forget_client(controller->relay, visitor->id);
    controller->n_watchers -= visitor->watches;
    if (!visitor->tool) {
        controller->n_clients--;
    }
}

static void engine_left(px_visitor *visitor)
{
    px_orders orders = {0};
    px_controller *controller = visitor->controller;
    px_seat *seat = px__seat(controller, visitor->id);
    if (seat != NULL && seat->visitor == visitor) {
        seat->visitor = NULL;
        px_roster_disconnected(controller->roster, px_now(), visitor->id, &orders);
        px__carry_out(controller, &orders);
    }
}

void px__hub_close(px_visitor *visitor)
{
    px_controller *controller = visitor->controller;
    if (visitor->closed) {
        return;
    }
    visitor->closed = true;
    px_source_remove(visitor->source);
    px_link_close(visitor->link);
    visitor->link = NULL;
    if (controller->door_shut) {
        controller->door_shut = false;
        px_source_set_events(controller->control_source, PX_READABLE);
    }
    DL_DELETE(controller->visitors, visitor);
    DL_APPEND(controller->gone, visitor);
    if (visitor->role == PX_VISITOR_CLIENT) {
        client_left(visitor);
    } else if (visitor->role == PX_VISITOR_ENGINE) {
        engine_left(visitor);
    } else if (visitor->role == PX_VISITOR_NEST) {
        px__nest_went(visitor);
    }
}

void px__hub_free_gone(px_controller *controller)
{
    px_visitor *visitor, *next;
    DL_FOREACH_SAFE (controller->gone, visitor, next) {
        free(visitor);
    }
    controller->gone = NULL;
}

// --- registration --------------------------------------------------------------------------------

static px_err answer(px_visitor *visitor, const px_message *request, uint32_t id,
                     const char *secret)
{
    const px_controller *controller = visitor->controller;
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "ok");
    px_jsonw_key_int(&w, "id", id);
    px_jsonw_key_string(&w, "peer", secret);
    px_jsonw_key(&w, "cluster");
    px_cluster_file_json(&controller->file, false, &w);
    if (visitor->role == PX_VISITOR_CLIENT) { // engines have no use for each other
        px_jsonw_key(&w, "engines");
        px__describe_engines(controller, &w);
    }
    px_jsonw_end_object(&w);
    PX_TRY(px_buf_status(&content));
    return px__hub_send(visitor, "register_reply", request->header, px_buf_slice(&content));
}

static px_err register_client(px_visitor *visitor, const px_message *request,
                              const px_json *content)
{
    px_controller *controller = visitor->controller;
    char secret[PX_SECRET_SIZE];
    PX_TRY(px_random_hex(secret, (PX_SECRET_SIZE - 1) / 2));
    PX_TRY(px_relay_expect_client(controller->relay, controller->next_client, secret));
    visitor->id = controller->next_client++;
    visitor->role = PX_VISITOR_CLIENT;
    DL_DELETE(controller->visitors, visitor);
    DL_PREPEND(controller->visitors, visitor); // see px__hub_tell
    visitor->watches = px_json_bool(content, "watch", false);
    visitor->tool = px_json_bool(content, "tool", false);
    controller->n_watchers += visitor->watches;
    if (!visitor->tool) {
        controller->n_clients++;
    }
    PX_TRY(answer(visitor, request, visitor->id, secret));
    if (visitor->watches) {
        px__stats_wake(controller);
    }
    return PX_OK;
}

static px_err register_engine(px_visitor *visitor, const px_message *request,
                              const px_json *content, px_error *reterr)
{
    px_controller *controller = visitor->controller;
    int64_t id = px_json_int(content, "engine", -1);
    const char *token = px_json_string(content, "token", "");
    px_seat *seat = id >= 0 && id <= UINT32_MAX ? px__seat(controller, (uint32_t)id) : NULL;
    const px_engine *engine = seat != NULL ? px_roster_find(controller->roster, seat->id) : NULL;
    if (engine == NULL || engine->state != PX_ENGINE_SPAWNED ||
        !px_slice_equal(px_slice_str(token), px_slice_str(seat->token))) {
        return px_error_set(reterr, PX_EPERM, "no engine %lld with that token is expected",
                            (long long)id);
    }
    const char *uuid = px_json_string(content, "uuid", "");
    if (strlen(uuid) == sizeof(seat->uuid) - 1) { // its own name for itself, also in its replies
        memcpy(seat->uuid, uuid, sizeof(seat->uuid));
    }
    (void)snprintf(seat->python, sizeof(seat->python), "%s", px_json_string(content, "python", ""));
    visitor->role = PX_VISITOR_ENGINE;
    visitor->id = seat->id;
    seat->visitor = visitor;
    seat->far = px_link_peer_pid(visitor->link) == getpid(); // px-gate's
    (void)snprintf(seat->host, sizeof(seat->host), "%s", px_json_string(content, "host", ""));
    if (seat->pid == 0) { // it is faster than the zygote's word of it
        seat->pid =
            seat->far ? (pid_t)px_json_int(content, "pid", 0) : px_link_peer_pid(visitor->link);
        px_roster_pid(controller->roster, seat->id, seat->pid);
    }
    PX_TRY(px_relay_expect_engine(controller->relay, seat->id, seat->secret, seat->tally));
    PX_TRY(answer(visitor, request, seat->id, seat->secret));
    px_orders orders = {0};
    px_roster_joined(controller->roster, px_now(), seat->id, &orders);
    px__carry_out(controller, &orders);
    return PX_OK;
}

static px_err register_visitor(px_visitor *visitor, const px_message *message, px_error *reterr)
{
    PX_AUTO(px_json) content = NULL;
    if (message->type != PX_MSG_REGISTER_REQUEST) {
        return px_error_set(reterr, PX_EFORMAT, "the first message is a %s, not a register_request",
                            message->msg_type);
    }
    PX_TRY(px_json_parse(message->content, &content, reterr));
    const char *role = px_json_string(content, "role", "");
    if (visitor->controller->stopping) {
        return px_error_set(reterr, PX_ECLOSED, "the cluster is stopping");
    }
    if (strcmp(role, "client") == 0) {
        px_link_set_limit(visitor->link, PX_LINK_MAX_BYTES);
        return register_client(visitor, message, content);
    }
    if (strcmp(role, "engine") == 0) {
        px_link_set_limit(visitor->link, PX_LINK_MAX_BYTES);
        return register_engine(visitor, message, content, reterr);
    }
    if (strcmp(role, "nest") == 0) {
        px_link_set_limit(visitor->link, PX_LINK_MAX_BYTES);
        PX_TRY(px__nest_came(visitor, content));
        return answer(visitor, message, 0, "");
    }
    return px_error_set(reterr, PX_EFORMAT, "the role \"%.20s\" is neither client nor engine",
                        role);
}

// refuse tells a visitor whose signature was good why it is not let in.
static void refuse(px_visitor *visitor, const px_message *message, const px_error *error)
{
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "error");
    px_jsonw_key_string(&w, "ename", "RegistrationError");
    px_jsonw_key_string(&w, "evalue", error->text[0] ? error->text : px_err_text(error->err));
    px_jsonw_end_object(&w);
    (void)px__hub_send(visitor, "register_reply", message->header, px_buf_slice(&content));
}

// --- messages ------------------------------------------------------------------------------------

// hear takes one message; false when there is none, or the visitor is no more.
static bool hear(px_visitor *visitor)
{
    static px_log_gate gate;
    px_error error = {0};
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO(px_message) message = NULL;
    px_err err = px_link_recv(visitor->link, &frames);
    if (err == PX_EAGAIN) {
        return false;
    }
    if (err == PX_OK) {
        err = px_session_verify(visitor->controller->session, &frames, true, &message, &error);
    }
    if (err == PX_OK && visitor->role == PX_VISITOR_NEW) {
        err = register_visitor(visitor, message, &error);
        if (err != PX_OK && visitor->role == PX_VISITOR_NEW) {
            refuse(visitor, message, &error);
        }
    } else if (err == PX_OK && visitor->role == PX_VISITOR_NEST) {
        px__nest_says(visitor, message->content);
    } else if (err == PX_OK) {
        px__request(visitor, message);
    }
    if (err == PX_OK) {
        return !visitor->closed;
    }
    if (err != PX_ECLOSED && px_log_once(&gate)) {
        px_log_warning("control connection ended for breaking the protocol", "pid=%d cause=%s",
                       (int)px_link_peer_pid(visitor->link),
                       error.text[0] ? error.text : px_err_text(err));
    }
    px__hub_close(visitor);
    return false;
}

static void visitor_ready(void *context, int events)
{
    px_visitor *visitor = context;
    if ((events & PX_WRITABLE) != 0) {
        (void)px_link_flush(visitor->link); // its end is read from it
        px_source_set_events(visitor->source, px_link_wants_write(visitor->link)
                                                  ? PX_READABLE | PX_WRITABLE
                                                  : PX_READABLE);
    }
    if ((events & (PX_READABLE | PX_HANGUP)) != 0) {
        while (!visitor->closed && hear(visitor)) {
        }
    }
}

// close_idle puts out who has not said its name in time.
static void close_idle(void *context, px_ns now)
{
    px_controller *controller = context;
    px_ns due = 0;
    px_visitor *visitor, *next;
    DL_FOREACH_SAFE (controller->visitors, visitor, next) {
        if (visitor->role != PX_VISITOR_NEW) {
            continue;
        }
        if (visitor->opened + DOOR_NS <= now) {
            px__hub_close(visitor);
        } else if (due == 0 || visitor->opened + DOOR_NS < due) {
            due = visitor->opened + DOOR_NS;
        }
    }
    px_timer_remove(controller->door_timer);
    controller->door_timer = NULL;
    if (due != 0) {
        (void)px_loop_add_timer(controller->loop, "door", due, 0, close_idle, controller,
                                &controller->door_timer);
    }
}

static void let_in(px_controller *controller, px_link *link)
{
    px_visitor *visitor = calloc(1, sizeof(*visitor));
    if (visitor == NULL) {
        px_link_close(link);
        return;
    }
    visitor->controller = controller;
    visitor->link = link;
    visitor->opened = px_now();
    if (px_loop_add_fd(controller->loop, "control", px_link_fd(link), PX_READABLE, visitor_ready,
                       visitor, &visitor->source) != PX_OK) {
        px_link_close(link);
        free(visitor);
        return;
    }
    DL_APPEND(controller->visitors, visitor);
    if (controller->door_timer == NULL) {
        (void)px_loop_add_timer(controller->loop, "door", visitor->opened + DOOR_NS, 0, close_idle,
                                controller, &controller->door_timer);
    }
}

void px__hub_knock(void *context, int events)
{
    px_controller *controller = context;
    (void)events;
    for (int n = 0; n < 256; n++) {
        px_link *link = NULL;
        px_err err = px_link_accept(controller->control_fd, PX_LINK_MAX_UNTRUSTED, &link);
        if (err == PX_OK) {
            let_in(controller, link);
        } else if (err != PX_EPERM) { // of another user: closed already, the next one please
            if (err != PX_EAGAIN) {   // no descriptor is left: not before somebody goes
                controller->door_shut = true;
                px_source_set_events(controller->control_source, 0);
            }
            return;
        }
    }
}
