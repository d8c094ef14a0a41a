// sched_parts.h: what sched.c (queues, placement), sched_table.c (finding things) and deps.c (who
// waits for whom) share.
#ifndef PX_ENGINES_SCHED_PARTS_H
#define PX_ENGINES_SCHED_PARTS_H

#include "sched.h"

typedef enum px_task_state {
    PX_TASK_WAITING, // for other tasks
    PX_TASK_READY,   // in its client's queue
    PX_TASK_PICKY,   // ready, but only for some engines: in the list of those
    PX_TASK_SENT,    // an engine has it
    PX_TASK_OVER     // about to be freed
} px_task_state;

typedef struct px_task px_task;

// px_edge says that waiter depends on the task that holds the edge.
typedef struct px_edge {
    px_task *waiter;
    struct px_edge *next;
    bool follow;
} px_edge;

// px_need is one of a task's two rules.
typedef struct px_need {
    uint8_t rule;
    uint32_t total, pending, met;
} px_need;

struct px_task {
    uint32_t client;
    uint64_t id;
    px_task_state state;
    uint32_t engine; // SENT: who has it; else who had it last
    bool has_engine;
    bool aborted;     // not tried again
    bool recalled;    // SENT: its engine was asked to give it back
    bool failed;      // OVER: how it ended
    uint32_t retries; // left
    uint32_t deaths;
    px_ns deadline; // 0: none
    px_ns sent;
    uint32_t *targets; // NULL: all
    size_t n_targets;
    px_need after, follow;
    size_t edges;  // held by those it waits for, naming it
    bool released; // over, and only still here for those edges
    px_edge *waiters;
    void *payload;
    px_task *hash_next;
    px_task *next, *prev;                 // in the list that its state names
    px_task *limited_next, *limited_prev; // with a deadline and no engine
    bool limited;
};

typedef struct px_task_list {
    px_task *first, *last;
    size_t n;
} px_task_list;

// px_page remembers how 65,536 tasks ended: 0 never seen, else 1 + 2 * engine + failed.
#define PX_PAGE_TASKS 65536
typedef struct px_page {
    uint32_t ends[PX_PAGE_TASKS];
} px_page;

typedef struct px_queue { // one client
    uint32_t client;
    px_task_list ready;
    size_t n_tasks;
    px_ns task_ns; // what a task of it takes, smoothed; 0: not known
    px_page **pages;
    size_t n_pages;
    struct px_queue *next;                  // all
    struct px_queue *turn_next, *turn_prev; // those with something ready, in turn
    bool in_turn;
} px_queue;

#define PX_MOST_AHEAD 64

typedef struct px_worker { // one engine
    uint32_t engine;
    size_t load;       // requests not answered, tasks and others
    px_task_list sent; // tasks, oldest first
    px_ns last_reply;
    size_t bucket; // the list of workers with this load that it is in
    struct px_worker *next, *prev;
} px_worker;

struct px_sched {
    px_task **table; // by (client, id)
    size_t table_size, n_tasks, n_waiting;
    px_queue *queues;
    px_queue *turn;      // ring
    px_worker **workers; // by engine id; NULL: not there
    size_t n_worker_slots, n_workers;
    px_worker *by_load[PX_MOST_AHEAD + 1]; // rings; the last: so many or more
    px_task_list picky;
    px_task *limited;
    px_ns rebalance; // when to look for engines that are behind; 0: no reason to
    bool hopeless;
};

// sched_table.c
px_task *px__task_find(const px_sched *sched, uint32_t client, uint64_t id);
px_err px__task_put(px_sched *sched, px_task *task);
void px__task_take(px_sched *sched, px_task *task);
px_queue *px__queue(const px_sched *sched, uint32_t client);
px_err px__queue_make(px_sched *sched, uint32_t client, px_queue **ret_queue);
void px__queue_free(px_sched *sched, px_queue *queue);
void px__list_append(px_task_list *list, px_task *task);
void px__list_prepend(px_task_list *list, px_task *task);
void px__list_remove(px_task_list *list, px_task *task);
px_worker *px__worker(const px_sched *sched, uint32_t engine);
px_err px__worker_add(px_sched *sched, uint32_t engine);
void px__worker_remove(px_sched *sched, px_worker *worker);
void px__worker_load(px_sched *sched, px_worker *worker, size_t load);
// px__worker_least is the least loaded one; those of equal load come in turn. NULL: none.
px_worker *px__worker_least(const px_sched *sched);
void px__orders_add(px_sched_orders *orders, const px_sched_order *order);

// deps.c. px__deps_join reads a new task's terms; gives what is wrong with them at once, if
// anything.
px_err px__deps_join(px_sched *sched, px_task *task, const px_terms *terms, px_sched_why *ret_why);
bool px__deps_met(const px_task *task);
// px__deps_ended tells those who wait for a task how it ended. Those whom that lets go on are
// appended to met (READY), those for whom it is the end to hopeless (OVER).
void px__deps_ended(px_task *task, px_task_list *met, px_task_list *hopeless);
// px__task_release frees a task that is over, once no other names it as waiting for it.
void px__task_release(px_task *task);
// px__deps_remember notes for good how a task ended.
void px__deps_remember(px_queue *queue, const px_task *task);

#endif
