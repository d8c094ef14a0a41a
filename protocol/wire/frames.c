// Bytes with one owner or many, and a message as a row of them. A body is written once and then
// only referenced: by every engine's copy of a broadcast, by ZeroMQ until it is on its way, by a
// queue.
//
// An array of references lives inside px_frames itself until a message has more than ten frames, so
// an ordinary message costs no allocation here.
#include "px/frames.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

struct px_bytes {
    atomic_size_t refs;
    uint8_t *data;
    size_t size;
    px_release *release; // NULL: the bytes follow in the same allocation
    void *hint;
    uint8_t own[];
};

px_err px_bytes_new(size_t size, uint8_t **ret_data, px_bytes **ret_bytes)
{
    if (size > SIZE_MAX / 2) {
        return PX_ENOMEM;
    }
    px_bytes *bytes = malloc(sizeof(*bytes) + size);
    if (bytes == NULL) {
        return PX_ENOMEM;
    }
    atomic_init(&bytes->refs, 1);
    bytes->data = bytes->own;
    bytes->size = size;
    bytes->release = NULL;
    bytes->hint = NULL;
    if (ret_data != NULL) {
        *ret_data = bytes->own;
    }
    *ret_bytes = bytes;
    return PX_OK;
}

px_err px_bytes_copy(px_slice bytes, px_bytes **ret_bytes)
{
    uint8_t *data;

    PX_TRY(px_bytes_new(bytes.size, &data, ret_bytes));
    if (bytes.size != 0) {
        memcpy(data, bytes.data, bytes.size);
    }
    return PX_OK;
}

px_err px_bytes_adopt(void *data, size_t size, px_release *release, void *hint,
                      px_bytes **ret_bytes)
{
    px_bytes *bytes;

    assert(release != NULL);
    PX_TRY(px_bytes_new(0, NULL, &bytes));
    bytes->data = data;
    bytes->size = size;
    bytes->release = release;
    bytes->hint = hint;
    *ret_bytes = bytes;
    return PX_OK;
}

px_bytes *px_bytes_ref(px_bytes *bytes)
{
    (void)atomic_fetch_add_explicit(&bytes->refs, 1, memory_order_relaxed);
    return bytes;
}

void px_bytes_unref(px_bytes *bytes)
{
    if (bytes == NULL) {
        return;
    }
    if (atomic_fetch_sub_explicit(&bytes->refs, 1, memory_order_acq_rel) == 1) {
        if (bytes->release != NULL) {
            bytes->release(bytes->data, bytes->hint);
        }
        free(bytes);
    }
}

px_slice px_bytes_slice(const px_bytes *bytes)
{
    return px_slice_of(bytes->data, bytes->size);
}

void px_frames_done(px_frames *frames)
{
    if (frames == NULL) {
        return;
    }
    for (size_t i = 0; i < frames->n; i++) {
        px_bytes_unref(frames->items[i]);
    }
    if (frames->items != frames->inline_items) {
        free(frames->items);
    }
    frames->items = NULL;
    frames->n = 0;
    frames->capacity = 0;
}

px_slice px_frames_get(const px_frames *frames, size_t index)
{
    assert(index < frames->n);
    return px_bytes_slice(frames->items[index]);
}

px_bytes *px_frames_at(const px_frames *frames, size_t index)
{
    assert(index < frames->n);
    return frames->items[index];
}

static px_err reserve(px_frames *frames, size_t extra)
{
    const size_t n_inline = sizeof(frames->inline_items) / sizeof(frames->inline_items[0]);
    size_t wanted = frames->n + extra;

    if (wanted <= frames->capacity) {
        return PX_OK;
    }
    if (frames->items == NULL && wanted <= n_inline) {
        frames->items = frames->inline_items;
        frames->capacity = n_inline;
        return PX_OK;
    }
    size_t capacity = wanted < 2 * n_inline ? 2 * n_inline : wanted + wanted / 2;
    bool is_inline = frames->items == frames->inline_items;
    px_bytes **items = realloc(is_inline ? NULL : frames->items, capacity * sizeof(px_bytes *));
    if (items == NULL) {
        return PX_ENOMEM;
    }
    if (is_inline) {
        memcpy(items, frames->inline_items, frames->n * sizeof(px_bytes *));
    }
    frames->items = items;
    frames->capacity = capacity;
    return PX_OK;
}

px_err px_frames_push(px_frames *frames, px_bytes *bytes)
{
    PX_TRY(reserve(frames, 1));
    frames->items[frames->n++] = bytes;
    return PX_OK;
}

px_err px_frames_push_copy(px_frames *frames, px_slice bytes)
{
    px_bytes *copy;

    PX_TRY(reserve(frames, 1));
    PX_TRY(px_bytes_copy(bytes, &copy));
    frames->items[frames->n++] = copy;
    return PX_OK;
}

px_err px_frames_share(px_frames *frames, const px_frames *from, size_t first, size_t n)
{
    assert(first <= from->n && n <= from->n - first && frames != from);
    PX_TRY(reserve(frames, n));
    for (size_t i = 0; i < n; i++) {
        frames->items[frames->n++] = px_bytes_ref(from->items[first + i]);
    }
    return PX_OK;
}

void px_frames_set(px_frames *frames, size_t index, px_bytes *bytes)
{
    assert(index < frames->n);
    px_bytes_unref(frames->items[index]);
    frames->items[index] = bytes;
}

void px_frames_move(px_frames *to, px_frames *from)
{
    assert(to->n == 0);
    px_frames_done(to);
    *to = *from;
    if (from->items == from->inline_items) {
        to->items = to->inline_items;
    }
    *from = (px_frames){0};
}

size_t px_frames_bytes(const px_frames *frames)
{
    size_t size = 0;

    for (size_t i = 0; i < frames->n; i++) {
        size += frames->items[i]->size;
    }
    return size;
}
