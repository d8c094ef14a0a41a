#include "unit.h"

#include "px/types.h"

START_TEST(test_types__every_name_finds_its_type)
{
    for (unsigned type = PX_MSG_UNKNOWN + 1; type < PX_MSG_COUNT; type++) {
        const char *name = px_msg_type_name((px_msg_type)type);
        ck_assert_uint_eq(px_msg_type_from(px_slice_str(name)), type);
    }
    ck_assert_str_eq(px_msg_type_name(PX_MSG_EXECUTE_REQUEST), "execute_request");
}
END_TEST

START_TEST(test_types__other_names_are_unknown)
{
    static const char *const others[] = {"", "execute", "execute_requestx", "EXECUTE_REQUEST",
                                         "px_nothing"};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        ck_assert_int_eq(px_msg_type_from(px_slice_str(others[i])), PX_MSG_UNKNOWN);
    }
    ck_assert_str_eq(px_msg_type_name(PX_MSG_UNKNOWN), "");
    ck_assert_str_eq(px_msg_type_name((px_msg_type)9999), "");
}
END_TEST

UNIT_MAIN("types", test_types__every_name_finds_its_type, test_types__other_names_are_unknown)
