#include "unit.h"

#include "px/bulk.h"
#include "px/segment.h"

#include <unistd.h>

static void push_pattern(px_frames *frames, size_t size, unsigned seed)
{
    uint8_t *data;
    px_bytes *bytes;

    ok(px_bytes_new(size, &data, &bytes));
    unit_pattern(data, size, seed);
    ok(px_frames_push(frames, bytes));
}

START_TEST(test_bulk__large_buffers_go_and_come_back)
{
    PX_AUTO_FRAMES frames = {0};
    px_bulk bulk = {0};
    static const size_t sizes[] = {10, PX_SEGMENT_THRESHOLD, PX_SEGMENT_THRESHOLD - 1, 3000000};

    unit_frames(&frames, "route", "content", NULL);
    ck_assert(!px_bulk_wanted(&frames, 2));
    for (unsigned i = 0; i < 4; i++) {
        push_pattern(&frames, sizes[i], i);
    }
    ck_assert(px_bulk_wanted(&frames, 2));
    ok(px_bulk_pack(&frames, 2, &bulk));
    ck_assert_uint_eq(frames.n, 7);
    ck_assert_uint_eq(bulk.n, 2);
    ck_assert_uint_eq(px_frames_get(&frames, 3).size, PX_SEGMENT_REF_SIZE);
    ck_assert_uint_eq(px_frames_get(&frames, 5).size, PX_SEGMENT_REF_SIZE);
    ck_assert_mem_eq(px_frames_get(&frames, 6).data, "\1\0\0\0\3\0\0\0", 8);
    ok(px_bulk_unpack(&frames, 2, NULL));
    px_bulk_done(&bulk);
    ck_assert_uint_eq(frames.n, 6);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(px_frames_get(&frames, i + 2).size, sizes[i]);
        ck_assert(unit_is_pattern(px_frames_get(&frames, i + 2), i));
    }
}
END_TEST

static void expect_refusal(px_slice list, px_err expected)
{
    PX_AUTO_FRAMES frames = {0};
    px_error error = {0};

    unit_frames(&frames, "route", "one", "two", NULL);
    ok(px_frames_push_copy(&frames, list));
    fails_with(expected, px_bulk_unpack(&frames, 1, &error));
    ck_assert_str_ne(error.text, "");
}

START_TEST(test_bulk__lists_are_checked)
{
    PX_AUTO_FRAMES frames = {0};
    px_error error;

    expect_refusal(PX_SLICE_LITERAL("\0\0\0"), PX_EFORMAT);
    expect_refusal(PX_SLICE_LITERAL("\2\0\0\0"), PX_EFORMAT);
    expect_refusal(PX_SLICE_LITERAL("\0\0\0\x80"), PX_EFORMAT);
    expect_refusal(PX_SLICE_LITERAL("\0\0\0\0\1\0\0\0\0\0\0\0"), PX_EFORMAT);
    expect_refusal(PX_SLICE_LITERAL("\0\0\0\0"), PX_EFORMAT); // "one" is no descriptor
    unit_frames(&frames, "route", NULL);
    fails_with(PX_EFORMAT, px_bulk_unpack(&frames, 1, &error));
}
END_TEST

START_TEST(test_bulk__a_segment_that_is_gone_is_said)
{
    PX_AUTO_FRAMES frames = {0};
    px_bulk bulk = {0};
    px_error error = {0};

    push_pattern(&frames, PX_SEGMENT_THRESHOLD, 1);
    ok(px_bulk_pack(&frames, 0, &bulk));
    px_bulk_done(&bulk);
    fails_with(PX_ENOENT, px_bulk_unpack(&frames, 0, &error));
    ck_assert_str_ne(error.text, "");
}
END_TEST

UNIT_MAIN("bulk", test_bulk__large_buffers_go_and_come_back, test_bulk__lists_are_checked,
          test_bulk__a_segment_that_is_gone_is_said)
