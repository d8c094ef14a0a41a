// The bridge between threads. A post is a lock, two stores and an unlock; only the first letter in
// an empty box also writes the eventfd, so a burst costs the reader one wake. One lock gives one
// total order over all posters, which the order of a cell's outputs rests on.
//
// The eventfd is readable exactly while the box is not empty: it is written under the lock when the
// first letter comes and read under the lock when the last one goes. Both are single non-blocking
// system calls on a counter that never exceeds 1.
#include "px/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

px_err px_mailbox_init(px_mailbox *box)
{
    *box = (px_mailbox){.fd = -1};
    int errnum = pthread_mutex_init(&box->lock, NULL);
    if (errnum != 0) {
        return px_err_from_errno(errnum);
    }
    box->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (box->fd < 0) {
        errnum = errno;
        (void)pthread_mutex_destroy(&box->lock);
        return px_err_from_errno(errnum);
    }
    return PX_OK;
}

void px_mailbox_done(px_mailbox *box)
{
    if (box == NULL || box->fd < 0) {
        return;
    }
    assert(box->first == NULL);
    (void)close(box->fd);
    box->fd = -1;
    (void)pthread_mutex_destroy(&box->lock);
}

static void raise_flag(px_mailbox *box)
{
    const uint64_t one = 1;
    ssize_t written = write(box->fd, &one, sizeof(one));
    assert(written == (ssize_t)sizeof(one)); // the counter is 0, so there is room
    (void)written;
}

static void lower_flag(px_mailbox *box)
{
    uint64_t count;
    ssize_t got = read(box->fd, &count, sizeof(count));
    assert(got == (ssize_t)sizeof(count)); // the counter is 1
    (void)got;
}

void px_mailbox_post(px_mailbox *box, px_letter *letter)
{
    letter->next = NULL;
    (void)pthread_mutex_lock(&box->lock);
    if (box->last != NULL) {
        box->last->next = letter;
    } else {
        box->first = letter;
        raise_flag(box);
    }
    box->last = letter;
    box->n_letters++;
    (void)pthread_mutex_unlock(&box->lock);
}

px_letter *px_mailbox_take(px_mailbox *box)
{
    (void)pthread_mutex_lock(&box->lock);
    px_letter *first = box->first;
    if (first != NULL) {
        box->first = NULL;
        box->last = NULL;
        box->n_letters = 0;
        lower_flag(box);
    }
    (void)pthread_mutex_unlock(&box->lock);
    return first;
}

px_letter *px_mailbox_take_one(px_mailbox *box)
{
    (void)pthread_mutex_lock(&box->lock);
    px_letter *letter = box->first;
    if (letter != NULL) {
        box->first = letter->next;
        box->n_letters--;
        if (box->first == NULL) {
            box->last = NULL;
            lower_flag(box);
        }
        letter->next = NULL;
    }
    (void)pthread_mutex_unlock(&box->lock);
    return letter;
}

int px_mailbox_fd(const px_mailbox *box)
{
    return box->fd;
}
