// interrupt.h: who is interrupted, and when. The C half of the fence: an interrupt acts on the
// request that runs, is kept for the first one while Python boots, and never reaches the next.
#ifndef PX_KERNEL_INTERRUPT_H
#define PX_KERNEL_INTERRUPT_H

#include "io/waiting.h"

#include "px/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct px_interrupt {
    pthread_mutex_t lock;
    pthread_t main;     // the thread that runs Python
    bool busy;          // a request runs
    bool sent;          // a signal was sent for it
    bool booting;       // no request has run yet: an interrupt waits for the first
    px_ns pending;      // when an interrupt came while booting; 0: none did
    px_parent *running; // the request that is busy; not a reference: it outlives busy
    atomic_uint others; // requests that run in subshells
    px_parent *shown;   // what front ends were told is running: until its `idle` is posted
} px_interrupt;

px_err px_interrupt_init(px_interrupt *interrupt);
// px_interrupt_begin says that a request, which came at posted, runs from here on. True: it was
// interrupted before it began. px-main.
bool px_interrupt_begin(px_interrupt *interrupt, px_parent *running, px_ns posted);
// px_interrupt_end says that none runs. After it no signal is sent for the request; one may be on
// its way if true is returned: some were sent. px-main.
bool px_interrupt_end(px_interrupt *interrupt);
bool px_interrupt_busy(px_interrupt *interrupt);
// px_interrupt_show says that `busy` of parent is out, or with NULL that its `idle` is about to be
// posted. px-main.
void px_interrupt_show(px_interrupt *interrupt, px_parent *parent);
// px_interrupt_shown gives the running request, whose `idle` is not posted yet: a new reference, or
// NULL. Locks until px_interrupt_unlock, so that `idle` cannot be posted in between.
px_parent *px_interrupt_shown(px_interrupt *interrupt);
void px_interrupt_unlock(px_interrupt *interrupt);
// px_interrupt_running gives the request that front ends were told of, else (an engine tells
// nobody) the one that runs: a new reference, or NULL. Any thread.
px_parent *px_interrupt_running(px_interrupt *interrupt);
// px_interrupt_send interrupts what runs: our process group when we lead it (children too), else
// the main thread. When that runs nothing but a subshell does, the main thread passes it on
// (py/shell.c). Any thread.
px_err px_interrupt_send(px_interrupt *interrupt, bool group);
// px_interrupt_send_to interrupts what runs if it is the request meant. PX_ENOENT when it is not.
// Any thread.
px_err px_interrupt_send_to(px_interrupt *interrupt, px_match *match, void *context);
// px_interrupt_again sends the signal once more to what runs, if it was sent to it before: for one
// that came between Python's last look and its wait. Harmless when Python has not come by since: it
// counts no signals.
void px_interrupt_again(px_interrupt *interrupt);
// px_interrupt_early has SIGINT do nothing until Python has its own handler: a signal does not tell
// when it was sent, so it cannot be kept for a request as interrupt_request is. px-main, once,
// before Python.
void px_interrupt_early(px_interrupt *interrupt);

#endif
