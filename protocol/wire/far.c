// far.c: the thread that carries a link over the network, and connects again.
//
// The first connection is made by the caller, so that what is wrong is told at once and Ctrl-C
// works. From then on px-far alone owns the tunnel. It ends when the tunnel does; the link's owner
// sees the end of its socket, and px_link_close joins the thread.
//
// A child of fork() has a copy of the descriptors and no thread: it closes them, or the controller
// would not see the parent's end.
#include "px/far.h"

#include "dial.h"
#include "link.h"

#include "px/id.h"
#include "px/loop.h"
#include "px/thread.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRY_FOR (5 * PX_NS_PER_S)
#define PAUSE_FIRST (100 * PX_NS_PER_MS)
#define PAUSE_MOST (2 * PX_NS_PER_S)

struct px__far {
    px_tunnel *tunnel;
    px__dial dial;
    px_greeting greeting;
    px_stream_limits limits;
    pthread_t thread;
    pthread_mutex_t lock;
    px_error why;  // guarded by lock
    bool given_up; // the controller said so: there is nothing to try again. The thread's own
    char *addresses, *name;
    atomic_int net_fd, local_fd; // for a forked child
    px__far *next;
};

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static px__far *all; // guarded by all_lock
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
    (void)pthread_mutex_lock(&all_lock);
}

static void after_fork_parent(void)
{
    (void)pthread_mutex_unlock(&all_lock);
}

static void after_fork_child(void)
{
    for (px__far *far = all; far != NULL; far = far->next) {
        int net = atomic_load(&far->net_fd), local = atomic_load(&far->local_fd);
        if (net >= 0) {
            (void)close(net); // the parent's connection goes on
        }
        if (local >= 0) {
            (void)close(local);
        }
    }
    all = NULL;
    (void)pthread_mutex_init(&all_lock, NULL);
}

static void arm(void)
{
    (void)pthread_atfork(before_fork, after_fork_parent, after_fork_child); // no memory: unguarded
}

// --- the thread ----------------------------------------------------------------------------------

static void say_why(px__far *far, const px_error *why)
{
    (void)pthread_mutex_lock(&far->lock);
    far->why = *why;
    (void)pthread_mutex_unlock(&far->lock);
}

static px_err greet_again(px__far *far, px_tls *tls, uint64_t *ret_received, px_error *reterr)
{
    px_greeting answer = {0};
    far->greeting.resumes = true;
    far->greeting.received = px_tunnel_received(far->tunnel);
    px_err err = px__dial_greet(&far->dial, tls, &far->greeting, &answer, reterr);
    if (err != PX_OK) {
        return err;
    }
    if (answer.what == PX_TUNNEL_BUSY) {
        return PX_EAGAIN;
    }
    if (answer.what != PX_TUNNEL_WELCOME) {
        far->given_up = true;
        return px_error_set(reterr, PX_ECLOSED,
                            "the controller of cluster \"%s\" has given this connection up: there "
                            "was none for too long",
                            far->name);
    }
    *ret_received = answer.received;
    return PX_OK;
}

// reconnect is one attempt.
static px_err reconnect(px__far *far, px_error *reterr)
{
    PX_AUTO(px_tls) tls = NULL;
    uint64_t received = 0;
    far->dial.deadline = px_now() + TRY_FOR;
    px_err err = px__dial_tcp(&far->dial, &tls, reterr);
    if (err == PX_OK) {
        err = greet_again(far, tls, &received, reterr);
    }
    if (err == PX_OK) {
        err = px_tunnel_attach(far->tunnel, PX_STEAL(tls), received, px_now());
    }
    if (err != PX_OK) {
        atomic_store(&far->net_fd, -1);
    }
    return err;
}

// pause waits until it is time to try again; false when the link was closed meanwhile.
static bool pause_for(const px__far *far, px_ns time)
{
    struct pollfd fd = {.fd = far->dial.stop};
    return poll(&fd, 1, (int)(time / PX_NS_PER_MS)) == 0;
}

// mend connects again; false when the link is over.
static bool mend(px__far *far)
{
    px_ns gone_since = 0, pause = 0;
    for (;;) {
        px_error why = {0};
        if (!pause_for(far, pause)) {
            return false;
        }
        px_err err = reconnect(far, &why);
        if (err == PX_OK || far->given_up) {
            say_why(far, &why);
            return err == PX_OK;
        }
        px_ns now = px_now();
        if (!far->dial.gone) {
            gone_since = 0;
        } else if (gone_since == 0) {
            gone_since = now;
        }
        if (gone_since != 0 && now - gone_since >= far->limits.beat) { // it is not coming back
            say_why(far, &why);
            return false;
        }
        px_tunnel_state state = px_tunnel_step(far->tunnel, now);
        if (state != PX_TUNNEL_BROKEN) {
            (void)px_error_set(&why, PX_ETIMEOUT,
                               "no connection to the controller of cluster \"%s\" for %.3g s",
                               far->name, (double)far->limits.lease / (double)PX_NS_PER_S);
            say_why(far, &why);
            return false;
        }
        pause = pause == 0 ? PAUSE_FIRST : pause * 2 < PAUSE_MOST ? pause * 2 : PAUSE_MOST;
    }
}

static void wait_for(const px_tunnel *tunnel)
{
    px_tunnel_needs needs = px_tunnel_waits(tunnel);
    px_ns now = px_now();
    struct pollfd fds[2] = {{.fd = needs.net_fd}, {.fd = needs.local_fd}};
    const int events[2] = {needs.net_events, needs.local_events};
    for (int i = 0; i < 2; i++) {
        fds[i].events = (short)(((events[i] & PX_READABLE) != 0 ? POLLIN : 0) |
                                ((events[i] & PX_WRITABLE) != 0 ? POLLOUT : 0));
        if (fds[i].events == 0) {
            fds[i].fd = -1; // a hang-up that is not wanted yet would keep us awake
        }
    }
    px_ns left = needs.due > now ? (needs.due - now) / PX_NS_PER_MS + 1 : 0;
    (void)poll(fds, 2, left < INT32_MAX ? (int)left : INT32_MAX);
}

static void *run(void *context)
{
    px__far *far = context;
    for (;;) {
        px_tunnel_state state = px_tunnel_step(far->tunnel, px_now());
        if (state == PX_TUNNEL_OVER || state == PX_TUNNEL_GIVEN_UP) {
            break;
        }
        if (state == PX_TUNNEL_BROKEN) {
            atomic_store(&far->net_fd, -1);
            px_tunnel_cut(far->tunnel);
            if (!mend(far)) {
                break;
            }
        } else {
            wait_for(far->tunnel);
        }
    }
    atomic_store(&far->net_fd, -1);
    (void)shutdown(far->dial.stop, SHUT_RDWR); // the owner reads what came, then the end
    return NULL;
}

// --- life ----------------------------------------------------------------------------------------

static void free_far(px__far *far)
{
    if (far == NULL) {
        return;
    }
    px_tunnel_free(far->tunnel);
    px_tls_context_free(far->dial.tls);
    (void)pthread_mutex_destroy(&far->lock);
    free(far->addresses);
    free(far->name);
    free(far);
}

void px__far_close(px__far *far)
{
    (void)pthread_mutex_lock(&all_lock);
    px__far **at = &all;
    while (*at != NULL && *at != far) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = far->next;
    }
    (void)pthread_mutex_unlock(&all_lock);
    (void)pthread_join(far->thread, NULL);
    free_far(far);
}

void px__far_why(px__far *far, char *ret_text, size_t size)
{
    (void)pthread_mutex_lock(&far->lock);
    (void)snprintf(ret_text, size, "%s", far->why.text);
    (void)pthread_mutex_unlock(&far->lock);
}

static px_err new_far(const px_far *target, px__far **ret_far, px_error *reterr)
{
    px__far *far = calloc(1, sizeof(*far));
    if (far == NULL) {
        return PX_ENOMEM;
    }
    (void)pthread_mutex_init(&far->lock, NULL); // default attributes: cannot fail here
    far->addresses = strdup(target->addresses);
    far->name = strdup(target->name);
    far->limits = px_tunnel_limits(target->lease_s);
    far->greeting.what = (uint8_t)target->use;
    atomic_init(&far->net_fd, -1);
    atomic_init(&far->local_fd, -1);
    px_err err = far->addresses != NULL && far->name != NULL ? PX_OK : PX_ENOMEM;
    if (err == PX_OK && getrandom(far->greeting.id, PX_TUNNEL_ID_SIZE, 0) != PX_TUNNEL_ID_SIZE) {
        err = PX_ESYS;
    }
    far->dial = (px__dial){.name = far->name,
                           .addresses = far->addresses,
                           .port = target->port,
                           .deadline = target->deadline,
                           .stop = -1,
                           .interrupted = target->interrupted,
                           .context = target->context,
                           .net_fd = &far->net_fd};
    err = err == PX_OK
              ? px_tls_context_new(target->key, target->name, false, &far->dial.tls, reterr)
              : err;
    if (err != PX_OK) {
        free_far(far);
        return err;
    }
    *ret_far = far;
    return PX_OK;
}

// first_connection gives the connection and the greeting's answer.
static px_err first_connection(px__far *far, px_tls **ret_tls, uint64_t *ret_received,
                               px_error *reterr)
{
    for (px_ns pause = PAUSE_FIRST;; pause = pause * 2 < PAUSE_MOST ? pause * 2 : PAUSE_MOST) {
        PX_AUTO(px_tls) tls = NULL;
        px_greeting answer = {0};
        PX_TRY(px__dial_tcp(&far->dial, &tls, reterr));
        PX_TRY(px__dial_greet(&far->dial, tls, &far->greeting, &answer, reterr));
        if (answer.what == PX_TUNNEL_WELCOME) {
            *ret_received = answer.received;
            *ret_tls = PX_STEAL(tls);
            return PX_OK;
        }
        if (px_now() + pause >= far->dial.deadline) {
            return px_error_set(reterr, PX_ETIMEOUT,
                                "the controller of cluster \"%s\" has no room for one more "
                                "connection now; see its log",
                                far->name);
        }
        (void)poll(NULL, 0, (int)(pause / PX_NS_PER_MS));
    }
}

// make_link joins both ends of a socket pair with link and tunnel, and starts the thread.
static px_err make_link(px__far *far, px_tls **tls, uint64_t received, px_link **ret_link)
{
    int pair[2];
    px_link *link = NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        return px_err_from_errno(errno);
    }
    px_err err = px_tunnel_new(&far->limits, pair[1], px_now(), &far->tunnel);
    if (err != PX_OK) {
        (void)close(pair[0]);
        (void)close(pair[1]);
        return err;
    }
    far->dial.stop = pair[1];
    far->dial.interrupted = NULL;
    atomic_store(&far->local_fd, pair[1]);
    err = px_link_adopt(pair[0], PX_LINK_MAX_BYTES, &link);
    if (err != PX_OK) {
        (void)close(pair[0]);
        return err;
    }
    err = px_tunnel_attach(far->tunnel, PX_STEAL(*tls), received, px_now());
    err = err == PX_OK ? px_thread_start(&far->thread, "px-far", run, far) : err;
    if (err != PX_OK) {
        px_link_close(link);
        return err;
    }
    px__link_set_far(link, far);
    *ret_link = link;
    return PX_OK;
}

static px_err connect_far(const px_far *target, px_link **ret_link, px_error *reterr)
{
    px__far *far = NULL;
    PX_AUTO(px_tls) tls = NULL;
    uint64_t received = 0;
    PX_TRY(new_far(target, &far, reterr));
    px_err err = first_connection(far, &tls, &received, reterr);
    if (err == PX_OK) {
        err = make_link(far, &tls, received, ret_link);
    }
    if (err != PX_OK) {
        free_far(far);
        return err;
    }
    (void)pthread_once(&once, arm);
    (void)pthread_mutex_lock(&all_lock);
    far->next = all;
    all = far;
    (void)pthread_mutex_unlock(&all_lock);
    return PX_OK;
}

px_err px_far_connect(const px_far *target, px_link **ret_link, px_error *reterr)
{
    sigset_t pipe, before;
    // OpenSSL writes with write(): a peer that is gone would be a signal here.
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &before);
    px_err err = connect_far(target, ret_link, reterr);
    const struct timespec now = {0};
    if (sigismember(&before, SIGPIPE) == 0) {
        (void)sigtimedwait(&pipe, NULL, &now);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}
