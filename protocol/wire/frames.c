// Bytes with one owner or many, and a message as a row of them. A body is written once and then
// only referenced: by every engine's copy of a broadcast, by ZeroMQ until it is on its way, by a
// queue.
//
// An array of references lives inside px_frames itself until a message has more than ten frames, so
// an ordinary message costs no allocation here. The frames of a small message that is received or
// composed lie in one block, with one count for all: they come and go together.
#include "frames.h"

#include "block.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct px_bytes {
    atomic_size_t refs; // of a frame in a block: not used, the block has the count
    uint8_t *data;
    size_t size;
    px_release *release; // NULL: the bytes follow in the same allocation, or are in a block
    void *hint;
    px__block *home; // NULL: it is in no block
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
    bytes->home = NULL;
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

// Frames begin where any number may: a frame may be an array's memory.
static size_t room_of(size_t size)
{
    return (size + sizeof(uint64_t) - 1) & ~(sizeof(uint64_t) - 1);
}

px_err px__frames_new(px_frames *frames, const size_t *sizes, size_t n)
{
    size_t total = 0;
    size_t before = frames->n;

    PX_TRY(px__frames_reserve(frames, n));
    for (size_t i = 0; i < n; i++) {
        total += room_of(sizes[i]); // little, as the caller knows
    }
    px__block *home = px__block_new(n * sizeof(px_bytes) + total);
    if (home == NULL) {
        return PX_ENOMEM;
    }
    px_bytes *bytes = (px_bytes *)(void *)(home + 1);
    uint8_t *data = (uint8_t *)(bytes + n);
    atomic_init(&home->refs, n);
    for (size_t i = 0; i < n; i++) {
        bytes[i].data = data;
        bytes[i].size = sizes[i];
        bytes[i].release = NULL;
        bytes[i].home = home;
        data += room_of(sizes[i]);
        frames->items[before + i] = &bytes[i];
    }
    frames->n = before + n;
    return PX_OK;
}

px_bytes *px_bytes_ref(px_bytes *bytes)
{
    atomic_size_t *refs = bytes->home != NULL ? &bytes->home->refs : &bytes->refs;
    (void)atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
    return bytes;
}

uint8_t *px__frames_data(const px_frames *frames, size_t index)
{
    return frames->items[index]->data;
}

static void unref_block(px__block *home, size_t n)
{
    if (atomic_fetch_sub_explicit(&home->refs, n, memory_order_acq_rel) == n) {
        px__block_free(home);
    }
}

void px_bytes_unref(px_bytes *bytes)
{
    if (bytes == NULL) {
        return;
    }
    if (bytes->home != NULL) {
        unref_block(bytes->home, 1);
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

// run_of counts the frames from first on that are in one block.
static size_t run_of(const px_frames *frames, size_t first)
{
    const px__block *home = frames->items[first]->home;
    size_t end = first + 1;

    while (home != NULL && end < frames->n && frames->items[end]->home == home) {
        end++;
    }
    return end - first;
}

void px_frames_done(px_frames *frames)
{
    if (frames == NULL) {
        return;
    }
    for (size_t i = 0; i < frames->n;) {
        px__block *home = frames->items[i]->home;
        size_t run = run_of(frames, i);
        if (home != NULL) {
            unref_block(home, run);
        } else {
            px_bytes_unref(frames->items[i]);
        }
        i += run;
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

px_err px__frames_reserve(px_frames *frames, size_t extra)
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
    PX_TRY(px__frames_reserve(frames, 1));
    frames->items[frames->n++] = bytes;
    return PX_OK;
}

px_err px_frames_push_copy(px_frames *frames, px_slice bytes)
{
    px_bytes *copy;

    PX_TRY(px__frames_reserve(frames, 1));
    PX_TRY(px_bytes_copy(bytes, &copy));
    frames->items[frames->n++] = copy;
    return PX_OK;
}

px_err px_frames_share(px_frames *frames, const px_frames *from, size_t first, size_t n)
{
    assert(first <= from->n && n <= from->n - first && frames != from);
    PX_TRY(px__frames_reserve(frames, n));
    for (size_t i = first; i < first + n;) {
        px__block *home = from->items[i]->home;
        size_t run = run_of(from, i);
        run = run < first + n - i ? run : first + n - i;
        if (home != NULL) {
            (void)atomic_fetch_add_explicit(&home->refs, run, memory_order_relaxed);
        } else {
            (void)px_bytes_ref(from->items[i]);
        }
        memcpy(frames->items + frames->n, from->items + i, run * sizeof(px_bytes *));
        frames->n += run;
        i += run;
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
