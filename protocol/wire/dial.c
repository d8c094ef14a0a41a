// dial.c: reaching a controller that has several addresses, of which some may lead nowhere: all are
// tried at once, the first that answers is kept. Names are looked up only when no number answers,
// because a look-up may take long.
//
// "Refused" by the address that worked before means that the machine is there and the controller is
// not; no answer means nothing.
#include "dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 16, HOST_SIZE = 256 };
#define HANDSHAKE (5 * PX_NS_PER_S)

typedef struct attempt {
    int fd;
    struct sockaddr_storage address;
    socklen_t size;
} attempt;

typedef struct attempts {
    attempt items[MOST];
    size_t n;
    int errnum;                        // of the last that failed
    struct sockaddr_storage bad[MOST]; // others live there
    size_t n_bad;
} attempts;

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    return a->ss_family != AF_UNSPEC && memcmp(a, b, sizeof(*a)) == 0;
}

static void failed(px__dial *dial, attempts *all, size_t i, int errnum)
{
    attempt *one = &all->items[i];
    if (errnum == ECONNREFUSED && same_address(&dial->good, &one->address)) {
        dial->gone = true;
    }
    if (one->fd >= 0) {
        (void)close(one->fd);
        one->fd = -1;
    }
    all->errnum = errnum;
}

static void begin(px__dial *dial, attempts *all, const struct addrinfo *info)
{
    if (all->n == MOST || info->ai_addrlen > sizeof(struct sockaddr_storage)) {
        return;
    }
    attempt *one = &all->items[all->n];
    *one = (attempt){.size = info->ai_addrlen};
    memcpy(&one->address, info->ai_addr, info->ai_addrlen);
    for (size_t i = 0; i < all->n_bad; i++) {
        if (same_address(&all->bad[i], &one->address)) {
            return;
        }
    }
    all->n++;
    one->fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (one->fd < 0 ||
        (connect(one->fd, info->ai_addr, info->ai_addrlen) != 0 && errno != EINPROGRESS)) {
        failed(dial, all, all->n - 1, errno);
    }
}

// begin_all starts connecting to every address of the list that is a number, or a name.
static void begin_all(px__dial *dial, attempts *all, bool names)
{
    char port[8], host[HOST_SIZE];
    const char *at = dial->addresses;
    (void)snprintf(port, sizeof(port), "%u", dial->port);
    while (*at != '\0') {
        size_t length = strcspn(at, " ");
        if (length > 0 && length < sizeof(host)) {
            memcpy(host, at, length);
            host[length] = '\0';
            struct addrinfo *list = NULL;
            struct addrinfo numeric = {.ai_socktype = SOCK_STREAM,
                                       .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
            struct addrinfo name = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
            bool is_number = getaddrinfo(host, port, &numeric, &list) == 0;
            if (is_number == names) {
                if (is_number) {
                    freeaddrinfo(list);
                }
                list = NULL;
                if (!is_number && getaddrinfo(host, port, &name, &list) != 0) {
                    list = NULL;
                    all->errnum = EHOSTUNREACH;
                }
            }
            for (const struct addrinfo *info = list; info != NULL; info = info->ai_next) {
                begin(dial, all, info);
            }
            if (list != NULL) {
                freeaddrinfo(list);
            }
        }
        at += length;
        at += strspn(at, " ");
    }
}

// wait_for waits for fds (n of them; the last one is the stop) and PX_OK means: look.
static px_err wait_for(const px__dial *dial, struct pollfd *fds, nfds_t n, px_ns until)
{
    px_ns now = px_now();
    if (now >= until) {
        return PX_ETIMEOUT;
    }
    fds[n - 1] = (struct pollfd){.fd = dial->stop}; // only its hang-up; -1 is passed over
    int ready = poll(fds, n, (int)((until - now) / PX_NS_PER_MS) + 1);
    if (ready < 0 && errno == EINTR && dial->interrupted != NULL &&
        dial->interrupted(dial->context)) {
        return PX_EINTR;
    }
    if (ready < 0 && errno != EINTR) {
        return px_err_from_errno(errno);
    }
    return ready > 0 && fds[n - 1].revents != 0 ? PX_ECLOSED : PX_OK;
}

static int take(attempts *all, size_t i)
{
    int fd = all->items[i].fd;
    all->items[i].fd = -1;
    return fd;
}

// first_of gives the descriptor of the first that is connected. PX_EREFUSED: none will be.
static px_err first_of(px__dial *dial, attempts *all, int *ret_fd)
{
    for (;;) {
        struct pollfd fds[MOST + 1] = {0};
        size_t open = 0;
        for (size_t i = 0; i < all->n; i++) {
            fds[i] = (struct pollfd){.fd = all->items[i].fd, .events = POLLOUT};
            open += all->items[i].fd >= 0;
        }
        if (open == 0) {
            return PX_EREFUSED;
        }
        PX_TRY(wait_for(dial, fds, all->n + 1, dial->deadline));
        for (size_t i = 0; i < all->n; i++) {
            int errnum = 0;
            socklen_t size = sizeof(errnum);
            if (all->items[i].fd < 0 || fds[i].revents == 0) {
                continue;
            }
            if (getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &errnum, &size) == 0 && errnum == 0) {
                dial->good = all->items[i].address;
                *ret_fd = take(all, i);
                return PX_OK;
            }
            failed(dial, all, i, errnum);
        }
    }
}

static px_err connect_any(px__dial *dial, attempts *all, int *ret_fd)
{
    px_err err = PX_EREFUSED;
    for (int names = 0; names < 2 && err == PX_EREFUSED; names++) {
        all->n = 0;
        begin_all(dial, all, names == 1);
        err = first_of(dial, all, ret_fd);
        for (size_t i = 0; i < all->n; i++) {
            if (all->items[i].fd >= 0) {
                (void)close(all->items[i].fd);
            }
        }
    }
    return err;
}

static px_err say_why(const px__dial *dial, px_err err, int errnum, px_error *reterr)
{
    switch (err) {
    case PX_EREFUSED:
        return px_error_set(reterr, errnum == ECONNREFUSED ? PX_EREFUSED : PX_ETIMEOUT,
                            "cannot reach the controller of cluster \"%s\" at %.200s, port %u: %s; "
                            "check that it runs, and that no firewall stands between",
                            dial->name, dial->addresses, dial->port, strerror(errnum));
    case PX_ETIMEOUT:
        return px_error_set(reterr, err,
                            "no answer from the controller of cluster \"%s\" at %.200s, port %u; "
                            "check the network between, or start the cluster with `--ip` and an "
                            "address that can be reached from here",
                            dial->name, dial->addresses, dial->port);
    case PX_EINTR:
        return px_error_set(reterr, err, "interrupted while connecting to cluster \"%s\"",
                            dial->name);
    case PX_EPERM:
        return px_error_set(reterr, err,
                            "what listens at %.200s, port %u, does not have the key of cluster "
                            "\"%s\": the cluster was started anew (get its connection file again), "
                            "or it is another program",
                            dial->addresses, dial->port, dial->name);
    default:
        return px_error_set(reterr, err, "the connection to cluster \"%s\" at %.200s, port %u: %s",
                            dial->name, dial->addresses, dial->port, px_err_text(err));
    }
}

// wait_tls waits until the connection goes on.
static px_err wait_tls(const px__dial *dial, const px_tls *tls, px_ns until)
{
    struct pollfd fds[2] = {
        {.fd = px_tls_fd(tls), .events = px_tls_wants_write(tls) ? POLLOUT : POLLIN}};
    return wait_for(dial, fds, 2, until);
}

static px_ns handshake_until(const px__dial *dial)
{
    px_ns until = px_now() + HANDSHAKE;
    return until < dial->deadline ? until : dial->deadline;
}

// shake_hands takes fd.
static px_err shake_hands(const px__dial *dial, int fd, px_tls **ret_tls)
{
    int one = 1;
    PX_AUTO(px_tls) tls = NULL;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); // only slower
    px_err err = px_tls_new(dial->tls, fd, &tls);
    if (err != PX_OK) {
        (void)close(fd); // nothing was sent
        return err;
    }
    px_ns until = handshake_until(dial);
    while ((err = px_tls_handshake(tls)) == PX_EAGAIN) {
        PX_TRY(wait_tls(dial, tls, until));
    }
    PX_TRY(err);
    *ret_tls = PX_STEAL(tls);
    return PX_OK;
}

px_err px__dial_tcp(px__dial *dial, px_tls **ret_tls, px_error *reterr)
{
    attempts all = {.errnum = EHOSTUNREACH};
    struct sockaddr_storage good = dial->good;
    px_err stranger = PX_OK; // what came of a handshake with somebody else
    dial->gone = false;
    for (;;) {
        int fd = -1;
        px_err err = connect_any(dial, &all, &fd);
        if (err != PX_OK) {
            err = err == PX_EREFUSED && stranger != PX_OK ? stranger : err;
            return say_why(dial, err, all.errnum, reterr);
        }
        if (dial->net_fd != NULL) {
            atomic_store(dial->net_fd, fd);
        }
        err = shake_hands(dial, fd, ret_tls);
        if (err == PX_OK) {
            return PX_OK;
        }
        if (err == PX_EPERM && same_address(&good, &dial->good)) {
            dial->gone = true; // where our controller was there is another one
        }
        if ((err != PX_EPERM && err != PX_ETIMEOUT && err != PX_ECLOSED) || all.n_bad == MOST ||
            px_now() >= dial->deadline) {
            return say_why(dial, err, 0, reterr);
        }
        stranger = err; // the same number may be another machine's here: look at the others
        all.bad[all.n_bad++] = dial->good;
        dial->good = good;
    }
}

px_err px__dial_greet(const px__dial *dial, px_tls *tls, const px_greeting *greeting,
                      px_greeting *ret_answer, px_error *reterr)
{
    uint8_t wire[PX_GREETING_SIZE];
    size_t n = 0;
    px_ns until = handshake_until(dial);
    px_greeting_write(greeting, wire);
    px_err err = px_tls_write(tls, wire, sizeof(wire), &n); // a fresh socket takes 32 bytes
    if (err == PX_OK && n != sizeof(wire)) {
        err = PX_EIO;
    }
    for (size_t have = 0; err == PX_OK && have < sizeof(wire); have += n) {
        n = 0;
        err = px_tls_read(tls, wire + have, sizeof(wire) - have, &n);
        if (err == PX_EAGAIN) {
            err = wait_tls(dial, tls, until);
        }
    }
    err = err == PX_OK ? px_greeting_read(wire, ret_answer) : err;
    return err == PX_OK ? PX_OK : say_why(dial, err, 0, reterr);
}
