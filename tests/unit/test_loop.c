#include "unit.h"

#include "px/loop.h"
#include "px/socket.h"
#include "px/thread.h"

#include <sys/socket.h>
#include <unistd.h>

typedef struct witness {
    px_loop *loop;
    px_source *source;
    px_source *victim;
    px_timer *timer;
    int n_calls;
    int events;
    int fd;
    int stop_after;
    px_ns last;
} witness;

static void on_ready(void *context, int events)
{
    witness *w = context;
    char byte;

    w->n_calls++;
    w->events = events;
    if ((events & PX_READABLE) != 0) {
        (void)!read(w->fd, &byte, 1); // the events say the rest
    }
    if (w->n_calls == w->stop_after) {
        px_loop_stop(w->loop);
    }
}

START_TEST(test_loop__calls_for_readable_writable_and_hangup)
{
    px_loop *loop;
    int pair[2];
    witness w = {0};

    ok(px_loop_new(&loop));
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    w.fd = pair[0];
    ok(px_loop_add_fd(loop, "pair", pair[0], PX_READABLE, on_ready, &w, &w.source));
    ok(px_loop_once(loop, 0));
    ck_assert_int_eq(w.n_calls, 0);
    ck_assert_int_eq((int)write(pair[1], "ab", 2), 2);
    ok(px_loop_once(loop, -1));
    ok(px_loop_once(loop, -1)); // the second byte: level-triggered
    ck_assert_int_eq(w.n_calls, 2);
    ck_assert_int_eq(w.events, PX_READABLE);
    px_source_set_events(w.source, PX_READABLE | PX_WRITABLE);
    ok(px_loop_once(loop, -1));
    ck_assert_int_eq(w.events, PX_WRITABLE);
    px_source_set_events(w.source, 0);
    (void)close(pair[1]); // hangs up
    ok(px_loop_once(loop, 0));
    ck_assert_int_eq(w.n_calls, 3); // nothing wanted, nothing reported
    px_source_set_events(w.source, PX_READABLE);
    ok(px_loop_once(loop, -1));
    ck_assert_int_eq(w.events, PX_READABLE | PX_HANGUP);
    px_source_remove(w.source);
    px_source_remove(NULL);
    (void)close(pair[0]); // the end of the test
    px_loop_free(loop);
    px_loop_free(NULL);
}
END_TEST

static void remove_both(void *context, int events)
{
    witness *w = context;

    (void)events;
    w->n_calls++;
    px_source_remove(w->source);
    px_source_remove(w->victim);
    px_source_remove(w->victim); // twice does no harm
}

START_TEST(test_loop__what_a_callback_removes_is_not_called)
{
    px_loop *loop;
    int fds[2][2];
    witness first = {0};
    witness second = {0};

    ok(px_loop_new(&loop));
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pipe(fds[i]), 0);
        ck_assert_int_eq((int)write(fds[i][1], "x", 1), 1);
    }
    ok(px_loop_add_fd(loop, "one", fds[0][0], PX_READABLE, remove_both, &first, &first.source));
    ok(px_loop_add_fd(loop, "two", fds[1][0], PX_READABLE, remove_both, &second, &second.source));
    first.victim = second.source;
    second.victim = first.source;
    ok(px_loop_once(loop, -1));
    ok(px_loop_once(loop, 0));
    ck_assert_int_eq(first.n_calls + second.n_calls, 1);
    for (int i = 0; i < 4; i++) {
        (void)close(fds[i / 2][i % 2]); // the end of the test
    }
    px_loop_free(loop);
}
END_TEST

typedef struct mail {
    px_loop *loop;
    px_mailbox box;
    int next;
    int n_left;
} mail;

static void on_letter(void *context, px_letter *letter)
{
    mail *m = context;

    ck_assert_int_eq(letter->kind, m->next++);
    if (--m->n_left == 0) {
        px_loop_stop(m->loop);
    }
}

static void *post_letters(void *arg)
{
    mail *m = arg;
    static px_letter letters[1000];

    for (int i = 0; i < 1000; i++) {
        letters[i].kind = i;
        px_mailbox_post(&m->box, &letters[i]);
    }
    return NULL;
}

START_TEST(test_loop__delivers_letters_in_order)
{
    mail m = {.n_left = 1000};
    pthread_t thread;

    ok(px_loop_new(&m.loop));
    ok(px_mailbox_init(&m.box));
    ok(px_loop_add_mailbox(m.loop, "mail", &m.box, on_letter, &m));
    ok(px_thread_start(&thread, "poster", post_letters, &m));
    ok(px_loop_run(m.loop));
    ck_assert_int_eq(m.n_left, 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    px_loop_free(m.loop);
    px_mailbox_done(&m.box);
}
END_TEST

static void *stop_it(void *arg)
{
    px_loop_stop(arg);
    return NULL;
}

START_TEST(test_loop__stops_from_another_thread)
{
    px_loop *loop;
    pthread_t thread;

    ok(px_loop_new(&loop));
    for (int i = 0; i < 20; i++) {
        ok(px_thread_start(&thread, "stopper", stop_it, loop));
        ok(px_loop_run(loop));
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
    }
    px_loop_stop(loop); // before it runs
    ok(px_loop_run(loop));
    px_loop_free(loop);
}
END_TEST

static px_ns fired_at[8];
static unsigned n_fired; // wraps when there are many

static void on_fired(void *context, px_ns now)
{
    const int *which = context;

    ck_assert_uint_le(fired_at[*which], now);
    fired_at[*which] = now;
    n_fired = n_fired * 10 + (unsigned)*which;
}

START_TEST(test_loop__timers_fire_in_order_of_time)
{
    px_loop *loop;
    px_timer *timers[4];
    static const int numbers[] = {1, 2, 3, 4};
    px_ns now = px_now();

    ok(px_loop_new(&loop));
    n_fired = 0;
    for (int i = 0; i < 4; i++) {
        px_ns due = now + (px_ns)(4 - i) * PX_NS_PER_MS;
        ok(px_loop_add_timer(loop, "t", due, 0, on_fired, (void *)(uintptr_t)&numbers[i],
                             &timers[i]));
    }
    px_timer_remove(timers[2]);
    px_timer_remove(NULL);
    px_timer_set(timers[1], now);
    while (n_fired < 100) {
        ok(px_loop_once(loop, -1));
    }
    ck_assert_uint_eq(n_fired, 241);
    ck_assert_uint_ge(fired_at[1], now + 4 * PX_NS_PER_MS);
    px_timer_set(timers[0], 0); // one that has fired can be set again
    ok(px_loop_once(loop, -1));
    ck_assert_uint_eq(n_fired, 2411);
    px_loop_free(loop);
}
END_TEST

static void count_and_go_back(void *context, px_ns now)
{
    witness *w = context;

    (void)now;
    w->n_calls++;
    px_timer_set(w->timer, 0);
}

static void count_and_remove(void *context, px_ns now)
{
    witness *w = context;

    (void)now;
    if (++w->n_calls == 3) {
        px_timer_remove(w->timer);
    }
}

START_TEST(test_loop__a_timer_fires_once_a_round)
{
    px_loop *loop;
    witness eager = {0};
    witness modest = {0};

    ok(px_loop_new(&loop));
    ok(px_loop_add_timer(loop, "eager", 0, 0, count_and_go_back, &eager, &eager.timer));
    ok(px_loop_add_timer(loop, "modest", 0, 1, count_and_remove, &modest, &modest.timer));
    for (int i = 1; i <= 5; i++) {
        ok(px_loop_once(loop, -1));
        ck_assert_int_eq(eager.n_calls, i);
    }
    ck_assert_int_eq(modest.n_calls, 3);
    px_loop_free(loop);
}
END_TEST

START_TEST(test_loop__many_timers_stay_sorted)
{
    enum { N = 500 };
    px_loop *loop;
    px_timer *timers[N];
    static int number = 1;
    unsigned state = 12345;
    px_ns now = px_now();

    ok(px_loop_new(&loop));
    fired_at[1] = 0;
    for (int i = 0; i < N; i++) {
        state = state * 1103515245 + 12345;
        ok(px_loop_add_timer(loop, "t", now - state % 1000000, 0, on_fired, &number, &timers[i]));
    }
    for (int i = 0; i < N; i++) {
        state = state * 1103515245 + 12345;
        if (state % 3 == 0) {
            px_timer_remove(timers[i]);
        } else if (state % 3 == 1) {
            px_timer_set(timers[i], now + PX_NS_PER_S * (state >> 16));
        }
    }
    ok(px_loop_once(loop, 0)); // on_fired checks that time does not go back
    px_loop_free(loop);
}
END_TEST

static void on_socket(void *context, int events)
{
    witness *w = context;
    PX_AUTO_FRAMES frames = {0};
    px_socket *socket = (px_socket *)w->victim;

    ck_assert_int_eq(events, PX_READABLE);
    ok(px_socket_recv(socket, &frames)); // one only: the loop must call again for the rest
    ok(px_socket_send(socket, &frames)); // a send touches the socket's state too
    w->n_calls++;
    if (w->n_calls == w->stop_after) {
        px_loop_stop(w->loop);
    }
}

// on_socket_drain reads until there is nothing, as most callbacks do: from then on the loop does
// not ask this socket again by itself.
static void on_socket_drain(void *context, int events)
{
    witness *w = context;
    px_socket *socket = (px_socket *)w->victim;

    ck_assert_int_eq(events, PX_READABLE);
    for (;;) {
        PX_AUTO_FRAMES frames = {0};
        if (px_socket_recv(socket, &frames) != PX_OK) {
            return;
        }
        ok(px_socket_send(socket, &frames));
        if (++w->n_calls == w->stop_after) {
            px_loop_stop(w->loop);
        }
    }
}

typedef struct talker {
    px_context *context;
    const char *address;
    int n;
} talker;

static void *talk(void *arg)
{
    talker *t = arg;
    px_socket *socket;

    ok(px_socket_open(t->context, PX_DEALER, &socket));
    ok(px_socket_connect(socket, t->address, NULL));
    for (int i = 0; i < t->n; i++) {
        PX_AUTO_FRAMES frames = {0};
        unit_frames(&frames, "hello", NULL);
        ok(px_socket_send(socket, &frames));
        // Sometimes many at once, sometimes one by one.
        for (int expected = i % 3 == 0 ? 0 : (i % 3 == 2 ? 2 : 0); expected > 0;) {
            PX_AUTO_FRAMES answer = {0};
            px_err err = px_socket_recv(socket, &answer);
            expected -= err == PX_OK ? 1 : 0;
        }
    }
    px_socket_close(socket);
    return NULL;
}

static void serve_all(px_ready *ready)
{
    px_loop *loop;
    px_socket *router;
    witness w = {0};
    talker t = {.address = "inproc://unit", .n = 3000};
    pthread_t thread;

    ok(px_loop_new(&loop));
    ok(px_context_new(&t.context));
    ok(px_socket_open(t.context, PX_ROUTER, &router));
    ok(px_socket_bind(router, t.address, NULL, NULL));
    w = (witness){.loop = loop, .victim = (px_source *)(void *)router, .stop_after = t.n};
    ok(px_loop_add_socket(loop, "router", router, ready, &w, &w.source));
    ok(px_thread_start(&thread, "talker", talk, &t));
    ok(px_loop_run(loop));
    ck_assert_int_eq(w.n_calls, t.n);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    px_source_remove(w.source);
    px_socket_close(router);
    px_context_free(t.context);
    px_loop_free(loop);
}

START_TEST(test_loop__never_misses_a_zeromq_message)
{
    serve_all(on_socket);
    serve_all(on_socket_drain);
}
END_TEST

static void on_writable(void *context, int events)
{
    witness *w = context;

    ck_assert_int_eq(events, PX_WRITABLE);
    w->n_calls++;
}

START_TEST(test_loop__finds_a_socket_writable_when_that_is_asked_for_later)
{
    px_loop *loop;
    px_context *context;
    px_socket *dealer;
    px_socket *router;
    witness w = {0};

    ok(px_loop_new(&loop));
    ok(px_context_new(&context));
    ok(px_socket_open(context, PX_ROUTER, &router));
    ok(px_socket_bind(router, "inproc://unit", NULL, NULL));
    ok(px_socket_open(context, PX_DEALER, &dealer));
    ok(px_socket_connect(dealer, "inproc://unit", NULL));
    w = (witness){.loop = loop, .fd = -1, .stop_after = 1};
    ok(px_loop_add_socket(loop, "dealer", dealer, on_writable, &w, &w.source));
    for (int i = 0; i < 3; i++) {
        ok(px_loop_once(loop, 0)); // it is writable, nobody wants to know, and it comes to rest
    }
    ck_assert_int_eq(w.n_calls, 0);
    px_source_set_events(w.source, PX_WRITABLE);
    ok(px_loop_once(loop, -1));
    ck_assert_int_eq(w.n_calls, 1);
    px_source_remove(w.source);
    px_socket_close(dealer);
    px_socket_close(router);
    px_context_free(context);
    px_loop_free(loop);
}
END_TEST

UNIT_MAIN("loop", test_loop__calls_for_readable_writable_and_hangup,
          test_loop__what_a_callback_removes_is_not_called, test_loop__delivers_letters_in_order,
          test_loop__stops_from_another_thread, test_loop__timers_fire_in_order_of_time,
          test_loop__a_timer_fires_once_a_round, test_loop__many_timers_stay_sorted,
          test_loop__never_misses_a_zeromq_message,
          test_loop__finds_a_socket_writable_when_that_is_asked_for_later)
