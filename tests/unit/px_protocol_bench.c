// What a message costs: composing, verifying, a round trip over a link, a letter through a mailbox.
// Prints microseconds; the machine decides, so nothing is asserted.
#include "px/link.h"
#include "px/session.h"
#include "px/thread.h"
#include "px/time.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_MESSAGES 200000
#define N_TRIPS 50000

// Ends the program: a benchmark has nobody to report to.
static void must(px_err err)
{
    if (err != PX_OK) {
        (void)fprintf(stderr, "px_protocol_bench: %s\n", px_err_text(err));
        abort();
    }
}

static double us_each(px_ns since, int n)
{
    return (double)(px_now() - since) / 1000.0 / n;
}

static void bench_session(void)
{
    PX_AUTO(px_session) session = NULL;
    static px_frames sample[1000];
    static const char parent[] =
        "{\"msg_id\":\"0d2f5a3e-17b8c4d2e9f60a1b2c3d4e5f_12345_678\",\"msg_type\":"
        "\"execute_request\",\"username\":\"username\",\"session\":\"0d2f5a3e-17b8c4d2e9f60a1b2c\","
        "\"date\":\"2026-01-31T12:34:56.789012Z\",\"version\":\"5.4\"}";
    const px_outgoing outgoing = {
        .msg_type = "stream",
        .parent = px_slice_str(parent),
        .content = PX_SLICE_LITERAL("{\"name\":\"stdout\",\"text\":\"hello, world\\n\"}")};
    double compose_us = 0;
    double verify_us = 0;

    must(px_session_new(PX_SLICE_LITERAL("a0436f6c-1916-498b-8eb9-e81ab9368e84"), "hmac-sha256",
                        NULL, NULL, &session, NULL));
    for (int round = 0; round < N_MESSAGES / 1000; round++) {
        px_ns start = px_now();
        for (int i = 0; i < 1000; i++) {
            must(px_session_compose(session, &outgoing, &sample[i]));
        }
        compose_us += us_each(start, N_MESSAGES);
        start = px_now();
        for (int i = 0; i < 1000; i++) {
            px_message *message = NULL;
            must(px_session_verify(session, &sample[i], true, &message, NULL));
            px_message_free(message);
        }
        verify_us += us_each(start, N_MESSAGES);
    }
    printf("compose              %8.2f us\nverify and free      %8.2f us\n", compose_us, verify_us);
}

static void receive(px_link *link, px_frames *frames)
{
    px_err err;

    while ((err = px_link_recv(link, frames)) == PX_EAGAIN) {
        struct pollfd item = {.fd = px_link_fd(link), .events = POLLIN};
        if (px_link_wants_write(link)) {
            item.events |= POLLOUT;
        }
        (void)poll(&item, 1, -1); // the next receive tells
        if ((item.revents & POLLOUT) != 0) {
            (void)px_link_flush(link); // the next receive tells
        }
    }
    must(err);
}

static void *echo(void *arg)
{
    px_link *link = arg;

    for (;;) {
        PX_AUTO_FRAMES frames = {0};
        px_err err;
        while ((err = px_link_recv(link, &frames)) == PX_EAGAIN) {
            struct pollfd item = {.fd = px_link_fd(link), .events = POLLIN};
            item.events |= px_link_wants_write(link) ? POLLOUT : 0;
            (void)poll(&item, 1, -1);  // the next receive tells
            (void)px_link_flush(link); // the next receive tells
        }
        if (err != PX_OK || px_link_send(link, &frames) != PX_OK) {
            return NULL;
        }
    }
}

static void fill(px_frames *frames, size_t body_size)
{
    static uint8_t body[64 << 20];
    static const size_t sizes[] = {28, 9, 64, 220, 210, 2, 60};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        must(px_frames_push_copy(frames, px_slice_of(body, sizes[i])));
    }
    if (body_size != 0) {
        memset(body, 1, body_size);
        must(px_frames_push_copy(frames, px_slice_of(body, body_size)));
    }
}

static void bench_link(size_t body_size, int n_trips, int window)
{
    int pair[2];
    px_link *links[2];
    pthread_t thread;
    PX_AUTO_FRAMES frames = {0};

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0) {
        must(PX_ESYS);
    }
    must(px_link_adopt(pair[0], PX_LINK_MAX_BYTES, &links[0]));
    must(px_link_adopt(pair[1], PX_LINK_MAX_BYTES, &links[1]));
    must(px_thread_start(&thread, "echo", echo, links[1]));
    fill(&frames, body_size);
    px_ns start = px_now();
    for (int sent = 0, received = 0; received < n_trips;) {
        while (sent < n_trips && sent - received < window) {
            must(px_link_send(links[0], &frames));
            sent++;
        }
        PX_AUTO_FRAMES answer = {0};
        receive(links[0], &answer);
        received++;
    }
    double us = us_each(start, n_trips);
    printf("link trip %8zu B, window %4d %8.2f us", body_size, window, us);
    if (body_size != 0) {
        printf("  %6.2f GB/s each way", (double)body_size / us / 1000.0);
    }
    printf("\n");
    px_link_shutdown(links[0]);
    (void)pthread_join(thread, NULL); // it ends with the connection
    px_link_close(links[0]);
    px_link_close(links[1]);
}

int main(void)
{
    bench_session();
    bench_link(0, N_TRIPS, 1);
    bench_link(0, 4 * N_TRIPS, 256);
    bench_link(1000, N_TRIPS, 1);
    bench_link((size_t)1 << 20, 500, 1);
    bench_link((size_t)64 << 20, 10, 1);
    return 0;
}
