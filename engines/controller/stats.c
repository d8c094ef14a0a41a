// stats.c: what engines use, and hearts: the two things that need a clock.
//
// Both timers run only while they are needed. Someone who watches gets at most one `stats` message
// a second, and none while nothing changes. Hearts are asked while an engine works or somebody
// watches. In between, the relay is asked to say when something goes on, so an idle cluster wakes
// nobody.

#include "../launch/host.h"
#include "controller.h"

#include "px/log.h"

#include <utlist.h>

#define STATS_PERIOD PX_NS_PER_S

// sample reads one engine; true when something that is shown has changed.
static bool sample(px_seat *seat, px_ns now)
{
    px_process process;
    if (seat->far || seat->cause[0] != '\0' || !px_process_read(seat->pid, &process)) {
        bool changed = seat->cpu > 0;
        seat->cpu = 0;
        return changed;
    }
    double before = seat->cpu;
    uint64_t rss = seat->rss;
    if (seat->sampled_ns != 0 && now > seat->sampled_ns && process.cpu_ns >= seat->cpu_ns) {
        double share = (double)(process.cpu_ns - seat->cpu_ns) / (double)(now - seat->sampled_ns);
        seat->cpu = (double)(int64_t)(share * 1000 + 0.5) / 10; // percent of one core
    }
    seat->sampled_ns = now;
    seat->cpu_ns = process.cpu_ns;
    seat->rss = process.rss;
    double difference = seat->cpu > before ? seat->cpu - before : before - seat->cpu;
    uint64_t moved = rss > process.rss ? rss - process.rss : process.rss - rss;
    return difference >= 0.5 || moved * 20 >= process.rss;
}

void px__stats_sample(px_controller *controller, px_seat *seat, px_ns now)
{
    (void)controller;
    if (now - seat->sampled_ns >= STATS_PERIOD) {
        (void)sample(seat, now);
    }
}

static void send_stats(px_controller *controller)
{
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "event", "stats");
    px_jsonw_key(&w, "cluster");
    px__describe_cluster(controller, &w);
    px_jsonw_key(&w, "engines");
    px_jsonw_array(&w);
    px_seat *seat, *next;
    HASH_ITER (hh, controller->seats, seat, next) {
        px__describe_stats(controller, seat, &w);
    }
    px_jsonw_end_array(&w);
    px_jsonw_end_object(&w);
    px_visitor *visitor, *after;
    DL_FOREACH_SAFE (controller->visitors, visitor, after) {
        if (visitor->watches && px_buf_status(&content) == PX_OK) {
            (void)px__hub_send(visitor, "cluster_notify", (px_slice){0}, px_buf_slice(&content));
        }
    }
}

// counts is a number that changes whenever a tally does.
static uint64_t counts(const px_controller *controller)
{
    uint64_t sum = 0;
    const px_seat *seat, *next;
    HASH_ITER (hh, controller->seats, seat, next) {
        sum = sum * 31 + atomic_load(&seat->tally->in_flight) +
              atomic_load(&seat->tally->done) * 7 + atomic_load(&seat->tally->failed) * 13;
    }
    return sum;
}

static void second_passed(void *context, px_ns now)
{
    px_controller *controller = context;
    px_timer_remove(controller->stats_timer);
    controller->stats_timer = NULL;
    if (controller->n_watchers == 0) {
        return;
    }
    bool changed = false;
    px_seat *seat, *next;
    HASH_ITER (hh, controller->seats, seat, next) {
        changed |= sample(seat, now);
    }
    uint64_t sum = counts(controller);
    if (changed || sum != controller->last_counts) {
        controller->last_counts = sum;
        send_stats(controller);
    }
    px__stats_wake(controller);
}

void px__stats_wake(px_controller *controller)
{
    if (controller->n_watchers > 0 && controller->stats_timer == NULL) {
        (void)px_loop_add_timer(controller->loop, "stats", px_now() + STATS_PERIOD, 0,
                                second_passed, controller, &controller->stats_timer);
    }
    px__heart_set(controller);
}

// --- hearts --------------------------------------------------------------------------------------

static void beat(void *context, px_ns now)
{
    px_controller *controller = context;
    px_heart_beats beats;
    px_orders orders = {0};
    px_timer_remove(controller->heart_timer);
    controller->heart_timer = NULL;
    px_heart_beat(controller->heart, now, &beats);
    for (size_t i = 0; i < beats.n_silent; i++) {
        px_log_warning("engine does not answer", "engine=%u", beats.silent[i]);
        px_roster_silent(controller->roster, now, beats.silent[i], &orders);
    }
    for (size_t i = 0; i < beats.n_ask; i++) {
        px_seat *seat = px__seat(controller, beats.ask[i]);
        if (seat != NULL && seat->visitor != NULL) {
            (void)px__hub_send(seat->visitor, "heartbeat_request", (px_slice){0}, (px_slice){0});
        }
    }
    px__carry_out(controller, &orders);
    px__heart_set(controller);
}

static void set_timer(px_controller *controller, px_ns due)
{
    (void)px_loop_add_timer(controller->loop, "heart", due, 0, beat, controller,
                            &controller->heart_timer);
}

void px__heart_set(px_controller *controller)
{
    px_seat *seat, *next;
    HASH_ITER (hh, controller->seats, seat, next) {
        bool busy = atomic_load(&seat->tally->in_flight) > 0;
        px_heart_want(controller->heart, seat->id,
                      busy || controller->n_watchers > 0 ||
                          (seat->visitor != NULL && px__seat_silent(controller, seat)));
    }
    if (controller->heart_timer != NULL) {
        return; // it comes back here
    }
    px_ns due = px_heart_due(controller->heart, px_now());
    if (due != 0) {
        set_timer(controller, due);
    } else {
        px_relay_watch(controller->relay); // to hear when an engine gets work
    }
}

void px__heart_join(px_controller *controller)
{
    if (controller->n_watchers > 0 && controller->heart_timer == NULL) {
        set_timer(controller, px_now() + PX_HEART_PERIOD); // then all are looked at
    }
}

void px__active(px_controller *controller)
{
    // Not asked again before a period is over: many short calls shall not wake us for each.
    if (controller->heart_timer == NULL) {
        set_timer(controller, px_now() + PX_HEART_PERIOD);
    }
    px__stats_wake(controller);
}
