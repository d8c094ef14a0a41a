// hub.h: a controller for tests of the client's core: one thread that answers for all engines. What
// an engine does stands in the content of the request:
//   echo   reply with the request's buffers        say    an output, then the reply
//   lost   the engine died                         hang   nothing at all
//   forge  a reply with a wrong signature          share  a reply with a large buffer, in a segment
//   end    the controller closes both links
//   ask    a question; the reply follows its answer
//   last first: the engines answer in reverse order; only first: only the first one does
#ifndef PX_UNIT_HUB_H
#define PX_UNIT_HUB_H

#include "px/bulk.h"
#include "px/cluster.h"
#include "px/link.h"
#include "px/session.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct hub {
    px_cluster_file file;
    px_session *session;
    px_session *reader; // of the work link, once it has registered
    bool entered;
    int control_listener, work_listener;
    px_link *control, *work;
    pthread_t thread;
    atomic_int released; // RELEASE frames seen
    atomic_int lent;     // requests that want one
    atomic_int answered; // questions; answer is the last one's content
    px_buf answer;
    px_bulk bulk;
    bool over;
} hub;

// hub_start makes cluster "unit" in the test's folder and serves it.
void hub_start(hub *h);
// hub_stop waits until the client has left (or the hub was told to end) and removes the cluster.
void hub_stop(hub *h);

#endif
