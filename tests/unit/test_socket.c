#include "unit.h"

#include "px/socket.h"
#include "px/time.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static px_context *context;

static px_socket *opened(px_socket_kind kind)
{
    px_socket *socket = NULL;
    ok(px_socket_open(context, kind, &socket));
    return socket;
}

// Receives, waiting for it.
static void receive(px_socket *socket, px_frames *frames)
{
    px_ns end = px_now() + 10 * PX_NS_PER_S;
    px_err err;

    while ((err = px_socket_recv(socket, frames)) == PX_EAGAIN) {
        ck_assert_uint_lt(px_now(), end);
        (void)poll(NULL, 0, 1); // ZeroMQ's descriptor would need the loop
    }
    ok(err);
}

static uint16_t bound(px_socket *socket)
{
    uint16_t port = 0;
    ok(px_socket_bind(socket, "tcp://127.0.0.1:*", &port, NULL));
    ck_assert_uint_gt(port, 0);
    return port;
}

static const char *address_of(uint16_t port)
{
    static char address[64];
    (void)snprintf(address, sizeof(address), "tcp://127.0.0.1:%u", port); // fits
    return address;
}

START_TEST(test_socket__request_and_reply_keep_frames_and_sizes)
{
    static uint8_t big[1 << 20];
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO_FRAMES received = {0};
    PX_AUTO_FRAMES answer = {0};

    ok(px_context_new(&context));
    px_socket *router = opened(PX_ROUTER);
    px_socket *dealer = opened(PX_DEALER);
    ok(px_socket_set_identity(dealer, PX_SLICE_LITERAL("me")));
    ok(px_socket_connect(dealer, address_of(bound(router)), NULL));
    unit_pattern(big, sizeof(big), 3);
    unit_frames(&frames, "", "small", NULL);
    ok(px_frames_push_copy(&frames, px_slice_of(big, sizeof(big))));
    ok(px_socket_send(dealer, &frames));
    receive(router, &received);
    ck_assert_uint_eq(received.n, 4);
    expect_text(px_frames_get(&received, 0), "me");
    expect_text(px_frames_get(&received, 1), "");
    expect_text(px_frames_get(&received, 2), "small");
    ck_assert_uint_eq(px_frames_get(&received, 3).size, sizeof(big));
    ck_assert(unit_is_pattern(px_frames_get(&received, 3), 3));
    ok(px_socket_send(router, &received)); // bodies that ZeroMQ lent us go back to it
    receive(dealer, &answer);
    ck_assert_uint_eq(answer.n, 3);
    ck_assert(unit_is_pattern(px_frames_get(&answer, 2), 3));
    fails_with(PX_EAGAIN, px_socket_recv(router, &frames));
    px_socket_close(dealer);
    px_socket_close(router);
    px_context_free(context);
}
END_TEST

START_TEST(test_socket__a_peer_that_is_gone_is_no_error)
{
    PX_AUTO_FRAMES frames = {0};

    ok(px_context_new(&context));
    px_socket *router = opened(PX_ROUTER);
    (void)bound(router);
    unit_frames(&frames, "nobody", "text", NULL);
    ok(px_socket_send(router, &frames));
    px_socket *publisher = opened(PX_XPUB);
    (void)bound(publisher);
    ok(px_socket_send(publisher, &frames));
    px_socket_close(router);
    px_socket_close(publisher);
    px_context_free(context);
}
END_TEST

START_TEST(test_socket__every_subscription_is_seen)
{
    ok(px_context_new(&context));
    px_socket *publisher = opened(PX_XPUB);
    const char *address = address_of(bound(publisher));
    px_socket *subscribers[2];

    for (int i = 0; i < 2; i++) { // verbose: the second one, too
        PX_AUTO_FRAMES frames = {0};
        subscribers[i] = opened(PX_SUB);
        ok(px_socket_subscribe(subscribers[i], PX_SLICE_LITERAL("t")));
        ok(px_socket_connect(subscribers[i], address, NULL));
        receive(publisher, &frames);
        ck_assert_uint_eq(frames.n, 1);
        ck_assert_mem_eq(px_frames_get(&frames, 0).data, "\1t", 2);
    }
    for (int i = 0; i < 2; i++) {
        PX_AUTO_FRAMES sent = {0};
        PX_AUTO_FRAMES frames = {0};
        if (i == 0) {
            unit_frames(&sent, "topic", "body", NULL);
            ok(px_socket_send(publisher, &sent));
        }
        receive(subscribers[i], &frames);
        expect_text(px_frames_get(&frames, 1), "body");
        px_socket_close(subscribers[i]);
    }
    px_socket_close(publisher);
    px_context_free(context);
}
END_TEST

START_TEST(test_socket__curve_carries_messages)
{
    px_curve_keys keys;
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO_FRAMES received = {0};

    ok(px_curve_new(&keys));
    ok(px_context_new(&context));
    px_socket *router = opened(PX_ROUTER);
    px_socket *dealer = opened(PX_DEALER);
    px_socket *plain = opened(PX_DEALER);
    ok(px_socket_use_curve_server(router, NULL));
    ok(px_socket_use_curve_server(router, &keys));
    ok(px_socket_use_curve_client(dealer, &keys, keys.publickey));
    const char *address = address_of(bound(router));
    ok(px_socket_connect(plain, address, NULL)); // is refused: its message never comes
    unit_frames(&frames, "secret", NULL);
    ok(px_socket_send(plain, &frames));
    ok(px_socket_connect(dealer, address, NULL));
    ok(px_socket_send(dealer, &frames));
    receive(router, &received);
    expect_text(px_frames_get(&received, 1), "secret");
    px_frames_done(&received);
    fails_with(PX_EAGAIN, px_socket_recv(router, &received));
    px_socket_close(plain);
    px_socket_close(dealer);
    px_socket_close(router);
    px_context_free(context);
}
END_TEST

START_TEST(test_socket__failures_are_said)
{
    px_error error;
    px_curve_keys bad = {"short", "short"};

    ok(px_context_new(&context));
    px_socket *one = opened(PX_ROUTER);
    px_socket *two = opened(PX_ROUTER);
    const char *address = address_of(bound(one));
    fails_with(PX_EADDRINUSE, px_socket_bind(two, address, NULL, &error));
    ck_assert_ptr_nonnull(strstr(error.text, address));
    ck_assert_int_ne(px_socket_bind(two, "nonsense", NULL, &error), PX_OK);
    ck_assert_int_ne(px_socket_connect(two, "tcp://", &error), PX_OK);
    fails_with(PX_EINVAL, px_socket_use_curve_server(two, &bad));
    ck_assert_int_eq(px_socket_events(one) & 1, 0);
    px_socket_close(one);
    px_socket_close(two);
    px_socket_close(NULL);
    px_context_free(context);
    px_context_free(NULL);
}
END_TEST

START_TEST(test_socket__binds_ipc_paths)
{
    char address[600];
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO_FRAMES received = {0};
    uint16_t port = 7;

    (void)snprintf(address, sizeof(address), "ipc://%s", unit_path("socket-1")); // fits
    ok(px_context_new(&context));
    px_socket *router = opened(PX_ROUTER);
    px_socket *dealer = opened(PX_DEALER);
    ok(px_socket_bind(router, address, &port, NULL));
    ck_assert_uint_eq(port, 0);
    ok(px_socket_connect(dealer, address, NULL));
    unit_frames(&frames, "x", NULL);
    ok(px_socket_send(dealer, &frames));
    receive(router, &received);
    ck_assert_uint_eq(received.n, 2);
    px_socket_close(dealer);
    px_socket_close(router);
    px_context_free(context);
}
END_TEST

UNIT_MAIN("socket", test_socket__request_and_reply_keep_frames_and_sizes,
          test_socket__a_peer_that_is_gone_is_no_error, test_socket__every_subscription_is_seen,
          test_socket__curve_carries_messages, test_socket__failures_are_said,
          test_socket__binds_ipc_paths)
