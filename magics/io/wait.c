// wait.c: waiting, and who reads meanwhile.
//
// Why. A reply that a thread of ours reads and hands on to the thread that waits costs two
// wake-ups, and a wake-up on another core costs more than everything else in a round trip. So the
// first thread that waits takes over the reading (it leads): it sleeps on the work link itself. The
// others (they follow) sleep on an eventfd each. px-client reads when nobody waits, so that outputs
// are shown and callbacks called all the same.
//
// Change of hands. px-client watches the work link through an epoll descriptor of its own, in
// which a leader mutes the link and unmutes it when it leaves: one system call each, which wake
// nobody. epoll is level-triggered, so what arrived in between is seen at once. A leader that
// leaves while others wait makes one of them the leader and wakes it.
//
// A wait never sleeps on a condition variable: a signal (Ctrl-C) has to end it.

#include "io/internal.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LEAD_BUDGET = 256 };

void px__eventfd_write(int fd)
{
    uint64_t one = 1;
    // A full counter means that it is readable already.
    (void)!write(fd, &one, sizeof one);
}

void px__eventfd_read(int fd)
{
    uint64_t count;
    (void)!read(fd, &count, sizeof count);
}

static bool task_has(const px_task *task, const px_want *want)
{
    if (want->slot >= 0) {
        return task->slots[want->slot].state != PX_SLOT_PENDING;
    }
    if (want->slot == PX_WANT_ANY) {
        return task->n_done > want->seen || task->live_first != NULL;
    }
    bool given_up = want->slot == PX_WANT_WHOLE &&
                    (task->lost || (want->losses && task->client->n_lost > want->seen));
    return given_up || task->n_done == task->targets.n;
}

static bool has(const px_client *client, const px_want *want)
{
    if (want->task != NULL) {
        return task_has(want->task, want) || (client->questions != NULL && px__asked(client, want));
    }
    if (client->closed) {
        return true;
    }
    if (want->filled) {
        return client->n_filled > want->seen ||
               (client->questions != NULL && px__asked(client, want));
    }
    return want->ask != NULL ? want->ask->answered : client->changed > want->seen;
}

bool px_client_has(px_client *client, const px_want *want)
{
    (void)pthread_mutex_lock(&client->lock);
    bool result = has(client, want);
    (void)pthread_mutex_unlock(&client->lock);
    return result;
}

uint64_t px_client_filled(px_client *client)
{
    (void)pthread_mutex_lock(&client->lock);
    uint64_t filled = client->n_filled;
    (void)pthread_mutex_unlock(&client->lock);
    return filled;
}

uint64_t px_client_lost(px_client *client)
{
    (void)pthread_mutex_lock(&client->lock);
    uint64_t lost = client->n_lost;
    (void)pthread_mutex_unlock(&client->lock);
    return lost;
}

static void signal_waiter(px_waiter *waiter)
{
    if (!waiter->signalled) {
        waiter->signalled = true;
        px__eventfd_write(waiter->fd);
    }
}

void px__wake(px_client *client, const px_task *task, const px_waiter *self)
{
    for (px_waiter *waiter = client->waiters; waiter != NULL; waiter = waiter->next) {
        const px_want *want = &waiter->want;
        bool concerned = want->task == task || want->filled || want->losses;
        if (waiter != self && concerned && has(client, want)) {
            signal_waiter(waiter);
        }
    }
}

void px__wake_asking(px_client *client, const px_task *task)
{
    for (px_waiter *waiter = client->waiters; waiter != NULL; waiter = waiter->next) {
        bool own = waiter->want.asks != PX_ASKS_NONE && waiter->want.task == task;
        if (own || waiter->want.asks == PX_ASKS_ALL) {
            signal_waiter(waiter);
        }
    }
}

void px__wake_all(px_client *client)
{
    for (px_waiter *waiter = client->waiters; waiter != NULL; waiter = waiter->next) {
        signal_waiter(waiter);
    }
}

void px__waiters_free(px_client *client)
{
    while (client->idle_waiters != NULL) {
        px_waiter *waiter = client->idle_waiters;
        client->idle_waiters = waiter->next;
        (void)close(waiter->fd);
        free(waiter);
    }
}

void px__mute(px_client *client, bool mute)
{
    if (client->work_poll < 0) {
        return;
    }
    struct epoll_event event = {.events = mute ? 0 : EPOLLIN};
    (void)epoll_ctl(client->work_poll, EPOLL_CTL_MOD, px_link_fd(client->work), &event);
}

// waiter_enter takes a waiter from the idle ones, or makes one, and puts it on the list. lock held.
static px_waiter *waiter_enter(px_client *client, const px_want *want)
{
    px_waiter *waiter = client->idle_waiters;
    if (waiter != NULL) {
        client->idle_waiters = waiter->next;
    } else {
        waiter = calloc(1, sizeof *waiter);
        if (waiter == NULL) {
            return NULL;
        }
        waiter->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (waiter->fd < 0) {
            free(waiter);
            return NULL;
        }
    }
    waiter->want = *want;
    waiter->next = client->waiters;
    client->waiters = waiter;
    return waiter;
}

// lead makes waiter the reader if it wants what comes over the work link and nobody leads. lock
// held.
static bool lead(px_client *client, px_waiter *waiter)
{
    if (client->leader == waiter) {
        return true; // promoted by the one before
    }
    bool over_work = waiter->want.task != NULL || waiter->want.filled;
    if (!over_work || client->leader != NULL || client->closed) {
        return false;
    }
    client->leader = waiter;
    px__mute(client, true);
    return true;
}

// waiter_leave takes the waiter off the list and hands the reading on when it led. lock held.
static void waiter_leave(px_client *client, px_waiter *waiter)
{
    px_waiter **at = &client->waiters;
    while (*at != waiter) {
        at = &(*at)->next;
    }
    *at = waiter->next;
    if (client->leader == waiter) {
        px_waiter *heir = client->waiters;
        while (heir != NULL && heir->want.task == NULL) {
            heir = heir->next;
        }
        client->leader = client->closed ? NULL : heir;
        if (client->leader != NULL) {
            signal_waiter(heir);
        } else {
            px__mute(client, false);
        }
    }
    if (waiter->signalled) {
        waiter->signalled = false;
        px__eventfd_read(waiter->fd);
    }
    waiter->next = client->idle_waiters;
    client->idle_waiters = waiter;
}

static bool time_left(px_ns deadline, struct timespec *ret_left)
{
    px_ns now = px_now();
    if (now >= deadline) {
        return false;
    }
    *ret_left = (struct timespec){.tv_sec = (time_t)((deadline - now) / PX_NS_PER_S),
                                  .tv_nsec = (long)((deadline - now) % PX_NS_PER_S)};
    return true;
}

// sleep_until waits for the waiter's eventfd and, for a leader, for the work link.
static px_err sleep_until(px_client *client, const px_waiter *waiter, bool leads, px_ns deadline,
                          int wake_fd)
{
    struct timespec left;
    px_ns due = leads ? px__hold_due(client) : 0;
    bool holds = due != 0 && (deadline == 0 || due < deadline);
    px_ns until = holds ? due : deadline;
    if (until != 0 && !time_left(until, &left)) {
        return holds ? PX_OK : PX_ETIMEOUT;
    }
    struct pollfd fds[] = {{.fd = waiter->fd, .events = POLLIN},
                           {.fd = wake_fd, .events = POLLIN}, // -1 is passed over
                           {.fd = -1, .events = POLLIN}};
    if (leads) {
        fds[2].fd = px_link_fd(client->work);
    }
    int n = ppoll(fds, leads ? 3 : 2, until != 0 ? &left : NULL, NULL);
    if (n < 0) {
        return errno == EINTR ? PX_EINTR : px_err_from_errno(errno);
    }
    if (fds[1].revents != 0) {
        return PX_EINTR;
    }
    return n == 0 && !holds ? PX_ETIMEOUT : PX_OK;
}

static bool woken(int wake_fd)
{
    struct pollfd fd = {.fd = wake_fd, .events = POLLIN};
    return wake_fd >= 0 && poll(&fd, 1, 0) > 0;
}

// take_part is one round of a wait: read what is there if we lead, look, sleep. ret_more tells that
// the link may hold more that it has read ahead.
static px_err take_part(px_client *client, px_waiter *waiter, bool leads, px_ns deadline,
                        int wake_fd, bool *ret_more)
{
    px_err read = PX_EAGAIN;
    if (leads && client->work != NULL) {
        read = px__read_work(client, waiter, LEAD_BUDGET);
    }
    *ret_more = read == PX_OK;
    (void)pthread_mutex_lock(&client->lock);
    bool done = has(client, &waiter->want) || client->closed;
    if (waiter->signalled) {
        waiter->signalled = false;
        px__eventfd_read(waiter->fd);
    }
    bool promoted = client->leader == waiter && !leads;
    (void)pthread_mutex_unlock(&client->lock);
    if (done) {
        return PX_OK;
    }
    if (*ret_more || promoted) {
        return *ret_more && woken(wake_fd) ? PX_EINTR : PX_EAGAIN; // a flood is no sleep
    }
    px_err err = sleep_until(client, waiter, leads, deadline, wake_fd);
    return err == PX_OK ? PX_EAGAIN : err;
}

px_err px_client_wait(px_client *client, const px_want *want, px_ns deadline, int wake_fd)
{
    if (atomic_load(&client->keeps)) {
        px__push(client);
    }
    (void)pthread_mutex_lock(&client->lock);
    px_waiter *waiter = has(client, want) ? NULL : waiter_enter(client, want);
    if (waiter == NULL) {
        bool done = has(client, want);
        (void)pthread_mutex_unlock(&client->lock);
        return done ? PX_OK : PX_ENOMEM;
    }
    px_err err = PX_EAGAIN;
    bool reads = false;
    bool more = false;
    while (err == PX_EAGAIN) {
        bool leads = lead(client, waiter);
        (void)pthread_mutex_unlock(&client->lock);
        if (leads && !reads) {
            (void)pthread_mutex_lock(&client->reading);
            reads = true;
        }
        err = take_part(client, waiter, leads, deadline, wake_fd, &more);
        (void)pthread_mutex_lock(&client->lock);
    }
    bool done = has(client, want);
    bool closed = client->closed;
    waiter_leave(client, waiter);
    (void)pthread_mutex_unlock(&client->lock);
    if (reads) {
        if (closed) {
            px__hold_expire(client, UINT64_MAX);
        }
        more = more || client->held != NULL; // px-client has to mind the time
        (void)pthread_mutex_unlock(&client->reading);
    }
    if (more) {
        // What the link has read ahead shows on no descriptor. Only now, without `reading`:
        // px-client does not wait for the lock.
        px__client_kick(client);
    }
    return done ? PX_OK : err;
}
