// relay.c: the relay's thread, its connections and what the admin asks of it.
//
// A work connection says in its first message who it is, with the secret that the admin gave it on
// its control connection; the admin posts the secret here before it answers there, so it is always
// known in time (the mailbox is emptied before a secret is called unknown). Whoever breaks the
// protocol, says nothing for five seconds, or is not invited is put out of the door; the rest go
// on.
//
// Slow readers: what a peer's socket does not take is queued by reference. From high_water bytes
// on, whoever sends to that peer is not read until the queue is half empty. That cannot deadlock,
// because both clients and engines read whether or not they can write; memory then grows where the
// messages are made, and stops there. The price: a client that floods one stopped engine waits with
// its other requests too, until that engine goes on or dies.
//
// What is sent in a round of the loop is written at its end, so that many small messages to one
// peer cost one system call; a single one is not delayed by that.
//
// An engine whose connection ends is not yet dead: the admin finds out how it ended and buries it
// here. Its last replies are read from the connection first.

#include "peers.h"
#include "wishes.h"

#include "px/json.h"
#include "px/log.h"
#include "px/thread.h"

#include <utlist.h>

#include <stdio.h>
#include <unistd.h>

#define HIGH_WATER ((size_t)64 << 20)
#define READ_BUDGET 64 // messages of one peer in a round
#define DOOR_NS (5 * PX_NS_PER_S)

typedef struct invitation {
    px_role role;
    uint32_t id;
    char secret[PX_SECRET_SIZE];
    UT_hash_handle hh;
} invitation;

static void take_letters(px_relay *relay);

px_peer *px__relay_client(px_relay *relay, uint32_t id)
{
    px_peer *peer;
    HASH_FIND(hh, relay->clients, &id, sizeof(id), peer);
    return peer;
}

px_debtor *px__relay_debtor(px_relay *relay, uint32_t id)
{
    px_debtor *debtor;
    HASH_FIND(hh, relay->debtors, &id, sizeof(id), debtor);
    return debtor;
}

static void tell(px_relay *relay, const px_news *what)
{
    px_news *news = malloc(sizeof(*news));
    if (news == NULL) {
        abort(); // a lost death would be a hang
    }
    *news = *what;
    px_mailbox_post(relay->news, &news->letter);
}

static void tell_admin(px_relay *relay, int kind, uint32_t id)
{
    tell(relay, &(px_news){.letter = {.kind = kind}, .id = id});
}

void px__tell_init_failed(px_relay *relay, uint32_t engine)
{
    tell_admin(relay, PX_NEWS_INIT_FAILED, engine);
}

void px__tell_recall(px_relay *relay, uint32_t engine, uint32_t client, uint64_t task)
{
    tell(relay,
         &(px_news){
             .letter = {.kind = PX_NEWS_RECALL}, .id = engine, .client = client, .task = task});
}

// --- slow readers --------------------------------------------------------------------------------

static void wait_for(px_peer *peer, int events)
{
    if (peer->events != events) {
        peer->events = events;
        px_source_set_events(peer->source, events);
    }
}

static void look_again(px_peer *peer)
{
    if (!peer->again_posted) {
        peer->again_posted = true;
        peer->again.kind = DO_AGAIN;
        px_mailbox_post(&peer->relay->box, &peer->again);
    }
}

static void stop_reading(px_peer *source, px_peer *slow)
{
    source->slow = slow;
    source->next_waiting = slow->waiting;
    slow->waiting = source;
    wait_for(source, source->events & ~PX_READABLE);
}

// read_on lets everybody go on who waited for peer.
static void read_on(px_peer *peer)
{
    while (peer->waiting != NULL) {
        px_peer *source = peer->waiting;
        peer->waiting = source->next_waiting;
        source->next_waiting = NULL;
        source->slow = NULL;
        wait_for(source, source->events | PX_READABLE);
        look_again(source); // whole messages may be in its link already
    }
}

static void stop_waiting(px_peer *source)
{
    if (source->slow != NULL) {
        LL_DELETE2(source->slow->waiting, source, next_waiting);
        source->slow = NULL;
    }
}

void px__relay_send(px_peer *peer, const px_frames *frames, px_peer *source)
{
    if (px_link_send_later(peer->link, frames) != PX_OK) {
        return; // its end is read from it
    }
    if (!peer->dirty) {
        peer->dirty = true;
        DL_APPEND2(peer->relay->dirty, peer, dirty_prev, dirty_next);
    }
    if (source != NULL && source != peer && source->slow == NULL &&
        px_link_queued(peer->link) > peer->relay->high_water) {
        wait_for(peer, peer->events | PX_WRITABLE);
        stop_reading(source, peer);
    }
}

static void clean(px_peer *peer)
{
    if (peer->dirty) {
        peer->dirty = false;
        DL_DELETE2(peer->relay->dirty, peer, dirty_prev, dirty_next);
    }
}

// push_out writes what this round has sent, each peer's messages in as few system calls as they
// fit.
static void push_out(px_relay *relay)
{
    while (relay->dirty != NULL) {
        px_peer *peer = relay->dirty;
        clean(peer);
        (void)px_link_push(peer->link); // its end is read from it
        if (px_link_wants_write(peer->link)) {
            wait_for(peer, peer->events | PX_WRITABLE);
        }
    }
}

static void write_on(px_peer *peer)
{
    (void)px_link_flush(peer->link); // its end is read from it
    if (!px_link_wants_write(peer->link)) {
        wait_for(peer, peer->events & ~PX_WRITABLE);
    }
    if (px_link_queued(peer->link) <= peer->relay->high_water / 2) {
        read_on(peer);
    }
}

// --- connections ---------------------------------------------------------------------------------

// close_peer ends a connection; the admin hears of it when it had a name.
static void close_peer(px_peer *peer)
{
    px_relay *relay = peer->relay;
    if (peer->closed) {
        return;
    }
    peer->closed = true;
    clean(peer);
    stop_waiting(peer);
    read_on(peer);
    px_source_remove(peer->source);
    DL_DELETE(relay->peers, peer);
    if (peer->role == PX_ROLE_CLIENT) {
        HASH_DEL(relay->clients, peer);
        px__client_left(relay, peer);
        tell_admin(relay, PX_NEWS_CLIENT_GONE, peer->id);
    } else if (peer->role == PX_ROLE_ENGINE) {
        px__relay_debtor(relay, peer->id)->peer = NULL;
        tell_admin(relay, PX_NEWS_ENGINE_GONE, peer->id);
    }
    px_link_close(peer->link);
    peer->link = NULL;
    if (relay->door_shut) {
        relay->door_shut = false;
        px_source_set_events(relay->listen_source, PX_READABLE);
    }
    look_again(peer); // the letter is freed when it arrives: nobody holds peer then
}

static px_err answer_registration(px_peer *peer, const px_message *request)
{
    px_outgoing reply = {.msg_type = "register_reply",
                         .parent = request->header,
                         .content = PX_SLICE_LITERAL("{\"status\":\"ok\"}")};
    px_route hub = {.kind = PX_ROUTE_HUB};
    PX_AUTO_FRAMES frames = {0};
    PX_TRY(px_route_push(&frames, &hub, NULL));
    PX_TRY(px_session_compose(peer->relay->session, &reply, &frames));
    px__relay_send(peer, &frames, NULL);
    return PX_OK;
}

static void admit(px_peer *peer, const invitation *guest)
{
    px_relay *relay = peer->relay;
    peer->role = guest->role;
    peer->id = guest->id;
    px_link_set_limit(peer->link, PX_LINK_MAX_BYTES);
    if (peer->role == PX_ROLE_CLIENT) {
        HASH_ADD(hh, relay->clients, id, sizeof(peer->id), peer);
        return;
    }
    px_debtor *debtor = px__relay_debtor(relay, peer->id);
    debtor->peer = peer;
    debtor->connected = true;
    px__init_send(relay, peer);
    tell_admin(relay, PX_NEWS_ENGINE_UP, peer->id);
    px_sched_engine_up(relay->sched, px_now(), peer->id, &relay->orders);
    px__tasks_carry_out(relay);
}

// invited finds who may come in with a secret.
static invitation *invited(px_relay *relay, const char *secret)
{
    invitation *guest;
    HASH_FIND_STR(relay->invitations, secret, guest);
    return guest;
}

// find_guest takes the invitation that a connection's first message names out of the list.
static px_err find_guest(px_relay *relay, const px_message *message, invitation **ret_guest,
                         px_error *reterr)
{
    PX_AUTO(px_json) content = NULL;
    if (message->type != PX_MSG_REGISTER_REQUEST) {
        return px_error_set(reterr, PX_EFORMAT, "the first message is a %s, not a register_request",
                            message->msg_type);
    }
    PX_TRY(px_json_parse(message->content, &content, reterr));
    const char *secret = px_json_string(content, "peer", "");
    invitation *guest = invited(relay, secret);
    if (guest == NULL) {
        take_letters(relay);
        guest = invited(relay, secret);
    }
    if (guest == NULL) {
        return px_error_set(reterr, PX_EPERM, "its peer secret is not known");
    }
    HASH_DEL(relay->invitations, guest);
    *ret_guest = guest;
    return PX_OK;
}

// register_peer reads the first message of a connection.
static px_err register_peer(px_peer *peer, px_frames *frames, px_error *reterr)
{
    PX_AUTO(px_message) message = NULL;
    PX_AUTO_FREE invitation *guest = NULL;
    PX_TRY(px_session_verify(peer->relay->session, frames, true, &message, reterr));
    px_err err = find_guest(peer->relay, message, &guest, reterr);
    if (err != PX_OK || guest == NULL) {
        return err;
    }
    PX_TRY(answer_registration(peer, message));
    admit(peer, guest);
    return PX_OK;
}

// read_one takes one message; false when there is none, or the peer is no more.
static bool read_one(px_peer *peer)
{
    static px_log_gate gate;
    px_error error = {0};
    PX_AUTO_FRAMES frames = {0};
    px_err err = px_link_recv(peer->link, &frames);
    if (err == PX_EAGAIN) {
        return false;
    }
    if (err == PX_OK) {
        err = peer->role == PX_ROLE_NONE ? register_peer(peer, &frames, &error)
                                         : px__route(peer, &frames, &error);
    }
    if (err == PX_OK) {
        return !peer->closed;
    }
    if (err != PX_ECLOSED && px_log_once(&gate)) {
        px_log_warning("relay: connection ended for breaking the protocol",
                       "role=%d id=%u cause=%s", (int)peer->role, peer->id,
                       error.text[0] ? error.text : px_err_text(err));
    }
    close_peer(peer);
    return false;
}

static void read_all(px_peer *peer)
{
    for (int n = 0; !peer->closed && peer->slow == NULL; n++) {
        if (n == READ_BUDGET) {
            look_again(peer);
            return;
        }
        if (!read_one(peer)) {
            return;
        }
    }
}

static void peer_ready(void *context, int events)
{
    px_peer *peer = context;
    if ((events & PX_WRITABLE) != 0) {
        write_on(peer);
    }
    if ((events & (PX_READABLE | PX_HANGUP)) != 0) {
        read_all(peer);
    }
}

// close_idle puts out who has not said its name in time.
static void close_idle(void *context, px_ns now)
{
    px_relay *relay = context;
    px_ns due = 0;
    px_peer *peer, *next;
    DL_FOREACH_SAFE (relay->peers, peer, next) {
        if (peer->role != PX_ROLE_NONE) {
            continue;
        }
        if (peer->opened + DOOR_NS <= now) {
            close_peer(peer);
        } else if (due == 0 || peer->opened + DOOR_NS < due) {
            due = peer->opened + DOOR_NS;
        }
    }
    px_timer_remove(relay->door_timer);
    relay->door_timer = NULL;
    if (due != 0) {
        (void)px_loop_add_timer(relay->loop, "door", due, 0, close_idle, relay, &relay->door_timer);
    }
}

static px_err add_peer(px_relay *relay, px_link *link)
{
    px_peer *peer = calloc(1, sizeof(*peer));
    if (peer == NULL) {
        return PX_ENOMEM;
    }
    *peer = (px_peer){.relay = relay, .link = link, .events = PX_READABLE, .opened = px_now()};
    peer->far = px_link_peer_pid(link) == getpid(); // px-gate's
    px_err err = px_loop_add_fd(relay->loop, "work", px_link_fd(link), PX_READABLE, peer_ready,
                                peer, &peer->source);
    if (err != PX_OK) {
        free(peer);
        return err;
    }
    DL_APPEND(relay->peers, peer);
    if (relay->door_timer == NULL) {
        (void)px_loop_add_timer(relay->loop, "door", peer->opened + DOOR_NS, 0, close_idle, relay,
                                &relay->door_timer);
    }
    return PX_OK;
}

static void somebody_knocks(void *context, int events)
{
    px_relay *relay = context;
    (void)events;
    for (int n = 0; n < READ_BUDGET; n++) {
        px_link *link = NULL;
        px_err err = px_link_accept(relay->listener, PX_LINK_MAX_UNTRUSTED, &link);
        if (err == PX_OK) {
            err = add_peer(relay, link);
            if (err != PX_OK) {
                px_link_close(link);
            }
        } else if (err != PX_EPERM) { // of another user: closed already, the next one please
            if (err != PX_EAGAIN) {   // no descriptor is left: not before somebody goes
                relay->door_shut = true;
                px_source_set_events(relay->listen_source, 0);
            }
            return;
        }
    }
}

// --- what the admin wishes -----------------------------------------------------------------------

static px_err expect_engine(px_relay *relay, const px_wish *wish)
{
    px_debtor *debtor = calloc(1, sizeof(*debtor));
    if (debtor == NULL) {
        return PX_ENOMEM;
    }
    debtor->id = wish->id;
    debtor->tally = wish->tally;
    px_err err = px_flight_new(&debtor->flight);
    if (err != PX_OK) {
        free(debtor);
        return err;
    }
    HASH_ADD(hh, relay->debtors, id, sizeof(debtor->id), debtor);
    return PX_OK;
}

static void expect(px_relay *relay, const px_wish *wish)
{
    invitation *guest = calloc(1, sizeof(*guest));
    if (guest == NULL || (wish->role == PX_ROLE_ENGINE && expect_engine(relay, wish) != PX_OK)) {
        free(guest);
        px_log_error("relay: out of memory for a registration", "id=%u", wish->id);
        return;
    }
    guest->role = wish->role;
    guest->id = wish->id;
    memcpy(guest->secret, wish->secret, sizeof(guest->secret));
    HASH_ADD_STR(relay->invitations, secret, guest);
}

static void uninvite(px_relay *relay, px_role role, uint32_t id)
{
    invitation *guest, *next;
    HASH_ITER (hh, relay->invitations, guest, next) {
        if (guest->role == role && guest->id == id) {
            HASH_DEL(relay->invitations, guest);
            free(guest);
        }
    }
}

static void forget_client(px_relay *relay, uint32_t id)
{
    px_peer *peer = px__relay_client(relay, id);
    if (peer != NULL) {
        close_peer(peer);
    } else {
        uninvite(relay, PX_ROLE_CLIENT, id);
    }
}

static void bury(px_relay *relay, px_wish *wish)
{
    uninvite(relay, PX_ROLE_ENGINE, wish->id);
    px_debtor *debtor = px__relay_debtor(relay, wish->id);
    if (debtor == NULL || debtor->dead) {
        return;
    }
    if (debtor->peer != NULL) { // its process is gone: all it wrote is here
        px_peer *peer = debtor->peer;
        for (int empty = 0; empty < 2 && !peer->closed;) { // the first "empty" may be of before
            stop_waiting(peer);
            empty += !read_one(peer);
        }
        close_peer(peer);
    }
    debtor->dead = true;
    debtor->signal = wish->signal;
    debtor->code = wish->code;
    debtor->cause = PX_STEAL(wish->cause);
    px__route_lost(relay, debtor);
    px_sched_engine_down(relay->sched, px_now(), debtor->id, &relay->orders);
    px__tasks_carry_out(relay);
    px_flight_free(debtor->flight);
    debtor->flight = NULL;
}

static void abort_tasks(px_relay *relay, const px_wish *wish)
{
    for (size_t i = 0; i < wish->n_tasks; i++) {
        px_sched_abort(relay->sched, px_now(), wish->id, wish->tasks[i], &relay->orders);
    }
    px__tasks_carry_out(relay);
}

static void deliver(px_relay *relay, const px_wish *wish)
{
    px_peer *client = px__relay_client(relay, wish->id);
    if (client != NULL) {
        px__relay_send(client, &wish->frames, NULL);
    }
}

static void grant(px_relay *relay, px_wish *wish)
{
    switch (wish->letter.kind) {
    case DO_EXPECT:
        expect(relay, wish);
        break;
    case DO_FORGET_CLIENT:
        forget_client(relay, wish->id);
        break;
    case DO_BURY:
        bury(relay, wish);
        break;
    case DO_ABORT:
        abort_tasks(relay, wish);
        break;
    case DO_HOPELESS:
        px_sched_hopeless(relay->sched, px_now(), wish->hopeless, &relay->orders);
        px__tasks_carry_out(relay);
        break;
    case DO_DELIVER:
        deliver(relay, wish);
        break;
    case DO_RELEASE:
        px__route_release(relay, wish->id, wish->client, wish->task,
                          wish->returned ? PX_ROUTE_LENT : 0);
        break;
    case DO_STOP:
        relay->stopping = true;
        break;
    default:
        break;
    }
    px__wish_free(wish);
}

static void letter_came(void *context, px_letter *letter)
{
    px_relay *relay = context;
    if (letter->kind != DO_AGAIN) {
        grant(relay, PX_CONTAINER(letter, px_wish, letter));
        return;
    }
    px_peer *peer = PX_CONTAINER(letter, px_peer, again);
    peer->again_posted = false;
    if (peer->closed) {
        free(peer);
    } else {
        read_all(peer);
    }
}

// take_letters empties the mailbox out of turn. Letters to ourselves are put back: they may free a
// peer that a caller holds.
static void take_letters(px_relay *relay)
{
    px_letter *letter = px_mailbox_take(&relay->box);
    while (letter != NULL) {
        px_letter *next = letter->next;
        letter->next = NULL;
        if (letter->kind == DO_EXPECT) {
            grant(relay, PX_CONTAINER(letter, px_wish, letter));
        } else {
            px_mailbox_post(&relay->box, letter);
        }
        letter = next;
    }
}

// --- the thread ----------------------------------------------------------------------------------

static void *run(void *context)
{
    px_relay *relay = context;
    px_err err = PX_OK;
    while (err == PX_OK && !relay->stopping) {
        err = px_loop_once(relay->loop, -1);
        push_out(relay);
    }
    if (err != PX_OK) {
        px_log_error("relay: the wait for messages failed", "cause=%s", px_err_text(err));
        abort(); // a controller that forwards nothing is worse than none
    }
    return NULL;
}

// free_clients takes all tasks out of the scheduler, also of clients that have left; the clients
// themselves are among the peers.
static void free_clients(px_relay *relay)
{
    uint32_t id;
    HASH_CLEAR(hh, relay->clients);
    while (px_sched_any_client(relay->sched, &id)) {
        px_sched_client_gone(relay->sched, px_now(), id, &relay->orders);
    }
    for (size_t i = 0; i < relay->orders.n; i++) {
        if (relay->orders.items[i].kind != PX_SCHED_SEND) {
            px__task_drop(&relay->orders.items[i]);
        }
    }
}

static void free_peers(px_relay *relay)
{
    px_peer *peer, *next;
    DL_FOREACH_SAFE (relay->peers, peer, next) {
        px_source_remove(peer->source);
        px_link_close(peer->link);
        peer->link = NULL;
        peer->closed = true;
        if (!peer->again_posted) { // else its letter is in the box
            free(peer);
        }
    }
    px_letter *letter = px_mailbox_take(&relay->box);
    while (letter != NULL) {
        px_letter *after = letter->next;
        if (letter->kind == DO_AGAIN) {
            free(PX_CONTAINER(letter, px_peer, again));
        } else {
            px__wish_free(PX_CONTAINER(letter, px_wish, letter));
        }
        letter = after;
    }
}

static void free_debtors(px_relay *relay)
{
    px_debtor *debtor, *next;
    HASH_ITER (hh, relay->debtors, debtor, next) {
        HASH_DEL(relay->debtors, debtor);
        px_flight_free(debtor->flight);
        free(debtor->cause);
        free(debtor);
    }
}

static void free_invitations(px_relay *relay)
{
    invitation *guest, *next;
    HASH_ITER (hh, relay->invitations, guest, next) {
        HASH_DEL(relay->invitations, guest);
        free(guest);
    }
}

static void destroy(px_relay *relay)
{
    if (relay->loop != NULL) {
        free_clients(relay);
        free_peers(relay);
        free_debtors(relay);
        free_invitations(relay);
    }
    px_source_remove(relay->listen_source);
    px_timer_remove(relay->door_timer);
    px_timer_remove(relay->sched_timer);
    px_sched_orders_done(&relay->orders);
    px_sched_free(relay->sched);
    px_loop_free(relay->loop);
    px_session_free(relay->session);
    px_mailbox_done(&relay->box);
    px__init_free(relay);
    free(relay);
}

px_err px_relay_start(const px_relay_config *config, px_relay **ret_relay)
{
    px_relay *relay = calloc(1, sizeof(*relay));
    if (relay == NULL) {
        return PX_ENOMEM;
    }
    relay->news = config->news;
    relay->listener = config->listener;
    relay->keeper = config->keeper;
    relay->high_water = config->high_water != 0 ? config->high_water : HIGH_WATER;
    relay->active.letter.kind = PX_NEWS_ACTIVE;
    px_err err = px_mailbox_init(&relay->box);
    if (err != PX_OK) {
        free(relay);
        return err;
    }
    err = px_session_clone(config->session, &relay->session);
    err = err == PX_OK ? px_sched_new(&relay->sched) : err;
    err = err == PX_OK ? px_loop_new(&relay->loop) : err;
    err = err == PX_OK ? px_loop_add_mailbox(relay->loop, "wishes", &relay->box, letter_came, relay)
                       : err;
    err = err == PX_OK ? px_loop_add_fd(relay->loop, "door", relay->listener, PX_READABLE,
                                        somebody_knocks, relay, &relay->listen_source)
                       : err;
    err = err == PX_OK ? px_thread_start(&relay->thread, "px-relay", run, relay) : err;
    if (err != PX_OK) {
        destroy(relay);
        return err;
    }
    *ret_relay = relay;
    return PX_OK;
}

void px_relay_stop(px_relay *relay)
{
    if (relay == NULL) {
        return;
    }
    px_wish wish = {0};
    if (px__wish_post(relay, DO_STOP, &wish) != PX_OK) {
        abort(); // out of memory at the very end
    }
    (void)pthread_join(relay->thread, NULL);
    destroy(relay);
}
