#include "io/lend.h"
#include "unit.h"

#include <stdlib.h>

enum { SIZE = 4096 };
static uint8_t bytes[SIZE];
static const uint32_t four[] = {0, 1, 2, 3};

static px_lending lending_new(void)
{
    return (px_lending){.pool.most_bytes = PX_LEND_IDLE_BYTES};
}

// out makes a segment that is out, of what is in bytes.
static px_lent *out(px_lending *lending)
{
    px_segment *segment = NULL;
    px_segment_ref ref;
    px_lent *lent = NULL;
    ok(px_segment_new(px_slice_of(bytes, SIZE), &segment, &ref, NULL));
    ok(px_lending_out(lending, segment, &ref, bytes, &lent));
    return lent;
}

static void lend(px_lending *lending, uint64_t task, px_lent *lent, const uint32_t *engines,
                 uint32_t n)
{
    px_loan *loan = NULL;
    ok(px_loan_new(engines, n, &loan));
    ok(px_loan_add(loan, lent));
    px_lending_enter(lending, loan, task);
}

// end ends what is over, and tells how many segments were not kept.
static size_t end(px_lending *lending, px_loan *over)
{
    size_t n = 0;
    px_segment *segment;
    while ((segment = px_lending_end(lending, &over, 1)) != NULL) {
        px_segment_free(segment);
        n++;
    }
    ck_assert_ptr_null(over);
    return n;
}

static void returned(px_lending *lending, uint64_t task, uint32_t engine)
{
    ck_assert_uint_eq(end(lending, px_lending_returned(lending, task, engine)), 0);
}

static void settle(px_lending *lending, uint64_t task, uint32_t engine)
{
    ck_assert_uint_eq(end(lending, px_lending_settle(lending, task, engine)), 0);
}

START_TEST(test_lend__a_segment_is_free_when_every_engine_has_let_go)
{
    px_lending lending = lending_new();
    lend(&lending, 7, out(&lending), four, 3);
    returned(&lending, 7, 0);
    returned(&lending, 7, 0); // twice is once
    returned(&lending, 8, 1); // another task
    returned(&lending, 7, 2);
    settle(&lending, 7, PX_LEND_NO_ENGINE);
    ck_assert_uint_eq(lending.pool.n, 0);
    returned(&lending, 7, 1);
    ck_assert_uint_eq(lending.pool.n, 1);
    ck_assert_ptr_null(lending.out);
    ck_assert_ptr_null(lending.loans);
    px_lending_done(&lending);
}
END_TEST

START_TEST(test_lend__a_dead_engine_has_let_go_of_everything)
{
    px_lending lending = lending_new();
    lend(&lending, 1, out(&lending), four, 1);
    lend(&lending, 2, out(&lending), four, 2);
    returned(&lending, 0, 0);
    ck_assert_uint_eq(lending.pool.n, 1);
    returned(&lending, 0, 1);
    ck_assert_uint_eq(lending.pool.n, 2);
    px_lending_done(&lending);
}
END_TEST

START_TEST(test_lend__of_a_balanced_task_the_word_of_who_answered_counts)
{
    px_lending lending = lending_new();
    lend(&lending, 1, out(&lending), NULL, 0);
    returned(&lending, 1, 3); // it gave the task back
    ck_assert_uint_eq(lending.pool.n, 0);
    settle(&lending, 1, 2);
    ck_assert_uint_eq(lending.pool.n, 0);
    returned(&lending, 1, 3);
    ck_assert_uint_eq(lending.pool.n, 0);
    returned(&lending, 1, 2);
    ck_assert_uint_eq(lending.pool.n, 1);

    lend(&lending, 2, out(&lending), NULL, 0); // the word may come before the answer
    returned(&lending, 2, 2);
    ck_assert_uint_eq(lending.pool.n, 1);
    settle(&lending, 2, 2);
    ck_assert_uint_eq(lending.pool.n, 2);
    px_lending_done(&lending);
}
END_TEST

START_TEST(test_lend__what_nobody_is_known_to_have_is_not_filled_again)
{
    px_lending lending = lending_new();
    lend(&lending, 1, out(&lending), NULL, 0);
    ck_assert_uint_eq(end(&lending, px_lending_settle(&lending, 1, PX_LEND_NO_ENGINE)), 1);
    ck_assert_uint_eq(lending.pool.n, 0);
    px_lending_done(&lending);
}
END_TEST

START_TEST(test_lend__the_same_bytes_are_lent_to_several_tasks)
{
    px_lending lending = lending_new();
    px_lent *lent = out(&lending);
    lend(&lending, 1, lent, four, 1);
    ck_assert_ptr_null(px_lending_same(&lending, px_slice_of(bytes, SIZE - 1)));
    ck_assert_ptr_eq(px_lending_same(&lending, px_slice_of(bytes, SIZE)), lent);
    lend(&lending, 2, lent, four + 1, 1);
    returned(&lending, 1, 0);
    ck_assert_uint_eq(lending.pool.n, 0);
    returned(&lending, 2, 1);
    ck_assert_uint_eq(lending.pool.n, 1);
    ck_assert_ptr_null(px_lending_same(&lending, px_slice_of(bytes, SIZE)));
    px_lending_done(&lending);
}
END_TEST

START_TEST(test_lend__a_loan_that_was_given_up_spoils_its_segment)
{
    px_lending lending = lending_new();
    px_lent *lent = out(&lending);
    lend(&lending, 1, lent, NULL, 0);
    (void)px_lending_same(&lending, px_slice_of(bytes, SIZE));
    lend(&lending, 2, lent, four, 1);
    settle(&lending, 1, PX_LEND_NO_ENGINE); // task 2 has it still
    ck_assert_uint_eq(end(&lending, px_lending_returned(&lending, 2, 0)), 1);
    px_lending_done(&lending);
}
END_TEST

START_TEST(test_lend__what_is_never_returned_is_forgotten_once_it_is_done)
{
    px_lending lending = lending_new();
    uint64_t n = PX_LEND_LOANS + 5;
    for (uint64_t task = 1; task <= n; task++) {
        lend(&lending, task, out(&lending), four, 1);
    }
    ck_assert_uint_eq(HASH_COUNT(lending.loans), n); // each may still be mapped for the first time
    size_t closed = 0;
    for (uint64_t task = 1; task <= n; task++) {
        closed += end(&lending, px_lending_settle(&lending, task, PX_LEND_NO_ENGINE));
    }
    ck_assert_uint_eq(closed, 5);
    ck_assert_uint_eq(HASH_COUNT(lending.loans), PX_LEND_LOANS);
    returned(&lending, 1, 0); // too late
    ck_assert_uint_eq(lending.pool.n, 0);
    returned(&lending, 6, 0);
    ck_assert_uint_eq(lending.pool.n, 1);
    px_lending_done(&lending);
}
END_TEST

UNIT_MAIN("lend", test_lend__a_segment_is_free_when_every_engine_has_let_go,
          test_lend__a_dead_engine_has_let_go_of_everything,
          test_lend__of_a_balanced_task_the_word_of_who_answered_counts,
          test_lend__what_nobody_is_known_to_have_is_not_filled_again,
          test_lend__the_same_bytes_are_lent_to_several_tasks,
          test_lend__a_loan_that_was_given_up_spoils_its_segment,
          test_lend__what_is_never_returned_is_forgotten_once_it_is_done)
