// Whom an answer on the stdin channel is for.
#include "io/questions.h"
#include "unit.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

static px_questions all;

// parent_of makes the request of a client that asks for something.
static px_parent *parent_of(const char *client)
{
    px_parent *parent = px_parent_made(px_slice_str("{}"), px_slice_str("{}"), px_slice_str("{}"));
    ok(px_frames_push_copy(&parent->idents, px_slice_str(client)));
    return parent;
}

static void begin(px_question *question, px_parent *parent, const char *msg_id)
{
    *question = (px_question){.parent = parent};
    (void)snprintf(question->msg_id, sizeof(question->msg_id), "%s", msg_id);
    ok(px_question_open(&all, question));
}

// answer has a client answer with a text, with this parent header.
static void answer(const char *client, const char *header, const char *text)
{
    PX_AUTO(px_session) session = NULL;
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO_BUF content = {0};
    px_message *message = NULL;
    px_buf_printf(&content, "{\"value\":\"%s\"}", text);
    const px_outgoing outgoing = {.msg_type = "input_reply",
                                  .parent = px_slice_str(header),
                                  .content = px_buf_slice(&content)};
    ok(px_session_new(px_slice_str("key"), NULL, NULL, NULL, &session, NULL));
    ok(px_frames_push_copy(&frames, px_slice_str(client)));
    ok(px_session_compose(session, &outgoing, &frames));
    ok(px_session_verify(session, &frames, false, &message, NULL));
    px_questions_answer(&all, px_request_new(PX_STDIN, message));
}

// expect_answer takes what a question was answered; NULL: nothing.
static void expect_answer(px_question *question, const char *text)
{
    px_letter *letter = px_mailbox_take_one(&question->answer);
    if (text == NULL) {
        ck_assert_ptr_null(letter);
        return;
    }
    ck_assert_ptr_nonnull(letter);
    px_request *reply = PX_CONTAINER(letter, px_request, letter);
    PX_AUTO_BUF expected = {0};
    px_buf_printf(&expected, "{\"value\":\"%s\"}", text);
    ck_assert(px_slice_equal(reply->message->content, px_buf_slice(&expected)));
    px_request_free(reply);
}

START_TEST(test_questions__get_the_answers_that_name_them_in_any_order)
{
    px_question one, two;
    px_parent *parent = parent_of("a");
    ok(px_questions_init(&all));
    begin(&one, parent, "s_1_1");
    begin(&two, parent, "s_1_2");
    answer("a", "{\"msg_id\":\"s_1_2\",\"msg_type\":\"input_request\"}", "second");
    answer("a", "{\"msg_id\":\"s_1_1\",\"msg_type\":\"input_request\"}", "first");
    expect_answer(&one, "first");
    expect_answer(&two, "second");
    px_question_close(&all, &one);
    px_question_close(&all, &two);
    px_parent_unref(parent);
}
END_TEST

START_TEST(test_questions__are_answered_in_their_order_by_who_names_none)
{
    px_question first, one, two;
    px_parent *other = parent_of("b");
    px_parent *parent = parent_of("a");
    ok(px_questions_init(&all));
    begin(&first, other, "s_1_0");
    begin(&one, parent, "s_1_1");
    begin(&two, parent, "s_1_2");
    answer("a", "{}", "first");
    answer("a", "{\"msg_id\":\"x\",\"msg_type\":\"execute_request\"}", "second");
    answer("c", "{}", "another client's"); // it may answer too, as long as somebody waits
    expect_answer(&first, "another client's");
    expect_answer(&one, "first");
    expect_answer(&two, "second");
    px_question_close(&all, &one); // in another order than they came
    px_question_close(&all, &first);
    px_question_close(&all, &two);
    px_parent_unref(parent);
    px_parent_unref(other);
}
END_TEST

START_TEST(test_questions__get_nothing_that_is_late_or_for_nobody)
{
    px_question gone, one;
    px_parent *parent = parent_of("a");
    ok(px_questions_init(&all));
    answer("a", "{}", "nobody asked");
    begin(&gone, parent, "s_1_1");
    px_question_close(&all, &gone);
    begin(&one, parent, "s_1_2");
    answer("a", "{\"msg_id\":\"s_1_1\",\"msg_type\":\"input_request\"}", "late");
    expect_answer(&one, NULL);
    answer("a", "{\"msg_id\":\"s_1_2\",\"msg_type\":\"input_request\"}", "in time");
    answer("a", "{\"msg_id\":\"s_1_2\",\"msg_type\":\"input_request\"}", "twice");
    answer("a", "{}", "once more");
    expect_answer(&one, "in time");
    expect_answer(&one, NULL);
    px_question_close(&all, &one);
    begin(&one, parent, "s_1_3");
    answer("a", "{}", "not taken"); // freed with the question
    px_question_close(&all, &one);
    px_parent_unref(parent);
}
END_TEST

static bool is_that(const void *context, const px_question *question)
{
    return question == context;
}

START_TEST(test_questions__that_are_interrupted_take_no_answer_and_the_others_theirs)
{
    px_question one, other;
    px_parent *parent = parent_of("a");
    ok(px_questions_init(&all));
    begin(&one, parent, "s_1_1");
    begin(&other, parent, "s_1_2");
    px_questions_interrupt(&all, is_that, &one);
    px_questions_interrupt(&all, is_that, &one); // it was already
    answer("a", "{}", "for the other");
    ck_assert_int_eq(
        poll(&(struct pollfd){.fd = px_mailbox_fd(&one.answer), .events = POLLIN}, 1, 0), 1);
    ck_assert_ptr_null(px_question_take(&one));
    expect_answer(&other, "for the other");
    px_question_close(&all, &one);
    px_questions_interrupt(&all, is_that, &other); // it has its answer
    ck_assert_ptr_null(px_mailbox_take_one(&other.answer));
    px_question_close(&all, &other);
    begin(&one, parent, "s_1_3");
    px_questions_interrupt(&all, is_that, &one);
    px_question_close(&all, &one); // before its asker has looked
    px_parent_unref(parent);
}
END_TEST

UNIT_MAIN("kernel_questions", test_questions__get_the_answers_that_name_them_in_any_order,
          test_questions__are_answered_in_their_order_by_who_names_none,
          test_questions__get_nothing_that_is_late_or_for_nobody,
          test_questions__that_are_interrupted_take_no_answer_and_the_others_theirs)
