// visible.h: how much of a text a page still holds after carriage returns (PURE). A progress bar
// writes over its own line for hours: what it wrote over does not count, and need not be sent.
#ifndef PX_KERNEL_VISIBLE_H
#define PX_KERNEL_VISIBLE_H

#include "px/buf.h"

#include <stdbool.h>
#include <stddef.h>

// px_visible counts the bytes that one stream shows; {0} is an empty page.
#define PX_VISIBLE_ABOVE 8

typedef struct px_visible {
    size_t lines;                   // in lines that are complete
    size_t line;                    // the longest text that the last line had so far
    size_t at;                      // how far the text since its last carriage return is
    size_t above[PX_VISIBLE_ABOVE]; // sizes of the lines above, the nearest last; 0: not known
} px_visible;

// px_visible_add counts text. A line that the cursor goes up from is written over the next time, so
// it counts no longer.
void px_visible_add(px_visible *visible, px_slice text);
static inline size_t px_visible_size(const px_visible *visible)
{
    return visible->lines + visible->line;
}

// px_overwrites tells if text has a carriage return that is no end of a line.
bool px_overwrites(px_slice text);
// px_overwrite appends text to out without what is written over inside it. What is left looks the
// same after anything that may stand before it.
void px_overwrite(px_slice text, px_buf *out);

#endif
