// borrowing.h: whoever receives a message whose segments are lent (PX_ROUTE_LENT) has to say when
// it does not map them any more. A px_borrowing hears it: it wraps the buffers, however long Python
// or anybody else holds on to them.
//
// Counted; any thread may let go last, and runs the hook then. A process that has forked meanwhile
// must not say so, since its child may still look at the memory; the hook is told.
#ifndef PX_BORROWING_H
#define PX_BORROWING_H

#include "px/err.h"
#include "px/frames.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct px_borrowing px_borrowing;

// A px_returned frees context. It runs once, without locks of ours.
typedef void px_returned(void *context, bool forked);

// px_borrowing_new makes one with one reference, the caller's. PX_ENOMEM leaves context alone.
px_err px_borrowing_new(px_returned *over, void *context, px_borrowing **ret_borrowing);
// px_borrowing_cover wraps the large buffers among frames [first_buffer, …). PX_ENOMEM: some may
// stand as they were; then the hook must not say that they are returned (px_borrowing_spoil).
px_err px_borrowing_cover(px_borrowing *borrowing, px_frames *frames, size_t first_buffer);
// px_borrowing_spoil has the hook told what it is told after a fork.
void px_borrowing_spoil(px_borrowing *borrowing);
void px_borrowing_unref(px_borrowing *borrowing);

#endif
