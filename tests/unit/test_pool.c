#include "unit.h"

#include "px/pool.h"

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

START_TEST(test_pool__the_smallest_that_fits_is_taken_and_none_too_large)
{
    px_pool pool = {.most_bytes = 1 << 20};
    static const size_t sizes[] = {16384, 8192, 65536};
    for (size_t i = 0; i < 3; i++) {
        ck_assert(px_pool_give(&pool, segment_of(sizes[i]), 1));
    }
    px_segment *segment = px_pool_take(&pool, 6000);
    ck_assert_uint_eq(px_segment_capacity(segment), 8192);
    px_segment_free(segment);
    ck_assert_ptr_null(px_pool_take(&pool, 6000));
    ck_assert_ptr_null(px_pool_take(&pool, 65537));
    px_pool_done(&pool);
}
END_TEST

START_TEST(test_pool__little_lies_idle_and_not_for_long)
{
    px_pool pool = {.most_bytes = 10 * 4096};
    for (unsigned i = 0; i < 10; i++) {
        ck_assert(px_pool_give(&pool, segment_of(4096), i));
    }
    px_segment *more = segment_of(4096);
    ck_assert(!px_pool_give(&pool, more, 10));
    px_segment_free(more);
    ck_assert_uint_eq(px_pool_due(&pool), PX_POOL_FOR);
    ck_assert_ptr_null(px_pool_expire(&pool, PX_POOL_FOR - 1));
    for (size_t i = 0; i < 10; i++) {
        px_segment *segment = px_pool_expire(&pool, PX_POOL_FOR + 9);
        ck_assert_ptr_nonnull(segment);
        px_segment_free(segment);
    }
    ck_assert_uint_eq(pool.n, 0);
    ck_assert_uint_eq(pool.bytes, 0);
    ck_assert(px_pool_due(&pool) == UINT64_MAX);
}
END_TEST

UNIT_MAIN("pool", test_pool__the_smallest_that_fits_is_taken_and_none_too_large,
          test_pool__little_lies_idle_and_not_for_long)
