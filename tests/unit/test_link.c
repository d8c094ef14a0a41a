#include "unit.h"

#include "px/link.h"
#include "px/thread.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static px_link *links[2];

static void make_pair(void)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    for (int i = 0; i < 2; i++) {
        ok(px_link_adopt(pair[i], PX_LINK_MAX_BYTES, &links[i]));
    }
}

static void close_pair(void)
{
    px_link_close(links[0]);
    px_link_close(links[1]);
}

// Receives, waiting for it; the other end is flushed meanwhile.
static px_err receive(px_link *link, px_link *other, px_frames *frames)
{
    for (;;) {
        px_err err = px_link_recv(link, frames);
        if (err != PX_EAGAIN) {
            return err;
        }
        if (other != NULL && px_link_wants_write(other)) {
            px_err flushed = px_link_flush(other);
            ck_assert(flushed == PX_OK || flushed == PX_EAGAIN);
        }
        unit_wait(px_link_fd(link), POLLIN);
    }
}

// Message i of many: up to 20 frames, none or all of which are large.
static size_t frame_size(unsigned i, unsigned k)
{
    return (size_t)(i * k) % 700 + (i % 7 == 3 ? 3000 : 0);
}

static void send_message(unsigned i, px_err (*how)(px_link *link, const px_frames *frames))
{
    PX_AUTO_FRAMES frames = {0};
    for (unsigned k = 0; k <= i % 20; k++) {
        uint8_t *data;
        px_bytes *bytes;
        size_t size = frame_size(i, k);
        ok(px_bytes_new(size, &data, &bytes));
        unit_pattern(data, size, i + k);
        ok(px_frames_push(&frames, bytes));
    }
    ok(how(links[0], &frames));
}

static void expect_message(unsigned i, px_frames *frames)
{
    ok(receive(links[1], links[0], frames));
    ck_assert_uint_eq(frames->n, i % 20 + 1);
    for (unsigned k = 0; k < frames->n; k++) {
        ck_assert_uint_eq(px_frames_get(frames, k).size, frame_size(i, k));
        ck_assert(unit_is_pattern(px_frames_get(frames, k), i + k));
    }
}

static void exchange(px_err (*how)(px_link *link, const px_frames *frames))
{
    enum { MESSAGES = 2000 };
    make_pair();
    for (unsigned i = 0; i < MESSAGES; i++) {
        send_message(i, how);
    }
    ok(px_link_push(links[0]));
    ck_assert_uint_gt(px_link_queued(links[0]), 0); // the socket does not take that much
    for (unsigned i = 0; i < MESSAGES; i++) {
        PX_AUTO_FRAMES frames = {0};
        expect_message(i, &frames);
    }
    ck_assert_uint_eq(px_link_queued(links[0]), 0);
    close_pair();
}

START_TEST(test_link__messages_arrive_whole_and_in_order)
{
    exchange(px_link_send);
    exchange(px_link_send_later);
}
END_TEST

START_TEST(test_link__a_frame_outlives_its_message)
{
    enum { MESSAGES = 300 };
    PX_AUTO_FRAMES some = {0};
    make_pair();
    for (unsigned i = 0; i < MESSAGES; i++) {
        PX_AUTO_FRAMES frames = {0};
        send_message(i, px_link_send);
        expect_message(i, &frames);
        ok(px_frames_share(&some, &frames, i % 20 / 2, 1));
    }
    for (unsigned i = 0; i < MESSAGES; i++) {
        ck_assert(unit_is_pattern(px_frames_get(&some, i), i + i % 20 / 2));
    }
    close_pair();
}
END_TEST

START_TEST(test_link__large_frames_are_queued_by_reference)
{
    enum { SIZE = 20 << 20 };
    PX_AUTO_FRAMES frames = {0};
    uint8_t *data;
    px_bytes *bytes;

    make_pair();
    ok(px_bytes_new(SIZE, &data, &bytes));
    unit_pattern(data, SIZE, 9);
    unit_frames(&frames, "before", NULL);
    ok(px_frames_push(&frames, bytes));
    unit_frames(&frames, "after", "", NULL);
    ok(px_link_send(links[0], &frames));
    ck_assert(px_link_wants_write(links[0]));
    ck_assert_uint_gt(px_link_queued(links[0]), SIZE / 2);
    ok(px_link_send(links[0], &frames)); // the same bytes once more: queued behind
    px_frames_done(&frames);
    for (int i = 0; i < 2; i++) {
        PX_AUTO_FRAMES received = {0};
        ok(receive(links[1], links[0], &received));
        ck_assert_uint_eq(received.n, 4);
        expect_text(px_frames_get(&received, 0), "before");
        ck_assert_uint_eq(px_frames_get(&received, 1).size, SIZE);
        ck_assert(unit_is_pattern(px_frames_get(&received, 1), 9));
        expect_text(px_frames_get(&received, 2), "after");
        ck_assert_uint_eq(px_frames_get(&received, 3).size, 0);
    }
    ck_assert_uint_eq(px_link_queued(links[0]), 0);
    ck_assert(!px_link_wants_write(links[0]));
    close_pair();
}
END_TEST

static void put(uint8_t *wire, uint64_t number, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++) {
        wire[i] = (uint8_t)(number >> (8 * i));
    }
}

static size_t write_head(uint8_t *wire, uint32_t n, const uint64_t *sizes)
{
    put(wire, 0x314c5850, 4); // PXL1
    put(wire + 4, n, 4);
    for (uint32_t i = 0; i < n; i++) {
        put(wire + 8 + 8 * i, sizes[i], 8);
    }
    return 8 + 8 * (size_t)n;
}

// A link and a bare socket at its other end.
static int raw_end(uint64_t max_bytes)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    ok(px_link_adopt(pair[0], max_bytes, &links[0]));
    return pair[1];
}

START_TEST(test_link__takes_one_byte_at_a_time)
{
    const uint64_t sizes[] = {3, 0, 5};
    uint8_t wire[64];
    PX_AUTO_FRAMES frames = {0};
    int fd = raw_end(100);
    size_t size = write_head(wire, 3, sizes);

    for (size_t i = 0; i < 8; i++) {
        wire[size + i] = (uint8_t)("abcdefgh"[i]);
    }
    size += 8;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < size; i++) {
            fails_with(PX_EAGAIN, px_link_recv(links[0], &frames));
            ck_assert_int_eq((int)write(fd, wire + i, 1), 1);
        }
        ok(receive(links[0], NULL, &frames));
        ck_assert_uint_eq(frames.n, 3);
        expect_text(px_frames_get(&frames, 0), "abc");
        expect_text(px_frames_get(&frames, 1), "");
        expect_text(px_frames_get(&frames, 2), "defgh");
        px_frames_done(&frames);
    }
    (void)close(fd); // the end of the peer
    fails_with(PX_ECLOSED, receive(links[0], NULL, &frames));
    px_link_close(links[0]);
}
END_TEST

START_TEST(test_link__every_way_to_cut_is_put_together)
{
    // Sizes around the limits of the receiving buffer.
    const uint64_t sizes[] = {1, 8191, 8192, 65535, 65536, 65537, 3, 200000};
    size_t total = 0;
    for (int i = 0; i < 8; i++) {
        total += sizes[i];
    }
    uint8_t *wire = malloc(72 + total);
    ck_assert_ptr_nonnull(wire);
    size_t head = write_head(wire, 8, sizes);
    size_t at = head;
    for (unsigned i = 0; i < 8; i++) {
        unit_pattern(wire + at, sizes[i], i);
        at += sizes[i];
    }
    static const size_t steps[] = {1000, 4096, 8192, 8193, 65536, 100000};
    for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
        PX_AUTO_FRAMES frames = {0};
        int fd = raw_end(PX_LINK_MAX_BYTES);
        px_err err = PX_EAGAIN;
        for (size_t from = 0; from < head + total;) {
            size_t want = from + steps[s] < head + total ? steps[s] : head + total - from;
            ssize_t written = write(fd, wire + from, want);
            from += written > 0 ? (size_t)written : 0;
            while (from < head + total && (err = px_link_recv(links[0], &frames)) == PX_OK) {
                ck_abort_msg("a message before its end");
            }
            ck_assert_int_eq(err, PX_EAGAIN);
        }
        ok(receive(links[0], NULL, &frames));
        for (unsigned i = 0; i < 8; i++) {
            ck_assert_uint_eq(px_frames_get(&frames, i).size, sizes[i]);
            ck_assert(unit_is_pattern(px_frames_get(&frames, i), i));
        }
        (void)close(fd); // the end of the peer
        px_link_close(links[0]);
    }
    free(wire);
}
END_TEST

static void expect_garbage(const uint8_t *wire, size_t size, px_err expected)
{
    PX_AUTO_FRAMES frames = {0};
    int fd = raw_end(1000);

    ck_assert_int_eq((int)write(fd, wire, size), (int)size);
    fails_with(expected, px_link_recv(links[0], &frames));
    (void)close(fd); // the end of the peer
    px_link_close(links[0]);
}

START_TEST(test_link__garbage_is_refused_before_memory_is_taken)
{
    uint8_t wire[8 + 8 * 2000];
    uint64_t sizes[2000] = {0};

    memset(wire, 0xff, sizeof(wire));
    expect_garbage(wire, sizeof(wire), PX_EFORMAT);
    expect_garbage((const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18, PX_EFORMAT);
    expect_garbage(wire, write_head(wire, 0, sizes), PX_EFORMAT);
    expect_garbage(wire, write_head(wire, PX_LINK_MAX_FRAMES + 1, sizes), PX_EFORMAT);
    sizes[0] = 1001;
    expect_garbage(wire, write_head(wire, 1, sizes), PX_EFORMAT);
    sizes[0] = UINT64_MAX;
    expect_garbage(wire, write_head(wire, 1, sizes), PX_EFORMAT);
    sizes[1] = 2; // the sum overflows
    expect_garbage(wire, write_head(wire, 2, sizes), PX_EFORMAT);
    sizes[0] = 1000;
    sizes[1] = 0;
    expect_garbage(wire, write_head(wire, 2, sizes), PX_EAGAIN); // just allowed
}
END_TEST

START_TEST(test_link__limit_can_be_raised)
{
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO_FRAMES received = {0};

    make_pair();
    px_link_set_limit(links[1], 3);
    unit_frames(&frames, "four", NULL);
    ok(px_link_send(links[0], &frames));
    fails_with(PX_EFORMAT, receive(links[1], NULL, &received));
    close_pair();
    make_pair();
    px_link_set_limit(links[1], 4);
    ok(px_link_send(links[0], &frames));
    ok(receive(links[1], NULL, &received));
    close_pair();
}
END_TEST

START_TEST(test_link__end_of_the_peer_comes_after_its_last_message)
{
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO_FRAMES received = {0};

    make_pair();
    unit_frames(&frames, "last words", NULL);
    ok(px_link_send(links[0], &frames));
    px_link_close(links[0]);
    ck_assert_int_eq(px_link_send(links[1], &frames), PX_ECLOSED); // no SIGPIPE
    ck_assert_int_eq(px_link_send(links[1], &frames), PX_ECLOSED);
    ok(receive(links[1], NULL, &received));
    expect_text(px_frames_get(&received, 0), "last words");
    px_frames_done(&received);
    fails_with(PX_ECLOSED, receive(links[1], NULL, &received));
    fails_with(PX_ECLOSED, px_link_flush(links[1]));
    px_link_close(links[1]);
    px_link_close(NULL);
}
END_TEST

START_TEST(test_link__killed_peer_is_seen_at_once)
{
    PX_AUTO_FRAMES frames = {0};
    int pair[2];
    int status = 0;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)close(pair[0]); // the parent's end
        for (;;) {
            (void)pause(); // until it is killed
        }
    }
    (void)close(pair[1]); // the child's end
    ok(px_link_adopt(pair[0], PX_LINK_MAX_BYTES, &links[0]));
    fails_with(PX_EAGAIN, px_link_recv(links[0], &frames));
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    fails_with(PX_ECLOSED, receive(links[0], NULL, &frames));
    px_link_close(links[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
}
END_TEST

#define N_SENDERS 4
#define N_EACH 2000

typedef struct sender {
    int number;
} sender;

static atomic_int n_wakes;

static void count_wake(void *context)
{
    ck_assert_ptr_eq(context, &n_wakes);
    atomic_fetch_add(&n_wakes, 1);
}

static void *send_many(void *arg)
{
    const sender *s = arg;

    for (unsigned i = 0; i < N_EACH; i++) {
        PX_AUTO_FRAMES frames = {0};
        uint8_t *data;
        px_bytes *bytes;
        size_t size = 8 + i % 500;
        ok(px_bytes_new(size, &data, &bytes));
        memset(data, s->number, size);
        put(data, i, 4);
        ok(px_frames_push(&frames, bytes));
        unit_frames(&frames, "tail", NULL);
        ok(px_link_send(links[0], &frames));
    }
    return NULL;
}

static void check_order(const px_frames *frames, unsigned next[N_SENDERS])
{
    px_slice body = px_frames_get(frames, 0);
    unsigned number = body.data[body.size - 1];
    unsigned i = body.data[0] | (unsigned)body.data[1] << 8;

    ck_assert_uint_lt(number, N_SENDERS);
    ck_assert_uint_eq(i, next[number]++);
    ck_assert_uint_eq(body.size, 8 + i % 500);
    expect_text(px_frames_get(frames, 1), "tail");
}

// The owner of the sending end: it only flushes.
static void *flush_until_done(void *arg)
{
    atomic_bool *done = arg;

    while (!atomic_load(done)) {
        struct pollfd item = {.fd = px_link_fd(links[0]), .events = POLLOUT};
        if (px_link_wants_write(links[0]) && poll(&item, 1, 100) == 1) {
            px_err err = px_link_flush(links[0]);
            ck_assert(err == PX_OK || err == PX_EAGAIN);
        }
    }
    return NULL;
}

START_TEST(test_link__many_threads_send_whole_messages)
{
    sender senders[N_SENDERS];
    pthread_t threads[N_SENDERS + 1];
    unsigned next[N_SENDERS] = {0};
    atomic_bool done = false;

    make_pair();
    px_link_set_wake(links[0], count_wake, &n_wakes);
    for (int t = 0; t < N_SENDERS; t++) {
        senders[t].number = t;
        ok(px_thread_start(&threads[t], "sender", send_many, &senders[t]));
    }
    ok(px_thread_start(&threads[N_SENDERS], "flusher", flush_until_done, &done));
    for (int i = 0; i < N_SENDERS * N_EACH; i++) {
        PX_AUTO_FRAMES frames = {0};
        ok(receive(links[1], NULL, &frames));
        check_order(&frames, next);
    }
    atomic_store(&done, true);
    for (int t = 0; t <= N_SENDERS; t++) {
        ck_assert_int_eq(pthread_join(threads[t], NULL), 0);
    }
    ck_assert_uint_eq(px_link_queued(links[0]), 0);
    close_pair();
}
END_TEST

START_TEST(test_link__wakes_its_owner_when_a_send_could_not_finish)
{
    PX_AUTO_FRAMES frames = {0};
    static uint8_t data[8 << 20];
    int n_received = 0;

    make_pair();
    atomic_store(&n_wakes, 0);
    px_link_set_wake(links[0], count_wake, &n_wakes);
    ok(px_frames_push_copy(&frames, px_slice_of(data, 10)));
    ok(px_link_send(links[0], &frames));
    ck_assert_int_eq(atomic_load(&n_wakes), 0);
    px_frames_done(&frames);
    ok(px_frames_push_copy(&frames, px_slice_of(data, sizeof(data))));
    ok(px_link_send(links[0], &frames));
    ok(px_link_send(links[0], &frames));
    ck_assert_int_eq(atomic_load(&n_wakes), 1); // once for a queue
    fails_with(PX_EAGAIN, px_link_flush(links[0]));
    while (n_received < 3) {
        PX_AUTO_FRAMES received = {0};
        ok(receive(links[1], links[0], &received));
        n_received++;
    }
    ok(px_link_flush(links[0]));
    close_pair();
}
END_TEST

START_TEST(test_link__refuses_what_it_cannot_carry)
{
    PX_AUTO_FRAMES frames = {0};

    make_pair();
    fails_with(PX_EINVAL, px_link_send(links[0], &frames));
    for (int i = 0; i <= PX_LINK_MAX_FRAMES; i++) {
        unit_frames(&frames, "x", NULL);
    }
    fails_with(PX_EINVAL, px_link_send(links[0], &frames));
    px_bytes_unref(frames.items[--frames.n]);
    ok(px_link_send(links[0], &frames));
    PX_AUTO_FRAMES received = {0};
    ok(receive(links[1], links[0], &received));
    ck_assert_uint_eq(received.n, PX_LINK_MAX_FRAMES);
    close_pair();
}
END_TEST

static void connect_through(const char *path)
{
    struct stat status;
    int listener = -1;
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO_FRAMES received = {0};
    px_error error = {0};

    (void)umask(0);
    px_err err = px_link_listen(path, &listener, &error);
    ck_assert_msg(err == PX_OK, "%s", error.text);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0600);
    fails_with(PX_EAGAIN, px_link_accept(listener, 100, &links[1]));
    err = px_link_connect(path, &links[0], &error);
    ck_assert_msg(err == PX_OK, "%s", error.text);
    ok(px_link_accept(listener, 100, &links[1]));
    ck_assert_int_eq(px_link_peer_pid(links[0]), getpid());
    ck_assert_int_eq(px_link_peer_pid(links[1]), getpid());
    unit_frames(&frames, "hello", NULL);
    ok(px_link_send(links[0], &frames));
    ok(receive(links[1], NULL, &received));
    px_link_shutdown(links[0]);
    px_frames_done(&received);
    fails_with(PX_ECLOSED, receive(links[1], NULL, &received));
    close_pair();
    (void)close(listener); // nobody comes any more
    fails_with(PX_EREFUSED, px_link_connect(path, &links[0], &error));
    ck_assert_ptr_nonnull(strstr(error.text, path));
    ok(px_link_listen(path, &listener, NULL)); // a stale file does not matter
    (void)close(listener);                     // nobody came
    ck_assert_int_eq(unlink(path), 0);
    fails_with(PX_ENOENT, px_link_connect(path, &links[0], &error));
}

START_TEST(test_link__connects_by_path)
{
    connect_through(unit_path("work.sock"));
}
END_TEST

START_TEST(test_link__connects_by_a_long_path)
{
    char folder[200];

    memset(folder, 'f', sizeof(folder) - 1);
    folder[sizeof(folder) - 1] = '\0';
    ck_assert_int_eq(mkdir(unit_path(folder), 0700), 0);
    char *path = strdup(unit_path(folder));
    ck_assert_ptr_nonnull(path);
    path = realloc(path, strlen(path) + 20);
    ck_assert_ptr_nonnull(path);
    memcpy(path + strlen(path), "/control.sock", 14);
    connect_through(path);
    free(path);
    ck_assert_int_eq(rmdir(unit_path(folder)), 0);
}
END_TEST

// say sends the text, now or later.
static void say(const char *text, bool later)
{
    PX_AUTO_FRAMES frames = {0};
    unit_frames(&frames, text, NULL);
    ok(later ? px_link_send_later(links[0], &frames) : px_link_send(links[0], &frames));
}

static void expect_next(const char *text)
{
    PX_AUTO_FRAMES frames = {0};
    ok(receive(links[1], NULL, &frames));
    expect_text(px_frames_get(&frames, 0), text);
}

static bool quiet(void)
{
    struct pollfd item = {.fd = px_link_fd(links[1]), .events = POLLIN};
    return poll(&item, 1, 0) == 0;
}

START_TEST(test_link__what_is_kept_back_leaves_in_order)
{
    make_pair();
    say("a", true);
    say("b", true);
    ck_assert(quiet());
    ck_assert(!px_link_wants_write(links[0]));
    say("c", false);
    ck_assert_uint_eq(px_link_queued(links[0]), 0);
    expect_next("a");
    expect_next("b");
    expect_next("c");
    say("d", true);
    ok(px_link_push(links[0]));
    ok(px_link_push(links[0]));
    expect_next("d");
    close_pair();
}
END_TEST

START_TEST(test_link__does_not_keep_much_back)
{
    make_pair();
    for (int i = 0; i < 100000 && quiet(); i++) {
        say("some text that is kept back for a while", true);
    }
    ck_assert(!quiet());
    close_pair();
}
END_TEST

UNIT_MAIN("link", test_link__messages_arrive_whole_and_in_order,
          test_link__a_frame_outlives_its_message, test_link__large_frames_are_queued_by_reference,
          test_link__takes_one_byte_at_a_time, test_link__every_way_to_cut_is_put_together,
          test_link__garbage_is_refused_before_memory_is_taken, test_link__limit_can_be_raised,
          test_link__end_of_the_peer_comes_after_its_last_message,
          test_link__killed_peer_is_seen_at_once, test_link__many_threads_send_whole_messages,
          test_link__wakes_its_owner_when_a_send_could_not_finish,
          test_link__refuses_what_it_cannot_carry, test_link__connects_by_path,
          test_link__connects_by_a_long_path, test_link__what_is_kept_back_leaves_in_order,
          test_link__does_not_keep_much_back)
