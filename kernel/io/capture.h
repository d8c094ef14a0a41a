// capture.h: what C libraries and child processes write to descriptors 1 and 2.
//
// Both become pipes. px-io reads them without the GIL, so a C call that holds the GIL may print
// megabytes. Before anything else of a cell is posted the poster reads them too (px_capture_drain,
// any thread), so order is true to a system call. Bytes go to the notebook as whole UTF-8
// characters, and the first MiB of a request unchanged to the original descriptor.
#ifndef PX_KERNEL_CAPTURE_H
#define PX_KERNEL_CAPTURE_H

#include "warm/warm.h"

#include "px/err.h"
#include "px/time.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct px_outbox px_outbox;

typedef struct px_capture_pipe {
    int read_fd;     // px-io watches it from the start; -1: none
    int write_fd;    // stays open, so that the pipe never ends
    int original_fd; // the descriptor as it was before
    uint8_t tail[4]; // the beginning of a character whose end has not come
    uint8_t n_tail;
} px_capture_pipe;

typedef struct px_capture {
    pthread_mutex_t lock;
    px_outbox *outbox;
    px_capture_pipe pipes[2]; // stdout, stderr
    const void *copied_for;   // the request whose bytes are counted; only compared
    size_t copied;
    px_last_words *_Atomic words; // where the last of stderr is kept for the keeper; NULL: nowhere
    atomic_uint misses;           // looks at the pipes before a text that found nothing, in a row
    atomic_bool draining;         // what the pipes held is on its way to the outbox
    atomic_bool on;
    _Atomic uint64_t last_text; // when Python last wrote, in ticks
    _Atomic double pace;        // ticks in a nanosecond; 0: not known yet
    uint64_t opened_ticks;      // when it was started
    px_ns opened;               // the same
} px_capture;

// px_capture_init makes the pipes (unless wanted is false); px-io watches px_capture_fd(…, 0 and 1)
// from then on.
px_err px_capture_init(px_capture *capture, px_outbox *outbox, bool wanted);
void px_capture_done(px_capture *capture);
// px_capture_start makes the pipes descriptors 1 and 2. Nothing happens when they are not wanted.
px_err px_capture_start(px_capture *capture, px_error *reterr);
// px_capture_stop puts the originals back and reads what is left.
void px_capture_stop(px_capture *capture);
int px_capture_fd(const px_capture *capture, int which);
// px_capture_original is the descriptor that 1 (which 0) or 2 (which 1) was; itself when not
// captured.
int px_capture_original(const px_capture *capture, int which);
// px_capture_drain posts what the pipes hold. With end, also characters that are not whole. Any
// thread, never blocks.
void px_capture_drain(px_capture *capture, bool end);
// px_capture_before_text is the drain for a writer of text that may come 10 million times: it looks
// only when the last text was so long ago that somebody else can have written to a descriptor
// since, which must stand before the next. Any thread.
void px_capture_before_text(px_capture *capture);

#endif
