// early.h: what is published before anybody has subscribed.
//
// A publishing socket drops what nobody has asked for. Just after a start that is too early: a
// client's shell socket may be connected, and its cell done, before its iopub socket is; the idle
// status that it then waits for would never come. So for PX_EARLY_FOR the first messages are kept
// for the first subscriber. px-io, or whoever holds the sending lock.
#ifndef PX_KERNEL_EARLY_H
#define PX_KERNEL_EARLY_H

#include "px/frames.h"
#include "px/time.h"

#include <stdbool.h>

#define PX_EARLY_FOR (10 * PX_NS_PER_S)
#define PX_EARLY_BYTES ((size_t)16 << 20)

typedef struct px_early_message px_early_message;

typedef struct px_early {
    px_early_message *first, *last;
    size_t bytes;
    px_ns until; // 0: somebody has subscribed, or it has taken too long
} px_early;

void px_early_init(px_early *early, px_ns now);
// px_early_keep takes frames if they are to be kept; false: send them.
bool px_early_keep(px_early *early, px_frames *frames, px_ns now);
// px_early_take gives the next message that was kept, oldest first; false: no more, and from now on
// nothing is kept.
bool px_early_take(px_early *early, px_frames *ret_frames);
void px_early_done(px_early *early);

#endif
