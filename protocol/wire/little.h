// little.h (internal): little-endian numbers in wire formats.
#ifndef PX_LITTLE_H
#define PX_LITTLE_H

#include <stdint.h>

static inline uint64_t px__get(const uint8_t *wire, int n_bytes)
{
    uint64_t number = 0;
    for (int i = n_bytes - 1; i >= 0; i--) {
        number = number << 8 | wire[i];
    }
    return number;
}

static inline void px__put(uint8_t *wire, uint64_t number, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++) {
        wire[i] = (uint8_t)(number >> (8 * i));
    }
}

#endif
