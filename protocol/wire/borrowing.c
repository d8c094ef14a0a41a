// borrowing.c: see borrowing.h.

#include "px/borrowing.h"

#include "px/segment.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

struct px_borrowing {
    atomic_uint refs; // wrapped buffers, and who made it
    atomic_bool spoilt;
    unsigned forks; // how often the process had forked when it was made
    px_returned *over;
    void *context;
};

typedef struct wrapped {
    px_bytes *bytes;
    px_borrowing *borrowing;
} wrapped;

// n_forks counts forks of this process, and is inherited, so that a child sees one more than what
// it borrowed before: pthread_atfork takes no context.
static atomic_uint n_forks;
static atomic_bool unwatched; // forks cannot be counted: nothing is ever given back
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
    (void)atomic_fetch_add(&n_forks, 1);
}

static void watch_forks(void)
{
    if (pthread_atfork(count_fork, NULL, NULL) != 0) {
        atomic_store(&unwatched, true);
    }
}

px_err px_borrowing_new(px_returned *over, void *context, px_borrowing **ret_borrowing)
{
    px_borrowing *borrowing = malloc(sizeof(*borrowing));
    if (borrowing == NULL) {
        return PX_ENOMEM;
    }
    (void)pthread_once(&once, watch_forks);
    *borrowing = (px_borrowing){.over = over, .context = context, .forks = atomic_load(&n_forks)};
    atomic_init(&borrowing->refs, 1);
    atomic_init(&borrowing->spoilt, atomic_load(&unwatched));
    *ret_borrowing = borrowing;
    return PX_OK;
}

void px_borrowing_unref(px_borrowing *borrowing)
{
    if (atomic_fetch_sub(&borrowing->refs, 1) == 1) {
        bool forked = atomic_load(&n_forks) != borrowing->forks;
        borrowing->over(borrowing->context, forked || atomic_load(&borrowing->spoilt));
        free(borrowing);
    }
}

void px_borrowing_spoil(px_borrowing *borrowing)
{
    atomic_store(&borrowing->spoilt, true);
}

// let_go is a px_release: any thread.
static void let_go(void *data, void *hint)
{
    (void)data;
    wrapped *one = hint;
    px_bytes_unref(one->bytes);
    px_borrowing_unref(one->borrowing);
    free(one);
}

static px_err wrap(px_borrowing *borrowing, px_frames *frames, size_t index)
{
    px_bytes *outer = NULL;
    px_bytes *inner = px_frames_at(frames, index);
    px_slice slice = px_bytes_slice(inner);
    wrapped *one = malloc(sizeof(*one));
    if (one == NULL) {
        return PX_ENOMEM;
    }
    *one = (wrapped){.bytes = inner, .borrowing = borrowing};
    px_err err = px_bytes_adopt((void *)(uintptr_t)slice.data, slice.size, let_go, one, &outer);
    if (err != PX_OK) {
        free(one);
        return err;
    }
    (void)px_bytes_ref(inner);
    (void)atomic_fetch_add(&borrowing->refs, 1);
    px_frames_set(frames, index, outer);
    return PX_OK;
}

px_err px_borrowing_cover(px_borrowing *borrowing, px_frames *frames, size_t first_buffer)
{
    for (size_t i = first_buffer; i < px_frames_count(frames); i++) {
        if (px_frames_get(frames, i).size >= PX_SEGMENT_THRESHOLD) {
            PX_TRY(wrap(borrowing, frames, i));
        }
    }
    return PX_OK;
}
