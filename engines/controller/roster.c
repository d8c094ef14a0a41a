// roster.c: the life of an engine, and of the cluster as the sum of them.
//
//   SPAWNED ─registers→ JOINING ─work connection→ READY ⇄ SILENT
//      │                   │                        │
//      └───────────────────┴── told to end ─────────┴→ LEAVING ─exit→ forgotten
//      └── a connection ended ──→ GOING ─exit or time→ DEAD ─scale, restart→ forgotten
//
// News of one death comes by up to four ways (two connections, the zygote, a failed fork) in any
// order: the first starts GOING or DEAD, the rest change nothing. DEAD is said when the cause is
// known, which is milliseconds after the first sign; a cause that never comes is waited for until a
// deadline.
//
// Ids count up and are never used again, so nobody who names an engine can mean another.
//
// The cluster: STARTING while somebody is on the way, RUNNING when as many are usable as were
// wanted, else DEGRADED, or FAILED when not one has ever come up. Whenever the answer or the count
// changed during an event, CLUSTER is ordered once, last.

#include "roster.h"

#include "px/own.h"

#include <string.h>

enum { DEAD_SHOWN = 16 }; // replaced ones

struct px_roster {
    px_roster_limits limits;
    px_engine **engines; // ascending ids
    size_t n, capacity;
    uint32_t next_id;
    uint32_t wanted;
    bool stopping, finished, ever_ready;
    px_cluster_state told; // with PX_ORDER_CLUSTER
    size_t told_usable;
    uint32_t told_wanted;
    bool replaces, exhausted;
    px_ns window; // since when n_replaced counts
    uint32_t n_replaced;
};

px_err px_roster_new(const px_roster_limits *limits, px_roster **ret_roster)
{
    px_roster *roster = calloc(1, sizeof(*roster));
    if (roster == NULL) {
        return PX_ENOMEM;
    }
    roster->limits = *limits;
    roster->told = PX_CLUSTER_RUNNING; // with the none that are wanted
    roster->told_wanted = UINT32_MAX;  // not even that was said yet
    *ret_roster = roster;
    return PX_OK;
}

void px_roster_replace(px_roster *roster, bool on)
{
    roster->replaces = on;
}

bool px_roster_exhausted(const px_roster *roster)
{
    return roster->exhausted;
}

void px_roster_free(px_roster *roster)
{
    if (roster == NULL) {
        return;
    }
    for (size_t i = 0; i < roster->n; i++) {
        free(roster->engines[i]);
    }
    free(roster->engines);
    free(roster);
}

void px_orders_done(px_orders *orders)
{
    free(orders->items);
    *orders = (px_orders){0};
}

static void give(px_orders *orders, px_order_kind kind, uint32_t engine)
{
    if (orders->n == orders->capacity) {
        size_t capacity = orders->capacity == 0 ? 32 : orders->capacity * 2;
        px_order *items = realloc(orders->items, capacity * sizeof(*items));
        if (items == NULL) {
            orders->failed = true;
            return;
        }
        orders->items = items;
        orders->capacity = capacity;
    }
    orders->items[orders->n++] = (px_order){.kind = kind, .engine = engine};
}

static bool alive(const px_engine *engine)
{
    return engine->state != PX_ENGINE_DEAD;
}

// staying tells if an engine counts towards what is wanted.
static bool staying(const px_engine *engine)
{
    return engine->state <= PX_ENGINE_SILENT;
}

static bool usable(const px_engine *engine)
{
    return engine->state == PX_ENGINE_READY || engine->state == PX_ENGINE_SILENT;
}

// counted tells if the world sees an engine as usable: until it is known how it ended, it is.
static bool counted(const px_engine *engine)
{
    return usable(engine) || (engine->state == PX_ENGINE_GOING && engine->was_ready);
}

static bool coming(const px_engine *engine)
{
    return engine->state <= PX_ENGINE_JOINING ||
           (engine->state == PX_ENGINE_GOING && !engine->was_ready);
}

static px_engine *find(const px_roster *roster, uint32_t id)
{
    size_t low = 0, high = roster->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (roster->engines[middle]->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < roster->n && roster->engines[low]->id == id ? roster->engines[low] : NULL;
}

static px_engine *find_alive(const px_roster *roster, uint32_t id)
{
    px_engine *engine = find(roster, id);
    return engine != NULL && alive(engine) ? engine : NULL;
}

// become changes the state, writes the story and tells the listeners.
static void become(px_engine *engine, px_ns now, px_engine_state state, const char *cause,
                   px_orders *orders)
{
    engine->story[engine->n_story++ % PX_STORY_LENGTH] =
        (px_story_line){.at = now, .from = engine->state, .to = state, .cause = cause};
    engine->state = state;
    engine->since = now;
    engine->deadline = 0;
    give(orders, PX_ORDER_CHANGED, engine->id);
}

// conclude ends an event: the cluster's own news.
static void conclude(px_roster *roster, px_orders *orders)
{
    px_cluster_state state = px_roster_state(roster);
    size_t n_usable = px_roster_usable(roster);
    if (state != roster->told || n_usable != roster->told_usable ||
        roster->wanted != roster->told_wanted) {
        roster->told = state;
        roster->told_usable = n_usable;
        roster->told_wanted = roster->wanted;
        give(orders, PX_ORDER_CLUSTER, 0);
    }
    if (!roster->stopping || roster->finished) {
        return;
    }
    for (size_t i = 0; i < roster->n; i++) {
        if (alive(roster->engines[i])) {
            return;
        }
    }
    roster->finished = true;
    give(orders, PX_ORDER_FINISHED, 0);
}

static void forget(px_roster *roster, uint32_t id, px_orders *orders)
{
    for (size_t i = 0; i < roster->n; i++) {
        if (roster->engines[i]->id == id) {
            free(roster->engines[i]);
            memmove(&roster->engines[i], &roster->engines[i + 1],
                    (roster->n - i - 1) * sizeof(roster->engines[0]));
            roster->n--;
            give(orders, PX_ORDER_FORGET, id);
            return;
        }
    }
}

static void forget_dead(px_roster *roster, px_orders *orders)
{
    for (size_t i = roster->n; i > 0; i--) {
        if (!alive(roster->engines[i - 1])) {
            forget(roster, roster->engines[i - 1]->id, orders);
        }
    }
}

static void spawn(px_roster *roster, px_ns now, int64_t replaces, const char *set,
                  px_orders *orders)
{
    if (roster->n == roster->capacity) {
        size_t capacity = roster->capacity == 0 ? 16 : roster->capacity * 2;
        px_engine **engines = realloc(roster->engines, capacity * sizeof(px_engine *));
        if (engines == NULL) {
            orders->failed = true;
            return;
        }
        roster->engines = engines;
        roster->capacity = capacity;
    }
    px_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        orders->failed = true;
        return;
    }
    engine->id = roster->next_id++;
    engine->exit = (px_exit){.signal = -1, .code = -1};
    engine->replaces = replaces;
    memcpy(engine->set, set, strnlen(set, sizeof(engine->set) - 1)); // the rest is zero
    roster->engines[roster->n++] = engine;
    become(engine, now, PX_ENGINE_SPAWNED, "ordered", orders);
    engine->deadline = roster->limits.registration != 0 ? now + roster->limits.registration : 0;
    give(orders, PX_ORDER_SPAWN, engine->id);
}

// leave starts or keeps up the way out. One that never registered cannot be asked: it is killed.
static void leave(px_roster *roster, px_engine *engine, px_ns now, const char *cause,
                  px_orders *orders)
{
    if (engine->state == PX_ENGINE_LEAVING || !alive(engine)) {
        return;
    }
    bool polite = usable(engine);
    bool going = engine->state == PX_ENGINE_GOING;
    engine->asked = true;
    become(engine, now, PX_ENGINE_LEAVING, cause, orders);
    engine->stage = polite ? 0 : 2;
    engine->deadline = now + (polite ? roster->limits.polite : roster->limits.exit);
    if (!going) {
        give(orders, polite ? PX_ORDER_SHUTDOWN : PX_ORDER_KILL, engine->id);
    }
}

static size_t count_staying(const px_roster *roster)
{
    size_t n = 0;
    for (size_t i = 0; i < roster->n; i++) {
        n += staying(roster->engines[i]);
    }
    return n;
}

// may_replace tells if a dead engine gets a successor, and counts it.
static bool may_replace(px_roster *roster, const px_engine *dead, px_ns now)
{
    if (!roster->replaces || roster->stopping || !dead->was_ready ||
        count_staying(roster) >= roster->wanted) {
        return false;
    }
    if (roster->n_replaced == 0 || now - roster->window > PX_REPLACED_WITHIN) {
        roster->window = now;
        roster->n_replaced = 0;
    }
    roster->exhausted = roster->n_replaced >= PX_REPLACED_MOST + 2 * roster->wanted;
    roster->n_replaced += !roster->exhausted;
    return !roster->exhausted;
}

// forget_oldest_dead keeps the list of the dead short where nobody asks for a restart.
static void forget_oldest_dead(px_roster *roster, px_orders *orders)
{
    size_t n_dead = 0;
    for (size_t i = 0; i < roster->n; i++) {
        n_dead += !alive(roster->engines[i]);
    }
    for (size_t i = 0; i < roster->n && n_dead > DEAD_SHOWN; i++) {
        if (!alive(roster->engines[i])) {
            forget(roster, roster->engines[i]->id, orders);
            return;
        }
    }
}

// die is the end of an engine, whatever the way. The engine may be no more afterwards.
static void die(px_roster *roster, px_engine *engine, px_ns now, const char *cause,
                px_orders *orders)
{
    become(engine, now, PX_ENGINE_DEAD, cause, orders);
    give(orders, PX_ORDER_LOST, engine->id);
    if (engine->asked) {
        forget(roster, engine->id, orders);
    } else if (may_replace(roster, engine, now)) {
        spawn(roster, now, engine->id, engine->set, orders);
        forget_oldest_dead(roster, orders);
    }
}

// let_go sends the highest ids away until too_many have left; with only_free just those without
// work.
static size_t let_go(px_roster *roster, px_ns now, size_t too_many, px_engine_busy *only_free,
                     void *context, px_orders *orders)
{
    for (size_t i = roster->n; i > 0 && too_many > 0; i--) {
        px_engine *engine = roster->engines[i - 1];
        if (staying(engine) && (only_free == NULL || !only_free(context, engine->id))) {
            leave(roster, engine, now, "scaled down", orders);
            too_many--;
        }
    }
    return too_many;
}

void px_roster_scale(px_roster *roster, px_ns now, uint32_t n, px_engine_busy *busy, void *context,
                     px_orders *orders)
{
    if (roster->stopping) {
        return;
    }
    roster->wanted = n;
    forget_dead(roster, orders);
    size_t have = count_staying(roster);
    if (have > n) {
        size_t rest = let_go(roster, now, have - n, busy, context, orders);
        (void)let_go(roster, now, rest, NULL, NULL, orders);
    }
    for (; have < n && !orders->failed; have++) {
        spawn(roster, now, -1, PX_SET_DEFAULT, orders);
    }
    conclude(roster, orders);
}

void px_roster_add(px_roster *roster, px_ns now, uint32_t n, const char *set, px_orders *orders)
{
    if (roster->stopping) {
        return;
    }
    roster->wanted += n;
    for (uint32_t i = 0; i < n && !orders->failed; i++) {
        spawn(roster, now, -1, set, orders);
    }
    conclude(roster, orders);
}

void px_roster_dismiss(px_roster *roster, px_ns now, const uint32_t *ids, size_t n,
                       px_orders *orders)
{
    if (roster->stopping) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        px_engine *engine = find(roster, ids[i]);
        if (engine == NULL || engine->state == PX_ENGINE_LEAVING) {
            continue; // it does not count any more
        }
        bool counts = staying(engine);
        if (alive(engine)) {
            leave(roster, engine, now, "dismissed", orders);
        } else {
            forget(roster, engine->id, orders);
        }
        // A dead one may have been made up for already.
        roster->wanted -= counts || count_staying(roster) < roster->wanted;
    }
    conclude(roster, orders);
}

void px_roster_pid(px_roster *roster, uint32_t id, int32_t pid)
{
    px_engine *engine = find_alive(roster, id);
    if (engine != NULL) {
        engine->pid = pid;
    }
}

void px_roster_joined(px_roster *roster, px_ns now, uint32_t id, px_orders *orders)
{
    px_engine *engine = find_alive(roster, id);
    if (engine != NULL && engine->state == PX_ENGINE_SPAWNED) {
        px_ns deadline = engine->deadline;
        become(engine, now, PX_ENGINE_JOINING, "registered", orders);
        engine->deadline = deadline;
    }
}

void px_roster_ready(px_roster *roster, px_ns now, uint32_t id, px_orders *orders)
{
    px_engine *engine = find_alive(roster, id);
    if (engine != NULL && engine->state == PX_ENGINE_JOINING) {
        become(engine, now, PX_ENGINE_READY, "work connection registered", orders);
        engine->was_ready = true;
        roster->ever_ready = true;
        conclude(roster, orders);
    }
}

void px_roster_silent(px_roster *roster, px_ns now, uint32_t id, px_orders *orders)
{
    px_engine *engine = find_alive(roster, id);
    if (engine != NULL && engine->state == PX_ENGINE_READY) {
        become(engine, now, PX_ENGINE_SILENT, "does not answer", orders);
        conclude(roster, orders);
    }
}

void px_roster_heard(px_roster *roster, px_ns now, uint32_t id, px_orders *orders)
{
    px_engine *engine = find_alive(roster, id);
    if (engine != NULL && engine->state == PX_ENGINE_SILENT) {
        become(engine, now, PX_ENGINE_READY, "answers again", orders);
        conclude(roster, orders);
    }
}

void px_roster_disconnected(px_roster *roster, px_ns now, uint32_t id, px_orders *orders)
{
    px_engine *engine = find_alive(roster, id);
    if (engine == NULL || !staying(engine)) {
        return; // leaving or going: the exit is awaited already
    }
    become(engine, now, PX_ENGINE_GOING, "connection ended", orders);
    engine->deadline = now + roster->limits.exit;
    conclude(roster, orders);
}

void px_roster_exited(px_roster *roster, px_ns now, uint32_t id, px_exit how, px_orders *orders)
{
    px_engine *engine = find_alive(roster, id);
    if (engine != NULL) {
        engine->exit = how;
        die(roster, engine, now, "process ended", orders);
        conclude(roster, orders);
    }
}

void px_roster_leave(px_roster *roster, px_ns now, uint32_t id, px_orders *orders)
{
    px_engine *engine = find_alive(roster, id);
    if (engine != NULL) {
        leave(roster, engine, now, "asked to leave", orders);
        conclude(roster, orders);
    }
}

void px_roster_restart(px_roster *roster, px_ns now, const uint32_t *ids, size_t n,
                       px_orders *orders)
{
    if (roster->stopping) {
        return;
    }
    uint32_t end = roster->next_id; // those from here on are new
    for (size_t i = 0; i < roster->n && roster->engines[i]->id < end;) {
        px_engine *engine = roster->engines[i];
        char set[PX_SET_SIZE];
        bool chosen = ids == NULL;
        for (size_t k = 0; k < n && !chosen; k++) {
            chosen = ids[k] == engine->id;
        }
        memcpy(set, engine->set, sizeof(set));
        i += !chosen || alive(engine);
        if (chosen && alive(engine)) {
            leave(roster, engine, now, "restarted", orders);
        } else if (chosen) {
            forget(roster, engine->id, orders);
        }
        if (chosen && count_staying(roster) < roster->wanted) {
            spawn(roster, now, -1, set, orders);
        }
    }
    for (size_t have = count_staying(roster); have < roster->wanted && !orders->failed; have++) {
        spawn(roster, now, -1, PX_SET_DEFAULT, orders);
    }
    conclude(roster, orders);
}

void px_roster_nursery_died(px_roster *roster, px_ns now, px_orders *orders)
{
    for (size_t i = roster->n; i > 0; i--) {
        px_engine *engine = roster->engines[i - 1];
        if (alive(engine)) {
            give(orders, PX_ORDER_KILL, engine->id); // its own parent-death signal says the same
            die(roster, engine, now, "the zygote died", orders);
        }
    }
    conclude(roster, orders);
}

void px_roster_stop(px_roster *roster, px_ns now, px_orders *orders)
{
    if (roster->stopping) {
        return;
    }
    roster->stopping = true;
    for (size_t i = roster->n; i > 0; i--) {
        leave(roster, roster->engines[i - 1], now, "cluster stops", orders);
    }
    conclude(roster, orders);
}

// overdue acts on one engine whose deadline has passed.
static void overdue(px_roster *roster, px_engine *engine, px_ns now, px_orders *orders)
{
    switch (engine->state) {
    case PX_ENGINE_SPAWNED:
    case PX_ENGINE_JOINING:
        engine->timed_out = true;
        give(orders, PX_ORDER_KILL, engine->id);
        become(engine, now, PX_ENGINE_GOING, "did not register in time", orders);
        engine->deadline = now + roster->limits.exit;
        break;
    case PX_ENGINE_LEAVING:
        if (engine->stage >= 2) {
            die(roster, engine, now, "no news of its end", orders);
            break;
        }
        give(orders, engine->stage == 0 ? PX_ORDER_TERMINATE : PX_ORDER_KILL, engine->id);
        engine->deadline =
            now + (engine->stage == 0 ? roster->limits.terminate : roster->limits.exit);
        engine->stage++;
        break;
    case PX_ENGINE_GOING:
        give(orders, PX_ORDER_KILL, engine->id);
        die(roster, engine, now, "no news of its end", orders);
        break;
    case PX_ENGINE_READY:
    case PX_ENGINE_SILENT:
    case PX_ENGINE_DEAD:
        engine->deadline = 0;
        break;
    }
}

void px_roster_tick(px_roster *roster, px_ns now, px_orders *orders)
{
    for (size_t i = roster->n; i > 0; i--) {
        px_engine *engine = roster->engines[i - 1];
        if (engine->deadline != 0 && engine->deadline <= now) {
            overdue(roster, engine, now, orders);
        }
    }
    conclude(roster, orders);
}

px_ns px_roster_due(const px_roster *roster)
{
    px_ns due = 0;
    for (size_t i = 0; i < roster->n; i++) {
        px_ns deadline = roster->engines[i]->deadline;
        if (deadline != 0 && (due == 0 || deadline < due)) {
            due = deadline;
        }
    }
    return due;
}

const px_engine *px_roster_find(const px_roster *roster, uint32_t engine)
{
    return find(roster, engine);
}

size_t px_roster_count(const px_roster *roster)
{
    return roster->n;
}

const px_engine *px_roster_at(const px_roster *roster, size_t index)
{
    return roster->engines[index];
}

size_t px_roster_usable(const px_roster *roster)
{
    size_t n = 0;
    for (size_t i = 0; i < roster->n; i++) {
        n += counted(roster->engines[i]);
    }
    return n;
}

uint32_t px_roster_wanted(const px_roster *roster)
{
    return roster->wanted;
}

px_cluster_state px_roster_state(const px_roster *roster)
{
    if (roster->stopping) {
        return PX_CLUSTER_STOPPING;
    }
    size_t n_usable = 0, n_coming = 0;
    for (size_t i = 0; i < roster->n; i++) {
        n_usable += counted(roster->engines[i]);
        n_coming += coming(roster->engines[i]);
    }
    if (n_coming > 0) {
        return PX_CLUSTER_STARTING;
    }
    if (n_usable >= roster->wanted) {
        return PX_CLUSTER_RUNNING;
    }
    return roster->ever_ready ? PX_CLUSTER_DEGRADED : PX_CLUSTER_FAILED;
}

const char *px_engine_state_name(const px_engine *engine)
{
    switch (engine->state) {
    case PX_ENGINE_SPAWNED:
    case PX_ENGINE_JOINING:
        return "spawned";
    case PX_ENGINE_READY:
        return "idle";
    case PX_ENGINE_SILENT:
        return "silent";
    case PX_ENGINE_LEAVING:
        return "leaving";
    case PX_ENGINE_GOING: // as it was, for the moment
        return engine->was_ready ? "idle" : "spawned";
    case PX_ENGINE_DEAD:
        return "dead";
    }
    return "";
}

const char *px_cluster_state_name(px_cluster_state state)
{
    static const char *const names[] = {"starting", "running", "degraded", "stopping", "failed"};
    return names[state];
}

static bool engine_holds(const px_roster *roster, const px_engine *engine)
{
    bool waits = engine->state != PX_ENGINE_READY && engine->state != PX_ENGINE_SILENT &&
                 engine->state != PX_ENGINE_DEAD;
    return (engine->deadline != 0) == waits && engine->id < roster->next_id &&
           (!usable(engine) || engine->was_ready) &&
           (engine->state != PX_ENGINE_LEAVING || engine->asked) &&
           (engine->state != PX_ENGINE_DEAD || !engine->asked) && engine->n_story > 0 &&
           engine->story[(engine->n_story - 1) % PX_STORY_LENGTH].to == engine->state;
}

bool px_roster_check(const px_roster *roster)
{
    size_t n_staying = 0;
    for (size_t i = 0; i < roster->n; i++) {
        if (!engine_holds(roster, roster->engines[i]) ||
            (i > 0 && roster->engines[i - 1]->id >= roster->engines[i]->id)) {
            return false;
        }
        n_staying += staying(roster->engines[i]);
    }
    return n_staying <= roster->wanted && (!roster->stopping || n_staying == 0) &&
           roster->told == px_roster_state(roster) &&
           roster->told_usable == px_roster_usable(roster);
}
