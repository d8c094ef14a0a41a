#include "io/output.h"
#include "unit.h"

#include <stdlib.h>

static px_message *message(void)
{
    return calloc(1, sizeof(px_message));
}

START_TEST(test_output__consecutive_texts_of_a_stream_are_one)
{
    px_outputs outputs = {0};
    px_output *object = NULL;
    ok(px_outputs_add_text(&outputs, message(), false, px_slice_str("a")));
    ok(px_outputs_add_text(&outputs, message(), false, px_slice_str("b")));
    ok(px_outputs_add_text(&outputs, message(), true, px_slice_str("c")));
    ok(px_outputs_add(&outputs, message(), &object));
    ok(px_outputs_add_text(&outputs, message(), true, px_slice_str("d")));
    const px_output *at = outputs.first;
    expect_text(px_buf_slice(&at->text), "ab");
    at = at->next;
    ck_assert(at->is_stderr);
    expect_text(px_buf_slice(&at->text), "c");
    at = at->next;
    ck_assert_ptr_eq(at, object);
    at = at->next;
    expect_text(px_buf_slice(&at->text), "d");
    ck_assert_ptr_null(at->next);
    px_outputs_done(&outputs);
}
END_TEST

// say shows what a notebook would see: a newline that is owed stands before the text.
static void say(px_speaker *speaker, uint32_t engine, bool is_stderr, const char *text, px_buf *out)
{
    bool break_stderr;
    if (px_speaker_breaks(speaker, engine, is_stderr, &break_stderr)) {
        px_buf_append_str(out, "\n");
    }
    px_speaker_say(speaker, engine, is_stderr, px_slice_str(text), out);
}

START_TEST(test_speaker__says_who_speaks_when_that_changes)
{
    px_speaker speaker = {0};
    PX_AUTO_BUF out = {0};
    say(&speaker, 0, false, "one\n", &out);
    say(&speaker, 0, false, "two", &out);
    say(&speaker, 0, false, "", &out);
    say(&speaker, 1, false, "three\n", &out);
    say(&speaker, 1, true, "four\n", &out);
    say(&speaker, 0, false, "five\nsix\n", &out);
    expect_text(px_buf_slice(&out), "[stdout:0] one\ntwo\n[stdout:1] three\n[stderr:1] four\n"
                                    "[stdout:0] five\nsix\n");
}
END_TEST

START_TEST(test_speaker__newline_goes_to_the_stream_that_owes_it)
{
    px_speaker speaker = {0};
    PX_AUTO_BUF out = {0};
    bool break_stderr = false;
    px_speaker_say(&speaker, 4, true, px_slice_str("no end"), &out);
    ck_assert(!px_speaker_breaks(&speaker, 4, true, &break_stderr));
    ck_assert(px_speaker_breaks(&speaker, 4, false, &break_stderr));
    ck_assert(break_stderr);
}
END_TEST

START_TEST(test_speaker__says_so_again_after_a_pause)
{
    px_speaker speaker = {0};
    PX_AUTO_BUF out = {0};
    say(&speaker, 0, false, "a", &out);
    px_speaker_pause(&speaker);
    say(&speaker, 0, false, "b\n", &out);
    expect_text(px_buf_slice(&out), "[stdout:0] a[stdout:0] b\n");
}
END_TEST

static void shown(px_msg_type type, const char *content, const char *expected)
{
    PX_AUTO_BUF out = {0};
    ok(px_output_content(type, px_slice_str(content), 2, &out));
    expect_text(px_buf_slice(&out), expected);
}

START_TEST(test_output__a_result_is_headed_and_the_engine_named)
{
    shown(PX_MSG_EXECUTE_RESULT,
          "{\"execution_count\":7,\"data\":{\"text/plain\":\"5\",\"text/html\":\"<b>5</b>\"},"
          "\"metadata\":{}}",
          "{\"data\":{\"text/plain\":\"\\u001b[0;31mOut[2:7]: \\u001b[0m5\","
          "\"text/html\":\"<b>5</b>\"},\"metadata\":{\"engine\":2}}");
    shown(PX_MSG_EXECUTE_RESULT, "{\"execution_count\":1,\"data\":{\"text/plain\":\"a\\nb\"}}",
          "{\"data\":{\"text/plain\":\"\\u001b[0;31mOut[2:1]: \\u001b[0m\\na\\nb\"},"
          "\"metadata\":{\"engine\":2}}");
}
END_TEST

START_TEST(test_output__an_object_passes_as_it_is)
{
    shown(PX_MSG_DISPLAY_DATA,
          "{\"data\":{\"text/plain\":\"x\"},\"metadata\":{\"image/png\":{\"width\":3},"
          "\"engine\":\"?\"},\"transient\":{\"display_id\":\"d\"}}",
          "{\"data\":{\"text/plain\":\"x\"},\"metadata\":{\"image/png\":{\"width\":3},"
          "\"engine\":2},\"transient\":{\"display_id\":\"d\"}}");
}
END_TEST

START_TEST(test_output__content_that_is_no_json_is_refused)
{
    PX_AUTO_BUF out = {0};
    fails_with(PX_EJSON, px_output_content(PX_MSG_DISPLAY_DATA, px_slice_str("{"), 0, &out));
}
END_TEST

UNIT_MAIN("output", test_output__consecutive_texts_of_a_stream_are_one,
          test_speaker__says_who_speaks_when_that_changes,
          test_speaker__newline_goes_to_the_stream_that_owes_it,
          test_speaker__says_so_again_after_a_pause,
          test_output__a_result_is_headed_and_the_engine_named,
          test_output__an_object_passes_as_it_is, test_output__content_that_is_no_json_is_refused)
