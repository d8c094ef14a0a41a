// socket.h: ZeroMQ sockets with our defaults: no high-water mark (nothing is ever dropped), linger
// 1 s, IPv4, ROUTER_HANDOVER on ROUTERs, XPUB_VERBOSE on XPUBs. Owned by one thread. ZeroMQ's own
// header is seen only by socket.c, frames' transfer and loop.c.
#ifndef PX_SOCKET_H
#define PX_SOCKET_H

#include "px/curve.h"
#include "px/err.h"
#include "px/frames.h"

#include <stdint.h>

typedef struct px_context px_context;
typedef struct px_socket px_socket;
typedef enum px_socket_kind {
    PX_ROUTER,
    PX_DEALER,
    PX_XPUB,
    PX_SUB,
    PX_REP,
    PX_PAIR
} px_socket_kind;

px_err px_context_new(px_context **ret_context);
// px_context_free closes the context; all its sockets must be closed. Blocks at most the linger
// time.
void px_context_free(px_context *context);

px_err px_socket_open(px_context *context, px_socket_kind kind, px_socket **ret_socket);
void px_socket_close(px_socket *socket);
// px_socket_use_curve makes a server (keys != NULL) of the socket; before bind (RFC 26 CurveZMQ).
px_err px_socket_use_curve_server(px_socket *socket, const px_curve_keys *keys);
px_err px_socket_use_curve_client(px_socket *socket, const px_curve_keys *own,
                                  const char *server_publickey);
px_err px_socket_set_identity(px_socket *socket, px_slice identity);
px_err px_socket_subscribe(px_socket *socket, px_slice topic); // SUB only
// px_socket_bind: address such as tcp://127.0.0.1:5555, tcp://127.0.0.1:* or ipc:///path. ret_port
// (may be NULL) gets the tcp port.
px_err px_socket_bind(px_socket *socket, const char *address, uint16_t *ret_port, px_error *reterr);
px_err px_socket_connect(px_socket *socket, const char *address, px_error *reterr);
// px_socket_recv receives one whole message without copying bodies; PX_EAGAIN when none waits.
px_err px_socket_recv(px_socket *socket, px_frames *ret_frames);
// px_socket_send sends all frames, large ones by reference (released from a ZeroMQ thread); frames
// stay the caller's. A peer that is gone is not an error. PX_EAGAIN cannot happen for our kinds.
px_err px_socket_send(px_socket *socket, const px_frames *frames);
// px_socket_events returns PX_READABLE | PX_WRITABLE.
int px_socket_events(px_socket *socket);
void *px_socket_handle(px_socket *socket); // for loop.c

#endif
