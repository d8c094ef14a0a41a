#include "unit.h"

#include "px/buf.h"

#include <stdlib.h>

START_TEST(test_buf__grows_and_keeps_what_it_has)
{
    PX_AUTO_BUF buf = {0};

    for (int i = 0; i < 1000; i++) {
        px_buf_printf(&buf, "%03d,", i);
    }
    px_buf_append_str(&buf, "end");
    px_buf_append(&buf, NULL, 0);
    ok(px_buf_status(&buf));
    ck_assert_uint_eq(buf.size, 4003);
    ck_assert_mem_eq(buf.data + 2000, "500,", 4);
    ck_assert_mem_eq(buf.data + 4000, "end", 3);
    px_buf_clear(&buf);
    ck_assert_uint_eq(buf.size, 0);
    px_buf_append_slice(&buf, PX_SLICE_LITERAL("a\0b"));
    ck_assert_uint_eq(buf.size, 3);
}
END_TEST

START_TEST(test_buf__remembers_a_failure)
{
    PX_AUTO_BUF buf = {0};

    px_buf_append_str(&buf, "kept");
    fails_with(PX_ENOMEM, px_buf_reserve(&buf, SIZE_MAX - 2));
    px_buf_append_str(&buf, "lost");
    fails_with(PX_ENOMEM, px_buf_status(&buf));
    expect_text(px_buf_slice(&buf), "kept");
    px_buf_clear(&buf);
    ok(px_buf_status(&buf));
}
END_TEST

START_TEST(test_buf__gives_its_bytes_away)
{
    PX_AUTO_BUF buf = {0};
    size_t size = 0;

    px_buf_append_str(&buf, "mine");
    uint8_t *data = px_buf_detach(&buf, &size);
    ck_assert_uint_eq(size, 4);
    ck_assert_mem_eq(data, "mine", 4);
    ck_assert_ptr_null(buf.data);
    free(data);
}
END_TEST

START_TEST(test_buf__gives_whole_lines_and_keeps_the_rest)
{
    PX_AUTO_BUF buf = {0};
    px_slice line;
    size_t at = 0;

    ck_assert(!px_buf_line(&buf, &at, &line));
    px_buf_append_str(&buf, "one\n\nthr");
    ck_assert(px_buf_line(&buf, &at, &line));
    expect_text(line, "one");
    ck_assert(px_buf_line(&buf, &at, &line));
    expect_text(line, "");
    ck_assert(!px_buf_line(&buf, &at, &line));
    px_buf_drop(&buf, at);
    expect_text(px_buf_slice(&buf), "thr");
    px_buf_append_str(&buf, "ee\n");
    at = 0;
    ck_assert(px_buf_line(&buf, &at, &line));
    expect_text(line, "three");
    px_buf_drop(&buf, at);
    ck_assert_uint_eq(buf.size, 0);
}
END_TEST

UNIT_MAIN("buf", test_buf__grows_and_keeps_what_it_has, test_buf__remembers_a_failure,
          test_buf__gives_its_bytes_away, test_buf__gives_whole_lines_and_keeps_the_rest)
