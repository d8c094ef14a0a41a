#include "unit.h"

#include "px/id.h"

#include <limits.h>
#include <string.h>

START_TEST(test_id__is_jupyters_form)
{
    char id[PX_ID_SIZE];
    char other[PX_ID_SIZE];

    px_id_new(id);
    px_id_new(other);
    ck_assert_uint_eq(strlen(id), 33);
    ck_assert_int_eq(id[8], '-');
    ck_assert_uint_eq(strspn(id, "0123456789abcdef-"), 33);
    ck_assert_str_ne(id, other);
}
END_TEST

START_TEST(test_id__uuid_is_the_usual_form)
{
    char uuid[PX_UUID_SIZE];

    px_uuid_new(uuid);
    ck_assert_uint_eq(strlen(uuid), 36);
    ck_assert_int_eq(uuid[14], '4'); // version 4: random
}
END_TEST

START_TEST(test_id__random_hex_fills_and_ends)
{
    char text[2 * 100 + 2];

    memset(text, '!', sizeof(text));
    ok(px_random_hex(text, 100));
    ck_assert_uint_eq(strspn(text, "0123456789abcdef"), 200);
    ck_assert_int_eq(text[200], '\0');
    ck_assert_int_eq(text[201], '!');
}
END_TEST

START_TEST(test_id__number_must_be_whole_and_within_bounds)
{
    long long number = -1;
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1x",
                                      "0x10",
                                      "1.0",
                                      "99999999999999999999",
                                      "-9223372036854775809"};

    ok(px_parse_number("65535", 0, 65535, &number));
    ck_assert_int_eq(number, 65535);
    fails_with(PX_EINVAL, px_parse_number("65536", 0, 65535, &number));
    fails_with(PX_EINVAL, px_parse_number("-1", 0, 65535, &number));
    fails_with(PX_EINVAL, px_parse_number(NULL, 0, 65535, &number));
    ok(px_parse_number("-9223372036854775808", LLONG_MIN, LLONG_MAX, &number));
    ck_assert_int_eq(number, LLONG_MIN);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fails_with(PX_EINVAL, px_parse_number(bad[i], LLONG_MIN, LLONG_MAX, &number));
    }
}
END_TEST

UNIT_MAIN("id", test_id__is_jupyters_form, test_id__uuid_is_the_usual_form,
          test_id__random_hex_fills_and_ends, test_id__number_must_be_whole_and_within_bounds)
