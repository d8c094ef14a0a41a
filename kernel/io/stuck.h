// stuck.h: an interrupt that does not act. The signal may have come just before Python's main
// thread went to sleep in a system call: it is sent once more. Or Python sits in a C function that
// never looks for signals: the user is told so after two seconds, and where.
#ifndef PX_KERNEL_STUCK_H
#define PX_KERNEL_STUCK_H

#include "px/buf.h"
#include "px/err.h"
#include "px/time.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct px_io px_io;
typedef struct px_parent px_parent;
typedef struct px_timer px_timer;

// px_stuck is the state of the watch. Python sets ask and signal once it runs; the rest is px-io's.
typedef struct px_stuck {
    int read_fd, write_fd;  // a pipe: where Python's main thread is, as faulthandler writes it
    _Atomic uint64_t alive; // the latest question that the main thread has answered
    bool (*_Atomic ask)(uint64_t question); // has it answered; no GIL needed
    atomic_int signal; // makes it write where it is, whatever it is doing; 0: nothing does
    uint64_t question;
    px_parent *cell; // owned: the request that was interrupted; NULL: none is watched
    bool again;      // the interrupt was sent a second time
    bool told;       // … and its user was told
    bool asked;      // the signal was sent
    px_timer *timer;
    px_buf place;
} px_stuck;

// px_stuck_init makes the pipe.
px_err px_stuck_init(px_stuck *stuck);
void px_stuck_done(px_stuck *stuck);
// px_stuck_attach adds the pipe and the timer to px-io's loop. px-io.
px_err px_stuck_attach(px_io *io);
// px_stuck_watch begins: what runs was interrupted. Nothing happens when nothing runs. px-io.
void px_stuck_watch(px_io *io);

// px_stuck_place finds the innermost Python frame in what faulthandler wrote and appends it in
// words: "at line 3 of the cell", "at /a/b.py, line 7, in f". False: there is none, or not yet
// all of it. Pure.
bool px_stuck_place(px_slice text, px_buf *out);

#endif
