#include "controller/roster.h"
#include "unit.h"

#include <stdlib.h>

static const px_roster_limits limits = {
    .registration = 60000, .polite = 1000, .terminate = 500, .exit = 300};
static const px_exit killed = {.signal = 9, .code = -1};

static px_roster *roster_new(void)
{
    px_roster *roster;
    ok(px_roster_new(&limits, &roster));
    return roster;
}

static size_t count(const px_orders *orders, px_order_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < orders->n; i++) {
        n += orders->items[i].kind == kind;
    }
    return n;
}

static void bring_up(px_roster *roster, uint32_t engine)
{
    px_orders orders = {0};
    px_roster_pid(roster, engine, (int32_t)(1000 + engine));
    px_roster_joined(roster, 1, engine, &orders);
    px_roster_ready(roster, 2, engine, &orders);
    px_orders_done(&orders);
}

static px_roster *running(uint32_t n)
{
    px_roster *roster = roster_new();
    px_orders orders = {0};
    px_roster_scale(roster, 1, n, NULL, NULL, &orders);
    px_orders_done(&orders);
    for (uint32_t i = 0; i < n; i++) {
        bring_up(roster, i);
    }
    ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_RUNNING);
    return roster;
}

START_TEST(test_roster__runs_only_when_all_are_ready)
{
    px_roster *roster = roster_new();
    px_orders orders = {0};
    px_roster_scale(roster, 1, 2, NULL, NULL, &orders);
    ck_assert_uint_eq(count(&orders, PX_ORDER_SPAWN), 2);
    ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_STARTING);
    bring_up(roster, 1);
    ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_STARTING);
    ck_assert_uint_eq(px_roster_usable(roster), 1);
    px_roster_joined(roster, 3, 0, &orders);
    ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_STARTING);
    px_roster_ready(roster, 4, 0, &orders);
    ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_RUNNING);
    ck_assert_uint_eq(px_roster_due(roster), 0);
    px_orders_done(&orders);
    px_roster_free(roster);
}
END_TEST

START_TEST(test_roster__tells_one_death_once_whatever_the_order_of_the_news)
{
    for (int first = 0; first < 2; first++) {
        px_roster *roster = running(2);
        px_orders orders = {0};
        if (first == 0) {
            px_roster_exited(roster, 5, 0, killed, &orders);
        }
        px_roster_disconnected(roster, 5, 0, &orders);
        px_roster_disconnected(roster, 5, 0, &orders);
        px_roster_exited(roster, 6, 0, killed, &orders);
        ck_assert_uint_eq(count(&orders, PX_ORDER_LOST), 1);
        ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_DEGRADED);
        ck_assert_int_eq(px_roster_find(roster, 0)->exit.signal, 9);
        ck_assert(px_roster_check(roster));
        px_orders_done(&orders);
        px_roster_free(roster);
    }
}
END_TEST

START_TEST(test_roster__gives_up_waiting_for_the_news_of_an_exit)
{
    px_roster *roster = running(1);
    px_orders orders = {0};
    px_roster_disconnected(roster, 10, 0, &orders);
    ck_assert_uint_eq(px_roster_due(roster), 310);
    px_roster_tick(roster, 309, &orders);
    ck_assert_uint_eq(count(&orders, PX_ORDER_LOST), 0);
    px_roster_tick(roster, 310, &orders);
    ck_assert_uint_eq(count(&orders, PX_ORDER_KILL), 1);
    ck_assert_uint_eq(count(&orders, PX_ORDER_LOST), 1);
    px_orders_done(&orders);
    px_roster_free(roster);
}
END_TEST

START_TEST(test_roster__asks_then_terminates_then_kills)
{
    px_roster *roster = running(1);
    px_orders orders = {0};
    px_roster_stop(roster, 100, &orders);
    ck_assert_uint_eq(count(&orders, PX_ORDER_SHUTDOWN), 1);
    px_roster_tick(roster, 1100, &orders);
    ck_assert_uint_eq(count(&orders, PX_ORDER_TERMINATE), 1);
    px_roster_tick(roster, 1600, &orders);
    ck_assert_uint_eq(count(&orders, PX_ORDER_KILL), 1);
    ck_assert_uint_eq(count(&orders, PX_ORDER_FINISHED), 0);
    px_roster_exited(roster, 1601, 0, killed, &orders);
    ck_assert_uint_eq(count(&orders, PX_ORDER_FINISHED), 1);
    ck_assert_uint_eq(px_roster_count(roster), 0);
    px_orders_done(&orders);
    px_roster_free(roster);
}
END_TEST

START_TEST(test_roster__never_uses_an_id_again)
{
    px_roster *roster = running(2);
    px_orders orders = {0};
    px_roster_exited(roster, 5, 1, killed, &orders);
    px_roster_restart(roster, 6, NULL, 0, &orders);
    ck_assert_ptr_null(px_roster_find(roster, 1));
    ck_assert_ptr_nonnull(px_roster_find(roster, 2));
    ck_assert_ptr_nonnull(px_roster_find(roster, 3));
    ck_assert_int_eq(px_roster_find(roster, 0)->state, PX_ENGINE_LEAVING);
    ck_assert_uint_eq(count(&orders, PX_ORDER_SPAWN), 2);
    ck_assert(px_roster_check(roster));
    px_orders_done(&orders);
    px_roster_free(roster);
}
END_TEST

START_TEST(test_roster__who_takes_a_place_is_of_the_same_set)
{
    px_roster *roster = running(1);
    px_orders orders = {0};
    px_roster_add(roster, 3, 2, "red", &orders); // 1 and 2
    bring_up(roster, 1);
    bring_up(roster, 2);
    ck_assert_uint_eq(px_roster_wanted(roster), 3);
    ck_assert_str_eq(px_roster_find(roster, 0)->set, PX_SET_DEFAULT);
    ck_assert_str_eq(px_roster_find(roster, 2)->set, "red");
    const uint32_t first = 0, last = 2;
    px_roster_restart(roster, 5, &last, 1, &orders); // 3
    ck_assert_str_eq(px_roster_find(roster, 3)->set, "red");
    px_roster_exited(roster, 6, 2, killed, &orders);
    px_roster_exited(roster, 6, 1, killed, &orders); // unasked: it stays listed
    px_roster_restart(roster, 7, NULL, 0, &orders);  // 0, 1, 3 by 4, 5, 6
    ck_assert_uint_eq(px_roster_wanted(roster), 3);
    ck_assert_str_eq(px_roster_find(roster, 4)->set, PX_SET_DEFAULT);
    ck_assert_str_eq(px_roster_find(roster, 5)->set, "red");
    ck_assert_str_eq(px_roster_find(roster, 6)->set, "red");
    px_roster_exited(roster, 8, first, killed, &orders);
    px_roster_replace(roster, true);
    bring_up(roster, 5);
    px_roster_exited(roster, 9, 5, killed, &orders); // 7
    ck_assert_str_eq(px_roster_find(roster, 7)->set, "red");
    ck_assert(px_roster_check(roster));
    px_orders_done(&orders);
    px_roster_free(roster);
}
END_TEST

START_TEST(test_roster__wants_fewer_when_engines_are_dismissed)
{
    px_roster *roster = running(4);
    px_orders orders = {0};
    const uint32_t ids[] = {1, 3, 9};
    px_roster_exited(roster, 5, 3, killed, &orders);
    ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_DEGRADED);
    px_roster_dismiss(roster, 6, ids, 3, &orders);
    ck_assert_uint_eq(px_roster_wanted(roster), 2);
    ck_assert_int_eq(px_roster_find(roster, 1)->state, PX_ENGINE_LEAVING);
    ck_assert_ptr_null(px_roster_find(roster, 3));
    px_roster_dismiss(roster, 7, ids, 1, &orders); // once is enough
    ck_assert_uint_eq(px_roster_wanted(roster), 2);
    ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_RUNNING);
    ck_assert(px_roster_check(roster));
    px_orders_done(&orders);
    px_roster_free(roster);
}
END_TEST

START_TEST(test_roster__says_that_a_cluster_without_engines_runs)
{
    px_roster *roster = roster_new();
    px_orders orders = {0};
    px_roster_add(roster, 1, 0, PX_SET_DEFAULT, &orders);
    ck_assert_uint_eq(count(&orders, PX_ORDER_CLUSTER), 1);
    ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_RUNNING);
    px_orders_done(&orders);
    px_roster_free(roster);
}
END_TEST

static bool busy_from_two_on(void *context, uint32_t engine)
{
    (void)context;
    return engine >= 2;
}

START_TEST(test_roster__lets_the_free_ones_go_first)
{
    px_roster *roster = running(4);
    px_orders orders = {0};
    px_roster_scale(roster, 5, 1, busy_from_two_on, NULL, &orders);
    ck_assert_int_eq(px_roster_find(roster, 0)->state, PX_ENGINE_LEAVING);
    ck_assert_int_eq(px_roster_find(roster, 1)->state, PX_ENGINE_LEAVING);
    ck_assert_int_eq(px_roster_find(roster, 2)->state, PX_ENGINE_READY);
    ck_assert_int_eq(px_roster_find(roster, 3)->state, PX_ENGINE_LEAVING);
    ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_RUNNING);
    px_orders_done(&orders);
    px_roster_free(roster);
}
END_TEST

START_TEST(test_roster__fails_when_nobody_ever_came_up)
{
    px_roster *roster = roster_new();
    px_orders orders = {0};
    px_roster_scale(roster, 1, 2, NULL, NULL, &orders);
    px_roster_nursery_died(roster, 2, &orders);
    ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_FAILED);
    px_roster_stop(roster, 3, &orders);
    ck_assert_uint_eq(count(&orders, PX_ORDER_FINISHED), 1);
    px_orders_done(&orders);
    px_roster_free(roster);
}
END_TEST

START_TEST(test_roster__silence_is_no_death)
{
    px_roster *roster = running(1);
    px_orders orders = {0};
    px_roster_silent(roster, 5, 0, &orders);
    ck_assert_int_eq(px_roster_find(roster, 0)->state, PX_ENGINE_SILENT);
    ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_RUNNING);
    px_roster_heard(roster, 6, 0, &orders);
    ck_assert_int_eq(px_roster_find(roster, 0)->state, PX_ENGINE_READY);
    ck_assert_uint_eq(count(&orders, PX_ORDER_LOST), 0);
    px_orders_done(&orders);
    px_roster_free(roster);
}
END_TEST

// follow checks what orders promise: an engine is spawned once, lost at most once, and forgotten
// after it was lost.
typedef struct ledger {
    unsigned char spawned[4096], lost[4096], forgotten[4096];
    bool finished;
} ledger;

static void follow(ledger *l, const px_orders *orders)
{
    for (size_t i = 0; i < orders->n; i++) {
        uint32_t id = orders->items[i].engine;
        ck_assert_uint_lt(id, 4096);
        switch (orders->items[i].kind) {
        case PX_ORDER_SPAWN:
            ck_assert_uint_eq(l->spawned[id]++, 0);
            break;
        case PX_ORDER_LOST:
            ck_assert_uint_eq(l->spawned[id], 1);
            ck_assert_uint_eq(l->lost[id]++, 0);
            break;
        case PX_ORDER_FORGET:
            ck_assert_uint_eq(l->lost[id], 1);
            ck_assert_uint_eq(l->forgotten[id]++, 0);
            break;
        case PX_ORDER_FINISHED:
            ck_assert(!l->finished);
            l->finished = true;
            break;
        default:
            break;
        }
    }
}

static void happen(px_roster *roster, px_ns now, unsigned *seed, px_orders *orders)
{
    size_t n = px_roster_count(roster);
    uint32_t id =
        n > 0 ? px_roster_at(roster, (size_t)rand_r(seed) % n)->id : (uint32_t)(rand_r(seed) % 8);
    switch (rand_r(seed) % 26) {
    case 0:
        px_roster_scale(roster, now, (uint32_t)(rand_r(seed) % 12), NULL, NULL, orders);
        break;
    case 1:
        px_roster_restart(roster, now, &id, 1, orders);
        break;
    case 2:
        px_roster_leave(roster, now, id, orders);
        break;
    case 3:
        px_roster_silent(roster, now, id, orders);
        break;
    case 4:
        px_roster_heard(roster, now, id, orders);
        break;
    case 5:
        px_roster_disconnected(roster, now, id, orders);
        break;
    case 6:
    case 7:
        px_roster_exited(roster, now, id, killed, orders);
        break;
    case 8:
        if (rand_r(seed) % 20 == 0) {
            px_roster_nursery_died(roster, now, orders);
        }
        break;
    case 9:
    case 10:
    case 11:
        px_roster_tick(roster, now, orders);
        break;
    case 12:
        px_roster_dismiss(roster, now, &id, 1, orders);
        break;
    case 13:
        if (px_roster_wanted(roster) < 12) {
            px_roster_add(roster, now, (uint32_t)(rand_r(seed) % 3), "red", orders);
        }
        break;
    default:
        px_roster_joined(roster, now, id, orders);
        px_roster_ready(roster, now, id, orders);
        break;
    }
}

START_TEST(test_roster__holds_in_a_storm)
{
    for (unsigned storm = 1; storm <= 20; storm++) {
        px_roster *roster = roster_new();
        ledger *l = calloc(1, sizeof(*l));
        px_orders orders = {0};
        unsigned seed = storm;
        px_ns now = 1;
        px_roster_replace(roster, storm % 2 == 0);
        for (int n = 0; n < 2000; n++) {
            now += rand_r(&seed) % 100 == 0 ? PX_REPLACED_WITHIN : 0;
            now += (px_ns)(rand_r(&seed) % 400);
            happen(roster, now, &seed, &orders);
            follow(l, &orders);
            orders.n = 0;
            ck_assert_msg(px_roster_check(roster), "storm %u, event %d", storm, n);
        }
        px_roster_stop(roster, now, &orders);
        for (int n = 0; n < 100 && px_roster_due(roster) != 0; n++) { // deadlines alone end it
            now = px_roster_due(roster);
            px_roster_tick(roster, now, &orders);
        }
        follow(l, &orders);
        ck_assert(l->finished);
        px_orders_done(&orders);
        px_roster_free(roster);
        free(l);
    }
}
END_TEST

// die_at kills the engine with the highest id and tells how many were ordered in its place.
static size_t die_at(px_roster *roster, px_ns now)
{
    px_orders orders = {0};
    const px_engine *last = px_roster_at(roster, px_roster_count(roster) - 1);
    px_roster_exited(roster, now, last->id, killed, &orders);
    ck_assert(px_roster_check(roster));
    size_t n = count(&orders, PX_ORDER_SPAWN);
    px_orders_done(&orders);
    return n;
}

START_TEST(test_roster__replaces_who_died_under_a_new_id)
{
    px_roster *roster = running(1);
    px_roster_replace(roster, true);
    ck_assert_uint_eq(die_at(roster, 10), 1);
    ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_STARTING);
    ck_assert_int_eq(px_roster_find(roster, 1)->replaces, 0);
    ck_assert_uint_eq(die_at(roster, 20), 0); // it has never come up: the next would not either
    ck_assert_int_eq(px_roster_state(roster), PX_CLUSTER_DEGRADED);
    ck_assert(!px_roster_exhausted(roster));
    px_roster_free(roster);
}
END_TEST

START_TEST(test_roster__replaces_only_so_many_in_a_while)
{
    px_roster *roster = running(1);
    px_roster_replace(roster, true);
    px_ns now = 10;
    uint32_t n = 0;
    while (die_at(roster, now) == 1) {
        bring_up(roster, ++n);
        ck_assert_uint_lt(n, 100);
    }
    ck_assert_uint_eq(n, PX_REPLACED_MOST + 2);
    ck_assert(px_roster_exhausted(roster));
    px_orders orders = {0};
    px_roster_restart(roster, now, NULL, 0, &orders);
    ck_assert_uint_eq(count(&orders, PX_ORDER_SPAWN), 1);
    px_orders_done(&orders);
    bring_up(roster, n + 1);
    ck_assert_uint_eq(die_at(roster, now + 2 * PX_REPLACED_WITHIN), 1);
    ck_assert(!px_roster_exhausted(roster));
    px_roster_free(roster);
}
END_TEST

START_TEST(test_roster__replaces_nobody_who_was_asked_to_go)
{
    px_roster *roster = running(2);
    px_roster_replace(roster, true);
    px_orders orders = {0};
    px_roster_leave(roster, 10, 1, &orders);
    px_roster_exited(roster, 11, 1, killed, &orders);
    px_roster_stop(roster, 12, &orders);
    px_roster_exited(roster, 13, 0, killed, &orders);
    ck_assert_uint_eq(count(&orders, PX_ORDER_SPAWN), 0);
    ck_assert_uint_eq(count(&orders, PX_ORDER_FINISHED), 1);
    px_orders_done(&orders);
    px_roster_free(roster);
}
END_TEST

UNIT_MAIN("roster", test_roster__replaces_who_died_under_a_new_id,
          test_roster__replaces_only_so_many_in_a_while,
          test_roster__replaces_nobody_who_was_asked_to_go,
          test_roster__runs_only_when_all_are_ready,
          test_roster__tells_one_death_once_whatever_the_order_of_the_news,
          test_roster__gives_up_waiting_for_the_news_of_an_exit,
          test_roster__asks_then_terminates_then_kills, test_roster__never_uses_an_id_again,
          test_roster__who_takes_a_place_is_of_the_same_set,
          test_roster__wants_fewer_when_engines_are_dismissed,
          test_roster__says_that_a_cluster_without_engines_runs,
          test_roster__lets_the_free_ones_go_first, test_roster__fails_when_nobody_ever_came_up,
          test_roster__silence_is_no_death, test_roster__holds_in_a_storm)
