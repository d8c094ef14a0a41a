// route.c: one message in, one or more out, by the route frame alone.
//
// A request for n engines arrives once and leaves n times: each copy has a route frame of its own
// and shares all other frames. Replies and outputs pass as they came. What a client sends cannot
// name another client, what an engine sends cannot name another engine: both are who their
// connection is.
//
// Order: messages of one sender to one receiver stay in order. A LOST comes after everything that
// the engine had written before its end.

#include "peers.h"

#include "px/json.h"
#include "px/log.h"

#include <stdio.h>

// active tells the admin, if it asked, that something goes on.
static void active(px_relay *relay)
{
    if (atomic_load_explicit(&relay->watched, memory_order_relaxed) &&
        atomic_exchange(&relay->watched, false)) {
        px_mailbox_post(relay->news, &relay->active.letter);
    }
}

static void put_number(px_jsonw *w, const char *key, int number)
{
    px_jsonw_key(w, key);
    if (number >= 0) {
        px_jsonw_int(w, number);
    } else {
        px_jsonw_null(w);
    }
}

// lost_content is the content of a LOST message.
static void lost_content(px_buf *out, const px_loss *loss)
{
    char text[640];
    const px_debtor *debtor = loss->debtor;
    const char *cause = debtor != NULL ? debtor->cause : loss->words;
    if (debtor != NULL) {
        (void)snprintf(text, sizeof(text), "engine %u: %s", loss->engine,
                       cause != NULL ? cause : "its process ended");
    } else {
        (void)snprintf(text, sizeof(text), "%s", cause);
    }
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "error");
    px_jsonw_key_string(&w, "ename", debtor != NULL ? "EngineError" : loss->ename);
    px_jsonw_key_string(&w, "evalue", text);
    px_jsonw_key(&w, "traceback");
    px_jsonw_array(&w);
    px_jsonw_end_array(&w);
    px_jsonw_key(&w, "engine");
    if (loss->has_engine) {
        px_jsonw_int(&w, loss->engine);
    } else {
        px_jsonw_null(&w);
    }
    put_number(&w, "signal", debtor != NULL ? debtor->signal : -1);
    put_number(&w, "code", debtor != NULL ? debtor->code : -1);
    px_jsonw_key_string(&w, "cause", cause);
    px_jsonw_end_object(&w);
}

// tell_loss sends a LOST message to a client that is there.
static void tell_loss(px_peer *client, const px_loss *loss, px_slice content)
{
    PX_AUTO_FRAMES frames = {0};
    px_outgoing message = {.msg_type = "error", .content = content};
    px_route to = {
        .kind = PX_ROUTE_LOST, .client = client->id, .task = loss->task, .n = loss->has_engine};
    if (px_route_push(&frames, &to, &loss->engine) != PX_OK) {
        return;
    }
    if (px_session_compose(client->relay->session, &message, &frames) == PX_OK) {
        px__relay_send(client, &frames, NULL);
    }
}

void px__send_lost(px_relay *relay, uint32_t client_id, const px_loss *loss)
{
    px_peer *client = px__relay_client(relay, client_id);
    PX_AUTO_BUF content = {0};
    if (client == NULL && relay->keeper == NULL) {
        return;
    }
    lost_content(&content, loss);
    if (px_buf_status(&content) != PX_OK) {
        return;
    }
    if (client != NULL) {
        tell_loss(client, loss, px_buf_slice(&content));
    }
    if (relay->keeper != NULL) {
        const px_passed passed = {.client = client_id,
                                  .engine = loss->has_engine ? loss->engine : PX_NOWHERE,
                                  .task = loss->task,
                                  .delivered = client != NULL};
        px_keeper_lost(relay->keeper, &passed, px_buf_slice(&content));
    }
    if (client == NULL) {
        px_sched_client_left(relay->sched, client_id);
    }
}

void px__route_lost(px_relay *relay, px_debtor *debtor)
{
    uint32_t client_id;
    uint64_t task;
    while (px_flight_next(debtor->flight, &client_id, &task)) {
        atomic_fetch_sub(&debtor->tally->in_flight, 1);
        if (px_sched_has(relay->sched, client_id, task)) {
            continue; // the scheduler's to settle
        }
        atomic_fetch_add(&debtor->tally->failed, 1);
        px__send_lost(
            relay, client_id,
            &(px_loss){.task = task, .engine = debtor->id, .has_engine = true, .debtor = debtor});
    }
    active(relay);
}

px_err px__forward(const px_route *route, px_peer *to, const px_frames *frames, size_t first,
                   px_peer *source)
{
    PX_AUTO_FRAMES copy = {0};
    PX_AUTO_FRAMES body = {0};
    px_route own = *route;
    if (to->far && (route->flags & PX_ROUTE_SEGMENTS) != 0) {
        PX_TRY(px_frames_share(&body, frames, first, px_frames_count(frames) - first));
        px__inline(&own, to, &body);
        frames = &body;
        first = 0;
    }
    PX_TRY(px_route_push(&copy, &own, &to->id));
    PX_TRY(px_frames_share(&copy, frames, first, px_frames_count(frames) - first));
    px__relay_send(to, &copy, source);
    return PX_OK;
}

// forward sends a client's message to one engine under a route frame of its own.
static px_err forward(px_peer *from, const px_route *route, px_peer *to, const px_frames *frames)
{
    px_route own = *route;
    own.client = from->id;
    own.n = 1;
    return px__forward(&own, to, frames, 1, from);
}

// release tells an engine that nobody will map the segments of its replies to a client any more: of
// one task, or of all (task 0). flags LENT: and that nobody maps them.
static void release(px_peer *engine, uint32_t client, uint64_t task, uint16_t flags)
{
    px_route route = {
        .kind = PX_ROUTE_RELEASE, .flags = flags, .client = client, .task = task, .n = 1};
    PX_AUTO_FRAMES frames = {0};
    if (px_route_push(&frames, &route, &engine->id) != PX_OK) {
        return;
    }
    px__relay_send(engine, &frames, NULL);
}

void px__route_release(px_relay *relay, uint32_t engine, uint32_t client, uint64_t task,
                       uint16_t flags)
{
    px_debtor *debtor, *next;
    if (engine != UINT32_MAX) {
        debtor = px__relay_debtor(relay, engine);
        if (debtor != NULL && debtor->peer != NULL) {
            release(debtor->peer, client, task, flags);
        }
        return;
    }
    HASH_ITER (hh, relay->debtors, debtor, next) {
        if (debtor->peer != NULL) {
            release(debtor->peer, client, task, flags);
        }
    }
}

// nobody_answers is the answer to what a client that has left was asked: for one task, or for all
// (task 0).
static void nobody_answers(px_peer *engine, uint32_t client, uint64_t task)
{
    const px_outgoing message = {
        .msg_type = "input_reply",
        .content = PX_SLICE_LITERAL(
            "{\"value\":\"\\u0004\",\"why\":\"who sent this has left the cluster: nobody "
            "answers\"}")};
    px_route route = {.kind = PX_ROUTE_STDIN, .client = client, .task = task, .n = 1};
    PX_AUTO_FRAMES frames = {0};
    if (px_route_push(&frames, &route, &engine->id) != PX_OK) {
        return;
    }
    if (px_session_compose(engine->relay->session, &message, &frames) == PX_OK) {
        px__relay_send(engine, &frames, NULL);
    }
}

static void all_unanswered(px_relay *relay, uint32_t client)
{
    px_debtor *debtor, *next;
    HASH_ITER (hh, relay->debtors, debtor, next) {
        if (debtor->peer != NULL) {
            nobody_answers(debtor->peer, client, 0);
        }
    }
}

void px__client_left(px_relay *relay, const px_peer *client)
{
    if (relay->keeper != NULL) { // it has what it wants of their segments before they go
        const px_passed passed = {
            .kind = PX_KEPT_CLIENT_GONE, .client = client->id, .urgent = client->got_segments};
        px_keeper_pass(relay->keeper, &passed, NULL);
        px_sched_client_left(relay->sched, client->id);
    } else {
        if (client->got_segments) {
            px__route_release(relay, UINT32_MAX, client->id, 0, 0);
        }
        px_sched_client_gone(relay->sched, px_now(), client->id, &relay->orders);
    }
    if (client->was_asked) {
        all_unanswered(relay, client->id);
    }
    px__tasks_carry_out(relay);
}

static const char *no_engine(uint32_t engine, char *text, size_t size)
{
    (void)snprintf(text, size,
                   "there is no engine %u in this cluster (ids are never used again; rc.ids lists "
                   "those that live)",
                   engine);
    return text;
}

static void request_one(px_peer *from, const px_route *route, uint32_t engine,
                        const px_frames *frames)
{
    char text[160];
    px_debtor *debtor = px__relay_debtor(from->relay, engine);
    if (debtor != NULL && !debtor->connected) {
        debtor = NULL; // ordered, but nobody can know its id yet
    }
    if (debtor == NULL || debtor->dead) {
        px__send_lost(from->relay, from->id,
                      &(px_loss){.task = route->task,
                                 .engine = engine,
                                 .has_engine = true,
                                 .debtor = debtor,
                                 .ename = "EngineError",
                                 .words = no_engine(engine, text, sizeof(text))});
        return;
    }
    if (px_flight_add(debtor->flight, from->id, route->task) != PX_OK) {
        px_log_error("relay: out of memory for a request", "engine=%u", engine);
        return;
    }
    atomic_fetch_add(&debtor->tally->in_flight, 1);
    px_sched_direct(from->relay->sched, engine);
    // Without a connection it is about to be declared dead, with all it owes: LOST follows.
    if (debtor->peer != NULL && forward(from, route, debtor->peer, frames) != PX_OK) {
        px_log_error("relay: out of memory for a request", "engine=%u", engine);
    }
}

// keep_request hands a request to px-store, before its loss can be.
static void keep_request(const px_peer *from, const px_frames *frames)
{
    if (from->relay->keeper != NULL) {
        const px_passed passed = {.kind = PX_KEPT_REQUEST, .client = from->id};
        px_keeper_pass(from->relay->keeper, &passed, frames);
    }
}

// fetch hands px-store the wish for another's result. Where nothing is kept there is none.
static void fetch(px_peer *from, const px_route *route, const px_frames *frames)
{
    if (from->relay->keeper == NULL) {
        px__send_lost(from->relay, from->id,
                      &(px_loss){.task = route->task,
                                 .ename = "KeyError",
                                 .words = "this cluster keeps no results: it was started with "
                                          "--results none"});
        return;
    }
    const px_passed passed = {
        .kind = PX_KEPT_FETCH, .client = from->id, .task = route->task, .urgent = true};
    px_keeper_pass(from->relay->keeper, &passed, frames);
}

// release_kept lets px-store have a reply's segments before their engine closes them, and let go of
// them before it fills them again: it is told to by px-store, in turn.
static bool release_kept(px_peer *from, const px_route *route)
{
    if (from->relay->keeper == NULL || route->n != 1) {
        return false;
    }
    bool returned = (route->flags & PX_ROUTE_LENT) != 0;
    const px_passed passed = {.kind = returned ? PX_KEPT_RETURN : PX_KEPT_RELEASE,
                              .client = from->id,
                              .engine = px_route_engine(route, 0),
                              .task = route->task,
                              .urgent = true};
    px_keeper_pass(from->relay->keeper, &passed, NULL);
    return true;
}

static px_err from_client(px_peer *from, const px_route *route, const px_frames *frames,
                          px_error *reterr)
{
    switch (route->kind) {
    case PX_ROUTE_REQUEST:
        keep_request(from, frames);
        if ((route->flags & PX_ROUTE_INIT) != 0) {
            px__init_keep(from->relay, frames);
        }
        for (uint32_t i = 0; i < route->n; i++) {
            request_one(from, route, px_route_engine(route, i), frames);
        }
        active(from->relay);
        return PX_OK;
    case PX_ROUTE_TASK:
        keep_request(from, frames);
        PX_TRY(px__task_came(from, route, frames, reterr));
        active(from->relay);
        return PX_OK;
    case PX_ROUTE_FETCH:
        fetch(from, route, frames);
        return PX_OK;
    case PX_ROUTE_RELEASE:
        if (release_kept(from, route)) {
            return PX_OK;
        }
        [[fallthrough]];
    case PX_ROUTE_STDIN: {
        px_debtor *debtor =
            route->n == 1 ? px__relay_debtor(from->relay, px_route_engine(route, 0)) : NULL;
        return debtor != NULL && debtor->peer != NULL
                   ? forward(from, route, debtor->peer, frames)
                   : PX_OK; // the one who asked, or holds the segments, is gone
    }
    default:
        return px_error_set(reterr, PX_EFORMAT, "a client sent a message of kind %u", route->kind);
    }
}

// ending_of tells how a reply ends its request. Only that to a task which was asked back or aborted
// is looked into: the engine's word for "not begun" is always these bytes (kernel/io/abort.c).
static px_ending ending_of(const px_relay *relay, const px_route *route, const px_frames *frames)
{
    if (px_sched_recalled(relay->sched, route->client, route->task) &&
        px_slice_equal(px_frames_get(frames, PX_MESSAGE_FRAMES - 1),
                       PX_SLICE_LITERAL("{\"status\":\"aborted\"}"))) {
        return PX_ENDED_RETURNED;
    }
    return (route->flags & PX_ROUTE_FAILED) != 0 ? PX_ENDED_FAILED : PX_ENDED_WELL;
}

// settle takes a reply off what its engine owes; false when it goes no further.
static bool settle(px_peer *from, const px_route *route, const px_frames *frames)
{
    px_relay *relay = from->relay;
    px_debtor *debtor = px__relay_debtor(relay, from->id);
    px_ending how = ending_of(relay, route, frames);
    if (!px_flight_take(debtor->flight, route->client, route->task)) {
        px_log_debug("relay: reply to nothing", "engine=%u", from->id);
        return false;
    }
    atomic_fetch_sub(&debtor->tally->in_flight, 1);
    if (how != PX_ENDED_RETURNED) {
        atomic_fetch_add(&debtor->tally->done, 1);
    }
    if (how == PX_ENDED_FAILED) {
        atomic_fetch_add(&debtor->tally->failed, 1);
    }
    px_sched_order reply = {.client = route->client, .engine = from->id, .task = route->task};
    px_verdict verdict = px_sched_reply(relay->sched, px_now(), &reply, how, &relay->orders);
    if (relay->orders.n > 0) {
        px__tasks_carry_out(relay);
    }
    active(relay);
    return verdict == PX_VERDICT_FORWARD;
}

// pass_on gives an engine's message to its client, and what is to be kept to px-store.
static void pass_on(px_peer *from, const px_route *route, const px_frames *frames)
{
    px_relay *relay = from->relay;
    px_peer *client = px__relay_client(relay, route->client);
    bool reply = route->kind == PX_ROUTE_REPLY;
    bool segments = reply && (route->flags & PX_ROUTE_SEGMENTS) != 0;
    bool asks = route->kind == PX_ROUTE_STDIN;
    if (client != NULL) {
        px__relay_send(client, frames, from);
        client->got_segments |= segments;
        client->was_asked |= asks;
    } else if (asks) {
        nobody_answers(from, route->client, route->task);
    }
    if (relay->keeper == NULL) {
        if (client == NULL && segments) {
            release(from, route->client, route->task, route->flags & PX_ROUTE_LENT);
        }
        return;
    }
    if (reply || route->kind == PX_ROUTE_OUTPUT) {
        const px_passed passed = {.kind = reply ? PX_KEPT_REPLY : PX_KEPT_OUTPUT,
                                  .client = route->client,
                                  .engine = from->id,
                                  .task = route->task,
                                  .delivered = client != NULL,
                                  .failed = (route->flags & PX_ROUTE_FAILED) != 0,
                                  .urgent = segments};
        px_keeper_pass(relay->keeper, &passed, frames);
    }
    if (reply && client == NULL) {
        px_sched_client_left(relay->sched, route->client);
    }
}

static px_err from_engine(px_peer *from, const px_route *route, const px_frames *frames,
                          px_error *reterr)
{
    bool known = route->kind == PX_ROUTE_REPLY || route->kind == PX_ROUTE_OUTPUT ||
                 route->kind == PX_ROUTE_STDIN || route->kind == PX_ROUTE_RELEASE;
    bool segments = route->kind == PX_ROUTE_REPLY && (route->flags & PX_ROUTE_SEGMENTS) != 0;
    if (!known || route->n != 1 || px_route_engine(route, 0) != from->id) {
        return px_error_set(reterr, PX_EFORMAT, "an engine sent a message of kind %u for another",
                            route->kind);
    }
    if (route->client == 0 && route->kind == PX_ROUTE_REPLY &&
        (route->flags & PX_ROUTE_FAILED) != 0) {
        px__tell_init_failed(from->relay, from->id);
    }
    if (route->kind != PX_ROUTE_REPLY || settle(from, route, frames)) {
        pass_on(from, route, frames);
    } else if (segments) {
        release(from, route->client, route->task, route->flags & PX_ROUTE_LENT);
    }
    return PX_OK;
}

px_err px__route(px_peer *from, px_frames *frames, px_error *reterr)
{
    px_route route;
    size_t n = px_frames_count(frames);
    if (n == 0 || px_route_decode(px_frames_get(frames, 0), &route) != PX_OK) {
        return px_error_set(reterr, PX_EFORMAT, "the route frame is malformed");
    }
    if (n < PX_MESSAGE_FRAMES && route.kind != PX_ROUTE_RELEASE) {
        return px_error_set(reterr, PX_EFORMAT, "a message of %zu frames, %d at least are needed",
                            n, PX_MESSAGE_FRAMES);
    }
    return from->role == PX_ROLE_CLIENT ? from_client(from, &route, frames, reterr)
                                        : from_engine(from, &route, frames, reterr);
}
