// note.h: what a notebook says in place of output that is not shown (PURE).
#ifndef PX_KERNEL_NOTE_H
#define PX_KERNEL_NOTE_H

#include "io/spill.h"

#include "px/buf.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct px_note {
    const char *session; // with number: the display's identity
    unsigned number;
    bool last; // the cell has ended
    px_spill_report file;
    uint64_t missing;  // bytes that the page does not have
    uint64_t displays; // … in so many displays, which are in the file; 0: it is text
    px_slice preview;  // the end of the text while the cell runs; may be long
} px_note;

// px_note_write appends the content of a display_data message: plain text, HTML with a link, and
// what a program wants to know in the metadata.
void px_note_write(const px_note *note, px_buf *out);
// px_note_sentence appends the sentence alone.
void px_note_sentence(const px_note *note, px_buf *out);

#endif
