// The last of what a kernel wrote to its standard error, kept where it outlives the kernel.

#include "warm/warm.h"

#include <stdatomic.h>
#include <string.h>

void px_words_add(px_last_words *words, const void *text, size_t size)
{
    const char *from = text;
    uint64_t at = atomic_load_explicit(&words->written, memory_order_relaxed);
    if (size > PX_WORDS_TAIL) {
        from += size - PX_WORDS_TAIL;
        at += size - PX_WORDS_TAIL;
        size = PX_WORDS_TAIL;
    }
    size_t place = (size_t)(at % PX_WORDS_TAIL);
    size_t first = size < PX_WORDS_TAIL - place ? size : PX_WORDS_TAIL - place;
    memcpy(words->tail + place, from, first);
    memcpy(words->tail, from + first, size - first);
    atomic_store_explicit(&words->written, at + size, memory_order_release);
}
