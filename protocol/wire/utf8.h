// utf8.h (internal): the one decoder of UTF-8 that decides what is valid (Unicode 15, table 3-7).
#ifndef PX_UTF8_H
#define PX_UTF8_H

#include "px/buf.h"

// px__utf8_length is the length of the valid sequence at text[at], 1 to 4; 0 when it is not valid.
static inline size_t px__utf8_length(px_slice text, size_t at)
{
    const uint8_t *p = text.data + at;
    size_t left = text.size - at;
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    size_t length;

    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        length = 2;
    } else if ((p[0] & 0xf0) == 0xe0) {
        length = 3;
        low = p[0] == 0xe0 ? 0xa0 : low;   // overlong
        high = p[0] == 0xed ? 0x9f : high; // surrogates
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        length = 4;
        low = p[0] == 0xf0 ? 0x90 : low;   // overlong
        high = p[0] == 0xf4 ? 0x8f : high; // beyond U+10FFFF
    } else {
        return 0;
    }
    if (left < length || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

#endif
