#include "unit.h"

#include "px/time.h"

#include <string.h>
#include <time.h>

START_TEST(test_time__stamp_is_iso_8601_utc)
{
    char stamp[PX_STAMP_SIZE];
    char expected[PX_STAMP_SIZE];
    struct tm utc;
    time_t before;
    time_t after;

    do { // until the second did not change meanwhile
        before = time(NULL);
        px_stamp_now(stamp);
        after = time(NULL);
    } while (before != after);
    ck_assert_ptr_nonnull(gmtime_r(&before, &utc));
    ck_assert_uint_eq(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.", &utc), 20);
    ck_assert_mem_eq(stamp, expected, 20);
    ck_assert_uint_eq(strspn(stamp + 20, "0123456789"), 6);
    ck_assert_str_eq(stamp + 26, "Z");
}
END_TEST

START_TEST(test_time__now_does_not_go_back)
{
    px_ns last = px_now();

    for (int i = 0; i < 1000; i++) {
        px_ns now = px_now();
        ck_assert_uint_ge(now, last);
        last = now;
    }
}
END_TEST

UNIT_MAIN("time", test_time__stamp_is_iso_8601_utc, test_time__now_does_not_go_back)
