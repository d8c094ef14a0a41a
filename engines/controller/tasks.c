// tasks.c: load-balanced tasks between the relay and its scheduler.
//
// A task comes as one message, is kept (its frames by reference) until it is over, and goes to the
// engine that the scheduler names as an ordinary request. Its reply passes as any reply does,
// unless the scheduler wants to try again.

#include "peers.h"

#include "px/log.h"
#include "px/terms.h"

// px_body is a task's message behind its route frame.
typedef struct px_body {
    px_frames frames;
    uint16_t flags;
} px_body;

static void body_free(px_body *body)
{
    if (body != NULL) {
        px_frames_done(&body->frames);
        free(body);
    }
}

static void send(px_relay *relay, const px_sched_order *order)
{
    const px_body *body = order->payload;
    px_debtor *debtor = px__relay_debtor(relay, order->engine);
    px_peer *client = px__relay_client(relay, order->client);
    if (px_flight_add(debtor->flight, order->client, order->task) != PX_OK) {
        px_log_error("relay: out of memory for a task", "engine=%u", order->engine);
        return;
    }
    atomic_fetch_add(&debtor->tally->in_flight, 1);
    if (debtor->peer == NULL) {
        return; // its connection has ended: it is about to be declared dead, and this sent again
    }
    px_route route = {.kind = PX_ROUTE_REQUEST,
                      .flags = body->flags,
                      .client = order->client,
                      .task = order->task,
                      .n = 1};
    if (px__forward(&route, debtor->peer, &body->frames, 0, client) != PX_OK) {
        px_log_error("relay: out of memory for a task", "engine=%u", order->engine);
    }
}

// count_tasks shows how many tasks an engine has.
static void count_tasks(px_relay *relay, uint32_t engine)
{
    px_debtor *debtor = px__relay_debtor(relay, engine);
    if (debtor != NULL) {
        atomic_store(&debtor->tally->tasks, (unsigned)px_sched_held(relay->sched, engine));
    }
}

static const char *name_of(px_sched_why why)
{
    switch (why) {
    case PX_WHY_NO_ENGINE:
        return "NoEnginesRegistered";
    case PX_WHY_ABORTED:
        return "TaskAborted";
    case PX_WHY_TIMEOUT:
        return "TaskTimeout";
    case PX_WHY_IMPOSSIBLE:
        return "ImpossibleDependency";
    case PX_WHY_UNKNOWN:
        return "InvalidDependency";
    default:
        return "EngineError";
    }
}

static const char *words_of(px_sched_why why)
{
    switch (why) {
    case PX_WHY_NO_ENGINE:
        return "no engine that may run this task is left; `pxcluster restart` starts new ones";
    case PX_WHY_ABORTED:
        return "the task was aborted before it began";
    case PX_WHY_TIMEOUT:
        return "the task was not begun within its time limit";
    case PX_WHY_IMPOSSIBLE:
        return "a task that this one depends on did not end as it should, or they ran on different "
               "engines";
    case PX_WHY_UNKNOWN:
        return "this task depends on a task that was never submitted as a task by this client";
    default:
        return NULL; // the engine's own end
    }
}

static void fail(px_relay *relay, const px_sched_order *order)
{
    px_loss loss = {.task = order->task,
                    .engine = order->engine,
                    .has_engine = order->has_engine,
                    .ename = name_of(order->why),
                    .words = words_of(order->why)};
    if (order->why == PX_WHY_DIED) {
        loss.debtor = px__relay_debtor(relay, order->engine);
    }
    px__send_lost(relay, order->client, &loss);
}

void px__task_drop(const px_sched_order *order)
{
    body_free(order->payload);
}

static void time_is_up(void *context, px_ns now)
{
    px_relay *relay = context;
    px_timer_remove(relay->sched_timer);
    relay->sched_timer = NULL;
    px_sched_tick(relay->sched, now, &relay->orders);
    px__tasks_carry_out(relay);
}

// set_timer makes the next time limit fire.
static void set_timer(px_relay *relay)
{
    px_ns due = px_sched_due(relay->sched);
    if (due != 0 && relay->sched_timer != NULL) {
        px_timer_set(relay->sched_timer, due);
    } else if (due != 0) {
        (void)px_loop_add_timer(relay->loop, "tasks", due, 0, time_is_up, relay,
                                &relay->sched_timer);
    }
}

void px__tasks_carry_out(px_relay *relay)
{
    if (relay->orders.failed) {
        px_log_error("relay: out of memory for an order", "n=%zu", relay->orders.n);
        relay->orders.failed = false;
    }
    for (size_t i = 0; i < relay->orders.n; i++) {
        const px_sched_order *order = &relay->orders.items[i];
        if (order->has_engine) {
            count_tasks(relay, order->engine);
        }
        if (order->kind == PX_SCHED_SEND) {
            send(relay, order);
            continue;
        }
        if (order->kind == PX_SCHED_RECALL) {
            px__tell_recall(relay, order->engine, order->client, order->task);
            continue;
        }
        if (order->kind == PX_SCHED_FAIL) {
            fail(relay, order);
        }
        body_free(order->payload);
    }
    relay->orders.n = 0;
    atomic_store_explicit(&relay->n_waiting, px_sched_waiting(relay->sched), memory_order_relaxed);
    set_timer(relay);
}

// keep makes a body of the frames behind the route and the terms.
static px_err keep(const px_frames *frames, size_t first, uint16_t flags, px_body **ret_body)
{
    px_body *body = calloc(1, sizeof(*body));
    if (body == NULL) {
        return PX_ENOMEM;
    }
    body->flags = flags & (uint16_t)~PX_ROUTE_TERMS;
    px_err err = px_frames_share(&body->frames, frames, first, px_frames_count(frames) - first);
    if (err != PX_OK) {
        body_free(body);
        return err;
    }
    *ret_body = body;
    return PX_OK;
}

px_err px__task_came(px_peer *from, const px_route *route, const px_frames *frames,
                     px_error *reterr)
{
    px_relay *relay = from->relay;
    px_terms terms;
    px_body *body;
    bool has_terms = (route->flags & PX_ROUTE_TERMS) != 0;
    if (has_terms && px_terms_decode(px_frames_get(frames, 1), &terms) != PX_OK) {
        return px_error_set(reterr, PX_EFORMAT, "the terms of a task are malformed");
    }
    if (px_frames_count(frames) < PX_MESSAGE_FRAMES + (size_t)has_terms) {
        return px_error_set(reterr, PX_EFORMAT, "a task of %zu frames", px_frames_count(frames));
    }
    PX_AUTO_FREE uint32_t *targets = calloc((size_t)route->n + 1, sizeof(*targets));
    if (targets == NULL) {
        return px_error_set(reterr, PX_ENOMEM, "out of memory");
    }
    for (uint32_t i = 0; i < route->n; i++) {
        targets[i] = px_route_engine(route, i);
    }
    PX_TRY(keep(frames, has_terms ? 2 : 1, route->flags, &body));
    px_sched_task task = {.client = from->id,
                          .task = route->task,
                          .targets = targets,
                          .n_targets = route->n,
                          .terms = has_terms ? &terms : NULL,
                          .payload = body};
    px_err err = px_sched_submit(relay->sched, px_now(), &task, &relay->orders);
    if (err != PX_OK) {
        body_free(body);
        return px_error_set(reterr, err, "task %llu is not over yet",
                            (unsigned long long)route->task);
    }
    px__tasks_carry_out(relay);
    return PX_OK;
}
