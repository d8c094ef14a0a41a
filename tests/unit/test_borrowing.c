#include "unit.h"

#include "px/borrowing.h"
#include "px/segment.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct heard {
    unsigned n;
    bool forked;
} heard;

static void note(void *context, bool forked)
{
    heard *h = context;
    h->n++;
    h->forked = forked;
}

static void push(px_frames *frames, size_t size)
{
    uint8_t *data = NULL;
    px_bytes *bytes = NULL;
    ok(px_bytes_new(size, &data, &bytes));
    unit_pattern(data, size, 3);
    ok(px_frames_push(frames, bytes));
}

// borrow covers a message of two large buffers and a small one.
static void borrow(heard *h, px_frames *frames, bool spoil)
{
    px_borrowing *borrowing = NULL;
    push(frames, 10);
    push(frames, PX_SEGMENT_THRESHOLD);
    push(frames, 20);
    push(frames, PX_SEGMENT_THRESHOLD);
    ok(px_borrowing_new(note, h, &borrowing));
    ok(px_borrowing_cover(borrowing, frames, 1));
    if (spoil) {
        px_borrowing_spoil(borrowing);
    }
    px_borrowing_unref(borrowing);
}

START_TEST(test_borrowing__is_over_when_the_last_buffer_is_let_go)
{
    heard h = {0};
    px_frames frames = {0};
    borrow(&h, &frames, false);
    px_bytes *held = px_bytes_ref(px_frames_at(&frames, 3));
    px_frames_done(&frames);
    ck_assert_uint_eq(h.n, 0);
    ck_assert(unit_is_pattern(px_bytes_slice(held), 3));
    px_bytes_unref(held);
    ck_assert_uint_eq(h.n, 1);
    ck_assert(!h.forked);
}
END_TEST

START_TEST(test_borrowing__tells_of_forks_since)
{
    heard h = {0};
    px_frames frames = {0};
    borrow(&h, &frames, false);
    pid_t child = fork();
    if (child == 0) {
        px_frames_done(&frames);
        _exit(h.n == 1 && h.forked ? 0 : 1);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    px_frames_done(&frames);
    ck_assert(h.n == 1 && h.forked);
}
END_TEST

START_TEST(test_borrowing__can_be_spoilt)
{
    heard h = {0};
    px_frames frames = {0};
    borrow(&h, &frames, true);
    px_frames_done(&frames);
    ck_assert(h.n == 1 && h.forked);
}
END_TEST

UNIT_MAIN("borrowing", test_borrowing__is_over_when_the_last_buffer_is_let_go,
          test_borrowing__tells_of_forks_since, test_borrowing__can_be_spoilt)
