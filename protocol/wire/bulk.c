// bulk.c: large buffers as segments. The list of descriptors is a frame of its own and not
// metadata: metadata is signed by whoever composed the message, long before a transport knows where
// it goes, and neither side should parse JSON to find out where an array lies.

#include "px/bulk.h"

#include "px/segment.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum { INDEX_SIZE = 4 };

bool px_bulk_wanted(const px_frames *frames, size_t first_buffer)
{
    for (size_t i = first_buffer; i < px_frames_count(frames); i++) {
        if (px_frames_get(frames, i).size >= PX_SEGMENT_THRESHOLD) {
            return true;
        }
    }
    return false;
}

static px_err keep_fd(px_bulk *bulk, int fd)
{
    int *fds = realloc(bulk->fds, (bulk->n + 1) * sizeof *fds);
    if (fds == NULL) {
        (void)close(fd);
        return PX_ENOMEM;
    }
    bulk->fds = fds;
    bulk->fds[bulk->n++] = fd;
    return PX_OK;
}

typedef struct packing {
    px_bulk *bulk;
    px_bulk_make *make; // NULL: none
    void *context;
} packing;

// pack_one puts the buffer of frame `index` into a segment. PX_EAGAIN: it stays as it is.
static px_err pack_one(const packing *how, px_frames *frames, size_t index)
{
    int fd = -1;
    px_segment_ref ref;
    px_slice bytes = px_frames_get(frames, index);
    px_err err = how->make != NULL ? how->make(how->context, bytes, &ref) : PX_EAGAIN;
    if (err == PX_EAGAIN) {
        if (px_segment_create(bytes, &fd, &ref, NULL) != PX_OK) {
            return PX_EAGAIN;
        }
        err = keep_fd(how->bulk, fd);
    }
    PX_TRY(err);
    uint8_t wire[PX_SEGMENT_REF_SIZE];
    px_segment_encode(&ref, wire);
    px_bytes *descriptor = NULL;
    PX_TRY(px_bytes_copy(px_slice_of(wire, sizeof wire), &descriptor));
    px_frames_set(frames, index, descriptor);
    return PX_OK;
}

static px_err pack(const packing *how, px_frames *frames, size_t first_buffer, bool *ret_packed)
{
    PX_AUTO_BUF list = {0};
    size_t n_frames = px_frames_count(frames);
    for (size_t i = first_buffer; i < n_frames; i++) {
        if (px_frames_get(frames, i).size < PX_SEGMENT_THRESHOLD) {
            continue;
        }
        px_err err = pack_one(how, frames, i);
        if (err == PX_EAGAIN) {
            continue;
        }
        PX_TRY(err);
        uint32_t n = (uint32_t)(i - first_buffer);
        const uint8_t wire[INDEX_SIZE] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16),
                                          (uint8_t)(n >> 24)};
        px_buf_append(&list, wire, sizeof wire);
    }
    PX_TRY(px_buf_status(&list));
    *ret_packed = list.size > 0;
    return *ret_packed ? px_frames_push_copy(frames, px_buf_slice(&list)) : PX_OK;
}

px_err px_bulk_pack(px_frames *frames, size_t first_buffer, px_bulk *ret_bulk)
{
    bool packed = false;
    return pack(&(packing){.bulk = ret_bulk}, frames, first_buffer, &packed);
}

px_err px_bulk_pack_with(px_frames *frames, size_t first_buffer, px_bulk *ret_bulk,
                         px_bulk_make *make, void *context, bool *ret_packed)
{
    const packing how = {.bulk = ret_bulk, .make = make, .context = context};
    return pack(&how, frames, first_buffer, ret_packed);
}

static px_err unpack_one(px_frames *frames, size_t index, px_error *reterr)
{
    px_segment_ref ref;
    if (px_segment_decode(px_frames_get(frames, index), &ref) != PX_OK) {
        return px_error_set(reterr, PX_EFORMAT, "buffer frame %zu is not a segment descriptor",
                            index);
    }
    px_bytes *bytes = NULL;
    PX_TRY(px_segment_map(&ref, &bytes, reterr));
    px_frames_set(frames, index, bytes);
    return PX_OK;
}

// drop_last removes the last frame: the frames before it move on into a list without it.
static px_err drop_last(px_frames *frames)
{
    px_frames rest = {0};
    px_err err = px_frames_share(&rest, frames, 0, px_frames_count(frames) - 1);
    if (err != PX_OK) {
        px_frames_done(&rest);
        return err;
    }
    px_frames_done(frames);
    *frames = (px_frames){0};
    px_frames_move(frames, &rest);
    return PX_OK;
}

px_err px_bulk_unpack(px_frames *frames, size_t first_buffer, px_error *reterr)
{
    size_t n_frames = px_frames_count(frames);
    if (n_frames <= first_buffer) {
        return px_error_set(reterr, PX_EFORMAT, "the list of segments is missing");
    }
    size_t n_buffers = n_frames - 1 - first_buffer;
    px_slice list = px_frames_get(frames, n_frames - 1);
    if (list.size % INDEX_SIZE != 0 || list.size / INDEX_SIZE > n_buffers) {
        return px_error_set(reterr, PX_EFORMAT, "a list of segments of %zu bytes for %zu buffers",
                            list.size, n_buffers);
    }
    for (size_t i = 0; i < list.size; i += INDEX_SIZE) {
        const uint8_t *wire = list.data + i;
        size_t index =
            (size_t)wire[0] | (size_t)wire[1] << 8 | (size_t)wire[2] << 16 | (size_t)wire[3] << 24;
        if (index >= n_buffers) {
            return px_error_set(reterr, PX_EFORMAT, "segment index %zu of %zu buffers", index,
                                n_buffers);
        }
        PX_TRY(unpack_one(frames, first_buffer + index, reterr));
    }
    return drop_last(frames);
}

void px_bulk_done(px_bulk *bulk)
{
    for (size_t i = 0; i < bulk->n; i++) {
        (void)close(bulk->fds[i]);
    }
    free(bulk->fds);
    *bulk = (px_bulk){0};
}
