// deps.c: who waits for whom.
//
// Each unfinished task holds a list of edges to those that wait for it, so an end costs as many
// steps as there are waiters and nothing is searched. How finished tasks ended is kept in pages of
// four bytes a task, so a task may depend on one that is long over; a client's numbers count up, so
// pages are dense. A task's two rules count what is pending and what is met; it is settled when
// enough are met or no longer can be.
//
// `follow` also says where: of tasks that ran on one engine, that engine; with ANY, one of those
// where they ran.

#include "sched_parts.h"

#include "px/own.h"

#include <string.h>

#define MOST_PAGES 4096              // 268 million tasks of one client
#define NOWHERE (UINT32_MAX / 2 - 1) // the engine of a task that ended without one

// counts tells if an end is one that a rule wants.
static bool counts(uint8_t rule, bool failed)
{
    uint8_t wanted = rule & (PX_TERMS_SUCCESS | PX_TERMS_FAILURE);
    return wanted == 0 || (wanted & (failed ? PX_TERMS_FAILURE : PX_TERMS_SUCCESS)) != 0;
}

static bool need_met(const px_need *need)
{
    if (need->total == 0) {
        return true;
    }
    return (need->rule & PX_TERMS_ANY) != 0 ? need->met > 0 : need->met == need->total;
}

static bool need_hopeless(const px_need *need)
{
    if (need_met(need)) {
        return false;
    }
    return (need->rule & PX_TERMS_ANY) != 0 ? need->pending == 0
                                            : need->met + need->pending < need->total;
}

bool px__deps_met(const px_task *task)
{
    return need_met(&task->after) && need_met(&task->follow);
}

// allow adds an engine to where a following task may run.
static px_err allow(px_task *task, uint32_t engine)
{
    for (size_t i = 0; task->targets != NULL && i < task->n_targets; i++) {
        if (task->targets[i] == engine) {
            return PX_OK;
        }
    }
    uint32_t *targets = realloc(task->targets, (task->n_targets + 1) * sizeof(*targets));
    if (targets == NULL) {
        return PX_ENOMEM;
    }
    task->targets = targets;
    task->targets[task->n_targets++] = engine;
    return PX_OK;
}

// narrow leaves engine as the only place; false, and nothing changed, when it is not allowed.
static bool narrow(px_task *task, uint32_t engine)
{
    bool allowed = task->targets == NULL;
    for (size_t i = 0; task->targets != NULL && i < task->n_targets; i++) {
        allowed |= task->targets[i] == engine;
    }
    if (!allowed) {
        return false;
    }
    task->n_targets = 0;
    return allow(task, engine) == PX_OK;
}

// settle counts one end towards a need; false when that makes it impossible.
static bool settle(px_task *waiter, bool follow, bool failed, bool has_engine, uint32_t engine)
{
    px_need *need = follow ? &waiter->follow : &waiter->after;
    bool any = (need->rule & PX_TERMS_ANY) != 0;
    need->pending--;
    if (counts(need->rule, failed)) {
        need->met++;
        if (follow && !has_engine) {
            return any && need->pending > 0; // it ended without having run anywhere
        }
        if (follow && !any && !narrow(waiter, engine)) {
            return false; // they ran on different engines
        }
        if (follow && any && need->met == 1 && !narrow(waiter, engine)) {
            need->met = 0; // not where this one may run: another of them, then
        }
    }
    return !need_hopeless(need);
}

// --- what is over --------------------------------------------------------------------------------

void px__deps_remember(px_queue *queue, const px_task *task)
{
    uint64_t page = task->id / PX_PAGE_TASKS;
    if (page >= MOST_PAGES) {
        return;
    }
    if (page >= queue->n_pages) {
        size_t n = (size_t)page + 1;
        px_page **pages = realloc(queue->pages, n * sizeof(px_page *));
        if (pages == NULL) {
            return; // then nobody may depend on it any more
        }
        memset(pages + queue->n_pages, 0, (n - queue->n_pages) * sizeof(px_page *));
        queue->pages = pages;
        queue->n_pages = n;
    }
    if (queue->pages[page] == NULL) {
        queue->pages[page] = calloc(1, sizeof(px_page));
    }
    if (queue->pages[page] != NULL) {
        uint32_t engine = task->has_engine ? task->engine : NOWHERE;
        queue->pages[page]->ends[task->id % PX_PAGE_TASKS] = 1 + 2 * engine + task->failed;
    }
}

// recall tells how a finished task ended; false when there was none of that number.
static bool recall(const px_queue *queue, uint64_t id, bool *ret_failed, uint32_t *ret_engine)
{
    uint64_t page = id / PX_PAGE_TASKS;
    if (page >= queue->n_pages || queue->pages[page] == NULL ||
        queue->pages[page]->ends[id % PX_PAGE_TASKS] == 0) {
        return false;
    }
    uint32_t end = queue->pages[page]->ends[id % PX_PAGE_TASKS] - 1;
    *ret_failed = (end & 1) != 0;
    *ret_engine = end / 2;
    return true;
}

// --- joining and leaving -------------------------------------------------------------------------

static px_err depend(px_sched *sched, px_task *task, uint64_t id, bool follow,
                     px_sched_why *ret_why)
{
    px_task *other = px__task_find(sched, task->client, id);
    bool failed = false;
    uint32_t engine = 0;
    if (other != NULL && other != task) {
        px_edge *edge = malloc(sizeof(*edge));
        if (edge == NULL) {
            return PX_ENOMEM;
        }
        *edge = (px_edge){.waiter = task, .next = other->waiters, .follow = follow};
        other->waiters = edge;
        task->edges++;
        return PX_OK;
    }
    const px_queue *queue = px__queue(sched, task->client);
    if (queue == NULL || !recall(queue, id, &failed, &engine)) {
        *ret_why = PX_WHY_UNKNOWN;
    } else if (!settle(task, follow, failed, engine != NOWHERE, engine) &&
               *ret_why == PX_WHY_NONE) {
        *ret_why = PX_WHY_IMPOSSIBLE;
    }
    return PX_OK;
}

px_err px__deps_join(px_sched *sched, px_task *task, const px_terms *terms, px_sched_why *ret_why)
{
    *ret_why = PX_WHY_NONE;
    if (terms == NULL) {
        return PX_OK;
    }
    task->after =
        (px_need){.rule = terms->after_rule, .total = terms->n_after, .pending = terms->n_after};
    task->follow =
        (px_need){.rule = terms->follow_rule, .total = terms->n_follow, .pending = terms->n_follow};
    for (uint32_t i = 0; i < terms->n_after + terms->n_follow; i++) {
        PX_TRY(depend(sched, task, px_terms_task(terms, i), i >= terms->n_after, ret_why));
    }
    return PX_OK;
}

void px__task_release(px_task *task)
{
    task->state = PX_TASK_OVER;
    task->released = true;
    if (task->edges == 0) {
        free(task->targets);
        free(task);
    }
}

void px__deps_ended(px_task *task, px_task_list *met, px_task_list *hopeless)
{
    while (task->waiters != NULL) {
        px_edge *edge = task->waiters;
        px_task *waiter = edge->waiter;
        bool follow = edge->follow;
        task->waiters = edge->next;
        free(edge);
        waiter->edges--;
        if (waiter->released) {
            px__task_release(waiter); // over already; this may have been the last to name it
            continue;
        }
        if (waiter->state != PX_TASK_WAITING) {
            continue; // enough were met before
        }
        if (!settle(waiter, follow, task->failed, task->has_engine, task->engine)) {
            waiter->state = PX_TASK_OVER;
            px__list_append(hopeless, waiter);
        } else if (px__deps_met(waiter)) {
            waiter->state = PX_TASK_READY;
            px__list_append(met, waiter);
        }
    }
}
