// peer.h: the client's and the engine's side of a registration, blocking, for the test tools.
#ifndef PX_TESTS_PEER_H
#define PX_TESTS_PEER_H

#include "px/cluster.h"
#include "px/json.h"
#include "px/link.h"
#include "px/session.h"

typedef struct test_peer {
    px_cluster_file file;
    px_session *session;
    px_session *reader; // of the work link, once it has registered
    px_link *control, *work;
    uint32_t id;
} test_peer;

// peer_join registers on both sockets; who is the control registration's content. Dies with a
// message on stderr and status 1 when that fails.
void peer_join(test_peer *peer, const char *who, const char *role);
// The same without waiting: peer_knock sends the first registration, peer_enter takes the reply to
// it and sends the second one, and takes the reply to that: true, it has joined.
void peer_knock(test_peer *peer, const char *who);
bool peer_enter(test_peer *peer, const char *role, px_message *reply);
// peer_wait gives the next message of a link, waiting for it; NULL when the link has ended.
px_message *peer_wait(test_peer *peer, px_link *link);
// peer_next gives the next message that is there; NULL and PX_EAGAIN or PX_ECLOSED in ret_err.
px_message *peer_next(test_peer *peer, px_link *link, px_err *ret_err);
void peer_send(test_peer *peer, px_link *link, const px_route *route, const uint32_t *engines,
               const px_outgoing *message);
void peer_leave(test_peer *peer);

#endif
