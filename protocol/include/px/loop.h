// loop.h: one thread's event loop over ZeroMQ sockets, file descriptors, timers and one mailbox.
//
// A round: wait, then each ready source once (one that drains itself only up to a budget is called
// again in the next round), then timers, then the sources removed during the round are freed. Owner
// thread only, except px_loop_stop and px_mailbox_post.
#ifndef PX_LOOP_H
#define PX_LOOP_H

#include "px/err.h"
#include "px/mailbox.h"
#include "px/time.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct px_loop px_loop;
typedef struct px_source px_source;
typedef struct px_timer px_timer;
typedef struct px_socket px_socket;

enum { PX_READABLE = 1, PX_WRITABLE = 2, PX_HANGUP = 4 };

// px_ready is called with what is ready. It must not block.
typedef void px_ready(void *context, int events);
typedef void px_timer_fired(void *context, px_ns now);
typedef void px_letter_came(void *context, px_letter *letter);

px_err px_loop_new(px_loop **ret_loop);
void px_loop_free(px_loop *loop);

// Sources carry a name for traces (kept, static storage). The descriptor or socket stays the
// caller's; remove the source before closing it. A descriptor can be in a loop once; a regular file
// or /dev/null cannot be waited for (PX_EPERM). With no events wanted nothing is reported, not even
// a hang-up; otherwise PX_HANGUP may come unasked.
typedef struct px_watch {
    const char *name;
    int fd;
    int events;
    px_ready *ready;
    void *context;
} px_watch;
px_err px_loop_watch(px_loop *loop, const px_watch *watch, px_source **ret_source);
// px_loop_add_fd is px_loop_watch in one line; ret_source may be NULL.
#define px_loop_add_fd(loop, name, fd, events, ready, context, ret_source)                         \
    px_loop_watch(loop, &(const px_watch){name, fd, events, ready, context}, ret_source)

px_err px_loop_add_socket(px_loop *loop, const char *name, px_socket *socket, px_ready *ready,
                          void *context, px_source **ret_source);
// px_loop_add_mailbox calls came for every letter, oldest first; the letter is the callback's.
px_err px_loop_add_mailbox(px_loop *loop, const char *name, px_mailbox *box, px_letter_came *came,
                           void *context);
// px_source_set_events changes what is waited for.
void px_source_set_events(px_source *source, int events);
// px_source_remove may be called from any callback of the loop, also the source's own; NULL is
// allowed.
void px_source_remove(px_source *source);

// A timer fires once at due, or every period when period is not 0. It stays the loop's until
// px_timer_remove; one that has fired can be set again.
typedef struct px_alarm {
    const char *name;
    px_ns due;
    px_ns period;
    px_timer_fired *fired;
    void *context;
} px_alarm;
px_err px_loop_alarm(px_loop *loop, const px_alarm *alarm, px_timer **ret_timer);
// px_loop_add_timer is px_loop_alarm in one line; ret_timer may be NULL.
#define px_loop_add_timer(loop, name, due, period, fired, context, ret_timer)                      \
    px_loop_alarm(loop, &(const px_alarm){name, due, period, fired, context}, ret_timer)
void px_timer_set(px_timer *timer, px_ns due);
void px_timer_remove(px_timer *timer);

// px_loop_run returns after px_loop_stop (any thread) or a failing wait.
px_err px_loop_run(px_loop *loop);
// px_loop_once runs one round, waiting at most timeout_ms (-1: for ever).
px_err px_loop_once(px_loop *loop, int timeout_ms);
void px_loop_stop(px_loop *loop);

#endif
