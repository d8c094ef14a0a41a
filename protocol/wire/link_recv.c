// The receiving half. Small messages are read many at a time into one buffer and copied out of it;
// the bytes of a large frame that is not in the buffer yet are read straight into the frame, with
// the buffer behind it in the same readv for what follows.
//
// A link that has nothing to read has no buffer: of a thousand links few have at any moment, and
// who serves them takes the same warm one for each.
//
// A head is believed only after its limits were checked: number of frames, sum of the sizes.
#include "frames.h"
#include "link.h"
#include "little.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define BUFFER_SIZE ((size_t)1 << 16)
// From this much missing on, a frame is read in place.
#define IN_PLACE ((size_t)1 << 13)
// Up to this size, the frames of a message share their memory.
#define SMALL ((size_t)1 << 12)

static _Atomic(uint8_t *) spare_buffer; // any thread's, of BUFFER_SIZE; NULL: none

static uint8_t *take_buffer(void)
{
    uint8_t *buffer = atomic_exchange(&spare_buffer, NULL);
    return buffer != NULL ? buffer : malloc(BUFFER_SIZE);
}

// leave_buffer gives the buffer of a link back if all of it was read.
static void leave_buffer(px__inbox *in)
{
    if (in->from == in->to) {
        free(atomic_exchange(&spare_buffer, in->buffer));
        in->buffer = NULL;
        in->from = in->to = 0;
    }
}

void px__inbox_done(px__inbox *in)
{
    free(in->buffer);
    free(in->sizes);
    px_bytes_unref(in->partial);
    px_frames_done(&in->frames);
    *in = (px__inbox){0};
}

static px_err reserve_sizes(px__inbox *in, uint32_t n_frames)
{
    if (n_frames <= in->sizes_capacity) {
        return PX_OK;
    }
    size_t capacity = n_frames < 16 ? 16 : n_frames;
    size_t *sizes = realloc(in->sizes, capacity * sizeof(*sizes));
    if (sizes == NULL) {
        return PX_ENOMEM;
    }
    in->sizes = sizes;
    in->sizes_capacity = capacity;
    return PX_OK;
}

// Reads the head if all of it is there; PX_EAGAIN when not.
static px_err read_head(px_link *link)
{
    px__inbox *in = &link->in;
    size_t have = in->to - in->from;
    uint64_t total = 0;

    if (have < PX__LINK_LEAD) { // nor need there be a buffer yet
        return PX_EAGAIN;
    }
    const uint8_t *wire = in->buffer + in->from;
    uint32_t n_frames = (uint32_t)px__get(wire + 4, 4);
    if (px__get(wire, 4) != PX__LINK_MAGIC || n_frames == 0 || n_frames > PX_LINK_MAX_FRAMES) {
        return PX_EFORMAT;
    }
    size_t head_size = PX__LINK_LEAD + (size_t)8 * n_frames;
    if (have < head_size) {
        return PX_EAGAIN;
    }
    PX_TRY(reserve_sizes(in, n_frames));
    for (uint32_t i = 0; i < n_frames; i++) {
        uint64_t size = px__get(wire + PX__LINK_LEAD + (size_t)8 * i, 8);
        if (__builtin_add_overflow(total, size, &total) || total > link->max_bytes) {
            return PX_EFORMAT;
        }
        in->sizes[i] = (size_t)size;
    }
    in->n_frames = n_frames;
    in->n_bytes = total;
    in->from += head_size;
    return PX_OK;
}

// Takes a small message that is in the buffer as a whole.
static px_err read_small(px__inbox *in)
{
    PX_TRY(px__frames_new(&in->frames, in->sizes, in->n_frames));
    for (uint32_t i = 0; i < in->n_frames; i++) {
        memcpy(px__frames_data(&in->frames, i), in->buffer + in->from, in->sizes[i]);
        in->from += in->sizes[i];
    }
    return PX_OK;
}

// Copies from the buffer into the incomplete frame.
static void fill_partial(px__inbox *in)
{
    size_t have = in->to - in->from;
    size_t size = have < in->rest_size ? have : in->rest_size;

    if (size != 0) {
        memcpy(in->rest, in->buffer + in->from, size);
    }
    in->from += size;
    in->rest += size;
    in->rest_size -= size;
}

// Completes the message from what is in the buffer; PX_EAGAIN when that is not enough.
static px_err read_frames(px__inbox *in)
{
    bool begun = in->frames.n > 0 || in->partial != NULL;

    if (!begun && in->n_bytes <= SMALL && in->n_bytes <= in->to - in->from) {
        return read_small(in);
    }
    while (in->frames.n < in->n_frames) {
        if (in->partial == NULL) {
            size_t size = in->sizes[in->frames.n];
            PX_TRY(px_bytes_new(size, &in->rest, &in->partial));
            in->rest_size = size;
        }
        fill_partial(in);
        if (in->rest_size > 0) {
            return PX_EAGAIN;
        }
        PX_TRY(px_frames_push(&in->frames, in->partial));
        in->partial = NULL;
    }
    return PX_OK;
}

static px_err next_message(px_link *link, px_frames *ret_frames)
{
    px__inbox *in = &link->in;

    if (in->n_frames == 0) {
        PX_TRY(read_head(link));
    }
    PX_TRY(read_frames(in));
    in->n_frames = 0;
    px_frames_move(ret_frames, &in->frames);
    return PX_OK;
}

// Reads once from the socket: into the incomplete frame if that is worth it, and into the buffer.
static px_err read_more(px_link *link)
{
    px__inbox *in = &link->in;
    struct iovec iov[2];
    size_t n_iov = 0;
    size_t wanted = 0;

    if (in->buffer == NULL) {
        in->buffer = take_buffer();
        if (in->buffer == NULL) {
            return PX_ENOMEM;
        }
    }
    if (in->from > 0) { // what is there is part of a head, so it is little
        memmove(in->buffer, in->buffer + in->from, in->to - in->from);
        in->to -= in->from;
        in->from = 0;
    }
    bool in_place = in->partial != NULL && in->rest_size >= IN_PLACE; // then the buffer is empty
    if (in_place) {
        iov[n_iov++] = (struct iovec){.iov_base = in->rest, .iov_len = in->rest_size};
        wanted += in->rest_size;
    }
    iov[n_iov++] = (struct iovec){.iov_base = in->buffer + in->to, .iov_len = BUFFER_SIZE - in->to};
    wanted += BUFFER_SIZE - in->to;
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = n_iov};
    ssize_t got;
    do {
        got = recvmsg(link->fd, &message, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno == EAGAIN ? PX_EAGAIN : PX_ECLOSED;
    }
    if (got == 0) {
        return PX_ECLOSED;
    }
    size_t size = (size_t)got;
    in->drained = size < wanted;
    if (in_place) {
        size_t placed = size < in->rest_size ? size : in->rest_size;
        in->rest += placed;
        in->rest_size -= placed;
        size -= placed;
    }
    in->to += size;
    return PX_OK;
}

px_err px_link_recv(px_link *link, px_frames *ret_frames)
{
    px__inbox *in = &link->in;

    for (;;) {
        px_err err = next_message(link, ret_frames);
        if (err != PX_EAGAIN) {
            return err;
        }
        // A short read emptied the socket: asking again would only cost a system call. What comes
        // later makes the descriptor readable.
        err = in->drained ? PX_EAGAIN : read_more(link);
        if (err == PX_EAGAIN) {
            in->drained = false;
            leave_buffer(in);
        }
        PX_TRY(err);
    }
}
