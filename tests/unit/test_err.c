#include "unit.h"

#include "px/err.h"

#include <errno.h>
#include <string.h>

START_TEST(test_err__every_error_has_a_text)
{
    for (int err = PX_OK; err <= PX_ECRYPTO; err++) {
        ck_assert_str_ne(px_err_text((px_err)err), "unknown error");
    }
    ck_assert_str_eq(px_err_text((px_err)9999), "unknown error");
}
END_TEST

START_TEST(test_err__maps_errno)
{
    ck_assert_int_eq(px_err_from_errno(0), PX_OK);
    ck_assert_int_eq(px_err_from_errno(EPIPE), PX_ECLOSED);
    ck_assert_int_eq(px_err_from_errno(EACCES), PX_EPERM);
    ck_assert_int_eq(px_err_from_errno(ENOENT), PX_ENOENT);
    ck_assert_int_eq(px_err_from_errno(ELOOP), PX_ESYS);
}
END_TEST

START_TEST(test_err__sets_a_sentence_and_cuts_it)
{
    px_error error;
    char longer[1000];

    fails_with(PX_EJSON, px_error_set(&error, PX_EJSON, "line %d: %s", 3, "no"));
    ck_assert_int_eq(error.err, PX_EJSON);
    ck_assert_str_eq(error.text, "line 3: no");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    fails_with(PX_EIO, px_error_set(&error, PX_EIO, "%s", longer));
    ck_assert_uint_eq(strlen(error.text), sizeof(error.text) - 1);
    fails_with(PX_EIO, px_error_set(NULL, PX_EIO, "nobody asks"));
}
END_TEST

UNIT_MAIN("err", test_err__every_error_has_a_text, test_err__maps_errno,
          test_err__sets_a_sentence_and_cuts_it)
