// known.h: completion and inspection while C code holds the GIL: answered from what was known at
// the last cell's end.
#ifndef PX_KERNEL_KNOWN_H
#define PX_KERNEL_KNOWN_H

#include "px/buf.h"
#include "px/err.h"
#include "px/frames.h"

#include <pthread.h>
#include <stdbool.h>

typedef struct px_io px_io;
typedef struct px_request px_request;
typedef struct px_timer px_timer;

typedef struct px_known {
    pthread_mutex_t lock;
    px_bytes *names;   // under lock: each followed by a newline; NULL: nothing is known
    px_request *asked; // px-io: lent to px-side, which has not begun (a list by next)
    px_timer *timer;
} px_known;

px_err px_known_init(px_known *known);
void px_known_done(px_known *known);
// px_known_set replaces the names. Takes names. Any thread.
void px_known_set(px_known *known, px_bytes *names);

// px_known_attach adds the timer to px-io's loop. px-io.
px_err px_known_attach(px_io *io);
// px_known_lent says that px-side was given request: if it cannot begin soon, px-io answers. px-io.
void px_known_lent(px_io *io, px_request *request);

// px_known_complete writes the content of a complete_reply for a complete_request with content:
// the names that begin as the word under the cursor does, none behind a dot. Pure.
void px_known_complete(px_slice names, px_slice content, px_buf *out);

#endif
