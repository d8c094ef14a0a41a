#include "io/pending.h"
#include "unit.h"

#include <stdlib.h>

enum { MANY = 5000 };

START_TEST(test_pending__finds_what_was_added_and_nothing_else)
{
    px_pending pending = {0};
    px_pending_entry *entries = calloc(MANY, sizeof *entries);
    ck_assert_ptr_null(px_pending_find(&pending, 1));
    for (uint64_t i = 0; i < MANY; i++) {
        entries[i].id = i + 1;
        ok(px_pending_add(&pending, &entries[i]));
    }
    ck_assert_uint_eq(pending.n, MANY);
    for (uint64_t i = 0; i < MANY; i++) {
        ck_assert_ptr_eq(px_pending_find(&pending, i + 1), &entries[i]);
    }
    ck_assert_ptr_null(px_pending_find(&pending, MANY + 1));
    px_pending_done(&pending);
    free(entries);
}
END_TEST

START_TEST(test_pending__removes_once)
{
    px_pending pending = {0};
    px_pending_entry one = {.id = 1};
    px_pending_entry same_bucket = {.id = 65};
    ck_assert(!px_pending_remove(&pending, &one));
    ok(px_pending_add(&pending, &one));
    ok(px_pending_add(&pending, &same_bucket));
    ck_assert(px_pending_remove(&pending, &one));
    ck_assert(!px_pending_remove(&pending, &one));
    ck_assert_ptr_null(px_pending_find(&pending, 1));
    ck_assert_ptr_eq(px_pending_find(&pending, 65), &same_bucket);
    px_pending_done(&pending);
}
END_TEST

START_TEST(test_pending__stays_small_however_many_came_and_went)
{
    px_pending pending = {0};
    px_pending_entry entry = {0};
    for (uint64_t id = 1; id <= 100000; id++) {
        entry.id = id;
        ok(px_pending_add(&pending, &entry));
        ck_assert(px_pending_remove(&pending, &entry));
    }
    ck_assert_uint_le(pending.n_buckets, 64);
    px_pending_done(&pending);
}
END_TEST

static void count(void *context, px_pending_entry *entry)
{
    *(uint64_t *)context += entry->id;
}

START_TEST(test_pending__each_visits_every_entry)
{
    px_pending pending = {0};
    px_pending_entry entries[3] = {{.id = 5}, {.id = 69}, {.id = 1000}};
    uint64_t sum = 0;
    for (int i = 0; i < 3; i++) {
        ok(px_pending_add(&pending, &entries[i]));
    }
    px_pending_each(&pending, count, &sum);
    ck_assert_uint_eq(sum, 1074);
    px_pending_done(&pending);
}
END_TEST

START_TEST(test_targets__slots_stand_in_the_order_given)
{
    const uint32_t up[] = {0, 2, 7, 4000000000};
    const uint32_t mixed[] = {9, 0, 4};
    px_targets targets;
    uint32_t twice;
    ok(px_targets_init(&targets, up, 4, &twice));
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(px_targets_slot(&targets, up[i]), i);
    }
    ck_assert_uint_eq(px_targets_slot(&targets, 1), PX_NO_SLOT);
    ck_assert_uint_eq(px_targets_slot(&targets, UINT32_MAX), PX_NO_SLOT);
    ok(px_targets_init(&targets, mixed, 3, &twice));
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(px_targets_slot(&targets, mixed[i]), i);
    }
    ck_assert_uint_eq(px_targets_slot(&targets, 5), PX_NO_SLOT);
}
END_TEST

START_TEST(test_targets__an_engine_named_twice_is_refused)
{
    const uint32_t beside[] = {3, 3};
    const uint32_t apart[] = {3, 1, 3};
    px_targets targets;
    uint32_t twice = 0;
    fails_with(PX_EEXIST, px_targets_init(&targets, beside, 2, &twice));
    ck_assert_uint_eq(twice, 3);
    twice = 0;
    fails_with(PX_EEXIST, px_targets_init(&targets, apart, 3, &twice));
    ck_assert_uint_eq(twice, 3);
}
END_TEST

UNIT_MAIN("pending", test_pending__finds_what_was_added_and_nothing_else,
          test_pending__removes_once, test_pending__stays_small_however_many_came_and_went,
          test_pending__each_visits_every_entry, test_targets__slots_stand_in_the_order_given,
          test_targets__an_engine_named_twice_is_refused)
