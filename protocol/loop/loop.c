// One thread's event loop: epoll over everything.
//
// Plain descriptors and mailboxes are level-triggered: what was not drained is reported again. A
// ZeroMQ socket's descriptor is another thing: it becomes readable when the socket's state may have
// changed, and any call on the socket (a send, too) may take that mark away. The classic mistake is
// to sleep after such a call. So the loop asks ZeroMQ sockets for their state (the probe) before
// each wait, after all callbacks have run, and does not sleep while one has something; a change
// after that question makes the descriptor readable. That is the order in which zmq_poll works too,
// without its list of descriptors built anew for every wait, and without two system calls for each
// socket that nobody has called since it was found empty.
//
// Order in a round: descriptors as the kernel reports them, then ZeroMQ sockets, then timers. A
// source is called at most once a round. What a callback removes is not called any more, at once;
// its memory is given back when the outermost round ends, so a callback may remove anything, itself
// too.
#include "loop.h"

#include <utlist.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_A_ROUND 64

px_err px_loop_new(px_loop **ret_loop)
{
    px_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) {
        return PX_ENOMEM;
    }
    loop->stop_fd = -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd >= 0) {
        loop->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}; // NULL: the stop
    if (loop->stop_fd < 0 || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->stop_fd, &event) != 0) {
        px_err err = px_err_from_errno(errno);
        px_loop_free(loop);
        return err;
    }
    *ret_loop = loop;
    return PX_OK;
}

static void free_dead(px_loop *loop)
{
    px_source *source;
    px_source *next;

    DL_FOREACH_SAFE (loop->dead_sources, source, next) {
        free(source);
    }
    loop->dead_sources = NULL;
    px__timers_free_dead(loop);
}

void px_loop_free(px_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    assert(loop->depth == 0);
    while (loop->sources != NULL) {
        px_source_remove(loop->sources);
    }
    free_dead(loop);
    px__timers_free_all(loop);
    if (loop->stop_fd >= 0) {
        (void)close(loop->stop_fd);
    }
    if (loop->epoll_fd >= 0) {
        (void)close(loop->epoll_fd);
    }
    free(loop);
}

static uint32_t epoll_mask(const px_source *source)
{
    if (source->probe != NULL) {
        return EPOLLIN;
    }
    return ((source->events & PX_READABLE) != 0 ? (uint32_t)EPOLLIN : 0) |
           ((source->events & PX_WRITABLE) != 0 ? (uint32_t)EPOLLOUT : 0);
}

// Nothing wanted means not registered: epoll would report a hang-up all the same, for ever.
static px_err update_registration(px_source *source)
{
    struct epoll_event event = {.events = epoll_mask(source), .data.ptr = source};
    bool wanted = !source->removed && source->events != 0;
    int operation = EPOLL_CTL_MOD;

    if (!wanted && !source->registered) {
        return PX_OK;
    }
    if (wanted != source->registered) {
        operation = wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;
    }
    int status = epoll_ctl(source->loop->epoll_fd, operation, source->fd, &event);
    if (status != 0 && operation != EPOLL_CTL_DEL) {
        return px_err_from_errno(errno);
    }
    source->registered = wanted; // a failing DEL: the descriptor was closed, which removed it
    return PX_OK;
}

static px_err add_source(px_loop *loop, const px_source *draft, px_source **ret_source)
{
    px_source *source = malloc(sizeof(*source));
    if (source == NULL) {
        return PX_ENOMEM;
    }
    *source = *draft;
    source->loop = loop;
    source->unsure = source->probe != NULL;
    px_err err = update_registration(source);
    if (err != PX_OK) {
        free(source);
        return err;
    }
    DL_APPEND(loop->sources, source);
    if (source->probe != NULL) {
        loop->n_probed++;
    }
    if (ret_source != NULL) {
        *ret_source = source;
    }
    return PX_OK;
}

px_err px_loop_watch(px_loop *loop, const px_watch *watch, px_source **ret_source)
{
    const px_source draft = {.name = watch->name,
                             .fd = watch->fd,
                             .events = watch->events,
                             .ready = watch->ready,
                             .context = watch->context};
    return add_source(loop, &draft, ret_source);
}

px_err px__loop_add_probed(px_loop *loop, const px_source *draft, px_source **ret_source)
{
    assert(draft->probe != NULL && draft->touched != NULL);
    return add_source(loop, draft, ret_source);
}

px_err px_loop_add_mailbox(px_loop *loop, const char *name, px_mailbox *box, px_letter_came *came,
                           void *context)
{
    const px_source draft = {.name = name,
                             .fd = px_mailbox_fd(box),
                             .events = PX_READABLE,
                             .box = box,
                             .came = came,
                             .context = context};
    return add_source(loop, &draft, NULL);
}

void px_source_set_events(px_source *source, int events)
{
    if (source->removed || source->events == events) {
        return;
    }
    source->events = events;
    source->unsure = source->probe != NULL;
    px_err err = update_registration(source);
    assert(err == PX_OK || err == PX_ENOMEM); // else the descriptor was closed under us
    (void)err;
}

void px_source_remove(px_source *source)
{
    if (source == NULL || source->removed) {
        return;
    }
    px_loop *loop = source->loop;
    source->removed = true;
    (void)update_registration(source); // a removal does not fail
    if (source->probe != NULL) {
        loop->n_probed--;
    }
    DL_DELETE(loop->sources, source);
    DL_APPEND(loop->dead_sources, source);
}

static void read_mailbox(px_source *source)
{
    px_letter *letter = px_mailbox_take(source->box);
    while (letter != NULL) {
        px_letter *next = letter->next;
        source->came(source->context, letter);
        letter = next;
    }
}

static int events_from_epoll(uint32_t mask)
{
    return ((mask & EPOLLIN) != 0 ? PX_READABLE : 0) | ((mask & EPOLLOUT) != 0 ? PX_WRITABLE : 0) |
           ((mask & (EPOLLHUP | EPOLLERR)) != 0 ? PX_HANGUP : 0);
}

static void dispatch(px_loop *loop, const struct epoll_event *event)
{
    px_source *source = event->data.ptr;

    if (source == NULL) {
        uint64_t count;
        ssize_t ignored = read(loop->stop_fd, &count, sizeof(count));
        (void)ignored; // loop->stopping says it all
    } else if (source->removed) {
        return;
    } else if (source->probe != NULL) {
        source->fired = true;
    } else if (source->box != NULL) {
        read_mailbox(source);
    } else {
        source->ready(source->context, events_from_epoll(event->events));
    }
}

// Asks a probed source what is ready of what it waits for.
static int probe(px_source *source)
{
    int events = source->probe(source->target) & source->events;
    source->unsure = events != 0; // until its callback has dealt with it
    return events;
}

// Asks every probed source that may have changed; true when one has what it waits for.
static bool probe_all(px_loop *loop)
{
    bool any = false;

    if (loop->n_probed == 0) {
        return false;
    }
    for (px_source *source = loop->sources; source != NULL; source = source->next) {
        source->fired = source->probe != NULL &&
                        (source->unsure || source->touched(source->target)) && probe(source) != 0;
        any = any || source->fired;
    }
    return any;
}

static void dispatch_probed(px_loop *loop)
{
    px_source *next;

    if (loop->n_probed == 0) {
        return;
    }
    for (px_source *source = loop->sources; source != NULL; source = next) {
        if (source->fired) {
            source->fired = false;
            int events = probe(source);
            if (events != 0) {
                source->ready(source->context, events);
            }
        }
        // The callback may have removed this source or the one behind it: a removed source stands
        // in the dead list, so go on from its place only if it is still in ours.
        next = source->removed ? loop->sources : source->next;
    }
}

px_err px_loop_once(px_loop *loop, int timeout_ms)
{
    struct epoll_event events[EVENTS_A_ROUND];

    bool pending = probe_all(loop);
    int wait_ms = pending ? 0 : px__timers_wait_ms(loop, timeout_ms);
    int n_events = epoll_wait(loop->epoll_fd, events, EVENTS_A_ROUND, wait_ms);
    if (n_events < 0 && errno != EINTR) {
        return px_err_from_errno(errno);
    }
    loop->depth++;
    for (int i = 0; i < n_events; i++) {
        dispatch(loop, &events[i]);
    }
    dispatch_probed(loop);
    px__timers_fire(loop);
    if (--loop->depth == 0) {
        free_dead(loop);
    }
    return PX_OK;
}

px_err px_loop_run(px_loop *loop)
{
    px_err err = PX_OK;

    while (err == PX_OK && !atomic_load(&loop->stopping)) {
        err = px_loop_once(loop, -1);
    }
    atomic_store(&loop->stopping, false);
    return err;
}

void px_loop_stop(px_loop *loop)
{
    const uint64_t one = 1;

    atomic_store(&loop->stopping, true);
    ssize_t ignored = write(loop->stop_fd, &one, sizeof(one));
    (void)ignored; // full means that a stop is waiting already
}
