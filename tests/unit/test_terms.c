#include "unit.h"

#include "px/terms.h"

static px_bytes *encoded(const px_terms *terms, const uint64_t *tasks)
{
    px_bytes *frame = NULL;
    ok(px_terms_encode(terms, tasks, &frame));
    return frame;
}

START_TEST(test_terms__come_back_as_they_went)
{
    const uint64_t tasks[] = {1, UINT64_MAX, 77};
    const px_terms sent = {.retries = 3,
                           .timeout_ms = 1500,
                           .after_rule = PX_TERMS_ANY | PX_TERMS_FAILURE,
                           .follow_rule = PX_TERMS_SUCCESS,
                           .n_after = 1,
                           .n_follow = 2};
    px_bytes *frame = encoded(&sent, tasks);
    px_terms terms;
    ok(px_terms_decode(px_bytes_slice(frame), &terms));
    ck_assert_uint_eq(terms.retries, 3);
    ck_assert_uint_eq(terms.timeout_ms, 1500);
    ck_assert_uint_eq(terms.after_rule, PX_TERMS_ANY | PX_TERMS_FAILURE);
    ck_assert_uint_eq(terms.follow_rule, PX_TERMS_SUCCESS);
    ck_assert_uint_eq(terms.n_after, 1);
    ck_assert_uint_eq(terms.n_follow, 2);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(px_terms_task(&terms, i), tasks[i]);
    }
    px_bytes_unref(frame);
}
END_TEST

START_TEST(test_terms__every_wrong_length_is_refused)
{
    const uint64_t tasks[] = {1, 2};
    px_bytes *frame = encoded(&(px_terms){.n_after = 2}, tasks);
    px_slice whole = px_bytes_slice(frame);
    px_terms terms;
    for (size_t size = 0; size < whole.size; size++) {
        fails_with(PX_EFORMAT, px_terms_decode(px_slice_of(whole.data, size), &terms));
    }
    ok(px_terms_decode(whole, &terms));
    px_bytes_unref(frame);
}
END_TEST

START_TEST(test_terms__unknown_rules_and_huge_counts_are_refused)
{
    uint8_t wire[PX_TERMS_SIZE] = {0};
    px_terms terms;
    ok(px_terms_decode(px_slice_of(wire, sizeof wire), &terms));
    wire[8] = 8;
    fails_with(PX_EFORMAT, px_terms_decode(px_slice_of(wire, sizeof wire), &terms));
    wire[8] = 0;
    wire[15] = 0xff;
    fails_with(PX_EFORMAT, px_terms_decode(px_slice_of(wire, sizeof wire), &terms));
    px_bytes *frame = NULL;
    fails_with(PX_ETOOBIG, px_terms_encode(&(px_terms){.n_after = UINT32_MAX}, NULL, &frame));
}
END_TEST

UNIT_MAIN("terms", test_terms__come_back_as_they_went, test_terms__every_wrong_length_is_refused,
          test_terms__unknown_rules_and_huge_counts_are_refused)
