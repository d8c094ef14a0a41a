#include "controller/heart.h"
#include "unit.h"

#include <stdlib.h>

#define PERIOD 100

static px_heart *heart_of(uint32_t n)
{
    px_heart *heart;
    ok(px_heart_new(PERIOD, 3, &heart));
    for (uint32_t i = 0; i < n; i++) {
        ok(px_heart_add(heart, i));
    }
    return heart;
}

START_TEST(test_heart__needs_no_timer_while_nobody_is_wanted)
{
    px_heart *heart = heart_of(3);
    ck_assert_uint_eq(px_heart_due(heart, 50), 0);
    px_heart_want(heart, 1, true);
    ck_assert_uint_eq(px_heart_due(heart, 50), 50 + PERIOD);
    px_heart_want(heart, 1, false);
    ck_assert_uint_eq(px_heart_due(heart, 60), 0);
    px_heart_free(heart);
}
END_TEST

START_TEST(test_heart__asks_only_who_said_nothing)
{
    px_heart *heart = heart_of(2);
    px_heart_beats beats;
    px_heart_want(heart, 0, true);
    px_heart_want(heart, 1, true);
    px_heart_beat(heart, 100, &beats); // both count as heard when they became wanted
    ck_assert_uint_eq(beats.n_ask, 0);
    ck_assert(!px_heart_heard(heart, 0));
    px_heart_beat(heart, 200, &beats);
    ck_assert_uint_eq(beats.n_ask, 1);
    ck_assert_uint_eq(beats.ask[0], 1);
    px_heart_free(heart);
}
END_TEST

START_TEST(test_heart__is_silent_after_three_and_back_with_a_word)
{
    px_heart *heart = heart_of(1);
    px_heart_beats beats;
    px_heart_want(heart, 0, true);
    px_heart_beat(heart, 100, &beats);
    for (px_ns now = 200; now <= 400; now += 100) {
        px_heart_beat(heart, now, &beats);
        ck_assert_uint_eq(beats.n_ask, 1);
        ck_assert_uint_eq(beats.n_silent, 0);
    }
    px_heart_beat(heart, 500, &beats);
    ck_assert_uint_eq(beats.n_silent, 1);
    ck_assert_uint_eq(beats.n_ask, 0); // it has questions enough
    px_heart_beat(heart, 600, &beats);
    ck_assert_uint_eq(beats.n_silent, 0); // said once
    ck_assert(px_heart_heard(heart, 0));
    ck_assert(!px_heart_heard(heart, 0));
    ck_assert(px_heart_check(heart));
    px_heart_free(heart);
}
END_TEST

START_TEST(test_heart__does_not_hold_peace_against_anybody)
{
    px_heart *heart = heart_of(1);
    px_heart_beats beats;
    for (int i = 0; i < 10; i++) {
        px_heart_want(heart, 0, true);
        px_heart_beat(heart, 1, &beats);
        px_heart_beat(heart, 2, &beats);
        ck_assert_uint_eq(beats.n_silent, 0);
        px_heart_want(heart, 0, false);
    }
    px_heart_free(heart);
}
END_TEST

START_TEST(test_heart__holds_in_a_storm)
{
    px_heart *heart = heart_of(0);
    px_heart_beats beats;
    unsigned seed = 4;
    px_ns now = 1;
    for (int n = 0; n < 20000; n++) {
        uint32_t engine = (uint32_t)(rand_r(&seed) % 12);
        switch (rand_r(&seed) % 6) {
        case 0: {
            px_err err = px_heart_add(heart, engine);
            ck_assert(err == PX_OK || err == PX_EEXIST);
            break;
        }
        case 1:
            px_heart_remove(heart, engine);
            break;
        case 2:
            px_heart_want(heart, engine, rand_r(&seed) % 2 == 0);
            break;
        case 3:
            (void)px_heart_heard(heart, engine);
            break;
        default:
            px_heart_beat(heart, now += PERIOD, &beats);
            ck_assert_uint_le(beats.n_ask + beats.n_silent, 12);
            break;
        }
        ck_assert(px_heart_check(heart));
    }
    px_heart_free(heart);
}
END_TEST

UNIT_MAIN("heart", test_heart__needs_no_timer_while_nobody_is_wanted,
          test_heart__asks_only_who_said_nothing,
          test_heart__is_silent_after_three_and_back_with_a_word,
          test_heart__does_not_hold_peace_against_anybody, test_heart__holds_in_a_storm)
