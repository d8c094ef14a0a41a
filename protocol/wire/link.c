// One connection inside a cluster: why not ZeroMQ here is a matter of microseconds (a message
// through a broker 19 to 70 against 83 to 220) and of knowing at once when the peer is gone.
//
// A send takes the lock, and if nothing is queued gathers head and frames into one sendmsg straight
// from where they lie. What the socket does not take becomes a parcel that holds references to the
// frames; as long as there are parcels, later messages queue behind them, so the order of messages
// is the order in which the lock was taken. The owner is woken to ask for PX_WRITABLE and flushes,
// many parcels in one call. Small messages that queue behind others are copied into a parcel that
// holds many: that is quicker than to hold on to the frames of each, which can be used again
// sooner.
//
// A message is never torn: if its rest cannot be queued, the connection is broken on purpose.
#include "link.h"

#include "little.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_IOV 256
// The kernel gives a socket a fifth of it unasked, and charges small messages at a multiple of
// their size.
#define SEND_BUFFER (1 << 20)
// So many bytes are kept back at most.
#define KEEP_AT_MOST ((size_t)1 << 15)
// A message of at most so many bytes is copied into a parcel with others, of that many bytes.
#define SMALL ((size_t)1 << 11)
#define BATCH ((size_t)1 << 14)

static size_t head_size_of(const px_frames *frames)
{
    return PX__LINK_LEAD + 8 * frames->n;
}

static void write_head(const px_frames *frames, uint8_t *head)
{
    px__put(head, PX__LINK_MAGIC, 4);
    px__put(head + 4, frames->n, 4);
    for (size_t i = 0; i < frames->n; i++) {
        px__put(head + PX__LINK_LEAD + 8 * i, px_frames_get(frames, i).size, 8);
    }
}

// Adds the parts of a message from (index, offset) on to iov; gives the new number of entries.
static size_t gather(struct iovec *iov, size_t n_iov, const px_frames *frames, px_slice head,
                     size_t index, size_t offset)
{
    for (; index <= frames->n && n_iov < MAX_IOV; index++) {
        px_slice part = index == 0 ? head : px_frames_get(frames, index - 1);
        if (part.size > offset) {
            iov[n_iov].iov_base = (void *)(uintptr_t)(part.data + offset); // not written through
            iov[n_iov].iov_len = part.size - offset;
            n_iov++;
        }
        offset = 0;
    }
    return n_iov;
}

// Moves (index, offset) over at most written bytes; gives what is left of written.
static size_t advance(const px_frames *frames, size_t head_size, size_t written, size_t *index,
                      size_t *offset)
{
    while (*index <= frames->n) {
        size_t size = *index == 0 ? head_size : px_frames_get(frames, *index - 1).size;
        if (written < size - *offset) {
            *offset += written;
            return 0;
        }
        written -= size - *offset;
        *offset = 0;
        ++*index;
    }
    return written;
}

// One sendmsg. PX_EAGAIN when the socket takes nothing now.
static px_err push_out(px_link *link, struct iovec *iov, size_t n_iov, size_t *ret_written)
{
    const struct msghdr message = {.msg_iov = iov, .msg_iovlen = n_iov};

    for (;;) {
        ssize_t written = sendmsg(link->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (written >= 0) {
            *ret_written = (size_t)written;
            return PX_OK;
        }
        if (errno == EINTR) {
            continue;
        }
        if (errno == EAGAIN || errno == ENOBUFS) {
            return PX_EAGAIN;
        }
        return PX_ECLOSED;
    }
}

static void drop_first(px_link *link)
{
    px__parcel *parcel = link->first;

    link->first = parcel->next;
    if (link->first == NULL) {
        link->last = NULL;
    }
    px_frames_done(&parcel->frames);
    free(parcel);
}

static void break_off(px_link *link)
{
    link->broken = true;
    while (link->first != NULL) {
        drop_first(link);
    }
    link->queued = 0;
}

static void append(px_link *link, px__parcel *parcel, size_t left)
{
    if (link->last != NULL) {
        link->last->next = parcel;
    } else {
        link->first = parcel;
    }
    link->last = parcel;
    link->queued += left;
}

// Queues a message from (index, offset) on.
static px_err enqueue(px_link *link, const px_frames *frames, size_t index, size_t offset,
                      size_t left)
{
    size_t head_size = head_size_of(frames);
    px__parcel *parcel = malloc(sizeof(*parcel) + head_size);
    if (parcel == NULL) {
        return PX_ENOMEM;
    }
    *parcel = (px__parcel){.index = index, .offset = offset, .head_size = head_size};
    px_err err = px_frames_share(&parcel->frames, frames, 0, frames->n);
    if (err != PX_OK) {
        free(parcel);
        return err;
    }
    write_head(frames, parcel->head);
    append(link, parcel, left);
    return PX_OK;
}

// Gives the last parcel if a small message of that size fits into it, else a new one.
static px__parcel *batch_for(px_link *link, size_t size)
{
    px__parcel *last = link->last;
    if (last->room - last->head_size >= size && last->room > 0) {
        return last;
    }
    px__parcel *parcel = malloc(sizeof(*parcel) + BATCH);
    if (parcel != NULL) {
        *parcel = (px__parcel){.room = BATCH};
        append(link, parcel, 0);
    }
    return parcel;
}

// Queues a small message behind others: its bytes become part of a parcel's head.
static px_err enqueue_small(px_link *link, const px_frames *frames, size_t size)
{
    px__parcel *batch = batch_for(link, size);
    if (batch == NULL) {
        return PX_ENOMEM;
    }
    uint8_t *out = batch->head + batch->head_size;
    write_head(frames, out);
    out += head_size_of(frames);
    for (size_t i = 0; i < frames->n; i++) {
        px_slice frame = px_frames_get(frames, i);
        if (frame.size > 0) {
            out = mempcpy(out, frame.data, frame.size);
        }
    }
    batch->head_size += size;
    link->queued += size;
    return PX_OK;
}

// Writes what the socket takes, with the lock held and nothing queued; queues the rest.
static px_err send_now(px_link *link, const px_frames *frames)
{
    uint8_t head[PX__LINK_LEAD + 8 * PX_LINK_MAX_FRAMES];
    struct iovec iov[MAX_IOV];
    size_t head_size = head_size_of(frames);
    size_t left = head_size + px_frames_bytes(frames);
    size_t total = left;
    size_t index = 0;
    size_t offset = 0;

    write_head(frames, head);
    while (left > 0) {
        size_t written = 0;
        size_t n_iov = gather(iov, 0, frames, px_slice_of(head, head_size), index, offset);
        px_err err = push_out(link, iov, n_iov, &written);
        if (err == PX_EAGAIN) {
            break;
        }
        if (err != PX_OK) {
            break_off(link);
            return err;
        }
        (void)advance(frames, head_size, written, &index, &offset); // it is this message's only
        left -= written;
    }
    if (left == 0) {
        return PX_OK;
    }
    px_err err = enqueue(link, frames, index, offset, left);
    if (err != PX_OK && left < total) {
        break_off(link);
        px_link_shutdown(link); // the peer must not take the next message for the rest of this one
    }
    return err;
}

// Gathers from as many parcels as fit.
static size_t gather_queue(px_link *link, struct iovec *iov)
{
    size_t n_iov = 0;

    for (px__parcel *p = link->first; p != NULL && n_iov < MAX_IOV; p = p->next) {
        n_iov =
            gather(iov, n_iov, &p->frames, px_slice_of(p->head, p->head_size), p->index, p->offset);
    }
    return n_iov;
}

static px_err flush(px_link *link)
{
    struct iovec iov[MAX_IOV];

    while (link->first != NULL) {
        size_t written = 0;
        size_t n_iov = gather_queue(link, iov);
        px_err err = push_out(link, iov, n_iov, &written);
        if (err == PX_ECLOSED) {
            break_off(link);
        }
        if (err != PX_OK) {
            return err;
        }
        link->queued -= written;
        while (link->first != NULL) {
            px__parcel *p = link->first;
            written = advance(&p->frames, p->head_size, written, &p->index, &p->offset);
            if (p->index <= p->frames.n) {
                break;
            }
            drop_first(link);
        }
    }
    return PX_OK;
}

static px_err enqueue_whole(px_link *link, const px_frames *frames)
{
    size_t size = head_size_of(frames) + px_frames_bytes(frames);
    return link->first != NULL && size <= SMALL ? enqueue_small(link, frames, size)
                                                : enqueue(link, frames, 0, 0, size);
}

// Writes what was kept back. What the socket does not take is the owner's: ret_wake is to be called
// without the lock.
static px_err push(px_link *link, void (**ret_wake)(void *context))
{
    px_err err = flush(link);
    link->kept = false;
    if (err == PX_EAGAIN) {
        *ret_wake = link->wake;
        return PX_OK;
    }
    return err;
}

px_err px_link_send_later(px_link *link, const px_frames *frames)
{
    void (*wake)(void *context) = NULL;

    if (frames->n == 0 || frames->n > PX_LINK_MAX_FRAMES) {
        return PX_EINVAL;
    }
    (void)pthread_mutex_lock(&link->lock);
    void *context = link->wake_context;
    px_err err = PX_ECLOSED;
    if (!link->broken) {
        bool idle = link->first == NULL;
        err = enqueue_whole(link, frames);
        link->kept = link->kept || (idle && err == PX_OK);
        if (link->kept && link->queued >= KEEP_AT_MOST) {
            err = push(link, &wake);
        }
    }
    (void)pthread_mutex_unlock(&link->lock);
    if (wake != NULL) {
        wake(context);
    }
    return err;
}

px_err px_link_push(px_link *link)
{
    void (*wake)(void *context) = NULL;

    (void)pthread_mutex_lock(&link->lock);
    void *context = link->wake_context;
    px_err err = PX_OK;
    if (link->broken) {
        err = PX_ECLOSED;
    } else if (link->kept) {
        err = push(link, &wake);
    }
    (void)pthread_mutex_unlock(&link->lock);
    if (wake != NULL) {
        wake(context);
    }
    return err;
}

px_err px_link_send(px_link *link, const px_frames *frames)
{
    void (*wake)(void *context) = NULL;
    px_err err;

    if (frames->n == 0 || frames->n > PX_LINK_MAX_FRAMES) {
        return PX_EINVAL;
    }
    (void)pthread_mutex_lock(&link->lock);
    void *context = link->wake_context;
    if (link->broken) {
        err = PX_ECLOSED;
    } else if (link->first != NULL) {
        err = enqueue_whole(link, frames);
        if (err == PX_OK && link->kept) {
            err = push(link, &wake);
        }
    } else {
        err = send_now(link, frames);
        if (link->first != NULL) {
            wake = link->wake;
        }
    }
    (void)pthread_mutex_unlock(&link->lock);
    if (wake != NULL) {
        wake(context);
    }
    return err;
}

px_err px_link_flush(px_link *link)
{
    (void)pthread_mutex_lock(&link->lock);
    px_err err = link->broken ? PX_ECLOSED : flush(link);
    link->kept = false;
    (void)pthread_mutex_unlock(&link->lock);
    return err;
}

bool px_link_wants_write(px_link *link)
{
    (void)pthread_mutex_lock(&link->lock);
    bool wants = link->first != NULL && !link->kept;
    (void)pthread_mutex_unlock(&link->lock);
    return wants;
}

size_t px_link_queued(px_link *link)
{
    (void)pthread_mutex_lock(&link->lock);
    size_t queued = link->queued;
    (void)pthread_mutex_unlock(&link->lock);
    return queued;
}

void px_link_set_wake(px_link *link, void (*wake)(void *context), void *context)
{
    (void)pthread_mutex_lock(&link->lock);
    link->wake = wake;
    link->wake_context = context;
    (void)pthread_mutex_unlock(&link->lock);
}

px_err px_link_adopt(int fd, uint64_t max_bytes, px_link **ret_link)
{
    const int send_buffer = SEND_BUFFER;
    struct ucred peer;
    socklen_t size = sizeof(peer);

    px_link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return PX_ENOMEM;
    }
    int errnum = pthread_mutex_init(&link->lock, NULL);
    if (errnum != 0) {
        free(link);
        return px_err_from_errno(errnum);
    }
    link->fd = fd;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)); // a wish
    link->max_bytes = max_bytes;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
        link->peer_pid = peer.pid;
    }
    *ret_link = link;
    return PX_OK;
}

void px_link_close(px_link *link)
{
    if (link == NULL) {
        return;
    }
    break_off(link);
    px__inbox_done(&link->in);
    (void)close(link->fd); // what was queued is dropped anyway
    if (link->far != NULL) {
        px__far_close(link->far);
    }
    (void)pthread_mutex_destroy(&link->lock);
    free(link);
}

void px__link_set_far(px_link *link, px__far *far)
{
    link->far = far;
    link->peer_pid = 0; // the socket's peer is a thread of ours
}

bool px_link_is_far(const px_link *link)
{
    return link->far != NULL;
}

void px_link_why(const px_link *link, char *ret_text, size_t size)
{
    ret_text[0] = '\0';
    if (link->far != NULL) {
        px__far_why(link->far, ret_text, size);
    }
}

void px_link_shutdown(px_link *link)
{
    (void)shutdown(link->fd, SHUT_RDWR); // fails when it is over already
}

int px_link_fd(const px_link *link)
{
    return link->fd;
}

pid_t px_link_peer_pid(const px_link *link)
{
    return link->peer_pid;
}

void px_link_set_limit(px_link *link, uint64_t max_bytes)
{
    link->max_bytes = max_bytes;
}
