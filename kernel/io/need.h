// need.h: memory that a kernel cannot go on without. Out of memory is fatal here: one line on
// stderr and abort.
#ifndef PX_KERNEL_NEED_H
#define PX_KERNEL_NEED_H

#include "px/err.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn static inline void px_out_of_memory(void)
{
    (void)fputs("pxkernel: out of memory\n", stderr);
    abort();
}

// px_need_zeroed is calloc that does not fail.
static inline void *px_need_zeroed(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        px_out_of_memory();
    }
    return memory;
}

// px_must is for calls that can only fail for want of memory.
static inline void px_must(px_err err)
{
    if (err != PX_OK) {
        px_out_of_memory();
    }
}

#endif
