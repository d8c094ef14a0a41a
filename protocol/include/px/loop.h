// loop.h: one thread's event loop over ZeroMQ sockets, file descriptors, timers and one mailbox.
//
// A round: wait, then each ready source once (a source drains itself up to a budget and says if more is left), then timers,
// then the sources removed during the round are forgotten. Owner thread only, except px_loop_stop and px_mailbox_post.
// Without ZeroMQ sources it waits in epoll; with them in zmq_poll: the interface hides which.
#ifndef PX_LOOP_H
#define PX_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "px/err.h"
#include "px/mailbox.h"
#include "px/time.h"

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

// Sources carry a name for traces (kept, static storage). The descriptor or socket stays the caller's.
px_err px_loop_add_fd(px_loop *loop, const char *name, int fd, int events, px_ready *ready, void *context,
                      px_source **ret_source);
px_err px_loop_add_socket(px_loop *loop, const char *name, px_socket *socket, px_ready *ready, void *context,
                          px_source **ret_source);
// px_loop_add_mailbox calls came for every letter, oldest first; the letter is the callback's.
px_err px_loop_add_mailbox(px_loop *loop, const char *name, px_mailbox *box, px_letter_came *came, void *context);
// px_source_set_events changes what is waited for.
void px_source_set_events(px_source *source, int events);
// px_source_remove may be called from any callback of the loop, also the source's own; NULL is allowed.
void px_source_remove(px_source *source);

// px_loop_add_timer fires once at due, or every period when period is not 0.
px_err px_loop_add_timer(px_loop *loop, const char *name, px_ns due, px_ns period, px_timer_fired *fired, void *context,
                         px_timer **ret_timer);
void px_timer_set(px_timer *timer, px_ns due);
void px_timer_remove(px_timer *timer);

// px_loop_run returns after px_loop_stop (any thread) or a failing wait.
px_err px_loop_run(px_loop *loop);
// px_loop_once runs one round, waiting at most timeout_ms (-1: for ever).
px_err px_loop_once(px_loop *loop, int timeout_ms);
void px_loop_stop(px_loop *loop);

#endif
