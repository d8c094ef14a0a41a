// buf.h: bytes. px_slice borrows, px_buf owns and grows. Not shared between threads without a lock.
#ifndef PX_BUF_H
#define PX_BUF_H

#include "px/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// px_slice is borrowed bytes; valid as long as their owner says. data may be NULL when size is 0.
typedef struct px_slice {
    const uint8_t *data;
    size_t size;
} px_slice;

static inline px_slice px_slice_of(const void *data, size_t size)
{
    return (px_slice){.data = data, .size = size};
}
static inline px_slice px_slice_str(const char *text)
{
    return px_slice_of(text, strlen(text));
}
static inline bool px_slice_equal(px_slice a, px_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
#define PX_SLICE_LITERAL(text) px_slice_of("" text, sizeof(text) - 1)

// px_buf owns size bytes at data (capacity allocated). {0} is a valid empty buffer. Once an append
// fails, failed stays set and later appends do nothing, so a writer checks once at the end
// (px_buf_status).
typedef struct px_buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool failed;
} px_buf;

void px_buf_done(px_buf *buf);
void px_buf_clear(px_buf *buf);
// px_buf_reserve makes room for extra more bytes.
px_err px_buf_reserve(px_buf *buf, size_t extra);
void px_buf_append(px_buf *buf, const void *data, size_t size);
void px_buf_append_slice(px_buf *buf, px_slice slice);
void px_buf_append_str(px_buf *buf, const char *text);
[[gnu::format(printf, 2, 3)]] void px_buf_printf(px_buf *buf, const char *format, ...);
px_err px_buf_status(const px_buf *buf);
static inline px_slice px_buf_slice(const px_buf *buf)
{
    return px_slice_of(buf->data, buf->size);
}
// px_buf_line gives the whole line that begins at *at, without its end, and puts *at behind it;
// false when there is none yet. px_buf_drop removes so many bytes from the front.
bool px_buf_line(const px_buf *buf, size_t *at, px_slice *ret_line);
void px_buf_drop(px_buf *buf, size_t size);
// px_buf_detach gives the bytes away (free with free()); the buffer is empty afterwards.
uint8_t *px_buf_detach(px_buf *buf, size_t *ret_size);

#define PX_AUTO_BUF [[gnu::cleanup(px_buf_done)]] px_buf

#endif
