#include "unit.h"

#include "px/json.h"

#include <float.h>
#include <math.h>

START_TEST(test_jsonw__looks_after_commas)
{
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);

    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "s", "x");
    px_jsonw_key_string(&w, "none", NULL);
    px_jsonw_key_int(&w, "i", INT64_MIN);
    px_jsonw_key_bool(&w, "b", true);
    px_jsonw_key(&w, "a");
    px_jsonw_array(&w);
    px_jsonw_int(&w, 0);
    px_jsonw_object(&w);
    px_jsonw_end_object(&w);
    px_jsonw_array(&w);
    px_jsonw_end_array(&w);
    px_jsonw_null(&w);
    px_jsonw_bool(&w, false);
    px_jsonw_end_array(&w);
    px_jsonw_key(&w, "raw");
    px_jsonw_raw(&w, PX_SLICE_LITERAL("[1]"));
    px_jsonw_end_object(&w);
    ok(px_buf_status(&out));
    expect_text(px_buf_slice(&out), "{\"s\":\"x\",\"none\":null,\"i\":-9223372036854775808,"
                                    "\"b\":true,\"a\":[0,{},[],null,false],\"raw\":[1]}");
}
END_TEST

static void expect_string(px_slice text, const char *expected)
{
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);

    px_jsonw_slice(&w, text);
    expect_text(px_buf_slice(&out), expected);
}

START_TEST(test_jsonw__escapes_and_repairs_strings)
{
    expect_string(PX_SLICE_LITERAL(""), "\"\"");
    expect_string(PX_SLICE_LITERAL("plain é 漢 🎉"), "\"plain é 漢 🎉\"");
    expect_string(PX_SLICE_LITERAL("a\"b\\c/"), "\"a\\\"b\\\\c/\"");
    expect_string(PX_SLICE_LITERAL("\b\t\n\v\f\r\x1b\0\x1f"),
                  "\"\\b\\t\\n\\u000b\\f\\r\\u001b\\u0000\\u001f\"");
    expect_string(PX_SLICE_LITERAL("a\xff"
                                   "b"),
                  "\"a\uFFFDb\"");
    expect_string(PX_SLICE_LITERAL("\xc0\x80"), "\"\uFFFD\uFFFD\"");           // overlong
    expect_string(PX_SLICE_LITERAL("\xed\xa0\x80"), "\"\uFFFD\uFFFD\uFFFD\""); // surrogate
    expect_string(PX_SLICE_LITERAL("\xf4\x90\x80\x80"),
                  "\"\uFFFD\uFFFD\uFFFD\uFFFD\"");                         // too large
    expect_string(PX_SLICE_LITERAL("end\xe2\x82"), "\"end\uFFFD\uFFFD\""); // cut
    expect_string(PX_SLICE_LITERAL("\x7f"), "\"\x7f\"");
}
END_TEST

static void expect_real(double number, const char *expected)
{
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);

    px_jsonw_real(&w, number);
    expect_text(px_buf_slice(&out), expected);
}

START_TEST(test_jsonw__reals_survive)
{
    expect_real(0.1, "0.1");
    expect_real(3, "3.0");
    expect_real(-0.0, "-0.0");
    expect_real(1e300, "1e+300");
    expect_real(1.0 / 3, "0.33333333333333331");
    expect_real(DBL_MAX, "1.7976931348623157e+308");
    expect_real(NAN, "null");
    expect_real(INFINITY, "null");
}
END_TEST

START_TEST(test_jsonw__what_it_writes_can_be_read)
{
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    PX_AUTO(px_json) json = NULL;
    uint8_t all[256];

    for (int i = 0; i < 256; i++) {
        all[i] = (uint8_t)i;
    }
    px_jsonw_object(&w);
    px_jsonw_key(&w, "all");
    px_jsonw_slice(&w, px_slice_of(all, sizeof(all)));
    px_jsonw_end_object(&w);
    ok(px_json_parse(px_buf_slice(&out), &json, NULL));
    px_slice text = px_json_text(json, "all");
    ck_assert_mem_eq(text.data, all, 128);
    ck_assert_uint_eq(text.size, 128 + 3 * 128);
}
END_TEST

UNIT_MAIN("jsonw", test_jsonw__looks_after_commas, test_jsonw__escapes_and_repairs_strings,
          test_jsonw__reals_survive, test_jsonw__what_it_writes_can_be_read)
