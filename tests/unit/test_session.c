#include "unit.h"

#include "px/json.h"
#include "px/session.h"
#include "px/thread.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY "a0436f6c-1916-498b-8eb9-e81ab9368e84"
#define HEADER                                                                                     \
    "{\"msg_id\":\"a1\",\"msg_type\":\"kernel_info_request\",\"username\":\"u\",\"session\":"      \
    "\"s\",\"date\":\"2026-01-31T12:34:56.789012Z\",\"version\":\"5.4\"}"
// By Python's hmac, over HEADER, {}, {} and {"code":"print(1)"}.
#define SIGNATURE "6b1d148bb651a4c111d6bdfc443890de9d7c9b8b891addf8061a822d4f6b7247"

static px_session *session_with(const char *key)
{
    px_session *session = NULL;
    px_error error = {0};

    px_err err = px_session_new(px_slice_str(key), "hmac-sha256", NULL, "marie", &session, &error);
    ck_assert_msg(err == PX_OK, "%s", error.text);
    return session;
}

static void expect_refusal(px_session *session, px_err expected, px_frames *frames)
{
    px_message *message = NULL;
    px_error error = {0};
    size_t n = frames->n;

    px_err err = px_session_verify(session, frames, true, &message, &error);
    ck_assert_msg(err == expected, "\"%s\" (%s), not \"%s\"", px_err_text(err), error.text,
                  px_err_text(expected));
    ck_assert_int_gt((int)strlen(error.text), 5);
    ck_assert_uint_eq(frames->n, n);
    ck_assert_ptr_null(message);
    px_frames_done(frames);
}

START_TEST(test_session__verifies_what_python_signed)
{
    PX_AUTO(px_session) session = session_with(KEY);
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO(px_message) message = NULL;

    unit_frames(&frames, "identity", "", PX_DELIMITER, SIGNATURE, HEADER, "{}", "{}",
                "{\"code\":\"print(1)\"}", "buffer 0", "buffer 1", NULL);
    const uint8_t *buffer = px_frames_get(&frames, 8).data;
    ok(px_session_verify(session, &frames, true, &message, NULL));
    ck_assert_uint_eq(frames.n, 0);
    ck_assert_uint_eq(message->delimiter, 2);
    ck_assert_int_eq(message->type, PX_MSG_KERNEL_INFO_REQUEST);
    ck_assert_str_eq(message->msg_id, "a1");
    ck_assert_str_eq(message->msg_type, "kernel_info_request");
    ck_assert_str_eq(message->session, "s");
    ck_assert_ptr_null(message->subshell_id);
    expect_text(message->header, HEADER);
    expect_text(message->content, "{\"code\":\"print(1)\"}");
    ck_assert_uint_eq(message->n_buffers, 2);
    ck_assert_ptr_eq(px_frames_get(&message->frames, message->first_buffer).data, buffer);
}
END_TEST

START_TEST(test_session__refuses_replays)
{
    PX_AUTO(px_session) session = session_with(KEY);
    PX_AUTO_FRAMES frames = {0};

    for (int i = 0; i < 3; i++) {
        PX_AUTO(px_message) message = NULL;
        unit_frames(&frames, PX_DELIMITER, SIGNATURE, HEADER, "{}", "{}", "{\"code\":\"print(1)\"}",
                    NULL);
        if (i == 2) {
            expect_refusal(session, PX_EREPLAY, &frames);
        } else { // the first look does not record it
            ok(px_session_verify(session, &frames, i == 1, &message, NULL));
        }
    }
}
END_TEST

START_TEST(test_session__refuses_wrong_signatures)
{
    PX_AUTO(px_session) session = session_with(KEY);
    PX_AUTO_FRAMES frames = {0};

    unit_frames(&frames, PX_DELIMITER, SIGNATURE, HEADER, "{}", "{}", "{\"code\":\"print(2)\"}",
                NULL);
    expect_refusal(session, PX_ESIGNATURE, &frames);
    unit_frames(&frames, PX_DELIMITER, "", HEADER, "{}", "{}", "{\"code\":\"print(1)\"}", NULL);
    expect_refusal(session, PX_ESIGNATURE, &frames);
    unit_frames(&frames, PX_DELIMITER, SIGNATURE "0", HEADER, "{}", "{}", "{\"code\":\"print(1)\"}",
                NULL);
    expect_refusal(session, PX_ESIGNATURE, &frames);
}
END_TEST

START_TEST(test_session__refuses_malformed_messages)
{
    PX_AUTO(px_session) session = session_with("");
    PX_AUTO_FRAMES frames = {0};

    expect_refusal(session, PX_EFORMAT, &frames);
    unit_frames(&frames, "a", "b", NULL);
    expect_refusal(session, PX_EFORMAT, &frames);
    unit_frames(&frames, PX_DELIMITER, NULL);
    expect_refusal(session, PX_EFORMAT, &frames);
    unit_frames(&frames, PX_DELIMITER, "", HEADER, "{}", "{}", NULL);
    expect_refusal(session, PX_EFORMAT, &frames);
    for (int i = 0; i < 70; i++) {
        unit_frames(&frames, "id", NULL);
    }
    unit_frames(&frames, PX_DELIMITER, "", HEADER, "{}", "{}", "{}", NULL);
    expect_refusal(session, PX_EFORMAT, &frames);
}
END_TEST

START_TEST(test_session__refuses_bad_json)
{
    PX_AUTO(px_session) session = session_with("");
    PX_AUTO_FRAMES frames = {0};
    static const char *const headers[] = {
        "",
        "[]",
        "{}",
        "{\"msg_id\":1,\"msg_type\":\"x\"}",
        "{\"msg_id\":\"1\",\"msg_type\":null}",
        "{\"msg_id\":\"1\"}",
        "{\"msg_id\":\"1\",\"msg_type\":\"x\",\"session\":[]}",
        "{\"msg_id\":\"1\",\"msg_type\":\"x\",\"subshell_id\":5}",
        "{\"msg_id\":\"\xff\",\"msg_type\":\"x\"}",
        "{\"msg_id\":\"1\",\"msg_type\":\"x\"} ,",
    };

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        unit_frames(&frames, PX_DELIMITER, "", headers[i], "{}", "{}", "{}", NULL);
        expect_refusal(session, PX_EJSON, &frames);
    }
    unit_frames(&frames, PX_DELIMITER, "", HEADER, "", "{}", "{}", NULL);
    expect_refusal(session, PX_EJSON, &frames);
    unit_frames(&frames, PX_DELIMITER, "", HEADER, "{}", "[]", "{}", NULL);
    expect_refusal(session, PX_EJSON, &frames);
    unit_frames(&frames, PX_DELIMITER, "", HEADER, "{}", "{}", "{", NULL);
    expect_refusal(session, PX_EJSON, &frames);
}
END_TEST

START_TEST(test_session__refuses_an_enormous_header)
{
    PX_AUTO(px_session) session = session_with("");
    PX_AUTO_FRAMES frames = {0};
    px_bytes *bytes;
    uint8_t *data;

    unit_frames(&frames, PX_DELIMITER, "", "header", "{}", "{}", "{}", NULL);
    ok(px_bytes_new((size_t)1 << 20, &data, &bytes));
    memset(data, ' ', (size_t)1 << 20);
    px_frames_set(&frames, 2, bytes);
    expect_refusal(session, PX_EFORMAT, &frames);
}
END_TEST

START_TEST(test_session__header_values_are_decoded)
{
    PX_AUTO(px_session) session = session_with("");
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO(px_message) message = NULL;

    unit_frames(&frames, PX_DELIMITER, "",
                "{\"x\":{\"msg_id\":\"no\"},\"msg_id\":\"\\u00e9\\n\","
                "\"msg_type\":\"px_other\",\"subshell_id\":\"sub\"}",
                " {}\n", "{ }", "{}", NULL);
    ok(px_session_verify(session, &frames, true, &message, NULL));
    ck_assert_str_eq(message->msg_id, "é\n");
    ck_assert_int_eq(message->type, PX_MSG_UNKNOWN);
    ck_assert_str_eq(message->msg_type, "px_other");
    ck_assert_str_eq(message->subshell_id, "sub");
    ck_assert_ptr_null(message->session);
}
END_TEST

START_TEST(test_session__composes_what_the_specification_says)
{
    PX_AUTO(px_session) session = session_with(KEY);
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO(px_json) header = NULL;
    px_bytes *buffer;
    char id[PX_MSG_ID_SIZE];

    ok(px_bytes_copy(PX_SLICE_LITERAL("raw"), &buffer));
    const px_outgoing outgoing = {.msg_type = "stream",
                                  .parent = PX_SLICE_LITERAL(HEADER),
                                  .content = PX_SLICE_LITERAL("{\"name\":\"stdout\"}"),
                                  .buffers = &buffer,
                                  .n_buffers = 1};
    unit_frames(&frames, "topic", NULL);
    ok(px_session_compose(session, &outgoing, &frames));
    ck_assert_uint_eq(frames.n, 8);
    expect_text(px_frames_get(&frames, 0), "topic");
    expect_text(px_frames_get(&frames, 1), PX_DELIMITER);
    ck_assert_uint_eq(px_frames_get(&frames, 2).size, 64);
    expect_text(px_frames_get(&frames, 4), HEADER);
    expect_text(px_frames_get(&frames, 5), "{}");
    expect_text(px_frames_get(&frames, 6), "{\"name\":\"stdout\"}");
    ck_assert_ptr_eq(px_frames_at(&frames, 7), buffer); // not a copy
    ok(px_json_parse(px_frames_get(&frames, 3), &header, NULL));
    (void)snprintf(id, sizeof(id), "%s_%ld_0", px_session_id(session), (long)getpid()); // fits
    ck_assert_str_eq(px_json_string(header, "msg_id", ""), id);
    ck_assert_str_eq(px_json_string(header, "msg_type", ""), "stream");
    ck_assert_str_eq(px_json_string(header, "username", ""), "marie");
    ck_assert_str_eq(px_json_string(header, "session", ""), px_session_id(session));
    ck_assert_str_eq(px_json_string(header, "version", ""), "5.4");
    ck_assert_uint_eq(strlen(px_json_string(header, "date", "")), 27);
    px_bytes_unref(buffer);
}
END_TEST

START_TEST(test_session__verifies_what_it_composed)
{
    PX_AUTO(px_session) session = NULL;
    PX_AUTO(px_session) clone = NULL;
    PX_AUTO_FRAMES frames = {0};

    ok(px_session_new(PX_SLICE_LITERAL(KEY), "hmac-sha512", "given", "o\"brien\\", &session, NULL));
    ok(px_session_clone(session, &clone));
    ck_assert_str_eq(px_session_id(clone), "given");
    for (int i = 0; i < 3; i++) {
        PX_AUTO(px_message) message = NULL;
        const px_outgoing outgoing = {.msg_type = "status",
                                      .msg_id = i == 2 ? "my own" : NULL,
                                      .parent = PX_SLICE_LITERAL(HEADER)};
        ok(px_session_compose(i == 0 ? session : clone, &outgoing, &frames));
        ok(px_session_verify(i == 0 ? clone : session, &frames, true, &message, NULL));
        ck_assert_int_eq(message->type, PX_MSG_STATUS);
        ck_assert_str_eq(message->session, "given");
        char id[PX_MSG_ID_SIZE];
        (void)snprintf(id, sizeof(id), "given_%ld_%d", (long)getpid(), i); // fits
        ck_assert_str_eq(message->msg_id, i == 2 ? "my own" : id);
    }
}
END_TEST

START_TEST(test_session__composes_with_a_date_that_is_given)
{
    PX_AUTO(px_session) session = session_with(KEY);
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO(px_json) header = NULL;
    const px_outgoing outgoing = {.msg_type = "status", .date = "2026-01-31T12:34:56.789012Z"};

    ok(px_session_compose(session, &outgoing, &frames));
    ok(px_json_parse(px_frames_get(&frames, 2), &header, NULL));
    expect_text(px_json_text(header, "date"), "2026-01-31T12:34:56.789012Z");
}
END_TEST

START_TEST(test_session__clones_never_give_an_id_twice)
{
    enum { N = 5000 };
    PX_AUTO(px_session) session = session_with(KEY);
    PX_AUTO(px_session) clone = NULL;
    char id[PX_MSG_ID_SIZE];
    char last[PX_MSG_ID_SIZE];

    ok(px_session_clone(session, &clone));
    for (int i = 0; i < N; i++) {
        px_session_next_id(i % 3 == 0 ? session : clone, id);
    }
    (void)snprintf(last, sizeof(last), "%s_%ld_%d", px_session_id(session), (long)getpid(), N - 1);
    ck_assert_str_eq(id, last);
}
END_TEST

START_TEST(test_session__a_trusting_clone_neither_signs_nor_checks)
{
    PX_AUTO(px_session) session = session_with(KEY);
    PX_AUTO(px_session) stranger = session_with("another key");
    PX_AUTO(px_session) trusting = NULL;
    PX_AUTO(px_session) again = NULL;
    PX_AUTO(px_message) unsigned_one = NULL;
    PX_AUTO(px_message) foreign = NULL;
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO_FRAMES others = {0};
    px_outgoing message = {.msg_type = "apply_request", .msg_id = "a_1_2"};

    ok(px_session_clone_trusting(session, &trusting));
    ok(px_session_clone(trusting, &again));
    ck_assert_str_eq(px_session_id(trusting), px_session_id(session));
    ok(px_session_compose(again, &message, &frames));
    ck_assert_uint_eq(px_frames_get(&frames, 1).size, 0);
    ok(px_session_verify(trusting, &frames, true, &unsigned_one, NULL));
    ck_assert_str_eq(unsigned_one->msg_id, "a_1_2");
    ok(px_session_compose(stranger, &message, &others));
    ok(px_session_verify(trusting, &others, true, &foreign, NULL));

    px_error error = {0};
    px_message *refused = NULL;
    ck_assert_int_eq(px_session_verify(session, &unsigned_one->frames, true, &refused, &error),
                     PX_ESIGNATURE);
}
END_TEST

START_TEST(test_session__a_forked_child_has_an_id_of_its_own)
{
    PX_AUTO(px_session) session = session_with(KEY);
    char before[64];
    char id[PX_MSG_ID_SIZE];
    char expected[PX_MSG_ID_SIZE];
    int status = 0;

    (void)snprintf(before, sizeof(before), "%s", px_session_id(session)); // fits
    px_session_next_id(session, id);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        px_session_forked(session);
        px_session_next_id(session, id);
        (void)snprintf(expected, sizeof(expected), "%s_%ld_0", px_session_id(session),
                       (long)getpid()); // fits
        _exit(strcmp(before, px_session_id(session)) == 0 || strcmp(id, expected) != 0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_str_eq(before, px_session_id(session));
}
END_TEST

START_TEST(test_session__refuses_an_unknown_scheme)
{
    px_session *session = NULL;
    px_error error;

    fails_with(PX_EINVAL,
               px_session_new(PX_SLICE_LITERAL(KEY), "hmac-none", NULL, NULL, &session, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "hmac-none"));
}
END_TEST

UNIT_MAIN("session", test_session__verifies_what_python_signed, test_session__refuses_replays,
          test_session__refuses_wrong_signatures, test_session__refuses_malformed_messages,
          test_session__refuses_bad_json, test_session__refuses_an_enormous_header,
          test_session__header_values_are_decoded,
          test_session__composes_what_the_specification_says,
          test_session__verifies_what_it_composed, test_session__clones_never_give_an_id_twice,
          test_session__composes_with_a_date_that_is_given,
          test_session__a_trusting_clone_neither_signs_nor_checks,
          test_session__a_forked_child_has_an_id_of_its_own,
          test_session__refuses_an_unknown_scheme)
