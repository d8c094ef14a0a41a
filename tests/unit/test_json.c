#include "unit.h"

#include "px/json.h"

static px_json *parsed(const char *text)
{
    px_json *json = NULL;
    px_error error = {0};

    px_err err = px_json_parse(px_slice_str(text), &json, &error);
    ck_assert_msg(err == PX_OK, "%s: %s", text, error.text);
    return json;
}

START_TEST(test_json__getters_give_otherwise_for_other_kinds)
{
    PX_AUTO(px_json)
    json = parsed("{\"s\":\"text\",\"i\":-5,\"r\":2.5,\"b\":true,\"n\":null,\"a\":[1,\"two\"],"
                  "\"z\":\"a\\u0000b\"}");

    ck_assert_str_eq(px_json_string(json, "s", "no"), "text");
    ck_assert_str_eq(px_json_string(json, "i", "no"), "no");
    ck_assert_str_eq(px_json_string(json, "absent", "no"), "no");
    ck_assert_str_eq(px_json_string(json, "z", "no"), "no");
    ck_assert_uint_eq(px_json_text(json, "z").size, 3);
    ck_assert_mem_eq(px_json_text(json, "z").data, "a\0b", 3);
    ck_assert_uint_eq(px_json_text(json, "i").size, 0);
    ck_assert_int_eq(px_json_int(json, "i", 7), -5);
    ck_assert_int_eq(px_json_int(json, "r", 7), 7);
    ck_assert_double_eq(px_json_real(json, "r", 0), 2.5);
    ck_assert_double_eq(px_json_real(json, "i", 0), -5);
    ck_assert(px_json_bool(json, "b", false));
    ck_assert(px_json_bool(json, "s", true));
    ck_assert(px_json_is_null(px_json_get(json, "n")));
    const px_json *array = px_json_get(json, "a");
    ck_assert(px_json_is_array(array));
    ck_assert_uint_eq(px_json_length(array), 2);
    ck_assert_int_eq(px_json_as_int(px_json_item(array, 0), 0), 1);
    ck_assert_str_eq(px_json_as_string(px_json_item(array, 1), ""), "two");
    ck_assert_ptr_null(px_json_item(array, 2));
    ck_assert_uint_eq(px_json_length(json), 0);
}
END_TEST

START_TEST(test_json__getters_take_null)
{
    ck_assert_ptr_null(px_json_get(NULL, "x"));
    ck_assert_str_eq(px_json_string(NULL, "x", "no"), "no");
    ck_assert_int_eq(px_json_int(NULL, "x", 3), 3);
    ck_assert(!px_json_is_object(NULL));
    ck_assert_uint_eq(px_json_length(NULL), 0);
    px_json_free(NULL);
}
END_TEST

START_TEST(test_json__reports_place_and_cause)
{
    static const char *const bad[] = {
        "",     "{",       "{\"a\":}",    "[1,]",     "\"\xff\"",
        "nul",  "{} {}",   "\"\\ud800\"", "01",       "[1 2]",
        "NaN",  "{\"a\"}", "'a'",         "\"a\nb\"", "\xef\xbb\xbf{}",
        "1e999"};
    px_json *json = NULL;
    px_error error;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        px_err err = px_json_parse(px_slice_str(bad[i]), &json, &error);
        ck_assert_msg(err == PX_EJSON, "%s was taken", bad[i]);
        ck_assert_ptr_nonnull(strstr(error.text, "line "));
    }
    fails_with(PX_EJSON, px_json_parse(px_slice_of(NULL, 0), &json, NULL));
}
END_TEST

START_TEST(test_json__depth_is_limited)
{
    PX_AUTO_BUF text = {0};
    px_json *json = NULL;
    px_error error;

    for (int i = 0; i < 512; i++) {
        px_buf_append_str(&text, "[");
    }
    for (int i = 0; i < 512; i++) {
        px_buf_append_str(&text, "]");
    }
    ok(px_json_parse(px_buf_slice(&text), &json, &error));
    px_json_free(json);
    px_buf_clear(&text);
    for (int i = 0; i < 1000000; i++) {
        px_buf_append_str(&text, "[");
    }
    fails_with(PX_EJSON, px_json_parse(px_buf_slice(&text), &json, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "512"));
    // Brackets within strings do not count.
    px_buf_clear(&text);
    px_buf_append_str(&text, "\"\\\"");
    for (int i = 0; i < 1000; i++) {
        px_buf_append_str(&text, "[{");
    }
    px_buf_append_str(&text, "\"");
    ok(px_json_parse(px_buf_slice(&text), &json, &error));
    px_json_free(json);
}
END_TEST

static void collect(void *context, const char *key, const px_json *value)
{
    px_buf *out = context;
    px_buf_append_str(out, key);
    px_buf_append_str(out, "=");
    ok(px_json_dump(value, out));
    px_buf_append_str(out, ";");
}

START_TEST(test_json__each_keeps_the_order_of_the_text)
{
    PX_AUTO(px_json) json = parsed("{\"z\": 1, \"a\": [true, null], \"m\": {\"x\": \"é\"}}");
    PX_AUTO_BUF out = {0};

    px_json_each(json, collect, &out);
    expect_text(px_buf_slice(&out), "z=1;a=[true,null];m={\"x\":\"é\"};");
    px_json_each(NULL, collect, &out);
    px_json_each(px_json_get(json, "z"), collect, &out);
}
END_TEST

UNIT_MAIN("json", test_json__getters_give_otherwise_for_other_kinds, test_json__getters_take_null,
          test_json__reports_place_and_cause, test_json__depth_is_limited,
          test_json__each_keeps_the_order_of_the_text)
