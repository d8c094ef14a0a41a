// sched_table.c: finding tasks, clients and engines, and the lists that they stand in.
//
// Engines stand in rings by load, so that the least loaded is found without a search, however many
// there are; a ring is turned each time, so equals take turns.

#include "sched_parts.h"

#include "px/own.h"

#include <string.h>

static size_t slot_of(const px_sched *sched, uint32_t client, uint64_t id)
{
    uint64_t x = id ^ ((uint64_t)client << 40);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return (size_t)(x ^ (x >> 29)) & (sched->table_size - 1);
}

px_task *px__task_find(const px_sched *sched, uint32_t client, uint64_t id)
{
    px_task *task = sched->table_size > 0 ? sched->table[slot_of(sched, client, id)] : NULL;
    while (task != NULL && (task->id != id || task->client != client)) {
        task = task->hash_next;
    }
    return task;
}

static px_err resize(px_sched *sched, size_t size)
{
    px_task **old = sched->table;
    size_t n = sched->table_size;
    px_task **table = calloc(size, sizeof(px_task *));
    if (table == NULL) {
        return PX_ENOMEM;
    }
    sched->table = table;
    sched->table_size = size;
    for (size_t i = 0; i < n; i++) {
        for (px_task *task = old[i], *next; task != NULL; task = next) {
            next = task->hash_next;
            size_t slot = slot_of(sched, task->client, task->id);
            task->hash_next = table[slot];
            table[slot] = task;
        }
    }
    free(old);
    return PX_OK;
}

px_err px__task_put(px_sched *sched, px_task *task)
{
    if (sched->n_tasks >= sched->table_size) {
        PX_TRY(resize(sched, sched->table_size == 0 ? 64 : sched->table_size * 2));
    }
    size_t slot = slot_of(sched, task->client, task->id);
    task->hash_next = sched->table[slot];
    sched->table[slot] = task;
    sched->n_tasks++;
    return PX_OK;
}

void px__task_take(px_sched *sched, px_task *task)
{
    px_task **at = &sched->table[slot_of(sched, task->client, task->id)];
    while (*at != task) {
        at = &(*at)->hash_next;
    }
    *at = task->hash_next;
    sched->n_tasks--;
    if (sched->table_size > 1024 && sched->n_tasks * 8 < sched->table_size) {
        (void)resize(sched, sched->table_size / 2); // without memory it only stays large
    }
}

px_queue *px__queue(const px_sched *sched, uint32_t client)
{
    px_queue *queue = sched->queues;
    while (queue != NULL && queue->client != client) {
        queue = queue->next;
    }
    return queue;
}

bool px_sched_any_client(const px_sched *sched, uint32_t *ret_client)
{
    if (sched->queues != NULL) {
        *ret_client = sched->queues->client;
    }
    return sched->queues != NULL;
}

px_err px__queue_make(px_sched *sched, uint32_t client, px_queue **ret_queue)
{
    px_queue *queue = px__queue(sched, client);
    if (queue == NULL) {
        queue = calloc(1, sizeof(*queue));
        if (queue == NULL) {
            return PX_ENOMEM;
        }
        queue->client = client;
        queue->next = sched->queues;
        sched->queues = queue;
    }
    *ret_queue = queue;
    return PX_OK;
}

void px__queue_free(px_sched *sched, px_queue *queue)
{
    px_queue **at = &sched->queues;
    while (*at != queue) {
        at = &(*at)->next;
    }
    *at = queue->next;
    for (size_t i = 0; i < queue->n_pages; i++) {
        free(queue->pages[i]);
    }
    free(queue->pages);
    free(queue);
}

void px__list_append(px_task_list *list, px_task *task)
{
    task->next = NULL;
    task->prev = list->last;
    if (list->last != NULL) {
        list->last->next = task;
    } else {
        list->first = task;
    }
    list->last = task;
    list->n++;
}

void px__list_prepend(px_task_list *list, px_task *task)
{
    task->prev = NULL;
    task->next = list->first;
    if (list->first != NULL) {
        list->first->prev = task;
    } else {
        list->last = task;
    }
    list->first = task;
    list->n++;
}

void px__list_remove(px_task_list *list, px_task *task)
{
    if (task->prev != NULL) {
        task->prev->next = task->next;
    } else {
        list->first = task->next;
    }
    if (task->next != NULL) {
        task->next->prev = task->prev;
    } else {
        list->last = task->prev;
    }
    task->next = task->prev = NULL;
    list->n--;
}

// --- engines -------------------------------------------------------------------------------------

static void ring_add(px_worker **ring, px_worker *worker)
{
    if (*ring == NULL) {
        worker->next = worker->prev = worker;
        *ring = worker;
        return;
    }
    worker->next = *ring; // the first is next; so this is behind all others
    worker->prev = (*ring)->prev;
    worker->prev->next = worker;
    worker->next->prev = worker;
}

static void ring_remove(px_worker **ring, px_worker *worker)
{
    if (worker->next == worker) {
        *ring = NULL;
        return;
    }
    worker->prev->next = worker->next;
    worker->next->prev = worker->prev;
    if (*ring == worker) {
        *ring = worker->next;
    }
}

px_worker *px__worker(const px_sched *sched, uint32_t engine)
{
    return engine < sched->n_worker_slots ? sched->workers[engine] : NULL;
}

px_err px__worker_add(px_sched *sched, uint32_t engine)
{
    if (engine >= sched->n_worker_slots) {
        size_t n = (size_t)engine + 64;
        px_worker **workers = realloc(sched->workers, n * sizeof(px_worker *));
        if (workers == NULL) {
            return PX_ENOMEM;
        }
        memset(workers + sched->n_worker_slots, 0,
               (n - sched->n_worker_slots) * sizeof(px_worker *));
        sched->workers = workers;
        sched->n_worker_slots = n;
    }
    if (sched->workers[engine] != NULL) {
        return PX_EEXIST;
    }
    px_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return PX_ENOMEM;
    }
    worker->engine = engine;
    sched->workers[engine] = worker;
    sched->n_workers++;
    ring_add(&sched->by_load[0], worker);
    return PX_OK;
}

void px__worker_remove(px_sched *sched, px_worker *worker)
{
    ring_remove(&sched->by_load[worker->bucket], worker);
    sched->workers[worker->engine] = NULL;
    sched->n_workers--;
    free(worker);
}

void px__worker_load(px_sched *sched, px_worker *worker, size_t load)
{
    size_t bucket = load < PX_MOST_AHEAD ? load : PX_MOST_AHEAD;
    worker->load = load;
    if (bucket != worker->bucket) {
        ring_remove(&sched->by_load[worker->bucket], worker);
        worker->bucket = bucket;
        ring_add(&sched->by_load[bucket], worker);
    }
}

px_worker *px__worker_least(const px_sched *sched)
{
    for (size_t load = 0; load < PX_MOST_AHEAD; load++) {
        if (sched->by_load[load] != NULL) {
            return sched->by_load[load];
        }
    }
    return NULL;
}

// --- orders --------------------------------------------------------------------------------------

void px__orders_add(px_sched_orders *orders, const px_sched_order *order)
{
    if (orders->n == orders->capacity) {
        size_t capacity = orders->capacity == 0 ? 64 : orders->capacity * 2;
        px_sched_order *items = realloc(orders->items, capacity * sizeof(*items));
        if (items == NULL) {
            orders->failed = true;
            return;
        }
        orders->items = items;
        orders->capacity = capacity;
    }
    orders->items[orders->n++] = *order;
}

void px_sched_orders_done(px_sched_orders *orders)
{
    free(orders->items);
    *orders = (px_sched_orders){0};
}
