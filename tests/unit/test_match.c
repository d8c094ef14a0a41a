#include "controller/match.h"
#include "unit.h"

static const char record_text[] =
    "{\"msg_id\": \"a_1\", \"submitted\": \"2026-03-01T12:00:00.500000Z\", \"engine_id\": 3, "
    "\"completed\": null, \"label\": \"fit-7\", \"header\": {\"n\": [1, 2]}, \"tags\": [1, \"x\"]}";

static px_err try_query(const char *query_text, bool *ret_fits)
{
    px_json *record;
    px_json *query;
    ok(px_json_parse(px_slice_str(record_text), &record, NULL));
    ok(px_json_parse(px_slice_str(query_text), &query, NULL));
    px_err err = px_match(query, record, ret_fits, NULL);
    px_json_free(record);
    px_json_free(query);
    return err;
}

static bool fits(const char *query)
{
    bool yes = false;
    ok(try_query(query, &yes));
    return yes;
}

START_TEST(test_match__equality_is_of_every_kind_of_value)
{
    ck_assert(fits("{}"));
    ck_assert(fits("{\"msg_id\": \"a_1\"}"));
    ck_assert(!fits("{\"msg_id\": \"a_2\"}"));
    ck_assert(fits("{\"engine_id\": 3, \"label\": \"fit-7\"}"));
    ck_assert(!fits("{\"engine_id\": 3, \"label\": \"fit-8\"}"));
    ck_assert(fits("{\"completed\": null}"));
    ck_assert(!fits("{\"label\": null}"));
    ck_assert(fits("{\"header\": {\"n\": [1, 2]}}"));
    ck_assert(!fits("{\"header\": {\"n\": [2, 1]}}"));
}
END_TEST

START_TEST(test_match__operators_compare)
{
    ck_assert(fits("{\"engine_id\": {\"$gt\": 2, \"$lt\": 4}}"));
    ck_assert(!fits("{\"engine_id\": {\"$gt\": 3}}"));
    ck_assert(fits("{\"engine_id\": {\"$gte\": 3, \"$lte\": 3, \"$eq\": 3}}"));
    ck_assert(fits("{\"engine_id\": {\"$ne\": 4}}"));
    ck_assert(!fits("{\"engine_id\": {\"$ne\": 3}}"));
    ck_assert(fits("{\"engine_id\": {\"$in\": [1, 3]}}"));
    ck_assert(!fits("{\"engine_id\": {\"$nin\": [1, 3]}}"));
    ck_assert(fits("{\"engine_id\": {\"$mod\": [2, 1]}}"));
    ck_assert(!fits("{\"engine_id\": {\"$mod\": [0, 1]}}"));
    ck_assert(fits("{\"tags\": {\"$all\": [\"x\"]}}"));
    ck_assert(!fits("{\"tags\": {\"$all\": [\"x\", \"y\"]}}"));
    ck_assert(fits("{\"label\": {\"$glob\": \"fit-*\"}}"));
    ck_assert(!fits("{\"label\": {\"$glob\": \"fit-\"}}"));
    ck_assert(fits("{\"completed\": {\"$exists\": false}, \"label\": {\"$exists\": true}}"));
    ck_assert(!fits("{\"label\": {\"$gt\": 3}}")); // unlike kinds have no order
    ck_assert(fits("{\"completed\": {\"$ne\": 3}}"));
}
END_TEST

START_TEST(test_match__dates_are_points_of_time)
{
    ck_assert(fits("{\"submitted\": \"2026-03-01T13:00:00.500+01:00\"}"));
    ck_assert(fits("{\"submitted\": {\"$lt\": \"2026-03-01T11:00:01-01:30\"}}"));
    ck_assert(fits("{\"submitted\": {\"$gt\": \"2026-03-01T12:00:00.4999Z\"}}"));
    ck_assert(!fits("{\"submitted\": {\"$gt\": \"2026-03-01T12:00:00.5Z\"}}"));
}
END_TEST

START_TEST(test_match__refuses_what_there_is_not)
{
    bool yes;
    ck_assert_int_eq(try_query("{\"engine_id\": {\"$near\": 3}}", &yes), PX_EINVAL);
    ck_assert_int_eq(try_query("{\"colour\": 3}", &yes), PX_EINVAL);
}
END_TEST

START_TEST(test_match__selects_what_is_asked_for)
{
    px_json *record;
    px_json *keys;
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    ok(px_json_parse(px_slice_str(record_text), &record, NULL));
    ok(px_json_parse(PX_SLICE_LITERAL("[\"label\"]"), &keys, NULL));
    px_match_select(record, keys, &w);
    px_jsonw_end_object(&w);
    ck_assert(px_slice_equal(px_buf_slice(&out),
                             PX_SLICE_LITERAL("{\"msg_id\":\"a_1\",\"label\":\"fit-7\"}")));
    ck_assert(px_match_asked(NULL, "anything"));
    px_json_free(record);
    px_json_free(keys);
}
END_TEST

UNIT_MAIN("match", test_match__equality_is_of_every_kind_of_value, test_match__operators_compare,
          test_match__dates_are_points_of_time, test_match__refuses_what_there_is_not,
          test_match__selects_what_is_asked_for)
