// roster.h: PURE. The engines of a cluster and the cluster's own state: events in, orders out.
//
// Nothing here starts, kills or tells anybody: every event appends orders to the list that the
// caller gave, and the caller carries them out. Time is passed in. Admin thread only.
#ifndef PX_ENGINES_ROSTER_H
#define PX_ENGINES_ROSTER_H

#include "px/err.h"
#include "px/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum px_engine_state {
    PX_ENGINE_SPAWNED, // ordered from the zygote
    PX_ENGINE_JOINING, // its control connection has registered
    PX_ENGINE_READY,   // its work connection too: it can be used
    PX_ENGINE_SILENT,  // does not answer; its process lives
    PX_ENGINE_LEAVING, // was told to end
    PX_ENGINE_GOING,   // a connection ended; how the process ended is not known yet
    PX_ENGINE_DEAD     // over; kept to be shown until replaced
} px_engine_state;

typedef enum px_cluster_state {
    PX_CLUSTER_STARTING,
    PX_CLUSTER_RUNNING,
    PX_CLUSTER_DEGRADED,
    PX_CLUSTER_STOPPING,
    PX_CLUSTER_FAILED
} px_cluster_state;

typedef enum px_order_kind {
    PX_ORDER_SPAWN,     // start engine
    PX_ORDER_SHUTDOWN,  // ask it to end
    PX_ORDER_TERMINATE, // SIGTERM
    PX_ORDER_KILL,      // SIGKILL
    PX_ORDER_LOST,      // it is over: settle what it owes
    PX_ORDER_CHANGED,   // its state changed: tell who listens
    PX_ORDER_FORGET,    // it is no longer listed; its id never comes back
    PX_ORDER_CLUSTER,   // the cluster's state or count changed
    PX_ORDER_FINISHED   // stopping, and nobody is left
} px_order_kind;

typedef struct px_order {
    px_order_kind kind;
    uint32_t engine;
} px_order;

// px_orders is a list that grows. {0} is empty; px_orders_done frees. failed: memory ran out.
typedef struct px_orders {
    px_order *items;
    size_t n, capacity;
    bool failed;
} px_orders;
void px_orders_done(px_orders *orders);

#define PX_STORY_LENGTH 16
typedef struct px_story_line {
    px_ns at;
    px_engine_state from, to;
    const char *cause; // static storage
} px_story_line;

// px_exit is how a process ended. signal and code: -1 when it is the other, both -1 when unknown.
typedef struct px_exit {
    int signal;
    int code;
} px_exit;

// Engines that were started together form a set, which can be stopped, restarted and signalled as
// one. Those for which no set was named are in PX_SET_DEFAULT.
#define PX_SET_SIZE 48
#define PX_SET_DEFAULT "default"

typedef struct px_engine {
    uint32_t id;
    px_engine_state state;
    int32_t pid; // 0: not yet known
    px_exit exit;
    bool asked;            // its end was asked for: "left" rather than "dead"
    bool was_ready;        // it could be used once
    bool timed_out;        // never registered
    int64_t replaces;      // the id of the dead one whose place it took; -1: none
    char set[PX_SET_SIZE]; // the engine set that it belongs to, and who takes its place
    unsigned stage;        // LEAVING: 0 asked, 1 SIGTERM sent, 2 SIGKILL sent
    px_ns since, deadline; // deadline 0: none
    unsigned n_story;
    px_story_line story[PX_STORY_LENGTH]; // the last ones, n_story counts all
} px_engine;

// px_roster_limits are the waits, in nanoseconds.
typedef struct px_roster_limits {
    px_ns registration; // from the order to the registration; 0: as long as it takes
    px_ns polite;       // from the request to SIGTERM
    px_ns terminate;    // from SIGTERM to SIGKILL
    px_ns exit;         // from the end of a connection (or SIGKILL) to the news of the exit
} px_roster_limits;

typedef struct px_roster px_roster;

px_err px_roster_new(const px_roster_limits *limits, px_roster **ret_roster);
void px_roster_free(px_roster *roster);

// The events. An event for an engine that is unknown or dead is nothing: news come twice.
// px_roster_scale makes it n living engines: spawns, or lets the highest ids leave (free ones
// first, as busy says). The dead are forgotten.
typedef bool px_engine_busy(void *context, uint32_t engine);
void px_roster_scale(px_roster *roster, px_ns now, uint32_t n, px_engine_busy *busy, void *context,
                     px_orders *orders);
// px_roster_add spawns n more, as the engine set `set`.
void px_roster_add(px_roster *roster, px_ns now, uint32_t n, const char *set, px_orders *orders);
// px_roster_dismiss lets engines go, dead or alive, and wants so many fewer.
void px_roster_dismiss(px_roster *roster, px_ns now, const uint32_t *ids, size_t n,
                       px_orders *orders);
void px_roster_pid(px_roster *roster, uint32_t id, int32_t pid);
void px_roster_joined(px_roster *roster, px_ns now, uint32_t id, px_orders *orders);
void px_roster_ready(px_roster *roster, px_ns now, uint32_t id, px_orders *orders);
void px_roster_silent(px_roster *roster, px_ns now, uint32_t id, px_orders *orders);
void px_roster_heard(px_roster *roster, px_ns now, uint32_t id, px_orders *orders);
// px_roster_disconnected: a connection of it ended.
void px_roster_disconnected(px_roster *roster, px_ns now, uint32_t id, px_orders *orders);
void px_roster_exited(px_roster *roster, px_ns now, uint32_t id, px_exit how, px_orders *orders);
// px_roster_leave asks one engine to end: n stays, so the cluster is degraded unless scaled.
void px_roster_leave(px_roster *roster, px_ns now, uint32_t id, px_orders *orders);
// px_roster_restart replaces engines (ids; NULL: every one that is dead or alive) by new ones of
// the same sets.
void px_roster_restart(px_roster *roster, px_ns now, const uint32_t *ids, size_t n,
                       px_orders *orders);
// px_roster_replace: engines that die unasked, after they could be used, are replaced by new ones,
// unless too many do (PX_REPLACED_MOST and twice the wanted number in PX_REPLACED_WITHIN).
#define PX_REPLACED_WITHIN (60 * PX_NS_PER_S)
#define PX_REPLACED_MOST 4
void px_roster_replace(px_roster *roster, bool on);
// px_roster_exhausted tells that the last death was not replaced because there were too many.
bool px_roster_exhausted(const px_roster *roster);
// px_roster_nursery_died: all engines lost their parent; they are dead by that.
void px_roster_nursery_died(px_roster *roster, px_ns now, px_orders *orders);
// px_roster_stop: everybody leaves; FINISHED follows once.
void px_roster_stop(px_roster *roster, px_ns now, px_orders *orders);
// px_roster_tick: deadlines. px_roster_due is when the next one is; 0: none.
void px_roster_tick(px_roster *roster, px_ns now, px_orders *orders);
px_ns px_roster_due(const px_roster *roster);

// What it knows.
const px_engine *px_roster_find(const px_roster *roster, uint32_t engine);
size_t px_roster_count(const px_roster *roster); // listed ones, the dead included
const px_engine *px_roster_at(const px_roster *roster, size_t index); // by ascending id
size_t px_roster_usable(const px_roster *roster); // READY or SILENT, or just going
uint32_t px_roster_wanted(const px_roster *roster);
px_cluster_state px_roster_state(const px_roster *roster);
const char *px_engine_state_name(const px_engine *engine);
const char *px_cluster_state_name(px_cluster_state state);
// px_roster_check tells if every invariant holds.
bool px_roster_check(const px_roster *roster);

#endif
