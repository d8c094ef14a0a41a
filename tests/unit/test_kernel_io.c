// px-io behind its real sockets, without Python: what it answers itself, what it hands over, what
// it drops.
#include "io/io.h"
#include "unit.h"

#include "px/socket.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static px_kernel kernel;
static px_context *context;
static px_session *session;

static void start_kernel(void)
{
    px_error error = {0};
    px_transport *transport = NULL;
    ok(px_connection_defaults(&kernel.config.connection));
    (void)snprintf(kernel.config.ident, sizeof(kernel.config.ident), "test-kernel");
    (void)snprintf(kernel.config.session_id, sizeof(kernel.config.session_id), "kernel-session");
    (void)snprintf(kernel.config.python_version, sizeof(kernel.config.python_version), "3.11.7");
    (void)snprintf(kernel.config.implementation_version, 8, "9.1.2");
    (void)snprintf(kernel.config.connection_file, sizeof(kernel.config.connection_file), "%s",
                   unit_path("kernel.json"));
    kernel.config.write_connection = true;
    kernel.config.remove_connection = true;
    ok(px_mailbox_init(&kernel.inbox));
    ok(px_questions_init(&kernel.questions));
    ok(px_mailbox_init(&kernel.side));
    ok(px_outbox_init(&kernel.outbox));
    ok(px_interrupt_init(&kernel.interrupt));
    ok(px_waiting_init(&kernel.waiting));
    ok(px_stuck_init(&kernel.stuck));
    ok(px_known_init(&kernel.known));
    ok(px_subshells_init(&kernel.subshells));
    ok(px_capture_init(&kernel.capture, &kernel.outbox, false));
    ok(px_transport_jupyter_new(&kernel.config, &transport));
    px_err err = px_io_start(&kernel, transport, &error);
    ck_assert_msg(err == PX_OK, "%s", error.text);
    ok(px_context_new(&context));
    ok(px_session_new(px_slice_str(kernel.config.connection.key), "hmac-sha256", NULL, "marie",
                      &session, NULL));
}

static void stop_kernel(void)
{
    px_io_stop(kernel.io);
    px_capture_done(&kernel.capture);
    px_outbox_done(&kernel.outbox);
    px_waiting_done(&kernel.waiting);
    px_stuck_done(&kernel.stuck);
    px_known_done(&kernel.known);
    px_subshells_done(&kernel.subshells);
    px_mailbox_done(&kernel.inbox);
    px_mailbox_done(&kernel.side);
    px_session_free(session);
    px_context_free(context);
    ck_assert_msg(access(kernel.config.connection_file, F_OK) != 0, "its file is still there");
}

static px_socket *connect_to(px_socket_kind kind, uint16_t port)
{
    char address[64];
    px_socket *socket = NULL;
    (void)snprintf(address, sizeof(address), "tcp://127.0.0.1:%u", port);
    ok(px_socket_open(context, kind, &socket));
    if (kind == PX_SUB) {
        ok(px_socket_subscribe(socket, (px_slice){0}));
    }
    ok(px_socket_connect(socket, address, NULL));
    return socket;
}

static void send_type(px_socket *socket, const char *msg_type, const char *content)
{
    PX_AUTO_FRAMES frames = {0};
    const px_outgoing message = {.msg_type = msg_type, .content = px_slice_str(content)};
    ok(px_session_compose(session, &message, &frames));
    ok(px_socket_send(socket, &frames));
}

typedef struct arrival {
    px_loop *loop;
    px_socket *socket;
    px_frames frames;
} arrival;

static void arrived(void *arg, int events)
{
    (void)events;
    arrival *a = arg;
    if (px_socket_recv(a->socket, &a->frames) == PX_OK) {
        px_loop_stop(a->loop);
    }
}

static void too_late(void *arg, px_ns now)
{
    (void)arg;
    (void)now;
    ck_abort_msg("nothing arrived within ten seconds");
}

// receive waits for the next message.
static px_message *receive(px_socket *socket)
{
    arrival a = {.socket = socket};
    px_source *source = NULL;
    px_timer *timer = NULL;
    px_message *message = NULL;
    ok(px_loop_new(&a.loop));
    ok(px_loop_add_socket(a.loop, "test", socket, arrived, &a, &source));
    ok(px_loop_add_timer(a.loop, "late", px_now() + 10 * PX_NS_PER_S, 0, too_late, NULL, &timer));
    ok(px_loop_run(a.loop));
    px_loop_free(a.loop);
    ok(px_session_verify(session, &a.frames, true, &message, NULL));
    return message;
}

static void expect_type(px_socket *socket, const char *msg_type, const char *key, const char *value)
{
    PX_AUTO(px_message) message = receive(socket);
    ck_assert_str_eq(message->msg_type, msg_type);
    expect_text(px_member(message->content, key), value);
}

// expect_greeting reads what the first subscriber hears first.
static void expect_greeting(px_socket *iopub)
{
    expect_type(iopub, "iopub_welcome", "subscription", "\"\"");
    expect_type(iopub, "status", "execution_state", "\"starting\"");
}

// take_request waits for the next request and begins it.
static px_request *take_request(void)
{
    unit_wait(px_mailbox_fd(&kernel.inbox), POLLIN);
    px_letter *letter = px_mailbox_take_one(&kernel.inbox);
    ck_assert_ptr_nonnull(letter);
    ck_assert_int_eq(letter->kind, PX_NOTICE_REQUEST);
    px_request *request = PX_CONTAINER(letter, px_request, letter);
    return request;
}

START_TEST(test_io__answers_kernel_info_with_its_statuses)
{
    start_kernel();
    px_socket *iopub = connect_to(PX_SUB, kernel.config.connection.iopub_port);
    expect_greeting(iopub);
    px_socket *control = connect_to(PX_DEALER, kernel.config.connection.control_port);
    send_type(control, "kernel_info_request", "{}");
    expect_type(control, "kernel_info_reply", "implementation_version", "\"9.1.2\"");
    expect_type(iopub, "status", "execution_state", "\"busy\"");
    expect_type(iopub, "status", "execution_state", "\"idle\"");
    px_socket_close(control);
    px_socket_close(iopub);
    stop_kernel();
}
END_TEST

START_TEST(test_io__welcomes_every_subscriber)
{
    start_kernel();
    for (int i = 0; i < 3; i++) {
        px_socket *iopub = connect_to(PX_SUB, kernel.config.connection.iopub_port);
        expect_type(iopub, "iopub_welcome", "subscription", "\"\"");
        if (i == 0) {
            expect_type(iopub, "status", "execution_state", "\"starting\"");
        }
        px_socket_close(iopub);
    }
    stop_kernel();
}
END_TEST

START_TEST(test_io__keeps_what_came_before_the_first_subscriber)
{
    start_kernel();
    px_socket *control = connect_to(PX_DEALER, kernel.config.connection.control_port);
    send_type(control, "kernel_info_request", "{}");
    expect_type(control, "kernel_info_reply", "implementation_version", "\"9.1.2\"");
    px_socket *iopub = connect_to(PX_SUB, kernel.config.connection.iopub_port);
    expect_greeting(iopub);
    expect_type(iopub, "status", "execution_state", "\"busy\"");
    expect_type(iopub, "status", "execution_state", "\"idle\"");
    px_socket *later = connect_to(PX_SUB, kernel.config.connection.iopub_port);
    expect_type(later, "iopub_welcome", "subscription", "\"\"");
    send_type(control, "kernel_info_request", "{}");
    expect_type(later, "status", "execution_state", "\"busy\"");
    px_socket_close(control);
    px_socket_close(iopub);
    px_socket_close(later);
    stop_kernel();
}
END_TEST

START_TEST(test_io__hands_requests_over_in_order)
{
    start_kernel();
    px_socket *shell = connect_to(PX_DEALER, kernel.config.connection.shell_port);
    char content[32];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(content, sizeof(content), "{\"code\":%d}", i);
        send_type(shell, "execute_request", content);
    }
    for (int i = 0; i < 100; i++) {
        px_request *request = take_request();
        ck_assert(px_waiting_begin(&kernel.waiting, request));
        (void)snprintf(content, sizeof(content), "{\"code\":%d}", i);
        expect_text(px_bytes_slice(request->parent->content), content);
        px_request_free(request);
    }
    px_socket_close(shell);
    stop_kernel();
}
END_TEST

START_TEST(test_io__drops_what_is_no_message_and_serves_on)
{
    start_kernel();
    px_log_setup(PX_LOG_OFF, 2);
    px_socket *shell = connect_to(PX_DEALER, kernel.config.connection.shell_port);
    PX_AUTO(px_session) stranger = NULL;
    ok(px_session_new(px_slice_str("another key"), NULL, NULL, NULL, &stranger, NULL));
    PX_AUTO_FRAMES forged = {0};
    PX_AUTO_FRAMES garbage = {0};
    PX_AUTO_FRAMES empty = {0};
    const px_outgoing message = {.msg_type = "shutdown_request"};
    ok(px_session_compose(stranger, &message, &forged));
    ok(px_socket_send(shell, &forged));
    unit_frames(&garbage, "\xff\xfe", "<IDS|MSG>", "", NULL);
    ok(px_socket_send(shell, &garbage));
    unit_frames(&empty, "", NULL);
    ok(px_socket_send(shell, &empty));
    send_type(shell, "kernel_info_request", "{}");
    expect_type(shell, "kernel_info_reply", "status", "\"ok\"");
    ck_assert_uint_eq(kernel.io->bad_messages.count, 3);
    ck_assert(!atomic_load(&kernel.exiting));
    px_socket_close(shell);
    stop_kernel();
}
END_TEST

START_TEST(test_io__sends_outputs_before_the_reply_that_follows)
{
    start_kernel();
    px_socket *iopub = connect_to(PX_SUB, kernel.config.connection.iopub_port);
    expect_greeting(iopub);
    px_socket *shell = connect_to(PX_DEALER, kernel.config.connection.shell_port);
    send_type(shell, "execute_request", "{\"code\":\"\"}");
    px_request *request = take_request();
    ck_assert(px_waiting_begin(&kernel.waiting, request));
    px_outbox_write(&kernel.outbox, request->parent, PX_STDOUT, px_slice_str("a\n\"\xff"));
    px_out *out = px_out_new(PX_OUT_PUBLISH, request->parent);
    (void)snprintf(out->msg_type, sizeof(out->msg_type), "display_data");
    ok(px_bytes_copy(px_slice_str("{\"data\":{}}"), &out->content));
    px_io_post(kernel.io, out);
    out = px_out_new(PX_OUT_REPLY, request->parent);
    out->channel = PX_SHELL;
    (void)snprintf(out->msg_type, sizeof(out->msg_type), "execute_reply");
    px_io_post(kernel.io, out);
    expect_type(iopub, "stream", "text", "\"a\\n\\\"\xef\xbf\xbd\"");
    expect_type(iopub, "display_data", "data", "{}");
    PX_AUTO(px_message) reply = receive(shell);
    ck_assert_str_eq(reply->msg_type, "execute_reply");
    ck_assert(px_slice_equal(reply->parent, px_bytes_slice(request->parent->header)));
    px_request_free(request);
    px_socket_close(shell);
    px_socket_close(iopub);
    stop_kernel();
}
END_TEST

static bool is_this(void *header, const px_parent *parent)
{
    return px_slice_equal(px_bytes_slice(parent->content), px_slice_str(header));
}

START_TEST(test_io__takes_a_waiting_request_back)
{
    char type[64];
    char second[] = "{\"code\":\"2\"}";
    start_kernel();
    px_socket *shell = connect_to(PX_DEALER, kernel.config.connection.shell_port);
    send_type(shell, "execute_request", "{\"code\":\"1\"}");
    send_type(shell, "execute_request", second);
    px_request *requests[2] = {take_request(), take_request()};
    px_parent *parent = px_waiting_take_back(&kernel.waiting, is_this, second, type);
    ck_assert_ptr_eq(parent, requests[1]->parent);
    ck_assert_str_eq(type, "execute_reply");
    px_parent_unref(parent);
    ck_assert(px_waiting_begin(&kernel.waiting, requests[0]));
    ck_assert(!px_waiting_begin(&kernel.waiting, requests[1]));
    ck_assert_ptr_null(px_waiting_take_back(&kernel.waiting, is_this, second, type));
    px_request_free(requests[0]);
    px_request_free(requests[1]);
    px_socket_close(shell);
    stop_kernel();
}
END_TEST

START_TEST(test_io__echoes_heartbeats)
{
    start_kernel();
    px_socket *hb = connect_to(PX_DEALER, kernel.config.connection.hb_port);
    PX_AUTO_FRAMES ping = {0};
    unit_frames(&ping, "", "ping", NULL);
    ok(px_socket_send(hb, &ping));
    arrival a = {.socket = hb};
    px_source *source = NULL;
    ok(px_loop_new(&a.loop));
    ok(px_loop_add_socket(a.loop, "hb", hb, arrived, &a, &source));
    ok(px_loop_run(a.loop));
    px_loop_free(a.loop);
    ck_assert_uint_eq(px_frames_count(&a.frames), 2);
    expect_text(px_frames_get(&a.frames, 1), "ping");
    px_frames_done(&a.frames);
    px_socket_close(hb);
    stop_kernel();
}
END_TEST

START_TEST(test_io__says_which_port_is_taken)
{
    start_kernel();
    px_kernel second = {.config = kernel.config};
    px_transport *transport = NULL;
    px_error error = {0};
    second.config.write_connection = false;
    second.config.remove_connection = false;
    ok(px_outbox_init(&second.outbox));
    ok(px_capture_init(&second.capture, &second.outbox, false));
    ok(px_transport_jupyter_new(&second.config, &transport));
    fails_with(PX_EADDRINUSE, px_io_start(&second, transport, &error));
    char port[16];
    (void)snprintf(port, sizeof(port), ":%u", kernel.config.connection.shell_port);
    ck_assert_msg(strstr(error.text, port) != NULL, "%s", error.text);
    px_capture_done(&second.capture);
    px_outbox_done(&second.outbox);
    stop_kernel();
}
END_TEST

UNIT_MAIN("kernel_io", test_io__answers_kernel_info_with_its_statuses,
          test_io__welcomes_every_subscriber, test_io__keeps_what_came_before_the_first_subscriber,
          test_io__hands_requests_over_in_order, test_io__drops_what_is_no_message_and_serves_on,
          test_io__sends_outputs_before_the_reply_that_follows,
          test_io__takes_a_waiting_request_back, test_io__echoes_heartbeats,
          test_io__says_which_port_is_taken)
