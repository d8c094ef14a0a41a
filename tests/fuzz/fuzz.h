// fuzz.h: what the fuzz targets share.
#ifndef PX_FUZZ_H
#define PX_FUZZ_H

#include "px/frames.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// must stops the program where what must hold does not; the fuzzer reports it.
static inline void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

// fuzz_frames cuts the input into frames, each with its length, two bytes, before it.
static inline void fuzz_frames(const uint8_t *data, size_t size, px_frames *frames)
{
    while (size >= 2) {
        size_t length = data[0] | (size_t)data[1] << 8;
        data += 2;
        size -= 2;
        length = length < size ? length : size;
        must(px_frames_push_copy(frames, px_slice_of(data, length)) == PX_OK);
        data += length;
        size -= length;
    }
}

#endif
