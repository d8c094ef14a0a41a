// block.h (internal): memory for the frames of one small message, used again and again.
#ifndef PX_BLOCK_INTERNAL_H
#define PX_BLOCK_INTERNAL_H

#include <stdatomic.h>
#include <stddef.h>

// px__block begins an allocation; what it is for follows it.
typedef struct px__block {
    atomic_size_t refs; // its user's
    struct px__block *next;
    size_t class;
} px__block;

// px__block_new gives memory for size bytes behind the block, one reference; NULL: out of memory.
// px__block_free takes it back. Any thread.
px__block *px__block_new(size_t size);
void px__block_free(px__block *block);

#endif
