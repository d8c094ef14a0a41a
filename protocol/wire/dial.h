// dial.h (internal): one attempt to reach a controller: TCP, TLS, greeting.
#ifndef PX_DIAL_H
#define PX_DIAL_H

#include "px/far.h"
#include "px/tls.h"
#include "px/tunnel.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>

typedef struct px__dial {
    // given
    const char *name, *addresses;
    uint16_t port;
    px_tls_context *tls;
    px_ns deadline;
    int stop; // a descriptor whose hang-up gives up with PX_ECLOSED; -1: none
    bool (*interrupted)(void *context);
    void *context;
    // in and out: the address that answered last time
    struct sockaddr_storage good;
    // out
    bool gone;          // who answered last time says that no controller of ours is there
    atomic_int *net_fd; // where the socket's number is kept for a forked child; NULL: nowhere
} px__dial;

// px__dial_tcp connects and does the handshake.
px_err px__dial_tcp(px__dial *dial, px_tls **ret_tls, px_error *reterr);
// px__dial_greet exchanges greetings.
px_err px__dial_greet(const px__dial *dial, px_tls *tls, const px_greeting *greeting,
                      px_greeting *ret_answer, px_error *reterr);

#endif
