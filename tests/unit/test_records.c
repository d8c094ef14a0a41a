#include "controller/pack.h"
#include "controller/records.h"
#include "unit.h"

#include "px/cluster.h"
#include "px/frames.h"
#include "px/json.h"

#include <stdio.h>
#include <stdlib.h>

static px_intake intake = {.fd = -1};

// message makes a message of kind as it passes the relay.
static px_kept *message(px_kept_kind kind, const px_route *route, const uint32_t *engines,
                        const char *msg_type, const char *msg_id)
{
    char header[160];
    PX_AUTO_FRAMES frames = {0};
    px_bytes *head = NULL;
    (void)snprintf(header, sizeof(header),
                   "{\"msg_id\":\"%s\",\"msg_type\":\"%s\",\"session\":\"s\","
                   "\"date\":\"2026-01-01T00:00:00.000000Z\"}",
                   msg_id, msg_type);
    ok(px_route_encode(route, engines, &head));
    ok(px_frames_push(&frames, head));
    unit_frames(&frames, "<IDS|MSG>", "", header, "{}", "{\"label\":\"fit\"}",
                "{\"status\":\"ok\"}", "pickle", NULL);
    px_kept *kept = px_kept_message(&intake, kind, &frames);
    ck_assert_ptr_nonnull(kept);
    kept->client = route->client;
    kept->task = route->task;
    kept->engine = route->n > 0 ? engines[0] : PX_NOWHERE;
    return kept;
}

static void request(px_records *records, uint64_t task, uint32_t n, const char *msg_id)
{
    static const uint32_t engines[] = {4, 5, 6};
    const px_route route = {
        .kind = n > 0 ? PX_ROUTE_REQUEST : PX_ROUTE_TASK, .client = 1, .task = task, .n = n};
    px_kept *kept = message(PX_KEPT_REQUEST, &route, engines, "apply_request", msg_id);
    ok(px_records_request(records, kept));
    px_kept_unref(kept);
}

static void reply(px_records *records, uint64_t task, uint32_t engine, bool delivered)
{
    const px_route route = {.kind = PX_ROUTE_REPLY, .client = 1, .task = task, .n = 1};
    px_kept *kept = message(PX_KEPT_REPLY, &route, &engine, "apply_reply", "r");
    px_record *record = px_records_find(records, 1, task, engine);
    ck_assert_ptr_nonnull(record);
    kept->delivered = delivered;
    px_records_done(records, record, kept);
    px_kept_unref(kept);
}

START_TEST(test_records__a_record_for_each_engine_of_a_request)
{
    px_records records = {0};
    ok(px_intake_init(&intake));
    request(&records, 7, 3, "m");
    ck_assert_uint_eq(records.open.n, 3);
    ck_assert_ptr_nonnull(px_records_by_id(&records, "m_5"));
    ck_assert_ptr_null(px_records_by_id(&records, "m"));
    reply(&records, 7, 5, true);
    ck_assert_uint_eq(records.open.n, 2);
    ck_assert_uint_eq(records.delivered.n, 1);
    ck_assert(px_records_by_id(&records, "m_5")->done);
    ck_assert(!px_records_by_id(&records, "m_4")->done);
    px_records_free(&records);
    ck_assert_uint_eq(records.open.bytes + records.delivered.bytes, 0);
    px_intake_done(&intake);
}
END_TEST

START_TEST(test_records__what_a_client_left_behind_is_kept_apart)
{
    px_records records = {0};
    ok(px_intake_init(&intake));
    request(&records, 1, 0, "a");
    request(&records, 2, 0, "b");
    reply(&records, 1, 9, true);
    reply(&records, 2, 9, false);
    ck_assert_uint_eq(records.delivered.n, 1);
    ck_assert_uint_eq(records.kept.n, 1);
    px_records_client_gone(&records, 1);
    ck_assert_uint_eq(records.delivered.n, 0);
    ck_assert_uint_eq(records.kept.n, 2);
    ck_assert_uint_eq(px_records_by_id(&records, "a")->ran, 9);
    px_records_free(&records);
    px_intake_done(&intake);
}
END_TEST

START_TEST(test_records__others_than_calls_and_code_are_forgotten_once_named)
{
    const px_route route = {.kind = PX_ROUTE_REQUEST, .client = 1, .task = 3, .n = 1};
    const uint32_t engine = 4;
    px_records records = {0};
    ok(px_intake_init(&intake));
    px_kept *kept = message(PX_KEPT_REQUEST, &route, &engine, "complete_request", "c");
    ok(px_records_request(&records, kept));
    px_kept_unref(kept);
    ck_assert_ptr_null(px_records_by_id(&records, "c"));
    reply(&records, 3, 4, true);
    request(&records, 4, 1, "d"); // something new to be named
    px_records_name(&records);
    ck_assert_ptr_null(px_records_find(&records, 1, 3, 4));
    ck_assert_ptr_nonnull(px_records_find(&records, 1, 4, 4));
    px_records_free(&records);
    px_intake_done(&intake);
}
END_TEST

START_TEST(test_records__as_json_it_has_ipyparallels_members)
{
    PX_AUTO_BUF out = {0};
    px_json *json;
    px_records records = {0};
    ok(px_intake_init(&intake));
    request(&records, 1, 0, "a");
    reply(&records, 1, 9, true);
    px_record_json(px_records_by_id(&records, "a"), &out);
    ok(px_json_parse(px_buf_slice(&out), &json, NULL));
    ck_assert_str_eq(px_json_string(json, "msg_id", ""), "a");
    ck_assert_str_eq(px_json_string(json, "label", ""), "fit");
    ck_assert_str_eq(px_json_string(json, "queue", ""), "task");
    ck_assert_str_eq(px_json_string(json, "submitted", ""), "2026-01-01T00:00:00.000000Z");
    ck_assert_int_eq(px_json_int(json, "engine_id", -1), 9);
    ck_assert(px_json_is_null(px_json_get(json, "resubmitted")));
    ck_assert_str_eq(px_json_string(px_json_get(json, "result_content"), "status", ""), "ok");
    px_json_free(json);
    px_records_free(&records);
    px_intake_done(&intake);
}
END_TEST

START_TEST(test_pack__gives_back_what_was_packed_and_refuses_what_is_cut)
{
    PX_AUTO_BUF out = {0};
    PX_AUTO_FRAMES back = {0};
    const px_slice frames[] = {PX_SLICE_LITERAL("one"), PX_SLICE_LITERAL(""),
                               PX_SLICE_LITERAL("three")};
    px_kept *kept = px_kept_new(PX_KEPT_LOST, frames, 3);
    px_pack(&out, kept, 0, 3);
    px_pack(&out, kept, 2, 3);
    px_slice rest = px_buf_slice(&out);
    ok(px_unpack(&rest, &back));
    ck_assert_uint_eq(px_frames_count(&back), 3);
    expect_text(px_frames_get(&back, 2), "three");
    ok(px_unpack(&rest, &back));
    ck_assert_uint_eq(px_frames_count(&back), 4);
    fails_with(PX_EAGAIN, px_unpack(&rest, &back));
    for (size_t size = 1; size < 4 + 24 + 8; size++) { // every cut of the first one
        PX_AUTO_FRAMES some = {0};
        px_slice cut = px_slice_of(out.data, size);
        fails_with(PX_EFORMAT, px_unpack(&cut, &some));
    }
    px_kept_unref(kept);
}
END_TEST

START_TEST(test_intake__gives_in_order_and_takes_memory_back)
{
    const px_slice text = PX_SLICE_LITERAL("text");
    ok(px_intake_init(&intake));
    for (uint64_t i = 0; i < 100; i++) {
        PX_AUTO_FRAMES frames = {0};
        unit_frames(&frames, "a", "b", NULL);
        px_kept *kept = i % 2 ? px_kept_new(PX_KEPT_LOST, &text, 1)
                              : px_kept_message(&intake, PX_KEPT_REPLY, &frames);
        kept->task = i;
        px_intake_post(&intake, kept, i == 99);
    }
    px_intake_wait(&intake, -1);
    px_kept *kept = px_intake_take(&intake);
    const px_kept *first = kept;
    for (uint64_t i = 0; i < 100; i++) {
        px_kept *next = kept->next;
        ck_assert_uint_eq(kept->task, i);
        expect_text(px_kept_frame(kept, 0), i % 2 ? "text" : "a");
        expect_text(px_kept_frame(kept, 9), "");
        px_kept_unref(kept);
        kept = next;
    }
    ck_assert_ptr_null(kept);
    bool used_again = false;
    for (int i = 0; i < 50; i++) {
        PX_AUTO_FRAMES frames = {0};
        unit_frames(&frames, "c", NULL);
        px_kept *again = px_kept_message(&intake, PX_KEPT_REPLY, &frames);
        used_again = used_again || again == first;
        px_intake_post(&intake, again, false);
    }
    ck_assert(used_again);
    px_intake_done(&intake);
}
END_TEST

UNIT_MAIN("records", test_records__a_record_for_each_engine_of_a_request,
          test_records__what_a_client_left_behind_is_kept_apart,
          test_records__others_than_calls_and_code_are_forgotten_once_named,
          test_records__as_json_it_has_ipyparallels_members,
          test_pack__gives_back_what_was_packed_and_refuses_what_is_cut,
          test_intake__gives_in_order_and_takes_memory_back)
