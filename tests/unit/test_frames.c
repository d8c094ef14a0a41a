#include "unit.h"

#include "px/frames.h"
#include "px/thread.h"

#include <stdio.h>

static int n_released;

static void count_release(void *data, void *hint)
{
    ck_assert_ptr_eq(data, hint);
    n_released++;
}

START_TEST(test_frames__adopted_bytes_are_released_once)
{
    px_bytes *bytes;
    char text[] = "foreign";

    n_released = 0;
    ok(px_bytes_adopt(text, 7, count_release, text, &bytes));
    ck_assert_ptr_eq(px_bytes_slice(bytes).data, text);
    ck_assert_ptr_eq(px_bytes_ref(bytes), bytes);
    px_bytes_unref(bytes);
    ck_assert_int_eq(n_released, 0);
    px_bytes_unref(bytes);
    ck_assert_int_eq(n_released, 1);
    px_bytes_unref(NULL);
}
END_TEST

START_TEST(test_frames__hold_few_and_many)
{
    PX_AUTO_FRAMES frames = {0};
    char text[24];

    for (int n = 0; n < 100; n++) {
        for (size_t i = 0; i < frames.n; i++) {
            (void)snprintf(text, sizeof(text), "%zu", i); // fits
            expect_text(px_frames_get(&frames, i), text);
        }
        (void)snprintf(text, sizeof(text), "%d", n); // fits
        ok(px_frames_push_copy(&frames, px_slice_str(text)));
    }
    ck_assert_uint_eq(px_frames_count(&frames), 100);
    ck_assert_uint_eq(px_frames_bytes(&frames), 190);
}
END_TEST

START_TEST(test_frames__share_references_and_set_replaces)
{
    PX_AUTO_FRAMES first = {0};
    PX_AUTO_FRAMES second = {0};
    px_bytes *bytes;

    unit_frames(&first, "a", "b", "c", NULL);
    ok(px_frames_share(&second, &first, 1, 2));
    ck_assert_ptr_eq(px_frames_at(&second, 0), px_frames_at(&first, 1));
    ok(px_bytes_copy(PX_SLICE_LITERAL("new"), &bytes));
    px_frames_set(&second, 0, bytes);
    expect_text(px_frames_get(&second, 0), "new");
    expect_text(px_frames_get(&first, 1), "b");
    ok(px_frames_share(&second, &first, 3, 0));
    ck_assert_uint_eq(second.n, 2);
}
END_TEST

static void move_some(int n)
{
    PX_AUTO_FRAMES from = {0};
    PX_AUTO_FRAMES to = {0};

    for (int i = 0; i < n; i++) {
        unit_frames(&from, "x", NULL);
    }
    px_frames_move(&to, &from);
    ck_assert_uint_eq(from.n, 0);
    ck_assert_uint_eq(to.n, (size_t)n);
    unit_frames(&to, "y", NULL);
    unit_frames(&from, "z", NULL);
    expect_text(px_frames_get(&to, (size_t)n), "y");
    expect_text(px_frames_get(&from, 0), "z");
}

START_TEST(test_frames__move_leaves_an_empty_message)
{
    move_some(0);
    move_some(1);
    move_some(10);
    move_some(11);
}
END_TEST

static void *drop_many(void *arg)
{
    px_frames *frames = arg;

    px_frames_done(frames);
    return NULL;
}

START_TEST(test_frames__bytes_are_counted_across_threads)
{
    enum { N = 4, EACH = 1000 };
    px_bytes *bytes;
    px_frames messages[N] = {0};
    pthread_t threads[N];

    n_released = 0;
    char text[] = "body";
    ok(px_bytes_adopt(text, 4, count_release, text, &bytes));
    for (int t = 0; t < N; t++) {
        for (int i = 0; i < EACH; i++) {
            ok(px_frames_push(&messages[t], px_bytes_ref(bytes)));
        }
    }
    px_bytes_unref(bytes);
    for (int t = 0; t < N; t++) {
        ok(px_thread_start(&threads[t], "dropper", drop_many, &messages[t]));
    }
    for (int t = 0; t < N; t++) {
        ck_assert_int_eq(pthread_join(threads[t], NULL), 0);
    }
    ck_assert_int_eq(n_released, 1);
}
END_TEST

UNIT_MAIN("frames", test_frames__adopted_bytes_are_released_once, test_frames__hold_few_and_many,
          test_frames__share_references_and_set_replaces, test_frames__move_leaves_an_empty_message,
          test_frames__bytes_are_counted_across_threads)
