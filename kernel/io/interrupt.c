// Interrupts, C half.
//
// A flag that Python is told about from another thread does not stop a loop and never ends a sleep,
// so an interrupt is a real SIGINT sent to the main thread (or to our process group, so that
// children of the cell get it too). `busy` is read and the signal is sent under one lock, and
// px-main clears `busy` under the same lock at the end of a request: after that no signal can be
// sent for it. One that is already on its way is swallowed by px-main (py/signals.c).

#include "io/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static void ignore(int signum)
{
    (void)signum;
}

px_err px_interrupt_init(px_interrupt *interrupt)
{
    *interrupt = (px_interrupt){.main = pthread_self(), .booting = true};
    return pthread_mutex_init(&interrupt->lock, NULL) == 0 ? PX_OK : PX_ENOMEM;
}

void px_interrupt_early(px_interrupt *interrupt)
{
    interrupt->main = pthread_self();
    struct sigaction action = {.sa_handler = ignore};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL); // cannot fail for SIGINT
}

bool px_interrupt_begin(px_interrupt *interrupt, px_parent *running, px_ns posted)
{
    (void)pthread_mutex_lock(&interrupt->lock);
    // One that came before the request is not meant for it.
    bool pending = interrupt->booting && interrupt->pending > posted;
    interrupt->busy = true;
    interrupt->sent = false;
    interrupt->running = running;
    interrupt->booting = false;
    interrupt->pending = 0;
    (void)pthread_mutex_unlock(&interrupt->lock);
    return pending;
}

bool px_interrupt_end(px_interrupt *interrupt)
{
    (void)pthread_mutex_lock(&interrupt->lock);
    bool sent = interrupt->sent;
    interrupt->busy = false;
    interrupt->running = NULL;
    (void)pthread_mutex_unlock(&interrupt->lock);
    return sent;
}

bool px_interrupt_busy(px_interrupt *interrupt)
{
    (void)pthread_mutex_lock(&interrupt->lock);
    bool busy = interrupt->busy;
    (void)pthread_mutex_unlock(&interrupt->lock);
    return busy;
}

void px_interrupt_show(px_interrupt *interrupt, px_parent *parent)
{
    (void)px_parent_ref(parent);
    (void)pthread_mutex_lock(&interrupt->lock);
    px_parent *before = interrupt->shown;
    interrupt->shown = parent;
    (void)pthread_mutex_unlock(&interrupt->lock);
    px_parent_unref(before);
}

px_parent *px_interrupt_shown(px_interrupt *interrupt)
{
    (void)pthread_mutex_lock(&interrupt->lock);
    return px_parent_ref(interrupt->shown);
}

void px_interrupt_unlock(px_interrupt *interrupt)
{
    (void)pthread_mutex_unlock(&interrupt->lock);
}

px_parent *px_interrupt_running(px_interrupt *interrupt)
{
    (void)pthread_mutex_lock(&interrupt->lock);
    px_parent *running =
        px_parent_ref(interrupt->shown != NULL ? interrupt->shown : interrupt->running);
    (void)pthread_mutex_unlock(&interrupt->lock);
    return running;
}

// send_signal interrupts what runs. Lock held.
static px_err send_signal(px_interrupt *interrupt, bool group)
{
    interrupt->sent = true;
    if (group && getpgrp() == getpid()) {
        return kill(0, SIGINT) == 0 ? PX_OK : px_err_from_errno(errno);
    }
    int errnum = pthread_kill(interrupt->main, SIGINT);
    return errnum == 0 ? PX_OK : px_err_from_errno(errnum);
}

px_err px_interrupt_send(px_interrupt *interrupt, bool group)
{
    px_err err = PX_OK;
    (void)pthread_mutex_lock(&interrupt->lock);
    if (interrupt->busy || atomic_load(&interrupt->others) > 0) {
        err = send_signal(interrupt, group);
    } else if (interrupt->booting) {
        interrupt->pending = px_now();
    }
    (void)pthread_mutex_unlock(&interrupt->lock);
    return err;
}

void px_interrupt_again(px_interrupt *interrupt)
{
    (void)pthread_mutex_lock(&interrupt->lock);
    if (interrupt->busy && interrupt->sent) {
        (void)send_signal(interrupt, false); // as before, when there was no error
    }
    (void)pthread_mutex_unlock(&interrupt->lock);
}

px_err px_interrupt_send_to(px_interrupt *interrupt, px_match *match, void *context)
{
    px_err err = PX_ENOENT;
    (void)pthread_mutex_lock(&interrupt->lock);
    if (interrupt->busy && interrupt->running != NULL && match(context, interrupt->running)) {
        err = send_signal(interrupt, true);
    }
    (void)pthread_mutex_unlock(&interrupt->lock);
    return err;
}
