#include "px/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SMALLEST 256

void px_buf_done(px_buf *buf)
{
    if (buf == NULL) {
        return;
    }
    free(buf->data);
    *buf = (px_buf){0};
}

void px_buf_clear(px_buf *buf)
{
    buf->size = 0;
    buf->failed = false;
}

px_err px_buf_reserve(px_buf *buf, size_t extra)
{
    if (buf->failed) {
        return PX_ENOMEM;
    }
    if (extra <= buf->capacity - buf->size) {
        return PX_OK;
    }
    if (extra > SIZE_MAX / 2 - buf->size) {
        buf->failed = true;
        return PX_ENOMEM;
    }
    size_t wanted = buf->size + extra;
    size_t capacity = buf->capacity + buf->capacity / 2;
    if (capacity < wanted) {
        capacity = wanted;
    }
    if (capacity < SMALLEST) {
        capacity = SMALLEST;
    }
    uint8_t *data = realloc(buf->data, capacity);
    if (data == NULL) {
        buf->failed = true;
        return PX_ENOMEM;
    }
    buf->data = data;
    buf->capacity = capacity;
    return PX_OK;
}

void px_buf_append(px_buf *buf, const void *data, size_t size)
{
    if (size == 0 || px_buf_reserve(buf, size) != PX_OK) {
        return;
    }
    memcpy(buf->data + buf->size, data, size);
    buf->size += size;
}

void px_buf_append_slice(px_buf *buf, px_slice slice)
{
    px_buf_append(buf, slice.data, slice.size);
}

void px_buf_append_str(px_buf *buf, const char *text)
{
    px_buf_append(buf, text, strlen(text));
}

void px_buf_printf(px_buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;

    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length < 0) {
        buf->failed = true;
    } else if (px_buf_reserve(buf, (size_t)length + 1) == PX_OK) {
        (void)vsnprintf((char *)buf->data + buf->size, (size_t)length + 1, format, again);
        buf->size += (size_t)length;
    }
    va_end(again);
    va_end(args);
}

px_err px_buf_status(const px_buf *buf)
{
    return buf->failed ? PX_ENOMEM : PX_OK;
}

bool px_buf_line(const px_buf *buf, size_t *at, px_slice *ret_line)
{
    size_t rest = buf->size - *at;
    const uint8_t *end = rest > 0 ? memchr(buf->data + *at, '\n', rest) : NULL;
    if (end == NULL) {
        return false;
    }
    *ret_line = px_slice_of(buf->data + *at, (size_t)(end - (buf->data + *at)));
    *at += ret_line->size + 1;
    return true;
}

void px_buf_drop(px_buf *buf, size_t size)
{
    memmove(buf->data, buf->data + size, buf->size - size);
    buf->size -= size;
}

uint8_t *px_buf_detach(px_buf *buf, size_t *ret_size)
{
    uint8_t *data = buf->data;
    if (ret_size != NULL) {
        *ret_size = buf->size;
    }
    *buf = (px_buf){0};
    return data;
}
