#include "unit.h"

#include "px/curve.h"

#include <string.h>

START_TEST(test_curve__new_pairs_are_valid_and_differ)
{
    px_curve_keys keys;
    px_curve_keys other;

    ok(px_curve_new(&keys));
    ok(px_curve_new(&other));
    ck_assert(px_curve_valid(&keys));
    ck_assert_str_ne(keys.secretkey, other.secretkey);
}
END_TEST

START_TEST(test_curve__refuses_what_is_not_z85)
{
    // The test pair of ZeroMQ's own manual, zmq_curve(7).
    const px_curve_keys good = {"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
                                "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"};
    px_curve_keys keys = good;

    ck_assert(px_curve_valid(&keys));
    keys.publickey[39] = '\0';
    ck_assert(!px_curve_valid(&keys));
    keys = good;
    keys.publickey[3] = ' ';
    ck_assert(!px_curve_valid(&keys));
    keys = good;
    keys.secretkey[40] = 'x';
    ck_assert(!px_curve_valid(&keys));
    keys = good;
    memset(keys.secretkey, '#', 5); // five times the greatest digit is more than 32 bits
    ck_assert(!px_curve_valid(&keys));
}
END_TEST

UNIT_MAIN("curve", test_curve__new_pairs_are_valid_and_differ, test_curve__refuses_what_is_not_z85)
