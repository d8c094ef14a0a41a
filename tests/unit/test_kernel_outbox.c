#include "io/outbox.h"
#include "unit.h"

#include "px/thread.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define T0 (PX_NS_PER_S)

static px_outbox box;
static px_ns now_is;

static px_ns clock_now(void)
{
    return now_is;
}

static void open_box(void)
{
    ok(px_outbox_init(&box));
    box.clock = clock_now;
    now_is = T0;
}

static bool is_woken(void)
{
    struct pollfd item = {.fd = box.fd, .events = POLLIN};
    return poll(&item, 1, 0) == 1;
}

static void print(px_parent *parent, const char *text)
{
    px_outbox_write(&box, parent, PX_STDOUT, px_slice_str(text));
}

static void post(px_parent *parent, const char *msg_type)
{
    px_out *out = px_out_new(PX_OUT_PUBLISH, parent);
    (void)snprintf(out->msg_type, sizeof(out->msg_type), "%s", msg_type);
    px_outbox_post(&box, out);
}

// describe writes what a chain is made of, such as `out:a\n display_data err:b`, and frees it.
static const char *describe(px_out *chain)
{
    static char text[4096];
    size_t n = 0;
    text[0] = '\0';
    while (chain != NULL) {
        px_out *next = chain->next;
        if (chain->kind == PX_OUT_STREAM) {
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s:%.*s", n > 0 ? " " : "",
                                  chain->stream == PX_STDOUT ? "out" : "err", (int)chain->text.size,
                                  (const char *)chain->text.data);
        } else {
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? " " : "",
                                  chain->msg_type);
        }
        px_out_free(chain);
        chain = next;
    }
    return text;
}

// take_round takes what may leave at a time, in one round, as px-io does.
static px_out *take_round(px_ns at, px_ns *ret_due)
{
    now_is = at;
    px_out *all = px_outbox_take(&box, at, true, false);
    px_out **end = &all;
    while (*end != NULL) {
        while (*end != NULL) {
            end = &(*end)->next;
        }
        *end = px_outbox_take(&box, at, false, false);
    }
    *ret_due = box.timer;
    return all;
}

// take_first takes the first line of a burst that begins at T0.
static const char *take_first(px_ns *ret_due)
{
    ck_assert_ptr_null(take_round(T0, ret_due));
    ck_assert_uint_eq(*ret_due, T0 + PX_STREAM_FIRST);
    return describe(take_round(T0 + PX_STREAM_FIRST, ret_due));
}

START_TEST(test_outbox__merges_text_of_one_stream_and_parent)
{
    open_box();
    px_ns due;
    px_parent *a = px_parent_made(px_slice_str("{}"), px_slice_str("{}"), px_slice_str("{}"));
    px_parent *b = px_parent_made(px_slice_str("{}"), px_slice_str("{}"), px_slice_str("{}"));
    print(a, "1");
    print(a, "2");
    px_outbox_write(&box, a, PX_STDERR, px_slice_str("e"));
    print(a, "3");
    print(b, "4\n");
    ck_assert_ptr_null(take_round(T0, &due));
    ck_assert_str_eq(describe(take_round(due, &due)), "out:12 err:e out:3 out:4\n");
    px_parent_unref(a);
    px_parent_unref(b);
    px_outbox_done(&box);
}
END_TEST

START_TEST(test_outbox__keeps_the_order_of_posting)
{
    open_box();
    px_ns due;
    print(NULL, "before");
    post(NULL, "display_data");
    print(NULL, "between");
    post(NULL, "reply");
    ck_assert_str_eq(describe(take_round(T0, &due)), "out:before display_data out:between reply");
    ck_assert_uint_eq(due, 0);
    px_outbox_done(&box);
}
END_TEST

START_TEST(test_outbox__lets_the_first_line_go_and_holds_the_burst)
{
    open_box();
    px_ns due;
    print(NULL, "one\n");
    ck_assert_uint_eq(box.timer, T0 + PX_STREAM_FIRST);
    ck_assert_str_eq(take_first(&due), "out:one\n");
    ck_assert_uint_eq(box.timer, 0);
    print(NULL, "two\n");
    ck_assert_uint_eq(box.timer, T0 + PX_STREAM_FIRST + PX_STREAM_PERIOD);
    ck_assert_ptr_null(take_round(T0 + PX_STREAM_FIRST + 1, &due));
    ck_assert_uint_eq(due, T0 + PX_STREAM_FIRST + PX_STREAM_PERIOD);
    print(NULL, "three\n");
    ck_assert_uint_eq(box.timer, T0 + PX_STREAM_FIRST + PX_STREAM_PERIOD);
    ck_assert_msg(!is_woken(), "the timer does it");
    ck_assert_str_eq(describe(take_round(due, &due)), "out:two\nthree\n");
    px_outbox_done(&box);
}
END_TEST

START_TEST(test_outbox__waits_a_moment_for_the_end_of_a_line)
{
    open_box();
    px_ns due;
    print(NULL, "x");
    ck_assert_ptr_null(take_round(T0, &due));
    ck_assert_uint_eq(due, T0 + PX_STREAM_GRACE);
    print(NULL, "\n");
    ck_assert_uint_eq(box.timer, T0 + PX_STREAM_FIRST); // it is complete: no reason to wait on
    ck_assert(!is_woken());
    ck_assert_ptr_null(take_round(T0 + 2, &due));
    ck_assert_str_eq(describe(take_round(due, &due)), "out:x\n");
    print(NULL, "no end");
    px_outbox_set_current(&box, NULL); // a new request: a new burst
    ck_assert_ptr_null(take_round(T0 + 3, &due));
    ck_assert_str_eq(describe(take_round(due, &due)), "out:no end");
    px_outbox_done(&box);
}
END_TEST

START_TEST(test_outbox__sends_text_at_once_when_something_follows)
{
    open_box();
    px_ns due;
    print(NULL, "one\n");
    ck_assert_str_eq(take_first(&due), "out:one\n");
    print(NULL, "two\n");
    ck_assert_ptr_null(take_round(T0 + PX_STREAM_FIRST + 1, &due));
    post(NULL, "reply");
    ck_assert(is_woken());
    print(NULL, "three\n");
    ck_assert_str_eq(describe(take_round(T0 + PX_STREAM_FIRST + 2, &due)), "out:two\n reply");
    ck_assert_uint_eq(due, T0 + PX_STREAM_FIRST + PX_STREAM_PERIOD);
    px_outbox_done(&box);
}
END_TEST

START_TEST(test_outbox__wakes_whoever_looks_at_the_timer)
{
    open_box();
    box.clock = px_now;
    px_ns due;
    struct pollfd item = {.fd = box.text_fd, .events = POLLIN};
    print(NULL, "one\n");
    ck_assert_int_eq(poll(&item, 1, 5000), 1);
    ck_assert_str_eq(describe(take_round(px_now(), &due)), "out:one\n");
    ck_assert_int_eq(poll(&item, 1, 0), 0);
    px_outbox_done(&box);
}
END_TEST

START_TEST(test_outbox__merges_long_runs_of_alternating_streams)
{
    open_box();
    px_ns due;
    for (int i = 0; i < 100; i++) {
        print(NULL, "o");
        px_outbox_write(&box, NULL, PX_STDERR, px_slice_str("e"));
    }
    post(NULL, "reply");
    px_out *chain = px_outs_merge(take_round(T0, &due));
    ck_assert_uint_eq(chain->text.size, 100);
    ck_assert_uint_eq(chain->next->text.size, 100);
    ck_assert_int_eq(chain->next->next->kind, PX_OUT_PUBLISH);
    (void)describe(chain);
    print(NULL, "a");
    px_outbox_write(&box, NULL, PX_STDERR, px_slice_str("b"));
    print(NULL, "c");
    post(NULL, "reply");
    ck_assert_str_eq(describe(px_outs_merge(take_round(T0 + 1, &due))), "out:a err:b out:c reply");
    px_outbox_done(&box);
}
END_TEST

enum { WRITERS = 4, LINES = 20000 };

static void *writer(void *arg)
{
    for (int i = 0; i < LINES; i++) {
        char line[32];
        int n = snprintf(line, sizeof(line), "%d %d\n", *(int *)arg, i);
        px_outbox_write(&box, NULL, PX_STDOUT, px_slice_of(line, (size_t)n));
    }
    return NULL;
}

START_TEST(test_outbox__loses_nothing_of_many_writers)
{
    open_box();
    pthread_t threads[WRITERS];
    int names[WRITERS];
    int seen[WRITERS] = {0};
    px_ns due;
    for (int i = 0; i < WRITERS; i++) {
        names[i] = i;
        ok(px_thread_start(&threads[i], "writer", writer, &names[i]));
    }
    for (px_ns now = T0; seen[0] + seen[1] + seen[2] + seen[3] < WRITERS * LINES;
         now += PX_STREAM_PERIOD) {
        px_out *chain = take_round(now, &due);
        while (chain != NULL) {
            px_out *next = chain->next;
            px_buf_append(&chain->text, "", 1);
            for (char *line = (char *)chain->text.data; *line != '\0';) {
                int name = line[0] - '0';
                char expected[32];
                int n = snprintf(expected, sizeof(expected), "%d %d\n", name, seen[name]++);
                ck_assert_int_eq(strncmp(line, expected, (size_t)n), 0);
                line += n;
            }
            px_out_free(chain);
            chain = next;
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    px_outbox_done(&box);
}
END_TEST

UNIT_MAIN("kernel_outbox", test_outbox__merges_text_of_one_stream_and_parent,
          test_outbox__keeps_the_order_of_posting,
          test_outbox__lets_the_first_line_go_and_holds_the_burst,
          test_outbox__waits_a_moment_for_the_end_of_a_line,
          test_outbox__sends_text_at_once_when_something_follows,
          test_outbox__wakes_whoever_looks_at_the_timer,
          test_outbox__merges_long_runs_of_alternating_streams,
          test_outbox__loses_nothing_of_many_writers)
