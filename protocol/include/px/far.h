// far.h: a link to a controller on another host.
//
// It is a link like any other (link.h): a Unix socket whose other end is a tunnel (tunnel.h) that a
// thread of ours, px-far, carries to the controller's port. A cut of the network is not seen above:
// the thread connects again, under the same id, and nothing is lost. The link ends when the
// controller ends it, when the controller is known to be gone, or when there was no connection for
// as long as the lease; px_link_why says which.
#ifndef PX_FAR_H
#define PX_FAR_H

#include "px/buf.h"
#include "px/err.h"
#include "px/link.h"
#include "px/time.h"
#include "px/tunnel.h"

#include <stdbool.h>
#include <stdint.h>

#define PX_FAR_ADDRESSES 1024 // bytes of a list of addresses

// px_far says whom to reach. Borrowed for the call.
typedef struct px_far {
    const char *name;      // of the cluster
    px_slice key;          // the cluster's
    const char *addresses; // separated by spaces: numbers (IPv4, IPv6) or names
    uint16_t port;
    uint32_t lease_s;
    px_tunnel_use use;
    px_ns deadline; // of the first connection
    // interrupted (may be NULL) is asked when a signal came: true gives up with PX_EINTR.
    bool (*interrupted)(void *context);
    void *context;
} px_far;

// px_far_connect tries all addresses at once and keeps the first that answers. PX_ETIMEOUT,
// PX_EREFUSED (nobody listens), PX_EPERM (somebody else does, or with another key), PX_EINTR, each
// with a sentence.
px_err px_far_connect(const px_far *target, px_link **ret_link, px_error *reterr);

#endif
