#include "controller/flight.h"
#include "unit.h"

#include <stdlib.h>

START_TEST(test_flight__takes_what_was_added_once)
{
    px_flight *flight;
    ok(px_flight_new(&flight));
    ok(px_flight_add(flight, 1, 7));
    ck_assert(!px_flight_take(flight, 2, 7));
    ck_assert(!px_flight_take(flight, 1, 8));
    ck_assert(px_flight_take(flight, 1, 7));
    ck_assert(!px_flight_take(flight, 1, 7));
    ck_assert_uint_eq(px_flight_count(flight), 0);
    px_flight_free(flight);
}
END_TEST

START_TEST(test_flight__counts_the_same_pair_twice)
{
    px_flight *flight;
    ok(px_flight_new(&flight));
    ok(px_flight_add(flight, 1, 7));
    ok(px_flight_add(flight, 1, 7));
    ck_assert_uint_eq(px_flight_count(flight), 2);
    ck_assert(px_flight_take(flight, 1, 7));
    ck_assert(px_flight_take(flight, 1, 7));
    ck_assert(!px_flight_take(flight, 1, 7));
    ck_assert(px_flight_check(flight));
    px_flight_free(flight);
}
END_TEST

START_TEST(test_flight__gives_back_every_one_at_an_engines_end)
{
    px_flight *flight;
    uint32_t client;
    uint64_t task, sum = 0;
    ok(px_flight_new(&flight));
    for (uint64_t i = 1; i <= 1000; i++) {
        ok(px_flight_add(flight, (uint32_t)(i % 7), i));
    }
    while (px_flight_next(flight, &client, &task)) {
        ck_assert_uint_eq(client, task % 7);
        ck_assert(px_flight_check(flight));
        sum += task;
    }
    ck_assert_uint_eq(sum, 1000 * 1001 / 2);
    px_flight_free(flight);
}
END_TEST

// A storm of adds and takes against a plain array of the same.
enum { CLIENTS = 3, TASKS = 400 };

static void storm(unsigned seed)
{
    unsigned model[CLIENTS][TASKS] = {0};
    px_flight *flight;
    size_t count = 0;
    ok(px_flight_new(&flight));
    for (int n = 0; n < 20000; n++) {
        uint32_t client = (uint32_t)(rand_r(&seed) % CLIENTS);
        uint64_t task = (uint64_t)(rand_r(&seed) % TASKS);
        bool growing = (n / 2000) % 2 == 0;
        if (rand_r(&seed) % 10 < (growing ? 7 : 3)) {
            ok(px_flight_add(flight, client, task));
            model[client][task]++;
            count++;
        } else {
            bool had = model[client][task] > 0;
            ck_assert_int_eq(px_flight_take(flight, client, task), had);
            model[client][task] -= had;
            count -= had;
        }
        ck_assert_uint_eq(px_flight_count(flight), count);
        if (n % 64 == 0) {
            ck_assert(px_flight_check(flight));
        }
    }
    px_flight_free(flight);
}

START_TEST(test_flight__holds_in_a_storm)
{
    for (unsigned seed = 1; seed <= 8; seed++) {
        storm(seed);
    }
}
END_TEST

UNIT_MAIN("flight", test_flight__takes_what_was_added_once, test_flight__counts_the_same_pair_twice,
          test_flight__gives_back_every_one_at_an_engines_end, test_flight__holds_in_a_storm)
