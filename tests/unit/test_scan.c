// The scanner must take what a JSON parser takes and refuse what it refuses: every text here is
// also given to px_json_parse (jansson), and both must agree.
#include "../../protocol/wire/scan.h"
#include "unit.h"

#include "px/json.h"

static const char *const good[] = {
    "{}",
    " {\t} \r\n",
    "{\"a\":1}",
    "{\"a\":{\"b\":[1,2,{\"c\":[]}]},\"d\":[]}",
    "{\"a\":[[],[[]],{}],\"b\":{\"c\":{}}}",
    "{\"a\":-0.5e+10,\"b\":0,\"c\":-0,\"d\":1E5,\"e\":10.01}",
    "{\"a\":true,\"b\":false,\"c\":null}",
    "{\"\":\"\"}",
    "{\"esc\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83c\\udf89\"}",
    "{\"é漢🎉\":\"é漢🎉\"}",
    "{ \"a\" : [ 1 , 2 ] , \"b\" : { \"c\" : 3 } }",
};

static const char *const bad[] = {
    "",
    "[]",
    "1",
    "\"a\"",
    "{",
    "}",
    "{]",
    "{}x",
    "{}{}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,\"a\":1}",
    "{\"a\":1 \"b\":2}",
    "{a:1}",
    "{\"a\":01}",
    "{\"a\":1.}",
    "{\"a\":.5}",
    "{\"a\":1e}",
    "{\"a\":+1}",
    "{\"a\":-}",
    "{\"a\":tru}",
    "{\"a\":nulll}",
    "{\"a\":NaN}",
    "{\"a\":[1,]}",
    "{\"a\":[1}",
    "{\"a\":{\"b\":1]}",
    "{\"a\":[{\"b\":1}}",
    "{\"a\":\"\\x\"}",
    "{\"a\":\"\\u12\"}",
    "{\"a\":\"\n\"}",
    "{\"a\":\"\xff\"}",
    "{\"a\":\"\xc0\x80\"}",
    "{\"a\":\"\xed\xa0\x80\"}",
    "{\"a\":\"open}",
    "{\"a\":'b'}",
    "\xef\xbb\xbf{}",
};

static void ignore(void *context, px_slice key, px_slice value)
{
    (void)context;
    (void)key;
    (void)value;
}

START_TEST(test_scan__agrees_with_the_parser)
{
    px_error error;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        px_json *json = NULL;
        px_err err = px__scan_object(px_slice_str(good[i]), ignore, NULL, &error);
        ck_assert_msg(err == PX_OK, "%s: %s", good[i], error.text);
        ok(px_json_parse(px_slice_str(good[i]), &json, NULL));
        px_json_free(json);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        px_json *json = NULL;
        px_err err = px__scan_object(px_slice_str(bad[i]), ignore, NULL, &error);
        ck_assert_msg(err == PX_EJSON, "%s was taken", bad[i]);
        ck_assert_ptr_nonnull(strstr(error.text, "byte "));
        err = px_json_parse(px_slice_str(bad[i]), &json, NULL);
        ck_assert_msg(err == PX_EJSON || !px_json_is_object(json), "%s is good JSON", bad[i]);
        px_json_free(json);
    }
}
END_TEST

START_TEST(test_scan__every_cut_is_refused)
{
    px_error error;

    for (size_t i = 2; i < sizeof(good) / sizeof(good[0]); i++) {
        for (size_t size = 0; size < strlen(good[i]); size++) {
            px_err err = px__scan_object(px_slice_of(good[i], size), ignore, NULL, &error);
            ck_assert_msg(err == PX_EJSON, "the first %zu bytes of %s were taken", size, good[i]);
        }
    }
}
END_TEST

static void join(void *context, px_slice key, px_slice value)
{
    px_buf *out = context;
    px_buf_append_slice(out, key);
    px_buf_append_str(out, "=");
    px_buf_append_slice(out, value);
    px_buf_append_str(out, ";");
}

START_TEST(test_scan__reports_its_own_members_only)
{
    PX_AUTO_BUF out = {0};

    ok(px__scan_object(px_slice_str("{\"a\": {\"x\":1} ,\"b\":[ \"y\" ],\"c\":null,\"a\":2}"), join,
                       &out, NULL));
    expect_text(px_buf_slice(&out), "a={\"x\":1};b=[ \"y\" ];c=null;a=2;");
}
END_TEST

START_TEST(test_scan__depth_is_limited)
{
    PX_AUTO_BUF text = {0};

    px_buf_append_str(&text, "{\"a\":");
    for (int i = 0; i < 63; i++) {
        px_buf_append_str(&text, i % 2 == 0 ? "[" : "{\"b\":");
    }
    px_buf_append_str(&text, "0");
    for (int i = 62; i >= 0; i--) {
        px_buf_append_str(&text, i % 2 == 0 ? "]" : "}");
    }
    px_buf_append_str(&text, "}");
    ok(px__scan_object(px_buf_slice(&text), ignore, NULL, NULL));
    px_buf_clear(&text);
    px_buf_append_str(&text, "{\"a\":");
    for (int i = 0; i < 100000; i++) {
        px_buf_append_str(&text, "[");
    }
    fails_with(PX_EJSON, px__scan_object(px_buf_slice(&text), ignore, NULL, NULL));
}
END_TEST

static void expect_decoded(const char *value, const char *expected)
{
    char out[100];
    bool good_text = px__scan_string(px_slice_str(value), out);

    if (expected == NULL) {
        ck_assert_msg(!good_text, "%s was taken", value);
    } else {
        ck_assert_msg(good_text, "%s was refused", value);
        ck_assert_str_eq(out, expected);
    }
}

START_TEST(test_scan__decodes_strings)
{
    expect_decoded("\"\"", "");
    expect_decoded("\"plain é\"", "plain é");
    expect_decoded("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
    expect_decoded("\"\\u0041\\u00E9\\u6f22\\ud83c\\uDF89\"", "Aé漢🎉");
    expect_decoded("\"a\\u0000b\"", NULL);
    expect_decoded("\"\\ud83c\"", NULL);
    expect_decoded("\"\\ud83cxxxxxx\"", NULL);
    expect_decoded("\"\\ud83c\\u0041\"", NULL);
    expect_decoded("\"\\udf89\"", NULL);
    expect_decoded("12", NULL);
    expect_decoded("[\"a\"]", NULL);
}
END_TEST

UNIT_MAIN("scan", test_scan__agrees_with_the_parser, test_scan__every_cut_is_refused,
          test_scan__reports_its_own_members_only, test_scan__depth_is_limited,
          test_scan__decodes_strings)
