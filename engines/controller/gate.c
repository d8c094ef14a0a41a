// gate.c: guests become tunnels.
//
// A guest has a connection and nothing else; it has five seconds for its handshake and greeting,
// one when the room is half full, and when the room is full nobody is let in until somebody has
// gone. A tunnel outlives its connections; a greeting with its id gives it the next one, also when
// this side has not noticed yet that the last one is cut.

#include "gate.h"

#include "px/link.h"
#include "px/log.h"
#include "px/loop.h"
#include "px/mailbox.h"
#include "px/own.h"
#include "px/thread.h"
#include "px/tls.h"
#include "px/tunnel.h"

#include <uthash.h>
#include <utlist.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_GUESTS 256
#define DOOR_NS (5 * PX_NS_PER_S)
#define DOOR_CROWDED_NS PX_NS_PER_S
#define FAREWELL_NS (500 * PX_NS_PER_MS)
// The controller gives an engine up later than the engine itself, so that none works for nobody.
#define LATER_S 5
#define BACKLOG 1024

typedef struct guest {
    px_gate *gate;
    px_tls *tls;
    px_source *source;
    px_ns opened;
    bool shaken; // the handshake is over
    uint8_t wire[PX_GREETING_SIZE];
    size_t have;
    struct guest *next, *prev;
} guest;

typedef struct passage {
    px_gate *gate;
    uint8_t id[PX_TUNNEL_ID_SIZE];
    uint8_t use;
    px_tunnel *tunnel;
    px_source *net, *local;
    px_timer *timer;
    UT_hash_handle hh;
} passage;

struct px_gate {
    pthread_t thread;
    px_loop *loop;
    px_tls_context *tls;
    px_stream_limits limits;
    const char *control, *work;
    int listener;
    uint16_t port;
    px_source *listen_source;
    px_timer *door_timer, *farewell;
    guest *guests;
    size_t n_guests;
    passage *passages;
    px_mailbox box; // one letter: stop
    px_letter stop;
    bool stopping;
};

// --- tunnels -------------------------------------------------------------------------------------

static void step(passage *p);

static void drop(passage *p)
{
    px_gate *gate = p->gate;
    px_source_remove(p->net);
    px_source_remove(p->local);
    px_timer_remove(p->timer);
    px_tunnel_free(p->tunnel);
    HASH_DEL(gate->passages, p);
    free(p);
    if (gate->stopping && gate->passages == NULL) {
        px_loop_stop(gate->loop);
    }
}

static void on_socket(void *context, int events)
{
    (void)events;
    step(context);
}

static void on_time(void *context, px_ns now)
{
    (void)now;
    step(context);
}

static px_err watch_net(passage *p)
{
    px_tunnel_needs needs = px_tunnel_waits(p->tunnel);
    return px_loop_add_fd(p->gate->loop, "far", needs.net_fd, needs.net_events, on_socket, p,
                          &p->net);
}

// step moves what can be moved and waits for what comes next.
static void step(passage *p)
{
    px_ns now = px_now();
    px_tunnel_state state = px_tunnel_step(p->tunnel, now);
    if (state == PX_TUNNEL_OVER || state == PX_TUNNEL_GIVEN_UP) {
        if (state == PX_TUNNEL_GIVEN_UP) {
            px_log_warning("gate: no word from a peer, its connection is given up", "use=%s",
                           p->use == PX_TUNNEL_WORK ? "work" : "control");
        }
        drop(p);
        return;
    }
    if (state == PX_TUNNEL_BROKEN && p->net != NULL) {
        px_source_remove(p->net);
        p->net = NULL;
        px_tunnel_cut(p->tunnel);
    }
    px_tunnel_needs needs = px_tunnel_waits(p->tunnel);
    if (p->net != NULL) {
        px_source_set_events(p->net, needs.net_events);
    }
    px_source_set_events(p->local, needs.local_events);
    px_timer_set(p->timer, needs.due > now ? needs.due : now);
}

// open_passage begins a tunnel to one of our sockets.
static px_err open_passage(px_gate *gate, const px_greeting *greeting, passage **ret_passage)
{
    px_error error = {0};
    int fd = -1;
    px_ns now = px_now();
    px_err err =
        px_link_dial(greeting->what == PX_TUNNEL_WORK ? gate->work : gate->control, &fd, &error);
    passage *p = err == PX_OK ? calloc(1, sizeof(*p)) : NULL;
    if (p == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        px_log_warning("gate: no room for one more connection", "cause=%s", error.text);
        return PX_EAGAIN;
    }
    p->gate = gate;
    p->use = greeting->what;
    memcpy(p->id, greeting->id, sizeof(p->id));
    err = px_tunnel_new(&gate->limits, fd, now, &p->tunnel);
    if (err != PX_OK) {
        (void)close(fd);
        free(p);
        return PX_EAGAIN;
    }
    HASH_ADD(hh, gate->passages, id, sizeof(p->id), p);
    err = px_loop_add_fd(gate->loop, "near", fd, 0, on_socket, p, &p->local);
    err = err == PX_OK ? px_loop_add_timer(gate->loop, "beat", UINT64_MAX, 0, on_time, p, &p->timer)
                       : err;
    if (err != PX_OK) {
        drop(p);
        return PX_EAGAIN;
    }
    *ret_passage = p;
    return PX_OK;
}

// --- guests --------------------------------------------------------------------------------------

static void goodbye(guest *g)
{
    px_gate *gate = g->gate;
    px_source_remove(g->source);
    px_tls_free(g->tls);
    DL_DELETE(gate->guests, g);
    free(g);
    if (gate->n_guests-- == MOST_GUESTS) {
        px_source_set_events(gate->listen_source, PX_READABLE);
    }
}

static bool say(px_tls *tls, px_tunnel_answer what, const px_greeting *greeting, uint64_t received)
{
    uint8_t wire[PX_GREETING_SIZE];
    size_t n = 0;
    px_greeting answer = *greeting;
    answer.what = (uint8_t)what;
    answer.received = received;
    px_greeting_write(&answer, wire);
    return px_tls_write(tls, wire, sizeof(wire), &n) == PX_OK && n == sizeof(wire);
}

// welcome gives a guest's connection to the tunnel that it names, or a new one.
static void welcome(guest *g, const px_greeting *greeting)
{
    px_gate *gate = g->gate;
    passage *p = NULL;
    HASH_FIND(hh, gate->passages, greeting->id, PX_TUNNEL_ID_SIZE, p);
    bool known = p != NULL && p->use == greeting->what;
    if (known != greeting->resumes) {
        (void)say(g->tls, PX_TUNNEL_UNKNOWN, greeting, 0); // it ends in any case
        return;
    }
    if (!known && open_passage(gate, greeting, &p) != PX_OK) {
        (void)say(g->tls, PX_TUNNEL_BUSY, greeting, 0);
        return;
    }
    if (!say(g->tls, PX_TUNNEL_WELCOME, greeting, px_tunnel_received(p->tunnel))) {
        if (!known) {
            drop(p);
        }
        return;
    }
    px_source_remove(PX_STEAL(g->source));
    px_source_remove(PX_STEAL(p->net));
    if (px_tunnel_attach(p->tunnel, PX_STEAL(g->tls), greeting->received, px_now()) != PX_OK ||
        watch_net(p) != PX_OK) {
        drop(p);
        return;
    }
    step(p);
}

// hear goes on with a guest; false when it is to leave.
static bool hear(guest *g)
{
    px_err err = g->shaken ? PX_OK : px_tls_handshake(g->tls);
    g->shaken = err == PX_OK;
    while (err == PX_OK && g->have < sizeof(g->wire)) {
        size_t n = 0;
        err = px_tls_read(g->tls, g->wire + g->have, sizeof(g->wire) - g->have, &n);
        g->have += n;
    }
    if (err == PX_EAGAIN) {
        px_source_set_events(g->source, px_tls_wants_write(g->tls) ? PX_WRITABLE : PX_READABLE);
        return true;
    }
    px_greeting greeting = {0};
    if (err == PX_OK && px_greeting_read(g->wire, &greeting) == PX_OK &&
        (greeting.what == PX_TUNNEL_CONTROL || greeting.what == PX_TUNNEL_WORK)) {
        welcome(g, &greeting);
    }
    return false;
}

static void guest_ready(void *context, int events)
{
    guest *g = context;
    (void)events;
    if (!hear(g)) {
        goodbye(g);
    }
}

// close_idle puts out who has not shown the key in time.
static void close_idle(void *context, px_ns now)
{
    px_gate *gate = context;
    px_ns patience = gate->n_guests > MOST_GUESTS / 2 ? DOOR_CROWDED_NS : DOOR_NS;
    guest *g, *next;
    DL_FOREACH_SAFE (gate->guests, g, next) {
        if (g->opened + patience <= now) {
            goodbye(g);
        }
    }
    px_source_set_events(gate->listen_source,
                         gate->stopping || gate->n_guests == MOST_GUESTS ? 0 : PX_READABLE);
    px_timer_set(gate->door_timer, gate->guests != NULL ? now + PX_NS_PER_S : UINT64_MAX);
}

static void let_in(px_gate *gate, int fd)
{
    int one = 1;
    guest *g = calloc(1, sizeof(*g));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); // only slower
    if (g == NULL || px_tls_new(gate->tls, fd, &g->tls) != PX_OK) {
        (void)close(fd);
        free(g);
        return;
    }
    g->gate = gate;
    g->opened = px_now();
    if (px_loop_add_fd(gate->loop, "guest", fd, PX_READABLE, guest_ready, g, &g->source) != PX_OK) {
        px_tls_free(g->tls);
        free(g);
        return;
    }
    if (gate->guests == NULL) {
        px_timer_set(gate->door_timer, g->opened + PX_NS_PER_S);
    }
    DL_APPEND(gate->guests, g);
    if (++gate->n_guests == MOST_GUESTS) {
        px_source_set_events(gate->listen_source, 0);
    }
}

static void somebody_knocks(void *context, int events)
{
    px_gate *gate = context;
    (void)events;
    while (gate->n_guests < MOST_GUESTS && !gate->stopping) {
        int fd = accept4(gate->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            let_in(gate, fd);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            if (errno != EAGAIN) { // no descriptor is left: not before a second has passed
                px_source_set_events(gate->listen_source, 0);
                px_timer_set(gate->door_timer, px_now() + PX_NS_PER_S);
            }
            return;
        }
    }
}

// --- the thread ----------------------------------------------------------------------------------

static void farewell_over(void *context, px_ns now)
{
    (void)now;
    px_loop_stop(((px_gate *)context)->loop);
}

static void letter_came(void *context, px_letter *letter)
{
    px_gate *gate = context;
    (void)letter; // the gate's own
    gate->stopping = true;
    px_source_set_events(gate->listen_source, 0);
    if (gate->passages == NULL) {
        px_loop_stop(gate->loop);
        return;
    }
    px_timer_set(gate->farewell, px_now() + FAREWELL_NS);
}

static void *run(void *context)
{
    px_gate *gate = context;
    px_err err = px_loop_run(gate->loop);
    if (err != PX_OK) {
        px_log_error("gate: the wait for connections failed", "cause=%s", px_err_text(err));
    }
    return NULL;
}

static void destroy(px_gate *gate)
{
    guest *g, *next_guest;
    DL_FOREACH_SAFE (gate->guests, g, next_guest) {
        goodbye(g);
    }
    passage *p, *next;
    HASH_ITER (hh, gate->passages, p, next) {
        drop(p);
    }
    px_source_remove(gate->listen_source);
    px_timer_remove(gate->door_timer);
    px_timer_remove(gate->farewell);
    px_loop_free(gate->loop);
    px_tls_context_free(gate->tls);
    if (gate->listener >= 0) {
        (void)close(gate->listener);
    }
    px_mailbox_done(&gate->box);
    free(gate);
}

static px_err listen_on(px_gate *gate, const char *ip, uint16_t port, px_error *reterr)
{
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV | AI_NUMERICHOST};
    struct addrinfo *info = NULL;
    bool all = strcmp(ip, "*") == 0;
    int off = 0, on = 1;
    hints.ai_family = all ? AF_INET6 : AF_UNSPEC;
    (void)snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(all ? "::" : ip, service, &hints, &info) != 0) {
        return px_error_set(reterr, PX_EINVAL,
                            "\"%s\" is no address: give an IPv4 or IPv6 address of this host, or "
                            "\"*\" for all of them",
                            ip);
    }
    gate->listener = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (gate->listener < 0 && all) { // a host without IPv6
        freeaddrinfo(info);
        return listen_on(gate, "0.0.0.0", port, reterr);
    }
    int errnum = 0;
    if (gate->listener >= 0 && info->ai_family == AF_INET6) {
        (void)setsockopt(gate->listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    }
    (void)setsockopt(gate->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (gate->listener < 0 || bind(gate->listener, info->ai_addr, info->ai_addrlen) != 0 ||
        listen(gate->listener, BACKLOG) != 0) {
        errnum = errno;
    }
    freeaddrinfo(info);
    if (errnum != 0) {
        return px_error_set(reterr, px_err_from_errno(errnum),
                            "cannot listen on %s, port %u: %s; `ip address` shows the addresses "
                            "of this host",
                            ip, port, strerror(errnum));
    }
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } own = {0};
    socklen_t size = sizeof(own);
    if (getsockname(gate->listener, &own.any, &size) != 0) {
        return px_err_from_errno(errno);
    }
    gate->port = ntohs(own.any.sa_family == AF_INET6 ? own.v6.sin6_port : own.v4.sin_port);
    return PX_OK;
}

static px_err build(px_gate *gate, const px_gate_config *config, px_error *reterr)
{
    PX_TRY(px_tls_context_new(config->key, config->name, true, &gate->tls, reterr));
    PX_TRY(listen_on(gate, config->ip, config->port, reterr));
    PX_TRY(px_loop_new(&gate->loop));
    PX_TRY(px_loop_add_mailbox(gate->loop, "stop", &gate->box, letter_came, gate));
    PX_TRY(px_loop_add_fd(gate->loop, "gate", gate->listener, PX_READABLE, somebody_knocks, gate,
                          &gate->listen_source));
    PX_TRY(
        px_loop_add_timer(gate->loop, "door", UINT64_MAX, 0, close_idle, gate, &gate->door_timer));
    PX_TRY(px_loop_add_timer(gate->loop, "farewell", UINT64_MAX, 0, farewell_over, gate,
                             &gate->farewell));
    return px_thread_start(&gate->thread, "px-gate", run, gate);
}

px_err px_gate_start(const px_gate_config *config, px_gate **ret_gate, px_error *reterr)
{
    px_gate *gate = calloc(1, sizeof(*gate));
    if (gate == NULL) {
        return PX_ENOMEM;
    }
    gate->listener = -1;
    gate->control = config->control;
    gate->work = config->work;
    gate->limits = px_tunnel_limits(config->lease_s);
    gate->limits.lease += LATER_S * PX_NS_PER_S;
    px_err err = px_mailbox_init(&gate->box);
    if (err != PX_OK) {
        free(gate);
        return err;
    }
    err = build(gate, config, reterr);
    if (err != PX_OK) {
        destroy(gate);
        return err;
    }
    *ret_gate = gate;
    return PX_OK;
}

uint16_t px_gate_port(const px_gate *gate)
{
    return gate->port;
}

void px_gate_stop(px_gate *gate)
{
    if (gate == NULL) {
        return;
    }
    px_mailbox_post(&gate->box, &gate->stop);
    (void)pthread_join(gate->thread, NULL);
    destroy(gate);
}
