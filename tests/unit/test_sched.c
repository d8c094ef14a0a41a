#include "controller/sched.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define MS PX_NS_PER_MS

static px_sched *sched_with(uint32_t engines)
{
    px_sched *sched;
    px_sched_orders orders = {0};
    ok(px_sched_new(&sched));
    for (uint32_t i = 0; i < engines; i++) {
        px_sched_engine_up(sched, 1, i, &orders);
    }
    px_sched_orders_done(&orders);
    return sched;
}

static void done(px_sched *sched, px_sched_orders *orders)
{
    for (uint32_t client = 0; client < 8; client++) {
        px_sched_client_gone(sched, 1, client, orders);
    }
    ck_assert_uint_eq(px_sched_count(sched), 0);
    ck_assert(px_sched_check(sched));
    px_sched_orders_done(orders);
    px_sched_free(sched);
}

static void submit(px_sched *sched, px_ns now, uint64_t task, px_sched_orders *orders)
{
    px_sched_task t = {.client = 1, .task = task};
    ok(px_sched_submit(sched, now, &t, orders));
    ck_assert(px_sched_check(sched));
}

// submit_task gives a task terms: it depends on `on` by the rules.
static void submit_task(px_sched *sched, px_sched_task task, const px_terms *terms,
                        const uint64_t *on, px_sched_orders *orders)
{
    px_bytes *frame;
    px_terms read;
    ok(px_terms_encode(terms, on, &frame));
    ok(px_terms_decode(px_bytes_slice(frame), &read));
    task.terms = &read;
    ok(px_sched_submit(sched, 1, &task, orders));
    ck_assert(px_sched_check(sched));
    px_bytes_unref(frame);
}

static void submit_after(px_sched *sched, uint64_t task, const px_terms *terms, const uint64_t *on,
                         px_sched_orders *orders)
{
    submit_task(sched, (px_sched_task){.client = 1, .task = task}, terms, on, orders);
}

static px_verdict reply(px_sched *sched, px_ns now, uint32_t engine, uint64_t task, bool failed,
                        px_sched_orders *orders)
{
    px_sched_order r = {.client = 1, .engine = engine, .task = task};
    px_verdict verdict =
        px_sched_reply(sched, now, &r, failed ? PX_ENDED_FAILED : PX_ENDED_WELL, orders);
    ck_assert(px_sched_check(sched));
    return verdict;
}

static size_t count(const px_sched_orders *orders, px_sched_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < orders->n; i++) {
        n += orders->items[i].kind == kind;
    }
    return n;
}

static const px_sched_order *last(const px_sched_orders *orders)
{
    ck_assert_uint_gt(orders->n, 0);
    return &orders->items[orders->n - 1];
}

START_TEST(test_sched__gives_each_engine_one_then_waits)
{
    px_sched *sched = sched_with(3);
    px_sched_orders orders = {0};
    for (uint64_t i = 1; i <= 5; i++) {
        submit(sched, 1, i, &orders);
    }
    ck_assert_uint_eq(count(&orders, PX_SCHED_SEND), 3);
    ck_assert_uint_eq(px_sched_waiting(sched), 2);
    unsigned engines = 0;
    for (size_t i = 0; i < 3; i++) {
        engines |= 1U << orders.items[i].engine;
    }
    ck_assert_uint_eq(engines, 7);
    orders.n = 0;
    (void)reply(sched, 100 * MS, 1, orders.items[1].task, false, &orders);
    ck_assert_uint_eq(count(&orders, PX_SCHED_DROP), 1);
    ck_assert_uint_eq(last(&orders)->engine, 1); // the one that is free gets the next
    ck_assert_uint_eq(last(&orders)->task, 4);
    done(sched, &orders);
}
END_TEST

// check_ahead looks at one engine and n tasks, of which the first takes so long: how many are sent
// when it is over.
static void check_ahead(uint64_t n, px_ns took, size_t ahead)
{
    px_sched *sched = sched_with(1);
    px_sched_orders orders = {0};
    for (uint64_t i = 1; i <= n; i++) {
        submit(sched, 1, i, &orders);
    }
    ck_assert_uint_eq(count(&orders, PX_SCHED_SEND), 1);
    (void)reply(sched, 1 + took, 0, 1, false, &orders);
    ck_assert_uint_eq(count(&orders, PX_SCHED_SEND), 1 + ahead);
    done(sched, &orders);
}

START_TEST(test_sched__sends_ahead_when_tasks_are_short)
{
    check_ahead(200, MS, 6); // five and one more
}
END_TEST

START_TEST(test_sched__takes_clients_in_turn)
{
    px_sched *sched = sched_with(1);
    px_sched_orders orders = {0};
    for (uint64_t i = 1; i <= 10; i++) {
        px_sched_task one = {.client = 1, .task = i}, two = {.client = 2, .task = 100 + i};
        ok(px_sched_submit(sched, 1, &one, &orders));
        ok(px_sched_submit(sched, 1, &two, &orders));
    }
    uint32_t before = last(&orders)->client;
    for (int i = 0; i < 8; i++) {
        px_sched_order r = *last(&orders);
        orders.n = 0;
        (void)px_sched_reply(sched, (px_ns)(i + 1) * 100 * MS, &r, PX_ENDED_WELL, &orders);
        ck_assert_int_eq(last(&orders)->kind, PX_SCHED_SEND);
        ck_assert_uint_ne(last(&orders)->client, before);
        before = last(&orders)->client;
    }
    done(sched, &orders);
}
END_TEST

START_TEST(test_sched__a_death_reruns_what_was_not_begun_and_the_running_one_once)
{
    px_sched *sched = sched_with(1);
    px_sched_orders orders = {0};
    submit(sched, 1, 1, &orders);
    (void)reply(sched, 1 + MS, 0, 1, false, &orders);
    for (uint64_t i = 2; i <= 4; i++) {
        submit(sched, 1, i, &orders);
    }
    orders.n = 0;
    px_sched_engine_down(sched, 2 * MS, 0, &orders);
    ck_assert_uint_eq(px_sched_waiting(sched), 3);
    px_sched_engine_up(sched, 3 * MS, 1, &orders);
    ck_assert_uint_eq(orders.items[0].task, 2); // in their order again
    orders.n = 0;
    px_sched_engine_down(sched, 4 * MS, 1, &orders);
    ck_assert_uint_eq(count(&orders, PX_SCHED_FAIL), 1);
    ck_assert_uint_eq(orders.items[0].task, 2);
    ck_assert_int_eq(orders.items[0].why, PX_WHY_DIED);
    ck_assert_uint_eq(px_sched_waiting(sched), 2);
    done(sched, &orders);
}
END_TEST

START_TEST(test_sched__retries_what_failed_as_often_as_asked)
{
    px_sched *sched = sched_with(1);
    px_sched_orders orders = {0};
    submit_after(sched, 1, &(px_terms){.retries = 2}, NULL, &orders);
    ck_assert_int_eq(reply(sched, 2, 0, 1, true, &orders), PX_VERDICT_SWALLOW);
    ck_assert_int_eq(reply(sched, 3, 0, 1, true, &orders), PX_VERDICT_SWALLOW);
    ck_assert_int_eq(reply(sched, 4, 0, 1, true, &orders), PX_VERDICT_FORWARD);
    ck_assert_uint_eq(px_sched_count(sched), 0);
    done(sched, &orders);
}
END_TEST

START_TEST(test_sched__runs_after_what_it_waits_for)
{
    px_sched *sched = sched_with(2);
    px_sched_orders orders = {0};
    submit(sched, 1, 1, &orders);
    submit(sched, 1, 2, &orders);
    submit_after(sched, 3, &(px_terms){.n_after = 2, .after_rule = PX_TERMS_SUCCESS},
                 (const uint64_t[]){1, 2}, &orders);
    (void)reply(sched, 2, 0, 1, false, &orders);
    ck_assert_uint_eq(count(&orders, PX_SCHED_SEND), 2);
    (void)reply(sched, 3, 1, 2, false, &orders);
    ck_assert_uint_eq(last(&orders)->task, 3);
    ck_assert_int_eq(last(&orders)->kind, PX_SCHED_SEND);
    submit_after(sched, 4, &(px_terms){.n_after = 2, .after_rule = PX_TERMS_SUCCESS},
                 (const uint64_t[]){1, 2}, &orders); // both over already
    ck_assert_uint_eq(last(&orders)->task, 4);
    ck_assert_int_eq(last(&orders)->kind, PX_SCHED_SEND);
    done(sched, &orders);
}
END_TEST

START_TEST(test_sched__fails_a_chain_when_its_first_fails)
{
    px_sched *sched = sched_with(1);
    px_sched_orders orders = {0};
    submit(sched, 1, 1, &orders);
    for (uint64_t i = 2; i <= 40; i++) {
        submit_after(sched, i, &(px_terms){.n_after = 1, .after_rule = PX_TERMS_SUCCESS},
                     (const uint64_t[]){i - 1}, &orders);
    }
    (void)reply(sched, 2, 0, 1, true, &orders);
    ck_assert_uint_eq(count(&orders, PX_SCHED_FAIL), 39);
    ck_assert_int_eq(last(&orders)->why, PX_WHY_IMPOSSIBLE);
    ck_assert_uint_eq(px_sched_count(sched), 0);
    done(sched, &orders);
}
END_TEST

START_TEST(test_sched__any_is_content_with_one_and_all_is_not)
{
    px_sched *sched = sched_with(2);
    px_sched_orders orders = {0};
    submit(sched, 1, 1, &orders);
    submit(sched, 1, 2, &orders);
    px_terms any = {.n_after = 2, .after_rule = PX_TERMS_ANY | PX_TERMS_SUCCESS};
    px_terms ended = {.n_after = 2};
    submit_after(sched, 3, &any, (const uint64_t[]){1, 2}, &orders);
    submit_after(sched, 4, &ended, (const uint64_t[]){1, 2}, &orders);
    (void)reply(sched, 2, 0, 1, true, &orders);
    ck_assert_uint_eq(px_sched_waiting(sched), 2);
    (void)reply(sched, 3, 1, 2, false, &orders);
    ck_assert_uint_eq(px_sched_waiting(sched), 0);
    done(sched, &orders);
}
END_TEST

START_TEST(test_sched__follows_to_where_it_ran)
{
    px_sched *sched = sched_with(3);
    px_sched_orders orders = {0};
    submit(sched, 1, 1, &orders);
    uint32_t where = last(&orders)->engine;
    submit_after(sched, 2, &(px_terms){.n_follow = 1, .follow_rule = PX_TERMS_SUCCESS},
                 (const uint64_t[]){1}, &orders);
    (void)reply(sched, 2, where, 1, false, &orders);
    ck_assert_uint_eq(last(&orders)->task, 2);
    ck_assert_uint_eq(last(&orders)->engine, where);
    (void)reply(sched, 3, where, 2, false, &orders);
    px_sched_engine_down(sched, 4, where, &orders);
    submit_after(sched, 3, &(px_terms){.n_follow = 1, .follow_rule = PX_TERMS_SUCCESS},
                 (const uint64_t[]){1}, &orders);
    ck_assert_int_eq(last(&orders)->why, PX_WHY_NO_ENGINE);
    done(sched, &orders);
}
END_TEST

START_TEST(test_sched__says_what_cannot_be)
{
    px_sched *sched = sched_with(1);
    px_sched_orders orders = {0};
    const uint32_t nobody[] = {7, 8};
    submit_after(sched, 1, &(px_terms){.n_after = 1}, (const uint64_t[]){99}, &orders);
    ck_assert_int_eq(last(&orders)->why, PX_WHY_UNKNOWN);
    submit_after(sched, 2, &(px_terms){.n_after = 1}, (const uint64_t[]){2}, &orders); // itself
    ck_assert_int_eq(last(&orders)->why, PX_WHY_UNKNOWN);
    px_sched_task t = {.client = 1, .task = 3, .targets = nobody, .n_targets = 2};
    ok(px_sched_submit(sched, 1, &t, &orders));
    ck_assert_int_eq(last(&orders)->why, PX_WHY_NO_ENGINE);
    submit(sched, 1, 4, &orders);
    t = (px_sched_task){.client = 1, .task = 4};
    fails_with(PX_EEXIST, px_sched_submit(sched, 1, &t, &orders));
    done(sched, &orders);
}
END_TEST

START_TEST(test_sched__nothing_waits_for_engines_that_will_not_come)
{
    px_sched *sched = sched_with(1);
    px_sched_orders orders = {0};
    for (uint64_t i = 1; i <= 3; i++) {
        submit(sched, 1, i, &orders);
    }
    px_sched_engine_down(sched, 2, 0, &orders);
    ck_assert_uint_eq(px_sched_waiting(sched), 3);
    orders.n = 0;
    px_sched_hopeless(sched, 3, true, &orders);
    ck_assert_uint_eq(count(&orders, PX_SCHED_FAIL), 3);
    submit(sched, 4, 9, &orders);
    ck_assert_int_eq(last(&orders)->why, PX_WHY_NO_ENGINE);
    px_sched_engine_up(sched, 5, 1, &orders);
    submit(sched, 6, 10, &orders);
    ck_assert_int_eq(last(&orders)->kind, PX_SCHED_SEND);
    done(sched, &orders);
}
END_TEST

START_TEST(test_sched__nothing_waits_that_became_ready_when_others_could_not_run)
{
    px_sched *sched = sched_with(0);
    px_sched_orders orders = {0};
    uint32_t some[] = {7, 8};
    const px_terms failed = {.n_after = 1, .after_rule = PX_TERMS_FAILURE};
    submit(sched, 1, 1, &orders);
    submit_task(sched, (px_sched_task){.client = 1, .task = 2, .targets = some, .n_targets = 2},
                &failed, (const uint64_t[]){1}, &orders);
    submit_after(sched, 3, &failed, (const uint64_t[]){2}, &orders);
    ck_assert_uint_eq(px_sched_waiting(sched), 3);
    px_sched_hopeless(sched, 2, true, &orders);
    ck_assert_uint_eq(count(&orders, PX_SCHED_FAIL), 3);
    done(sched, &orders);
}
END_TEST

START_TEST(test_sched__sends_one_ahead_of_those_that_take_a_little)
{
    check_ahead(4, 10 * MS, 2);
}
END_TEST

START_TEST(test_sched__aborts_and_times_out_what_waits)
{
    px_sched *sched = sched_with(1);
    px_sched_orders orders = {0};
    submit(sched, 1, 1, &orders);
    submit(sched, 1, 2, &orders);
    submit_after(sched, 3, &(px_terms){.n_after = 1, .timeout_ms = 5}, (const uint64_t[]){1},
                 &orders);
    px_sched_abort(sched, 2, 1, 2, &orders);
    ck_assert_int_eq(last(&orders)->why, PX_WHY_ABORTED);
    px_sched_abort(sched, 2, 1, 1, &orders); // with its engine: that one answers
    ck_assert_uint_eq(px_sched_count(sched), 2);
    ck_assert_uint_eq(px_sched_due(sched), 1 + 5 * MS);
    px_sched_tick(sched, 1 + 5 * MS, &orders);
    ck_assert_int_eq(last(&orders)->why, PX_WHY_TIMEOUT);
    ck_assert_uint_eq(px_sched_due(sched), 0);
    done(sched, &orders);
}
END_TEST

START_TEST(test_sched__asks_back_what_stands_behind_something_long)
{
    px_sched *sched = sched_with(2);
    px_sched_orders orders = {0};
    px_ns now = 1;
    submit(sched, now, 1, &orders);
    (void)reply(sched, now += MS, orders.items[0].engine, 1, false,
                &orders); // short ones, it seems
    orders.n = 0;
    for (uint64_t i = 2; i <= 7; i++) {
        submit(sched, now, i, &orders);
    }
    ck_assert_uint_eq(count(&orders, PX_SCHED_SEND), 6);
    uint32_t slow = orders.items[0].engine;
    size_t n = orders.n;
    for (size_t i = 0; i < n; i++) {
        if (orders.items[i].engine != slow) {
            (void)reply(sched, now += MS / 10, orders.items[i].engine, orders.items[i].task, false,
                        &orders);
        }
    }
    orders.n = 0;
    now = px_sched_due(sched);
    ck_assert_uint_ne(now, 0);
    px_sched_tick(sched, now, &orders);
    ck_assert_uint_eq(count(&orders, PX_SCHED_RECALL), 1); // one engine idles
    px_sched_order back = *last(&orders);
    ck_assert_uint_eq(back.engine, slow);
    ck_assert(px_sched_recalled(sched, 1, back.task));
    ck_assert_int_eq(px_sched_reply(sched, now, &back, PX_ENDED_RETURNED, &orders),
                     PX_VERDICT_SWALLOW);
    ck_assert_int_eq(last(&orders)->kind, PX_SCHED_SEND);
    ck_assert_uint_eq(last(&orders)->task, back.task);
    ck_assert_uint_ne(last(&orders)->engine, slow);
    done(sched, &orders);
}
END_TEST

// --- the storm -----------------------------------------------------------------------------------

enum { TASKS = 1500, ENGINES = 40, CLIENTS = 3 };

// world is what a relay with engines would know, kept in the simplest way.
typedef struct world {
    px_sched *sched;
    px_sched_orders orders;
    unsigned seed;
    px_ns now;
    uint32_t next_engine;
    bool up[ENGINES];
    bool known[CLIENTS][TASKS]; // submitted
    bool out[CLIENTS][TASKS];   // payload is with the scheduler
    int with[CLIENTS][TASKS];   // engine that has it, -1: none
    uint64_t next[CLIENTS];
    size_t n_sent, n_back;
} world;

static unsigned chance(world *w, unsigned n)
{
    return (unsigned)rand_r(&w->seed) % n;
}

static void obey(world *w)
{
    for (size_t i = 0; i < w->orders.n; i++) {
        const px_sched_order *o = &w->orders.items[i];
        ck_assert_uint_lt(o->client, CLIENTS);
        ck_assert(w->out[o->client][o->task]);
        ck_assert_ptr_eq(o->payload, &w->out[o->client][o->task]);
        if (o->kind == PX_SCHED_SEND) {
            ck_assert(w->up[o->engine]);
            ck_assert_int_eq(w->with[o->client][o->task], -1);
            w->with[o->client][o->task] = (int)o->engine;
            w->n_sent++;
        } else if (o->kind == PX_SCHED_RECALL) {
            ck_assert_int_eq(w->with[o->client][o->task], (int)o->engine);
        } else {
            w->out[o->client][o->task] = false;
            w->with[o->client][o->task] = -1;
        }
    }
    w->orders.n = 0;
    ck_assert(px_sched_check(w->sched));
}

static void storm_submit(world *w)
{
    uint32_t client = chance(w, CLIENTS);
    uint64_t task = ++w->next[client];
    uint64_t on[3];
    uint32_t targets[2] = {chance(w, ENGINES), chance(w, ENGINES)};
    if (task >= TASKS) {
        return;
    }
    uint32_t n = task > 10 ? chance(w, 3) : 0;
    for (uint32_t i = 0; i < 3; i++) {
        on[i] = task > 10 ? task - 1 - chance(w, 9) : 1;
    }
    px_terms terms = {.retries = chance(w, 3),
                      .timeout_ms = chance(w, 8) == 0 ? 1 + chance(w, 20) : 0,
                      .after_rule = (uint8_t)chance(w, 8),
                      .follow_rule = (uint8_t)chance(w, 8),
                      .n_after = n,
                      .n_follow = chance(w, 4) == 0 ? 1 : 0};
    px_bytes *frame;
    px_terms read;
    ok(px_terms_encode(&terms, on, &frame));
    ok(px_terms_decode(px_bytes_slice(frame), &read));
    px_sched_task t = {.client = client,
                       .task = task,
                       .targets = targets,
                       .n_targets = chance(w, 5) == 0 ? 2 : 0,
                       .terms = chance(w, 2) == 0 ? &read : NULL,
                       .payload = &w->out[client][task]};
    w->known[client][task] = w->out[client][task] = true;
    w->with[client][task] = -1;
    ok(px_sched_submit(w->sched, w->now, &t, &w->orders));
    px_bytes_unref(frame);
}

// storm_reply lets some engine answer some task that it has.
static void storm_reply(world *w, bool failed)
{
    for (uint32_t client = 0; client < CLIENTS; client++) {
        uint64_t from = chance(w, TASKS);
        for (uint64_t i = 0; i < TASKS; i++) {
            uint64_t task = (from + i) % TASKS;
            if (w->out[client][task] && w->with[client][task] >= 0) {
                px_sched_order r = {
                    .client = client, .engine = (uint32_t)w->with[client][task], .task = task};
                w->with[client][task] = -1;
                bool back = failed && px_sched_recalled(w->sched, client, task);
                (void)px_sched_reply(w->sched, w->now, &r,
                                     back     ? PX_ENDED_RETURNED
                                     : failed ? PX_ENDED_FAILED
                                              : PX_ENDED_WELL,
                                     &w->orders);
                w->n_back += back;
                return;
            }
        }
    }
}

static void storm_down(world *w, uint32_t engine)
{
    if (!w->up[engine]) {
        return;
    }
    w->up[engine] = false;
    for (uint32_t client = 0; client < CLIENTS; client++) {
        for (uint64_t task = 0; task < TASKS; task++) {
            if (w->with[client][task] == (int)engine) {
                w->with[client][task] = -1;
            }
        }
    }
    px_sched_engine_down(w->sched, w->now, engine, &w->orders);
}

static void storm_gone(world *w)
{
    uint32_t client = chance(w, CLIENTS);
    px_sched_client_gone(w->sched, w->now, client, &w->orders);
    for (uint64_t task = 0; task < TASKS; task++) {
        w->with[client][task] = -1; // late answers are dropped before they come here
    }
}

static void happen(world *w)
{
    w->now += chance(w, 3) * MS / 2;
    switch (chance(w, 40)) {
    case 0:
        if (w->next_engine < ENGINES) {
            w->up[w->next_engine] = true;
            px_sched_engine_up(w->sched, w->now, w->next_engine++, &w->orders);
        }
        break;
    case 1:
        storm_down(w, chance(w, ENGINES));
        break;
    case 2:
        px_sched_abort(w->sched, w->now, chance(w, CLIENTS), chance(w, TASKS), &w->orders);
        break;
    case 3:
        px_sched_tick(w->sched, w->now, &w->orders);
        break;
    case 4:
        px_sched_hopeless(w->sched, w->now, chance(w, 2) == 0, &w->orders);
        break;
    case 5:
        if (chance(w, 12) == 0) {
            storm_gone(w);
        }
        break;
    default:
        if (chance(w, 2) == 0) {
            storm_submit(w);
        } else {
            storm_reply(w, chance(w, 4) == 0);
        }
        break;
    }
    obey(w);
}

static void storm(unsigned seed)
{
    world *w = calloc(1, sizeof(*w));
    w->seed = seed;
    w->now = 1;
    ok(px_sched_new(&w->sched));
    memset(w->with, -1, sizeof(w->with));
    for (int n = 0; n < 3000; n++) {
        happen(w);
    }
    // Nobody waits for ever: with all answers in and no engine to come, all are over.
    for (int n = 0; n < 20000 && px_sched_count(w->sched) > px_sched_waiting(w->sched); n++) {
        w->now += MS;
        storm_reply(w, false);
        obey(w);
    }
    for (uint32_t engine = 0; engine < ENGINES; engine++) {
        storm_down(w, engine);
        obey(w);
    }
    px_sched_hopeless(w->sched, w->now, true, &w->orders);
    obey(w);
    ck_assert_uint_eq(px_sched_count(w->sched), 0);
    ck_assert_uint_gt(w->n_sent, 100);
    for (uint32_t client = 0; client < CLIENTS; client++) {
        for (uint64_t task = 0; task < TASKS; task++) {
            ck_assert(!w->out[client][task]);
        }
        px_sched_client_gone(w->sched, w->now, client, &w->orders);
    }
    px_sched_orders_done(&w->orders);
    px_sched_free(w->sched);
    free(w);
}

START_TEST(test_sched__holds_in_a_storm)
{
    for (unsigned seed = 1; seed <= 12; seed++) {
        storm(seed);
    }
}
END_TEST

UNIT_MAIN("sched", test_sched__gives_each_engine_one_then_waits,
          test_sched__sends_ahead_when_tasks_are_short, test_sched__takes_clients_in_turn,
          test_sched__a_death_reruns_what_was_not_begun_and_the_running_one_once,
          test_sched__retries_what_failed_as_often_as_asked,
          test_sched__runs_after_what_it_waits_for, test_sched__fails_a_chain_when_its_first_fails,
          test_sched__any_is_content_with_one_and_all_is_not, test_sched__follows_to_where_it_ran,
          test_sched__says_what_cannot_be, test_sched__nothing_waits_for_engines_that_will_not_come,
          test_sched__nothing_waits_that_became_ready_when_others_could_not_run,
          test_sched__sends_one_ahead_of_those_that_take_a_little,
          test_sched__aborts_and_times_out_what_waits,
          test_sched__asks_back_what_stands_behind_something_long, test_sched__holds_in_a_storm)
