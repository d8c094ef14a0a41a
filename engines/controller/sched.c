// sched.c: the life of a task.
//
//   submit ─→ WAITING ─its dependencies end→ READY ─an engine has room→ SENT ─reply→ over
//                │                            (PICKY: only some engines)  │
//                └─ time, abort, impossible ──────────→ over              └─ its engine died, or
//                                                                            the reply failed and
//                                                                            retries are left:
//                                                                            READY, first
//
// One place decides: `place`, called at the end of each event, fills engines while there is room.
// Room is one task; or, when the tasks of a client are measured to be short, as many as make about
// LOOKAHEAD of work, and one more where they take a few times that, so that an engine does not wait
// for us between two of them (12 us a task become 0.3 us) and yet nothing long is stuck behind
// something longer.
//
// What was sent ahead may turn out to stand behind something long, while others have nothing to do:
// then it is asked back (RECALL), and goes to one of those.
//
// A task that kills its engine would kill them all if it were simply tried again: the first one in
// an engine's list is taken to be the one that it ran, and is tried once more; those behind it had
// not begun and are sent elsewhere as if nothing had been.
//
// Order: tasks of one client start in the order in which they became ready; those tried again come
// first.

#include "sched_parts.h"

#include "px/own.h"

#include <string.h>

#define LOOKAHEAD_NS (5 * PX_NS_PER_MS)
#define ONE_AHEAD_NS (20 * PX_NS_PER_MS) // tasks up to this long: one more than the engine runs
#define MOST_DEATHS 2 // of engines that ran a task, before it is given up, retries not counted

px_err px_sched_new(px_sched **ret_sched)
{
    px_sched *sched = calloc(1, sizeof(*sched));
    if (sched == NULL) {
        return PX_ENOMEM;
    }
    *ret_sched = sched;
    return PX_OK;
}

void px_sched_free(px_sched *sched)
{
    if (sched == NULL) {
        return;
    }
    while (sched->queues != NULL) {
        px__queue_free(sched, sched->queues);
    }
    for (size_t i = 0; i < sched->n_worker_slots; i++) {
        free(sched->workers[i]);
    }
    free(sched->workers);
    free(sched->table);
    free(sched);
}

// --- queues --------------------------------------------------------------------------------------

static void turn_join(px_sched *sched, px_queue *queue)
{
    if (queue->in_turn) {
        return;
    }
    queue->in_turn = true;
    if (sched->turn == NULL) {
        queue->turn_next = queue->turn_prev = queue;
        sched->turn = queue;
        return;
    }
    queue->turn_next = sched->turn;
    queue->turn_prev = sched->turn->turn_prev;
    queue->turn_prev->turn_next = queue;
    queue->turn_next->turn_prev = queue;
}

static void turn_leave(px_sched *sched, px_queue *queue)
{
    if (!queue->in_turn) {
        return;
    }
    queue->in_turn = false;
    if (queue->turn_next == queue) {
        sched->turn = NULL;
        return;
    }
    queue->turn_prev->turn_next = queue->turn_next;
    queue->turn_next->turn_prev = queue->turn_prev;
    if (sched->turn == queue) {
        sched->turn = queue->turn_next;
    }
}

static void limit(px_sched *sched, px_task *task)
{
    if (task->deadline == 0 || task->limited) {
        return;
    }
    task->limited = true;
    task->limited_prev = NULL;
    task->limited_next = sched->limited;
    if (sched->limited != NULL) {
        sched->limited->limited_prev = task;
    }
    sched->limited = task;
}

static void unlimit(px_sched *sched, px_task *task)
{
    if (!task->limited) {
        return;
    }
    task->limited = false;
    if (task->limited_prev != NULL) {
        task->limited_prev->limited_next = task->limited_next;
    } else {
        sched->limited = task->limited_next;
    }
    if (task->limited_next != NULL) {
        task->limited_next->limited_prev = task->limited_prev;
    }
}

// enqueue makes a task ready; first: it has waited for its turn before.
static void enqueue(px_sched *sched, px_task *task, bool first)
{
    px_queue *queue = px__queue(sched, task->client);
    px_task_list *list = task->targets != NULL ? &sched->picky : &queue->ready;
    task->state = task->targets != NULL ? PX_TASK_PICKY : PX_TASK_READY;
    if (first) {
        px__list_prepend(list, task);
    } else {
        px__list_append(list, task);
    }
    if (task->targets == NULL) {
        turn_join(sched, queue);
    }
}

// withdraw takes a task out of whatever list its state says.
static void withdraw(px_sched *sched, px_task *task)
{
    px_queue *queue = px__queue(sched, task->client);
    if (task->state == PX_TASK_READY) {
        px__list_remove(&queue->ready, task);
        if (queue->ready.n == 0) {
            turn_leave(sched, queue);
        }
    } else if (task->state == PX_TASK_PICKY) {
        px__list_remove(&sched->picky, task);
    } else if (task->state == PX_TASK_SENT) {
        px__list_remove(&px__worker(sched, task->engine)->sent, task);
    }
    if (task->state != PX_TASK_SENT) {
        sched->n_waiting--;
        unlimit(sched, task);
    }
}

static void order(px_sched_orders *orders, const px_task *task, px_sched_kind kind,
                  px_sched_why why)
{
    px__orders_add(orders, &(px_sched_order){.kind = kind,
                                             .why = why,
                                             .client = task->client,
                                             .engine = task->engine,
                                             .has_engine = task->has_engine,
                                             .task = task->id,
                                             .payload = task->payload});
}

// --- the end of a task ---------------------------------------------------------------------------

// bury_one: a task that is in no list any more is over.
static void bury_one(px_sched *sched, px_task *task, px_sched_kind kind, px_sched_why why,
                     px_sched_orders *orders)
{
    px_queue *queue = px__queue(sched, task->client);
    order(orders, task, kind, why);
    px__deps_remember(queue, task);
    px__task_take(sched, task);
    queue->n_tasks--;
}

// end finishes a task that is in no list, and whoever fails because of it, one after the other.
static void end(px_sched *sched, px_task *task, px_sched_kind kind, px_sched_why why,
                px_sched_orders *orders)
{
    px_task_list ending = {0}, met = {0};
    task->failed |= kind == PX_SCHED_FAIL;
    bury_one(sched, task, kind, why, orders);
    px__deps_ended(task, &met, &ending);
    px__task_release(task);
    while (ending.first != NULL) {
        px_task *next = ending.first;
        px__list_remove(&ending, next);
        sched->n_waiting--;
        unlimit(sched, next);
        next->failed = true;
        bury_one(sched, next, PX_SCHED_FAIL, PX_WHY_IMPOSSIBLE, orders);
        px__deps_ended(next, &met, &ending);
        px__task_release(next);
    }
    while (met.first != NULL) {
        px_task *ready = met.first;
        px__list_remove(&met, ready);
        enqueue(sched, ready, false);
    }
}

static void fail(px_sched *sched, px_task *task, px_sched_why why, px_sched_orders *orders)
{
    withdraw(sched, task);
    end(sched, task, PX_SCHED_FAIL, why, orders);
}

// --- placement -----------------------------------------------------------------------------------

static size_t room_for(const px_queue *queue)
{
    if (queue->task_ns == 0 || queue->task_ns > ONE_AHEAD_NS) {
        return 1;
    }
    if (queue->task_ns > LOOKAHEAD_NS) {
        return 2; // an engine need not wait for our answer to its last one
    }
    size_t room = (size_t)(LOOKAHEAD_NS / queue->task_ns) + 1;
    return room < PX_MOST_AHEAD ? room : PX_MOST_AHEAD;
}

static void send(px_sched *sched, px_ns now, px_task *task, px_worker *worker,
                 px_sched_orders *orders)
{
    withdraw(sched, task);
    task->state = PX_TASK_SENT;
    task->recalled = false;
    task->engine = worker->engine;
    task->has_engine = true;
    task->sent = now;
    px__list_append(&worker->sent, task);
    px__worker_load(sched, worker, worker->load + 1);
    order(orders, task, PX_SCHED_SEND, PX_WHY_NONE);
}

// best_of is the least loaded of a task's engines; ret_any tells if one lives at all.
static px_worker *best_of(const px_sched *sched, const px_task *task, bool *ret_any)
{
    px_worker *best = NULL;
    for (size_t i = 0; i < task->n_targets; i++) {
        px_worker *worker = px__worker(sched, task->targets[i]);
        if (worker != NULL && (best == NULL || worker->load < best->load)) {
            best = worker;
        }
    }
    *ret_any = best != NULL;
    return best != NULL && best->load < room_for(px__queue(sched, task->client)) ? best : NULL;
}

static void place_picky(px_sched *sched, px_ns now, px_sched_orders *orders)
{
    px_task *next;
    for (px_task *task = sched->picky.first; task != NULL; task = next) {
        bool any;
        next = task->next;
        px_worker *worker = best_of(sched, task, &any);
        if (worker != NULL) {
            send(sched, now, task, worker, orders);
        } else if (!any) {
            fail(sched, task, PX_WHY_NO_ENGINE, orders);
            next = sched->picky.first; // others may have failed with it
        }
    }
}

// next_unsent is a task that no engine has and that waits for one; NULL: there is none.
static px_task *next_unsent(const px_sched *sched)
{
    if (sched->picky.first != NULL) {
        return sched->picky.first;
    }
    return sched->turn != NULL ? sched->turn->ready.first : NULL;
}

// fail_all fails every task that no engine has, and those that become ready by that.
static void fail_all(px_sched *sched, px_sched_why why, px_sched_orders *orders)
{
    px_task *task;
    while ((task = next_unsent(sched)) != NULL) {
        fail(sched, task, why, orders);
    }
}

// behind tells if a worker has tasks that wait for the one it runs.
static bool behind(const px_worker *worker)
{
    return worker->sent.n >= 2 && !worker->sent.last->recalled;
}

static bool anybody_behind(const px_sched *sched)
{
    for (size_t load = 2; load <= PX_MOST_AHEAD; load++) {
        const px_worker *first = sched->by_load[load], *worker = first;
        while (worker != NULL) {
            if (behind(worker)) {
                return true;
            }
            worker = worker->next != first ? worker->next : NULL;
        }
    }
    return false;
}

// watch_balance sees that somebody looks when an engine idles and another is behind.
static void watch_balance(px_sched *sched, px_ns now)
{
    if (sched->by_load[0] == NULL || !anybody_behind(sched)) {
        sched->rebalance = 0;
    } else if (sched->rebalance == 0) {
        sched->rebalance = now + LOOKAHEAD_NS;
    }
}

// recall asks a worker for the tasks at its end, as many as others could begin now.
static void recall(px_sched_orders *orders, const px_worker *worker, size_t n)
{
    px_task *task = worker->sent.last;
    for (; n > 0 && task != worker->sent.first && !task->recalled; task = task->prev, n--) {
        task->recalled = true;
        order(orders, task, PX_SCHED_RECALL, PX_WHY_NONE);
    }
}

static void rebalance(px_sched *sched, px_ns now, px_sched_orders *orders)
{
    size_t idle = 0;
    const px_worker *first = sched->by_load[0];
    for (const px_worker *w = first; w != NULL; w = w->next != first ? w->next : NULL) {
        idle++;
    }
    for (size_t i = 0; i < sched->n_worker_slots && idle > 0; i++) {
        const px_worker *worker = sched->workers[i];
        if (worker == NULL || !behind(worker)) {
            continue;
        }
        px_ns begun = worker->sent.first->sent > worker->last_reply ? worker->sent.first->sent
                                                                    : worker->last_reply;
        if (now >= begun + LOOKAHEAD_NS) {
            recall(orders, worker, idle);
        }
    }
    sched->rebalance = 0;
}

// next_with_room is the first client in turn that may send to an engine with that load.
static px_queue *next_with_room(const px_sched *sched, size_t load)
{
    px_queue *queue = sched->turn;
    do {
        if (load < room_for(queue)) {
            return queue;
        }
        queue = queue->turn_next;
    } while (queue != sched->turn);
    return NULL;
}

static void place(px_sched *sched, px_ns now, px_sched_orders *orders)
{
    if (sched->hopeless) {
        fail_all(sched, PX_WHY_NO_ENGINE, orders);
    }
    if (sched->picky.first != NULL) {
        place_picky(sched, now, orders);
    }
    px_worker *worker;
    while (sched->turn != NULL && (worker = px__worker_least(sched)) != NULL) {
        px_queue *queue = next_with_room(sched, worker->load);
        if (queue == NULL) {
            break; // nobody's tasks are short enough for more
        }
        sched->turn = queue->turn_next;
        send(sched, now, queue->ready.first, worker, orders);
    }
    watch_balance(sched, now);
}

// --- events --------------------------------------------------------------------------------------

static px_err new_task(const px_sched_task *given, px_ns now, px_task **ret_task)
{
    px_task *task = calloc(1, sizeof(*task));
    if (task == NULL) {
        return PX_ENOMEM;
    }
    task->client = given->client;
    task->id = given->task;
    task->state = PX_TASK_WAITING;
    task->payload = given->payload;
    if (given->terms != NULL) {
        task->retries = given->terms->retries;
        task->deadline = given->terms->timeout_ms == 0
                             ? 0
                             : now + (px_ns)given->terms->timeout_ms * PX_NS_PER_MS;
    }
    if (given->n_targets > 0) {
        task->targets = malloc(given->n_targets * sizeof(*task->targets));
        if (task->targets == NULL) {
            free(task);
            return PX_ENOMEM;
        }
        memcpy(task->targets, given->targets, given->n_targets * sizeof(*task->targets));
        task->n_targets = given->n_targets;
    }
    *ret_task = task;
    return PX_OK;
}

px_err px_sched_submit(px_sched *sched, px_ns now, const px_sched_task *given,
                       px_sched_orders *orders)
{
    px_task *task;
    px_queue *queue;
    px_sched_why why = PX_WHY_NONE;
    if (px__task_find(sched, given->client, given->task) != NULL) {
        return PX_EEXIST;
    }
    PX_TRY(px__queue_make(sched, given->client, &queue));
    PX_TRY(new_task(given, now, &task));
    px_err err = px__task_put(sched, task);
    if (err != PX_OK) {
        free(task->targets);
        free(task);
        return err;
    }
    queue->n_tasks++;
    sched->n_waiting++;
    limit(sched, task);
    err = px__deps_join(sched, task, given->terms, &why);
    if (err != PX_OK) { // some of its edges exist: it ends like any other, but for the payload
        task->payload = NULL;
        fail(sched, task, PX_WHY_IMPOSSIBLE, orders);
        orders->n--; // said by the error
        return err;
    }
    if (why == PX_WHY_NONE && sched->hopeless) {
        why = PX_WHY_NO_ENGINE;
    }
    if (why != PX_WHY_NONE) {
        fail(sched, task, why, orders);
    } else if (px__deps_met(task)) {
        enqueue(sched, task, false);
    }
    place(sched, now, orders);
    return PX_OK;
}

void px_sched_engine_up(px_sched *sched, px_ns now, uint32_t engine, px_sched_orders *orders)
{
    if (px__worker_add(sched, engine) == PX_ENOMEM) {
        orders->failed = true;
    }
    sched->hopeless = false;
    place(sched, now, orders);
}

void px_sched_engine_down(px_sched *sched, px_ns now, uint32_t engine, px_sched_orders *orders)
{
    px_worker *worker = px__worker(sched, engine);
    if (worker == NULL) {
        return;
    }
    px_task *running = worker->sent.first;
    while (worker->sent.last != NULL) { // from the end, so that their order is kept in front
        px_task *task = worker->sent.last;
        px__list_remove(&worker->sent, task);
        bool ran = task == running;
        task->deaths += ran;
        bool again = !task->aborted && (!ran || task->deaths < MOST_DEATHS || task->retries > 0);
        if (again && ran && task->deaths >= MOST_DEATHS) {
            task->retries--;
        }
        if (again) {
            sched->n_waiting++;
            enqueue(sched, task, true);
        } else {
            end(sched, task, PX_SCHED_FAIL, task->aborted ? PX_WHY_ABORTED : PX_WHY_DIED, orders);
        }
    }
    px__worker_remove(sched, worker);
    place(sched, now, orders);
}

void px_sched_direct(px_sched *sched, uint32_t engine)
{
    px_worker *worker = px__worker(sched, engine);
    if (worker != NULL) {
        px__worker_load(sched, worker, worker->load + 1);
    }
}

// measure updates what a client's tasks take. Longer is believed sooner than shorter.
static void measure(px_queue *queue, const px_worker *worker, const px_task *task, px_ns now)
{
    px_ns begun = task->sent > worker->last_reply ? task->sent : worker->last_reply;
    px_ns took = now > begun ? now - begun : 1;
    if (queue->task_ns == 0) {
        queue->task_ns = took;
    } else if (took > queue->task_ns) {
        queue->task_ns += (took - queue->task_ns) / 4;
    } else {
        queue->task_ns -= (queue->task_ns - took) / 16;
    }
}

// answered decides about a task whose engine has answered; it is in no list.
static px_verdict answered(px_sched *sched, px_task *task, px_ending how, px_sched_orders *orders)
{
    bool returned = how == PX_ENDED_RETURNED && task->recalled && !task->aborted;
    bool again = how == PX_ENDED_FAILED && task->retries > 0 && !task->aborted;
    if (returned || again) {
        task->retries -= again;
        sched->n_waiting++;
        enqueue(sched, task, true);
        return PX_VERDICT_SWALLOW;
    }
    task->failed = how != PX_ENDED_WELL;
    end(sched, task, PX_SCHED_DROP, PX_WHY_NONE, orders);
    return PX_VERDICT_FORWARD;
}

px_verdict px_sched_reply(px_sched *sched, px_ns now, const px_sched_order *reply, px_ending how,
                          px_sched_orders *orders)
{
    px_worker *worker = px__worker(sched, reply->engine);
    px_task *task = px__task_find(sched, reply->client, reply->task);
    px_verdict verdict = PX_VERDICT_FORWARD;
    if (worker != NULL && worker->load > 0) {
        px__worker_load(sched, worker, worker->load - 1);
    }
    if (worker != NULL && task != NULL && task->state == PX_TASK_SENT &&
        task->engine == reply->engine) {
        if (how != PX_ENDED_RETURNED) {
            measure(px__queue(sched, task->client), worker, task, now);
        }
        px__list_remove(&worker->sent, task);
        verdict = answered(sched, task, how, orders);
    }
    if (worker != NULL && how != PX_ENDED_RETURNED) {
        worker->last_reply = now;
    }
    place(sched, now, orders);
    return verdict;
}

void px_sched_abort(px_sched *sched, px_ns now, uint32_t client, uint64_t id,
                    px_sched_orders *orders)
{
    px_task *task = px__task_find(sched, client, id);
    if (task == NULL) {
        return;
    }
    if (task->state == PX_TASK_SENT) {
        task->aborted = true; // its engine answers
        return;
    }
    fail(sched, task, PX_WHY_ABORTED, orders);
    place(sched, now, orders);
}

// gather takes all tasks of a client out of every list, into one.
static void gather(px_sched *sched, uint32_t client, px_task_list *ret_list)
{
    for (size_t i = 0; i < sched->table_size; i++) {
        for (px_task *task = sched->table[i]; task != NULL; task = task->hash_next) {
            if (task->client == client) {
                withdraw(sched, task);
                task->state = PX_TASK_OVER; // so that nobody's end lets it go on
                px__list_append(ret_list, task);
            }
        }
    }
}

void px_sched_client_gone(px_sched *sched, px_ns now, uint32_t client, px_sched_orders *orders)
{
    px_queue *queue = px__queue(sched, client);
    px_task_list all = {0}, none = {0};
    if (queue == NULL) {
        return;
    }
    gather(sched, client, &all);
    while (all.first != NULL) {
        px_task *task = all.first;
        px__list_remove(&all, task);
        bury_one(sched, task, PX_SCHED_DROP, PX_WHY_NONE, orders);
        px__deps_ended(task, &none, &none);
        px__task_release(task);
    }
    turn_leave(sched, queue);
    px__queue_free(sched, queue);
    place(sched, now, orders);
}

void px_sched_client_left(px_sched *sched, uint32_t client)
{
    px_queue *queue = px__queue(sched, client);
    if (queue != NULL && queue->n_tasks == 0) {
        turn_leave(sched, queue);
        px__queue_free(sched, queue);
    }
}

void px_sched_hopeless(px_sched *sched, px_ns now, bool hopeless, px_sched_orders *orders)
{
    sched->hopeless = hopeless && sched->n_workers == 0;
    place(sched, now, orders);
}

void px_sched_tick(px_sched *sched, px_ns now, px_sched_orders *orders)
{
    for (px_task *task = sched->limited; task != NULL;) {
        px_task *next = task->limited_next;
        if (task->deadline <= now) {
            fail(sched, task, PX_WHY_TIMEOUT, orders);
            next = sched->limited; // others may have failed with it
        }
        task = next;
    }
    if (sched->rebalance != 0 && sched->rebalance <= now) {
        rebalance(sched, now, orders);
    }
    place(sched, now, orders);
}

px_ns px_sched_due(const px_sched *sched)
{
    px_ns due = sched->rebalance;
    for (const px_task *task = sched->limited; task != NULL; task = task->limited_next) {
        if (due == 0 || task->deadline < due) {
            due = task->deadline;
        }
    }
    return due;
}

bool px_sched_has(const px_sched *sched, uint32_t client, uint64_t task)
{
    return px__task_find(sched, client, task) != NULL;
}

bool px_sched_recalled(const px_sched *sched, uint32_t client, uint64_t id)
{
    const px_task *task = px__task_find(sched, client, id);
    return task != NULL && task->state == PX_TASK_SENT && (task->recalled || task->aborted);
}

size_t px_sched_held(const px_sched *sched, uint32_t engine)
{
    const px_worker *worker = px__worker(sched, engine);
    return worker != NULL ? worker->sent.n : 0;
}

size_t px_sched_waiting(const px_sched *sched)
{
    return sched->n_waiting;
}

size_t px_sched_count(const px_sched *sched)
{
    return sched->n_tasks;
}

// --- invariants ----------------------------------------------------------------------------------

static bool task_holds(const px_sched *sched, const px_task *task)
{
    const px_worker *worker = px__worker(sched, task->engine);
    switch (task->state) {
    case PX_TASK_WAITING:
        return !px__deps_met(task) && task->edges > 0;
    case PX_TASK_READY:
        return task->targets == NULL && px__queue(sched, task->client)->in_turn;
    case PX_TASK_PICKY:
        return task->targets != NULL && task->n_targets > 0;
    case PX_TASK_SENT:
        return worker != NULL && task->has_engine && worker->load > 0;
    default:
        return false;
    }
}

bool px_sched_check(const px_sched *sched)
{
    size_t n = 0, waiting = 0, sent = 0, in_lists = sched->picky.n, held = 0, ready = 0;
    for (size_t i = 0; i < sched->table_size; i++) {
        for (const px_task *task = sched->table[i]; task != NULL; task = task->hash_next) {
            n++;
            waiting += task->state != PX_TASK_SENT;
            sent += task->state == PX_TASK_SENT;
            ready += task->state == PX_TASK_READY || task->state == PX_TASK_PICKY;
            if (task->released || !task_holds(sched, task)) {
                return false;
            }
        }
    }
    for (const px_queue *queue = sched->queues; queue != NULL; queue = queue->next) {
        in_lists += queue->ready.n;
        if ((queue->ready.n > 0) != queue->in_turn) {
            return false;
        }
    }
    for (size_t i = 0; i < sched->n_worker_slots; i++) {
        const px_worker *worker = sched->workers[i];
        held += worker != NULL ? worker->sent.n : 0;
        if (worker != NULL && (worker->sent.n > worker->load || worker->engine != i)) {
            return false;
        }
    }
    bool idle_engine = sched->by_load[0] != NULL;
    return n == sched->n_tasks && waiting == sched->n_waiting && sent == held &&
           ready == in_lists && !(idle_engine && sched->turn != NULL);
}
