// enter.h: a peer's way into a cluster: connect a link, register on it, get the controller's
// answer. Clients, engines and the command line do it alike, once for each of the two links.
#ifndef PX_ENTER_H
#define PX_ENTER_H

#include "px/buf.h"
#include "px/cluster.h"
#include "px/err.h"
#include "px/json.h"
#include "px/link.h"
#include "px/session.h"
#include "px/time.h"

#include <stdbool.h>

// px_entry says into which cluster, as whom and how long to try. All borrowed.
typedef struct px_entry {
    const px_cluster_file *file;
    px_session *session; // composes the request and verifies the answer
    px_ns deadline;      // by px_now
    px_ns timeout;       // what is said when the deadline has passed
    // interrupted (may be NULL) is asked when a signal came: true gives up with PX_EINTR.
    bool (*interrupted)(void *context);
    void *context;
} px_entry;

// px_enter connects to the controller's control or work socket, here or over the network
// (px_cluster_near), sends content as register_request and waits for the register_reply. Messages
// that come with the reply stay in the link. PX_ENOENT, PX_EREFUSED, PX_ETIMEOUT, PX_EINTR,
// PX_ECLOSED, PX_EPERM (the controller says no), each with a sentence.
px_err px_enter(const px_entry *entry, px_tunnel_use use, px_slice content, px_link **ret_link,
                px_json **ret_answer, px_error *reterr);
// px_enter_connect is its first part, the connection.
px_err px_enter_connect(const px_entry *entry, px_tunnel_use use, px_link **ret_link,
                        px_error *reterr);

#endif
