#include "io/capture.h"
#include "io/outbox.h"
#include "unit.h"

#include "px/thread.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static px_outbox box;
static px_capture capture;

// silence sends what is passed on to the original descriptors nowhere.
static void silence(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(dup2(null, 1), 1);
    ck_assert_int_eq(dup2(null, 2), 2);
    (void)close(null);
}

static void start(void)
{
    ok(px_outbox_init(&box));
    ok(px_capture_init(&capture, &box, true));
    ok(px_capture_start(&capture, NULL));
}

static void stop(void)
{
    px_capture_stop(&capture);
    px_capture_done(&capture);
    px_outbox_done(&box);
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

// taken gives the text of one stream that waits in the box, and empties it.
static const char *taken(px_stream_name stream)
{
    static char text[1 << 12];
    size_t n = 0;
    px_out *chain = px_outbox_take(&box, PX_NS_PER_S, true, true);
    while (chain != NULL) {
        px_out *next = chain->next;
        if (chain->stream == stream) {
            memcpy(text + n, chain->text.data, chain->text.size);
            n += chain->text.size;
        }
        px_out_free(chain);
        chain = next;
    }
    text[n] = '\0';
    return text;
}

START_TEST(test_capture__reads_both_descriptors)
{
    silence();
    start();
    say(1, "out");
    px_capture_drain(&capture, false);
    ck_assert_str_eq(taken(PX_STDOUT), "out");
    say(2, "err");
    px_capture_drain(&capture, false);
    ck_assert_str_eq(taken(PX_STDERR), "err");
    stop();
}
END_TEST

START_TEST(test_capture__keeps_characters_whole)
{
    silence();
    start();
    say(1, "a\xe2\x82");
    px_capture_drain(&capture, false);
    ck_assert_str_eq(taken(PX_STDOUT), "a");
    say(1, "\xac\xf0\x9f\x98");
    px_capture_drain(&capture, false);
    ck_assert_str_eq(taken(PX_STDOUT), "\xe2\x82\xac");
    px_capture_drain(&capture, true); // the request ends: what there is
    ck_assert_str_eq(taken(PX_STDOUT), "\xf0\x9f\x98");
    stop();
}
END_TEST

START_TEST(test_capture__puts_the_originals_back)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    int saved = dup(1);
    ck_assert_int_eq(dup2(ends[1], 1), 1);
    start();
    ck_assert_int_ne(px_capture_original(&capture, 0), 1);
    say(1, "copied on");
    px_capture_drain(&capture, false);
    stop();
    say(1, ", direct");
    char text[32] = "";
    ck_assert_int_eq(read(ends[0], text, sizeof(text) - 1), 17);
    ck_assert_str_eq(text, "copied on, direct");
    ck_assert_int_eq(dup2(saved, 1), 1);
    (void)close(saved);
    (void)close(ends[0]);
    (void)close(ends[1]);
}
END_TEST

START_TEST(test_capture__can_be_off)
{
    ok(px_outbox_init(&box));
    ok(px_capture_init(&capture, &box, false));
    ok(px_capture_start(&capture, NULL));
    ck_assert_int_eq(px_capture_original(&capture, 0), 1);
    ck_assert_int_eq(px_capture_fd(&capture, 0), -1);
    px_capture_drain(&capture, true);
    stop();
}
END_TEST

enum { LARGE = 4 << 20 };

static void *write_much(void *arg)
{
    (void)arg;
    char chunk[4096];
    memset(chunk, 'x', sizeof(chunk));
    for (int n = 0; n < LARGE; n += (int)sizeof(chunk)) {
        ck_assert_int_eq(write(1, chunk, sizeof(chunk)), sizeof(chunk));
    }
    return NULL;
}

START_TEST(test_capture__takes_more_than_a_pipe_holds)
{
    pthread_t thread;
    size_t size = 0;
    silence();
    start();
    ok(px_thread_start(&thread, "writer", write_much, NULL));
    while (size < LARGE) {
        struct pollfd item = {.fd = px_capture_fd(&capture, 0), .events = POLLIN};
        ck_assert_int_eq(poll(&item, 1, 10000), 1);
        px_capture_drain(&capture, false);
        px_out *out = px_outbox_take(&box, PX_NS_PER_S, true, true);
        while (out != NULL) {
            px_out *next = out->next;
            size += out->text.size;
            px_out_free(out);
            out = next;
        }
    }
    ck_assert_uint_eq(size, LARGE);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    stop();
}
END_TEST

UNIT_MAIN("kernel_capture", test_capture__reads_both_descriptors,
          test_capture__keeps_characters_whole, test_capture__puts_the_originals_back,
          test_capture__can_be_off, test_capture__takes_more_than_a_pipe_holds)
