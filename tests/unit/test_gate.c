// gate and far: links over the network, through a proxy that cuts connections where it likes.
#include "controller/gate.h"
#include "unit.h"

#include "px/far.h"
#include "px/link.h"
#include "px/thread.h"
#include "px/time.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static const char key[] = "0123456789abcdef0123456789abcdef";

// The proxy: one thread, one connection at a time to each of what knocks.
enum { MOST = 8 };
typedef struct proxy {
    pthread_t thread;
    int listener, wake;
    uint16_t port, target;
    atomic_bool stop, cut;
    int pairs[MOST][2];
    size_t n;
    atomic_size_t carried;
    atomic_size_t budget; // bytes after which everything is cut; 0: never
} proxy;

static int listen_somewhere(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(fd, 64), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void cut_all(proxy *p)
{
    for (size_t i = 0; i < p->n; i++) {
        (void)close(p->pairs[i][0]);
        (void)close(p->pairs[i][1]);
    }
    p->n = 0;
}

// pass carries what one side has; false when it has ended.
static bool pass(proxy *p, int from, int to)
{
    char bytes[16384];
    ssize_t n = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n <= 0) {
        return false;
    }
    (void)atomic_fetch_add(&p->carried, (size_t)n);
    return send(to, bytes, (size_t)n, MSG_NOSIGNAL) == n;
}

static void *be_proxy(void *context)
{
    proxy *p = context;
    while (!atomic_load(&p->stop)) {
        struct pollfd fds[2 + 2 * MOST] = {{.fd = p->listener, .events = POLLIN},
                                           {.fd = p->wake, .events = POLLIN}};
        for (size_t i = 0; i < 2 * p->n; i++) {
            fds[2 + i] = (struct pollfd){.fd = p->pairs[i / 2][i % 2], .events = POLLIN};
        }
        (void)poll(fds, 2 + 2 * p->n, -1);
        size_t budget = atomic_load(&p->budget);
        if (atomic_exchange(&p->cut, false) || (budget != 0 && atomic_load(&p->carried) > budget)) {
            cut_all(p);
            atomic_store(&p->carried, 0);
            uint64_t count;
            (void)!read(p->wake, &count, fds[1].revents != 0 ? sizeof(count) : 0);
            continue;
        }
        for (size_t i = 0; i < 2 * p->n; i++) {
            if (fds[2 + i].revents != 0 &&
                !pass(p, p->pairs[i / 2][i % 2], p->pairs[i / 2][1 - i % 2])) {
                cut_all(p);
            }
        }
        if (fds[0].revents != 0 && p->n < MOST) {
            p->pairs[p->n][0] = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
            p->pairs[p->n][1] = connect_to(p->target);
            p->n++;
        }
    }
    cut_all(p);
    return NULL;
}

static void cut_now(proxy *p)
{
    uint64_t one = 1;
    atomic_store(&p->cut, true);
    ck_assert_int_eq((int)write(p->wake, &one, sizeof(one)), 8);
}

// A host with a gate; behind it a listener whose links the test reads itself.
typedef struct site {
    px_gate *gate;
    int listener;
    proxy proxy;
} site;

static void open_site(site *s, uint32_t lease_s)
{
    const char *path = unit_path("control.sock");
    *s = (site){0};
    ok(px_link_listen(path, &s->listener, NULL));
    const px_gate_config config = {.ip = "127.0.0.1",
                                   .name = "unit",
                                   .key = px_slice_str(key),
                                   .lease_s = lease_s,
                                   .control = path,
                                   .work = path};
    ok(px_gate_start(&config, &s->gate, NULL));
    s->proxy.target = px_gate_port(s->gate);
    s->proxy.listener = listen_somewhere(&s->proxy.port);
    s->proxy.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ok(px_thread_start(&s->proxy.thread, "proxy", be_proxy, &s->proxy));
}

static void close_site(site *s)
{
    atomic_store(&s->proxy.stop, true);
    cut_now(&s->proxy);
    ck_assert_int_eq(pthread_join(s->proxy.thread, NULL), 0);
    (void)close(s->proxy.listener);
    (void)close(s->proxy.wake);
    px_gate_stop(s->gate);
    (void)close(s->listener);
}

static px_far far_to(uint16_t port)
{
    return (px_far){.name = "unit",
                    .key = px_slice_str(key),
                    .addresses = "127.0.0.1",
                    .port = port,
                    .lease_s = 20,
                    .use = PX_TUNNEL_CONTROL,
                    .deadline = px_now() + 20 * PX_NS_PER_S};
}

static void join_up(site *s, px_link **ret_far, px_link **ret_near)
{
    const px_far far = far_to(s->proxy.port);
    px_error error = {0};
    px_err err = px_far_connect(&far, ret_far, &error);
    ck_assert_msg(err == PX_OK, "%s", error.text);
    unit_wait(s->listener, POLLIN);
    ok(px_link_accept(s->listener, PX_LINK_MAX_BYTES, ret_near));
}

static void receive(px_link *link, px_frames *ret_frames)
{
    px_err err;
    while ((err = px_link_recv(link, ret_frames)) == PX_EAGAIN) {
        unit_wait(px_link_fd(link), POLLIN);
        (void)px_link_flush(link);
    }
    ok(err);
}

static void ends(px_link *link)
{
    px_frames frames = {0};
    px_err err;
    while ((err = px_link_recv(link, &frames)) == PX_EAGAIN) {
        unit_wait(px_link_fd(link), POLLIN);
    }
    ck_assert_int_eq(err, PX_ECLOSED);
}

START_TEST(messages_cross)
{
    site s;
    px_link *far = NULL, *near = NULL;
    open_site(&s, 20);
    join_up(&s, &far, &near);
    ck_assert(px_link_is_far(far));
    ck_assert_int_eq(px_link_peer_pid(far), 0);
    ck_assert_int_eq(px_link_peer_pid(near), getpid());
    for (int i = 0; i < 2; i++) {
        PX_AUTO_FRAMES there = {0}, here = {0};
        unit_frames(&there, "to", "and fro", NULL);
        ok(px_link_send(i == 0 ? far : near, &there));
        receive(i == 0 ? near : far, &here);
        expect_text(px_frames_get(&here, 1), "and fro");
    }
    px_link_close(far);
    ends(near);
    px_link_close(near);
    close_site(&s);
}
END_TEST

START_TEST(the_last_words_arrive)
{
    site s;
    px_link *far = NULL, *near = NULL;
    open_site(&s, 20);
    join_up(&s, &far, &near);
    PX_AUTO_FRAMES words = {0}, heard = {0};
    unit_frames(&words, "last words", NULL);
    ok(px_link_send(far, &words));
    px_link_close(far);
    receive(near, &heard);
    expect_text(px_frames_get(&heard, 0), "last words");
    ends(near);
    px_link_close(near);
    close_site(&s);
}
END_TEST

// send_numbered sends messages first .. first + n - 1, each with its number and a body.
static void send_numbered(px_link *link, uint32_t first, uint32_t n)
{
    static uint8_t body[3000];
    for (uint32_t i = first; i < first + n; i++) {
        PX_AUTO_FRAMES frames = {0};
        unit_pattern(body, sizeof(body), i);
        ok(px_frames_push_copy(&frames, px_slice_of(&i, sizeof(i))));
        ok(px_frames_push_copy(&frames, px_slice_of(body, 1 + i * 7 % sizeof(body))));
        ok(px_link_send(link, &frames));
    }
}

static void receive_numbered(px_link *link, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n; i++) {
        PX_AUTO_FRAMES frames = {0};
        receive(link, &frames);
        uint32_t number;
        memcpy(&number, px_frames_get(&frames, 0).data, sizeof(number));
        ck_assert_uint_eq(number, i);
        ck_assert(unit_is_pattern(px_frames_get(&frames, 1), i));
    }
}

START_TEST(cuts_are_not_seen)
{
    site s;
    px_link *far = NULL, *near = NULL;
    open_site(&s, 20);
    join_up(&s, &far, &near);
    atomic_store(&s.proxy.carried, 0);
    atomic_store(&s.proxy.budget, 100000); // then all connections break, again and again
    for (uint32_t i = 0; i < 40; i++) {
        send_numbered(far, i * 20, 20);
        send_numbered(near, i * 20, 20);
        receive_numbered(near, i * 20, 20);
        receive_numbered(far, i * 20, 20);
    }
    px_link_close(near);
    ends(far);
    px_link_close(far);
    close_site(&s);
}
END_TEST

START_TEST(a_large_message_crosses)
{
    enum { SIZE = 40 << 20 };
    site s;
    px_link *far = NULL, *near = NULL;
    open_site(&s, 20);
    join_up(&s, &far, &near);
    PX_AUTO_FRAMES there = {0}, here = {0};
    uint8_t *data = NULL;
    px_bytes *bytes = NULL;
    ok(px_bytes_new(SIZE, &data, &bytes));
    unit_pattern(data, SIZE, 1);
    ok(px_frames_push(&there, bytes));
    ok(px_link_send(near, &there));
    px_err err;
    while ((err = px_link_recv(far, &here)) == PX_EAGAIN) {
        (void)px_link_flush(near);
        struct pollfd fds[2] = {
            {.fd = px_link_fd(far), .events = POLLIN},
            {.fd = px_link_fd(near), .events = px_link_wants_write(near) ? POLLOUT : 0}};
        ck_assert_int_gt(poll(fds, 2, 20000), 0);
    }
    ok(err);
    ck_assert(unit_is_pattern(px_frames_get(&here, 0), 1));
    px_link_close(far);
    px_link_close(near);
    close_site(&s);
}
END_TEST

START_TEST(another_key_is_refused_and_said)
{
    site s;
    px_link *link = NULL;
    px_error error = {0};
    open_site(&s, 20);
    px_far far = far_to(s.proxy.target);
    far.key = PX_SLICE_LITERAL("ffffffffffffffffffffffffffffffff");
    fails_with(PX_EPERM, px_far_connect(&far, &link, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "does not have the key"));
    far = far_to(s.proxy.target);
    far.name = "other";
    fails_with(PX_EPERM, px_far_connect(&far, &link, &error));
    far = far_to(s.proxy.target);
    far.key = PX_SLICE_LITERAL("");
    fails_with(PX_EINVAL, px_far_connect(&far, &link, &error));
    close_site(&s);
}
END_TEST

START_TEST(nobody_there_is_said)
{
    uint16_t port = 0;
    px_link *link = NULL;
    px_error error = {0};
    int fd = listen_somewhere(&port);
    (void)close(fd);
    const px_far far = far_to(port);
    fails_with(PX_EREFUSED, px_far_connect(&far, &link, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "cannot reach"));
}
END_TEST

START_TEST(a_stranger_at_the_same_address_is_passed_over)
{
    site s;
    px_link *link = NULL;
    px_error error = {0};
    open_site(&s, 20);
    px_far far = far_to(s.proxy.target);
    far.addresses = "127.0.0.2 no-such-host.invalid 127.0.0.1";
    px_err err = px_far_connect(&far, &link, &error);
    ck_assert_msg(err == PX_OK, "%s", error.text);
    px_link_close(link);
    close_site(&s);
}
END_TEST

START_TEST(a_gate_that_is_gone_ends_the_link)
{
    site s;
    px_link *far = NULL, *near = NULL;
    char why[512];
    open_site(&s, 20);
    px_far to = far_to(s.proxy.target);
    to.lease_s = 5;
    ok(px_far_connect(&to, &far, NULL));
    unit_wait(s.listener, POLLIN);
    ok(px_link_accept(s.listener, PX_LINK_MAX_BYTES, &near));
    px_gate_stop(s.gate); // nobody listens: refused for longer than a beat
    s.gate = NULL;
    ends(far);
    px_link_why(far, why, sizeof(why));
    ck_assert_ptr_nonnull(strstr(why, "cannot reach"));
    px_link_close(far);
    px_link_close(near);
    close_site(&s);
}
END_TEST

START_TEST(addresses_are_listed)
{
    char list[PX_FAR_ADDRESSES];
    px_gate_addresses("*", list, sizeof(list));
    ck_assert_int_gt((int)strlen(list), 0);
    px_gate_addresses("10.1.2.3", list, sizeof(list));
    ck_assert_str_eq(list, "10.1.2.3");
}
END_TEST

UNIT_MAIN("gate", messages_cross, the_last_words_arrive, cuts_are_not_seen, a_large_message_crosses,
          another_key_is_refused_and_said, nobody_there_is_said,
          a_stranger_at_the_same_address_is_passed_over, a_gate_that_is_gone_ends_the_link,
          addresses_are_listed)
