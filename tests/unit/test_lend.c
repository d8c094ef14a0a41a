#include "io/lend.h"
#include "unit.h"

#include <stdlib.h>

static px_segment *segment_of(size_t size)
{
    uint8_t *data = calloc(1, size);
    px_segment *segment = NULL;
    px_segment_ref ref;
    ck_assert_ptr_nonnull(data);
    ok(px_segment_new(px_slice_of(data, size), &segment, &ref, NULL));
    free(data);
    return segment;
}

static px_loan *lent(px_lending *lending, uint64_t task, size_t size, uint32_t n_engines)
{
    static const uint32_t engines[] = {0, 1, 2, 3};
    px_loan *loan = NULL;
    px_loan *dropped = NULL;
    ok(px_loan_new(engines, n_engines, &loan));
    ok(px_loan_add(loan, segment_of(size)));
    px_lending_enter(lending, loan, task, &dropped);
    px_loan_free(dropped);
    return loan;
}

// returned says that an engine let go, and tells how many loans are over.
static size_t returned(px_lending *lending, uint64_t task, uint32_t engine)
{
    size_t n = 0;
    px_loan *over = px_lending_returned(lending, task, engine);
    while (over != NULL) {
        px_loan *next = over->next;
        px_lending_keep(lending, over, 1);
        px_loan_free(over);
        over = next;
        n++;
    }
    return n;
}

START_TEST(test_lend__a_segment_is_free_when_every_engine_has_let_go)
{
    px_lending lending = {0};
    (void)lent(&lending, 7, 4096, 3);
    ck_assert_uint_eq(returned(&lending, 7, 0), 0);
    ck_assert_uint_eq(returned(&lending, 7, 0), 0); // twice is once
    ck_assert_uint_eq(returned(&lending, 8, 1), 0); // another task
    ck_assert_uint_eq(returned(&lending, 7, 2), 0);
    ck_assert_ptr_null(px_lending_find(&lending, 4096));
    ck_assert_uint_eq(returned(&lending, 7, 1), 1);
    px_segment *segment = px_lending_find(&lending, 4096);
    ck_assert_ptr_nonnull(segment);
    ck_assert_ptr_null(px_lending_find(&lending, 4096));
    px_segment_free(segment);
    px_lending_done(&lending);
}
END_TEST

START_TEST(test_lend__a_dead_engine_has_let_go_of_everything)
{
    px_lending lending = {0};
    (void)lent(&lending, 1, 4096, 1);
    (void)lent(&lending, 2, 4096, 2);
    ck_assert_uint_eq(returned(&lending, 0, 0), 1);
    ck_assert_uint_eq(returned(&lending, 0, 1), 1);
    ck_assert_uint_eq(lending.n_loans, 0);
    ck_assert_uint_eq(lending.n_idle, 2);
    px_lending_done(&lending);
}
END_TEST

START_TEST(test_lend__the_smallest_that_fits_is_taken_and_none_too_large)
{
    px_lending lending = {0};
    (void)lent(&lending, 1, 16384, 1);
    (void)lent(&lending, 2, 8192, 1);
    (void)lent(&lending, 3, 65536, 1);
    (void)returned(&lending, 0, 0);
    px_segment *segment = px_lending_find(&lending, 6000);
    ck_assert_uint_eq(px_segment_capacity(segment), 8192);
    px_segment_free(segment);
    ck_assert_ptr_null(px_lending_find(&lending, 6000));
    ck_assert_ptr_null(px_lending_find(&lending, 65537));
    px_lending_done(&lending);
}
END_TEST

START_TEST(test_lend__what_is_never_returned_is_forgotten)
{
    px_lending lending = {0};
    for (uint64_t task = 1; task <= PX_LEND_LOANS + 5; task++) {
        (void)lent(&lending, task, 4096, 1);
    }
    ck_assert_uint_eq(lending.n_loans, PX_LEND_LOANS);
    ck_assert_uint_eq(returned(&lending, 1, 0), 0); // dropped: too late
    ck_assert_uint_eq(returned(&lending, 6, 0), 1);
    px_lending_done(&lending);
}
END_TEST

START_TEST(test_lend__little_lies_idle_and_not_for_long)
{
    px_lending lending = {0};
    for (uint64_t task = 1; task <= PX_LEND_IDLE + 3; task++) {
        (void)lent(&lending, task, 4096, 1);
    }
    (void)returned(&lending, 0, 0);
    ck_assert_uint_eq(lending.n_idle, PX_LEND_IDLE);
    ck_assert_ptr_null(px_lending_expire(&lending, 0));
    for (size_t i = 0; i < PX_LEND_IDLE; i++) {
        px_segment *segment = px_lending_expire(&lending, 1);
        ck_assert_ptr_nonnull(segment);
        px_segment_free(segment);
    }
    ck_assert_uint_eq(lending.n_idle, 0);
    ck_assert_uint_eq(lending.idle_bytes, 0);
    px_lending_done(&lending);
}
END_TEST

UNIT_MAIN("lend", test_lend__a_segment_is_free_when_every_engine_has_let_go,
          test_lend__a_dead_engine_has_let_go_of_everything,
          test_lend__the_smallest_that_fits_is_taken_and_none_too_large,
          test_lend__what_is_never_returned_is_forgotten,
          test_lend__little_lies_idle_and_not_for_long)
