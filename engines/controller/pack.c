// pack.c: see pack.h.

#include "pack.h"

static void put(px_buf *out, uint64_t number, size_t n_bytes)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n_bytes; i++) {
        bytes[i] = (uint8_t)(number >> (8 * i));
    }
    px_buf_append(out, bytes, n_bytes);
}

static uint64_t get(const uint8_t *bytes, size_t n_bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        number |= (uint64_t)bytes[i] << (8 * i);
    }
    return number;
}

void px_pack(px_buf *out, const px_kept *kept, size_t first, size_t end)
{
    size_t n = end > first ? end - first : 0;
    put(out, n, 4);
    for (size_t i = 0; i < n; i++) {
        put(out, px_kept_frame(kept, first + i).size, 8);
    }
    for (size_t i = 0; i < n; i++) {
        px_buf_append_slice(out, px_kept_frame(kept, first + i));
    }
}

px_err px_unpack(px_slice *bytes, px_frames *frames)
{
    if (bytes->size == 0) {
        return PX_EAGAIN;
    }
    if (bytes->size < 4) {
        return PX_EFORMAT;
    }
    uint64_t n = get(bytes->data, 4);
    if ((bytes->size - 4) / 8 < n) {
        return PX_EFORMAT;
    }
    const uint8_t *sizes = bytes->data + 4;
    px_slice rest = px_slice_of(sizes + 8 * n, bytes->size - 4 - 8 * (size_t)n);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t size = get(sizes + 8 * i, 8);
        if (size > rest.size) {
            return PX_EFORMAT;
        }
        PX_TRY(px_frames_push_copy(frames, px_slice_of(rest.data, (size_t)size)));
        rest = px_slice_of(rest.data + size, rest.size - (size_t)size);
    }
    *bytes = rest;
    return PX_OK;
}
