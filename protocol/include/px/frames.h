// frames.h: a multipart message. Each frame is bytes with one owner: moved, shared by reference, or
// adopted from foreign memory with a release function. Not shared between threads; a frame's bytes
// may be (they never change).
#ifndef PX_FRAMES_H
#define PX_FRAMES_H

#include "px/buf.h"
#include "px/err.h"

#include <stddef.h>

// px_release is called once when the last reference to adopted bytes goes, from whichever thread
// drops it.
typedef void px_release(void *data, void *hint);

// px_bytes is reference-counted immutable bytes (atomic count): what a frame holds.
typedef struct px_bytes px_bytes;
px_err px_bytes_copy(px_slice bytes, px_bytes **ret_bytes);
// px_bytes_new allocates size writable bytes, to be filled before it is shared.
px_err px_bytes_new(size_t size, uint8_t **ret_data, px_bytes **ret_bytes);
px_err px_bytes_adopt(void *data, size_t size, px_release *release, void *hint,
                      px_bytes **ret_bytes);
px_bytes *px_bytes_ref(px_bytes *bytes);
void px_bytes_unref(px_bytes *bytes);
px_slice px_bytes_slice(const px_bytes *bytes);

// px_frames owns n references. {0} is a valid empty message.
typedef struct px_frames {
    px_bytes **items;
    size_t n;
    size_t capacity;
    px_bytes *inline_items[10];
} px_frames;

void px_frames_done(px_frames *frames);
static inline size_t px_frames_count(const px_frames *frames)
{
    return frames->n;
}
px_slice px_frames_get(const px_frames *frames, size_t index);
// px_frames_push takes the reference on success; on failure it stays the caller's.
px_err px_frames_push(px_frames *frames, px_bytes *bytes);
px_err px_frames_push_copy(px_frames *frames, px_slice bytes);
// px_frames_share appends references to from's frames [first, first + n).
px_err px_frames_share(px_frames *frames, const px_frames *from, size_t first, size_t n);
// px_frames_set replaces one frame (takes bytes, drops the old one).
void px_frames_set(px_frames *frames, size_t index, px_bytes *bytes);
px_bytes *px_frames_at(const px_frames *frames, size_t index); // borrowed
void px_frames_move(px_frames *to, px_frames *from); // to must be empty; from is empty afterwards
size_t px_frames_bytes(const px_frames *frames);     // sum of sizes

#define PX_AUTO_FRAMES [[gnu::cleanup(px_frames_done)]] px_frames

#endif
