#include "io/member.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

static void expect(const char *object, const char *key, const char *value)
{
    expect_text(px_member(px_slice_str(object), key), value);
}

START_TEST(test_member__finds_values_as_they_stand)
{
    const char *object = "{\"code\": \"a \\\"b\\\" }\", \"silent\":false , \"n\":-1.5e3,"
                         "\"list\":[1,{\"code\":2},\"]\"],\"last\":null}";
    expect(object, "code", "\"a \\\"b\\\" }\"");
    expect(object, "silent", "false");
    expect(object, "n", "-1.5e3");
    expect(object, "list", "[1,{\"code\":2},\"]\"]");
    expect(object, "last", "null");
    expect(object, "absent", "");
    ck_assert(px_member_is(px_slice_str(object), "silent", "false"));
    ck_assert(!px_member_is(px_slice_str(object), "silent", "true"));
}
END_TEST

START_TEST(test_member__takes_the_last_of_equal_keys)
{
    expect("{\"a\":1,\"a\":2}", "a", "2");
    expect("{\"ab\":1,\"b\":{\"a\":3}}", "a", "");
}
END_TEST

START_TEST(test_member__counts_backslashes_before_a_quote)
{
    expect("{\"a\":\"\\\\\",\"b\":1}", "b", "1");
    expect("{\"a\":\"\\\\\\\"\",\"b\":1}", "b", "1");
    expect("{\"\\\\\":0,\"b\":1}", "b", "1");
}
END_TEST

START_TEST(test_member__survives_any_truncation)
{
    const char *object = "{\"code\":\"x\\\"\",\"deep\":[{\"a\":[1,2]},\"s\"],\"status\":\"ok\"}";
    size_t size = strlen(object);
    for (size_t n = 0; n < size; n++) {
        char *cut = malloc(n + 1); // of exactly this size, for the sanitizer
        ck_assert_ptr_nonnull(cut);
        memcpy(cut, object, n);
        px_slice found = px_member(px_slice_of(cut, n), "status");
        ck_assert_uint_le(found.size, n);
        free(cut);
    }
    expect("", "a", "");
    expect("[1]", "a", "");
    expect("}}}", "a", "");
    expect("{\"a\":]]]}", "a", "]]]");
}
END_TEST

UNIT_MAIN("kernel_member", test_member__finds_values_as_they_stand,
          test_member__takes_the_last_of_equal_keys, test_member__counts_backslashes_before_a_quote,
          test_member__survives_any_truncation)
