// The list of subshells, and px-io's way with them: made, listed and deleted without Python, and to
// which shell a request goes.
#include "io/io.h"
#include "unit.h"

#include "px/time.h"

#include <stdio.h>
#include <string.h>

static px_subshells all;

static px_message *message_of(px_msg_type type, const char *subshell, const char *content)
{
    PX_AUTO(px_session) session = NULL;
    px_message *message = NULL;
    PX_AUTO_FRAMES frames = {0};
    const px_outgoing outgoing = {.msg_type = px_msg_type_name(type),
                                  .content = px_slice_str(content)};
    ok(px_session_new(px_slice_str("key"), NULL, NULL, NULL, &session, NULL));
    ok(px_session_compose(session, &outgoing, &frames));
    ok(px_session_verify(session, &frames, false, &message, NULL));
    message->subshell_id = subshell != NULL ? strdup(subshell) : NULL;
    return message;
}

static px_request *comm_message(const char *content)
{
    return px_request_new(PX_SHELL, message_of(PX_MSG_COMM_MSG, NULL, content));
}

// sent tells that the kernel has sent a message of a comm, on behalf of a shell.
static void sent(const char *msg_type, const char *topic, const char *subshell)
{
    px_parent *parent = px_parent_made(px_slice_str("{}"), px_slice_str("{}"), px_slice_str("{}"));
    (void)snprintf(parent->subshell, sizeof(parent->subshell), "%s", subshell);
    px_out *out = px_out_new(PX_OUT_PUBLISH, parent);
    (void)snprintf(out->msg_type, sizeof(out->msg_type), "%s", msg_type);
    px_comms_sent(&all, px_slice_str(topic), out);
    px_out_free(out);
    px_parent_unref(parent);
}

static void expect_ids(const char *expected)
{
    PX_AUTO_BUF text = {0};
    px_subshells_write(&all, &text);
    ok(px_buf_status(&text));
    expect_text(px_buf_slice(&text), expected);
}

START_TEST(test_subshells__are_listed_in_the_order_of_their_making)
{
    ok(px_subshells_init(&all));
    expect_ids("[]");
    char one[PX_UUID_SIZE];
    char expected[128];
    memcpy(one, px_subshells_create(&all)->id, sizeof(one));
    const char *two = px_subshells_create(&all)->id;
    (void)snprintf(expected, sizeof(expected), "[\"%s\",\"%s\"]", one, two);
    expect_ids(expected);
    ok(px_subshells_delete(&all, one));
    (void)snprintf(expected, sizeof(expected), "[\"%s\"]", two);
    expect_ids(expected);
    fails_with(PX_ENOENT, px_subshells_delete(&all, one));
    ck_assert_ptr_null(px_subshells_find(&all, one));
    px_subshells_done(&all);
}
END_TEST

START_TEST(test_subshells__are_each_taken_once_by_a_thread_and_told_to_end)
{
    ok(px_subshells_init(&all));
    px_subshell *one = px_subshells_create(&all);
    px_subshell *two = px_subshells_create(&all);
    ck_assert_uint_eq(atomic_load(&all.unsettled), 2);
    ck_assert_ptr_eq(px_subshells_take(&all), one);
    ok(px_subshells_delete(&all, two->id)); // needs no thread any more
    ck_assert_ptr_null(px_subshells_take(&all));
    ok(px_subshells_delete(&all, one->id)); // its thread keeps it
    px_letter *letter = px_mailbox_take(&one->inbox);
    ck_assert_ptr_nonnull(letter);
    ck_assert_int_eq(letter->kind, PX_NOTICE_EXIT);
    free(letter);
    px_subshell_unref(one);
    px_subshells_done(&all);
}
END_TEST

START_TEST(test_subshells__free_requests_that_nobody_serves)
{
    ok(px_subshells_init(&all));
    px_subshell *shell = px_subshells_create(&all);
    px_request *request = comm_message("{\"comm_id\":\"c\"}");
    px_waiting_add(&shell->waiting, request);
    px_mailbox_post(&shell->inbox, &request->letter);
    ck_assert(!px_shell_idle(&shell->blocked, &shell->waiting));
    ok(px_subshells_delete(&all, shell->id));
    px_subshells_done(&all);
}
END_TEST

START_TEST(test_comms__go_where_their_header_says_until_the_kernel_sends)
{
    ok(px_subshells_init(&all));
    px_subshell *named = px_subshells_create(&all);
    px_request *request = comm_message("{\"comm_id\":\"c\"}");
    ck_assert_ptr_eq(px_comms_pick(&all, request, named, true), named);
    ck_assert_ptr_null(request->comm);
    px_request_free(request);
    sent("comm_msg", "comm-c", "");
    request = comm_message("{\"comm_id\":\"c\"}");
    ck_assert_ptr_null(px_comms_pick(&all, request, named, true)); // the main shell asked
    px_request_free(request);
    request = comm_message("{\"comm_id\":\"c\"}");
    ck_assert_ptr_eq(px_comms_pick(&all, request, named, false), named); // but it is busy
    px_request_free(request);
    px_subshells_done(&all);
}
END_TEST

START_TEST(test_comms__keep_the_order_of_one_comm)
{
    ok(px_subshells_init(&all));
    px_subshell *named = px_subshells_create(&all);
    sent("comm_open", "comm-c", "");
    px_request *first = comm_message("{\"comm_id\":\"c\"}");
    px_request *second = comm_message("{\"comm_id\":\"c\"}");
    px_request *third = comm_message("{\"comm_id\":\"c\"}");
    ck_assert_ptr_eq(px_comms_pick(&all, first, named, false), named);
    ck_assert_ptr_eq(px_comms_pick(&all, second, named, true), named); // behind the first
    px_request_free(first);
    px_request_free(second);
    ck_assert_ptr_null(px_comms_pick(&all, third, named, true));
    px_request_free(third);
    px_subshells_done(&all);
}
END_TEST

START_TEST(test_comms__are_forgotten_when_closed_or_without_their_shell)
{
    ok(px_subshells_init(&all));
    px_subshell *named = px_subshells_create(&all);
    char asked[PX_UUID_SIZE];
    memcpy(asked, px_subshells_create(&all)->id, sizeof(asked));
    sent("comm_msg", "comm-c", asked);
    sent("comm_msg", "comm-d", asked);
    px_request *request = comm_message("{\"comm_id\":\"c\"}");
    ck_assert_str_eq(px_comms_pick(&all, request, named, true)->id, asked);
    px_request_free(request);
    sent("comm_close", "comm-c", asked);
    request = comm_message("{\"comm_id\":\"c\"}");
    ck_assert_ptr_eq(px_comms_pick(&all, request, named, true), named);
    ck_assert_ptr_null(request->comm);
    ok(px_subshells_delete(&all, asked));
    px_request_free(request);
    request = comm_message("{\"comm_id\":\"d\"}");
    ck_assert_ptr_eq(px_comms_pick(&all, request, named, true), named);
    px_request_free(request);
    ok(px_subshells_delete(&all, named->id));
    ck_assert_ptr_null(all.comms);
    px_subshells_done(&all);
}
END_TEST

UNIT_MAIN("kernel_subshell", test_subshells__are_listed_in_the_order_of_their_making,
          test_subshells__are_each_taken_once_by_a_thread_and_told_to_end,
          test_subshells__free_requests_that_nobody_serves,
          test_comms__go_where_their_header_says_until_the_kernel_sends,
          test_comms__keep_the_order_of_one_comm,
          test_comms__are_forgotten_when_closed_or_without_their_shell)
