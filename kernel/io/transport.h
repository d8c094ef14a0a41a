// transport.h: how messages reach a kernel and leave it: five bound sockets (transport_jupyter.c),
// or two links to a controller (transport_engine.c). Everything above it is the same for both. An
// engine may have both (io/doors.h).
//
// Receiving: `open` adds sources to px_io_loop(io); on a whole message the transport calls
// px_io_receive (unverified frames) or px_io_deliver (a message it has verified itself). Only px-io
// receives.
//
// Sending: `send` and `send_raw` are called one at a time (a lock is held), in the order in which
// things were published. With any_thread they may be called from a thread other than px-io: px-main
// then sends a reply itself and saves a change of threads. They never block; what cannot be written
// now is queued by the transport.
#ifndef PX_KERNEL_TRANSPORT_H
#define PX_KERNEL_TRANSPORT_H

#include "io/request.h"
#include "kernel.h"

#include "px/err.h"
#include "px/frames.h"
#include "px/loop.h"
#include "px/session.h"

#include <stdbool.h>

typedef struct px_transport px_transport;

typedef struct px_transport_ops {
    const char *name;
    bool any_thread; // send may be called from any thread
    bool statuses;   // status messages are wanted (kernel: yes; engine: the reply says it)
    // open connects or binds and adds its sources to the loop of io. px-io.
    px_err (*open)(px_transport *transport, px_io *io, px_error *reterr);
    // send composes and sends a message. PX_SHELL, PX_CONTROL: a reply to `to`; PX_STDIN: an
    // input_request to the client of `to`; PX_IOPUB: an output of `to`. `to` may be NULL (an output
    // of no request): kernel sends {} as parent, an engine drops it. topic is for iopub. Use
    // transport->session to compose; outgoing->parent is set already.
    px_err (*send)(px_transport *transport, px_channel channel, const px_parent *to, px_slice topic,
                   const px_outgoing *outgoing);
    // send_raw sends frames that somebody else has composed. PX_EINVAL where it makes no sense.
    px_err (*send_raw)(px_transport *transport, px_channel channel, const px_frames *frames);
    // drain reads what has arrived on the shell (work) channel and hands it over, before returning.
    // px-io.
    void (*drain)(px_transport *transport);
    // connection appends the JSON object that connect_reply carries.
    void (*connection)(px_transport *transport, px_buf *out);
    // close flushes what it can within a second, closes and frees the transport. px-io.
    void (*close)(px_transport *transport);
} px_transport_ops;

// px_transport is the first member of each transport's own struct.
struct px_transport {
    const px_transport_ops *ops;
    px_session *session;  // composes; inside send only: the sending lock guards it
    px_session *verifier; // verifies; px-io
};

// The two makers; px-main calls one before px-io starts. config outlives the transport.
px_err px_transport_jupyter_new(px_config *config, px_transport **ret_transport);
px_err px_transport_engine_new(px_config *config, px_transport **ret_transport);

// What io.c offers to transports. All on px-io, except where noted.
px_kernel *px_io_kernel(px_io *io);
px_loop *px_io_loop(px_io *io);
// px_io_lock is the sending lock, for a transport that composes outside send. Not inside send.
void px_io_lock(px_io *io);
void px_io_unlock(px_io *io);
// px_io_is_self tells if the caller is px-io. Any thread.
bool px_io_is_self(const px_io *io);
// px_io_receive verifies frames that came by `from`, logs and drops them when they are bad, and
// delivers the message. Takes frames.
void px_io_receive(px_io *io, const px_transport *from, px_channel channel, px_frames *frames);
// px_io_deliver serves a verified message of the controller. Takes message.
void px_io_deliver(px_io *io, px_channel channel, px_message *message);
// px_io_lost ends the kernel: the other side of the transport is gone for good. cause is logged.
void px_io_lost(px_io *io, const char *cause);

#endif
