// peers.h: what relay.c (thread, connections) and route.c (messages) share. Thread px-relay only.
#ifndef PX_ENGINES_PEERS_H
#define PX_ENGINES_PEERS_H

#include "flight.h"
#include "keeper.h"
#include "relay.h"
#include "sched.h"

#include "px/cluster.h"
#include "px/link.h"
#include "px/loop.h"

#include <uthash.h>

typedef enum px_role { PX_ROLE_NONE, PX_ROLE_CLIENT, PX_ROLE_ENGINE } px_role;

// px_peer is one work connection.
typedef struct px_peer {
    px_letter again; // posted to ourselves to go on reading
    bool again_posted, closed;
    px_relay *relay;
    px_link *link;
    px_source *source;
    int events; // what the loop waits for
    px_role role;
    uint32_t id;
    bool far;          // on another host: reached through px-gate
    bool got_segments; // a client that may have segments of engines to map
    bool was_asked;    // a client that an engine has asked for input
    px_ns opened;
    struct px_peer *slow;         // we are not read until this one has taken its messages
    struct px_peer *waiting;      // first of those who are not read because of us
    struct px_peer *next_waiting; // in the list of slow
    bool dirty;                   // has messages that are not pushed out
    struct px_peer *dirty_next, *dirty_prev;
    struct px_peer *next, *prev; // all
    UT_hash_handle hh;           // clients by id
} px_peer;

// px_debtor is an engine as the relay knows it: from the moment it is expected, for ever, so that a
// late request hears how it ended.
typedef struct px_debtor {
    uint32_t id;
    px_peer *peer; // NULL before it connects and after its connection ended
    px_flight *flight;
    px_tally *tally;
    bool connected; // once
    bool dead;
    int signal, code;
    char *cause;
    UT_hash_handle hh;
} px_debtor;

typedef struct px_record px_record;

struct px_relay {
    px_record *kept; // init.c
    size_t kept_bytes;
    pthread_t thread;
    px_loop *loop;
    px_mailbox box;
    px_mailbox *news;
    px_keeper *keeper; // NULL: nothing is kept
    px_session *session;
    size_t high_water;
    int listener;
    px_source *listen_source;
    bool door_shut;       // no descriptor was left for one more
    px_timer *door_timer; // while somebody has not registered
    px_peer *peers;
    px_peer *dirty;
    bool stopping;
    px_peer *clients;
    px_debtor *debtors;
    struct invitation *invitations;
    px_sched *sched;
    px_sched_orders orders; // filled by an event, emptied by px__tasks_carry_out
    px_timer *sched_timer;  // of tasks' time limits
    atomic_size_t n_waiting;
    atomic_bool watched;
    px_news active;
};

px_peer *px__relay_client(px_relay *relay, uint32_t id);
px_debtor *px__relay_debtor(px_relay *relay, uint32_t id);
// px__relay_send sends to a peer on behalf of source (NULL: ourselves), which is not read further
// when the peer is slow. Errors are dropped: the peer's end is read from its connection.
void px__relay_send(px_peer *peer, const px_frames *frames, px_peer *source);

// px__tell_recall has the admin ask an engine for a task on its control connection.
void px__tell_recall(px_relay *relay, uint32_t engine, uint32_t client, uint64_t task);

// A message: route, delimiter, signature, header, parent, metadata, content; then its buffers.
#define PX_MESSAGE_FRAMES 7

// px__forward sends frames from index first on to an engine, behind a route frame for it (n = 1).
px_err px__forward(const px_route *route, px_peer *to, const px_frames *frames, size_t first,
                   px_peer *source);

// px__inline puts the contents of segments in their places in body (from the delimiter on), because
// its receiver is on another host, and clears what route says of segments. A client that lent them
// gets them back.
void px__inline(px_route *route, const px_peer *engine, px_frames *body);

// px_loss says why a task has no reply. With a debtor its end is told; else ename and words.
typedef struct px_loss {
    uint64_t task;
    uint32_t engine;
    bool has_engine;
    const px_debtor *debtor;
    const char *ename, *words;
} px_loss;
void px__send_lost(px_relay *relay, uint32_t client, const px_loss *loss);

// px__route forwards one message of a registered peer. PX_EFORMAT: the peer breaks the protocol.
px_err px__route(px_peer *from, px_frames *frames, px_error *reterr);
// px__route_lost answers every request that a dead engine owes and that is no task.
void px__route_lost(px_relay *relay, px_debtor *debtor);
// px__route_release lets an engine (UINT32_MAX: all) close the segments of its reply to a task (0:
// all) of a client; flags LENT: or fill them again.
void px__route_release(px_relay *relay, uint32_t engine, uint32_t client, uint64_t task,
                       uint16_t flags);
// px__client_left settles what a client leaves behind. Where results are kept its tasks go on; an
// input() of an engine that it has not answered ends.
void px__client_left(px_relay *relay, const px_peer *client);

// init.c: px__init_keep remembers a request for engines to come; px__init_send gives an engine that
// has just joined all that was kept.
void px__init_keep(px_relay *relay, const px_frames *frames);
void px__init_send(px_relay *relay, px_peer *engine);
void px__init_free(px_relay *relay);
// px__tell_init_failed tells the admin that an engine is not as the others; UINT32_MAX: that those
// to come will not be.
void px__tell_init_failed(px_relay *relay, uint32_t engine);

// tasks.c
px_err px__task_came(px_peer *from, const px_route *route, const px_frames *frames,
                     px_error *reterr);
void px__tasks_carry_out(px_relay *relay);
void px__task_drop(const px_sched_order *order); // gives back the payload

#endif
