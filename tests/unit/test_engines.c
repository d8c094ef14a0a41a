#include "io/engines.h"
#include "unit.h"

static void set(px_engines *engines, const char *text, const char *event)
{
    PX_AUTO(px_json) json = NULL;
    ok(px_json_parse(px_slice_str(text), &json, NULL));
    ok(px_engines_set(engines, json, event));
}

static bool ready(const px_engines *engines, uint32_t id)
{
    const px_engine *engine = px_engines_find(engines, id);
    return engine != NULL && engine->ready;
}

START_TEST(test_engines__a_snapshot_goes_by_the_state)
{
    px_engines engines = {0};
    set(&engines, "{\"id\":2,\"state\":\"idle\"}", NULL);
    set(&engines, "{\"id\":0,\"state\":\"spawned\"}", NULL);
    set(&engines, "{\"id\":1,\"state\":\"dead\"}", NULL);
    set(&engines, "{\"id\":3,\"state\":\"busy\"}", NULL);
    ck_assert_uint_eq(engines.n, 4);
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(engines.items[i].id, i);
    }
    ck_assert(ready(&engines, 2));
    ck_assert(ready(&engines, 3));
    ck_assert(!ready(&engines, 0));
    ck_assert(!ready(&engines, 1));
    px_engines_done(&engines);
}
END_TEST

START_TEST(test_engines__an_event_goes_before_the_state)
{
    px_engines engines = {0};
    set(&engines, "{\"id\":5,\"state\":\"spawned\"}", "registered");
    ck_assert(ready(&engines, 5));
    set(&engines, "{\"id\":5,\"state\":\"busy\"}", "dead");
    ck_assert(!ready(&engines, 5));
    set(&engines, "{\"id\":6,\"state\":\"spawned\"}", "spawned");
    ck_assert(!ready(&engines, 6));
    ck_assert(!ready(&engines, 7));
    px_engines_done(&engines);
}
END_TEST

START_TEST(test_engines__the_controllers_words_are_kept)
{
    px_engines engines = {0};
    set(&engines, "{\"id\":1,\"state\":\"idle\",\"new\":[1]}", "registered");
    expect_text(px_buf_slice(&px_engines_find(&engines, 1)->json),
                "{\"id\":1,\"state\":\"idle\",\"new\":[1]}");
    px_engines_done(&engines);
}
END_TEST

START_TEST(test_engines__none_is_ready_when_the_controller_is_gone)
{
    px_engines engines = {0};
    set(&engines, "{\"id\":1,\"state\":\"idle\"}", NULL);
    px_engines_lost(&engines);
    ck_assert(!ready(&engines, 1));
    px_engines_done(&engines);
}
END_TEST

START_TEST(test_engines__an_engine_without_a_good_id_is_refused)
{
    const char *const bad[] = {"{}", "{\"id\":-1}", "{\"id\":\"a\"}", "{\"id\":4294967296}"};
    px_engines engines = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        PX_AUTO(px_json) json = NULL;
        ok(px_json_parse(px_slice_str(bad[i]), &json, NULL));
        fails_with(PX_EFORMAT, px_engines_set(&engines, json, NULL));
    }
    ck_assert_uint_eq(engines.n, 0);
    px_engines_done(&engines);
}
END_TEST

UNIT_MAIN("engines", test_engines__a_snapshot_goes_by_the_state,
          test_engines__an_event_goes_before_the_state,
          test_engines__the_controllers_words_are_kept,
          test_engines__none_is_ready_when_the_controller_is_gone,
          test_engines__an_engine_without_a_good_id_is_refused)
