// sched.h: PURE. Where tasks wait, which engine gets which, and what becomes of them: events in,
// orders out. A task is a request that any of several engines may run.
//
// Least loaded engine first, ties in turn; clients in turn; tasks of one client in their order. An
// engine gets more than one task ahead only when tasks are short, as measured. Thread px-relay.
#ifndef PX_ENGINES_SCHED_H
#define PX_ENGINES_SCHED_H

#include "px/err.h"
#include "px/terms.h"
#include "px/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum px_sched_why {
    PX_WHY_NONE,
    PX_WHY_DIED,       // engine: it died while it ran this, more often than allowed
    PX_WHY_NO_ENGINE,  // nobody is left that may run it
    PX_WHY_ABORTED,    // its client asked for that
    PX_WHY_TIMEOUT,    // it waited longer than its terms allow
    PX_WHY_IMPOSSIBLE, // a task that it depends on ended in the wrong way
    PX_WHY_UNKNOWN     // it depends on a task that there never was
} px_sched_why;

typedef enum px_sched_kind {
    PX_SCHED_SEND,  // payload to engine; stays the scheduler's
    PX_SCHED_FAIL,  // tell the client why; payload is the caller's again
    PX_SCHED_DROP,  // over: payload is the caller's again
    PX_SCHED_RECALL // ask engine to give the task back if it has not begun it; payload stays
} px_sched_kind;

typedef struct px_sched_order {
    px_sched_kind kind;
    px_sched_why why;
    uint32_t client;
    uint32_t engine; // SEND, and FAIL of a task that had been with one
    bool has_engine;
    uint64_t task;
    void *payload;
} px_sched_order;

// px_sched_orders is a list that grows. {0} is empty.
typedef struct px_sched_orders {
    px_sched_order *items;
    size_t n, capacity;
    bool failed; // memory ran out: an order is missing
} px_sched_orders;
void px_sched_orders_done(px_sched_orders *orders);

// px_sched_task is one task as it comes in. targets: the engines that may run it, n_targets 0: all.
typedef struct px_sched_task {
    uint32_t client;
    uint64_t task; // the client's number
    const uint32_t *targets;
    size_t n_targets;
    const px_terms *terms; // NULL: none
    void *payload;
} px_sched_task;

typedef struct px_sched px_sched;

px_err px_sched_new(px_sched **ret_sched);
// px_sched_free needs every payload back: px_sched_client_gone for each client first.
void px_sched_free(px_sched *sched);

// px_sched_submit takes the payload. PX_EEXIST: that number is in use; PX_ENOMEM.
px_err px_sched_submit(px_sched *sched, px_ns now, const px_sched_task *given,
                       px_sched_orders *orders);
void px_sched_engine_up(px_sched *sched, px_ns now, uint32_t engine, px_sched_orders *orders);
// px_sched_engine_down: what it had not begun goes to others; what it was running once more.
void px_sched_engine_down(px_sched *sched, px_ns now, uint32_t engine, px_sched_orders *orders);
// px_sched_direct: an engine got a request that is no task, which counts as load.
void px_sched_direct(px_sched *sched, uint32_t engine);

typedef enum px_verdict {
    PX_VERDICT_FORWARD, // give the reply to its client
    PX_VERDICT_SWALLOW  // the task is tried again
} px_verdict;
typedef enum px_ending { PX_ENDED_WELL, PX_ENDED_FAILED, PX_ENDED_RETURNED } px_ending;
// px_sched_reply: an engine answered a request of a client, task or not. RETURNED: a task that was
// recalled or aborted comes back unbegun.
px_verdict px_sched_reply(px_sched *sched, px_ns now, const px_sched_order *reply, px_ending how,
                          px_sched_orders *orders);
// px_sched_recalled tells if an engine was asked to give the task back, for others or for good.
bool px_sched_recalled(const px_sched *sched, uint32_t client, uint64_t task);
// px_sched_abort takes a task out if no engine has it; one that an engine has is not tried again.
void px_sched_abort(px_sched *sched, px_ns now, uint32_t client, uint64_t id,
                    px_sched_orders *orders);
void px_sched_client_gone(px_sched *sched, px_ns now, uint32_t client, px_sched_orders *orders);
// px_sched_client_left: it has left, but its tasks go on. Says nothing and forgets it if none is
// left; else to be called again when one of them is over.
void px_sched_client_left(px_sched *sched, uint32_t client);
// px_sched_any_client gives one that is known; false when there is none.
bool px_sched_any_client(const px_sched *sched, uint32_t *ret_client);
// px_sched_hopeless: true: no engine lives and none will come, so nothing waits; false: they may.
void px_sched_hopeless(px_sched *sched, px_ns now, bool hopeless, px_sched_orders *orders);
// px_sched_tick: time limits, and engines that idle while others are behind. px_sched_due is when;
// 0: none.
void px_sched_tick(px_sched *sched, px_ns now, px_sched_orders *orders);
px_ns px_sched_due(const px_sched *sched);

// px_sched_has tells if a task is not over.
bool px_sched_has(const px_sched *sched, uint32_t client, uint64_t task);
size_t px_sched_held(const px_sched *sched, uint32_t engine); // tasks that an engine has
size_t px_sched_waiting(const px_sched *sched);               // with no engine
size_t px_sched_count(const px_sched *sched);                 // not over
// px_sched_check tells if every invariant holds. Costs time in proportion to what there is.
bool px_sched_check(const px_sched *sched);

#endif
